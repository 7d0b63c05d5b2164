"""SavedImages: an array on disk that save_images wrote, and which images are blank in it."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib import format as npy
from numpy.typing import DTypeLike, NDArray

from sknorm_images._common.exceptions import ImageDecodeError, ImageDecodeWarning
from sknorm_images._common.failures import Failures, report
from sknorm_images._common.parallel import map_rows
from sknorm_images._common.published import published
from sknorm_images._common.wording import shorten, show_name
from sknorm_images._files.stamps import stamp
from sknorm_images._images.indexing import select
from sknorm_images._images.saved_records import (
    RECORD_KEY,
    SAVED_SUFFIXES,
    Beside,
    SavedRecord,
    looks_of,
    record_file,
)
from sknorm_images._images.stored import StoredImages, record_in


@published("sknorm_images")
class SavedImages:
    """Images in an array on disk, which is read in parts, as they are needed.

    `save_images` returns it, and ``SavedImages(path)`` opens it again. Scalers and
    `PipelineDataset` take it, and leave blank images out, as with LazyImages.

    Parameters
    ----------
    path : str or PathLike
        An ``.npy`` file or a ``.zarr`` folder. Arrays that other programs wrote have no
        `failures`.

    Attributes
    ----------
    path : str
        The absolute path.
    array : numpy.memmap or zarr.Array
        The array on disk, read-only, with all rows.
    failures : dict of int to ImageDecodeError
        Images that could not be read when they were saved, and are black: their position, and
        why.
    target : ndarray of shape (n_samples, ...), or None
        Labels that were saved with the images, read-only.
    filenames : list of str, or None
        Names of files that were saved with the images.
    shape : tuple of ints
        Of all images, ``(n_samples, ...)``.
    dtype : dtype
        Data type of the pixels.
    ndim : int
        Number of dimensions.

    Raises
    ------
    OSError
        If there is no such array.
    ValueError
        If `path` ends in neither ``.npy`` nor ``.zarr``, or is not such an array.
    TypeError
        If it is not a path.
    ImportError
        If Zarr is needed and not installed.

    See Also
    --------
    save_images : Writes it.
    LazyImages : Images that are decoded whenever they are read.

    Notes
    -----
    A Zarr array that `save_images` wrote has a file for every chunk, also for black ones. If a
    file is missing, because a copy of the store is incomplete, reading raises an OSError that
    names the rows. `check` reads the whole store.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from pathlib import Path
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import SavedImages, make_image_pipeline, save_images
    >>> photos = load_sample_images().images
    >>> images = make_image_pipeline((96, 128))[:-1].transform(photos)
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = save_images(images, Path(folder, "photos.npy"))
    ...     saved = SavedImages(Path(folder, "photos.npy"))
    ...     first = saved[0]
    >>> first.shape, saved.shape, saved[:1].shape, saved.failures
    ((96, 128, 3), (2, 96, 128, 3), (1, 96, 128, 3), {})
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        if not isinstance(path, str | os.PathLike):
            raise TypeError(
                f"path is a {type(path).__name__}, which is not a path. Pass the path that "
                "save_images was given."
            )
        given = Path(path)
        if given.suffix not in SAVED_SUFFIXES:
            suffixes = " nor ".join(SAVED_SUFFIXES)
            raise ValueError(
                f"path={show_name(str(given))} ends in neither {suffixes}, so it is not a "
                "saved array. Pass the path that save_images was given."
            )
        self.path = str(given.absolute())
        self._rows: NDArray[np.intp] | None = None
        self.array, self._record = open_saved(given)
        self._target, self._filenames = self._record.beside.read(self.array.shape[0])

    def __len__(self) -> int:
        n_rows: int = self.array.shape[0] if self._rows is None else len(self._rows)
        return n_rows

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of all images, ``(n_samples, ...)``."""
        return len(self), *self.array.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Data type of the pixels."""
        dtype: np.dtype[Any] = np.dtype(self.array.dtype)
        return dtype

    @property
    def ndim(self) -> int:
        """Number of dimensions."""
        return len(self.shape)

    @property
    def failures(self) -> dict[int, ImageDecodeError | OSError]:
        """Images that could not be read when they were saved: their position, and why."""
        return dict(self._stored().failures)

    @property
    def target(self) -> NDArray[Any] | None:
        """Labels that were saved with the images."""
        if self._target is None or self._rows is None:
            return self._target
        return self._target[self._rows]

    @property
    def filenames(self) -> list[str] | None:
        """Names of files that were saved with the images."""
        if self._filenames is None or self._rows is None:
            return self._filenames
        return [self._filenames[row] for row in self._rows.tolist()]

    def __getitem__(self, key: Any) -> Any:
        """Read one image, or select some.

        Parameters
        ----------
        key : int, slice, array-like of int or bool, or (rows, ...)
            Which ones, as NumPy reads the first axis of an array.

        Returns
        -------
        ndarray, or SavedImages
            The image; or those that are selected, and not read yet.

        Raises
        ------
        IndexError
            If there is no such image.
        OSError
            If it cannot be read.
        """
        rows = select(key, len(self))
        if not isinstance(rows, int):
            everything = np.arange(self.array.shape[0]) if self._rows is None else self._rows
            some = object.__new__(type(self))
            some.__dict__.update(vars(self) | {"_rows": everything[rows]})
            return some
        row = rows % len(self)
        stored = self._stored()
        if found := stored.failures.at([row]):
            warnings.warn(ImageDecodeWarning(found, 1), stacklevel=2)
        return stored[np.array([row])][0]

    def __iter__(self) -> Iterator[NDArray[Any]]:
        stored = self._stored()
        for row in range(len(self)):
            yield stored[row : row + 1][0]
        report(stored.failures, len(self))

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "SavedImages are on disk, so an array of them is a new one. Use "
                "np.asarray(images), without copy=False, or their `array`."
            )
        pixels, failures = self.read()
        report(failures, len(self))
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def __reduce__(self) -> tuple[Any, ...]:
        # Nothing reads the stamp, but what joblib hashes shows by it that a file changed.
        path = Path(self.path)
        is_npy = path.suffix == ".npy"
        files = [path, record_file(path)] if is_npy else [path / "zarr.json"]
        return _reopened, (self.path, self._rows, stamp(files))

    def __repr__(self) -> str:
        n_blank = len(self._stored().failures)
        blank = f", {n_blank:,} of them blank" if n_blank else ""
        size = " x ".join(map(str, self.shape[1:]))
        return f"<SavedImages: {len(self):,} images of {size}, {self.dtype}{blank}>"

    def read(self) -> tuple[NDArray[Any], Failures]:
        """Read all images into one array.

        Returns
        -------
        pixels : ndarray of shape (n_samples, ...)
            The images. Those that could not be read when they were saved are black.
        failures : dict of int to Exception
            Their positions, and why. They cause no warning.

        Raises
        ------
        OSError
            If a chunk is missing, or cannot be read.
        """
        stored = self._stored()
        return np.array(stored[:]), stored.failures  # a copy, which can be written to

    def _common_shape(self) -> tuple[int, ...]:
        return self.shape

    def check(self) -> Self:
        """Read the whole array, also rows that were not selected, to see if any are lost.

        Returns
        -------
        SavedImages
            Itself.

        Raises
        ------
        OSError
            If chunks are missing or cannot be read. The message names their rows.
        """
        stored = StoredImages(self.array, finite=False, failures=Failures())
        stored.refuse_lost(stored.lost_chunks())

        def read(rows: slice) -> None:
            try:
                stored[rows]
            except Exception as error:  # Zarr's codecs raise whatever their libraries do
                raise OSError(
                    f"Rows {rows.start} to {rows.stop - 1} of {show_name(self.path)} cannot "
                    f"be read: {shorten(error)}. Copy the array again, or save it anew."
                ) from error

        for _ in map_rows(stored, read):
            pass
        return self

    def _stored(self, *, finite: bool = False) -> StoredImages:
        """Make what reads the rows; if `finite`, NaN and infinity are refused."""
        failures = self._record.failures
        return StoredImages(self.array, finite=finite, failures=failures, rows=self._rows)

    def _for_scaler(self) -> StoredImages | NDArray[Any]:
        """Make what a scaler reads: a mapped file as it is, unless there is more to know."""
        is_whole = self._rows is None and not self._record.failures
        if is_whole and isinstance(self.array, np.ndarray):
            return self.array
        stored = self._stored(finite=True)
        return stored if self.ndim > 2 else stored[:]  # tables are small


def _reopened(path: str, rows: NDArray[np.intp] | None, _: object) -> SavedImages:
    images = SavedImages(path)
    images._rows = rows
    return images


def open_saved(path: Path) -> tuple[Any, SavedRecord]:
    """Open an array to read, with its record, which is empty if others wrote the array."""
    if path.suffix == ".zarr":
        zarr = import_zarr()
        try:
            array = zarr.open_array(str(path), mode="r")
        except (OSError, ValueError, TypeError, KeyError) as error:
            if not path.exists():
                raise
            raise _unopened(path, error) from error
        return array, record_in(array) or SavedRecord()
    text = _record_text(path)
    while True:
        try:
            array = npy.open_memmap(path, mode="r")  # np.load would take archives, too
            if not array.ndim:
                raise ValueError("it holds a single number")
        except (ValueError, EOFError) as error:
            raise _unopened(path, error) from error
        before, text = text, _record_text(path)
        if text == before:  # else another run replaced both meanwhile
            return array, _of_array(_parsed(text), array)


def _unopened(path: Path, error: Exception) -> ValueError:
    return ValueError(
        f"{show_name(str(path))} is not an array that save_images or NumPy wrote "
        f"({shorten(error)}). Pass another path, or save the images again."
    )


def _record_text(path: Path) -> str | None:
    try:
        return record_file(path).read_text(encoding="ascii", errors="replace")
    except FileNotFoundError:
        return None


def _parsed(text: str | None) -> SavedRecord:
    if text is None:
        return SavedRecord()
    try:
        saved = json.loads(text)
    except ValueError:
        saved = None
    return SavedRecord.from_json(saved.get(RECORD_KEY) if isinstance(saved, dict) else None)


def _of_array(record: SavedRecord, array: NDArray[Any]) -> SavedRecord:
    """Forget what is recorded of another array: failures of rows that are not black, labels.

    It may be, if a run was killed as it replaced the array, or others wrote a file of the same
    name.
    """
    failures = Failures(
        (row, error)
        for row, error in record.failures.items()
        if row < len(array) and (record.is_being_mended or not array[row].any())
    )
    beside = record.beside
    if record.looks is not None and record.looks != looks_of(array, record.failures):
        beside = Beside()
    return SavedRecord(record.identity, failures, record.is_being_mended, beside)


def import_zarr() -> Any:
    """Import Zarr; raises ImportError that says how to install it."""
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            f"A .zarr path needs Zarr, and importing it fails: {error}. "
            'Run: python -m pip install "sknorm-images[zarr]"'
        ) from error
    return zarr
