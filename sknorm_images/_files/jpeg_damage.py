"""Find damage in the bytes of a JPEG file that decodes, without decoding it."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from math import ceil

from sknorm_images._files.jpeg_markers import MARKER, read_structure

_DHT, _EOI, _SOS, _DRI = 0xC4, 0xD9, 0xDA, 0xDD
_SEQUENTIAL, _PROGRESSIVE = {0xC0, 0xC1, 0xC9}, {0xC2, 0xCA}
_ARITHMETIC = {0xC9, 0xCA}
_START_OF_FILE = b"\xff\xd8\xff"

_FOLLOWER = re.compile(b"\n(.)", re.DOTALL)

# In entropy-coded data a zero follows each 0xFF that stands for itself, and 0xFF may pad.
_END_OF_SCAN = re.compile(rb"\xff[^\x00\xff\xd0-\xd7]")
_END_WITHOUT_RESTARTS = re.compile(rb"\xff[^\x00\xff]")
_RESTART = re.compile(rb"\xff([\xd0-\xd7])")
_RESTARTS = bytes(range(0xD0, 0xD8))  # which take turns
_RESTARTS_ALONE = [bytes([restart]) for restart in _RESTARTS]

_MOST_COMPONENTS, _LAST = 4, 63  # of a scan, and the last coefficient of a block
_NOTHING, _ALL = bytes([14]) * 64, bytes(64)  # which bits the coefficients lack

# Where the code that is all zeros stands for a coefficient, 32 zeros make a block whose 63
# coefficients are all -1. This is many of these blocks: no photo has them, a lost sector does.
_ZEROS = bytes(256)

# How much of the image data is searched for line ends; 32 are expected in it.
_BEGINNING = 2**13
_LEAST_LINE_ENDS = 16
_LEAST_FOLLOWERS = 8  # different bytes after them: flat areas repeat a few

# Formats of several images name them in their first one: MPO, and Ultra HDR of Android.
_DIRECTORIES_OF_IMAGES = (b"MPF\0", b"http://ns.google.com/photos/1.0/container/")


@dataclass
class ImageData:
    """The scans of a JPEG file."""

    damage: str = ""  # what is wrong; empty if nothing shows
    start: int = 0  # of the entropy-coded data of the last scan
    end: int = 0
    n_components: int = 0
    is_huffman: bool = False  # arithmetic code may leave out zeros at its end


def read_image_data(data: bytes) -> ImageData:
    """Walk through the scans, as far as a decoder does, and note the first damage.

    `data` is a JPEG file that `JpegStructure.excess` does not object to. Most files that end
    early, or that lost bytes in the middle of their only scan, show no damage here.
    """
    walk = _Walk(data)
    position = 2
    while match := MARKER.search(data, position):
        marker, start = data[match.end() - 1], match.end()
        if marker == _EOI and walk.n_scans:
            damage = walk.missing_scans() or walk.second_image(start)
            walk.found.damage = walk.found.damage or damage
            break
        if walk.found.damage or walk.is_whole:
            break
        position = start
        if marker == _EOI:
            continue
        position += max(2, int.from_bytes(data[start : start + 2]))
        if marker == _SOS:
            position = walk.scan(data[start + 2 : position], position)
        else:
            walk.take(marker, data[start + 2 : position])
    return walk.found


@dataclass
class _Walk:
    """What the segments so far have said."""

    data: bytes
    found: ImageData = field(default_factory=ImageData)
    frame: int = 0  # its marker
    width: int = 0
    height: int = 0
    sampling: dict[int, tuple[int, int]] = field(default_factory=dict)  # by component
    interval: int = 0  # units between two restarts
    # By AC table, the symbol that its first code, all zeros, stands for.
    symbols_of_zeros: dict[int, int] = field(default_factory=dict)
    # By component, the lowest bit that each coefficient lacks: 0 if it is complete.
    lacking: dict[int, bytes] = field(default_factory=dict)
    n_scans: int = 0
    is_whole: bool = False  # the first scan has all, and decoders read no further

    def take(self, marker: int, content: bytes) -> None:
        """Take in a segment that is not a scan."""
        if marker in _SEQUENTIAL | _PROGRESSIVE and len(content) >= 6:
            self.frame = marker
            self.height = int.from_bytes(content[1:3])
            self.width = int.from_bytes(content[3:5])
            parts = content[6 : 6 + 3 * content[5]]
            self.sampling = {
                name: (factors >> 4, factors & 15)
                for name, factors in zip(parts[::3], parts[1::3], strict=False)
            }
            if any(0 in factors for factors in self.sampling.values()):
                self.sampling = {}  # no decoder takes that
            self.lacking = dict.fromkeys(self.sampling, _NOTHING)
        elif marker == _DRI:
            self.interval = int.from_bytes(content[:2])
        elif marker == _DHT:
            self._take_tables(content)

    def _take_tables(self, content: bytes) -> None:
        """Note what is asked of Huffman tables at once: a scan may follow millions of them."""
        position = 0
        while position + 17 < len(content):
            if content[position] >> 4 == 1:
                self.symbols_of_zeros[content[position] & 15] = content[position + 17]
            position += 17 + sum(content[position + 1 : position + 17])

    def scan(self, header: bytes, start: int) -> int:
        """Take in a scan, and return where it ends."""
        self.n_scans += 1
        pattern = _END_OF_SCAN if self.interval else _END_WITHOUT_RESTARTS
        match = pattern.search(self.data, start)
        end = match.start() if match else len(self.data)
        self.found.start, self.found.end = start, end
        self.found.n_components = len(self.sampling)
        self.found.is_huffman = self.frame not in _ARITHMETIC
        if not header or len(header) < 4 + 2 * header[0] or not self.sampling:
            return end  # which no decoder takes
        if header[0] > _MOST_COMPONENTS:
            return end  # nor this, whose names would each be work
        names, tables = header[1 : 1 + 2 * header[0] : 2], header[2 : 2 + 2 * header[0] : 2]
        first, last, bits = header[1 + 2 * header[0] :][:3]
        if self.frame in _SEQUENTIAL:
            first, last, bits = 0, _LAST, 0
            self.is_whole = self.n_scans == 1 and len(names) == len(self.sampling)
        if not first <= last <= _LAST:
            return end  # nor this, which would make `lacking` grow
        for name in b"" if self.is_whole else names:
            if coefficients := self.lacking.get(name):
                here = bytes([bits & 15]) * (last + 1 - first)
                self.lacking[name] = coefficients[:first] + here + coefficients[last + 1 :]
        self.found.damage = (
            self._marker_within(end)
            or self._restarts(names, start, end)
            or self._zeros([table & 15 for table in tables], first, last, bits, start, end)
            or self._line_ends(start, end)
        )
        return end

    def _marker_within(self, end: int) -> str:
        if self.data.startswith(_START_OF_FILE, end):
            return f"another file begins within its image data, {end} bytes into the file"
        if self.data[end + 1 : end + 2] in _RESTARTS_ALONE:
            return "restart markers within its image data, and its header has none"
        return ""

    def _restarts(self, names: bytes, start: int, end: int) -> str:
        if not self.interval:
            return ""
        found = b"".join(_RESTART.findall(self.data, start, end))
        expected = ceil(self._n_units(names) / self.interval) - 1
        in_turn = (_RESTARTS * (len(found) // 8 + 1))[: len(found)]
        if len(found) not in (expected, expected + 1):  # some encoders write one at the end
            return f"{len(found)} restart markers within its image data, not {expected}"
        return "" if found == in_turn else "restart markers out of order"

    def _n_units(self, names: bytes) -> int:
        """Count the units that a scan goes through, between which restarts come."""
        across = 8 * max(h for h, _ in self.sampling.values())
        down = 8 * max(v for _, v in self.sampling.values())
        h, v = self.sampling.get(names[0], (1, 1)) if len(names) == 1 else (1, 1)
        return ceil(self.width * h / across) * ceil(self.height * v / down)

    def _zeros(
        self, tables: list[int], first: int, last: int, bits: int, start: int, end: int
    ) -> str:
        if self.frame in _ARITHMETIC or last == 0 or bits >> 4:
            return ""  # only in the first pass over AC coefficients are long runs unlikely
        position = self.data.find(_ZEROS, start, end)
        if position < 0:
            return ""
        if not any(self.symbols_of_zeros.get(table, 0) & 15 for table in tables):
            return ""  # zeros can be a flat area
        return f"zeros within its image data, {position} bytes into the file"

    def _line_ends(self, start: int, end: int) -> str:
        beginning = self.data[start : min(end, start + _BEGINNING)]
        n = beginning.count(b"\r\n")  # most data have at most one
        if n < _LEAST_LINE_ENDS or n != beginning.count(b"\n"):
            return ""
        if len(set(_FOLLOWER.findall(beginning))) < _LEAST_FOLLOWERS:
            return ""
        return "its line ends were converted, as if it were a text: each LF follows a CR"

    def missing_scans(self) -> str:
        """Say if the last scans are missing, because coefficients still lack bits."""
        is_complete = self.is_whole or all(bits == _ALL for bits in self.lacking.values())
        return "" if is_complete else "its last scans are missing"

    def second_image(self, end: int) -> str:
        """Say if an image at least as large follows that the file does not announce."""
        if not self.data.startswith(_START_OF_FILE, end):
            return ""
        if any(self.data.find(n, 0, self.found.end) >= 0 for n in _DIRECTORIES_OF_IMAGES):
            return ""
        other = read_structure(self.data[end:], max_scans=0)
        if other.width * other.height < self.width * self.height:
            return ""  # a preview
        return f"another image, not smaller, follows its end, {end} bytes into the file"
