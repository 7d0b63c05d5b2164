"""One source to one image: read, guard, decode, convert."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from PIL import ExifTags, Image, UnidentifiedImageError

from sknorm_images._exceptions import ImageDecodeError
from sknorm_images._jpeg_markers import read_structure

Source: TypeAlias = str | os.PathLike[str] | bytes
Size: TypeAlias = tuple[int, int]
Box: TypeAlias = tuple[float, float, float, float]

MODES = {"rgb": "RGB", "grayscale": "L"}  # Pillow's names for Keras' color modes

_DRAFTED = ("JPEG", "MPO")  # formats that Pillow can decode at a smaller scale
_JPEG = b"\xff\xd8\xff"

# What files called .jpg turn out to be; only for the error message.
_SIGNATURES = {
    _JPEG: "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF8": "GIF",
    b"BM": "BMP",
    b"II*\x00": "TIFF",
    b"MM\x00*": "TIFF",
    b"<!DOCTYPE": "HTML",
    b"<html": "HTML",
    b"%PDF": "PDF",
}


_NOT_OPENED = ("HTML", "PDF", "HEIF")  # by Pillow alone


class DecodedImage(NamedTuple):
    """An image in its stored orientation, as large as it was decoded."""

    image: Image.Image
    size: Size  # (width, height) in the file
    box: Box  # the part of `image` that shows the picture: scaled decoding rounds up
    orientation: int  # EXIF, 1 to 8


@dataclass(frozen=True)
class Decoding:
    """How sources become images; the parameters are those of `JpegLoader`."""

    color_mode: str
    exif_orientation: bool
    formats: tuple[str, ...]
    max_pixels: int
    max_scans: int

    @property
    def n_channels(self) -> int:
        """Number of channels of every image."""
        return len(MODES[self.color_mode])

    def decode(
        self, source: Source, draft_size: Callable[[Size, int], Size | None] | None = None
    ) -> DecodedImage:
        """Decode one source.

        Parameters
        ----------
        source : str, PathLike or bytes
            A path, or the content of a file.
        draft_size : callable or None, default=None
            Given the (width, height) in the file and the orientation, the (width, height)
            that the decoder may come down to, or None for full size.

        Returns
        -------
        DecodedImage
            In mode RGB or L.

        Raises
        ------
        OSError
            If the file cannot be read.
        ImageDecodeError
            If it is read but cannot be decoded.
        """
        data = source if isinstance(source, bytes) else _read_file(source)
        try:
            self._guard_structure(source, data)
            image = Image.open(io.BytesIO(data), formats=self.formats)
            self._guard_size(source, *image.size)
            if image.format not in _DRAFTED:
                image.load()  # which turns a TIFF upright, and reads the EXIF behind a PNG
            size = image.size
            orientation = _orientation(image) if self.exif_orientation else 1
            smaller = draft_size(size, orientation) if draft_size else None
            # A mode is never drafted: grey levels would differ from those of convert.
            draft = image.draft(None, smaller) if smaller else None
            image.load()
            mode = MODES[self.color_mode]
            converted = image if image.mode == mode else image.convert(mode)
        except Image.DecompressionBombWarning as error:
            raise ImageDecodeError(describe(source), str(error).rstrip(" .")) from error
        except (ImageDecodeError, MemoryError, Warning):
            raise  # a warning is raised only where the user turned warnings into errors
        except UnidentifiedImageError as error:
            raise ImageDecodeError(describe(source), self._unidentified(data)) from error
        except Exception as error:  # Pillow raises many classes on damaged files
            reason = str(error).rstrip(" .") or type(error).__name__
            raise ImageDecodeError(describe(source), reason) from error
        box = draft[1] if draft else (0.0, 0.0, float(size[0]), float(size[1]))
        return DecodedImage(converted, size, box, orientation)

    def _guard_structure(self, source: Source, data: bytes) -> None:
        """Refuse what the markers of a JPEG file give away, before a decoder sees it."""
        if "JPEG" not in self.formats or not data.startswith(_JPEG):
            return
        width, height, n_scans = read_structure(data, self.max_scans)
        self._guard_size(source, width, height)
        if n_scans > self.max_scans:
            raise ImageDecodeError(
                describe(source), f"it has more scans than max_scans={self.max_scans}"
            )

    def _guard_size(self, source: Source, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise ImageDecodeError(
                describe(source),
                f"{width} x {height} pixels are more than max_pixels={self.max_pixels}",
            )

    def _unidentified(self, data: bytes) -> str:
        if not data:
            return "the file is empty"
        found = _identify(data)
        if found is None:
            return "no known image format"
        if found in self.formats:
            return f"a {found} header that is damaged"
        message = f"{found} data, while JpegLoader has formats={self.formats!r}"
        if found not in _NOT_OPENED:
            message += f"; formats={(*self.formats, found)!r} would let it in"
        return message


def describe(source: object) -> str:
    """Name a source in a message: the path, or how many bytes it is."""
    if isinstance(source, str | os.PathLike):
        return str(os.fspath(source))
    return (
        f"<{len(source)} bytes>" if isinstance(source, bytes) else f"<{type(source).__name__}>"
    )


def _read_file(path: str | os.PathLike[str]) -> bytes:
    try:
        with io.FileIO(os.fspath(path)) as file:  # unbuffered, since all is read at once
            return file.readall()
    except ValueError as error:  # a path that no file system can hold
        reason = f"no file can have this path ({error})"
        raise ImageDecodeError(describe(path), reason) from error


def _identify(data: bytes) -> str | None:
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "AVIF" if data[8:12] in (b"avif", b"avis") else "HEIF"
    return next((name for magic, name in _SIGNATURES.items() if data.startswith(magic)), None)


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 (damaged metadata must not fail a good image)
        return 1
    return orientation if orientation in range(1, 9) else 1
