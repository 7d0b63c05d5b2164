"""What no loader can beat: Pillow's decoder, and the steps that come on top of it."""

from __future__ import annotations

from PIL import Image

from benchmarks.contender import Batches, Task, contender, in_threads


@contender()
def decoding(task: Task) -> Batches:
    """Decode every file, and do nothing with it."""

    def decode(path: str) -> None:
        with Image.open(path) as image:
            image.load()

    return lambda: in_threads(decode, task)


@contender()
def decoding_and_resizing(task: Task) -> Batches:
    """Decode and resize every file with Pillow, and do nothing with it."""

    def resize(path: str) -> None:
        with Image.open(path) as image:
            image.resize((task.size, task.size), Image.Resampling.BILINEAR)

    return lambda: in_threads(resize, task)


@contender("cykooz_resizer")
def decoding_and_simd(task: Task) -> Batches:
    """Decode with Pillow and resize with cykooz-resizer, and do nothing with it."""
    from cykooz_resizer import FilterType, ResizeAlg, ResizeOptions, Resizer

    bilinear = ResizeAlg.convolution(FilterType.bilinear)

    def resize(path: str) -> None:
        with Image.open(path) as image:
            resized = Image.new(image.mode, (task.size, task.size))
            Resizer().resize_pil(image, resized, ResizeOptions(bilinear))

    return lambda: in_threads(resize, task)
