"""Small JPEG files of many kinds, cut out of the two photos that scikit-learn ships."""

from __future__ import annotations

import io
import struct
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_sample_images

from tests.data.jpeg.make import profile
from tests.jpeg_bytes import segment

ORIENTATION = 0x0112
_SHORT, _RATIONAL = 3, 5  # types of TIFF 6.0


@cache
def corpus() -> dict[str, bytes]:
    """All files by name; the same for the same version of Pillow."""
    cut = _cutter()
    return {
        **{f"quality {q}": _save(cut("RGB"), quality=q) for q in (5, 75, 100)},
        **{f"subsampling {s}": _save(cut("RGB"), subsampling=s) for s in (0, 1, 2)},
        "optimised": _save(cut("RGB"), optimize=True),
        "kept as RGB": _save(cut("RGB"), keep_rgb=True),
        "16 x 16": _save(cut("RGB", (16, 16))),
        "160 x 160": _save(cut("RGB", (160, 160))),
        "progressive": _save(cut("RGB"), progressive=True),
        "progressive 4:4:4": _save(cut("RGB"), progressive=True, subsampling=0),
        "grayscale": _save(cut("L")),
        "progressive grayscale": _save(cut("L"), progressive=True),
        "CMYK": _save(cut("CMYK")),
        "progressive CMYK": _save(cut("CMYK"), progressive=True),
        "restart every block": _save(cut("RGB"), restart_marker_blocks=1),
        "restart every row": _save(cut("RGB"), restart_marker_rows=1),
        "progressive restarts": _save(cut("RGB"), progressive=True, restart_marker_rows=1),
        **{
            f"orientation {i}": _save(cut("RGB", (40 + 8 * i, 33)), exif=exif(i, "<>"[i % 2]))
            for i in range(1, 9)
        },
        # Where JFIF says the density, Pillow meets damaged EXIF only when asked for it.
        **{
            f"density, orientation {i}": _save(cut("RGB"), dpi=(72, 72), exif=exif(i))
            for i in (1, 3, 6, 8)
        },
        "density of EXIF, no JFIF": _without_jfif(_save(cut("RGB"), exif=exif(2, ">"))),
        "progressive orientation": _save(
            cut("RGB"), progressive=True, dpi=(300, 300), exif=exif(6)
        ),
        "grayscale orientation": _save(cut("L"), dpi=(72, 72), exif=exif(8)),
        "CMYK orientation": _save(cut("CMYK"), exif=exif(5)),
        "thumbnail": _save(cut("RGB"), exif=exif(3) + _save(cut("RGB", (16, 16)))),
        "rich EXIF": _save(cut("RGB"), exif=_rich_exif()),
        "XMP orientation": insert_segment(_save(cut("RGB", (90, 50))), 0xE1, _XMP),
        "ICC": _save(cut("RGB"), icc_profile=profile()),
        "ICC in two segments": _save(cut("RGB"), icc_profile=profile() * 120),
        "comment": _save(cut("RGB"), comment=b"a comment"),
        "MPO": _save(cut("RGB"), "MPO", save_all=True, append_images=[cut("RGB")]),
        "MPO orientation": _save(
            cut("RGB"), "MPO", save_all=True, append_images=[cut("RGB")], exif=exif(6)
        ),
        **{name: (_PECULIAR / f"{name}.jpg").read_bytes() for name in _NOT_OF_PILLOW},
    }


_PECULIAR = Path(__file__).parent.parent / "data" / "jpeg"
_NOT_OF_PILLOW = (  # which its encoder cannot write
    "arithmetic",
    "arithmetic-grayscale",
    "arithmetic-progressive",
    "arithmetic-restarts",
    "every-app-in-odd-order",
    "lossless",
    "lossless-grayscale",
    "no-huffman-tables",
    "progressive-without-refinement",
    "restarts",
    "rgb",
    "sampling-3x3",
    "sampling-4-1-0-progressive",
    "sampling-chroma-finer-than-luma",
    "scans-of-two-and-one",
    "tables-in-an-image-before",
    "ycck",
)


def exif(orientation: int, byte_order: str = "<") -> bytes:
    """EXIF of an orientation and a resolution, which Pillow reads too when it opens a file."""
    header = (b"II*\0" if byte_order == "<" else b"MM\0*") + struct.pack(byte_order + "L", 8)
    n_entries = 3
    behind = 8 + 2 + 12 * n_entries + 4
    entries = [
        struct.pack(byte_order + "HHLHH", ORIENTATION, _SHORT, 1, orientation, 0),
        struct.pack(byte_order + "HHLL", 0x011A, _RATIONAL, 1, behind),
        struct.pack(byte_order + "HHLHH", 0x0128, _SHORT, 1, 2, 0),
    ]
    directory = struct.pack(byte_order + "H", n_entries) + b"".join(entries) + bytes(4)
    return b"Exif\0\0" + header + directory + struct.pack(byte_order + "LL", 72, 1)


def insert_segment(data: bytes, marker: int, payload: bytes, position: int = 2) -> bytes:
    """Put a segment into a file, by default right after its start."""
    return data[:position] + segment(marker, payload) + data[position:]


_XMP = (
    b'http://ns.adobe.com/xap/1.0/\0<x:xmpmeta xmlns:x="adobe:ns:meta/">'
    b'<rdf:Description tiff:Orientation="6"/></x:xmpmeta>'
)


def _without_jfif(data: bytes) -> bytes:
    return data[:2] + data[4 + int.from_bytes(data[4:6]) :]


def _rich_exif() -> bytes:
    tags = Image.Exif()
    tags[0x010F] = "A maker of cameras"
    tags[ORIENTATION] = 7
    tags[0x011A] = 300.0
    tags[0x0128] = 3
    tags.get_ifd(0x8769)[0x9286] = b"a comment of the user"
    tags.get_ifd(0x8825)[1] = "N"
    return tags.tobytes()


def _cutter():
    """Return a function that cuts piece after piece of 16 to 160 pixels a side."""
    photos = [Image.fromarray(photo) for photo in load_sample_images().images]
    random = np.random.default_rng(0)

    def cut(mode: str, size: tuple[int, int] | None = None) -> Image.Image:
        photo = photos[int(random.integers(2))]
        width, height = size or (int(side) for side in random.integers(16, 161, size=2))
        left = int(random.integers(photo.width - width))
        top = int(random.integers(photo.height - height))
        return photo.crop((left, top, left + width, top + height)).convert(mode)

    return cut


def _save(image: Image.Image, format: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, format, **options)
    return file.getvalue()
