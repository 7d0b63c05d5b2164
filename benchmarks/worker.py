"""One contender in a process of its own: prepares, then runs a pass whenever it is told to.

It reads what to run as one line of JSON, then a line for every pass, and answers in JSON.
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

from benchmarks.contender import NotInstalledError, Task, decibels


def main() -> None:
    """Serve the process that started this one."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print goes elsewhere

    def answer(**values: Any) -> None:
        print(json.dumps(values), file=answers, flush=True)

    order = json.loads(sys.stdin.readline())
    task = Task(**order["task"])
    try:
        contender = getattr(import_module(order["module"]), order["function"])
        few = replace(task, files=task.files[:8])
        likeness = decibels(contender, few, **order["options"])
        batches = contender(task, **order["options"])
        rate(batches, len(task.files))
        answer(decibels=likeness)
        for _ in sys.stdin:
            rate(batches, len(task.files))  # so that files and memory are warm
            answer(rate=rate(batches, len(task.files)), peak_mib=peak_mebibytes())
    except NotInstalledError as error:
        answer(error=f"not installed: {error}")
    except Exception as error:  # noqa: BLE001 (whatever a peer raises is the answer)
        answer(error=" ".join(f"{type(error).__name__}: {error}".split()))


def rate(batches: Callable[[], Iterable[Any]], n_files: int) -> float:
    """Images per second of one pass; each batch is released before the next is requested."""
    n_pictures = 0
    start = time.perf_counter()
    for batch in batches():
        n_pictures += len(batch)  # a last batch that is filled up counts in full
        del batch
    taken = time.perf_counter() - start
    return (n_pictures or n_files) / taken


def peak_mebibytes() -> float | None:
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
    return sum(int(line.split()[1]) for line in peaks) / 1024 if peaks else None


if __name__ == "__main__":
    main()
