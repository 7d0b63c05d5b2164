"""Small pictures in HTML, for notebooks and reports."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterable
from html import escape

from PIL import Image

from sknorm_images._common.wording import printable, shorten

_HEIGHT = 96  # pixels on the page
_QUALITIES = (90, 80, 70, 60, 50, 40, 30, 20)  # JPEG's
LARGEST_THUMBNAIL = (4 * _HEIGHT, 2 * _HEIGHT)  # sharp on screens with two dots per pixel


def strip_html(title: str, items: Iterable[tuple[str, Image.Image | str]]) -> str:
    """Lay pictures out side by side, below a title.

    Each item is a name with its picture, or with the reason why there is none. The HTML loads
    nothing from elsewhere; all text is escaped, and long names are shortened.
    """
    pictures = "".join(_picture_html(name, item) for name, item in items)
    return (
        f"<div><p>{escape(printable(title))}</p>"
        f'<div style="display: flex; gap: 4px; overflow-x: auto">{pictures}</div></div>'
    )


def thumbnail_uri(
    picture: Image.Image, largest: tuple[int, int], most_bytes: int | None = None
) -> str:
    """Encode a picture as JPEG in a ``data:`` URI, shrunk if it is larger than `largest`.

    The picture is in mode RGB or L, and `largest` is (width, height) in pixels. To keep within
    `most_bytes`, before base64, the quality may be less than usual, but no less than 20.
    """
    thumbnail = picture.copy()
    thumbnail.thumbnail(largest)
    for quality in _QUALITIES:
        file = io.BytesIO()
        thumbnail.save(file, "JPEG", quality=quality)
        if most_bytes is None or file.tell() <= most_bytes:
            break
    return f"data:image/jpeg;base64,{base64.b64encode(file.getvalue()).decode()}"


def _picture_html(name: str, picture: Image.Image | str) -> str:
    style = f"height: {_HEIGHT}px; flex: none"
    name = shorten(name)
    if isinstance(picture, str):
        style += f"; width: {_HEIGHT}px; overflow: hidden; box-sizing: border-box"
        style += "; padding: 4px; border: 1px dashed; font-size: 11px"
        return f'<div style="{style}" title="{escape(name)}">{escape(shorten(picture))}</div>'
    uri = thumbnail_uri(picture, LARGEST_THUMBNAIL)
    return f'<img style="{style}" src="{uri}" alt="{escape(name)}" title="{escape(name)}">'
