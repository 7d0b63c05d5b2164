"""Files of web servers, read through fsspec's session in bounded bytes and time."""

from __future__ import annotations

import asyncio
import errno
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sknorm_images._exceptions import ImageDecodeError
from sknorm_images._wording import show_name, show_value

PROTOCOLS = ("http", "https")

SECONDS_PER_FILE = 60.0  # from the request to the last byte, redirects included

_UNSATISFIABLE = 416  # what a range gives in an empty file
_BY_STATUS: dict[int, tuple[type[OSError], int]] = {
    401: (PermissionError, errno.EACCES),
    403: (PermissionError, errno.EACCES),
    404: (FileNotFoundError, errno.ENOENT),
    410: (FileNotFoundError, errno.ENOENT),
}


class Body(NamedTuple):
    """What a server sent of a file."""

    content: bytes
    size: int | None  # of the whole file, where the server said


@dataclass(frozen=True)
class Client:
    """Make the session of fsspec's filesystem for HTTP (its parameter `get_client`).

    Nothing is unpacked, so that a body is as large as what was received, and a redirect to a
    protocol that is not allowed is not followed. A dataclass, since fsspec finds a filesystem
    that it has by the text of its parameters.
    """

    protocols: tuple[str, ...]

    async def __call__(self, **options: Any) -> Any:
        """Open a session of aiohttp; `options` are fsspec's and the user's."""
        import aiohttp

        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(self._check_redirect)
        headers = {**(options.pop("headers", None) or {}), "Accept-Encoding": "identity"}
        traces = [*(options.pop("trace_configs", None) or []), tracing]
        return aiohttp.ClientSession(
            **options, headers=headers, auto_decompress=False, trace_configs=traces
        )

    async def _check_redirect(self, session: Any, context: Any, redirect: Any) -> None:
        here, headers = redirect.response.url, redirect.response.headers
        target = str(headers.get("Location") or headers.get("URI") or "")
        try:
            scheme = here.join(type(here)(target)).scheme
        except ValueError:
            return  # aiohttp refuses it
        if scheme not in self.protocols:
            redirect.response.close()
            raise PermissionError(
                errno.EACCES,
                f"the server redirects to {show_name(target)}, and JpegLoader has "
                f"protocols={show_value(self.protocols)}",
            )


def options_of(links: Sequence[str], protocols: tuple[str, ...]) -> dict[str, Any]:
    """Make the options of `fsspec.core.url_to_fs` for the links of a chain that are HTTP."""
    return {link: {"get_client": Client(protocols)} for link in links if link in PROTOCOLS}


def read_each(fs: Any, urls: Sequence[str], n_bytes: int) -> list[Body | BaseException]:
    """Read the first `n_bytes` of files, all at the same time; errors are returned."""
    import fsspec.asyn

    async def read_all() -> list[Body | BaseException]:
        bodies = (_read_one(fs, url, n_bytes) for url in urls)
        return await asyncio.gather(*bodies, return_exceptions=True)

    found: list[Body | BaseException] = fsspec.asyn.sync(fs.loop, read_all)
    return found


async def _read_one(fs: Any, url: str, n_bytes: int) -> Body:
    import aiohttp

    session = await fs.set_session()
    address = fs.encode_url(url)
    options = dict(fs.kwargs)
    if "timeout" not in {*options, *fs.client_kwargs}:
        options["timeout"] = aiohttp.ClientTimeout(total=SECONDS_PER_FILE)
    headers = options.pop("headers", None) or {}
    asked = {**headers, "Range": f"bytes=0-{n_bytes - 1}"}
    try:
        body = await _get(session, address, n_bytes, headers=asked, **options)
        if body is None:
            body = await _get(session, address, n_bytes, headers=headers, **options)
    except TimeoutError as error:
        raise TimeoutError(
            errno.ETIMEDOUT,
            f"not received within the deadline of {SECONDS_PER_FILE:g} s, or the one that "
            "fsspec.config.conf sets",
        ) from error
    if body is None:
        raise OSError(errno.EIO, f"the server answers {_UNSATISFIABLE} without a range")
    return body


async def _get(session: Any, url: Any, n_bytes: int, **options: Any) -> Body | None:
    """Read what comes, and hang up behind `n_bytes`; None where a range is refused."""
    async with session.get(url, **options) as response:
        if response.status == _UNSATISFIABLE:
            return None
        if response.status >= 400:
            kind, number = _BY_STATUS.get(response.status, (OSError, errno.EIO))
            said = f"{response.status} {response.reason or ''}".strip()
            is_known = number == errno.ENOENT
            raise kind(number, os.strerror(number) if is_known else f"the server says {said}")
        encoding = response.headers.get("Content-Encoding", "identity").lower()
        if encoding not in ("", "identity"):
            raise ImageDecodeError(
                str(url), f"the server sends it packed ({encoding[:20]}) though asked not to"
            )
        content = bytearray()
        async for chunk in response.content.iter_any():
            content += chunk
            if len(content) >= n_bytes:
                break
        return Body(bytes(content[:n_bytes]), _size_of(response))


def _size_of(response: Any) -> int | None:
    # "bytes 0-99/1234", where a range was heeded.
    total = re.search(r"/(\d{1,18})$", response.headers.get("Content-Range", ""))
    if total:
        return int(total[1])
    length: int | None = response.content_length
    return length if response.status == 200 else None
