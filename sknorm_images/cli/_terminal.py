"""Warnings and errors: a line each on stderr, beside progress."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any

import typer

from sknorm_images import ImageDecodeError, ImageDecodeWarning
from sknorm_images._wording import shorten

_LONGEST_LINE = 1500  # characters
_LONGEST_PROGRAM = 80
_MOST_FILES = 20  # named one by one


def complain(message: object, program: str = "sknorm-images") -> None:
    """Write one line to stderr, without its middle if it is very long."""
    line = f"{shorten(program, _LONGEST_PROGRAM)}: {shorten(message, _LONGEST_LINE)}"
    typer.echo(line, err=True)


def complain_of(failures: Collection[Exception], n_before: int = 0) -> None:
    """Name files that are left out, and the reasons, in a line each on stderr.

    With `n_before` that were told of earlier, no more than 20 are named.
    """
    for error in islice(failures, max(0, _MOST_FILES - n_before)):
        if isinstance(error, ImageDecodeError):
            complain(f"warning: {shorten(error.source)}: {shorten(error.reason)}")
        else:
            complain(f"warning: {error}")


def complain_of_others(n_failed: int) -> None:
    """Tell how many files `complain_of` did not name, if there are any."""
    if (n_others := n_failed - _MOST_FILES) > 0:
        complain(
            f"warning: {n_others:,} more files cannot be read. `sknorm-images check` lists "
            "them all; with --json or --csv, for programs."
        )


@contextmanager
def readable_warnings() -> Iterator[None]:
    """Show warnings as lines, and the first images that cannot be read in a line each."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if isinstance(message, ImageDecodeWarning):
            complain_of(message.failures.values())
            complain_of_others(len(message.failures))
        else:
            complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", ImageDecodeWarning)  # not once for equal ones
        warnings.showwarning = show
        yield
