"""What an index selects from a sequence of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.wording import shorten, show_value


def select(key: Any, n_images: int) -> int | slice | list[int]:
    """Read the key of ``images[key]`` as NumPy reads it for the first axis of an array.

    scikit-learn passes ``(rows, ...)`` to anything that has a shape. Returns one position,
    counted from 0, or what selects several images, where -1 is the last one. Raises IndexError
    for any other key, or if an image does not exist.
    """
    rows, *others = (key or (...,)) if isinstance(key, tuple) else (key,)
    if not all(
        other is Ellipsis or (isinstance(other, slice) and other == slice(None))
        for other in others
    ):
        raise IndexError(
            f"The index {show_value(key)} selects within images, which are not decoded yet. "
            "Select whole images, or from np.asarray(images)."
        )
    if rows is Ellipsis:
        return slice(None)
    if isinstance(rows, slice):
        return rows
    is_position = isinstance(rows, int | np.integer) and not isinstance(rows, bool)
    rows = int(rows) if is_position else rows
    everything = range(n_images) if is_position else np.arange(n_images)  # a range is quick
    try:
        selected: NDArray[Any] = np.asarray(everything[rows])
    except IndexError as error:
        raise _no_such(rows, n_images, shorten(error)) from error
    if selected.ndim > 1:
        raise _no_such(rows, n_images, "it would add a dimension")
    return int(selected) if selected.ndim == 0 else [int(position) for position in selected]


def _no_such(rows: Any, n_images: int, reason: str) -> IndexError:
    remedy = f"positions from {-n_images} to {n_images - 1}, " if n_images else ""
    return IndexError(
        f"The index {show_value(rows)} cannot select from {n_images} images: {reason}. Pass "
        f"{remedy}a slice or a boolean mask."
    )
