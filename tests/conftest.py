"""What all tests share: real photos, crops of the two that scikit-learn ships, and helpers."""

from __future__ import annotations

import io
import os
import shutil
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("KERAS_BACKEND", "jax")  # before anything imports keras

import numpy as np
import pytest
from PIL import Image, ImageFile
from sklearn.datasets import load_sample_images

from tests import command

# Modules and folders that start processes or clusters, compile models or take many seconds,
# and fixtures that are servers. Elsewhere, a test that is long is marked by itself.
LONG = {
    *("keras", "test_benchmarks.py", "test_commands.py", "test_dask.py", "test_demo.py"),
    *("test_distributions.py", "test_fuzzing.py", "test_interrupts.py", "test_memory.py"),
    *("test_ended_commands.py", "test_killed_runs.py"),
    *("plotting", "test_plotting.py", "test_properties.py", "test_ray.py", "test_serving.py"),
    *("test_distributed.py", "test_report.py", "test_threads.py"),
    *("s3_server", "site"),
}


def pytest_configure(config: pytest.Config) -> None:
    """Import nothing for tests that `-m quick` deselects: Keras and JAX take seconds."""
    if config.option.markexpr == "quick":
        ignored = config.option.ignore_glob or []
        config.option.ignore_glob = [*ignored, *(f"*/{name}" for name in sorted(LONG))]


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    """Import what tests share when a test does: it has no doctests of its own."""
    is_shared = collection_path.suffix == ".py" and not collection_path.match("test_*.py")
    return True if is_shared else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark what is long as `LONG` says, and as quick what is neither long nor slow."""
    for item in items:
        # The node's own id: paths of thousands of items take a second to be parsed.
        parts = item.nodeid.partition("::")[0].split("/")
        if LONG.intersection([*parts, *getattr(item, "fixturenames", [])]):
            item.add_marker("long")
        if not {"long", "slow"}.intersection(mark.name for mark in item.iter_markers()):
            item.add_marker("quick")


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    """The two photos, 640 x 427: a temple and a flower."""
    return [Image.fromarray(photo) for photo in load_sample_images().images]


@pytest.fixture(scope="session")
def photo(photos: list[Image.Image]) -> Image.Image:
    """A part of the temple, 177 x 131: both sides odd and of differing length."""
    return photos[0].crop((120, 90, 297, 221))


@pytest.fixture(autouse=True)
def _interrupts_arrive() -> None:
    """Undo that a shell starts background jobs with SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def encode(image: Image.Image, image_format: str = "JPEG", **options: Any) -> bytes:
    """Encode an image; options are those of Pillow's writer."""
    file = io.BytesIO()
    image.save(file, image_format, **options)
    return file.getvalue()


def encode_turned(
    image: Image.Image, orientation: int, image_format: str = "JPEG", **options: Any
) -> bytes:
    """Encode an image as it is, with an EXIF orientation that turns it."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return encode(image, image_format, exif=exif, **options)


def pillow(data: bytes, mode: str = "RGB") -> np.ndarray:
    """Decode an image with Pillow; it always has channels."""
    pixels = np.asarray(Image.open(io.BytesIO(data)).convert(mode))
    return pixels if mode == "RGB" else pixels[..., np.newaxis]


def crops(photos: list[Image.Image], n: int, seed: int = 0) -> list[Image.Image]:
    """Cut `n` pieces of differing sizes out of the photos, in turn."""
    random = np.random.default_rng(seed)
    pieces = []
    for i in range(n):
        photo = photos[i % 2]
        width, height = (int(side) for side in random.integers(40, 200, size=2))
        left = int(random.integers(0, photo.width - width))
        top = int(random.integers(0, photo.height - height))
        pieces.append(photo.crop((left, top, left + width, top + height)))
    return pieces


@pytest.fixture(scope="session")
def files(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Paths of 24 JPEG files of differing sizes and qualities; even ones show the temple."""
    folder = tmp_path_factory.mktemp("photos")
    paths = []
    for i, crop in enumerate(crops(photos, 24)):
        path = folder / f"{i:02}.jpg"
        path.write_bytes(encode(crop, quality=60 + i))
        paths.append(str(path))
    return paths


@pytest.fixture
def copies(files: list[str], tmp_path: Path) -> list[Path]:
    """The same files, in a folder of their own, for a test to break."""
    folder = tmp_path / "copies"
    folder.mkdir()
    return [Path(shutil.copy(path, folder)) for path in files]


@pytest.fixture(scope="session")
def pixels(files: list[str]) -> np.ndarray:
    """What Pillow makes of `files` at 32 x 48 (height x width), decoded at full size."""
    return np.stack(
        [
            np.asarray(Image.open(path).resize((48, 32), Image.Resampling.BILINEAR))
            for path in map(Path, files)
        ]
    )


@pytest.fixture(scope="session")
def not_a_photo(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("broken") / "not a photo.jpg"
    path.write_bytes(b"not a photo")
    return str(path)


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str]) -> command.Call:
    """The command in this process, and what it writes."""

    def call(*arguments: str | Path) -> command.Finished:
        capsys.readouterr()
        return command.Finished(command.call(*arguments), *capsys.readouterr())

    return call


@pytest.fixture
def threads_take_turns_often() -> Iterator[None]:
    """Let another thread go on after every few bytecodes."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(interval)


@pytest.fixture
def without_simplejpeg(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let checks find that simplejpeg is not installed."""
    monkeypatch.setitem(sys.modules, "simplejpeg", None)


@pytest.fixture
def prepared(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Sizes of the images that Pillow made room for."""
    sizes = []
    prepare = ImageFile.ImageFile.load_prepare

    def record(image: ImageFile.ImageFile) -> None:
        sizes.append(image.size)
        prepare(image)

    monkeypatch.setattr(ImageFile.ImageFile, "load_prepare", record)
    return sizes
