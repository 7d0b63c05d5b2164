"""Files that commands read and write: photos, saved pipelines and arrays."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import IO, Any, NamedTuple
from zipfile import ZipFile

import joblib
import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray
from PIL import Image
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sknorm_images import JpegLoader
from sknorm_images._common.npy_header import write_header
from sknorm_images._common.wording import shorten, show_name, show_value
from sknorm_images._files.folders import (
    empty_classes,
    label_files,
    parts_of_split,
    passed_over,
    without_images,
)
from sknorm_images._files.listing import EXTENSIONS, list_folder
from sknorm_images._files.protocols import is_url
from sknorm_images._images.transparency import checked_background
from sknorm_images._steps import flat_steps
from sknorm_images.cli._terminal import complain, count
from sknorm_images.cli._wording import READING


class Photos(NamedTuple):
    """The image files in one folder or in several, each once."""

    files: list[str]  # paths and URLs, folder by folder
    classes: list[str | None]  # of the files; None for those in no sub-folder
    passed_over: Counter[str]  # how many others there are, by extension
    empty: Sequence[str] = ()  # a message for each class without files
    # Of the files, such as "train": the folder that was passed, or the part of the data in
    # it. None for all files that are in the only part that there is.
    splits: Sequence[str | None] = ()
    empty_in: Sequence[tuple[str | None, str]] = ()  # splits, and classes without files there


def image_files(folders: Sequence[str], extensions: tuple[str, ...] = EXTENSIONS) -> Photos:
    """List the image files in folders, at any depth, as `load_image_folder` finds them.

    Folders are paths or URLs, and may lie in one another; each file is listed once.
    `extensions` are in lower case. Raises OSError, ValueError or ImportError if a folder
    cannot be read, and ValueError if it holds no such files.
    """
    found: dict[str, tuple[str, str | None]] = {}  # by absolute path
    split_of: dict[str, str | None] = {}  # as the outermost folder has it
    counts = Counter[str]()
    empty: dict[tuple[str | None, str], str] = {}  # by split and class
    places = {Path(_place(folder)): folder for folder in folders}
    outer = {
        place: folder
        for place, folder in places.items()
        if places.keys().isdisjoint(place.parents)
    }
    names = _short_names(outer)
    for place, directory in places.items():
        folder = list_folder(directory, extensions)
        if not folder.files:
            raise ValueError(without_images(folder, extensions))
        whole = next(names[above] for above in (place, *place.parents) if above in names)
        parts = {part: _split(whole, part) for part in parts_of_split(folder)}
        views = {whole: folder}
        views |= {told: folder.part(part) for part, told in parts.items()}
        for split, view in views.items():
            for name in empty_classes(view):
                empty[split, name] = without_images(view, extensions, name)
        for file in folder.files:
            *above, _ = file.parts
            is_in_part = bool(above) and above[0] in parts
            part = parts[above.pop(0)] if is_in_part else whole
            label = above[0] if above else None
            found.setdefault(_place(file.path), (file.path, label))
            if place in outer:
                split_of[_place(file.path)] = part
        if place in outer:
            counts += passed_over(folder)
    files, classes = zip(*found.values(), strict=True)
    splits = [split_of.get(path) for path in found]
    full = set(classes)
    missing = dict.fromkeys(told for (_, label), told in empty.items() if label not in full)
    return Photos(list(files), list(classes), counts, list(missing), splits, list(empty))


def _short_names(places: Mapping[Path, str]) -> dict[Path, str | None]:
    """Name several folders by the last part of their paths, if these differ; one has none."""
    if len(places) == 1:
        return dict.fromkeys(places)
    last = {place: place.name for place in places}
    is_enough = all(last.values()) and len(set(last.values())) == len(last)
    return dict(last if is_enough else places)


def _split(folder: str | None, part: str) -> str:
    return part if folder is None else f"{folder}/{part}"


def _place(path: str) -> str:
    return path if is_url(path) else str(Path(path).absolute())


def parse_names(option: str, text: str | None) -> list[str] | None:
    """Parse an option that takes names with commas between them."""
    if text is None:
        return None
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise ValueError(
            f"{option} {show_value(text)} holds an empty name. Pass names with one comma "
            "between two of them."
        )
    return names


def parse_extensions(text: str | None) -> tuple[str, ...]:
    """Parse the option ``--extensions``."""
    names = parse_names("--extensions", text)
    if names is None:
        return EXTENSIONS
    return tuple(f".{name.lower().removeprefix('.')}" for name in names)


def saved_class_names(pipeline: Pipeline) -> list[str] | None:
    """Return the class names that ``fit`` saved, in the order of their numbers."""
    names: list[str] | None = getattr(pipeline, "class_names_", None)
    return names


def labelled_files(
    directory: str,
    extensions: tuple[str, ...],
    class_names: Sequence[str] | None,
    saved: Sequence[str] | None = None,
) -> Bunch:
    """List files as `load_image_folder` does, with the class names of the user or of `fit`.

    `class_names` are the user's, in the order of their numbers. Without them, the `saved`
    names from `fit` count if the folder has sub-folders; without either, the folder numbers
    its own classes. `directory` is a path or a URL, and `extensions` are in lower case. Raises
    what `load_image_folder` raises.
    """
    folder = list_folder(directory, extensions)
    if class_names is not None or not saved or not folder.folders:
        return label_files(folder, class_names, extensions)
    try:
        return label_files(folder, saved, extensions)
    except ValueError as error:
        if "class_names=" not in str(error):
            raise
        message = f"{error} `fit` saved these names; --class-names replaces them."
        raise ValueError(message) from error


def allow_pixels(loader: JpegLoader) -> None:
    """Raise Pillow's limit, in this process, to the one the user chose for a loader."""
    limit, wanted = Image.MAX_IMAGE_PIXELS, loader.max_pixels
    if limit is not None and isinstance(wanted, int) and wanted > limit:
        Image.MAX_IMAGE_PIXELS = wanted


def load_pipeline(path: Path, loading: Mapping[str, Any] | None = None) -> Pipeline:
    """Load a pipeline that joblib saved, which runs whatever code the file holds.

    `loading` sets parameters of its loader anew. Raises OSError if the file cannot be opened,
    and ValueError if it holds no pipeline.
    """
    if path.is_dir():
        raise IsADirectoryError(
            f"{show_name(str(path))} is a folder, and a saved pipeline is expected. Pass a "
            "file that `sknorm-images fit` or joblib.dump made."
        )
    if not path.exists():
        raise FileNotFoundError(
            f"{show_name(str(path))} does not exist. Pass a file that `sknorm-images fit` or "
            "joblib.dump made."
        )
    with path.open("rb") as file:
        try:
            pipeline = joblib.load(file)
        except Exception as error:  # broken pickles may raise anything
            raise ValueError(
                f"{show_name(str(path))} cannot be loaded ({type(error).__name__}: "
                f"{shorten(error)}). Pass a file that `sknorm-images fit` or joblib.dump made."
            ) from error
    if not isinstance(pipeline, Pipeline):
        raise ValueError(
            f"{show_name(str(path))} holds a {type(pipeline).__name__}, not a pipeline. Pass "
            "a file that `sknorm-images fit` or joblib.dump made."
        )
    for step in flat_steps(pipeline)[:1]:
        if isinstance(step, JpegLoader):
            _tell_other_colors(step, loading or {})
            step.set_params(**(loading or {}))
            allow_pixels(step)
    return pipeline


def _tell_other_colors(loader: JpegLoader, loading: Mapping[str, Any]) -> None:
    """Warn where images get other colours than those that a pipeline was fitted to."""
    for name, read in (("color_profile", str), ("background", checked_background)):
        fitted = getattr(loader, name)
        if read(loading.get(name, fitted)) != read(fitted):
            complain(
                f"warning: {READING[name]} {_as_option(loading[name])}, and the pipeline was "
                f"fitted with {_as_option(fitted)}, so the colours of images do not match its "
                f"statistics. Leave {READING[name]} out, or fit with it."
            )


def _as_option(value: Any) -> str:
    if value is None:
        return "none"
    return ",".join(map(str, value)) if isinstance(value, tuple | list) else str(value)


def write_npz(
    file: IO[bytes],
    blocks: Iterator[NDArray[Any]],
    n_rows: int,
    others: Mapping[str, NDArray[Any]],
) -> str:
    """Write arrays as `numpy.savez` does, the array ``images`` block by block.

    Returns what ``images`` holds, in words.

    The blocks have one dtype and `n_rows` rows in all. `others` are read after the last block,
    so the caller may fill them while yielding blocks.
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
    shape = " x ".join(map(str, first.shape[1:]))
    return f"{count(n_rows, 'image')} of {shape} as {first.dtype}"
