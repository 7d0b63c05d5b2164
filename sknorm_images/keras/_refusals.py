"""What Keras would do with a dataset, but a dataset of ordered batches must refuse."""

from __future__ import annotations

import inspect
from typing import Any, NoReturn

import keras

from sknorm_images._common.wording import show_value

_KERAS_WORKERS = {"workers": 1, "use_multiprocessing": False, "max_queue_size": 1}


def refuse_option(name: str) -> NoReturn:
    """Raise TypeError for an argument of Keras' own workers, or an unknown one."""
    if name in _KERAS_WORKERS:
        raise TypeError(_no_workers(name))
    raise TypeError(f"PipelineDataset() got an unexpected keyword argument {show_value(name)}")


def read_only(name: str) -> property:
    """Make a read-only attribute of Keras' own workers, which are not used."""

    def refuse(dataset: Any, value: object) -> NoReturn:
        raise AttributeError(_no_workers(name))

    return property(lambda dataset: _KERAS_WORKERS[name], refuse)


def refuse_to_predict() -> None:
    """Raise ValueError if it is ``model.predict`` that starts on a shuffled dataset."""
    if _is_predicting():
        raise ValueError(
            "The dataset has shuffle=True, so its predictions would be in another order "
            "than X. Make one for predict, with shuffle=False."
        )


def _no_workers(name: str) -> str:
    return (
        f"{name} is for Keras' own workers, which on JAX serve some batches of the first pass "
        "twice and others never, so they are not used. Pass n_jobs, the number of threads "
        "that decode batches ahead."
    )


def _is_predicting() -> bool:
    """Whether the call comes from ``model.predict``, which Keras does not reveal.

    A model whose own `predict` does not call Keras' goes unnoticed.
    """
    predict, fit, evaluate = (
        inspect.unwrap(method).__code__
        for method in (keras.Model.predict, keras.Model.fit, keras.Model.evaluate)
    )
    frame = inspect.currentframe()
    while frame is not None and frame.f_code not in (fit, evaluate):
        if frame.f_code is predict:
            return True
        frame = frame.f_back
    return False
