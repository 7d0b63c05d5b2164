"""Calls to the user's function that augments the batches of a training run."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.wording import shorten, show_some, show_value

Augment: TypeAlias = Callable[..., tuple[Any, Any]]


def check_augment(augment: object) -> None:
    """Raise TypeError unless `augment` is None or takes (x, y) or (x, y, generator)."""
    if augment is None:
        return
    if isinstance(augment, keras.Layer):
        raise TypeError(
            f"augment is a Keras layer, {show_value(augment.name)}, which takes images alone. "
            "Put it in front of the model, or pass lambda x, y: (layer(x, training=True), y)."
        )
    if not callable(augment) or not (_takes(augment, 2) or _takes(augment, 3)):
        raise TypeError(
            f"augment={show_value(augment)} cannot be called with a batch. Pass a callable of "
            "(x, y), or of (x, y, generator), that returns (x, y)."
        )


def _takes(function: Callable[..., Any], n_arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*[None] * n_arguments)
    except ValueError:  # a builtin, whose signature is unknown
        return n_arguments == 2
    except TypeError:
        return False
    return True


def augmented(
    augment: Augment,
    x: Any,
    y: Any,
    n_samples: int,
    new_generator: Callable[[], np.random.Generator],
) -> tuple[Any, Any]:
    """Call `augment` on one batch of `n_samples`, and check what it returns.

    `new_generator` makes the random generator that is passed if `augment` requires three
    arguments. Returns what `augment` returned as NumPy arrays, structured like `x` and `y`.
    Raises TypeError if that was not a pair of arrays, or if inputs or targets have other
    names, and ValueError if the number of images or targets changed.
    """
    result = augment(x, y) if _takes(augment, 2) else augment(x, y, new_generator())
    if not isinstance(result, tuple | list) or len(result) != 2:
        raise TypeError(
            f"augment returned {type(result).__name__}, and a batch is images and targets. "
            "Return (x, y)."
        )
    x_new, y_new = result
    x_new = _like("images", x, x_new, n_samples)
    return x_new, None if y is None else _like("targets", y, y_new, n_samples)


def _like(what: str, given: Any, returned: Any, n_samples: int) -> Any:
    """Make NumPy arrays of what was returned: one, or a dict of the names that were given."""
    if not isinstance(given, Mapping):
        return _as_array(what, returned, n_samples)
    if not isinstance(returned, Mapping) or set(given) != set(returned):
        raise TypeError(
            f"augment was given {what} named {show_some(given, shorten)} and returned others, "
            f"of type {type(returned).__name__}. Return a dict of arrays under the names that "
            "came."
        )
    return {name: _as_array(name, returned[name], n_samples) for name in given}


def _as_array(name: str, value: Any, n_samples: int) -> NDArray[Any]:
    if not hasattr(value, "shape"):
        raise TypeError(
            f"augment returned {type(value).__name__} for the {name}, and the model takes "
            "arrays. Return arrays, as many and under the names that came."
        )
    array = value if isinstance(value, np.ndarray) else keras.ops.convert_to_numpy(value)
    if array.shape[:1] != (n_samples,):
        raise ValueError(
            f"augment was given {n_samples} images and returned an array of shape "
            f"{array.shape} for the {name}. Return as many as came, in their order."
        )
    return np.asarray(array)
