"""Whether the workers of a cluster have this package, and make the same pixels as we do here.

A task that a worker cannot unpickle ends Dask's connection to it, and joblib waits for ever
for a task that no worker runs. So workers are asked before they get any work.
"""

from __future__ import annotations

import platform
import sys
import warnings
from collections.abc import Mapping
from contextlib import suppress
from importlib.util import find_spec
from typing import Any

import PIL
from joblib import Parallel, delayed, effective_n_jobs
from PIL import features

from sknorm_images._common.exceptions import WorkerVersionWarning
from sknorm_images._common.versions import __version__
from sknorm_images._common.wording import shorten, show_some

_PACKAGE = "sknorm_images"


def versions_here() -> dict[str, str]:
    """Tell the versions of what decides which pixels this process makes of a photo."""
    turbo = features.version("libjpeg_turbo")
    return {
        _PACKAGE: __version__,
        "Pillow": PIL.__version__,
        "libjpeg": f"turbo {turbo}" if turbo else str(features.version("jpg")),
    }


def check_dask_workers(client: Any) -> None:
    """Ask all workers of a Dask client, as `check_reports` describes.

    One that lacks the package cannot unpickle the question, and that is its answer. The
    scheduler, too, unpickles what it is told to hand out.
    """
    reports = client.run(versions_here, on_error="return")
    try:
        client.run_on_scheduler(versions_here)
    except Exception as error:  # noqa: BLE001 (Dask raises a plain one, whatever failed there)
        reports["the scheduler"] = error
    check_reports(reports)


def dask_behind_joblib() -> Any:
    """Return the current Dask client if joblib's backend is Dask, else None.

    joblib doesn't tell its backend. Only Dask's answers with all cores of its cluster,
    however many jobs are requested.
    """
    if (client := current_dask_client()) is None:
        return None
    n_cores = sum(client.ncores().values())
    return client if n_cores > 1 and effective_n_jobs(n_cores + 1) == n_cores else None


def current_dask_client() -> Any:
    """Return the client of Dask that is current in this thread; None if there is none.

    There is none within a task, where asking for it would make one, and where the process
    that submitted the task has asked the workers already.
    """
    if (distributed := sys.modules.get("distributed")) is None:
        return None
    with suppress(ValueError):  # unless this is a task
        distributed.get_worker()
        return None
    try:
        client = distributed.get_client()
    except ValueError:
        return None
    return None if client.asynchronous else client  # in a coroutine, which would have to wait


def check_pool(parallel: Parallel, n_workers: int) -> None:
    """Ask all workers of a pool that joblib holds open, as `check_reports` describes.

    The pool of Ray hands out jobs to its workers in turn. A worker without the package can run
    functions of Python itself.
    """
    hosts = parallel(delayed(platform.node)() for _ in range(n_workers))
    found = parallel(delayed(find_spec)(_PACKAGE) for _ in range(n_workers))
    names = [f"{host} (worker {i})" for i, host in enumerate(hosts)]
    if all(found):
        reports = parallel(delayed(versions_here)() for _ in range(n_workers))
    else:
        missing = ModuleNotFoundError(f"No module named '{_PACKAGE}'")
        reports = [None if spec else missing for spec in found]
    check_reports(dict(zip(names, reports, strict=True)))


def check_reports(reports: Mapping[str, Any]) -> None:
    """Raise ImportError, or warn, unless all workers have what this process has.

    `reports` has what `versions_here` returned or raised in each of them, or None. A worker
    that was lost meanwhile, say, has not answered, and is left to the cluster.
    """
    lacking = {who: error for who, error in reports.items() if _is_missing(error)}
    if lacking:
        who = show_some(lacking, lambda name: f"{name} ({shorten(lacking[name], 200)})")
        raise ImportError(
            f"{_PACKAGE} {__version__} cannot be imported everywhere in the cluster: {who}. "
            "Install this version there, and start these processes again."
        )
    here = versions_here()
    others = {
        who: found
        for who, found in reports.items()
        if isinstance(found, Mapping) and found != here
    }
    if others:
        # It is about the cluster, not a line of the caller.
        warnings.warn(WorkerVersionWarning(others, here), stacklevel=1)


def _is_missing(error: object) -> bool:
    """Whether an import failed; Dask makes text of what its scheduler raises."""
    is_import = isinstance(error, ImportError)
    return is_import or (isinstance(error, Exception) and "No module named" in str(error))
