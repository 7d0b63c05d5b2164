"""Find out who uses a dataset: running calls of a model, and what asks for a batch.

Keras does not tell a dataset. Its calls are found on the stack by their public names, and
what asks is the object whose method does: for each call of ``fit``, ``evaluate`` or
``predict``, Keras makes an object of its own that holds the dataset and takes the batches.
Where a future Keras asks otherwise, the caller counts as user code, which shares one pass.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from types import FrameType
from typing import Literal, TypeAlias

import keras

Call: TypeAlias = Literal["fit", "evaluate", "predict"]
_CALLS: tuple[Call, ...] = ("fit", "evaluate", "predict")


def running_calls() -> list[tuple[Call, object]]:
    """List the calls of models that this thread is in, innermost first, with their models.

    A model whose own method does not call that of Keras goes unnoticed.
    """
    calls = {inspect.unwrap(getattr(keras.Model, name)).__code__: name for name in _CALLS}
    return [
        (calls[frame.f_code], frame.f_locals.get("self"))
        for frame in _frames()
        if frame.f_code in calls
    ]


def find_consumer() -> object | None:
    """Find the object of Keras that takes a dataset's batches for a call; None for user code.

    It holds the dataset that it asks: this one, or one that passes the question on, such as a
    PyDataset of several inputs. Other objects of Keras only run user code that asks, such as
    a callback or a generator.
    """
    asked = None
    for frame in _frames():
        code = frame.f_code
        # Looking at the locals of a frame keeps them alive, so only where there is a point.
        if "self" not in code.co_varnames and "self" not in code.co_freevars:
            continue
        asker = frame.f_locals.get("self")
        if isinstance(asker, keras.utils.PyDataset):
            asked = asker
        elif asker is not None:
            if type(asker).__module__.split(".")[0] != "keras":
                return None
            return asker if holds(asker, asked) else None
    return None


def holds(consumer: object | None, dataset: object) -> bool:
    """Tell whether a consumer takes its batches from this dataset, not from one around it."""
    held = [] if consumer is None else vars(consumer).values()
    return any(value is dataset for value in held)


def has_workers(consumer: object | None) -> bool:
    """Tell whether Keras' own workers take batches for a consumer, ahead of its epochs."""
    held = [] if consumer is None else vars(consumer).values()
    return any(
        isinstance(value, keras.utils.PyDataset) and value.workers > 1 for value in held
    )


def _frames() -> Iterator[FrameType]:
    """Yield the frames of this thread below that of the function that iterates."""
    frame = inspect.currentframe()
    frame = frame.f_back if frame is not None else None
    while frame is not None:
        yield frame
        frame = frame.f_back
