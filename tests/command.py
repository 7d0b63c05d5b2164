"""The command ``sknorm-images``, called in this process, which is faster than starting one."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from PIL import Image

from sknorm_images.__main__ import main

COMMAND = [sys.executable, "-m", "sknorm_images"]  # as a process


class Finished(NamedTuple):
    status: int
    out: str
    err: str


Call = Callable[..., Finished]  # the fixture `call`


def call(*arguments: str | Path) -> int:
    """Run the command, and return its status."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["sknorm-images", *map(str, arguments)])
        patch.setattr(sys, "excepthook", sys.excepthook)  # typer sets its own
        patch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # may be raised
        try:
            return main()
        except SystemExit as end:
            return end.code


def assert_refused(finished: Finished, *words: str, out: str = "") -> None:
    """One line on stderr, nothing but `out` on stdout, status 2."""
    assert finished.status == 2, finished
    assert finished.out == out
    [line] = finished.err.splitlines()
    for word in words:
        assert word in line
