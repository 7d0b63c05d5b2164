"""The steps of a pipeline, one by one: those that only describe images, and the others."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from sknorm_images._exceptions import ImageDecodeError
from sknorm_images._failures import Failures
from sknorm_images._images import LazyImages
from sknorm_images._loading import JpegLoader
from sknorm_images._resizing import Resizer
from sknorm_images._scaling import ChannelScaler


def flat_steps(step: Any) -> list[Any]:
    """List the steps that do something, also those of pipelines within a pipeline.

    Parameters
    ----------
    step : Pipeline, transformer, "passthrough" or None
        A pipeline, or a step of one.

    Returns
    -------
    list of transformers
        None where there is nothing to do.
    """
    if not isinstance(step, Pipeline):
        return [] if step in (None, "passthrough") else [step]
    return [inner for _, part in step.steps for inner in flat_steps(part)]


def describe_images(pipeline: Any, X: Any) -> tuple[Any, list[Any]]:
    """Run the first steps, those that read no file, and list the others.

    Parameters
    ----------
    pipeline : Pipeline or transformer
        What transforms X.
    X : array-like of shape (n_samples, ...)
        What it transforms, such as paths.

    Returns
    -------
    images : LazyImages or array-like
        What the loaders and resizers at the beginning make of X; X itself without any.
    steps : list of transformers
        The steps that are left.
    """
    steps = flat_steps(pipeline)
    while steps and isinstance(steps[0], JpegLoader | Resizer):
        X = steps.pop(0).transform(X)
    return X, steps


def transform_images(
    steps: Sequence[Any], images: Any, rows: Sequence[int] | NDArray[np.intp] | None = None
) -> tuple[Any, Failures]:
    """Do with images what a pipeline does, and tell which are blank rather than warn.

    Parameters
    ----------
    steps : sequence of transformers
        As `describe_images` lists them.
    images : LazyImages or array-like
        Some of the images.
    rows : sequence of int or None, default=None
        Their positions in X, for errors to name; None means that these are all images.

    Returns
    -------
    X : array-like
        What the pipeline gives. It may hold blank images alone.
    failures : dict of int to Exception
        By position in `images`, those that a loader with ``on_error="blank"`` cannot read.

    Raises
    ------
    ImageDecodeError, OSError
        If an image cannot be read, unless the loader has ``on_error="blank"``.
    """
    failures: Failures = {}
    try:
        if isinstance(images, LazyImages) and images.on_error == "blank":
            images, failures = images.read()
        X: Any = images
        for step in steps:
            scales_images = X is images and isinstance(step, ChannelScaler)
            X = step.transform(X)
            if failures and scales_images:
                X[list(failures)] = 0  # as a scaler does with LazyImages
    except ImageDecodeError as error:
        _locate(error, rows)
        raise
    for failure in failures.values():
        _locate(failure, rows)
    return np.asarray(X) if isinstance(X, LazyImages) else X, failures


def _locate(error: Exception, rows: Sequence[int] | NDArray[np.intp] | None) -> None:
    """Let an error that names a position among some images name that in X."""
    if rows is None or not isinstance(error, ImageDecodeError) or error.position is None:
        return
    error.position = int(rows[error.position])
