"""Images in an array that is read slice by slice: of Zarr, h5py or Dask, or a saved one."""

from __future__ import annotations

from copy import copy
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Self, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.utils import assert_all_finite

from sknorm_images._common.aligned import empty_aligned
from sknorm_images._common.failures import Failures
from sknorm_images._common.wording import show_name, show_some
from sknorm_images._images.kept_parts import KeptParts
from sknorm_images._images.saved_records import RECORD_KEY, SavedRecord

_N_SAMPLED = 64  # numbers of an image, to see whether it may be black
_RUN = 32  # images read at once where the array says nothing: as many as save_images writes


class StoredImages:
    """Images in an array that is never read whole.

    The array has `shape`, (n_samples, ..., n_channels), and `dtype`, and can be sliced; one of
    Zarr, h5py or Dask has `chunks`. If `finite`, NaN and infinity are refused when they are
    read. `failures` are the rows of the array that are blank, and why; None takes those that a
    Zarr array tells. `rows` selects images, by their position in the array.

    Reading a Zarr array that `save_images` wrote raises OSError where a chunk is missing.
    """

    _kept: KeptParts | None = None

    def __init__(
        self,
        array: Any,
        *,
        finite: bool = True,
        failures: Failures | None = None,
        rows: NDArray[np.intp] | None = None,
    ) -> None:
        if any(length != length for length in array.shape):  # NaN, which Dask has for these
            raise ValueError(
                f"X is a Dask array of unknown size, of shape {tuple(array.shape)}. Call "
                "X.compute_chunk_sizes() first."
            )
        self._array = array
        self._finite = finite
        self._rows = rows
        record = record_in(array)
        self._is_complete = record is not None and _has_chunks_of_whole_images(array)
        if failures is None:
            failures = Failures() if record is None else record.failures
        self.failures = failures if rows is None else failures.at(rows)
        n_images = array.shape[0] if rows is None else len(rows)
        self.shape: tuple[int, ...] = (n_images, *array.shape[1:])
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> NDArray[Any]:
        """Read some images; those that are listed as blank are zeros."""
        failures = self.failures.at(rows)
        if self._rows is not None:
            rows = self._rows[rows]
        if self._kept is None or isinstance(rows, slice):
            return failures.zeroed(self._read(rows))
        return failures.zeroed(self._gather(rows, self._kept))

    def _read(self, rows: slice | NDArray[np.intp]) -> NDArray[Any]:
        """Read rows of the array."""
        if not isinstance(rows, slice) and (np.diff(rows) == 1).all():
            rows = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0)
        if isinstance(rows, slice) or isinstance(self._array, np.ndarray):
            block = np.asarray(self._array[rows])
        else:  # Zarr takes 4 times as long when it is given all positions at once
            block = np.stack([self._array[int(row)] for row in rows])
        if self._is_complete:
            self._refuse_lost_images(block, rows)
        if self._finite:
            assert_all_finite(block, input_name="X")
        return block

    def _gather(self, rows: NDArray[np.intp], kept: KeptParts) -> NDArray[Any]:
        """Take rows of the array from its parts, which are read where they are not kept.

        Of a mapped file, what is kept are views, which take no memory.
        """
        block = empty_aligned((len(rows), *self.shape[1:]), self.dtype)
        parts = self._parts_of(rows)
        # Not sorted: threads that began together would wait for each other, part by part.
        for part in dict.fromkeys(parts.tolist()):
            images = kept.get(part, partial(self._read_part, part))
            for i in np.flatnonzero(parts == part).tolist():
                block[i] = images[rows[i] - self._part_bounds[part]]
        return block

    def _read_part(self, part: int) -> NDArray[Any]:
        start, stop = self._part_bounds[part : part + 2].tolist()
        return self._read(slice(start, stop))

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    def keeping(self, n_parts: int) -> Self:
        """Return the same images, with up to `n_parts` of the parts read last in memory."""
        images = copy(self)
        images._kept = KeptParts(n_parts)
        return images

    @property
    def parts(self) -> NDArray[np.intp]:
        """The part of the array that each image is in: its chunk, or a run of rows."""
        return self._parts_of(np.arange(len(self)) if self._rows is None else self._rows)

    @property
    def longest_part(self) -> int:
        """Number of rows in the longest part."""
        return int(np.diff(self._part_bounds).max())

    @cached_property
    def _part_bounds(self) -> NDArray[np.intp]:
        """Where the parts begin that are best read at once, and where the last one ends."""
        chunks = getattr(self._array, "chunks", None)
        along_images = chunks[0] if chunks else 1
        if isinstance(along_images, tuple):  # of Dask
            return np.cumsum([0, *along_images])
        n_rows, length = self._array.shape[0], along_images if along_images > 1 else _RUN
        return np.append(np.arange(0, n_rows, length), n_rows)

    def _parts_of(self, rows: NDArray[np.intp]) -> NDArray[np.intp]:
        return np.searchsorted(self._part_bounds, rows, side="right") - 1

    @property
    def n_images_per_chunk(self) -> int:
        """Images decompressed at once; slices that begin at multiples of it are cheap."""
        chunks = getattr(self._array, "chunks", None)
        along_images = chunks[0] if chunks and self._rows is None else 1
        # Dask gives the length of every chunk, Zarr and h5py one length for all.
        return max(along_images) if isinstance(along_images, tuple) else int(along_images)

    def lost_chunks(self) -> list[int]:
        """List the chunks that `save_images` wrote, and that are not there any more.

        A store that is not a folder on this machine is looked at as a whole: if it lacks any
        chunk, the list names those that read as zeros.
        """
        if not self._is_complete:
            return []
        n_chunks = -(-self._array.shape[0] // self._array.chunks[0])
        if _folder_of(self._array) is not None or self._lacks_chunks:
            return [chunk for chunk in range(n_chunks) if self._is_lost(chunk)]
        return []

    def rows_of_chunk(self, chunk: int) -> range:
        """Tell which rows of the array a chunk holds."""
        size = self._array.chunks[0]
        return range(chunk * size, min((chunk + 1) * size, self._array.shape[0]))

    def refuse_lost(self, chunks: list[int]) -> None:
        """Raise OSError if there are lost chunks, and name their rows."""
        if not chunks:
            return
        folder = _folder_of(self._array)
        store = str(folder or self._array.store)
        rows = [self.rows_of_chunk(chunk) for chunk in chunks]
        names = show_some(rows, lambda part: f"{part.start} to {part.stop - 1}")
        raise OSError(
            f"Rows {names} are lost: {show_name(store)} lacks the files of "
            "their chunks, so they would read as black images. Copy its files again (those "
            "that Zarr makes lack chunks of zeros), or decode those rows again with "
            "save_images(images, path, overwrite='failed')."
        )

    def _refuse_lost_images(self, block: NDArray[Any], rows: slice | NDArray[np.intp]) -> None:
        """Look for the chunks of images that are all zeros, as they are if one is missing."""
        flat = block.reshape(len(block), -1)
        step = max(1, flat.shape[1] // _N_SAMPLED)
        black = [i for i in np.flatnonzero(~flat[:, ::step].any(axis=1)) if not flat[i].any()]
        if not black:
            return
        if isinstance(rows, slice):
            rows = np.arange(*rows.indices(self._array.shape[0]))
        chunks = np.unique(rows[black] // self._array.chunks[0])
        self.refuse_lost([chunk for chunk in chunks.tolist() if self._is_lost(chunk)])

    @cached_property
    def _lacks_chunks(self) -> bool:
        """Whether a store of any kind lacks chunks, for which Zarr lists all of it, once."""
        return bool(self._array.nchunks_initialized < self._array.nchunks)

    def _is_lost(self, chunk: int) -> bool:
        folder = _folder_of(self._array)
        if folder is not None:
            return not (folder / chunk_key(self._array, chunk)).exists()
        if not self._lacks_chunks:
            return False
        rows = self.rows_of_chunk(chunk)
        return not np.any(self._array[rows.start : rows.stop])


Array: TypeAlias = NDArray[Any] | StoredImages


def is_stored_in_chunks(X: Any) -> bool:
    """Whether X is an array of images that is read slice by slice."""
    return hasattr(X, "chunks") and len(getattr(X, "shape", ())) > 2


def failures_of(images: Any) -> Failures:
    """List the images of an array that are blank: none, unless it is stored and says so."""
    return images.failures if isinstance(images, StoredImages) else Failures()


def record_in(array: Any) -> SavedRecord | None:
    """Read the record in the attributes of a Zarr array; None if it holds none."""
    if not (hasattr(array, "store") and hasattr(array, "metadata")):
        return None  # attributes of others, such as xarray's, outlive a selection of rows
    saved = array.attrs.get(RECORD_KEY)
    return None if saved is None else SavedRecord.from_json(saved)


def chunk_key(array: Any, chunk: int) -> str:
    """Name the file of a chunk within the folder of its Zarr array."""
    key: str = array.metadata.encode_chunk_key((chunk, *(0 for _ in array.shape[1:])))
    return key


def _has_chunks_of_whole_images(array: Any) -> bool:
    """Whether a Zarr array is divided as `save_images` does, and not by others since."""
    is_sharded = getattr(array, "shards", None) is not None
    return not is_sharded and tuple(array.chunks[1:]) == tuple(array.shape[1:])


def _folder_of(array: Any) -> Path | None:
    root = getattr(array.store, "root", None)  # of a LocalStore
    return root / array.path if isinstance(root, Path) else None
