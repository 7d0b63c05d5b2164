"""Resizer: bring images of any size to one size."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator

from sknorm_images._common.exceptions import ImageUnitsWarning
from sknorm_images._common.parameters import check_choice, check_number
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_name, show_value
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images._images.layout import doubt_of_axes
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.resizing import ASPECT_RATIOS, ENGINES, INTERPOLATIONS, Resizing
from sknorm_images._images.saved import SavedImages
from sknorm_images._images.transformer import StatelessImageTransformer


@published("sknorm_images")
class Resizer(StatelessImageTransformer, BaseEstimator):
    """Bring images to one size.

    Like loading, resizing only describes the work: decoding and resizing happen together
    in the step that reads the pixels.

    Parameters
    ----------
    size : tuple of two ints or int, default=(224, 224)
        ``(height, width)`` in pixels; one int means a square.
    interpolation : {"nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"}, \
            default="bilinear"
        Pillow's and Keras' names. All but "nearest" are antialiased when they shrink. Masks
        need "nearest", which takes pixels and never averages them.
    aspect_ratio : {"ignore", "crop", "pad"}, default="ignore"
        "ignore" stretches. "crop" fills the size and cuts off the excess evenly on both sides.
        "pad" fits the whole image and fills the rest with `pad_value`.
    reducing_gap : float or None, default=3.0
        A JPEG file is decoded at 1/2, 1/4 or 1/8 of its size, which is much faster, as long as
        the result is at least this many times as large as `size`. From 3.0 on, Pillow's
        documentation calls the result indistinguishable from fair resampling in most cases.
        None, and the interpolations "nearest" and "box", decode at full size.
    pad_value : int, default=0
        Grey level, 0 to 255, with which "pad" fills every channel.
    engine : {"pillow", "simd"}, default="pillow"
        The library that resizes. "simd" is cykooz-resizer (``pip install
        "sknorm-images[simd]"``), several times as fast, for "bilinear" only. Its pixels differ
        from Pillow's by at most one grey level, except that one value in a billion in photos,
        and 3 in 100 million in pure noise, were two levels off. Pillow resizes any image that
        grows in height or width. A fitted pipeline needs the same engine wherever it is
        loaded.

    See Also
    --------
    JpegLoader : The usual step before.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import Resizer
    >>> photos = np.stack(load_sample_images().images)
    >>> photos.shape
    (2, 427, 640, 3)
    >>> np.asarray(Resizer((32, 48)).transform(photos)).shape
    (2, 32, 48, 3)
    >>> fast = Resizer((32, 48), engine="simd")
    >>> np.asarray(fast.transform(photos)).shape
    (2, 32, 48, 3)
    """

    def __init__(
        self,
        size: int | tuple[int, int] = (224, 224),
        *,
        interpolation: str = "bilinear",
        aspect_ratio: str = "ignore",
        reducing_gap: float | None = 3.0,
        pad_value: int = 0,
        engine: str = "pillow",
    ) -> None:
        self.size = size
        self.interpolation = interpolation
        self.aspect_ratio = aspect_ratio
        self.reducing_gap = reducing_gap
        self.pad_value = pad_value
        self.engine = engine

    def transform(self, X: Any) -> LazyImages:
        """Describe the resized images; the work waits until they are read.

        Parameters
        ----------
        X : LazyImages, ndarray or list of ndarray
            Images; arrays are uint8, of shape (n_samples, height, width, n_channels), or each
            of shape (height, width, n_channels), with grey levels from 0 to 255.

        Returns
        -------
        LazyImages
            Of shape (n_samples, height, width, n_channels), uint8.

        Raises
        ------
        TypeError
            If X does not contain images.
        ValueError
            If arrays have another shape or dtype, or a parameter is out of its range; or if
            the loader has ``color_mode="stored"`` and `interpolation` is not "nearest".
        ImportError
            If `engine` is a library that is not installed.
        """
        resizing = self._resizing()
        images = _as_images(X)
        self._refuse_averages(images)
        if images is not X and (doubt := doubt_of_axes(_shape_of(X))) is not None:
            warning = ImageUnitsWarning(doubt)
            self._tell_cache(X, [warning])
            warnings.warn(warning, stacklevel=2)
        return images.resized(resizing)

    def _check(self, X: Any) -> None:
        self._resizing()
        self._refuse_averages(_as_images(X))

    def _refuse_averages(self, images: LazyImages) -> None:
        mode = COLOR_MODES.get(images.color_mode or "")  # none of images that were arrays
        if mode is not None and mode.keeps_values and self.interpolation != "nearest":
            raise ValueError(
                f"interpolation={show_value(self.interpolation)} averages pixels, and with "
                f"color_mode={show_value(images.color_mode)} these are numbers, such as "
                "classes, of which an average is another one. Pass interpolation='nearest'."
            )

    def _resizing(self) -> Resizing:
        height, width = _height_width(self.size)
        check_choice("interpolation", self.interpolation, INTERPOLATIONS)
        check_choice("aspect_ratio", self.aspect_ratio, ASPECT_RATIOS)
        if self.reducing_gap is not None:
            check_number("reducing_gap", self.reducing_gap, low=1)
        check_number("pad_value", self.pad_value, low=0, high=255, integral=True)
        check_choice("engine", self.engine, ENGINES)
        if self.interpolation not in ENGINES[self.engine]:
            able = ", ".join(map(repr, ENGINES[self.engine]))
            raise ValueError(
                f"engine={show_value(self.engine)} does not support "
                f"interpolation={show_value(self.interpolation)} as Pillow does it. Pass "
                f"interpolation={able}, or engine='pillow'."
            )
        if self.engine == "simd":
            from sknorm_images._images import simd  # noqa: F401 (ImportError says what to install)
        return Resizing(
            height,
            width,
            self.interpolation,
            self.aspect_ratio,
            self.reducing_gap,
            int(self.pad_value),
            self.engine,
        )


def _height_width(size: Any) -> tuple[int, int]:
    if isinstance(size, str):
        raise TypeError(
            f"size={show_value(size)} is a string. Pass (height, width), or one int."
        )
    if not isinstance(size, Sequence | np.ndarray) or np.ndim(size) == 0:
        check_number("size", size, low=1, integral=True)
        return int(size), int(size)
    if len(size) != 2:
        raise ValueError(
            f"size={show_value(size)} has {len(size)} numbers, and a size has two. Pass "
            "(height, width), or one int."
        )
    check_number("size[0]", size[0], low=1, integral=True)
    check_number("size[1]", size[1], low=1, integral=True)
    return int(size[0]), int(size[1])


def _as_images(X: Any) -> LazyImages:
    if isinstance(X, LazyImages):
        return X
    X = np.asarray(X) if isinstance(X, SavedImages) else X
    images = _arrays_in(X)
    for i, image in enumerate(images):
        if image.ndim != 3 or not image.size or image.dtype != np.uint8:
            raise ValueError(
                f"Image {i} of X is of shape {image.shape} and dtype {image.dtype}, and "
                "images are (height, width, channels) of dtype uint8, with grey levels from 0 "
                "to 255. Convert floats with np.rint(X).astype(np.uint8), or with "
                "np.rint(X * 255).astype(np.uint8) if they end at 1."
            )
    counts = sorted({image.shape[-1] for image in images})
    if len(counts) > 1:
        raise ValueError(
            f"Images of X have {show_value(counts)} channels, and one array takes one number "
            "of them. Convert them all to one, as JpegLoader does with files."
        )
    # An empty list was refused, so X without images is an array.
    return LazyImages(images, counts[0] if counts else X.shape[-1])


def _shape_of(X: Any) -> tuple[int, ...]:
    """Shape of an array of images; of a list, the first image sets it."""
    return (len(X), *(X.shape[1:] if isinstance(X, np.ndarray) and X.ndim > 1 else X[0].shape))


def _arrays_in(X: Any) -> list[NDArray[Any]]:
    """List the arrays in a sequence, or in one array of images."""
    if isinstance(X, np.ndarray) and X.dtype != object:
        if X.ndim != 4:
            raise ValueError(
                f"X is of shape {X.shape}, and images are (n, height, width, channels). Add "
                "the missing axis: X[np.newaxis] for one image, X[..., np.newaxis] for one "
                "channel."
            )
        return list(X)
    if not isinstance(X, list | tuple | np.ndarray) or not all(
        isinstance(image, np.ndarray) for image in X
    ):
        if isinstance(X, list | tuple | np.ndarray) and len(X) and isinstance(X[0], str):
            raise TypeError(
                f"X holds {show_name(X[0])}, and Resizer takes images. Put a JpegLoader "
                "before it, as make_image_pipeline does."
            )
        raise TypeError(
            f"X is a {type(X).__name__} that holds no images. Pass LazyImages, as JpegLoader "
            "makes them from paths, or arrays of shape (height, width, channels)."
        )
    if not len(X):
        raise ValueError("X is empty, so its number of channels is unknown. Check X.")
    return list(X)
