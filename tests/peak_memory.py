"""The peak of the memory of a process, which is one that does nothing else."""

from __future__ import annotations

from tests import new_process

MEASURE = """
import resource
from pathlib import Path

import numpy as np
from sknorm_images import ChannelStandardScaler, JpegLoader, Resizer

MEGABYTE = 10**6


def peak():
    # On Linux ru_maxrss may be that of the process which started this one.
    status = Path("/proc/self/status")
    if status.exists():
        [line] = [line for line in status.read_text().splitlines() if "VmHWM" in line]
        return int(line.split()[1]) * 1024 / MEGABYTE
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / MEGABYTE


def fit(paths, size):
    images = JpegLoader(n_jobs=2).transform(paths)
    if size is not None:
        images = Resizer(size).transform(images)
    ChannelStandardScaler().fit(images)
"""


def measure(code: str, **inputs: object) -> dict[str, float]:
    """Run code that prints what it measured, with `peak` and `fit`."""
    return new_process.answer(MEASURE + code, **inputs)
