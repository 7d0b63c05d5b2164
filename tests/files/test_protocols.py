"""What paths and strings may lead to: what `protocols` names, in bounded bytes and time."""

from __future__ import annotations

import errno
import gzip
import io
import os
import pickle
import re
import socket
import socketserver
import ssl
import threading
import time
import traceback
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import aiohttp
import fsspec
import joblib
import numpy as np
import pytest
import yarl
from botocore.exceptions import EndpointConnectionError
from fsspec.implementations.memory import MemoryFileSystem
from multidict import CIMultiDict, CIMultiDictProxy
from PIL import Image

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    check_images,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images._files.limits import Access
from sknorm_images._files.reading import read
from tests import new_process
from tests.command import assert_refused
from tests.conftest import encode
from tests.empty_files import make
from tests.web_site import Server, Site, serving


@pytest.fixture
def site(photo, tmp_path) -> Iterator[Server]:
    folder = tmp_path / "site"
    make(folder, "cat/1.jpg", "r.json")
    (folder / "cat" / "1.jpg").write_bytes(encode(photo))
    with serving(folder) as server:
        yield server


@pytest.fixture(autouse=True)
def _no_configuration_is_left() -> Iterator[None]:
    yield
    fsspec.config.conf.clear()
    fsspec.filesystem("memory").store.clear()


# Strings that lead nowhere


def strings_to(url: str) -> list[str]:
    """What could make fsspec ask a server, in every protocol that it knows."""
    bare = url.removeprefix("http://")
    found = [
        *(url, f" {url}", f"\n{url}", f"//{bare}", f"http:/{bare}", f"http:///{bare}"),
        *(f"file://{bare}", f"file:///x::{url}", f"file://{url}", f"x::{url}", f"a::b::{url}"),
        *(
            f"zip://1.jpg::simplecache::{url}",
            f"data:image/jpeg;base64,::{url}",
            f"\\\\{bare}",
        ),
        *(f"1.jpg::{url}", f"./1.jpg::{url}", f"memory://x::reference://k::{url}"),
        f"url::{url}::zip",
    ]
    for protocol in fsspec.available_protocols():
        found += [
            f"{protocol}://{bare}",
            f"{protocol}://k::{url}",
            f"{protocol}::{url}",
            f"{protocol}://::{url}",
            f"file://x::{protocol}://k::{url}",
            f"zip://k::{protocol}::{url}",
        ]
    return [*found, *map(str.upper, found), *map(str.title, found)]


@pytest.mark.parametrize("protocols", [("file",), ()])
def test_no_string_asks_a_server_for_anything_unless_it_is_allowed(protocols, site, tmp_path):
    before = set(tmp_path.rglob("*"))
    loader = JpegLoader(protocols=protocols)
    strings = strings_to(f"{site.url}/r.json")

    for string in strings:
        with pytest.raises((ValueError, OSError)):  # ImageDecodeError is a ValueError
            loader.transform([string])[0]
        with pytest.raises(ValueError, match=r"None of the 1 images|Image 0 of X"):
            make_image_pipeline(4, protocols=protocols, on_error="blank").fit([string])
    with pytest.raises(ValueError, match="Image 0 of X"):
        check_images(strings, loader=JpegLoader(protocols=()))

    assert len(strings) > 900
    assert site.requests == []
    assert set(tmp_path.rglob("*")) == before


def test_a_string_that_is_not_allowed_is_refused_before_anything_is_opened(site, photo):
    class File(io.BytesIO):
        def read(self, *args):
            raise AssertionError("it was read")

    X = [File(), encode(photo), f"{site.url}/cat/1.jpg"]
    for refuse in JpegLoader().transform, check_images:
        with pytest.raises(ValueError, match=r"Image 2 of X is 'http://.*\('file', 'http'\)"):
            refuse(X)

    assert site.requests == []


def test_a_refusal_names_every_link_that_is_missing_and_shortens_the_string():
    url = f"zip://{'x' * 1000}.jpg::simplecache::https://host/p.zip"

    with pytest.raises(ValueError, match=r"Image 0 of X") as caught:
        JpegLoader(protocols=("zip",)).transform([url])

    message = str(caught.value)
    assert "uses the protocols simplecache, https," in message
    assert "protocols=('zip', 'simplecache', 'https')" in message
    assert len(message) < 400


@pytest.mark.parametrize("protocols", [("file",), ("http",), ("http", "file")])
def test_an_ipv6_address_is_refused_as_what_it_is(protocols):
    """fsspec would take the part behind "::" for a local file."""
    with pytest.raises(
        ValueError, match=r"IPv6 address holds '::'.* Pass the name of the host"
    ):
        JpegLoader(protocols=protocols).transform(["http://[::1]:8000/1.jpg"])


def test_a_template_in_a_reference_file_is_never_rendered(tmp_path, site):
    code = "{{ cycler.__init__.__globals__.os.system('touch " + str(tmp_path / "ran") + "') }}"
    Path(site.folder, "r.json").write_text(
        '{"version": 1, "templates": {"u": "x"}, "refs": {"k": ["' + code + '{{u}}"]}}'
    )
    url = f"reference://k::{site.url}/r.json"

    with pytest.raises(ValueError, match="uses the protocols reference, http"):
        JpegLoader().transform([url])
    for folder in (url, f"reference://::{site.url}/r.json", f"zip://::{url}"):
        with pytest.raises(ValueError, match="may name any other address"):
            load_image_folder(folder)
    loader = JpegLoader(protocols=("reference", "http"))  # by name, and in a sandbox
    with pytest.raises((OSError, ValueError)):
        loader.transform([url])[0]

    assert not (tmp_path / "ran").exists()


def test_without_protocols_contents_and_images_are_all_that_is_taken(photo, tmp_path):
    path = tmp_path / "1.jpg"
    path.write_bytes(encode(photo))
    served = make_image_pipeline(8, protocols=()).fit([photo])

    for X in [str(path)], [path], [f"file://{path}"], np.array([str(path)]), ["1.jpg"]:
        with pytest.raises(ValueError, match=r"is the path .*allows no local files"):
            served.transform(X)
    with path.open("rb") as file:
        found = served.transform([path.read_bytes(), file, photo, np.asarray(photo)])

    np.testing.assert_array_equal(found[0], found[1])
    np.testing.assert_array_equal(found[2], found[3])


@pytest.mark.parametrize(
    ("protocols", "kind", "words"),
    [
        ("https", TypeError, r"\('https',\)"),
        (None, TypeError, r"\('file',\)"),
        ((1,), ValueError, "holds 1, which is not the name"),
        (("https://",), ValueError, "without a colon"),
        (("HTTPS",), ValueError, "lower case"),
        (("",), ValueError, "'', which is not the name"),
    ],
)
def test_protocols_are_names(protocols, kind, words, photo):
    with pytest.raises(kind, match=words):
        JpegLoader(protocols=protocols).transform([photo])


def test_a_saved_pipeline_keeps_what_it_allows(photo, tmp_path):
    for protocols in ((), ("file",), ("https", "s3")):
        joblib.dump(make_image_pipeline(8, protocols=protocols), tmp_path / "p.joblib")
        assert joblib.load(tmp_path / "p.joblib")["load"].protocols == protocols
    images = JpegLoader(protocols=()).transform([encode(photo)])
    assert pickle.loads(pickle.dumps(images))[0].shape == (131, 177, 3)


def test_what_is_not_allowed_is_not_read_either(site):
    for source in f"{site.url}/cat/1.jpg", "1.jpg", Path("1.jpg"), "file:///1.jpg":
        with pytest.raises(ValueError, match="protocols"):
            read(source, Access((), 10))

    assert site.requests == []


# Local files


@pytest.mark.parametrize(
    "name",
    ["a::b.jpg", "a::/b.jpg", "http:/1.jpg", "zip::x/http:/1.jpg", "%41 #?.jpg", "x:y.jpg"],
)
def test_a_local_file_may_have_any_name(name, photo, tmp_path, monkeypatch):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(encode(photo))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    (tmp_path / name.split("/")[0]).rename(tmp_path / "photos" / name.split("/")[0])
    listed = load_image_folder(tmp_path / "photos").filenames
    path = tmp_path / "photos" / name

    forms = [str(path), path, path.as_uri(), f"FILE://localhost{quote(str(path))}"]
    forms += [f"photos/{name}", f"./photos/{name}", Path("photos", name), *listed]

    for image in JpegLoader().transform(forms):
        assert image.shape == (131, 177, 3)
    assert check_images(forms).readable.all()


def test_a_file_url_that_leads_nowhere_is_named_as_it_was_passed(tmp_path):
    url = f"file://{tmp_path}/no%20file.jpg"
    for function in (
        lambda: JpegLoader().transform([url])[0],
        lambda: load_image_folder(url),
    ):
        with pytest.raises(FileNotFoundError) as caught:
            function()
        assert caught.value.filename == url


def test_names_that_are_not_utf_8_open_as_file_urls(photo, tmp_path):
    path = os.fsencode(tmp_path) + b"/\xff\n.jpg"
    Path(os.fsdecode(path)).write_bytes(encode(photo))

    url = Path(os.fsdecode(path)).as_uri()

    assert url.isascii()
    assert url.isprintable()
    assert JpegLoader().transform([url])[0].shape == (131, 177, 3)


KERNEL_FILES = ["/proc/kmsg", "/proc/self/pagemap", "/dev/zero", "/proc/self/mem", "/dev/tty"]


@pytest.mark.long
def test_files_of_the_kernel_that_never_end_are_refused():
    paths = [path for path in KERNEL_FILES if Path(path).exists()]
    forms = ["{}", "file://{}", "tar://1.jpg::{}", "simplecache::file://{}"]
    names = new_process.answer(
        "from sknorm_images import JpegLoader\n"
        "loader = JpegLoader(protocols=('file', 'tar', 'simplecache'), max_pixels=1)\n"
        "names = []\n"
        "for url in inputs['urls']:\n"
        "    try: loader.transform([url])[0]\n"
        "    except (OSError, ValueError) as error: names.append(type(error).__name__)\n"
        "print(json.dumps(names))\n",
        urls=[form.format(path) for form in forms for path in paths],
    )

    assert len(names) == len(forms) * len(paths)
    assert set(names) <= {"ImageDecodeError", "OSError", "PermissionError"}


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="of Linux")
def test_a_file_whose_size_the_kernel_does_not_tell_is_read_to_its_end():
    path = Path("/proc/version")
    assert path.stat().st_size == 0

    assert read(str(path), Access(("file",), 1)) == path.read_bytes()


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "zip://1.jpg::{}", "simplecache::file://{}"]
)
def test_a_pipe_is_refused_wherever_it_stands(form, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    loader = JpegLoader(protocols=("file", "zip", "simplecache"))

    with pytest.raises(ImageDecodeError, match="not a regular file"):
        loader.transform([form.format(tmp_path / "pipe")])[0]


@pytest.mark.parametrize("n_bytes", [70 * 2**20, 700 * 2**20])
def test_what_follows_a_small_image_is_not_read_without_end(n_bytes, photo, tmp_path):
    path = tmp_path / "long tail.jpg"
    path.write_bytes(encode(photo))
    os.truncate(path, n_bytes)
    tracemalloc.start()

    with pytest.raises(ImageDecodeError, match=f"its {n_bytes:,} bytes are more than"):
        JpegLoader().transform([path])[0]

    assert tracemalloc.get_traced_memory()[1] < 2**25
    tracemalloc.stop()
    os.truncate(path, 60 * 2**20)
    assert JpegLoader().transform([path])[0].shape == (131, 177, 3)


def test_a_file_may_be_as_large_as_its_pixels_need(photo, tmp_path):
    large = encode(photo.resize((3000, 3000)))
    path = tmp_path / "large.jpg"
    path.write_bytes(large)
    os.truncate(path, 64 * 2**20 + 8 * 9_000_000)
    assert JpegLoader().transform([path])[0].shape == (3000, 3000, 3)

    os.truncate(path, 64 * 2**20 + 8 * 9_000_000 + 1)
    with pytest.raises(ImageDecodeError, match="bytes are more than"):
        JpegLoader().transform([path])[0]


# Names in folders


@pytest.mark.parametrize(
    "name",
    [
        "a::{}",
        "a::b/secret.jpg",
        "../../secret.jpg",
        "../../../secret.jpg",
        "x\\..\\..{}",
        "%2e%2e/%2E%2E/secret.jpg",
        "x/..{}",
    ],
)
@pytest.mark.parametrize("form", ["zip://photos::{}", "zip://photos::file://{}"])
def test_a_name_in_an_archive_that_would_lead_elsewhere_is_refused(
    form, name, photo, tmp_path
):
    secret = tmp_path / "secret.jpg"
    secret.write_bytes(encode(photo))
    name = name.format(secret)
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("photos/cat/1.jpg", encode(photo))
        archive.writestr(f"photos/cat/{name}", encode(photo))

    with pytest.raises(ValueError, match="not a name below that folder") as caught:
        load_image_folder(form.format(tmp_path / "p.zip"))

    assert repr(f"cat/{name}") in str(caught.value)


@pytest.mark.parametrize(
    "chain", ["file://{}", "simplecache::file://{}", "simplecache::memory://p.zip"]
)
def test_a_folder_in_an_archive_that_would_make_another_chain_is_refused(
    chain, photo, tmp_path
):
    path = tmp_path / "p.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("photos/a:/1.jpg", encode(photo))
    fsspec.filesystem("memory").pipe_file("/p.zip", path.read_bytes())

    with pytest.raises(ValueError, match="holds 'a:', which is not a name below"):
        load_image_folder(f"zip://photos::{chain.format(path)}")


def test_a_folder_may_end_in_a_colon_where_no_chain_follows(photo):
    fs = fsspec.filesystem("memory")
    fs.pipe_file("/photos/a:/1.jpg", encode(photo))

    photos = load_image_folder("memory://photos")

    assert photos.target_names == ["a:"]
    assert JpegLoader(protocols=("memory",)).transform(photos.filenames)[0].ndim == 3


@pytest.mark.parametrize("name", ["a::file://{}", "x::reference://k::http://host/r.jpg"])
def test_names_that_the_archive_itself_cannot_find_are_not_listed(name, photo, tmp_path):
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        archive.writestr("photos/cat/1.jpg", encode(photo))
        archive.writestr(f"photos/cat/{name.format(tmp_path / 'secret.jpg')}", encode(photo))

    files = load_image_folder(f"zip://photos::{tmp_path}/p.zip").filenames

    assert files.tolist() == [f"zip://photos/cat/1.jpg::{tmp_path}/p.zip"]


def test_names_in_an_archive_that_lead_nowhere_else_are_files(photo, tmp_path):
    names = ["photos/cat/http:/1.jpg", "photos/cat/a:b.jpg", "photos/cat/...jpg"]
    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for name in [*names, "photos/cat/notes::x.txt"]:
            archive.writestr(name, encode(photo))

    files = load_image_folder(f"zip://photos::{tmp_path}/p.zip").filenames
    images = JpegLoader(protocols=("zip", "file")).transform(files)

    assert len(files) == 2  # the third is hidden
    assert [image.shape for image in images] == [(131, 177, 3)] * 2


def test_the_command_line_allows_what_its_folder_leads_to(site, tmp_path, call, photo):
    url, saved = site.url, tmp_path / "p.joblib"

    assert call("fit", url, "-o", saved, "--size", "8").status == 0
    assert joblib.load(saved)["load"].protocols == ("http",)
    local = tmp_path / "site"
    assert call("transform", local, "-p", saved, "-o", tmp_path / "x.npz").status == 0
    assert call("check", local, url).status == 1  # the same file twice
    site.requests.clear()
    assert_refused(call("check", f"reference://::{url}/r.json"), "may name any other address")
    assert_refused(
        call("fit", f"reference://k::{url}/r.json", "-o", tmp_path / "q.joblib"), "reference"
    )
    assert site.requests == []


@pytest.mark.parametrize("what", ["pages", "files"])
def test_the_command_line_tells_of_redirects_in_its_own_words(what, site, tmp_path, call):
    away = redirect_to("https://127.0.0.1:9/")

    def answer(request):
        is_file = request.path.endswith(".jpg")
        if is_file != (what == "files"):
            return False
        request.path = "away"
        return away(request)

    site.answer = answer
    make(site.folder, "cat/2.jpg")
    wanted = ["fit", site.url, "-o", tmp_path / "p.joblib"]
    runs = [wanted, [*wanted, "--on-error", "blank"]]
    runs += [["check", *form, site.url] for form in ([], ["--json"], ["--csv"])]
    for arguments in runs:
        finished = call(*arguments)
        told = " ".join((finished.out + finished.err).split())
        assert "the server redirects to 'https://127.0.0.1'" in told, arguments
        assert "use a URL with https://" in told
        assert "protocols" not in told
        assert "JpegLoader" not in told


@pytest.mark.parametrize(
    "url", ["reference://::{}/r.json", "REFERENCE://::{}/r.json", "zip://::reference://k::{}"]
)
def test_the_command_line_tells_what_to_do_with_references(url, site, call):
    for command in ("check",), ("fit", "-o", "x.joblib"):
        finished = call(*command, url.format(site.url))
        assert_refused(finished, "may name any other address. Copy its files to a folder")
        assert "protocols" not in finished.err
        assert "JpegLoader" not in finished.err


@pytest.mark.parametrize("url", ["HTTP://127.0.0.1:9/x", "Zip://a::file:///x.zip"])
def test_a_protocol_in_capital_letters_is_not_known_to_fsspec(url, call):
    with pytest.raises(ValueError, match="fsspec knows no protocol"):
        load_image_folder(url)
    finished = call("check", url)
    assert_refused(finished, "fsspec knows no protocol", "Check the URL")
    assert "protocols" not in finished.err


# What a server may send


def http_loader(**parameters) -> JpegLoader:
    return JpegLoader(protocols=("http",), **parameters)


def redirect_to(target: str):
    def answer(request: Site) -> bool:
        if "away" not in request.path:
            return False
        request.send(b"", 302, headers={"Location": target})
        return True

    return answer


@pytest.fixture
def listener() -> Iterator[socketserver.TCPServer]:
    """A server that notes who connects."""

    class Note(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            self.server.connections.append(self.client_address)

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Note) as server:
        server.connections = []
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    "form", ["https://127.0.0.1:{}/1.jpg", "HTTPS://127.0.0.1:{}/", "ftp://127.0.0.1:{}/"]
)
@pytest.mark.parametrize("chain", ["", "simplecache::", "zip://1.jpg::"])
def test_a_redirect_to_another_protocol_is_not_followed(form, chain, site, listener):
    site.answer = redirect_to(form.format(listener.server_address[1]))
    protocols = ("http", "simplecache", "zip")

    for X in [[f"{chain}{site.url}/away.jpg"], [f"{chain}{site.url}/away.jpg"] * 2]:
        with pytest.raises(OSError, match=r"away\.jpg") as caught:
            make_image_pipeline(8, protocols=protocols).fit(X)
        assert caught.value.filename == X[0]
        if chain != "zip://1.jpg::":  # there, fsspec says that no such file exists
            assert isinstance(caught.value, PermissionError)
            assert caught.value.strerror.startswith("the server redirects to")

    assert listener.connections == []


def test_a_redirect_within_the_protocol_is_followed(site, photo):
    site.answer = redirect_to(f"{site.url}/cat/1.jpg")

    assert http_loader().transform([f"{site.url}/away.jpg"])[0].shape == (131, 177, 3)
    site.answer = redirect_to("/cat/1.jpg")
    assert http_loader().transform([f"{site.url}/away.jpg"])[0].shape == (131, 177, 3)


SECRETS = {"Authorization": "Basic bWU6c2VjcmV0"}


def configure_secrets() -> None:
    fsspec.config.conf["http"] = {
        "client_kwargs": {"headers": SECRETS},
        "headers": {"X-Key": "7-secret"},
    }


def assert_no_secret(error: BaseException) -> None:
    """In nothing that a log or a traceback would show of it."""
    shown = "".join([*traceback.format_exception(error), repr(error), str(error.args)])
    assert "secret" not in shown
    assert "bWU6" not in shown


@pytest.mark.parametrize("chain", ["", "simplecache::"])
@pytest.mark.parametrize("n_urls", [1, 2])
def test_a_circle_of_redirects_ends(chain, n_urls, site):
    configure_secrets()
    site.answer = redirect_to("/away.jpg")
    url = f"{chain}{site.url}/away.jpg"
    pipeline = make_image_pipeline(8, protocols=("http", "simplecache"))

    with pytest.raises(OSError, match="away") as caught:
        pipeline.fit([url] * n_urls)

    assert_no_secret(caught.value)
    assert caught.value.filename == url
    if not chain:
        assert caught.value.errno == errno.ELOOP
        assert "redirects in a circle" in caught.value.strerror
        assert "use the URL of the file itself" in caught.value.strerror
    assert len(site.requests) < 60


@pytest.mark.parametrize("status", [300, 302, 304])
def test_a_redirect_that_leads_nowhere_is_not_read_as_the_file(status, site, photo):
    body = b"" if status == 304 else encode(photo)  # RFC 9110: 304 has none
    site.answer = lambda request: not request.send(body, status)

    with pytest.raises(OSError, match=f"the server says {status}"):
        JpegLoader(protocols=("http",)).transform([f"{site.url}/away.jpg"])[0]


@pytest.mark.parametrize("chain", ["", "simplecache::", "zip://1.jpg::"])
@pytest.mark.parametrize("status", [401, 403, 407, 410, 418, 500, 503])
def test_no_error_of_a_server_shows_what_was_sent_to_it(chain, status, site):
    configure_secrets()
    site.answer = lambda request: not request.send(b"", status)

    with pytest.raises(OSError, match=r"1\.jpg") as caught:
        http_loader().set_params(protocols=("http", "simplecache", "zip")).transform(
            [f"{chain}{site.url}/1.jpg"]
        )[0]

    assert_no_secret(caught.value)


def test_what_is_not_http_is_told_without_what_was_sent(site):
    configure_secrets()
    site.answer = lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\nX secret\r\n\r\n")

    with pytest.raises(OSError, match="the server does not answer in HTTP") as caught:
        http_loader().transform([f"{site.url}/1.jpg"])[0]

    assert_no_secret(caught.value)


def test_what_a_proxy_says_is_told_without_its_password(site, monkeypatch):
    monkeypatch.setattr(Site, "do_CONNECT", Site.do_GET, raising=False)
    site.answer = lambda request: not request.send(b"", 407)
    proxy = site.url.replace("://", "://me:secret@")
    fsspec.config.conf["https"] = {"client_kwargs": {"proxy": proxy}}

    with pytest.raises(OSError, match="the proxy says 407 Proxy Auth") as caught:
        JpegLoader(protocols=("https",)).transform(["https://host/1.jpg"])[0]

    assert_no_secret(caught.value)
    assert site.requests == [("CONNECT", "host:443")]


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ("https://me:secret@127.0.0.1:9/x?sig=secret", r"to 'https://127\.0\.0\.1', which"),
        ("ftp://me:secret@127.0.0.1/secret?x=secret", r"to 'ftp://127\.0\.0\.1', which"),
        ("http://me:secret@[/x?sig=secret", "to what is not a URL"),
        ("data:secret", "to 'data://', which"),
    ],
)
def test_no_error_shows_the_query_or_the_password_of_a_redirect(target, words, site):
    site.answer = redirect_to(target)

    with pytest.raises(OSError, match=words) as caught:
        http_loader().transform([f"{site.url}/away.jpg"])[0]

    assert_no_secret(caught.value)
    assert re.search(r"; (use|download) \w+", caught.value.strerror)


def request_info() -> aiohttp.RequestInfo:
    url = yarl.URL("http://host/1.jpg?sig=secret")
    headers = CIMultiDictProxy(CIMultiDict(SECRETS))
    return aiohttp.RequestInfo(url, "GET", headers, url)


class Opaque:
    """Stands for the requests and connections that exceptions hold."""

    host, port, ssl = "host", 443, True

    def __repr__(self) -> str:
        return "proxy_auth='secret'"


def errors_of_libraries() -> dict[str, tuple[Exception, str]]:
    """Exceptions as they come out of fsspec's filesystems, and what is told of them."""
    signed = "https://me:secret@host/1.jpg?X-Amz-Signature=secret&x=1"
    cause = OSError(errno.ECONNREFUSED, "Connect call failed ('127.0.0.1', 9)")
    status = {"status": 502, "message": "Bad Gateway"}
    return {
        "status": (
            aiohttp.ClientResponseError(request_info(), (), **status),
            "HTTP status 502: Bad Gateway",
        ),
        "proxy": (
            aiohttp.ClientHttpProxyError(
                request_info(), (), status=407, message="Log in", headers=SECRETS
            ),
            "HTTP status 407: Log in",
        ),
        "parser": (
            aiohttp.ClientResponseError(
                request_info(), (), status=400, message="Invalid header: b'X: secret'"
            ),
            "HTTP status 400: Invalid header",
        ),
        "redirects": (aiohttp.TooManyRedirects(request_info(), ()), "http://host/1.jpg?..."),
        "TLS": (
            aiohttp.ClientConnectorSSLError(Opaque(), ssl.SSLError(1, "wrong version")),
            "Cannot connect to host host:443 ssl:default [wrong version]",
        ),
        "refused": (aiohttp.ClientConnectorError(Opaque(), cause), "Connect call failed"),
        "headers": (aiohttp.ServerDisconnectedError(Opaque()), "ServerDisconnectedError"),
        "reset": (aiohttp.ClientOSError(errno.EPIPE, "Broken pipe"), "Broken pipe"),
        "requests": (OSError(f"502 Server Error: Bad for url: {signed}"), "502 Server Error"),
        "urllib3": (
            OSError(ValueError(f"Max retries exceeded with url: {signed[25:]} (Caused by x)")),
            "Max retries exceeded",
        ),
        "botocore": (
            EndpointConnectionError(endpoint_url=signed),
            'Could not connect to the endpoint URL: "https://...@host/1.jpg?..."',
        ),
        "objects": (OSError(Opaque()), "OSError"),
        "key": (KeyError(Opaque()), "KeyError"),
        "none": (RuntimeError(), "RuntimeError"),
        "words": (RuntimeError("is it 5 = 5? a=b"), "is it 5 = 5? a=b"),
    }


@pytest.mark.parametrize("kind", errors_of_libraries())
@pytest.mark.parametrize("n_urls", [1, 2])
def test_no_error_of_a_library_shows_more_than_its_text(kind, n_urls, monkeypatch):
    error, told = errors_of_libraries()[kind]

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(MemoryFileSystem, "cat_file", fail)
    monkeypatch.setattr(
        MemoryFileSystem, "cat_ranges", lambda _, paths, *__, **___: [error] * len(paths)
    )

    with pytest.raises(OSError, match="memory://1") as caught:
        make_image_pipeline(8, protocols=("memory",)).fit(["memory://1.jpg"] * n_urls)

    assert told in caught.value.strerror
    assert "secret" not in str(caught.value)
    assert "bWU6" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_what_a_server_compresses_though_asked_not_to_is_not_decompressed(site):
    bomb = gzip.compress(bytes(2**28))
    asked = []

    def answer(request):
        asked.append(request.headers["Accept-Encoding"])
        request.send(bomb, headers={"Content-Encoding": "gzip"})
        return True

    site.answer = answer
    url = f"{site.url}/1.jpg"
    tracemalloc.start()

    with pytest.raises(ImageDecodeError, match=r"compressed \(gzip\)") as caught:
        http_loader().transform([url])[0]
    with pytest.warns(ImageDecodeWarning, match="compressed"):
        make_image_pipeline(8, protocols=("http",), on_error="blank").fit_transform(
            [Image.new("RGB", (8, 8)), url]
        )

    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert caught.value.source == url
    assert set(asked) == {"identity"}


@pytest.mark.parametrize(
    "coding",
    ["gzip", "X-GZip", "deflate", "compress", "x-compress", "br", "zstd", "identity , br"],
)
def test_every_compression_is_refused_by_its_name(coding, site):
    site.answer = lambda request: (
        not request.send(b"\xff\xd8", headers={"Content-Encoding": coding})
    )
    name = coding.lower().removeprefix("identity , ")

    with pytest.raises(ImageDecodeError, match=rf"sends it compressed \({name}\) though"):
        http_loader().transform([f"{site.url}/1.jpg"])[0]


@pytest.mark.parametrize(
    "coding", ["", "identity", "binary", "utf-8", "none", "aws-chunked", "identity, identity"]
)
def test_codings_that_leave_the_bytes_as_they_are_are_read(coding, site, photo):
    content = encode(photo)
    site.answer = lambda request: (
        not request.send(content, headers={"Content-Encoding": coding})
    )

    assert read(f"{site.url}/1.jpg", Access(("http",), 10)) == content


@pytest.mark.parametrize("says", ["nothing", "a range"])
def test_no_more_is_read_than_an_image_may_have(says, site):
    sent = []

    def answer(request):
        request.send_response(206 if says == "a range" else 200)
        if says == "a range":
            request.send_header("Content-Range", "bytes 0-99/100")
        request.send_header("Connection", "close")
        request.end_headers()
        sent.append(request.pour(bytes(2**20), 2**10))
        return True

    site.answer = answer
    url = f"{site.url}/1.jpg"

    with pytest.raises(ImageDecodeError, match="more than 67,108,872 bytes are more"):
        http_loader(max_pixels=1).transform([url])[0]
    with pytest.raises(ImageDecodeError, match="more than 67,108,872 bytes are more"):
        make_image_pipeline(8, protocols=("http",)).set_params(load__max_pixels=1).fit([url])
    wait_for(sent, 5)

    # Three times the first 16 MiB and twice all that is allowed, and what lies between client
    # and server.
    assert sum(sent) < (3 * 16 + 2 * 64) * 2**20 + 5 * 2**24


def wait_for(items: list, count: int) -> None:
    for _ in range(300):
        if len(items) == count:
            break
        time.sleep(0.1)
    assert len(items) == count


def test_what_follows_the_announced_length_is_not_read(site):
    sent = []

    def answer(request):
        if "long" not in request.path:
            return False
        request.send(b"\xff\xd8\xff\xe0 short")
        sent.append(request.pour(bytes(2**20), 2**10))
        return True

    site.answer = answer
    url = f"{site.url}/long.jpg"

    # As the bytes arrive: what follows makes the answer wrong, or comes too late for that.
    for n_urls in 1, 2:
        with pytest.raises((ValueError, OSError), match=r"Truncated File|not answer in HTTP"):
            make_image_pipeline(8, protocols=("http",)).fit([url] * n_urls)
    n_asked = sum("long" in path for _, path in site.requests)
    wait_for(sent, n_asked)
    for image in http_loader().transform([f"{site.url}/cat/1.jpg"] * 3):
        assert image.shape == (131, 177, 3)  # and is no answer to another request

    assert n_asked in (2, 3)  # one may meet what still comes of another
    assert max(sent) < 2**24


@pytest.mark.parametrize(
    "part",
    ["bytes 0-99/{}", "bytes 100-199/{}", "bytes 0-99/*", "items 0-99/{}", "{}", None],
)
@pytest.mark.parametrize("n_urls", [1, 2])
def test_a_part_of_a_file_is_not_taken_for_the_file(part, n_urls, site, photo):
    content = encode(photo)

    def answer(request):
        if "Range" not in request.headers:
            return False
        headers = {} if part is None else {"Content-Range": part.format(len(content))}
        request.send(content[:100], 206, headers=headers)
        return True

    site.answer = answer
    urls = [f"{site.url}/cat/1.jpg"] * n_urls

    pipeline = make_image_pipeline(8, protocols=("http",)).fit(urls)

    assert pipeline["scale"].n_samples_seen_ == n_urls
    assert len(site.requests) == 2 * n_urls


def test_a_server_that_sends_nothing_but_parts_is_refused(site, photo):
    content = encode(photo)
    headers = {"Content-Range": f"bytes 0-99/{len(content)}"}
    site.answer = lambda request: not request.send(content[:100], 206, headers=headers)

    with pytest.raises(OSError, match="sends only part of the file"):
        http_loader().transform([f"{site.url}/cat/1.jpg"])[0]


def test_a_file_is_held_once_while_it_is_received(site):
    block, n_blocks = bytes(2**20), 15  # less than what is asked for at first
    request_more = []

    def answer(request):
        request.send(b"", length=n_blocks * len(block))
        request_more.append(request.pour(block, n_blocks))
        return True

    site.answer = answer
    access = Access(("http",), 10)
    read(f"{site.url}/1.jpg", access)  # what is imported and opened stays
    tracemalloc.start()

    content = read(f"{site.url}/1.jpg", access)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert content == block * n_blocks
    assert peak < 1.5 * len(content), f"{peak / len(content):.2f} times its size"


# Index pages


def page(text: str | bytes, headers: dict[str, str] | None = None):
    """Answer with this page for the folder, and empty files."""
    content = text.encode() if isinstance(text, str) else text

    def answer(request: Site) -> bool:
        is_page = request.path.rstrip("/").endswith("photos")
        request.send(content if is_page else b"", kind="text/html", headers=headers)
        return True

    return answer


@pytest.mark.parametrize(
    "link",
    [
        '<a href="1.jpg">',
        "<a href='1.jpg'>",
        "<A  class=x\nHREF = 1.jpg >",
        '<a title="a = b"href="./1.jpg">',
        '<a href="/x/photos/1.jpg">',
        '<a href="http:/x/photos/1.jpg">',
        '<a href="SITE/x/photos/1.jpg">',
        '<a href="//HOST/x/photos/1.jpg#top">',
        '<a href=" y/../1.jpg ">',
        '<a href="&#49;.jpg">',
    ],
)
def test_links_on_index_pages_are_resolved_as_browsers_do(link, site):
    link = link.replace("SITE", site.url).replace("HOST", site.url.removeprefix("http://"))
    others = '<a href="?C=N;O=D"><a href="../"><a href="/"><a href="#x"><a href=".">'
    others += '<a href="http://other/x/photos/2.jpg"><a href="http://["><area href="3.jpg">'
    others += '<a data-href="4.jpg"><a href="https:1.jpg"><a href="/x/photoshop/5.jpg">'
    site.answer = page(f"<pre>{others}{link}{link}\xff")

    for folder in "x/photos", "x/photos/", "x//photos", "x/y/../photos":
        photos = load_image_folder(f"{site.url}/{folder}")
        assert photos.filenames.tolist() == [f"{site.url}/{folder.rstrip('/')}/1.jpg"]
        assert photos.passed_over == {}


def test_characters_that_pages_escape_are_those_of_the_file(site):
    site.answer = page('<a href="a&amp;b%20é.jpg">')

    assert load_image_folder(f"{site.url}/photos").filenames.tolist() == [
        f"{site.url}/photos/a&b%20é.jpg"
    ]


def test_an_index_page_is_read_to_a_bound(site, monkeypatch):
    monkeypatch.setattr("sknorm_images._files.http.LONGEST_PAGE", 2**20)
    sent = []

    def answer(request):
        request.send(b'<a href="1.jpg">', kind="text/html", length=2**30)
        sent.append(request.pour(b" " * 2**20, 2**10))
        return True

    site.answer = answer
    url = f"{site.url}/photos"
    tracemalloc.start()

    with pytest.raises(
        OSError, match="index page has more than 1,048,576 bytes; put"
    ) as caught:
        load_image_folder(url)

    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()
    assert caught.value.filename == url
    wait_for(sent, 1)
    assert sent[0] < 2**20 + 2**24


def test_an_index_page_has_to_arrive_in_time(site, monkeypatch):
    set_deadline("default", 0.5, monkeypatch)
    site.answer = drip

    with pytest.raises(TimeoutError, match=r"deadline of 0\.5 s"):
        load_image_folder(f"{site.url}/photos")


def test_a_compressed_index_page_is_an_error_of_the_folder(site):
    site.answer = page(gzip.compress(b'<a href="1.jpg">'), {"Content-Encoding": "gzip"})
    url = f"{site.url}/photos"

    with pytest.raises(OSError, match=r"sends it compressed \(gzip\)") as caught:
        load_image_folder(url)

    assert caught.value.filename == url


@pytest.mark.parametrize(
    "text", ["<a ", "<a" + " " * 2000, '<a href="', "<a href='\"", "<a href = ", "href"]
)
def test_no_index_page_takes_long_to_search(text, site):
    """Less than a second for 2 MB; a search that is quadratic in them takes minutes."""
    site.answer = page(text * (2_000_000 // len(text)) + '><a href="1.jpg">')
    start = time.process_time()

    found = load_image_folder(f"{site.url}/photos").filenames.tolist()

    assert found == [f"{site.url}/photos/1.jpg"]
    assert time.process_time() - start < 10


# Deadlines


def drip(request: Site) -> bool:
    """Send a byte now and then, for a minute."""
    request.send_response(200)
    request.end_headers()
    try:
        for _ in range(600):
            request.wfile.write(b"\xff")
            time.sleep(0.1)
    except OSError:
        pass
    request.close_connection = True
    return True


def say_nothing(request: Site) -> bool:
    time.sleep(2)
    return False


def set_deadline(how: str, seconds: float, monkeypatch) -> None:
    if how == "default":
        monkeypatch.setattr("sknorm_images._files.http.SECONDS_PER_FILE", seconds)
    elif how == "configured":
        timeout = aiohttp.ClientTimeout(total=seconds)
        fsspec.config.conf["http"] = {"client_kwargs": {"timeout": timeout}}
    elif how == "configured number":
        fsspec.config.conf["http"] = {"client_kwargs": {"timeout": seconds}}
    else:  # as a file or a variable of the environment can
        fsspec.config.conf["http"] = {"timeout": seconds}


@pytest.mark.parametrize("answer", [drip, say_nothing])
@pytest.mark.parametrize("how", ["default", "configured", "configured number", "number"])
def test_a_file_has_to_arrive_in_time(answer, how, site, monkeypatch):
    set_deadline(how, 0.5, monkeypatch)
    site.answer = answer
    url = f"{site.url}/cat/1.jpg"

    for on_error in "raise", "blank":
        pipeline = make_image_pipeline(8, protocols=("http",), on_error=on_error)
        with pytest.raises(TimeoutError, match=r"deadline of 0\.5 s; fsspec") as caught:
            pipeline.fit([url, url])

    assert caught.value.filename == url


@pytest.mark.parametrize("kind", ["parts", "a large file"])
@pytest.mark.parametrize("how", ["default", "configured"])
def test_all_requests_for_a_file_have_one_deadline(kind, how, site, photo, monkeypatch):
    set_deadline(how, 1.5, monkeypatch)
    if kind == "a large file":  # of which the first 16 MiB are asked for before the rest
        os.truncate(site.folder / "cat" / "1.jpg", 17 * 2**20)

    def answer(request):
        time.sleep(1)
        if kind == "parts" and "Range" in request.headers:
            request.send(b"", 416)
            return True
        return False

    site.answer = answer

    with pytest.raises(TimeoutError, match=r"deadline of 1\.5 s"):
        http_loader().transform([f"{site.url}/cat/1.jpg"])[0]


def test_what_is_configured_for_a_connection_is_told_as_such(site):
    timeout = aiohttp.ClientTimeout(total=None, sock_read=0.5)
    fsspec.config.conf["http"] = {"client_kwargs": {"timeout": timeout}}
    site.answer = say_nothing

    with pytest.raises(TimeoutError, match="deadline of one connection; fsspec"):
        http_loader().transform([f"{site.url}/cat/1.jpg"])[0]


def test_a_range_that_an_empty_file_does_not_have_is_asked_for_once_more(site):
    Path(site.folder, "cat", "1.jpg").write_bytes(b"")

    with pytest.raises(ImageDecodeError, match="the file is empty"):
        http_loader().transform([f"{site.url}/cat/1.jpg"])[0]


def test_headers_and_credentials_of_the_configuration_are_sent(site):
    seen = []

    def answer(request):
        seen.append((request.headers["X-Key"], request.headers["Authorization"]))
        return False

    site.answer = answer
    fsspec.config.conf["http"] = {
        "client_kwargs": {"headers": {"Authorization": "Basic bWU6c2VjcmV0"}},
        "headers": {"X-Key": "7"},
    }

    http_loader().transform([f"{site.url}/cat/1.jpg"])[0]

    assert seen == [("7", "Basic bWU6c2VjcmV0")]


def test_nothing_of_a_connection_is_left_open(site):
    with socket.create_connection(("127.0.0.1", site.server_port)):
        pass  # the server is there
    process = new_process.run(
        "from sknorm_images import JpegLoader\n"
        "images = JpegLoader(protocols=('http',)).transform([inputs['url']] * 40)\n"
        "print(len([image.shape for image in images]))",
        "-W",
        "error",
        url=f"{site.url}/cat/1.jpg",
    )

    assert (process.stdout.strip(), process.stderr) == ("40", "")
