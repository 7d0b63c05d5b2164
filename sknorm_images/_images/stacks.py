"""Memory for several images of one size, which Pillow and NumPy see without a copy."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images._images.decoding import Pixels

# Pillow's modes of four bytes, or one, per pixel. It maps no memory to RGB, and in RGBA, the
# fourth byte would weigh the others in a resizer. In CMYK, each is resized by itself.
_FOUR, _ONE = "CMYK", "L"

_MOST_IMAGES, _MOST_BYTES = 32, 2**20


class Stack:
    """Images of one size, up to 32 or 1 MiB of them, but at least one.

    As in Pillow, colours take four bytes per pixel, of which the last one means nothing.
    """

    def __init__(self, shape: tuple[int, int, int]) -> None:
        """Make room for images of `shape`: height, width and number of channels, 1 or 3."""
        self.shape = height, width, n_channels = shape
        n_bytes = 1 if n_channels == 1 else 4
        self.capacity = max(1, min(_MOST_IMAGES, _MOST_BYTES // (height * width * n_bytes)))
        # That of image `n_images` is free, and written to before it is counted.
        self.memory: NDArray[np.uint8] = np.empty(
            (self.capacity, height, width, n_bytes), np.uint8
        )
        self.n_images = 0
        self._whole = self._mapped(slice(None))
        # Kept, since malloc gives such a block back to the system when a thread frees it.
        self._packed: NDArray[np.uint8] | None = None

    def pixels(self) -> Pixels:
        """Return the images as an array of shape (n_images, height, width, n_channels).

        It is overwritten when the stack is used again.
        """
        memory, n_channels = self.memory[: self.n_images], self.shape[-1]
        if n_channels == 1:
            return memory
        if self._packed is None:
            self._packed = np.empty((*self.memory.shape[:-1], n_channels), np.uint8)
        pixels = self._packed[: self.n_images]
        for channel in range(n_channels):  # five times as fast as all at once
            pixels[..., channel] = memory[..., channel]
        return pixels

    def histogram(self, rows: slice) -> NDArray[np.int64]:
        """Count the grey levels of some images together, shape (n_channels, 256)."""
        is_whole = rows == slice(self.capacity)
        image = self._whole if is_whole else self._mapped(rows)
        return np.array(image.histogram(), np.int64).reshape(-1, 256)[: self.shape[-1]]

    def _mapped(self, rows: slice) -> Image.Image:
        """Let Pillow see some images, one below the other, as one."""
        memory = self.memory[rows]
        return as_mapped(memory.reshape(-1, *memory.shape[2:]))


def as_mapped(memory: NDArray[np.uint8]) -> Image.Image:
    """Let Pillow see an array (height, width, 4 or 1) as an image, without a copy."""
    height, width, n_bytes = memory.shape
    mode = _ONE if n_bytes == 1 else _FOUR
    return Image.frombuffer(mode, (width, height), memory, "raw", mode, 0, 1)
