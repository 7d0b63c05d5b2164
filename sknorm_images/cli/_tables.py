"""Show what a command found as tables on stdout."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, get_tags

from sknorm_images._common.wording import printable
from sknorm_images._images.color_modes import channels_of
from sknorm_images._images.findings import ADVICE, Finding
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images.cli._terminal import count
from sknorm_images.cli._wording import in_options

_TO_DO = {  # what advice names are options of another command
    "on_error": "fit --on-error",
    "aspect_ratio": "fit --aspect-ratio",
    "color_mode": "fit --color-mode",
    "color_profile": "fit --color-profile",
}
_WIDTH_OF_FILES = 1000  # if stdout is not a terminal, each row of a table is one line


def show_steps(title: str, pipeline: Pipeline) -> None:
    """Show the steps of a pipeline, with the parameters that differ from the defaults."""
    rows = [(name, " ".join(repr(step).split())) for name, step in pipeline.steps]
    _show_table(title, ("step", "parameters"), rows)


def numbered(class_names: Sequence[str]) -> str:
    """List classes with their numbers, in one line."""
    return ", ".join(f"{i} {printable(name)}" for i, name in enumerate(class_names))


def show_statistics(scaler: ChannelScaler, color_mode: str | None) -> None:
    """Show what a scaler learned about each channel, or was given for it."""
    name = type(scaler).__name__
    columns = {
        attribute: value.tolist()
        for attribute, value in vars(scaler).items()
        if attribute.endswith("_")
        and isinstance(value, np.ndarray)
        and value.dtype.kind in "fiub"
    }
    if not columns:
        learns = get_tags(scaler).requires_fit
        typer.echo(f"{name} is not fitted" if learns else f"{name} learns nothing")
        return
    n_images = getattr(scaler, "n_samples_seen_", None)
    told = "set to constants" if n_images is None else f"fitted on {n_images} images"
    channels = channels_of(scaler.n_features_in_, color_mode)
    rows = zip(channels, *columns.values(), strict=True)
    _show_table(f"{name}, {told}", ("channel", *columns), rows, numbers=True)


def show_findings(found: Bunch, n_empty: int = 0) -> None:
    """Show the problems that `check_images` found, and how many there are.

    `n_empty` is the number of classes without files.
    """
    names = found.filename
    broken, twice = np.flatnonzero(~found.readable), np.flatnonzero(found.duplicate_of >= 0)
    damaged = np.flatnonzero(found.damage != "")
    rows = [(names[i], found.reason[i]) for i in broken]
    rows += [(names[i], f"damaged: {found.damage[i]}") for i in damaged]
    for i in twice:
        told = f"same content as {names[found.duplicate_of[i]]}"
        rows.append((names[i], told + ", in another class" * bool(found.in_another_class[i])))
    if rows:
        _show_table("Problems", ("file", "what is wrong"), rows)
    summary = f"{count(len(names), 'file')}: {len(broken)} broken, {len(damaged)} damaged"
    summary += f", {count(len(twice), 'duplicate')}"
    if n_conflicts := int(found.in_another_class.sum()):
        summary += f", {n_conflicts} in another class"
    typer.echo(summary + _empty_classes(n_empty))


def show_details(found: Bunch, findings: Iterable[Finding], n_empty: int = 0) -> None:
    """Show what `check_images` found with ``details=True``, and what to do about it."""
    by_kind: dict[str, list[Finding]] = {kind: [] for kind in ADVICE}
    for finding in findings:
        by_kind[finding.kind].append(finding)
    by_kind = {kind: some for kind, some in by_kind.items() if some}
    for kind, some in by_kind.items():
        title = f"{kind}, {count(len(some), 'file')}. {in_options(ADVICE[kind], _TO_DO)}"
        rows = [(found.filename[i], words) for i, _, words, _ in some]
        _show_table(title, ("file", "finding"), rows)
        typer.echo()
    told = ", ".join(f"{len(some)} {kind}" for kind, some in by_kind.items())
    summary = f"{count(len(found.filename), 'file')}: {told or 'nothing found'}"
    conflicts = [each for some in by_kind.values() for each in some if each.is_conflict]
    if conflicts:
        summary += f", {len(conflicts)} in another class"
    typer.echo(summary + _empty_classes(n_empty))


def _empty_classes(n: int) -> str:
    return f", {n} empty class{'es' if n > 1 else ''}" if n else ""


def _show_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: bool = False
) -> None:
    """Write a table, cutting nothing off; `numbers` aligns all but the first column right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(name, overflow="fold", justify="right" if numbers and i else "left")
    for row in rows:
        table.add_row(*(Text(printable(_cell(value))) for value in row))
    typer.echo(printable(title))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES).print(table)


def _cell(value: object) -> object:
    if isinstance(value, list):  # as a row of a matrix
        return "  ".join(str(_cell(part)) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else value
