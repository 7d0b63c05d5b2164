"""One batch: images as a pipeline makes them, with their targets and weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sknorm_images import JpegLoader, LazyImages, SavedImages
from sknorm_images._common.failures import ReadError
from sknorm_images._common.wording import show_value
from sknorm_images._images.stored import StoredImages, failures_of, is_stored_in_chunks
from sknorm_images._steps import describe_images, flat_steps, transform_images
from sknorm_images.keras._augmentation import Augment, augmented
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

    `images` and `steps` are those that `describe_samples` returns. `weights`, of shape
    (n_samples,), are what the loss of each image counts, and `augment` has passed
    `check_augment`. `told` holds what was warned of and is not repeated.
    """

    images: Any
    steps: list[Any]
    targets: Targets
    weights: NDArray[np.float32] | None
    augment: Augment | None
    told: dict[str, object] = field(default_factory=dict)

    def make(
        self, rows: NDArray[np.intp], new_generator: Callable[[], np.random.Generator]
    ) -> Batch:
        """Make the batch of the samples at positions `rows`.

        It holds images, (images, targets), or (images, targets, weights). `new_generator`
        makes the random generator for `augment`, if that needs one. Raises ImageDecodeError or
        OSError if an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        images = self.images
        images = images.iloc[rows] if hasattr(images, "iloc") else images[rows]
        blank = failures_of(self.images).at(rows)
        transformed, failures = transform_images(self.steps, images, rows, self.told, blank)
        x = failures.zeroed(np.asarray(transformed))
        y = self.targets.of(rows, x)
        if self.augment is not None:
            y = x.copy() if y is x else y
            x, y = augmented(self.augment, x, y, new_generator)
            x = failures.zeroed(x)  # a weight of 0 does not make up for what augment may do
            y = failures.zeroed(y) if self.targets.are_images else y
        by_position = {int(rows[i]): error for i, error in failures.items()}
        if not self.targets.are_there:
            return Batch(x, by_position)
        weights = self._weights_of(rows, list(failures))
        return Batch((x, y) if weights is None else (x, y, weights), by_position)

    @property
    def _may_be_blank(self) -> bool:
        images = self.images
        is_blank_on_error = isinstance(images, LazyImages) and images.on_error == "blank"
        return is_blank_on_error or bool(failures_of(images))

    def _weights_of(
        self, rows: NDArray[np.intp], blank: list[int]
    ) -> NDArray[np.float32] | None:
        if self.weights is not None:
            weights = self.weights[rows]
        elif self._may_be_blank:
            weights = np.ones(len(rows), np.float32)
        else:
            return None
        weights[blank] = 0
        return weights


def describe_samples(pipeline: Any, X: Any) -> tuple[Any, list[Any]]:
    """Run the steps that read no file on all of X, and leave the others for the batches.

    Returns the images, which are read where they are indexed, and the steps that are left.
    Raises NotFittedError if the pipeline is not fitted, TypeError if it does not transform or
    X holds no images, and ValueError if X is empty or blank images would go unnoticed.
    """
    if not hasattr(pipeline, "fit"):  # check_is_fitted would write out the whole of it
        raise TypeError(
            f"pipeline={show_value(pipeline)} is not a transformer. Pass the pipeline first, "
            "then X and y."
        )
    check_is_fitted(pipeline)
    if not hasattr(pipeline, "transform"):
        raise TypeError(
            f"pipeline is a {type(pipeline).__name__} that does not transform. Pass the "
            "steps before the last one, such as pipeline[:-1]."
        )
    images, steps = describe_images(pipeline, X)
    left = [step for part in steps for step in flat_steps(part)]
    if any(isinstance(step, JpegLoader) and step.on_error == "blank" for step in left):
        raise ValueError(
            "The JpegLoader has on_error='blank', and another step comes before it. That step "
            "hides which images are blank. Apply it to X first."
        )
    if isinstance(images, LazyImages):
        images = images.configured()  # by the dataset, and without a progress bar per batch
    elif isinstance(images, SavedImages):
        images = images._stored()
    elif not hasattr(images, "shape"):
        images = np.asarray(images)
    elif is_stored_in_chunks(images):
        images = StoredImages(images, finite=False)  # the steps decide what they take
    if not images.shape:
        raise TypeError(
            f"X is a {type(X).__name__}, which holds no images. Pass paths, bytes, "
            "LazyImages or an array."
        )
    if not images.shape[0]:
        raise ValueError("X is empty, so there is nothing to make batches of. Check X.")
    return images, steps
