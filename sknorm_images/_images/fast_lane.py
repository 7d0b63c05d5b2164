"""The fast lane: plain JPEG files, decoded and resized with little Python in between.

simplejpeg decodes into memory that the thread keeps, and cykooz-resizer resizes from there
into a stack. The pixels are those that Pillow's decoder and cykooz-resizer make. A file that
is not plain, or that libjpeg warns of, is left to Pillow, and so is every error. Imported only
for ``engine="simd"``, since both libraries are optional.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images._files.formats import JPEG
from sknorm_images._files.jpeg_markers import (
    JpegStructure,
    dear_nanoseconds,
    read_structure,
)
from sknorm_images._images.decoding import Decoding, Size
from sknorm_images._images.resizing import Resizing, shrinks
from sknorm_images._images.stacks import Stack, as_mapped
from sknorm_images._images.strict_libjpeg import has_pillows_pixels, plain_header

try:
    import simplejpeg

    from sknorm_images._images import simd
except ImportError:  # the lane is off; if cykooz-resizer is missing, Resizing says so
    _IS_INSTALLED = False
else:
    _IS_INSTALLED = True

_SHORTEST_SIDE = 16  # of less, simplejpeg might find the same size at another scale
_MOST_KEPT = 2**22  # bytes of each buffer a thread keeps: one to decode into, one for a stack


class _Canvas(NamedTuple):
    """Memory to decode into, and the same wrapped as an image for the resizer."""

    memory: NDArray[np.uint8]  # (height, width, 4 or 1)
    image: Any


class _Kept(threading.local):
    """What a thread keeps while it is not in use: the last canvas, and a stack.

    A handler of signals, say, may read images while its thread decodes one.
    """

    def __init__(self) -> None:
        self.canvas: _Canvas | None = None
        self.stack: Stack | None = None
        self.targets: list[Any] = []  # the images of the stack, wrapped for the resizer


_kept = _Kept()


class _Plan(NamedTuple):
    """How files of one size are decoded and resized."""

    size: Size  # in the file, (width, height)
    decoded: Size
    target: Size  # what a part of that becomes
    options: Any  # of the resizer: which part; None if it grows


class FastLane:
    """Adds images to a stack, decoded and resized as `decoding` and `resizing` say."""

    def __init__(
        self, decoding: Decoding, resizing: Resizing, stack: Stack, targets: list[Any]
    ) -> None:
        self.stack = stack
        self._decoding, self._resizing, self._targets = decoding, resizing, targets
        self._dear = dear_nanoseconds(decoding.max_pixels)
        self._is_grey = decoding.color_mode == "grayscale"
        self._plan: _Plan | None = None  # the last one: often, all files have one size

    def take(self, data: bytes) -> bool:
        """Add the image in a file to the stack, which is not full; False if Pillow has to.

        `data` is the content of the file.
        """
        if data[:3] != JPEG:
            return False
        structure = read_structure(data, self._decoding.max_scans)
        if not (self._is_allowed(structure) and self._is_plain(data)):
            return False
        plan = self._plan
        if plan is None or plan.size != (structure.width, structure.height):
            plan = self._plan = self._planned((structure.width, structure.height))
        if plan.options is None:
            return False
        is_one_byte = self._is_grey and structure.n_components == 1
        canvas = _new_or_kept((*plan.decoded[::-1], 1 if is_one_byte else 4))
        image = self._decode(data, canvas)
        if image is not None:
            self._resize(image, plan)
            self.stack.n_images += 1
        if canvas.memory.nbytes <= _MOST_KEPT:
            _kept.canvas = canvas
        return image is not None

    def _is_allowed(self, structure: JpegStructure) -> bool:
        """Whether no guard refuses a file, and it may be decoded twice if it is damaged."""
        width, height = structure.width, structure.height
        max_pixels, most = self._decoding.access.max_pixels, Image.MAX_IMAGE_PIXELS
        return (
            width >= _SHORTEST_SIDE <= height
            and width * height <= max_pixels
            and (most is None or width * height <= most)  # above, Pillow warns
            and structure.nanoseconds <= self._dear
            and not structure.excess(max_pixels, self._decoding.max_scans)
        )

    def _is_plain(self, data: bytes) -> bool:
        """Whether there is nothing to be done but decode and resize."""
        header = plain_header(data, self._decoding)
        if header is None:
            return False
        return header.orientation < 2 or not self._decoding.exif_orientation

    def _planned(self, size: Size) -> _Plan:
        width, height = size
        scale = _scale(size, self._resizing.draft_size(size, orientation=1))
        box = (0.0, 0.0, width / scale, height / scale)
        target, part = self._resizing.placed(size, box, orientation=1)
        decoded = -(-width // scale), -(-height // scale)
        options = simd.options_for(part) if shrinks(part, target) else None
        return _Plan(size, decoded, target, options)

    def _decode(self, data: bytes, canvas: _Canvas) -> Any:
        """Decode to the scale that fits the canvas; None if libjpeg warns or fails."""
        height, width, n_bytes = canvas.memory.shape
        try:
            pixels = simplejpeg.decode_jpeg(
                data,
                "GRAY" if n_bytes == 1 else "RGBX",
                min_height=height,
                min_width=width,
                buffer=canvas.memory,
                strict=True,
            )
        except (ValueError, RuntimeError):
            return None
        if pixels.shape != canvas.memory.shape:
            return None
        if self._is_grey and n_bytes > 1:  # colours weigh as Pillow weighs them
            size = width, height
            colors = Image.frombuffer("RGBX", size, canvas.memory, "raw", "RGBX", 0, 1)
            return simd.wrapped(colors.convert("L"))
        return canvas.image

    def _resize(self, image: Any, plan: _Plan) -> None:
        """Resize a wrapped image into the free memory of the stack."""
        stack, (width, height) = self.stack, plan.target
        if height == self._resizing.height and width == self._resizing.width:
            for i in range(len(self._targets), stack.n_images + 1):
                self._targets.append(simd.wrapped(as_mapped(stack.memory[i])))
            simd.resize_into(image, self._targets[stack.n_images], plan.options)
            return
        free = stack.memory[stack.n_images]
        picture = np.empty((height, width, free.shape[-1]), np.uint8)
        simd.resize_into(image, simd.wrapped(as_mapped(picture)), plan.options)
        left, top = self._resizing.margins(plan.target)
        free[:] = self._resizing.pad_value
        free[top : top + height, left : left + width] = picture


@contextmanager
def open_lane(decoding: Decoding, resizing: Resizing) -> Iterator[FastLane | None]:
    """Open the lane for images of these settings; yields None if there is none.

    Its stack is the one that the thread keeps, if that has the right shape.
    """
    if not (_IS_INSTALLED and has_pillows_pixels(decoding)):
        yield None
        return
    shape = resizing.height, resizing.width, decoding.n_channels
    stack, targets = _kept.stack, _kept.targets
    _kept.stack = None  # so that nobody else takes it in the meantime
    if stack is None or stack.shape != shape:
        stack, targets = Stack(shape), []
    try:
        yield FastLane(decoding, resizing, stack, targets)
    finally:
        stack.n_images = 0
        if stack.memory.nbytes <= _MOST_KEPT:
            _kept.stack, _kept.targets = stack, targets


def _new_or_kept(shape: tuple[int, int, int]) -> _Canvas:
    """Take the canvas that the thread keeps, if that has the right shape, or a new one."""
    canvas, _kept.canvas = _kept.canvas, None
    if canvas is not None and canvas.memory.shape == shape:
        return canvas
    memory = np.empty(shape, np.uint8)
    return _Canvas(memory, simd.wrapped(as_mapped(memory)))


def _scale(size: Size, smallest: Size | None) -> int:
    """Find the scale at which Pillow's draft decodes: 1/8, 1/4, 1/2 or 1."""
    if smallest is None:
        return 1
    largest = min(size[0] // smallest[0], size[1] // smallest[1])
    return 8 if largest >= 8 else 4 if largest >= 4 else 2 if largest >= 2 else 1
