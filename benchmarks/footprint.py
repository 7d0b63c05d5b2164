"""What the package costs beside time: memory, and the time to import it."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from benchmarks import ours
from benchmarks.contender import Task
from benchmarks.corpora import repeated
from benchmarks.rounds import ROOT, Worker
from benchmarks.tables import Row

MEBIBYTE = 2**20 / 1e6  # in megabytes


def growth(
    row: Row, files: list[str], few: int, many: int, size: int, n_jobs: int
) -> float | None:
    """Peak memory for `many` files less that for `few`, in MiB, each in a new process."""
    peaks = []
    for n_files in (few, many):
        worker = Worker(row, Task(repeated(files, n_files), size, n_jobs))
        peaks.append(worker.ask("again").get("peak_mb"))
        worker.close()
    return None if None in peaks else (peaks[1] - peaks[0]) / MEBIBYTE


def memory(files: list[str], n_jobs: int) -> dict[str, float | None]:
    """Memory that more files take, in MiB, beyond the array that is asked for."""
    size, many = 224, 20_000
    fit = growth(Row("fit", ours.fit), files, 1000, many, size, n_jobs)
    few = 50
    transform = growth(Row("transform", ours.transform), files, few, 1000, size, n_jobs)
    output = (1000 - few) * size * size * 3 * 4 / 2**20
    return {
        f"fit on {many:,} paths, more than on 1,000": fit,
        f"transform of 1,000 paths, more than of {few}, less the output": (
            None if transform is None else transform - output
        ),
    }


def import_milliseconds(repeats: int) -> dict[str, float]:
    """Median time of imports in new processes, without that to start Python."""
    programs = {
        "nothing": "pass",
        "sklearn": "import sklearn",
        "sklearn.pipeline and PIL.Image": "import sklearn.pipeline, PIL.Image",
        "sklearn, then sknorm_images": "import sklearn, sknorm_images",
    }
    times: dict[str, list[float]] = {name: [] for name in programs}
    for _ in range(repeats):
        for name, code in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
            times[name].append(1000 * (time.perf_counter() - start))
    base = median(times.pop("nothing"))
    return {name: median(taken) - base for name, taken in times.items()}
