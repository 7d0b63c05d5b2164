"""How opaque the pixels of an image are, and the background that shows behind them."""

from __future__ import annotations

from numbers import Integral
from typing import Any, TypeAlias

import numpy as np
from PIL import Image

from sknorm_images._common.parameters import check_number
from sknorm_images._common.wording import show_value

Rgb: TypeAlias = tuple[int, int, int]


def checked_background(background: Any) -> Rgb | None:
    """Return a grey level, or (red, green, blue), as the latter; None stays None."""
    if background is None:
        return None
    if not isinstance(background, tuple | list):
        if np.ndim(background):
            raise TypeError(
                f"background={show_value(background)} is of type {type(background).__name__}, "
                "expected a grey level or a tuple. Pass (red, green, blue)."
            )
        check_number("background", background, low=0, high=255, integral=True)
        return (int(background),) * 3
    if len(background) != 3 or not all(map(_is_grey_level, background)):
        raise ValueError(
            f"background={show_value(background)} is not a colour of three whole numbers from "
            "0 to 255. Pass (red, green, blue), or one grey level."
        )
    red, green, blue = map(int, background)
    return red, green, blue


def _is_grey_level(value: Any) -> bool:
    is_whole = isinstance(value, Integral) and not isinstance(value, bool)
    return is_whole and int(value) in range(256)


def opacity_of(image: Image.Image) -> Image.Image | None:
    """Return the opacity of each pixel, in mode L; None if all are opaque."""
    if not image.has_transparency_data:
        return None
    try:
        if "A" not in image.getbands():  # a palette, or one colour, says what is clear
            image = image.convert("RGBA")
        alpha = image.getchannel("A")
    except (MemoryError, Warning):
        raise
    except Exception:  # noqa: BLE001 (damaged metadata must not fail a good image)
        return None
    return None if alpha.getextrema()[0] == 255 else alpha


def composited(image: Image.Image, opacity: Image.Image, background: Rgb) -> Image.Image:
    """Lay an image over one colour, as Pillow's ``alpha_composite`` does.

    `image` must be loaded, and `opacity` is that of each pixel, in mode L. The result is
    opaque, in mode RGBA.
    """
    above = image.convert("RGBA")
    above.putalpha(opacity)
    return Image.alpha_composite(Image.new("RGBA", image.size, (*background, 255)), above)
