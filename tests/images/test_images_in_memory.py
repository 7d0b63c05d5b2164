"""Images that Pillow or NumPy hold already go through the same pipeline as files."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from joblib import parallel_config
from PIL import Image, ImageOps

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    Resizer,
    check_images,
)
from tests.conftest import encode, encode_turned
from tests.lazy_photos import lazy, pipeline_of

SIZE = (32, 48)


@pytest.fixture
def opened(files):
    """The photos as Pillow opens them: nothing is decoded yet."""
    images = [Image.open(path) for path in files]
    yield images
    for image in images:
        image.close()


def as_arrays(files):
    return [np.array(Image.open(path)) for path in files]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_images_of_pillow_give_the_same_pixels_as_their_files(n_jobs, opened, pixels):
    np.testing.assert_array_equal(lazy(opened, n_jobs=n_jobs), pixels)


def test_arrays_give_the_same_pixels_as_the_files_they_came_from(files, pixels):
    np.testing.assert_array_equal(lazy(as_arrays(files)), pixels)


def test_images_in_one_array_are_images(pixels):
    images = JpegLoader().transform(pixels)
    np.testing.assert_array_equal(np.asarray(images), pixels)
    np.testing.assert_array_equal(
        np.asarray(JpegLoader(color_mode="grayscale").transform(pixels)),
        [np.asarray(Image.fromarray(image).convert("L"))[..., np.newaxis] for image in pixels],
    )


def test_all_kinds_go_together(files, opened, pixels):
    mixed = [*files[:3], *as_arrays(files[3:6]), *opened[6:]]
    np.testing.assert_array_equal(lazy(mixed), pixels)


def test_a_pandas_column_holds_images(opened, pixels):
    np.testing.assert_array_equal(lazy(pd.DataFrame({"photo": opened})["photo"]), pixels)


def test_a_pipeline_that_was_fitted_to_files_takes_images(files, opened):
    pipeline = pipeline_of().fit(files)
    expected = pipeline.transform(files)
    np.testing.assert_array_equal(pipeline.transform(opened), expected)
    np.testing.assert_array_equal(pipeline.transform(as_arrays(files)), expected)


@pytest.mark.long
def test_statistics_are_counted_in_other_processes_too(files, opened):
    pipeline = pipeline_of()
    expected = pipeline.fit(files)[-1].statistics_
    for X in (opened, as_arrays(files)):
        with parallel_config("loky", n_jobs=2):
            assert pipeline.fit(X)[-1].statistics_ == expected


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK", "P", "RGBA", "LA", "1", "YCbCr"])
@pytest.mark.parametrize(("color_mode", "target"), [("rgb", "RGB"), ("grayscale", "L")])
def test_every_mode_is_converted_as_pillow_does(mode, color_mode, target, photos):
    image = photos[1].convert(mode)
    (pixels,) = JpegLoader(color_mode=color_mode).transform([image])
    expected = np.asarray(image.convert(target)).reshape(pixels.shape)
    np.testing.assert_array_equal(pixels, expected)


@pytest.mark.parametrize("mode", ["I;16", "I", "F"])
def test_values_that_are_no_grey_levels_are_refused(mode, photos):
    image = photos[1].convert("L").convert(mode)
    with pytest.raises(ImageDecodeError, match=rf"mode {mode}.*Convert it"):
        JpegLoader().transform([image])[0]


def test_a_file_of_16_bits_is_refused_where_its_format_is_let_in():
    file = io.BytesIO()
    Image.fromarray(np.arange(48, dtype=np.uint16).reshape(6, 8) * 1365).save(file, "PNG")
    with pytest.raises(ImageDecodeError, match="mode I;16"):
        JpegLoader(formats=("PNG",)).transform([file])[0]


@pytest.mark.filterwarnings("ignore::sknorm_images.ImageTransparencyWarning")
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_of_grey_colour_and_alpha_become_colour(shape):
    array = np.arange(np.prod(shape), dtype=np.uint8).reshape(shape)
    (pixels,) = JpegLoader().transform([array])
    channels = array.reshape(5, 7, -1)
    np.testing.assert_array_equal(
        pixels, channels[..., :3] if channels.shape[-1] > 1 else np.repeat(channels, 3, axis=2)
    )


def test_a_part_of_an_array_is_an_image(photos):
    array = np.asarray(photos[0])[10:90:2, 300:20:-3]
    (pixels,) = JpegLoader().transform([array])
    np.testing.assert_array_equal(pixels, array)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_image_is_turned_upright_once(orientation, photos):
    data = encode_turned(photos[0], orientation)
    image = Image.open(io.BytesIO(data))
    turned = ImageOps.exif_transpose(image)
    for X in ([image], [turned]):
        (pixels,) = JpegLoader().transform(X)
        np.testing.assert_array_equal(pixels, np.asarray(turned))
    (stored,) = JpegLoader(exif_orientation=False).transform([image])
    np.testing.assert_array_equal(stored, np.asarray(image))


def test_an_orientation_that_pillow_warns_of_is_not_lost_where_warnings_are_errors():
    path = Path(__file__).parents[1] / "data" / "jpeg" / "exif-orientation-of-two-numbers.jpg"
    with (
        Image.open(path) as image,
        pytest.raises(ImageDecodeError, match=r"image 1, .*Metadata Warning"),
    ):
        JpegLoader().transform([path, image])


def test_what_is_made_of_an_image_does_not_change_it(photos):
    image = photos[0].copy()
    (pixels,) = JpegLoader().transform([image])
    pixels[:] = 0
    assert image == photos[0]


@pytest.mark.filterwarnings("ignore::sknorm_images.ImageTransparencyWarning")
@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3), (5, 7, 4)])
def test_arrays_are_not_copied_before_they_are_read(shape):
    array = np.zeros(shape, np.uint8)
    images = JpegLoader().transform([array])
    array[:] = 7
    assert (images[0] == 7).all()


def test_an_image_that_is_listed_often_is_the_same_in_all_threads(photos):
    image = Image.open(io.BytesIO(encode_turned(photos[0], 6)))
    images = Resizer(SIZE).transform(JpegLoader(n_jobs=2).transform([image] * 32))
    pixels = np.asarray(images)
    assert (pixels == pixels[0]).all()


def test_the_file_of_an_image_may_be_closed_once_it_is_passed(files, pixels):
    with Image.open(files[0]) as image:
        images = JpegLoader().transform([image])
    np.testing.assert_array_equal(
        Resizer(SIZE, reducing_gap=None).transform(images)[0], pixels[0]
    )


def test_an_image_whose_file_is_truncated_is_as_bad_as_its_file(files, photos):
    data = encode(photos[0])[:-5000]

    def make():
        return [files[0], Image.open(io.BytesIO(data)), files[1]]

    with pytest.raises(
        ImageDecodeError, match="image 1, '<JpegImageFile>': image file is trunc"
    ):
        np.asarray(lazy(make()))
    with pytest.warns(ImageDecodeWarning, match="1 of 3 images"):
        assert not np.asarray(lazy(make(), on_error="blank"))[1].any()


def test_max_pixels_holds_for_images_too(photos):
    with pytest.raises(
        ImageDecodeError, match="640 x 427 pixels are more than max_pixels=1000"
    ):
        JpegLoader(max_pixels=1000).transform(photos)[0]


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 5, 3), np.float32),
        np.zeros((4, 5, 2), np.uint8),
        np.zeros((4, 5, 5), np.uint8),
        np.zeros((0, 5, 3), np.uint8),
        np.zeros((2, 4, 5, 3), np.uint8),
        np.zeros(3),
    ],
    ids=lambda array: f"{array.dtype}{array.shape}",
)
def test_an_array_that_is_no_image_is_refused_by_its_position(array, files):
    with pytest.raises(ValueError, match=r"Image 1 of X is an array of shape .*\[1:\]"):
        JpegLoader().transform([files[0], array])


def test_only_files_are_checked(files, opened):
    with pytest.raises(TypeError, match="Image 1 of X is in memory"):
        check_images([files[0], opened[0]])
