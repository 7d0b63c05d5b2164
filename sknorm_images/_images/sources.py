"""What a loader takes: columns of paths, of bytes, of binary files, of images in memory."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images._common.wording import shorten, show_name, show_some, show_value
from sknorm_images._files.reading import Missing, Source, name_of
from sknorm_images._files.remote import check_protocols
from sknorm_images._images.decoding import Picture
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.saved_records import SAVED_SUFFIXES

_BYTES = bytes | bytearray | memoryview
_COLUMN_HINT = (
    "Pass a list, an array or a column of paths, bytes, binary files, or images of Pillow or "
    "NumPy."
)


def sources_of(X: Any, protocols: Sequence[str]) -> list[Source | Picture]:
    """Read X as paths, contents of files and images; file objects are read at once.

    Returns one source per item. `protocols` are those that paths and URLs in X may use. Raises
    TypeError or ValueError as `column_of` does, and if an item is of none of these kinds or
    its protocol is unknown or not allowed; ImportError if fsspec, or the library that it reads
    a URL with, is not installed.
    """
    # Most columns are of str, and may be long: these take no call each.
    items = [
        item if type(item) is str else _unpacked(item, i)
        for i, item in enumerate(column_of(X))
    ]
    check_protocols(items, protocols)  # before a file object is read
    return [item if type(item) is str else _source(item, i) for i, item in enumerate(items)]


def files_of(X: Any, protocols: Sequence[str]) -> list[Source]:
    """Read X as `sources_of` does, but raise TypeError if an item is an image in memory."""
    files: list[Source] = []
    for i, source in enumerate(sources_of(X, protocols)):
        if isinstance(source, Image.Image | np.ndarray):
            raise TypeError(
                f"Image {i} of X is in memory, not in a file. Pass paths, bytes or binary "
                "files."
            )
        files.append(source)
    return files


def refuse_missing(sources: Sequence[object]) -> None:
    """Raise ValueError if there are missing cells, and say in which rows."""
    missing = [(i, source) for i, source in enumerate(sources) if isinstance(source, Missing)]
    if missing:
        verb = "has" if len(missing) == 1 else "have"
        rows = show_some(
            missing,
            lambda row: f"{row[0]} ({row[1].cell})",
            rest="; check_images has them all",
        )
        raise ValueError(
            f"{len(missing)} of the {len(sources)} rows of X {verb} no path: {rows}. Drop "
            "these rows, and their labels, or pass on_error='blank' to JpegLoader."
        )


def is_missing(value: Any) -> bool:
    """Whether a cell is None, NaN, NaT or the NA of pandas."""
    if value is None:
        return True
    is_itself = value == value
    if isinstance(is_itself, bool | np.bool_):
        return not is_itself  # NaN and NaT differ from everything, even themselves
    return is_itself is value  # comparing NA with anything gives NA


def column_of(X: Any) -> list[Any]:
    """Read X as one column, whatever its container.

    X is a list, an array, or a pandas, Polars or Arrow column, of shape (n_samples,) or
    (n_samples, 1); or images in one array of shape (n_samples, height, width, n_channels).
    Raises TypeError if X is a single item or not a sequence, and ValueError if it has another
    shape.
    """
    if isinstance(X, LazyImages):
        raise TypeError(
            "X is LazyImages, which a JpegLoader made already. Pass the paths it was made of, "
            "or pass it to the steps that come after the loader, such as pipeline[1:]."
        )
    if isinstance(X, str | _BYTES | os.PathLike) or hasattr(X, "read"):
        path = f", {show_name(os.fsdecode(X))}" if isinstance(X, str | os.PathLike) else ""
        raise TypeError(
            f"X is a single {type(X).__name__}{path}, and a loader takes a sequence. Pass a "
            "list: [X] for one file, load_image_folder(X).filenames for a folder."
        )
    shape = getattr(X, "shape", None)
    if hasattr(X, "__dask_graph__") and len(shape or ()) <= 2:
        X = X.compute()  # its length may be unknown until then
        shape = X.shape
    if shape is None:
        return X.to_pylist() if _is_arrow(X) else _from_iterable(X)
    if len(shape) == 2 and shape[1] == 1:
        if _is_arrow(X):  # as NumPy, gaps in a dictionary column become one of its entries
            cells: list[Any] = next(iter(X.itercolumns())).to_pylist()
            return cells
        return list(_without_mask(np.asanyarray(X, dtype=object))[:, 0])
    if len(shape) == 1:
        return list(_without_mask(X))
    if len(shape) == 4:  # images in one array
        return list(X)
    raise ValueError(
        f"X is of shape {tuple(shape)}, neither a column nor (n, height, width, channels). "
        f"{_COLUMN_HINT}"
    )


def _is_arrow(X: Any) -> bool:
    """Whether X is an array or table of pyarrow, or of a library that follows it."""
    return hasattr(X, "to_pylist")


def _without_mask(column: Any) -> Any:
    """Put None where the mask of a masked array hides something."""
    if not isinstance(column, np.ma.MaskedArray):
        return column
    shown = np.ma.getdata(column).astype(object)
    shown[np.ma.getmaskarray(column)] = None
    return shown


def _from_iterable(X: Any) -> list[Any]:
    # Iterators can be read only once, by fit alone, and sets have no fixed order.
    if isinstance(X, Mapping) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        is_listed = isinstance(X, Mapping) and "filenames" in X  # as load_image_folder does
        hint = "Pass X.filenames." if is_listed else _COLUMN_HINT
        raise TypeError(f"X is a {type(X).__name__}, not a sequence. {hint}")
    items = list(X)
    if any(isinstance(item, list | tuple) for item in items):
        if not all(isinstance(item, list | tuple) and len(item) == 1 for item in items):
            raise ValueError(
                f"X is a sequence of sequences, and a loader takes one column. {_COLUMN_HINT}"
            )
        items = [item[0] for item in items]
    return items


def _unpacked(item: Any, position: int) -> Any:
    """Return what Hugging Face's Datasets keep of an image: its content, or else its path."""
    if not isinstance(item, Mapping):
        return item
    if not item.keys() or not item.keys() <= {"bytes", "path"}:
        raise TypeError(
            f"Image {position} of X is a dict with the keys {show_value([*item])}, and an "
            f"image in a dict has the keys 'bytes' and 'path'. {_COLUMN_HINT}"
        )
    content = item.get("bytes")
    return item.get("path") if is_missing(content) else content


def _source(item: Any, position: int) -> Source | Picture:
    if isinstance(item, str | os.PathLike | Image.Image):
        return item
    if isinstance(item, np.ndarray):
        _check_array(item, position)
        return item
    if isinstance(item, _BYTES):
        return bytes(item)
    if is_missing(item):
        return Missing(shorten(item))
    if isinstance(item, io.TextIOBase):
        raise TypeError(
            f"Image {position} of X is a file opened as text, and images are binary. "
            "Open it with mode 'rb'."
        )
    if hasattr(item, "read") and not isinstance(item, LazyImages):
        if hasattr(item, "seekable") and item.seekable():
            item.seek(0)  # a file just written is positioned at its end
        content = item.read()
        if isinstance(content, _BYTES):
            return bytes(content)
    raise TypeError(
        f"Image {position} of X is {show_value(item)}, of type {type(item).__name__}, "
        f"expected a path, bytes, a binary file or an image. {_COLUMN_HINT}"
    )


def _check_array(array: NDArray[Any], position: int) -> None:
    is_image = array.ndim == 2 or (array.ndim == 3 and array.shape[-1] in (1, 3, 4))
    if array.dtype != np.uint8 or not is_image or not array.size:
        raise ValueError(
            f"Image {position} of X is an array of shape {array.shape} and dtype "
            f"{array.dtype}, and images are (height, width) or (height, width, 1, 3 or 4), of "
            "dtype uint8, with grey levels from 0 to 255. Convert it, or pass arrays of other "
            "channels to the steps that come after the loader, such as pipeline[1:]. Put "
            "images of Pillow into a list, not into np.array."
        )


def refuse_files(X: Any, taker: str) -> None:
    """Raise ValueError if X is paths or contents of files, which a loader takes."""
    if len(X.shape) > 1:
        return
    first = next(iter(np.ravel(X)), None)
    if isinstance(first, str | bytes | os.PathLike):
        name = name_of(first)
        if Path(name).suffix.lower() in SAVED_SUFFIXES:
            raise ValueError(
                f"X is the path {show_name(name)}, and {taker} takes the array in it. Pass "
                f"SavedImages({show_name(name)})."
            )
        raise ValueError(
            f"X holds {show_name(name)}, and {taker} takes images. Put a "
            "JpegLoader and a Resizer before it, as make_image_pipeline does."
        )
