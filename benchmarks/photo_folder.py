"""Photographs to measure with: pieces of the two that scikit-learn ships."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images


def make_photos(folder: Path, n_files: int, size: tuple[int, int] = (500, 375)) -> list[str]:
    """Write JPEG files, all different, and return their paths.

    Parameters
    ----------
    folder : Path
        Where to put them; files that are there from an earlier run are used again.
    n_files : int
        How many.
    size : (int, int), default=(500, 375)
        Width and height, in pixels.

    Returns
    -------
    list of str
        The paths.
    """
    random = np.random.default_rng(0)
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for i in range(n_files):
        photo = photos[i % 2]
        scale = random.uniform(0.6, 1)
        width, height = int(size[0] * scale), int(size[1] * scale)
        left = int(random.integers(0, photo.width - width + 1))
        top = int(random.integers(0, photo.height - height + 1))
        path = folder / f"{i:05}.jpg"
        if not path.exists():
            piece = photo.crop((left, top, left + width, top + height))
            piece.resize(size, Image.Resampling.LANCZOS).save(path, quality=90)
        paths.append(str(path))
    return paths
