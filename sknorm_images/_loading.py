"""JpegLoader: paths, bytes or files to LazyImages."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from typing import Any, Self

import numpy as np
from PIL import Image, UnidentifiedImageError
from sklearn.base import BaseEstimator

from sknorm_images._decoding import MODES, Decoding, Source
from sknorm_images._images import LazyImages
from sknorm_images._parameters import check_choice, check_n_jobs, check_number
from sknorm_images._transformer import StatelessImageTransformer

_BYTES = bytes | bytearray | memoryview
_COLUMN_HINT = "Pass a list, an array or a column of paths, of bytes or of binary files."


class JpegLoader(StatelessImageTransformer, BaseEstimator):
    """Turn paths of JPEG files into a sequence of images that are decoded when read.

    Loading only describes the work: a pipeline never holds full-size photos, and decoding
    and resizing happen together, in parallel, in the step that reads the pixels.

    Parameters
    ----------
    color_mode : {"rgb", "grayscale"}, default="rgb"
        What every image becomes; grayscale, CMYK and YCCK files are converted, as Pillow's
        ``convert`` does.
    exif_orientation : bool, default=True
        Whether to turn images upright as their EXIF orientation says. Keras' ``load_img``
        does not. TIFF files, where `formats` lets them in, Pillow turns in any case.
    formats : tuple of str, default=("JPEG",)
        Pillow's names of the formats that may be decoded. No other decoder ever sees a
        file. "JPEG" includes the first frame of MPO files.
    max_pixels : int, default=89_478_485
        Larger images are refused before they are decoded. The default is the limit above
        which Pillow warns; raise ``PIL.Image.MAX_IMAGE_PIXELS`` first to allow more, in
        worker processes too where joblib uses them.
    max_scans : int, default=100
        JPEG files of more scans are refused: a small file of thousands of progressive scans
        keeps a decoder busy for a long time.
    on_error : {"raise", "blank"}, default="raise"
        What becomes of a file that is missing or cannot be decoded. ``"blank"`` leaves it
        out of all statistics, makes zeros of it in a scaler's output (a black image in
        plain pixels), and warns once a call with an `ImageDecodeWarning` that lists all.
    n_jobs : int or None, default=None
        Number of images that are decoded at once by whoever reads them; -1 means all
        processors, None means 1 unless in a :func:`joblib.parallel_config` context.
    verbose : int, default=0
        Above 0, whoever reads the images shows a progress bar.

    See Also
    --------
    Resizer : The usual next step.
    load_image_folder : Makes the list of paths, with a class for each.

    Examples
    --------
    >>> import io
    >>> from PIL import Image
    >>> from sklearn.datasets import load_sample_image
    >>> from sknorm_images import JpegLoader
    >>> file = io.BytesIO()
    >>> Image.fromarray(load_sample_image("flower.jpg")).save(file, "JPEG")
    >>> JpegLoader(color_mode="grayscale").transform([file])[0].shape
    (427, 640, 1)
    """

    def __init__(
        self,
        *,
        color_mode: str = "rgb",
        exif_orientation: bool = True,
        formats: tuple[str, ...] = ("JPEG",),
        max_pixels: int = 89_478_485,
        max_scans: int = 100,
        on_error: str = "raise",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.color_mode = color_mode
        self.exif_orientation = exif_orientation
        self.formats = formats
        self.max_pixels = max_pixels
        self.max_scans = max_scans
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.verbose = verbose

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and the kind of X; nothing is learned or read.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Paths, bytes or binary files; see `transform`.
        y : None
            Ignored.

        Returns
        -------
        JpegLoader
            Itself.
        """
        self._decoding()
        _as_column(X)
        return self

    def transform(self, X: Any) -> LazyImages:
        """Describe the images; decoding waits until they are read.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Paths (str or PathLike), contents of files (bytes) or binary file objects, which
            are read at once. A list, an array, or a pandas or polars column.

        Returns
        -------
        LazyImages
            Images of any sizes, uint8, with one or three channels.

        Raises
        ------
        TypeError
            If X, or something in it, is neither of these.
        ValueError
            If X has another shape, or a parameter is out of its range.
        """
        decoding = self._decoding()
        sources = [_source(item, i) for i, item in enumerate(_as_column(X))]
        return LazyImages(
            sources,
            decoding.n_channels,
            decoding,
            on_error=self.on_error,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )

    def _decoding(self) -> Decoding:
        check_choice("color_mode", self.color_mode, MODES)
        check_choice("exif_orientation", self.exif_orientation, (True, False))
        check_choice("on_error", self.on_error, ("raise", "blank"))
        check_number("max_pixels", self.max_pixels, low=1, integral=True)
        check_number("max_scans", self.max_scans, low=1, integral=True)
        check_n_jobs(self.n_jobs)
        if not isinstance(self.verbose, bool):
            check_number("verbose", self.verbose, low=0, integral=True)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and self.max_pixels > limit:
            raise ValueError(
                f"max_pixels={self.max_pixels} is more than Pillow allows, {limit}. Raise "
                "PIL.Image.MAX_IMAGE_PIXELS first, if you trust the files."
            )
        return Decoding(
            self.color_mode,
            self.exif_orientation,
            _known_formats(self.formats),
            self.max_pixels,
            self.max_scans,
        )


def _known_formats(formats: object) -> tuple[str, ...]:
    if not isinstance(formats, tuple | list) or not formats:
        raise ValueError(
            f"formats={formats!r} names no formats. Pass a tuple such as ('JPEG', 'PNG')."
        )
    try:
        Image.open(io.BytesIO(b""), formats=formats)
    except UnidentifiedImageError:
        pass  # all are known; that the empty file is of none of them was to be expected
    except (KeyError, AttributeError):
        raise ValueError(
            f"formats={formats!r} holds a name that Pillow cannot open. "
            "`python -m PIL` lists the names."
        ) from None
    return tuple(name.upper() for name in formats)


def _as_column(X: Any) -> list[Any]:
    if isinstance(X, LazyImages):
        raise TypeError(
            "X is LazyImages, which a JpegLoader made already. Pass it to the steps that come "
            "after the loader, such as pipeline[1:]."
        )
    if isinstance(X, str | _BYTES | os.PathLike) or hasattr(X, "read"):
        raise TypeError(
            f"X is a single {type(X).__name__}, and a loader takes a sequence. Put a file in "
            "a list: [X]; for a folder, pass load_image_folder(X).filenames."
        )
    shape = getattr(X, "shape", None)
    if shape is None:
        return _from_iterable(X)
    if len(shape) == 2 and shape[1] == 1:
        return list(np.asarray(X, dtype=object)[:, 0])
    if len(shape) == 1:
        return list(X)
    raise ValueError(
        f"X is of shape {tuple(shape)}, not of one dimension. {_COLUMN_HINT} Arrays of pixels "
        "go to the steps that come after the loader, such as pipeline[1:]."
    )


def _from_iterable(X: Any) -> list[Any]:
    # What can be read only once, or in no certain order, would be read by fit alone.
    if isinstance(X, Mapping) or not (hasattr(X, "__len__") and hasattr(X, "__getitem__")):
        raise TypeError(f"X is a {type(X).__name__}, not a sequence. {_COLUMN_HINT}")
    items = list(X)
    if any(isinstance(item, list | tuple) for item in items):
        if not all(isinstance(item, list | tuple) and len(item) == 1 for item in items):
            raise ValueError(f"X is a sequence of sequences. {_COLUMN_HINT}")
        items = [item[0] for item in items]
    return items


def _source(item: Any, position: int) -> Source:
    if isinstance(item, str | os.PathLike):
        return item
    if isinstance(item, _BYTES):
        return bytes(item)
    if isinstance(item, io.TextIOBase):
        raise TypeError(
            f"Image {position} of X is a file opened as text, and images are binary. "
            "Open it with mode 'rb'."
        )
    if hasattr(item, "read"):
        if hasattr(item, "seekable") and item.seekable():
            item.seek(0)  # a file that was just written stands at its end
        content = item.read()
        if isinstance(content, _BYTES):
            return bytes(content)
    raise TypeError(
        f"Image {position} of X is {item!r:.60}, of type {type(item).__name__}, and no path, "
        f"bytes or binary file. {_COLUMN_HINT}"
    )
