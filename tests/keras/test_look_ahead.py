"""Items made ahead of their consumer: which, when, by whom, and for how long."""

from __future__ import annotations

import gc
import threading
import time
import weakref
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from joblib import Parallel, cpu_count, delayed, effective_n_jobs
from sklearn.preprocessing import FunctionTransformer

from sknorm_images.keras import PipelineDataset, _threads
from sknorm_images.keras._look_ahead import LookAhead
from sknorm_images.keras._threads import Threads
from tests.keras.conftest import (
    AHEAD,
    counting_model,
    let_threads_end,
    numbered,
    order_of,
    row_numbers,
    threads_ahead,
)

PATIENCE = 300  # seconds; only a test that fails waits so long


@pytest.fixture(autouse=True)
def _no_thread_is_left() -> Iterator[None]:
    yield
    let_threads_end()


def look_ahead(make: Callable[[int], Any], n_items: int, n_threads: int) -> LookAhead[Any]:
    return LookAhead(make, n_items, n_threads, Threads(n_threads))


class Work:
    """A function of an item that notes what it was called with, and can be held up."""

    def __init__(self, *held: int, result: Callable[[int], Any] = lambda i: i * i) -> None:
        self.release = threading.Event()
        self.threads: dict[int, str] = {}
        self._held = held
        self._result = result
        self._begun: Counter[int] = Counter()
        self._news = threading.Condition()

    def __call__(self, i: int) -> Any:
        with self._news:
            self._begun[i] += 1
            self.threads[i] = threading.current_thread().name
            self._news.notify_all()
        if i in self._held:
            assert self.release.wait(PATIENCE)
        return self._result(i)

    @property
    def begun(self) -> list[int]:
        return sorted(self._begun.elements())

    def wait_for(self, *items: int) -> None:
        with self._news:
            assert self._news.wait_for(lambda: set(items) <= set(self._begun), PATIENCE)


# Items


@pytest.mark.parametrize("n_ahead", [0, 1, 4, 100])
@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_every_item_is_right_and_made_once(n_threads, n_ahead):
    work = Work()
    items = look_ahead(work, 50, n_threads)
    assert [items.take(i, n_ahead) for i in range(50)] == [i**2 for i in range(50)]
    assert work.begun == list(range(50))


def test_the_next_items_are_begun_at_once_while_the_consumer_is_busy():
    meeting = threading.Barrier(3)
    items = look_ahead(lambda i: i and meeting.wait(PATIENCE), 10, 2)
    items.take(0, 2)
    meeting.wait(PATIENCE)  # the consumer, while both others are at their items


def test_the_next_items_are_begun_before_the_one_that_the_consumer_has_to_make():
    meeting = threading.Barrier(2)
    look_ahead(lambda i: meeting.wait(PATIENCE), 2, 1).take(0, 1)


def test_a_thread_that_is_done_goes_on_with_the_next_item():
    work = Work()
    look_ahead(work, 10, 1).take(0, 5)
    work.wait_for(1, 2, 3, 4, 5)
    assert {i for i, name in work.threads.items() if name == AHEAD} == {1, 2, 3, 4, 5}


def test_no_more_threads_run_than_allowed_even_if_those_are_at_forgotten_items():
    work = Work(1, 2)
    items = look_ahead(work, 50, 2)
    items.take(0, 10)
    work.wait_for(1, 2)
    for i in (20, 30, 40):
        assert items.take(i, 5) == i**2
    assert len(threads_ahead()) == 2
    assert work.begun == [0, 1, 2, 20, 30, 40]
    work.release.set()
    work.wait_for(41, 42, 43, 44, 45)
    let_threads_end()
    assert work.begun == [0, 1, 2, 20, 30, *range(40, 46)]


def test_no_threads_run_where_nothing_is_to_be_made_ahead():
    work = Work(1)
    items = look_ahead(work, 50, 2)
    items.take(0, 0)
    items.take(49, 10)
    assert threads_ahead() == []


@pytest.fixture
def interrupted_start(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Interrupt the consumer when a thread that it starts has just begun to run."""

    class Thread(threading.Thread):
        def start(self) -> None:
            super().start()
            raise KeyboardInterrupt

    monkeypatch.setattr(threading, "Thread", Thread)
    return monkeypatch


def test_an_interrupt_while_a_thread_starts_drops_the_items_ahead(interrupted_start):
    work = Work(1)
    items = look_ahead(work, 10, 1)
    with pytest.raises(KeyboardInterrupt):
        items.take(0, 9)
    work.release.set()
    let_threads_end()
    assert set(work.begun) <= {1}


def test_an_interrupt_while_a_thread_starts_lets_no_more_of_them_run_later(
    interrupted_start,
):
    work = Work(*range(1, 10))
    items = look_ahead(work, 10, 2)
    with pytest.raises(KeyboardInterrupt):
        items.take(0, 9)
    work.release.set()
    let_threads_end()
    interrupted_start.undo()
    items.forget()
    work.release.clear()
    items.take(0, 9)
    work.wait_for(2)
    n_threads = len(threads_ahead())
    work.release.set()
    assert n_threads == 2


def test_an_interrupt_before_a_thread_starts_does_not_take_its_place(monkeypatch):
    class Thread(threading.Thread):
        def start(self) -> None:
            raise KeyboardInterrupt

    work = Work()
    items = look_ahead(work, 10, 1)
    with monkeypatch.context() as patch:
        patch.setattr(threading, "Thread", Thread)
        with pytest.raises(KeyboardInterrupt):
            items.take(0, 3)
    items.take(0, 3)
    work.wait_for(1, 2, 3)


# How many


class Item:
    def __init__(self, i: int) -> None:
        self.i = i


@pytest.mark.parametrize("n_threads", [1, 2, 5])
def test_no_more_than_n_ahead_items_are_made_and_kept(n_threads):
    kept: weakref.WeakSet[Item] = weakref.WeakSet()

    def make(i: int) -> Item:
        item = Item(i)
        kept.add(item)
        return item

    items = look_ahead(make, 50, n_threads)
    for i, n_ahead, expected in [
        (0, 3, {1, 2, 3}),
        (1, 3, {2, 3, 4}),
        (2, 5, {3, 4, 5, 6, 7}),
        (3, 1, {4}),
        (20, 2, {21, 22}),
        (4, 2, {5, 6}),
        (48, 9, {49}),
        (49, 9, set()),
    ]:
        assert items.take(i, n_ahead).i == i
        let_threads_end()
        assert {item.i for item in kept} == expected


def test_items_wait_for_their_consumer_and_are_made_no_further():
    work = Work()
    items = look_ahead(work, 50, 2)
    for i in range(4):
        items.take(i, 3)
        let_threads_end()
        assert work.begun == list(range(i + 4))


def test_a_jump_forgets_all_but_the_items_after_it():
    work = Work()
    items = look_ahead(work, 50, 2)
    items.take(0, 4)
    let_threads_end()
    items.take(3, 4)  # 4 is still there
    let_threads_end()
    assert work.begun == [0, 1, 2, 3, 4, 5, 6, 7]
    items.take(30, 1)
    let_threads_end()
    items.take(4, 0)
    let_threads_end()
    assert work.begun == [0, 1, 2, 3, 4, 4, 5, 6, 7, 30, 31]


def test_an_item_that_is_taken_again_is_made_anew():
    work = Work()
    items = look_ahead(work, 10, 2)
    for _ in range(3):
        assert items.take(1, 2) == 1
        let_threads_end()
    assert work.begun == [1, 1, 1, 2, 3]


def test_forget_drops_what_is_made_and_what_is_not():
    work = Work(2)
    items = look_ahead(work, 10, 1)
    items.take(0, 5)
    work.wait_for(2)
    items.forget()
    work.release.set()
    let_threads_end()
    assert work.begun == [0, 1, 2]
    assert items.take(1, 0) == 1
    assert work.begun == [0, 1, 1, 2]


# Errors


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt, SystemExit])
def test_an_error_is_raised_where_its_item_is_taken_and_not_before(kind):
    def fail(i: int) -> int:
        if i == 3:
            raise kind("item 3")
        return i

    items = look_ahead(fail, 10, 2)
    for i in range(3):
        assert items.take(i, 4) == i
        let_threads_end()
    with pytest.raises(kind, match="item 3"):
        items.take(3, 4)


def test_of_several_errors_the_first_in_order_is_raised():
    later = threading.Event()

    def fail(i: int) -> int:
        if i == 2:
            later.set()
        if i == 1:
            assert later.wait(PATIENCE)
        if i:
            raise ValueError(f"item {i}")
        return i

    items = look_ahead(fail, 10, 2)
    items.take(0, 2)
    with pytest.raises(ValueError, match="item 1"):
        items.take(1, 2)


@pytest.mark.parametrize("kind", [ValueError, KeyboardInterrupt])
def test_after_an_error_the_rest_is_dropped(kind):
    def fail(i: int) -> int:
        if i == 0:
            work.wait_for(2)
            raise kind
        return i

    work = Work(2, result=fail)
    items = look_ahead(work, 10, 1)
    with pytest.raises(kind):
        items.take(0, 5)
    work.release.set()
    let_threads_end()
    assert work.begun == [0, 1, 2]
    assert items.take(1, 0) == 1
    assert work.begun == [0, 1, 1, 2]


def test_items_after_an_error_can_be_taken():
    def fail(i: int) -> int:
        if i % 3 == 0:
            raise ValueError(f"item {i}")
        return i

    items = look_ahead(fail, 10, 2)
    for i in range(10):
        if i % 3:
            assert items.take(i, 4) == i
        else:
            with pytest.raises(ValueError, match=f"item {i}"):
                items.take(i, 4)


# Several consumers, and jobs within jobs


@pytest.mark.parametrize("n_threads", [1, 3])
def test_consumers_that_share_a_look_ahead_all_get_their_items(n_threads):
    items = look_ahead(lambda i: i * i, 200, n_threads)
    together = threading.Barrier(3)
    taken: dict[str, list[int]] = {}

    def consume(name: str, order: range) -> None:
        together.wait(PATIENCE)
        taken[name] = [items.take(i, 4) for i in order]

    orders = {"a": range(200), "b": range(200), "backwards": range(199, -1, -1)}
    consumers = [
        threading.Thread(target=consume, args=each, daemon=True) for each in orders.items()
    ]
    for consumer in consumers:
        consumer.start()
    for consumer in consumers:
        consumer.join(PATIENCE)
    assert taken == {name: [i * i for i in order] for name, order in orders.items()}


def test_a_consumer_that_waits_gets_its_item_though_another_one_jumps():
    work = Work(1)
    items = look_ahead(work, 50, 1)
    items.take(0, 5)
    work.wait_for(1)
    taken: list[int] = []
    first = threading.Thread(target=lambda: taken.append(items.take(1, 5)), daemon=True)
    first.start()
    while 1 in items._started:  # until the first consumer waits for it
        time.sleep(0.001)
    assert items.take(30, 2) == 900
    work.release.set()
    first.join(PATIENCE)
    assert taken == [1]


@pytest.mark.parametrize("hint", [None, "threads", "processes"])
def test_joblib_runs_one_job_within_the_threads(hint):
    def make(i: int) -> tuple[int, int, set[int]] | None:
        if i == 0:  # the consumer's
            return None
        jobs = Parallel(n_jobs=2, prefer=hint)
        idents = jobs(delayed(threading.get_ident)() for _ in range(8))
        return effective_n_jobs(2), threading.get_ident(), set(idents)

    items = look_ahead(make, 2, 1)
    items.take(0, 1)
    let_threads_end()
    n_jobs, ident, idents = items.take(1, 0)
    assert n_jobs == 1
    assert ident != threading.get_ident()
    assert idents == {ident}


# PipelineDataset


@pytest.mark.parametrize("method", ["fit", "evaluate", "predict"])
def test_a_model_takes_batches_made_ahead_by_threads_that_end_with_the_pass(method):
    """A batch that the consumer has to make waits until one is made ahead."""
    ahead = threading.Event()

    def meet(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if threading.current_thread().name == AHEAD:
            ahead.set()
        elif y[0] > 0:
            ahead.wait(PATIENCE)
        return x, y

    model, _ = counting_model(40)
    options = {"shuffle": False} if method == "fit" else {}
    getattr(model, method)(numbered(40, augment=meet), verbose=0, **options)
    assert ahead.is_set()
    let_threads_end()


def test_passes_of_a_dataset_share_its_threads_which_end_with_it():
    threads, ahead = set(), threading.Event()

    def note(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        if threading.current_thread().name == AHEAD:
            threads.add(threading.current_thread())
            ahead.set()
        elif y[0] > 0:  # nothing is made ahead of the first batch; later, do not overtake
            ahead.wait(PATIENCE)
        return x, y

    dataset = numbered(40, augment=note, n_jobs=1)
    for _ in range(5):
        ahead.clear()
        order_of(dataset)
        dataset.on_epoch_end()
        let_threads_end()
    assert len(threads) == 1
    assert all(thread.is_alive() for thread in threads)
    del dataset
    gc.collect()
    for thread in threads:
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_a_thread_that_is_idle_for_long_ends_and_another_takes_its_place(monkeypatch):
    monkeypatch.setattr("sknorm_images.keras._threads._LONGEST_IDLE", 0)
    threads = Threads(1)
    found: list[threading.Thread] = []
    for _ in range(2):
        threads.do(lambda: found.append(threading.current_thread()))
        deadline = time.monotonic() + PATIENCE
        while len(threads._threads) and time.monotonic() < deadline:  # it leaves when idle
            time.sleep(0.001)
        found[-1].join(PATIENCE)
    assert len(set(found)) == 2


def test_batches_that_were_made_ahead_are_those_of_the_arrays(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline[:-1], files, np.arange(24), batch_size=5, n_jobs=2)
    for _ in range(2):
        for i in range(5):
            x, y = dataset[i]
            let_threads_end()
            np.testing.assert_array_equal(x, pixels[5 * i : 5 * i + 5])
            np.testing.assert_array_equal(y, np.arange(24)[5 * i : 5 * i + 5])
        dataset.on_epoch_end()


def test_batches_made_ahead_are_dropped_when_another_epoch_is_set():
    dataset, expected = (numbered(121, shuffle=True, seed=0, n_jobs=2) for _ in range(2))
    for i in range(2):
        dataset[i]
        let_threads_end()
    dataset.epoch = expected.epoch = 3
    assert order_of(dataset) == order_of(expected)


def batches_begun(n_jobs: int, n_rows: int = 160) -> tuple[PipelineDataset, list[int]]:
    """A dataset of batches of 8 rows and 32 bytes, and a list of those it made."""
    begun: list[int] = []

    def note(rows: np.ndarray) -> np.ndarray:
        begun.append(int(rows[0].item()) // 8)
        return rows

    return PipelineDataset(
        FunctionTransformer(note), row_numbers(n_rows), batch_size=8, n_jobs=n_jobs
    ), begun


def test_nothing_is_made_ahead_of_the_first_batch_whose_size_nobody_knows():
    dataset, begun = batches_begun(2)
    dataset[0]
    assert begun == [0]
    assert threads_ahead() == []


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_two_batches_a_thread_are_made_ahead(n_jobs):
    dataset, begun = batches_begun(n_jobs)
    n_ahead = 2 * min(n_jobs, cpu_count())
    for i in range(5):
        dataset[i]
        let_threads_end()
        assert sorted(begun) == list(range(i + 1 + (n_ahead if i else 0)))


@pytest.mark.parametrize(("n_bytes", "n_ahead"), [(1, 1), (63, 1), (64, 2)])
def test_no_more_bytes_are_made_ahead_than_allowed(n_bytes, n_ahead, monkeypatch):
    monkeypatch.setattr("sknorm_images.keras._dataset._BYTES_AHEAD", n_bytes)
    dataset, begun = batches_begun(2)
    dataset[0]
    for i in range(1, 5):
        dataset[i]
        let_threads_end()
        assert sorted(begun) == list(range(i + 1 + n_ahead))


def test_batches_out_of_order_are_not_made_ahead():
    dataset, begun = batches_begun(2)
    for i in (5, 3, 9, 7):
        dataset[i]
        let_threads_end()
    assert begun == [5, 3, 9, 7]


def test_the_largest_batch_seen_says_how_many_fit(monkeypatch):
    monkeypatch.setattr("sknorm_images.keras._dataset._BYTES_AHEAD", 64)
    dataset, begun = batches_begun(2, n_rows=8 * 20 + 1)
    dataset[20]  # of one row
    dataset.on_epoch_begin()
    dataset[0]
    let_threads_end()
    begun.clear()
    dataset[1], dataset[2]
    let_threads_end()
    assert max(begun, default=0) <= 4


def test_batches_that_keras_shuffles_are_made_once_each():
    dataset, begun = batches_begun(2)
    generator = np.random.default_rng(0)
    for _ in range(5):
        dataset.on_epoch_begin()
        order = generator.permutation(np.arange(1, 20)).tolist()
        for i in [order[0], 0, *order[1:]]:  # neighbours come one after another by chance
            dataset[i]
        dataset.on_epoch_end()
    let_threads_end()
    assert len(begun) == 5 * 20


@pytest.mark.parametrize("peeked", [7, 19])
def test_a_look_at_some_batch_does_not_keep_the_next_pass_from_looking_ahead(peeked):
    dataset, begun = batches_begun(2)
    dataset[peeked]
    dataset.on_epoch_begin()
    begun.clear()
    dataset[0]
    let_threads_end()
    assert len(begun) > 1


def test_threads_that_are_woken_for_work_of_another_still_end(monkeypatch):
    monkeypatch.setattr(_threads, "_LONGEST_WAIT", 1e-6)  # over before a thread has looked
    threads, done = Threads(4), threading.Semaphore(0)
    before = set(threading.enumerate())
    for i in range(5_000):
        threads.do(done.release)
        if i % 10 == 0:
            time.sleep(1e-5)  # so that some are waiting
    for _ in range(5_000):
        assert done.acquire(timeout=60)
    del threads
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(timeout=60)
    assert not any(thread.is_alive() for thread in started)
