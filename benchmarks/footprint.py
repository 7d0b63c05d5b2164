"""What the package costs beside time: memory, and the time to import it."""

from __future__ import annotations

import subprocess
import sys
import time
from statistics import median

from benchmarks import ours
from benchmarks.contender import Contender, Task
from benchmarks.corpora import repeated
from benchmarks.rounds import ROOT, Worker
from benchmarks.tables import Row

_SIZE = 224  # pixels, height and width


def growth(
    contender: Contender, files: list[str], *, few: int, many: int, n_jobs: int
) -> float | None:
    """Peak memory for `many` files less that for `few`, in MiB, each in a new process."""
    peaks = []
    for n_files in (few, many):
        worker = Worker(Row("", contender), Task(repeated(files, n_files), _SIZE, n_jobs))
        peaks.append(worker.ask("again").get("peak_mib"))
        worker.close()
    return None if None in peaks else peaks[1] - peaks[0]


def memory(files: list[str], n_jobs: int) -> dict[str, float | None]:
    """Memory that more files take, in MiB, beyond the array that is asked for."""
    fit = growth(ours.fit, files, few=1000, many=20_000, n_jobs=n_jobs)
    transform = growth(ours.transform, files, few=50, many=1000, n_jobs=n_jobs)
    output = (1000 - 50) * _SIZE * _SIZE * 3 * 4 / 2**20
    return {
        "fit on 20,000 paths, more than on 1,000": fit,
        "transform of 1,000 paths, more than of 50, less the output": (
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
