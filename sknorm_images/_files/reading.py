"""Read sources into bytes, if they are files that can hold an image."""

from __future__ import annotations

import errno
import io
import os
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.published import published
from sknorm_images._files.limits import FIRST_BYTES, Access
from sknorm_images._files.protocols import (
    as_passed,
    check_local,
    is_url,
    local_path,
)
from sknorm_images._files.remote import (
    NO_REGULAR_FILE,
    fetch_urls,
    read_url,
    too_large,
)


@published("sknorm_images")
@dataclass(frozen=True)
class Missing:
    """A cell of X that holds no path: it stands for a file that cannot be read."""

    cell: str  # what it holds, as messages show it


Source: TypeAlias = str | os.PathLike[str] | bytes | Missing

T = TypeVar("T")

# Errors on opening a file that are about its path.
_NO_SUCH_PATH = (errno.ELOOP, errno.ENAMETOOLONG)
# Opening a named pipe would wait for a writer; Windows has none, nor the flag.
_WITHOUT_WAITING = getattr(os, "O_NONBLOCK", 0)
_FETCHED_AT_ONCE = 16  # URLs, in one round trip, and 256 MiB at the very most


def name_of(source: object) -> str:
    """Name a source in a message: its path, or how many bytes it has."""
    if isinstance(source, str | os.PathLike):
        return str(os.fsdecode(source))  # a plain str, even for NumPy's
    if isinstance(source, Missing):
        return "<missing>"
    return (
        f"<{len(source)} bytes>" if isinstance(source, bytes) else f"<{type(source).__name__}>"
    )


def contents_of(sources: Sequence[Any], access: Access) -> Iterator[Any]:
    """Yield the content of each source, in order, or the exception that reading it raised.

    Local files are read one by one, each when it is requested; URLs are fetched a few at a
    time, when the first of these is. What is in memory already is passed on as it is.
    """
    archives: dict[str, Any] = {}
    for start in range(0, len(sources), _FETCHED_AT_ONCE):
        few = sources[start : start + _FETCHED_AT_ONCE]
        urls = [source for source in few if is_url(source)]
        fetched = iter(fetch_urls(urls, access, archives) if urls else [])
        for source in few:
            content = next(fetched) if urls and is_url(source) else None
            yield _content_or_error(source, access) if content is None else content


def _content_or_error(source: Source | T, access: Access) -> bytes | T | Exception:
    try:
        return read(source, access)
    except Exception as error:  # noqa: BLE001 (the consumer raises what it does not expect)
        return error


def read(source: Source | T, access: Access) -> bytes | T:
    """Read a path or a URL whole; what is in memory already is returned as it is.

    Raises OSError if the file cannot be read; ImageDecodeError if the source is missing, or
    the file cannot exist, is too large (which is found before it is read), or is a device, a
    pipe or a socket, which may never end; ValueError if `access` does not allow it; and for a
    URL what `read_url` raises.
    """
    if type(source) is str and "://" not in source:  # most are, and need no other question
        check_local(source, access.protocols)
        return _read_path(source, source, access)
    if isinstance(source, Missing):
        raise ImageDecodeError(
            name_of(source), f"its cell of X holds {source.cell}, not a path"
        )
    if not isinstance(source, str | os.PathLike):
        return source
    if is_url(source):
        return read_url(source, access)
    check_local(source, access.protocols)
    path = local_path(source)  # once, since a PathLike may do anything for it
    return _read_path(path, source if isinstance(source, str) else os.fsdecode(path), access)


def _read_path(path: str, passed: str, access: Access) -> bytes:
    """Read a local file; errors name it as it was passed."""
    try:
        return _read_local(path, passed, access)
    except ImageDecodeError:
        raise
    except ValueError as error:
        raise _impossible(passed, str(error)) from error
    except OSError as error:
        if error.errno in _NO_SUCH_PATH:
            raise _impossible(passed, os.strerror(error.errno)) from error
        if error.errno == errno.ENXIO:  # what opening a socket gives
            raise ImageDecodeError(passed, NO_REGULAR_FILE) from error
        if (named := as_passed(error, passed, path)) is not error:
            raise named from error
        raise


def _read_local(path: str, name: str, access: Access) -> bytes:
    # Unbuffered, since all is read at once.
    with io.FileIO(path, opener=_open_without_waiting) as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise ImageDecodeError(name, NO_REGULAR_FILE)
        size, head = status.st_size, b""
        if size <= FIRST_BYTES:
            head = file.read(size + 1) or b""  # one more, to see that nothing is left
            if len(head) == size:
                return head
        limit = access.max_file_bytes()
        if FIRST_BYTES < size <= limit:
            head = file.read(FIRST_BYTES) or b""
            limit = access.max_file_bytes(head)
        if size > limit:
            raise too_large(name, f"{size:,}")
        expected = max(0, size - len(head))  # more, if the size is unknown or grows
        content = head + _read_at_most(file, limit + 1 - len(head), expected)
        if len(content) > limit:  # it is growing, or the kernel's, whose size is 0
            raise too_large(name, f"more than {limit:,}")
        return content


def _read_at_most(file: io.FileIO, n_bytes: int, expected: int) -> bytes:
    """Read to the end, or until reading on would wait, but no more than `n_bytes`."""
    chunks: list[bytes] = []
    wanted = min(n_bytes, expected + 1)  # one more, to see that nothing is left
    while wanted and (chunk := file.read(wanted)):
        chunks.append(chunk)
        n_bytes -= len(chunk)
        wanted = min(n_bytes, 2**16)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _impossible(source: Source, reason: str) -> ImageDecodeError:
    return ImageDecodeError(name_of(source), f"no file can have this path ({reason})")


def _open_without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | _WITHOUT_WAITING)
