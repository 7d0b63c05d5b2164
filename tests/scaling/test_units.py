"""Images in another unit or layout than a step takes them for: a warning says the remedy."""

from __future__ import annotations

import re
import warnings
from contextlib import contextmanager

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.pipeline import make_pipeline

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    ImageUnitsWarning,
    Resizer,
    make_image_pipeline,
    merge_scalers,
)
from sknorm_images.plotting import ImageGridDisplay
from tests.lazy_photos import lazy

IMAGENET = {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}  # as published
IN_GREY_LEVELS = {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]}
SCALERS = [ChannelStandardScaler(), ChannelMinMaxScaler()]


@contextmanager
def one_warning(message: str):
    """Expect a single ImageUnitsWarning, which points at this file."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield
    found = [warning for warning in caught if warning.category is ImageUnitsWarning]
    assert len(caught) == len(found) == 1, [str(warning.message) for warning in caught]
    assert found[0].filename == __file__
    assert message in str(found[0].message)


@pytest.fixture
def noise() -> np.ndarray:
    """Enough images for several chunks in several threads."""
    return np.random.default_rng(0).integers(0, 256, (70, 128, 128, 3), dtype=np.uint8)


@pytest.mark.parametrize("kind", ["array", "lazy", "files", "int64", "float32", "one"])
@pytest.mark.parametrize("method", ["transform", "fit_transform"])
def test_published_constants_on_grey_levels(files, pixels, kind, method):
    images = {
        "array": pixels,
        "lazy": lazy(pixels, 2),
        "files": lazy(files, 2),
        "int64": pixels.astype(int),
        "float32": pixels.astype("float32"),
        "one": pixels[:1],
    }[kind]
    with one_warning(
        "Multiply them by 255: mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]."
    ):
        getattr(ChannelStandardScaler(**IMAGENET), method)(images)


def test_what_the_warning_of_published_constants_says_is_the_mend(pixels):
    with pytest.warns(ImageUnitsWarning) as caught:
        ChannelStandardScaler(**IMAGENET).transform(pixels)
    said = re.findall(r"(mean|std)=\[([^]]*)\]", str(caught[0].message))
    mended = {name: [float(number) for number in text.split(",")] for name, text in said}

    scaled = ChannelStandardScaler(**mended).transform(pixels)

    torchvision = (pixels / 255 - IMAGENET["mean"]) / IMAGENET["std"]
    np.testing.assert_allclose(scaled, torchvision, atol=1e-5)


def test_a_pipeline_from_files_warns_of_published_constants(files):
    pipeline = make_image_pipeline((16, 16), ChannelStandardScaler(**IMAGENET)).fit(files)
    with pytest.warns(ImageUnitsWarning, match="Multiply them by 255"):
        pipeline.transform(files)


def test_a_range_of_0_to_1_on_grey_levels(pixels):
    with one_warning("Multiply them by 255: data_range=[0, 255]."):
        ChannelMinMaxScaler(data_range=(0, 1)).transform(pixels)


def test_constants_of_0_to_1_beside_what_is_learned_of_grey_levels(pixels):
    for method in ("fit", "partial_fit", "fit_transform"):
        with one_warning("Multiply them by 255: mean=[123.675"):
            getattr(ChannelStandardScaler(mean=IMAGENET["mean"]), method)(pixels)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_it_is_said_once_for_all_chunks_and_threads(noise, n_jobs):
    with one_warning("Multiply them by 255"):
        ChannelStandardScaler(**IMAGENET).transform(lazy(noise, n_jobs))
    with one_warning("np.rint(X * 255)"):
        ChannelStandardScaler(**IN_GREY_LEVELS).transform(noise / 255)


@pytest.mark.parametrize(
    "scaler",
    [
        *SCALERS,
        ChannelStandardScaler(**IN_GREY_LEVELS),
        ChannelStandardScaler(mean=127.5, std=127.5),
        ChannelMinMaxScaler(data_range=(0, 255)),
    ],
)
@pytest.mark.parametrize("fitted_to", ["uint8", "float64"])
def test_images_of_0_to_1_for_a_scaler_of_grey_levels(scaler, fitted_to, pixels):
    scaler = clone(scaler).fit(pixels.astype(fitted_to))
    images = (pixels / 255).astype("float32")
    with one_warning("Pass np.rint(X * 255).astype(np.uint8)."):
        scaler.transform(images)

    mended = np.rint(images * 255).astype(np.uint8)  # what the message says

    np.testing.assert_array_equal(mended, pixels)
    scaler.transform(mended)


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("dtype", ["uint8", "int64", "float32"])
def test_grey_levels_for_a_scaler_that_was_fitted_to_images_of_0_to_1(scaler, pixels, dtype):
    scaler = clone(scaler).fit(pixels / 255)
    with one_warning("Pass np.asarray(X) / 255, or fit it to grey levels."):
        scaler.transform(pixels.astype(dtype))


@pytest.mark.parametrize("scaler", SCALERS)
@pytest.mark.parametrize("swapped", [False, True])
def test_images_of_two_units_in_one_scaler(scaler, pixels, swapped):
    parts = [pixels.astype(float), pixels / 255][:: -1 if swapped else 1]
    with one_warning("the statistics mix units"):
        clone(scaler).fit(parts[0]).partial_fit(parts[1])
    with one_warning("merging them would mix units"):
        merge_scalers([clone(scaler).fit(part) for part in parts])


@pytest.mark.parametrize("n_channels", [1, 3, 4])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_images_whose_channels_come_first(n_channels, dtype):
    images = np.random.default_rng(0).integers(0, 256, (5, n_channels, 32, 48)).astype(dtype)
    for scaler in SCALERS:
        with one_warning("pass np.moveaxis(X, 1, -1)."):
            clone(scaler).fit(images)
    with one_warning("pass np.moveaxis(X, 1, -1)."):
        ChannelStandardScaler(per_image="channel").transform(images)
    if dtype == "uint8":
        for given in (images, list(images)):
            with one_warning("pass np.moveaxis(X, 1, -1)."):
                Resizer(16).transform(given)

    mended = ChannelStandardScaler().fit(np.moveaxis(images, 1, -1))  # what the message says

    np.testing.assert_allclose(mended.mean_, images.mean(axis=(0, 2, 3), dtype="float64"))


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_scaler_behind_a_flattener(scaler, files):
    pipeline = make_pipeline(*make_image_pipeline((16, 16))[:-1], ImageFlattener())
    rows = pipeline.fit_transform(files)
    frame = pd.DataFrame(rows / 255, columns=pipeline[-1].get_feature_names_out())

    with one_warning("X is a table of 768 columns"):
        clone(scaler).fit(rows)
    with one_warning("Scale before ImageFlattener"):
        clone(scaler).fit(frame)
    with pytest.warns(ImageUnitsWarning, match="each counts as a channel of its own"):
        make_pipeline(*pipeline, clone(scaler)).fit(files)


def test_quantiles_where_percentiles_are_taken(pixels):
    with one_warning("For quantiles from 0 to 1, pass (1.0, 99.0)."):
        ChannelMinMaxScaler(quantile_range=(0.01, 0.99)).fit(pixels)


@pytest.mark.parametrize("n", [1, 24])
def test_nothing_is_said_where_nothing_is_wrong(pixels, n):
    """Warnings are errors in this suite."""
    images, random = pixels[:n], np.random.default_rng(0)
    floats = images / 255
    for scaler in SCALERS:
        for of in (images, images.astype(int), images.astype("float32"), floats):
            clone(scaler).fit(of).partial_fit(of).transform(of)
            clone(scaler).fit_transform(of)
            clone(scaler).fit(of).transform(np.zeros_like(of))
            clone(scaler).fit(np.zeros_like(of)).transform(of)
        merge_scalers([clone(scaler).fit(floats), clone(scaler).fit(np.zeros_like(floats))])
        masks = (images > 127).astype(np.uint8)
        clone(scaler).fit(masks).transform(masks.astype("float32"))
        clone(scaler).fit(images).transform(masks.astype("float32"))
        clone(scaler).fit(masks.astype("float32")).transform(images)
        wide_range = random.normal(1, 3, (n, 9, 9, 3)) ** 2  # floats of no unit that we know
        clone(scaler).fit(floats).transform(wide_range)
        clone(scaler).fit(wide_range).transform(floats)
        clone(scaler).fit(random.random((n, 30, 40, 200))).transform(
            random.random((n, 30, 40, 200))
        )  # hyperspectral, channels last
        clone(scaler).fit(random.integers(0, 256, (n, 3, 3, 200), dtype=np.uint8))  # patches
        clone(scaler).fit(random.random((n, 768)) * 255).transform(random.random((n, 768)))
        clone(scaler).fit(random.integers(0, 256, (n, 60), dtype=np.uint8))  # digits
    ChannelStandardScaler(**IN_GREY_LEVELS).fit(images).transform(images)
    ChannelStandardScaler(**IMAGENET).fit(floats).transform(floats)
    ChannelStandardScaler(**IMAGENET).transform(images > 127)
    ChannelStandardScaler(**IMAGENET).transform((images > 127).astype(np.uint8))
    for of in (images, floats):
        ChannelStandardScaler(mean=0, std=1).transform(of)
        ChannelStandardScaler(mean=[0, 0, 0], std=1).fit(of).transform(of)
        ChannelStandardScaler(per_image="image").transform(np.moveaxis(of, -1, 1))
    ChannelMinMaxScaler(data_range=(0, 1)).transform(floats)
    ChannelMinMaxScaler(data_range=(0, 255)).transform(images)
    ChannelMinMaxScaler(data_range=(0, 255)).transform(np.moveaxis(images, -1, 1))
    ChannelMinMaxScaler(data_range=(0, 255)).transform(images.reshape(n, -1))


def test_a_dark_image_before_the_others_is_not_taken_for_another_unit(noise):
    """Some chunks alone would look like images that end at 1."""
    images = noise.astype("float32")
    images[:40] = images[:40] / 255
    ChannelStandardScaler(**IN_GREY_LEVELS).transform(images)


def test_the_advice_on_floats_gives_the_same_image(pixels):
    floats = pixels / 255
    advice = "np.rint(X * 255).astype(np.uint8)"
    with pytest.raises(ValueError, match=re.escape(advice)):
        Resizer(16).transform(floats)
    np.testing.assert_array_equal(eval(advice, {"np": np, "X": floats}), pixels)
    with pytest.raises(ValueError, match=r"value_range=\(0, 255\), or \(0, 1\)"):
        ImageGridDisplay.from_images(floats)
    drawn = ImageGridDisplay.from_images(floats, value_range=(0, 1))
    np.testing.assert_array_equal(drawn.images, pixels[: len(drawn.images)])


def test_what_is_made_an_error_leaves_the_scaler_as_it_was(pixels):
    scaler = ChannelStandardScaler().fit(pixels / 255)
    mean = scaler.mean_
    with pytest.raises(ImageUnitsWarning):
        scaler.partial_fit(pixels.astype(float))
    assert scaler.mean_ is mean


def test_batches_for_training_say_it_once(files, pixels):
    from sknorm_images.keras import PipelineDataset

    dataset = PipelineDataset(ChannelStandardScaler(**IMAGENET), pixels, batch_size=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        for i in range(len(dataset)):
            dataset[i]
    assert [warning.category for warning in caught] == [ImageUnitsWarning]
