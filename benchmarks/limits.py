"""What no loader can beat: Pillow's decoder, and the steps that come on top of it."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

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


@contender("simplejpeg", "cykooz_resizer")
def bare(task: Task) -> Batches:
    """Decode with simplejpeg and resize with cykooz-resizer, and do nothing with it."""
    load = bare_loader(task.size)
    return lambda: _in_threads(lambda path: load(Path(path).read_bytes()), task)


def bare_loader(size: int) -> Callable[[bytes], Image.Image]:
    """Make a function from the content of a file to an image of four bytes per pixel.

    The pixels are decoded to four bytes each, so that Pillow takes their memory as it is, and
    at the least scale that leaves three times `size`, as `reducing_gap=3` does.
    """
    import simplejpeg
    from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer

    bilinear = ResizeOptions(ResizeAlg.convolution(FilterType.bilinear))
    at_least = {"min_height": 3 * size, "min_width": 3 * size}

    def load(content: bytes) -> Image.Image:
        pixels = simplejpeg.decode_jpeg(content, "RGBX", **at_least)
        height, width, _ = pixels.shape
        # CMYK: of Pillow's modes, one whose four bytes are resized alike, none as alpha.
        image = Image.frombuffer("CMYK", (width, height), pixels, "raw", "CMYK", 0, 1)
        resized = Image.new("CMYK", (size, size))
        Resizer().resize_pil(image, resized, bilinear)
        return resized

    return load


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
