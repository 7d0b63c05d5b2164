"""Statistics of uint8 images against exact rational arithmetic; the rest against NumPy."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    ChannelSums,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from sknorm_images._parallel import map_chunks


def exact_moments(
    images: np.ndarray, weights: list[int] | None = None
) -> tuple[list[float], list[float]]:
    """Mean and variance a channel in rational arithmetic, rounded once at the end."""
    means, variances = [], []
    weights = [1] * len(images) if weights is None else weights
    for channel in np.moveaxis(images, -1, 0):
        n = total = squares = 0
        for image, weight in zip(channel, weights, strict=True):
            levels = image.ravel().tolist()
            n += weight * len(levels)
            total += weight * sum(levels)
            squares += weight * sum(level * level for level in levels)
        mean = Fraction(total, n)
        means.append(float(mean))
        variances.append(float(Fraction(squares, n) - mean**2))
    return means, variances


def within_one_ulp(values: np.ndarray, exact: list[float]) -> bool:
    return bool(np.all(np.abs(values - exact) <= np.spacing(exact)))


def test_mean_and_variance_equal_rational_arithmetic(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    means, variances = exact_moments(pixels)
    assert within_one_ulp(scaler.mean_, means)
    assert within_one_ulp(scaler.var_, variances)


def test_statistics_of_streamed_images_equal_rational_arithmetic(files, pixels):
    pipeline = make_image_pipeline((32, 48), n_jobs=2).set_params(resize__reducing_gap=None)
    scaler = pipeline.fit(files)[-1]
    means, variances = exact_moments(pixels)
    assert within_one_ulp(scaler.mean_, means)
    assert within_one_ulp(scaler.var_, variances)


def test_integral_weights_stay_exact(pixels):
    weights = [i % 4 for i in range(len(pixels))]  # some are absent
    scaler = ChannelStandardScaler().fit(pixels, sample_weight=weights)
    means, variances = exact_moments(pixels, weights)
    assert within_one_ulp(scaler.mean_, means)
    assert within_one_ulp(scaler.var_, variances)
    assert scaler.n_samples_seen_ == sum(weight > 0 for weight in weights)


def test_weights_equal_repetition(pixels):
    weights = np.arange(len(pixels)) % 3
    weighted = ChannelMinMaxScaler(quantile_range=(3, 97)).fit(pixels, sample_weight=weights)
    repeated = np.repeat(pixels, weights, axis=0)
    expected = np.percentile(repeated.reshape(-1, 3), (3, 97), axis=0)
    np.testing.assert_array_equal([weighted.data_min_, weighted.data_max_], expected)


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
    images = Resizer((32, 48), reducing_gap=None).transform(
        JpegLoader().transform(files) if in_files else pixels
    )
    weights = [i % 4 for i in range(len(pixels))]

    scaler = ChannelStandardScaler().fit(images, sample_weight=weights)

    means, variances = exact_moments(pixels, weights)
    assert within_one_ulp(scaler.mean_, means)
    assert within_one_ulp(scaler.var_, variances)
    halves = ChannelStandardScaler().fit(images, sample_weight=np.array(weights) / 2)
    np.testing.assert_allclose(halves.mean_, means, rtol=1e-14)


@pytest.mark.parametrize("weight", [2**44, 2**48, 1e16])
def test_weights_that_would_not_stay_exact_are_refused(files, weight):
    pipeline = make_image_pipeline((32, 48))
    weights = np.full(len(files), weight)

    with pytest.raises(ValueError, match=r"no longer exact\. Pass smaller weights"):
        pipeline.fit(files, scale__sample_weight=weights)


def test_minimum_and_maximum_are_those_of_the_pixels(pixels):
    dim = pixels // 2 + 20
    scaler = ChannelMinMaxScaler().fit(dim)
    np.testing.assert_array_equal(scaler.data_min_, dim.min(axis=(0, 1, 2)))
    np.testing.assert_array_equal(scaler.data_max_, dim.max(axis=(0, 1, 2)))


@pytest.mark.parametrize("n_values", [1, 2, 3, 10, 101, 2000])
def test_percentiles_equal_numpy_to_the_last_bit(n_values):
    levels = np.random.default_rng(n_values).integers(0, 256, n_values, dtype=np.uint8)
    histogram = ChannelHistogram.of(levels.reshape(n_values, 1, 1, 1))
    for q in (0, 0.1, 1, 12.5, 33.3, 50, 66.6, 90, 99.9, 100):
        assert histogram.percentile(q)[0] == np.percentile(levels, q)


def test_percentiles_of_photographs_equal_numpy(pixels):
    scaler = ChannelMinMaxScaler(quantile_range=(1.5, 98.2)).fit(pixels)
    expected = np.percentile(pixels.reshape(-1, 3), (1.5, 98.2), axis=0)
    np.testing.assert_array_equal([scaler.data_min_, scaler.data_max_], expected)


def test_percentiles_of_one_float_array_equal_numpy(pixels):
    values = pixels / 7.0
    scaler = ChannelMinMaxScaler(quantile_range=(5, 95)).fit(values)
    expected = np.percentile(values.reshape(-1, 3), (5, 95), axis=0)
    np.testing.assert_array_equal([scaler.data_min_, scaler.data_max_], expected)


@pytest.mark.parametrize("n_channels", [1, 2, 3, 4, 64])
def test_a_histogram_counts_every_grey_level(n_channels):
    images = np.random.default_rng(1).integers(0, 256, (5, 6, 7, n_channels), dtype=np.uint8)
    histogram = ChannelHistogram.of(images)
    for channel, counts in zip(np.moveaxis(images, -1, 0), histogram.counts, strict=True):
        levels, expected = np.unique(channel, return_counts=True)
        np.testing.assert_array_equal(counts[levels], expected)
        assert counts.sum() == channel.size


@pytest.mark.parametrize("n_splits", [1, 2, 5, 24])
def test_any_split_into_partial_fits_is_bit_identical(pixels, n_splits):
    whole = ChannelStandardScaler().fit(pixels)
    parts = ChannelStandardScaler()
    for part in np.array_split(pixels, n_splits):
        parts.partial_fit(part)
    assert parts.statistics_ == whole.statistics_
    np.testing.assert_array_equal(parts.mean_, whole.mean_)
    np.testing.assert_array_equal(parts.var_, whole.var_)
    assert parts.n_samples_seen_ == len(pixels)


def test_any_order_of_the_images_is_bit_identical(pixels):
    whole = ChannelStandardScaler().fit(pixels)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(pixels))
        assert ChannelStandardScaler().fit(pixels[order]).statistics_ == whole.statistics_


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("chunk", [1, 5, 1000])
def test_any_order_of_the_files_and_any_chunk_size_is_bit_identical(
    files, pixels, monkeypatch, n_jobs, chunk
):
    monkeypatch.setitem(map_chunks.__kwdefaults__, "largest_chunk", chunk)
    expected = np.percentile(pixels.reshape(-1, 3), (2, 98), axis=0)
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(len(files))
        robust = ChannelMinMaxScaler(quantile_range=(2, 98))
        pipeline = make_image_pipeline((32, 48), robust, n_jobs=n_jobs)
        pipeline.set_params(resize__reducing_gap=None).fit([files[i] for i in order])
        np.testing.assert_array_equal([robust.data_min_, robust.data_max_], expected)
        assert within_one_ulp(robust.statistics_.mean, exact_moments(pixels)[0])


def test_many_channels_are_exact_too():
    table = np.random.default_rng(2).integers(0, 256, (500, 100), dtype=np.uint8)
    weights = np.arange(500) % 3
    scaler = ChannelStandardScaler().fit(table, sample_weight=weights)
    means, variances = exact_moments(table.reshape(500, 1, 100), weights.tolist())
    assert isinstance(scaler.statistics_, ChannelSums)
    assert within_one_ulp(scaler.mean_, means)
    assert within_one_ulp(scaler.var_, variances)
    ranges = ChannelMinMaxScaler().fit(table)
    np.testing.assert_array_equal(ranges.data_min_, table.min(axis=0))
    np.testing.assert_array_equal(ranges.data_max_, table.max(axis=0))


def test_float_moments_equal_rational_arithmetic_to_rounding(pixels):
    values = pixels[:4] / 255.0 + 1000.0  # a large mean is what naive sums lose digits to
    scaler = ChannelStandardScaler()
    for part in np.array_split(values, 3):
        scaler.partial_fit(part)
    for c in range(3):
        exact = [Fraction(value) for value in values[..., c].ravel().tolist()]
        mean = sum(exact) / len(exact)
        var = sum((value - mean) ** 2 for value in exact) / len(exact)
        assert scaler.mean_[c] == pytest.approx(float(mean), rel=1e-15)
        assert scaler.var_[c] == pytest.approx(float(var), rel=1e-11)


def test_merging_is_associative_and_commutative(pixels):
    a, b, c = (ChannelHistogram.of(part) for part in np.array_split(pixels, 3))
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert a != b


def test_uint8_and_float_images_are_not_mixed(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    before = scaler.mean_.copy()
    with pytest.raises(ValueError, match=r"cannot be added to .* of one dtype"):
        scaler.partial_fit(pixels / 255.0)
    np.testing.assert_array_equal(scaler.mean_, before)
    assert isinstance(ChannelStandardScaler().fit(pixels / 255).statistics_, ChannelMoments)


def test_the_float32_one_liner_is_what_is_avoided(photos):
    """A float32 running sum of 1,000 photos stalls; its mean is over 10 % wrong."""
    both = np.stack([np.asarray(photo.resize((224, 224))) for photo in photos])
    copied = np.empty((1000, 224, 224, 3), np.float32)
    copied[::2], copied[1::2] = both
    exact = np.array(exact_moments(both)[0])
    assert np.abs(copied.mean(axis=(0, 1, 2)) / exact - 1).max() > 0.1
    scaler = ChannelStandardScaler().fit(both, sample_weight=[500, 500])
    assert within_one_ulp(scaler.mean_, exact)
