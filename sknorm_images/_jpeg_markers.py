"""What the markers of a JPEG file say before anything is decoded (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

_SOS, _EOI = 0xDA, 0xD9
_FRAMES = set(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}  # all SOF; DHT, JPG and DAC are not
_PROGRESSIVE = {0xC2, 0xC6, 0xCA, 0xCE}
_LOSSLESS = {0xC3, 0xC7, 0xCB, 0xCF}

# Those that a length follows, and EOI. Decoders pass over the others: TEM, reserved ones,
# RST0-7 and SOI. A zero after 0xFF is stuffed into entropy-coded data; 0xFF also pads.
_MARKER = re.compile(rb"\xff[\xc0-\xcf\xd9-\xfe]")

_MOST_FILL = 2**16  # bytes between segments, which Pillow steps over one by one
_SEGMENTS_BESIDE_SCANS = 10_000  # a large ICC profile has some hundreds
_SEGMENTS_A_SCAN = 10  # its tables


class JpegStructure(NamedTuple):
    """What the markers say; zeros where they do not."""

    width: int
    height: int
    n_scans: int
    n_segments: int
    n_fill: int  # bytes between segments, up to the first scan
    is_lossless: bool

    def excess(self, max_scans: int) -> str | None:
        """Say what there is too much of in a file that is made to keep a decoder busy."""
        if self.n_scans > max_scans:
            return f"it has more scans than max_scans={max_scans}"
        if self.n_segments > _most_segments(max_scans):
            return f"it has more than {_most_segments(max_scans)} marker segments"
        if self.n_fill > _MOST_FILL:
            return f"it has more than {_MOST_FILL} bytes between its marker segments"
        return None


def read_structure(data: bytes, max_scans: int) -> JpegStructure:
    """Read the size from the header, and count the scans that a decoder would go through.

    Parameters
    ----------
    data : bytes
        Content of a JPEG file, however damaged.
    max_scans : int
        Counting stops when there are more, or more of the other things that `excess` names.

    Returns
    -------
    JpegStructure
        The size in pixels, the number of scans, and what else decides about decoding.
    """
    width = height = n_components = n_scans = n_segments = n_fill = 0
    is_progressive = is_lossless = False
    for fill, marker, start in _segments(data):
        # Where no scan came before it, decoders look for an image behind the end of one.
        if marker == _EOI and n_scans:
            break
        n_segments += 1
        n_fill += 0 if n_scans else fill
        if n_segments > _most_segments(max_scans) or n_fill > _MOST_FILL:
            break
        payload = data[start + 2 : start + 8]
        if marker in _FRAMES and not n_scans and len(payload) == 6:
            height, width = int.from_bytes(payload[1:3]), int.from_bytes(payload[3:5])
            n_components = payload[5]
            is_progressive = marker in _PROGRESSIVE
            is_lossless = marker in _LOSSLESS
        elif marker == _SOS and payload:
            n_scans += 1
            # Decoders read no further where the first scan of a sequential file is whole.
            is_whole = not is_progressive and n_scans == 1 and payload[0] == n_components
            if is_whole or n_scans > max_scans:
                break
    return JpegStructure(width, height, n_scans, n_segments, n_fill, is_lossless)


def _most_segments(max_scans: int) -> int:
    return _SEGMENTS_BESIDE_SCANS + _SEGMENTS_A_SCAN * max_scans


def _segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield what comes before each marker in bytes, the marker, and where its length stands.

    The end of the data counts as a last EOI.
    """
    position = 2
    while match := _MARKER.search(data, position):
        fill, marker, position = match.start() - position, data[match.end() - 1], match.end()
        yield fill, marker, position
        if marker != _EOI:
            position += max(2, int.from_bytes(data[position : position + 2]))
    yield max(0, len(data) - position), _EOI, len(data)
