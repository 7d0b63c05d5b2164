"""ImageFlattener: images to rows, and the way back."""

from __future__ import annotations

import numpy as np
import pytest

from sknorm_images import (
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    make_image_pipeline,
)
from tests.conftest import encode
from tests.lazy_photos import lazy


def test_flattening_keeps_order_and_dtype_and_has_a_way_back(pixels):
    flattener = ImageFlattener().fit(pixels)
    flat = flattener.transform(pixels)
    np.testing.assert_array_equal(flat, pixels.reshape(24, -1))
    assert flat.dtype == np.uint8
    np.testing.assert_array_equal(flattener.inverse_transform(flat), pixels)
    place = list(flattener.get_feature_names_out()).index("pixel_31_2_1")
    np.testing.assert_array_equal(flat[:, place], pixels[:, 31, 2, 1])


def test_flattening_decodes_lazy_images(files, pixels):
    flat = ImageFlattener().fit_transform(lazy(files))
    np.testing.assert_array_equal(flat, pixels.reshape(24, -1))


def test_the_warning_of_blank_images_points_at_the_caller(files, not_a_photo):
    images = make_image_pipeline(8, on_error="blank")[:-1].transform([*files[:2], not_a_photo])
    flattener = ImageFlattener().fit(images[:2])
    with pytest.warns(ImageDecodeWarning) as caught:
        flattener.transform(images)
    assert caught[0].filename == __file__


def test_flattening_refuses_images_of_another_shape(pixels):
    flattener = ImageFlattener().fit(pixels)
    with pytest.raises(ValueError, match=r"shape \(48, 32, 3\).*Add a Resizer"):
        flattener.transform(pixels.transpose(0, 2, 1, 3))


def test_flattening_refuses_lazy_images_of_another_shape(photos):
    images = JpegLoader().transform([encode(photos[0].resize((16, 8)))])
    flattener = ImageFlattener().fit(np.zeros((1, 16, 8, 3), np.uint8))
    with pytest.raises(ValueError, match=r"shape \(8, 16, 3\).*Add a Resizer"):
        flattener.transform(images)
