"""``.npy`` files that are written chunk by chunk, whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path
from threading import Lock
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from sknorm_images._common.failures import Failures
from sknorm_images._common.npy_header import write_header
from sknorm_images._common.whole_files import lock, remove_left_files, whole_file
from sknorm_images._common.wording import show_name
from sknorm_images._images.saved import open_saved
from sknorm_images._images.saved_records import (
    RECORD_KEY,
    Beside,
    SavedRecord,
    looks_of,
    record_file,
)


@contextmanager
def whole_npy(
    path: Path,
    overwrite: bool,
    identify: Callable[[], str],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunk_size: int,
) -> Iterator[NpyFile]:
    """Write an ``.npy`` file beside its place first, as `whole_file` does; none resumes.

    Two files cannot be replaced at once, and a run may be killed in between. So the record
    first lists the failures of both arrays, and rows count as failed only if they are black;
    labels stay those of the array before, and count for no other one.
    """
    with whole_file(path, overwrite) as file:
        array = NpyFile(file, path, shape, dtype)
        yield array
        before = _record_before(path)
        both = Failures({**before.failures, **array.record.failures})
        write_record(path, replace(before, identity=None, failures=both))
    write_record(path, array.record)


class NpyFile:
    """The array of an ``.npy`` file, whose rows are written in any order."""

    record = SavedRecord()

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

    def describe(self, record: SavedRecord) -> None:
        """Keep what the complete array says about itself."""
        self.record = record


@contextmanager
def mended_npy(path: Path, record: SavedRecord) -> Iterator[NpyRows]:
    """Write rows of an ``.npy`` file that is there, and its record.

    While this goes on, and if the run is killed, the record says so: all rows that it lists
    count as failed, also those that were written in part. Raises FileExistsError if another
    run does the same.
    """
    with path.open("rb+") as file:
        if lock(file, path.resolve()) in ("theirs", "gone"):
            raise FileExistsError(
                f"another run is writing to {show_name(str(path))}. Wait for it to finish."
            )
        write_record(path, replace(record, is_being_mended=True))
        array = NpyRows(file)
        yield array
        file.flush()
        os.fsync(file.fileno())
        write_record(path, array.record)


class NpyRows:
    """Rows of an ``.npy`` file that is open."""

    def __init__(self, file: IO[bytes]) -> None:
        version = npy.read_magic(file)
        read_header = (
            npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        )
        shape, _, dtype = read_header(file)
        self._file, self._start, self._lock = file, file.tell(), Lock()
        self._row_bytes = dtype.itemsize * prod(shape[1:])
        self.record = SavedRecord()

    def write_rows(self, rows: NDArray[np.intp], block: NDArray[Any]) -> None:
        """Write images at their positions."""
        with self._lock:
            for row, image in zip(rows.tolist(), block, strict=True):
                self._file.seek(self._start + row * self._row_bytes)
                self._file.write(np.ascontiguousarray(image).data)

    def describe(self, record: SavedRecord) -> None:
        """Keep what the array says about itself when all rows are written."""
        self.record = record


def _record_before(path: Path) -> SavedRecord:
    try:
        return open_saved(path)[1]
    except (OSError, ValueError):  # there is none, or it is damaged and will be replaced
        return SavedRecord()


def write_record(path: Path, record: SavedRecord) -> None:
    """Write the record beside an ``.npy`` file, or remove it if it says nothing."""
    file = record_file(path)
    if record.beside != Beside():
        array = npy.open_memmap(path, mode="r")
        record = replace(record, looks=looks_of(array, record.failures))
    elif record.identity is None and not record.failures:
        remove_left_files(file)
        if file.exists():
            file.unlink()
        return
    content = json.dumps({RECORD_KEY: record.as_json()})
    with whole_file(file, overwrite=True) as part:
        part.write(content.encode("ascii"))
