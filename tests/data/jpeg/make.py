"""Make every JPEG file of this folder again: kinds that no ordinary encoder makes.

Run ``python -m tests.data.jpeg.make [FOLDER]`` in the root of the repository; without FOLDER
the files are written beside this script. It needs, beside what the tests need:

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
from typing import Any, TypeAlias

import numpy as np
from PIL import Image, ImageCms
from sklearn.datasets import load_sample_images

from tests.jpeg_bytes import (
    APP0,
    APP1,
    APP2,
    APP13,
    APP14,
    COM,
    DHP,
    DHT,
    DNL,
    DQT,
    DRI,
    END,
    EOI,
    EXP,
    RESTARTS,
    SOF0,
    SOF1,
    SOF2,
    SOF3,
    SOF5,
    SOF9,
    SOS,
    START,
    before,
    claim_size,
    first_of,
    frame_of,
    joined,
    segment,
    segments,
    with_first,
    with_frame,
    without,
)

# The bytes of files, by their names without .jpg, made when they are asked for.
Files: TypeAlias = dict[str, Callable[[], bytes]]

HUGE = 65_500
ORIENTATION = 0x0112
BYTE, ASCII, SHORT, LONG, RATIONAL, FLOAT = 1, 2, 3, 4, 5, 11  # types of TIFF values


# Photos


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


def progressive(image: Image.Image | None = None) -> bytes:
    return pillow(image, progressive=True)


def cjpeg(*options: str, scans: str | None = None, baseline: bool = True) -> bytes:
    pixels = io.BytesIO()
    photo().save(pixels, "PPM")
    if baseline:
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


# Other codings of the samples


def of_frame(marker: int, data: bytes) -> bytes:
    """The same, once it is sure that an encoder made what it was asked for."""
    assert frame_of(data)[1] == marker
    return data


def said_to_be(frame: int, data: bytes) -> bytes:
    """Say that a frame is of another kind."""
    return with_frame(data, 1, bytes([frame]))


def hierarchical() -> bytes:
    """A DHP segment, and a frame that is followed by a differential one."""
    data = pillow()
    frame = frame_of(data)
    differential = bytes([0xFF, SOF5]) + frame[2:] + first_of(data, SOS)
    size = segment(DHP, frame[4:])
    return before(data, SOF0, size)[:-2] + segment(EXP, b"\x11") + differential + END


CODINGS: Files = {
    "twelve-bits": lambda: imagecodec("jpeg8", photo(), 4, bitspersample=12, level=25),
    "twelve-bits-grayscale": lambda: imagecodec(
        "jpeg8", photo().convert("L"), 4, bitspersample=12, level=25
    ),
    # Of 8 bits, said to be 12: a picture of 1/16 of the contrast.
    "twelve-bits-progressive": lambda: with_frame(progressive(), 4, b"\x0c"),
    "lossless": lambda: imagecodec("jpeg8", photo(40, 30), lossless=True),
    "lossless-grayscale": lambda: imagecodec(
        "jpeg8", photo(40, 30).convert("L"), lossless=True
    ),
    "lossless-16-bits": lambda: imagecodec(
        "jpeg8", photo(30, 20).convert("L"), 8, bitspersample=16, lossless=True
    ),
    "arithmetic": lambda: cjpeg("-arithmetic"),
    "arithmetic-progressive": lambda: cjpeg("-arithmetic", "-progressive"),
    "arithmetic-grayscale": lambda: cjpeg("-arithmetic", "-grayscale"),
    "arithmetic-restarts": lambda: cjpeg("-arithmetic", "-restart", "3B"),
    "arithmetic-without-end": lambda: cjpeg("-arithmetic")[:-2],
    "jpeg-ls": lambda: imagecodec("jpegls", photo(40, 30)),
    "jpeg-2000": lambda: imagecodec("jpeg2k", photo(), level=30, codecformat="jp2"),
    "jpeg-2000-codestream": lambda: imagecodec("jpeg2k", photo(), level=30, codecformat="j2k"),
    "jpeg-xl": lambda: imagecodec("jpegxl", photo(), level=25),
    "jpeg-xr": lambda: imagecodec("jpegxr", photo(), level=0.4),
    "sixteen-bit-quantization": lambda: of_frame(SOF1, cjpeg("-quality", "1", baseline=False)),
    "baseline-quality-1": lambda: of_frame(SOF0, cjpeg("-quality", "1")),
    "hierarchical": hierarchical,
    "differential-frame": lambda: said_to_be(SOF5, pillow()),
    "arithmetic-said-of-huffman": lambda: said_to_be(SOF9, pillow()),
    "progressive-said-of-sequential": lambda: said_to_be(SOF2, pillow()),
    "lossless-said-of-sequential": lambda: said_to_be(SOF3, pillow()),
}


# Scans

ONE_BY_ONE = "0;\n1;\n2;\n"  # each component has a scan of its own


def progressive_dc_alone() -> bytes:
    parts = segments(progressive())
    first = [marker for marker, _ in parts].index(SOS)
    return joined(parts[: first + 1]) + END


def progressive_missing_last_scan() -> bytes:
    parts = segments(progressive())
    assert [marker for marker, _ in parts[-2:]] == [SOS, EOI]
    return joined(parts[:-2]) + END


def two_components() -> bytes:
    """The first two of three components, each with its scan."""
    parts = segments(cjpeg(scans=ONE_BY_ONE))
    last = max(i for i, (marker, _) in enumerate(parts) if marker == SOS)
    data = joined(parts[:last]) + END
    frame = frame_of(data)
    return data.replace(frame, segment(SOF0, frame[4:9] + b"\x02" + frame[10:16]), 1)


def five_components() -> bytes:
    frame = frame_of(pillow())
    more = segment(SOF0, frame[4:9] + b"\x05" + frame[10:] + frame[13:19])
    return pillow().replace(frame, more, 1)


def scan_before_frame() -> bytes:
    parts = segments(pillow())
    return joined([part for part in parts if part[0] == SOS] + parts)


def after_three_quarters(change: Callable[[bytes], bytes]) -> bytes:
    """Change what follows the first three quarters of a file."""
    data = pillow()
    cut = len(data) * 3 // 4
    return data[:cut] + change(data[cut:])


def restarts() -> bytes:
    return cjpeg("-restart", "2B")


def replaced(data: bytes, *pairs: tuple[bytes, bytes]) -> bytes:
    """Replace bytes by others, one pair after another."""
    for old, new in pairs:
        data = data.replace(old, new)
    return data


def restarts_in_wrong_order() -> bytes:
    """Two are swapped; so, by the way, are two quantization steps of 255 for 212."""
    between = b"\xff\xff"
    return replaced(
        restarts(), (b"\xff\xd3", between), (b"\xff\xd4", b"\xff\xd3"), (between, b"\xff\xd4")
    )


SCANS: Files = {
    "a-scan-a-component": lambda: cjpeg(scans=ONE_BY_ONE),
    "scans-of-two-and-one": lambda: cjpeg(scans="1 2;\n0;\n"),
    "progressive-without-refinement": lambda: cjpeg(
        scans="0 1 2: 0-0, 0, 0;\n0: 1-63, 0, 0;\n1: 1-63, 0, 0;\n2: 1-63, 0, 0;\n"
    ),
    "progressive-dc-alone": progressive_dc_alone,
    "progressive-missing-last-scan": progressive_missing_last_scan,
    "two-components": two_components,
    "five-components": five_components,
    "scan-before-frame": scan_before_frame,
    "no-scan": lambda: without(pillow(), SOS),
    "no-frame": lambda: without(pillow(), SOF0),
    "no-end": lambda: pillow()[:-2],
    "no-end-progressive": lambda: progressive()[:-2],
    "zeros-for-the-end": lambda: after_three_quarters(lambda rest: bytes(len(rest))),
    "end-in-the-middle": lambda: after_three_quarters(lambda rest: END),
    "damaged-in-the-middle": lambda: after_three_quarters(
        lambda rest: b"\x55\xaa" * 4 + rest[8:]
    ),
    "restarts": restarts,
    "restarts-missing": lambda: replaced(restarts(), (b"\xff\xd2", b""), (b"\xff\xd5", b"")),
    "restarts-in-wrong-order": restarts_in_wrong_order,
    "restarts-renumbered": lambda: replaced(
        restarts(), *((bytes([0xFF, number]), b"\xff\xd6") for number in RESTARTS)
    ),
    "restarts-replaced-by-reserved-markers": lambda: replaced(
        restarts(), (b"\xff\xd1", b"\xff\x02"), (b"\xff\xd2", b"\xff\x01")
    ),
    "restarts-announced-and-absent": lambda: before(pillow(), SOS, segment(DRI, b"\0\1")),
    "restarts-not-announced": lambda: without(restarts(), DRI),
}


# Tables


def tables_in_an_image_before() -> bytes:
    """An abbreviated stream of tables (T.81, B.5), and then the image that needs them."""
    data = pillow()
    tables = [part for part in segments(data) if part[0] in (DQT, DHT)]
    return joined(tables) + END + without(data, DQT, DHT)


def with_quantization(change: Callable[[bytes], bytes]) -> bytes:
    """Change the first segment of quantization tables."""
    data = pillow()
    table = first_of(data, DQT)
    return data.replace(table, change(table), 1)


TABLES: Files = {
    # As Motion JPEG cuts them out: the tables are those of the standard.
    "no-huffman-tables": lambda: without(pillow(optimize=False), DHT),
    "no-huffman-tables-progressive": lambda: without(progressive(), DHT),
    "no-quantization-tables": lambda: without(pillow(), DQT),
    "tables-in-an-image-before": tables_in_an_image_before,
    "empty-image-before": lambda: START + END + progressive(),
    "quantization-of-zeros": lambda: with_quantization(
        lambda table: table[:5] + bytes(len(table) - 5)
    ),
    "quantization-cut-short": lambda: with_quantization(
        lambda table: segment(DQT, table[4:40])
    ),
}


# Colours


def adobe(transform: int) -> bytes:
    return segment(APP14, b"Adobe" + struct.pack(">HHHB", 100, 0, 0, transform))


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


def ycck() -> bytes:
    """Four components of which Adobe says that the first three are YCbCr."""
    inverted = Image.eval(photo(), lambda level: 255 - level).convert("YCbCr")
    bands = [Image.eval(band, lambda level: 255 - level) for band in inverted.split()]
    data = pillow(Image.merge("CMYK", [*bands, Image.new("L", photo().size, 0)]))
    return with_first(without(data, APP14), adobe(2))


def cmyk(**options: Any) -> bytes:
    return pillow(photo().convert("CMYK"), **options)


def without_jfif(*added: bytes) -> bytes:
    return with_first(without(pillow(), APP0), *added)


COLOURS: Files = {
    "rgb": lambda: cjpeg("-rgb"),
    "rgb-by-names-of-components": lambda: without(cjpeg("-rgb"), APP0, APP14),
    "components-numbered-from-0": components_numbered_from_0,
    "jfif-says-ycc-and-adobe-rgb": lambda: before(pillow(), DQT, adobe(0)),
    # JFIF says YCbCr, and Adobe and the names of the components say RGB.
    "jfif-said-of-rgb": lambda: with_first(
        cjpeg("-rgb"), segment(APP0, b"JFIF\0\1\1\0\0\1\0\1\0\0"), adobe(0)
    ),
    "adobe-unknown-transform": lambda: without_jfif(adobe(9)),
    "adobe-ycck-of-three-components": lambda: without_jfif(adobe(2)),
    "adobe-too-short": lambda: without_jfif(segment(APP14, b"Adobe\0\x64")),
    "cmyk": cmyk,
    "cmyk-without-adobe": lambda: without(cmyk(), APP14),
    "cmyk-progressive": lambda: cmyk(progressive=True),
    "ycck": ycck,
}

SAMPLING_FACTORS: Files = {
    "sampling-4-1-0": lambda: cjpeg("-sample", "4x2,1x1,1x1"),
    "sampling-4-1-0-progressive": lambda: cjpeg("-sample", "4x2", "-progressive"),
    "sampling-4-1-1": lambda: cjpeg("-sample", "4x1,1x1,1x1"),
    "sampling-4-4-0": lambda: cjpeg("-sample", "1x2,1x1,1x1"),
    "sampling-4-2-2": lambda: cjpeg("-sample", "2x1,1x1,1x1"),
    "sampling-3x1": lambda: cjpeg("-sample", "3x1,1x1,1x1"),
    # It has too many blocks for one scan.
    "sampling-3x3": lambda: cjpeg("-sample", "3x3,1x1,1x1", scans=ONE_BY_ONE),
    "sampling-2x2-1x2-2x1": lambda: cjpeg("-sample", "2x2,1x2,2x1"),
    "sampling-chroma-finer-than-luma": lambda: cjpeg("-sample", "1x1,2x2,2x2"),
    "sampling-luma-3x2-chroma-2x1": lambda: cjpeg("-sample", "3x2,1x1,1x2"),
    "sampling-grayscale-2x2": lambda: cjpeg("-grayscale", "-sample", "2x2"),
    "sampling-of-zero": lambda: with_frame(pillow(), 11, b"\0"),
    "sampling-of-five": lambda: with_frame(pillow(), 11, b"\x55"),
}


# Sizes


def huge(data: bytes | None = None) -> bytes:
    return claim_size(data or pillow(), HUGE, HUGE)


def number_of_lines(height: int) -> bytes:
    """A height that comes behind the first scan (T.81, B.2.5)."""
    return segment(DNL, struct.pack(">H", height))


def another_frame_after_the_scan() -> bytes:
    other = b"".join(content for marker, content in segments(huge()) if marker != EOI)
    return pillow()[:-2] + other + END


SIZES: Files = {
    "one-pixel": lambda: pillow(photo(1, 1)),
    "very-wide": lambda: pillow(photo().convert("L").resize((HUGE, 1))),
    "very-high": lambda: pillow(photo().convert("L").resize((1, HUGE))),
    "no-height": lambda: claim_size(pillow(), 71, 0),
    "no-width": lambda: claim_size(pillow(), 0, 47),
    "height-behind-the-first-scan": lambda: (
        claim_size(pillow(), 71, 0)[:-2] + number_of_lines(47) + END
    ),
    "height-said-twice": lambda: pillow()[:-2] + number_of_lines(47) + END,
    "height-contradicted-behind-the-scan": lambda: pillow()[:-2] + number_of_lines(HUGE) + END,
    "claims-65500-squared": huge,
    "claims-65500-squared-progressive": lambda: huge(progressive()),
    "claims-65500-squared-lossless": lambda: huge(CODINGS["lossless-grayscale"]()),
    "claims-65500-squared-arithmetic": lambda: huge(CODINGS["arithmetic-progressive"]()),
    "claims-65500-squared-behind-an-empty-image": lambda: START + END + huge(),
    "claims-65500-squared-behind-fill-bytes": lambda: before(huge(), SOF0, b"\xff" * 500),
    # Two frame headers, one after another, that contradict each other.
    "claims-65500-squared-in-a-second-frame": lambda: before(pillow(), DHT, frame_of(huge())),
    "claims-65500-squared-in-a-first-frame": lambda: before(pillow(), SOF0, frame_of(huge())),
    "claims-65500-squared-in-a-frame-after-the-scan": another_frame_after_the_scan,
    "frame-after-the-progressive-scans": lambda: (
        progressive()[:-2] + frame_of(huge(progressive())) + END
    ),
}


# What is around the image


def with_thumbnail(thumbnail: bytes) -> bytes:
    """Orientation 6 in the first directory, a JPEG in the second."""
    first = struct.pack(">HHHIHHI", 1, ORIENTATION, SHORT, 1, 6, 0, 26)
    second = struct.pack(
        ">HHHIIHHIII", 2, 0x201, LONG, 1, 56, 0x202, LONG, 1, len(thumbnail), 0
    )
    return with_first(pillow(), exif(b"MM\0*\0\0\0\x08" + first + second + thumbnail))


def with_bytes_between_segments(between: Callable[[int], bytes]) -> bytes:
    """Put bytes before each segment; `between` is told how many come before it."""
    parts = segments(pillow())
    return START + b"".join(between(i) + content for i, (_, content) in enumerate(parts))


AROUND: Files = {
    "junk-before-the-start": lambda: b"\0\0junk" + pillow(),
    "newline-before-the-start": lambda: b"\r\n" + pillow(),
    "start-twice": lambda: START + pillow(),
    # Any number of 0xFF may stand before a marker (T.81, B.1.1.2).
    "fill-bytes-between-segments": lambda: with_bytes_between_segments(
        lambda i: b"\xff" * (3 * i)
    ),
    "junk-between-segments": lambda: with_bytes_between_segments(
        lambda i: b"junk\0\xff\0" if i else b""
    ),
    "reserved-marker-in-the-header": lambda: before(pillow(), DQT, b"\xff\x02"),
    "temporary-marker-in-the-header": lambda: before(pillow(), DQT, b"\xff\x01"),
    "restart-marker-in-the-header": lambda: before(pillow(), DQT, b"\xff\xd3"),
    "extension-segment": lambda: before(pillow(), DQT, segment(0xF0, b"extension")),
    "segment-of-no-length": lambda: before(pillow(), DQT, b"\xff\xfe\0\0"),
    "segment-longer-than-the-file": lambda: before(pillow(), DQT, b"\xff\xfe\xff\xff"),
    "junk-behind-the-end": lambda: pillow() + b"junk\xff\xff\xda\0" * 20,
    "second-jpeg-behind-the-end": lambda: pillow() + pillow(other_photo(40, 30)),
    "progressive-second-jpeg-behind-the-end": lambda: (
        progressive() + progressive(other_photo(40, 30))
    ),
    "huge-jpeg-behind-the-end": lambda: pillow() + huge(),
    "thumbnail-in-exif": lambda: with_thumbnail(pillow(photo().resize((16, 10)))),
    "huge-thumbnail-in-exif": lambda: with_thumbnail(huge()),
    "jpeg-in-a-comment": lambda: with_first(
        pillow(), segment(COM, progressive(other_photo()))
    ),
}


# Metadata


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


def with_exif(content: bytes, *others: bytes) -> bytes:
    return with_first(pillow(), exif(content), *others)


def every_app_in_odd_order() -> bytes:
    half = len(profile()) // 2
    photoshop = b"Photoshop 3.0\0" + b"8BIM\x04\x04\0\0" + struct.pack(">I", 4) + b"\x1c\2\0\0"
    return without_jfif(
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


def exif_in_two_segments() -> bytes:
    """One TIFF that is cut in two."""
    content = tiff(struct.pack(">II", 12, 2), kind=RATIONAL)
    return with_exif(content[:20], exif(content[20:]))


def exif_orientation_in_the_thumbnails_directory() -> bytes:
    first = struct.pack(">HHHII", 1, 0x0128, SHORT, 1, 2 << 16) + struct.pack(">I", 26)
    second = struct.pack(">HHHIII", 1, ORIENTATION, SHORT, 1, 6 << 16, 0)
    return with_exif(b"MM\0*\0\0\0\x08" + first + second)


def exif_directory_in_a_circle() -> bytes:
    content = bytearray(tiff(struct.pack(">H", 6)))
    content[22:26] = struct.pack(">I", 8)
    return with_exif(bytes(content))


def exif_resolution_of_no_number() -> bytes:
    content = struct.pack(">HHHIHH", 2, ORIENTATION, SHORT, 1, 6, 0)
    content += struct.pack(">HHIII", 0x011A, RATIONAL, 1, 38, 0) + struct.pack(">II", 0, 0)
    return without_jfif(exif(b"MM\0*\0\0\0\x08" + content))


METADATA: Files = {
    "every-app-in-odd-order": every_app_in_odd_order,
    "icc-of-wrong-length": lambda: with_first(
        pillow(), icc(1, 1, struct.pack(">I", 10**6) + profile()[4:])
    ),
    "icc-chunk-missing": lambda: with_first(
        pillow(), icc(1, 3, profile()[:200]), icc(3, 3, profile()[200:])
    ),
    "icc-chunk-twice": lambda: with_first(pillow(), *[icc(1, 1, profile()[:200])] * 2),
    "icc-without-number": lambda: with_first(pillow(), segment(APP2, b"ICC_PROFILE\0")),
    "photoshop-cut-short": lambda: with_first(
        pillow(), segment(APP13, b"Photoshop 3.0\0" + b"8BIM\x03\xed\0\0\0\0")
    ),
    "jfif-cut-short": lambda: without_jfif(segment(APP0, b"JFIF\0")),
    "exif-big-endian": lambda: with_first(pillow(), oriented(6, ">")),
    "exif-little-endian": lambda: with_first(pillow(), oriented(6, "<")),
    "exif-before-jfif-progressive": lambda: with_first(progressive(), oriented(7)),
    "exif-orientation-as-text": lambda: with_exif(tiff(b"6\0", kind=ASCII, count=2)),
    "exif-orientation-as-byte": lambda: with_exif(tiff(b"\6", kind=BYTE)),
    "exif-orientation-as-long": lambda: with_exif(tiff(struct.pack(">I", 6), kind=LONG)),
    "exif-orientation-as-fraction": lambda: with_exif(
        tiff(struct.pack(">II", 12, 2), kind=RATIONAL)
    ),
    "exif-orientation-as-fraction-of-zero": lambda: with_exif(
        tiff(struct.pack(">II", 6, 0), kind=RATIONAL)
    ),
    "exif-orientation-as-float": lambda: with_exif(tiff(struct.pack(">f", 6), kind=FLOAT)),
    "exif-orientation-as-broken-float": lambda: with_exif(
        tiff(struct.pack(">f", 6.5), kind=FLOAT)
    ),
    "exif-orientation-of-two-numbers": lambda: with_exif(
        tiff(struct.pack(">HH", 6, 3), count=2)
    ),
    "exif-orientation-of-no-numbers": lambda: with_exif(tiff(count=0)),
    "exif-in-two-segments": exif_in_two_segments,
    "exif-twice": lambda: with_first(pillow(), oriented(6), oriented(3)),
    "exif-twice-first-without-orientation": lambda: with_exif(
        tiff(b"x\0", kind=ASCII, count=2, tag=0x0131), oriented(6)
    ),
    "exif-behind-the-frame": lambda: before(pillow(), DHT, oriented(6)),
    "exif-behind-the-scan": lambda: pillow()[:-2] + oriented(6) + END,
    "exif-orientation-in-the-thumbnails-directory": (
        exif_orientation_in_the_thumbnails_directory
    ),
    "exif-directory-in-a-circle": exif_directory_in_a_circle,
    "exif-empty": lambda: with_exif(b""),
    "exif-resolution-of-no-number": exif_resolution_of_no_number,
    "xmp-orientation": lambda: with_first(pillow(), xmp(6)),
    "xmp-contradicts-exif": lambda: with_first(pillow(), oriented(3), xmp(6)),
    "xmp-contradicts-exif-of-none": lambda: with_first(pillow(), oriented(0), xmp(6)),
}


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
        return mpo_index(directory + entries)

    first_size = len(first) + len(index(0))
    return with_first(first, index(first_size)) + second


def mpo_index(directory: bytes) -> bytes:
    return segment(APP2, b"MPF\0II*\0\x08\0\0\0" + directory)


MPO: Files = {
    "mpo-of-two-frames": lambda: mpo(pillow(other_photo())),
    "mpo-oriented": lambda: mpo(pillow(other_photo()), with_first(pillow(), oriented(6))),
    "mpo-progressive": lambda: mpo(progressive(other_photo()), progressive()),
    "mpo-of-huge-second-frame": lambda: mpo(huge()),
    "mpo-of-huge-first-frame": lambda: mpo(pillow(), huge()),
    "mpo-without-second-frame": lambda: mpo(b""),
    "mpo-of-more-frames-than-entries": lambda: mpo(pillow(other_photo()), n_frames=1_000_000),
    "mpo-of-one-frame": lambda: mpo(b"", n_frames=1),
    "mpo-index-cut-short": lambda: with_first(pillow(), mpo_index(b"\3")),
    "mpo-index-without-entries": lambda: with_first(
        pillow(), mpo_index(struct.pack("<HHHIII", 1, 0xB001, LONG, 1, 2, 0))
    ),
    "mpo-index-without-number": lambda: with_first(
        pillow(), mpo_index(struct.pack("<HHHI4sI", 1, 0xB000, 7, 4, b"0100", 0))
    ),
}

FILES: Files = {
    **CODINGS,
    **SCANS,
    **TABLES,
    **COLOURS,
    **SAMPLING_FACTORS,
    **SIZES,
    **AROUND,
    **METADATA,
    **MPO,
}


def main(folder: Path) -> None:
    for name, make in FILES.items():
        (folder / f"{name}.jpg").write_bytes(make())


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent)
