"""How much faster training reads saved images than it decodes files.

One epoch from files, from what `save_images` made of them, from the same array in memory, and
from a batch that is there already, in turn, in one process, so that the ratio holds on any
machine. The model looks at the middle of each image alone, so that what is timed is how fast
it is fed: every pixel still goes to the backend. Run it once a backend:

    KERAS_BACKEND=jax python -m benchmarks.saved_images
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from math import ceil
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from sklearn.preprocessing import FunctionTransformer

from benchmarks.corpora import photos
from benchmarks.in_turn import ratio, seconds_in_turn
from benchmarks.keras_training import ReadyMade, tiny_model
from sknorm_images import make_image_pipeline, save_images
from sknorm_images.keras import PipelineDataset, normalization_layer


def measure(
    folder: Path, *, n_files: int, size: int, batch_size: int, repeats: int, n_jobs: int
) -> None:
    """Print the rates, and their ratios to that from files within this run."""
    files = photos(folder / "photos", n_files)
    pipeline = make_image_pipeline((size, size), n_jobs=n_jobs).fit(files)
    scaler, images = pipeline[-1], pipeline[:-1].transform(files)
    y = np.linspace(0, 1, n_files, dtype=np.float32)
    for name in ("photos.npy", "batches.zarr", "images.zarr"):
        path = folder / name
        start = time.perf_counter()
        save_images(images, path, chunk_size=1 if name == "images.zarr" else batch_size)
        taken = time.perf_counter() - start
        n_bytes = sum(part.stat().st_size for part in [path, *path.rglob("*")])
        print(f"{name:14} {n_files / taken:6.0f} images/s to save, {n_bytes / 1e6:.0f} MB")
    npy = np.load(folder / "photos.npy", mmap_mode="r")
    import zarr

    in_batches, one_by_one = (
        zarr.open_array(str(folder / name), mode="r")
        for name in ("batches.zarr", "images.zarr")
    )

    def fit(dataset: keras.utils.PyDataset, *layers: keras.Layer) -> Callable[[], object]:
        # Where few pixels go into the model, its time does not depend on the size.
        middle = keras.layers.Cropping2D((size - 8) // 2)
        model = tiny_model(size, *layers, middle)
        model.fit(dataset, shuffle=False, verbose=0)  # compiled, and warm
        return lambda: model.fit(dataset, shuffle=False, verbose=0)

    def batches(steps: Any, x: Any, shuffle: bool = True) -> PipelineDataset:
        return PipelineDataset(
            steps, x, y, batch_size=batch_size, shuffle=shuffle, seed=0, n_jobs=n_jobs
        )

    as_it_is, layer = FunctionTransformer(), normalization_layer(scaler)
    pixels, n_batches = np.array(npy), ceil(n_files / batch_size)
    some = pixels[:batch_size], y[:batch_size]
    scaled = scaler.transform(some[0]), some[1]
    runs: dict[str, Callable[[], object]] = {
        "uint8 and the layer: files": fit(batches(pipeline[:-1], files), layer),
        "uint8 and the layer: .npy": fit(batches(as_it_is, npy), layer),
        "uint8 and the layer: in memory": fit(batches(as_it_is, pixels), layer),
        "uint8 and the layer: .zarr, in order": fit(
            batches(as_it_is, in_batches, shuffle=False), layer
        ),
        "uint8 and the layer: .zarr, shuffled, an image a chunk": fit(
            batches(as_it_is, one_by_one), layer
        ),
        "uint8 and the layer: .zarr, shuffled, a batch a chunk": fit(
            batches(as_it_is, in_batches), layer
        ),
        "uint8 and the layer: Keras alone": fit(ReadyMade(some, n_batches), layer),
        "float32: files": fit(batches(pipeline, files)),
        "float32: .npy": fit(batches(scaler, npy)),
        "float32: in memory": fit(batches(scaler, pixels)),
        "float32: Keras alone": fit(ReadyMade(scaled, n_batches)),
    }
    times = seconds_in_turn(runs, repeats)
    print(
        f"\n{keras.backend.backend()}, {n_files} files, {size} x {size}, batches of "
        f"{batch_size}, n_jobs={n_jobs}"
    )
    for name, taken in times.items():
        files_alike = times[f"{name.partition(':')[0]}: files"]
        rate = n_files / median(taken)
        print(f"{name:54} {rate:7.0f} images/s   ratio {ratio(files_alike, taken)}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", dest="n_files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=8)
    with TemporaryDirectory() as temporary:
        measure(Path(temporary), **vars(parser.parse_args()))
