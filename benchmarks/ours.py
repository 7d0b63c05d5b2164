"""The project itself, as its README uses it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from benchmarks.contender import Batches, Task, contender, in_memory
from sknorm_images import ChannelStandardScaler, make_image_pipeline


def _pipeline(task: Task, engine: str) -> Any:
    scaler = ChannelStandardScaler(mean=task.mean, std=task.std)
    size = (task.size, task.size)
    return make_image_pipeline(size, scaler, engine=engine, n_jobs=task.n_jobs)


def _configured(backend: str | None) -> AbstractContextManager[Any]:
    return joblib.parallel_config(backend) if backend else nullcontext()


@contender("sknorm_images")
def transform(
    task: Task,
    *,
    engine: str = "pillow",
    calls: int = 1,
    reducing_gap: float | None = 3.0,
    backend: str | None = None,
) -> Batches:
    """Transform all files, in as many calls, with a backend of joblib if asked."""
    pipeline = _pipeline(task, engine).set_params(resize__reducing_gap=reducing_gap)
    size = -(-len(task.files) // calls)

    def part(files: list[str]) -> np.ndarray:
        with _configured(backend):
            return np.asarray(pipeline.transform(files))

    def batches() -> Iterator[np.ndarray]:
        for i in range(0, len(task.files), size):
            yield part(task.files[i : i + size])  # without a name that would keep it

    return batches


@contender("sknorm_images")
def uploads(task: Task, *, engine: str = "pillow") -> Batches:
    """Transform the content of one file after another, as a service does."""
    pipeline = _pipeline(task, engine)
    contents = [Path(path).read_bytes() for path in task.files]
    return lambda: (pipeline.transform([content]) for content in contents)


@contender("sknorm_images")
def fit(task: Task, *, engine: str = "pillow", backend: str | None = None) -> Batches:
    """Learn mean and standard deviation of all files, with a backend of joblib if asked."""
    pipeline = _pipeline(task, engine).set_params(scale__mean=None, scale__std=None)

    def batches() -> tuple[()]:
        with _configured(backend):
            pipeline.fit(task.files)
        return ()

    return batches


@contender("sknorm_images", "keras")
def keras_batches(task: Task, *, engine: str = "pillow") -> Batches:
    """Batches of a PipelineDataset, made ahead."""
    from sknorm_images.keras import PipelineDataset

    dataset = PipelineDataset(
        _pipeline(task, engine), task.files, batch_size=task.batch_size, n_jobs=task.n_jobs
    )

    def batches() -> Iterator[np.ndarray]:
        for i in range(len(dataset)):
            yield dataset[i]
        dataset.on_epoch_end()

    return batches


@contender("sknorm_images")
def scale_array(task: Task) -> Batches:
    """Standardise a uint8 array, in one thread."""
    images = in_memory(task)
    scaler = ChannelStandardScaler(mean=task.mean, std=task.std)
    return lambda: [scaler.transform(images)]


@contender("sknorm_images")
def fit_array(task: Task) -> Batches:
    """Learn from a uint8 array, in one thread."""
    images = in_memory(task)

    def batches() -> tuple[()]:
        ChannelStandardScaler().fit(images)
        return ()

    return batches
