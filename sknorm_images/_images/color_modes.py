"""What images are converted to: the channels of each colour mode, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SEEN = ("L", "RGB")
_NUMBERS = ("L", "P", "1")  # modes of one number from 0 to 255 per pixel; P has a palette


@dataclass(frozen=True)
class ColorMode:
    """Pillow's name of a mode, and its channels, each with its colour in plots.

    With `keeps_values`, pixels are numbers as they are stored, such as the classes of a mask.
    """

    pillow: str
    channels: Mapping[str, str]
    keeps_values: bool = False

    @property
    def is_seen(self) -> bool:
        """Whether screens show these channels as they are."""
        return self.pillow in _SEEN and not self.keeps_values

    def converted(self, image: Image.Image) -> Image.Image:
        """Convert an image, which is loaded, to this mode.

        Raises ValueError if values are to be kept, and it has more than one per pixel, or
        larger ones.
        """
        if self.keeps_values:
            return _stored_numbers(image)
        return image if image.mode == self.pillow else image.convert(self.pillow)

    def as_seen(self, picture: Image.Image | NDArray[Any]) -> Image.Image:
        """Turn an image in this mode into one in mode L or RGB, as a person sees it.

        The image is as Pillow holds it, or a uint8 array of shape (height, width, n_channels).
        """
        if isinstance(picture, np.ndarray):
            height, width, _ = picture.shape
            picture = Image.frombytes(self.pillow, (width, height), picture.tobytes())
        if self.keeps_values:  # classes 0 and 1 would both be black
            picture = picture.copy()
            picture.putpalette(_COLORS_OF_NUMBERS)
        return picture if picture.mode in _SEEN else picture.convert("RGB")


def _stored_numbers(image: Image.Image) -> Image.Image:
    """Put the number that each pixel is stored as into mode L: of a palette, the index."""
    mode, n_channels = image.mode, len(image.getbands())
    if n_channels > 1:
        raise ValueError(
            f"its {n_channels} channels (Pillow's mode {mode}) are not the one number per "
            "pixel that color_mode='stored' keeps. color_mode='rgb' reads colours"
        )
    if mode not in _NUMBERS:
        raise ValueError(
            f"its values (Pillow's mode {mode}) may be above 255, and color_mode='stored' "
            "gives uint8. Save it with 8 bits per pixel"
        )
    if mode == "L":
        return image
    if mode == "1":  # which Pillow stores as 0 and 255
        return image.convert("L").point([0] + [1] * 255)
    return Image.frombytes("L", image.size, image.tobytes())


def _colors_of_numbers() -> bytes:
    """Give each number from 0 to 255 a colour, small ones colours that differ most.

    These are the colours of PASCAL VOC: bit 3k + c of a number is bit 7 - k of channel c.
    """
    numbers, channels = np.arange(256)[:, np.newaxis], np.arange(3)
    colors = sum((numbers >> (3 * k + channels) & 1) << (7 - k) for k in range(3))
    return np.asarray(colors, np.uint8).tobytes()


_COLORS_OF_NUMBERS = _colors_of_numbers()

COLOR_MODES = {
    "rgb": ColorMode("RGB", {"red": "tab:red", "green": "tab:green", "blue": "tab:blue"}),
    "grayscale": ColorMode("L", {"grey": "tab:gray"}),
    "stored": ColorMode("L", {"value": "tab:gray"}, keeps_values=True),
}
# What images are taken for where nothing names their mode, such as arrays.
_USUAL = {len(COLOR_MODES[name].channels): name for name in ("rgb", "grayscale")}


def find_color_mode(n_channels: int, name: str | None = None) -> ColorMode | None:
    """Find the mode of that name, or what images of so many channels usually are, if any.

    A name whose mode has another number of channels is ignored: a step of somebody else has
    made other images since.
    """
    named = COLOR_MODES.get(name or "")
    if named is None or len(named.channels) != n_channels:
        named = COLOR_MODES.get(_USUAL.get(n_channels, ""))
    return named


def channels_of(n_channels: int, name: str | None = None) -> Mapping[str, str]:
    """Map the name of each channel to its colour in plots; numbered if the mode is unknown."""
    mode = find_color_mode(n_channels, name)
    return mode.channels if mode else {f"channel {i}": f"C{i}" for i in range(n_channels)}
