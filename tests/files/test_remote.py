"""Files at URLs: the same images, the same lists and the same errors as of local files."""

from __future__ import annotations

import errno
import http.client
import json
import os
import pickle
import re
import socketserver
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import unquote, urlsplit

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
    save_images,
)
from tests import new_process
from tests.conftest import crops, encode
from tests.empty_files import make, relative
from tests.web_site import Server, Site, serving

# The S3 server on this machine and its libraries, not ours.
pytestmark = pytest.mark.filterwarnings("ignore:datetime.datetime.utc:DeprecationWarning")
PROTOCOLS = ("file", "memory", "http", "s3", "zip", "tar", "simplecache")
jpeg_loader = partial(JpegLoader, protocols=PROTOCOLS)
image_pipeline = partial(make_image_pipeline, protocols=PROTOCOLS)
check_files = partial(check_images, loader=jpeg_loader())
N_PHOTOS = 200
SIZE = (32, 32)


@pytest.fixture(autouse=True)
def _nothing_is_left_behind() -> Iterator[None]:
    fsspec.filesystem("memory").store.clear()
    yield
    fs = fsspec.filesystem("memory")
    fs.store.clear()
    fs.pseudo_dirs[:] = [""]
    fsspec.config.conf.clear()


@pytest.fixture(scope="module")
def folder(photos, tmp_path_factory) -> Path:
    """Photos in two classes, under names that URLs have to quote."""
    folder = tmp_path_factory.mktemp("remote") / "photos"
    for i, crop in enumerate(crops(photos, N_PHOTOS)):
        path = folder / ("temple", "a flower")[i % 2] / "deep"[: i % 5] / f"{i:03} [é].jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(crop, quality=80))
    (folder / "temple" / "notes.txt").write_text("none")
    (folder / "temple" / ".hidden.jpg").write_bytes(b"")
    return folder


@pytest.fixture(scope="module")
def local(folder):
    return load_image_folder(folder)


@pytest.fixture(scope="module")
def fitted(local):
    return image_pipeline(SIZE).fit(local.filenames)


@pytest.fixture
def site(folder) -> Iterator[Server]:
    with serving(folder) as server:
        yield server


@pytest.fixture(scope="module")
def s3_server(folder):
    """A real S3 API on this machine, that of moto, with `folder` in a bucket."""
    server_module = pytest.importorskip("moto.server")
    server = server_module.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        server.start()
        host, port = server.get_host_and_port()
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        set_credentials(patch)
        fs = fsspec.filesystem("s3", skip_instance_cache=True)
        fs.mkdir("bucket")
        fs.put(str(folder), "bucket/photos", recursive=True)
        fs.pipe_file("bucket/empty.jpg", b"")
    yield f"http://{host}:{port}"
    server.stop()


def set_credentials(patch, key="testing") -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        patch.setenv(name, key)
    patch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    patch.setenv("AWS_MAX_ATTEMPTS", "1")
    patch.setenv("AWS_EC2_METADATA_DISABLED", "true")


@pytest.fixture
def s3(s3_server, monkeypatch):
    """Credentials and endpoint in the environment; the filesystem to write with."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    set_credentials(monkeypatch)
    fs = fsspec.filesystem("s3")
    fs.clear_instance_cache()
    yield fsspec.filesystem("s3")
    fs.clear_instance_cache()


def zipped(folder: Path, file: Path) -> Path:
    with zipfile.ZipFile(file, "w") as archive:
        for path in sorted(folder.rglob("*")):
            archive.write(path, path.relative_to(folder))
    return file


SERVED = [
    pytest.param(kind, marks=pytest.mark.long)
    for kind in ("s3", "http", "zip on http", "simplecache")
]


@pytest.fixture(params=["memory", "file", "zip", *SERVED])
def url(request, folder, tmp_path) -> str:
    """`folder`, as it is reached in several ways."""
    kind = request.param
    if kind == "s3":
        request.getfixturevalue("s3")
        return "s3://bucket/photos"
    if kind == "memory":
        fsspec.filesystem("memory").put(str(folder), "/photos", recursive=True)
        return "memory://photos"
    if kind == "file":
        return f"file://{folder}"
    if kind == "zip":
        return f"zip://::{zipped(folder, tmp_path / 'photos.zip')}"
    site = request.getfixturevalue("site")
    if kind == "zip on http":
        site.folder = zipped(folder, tmp_path / "photos.zip").parent
        return f"zip://::{site.url}/photos.zip"
    return f"simplecache::{site.url}" if kind == "simplecache" else site.url


# The same as of local files


def test_a_folder_at_a_url_is_fitted_and_transformed_as_a_local_one_is(url, local, fitted):
    photos = load_image_folder(url)
    pipeline = image_pipeline(SIZE, n_jobs=2)

    X = pipeline.fit_transform(photos.filenames)

    assert len(photos.filenames) == N_PHOTOS
    assert photos.target_names == local.target_names
    np.testing.assert_array_equal(photos.target, local.target)
    assert pipeline["scale"].statistics_ == fitted["scale"].statistics_
    np.testing.assert_array_equal(X, fitted.transform(local.filenames))


def test_threads_and_processes_read_s3_alike(s3, fitted):
    # In a process of its own: one that has loaded JAX must not fork, and workers of loky
    # that are there already have another environment.
    code = """
import joblib
from sknorm_images import load_image_folder, make_image_pipeline

files = load_image_folder("s3://bucket/photos").filenames
counts = []
for backend in ("multiprocessing", "threading", "loky"):
    with joblib.parallel_config(backend=backend, n_jobs=2):
        pipeline = make_image_pipeline(inputs["size"], protocols=("s3",)).fit(files)
    counts.append(pipeline["scale"].statistics_.counts.tolist())
print(json.dumps(counts))
"""
    for counts in new_process.answer(code, size=SIZE):
        np.testing.assert_array_equal(counts, fitted["scale"].statistics_.counts)


def test_check_images_finds_the_same_at_urls(s3, local):
    found = check_files(load_image_folder("s3://bucket/photos").filenames, n_jobs=2)
    expected = check_files(local.filenames)

    for name in set(expected) - {"filename"}:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)


def test_paths_urls_and_bytes_may_be_mixed(s3, local):
    files = load_image_folder("s3://bucket/photos").filenames
    X = [files[0], local.filenames[1], Path(local.filenames[2]).read_bytes(), files[3]]

    for image, path in zip(jpeg_loader().transform(X), local.filenames, strict=False):
        np.testing.assert_array_equal(image, np.asarray(Image.open(path)))


def test_endpoint_and_credentials_may_come_from_the_configuration(s3_server):
    fsspec.config.conf["s3"] = {
        "endpoint_url": s3_server,
        "key": "testing",
        "secret": "testing",
        "client_kwargs": {"region_name": "us-east-1"},
    }
    photos = load_image_folder("s3://bucket/photos")

    assert len(photos.filenames) == N_PHOTOS
    loader = jpeg_loader()
    assert b"testing" not in pickle.dumps([loader, loader.transform(photos.filenames)])
    assert loader.transform(photos.filenames)[0].shape[-1] == 3


# Lists


def in_memory(*names: str, content: bytes = b"") -> None:
    for name in names:
        fsspec.filesystem("memory").pipe_file(f"/{name}", content)


@pytest.mark.parametrize(
    ("url", "first"),
    [
        ("memory://photos", "memory://photos/cat/1.jpg"),
        ("memory://photos/", "memory://photos/cat/1.jpg"),
        ("memory:///photos/", "memory:///photos/cat/1.jpg"),
        ("simplecache::memory://photos", "simplecache::memory://photos/cat/1.jpg"),
        ("zip://photos::memory://x.zip", "zip://photos/cat/1.jpg::memory://x.zip"),
        ("zip://photos/::memory://x.zip", "zip://photos/cat/1.jpg::memory://x.zip"),
        ("zip::memory://y.zip", "zip://cat/1.jpg::memory://y.zip"),
        ("zip://::memory://y.zip", "zip://cat/1.jpg::memory://y.zip"),
    ],
)
def test_file_names_are_urls_in_the_form_of_the_folder(url, first, tmp_path):
    make(tmp_path / "photos", "cat/1.jpg", "dog/1.jpg")
    fs = fsspec.filesystem("memory")
    fs.put(str(tmp_path / "photos"), "/photos", recursive=True)
    fs.put_file(str(zipped(tmp_path, tmp_path.with_name(f"{tmp_path.name}-x.zip"))), "/x.zip")
    fs.put_file(
        str(zipped(tmp_path / "photos", tmp_path.with_name(f"{tmp_path.name}-y.zip"))),
        "/y.zip",
    )

    photos = load_image_folder(url)

    assert photos.filenames.tolist() == [first, first.replace("cat", "dog")]
    assert photos.target_names == ["cat", "dog"]
    assert photos.target.tolist() == [0, 1]
    assert photos.filenames.dtype == object


@pytest.mark.parametrize("url", ["s3://bucket/photos", "s3://bucket/photos/"])
def test_file_names_on_s3_name_the_bucket(s3, url, local, folder):
    names = load_image_folder(url).filenames

    assert names.tolist() == [
        f"s3://bucket/photos/{name}" for name in relative(local.filenames, folder)
    ]


def test_names_on_index_pages_are_quoted_and_those_of_classes_are_not(site):
    photos = load_image_folder(f"{site.url}/")

    assert photos.target_names == ["a flower", "temple"]
    assert all(name.isascii() for name in photos.filenames)
    assert photos.filenames[0].startswith(f"{site.url}/a%20flower/")
    turned = load_image_folder(site.url, class_names=["temple", "a flower"])
    assert turned.filenames[0].startswith(f"{site.url}/temple/")


# The layouts of tests/files/test_folders.py, and what is made of them there.
LAYOUTS = {
    "flat": ["b.jpg", "a.JPG", "c.png", ".d.jpg"],
    "classes": ["dog/10.jpg", "dog/2.jpg", "ant/nest/1.jpg", "ant/z.jpg", "ant/nest/x/0.jpg"],
    "order": ["cat/2024/may/1.jpg", "cat/2.jpg", "a-b/1.jpg", "a/1.jpg", "a b/1.jpg"],
    "hidden": ["cat/1.jpg", "cat/._1.jpg", "cat/.x/1.jpg", ".trash/3.jpg", ".cover.jpg"],
    "names like files": ["cats.jpg/1.jpg", "cats.jpg/more.jpg/2.jpg"],
    "stray": ["cat/1.jpg", "stray.jpg"],
    "empty class": ["cat/1.jpg", "dog/1.png"],
    "class of hidden files": ["cat/1.jpg", "dog/.1.jpg"],
    "nothing": ["1.png"],
    "any alphabet": ["grüne Bäume/ein Bild.jpg", "寺院/写真.jpg", "a#b?c*[d]/%41.jpg"],
}


@pytest.mark.parametrize("class_names", [None, ["cat"], ["dog", "cat"], []])
@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("scheme", ["memory", "zip", "file"])
def test_a_folder_is_listed_as_a_local_one_is(scheme, layout, class_names, tmp_path):
    folder = make(tmp_path / "photos", *LAYOUTS[layout])
    fsspec.filesystem("memory").put(f"{folder}/", "/photos", recursive=True)
    archive = zipped(tmp_path, tmp_path.with_name(f"{tmp_path.name}-photos.zip"))
    url, before, after = {
        "memory": ("memory://photos", "memory://photos", ""),
        "file": (folder.as_uri(), str(folder), ""),  # another spelling of a path
        "zip": (f"zip://photos::{archive}", "zip://photos", f"::{archive}"),
    }[scheme]

    def outcome(url: str, before: str, after: str = ""):
        try:
            photos = load_image_folder(url, class_names=class_names)
        except ValueError as error:
            return str(error).replace(after, "").replace(before, "")
        assert all(name.startswith(before) for name in photos.filenames)
        assert all(name.endswith(after) for name in photos.filenames)
        names = [name.removeprefix(before).removesuffix(after) for name in photos.filenames]
        return names, photos.target_names, np.array(photos.target).tolist()

    assert outcome(url, before, after) == outcome(str(folder), str(folder))


def test_an_object_that_stands_for_a_folder_is_no_file(s3):
    s3.pipe_file("bucket/marked/", b"")
    s3.pipe_file("bucket/marked/cat.jpg/", b"")
    s3.pipe_file("bucket/marked/cat.jpg/1.jpg", b"")

    assert load_image_folder("s3://bucket/marked").filenames.tolist() == [
        "s3://bucket/marked/cat.jpg/1.jpg"
    ]


def test_a_list_is_made_anew_each_time(s3):
    s3.pipe_file("bucket/growing/1.jpg", b"")
    assert len(load_image_folder("s3://bucket/growing").filenames) == 1

    fsspec.filesystem("s3", skip_instance_cache=True).pipe_file("bucket/growing/2.jpg", b"")

    assert len(load_image_folder("s3://bucket/growing").filenames) == 2


@pytest.mark.parametrize(
    "url",
    [
        "memory://nowhere",
        "s3://bucket/nowhere",
        "s3://no-bucket",
        "file:///nowhere/at/all",
        "zip://nowhere::memory://x.zip",
        "zip://::memory://nowhere.zip",
        "SITE/nowhere",
    ],
)
def test_a_folder_that_does_not_exist_is_an_error_with_its_url(url, s3, site, tmp_path):
    make(tmp_path, "cat/1.jpg")
    archive = zipped(tmp_path, tmp_path.with_name(f"{tmp_path.name}-x.zip"))
    fsspec.filesystem("memory").put_file(str(archive), "/x.zip")
    url = url.replace("SITE", site.url)

    with pytest.raises(FileNotFoundError) as caught:
        load_image_folder(url)

    assert caught.value.filename == url


@pytest.mark.parametrize("url", ["memory://1.jpg", "s3://bucket/empty.jpg"])
def test_a_file_in_place_of_a_folder_is_an_error_with_its_url(url, s3):
    in_memory("1.jpg")

    with pytest.raises(NotADirectoryError) as caught:
        load_image_folder(url)

    assert caught.value.filename == url


def test_a_sub_folder_that_may_not_be_read_is_not_passed_over(site):
    site.answer = lambda request: "temple" in request.path and not request.send(b"", 403)

    with pytest.raises(PermissionError) as caught:
        load_image_folder(site.url)

    assert caught.value.filename == site.url


def test_a_link_leads_to_a_class_and_below_it_to_nothing(tmp_path):
    elsewhere = make(tmp_path / "elsewhere", "1.jpg")
    folder = make(tmp_path / "photos", "cat/2.jpg")
    (folder / "dog").symlink_to(elsewhere)
    (folder / "cat" / "round").symlink_to(folder)

    names = load_image_folder(folder.as_uri()).filenames.tolist()

    assert names == load_image_folder(folder).filenames.tolist()


# What is no URL


@pytest.mark.parametrize("name", ["c:", "2024::01.jpg", "a::b::c.jpg", "x:y.jpg"])
def test_a_path_with_colons_is_a_path(name, photos, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path(name).write_bytes(encode(photos[0]))

    assert jpeg_loader().transform([name])[0].shape == (427, 640, 3)


def test_a_path_that_was_a_url_gets_a_hint():
    path = Path("s3://bucket/photos/1.jpg")

    with pytest.raises(FileNotFoundError, match=r"a URL has two slashes.*s3:/bucket/photos"):
        jpeg_loader().transform([path])[0]
    with pytest.raises(FileNotFoundError, match="a URL has two slashes"):
        load_image_folder(path.parent)


# What is not installed, or not known


@pytest.mark.parametrize("on_error", ["raise", "blank"])
def test_an_unknown_protocol_is_refused_before_anything_is_read(on_error, local):
    X = [local.filenames[0], "zip://1.jpg::nosuch://x.zip"]

    loader = JpegLoader(protocols=(*PROTOCOLS, "nosuch"), on_error=on_error)
    for refuse in (
        loader.transform,
        partial(check_images, loader=loader),
        lambda X: load_image_folder(X[1]),
    ):
        with pytest.raises(ValueError, match=r"'nosuch'.*'zip://1\.jpg::nosuch://x\.zip'"):
            refuse(X)


@pytest.mark.long
@pytest.mark.parametrize(
    ("missing", "words"),
    [
        ("fsspec", ['Run: python -m pip install "sknorm-images[remote]"']),
        ("s3fs", ["s3://", "Install s3fs"]),
    ],
)
def test_a_missing_library_is_named_with_what_to_install(missing, words):
    process = new_process.run(
        f"sys.modules[{missing!r}] = None\n"
        "from sknorm_images import *\nJpegLoader().transform(['1.jpg'])\n"
        "loader = JpegLoader(protocols=('s3',), on_error='blank')\n"
        "for function in loader.transform, lambda X: check_images(X, loader=loader):\n"
        "    try: function(['s3://bucket/1.jpg'])\n"
        "    except ImportError as error: print(error)\n"
        "try: load_image_folder('s3://bucket')\n"
        "except ImportError as error: print(error)\n"
    )
    lines = process.stdout.splitlines()
    assert (len(lines), process.stderr) == (3, "")
    assert all(word in line for word in words for line in lines)


# Files that are missing or refused


def missing_urls(site: Server) -> dict[str, str]:
    return {
        "s3": "s3://bucket/photos/nowhere.jpg",
        "bucket": "s3://no-bucket/1.jpg",
        "http": f"{site.url}/nowhere.jpg",
        "memory": "memory://nowhere.jpg",
        "file": "file:///nowhere/1.jpg",
        "zip": "zip://nowhere.jpg::memory://x.zip",
        "archive": "zip://1.jpg::memory://nowhere.zip",
    }


@pytest.mark.parametrize("kind", ["s3", "bucket", "http", "memory", "file", "zip", "archive"])
def test_a_missing_file_is_an_error_with_its_url(kind, s3, site, local, tmp_path):
    make(tmp_path, "cat/1.jpg")
    archive = zipped(tmp_path, tmp_path.with_name(f"{tmp_path.name}-x.zip"))
    fsspec.filesystem("memory").put_file(str(archive), "/x.zip")
    url = missing_urls(site)[kind]
    files = [*local.filenames[:5], url]

    with pytest.raises(FileNotFoundError) as caught:
        image_pipeline(SIZE).fit(files)
    with pytest.raises(FileNotFoundError):
        jpeg_loader().transform([url])[0]  # alone, not among others
    with pytest.warns(ImageDecodeWarning, match=re.escape(url)):
        X = image_pipeline(SIZE, on_error="blank").fit_transform(files)
    found = check_files(files)

    error = caught.value
    assert error.filename == url
    assert re.search("No such|not exist|no item", error.strerror)
    assert error.__cause__ is not None
    copy = pickle.loads(pickle.dumps(error))
    assert (type(copy), copy.filename, str(copy)) == (type(error), url, str(error))
    assert not X[-1].any()
    assert X[:-1].any(axis=(1, 2, 3)).all()
    assert found.readable.tolist() == [True] * 5 + [False]
    assert found.reason[-1] == error.strerror


def test_refused_credentials_end_the_call(s3_server, monkeypatch, local):
    from moto import settings

    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    set_credentials(monkeypatch, key="unknown")
    monkeypatch.setattr(settings, "INITIAL_NO_AUTH_ACTION_COUNT", 0)  # all are authorised
    fsspec.filesystem("s3").clear_instance_cache()
    url = "s3://bucket/photos/a flower/001 [é].jpg"
    calls = [
        lambda: jpeg_loader().transform([url])[0],
        lambda: load_image_folder("s3://bucket/photos"),
        lambda: image_pipeline(SIZE, on_error="blank").fit([url, *local.filenames[:3]]),
    ]

    for call in calls:
        with pytest.raises(OSError, match="Access Key") as caught:
            call()
        assert not isinstance(caught.value, PermissionError)
        assert caught.value.filename in {url, "s3://bucket/photos"}
    fsspec.filesystem("s3").clear_instance_cache()


def after(n_files: int, refuse: Callable[[Site], object], s3_server: str):
    """Answer as the S3 server does for so many files, and then refuse to send any."""
    n_sent = 0

    def answer(request: Site) -> bool:
        nonlocal n_sent
        is_file = request.path.partition("?")[0].endswith(".jpg")
        n_sent += is_file
        if is_file and n_sent > n_files:
            refuse(request)
            return True
        connection = http.client.HTTPConnection(urlsplit(s3_server).netloc)
        headers = {k: v for k, v in request.headers.items() if k.lower() != "host"}
        connection.request(request.command, request.path, headers=headers)
        got = connection.getresponse()
        kept = {k: v for k, v in got.getheaders() if k in {"Content-Range", "ETag"}}
        kind = got.getheader("Content-Type", "")
        request.send(got.read(), got.status, kind, headers=kept)
        return True

    return answer


def says(status: int, code: str = "", words: str = "no") -> Callable[[Site], object]:
    page = f"<Error><Code>{code}</Code><Message>{words}</Message></Error>" if code else ""
    return lambda request: request.send(page.encode(), status, "application/xml")


def hang_up(request: Site) -> None:
    request.close_connection = True


REFUSES_ALL = [
    pytest.param(says(400, "ExpiredToken"), id="400 ExpiredToken"),
    pytest.param(says(403, "ExpiredToken"), id="403 ExpiredToken"),
    pytest.param(says(403, "RequestTimeTooSkewed"), id="403 RequestTimeTooSkewed"),
    pytest.param(says(403, "SignatureDoesNotMatch"), id="403 SignatureDoesNotMatch"),
    pytest.param(says(401), id="401"),
    pytest.param(says(429, "TooManyRequests"), id="429"),
    pytest.param(says(503, "SlowDown"), id="503"),
    pytest.param(hang_up, id="hangs up"),
]


@pytest.fixture
def s3_by_proxy(s3, site, monkeypatch) -> Iterator[Server]:
    """The web server in place of the S3 server; its `answer` may pass a request on."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", site.url)
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)
    s3.clear_instance_cache()
    yield site
    s3.clear_instance_cache()


@pytest.mark.long
@pytest.mark.parametrize("refuse", REFUSES_ALL)
def test_a_store_that_refuses_all_midway_ends_the_call(
    refuse, s3_by_proxy, s3_server, folder, local, tmp_path
):
    names = [Path(name).relative_to(folder).as_posix() for name in local.filenames[:12]]
    urls = [f"s3://bucket/photos/{name}" for name in names]
    pipeline = image_pipeline(SIZE, on_error="blank").fit(local.filenames[:4])
    before = pickle.dumps(pipeline)
    images = pipeline[:-1].transform(urls)
    n_files = len(urls) // 2
    target = tmp_path / "photos.zarr"

    for call in (
        lambda: pipeline.fit(urls),
        lambda: np.asarray(images),
        lambda: save_images(images, target, chunk_size=2),
    ):
        s3_by_proxy.answer = after(n_files, refuse, s3_server)
        with pytest.raises(OSError, match="s3://bucket/photos") as caught:
            call()
        assert not isinstance(caught.value, PermissionError | FileNotFoundError)

    assert pickle.dumps(pipeline) == before
    assert not target.exists()
    s3_by_proxy.answer = after(len(urls), refuse, s3_server)
    s3_by_proxy.requests.clear()
    saved = save_images(images, target, chunk_size=2)
    expected = image_pipeline(SIZE)[:-1].transform(local.filenames[:12])
    np.testing.assert_array_equal(saved, expected)
    assert sum(".jpg" in path for _, path in s3_by_proxy.requests) < len(
        urls
    )  # it went on where it had stopped


def test_a_store_that_refuses_one_file_leaves_it_blank(s3_by_proxy, s3_server, local):
    refused = after(0, says(403, "AccessDenied"), s3_server)
    allowed = after(100, hang_up, s3_server)
    s3_by_proxy.answer = lambda request: (refused if "001" in request.path else allowed)(
        request
    )
    urls = ["s3://bucket/photos/a flower/001 [é].jpg"]

    with pytest.warns(ImageDecodeWarning, match="001"):
        image_pipeline(SIZE, on_error="blank").fit([*urls, *local.filenames[:3]])
    with pytest.raises(PermissionError, match="001"):
        jpeg_loader().transform(urls)[0]


@pytest.mark.parametrize(
    ("status", "code", "words", "reason"),
    [
        (403, "", "", None),
        (403, "AccessDenied", "Access Denied", None),
        (403, "AccessDenied", "Request has expired", "the request has expired"),
        (403, "ExpiredToken", "", "(ExpiredToken)"),
        (403, "AuthenticationFailed", "not valid now", "(AuthenticationFailed)"),
        (403, "AuthorizationPermissionMismatch", "", None),
        (401, "", "", "says 401"),
        (407, "", "", "says 407"),
        (429, "", "", "says 429"),
        (503, "", "", "says 503"),
    ],
)
def test_a_web_server_refuses_one_file_or_all(status, code, words, reason, site, local):
    site.answer = says(status, code, words)
    urls = [f"{site.url}/1.jpg", *local.filenames[:3]]
    pipeline = image_pipeline(SIZE, on_error="blank")

    if reason is None:
        with pytest.warns(ImageDecodeWarning, match="1.jpg"):
            pipeline.fit(urls)
    else:
        with pytest.raises(OSError, match="says") as caught:
            pipeline.fit(urls)
        assert not isinstance(caught.value, PermissionError)
        assert caught.value.filename == urls[0]
        assert reason in str(caught.value)


class RefusedError(Exception):
    """As the libraries of other stores raise them."""

    def __init__(self, message: str = "", **attributes: object) -> None:
        super().__init__(message)
        vars(self).update(attributes)


@pytest.mark.parametrize(
    ("error", "is_of_one"),
    [
        (OSError("Forbidden: b/o\nme@x does not have storage.objects.get access"), True),
        (OSError("Forbidden: b/o\nRate Limit Exceeded"), False),
        (OSError("Forbidden: b/o\nThe billing account is disabled"), False),
        (RefusedError("Invalid Credentials, 401", code=401), False),
        (RefusedError("", status_code=403, error_code="AuthenticationFailed"), False),
        (
            RefusedError("", status_code=403, error_code="AuthorizationPermissionMismatch"),
            True,
        ),
        (PermissionError(errno.EACCES, "Permission denied"), True),
    ],
)
def test_other_stores_refuse_one_file_or_all(error, is_of_one, monkeypatch):
    fs = fsspec.filesystem("memory")

    def refuse(*args, **kwargs):
        raise error

    monkeypatch.setattr(type(fs), "cat_file", refuse)

    with pytest.raises(OSError, match=r"memory://bucket/1\.jpg") as caught:
        jpeg_loader().transform(["memory://bucket/1.jpg"])[0]

    assert isinstance(caught.value, PermissionError) == is_of_one


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (403, PermissionError),
        (404, FileNotFoundError),
        (410, FileNotFoundError),
    ],
)
def test_what_http_says_is_what_a_local_file_would_say(status, kind, site):
    site.answer = lambda request: not request.send(b"", status)
    url = f"{site.url}/1.jpg"

    with pytest.raises(kind) as caught:
        jpeg_loader().transform([url])[0]

    assert caught.value.filename == url


# A network that fails


def cut_off(request: Site) -> bool:
    """Send half of what was announced, and hang up."""
    if "temple" in request.path:
        whole = (request.server.folder / unquote(request.path)[1:]).read_bytes()
        request.send(whole[: len(whole) // 2], length=len(whole))
        request.close_connection = True
        return True
    return False


def fail(request: Site) -> bool:
    return "temple" in request.path and not request.send(b"", 500)


def refused_url() -> str:
    with socketserver.TCPServer(("127.0.0.1", 0), None) as server:
        port = server.server_address[1]
    return f"http://127.0.0.1:{port}/temple/1.jpg"


@pytest.mark.parametrize(
    ("answer", "backend", "on_error"),
    [
        (cut_off, "threading", "raise"),
        (cut_off, "threading", "blank"),
        (cut_off, "loky", "blank"),
        (fail, "threading", "blank"),
        (None, "threading", "blank"),
    ],
)
def test_a_failing_network_ends_the_call_with_the_url(answer, on_error, backend, site):
    files = load_image_folder(site.url).filenames
    good, bad = files[:8].tolist(), files[-3:].tolist()
    if answer is None:  # nobody listens
        bad = [refused_url()]
    pipeline = image_pipeline(SIZE, on_error=on_error).fit(good)
    before = pickle.dumps(pipeline)
    site.answer = answer

    with (
        joblib.parallel_config(backend=backend, n_jobs=2),
        pytest.raises(OSError, match=r"127\.0\.0\.1") as in_fit,
    ):
        pipeline.fit([*good, *bad])
    with pytest.raises(OSError, match=r"127\.0\.0\.1") as in_transform:
        pipeline.transform([*good, *bad])
    with pytest.raises(OSError, match=r"127\.0\.0\.1"):
        check_files(bad)

    for error in (in_fit.value, in_transform.value):
        assert not isinstance(error, FileNotFoundError | PermissionError)
        assert error.filename in bad
    assert pickle.dumps(pipeline) == before
    site.answer = None
    if answer is not None:
        pipeline.fit([*good, *bad])


@pytest.mark.parametrize("name", ["photos.npy", "photos.zarr"])
def test_a_network_that_drops_leaves_no_half_array(name, site, local, tmp_path):
    files = load_image_folder(site.url).filenames
    images = image_pipeline(SIZE)[:-1].transform(files)
    site.answer = cut_off
    with pytest.raises(OSError, match=r"127\.0\.0\.1") as caught:
        save_images(images, tmp_path / name, chunk_size=8)
    assert caught.value.filename in files
    assert not (tmp_path / name).exists()
    site.answer = None
    saved = save_images(images, tmp_path / name, chunk_size=8)
    expected = image_pipeline(SIZE)[:-1].transform(local.filenames)
    np.testing.assert_array_equal(saved, expected)
    assert {path.name for path in tmp_path.iterdir()} - {f"{name}.sknorm-images.json"} == {
        name
    }


def test_a_connection_that_is_refused_keeps_its_class():
    with pytest.raises(ConnectionRefusedError) as caught:
        jpeg_loader().transform([refused_url()])[0]

    assert caught.value.__cause__ is not None


def test_an_s3_server_that_hangs_up_is_no_truncated_image(s3, site, monkeypatch):
    def hang_up(request):
        content = encode(Image.new("RGB", (64, 64)))
        request.send(content[: len(content) // 2], length=len(content))
        request.close_connection = True
        return True

    site.answer = hang_up
    monkeypatch.setenv("AWS_ENDPOINT_URL", site.url)
    fsspec.config.conf["s3"] = {"skip_instance_cache": True}
    monkeypatch.setattr("s3fs.S3FileSystem.retries", 1)

    with pytest.raises(OSError, match=r"s3://bucket/1\.jpg") as caught:
        jpeg_loader().transform(["s3://bucket/1.jpg"])[0]

    assert not isinstance(caught.value, FileNotFoundError | PermissionError)


def test_without_credentials_the_reason_is_that_of_the_library(s3_server, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_server)
    for name in [name for name in os.environ if name.startswith("AWS_") and "URL" not in name]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/nowhere")
    fsspec.filesystem("s3").clear_instance_cache()

    with pytest.raises(OSError, match="credentials"):
        jpeg_loader(on_error="blank").transform(["s3://bucket/photos/1.jpg"])[0]
    fsspec.filesystem("s3").clear_instance_cache()


# Contents


@pytest.mark.parametrize("kind", ["s3", "http", "memory", "zip"])
def test_an_empty_file_is_an_image_that_cannot_be_decoded(kind, s3, site, tmp_path):
    in_memory("empty.jpg")
    (tmp_path / "empty.jpg").touch()
    site.folder = tmp_path
    archive = zipped(tmp_path, tmp_path.with_name(f"{tmp_path.name}-empty.zip"))
    url = {
        "s3": "s3://bucket/empty.jpg",
        "http": f"{site.url}/empty.jpg",
        "memory": "memory://empty.jpg",
        "zip": f"zip://empty.jpg::{archive}",
    }[kind]

    with pytest.raises(ImageDecodeError, match="the file is empty") as caught:
        jpeg_loader().transform([url])[0]
    found = check_files([url])

    assert caught.value.source == url
    assert found.reason.tolist() == ["the file is empty"]


def test_a_truncated_file_is_named_by_its_url_and_position(s3, local):
    content = Path(local.filenames[0]).read_bytes()
    s3.pipe_file("bucket/cut.jpg", content[: len(content) // 2])

    with pytest.raises(ImageDecodeError, match="truncated") as caught:
        image_pipeline(SIZE).fit([*local.filenames[:12], "s3://bucket/cut.jpg"])

    assert (caught.value.position, caught.value.source) == (12, "s3://bucket/cut.jpg")


def test_a_file_that_is_too_large_is_refused_and_not_downloaded(site, tmp_path):
    site.folder = tmp_path
    with (tmp_path / "large.jpg").open("wb") as file:
        file.truncate(70 * 2**20)  # more than 64 MiB, and 8 bytes for each of 100 pixels
    sent = []
    send = Site.send

    def count(request, body, *args, **kwargs):
        sent.append(len(body) if request.command == "GET" else 0)
        send(request, body, *args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Site, "send", count)
        with pytest.raises(ImageDecodeError, match=f"{70 * 2**20:,} bytes are more than any"):
            jpeg_loader(max_pixels=100).transform([f"{site.url}/large.jpg"])[0]

    assert sum(sent) == 16 * 2**20  # what is asked for of every file


def test_a_member_of_an_archive_that_is_too_large_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("large.jpg", bytes(70 * 2**20))

    with pytest.raises(ImageDecodeError, match=f"{70 * 2**20:,} bytes are more than any"):
        jpeg_loader(max_pixels=100).transform([f"zip://large.jpg::{tmp_path}/x.zip"])[0]


def test_a_large_file_within_the_limits_is_read_whole(site, tmp_path, photos):
    site.folder = tmp_path
    content = encode(photos[0]) + bytes(20 * 2**20)  # what follows an image is passed over
    (tmp_path / "large.jpg").write_bytes(content)

    found = check_files([f"{site.url}/large.jpg"])

    assert found.n_bytes[0] == len(content)
    assert found.readable[0]


def test_a_server_that_heeds_no_range_is_read_all_the_same(site, local):
    def forget_range(request):
        del request.headers["Range"]
        return False

    site.answer = forget_range
    url = load_image_folder(site.url).filenames[0]

    np.testing.assert_array_equal(
        jpeg_loader().transform([url])[0], np.asarray(Image.open(local.filenames[0]))
    )


def test_a_named_pipe_at_a_file_url_is_refused_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(ImageDecodeError, match="not a regular file"):
        jpeg_loader().transform([f"file://{tmp_path}/pipe.jpg"])[0]


# Archives


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_archive_that_is_replaced_is_read_anew(n_jobs, tmp_path, folder, photos):
    file = zipped(folder, tmp_path / "photos.zip")
    files = load_image_folder(f"zip://::{file}").filenames
    pipeline = image_pipeline(SIZE, n_jobs=n_jobs)
    first = pipeline.fit_transform(files[:20])
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        for name in files[:20]:
            archive.writestr(name[6:].split("::")[0], encode(photos[0]))
    (tmp_path / "other.zip").replace(file)

    second = pipeline.fit_transform(files[:20])

    assert not np.array_equal(first, second)
    assert (second == second[0]).all()


def test_the_directory_of_an_archive_is_not_read_for_every_file(tmp_path, folder, monkeypatch):
    url = f"zip://::{zipped(folder, tmp_path / 'photos.zip')}"
    opened = []
    begin = zipfile.ZipFile.__init__

    def count(*args, **kwargs):
        opened.append(args)
        begin(*args, **kwargs)

    monkeypatch.setattr(zipfile.ZipFile, "__init__", count)
    files = load_image_folder(url).filenames
    image_pipeline(SIZE, n_jobs=2).fit_transform(files)

    assert len(opened) < len(files) / 5


def test_threads_share_an_archive_that_has_one_position(tmp_path, folder, local, fitted):
    import tarfile

    with tarfile.open(tmp_path / "photos.tar", "w") as archive:
        archive.add(folder, "photos")
    files = [
        f"tar://photos/{name}::{tmp_path}/photos.tar"
        for name in relative(local.filenames, folder)
    ]

    pipeline = image_pipeline(SIZE, n_jobs=4).fit(files)

    assert pipeline["scale"].statistics_ == fitted["scale"].statistics_


# Requests


def test_a_file_takes_one_request(site):
    files = load_image_folder(site.url).filenames
    site.requests.clear()

    image_pipeline(SIZE, n_jobs=2).fit_transform(files)

    assert len(site.requests) == len(set(site.requests)) == len(files)
    assert {command for command, _ in site.requests} == {"GET"}


def test_files_are_fetched_together_and_no_more_than_a_few(site):
    files = load_image_folder(site.url).filenames
    under_way, most, lock = 0, [], threading.Lock()

    def watch(request):
        nonlocal under_way
        with lock:
            under_way += 1
            most.append(under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return False

    site.answer = watch
    image_pipeline(SIZE).fit(files[:64])

    assert 8 < max(most) <= 16


def test_after_the_first_error_nothing_more_is_fetched(site):
    files = load_image_folder(site.url).filenames.tolist()
    site.requests.clear()

    with pytest.raises(FileNotFoundError):
        image_pipeline(SIZE).fit([f"{site.url}/nowhere.jpg", *files])

    assert len(site.requests) <= 16


# The command line


def test_the_command_line_takes_urls(s3, local, tmp_path, monkeypatch, call):
    monkeypatch.chdir(tmp_path)
    few = [f"{name}/{i}.jpg" for name in ("cat", "dog") for i in range(4)]
    for name, path in zip(few, local.filenames, strict=False):
        make(tmp_path / "few", name)
        (tmp_path / "few" / name).write_bytes(Path(path).read_bytes())
    s3.put(f"{tmp_path}/few", "bucket/few", recursive=True)
    url = "s3://bucket/few"
    assert call("fit", url, "-o", "p.joblib", "--size", "32x32").status == 0
    assert call("transform", url, "-p", "p.joblib", "-o", "x.npz").status == 0
    assert call("report", url, "-p", "p.joblib", "-o", "report.html").status == 0
    checked = json.loads(call("check", "--json", url, f"{url}/cat", "few").out)

    files = load_image_folder("few").filenames
    expected = image_pipeline(SIZE).fit(files)
    assert joblib.load("p.joblib")["scale"].statistics_ == expected["scale"].statistics_
    with np.load("x.npz") as out:
        np.testing.assert_array_equal(out["images"], expected.transform(files))
        names = out["filenames"].tolist()
    assert names == [f"s3://bucket/{name}" for name in files]
    assert "s3://bucket/few/cat/0.jpg" in Path("report.html").read_text()
    assert [row["filename"] for row in checked] == [*names, *files]
    assert [row["duplicate_of"] for row in checked] == [-1] * 8 + list(range(8))


def test_a_program_that_read_urls_ends_in_silence(site, s3):
    url = load_image_folder(site.url).filenames[0]
    process = new_process.run(
        "from sknorm_images import *\n"
        "files = load_image_folder('s3://bucket/photos').filenames[:40]\n"
        "pipeline = make_image_pipeline((8, 8), n_jobs=2, protocols=('s3', 'http'))\n"
        f"pipeline.fit_transform([*files, {url!r}])\n",
        "-W",
        "error",
    )

    assert (process.returncode, process.stderr) == (0, "")
