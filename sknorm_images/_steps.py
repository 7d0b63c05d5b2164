"""The steps of a pipeline, one by one: those that only describe images, and the others."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sknorm_images._common.exceptions import (
    ImageDecodeError,
    ImageTransparencyWarning,
    ImageUnitsWarning,
)
from sknorm_images._common.failures import Failures
from sknorm_images._images.flattening import ImageFlattener
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.loading import JpegLoader
from sknorm_images._images.resizing import Resizer
from sknorm_images._scaling.base import ChannelScaler


def flat_steps(step: Any) -> list[Any]:
    """List the steps that do something, also those of pipelines within a pipeline.

    Parameters
    ----------
    step : Pipeline, transformer, "passthrough" or None
        A pipeline, or a step of one.

    Returns
    -------
    list of transformers
        Empty where there is nothing to do.
    """
    if not isinstance(step, Pipeline):
        return [] if step in (None, "passthrough") else [step]
    return [inner for _, part in step.steps for inner in flat_steps(part)]


def describe_images(pipeline: Any, X: Any) -> tuple[Any, list[Any]]:
    """Run the loaders and resizers at the beginning, which read no file.

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
        What is left to do; the pipeline itself, if it does not begin with one of them.
    """
    steps = flat_steps(pipeline)
    if not steps or not isinstance(steps[0], JpegLoader | Resizer):
        return X, [pipeline]
    while steps and isinstance(steps[0], JpegLoader | Resizer):
        X = steps.pop(0).transform(X)
    return X, steps


def describe_files(pipeline: Any, X: Any) -> tuple[LazyImages, list[Any]]:
    """Do what `describe_images` does, for a fitted pipeline that begins with a loader.

    Parameters
    ----------
    pipeline : Pipeline
        What transforms X.
    X : array-like of shape (n_samples,) or (n_samples, 1)
        What its loader takes.

    Returns
    -------
    images : LazyImages
        What the loaders and resizers at the beginning make of X.
    steps : list of transformers
        What is left to do.

    Raises
    ------
    TypeError
        If the pipeline begins with another step, or does not transform.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    """
    steps = flat_steps(pipeline)
    if not steps or not isinstance(steps[0], JpegLoader):
        raise TypeError(
            f"pipeline begins with {type(steps[0]).__name__ if steps else 'nothing'}, and "
            "files need a JpegLoader. Make it with make_image_pipeline, or with "
            "`sknorm-images fit`."
        )
    if not hasattr(pipeline, "transform"):
        raise TypeError(
            f"pipeline ends with {type(steps[-1]).__name__}, which does not transform. Take "
            "the steps before it, such as pipeline[:-1]."
        )
    check_is_fitted(pipeline)
    return describe_images(pipeline, X)


def transform_images(
    steps: Sequence[Any],
    images: Any,
    rows: Sequence[int] | NDArray[np.intp],
    told: dict[str, object] | None = None,
) -> tuple[Any, Failures]:
    """Do with images what a pipeline does, and tell which are blank rather than warn.

    Parameters
    ----------
    steps : sequence of transformers
        As `describe_images` lists them.
    images : LazyImages or array-like
        Some of the images.
    rows : sequence of int
        Their positions in X, for errors to name.
    told : dict or None, default=None
        What was warned of among other images of X, and is not again; it is added to.

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
    failures = Failures()
    told = {} if told is None else told
    X: Any = images
    try:
        for i, step in enumerate(steps):
            if _is_to_be_read(X, steps[i:]):
                X, failures = X.read()
                _warn_once(failures.doubts(), rows, told)
            are_pixels = isinstance(X, np.ndarray) and X.dtype == np.uint8
            if isinstance(step, ChannelScaler):
                X, doubts = step._transform_with_doubts(X)
                _warn_once(doubts, rows, told)
            else:
                X = step.transform(X)
            if failures and are_pixels and isinstance(step, ChannelScaler):
                X[list(failures)] = 0  # as a scaler does with LazyImages
        if isinstance(X, LazyImages):
            X, failures = X.read()
            _warn_once(failures.doubts(), rows, told)
    except ImageDecodeError as error:
        _renumber(error, rows)
        raise
    for failure in failures.values():
        _renumber(failure, rows)
    return X, failures


def _warn_once(
    doubts: Sequence[UserWarning],
    rows: Sequence[int] | NDArray[np.intp],
    told: dict[str, object],
) -> None:
    # Not left to Python's filters: scikit-learn changes them, and that resets what they know.
    # Of several threads, one sets the default.
    mine = object()
    for doubt in doubts:
        _renumber(doubt, rows)
        # Of transparency the text names a file, and each batch has its own.
        key = str(doubt) if isinstance(doubt, ImageUnitsWarning) else type(doubt).__name__
        if told.setdefault(key, mine) is mine:
            warnings.warn(doubt, stacklevel=3)


def _is_to_be_read(X: Any, steps: Sequence[Any]) -> bool:
    """Whether X is images that no resizer is to come for, and no scaler reads all of."""
    if not isinstance(X, LazyImages) or any(isinstance(step, Resizer) for step in steps):
        return False
    return X.on_error == "blank" or not isinstance(steps[0], ChannelScaler | ImageFlattener)


def _renumber(error: Exception, rows: Sequence[int] | NDArray[np.intp]) -> None:
    """Let what names a position among some images name that in X."""
    if not isinstance(error, ImageDecodeError | ImageTransparencyWarning):
        return
    if error.position is not None:
        error.position = int(rows[error.position])
