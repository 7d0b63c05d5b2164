"""What a loader may open, and how many bytes of it are read."""

from __future__ import annotations

from dataclasses import dataclass

from sknorm_images._common.published import published
from sknorm_images._files.formats import JPEG
from sknorm_images._files.jpeg_markers import read_structure

# No format needs more per pixel than four channels of 16 bits; profiles, thumbnails and the
# like come on top.
_BYTES_PER_PIXEL = 8
_BYTES_BESIDE_PIXELS = 2**26

# Bytes that are read before looking for the size in pixels; few photos are larger.
FIRST_BYTES = 2**24


@published("sknorm_images")
@dataclass(frozen=True)
class Access:
    """What paths and URLs may lead to, and how many pixels an image may have.

    The parameters are those of `JpegLoader`.
    """

    protocols: tuple[str, ...]
    max_pixels: int

    def max_file_bytes(self, head: bytes = b"") -> int:
        """Return how large a file that begins with `head` may be and still hold an image."""
        found = read_structure(head, max_scans=0) if head.startswith(JPEG) else None
        n_pixels = found.width * found.height if found else 0
        n_pixels = min(n_pixels or self.max_pixels, self.max_pixels)
        return n_pixels * _BYTES_PER_PIXEL + _BYTES_BESIDE_PIXELS
