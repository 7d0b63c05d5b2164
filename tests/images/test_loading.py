"""JpegLoader and decoding: what comes out of a file, and what is refused."""

from __future__ import annotations

import io
import os
import socket
import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageFile, ImageOps, JpegImagePlugin

from sknorm_images import ImageDecodeError, ImageDecodeWarning, JpegLoader, make_image_pipeline
from tests.conftest import encode, encode_turned, pillow
from tests.jpeg_bytes import claim_size, n_scans, repeat_last_scan


def as_ycck(photo: Image.Image) -> bytes:
    """Encode as YCCK, which Pillow reads and does not write.

    The stored components are those of CMYK = (255 - RGB, 0), inverted as Adobe does; the
    last byte of the Adobe segment then says that the first three are YCbCr.
    """
    inverse = ImageOps.invert(photo).convert("YCbCr")
    bands = [*ImageOps.invert(Image.merge("RGB", inverse.split())).split()]
    bands.append(Image.new("L", photo.size, 0))
    data = bytearray(encode(Image.merge("CMYK", bands), quality=95))
    adobe = data.index(b"Adobe")
    assert data[adobe + 11] == 0
    data[adobe + 11] = 2
    return bytes(data)


KINDS: dict[str, Callable[[Image.Image], bytes]] = {
    "grayscale": lambda photo: encode(photo.convert("L")),
    "CMYK": lambda photo: encode(photo.convert("CMYK")),
    "YCCK": as_ycck,
    "RGB without YCbCr": lambda photo: encode(photo, keep_rgb=True),
    "progressive": lambda photo: encode(photo, progressive=True),
    "progressive grayscale": lambda photo: encode(photo.convert("L"), progressive=True),
    "restart markers": lambda photo: encode(photo, restart_marker_blocks=2),
    "4:4:4": lambda photo: encode(photo, subsampling="4:4:4"),
    "4:2:2": lambda photo: encode(photo, subsampling="4:2:2"),
    "4:2:0": lambda photo: encode(photo, subsampling="4:2:0"),
    "1 x 1": lambda photo: encode(photo.crop((9, 9, 10, 10))),
    "1 high": lambda photo: encode(photo.resize((65_500, 1))),
    "1 wide": lambda photo: encode(photo.resize((1, 20_000))),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("color_mode", "mode"), [("rgb", "RGB"), ("grayscale", "L")])
def test_every_kind_of_jpeg_decodes_as_pillow_converts_it(photo, kind, color_mode, mode):
    data = KINDS[kind](photo)

    image = JpegLoader(color_mode=color_mode).transform([data])[0]

    assert image.dtype == np.uint8
    np.testing.assert_array_equal(image, pillow(data, mode))


def test_the_kinds_are_what_they_are_called(photo):
    def opened(kind):
        return Image.open(io.BytesIO(KINDS[kind](photo)))

    assert opened("grayscale").mode == "L"
    assert opened("CMYK").mode == opened("YCCK").mode == "CMYK"
    assert opened("CMYK").info["adobe_transform"] == 0
    assert opened("YCCK").info["adobe_transform"] == 2
    assert opened("RGB without YCbCr").info["adobe_transform"] == 0
    assert opened("progressive").info["progressive"]
    sampling = [JpegImagePlugin.get_sampling(opened(k)) for k in ("4:4:4", "4:2:2", "4:2:0")]
    assert sampling == [0, 1, 2]


def test_a_ycck_file_shows_the_photo_that_went_in(photo):
    image = JpegLoader().transform([as_ycck(photo)])[0]

    assert np.abs(image - np.asarray(photo, float)).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_are_turned_upright_as_exif_says(photo, orientation):
    data = encode_turned(photo, orientation)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

    image = JpegLoader().transform([data])[0]

    np.testing.assert_array_equal(image, np.asarray(expected))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_images_stay_as_stored_without_exif_orientation(photo, orientation):
    data = encode_turned(photo, orientation)

    image = JpegLoader(exif_orientation=False).transform([data])[0]

    np.testing.assert_array_equal(image, pillow(data))


def test_grayscale_images_are_turned_upright_too(photo):
    data = encode_turned(photo.convert("L"), 6)
    expected = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))

    image = JpegLoader(color_mode="grayscale").transform([data])[0]

    np.testing.assert_array_equal(image[..., 0], np.asarray(expected))


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_exif_does_not_define_means_upright(photo, orientation):
    data = encode_turned(photo, orientation)

    np.testing.assert_array_equal(JpegLoader().transform([data])[0], pillow(data))


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data:UserWarning")
@pytest.mark.parametrize(
    ("start", "damage"),
    [
        (0, b"XXXXXXXX"),  # no TIFF header
        (4, b"\xff\xff\xff\x7f"),  # the directory lies far behind the end
        (8, b"\xff\xff"),  # the directory has more entries than there are bytes
        (12, b"\xff\xff"),  # the orientation is of an unknown type
    ],
)
def test_damaged_exif_does_not_fail_a_good_image(photo, start, damage):
    data = encode_turned(photo, 1)
    start += data.index(b"Exif\0\0") + 6
    damaged = data[:start] + damage + data[start + len(damage) :]

    np.testing.assert_array_equal(JpegLoader().transform([damaged])[0], pillow(data))


def test_mpo_gives_its_first_frame(photos, photo):
    file = io.BytesIO()
    photo.save(file, "MPO", save_all=True, append_images=[photos[1]])
    first = Image.open(file)
    assert (first.format, first.n_frames) == ("MPO", 2)

    image = JpegLoader().transform([file.getvalue()])[0]

    np.testing.assert_array_equal(image, np.asarray(first))


def test_transform_opens_no_file(tmp_path, photo):
    path = tmp_path / "deleted.jpg"
    path.write_bytes(encode(photo))
    loader = JpegLoader().fit([path])
    path.unlink()

    images = loader.transform([path])

    assert images.shape == (1,)
    with pytest.raises(FileNotFoundError, match=r"deleted\.jpg"):
        images[0]


def test_what_is_in_a_file_is_read_again_each_time(tmp_path, photos):
    path = tmp_path / "changing.jpg"
    path.write_bytes(encode(photos[0]))
    images = JpegLoader().transform([path])
    before = images[0]
    path.write_bytes(encode(photos[1]))

    assert not np.array_equal(images[0], before)
    np.testing.assert_array_equal(images[0], pillow(encode(photos[1])))


# What a file may not be


@pytest.mark.parametrize("format_", ["PNG", "GIF", "BMP", "TIFF"])
def test_another_format_named_jpg_is_refused_by_its_name(tmp_path, photo, format_):
    path = tmp_path / "photo.jpg"
    photo.save(path, format_)

    with pytest.raises(ImageDecodeError, match=rf"photo\.jpg.*{format_} data.*formats"):
        JpegLoader().transform([path])[0]


def test_jpeg_is_refused_where_formats_leaves_it_out(photo):
    with pytest.raises(ImageDecodeError, match=r"JPEG data.*\('PNG',\)"):
        JpegLoader(formats=("PNG",)).transform([encode(photo)])[0]


def test_jpeg_data_where_only_png_is_let_in_is_named_whatever_its_size(photo):
    loader = JpegLoader(formats=("PNG",), max_pixels=1)

    with pytest.raises(ImageDecodeError, match=r"JPEG data, while .* formats=\('PNG',\)"):
        loader.transform([encode(photo)])[0]


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "empty"),
        (b"hello", "no known image format"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b"\xff\xd8\xff\xd9", "JPEG header that is damaged"),
        (b"\xff\xd8\xff\xe0\x00\x10JFIF", "[Tt]runcated"),
        (b"RIFF\0\0\0\0WEBPVP8 ", r"WEBP data.*; to accept it, pass formats=.*'WEBP'\)"),
        (b"\0\0\0\x20ftypavif", r"AVIF data.*; to accept it, pass formats=.*'AVIF'\)"),
        (b"\0\0\0\x20ftypheic", r"HEIF data, while JpegLoader has formats=\('JPEG',\)\."),
    ],
)
def test_what_is_no_image_is_refused_with_a_reason(content, reason):
    with pytest.raises(ImageDecodeError, match=reason):
        JpegLoader().transform([content])[0]


@pytest.mark.parametrize(
    ("formats", "error", "words"),
    [
        ("PNG", TypeError, r"formats='PNG' is one string, .* Pass \('PNG',\)"),
        (("JPEG", "jpg"), ValueError, r"cannot open\. For \.jpg files, pass 'JPEG'"),
        ((".tif",), ValueError, r"cannot open\. For \.tif files, pass 'TIFF'"),
        (("nosuch",), ValueError, r"cannot open\. `python -m PIL` lists the names"),
    ],
)
def test_formats_that_are_not_names_of_pillows_are_refused_with_the_right_ones(
    formats, error, words
):
    with pytest.raises(error, match=words):
        JpegLoader(formats=formats).transform([b""])


def test_formats_that_pillow_cannot_open_are_not_recommended():
    with pytest.raises(ImageDecodeError, match="PDF data, while") as caught:
        JpegLoader().transform([b"%PDF-1.4"])[0]

    assert "to accept it" not in str(caught.value)


@pytest.mark.parametrize("progressive", [False, True])
@pytest.mark.parametrize("part", [0.3, 0.9])
def test_a_truncated_file_is_refused(photo, progressive, part):
    data = encode(photo, progressive=progressive)

    with pytest.raises(ImageDecodeError, match="truncated"):
        JpegLoader().transform([data[: int(part * len(data))]])[0]


def test_a_path_out_of_a_numpy_array_is_named_plainly(tmp_path):
    path = tmp_path / "broken.jpg"
    path.write_bytes(b"hello")

    with pytest.raises(ImageDecodeError) as caught:
        JpegLoader().transform(np.array([str(path)]))[0]

    assert "np.str_" not in str(caught.value)


def test_a_path_of_bytes_is_named_as_text(tmp_path):
    class OfBytes:
        def __fspath__(self) -> bytes:
            return bytes(tmp_path / "page.jpg")

    (tmp_path / "page.jpg").write_bytes(b"<html>")

    with pytest.raises(ImageDecodeError) as caught:
        JpegLoader().transform([OfBytes()])[0]

    assert caught.value.source == str(tmp_path / "page.jpg")


def test_a_named_pipe_is_refused_and_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")

    with pytest.raises(ImageDecodeError, match=r"pipe\.jpg.*not a regular file"):
        JpegLoader().transform([tmp_path / "pipe.jpg"])[0]


def test_a_socket_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # a socket's path is to be short
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("socket.jpg")

        with pytest.raises(ImageDecodeError, match="not a regular file"):
            JpegLoader().transform(["socket.jpg"])[0]


def test_a_device_that_never_ends_is_refused():
    with pytest.raises(ImageDecodeError, match="not a regular file"):
        JpegLoader().transform(["/dev/zero"])[0]


def test_a_path_that_leads_nowhere_is_refused(tmp_path):
    (tmp_path / "loop.jpg").symlink_to(tmp_path / "loop.jpg")

    for path, reason in (
        (tmp_path / "loop.jpg", "Too many levels of symbolic links"),
        ("a" * 300 + ".jpg", "File name too long"),
        ("a\0b.jpg", "null byte"),
    ):
        with pytest.raises(ImageDecodeError, match=f"no file can have this path .*{reason}"):
            JpegLoader().transform([path])[0]


# Formats let in beside JPEG


@pytest.mark.parametrize("formats", [("PNG", "JPEG"), ["JPEG", "PNG"]])
def test_formats_lets_other_formats_in(photo, formats):
    images = JpegLoader(formats=formats).transform([encode(photo, "PNG"), encode(photo)])

    np.testing.assert_array_equal(images[0], np.asarray(photo))
    np.testing.assert_array_equal(images[1], pillow(encode(photo)))


@pytest.mark.parametrize("image_format", ["PNG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_other_formats_are_turned_upright_once(photo, image_format, orientation):
    data = encode_turned(photo, orientation, image_format)

    image = JpegLoader(formats=(image_format,)).transform([data])[0]

    opened = Image.open(io.BytesIO(data))
    np.testing.assert_array_equal(image, np.asarray(ImageOps.exif_transpose(opened)))


def test_a_damaged_png_is_an_error(photo):
    data = bytearray(encode(photo, "PNG"))
    middle = len(data) // 2
    data[middle : middle + 50] = bytes(50)

    with pytest.raises(ImageDecodeError):
        JpegLoader(formats=("PNG",)).transform([bytes(data)])[0]


def test_a_png_that_claims_too_much_is_an_error_where_warnings_are(photo):
    data = bytearray(encode(photo.resize((8, 8)), "PNG"))
    data[16:24] = struct.pack(">II", 10_000, 9_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))

    with pytest.raises(ImageDecodeError, match="exceeds limit"):
        JpegLoader(formats=("PNG",)).transform([bytes(data)])[0]


# Guards


@pytest.mark.parametrize(
    ("width", "height"), [(9_460, 9_460), (10_000, 9_000), (13_000, 13_000), (65_500, 65_500)]
)
def test_a_file_that_claims_too_many_pixels_is_refused_on_its_header(
    photo, prepared, width, height
):
    bomb = claim_size(encode(photo), width, height)

    with pytest.raises(ImageDecodeError, match=f"{width} x {height} pixels are more than"):
        JpegLoader().transform([bomb])[0]

    assert prepared == []


def test_max_pixels_lets_in_as_many_and_no_more(photo, prepared):
    data, n_pixels = encode(photo), photo.width * photo.height

    assert JpegLoader(max_pixels=n_pixels).transform([data])[0].size == 3 * n_pixels
    assert prepared == [photo.size]
    message = rf"{photo.width} x {photo.height} .*max_pixels={n_pixels - 1}"
    with pytest.raises(ImageDecodeError, match=message):
        JpegLoader(max_pixels=n_pixels - 1).transform([data])[0]
    assert prepared == [photo.size]


@pytest.mark.parametrize("method", ["fit", "transform"])
def test_max_pixels_above_pillows_limit_names_the_limit(method):
    too_many = Image.MAX_IMAGE_PIXELS + 1

    with pytest.raises(
        ValueError, match=rf"max_pixels={too_many}.*PIL\.Image\.MAX_IMAGE_PIXELS"
    ):
        getattr(JpegLoader(max_pixels=too_many), method)(["a.jpg"])


@pytest.mark.parametrize("limit", [None, 10**10])
def test_max_pixels_may_be_raised_with_pillows_limit(monkeypatch, photo, limit):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    data = encode(photo)

    image = JpegLoader(max_pixels=10**10).transform([data])[0]

    np.testing.assert_array_equal(image, pillow(data))


def test_the_default_of_max_pixels_is_pillows_limit():
    assert JpegLoader().max_pixels == Image.MAX_IMAGE_PIXELS


def test_max_scans_lets_in_as_many_and_no_more(photo):
    data = encode(photo, progressive=True)
    n = n_scans(data)
    assert n > 1

    np.testing.assert_array_equal(JpegLoader(max_scans=n).transform([data])[0], pillow(data))
    with pytest.raises(ImageDecodeError, match=rf"more scans than max_scans={n - 1}"):
        JpegLoader(max_scans=n - 1).transform([data])[0]


def test_a_file_of_many_scans_decodes_where_max_scans_allows_it(photo):
    many = repeat_last_scan(encode(photo, progressive=True), 95)

    image = JpegLoader(max_scans=1_000).transform([many])[0]

    np.testing.assert_array_equal(image, pillow(many))


def test_bytes_that_look_like_scans_behind_the_image_are_none(photo):
    # A "motion photo" is a JPEG with a video behind it, in which any two bytes occur.
    data = encode(photo)
    video = np.random.default_rng(0).bytes(10_000_000)
    assert video.count(b"\xff\xda") > 100

    np.testing.assert_array_equal(JpegLoader().transform([data + video])[0], pillow(data))


def test_bytes_that_look_like_scans_in_a_comment_are_none(photo):
    data = encode(photo, comment=b"\xff\xda" * 200)

    np.testing.assert_array_equal(JpegLoader().transform([data])[0], pillow(data))


def test_a_sequential_file_of_many_scans_is_refused(photo, prepared):
    """The first scan has one component, so a decoder reads on to the end of the image."""
    data = encode(photo)
    start = data.rindex(b"\xff\xda")
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x00\x3f\x00" + bytes(4)
    bomb = data[:start] + scan + data[start:-2] + scan * 200 + data[-2:]

    with pytest.raises(ImageDecodeError, match="more scans than max_scans=100"):
        JpegLoader().transform([bomb])[0]

    assert prepared == []


def test_a_reserved_marker_hides_no_scans(photo, prepared):
    """A decoder that looks for a restart passes over it, whatever length seems to follow."""
    data = encode(photo, progressive=True, restart_marker_blocks=1)
    first = data.index(b"\xff\xda")
    second = data.index(b"\xff\xda", first + 2)
    header = data[first : first + 2 + int.from_bytes(data[first + 2 : first + 4])]
    hidden = data[first:second] * 200
    bomb = data[:first] + header + b"\xff\x02\xff\xff" + hidden + b"\xff\xd9"

    with pytest.raises(ImageDecodeError, match="more scans than max_scans=100"):
        JpegLoader().transform([bomb])[0]

    assert prepared == []


@pytest.mark.parametrize(
    "content",
    [
        b"\xff" * 100_000,
        b"\xff\x02" * 50_000,
        b"\xff\xd0" * 50_000,
        b"\0" * 100_000,
        b"\xff\0" * 50_000,
    ],
    ids=["fill", "reserved", "restarts", "zeros", "stuffed"],
)
def test_endless_bytes_between_markers_are_refused(photo, prepared, content):
    data = encode(photo)
    behind = 4 + int.from_bytes(data[4:6])  # the first segment

    for damaged in (data[:behind] + content + data[behind:], data[:behind] + content):
        with pytest.raises(ImageDecodeError, match="more than 65536 bytes between"):
            JpegLoader().transform([damaged])[0]
    assert prepared == []


def test_a_file_that_is_too_large_for_any_image_is_not_read(tmp_path):
    path = tmp_path / "video.jpg"
    with path.open("wb") as file:
        file.truncate(300 * 2**30)  # takes no room on the disk

    with pytest.raises(ImageDecodeError, match=r"its 322,122,547,200 bytes are more than"):
        JpegLoader().transform([path])[0]


# What Pillow raises, and its switches


def failing(error: BaseException) -> Callable[..., None]:
    def fail(*_: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        OSError("broken data stream"),
        SyntaxError("not a JPEG file"),
        ValueError("bad\n marker."),
        struct.error("unpack requires 4 bytes"),
        EOFError(),
        IndexError("index out of range"),
        KeyError(3),
        TypeError("cannot unpack"),
        OverflowError("too large"),
        ZeroDivisionError("division by zero"),
        RecursionError("too deep"),
        Image.DecompressionBombError("too many pixels"),
        UserWarning("where warnings are errors"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_whatever_pillow_raises_becomes_one_error(tmp_path, photo, monkeypatch, error):
    path = tmp_path / "a.jpg"
    path.write_bytes(encode(photo))
    monkeypatch.setattr(ImageFile.ImageFile, "load", failing(error))

    with pytest.raises(ImageDecodeError) as caught:
        JpegLoader().transform([path])[0]

    assert (caught.value.source, caught.value.position) == (str(path), 0)
    assert caught.value.__cause__ is error
    reason = " ".join(str(error).split()).rstrip(".") or type(error).__name__
    assert caught.value.reason == reason
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "error", [KeyboardInterrupt(), MemoryError(), SystemExit(3), DeprecationWarning("code")]
)
@pytest.mark.parametrize("on_error", ["raise", "blank"])
def test_what_is_no_fault_of_the_file_passes_through(photo, monkeypatch, error, on_error):
    images = JpegLoader(on_error=on_error).transform([encode(photo)])
    monkeypatch.setattr(ImageFile.ImageFile, "load", failing(error))

    with pytest.raises(type(error)) as caught:
        images[0]

    assert caught.value is error


@pytest.mark.parametrize("error", [MemoryError(), KeyboardInterrupt(), ValueError("damaged")])
def test_nothing_that_reading_exif_raises_fails_an_image_but_what_is_not_its_fault(
    photo, monkeypatch, error
):
    data = encode(photo)
    monkeypatch.setattr(Image.Image, "getexif", failing(error))

    if isinstance(error, ValueError):
        np.testing.assert_array_equal(JpegLoader().transform([data])[0], pillow(data))
    else:
        with pytest.raises(type(error)):
            JpegLoader().transform([data])[0]


def test_a_warning_of_exif_refuses_a_file_where_warnings_are_errors():
    """Rather than to lose an orientation that is there where they are not."""
    path = Path(__file__).parents[1] / "data" / "jpeg" / "exif-orientation-of-two-numbers.jpg"

    with pytest.raises(ImageDecodeError, match="Metadata Warning"):
        JpegLoader().transform([path])[0]


def test_truncated_files_do_not_pass_in_silence_where_pillow_lets_them(photo, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)
    pipeline = make_image_pipeline((8, 8))

    for call in (pipeline.fit, pipeline.transform, JpegLoader().transform):
        with pytest.warns(UserWarning, match="LOAD_TRUNCATED_IMAGES is set") as caught:
            call([encode(photo)[:-2000]])
        assert len(caught) == 1
    assert ImageFile.LOAD_TRUNCATED_IMAGES


def test_reading_sets_no_switch_of_pillow_even_for_a_moment(files, monkeypatch):
    class Guarded(type(ImageFile)):
        def __setattr__(self, name: str, value: object) -> None:
            if name != "__class__":
                raise AssertionError(f"{self.__name__}.{name} was set to {value}")
            super().__setattr__(name, value)

    for module in (Image, ImageFile):
        monkeypatch.setattr(module, "__class__", Guarded)
    with pytest.raises(AssertionError, match=r"PIL\.Image\.MAX_IMAGE_PIXELS was set"):
        Image.MAX_IMAGE_PIXELS = None

    with pytest.warns(ImageDecodeWarning, match="1 of 25"):
        make_image_pipeline((8, 8), n_jobs=2, on_error="blank").fit([*files, b"bad"])


# Parameters


@pytest.mark.parametrize("method", ["fit", "transform"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("color_mode", "L"),
        ("color_mode", None),
        ("color_mode", ["rgb"]),
        ("exif_orientation", "no"),
        ("color_profile", "sRGB"),
        ("color_profile", None),
        ("color_profile", True),
        *(("background", value) for value in ("white", -1, 256, 1.0, True, "255")),
        *(("background", value) for value in ((), (0, 0), (0, 0, 256), [0, 0, 0, 255])),
        *(("background", value) for value in ((0, 0, True), (0.5, 0, 0), (None,) * 3)),
        ("formats", "JPEG"),
        ("formats", ()),
        ("formats", None),
        ("formats", ("JPEG", "no such format")),
        ("formats", (1,)),
        ("max_pixels", 0),
        ("max_pixels", 1e6),
        ("max_pixels", True),
        ("max_pixels", None),
        ("max_scans", 0),
        ("max_scans", 2.5),
        ("max_scans", "10"),
        ("on_error", "ignore"),
        ("on_error", None),
        ("n_jobs", "two"),
        ("n_jobs", 1.5),
        ("verbose", "loud"),
    ],
)
def test_a_wrong_parameter_is_named_with_its_value(method, name, value):
    with pytest.raises((TypeError, ValueError)) as caught:
        getattr(JpegLoader(**{name: value}), method)(["a.jpg"])

    assert f"{name}={value!r}" in str(caught.value)


def test_init_stores_every_parameter_untouched():
    parameters = {name: object() for name in JpegLoader().get_params()}

    loader = JpegLoader(**parameters)

    assert len(parameters) == 11
    assert all(loader.get_params()[name] is value for name, value in parameters.items())


def test_fit_and_transform_change_no_parameter(photo):
    parameters = {"formats": ["JPEG", "PNG"], "n_jobs": -1, "max_scans": np.int64(7)}
    loader = JpegLoader(**parameters)

    loader.fit([encode(photo)]).transform([encode(photo)])

    assert all(getattr(loader, name) is value for name, value in parameters.items())
