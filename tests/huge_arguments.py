"""Huge values in place of every parameter of a call, and the messages that they draw."""

from __future__ import annotations

import inspect
import re
import warnings
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sknorm_images import ChannelStandardScaler, make_image_pipeline

A_FEW_LINES = 2000  # characters
N = 3000
NAMES = [f"photos/holiday/{i:05}.jpg" for i in range(N)]
_FACTORS = [float(i + 1) for i in range(N)]

HUGE: dict[str, Callable[[], Any]] = {
    "list of names": lambda: list(NAMES),
    "tuple of names": lambda: tuple(NAMES),
    "set of names": lambda: set(NAMES),
    "dict": lambda: dict.fromkeys(NAMES, 0),
    "list of numbers": lambda: list(range(N)),
    "lists in a list": lambda: [NAMES, NAMES],
    "array of names": lambda: np.array(NAMES),
    "array of objects": lambda: np.array(NAMES, dtype=object),
    "array of floats": lambda: np.linspace(-1, 1, N * 3).reshape(N, 3),
    "array of NaN": lambda: np.full(N, np.nan),
    "frame": lambda: pd.DataFrame({name: [name] * 50 for name in NAMES[:50]}),
    "column": lambda: pd.Series(NAMES),
    "bunch": lambda: Bunch(filenames=NAMES, target=list(range(N))),
    "text": lambda: "x" * 100_000,
    "text that steers a terminal": lambda: "\x1b[2J\x9b\u202e" * 10_000,
    "path": lambda: "/" + "deep/" * 20_000 + "x.jpg",
    "url": lambda: "s3://bucket/" + "x" * 100_000,
    "unknown url": lambda: "y" * 100_000 + "://x",
    "bytes": lambda: b"x" * 100_000,
    "list of one text": lambda: ["x" * 100_000],
    "pair of texts": lambda: ("x" * 100_000, "y" * 100_000),
    "dict of one text": lambda: {"x" * 100_000: ["y" * 100_000]},
    "integer": lambda: 10**5000,
    "negative integer": lambda: -(10**5000),
    "scaler": lambda: ChannelStandardScaler(mean=_FACTORS),
    "pipeline": lambda: make_image_pipeline((8, 8), ChannelStandardScaler(mean=_FACTORS)),
    "object": lambda: _Verbose(),
}


class _Verbose:
    def __repr__(self) -> str:
        return "\x1b]0;title\x07" * 10_000


Calls: TypeAlias = Mapping[str, tuple[Callable[..., Any], dict[str, Any]]]


def parameters_of(calls: Calls) -> list[tuple[str, str]]:
    """Name each call with each of its parameters, also of those that are added later."""
    return [
        (name, parameter.name)
        for name, (function, _) in calls.items()
        for parameter in inspect.signature(function).parameters.values()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    ]


def assert_brief(function: Callable[..., Any], good: dict[str, Any], parameter: str) -> int:
    """Pass each huge value; what is told of it is brief and printable. Returns how often."""
    n_messages = 0
    for kind, make in HUGE.items():
        for message in messages_of(function, {**good, parameter: make()}):
            n_messages += 1
            assert len(message) < A_FEW_LINES, f"{kind}: {len(message)}, {message[:300]}"
            raw = re.findall(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e]", message)
            assert not raw, f"{kind}: {message!r}"
    return n_messages


def messages_of(function: Callable[..., Any], arguments: dict[str, Any]) -> list[str]:
    """Every message of a call: its warnings, and the error with its notes."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            repr(function(**arguments))
            raised = []
        except Exception as error:  # noqa: BLE001 (any, as long as it is brief)
            raised = [f"{type(error).__name__}: {error}", *getattr(error, "__notes__", [])]
    return [*(str(each.message) for each in caught), *raised]
