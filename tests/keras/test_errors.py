"""Errors and interrupts in the middle of a pass, and exits: told, prompt and clean."""

from __future__ import annotations

import json
import re
import select
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from sknorm_images import ImageDecodeError
from sknorm_images.keras import PipelineDataset
from tests.conftest import encode
from tests.keras.conftest import let_threads_end, small_model

PATIENCE = 300  # seconds; only a test that fails waits so long
ON_TENSORFLOW = keras.backend.backend() == "tensorflow"

PREPARE = """
import json, os, sys, threading, time
from pathlib import Path

import keras
import numpy as np

from sknorm_images import ChannelMinMaxScaler, make_image_pipeline
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import AHEAD, counting_model, let_threads_end, small_model, value_of
from tests.keras.test_errors import Truncate

pipeline = make_image_pipeline((32, 48), ChannelMinMaxScaler(data_range=(0, 255)))
paths = json.loads(sys.argv[1])
print("What libraries say when they are loaded ends here.", file=sys.stderr, flush=True)
"""


def start(code: str, paths: list[Any]) -> subprocess.Popen[bytes]:
    """Run `code` in a process of its own, on the same backend."""
    return subprocess.Popen(
        [sys.executable, "-c", PREPARE + code, json.dumps([str(path) for path in paths])],
        cwd=Path(__file__).parents[2],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,  # read_line leaves what comes after the line to the next reader
    )


def read_line(process: subprocess.Popen[bytes]) -> str:
    """Wait for the next line of output."""
    assert process.stdout is not None
    is_there, _, _ = select.select([process.stdout], [], [], PATIENCE)
    assert is_there
    return process.stdout.readline().decode().strip()


def interrupt(process: subprocess.Popen[bytes], n_times: int) -> None:
    """Press Ctrl-C until there is a line of output.

    Keras 3.15 loses one that comes while it makes Python's numbers of its logs, which is most
    of the time with a small model: ``keras.src.utils.python_utils`` has a bare ``except``.
    """
    assert process.stdout is not None
    for _ in range(n_times):
        process.send_signal(signal.SIGINT)
        if n_times > 1 and select.select([process.stdout], [], [], PATIENCE / 10)[0]:
            break


def end(process: subprocess.Popen[bytes]) -> tuple[int, list[str], str]:
    """Wait for a process: its exit status, lines of output, and errors."""
    try:
        output, errors = process.communicate(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        raise
    said = errors.decode().partition("ends here.\n")[2]
    # TensorFlow may log of an iterator that it finds when Python is already gone.
    said = re.sub(r"^W\d{4} .*generator_dataset_op.*\n(\t.*\n)*", "", said, flags=re.M)
    return process.returncode, output.decode().splitlines(), said


# A file that breaks while a model trains


class Truncate(keras.callbacks.Callback):
    """Cuts files off when the first epoch ends, and counts the batches of every epoch."""

    def __init__(self, *paths: Path) -> None:
        super().__init__()
        self.paths = paths
        self.n_trained: list[int] = []

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        self.n_trained.append(0)

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self.n_trained[-1] += 1

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        for path in self.paths:
            path.write_bytes(path.read_bytes()[:-300])


def message(position: int, path: Path) -> str:
    """Make a pattern of what is said of a truncated file."""
    return rf"Cannot decode image {position}, {re.escape(repr(str(path)))}: .*(?i:truncated)"


def assert_names(error: BaseException, position: int, path: Path) -> None:
    """Check that an error of a model says which file is bad, and why, and of what type."""
    if ON_TENSORFLOW:  # which makes an error of its own of what a generator raises
        assert re.search(f"ImageDecodeError: {message(position, path)}", str(error))
    else:
        assert isinstance(error, ImageDecodeError)
        assert re.match(message(position, path), str(error))
        assert (error.position, error.source) == (position, str(path))


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("shuffle", [False, True])
def test_fit_stops_in_the_second_epoch_at_the_file_that_was_truncated_after_the_first(
    shuffle, n_jobs, pipeline, copies
):
    dataset = PipelineDataset(
        pipeline, copies, np.zeros(24), batch_size=2, shuffle=shuffle, seed=0, n_jobs=n_jobs
    )
    bad = int(dataset.rows(6, epoch=1)[0])
    truncate = Truncate(copies[bad])
    with pytest.raises(Exception, match="Cannot decode image") as caught:
        small_model().fit(dataset, epochs=4, shuffle=False, callbacks=[truncate], verbose=0)
    assert_names(caught.value, bad, copies[bad])
    assert truncate.n_trained in ([12, 6], [12, 5])  # Keras may take a batch ahead itself
    let_threads_end()


@pytest.mark.parametrize("shuffle", [False, True])
def test_of_several_broken_files_the_first_in_the_order_of_the_epoch_is_named(
    shuffle, pipeline, copies
):
    dataset = PipelineDataset(
        pipeline, copies, np.zeros(24), batch_size=2, shuffle=shuffle, seed=0, n_jobs=2
    )
    bad = [int(row) for batch in (5, 6, 7, 8) for row in dataset.rows(batch, epoch=1)][1:]
    truncate = Truncate(*(copies[row] for row in sorted(bad)))
    with pytest.raises(Exception, match="Cannot decode image") as caught:
        small_model().fit(dataset, epochs=4, shuffle=False, callbacks=[truncate], verbose=0)
    assert_names(caught.value, bad[0], copies[bad[0]])
    assert truncate.n_trained in ([12, 5], [12, 4])


# Keras 3.10 trips over its own threads when it is garbage-collected in one of them.
@pytest.mark.filterwarnings(
    "ignore:Exception ignored in. <function Callback:pytest.PytestUnraisableExceptionWarning"
)
@pytest.mark.parametrize("method", ["evaluate", "predict"])
def test_evaluate_and_predict_name_a_broken_file(method, pipeline, copies):
    copies[13].write_bytes(copies[13].read_bytes()[:-300])
    dataset = PipelineDataset(pipeline, copies, np.zeros(24), batch_size=2, n_jobs=2)
    with pytest.raises(Exception, match="Cannot decode image") as caught:
        getattr(small_model(), method)(dataset, verbose=0)
    assert_names(caught.value, 13, copies[13])
    let_threads_end()


TRUNCATED = """
dataset = PipelineDataset(pipeline, paths, np.zeros(24), batch_size=2, n_jobs=2)
try:
    small_model().fit(
        dataset, epochs=4, shuffle=False, callbacks=[Truncate(Path(paths[13]))], verbose=0
    )
finally:
    let_threads_end()
    print("no thread is left")
"""


def test_a_process_whose_training_fails_ends_and_says_why(copies):
    status, output, errors = end(start(TRUNCATED, copies))
    assert status == 1, errors
    assert output == ["no thread is left"]
    assert re.search(f"ImageDecodeError: {message(13, copies[13])}", errors)


# Ctrl-C


INTERRUPTED = """
rows = np.arange(24 * 25, dtype=np.float32)


def as_rows(x, y):
    if holds_up and y[0] >= 48:
        os.read(0, 1)  # until the test closes this end of the pipe
    return y.reshape(-1, 1, 1, 1), y


class Tell(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 4 and dataset.epoch == 0:  # Keras may take a batch ahead itself
            print("training", flush=True)


dataset = PipelineDataset(
    pipeline, paths * 25, rows, batch_size=8, augment=as_rows, shuffle=not holds_up, n_jobs=2
)
try:
    model, _ = counting_model(len(rows))
    model.fit(dataset, epochs=10**6, shuffle=False, callbacks=[Tell()], verbose=0)
except KeyboardInterrupt:
    print("interrupted", flush=True)
let_threads_end()
print("no thread is left")
model, counter = counting_model(len(rows))
model.fit(dataset, epochs=2, shuffle=False, verbose=0)
print("rows trained on", np.unique(value_of(counter.trained)), "times")
let_threads_end()
"""


@pytest.mark.parametrize("holds_up", [False, True], ids=["training", "waiting"])
def test_an_interrupt_ends_training_and_leaves_the_dataset_fit_for_another(holds_up, files):
    process = start(f"holds_up = {holds_up}\n{INTERRUPTED}", files)
    try:
        assert read_line(process) == "training"
        # While TensorFlow waits for a batch, Python cannot act: it does when that comes.
        interrupt(process, n_times=1 if ON_TENSORFLOW and holds_up else 5)
        if not ON_TENSORFLOW:
            assert read_line(process) == "interrupted"
    finally:
        status, output, errors = end(process)
    assert status == 0, errors
    assert output == ["interrupted"] * ON_TENSORFLOW + [
        "no thread is left",
        "rows trained on [2.] times",
    ]
    assert errors == ""


# Exit


@pytest.fixture
def large(photos: list[Image.Image], tmp_path: Path) -> Path:
    """A file that takes tens of milliseconds to decode."""
    path = tmp_path / "large.jpg"
    path.write_bytes(encode(photos[0].resize((3000, 2000))))
    return path


DECODING = """
pipeline.set_params(resize__reducing_gap=None)
dataset = PipelineDataset(pipeline, paths * 1000, batch_size=4, n_jobs=2)
dataset[0], dataset[1]
"""


@pytest.mark.one_backend
def test_a_process_that_stops_taking_batches_ends_while_the_next_are_decoded(large):
    assert end(start(DECODING, [large])) == (0, [], "")


BUSY = """
is_busy = threading.Event()


def until_exit(x, y):
    if threading.current_thread().name == AHEAD:
        is_busy.set()
        threading.main_thread().join()
    print("batch", int(y[0]))
    return x, y


dataset = PipelineDataset(
    pipeline, paths * 100, np.arange(2400), batch_size=1, augment=until_exit, n_jobs=1
)
dataset[0], dataset[1]
is_busy.wait()
"""


@pytest.mark.one_backend
def test_at_exit_the_batch_that_is_being_made_is_the_last_one(files):
    assert end(start(BUSY, files)) == (0, ["batch 0", "batch 1", "batch 2"], "")


ABANDONED = """
is_left = threading.Event()


class Leave(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        if batch == 20:
            is_left.set()
            sys.exit()


def slowly(x, y):
    time.sleep(0.05)  # so that the model has to wait for every batch
    if is_left.is_set():
        threading.main_thread().join()
        time.sleep(0.3)
    return x, y


dataset = PipelineDataset(
    pipeline, paths * 25, np.zeros(600), batch_size=2, augment=slowly, n_jobs=2
)
model = small_model()
model.fit(dataset, shuffle=False, callbacks=[Leave()], verbose=0)
"""


@pytest.mark.skipif(
    ON_TENSORFLOW, reason="TensorFlow may hang when it is left so, with any slow PyDataset"
)
def test_a_process_that_leaves_a_fit_ends_though_batches_are_being_made(files):
    assert end(start(ABANDONED, files)) == (0, [], "")
