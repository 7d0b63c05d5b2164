"""What images are converted to: the channels of each colour mode, and how it is shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

_SEEN = ("L", "RGB")


@dataclass(frozen=True)
class ColorMode:
    """Pillow's name of a mode, and its channels, each with its colour in plots."""

    pillow: str
    channels: Mapping[str, str]

    @property
    def is_seen(self) -> bool:
        """Whether screens show these channels as they are."""
        return self.pillow in _SEEN

    def as_seen(self, picture: Image.Image | NDArray[Any]) -> Image.Image:
        """Turn an image in this mode into one in mode L or RGB, as a person sees it.

        The image is as Pillow holds it, or a uint8 array of shape (height, width, n_channels).
        """
        if isinstance(picture, np.ndarray):
            height, width, _ = picture.shape
            picture = Image.frombytes(self.pillow, (width, height), picture.tobytes())
        return picture if picture.mode in _SEEN else picture.convert("RGB")


COLOR_MODES = {
    "rgb": ColorMode("RGB", {"red": "tab:red", "green": "tab:green", "blue": "tab:blue"}),
    "grayscale": ColorMode("L", {"grey": "tab:gray"}),
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
