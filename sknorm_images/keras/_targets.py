"""What a model is trained to predict: labels as numbers or one-hot, or targets as given."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from numbers import Number
from pathlib import PurePath
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from sknorm_images import LazyImages
from sknorm_images._common.failures import Failures
from sknorm_images._common.parameters import check_choice
from sknorm_images._common.wording import shorten, show_some, show_value
from sknorm_images._images.sources import is_missing
from sknorm_images.keras._columns import Column, are_unread_images, unread_column

_ENCODED = ("int", "categorical", "binary")
LABEL_MODES = ("auto", *_ENCODED, "input", None)


@dataclass(frozen=True)
class Targets:
    """The targets of all samples, as `encode_targets` makes them.

    `values` are the targets, or the numbers of the classes, with one entry per sample; images
    that are read batch by batch are a `Column`. `classes` are the labels in the order of
    their numbers, if they are numbered.
    """

    label_mode: str | None
    values: NDArray[Any] | Column | dict[str, NDArray[Any] | Column] | None = None
    classes: NDArray[Any] | None = None

    @property
    def are_images(self) -> bool:
        """Whether the targets are the images, and blank where those are."""
        return self.label_mode == "input"

    @property
    def are_there(self) -> bool:
        """Whether a batch has targets besides its images."""
        return self.values is not None or self.are_images

    @property
    def may_be_blank(self) -> bool:
        """Whether targets may be images that cannot be read, and are zeros."""
        values = self.values.values() if isinstance(self.values, dict) else [self.values]
        return any(isinstance(part, Column) and part.may_be_blank for part in values)

    def at(self, rows: NDArray[np.intp], x: Any, blank: Any) -> tuple[Any, Any]:
        """Make the targets of the samples at positions `rows`, whose images are `x`.

        `blank` are the images that cannot be read. Also tells which targets are such images,
        under the names of the targets if these have some.
        """
        values = self.values
        if self.are_images:
            return x, blank
        if values is None:
            return None, Failures()
        if isinstance(values, dict):
            taken = {name: _taken(part, rows) for name, part in values.items()}
            targets = {name: part for name, (part, _) in taken.items()}
            return targets, {name: failures for name, (_, failures) in taken.items()}
        y, failures = _taken(values, rows)
        if self.label_mode == "binary":
            y = y[:, np.newaxis].astype(np.float32)
        elif self.label_mode == "categorical" and self.classes is not None:
            y = (y[:, np.newaxis] == np.arange(len(self.classes))).astype(np.float32)
        return y, failures


def _taken(
    values: NDArray[Any] | Column, rows: NDArray[np.intp]
) -> tuple[NDArray[Any], Failures]:
    return values.at(rows) if isinstance(values, Column) else (values[rows], Failures())


def encode_targets(
    y: Any, label_mode: str | None, classes: ArrayLike | None, n_samples: int
) -> Targets:
    """Check the targets of all samples, and number their classes.

    `label_mode` is one of `LABEL_MODES`. `classes` are the labels in the order of their
    numbers; None takes those in `y`, sorted. Raises ValueError if these do not fit together,
    `y` does not have `n_samples` entries, or labels cannot be numbered.
    """
    check_choice("label_mode", label_mode, LABEL_MODES)
    if y is None and label_mode in _ENCODED:
        raise ValueError(
            f"y is None, and label_mode={show_value(label_mode)} numbers labels. Pass y, or "
            "label_mode=None for batches of images alone."
        )
    if y is None:
        return Targets(label_mode)
    if isinstance(y, Mapping):
        targets = _named_targets(y, label_mode, n_samples)
        return Targets(label_mode, targets if label_mode == "auto" else None)
    if are_unread_images(y):
        return _image_targets(y, label_mode, classes, n_samples)
    labels = _as_labels(y)
    _check_length("y", labels, n_samples)
    if label_mode in ("input", None):
        return Targets(label_mode)
    _refuse_missing(labels)
    if classes is None:
        _refuse_file_names(labels, label_mode)
    if label_mode in _ENCODED and classes is None and _is_continuous(labels):
        raise ValueError(
            "y holds numbers such as "
            f"{show_value(labels[labels != np.rint(labels)].flat[0])}, which are not class "
            f"numbers, and label_mode={show_value(label_mode)} numbers classes. Pass "
            "label_mode='auto' for a regression."
        )
    if label_mode == "auto" and not _is_text(labels) and classes is None:
        return Targets(label_mode, labels)
    return _encoded(labels, label_mode, classes)


def class_numbers(y: Any, n_samples: int, purpose: str) -> NDArray[np.intp]:
    """Number the class of every sample, to weigh or to draw the classes evenly.

    The numbers start at 0 and have no gaps. `purpose` is the parameter that needs them, for
    the message. Raises ValueError if `y` is not one class label for each of `n_samples`.
    """
    has_labels = not (y is None or isinstance(y, Mapping) or are_unread_images(y))
    labels = _as_labels(y) if has_labels else None
    if labels is not None:
        _refuse_missing(labels)
    if labels is None or labels.ndim != 1 or _is_continuous(labels):
        raise ValueError(
            f"{purpose} needs to know the class of every sample, and y holds no labels of "
            "classes. Pass one label per sample; label_mode='categorical' makes them one-hot."
        )
    _check_length("y", labels, n_samples)
    return _numbers(labels, _distinct(labels))


def _image_targets(
    y: Any, label_mode: str | None, classes: ArrayLike | None, n_samples: int
) -> Targets:
    """Check images that are targets, such as masks, without reading them."""
    setting = "" if label_mode == "auto" else f"label_mode={show_value(label_mode)}"
    if classes is not None:
        setting = setting or "classes"
    if setting:
        raise ValueError(
            f"y holds images, which are targets as they are, and {setting} is about labels of "
            "classes. Leave it out, or pass y of labels."
        )
    return Targets(label_mode, _unread_images("y", y, n_samples))


def _unread_images(name: str, images: Any, n_samples: int) -> Column:
    """Make a column of images that are targets, as far as can be told without reading them.

    Raises ValueError if they are not `n_samples`, or nothing says that they have one size.
    """
    column = unread_column(images)
    _check_length(name, column, n_samples)
    if isinstance(images, LazyImages) and images.ndim == 1:
        raise ValueError(
            f"{name} holds images whose sizes are unknown until they are read, and the "
            f"targets of a batch are one array. Pass Resizer(size, interpolation='nearest')"
            f".transform({name}), with the size of what the model predicts."
        )
    return column


def _named_targets(
    y: Mapping[str, Any], label_mode: str | None, n_samples: int
) -> dict[str, NDArray[Any] | Column]:
    if label_mode in _ENCODED:
        raise ValueError(
            f"y is a dict, and label_mode={show_value(label_mode)} numbers one label per "
            "sample. Pass arrays of numbers by name, with label_mode='auto'."
        )
    targets = {
        name: _named_target(f"y[{show_value(name)}]", values, n_samples)
        for name, values in y.items()
    }
    if not targets:
        raise ValueError(
            "y is an empty dict, which names no targets. Pass targets by name, or None."
        )
    return targets


def _named_target(name: str, values: Any, n_samples: int) -> NDArray[Any] | Column:
    if are_unread_images(values):
        return _unread_images(name, values, n_samples)
    _refuse_sparse(name, values)
    targets = np.asarray(values)
    _refuse_dates(name, targets)
    if targets.ndim == 0 or _is_text(targets):
        raise ValueError(
            f"{name} is of dtype {targets.dtype} and shape {targets.shape}, and a dict passes "
            "through as it is. Pass numbers, such as those LabelEncoder makes, or LazyImages."
        )
    _check_length(name, targets, n_samples)
    return targets


def _encoded(
    labels: NDArray[Any], label_mode: str | None, classes: ArrayLike | None
) -> Targets:
    """Number one label per sample."""
    if labels.ndim != 1:
        raise ValueError(
            f"y is of shape {labels.shape}, and label_mode={show_value(label_mode)} numbers "
            "one label per sample. Pass y of one dimension, or numbers with label_mode='auto'."
        )
    known = _distinct(labels) if classes is None else np.asarray(classes)
    if known.ndim != 1 or not len(known) or len(np.unique(known)) < len(known):
        raise ValueError(
            f"classes=[{show_some(known.tolist())}] is empty or repeats a label. Pass each "
            "label once."
        )
    if label_mode == "binary" and len(known) != 2:
        raise ValueError(
            f"y has {len(known)} classes, {show_some(known.tolist())}, and "
            "label_mode='binary' takes two. Pass label_mode='categorical', or both labels in "
            "classes if y lacks one."
        )
    return Targets(label_mode, _numbers(labels, known), known)


def _as_labels(y: Any) -> NDArray[Any]:
    _refuse_sparse("y", y)
    labels = np.asarray(y)
    _refuse_dates("y", labels)
    if (
        labels.dtype.kind == "U"
        and isinstance(y, list | tuple)
        and not all(isinstance(label, str) for label in y)
    ):
        raise ValueError(
            "y holds text among other things, and NumPy would make text of all. Pass labels "
            "of one kind."
        )
    if labels.ndim == 0:
        if not isinstance(labels.item(), str | bytes | int | float | complex | None):
            raise TypeError(
                f"y={show_value(y)} is not a sequence, so it has no order to match X. Pass a "
                "list or an array of one target per sample."
            )
        raise ValueError(
            f"y={show_value(y)} is one label, and each sample has its own. Pass them all."
        )
    if labels.dtype == object and all(isinstance(label, Number) for label in labels.flat):
        return np.array(labels.tolist())  # a column of a mixed table
    return labels


def _refuse_sparse(name: str, y: Any) -> None:
    if hasattr(y, "toarray"):
        raise ValueError(
            f"{name} is a {type(y).__name__}, which is sparse, and batches hold dense arrays. "
            f"Pass {name}.toarray()."
        )


def _refuse_dates(name: str, values: NDArray[Any]) -> None:
    if values.dtype.kind in "mM":
        raise ValueError(
            f"{name} is of dtype {values.dtype}, and a model learns numbers. Pass some, such "
            "as the days since the first date."
        )


def _refuse_missing(labels: NDArray[Any]) -> None:
    """Raise ValueError if samples have no target: None, NA, or NaN throughout."""
    if labels.dtype == object:
        missing = np.array([is_missing(label) for label in labels.flat]).reshape(labels.shape)
    elif labels.dtype.kind == "f":
        missing = np.isnan(labels)
    else:
        return
    if not missing.size:
        return
    # Some of several targets may be missing, for a loss of one's own.
    rows = np.flatnonzero(missing.reshape(len(labels), -1).all(axis=1))
    if len(rows):
        raise ValueError(
            f"{len(rows)} of the {len(labels)} rows of y hold no target, the first of them "
            f"{show_value(labels[rows[0]])} in row {rows[0]}, so their loss is not a number. "
            "Drop these rows of X and y."
        )


def _refuse_file_names(labels: NDArray[Any], label_mode: str | None) -> None:
    """Raise ValueError if all labels are names of image files, such as masks."""
    if not _is_text(labels) or not labels.size:
        return
    formats = Image.registered_extensions()
    paths = [os.fspath(y) for y in labels.flat if isinstance(y, str | os.PathLike)]
    if len(paths) == labels.size and all(
        str(p).lower().endswith(tuple(formats)) for p in paths
    ):
        suffix = PurePath(str(paths[0])).suffix.lower()
        raise ValueError(
            f"y holds names of image files, such as {show_value(str(paths[0]))}, and "
            f"label_mode={show_value(label_mode)} would number them as classes. For masks, "
            "pass what JpegLoader(color_mode='stored', formats=("
            f"{show_value(formats.get(suffix, 'PNG'))},)) and Resizer(size, "
            "interpolation='nearest') make of them: each batch is then decoded when it is "
            "needed."
        )


def _check_length(name: str, values: NDArray[Any] | Column, n_samples: int) -> None:
    if len(values) != n_samples:
        raise ValueError(
            f"X has {n_samples} samples and {name} has {len(values)}, so their rows do not "
            "match. Pass one target per sample."
        )


def _is_text(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind in "OUST"


def _is_continuous(labels: NDArray[Any]) -> bool:
    return labels.dtype.kind not in "OUSTbiu" and bool((labels != np.rint(labels)).any())


def _numbers(labels: NDArray[Any], known: NDArray[Any]) -> NDArray[np.intp]:
    """Number labels by their place among the known ones."""
    order = np.argsort(known)
    places = np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)
    numbers: NDArray[np.intp] = order[places]
    if (unknown := known[numbers] != labels).any():
        raise ValueError(
            f"y holds {show_value(labels[unknown].tolist()[0])}, which is not among the "
            f"classes {show_some(known.tolist())}. Pass all labels in classes."
        )
    return numbers


def _distinct(labels: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.unique(labels)
    except TypeError as error:
        raise ValueError(
            f"y holds labels that have no order ({shorten(error)}), such as text among "
            "numbers, or None. Pass labels of one kind."
        ) from error
