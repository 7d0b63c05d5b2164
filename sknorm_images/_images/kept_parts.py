"""Parts of an array that were read last, kept for the threads that need some of each."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Any

from numpy.typing import NDArray


class KeptParts:
    """Up to `n_kept` parts of an array: those that were asked for last.

    Several threads may ask at once: one reads a part, and the others wait for it. A copy or a
    pickle holds none.
    """

    def __init__(self, n_kept: int) -> None:
        self._n_kept = n_kept
        self._parts: dict[int, _Part] = {}  # from the one asked for longest ago
        self._lock = Lock()

    def get(self, number: int, read: Callable[[], NDArray[Any]]) -> NDArray[Any]:
        """Return a part, which `read` reads if it is not kept."""
        with self._lock:
            part = self._parts.pop(number) if number in self._parts else _Part()
            self._parts[number] = part
            while len(self._parts) > self._n_kept:
                self._parts.pop(next(iter(self._parts)))
        with part.lock:
            if part.pixels is None:
                part.pixels = read()
            return part.pixels

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._n_kept,)


class _Part:
    """A part that one thread reads; None until it is read."""

    def __init__(self) -> None:
        self.lock = Lock()
        self.pixels: NDArray[Any] | None = None
