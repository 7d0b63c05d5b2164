"""check_images: find out what is in every file before training does."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from hashlib import sha256
from typing import Any, NamedTuple, get_type_hints

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.utils import Bunch

from sknorm_images._common.cancellation import check_cancelled
from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import READ_ERRORS
from sknorm_images._common.parallel import map_chunks
from sknorm_images._common.parameters import check_choice, check_n_jobs, check_verbose
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._files.formats import identify
from sknorm_images._files.jpeg_markers import read_structure
from sknorm_images._files.reading import Source, contents_of, name_of
from sknorm_images._images.damage import WarningOf, find_damage, libjpeg_warnings
from sknorm_images._images.decoding import (
    ContentError,
    Decoding,
    warn_if_truncated_files_pass,
)
from sknorm_images._images.loader import JpegLoader
from sknorm_images._images.sources import files_of, is_missing

_DTYPES = {str: object, int: np.int64, bool: np.bool_}


class _Finding(NamedTuple):
    """What is known about one file: one column per field, in this order."""

    filename: str
    readable: bool = True
    reason: str = ""
    damage: str = ""
    format: str = ""
    mode: str = ""
    width: int = 0
    height: int = 0
    orientation: int = 0
    n_bytes: int = 0
    sha256: str = ""
    profile: str = ""


@published("sknorm_images")
def check_images(
    X: Any,
    *,
    target: ArrayLike | None = None,
    loader: JpegLoader | None = None,
    verify: str = "decode",
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch:
    """Look at every file before training: what it is, and whether it can be decoded.

    A file that cannot be read stops nothing, and no pixels are kept.

    Parameters
    ----------
    X : array-like of shape (n_samples,) or (n_samples, 1)
        Paths, URLs, bytes or binary files, as `JpegLoader` takes them. A missing cell, such
        as None, is a file that cannot be read.
    target : array-like of shape (n_samples,) or None, default=None
        The class of each file, a number or a name, such as `target` of `load_image_folder`;
        None or NaN where it is unknown. It tells copies of a file from contradictions.
    loader : JpegLoader or None, default=None
        Its `protocols` say what X may lead to, and its `formats`, `max_pixels` and
        `max_scans` what can be decoded; such as ``pipeline["load"]``. None means
        ``JpegLoader()``.
    verify : {"decode", "header"}, default="decode"
        "decode" decodes every image, and so finds files that end too early, and what is
        damaged in others. "header" looks only at what a decoder would be told first, which
        takes a fraction of the time.
    n_jobs : int or None, default=None
        Number of files that are looked at at once; -1 means all cores, None means 1 unless
        in a :func:`joblib.parallel_config` context.
    verbose : int, default=0
        Above 0, a progress bar is shown.

    Returns
    -------
    sklearn.utils.Bunch
        Arrays of shape (n_samples,), which :class:`pandas.DataFrame` takes as they are:

        filename : object (str)
            The path as it was passed; for bytes, how many they are; for a missing cell,
            "<missing>".
        readable : bool
            Whether the file can be read and decoded, as far as `verify` looked.
        reason : object (str)
            Why not; empty for readable files.
        damage : object (str)
            What is ruined in a JPEG file that is readable, such as where its data ends early
            and the rest is grey; empty where nothing is found, and with ``verify="header"``.
            With simplejpeg installed (``pip install "sknorm-images[simd]"``), libjpeg's
            warnings are used, too, which reveal nearly all damage; see Notes.
        format, mode : object (str)
            Pillow's names, such as "JPEG" and "CMYK", as stored. `format` is what the first
            bytes are known for where no decoder may see the file; empty if unknown.
        width, height : int64
            In pixels, as stored, before any orientation (that of a TIFF file Pillow has
            applied); 0 if unknown.
        orientation : int64
            EXIF, from 1 (upright) to 8; 0 if unknown.
        n_bytes : int64
            Size of the file; 0 if it cannot be read.
        sha256 : object (str)
            Hash of the content in hexadecimal digits; empty if the file cannot be read.
        profile : object (str)
            What the embedded colour profile calls itself, such as "Display P3"; empty without
            one, "damaged" if it cannot be used. `JpegLoader` ignores profiles unless its
            `color_profile` is "srgb".
        duplicate_of : int64
            Position of the first readable file with the same content; -1 for that one
            itself, for files without a duplicate before them, and for files that cannot be
            read, such as empty ones.
        in_another_class : bool
            Whether that first file is of another class by `target`: at least one of the two
            is labelled wrongly. Only with `target`.

    Raises
    ------
    TypeError
        If X, or something in it, is not a path, bytes or a binary file, or `loader` is not a
        JpegLoader.
    ValueError
        If X or `target` has another shape, something in X leads to a protocol that `loader`
        does not allow, or a parameter is out of its range.
    OSError
        If the machine or the network fails, and not the file: too many open files, a broken
        disk, a server that does not answer.
    ImportError
        If fsspec, or the library that it reads a URL with, is not installed.

    Warns
    -----
    UserWarning
        If the process has set ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES``, so that truncated
        files pass as images.

    Notes
    -----
    A decoder makes a picture of whatever follows a good header, so a damaged file is readable
    as a rule. Without simplejpeg, `damage` reports data that ends early (grey at the bottom
    of the picture), another file within the image data or behind the image, zeros in it as a
    lost sector leaves them, converted line ends, restart markers that are missing or out of
    order, and missing scans. What shifts the rest of the picture but neither ends early nor
    leaves such marks is found with simplejpeg alone.

    What a camera puts behind the image, and up to 16 bytes of padding before its end, are not
    damage. Data of JPEG files in arithmetic code is not looked at by simplejpeg.

    See Also
    --------
    load_image_folder : Makes the list of paths.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from sklearn.datasets import load_sample_image
    >>> from sknorm_images import check_images
    >>> file = io.BytesIO()
    >>> Image.fromarray(load_sample_image("china.jpg")).save(file, "JPEG")
    >>> train, test = [file.getvalue(), file.getvalue()[:-5000]], [file.getvalue()]
    >>> found = check_images(train + test)
    >>> found.readable, found.reason[1][:23]
    (array([ True, False,  True]), 'image file is truncated')
    >>> found.width, found.duplicate_of  # the file in `test` is the first one in `train`
    (array([640, 640, 640]), array([-1, -1,  0]))

    The same photo as a cat and as a dog:

    >>> check_images(train + test, target=["cat", "cat", "dog"]).in_another_class
    array([False, False,  True])
    """
    loader = JpegLoader() if loader is None else loader
    if not isinstance(loader, JpegLoader):
        raise TypeError(
            f"loader is a {type(loader).__name__}, and the files are checked as a JpegLoader "
            "reads them. Pass one, such as pipeline['load']."
        )
    check_choice("verify", verify, ("decode", "header"))
    check_n_jobs(n_jobs)
    check_verbose(verbose)
    decoding = loader._decoding()
    sources = files_of(X, decoding.access.protocols)
    labels = None if target is None else _labels_of(target, len(sources))
    warn_if_truncated_files_pass()
    columns: dict[str, NDArray[Any]] = {
        name: np.empty(len(sources), _DTYPES[kind])
        for name, kind in get_type_hints(_Finding).items()
    }
    results = map_chunks(
        _check_each,
        len(sources),
        lambda rows: (sources[rows], decoding, verify),
        n_jobs=n_jobs,
        verbose=verbose,
        description="check",
    )
    with closing(results):
        for rows, findings in results:
            for name, values in zip(columns, zip(*findings, strict=True), strict=True):
                columns[name][rows] = values
    hashes = np.where(columns["readable"], columns["sha256"], "")
    found = Bunch(**columns, duplicate_of=_first_of_the_same(hashes))
    if labels is not None:
        found.in_another_class = _are_of_another_class(labels, found.duplicate_of)
    return found


def _check_each(sources: Sequence[Source], decoding: Decoding, verify: str) -> list[_Finding]:
    contents = contents_of(sources, decoding.access)
    warning_of = libjpeg_warnings()
    findings = []
    for source in sources:
        check_cancelled()
        name, content = name_of(source), next(contents)
        findings.append(_check_one(name, content, decoding, verify, warning_of))
    return findings


def _check_one(
    name: str,
    content: bytes | Exception,
    decoding: Decoding,
    verify: str,
    warning_of: WarningOf | None,
) -> _Finding:
    found = _Finding(name)
    if isinstance(content, READ_ERRORS):
        error = content
        reason = error.reason if isinstance(error, ImageDecodeError) else error.strerror
        return found._replace(readable=False, reason=str(reason))
    if isinstance(content, Exception):
        raise content
    kind = identify(content)
    found = found._replace(
        n_bytes=len(content), sha256=sha256(content).hexdigest(), format=kind or ""
    )
    try:
        found = found._replace(**decoding.read_header(content)._asdict())
    except ContentError as refusal:
        if kind == "JPEG":  # it states its size even if it is refused for that
            structure = read_structure(content, max_scans=0)
            found = found._replace(width=structure.width, height=structure.height)
        return found._replace(readable=False, reason=str(refusal))
    if verify == "header":
        return found
    try:
        return found._replace(damage=find_damage(content, decoding, warning_of))
    except ContentError as refusal:
        return found._replace(readable=False, reason=str(refusal))


def _first_of_the_same(hashes: NDArray[Any]) -> NDArray[np.int64]:
    first: dict[str, int] = {"": -1}
    positions = [first.setdefault(value, i) for i, value in enumerate(hashes)]
    return np.array([-1 if p == i else p for i, p in enumerate(positions)], np.int64)


def _labels_of(target: ArrayLike, n_files: int) -> NDArray[Any]:
    labels = np.asarray(target, dtype=object)
    if labels.shape != (n_files,):
        raise ValueError(
            f"target={show_value(target)} has the shape {labels.shape}, and X holds {n_files} "
            "files. Pass one class for each file."
        )
    return labels


def _are_of_another_class(
    labels: NDArray[Any], duplicate_of: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Compare the class of each file with that of the first copy, where both are known."""
    conflicts = np.zeros(len(labels), np.bool_)
    for i in np.flatnonzero(duplicate_of >= 0):
        label, first = labels[i], labels[duplicate_of[i]]
        conflicts[i] = not is_missing(label) and not is_missing(first) and label != first
    return conflicts
