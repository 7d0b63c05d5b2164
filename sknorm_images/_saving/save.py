"""save_images: decode images once, and keep them as an array on disk."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from functools import cache
from numbers import Real
from pathlib import Path
from secrets import token_hex
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import Failures, report
from sknorm_images._common.parallel import map_rows
from sknorm_images._common.parameters import check_choice, check_number
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_name, show_value
from sknorm_images._files.protocols import is_url, was_url
from sknorm_images._files.reading import name_of
from sknorm_images._images.bulk_reading import read_alike
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.recipes import Recipe
from sknorm_images._images.saved import SavedImages
from sknorm_images._images.saved_records import Beside, SavedRecord, named
from sknorm_images._images.stored import (
    Array,
    StoredImages,
    failures_of,
    is_stored_in_chunks,
)
from sknorm_images._saving.npy_files import mended_npy, whole_npy
from sknorm_images._saving.zarr_stores import mended_store, whole_store


class Target(Protocol):
    """An array on disk, whose chunks several threads write in any order."""

    def found_in(self, rows: slice) -> tuple[int, int] | None:
        """Return what an earlier run told `mark` of a chunk; None if it has to be written."""

    def write(self, rows: slice, block: NDArray[Any]) -> None:
        """Write a chunk."""

    def mark(self, rows: slice, n_see_through: int, first: int) -> None:
        """Note that a chunk is complete, and which of its images lost transparency."""

    def describe(self, record: SavedRecord) -> None:
        """Keep a record of the failures, when all chunks are written."""


class MendedTarget(Protocol):
    """An array on disk that is complete, some of whose rows are written anew."""

    def write_rows(self, rows: NDArray[np.intp], block: NDArray[Any]) -> None:
        """Write images at their positions; several threads do."""

    def describe(self, record: SavedRecord) -> None:
        """Keep a record of the failures that are left, when all rows are written."""


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
    mending: Callable[[Path, SavedRecord], AbstractContextManager[MendedTarget]]


_FORMATS = {
    ".npy": _Format(whole_npy, mended_npy),
    ".zarr": _Format(whole_store, mended_store),
}


@published("sknorm_images")
def save_images(
    images: Any,
    path: str | os.PathLike[str],
    *,
    overwrite: bool | str = False,
    chunk_size: int = 32,
    target: ArrayLike | None = None,
    filenames: Sequence[str | os.PathLike[str]] | None = None,
) -> SavedImages:
    """Decode images once, and save them as an array on disk.

    Training reads the array many times faster than it decodes files. `path` does not exist
    until the array is complete. At most `chunk_size` images per job are in memory.

    Parameters
    ----------
    images : LazyImages or array-like of shape (n_samples, ...)
        The images, usually ``pipeline[:-1].transform(paths)``: the uint8 pixels before a
        scaler, a quarter the size of its output. LazyImages are decoded in parallel, with the
        `n_jobs` of their loader.
    path : str or PathLike
        A file whose name ends in ``.npy``, or a Zarr store, a folder whose name ends in
        ``.zarr`` (format 3; ``pip install "sknorm-images[zarr]"``).
    overwrite : bool or "failed", default=False
        Whether to replace an existing array, once the new one is complete. "failed" decodes
        again only those of the same LazyImages that could not be read, or whose chunk of a
        Zarr store is missing. If `path` does not exist, it saves all images.
    chunk_size : int, default=32
        Number of images that are written at once, and the number in a chunk of a Zarr store,
        which is read as a whole. Use the batch size if batches are read in order, or shuffled
        with `shuffle_window` of `PipelineDataset`, and 1 if images are read at random.
    target : array-like of shape (n_samples,) or (n_samples, n_outputs), default=None
        Labels to save with the images: numbers, or strings.
    filenames : sequence of str or PathLike, default=None
        Names of files to save with the images.

    Returns
    -------
    SavedImages
        The saved array, of the shape and dtype of `images`. Scalers and `PipelineDataset`
        take it, and never load it whole. ``SavedImages(path)`` opens it again; its attribute
        ``array`` is the `numpy.memmap` or ``zarr.Array``.

    Raises
    ------
    OSError
        If `path` exists, its folder does not, or there is too little space. `path` is then
        left as it was.
    ImportError
        If `path` ends in ``.zarr`` and Zarr is not installed.
    ValueError
        If `path` has neither ending or is a URL, or a parameter is out of its range; if there
        are no images, they differ in size, or none can be read; if ``overwrite="failed"`` and
        the array was saved from other images, or with other labels; if the number of labels or
        names differs from that of the images.
    TypeError
        If `path` is not a path, `chunk_size` not an integer, or `filenames` not paths.
    ImageDecodeError, OSError
        If an image cannot be read, unless the loader has ``on_error="blank"``. It is then
        black, and listed in `failures` of the returned array, also when that is opened again.

    See Also
    --------
    SavedImages : Opens it again.
    LazyImages : What is saved.
    sknorm_images.distributed.to_dask_array : Writes from a cluster.

    Notes
    -----
    A Zarr store is written to a hidden folder beside `path`. If the run is interrupted,
    killed, or fails, the complete chunks stay there, and the same call resumes, also after
    broken files were repaired. The LazyImages must have the same paths, the same settings of
    colour, decoding and size, and the same `chunk_size`; `on_error` and `n_jobs` may differ,
    and the contents of the files are not compared. Other arrays, and ``.npy`` files, start
    over. The next run that writes to the same path removes what killed runs left behind:
    chunks that another call could resume, once the new store is in place, and the rest before
    it begins.

    A record of the failures (row, path, reason), with `target` and `filenames`, is kept in the
    attribute ``sknorm_images`` of the Zarr array, or in a file beside the ``.npy`` file whose
    name has ``.sknorm-images.json`` added. Copy it along. `numpy.load` does not need it, but
    without it `SavedImages` has no labels and does not know which images are blank.

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
    check_choice("overwrite", overwrite, (True, False, "failed"))
    check_number("chunk_size", chunk_size, low=1, integral=True)
    place, storage = _checked_path(path)
    if isinstance(images, SavedImages):
        target = images.target if target is None else target
        filenames = images.filenames if filenames is None else filenames
        images = images._stored()
    elif not isinstance(images, LazyImages):
        is_stored = is_stored_in_chunks(images)
        images = StoredImages(images, finite=False) if is_stored else np.asarray(images)
    _check_saveable(images)
    beside = _beside(target, filenames, len(images))
    shape, dtype, chunk_size = _shape_of(images), images.dtype, int(chunk_size)

    @cache
    def fingerprint() -> str | None:
        return images._fingerprint(shape) if isinstance(images, LazyImages) else None

    def identify() -> str:
        """Name what is saved, so that another run can resume it; arrays are started over."""
        return f"{name[:16]}-{chunk_size}" if (name := fingerprint()) else token_hex(4)

    if overwrite == "failed" and place.exists():
        failures = _save_failed(images, place, storage, shape, fingerprint(), beside)
        report(failures, len(images))
        return SavedImages(place)

    replaces = overwrite is True
    with storage.writing(place, replaces, identify, shape, dtype, chunk_size) as array:
        failures = _write(images, array, shape, chunk_size)
        record = SavedRecord(fingerprint(), _with_names(failures, images), beside=beside)
        array.describe(record)
        report(failures, len(images))
    return SavedImages(place)


def _checked_path(path: Any) -> tuple[Path, _Format]:
    if not isinstance(path, str | os.PathLike):
        raise TypeError(
            f"path is a {type(path).__name__}, which is not a path. Call "
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
        f"path={show_name(name)} ends in neither {' nor '.join(_FORMATS)}, so the format is "
        "unknown. Pass a path with one of these suffixes."
    )


def _check_saveable(images: LazyImages | Array) -> None:
    if not images.shape or not len(images) or images.dtype.kind not in "buif":
        raise ValueError(
            f"images is of shape {images.shape} and dtype {images.dtype}, which is not an "
            "array of images. Pass numbers of shape (n, height, width, channels), or the "
            "output of a pipeline, pipeline[:-1].transform(paths)."
        )


def _beside(target: Any, filenames: Any, n_images: int) -> Beside:
    """Check labels and names of files, and describe them as a record keeps them."""
    labels = None if target is None else _labels(target)
    names = None if filenames is None else _names(filenames)
    for name, values in (("target", labels), ("filenames", names)):
        if values is not None and len(values) != n_images:
            raise ValueError(
                f"{name} has {len(values)} entries, and there are {n_images} images. Pass one "
                "for each, in the same order."
            )
    return Beside.of(labels, names)


def _labels(target: Any) -> NDArray[Any]:
    shape = getattr(target, "shape", None)
    if shape is None or len(shape) <= 2:  # images are not read only to be refused
        labels = np.asarray(target)
        if labels.dtype.kind == "U" and not hasattr(target, "dtype"):
            labels = np.asarray(target, dtype=object)  # else 1 and NaN would be text
        if labels.dtype == object and all(isinstance(label, str) for label in labels.flat):
            labels = labels.astype(str)
        elif labels.dtype == object and all(isinstance(label, Real) for label in labels.flat):
            labels = np.array(labels.tolist())
        shape = labels.shape
        are_numbers = labels.dtype.kind in "buif" and labels.dtype.itemsize <= 8
        is_known = labels.dtype.kind == "U" or (are_numbers and np.isfinite(labels).all())
        if len(shape) in (1, 2) and is_known:
            return labels
    raise ValueError(
        f"target is of shape {shape}, and holds other things than labels: numbers or strings, "
        "one or one row for each image, and none missing, NaN or infinite. Pass such labels; "
        "save masks as an array of their own."
    )


def _names(filenames: Any) -> list[str]:
    is_column = hasattr(filenames, "__iter__") and not isinstance(filenames, str)
    names = list(filenames) if is_column else []
    if not is_column or not all(isinstance(name, str | os.PathLike) for name in names):
        raise TypeError(
            f"filenames={show_value(filenames)} is not a sequence of paths. Pass one str or "
            "PathLike for each image."
        )
    return [os.fsdecode(name) for name in names]


def _shape_of(images: LazyImages | Array) -> tuple[int, ...]:
    return images._common_shape() if isinstance(images, LazyImages) else images.shape


def _with_names(failures: Failures, images: LazyImages | Array) -> Failures:
    if not isinstance(images, LazyImages):
        return failures
    return named(failures, {row: name_of(images._sources[row]) for row in failures})


def _save_failed(
    images: LazyImages | Array,
    path: Path,
    storage: _Format,
    shape: tuple[int, ...],
    fingerprint: str | None,
    beside: Beside,
) -> Failures:
    """Decode the images again that failed, or whose chunk was lost, and write them."""
    saved = SavedImages(path)
    record, stored = saved._record, saved._stored()
    if not isinstance(images, LazyImages) or record.identity != fingerprint:
        raise ValueError(
            f"overwrite='failed' adds to {show_name(str(path))}, and that was not saved from "
            "the same images: paths, settings of the steps, or the version of sknorm_images "
            "differ. Pass LazyImages made as before, or overwrite=True to save them all."
        )
    if beside not in (Beside(), record.beside):
        raise ValueError(
            f"overwrite='failed' keeps the labels and file names in {show_name(str(path))}, "
            "and you passed others. Leave them out, or pass overwrite=True to save all anew."
        )
    listed = Failures(record.failures)
    for chunk in stored.lost_chunks():
        for row in stored.rows_of_chunk(chunk):
            listed[row] = ImageDecodeError(name_of(images._sources[row]), "was lost", row)
    if not listed:
        return Failures()
    rows = np.array(sorted(listed))
    some = images[rows]

    def save(recipe: Recipe, sources: Sequence[Any], part: slice) -> tuple[Failures, None]:
        block = np.empty((len(sources), *shape[1:]), np.uint8)
        failures = read_alike(recipe, sources, part.start, shape[1:], block.__setitem__)
        if not failures or recipe.on_error == "blank":
            target.write_rows(rows[part], failures.zeroed(block))
        return failures, None

    record = replace(record, failures=listed, is_being_mended=False)
    with storage.mending(path, record) as target:
        try:
            _, found = some._reduce(save, reach="process", description="save")
        except ImageDecodeError as error:
            if error.position is not None:
                error.position = int(rows[error.position])
            raise
        failures = found.renumbered(rows)
        target.describe(replace(record, failures=_with_names(failures, images)))
    images._failures = failures
    return failures


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
        return failures_of(images)

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

    return images._reduce(save, reach="process", chunk_size=chunk_size, description="save")[1]
