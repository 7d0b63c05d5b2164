"""Resizer and geometry: every pixel against Pillow, and scaled decoding."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
from PIL import Image, ImageOps

from sknorm_images import ImageDecodeError, JpegLoader, Resizer
from tests.conftest import encode, encode_turned
from tests.differences import psnr

FILTERS = {
    "nearest": Image.Resampling.NEAREST,
    "box": Image.Resampling.BOX,
    "bilinear": Image.Resampling.BILINEAR,
    "hamming": Image.Resampling.HAMMING,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}
SCALED = [name for name in FILTERS if name not in ("nearest", "box")]
FITS: dict[str, Callable[..., Image.Image]] = {
    "ignore": lambda image, size, method: image.resize(size, method),
    "crop": ImageOps.fit,
    "pad": ImageOps.pad,
}
# (height, width): smaller than the photo, larger, and both.
SIZES = [(48, 75), (75, 48), (300, 210), (31, 401), (1, 1), (131, 177)]


@pytest.fixture(scope="module")
def large(photos: list[Image.Image]) -> Image.Image:
    """The temple at 2600 x 1735, the size of a photo from a camera."""
    return photos[0].resize((2600, 1735), Image.Resampling.LANCZOS)


@pytest.fixture(scope="module")
def large_files(large: Image.Image) -> dict[int, bytes]:
    """The large photo as JPEG, by the EXIF orientation that its header says."""
    return {i: encode_turned(large, i, quality=90) for i in range(1, 9)}


def resized(data: bytes, *args: object, **kwargs: object) -> np.ndarray:
    """Load and resize one file."""
    return np.asarray(Resizer(*args, **kwargs).transform(JpegLoader().transform([data])))[0]


def expected(
    image: Image.Image,
    size: tuple[int, int],
    interpolation: str = "bilinear",
    aspect_ratio: str = "ignore",
) -> np.ndarray:
    """Resize with Pillow; size is (height, width)."""
    return np.asarray(FITS[aspect_ratio](image, size[::-1], FILTERS[interpolation]))


def opened(data: bytes) -> Image.Image:
    return Image.open(io.BytesIO(data))


def upright(data: bytes) -> Image.Image:
    return ImageOps.exif_transpose(opened(data))


# Every pixel


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("aspect_ratio", FITS)
def test_files_become_what_pillow_makes_of_them(photo, interpolation, size, aspect_ratio):
    data = encode(photo)

    image = resized(
        data,
        size,
        interpolation=interpolation,
        aspect_ratio=aspect_ratio,
        reducing_gap=None,
    )

    assert image.shape == (*size, 3)
    np.testing.assert_array_equal(
        image, expected(opened(data), size, interpolation, aspect_ratio)
    )


def test_the_defaults_are_224_square_bilinear_and_stretched(photo):
    data = encode(photo)

    image = np.asarray(Resizer().transform(JpegLoader().transform([data])))[0]

    np.testing.assert_array_equal(image, expected(opened(data), (224, 224), "bilinear"))


@pytest.mark.parametrize("size", [40, np.int64(40), [40, 40], np.array([40, 40])])
def test_one_int_or_any_pair_is_a_size(photo, size):
    data = encode(photo)

    np.testing.assert_array_equal(resized(data, size), expected(opened(data), (40, 40)))


def test_size_is_height_first():
    image = np.zeros((1, 10, 20, 3), np.uint8)

    assert Resizer((30, 70)).transform(image).shape == (1, 30, 70, 3)
    assert np.asarray(Resizer((30, 70)).transform(image)).shape == (1, 30, 70, 3)


def test_grayscale_files_become_what_pillow_makes_of_them(photo):
    data = encode(photo)
    images = JpegLoader(color_mode="grayscale").transform([data])

    image = np.asarray(Resizer((40, 61), reducing_gap=None).transform(images))[0]

    assert image.shape == (40, 61, 1)
    np.testing.assert_array_equal(image[..., 0], expected(opened(data).convert("L"), (40, 61)))


@pytest.mark.parametrize("aspect_ratio", ["crop", "pad"])
def test_crop_and_pad_agree_with_pillow_on_many_sizes(photos, aspect_ratio):
    random = np.random.default_rng(0)
    for width, height, new_width, new_height in random.integers(3, 90, (300, 4)).tolist():
        if 0 in (round(height / width * new_width), round(width / height * new_height)):
            continue  # Pillow pads around nothing; see the test of very wide images
        image = photos[1].crop((250, 150, 250 + width, 150 + height))
        size = new_height, new_width

        result = Resizer(size, aspect_ratio=aspect_ratio).transform([np.asarray(image)])[0]

        np.testing.assert_array_equal(
            result, expected(image, size, aspect_ratio=aspect_ratio), f"{image.size} to {size}"
        )


@pytest.mark.parametrize("pad_value", [0, 1, 114, 255])
@pytest.mark.parametrize("size", [(64, 41), (40, 97)])
@pytest.mark.parametrize(("color_mode", "mode"), [("rgb", "RGB"), ("grayscale", "L")])
def test_pad_value_fills_every_channel(photo, pad_value, size, color_mode, mode):
    data = encode(photo)
    images = JpegLoader(color_mode=color_mode).transform([data])
    color = pad_value if mode == "L" else (pad_value,) * 3
    padded = ImageOps.pad(opened(data).convert(mode), size[::-1], FILTERS["box"], color=color)

    image = Resizer(
        size,
        interpolation="box",
        aspect_ratio="pad",
        reducing_gap=None,
        pad_value=pad_value,
    ).transform(images)[0]

    np.testing.assert_array_equal(image.squeeze(), np.asarray(padded))


@pytest.mark.parametrize("size", [(10, 10), (11, 10), (10, 11)])
def test_odd_differences_are_padded_as_pillow_does(photos, size):
    for crop in ((0, 0, 30, 20), (0, 0, 20, 30), (0, 0, 30, 28), (0, 0, 28, 30)):
        image = photos[1].crop(crop)

        result = Resizer(size, aspect_ratio="pad").transform([np.asarray(image)])[0]

        np.testing.assert_array_equal(result, expected(image, size, aspect_ratio="pad"))


def test_very_wide_images_are_padded_around_one_line_of_pixels(photos):
    # Pillow rounds the height of 0.1 pixels to 0, and pads around nothing.
    image = photos[0].crop((0, 200, 600, 206))
    line = np.asarray(image.resize((10, 1), Image.Resampling.BILINEAR))

    result = Resizer(10, aspect_ratio="pad", pad_value=9).transform([np.asarray(image)])[0]

    rows = (result != 9).any(axis=(1, 2))
    assert rows.sum() == 1
    np.testing.assert_array_equal(result[rows], line)
    assert rows.argmax() in (4, 5)


def test_very_high_images_are_padded_around_one_column_of_pixels(photos):
    image = photos[0].crop((200, 0, 202, 400))
    column = np.asarray(image.resize((1, 10), Image.Resampling.BILINEAR))

    result = Resizer(10, aspect_ratio="pad", pad_value=9).transform([np.asarray(image)])[0]

    columns = (result != 9).any(axis=(0, 2))
    assert columns.sum() == 1
    np.testing.assert_array_equal(result[:, columns], column)


@pytest.mark.parametrize("aspect_ratio", FITS)
def test_one_pixel_becomes_an_even_area(aspect_ratio):
    pixel = np.array([[[[10, 20, 30]]]], np.uint8)

    result = np.asarray(Resizer((4, 4), aspect_ratio=aspect_ratio).transform(pixel))

    np.testing.assert_array_equal(result, np.broadcast_to(pixel, (1, 4, 4, 3)))


# Orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("aspect_ratio", FITS)
def test_turned_photos_are_equal_to_turning_first(
    photo, orientation, interpolation, aspect_ratio
):
    data = encode_turned(photo, orientation)
    for size in ((48, 75), (300, 210)):
        image = resized(
            data,
            size,
            interpolation=interpolation,
            aspect_ratio=aspect_ratio,
            reducing_gap=None,
        )
        reference = expected(upright(data), size, interpolation, aspect_ratio)
        np.testing.assert_array_equal(image, reference)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_photos_stay_as_stored_without_exif_orientation(photo, orientation):
    data = encode_turned(photo, orientation)
    images = JpegLoader(exif_orientation=False).transform([data])

    image = Resizer((48, 75), reducing_gap=None).transform(images)[0]

    np.testing.assert_array_equal(image, expected(opened(data), (48, 75)))


# Scaled decoding


def drafted(data: bytes, scale: int, size: tuple[int, int], mode: str = "RGB") -> np.ndarray:
    """Decode at 1/scale with Pillow, and resize to (height, width)."""
    image = opened(data)
    _, box = image.draft(None, (image.width // scale, image.height // scale))
    resample = Image.Resampling.BILINEAR
    return np.asarray(image.convert(mode).resize(size[::-1], resample, box))


@pytest.mark.parametrize("interpolation", SCALED)
@pytest.mark.parametrize("aspect_ratio", FITS)
def test_scaled_decoding_is_at_least_45_db_from_full_decoding(
    large_files, interpolation, aspect_ratio
):
    data, size = large_files[1], (224, 288)
    full = expected(opened(data), size, interpolation, aspect_ratio)

    image = resized(data, size, interpolation=interpolation, aspect_ratio=aspect_ratio)

    assert psnr(image, full) >= 45


@pytest.mark.parametrize("orientation", [3, 6])
@pytest.mark.parametrize("aspect_ratio", FITS)
def test_scaled_decoding_of_turned_photos_is_as_near(large_files, orientation, aspect_ratio):
    data, size = large_files[orientation], (224, 288)
    full = expected(upright(data), size, aspect_ratio=aspect_ratio)

    image = resized(data, size, aspect_ratio=aspect_ratio)

    assert psnr(image, full) >= 45
    assert not np.array_equal(
        image, resized(data, size, aspect_ratio=aspect_ratio, reducing_gap=None)
    )


@pytest.mark.parametrize("orientation", range(1, 9))
def test_scaled_decoding_keeps_every_orientation(large_files, orientation):
    data = large_files[orientation]

    assert psnr(resized(data, (120, 200)), expected(upright(data), (120, 200))) >= 45


@pytest.mark.parametrize(
    "options",
    [{"reducing_gap": None}, {"interpolation": "nearest"}, {"interpolation": "box"}],
)
@pytest.mark.parametrize("aspect_ratio", FITS)
def test_full_decoding_where_scaled_decoding_is_off(large_files, options, aspect_ratio):
    data, size = large_files[1], (64, 48)

    image = resized(data, size, aspect_ratio=aspect_ratio, **options)

    interpolation = options.get("interpolation", "bilinear")
    np.testing.assert_array_equal(
        image, expected(opened(data), size, interpolation, aspect_ratio)
    )


@pytest.fixture(scope="module")
def round_file(photos: list[Image.Image]) -> bytes:
    """A photo of 2400 x 1600, which 2, 4 and 8 divide."""
    return encode(photos[1].resize((2400, 1600), Image.Resampling.BICUBIC))


@pytest.mark.parametrize(
    ("reducing_gap", "width", "scale"),
    [
        (3.0, 401, 1),
        (3.0, 400, 2),
        (3.0, 201, 2),
        (3.0, 200, 4),
        (3.0, 101, 4),
        (3.0, 100, 8),
        (3.0, 30, 8),
        (2.0, 601, 1),
        (2.0, 600, 2),
        (1.5, 801, 1),
        (1.5, 800, 2),
        (1, 1200, 2),
        (12.0, 101, 1),
        (12.0, 100, 2),
    ],
)
def test_the_reduced_image_stays_reducing_gap_times_larger(
    round_file, reducing_gap, width, scale
):
    size = width // 2, width  # less high than the photo, so that the width decides

    image = resized(round_file, size, reducing_gap=reducing_gap)

    np.testing.assert_array_equal(image, drafted(round_file, scale, size))


@pytest.mark.parametrize(("height", "scale"), [(267, 1), (266, 2), (134, 2), (133, 4)])
def test_the_height_decides_where_it_shrinks_less(round_file, height, scale):
    size = height, 10

    np.testing.assert_array_equal(resized(round_file, size), drafted(round_file, scale, size))


@pytest.mark.parametrize(
    ("aspect_ratio", "side", "is_scaled"),
    [("crop", 266, True), ("crop", 267, False), ("pad", 400, True), ("pad", 401, False)],
)
def test_crop_and_pad_count_the_size_of_the_whole_picture(
    round_file, aspect_ratio, side, is_scaled
):
    size = side, side

    image = resized(round_file, size, aspect_ratio=aspect_ratio)

    full = expected(opened(round_file), size, aspect_ratio=aspect_ratio)
    assert np.array_equal(image, full) != is_scaled


def test_the_size_is_swapped_for_photos_that_lie_on_their_side(photos):
    stored = photos[1].resize((2400, 1600), Image.Resampling.BICUBIC)
    data = encode_turned(stored, 6)
    # Upright 1600 x 2400. 1/2 fits 266 x 400 exactly; unswapped, nothing would.
    turned = Image.fromarray(drafted(data, 2, (266, 400))).transpose(
        Image.Transpose.ROTATE_270
    )

    np.testing.assert_array_equal(resized(data, (400, 266)), np.asarray(turned))


@pytest.mark.parametrize(("color_mode", "mode"), [("rgb", "RGB"), ("grayscale", "L")])
@pytest.mark.parametrize("stored", ["RGB", "L", "CMYK"])
def test_scaled_decoding_never_changes_how_colours_convert(large, color_mode, mode, stored):
    data = encode(large.convert(stored))
    images = JpegLoader(color_mode=color_mode).transform([data])

    image = Resizer((100, 150)).transform(images)[0]

    np.testing.assert_array_equal(image.squeeze(), drafted(data, 4, (100, 150), mode))


def test_scaled_decoding_of_progressive_files(large):
    data = encode(large, progressive=True)

    np.testing.assert_array_equal(resized(data, (100, 150)), drafted(data, 4, (100, 150)))


def test_truncated_files_are_refused_at_a_smaller_scale_too(large_files):
    with pytest.raises(ImageDecodeError, match="truncated"):
        resized(large_files[1][:-5_000], (100, 150))


def test_the_size_in_the_file_need_not_be_a_multiple_of_the_scale(photos):
    # 1/8 of 2399 x 1607 is 299.875 x 200.875, and decodes as 300 x 201.
    photo = photos[0].resize((2399, 1607), Image.Resampling.BICUBIC)
    data = encode(photo, quality=95)

    image = resized(data, (60, 90))

    np.testing.assert_array_equal(image, drafted(data, 8, (60, 90)))
    assert psnr(image, expected(opened(data), (60, 90))) >= 45


def test_other_formats_are_decoded_at_full_size(large):
    images = JpegLoader(formats=("PNG",)).transform([encode(large, "PNG", compress_level=0)])

    np.testing.assert_array_equal(
        Resizer((64, 48)).transform(images)[0], expected(large, (64, 48))
    )


def test_arrays_are_resized_from_their_full_size(large):
    image = Resizer((64, 48)).transform([np.asarray(large)])[0]

    np.testing.assert_array_equal(image, expected(large, (64, 48)))


# Arrays


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("as_list", [False, True])
def test_arrays_of_any_number_of_channels(photos, n_channels, interpolation, as_list):
    # Channels that have nothing in common: a fourth one must not act as transparency.
    both = np.concatenate([np.asarray(photo) for photo in photos], axis=-1)
    images = np.stack([both[:90, :140, :n_channels], both[-90:, -140:, :n_channels]])
    size = 60, 101

    result = Resizer(size, interpolation=interpolation).transform(
        list(images) if as_list else images
    )

    assert result.shape == (2, *size, n_channels)
    for channel in range(n_channels):
        for image, resized_image in zip(images, np.asarray(result), strict=True):
            np.testing.assert_array_equal(
                resized_image[..., channel],
                expected(Image.fromarray(image[..., channel]), size, interpolation),
            )


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 5])
@pytest.mark.parametrize("aspect_ratio", ["crop", "pad"])
def test_crop_and_pad_of_any_number_of_channels(photos, n_channels, aspect_ratio):
    both = np.concatenate([np.asarray(photo) for photo in photos], axis=-1)
    images = both[np.newaxis, :90, :140, :n_channels]
    size = 60, 101

    result = np.asarray(Resizer(size, aspect_ratio=aspect_ratio).transform(images))

    for channel in range(n_channels):
        np.testing.assert_array_equal(
            result[0, ..., channel],
            expected(
                Image.fromarray(images[0, ..., channel]), size, aspect_ratio=aspect_ratio
            ),
        )


def test_a_list_may_hold_arrays_of_differing_sizes(photos):
    arrays = [np.asarray(photos[0])[:50, :70], np.asarray(photos[1])[:200, :90]]

    result = np.asarray(Resizer((40, 44)).transform(arrays))

    for array, image in zip(arrays, result, strict=True):
        np.testing.assert_array_equal(image, expected(Image.fromarray(array), (40, 44)))


def test_arrays_in_any_memory_order(photos):
    array = np.asfortranarray(np.asarray(photos[0])[::-2, ::3, ::-1])

    result = Resizer((40, 44)).transform([array])[0]

    np.testing.assert_array_equal(
        result, expected(Image.fromarray(np.ascontiguousarray(array)), (40, 44))
    )


@pytest.mark.parametrize("n_channels", [1, 3])
def test_an_empty_array_keeps_its_number_of_channels(n_channels):
    empty = np.zeros((0, 20, 30, n_channels), np.uint8)

    images = Resizer((4, 5)).transform(empty)

    assert images.shape == (0, 4, 5, n_channels)
    assert np.asarray(images).shape == (0, 4, 5, n_channels)


def test_two_resizers_in_a_row(photo):
    data = encode_turned(photo, 6)
    images = JpegLoader().transform([data])
    turned = Image.fromarray(expected(upright(data), (150, 120), "nearest"))

    first = Resizer((150, 120), interpolation="nearest").transform(images)
    second = Resizer((40, 60), aspect_ratio="pad").transform(first)

    assert (first.shape, second.shape) == ((1, 150, 120, 3), (1, 40, 60, 3))
    np.testing.assert_array_equal(second[0], expected(turned, (40, 60), aspect_ratio="pad"))
    np.testing.assert_array_equal(first[0], np.asarray(turned))


# What is refused


@pytest.mark.parametrize("method", ["fit", "transform"])
@pytest.mark.parametrize(
    ("X", "error", "message"),
    [
        (np.zeros((5, 6, 3), np.uint8), ValueError, r"\(5, 6, 3\).*height, width, channels"),
        (np.zeros((5, 6), np.uint8), ValueError, r"\(5, 6\).*height, width, channels"),
        (np.zeros((2, 5, 6, 3)), ValueError, "float64.*uint8"),
        (np.zeros((2, 5, 6, 3), np.int16), ValueError, "int16.*uint8"),
        ([np.zeros((5, 6), np.uint8)], ValueError, r"Image 0 .*\(5, 6\)"),
        (
            [np.zeros((5, 6, 3), np.uint8), np.zeros((5, 6, 3))],
            ValueError,
            "Image 1 .*float64.*uint8",
        ),
        (
            [np.zeros((5, 6, 3), np.uint8), np.zeros((5, 6, 1), np.uint8)],
            ValueError,
            "channels",
        ),
        (["a.jpg", "b.jpg"], TypeError, r"X holds 'a\.jpg', .* Put a JpegLoader before it"),
        (np.array(["a.jpg"], object), TypeError, "JpegLoader"),
        ("a.jpg", TypeError, "JpegLoader"),
        ([Image.new("RGB", (5, 6))], TypeError, "arrays"),
        (None, TypeError, "LazyImages"),
        ([], ValueError, "X is empty, so its number of channels"),
    ],
)
def test_what_is_no_images_is_refused(method, X, error, message):
    with pytest.raises(error, match=message):
        getattr(Resizer(), method)(X)


@pytest.mark.parametrize("method", ["fit", "transform"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", 0),
        ("size", -1),
        ("size", True),
        ("size", 224.0),
        ("size", "224"),
        ("size", None),
        ("size", (224,)),
        ("size", (224, 224, 3)),
        ("size", (224, 0)),
        ("size", (224, None)),
        ("size", (2.5, 224)),
        ("interpolation", "linear"),
        ("interpolation", Image.Resampling.BOX),
        ("interpolation", None),
        ("aspect_ratio", "keep"),
        ("aspect_ratio", True),
        ("reducing_gap", 0.9),
        ("reducing_gap", "3"),
        ("reducing_gap", True),
        ("reducing_gap", float("nan")),
        ("reducing_gap", float("inf")),
        ("pad_value", -1),
        ("pad_value", 256),
        ("pad_value", 0.5),
        ("pad_value", (0, 0, 0)),
        ("pad_value", None),
        ("engine", "opencv"),
        ("engine", None),
    ],
)
def test_a_wrong_parameter_is_named(method, name, value):
    with pytest.raises((TypeError, ValueError), match=rf"{name}(\[\d\])?=.*Pass "):
        getattr(Resizer(**{name: value}), method)(np.zeros((1, 4, 4, 3), np.uint8))


def test_init_stores_every_parameter_untouched():
    parameters = {name: object() for name in Resizer().get_params()}

    resizer = Resizer(**parameters)

    assert len(parameters) == 6
    assert all(resizer.get_params()[name] is value for name, value in parameters.items())


def test_fit_and_transform_change_no_parameter(photo):
    size, reducing_gap = [40, 50], np.float32(2)
    resizer = Resizer(size, reducing_gap=reducing_gap)

    resizer.fit([np.asarray(photo)]).transform([np.asarray(photo)])

    assert resizer.size is size
    assert resizer.size == [40, 50]
    assert resizer.reducing_gap is reducing_gap


def test_the_images_that_went_in_are_not_changed(photo):
    array = np.asarray(photo).copy()
    images = JpegLoader().transform([encode(photo)])

    Resizer(5).transform([array])[0]
    Resizer(5).transform(images)

    np.testing.assert_array_equal(array, np.asarray(photo))
    assert images.shape == (1,)


def test_an_object_array_of_images_is_taken_as_a_list(photos):
    column = np.empty(5, object)
    for i in range(5):
        column[i] = np.asarray(photos[0].resize((20 + i, 30)))

    images = Resizer(8).transform(column)

    assert images.shape == (5, 8, 8, 3)
    np.testing.assert_array_equal(images, Resizer(8).transform(list(column)))


@pytest.mark.parametrize("shape", [(2, 0, 5, 3), (2, 5, 5, 0)])
def test_images_without_pixels_are_refused(shape):
    with pytest.raises(ValueError, match="Image 0 of X is of shape"):
        Resizer(8).transform(np.zeros(shape, np.uint8))
