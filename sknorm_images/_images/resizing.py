"""One image to one size: interpolation, aspect ratio, orientation."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images._common.published import published
from sknorm_images._images.decoding import Box, DecodedImage, Size

INTERPOLATIONS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
# These pick or average whole pixels, and those of a reduced image differ too much
# (box: 38 dB, where bilinear has 55).
_UNSMOOTHED = ("nearest", "box")
ASPECT_RATIOS = ("ignore", "crop", "pad")
# Libraries that resize, and the interpolations that each does almost as Pillow does. (The
# bicubic of cykooz-resizer was up to 11 grey levels off, its lanczos 23.)
ENGINES = {"pillow": tuple(INTERPOLATIONS), "simd": ("bilinear",)}

# How to turn a stored image upright, by EXIF orientation (Exif 2.32, tag 0x0112).
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@published("sknorm_images")
@dataclass(frozen=True)
class Resizing:
    """How images are brought to one size; the parameters are those of `Resizer`."""

    height: int
    width: int
    interpolation: str
    aspect_ratio: str
    reducing_gap: float | None
    pad_value: int
    engine: str

    def draft_size(self, size: Size, orientation: int) -> Size | None:
        """Smallest (width, height) that a file may be decoded at, or None for full size."""
        if self.reducing_gap is None or self.interpolation in _UNSMOOTHED:
            return None
        whole = _covered(size, self._target(orientation), self.aspect_ratio)
        if size[0] < 2 * whole[0] * self.reducing_gap:  # decoders halve a picture at least
            return None
        return ceil(whole[0] * self.reducing_gap), ceil(whole[1] * self.reducing_gap)

    def placed(self, size: Size, box: Box, orientation: int) -> tuple[Size, Box]:
        """Find the (width, height) of the picture in the stored orientation, and its part.

        `size` is the (width, height) in the file, and `box` the part of the decoded image that
        shows the whole picture. What is returned is smaller than the final size if the
        picture is padded, and the part smaller than `box` if it is cropped.
        """
        target = self._target(orientation)
        if self.aspect_ratio == "crop":
            return target, _centred(box, target)
        if self.aspect_ratio == "pad":
            return _contained(size, target), box
        return target, box

    def margins(self, size: Size) -> tuple[int, int]:
        """Find how far a padded picture of this (width, height) is from the left and top."""
        return round((self.width - size[0]) / 2), round((self.height - size[1]) / 2)

    def resize(self, decoded: DecodedImage) -> Image.Image:
        """Resize a decoded image, and turn it upright."""
        image, size, box, orientation, *_ = decoded
        if image.size == size:
            # Filters are not quite the same in both directions, so turn it first.
            if orientation != 1:
                image, orientation = upright(image, orientation), 1
                size = image.size
            box = (0.0, 0.0, float(size[0]), float(size[1]))
        target, box = self.placed(size, box, orientation)
        image = self._resample(image, target, box)
        # After scaled decoding, the box tells where the picture is until it is cut out.
        if orientation != 1:
            image = upright(image, orientation)
        return self._pad(image) if self.aspect_ratio == "pad" else image

    def resize_array(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resize an array (height, width, n_channels) of any number of channels."""
        if image.shape[-1] != 3:
            channels = [self._resize_picture(channel) for channel in np.moveaxis(image, -1, 0)]
            return np.stack(channels, axis=-1)
        return self._resize_picture(image)

    def _resize_picture(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        image = Image.fromarray(picture)
        box = (0.0, 0.0, float(image.width), float(image.height))
        return np.asarray(self.resize(DecodedImage(image, image.size, box, 1)))

    def _resample(self, image: Image.Image, target: Size, box: Box) -> Image.Image:
        if self.engine == "simd" and shrinks(box, target):
            from sknorm_images._images import simd  # only here: it needs an optional library

            return simd.resize(image, target, box)
        return image.resize(target, INTERPOLATIONS[self.interpolation], box)

    def _target(self, orientation: int) -> Size:
        """Target (width, height) in the stored orientation."""
        swapped = orientation >= 5
        return (self.height, self.width) if swapped else (self.width, self.height)

    def _pad(self, image: Image.Image) -> Image.Image:
        if image.size == (self.width, self.height):
            return image
        canvas = Image.new(
            image.mode, (self.width, self.height), (self.pad_value,) * len(image.getbands())
        )
        canvas.paste(image, self.margins(image.size))
        return canvas


def upright(image: Image.Image, orientation: int) -> Image.Image:
    """Undo an EXIF orientation."""
    return image.transpose(_UPRIGHT[orientation]) if orientation in _UPRIGHT else image


def _covered(size: Size, target: Size, aspect_ratio: str) -> tuple[float, float]:
    """Size of the whole picture when the part that is kept has its final size."""
    if aspect_ratio == "ignore":
        return target
    scales = target[0] / size[0], target[1] / size[1]
    scale = max(scales) if aspect_ratio == "crop" else min(scales)
    return size[0] * scale, size[1] * scale


def shrinks(box: Box, target: Size) -> bool:
    """Whether neither side of the box grows.

    If one grows, the engines agree less closely. Each resizes in two passes, across and down,
    with weights of its own precision, and rounds after both. One pass is off by one grey level
    at most. Two passes may add up to two levels if the second one weighs few pixels: in noise,
    that happened to 2 in a million values if a side grew, and to 3 in 100 million otherwise.
    """
    return target[0] <= box[2] - box[0] and target[1] <= box[3] - box[1]


def _centred(box: Box, target: Size) -> Box:
    """Largest part of `box`, around its centre, with the aspect ratio of `target`."""
    width, height = box[2], box[3]
    ratio = target[0] / target[1]
    kept_width, kept_height = min(width, height * ratio), min(height, width / ratio)
    left, top = (width - kept_width) / 2, (height - kept_height) / 2
    return left, top, left + kept_width, top + kept_height


def _contained(size: Size, target: Size) -> Size:
    """Largest (width, height) within `target` with the aspect ratio of `size`."""
    width = min(target[0], max(1, round(size[0] / size[1] * target[1])))
    height = min(target[1], max(1, round(size[1] / size[0] * target[0])))
    return width, height
