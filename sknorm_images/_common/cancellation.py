"""Calls in threads that end early, between two images, once nobody waits for their result."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar, copy_context
from typing import Any, TypeVar

T = TypeVar("T")


class Cancelled(BaseException):
    """Ends a call whose result nobody waits for any more."""


class Cancellation:
    """Ends calls in threads of this process, at their next `check_cancelled`.

    A call made within one that is cancelled is cancelled, too.
    """

    def __init__(self) -> None:
        self._outer = _cancellation.get()
        self._is_cancelled = False

    def cancel(self) -> None:
        """End the calls that run, and those that are yet to begin."""
        self._is_cancelled = True

    @property
    def is_cancelled(self) -> bool:
        """Whether `cancel` was called, for this one or one further out."""
        return self._is_cancelled or (self._outer is not None and self._outer.is_cancelled)

    def run(self, function: Callable[..., T], *arguments: Any) -> T:
        """Return ``function(*arguments)``, or raise Cancelled."""
        # A context of its own: no interrupt can leave the variable set behind.
        context = copy_context()
        context.run(_cancellation.set, self)
        context.run(check_cancelled)
        return context.run(function, *arguments)


_cancellation: ContextVar[Cancellation | None] = ContextVar("_cancellation", default=None)


def check_cancelled() -> None:
    """Raise Cancelled if this runs in a call of a `Cancellation` that is cancelled."""
    cancellation = _cancellation.get()
    if cancellation is not None and cancellation.is_cancelled:
        raise Cancelled
