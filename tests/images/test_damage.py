"""The column `damage` of check_images: files that decode, and are ruined all the same.

The oracles are how a file was ruined, what Pillow makes of it, and libjpeg-turbo's own
warnings by way of simplejpeg.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from PIL import Image

from sknorm_images import JpegLoader, check_images
from tests import color_profiles as cp
from tests.conftest import encode, encode_turned, pillow
from tests.jpeg_bytes import (
    COM,
    DQT,
    END,
    EOI,
    SOS,
    before,
    first_of,
    joined,
    segment,
    segments,
    with_first,
)

SAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}
KINDS = {
    "baseline": {},
    "optimized": {"optimize": True},
    "progressive": {"progressive": True},
    "restarts by blocks": {"restart_marker_blocks": 7},
    "restarts by rows": {"restart_marker_rows": 1},
}
KINDS_OF_ONE_SCAN = {name: kind for name, kind in KINDS.items() if name != "progressive"}
PEAK = (200, 150, 400, 300)  # of the temple, and a part of the flower


@pytest.fixture(params=["with simplejpeg", "without simplejpeg"])
def installed(request, monkeypatch) -> bool:
    if request.param == "without simplejpeg":
        monkeypatch.setitem(sys.modules, "simplejpeg", None)
    return request.param == "with simplejpeg"


def each_kind(photo: Image.Image, kinds: dict[str, dict[str, object]]) -> Iterator[bytes]:
    for quality in (40, 75, 95):
        for kind in kinds.values():
            for sampling in SAMPLINGS.values():
                yield encode(photo, quality=quality, subsampling=sampling, **kind)
            yield encode(photo.convert("L"), quality=quality, **kind)
            yield encode(photo.convert("CMYK"), quality=quality, **kind)


def middle(data: bytes) -> int:
    """Half way through the last scan that is more than a tenth of the file."""
    position, spans = len(data) - len(joined(segments(data))) + 2, []
    for marker, content in segments(data):
        if marker == SOS and len(content) > len(data) / 10:
            spans.append(position + len(content) // 2)
        position += len(content)
    return spans[0]


def cut(data: bytes) -> bytes:
    return data[: middle(data)] + END


def with_lost_sectors(data: bytes) -> bytes:
    i = middle(data)
    return data[: i - 1024] + bytes(2048) + data[i + 1024 :]


def with_fewer_bytes(data: bytes) -> bytes:
    i = middle(data)
    return data[:i] + data[i + 512 :]


def with_line_ends_converted(data: bytes) -> bytes:
    return data.replace(b"\n", b"\r\n")


def warning_of(data: bytes) -> str:
    """The first warning or error of libjpeg-turbo."""
    try:
        simplejpeg.decode_jpeg(data, "RGB", strict=True)
    except ValueError as error:
        return str(error)
    return ""


def damage(*contents: bytes) -> list[str]:
    found = check_images(list(contents))
    assert found.readable.all(), set(found.reason)
    return found.damage.tolist()


@pytest.mark.parametrize("kind", KINDS_OF_ONE_SCAN)
def test_a_file_that_is_cut_and_given_an_end_says_how_many_rows_are_grey(
    kind, photos, installed
):
    for photo in photos:
        for data in each_kind(photo.crop(PEAK), {kind: KINDS[kind]}):
            ruined = cut(data)

            [told] = damage(ruined)

            assert warning_of(ruined)
            if "restart markers" in told:
                assert "restarts" in kind
                continue
            # Pillow's pictures of the whole file and of the cut one, row by row
            differ = (pillow(data) != pillow(ruined)).any(axis=(1, 2))
            n_rows = 150 - int(np.flatnonzero(differ)[0])
            words = told.split()
            assert told == f"its data ends early: the last {words[6]} of 150 rows are grey"
            assert abs(int(words[6]) - n_rows) <= 1


def test_the_file_of_the_issue_passes_as_readable_and_is_told(photos, installed):
    data = encode(photos[1].crop((0, 0, 640, 313)), quality=90)
    ruined = data[: len(data) // 3] + END

    found = check_images([data, ruined])

    assert found.readable.tolist() == [True, True]
    assert found.damage[0] == ""
    assert found.damage[1].startswith("its data ends early: the last ")
    n_rows = int(found.damage[1].split()[6])
    assert (pillow(ruined)[-n_rows + 18 :] == 128).all()  # but for colours between two rows


@pytest.mark.parametrize("quality", [40, 75, 95])
@pytest.mark.parametrize("sampling", SAMPLINGS)
def test_a_progressive_file_that_is_cut_lacks_scans(quality, sampling, photos, installed):
    data = encode(
        photos[0].crop(PEAK),
        quality=quality,
        subsampling=SAMPLINGS[sampling],
        progressive=True,
    )
    scans = [i for i, (marker, _) in enumerate(segments(data)) if marker == SOS]
    ends = [joined(segments(data)[:i]) + END for i in scans[1:]]

    assert set(damage(*ends)) == {"its last scans are missing"}
    assert damage(cut(data)) == ["its last scans are missing"]


def test_one_component_missing_from_a_file_of_a_scan_for_each_is_told(photos, installed):
    """By construction: three scans of one component, as `jpegtran -scans` writes them."""
    data = (Path(__file__).parents[1] / "data/jpeg/a-scan-a-component.jpg").read_bytes()
    parts = segments(data)
    scans = [i for i, (marker, _) in enumerate(parts) if marker == SOS]
    assert len(scans) == 3

    assert damage(data) == [""]
    assert damage(joined(parts[: scans[2]]) + END) == ["its last scans are missing"]


@pytest.mark.parametrize("ruin", [with_lost_sectors, with_fewer_bytes])
@pytest.mark.parametrize("kind", KINDS)
def test_bytes_that_are_lost_in_the_middle_are_told_as_libjpeg_warns(
    kind: str, ruin: Callable[[bytes], bytes], photos
):
    cases = [
        ruin(data) for data in each_kind(photos[1].crop((0, 0, 400, 300)), {kind: KINDS[kind]})
    ]
    warned = [data for data in cases if warning_of(data)]
    assert (
        len(warned) >= len(cases) - 2
    )  # zeros can be valid code: of a scan of grey levels alone

    found = check_images(warned)

    assert found.readable.sum() >= len(warned) - 2  # headers of progressive scans can be hit
    assert (found.damage != "").tolist() == found.readable.tolist()


def test_zeros_are_told_without_a_decoder_where_they_stand_for_no_picture(
    photos, without_simplejpeg
):
    data = encode(photos[0], quality=85)
    ruined = with_lost_sectors(data)

    [told] = damage(ruined)

    assert (
        told == f"zeros within its image data, {ruined.index(bytes(2048))} bytes into the file"
    )


@pytest.mark.parametrize("kind", KINDS)
def test_two_files_spliced_are_told_as_libjpeg_warns(kind, photos):
    a, b = (photo.crop((0, 0, 400, 300)) for photo in photos)
    options = KINDS[kind]
    for quality in (40, 75, 95):
        one, other = (encode(photo, quality=quality, **options) for photo in (a, b))
        spliced = one[: middle(one)] + other[middle(other) :]
        assert warning_of(spliced)

        assert damage(spliced) != [""]


def test_a_file_behind_the_first_half_of_another_is_told_or_refused(photos, installed):
    one, other = (encode(photo.crop(PEAK)) for photo in photos)
    spliced = one[: middle(one)] + other

    found = check_images([spliced])

    with pytest.raises(OSError, match="broken data stream"):
        Image.open(io.BytesIO(spliced)).load()
    assert not found.readable[0]
    assert found.damage.tolist() == [""]  # the reason is enough


def test_line_ends_converted_are_told(photos, installed):
    files = [
        with_line_ends_converted(data)
        for photo in photos
        for data in each_kind(photo, KINDS)
        if b"\n" not in first_of(data, DQT)  # else Pillow refuses its tables
    ]
    found = check_images(files)

    assert found.readable.sum() > len(files) / 2
    untold = [
        data
        for data, told, readable in zip(files, found.damage, found.readable, strict=True)
        if readable and not told
    ]
    if installed:
        assert not untold
    assert len(untold) <= 2  # of the shortest first scans, which have few line ends


@pytest.mark.parametrize("name", ["wrong-order", "missing", "renumbered", "not-announced"])
def test_restart_markers_that_are_missing_or_out_of_order_are_told(name, installed):
    path = Path(__file__).parents[1] / f"data/jpeg/restarts-{name}.jpg"
    if name == "wrong-order":
        path = path.with_name("restarts-in-wrong-order.jpg")

    [told] = damage(path.read_bytes())

    assert "restart markers" in told


def test_a_last_restart_marker_before_the_end_is_no_damage(photos, installed):
    data = encode(photos[0].crop(PEAK), restart_marker_rows=1, subsampling=0)
    n = ceil_of(150, 8) - 1

    assert damage(data[:-2] + bytes([0xFF, 0xD0 + n % 8]) + END) == [""]


def ceil_of(number: int, unit: int) -> int:
    return -(-number // unit)


def test_as_large_an_image_behind_the_end_is_told(photos, installed):
    one, other = (encode(photo.crop(PEAK)) for photo in photos)

    told = damage(one + other, of_two_images(photos[0].crop(PEAK)))

    at = len(one)
    assert told == [
        f"another image, not smaller, follows its end, {at} bytes into the file",
        "",
    ]


def of_two_images(photo: Image.Image) -> bytes:
    """As a camera writes them (CIPA DC-007): the first one names the other."""
    return encode(photo, "MPO", save_all=True, append_images=[photo])


def test_what_cameras_put_behind_the_end_is_no_damage(photos, installed):
    photo = photos[0].crop(PEAK)
    data = encode(photo)
    preview = encode(photo.resize((50, 40)))

    trailers = [b"\0" * 5000, preview, b"SEFH" + bytes(30) + b"SEFT", b"\xff\xff", data[5:500]]

    assert set(damage(*(data + trailer for trailer in trailers))) == {""}


@pytest.mark.parametrize("n", [1, 7, 16])
def test_a_few_bytes_of_padding_before_the_end_are_no_damage(n, photos, installed):
    data = encode(photos[1].crop(PEAK))

    assert damage(data[:-2] + b"\x7f" * n + END, data[:-2] + b"\xff" * n + END) == ["", ""]


def test_many_bytes_left_over_before_the_end_are_told_by_libjpeg(photos):
    data = encode(photos[1].crop(PEAK))

    assert damage(data[:-2] + b"\x7f" * 300 + END) == [
        warning_of(data[:-2] + b"\x7f" * 300 + END)
    ]


def test_warnings_about_the_header_are_no_damage(photos):
    data = encode(photos[1].crop(PEAK))
    odd = data.replace(b"JFIF\0\x01\x01", b"JFIF\0\x09\x01", 1)
    assert warning_of(odd).startswith("Warning: unknown JFIF revision")

    assert damage(odd) == [""]


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("level", [0, 64, 127, 128, 255])
def test_photos_with_a_border_at_the_bottom_are_not_damaged(mode, level, photos, installed):
    """Of the grey level that blocks without data have, too."""
    files = []
    for photo in photos:
        framed = Image.new("RGB", (200, 190), (level,) * 3)
        framed.paste(photo.crop(PEAK))
        for kind in KINDS.values():
            files += [encode(framed.convert(mode), quality=q, **kind) for q in (50, 95)]

    assert set(damage(*files)) == {""}


@pytest.mark.parametrize("level", [0, 127, 128, 129, 255])
def test_images_of_one_level_are_not_damaged(level, installed):
    files = [
        encode(Image.new(mode, size, level if mode == "L" else (level,) * 3), **kind)
        for size in ((1, 1), (8, 8), (17, 9), (640, 480))
        for mode in ("L", "RGB")
        for kind in KINDS.values()
    ]

    assert set(damage(*files)) == {""}


def test_a_cut_file_whose_picture_ends_in_the_missing_grey_is_told_from_a_whole_one(
    photos, installed
):
    framed = Image.new("RGB", (200, 190), (128,) * 3)
    framed.paste(photos[0].crop(PEAK))
    data = encode(framed, quality=90)

    whole, ruined = damage(data, cut(data))

    assert whole == ""
    assert ruined.startswith("its data ends early")


def test_an_image_that_is_turned_is_judged_as_it_is_stored(photos, installed):
    photo = photos[0].crop(PEAK)

    told = damage(encode_turned(photo, 6), cut(encode_turned(photo, 6)))

    assert told[0] == ""
    assert told[1].startswith("its data ends early: the last ")
    assert told[1].endswith(" of 150 rows are grey")


def test_grey_scale_and_the_other_limits_of_the_loader_do_not_matter(photos, installed):
    data = encode(photos[0].crop(PEAK))
    loader = JpegLoader(color_mode="grayscale", max_pixels=30_000)

    found = check_images([data, cut(data)], loader=loader)

    assert found.damage.tolist() == damage(data, cut(data))


PROFILES = {
    "ProPhoto": ("RGB", cp.rgb_profile("ProPhoto", cp.PROPHOTO, cp.gamma(1.8))),
    "Display P3": ("RGB", cp.rgb_profile("P3", cp.DISPLAY_P3, cp.curve_of_srgb())),
    "grey": ("L", cp.grey_profile("Grey", cp.gamma(1.8))),
    "inks": ("CMYK", cp.cmyk_profile("Inks")),
    "none": ("RGB", None),
}


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("profile", PROFILES)
def test_a_colour_profile_hides_no_grey_of_missing_data(
    profile, color_mode, photos, installed
):
    """It moves the grey that blocks without data have in the file."""
    mode, content = PROFILES[profile]
    photo = photos[0].crop(PEAK).convert(mode)
    data = encode(photo, quality=90, icc_profile=content)
    ruined = data[: len(data) * 2 // 3] + END
    loader = JpegLoader(color_mode=color_mode, color_profile="srgb", background=255)

    found = check_images([data, ruined], loader=loader)

    differ = (pillow(data) != pillow(ruined)).any(axis=(1, 2))
    n_rows = 150 - int(np.flatnonzero(differ)[0])
    assert found.readable.all()
    assert found.damage[0] == ""
    words = found.damage[1].split()
    assert found.damage[1] == f"its data ends early: the last {words[6]} of 150 rows are grey"
    assert abs(int(words[6]) - n_rows) <= 1


@pytest.mark.parametrize(
    ("profile", "color_profile", "n"),
    [("none", "srgb", 1), ("ProPhoto", "ignore", 1), ("ProPhoto", "srgb", 2)],
)
def test_a_file_is_only_decoded_again_if_a_profile_moved_its_grey(
    profile, color_profile, n, photos, without_simplejpeg, prepared
):
    mode, content = PROFILES[profile]
    data = encode(photos[0].crop(PEAK).convert(mode), icc_profile=content)

    found = check_images([data], loader=JpegLoader(color_profile=color_profile))

    assert found.damage.tolist() == [""]
    assert len(prepared) == n


@pytest.mark.parametrize(("n_bytes", "n"), [(2**17, 3), (2**21, 1)])
def test_a_file_with_endless_padding_is_decoded_once(
    n_bytes, n, photos, without_simplejpeg, prepared
):
    """Pillow takes four times as long for twice as many bytes of it."""
    ruined = cut(encode(photos[0].crop(PEAK)))[:-2] + b"\xff" * n_bytes + END

    [told] = damage(ruined)

    assert len(prepared) == n
    assert told.startswith("its data ends early") == (n == 3)


def test_a_file_in_which_libjpeg_finds_nothing_is_decoded_once_for_its_profile(
    photos, prepared
):
    mode, content = PROFILES["ProPhoto"]
    data = encode(photos[0].crop(PEAK).convert(mode), icc_profile=content)

    check_images([data], loader=JpegLoader(color_profile="srgb"))

    assert len(prepared) == 1


def test_a_damaged_profile_is_still_the_reason_of_a_file_that_cannot_be_read(
    photos, installed
):
    _, content = PROFILES["ProPhoto"]
    data = cut(encode(photos[0].crop(PEAK), icc_profile=content[:200]))

    found = check_images([data], loader=JpegLoader(color_profile="srgb"))

    assert not found.readable[0]
    assert "colour profile" in found.reason[0]
    assert found.damage.tolist() == [""]


def test_other_formats_and_the_header_alone_tell_of_no_damage(photos, installed):
    data = encode(photos[0].crop(PEAK))
    loader = JpegLoader(formats=("JPEG", "PNG"))

    assert damage(data, cut(data))[1]
    assert check_images([cut(data)], verify="header").damage.tolist() == [""]
    png = encode(photos[0].crop(PEAK), "PNG")
    assert check_images([png], loader=loader).damage.tolist() == [""]


def test_simplejpeg_changes_nothing_about_what_is_readable(photos, monkeypatch):
    """Where it has no warning, Pillow is not asked: so Pillow must have nothing to say."""
    folder = Path(__file__).parents[1] / "data/jpeg"
    peculiar = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    random = np.random.default_rng(0)
    files = list(peculiar)
    for i in range(600):
        data = bytearray(peculiar[i % len(peculiar)])
        for position in random.integers(0, max(1, len(data)), size=2):
            data[position : position + 1] = random.bytes(int(random.integers(0, 4)))
        files.append(bytes(data))

    with_it = check_images(files)
    monkeypatch.setitem(sys.modules, "simplejpeg", None)
    without = check_images(files)

    assert 100 < with_it.readable.sum() < len(files)
    for name in set(with_it) - {"damage"}:
        np.testing.assert_array_equal(with_it[name], without[name], err_msg=name)
    assert (with_it.damage != "").sum() >= (without.damage != "").sum()


def clean_photo(photos: list[Image.Image], number: int) -> bytes:
    """One of the photos that cameras, phones, editors and web sites make, by its number."""
    random = np.random.default_rng(number)
    photo = photos[number % 2]
    width, height = (int(side) for side in random.integers(30, 420, size=2))
    left, top = int(random.integers(0, 640 - width)), int(random.integers(0, 427 - height + 1))
    photo = photo.crop((left, top, left + width, top + height))
    border = int(random.choice([0, 0, 0, 16, 40]))
    if border:
        framed = Image.new(
            "RGB", (width, height + border), (int(random.choice([0, 128, 255])),) * 3
        )
        framed.paste(photo)
        photo = framed
    if random.random() < 0.03:
        photo = Image.new("RGB", photo.size, tuple(random.integers(0, 256, 3).tolist()))
    mode = str(random.choice(["RGB"] * 8 + ["L", "CMYK"]))
    options = KINDS[str(random.choice(list(KINDS)))] | {
        "quality": int(random.integers(10, 101))
    }
    if mode == "RGB":
        options["subsampling"] = int(random.integers(0, 3))
    if random.random() < 0.3:
        exif = Image.Exif()
        exif[0x0112] = int(random.integers(1, 9))
        exif[0x927C] = random.bytes(200)
        options["exif"] = exif
    data = encode(photo.convert(mode), **options)
    extra = random.integers(0, 10)
    if extra == 0:
        thumbnail = encode(photo.resize((40, 30)))
        data = with_first(
            data, segment(0xE1, b"Exif\0\0MM\0*\0\0\0\x08\0\0\0\0\0\0" + thumbnail)
        )
    elif extra == 1:
        data = of_two_images(photo)
    elif extra == 2:
        data += random.bytes(int(random.integers(1, 3000)))
    elif extra == 3:
        data += encode(photo.resize((20, 10)))
    elif extra == 4:
        data = before(data, SOS, segment(COM, b"\xff\xd8\xff\xda" + bytes(400)))
    return data


def assert_clean(photos: list[Image.Image], numbers: range) -> None:
    files = [clean_photo(photos, number) for number in numbers]
    found = check_images(files)

    assert found.readable.all()
    told = {numbers[i]: found.damage[i] for i in np.flatnonzero(found.damage != "")}
    assert told == {}
    assert len(set(found.sha256)) == len(files)


def test_no_photo_of_a_clean_folder_of_300_is_called_damaged(photos, installed):
    assert_clean(photos, range(300))


@pytest.mark.slow
def test_no_photo_of_a_clean_folder_of_1000_is_called_damaged(photos, installed):
    assert_clean(photos, range(300, 1300))


def test_the_clean_photos_are_found_damaged_when_they_are_cut(photos, installed):
    """The counterpart: what leaves the clean ones alone does not leave all alone."""
    files = [clean_photo(photos, number) for number in range(100)]
    sizes = [Image.open(io.BytesIO(data)).size for data in files]
    # Of images of some rows: the last row of blocks does not count as lost.
    ruined = [
        cut(data)
        for data, (_, height) in zip(files, sizes, strict=True)
        if height > 100 and len(data) > 8000
    ]
    assert len(ruined) > 40

    assert all(damage(*ruined))


def test_the_marker_of_the_end_is_where_this_module_takes_it_to_be(photos):
    assert segments(encode(photos[0]))[-1] == (EOI, END)
