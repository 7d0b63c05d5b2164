"""LazyImages: a sequence of images that are decoded when they are read."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import repeat
from os import PathLike
from pathlib import Path
from types import MappingProxyType
from typing import Any, Self, TypeAlias, overload

import joblib
import numpy as np
from numpy.typing import DTypeLike, NDArray
from PIL import Image

from sknorm_images._cancellation import check_cancelled
from sknorm_images._decoding import Decoded, Decoding
from sknorm_images._exceptions import ImageDecodeError, ImageDecodeWarning
from sknorm_images._geometry import Resizing, upright
from sknorm_images._indexing import select
from sknorm_images._parallel import map_chunks
from sknorm_images._parameters import check_n_jobs, check_verbose
from sknorm_images._reading import Source, describe
from sknorm_images._remote import is_url
from sknorm_images._thumbnails import LARGEST_THUMBNAIL, strip_html
from sknorm_images._versions import __version__

Pixels: TypeAlias = NDArray[np.uint8]
Picture: TypeAlias = Image.Image | Pixels  # as Pillow holds it, or (height, width, channels)
ReadError: TypeAlias = ImageDecodeError | OSError
Failures: TypeAlias = dict[int, ReadError]
# What is the matter with one file, as opposed to a full disk or too many open files.
READ_ERRORS = (
    ImageDecodeError,
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    PermissionError,
)
_N_THUMBNAILS = 8

Task: TypeAlias = Callable[..., tuple[Failures, Any]]
Columns: TypeAlias = tuple[NDArray[Any], ...]


class LazyImages:
    """Sequence of images that are decoded when they are read.

    `JpegLoader` makes it and `Resizer` adds a size; neither touches a file. scikit-learn
    splits and indexes it as it does arrays, and ``numpy.asarray`` decodes it, in parallel
    where the loader's `n_jobs` or ``joblib.parallel_config`` asks for that.

    Parameters
    ----------
    sources : sequence of str, PathLike, bytes, Image or ndarray
        Paths, contents of files, images of Pillow, or uint8 arrays of shape (height, width,
        n_channels).
    n_channels : int
        Number of channels of every image.
    decoding : Decoding or None, default=None
        How paths and bytes become images; None where the sources are arrays.
    resizings : tuple of Resizing, default=()
        The sizes that images are brought to, one after another.
    on_error : {"raise", "blank"}, default="raise"
        What becomes of images that cannot be decoded.
    n_jobs : int or None, default=None
        Number of images that are decoded at once.
    verbose : int, default=0
        Above 0, progress bars are shown.

    See Also
    --------
    JpegLoader : Makes it from paths.
    Resizer : Gives its images one size.

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

    def __init__(
        self,
        sources: Sequence[Source | Decoded],
        n_channels: int,
        decoding: Decoding | None = None,
        resizings: tuple[Resizing, ...] = (),
        *,
        on_error: str = "raise",
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self._sources = sources
        self.n_channels = n_channels
        self._decoding = decoding
        self._resizings = resizings
        self.on_error = on_error
        self.n_jobs = n_jobs
        self.verbose = verbose
        self._failures: Failures | None = None

    def __len__(self) -> int:
        return len(self._sources)

    def __repr__(self) -> str:
        return f"<LazyImages: {self._describe()}>"

    def _repr_html_(self) -> str:
        """Show the first images in a notebook; those that cannot be read say why."""
        names = self[:_N_THUMBNAILS].filenames
        items = [(name, self._try_thumbnail(i)) for i, name in enumerate(names)]
        return strip_html(f"LazyImages: {self._describe()}", items)

    @property
    def dtype(self) -> np.dtype[np.uint8]:
        """Data type of the pixels: uint8, grey levels from 0 to 255."""
        return np.dtype(np.uint8)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n, height, width, n_channels)`` once a Resizer fixed the size, else ``(n,)``."""
        if not self._resizings:
            return (len(self),)
        last = self._resizings[-1]
        return len(self), last.height, last.width, self.n_channels

    @property
    def ndim(self) -> int:
        """Number of dimensions: 4 once a Resizer fixed the size, else 1."""
        return len(self.shape)

    @property
    def failures(self) -> dict[int, ImageDecodeError | OSError]:
        """Images that cannot be read: their position, and the exception that says why.

        This is what the last full read found: ``numpy.asarray``, or a scaler's `fit` or
        `transform`. Where there was none, all images are read now, whatever `on_error` is.
        """
        if self._failures is None:
            _, self._failures = _run_chunks(self._with(on_error="blank"), _attempt)
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
        rows = select(key, len(self))
        if isinstance(rows, slice):
            return self._with(sources=self._sources[rows])
        if isinstance(rows, list):
            return self._with(sources=[self._sources[row] for row in rows])
        failures: Failures = {}
        pixels = self._read_one(rows, failures)
        if failures:
            warnings.warn(ImageDecodeWarning(failures, 1), stacklevel=2)
        return pixels

    def __iter__(self) -> Iterator[Pixels]:
        failures: Failures = {}
        for i in range(len(self)):
            yield self._read_one(i, failures)
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
        return vars(self) | {"_failures": None}

    @property
    def filenames(self) -> list[str]:
        """The path of each image as it was passed; what has none is described."""
        return [describe(source) for source in self._sources]

    def configured(self, *, n_jobs: int | None = None, verbose: int = 0) -> Self:
        """Say anew how the images are read.

        Parameters
        ----------
        n_jobs : int or None, default=None
            Number of images that are decoded at once.
        verbose : int, default=0
            Above 0, progress bars are shown.

        Returns
        -------
        LazyImages
            New; nothing is decoded.

        Raises
        ------
        TypeError, ValueError
            If one of them is of a wrong type, or out of its range.
        """
        check_n_jobs(n_jobs)
        check_verbose(verbose)
        images = self._with()
        images.n_jobs, images.verbose = n_jobs, verbose
        return images

    def resized(self, resizing: Resizing) -> Self:
        """Add a size that the images are brought to when they are read.

        Parameters
        ----------
        resizing : Resizing
            The size, and how to get there.

        Returns
        -------
        LazyImages
            New; nothing is decoded.
        """
        return self._with(resizings=(*self._resizings, resizing))

    def read(self) -> tuple[Pixels, Failures]:
        """Decode all images into one array.

        Returns
        -------
        pixels : ndarray of shape (n, height, width, n_channels), dtype uint8
            The images. Those that cannot be read are black.
        failures : dict of int to Exception
            Positions of the images that cannot be read under ``on_error="blank"``, and why.
            Here nobody is warned of them.

        Raises
        ------
        ValueError
            If images differ in size.
        ImageDecodeError, OSError
            If an image cannot be read and `on_error` is ``"raise"``: the first one.
        """
        pixels, _, failures = read_array(self, self.dtype)
        return pixels, failures

    def _describe(self) -> str:
        size = " x ".join(map(str, self.shape[1:])) or "differing sizes"
        text = f"{len(self)} images of {size}, {self.dtype}"
        if not len(self):
            return text
        first, last = (describe(self._sources[i]) for i in (0, -1))
        return f"{text}, from {first!r}" + (f" to {last!r}" if len(self) > 1 else "")

    def _try_thumbnail(self, i: int) -> Image.Image | str:
        if self.n_channels not in (1, 3):
            return f"{self.n_channels} channels cannot be shown"
        try:
            if self._decoding is not None and not self._resizings:  # fast, since scaled
                decoded = self._decoding.decode(self._sources[i], lambda *_: LARGEST_THUMBNAIL)
                return upright(decoded.image, decoded.orientation)
            pixels = _pixels(self._decode(i))
        except (ImageDecodeError, OSError) as error:
            return error.reason if isinstance(error, ImageDecodeError) else str(error)
        return Image.fromarray(pixels if pixels.shape[-1] > 1 else pixels[..., 0])

    def _with(
        self,
        sources: Sequence[Source | Decoded] | None = None,
        resizings: tuple[Resizing, ...] | None = None,
        on_error: str | None = None,
    ) -> Self:
        return type(self)(
            self._sources if sources is None else sources,
            self.n_channels,
            self._decoding,
            self._resizings if resizings is None else resizings,
            on_error=self.on_error if on_error is None else on_error,
            n_jobs=self.n_jobs,
            verbose=self.verbose,
        )

    def _read_ahead(self, known: Collection[int] = ()) -> Iterator[bytes | Exception | None]:
        if self._decoding is None:
            return repeat(None)
        sources = self._sources
        if known:
            sources = [b"" if i in known else source for i, source in enumerate(sources)]
        return self._decoding.read_ahead(sources)

    def _decode(self, i: int, content: bytes | None = None) -> Picture:
        source = self._sources[i]
        first, *others = self._resizings or (None,)
        picture: Picture
        if self._decoding is None:
            assert isinstance(source, np.ndarray)
            picture = source if first is None else first.resize_array(source)
        else:
            try:
                draft_size = first.draft_size if first else None
                decoded = self._decoding.decode(source, draft_size, content)
            except ImageDecodeError as error:
                error.position = i
                raise
            if first is None:
                picture = upright(decoded.image, decoded.orientation)
            else:
                picture = first.resize(decoded)
        for resizing in others:
            picture = resizing.resize_array(_pixels(picture))
        return picture

    def _read_one(self, i: int, failures: Failures) -> Pixels:
        """Decode one image; under ``on_error="blank"`` a bad one is noted and black."""
        try:
            pixels = _pixels(self._decode(i))
            return pixels if pixels.flags.writeable else pixels.copy()
        except READ_ERRORS as error:
            if self.on_error == "raise":
                raise
            failures[i] = _forget_frames(error)
            _check_blank_has_size(self, failures)
            return np.zeros(self.shape[1:], np.uint8)


def fingerprint(images: LazyImages, shape: tuple[int, ...]) -> str:
    """Hash what images are made of: paths, or what is in memory, and all settings.

    Parameters
    ----------
    images : LazyImages
        The images. What is in their files is not read.
    shape : tuple of int
        Of the array of them all, which without a Resizer is in the first file.

    Returns
    -------
    str
        The same in another process, in hexadecimal digits.
    """
    sources = [_absolute(source) for source in images._sources]
    settings = images.n_channels, images._decoding, images._resizings
    return str(joblib.hash((__version__, sources, settings, shape)))


def _absolute(source: Source | Decoded) -> Source | Decoded:
    if is_url(source) or not isinstance(source, str | PathLike):
        return source
    return str(Path(describe(source)).absolute())


def _tell_nobody(n_images: int) -> None:
    pass


def reduce_images(
    images: LazyImages,
    task: Task,
    columns: Columns = (),
    *,
    local: bool = False,
    description: str = "",
    advance: Callable[[int], None] = _tell_nobody,
    chunk_size: int | None = None,
) -> tuple[Any, Failures]:
    """Run `task` on chunks of images in parallel, and add up what it returns.

    Parameters
    ----------
    images : LazyImages
        The images.
    task : callable
        Called as ``task(chunk, rows, *columns)`` with LazyImages, the slice of `images`
        that they are, and the same slice of each column. Returns the failures in the
        chunk, as `read_each` does, and a value or None.
    columns : tuple of ndarray, default=()
        Arrays of one entry an image.
    local : bool, default=False
        Run in threads of this process, whatever joblib backend is configured.
    description : str, default=""
        What the progress bar is called.
    advance : callable, default=None for every chunk
        Called as ``advance(n)`` when n more images are done.
    chunk_size : int or None, default=None
        Number of images in each chunk but the last; None takes what suits many workers.

    Returns
    -------
    total : object
        The sum of the values, in order; None where there was none.
    failures : dict of int to Exception
        The images that cannot be read.

    Raises
    ------
    ImageDecodeError, OSError
        If an image cannot be read and `on_error` is ``"raise"``: the first one.
    """
    total, failures = _run_chunks(
        images, task, columns, local, description, advance, chunk_size
    )
    images._failures = failures
    return total, failures


def read_array(
    images: LazyImages,
    dtype: DTypeLike,
    write: Callable[[NDArray[Any], Pixels], None] = np.copyto,
    summarise: Callable[[NDArray[Any], slice, Failures], Any] = lambda *_: None,
    advance: Callable[[int], None] = _tell_nobody,
) -> tuple[NDArray[Any], Any, Failures]:
    """Make one array of all images, in local threads.

    Parameters
    ----------
    images : LazyImages
        The images.
    dtype : dtype
        Of the array.
    write : callable, default=numpy.copyto
        Called as ``write(row, pixels)`` for every image; fills its row of the array.
    summarise : callable, default=None for every chunk
        Called as ``summarise(out[rows], rows, failures)`` when a chunk is complete.
    advance : callable, default=None for every chunk
        Called as ``advance(n)`` when n more images are done.

    Returns
    -------
    out : ndarray of shape (n, height, width, n_channels)
        The array. Rows of images that cannot be read are zeros.
    total : object
        The sum of what `summarise` returned.
    failures : dict of int to Exception
        The images that cannot be read.

    Raises
    ------
    ValueError
        If images differ in size.
    ImageDecodeError, OSError
        As `reduce_images` raises them.
    """
    # Without a Resizer the first image tells the size, and is not decoded again.
    known = {0: images[0]} if images.ndim == 1 and len(images) else {}
    shape = known[0].shape if known else common_shape(images)[1:]
    out = np.empty((len(images), *shape), dtype)

    def fill_chunk(chunk: LazyImages, rows: slice) -> tuple[Failures, Any]:
        target = out[rows]

        def receive(i: int, pixels: Pixels) -> None:
            write(target[i], pixels)

        first = known if rows.start == 0 else {}
        failures = read_alike(chunk, rows.start, shape, receive, first)
        target[list(failures)] = 0
        return failures, summarise(target, rows, failures)

    total, failures = reduce_images(
        images, fill_chunk, local=True, description="decode", advance=advance
    )
    return out, total, failures


def common_shape(images: LazyImages) -> tuple[int, ...]:
    """Shape of the array of all images; without a Resizer, the first one tells."""
    if images.ndim == 4:
        return images.shape
    if not len(images):
        return 0, 0, 0, images.n_channels
    return len(images), *images[0].shape


def read_alike(
    images: LazyImages,
    start: int,
    shape: tuple[int, ...],
    receive: Callable[[int, Pixels], None],
    known: Mapping[int, Picture] = MappingProxyType({}),
) -> Failures:
    """Decode images as `read_each` does, and see that they are of one shape.

    Parameters
    ----------
    images : LazyImages
        Some of the images.
    start : int
        Which one of all the first of them is.
    shape : tuple of int
        ``(height, width, n_channels)`` of them all.
    receive : callable
        Called as ``receive(position, pixels)`` for every image that can be read.
    known : mapping of int to Image or ndarray, default={}
        As in `read_each`.

    Returns
    -------
    dict of int to Exception
        The images that cannot be read.

    Raises
    ------
    ValueError
        If an image is of another shape, or one that is to be left blank is of none.
    """

    def check(i: int, picture: Picture) -> None:
        pixels = _pixels(picture)
        if pixels.shape != shape:
            raise ValueError(
                f"Image {start + i}, {describe(images._sources[i])!r}, is of shape "
                f"{pixels.shape}, others are of shape {shape}, and one array takes one "
                "shape. Add a Resizer after the JpegLoader."
            )
        receive(i, pixels)

    failures = read_each(images, check, known)
    if failures and images.on_error == "blank":
        _check_blank_has_size(images, failures)
    return failures


def read_each(
    images: LazyImages,
    receive: Callable[[int, Picture], None],
    known: Mapping[int, Picture] = MappingProxyType({}),
) -> Failures:
    """Decode images in this thread, and hand each to ``receive(position, picture)``.

    Under ``on_error="raise"`` it stops at the first image that cannot be read, and in a
    chunk of `map_chunks` that is cancelled, between two images.

    Parameters
    ----------
    images : LazyImages
        The images.
    receive : callable
        Called for every image that can be read: one from a file is still Pillow's.
    known : mapping of int to Image or ndarray, default={}
        Images that have been decoded before, by position.

    Returns
    -------
    dict of int to Exception
        The images that cannot be read.
    """
    failures: Failures = {}
    contents = images._read_ahead(known)
    for i in range(len(images)):
        check_cancelled()
        content = next(contents)
        try:
            if isinstance(content, Exception):
                raise content
            picture = known[i] if i in known else images._decode(i, content)
        except READ_ERRORS as error:
            failures[i] = error
            if images.on_error == "raise":
                break
            _forget_frames(error)
        else:
            receive(i, picture)
    return failures


def _forget_frames(error: ReadError) -> ReadError:
    """Let go of the bytes and pixels that are still alive in the frames of an exception."""
    error.__traceback__ = error.__cause__ = error.__context__ = None
    return error


def report(failures: Failures, n_images: int, stacklevel: int = 3) -> None:
    """Tell the user once, when a call is complete, which images were left blank.

    Parameters
    ----------
    failures : dict of int to Exception
        The images that cannot be read.
    n_images : int
        How many there were in all.
    stacklevel : int, default=3
        Whose line the warning points at: 3 is that of the caller's caller.

    Raises
    ------
    ValueError
        If none can be read.
    """
    if failures and len(failures) == n_images:
        raise ValueError(
            f"None of the {n_images} images can be read, so there is nothing to go on with. "
            f"Check X; the first one fails with: {failures[0]}"
        )
    if failures:
        warnings.warn(ImageDecodeWarning(failures, n_images), stacklevel=stacklevel)


def _run_chunks(
    images: LazyImages,
    task: Task,
    columns: Columns = (),
    local: bool = False,
    description: str = "",
    advance: Callable[[int], None] = _tell_nobody,
    chunk_size: int | None = None,
) -> tuple[Any, Failures]:
    total = None
    failures: Failures = {}
    sizes = {"largest_chunk": chunk_size, "multiple_of": chunk_size} if chunk_size else {}
    results = map_chunks(
        task,
        len(images),
        lambda rows: (images[rows], rows, *(column[rows] for column in columns)),
        **sizes,
        n_jobs=images.n_jobs,
        local=local,
        verbose=images.verbose,
        description=description,
    )
    with closing(results):
        for rows, (found, value) in results:
            for i, error in found.items():
                if isinstance(error, ImageDecodeError):
                    error.position = rows.start + i
                failures[rows.start + i] = error
            if failures and images.on_error == "raise":
                raise next(iter(failures.values()))
            if value is not None:
                total = value if total is None else total + value
            advance(rows.stop - rows.start)
    return total, failures


def _attempt(chunk: LazyImages, rows: slice) -> tuple[Failures, None]:
    return read_each(chunk, lambda i, picture: None), None


def _check_blank_has_size(images: LazyImages, failures: Failures) -> None:
    if images.ndim == 1:
        first = next(iter(failures.values()))
        raise ValueError(
            "on_error='blank' makes a black image of one that cannot be decoded, and without "
            f"a Resizer its size is unknown. Add one after the JpegLoader. {first}"
        )


def _pixels(picture: Picture) -> Pixels:
    pixels = np.asarray(picture)
    return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
