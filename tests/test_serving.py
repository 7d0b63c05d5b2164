"""The server of docs/serving_uploads.md, as a process, with uploads of all kinds."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sknorm_images import ImageDecodeError, ImageFlattener, make_image_pipeline
from tests import page_runner
from tests.conftest import crops, encode
from tests.faulty_step import DEADLY, GREEDY, SLOW, FaultyStep
from tests.fuzzing.dear_files import issue_examples
from tests.jpeg_bytes import claim_size, repeat_last_scan, segment

pytest.importorskip("flask")
pytest.importorskip("resource")

ROOT = Path(__file__).parent.parent
CORPUS = sorted((ROOT / "tests" / "data" / "jpeg").glob("*.jpg"))
PATIENCE = 300  # seconds; only a test that fails waits so long
SERVE = f"""
import multiprocessing

from werkzeug.serving import make_server

if __name__ == "__main__":
    import server

    server.SECONDS_TO_WAIT = {PATIENCE}
    server.SECONDS_TO_WORK = 3
    pids = lambda: [process.pid for process in multiprocessing.active_children()]
    server.app.add_url_rule("/pids", view_func=pids)
    site = make_server("127.0.0.1", 0, server.app, threaded=True)
    print(site.server_port, flush=True)
    site.serve_forever()
"""
Answer = tuple[int, Any]


def server_block() -> str:
    """The server of the page, as its reader copies it."""
    examples = page_runner.examples_of("docs/serving_uploads.md")
    [code] = [example.code for example in examples if "flask.Flask(" in example.code]
    return code


@pytest.fixture(scope="module")
def model(photos) -> tuple[Pipeline, list[str]]:
    steps = make_image_pipeline((16, 16)).steps
    steps.insert(2, ("faults", FaultyStep()))
    steps += [("flatten", ImageFlattener()), ("classify", LogisticRegression())]
    y = [i % 2 for i in range(40)]  # as the photos take turns
    return Pipeline(steps).fit(crops(photos, 40), y), ["temple", "flower"]


@pytest.fixture(scope="module")
def folder(model, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("server")
    (folder / "server.py").write_text(server_block(), "utf-8")
    (folder / "serve.py").write_text(SERVE, "utf-8")
    joblib.dump(model, folder / "model.joblib")
    return folder


@pytest.fixture(scope="module")
def port(folder) -> Iterator[int]:
    """Where the server listens; its workers end with it."""
    process = subprocess.Popen(
        [sys.executable, "serve.py"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        # Workers inherit the pipe: this ends when the last of them has ended.
        process.communicate(timeout=PATIENCE)


def ask(port: int, method: str, path: str, content: bytes | Iterator[bytes] = b"") -> Answer:
    """Send a request, in chunks of unknown total length where `content` is an iterator."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request(method, path, content)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    is_json = answer.getheader("Content-Type", "").startswith("application/json")
    return answer.status, json.loads(body) if is_json else {}


def post(port: int, content: bytes) -> Answer:
    return ask(port, "POST", "/classify", content)


def expected(model: tuple[Pipeline, list[str]], content: bytes) -> Answer:
    """What the pipeline makes of an upload in this process."""
    pipeline, classes = model
    pipeline.set_params(load__max_pixels=25_000_000, load__max_scans=20)
    try:
        [probabilities] = pipeline.predict_proba([content])
    except ImageDecodeError as error:
        return 422, {"error": error.reason}
    return 200, pytest.approx(dict(zip(classes, probabilities, strict=True)), rel=1e-9)


def png_bomb() -> bytes:
    """A PNG of 25,000 x 25,000 pixels in 76 kB."""
    rows = bytes(25_000 * (1 + 25_000 // 8))

    def chunk(name: bytes, content: bytes) -> bytes:
        crc = zlib.crc32(name + content)
        return len(content).to_bytes(4) + name + content + crc.to_bytes(4)

    header = (25_000).to_bytes(4) * 2 + bytes([1, 0, 0, 0, 0])  # one bit of grey per pixel
    chunks = chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("1.jpg", content)
    return file.getvalue()


def hostile(photo: Image.Image, path: str) -> dict[str, tuple[int, bytes]]:
    """Uploads that are no sound photos, and the status that answers each."""
    whole = encode(photo)
    progressive = encode(photo.resize((64, 48)), progressive=True)
    exif = segment(0xE1, b"Exif\0\0" + bytes(1000)) * 9900
    uploads = {
        "empty": b"",
        "text": b"not a photo",
        "a path": path.encode(),
        "a URL of a file": f"file://{path}".encode(),
        "cut off": whole[: len(whole) // 2],
        "a header alone": whole[:20],
        "65,500 x 65,500": claim_size(whole, 65_500, 65_500),
        "5,100 x 5,100": claim_size(whole, 5_100, 5_100),
        "21 scans": repeat_last_scan(progressive, 21),
        "3,000 scans": repeat_last_scan(progressive, 3_000),
        "EXIF of 9,900 segments": whole[:2] + exif + whole[2:],
        "a PNG that is a bomb": png_bomb(),
        "a PNG": encode(photo, "PNG"),
        "a GIF": encode(photo, "GIF"),
        "a zip of a photo": zipped(whole),
    }
    dear = [make() for make in list(issue_examples().values())[:4]]
    uploads |= {f"dear {i}": content for i, content in enumerate(dear)}
    statuses = {name: (422, content) for name, content in uploads.items()}
    return {**statuses, "50 MB of zeros": (413, bytes(50_000_000))}


def test_200_uploads_at_once_get_right_answers_also_beside_hostile_ones(
    port, model, photos, files
):
    bad = hostile(photos[0], files[0])
    good = [
        encode(image, quality=50 + i % 40) for i, image in enumerate(crops(photos, 180, 1))
    ]
    uploads = [*good, *(content for _, content in bad.values())]
    order = np.random.default_rng(0).permutation(len(uploads))

    with ThreadPoolExecutor(len(uploads)) as clients:
        answers = dict(
            zip(order, clients.map(lambda i: post(port, uploads[i]), order), strict=True)
        )

    assert len(uploads) == 200
    for i, content in enumerate(good):
        assert answers[i] == expected(model, content)
    for i, (name, (status, _)) in enumerate(bad.items(), len(good)):
        assert answers[i][0] == status, name
        if status == 422:
            message = answers[i][1]["error"]
            assert 0 < len(message) < 400, name
            assert "\n" not in message, name
            assert str(ROOT) not in message, name
            assert files[0] not in message, name


@pytest.mark.filterwarnings("ignore::UserWarning:PIL")
def test_peculiar_files_are_answered_as_the_pipeline_answers(port, model):
    contents = [path.read_bytes() for path in CORPUS]

    with ThreadPoolExecutor(8) as clients:
        answers = list(clients.map(lambda content: post(port, content), contents))

    for path, content, answer in zip(CORPUS, contents, answers, strict=True):
        assert answer == expected(model, content), path.name
    assert {status for status, _ in answers} == {200, 422}


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(port):
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    connection.putrequest("POST", "/classify")
    connection.putheader("Content-Length", str(15 * 2**20 + 1))
    connection.endheaders()

    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize(("n_bytes", "status"), [(15 * 2**20 - 1, 200), (16 * 2**20, 413)])
def test_a_body_of_unknown_length_is_whole_or_refused(port, photos, n_bytes, status):
    photo = encode(photos[0])
    chunks = iter([photo, bytes(n_bytes - len(photo))])  # zeros behind the end do no harm

    assert ask(port, "POST", "/classify", chunks)[0] == status


def test_uploads_that_hang_or_fill_or_kill_a_worker_leave_the_others_alone(port, photos):
    good = encode(photos[1])
    faults = [
        encode(Image.new("RGB", (64, 64), colour), quality=100)
        for colour in (SLOW, GREEDY, DEADLY)
    ]
    uploads = [good] * 8 + faults + [good] * 8

    with ThreadPoolExecutor(len(uploads)) as clients:
        answers = list(clients.map(lambda content: post(port, content), uploads))

    assert [status for status, _ in answers] == [200] * 8 + [422, 422, 503] + [200] * 8
    assert [answer["error"] for _, answer in answers[8:11]] == [
        "the image takes too long",
        "the image takes too much memory",
        "the worker was lost, try again",
    ]
    assert [post(port, good)[0] for _ in range(4)] == [200] * 4  # by the workers after them


def kill_workers(port: int) -> None:
    status, pids = ask(port, "GET", "/pids")
    assert (status, len(pids) > 0) == (200, True)
    for pid in pids:
        os.kill(pid, signal.SIGKILL)


def test_workers_that_are_killed_while_idle_are_replaced(port, photos):
    good = encode(photos[0])
    assert post(port, good)[0] == 200
    kill_workers(port)

    statuses = [post(port, good)[0] for _ in range(4)]

    # One that dies just as it gets an upload loses that one; no two wait for each worker.
    assert set(statuses) <= {200, 503}
    assert statuses[2:] == [200, 200]


def test_a_model_that_cannot_be_loaded_is_503_until_it_can(port, folder, photos):
    good = encode(photos[0])
    path, hidden = folder / "model.joblib", folder / "hidden"
    path.rename(hidden)
    kill_workers(port)

    without = [post(port, good)[0] for _ in range(2)]
    hidden.rename(path)

    assert without == [503] * 2
    assert post(port, good)[0] == 200


def test_an_upload_for_which_no_worker_is_free_in_time_is_answered_503(photos, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")  # the block sets it, this unsets it
    server: dict[str, Any] = {"__name__": "server"}
    exec(compile(server_block(), "server.py", "exec"), server)
    server["SECONDS_TO_WAIT"] = 0.01
    while not server["workers"].empty():
        server["workers"].get()

    answer = server["app"].test_client().post("/classify", data=encode(photos[0]))

    assert answer.status_code == 503
    assert answer.json == {"error": "the server is busy, try again"}
