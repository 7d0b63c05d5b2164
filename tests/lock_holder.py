"""Work with a known time under Python's lock, for a sampler to find."""

from __future__ import annotations

import hashlib
import time
from typing import Any

from benchmarks.python_share import watched

MILLISECOND = 1e-3
_CONTENT = bytes(2_000_000)  # hashlib lets go of the lock while it reads it, for over 1 ms


def measure(n_held: int, seconds: float) -> dict[str, Any]:
    """Hold the lock for so many milliseconds of CPU per image, and work without it."""

    def run() -> None:
        for _ in range(10):
            end = time.thread_time() + n_held * MILLISECOND
            while time.thread_time() < end:
                pass
            hashlib.sha1(_CONTENT, usedforsecurity=False)

    return watched(run, 10, seconds)
