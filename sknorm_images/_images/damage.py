"""Find damage in JPEG files that can be decoded all the same.

libjpeg makes a picture of whatever it is given. It warns, but Pillow does not pass its
warnings on, so simplejpeg is asked if it is installed. What can be found without it is looked
for first.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from PIL import Image, ImageChops

from sknorm_images._files.formats import JPEG
from sknorm_images._files.jpeg_damage import ImageData, read_image_data
from sknorm_images._files.jpeg_markers import read_structure
from sknorm_images._images.decoding import ContentError, DecodedImage, Decoding
from sknorm_images._images.strict_libjpeg import StrictLibjpeg

# The grey level of blocks for which there is no data: 128 in all components, also of inks.
_MISSING, _MISSING_CMYK = 128, 64
_TOLERANCE = 2  # grey levels; conversions round
_FILLER = 2**12  # bytes

# libjpeg steps over 0xFF before a marker, and begins again with each block that Pillow reads.
_LONG_PADDING = b"\xff" * 2**20


def find_damage(
    data: bytes,
    decoding: Decoding,
    libjpeg: StrictLibjpeg | None,
    look_at: Callable[[DecodedImage], None] | None = None,
) -> str:
    """Decode an image, and say what is damaged in it; empty if nothing is found.

    `data` must be accepted by `Decoding.read_header`, and `libjpeg` is what `strict_libjpeg`
    returns. Damage is only looked for in JPEG files. `look_at` is called with the image at
    full size. Where libjpeg has no warning, Pillow need not decode most files.
    Raises ContentError if the image cannot be decoded.
    """
    if not data.startswith(JPEG):
        decoded = decoding.decode(data)
        if look_at:
            look_at(decoded)
        return ""
    found, structure = read_image_data(data), read_structure(data, decoding.max_scans)
    warning, is_dear = None, structure.is_dear(decoding.max_pixels)
    if libjpeg and not found.damage and not is_dear:
        if look_at and (plain := libjpeg.decode(data, structure)):
            look_at(plain)
            return ""
        warning = libjpeg.warning_of(data)
        is_converted = decoding.color_profile != "ignore" or decoding.keeps_values
        if warning == "" and not (is_converted or look_at):
            return ""  # libjpeg went through all of it, so Pillow's decoder would not fail
    decoded = decoding.decode(data)
    if look_at:
        look_at(decoded)
    if found.damage or warning == "" or not found.is_huffman:
        return found.damage or warning or ""
    image = decoded.image
    # A profile moves the grey that is looked for.
    is_moved = decoding.color_profile != "ignore" and "icc_profile" in image.info
    may_end_early, height = is_moved or _ends_in_grey(image, found), image.height
    del decoded, image  # free it before another one is decoded
    if not may_end_early or is_dear or _LONG_PADDING in data:
        return warning or ""
    stored = replace(decoding, color_profile="ignore", background=None)
    return _end_of(data, found, height, stored, is_moved) or warning or ""


def _end_of(
    data: bytes, found: ImageData, height: int, decoding: Decoding, is_moved: bool
) -> str:
    """Say where the data of an image that ends in grey stops, if it stops early.

    Blocks without data are mid-grey, but a complete picture may also end in grey. Bytes
    inserted before the end tell the two apart: they change only an incomplete picture. An
    eighth of the size is enough to see that. `is_moved` says that a profile has
    changed the grey, so that the end has to be looked at again.
    """
    if is_moved and not _ends_in_grey(decoding.decode(data).image, found):
        return ""
    filler = data[found.start : min(found.end, found.start + _FILLER)].replace(b"\xff", b"")
    begin = data[: found.end].rstrip(b"\xff")  # it would turn the next byte into a marker
    try:
        whole, other = (
            decoding.decode(content, lambda size, orientation: (1, 1))
            for content in (data, begin + filler + data[found.end :])
        )
    except ContentError:
        return ""
    changed = ImageChops.difference(whole.image, other.image).getbbox()
    if changed is None:
        return ""
    n_rows = height - changed[1] * round(height / whole.box[3])
    return f"its data ends early: the last {n_rows} of {height} rows are grey"


def _ends_in_grey(image: Image.Image, found: ImageData) -> bool:
    """Whether the last block looks as if it had no data, but for colours next to it."""
    level = _MISSING_CMYK if found.n_components == 4 else _MISSING
    width, height = image.size
    last: Any = (
        image.crop((width - 1, height - 1, width, height)).convert("L").getpixel((0, 0))
    )
    if abs(last - level) > _TOLERANCE:
        return False  # as in most photos
    left, top = (width - 1) // 8 * 8, (height - 1) // 8 * 8
    block = np.asarray(image.crop((left, top, width, height)).convert("L"), np.int16)
    return bool((np.abs(block - level) <= _TOLERANCE).all())
