"""Measure this project, and every peer that is installed, on the same photos.

    python -m benchmarks --output results

makes the photos, runs every table in turn, and writes ``results/performance.md``, a
picture of each table (with Matplotlib), and ``results/performance.json``. Each contender has
a process of its own and, on Linux, as many cores as ``--n-jobs`` says; in every round each
makes one pass to warm up, and one that counts.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import corpora, report
from benchmarks.contender import Task
from benchmarks.footprint import import_milliseconds, memory
from benchmarks.rounds import measure
from benchmarks.tables import TABLES, Table


def main(arguments: list[str] | None = None) -> None:
    """Run the command line."""
    keys = [table.key for table in TABLES]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--output", type=Path, default=Path("results"), help="folder")
    parser.add_argument("--corpus", type=Path, help="a folder of your own JPEG files instead")
    parser.add_argument("--tables", nargs="+", choices=keys, default=keys, metavar="TABLE")
    parser.add_argument("--files", type=_positive, help="no more files than these")
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--n-jobs", type=_positive, default=2)
    parser.add_argument(
        "--no-footprint", action="store_true", help="leave out memory and import time"
    )
    options = parser.parse_args(arguments)
    if options.corpus and not options.corpus.is_dir():
        parser.error(f"--corpus {options.corpus} is not a folder")

    with TemporaryDirectory() as temporary:
        _run(parser, options, Path(temporary))


def _run(
    parser: argparse.ArgumentParser, options: argparse.Namespace, temporary: Path
) -> None:
    options.output.mkdir(parents=True, exist_ok=True)
    page = [report.environment(), ""]
    found = {}
    for table in (table for table in TABLES if table.key in options.tables):
        files = _files(table, options, temporary)
        if not files:
            parser.error(f"--corpus {options.corpus} holds no .jpg or .jpeg files")
        task = Task(files, table.size, options.n_jobs, table.batch_size)
        results = measure(table, task, options.rounds)
        found[table.key] = [asdict(result) for result in results]
        text = report.table_as_markdown(table, results, len(files))
        print(text, end="\n\n", flush=True)
        page += [text, ""]
        if find_spec("matplotlib"):
            report.draw(options.output / f"{table.key}.png", table, results)
        _write(options.output, page, found)
    if not options.no_footprint:
        files = _files(TABLES[0], options, temporary)
        lines = [
            f"- {what}: {'unknown' if value is None else f'{value:.0f} MiB'}"
            for what, value in memory(files, options.n_jobs).items()
        ]
        for what, value in import_milliseconds(10).items():
            lines.append(f"- import {what}: {value:.0f} ms")
        print("\n".join(lines))
        page += lines
    _write(options.output, page, found)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not above zero")
    return number


def _files(table: Table, options: argparse.Namespace, temporary: Path) -> list[str]:
    """Make the files of a table, in a folder that holds nothing else."""
    n_files = min(table.n_files, options.files or table.n_files)
    if options.corpus:
        return corpora.chosen(temporary / str(n_files), options.corpus, n_files)
    folder = options.output.resolve() / "corpora"
    return table.corpus(folder / f"{table.corpus.__name__}-{n_files}", n_files)


def _write(folder: Path, page: list[str], found: dict[str, Any]) -> None:
    (folder / "performance.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    (folder / "performance.json").write_text(json.dumps(found, indent=1), encoding="utf-8")


if __name__ == "__main__":
    main()
