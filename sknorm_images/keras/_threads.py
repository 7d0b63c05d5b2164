"""Threads that wait for more work, so that batches reuse their memory."""

from __future__ import annotations

import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from typing import TypeAlias

Work: TypeAlias = Callable[[], None]

_LONGEST_IDLE = 10.0  # seconds until a thread ends that has nothing to do
_LONGEST_WAIT = 0.2  # seconds until it sees that it is no longer needed


class Threads:
    """Up to `n_threads` threads, each of which does one piece of work after another.

    New threads for each pass would take memory of their own, which glibc keeps for up to eight
    threads per core. They end when they have been idle for long, this object is dropped, or
    Python exits: they are not those of `concurrent.futures`, which Python joins before it can
    be seen to exit.
    """

    def __init__(self, n_threads: int) -> None:
        self._n_threads = n_threads
        # Not queue.SimpleQueue: several threads in its `get(timeout=...)` may wait for ever.
        self._works: deque[Work] = deque()
        self._lock = threading.Lock()
        self._is_work = threading.Condition(self._lock)
        self._threads: set[threading.Thread] = set()

    def do(self, work: Work) -> None:
        """Have a thread do some work as soon as one is idle."""
        with self._lock:  # the lock itself, which an interrupt cannot leave held
            self._works.append(work)
            # It may hold one that died because its start was interrupted, or before a fork.
            self._threads = {thread for thread in self._threads if thread.is_alive()}
            if len(self._threads) < self._n_threads:
                # Not a daemon: one that is cut off within a decoder can crash Python as it
                # exits.
                thread = threading.Thread(
                    target=_serve,
                    args=(weakref.ref(self), self._is_work, self._works),
                    name="sknorm_images-idle",
                )
                self._threads.add(thread)
                thread.start()
            self._is_work.notify()

    def _leave(self) -> bool:
        """Let this thread go, unless there is work after all."""
        with self._lock:
            if self._works:
                return False
            self._threads.discard(threading.current_thread())
            return True


def is_exiting() -> bool:
    """Whether Python is only waiting for threads such as these to end."""
    return not threading.main_thread().is_alive()


def _serve(
    ref: weakref.ref[Threads], is_work: threading.Condition, works: deque[Work]
) -> None:
    idle_since = time.monotonic()
    while not is_exiting() and ref() is not None:
        with is_work:
            if not works:
                is_work.wait(_LONGEST_WAIT)
            work = works.popleft() if works else None
        if work is not None:
            work()
            del work  # it holds what it made
            idle_since = time.monotonic()
        elif time.monotonic() - idle_since > _LONGEST_IDLE:
            threads = ref()
            if threads is None or threads._leave():
                return
            del threads
