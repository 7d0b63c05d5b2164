"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from os.path import samestat
from pathlib import Path
from typing import IO, Literal

try:
    import fcntl
except ImportError:  # on Windows, where nothing is locked, so nothing counts as left behind
    fcntl = None  # type: ignore[assignment] # a module, elsewhere

from sknorm_images._common.wording import show_name


def free_target(path: Path, overwrite: bool, how_to_overwrite: str) -> Path:
    """Find out where output may go, before any work is done.

    Parameters
    ----------
    path : Path
        Where the output is asked for; a link is followed.
    overwrite : bool
        Whether something may be there.
    how_to_overwrite : str
        What the user passes to have it replaced.

    Returns
    -------
    Path
        Where the output goes.

    Raises
    ------
    OSError
        If there is no folder for it, or something is there and may not be replaced.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {show_name(str(path.parent))} to write "
            f"{show_name(path.name)} to. Make it."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{show_name(str(path))} exists. Pass {how_to_overwrite} to overwrite it, or "
            "another path."
        )
    return path.resolve()


def tell_target(error: OSError, part: Path, path: Path) -> None:
    """Name what the user asked for in an error about its unfinished part, or about nothing.

    Parameters
    ----------
    error : OSError
        The error, which is changed: that of a full disk names no file.
    part : Path
        Where the output is written to.
    path : Path
        Where it is asked for.
    """
    if error.errno is None:
        return  # what this package says of a path, in full
    named = error.filename
    if named is None or part in (Path(named), *Path(named).parents):
        error.filename = str(path)


def part_of(target: Path, token: str) -> Path:
    """Name an unfinished file or folder beside its target.

    A part is known by a digest of the target's name, since names may have 255 bytes.
    """
    return target.with_name(f"{_prefix(target)}{token}.part")


def parts_of(target: Path) -> list[Path]:
    """List the parts of a target, of any run; none where its folder cannot be listed."""
    prefix = _prefix(target)
    try:
        names = os.listdir(target.parent)  # noqa: PTH208 (iterdir makes a Path of every name)
    except OSError:
        return []
    return [
        target.with_name(name)
        for name in sorted(names)
        if name.startswith(prefix) and name.endswith(".part")
    ]


def _prefix(target: Path) -> str:
    return f".sknorm-images-{sha256(os.fsencode(target.name)).hexdigest()[:16]}-"


def lock(file: IO[bytes], path: Path) -> Literal["ours", "theirs", "gone", "unknown"]:
    """Try to lock an open file, until it is closed or the process is killed.

    Returns
    -------
    {"ours", "theirs", "gone", "unknown"}
        "theirs" if another run holds the lock; "gone" if one has removed or renamed the file
        before this one locked it; "unknown" where the system, or this file system, has no
        locks.
    """
    if fcntl is not None:
        with suppress(OSError):  # of a file system without locks
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                is_there = samestat(os.fstat(file.fileno()), path.lstat())
            except BlockingIOError:
                return "theirs"
            except FileNotFoundError:
                is_there = False
            return "ours" if is_there else "gone"
    return "unknown"


def _remove_left_files(target: Path) -> None:
    """Remove the parts of a target that no run writes any more, where that is allowed."""
    for part in parts_of(target):
        with suppress(OSError):
            if part.is_file():  # a link is not what its lock is of, and stays
                with part.open("rb+") as file:
                    if lock(file, part) == "ours":
                        part.unlink()


@contextmanager
def whole_file(
    path: Path, overwrite: bool, how_to_overwrite: str = "overwrite=True"
) -> Iterator[IO[bytes]]:
    """Write a file beside its place first, and put it there when it is complete.

    What killed runs left of the same file is removed first.

    Parameters
    ----------
    path : Path
        Where the output goes; a link is followed.
    overwrite : bool
        Whether a file may be there.
    how_to_overwrite : str, default="overwrite=True"
        What the user passes to have it replaced.

    Yields
    ------
    binary file
        What takes the place of `path` if the block ends well.

    Raises
    ------
    OSError
        If the file cannot be made, before the block begins; or cannot be written.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{show_name(str(path))} is no file. Name a file to write.")
    target = free_target(path, overwrite, how_to_overwrite)
    _remove_left_files(target)
    is_written = False
    while not is_written:
        part = part_of(target, secrets.token_hex(4))
        try:
            with part.open("xb") as file:
                whose = lock(file, part)
                if whose in ("theirs", "gone"):
                    continue  # before it was locked, another run took it for one left behind
                yield file
                file.flush()
                os.fsync(file.fileno())
                if whose == "ours":
                    part.replace(target)  # while it is locked
            if whose == "unknown":
                part.replace(target)  # Windows renames no open file
            is_written = True
        except OSError as error:
            tell_target(error, part, path)
            raise
        finally:
            try:
                _remove(part)
            finally:  # again, in case a second Ctrl-C cut it short
                _remove(part)


def _remove(part: Path) -> None:
    if part.exists():  # on a read-only disk, unlink fails of what was never there, too
        part.unlink(missing_ok=True)
