"""Loaded photos are those of ``keras.utils.load_img``, to the last bit."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from sknorm_images import JpegLoader, Resizer
from tests.conftest import encode

pytestmark = pytest.mark.one_backend


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
