"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


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
            f"there is no folder {str(path.parent)!r} to write {path.name!r} to. Make it."
        )
    if path.exists() and not overwrite:
        raise FileExistsError(
            f"{str(path)!r} exists. Pass {how_to_overwrite} to overwrite it, or another path."
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


@contextmanager
def whole_file(
    path: Path, overwrite: bool, how_to_overwrite: str = "overwrite=True"
) -> Iterator[IO[bytes]]:
    """Write a file beside its place first, and put it there when it is complete.

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
        raise FileExistsError(f"{str(path)!r} is no file. Name a file to write.")
    target = free_target(path, overwrite, how_to_overwrite)
    part = target.with_name(f".sknorm-images-{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    except OSError as error:
        tell_target(error, part, path)
        raise
    finally:
        if part.exists():  # on a read-only disk, unlink fails of what was never there, too
            part.unlink()
