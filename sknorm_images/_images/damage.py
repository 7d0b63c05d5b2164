"""Find damage in JPEG files that can be decoded all the same.

libjpeg makes a picture of whatever it is given. It warns, but Pillow does not pass its
warnings on, so simplejpeg is asked if it is installed. What can be found without it is looked
for first.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageChops

from sknorm_images._files.formats import JPEG
from sknorm_images._files.jpeg_damage import ImageData, read_image_data
from sknorm_images._files.jpeg_markers import read_structure
from sknorm_images._images.decoding import ContentError, DecodedImage, Decoding

# From the content of a file to libjpeg's warning: empty if there was none, None if unknown.
WarningOf: TypeAlias = Callable[[bytes], str | None]

# Of libjpeg's warnings, those about the image data (jerror.h). Others are about the header.
_ABOUT_DATA = re.compile(r"Corrupt JPEG data: (?!bad ICC)|Premature end of JPEG file")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_MOST_PADDING = 16  # bytes; cameras and editors leave a few after a picture that is complete

# The grey level of blocks for which there is no data: 128 in all components, also of inks.
_MISSING, _MISSING_CMYK = 128, 64
_TOLERANCE = 2  # grey levels; conversions round
_FILLER = 2**12  # bytes

# libjpeg steps over 0xFF before a marker, and begins again with each block that Pillow reads.
_LONG_PADDING = b"\xff" * 2**20


def find_damage(
    data: bytes,
    decoding: Decoding,
    warning_of: WarningOf | None,
    look_at: Callable[[DecodedImage], None] | None = None,
) -> str:
    """Decode an image, and say what is damaged in it; empty if nothing is found.

    `data` must be accepted by `Decoding.read_header`, and `warning_of` is what
    `libjpeg_warnings` returns. Damage is only looked for in JPEG files. `look_at` is called
    with the image at full size; without it, libjpeg's word may spare Pillow the decoding.
    Raises ContentError if the image cannot be decoded.
    """
    if not data.startswith(JPEG):
        decoded = decoding.decode(data)
        if look_at:
            look_at(decoded)
        return ""
    found = read_image_data(data)
    warning = None
    if warning_of and not found.damage and not _is_dear(data, decoding):
        warning = warning_of(data)
        is_converted = decoding.color_profile != "ignore" or decoding.keeps_values
        if warning == "" and not (is_converted or look_at):
            return ""  # libjpeg went through all of it, so Pillow's decoder would not fail
    decoded = decoding.decode(data)
    if look_at:
        look_at(decoded)
    image = decoded.image
    if found.damage:
        return found.damage
    if warning == "" or not found.is_huffman:
        return warning or ""
    level = _MISSING_CMYK if found.n_components == 4 else _MISSING
    # A profile moves the grey that is looked for.
    is_moved = decoding.color_profile != "ignore" and "icc_profile" in image.info
    ends_in_grey, height = is_moved or _ends_in(level, image), image.height
    del decoded, image  # free it before another one is decoded
    if not ends_in_grey or _is_dear(data, decoding) or _LONG_PADDING in data:
        return warning or ""
    stored = replace(decoding, color_profile="ignore", background=None)
    if is_moved and not _ends_in(level, stored.decode(data).image):
        return warning or ""
    return _end_of(data, found, height, stored) or warning or ""


def _is_dear(data: bytes, decoding: Decoding) -> bool:
    return read_structure(data, decoding.max_scans).is_dear(decoding.max_pixels)


def libjpeg_warnings() -> WarningOf | None:
    """Return a function that gives libjpeg's first warning about image data, if installed.

    Decoding to grey goes through all the data, too, in less time than Pillow takes. A smaller
    picture would take even less, but simplejpeg 1.9 writes out of bounds when it scales a
    lossless file.
    """
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None

    def warning_of(data: bytes) -> str | None:
        try:
            decode_jpeg(data, "GRAY", fastdct=True, fastupsample=True, strict=True)
        except ValueError as error:
            message = str(error)
        else:
            return ""
        left_over = _LEFT_OVER.search(message)
        if left_over and int(left_over[1]) <= _MOST_PADDING:
            return ""
        return message if _ABOUT_DATA.match(message) else None

    return warning_of


def _end_of(data: bytes, found: ImageData, height: int, decoding: Decoding) -> str:
    """Say where the data of an image that ends in grey stops, if it stops early.

    Blocks without data are mid-grey, but a complete picture may also end in grey. Bytes
    inserted before the end tell the two apart: they change only an incomplete picture. An
    eighth of the size is enough to see that.
    """
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


def _ends_in(level: int, image: Image.Image) -> bool:
    """Whether the last block has one grey level, but for rounding and colours next to it."""
    width, height = image.size
    last: Any = (
        image.crop((width - 1, height - 1, width, height)).convert("L").getpixel((0, 0))
    )
    if abs(last - level) > _TOLERANCE:
        return False  # as in most photos
    left, top = (width - 1) // 8 * 8, (height - 1) // 8 * 8
    block = np.asarray(image.crop((left, top, width, height)).convert("L"), np.int16)
    return bool((np.abs(block - level) <= _TOLERANCE).all())
