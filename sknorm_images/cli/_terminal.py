"""What a person sees: tables on stdout; progress, warnings and errors on stderr."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from sknorm_images import ImageDecodeError, ImageDecodeWarning

_WIDTH_OF_FILES = 1000  # where stdout is no terminal, a row of a table is a line


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
    """Show warnings as lines, and each image that cannot be decoded in a line of its own."""

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


def show_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: bool = False
) -> None:
    """Write a table to stdout, cutting nothing off; `numbers` follow the first column."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(name, overflow="fold", justify="right" if numbers and i else "left")
    for row in rows:
        cells = (f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row)
        table.add_row(*(Text(printable(cell)) for cell in cells))
    typer.echo(printable(title))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES).print(table)


@contextmanager
def progress(description: str, total: int) -> Iterator[Callable[[int], None]]:
    """Show a bar on stderr while it is a terminal; yields what moves it on."""
    console = Console(stderr=True)
    if not console.is_terminal:  # rich 14 ends even a bar that is disabled with an empty line
        yield lambda n: None
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(description, total=total)
        yield lambda n: bar.advance(task, n)


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        # rich's own speed needs two steps, and few images are one.
        speed = task.completed / task.elapsed if task.elapsed else 0
        return Text(f"{speed:.0f} images/s")


def channel_names(n_channels: int) -> list[str]:
    """Name the channels of an image."""
    known = {1: ["grey"], 3: ["red", "green", "blue"]}
    return known.get(n_channels) or [str(i) for i in range(n_channels)]
