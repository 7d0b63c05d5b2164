"""Functions that are called in many threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def at_once(*functions: Callable[[], Any]) -> list[Any]:
    """Call each function in a thread of its own, all at once; their results in order."""
    together = threading.Barrier(len(functions))

    def call(function: Callable[[], Any]) -> Any:
        together.wait(timeout=300)
        return function()

    with ThreadPoolExecutor(len(functions)) as threads:
        return list(threads.map(call, functions))


def until(function: Callable[[], Any], others: list[Callable[[], Any]]) -> None:
    """Call the others again and again, in threads, until `function` is done."""
    is_done = threading.Event()

    def repeat(other: Callable[[], Any]) -> None:
        while not is_done.is_set():
            other()

    def finish() -> None:
        try:
            function()
        finally:
            is_done.set()

    at_once(finish, *(lambda other=other: repeat(other) for other in others))
