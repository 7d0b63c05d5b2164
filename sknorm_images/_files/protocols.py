"""What a path or a string in X leads to: a local file, or a URL and the protocols it names."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from typing import Any, TypeGuard
from urllib.parse import unquote

from sknorm_images._common.wording import (
    shorten,
    shorten_filename,
    show_name,
    show_some,
    show_value,
)

LOCAL = ("file", "local")  # fsspec's two names for one protocol

# A scheme of two letters or more, since Windows has drives; other protocols may precede it.
_URL = re.compile(r"(?:[a-z0-9_]+::)*[A-Za-z][A-Za-z0-9+._-]+://")
_COLLAPSED = re.compile(r"[A-Za-z][A-Za-z0-9+._-]+:[/\\](?![/\\])")  # what pathlib makes of it
_LOCAL_URL = re.compile(r"(?:file|local)://(?:localhost(?=/))?", re.IGNORECASE)
_NAME = re.compile(r"[a-z][a-z0-9+._-]*")

# Two colons within an address, which fsspec takes for the end of a link.
_IPV6 = re.compile(r"://[^/]*\[[^\]/]*::")
# It reads whatever addresses are in the file that it is given.
_NEVER_IMPLIED = "reference"


def is_url(source: object) -> TypeGuard[str]:
    """Tell whether a source is a URL that fsspec reads, or a chain of them.

    A ``file://`` URL is not: it is another spelling of a local path.
    """
    # Most sources are paths, and few of those have this in them.
    if not isinstance(source, str) or "://" not in source:
        return False
    return bool(_URL.match(source)) and not _is_local(source)


def was_url(path: str) -> bool:
    """Tell whether a path looks like a URL that lost a slash, as in a Path."""
    return _COLLAPSED.match(path) is not None


def as_passed(error: OSError, passed: str, path: str) -> OSError:
    """Make an error about a local path name what was passed, and say what was meant.

    That is a URL that lost a slash, a home folder, a pattern, or the files in a folder.
    """
    if isinstance(error, FileNotFoundError) and (meant := _meant_by(passed)):
        reason = f"{error.strerror}; {meant}"
        return shorten_filename(FileNotFoundError(error.errno, reason, passed))
    if isinstance(error, IsADirectoryError):
        reason = f"{error.strerror}; load_image_folder lists the files in one"
        return shorten_filename(IsADirectoryError(error.errno, reason, passed))
    if passed != path == error.filename:
        return shorten_filename(type(error)(error.errno, error.strerror, passed))
    return shorten_filename(error)


def _meant_by(missing: str) -> str:
    if was_url(missing):
        return "a URL has two slashes and is a str, since a Path drops one"
    # Path.expanduser raises where a user is unknown, and this is about an error already.
    if os.path.expanduser(missing) != missing:  # noqa: PTH111
        return "~ is not expanded here, so pass os.path.expanduser of it"
    return (
        "patterns are not expanded here, so pass what glob.glob finds"
        if "*" in missing
        else ""
    )


def local_path(source: str | os.PathLike[str]) -> str:
    """Turn a path or a ``file://`` URL (RFC 8089, percent-encoded) into a path."""
    path = os.fspath(source)
    if not _is_local(source):
        return path
    path = unquote(_LOCAL_URL.sub("", path, count=1), errors="surrogateescape")
    return path[1:] if re.match("/[A-Za-z]:", path) and os.name == "nt" else path


def links_of(url: str) -> list[str]:
    """Name the protocol of each link of a chain of URLs, as fsspec reads it."""
    return [protocol_of(link) for link in url.split("::")]


def protocol_of(link: str) -> str:
    """Name the protocol of a URL, or of one link of a chain."""
    protocol, found, _ = link.partition("://")
    if found or re.fullmatch("[a-z0-9_]+", link):
        return protocol
    return "data" if link.startswith("data:") else "file"


def protocols_of(source: object) -> tuple[str, ...]:
    """Name the protocols that a user's path or URL leads to, as `JpegLoader` takes them.

    Raises ValueError for what the user has to allow by name.
    """
    if not is_url(source):
        return ("file",)
    links = [link.lower() for link in links_of(source)]  # compared in lower case
    if _NEVER_IMPLIED in links:
        raise ValueError(
            f"{show_name(source)} uses {_NEVER_IMPLIED}://, whose file may name any other "
            "address. Copy its files to a folder first, or pass their URLs and "
            f"protocols={show_value(tuple(dict.fromkeys(links)))} to JpegLoader."
        )
    return tuple(dict.fromkeys("file" if link in LOCAL else link for link in links))


def check_protocol_names(protocols: object) -> tuple[str, ...]:
    """Check the parameter `protocols`, and return it as a tuple."""
    if isinstance(protocols, str):
        raise TypeError(
            f"protocols={show_value(protocols)} is a string, expected a tuple. Pass "
            f"({show_value(protocols)},)."
        )
    if not isinstance(protocols, tuple | list | set | frozenset):
        raise TypeError(
            f"protocols is of type {type(protocols).__name__}, expected a tuple of strings. "
            "Pass ('file',) for local files, or () for none."
        )
    for name in protocols:
        if not isinstance(name, str) or not _NAME.fullmatch(name):
            raise ValueError(
                f"protocols holds {show_value(name)}, which is not the name of a protocol. "
                "Pass names in lower case and without a colon, such as 'file', 'https' or "
                "'s3'."
            )
    return tuple(protocols)


def check_allowed(sources: Iterable[object], allowed: Sequence[str]) -> list[str]:
    """Refuse paths and URLs that lead to protocols not in `allowed`, before any is opened.

    Returns the URLs; sources of other kinds are skipped. Raises ValueError for the first one
    that is refused.
    """
    urls = []
    known = {*allowed, *(LOCAL if not {*LOCAL}.isdisjoint(allowed) else ())}
    for i, source in enumerate(sources):
        if is_url(source):
            if _IPV6.search(source):
                raise ValueError(
                    f"Image {i} of X is {show_name(source)}, whose IPv6 address holds '::', "
                    "and fsspec takes that for a chain of URLs. Pass the name of the host."
                )
            urls.append(source)
            links = [link.lower() for link in links_of(source)]
        elif "file" not in known and isinstance(source, str | os.PathLike):
            links = ["file"]
        else:
            continue
        if missing := [link for link in dict.fromkeys(links) if link not in known]:
            raise ValueError(_refusal(i, source, missing, tuple(allowed)))
    return urls


def check_local(path: str | os.PathLike[str], allowed: Sequence[str]) -> None:
    """Raise ValueError as `check_allowed` does, unless local files may be opened."""
    if "file" not in allowed:
        check_allowed([path], allowed)


def _refusal(position: int, source: Any, missing: list[str], allowed: tuple[str, ...]) -> str:
    shown = os.fsdecode(source)
    shown = repr(shown if len(shown) <= 80 else f"{shown[:60]}…{shown[-19:]}")
    needed = f"protocols={show_value((*allowed, *missing))}"
    if not is_url(source):
        return (
            f"Image {position} of X is the path {shown}, and JpegLoader has "
            f"protocols={show_value(allowed)}, which allows no local files. Pass its content "
            f"(bytes or a binary file), or {needed}."
        )
    if _NEVER_IMPLIED in missing:
        needed += " (a reference file may name any other address, so only for your own)"
    return (
        f"Image {position} of X is {shown}, which uses the protocol{'s' * (len(missing) > 1)} "
        f"{show_some(missing, shorten)}, and JpegLoader has protocols={show_value(allowed)}. "
        f"Pass {needed} to allow it; for a local file of that name, pass a pathlib.Path."
    )


def _is_local(source: object) -> bool:
    if not isinstance(source, str) or "://" not in source:
        return False
    return _LOCAL_URL.match(source) is not None
