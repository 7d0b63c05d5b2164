"""Statistics of photos against fractions and NumPy; test_properties has any images."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    make_image_pipeline,
)
from sknorm_images._common.parallel import map_chunks
from tests.exact_results import exact_moments
from tests.lazy_photos import lazy, pipeline_of


def test_fractional_weights_equal_numpy(pixels):
    weights = np.random.default_rng(0).uniform(0.1, 2, len(pixels))
    scaler = ChannelStandardScaler().fit(pixels, sample_weight=weights)
    flat = pixels.reshape(-1, 3).astype(float)
    per_pixel = np.repeat(weights, len(flat) // len(pixels))
    mean = np.average(flat, axis=0, weights=per_pixel)
    var = np.average((flat - mean) ** 2, axis=0, weights=per_pixel)
    np.testing.assert_allclose(scaler.mean_, mean, rtol=1e-12)
    np.testing.assert_allclose(scaler.var_, var, rtol=1e-12)


@pytest.mark.parametrize("in_files", [False, True])
def test_weights_weigh_images_that_are_read_one_by_one(files, pixels, in_files):
    images = lazy(files if in_files else pixels)
    weights = [i % 4 for i in range(len(pixels))]

    scaler = ChannelStandardScaler().fit(images, sample_weight=weights)

    means, variances = np.array(exact_moments(pixels, weights), float)
    np.testing.assert_array_equal(scaler.mean_, means)
    np.testing.assert_array_equal(scaler.var_, variances)
    halves = ChannelStandardScaler().fit(images, sample_weight=np.array(weights) / 2)
    np.testing.assert_array_equal(halves.mean_, means)


@pytest.mark.parametrize("weight", [2**44, 2**48, 1e16])
def test_weights_that_would_not_stay_exact_are_refused(files, weight):
    pipeline = make_image_pipeline((32, 48))
    weights = np.full(len(files), weight)

    with pytest.raises(ValueError, match=r"no longer exact\. Pass smaller weights"):
        pipeline.fit(files, scale__sample_weight=weights)


@pytest.mark.parametrize("weight", [1e-196, 1e-170, 1e-30, 3e-5, 7.0, 1e30, 1e160, 1e300])
@pytest.mark.parametrize("n_calls", [1, 4])
def test_the_size_of_weights_of_floats_changes_no_digit(pixels, weight, n_calls):
    images = pixels[:8] / 255
    weights = weight * np.array([1, 2, 0, 0.5, 1, 3, 1e-3, 1])
    scaler = ChannelStandardScaler()
    for rows in np.array_split(np.arange(8), n_calls):
        scaler.partial_fit(images[rows], sample_weight=weights[rows])
    means, variances = np.array(_in_fractions(images, weights), float)
    np.testing.assert_allclose(scaler.mean_, means, rtol=1e-13)
    np.testing.assert_allclose(scaler.var_, variances, rtol=1e-12)


def _in_fractions(images, weights):
    """Weighted means and variances, channel by channel, without any rounding."""
    n_pixels, total = images[0, ..., 0].size, sum(map(Fraction, weights))
    means, variances = [], []
    for channel in np.moveaxis(images, -1, 0):
        sums = squares = Fraction(0)
        for image, weight in zip(channel, weights, strict=True):
            values = [Fraction(value) for value in image.ravel()]
            sums += Fraction(weight) * sum(values)
            squares += Fraction(weight) * sum(value * value for value in values)
        means.append(sums / total / n_pixels)
        variances.append(squares / total / n_pixels - means[-1] ** 2)
    return means, variances


@pytest.mark.parametrize(
    ("factor", "weight", "message"),
    [
        (1e200, 1, "Pass smaller values"),
        (1, 1e308, "smaller weights"),
        (1, 1e-201, "Pass larger ones: only their ratios matter"),
    ],
)
@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
def test_moments_that_float64_does_not_hold_are_refused(
    pixels, scaler, factor, weight, message
):
    images = (pixels / 255)[:4]
    scaler.fit(images)
    before = scaler.statistics_
    for method in (scaler.fit, scaler.partial_fit):
        with pytest.raises(ValueError, match=message):
            method(images * factor, sample_weight=[weight * 1.0] * 4)
    assert scaler.statistics_ is before


def test_moments_that_overflow_when_added_are_refused():
    moments = [ChannelMoments.of(sign * np.full((2, 3, 3, 1), 1e154)) for sign in (1, -1)]
    with pytest.raises(ValueError, match="Pass smaller values"):
        moments[0] + moments[1]


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 64])
def test_a_histogram_counts_every_grey_level(n_channels):
    images = np.random.default_rng(1).integers(0, 256, (5, 6, 7, n_channels), dtype=np.uint8)
    histogram = ChannelHistogram.of(images)
    for channel, counts in zip(np.moveaxis(images, -1, 0), histogram.counts, strict=True):
        levels, expected = np.unique(channel, return_counts=True)
        np.testing.assert_array_equal(counts[levels], expected)
        assert counts.sum() == channel.size


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_any_order_of_the_files_and_any_chunk_size_is_bit_identical(
    files, pixels, monkeypatch, n_jobs, chunk
):
    monkeypatch.setitem(map_chunks.__kwdefaults__, "largest_chunk", chunk)
    expected = np.percentile(pixels.reshape(-1, 3), (2, 98), axis=0)
    means, _ = np.array(exact_moments(pixels), float)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(files))
        robust = ChannelMinMaxScaler(quantile_range=(2, 98))
        pipeline_of(n_jobs, robust).fit([files[i] for i in order])
        np.testing.assert_array_equal([robust.data_min_, robust.data_max_], expected)
        np.testing.assert_array_equal(robust.statistics_.mean, means)


def test_uint8_and_float_images_are_not_mixed(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    before = scaler.mean_.copy()
    with pytest.raises(ValueError, match=r"cannot be added to .* of one dtype"):
        scaler.partial_fit(pixels / 255.0)
    np.testing.assert_array_equal(scaler.mean_, before)
    assert isinstance(ChannelStandardScaler().fit(pixels / 255).statistics_, ChannelMoments)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_statistics_of_other_channels_are_not_added(dtype):
    grey, colour = (
        ChannelStandardScaler().fit(np.zeros((1, 2, 2, n), dtype)).statistics_ for n in (1, 3)
    )
    for a, b in ((grey, colour), (colour, grey)):
        with pytest.raises(ValueError, match=r"channels cannot be added, .* same channels"):
            a + b
