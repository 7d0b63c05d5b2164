"""Shuffling within windows of chunks beside shuffling all images of an array on disk.

First the rates at which `PipelineDataset` makes uint8 batches of saved photos, in turn, in one
process, so that the ratios hold on any machine. Then rate and peak of memory for stores of
more and more images, each in a process of its own: Zarr arrays of which one window of chunks
is there, and stands for all others.

    KERAS_BACKEND=jax python -m benchmarks.windows
"""

from __future__ import annotations

import argparse
import time
from collections import defaultdict
from collections.abc import Callable
from itertools import count, islice
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import zarr
from sklearn.preprocessing import FunctionTransformer

from benchmarks.corpora import photos
from benchmarks.in_turn import ratio, seconds_in_turn
from benchmarks.new_process import in_new_process
from benchmarks.worker import peak_mebibytes
from sknorm_images import make_image_pipeline, save_images
from sknorm_images.keras import PipelineDataset

BATCH = CHUNK = 32


class Repeated(zarr.storage.LocalStore):
    """A folder with the first chunks of an array of images, which stand for the others."""

    n_chunks = 32

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        """Read the metadata, or a chunk."""
        if key.startswith("c/"):
            _, chunk, rest = key.split("/", 2)
            key = f"c/{int(chunk) % self.n_chunks}/{rest}"
        return await super().get(key, *arguments, **options)


def rates(folder: Path, *, n_images: int, size: int, window: int, repeats: int) -> None:
    """Print images per second from each kind of array, and the ratios of windows to none."""
    files = photos(folder / "photos", min(n_images, 1024))
    images = make_image_pipeline((size, size), n_jobs=2)[:-1].transform(files)
    pixels = np.resize(images, (n_images, size, size, 3))
    saved = {
        suffix: save_images(pixels, folder / f"photos.{suffix}", chunk_size=CHUNK)
        for suffix in ("npy", "zarr")
    }

    cpu: dict[str, list[float]] = defaultdict(list)

    def epoch(name: str, X: Any, shuffle_window: int | None) -> Callable[[], None]:
        def serve() -> None:  # by a new dataset, which keeps nothing of the epoch before
            start = time.process_time()
            dataset = _dataset(X, shuffle_window)
            for i in range(len(dataset)):
                dataset[i]
            cpu[name].append(time.process_time() - start)

        return serve

    runs = {}
    for suffix, images in saved.items():
        runs[suffix] = epoch(suffix, images, None)
        runs[f"{suffix}, in windows"] = epoch(f"{suffix}, in windows", images, window)
    times = seconds_in_turn(runs, repeats)
    print(f"{n_images:,} images of {size} x {size}, windows of {window}, chunks of {CHUNK}\n")
    print("| array | shuffled, images/s | in windows | ratio | ratio of CPU seconds |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for suffix in saved:
        plain, within = suffix, f"{suffix}, in windows"
        told = (f"{n_images / median(times[name]):,.0f}" for name in (plain, within))
        ratios = (ratio(taken[plain], taken[within]) for taken in (times, cpu))
        print(f"| .{suffix} | {' | '.join([*told, *ratios])} |", flush=True)


def measure(
    folder: str, n_images: int, size: int, window: int | None, n_batches: int
) -> dict[str, Any]:
    """Serve batches of a store that is as large as asked for, and see what that takes."""
    shape = (n_images, size, size, 3)
    chunks = (CHUNK, *shape[1:])
    array = zarr.create_array(
        folder, shape=shape, dtype="uint8", chunks=chunks, overwrite=True
    )
    n_there = min(Repeated.n_chunks * CHUNK, n_images)
    random = np.random.default_rng(0)
    array[:n_there] = random.integers(256, size=(n_there, *shape[1:]), dtype=np.uint8)
    start = time.perf_counter()
    dataset = _dataset(zarr.open_array(Repeated(folder), mode="r"), window)
    beginning = time.perf_counter() - start
    start, cpu = time.perf_counter(), time.process_time()
    for i in islice(count(), n_batches):
        dataset[i % len(dataset)]
        if (i + 1) % len(dataset) == 0:
            dataset.on_epoch_end()
    taken = time.perf_counter() - start
    return {
        "rate": n_batches * BATCH / taken,
        "cpu_milliseconds": (time.process_time() - cpu) / n_batches / BATCH * 1000,
        "beginning": beginning,
        "peak": peak_mebibytes() or 0,
    }


def _dataset(X: Any, shuffle_window: int | None) -> PipelineDataset:
    return PipelineDataset(
        FunctionTransformer(),
        X,
        np.zeros(X.shape[0], np.float32),
        batch_size=BATCH,
        shuffle=True,
        shuffle_window=shuffle_window,
        seed=0,
        n_jobs=2,
    )


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", dest="n_images", type=int, default=4096)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--window", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--rows", type=int, nargs="*", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--batches", type=int, default=320, help="of each of these stores")
    options = vars(parser.parse_args())
    rows, n_batches = options.pop("rows"), options.pop("batches")
    with TemporaryDirectory() as temporary:
        rates(Path(temporary), **options)
        print(
            "\n| images of 64 x 64 | shuffled | images/s | CPU ms per image | seconds to "
            "begin | peak, MiB |\n| ---: | --- | ---: | ---: | ---: | ---: |",
            flush=True,
        )
        for n_rows in rows:
            for window in (None, 1024):
                arguments = [f"{temporary}/rows.zarr", n_rows, 64, window, n_batches]
                row = in_new_process("benchmarks.windows", arguments)
                print(
                    f"| {n_rows:,} | {f'in windows of {window}' if window else 'all'} | "
                    f"{row['rate']:,.0f} | {row['cpu_milliseconds']:.2f} | "
                    f"{row['beginning']:.2f} | {row['peak']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
