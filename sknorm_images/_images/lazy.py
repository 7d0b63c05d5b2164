"""LazyImages: a sequence of images that are decoded when they are read."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path, PurePath
from typing import Any, Self, SupportsIndex, overload

import joblib
import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from sknorm_images._common.exceptions import ImageDecodeError, ImageDecodeWarning
from sknorm_images._common.failures import Failures, report
from sknorm_images._common.parameters import check_n_jobs
from sknorm_images._common.published import published
from sknorm_images._common.versions import __version__
from sknorm_images._common.wording import show_name
from sknorm_images._files.reading import Source, name_of
from sknorm_images._files.stamps import absolute, stamp
from sknorm_images._images.bulk_reading import (
    Task,
    common_shape,
    read_array,
    read_one,
    read_stacks,
    reduce_images,
)
from sknorm_images._images.color_modes import find_color_mode
from sknorm_images._images.decoding import ContentError, Decoding, Picture, Pixels
from sknorm_images._images.indexing import select
from sknorm_images._images.recipes import Recipe
from sknorm_images._images.resizing import Resizing, upright
from sknorm_images._images.thumbnails import LARGEST_THUMBNAIL, strip_html

_N_THUMBNAILS = 8

# joblib.hash pickles by protocol 3, so that hashes outlive minor versions of Python. Nothing
# else has since Python 3.8: there and in joblib.dump, loky and Dask it is a later one. A user
# who asks for 3 gets a pickle that loads as any other, but n_jobs and verbose may be those of
# a new LazyImages.
PROTOCOL_OF_JOBLIB_HASH = 3
_STAMP = "_stamp"  # in what is hashed, never an attribute


@published("sknorm_images")
class LazyImages:
    """Sequence of images that are decoded when they are read.

    `JpegLoader` makes it and `Resizer` adds a size; neither opens a file. scikit-learn splits
    and indexes it like an array. ``numpy.asarray`` decodes it, in parallel if the loader's
    `n_jobs` or ``joblib.parallel_config`` says so.

    Parameters
    ----------
    sources : sequence of str, PathLike, bytes, Image or ndarray
        Paths, contents of files, images of Pillow, or uint8 arrays of shape (height, width,
        n_channels).
    n_channels : int
        Number of channels of every image.
    decoding : Decoding or None, default=None
        How paths and bytes become images; None if the sources are arrays.
    resizings : tuple of Resizing, default=()
        The sizes to resize images to, one after another.
    on_error : {"raise", "blank"}, default="raise"
        How to treat images that cannot be read.
    n_jobs : int or None, default=None
        Number of images that are decoded at once.
    verbose : int, default=0
        Above 0, progress bars are shown.

    See Also
    --------
    JpegLoader : Makes it from paths.
    Resizer : Gives its images one size.

    Notes
    -----
    Their joblib hash, for ``Pipeline(memory=...)``, covers the absolute path, size, time of
    modification and permissions of every local file, or its absence. For URLs it covers only
    the name. Once there is a size, it ignores `n_jobs` and `verbose`. Pickles contain the
    paths as they were passed.

    Examples
    --------
    >>> import io
    >>> import numpy as np
    >>> from PIL import Image
    >>> from sklearn.datasets import load_sample_image
    >>> from sknorm_images import JpegLoader, Resizer
    >>> file = io.BytesIO()
    >>> Image.fromarray(load_sample_image("china.jpg")).save(file, "JPEG")
    >>> images = JpegLoader().transform([file, file])
    >>> images.shape, images[0].shape
    ((2,), (427, 640, 3))
    >>> images = Resizer((32, 48)).transform(images)
    >>> images.shape, np.asarray(images[:1]).shape
    ((2, 32, 48, 3), (1, 32, 48, 3))
    """

    _was_hashed = False  # by joblib, to look for what was made of these images before

    def __init__(
        self,
        sources: Sequence[Source | Picture],
        n_channels: int,
        decoding: Decoding | None = None,
        resizings: tuple[Resizing, ...] = (),
        *,
        on_error: str = "raise",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self._sources = sources
        self._recipe = Recipe(n_channels, decoding, resizings, on_error)
        self._n_jobs, self._verbose = n_jobs, verbose
        self._failures: Failures | None = None

    def __len__(self) -> int:
        return len(self._sources)

    def __repr__(self) -> str:
        return f"<LazyImages: {self._summary()}>"

    def _repr_html_(self) -> str:
        """Show the first images in a notebook; those that cannot be read say why."""
        names = self[:_N_THUMBNAILS].filenames
        items = [(name, self._try_thumbnail(i)) for i, name in enumerate(names)]
        return strip_html(f"LazyImages: {self._summary()}", items)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Data type of the pixels: uint8, grey levels from 0 to 255."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_samples, height, width, n_channels)``; without a Resizer, ``(n_samples,)``."""
        return len(self), *self._recipe.shape

    @property
    def ndim(self) -> int:
        """Number of dimensions: 4 once a Resizer fixed the size, else 1."""
        return len(self.shape)

    @property
    def failures(self) -> dict[int, ImageDecodeError | OSError]:
        """Positions of images that cannot be read, and the exceptions that say why.

        They come from the last full read: ``numpy.asarray``, or a scaler's `fit` or
        `transform`. If there was none, all images are read now, whatever `on_error` is.
        """
        if self._failures is None:
            everything = self._with(_recipe=replace(self._recipe, on_error="blank"))
            _, self._failures = everything._reduce(_try_each)
        return dict(self._failures)

    @overload
    def __getitem__(self, key: int) -> Pixels: ...
    @overload
    def __getitem__(
        self, key: slice | Sequence[int] | NDArray[Any] | tuple[Any, ...]
    ) -> Self: ...
    def __getitem__(
        self, key: int | slice | Sequence[int] | NDArray[Any] | tuple[Any, ...]
    ) -> Pixels | Self:
        """Decode one image, or select some.

        Parameters
        ----------
        key : int, slice, array-like of int or bool, or (rows, ...)
            Which ones, as NumPy reads the first axis of an array.

        Returns
        -------
        ndarray of shape (height, width, n_channels), dtype uint8, or LazyImages
            The image; or those that are selected, and not decoded yet.

        Raises
        ------
        IndexError
            If there is no such image.
        ImageDecodeError, OSError
            If the image cannot be read, unless `on_error` is ``"blank"``.
        ValueError
            If it is to be left blank, and without a Resizer has no size.
        """
        rows = select(key, len(self))
        if not isinstance(rows, int):
            sources = self._sources
            some = sources[rows] if isinstance(rows, slice) else [sources[row] for row in rows]
            return self._with(_sources=some)
        failures = Failures()
        pixels = read_one(self._recipe, self._sources, rows, failures)
        if failures:
            warnings.warn(ImageDecodeWarning(failures, 1), stacklevel=2)
        for doubt in failures.doubts():
            warnings.warn(doubt, stacklevel=2)
        return pixels

    def __iter__(self) -> Iterator[Pixels]:
        failures = Failures()
        for i in range(len(self)):
            yield read_one(self._recipe, self._sources, i, failures)
        report(failures, len(self))

    def __array__(
        self, dtype: DTypeLike | None = None, copy: bool | None = None
    ) -> NDArray[Any]:
        if copy is False:
            raise ValueError(
                "LazyImages hold no pixels, so an array of them is always a new one. "
                "Use np.asarray(images), without copy=False."
            )
        pixels, failures = self.read()
        report(failures, len(self))
        return pixels if dtype is None else pixels.astype(dtype, copy=False)

    def __getstate__(self) -> dict[str, Any]:
        state = vars(self) | {"_failures": None}
        state.pop("_was_hashed", None)
        return state

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle; for joblib's hash, add a stamp that shows whether a file has changed."""
        reduced: Any = super().__reduce_ex__(protocol)
        if protocol != PROTOCOL_OF_JOBLIB_HASH:
            return reduced
        self._was_hashed = True
        make, arguments, state, *others = reduced
        # A Path takes five times as long as a tuple.
        sources = [(str(s),) if isinstance(s, PurePath) else s for s in self._sources]
        state = state | {"_sources": sources, _STAMP: stamp(self._sources)}
        if self._recipe.resizings:
            # They change no pixel. Before the Resizer they count, since what a cache returns
            # for it is read as they say.
            state |= {"_n_jobs": None, "_verbose": 0}
        return make, arguments, state, *others

    def __setstate__(self, state: dict[str, Any]) -> None:
        own = {key: state[key] for key in state if key != _STAMP}
        if "_sources" not in own:  # as first versions saved it: a recipe held all of these
            recipe = vars(own["_recipe"])
            own |= {f"_{name}": recipe.pop(name) for name in ("sources", "n_jobs", "verbose")}
        if _STAMP in state:  # a pickle of the protocol that joblib hashes with
            own["_sources"] = [
                Path(*s) if isinstance(s, tuple) else s for s in own["_sources"]
            ]
        self.__dict__.update(own)

    @property
    def filenames(self) -> list[str]:
        """The path or URL of each image as it was passed, or a description if it has none.

        A missing cell is ``"<missing>"``.
        """
        return [name_of(source) for source in self._sources]

    @property
    def n_channels(self) -> int:
        """Number of channels of every image."""
        return self._recipe.n_channels

    @property
    def color_mode(self) -> str | None:
        """The loader's `color_mode`, which says what the channels are; None for arrays."""
        return None if self._recipe.decoding is None else self._recipe.decoding.color_mode

    @property
    def on_error(self) -> str:
        """Treatment of images that cannot be read: "raise" or "blank"."""
        return self._recipe.on_error

    @property
    def n_jobs(self) -> int | None:
        """Number of images that are decoded at once; `configured` changes it."""
        return self._n_jobs

    def configured(self, *, n_jobs: int | None = None) -> Self:
        """Set how many images are read at once, and turn the progress bar off.

        Parameters
        ----------
        n_jobs : int or None, default=None
            Number of images that are decoded at once.

        Returns
        -------
        LazyImages
            New; nothing is decoded.

        Raises
        ------
        TypeError, ValueError
            If it is of a wrong type, or 0.
        """
        check_n_jobs(n_jobs)
        return self._with(_n_jobs=n_jobs, _verbose=0)

    def resized(self, resizing: Resizing) -> Self:
        """Add a size to which the images are resized when they are read.

        Parameters
        ----------
        resizing : Resizing
            The size, and how to get there.

        Returns
        -------
        LazyImages
            New; nothing is decoded.
        """
        resizings = (*self._recipe.resizings, resizing)
        return self._with(_recipe=replace(self._recipe, resizings=resizings))

    def read(self) -> tuple[Pixels, Failures]:
        """Decode all images into one array.

        Returns
        -------
        pixels : ndarray of shape (n_samples, height, width, n_channels), dtype uint8
            The images. Those that cannot be read are black.
        failures : dict of int to Exception
            With ``on_error="blank"``, positions of the images that cannot be read, and why.
            They cause no warning.

        Raises
        ------
        ValueError
            If images differ in size.
        ImageDecodeError, OSError
            If an image cannot be read and `on_error` is ``"raise"``: the first one.
        """
        pixels, _, failures = self._read_array(self.dtype)
        return pixels, failures

    def _summary(self) -> str:
        size = " x ".join(map(str, self.shape[1:])) or "differing sizes"
        text = f"{len(self)} images of {size}, {self.dtype}"
        if not len(self):
            return text
        first, last = (show_name(name_of(self._sources[i])) for i in (0, -1))
        return f"{text}, from {first}" + (f" to {last}" if len(self) > 1 else "")

    def _warnings_of_last_read(self) -> list[UserWarning]:
        """Make the warnings that the last full read gave; none if there was none."""
        return [] if self._failures is None else self._failures.warnings(len(self))

    def _try_thumbnail(self, i: int) -> Image.Image | str:
        recipe = self._recipe
        mode = find_color_mode(self.n_channels, self.color_mode)
        if mode is None:
            return f"{self.n_channels} channels cannot be shown"
        try:
            if recipe.decoding is not None and not recipe.resizings:  # fast, since scaled
                content = recipe.content_of(self._sources[i])
                decoded = recipe.decoding.decode(content, lambda *_: LARGEST_THUMBNAIL)
                return mode.as_seen(upright(decoded.image, decoded.orientation))
            picture, _ = recipe.make(recipe.content_of(self._sources[i]))
            return mode.as_seen(picture)
        except (ImageDecodeError, ContentError, OSError) as error:
            return error.reason if isinstance(error, ImageDecodeError) else str(error)

    def _reduce(
        self, task: Task, *columns: NDArray[Any], **options: Any
    ) -> tuple[Any, Failures]:
        """Call `reduce_images`, and remember which images cannot be read."""
        options |= {"n_jobs": self._n_jobs, "verbose": self._verbose}
        total, failures = reduce_images(self._recipe, self._sources, task, columns, **options)
        self._failures = failures
        return total, failures

    def _read_array(
        self, dtype: DTypeLike, **options: Any
    ) -> tuple[NDArray[Any], Any, Failures]:
        """Call `read_array`, and remember which images cannot be read."""
        options |= {"n_jobs": self._n_jobs, "verbose": self._verbose}
        out, total, failures = read_array(self._recipe, self._sources, dtype, **options)
        self._failures = failures
        return out, total, failures

    def _common_shape(self) -> tuple[int, ...]:
        """Shape of the array of all images; without a Resizer, the first image sets it."""
        return common_shape(self._recipe, self._sources)

    def _fingerprint(self, shape: tuple[int, ...]) -> str:
        """Hash what the images are made of: paths, or what is in memory, and all settings.

        The hash, in hexadecimal digits, is the same in another process. `shape` is that of the
        array of all images, which without a Resizer depends on the first file. Nothing else in
        the files is read.
        """
        recipe, sources = self._recipe, [absolute(source) for source in self._sources]
        settings: tuple[Any, ...] = (recipe.n_channels, recipe.decoding, recipe.resizings)
        return str(joblib.hash((__version__, sources, settings, shape)))

    def _with(self, **changes: Any) -> Self:
        images = object.__new__(type(self))
        images.__dict__.update(self.__getstate__() | changes)
        return images


def _try_each(recipe: Recipe, sources: Sequence[Any], rows: slice) -> tuple[Failures, None]:
    return read_stacks(recipe, sources, lambda i, images: None), None
