"""Read and list URLs through fsspec."""

from __future__ import annotations

import errno
import os
import re
import stat
import time
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple
from urllib.parse import unquote

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.wording import shorten, shorten_filename, show_name
from sknorm_images._files import http
from sknorm_images._files.limits import FIRST_BYTES, Access
from sknorm_images._files.protocols import (
    LOCAL,
    check_allowed,
    links_of,
    protocols_of,
)

_CACHES = ("simplecache", "filecache", "blockcache", "cached")  # their path is the next one's
_WITHOUT_FOLDERS = {"s3", "gs", "abfs", "oss"}  # stores that list all names in one go

NO_REGULAR_FILE = "it is not a regular file"

_PLAIN = ("builtins", "socket")  # modules of errors whose strerror is the reason alone
# Raised as they are: the first is ours, and no file or network causes the others.
_PASSED = (ImageDecodeError, ImportError, MemoryError, Warning)
_NUMBERS: dict[type[OSError], int] = {
    FileNotFoundError: errno.ENOENT,
    PermissionError: errno.EACCES,
    IsADirectoryError: errno.EISDIR,
    NotADirectoryError: errno.ENOTDIR,
    TimeoutError: errno.ETIMEDOUT,
}
_FORBIDDEN = "Forbidden: "  # how messages of gcsfs begin, which has no class for this
_FORBIDS_ONE = ("denied", "does not have")  # in the words of Google Cloud Storage
# Passwords and signatures: user:password@ after the protocol, and ?name=value.
_SECRETS = re.compile(r"(?<=://)[^/\s@]+(?=@)|(?<=\?)[^\s\"'<>()?=]*=[^\s\"'<>()]*")


def check_protocols(sources: Iterable[object], allowed: Sequence[str]) -> None:
    """Refuse sources that may not be opened, and URLs that no library can read.

    Nothing is read. Raises ValueError as `check_allowed` does, or if fsspec does not know a
    protocol, and ImportError if fsspec, or the library that it needs for one, is not
    installed.
    """
    urls: dict[str, str] = {}  # one for each protocol
    for url in check_allowed(sources, allowed):
        for link in links_of(url):
            urls.setdefault(link, url)
    fsspec: Any = _fsspec() if urls else None
    for protocol, url in urls.items():
        try:
            fsspec.get_filesystem_class(protocol)
        except ImportError as error:
            raise ImportError(
                f"{shorten(protocol)}:// needs a library that is not installed, so "
                f"{show_name(url)} cannot be read. {error}"
            ) from error
        except ValueError as error:
            raise ValueError(
                f"fsspec knows no protocol {show_name(protocol)}, so {show_name(url)} cannot "
                "be read. Check the URL, or install the library that adds the protocol."
            ) from error


def read_url(url: str, access: Access) -> bytes:
    """Read a file at a URL, whole.

    Raises OSError, with the URL as `filename`, if it cannot be read, such as FileNotFoundError
    or PermissionError; ImageDecodeError if it is too large or not a regular file; and what
    `check_protocols` raises. A file that is too large is not downloaded beyond the limit, if
    at all.
    """
    check_protocols([url], access.protocols)
    try:
        place = _locate(url, {}, access.protocols)
        return _read_from(place.fs, place.path, url, access)
    except _PASSED as error:
        raise _renamed(error, url) from error.__cause__
    except Exception as error:
        raise _as_os_error(error, url) from error


def fetch_urls(
    urls: Sequence[str], access: Access, archives: dict[str, Any]
) -> list[bytes | Exception | None]:
    """Read small files, at the same time if their filesystem can.

    Pass only a few `urls`, since all contents are held in memory. `archives` holds what is
    open already, such as ZIP files, and more are added. Returns for each URL the content, or
    the exception that `read_url` would raise. None means that `read_url` has to be called: for
    files of 16 MiB or more, and for those that cannot be read together with others.
    """
    found: list[bytes | Exception | None] = [None] * len(urls)
    groups: dict[int, list[tuple[int, _Place]]] = {}
    for i, url in enumerate(urls):
        try:
            check_allowed([url], access.protocols)
            place = _locate(url, archives, access.protocols)
        except Exception:  # noqa: BLE001 (read_url meets it again, and raises it)
            continue
        groups.setdefault(id(place.fs), []).append((i, place))
    for items in groups.values():
        paths = [place.path for _, place in items]
        try:
            contents = _read_first(items[0][1].fs, paths)
        except Exception:  # noqa: BLE001 (perhaps of one file; read_url says which)
            continue
        for (i, _), content in zip(items, contents, strict=True):
            if isinstance(content, Exception):
                found[i] = _named(content, urls[i])
            elif len(content) < FIRST_BYTES:  # more, if a server ignores ranges
                found[i] = bytes(content)
    return found


class Entry(NamedTuple):
    """Something below a folder at a URL."""

    parts: tuple[str, ...]  # of its name below the folder
    is_folder: bool
    relative: str  # the name as a URL has it


def list_url(url: str) -> list[Entry]:
    """List the files and sub-folders below a folder, at any depth.

    Hidden ones may be among them, and a sub-folder that is only a part of a file's name may
    not. Raises OSError if the folder does not exist or cannot be read, and what
    `check_protocols` raises.
    """
    protocols = protocols_of(url)
    check_protocols([url], protocols)
    try:
        fs, root = _locate(url, {}, protocols)
        fs.invalidate_cache()  # earlier listings may be outdated
        below = _names_below(fs, root, url)
    except _PASSED:
        raise
    except Exception as error:
        raise _as_os_error(error, url) from error
    base = root.rstrip("/")
    decoded = unquote if base.startswith(("http://", "https://")) else str
    entries = []
    for name, is_folder in below:
        relative = name.removeprefix(base).lstrip("/")
        parts = tuple(decoded(part) for part in relative.split("/"))
        entries.append(Entry(parts, is_folder, relative))
    return entries


def join_url(url: str, name: str) -> str:
    """Name something below the folder at a URL, in the form that the URL has.

    Raises ValueError for a name that would lead out of the folder.
    """
    parts = url.split("::")
    i = next((i for i, part in enumerate(parts) if part.split("://")[0] not in _CACHES), 0)
    if "://" not in parts[i]:
        parts[i] += "://"
    folder = parts[i] if parts[i].endswith("://") else parts[i].rstrip("/") + "/"
    parts[i] = folder + name
    joined = "::".join(parts)
    # A name with "::", or that ends in ":", would make another chain.
    if joined.split("::") != parts or ".." in re.split(r"[/\\]", unquote(name)):
        raise ValueError(
            f"{show_name(url)} holds {show_name(name)}, which is not a name below that "
            "folder: '::' begins another URL, also where it ends in ':', and '..' leads to "
            "another folder. Rename or remove it."
        )
    return joined


def too_large(source: str, n_bytes: str) -> ImageDecodeError:
    """Make the error for a file larger than any image within the limits."""
    return ImageDecodeError(
        source, f"its {n_bytes} bytes are more than any image within the limits has"
    )


class _Place(NamedTuple):
    """Where a URL leads to."""

    fs: Any  # a filesystem of fsspec
    path: str  # in it


def _fsspec() -> Any:
    try:
        import fsspec
        import fsspec.core
    except ImportError as error:
        raise ImportError(
            "URLs are read with fsspec, which is not installed. "
            'Run: python -m pip install "sknorm-images[remote]"'
        ) from error
    return fsspec


def _locate(url: str, archives: dict[str, Any], protocols: tuple[str, ...]) -> _Place:
    """Find the filesystem of a URL; an archive is opened unless it is in `archives`."""
    fsspec = _fsspec()
    head, _, rest = url.partition("::")
    links = links_of(url)
    options = http.options_of(links, protocols)
    for link, part in zip(links, url.split("::"), strict=True):
        if link in LOCAL and not _holds_something(fsspec.core.strip_protocol(part)):
            raise ImageDecodeError(url, NO_REGULAR_FILE)  # opening a pipe would wait
    # fsspec would open an archive again, and read its directory, for every file in it.
    if rest and not fsspec.get_filesystem_class(links[0]).cachable:
        root = f"{links[0]}://::{rest}"
        if root not in archives:
            archives[root] = fsspec.core.url_to_fs(root, **options)[0]
        path = fsspec.core.strip_protocol(head) if "://" in head else ""
        return _Place(archives[root], path)
    return _Place(*fsspec.core.url_to_fs(url, **options))


def _holds_something(path: str) -> bool:
    """Whether a local path is a folder or a non-empty file, not one that may never end."""
    status = os.stat(path)  # noqa: PTH116 (raises what opening the file would)
    is_file = stat.S_ISREG(status.st_mode) and status.st_size > 0  # 0: of the kernel
    return is_file or stat.S_ISDIR(status.st_mode)


def _read_first(fs: Any, paths: list[str]) -> list[Any]:
    """Read the first bytes of files; errors are returned."""
    if _is_http(fs):
        bodies = http.read_each(fs, paths, FIRST_BYTES)
        return [body.content if isinstance(body, http.Body) else body for body in bodies]
    contents: list[Any] = fs.cat_ranges(paths, 0, FIRST_BYTES, on_error="return")
    return contents


def _read_from(fs: Any, path: str, url: str, access: Access) -> bytes:
    """Read a file, in one request unless it is empty or large."""
    began = time.monotonic()
    content, size = _read_start(fs, path, FIRST_BYTES, began)
    if len(content) < FIRST_BYTES:
        return content
    limit = access.max_file_bytes(content)
    if len(content) == FIRST_BYTES:  # more, if a server ignores ranges
        if size is None and not _is_http(fs):
            size = fs.info(path)["size"]
        if size is not None and size > limit:
            raise too_large(url, f"{size:,}")
        del content
        content, _ = _read_start(fs, path, limit + 1, began)
    if len(content) > limit:
        raise too_large(url, f"more than {limit:,}")
    return content


def _read_start(fs: Any, path: str, n_bytes: int, began: float) -> tuple[bytes, int | None]:
    """Read up to `n_bytes`; also return the size of the whole file, if a server says it.

    Web servers have one deadline for all parts of a file, counted from `began`.
    """
    if _is_http(fs):
        [body] = http.read_each(fs, [path], n_bytes, began)
        if isinstance(body, BaseException):
            raise body
        return body
    try:
        return bytes(fs.cat_file(path, start=0, end=n_bytes)), None
    except Exception as error:
        if _status_of(error) == http.UNSATISFIABLE and fs.info(path)["size"] == 0:
            return b"", 0
        raise


def _is_http(fs: Any) -> bool:
    return not _protocols_of(fs).isdisjoint(http.PROTOCOLS)


def _protocols_of(fs: Any) -> set[str]:
    return {fs.protocol} if isinstance(fs.protocol, str) else {*fs.protocol}


def _names_below(fs: Any, root: str, url: str) -> list[tuple[str, bool]]:
    """List the names below a folder, and whether each is a folder; raise if there is none."""
    base = root.rstrip("/")
    found = [(name.rstrip("/"), is_folder) for name, is_folder in _find(fs, root)]
    below = [item for item in found if item[0].startswith(f"{base}/" if base else "")]
    if (base, False) in found:
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), url)
    if base and not below:
        fs.info(root)  # raises if there is no such folder
    return below


def _find(fs: Any, root: str) -> Iterator[tuple[str, bool]]:
    """Yield what the filesystem lists below a folder, perhaps with the folder itself."""
    if _protocols_of(fs) & _WITHOUT_FOLDERS:
        for name, info in fs.find(root, withdirs=True, detail=True).items():
            yield name, info.get("type") == "directory" or name.endswith("/")
    else:
        yield from _walk(fs, root, is_root=True)


def _walk(fs: Any, folder: str, *, is_root: bool = False) -> Iterator[tuple[str, bool]]:
    # fsspec's own find skips folders that cannot be read.
    for info in _list_one(fs, folder):
        name, is_link = info["name"], info.get("islink", False)
        is_folder = info["type"] == "directory" and not is_link
        if is_root and is_link:
            is_folder = fs.isdir(name)
        last = name.rstrip("/").rpartition("/")[2]
        is_hidden = last.startswith(".") and last != ".."
        is_itself = name.rstrip("/") == folder.rstrip("/")
        if is_hidden or (is_itself and is_folder):
            continue
        yield name, is_folder
        if is_folder:
            yield from _walk(fs, name)


def _list_one(fs: Any, folder: str) -> list[dict[str, Any]]:
    if not _is_http(fs):
        found: list[dict[str, Any]] = fs.ls(folder, detail=True)
        return found
    return [
        {"name": link, "type": "directory" if link.endswith("/") else "file"}
        for link in http.links_below(fs, folder)
    ]


def _named(error: Exception, url: str) -> Exception | None:
    # The second is what caches of fsspec 2026.7 give for files that they do not hold yet.
    if _status_of(error) == http.UNSATISFIABLE or isinstance(error, AttributeError):
        return None  # read_url finds out why
    if isinstance(error, _PASSED):
        return _renamed(error, url)
    named = _as_os_error(error, url)
    named.__cause__ = error
    return named


def _renamed(error: Exception, url: str) -> Exception:
    """Make an error of ours name the URL as the user wrote it."""
    return ImageDecodeError(url, error.reason) if type(error) is ImageDecodeError else error


def _as_os_error(error: Exception, url: str) -> OSError:
    """Make the exception that a local file would give, with the library's reason."""
    kind = _kind_of(error)
    number = _NUMBERS.get(kind) or (isinstance(error, OSError) and error.errno) or errno.EIO
    reason = _reason_of(error)
    is_path = reason.strip("/") in url or re.fullmatch(r"\S*/\S*", reason)  # not a reason
    if kind in _NUMBERS and is_path:
        reason = os.strerror(number)
    reason = shorten(_SECRETS.sub("...", reason)) or type(error).__name__
    return shorten_filename(kind(number, reason, url))


def _reason_of(error: BaseException) -> str:
    """Find the text that a library wrote for people to read; "" where there is none.

    Other arguments of an exception may be the request, with its headers, or the connection,
    with the password of a proxy.
    """
    plain = getattr(error, "os_error", error)  # aiohttp's own text names its classes
    text = getattr(plain, "strerror", None)
    if isinstance(text, str) and text and type(plain).__module__ in _PLAIN:
        return text  # without the path, which is not the URL
    first, message = error.args[0] if error.args else None, getattr(error, "message", None)
    if isinstance(first, BaseException):
        return _reason_of(first)
    if isinstance(first, str):
        text = first
    elif isinstance(message, str) and message:
        text = f"HTTP status {_status_of(error)}: {message.partition(':')[0]}"
    elif _writes_its_text(error):
        text = str(error)
    return " ".join(text.split()) if isinstance(text, str) else ""


def _writes_its_text(error: BaseException) -> bool:
    """Whether its class defines how it is shown; Python would show all that it holds."""
    shown_by = next(c for c in type(error).__mro__ if "__str__" in vars(c))
    return shown_by.__module__ != "builtins"


def _kind_of(error: Exception) -> type[OSError]:
    """Find the class that a local file would give; OSError if the fault is not of one file."""
    kind = _class_of(error)
    return OSError if kind is PermissionError and _concerns_all(error) else kind


def _class_of(error: Exception) -> type[OSError]:
    if number := http.ERRNO_BY_STATUS.get(_status_of(error)):
        return type(OSError(number, ""))
    text = str(error)
    if isinstance(error, KeyError) and "no item named" in text:  # zipfile's, in older fsspec
        return FileNotFoundError
    if isinstance(error, OSError) and text.startswith(_FORBIDDEN):
        return PermissionError
    known = (c for c in type(error).__mro__ if c.__module__ == "builtins")
    return next((c for c in known if issubclass(c, OSError)), OSError)


def _concerns_all(error: Exception) -> bool:
    """Whether a store refuses all requests now, not only those for this file."""
    text = str(error)
    if isinstance(error, OSError) and text.startswith(_FORBIDDEN):
        return not any(words in text for words in _FORBIDS_ONE)
    code = _code_of(error)
    return _status_of(error) == 401 or (code != "" and code not in http.REFUSES_ONE)


def _code_of(error: BaseException | None) -> str:
    """Find a store's name for a refusal in an exception or its cause; "" without one."""
    while error is not None:
        response = getattr(error, "response", None)  # botocore's is a dict
        details = response.get("Error", {}) if isinstance(response, dict) else {}
        code = details.get("Code") or getattr(
            error, "error_code", None
        )  # the latter is Azure's
        if code:
            return str(getattr(code, "value", code))
        error = error.__cause__
    return ""


def _status_of(error: BaseException | None) -> int:
    """Find the HTTP status that an exception or its cause holds; 0 if there is none."""
    while error is not None:
        response = getattr(error, "response", None)  # botocore's is a dict, requests' is not
        metadata = response.get("ResponseMetadata", {}) if isinstance(response, dict) else {}
        found = [metadata.get("HTTPStatusCode"), getattr(response, "status_code", None)]
        # Only the first: aiohttp has `status`, and warns of `code`, which gcsfs has.
        names = ("status", "code", "status_code")
        found += [getattr(error, next((n for n in names if hasattr(error, n)), ""), None)]
        for status in found:
            if isinstance(status, int) and status:
                return status
        error = error.__cause__
    return 0
