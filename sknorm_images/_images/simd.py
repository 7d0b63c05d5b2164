"""Bilinear resizing with SIMD instructions: cykooz-resizer on the memory of Pillow's images.

Imported only for ``engine="simd"``, since cykooz-resizer is optional.
"""

from __future__ import annotations

import threading

from PIL import Image

from sknorm_images._images.decoding import Box, Size

try:
    from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions
    from cykooz_resizer.rust_lib import PilImageWrapper, RustResizeOptions, RustResizer
except ImportError as error:
    raise ImportError(
        f"engine='simd' needs cykooz-resizer ({error}). "
        'Run: python -m pip install "sknorm-images[simd]", or pass engine="pillow".'
    ) from error

_BILINEAR = ResizeOptions(
    ResizeAlg.convolution(FilterType.bilinear), use_alpha=False
).rust_options


class _ResizerOfThread(threading.local):
    """A resizer reuses its buffers, so threads must not share one."""

    def __init__(self) -> None:
        self.resizer = RustResizer()


_own = _ResizerOfThread()


def resize(image: Image.Image, size: Size, box: Box) -> Image.Image:
    """Resize as ``image.resize(size, BILINEAR, box)`` does, within one grey level.

    `image` is in mode RGB or L, and the new image has the same mode. `size` is (width,
    height), and `box` is the part to resize: left, top, right and bottom. Both are in pixels.
    """
    resized = Image.new(image.mode, size)
    resize_into(wrapped(image), wrapped(resized), options_for(box))
    return resized


def wrapped(image: Image.Image) -> PilImageWrapper:
    """Wrap a loaded image for `resize_into`, which may take it any number of times."""
    return PilImageWrapper(image)


def options_for(box: Box) -> RustResizeOptions:
    """Make the options for a part of an image, as `resize` takes it."""
    left, top, right, bottom = box
    return _BILINEAR.set_crop_box(left, top, right - left, bottom - top)


def resize_into(
    image: PilImageWrapper, resized: PilImageWrapper, options: RustResizeOptions
) -> None:
    """Resize as `resize` does, into an image of the same mode."""
    _own.resizer.resize_pil(image, resized, options)
