"""Warnings and errors, one line each on stderr, beside progress."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TextIO

import typer

from sknorm_images import ImageDecodeError, ImageDecodeWarning
from sknorm_images._common.wording import shorten
from sknorm_images._files.folders import show_counts
from sknorm_images.cli._wording import in_options

_LONGEST_LINE = 1500  # characters
_LONGEST_PROGRAM = 80
MOST_FILES = 20  # named one by one
_MOST_WARNINGS = 20  # of other kinds: Pillow warns of each entry of damaged metadata


def complain(message: object, program: str = "sknorm-images") -> None:
    """Write one line to stderr, without its middle if it is very long."""
    line = f"{shorten(program, _LONGEST_PROGRAM)}: {shorten(message, _LONGEST_LINE)}"
    typer.echo(line, err=True)


def complain_of(failures: Collection[Exception], n_before: int = 0) -> None:
    """Name files that are left out, and why, in one line each on stderr.

    At most 20 are named, counting the `n_before` that were named earlier.
    """
    for error in islice(failures, max(0, MOST_FILES - n_before)):
        if isinstance(error, ImageDecodeError):
            reason = in_options(shorten(error.reason))
            complain(f"warning: {shorten(error.source)}: {reason}")
        else:
            complain(f"warning: {in_options(str(error))}")


def complain_of_others(n_failed: int) -> None:
    """Say how many files `complain_of` did not name, if there are any."""
    if (n_others := n_failed - MOST_FILES) > 0:
        complain(
            f"warning: {n_others:,} more files cannot be read. `sknorm-images check` lists "
            "them all; with --json or --csv, for programs."
        )


def tell_passed_over(counts: Mapping[str, int], extensions: tuple[str, ...]) -> None:
    """Say on stderr which files a command skips, if there are any."""
    beside = {name: n for name, n in counts.items() if name.endswith(extensions)}
    others = {name: n for name, n in counts.items() if name not in beside}
    if others:
        complain(f"{_n_files(others)} passed over: {show_counts(others)} (see --extensions)")
    if beside:
        complain(
            f"{_n_files(beside)} passed over: {show_counts(beside)} beside the sub-folders, "
            "so their class is unknown"
        )


def tell_written(what: str, path: Path) -> None:
    """Say on stdout what a command wrote, where, and how large it is."""
    place = shorten(path, _LONGEST_LINE)
    tell_last(f"Wrote {what} to {place} ({show_size(path.stat().st_size)})")


def tell_last(line: str) -> None:
    """Write a line to stdout when a command has done its work.

    A stream that takes nothing then changes no status.
    """
    try:
        typer.echo(line)
    except OSError:
        discard(sys.stdout)


def discard(stream: TextIO) -> None:
    """Lead a stream to the null device, as Python's page on ``signal`` advises.

    What is left in its buffer would fail again when Python exits.
    """
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def show_size(n_bytes: int) -> str:
    """Show a number of bytes in the largest decimal unit that leaves a whole one."""
    size, units = float(n_bytes), iter(("bytes", "kB", "MB", "GB"))
    unit = next(units)
    while size >= 999.95 and (larger := next(units, None)):
        size, unit = size / 1000, larger
    return f"{n_bytes} bytes" if unit == "bytes" else f"{size:,.1f} {unit}"


def count(n: int, noun: str) -> str:
    """Show how many there are, as in "1 file" and "2,000 files"."""
    return f"{n:,} {noun}{'' if n == 1 else 'es' if noun.endswith('s') else 's'}"


def _n_files(counts: Mapping[str, int]) -> str:
    return count(sum(counts.values()), "file")


@contextmanager
def readable_warnings(options: Mapping[str, str]) -> Iterator[None]:
    """Show each warning, and each of the first images that cannot be read, as one line.

    Parameters in them are shown as the `options` of the command.
    """
    n_shown = n_others = 0

    def show(message: Warning | str, *_: Any, **__: Any) -> None:
        nonlocal n_shown, n_others
        if isinstance(message, ImageDecodeWarning):
            complain_of(message.failures.values())
            complain_of_others(len(message.failures))
        elif n_shown < _MOST_WARNINGS:
            n_shown += 1
            complain(f"warning: {in_options(str(message), options)}")
        else:
            n_others += 1

    with warnings.catch_warnings():
        warnings.simplefilter("always", ImageDecodeWarning)  # repeated ones, too
        warnings.showwarning = show
        yield
        if n_others:
            complain(f"warning: {n_others:,} more warnings are not shown")
