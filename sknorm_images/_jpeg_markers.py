"""What the markers of a JPEG file say before anything is decoded (ITU-T T.81, annex B)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

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


@dataclass
class JpegStructure:
    """What the markers say; zeros where they do not."""

    width: int = 0
    height: int = 0
    n_components: int = 0
    n_scans: int = 0
    n_segments: int = 0
    n_fill: int = 0  # bytes between segments, up to the first scan
    is_progressive: bool = False
    is_lossless: bool = False

    def excess(self, max_scans: int) -> str | None:
        """Say what there is too much of in a file that is made to keep a decoder busy."""
        most_segments = _SEGMENTS_BESIDE_SCANS + _SEGMENTS_A_SCAN * max_scans
        if self.n_scans > max_scans:
            return f"it has more scans than max_scans={max_scans}"
        if self.n_segments > most_segments:
            return f"it has more than {most_segments} marker segments"
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
    found = JpegStructure()
    for fill, marker, start in _segments(data):
        # Where no scan came before it, decoders look for an image behind the end of one.
        if marker == _EOI and found.n_scans:
            break
        found.n_segments += 1
        found.n_fill += 0 if found.n_scans else fill
        payload = data[start + 2 : start + 8]
        if marker in _FRAMES and not found.n_scans and len(payload) == 6:
            found.height = int.from_bytes(payload[1:3])
            found.width = int.from_bytes(payload[3:5])
            found.n_components = payload[5]
            found.is_progressive = marker in _PROGRESSIVE
            found.is_lossless = marker in _LOSSLESS
        elif marker == _SOS and payload:
            found.n_scans += 1
            # Decoders read no further where the first scan of a sequential file is whole.
            is_whole = payload[0] == found.n_components and not found.is_progressive
            if found.n_scans == 1 and is_whole:
                break
        if found.excess(max_scans):
            break
    return found


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
