"""Show what a command found as tables on stdout."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, groupby, islice
from typing import NamedTuple

import numpy as np
import typer
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch, get_tags

from sknorm_images._common.wording import printable
from sknorm_images._images.class_table import ClassCount, imbalance_of, training_of
from sknorm_images._images.color_modes import channels_of
from sknorm_images._images.findings import ADVICE, Finding
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images.cli._terminal import MOST_FILES, count
from sknorm_images.cli._wording import in_options

TO_DO = {  # what advice names are options of another command
    "on_error": "fit --on-error",
    "aspect_ratio": "fit --aspect-ratio",
    "color_mode": "fit --color-mode",
    "color_profile": "fit --color-profile",
}
_COLUMNS = ("file", "finding")
_MOST_CLASSES = 10  # the smallest ones
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


class Told(NamedTuple):
    """How many findings were shown."""

    numbers: Mapping[str, int]  # by kind
    n_conflicts: int  # copies of a file in another class


def show_findings(found: Bunch, findings: Callable[[], Iterable[Finding]]) -> Told:
    """Show what `check_images` found, kind by kind, and what to do about each.

    `findings` yields them in this order, and is called twice, since there may be millions. A
    terminal shows the first of each kind.
    """
    numbers, widths, n_conflicts = Counter[str](), Counter[str](), 0
    for i, kind, _, is_conflict in findings():
        numbers[kind] += 1
        widths[kind] = max(widths[kind], cell_len(printable(found.filename[i])))
        n_conflicts += is_conflict
    for kind, some in groupby(findings(), lambda finding: finding.kind):
        advice = in_options(ADVICE[kind], TO_DO)
        title = f"{kind[0].upper()}{kind[1:]}: {count(numbers[kind], 'file')}. {advice}"
        rows = (
            (found.filename[i], words.removeprefix(f"{kind}: ")) for i, _, words, _ in some
        )
        if sys.stdout.isatty():
            _show_table(title, _COLUMNS, islice(rows, MOST_FILES))
            if (n_others := numbers[kind] - MOST_FILES) > 0:
                typer.echo(f"... and {n_others:,} more; --csv and --json list all")
        else:
            _show_lines(title, rows, widths[kind])
        typer.echo()
    return Told(numbers, n_conflicts)


def show_summary(found: Bunch, told: Told, n_empty: int) -> None:
    """Say in one line how many files were found to be what.

    `n_empty` is the number of classes without files.
    """
    kinds = ["broken", "damaged", "same content"]
    if "findings" in found:
        kinds = list(told.numbers)
    elif "split" in found:
        kinds.insert(0, "leak")
    parts = [_how_many(kind, told.numbers.get(kind, 0)) for kind in kinds]
    if told.n_conflicts:
        parts.append(f"{told.n_conflicts:,} in another class")
    if n_empty:
        parts.append(count(n_empty, "empty class"))
    typer.echo(f"{count(len(found.filename), 'file')}: {', '.join(parts) or 'nothing found'}")


def _how_many(kind: str, n: int) -> str:
    nouns = {"leak": "leak", "same content": "duplicate", "near duplicate": "near duplicate"}
    return count(n, nouns[kind]) if kind in nouns else f"{n:,} {kind}"


def show_classes(tables: Mapping[str | None, Sequence[ClassCount]]) -> None:
    """Show how many files each class has in each split, the smallest class first."""
    by_name = {
        split: {row.name: row for row in table} for split, table in tables.items() if table
    }
    totals = Counter[str]()
    for table in by_name.values():
        for name, row in table.items():
            totals[name] += row.n_files
    if not totals:
        return
    names = sorted(totals, key=lambda name: totals[name])
    rows = []
    for name in names[:_MOST_CLASSES]:
        cells = [table.get(name, ClassCount(name, 0, 0.0)) for table in by_name.values()]
        shown = [(f"{cell.n_files:,}", f"{100 * cell.share:.1f} %") for cell in cells]
        rows.append([name, *chain.from_iterable(shown)])
    others = "files" if len(by_name) == 1 else "others"
    columns = [(split or others, "share") for split in by_name]
    title = f"Files per class, the smallest of {count(len(names), 'class')} first"
    _show_table(title, ("class", *chain.from_iterable(columns)), rows, numbers=True)
    if left := names[_MOST_CLASSES:]:
        least, most = totals[left[0]], totals[left[-1]]
        typer.echo(
            f"... and {count(len(left), 'more class')}, of {least:,} to {most:,} files each"
        )
    training = training_of(tables)
    if told := imbalance_of(tables[training]):
        typer.echo(f"{printable(training)}: {told}" if training else told)
    typer.echo()


def _show_lines(title: str, rows: Iterable[tuple[str, str]], width: int) -> None:
    """Write a table of files, each row one line, as it comes: Rich would hold all of it."""
    typer.echo(printable(title))
    width = max(width, cell_len(_COLUMNS[0]))
    for row in chain([_COLUMNS], rows):
        name, words = map(printable, row)
        sys.stdout.write(f"{name}{' ' * (width - cell_len(name))}  {words}\n")


def _show_table(
    title: str, columns: Sequence[str], rows: Iterable[Sequence[object]], numbers: bool = False
) -> None:
    """Write a table, cutting nothing off; `numbers` aligns all but the first column right."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0))
    for i, name in enumerate(columns):
        table.add_column(
            Text(printable(name)),
            overflow="fold",
            justify="right" if numbers and i else "left",
        )
    for row in rows:
        table.add_row(*(Text(printable(_cell(value))) for value in row))
    typer.echo(printable(title))
    Console(width=None if sys.stdout.isatty() else _WIDTH_OF_FILES).print(table)


def _cell(value: object) -> object:
    if isinstance(value, list):  # as a row of a matrix
        return "  ".join(str(_cell(part)) for part in value)
    return f"{value:.6g}" if isinstance(value, float) else value
