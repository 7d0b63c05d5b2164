"""Whether a fit of very many files costs more an image than one of a few.

Each number of paths is fitted at 32 x 32 in a process of its own: a thousand real files,
repeated. Beside the rate and the peak of memory stands what it costs to schedule a chunk of
at most 32 images: the same chunks are mapped with nothing done in them.

    python -m benchmarks.many_files
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.corpora import photos, repeated
from benchmarks.new_process import in_new_process
from benchmarks.worker import peak_mebibytes
from sknorm_images import make_image_pipeline
from sknorm_images._common.failures import Failures

_AT_LEAST = 5.0  # seconds of fits, so that few files are timed as well as many


def measure(files: list[str], n_paths: int, size: int, n_jobs: int) -> dict[str, Any]:
    """Fit so many paths until the clock can tell, then schedule them with nothing to do."""
    paths = repeated(files, n_paths)
    pipeline = make_image_pipeline((size, size), n_jobs=n_jobs)
    pipeline.fit(files)  # what is loaded and set up once
    n_fits, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < _AT_LEAST:
        pipeline.fit(paths)
        n_fits += 1
    assert pipeline[-1].n_samples_seen_ == n_paths
    chunks: list[int] = []
    start = time.perf_counter()
    pipeline[:-1].transform(paths)._reduce(_nothing, advance=chunks.append)
    scheduling = time.perf_counter() - start
    return {
        "rate": n_paths * n_fits / taken,
        "peak_mib": peak_mebibytes() or 0,
        "chunks": len(chunks),
        "microseconds_a_chunk": scheduling / len(chunks) * 1e6,
    }


def _nothing(*chunk: Any) -> tuple[Failures, None]:
    return Failures(), None


def main() -> None:
    """Measure each number of paths in a new process, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--paths", type=int, nargs="+", default=[1000, 10_000, 200_000])
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--size", type=int, default=32)
    parser.add_argument("--n-jobs", type=int, default=2)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        files = photos(Path(temporary), options.files)
        print("| paths | images/s | peak, MiB | chunks | scheduling, µs per chunk |")
        print("| ---: | ---: | ---: | ---: | ---: |", flush=True)
        for n_paths in options.paths:
            arguments = [files, n_paths, options.size, options.n_jobs]
            row = in_new_process("benchmarks.many_files", arguments)
            print(
                f"| {n_paths:,} | {row['rate']:,.0f} | {row['peak_mib']:.0f} | "
                f"{row['chunks']:,} | {row['microseconds_a_chunk']:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
