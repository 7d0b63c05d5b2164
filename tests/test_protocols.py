"""What paths and strings may lead to: what `protocols` names, in bounded bytes and time."""

from __future__ import annotations

import gzip
import io
import os
import pickle
import socket
import socketserver
import threading
import time
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
from PIL import Image

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    check_images,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images._access import Access
from sknorm_images._reading import read
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
    assert "leads to simplecache, https," in message
    assert "protocols=('zip', 'simplecache', 'https')" in message
    assert len(message) < 400


def test_a_template_in_a_reference_file_is_never_rendered(tmp_path, site):
    code = "{{ cycler.__init__.__globals__.os.system('touch " + str(tmp_path / "ran") + "') }}"
    Path(site.folder, "r.json").write_text(
        '{"version": 1, "templates": {"u": "x"}, "refs": {"k": ["' + code + '{{u}}"]}}'
    )
    url = f"reference://k::{site.url}/r.json"

    with pytest.raises(ValueError, match="leads to reference, http"):
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


@pytest.mark.parametrize(
    "form", ["{}", "file://{}", "zip://1.jpg::{}", "simplecache::file://{}"]
)
def test_a_pipe_is_refused_wherever_it_stands(form, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    loader = JpegLoader(protocols=("file", "zip", "simplecache"))

    with pytest.raises(ImageDecodeError, match="no regular file"):
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


def test_a_circle_of_redirects_ends(site):
    site.answer = redirect_to("/away.jpg")

    with pytest.raises(OSError, match="away"):
        http_loader().transform([f"{site.url}/away.jpg"])[0]

    assert len(site.requests) < 30


def test_what_a_server_packs_though_asked_not_to_is_not_unpacked(site):
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


@pytest.mark.parametrize("says", ["nothing", "too little", "a range"])
def test_no_more_is_read_than_an_image_may_have(says, site):
    sent = []

    def answer(request):
        request.send_response(206 if says == "a range" else 200)
        if says == "too little":
            request.send_header("X-Length", "10")
        if says == "a range":
            request.send_header("Content-Range", "bytes 0-99/100")
        request.send_header("Connection", "close")
        request.end_headers()
        block, count = bytes(2**20), 0
        try:
            while count < 2**30:
                count += request.wfile.write(block)
        except OSError:
            pass  # the client hung up
        sent.append(count)
        request.close_connection = True
        return True

    site.answer = answer
    url = f"{site.url}/1.jpg"

    with pytest.raises(ImageDecodeError, match="more than 67,108,872 bytes are more"):
        http_loader(max_pixels=1).transform([url])[0]
    with pytest.raises(ImageDecodeError, match="more than 67,108,872 bytes are more"):
        make_image_pipeline(8, protocols=("http",)).set_params(load__max_pixels=1).fit([url])
    for _ in range(300):
        if len(sent) == 5:
            break
        time.sleep(0.1)

    # Three times the first 16 MiB and twice all that is allowed, and what lies between client
    # and server.
    assert len(sent) == 5
    assert sum(sent) < (3 * 16 + 2 * 64) * 2**20 + 5 * 2**24


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


@pytest.mark.parametrize("answer", [drip, say_nothing])
@pytest.mark.parametrize("how", ["default", "configured"])
def test_a_file_has_to_arrive_in_time(answer, how, site, monkeypatch):
    if how == "default":
        monkeypatch.setattr("sknorm_images._http.SECONDS_PER_FILE", 0.5)
    else:
        timeout = aiohttp.ClientTimeout(total=0.5)
        fsspec.config.conf["http"] = {"client_kwargs": {"timeout": timeout}}
    site.answer = answer
    url = f"{site.url}/cat/1.jpg"

    for on_error in "raise", "blank":
        pipeline = make_image_pipeline(8, protocols=("http",), on_error=on_error)
        with pytest.raises(TimeoutError, match="deadline") as caught:
            pipeline.fit([url, url])

    assert caught.value.filename == url


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
