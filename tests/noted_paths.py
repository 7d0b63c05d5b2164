"""Paths that note in a folder which process reads them, for workers of any kind."""

from __future__ import annotations

import _thread
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any


def noted(
    paths: Sequence[str], folder: Path, *, deadly: int | None = None, seconds: float = 0
) -> list[Any]:
    """Make paths that note every reading: a byte in the file named after the process.

    The reading of path `deadly` kills the process that does it, the first time. Each takes
    `seconds` longer than it needs.
    """

    # Within a function, so that pickles hold the class itself: workers may lack this module.
    class Noted(os.PathLike):
        def __init__(self, path: str, is_deadly: bool) -> None:
            self.path = path
            self.is_deadly = is_deadly

        def __fspath__(self) -> str:
            with open(folder / str(os.getpid()), "ab") as note:  # noqa: PTH123 - short-lived
                note.write(b".")
            if self.is_deadly:
                try:
                    (folder / "deadly").touch(exist_ok=False)
                except FileExistsError:
                    return self.path
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(seconds)
            return self.path

    return [Noted(path, i == deadly) for i, path in enumerate(paths)]


def readings(folder: Path) -> dict[int, int]:
    """How many paths each process has read."""
    notes = (note for note in folder.iterdir() if note.name != "deadly")
    return {int(note.name): note.stat().st_size for note in notes}


def interrupt_when_read(folder: Path) -> None:
    """Do what Ctrl-C does to this process, as soon as a path is read."""

    def interrupt() -> None:
        while not readings(folder):
            time.sleep(0.01)
        _thread.interrupt_main()

    threading.Thread(target=interrupt).start()
