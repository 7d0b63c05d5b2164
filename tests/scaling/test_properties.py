"""What holds for any images and settings, which Hypothesis makes up."""

from __future__ import annotations

import math
import pickle
from collections.abc import Callable, Sequence
from fractions import Fraction
from functools import reduce
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image
from sklearn.base import clone

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    LazyImages,
)
from sknorm_images._common.parallel import _shrinking, map_chunks
from sknorm_images._scaling.statistics import Statistics, of_present, plus, usual_kind
from tests.exact_results import EPS, Formula, exact, exact_moments, extremes, within
from tests.strategies import (
    FLOATS,
    any_scalers,
    any_weights,
    counted_images,
    either_weights,
    float_images,
    grey_images,
    images,
    images_of,
    min_max_scalers,
    pairs,
    parted,
    scalers,
    shapes,
    weighted,
    weights_of,
    whole_weights,
    with_scaler,
)

# The same examples in every run, none is written to disk, and a busy machine is no failure.
# Hypothesis makes up what is probably a mistake, too; test_units has the warning.
pytestmark = pytest.mark.filterwarnings("ignore::sknorm_images.ImageUnitsWarning")
holds = settings(
    derandomize=True,
    database=None,
    deadline=None,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow],
)
# What is counted and added up in Python's integers: no library could change it.
IN_INTEGERS = pytest.mark.one_version

exactly = np.testing.assert_array_equal


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def kind_of(X: np.ndarray) -> type[Statistics]:
    return usual_kind(X.dtype, X.shape[-1])


def out_dtype(scaler: Any, X: np.ndarray) -> np.dtype[Any]:
    return X.dtype if X.dtype.kind == "f" else np.dtype(scaler.dtype)


def clips(scaler: Any) -> bool:
    return isinstance(scaler, ChannelMinMaxScaler) and scaler.clip


def fits(numbers: np.ndarray, dtype: np.dtype[Any]) -> bool:
    """Whether numbers are within a dtype's range, which scaling may leave for float16."""
    return bool(np.abs(numbers).max() < 0.99 * np.finfo(dtype).max)


# Statistics


@given(weighted(counted_images, st.integers(1, 9)), st.integers(-5, 5), st.booleans())
@holds
def test_weights_are_exact_up_to_the_limit_and_refused_from_there(data, above, far_below):
    X, weights = data
    n_pixels = X[0].size // X.shape[-1]
    heaviest = 2**53 // n_pixels - int(weights[1:].sum()) + above
    weights[0] = heaviest // 2 if far_below else heaviest
    if sum(weights.tolist()) * n_pixels >= 2**53:
        with pytest.raises(ValueError, match=r"no longer exact\. Pass smaller weights"):
            kind_of(X).of(X, weights)
        return
    statistics = kind_of(X).of(X, weights)
    means, variances = exact_moments(X, weights)
    exactly(statistics.mean, [float(mean) for mean in means])
    exactly(statistics.var, [float(var) for var in variances])


@given(weighted(grey_images(n_channels=(1, 2)), any_weights))
@holds
def test_any_fractions_as_weights_round_counts_alone(data):
    X, weights = data
    histogram = ChannelHistogram.of(X, weights)

    # A count is a sum of so many weights; the variance moves no more than twice as far.
    bound = Fraction(2 * X.size * EPS)
    means, variances = exact_moments(X, weights)
    for c, (mean, var) in enumerate(zip(means, variances, strict=True)):
        assert abs(Fraction(histogram.mean[c]) - mean) <= bound * mean
        assert abs(Fraction(histogram.var[c]) - var) <= bound * var


@given(
    st.sampled_from([(1,), (3,), (65,)]).flatmap(
        lambda channels: st.lists(
            weighted(grey_images(channels), either_weights), min_size=3, max_size=3
        )
    )
)
@holds
def test_adding_statistics_is_associative_and_commutative_and_none_is_zero(parts):
    a, b, c = (of_present(kind_of(X), X, weights) for X, weights in parts)
    assert (a + b) + c == a + (b + c)
    assert a + b == b + a
    assert plus(a, None) == plus(None, a) == a
    assert plus(None, None) is None
    assert a + a != a


@given(parted(counted_images), st.lists(either_weights, min_size=6, max_size=6))
@holds
def test_any_split_and_order_and_absence_gives_the_same_statistics(data, weights):
    X, parts = data
    weights = np.array(weights[: len(X)])
    present = weights > 0
    expected = kind_of(X).of(X[present], weights[present]) if present.any() else None

    in_parts = (of_present(kind_of(X), X[rows], weights[rows]) for rows in parts)
    pictures = X.reshape(len(X), 1, -1, X.shape[-1])
    one_by_one = map(kind_of(X)._of_picture, pictures[present], weights[present])
    absent = np.flatnonzero(~present)
    without = of_present(kind_of(X), X, np.where(present, weights, 1), absent)

    assert reduce(plus, in_parts) == expected
    assert reduce(plus, one_by_one, None) == expected
    assert without == expected


@given(weighted(counted_images, whole_weights))
@holds
def test_whole_weights_are_repetitions(data):
    X, weights = data
    weighed = of_present(kind_of(X), X, weights)
    repeated = kind_of(X).of(np.repeat(X, weights, axis=0))
    for name in ("mean", "var", "data_min", "data_max"):
        exactly(getattr(weighed, name), getattr(repeated, name))
    sums = "counts" if isinstance(repeated, ChannelHistogram) else "squares"
    assert same_bits(getattr(weighed, sums), getattr(repeated, sums))
    assert getattr(weighed, sums).dtype == np.int64


@given(grey_images(n_channels=(1, 3)), st.integers(1, 2**40) | any_weights)
@holds
def test_pillow_counts_grey_levels_as_numpy_does(X, weight):
    flat = X.reshape(len(X), -1, X.shape[-1])
    picture = Image.fromarray(flat if X.shape[-1] == 3 else flat[..., 0])
    counted = ChannelHistogram.of_picture(picture, weight)
    levels = [np.bincount(channel, minlength=256) for channel in X.reshape(-1, X.shape[-1]).T]
    exactly(counted.counts, np.array(levels) * weight)


@given(
    st.sampled_from(FLOATS).flatmap(lambda dtype: parted(images_of(dtype))),
    st.lists(any_weights, min_size=6, max_size=6) | st.none(),
)
@holds
def test_float_moments_are_those_of_fractions_to_rounding(data, weights):
    X, parts = data
    weights = None if weights is None else np.array(weights[: len(X)])
    summaries = [
        ChannelMoments.of(X[rows], None if weights is None else weights[rows])
        for rows in parts
        if len(rows)
    ]
    total = reduce(plus, summaries)

    exactly([total.data_min, total.data_max], extremes(X))
    assert total.n_samples == len(X)
    n, merges = X.size // X.shape[-1], len(summaries) - 1
    means, variances = exact_moments(X, weights)
    for c, (mean, var) in enumerate(zip(means, variances, strict=True)):
        largest, std = float(np.abs(X[..., c]).max()), math.sqrt(var)
        # The second pass takes what the first one rounded out of the mean, so that a sum of
        # deviations is left, and one rounding; a merge rounds the mean six times. A merge
        # squares the distance of two means, which is no more than two deviations.
        off = EPS * ((1 + 6 * merges) * largest + (n + 3) * std)
        second_order = EPS * n * (EPS * n * largest) ** 2 + np.finfo(np.float64).tiny
        var_off = (
            EPS * (n + 5 + 5 * merges) * var + merges * (2 * off * std + off**2) + second_order
        )
        assert abs(Fraction(total.mean[c]) - mean) <= off
        assert abs(Fraction(total.var[c]) - var) <= var_off


# Scaling


@given(with_scaler(images), st.integers(1, 6))
@settings(holds, max_examples=300)
def test_output_is_the_formula_but_for_rounding(data, n_seen):
    scaler, X = data
    scaler.fit(X[:n_seen])
    formula, dtype = Formula(scaler, X.shape[-1]), out_dtype(scaler, X)
    pixels = exact(X)
    assume(fits(formula(pixels), dtype))
    if clips(scaler):
        pixels = formula.clipped(pixels)

    scaled = scaler.transform(X)

    assert (scaled.dtype, scaled.shape) == (dtype, X.shape)
    assert within(scaled, formula(pixels), formula.tolerance(pixels, X.dtype, dtype))


@given(with_scaler(images), st.integers(1, 6))
@settings(holds, max_examples=300)
def test_the_way_back_ends_where_it_began_or_at_the_end_of_a_clipped_range(data, n_seen):
    scaler, X = data
    scaler.fit(X[:n_seen])
    formula, dtype = Formula(scaler, X.shape[-1]), out_dtype(scaler, X)
    pixels = exact(X)
    assume(fits(pixels, dtype) and fits(formula(pixels), dtype))
    if clips(scaler):
        pixels = formula.clipped(pixels)

    back = scaler.inverse_transform(scaler.transform(X))

    assert (back.dtype, back.shape) == (dtype, X.shape)
    assert within(back, pixels, formula.inverse_tolerance(pixels, X.dtype, dtype))
    # What float16 holds of a range far from zero cannot tell 256 grey levels apart.
    enough = dtype != np.float16 or isinstance(scaler, ChannelStandardScaler)
    if X.dtype == np.uint8 and enough and not clips(scaler):
        exactly(np.rint(back), X)


@given(with_scaler(images, min_max_scalers))
@holds
def test_what_is_clipped_is_within_the_range(data):
    scaler, X = data
    dtype = out_dtype(scaler, X)
    scaler.set_params(clip=True).fit(X[:1])
    assume(fits(Formula(scaler, X.shape[-1])(exact(X)), dtype))
    scaled = scaler.transform(X)
    bottom, top = np.array(scaler.feature_range, dtype)  # as near as the dtype comes
    assert scaled.min() >= bottom
    assert scaled.max() <= top


@given(
    st.sampled_from(["uint8", "int16", "float32", "float64"]).flatmap(
        lambda dtype: parted(images_of(dtype))
    ),
    st.sampled_from([1, 7, 2047, 2048, 2049, 5000]),
    st.data(),
)
@holds
def test_images_are_scaled_as_if_each_was_alone_to_the_last_bit(data, n_pixels, draw):
    small, parts = data
    X = np.resize(small, (len(small), n_pixels, small.shape[-1]))  # longer than any tile
    scaler = draw.draw(any_scalers(X.shape[-1], ("float32", "float64"))).fit(X)
    scaled = scaler.transform(X)
    back = None if scaler.per_image else scaler.inverse_transform(scaled)
    for rows in filter(len, parts):
        assert same_bits(scaler.transform(X[rows]), scaled[rows])
        if back is not None:
            assert same_bits(scaler.inverse_transform(scaled[rows]), back[rows])


def assert_same_state(a: Any, b: Any, ignored: Sequence[str] = ()) -> None:
    learned = {name for name in vars(a) if name.endswith("_")}
    assert learned == {name for name in vars(b) if name.endswith("_")}
    for name in learned.difference(ignored):
        one, other = vars(a)[name], vars(b)[name]
        same = same_bits(one, other) if isinstance(one, np.ndarray) else one == other
        assert same, name


@IN_INTEGERS
@given(parted(counted_images), st.data())
@settings(holds, max_examples=200)
def test_any_split_and_order_of_partial_fits_is_one_fit_to_the_last_bit(data, draw):
    X, parts = data
    scaler = draw.draw(scalers(X.shape[-1]))
    robust = getattr(scaler, "quantile_range", (0, 100)) != (0, 100)
    weights = draw.draw(weights_of(X, whole_weights if robust else either_weights))

    whole = clone(scaler).fit(X, sample_weight=weights)
    in_parts = clone(scaler)
    for rows in parts:
        if weights[rows].any():
            in_parts.partial_fit(X[rows], sample_weight=weights[rows])
    flat = X.reshape(len(X), 1, -1, X.shape[-1])
    one_by_one = clone(scaler).fit(LazyImages(list(flat), X.shape[-1]), sample_weight=weights)

    assert_same_state(in_parts, whole)
    assert_same_state(one_by_one, whole)


@given(weighted(counted_images, whole_weights), st.data())
@holds
def test_whole_weights_fit_as_repeated_images_to_the_last_bit(data, draw):
    X, weights = data
    scaler = draw.draw(scalers(X.shape[-1]))
    repeated = clone(scaler).fit(np.repeat(X, weights, axis=0))
    scaler.fit(X, sample_weight=weights)
    assert_same_state(scaler, repeated, ignored=["n_samples_seen_", "statistics_"])
    if hasattr(scaler, "statistics_"):
        assert scaler.n_samples_seen_ == np.count_nonzero(weights)


@IN_INTEGERS
@given(weighted(counted_images, either_weights))
@holds
def test_what_grey_levels_teach_are_fractions_rounded_once(data):
    X, weights = data
    standard = ChannelStandardScaler().fit(X, sample_weight=weights)
    means, variances = exact_moments(X, weights)
    exactly(standard.mean_, [float(mean) for mean in means])
    exactly(standard.var_, [float(var) for var in variances])
    exactly(standard.scale_, [math.sqrt(var) if var else 1 for var in variances])
    assert standard.n_samples_seen_ == np.count_nonzero(weights)
    ranges = ChannelMinMaxScaler().fit(X, sample_weight=weights)
    exactly([ranges.data_min_, ranges.data_max_], extremes(X[weights > 0]))


@given(weighted(grey_images(), whole_weights), pairs(0, 100, width=1e-9))
@settings(holds, max_examples=200)
def test_percentiles_of_grey_levels_are_those_of_numpy_to_the_last_bit(data, percentiles):
    X, weights = data
    assume(percentiles != (0, 100))
    scaler = ChannelMinMaxScaler(quantile_range=percentiles).fit(X, sample_weight=weights)
    repeated = np.repeat(X, weights, axis=0).reshape(-1, X.shape[-1])
    expected = np.percentile(repeated, percentiles, axis=0)
    assert same_bits(np.array([scaler.data_min_, scaler.data_max_]), expected)


@given(float_images, pairs(0, 100, width=1e-9))
@holds
def test_percentiles_of_floats_are_those_of_numpy(X, percentiles):
    assume(percentiles != (0, 100))
    scaler = ChannelMinMaxScaler(quantile_range=percentiles).fit(X)
    expected = np.percentile(X.reshape(-1, X.shape[-1]), percentiles, axis=0)
    exactly([scaler.data_min_, scaler.data_max_], expected)


@given(
    st.sampled_from(["uint8", *FLOATS]).flatmap(images_of),
    st.lists(any_weights, min_size=6, max_size=6) | st.none(),
)
@holds
def test_a_constant_channel_becomes_zeros_and_has_no_variance(images, weights):
    X = np.full_like(images, images.flat[0])
    weights = None if weights is None else weights[: len(X)]
    scaler = ChannelStandardScaler()
    scaler.partial_fit(X, sample_weight=weights).partial_fit(X[:1])
    exactly(scaler.var_, 0)
    exactly(scaler.scale_, 1)
    exactly(scaler.transform(X), 0)


# One image at a time


def grid_images(dtype: str) -> st.SearchStrategy[np.ndarray]:
    """Images whose channels are constant, or far from it."""
    if dtype == "uint8":
        return grey_images()
    eighths = st.integers(-1023, 1023).map(lambda number: number / 8)
    return shapes(st.integers(1, 4)).flatmap(
        lambda shape: hnp.arrays(dtype, shape, elements=eighths)
    )


def near(out: np.ndarray, expected: np.ndarray, factor: np.ndarray, given: Any) -> bool:
    """As `Formula.tolerance`, with what the statistics of NumPy round on top."""
    limits = np.finfo(out.dtype)
    bound = float(limits.eps) * np.abs(expected) + float(limits.smallest_subnormal)
    bound += 1e-11 * (1 + factor)
    if given == np.uint8 and out.itemsize <= 4:
        bound += 2 * float(np.finfo(np.float32).eps) * (np.abs(expected) + factor / 2)
    return bool(np.all(np.abs(out - expected) <= bound))


@given(
    st.sampled_from(["uint8", *FLOATS]).flatmap(grid_images),
    st.sampled_from(["channel", "image"]),
    st.booleans(),
    st.booleans(),
    st.sampled_from(FLOATS),
)
@holds
def test_images_are_standardised_one_by_one(X, per_image, with_mean, with_std, dtype):
    scaler = ChannelStandardScaler(
        with_mean=with_mean, with_std=with_std, per_image=per_image, dtype=dtype
    )
    scaled = scaler.transform(X)
    for image, out in zip(X.astype(np.float64), scaled, strict=True):
        axes = tuple(range(image.ndim - (per_image == "channel")))
        mean = image.mean(axis=axes) if with_mean else 0.0
        constant = image.min(axis=axes) == image.max(axis=axes)
        std = np.where(constant, 1, image.std(axis=axes)) if with_std else 1.0
        assert near(out, (image - mean) / std, 1 / std, X.dtype)


@given(
    st.sampled_from(["uint8", *FLOATS]).flatmap(grid_images),
    st.sampled_from(["channel", "image"]),
    pairs(-10, 10, width=1),
    st.booleans(),
    st.sampled_from(FLOATS),
)
@holds
def test_images_are_brought_to_a_range_one_by_one(X, per_image, feature_range, clip, dtype):
    scaler = ChannelMinMaxScaler(feature_range, clip=clip, per_image=per_image, dtype=dtype)
    scaled = scaler.transform(X)
    bottom, top = feature_range
    for image, out in zip(X.astype(np.float64), scaled, strict=True):
        axes = tuple(range(image.ndim - (per_image == "channel")))
        low, high = image.min(axis=axes), image.max(axis=axes)
        factor = (top - bottom) / np.where(high > low, high - low, 1)
        assert near(out, (image - low) * factor + bottom, factor, X.dtype)


# What is refused


@given(float_images, st.sampled_from([np.nan, np.inf, -np.inf]), st.data())
@holds
def test_a_single_nan_or_infinity_is_refused_and_nothing_changes(X, bad, draw):
    scaler = draw.draw(any_scalers(X.shape[-1])).fit(X)
    before = pickle.dumps(vars(scaler))
    broken = X.copy()
    broken.flat[draw.draw(st.integers(0, X.size - 1))] = bad
    calls = [scaler.fit, scaler.partial_fit, scaler.fit_transform, scaler.transform]
    if not scaler.per_image:
        calls.append(scaler.inverse_transform)
    for call in calls:
        with pytest.raises(ValueError, match=r"NaN|infinity"):
            call(broken)
        assert pickle.dumps(vars(scaler)) == before


@given(images, st.integers(1, 70), st.data())
@holds
def test_another_number_of_channels_is_refused_and_nothing_changes(X, n_channels, draw):
    assume(n_channels != X.shape[-1])
    scaler = draw.draw(any_scalers(X.shape[-1])).fit(X)
    before = pickle.dumps(vars(scaler))
    other = np.zeros((*X.shape[:-1], n_channels), X.dtype)
    lazy = LazyImages([np.zeros((1, 1, n_channels), np.uint8)], n_channels)
    calls = [scaler.partial_fit, scaler.transform]
    if not scaler.per_image:
        calls.append(scaler.inverse_transform)
    for call in calls:
        for given_images in (other, lazy):
            with pytest.raises(ValueError, match=f"{n_channels} features, but"):
                call(given_images)
            assert pickle.dumps(vars(scaler)) == before


# Sequences of images


@st.composite
def keys(draw: Callable[..., Any], n: int) -> Any:
    """What selects several of `n` images: a slice, a mask or positions, perhaps in a tuple."""
    position = st.integers(-n, n - 1) if n else st.nothing()
    rows = draw(st.lists(position, max_size=8 if n else 0))
    dtypes = [dtype for dtype in ("int8", "uint8", "int16", "int64") if fit_in(rows, dtype)]
    key = draw(
        st.one_of(
            st.slices(n),
            st.just(rows),
            st.sampled_from(dtypes).map(lambda dtype: np.array(rows, dtype)),
            hnp.arrays(bool, n),
            st.lists(st.booleans(), min_size=n, max_size=n),
        )
    )
    return draw(st.sampled_from([key, (key, ...), (key, slice(None))]))


def fit_in(numbers: Sequence[int], dtype: str) -> bool:
    limits = np.iinfo(dtype)
    return all(limits.min <= number <= limits.max for number in numbers)


@given(st.integers(0, 300), st.data())
@settings(holds, max_examples=300)
def test_selections_of_selections_are_those_of_an_array(n, draw):
    numbers = np.arange(n, dtype=np.uint32).reshape(n, 1)  # image i holds the bytes of i
    images = LazyImages(list(numbers.view(np.uint8).reshape(n, 1, 1, 4)), n_channels=4)
    for _ in range(draw.draw(st.integers(1, 3))):
        key = draw.draw(keys(len(numbers)))
        numbers, images = numbers[key], images[key]
        assert isinstance(images, LazyImages)
        assert len(images) == len(numbers)
    exactly([number_in(image) for image in images], numbers.ravel())

    i = draw.draw(st.integers(-len(numbers) - 3, len(numbers) + 2))
    for key in (i, np.int64(i), (i, ...)):
        if -len(numbers) <= i < len(numbers):
            assert number_in(images[key]) == numbers[i, 0]
        else:
            with pytest.raises(
                IndexError, match=f"index {i} cannot select from {len(numbers)} images"
            ):
                images[key]


def number_in(image: np.ndarray) -> int:
    assert image.shape == (1, 1, 4)
    return int(image.view(np.uint32).item())


@given(st.integers(0, 100), st.lists(st.booleans(), max_size=100))
@holds
def test_a_mask_of_another_length_is_refused(n, mask):
    assume(len(mask) not in (0, n))  # an empty list selects nothing, as in NumPy
    lazy = LazyImages([np.zeros((1, 1, 1), np.uint8)] * n, 1)
    with pytest.raises(IndexError, match=r"cannot select from .* or a boolean mask"):
        lazy[mask]


@given(st.integers(0, 5000), st.integers(1, 300), st.integers(1, 1000))
@settings(holds, max_examples=300)
def test_chunks_cover_everything_once_and_never_grow(n_items, n_jobs, largest):
    chunks = list(_shrinking(n_items, n_jobs, largest, 1))
    starts = [0, *(rows.stop for rows in chunks)]
    assert starts == [*(rows.start for rows in chunks), n_items]
    sizes = [rows.stop - rows.start for rows in chunks]
    assert sizes == sorted(sizes, reverse=True)
    assert all(1 <= size <= largest for size in sizes)
    for rows, size in zip(chunks, sizes, strict=True):
        assert size == 1 or size * 2 * n_jobs <= n_items - rows.start


@given(st.integers(0, 5000), st.integers(1, 9), st.integers(1, 300), st.integers(1, 400))
@settings(holds, max_examples=300)
def test_chunks_begin_at_multiples(n_items, n_jobs, largest, multiple_of):
    chunks = list(_shrinking(n_items, n_jobs, largest, multiple_of))
    starts = [0, *(rows.stop for rows in chunks)]
    assert starts == [*(rows.start for rows in chunks), n_items]
    assert all(rows.start % multiple_of == 0 for rows in chunks)
    assert all(0 < rows.stop - rows.start <= max(largest, multiple_of) for rows in chunks)


reaches = st.sampled_from(["process", "machine", "cluster"])


@given(st.integers(0, 200), st.integers(1, 4), st.integers(1, 40), reaches)
@holds
def test_every_item_is_worked_on_once_and_in_order(n_items, n_jobs, largest, reach):
    seen: list[int] = []

    def square(numbers: range) -> list[int]:
        seen.extend(numbers)  # in one step, so that threads do not mix it up
        return [number**2 for number in numbers]

    chunks = map_chunks(
        square,
        n_items,
        lambda rows: (range(rows.start, rows.stop),),
        largest_chunk=largest,
        n_jobs=n_jobs,
        reach=reach,
    )
    squares = [number for _, part in chunks for number in part]
    assert squares == [i**2 for i in range(n_items)]
    assert sorted(seen) == list(range(n_items))
