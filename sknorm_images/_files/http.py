"""Read files and index pages of web servers, within limits on bytes and time.

One deadline holds for all requests that one reading of a file takes. A file that is read
twice, first with others and then by itself because it is large, has one for each reading.
"""

from __future__ import annotations

import asyncio
import errno
import html
import io
import os
import re
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, NamedTuple
from urllib.parse import urldefrag, urljoin

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.wording import show_name, show_value

PROTOCOLS = ("http", "https")

SECONDS_PER_FILE = 60.0  # from the first request to the last byte, redirects included
LONGEST_PAGE = 2**26  # bytes; a line of an index page takes about 200

UNSATISFIABLE = 416  # the answer to a range of an empty file
ERRNO_BY_STATUS = {  # faults of one file; others, such as 401, are of all requests
    403: errno.EACCES,
    404: errno.ENOENT,
    410: errno.ENOENT,
}
# What stores call the refusal of one file. Every other name is of all requests: credentials
# that are wrong or have expired, a clock that is wrong, a limit on the rate of requests.
REFUSES_ONE = {
    "AccessDenied",  # S3
    "InvalidObjectState",  # S3, of what is archived
    "403",  # S3, where an answer has no body
    "AuthorizationPermissionMismatch",  # Azure
}
# How S3, Azure and Google Cloud Storage name a refusal, at the start of a page of XML.
_CODE = re.compile(rb"<Code>(\w+)</Code>")
_EXPIRED = b"<Message>Request has expired</Message>"  # S3, whose code for it is AccessDenied
_LONGEST_REFUSAL = 2**12  # bytes

# Other codings, such as aws-chunked, leave the bytes as they are.
_COMPRESSED = {"gzip", "x-gzip", "deflate", "compress", "x-compress", "br", "zstd"}
_RANGE = re.compile(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18})")
# Linear in the length of the page; fsspec's own is cubic in a run of spaces.
_LINK = re.compile(
    rb"""<a\s[^<>]*?(?<=[\s"'])href\s*=\s*(?:"([^"<>]*)"|'([^'<>]*)'|([^\s"'<>]+))""",
    re.IGNORECASE,
)


class Body(NamedTuple):
    """What a server sent of a file."""

    content: bytes
    size: int | None  # of the whole file, where the server said


@dataclass(frozen=True)
class SessionFactory:
    """Makes the session of fsspec's filesystem for HTTP (its parameter `get_client`).

    Nothing is decompressed, so that a body is as large as what was received, and a redirect to
    a protocol that is not allowed is not followed. This is a dataclass because fsspec
    recognises a filesystem that it already has by the text of its parameters.
    """

    protocols: tuple[str, ...]

    async def __call__(self, **options: Any) -> Any:
        """Open a session of aiohttp; `options` are fsspec's and the user's."""
        import aiohttp

        tracing = aiohttp.TraceConfig()
        tracing.on_request_redirect.append(self._check_redirect)
        headers = {**(options.pop("headers", None) or {}), "Accept-Encoding": "identity"}
        timeout = options.get("timeout")
        if isinstance(timeout, int | float):  # as in a file of fsspec's configuration
            options["timeout"] = aiohttp.ClientTimeout(total=timeout)
        traces = [*(options.pop("trace_configs", None) or []), tracing]
        return aiohttp.ClientSession(
            **options, headers=headers, auto_decompress=False, trace_configs=traces
        )

    async def _check_redirect(self, session: Any, context: Any, redirect: Any) -> None:
        here, headers = redirect.response.url, redirect.response.headers
        try:
            target = here.join(type(here)(headers.get("Location") or headers.get("URI") or ""))
        except ValueError:
            return  # aiohttp refuses it
        scheme, host = target.scheme, target.host or ""
        if scheme in PROTOCOLS and scheme in self.protocols:
            return
        redirect.response.close()
        remedy = "download the file first"
        if scheme in PROTOCOLS:
            allowed = show_value((*self.protocols, scheme))
            remedy = f"use a URL with {scheme}://, or pass protocols={allowed} to JpegLoader"
        # Without its path and its query, which may be signed.
        raise PermissionError(
            errno.EACCES,
            f"the server redirects to {show_name(f'{scheme}://{host}')}, which is not "
            f"allowed; {remedy}",
        )


def options_of(links: Sequence[str], protocols: tuple[str, ...]) -> dict[str, Any]:
    """Make the options that `fsspec.core.url_to_fs` needs for the HTTP links of a chain."""
    factory = SessionFactory(protocols)
    return {link: {"get_client": factory} for link in links if link in PROTOCOLS}


def read_each(
    fs: Any,
    urls: Sequence[str],
    n_bytes: int,
    began: float | None = None,
    *,
    by_range: bool = True,
) -> list[Body | BaseException]:
    """Read the first `n_bytes` of each file, all at the same time; errors are returned.

    The deadline counts from `began`, a time of `time.monotonic`; None means now. Without
    `by_range`, the whole file is requested, and the rest is not read.
    """
    import fsspec.asyn

    start = time.monotonic() if began is None else began

    async def read_all() -> list[Body | BaseException]:
        bodies = (_read_one(fs, url, n_bytes, start, by_range=by_range) for url in urls)
        return await asyncio.gather(*bodies, return_exceptions=True)

    found: list[Body | BaseException] = fsspec.asyn.sync(fs.loop, read_all)
    return found


def links_below(fs: Any, folder: str) -> list[str]:
    """List the URLs below a folder that its index page links to; raise if it has no page."""
    [body] = read_each(fs, [folder], LONGEST_PAGE + 1, by_range=False)
    if isinstance(body, ImageDecodeError):  # an index page is not an image
        raise OSError(errno.EIO, body.reason) from body
    if isinstance(body, BaseException):
        raise body
    page = body.content
    if len(page) > LONGEST_PAGE:
        raise OSError(
            errno.EFBIG,
            f"its index page has more than {LONGEST_PAGE:,} bytes; put the files into "
            "sub-folders",
        )
    base = folder.rstrip("/") + "/"
    top = urljoin(base, ".")  # without dots and double slashes, as links get
    links: dict[str, None] = {}
    for found in _LINK.finditer(page):
        target = html.unescape(found[found.lastindex or 0].decode(errors="replace"))
        try:
            link, _ = urldefrag(urljoin(base, target.strip()))
        except ValueError:
            continue  # not a URL
        if link.startswith(top) and link.partition("?")[0] != top:  # those only sort the page
            links[base + link.removeprefix(top)] = None
    return list(links)


async def _read_one(fs: Any, url: str, n_bytes: int, began: float, *, by_range: bool) -> Body:
    """Read the first bytes, by range if the server can, and hang up after them."""
    options = dict(fs.kwargs)
    headers = options.pop("headers", None) or {}
    wanted = [{"Range": f"bytes=0-{n_bytes - 1}"}] if by_range else []
    async with _deadline(fs, began) as timeout:
        session = await fs.set_session()
        for added in (*wanted, {}):
            given = {**timeout, **options, "headers": {**headers, **added}}
            body = await _get(session, fs.encode_url(url), n_bytes, given)
            if body is not None:
                return body
    raise OSError(
        errno.EIO,
        "the server sends only part of the file in answer to a request for all of it; "
        "download it by other means",
    )


@asynccontextmanager
async def _deadline(fs: Any, began: float) -> AsyncIterator[dict[str, Any]]:
    """End all requests for a file in time; yield the timeout to pass to aiohttp.

    Errors that hold the request with its headers, or where it was redirected, are replaced.
    """
    import aiohttp

    configured = {**fs.client_kwargs, **fs.kwargs}
    timeout = configured.get("timeout", SECONDS_PER_FILE)
    seconds = getattr(timeout, "total", timeout) or None  # 0 means none, too
    left = None if seconds is None else began + seconds - time.monotonic()
    # Without this, the session's timeout would apply to each request: 300 s.
    own = {} if "timeout" in configured else {"timeout": aiohttp.ClientTimeout()}
    try:
        async with asyncio.timeout(left):
            yield own
    except TimeoutError as error:
        is_ours = seconds is not None and not isinstance(error, aiohttp.ServerTimeoutError)
        limit = f"{seconds:g} s" if is_ours else "one connection"
        raise TimeoutError(
            errno.ETIMEDOUT,
            f"not received within the deadline of {limit}; fsspec's configuration can set "
            "another",
        ) from None
    except aiohttp.TooManyRedirects:
        raise OSError(
            errno.ELOOP,
            "the server redirects in a circle, or too often; use the URL of the file itself",
        ) from None
    except aiohttp.RedirectClientError:
        raise OSError(
            errno.EIO,
            "the server redirects to what is not a URL; use the URL of the file itself",
        ) from None
    except aiohttp.ClientHttpProxyError as error:
        said = f"the proxy says {error.status} {error.message}".rstrip()
        raise OSError(errno.EIO, said) from None
    except aiohttp.ClientResponseError:
        raise OSError(
            errno.EIO, "the server does not answer in HTTP; check the protocol and the port"
        ) from None


async def _get(session: Any, url: Any, n_bytes: int, options: dict[str, Any]) -> Body | None:
    """Read up to `n_bytes`; None if that is less than was requested."""
    async with session.get(url, **options) as response:
        if response.status == UNSATISFIABLE:
            return None
        if response.status >= 300:  # aiohttp follows a redirect unless it leads nowhere
            said = f"the server says {response.status} {response.reason or ''}".rstrip()
            number = ERRNO_BY_STATUS.get(response.status, errno.EIO)
            if number == errno.EACCES and (reason := await _refusal_of_all(response)):
                number, said = errno.EIO, f"{said} ({reason})"
            raise OSError(number, os.strerror(number) if number == errno.ENOENT else said)
        codings = ",".join(response.headers.getall("Content-Encoding", [])).lower().split(",")
        if found := _COMPRESSED.intersection(map(str.strip, codings)):
            raise ImageDecodeError(
                str(url),
                f"the server sends it compressed ({', '.join(sorted(found))}) though asked "
                "not to",
            )
        content = io.BytesIO()  # hands out its bytes without a copy
        n_left = n_bytes
        async for chunk in response.content.iter_any():
            n_left -= content.write(chunk[:n_left])
            if not n_left:
                break
        size = response.content_length if response.status == 200 else None
        if response.status == 206:
            part = _RANGE.fullmatch(response.headers.get("Content-Range", ""))
            size = int(part[2]) if part else None
            is_start = part is not None and int(part[1]) == 0
            if not is_start or n_bytes - n_left < min(n_bytes, size or 0):
                return None
        return Body(content.getvalue(), size)


async def _refusal_of_all(response: Any) -> str:
    """Find a store's reason for refusing every request with such a signature, or ""."""
    page = await response.content.read(_LONGEST_REFUSAL)
    if _EXPIRED in page:
        return "the request has expired"
    code = found[1].decode() if (found := _CODE.search(page)) else ""
    return "" if code in REFUSES_ONE else code
