"""Sample weights: one number per image, kept as integers if all are integral."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknorm_images._common.wording import shorten

Weights: TypeAlias = NDArray[np.int64] | NDArray[np.float64] | None


def as_weights(sample_weight: ArrayLike | None, n_samples: int) -> Weights:
    """Check weights, and convert integral ones to int64, so that counts stay exact."""
    if sample_weight is None:
        return None
    try:
        weights = np.asarray(sample_weight, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"sample_weight holds no numbers ({shorten(error)}). Pass one number per sample."
        ) from error
    if weights.ndim == 0:
        weights = np.full(n_samples, weights)
    if weights.shape != (n_samples,):
        raise ValueError(
            f"sample_weight is of shape {weights.shape}, and X has {n_samples} samples. "
            f"Pass one weight per sample, of shape ({n_samples},)."
        )
    for problem, found in (
        ("NaN or infinity", not np.isfinite(weights).all()),
        ("negative numbers", (weights < 0).any()),
        ("zeros alone", not weights.any()),
    ):
        if found:
            raise ValueError(
                f"sample_weight holds {problem}, and a weight says how often an image counts. "
                "Pass weights from zero up, and at least one above zero."
            )
    integral = (weights == np.rint(weights)).all() and weights.max() < 2**53
    return weights.astype(np.int64) if integral else weights


def rows_of(weights: Weights, rows: slice) -> Weights:
    """Select the weights of a chunk, if there are any."""
    return None if weights is None else weights[rows]
