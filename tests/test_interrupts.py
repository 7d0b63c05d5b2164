"""Ctrl-C, and errors: calls end soon, no thread reads on, and nothing is half fitted."""

from __future__ import annotations

import _thread
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import joblib
import pytest
from PIL import Image

from sknorm_images import (
    ChannelStandardScaler,
    ImageDecodeError,
    JpegLoader,
    check_images,
)
from tests.conftest import encode
from tests.lazy_photos import READERS, each_reader, lazy, watched

PATIENCE = 300  # seconds; only a test that fails waits so long


class Reads:
    """Notes which images were read, each slowly, and does something at one of them."""

    def __init__(
        self, at: int = -1, do: Callable[[], Any] = lambda: None, seconds: float = 0.02
    ) -> None:
        self.positions: list[int] = []
        self._at = at
        self._do = do
        self._seconds = seconds

    def __call__(self, position: int) -> None:
        self.positions.append(position)
        if position == self._at:
            self._at = -1  # once, however often its path is asked for
            self._do()
        time.sleep(self._seconds)

    def are_over(self) -> bool:
        """Whether no image is read any more."""
        n = len(self.positions)
        time.sleep(max(0.1, 3 * self._seconds))
        return len(self.positions) == n


# Within one process


THREADS = {
    "default": (2, {}),
    "threading": (None, {"backend": "threading", "n_jobs": 2}),
}
each_kind_of_threads = pytest.mark.parametrize(
    ("n_jobs", "configuration"), THREADS.values(), ids=THREADS.keys()
)


@each_reader
@each_kind_of_threads
def test_after_an_interrupt_no_thread_reads_on(n_jobs, configuration, reader, files):
    reads = Reads(40, _thread.interrupt_main)  # what Ctrl-C does
    images = lazy(watched(files * 20, reads), n_jobs)
    with (
        joblib.parallel_config(**configuration) if configuration else nullcontext(),
        pytest.raises(KeyboardInterrupt),
    ):
        reader(images)
    assert reads.are_over()
    assert len(reads.positions) < 480


@each_kind_of_threads
def test_after_an_interrupt_no_thread_checks_on(n_jobs, configuration, files):
    reads = Reads(40, _thread.interrupt_main)
    with (
        joblib.parallel_config(**configuration) if configuration else nullcontext(),
        pytest.raises(KeyboardInterrupt),
    ):
        check_images(watched(files * 20, reads), n_jobs=n_jobs)
    assert reads.are_over()
    assert len(reads.positions) < 480


@each_reader
@each_kind_of_threads
def test_a_broken_image_stops_the_other_thread_between_two_images(
    n_jobs, configuration, reader, files, not_a_photo
):
    reads = Reads(seconds=0.1)
    images = lazy(watched([not_a_photo, *(files * 20)], reads), n_jobs)
    with (
        joblib.parallel_config(**configuration) if configuration else nullcontext(),
        pytest.raises(ImageDecodeError, match=r"image 0, .*not a photo\.jpg"),
    ):
        reader(images)
    assert reads.are_over()
    assert len(reads.positions) < 20  # the chunks that had begun hold 64


@pytest.mark.parametrize("name", ["asarray", "transform", "fit_transform"])
def test_any_other_error_stops_the_other_thread_too(name, files):
    reads = Reads(seconds=0.1)
    images = JpegLoader(n_jobs=2).transform(
        watched([files[0], files[1], *(files[:1] * 480)], reads)
    )
    with pytest.raises(ValueError, match=r"Image 1, .*Add a Resizer"):
        READERS[name](images)
    assert reads.are_over()
    assert len(reads.positions) < 20


def test_a_second_interrupt_does_not_wait_for_a_thread_that_is_stuck(files):
    release, is_stuck = threading.Event(), threading.Event()

    def be_stuck(position: int) -> None:
        if position >= 32:  # not in the chunk that interrupts
            is_stuck.set()
            release.wait(PATIENCE)
        elif position == 1:
            assert is_stuck.wait(PATIENCE)
            _thread.interrupt_main()

    again = threading.Timer(1, _thread.interrupt_main)
    again.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            ChannelStandardScaler().fit(lazy(watched(files * 20, be_stuck), 2))
        assert not again.is_alive()  # it was this one that ended the call
    finally:
        again.cancel()
        release.set()


def test_interrupts_of_one_call_do_not_cancel_another(files):
    """One thread of the user goes on while the main thread's call is interrupted."""
    images = lazy(watched(files * 4, Reads()), 2)
    scaler = ChannelStandardScaler()
    other = threading.Thread(target=scaler.fit, args=(images,))
    other.start()
    with pytest.raises(KeyboardInterrupt):
        ChannelStandardScaler().fit(lazy(watched(files, Reads(5, _thread.interrupt_main)), 2))
    other.join(PATIENCE)
    assert scaler.n_samples_seen_ == 96


# A real SIGINT, to a process of its own

PREPARE = """
import json, os, pickle, signal, sys, threading, time, warnings
from contextlib import nullcontext
from pathlib import Path

import joblib
import numpy as np
from sknorm_images import ChannelStandardScaler, make_image_pipeline

inputs = json.loads(sys.argv[1])
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored


def images_of(sources, n_jobs):
    pipeline = make_image_pipeline((32, 48), n_jobs=n_jobs)
    return pipeline.set_params(resize__reducing_gap=None)[:-1].transform(sources)
"""


def start(code: str, **inputs: Any) -> subprocess.Popen[bytes]:
    """Run `code` as the leader of a process group."""
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE + code, json.dumps(inputs)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        start_new_session=True,
    )


def read_json(process: subprocess.Popen[bytes]) -> Any:
    """Wait for a line of output."""
    assert process.stdout is not None
    is_there, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert is_there
    line = process.stdout.readline()
    assert line, process.stderr.read().decode() if process.stderr else ""
    return json.loads(line)


def group_ends(group: int) -> bool:
    """Wait until no process of a group is left."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        try:
            os.killpg(group, 0)
        except ProcessLookupError:
            return True
        time.sleep(0.01)
    return False


INTERRUPTED = """
class Noted:
    def __fspath__(self):
        with open(inputs["notes"], "ab", 0) as notes:
            notes.write(b".")
        return inputs["large"]


def configured():
    if inputs["backend"] == "default":
        return nullcontext()
    return joblib.parallel_config(inputs["backend"])


def read(method, images):
    scaler = ChannelStandardScaler(mean=100, std=50)
    if method in ("fit", "partial_fit", "fit_transform"):
        scaler = pickle.loads(pickle.dumps(fitted))
    before = pickle.dumps(vars(scaler))
    try:
        with configured():
            np.asarray(images) if method == "asarray" else getattr(scaler, method)(images)
    except KeyboardInterrupt:
        caught = time.monotonic()
        n_read = os.path.getsize(inputs["notes"])
    time.sleep(0.3)
    return {
        "caught": caught,
        "n_read": n_read,
        "is_unchanged": pickle.dumps(vars(scaler)) == before,
        "reads_after": os.path.getsize(inputs["notes"]) - n_read,
        "threads": [thread.name for thread in threading.enumerate()][1:],
    }


fitted = ChannelStandardScaler().fit(images_of(inputs["files"][:3], 1))
expected = ChannelStandardScaler().fit(images_of(inputs["files"], 1))
for method in inputs["methods"]:
    images = images_of([Noted()] * 500, inputs["n_jobs"])
    print(json.dumps("begins"), flush=True)
    said = read(method, images)
    with configured():
        again = ChannelStandardScaler().fit(images_of(inputs["files"], inputs["n_jobs"]))
    said["next_is_right"] = pickle.dumps(vars(again)) == pickle.dumps(vars(expected))
    print(json.dumps(said), flush=True)
    if inputs["backend"] == "loky":
        from joblib.externals.loky import get_reusable_executor

        get_reusable_executor().shutdown(wait=True)  # else threads wait for the next call
"""
CASES = [
    ("default", 1, list(READERS)),
    ("default", 2, list(READERS)),
    ("threading", 2, list(READERS)),
    ("loky", 2, ["fit", "transform"]),
    ("multiprocessing", 2, ["fit", "transform"]),
]


@pytest.fixture(scope="module")
def large(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> str:
    """A photo of 3 megapixels, which takes about 25 ms to decode."""
    path = tmp_path_factory.mktemp("large") / "large.jpg"
    path.write_bytes(encode(photos[0].resize((2000, 1500))))
    return str(path)


@pytest.mark.parametrize(
    ("backend", "n_jobs", "methods"), CASES, ids=[f"{case[0]}-{case[1]}" for case in CASES]
)
def test_ctrl_c_ends_a_call_between_two_large_photos(
    backend, n_jobs, methods, large, files, tmp_path
):
    notes = tmp_path / "notes"
    notes.touch()
    process = start(
        INTERRUPTED,
        backend=backend,
        n_jobs=n_jobs,
        methods=methods,
        large=large,
        files=files,
        notes=str(notes),
    )
    try:
        for method in methods:
            assert read_json(process) == "begins"
            n_read = notes.stat().st_size
            end = time.monotonic() + PATIENCE
            while notes.stat().st_size < n_read + 4 and time.monotonic() < end:
                time.sleep(0.01)
            sent, n_read = time.monotonic(), notes.stat().st_size
            if backend == "multiprocessing":
                # A worker that an interrupt ends may hold a lock that its pool waits for.
                process.send_signal(signal.SIGINT)
            else:
                os.killpg(process.pid, signal.SIGINT)  # as a terminal does
            said = read_json(process)
            sys.stdout.write(f"{method}: {said['caught'] - sent:.2f} s\n")  # pytest -rP
            assert said["n_read"] - n_read < 50  # of 500
            del said["caught"], said["n_read"]
            assert said == {
                "is_unchanged": True,
                "reads_after": 0,
                "threads": [],
                "next_is_right": True,
            }
        output, errors = process.communicate(timeout=PATIENCE)
        assert (process.returncode, output, errors) == (0, b"", b"")
        assert group_ends(process.pid)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


AT_RANDOM = """
signal.signal(signal.SIGALRM, signal.default_int_handler)
sys.unraisablehook = lambda _: None  # Python loses interrupts that hit a destructor
random = np.random.default_rng(0)
is_read = set()


class Noted:
    def __init__(self, path):
        self.path = path

    def __fspath__(self):
        is_read.add(threading.get_ident())
        return self.path


def stranger_reads():
    is_read.clear()
    time.sleep(0.02)
    return bool(is_read)


images = images_of([Noted(path) for path in inputs["files"] * 10], 2)
fitted = ChannelStandardScaler().fit(images[:3])
method = inputs["method"]
done = pickle.loads(pickle.dumps(fitted))
begin = time.perf_counter()
getattr(done, method)(images)
seconds = time.perf_counter() - begin
states = {"before": pickle.dumps(vars(fitted)), "done": pickle.dumps(vars(done))}
counts = dict.fromkeys(states, 0)
longest = 0
for _ in range(30):
    scaler = pickle.loads(pickle.dumps(fitted))
    delay = random.uniform(0.001, 1.1 * seconds)
    begin = time.perf_counter()
    try:
        signal.setitimer(signal.ITIMER_REAL, delay)
        getattr(scaler, method)(images)
        time.sleep(delay)
    except KeyboardInterrupt:
        longest = max(longest, time.perf_counter() - begin - delay)
    assert not stranger_reads()
    [state] = [name for name, state in states.items() if pickle.dumps(vars(scaler)) == state]
    counts[state] += 1
print(json.dumps([counts, longest]))
"""


@pytest.mark.skipif(not hasattr(signal, "SIGALRM"), reason="Windows has no timer signals")
@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_an_interrupt_at_any_moment_leaves_a_scaler_as_it_was_or_fitted(method, files):
    process = start(AT_RANDOM, files=files, method=method)
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
    assert process.returncode == 0, errors.decode()
    counts, longest = json.loads(output)
    sys.stdout.write(f"{counts}, longest {longest:.3f} s\n")  # pytest -rP
    assert sum(counts.values()) == 30
    assert counts["before"] > 0
    assert longest < 60
