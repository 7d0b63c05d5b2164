"""Zarr stores that are written chunk by chunk, and gone on with after an interruption."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from os.path import samestat
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._whole_files import free_target, tell_target

try:
    import fcntl
except ImportError:  # on Windows, where nobody is kept out
    fcntl = None  # type: ignore[assignment] # a module, elsewhere

_ARRAY, _LIST = "images.zarr", "complete"  # within the hidden folder


def open_store(path: Path) -> Any:
    """Open a Zarr array to read."""
    return _zarr().open_array(str(path), mode="r")


class PartialStore:
    """A Zarr array beside its place, and a list of the chunks that are complete.

    Parameters
    ----------
    folder : Path
        Of its own; it may hold what an earlier run left.
    shape : tuple of int
        Of the array.
    dtype : dtype
        Of the array.
    chunk_size : int
        Number of images in a chunk.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any], chunk_size: int
    ) -> None:
        zarr = _zarr()
        self._chunk_size = chunk_size
        self.path, self._list = folder / _ARRAY, folder / _LIST
        self._complete = _complete_lines(folder)
        if self._complete:
            self._array = zarr.open_array(str(self.path), mode="r+")
        else:
            self._array = zarr.create_array(
                str(self.path),
                shape=shape,
                dtype=dtype,
                chunks=(chunk_size, *shape[1:]),
                compressors=None,  # of photos, it saves a fifth and halves the speed
                zarr_format=3,
                overwrite=True,
            )
        # Anew, since a line that was cut would run into the next one.
        self._list.write_text("".join(f"{chunk}\n" for chunk in self._complete))

    def __contains__(self, rows: slice) -> bool:
        return self._complete.issuperset(self._chunks(rows))

    def write(self, rows: slice, block: NDArray[Any]) -> None:
        """Write images of whole chunks."""
        self._array[rows] = block

    def mark(self, rows: slice) -> None:
        """Note that images are complete, so that another run passes over them."""
        chunks = self._chunks(rows)
        with self._list.open("a", encoding="ascii") as file:
            file.write("".join(f"{chunk}\n" for chunk in chunks))
        self._complete.update(chunks)

    def _chunks(self, rows: slice) -> range:
        return range(rows.start // self._chunk_size, -(-rows.stop // self._chunk_size))


@contextmanager
def whole_store(
    path: Path,
    overwrite: bool,
    identity: str,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunk_size: int,
) -> Iterator[PartialStore]:
    """Write a Zarr array beside its place first, and put it there when it is complete.

    Parameters
    ----------
    path : Path
        Where the store goes; a link is followed.
    overwrite : bool
        Whether a store may be there.
    identity : str
        A run of the same identity goes on where this one stops.
    shape, dtype, chunk_size
        As `PartialStore` has them.

    Yields
    ------
    PartialStore
        What takes the place of `path` if the block ends well.

    Raises
    ------
    OSError
        If the store cannot be made, before the block begins; or cannot be written. What is
        complete is kept for the next run, which a note at the exception says.
    """
    _zarr()
    _check_replaceable(path)
    target = free_target(path, overwrite, "overwrite=True")
    folder = target.with_name(f".{target.name}-{identity}.part")
    replaced = folder / "replaced"
    try:
        folder.mkdir(exist_ok=True)
        with _locked(folder / "lock", path):
            try:
                store = PartialStore(folder, shape, dtype, chunk_size)
                yield store
                _check_replaceable(target)
                free_target(target, overwrite, "overwrite=True")  # it may be there by now
                if target.exists():
                    shutil.rmtree(replaced, ignore_errors=True)  # of a run that was killed
                    target.rename(replaced)
                store.path.rename(target)
            except BaseException as error:
                if replaced.exists() and not target.exists():
                    replaced.rename(target)
                if _complete_lines(folder):
                    error.add_note(
                        f"What is complete is in {str(folder)!r}; the same call goes on."
                    )
                else:
                    shutil.rmtree(folder, ignore_errors=True)  # what made it fail is told
                raise
            shutil.rmtree(folder)
    except OSError as error:
        tell_target(error, folder, path)
        raise


def _check_replaceable(path: Path) -> None:
    """Refuse to replace what is no array of the format that is written here."""
    if not path.exists():
        return
    description = path / "zarr.json"
    text = description.read_text(encoding="utf-8") if description.is_file() else "{}"
    if json.loads(text).get("node_type") != "array":
        raise FileExistsError(
            f"{str(path)!r} is no Zarr array of format 3. Name one, or another path."
        )


@contextmanager
def _locked(lock: Path, path: Path) -> Iterator[None]:
    """Keep a second run out, which would write to the same store."""
    with lock.open("a") as file:
        if fcntl is not None:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)  # a kill releases it
                is_mine = samestat(os.fstat(file.fileno()), lock.stat())
            except (BlockingIOError, FileNotFoundError):  # the other one has just ended
                is_mine = False
            if not is_mine:
                raise FileExistsError(
                    f"another run is saving the same images to {str(path)!r}. Wait for it, or "
                    "name another path."
                )
        yield


def _complete_lines(folder: Path) -> set[int]:
    """Read which chunks an earlier run completed; none where it was killed as it ended."""
    path = folder / _LIST
    if not (path.exists() and (folder / _ARRAY / "zarr.json").exists()):
        return set()
    lines = path.read_text(encoding="ascii").splitlines(keepends=True)
    return {int(line) for line in lines if line.endswith("\n")}  # the last one may be cut


def _zarr() -> Any:
    try:
        import zarr
    except ImportError as error:
        raise ImportError(
            f"A .zarr path needs Zarr, and importing it fails: {error}. "
            'Run: python -m pip install "sknorm-images[zarr]"'
        ) from error
    return zarr
