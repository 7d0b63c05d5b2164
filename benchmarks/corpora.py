"""Folders of photos to measure with: pieces of the two that scikit-learn ships."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

SUFFIXES = (".jpg", ".jpeg")


def photos(folder: Path, n_files: int) -> list[str]:
    """Write photos of about 500 x 375 pixels: pieces as they are, never enlarged."""

    def piece(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        width, height = random.integers((460, 345), (541, 406)).tolist()
        return _crop(photo, (width, height), random)

    return _write(folder, n_files, piece)


def large_photos(folder: Path, n_files: int) -> list[str]:
    """Write images of 12 megapixels, 4000 x 3000: 4 x 4 pieces, each enlarged twice.

    Enlarged more, they would have less to decode than a file from a camera.
    """

    def piece(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        return _mosaic(photo, (4000, 3000), random)

    return _write(folder, n_files, piece)


def mixed_photos(folder: Path, n_files: int) -> list[str]:
    """Write photos of many sizes, shapes, qualities and samplings, a third progressive.

    The longer side has 160 to 2,560 pixels, in equal shares per octave. Up to 640 pixels a
    photo is one piece, shrunk; above, pieces side by side, each enlarged twice.
    """

    def piece(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        longer = round(160 * 16 ** random.random())
        shorter = round(longer / random.choice([1, 4 / 3, 3 / 2, 16 / 9]))
        turned = random.random() < 0.4
        size = (shorter, longer) if turned else (longer, shorter)
        if longer > 640:
            return _mosaic(photo, size, random)
        scale = min(1.0, photo.width / size[0], photo.height / size[1])
        part = _crop(photo, (int(size[0] * scale), int(size[1] * scale)), random)
        return part.resize(size, Image.Resampling.LANCZOS)

    def settings(random: np.random.Generator) -> dict[str, Any]:
        return {
            "quality": int(random.integers(50, 98)),
            "subsampling": str(
                random.choice(["4:4:4", "4:2:2", "4:2:0"], p=[0.25, 0.15, 0.6])
            ),
            "progressive": bool(random.random() < 1 / 3),
        }

    return _write(folder, n_files, piece, settings)


def thumbnails(folder: Path, n_files: int) -> list[str]:
    """Write photos of 96 x 96 pixels."""

    def piece(photo: Image.Image, random: np.random.Generator) -> Image.Image:
        return _crop(photo, (288, 288), random).resize((96, 96), Image.Resampling.LANCZOS)

    return _write(folder, n_files, piece)


def chosen(folder: Path, source: Path, n_files: int) -> list[str]:
    """Copy the first JPEG files of a folder into a new one that holds nothing else.

    Parameters
    ----------
    folder : Path
        Where to put them; where it is there already, with what it holds, nothing is copied.
    source : Path
        A folder with files called .jpg or .jpeg.
    n_files : int
        How many, at most.

    Returns
    -------
    list of str
        The paths of the copies.
    """
    if not folder.exists():
        folder.mkdir()
        found = (path for path in source.iterdir() if path.suffix.lower() in SUFFIXES)
        for path in sorted(found)[:n_files]:
            shutil.copyfile(path, folder / path.name)
    return sorted(map(str, folder.iterdir()))


def repeated(files: list[str], n_files: int) -> list[str]:
    """So many files: the first ones, or all of them again and again."""
    return (files * -(-n_files // len(files)))[:n_files]


def _crop(
    photo: Image.Image, size: tuple[int, int], random: np.random.Generator
) -> Image.Image:
    left = int(random.integers(0, photo.width - size[0] + 1))
    top = int(random.integers(0, photo.height - size[1] + 1))
    return photo.crop((left, top, left + size[0], top + size[1]))


def _mosaic(
    photo: Image.Image, size: tuple[int, int], random: np.random.Generator
) -> Image.Image:
    """Fill an image with pieces of 500 x 375 pixels, each enlarged twice."""
    image = Image.new("RGB", size)
    for left in range(0, size[0], 1000):
        for top in range(0, size[1], 750):
            part = _crop(photo, (500, 375), random).resize((1000, 750))
            image.paste(part, (left, top))
    return image


def _quality_90(_random: np.random.Generator) -> dict[str, Any]:
    return {"quality": 90}


def _write(
    folder: Path,
    n_files: int,
    piece: Callable[[Image.Image, np.random.Generator], Image.Image],
    settings: Callable[[np.random.Generator], dict[str, Any]] = _quality_90,
) -> list[str]:
    """Write JPEG files, all different, the same ones each time.

    Each file has a random generator of its own, which draws the piece and then the settings
    of the encoder. Files of an earlier run are kept.
    """
    whole = [Image.fromarray(photo) for photo in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05}.jpg" for i in range(n_files)]
    for i, path in enumerate(paths):
        if not path.exists():
            half_written = path.with_suffix(".part")
            random = np.random.default_rng(i)
            image = piece(whole[i % 2], random)
            image.save(half_written, "JPEG", **settings(random))
            half_written.rename(path)
    return [str(path) for path in paths]
