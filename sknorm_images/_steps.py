"""The steps of a pipeline, one by one: first those that only describe images."""

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
from sknorm_images._images.flattener import ImageFlattener
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.loader import JpegLoader
from sknorm_images._images.resizer import Resizer
from sknorm_images._scaling.base import ChannelScaler


def flat_steps(step: Any) -> list[Any]:
    """List the steps that do something, including those of nested pipelines."""
    if not isinstance(step, Pipeline):
        return [] if step in (None, "passthrough") else [step]
    return [inner for _, part in step.steps for inner in flat_steps(part)]


def color_mode_of(pipeline: Any) -> str | None:
    """Name the colour mode of the images that a pipeline loads; None if it loads none."""
    loaders = [step for step in flat_steps(pipeline) if isinstance(step, JpegLoader)]
    return loaders[0].color_mode if loaders else None


def describe_images(pipeline: Any, X: Any) -> tuple[Any, list[Any]]:
    """Run the loaders and resizers at the beginning, which read no file.

    Returns what they make of X, or X itself if there are none, and the steps that are left:
    the pipeline itself if it does not begin with one of them.
    """
    steps = flat_steps(pipeline)
    if not steps or not isinstance(steps[0], JpegLoader | Resizer):
        return X, [pipeline]
    while steps and isinstance(steps[0], JpegLoader | Resizer):
        X = steps.pop(0).transform(X)
    return X, steps


def describe_files(pipeline: Any, X: Any) -> tuple[LazyImages, list[Any]]:
    """Do what `describe_images` does, for a fitted pipeline that begins with a loader.

    Raises TypeError if the pipeline begins with another step or does not transform, and
    NotFittedError if it is not fitted.
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
    blank: Failures | None = None,
) -> tuple[Any, Failures]:
    """Do with images what a pipeline does, but return which are blank instead of warning.

    `steps` are those that `describe_images` returns, and `rows` are the positions of the
    images in X, for errors to name. `told` holds what was warned of among other images of X,
    which is not repeated; new warnings are added to it. `blank` are failures that are known,
    in images that have been read. Returns what the pipeline makes, even
    if all images are blank, and the failures by position in `images`. Raises ImageDecodeError
    or OSError if an image cannot be read, unless the loader has ``on_error="blank"``.
    """
    failures = Failures() if blank is None else blank
    told = {} if told is None else told
    X: Any = images
    try:
        for i, step in enumerate(steps):
            if _is_to_be_read(X, steps[i:]):
                X, failures = X.read()
                _warn_once(failures.doubts(), rows, told)
            if isinstance(step, ChannelScaler):
                are_pixels = isinstance(X, np.ndarray) and X.dtype == np.uint8
                X, doubts = step._transform_with_doubts(X, failures if are_pixels else None)
                _warn_once(doubts, rows, told)
            else:
                X = step.transform(X)
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
    # Not left to Python's filters: scikit-learn changes them, so they forget what was shown.
    # Of several threads, only one sets the default.
    mine = object()
    for doubt in doubts:
        _renumber(doubt, rows)
        # The text about transparency names a file, which differs between batches.
        key = str(doubt) if isinstance(doubt, ImageUnitsWarning) else type(doubt).__name__
        if told.setdefault(key, mine) is mine:
            warnings.warn(doubt, stacklevel=3)


def _is_to_be_read(X: Any, steps: Sequence[Any]) -> bool:
    """Whether X has to be read now: no resizer follows, and the next step does not read it.

    With ``on_error="blank"`` it is read even if the next step could, so that the blank images
    are known.
    """
    if not isinstance(X, LazyImages) or any(isinstance(step, Resizer) for step in steps):
        return False
    return X.on_error == "blank" or not isinstance(steps[0], ChannelScaler | ImageFlattener)


def _renumber(error: Exception, rows: Sequence[int] | NDArray[np.intp]) -> None:
    """Change the position that an error or warning names, among some images, to that in X."""
    if not isinstance(error, ImageDecodeError | ImageTransparencyWarning):
        return
    if error.position is not None:
        error.position = int(rows[error.position])
