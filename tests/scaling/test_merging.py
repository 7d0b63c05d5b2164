"""Scalers that were fitted separately and merged, against one fitted to everything."""

from __future__ import annotations

import copy
import pickle
from fractions import Fraction
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    JpegLoader,
    Resizer,
    make_image_pipeline,
    merge_scalers,
)
from tests.exact_results import exact_moments

PARTS = [slice(0, 3), slice(3, 4), slice(4, 17), slice(17, 24)]
SCALERS = {
    "standard": ChannelStandardScaler(),
    "mean given": ChannelStandardScaler(mean=[120, 110.5, 99], dtype="float64"),
    "std given": ChannelStandardScaler(std=np.array([60, 61, 62.5])),
    "mean alone": ChannelStandardScaler(with_std=False),
    "minmax": ChannelMinMaxScaler((-1, 1)),
    "percentiles": ChannelMinMaxScaler(quantile_range=(2.5, 97), clip=True),
}
CONSTANT = {
    "constants": ChannelStandardScaler(mean=100, std=50),
    "neither": ChannelStandardScaler(with_mean=False, with_std=False),
    "data range": ChannelMinMaxScaler(data_range=[[0, 1, 2], [253, 254, 255]]),
    "per image": ChannelMinMaxScaler(per_image="channel"),
}


def test_sums_of_a_hundred_million_photos_are_exact(photos):
    pixels = np.stack([np.asarray(photo) for photo in photos])
    scaler = ChannelStandardScaler()
    many = clone(scaler).fit(pixels, sample_weight=[2**26 - 1] * 2)
    merged = merge_scalers([many, scaler.fit(pixels)])
    for channel, mean, var in zip(
        np.moveaxis(pixels, -1, 0), merged.mean_, merged.var_, strict=True
    ):
        counts = np.bincount(channel.ravel(), minlength=256).tolist()
        n = 2**26 * sum(counts)
        total = sum(2**26 * count * level for level, count in enumerate(counts))
        squares = sum(2**26 * count * level**2 for level, count in enumerate(counts))
        assert mean == float(Fraction(total, n))
        assert var == float(Fraction(squares, n) - Fraction(total, n) ** 2)


def by_id(cases: dict[str, Any]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("scaler", cases.values(), ids=cases.keys())


def fitted_apart(scaler: Any, X: Any, weights: np.ndarray | None = None) -> list[Any]:
    if weights is None:
        return [clone(scaler).fit(X[rows]) for rows in PARTS]
    return [clone(scaler).fit(X[rows], sample_weight=weights[rows]) for rows in PARTS]


def assert_same(got: Any, expected: Any) -> None:
    """Compare every attribute, to the last bit."""
    assert type(got) is type(expected)
    assert vars(got).keys() == vars(expected).keys()
    for name, value in vars(expected).items():
        if name == "statistics_" or value is None or isinstance(value, str):
            assert getattr(got, name) == value, name
        else:
            np.testing.assert_array_equal(getattr(got, name), value, strict=True)


@by_id(SCALERS | CONSTANT)
def test_scalers_of_uint8_images_merge_to_the_bits_of_one_fit(scaler, pixels):
    merged = merge_scalers(fitted_apart(scaler, pixels))
    expected = clone(scaler).fit(pixels)
    assert_same(merged, expected)
    np.testing.assert_array_equal(
        merged.transform(pixels), expected.transform(pixels), strict=True
    )


@by_id(SCALERS)
def test_the_order_of_the_scalers_does_not_matter(scaler, pixels):
    parts = fitted_apart(scaler, pixels)
    assert_same(merge_scalers(parts[::-1]), merge_scalers(parts))


def test_merged_attributes_are_those_of_numpy(pixels):
    standard = merge_scalers(fitted_apart(ChannelStandardScaler(), pixels))
    means, variances = np.array(exact_moments(pixels), float)
    np.testing.assert_array_equal(standard.mean_, means)
    np.testing.assert_array_equal(standard.var_, variances)
    assert (standard.n_samples_seen_, standard.n_features_in_) == (24, 3)
    percentiles = merge_scalers(fitted_apart(SCALERS["percentiles"], pixels))
    low, high = np.percentile(pixels.reshape(-1, 3), [2.5, 97], axis=0)
    np.testing.assert_array_equal(percentiles.data_min_, low)
    np.testing.assert_array_equal(percentiles.data_max_, high)


@by_id({name: SCALERS[name] for name in ("standard", "std given", "minmax")})
def test_images_of_many_channels_merge_to_the_bits_of_one_fit(scaler, pixels):
    wide = pixels.reshape(24, -1, 96)
    if scaler.get_params().get("std") is not None:
        scaler = clone(scaler).set_params(std=60)
    assert_same(merge_scalers(fitted_apart(scaler, wide)), clone(scaler).fit(wide))


@by_id(SCALERS)
def test_integral_weights_merge_to_the_bits_of_one_fit(scaler, pixels):
    weights = np.arange(24) % 5  # zeros, too
    merged = merge_scalers(fitted_apart(scaler, pixels, weights))
    assert_same(merged, clone(scaler).fit(pixels, sample_weight=weights))
    repeated = clone(scaler).fit(pixels.repeat(weights, axis=0))
    np.testing.assert_array_equal(merged.transform(pixels), repeated.transform(pixels))


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [(ChannelStandardScaler(), StandardScaler()), (ChannelMinMaxScaler(), MinMaxScaler())],
)
@pytest.mark.parametrize("dtype", ["float32", "float64", "int16"])
def test_scalers_of_other_dtypes_merge_to_rounding(ours, theirs, dtype, pixels):
    images = pixels.astype(dtype) / 3 if dtype != "int16" else pixels.astype(dtype) * 100
    merged = merge_scalers(fitted_apart(ours, images))
    everything = clone(ours).fit(images)
    theirs.fit(images.reshape(-1, 3).astype(np.float64))
    for name in ("mean_", "var_", "scale_", "data_min_", "data_max_", "data_range_", "min_"):
        if hasattr(theirs, name):
            value = getattr(merged, name)
            np.testing.assert_allclose(value, getattr(theirs, name), rtol=1e-12, err_msg=name)
            assert value.dtype == getattr(everything, name).dtype
    assert merged.n_samples_seen_ == 24
    assert vars(merged).keys() == vars(everything).keys()


def test_names_of_columns_are_kept():
    levels = np.arange(60, dtype=np.uint8).reshape(20, 3)
    table = pd.DataFrame(levels, columns=["red", "green", "blue"])
    parts = [ChannelStandardScaler().fit(part) for part in (table[:7], table[7:])]
    merged = merge_scalers(parts)
    assert merged.feature_names_in_.tolist() == ["red", "green", "blue"]
    assert_same(merged, ChannelStandardScaler().fit(table))


@by_id(SCALERS | CONSTANT)
def test_the_scalers_stay_as_they_are_and_share_nothing_with_the_merged_one(scaler, pixels):
    parts = fitted_apart(scaler, pixels)
    before = copy.deepcopy(parts)
    merged = merge_scalers(parts)
    for name, value in vars(merged).items():
        if isinstance(value, np.ndarray) and name.endswith("_"):
            value += 1
    merged.set_params(dtype="float16")
    for part, copied in zip(parts, before, strict=True):
        assert_same(part, copied)


@by_id(SCALERS | CONSTANT)
def test_a_single_scaler_merges_to_its_like(scaler, pixels):
    fitted = clone(scaler).fit(pixels)
    merged = merge_scalers((fitted,))
    assert merged is not fitted
    assert_same(merged, fitted)


def test_merging_in_two_stages_gives_the_bits_of_merging_at_once(pixels):
    parts = fitted_apart(ChannelStandardScaler(), pixels)
    twice = merge_scalers([merge_scalers(parts[:2]), merge_scalers(parts[2:])])
    assert_same(twice, merge_scalers(parts))


def test_a_merged_scaler_learns_more(pixels):
    parts = fitted_apart(ChannelStandardScaler(), pixels)
    grown = merge_scalers(parts[:3]).partial_fit(pixels[PARTS[3]])
    assert_same(grown, ChannelStandardScaler().fit(pixels))


@by_id(CONSTANT)
def test_scalers_that_learn_nothing_merge_without_a_fit(scaler, pixels):
    merged = merge_scalers([clone(scaler), clone(scaler)])
    np.testing.assert_array_equal(
        merged.transform(pixels), clone(scaler).fit_transform(pixels), strict=True
    )


@pytest.mark.parametrize("as_array", [np.array, tuple])
def test_parameters_of_equal_values_are_the_same(as_array, pixels):
    scalers = [
        ChannelStandardScaler(mean=[100, 90, 80], dtype="float32").fit(pixels[:8]),
        ChannelStandardScaler(mean=as_array([100.0, 90, 80]), dtype=np.float32).fit(pixels),
    ]
    assert merge_scalers(scalers).n_samples_seen_ == 32


def test_the_merged_scaler_takes_its_place_in_a_fitted_pipeline(files):
    shards = [make_image_pipeline((32, 48)).fit(files[rows]) for rows in PARTS]
    whole = make_image_pipeline((32, 48)).fit(files)
    merged = merge_scalers([shard[-1] for shard in shards])
    pipeline = shards[0].set_params(scale=merged)
    np.testing.assert_array_equal(
        pipeline.transform(files), whole.transform(files), strict=True
    )
    longer = make_pipeline(JpegLoader(), Resizer((32, 48)), merged, ImageFlattener())
    longer.fit(files[:3]).set_params(channelstandardscaler=merged)
    assert longer.transform(files).shape == (24, 32 * 48 * 3)


# Refusals

STANDARD, MINMAX = ChannelStandardScaler, ChannelMinMaxScaler


def refused(kind: type[Exception], scalers: Any) -> str:
    with pytest.raises(kind) as raised:
        merge_scalers(scalers)
    return str(raised.value)


def test_nothing_to_merge_is_refused():
    assert refused(ValueError, []) == (
        "scalers is empty, so there is nothing to merge. Pass at least one fitted scaler."
    )


@pytest.mark.parametrize("dtype", ["uint8", "float64"])
def test_a_shard_that_is_passed_twice_is_refused(dtype, pixels):
    images = pixels.astype(dtype)
    shards = [ChannelStandardScaler().fit(part) for part in (images[:8], images[8:])]
    again = pickle.loads(pickle.dumps(shards[0]))
    for scalers in ([*shards, shards[1]], [*shards, again], [again, shards[0]]):
        with pytest.raises(ValueError, match=r"learned the same .* Pass each shard once"):
            merge_scalers(scalers)


def test_a_lone_scaler_or_pipeline_is_refused(pixels):
    scaler = STANDARD().fit(pixels)
    for lone in (scaler, make_pipeline(scaler)):
        assert refused(TypeError, lone) == (
            f"scalers is a single {type(lone).__name__}, and several are merged. Pass a list "
            "of fitted scalers."
        )


def test_what_is_no_channel_scaler_is_refused(pixels):
    scaler = STANDARD().fit(pixels)
    for other in (make_pipeline(scaler), StandardScaler(), "site.joblib"):
        assert refused(TypeError, [scaler, other]) == (
            f"scalers[1] is a {type(other).__name__}, and only ChannelStandardScaler and "
            "ChannelMinMaxScaler are merged. Of a pipeline, pass the scaler: pipeline[-1]."
        )


def test_scalers_of_two_classes_are_refused(pixels):
    assert refused(TypeError, [STANDARD().fit(pixels), MINMAX().fit(pixels)]) == (
        "scalers[0] is a ChannelStandardScaler and scalers[1] a ChannelMinMaxScaler, which "
        "learn different things. Merge each class by itself."
    )


def test_the_scaler_that_is_not_fitted_is_named(pixels):
    scalers = [STANDARD().fit(pixels), STANDARD().fit(pixels), STANDARD()]
    assert refused(NotFittedError, scalers) == (
        "scalers[2] is a ChannelStandardScaler that is not fitted, so it has no statistics to "
        "merge. Call its fit, or leave it out."
    )


@pytest.mark.parametrize(
    ("a", "b", "found"),
    [
        (STANDARD(), STANDARD(mean=100), "mean=None and scalers[1] mean=100"),
        (STANDARD(mean=[1, 2, 3]), STANDARD(mean=[1, 2, 4]), "mean=[1, 2, 3] and"),
        (STANDARD(), STANDARD(with_std=False), "with_std=True and scalers[1] with_std=False"),
        (STANDARD(), STANDARD(per_image="image"), "per_image=None and scalers[1] per_image="),
        (STANDARD(), STANDARD(dtype=np.float64), "dtype='float32' and scalers[1] dtype="),
        (MINMAX(), MINMAX((-1, 1)), "feature_range=(0, 1) and scalers[1] feature_range=(-1"),
        (MINMAX(), MINMAX(clip=True), "clip=False and scalers[1] clip=True"),
        (MINMAX(), MINMAX(data_range=(0, 255)), "data_range=None and scalers[1] data_range="),
        (
            MINMAX(quantile_range=(1, 99)),
            MINMAX(quantile_range=(2, 99)),
            "quantile_range=(1, 99) and scalers[1] quantile_range=(2, 99)",
        ),
    ],
)
def test_the_parameter_that_differs_is_named(a, b, found, pixels):
    message = refused(ValueError, [a.fit(pixels), b.fit(pixels)])
    assert message.startswith("scalers[0] has ")
    assert found in message
    assert message.endswith(
        "so they do not add up to one scaler. Fit all with the same parameters."
    )


@by_id({"standard": STANDARD(), "per image": STANDARD(per_image="image")})
def test_scalers_of_other_channels_are_refused(scaler, pixels):
    colour, grey = (clone(scaler).fit(images) for images in (pixels, pixels[..., :1]))
    assert refused(ValueError, [colour, colour, grey]) == (
        "scalers[0] has n_features_in_=3 and scalers[2] n_features_in_=1, so they do not add "
        "up to one scaler. Fit all to images of the same channels."
    )


def test_scalers_of_other_columns_are_refused():
    tables = (
        pd.DataFrame(np.arange(6, dtype=np.uint8).reshape(2, 3), columns=list(names))
        for names in ("rgb", "bgr")
    )
    message = refused(ValueError, [STANDARD().fit(table) for table in tables])
    assert "feature_names_in_=array(['r', 'g', 'b']" in message


def test_statistics_of_uint8_images_and_of_others_are_refused(pixels):
    scalers = [STANDARD().fit(pixels), STANDARD().fit(pixels / 255)]
    assert refused(ValueError, scalers) == (
        "scalers[0] learned ChannelHistogram and scalers[1] ChannelMoments: one is of "
        "uint8 images, the other of another dtype. Fit all to images of one dtype."
    )


@pytest.mark.parametrize("kind", ["float", "many channels"])
def test_percentiles_of_what_is_not_counted_by_level_are_refused(kind, pixels):
    images = pixels / 255 if kind == "float" else pixels.reshape(24, 1, -1)[..., :4097]
    scalers = fitted_apart(MINMAX(quantile_range=(1, 99)), images)
    assert refused(ValueError, scalers) == (
        "quantile_range=(1, 99) was learned from all values of an array at once, and "
        "percentiles of parts cannot be combined into those of the whole. Fit to one array of "
        "everything, or to uint8 images of at most 4096 channels, whose grey levels are "
        "counted."
    )
