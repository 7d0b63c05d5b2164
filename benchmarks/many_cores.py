"""What one process can do on many cores, from what an image takes under Python's lock.

One thread at a time holds the lock, so that no number of cores makes one process faster than
one image per time under the lock; below that, n cores do at most n times as many as one:

    threads: at most min(n / CPU time, 1 / time under the lock)
    processes: at most n / CPU time, as each has a lock of its own

Neither counts what it takes to wait for the lock, to share memory and its bandwidth, or to
send chunks to processes, so that these are limits, not forecasts. Beside them stands what was
measured, for as many cores as there are, in threads and in processes of joblib's "loky".

    python -m benchmarks.many_cores
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from joblib import cpu_count

from benchmarks.contender import Task
from benchmarks.one_upload import CORPORA
from benchmarks.python_share import ENGINES, METHODS, Share, under_lock
from benchmarks.rounds import measure
from benchmarks.tables import Row, Table

_Key = tuple[str, str, str, int]  # method, engine, threads or processes, cores
THREADS, PROCESSES = "threads", "processes"


def at_most(share: Share, n_cores: int, *, processes: bool = False) -> float:
    """Images per second that so many cores cannot exceed."""
    rate = 1000 * n_cores / share.cpu
    if processes or not share.locked:
        return rate
    return min(rate, 1000 / share.locked)


def measured(
    corpus: str,
    make: Callable[[Path, int], list[str]],
    task: Task,
    cores: list[int],
    n_rounds: int,
) -> dict[_Key, float]:
    """Median images per second by method, engine, threads or processes, and cores.

    Each has a process of its own and as many cores as it has jobs; all take turns.
    """
    rows: dict[_Key, Row] = {}
    for method, contender in METHODS.items():
        for engine in ENGINES:
            for n in cores:
                key = (method, engine, THREADS, n)
                rows[key] = Row(" ".join(map(str, key)), contender, {"engine": engine}, n)
                if n > 1:  # one job needs no other process
                    key = (method, engine, PROCESSES, n)
                    options = {"engine": engine, "backend": "loky"}
                    rows[key] = Row(" ".join(map(str, key)), contender, options, n)
    together = Table(
        "many-cores", corpus, make, len(task.files), task.size, list(rows.values())
    )
    results = measure(together, task, n_rounds)
    for result in results:
        if result.why_not:
            raise RuntimeError(f"{result.name}: {result.why_not}")
    return {key: median(result.rates) for key, result in zip(rows, results, strict=True)}


def main() -> None:
    """Print one table per corpus."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=4000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cores", nargs="+", type=int, default=[1, 2, 8, 32, 64])
    parser.add_argument("--seconds", type=float, default=8, help="CPU time of the sampler")
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=["thumbnails"])
    options = parser.parse_args()
    there = [n for n in options.cores if n <= cpu_count()]
    for name in options.corpora:
        make, size = CORPORA[name]
        with TemporaryDirectory() as folder:
            files = make(Path(folder), options.files)
            shares = {
                (method, engine): under_lock(
                    "benchmarks.python_share",
                    [files[:400], size, engine, method, options.seconds],
                )
                for method in METHODS
                for engine in ENGINES
            }
            rates = measured(name, make, Task(files, size, 1), there, options.rounds)
        print(f"\n{name} to {size} x {size}, images per second\n")
        print(table(shares, rates, options.cores), flush=True)


def table(
    shares: dict[tuple[str, str], Share], rates: dict[_Key, float], cores: list[int]
) -> str:
    """Limits and what was measured: one row per method, engine and number of cores."""
    lines = [
        "| | ms | under the lock | cores | threads, at most | measured "
        "| processes, at most | measured |",
        f"| --- |{' ---: |' * 7}",
    ]
    for (method, engine), share in shares.items():
        for n in cores:
            cells = [f"{method}, {engine}", f"{share.cpu:.3f}", f"{share.locked:.3f}", f"{n}"]
            for where in (THREADS, PROCESSES):
                rate = rates.get((method, engine, where, n))
                cells.append(f"{at_most(share, n, processes=where == PROCESSES):,.0f}")
                cells.append("" if rate is None else f"{rate:,.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
