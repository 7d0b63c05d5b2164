"""Damage real JPEG files at random, and hold what JpegLoader makes of them against Pillow.

    python -m tests.fuzzing --cases 100000 --seed 0 --jobs 2 --keep failures

Seed and number say all about a case: ``--seed 0 --case 123`` runs that one again.
"""
# ruff: noqa: T201 (it talks to a person)

from __future__ import annotations

import argparse
import faulthandler
import sys
from pathlib import Path

from PIL import Image, features
from tqdm import tqdm

from tests.fuzzing.cases import make_case
from tests.fuzzing.judge import FAILED, SECONDS, judge
from tests.fuzzing.runner import Failure, Limits, Report, run


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; 0 means that every case ended as it should."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.fuzzing",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--cases", type=_count, default=10_000, help="how many")
    parser.add_argument("--first", type=_count, default=0, help="number of the first case")
    parser.add_argument("--seed", type=_count, default=0)
    parser.add_argument("--jobs", type=_positive, default=2, help="worker processes")
    parser.add_argument("--case", type=_count, help="run this one alone, in this process")
    parser.add_argument("--keep", type=Path, help="folder for files of cases that failed")
    parser.add_argument("--seconds", type=float, default=SECONDS, help="limit of a case")
    parser.add_argument("--mebibytes", type=_positive, default=256, help="limit of a worker")
    options = parser.parse_args(arguments)
    if options.case is not None:
        return _run_one(options.seed, options.case, options.keep, options.seconds)
    numbers = range(options.first, options.first + options.cases)
    limits = _limits(options.seconds, options.mebibytes)
    with tqdm(total=len(numbers), unit=" cases", disable=None) as bar:
        report = run(numbers, options.seed, options.jobs, limits, on_case=bar.update)
    print(summary(report))
    for failure in report.failures:
        print(f"FAILED {make_case(options.seed, failure.number)}: {failure.reason}")
        if options.keep:
            print(f"  kept as {keep(options.keep, options.seed, failure)}")
    if report.was_interrupted:
        return 130
    return 1 if report.failures or report.left_open else 0


def summary(report: Report) -> str:
    """Say in a few lines what became of the cases."""
    refusals = ", ".join(f"{name} {n}" for name, n in report.refused.most_common())
    slowest = report.slowest
    return "\n".join(
        [
            f"Pillow {Image.__version__}, libjpeg-turbo {features.version('libjpeg_turbo')}",
            f"cases:    {report.n_cases} in {report.seconds:.1f} s"
            + (" (interrupted)" if report.was_interrupted else ""),
            f"decoded:  {report.decoded}, as by Pillow",
            f"refused:  {report.refused.total()} ({refusals})",
            f"failed:   {len(report.failures)}",
            f"slowest:  {slowest.milliseconds:.0f} ms (case {slowest.number})",
            f"memory:   peak grew by {report.mebibytes:.0f} MiB in a worker",
            f"handles:  {report.left_open} left open",
        ]
    )


def keep(folder: Path, seed: int, failure: Failure) -> Path:
    """Write the file of a case, and a note beside it that says what happened."""
    folder.mkdir(parents=True, exist_ok=True)
    case = make_case(seed, failure.number)
    path = folder / f"seed-{seed}-case-{failure.number}.jpg"
    path.write_bytes(case.data)
    path.with_suffix(".txt").write_text(f"{case}\n{failure.reason}\n", encoding="utf-8")
    return path


def _run_one(seed: int, number: int, folder: Path | None, seconds: float) -> int:
    faulthandler.dump_traceback_later(
        _limits(seconds).patience, exit=True, file=sys.__stderr__
    )
    case = make_case(seed, number)
    print(case)
    verdict = judge(case.data, case.options, seconds=seconds)
    faulthandler.cancel_dump_traceback_later()
    print(f"{verdict.outcome}: {verdict.reason or 'as by Pillow'}")
    print(f"{verdict.milliseconds:.1f} ms")
    if folder:
        print(f"kept as {keep(folder, seed, Failure(number, verdict.reason))}")
    return 1 if verdict.outcome == FAILED else 0


def _limits(seconds: float, mebibytes: int = 256) -> Limits:
    return Limits(seconds, patience=max(15.0, 3 * seconds), mebibytes=mebibytes)


def _count(text: str) -> int:
    number = int(text)
    if number < 0:
        raise argparse.ArgumentTypeError(f"{number} is negative")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


if __name__ == "__main__":
    sys.exit(main())
