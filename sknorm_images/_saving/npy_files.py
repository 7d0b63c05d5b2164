"""``.npy`` files that are written chunk by chunk, whole or not at all."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import prod
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.npy import write_header
from sknorm_images._common.whole_files import whole_file


def open_npy(path: Path) -> NDArray[Any]:
    """Map an ``.npy`` file into memory, to read."""
    return np.load(path, mmap_mode="r")  # type: ignore[no-any-return]


@contextmanager
def whole_npy(
    path: Path,
    overwrite: bool,
    identify: Callable[[], str],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunk_size: int,
) -> Iterator[NpyFile]:
    """Write an ``.npy`` file beside its place first, as `whole_file` does; none resumes."""
    with whole_file(path, overwrite) as file:
        yield NpyFile(file, path, shape, dtype)


class NpyFile:
    """The array of an ``.npy`` file, whose rows are written in any order."""

    def __init__(
        self, file: IO[bytes], path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        write_header(file, shape, dtype)
        self._file, self._start, self._lock = file, file.tell(), Lock()
        self._row_bytes = dtype.itemsize * prod(shape[1:])
        total = self._row_bytes * shape[0]
        free = shutil.disk_usage(path.resolve().parent).free
        if free < total:
            reason = f"the array has {total:,} bytes, and {free:,} are free on its disk: "
            raise OSError(errno.ENOSPC, reason + "make room", str(path))
        file.truncate(self._start + total)

    def found_in(self, rows: slice) -> None:
        """Return None: no rows are complete before they are written."""

    def write(self, rows: slice, block: NDArray[Any]) -> None:
        """Write rows; not through a memmap, which ends the process if the disk is full."""
        with self._lock:
            self._file.seek(self._start + rows.start * self._row_bytes)
            self._file.write(np.ascontiguousarray(block).data)

    def mark(self, rows: slice, n_see_through: int, first: int) -> None:
        """Do nothing: an interrupted file is not resumed."""
