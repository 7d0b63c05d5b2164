"""Tell JPEG files whose header is plain: all decoders read such a header alike.

A header that is not may be quite in order, but it takes a decoder that knows the whole format.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

_DHT, _DQT, _DRI, _SOS, _COM = 0xC4, 0xDB, 0xDD, 0xDA, 0xFE
_BASELINE, _EXTENDED, _PROGRESSIVE = 0xC0, 0xC1, 0xC2  # frames in Huffman code
_APP0, _APP1, _APP2, _APP13, _APP14 = 0xE0, 0xE1, 0xE2, 0xED, 0xEE
_UNREAD = {_DHT, _DRI, _COM, *range(0xE3, 0xED), 0xEF}  # by all but libjpeg, or by all

_TABLE = 65  # bytes of a quantization table of 8 bits, with its number, 0 to 3
_LEAST_JFIF, _LEAST_ADOBE, _LEAST_PROFILE = 14, 12, 14  # bytes of content

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_TURNED = b"tiff:Orientation"
_PROFILE = b"ICC_PROFILE\0"
_DIRECTORY_OF_IMAGES = b"MPF\0"
_PHOTOSHOP = b"Photoshop 3.0\0"


@dataclass
class PlainHeader:
    """What a plain header says, besides what `read_structure` finds."""

    orientation: int = 0  # EXIF, 1 to 8; 0 if it says none
    has_exif: bool = False
    has_frame: bool = False
    has_profile: bool = False  # of colours
    xmp_turns: bool = False


def read_plain_header(data: bytes) -> PlainHeader | None:
    """Read a JPEG header, up to that of its first scan; None if it is not plain.

    In a plain one, segments of the usual kinds and lengths follow one another without a gap.
    It has one frame, in Huffman code, of 8 bits per sample and one or three components. Its
    metadata follow their standards, and name no further image.
    """
    header, position, n_bytes = PlainHeader(), 2, len(data)
    try:
        while (marker := data[position + 1]) != _SOS:
            start = position + 4
            end = position + 2 + (data[position + 2] << 8 | data[position + 3])
            if data[position] != 0xFF or not start <= end < n_bytes:
                return None
            if marker in _TAKE:
                if not _TAKE[marker](header, data, start, end):
                    return None
            elif marker not in _UNREAD:
                return None
            position = end
        is_cut = position + 2 + (data[position + 2] << 8 | data[position + 3]) > n_bytes
    except IndexError:  # it ends within the header
        return None
    if data[position] != 0xFF or not header.has_frame or is_cut:
        return None
    return None if header.xmp_turns and not header.orientation else header


# Takes the content of a segment, data[start:end], and says whether it is plain.
_Take: TypeAlias = Callable[[PlainHeader, bytes, int, int], bool]


def _take_tables(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    for number in data[start:end:_TABLE]:
        if number > 3:
            return False
    return start < end and (end - start) % _TABLE == 0


def _take_frame(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    if header.has_frame:
        return False
    header.has_frame = True
    n_components = data[start + 5]
    return data[start] == 8 and n_components in (1, 3) and end - start == 6 + 3 * n_components


def _take_app0(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    return end - start >= _LEAST_JFIF or not data.startswith(b"JFIF", start)


def _take_app1(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    if data.startswith(_EXIF, start):
        found = None if header.has_exif else _orientation(data[start + len(_EXIF) : end])
        if found is None:
            return False
        header.has_exif, header.orientation = True, found
    elif data.startswith(_XMP, start) and data.find(_TURNED, start, end) >= 0:
        header.xmp_turns = True
    return True


def _take_app2(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    if data.startswith(_PROFILE, start):
        header.has_profile = True
        return end - start >= _LEAST_PROFILE
    return not data.startswith(_DIRECTORY_OF_IMAGES, start)


def _take_app13(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    if not data.startswith(_PHOTOSHOP, start):
        return True
    return _is_whole_photoshop(data[start + len(_PHOTOSHOP) : end])


def _take_app14(header: PlainHeader, data: bytes, start: int, end: int) -> bool:
    return end - start >= _LEAST_ADOBE or not data.startswith(b"Adobe", start)


_TAKE: dict[int, _Take] = {
    _DQT: _take_tables,
    _BASELINE: _take_frame,
    _EXTENDED: _take_frame,
    _PROGRESSIVE: _take_frame,
    _APP0: _take_app0,
    _APP1: _take_app1,
    _APP2: _take_app2,
    _APP13: _take_app13,
    _APP14: _take_app14,
}

# Of EXIF, whose numbers are in either order (TIFF 6.0): that of an offset, of how many entries
# there are, and of an entry; and how far its last four bytes are shifted as an offset.
_FORMATS = {
    b"II*\0": (struct.Struct("<L"), struct.Struct("<H"), struct.Struct("<HHLHH"), 0, 16),
    b"MM\0*": (struct.Struct(">L"), struct.Struct(">H"), struct.Struct(">HHLHH"), 16, 0),
}
_SIZES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8)  # bytes of a value, by type
_SHORT, _RATIONAL = 3, 5
_ORIENTATION = 0x0112
# One number each, and what Pillow reads when it opens a file: resolution and its unit, too.
_TYPES = {_ORIENTATION: _SHORT, 0x011A: _RATIONAL, 0x0128: _SHORT}


def _orientation(exif: bytes) -> int | None:
    """Find the orientation in EXIF: 0 if it says none, None if it is not plain."""
    formats = _FORMATS.get(exif[:4])
    if formats is None or len(exif) < 8:
        return None
    offset, number, entry, *shifts = formats
    [start] = offset.unpack_from(exif, 4)
    if start + 2 > len(exif):
        return None
    [n_entries] = number.unpack_from(exif, start)
    start, end = start + 2, start + 2 + entry.size * n_entries
    if end + 4 > len(exif):  # the offset of the next directory
        return None
    orientation = 0
    for tag, kind, count, first, second in entry.iter_unpack(exif[start:end]):
        if not 0 < kind < len(_SIZES) or _TYPES.get(tag, kind) != kind:
            return None
        size, at = _SIZES[kind] * count, first << shifts[0] | second << shifts[1]
        if size > 4 and at + size > len(exif):
            return None
        if tag in _TYPES and count != 1:
            return None
        if tag == _ORIENTATION:
            if orientation or not 1 <= first <= 8:
                return None
            orientation = first
    return orientation


def _is_whole_photoshop(resources: bytes) -> bool:
    """Whether Photoshop's image resources follow one another up to the end."""
    position, end = 0, len(resources)
    while position < end:
        if resources[position : position + 4] != b"8BIM" or position + 6 >= end:
            return False
        position += 7 + resources[position + 6]  # a name, of that length
        position += position & 1
        if position + 4 > end:
            return False
        position += 4 + int.from_bytes(resources[position : position + 4])
        position += position & 1
    return position <= end + 1
