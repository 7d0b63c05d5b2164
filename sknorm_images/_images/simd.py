"""Bilinear resizing with SIMD instructions: cykooz-resizer on the memory of Pillow's images.

Imported by those who ask for ``engine="simd"`` alone, since cykooz-resizer is optional.
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
    """A resizer holds buffers that it uses again, so no two threads may share one."""

    def __init__(self) -> None:
        self.resizer = Resizer()


_own = _ResizerOfThread()


def resize(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Resize as ``image.resize(size, BILINEAR, box)`` does, but for a grey level.

    Parameters
    ----------
    image : PIL.Image.Image
        In mode RGB or L.
    size : (int, int)
        Width and height, in pixels.
    box : (float, float, float, float)
        The part of `image` to resize: left, top, right and bottom, in pixels.

    Returns
    -------
    PIL.Image.Image
        New, in the mode of `image`.
    """
    left, top, right, bottom = box
    resized = Image.new(image.mode, size)
    part = CropBox(left, top, right - left, bottom - top)
    _own.resizer.resize_pil(image, resized, ResizeOptions(_BILINEAR, crop_box=part))
    return resized
