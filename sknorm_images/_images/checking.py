"""check_images: find out what is in every file before training does."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from contextlib import closing
from functools import partial
from hashlib import sha256
from typing import Any, Literal, NamedTuple, TypeAlias, get_type_hints, overload

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
from sknorm_images._images.class_table import tables_of
from sknorm_images._images.copies import (
    are_of_another_class,
    codes_of,
    contents_in,
    find_leaks,
    first_of_the_same,
)
from sknorm_images._images.damage import find_damage
from sknorm_images._images.decoding import (
    ContentError,
    DecodedImage,
    Decoding,
    warn_if_truncated_files_pass,
)
from sknorm_images._images.findings import find_all
from sknorm_images._images.loader import JpegLoader
from sknorm_images._images.measures import Measures, measure
from sknorm_images._images.near_duplicates import first_alike
from sknorm_images._images.sources import files_of
from sknorm_images._images.strict_libjpeg import StrictLibjpeg, strict_libjpeg

_DTYPES = {str: object, int: np.int64, float: np.float64, bool: np.bool_}

# From the name of a file, its content, and the image in it at full size, to what is added up.
See: TypeAlias = Callable[[str, bytes, DecodedImage], Any]


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


@overload
def check_images(
    X: Any,
    *,
    target: ArrayLike | None = None,
    split: ArrayLike | None = None,
    loader: JpegLoader | None = None,
    verify: str = "decode",
    details: bool = False,
    as_frame: Literal[False] = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Bunch: ...
@overload
def check_images(
    X: Any,
    *,
    target: ArrayLike | None = None,
    split: ArrayLike | None = None,
    loader: JpegLoader | None = None,
    verify: str = "decode",
    details: bool = False,
    as_frame: bool,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any: ...
@published("sknorm_images")
def check_images(
    X: Any,
    *,
    target: ArrayLike | None = None,
    split: ArrayLike | None = None,
    loader: JpegLoader | None = None,
    verify: str = "decode",
    details: bool = False,
    as_frame: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> Any:
    """Check every file before training: its format, and whether it can be decoded.

    Files that cannot be read do not stop the check, and pixels are not kept.

    Parameters
    ----------
    X : array-like of shape (n_samples,) or (n_samples, 1)
        Paths, URLs, bytes or binary files, as `JpegLoader` takes them. A missing cell, such
        as None, is a file that cannot be read.
    target : array-like of shape (n_samples,) or None, default=None
        The class of each file, a number or a name, such as `target` of `load_image_folder`;
        None or NaN where it is unknown. It distinguishes copies of a file from contradictory
        labels, and gives the number of files per class.
    split : array-like of shape (n_samples,) or None, default=None
        The part of the data that each file belongs to, such as "train" or "test"; None or NaN
        where it belongs to none. Copies that are in two parts are leaks.
    loader : JpegLoader or None, default=None
        Its `protocols` say what X may lead to, and its `formats`, `max_pixels` and
        `max_scans` what can be decoded; such as ``pipeline["load"]``. None means
        ``JpegLoader()``.
    verify : {"decode", "header"}, default="decode"
        "decode" decodes every image, and so finds files that end too early, and damage in
        others. "header" looks only at the headers, which takes a fraction of the time.
    details : bool, default=False
        Whether to measure every image, too, look for copies that are not the same file, and
        say what is conspicuous: the fields from `brightness` on below. That takes two to three
        times as long. simplejpeg speeds up both forms.
    as_frame : bool, default=False
        Whether to return a :class:`pandas.DataFrame`, with a row per file.
    n_jobs : int or None, default=None
        Number of files that are looked at at once; -1 means all cores, None means 1 unless
        in a :func:`joblib.parallel_config` context.
    verbose : int, default=0
        Above 0, a progress bar is shown.

    Returns
    -------
    sklearn.utils.Bunch or pandas.DataFrame
        Arrays of shape (n_samples,), which are the columns with ``as_frame=True``:

        filename : object (str)
            The path as it was passed; for bytes, how many they are; for a missing cell,
            "<missing>".
        target, split : object
            As they were passed; each only if it was.
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
        leak_of : int64
            Position of the first file that is a copy of this one in another split; -1 if
            there is none. A leak is told of the file in the later split, in the order in
            which splits first appear. Copies have the same content; with ``details=True``
            also the same pixels, or about the same look. Only with `split`.
        leak : object (str)
            The closest of these: "same content", "same pixels" or "near duplicate"; empty if
            there is none. Only with `split`.
        leak_in_another_class : bool
            Whether that copy is of another class. Only with `split` and `target`.

        With ``details=True`` also these, of the image as `loader` reads it, upright, where
        NaN and empty stand for files that cannot be read:

        brightness, contrast : float64
            Mean and standard deviation of the grey levels, 0 to 255.
        percentile_5, percentile_99 : float64
            The grey levels that 5 % and 99 % of the pixels do not exceed.
        sharpness : float64
            Variance of the Laplacian of the grey levels as a share of their variance, with
            the longer side shrunk to 256 pixels. NaN if all pixels are equal, or if fewer than
            three rows or columns are left.
        entropy : float64
            Information in the histogram of grey levels, in bits per pixel: 0 to 8.
        is_grey : bool
            Whether no pixel has colour, though the file may store colours.
        pixel_hash : object (str)
            SHA-256 of all pixels: the same in a copy that was tagged or packed anew.
        perceptual_hash : object (str)
            64 bits of how the image looks: "p" and 16 hexadecimal digits; empty if it is too
            flat to tell. The letter keeps spreadsheets from taking it for a number.
        same_pixels_as, near_duplicate_of : int64
            Position of the first file whose `pixel_hash` is the same, and of the first one
            whose `perceptual_hash` differs in at most 10 bits; -1 if there is none before
            this file.
        near_duplicate_in_another_class : bool
            Whether that near duplicate is of another class. Only with `target`.
        findings : object (str)
            What is conspicuous, in words, such as "too dark; blurry"; empty for most files.
            See Notes.

        Beside these arrays, with `target` and without ``as_frame=True``:

        classes : Bunch
            A row per class of each split, the smallest first: `split` (only if it was
            passed), `name`, `n_files`, and their `share` of the files in that split whose
            class is known, 0 to 1. ``frame.value_counts("target")`` tells the same of a data
            frame.

    Raises
    ------
    TypeError
        If X, or something in it, is not a path, bytes or a binary file, `loader` is not a
        JpegLoader, or `target` or `split` holds lists or the like.
    ValueError
        If X, `target` or `split` has another shape, something in X leads to a protocol that
        `loader` does not allow, or a parameter is out of its range.
    OSError
        If the machine or the network fails, and not the file: too many open files, a broken
        disk, a server that does not answer.
    ImportError
        If fsspec, or the library that it reads a URL with, is not installed; or pandas, and
        `as_frame` is True.

    Warns
    -----
    UserWarning
        If the process has set ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES``, so that truncated
        files pass as images.

    Notes
    -----
    A decoder makes a picture out of anything that follows a good header, so most damaged files
    are readable. Without simplejpeg, `damage` reports data that ends early (grey at the bottom
    of the picture), another file within the image data or behind the image, zeros in it as a
    lost sector leaves them, converted line ends, restart markers that are missing or out of
    order, and missing scans. Damage that shifts the rest of the picture, but neither ends it
    early nor leaves such marks, is found only with simplejpeg.

    Data that a camera puts behind the image, and up to 16 bytes of padding before its end, are
    not damage. simplejpeg does not look at JPEG files in arithmetic code.

    `findings` names, in this order, a leak between two splits; what is broken or damaged; the
    closest kind of copy that there is beside that leak ("same content as", "same pixels as" or
    "near duplicate of" a file, in the same or in another class); "too dark" (`percentile_99`
    below 82), "too bright" (`percentile_5` above 204), "blurry" (`sharpness` below 0.015),
    "little information" (`entropy` below 3 or `contrast` below 5); an "odd size" or "odd
    aspect ratio" (more than twice or less than half the median of these files, and beyond
    Tukey's outer fences); "grey among colour"; a "colour profile that is ignored", other than
    sRGB; and what is "not what its name says". These are hints: which of them matter depends
    on the photos. Where `loader` has ``color_mode="stored"``, pixels are not grey levels, and
    no finding is about light or colour.

    Sharpness is that of [1]_, made independent of the light. The perceptual hash is the one
    that [2]_ calls "DCT based", and near duplicates are found as in [3]_.

    References
    ----------
    .. [1] J. L. Pech-Pacheco, G. Cristobal, J. Chamorro-Martinez and J. Fernandez-Valdivia,
       "Diatom autofocusing in brightfield microscopy: a comparative study", ICPR 2000.
    .. [2] C. Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions",
       2010.
    .. [3] G. S. Manku, A. Jain and A. Das Sarma, "Detecting Near-Duplicates for Web Crawling",
       WWW 2007.

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
    >>> found = check_images(train + test, split=["train", "train", "test"])
    >>> found.readable, found.reason[1][:23]
    (array([ True, False,  True]), 'image file is truncated')
    >>> found.leak_of, found.leak  # the file in `test` is the first one in `train`
    (array([-1, -1,  0]), array(['', '', 'same content'], dtype=object))

    The same photo as a cat and as a dog:

    >>> check_images(train + test, target=["cat", "cat", "dog"]).in_another_class
    array([False, False,  True])

    What is conspicuous about a dark one:

    >>> file = io.BytesIO()
    >>> Image.fromarray(load_sample_image("flower.jpg") // 8).save(file, "JPEG")
    >>> check_images([file, *test], details=True).findings
    array(['too dark', ''], dtype=object)
    """
    loader = JpegLoader() if loader is None else loader
    if not isinstance(loader, JpegLoader):
        raise TypeError(
            f"loader is a {type(loader).__name__}, and the files are checked as a JpegLoader "
            "reads them. Pass one, such as pipeline['load']."
        )
    check_choice("verify", verify, ("decode", "header"))
    check_choice("details", details, (True, False))
    check_choice("as_frame", as_frame, (True, False))
    if details and verify == "header":
        raise ValueError(
            "details=True measures pixels, and verify='header' decodes none. Pass one of them."
        )
    to_frame = _frame_maker() if as_frame else None
    check_n_jobs(n_jobs)
    check_verbose(verbose)
    found, _ = check_and_see(
        X,
        target,
        loader,
        split=split,
        verify=verify,
        details=details,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    if to_frame is not None:
        return to_frame(dict(found))
    if target is not None:
        found.classes = _classes_of(found)
    return found


def check_and_see(
    X: Any,
    target: ArrayLike | None,
    loader: JpegLoader,
    see: See | None = None,
    *,
    split: ArrayLike | None = None,
    verify: str = "decode",
    details: bool = False,
    n_jobs: int | None = None,
    verbose: int = 0,
) -> tuple[Bunch, Any]:
    """Do what `check_images` does, and have every image looked at while it is decoded.

    With `details`, `see` is called with each image. Also returns the sum of what it returned
    for readable files, in order; None if there are none. A file of which it raises
    ContentError cannot be read. It may be called in another process.
    """
    decoding = loader._decoding()
    sources = files_of(X, decoding.access.protocols)
    given = {
        name: _labels_of(name, values, len(sources))
        for name, values in (("target", target), ("split", split))
        if values is not None
    }
    warn_if_truncated_files_pass()
    hints = get_type_hints(_Finding) | (get_type_hints(Measures) if details else {})
    columns: dict[str, NDArray[Any]] = {
        name: np.empty(len(sources), _DTYPES[kind]) for name, kind in hints.items()
    }
    seen = None
    results = map_chunks(
        partial(_check_each, see=see),
        len(sources),
        lambda rows: (sources[rows], decoding, verify, details),
        n_jobs=n_jobs,
        verbose=verbose,
        description="check",
    )
    with closing(results):
        for rows, (findings, value) in results:
            for name, values in zip(columns, zip(*findings, strict=True), strict=True):
                columns[name][rows] = values
            seen = _added(seen, value)
    measured = {name: columns.pop(name) for name in Measures._fields if details}
    found = Bunch(filename=columns.pop("filename"), **given, **columns)
    found.duplicate_of = first_of_the_same(contents_in(found))
    classes = None if target is None else codes_of(found.target)
    _compare_classes(found, classes, "duplicate_of", "in_another_class")
    if details:
        found.update(measured)
        found.same_pixels_as = first_of_the_same(found.pixel_hash)
        found.near_duplicate_of = first_alike(found.perceptual_hash)
        column = "near_duplicate_in_another_class"
        _compare_classes(found, classes, "near_duplicate_of", column)
    if split is not None:
        found.leak_of, found.leak = find_leaks(found, codes_of(found.split))
        _compare_classes(found, classes, "leak_of", "leak_in_another_class")
    if details:
        found.findings = as_objects(find_all(found, decoding))
    return found, seen


def _compare_classes(
    found: Bunch, classes: NDArray[np.int64] | None, partner: str, column: str
) -> None:
    """Add the column that says whether partners are of another class, if classes are known."""
    if classes is not None:
        found[column] = are_of_another_class(classes, found[partner])


def _classes_of(found: Bunch) -> Bunch:
    """Count the files of each class in each split, in columns."""
    tables = tables_of(found.target, found.get("split"))
    rows = [(split, *row) for split, table in tables.items() for row in table]
    columns = zip(*rows, strict=True) if rows else [()] * 4
    splits, names, counts, shares = map(list, columns)
    split = {"split": as_objects(splits)} if "split" in found else {}
    return Bunch(
        **split,
        name=as_objects(names),
        n_files=np.array(counts, np.int64),
        share=np.array(shares, np.float64),
    )


def as_objects(values: Sequence[Any]) -> NDArray[Any]:
    """Put values into an array of one dimension, whatever they are."""
    array = np.empty(len(values), object)
    array[:] = values
    return array


def _frame_maker() -> Any:
    try:
        from pandas import DataFrame
    except ImportError as error:
        raise ImportError(
            "as_frame=True returns a pandas DataFrame, and pandas cannot be imported. Install "
            "it with `pip install pandas`, or leave as_frame out for arrays."
        ) from error
    return DataFrame


def _check_each(
    sources: Sequence[Source],
    decoding: Decoding,
    verify: str,
    details: bool,
    see: See | None = None,
) -> tuple[list[tuple[Any, ...]], Any]:
    contents = contents_of(sources, decoding.access)
    libjpeg = strict_libjpeg(decoding)
    findings: list[tuple[Any, ...]] = []
    seen = None
    for source in sources:
        check_cancelled()
        name, content = name_of(source), next(contents)
        see_it = None if see is None else partial(see, name, content)
        look = _Look(see_it) if details else None
        found = _check_one(name, content, decoding, verify, libjpeg, look)
        # A file that cannot be read has no pixels, even if it was only refused after them.
        measures = look.measures if look and found.readable else Measures()
        findings.append((*found, *measures) if details else found)
        if look and found.readable:
            seen = _added(seen, look.seen)
    return findings, seen


class _Look:
    """Measures an image while it is decoded anyway, and has it seen."""

    def __init__(self, see: Callable[[DecodedImage], Any] | None) -> None:
        self.measures = Measures()
        self.seen: Any = None
        self._see = see

    def __call__(self, decoded: DecodedImage) -> None:
        self.measures = measure(decoded)
        if self._see is not None:
            self.seen = self._see(decoded)


def _added(total: Any, value: Any) -> Any:
    if total is None or value is None:
        return value if total is None else total
    return total + value


def _check_one(
    name: str,
    content: bytes | Exception,
    decoding: Decoding,
    verify: str,
    libjpeg: StrictLibjpeg | None,
    look: _Look | None,
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
        return found._replace(damage=find_damage(content, decoding, libjpeg, look))
    except ContentError as refusal:
        return found._replace(readable=False, reason=str(refusal))


def _labels_of(name: str, values: ArrayLike, n_files: int) -> NDArray[Any]:
    """Check the classes or splits that a parameter of this name says."""
    labels = np.asarray(values, dtype=object)
    if labels.shape != (n_files,):
        what = "class" if name == "target" else "split"
        raise ValueError(
            f"{name}={show_value(values)} has the shape {labels.shape}, and X holds {n_files} "
            f"files. Pass one {what} for each file."
        )
    for label in labels:
        if not isinstance(label, Hashable):
            raise TypeError(
                f"{name} holds {show_value(label)}, which cannot be compared with others. "
                "Pass a number or a name for each file."
            )
    return labels
