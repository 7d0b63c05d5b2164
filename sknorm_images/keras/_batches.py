"""One batch: images as a pipeline makes them, with their targets and weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.failures import Failures, ReadError
from sknorm_images.keras._augmentation import Augment, augmented
from sknorm_images.keras._columns import Column, NamedColumns
from sknorm_images.keras._targets import Targets


@dataclass(frozen=True)
class Batch:
    """What Keras is given, and which images are blank in it, by position in X."""

    parts: Any
    failures: dict[int, ReadError]

    @property
    def n_bytes(self) -> int:
        """How much memory the batch takes."""
        return sum(int(part.nbytes) for part in keras.tree.flatten(self.parts))


@dataclass(frozen=True)
class Batches:
    """Everything that batches are made of.

    `weights`, of shape (n_samples,), are what the loss of each image counts, and `augment` has
    passed `check_augment`.
    """

    inputs: Column | NamedColumns
    targets: Targets
    weights: NDArray[np.float32] | None
    augment: Augment | None

    def make(
        self, rows: NDArray[np.intp], new_generator: Callable[[], np.random.Generator]
    ) -> Batch:
        """Make the batch of the samples at positions `rows`.

        It holds images, (images, targets), or (images, targets, weights); several inputs, and
        several targets, are dicts. `new_generator`
        makes the random generator for `augment`, if that needs one. Raises ImageDecodeError or
        OSError if an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        x, blank = self.inputs.at(rows)
        y, blank_targets = self.targets.at(rows, x, blank)
        if self.augment is not None:
            y = x.copy() if y is x else y
            x, y = augmented(self.augment, x, y, len(rows), new_generator)
            # A weight of 0 does not make up for what augment may do.
            x, y = _zeroed(x, blank), _zeroed(y, blank_targets)
        # Where a photo and its mask both fail, the photo is named.
        failures = _all_of(blank_targets) | _all_of(blank)
        by_position = {int(rows[i]): error for i, error in failures.items()}
        if not self.targets.are_there:
            return Batch(x, by_position)
        weights = self._weights_of(rows, list(failures))
        if weights is None:
            return Batch((x, y), by_position)
        return Batch((x, y, _shaped_like(weights, y)), by_position)

    def _weights_of(
        self, rows: NDArray[np.intp], blank: list[int]
    ) -> NDArray[np.float32] | None:
        if self.weights is not None:
            weights = self.weights[rows]
        elif self.inputs.may_be_blank or self.targets.may_be_blank:
            weights = np.ones(len(rows), np.float32)
        else:
            return None
        weights[blank] = 0
        return weights


def _zeroed(parts: Any, blank: Any) -> Any:
    """Make zeros of what is blank in an array, or in each of several by name."""
    if isinstance(parts, dict):
        return {name: blank[name].zeroed(part) for name, part in parts.items()}
    return blank.zeroed(parts)


def _all_of(blank: Failures | dict[str, Failures]) -> dict[int, ReadError]:
    """Merge what failed in several arrays."""
    if isinstance(blank, Failures):
        return blank
    return {i: error for failures in blank.values() for i, error in failures.items()}


def _shaped_like(weights: NDArray[np.float32], y: Any) -> Any:
    """Give the weights of samples to their pixels, where targets are images.

    Keras multiplies a loss for each pixel with weights as NumPy would, from the last axis on,
    so those of shape (batch_size,) fit no image, or the wrong axis.
    """
    if isinstance(y, dict):
        if all(part.ndim <= 2 for part in y.values()):
            return weights  # one for all
        return {name: _shaped_like(weights, part) for name, part in y.items()}
    if y.ndim <= 2:
        return weights
    pixels = np.empty((*y.shape[:-1], 1), np.float32)
    pixels[:] = weights.reshape(-1, *(1 for _ in y.shape[1:]))
    return pixels
