"""Run many cases in worker processes, so that no crash, hang or leak goes unnoticed."""

from __future__ import annotations

import faulthandler
import signal
import sys
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import NamedTuple

from tests.fuzzing.cases import Options, make_case
from tests.fuzzing.corpus import corpus
from tests.fuzzing.judge import (
    DECODED,
    FAILED,
    REFUSED,
    SECONDS,
    Load,
    Verdict,
    judge,
    load,
    n_open_files,
)
from tests.fuzzing.processes import CONTEXT

_CHUNK = 64  # cases that a worker is sent at once
_SECONDS_TO_START = 120.0
_MEBIBYTE = 2**20


@dataclass(frozen=True)
class Limits:
    """What a case, and a worker over all its cases, may take."""

    seconds: float = SECONDS  # of the loader, in one case
    patience: float = 3 * SECONDS  # until a worker is ended: it makes and judges cases too
    mebibytes: int = 256  # growth of a worker's peak memory; 2**20 pixels may take 50
    address_mebibytes: int = 1024  # growth of its address space, which the system enforces


class Failure(NamedTuple):
    """A case that ended as none may."""

    number: int
    reason: str


class Slowest(NamedTuple):
    """The case that took longest."""

    milliseconds: float
    number: int


NOTHING_YET = Slowest(0.0, -1)


@dataclass
class Report:
    """What became of all cases."""

    decoded: int = 0
    refused: Counter[str] = field(default_factory=Counter)  # by what Pillow said
    failures: list[Failure] = field(default_factory=list)
    slowest: Slowest = NOTHING_YET
    mebibytes: float = 0.0  # the largest growth of a worker's peak memory
    left_open: int = 0  # the largest growth of a worker's number of open files
    seconds: float = 0.0
    was_interrupted: bool = False

    @property
    def n_cases(self) -> int:
        """Cases that were run."""
        return self.decoded + self.refused.total() + len(self.failures)

    def add(self, number: int, verdict: Verdict) -> None:
        """Count one case."""
        if verdict.outcome == DECODED:
            self.decoded += 1
        elif verdict.outcome == REFUSED:
            self.refused[verdict.reason] += 1
        else:
            self.failures.append(Failure(number, verdict.reason))
        self.slowest = max(self.slowest, Slowest(verdict.milliseconds, number))


def run(
    numbers: Iterable[int],
    seed: int,
    jobs: int = 2,
    limits: Limits = Limits(),
    load: Load = load,
    on_case: Callable[[], object] = lambda: None,
) -> Report:
    """Run the cases of these numbers.

    A worker that crashes or hangs is a failure of the case that it was at; another one goes
    on behind it. An interrupt ends the run with what is known by then.
    """
    start = time.perf_counter()
    running = _Run(iter(numbers), _Task(seed, limits, load), on_case)
    try:
        for _ in range(jobs):
            running.hire(running.next_chunk())
        while running.workers:
            running.advance()
    except KeyboardInterrupt:
        running.report.was_interrupted = True
    finally:
        for worker in running.workers:
            worker.end()
    running.report.failures.sort()
    running.report.seconds = time.perf_counter() - start
    return running.report


class _Task(NamedTuple):
    """What all workers are told."""

    seed: int
    limits: Limits
    load: Load


class _Message(NamedTuple):
    """What a worker says of one case."""

    number: int
    verdict: Verdict
    mebibytes: float
    left_open: int
    is_last: bool  # its memory grew too much, and it leaves


class _Worker:
    """A process, and the cases that it was sent and did not answer yet."""

    def __init__(self, task: _Task, pending: deque[int]) -> None:
        self.pending = pending
        self.connection, theirs = CONTEXT.Pipe()
        self.process = CONTEXT.Process(target=_work, args=(theirs, task), daemon=True)
        self.process.start()
        theirs.close()
        self.is_ready = False
        self.deadline = time.monotonic() + _SECONDS_TO_START
        self.connection.send(list(pending))

    def end(self) -> None:
        self.process.kill()
        self.process.join()
        self.connection.close()

    def death(self) -> str:
        """Say how it died."""
        self.process.join(timeout=5)
        code = self.process.exitcode
        by = signal.Signals(-code).name if code and code < 0 else f"exit code {code}"
        return f"the process ends by {by}"


class _Run:
    """The workers, what is still to do, and what is known by now."""

    def __init__(
        self, todo: Iterator[int], task: _Task, on_case: Callable[[], object]
    ) -> None:
        self.workers: list[_Worker] = []
        self.report = Report()
        self._todo = todo
        self._task = task
        self._on_case = on_case

    def next_chunk(self) -> deque[int]:
        return deque(islice(self._todo, _CHUNK))

    def hire(self, pending: deque[int]) -> None:
        if pending:
            self.workers.append(_Worker(self._task, pending))

    def advance(self) -> None:
        """Take what the workers have to say, and replace those that say no more."""
        ready = wait([worker.connection for worker in self.workers], timeout=0.1)
        for worker in list(self.workers):
            if worker.connection in ready:
                try:
                    message = worker.connection.recv()
                except (EOFError, ConnectionError):
                    self._replace(worker, worker.death())
                else:
                    self._take(worker, message)
            elif time.monotonic() > worker.deadline:
                patience = self._task.limits.patience
                self._replace(worker, f"it hangs: no answer in {patience:.1f} s")

    def _take(self, worker: _Worker, message: _Message | None) -> None:
        worker.is_ready = True
        worker.deadline = time.monotonic() + self._task.limits.patience
        if message is None:  # it is ready to start, no more
            return
        worker.pending.popleft()
        self._count(message.number, message.verdict)
        self.report.mebibytes = max(self.report.mebibytes, message.mebibytes)
        self.report.left_open = max(self.report.left_open, message.left_open)
        if message.is_last:
            self._dismiss(worker)
            self.hire(worker.pending or self.next_chunk())
        elif not worker.pending:
            worker.pending = self.next_chunk()
            if worker.pending:
                with suppress(ConnectionError):  # it died: the next round finds its end
                    worker.connection.send(list(worker.pending))
            else:
                self._dismiss(worker)

    def _replace(self, worker: _Worker, problem: str) -> None:
        self._dismiss(worker)
        if not worker.is_ready:
            raise RuntimeError(f"A worker of the fuzzer cannot start. {problem}")
        self._count(worker.pending.popleft(), Verdict(FAILED, problem))
        self.hire(worker.pending or self.next_chunk())

    def _dismiss(self, worker: _Worker) -> None:
        worker.end()
        self.workers.remove(worker)

    def _count(self, number: int, verdict: Verdict) -> None:
        self.report.add(number, verdict)
        self._on_case()


def _work(connection: Connection, task: _Task) -> None:
    """Answer cases until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends the workers
    faulthandler.enable()
    for data in corpus().values():  # what is loaded and set up once
        judge(data, Options())
        judge(data, Options(size=(8, 8), as_path=True))
    _limit_memory(task.limits)
    peak, n_open = _peak_mebibytes(), n_open_files()
    connection.send(None)
    with suppress(EOFError, ConnectionError):
        while True:
            for number in connection.recv():
                verdict = _verdict(task, number)
                growth = _peak_mebibytes() - peak
                is_too_much = growth > task.limits.mebibytes
                if is_too_much and verdict.outcome != FAILED:
                    reason = f"peak memory grew by {growth:.0f} MiB up to this case"
                    verdict = Verdict(FAILED, reason, verdict.milliseconds)
                left_open = n_open_files() - n_open
                connection.send(_Message(number, verdict, growth, left_open, is_too_much))
                if is_too_much:
                    return


def _verdict(task: _Task, number: int) -> Verdict:
    try:
        case = make_case(task.seed, number)
        return judge(case.data, case.options, task.load, task.limits.seconds)
    except Exception as error:  # noqa: BLE001 (one case that cannot be judged ends no run)
        return Verdict(FAILED, f"the fuzzer itself raises {type(error).__name__}: {error}")


def _limit_memory(limits: Limits) -> None:
    """Let what asks for far too much fail at once, with a MemoryError in that case."""
    if sys.platform != "linux":
        return  # macOS takes the limit and ignores it, Windows has none
    import resource

    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + limits.address_mebibytes * _MEBIBYTE
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # crashes are told, not dumped


def _peak_mebibytes() -> float:
    if sys.platform == "linux":  # where ru_maxrss may be that of the parent process
        status = Path("/proc/self/status").read_text()
        return int(status.split("VmHWM:")[1].split()[0]) * 1024 / _MEBIBYTE
    if sys.platform == "win32":
        return 0.0
    import resource

    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / _MEBIBYTE
