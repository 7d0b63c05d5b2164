"""Measure this project, and every peer that is installed, on the same photographs.

    python -m benchmarks --output results

makes the photographs, runs every table in turn, and writes ``results/performance.md``, a
picture of each table (with Matplotlib), and ``results/performance.json``. Each contender has
a process of its own and as many cores as ``--n-jobs`` says; in every round each makes one
pass to warm up, and one that counts.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path

from benchmarks import report
from benchmarks.contender import Task
from benchmarks.footprint import import_milliseconds, memory
from benchmarks.rounds import measure
from benchmarks.tables import TABLES


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
    parser.add_argument("--files", type=int, help="no more files in any table than these")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--n-jobs", type=int, default=2)
    parser.add_argument(
        "--paths", type=int, default=20_000, help="of the test of memory; 0 leaves it out"
    )
    options = parser.parse_args(arguments)

    options.output.mkdir(parents=True, exist_ok=True)
    own = sorted(map(str, options.corpus.resolve().glob("*.jp*g"))) if options.corpus else None
    if own == []:
        parser.error(f"{options.corpus} holds no *.jpg or *.jpeg files")
    page = [report.environment(), ""]
    found = {}
    for table in (table for table in TABLES if table.key in options.tables):
        n_files = min(table.n_files, options.files or table.n_files)
        folder = options.output.resolve() / "corpora" / table.corpus.__name__
        files = own[:n_files] if own else table.corpus(folder, n_files)
        results = measure(table, Task(files, table.size, options.n_jobs), options.rounds)
        found[table.key] = [asdict(result) for result in results]
        page += [report.table_as_markdown(table, results), ""]
        print(page[-2], flush=True)
        if find_spec("matplotlib"):
            report.draw(options.output / f"{table.key}.png", table, results)
    if options.paths:
        photos = TABLES[0].corpus(options.output.resolve() / "corpora" / "photos", 1000)
        for what, value in memory(own or photos, options.n_jobs, options.paths).items():
            page.append(f"- {what}: {'unknown' if value is None else f'{value:.0f} MiB'}")
        for what, value in import_milliseconds(10).items():
            page.append(f"- import {what}: {value:.0f} ms")
        print("\n".join(page[-5:]))
    (options.output / "performance.md").write_text("\n".join(page) + "\n", encoding="utf-8")
    (options.output / "performance.json").write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
