"""What no loader can beat: Pillow's decoder, and the steps that come on top of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from PIL import Image

from benchmarks.contender import Batches, Task, contender


@contender()
def decoding(task: Task) -> Batches:
    """Decode every file, and do nothing with it."""

    def decode(path: str) -> None:
        with Image.open(path) as image:
            image.load()

    return lambda: _in_threads(decode, task)


@contender()
def decoding_and_resizing(task: Task) -> Batches:
    """Decode and resize every file with Pillow, and do nothing with it."""

    def resize(path: str) -> None:
        with Image.open(path) as image:
            image.resize((task.size, task.size), Image.Resampling.BILINEAR)

    return lambda: _in_threads(resize, task)


@contender("cykooz_resizer")
def decoding_and_simd(task: Task) -> Batches:
    """Decode with Pillow and resize with cykooz-resizer, and do nothing with it."""
    from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer

    bilinear = ResizeAlg.convolution(FilterType.bilinear)

    def resize(path: str) -> None:
        with Image.open(path) as image:
            resized = Image.new(image.mode, (task.size, task.size))
            Resizer().resize_pil(image, resized, ResizeOptions(bilinear))

    return lambda: _in_threads(resize, task)


def _in_threads(function: Callable[[str], object], task: Task) -> tuple[()]:
    """Call ``function(path)`` for every file, in ``n_jobs`` threads; there are no pictures."""

    def call(files: list[str]) -> None:
        for path in files:
            function(path)

    size = max(1, task.batch_size // 4)  # short, so that all threads end together
    with ThreadPoolExecutor(task.n_jobs) as threads:
        parts = [task.files[i : i + size] for i in range(0, len(task.files), size)]
        for _ in threads.map(call, parts):
            pass
    return ()
