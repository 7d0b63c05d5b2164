"""JPEG files changed on purpose, marker by marker (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Iterator

START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9


def markers(data: bytes) -> Iterator[tuple[int, int]]:
    """Walk through a JPEG: the number of each marker and where it stands."""
    position = 2
    while True:
        marker = data[position + 1]
        yield marker, position
        if marker == END_OF_IMAGE:
            return
        position += 2 + int.from_bytes(data[position + 2 : position + 4], "big")
        if marker == START_OF_SCAN:  # entropy-coded data until a marker, restarts aside
            while data[position] != 0xFF or data[position + 1] in (0, *range(0xD0, 0xD8)):
                position += 1


def claim_size(data: bytes, width: int, height: int) -> bytes:
    """Overwrite the size in the header of a JPEG."""
    start = next(position for marker, position in markers(data) if marker in (0xC0, 0xC2))
    return data[: start + 5] + struct.pack(">HH", height, width) + data[start + 9 :]


def repeat_last_scan(data: bytes, times: int) -> bytes:
    places = list(markers(data))
    end = places[-1][1]
    last = next(place for marker, place in reversed(places) if marker == START_OF_SCAN)
    return data[:end] + data[last:end] * times + data[end:]
