"""Checks of parameters; every message says what came, why not, and what to pass instead."""

from __future__ import annotations

from collections.abc import Collection
from math import isfinite
from numbers import Integral, Real
from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknorm_images._common.wording import show_value

FloatArray: TypeAlias = NDArray[np.float64]


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Raise ValueError unless `value` is one of `choices`."""
    plain = value.item() if isinstance(value, np.generic) else value  # grids may be arrays
    for choice in choices:
        if type(plain) is type(choice) and plain == choice:
            return
    options = ", ".join(map(repr, choices))
    raise ValueError(f"{name}={show_value(value)} is not known. Pass one of {options}.")


def check_number(
    name: str,
    value: object,
    *,
    low: float,
    high: float = float("inf"),
    integral: bool = False,
) -> None:
    """Raise unless `value` is a number from `low` to `high`, bounds included."""
    kind = Integral if integral else Real
    if isinstance(value, bool) or not isinstance(value, kind):
        expected = "an integer" if integral else "a number"
        raise TypeError(
            f"{name}={show_value(value)} is of type {type(value).__name__}. Pass {expected}"
            f"{_bounds(low, high)}."
        )
    try:
        number = float(value)
    except OverflowError:  # an integer beyond all floats
        number = float("inf")
    if not (isfinite(number) and low <= number <= high):
        bounds = _bounds(low, high)
        raise ValueError(f"{name}={show_value(value)} is out of range. Pass a number{bounds}.")


def _bounds(low: float, high: float) -> str:
    if high < float("inf"):
        return f" from {low} to {high}"
    return f" of at least {low}" if low > float("-inf") else ""


def check_n_jobs(n_jobs: object) -> None:
    """Raise unless `n_jobs` is what joblib takes: None, or an integer other than 0."""
    if n_jobs is None:
        return
    check_number("n_jobs", n_jobs, low=float("-inf"), integral=True)
    if n_jobs == 0:
        raise ValueError("n_jobs=0 means no workers. Pass 1 or more, or -1 for all.")


def check_verbose(verbose: object) -> None:
    """Raise unless `verbose` is a truth value or an integer of at least 0."""
    if not isinstance(verbose, bool):
        check_number("verbose", verbose, low=0, integral=True)


def finite_numbers(value: ArrayLike) -> FloatArray | None:
    """Read a parameter as finite numbers; None if it holds anything else."""
    try:
        numbers = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError):
        return None
    return numbers if np.isfinite(numbers).all() else None


def per_channel(name: str, value: ArrayLike, n_channels: int) -> FloatArray:
    """Turn one number, or one per channel, into one number per channel."""
    numbers = np.asarray(value, dtype=np.float64)
    if numbers.shape not in ((), (1,), (n_channels,)):
        raise ValueError(
            f"{name}={show_value(value)} has {numbers.size} entries, and X has {n_channels} "
            "channels. Pass one number, or one for each channel."
        )
    return np.broadcast_to(numbers, n_channels).copy()
