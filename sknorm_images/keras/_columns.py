"""Columns of samples that are read batch by batch, such as photos, or their masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from sknorm_images import JpegLoader, LazyImages, SavedImages
from sknorm_images._common.failures import Failures
from sknorm_images._common.wording import show_some, show_value
from sknorm_images._images.stored import StoredImages, failures_of, is_stored_in_chunks
from sknorm_images._steps import describe_images, flat_steps, transform_images


@dataclass(frozen=True)
class Column:
    """Samples that are read where they are indexed, and what is done with each batch of them.

    `images` have a shape and take positions; `steps` are those that `describe_images` left.
    `names` are those that were saved with the images. `told` holds what was warned of and is
    not repeated.
    """

    images: Any
    steps: list[Any] = field(default_factory=list)
    names: list[str] | None = None
    told: dict[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return int(self.images.shape[0])

    @property
    def may_be_blank(self) -> bool:
        """Whether samples that cannot be read are zeros, instead of an error."""
        images = self.images
        is_blank_on_error = isinstance(images, LazyImages) and images.on_error == "blank"
        return is_blank_on_error or bool(failures_of(images))

    def filenames(self, rows: NDArray[np.intp]) -> list[str] | None:
        """Name the files of the samples at positions `rows`; None if nothing names them."""
        if self.names is not None:
            return [self.names[row] for row in rows.tolist()]
        return self.images[rows].filenames if isinstance(self.images, LazyImages) else None

    def at(self, rows: NDArray[np.intp]) -> tuple[NDArray[Any], Failures]:
        """Read and transform the samples at positions `rows`; also tell which are blank.

        Raises ImageDecodeError or OSError if an image cannot be read, unless the loader has
        ``on_error="blank"``.
        """
        images = self.images
        images = images.iloc[rows] if hasattr(images, "iloc") else images[rows]
        blank = failures_of(self.images).at(rows)
        transformed, failures = transform_images(self.steps, images, rows, self.told, blank)
        return failures.zeroed(np.asarray(transformed)), failures


@dataclass(frozen=True)
class NamedColumns:
    """Columns of the same samples, for a model of several inputs."""

    columns: dict[str, Column]

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def may_be_blank(self) -> bool:
        """Whether samples that cannot be read are zeros, instead of an error."""
        return any(column.may_be_blank for column in self.columns.values())

    def at(
        self, rows: NDArray[np.intp]
    ) -> tuple[dict[str, NDArray[Any]], dict[str, Failures]]:
        """Read and transform the samples at positions `rows`, by name, as `Column.at` does."""
        taken = {name: column.at(rows) for name, column in self.columns.items()}
        arrays = {name: array for name, (array, _) in taken.items()}
        return arrays, {name: blank for name, (_, blank) in taken.items()}


def describe_inputs(pipeline: Any, X: Any) -> Column | NamedColumns:
    """Describe the samples of one input, or of each of several that are given by name.

    Raises as `describe_samples` does, TypeError if only one of the two is a dict, and
    ValueError if names or lengths differ.
    """
    if not isinstance(pipeline, Mapping):
        if type(X) is dict:
            raise TypeError(
                f"X is a dict of inputs, [{show_some(X)}], and pipeline is a "
                f"{type(pipeline).__name__}. Pass a dict of a pipeline for each input."
            )
        return describe_samples(pipeline, X)
    if not isinstance(X, Mapping) or set(pipeline) != set(X) or not pipeline:
        names = f"those of [{show_some(X)}]" if isinstance(X, Mapping) else "none by name"
        raise ValueError(
            f"pipeline is a dict for the inputs [{show_some(pipeline)}], and X has {names}. "
            "Pass both as dicts of the same names, at least one."
        )
    columns = {name: _described(name, pipeline[name], X[name]) for name in pipeline}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{show_value(name)} {n}" for name, n in lengths.items())
        raise ValueError(
            f"The inputs of X have different numbers of samples: {told}. Pass the same "
            "samples in each, in the same order."
        )
    return NamedColumns(columns)


def _described(name: str, pipeline: Any, X: Any) -> Column:
    try:
        return describe_samples(pipeline, X)
    except (TypeError, ValueError) as error:
        raise type(error)(f"Input {show_value(name)}: {error}") from error


def describe_samples(pipeline: Any, X: Any) -> Column:
    """Run the steps that read no file on all of X, and leave the others for the batches.

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
    images = _readable(images)
    if not images.shape:
        raise TypeError(
            f"X is a {type(X).__name__}, which holds no images. Pass paths, bytes, "
            "LazyImages or an array."
        )
    if not images.shape[0]:
        raise ValueError("X is empty, so there is nothing to make batches of. Check X.")
    return Column(images, steps, X.filenames if isinstance(X, SavedImages) else None)


def are_unread_images(values: Any) -> bool:
    """Whether these are images that an array would hold all at once if it were made."""
    return isinstance(values, LazyImages | SavedImages) or is_stored_in_chunks(values)


def unread_column(images: Any) -> Column:
    """Make a column of images for which `are_unread_images` is true, as they are."""
    return Column(_readable(images))


def _readable(images: Any) -> Any:
    """Give images the form in which batches of them are read."""
    if isinstance(images, LazyImages):
        # The dataset decodes in parallel, and shows no progress bar per batch.
        return images.configured()
    if isinstance(images, SavedImages):
        return images._stored()
    if not hasattr(images, "shape"):
        return np.asarray(images)
    if is_stored_in_chunks(images):
        return StoredImages(images, finite=False)  # the steps decide what they take
    return images
