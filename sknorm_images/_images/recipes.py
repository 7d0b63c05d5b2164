"""What images are made of, and one of them: a source, decoded and resized."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from itertools import repeat
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from sknorm_images._common.exceptions import ImageDecodeError, brief
from sknorm_images._common.failures import Failures, ReadError
from sknorm_images._common.versions import __version__
from sknorm_images._files.protocols import is_url, local_path
from sknorm_images._files.reading import Source, name_of, read_ahead
from sknorm_images._images.decoding import Decoding, Picture, Pixels
from sknorm_images._images.geometry import Resizing, upright

# Pixels of an image that is turned into an array strip by strip, and of a strip. With these,
# 12 megapixels took half as long as whole; smaller images took longer.
_LARGE, _STRIP = 2**22, 2**16


@dataclass(frozen=True)
class Made:
    """An image that was made before, in the place of its source."""

    pixels: Pixels


@dataclass(frozen=True, eq=False)
class Recipe:
    """All that `LazyImages` hold, but what their last reading found; workers are sent some.

    The parameters are theirs.
    """

    sources: Sequence[Any]  # Source, Picture or Made
    n_channels: int
    decoding: Decoding | None  # None where sources are arrays that are taken as they are
    resizings: tuple[Resizing, ...]
    on_error: str
    n_jobs: int | None
    verbose: int

    def __len__(self) -> int:
        return len(self.sources)

    @property
    def shape(self) -> tuple[int, ...]:
        """``(n_samples, height, width, n_channels)``; without a Resizer, ``(n_samples,)``."""
        if not self.resizings:
            return (len(self),)
        last = self.resizings[-1]
        return len(self), last.height, last.width, self.n_channels

    def take(self, rows: slice | Sequence[int]) -> Recipe:
        """Select some of the images."""
        if isinstance(rows, slice):
            return replace(self, sources=self.sources[rows])
        return replace(self, sources=[self.sources[row] for row in rows])

    def name(self, i: int) -> str:
        """Name an image: its path, or a description of what has none."""
        return name_of(self.sources[i])

    def read_ahead(self) -> Iterator[bytes | Exception | None]:
        """Read what sources are at URLs a few at a time, each few when their turn comes.

        Returns
        -------
        iterator of bytes, Exception or None
            For each image its `content` for `make`, or what reading it raised.
        """
        if self.decoding is None:
            return repeat(None)
        return read_ahead(self.sources, self.decoding.access)

    def make(
        self, i: int, content: bytes | None = None, found: Failures | None = None
    ) -> Picture:
        """Decode an image, and bring it to its size.

        Parameters
        ----------
        i : int
            The image.
        content : bytes or None, default=None
            The content of its file, where that is known already.
        found : Failures or None, default=None
            Where to note that its transparency is lost.

        Returns
        -------
        Image or ndarray of shape (height, width, n_channels)
            The image.

        Raises
        ------
        OSError
            If the file cannot be read.
        ImageDecodeError
            If it is read but cannot be decoded.
        """
        source = self.sources[i]
        if isinstance(source, Made):
            return source.pixels
        first, *others = self.resizings or (None,)
        picture: Picture
        if self.decoding is None:
            assert isinstance(source, np.ndarray)
            picture = source if first is None else first.resize_array(source)
        else:
            try:
                draft_size = first.draft_size if first else None
                decoded = self.decoding.decode(source, draft_size, content)
            except ImageDecodeError as error:
                error.position = i
                raise
            if decoded.lost_transparency and found is not None:
                found.note_transparency(i, self.name(i))
            if first is None:
                picture = upright(decoded.image, decoded.orientation)
            else:
                picture = first.resize(decoded)
        for resizing in others:
            picture = resizing.resize_array(as_pixels(picture))
        return picture

    def make_blank(self, error: ReadError) -> Pixels:
        """Make the black image that stands for one that cannot be read."""
        if not self.resizings:
            raise ValueError(
                "on_error='blank' makes a black image of one that cannot be read "
                f"({brief(error)}), and without a Resizer its size is unknown. Add one after "
                "the JpegLoader."
            )
        return np.zeros(self.shape[1:], np.uint8)

    def fingerprint(self, shape: tuple[int, ...]) -> str:
        """Hash what the images are made of: paths, or what is in memory, and all settings.

        Parameters
        ----------
        shape : tuple of int
            Of the array of them all, which without a Resizer is in the first file. Nothing
            else that is in the files is read.

        Returns
        -------
        str
            The same in another process, in hexadecimal digits.
        """
        sources = [_absolute(source) for source in self.sources]
        settings: tuple[Any, ...] = (self.n_channels, self.decoding, self.resizings)
        return str(joblib.hash((__version__, sources, settings, shape)))

    def stamp(self) -> str:
        """Hash where the local files are, and what tells that one has changed.

        Of each file that is its absolute path, size, time of modification and mode, or that
        it is absent. URLs have no part in it, and no file is opened.

        Returns
        -------
        str
            In hexadecimal digits.
        """
        digest = sha256()
        for source in self.sources:
            if isinstance(source, str | os.PathLike) and not is_url(source):
                digest.update(repr(_state_of(os.fsdecode(local_path(source)))).encode())
        return digest.hexdigest()


def as_pixels(picture: Picture) -> Pixels:
    """Make an array of shape (height, width, n_channels) of an image.

    Pillow holds the bytes twice while it makes them; of a large image, no more than a strip.
    """
    if isinstance(picture, np.ndarray) or picture.width * picture.height <= _LARGE:
        pixels = np.asarray(picture)
        return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    width, height = picture.size
    pixels = np.empty((height, width, len(picture.getbands())), np.uint8)
    n_rows = max(1, _STRIP // width)
    for top in range(0, height, n_rows):
        bottom = min(top + n_rows, height)
        strip = np.asarray(picture.crop((0, top, width, bottom)))
        pixels[top:bottom] = strip.reshape(pixels[top:bottom].shape)
    return pixels


def _state_of(path: str) -> tuple[object, ...]:
    # Of 100,000 files; with a pathlib.Path each it would take twice as long.
    if not os.path.isabs(path):  # noqa: PTH117
        path = os.path.join(os.getcwd(), path)  # noqa: PTH109, PTH118
    try:
        status = os.stat(path)  # noqa: PTH116
    except (OSError, ValueError):  # absent, or a name that no file can have
        return (path,)
    return path, status.st_size, status.st_mtime_ns, status.st_mode


def _absolute(source: Source | Picture) -> Source | Picture:
    if is_url(source) or not isinstance(source, str | os.PathLike):
        return source
    return str(Path(os.fsdecode(local_path(source))).absolute())
