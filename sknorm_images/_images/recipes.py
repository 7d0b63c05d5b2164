"""What images are made of, and how one is made: a source, decoded and resized."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import joblib
import numpy as np

from sknorm_images._common.exceptions import brief
from sknorm_images._common.failures import ReadError
from sknorm_images._common.published import published
from sknorm_images._common.versions import __version__
from sknorm_images._files.protocols import is_url, local_path
from sknorm_images._files.reading import Source, contents_of, name_of, read
from sknorm_images._images.decoding import Decoding, Picture, Pixels
from sknorm_images._images.geometry import Resizing, upright

# Pixels of an image that is turned into an array strip by strip, and of a strip. With these,
# 12 megapixels took half as long as whole; smaller images took longer.
_LARGE, _STRIP = 2**22, 2**16


@published("sknorm_images")
@dataclass(frozen=True)
class Made:
    """An image that has been made already, in the place of its source."""

    pixels: Pixels


@published("sknorm_images")
@dataclass(frozen=True, eq=False)
class Recipe:
    """What `LazyImages` hold, except the failures found by their last read.

    Workers are sent parts of it. The parameters are those of `LazyImages`.
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

    def contents(self) -> Iterator[Any]:
        """Yield the content of each image for `make`, or the error that reading it raised."""
        if self.decoding is None:
            return iter(self.sources)
        return contents_of(self.sources, self.decoding.access)

    def content(self, i: int) -> Any:
        """Read the content of one image; raises what `read` raises."""
        source = self.sources[i]
        return source if self.decoding is None else read(source, self.decoding.access)

    def make(self, content: bytes | Picture | Made) -> tuple[Picture, bool]:
        """Make an image of a content, in its size; also tell whether it lost transparency.

        Here it is chosen what decodes and resizes. Raises ContentError.
        """
        if isinstance(content, Made):
            return content.pixels, False
        first, *others = self.resizings or (None,)
        lost_transparency = False
        picture: Picture
        if self.decoding is None:
            assert isinstance(content, np.ndarray)
            picture = content if first is None else first.resize_array(content)
        else:
            decoded = self.decoding.decode(content, first.draft_size if first else None)
            lost_transparency = decoded.lost_transparency
            if first is None:
                picture = upright(decoded.image, decoded.orientation)
            else:
                picture = first.resize(decoded)
        for resizing in others:
            picture = resizing.resize_array(as_pixels(picture))
        return picture, lost_transparency

    def make_blank(self, error: ReadError) -> Pixels:
        """Make the black image that replaces one that cannot be read; needs a Resizer."""
        if not self.resizings:
            raise ValueError(
                "on_error='blank' makes a black image of one that cannot be read "
                f"({brief(error)}), and without a Resizer its size is unknown. Add one after "
                "the JpegLoader."
            )
        return np.zeros(self.shape[1:], np.uint8)

    def fingerprint(self, shape: tuple[int, ...]) -> str:
        """Hash what the images are made of: paths, or what is in memory, and all settings.

        The hash, in hexadecimal digits, is the same in another process. `shape` is that of the
        array of all images, which without a Resizer depends on the first file. Nothing else in
        the files is read.
        """
        sources = [_absolute(source) for source in self.sources]
        settings: tuple[Any, ...] = (self.n_channels, self.decoding, self.resizings)
        return str(joblib.hash((__version__, sources, settings, shape)))

    def stamp(self) -> str:
        """Hash what shows that a local file has moved or changed, in hexadecimal digits.

        This covers the absolute path of each file with its size, modification time and mode,
        or its absence. URLs are left out, and no file is opened.
        """
        digest = sha256()
        for source in self.sources:
            if isinstance(source, str | os.PathLike) and not is_url(source):
                digest.update(repr(_state_of(os.fsdecode(local_path(source)))).encode())
        return digest.hexdigest()


def as_pixels(picture: Picture) -> Pixels:
    """Turn an image into an array of shape (height, width, n_channels).

    Pillow holds the bytes twice during that, so a large image is converted strip by strip.
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
