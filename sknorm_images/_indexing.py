"""What an index selects from a sequence of images."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._wording import show_value


def select(key: Any, n_images: int) -> int | slice | list[int]:
    """Read the key of ``images[key]`` as NumPy reads it for the first axis of an array.

    Parameters
    ----------
    key : int, slice, array-like of int or bool, or tuple of one of them and Ellipsis
        The key. scikit-learn passes ``(rows, ...)`` to anything that has a shape.
    n_images : int
        Length of the sequence.

    Returns
    -------
    int, slice or list of int
        One position, from 0 on; or what selects several, where -1 is the last one.

    Raises
    ------
    IndexError
        If the key selects anything else, or an image that is not there.
    """
    key = _first_axis(key if isinstance(key, tuple) else (key,))
    if isinstance(key, slice):
        return key
    positions = _positions(np.asarray(key), n_images)
    if positions.ndim == 0:
        return int(positions) % n_images
    return [int(position) for position in positions]


def _positions(positions: NDArray[Any], n_images: int) -> NDArray[Any]:
    """Check positions, or make them of a mask."""
    if positions.ndim > 1:
        raise IndexError(
            f"An index of {positions.ndim} dimensions cannot select from {n_images} images, "
            "which have one. Pass a slice, a list of positions or a boolean mask."
        )
    if positions.dtype == bool:
        if positions.shape != (n_images,):
            raise IndexError(
                f"A boolean mask of shape {positions.shape} cannot select from {n_images} "
                "images. Pass one True or False an image."
            )
        positions = np.flatnonzero(positions)
    if positions.size and positions.dtype.kind not in "iu":
        raise IndexError(
            f"An index of dtype {positions.dtype} selects no images. Pass integers, a slice "
            "or a boolean mask."
        )
    outside = (positions < -n_images) | (positions >= n_images)
    if outside.any():
        remedy = f"positions from {-n_images} to {n_images - 1}" if n_images else "others"
        raise IndexError(
            f"There is no image {positions[outside].flat[0]} among {n_images} images. Pass "
            f"{remedy}."
        )
    return positions


def _first_axis(key: tuple[Any, ...]) -> Any:
    rows, *others = key or (slice(None),)
    if not all(
        other is Ellipsis or (isinstance(other, slice) and other == slice(None))
        for other in others
    ):
        raise IndexError(
            f"The index {show_value(key)} selects within images, which are not decoded yet. "
            "Select whole images, or from np.asarray(images)."
        )
    return slice(None) if rows is Ellipsis else rows
