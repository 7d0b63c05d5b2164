"""Folders of files that nobody opens, and the names of files in a folder."""

from __future__ import annotations

from pathlib import Path

import numpy as np


def make(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return folder


def relative(filenames: np.ndarray, folder: Path) -> list[str]:
    return [Path(name).relative_to(folder).as_posix() for name in filenames]
