"""How the time of one image divides: each stage alone, in one thread.

python -m benchmarks.stages
"""

from __future__ import annotations

import argparse
import io
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from PIL import Image

from benchmarks.corpora import photos
from sknorm_images import ChannelHistogram, ChannelStandardScaler, make_image_pipeline
from sknorm_images._images import simd

REPEATS = 7


def milliseconds(function: Callable[[Any], Any], items: Iterable[Any]) -> float:
    """Least time of one call over some repeats; what is returned is let go of."""
    items = list(items)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        for item in items:
            function(item)
        times.append(time.perf_counter() - start)
    return 1000 * min(times) / len(items)


def opened(data: bytes) -> Image.Image:
    """Read the header."""
    return Image.open(io.BytesIO(data), formats=("JPEG",))


def decoded(data: bytes) -> Image.Image:
    """Read the header and the pixels."""
    image = opened(data)
    image.load()
    return image


def measure(files: list[str], size: int) -> dict[str, float]:
    """Milliseconds an image, by stage."""
    contents = [Path(path).read_bytes() for path in files]
    images = [decoded(data) for data in contents]
    stages = {
        "open and read the file": milliseconds(lambda path: Path(path).read_bytes(), files),
        "parse the header": milliseconds(opened, contents),
        "decode, header included": milliseconds(decoded, contents),
    }
    for engine in ("pillow", "simd"):
        pipeline = make_image_pipeline((size, size), engine=engine, n_jobs=1).fit(files[:2])
        lazy = pipeline[:-1].transform(files)
        stages[f"one image up to its array, {engine}"] = milliseconds(
            lazy.__getitem__, range(len(files))
        )
        for name in ("fit", "transform"):
            call = getattr(pipeline, name)
            stages[f"{name}, {engine}"] = milliseconds(call, [files]) / len(files)
    resized = [image.resize((size, size), Image.Resampling.BILINEAR) for image in images]
    arrays = [np.asarray(image) for image in resized]
    scaler = ChannelStandardScaler(mean=100, std=50)
    return stages | {
        "resize, Pillow": milliseconds(
            lambda image: image.resize((size, size), Image.Resampling.BILINEAR), images
        ),
        "resize, simd": milliseconds(
            lambda image: simd.resize(image, (size, size), (0.0, 0.0, *image.size)), images
        ),
        "count grey levels": milliseconds(ChannelHistogram.of_picture, resized),
        "copy to an array": milliseconds(np.asarray, resized),
        "scale an array": milliseconds(scaler.transform, [np.stack(arrays[:8])]) / 8,
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--size", type=int, default=224)
    options = parser.parse_args()
    with TemporaryDirectory() as folder:
        for stage, taken in measure(photos(Path(folder), options.files), options.size).items():
            print(f"{stage:45} {taken:.3f} ms")
