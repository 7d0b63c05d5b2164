"""How far the images of a folder are from those that a pipeline was fitted on, in words."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np

from sknorm_images._scaling.statistics import Statistics

# Glass' delta (1976): the difference of two means in standard deviations of the one that
# things are compared with. These are the words of Cohen (Statistical Power Analysis for the
# Behavioral Sciences, 1988) for smaller differences than these; others are large.
_WORDS = ((0.2, "negligible"), (0.5, "small"), (0.8, "medium"))

_NONE = "none: one value in either"


class Drift(NamedTuple):
    """How one channel of a folder differs."""

    channel: str
    size: float  # in fitted standard deviations; infinite or NaN if the fitted one is 0
    words: str

    @property
    def number(self) -> str:
        """The size to read; empty if it is not finite."""
        return f"{self.size:+.2f}" if np.isfinite(self.size) else ""


def drift_of(channels: Iterable[str], fitted: Statistics, here: Statistics) -> list[Drift]:
    """Compare the means of each channel, in units of the fitted standard deviation."""
    with np.errstate(divide="ignore", invalid="ignore"):
        sizes = (here.mean - fitted.mean) / np.sqrt(fitted.var)
    return [
        Drift(channel, size, _in_words(size))
        for channel, size in zip(channels, sizes.tolist(), strict=True)
    ]


def verdict_on(drifts: list[Drift]) -> str:
    """Say what the largest drift means, and what to do about it."""
    worst = max(drifts, key=lambda drift: abs(np.nan_to_num(drift.size)))
    if worst.words in ("negligible", _NONE):
        return "This folder is much like the images that the pipeline was fitted on."
    return (
        f"The largest drift, of {worst.channel}, is {worst.words}. Find out what differs: "
        "the light, the camera, its colour profile, or what the photos show. If the model "
        "has to work on such images, train it on some of them, and fit the pipeline with "
        "them."
    )


def _in_words(size: float) -> str:
    if np.isnan(size):
        return _NONE
    size = round(size, 2) if np.isfinite(size) else size  # as it is shown
    word = next((word for limit, word in _WORDS if abs(size) < limit), "large")
    return word if word == "negligible" else f"{word}: {'higher' if size > 0 else 'lower'}"
