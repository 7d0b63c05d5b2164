"""Orders that go on where Keras does, in the first epoch of a restarted run."""

from __future__ import annotations

from math import ceil
from typing import Any

import keras


class ResumeOrder(keras.callbacks.Callback):
    """Set the epoch of a dataset to the one with which ``fit`` begins."""

    def __init__(self, dataset: Any) -> None:
        super().__init__()
        self._dataset = dataset
        self._is_set = False

    def __deepcopy__(self, memo: dict[int, Any]) -> ResumeOrder:
        # A tuner copies callbacks for every trial, but passes on the dataset itself.
        return type(self)(self._dataset)

    def on_train_begin(self, logs: Any = None) -> None:
        self._is_set = False

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if self._is_set:
            return
        self._is_set = True
        n_batches = len(self._dataset)
        steps = (self.params or {}).get("steps") or n_batches
        # Keras ends its epoch where the batches of a pass end.
        self._dataset.epoch = epoch // ceil(n_batches / steps)
