"""How one image is made: the content of a source, decoded and resized."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from sknorm_images._common.exceptions import brief
from sknorm_images._common.failures import ReadError
from sknorm_images._common.published import published
from sknorm_images._files.reading import contents_of, read
from sknorm_images._images.decoding import DecodedImage, Decoding, Picture, Pixels
from sknorm_images._images.resizing import Resizing, upright

if TYPE_CHECKING:
    from sknorm_images._images.fast_lane import FastLane

# Pixels of an image that is turned into an array strip by strip, and of a strip. With these,
# 12 megapixels took half as long as whole; smaller images took longer.
_LARGE, _STRIP = 2**22, 2**16


@dataclass(frozen=True)
class Made:
    """An image that has been made already, in the place of its source."""

    pixels: Pixels


@published("sknorm_images")
@dataclass(frozen=True)
class Recipe:
    """How `LazyImages` make an image of each source; the parameters are theirs."""

    n_channels: int
    decoding: Decoding | None  # None where sources are arrays that are taken as they are
    resizings: tuple[Resizing, ...]
    on_error: str

    @property
    def shape(self) -> tuple[int, ...]:
        """``(height, width, n_channels)`` of every image; without a Resizer, ``()``."""
        if not self.resizings:
            return ()
        last = self.resizings[-1]
        return last.height, last.width, self.n_channels

    def contents_of(self, sources: Sequence[Any]) -> Iterator[Any]:
        """Yield the content of each source for `make`, or the error that reading it raised."""
        if self.decoding is None:
            return iter(sources)
        return contents_of(sources, self.decoding.access)

    def content_of(self, source: Any) -> Any:
        """Read the content of one source; raises what `read` raises."""
        return source if self.decoding is None else read(source, self.decoding.access)

    def fast_lane(self) -> AbstractContextManager[FastLane | None]:
        """Open the fast lane for the contents of files, if there is one for these settings.

        What that does not take, `make` does.
        """
        if self.decoding is None or [each.engine for each in self.resizings] != ["simd"]:
            return nullcontext()
        from sknorm_images._images import fast_lane  # only here: it needs optional libraries

        return fast_lane.open_lane(self.decoding, self.resizings[0])

    def make(
        self, content: bytes | Picture | Made, decoded: DecodedImage | None = None
    ) -> tuple[Picture, bool]:
        """Make an image of a content, in its size; also tell whether it lost transparency.

        `decoded` is what `decoding` makes of the content at full size, if somebody has it
        already. Raises ContentError.
        """
        if isinstance(content, Made):
            return content.pixels, False
        first, *others = self.resizings or (None,)
        picture, lost_transparency = self._decode(content, first, decoded)
        for resizing in others:
            picture = resizing.resize_array(as_pixels(picture))
        return picture, lost_transparency

    def _decode(
        self,
        content: bytes | Picture,
        resizing: Resizing | None,
        decoded: DecodedImage | None,
    ) -> tuple[Picture, bool]:
        """Decode a content and bring it to one size: here it is chosen what does that."""
        if self.decoding is None:
            assert isinstance(content, np.ndarray)
            return (content if resizing is None else resizing.resize_array(content)), False
        draft_size = resizing.draft_size if resizing else None
        if decoded is None or (draft_size and draft_size(decoded.size, decoded.orientation)):
            decoded = self.decoding.decode(content, draft_size)
        if resizing is None:
            picture = upright(decoded.image, decoded.orientation)
        else:
            picture = resizing.resize(decoded)
        return picture, decoded.lost_transparency

    def make_blank(self, error: ReadError) -> Pixels:
        """Make the black image that replaces one that cannot be read; needs a Resizer."""
        if not self.resizings:
            raise ValueError(
                "on_error='blank' puts a black image in place of one that cannot be read "
                f"({brief(error)}), and without a Resizer its size is unknown. Add a Resizer "
                "after the JpegLoader."
            )
        return np.zeros(self.shape, np.uint8)


def as_pixels(picture: Picture) -> Pixels:
    """Turn an image into an array of shape (height, width, n_channels).

    Pillow holds the bytes twice during that, so a large image is converted strip by strip.
    """
    if isinstance(picture, np.ndarray):
        pixels = np.asarray(picture)
        return pixels if pixels.ndim == 3 else pixels[..., np.newaxis]
    width, height = picture.size
    if width * height <= _LARGE:  # what np.asarray does, but by fewer calls
        return np.frombuffer(picture.tobytes(), np.uint8).reshape(height, width, -1)
    pixels = np.empty((height, width, len(picture.getbands())), np.uint8)
    n_rows = max(1, _STRIP // width)
    for top in range(0, height, n_rows):
        bottom = min(top + n_rows, height)
        strip = np.asarray(picture.crop((0, top, width, bottom)))
        pixels[top:bottom] = strip.reshape(pixels[top:bottom].shape)
    return pixels
