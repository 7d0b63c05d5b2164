"""Shuffling within windows of chunks, so that those of an array on disk are read once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.parameters import check_number
from sknorm_images._common.wording import show_value
from sknorm_images._images.stored import StoredImages
from sknorm_images.keras._columns import Column, NamedColumns
from sknorm_images.keras._targets import Targets


@dataclass(frozen=True)
class Windows:
    """Which samples are near each other on disk, and how much of it makes up a window.

    `parts` has the part of the array that each sample is in, numbered from 0 without gaps, and
    a window is made up of `n_together` parts.
    """

    parts: NDArray[np.int32]
    n_together: int

    def gathered(
        self, samples: NDArray[np.intp], generator: np.random.Generator
    ) -> NDArray[np.intp]:
        """Put samples, which have been shuffled, in the order of windows drawn at random."""
        windows = generator.permutation(int(self.parts.max()) + 1) // self.n_together
        return samples[np.argsort(windows[self.parts[samples]], kind="stable")]


def in_windows(
    n_images: Any, shuffle: bool, n_ahead: int, inputs: Column | NamedColumns, targets: Targets
) -> tuple[Column | NamedColumns, Targets, Windows]:
    """Choose what makes up windows of `n_images`, and have the columns keep them in memory.

    `n_ahead` is how many samples are on their way to the model at most, beyond which nothing
    is needed again. Of arrays that are divided in different ways, the one with the longest
    parts decides. Raises TypeError if `n_images` is not an integer, and ValueError if it is
    too small, the order is not shuffled, or all images are read one by one anyway.
    """
    check_number("shuffle_window", n_images, low=1, integral=True)
    given = f"shuffle_window={show_value(n_images)}"
    if not shuffle:
        raise ValueError(
            f"{given} is how far images are shuffled, and shuffle=False keeps their order. "
            "Pass shuffle=True, or leave shuffle_window out."
        )
    columns = [*_several(inputs), *_several(targets.values)]
    arrays = [images for column in columns if (images := _on_disk(column)) is not None]
    if not arrays:
        raise ValueError(
            f"{given} reads neighbours in an array on disk together, and X is read image "
            "by image. Pass SavedImages, a memmap or an array in chunks, without a Resizer in "
            "front; or leave shuffle_window out: shuffle=True costs no more."
        )
    coarsest = max(arrays, key=lambda images: images.longest_part)
    length = coarsest.longest_part
    n_together = int(n_images) // length
    if n_together < 2:
        raise ValueError(
            f"{given} is less than two chunks of {length} images, so there is next to nothing "
            f"to mix. Pass many chunks, such as {32 * length}."
        )
    parts = np.unique(coarsest.parts, return_inverse=True)[1].astype(np.int32)
    n_chunks = int(parts.max()) + 1
    n_together = min(n_together, n_chunks)
    n_in_window = n_together * len(parts) / n_chunks
    n_parts = n_together * (1 + ceil(n_ahead / n_in_window))

    def kept(column: Any) -> Any:
        if (images := _on_disk(column)) is None:
            return column
        own = images.longest_part
        n_touched = ceil(length / own) + bool(length % own)  # at most, by a part of `coarsest`
        return replace(column, images=images.keeping(n_parts * n_touched))

    targets = replace(targets, values=_each(kept, targets.values))
    return _each(kept, inputs), targets, Windows(parts, n_together)


def _on_disk(column: Any) -> StoredImages | None:
    """Find what a column reads from an array that is not in memory."""
    images = getattr(column, "images", None)
    if isinstance(images, np.memmap):
        return StoredImages(images, finite=False)
    return images if isinstance(images, StoredImages) else None


def _several(columns: Any) -> list[Any]:
    """List columns that are given by name, or one."""
    named = columns.columns if isinstance(columns, NamedColumns) else columns
    return list(named.values()) if isinstance(named, dict) else [named]


def _each(change: Callable[[Any], Any], columns: Any) -> Any:
    """Change each of the columns that are given by name, or one."""
    if isinstance(columns, NamedColumns):
        return NamedColumns(_each(change, columns.columns))
    if isinstance(columns, dict):
        return {name: change(column) for name, column in columns.items()}
    return change(columns)
