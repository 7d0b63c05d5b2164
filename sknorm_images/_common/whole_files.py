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
    """Find out where output for `path` may go, following links, before any work is done.

    Raises OSError if its folder does not exist, or if something is there and `overwrite` is
    False: the message then says to pass `how_to_overwrite`.
    """
    if not path.parent.is_dir():
        raise FileNotFoundError(
            f"there is no folder {show_name(str(path.parent))} to write "
            f"{show_name(path.name)} to. Create it first."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{show_name(str(path))} exists. Pass {how_to_overwrite} to overwrite it, or "
            "another path."
        )
    return path.resolve()


def tell_target(error: OSError, part: Path, path: Path) -> None:
    """Make an error about the unfinished `part` name the `path` that the user named.

    The error is changed in place, and also gets the path if it names no file, as that of a
    full disk. One without an errno is this package's own message, and stays as it is.
    """
    if error.errno is None:
        return  # what this package says of a path, in full
    named = error.filename
    if named is None or part in (Path(named), *Path(named).parents):
        error.filename = str(path)


def part_of(target: Path, token: str) -> Path:
    """Name an unfinished file or folder beside its target.

    The name holds a digest of the target's, which may already be 255 bytes long.
    """
    return target.with_name(f"{_prefix(target)}{token}.part")


def parts_of(target: Path) -> list[Path]:
    """List the parts of a target from any run; none if its folder cannot be listed."""
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

    Returns "theirs" if another run holds the lock, "gone" if another run removed or renamed
    the file before this one locked it, and "unknown" where the system or file system has no
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


def remove_left_files(target: Path) -> None:
    """Remove the parts of a target that no run is writing any more, where permitted."""
    for part in parts_of(target):
        with suppress(OSError):
            if part.is_file():  # a link stays: its lock would be on another file
                with part.open("rb+") as file:
                    if lock(file, part) == "ours":
                        part.unlink()


@contextmanager
def whole_file(
    path: Path, overwrite: bool, how_to_overwrite: str = "overwrite=True"
) -> Iterator[IO[bytes]]:
    """Write a file beside its place first, and move it there when it is complete.

    Yields the file to write to, which replaces `path`, following links, if the block succeeds.
    Parts of the same file that killed runs left behind are removed first. Raises OSError
    before the block begins if the file cannot be made, or if one is there and `overwrite` is
    False: the message then says to pass `how_to_overwrite`. Raises OSError later if it cannot
    be written.
    """
    if path.exists() and not path.is_file():
        raise FileExistsError(f"{show_name(str(path))} is not a file. Name a file to write.")
    target = free_target(path, overwrite, how_to_overwrite)
    remove_left_files(target)
    is_written = False
    while not is_written:
        part = part_of(target, secrets.token_hex(4))
        try:
            with part.open("xb") as file:
                whose = lock(file, part)
                if whose in ("theirs", "gone"):
                    continue  # another run took it for a leftover before it was locked
                yield file
                file.flush()
                os.fsync(file.fileno())
                if whose == "ours":
                    part.replace(target)  # while it is locked
            if whose == "unknown":
                part.replace(target)  # Windows cannot rename an open file
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
    if part.exists():  # on a read-only disk, unlink fails even if it was never there
        part.unlink(missing_ok=True)
