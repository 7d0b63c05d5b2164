"""How much faster training reads saved images than it decodes files.

One epoch of a tiny model from files, from what `save_images` made of them, and from the same
array in memory, in turn, in one process, so that the ratio holds on any machine. Run it once
a backend:

    KERAS_BACKEND=jax python -m benchmarks.saved_images
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from sklearn.preprocessing import FunctionTransformer

from benchmarks.corpora import photos
from benchmarks.keras_training import seconds, tiny_model
from sknorm_images import make_image_pipeline, save_images
from sknorm_images.keras import PipelineDataset, normalization_layer


def measure(
    folder: Path, n_files: int, size: int, batch_size: int, repeats: int, n_jobs: int
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

    def train(steps: Any, x: Any, *layers: keras.Layer, shuffle: bool = True) -> Any:
        model = tiny_model(size, *layers)
        dataset = PipelineDataset(
            steps, x, y, batch_size=batch_size, shuffle=shuffle, seed=0, n_jobs=n_jobs
        )

        def epoch() -> None:
            model.fit(dataset, shuffle=False, verbose=0)

        epoch()  # compiled, and warm
        return epoch

    as_it_is, layer = FunctionTransformer(), normalization_layer(scaler)
    runs: dict[str, Callable[[], object]] = {
        "files, float32": train(pipeline, files),
        ".npy, float32": train(scaler, npy),
        "in memory, float32": train(scaler, np.array(npy)),
        ".zarr, a batch a chunk, in order": train(scaler, in_batches, shuffle=False),
        ".zarr, a batch a chunk, shuffled": train(scaler, in_batches),
        ".zarr, an image a chunk, shuffled": train(scaler, one_by_one),
        "files, uint8 and the layer": train(pipeline[:-1], files, layer),
        ".npy, uint8 and the layer": train(as_it_is, npy, layer),
    }
    times: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(repeats):  # each time, another one comes first
        first = repeat % len(runs)
        for name in [*runs, *runs][first : first + len(runs)]:
            times[name].append(seconds(runs[name]))
    print(
        f"\n{keras.backend.backend()}, {n_files} files, {size} x {size}, batches of "
        f"{batch_size}, n_jobs={n_jobs}"
    )
    for name, taken in times.items():
        from_files = times["files" + name[name.index(",") :]] if "uint8" in name else None
        reference = from_files or times["files, float32"]
        ratios = [theirs / ours for theirs, ours in zip(reference, taken, strict=True)]
        spread = f"{min(ratios):.1f}-{max(ratios):.1f}"
        rate = n_files / median(taken)
        print(f"{name:34} {rate:7.0f} images/s   ratio {median(ratios):.1f} ({spread})")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=8)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        measure(
            Path(temporary),
            options.files,
            options.size,
            options.batch_size,
            options.repeats,
            options.n_jobs,
        )
