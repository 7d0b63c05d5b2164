"""Make every JPEG file of this folder again: kinds that no ordinary encoder makes.

Run ``python tests/data/jpeg/make.py [FOLDER]``; without FOLDER the files are written beside
this script. It needs, beside Pillow, numpy and scikit-learn (whose photographs are shown):

- ``cjpeg`` of libjpeg-turbo on the PATH (Debian: ``libjpeg-turbo-progs``, here 2.1.5):
  arithmetic coding, scan scripts, restart intervals, sampling factors;
- ``imagecodecs`` from PyPI (here 2026.3.6): 12 bits, lossless, JPEG-LS, JPEG 2000, XL and XR.

Pillow (here 13.0) writes the others, and bytes are patched by hand. Other versions of the
encoders make files of other bytes and the same kinds. The tests need none of the encoders.
"""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_images

SOF0, SOF1, SOF2, SOF3, SOF5, SOF9 = 0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC9
DHT, SOI, EOI, SOS, DQT, DNL, DRI, DHP, EXP = 0xC4, *range(0xD8, 0xE0)
RST0 = 0xD0
APP0, APP1, APP2, APP13, APP14, COM = 0xE0, 0xE1, 0xE2, 0xED, 0xEE, 0xFE
START, END = b"\xff\xd8", b"\xff\xd9"
FRAMES = {*range(0xC0, 0xD0)} - {DHT, 0xC8, 0xCC}
HUGE = 65_500
ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL, FLOAT = 1, 2, 3, 4, 5, 11  # types of TIFF values

FILES: dict[str, Callable[[], bytes]] = {}


def file(make: Callable[[], bytes]) -> Callable[[], bytes]:
    FILES[make.__name__.strip("_").replace("_", "-")] = make
    return make


# Photographs


def photo(width: int = 71, height: int = 47) -> Image.Image:
    """A part of the temple."""
    temple = Image.fromarray(load_sample_images().images[0])
    return temple.crop((120, 90, 120 + width, 90 + height))


def other_photo(width: int = 71, height: int = 47) -> Image.Image:
    """A part of the flower."""
    flower = Image.fromarray(load_sample_images().images[1])
    return flower.crop((250, 150, 250 + width, 150 + height))


# Encoders


def pillow(image: Image.Image | None = None, **options: Any) -> bytes:
    content = io.BytesIO()
    (image or photo()).save(content, "JPEG", **{"quality": 20, "optimize": True, **options})
    return content.getvalue()


def cjpeg(*options: str, scans: str | None = None, max_quantum: int = 255) -> bytes:
    pixels = io.BytesIO()
    photo().save(pixels, "PPM")
    if max_quantum == 255:
        options = ("-baseline", *options)
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "scans.txt")
        if scans is not None:
            script.write_text(scans)
            options = ("-scans", str(script), *options)
        if "-arithmetic" not in options:
            options = ("-optimize", *options)
        command = ["cjpeg", "-quality", "20", *options]
        run = subprocess.run(
            command, input=pixels.getvalue(), capture_output=True, check=False
        )
    if run.returncode:
        raise RuntimeError(run.stderr.decode())
    return run.stdout


def imagecodec(name: str, image: Image.Image, shift: int = 0, **options: Any) -> bytes:
    import imagecodecs  # only here: pytest imports this module where it is not installed

    pixels = np.asarray(image)
    if shift:
        pixels = pixels.astype(np.uint16) << shift
    return getattr(imagecodecs, f"{name}_encode")(pixels, **options)


# Segments


def segment(marker: int, payload: bytes) -> bytes:
    return struct.pack(">BBH", 0xFF, marker, len(payload) + 2) + payload


def segments(data: bytes) -> list[tuple[int, bytes]]:
    """Take a JPEG apart: markers, and their bytes up to the next one (entropy-coded too)."""
    parts = []
    position = 2
    while position < len(data):
        marker, end = data[position + 1], position + 2
        if marker not in (SOI, EOI):
            end += int.from_bytes(data[end : end + 2])
        if marker == SOS:
            while data[end] != 0xFF or data[end + 1] in (0, *range(RST0, RST0 + 8)):
                end += 1
        parts.append((marker, data[position:end]))
        position = end
    return parts


def joined(parts: list[tuple[int, bytes]]) -> bytes:
    return START + b"".join(content for _, content in parts)


def without(data: bytes, *markers: int) -> bytes:
    return joined([part for part in segments(data) if part[0] not in markers])


def with_first(data: bytes, *added: bytes) -> bytes:
    return START + b"".join(added) + data[2:]


def before(data: bytes, marker: int, added: bytes) -> bytes:
    """Put bytes before the first segment of a kind."""
    parts = segments(data)
    i = [found for found, _ in parts].index(marker)
    return joined(parts[:i]) + added + joined(parts[i:])[2:]


def frame_of(data: bytes) -> tuple[int, bytes]:
    return next(part for part in segments(data) if part[0] in FRAMES)


def patched_frame(data: bytes, patch: Callable[[bytearray], None]) -> bytes:
    """Change the frame header: FF, marker, 2 length, precision, 2 height, 2 width, ..."""
    _, frame = frame_of(data)
    changed = bytearray(frame)
    patch(changed)
    return data.replace(frame, bytes(changed), 1)


def claiming(data: bytes, width: int, height: int) -> bytes:
    return patched_frame(data, lambda f: struct.pack_into(">HH", f, 5, height, width))


# EXIF, ICC, XMP


def tiff(
    value: bytes = b"",
    order: str = ">",
    kind: int = SHORT,
    count: int = 1,
    tag: int = ORIENTATION,
) -> bytes:
    """A TIFF header and one directory of one entry."""
    magic = b"MM" if order == ">" else b"II"
    inline = value if len(value) <= 4 else struct.pack(f"{order}I", 26)
    head = magic + struct.pack(f"{order}HIHHHI", 42, 8, 1, tag, kind, count)
    return head + inline.ljust(4, b"\0") + bytes(4) + (value if len(value) > 4 else b"")


def exif(content: bytes) -> bytes:
    return segment(APP1, b"Exif\0\0" + content)


def oriented(orientation: int, order: str = ">") -> bytes:
    return exif(tiff(struct.pack(f"{order}H", orientation), order))


def xmp(orientation: int) -> bytes:
    return segment(
        APP1,
        b"http://ns.adobe.com/xap/1.0/\0"
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf='
        b'"http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
        b'xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="%d"/>'
        b"</rdf:RDF></x:xmpmeta>" % orientation,
    )


def icc(number: int, of: int, content: bytes) -> bytes:
    return segment(APP2, b"ICC_PROFILE\0" + bytes([number, of]) + content)


def profile() -> bytes:
    made = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    return made[:24] + bytes(12) + made[36:]  # without the time of making it


def adobe(transform: int) -> bytes:
    return segment(APP14, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


# Other codings of the samples


@file
def twelve_bits() -> bytes:
    return imagecodec("jpeg8", photo(), shift=4, bitspersample=12, level=25)


@file
def twelve_bits_grayscale() -> bytes:
    return imagecodec("jpeg8", photo().convert("L"), shift=4, bitspersample=12, level=25)


@file
def twelve_bits_progressive() -> bytes:
    """Of 8 bits, said to be 12: a picture of 1/16 of the contrast."""
    data = pillow(progressive=True)
    return patched_frame(data, lambda frame: frame.__setitem__(4, 12))


@file
def lossless() -> bytes:
    return imagecodec("jpeg8", photo(40, 30), lossless=True)


@file
def lossless_grayscale() -> bytes:
    return imagecodec("jpeg8", photo(40, 30).convert("L"), lossless=True)


@file
def lossless_16_bits() -> bytes:
    return imagecodec(
        "jpeg8", photo(30, 20).convert("L"), shift=8, lossless=True, bitspersample=16
    )


@file
def arithmetic() -> bytes:
    return cjpeg("-arithmetic")


@file
def arithmetic_progressive() -> bytes:
    return cjpeg("-arithmetic", "-progressive")


@file
def arithmetic_grayscale() -> bytes:
    return cjpeg("-arithmetic", "-grayscale")


@file
def arithmetic_restarts() -> bytes:
    return cjpeg("-arithmetic", "-restart", "3B")


@file
def arithmetic_without_end() -> bytes:
    return cjpeg("-arithmetic")[:-2]


@file
def jpeg_ls() -> bytes:
    return imagecodec("jpegls", photo(40, 30))


@file
def jpeg_2000() -> bytes:
    return imagecodec("jpeg2k", photo(), level=30, codecformat="jp2")


@file
def jpeg_2000_codestream() -> bytes:
    return imagecodec("jpeg2k", photo(), level=30, codecformat="j2k")


@file
def jpeg_xl() -> bytes:
    return imagecodec("jpegxl", photo(), level=25)


@file
def jpeg_xr() -> bytes:
    return imagecodec("jpegxr", photo(), level=0.4)


@file
def sixteen_bit_quantization() -> bytes:
    data = cjpeg("-quality", "1", max_quantum=32_767)
    assert frame_of(data)[0] == SOF1
    return data


@file
def baseline_quality_1() -> bytes:
    data = cjpeg("-quality", "1")
    assert frame_of(data)[0] == SOF0
    return data


@file
def hierarchical() -> bytes:
    """A DHP segment, and a frame that is followed by a differential one."""
    data = pillow()
    marker, frame = frame_of(data)
    differential = [
        (
            SOF5 if part == marker else part,
            b"\xff\xc5" + content[2:] if part == marker else content,
        )
        for part, content in segments(data)
        if part in (marker, SOS)
    ]
    second = segment(EXP, b"\x11") + b"".join(content for _, content in differential)
    return before(data, marker, segment(DHP, frame[4:]))[:-2] + second + END


@file
def differential_frame() -> bytes:
    return patched_frame(pillow(), lambda frame: frame.__setitem__(1, SOF5))


@file
def arithmetic_said_of_huffman() -> bytes:
    return patched_frame(pillow(), lambda frame: frame.__setitem__(1, SOF9))


@file
def progressive_said_of_sequential() -> bytes:
    return patched_frame(pillow(), lambda frame: frame.__setitem__(1, SOF2))


@file
def lossless_said_of_sequential() -> bytes:
    return patched_frame(pillow(), lambda frame: frame.__setitem__(1, SOF3))


# Scans


@file
def a_scan_a_component() -> bytes:
    return cjpeg(scans="0;\n1;\n2;\n")


@file
def scans_of_two_and_one() -> bytes:
    return cjpeg(scans="1 2;\n0;\n")


@file
def progressive_without_refinement() -> bytes:
    return cjpeg(scans="0 1 2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n")


@file
def progressive_dc_alone() -> bytes:
    parts = segments(pillow(progressive=True))
    first = [marker for marker, _ in parts].index(SOS)
    return joined(parts[: first + 1]) + END


@file
def progressive_missing_last_scan() -> bytes:
    parts = segments(pillow(progressive=True))
    assert [marker for marker, _ in parts[-2:]] == [SOS, EOI]
    return joined(parts[:-2]) + END


@file
def two_components() -> bytes:
    """The first two of three components, each with its scan."""
    parts = segments(cjpeg(scans="0;\n1;\n2;\n"))
    last = max(i for i, (marker, _) in enumerate(parts) if marker == SOS)
    data = joined(parts[:last]) + END
    _, frame = frame_of(data)
    return data.replace(frame, segment(SOF0, frame[4:9] + b"\x02" + frame[10:16]), 1)


@file
def scan_before_frame() -> bytes:
    parts = segments(pillow())
    return joined([part for part in parts if part[0] == SOS] + parts)


@file
def no_scan() -> bytes:
    return without(pillow(), SOS)


@file
def no_frame() -> bytes:
    return without(pillow(), SOF0)


@file
def no_end() -> bytes:
    return pillow()[:-2]


@file
def no_end_progressive() -> bytes:
    return pillow(progressive=True)[:-2]


@file
def zeros_for_the_end() -> bytes:
    data = pillow()
    cut = len(data) * 3 // 4
    return data[:cut] + bytes(len(data) - cut)


@file
def end_in_the_middle() -> bytes:
    data = pillow()
    return data[: len(data) * 3 // 4] + END


@file
def damaged_in_the_middle() -> bytes:
    data = bytearray(pillow())
    middle = len(data) * 3 // 4
    data[middle : middle + 8] = b"\x55\xaa" * 4
    return bytes(data)


@file
def restarts() -> bytes:
    return cjpeg("-restart", "2B")


@file
def restarts_missing() -> bytes:
    data = restarts()
    for marker in (b"\xff\xd2", b"\xff\xd5"):
        data = data.replace(marker, b"")
    return data


@file
def restarts_in_wrong_order() -> bytes:
    data = restarts()
    return (
        data.replace(b"\xff\xd3", b"\xff\xff")
        .replace(b"\xff\xd4", b"\xff\xd3")
        .replace(b"\xff\xff", b"\xff\xd4")
    )


@file
def restarts_renumbered() -> bytes:
    data = restarts()
    for i in range(8):
        data = data.replace(bytes([0xFF, RST0 + i]), b"\xff\xd6")
    return data


@file
def restarts_replaced_by_reserved_markers() -> bytes:
    return restarts().replace(b"\xff\xd1", b"\xff\x02").replace(b"\xff\xd2", b"\xff\x01")


@file
def restarts_announced_and_absent() -> bytes:
    return before(pillow(), SOS, segment(DRI, b"\0\1"))


@file
def restarts_not_announced() -> bytes:
    return without(restarts(), DRI)


# Tables


@file
def no_huffman_tables() -> bytes:
    """As Motion JPEG cuts them out: the tables are those of the standard."""
    return without(pillow(optimize=False), DHT)


@file
def no_huffman_tables_progressive() -> bytes:
    return without(pillow(progressive=True), DHT)


@file
def no_quantization_tables() -> bytes:
    return without(pillow(), DQT)


@file
def tables_in_an_image_before() -> bytes:
    """An abbreviated stream of tables (T.81, B.5), and then the image that needs them."""
    data = pillow()
    tables = [part for part in segments(data) if part[0] in (DQT, DHT)]
    return joined(tables) + END + without(data, DQT, DHT)


@file
def empty_image_before() -> bytes:
    return START + END + pillow(progressive=True)


@file
def quantization_of_zeros() -> bytes:
    data = pillow()
    table = next(content for marker, content in segments(data) if marker == DQT)
    return data.replace(table, table[:5] + bytes(len(table) - 5), 1)


@file
def quantization_cut_short() -> bytes:
    data = pillow()
    table = next(content for marker, content in segments(data) if marker == DQT)
    return data.replace(table, segment(DQT, table[4:40]), 1)


# Colours


@file
def rgb() -> bytes:
    return cjpeg("-rgb")


@file
def rgb_by_names_of_components() -> bytes:
    return without(cjpeg("-rgb"), APP0, APP14)


@file
def components_numbered_from_0() -> bytes:
    """Without JFIF and Adobe, which libjpeg takes for YCbCr and warns of."""

    def renumber(header: bytes, first: int, step: int) -> bytes:
        changed = bytearray(header)
        for i in range(3):
            changed[first + i * step] = i
        return bytes(changed)

    parts = segments(without(cjpeg(), APP0))
    places = {SOF0: (10, 3), SOS: (5, 2)}
    return joined(
        [
            (m, renumber(content, *places[m]) if m in places else content)
            for m, content in parts
        ]
    )


@file
def jfif_says_ycc_and_adobe_rgb() -> bytes:
    return before(pillow(), DQT, adobe(0))


@file
def jfif_said_of_rgb() -> bytes:
    """JFIF says YCbCr, and Adobe and the names of the components say RGB."""
    jfif = segment(APP0, b"JFIF\0\1\1\0\0\1\0\1\0\0")
    return with_first(cjpeg("-rgb"), jfif, adobe(0))


@file
def adobe_unknown_transform() -> bytes:
    return with_first(without(pillow(), APP0), adobe(9))


@file
def adobe_ycck_of_three_components() -> bytes:
    return with_first(without(pillow(), APP0), adobe(2))


@file
def adobe_too_short() -> bytes:
    return with_first(without(pillow(), APP0), segment(APP14, b"Adobe\0\x64"))


@file
def cmyk() -> bytes:
    return pillow(photo().convert("CMYK"))


@file
def cmyk_without_adobe() -> bytes:
    return without(cmyk(), APP14)


@file
def cmyk_progressive() -> bytes:
    return pillow(photo().convert("CMYK"), progressive=True)


@file
def ycck() -> bytes:
    """Four components of which Adobe says that the first three are YCbCr."""
    inverted = Image.eval(photo(), lambda level: 255 - level).convert("YCbCr")
    bands = [Image.eval(band, lambda level: 255 - level) for band in inverted.split()]
    data = pillow(Image.merge("CMYK", [*bands, Image.new("L", photo().size, 0)]))
    return with_first(without(data, APP14), adobe(2))


@file
def five_components() -> bytes:
    frame = frame_of(pillow())[1]
    more = segment(SOF0, frame[4:9] + b"\x05" + frame[10:] + frame[13:19])
    return pillow().replace(frame, more, 1)


# Sampling factors


def _register_samplings() -> None:
    samplings = {
        "4-1-0": "4x2,1x1,1x1",
        "4-1-1": "4x1,1x1,1x1",
        "4-4-0": "1x2,1x1,1x1",
        "4-2-2": "2x1,1x1,1x1",
        "3x1": "3x1,1x1,1x1",
        "2x2-1x2-2x1": "2x2,1x2,2x1",
        "chroma-finer-than-luma": "1x1,2x2,2x2",
        "luma-3x2-chroma-2x1": "3x2,1x1,1x2",
    }
    for name, factors in samplings.items():
        FILES[f"sampling-{name}"] = lambda factors=factors: cjpeg("-sample", factors)
    each = "0;\n1;\n2;\n"  # too many blocks for one scan
    FILES["sampling-3x3"] = lambda: cjpeg("-sample", "3x3,1x1,1x1", scans=each)
    FILES["sampling-4-1-0-progressive"] = lambda: cjpeg("-sample", "4x2", "-progressive")
    FILES["sampling-grayscale-2x2"] = lambda: cjpeg("-grayscale", "-sample", "2x2")


_register_samplings()


@file
def sampling_of_zero() -> bytes:
    return patched_frame(pillow(), lambda frame: frame.__setitem__(11, 0))


@file
def sampling_of_five() -> bytes:
    return patched_frame(pillow(), lambda frame: frame.__setitem__(11, 0x55))


# Sizes


@file
def one_pixel() -> bytes:
    return pillow(photo(1, 1))


@file
def very_wide() -> bytes:
    return pillow(photo().convert("L").resize((HUGE, 1)), quality=20, optimize=True)


@file
def very_high() -> bytes:
    return pillow(photo().convert("L").resize((1, HUGE)), quality=20, optimize=True)


@file
def no_height() -> bytes:
    return claiming(pillow(), 71, 0)


@file
def no_width() -> bytes:
    return claiming(pillow(), 0, 47)


@file
def height_behind_the_first_scan() -> bytes:
    """The height is left open in the frame, and comes in a DNL segment (T.81, B.2.5)."""
    return no_height()[:-2] + segment(DNL, struct.pack(">H", 47)) + END


@file
def height_said_twice() -> bytes:
    return pillow()[:-2] + segment(DNL, struct.pack(">H", 47)) + END


@file
def height_contradicted_behind_the_scan() -> bytes:
    return pillow()[:-2] + segment(DNL, struct.pack(">H", HUGE)) + END


@file
def claims_65500_squared() -> bytes:
    return claiming(pillow(), HUGE, HUGE)


@file
def claims_65500_squared_progressive() -> bytes:
    return claiming(pillow(progressive=True), HUGE, HUGE)


@file
def claims_65500_squared_lossless() -> bytes:
    return claiming(lossless_grayscale(), HUGE, HUGE)


@file
def claims_65500_squared_arithmetic() -> bytes:
    return claiming(arithmetic_progressive(), HUGE, HUGE)


@file
def claims_65500_squared_behind_an_empty_image() -> bytes:
    return START + END + claims_65500_squared()


@file
def claims_65500_squared_behind_fill_bytes() -> bytes:
    data = claims_65500_squared()
    return before(data, SOF0, b"\xff" * 500)


@file
def claims_65500_squared_in_a_second_frame() -> bytes:
    """Two frame headers, one after another, that contradict each other."""
    return before(pillow(), DHT, frame_of(claims_65500_squared())[1])


@file
def claims_65500_squared_in_a_first_frame() -> bytes:
    return before(pillow(), SOF0, frame_of(claims_65500_squared())[1])


@file
def claims_65500_squared_in_a_frame_after_the_scan() -> bytes:
    huge = segments(claims_65500_squared())
    return pillow()[:-2] + b"".join(content for marker, content in huge if marker != EOI) + END


@file
def frame_after_the_progressive_scans() -> bytes:
    huge = frame_of(claims_65500_squared_progressive())[1]
    return pillow(progressive=True)[:-2] + huge + END


# What is around the image


@file
def junk_before_the_start() -> bytes:
    return b"\0\0junk" + pillow()


@file
def newline_before_the_start() -> bytes:
    return b"\r\n" + pillow()


@file
def start_twice() -> bytes:
    return START + pillow()


@file
def fill_bytes_between_segments() -> bytes:
    """Any number of 0xFF may stand before a marker (T.81, B.1.1.2)."""
    parts = segments(pillow())
    return START + b"".join(
        b"\xff" * (3 * i) + content for i, (_, content) in enumerate(parts)
    )


@file
def junk_between_segments() -> bytes:
    parts = segments(pillow())
    return START + b"".join(
        b"junk\0\xff\0" * (i > 0) + part for i, (_, part) in enumerate(parts)
    )


@file
def reserved_marker_in_the_header() -> bytes:
    return before(pillow(), DQT, b"\xff\x02")


@file
def temporary_marker_in_the_header() -> bytes:
    return before(pillow(), DQT, b"\xff\x01")


@file
def restart_marker_in_the_header() -> bytes:
    return before(pillow(), DQT, b"\xff\xd3")


@file
def extension_segment() -> bytes:
    return before(pillow(), DQT, segment(0xF0, b"extension"))


@file
def segment_of_no_length() -> bytes:
    return before(pillow(), DQT, b"\xff\xfe\0\0")


@file
def segment_longer_than_the_file() -> bytes:
    return before(pillow(), DQT, b"\xff\xfe\xff\xff")


@file
def junk_behind_the_end() -> bytes:
    return pillow() + b"junk\xff\xff\xda\0" * 20


@file
def second_jpeg_behind_the_end() -> bytes:
    return pillow() + pillow(other_photo(40, 30))


@file
def progressive_second_jpeg_behind_the_end() -> bytes:
    return pillow(progressive=True) + pillow(other_photo(40, 30), progressive=True)


@file
def huge_jpeg_behind_the_end() -> bytes:
    return pillow() + claims_65500_squared()


@file
def thumbnail_in_exif() -> bytes:
    return with_first(pillow(), exif(with_thumbnail(pillow(photo().resize((16, 10))))))


@file
def huge_thumbnail_in_exif() -> bytes:
    return with_first(pillow(), exif(with_thumbnail(claims_65500_squared())))


def with_thumbnail(thumbnail: bytes) -> bytes:
    """Orientation 6 in the first directory, a JPEG in the second."""
    first = struct.pack(">HHHIHHI", 1, ORIENTATION, SHORT, 1, 6, 0, 26)
    second = struct.pack(
        ">HHHIIHHIII", 2, 0x201, LONG, 1, 56, 0x202, LONG, 1, len(thumbnail), 0
    )
    return b"MM\0*\0\0\0\x08" + first + second + thumbnail


@file
def jpeg_in_a_comment() -> bytes:
    return with_first(pillow(), segment(COM, pillow(other_photo(), progressive=True)))


# Metadata


@file
def every_app_in_odd_order() -> bytes:
    half = len(profile()) // 2
    photoshop = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 4) + b"\x1c\2\0\0"
    return with_first(
        without(pillow(), APP0),
        adobe(1),
        icc(2, 2, profile()[half:]),
        segment(APP13, photoshop),
        xmp(8),
        segment(0xE7, b"unknown"),
        icc(1, 2, profile()[:half]),
        oriented(6),
        segment(APP0, b"JFIF\0\1\2\1\0\x48\0\x48\0\0"),
        segment(APP0, b"JFXX\0\x13\1\1" + bytes(3)),
        segment(COM, b"comment"),
    )


@file
def icc_of_wrong_length() -> bytes:
    wrong = struct.pack(">I", 10**6) + profile()[4:]
    return with_first(pillow(), icc(1, 1, wrong))


@file
def icc_chunk_missing() -> bytes:
    return with_first(pillow(), icc(1, 3, profile()[:200]), icc(3, 3, profile()[200:]))


@file
def icc_chunk_twice() -> bytes:
    return with_first(pillow(), icc(1, 1, profile()[:200]), icc(1, 1, profile()[:200]))


@file
def icc_without_number() -> bytes:
    return with_first(pillow(), segment(APP2, b"ICC_PROFILE\0"))


@file
def photoshop_cut_short() -> bytes:
    return with_first(pillow(), segment(APP13, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0"))


@file
def jfif_cut_short() -> bytes:
    return with_first(without(pillow(), APP0), segment(APP0, b"JFIF\0"))


@file
def exif_big_endian() -> bytes:
    return with_first(pillow(), oriented(6, ">"))


@file
def exif_little_endian() -> bytes:
    return with_first(pillow(), oriented(6, "<"))


@file
def exif_before_jfif_progressive() -> bytes:
    return with_first(pillow(progressive=True), oriented(7))


@file
def exif_orientation_as_text() -> bytes:
    return with_first(pillow(), exif(tiff(b"6\0", kind=ASCII, count=2)))


@file
def exif_orientation_as_byte() -> bytes:
    return with_first(pillow(), exif(tiff(b"\6", kind=BYTE)))


@file
def exif_orientation_as_long() -> bytes:
    return with_first(pillow(), exif(tiff(struct.pack(">I", 6), kind=LONG)))


@file
def exif_orientation_as_fraction() -> bytes:
    return with_first(pillow(), exif(tiff(struct.pack(">II", 12, 2), kind=RATIONAL)))


@file
def exif_orientation_as_fraction_of_zero() -> bytes:
    return with_first(pillow(), exif(tiff(struct.pack(">II", 6, 0), kind=RATIONAL)))


@file
def exif_orientation_as_float() -> bytes:
    return with_first(pillow(), exif(tiff(struct.pack(">f", 6.0), kind=FLOAT)))


@file
def exif_orientation_as_broken_float() -> bytes:
    return with_first(pillow(), exif(tiff(struct.pack(">f", 6.5), kind=FLOAT)))


@file
def exif_orientation_of_two_numbers() -> bytes:
    return with_first(pillow(), exif(tiff(struct.pack(">HH", 6, 3), count=2)))


@file
def exif_orientation_of_no_numbers() -> bytes:
    return with_first(pillow(), exif(tiff(b"", count=0)))


@file
def exif_in_two_segments() -> bytes:
    """One TIFF that is cut in two."""
    content = tiff(struct.pack(">II", 12, 2), kind=RATIONAL)
    return with_first(pillow(), exif(content[:20]), exif(content[20:]))


@file
def exif_twice() -> bytes:
    return with_first(pillow(), oriented(6), oriented(3))


@file
def exif_twice_first_without_orientation() -> bytes:
    software = tiff(b"x\0", kind=ASCII, count=2, tag=0x0131)
    return with_first(pillow(), exif(software), oriented(6))


@file
def exif_behind_the_frame() -> bytes:
    return before(pillow(), DHT, oriented(6))


@file
def exif_behind_the_scan() -> bytes:
    return pillow()[:-2] + oriented(6) + END


@file
def exif_orientation_in_the_thumbnails_directory() -> bytes:
    first = struct.pack(">HHHII", 1, 0x0128, SHORT, 1, 2 << 16) + struct.pack(">I", 26)
    second = struct.pack(">HHHIII", 1, ORIENTATION, SHORT, 1, 6 << 16, 0)
    return with_first(pillow(), exif(b"MM\0*\0\0\0\x08" + first + second))


@file
def exif_directory_in_a_circle() -> bytes:
    content = bytearray(tiff(struct.pack(">H", 6)))
    content[22:26] = struct.pack(">I", 8)
    return with_first(pillow(), exif(bytes(content)))


@file
def exif_empty() -> bytes:
    return with_first(pillow(), exif(b""))


@file
def exif_resolution_of_no_number() -> bytes:
    content = struct.pack(">HHHIHH", 2, ORIENTATION, SHORT, 1, 6, 0)
    content += struct.pack(">HHIII", 0x011A, RATIONAL, 1, 38, 0) + struct.pack(">II", 0, 0)
    return with_first(without(pillow(), APP0), exif(b"MM\0*\0\0\0\x08" + content))


@file
def xmp_orientation() -> bytes:
    return with_first(pillow(), xmp(6))


@file
def xmp_contradicts_exif() -> bytes:
    return with_first(pillow(), oriented(3), xmp(6))


@file
def xmp_contradicts_exif_of_none() -> bytes:
    return with_first(pillow(), oriented(0), xmp(6))


# MPO


def mpo(second: bytes, first: bytes | None = None, n_frames: int = 2) -> bytes:
    """Two JPEG files in one, with an index (CIPA DC-007)."""
    first = first or pillow()

    def index(first_size: int) -> bytes:
        entries = struct.pack("<IIIHH", 0x030000, first_size, 0, 0, 0)
        entries += struct.pack("<IIIHH", 0x020002, len(second), max(0, first_size - 10), 0, 0)
        fields = [
            struct.pack("<HHI4s", 0xB000, 7, 4, b"0100"),
            struct.pack("<HHII", 0xB001, LONG, 1, n_frames),
            struct.pack("<HHII", 0xB002, 7, len(entries), 50),
        ]
        directory = struct.pack("<H", 3) + b"".join(fields) + bytes(4)
        return segment(APP2, b"MPF\0II*\0" + struct.pack("<I", 8) + directory + entries)

    first_size = len(first) + len(index(0))
    return with_first(first, index(first_size)) + second


@file
def mpo_of_two_frames() -> bytes:
    return mpo(pillow(other_photo()))


@file
def mpo_oriented() -> bytes:
    return mpo(pillow(other_photo()), with_first(pillow(), oriented(6)))


@file
def mpo_progressive() -> bytes:
    return mpo(pillow(other_photo(), progressive=True), pillow(progressive=True))


@file
def mpo_of_huge_second_frame() -> bytes:
    return mpo(claims_65500_squared())


@file
def mpo_of_huge_first_frame() -> bytes:
    return mpo(pillow(), claims_65500_squared())


@file
def mpo_without_second_frame() -> bytes:
    return mpo(b"")


@file
def mpo_of_more_frames_than_entries() -> bytes:
    return mpo(pillow(other_photo()), n_frames=1_000_000)


@file
def mpo_of_one_frame() -> bytes:
    return mpo(b"", n_frames=1)


@file
def mpo_index_cut_short() -> bytes:
    return with_first(pillow(), segment(APP2, b"MPF\0II*\0\x08\0\0\0\3"))


@file
def mpo_index_without_entries() -> bytes:
    directory = struct.pack("<HHHIII", 1, 0xB001, LONG, 1, 2, 0)
    return with_first(pillow(), segment(APP2, b"MPF\0II*\0\x08\0\0\0" + directory))


@file
def mpo_index_without_number() -> bytes:
    directory = struct.pack("<HHHI4sI", 1, 0xB000, 7, 4, b"0100", 0)
    return with_first(pillow(), segment(APP2, b"MPF\0II*\0\x08\0\0\0" + directory))


def main(folder: Path) -> None:
    for name, make in FILES.items():
        (folder / f"{name}.jpg").write_bytes(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
