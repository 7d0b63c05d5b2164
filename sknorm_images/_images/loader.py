"""JpegLoader: turn paths, bytes, files or images in memory into LazyImages."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from PIL import Image, UnidentifiedImageError
from sklearn.base import BaseEstimator

from sknorm_images._common.exceptions import ImageDecodeError
from sknorm_images._common.failures import ON_ERROR_CHOICES
from sknorm_images._common.parameters import (
    check_choice,
    check_n_jobs,
    check_number,
    check_verbose,
)
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._files.limits import Access
from sknorm_images._files.protocols import check_protocol_names
from sknorm_images._files.reading import name_of
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images._images.color_profiles import check_color_profile
from sknorm_images._images.decoding import ContentError, Decoding, warn_if_truncated_files_pass
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.sources import column_of, refuse_missing, sources_of
from sknorm_images._images.transformer import StatelessImageTransformer
from sknorm_images._images.transparency import checked_background


@published("sknorm_images")
class JpegLoader(StatelessImageTransformer, BaseEstimator):
    """Turn paths of JPEG files into a sequence of images that are decoded when read.

    Loading only describes the work. Decoding and resizing happen together, in parallel, in the
    step that reads the pixels, so a pipeline never keeps full-size photos in memory.

    Parameters
    ----------
    color_mode : {"rgb", "grayscale", "stored"}, default="rgb"
        The mode of all images. With "rgb" and "grayscale", grey, CMYK and YCCK files are
        converted, as by Pillow's ``convert``. "stored" is for masks and label maps: it keeps
        the stored number of each pixel, from 0 to 255, in one channel, as in
        ``numpy.asarray(PIL.Image.open(path))``. See Notes.
    exif_orientation : bool, default=True
        Whether to turn images upright by their EXIF orientation. Keras' ``load_img`` does not.
        If `formats` allows TIFF files, Pillow turns these in any case.
    color_profile : {"ignore", "srgb"}, default="ignore"
        How to treat colour profiles in files. "ignore" takes the numbers as they are, like
        Keras, tf.data and torchvision. "srgb" converts them, like a browser, so that a colour
        has the same numbers from every camera: see Notes.
    background : int, (int, int, int) or None, default=None
        The colour behind transparent pixels, such as those of PNG files if `formats` allows
        them: a grey level, or red, green and blue, from 0 to 255. For white, pass 255. None
        drops the transparency, so that hidden colours show, and warns once per call with an
        `ImageTransparencyWarning`. Arrays of four channels, whose last one is the opacity, are
        treated in the same way.
    formats : tuple of str, default=("JPEG",)
        Formats that may be decoded, by Pillow's names. No other decoder ever sees a file.
        "JPEG" includes the first frame of MPO files.
    protocols : tuple of str, default=("file",)
        Protocols that paths and strings in X may use. ``"file"`` stands for local files
        (`str`, `PathLike`, ``file://``). Others have fsspec's names, such as ``"https"``,
        ``"s3"`` and ``"zip"``; name every link of a chain of URLs. Redirects are followed only
        to these protocols. ``()`` allows only contents, binary files and images in memory: use
        it on a server whose strings come from strangers.
    max_pixels : int, default=89_478_485
        Larger images are refused before they are decoded. The default is the limit above which
        Pillow warns. To allow more, raise ``PIL.Image.MAX_IMAGE_PIXELS`` first, also in the
        worker processes that joblib may use. Files larger than 64 MiB plus 8 bytes per pixel
        (of these pixels, or of those that a JPEG header claims) are not read.
    max_scans : int, default=100
        JPEG files with more scans are refused: a small file with thousands of progressive
        scans keeps a decoder busy for a long time. So are files whose scans, by their markers,
        may take longer than 0.05 s plus 12.5 ns for each of `max_pixels`.
    on_error : {"raise", "blank"}, default="raise"
        How to treat files that cannot be read or decoded, and missing cells of X. ``"raise"``
        stops at the first one. ``"blank"`` leaves them out of all statistics, turns them into
        zeros in a scaler's output (black images in plain pixels), and warns once per call with
        an `ImageDecodeWarning` that lists them all.
    n_jobs : int or None, default=None
        Number of images that are decoded at once when they are read; -1 means all cores,
        None means 1 unless in a :func:`joblib.parallel_config` context.
    verbose : int, default=0
        Above 0, a progress bar is shown while images are read.

    Notes
    -----
    ``color_profile="srgb"`` converts with LittleCMS, which is part of Pillow: relative
    colorimetric with black-point compensation (ISO 18619), the default of Adobe's programs.
    The conversion comes between decoding and resizing, and before `background`. Images without
    a profile count as sRGB (CMYK is converted as with "ignore"), and so do those whose profile
    moves no colour by more than a grey level, such as sRGB profiles: their pixels do not
    change. A damaged profile, or one for a different kind of image, such as a CMYK profile in
    an RGB image, is an error in the file, to which `on_error` applies. Grey images may also
    have a profile for RGB.

    ``color_mode="stored"`` gives the index of each pixel in a palette (Pillow's mode P), the
    value of an image without one (L), and 0 or 1 of one bit (1). Colour profiles and
    transparency do not change these values, whatever `color_profile` and `background` are.
    `exif_orientation` applies as usual. Images with several channels, or with more than 8 bits
    per pixel, are refused like files that cannot be decoded. Grey PNG files of 2 or 4 bits are
    read by Pillow as grey levels from 0 to 255, so their numbers are multiples of 85 or 17.

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
        color_profile: str = "ignore",
        background: int | tuple[int, int, int] | None = None,
        formats: tuple[str, ...] = ("JPEG",),
        protocols: tuple[str, ...] = ("file",),
        max_pixels: int = 89_478_485,
        max_scans: int = 100,
        on_error: str = "raise",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.color_mode = color_mode
        self.exif_orientation = exif_orientation
        self.color_profile = color_profile
        self.background = background
        self.formats = formats
        self.protocols = protocols
        self.max_pixels = max_pixels
        self.max_scans = max_scans
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.verbose = verbose

    def transform(self, X: Any) -> LazyImages:
        """Describe the images; decoding waits until they are read.

        Parameters
        ----------
        X : array-like of shape (n_samples,) or (n_samples, 1)
            Paths (str or PathLike), URLs (str) such as ``"s3://bucket/1.jpg"`` as far as
            `protocols` allows them, contents of files (bytes), binary file objects, which are
            read at once, or images in memory: Pillow's, which are loaded at once and keep
            their pixels, or uint8 arrays of shape (height, width) or (height, width, 1, 3 or
            4), which are not copied. A list, an array, or a pandas, Polars or Arrow column;
            images may be in one array of shape (n_samples, height, width, n_channels).
            None, NaN and the NA of pandas are missing cells.

        Returns
        -------
        LazyImages
            Images of any sizes, uint8, with the channels of `color_mode`.

        Raises
        ------
        TypeError
            If X, or something in it, is none of these, or a parameter is of a wrong type.
        ValueError
            If X has another shape, an array in it is not an image, a path or URL in it leads
            to a protocol that is not allowed or not known, or a parameter is out of its range;
            if cells are missing, and `on_error` is ``"raise"``.
        ImageDecodeError
            If the EXIF of an image of Pillow is damaged, and warnings are errors.
        ImportError
            If fsspec, or the library that it reads a URL with, is not installed; or Pillow
            lacks LittleCMS, and `color_profile` is "srgb".

        Warns
        -----
        UserWarning
            If the process has set ``PIL.ImageFile.LOAD_TRUNCATED_IMAGES``, so that truncated
            files pass as images.
        """
        decoding = self._decoding()
        warn_if_truncated_files_pass()
        sources = sources_of(X, decoding.access.protocols)
        if self.on_error == "raise":
            refuse_missing(sources)
        for i, source in enumerate(sources):
            if isinstance(source, Image.Image):
                try:
                    decoding.load(source)
                except ContentError as error:
                    reason = str(error)
                    raise ImageDecodeError(name_of(source), reason, i) from error.__cause__
        return LazyImages(
            sources,
            decoding.n_channels,
            decoding,
            on_error=self.on_error,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that strings go in, such as paths, one after another."""
        tags = super().__sklearn_tags__()
        tags.input_tags.one_d_array = True
        tags.input_tags.string = True
        return tags

    def _channel_names(self) -> list[str]:
        check_choice("color_mode", self.color_mode, COLOR_MODES)
        return list(COLOR_MODES[self.color_mode].channels)

    def _check(self, X: Any) -> None:
        self._decoding()
        column_of(X)

    def _decoding(self) -> Decoding:
        """Check the parameters, and gather those that say how to decode."""
        check_choice("color_mode", self.color_mode, COLOR_MODES)
        check_choice("exif_orientation", self.exif_orientation, (True, False))
        check_color_profile(self.color_profile)
        check_choice("on_error", self.on_error, ON_ERROR_CHOICES)
        check_number("max_pixels", self.max_pixels, low=1, integral=True)
        check_number("max_scans", self.max_scans, low=1, integral=True)
        check_n_jobs(self.n_jobs)
        check_verbose(self.verbose)
        limit = Image.MAX_IMAGE_PIXELS
        if limit is not None and self.max_pixels > limit:
            raise ValueError(
                f"max_pixels={self.max_pixels} is more than Pillow allows, {limit}. Raise "
                "PIL.Image.MAX_IMAGE_PIXELS first, if you trust the files."
            )
        return Decoding(
            color_mode=self.color_mode,
            exif_orientation=self.exif_orientation,
            formats=_known_formats(self.formats),
            access=Access(check_protocol_names(self.protocols), self.max_pixels),
            max_scans=self.max_scans,
            color_profile=str(self.color_profile),
            background=checked_background(self.background),
        )


def _known_formats(formats: object) -> tuple[str, ...]:
    if isinstance(formats, str):
        raise TypeError(
            f"formats={show_value(formats)} is one string, and a tuple is expected. Pass "
            f"({show_value(formats)},)."
        )
    if not isinstance(formats, tuple | list) or not formats:
        raise ValueError(
            f"formats={show_value(formats)} names no formats. Pass a tuple such as ('JPEG', "
            "'PNG')."
        )
    try:
        Image.open(io.BytesIO(b""), formats=formats)
    except UnidentifiedImageError:
        pass  # all are known; that the empty file is none of them is expected
    except (KeyError, AttributeError):
        raise ValueError(
            f"formats={show_value(formats)} holds a name that Pillow cannot open. "
            f"{_right_names(formats)}"
        ) from None
    return tuple(name.upper() for name in formats)


def _right_names(formats: Sequence[object]) -> str:
    """Say which formats are meant by names that are extensions, such as jpg."""
    by_extension = Image.registered_extensions()
    for name in formats:
        extension = f".{str(name).lower().removeprefix('.')}"
        if (meant := by_extension.get(extension)) and meant != str(name).upper():
            return f"For {extension} files, pass {show_value(meant)}."
    return "`python -m PIL` lists the names."
