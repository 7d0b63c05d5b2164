"""How close training comes to the speed at which photos can be decoded.

One epoch of a tiny model is timed against ``pipeline.transform`` of the same files, in turn,
in one process, so that the ratio holds on any machine. Run it once a backend:

    KERAS_BACKEND=jax python -m benchmarks.keras_training
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np

from benchmarks.corpora import photos
from benchmarks.in_turn import ratio, seconds_in_turn
from sknorm_images import make_image_pipeline
from sknorm_images.keras import PipelineDataset, normalization_layer


class ReadyMade(keras.utils.PyDataset):
    """One batch over and over: what Keras' own adapter and the model cost."""

    def __init__(self, batch: tuple[np.ndarray, np.ndarray], n_batches: int) -> None:
        super().__init__()
        self.batch = batch
        self.n_batches = n_batches

    def __len__(self) -> int:
        return self.n_batches

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        x, y = self.batch
        return x.copy(), y  # as fresh in memory as those that were decoded


def tiny_model(size: int, *first_layers: keras.Layer) -> keras.Model:
    """A model that takes next to no time, compiled."""
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(1)]
    model = keras.Sequential([keras.Input((size, size, 3)), *first_layers, *layers])
    model.compile("sgd", "mse")
    return model


def measure(
    folder: Path,
    *,
    n_files: int,
    size: int,
    batch_size: int,
    part: int,
    repeats: int,
    n_jobs: int,
) -> None:
    """Print the rates, and their ratios within this run."""
    files = photos(folder, n_files)
    pipeline = make_image_pipeline((size, size), n_jobs=n_jobs).fit(files)
    y = np.linspace(0, 1, len(files), dtype=np.float32)
    floats = tiny_model(size)
    raw = tiny_model(size, normalization_layer(pipeline[-1]))

    def transform() -> None:
        for i in range(0, len(files), part):
            pipeline.transform(files[i : i + part])

    def train(model: keras.Model, steps: Any, shuffle: bool) -> Callable[[], object]:
        dataset = PipelineDataset(
            steps, files, y, batch_size=batch_size, shuffle=True, seed=0, n_jobs=n_jobs
        )
        model.fit(dataset, shuffle=False, verbose=0)  # compiled, and warm
        return lambda: model.fit(dataset, shuffle=shuffle, verbose=0)

    def train_ready_made(model: keras.Model, steps: Any) -> Callable[[], object]:
        x = np.asarray(steps.transform(files[:batch_size]))
        dataset = ReadyMade((x, y[:batch_size]), ceil(len(files) / batch_size))
        model.fit(dataset, shuffle=False, verbose=0)
        return lambda: model.fit(dataset, shuffle=False, verbose=0)

    runs = {
        f"pipeline.transform, {part} at a time": transform,
        "fit, float32 batches": train(floats, pipeline, False),
        "fit, float32, Keras shuffles": train(floats, pipeline, True),
        "fit, uint8 and normalization_layer": train(raw, pipeline[:-1], False),
        "Keras alone, float32": train_ready_made(floats, pipeline),
        "Keras alone, uint8 and the layer": train_ready_made(raw, pipeline[:-1]),
    }
    times = seconds_in_turn(runs, repeats)
    limit = next(iter(times.values()))
    print(
        f"{keras.backend.backend()}, {len(files)} files, {size} x {size}, batches of "
        f"{batch_size}, n_jobs={n_jobs}"
    )
    for name, taken in times.items():
        rate = len(files) / median(taken)
        print(f"{name:36} {rate:7.0f} images/s   ratio {ratio(limit, taken)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", dest="n_files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--part", type=int, default=250, help="files in a call of transform")
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=12)
    with TemporaryDirectory() as temporary:
        measure(Path(temporary), **vars(parser.parse_args()))
