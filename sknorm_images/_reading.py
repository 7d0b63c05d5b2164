"""One source to bytes: what a path leads to, if it is a file that can hold an image."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias

from sknorm_images._exceptions import ImageDecodeError
from sknorm_images._remote import (
    NO_REGULAR_FILE,
    fetch_urls,
    hint_at_url,
    is_url,
    read_url,
    too_large,
)

Source: TypeAlias = str | os.PathLike[str] | bytes

# Of all that goes wrong when a file is opened, what is the matter with its path.
_NO_SUCH_PATH = (errno.ELOOP, errno.ENAMETOOLONG)
_FETCHED_AT_ONCE = 16  # URLs; a round trip for all of them, and 256 MiB at the very most


def name_of(source: object) -> str:
    """Name a source in a message: the path, or how many bytes it is."""
    if isinstance(source, str | os.PathLike):
        return str(os.fsdecode(source))  # plain, where numpy had it
    return (
        f"<{len(source)} bytes>" if isinstance(source, bytes) else f"<{type(source).__name__}>"
    )


def read(source: Source, max_bytes: int) -> bytes:
    """Read a source whole.

    Parameters
    ----------
    source : str, PathLike or bytes
        A path, a URL, or what is returned as it is.
    max_bytes : int
        Larger files are refused before they are read.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    OSError
        If the file cannot be read.
    ImageDecodeError
        If there can be no such file, it is too large, or it is a device, a pipe or a
        socket, which may never end.
    """
    if isinstance(source, bytes):
        return source
    if is_url(source):
        return read_url(source, max_bytes)
    try:  # unbuffered, since all is read at once
        file = io.FileIO(os.fspath(source), opener=_open_without_waiting)
    except ValueError as error:
        raise _impossible(source, str(error)) from error
    except OSError as error:
        if error.errno in _NO_SUCH_PATH:
            raise _impossible(source, os.strerror(error.errno)) from error
        if error.errno == errno.ENXIO:  # what opening a socket gives
            raise ImageDecodeError(name_of(source), NO_REGULAR_FILE) from error
        if hint := hint_at_url(error, source):
            raise hint from error
        raise
    with file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageDecodeError(name_of(source), NO_REGULAR_FILE)
        if status.st_size > max_bytes:
            raise too_large(name_of(source), f"{status.st_size}")
        return file.readall()


def read_ahead(
    sources: Sequence[object], max_bytes: int
) -> Iterator[bytes | Exception | None]:
    """Fetch URLs a few at a time, each few when the first of them is asked for.

    Parameters
    ----------
    sources : sequence of object
        Sources of any kind.
    max_bytes : int
        As in `read`.

    Yields
    ------
    bytes, Exception or None
        For each source what `read` would return or raise; None where it is to be asked.
    """
    archives: dict[str, Any] = {}
    for start in range(0, len(sources), _FETCHED_AT_ONCE):
        few = sources[start : start + _FETCHED_AT_ONCE]
        urls = [source for source in few if is_url(source)]
        fetched = iter(fetch_urls(urls, max_bytes, archives) if urls else [])
        for source in few:
            yield next(fetched) if is_url(source) else None


def _impossible(source: Source, reason: str) -> ImageDecodeError:
    return ImageDecodeError(name_of(source), f"no file can have this path ({reason})")


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe would wait for a writer; Windows has none, nor the flag.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
