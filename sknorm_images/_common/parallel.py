"""Map chunks of work with joblib: in order, in bounded memory, with progress."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, nullcontext, suppress
from itertools import chain
from math import prod
from multiprocessing import current_process
from threading import get_ident
from typing import Any, Generic, Literal, TypeAlias, TypeVar

from joblib import Parallel, cpu_count, delayed, effective_n_jobs, parallel_config

from sknorm_images._common.cancellation import Cancellation, Cancelled
from sknorm_images._common.shared_array import can_share_memory
from sknorm_images._common.workers import check_dask_workers, check_pool, dask_behind_joblib

T = TypeVar("T")

# How far chunks may go: into whatever workers joblib has, into other processes of this
# machine, or only into threads of this process.
Reach: TypeAlias = Literal["cluster", "machine", "process"]

_IMAGES_PER_CHUNK = 32  # tens of milliseconds of decoding, far above joblib's overhead
_NUMBERS_PER_CHUNK = 2**20  # of an array; 8 MiB of float64 while its moments are computed
_FEW_WORKERS = 8  # with more, chunks grow: one process can only hand out so many
_CHUNKS_AHEAD = 1024  # their results, kilobytes each, may wait for a slow one
_CHUNKS_PER_LIST = 8  # per worker, where a backend returns all results at once


def map_chunks(
    function: Callable[..., T],
    n_items: int,
    arguments: Callable[[slice], tuple[Any, ...]],
    *,
    largest_chunk: int = _IMAGES_PER_CHUNK,
    multiple_of: int = 1,
    chunk_size: int | None = None,
    n_jobs: int | None = None,
    reach: Reach = "cluster",
    verbose: int = 0,
    description: str = "",
) -> Generator[tuple[slice, T]]:
    """Yield `rows` and ``function(*arguments(rows))`` for consecutive slices, in order.

    The slices cover ``range(n_items)``. `arguments` is called just before a chunk is
    dispatched. With a `reach` of "process", chunks run in threads of this process, at most one
    per core, whatever backend is configured. With "machine", as for chunks that write into a
    `SharedArray`, they run in loky's processes, too, where joblib is configured for these and
    memory can be shared; with "cluster", wherever joblib runs them. `n_jobs` is joblib's; None
    asks ``joblib.parallel_config``, and otherwise means one. With `verbose` above 0, a
    progress bar called `description` counts the items.

    No chunk holds more than `largest_chunk` items, which is multiplied where there are many
    workers unless all are threads here; towards the end, chunks are smaller. Each begins at a
    multiple of `multiple_of` items, and all but the last hold at least as many. `chunk_size`
    replaces both with one size for all chunks but the last.

    While one chunk or the consumer is slow, at most about a thousand other chunks are worked
    on ahead, which bounds the results that wait, however many chunks there are. When the
    consumer closes the generator early, or an interrupt does, no more chunks start, and those
    in threads of this process are cancelled and awaited. Those in other processes are awaited
    in the first case; in the second, joblib kills the processes. A second interrupt ends the
    waiting.
    """
    reach, n_jobs = _workers(reach, n_jobs, n_items)
    if chunk_size is not None:
        largest_chunk = multiple_of = chunk_size
    elif reach != "process":
        largest_chunk *= max(1, n_jobs // _FEW_WORKERS)
    chunks = list(_shrinking(n_items, n_jobs, largest_chunk, multiple_of))
    task = _Task(function)
    stopped = False
    n_begun = n_yielded = 0

    def begin(n_ahead: int) -> Iterator[tuple[Any, ...]]:
        nonlocal n_begun
        while not stopped and n_begun < min(len(chunks), n_yielded + n_ahead):
            rows = chunks[n_begun]
            n_begun += 1
            yield arguments(rows)

    if reach != "cluster":
        n_jobs = min(n_jobs, max(1, len(chunks)))
    results: Iterator[T]
    if reach != "cluster" and n_jobs == 1:  # joblib would do so, with hundreds of calls
        results = (task(*given) for given in begin(1))
    else:
        results = _run(
            lambda n_ahead: (delayed(task)(*given) for given in begin(n_ahead)), n_jobs, reach
        )
    with _progress(n_items, verbose, description) as bar:
        try:
            for rows, result in zip(chunks, results, strict=True):
                if bar is not None:
                    bar.update(rows.stop - rows.start)
                n_yielded += 1
                yield rows, result
        finally:
            stopped = True
            task.cancellation.cancel()
            with suppress(Exception, Cancelled):
                for _ in results:  # joblib warns of results that are not fetched
                    pass
            task.wait()  # joblib does not, after an interrupt


def map_rows(
    X: Any,
    function: Callable[[slice], T],
    *,
    n_jobs: int | None = None,
    multiple_of: int | None = None,
) -> Generator[tuple[slice, T]]:
    """Yield `rows` and ``function(rows)`` for slices of an array, in local threads.

    If `multiple_of` is None, an array that is stored in chunks is cut between them. It and
    `n_jobs` are as in `map_chunks`.
    """
    if multiple_of is None:
        multiple_of = int(getattr(X, "n_images_per_chunk", 1))
    results = map_chunks(
        function,
        len(X),
        lambda rows: (rows,),
        largest_chunk=max(1, _NUMBERS_PER_CHUNK // max(1, prod(X.shape[1:]))),
        multiple_of=multiple_of,
        n_jobs=n_jobs,
        reach="process",
    )
    with closing(results):
        yield from results


class _Task(Generic[T]):
    """A function whose calls in threads of this process can be cancelled and awaited.

    A copy in another process is never cancelled.
    """

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        # What a cluster's dashboard shows; it keeps a record of every name that it sees.
        self.__name__ = getattr(function, "__name__", type(function).__name__)
        self.cancellation = Cancellation()
        self._threads: set[int] = set()  # those within a call

    def __call__(self, *arguments: Any) -> T:
        self._threads.add(get_ident())
        try:
            return self.cancellation.run(self._function, *arguments)
        finally:
            self._threads.discard(get_ident())

    def __reduce__(self) -> tuple[Any, ...]:
        return _Task, (self._function,)

    def wait(self) -> None:
        # No lock or condition: a second interrupt could leave it held.
        while self._threads - {get_ident()}:
            time.sleep(0.001)


def _workers(reach: Reach, n_jobs: int | None, n_items: int) -> tuple[Reach, int]:
    """Say how far chunks go, and how many of them at once.

    Work stays in this process if it may not leave the machine, and others cannot help.
    Backends that only return lists are told from loky later: Ray's is a cluster, too.
    """
    if reach != "cluster" and n_items <= 1:  # an upload, say
        return "process", 1
    if reach == "machine":
        if _n_workers(n_jobs, "process") == 1:  # so that Dask's scheduler is not asked
            return "process", 1
        is_alone = current_process().daemon or not can_share_memory()
        if is_alone or dask_behind_joblib() is not None:
            reach = "process"
    return reach, _n_workers(n_jobs, reach)


def _n_workers(n_jobs: int | None, reach: Reach) -> int:
    """Turn joblib's `n_jobs` into a number, which joblib has to be given.

    Where n_jobs is None and threads are only preferred or required, it runs one job, whatever
    parallel_config says.
    """
    is_daemon = reach == "process" and current_process().daemon
    # In a worker of PyTorch's DataLoader, say, joblib would warn that it starts no processes.
    with parallel_config(backend="threading") if is_daemon else nullcontext():
        n_workers = int(effective_n_jobs(n_jobs))
    if n_workers == 1:
        return 1
    # More workers than cores (of this machine, or of a cluster) only cost memory.
    n_cores: int = effective_n_jobs(-1) if reach == "cluster" else cpu_count()
    return min(n_workers, n_cores)


def _shrinking(n_items: int, n_jobs: int, largest: int, multiple_of: int) -> Iterator[slice]:
    """Cut ``range(n_items)`` so that all jobs end at about the same time.

    A chunk is an even share of half of what is left ("guided self-scheduling"), so the last
    ones, which some job has to wait for, are short.
    """
    start = 0
    while start < n_items:
        size = min(largest, (n_items - start) // (2 * n_jobs))
        size = max(multiple_of, size - size % multiple_of)
        yield slice(start, min(start + size, n_items))
        start += size


def _run(tasks: Callable[[int], Iterator[Any]], n_jobs: int, reach: Reach) -> Iterator[Any]:
    """Yield the results of ``tasks(n_ahead)``, repeated until there are no more."""
    # joblib parses its default of pre_dispatch as Python code, which threads of Python 3.11
    # cannot do at the same time.
    options: dict[str, Any] = {"n_jobs": n_jobs, "batch_size": 1, "pre_dispatch": 2 * n_jobs}
    if reach == "process":
        options["backend"] = "threading"
    else:
        options["prefer"] = "threads"
    try:
        parallel = Parallel(return_as="generator", **options)
    except ValueError:  # multiprocessing's and Ray's backends only return lists
        parallel = None
    if parallel is None and reach == "machine":
        yield from _run(tasks, n_jobs, "process")
    elif parallel is None:
        with Parallel(**options) as pool:
            check_pool(pool, n_jobs)
            while some := _unless_empty(tasks(_CHUNKS_PER_LIST * n_jobs)):
                yield from pool(some)
    else:
        if reach == "cluster" and n_jobs > 1 and (dask := dask_behind_joblib()) is not None:
            check_dask_workers(dask)
        while some := _unless_empty(tasks(max(_CHUNKS_AHEAD, 4 * n_jobs))):
            yield from parallel(some)


def _unless_empty(iterator: Iterator[T]) -> Iterator[T] | None:
    return next((chain([first], iterator) for first in iterator), None)


def _progress(total: int, verbose: int, description: str) -> Any:
    if verbose <= 0:
        return nullcontext()
    from tqdm.auto import tqdm  # only here: it looks for notebooks when imported

    class Bar(tqdm):
        monitor_interval = 0  # no thread, which Ctrl-C cannot end while it starts

    return Bar(total=total, desc=description, unit="image")
