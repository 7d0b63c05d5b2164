"""What one upload takes: a pipeline given one content, beside the recipe written by hand.

Contenders take turns in one process, one upload each, so that the differences hold on a
machine that is not idle. `beyond` is the median of the differences from the recipe with the
same resizer, upload by upload.

    python -m benchmarks.one_upload
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
from PIL import Image

from benchmarks import corpora, limits, ours
from benchmarks.contender import Batches, Task, contender, decibels
from benchmarks.in_turn import seconds_in_turn
from benchmarks.tables import Row

CORPORA = {"thumbnails": (corpora.thumbnails, 64), "photos": (corpora.photos, 224)}


@contender()
def pillow_by_hand(task: Task) -> Batches:
    """Pillow and NumPy, as a service would have it without a library."""

    def resized(content: bytes) -> Image.Image:
        with _opened(content, task.size) as image:
            return image.resize((task.size, task.size), Image.Resampling.BILINEAR)

    return _standardised(task, resized)


@contender("cykooz_resizer")
def cykooz_by_hand(task: Task) -> Batches:
    """The same, resized with cykooz-resizer."""
    from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer

    bilinear = ResizeOptions(ResizeAlg.convolution(FilterType.bilinear))

    def resized(content: bytes) -> Image.Image:
        with _opened(content, task.size) as image:
            small = Image.new("RGB", (task.size, task.size))
            Resizer().resize_pil(image, small, bilinear)
            return small

    return _standardised(task, resized)


@contender("simplejpeg", "cykooz_resizer")
def bare(task: Task) -> Batches:
    """Simplejpeg and cykooz-resizer, without Pillow's decoder and without any check."""
    return _standardised(task, limits.bare_loader(task.size))


def _opened(content: bytes, size: int) -> Image.Image:
    image = Image.open(io.BytesIO(content), formats=("JPEG",))
    image.draft("RGB", (3 * size, 3 * size))  # three times as large, as reducing_gap=3 has it
    return image.convert("RGB")


def _standardised(task: Task, resized: Callable[[bytes], Image.Image]) -> Batches:
    """Yield one batch of one image per content, made when it is asked for."""
    mean, std = task.constants
    contents = [Path(path).read_bytes() for path in task.files]

    def one(content: bytes) -> np.ndarray:
        return ((np.asarray(resized(content))[..., :3] - mean) / std)[np.newaxis]

    return lambda: (one(content) for content in contents)


PILLOW, CYKOOZ = "Pillow and NumPy by hand", "the same with cykooz-resizer, by hand"
ROWS = [  # each with the name of the recipe that it is compared with
    (Row(PILLOW, pillow_by_hand), PILLOW),
    (Row("sknorm_images", ours.uploads), PILLOW),
    (Row(CYKOOZ, cykooz_by_hand), CYKOOZ),
    (Row('sknorm_images, engine="simd"', ours.uploads, {"engine": "simd"}), CYKOOZ),
    (Row("simplejpeg, cykooz-resizer and NumPy, bare", bare), CYKOOZ),
]


@dataclass(frozen=True)
class Upload:
    """Milliseconds of one upload, and how near its pictures are to Pillow's."""

    name: str
    median: float
    percentile_99: float
    beyond: float
    decibels: float | None


def measure(files: list[str], size: int, n_uploads: int) -> list[Upload]:
    """Time all rows whose libraries are installed, after some uploads that do not count."""
    n_warm = 20
    task = Task(corpora.repeated(files, n_warm + n_uploads), size, n_jobs=1)
    few = Task(files[:8], size, n_jobs=1)
    rows = [(row, recipe) for row, recipe in ROWS if not row.contender.missing()]
    runs = {}
    for row, _ in rows:
        uploads = iter(row.contender(task, **row.options)())
        runs[row.name] = uploads.__next__
    seconds_in_turn(runs, n_warm)
    times = {
        name: 1000 * np.array(taken)
        for name, taken in seconds_in_turn(runs, n_uploads).items()
    }
    return [
        Upload(
            row.name,
            median(times[row.name]),
            float(np.percentile(times[row.name], 99)),
            median(times[row.name] - times[recipe]),
            decibels(row.contender, few, **row.options),
        )
        for row, recipe in rows
    ]


def main() -> None:
    """Print one table per corpus."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=100)
    parser.add_argument("--uploads", type=int, default=1000)
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA))
    options = parser.parse_args()
    for name in options.corpora:
        make, size = CORPORA[name]
        with TemporaryDirectory() as folder:
            found = measure(make(Path(folder), options.files), size, options.uploads)
        print(
            f"\n{name} to {size} x {size}, {options.uploads:,} uploads each, in one thread\n"
        )
        print("| | median, ms | 99th percentile, ms | beyond the recipe, ms | dB |")
        print("| --- | ---: | ---: | ---: | ---: |")
        for row in found:
            print(
                f"| {row.name} | {row.median:.2f} | {row.percentile_99:.2f} | "
                f"{row.beyond:+.2f} | {row.decibels:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
