"""Turn folders of image files into lists of paths with classes."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.utils import Bunch

from sknorm_images._common.published import published
from sknorm_images._common.wording import shorten, show_name, show_some, show_value
from sknorm_images._files.listing import EXTENSIONS, Folder, composed, list_folder

# What people call the parts of a data set, in lower case.
_PARTS = {"train", "training", "test", "testing", "val", "valid", "validation", "dev", "eval"}


@published("sknorm_images")
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
        A folder with one sub-folder per class, with files at any depth; or a folder with only
        files. A path, or a URL (str) such as ``"s3://bucket/photos"``. These are skipped:
        files with other extensions, hidden entries, whose names begin with a dot, and entries
        that systems leave behind, such as ``Thumbs.db``, ``__MACOSX``, ``@eaDir`` and
        ``lost+found``. Links to folders are followed, but not to a folder that contains the
        link, or that the class already has; links at a URL are not followed.
    class_names : sequence of str or None, default=None
        Names of all classes, in the order of their numbers, such as ``train.target_names``
        for the folder of the test files. Each keeps its number whether its sub-folder is
        full, empty or missing; image files beside the sub-folders are passed over. None
        takes the sub-folders, in alphabetical order. Names are compared and sorted in
        Unicode's NFC.
    extensions : sequence of str, default=(".jpg", ".jpeg", ".jpe", ".jfif")
        Endings of the names of image files, in upper or lower case.
    return_X_y : bool, default=False
        Whether to return ``(filenames, target)`` in place of a Bunch.

    Returns
    -------
    sklearn.utils.Bunch or tuple of two ndarrays
        With the keys of :func:`sklearn.datasets.load_files`, and `passed_over`:

        filenames : ndarray of shape (n_samples,), dtype object
            Paths (str), below `directory` as :class:`pathlib.Path` writes it; or URLs, which
            `JpegLoader` takes if its `protocols` allow them.
        target : ndarray of shape (n_samples,), dtype int64, or None
            Class numbers; None for a folder without sub-folders.
        target_names : list of str, or None
            Names of the classes, in NFC.
        passed_over : dict of str to int
            How many files were passed over, by extension in lower case, such as
            ``{".png": 20, "": 1}``: those with other extensions, and image files without a
            class in `class_names`. Hidden and system files are not counted.

    Raises
    ------
    OSError
        If the folder does not exist or cannot be read.
    ImportError
        If fsspec, or the library that it reads a URL with, is not installed.
    TypeError
        If `directory` is not a path, or `class_names` or `extensions` is a single string.
    ValueError
        If `directory` is an empty string, or there are no image files. Without `class_names`,
        if a class has none, or if there are some beside the sub-folders. With `class_names`,
        if it lacks a sub-folder. If the names of two sub-folders differ only in how Unicode
        writes their accents. If a URL has an unknown protocol, or the protocol
        ``reference://``. If a name, in an archive for example, would lead out of the folder.

    Warns
    -----
    UserWarning
        If sub-folders such as ``train`` and ``test`` contain the same sub-folders, and
        `class_names` is None.

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
                f"{parameter}={show_value(value)} is one string, and a sequence is expected. "
                f"Pass [{show_value(value)}]."
            )
    extensions = tuple(extension.lower() for extension in extensions)
    photos = label_files(list_folder(directory, extensions), class_names, extensions)
    return (photos.filenames, photos.target) if return_X_y else photos


def label_files(
    folder: Folder, class_names: Sequence[str] | None, extensions: tuple[str, ...]
) -> Bunch:
    """Number the classes of a listed folder; see `load_image_folder`."""
    if class_names is None and not folder.folders:
        if not folder.files:
            raise ValueError(without_images(folder, extensions))
        paths = [file.path for file in folder.files]
        return _bunch(paths, None, None, passed_over(folder))
    names = _classes_in(folder, class_names)
    numbers = {name: number for number, name in enumerate(names)}
    filenames: list[list[str]] = [[] for _ in names]
    for file in folder.files:
        if len(file.parts) > 1:
            filenames[numbers[file.parts[0]]].append(file.path)
    if class_names is None:
        _refuse_empty_classes(folder, names, filenames, extensions)
        _warn_if_split(folder)
    elif not any(filenames):
        raise ValueError(without_images(folder, extensions))
    target = np.repeat(np.arange(len(names), dtype=np.int64), list(map(len, filenames)))
    others = passed_over(folder)
    for file in folder.own_files:  # whose class is unknown
        others[Path(file.parts[0]).suffix.lower()] += 1
    return _bunch([path for paths in filenames for path in paths], target, names, others)


def passed_over(folder: Folder) -> Counter[str]:
    """Count the files in a folder that have other extensions, by extension."""
    return sum(folder.passed_over.values(), Counter[str]())


def without_images(
    folder: Folder, extensions: tuple[str, ...], sub_folder: str | None = None
) -> str:
    """Say that there are no image files in a folder or a sub-folder, and what there is."""
    path, others = folder.path, passed_over(folder)
    if sub_folder is not None:
        path = folder.folders[sub_folder]
        below = (n for names, n in folder.passed_over.items() if names[:1] == (sub_folder,))
        others = sum(below, Counter[str]())
    named = show_some(extensions, shorten)
    if " more" not in named:  # all of them are named
        named = " or ".join(named.rsplit(", ", 1))
    message = f"{show_name(path)} has no files that end in {named}"
    if others:
        message += f", only {show_counts(others)}"
    message += ". Check the path"
    if images := [name for name in others if name in Image.registered_extensions()]:
        message += f", or pass extensions=({show_some([*extensions, *images])})"
    return f"{message}."


def show_counts(others: Mapping[str, int]) -> str:
    """List how many files there are of each extension, the most frequent first."""
    ordered = sorted(others.items(), key=lambda item: (-item[1], item[0]))
    return show_some(
        ordered, lambda item: f"{item[1]:,} {shorten(item[0]) or 'without extension'}"
    )


def _refuse_empty_classes(
    folder: Folder, names: list[str], filenames: list[list[str]], extensions: tuple[str, ...]
) -> None:
    if not any(filenames):
        raise ValueError(without_images(folder, extensions))
    for name, paths in zip(names, filenames, strict=True):
        if not paths:
            raise ValueError(
                f"{without_images(folder, extensions, name)} If the class is empty in this "
                "folder alone, name all classes with class_names, so that each keeps its "
                "number."
            )


def empty_classes(folder: Folder) -> list[str]:
    """List the sub-folders at which `label_files` stops, since they hold no image files."""
    full = {file.parts[0] for file in folder.files if len(file.parts) > 1}
    return [name for name in folder.folders if name not in full] if full else []


def _warn_if_split(folder: Folder) -> None:
    if parts := parts_of_split(folder):
        shown = show_some(list(parts))
        one = max(parts, key=lambda name: name.lower().startswith("train"))
        same = sorted(set.intersection(*parts.values())) or sorted(set.union(*parts.values()))
        warnings.warn(
            f"{show_name(folder.path)} contains {shown} with the same sub-folders, "
            f"[{show_some(same)}], so {shown} become the classes. Load each by itself, such "
            f"as {show_name(folder.folders[one])}. If they really are the classes, pass "
            "class_names.",
            stacklevel=4,
        )


def parts_of_split(folder: Folder) -> dict[str, set[str]]:
    """Find the sub-folders that look like train and test, with the classes in each."""
    below: dict[str, set[str]] = {}
    for file in folder.files:
        if len(file.parts) > 2 and file.parts[0].lower() in _PARTS:
            below.setdefault(file.parts[0], set()).add(file.parts[1])
    return {
        name: classes
        for name, classes in below.items()
        if any(classes & others for other, others in below.items() if other != name)
    }


def _classes_in(folder: Folder, class_names: Sequence[str] | None) -> list[str]:
    sub_folders = list(folder.folders)
    if class_names is None and (beside := folder.own_files):
        raise ValueError(
            f"{show_name(folder.path)} holds image files, such as "
            f"{show_name(beside[0].parts[0])}, beside the sub-folders "
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
            f"are not among class_names=[{show_some(names)}]. Add them to the end of "
            "the list, or move the sub-folders elsewhere."
        )
    if not sub_folders:
        raise ValueError(
            f"{show_name(folder.path)} holds no sub-folders, so its files belong to none of "
            f"class_names=[{show_some(names)}]. Check the path, or leave class_names out."
        )
    return names


def _bunch(
    paths: list[str],
    target: NDArray[np.int64] | None,
    target_names: list[str] | None,
    others: Counter[str],
) -> Bunch:
    return Bunch(
        filenames=np.array(paths, dtype=object),
        target=target,
        target_names=target_names,
        passed_over=dict(sorted(others.items(), key=lambda item: (-item[1], item[0]))),
    )
