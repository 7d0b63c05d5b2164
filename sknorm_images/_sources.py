"""What a loader takes: columns of paths, of bytes or of binary files."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any

import numpy as np

from sknorm_images._images import LazyImages
from sknorm_images._reading import Source

_BYTES = bytes | bytearray | memoryview
_COLUMN_HINT = "Pass a list, an array or a column of paths, of bytes or of binary files."


def sources_of(X: Any) -> list[Source]:
    """Read X as paths and contents of files; file objects are read at once.

    Parameters
    ----------
    X : array-like of shape (n_samples,) or (n_samples, 1)
        Paths, bytes or binary files.

    Returns
    -------
    list of str, PathLike or bytes
        A source each.

    Raises
    ------
    TypeError, ValueError
        As `column_of` raises them; TypeError, too, if an item is neither of these.
    """
    return [_source(item, i) for i, item in enumerate(column_of(X))]


def column_of(X: Any) -> list[Any]:
    """Read X as one column, whatever container it comes in.

    Parameters
    ----------
    X : array-like of shape (n_samples,) or (n_samples, 1)
        A list, an array, or a pandas or polars column.

    Returns
    -------
    list
        The items.

    Raises
    ------
    TypeError
        If X is a lone item, or no sequence.
    ValueError
        If X has another shape.
    """
    if isinstance(X, LazyImages):
        raise TypeError(
            "X is LazyImages, which a JpegLoader made already. Pass the paths it was made of, "
            "or pass it to the steps that come after the loader, such as pipeline[1:]."
        )
    if isinstance(X, str | _BYTES | os.PathLike) or hasattr(X, "read"):
        raise TypeError(
            f"X is a single {type(X).__name__}, and a loader takes a sequence. Put a file in "
            "a list: [X]; for a folder, pass load_image_folder(X).filenames."
        )
    shape = getattr(X, "shape", None)
    if shape is None:
        return _from_iterable(X)
    if len(shape) == 2 and shape[1] == 1:
        return list(np.asarray(X, dtype=object)[:, 0])
    if len(shape) == 1:
        return list(X)
    raise ValueError(
        f"X is of shape {tuple(shape)}, not of one dimension. {_COLUMN_HINT} Arrays of pixels "
        "go to the steps that come after the loader, such as pipeline[1:]."
    )


def _from_iterable(X: Any) -> list[Any]:
    # What can be read only once, or in no certain order, would be read by fit alone.
    if isinstance(X, Mapping) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise TypeError(f"X is a {type(X).__name__}, not a sequence. {_COLUMN_HINT}")
    items = list(X)
    if any(isinstance(item, list | tuple) for item in items):
        if not all(isinstance(item, list | tuple) and len(item) == 1 for item in items):
            raise ValueError(f"X is a sequence of sequences. {_COLUMN_HINT}")
        items = [item[0] for item in items]
    return items


def _source(item: Any, position: int) -> Source:
    if isinstance(item, str | os.PathLike):
        return item
    if isinstance(item, _BYTES):
        return bytes(item)
    if isinstance(item, io.TextIOBase):
        raise TypeError(
            f"Image {position} of X is a file opened as text, and images are binary. "
            "Open it with mode 'rb'."
        )
    if hasattr(item, "read") and not isinstance(item, LazyImages):
        if hasattr(item, "seekable") and item.seekable():
            item.seek(0)  # a file that was just written stands at its end
        content = item.read()
        if isinstance(content, _BYTES):
            return bytes(content)
    raise TypeError(
        f"Image {position} of X is {item!r:.60}, of type {type(item).__name__}, and no path, "
        f"bytes or binary file. {_COLUMN_HINT}"
    )
