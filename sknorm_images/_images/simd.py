"""Bilinear resizing with SIMD instructions: cykooz-resizer on the memory of Pillow's images.

Imported only for ``engine="simd"``, since cykooz-resizer is optional.
"""

from __future__ import annotations

import threading

from PIL import Image

from sknorm_images._images.decoding import Box, Size

try:
    from cykooz_resizer import CropBox, FilterType, ResizeAlg, ResizeOptions, Resizer
except ImportError as error:
    raise ImportError(
        f"engine='simd' needs cykooz-resizer ({error}). "
        'Run: python -m pip install "sknorm-images[simd]", or pass engine="pillow".'
    ) from error

_BILINEAR = ResizeAlg.convolution(FilterType.bilinear)


class _ResizerOfThread(threading.local):
    """A resizer reuses its buffers, so threads must not share one."""

    def __init__(self) -> None:
        self.resizer = Resizer()


_own = _ResizerOfThread()


def resize(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Resize as ``image.resize(size, BILINEAR, box)`` does, within one grey level.

    `image` is in mode RGB or L, and the new image has the same mode. `size` is (width,
    height), and `box` is the part to resize: left, top, right and bottom. Both are in pixels.
    """
    left, top, right, bottom = box
    resized = Image.new(image.mode, size)
    part = CropBox(left, top, right - left, bottom - top)
    _own.resizer.resize_pil(image, resized, ResizeOptions(_BILINEAR, crop_box=part))
    return resized
