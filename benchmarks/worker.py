"""One contender in a process of its own: prepares, then runs a pass whenever it is told to.

It reads JSON lines, and answers each with one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contender import Task, decibels


def main() -> None:
    """Serve the process that started this one."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    order = json.loads(sys.stdin.readline())
    task = Task(**order["task"])
    if hasattr(os, "sched_setaffinity"):  # nobody gets more cores than were asked for
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: task.n_jobs])
    try:
        prepare = getattr(import_module(order["module"]), order["function"])
        few = replace(task, files=task.files[:8])
        noise = decibels(prepare, few, **order["options"])
        batches = prepare(task, **order["options"])
        for_nothing = seconds(batches)
    except Exception as error:  # noqa: BLE001 (whatever a peer raises is the answer)
        answer(error=f"{type(error).__name__}: {error}")
        return
    answer(decibels=noise, first=for_nothing)
    for _ in sys.stdin:
        seconds(batches)  # files and memory are warm
        answer(seconds=seconds(batches), peak_mb=peak_megabytes())


def seconds(batches: Callable[[], Iterable[Any]]) -> float:
    """Wall time of one pass; each batch is let go of before the next one is asked for."""
    start = time.perf_counter()
    for batch in batches():
        del batch
    return time.perf_counter() - start


def peak_megabytes() -> float | None:
    """Most memory that this process and its children had, added up; Linux alone tells."""
    pids = [str(os.getpid())]
    try:
        for pid in pids:
            for children in Path("/proc", pid, "task").glob("*/children"):
                pids += children.read_text().split()
        statuses = [Path("/proc", pid, "status").read_text() for pid in pids]
    except OSError:
        return None
    peaks = [line for text in statuses for line in text.splitlines() if "VmHWM" in line]
    return sum(int(line.split()[1]) for line in peaks) / 1000 if peaks else None


if __name__ == "__main__":
    main()
