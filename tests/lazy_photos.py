"""The photos of the fixture `pixels`, not yet decoded, and all that reads them."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sknorm_images import ChannelStandardScaler, LazyImages, make_image_pipeline


def pipeline_of(
    n_jobs: int | None = None, scaler: Any = "standard", **options: Any
) -> Pipeline:
    """A pipeline to the size of `pixels`, which decodes at full size as these were."""
    pipeline = make_image_pipeline((32, 48), scaler, n_jobs=n_jobs, **options)
    return pipeline.set_params(resize__reducing_gap=None)


def lazy(sources: Any, n_jobs: int | None = None, **options: Any) -> LazyImages:
    return pipeline_of(n_jobs, **options)[:-1].transform(sources)


class Watched:
    """A path that calls `watch` with its position whenever it is about to be read."""

    def __init__(self, path: str, position: int, watch: Callable[[int], None]) -> None:
        self.path = path
        self.position = position
        self.watch = watch

    def __fspath__(self) -> str:
        self.watch(self.position)
        return self.path


def watched(paths: list[str], watch: Callable[[int], None]) -> list[Watched]:
    return [Watched(path, i, watch) for i, path in enumerate(paths)]


class OnACrowdedMachine(PurePosixPath):
    """A path that cannot be opened for a reason that is not the file's."""

    def __fspath__(self) -> str:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))


FITTED = ChannelStandardScaler(mean=100, std=50)  # constants: transform needs no fit

READERS: dict[str, Callable[[LazyImages], Any]] = {
    "asarray": np.asarray,
    "transform": FITTED.transform,
    "fit_transform": lambda images: ChannelStandardScaler().fit_transform(images),
    "fit": lambda images: ChannelStandardScaler().fit(images),
    "partial_fit": lambda images: ChannelStandardScaler().partial_fit(images),
}
each_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS.keys())
