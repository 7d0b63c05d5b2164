"""Files in and out: photos of a folder, saved pipelines, arrays."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import joblib
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sknorm_images._folders import label_files
from sknorm_images._listing import EXTENSIONS, list_folder
from sknorm_images._npy import write_header
from sknorm_images._protocols import is_url
from sknorm_images._wording import shorten, show_name


def image_files(folders: Iterable[str]) -> list[str]:
    """List the JPEG files in folders, at any depth, sorted, each once.

    Parameters
    ----------
    folders : iterable of str
        The folders: paths or URLs. As in `load_image_folder`, hidden entries are skipped,
        and links to folders are followed in the folder itself, not below.

    Returns
    -------
    list of str
        The paths and URLs, folder by folder.

    Raises
    ------
    OSError, ValueError, ImportError
        If a folder cannot be read, or holds no such files.
    """
    found: dict[str, str] = {}  # by absolute path: folders may lie in one another
    for folder in folders:
        paths = list_folder(folder).all_files()
        if not paths:
            raise ValueError(
                f"{show_name(folder)} holds no files that end in {' or '.join(EXTENSIONS)}, "
                "at any depth. Check the path."
            )
        for path in paths:
            found.setdefault(path if is_url(path) else str(Path(path).absolute()), path)
    return list(found.values())


def parse_class_names(text: str | None) -> list[str] | None:
    """Read the option ``--class-names``."""
    return None if text is None else [name.strip() for name in text.split(",")]


def saved_class_names(pipeline: Pipeline) -> list[str] | None:
    """Say which class names ``fit`` saved with a pipeline, in the order of their numbers."""
    names: list[str] | None = getattr(pipeline, "class_names_", None)
    return names


def labelled_files(
    directory: str, class_names: Sequence[str] | None, saved: Sequence[str] | None = None
) -> Bunch:
    """List files as `load_image_folder` does, by the names that the user or `fit` said.

    Parameters
    ----------
    directory : str
        A path or a URL.
    class_names : sequence of str or None
        Names of all classes, in the order of their numbers, as the user says them.
    saved : sequence of str or None
        Those that `fit` saved, which count where the user says none and the folder has
        sub-folders; if there are none either, the folder numbers its classes.

    Returns
    -------
    sklearn.utils.Bunch
        As `load_image_folder` returns it.

    Raises
    ------
    OSError, ValueError, ImportError
        As `load_image_folder` raises them, naming the option in place of the parameter.
    """
    folder = list_folder(directory)
    uses_saved = class_names is None and bool(saved) and bool(folder.folders)
    try:
        return label_files(folder, saved if uses_saved else class_names, EXTENSIONS)
    except ValueError as error:
        message = str(error).replace("class_names", "--class-names")
        if uses_saved and message != str(error):
            message += " `fit` saved these names; --class-names says others."
        raise ValueError(message) from error


def load_pipeline(path: Path) -> Pipeline:
    """Load a pipeline that joblib saved, which runs whatever code the file holds.

    Parameters
    ----------
    path : Path
        The file.

    Returns
    -------
    Pipeline
        The pipeline.

    Raises
    ------
    OSError, ValueError
        If the file cannot be opened, or holds no pipeline.
    """
    with path.open("rb") as file:
        try:
            pipeline = joblib.load(file)
        except Exception as error:  # broken pickles raise anything
            raise ValueError(
                f"{show_name(str(path))} cannot be loaded ({type(error).__name__}: "
                f"{shorten(error)}). Pass a file that `sknorm-images fit` or joblib.dump made."
            ) from error
    if not isinstance(pipeline, Pipeline):
        raise ValueError(
            f"{show_name(str(path))} holds a {type(pipeline).__name__}, and no pipeline. Pass "
            "a file that `sknorm-images fit` or joblib.dump made."
        )
    return pipeline


def write_npz(
    file: IO[bytes],
    blocks: Iterator[NDArray[Any]],
    n_rows: int,
    others: Mapping[str, NDArray[Any]],
) -> None:
    """Write arrays as `numpy.savez` does, the array ``images`` block by block.

    Parameters
    ----------
    file : binary file
        Where to.
    blocks : iterator of ndarray
        The rows of ``images``, of one dtype.
    n_rows : int
        How many there are in all.
    others : mapping of str to ndarray
        Further arrays, which are read when the blocks are through.
    """
    first = next(blocks)
    with ZipFile(file, "w") as archive:
        with archive.open("images.npy", "w", force_zip64=True) as member:
            write_header(member, (n_rows, *first.shape[1:]), first.dtype)
            for block in chain([first], blocks):
                member.write(np.ascontiguousarray(block).data)
        for name, array in others.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                npy.write_array(member, array, allow_pickle=False)
