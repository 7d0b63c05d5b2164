"""Folders of image files as lists of paths with classes."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Sequence
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
    if class_names is None and not folder.folders:
        if not folder.files:
            raise ValueError(_empty(folder.path, endings))
        return _answer([folder.join(name) for name in folder.files], None, None, return_X_y)
    if folder.files and class_names is None:
        raise ValueError(
            f"{folder.path!r} holds image files, such as {folder.files[0]!r}, beside the "
            f"sub-folders {folder.folders}, so their class is unknown. Move them into a "
            "sub-folder."
        )
    names = folder.folders if class_names is None else list(class_names)
    if missing := [name for name in names if name not in folder.folders]:
        raise ValueError(
            f"class_names has {missing}, and {folder.path!r} holds the sub-folders "
            f"{folder.folders}. Pass names of sub-folders."
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"class_names={names} is empty or repeats a name. Pass each once.")
    filenames: list[str] = []
    target: list[int] = []
    for number, name in enumerate(names):
        found = folder.files_below(name)
        if not found:
            raise ValueError(_empty(folder.join(name), endings))
        filenames += found
        target += [number] * len(found)
    return _answer(filenames, np.array(target, np.int64), names, return_X_y)


class Folder(NamedTuple):
    """What a folder holds, at a path or at a URL, without what is hidden; all is sorted."""

    path: str
    files: list[str]  # names of its image files
    folders: list[str]  # names of its sub-folders
    join: Callable[[str], str]  # a name to a path
    files_below: Callable[[str], list[str]]  # a sub-folder to the image files at any depth

    def all_files(self) -> list[str]:
        """List the image files in the folder at any depth, as sorted paths are."""
        here = [(name, [self.join(name)]) for name in self.files]
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
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    folders = [entry.name for entry in entries if entry.is_dir()]
    files = [entry.name for entry in entries if not entry.is_dir()]

    def files_below(name: str) -> list[str]:
        found: list[Path] = []
        for parent, subfolders, names in os.walk(root / name, onerror=_raise):
            subfolders[:] = [name for name in subfolders if not name.startswith(".")]
            found += [Path(parent, name) for name in _images_among(names, endings)]
        return [str(path) for path in sorted(found)]

    return Folder(
        str(root),
        _images_among(files, endings),
        folders,
        lambda name: str(root / name),
        files_below,
    )


def _list_remote(url: str, endings: tuple[str, ...]) -> Folder:
    files: dict[str, str] = {}
    below: dict[str, list[str]] = {}
    for parts, is_folder, name in sorted(list_url(url)):
        if parts[0].startswith("."):
            continue
        if is_folder or len(parts) > 1:  # a class may hold nothing but hidden files
            below.setdefault(parts[0], [])
        is_hidden = any(part.startswith(".") for part in parts)
        if is_folder or is_hidden or not _images_among(parts[-1:], endings):
            continue
        if len(parts) == 1:
            files[parts[0]] = name
        else:
            below[parts[0]].append(name)
    return Folder(
        url,
        list(files),
        list(below),
        lambda name: files.get(name) or join_url(url, name),
        below.__getitem__,
    )


def _images_among(names: Iterable[str], endings: tuple[str, ...]) -> list[str]:
    return [
        name for name in names if not name.startswith(".") and name.lower().endswith(endings)
    ]


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
