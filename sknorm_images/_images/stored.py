"""Images in an array that is stored in chunks and read slice by slice."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray
from sklearn.utils import assert_all_finite


class StoredImages:
    """Images in a chunked array of Zarr, h5py or Dask, which is never read whole.

    The array has `shape`, (n_samples, ..., n_channels), `dtype` and `chunks`, and can be
    sliced. If `finite`, NaN and infinity are refused when they are read.
    """

    def __init__(self, array: Any, *, finite: bool = True) -> None:
        if any(length != length for length in array.shape):  # NaN, which Dask has for these
            raise ValueError(
                f"X is a Dask array of unknown size, of shape {tuple(array.shape)}. Call "
                "X.compute_chunk_sizes() first."
            )
        self._array = array
        self._finite = finite
        self.shape: tuple[int, ...] = tuple(array.shape)
        self.dtype: np.dtype[Any] = np.dtype(array.dtype)

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice | NDArray[np.intp]) -> NDArray[Any]:
        """Read some images."""
        if not isinstance(rows, slice) and (np.diff(rows) == 1).all():
            rows = slice(int(rows[0]), int(rows[-1]) + 1) if len(rows) else slice(0)
        if isinstance(rows, slice):
            block = np.asarray(self._array[rows])
        else:  # Zarr takes 4 times as long when it is given all positions at once
            block = np.stack([self._array[int(row)] for row in rows])
        if self._finite:
            assert_all_finite(block, input_name="X")
        return block

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype, copy=False)

    @property
    def n_images_per_chunk(self) -> int:
        """Images decompressed at once; slices that begin at multiples of it are cheap."""
        along_images = self._array.chunks[0] if self._array.chunks else 1
        # Dask gives the length of every chunk, Zarr and h5py one length for all.
        return max(along_images) if isinstance(along_images, tuple) else int(along_images)


Array: TypeAlias = NDArray[Any] | StoredImages


def is_stored_in_chunks(X: Any) -> bool:
    """Whether X is an array of images that is read slice by slice."""
    return hasattr(X, "chunks") and len(X.shape) > 2
