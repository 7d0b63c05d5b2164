"""Interrupts and exits while batches are read ahead: no more is read than is waited for."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator

import pytest

from sknorm_images import ChannelStandardScaler, make_image_pipeline
from sknorm_images.keras import PipelineDataset
from tests import new_process
from tests.keras.conftest import let_threads_end
from tests.lazy_photos import watched

pytestmark = pytest.mark.one_backend

PATIENCE = 300  # seconds; only a test that fails waits so long


class Held:
    """Notes which images of batch 2 are read, and holds up the first of them."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.is_reached = threading.Event()
        self.release = threading.Event()

    def __call__(self, position: int) -> None:
        if position in range(32, 48):
            self.positions.append(position)
            self.is_reached.set()
            assert self.release.wait(PATIENCE)


@pytest.fixture
def held(files: list[str]) -> Iterator[tuple[PipelineDataset, Held]]:
    """A dataset of batches of 16, whose thread is held up at the first image of batch 2."""
    held = Held()
    pipeline = make_image_pipeline((8, 8), ChannelStandardScaler(mean=0, std=1))
    dataset = PipelineDataset(pipeline, watched(files * 4, held), batch_size=16, n_jobs=1)
    dataset[0], dataset[1]
    assert held.is_reached.wait(PATIENCE)
    yield dataset, held
    held.release.set()
    let_threads_end()


def test_a_batch_that_is_forgotten_while_it_is_read_is_read_no_further(held):
    dataset, held = held
    dataset.epoch = 1
    held.release.set()
    let_threads_end()
    assert held.positions == [32]


def test_a_batch_whose_consumer_is_interrupted_is_read_no_further(held):
    dataset, held = held
    main = threading.main_thread().ident
    threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT)).start()
    with pytest.raises(KeyboardInterrupt):
        dataset[2]
    held.release.set()
    let_threads_end()
    assert held.positions == [32]
    assert dataset[2].shape == (16, 8, 8, 3)
    assert held.positions == [32, *range(32, 48)]


def test_a_batch_that_is_waited_for_is_read_to_its_end_whatever_else_is_forgotten(held):
    dataset, held = held
    threading.Timer(0.2, held.release.set).start()
    assert dataset[2].shape == (16, 8, 8, 3)
    assert held.positions == list(range(32, 48))


AT_EXIT = """
import threading
from sknorm_images import ChannelStandardScaler, make_image_pipeline
from sknorm_images.keras import PipelineDataset


class Noted:
    def __init__(self, path, position):
        self.path, self.position = path, position

    def __fspath__(self):
        if self.position == inputs["stop"]:
            begun.set()
            threading.main_thread().join()
        if self.position >= 32:
            print(self.position)
        return self.path


begun = threading.Event()
paths = [Noted(path, i) for i, path in enumerate(inputs["files"] * 4)]
pipeline = make_image_pipeline((8, 8), ChannelStandardScaler(mean=0, std=1))
dataset = PipelineDataset(pipeline, paths, batch_size=16, n_jobs=1)
dataset[0], dataset[1]
if inputs["another_thread_goes_on"]:
    consumer = threading.Thread(target=lambda: print(dataset[2].shape))
    consumer.start()
begun.wait(300)
"""


def test_at_exit_the_image_that_is_being_read_is_the_last_one(files):
    process = new_process.run(AT_EXIT, files=files, stop=32, another_thread_goes_on=False)
    assert (process.returncode, process.stdout) == (0, "32\n"), process.stderr


# In the midst of a chunk, at the end of the first one (half of 16 images), and after it.
@pytest.mark.parametrize("stop", [32, 39, 40])
def test_a_thread_that_outlives_the_main_one_gets_its_batch(stop, files):
    process = new_process.run(AT_EXIT, files=files, stop=stop, another_thread_goes_on=True)
    assert process.returncode == 0, process.stderr
    assert process.stdout.splitlines()[-1] == "(16, 8, 8, 3)"
