"""Even out classes of different sizes: weigh images, or draw some repeatedly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils.class_weight import compute_sample_weight

from sknorm_images._common.parameters import check_choice
from sknorm_images._common.sample_weights import as_weights
from sknorm_images.keras._targets import class_numbers


def loss_weights(
    sample_weight: ArrayLike | str | None, y: Any, n_samples: int
) -> NDArray[np.float32] | None:
    """Check the weights of all samples; for "balanced", weigh every class alike."""
    if not isinstance(sample_weight, str):
        weights = as_weights(sample_weight, n_samples)
        return None if weights is None else weights.astype(np.float32)
    check_choice("sample_weight", sample_weight, ("balanced",))
    numbers = class_numbers(y, n_samples, "sample_weight='balanced'")
    return np.asarray(compute_sample_weight("balanced", numbers), np.float32)


def classes_to_draw_evenly(
    y: Any, n_samples: int, shuffle: bool, sample_weight: ArrayLike | str | None
) -> NDArray[np.intp]:
    """Number the class of every sample, to oversample the smaller ones."""
    if not shuffle:
        raise ValueError(
            "oversample=True draws images at random every epoch, and shuffle=False keeps "
            "their order. Pass shuffle=True, or oversample=False."
        )
    if isinstance(sample_weight, str):
        raise ValueError(
            "oversample=True and sample_weight='balanced' both even out the classes, so small "
            "ones would count twice. Pass one of them."
        )
    return class_numbers(y, n_samples, "oversample=True")
