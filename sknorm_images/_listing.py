"""What a folder holds, at a path or at a URL."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple
from unicodedata import normalize

from sknorm_images._protocols import as_passed, is_url, local_path
from sknorm_images._remote import join_url, list_url
from sknorm_images._wording import shorten, show_name

EXTENSIONS = (".jpg", ".jpeg")


class Folder(NamedTuple):
    """What a folder holds, at a path or at a URL, without what is hidden; all is sorted."""

    path: str
    files: dict[str, str]  # its image files: paths by name
    folders: dict[str, str]  # its sub-folders: paths by name, in Unicode's NFC
    files_below: Callable[[str], list[str]]  # a sub-folder to the image files at any depth

    def all_files(self) -> list[str]:
        """List the image files in the folder at any depth, as sorted paths are."""
        here = [(composed(name), [path]) for name, path in self.files.items()]
        here += [(name, self.files_below(name)) for name in self.folders]
        return [path for _, paths in sorted(here) for path in paths]


def composed(name: str) -> str:
    """Bring a name to NFC: macOS and some archives hold accents apart from their letters."""
    return normalize("NFC", name)


def list_folder(
    directory: str | os.PathLike[str], extensions: tuple[str, ...] = EXTENSIONS
) -> Folder:
    """List a folder.

    Parameters
    ----------
    directory : str or PathLike
        A path or a URL.
    extensions : tuple of str, default=(".jpg", ".jpeg")
        What the names of image files end in, in lower case; the files' may be in upper case.

    Returns
    -------
    Folder
        What it holds.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be read.
    ImportError, ValueError
        If it is at a URL that no library can read.
    """
    if is_url(directory):
        return _list_remote(directory, extensions)
    path = local_path(directory)
    try:
        return _list_local(Path(path), extensions)
    except OSError as error:
        if (named := as_passed(error, os.fsdecode(directory), path)) is not error:
            raise named from error
        raise


def _list_local(root: Path, extensions: tuple[str, ...]) -> Folder:
    entries = [entry for entry in root.iterdir() if not _is_hidden(entry.name)]
    folders = _by_name(
        str(root), [(entry.name, str(entry)) for entry in entries if entry.is_dir()]
    )
    files = {
        entry.name: str(entry)
        for entry in sorted(entries, key=lambda entry: _sort_key(entry.name))
        if not entry.is_dir() and _is_image(entry.name, extensions)
    }

    def files_below(name: str) -> list[str]:
        found: list[Path] = []
        for parent, subfolders, names in os.walk(folders[name], onerror=_raise):
            subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
            found += [Path(parent, name) for name in names if _is_image(name, extensions)]
        return list(map(str, sorted(found, key=lambda path: _sort_key(*path.parts))))

    return Folder(str(root), files, folders, files_below)


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
    # As on every system; files of equal names in NFC keep a fixed order, too.
    return tuple(map(composed, names)), names


def _list_remote(url: str, extensions: tuple[str, ...]) -> Folder:
    files: dict[str, str] = {}
    below: dict[str, list[str]] = {}
    names: dict[str, None] = {}  # of sub-folders, as they are written
    listed = sorted(list_url(url), key=lambda entry: _sort_key(*entry.parts))
    for parts, is_folder, name in listed:
        if _is_hidden(parts[0]):
            continue
        if is_folder or len(parts) > 1:  # a class may hold nothing but hidden files
            names[parts[0]] = None
            below.setdefault(composed(parts[0]), [])
        if is_folder or any(map(_is_hidden, parts)) or not _is_image(parts[-1], extensions):
            continue
        if len(parts) == 1:
            files[parts[0]] = join_url(url, name)
        else:
            below[composed(parts[0])].append(join_url(url, name))
    folders = _by_name(url, [(name, join_url(url, name)) for name in names])
    return Folder(url, files, folders, below.__getitem__)


def _is_hidden(name: str) -> bool:
    return name.startswith(".") and name != ".."  # an archive may hold one, which is refused


def _is_image(name: str, extensions: tuple[str, ...]) -> bool:
    return name.lower().endswith(extensions) and not _is_hidden(name)


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder that it may not read
