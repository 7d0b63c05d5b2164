"""What the steps of a pipeline do one by one is what the pipeline does."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    Resizer,
)
from sknorm_images._steps import describe_images, transform_images

SCALER = ChannelStandardScaler(mean=100, std=50)  # black is not 0
PIPELINES = {
    "pixels": [Resizer(16)],
    "scaled": [Resizer(16), SCALER],
    "scaled twice": [Resizer(16), SCALER, ChannelMinMaxScaler(data_range=(-9, 9))],
    "flattened": [Resizer(16), ImageFlattener()],
    "scaled, flattened": [Resizer(16), SCALER, ImageFlattener()],
    "selected": [Resizer(16), FunctionTransformer(lambda images: images[:]), SCALER],
    "resized later": [Resizer(16), FunctionTransformer(), Resizer(8), SCALER],
    "resized once, later": [FunctionTransformer(), Resizer(16), SCALER],
    "nested": [make_pipeline(Resizer(16), SCALER)],
    "nothing": [Resizer(16), "passthrough", SCALER],
}
each_pipeline = pytest.mark.parametrize("steps", PIPELINES.values(), ids=PIPELINES.keys())
each_on_error = pytest.mark.parametrize("on_error", ["raise", "blank"])


@each_pipeline
@each_on_error
def test_all_steps_together_are_the_pipeline(on_error, steps, files, not_a_photo):
    paths = [*files[:3], not_a_photo, files[3]] if on_error == "blank" else files[:4]
    pipeline = make_pipeline(JpegLoader(on_error=on_error), *steps)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageDecodeWarning)
        expected = np.asarray(pipeline.fit(paths).transform(paths))

    images, left = describe_images(pipeline, paths)
    X, failures = transform_images(left, images, range(len(paths)))

    np.testing.assert_array_equal(np.asarray(X), expected)
    assert list(failures) == ([3] if on_error == "blank" else [])


def test_blank_images_alone_are_no_error(not_a_photo):
    pipeline = make_pipeline(JpegLoader(on_error="blank"), Resizer(16), SCALER)
    images, left = describe_images(pipeline, [not_a_photo])
    X, failures = transform_images(left, images, [7])
    assert not X.any()
    assert failures[0].position == 7


def test_a_pipeline_that_transforms_in_a_way_of_its_own_is_not_taken_apart(pixels):
    class Sevens(Pipeline):
        def transform(self, X):
            return np.full(X.shape, 7)

    pipeline = Sevens([("scale", SCALER)])
    X, _ = transform_images(*describe_images(pipeline, pixels)[::-1], range(len(pixels)))
    assert (X == 7).all()


def test_other_steps_are_given_pixels(files):
    pipeline = make_pipeline(
        JpegLoader(), Resizer(8), FunctionTransformer(lambda X: X.astype("float32") / 255)
    )
    images, left = describe_images(pipeline, files[:2])
    X, _ = transform_images(left, images, range(2))
    np.testing.assert_array_equal(X, np.asarray(images).astype("float32") / 255)
