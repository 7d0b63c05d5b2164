"""Items of a sequence made ahead of their consumer, in threads."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from typing import Generic, TypeVar

from joblib import parallel_config

from sknorm_images._common.cancellation import Cancellation, Cancelled
from sknorm_images.keras._threads import Threads, is_exiting

T = TypeVar("T")

_LONGEST_WAIT = 0.5  # seconds until a waiting thread looks for an interrupt


class LookAhead(Generic[T]):
    """Make the items that follow the one just taken, while the consumer is busy with it.

    ``make(i)`` returns item i, from 0 to ``n_items - 1``. Up to `n_threads` of `threads` call
    it at once, besides the consumer's. They are busy only as long as there is something to
    make, so a consumer that stops taking has nothing to close. An item that is forgotten while
    it is made is cancelled: the images that it has not read yet are left unread.
    """

    def __init__(
        self, make: Callable[[int], T], n_items: int, n_threads: int, threads: Threads
    ) -> None:
        self._make = make
        self._n_items = n_items
        self._n_threads = n_threads
        self._threads = threads
        self._lock = threading.Lock()
        self._waiting: deque[int] = deque()
        self._started: dict[int, _Item[T]] = {}
        self._n_busy = 0  # threads that work for this one

    def take(self, i: int, n_ahead: int) -> T:
        """Return item i, and have the next ones made.

        Up to `n_ahead` items after it may be made or kept; all others are forgotten. Item i is
        made in another thread or, if none has begun it, in this one. If ``make(i)`` raises,
        that exception is raised and all other items are forgotten.
        """
        item = None
        try:
            with self._lock:
                item = self._started.pop(i, None)
                self._look_at(range(i + 1, min(i + 1 + n_ahead, self._n_items)))
            if item is not None:
                with suppress(Cancelled):  # only at exit, which other threads may outlive
                    # An interrupt that comes just before Python waits is noticed after it.
                    while not item.future.done():
                        wait([item.future], timeout=_LONGEST_WAIT)
                    return item.future.result()
            return self._make(i)
        except BaseException:  # an interrupt, too
            if item is not None:
                item.cancel()
            self.forget()
            raise

    def prepare(self, items: Sequence[int]) -> None:
        """Have these items made, in this order, and forget all others."""
        try:
            with self._lock:
                self._look_at(items)
        except BaseException:  # an interrupt
            self.forget()
            raise

    def forget(self) -> None:
        """Drop all items, and cancel those that are being made."""
        with self._lock:
            self._look_at(())

    def _look_at(self, items: Sequence[int]) -> None:
        for i in self._started.keys() - set(items):
            self._started.pop(i).cancel()
        self._waiting = deque(i for i in items if i not in self._started)
        for _ in range(min(self._n_threads - self._n_busy, len(self._waiting))):
            self._threads.do(self._work)
            self._n_busy += 1

    def _work(self) -> None:
        thread = threading.current_thread()
        thread.name, idle = "sknorm_images-look-ahead", thread.name
        # The threads are the parallelism, whatever n_jobs a step asks for.
        with parallel_config(backend="sequential"):
            while (begun := self._begin()) is not None:
                i, item = begun
                try:
                    item.future.set_result(item.run(self._make, i))
                except BaseException as error:  # noqa: BLE001 - it goes to the consumer
                    item.future.set_exception(error)
        thread.name = idle

    def _begin(self) -> tuple[int, _Item[T]] | None:
        with self._lock:
            if not self._waiting or is_exiting():
                self._n_busy = max(0, self._n_busy - 1)  # its start may not have been counted
                return None
            i = self._waiting.popleft()
            self._started[i] = item = _Item[T]()
            return i, item


class _Item(Cancellation, Generic[T]):
    """What one thread makes for one consumer."""

    def __init__(self) -> None:
        super().__init__()
        self.future: Future[T] = Future()

    @property
    def is_cancelled(self) -> bool:
        return super().is_cancelled or is_exiting()
