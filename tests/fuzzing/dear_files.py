"""Make small JPEG files that are dear to decode, and measure what one of them costs at most.

    python -m tests.fuzzing.dear_files --cases 5000 --seed 0

Seed and number say all about a case: ``--seed 0 --case 123`` measures that one again. Each is
decoded in a process of its own, forked from one that has imported everything, so that CPU
seconds and peak memory are those of the one file. ``--server`` takes the limits for strangers'
files, and ``--bytes`` makes larger files.
"""
# ruff: noqa: T201 (it talks to a person)

from __future__ import annotations

import argparse
import heapq
import struct
import sys
import time
import warnings
from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import cache, partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import NamedTuple, TypeAlias

import numpy as np
from tqdm import tqdm

from sknorm_images import ImageDecodeError, JpegLoader, Resizer, check_images
from sknorm_images._files.jpeg_markers import read_structure
from tests.fuzzing.corpus import exif
from tests.fuzzing.processes import CONTEXT
from tests.jpeg_bytes import (
    APP0,
    APP1,
    APP2,
    APP13,
    COM,
    DHT,
    DQT,
    DRI,
    END,
    SOS,
    START,
    segment,
    segments,
)

Random: TypeAlias = np.random.Generator
Size: TypeAlias = tuple[int, int]

SEQUENTIAL, PROGRESSIVE, LOSSLESS = 0xC0, 0xC2, 0xC3
ARITHMETIC, ARITHMETIC_PROGRESSIVE = 0xC9, 0xCA
# Of T.81 and its extensions. Pillow goes on behind the marker, as if it had no length.
EXTENSIONS = 0xC8, 0xF0

# Factors of each component. The last two have far fewer blocks than a pixel needs otherwise.
SAMPLINGS: list[tuple[Size, ...]] = [
    ((1, 1),),
    ((2, 2),),
    ((1, 1),) * 3,
    ((2, 2), (1, 1), (1, 1)),
    ((2, 1), (1, 1), (1, 1)),
    ((4, 2), (1, 1), (1, 1)),
    ((1, 1),) * 4,
    ((2, 2), (1, 1), (1, 1), (2, 2)),
    ((4, 1), (1, 4), (1, 1)),
    ((1, 1), (4, 4), (1, 1)),
]
# Of Huffman codes, the first of which is "0": one bit for a block, a run of 32,767 blocks.
_END_OF_BLOCK, _LONGEST_RUN, _ZEROS, _VALUE = 0x00, 0xE0, 0xF0, 0x01
_DATA = Path(__file__).parent.parent / "data" / "dear"
_MEBIBYTE = 2**20


class Setting(NamedTuple):
    """The limits of a loader."""

    max_pixels: int = 89_478_485
    max_scans: int = 100


DEFAULT, SERVER = Setting(), Setting(25_000_000, 20)


@dataclass(frozen=True)
class DearFile:
    """A file, and how it is read: "loaded", "resized" or "checked"."""

    data: bytes
    how: str
    description: str


@dataclass(frozen=True)
class Scan:
    """Components, the band of coefficients, the steps of approximation; entropy-coded data."""

    components: tuple[int, ...]
    first: int
    last: int
    before: int
    after: int
    data: bytes

    def __bytes__(self) -> bytes:
        content = bytes([len(self.components)])
        content += b"".join(bytes([i + 1, 0]) for i in self.components)
        content += bytes([self.first, self.last, self.before << 4 | self.after])
        return segment(SOS, content) + self.data


def frame(coding: int, size: Size, sampling: tuple[Size, ...]) -> bytes:
    """Make a frame header."""
    width, height = size
    content = struct.pack(">BHHB", 8, height, width, len(sampling))
    for i, (across, down) in enumerate(sampling):
        content += bytes([i + 1, across << 4 | down, 0])
    return segment(coding, content)


def tables(direct: Iterable[int] = (0,), alternating: Iterable[int] = (0,)) -> bytes:
    """Make Huffman tables of these values, with codes "0", "10", "110" and so on."""
    made = segment(DQT, bytes([0, *[1] * 64]))
    for kind, values in ((0x00, bytes(direct)), (0x10, bytes(alternating))):
        lengths = bytes([1] * len(values)).ljust(16, b"\0")
        made += segment(DHT, bytes([kind]) + lengths + values)
    return made


def file(
    coding: int,
    size: Size,
    sampling: tuple[Size, ...],
    scans: Iterable[Scan],
    restart_interval: int = 0,
    front: bytes = b"",
) -> bytes:
    """Put a file together."""
    restarts = segment(DRI, struct.pack(">H", restart_interval)) if restart_interval else b""
    content = b"".join(bytes(scan) for scan in scans)
    return (
        START + (front or tables()) + restarts + frame(coding, size, sampling) + content + END
    )


def issue_examples() -> dict[str, Callable[[], bytes]]:
    """Name the files that cost so much that the work of a file came to be bounded.

    Each is made when it is called for: there are 100 MB of them.
    """
    four, gray, size, small = ((1, 1),) * 4, ((1, 1),), (9_400, 9_400), (5_000, 5_000)
    sequential = Scan((0, 1, 2), 0, 63, 0, 0, b"")
    direct = Scan((0, 1, 2, 3), 0, 0, 0, 0, b"")

    def with_segments(marker: int, payload: bytes, n: int) -> bytes:
        image = file(SEQUENTIAL, (16, 16), gray, [Scan((0,), 0, 63, 0, 0, bytes(8))])
        return START + segment(marker, payload) * n + image[len(START) :]

    nested = segment(APP1, b"Exif\0\0" + bytes(994)) * 60
    return {
        "arithmetic, 100 scans of three of four components": partial(
            file, ARITHMETIC, size, four, [sequential] * 100, restart_interval=1
        ),
        "arithmetic, 100 progressive scans": partial(
            file, ARITHMETIC_PROGRESSIVE, size, four, [direct] * 100
        ),
        "Huffman, 100 scans of three of four components": partial(
            file, SEQUENTIAL, size, four, [sequential] * 100, restart_interval=1
        ),
        "arithmetic, 20 scans within the limits of a server": partial(
            file, ARITHMETIC, small, four, [sequential] * 20, restart_interval=1
        ),
        **{
            f"9,900 EXIF segments of {n_bytes:,} bytes": partial(
                with_segments, APP1, b"Exif\0\0" + bytes(n_bytes - 6), 9_900
            )
            for n_bytes in (1_000, 4_000)
        },
        **{
            f"EXIF within 240 segments FF{marker:X}": partial(
                with_segments, marker, nested, 240
            )
            for marker in EXTENSIONS
        },
    }


def dear_file(
    seed: int, number: int, setting: Setting = DEFAULT, n_bytes: int = 100_000
) -> DearFile:
    """Draw a file; the codings take turns."""
    random = np.random.default_rng([seed, number])
    coding = (
        PROGRESSIVE,
        ARITHMETIC,
        SEQUENTIAL,
        ARITHMETIC_PROGRESSIVE,
        PROGRESSIVE,
        LOSSLESS,
        SEQUENTIAL,
    )[number % 7]
    sampling = SAMPLINGS[random.integers(len(SAMPLINGS))]
    if coding == LOSSLESS:
        sampling = ((1, 1),) * len(sampling)
    room = n_bytes if random.random() < 0.7 else int(n_bytes ** random.uniform(0.5, 1))
    front, what = _metadata(random, room // 2) if random.random() < 0.1 else (b"", "")
    if random.random() < 0.2:  # turning holds the image twice
        front, what = front + segment(APP1, exif(6)), what + ", turned"
    size = _size(random, coding, sampling, setting, room)
    n_scans = int(random.choice([1, 2, 5, 10, 20, setting.max_scans]))
    n_scans = min(n_scans, setting.max_scans)
    name = list(_STREAMS)[random.integers(len(_STREAMS))]
    restart_interval = int(random.choice([0, 0, 0, 1, 2, 100, 65_535]))
    budget = max(0, room - len(front) - 20 * n_scans - 400)
    if coding in (ARITHMETIC, ARITHMETIC_PROGRESSIVE):
        budget = min(budget, 50_000)  # libjpeg stops where Pillow's buffer of 64 kB ends
    draw = _Drawing(random, coding, size, sampling, n_scans, name, budget)
    content = file(coding, size, sampling, draw.scans(), restart_interval, tables(*draw.codes))
    content = START + front + content[2:]
    if len(content) < room and random.random() < 0.9:  # bytes that count, and cost nothing
        content += bytes(room - len(content))
    how = str(random.choice(["loaded", "loaded", "loaded", "resized", "checked"]))
    factors = " ".join(f"{across}x{down}" for across, down in sampling)
    return DearFile(
        content[:n_bytes],
        how,
        f"{how}: SOF{coding & 15}, {size[0]} x {size[1]}, {factors}, {n_scans} scans "
        f"({draw.script}) of {name}, restart interval {restart_interval}{what}, "
        f"{len(content):,} bytes",
    )


def _size(
    random: Random, coding: int, sampling: tuple[Size, ...], setting: Setting, room: int
) -> Size:
    """Draw a size, most often just within what a limit allows."""
    unit = 1 if coding == LOSSLESS else 64
    across, down = (max(factors) for factors in zip(*sampling, strict=True))
    n_pixels_of_block = unit * across * down / sum(h * v for h, v in sampling)
    # Huffman code takes a bit at least for a block; arithmetic code has no such bound.
    n_blocks = 2**16 + 8 * room
    if coding in (ARITHMETIC, ARITHMETIC_PROGRESSIVE):
        n_blocks = int(random.choice([2**19, 2**18, 2**17, 2**16]))
    n_pixels = n_blocks * min(64, n_pixels_of_block)
    if random.random() < 0.1:
        n_pixels = setting.max_pixels
    n_pixels = min(n_pixels, setting.max_pixels) * random.choice([0.99, 0.98, 0.9, 0.6, 0.3])
    width = int(n_pixels**0.5 * random.choice([1, 1, 1, 4, 0.25]) + 16)
    width = min(65_500, width)
    return width, max(1, min(65_500, int(n_pixels / width)))


@dataclass
class _Drawing:
    """The scans of a file, and the Huffman codes that they need."""

    random: Random
    coding: int
    size: Size
    sampling: tuple[Size, ...]
    n_scans: int
    stream: str
    budget: int  # bytes of entropy-coded data, of all scans
    script: str = ""
    codes: tuple[tuple[int, ...], tuple[int, ...]] = field(default=((0,), (0,)))

    def scans(self) -> list[Scan]:
        components = tuple(range(len(self.sampling)))
        if self.coding in (PROGRESSIVE, ARITHMETIC_PROGRESSIVE):
            return self._progressive(components)
        self.codes = self._draw_codes()
        first, last = (1, 0) if self.coding == LOSSLESS else (0, 63)
        some = components
        if self.n_scans > 1:  # decoders read on where the first scan leaves something out
            n_left = min(int(self.random.integers(1, 4)), len(components))
            some = components[: max(1, len(components) - n_left)]
        self.script = f"of {len(some)} components"
        return [
            Scan(some, first, last, 0, 0, self._data(i, self._share()))
            for i in range(self.n_scans)
        ]

    def _progressive(self, components: tuple[int, ...]) -> list[Scan]:
        self.codes = self._draw_codes()
        self.script = str(
            self.random.choice(["direct", "direct refined", "bands", "refined", "refined"])
        )
        direct = Scan(components, 0, 0, 0, 0, self._data(0, self._share()))
        if self.script == "direct":
            return [direct] * self.n_scans
        if self.script == "direct refined":
            again = Scan(components, 0, 0, 1, 0, self._data(1, self._share()))
            return [direct] + [again] * (self.n_scans - 1)
        scans = [direct]
        last = int(self.random.choice([63, 63, 63, 5]))
        while len(scans) < self.n_scans:
            i = int(self.random.integers(len(components))) if len(scans) > 3 else 0
            is_refined = self.script == "refined" and len(scans) > len(components)
            before, after = (1, 0) if is_refined else (0, 1)
            data = self._data(len(scans), self._share())
            scans.append(Scan((i,), 1, last, before, after, data))
        return scans

    def _share(self) -> int:
        return self.budget // self.n_scans

    def _data(self, i: int, n_bytes: int) -> bytes:
        return _STREAMS[self.stream](self, i, n_bytes)[:n_bytes]

    def _draw_codes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        if self.stream == "runs":
            return (0,), (_LONGEST_RUN, _END_OF_BLOCK)
        if self.coding == LOSSLESS:
            return ((0,), (3, 5), (16,))[self.random.integers(3)], (0,)
        direct = ((0,), (0, 1), (11, 3))[self.random.integers(3)]
        alternating = (
            (_END_OF_BLOCK,),
            (_VALUE, _END_OF_BLOCK),
            (_ZEROS, _VALUE, _END_OF_BLOCK),
            (_VALUE, 0x11, 0x02, _ZEROS, _LONGEST_RUN),
        )[self.random.integers(4)]
        return direct, alternating


def _runs(n_pixels: int, n_bytes: int) -> bytes:
    """Runs of 32,767 blocks without a value, which refinement goes through all the same."""
    n_blocks = n_pixels // 64 + 1
    bits = "0" + "1" * 14  # the code, and all of the length
    text = bits * min(n_blocks // 32_767 + 1, 8 * n_bytes // len(bits))
    text += "1" * (-len(text) % 8)
    whole = int(text or "0", 2).to_bytes(len(text) // 8)
    return whole.replace(b"\xff", b"\xff\0")


@cache
def _noise(coding: int) -> list[bytes]:
    """Data of noise in arithmetic code, cut short where what follows is dearest.

    Behind it libjpeg decodes zeros, in the state that the noise left. A search among parts of
    noise of 8 to 96 pixels found these, of up to 4.7 microseconds for a block.
    """
    name = "sequential" if coding == ARITHMETIC else "progressive"
    data = (_DATA / f"arithmetic-{name}.jpg").read_bytes()
    scans = [content for marker, content in segments(data) if marker == SOS]
    return [content[2 + int.from_bytes(content[2:4]) :] for content in scans]


_STREAMS: dict[str, Callable[[_Drawing, int, int], bytes]] = {
    "nothing": lambda drawing, i, n: b"",
    "zeros": lambda drawing, i, n: bytes(n),
    "ones": lambda drawing, i, n: b"\xff\0" * (n // 2),
    "random bytes": lambda drawing, i, n: drawing.random.bytes(n).replace(b"\xff", b"\xfe"),
    "skewed bytes": lambda drawing, i, n: bytes(
        drawing.random.choice([0, 0, 0, 0, 1, 0x55, 0xAA, 0x80], n).astype(np.uint8)
    ),
    "restarts": lambda drawing, i, n: (
        bytes.fromhex("ffd0ffd1ffd2ffd3ffd4ffd5ffd6ffd7") * (n // 16)
    ),
    "runs": lambda drawing, i, n: _runs(drawing.size[0] * drawing.size[1], n),
    "noise": lambda drawing, i, n: _noise(drawing.coding)[
        min(i, len(_noise(drawing.coding)) - 1)
    ],
    "noise and nothing": lambda drawing, i, n: (
        _noise(drawing.coding)[i] if i < len(_noise(drawing.coding)) else b""
    ),
}


# Segments in front of the frame, of about as many bytes as asked for
_METADATA: dict[str, Callable[[int], bytes]] = {
    "EXIF": lambda n: segment(APP1, b"Exif\0\0" + _directory(n)),
    "EXIF of zeros": lambda n: segment(APP1, b"Exif\0\0" + bytes(n)),
    "XMP": lambda n: segment(APP1, b"http://ns.adobe.com/xap/1.0/\0" + b"tiff:" * (n // 5)),
    "ICC": lambda n: segment(APP2, b"ICC_PROFILE\0\1\xff" + bytes(n)),
    "MPF": lambda n: segment(APP2, b"MPF\0" + _directory(n)),
    "Photoshop": lambda n: segment(
        APP13, b"Photoshop 3.0\0" + b"8BIM\4\4\0\0\0\0\0\0" * (n // 12)
    ),
    "tables": lambda n: segment(DQT, bytes([0, *[1] * 64]) * (n // 65)),
    "comments": lambda n: segment(COM, bytes(n)),
    "JFIF": lambda n: segment(APP0, b"JFIF\0" + bytes(n)),
}


def _metadata(random: Random, n_bytes: int) -> tuple[bytes, str]:
    """Draw segments in front of the frame, and say what they are."""
    name = str(random.choice(list(_METADATA)))
    n_each = int(random.choice([8, 30, 100, 1_000, 4_000, 30_000, 65_000]))
    return _repeated(_METADATA[name](n_each), name, n_bytes, bool(random.random() < 0.2))


def _repeated(each: bytes, name: str, n_bytes: int, is_nested: bool) -> tuple[bytes, str]:
    """Fill bytes with a segment, on its own or within segments of extensions."""
    n_inner = 1
    if is_nested and len(each) < 65_000:
        n_inner = 65_000 // len(each)
        each, name = segment(EXTENSIONS[1], each * n_inner), f"{name} in an extension"
    n = max(1, n_bytes // len(each))
    return each * n, f", {n * n_inner} segments of {name}"


def _directory(n_bytes: int) -> bytes:
    """A TIFF directory whose entries all have the whole of it as their value."""
    n_entries = max(1, (n_bytes - 14) // 12)
    entries = b"".join(
        struct.pack("<HHLL", 1 + i, 7, n_bytes - 8, 0) for i in range(n_entries)
    )
    header = b"II*\0" + struct.pack("<LH", 8, n_entries)
    return (header + entries).ljust(n_bytes, b"\0")


def dearest_files(setting: Setting = DEFAULT, n_bytes: int = 100_000) -> list[DearFile]:
    """Make the dearest kinds that were found, as large and of as many scans as are let in."""
    made = []
    turned = segment(APP1, exif(6))
    for sampling in (SAMPLINGS[0], SAMPLINGS[2], SAMPLINGS[3], SAMPLINGS[8]):
        for script in ("direct", "refined", "full"):
            for front, name in ((b"", "loaded"), (turned, "turned")):
                data = _largest(script, sampling, front, setting, n_bytes)
                made.append(DearFile(data, "loaded", f"{name}: {script}, {sampling}"))
    for script in ("noise", "progressive noise"):
        for sampling in (SAMPLINGS[0], SAMPLINGS[3]):
            data = _largest(script, sampling, turned, setting, n_bytes)
            made.append(DearFile(data, "loaded", f"turned: {script}, {sampling}"))
    return made


def files_of_metadata(n_bytes: int) -> list[DearFile]:
    """Make a small image behind segments of each kind, small and large, plain and nested."""
    made = []
    image = file(SEQUENTIAL, (16, 16), ((1, 1),), [Scan((0,), 0, 63, 0, 0, bytes(8))])
    for name, make in _METADATA.items():
        for n_each in (8, 1_000, 30_000):
            for is_nested in (False, True):
                front, what = _repeated(
                    make(n_each), f"{name} of {n_each} bytes", n_bytes - 300, is_nested
                )
                data = START + front + image[len(START) :]
                made.append(DearFile(data, "loaded", what.removeprefix(", ")))
    return made


def files_to_look_through(setting: Setting, n_bytes: int) -> list[DearFile]:
    """Make small images of many scans that take next to no decoding, but a search for damage.

    Before each scan was looked at in time that it has bytes for, 4.9 MB of Huffman tables
    took 27 s, and 31 kB of scans that name 255 components 13 s.
    """
    size, gray = (8, 8), ((1, 1),)
    direct = Scan((0,), 0, 0, 0, 0, bytes(8))
    scans = [direct] + [Scan((0,), 1, 63, 0, 0, bytes(256))] * (setting.max_scans - 1)
    room = n_bytes - len(file(PROGRESSIVE, size, gray, scans))
    table = bytes([0x10, 1]).ljust(17, b"\0") + bytes([_END_OF_BLOCK])
    front = tables() + segment(DHT, table * 100) * (room // (4 + 100 * len(table)))
    made = {"Huffman tables": file(PROGRESSIVE, size, gray, scans, front=front)}
    for first, last in ((0, 0), (255, 0)):
        header = bytes([255, *[1, 0] * 255, first, last, 0])
        many = segment(SOS, header) * min(setting.max_scans - 1, room // (4 + len(header)))
        data = file(PROGRESSIVE, size, gray, [direct])[: -len(END)] + many + END
        made[f"scans of 255 components, {first} to {last}"] = data
    for name, each in (("restarts", b"\xff\xd0"), ("stuffed", b"\xff\0"), ("fill", b"\xff")):
        share = max(0, n_bytes // setting.max_scans - 50) // len(each)
        scans = [replace(direct, data=each * share)] * setting.max_scans
        made[name] = file(PROGRESSIVE, size, gray, scans, restart_interval=1)
        whole = Scan((0,), 0, 63, 0, 0, each * ((n_bytes - 500) // len(each)))
        made[f"one scan of {name}"] = file(SEQUENTIAL, size, gray, [whole], 1)
    return [DearFile(data, "checked", f"checked: {name}") for name, data in made.items()]


def _largest(
    script: str, sampling: tuple[Size, ...], front: bytes, setting: Setting, n_bytes: int
) -> bytes:
    def make(side: int, n_scans: int) -> bytes:
        data = _scripted(script, sampling, front, side, n_scans, n_bytes)
        return data.ljust(n_bytes, b"\0")

    def is_let_in(data: bytes) -> bool:
        structure = read_structure(data, setting.max_scans)
        n_pixels = structure.width * structure.height
        return n_pixels <= setting.max_pixels and not structure.excess(*setting)

    side = _most(lambda side: is_let_in(make(side, 1)), 9_459)
    n_scans = _most(lambda n: is_let_in(make(side, n)), 100)
    return make(side, n_scans)


def _most(is_enough: Callable[[int], bool], most: int) -> int:
    """Find the largest number for which it is true, between 1 and `most`."""
    return 1 + bisect_left(range(2, most + 1), True, key=lambda number: not is_enough(number))


def _scripted(
    script: str,
    sampling: tuple[Size, ...],
    front: bytes,
    side: int,
    n_scans: int,
    n_bytes: int,
) -> bytes:
    every, size = tuple(range(len(sampling))), (side, side)
    direct = Scan(every, 0, 0, 0, 0, b"")
    if script == "noise":
        whole = Scan(every, 0, 63, 0, 0, _noise(ARITHMETIC)[0])
        return file(ARITHMETIC, size, sampling, [whole], front=front + tables())
    if script == "progressive noise":
        first, second = _noise(ARITHMETIC_PROGRESSIVE)
        scans = [replace(direct, data=first), Scan((0,), 1, 63, 0, 0, second)]
        return file(ARITHMETIC_PROGRESSIVE, size, sampling, scans, front=front + tables())
    if script == "direct":
        return file(PROGRESSIVE, size, sampling, [direct] * n_scans, 1, front + tables())
    if script == "full":  # one bit for each block, in as many scans as there are bytes for
        zeros = replace(direct, data=bytes((n_bytes - 3_000) // n_scans))
        return file(PROGRESSIVE, size, sampling, [zeros] * n_scans, 0, front + tables())
    runs = _runs(side * side, n_bytes)
    firsts = [Scan((i,), 1, 63, 0, 1, runs) for i in every]
    refining = Scan((0,), 1, 63, 1, 0, runs)
    codes = tables((0,), (_LONGEST_RUN,))
    scans = [direct, *firsts, *[refining] * n_scans]
    return file(PROGRESSIVE, size, sampling, scans, front=front + codes)


# Measuring


class Cost(NamedTuple):
    """What one file cost, and why it was refused, if it was."""

    seconds: float  # of CPU, user and system
    mebibytes: float  # by which the peak memory grew
    refusal: str = ""


def measure(case: DearFile, setting: Setting = DEFAULT, patience: float = 120.0) -> Cost:
    """Read a file in a process of its own."""
    ours, theirs = CONTEXT.Pipe(duplex=False)
    process = CONTEXT.Process(target=_answer, args=(theirs, case.data, case.how, setting))
    process.start()
    theirs.close()
    try:
        if not ours.poll(patience):
            return Cost(patience, 0.0, "it hangs")
        return ours.recv()
    except EOFError:
        return Cost(patience, 0.0, "the process ends")
    finally:
        process.kill()
        process.join()
        ours.close()


def _answer(connection: Connection, data: bytes, how: str, setting: Setting) -> None:
    warnings.simplefilter("ignore")  # Pillow's, of damaged metadata
    _read(START, "loaded", setting)  # what is set up once
    before, start, refusal = _peak_mebibytes(), time.process_time(), ""
    try:
        _read(data, how, setting)
    except ImageDecodeError as error:
        refusal = error.reason
    seconds = time.process_time() - start
    connection.send(Cost(seconds, _peak_mebibytes() - before, refusal))


def _read(data: bytes, how: str, setting: Setting) -> None:
    loader = JpegLoader(max_pixels=setting.max_pixels, max_scans=setting.max_scans)
    if how == "checked":
        found = check_images([data], loader=loader)
        if not found.readable[0]:
            raise ImageDecodeError("", str(found.reason[0]))
        return
    images = loader.transform([data])
    if how == "resized":
        images = Resizer(64).transform(images)
    try:
        images[0]
    except ImageDecodeError:
        if data != START:
            raise


def _peak_mebibytes() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024 / _MEBIBYTE


# The command


@dataclass
class Report:
    """What became of all files."""

    costs: list[tuple[Cost, int]] = field(default_factory=list)

    def dearest(self, by: str, n: int = 5) -> list[tuple[Cost, int]]:
        """The files that cost most seconds or mebibytes, with their numbers."""
        return heapq.nlargest(n, self.costs, key=lambda cost: getattr(cost[0], by))

    def refusals(self) -> Counter[str]:
        """How many were refused for what, digits left out."""
        reasons = (cost.refusal.split(" at ")[0] for cost, _ in self.costs if cost.refusal)
        return Counter(
            " ".join(word for word in reason.split() if not any(map(str.isdigit, word)))
            for reason in reasons
        )


def run(
    numbers: Iterable[int],
    seed: int,
    setting: Setting = DEFAULT,
    n_bytes: int = 100_000,
    jobs: int = 1,
) -> Iterator[tuple[Cost, int]]:
    """Measure the files of these numbers."""

    def one(number: int) -> tuple[Cost, int]:
        return measure(dear_file(seed, number, setting, n_bytes), setting), number

    with ThreadPoolExecutor(jobs) as pool:
        yield from pool.map(one, numbers)


def main(arguments: list[str] | None = None) -> int:
    """Run the command line."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzzing.dear_files",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", type=int, default=1_000, help="how many")
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bytes", type=int, default=100_000, help="largest file")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--server", action="store_true", help="limits for strangers' files")
    parser.add_argument("--dearest", action="store_true", help="those found before, instead")
    parser.add_argument("--case", type=int, help="measure this one alone")
    options = parser.parse_args(arguments)
    setting = SERVER if options.server else DEFAULT
    numbers = range(options.first, options.first + options.cases)
    if options.case is not None:
        numbers = range(options.case, options.case + 1)
    if options.dearest:
        cases = dearest_files(setting, options.bytes) + files_of_metadata(options.bytes)
        cases += files_to_look_through(setting, options.bytes)
        for case in cases:
            cost = measure(case, setting)
            print(f"{cost.seconds:.2f} s, {cost.mebibytes:.0f} MiB: {case.description}")
        return 0
    report = Report()
    runs = run(numbers, options.seed, setting, options.bytes, options.jobs)
    report.costs.extend(tqdm(runs, total=len(numbers), disable=None))
    refusals = report.refusals()
    print(f"{setting}, files of up to {options.bytes:,} bytes")
    print(f"decoded: {len(report.costs) - refusals.total()}, refused: {refusals.total()}")
    for reason, n in refusals.most_common(12):
        print(f"  {n:6d} {reason}")
    for by in ("seconds", "mebibytes"):
        print(f"most {by}:")
        for cost, number in report.dearest(by):
            described = dear_file(options.seed, number, setting, options.bytes).description
            print(
                f"  {cost.seconds:.2f} s, {cost.mebibytes:.0f} MiB: case {number}, {described}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
