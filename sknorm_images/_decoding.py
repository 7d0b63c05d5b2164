"""One source to one image: read, guard, decode, convert."""

from __future__ import annotations

import errno
import io
import os
import stat
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

from PIL import ExifTags, Image, ImageFile, UnidentifiedImageError

from sknorm_images._exceptions import ImageDecodeError
from sknorm_images._jpeg_markers import JpegStructure, most_segments, read_structure

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
    b"\x00\x00\x00\x0cjP  ": "JPEG2000",
    b"\xff\x4f\xff\x51": "JPEG2000",
    b"\x00\x00\x00\x0cJXL ": "JPEG XL",
    b"\xff\x0a": "JPEG XL",
    b"II\xbc": "JPEG XR",
}
_NOT_OPENED = ("HTML", "PDF", "HEIF", "JPEG XL", "JPEG XR")  # by Pillow alone


# Of all that goes wrong when a file is opened, what is the matter with its path.
_NO_SUCH_PATH = (errno.ELOOP, errno.ENAMETOOLONG, errno.ENXIO)


class Header(NamedTuple):
    """What a file says of its image before a pixel is decoded."""

    format: str  # Pillow's name, also for MPO
    mode: str  # Pillow's name, as stored
    width: int  # as stored, before any orientation
    height: int
    orientation: int  # EXIF, 1 to 8


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
        data = read(source)
        with self._blaming(source, data):
            image, can_draft = self._open(source, data)
            if image.format not in _DRAFTED:
                image.load()  # which turns a TIFF upright, and reads the EXIF behind a PNG
            size = image.size
            orientation = _orientation(image) if self.exif_orientation else 1
            smaller = draft_size(size, orientation) if draft_size and can_draft else None
            # A mode is never drafted: grey levels would differ from those of convert.
            draft = image.draft(None, smaller) if smaller else None
            image.load()
            mode = MODES[self.color_mode]
            converted = image if image.mode == mode else image.convert(mode)
        box = draft[1] if draft else (0.0, 0.0, float(size[0]), float(size[1]))
        return DecodedImage(converted, size, box, orientation)

    def read_header(self, data: bytes) -> Header:
        """Read what the header says, after the same guards as in `decode`.

        Parameters
        ----------
        data : bytes
            The content of a file.

        Returns
        -------
        Header
            What it says.

        Raises
        ------
        ImageDecodeError
            If the content is refused without being decoded.
        """
        with self._blaming(data, data):
            image, _ = self._open(data, data)
            return Header(str(image.format), image.mode, *image.size, _orientation(image))

    def _open(self, source: Source, data: bytes) -> tuple[Image.Image, bool]:
        """Open an image that passes the guards; tell whether it can be decoded smaller."""
        structure = self._guard_structure(source, data)
        image = Image.open(io.BytesIO(data), formats=self.formats)
        self._guard_size(source, *image.size)
        # libjpeg scales no lossless files, and Pillow before 13 crashes when asked to.
        return image, structure is not None and not structure.is_lossless

    @contextmanager
    def _blaming(self, source: Source, data: bytes) -> Iterator[None]:
        """Raise what Pillow raises on damaged files, of many classes, as one."""
        try:
            yield
        except (ImageDecodeError, MemoryError, DeprecationWarning):
            raise  # the last is about code, and raised only where a user asked for that
        except UnidentifiedImageError as error:
            raise ImageDecodeError(describe(source), self._unidentified(data)) from error
        except Exception as error:
            reason = " ".join(str(error).split()).rstrip(" .") or type(error).__name__
            raise ImageDecodeError(describe(source), reason) from error

    def _guard_structure(self, source: Source, data: bytes) -> JpegStructure | None:
        """Refuse what the markers of a JPEG file give away, before a decoder sees it."""
        if "JPEG" not in self.formats or not data.startswith(_JPEG):
            return None
        structure = read_structure(data, self.max_scans)
        self._guard_size(source, structure.width, structure.height)
        if structure.n_scans > self.max_scans:
            reason = f"it has more scans than max_scans={self.max_scans}"
            raise ImageDecodeError(describe(source), reason)
        if structure.n_segments > most_segments(self.max_scans):
            reason = f"it has more than {most_segments(self.max_scans)} marker segments"
            raise ImageDecodeError(describe(source), reason)
        return structure

    def _guard_size(self, source: Source, width: int, height: int) -> None:
        if width * height > self.max_pixels:
            raise ImageDecodeError(
                describe(source),
                f"{width} x {height} pixels are more than max_pixels={self.max_pixels}",
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
        message = f"{found} data, while JpegLoader has formats={self.formats!r}"
        if found not in _NOT_OPENED:
            message += f"; formats={(*self.formats, found)!r} would let it in"
        return message


def warn_if_truncated_files_pass(stacklevel: int) -> None:
    """Warn where Pillow has been told to make images of files that end too early.

    Parameters
    ----------
    stacklevel : int
        Whose line the warning points at: 3 is that of the caller's caller.
    """
    if ImageFile.LOAD_TRUNCATED_IMAGES:
        warnings.warn(
            "PIL.ImageFile.LOAD_TRUNCATED_IMAGES is set in this process, so a truncated file "
            "passes as an image whose missing part is grey. Set it to False to have such "
            "files found.",
            stacklevel=stacklevel,
        )


def describe(source: object) -> str:
    """Name a source in a message: the path, or how many bytes it is."""
    if isinstance(source, str | os.PathLike):
        return str(os.fspath(source))
    return (
        f"<{len(source)} bytes>" if isinstance(source, bytes) else f"<{type(source).__name__}>"
    )


def read(source: Source) -> bytes:
    """Read a source whole.

    Parameters
    ----------
    source : str, PathLike or bytes
        A path, or what is returned as it is.

    Returns
    -------
    bytes
        The content.

    Raises
    ------
    OSError
        If the file cannot be read.
    ImageDecodeError
        If there can be no such file, or it is a device or a pipe, which may never end.
    """
    if isinstance(source, bytes):
        return source
    try:  # unbuffered, since all is read at once
        file = io.FileIO(os.fspath(source), opener=_open_without_waiting)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in _NO_SUCH_PATH:
            raise
        reason = getattr(error, "strerror", None) or error
        raise ImageDecodeError(
            describe(source), f"no file can have this path ({reason})"
        ) from error
    with file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise ImageDecodeError(describe(source), "it is no regular file")
        return file.readall()


def _open_without_waiting(path: str, flags: int) -> int:
    # Opening a named pipe would wait for a writer; Windows has none, nor the flag.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def identify(data: bytes) -> str | None:
    """Name the format that the first bytes are known for, whether Pillow knows it or not."""
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
