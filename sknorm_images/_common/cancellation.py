"""Cancel calls in threads, between two images, once their result is no longer needed."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Cancelled(BaseException):
    """Ends a call whose result is no longer needed."""


class Cancellation:
    """Ends calls in threads of this process at their next `check_cancelled`.

    A call made within a cancelled call is cancelled, too.
    """

    def __init__(self) -> None:
        self._outer = _cancellation.get()
        self._is_cancelled = False

    def cancel(self) -> None:
        """End the calls that are running, and those that have not begun."""
        self._is_cancelled = True

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called on this one or an outer one."""
        return self._is_cancelled or (self._outer is not None and self._outer.is_cancelled)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, or raise Cancelled."""
        # In a context of its own, so that an interrupt cannot leave the variable set.
        context = copy_context()
        context.run(_cancellation.set, self)
        context.run(check_cancelled)
        return context.run(function, *arguments)


_cancellation: ContextVar[Cancellation | None] = ContextVar("_cancellation", default=None)


def check_cancelled() -> None:
    """Raise Cancelled if this runs within a cancelled call."""
    cancellation = _cancellation.get()
    if cancellation is not None and cancellation.is_cancelled:
        raise Cancelled
