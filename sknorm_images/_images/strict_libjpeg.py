"""libjpeg by way of simplejpeg, where a warning is an error; and which files are plain.

simplejpeg decodes plain JPEG files to the same pixels as Pillow. It is optional.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from PIL import Image, features

from sknorm_images._files.jpeg_markers import JpegStructure
from sknorm_images._files.plain_jpeg import PlainHeader, read_plain_header
from sknorm_images._images.decoding import DecodedImage, Decoding

# Of libjpeg's warnings, those about the image data (jerror.h). Others are about the header.
_ABOUT_DATA = re.compile(r"Corrupt JPEG data: (?!bad ICC)|Premature end of JPEG file")
_LEFT_OVER = re.compile(r"(\d+) extraneous bytes before marker 0xd9")
_MOST_PADDING = 16  # bytes; cameras and editors leave a few after a picture that is complete

# Since 2.1, libjpeg-turbo decodes to the same pixels. Pillow may be built with an older one.
_OLDEST_OF_PILLOW = (2, 1)
_LARGE = 2**24  # pixels, which Pillow decodes: they would be in memory twice


class StrictLibjpeg:
    """Goes through all the data of an image that `decoding` accepts, and finds damage."""

    def __init__(self, decode_jpeg: Callable[..., Any], decoding: Decoding) -> None:
        self._decode_jpeg = decode_jpeg
        self._decoding = decoding
        self._has_pillows_pixels = has_pillows_pixels(decoding)

    def warning_of(self, data: bytes) -> str | None:
        """Return libjpeg's first warning about image data: empty if none, None if unknown.

        Decoding to grey goes through all the data, too, in less time than Pillow takes. A
        smaller picture would take even less, but simplejpeg 1.9 writes out of bounds when it
        scales a lossless file.
        """
        try:
            self._decode_jpeg(data, "GRAY", fastdct=True, fastupsample=True, strict=True)
        except (ValueError, RuntimeError) as error:
            message = str(error)
        else:
            return ""
        left_over = _LEFT_OVER.search(message)
        if left_over and int(left_over[1]) <= _MOST_PADDING:
            return ""
        return message if _ABOUT_DATA.match(message) else None

    def decode(self, data: bytes, structure: JpegStructure) -> DecodedImage | None:
        """Decode a plain file, as `Decoding.decode` does; None if it draws a warning."""
        size = structure.width, structure.height
        header = plain_header(data, self._decoding) if self._has_pillows_pixels else None
        if header is None or size[0] * size[1] > _LARGE:
            return None
        is_grey = self._decoding.color_mode == "grayscale"
        is_stored_grey = is_grey and structure.n_components == 1
        try:
            pixels = self._decode_jpeg(data, "GRAY" if is_stored_grey else "RGB", strict=True)
        except (ValueError, RuntimeError):
            return None
        if is_stored_grey:
            pixels = pixels[..., 0]
        image = Image.fromarray(pixels)
        if image.size != size:
            return None
        orientation = max(1, header.orientation) if self._decoding.exif_orientation else 1
        box = (0.0, 0.0, float(size[0]), float(size[1]))
        if is_grey and not is_stored_grey:  # colours weigh as Pillow weighs them
            return DecodedImage(image.convert("L"), size, box, orientation)
        return DecodedImage(image, size, box, orientation, pixels=pixels)


def strict_libjpeg(decoding: Decoding) -> StrictLibjpeg | None:
    """Return a libjpeg that warns, if simplejpeg is installed."""
    try:
        from simplejpeg import decode_jpeg
    except ImportError:
        return None
    return StrictLibjpeg(decode_jpeg, decoding)


def has_pillows_pixels(decoding: Decoding) -> bool:
    """Whether simplejpeg makes the same pixels as `decoding` of plain files."""
    return (
        "JPEG" in decoding.formats
        and decoding.color_mode in ("rgb", "grayscale")
        and decoding.background is None
        and _pillow_decodes_alike()
    )


def plain_header(data: bytes, decoding: Decoding) -> PlainHeader | None:
    """Read the header of a file that has only to be decoded, and maybe turned; else None."""
    header = read_plain_header(data)
    if header is None or (header.has_profile and decoding.color_profile != "ignore"):
        return None
    return header


def _pillow_decodes_alike() -> bool:
    """Whether Pillow's decoder is a libjpeg-turbo that makes the same pixels."""
    version = features.version_feature("libjpeg_turbo")
    if version is None:
        return False
    return tuple(int(part) for part in version.split(".")[:2]) >= _OLDEST_OF_PILLOW
