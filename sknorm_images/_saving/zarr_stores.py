"""Zarr stores that are written chunk by chunk, and resumed after an interruption."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.whole_files import (
    free_target,
    lock,
    part_of,
    parts_of,
    tell_target,
    whole_file,
)
from sknorm_images._common.wording import show_name
from sknorm_images._images.saved import import_zarr
from sknorm_images._images.saved_records import RECORD_KEY, SavedRecord
from sknorm_images._images.stored import chunk_key

# Names in the hidden folder. Without the list, the rest is of no use. It has a line for each
# complete chunk: its number, and where images lost transparency, how many did and the position
# of the first among those that were written with it.
_ARRAY, _LIST, _REPLACED, _LOCK = "images.zarr", "complete", "replaced", "lock"

_MENDING = "mended"  # in the name of the hidden folder of a run that mends a store


class PartialStore:
    """A Zarr array that is written beside its place, and a list of its complete chunks.

    `folder` belongs to this array alone, and may hold what an earlier run left. `chunk_size`
    is the number of images in a chunk.
    """

    def __init__(
        self, folder: Path, shape: tuple[int, ...], dtype: np.dtype[Any], chunk_size: int
    ) -> None:
        self._chunk_size = chunk_size
        self.path, self._list = folder / _ARRAY, folder / _LIST
        self._complete = _complete_lines(folder)
        if self._complete:
            zarr = import_zarr()
            # open_array takes no config. Other threads that open arrays just now write more.
            with zarr.config.set({"array.write_empty_chunks": True}):
                self._array = zarr.open_array(str(self.path), mode="r+")
            if RECORD_KEY not in self._array.attrs:  # an older version left chunks out
                self._complete = {}
        if not self._complete:
            self._array = _create(self.path, shape, dtype, chunk_size)
        # Rewritten, since a line that was cut off would run into the next one.
        self._list.write_text("".join(_line(*item) for item in self._complete.items()))

    def found_in(self, rows: slice) -> tuple[int, int] | None:
        """Return what `mark` was told of a chunk; None if it is incomplete."""
        return self._complete.get(self._chunk(rows))

    def write(self, rows: slice, block: NDArray[Any]) -> None:
        """Write images of whole chunks."""
        self._array[rows] = block

    def mark(self, rows: slice, n_see_through: int, first: int) -> None:
        """Note that the images of a chunk are complete, so that another run skips them.

        `n_see_through` of them lost transparency, and the first of those is at position
        `first` in the chunk.
        """
        chunk = self._chunk(rows)
        found = n_see_through, first
        with self._list.open("a", encoding="ascii") as file:
            file.write(_line(chunk, found))
        self._complete[chunk] = found

    def describe(self, record: SavedRecord) -> None:
        """Keep what the complete array says about itself."""
        write_attribute(self.path, record)

    def _chunk(self, rows: slice) -> int:
        chunk: int = rows.start // self._chunk_size
        return chunk


def _create(path: Path, shape: tuple[int, ...], dtype: np.dtype[Any], chunk_size: int) -> Any:
    return import_zarr().create_array(
        str(path),
        shape=shape,
        dtype=dtype,
        chunks=(chunk_size, *shape[1:]),
        compressors=None,  # on photos, it saves a fifth and halves the speed
        zarr_format=3,
        overwrite=True,
        attributes={RECORD_KEY: SavedRecord().as_json()},
        config={"write_empty_chunks": True},  # else a black chunk looks as if it were lost
    )


def write_attribute(path: Path, record: SavedRecord) -> None:
    """Write the record into the attributes of a Zarr array, or leave it as it was.

    Zarr itself may leave half a file if it is killed (seen with 3.1.0).
    """
    file = path / "zarr.json"
    description = json.loads(file.read_text(encoding="utf-8"))
    description.setdefault("attributes", {})[RECORD_KEY] = record.as_json()
    with whole_file(file, overwrite=True) as part:
        part.write(json.dumps(description).encode("ascii"))  # a line for each label is long


@contextmanager
def mended_store(path: Path, record: SavedRecord) -> Iterator[StoreRows]:
    """Write rows of a Zarr array that is there, whose record lists them, and then its record.

    Raises FileExistsError if another run does the same.
    """
    target = path.resolve()
    folder = part_of(target, _MENDING)
    with _locked(folder, path):
        try:
            write_attribute(target, record)
            array = StoreRows(target, folder / _ARRAY)
            yield array
            write_attribute(target, array.record)
        finally:
            _remove(folder)


class StoreRows:
    """Rows of a Zarr array that is there; its chunks are replaced one by one, each at once."""

    def __init__(self, path: Path, scratch: Path) -> None:
        self._path, self._scratch, self._lock = path, scratch, Lock()
        self._array = import_zarr().open_array(str(path), mode="r")
        self.record = SavedRecord()

    def write_rows(self, rows: NDArray[np.intp], block: NDArray[Any]) -> None:
        """Write images at their positions."""
        size = self._array.chunks[0]
        with self._lock:
            for chunk in np.unique(rows // size).tolist():
                here = rows // size == chunk
                start = chunk * size
                images = np.array(self._array[start : start + size])
                images[rows[here] - start] = block[here]
                scratch = _create(self._scratch, (size, *images.shape[1:]), images.dtype, size)
                scratch[: len(images)] = images
                file = self._path / chunk_key(self._array, chunk)
                file.parent.mkdir(parents=True, exist_ok=True)  # if the chunk was lost
                (self._scratch / chunk_key(scratch, 0)).replace(file)

    def describe(self, record: SavedRecord) -> None:
        """Keep what the array says about itself when all rows are written."""
        self.record = record


@contextmanager
def whole_store(
    path: Path,
    overwrite: bool,
    identify: Callable[[], str],
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    chunk_size: int,
) -> Iterator[PartialStore]:
    """Write a Zarr array beside its place first, and move it there when it is complete.

    Yields the store that takes the place of `path` if the block ends well; if that is a link,
    it is followed. A run that `identify` names alike resumes where this one stops. What
    killed runs of other names left is removed: at the start if nothing can resume it,
    otherwise when this store is complete. `overwrite` says whether a store may be there
    already. Raises OSError if the store cannot be made, before the block begins, or if it
    cannot be written; what is complete is kept for the next run, and a note on the exception
    says so.
    """
    import_zarr()
    target = path.resolve()
    _clear_parts(target, with_what_resumes=False)
    _check_replaceable(path)
    free_target(path, overwrite, "overwrite=True")
    folder = part_of(target, identify())
    replaced = folder / _REPLACED
    try:
        with _locked(folder, path):
            if not _is_between_two_renames(folder):
                shutil.rmtree(replaced, ignore_errors=True)  # of a run that was killed
            try:
                free_target(target, overwrite, "overwrite=True")  # of a run that just ended
                store = PartialStore(folder, shape, dtype, chunk_size)
                yield store
                _check_replaceable(target)
                free_target(target, overwrite, "overwrite=True")  # it may be there by now
                if target.exists():
                    shutil.rmtree(replaced, ignore_errors=True)  # its name was taken since
                    target.rename(replaced)
                store.path.rename(target)
            except BaseException as error:
                if replaced.exists() and not target.exists():
                    replaced.rename(target)
                if _complete_lines(folder):
                    error.add_note(
                        f"The complete chunks are in {show_name(str(folder))}; the same call "
                        "resumes."
                    )
                else:
                    _remove(folder)  # nothing in it can be resumed
                raise
            _remove(folder)
    except OSError as error:
        tell_target(error, folder, path)
        raise
    _clear_parts(target, with_what_resumes=True)


def _clear_parts(target: Path, with_what_resumes: bool) -> None:
    """Remove the parts of a target that no run is writing.

    If a run was killed between the two renames that replace a store, the old store is put back
    first. Parts that another call could resume stay unless `with_what_resumes`.
    """
    for folder in parts_of(target):
        with suppress(OSError):
            folder.rmdir()  # if empty: left by a run that was killed as it began or ended
        with suppress(OSError):
            # First without a lock, which would keep out the run that resumes.
            if with_what_resumes or not _resumes(folder, target):
                _clear_part(folder, target, with_what_resumes)


def _clear_part(folder: Path, target: Path, with_what_resumes: bool) -> None:
    if folder.is_symlink():  # not made here
        return
    with (folder / _LOCK).open("rb+") as file:
        if lock(file, folder / _LOCK) != "ours":
            return
        if _is_between_two_renames(folder) and not target.exists():
            (folder / _REPLACED).rename(target)
        if with_what_resumes or not _resumes(folder, target):
            _remove(folder)


def _resumes(folder: Path, target: Path) -> bool:
    """Whether some call could resume a part, and nothing has to be put back from it."""
    if _is_between_two_renames(folder):
        return target.exists()
    return bool(_complete_lines(folder))


def _is_between_two_renames(folder: Path) -> bool:
    """Whether the old store has left its place, and the new one is not there yet."""
    return all((folder / name).exists() for name in (_LIST, _ARRAY, _REPLACED))


def _remove(folder: Path) -> None:
    """Remove a part that this run has locked, as far as possible; the next run tries again.

    The list goes first, because it tells another run what is complete, and the lock goes last,
    because another run may begin in this folder from then on.
    """
    with suppress(OSError):
        (folder / _LIST).unlink(missing_ok=True)
        for name in (_ARRAY, _REPLACED):
            shutil.rmtree(folder / name, ignore_errors=True)
        (folder / _LOCK).unlink(missing_ok=True)
        folder.rmdir()


def _check_replaceable(path: Path) -> None:
    """Refuse to replace anything but a Zarr array of the format that is written here."""
    if not path.exists():
        return
    description = path / "zarr.json"
    text = description.read_text(encoding="utf-8") if description.is_file() else "{}"
    if json.loads(text).get("node_type") != "array":
        raise FileExistsError(
            f"{show_name(str(path))} is not a Zarr array of format 3. Name one, or another "
            "path."
        )


@contextmanager
def _locked(folder: Path, path: Path) -> Iterator[None]:
    """Make a folder, and keep out a second run, which would write to the same store."""
    while True:
        folder.mkdir(exist_ok=True)
        try:
            file = (folder / _LOCK).open("ab")
        except FileNotFoundError:
            continue  # until it is locked, another run may remove the folder
        with file:
            whose = lock(file, folder / _LOCK)
            if whose == "theirs":
                raise FileExistsError(
                    f"another run is saving the same images to {show_name(str(path))}. Wait "
                    "for it, or name another path."
                )
            if whose == "ours":
                yield
                return
        if whose == "unknown":
            yield  # with the file closed: Windows cannot remove an open file
            return


def _line(chunk: int, found: tuple[int, int]) -> str:
    numbers = (chunk, *found) if found[0] else (chunk,)
    return " ".join(map(str, numbers)) + "\n"


def _complete_lines(folder: Path) -> dict[int, tuple[int, int]]:
    """Read which chunks an earlier run completed; none if it was killed as it ended.

    With each stand how many of its images lost transparency, and which one is the first.
    """
    path = folder / _LIST
    if not (path.exists() and (folder / _ARRAY / "zarr.json").exists()):
        return {}
    # The last line may be cut, and a power cut leaves anything.
    lines = path.read_text(encoding="ascii", errors="replace").split("\n")[:-1]
    complete = {}
    for line in lines:
        if re.fullmatch(r"\d+( \d+ \d+)?", line, re.ASCII):
            chunk, n_see_through, first = (*map(int, line.split(" ")), 0, 0)[:3]
            complete[chunk] = n_see_through, first
    return complete
