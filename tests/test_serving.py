"""The server of docs/serving_uploads.md, as a process, with uploads of all kinds."""

from __future__ import annotations

import http.client
import io
import json
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sknorm_images import ImageFlattener, make_image_pipeline
from tests.conftest import crops, encode
from tests.faulty_step import DEADLY, GREEDY, SLOW, FaultyStep
from tests.jpeg_bytes import claim_size, repeat_last_scan, segment

pytest.importorskip("flask")
pytest.importorskip("pebble")

ROOT = Path(__file__).parent.parent
PATIENCE = 300  # seconds; only a test that fails waits so long
SERVE = """
from werkzeug.serving import make_server
import server
server.SECONDS_TO_WORK = 5
site = make_server("127.0.0.1", 0, server.app, threaded=True)
print(site.server_port, flush=True)
site.serve_forever()
"""


@pytest.fixture(scope="module")
def model(photos) -> tuple[Pipeline, list[str]]:
    X = crops(photos, 40)
    steps = make_image_pipeline((16, 16)).steps
    steps.insert(2, ("faults", FaultyStep()))
    steps += [("flatten", ImageFlattener()), ("classify", LogisticRegression())]
    return Pipeline(steps).fit(X, [i % 2 for i in range(40)]), ["temple", "flower"]


@pytest.fixture(scope="module")
def port(model, tmp_path_factory) -> Iterator[int]:
    """Where the server of the page listens."""
    folder = tmp_path_factory.mktemp("server")
    page = (ROOT / "docs" / "serving_uploads.md").read_text("utf-8")
    [block] = re.findall(r"^```py\n(# server\.py.*?)^```$", page, re.M | re.S)
    (folder / "server.py").write_text(block, "utf-8")
    (folder / "serve.py").write_text(
        f"if __name__ == '__main__':{SERVE}".replace("\n", "\n    ")
    )
    joblib.dump(model, folder / "model.joblib")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "serve.py"],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline())
        process.terminate()


def post(port: int, content: bytes) -> tuple[int, dict[str, object]]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
    try:
        connection.request("POST", "/classify", content)
        answer = connection.getresponse()
        body = answer.read()
    finally:
        connection.close()
    is_json = answer.getheader("Content-Type", "").startswith("application/json")
    return answer.status, json.loads(body) if is_json else {}


def png_bomb() -> bytes:
    """A PNG of 50,000 x 50,000 pixels, called a photo."""
    file = io.BytesIO()
    Image.new("1", (50_000, 50_000)).save(file, "PNG")
    return file.getvalue()


def hostile(photo: Image.Image) -> list[bytes]:
    whole = encode(photo)
    exif = segment(0xE1, b"Exif\0\0" + bytes(1000)) * 9900
    corpus = ROOT / "tests" / "data" / "jpeg"
    return [
        b"",
        b"not a photo",
        b"/etc/passwd",
        b"http://127.0.0.1/1.jpg",
        whole[: len(whole) // 2],
        claim_size(whole, 65_500, 65_500),
        repeat_last_scan(encode(photo, progressive=True), 100),
        whole[:2] + exif + whole[2:],
        png_bomb(),
        encode(photo, "PNG"),
        zlib.compress(bytes(10**6)),
        b"PK\x03\x04" + bytes(1000),
        *(path.read_bytes() for path in sorted(corpus.glob("claims-65500*.jpg"))[:8]),
    ]


def test_200_uploads_at_once_get_right_answers_also_beside_hostile_ones(port, model, photos):
    pipeline, classes = model
    good = [
        encode(image, quality=50 + i % 40) for i, image in enumerate(crops(photos, 180, 1))
    ]
    bad = hostile(photos[0])
    uploads = good + bad
    order = np.random.default_rng(0).permutation(len(uploads))

    with ThreadPoolExecutor(200) as clients:
        answers = dict(
            zip(order, clients.map(lambda i: post(port, uploads[i]), order), strict=True)
        )

    assert len(bad) == 20
    for i, content in enumerate(good):
        status, answer = answers[i]
        assert status == 200
        assert list(answer) == sorted(classes)  # as Flask orders them
        expected = dict(zip(classes, pipeline.predict_proba([content])[0], strict=True))
        assert answer == pytest.approx(expected, rel=1e-6)
    for i in range(len(good), len(uploads)):
        status, answer = answers[i]
        assert status == 422, (i, answer)
        assert 0 < len(str(answer["error"])) < 400
        assert "/" not in str(answer["error"])


def test_a_body_that_is_too_large_is_not_read(port):
    status, _ = post(port, bytes(16 * 2**20))

    assert status == 413


def test_uploads_that_hang_or_fill_or_kill_a_worker_leave_the_others_alone(port, photos):
    good = encode(photos[1])
    colours = {
        "slow": encode(Image.new("RGB", (64, 64), SLOW), quality=100),
        "greedy": encode(Image.new("RGB", (64, 64), GREEDY), quality=100),
        "deadly": encode(Image.new("RGB", (64, 64), DEADLY), quality=100),
    }
    uploads = [good] * 8 + list(colours.values()) + [good] * 8

    with ThreadPoolExecutor(len(uploads)) as clients:
        answers = list(clients.map(lambda content: post(port, content), uploads))

    statuses = [status for status, _ in answers]
    assert statuses[8:11] == [422, 422, 503]
    assert {*statuses[:8], *statuses[11:]} == {200}
    assert post(port, good)[0] == 200  # with workers in the place of those that ended
