"""Items of a sequence made ahead of their consumer, in threads that end by themselves."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import Generic, TypeVar

from joblib import parallel_config

from sknorm_images._common.cancellation import Cancellation, Cancelled

T = TypeVar("T")


class LookAhead(Generic[T]):
    """Make the items that follow the one just taken, while the consumer is busy with it.

    A thread lives as long as there is something to make, so a consumer that stops taking
    leaves none behind. Nobody has to close anything. An item that is forgotten while it is
    made is cancelled: its images that are yet to be read are not.

    Parameters
    ----------
    make : callable
        ``make(i)`` returns item i. It is called by several threads at once.
    n_items : int
        Items are numbered from 0 to ``n_items - 1``.
    n_threads : int
        How many threads may make items, beside the consumer's.
    """

    def __init__(self, make: Callable[[int], T], n_items: int, n_threads: int) -> None:
        self._make = make
        self._n_items = n_items
        self._n_threads = n_threads
        self._lock = threading.Lock()
        self._waiting: deque[int] = deque()
        self._started: dict[int, _Item[T]] = {}
        self._threads: set[threading.Thread] = set()

    def take(self, i: int, n_ahead: int) -> T:
        """Return item i, and have the next ones made.

        Parameters
        ----------
        i : int
            The item.
        n_ahead : int
            How many items after it may be made or kept; all others are forgotten.

        Returns
        -------
        object
            What ``make(i)`` returned, in another thread or, where none had begun with it,
            in this one.

        Raises
        ------
        Exception
            What ``make(i)`` raised. Then all other items are forgotten.
        """
        item = None
        try:
            with self._lock:
                item = self._started.pop(i, None)
                self._look_at(range(i + 1, min(i + 1 + n_ahead, self._n_items)))
            if item is not None:
                with suppress(Cancelled):  # only at exit, which other threads may outlive
                    return item.future.result()
            return self._make(i)
        except BaseException:  # an interrupt, too
            if item is not None:
                item.cancel()
            self.forget()
            raise

    def forget(self) -> None:
        """Drop all items, and cancel those that are being made."""
        with self._lock:
            self._look_at(range(0))

    def _look_at(self, items: range) -> None:
        for i in self._started.keys() - set(items):
            self._started.pop(i).cancel()
        self._waiting = deque(i for i in items if i not in self._started)
        # One whose start was interrupted may be there, and dead.
        self._threads = {thread for thread in self._threads if thread.is_alive()}
        for _ in range(min(self._n_threads - len(self._threads), len(self._waiting))):
            # Not a daemon: one that is cut off within a decoder can crash the exit.
            thread = threading.Thread(target=self._work, name="sknorm_images-look-ahead")
            self._threads.add(thread)
            thread.start()

    def _work(self) -> None:
        # The threads are the parallelism, whatever n_jobs a step asks for.
        with parallel_config(backend="sequential"):
            while (begun := self._begin()) is not None:
                i, item = begun
                try:
                    item.future.set_result(item.run(self._make, i))
                except BaseException as error:  # noqa: BLE001 - it goes to the consumer
                    item.future.set_exception(error)

    def _begin(self) -> tuple[int, _Item[T]] | None:
        with self._lock:
            if not self._waiting or _is_exiting():
                self._threads.discard(threading.current_thread())
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
        return super().is_cancelled or _is_exiting()


def _is_exiting() -> bool:
    """Tell whether Python only waits for threads such as these to end."""
    return not threading.main_thread().is_alive()
