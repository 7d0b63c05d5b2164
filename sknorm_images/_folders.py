"""Folders of image files as lists of paths with classes."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sknorm_images._listing import EXTENSIONS, Folder, composed, list_folder
from sknorm_images._wording import shorten, show_name, show_some, show_value


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
        Names of all classes, in the order of their numbers, such as ``train.target_names``
        for the folder of the test files. Each keeps its number whether its sub-folder is
        full, empty or missing. None takes the sub-folders, in alphabetical order. Names are
        compared and sorted in Unicode's NFC.
    extensions : sequence of str, default=(".jpg", ".jpeg")
        What the names of image files end in, in upper or lower case.
    return_X_y : bool, default=False
        Whether to return ``(filenames, target)`` in place of a Bunch.

    Returns
    -------
    sklearn.utils.Bunch or tuple of two ndarrays
        With the keys of :func:`sklearn.datasets.load_files`:

        filenames : ndarray of shape (n_samples,), dtype object
            Paths (str), below `directory` as :class:`pathlib.Path` writes it, or URLs,
            which `JpegLoader` takes where its `protocols` name what they lead to.
        target : ndarray of shape (n_samples,), dtype int64, or None
            Class numbers; None for a folder without sub-folders.
        target_names : list of str, or None
            Names of the classes, in NFC.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be read.
    ImportError
        If fsspec, or the library that it reads a URL with, is not installed.
    TypeError
        If `class_names` or `extensions` is a lone string.
    ValueError
        If there are no image files. Without `class_names`, if there are none in one of the
        classes, or some beside the sub-folders. With it, if there is a sub-folder that it
        does not name. If two sub-folders have names that differ only in how Unicode writes
        their accents. If a URL has an unknown protocol or is one of
        ``reference://``; or if a name in an archive, say, would lead out of the folder.

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
                f"{parameter}={show_value(value)} is one string, and a sequence is asked for. "
                f"Pass [{show_value(value)}]."
            )
    extensions = tuple(extension.lower() for extension in extensions)
    photos = label_files(list_folder(directory, extensions), class_names, extensions)
    return (photos.filenames, photos.target) if return_X_y else photos


def label_files(
    folder: Folder, class_names: Sequence[str] | None, extensions: tuple[str, ...]
) -> Bunch:
    """Number the classes of a folder that is listed; see `load_image_folder`."""
    if class_names is None and not folder.folders:
        if not folder.files:
            raise ValueError(_empty(folder.path, extensions))
        return _bunch(list(folder.files.values()), None, None)
    names = _classes_in(folder, class_names)
    filenames: list[str] = []
    target: list[int] = []
    for number, name in enumerate(names):
        found = folder.files_below(name) if name in folder.folders else []
        if not found and class_names is None:
            raise ValueError(
                f"{_empty(folder.folders[name], extensions)} If the class is empty in this "
                "folder alone, name all classes with class_names, so that each keeps its "
                "number."
            )
        filenames += found
        target += [number] * len(found)
    if not filenames:
        raise ValueError(_empty(folder.path, extensions))
    return _bunch(filenames, np.array(target, np.int64), names)


def _classes_in(folder: Folder, class_names: Sequence[str] | None) -> list[str]:
    sub_folders = list(folder.folders)
    if folder.files and class_names is None:
        raise ValueError(
            f"{show_name(folder.path)} holds image files, such as "
            f"{show_name(next(iter(folder.files)))}, beside the sub-folders "
            f"[{show_some(sub_folders)}], so their class is unknown. Move them into a "
            "sub-folder, or pass class_names."
        )
    if class_names is None:
        return sub_folders
    if not all(isinstance(name, str) for name in class_names):
        raise TypeError(
            f"class_names=[{show_some(list(class_names))}] must hold strings. Pass the names "
            "of the classes."
        )
    names = list(map(composed, class_names))
    if not names or len(set(names)) < len(names):
        raise ValueError(
            f"class_names=[{show_some(names)}] is empty or repeats a name. Pass the name of "
            "each class once."
        )
    if unknown := [name for name in sub_folders if name not in names]:
        raise ValueError(
            f"{show_name(folder.path)} holds the sub-folders [{show_some(unknown)}], which "
            f"are not among class_names=[{show_some(names)}]. Add them at its end, or move "
            "the sub-folders elsewhere."
        )
    if not sub_folders:
        raise ValueError(
            f"{show_name(folder.path)} holds no sub-folders, so its files belong to none of "
            f"class_names=[{show_some(names)}]. Check the path, or leave class_names out."
        )
    return names


def _empty(folder: str, extensions: tuple[str, ...]) -> str:
    return (
        f"{show_name(folder)} holds no files that end in "
        f"{show_some(extensions, shorten, ' or ')}. Check the path, or pass other extensions."
    )


def _bunch(
    paths: list[str], target: NDArray[np.int64] | None, target_names: list[str] | None
) -> Bunch:
    filenames = np.array(paths, dtype=object)
    return Bunch(filenames=filenames, target=target, target_names=target_names)
