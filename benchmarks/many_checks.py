"""How long `check_images` takes over very many entries, and how much memory.

Each number of entries is checked in a process of its own: a thousand real files, repeated, the
second half as another split, so that nearly every entry is a copy, and a leak.

    python -m benchmarks.many_checks
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from benchmarks.corpora import repeated, thumbnails
from benchmarks.new_process import in_new_process
from benchmarks.worker import peak_mebibytes
from sknorm_images import check_images


def measure(files: list[str], n_entries: int, details: bool, n_jobs: int) -> dict[str, Any]:
    """Check so many entries, and say how long that took and what memory it needed."""
    check_images(files[:8], details=details)  # what is loaded once
    paths = repeated(files, n_entries)
    target = np.arange(n_entries) % 100
    split = np.where(np.arange(n_entries) < n_entries // 2, "train", "test")
    before = peak_mebibytes() or 0
    start, begun = time.perf_counter(), time.process_time()
    found = check_images(paths, target=target, split=split, details=details, n_jobs=n_jobs)
    taken, worked = time.perf_counter() - start, time.process_time() - begun
    assert found.readable.all()
    assert np.count_nonzero(found.leak_of >= 0) == n_entries - n_entries // 2
    peak = peak_mebibytes() or 0
    return {"seconds": taken, "cpu_seconds": worked, "peak_mib": peak, "before_mib": before}


def main() -> None:
    """Measure each number of entries in a new process, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--entries", type=int, nargs="+", default=[10_000, 1_000_000])
    parser.add_argument("--details", type=int, nargs="*", default=[10_000, 100_000])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    forms = [(n, False) for n in options.entries] + [(n, True) for n in options.details]
    with TemporaryDirectory() as temporary:
        files = thumbnails(Path(temporary), options.files)
        print("| form | entries | seconds | CPU ms per entry | peak, MiB | bytes per entry |")
        print("| --- | ---: | ---: | ---: | ---: | ---: |", flush=True)
        for n, details in forms:
            row = in_new_process("benchmarks.many_checks", [files, n, details, options.n_jobs])
            grown = (row["peak_mib"] - row["before_mib"]) * 2**20 / n
            form = "details" if details else "quick"
            print(
                f"| {form} | {n:,} | {row['seconds']:.1f} | "
                f"{1000 * row['cpu_seconds'] / n:.3f} | "
                f"{row['peak_mib']:.0f} | {grown:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
