"""What joblib's backends cost: a chunk with nothing to do, and a fit.

Each backend runs in a process of its own, with two workers on this machine:

    python -m benchmarks.backends
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory

import joblib

from benchmarks.corpora import photos
from benchmarks.new_process import in_new_process
from sknorm_images import make_image_pipeline
from sknorm_images._common.parallel import map_chunks

BACKENDS = ["threading", "loky", "multiprocessing", "dask", "ray"]
LIBRARIES = {"dask": "distributed", "ray": "ray"}


def measure(backend: str, files: list[str], n_chunks: int, size: int) -> dict[str, float]:
    """Time chunks that do nothing, then a fit of all files, both when the workers are up."""
    with _workers(backend), joblib.parallel_config(backend, n_jobs=2):
        _seconds_for_nothing(16)  # the workers come up
        few = _seconds_for_nothing(16)  # what every call costs, whatever it does
        cpu = time.process_time()
        many = _seconds_for_nothing(n_chunks)
        cpu = time.process_time() - cpu
        pipeline = make_image_pipeline((size, size)).fit(files[:64])
        start = time.perf_counter()
        pipeline.fit(files)
        taken = time.perf_counter() - start
    return {
        "milliseconds_a_chunk": (many - few) / (n_chunks - 16) * 1000,
        "own_milliseconds_a_chunk": cpu / n_chunks * 1000,
        "seconds_a_call": few,
        "rate": len(files) / taken,
    }


def _seconds_for_nothing(n_chunks: int) -> float:
    start = time.perf_counter()
    for _ in map_chunks(int, n_chunks, lambda rows: (), largest_chunk=1):
        pass
    return time.perf_counter() - start


@contextmanager
def _workers(backend: str) -> Iterator[None]:
    if backend == "dask":
        from distributed import Client, LocalCluster

        with (
            LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as cluster,
            Client(cluster),
        ):
            yield
    elif backend == "ray":
        import ray
        from ray.util.joblib import register_ray

        register_ray()
        ray.init(num_cpus=2, include_dashboard=False, logging_level="error")
        yield
        ray.shutdown()
    else:
        yield


def main() -> None:
    """Measure each backend in a new process, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--repeat", type=int, default=6, help="how often each file is fitted")
    parser.add_argument("--chunks", type=int, default=3000)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    options = parser.parse_args()
    with TemporaryDirectory() as temporary:
        files = photos(Path(temporary), options.files) * options.repeat
        print(
            "| backend | ms per chunk | of it in the submitting process | s per call | fit |"
        )
        print("| --- | ---: | ---: | ---: | ---: |", flush=True)
        for backend in options.backends:
            if not find_spec(LIBRARIES.get(backend, "joblib")):
                print(f"| {backend} | not installed |", flush=True)
                continue
            arguments = [backend, files, options.chunks, options.size]
            row = in_new_process("benchmarks.backends", arguments)
            print(
                f"| {backend} | {row['milliseconds_a_chunk']:.2f} | "
                f"{row['own_milliseconds_a_chunk']:.2f} | {row['seconds_a_call']:.2f} | "
                f"{row['rate']:,.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
