"""Which of many images are drawn, and the label of each."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import check_random_state

from sknorm_images import LazyImages
from sknorm_images._common.parameters import check_number
from sknorm_images._common.wording import show_some, show_value
from sknorm_images._images.sources import is_missing


class Sample(NamedTuple):
    """Some images of X."""

    images: Any  # in a container of X's kind, or a list
    rows: Sequence[int] | None  # their positions in X; None if they are the first ones
    labels: Sequence[str] | None

    def captions(self, images: Any, n_images: int, failures: Collection[int]) -> list[str]:
        """Write the label of each image, and its name or its position in X.

        `images` are those that were made of the sample, and `failures` the positions among
        them of those that cannot be read.
        """
        names = images.filenames if isinstance(images, LazyImages) else [""] * n_images
        rows = range(n_images) if self.rows is None else self.rows
        # LazyImages describe bytes and arrays, as in <24 bytes>.
        captions = [
            f"image {row}" if not name or name.startswith("<") else Path(name).name
            for name, row in zip(names, rows, strict=False)
        ]
        if self.labels is not None:
            captions = [
                f"{label}\n{name}" for label, name in zip(self.labels, captions, strict=False)
            ]
        for i in failures:
            captions[i] += "\ncannot be read"
        return captions


def sample(
    X: Any,
    n_images: int,
    y: ArrayLike | None = None,
    class_names: Sequence[str] | None = None,
    random_state: Any = None,
) -> Sample:
    """Choose images of X: the first ones, or some at random; with `y`, from every class.

    Raises TypeError or ValueError if a parameter cannot be used. What has no rows is left
    as it is, for the next step to refuse.
    """
    check_number("n_images", n_images, low=1, integral=True)
    if class_names is not None and y is None:
        raise ValueError("class_names names the classes of y, and there is none. Pass y.")
    has_rows = hasattr(X, "__getitem__") and not isinstance(X, Mapping)
    if not has_rows or isinstance(X, str) or (y is None and random_state is None):
        first = getattr(X, "iloc", X)
        return Sample(first[:n_images] if has_rows else X, None, None)
    order: NDArray[Any] = np.arange(len(X))
    if random_state is not None:
        order = _random(random_state).permutation(order)
    if y is None:
        rows = order[:n_images].tolist()
        return Sample(_taken(X, rows), rows, None)
    labels = labels_of(y, len(X))
    rows = _in_turn(labels, order, n_images)
    texts = _as_text([labels[row] for row in rows], class_names)
    return Sample(_taken(X, rows), rows, texts)


def sample_of_batch(
    batch: Any,
    n_images: int,
    class_names: Sequence[str] | None = None,
    random_state: Any = None,
) -> Sample:
    """Choose images of a batch as a Keras dataset gives it: (x, y) or (x, y, weights).

    They stay in their order. Targets that are not classes, such as masks, are not shown.
    """
    x, y, *_ = batch
    if isinstance(x, Mapping):
        name = next(iter(x), "name")
        raise TypeError(
            f"The batch has several inputs, {show_some(list(x))}, and a grid shows one. Pass "
            f"its images: from_images(batch[0][{show_value(name)}], scaler)."
        )
    chosen = sample(x, n_images, random_state=random_state)
    rows = range(len(chosen.images)) if chosen.rows is None else chosen.rows
    if isinstance(y, Mapping) or np.ndim(y) > 2:
        return chosen
    try:
        labels = labels_of(y, len(x))
    except ValueError:
        return chosen
    return chosen._replace(labels=_as_text([labels[row] for row in rows], class_names))


def labels_of(y: ArrayLike, n_images: int) -> list[Any]:
    """Read labels of classes: one per image, in one column or one-hot.

    Raises ValueError if they are something else.
    """
    labels = np.asarray(y, dtype=object)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.ndim == 2 and _is_one_hot(labels):
        labels = labels.argmax(axis=1)
    if labels.shape != (n_images,):
        raise ValueError(
            f"y is of shape {labels.shape}, and there are {n_images} images. Pass the label "
            "of each, in one dimension."
        )
    missing = [i for i, label in enumerate(labels) if is_missing(label)]
    if missing:
        raise ValueError(
            f"y holds no label for image {missing[0]}"
            f"{f' and {len(missing) - 1:,} more' if len(missing) > 1 else ''}. Leave these "
            "images out, or give them a label."
        )
    return [label.item() if isinstance(label, np.generic) else label for label in labels.flat]


def _random(random_state: Any) -> np.random.RandomState:
    try:
        generator: np.random.RandomState = check_random_state(random_state)
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"random_state={show_value(random_state)} is not a seed. Pass an integer, a "
            "numpy.random.RandomState, or None for the first images."
        ) from error
    return generator


def _is_one_hot(labels: NDArray[Any]) -> bool:
    try:
        numbers = labels.astype(float)
    except (TypeError, ValueError):
        return False
    is_hot = numbers == 1
    return bool(((numbers == 0) | is_hot).all() and (is_hot.sum(axis=1) == 1).all())


def _in_turn(labels: list[Any], order: NDArray[Any], n_images: int) -> list[int]:
    """Take images from each class in turn, then put those of a class together."""
    try:
        numbers = {label: number for number, label in enumerate(sorted(set(labels)))}
    except TypeError as error:
        raise ValueError(
            f"y holds labels that cannot be compared ({error}). Pass numbers, or names as "
            "strings."
        ) from error
    class_of = np.array([numbers[labels[i]] for i in order], np.int64)
    by_class = np.argsort(class_of, kind="stable")
    starts = np.searchsorted(class_of[by_class], np.arange(len(numbers)))
    turn = np.empty_like(class_of)
    turn[by_class] = np.arange(len(order)) - starts[class_of[by_class]]
    chosen = np.lexsort((class_of, turn))[:n_images]
    chosen = chosen[np.argsort(class_of[chosen], kind="stable")]
    rows: list[int] = order[chosen].tolist()
    return rows


def _as_text(labels: Sequence[Any], class_names: Sequence[str] | None) -> list[str]:
    numbers = [
        int(label) if isinstance(label, float) and label.is_integer() else label
        for label in labels
    ]
    if class_names is None:
        return [str(label) for label in numbers]
    names = list(class_names)
    for label in numbers:
        if not isinstance(label, int) or not 0 <= label < len(names):
            raise ValueError(
                f"y holds {show_value(label)}, and class_names names the classes 0 to "
                f"{len(names) - 1}. Pass the name of every class, in the order of their "
                "numbers; for labels that are names, leave class_names out."
            )
    return [str(names[label]) for label in numbers]


def _taken(X: Any, rows: list[int]) -> Any:
    """Take rows of any container that has rows."""
    if hasattr(X, "iloc"):
        return X.iloc[rows]
    if isinstance(X, list | tuple) or hasattr(X, "chunks"):  # these take one at a time
        return [X[row] for row in rows]
    return X[rows]
