"""Whether training leaks: memory over many epochs, and what dropped datasets leave behind.

First, `fit` takes many epochs, with shuffling, augmentation, and broken files that are left
blank; the memory of the process is read after each epoch. Then many datasets are made, each
used for one epoch and dropped; threads, open files and memory are counted before and after.
The control does the same with batches that a plain PyDataset decodes with Pillow, without this
package: what grows there is the growth of Keras and its backend. Both take turns, each in a
process of its own. Linux only, since it reads /proc. Run it once per backend:

    KERAS_BACKEND=jax python -m benchmarks.keras_memory
"""

from __future__ import annotations

import argparse
import gc
import os
import threading
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

import keras
import numpy as np
from PIL import Image

from benchmarks.corpora import photos
from benchmarks.keras_training import tiny_model
from benchmarks.new_process import in_new_process
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


def await_end_of_threads() -> None:
    """Wait until idle threads have ended, as they do after a while."""
    gc.collect()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and any(
        thread.name.startswith("sknorm_images") for thread in threading.enumerate()
    ):
        time.sleep(0.1)


class Control(keras.utils.PyDataset):
    """Batches of the same sizes, decoded and shuffled without this package."""

    def __init__(
        self, files: list[str], y: Any, size: int, batch_size: int, augment: Any, seed: int
    ) -> None:
        super().__init__()
        self.files, self.y, self.size = files, y, size
        self.n_in_batch, self.augment = batch_size, augment
        self.generator = np.random.default_rng(seed)
        self.order = np.arange(len(files))

    def __len__(self) -> int:
        return -(-len(self.files) // self.n_in_batch)

    def __getitem__(self, i: int) -> Any:
        rows = self.order[i * self.n_in_batch : (i + 1) * self.n_in_batch]
        images = np.stack([self.image(self.files[row]) for row in rows])
        weights = images.any(axis=(1, 2, 3)).astype(np.float32)
        return *self.augment(images, self.y[rows], self.generator), weights

    def on_epoch_end(self) -> None:
        """Take another order."""
        self.order = self.generator.permutation(len(self.files))

    def image(self, file: str) -> Any:
        """Decode one file; zeros if it is broken."""
        try:
            with Image.open(file) as photo:
                photo.draft("RGB", (self.size, self.size))
                return np.asarray(photo.resize((self.size, self.size)))
        except OSError:
            return np.zeros((self.size, self.size, 3), np.uint8)


def measure(
    feed: str,
    n_files: int,
    size: int,
    batch_size: int,
    n_epochs: int,
    n_datasets: int,
    n_jobs: int,
    augmentation: str,
) -> dict[str, list[Held]]:
    """Return what is held after each epoch, and before and after all datasets.

    `feed` is "ours" or "control".
    """
    with TemporaryDirectory() as temporary:
        folder = Path(temporary)
        files = photos(folder, n_files)
        for i in range(N_BROKEN):
            path = folder / f"broken_{i}.jpg"
            path.write_bytes(b"not a photo")
            files.insert(i * n_files // N_BROKEN, str(path))
        warnings.simplefilter("ignore", ImageDecodeWarning)
        pipeline = make_image_pipeline((size, size), on_error="blank").fit(files)
        model = tiny_model(size, normalization_layer(pipeline[-1]))
        y = np.linspace(0, 1, len(files), dtype=np.float32)
        augment = AUGMENTATIONS[augmentation]

        def new_dataset(seed: int) -> keras.utils.PyDataset:
            if feed == "control":
                return Control(files, y, size, batch_size, augment, seed)
            return PipelineDataset(
                pipeline[:-1],
                files,
                y,
                batch_size=batch_size,
                shuffle=True,
                seed=seed,
                augment=augment,
                n_jobs=n_jobs,
            )

        note = AfterEachEpoch()
        dataset = new_dataset(0)
        model.fit(dataset, epochs=n_epochs, shuffle=False, callbacks=[note], verbose=0)
        del dataset

        def use_and_drop(n: int) -> Held:
            for seed in range(n):
                model.fit(new_dataset(seed), shuffle=False, verbose=0)
            await_end_of_threads()
            return Held.now()

        dropped = [use_and_drop(_WARM_UP), use_and_drop(n_datasets)]
    return {"epochs": note.held, "dropped": dropped}


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
    parser.add_argument("--rounds", type=int, default=3)
    options = vars(parser.parse_args(arguments))
    n_rounds = options.pop("rounds")
    print(
        f"{keras.backend.backend()}, {options['n_files']} files and {N_BROKEN} broken ones, "
        f"{options['size']} x {options['size']}, batches of {options['batch_size']}, "
        f"n_jobs={options['n_jobs']}, augmented with {options['augmentation']}"
    )
    for _ in range(n_rounds):
        for feed in ("ours", "control"):
            found = in_new_process("benchmarks.keras_memory", [feed, *options.values()])
            show(
                feed, *([Held(*each) for each in found[key]] for key in ("epochs", "dropped"))
            )


def show(feed: str, epochs: list[Held], dropped: list[Held]) -> None:
    """Print what one process held."""
    before, after = dropped
    print(f"{feed}: MiB after each epoch:", *(f"{held.mib:.0f}" for held in epochs))
    print(f"{feed}: largest less smallest from the third on: {spread(epochs):.1f} MiB")
    print(f"{feed}: dropped datasets, before: {before}")
    print(f"{feed}: dropped datasets, after: {after}")


if __name__ == "__main__":
    main()
