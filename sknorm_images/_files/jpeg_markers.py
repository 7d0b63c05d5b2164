"""What the markers of a JPEG file say before anything is decoded (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_SOS, _EOI, _DQT, _DHP, _APP1 = 0xDA, 0xD9, 0xDB, 0xDE, 0xE1
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # all SOF; DHT, JPG and DAC are not
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}
_ARITHMETIC = {marker for marker in _FRAMES if marker > 0xC8}
_TABLES = {*_FRAMES, _DQT, _DHP}  # Pillow reads them number by number
_NOTED = {*_TABLES, _APP1, _SOS}
_EXIF = b"Exif\0\0"

# Without their length, of four components: no decoder takes more.
_LONGEST_FRAME_HEADER = 6 + 3 * 4
_LONGEST_SCAN_HEADER = 1 + 2 * 4 + 3

# Markers with a length, and EOI. Decoders skip the others: TEM, reserved ones, RST0-7, SOI,
# and JPG and JPG0-13, whose content Pillow takes for segments. A zero after 0xFF is stuffed
# into entropy-coded data; 0xFF also pads.
MARKER = re.compile(rb"\xff[\xc0-\xc7\xc9-\xcf\xd9-\xef\xfe]")
_MARKERS = {two for two in (bytes([0xFF, i]) for i in range(256)) if MARKER.match(two)}

_MOST_FILL = 2**16  # bytes between segments, which Pillow steps over one by one
_SEGMENTS_BESIDE_SCANS = 10_000  # a large ICC profile has a few hundred
_SEGMENTS_PER_SCAN = 10  # its tables
_MOST_TABLES = 2**16  # bytes of frame headers and quantization tables; 600 are usual
_MOST_EXIF = 2**18  # bytes; the standard allows 64 kB, and Pillow copies all for each segment

# Huffman code spends at least one bit on each block, so one byte holds 8 of them. Some more
# are allowed, since a file may be damaged: 4 megapixels of grey, 1.4 of 4:4:4. In a lossless
# file, each sample takes a bit.
_BLOCKS_PER_BYTE = 8
_BLOCKS_BESIDE, _SAMPLES_BESIDE = 2**16, 2**22
# Arithmetic code has no such minimum. This is 22 megapixels of 4:2:0.
_ARITHMETIC_BLOCKS = 2**19

# What decoding costs at most, in nanoseconds; `python -m tests.fuzzing.dear_files` looks for
# files that cost more. Each scan visits all blocks of its components:
_BLOCK = 25.0
_REFINED_COEFFICIENT = 0.4
_ARITHMETIC_COEFFICIENT = 50.0
_REFINED_ARITHMETIC_COEFFICIENT = 5.0
_LOSSLESS_SAMPLE = 3.0
# Enough for the usual progressive scans of four components of `max_pixels` without
# subsampling; by default, for 12 megapixels of 4:2:0 in arithmetic code, too.
_NANOSECONDS_PER_PIXEL = 12.5
_NANOSECONDS_BESIDE = 5e7  # for small images of many scans
_LEAST_NANOSECONDS = 1e8  # for small ones in arithmetic code, at a limit of as many pixels


@dataclass
class JpegStructure:
    """What the markers say; zeros where they say nothing."""

    n_bytes: int  # of the whole file: a tail after the image counts, as a comment would
    width: int = 0
    height: int = 0
    n_components: int = 0
    n_blocks: int = 0  # of 8 x 8 values, in all components; of a lossless file, samples
    n_scans: int = 0
    n_segments: int = 0
    n_fill: int = 0  # bytes between segments, up to the first scan, as the following two
    n_table_bytes: int = 0
    n_exif_bytes: int = 0
    nanoseconds: float = 0.0  # that decoding the scans takes at most
    is_progressive: bool = False
    is_lossless: bool = False
    is_arithmetic: bool = False
    blocks: dict[int, int] = field(default_factory=dict)  # by identifier of the component

    def excess(self, max_pixels: int, max_scans: int) -> str | None:
        """Say what a file that is made to keep a decoder busy has too much of."""
        return self.excess_of_segments(max_scans) or self._excess_of_work(max_pixels)

    def is_dear(self, max_pixels: int) -> bool:
        """Whether decoding takes so much work that it should happen only once."""
        return self.nanoseconds > dear_nanoseconds(max_pixels)

    def excess_of_segments(self, max_scans: int) -> str | None:
        """Say which segments are too many, or too large."""
        most_segments = _SEGMENTS_BESIDE_SCANS + _SEGMENTS_PER_SCAN * max_scans
        if self.n_scans > max_scans:
            return f"it has more scans than max_scans={max_scans}"
        if self.n_segments > most_segments:
            return f"it has more than {most_segments} marker segments"
        if self.n_fill > _MOST_FILL:
            return f"it has more than {_MOST_FILL} bytes between its marker segments"
        if self.n_table_bytes > _MOST_TABLES:
            return f"it has more than {_MOST_TABLES} bytes of quantization tables"
        if self.n_exif_bytes > _MOST_EXIF:
            return f"it has more than {_MOST_EXIF} bytes of EXIF"
        return None

    def _excess_of_work(self, max_pixels: int) -> str | None:
        # Pixels take memory even if subsampled components have fewer blocks.
        n_blocks = self.width * self.height // 64
        if n_blocks < self.n_blocks:
            n_blocks = self.n_blocks
        if self.is_arithmetic:
            if n_blocks > _ARITHMETIC_BLOCKS:
                return f"{self._content()} are more than arithmetic coding is decoded for"
        else:
            beside = _SAMPLES_BESIDE if self.is_lossless else _BLOCKS_BESIDE
            if n_blocks > beside + _BLOCKS_PER_BYTE * self.n_bytes:
                return f"its {self.n_bytes} bytes cannot hold {self._content()}"
        if self.nanoseconds <= _LEAST_NANOSECONDS:  # what is always allowed
            return None
        most = _most_nanoseconds(max_pixels)
        if self.nanoseconds > most:
            return (
                f"its scans may take {self.nanoseconds / 1e9:.1f} s to decode, more than the "
                f"{most / 1e9:.2g} s that max_pixels={max_pixels} allows"
            )
        return None

    def _content(self) -> str:
        plural = "" if self.n_components == 1 else "s"
        return f"{self.width} x {self.height} pixels in {self.n_components} component{plural}"

    def take(self, marker: int, data: bytes, start: int, length: int) -> bool:
        """Take in one of the segments in `_NOTED`; tell whether decoders stop after it."""
        content = start + 2
        if marker == _SOS:
            if content >= len(data):
                return False
            self.start_scan(data[content : content + _LONGEST_SCAN_HEADER])
            # Decoders stop after the first scan of a sequential file if it is complete.
            is_whole = data[content] == self.n_components and not self.is_progressive
            return self.n_scans == 1 and is_whole
        if self.n_scans:
            return False
        if marker != _APP1:
            self.n_table_bytes += length
            if marker in _FRAMES:
                self.start_frame(marker, data[content : content + _LONGEST_FRAME_HEADER])
        elif data.startswith(_EXIF, content):
            self.n_exif_bytes += length
        return False

    def start_frame(self, marker: int, content: bytes) -> None:
        """Take in a frame header, without its length; the last one counts."""
        if len(content) < 6:
            return
        self.height = content[1] << 8 | content[2]
        self.width = content[3] << 8 | content[4]
        self.n_components = content[5]
        self.is_progressive = marker in _PROGRESSIVE
        self.is_lossless = marker in _LOSSLESS
        self.is_arithmetic = marker in _ARITHMETIC
        self._count_blocks(content[6 : 6 + 3 * self.n_components])

    def _count_blocks(self, components: bytes) -> None:
        self.blocks, self.n_blocks = {}, 0
        most_across = most_down = 0
        for factors in components[1::3]:
            across, down = factors >> 4, factors & 15
            if not across or not down:
                return  # no decoder takes that
            most_across = across if across > most_across else most_across
            most_down = down if down > most_down else most_down
        if not most_across:
            return
        # Scans of several components go through units of whole blocks of each of them. Each
        # division is rounded up.
        side = 1 if self.is_lossless else 8
        n_units = -(-self.width // (side * most_across))
        n_units *= -(-self.height // (side * most_down))
        for identifier, factors in zip(components[::3], components[1::3], strict=False):
            n_blocks = n_units * (factors >> 4) * (factors & 15)
            self.n_blocks += n_blocks
            if identifier not in self.blocks or n_blocks > self.blocks[identifier]:
                self.blocks[identifier] = n_blocks

    def start_scan(self, content: bytes) -> None:
        """Take in a scan header, without its length."""
        self.n_scans += 1
        behind = 1 + 2 * content[0]
        n_blocks = 0
        for identifier in content[1:behind:2]:
            if identifier in self.blocks:
                n_blocks += self.blocks[identifier]
            else:
                n_blocks += max(self.blocks.values(), default=0)
        first, last, steps = 0, 63, 0
        if self.is_progressive and len(content) >= behind + 3:
            first, last, steps = content[behind : behind + 3]
        self.nanoseconds += n_blocks * self._cost_of_block(first, last, steps > 15)

    def _cost_of_block(self, first: int, last: int, is_refined: bool) -> float:
        if self.is_lossless:
            return _LOSSLESS_SAMPLE
        if self.is_arithmetic:
            each = _REFINED_ARITHMETIC_COEFFICIENT if is_refined else _ARITHMETIC_COEFFICIENT
        elif is_refined:
            each = _REFINED_COEFFICIENT
        else:
            return _BLOCK
        return _BLOCK + max(0, min(last, 63) - first + 1) * each


def _most_nanoseconds(max_pixels: int) -> float:
    return max(_LEAST_NANOSECONDS, _NANOSECONDS_BESIDE + _NANOSECONDS_PER_PIXEL * max_pixels)


def dear_nanoseconds(max_pixels: int) -> float:
    """From how much work on a file is dear: see `JpegStructure.is_dear`."""
    return _most_nanoseconds(max_pixels) / 4


def read_structure(data: bytes, max_scans: int) -> JpegStructure:
    """Read the size in pixels, and what a decoder would have to go through.

    `data` is a JPEG file, however damaged. Reading stops once there are more than `max_scans`
    scans, or too much of what else `excess_of_segments` counts. Every image comes through
    here, so most segments are passed without a call.
    """
    found, position = JpegStructure(len(data)), 2
    while True:
        if data[position : position + 2] in _MARKERS:
            start = position + 2
        elif match := MARKER.search(data, position):
            start = match.end()
        else:
            break
        marker = data[start - 1]
        if marker == _EOI and found.n_scans:
            return found
        found.n_segments += 1
        if not found.n_scans:
            found.n_fill += start - 2 - position
        position = start
        if marker != _EOI:  # if no scan came before it, decoders look for an image after it
            is_cut = start + 2 > found.n_bytes
            length = (
                int.from_bytes(data[start:]) if is_cut else data[start] << 8 | data[start + 1]
            )
            if marker in _NOTED and found.take(marker, data, start, length):
                return found
            position += length if length > 2 else 2
        # No limit is lower than these.
        n_counted = found.n_fill + found.n_table_bytes + found.n_exif_bytes
        is_large = found.n_segments > _SEGMENTS_BESIDE_SCANS or n_counted > _MOST_FILL
        if (found.n_scans > max_scans or is_large) and found.excess_of_segments(max_scans):
            return found
    if not found.n_scans:  # the end of the data counts as a last EOI
        found.n_segments += 1
        found.n_fill += max(0, len(data) - position)
    return found
