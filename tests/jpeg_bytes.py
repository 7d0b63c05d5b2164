"""JPEG files taken apart at their markers, and put together changed (ITU-T T.81, annex B)."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import TypeAlias

SOF0, SOF1, SOF2, SOF3, SOF5, SOF9 = 0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9
DHT, SOI, EOI, SOS, DQT, DNL, DRI, DHP, EXP = 0xC4, *range(0xD8, 0xE0)
APP0, APP1, APP2, APP13, APP14, COM = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
RESTARTS = range(0xD0, 0xD8)
FRAMES = {*range(0xC0, 0xD0)} - {DHT, 0xC8, 0xCC}
START, END = b"\xff\xd8", b"\xff\xd9"

# A marker, and the bytes from it up to the next one, entropy-coded ones too.
Segment: TypeAlias = tuple[int, bytes]


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def segments(data: bytes) -> list[Segment]:
    """Take a JPEG apart, but for its start."""
    parts = []
    position = len(START)
    while position < len(data):
        marker, end = data[position + 1], position + 2
        if marker not in (SOI, EOI):
            end += int.from_bytes(data[end : end + 2])
        if marker == SOS:
            while data[end] != 0xFF or data[end + 1] in (0, *RESTARTS):
                end += 1
        parts.append((marker, data[position:end]))
        position = end
    return parts


def joined(parts: Sequence[Segment]) -> bytes:
    return START + b"".join(content for _, content in parts)


def without(data: bytes, *markers: int) -> bytes:
    return joined([part for part in segments(data) if part[0] not in markers])


def with_first(data: bytes, *added: bytes) -> bytes:
    return START + b"".join(added) + data[len(START) :]


def before(data: bytes, marker: int, added: bytes) -> bytes:
    """Put bytes before the first segment of a kind."""
    parts = segments(data)
    i = [found for found, _ in parts].index(marker)
    return joined(parts[:i]) + added + joined(parts[i:])[len(START) :]


def first_of(data: bytes, *markers: int) -> bytes:
    """The first segment that has one of these markers."""
    return next(content for marker, content in segments(data) if marker in markers)


def frame_of(data: bytes) -> bytes:
    """The frame header: FF, marker, 2 length, precision, 2 height, 2 width, ..."""
    return first_of(data, *FRAMES)


def with_frame(data: bytes, position: int, changed: bytes) -> bytes:
    """Overwrite bytes of the frame header."""
    frame = frame_of(data)
    other = frame[:position] + changed + frame[position + len(changed) :]
    return data.replace(frame, other, 1)


def claim_size(data: bytes, width: int, height: int) -> bytes:
    """Overwrite the size in the frame header."""
    return with_frame(data, 5, struct.pack(">HH", height, width))


def n_scans(data: bytes) -> int:
    return sum(marker == SOS for marker, _ in segments(data))


def repeat_last_scan(data: bytes, times: int) -> bytes:
    """Put copies of the last scan of a JPEG behind it."""
    *parts, end = segments(data)
    assert (parts[-1][0], end[0]) == (SOS, EOI)
    return joined([*parts, *parts[-1:] * times, end])


def exif_of_nonsense(n_entries: int) -> list[bytes]:
    """EXIF of entries that Pillow warns of one by one, in as many segments as it takes."""
    entries = b"".join(
        struct.pack("<HHLL", 1 + i, 3, 50 + i % 100, 12) for i in range(n_entries)
    )
    content = b"II*\0" + struct.pack("<LH", 8, n_entries) + entries
    parts = (content[start : start + 65_000] for start in range(0, len(content), 65_000))
    return [segment(APP1, b"Exif\0\0" + part) for part in parts]
