"""What a benchmark runs: a function that prepares, and returns what one pass yields."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

Batches = Callable[[], Iterable[Any]]
Prepare = Callable[..., Batches]


class NotInstalledError(Exception):
    """What a contender needs beside Python modules, such as a shared library, is missing."""


@dataclass(frozen=True)
class Task:
    """Files to images of ``size`` x ``size``, standardised as ``(x - mean) / std``."""

    files: list[str]
    size: int
    n_jobs: int
    batch_size: int = 32
    mean: tuple[float, float, float] = (109.5, 108.9, 100.1)
    std: tuple[float, float, float] = (85.1, 70.2, 76.4)

    @property
    def constants(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Mean and standard deviation, as float32 arrays of shape (3,)."""
        return np.array(self.mean, np.float32), np.array(self.std, np.float32)


@dataclass(frozen=True)
class Contender:
    """A function that prepares a task, and what has to be known of it."""

    prepare: Prepare
    needs: tuple[str, ...]
    divides_by: float | None

    def __call__(self, task: Task, **options: Any) -> Batches:
        """Prepare, and return what runs one pass."""
        return self.prepare(task, **options)

    def missing(self) -> list[str]:
        """Modules that it needs and that are not installed."""
        return [name for name in self.needs if not _is_installed(name)]


def contender(*needs: str, divides_by: float | None = None) -> Callable[[Prepare], Contender]:
    """Say what a contender imports, and how its output relates to grey levels.

    Parameters
    ----------
    *needs : str
        Modules without which it cannot run.
    divides_by : float or None, default=None
        What it divides grey levels by; None where it standardises as the task says.

    Returns
    -------
    callable
        Decorator of a function that takes a Task and options.
    """
    return lambda prepare: Contender(prepare, needs, divides_by)


def _is_installed(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # the package that it would be in
        return False


def decibels(contender: Contender, task: Task, **options: Any) -> float | None:
    """Compare the pictures of a contender with Pillow's bilinear, antialiased ones.

    Parameters
    ----------
    contender : Contender
        The contender.
    task : Task
        A few files.
    **options : Any
        Of the contender.

    Returns
    -------
    float or None
        Peak signal-to-noise ratio in dB, 100 for equal ones; None if it yields no pictures.
    """
    batches = [np.array(batch) for batch in contender(task, **options)()]
    if not batches:
        return None
    images = np.concatenate(batches)[: len(task.files)].astype(float)
    if images.shape[1] == 3:  # PyTorch has the channels first
        images = np.moveaxis(images, 1, -1)
    mean, std = task.constants
    divisor = contender.divides_by
    grey = images * divisor if divisor else images * std + mean
    grey -= in_memory(task)
    return float(min(100, 10 * np.log10(255**2 / max(np.square(grey).mean(), 1e-9))))


def in_memory(task: Task) -> NDArray[np.uint8]:
    """Read all files into one uint8 array, with Pillow."""
    images = np.empty((len(task.files), task.size, task.size, 3), np.uint8)
    for path, image in zip(task.files, images, strict=True):
        with Image.open(path) as file:
            photo = ImageOps.exif_transpose(file).convert("RGB")
            image[:] = photo.resize((task.size, task.size), Image.Resampling.BILINEAR)
    return images
