"""What Keras would do with a dataset, but a dataset of ordered batches must refuse."""

from __future__ import annotations

from typing import Any, NoReturn

import keras

from sknorm_images._common.wording import show_value

_KERAS_WORKERS = {"workers": 1, "use_multiprocessing": False, "max_queue_size": 1}
# Names that parameters have in scikit-learn or elsewhere in Keras, and what they are here.
_NAMES_HERE = {
    "class_mode": "label_mode",
    "class_names": "classes",
    "class_weight": "sample_weight, with one weight per sample,",
    "labels": "y",
    "random_state": "seed",
}


def refuse_option(name: str) -> NoReturn:
    """Raise TypeError for an argument of Keras' own workers, or an unknown one."""
    if name in _KERAS_WORKERS:
        raise TypeError(_no_workers(name))
    advice = f". Pass {_NAMES_HERE[name]} instead." if name in _NAMES_HERE else ""
    raise TypeError(
        f"PipelineDataset() got an unexpected keyword argument {show_value(name)}{advice}"
    )


def read_only(name: str) -> property:
    """Make a read-only attribute of Keras' own workers, which are not used."""

    def refuse(dataset: Any, value: object) -> NoReturn:
        raise AttributeError(_no_workers(name))

    return property(lambda dataset: _KERAS_WORKERS[name], refuse)


def refuse_to_predict() -> NoReturn:
    """Raise ValueError for ``model.predict`` on a shuffled dataset."""
    raise ValueError(
        "The dataset has shuffle=True, so its predictions would not be in the order of X. "
        "For predict, make a dataset with shuffle=False."
    )


def refuse_to_predict_parts(shard: tuple[int, int]) -> NoReturn:
    """Raise ValueError for ``model.predict`` on one process' parts of the batches."""
    raise ValueError(
        f"The dataset has shard={shard}, so it gives a part of each batch, and predictions "
        "would not be in the order of X. For predict, make a dataset without shard."
    )


def refuse_without_targets(call: str, model: object) -> None:
    """Raise ValueError if a loss of Keras' own would be computed without targets."""
    if getattr(model, "loss", None) is None:
        return
    # A model with a step of its own may do without targets.
    step = {"fit": "train_step", "evaluate": "test_step"}[call]
    if all(
        getattr(type(model), name) is getattr(keras.Model, name)
        for name in (step, "compute_loss")
    ):
        raise ValueError(
            f"The dataset has no targets, and {call} needs them for the loss. Pass y, or "
            "label_mode='input' for an autoencoder."
        )


def _no_workers(name: str) -> str:
    return (
        f"{name} is for Keras' own workers, which on JAX serve some batches of the first pass "
        "twice and others never, so they are not used. Pass n_jobs, the number of threads "
        "that decode batches ahead."
    )
