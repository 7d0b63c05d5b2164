"""Ways to damage a JPEG file: pure functions of its bytes and a random generator."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Container
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from tests.fuzzing.corpus import ORIENTATION, corpus, exif, insert_segment
from tests.jpeg_bytes import COM, DHT, DQT, DRI, EOI, FRAMES, SOI, SOS

Random: TypeAlias = np.random.Generator
Mutation: TypeAlias = Callable[[bytes, Random], bytes]

_MARKER = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]", re.DOTALL)
_METADATA = (*range(0xE0, 0xF0), COM)
_CODES = (0x01, *range(0xC0, 0xE3), 0xED, 0xEE, 0xF0, COM, 0xFF, 0x00)
_LIMITS = (0, 1, 2, 3, 7, 8, 9, 15, 16, 17, 63, 64, 127, 128, 254, 255)
_SIZES = (0, 1, 2, 7, 8, 9, 16, 17, 255, 256, 1000, 1024, 4096, 32767, 65500, 65535)


def pieces(data: bytes) -> list[bytes]:
    """Cut a file at its markers; put together again, the pieces are the file.

    A piece is a segment and what follows it up to the next marker: the data of a scan, or
    junk.
    """
    starts, position = [], 0
    while match := _MARKER.search(data, position):
        starts.append(match.start())
        position = match.end()
        if data[position - 1] not in (SOI, EOI):
            position += max(2, int.from_bytes(data[position : position + 2]))
    return [
        data[start:stop] for start, stop in pairwise([0, *starts, len(data)]) if stop > start
    ]


def flip_bits(data: bytes, random: Random) -> bytes:
    """Turn up to ten bits over, anywhere."""
    return _flip_bits(data, random, 0, len(data))


def flip_bits_of_header(data: bytes, random: Random) -> bytes:
    """Turn up to ten bits over in front of the first scan."""
    return _flip_bits(data, random, 0, _first_scan(data))


def flip_bits_of_scans(data: bytes, random: Random) -> bytes:
    """Turn up to ten bits over in what the decoder reads as numbers."""
    return _flip_bits(data, random, _first_scan(data), len(data))


def overwrite_bytes(data: bytes, random: Random) -> bytes:
    """Set up to twenty bytes, in a row or anywhere, to limits or to anything."""
    damaged = bytearray(data)
    n = int(random.integers(1, 21))
    first = _below(len(data), random)
    for i in range(n if damaged else 0):
        position = first + i if n % 2 else _below(len(data), random)
        damaged[position % len(data)] = _byte(random)
    return bytes(damaged)


def cut_end(data: bytes, random: Random) -> bytes:
    """Leave out the end: a few bytes, or all but the beginning."""
    kept = _below(len(data), random)
    if random.integers(2):
        kept = max(0, len(data) - int(random.integers(1, 64)))
    return data[:kept]


def cut_middle(data: bytes, random: Random) -> bytes:
    """Leave out some bytes, or many, anywhere."""
    start = _below(len(data), random)
    length = random.integers(1, 2 + _below(len(data), random) if random.integers(2) else 16)
    return data[:start] + data[start + int(length) :]


def splice(data: bytes, random: Random) -> bytes:
    """Put the beginning of the file before the end of another, at any byte or at markers."""
    other = _choose(list(corpus().values()), random)
    if random.integers(2):
        return data[: _below(len(data), random)] + other[_below(len(other), random) :]
    head, tail = pieces(data), pieces(other)
    return b"".join(head[: _below(len(head), random)] + tail[_below(len(tail), random) :])


def repeat_segments(data: bytes, random: Random) -> bytes:
    """Put one segment, or a run of them, there again, once or a few times."""
    parts = pieces(data)
    start = _below(len(parts), random)
    stop = start + int(random.integers(1, 4))
    to = _below(len(parts), random) if random.integers(2) else stop
    return b"".join(parts[:to] + parts[start:stop] * int(random.integers(1, 6)) + parts[to:])


def repeat_scans(data: bytes, random: Random) -> bytes:
    """Put a scan there again, up to 300 times: more than any decoder should go through."""
    parts = pieces(data)
    scans = [i for i, part in enumerate(parts) if _marker(part) == SOS]
    if not scans:
        return data
    i = scans[_below(len(scans), random)]
    scan = parts[i]
    if random.integers(2):
        scan = scan[: 2 + int.from_bytes(scan[2:4])]  # without its data
    return b"".join(parts[: i + 1] + [scan] * int(random.integers(1, 301)) + parts[i + 1 :])


def remove_segments(data: bytes, random: Random) -> bytes:
    """Leave out one to three segments."""
    parts = pieces(data)
    for _ in range(int(random.integers(1, 4))):
        if parts:
            del parts[_below(len(parts), random)]
    return b"".join(parts)


def swap_segments(data: bytes, random: Random) -> bytes:
    """Exchange two segments, or put all that come before the first scan in any order."""
    parts = pieces(data)
    if random.integers(4) == 0:
        n_header = len(pieces(data[: _first_scan(data)]))
        order = [0, *(1 + random.permutation(max(0, n_header - 1)))][:n_header]
        return b"".join([parts[i] for i in order] + parts[n_header:])
    i, j = _below(len(parts), random), _below(len(parts), random)
    if parts:
        parts[i], parts[j] = parts[j], parts[i]
    return b"".join(parts)


def change_markers(data: bytes, random: Random) -> bytes:
    """Give one to three segments the code of another, or any code."""
    parts = pieces(data)
    for _ in range(int(random.integers(1, 4))):
        i = _below(len(parts), random)
        if parts and len(parts[i]) > 1:
            codes = [_marker(part) for part in parts] if random.integers(3) == 0 else _CODES
            parts[i] = b"\xff" + bytes([_choose(codes, random)]) + parts[i][2:]
    return b"".join(parts)


def change_size(data: bytes, random: Random) -> bytes:
    """Give the frame another height, width or both: near, far, none or too large."""

    def change(frame: bytearray) -> None:
        for position in _some((5, 7), random):
            value = int.from_bytes(frame[position : position + 2])
            near = value + int(random.integers(-9, 10)), value * 2, value // 2
            value = _choose((*near, *_SIZES), random) % 65536
            frame[position : position + 2] = value.to_bytes(2)

    return _change_segment(data, random, FRAMES, 9, change)


def change_frame(data: bytes, random: Random) -> bytes:
    """Damage precision, number of components, their names, sampling and tables."""

    def change(frame: bytearray) -> None:
        for _ in range(int(random.integers(1, 4))):
            position = int(_choose((4, 9, *range(10, len(frame)), *range(10, 19)), random))
            if position in (11, 14, 17):
                value = _choose((0x11, 0x12, 0x21, 0x22, 0x41, 0x14, 0x44, 0x31, 0), random)
            else:
                value = _choose((1, 2, 3, 4, 5, 8, 12, _byte(random)), random)
            if position < len(frame):
                frame[position] = value

    return _change_segment(data, random, FRAMES, 10, change)


def change_tables(data: bytes, random: Random) -> bytes:
    """Damage the numbers, precisions and lengths of quantisation and Huffman tables."""

    def change(table: bytearray) -> None:
        for _ in range(int(random.integers(1, 4))):
            position = 4 if random.integers(2) else 4 + _below(min(17, len(table) - 4), random)
            table[position] = _choose((*range(5), *range(0x10, 0x15), _byte(random)), random)

    return _change_segment(data, random, (DHT, DQT), 5, change)


def change_scan_headers(data: bytes, random: Random) -> bytes:
    """Damage the components, tables, band and bits that a scan says it holds."""

    def change(scan: bytearray) -> None:
        stop = min(len(scan), max(5, 2 + int.from_bytes(scan[2:4])))
        for _ in range(int(random.integers(1, 4))):
            position = 4 + _below(stop - 4, random)
            scan[position] = _choose((*range(6), 0x10, 0x11, 63, 64, _byte(random)), random)

    return _change_segment(data, random, (SOS,), 5, change)


def change_lengths(data: bytes, random: Random) -> bytes:
    """Let one or two segments claim another length."""

    def change(segment: bytearray) -> None:
        length = int.from_bytes(segment[2:4])
        near = length + int(random.integers(-20, 21))
        segment[2:4] = (_choose((near, near, *_SIZES), random) % 65536).to_bytes(2)

    for _ in range(int(random.integers(1, 3))):
        data = _change_segment(data, random, range(0xC0, 0x100), 4, change)
    return data


def change_restarts(data: bytes, random: Random) -> bytes:
    """Set a restart interval, or put markers of restarts where none belong."""
    if random.integers(2):
        interval = int(_choose(_SIZES, random))
        return insert_segment(
            data, DRI, interval.to_bytes(2), _choose(_boundaries(data), random)
        )
    for _ in range(int(random.integers(1, 6))):
        start = _first_scan(data)
        position = start + _below(len(data) - start, random)
        restart = bytes([0xFF, 0xD0 + int(random.integers(8))])
        data = data[:position] + restart + data[position + 2 * int(random.integers(2)) :]
    return data


def change_orientation(data: bytes, random: Random) -> bytes:
    """Put EXIF in front: an orientation of any value, type, count and place."""
    order = _choose("<>", random)
    block = bytearray(exif(int(random.integers(0, 11)), order))
    entry = block.index(struct.pack(order + "H", ORIENTATION))
    fields = {"type": (2, "H"), "count": (4, "L"), "value": (8, "L"), "tag": (0, "H")}
    for name in _some(tuple(fields), random) if random.integers(2) else ():
        offset, code = fields[name]
        value = _choose((*range(14), 255, 65535, 2**31 - 1, 2**31, 2**32 - 1), random)
        limit = 2 ** (8 * struct.calcsize(order + code))
        struct.pack_into(order + code, block, entry + offset, value % limit)
    return insert_segment(data, 0xE1, bytes(block))


def damage_exif(data: bytes, random: Random) -> bytes:
    """Put damaged EXIF in front: wrong offsets, counts or byte order, cut off, or doubled."""
    order = _choose("<>", random)
    block = bytearray(exif(int(random.integers(1, 9)), order))
    kind = int(random.integers(6))
    if kind == 0:  # where the first directory is
        struct.pack_into(order + "L", block, 10, int(_choose((*_SIZES, 2**32 - 1), random)))
    elif kind == 1:  # how many entries it has
        struct.pack_into(order + "H", block, 14, int(_choose(_SIZES, random)))
    elif kind == 2:  # where the next one is: perhaps here
        struct.pack_into(order + "L", block, 52, int(_choose((*_SIZES, 2**32 - 1), random)))
    elif kind == 3:
        block[6:10] = _choose((b"MM\0*", b"II*\0", b"II+\0", b"MM\0+", b"IIII", b""), random)
    elif kind == 4:
        del block[_below(len(block), random) :]
    else:
        block = bytearray(overwrite_bytes(bytes(block), random))
    for _ in range(int(random.integers(1, 3))):
        data = insert_segment(data, 0xE1, bytes(block))
    return data


def damage_metadata(data: bytes, random: Random) -> bytes:
    """Damage an application segment or a comment: JFIF, EXIF, ICC, MPF, Adobe, XMP."""

    def change(segment: bytearray) -> None:
        start = 4 if random.integers(4) == 0 else min(10, len(segment) - 1)
        for _ in range(int(random.integers(1, 9))):
            segment[start + _below(min(80, len(segment) - start), random)] = _byte(random)

    return _change_segment(data, random, _METADATA, 5, change)


def add_metadata(data: bytes, random: Random) -> bytes:
    """Put an application segment there that promises more than it holds."""
    names = (b"JFIF\0", b"Exif\0\0", b"ICC_PROFILE\0", b"MPF\0", b"Adobe", b"Photoshop 3.0\0")
    name = _choose((*names, b"http://ns.adobe.com/xap/1.0/\0", b"FPXR\0"), random)
    marker = _choose((0xE0, 0xE1, 0xE2, 0xE2, 0xED, 0xEE, COM), random)
    body = _choose((b"", b"8BIM\x03\xed", b"MM\0*\0\0\0\x08", b"\1\1", b"\0\x64"), random)
    payload = name + body + random.bytes(int(random.integers(0, 40)))
    return insert_segment(data, marker, payload, _choose(_boundaries(data), random))


def insert_junk(data: bytes, random: Random) -> bytes:
    """Put junk before the file, between segments, within, or behind."""
    length = int(random.integers(1, 200))
    junk = _choose(
        (
            random.bytes(length),
            bytes(length),
            b"\xff" * length,
            b"\xff\x00" * length,
            b"\xff\xd8",
            b"\xff\xd9",
            b"\xff\xd8\xff",
            b"\xff\xda",
            b"\xef\xbb\xbf",
            b"\r\n",
            _choose(list(corpus().values()), random),
        ),
        random,
    )
    places = (0, 2, len(data), _choose(_boundaries(data), random), _below(len(data), random))
    position = int(_choose(places, random))
    return data[:position] + junk + data[position:]


def stack(data: bytes, random: Random) -> bytes:
    """Two to five of the others, one after the other."""
    others = [mutation for mutation in MUTATIONS.values() if mutation is not stack]
    for _ in range(int(random.integers(2, 6))):
        data = _choose(others, random)(data, random)
    return data


MUTATIONS: dict[str, Mutation] = {
    mutation.__name__: mutation
    for mutation in (
        flip_bits,
        flip_bits_of_header,
        flip_bits_of_scans,
        overwrite_bytes,
        cut_end,
        cut_middle,
        splice,
        repeat_segments,
        repeat_scans,
        remove_segments,
        swap_segments,
        change_markers,
        change_size,
        change_frame,
        change_tables,
        change_scan_headers,
        change_lengths,
        change_restarts,
        change_orientation,
        damage_exif,
        damage_metadata,
        add_metadata,
        insert_junk,
        stack,
    )
}


def _marker(piece: bytes) -> int:
    return piece[1] if len(piece) > 1 else 0


def _first_scan(data: bytes) -> int:
    """Where the header ends; the end of the file where there is no scan."""
    position = 0
    for piece in pieces(data):
        if _marker(piece) == SOS:
            break
        position += len(piece)
    return position


def _boundaries(data: bytes) -> list[int]:
    """Positions of the markers, and the end."""
    return [0, *np.cumsum([len(piece) for piece in pieces(data)]).tolist()]


def _change_segment(
    data: bytes,
    random: Random,
    markers: Container[int],
    min_length: int,
    change: Callable[[bytearray], None],
) -> bytes:
    """Change one of the segments with these markers in place, where there is one."""
    parts = pieces(data)
    chosen = [
        i
        for i, part in enumerate(parts)
        if _marker(part) in markers and len(part) >= min_length
    ]
    if chosen:
        i = _choose(chosen, random)
        segment = bytearray(parts[i])
        change(segment)
        parts[i] = bytes(segment)
    return b"".join(parts)


def _flip_bits(data: bytes, random: Random, start: int, stop: int) -> bytes:
    damaged = bytearray(data)
    for _ in range(int(random.integers(1, 11)) if stop > start else 0):
        damaged[start + _below(stop - start, random)] ^= 1 << int(random.integers(8))
    return bytes(damaged)


def _byte(random: Random) -> int:
    return _choose(_LIMITS, random) if random.integers(2) else int(random.integers(256))


def _below(n: int, random: Random) -> int:
    return int(random.integers(n)) if n > 0 else 0


def _choose(items, random: Random):
    return items[int(random.integers(len(items)))]


def _some(items: tuple, random: Random) -> list:
    """One of the items or more."""
    chosen = [item for item in items if random.integers(2)]
    return chosen or [_choose(items, random)]
