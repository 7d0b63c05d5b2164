"""Python's share of an image: the calls that it costs, and the time under Python's lock.

Calls are counted by cProfile: those of one call on all files less those on half of them. The
lock is watched by py-spy, which looks which thread holds it, some hundred times per second, in
a process with one thread. In between that process spins in Python for a known CPU time, so
that samples become milliseconds without trusting the sampler's rate:

    ms under the lock = samples in the work / samples in the spins * CPU ms of the spins

    python -m benchmarks.python_share

On Linux py-spy needs no more than to have started the process; on macOS it needs sudo.
"""

from __future__ import annotations

import argparse
import cProfile
import os
import pstats
import shutil
import sys
import sysconfig
import time
from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks import ours
from benchmarks.contender import Task
from benchmarks.new_process import in_new_process
from benchmarks.one_upload import CORPORA

METHODS = {"transform": ours.transform, "fit": ours.fit}
ENGINES = ("pillow", "simd")
RATE = 250  # samples per second
_SPIN = 0.05  # CPU seconds between two passes


@dataclass(frozen=True)
class Share:
    """CPU milliseconds of one image, and how many of them are under the lock.

    `uncertainty` is two standard errors of the latter, from the number of samples.
    """

    cpu: float
    locked: float
    uncertainty: float


def calls_per_image(files: list[str], size: int, engine: str, method: str) -> float:
    """Calls of Python and C that one image more costs, in one thread."""
    half = files[: len(files) // 2]
    run, run_half = (_one_pass(part, size, engine, method) for part in (files, half))
    run()  # what is set up once
    return (_calls(run) - _calls(run_half)) / (len(files) - len(half))


def _calls(run: Callable[[], None]) -> int:
    profile = cProfile.Profile()
    profile.enable()
    run()
    profile.disable()
    return int(pstats.Stats(profile).total_calls)  # type: ignore[attr-defined] # typeshed lacks it


def _one_pass(files: list[str], size: int, engine: str, method: str) -> Callable[[], None]:
    """Make a function that fits or transforms all files once."""
    batches = METHODS[method](Task(files, size, n_jobs=1), engine=engine)

    def run() -> None:
        for _ in batches():
            pass

    return run


def sampler() -> str | None:
    """Find py-spy beside this Python, or on the path; None where it is not installed."""
    folders = [sysconfig.get_path("scripts"), os.environ.get("PATH", "")]
    return shutil.which("py-spy", path=os.pathsep.join(folders))


def under_lock(module: str, arguments: list[Any]) -> Share:
    """Sample a new process that runs ``measure`` of a module.

    That function calls `watched` and returns what it found, for as many images.
    """
    command = sampler()
    if command is None:
        raise FileNotFoundError("py-spy is not installed. Run: python -m pip install py-spy")
    with TemporaryDirectory() as folder:
        stacks = Path(folder, "stacks.txt")
        record = [command, "record", "--gil", "--nonblocking", "--rate", str(RATE)]
        record += ["--format", "raw", "--output", str(stacks), "--"]
        row = in_new_process(module, arguments, under=record)
        spins, works = (_samples(stacks, frame) for frame in (_spin, _work))
    if not spins:
        raise RuntimeError("py-spy took no samples. May it trace processes here?")
    milliseconds = 1000 * row["spun"] / spins / row["images"]  # one sample, per image
    return Share(
        cpu=1000 * row["worked"] / row["images"],
        locked=works * milliseconds,
        uncertainty=2 * works * milliseconds * sqrt(1 / max(works, 1) + 1 / spins),
    )


def _samples(stacks: Path, frame: Callable[..., Any]) -> int:
    """Count the samples in which a function of this module was running."""
    module = Path(__file__).name
    found = 0
    for line in stacks.read_text(encoding="utf-8").splitlines():
        stack, _, count = line.rpartition(" ")  # "main (a.py:1);inner (a.py:7) 12"
        names = (part.partition(":")[0] for part in stack.split(";"))
        if any(
            name.startswith(f"{frame.__name__} (") and name.endswith(module) for name in names
        ):
            found += int(count)
    return found


def watched(run: Callable[[], Any], n_images: int, seconds: float) -> dict[str, float]:
    """Run and spin in turn for so many CPU seconds of either; to be sampled from outside."""
    run()  # what is set up once, and not to be sampled as work
    worked = spun = 0.0
    images = 0
    while min(worked, spun) < seconds:
        if worked <= spun:
            worked += _cpu_seconds(_work, run)
            images += n_images
        else:
            spun += _cpu_seconds(_spin, _SPIN)
    return {"worked": worked, "spun": spun, "images": images}


def _cpu_seconds(function: Callable[[Any], None], argument: Any) -> float:
    start = time.process_time()
    function(argument)
    return time.process_time() - start


def _work(run: Callable[[], Any]) -> None:
    run()


def _spin(seconds: float) -> None:
    """Hold the lock for some CPU time."""
    end = time.thread_time() + seconds
    while time.thread_time() < end:
        pass


def measure(
    files: list[str], size: int, engine: str, method: str, seconds: float
) -> dict[str, float]:
    """Fit or transform again and again, in a process that py-spy watches."""
    return watched(_one_pass(files, size, engine, method), len(files), seconds)


def main() -> None:
    """Print one row per corpus, method and engine."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--seconds", type=float, default=8, help="CPU time of either kind")
    parser.add_argument("--corpora", nargs="+", choices=CORPORA, default=list(CORPORA))
    options = parser.parse_args()
    if not sampler():
        print("py-spy is not installed: calls are counted, the lock is not.", file=sys.stderr)
    print("| | calls per image | CPU, ms per image | under the lock, ms per image |")
    print("| --- | ---: | ---: | ---: |")
    for name in options.corpora:
        make, size = CORPORA[name]
        with TemporaryDirectory() as folder:
            files = make(Path(folder), options.files)
            for method in METHODS:
                for engine in ENGINES:
                    calls = calls_per_image(files[:128], size, engine, method)
                    cells = _cells(files, size, engine, method, options.seconds)
                    print(
                        f"| {name}, {method}, {engine} | {calls:.0f} | {cells} |", flush=True
                    )


def _cells(files: list[str], size: int, engine: str, method: str, seconds: float) -> str:
    if not sampler():
        return " | "
    share = under_lock("benchmarks.python_share", [files, size, engine, method, seconds])
    return f"{share.cpu:.3f} | {share.locked:.3f} ± {share.uncertainty:.3f}"


if __name__ == "__main__":
    main()
