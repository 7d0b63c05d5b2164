"""Runs that take turns, so that the ratios between them hold on a machine that is not idle."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import TypeVar

T = TypeVar("T")


def rotated(things: Sequence[T], n: int) -> list[T]:
    """All of them in order, where each `n` has another one first."""
    first = n % max(1, len(things))
    return [*things[first:], *things[:first]]


def seconds_in_turn(
    runs: dict[str, Callable[[], object]], repeats: int
) -> dict[str, list[float]]:
    """Wall time of each run, as often as they are repeated."""
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):
        for name in rotated(list(runs), repeat):
            start = time.perf_counter()
            runs[name]()
            times[name].append(time.perf_counter() - start)
    return times


def ratio(numbers: Sequence[float], others: Sequence[float], *, spread: bool = True) -> str:
    """Numbers over others, one by one: the median, and how far it spreads."""
    found = [number / other for number, other in zip(numbers, others, strict=False)]
    if not found:
        return ""
    extremes = f" ({min(found):.2f}-{max(found):.2f})" if spread else ""
    return f"{median(found):.2f}{extremes}"
