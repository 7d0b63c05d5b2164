"""Contenders of a table in turn, each in its own process, round after round."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict, dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks.contender import Task
from benchmarks.corpora import repeated
from benchmarks.in_turn import rotated
from benchmarks.tables import Row, Table

ROOT = Path(__file__).parent.parent
ENVIRONMENT = os.environ | {"TF_CPP_MIN_LOG_LEVEL": "3"}
if find_spec("tensorflow"):  # which most loaders of Keras need, whatever its backend
    ENVIRONMENT["KERAS_BACKEND"] = "tensorflow"


@dataclass
class Result:
    """What a row of a table showed."""

    name: str
    rates: list[float] = field(default_factory=list)  # images per second, round by round
    decibels: float | None = None
    peak_mib: float | None = None
    why_not: str = ""


class Worker:
    """The process of one row."""

    def __init__(self, row: Row, task: Task) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker"],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        if hasattr(os, "sched_setaffinity"):  # nobody gets more cores than were asked for
            cores = sorted(os.sched_getaffinity(0))[: task.n_jobs]
            os.sched_setaffinity(self._process.pid, cores)
        order = {
            "module": row.contender.prepare.__module__,
            "function": row.contender.prepare.__name__,
            "options": row.options,
            "task": asdict(task),
        }
        self.ready = self.ask(json.dumps(order))

    def ask(self, line: str) -> dict[str, Any]:
        """Write one line, and read one."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(line + "\n")
            self._process.stdin.flush()
            answer = self._process.stdout.readline()
        except BrokenPipeError:
            answer = ""
        return json.loads(answer) if answer else {"error": "its process died"}

    def close(self) -> None:
        """Let the process end, and wait for it."""
        with self._process as process:  # which closes the pipes
            assert process.stdin is not None
            process.stdin.close()
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()


def measure(table: Table, task: Task, n_rounds: int) -> list[Result]:
    """Run all rows of a table `n_rounds` times, each round with another one first.

    Parameters
    ----------
    table : Table
        The rows.
    task : Task
        What each of them does.
    n_rounds : int
        How many times.

    Returns
    -------
    list of Result
        In the order of the rows; what could not run says why.
    """
    results = [Result(row.name) for row in table.rows]
    running: list[tuple[Result, Worker]] = []
    try:
        for row, result in zip(table.rows, results, strict=True):
            if absent := row.contender.missing():
                result.why_not = f"not installed: {', '.join(absent)}"
                continue
            n_files = max(1, int(row.times * len(task.files)))
            files = repeated(task.files, n_files)
            worker = Worker(row, replace(task, files=files, n_jobs=row.n_jobs or task.n_jobs))
            result.why_not = worker.ready.get("error", "")
            result.decibels = worker.ready.get("decibels")
            if result.decibels is not None and result.decibels < table.at_least_decibels:
                result.why_not = f"other pictures: {result.decibels:.0f} dB"
            if result.why_not:
                worker.close()
            else:
                running.append((result, worker))
        for i in range(n_rounds):
            for result, worker in rotated(running, i):
                answer = worker.ask("again")
                if "error" in answer:
                    result.why_not = result.why_not or answer["error"]
                    continue
                result.rates.append(answer["rate"])
                # None where a thread ended while it was being asked about.
                result.peak_mib = answer["peak_mib"] or result.peak_mib
    finally:
        for _, worker in running:
            worker.close()
    return results
