"""Which files sources name, and whether those have changed, without opening any."""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

from sknorm_images._files.protocols import is_url, local_path


def stamp(sources: Iterable[object]) -> str:
    """Hash what shows that a local file has moved or changed, in hexadecimal digits.

    This covers the absolute path of each file with its size, modification time and mode, or
    its absence. URLs are left out.
    """
    digest = sha256()
    for source in sources:
        if isinstance(source, str | os.PathLike) and not is_url(source):
            digest.update(repr(_state_of(os.fsdecode(local_path(source)))).encode())
    return digest.hexdigest()


def absolute(source: Any) -> Any:
    """Make a local path absolute; sources of other kinds stay as they are."""
    if is_url(source) or not isinstance(source, str | os.PathLike):
        return source
    return str(Path(os.fsdecode(local_path(source))).absolute())


def _state_of(path: str) -> tuple[object, ...]:
    # Of 100,000 files; with a pathlib.Path each it would take twice as long.
    if not os.path.isabs(path):  # noqa: PTH117
        path = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # absent, or a name that no file can have
        return (path,)
    return path, status.st_size, status.st_mtime_ns, status.st_mode
