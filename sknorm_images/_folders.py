"""Folders of image files as lists of paths with classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

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
        of files alone. Hidden entries, whose names begin with a dot, are skipped, and so
        are files with other extensions. Links to folders are followed for classes, not
        below them.
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
            Paths (str), below `directory` as :class:`pathlib.Path` writes it.
        target : ndarray of shape (n_samples,), dtype int64, or None
            Class numbers; None for a folder without sub-folders.
        target_names : list of str, or None
            Names of the classes.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be read.
    TypeError
        If `class_names` or `extensions` is a lone string.
    ValueError
        If there are no image files, or none in one of the classes; if there are image files
        beside the sub-folders, and `class_names` does not say which to take; or if it names
        no folder, or one that is not there.

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
    root = Path(directory)
    endings = tuple(ending.lower() for ending in extensions)
    entries = sorted(entry for entry in root.iterdir() if not entry.name.startswith("."))
    folders = [entry.name for entry in entries if entry.is_dir()]
    files = [entry for entry in entries if not entry.is_dir() and _is_image(entry, endings)]
    if class_names is None and not folders:
        if not files:
            raise ValueError(_empty(root, endings))
        return _answer(_as_strings(files), None, None, return_X_y)
    if files and class_names is None:
        raise ValueError(
            f"{str(root)!r} holds image files, such as {files[0].name!r}, beside the "
            f"sub-folders {folders}, so their class is unknown. Move them into a sub-folder."
        )
    names = folders if class_names is None else list(class_names)
    if missing := [name for name in names if name not in folders]:
        raise ValueError(
            f"class_names has {missing}, and {str(root)!r} holds the sub-folders {folders}. "
            "Pass names of sub-folders."
        )
    if not names or len(set(names)) < len(names):
        raise ValueError(f"class_names={names} is empty or repeats a name. Pass each once.")
    paths: list[Path] = []
    target: list[int] = []
    for number, name in enumerate(names):
        found = image_files_below(root / name, endings)
        if not found:
            raise ValueError(_empty(root / name, endings))
        paths += found
        target += [number] * len(found)
    return _answer(_as_strings(paths), np.array(target, np.int64), names, return_X_y)


def image_files_below(folder: Path, extensions: Sequence[str] = EXTENSIONS) -> list[Path]:
    """List the image files of a folder at any depth, sorted, without hidden ones.

    Parameters
    ----------
    folder : Path
        The folder. Links to folders in it are not followed.
    extensions : sequence of str, default=(".jpg", ".jpeg")
        What the names end in, in lower case; the files' may be in upper case.

    Returns
    -------
    list of Path
        The files.

    Raises
    ------
    OSError
        If the folder, or one in it, cannot be read.
    """
    endings = tuple(extensions)
    found: list[Path] = []
    for parent, folders, files in os.walk(folder, onerror=_raise):
        folders[:] = [name for name in folders if not name.startswith(".")]
        paths = (Path(parent, name) for name in files if not name.startswith("."))
        found += [path for path in paths if _is_image(path, endings)]
    return sorted(found)


def _raise(error: OSError) -> None:
    raise error  # os.walk would pass over a folder that it may not read


def _is_image(path: Path, endings: tuple[str, ...]) -> bool:
    return path.name.lower().endswith(endings)


def _as_strings(paths: list[Path]) -> NDArray[np.object_]:
    return np.array([str(path) for path in paths], dtype=object)


def _empty(folder: Path, endings: tuple[str, ...]) -> str:
    return (
        f"{str(folder)!r} holds no files that end in {' or '.join(endings)}. Check the path, "
        "remove the folder, or pass other extensions."
    )


def _answer(
    filenames: NDArray[np.object_],
    target: NDArray[np.int64] | None,
    target_names: list[str] | None,
    return_X_y: bool,
) -> Any:
    if return_X_y:
        return filenames, target
    return Bunch(filenames=filenames, target=target, target_names=target_names)
