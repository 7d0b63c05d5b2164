"""One pass over the files of a folder: what is in them, and what a pipeline sees of them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from sklearn.utils import Bunch

from sknorm_images import ChannelHistogram, ImageTransparencyWarning, JpegLoader, LazyImages
from sknorm_images._images.checking import as_objects, check_and_see
from sknorm_images._images.decoding import DecodedImage
from sknorm_images._images.recipes import Recipe, as_pixels


class Survey(NamedTuple):
    """What is known about the files of a folder."""

    found: Bunch  # of check_images(details=True)
    histogram: ChannelHistogram  # of all readable images, as the pipeline reads them


def survey(
    images: LazyImages,
    classes: Sequence[str | None],
    loader: JpegLoader,
    *,
    splits: Sequence[str | None] = (),
    n_jobs: int,
    verbose: bool,
) -> Survey:
    """Check files with all details, and count the grey levels of the images made of them.

    Each file is read once. It is decoded once, too, unless the images are made of a smaller
    scale. Raises ValueError if none can be read.
    """
    files = images.filenames
    found, seen = check_and_see(
        files,
        as_objects(classes),
        loader,
        _Counting(images._recipe),
        split=as_objects(splits) if any(splits) else None,
        details=True,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    if seen is None:
        raise ValueError(
            f"none of the {len(files)} files can be read, so there is nothing to report. "
            f"Check the folder; the first one fails with: {found.reason[0]}"
        )
    if seen.n_see_through:
        first = files.index(seen.first_see_through)
        warnings.warn(
            ImageTransparencyWarning(files[first], first, seen.n_see_through), stacklevel=2
        )
    return Survey(found, seen.histogram)


@dataclass(frozen=True)
class _Seen:
    """What adds up over images."""

    histogram: ChannelHistogram
    n_see_through: int
    first_see_through: str

    def __add__(self, other: _Seen) -> _Seen:
        return _Seen(
            self.histogram + other.histogram,
            self.n_see_through + other.n_see_through,
            self.first_see_through or other.first_see_through,
        )


@dataclass(frozen=True)
class _Counting:
    """Makes the image of a file as a pipeline does, and counts its grey levels."""

    recipe: Recipe

    def __call__(self, name: str, content: bytes, decoded: DecodedImage) -> _Seen:
        picture: Any
        picture, lost_transparency = self.recipe.make(content, decoded)
        histogram = ChannelHistogram.of(as_pixels(picture)[np.newaxis])
        return _Seen(histogram, int(lost_transparency), name if lost_transparency else "")
