"""What a folder holds, at a path or at a URL."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from sknorm_images._common.wording import shorten, show_name, show_value
from sknorm_images._files.protocols import as_passed, is_url, local_path
from sknorm_images._files.remote import join_url, list_url

EXTENSIONS = (".jpg", ".jpeg", ".jpe", ".jfif")  # all are JPEG

# What operating systems and storage devices leave in folders: macOS and its archives, Windows,
# disk checks, Synology and QNAP. In lower case.
_OF_SYSTEMS = {
    *("__macosx", "icon\r"),
    *("$recycle.bin", "recycler", "system volume information"),
    *("thumbs.db", "ehthumbs.db", "desktop.ini"),
    *("lost+found", "found.000"),
    *("@eadir", "#recycle", "#snapshot", "@recycle", "@recently-snapshot"),
}


class File(NamedTuple):
    """An image file in a folder."""

    parts: tuple[str, ...]  # of its path below the folder, in NFC
    path: str


class Folder(NamedTuple):
    """What a folder holds, at a path or at a URL, at any depth."""

    path: str
    folders: dict[str, str]  # paths of its sub-folders by name in NFC, sorted
    files: list[File]  # its image files, sorted
    inner: dict[tuple[str, str], str]  # paths of the sub-folders of these, by both names
    # Other files of each extension, by the first two names above them.
    passed_over: dict[tuple[str, ...], Counter[str]]

    @property
    def own_files(self) -> list[File]:
        """Image files that are in no sub-folder."""
        return [file for file in self.files if len(file.parts) == 1]

    def part(self, name: str) -> Folder:
        """Say what a sub-folder holds, as if it had been listed by itself."""
        return Folder(
            path=self.folders[name],
            folders={
                below: path for (above, below), path in self.inner.items() if above == name
            },
            files=[
                File(file.parts[1:], file.path)
                for file in self.files
                if len(file.parts) > 1 and file.parts[0] == name
            ],
            inner={},
            passed_over={
                names[1:]: counts
                for names, counts in self.passed_over.items()
                if names[:1] == (name,)
            },
        )


def composed(name: str) -> str:
    """Convert a name to NFC: macOS and some archives keep accents apart from letters."""
    return normalize("NFC", name)


def list_folder(
    directory: str | os.PathLike[str], extensions: tuple[str, ...] = EXTENSIONS
) -> Folder:
    """List a folder at a path or a URL, without hidden files and those of systems.

    `extensions` are in lower case, and match names in upper case, too. Raises OSError if the
    folder does not exist or cannot be read, ImportError or ValueError if no library can read
    the URL, and ValueError if two sub-folders have the same name in NFC.
    """
    if not isinstance(directory, str | os.PathLike):
        raise TypeError(
            f"directory={show_value(directory)} is of type {type(directory).__name__}, and "
            "one folder is expected. Pass its path or its URL."
        )
    if is_url(directory):
        return _list_remote(directory, extensions)
    if directory == "":  # of a variable that is not set, say
        raise ValueError("directory='' is empty. Pass the path of a folder; '.' is this one.")
    path = local_path(directory)
    try:
        return _list_local(Path(path), extensions)
    except OSError as error:
        if isinstance(error, NotADirectoryError) and Path(path).is_file():
            raise NotADirectoryError(
                f"{show_name(os.fsdecode(directory))} is a file, and a folder is expected. "
                "Pass the folder that holds it."
            ) from error
        if (named := as_passed(error, os.fsdecode(directory), path)) is not error:
            raise named from error
        raise


def _list_local(root: Path, extensions: tuple[str, ...]) -> Folder:
    _, sub_folders, names = next(os.walk(root, onerror=_raise))
    folders = _by_name(
        str(root), [(name, str(root / name)) for name in sub_folders if not _is_skipped(name)]
    )
    listed = _Listed(extensions)
    for name in names:
        listed.add((name,), str(root / name))
    above: set[tuple[int, int]] = set()
    for folder in (root, *root.resolve().parents):
        with suppress(OSError):
            above.add(_identity(folder))
    for path in folders.values():
        for parent, names in _walk(path, set(above)):
            parts = parent.parts[len(root.parts) :]
            if len(parts) == 2:
                listed.inner[parts] = str(parent)
            for name in names:
                listed.add((*parts, name), str(parent / name))
    return listed.as_folder(str(root), folders)


def _walk(top: str, seen: set[tuple[int, int]]) -> Iterator[tuple[Path, list[str]]]:
    """Yield folders at any depth with the names of their files, each folder once.

    Links to folders are followed after everything that is not linked. A link to a folder that
    is already `seen`, such as one above, is not followed.
    """
    pending = deque([top])
    while pending:
        for parent, sub_folders, names in os.walk(pending.popleft(), onerror=_raise):
            if (identity := _identity(parent)) in seen:
                sub_folders.clear()
                continue
            seen.add(identity)
            itself: list[str] = []
            linked: list[str] = []
            for name in sorted(sub_folders, key=_sort_key):
                if not _is_skipped(name):
                    kind = linked if Path(parent, name).is_symlink() else itself
                    kind.append(name)
            sub_folders[:] = itself
            pending.extend(str(Path(parent, name)) for name in linked)
            yield Path(parent), names


def _identity(folder: str | Path) -> tuple[int, int]:
    found = Path(folder).stat()
    return found.st_dev, found.st_ino


class _Listed:
    """Collects files as they are found: the images, and how many others there are."""

    def __init__(
        self, extensions: tuple[str, ...], as_path: Callable[[str], str] = str
    ) -> None:
        self.extensions = extensions
        self.as_path = as_path  # may refuse a name
        self.files: list[tuple[tuple[tuple[str, ...], tuple[str, ...]], File]] = []
        self.inner: dict[tuple[str, ...], str] = {}  # sub-folders of sub-folders
        self.passed_over: dict[tuple[str, ...], Counter[str]] = {}

    def add(self, parts: tuple[str, ...], place: str) -> None:
        """Add a file at a place, unless it is hidden or a system's."""
        name = parts[-1].lower()
        if any(map(_is_skipped, parts)):
            return
        key = _sort_key(*parts)
        if name.endswith(self.extensions):
            self.files.append((key, File(key[0], self.as_path(place))))
        else:
            others = self.passed_over.setdefault(key[0][:-1][:2], Counter())
            others[composed(Path(name).suffix)] += 1

    def as_folder(self, path: str, folders: dict[str, str]) -> Folder:
        """Sort the files and sub-folders by their paths."""
        inner = {
            (composed(above), composed(below)): place
            for (above, below), place in sorted(self.inner.items())
        }
        files = [file for _, file in sorted(self.files)]
        return Folder(path, folders, files, inner, self.passed_over)


def _by_name(folder: str, found: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Sort sub-folders by their names in NFC; refuse two that then have the same name."""
    written: dict[str, str] = {}
    by_name: dict[str, str] = {}
    for name, path in sorted(found, key=lambda item: _sort_key(item[0])):
        if (other := written.setdefault(composed(name), name)) != name:
            raise ValueError(
                f"{show_name(folder)} holds two sub-folders of the same name, "
                f"{shorten(ascii(other))} and {shorten(ascii(name))}: Unicode writes an "
                "accent with its letter or apart from it. Put their files into one."
            )
        by_name[composed(name)] = path
    return by_name


def _sort_key(*names: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    # The same order on every system, even of files whose names are equal in NFC.
    return tuple(map(composed, names)), names


def _list_remote(url: str, extensions: tuple[str, ...]) -> Folder:
    names: dict[str, None] = {}  # of sub-folders, as they are written
    listed = _Listed(extensions, partial(join_url, url))
    for parts, is_folder, name in list_url(url):
        if _is_skipped(parts[0]):
            continue
        if is_folder or len(parts) > 1:  # a class may hold nothing but hidden files
            names[parts[0]] = None
        inner = parts[:2]
        if (is_folder or len(parts) > 2) and len(inner) == 2 and not _is_skipped(inner[1]):
            with suppress(ValueError):  # its image files are refused by their whole names
                listed.inner[inner] = join_url(url, "/".join(inner))
        if not is_folder:
            listed.add(parts, name)
    folders = _by_name(url, [(name, join_url(url, name)) for name in names])
    return listed.as_folder(url, folders)


def _is_skipped(name: str) -> bool:
    # An archive may hold "..", which is refused.
    return (name.startswith(".") and name != "..") or name.lower() in _OF_SYSTEMS


def _raise(error: OSError) -> None:
    raise error  # os.walk would skip a folder that it may not read
