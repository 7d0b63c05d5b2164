"""Where the processes come from that decode damaged and dear files."""

from __future__ import annotations

import multiprocessing
import sys

# They are forked from a process that has done nothing but import what they need: a fork of
# this one would have its threads and its memory. There is one such process for all of them.
CONTEXT = multiprocessing.get_context("forkserver" if sys.platform == "linux" else "spawn")
CONTEXT.set_forkserver_preload(
    ["tests.fuzzing.judge", "tests.fuzzing.corpus", "PIL.MpoImagePlugin"]
)
