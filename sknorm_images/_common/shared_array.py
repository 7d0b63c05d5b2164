"""An array that threads of this process, or other processes of this machine, fill together."""

from __future__ import annotations

import os
from mmap import ACCESS_COPY, mmap
from pathlib import Path
from threading import Lock
from typing import Any
from uuid import uuid4

import numpy as np
from numpy.typing import DTypeLike, NDArray

from sknorm_images._common.aligned import empty_aligned

_MOST_COPIED = 2**24  # bytes; a mapping keeps a file descriptor open, so many would use up all


class SharedArray:
    """Memory for an array that the workers of `map_chunks` fill, each a part of it.

    Threads write into memory of this process. When it is pickled for the first time, so that
    another process can write, memory is made that both can map: a file without a place in any
    folder (memfd_create(2)), which is gone with the last process that has it open.
    """

    def __init__(self, shape: tuple[int, ...], dtype: DTypeLike) -> None:
        self.array: NDArray[Any] = empty_aligned(shape, dtype)
        self._file: _MemoryFile | None = None
        self._lock = Lock()  # joblib may pickle in a thread of its own

    def __reduce__(self) -> tuple[Any, ...]:
        with self._lock:
            if self._file is None:
                self._file = _MemoryFile(self.array.nbytes)
        file = self._file
        return _Mapped, (file.path, file.name, self.array.shape, self.array.dtype)

    def finish(self) -> NDArray[Any]:
        """Return the array once all parts are written; nobody else sees later changes."""
        if self._file is not None:
            written = self._file.private_copy(self.array.shape, self.array.dtype)
            if written.nbytes > _MOST_COPIED:
                return written
            self.array[...] = written
        return self.array

    def close(self) -> None:
        """Release what was only needed while other processes wrote."""
        if self._file is not None:
            self._file.close()


def can_share_memory() -> bool:
    """Whether other processes of this machine can fill a `SharedArray`; they can on Linux."""
    if not hasattr(os, "memfd_create"):
        return False
    try:
        os.close(os.memfd_create("sknorm_images"))
    except OSError:  # a sandbox may refuse it
        return False
    return True


class _MemoryFile:
    """Memory that other processes of the same user can open as a file."""

    def __init__(self, n_bytes: int) -> None:
        # The name is not for finding it, but lets a process see that it has found it.
        self.name = f"sknorm_images-{uuid4().hex}"
        self._descriptor = os.memfd_create(self.name)
        try:
            os.ftruncate(self._descriptor, n_bytes)
        except OSError:
            os.close(self._descriptor)
            raise
        self._n_bytes = n_bytes
        self.path = f"/proc/{os.getpid()}/fd/{self._descriptor}"

    def private_copy(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """Map what was written, without a copy until it is changed.

        A mapping that is not private would let a process that is forked later, say by a
        DataLoader, change the array of this one.
        """
        memory = mmap(self._descriptor, self._n_bytes, access=ACCESS_COPY)
        return np.ndarray(shape, dtype, memory)

    def close(self) -> None:
        os.close(self._descriptor)


class _Mapped:
    """A `SharedArray` in another process, which writes into the same memory."""

    def __init__(
        self, path: str, name: str, shape: tuple[int, ...], dtype: np.dtype[Any]
    ) -> None:
        try:
            descriptor = os.open(path, os.O_RDWR)
        except OSError as error:
            raise _out_of_reach(str(error)) from error
        try:
            # By now, or on another machine, the path may lead to some other file.
            if name not in str(Path(f"/proc/self/fd/{descriptor}").readlink()):
                raise _out_of_reach(f"{path} is another file")
            self.array: NDArray[Any] = np.ndarray(shape, dtype, mmap(descriptor, 0))
        finally:
            os.close(descriptor)


def _out_of_reach(reason: str) -> RuntimeError:
    return RuntimeError(
        "A worker process cannot write into the memory of the process that started it: "
        f"{reason}. Use threads: joblib.parallel_config(backend='threading')."
    )
