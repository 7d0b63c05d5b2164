"""The content of a file, or an image in memory, to one image: guard, decode, convert.

This decodes with Pillow. `Recipe._decode`, in `recipes`, chooses between this and others.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._files.formats import JPEG, NOT_OPENED, identify
from sknorm_images._files.jpeg_markers import JpegStructure, read_structure
from sknorm_images._files.limits import Access
from sknorm_images._files.plain_jpeg import read_plain_header
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images._images.color_profiles import name_of_profile, to_srgb
from sknorm_images._images.transparency import Rgb, composited, opacity_of

Size: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]
Pixels: TypeAlias = NDArray[np.uint8]
Picture: TypeAlias = Image.Image | Pixels  # as Pillow holds it, or (height, width, channels)

_OPAQUE = ("RGB", "L")  # modes whose transparency, if any, is in the image's info
_DRAFTED = ("JPEG", "MPO")  # formats that Pillow can decode at a smaller scale


class ContentError(Exception):
    """Raised where no image can be made of a content; its text is the reason.

    Code that knows the source turns it into an ImageDecodeError, with name and position.
    """


# Raised as they are. The last is about code, and raised only where a user asked for that.
_PASSED = (ContentError, MemoryError, DeprecationWarning)


class Header(NamedTuple):
    """What a file says of its image before a pixel is decoded."""

    format: str  # Pillow's name, also for MPO
    mode: str  # Pillow's name, as stored
    width: int  # as stored, before any orientation
    height: int
    orientation: int  # EXIF, 1 to 8
    profile: str  # what its colour profile is called; empty without one


class DecodedImage(NamedTuple):
    """An image in its stored orientation, as large as it was decoded."""

    image: Image.Image
    size: Size  # (width, height) in the file
    box: Box  # the part of `image` that shows the picture: scaled decoding rounds up
    orientation: int  # EXIF, 1 to 8
    lost_transparency: bool = False  # what it hides shows
    pixels: Pixels | None = None  # the same as `image`, if they are at hand


@published("sknorm_images")
@dataclass(frozen=True)
class Decoding:
    """How contents are turned into images; the parameters are those of `JpegLoader`."""

    color_mode: str
    exif_orientation: bool
    formats: tuple[str, ...]
    access: Access
    max_scans: int
    color_profile: str = "ignore"  # as in what older versions saved
    background: Rgb | None = None

    @property
    def max_pixels(self) -> int:
        """Largest number of pixels that an image may have."""
        return self.access.max_pixels

    @property
    def n_channels(self) -> int:
        """Number of channels of every image."""
        return len(COLOR_MODES[self.color_mode].channels)

    @property
    def keeps_values(self) -> bool:
        """Whether pixels are numbers as they are stored, which no colour stands for."""
        return COLOR_MODES[self.color_mode].keeps_values

    def decode(
        self,
        content: bytes | Picture,
        draft_size: Callable[[Size, int], Size | None] | None = None,
    ) -> DecodedImage:
        """Decode one image, to the mode that `color_mode` stands for.

        The content is that of a file, an image that Pillow opened, or a uint8 array of shape
        (height, width) or (height, width, 1, 3 or 4). `draft_size` is called with the (width,
        height) in the file and the EXIF orientation, and returns the smallest (width, height)
        that the decoder may use, or None for full size. Raises ContentError.
        """
        if isinstance(content, np.ndarray):
            flat = content.ndim == 3 and content.shape[-1] == 1
            content = Image.fromarray(content[..., 0] if flat else content)
        try:
            if isinstance(content, Image.Image):
                self._guard_size(*content.size)
                return self._converted(content)
            image, can_draft = self._open(content)
            return self._converted(image, draft_size if can_draft else None)
        except _PASSED:
            raise
        except Exception as error:
            raise ContentError(self._reason(error, content)) from error

    def _converted(
        self,
        image: Image.Image,
        draft_size: Callable[[Size, int], Size | None] | None = None,
    ) -> DecodedImage:
        if image.format not in _DRAFTED:
            image.load()  # which turns a TIFF upright, and reads the EXIF behind a PNG
        size = image.size
        orientation = _orientation(image) if self.exif_orientation else 1
        smaller = draft_size(size, orientation) if draft_size else None
        # A mode is never drafted: grey levels would differ from those of convert.
        draft = image.draft(None, smaller) if smaller else None
        image.load()
        mode = COLOR_MODES[self.color_mode]
        box = draft[1] if draft else (0.0, 0.0, float(size[0]), float(size[1]))
        if mode.keeps_values:  # whatever profile and opacity say of colours
            return DecodedImage(mode.converted(image), size, box, orientation)
        stored = image.mode
        if stored.startswith("I") or stored == "F":
            raise ValueError(
                f"its values (Pillow's mode {stored}) are not the grey levels 0 to 255 of "
                "8 bits per channel, so it is unknown which value is white. Convert it first"
            )
        opacity = None
        if stored not in _OPAQUE or "transparency" in image.info:
            opacity = opacity_of(image)
            if isinstance(image.info.get("transparency"), bytes):
                image = image.copy()
                del image.info["transparency"]  # found out above; Pillow warns of its loss
        if self.color_profile == "srgb":
            image = to_srgb(image)
        if opacity is not None and self.background is not None:
            image = composited(image, opacity, self.background)
        lost_transparency = opacity is not None and self.background is None
        return DecodedImage(mode.converted(image), size, box, orientation, lost_transparency)

    def load(self, image: Image.Image) -> None:
        """Load an image that Pillow opened, unless it has more than `max_pixels`.

        Threads that read it later would load it at the same time. The image keeps its pixels
        from then on. Raises ContentError if Pillow warns about its EXIF and warnings are
        errors, because Pillow warns only once.
        """
        if image.width * image.height <= self.max_pixels:
            with suppress(Exception):  # what fails now fails again, and is told, when read
                image.load()
            try:
                _orientation(image)
            except _PASSED:
                raise
            except Exception as error:
                raise ContentError(self._reason(error, image)) from error

    def read_header(self, data: bytes) -> Header:
        """Read what the header of a file says, after the same guards as in `decode`.

        Raises ContentError if the file is refused without being decoded.
        """
        try:
            if plain := self._read_plain_header(data):
                return plain
            image, _ = self._open(data)
            profile = name_of_profile(image)
            return Header(
                str(image.format), image.mode, *image.size, _orientation(image), profile
            )
        except _PASSED:
            raise
        except Exception as error:
            raise ContentError(self._reason(error, data)) from error

    def _read_plain_header(self, data: bytes) -> Header | None:
        """Read a JPEG header without Pillow, which takes far longer, if it is plain."""
        structure = self._guard_structure(data)
        plain = read_plain_header(data) if structure else None
        if structure is None or plain is None or plain.has_profile:
            return None
        width, height, most = structure.width, structure.height, Image.MAX_IMAGE_PIXELS
        if not width * height or (most is not None and width * height > most):
            return None  # Pillow refuses it, or warns of it
        mode = "L" if structure.n_components == 1 else "RGB"
        return Header("JPEG", mode, width, height, max(1, plain.orientation), "")

    def _open(self, data: bytes) -> tuple[Image.Image, bool]:
        """Open an image that passes the guards; tell whether it can be decoded smaller."""
        structure = self._guard_structure(data)
        image = Image.open(io.BytesIO(data), formats=self.formats)
        self._guard_size(*image.size)
        # libjpeg scales no lossless files, and Pillow before 13 crashes when asked to.
        return image, structure is not None and not structure.is_lossless

    def _reason(self, error: Exception, content: object) -> str:
        """Word whatever Pillow raised on a content that it cannot decode."""
        if isinstance(error, UnidentifiedImageError):
            return self._unidentified(content if isinstance(content, bytes) else b"")
        return " ".join(str(error).split()).rstrip(" .") or type(error).__name__

    def _guard_structure(self, data: bytes) -> JpegStructure | None:
        """Refuse a JPEG file whose markers already show that a decoder must not see it."""
        if "JPEG" not in self.formats or not data.startswith(JPEG):
            return None
        structure = read_structure(data, self.max_scans)
        self._guard_size(structure.width, structure.height)
        if reason := structure.excess(self.access.max_pixels, self.max_scans):
            raise ContentError(reason)
        return structure

    def _guard_size(self, width: int, height: int) -> None:
        if width * height > self.access.max_pixels:
            raise ContentError(
                f"{width} x {height} pixels are more than max_pixels={self.max_pixels}"
            )

    def _unidentified(self, data: bytes) -> str:
        if not data:
            return "the file is empty"
        found = identify(data)
        if found is None:
            return "no known image format"
        if found in self.formats:
            return (
                f"a {found} header that is damaged, or of a kind that Pillow does not decode"
            )
        message = f"{found} data, while JpegLoader has formats={show_value(self.formats)}"
        if found not in NOT_OPENED:
            message += f"; to accept it, pass formats={show_value((*self.formats, found))}"
        return message


def warn_if_truncated_files_pass() -> None:
    """Warn if Pillow has been told to make images of files that end too early."""
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        warnings.warn(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set in this process, so a truncated file "
            "passes as an image whose missing part is grey. Set it to False to have such "
            "files found.",
            stacklevel=1,  # it is about the process, not a line of the caller
        )


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except (MemoryError, Warning):
        raise  # what Pillow only warns of leaves an orientation, which is not to be lost
    except Exception:  # noqa: BLE001 (damaged metadata must not fail a good image)
        return 1
    return orientation if orientation in range(1, 9) else 1
