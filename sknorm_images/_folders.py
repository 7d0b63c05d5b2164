"""Folders of image files as lists of paths with classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sknorm_images._remote import hint_at_url, is_url, join_url, list_url

EXTENSIONS = (".jpg", ".jpeg")


@overload
def load_image_folder(
    directory: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    extensions: Sequence[str] = EXTENSIONS,
    return_X_y: Literal[False] = False,
) -> Bunch: ...
@overload
def load_image_folder(
    directory: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    extensions: Sequence[str] = EXTENSIONS,
    return_X_y: Literal[True],
) -> tuple[NDArray[np.object_], NDArray[np.int64] | None]: ...
@overload
def load_image_folder(
    directory: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    extensions: Sequence[str] = EXTENSIONS,
    return_X_y: bool,
) -> Any: ...
def load_image_folder(
    directory: str | os.PathLike[str],
    *,
    class_names: Sequence[str] | None = None,
    extensions: Sequence[str] = EXTENSIONS,
    return_X_y: bool = False,
) -> Any:
    """List the image files of a folder, with the sub-folder of each as its class.

    Nothing is opened. The order is that of the sorted paths, whatever the file system.

    Parameters
    ----------
    directory : str or PathLike
        A folder with one sub-folder a class, however deep the files lie in it; or a folder
        of files alone. A path, or a URL (str) such as ``"s3://bucket/photos"``. Hidden
        entries, whose names begin with a dot, are skipped, and so are files with other
        extensions. Links to folders are followed for classes, not below them.
    class_names : sequence of str or None, default=None
        Which sub-folders to take, in the order of their class numbers. None takes all, in
        alphabetical order.
    extensions : sequence of str, default=(".jpg", ".jpeg")
        What the names of image files end in, in upper or lower case.
    return_X_y : bool, default=False
        Whether to return ``(filenames, target)`` in place of a Bunch.

    Returns
    -------
    sklearn.utils.Bunch or tuple of two ndarrays
        With the keys of :func:`sklearn.datasets.load_files`:

        filenames : ndarray of shape (n_samples,), dtype object
            Paths (str), below `directory` as :class:`pathlib.Path` writes it, or URLs.
        target : ndarray of shape (n_samples,), dtype int64, or None
            Class numbers; None for a folder without sub-folders.
        target_names : list of str, or None
            Names of the classes.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be read.
    ImportError
        If fsspec, or the library that it reads a URL with, is not installed.
    TypeError
        If `class_names` or `extensions` is a lone string.
    ValueError
        If there are no image files, or none in one of the classes; if there are image files
        beside the sub-folders, and `class_names` does not say which to take; or if it names
        no folder, or one that is not there; or if a URL has an unknown protocol.

    See Also
    --------
    check_images : Tells which of the files can be decoded.
    JpegLoader : Takes the paths.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sknorm_images import load_image_folder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     for name in ("cat/1.jpg", "cat/2.JPG", "dog/1.jpeg"):
    ...         path = Path(folder, name)
    ...         path.parent.mkdir(exist_ok=True)
    ...         _ = path.write_bytes(b"")
    ...     photos = load_image_folder(folder)
    >>> photos.target, photos.target_names
    (array([0, 0, 1]), ['cat', 'dog'])
    """
    for parameter, value in (("class_names", class_names), ("extensions", extensions)):
        if isinstance(value, str):
            raise TypeError(
                f"{parameter}={value!r} is one string, and a sequence is asked for. "
                f"Pass [{value!r}]."
            )
    endings = tuple(ending.lower() for ending in extensions)
    folder = list_folder(directory, endings)
    sub_folders = list(folder.folders)
    if class_names is None and not sub_folders:
        if not folder.files:
            raise ValueError(_empty(folder.path, endings))
        return _answer(list(folder.files.values()), None, None, return_X_y)
    if folder.files and class_names is None:
        raise ValueError(
            f"{folder.path!r} holds image files, such as {next(iter(folder.files))!r}, beside "
            f"the sub-folders {sub_folders}, so their class is unknown. Move them into a "
            "sub-folder."
        )
    names = sub_folders if class_names is None else list(class_names)
    if missing := [name for name in names if name not in sub_folders]:
        raise ValueError(
            f"class_names has {missing}, and {folder.path!r} holds the sub-folders "
            f"{sub_folders}. Pass names of sub-folders."
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"class_names={names} is empty or repeats a name, so classes would be missing, or "
            "there twice. Pass each once."
        )
    filenames: list[str] = []
    target: list[int] = []
    for number, name in enumerate(names):
        found = folder.files_below(name)
        if not found:
            raise ValueError(_empty(folder.folders[name], endings))
        filenames += found
        target += [number] * len(found)
    return _answer(filenames, np.array(target, np.int64), names, return_X_y)


class Folder(NamedTuple):
    """What a folder holds, at a path or at a URL, without what is hidden; all is sorted."""

    path: str
    files: dict[str, str]  # its image files: paths by name
    folders: dict[str, str]  # its sub-folders: paths by name
    files_below: Callable[[str], list[str]]  # a sub-folder to the image files at any depth

    def all_files(self) -> list[str]:
        """List the image files in the folder at any depth, as sorted paths are."""
        here = [(name, [path]) for name, path in self.files.items()]
        here += [(name, self.files_below(name)) for name in self.folders]
        return [path for _, paths in sorted(here) for path in paths]


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
    try:
        return _list_local(Path(directory), extensions)
    except OSError as error:
        if hint := hint_at_url(error, directory):
            raise hint from error
        raise


def _list_local(root: Path, endings: tuple[str, ...]) -> Folder:
    entries = sorted(entry for entry in root.iterdir() if not _is_hidden(entry.name))
    folders = {entry.name: str(entry) for entry in entries if entry.is_dir()}
    files = {
        entry.name: str(entry)
        for entry in entries
        if entry.name not in folders and _is_image(entry.name, endings)
    }

    def files_below(name: str) -> list[str]:
        found: list[Path] = []
        for parent, subfolders, names in os.walk(root / name, onerror=_raise):
            subfolders[:] = [name for name in subfolders if not _is_hidden(name)]
            found += [Path(parent, name) for name in names if _is_image(name, endings)]
        return [str(path) for path in sorted(found)]

    return Folder(str(root), files, folders, files_below)


def _list_remote(url: str, endings: tuple[str, ...]) -> Folder:
    files: dict[str, str] = {}
    below: dict[str, list[str]] = {}
    for parts, is_folder, path in sorted(list_url(url)):
        if _is_hidden(parts[0]):
            continue
        if is_folder or len(parts) > 1:  # a class may hold nothing but hidden files
            below.setdefault(parts[0], [])
        if is_folder or any(map(_is_hidden, parts)) or not _is_image(parts[-1], endings):
            continue
        if len(parts) == 1:
            files[parts[0]] = path
        else:
            below[parts[0]].append(path)
    folders = {name: join_url(url, name) for name in below}
    return Folder(url, files, folders, below.__getitem__)


def _is_hidden(name: str) -> bool:
    return name.startswith(".")


def _is_image(name: str, endings: tuple[str, ...]) -> bool:
    return name.lower().endswith(endings) and not _is_hidden(name)


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder that it may not read


def _empty(folder: str, endings: tuple[str, ...]) -> str:
    return (
        f"{folder!r} holds no files that end in {' or '.join(endings)}. Check the path, "
        "remove the folder, or pass other extensions."
    )


def _answer(
    paths: list[str],
    target: NDArray[np.int64] | None,
    target_names: list[str] | None,
    return_X_y: bool,
) -> Any:
    filenames = np.array(paths, dtype=object)
    if return_X_y:
        return filenames, target
    return Bunch(filenames=filenames, target=target, target_names=target_names)
