"""The statistics of all of X: arrays slice by slice, images as they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.failures import Failures
from sknorm_images._common.parallel import map_rows
from sknorm_images._common.sample_weights import Weights, rows_of
from sknorm_images._images.bulk_reading import read_stacks
from sknorm_images._images.decoding import Picture
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.recipes import Recipe
from sknorm_images._images.stacks import Stack
from sknorm_images._images.stored import Array, failures_of
from sknorm_images._scaling.statistics import (
    Statistics,
    of_present,
    plus,
)


class Counted(NamedTuple):
    """What was found in X."""

    statistics: Statistics | None  # None where no image has a weight and can be read
    failures: Failures
    pixels: NDArray[Any] | None  # X, if it is an array; what was read, if that was kept


def count(
    kind: type[Statistics],
    X: LazyImages | Array,
    weights: Weights,
    advance: Callable[[int], None],
    *,
    keep_pixels: bool = False,
) -> Counted:
    """Summarise all images by statistics of one kind.

    What is read of LazyImages is kept if `keep_pixels` asks for it. An image of weight 0
    counts as absent; with `weights` of None, each weighs one. `advance(n)` is called when n
    more images are done.
    """
    if not isinstance(X, LazyImages):
        total, failures = None, failures_of(X)

        def count_rows(rows: slice) -> Statistics | None:
            return of_present(kind, X[rows], rows_of(weights, rows), failures.at(rows))

        for rows, part in map_rows(X, count_rows):
            total = plus(total, part)
            advance(rows.stop - rows.start)
        return Counted(total, failures, X if isinstance(X, np.ndarray) else None)
    # Both can be pickled, for workers in other processes.
    columns = () if weights is None else (weights,)
    if not keep_pixels:
        task = partial(_count_each, kind)
        total, failures = X._reduce(task, *columns, description="fit", advance=advance)
        return Counted(total, failures, None)
    pixels, total, failures = X._read_array(
        X.dtype, summarise=partial(_count_read, kind), columns=columns, advance=advance
    )
    return Counted(total, failures, pixels)


def _count_read(
    kind: type[Statistics], pixels: NDArray[Any], failures: Failures, weights: Weights = None
) -> Statistics | None:
    return of_present(kind, pixels, weights, failures)


def _count_each(
    kind: type[Statistics],
    recipe: Recipe,
    sources: Sequence[Any],
    rows: slice,
    weights: Weights = None,
) -> tuple[Failures, Statistics | None]:
    """Count images as they are decoded, with no more than a stack of them in memory."""
    total: Statistics | None = None

    def add(i: int, images: Picture | Stack) -> None:
        nonlocal total
        if isinstance(images, Stack):
            of_stack = rows_of(weights, slice(i, i + images.n_images))
            for part in kind._of_stack(images, of_stack):
                total = plus(total, part)
            return
        weight = None if weights is None else weights[i]
        if weight != 0:
            total = plus(total, kind._of_picture(images, weight))

    failures = read_stacks(recipe, sources, add)
    return failures, total
