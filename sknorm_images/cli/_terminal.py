"""Warnings and errors: a line each on stderr, beside progress."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import typer

from sknorm_images import ImageDecodeError, ImageDecodeWarning


def printable(text: object) -> str:
    """Escape what would end a line, steer a terminal, or cannot be encoded."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def complain(message: object, program: str = "sknorm-images") -> None:
    """Write one line to stderr."""
    typer.echo(f"{program}: {printable(message)}", err=True)


def complain_of(error: Exception) -> None:
    """Name a file that is left out, and the reason, in one line on stderr."""
    known = f"{error.source}: {error.reason}" if isinstance(error, ImageDecodeError) else ""
    complain(f"warning: {known or error}")


@contextmanager
def readable_warnings() -> Iterator[None]:
    """Show warnings as lines, and each image that cannot be read in a line of its own."""

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        if isinstance(message, ImageDecodeWarning):
            for error in message.failures.values():
                complain_of(error)
        else:
            complain(f"warning: {message}")

    with warnings.catch_warnings():
        warnings.simplefilter("always", ImageDecodeWarning)  # not once for equal ones
        warnings.showwarning = show
        yield
