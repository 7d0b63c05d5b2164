"""Images that cannot be read: which errors mean that, and how the user is warned."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import copy
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.exceptions import (
    ImageDecodeError,
    ImageDecodeWarning,
    ImageTransparencyWarning,
    brief,
)

ReadError: TypeAlias = ImageDecodeError | OSError

ON_ERROR_CHOICES = ("raise", "blank")  # what to do with images that cannot be read

# Faults of one file, as opposed to a full disk or too many open files.
READ_ERRORS = (
    ImageDecodeError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


class Failures(dict[int, ReadError]):
    """Images that cannot be read, by position; and how many lost their transparency."""

    n_see_through = 0
    first_see_through: tuple[int, str] = 0, ""  # position and name

    def note_transparency(self, position: int, name: str, n_images: int = 1) -> None:
        """Count images that lost transparency, and keep position and name of the first."""
        if not self.n_see_through:
            self.first_see_through = position, name
        self.n_see_through += n_images

    def add(self, others: Failures, start: int) -> None:
        """Merge what was found in images that begin at position `start`."""
        for i, error in others.items():
            if isinstance(error, ImageDecodeError):
                error.position = start + i
            self[start + i] = error
        if others.n_see_through:
            position, name = others.first_see_through
            self.note_transparency(start + position, name, others.n_see_through)

    def at(self, rows: slice | Sequence[int] | NDArray[np.intp]) -> Failures:
        """Return new errors for some of the images, by their position among `rows`."""
        found = Failures()
        if not self:
            return found
        if isinstance(rows, slice):
            rows = range(*rows.indices(max(self) + 1))
        for i, row in enumerate(map(int, rows)):
            if row in self:
                error = found[i] = copy(self[row])
                if isinstance(error, ImageDecodeError):
                    error.position = i
        return found

    def renumbered(self, rows: NDArray[np.intp]) -> Failures:
        """Return what was found in some images by their positions `rows` among all."""
        found = Failures()
        for i, error in self.items():
            found.add(Failures({0: error}), int(rows[i]))
        if self.n_see_through:
            i, name = self.first_see_through
            found.note_transparency(int(rows[i]), name, self.n_see_through)
        return found

    def zeroed(self, images: NDArray[Any]) -> NDArray[Any]:
        """Make zeros of the images that cannot be read; a read-only array is copied first."""
        if not self:
            return images
        images = np.require(images, requirements="W")
        images[list(self)] = 0
        return images

    def warnings(self, n_images: int) -> list[UserWarning]:
        """Return all warnings about `n_images` images: of blank ones, and `doubts`."""
        blank = [ImageDecodeWarning(self, n_images)] if self else []
        return [*blank, *self.doubts()]

    def doubts(self) -> list[ImageTransparencyWarning]:
        """Return a warning about images that lost their transparency, if there are any."""
        if not self.n_see_through:
            return []
        position, name = self.first_see_through
        return [ImageTransparencyWarning(name, position, self.n_see_through)]


def forget_frames(error: ReadError) -> ReadError:
    """Release the bytes and pixels that the frames of an exception keep alive."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def report(failures: Failures, n_images: int, stacklevel: int = 3) -> None:
    """Warn once, when a call is complete, of images that are blank or lost transparency.

    `n_images` is how many images there were in all; raises ValueError if none can be read.
    `stacklevel` says whose line the warning points at: 3 is that of the caller's caller.
    """
    report_blank(failures, n_images, stacklevel + 1)
    for doubt in failures.doubts():
        warnings.warn(doubt, stacklevel=stacklevel)


def report_blank(failures: Failures, n_images: int, stacklevel: int = 3) -> None:
    """Do what `report` does, but leave `doubts` to the caller."""
    refuse_if_none_is_readable(failures, n_images)
    if failures:
        warnings.warn(ImageDecodeWarning(failures, n_images), stacklevel=stacklevel)


def refuse_if_none_is_readable(failures: Failures, n_images: int) -> None:
    """Raise ValueError if none of the images can be read."""
    if failures and len(failures) == n_images:
        first = min(failures)
        raise ValueError(
            f"None of the {n_images} images can be read. "
            f"Check X; image {first} fails with: {brief(failures[first])}"
        )
