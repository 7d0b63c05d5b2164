"""save_images: decode images once, and keep them as an array on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.failures import Failures, report
from sknorm_images._common.parallel import map_rows
from sknorm_images._common.parameters import check_choice, check_number
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_name
from sknorm_images._files.protocols import is_url, was_url
from sknorm_images._files.reading import name_of
from sknorm_images._images.bulk_reading import read_alike
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.recipes import Recipe
from sknorm_images._images.stored import Array, StoredImages, is_stored_in_chunks
from sknorm_images._saving.npy_files import open_npy, whole_npy
from sknorm_images._saving.zarr_stores import open_store, whole_store


class Target(Protocol):
    """An array on disk, whose chunks several threads write in any order."""

    def found_in(self, rows: slice) -> tuple[int, int] | None:
        """Return what an earlier run told `mark` of a chunk; None if it has to be written."""

    def write(self, rows: slice, block: NDArray[Any]) -> None:
        """Write a chunk."""

    def mark(self, rows: slice, n_see_through: int, first: int) -> None:
        """Note that a chunk is complete, and which of its images lost transparency."""


class _Writer(Protocol):
    def __call__(
        self,
        path: Path,
        overwrite: bool,
        identify: Callable[[], str],
        shape: tuple[int, ...],
        dtype: np.dtype[Any],
        chunk_size: int,
    ) -> AbstractContextManager[Target]:
        """Write an array beside its place first; `identify` names what a run may resume."""


class _Format(NamedTuple):
    writing: _Writer
    open: Callable[[Path], Any]


_FORMATS = {".npy": _Format(whole_npy, open_npy), ".zarr": _Format(whole_store, open_store)}


@published("sknorm_images")
def save_images(
    images: Any,
    path: str | os.PathLike[str],
    *,
    overwrite: bool = False,
    chunk_size: int = 32,
) -> Any:
    """Decode images once, and save them as an array on disk.

    Training reads the array many times faster than it decodes files. Nothing stands under
    `path` until all is written, and no more than `chunk_size` images per job are in memory.

    Parameters
    ----------
    images : LazyImages or array-like of shape (n_samples, ...)
        What to save: usually ``pipeline[:-1].transform(paths)``, the uint8 pixels before a
        scaler, which are a quarter of what it makes of them. LazyImages are decoded in
        parallel, as their loader's `n_jobs` says.
    path : str or PathLike
        A file whose name ends in ``.npy``, or a Zarr store, a folder whose name ends in
        ``.zarr`` (format 3; ``pip install "sknorm-images[zarr]"``).
    overwrite : bool, default=False
        Whether to replace what is there, when the new array is complete.
    chunk_size : int, default=32
        Number of images that are written at once, and in a chunk of a Zarr store, which is
        read as one. Use the batch size if batches are read in order, and 1 if images are
        read at random.

    Returns
    -------
    numpy.memmap or zarr.Array
        The saved array, read-only, of the shape and dtype of `images`. Scalers and
        `PipelineDataset` take it, and never load it whole.

    Raises
    ------
    OSError
        If there is something at `path`, no folder for it, or too little space. There is then
        nothing new under `path`.
    ImportError
        If Zarr is asked for and not installed.
    ValueError
        If `path` ends in neither of the two or is a URL, or a parameter is out of its range;
        if there are no images, they differ in size, or none can be read.
    TypeError
        If `path` is no path, or `chunk_size` no integer.
    ImageDecodeError, OSError
        If an image cannot be read, unless the loader has ``on_error="blank"``: then it is
        black, and ``images.failures`` lists it. The array does not tell: give those images
        a `sample_weight` of 0 in whatever reads it.

    See Also
    --------
    LazyImages : What is saved.
    sknorm_images.distributed.to_dask_array : Writes from a cluster.

    Notes
    -----
    A Zarr store is written to a hidden folder beside `path`. If the run is interrupted,
    killed, or fails, what is complete stays there, and the same call resumes it, also after
    files that failed were repaired. It is the same call if the LazyImages have the
    same paths, the same settings of colour, decoding and size, and the same `chunk_size`;
    `on_error` and `n_jobs` may differ, and what is in the files is not compared. Other
    arrays, and ``.npy`` files, are started over. What killed runs left is removed by the next
    run that writes to the same path: what another call could resume, when the new store is
    in place, and the rest before it begins.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import make_image_pipeline, save_images
    >>> photos = np.stack(load_sample_images().images)
    >>> pipeline = make_image_pipeline((96, 128))
    >>> images = pipeline[:-1].transform(photos)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = save_images(images, Path(folder, "photos.npy"))
    ...     scaled = pipeline[-1].fit_transform(saved)
    >>> saved.shape, saved.dtype, scaled.dtype
    ((2, 96, 128, 3), dtype('uint8'), dtype('float32'))
    """
    check_choice("overwrite", overwrite, (True, False))
    check_number("chunk_size", chunk_size, low=1, integral=True)
    target, storage = _checked_path(path)
    if not isinstance(images, LazyImages):
        is_stored = is_stored_in_chunks(images)
        images = StoredImages(images, finite=False) if is_stored else np.asarray(images)
    _check_saveable(images)
    shape, dtype, chunk_size = _shape_of(images), images.dtype, int(chunk_size)

    def identify() -> str:
        return _identity(images, shape, chunk_size)

    with storage.writing(target, overwrite, identify, shape, dtype, chunk_size) as array:
        report(_write(images, array, shape, chunk_size), len(images))
    return storage.open(target)


def _checked_path(path: Any) -> tuple[Path, _Format]:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path is a {type(path).__name__}, which names no file. Call "
            f"save_images(images, path), with a path that ends in {' or '.join(_FORMATS)}."
        )
    name = os.fspath(path)
    if is_url(name) or was_url(name):
        raise ValueError(
            f"path={show_name(name)} is a URL, and arrays are saved on this machine. Pass a "
            "path, or write with sknorm_images.distributed.to_dask_array(...).to_zarr(...)."
        )
    for suffix, storage in _FORMATS.items():
        if name.endswith(suffix):
            return Path(name), storage
    raise ValueError(
        f"path={show_name(name)} ends in neither {' nor '.join(_FORMATS)}, and that says how "
        "to save. Pass a path that does."
    )


def _check_saveable(images: LazyImages | Array) -> None:
    if not images.shape or not len(images) or images.dtype.kind not in "buif":
        raise ValueError(
            f"images is of shape {images.shape} and dtype {images.dtype}, which holds no "
            "images. Pass numbers of shape (n, height, width, channels), or what a "
            "pipeline makes of paths: pipeline[:-1].transform(paths)."
        )


def _shape_of(images: LazyImages | Array) -> tuple[int, ...]:
    return images._common_shape() if isinstance(images, LazyImages) else images.shape


def _identity(images: LazyImages | Array, shape: tuple[int, ...], chunk_size: int) -> str:
    """Name what is saved, so that another run can resume it; arrays are started over."""
    if not isinstance(images, LazyImages):
        return token_hex(4)
    return f"{images._fingerprint(shape)[:16]}-{chunk_size}"


def _write(
    images: LazyImages | Array,
    target: Target,
    shape: tuple[int, ...],
    chunk_size: int,
) -> Failures:
    """Write images chunk by chunk, except those that an earlier run completed."""
    if not isinstance(images, LazyImages):
        for _ in map_rows(
            images, lambda rows: target.write(rows, images[rows]), multiple_of=chunk_size
        ):
            pass
        return Failures()

    def save(recipe: Recipe, sources: Sequence[Any], rows: slice) -> tuple[Failures, None]:
        if (found := target.found_in(rows)) is not None:
            failures, (n_see_through, first) = Failures(), found
            if n_see_through:
                first = min(first, len(sources) - 1)  # it is from a file, which may be damaged
                failures.note_transparency(first, name_of(sources[first]), n_see_through)
            return failures, None
        block = np.empty((len(sources), *shape[1:]), np.uint8)
        failures = read_alike(recipe, sources, rows.start, shape[1:], block.__setitem__)
        target.write(rows, failures.zeroed(block))
        if not failures:  # another run tries these files again
            target.mark(rows, failures.n_see_through, failures.first_see_through[0])
        return failures, None

    return images._reduce(save, local=True, chunk_size=chunk_size, description="save")[1]
