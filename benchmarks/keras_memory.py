"""Whether training leaks: memory over many epochs, and what dropped datasets leave behind.

First, `fit` takes many epochs, with shuffling, augmentation, and broken files that are left
blank; the memory of the process is read after each epoch. Then many datasets are made, each
used for one epoch and dropped; threads, open files and memory are counted before and after.
Linux only, since it reads /proc. Run it once per backend:

    KERAS_BACKEND=jax python -m benchmarks.keras_memory
"""

from __future__ import annotations

import argparse
import gc
import os
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras
import numpy as np

from benchmarks.corpora import photos
from benchmarks.keras_training import tiny_model
from sknorm_images import ImageDecodeWarning, make_image_pipeline
from sknorm_images.keras import PipelineDataset, normalization_layer

N_BROKEN = 5
_WARM_UP = 3  # epochs, and datasets, after which all that is loaded once is there


class Held(NamedTuple):
    """What this process holds."""

    mib: float  # resident memory
    threads: int
    files: int  # open ones

    @classmethod
    def now(cls) -> Held:
        """Count it, without what only waits to be collected."""
        gc.collect()
        pages = int(Path("/proc/self/statm").read_text().split()[1])
        n_threads, n_files = (
            len(list(Path("/proc/self", kind).iterdir())) for kind in ("task", "fd")
        )
        return cls(pages * os.sysconf("SC_PAGE_SIZE") / 2**20, n_threads, n_files)

    def __str__(self) -> str:
        return f"{self.mib:.0f} MiB, {self.threads} threads, {self.files} open files"


class AfterEachEpoch(keras.callbacks.Callback):
    """Notes what the process holds after each epoch."""

    def __init__(self) -> None:
        super().__init__()
        self.held: list[Held] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Note it once more."""
        self.held.append(Held.now())


def flipped(x: Any, y: Any, generator: np.random.Generator) -> Any:
    """Flip half of the images, in NumPy."""
    x = x.copy()
    turned = generator.random(len(x)) < 0.5
    x[turned] = x[turned, :, ::-1]
    return x, y


def turned(x: Any, y: Any, generator: np.random.Generator) -> Any:
    """Flip and turn images with layers of Keras, made for each batch as the pages say."""
    seeds = generator.integers(2**31, size=2).tolist()
    x = keras.layers.RandomFlip("horizontal", seed=seeds[0])(x, training=True)
    return keras.layers.RandomRotation(0.05, seed=seeds[1])(x, training=True), y


AUGMENTATIONS: dict[str, Callable[..., Any]] = {"numpy": flipped, "keras": turned}


def measure(
    folder: Path,
    *,
    n_files: int,
    size: int,
    batch_size: int,
    n_epochs: int,
    n_datasets: int,
    n_jobs: int,
    augmentation: str,
) -> tuple[list[Held], list[Held]]:
    """Return what is held after each epoch, and before and after all datasets."""
    files = photos(folder, n_files)
    for i in range(N_BROKEN):
        path = folder / f"broken_{i}.jpg"
        path.write_bytes(b"not a photo")
        files.insert(i * n_files // N_BROKEN, str(path))
    warnings.simplefilter("ignore", ImageDecodeWarning)
    pipeline = make_image_pipeline((size, size), on_error="blank").fit(files)
    model = tiny_model(size, normalization_layer(pipeline[-1]))
    y = np.linspace(0, 1, len(files), dtype=np.float32)

    def new_dataset(seed: int) -> PipelineDataset:
        return PipelineDataset(
            pipeline[:-1],
            files,
            y,
            batch_size=batch_size,
            shuffle=True,
            seed=seed,
            augment=AUGMENTATIONS[augmentation],
            n_jobs=n_jobs,
        )

    note = AfterEachEpoch()
    dataset = new_dataset(0)
    model.fit(dataset, epochs=n_epochs, shuffle=False, callbacks=[note], verbose=0)
    del dataset

    def use_and_drop(n: int) -> Held:
        for seed in range(n):
            model.fit(new_dataset(seed), shuffle=False, verbose=0)
        return Held.now()

    return note.held, [use_and_drop(_WARM_UP), use_and_drop(n_datasets)]


def spread(held: list[Held]) -> float:
    """Tell by how many MiB memory differs after the epochs that are not the first two."""
    later = [each.mib for each in held[_WARM_UP - 1 :]]
    return max(later) - min(later)


def main(arguments: list[str] | None = None) -> None:
    """Measure, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", dest="n_files", type=int, default=200)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--epochs", dest="n_epochs", type=int, default=30)
    parser.add_argument("--datasets", dest="n_datasets", type=int, default=100)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument(
        "--augment", dest="augmentation", choices=AUGMENTATIONS, default="numpy"
    )
    options = vars(parser.parse_args(arguments))
    with TemporaryDirectory() as temporary:
        epochs, (before, after) = measure(Path(temporary), **options)
    print(
        f"{keras.backend.backend()}, {options['n_files']} files and {N_BROKEN} broken ones, "
        f"{options['size']} x {options['size']}, batches of {options['batch_size']}, "
        f"n_jobs={options['n_jobs']}, augmented with {options['augmentation']}"
    )
    print("MiB after each epoch:", *(f"{held.mib:.0f}" for held in epochs))
    print(f"largest less smallest from the third on: {spread(epochs):.1f} MiB")
    print(f"after {_WARM_UP} more datasets: {before}")
    print(f"after {options['n_datasets']} more: {after}")


if __name__ == "__main__":
    main()
