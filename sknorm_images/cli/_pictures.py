"""Small pictures of files for a report: also of files that are broken, as far as possible."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import closing
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images import LazyImages
from sknorm_images._common.failures import READ_ERRORS
from sknorm_images._common.parallel import map_chunks
from sknorm_images._files.formats import JPEG
from sknorm_images._files.reading import contents_of
from sknorm_images._images.color_modes import ColorMode
from sknorm_images._images.decoding import ContentError, Decoding
from sknorm_images._images.resizing import upright
from sknorm_images._images.thumbnails import thumbnail_uri

_SIDE, _MOST_BYTES = 128, 5_000  # of a thumbnail, in pixels; at that, noise has quality 40
_LARGER_SIDE, _LARGER_BYTES = 160, 8_000  # of the few that show what a scaler does
_END_OF_IMAGE = b"\xff\xd9"


def thumbnails(
    files: Sequence[str],
    rows: Iterable[int],
    decoding: Decoding,
    mode: ColorMode,
    n_jobs: int | None,
) -> dict[int, str | None]:
    """Make URIs of some of the files, by position; None where there is nothing to see."""
    chosen = sorted(set(rows))
    made: dict[int, str | None] = {}
    results = map_chunks(
        _thumbnails,
        len(chosen),
        lambda part: ([files[row] for row in chosen[part]], decoding, mode),
        n_jobs=n_jobs,
        reach="process",
    )
    with closing(results):
        for part, uris in results:
            made |= zip(chosen[part], uris, strict=True)
    return made


def _thumbnails(files: Sequence[str], decoding: Decoding, mode: ColorMode) -> list[str | None]:
    uris: list[str | None] = []
    for content in contents_of(files, decoding.access):
        if isinstance(content, Exception) and not isinstance(content, READ_ERRORS):
            raise content
        picture = _decoded(content, decoding) if isinstance(content, bytes) else None
        uris.append(
            None
            if picture is None
            else thumbnail_uri(mode.as_seen(picture), (_SIDE, _SIDE), _MOST_BYTES)
        )
    return uris


def _decoded(content: bytes, decoding: Decoding) -> Image.Image | None:
    """Decode a file at about the size of a thumbnail; one that is cut off, as far as it goes.

    With an end marker, libjpeg takes it for whole and leaves grey what is missing.
    """
    ended = [content + _END_OF_IMAGE] if content.startswith(JPEG) else []
    for attempt in (content, *ended):
        try:
            decoded = decoding.decode(attempt, lambda *_: (_SIDE, _SIDE))
        except ContentError:
            continue
        return upright(decoded.image, decoded.orientation)
    return None


def views(images: LazyImages, row: int, scaler: Any, mode: ColorMode) -> list[tuple[str, str]]:
    """Show one image as it is read, scaled, and scaled back; yields captions and URIs."""
    pixels, _ = images[[row]].read()
    scaled = scaler.transform(pixels)
    low, high = float(scaled.min()), float(scaled.max())
    stretched = (scaled - low) * (255 / (high - low) if high > low else 0)
    shown = {"as read": pixels, f"scaled: {low:.2f} to {high:.2f}": stretched}
    if not scaler.per_image:  # else there is no way back
        shown["and back"] = scaler.inverse_transform(scaled)
    return [(caption, _larger(view[0], mode)) for caption, view in shown.items()]


def _larger(levels: NDArray[Any], mode: ColorMode) -> str:
    pixels = np.rint(levels).clip(0, 255).astype(np.uint8)
    return thumbnail_uri(mode.as_seen(pixels), (_LARGER_SIDE, _LARGER_SIDE), _LARGER_BYTES)
