"""The same as the recipes people copy, where those are right."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from sknorm_images import ChannelMinMaxScaler, ChannelStandardScaler, JpegLoader, Resizer
from tests.conftest import encode


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
@pytest.mark.parametrize("size", [(32, 48), (100, 30), (7, 7)])
def test_loading_equals_keras_load_img(files, color_mode, size):
    images = JpegLoader(color_mode=color_mode, exif_orientation=False).transform(files)
    resized = np.asarray(Resizer(size, interpolation="nearest").transform(images))
    for pixels, path in zip(resized, files, strict=True):
        image = keras.utils.load_img(
            path, color_mode=color_mode, target_size=size, interpolation="nearest"
        )
        np.testing.assert_array_equal(pixels, keras.utils.img_to_array(image))


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "lanczos", "box", "hamming"])
def test_antialiased_loading_equals_keras_load_img(files, interpolation):
    resizer = Resizer((32, 48), interpolation=interpolation, reducing_gap=None)
    resized = np.asarray(resizer.transform(JpegLoader().transform(files)))
    for pixels, path in zip(resized, files, strict=True):
        image = keras.utils.load_img(path, target_size=(32, 48), interpolation=interpolation)
        np.testing.assert_array_equal(pixels, keras.utils.img_to_array(image))


def test_cmyk_loads_as_keras_loads_it(photos, tmp_path):
    path = tmp_path / "cmyk.jpg"
    path.write_bytes(encode(photos[0].convert("CMYK")))
    image = keras.utils.img_to_array(keras.utils.load_img(path))
    np.testing.assert_array_equal(JpegLoader().transform([path])[0], image)


def low_contrast(pixels: np.ndarray) -> np.ndarray:
    """Photos squeezed into 2 to 6 grey levels, brighter and brighter."""
    squeezed = pixels[:8] // 64
    return (squeezed + np.arange(8, dtype=np.uint8)[:, None, None, None] * 30).astype(np.uint8)


@pytest.mark.parametrize("squeeze", [False, True])
def test_per_channel_min_max_equals_the_formula(pixels, squeeze):
    images = low_contrast(pixels) if squeeze else pixels
    x = images.astype(np.float64)
    low, high = x.min(axis=(1, 2), keepdims=True), x.max(axis=(1, 2), keepdims=True)
    scaled = ChannelMinMaxScaler(per_image="channel").transform(images)
    spread = np.where(high > low, high - low, 1)
    np.testing.assert_allclose(scaled, (x - low) / spread, rtol=0, atol=1e-6)


@pytest.mark.parametrize("squeeze", [False, True])
def test_per_channel_z_score_equals_the_formula(pixels, squeeze):
    images = low_contrast(pixels) if squeeze else pixels
    x = images.astype(np.float64)
    std = x.std(axis=(1, 2), keepdims=True)
    z = (x - x.mean(axis=(1, 2), keepdims=True)) / np.where(std > 0, std, 1)
    scaled = ChannelStandardScaler(per_image="channel").transform(images)
    assert np.all(np.abs(scaled - z) <= 1e-6 * np.maximum(1, np.abs(z)))


@pytest.mark.parametrize("per_image", ["channel", "image"])
@pytest.mark.parametrize("scaler", [ChannelMinMaxScaler(), ChannelStandardScaler()])
def test_a_constant_image_becomes_zeros(scaler, per_image):
    image = np.full((1, 5, 6, 3), 77, np.uint8)
    scaled = scaler.set_params(per_image=per_image).transform(image)
    np.testing.assert_array_equal(scaled, np.zeros((1, 5, 6, 3), np.float32))


@pytest.fixture(scope="module")
def image_data_generator():
    """Keras' class; only TensorFlow still has a public name for it."""
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator


@pytest.mark.parametrize("squeeze", [False, True])
def test_per_image_equals_keras_samplewise_options(pixels, image_data_generator, squeeze):
    pixels = low_contrast(pixels) if squeeze else pixels
    generator = image_data_generator(samplewise_center=True, samplewise_std_normalization=True)
    expected = np.stack([generator.standardize(image.astype(np.float64)) for image in pixels])
    std = pixels.std(axis=(1, 2, 3), keepdims=True)
    expected *= (std + 1e-6) / std  # Keras adds that to the divisor
    scaled = ChannelStandardScaler(per_image="image").transform(pixels)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-6)


def test_per_image_center_equals_keras_samplewise_center(pixels, image_data_generator):
    generator = image_data_generator(samplewise_center=True)
    expected = np.stack([generator.standardize(image.astype(np.float64)) for image in pixels])
    scaled = ChannelStandardScaler(per_image="image", with_std=False).transform(pixels)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=1e-6)


def test_per_image_min_max_takes_all_channels_together(pixels):
    x = pixels.astype(np.float64)
    low, high = x.min(axis=(1, 2, 3), keepdims=True), x.max(axis=(1, 2, 3), keepdims=True)
    scaled = ChannelMinMaxScaler(per_image="image").transform(pixels)
    np.testing.assert_allclose(scaled, (x - low) / (high - low), rtol=0, atol=1e-6)


def test_a_known_data_range_equals_keras_rescaling(pixels):
    expected = np.asarray(keras.layers.Rescaling(1 / 255)(pixels))
    scaled = ChannelMinMaxScaler(data_range=(0, 255)).transform(pixels)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-7)


def test_known_constants_equal_the_imagenet_recipe(pixels):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scaled = ChannelStandardScaler(mean=255 * mean, std=255 * std).transform(pixels)
    np.testing.assert_allclose(scaled, (pixels / 255 - mean) / std, rtol=1e-6, atol=1e-6)
