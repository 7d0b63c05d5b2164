"""Images that cannot be read: which errors mean that, and how the user is told of them."""

from __future__ import annotations

import warnings
from typing import TypeAlias

from sknorm_images._exceptions import ImageDecodeError, ImageDecodeWarning, brief

ReadError: TypeAlias = ImageDecodeError | OSError
Failures: TypeAlias = dict[int, ReadError]  # by position

ON_ERROR_CHOICES = ("raise", "blank")  # what becomes of images that cannot be read

# What is the matter with one file, as opposed to a full disk or too many open files.
READ_ERRORS = (
    ImageDecodeError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)


def forget_frames(error: ReadError) -> ReadError:
    """Let go of the bytes and pixels that are still alive in the frames of an exception."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def report(failures: Failures, n_images: int, stacklevel: int = 3) -> None:
    """Tell the user once, when a call is complete, which images were left blank.

    Parameters
    ----------
    failures : dict of int to Exception
        The images that cannot be read.
    n_images : int
        How many there were in all.
    stacklevel : int, default=3
        Whose line the warning points at: 3 is that of the caller's caller.

    Raises
    ------
    ValueError
        If none can be read.
    """
    refuse_if_none_is_readable(failures, n_images)
    if failures:
        warnings.warn(ImageDecodeWarning(failures, n_images), stacklevel=stacklevel)


def refuse_if_none_is_readable(failures: Failures, n_images: int) -> None:
    """Raise ValueError if none of the images can be read."""
    if failures and len(failures) == n_images:
        first = min(failures)
        raise ValueError(
            f"None of the {n_images} images can be read, so there is nothing to go on with. "
            f"Check X; image {first} fails with: {brief(failures[first])}"
        )
