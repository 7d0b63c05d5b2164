"""What the markers of a JPEG file say before anything is decoded (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SOS, _EOI = 0xDA, 0xD9
# TEM, reserved ones, RST0-7 and SOI: no length follows, and decoders pass over them.
_STANDALONE = {*range(0x01, 0xC0), *range(0xD0, 0xD9)}
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # all SOF; DHT, JPG and DAC are not
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}

# In entropy-coded data 0xFF is followed by a stuffed zero or a restart; 0xFF also pads.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)


class JpegStructure(NamedTuple):
    """What the markers say; zeros where they do not."""

    width: int
    height: int
    n_scans: int


def read_structure(data: bytes, max_scans: int) -> JpegStructure:
    """Read the size from the header, and count the scans that a decoder would go through.

    Parameters
    ----------
    data : bytes
        Content of a JPEG file, however damaged.
    max_scans : int
        Counting stops when there are more.

    Returns
    -------
    JpegStructure
        The size in pixels, and the number of scans.
    """
    width = height = n_components = n_scans = 0
    progressive = False
    for marker, start in _segments(data):
        payload = data[start + 2 : start + 8]
        if marker in _FRAMES and not n_scans and len(payload) == 6:
            height, width = int.from_bytes(payload[1:3]), int.from_bytes(payload[3:5])
            n_components = payload[5]
            progressive = marker in _PROGRESSIVE
        elif marker == _SOS and payload:
            n_scans += 1
            # Decoders read no further where the first scan of a sequential file is whole.
            is_whole = not progressive and n_scans == 1 and payload[0] == n_components
            if is_whole or n_scans > max_scans:
                break
    return JpegStructure(width, height, n_scans)


def _segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield each marker and the position of its length, up to the end of the image."""
    position = 2
    while match := _MARKER.search(data, position):
        marker, position = data[match.end() - 1], match.end()
        if marker == _EOI:
            return
        if marker not in _STANDALONE:
            yield marker, position
            position += max(2, int.from_bytes(data[position : position + 2]))
