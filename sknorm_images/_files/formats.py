"""Recognise the format of a file by its first bytes, whatever it is called."""

from __future__ import annotations

JPEG = b"\xff\xd8\xff"

# What files called .jpg turn out to be.
_SIGNATURES = {
    JPEG: "JPEG",
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
NOT_OPENED = ("HTML", "PDF", "HEIF", "JPEG XL", "JPEG XR")  # by Pillow without plug-ins


def identify(data: bytes) -> str | None:
    """Name the format that begins with these bytes, even if Pillow does not know it."""
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[4:8] == b"ftyp":
        return "AVIF" if data[8:12] in (b"avif", b"avis") else "HEIF"
    return next((name for magic, name in _SIGNATURES.items() if data.startswith(magic)), None)
