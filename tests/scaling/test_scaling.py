"""The channel scalers against NumPy and scikit-learn's own scalers."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import MinMaxScaler, StandardScaler

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    JpegLoader,
    Resizer,
    SavedImages,
    save_images,
)
from tests.lazy_photos import lazy

SCALERS = [ChannelStandardScaler(), ChannelMinMaxScaler()]


def rows(images: np.ndarray) -> np.ndarray:
    return images.reshape(-1, images.shape[-1]).astype(np.float64)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32", "float64"])
@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (ChannelStandardScaler(), StandardScaler()),
        (ChannelStandardScaler(with_mean=False), StandardScaler(with_mean=False)),
        (ChannelStandardScaler(with_std=False), StandardScaler(with_std=False)),
        (ChannelMinMaxScaler(), MinMaxScaler()),
        (ChannelMinMaxScaler((-1, 1)), MinMaxScaler((-1, 1))),
        (ChannelMinMaxScaler((0, 2), clip=True), MinMaxScaler((0, 2), clip=True)),
    ],
)
def test_scaling_equals_scikit_learn_on_pixels(pixels, ours, theirs, dtype):
    images = pixels.astype(dtype)
    train, test = images[:12] // 2 + 30, images[12:]  # the test pixels go beyond the range
    scaled = ours.fit(train).transform(test)
    expected = theirs.fit(rows(train)).transform(rows(test)).reshape(test.shape)
    np.testing.assert_allclose(scaled, expected, rtol=2e-6, atol=2e-6)
    assert ours.n_features_in_ == 3
    for name in ("mean_", "var_", "scale_", "data_min_", "data_max_", "data_range_", "min_"):
        value = getattr(theirs, name, None)
        if value is not None and hasattr(ours, name) and getattr(ours, name) is not None:
            np.testing.assert_allclose(getattr(ours, name), value, rtol=1e-12)


@pytest.mark.parametrize("scaler", SCALERS)
def test_lazy_images_scale_as_the_decoded_array(scaler, files, pixels):
    images = lazy(files, 2)
    from_array = clone(scaler).fit(pixels)
    expected = from_array.transform(pixels)
    streamed = clone(scaler).fit(images)
    assert streamed.statistics_ == from_array.statistics_
    np.testing.assert_array_equal(streamed.transform(images), expected)
    np.testing.assert_array_equal(clone(scaler).fit_transform(images), expected)


@pytest.mark.parametrize(
    "shape", [(9, 3), (4, 5, 3), (2, 3, 4, 3), (2, 3, 4, 5, 3), (70, 50, 3)]
)
def test_any_number_of_dimensions_is_scaled(shape):
    X = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    expected = StandardScaler().fit_transform(rows(X)).reshape(shape)
    scaled = ChannelStandardScaler().fit_transform(X)
    np.testing.assert_allclose(scaled, expected, rtol=2e-6, atol=2e-6)


def test_transform_takes_images_of_any_height_and_width(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    other = pixels[:1, :10, :13]
    np.testing.assert_array_equal(
        scaler.transform(other), scaler.transform(pixels)[:1, :10, :13]
    )


def test_arrays_that_are_not_contiguous_are_scaled(pixels):
    view = pixels[::2, ::-1, 3:40:3]
    expected = StandardScaler().fit_transform(rows(view)).reshape(view.shape)
    np.testing.assert_allclose(
        ChannelStandardScaler().fit_transform(view), expected, rtol=2e-6, atol=2e-6
    )


@pytest.mark.parametrize(
    ("given", "dtype", "expected"),
    [
        ("uint8", "float32", "float32"),
        ("uint8", "float64", "float64"),
        ("uint8", "float16", "float16"),
        ("int64", "float32", "float32"),
        ("bool", "float32", "float32"),
        ("float64", "float32", "float64"),
        ("float16", "float32", "float16"),
    ],
)
@pytest.mark.parametrize("scaler", SCALERS)
def test_integers_become_dtype_and_floats_keep_theirs(scaler, pixels, given, dtype, expected):
    scaled = clone(scaler).set_params(dtype=dtype).fit_transform((pixels // 64).astype(given))
    assert scaled.dtype == expected


@pytest.mark.filterwarnings("ignore::sknorm_images.ImageUnitsWarning")  # as it should be
@pytest.mark.parametrize("std", [0.3, 1, 17.5, 73.9])
@pytest.mark.parametrize("mean", [0, 0.4, 93.77, 127.5, 254.9])
def test_float32_output_is_within_1e_6_of_float64(mean, std):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = ChannelStandardScaler(mean=mean, std=std).transform(levels)
    exact = (levels - np.float64(mean)) / std
    assert np.all(np.abs(scaled - exact) <= 1e-6 * np.maximum(1, np.abs(exact)))


@pytest.mark.parametrize(
    "feature_range",
    [(0, 1), (-1, 1), (0, 255), (-0.5, 0.5), (10, 20), (-10, 10), (-128, 127), (-1000, 1000)],
)
@pytest.mark.parametrize("limits", [(0, 255), (3, 4), (100, 199), (0, 1), (254, 255)])
def test_min_max_round_trip_gives_every_grey_level_back(feature_range, limits):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    seen = np.array(limits, np.uint8).reshape(2, 1, 1, 1)
    scaler = ChannelMinMaxScaler(feature_range).fit(seen)
    scaled = scaler.transform(levels)
    assert scaled.dtype == np.float32
    np.testing.assert_array_equal(np.rint(scaler.inverse_transform(scaled)), levels)
    bottom, top = feature_range
    exact = (levels - np.float64(limits[0])) / (limits[1] - limits[0]) * (
        top - bottom
    ) + bottom
    assert np.all(np.abs(scaled - exact) <= 1e-6 * np.maximum(1, np.abs(exact)))


@pytest.mark.filterwarnings("ignore::sknorm_images.ImageUnitsWarning")  # as it should be
@pytest.mark.parametrize("std", [0.3, 5, 74, 127])
@pytest.mark.parametrize("mean", [0.2, 99.93, 254.6])
def test_standard_round_trip_gives_every_grey_level_back(mean, std):
    levels = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaler = ChannelStandardScaler(mean=mean, std=std)
    scaled = scaler.transform(levels)
    np.testing.assert_array_equal(np.rint(scaler.inverse_transform(scaled)), levels)


def test_constant_channels_are_divided_by_one():
    X = np.zeros((3, 2, 2, 2), np.uint8)
    X[..., 1] = 200
    standard = ChannelStandardScaler().fit(X)
    np.testing.assert_array_equal(standard.scale_, [1, 1])
    np.testing.assert_array_equal(standard.transform(X), np.zeros(X.shape))
    np.testing.assert_array_equal(
        ChannelMinMaxScaler((2, 3)).fit_transform(X), 2 * np.ones(X.shape)
    )


@pytest.mark.parametrize("per_image", ["channel", "image"])
@pytest.mark.parametrize("scaler", SCALERS)
def test_a_constant_image_becomes_zeros(scaler, per_image):
    image = np.full((1, 5, 6, 3), 77, np.uint8)
    scaled = clone(scaler).set_params(per_image=per_image).transform(image)
    np.testing.assert_array_equal(scaled, np.zeros((1, 5, 6, 3), np.float32))


def test_a_constant_float_channel_has_no_variance():
    X = np.full((1000, 1), 0.1)  # 0.1 has no exact float, so a naive variance is not 0
    scaler = ChannelStandardScaler().fit(X)
    assert scaler.var_[0] == 0
    np.testing.assert_array_equal(scaler.transform(X), np.zeros(X.shape))


@pytest.mark.parametrize(
    "X",
    [
        np.array([[0.0], [5e-324]]),
        np.array([[1.0], [1 + 4e-16]]),
        np.array([[0.1]] * 99_999 + [[np.nextafter(0.1, 1)]]),
    ],
)
def test_what_is_constant_but_for_rounding_is_as_in_scikit_learn(X):
    pairs = (
        (ChannelStandardScaler(), StandardScaler()),
        (ChannelMinMaxScaler(), MinMaxScaler()),
    )
    for ours, theirs in pairs:
        assert ours.fit(X).scale_.tolist() == theirs.fit(X).scale_.tolist() == [1]


def test_a_wide_table_is_scaled_in_memory_of_its_own_size():
    X = np.random.default_rng(0).normal(size=(20, 50_000))
    scaler = ChannelStandardScaler().fit(X)
    tracemalloc.start()
    scaled = scaler.transform(X)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_allclose(scaled, StandardScaler().fit_transform(X), atol=1e-9)
    assert peak < 4 * X.nbytes


def test_clip_cuts_off_and_the_default_does_not():
    seen, later = np.array([[50], [100]], np.uint8), np.array([[0], [200]], np.uint8)
    assert ChannelMinMaxScaler().fit(seen).transform(later).ravel().tolist() == [-1, 3]
    clipped = ChannelMinMaxScaler(clip=True).fit(seen).transform(later)
    assert clipped.ravel().tolist() == [0, 1]


@pytest.mark.parametrize(
    "scaler",
    [
        ChannelStandardScaler(mean=[100, 110, 120], std=50),
        ChannelStandardScaler(mean=3, with_std=False),
        ChannelStandardScaler(with_mean=False, std=2),
        ChannelStandardScaler(with_mean=False, with_std=False),
        ChannelStandardScaler(per_image="channel"),
        ChannelMinMaxScaler(data_range=(0, 255)),
        ChannelMinMaxScaler(data_range=([0, 1, 2], [100, 110, 120])),
        ChannelMinMaxScaler(per_image="image"),
    ],
)
def test_known_constants_need_no_fit_and_a_fit_changes_nothing(scaler, pixels):
    unfitted = clone(clone(scaler)).transform(pixels)
    fitted = clone(scaler).fit(pixels)
    np.testing.assert_array_equal(fitted.transform(pixels), unfitted)
    assert not hasattr(fitted, "statistics_")
    assert fitted.n_features_in_ == 3


def test_known_constants_read_no_files():
    images = Resizer().transform(JpegLoader().transform(["missing.jpg"]))
    scaler = ChannelStandardScaler(mean=[1, 2, 3], std=4).fit(images)
    np.testing.assert_array_equal(scaler.mean_, [1, 2, 3])
    np.testing.assert_array_equal(scaler.var_, [16, 16, 16])


def test_a_known_mean_goes_with_a_learned_deviation(pixels):
    scaler = ChannelStandardScaler(mean=7)
    with pytest.raises(NotFittedError):
        scaler.transform(pixels)
    scaled = scaler.fit(pixels).transform(pixels)
    std = rows(pixels).std(axis=0)
    np.testing.assert_allclose(scaled, (pixels - 7.0) / std, rtol=2e-6, atol=2e-6)


@pytest.mark.parametrize("scaler", SCALERS)
def test_weight_zero_means_absent(scaler, pixels):
    weights = np.arange(len(pixels)) % 2
    weighted = clone(scaler).fit(pixels, sample_weight=weights)
    alone = clone(scaler).fit(pixels[1::2])
    np.testing.assert_array_equal(weighted.transform(pixels), alone.transform(pixels))
    assert weighted.n_samples_seen_ == len(pixels) // 2


@pytest.mark.parametrize("scaler", SCALERS)
def test_weights_of_streamed_images(scaler, files, pixels):
    images = lazy(files)
    weights = np.arange(len(files)) % 3
    expected = clone(scaler).fit(np.repeat(pixels, weights, axis=0)).transform(pixels)
    for fitted in (
        clone(scaler).fit(images, sample_weight=weights),
        clone(scaler)
        .partial_fit(images[:5], sample_weight=weights[:5])
        .partial_fit(images[5:], sample_weight=weights[5:]),
    ):
        np.testing.assert_array_equal(fitted.transform(images), expected)
    np.testing.assert_array_equal(
        clone(scaler).fit_transform(images, sample_weight=weights), expected
    )


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1, 2], r"shape \(2,\), and X has 24 samples"),
        ([-1] * 24, "negative"),
        ([np.nan] * 24, "NaN"),
        ([0] * 24, "at least one above zero"),
        ([[1]] * 24, "one weight per sample"),
        ([1e16] * 24, "Pass smaller weights"),
    ],
)
def test_bad_weights_are_refused(pixels, weights, message):
    with pytest.raises(ValueError, match=message):
        ChannelStandardScaler().fit(pixels, sample_weight=weights)


@pytest.mark.parametrize(
    ("scaler", "message"),
    [
        (ChannelStandardScaler(mean=1, with_mean=False), "with_mean=False"),
        (ChannelStandardScaler(std=1, with_std=False), "with_std=False"),
        (ChannelStandardScaler(mean=1, per_image="channel"), "per_image='channel'"),
        (ChannelStandardScaler(std=[1, 2]), "2 entries, and X has 3 channels"),
        (ChannelStandardScaler(std=0), "is not above 0"),
        (ChannelStandardScaler(mean=np.nan), "finite"),
        (ChannelStandardScaler(mean="grey"), "mean='grey'"),
        (ChannelStandardScaler(per_image=True), "per_image=True"),
        (ChannelStandardScaler(per_image=False), "per_image=False is not known.*None"),
        (ChannelStandardScaler(per_image="pixel"), "'channel', 'image'"),
        (ChannelStandardScaler(dtype="uint8"), "float32"),
        (ChannelStandardScaler(dtype="colour"), "dtype='colour'"),
        (ChannelMinMaxScaler((1, 0)), "feature_range"),
        (ChannelMinMaxScaler((0, 1, 2)), "feature_range"),
        (ChannelMinMaxScaler(feature_range=None), "feature_range"),
        (ChannelMinMaxScaler(data_range=(5, 5)), "data_range"),
        (ChannelMinMaxScaler(data_range=(0, 255), per_image="image"), "Drop one"),
        (ChannelMinMaxScaler(data_range=(0, 255), quantile_range=(1, 99)), "Drop one"),
        (ChannelMinMaxScaler(per_image="image", quantile_range=(1, 99)), "Drop one"),
        (ChannelMinMaxScaler(quantile_range=(-1, 99)), "from 0 to 100"),
        (ChannelMinMaxScaler(quantile_range=(60, 50)), "quantile_range"),
    ],
)
def test_parameters_that_mean_nothing_are_refused(scaler, message, pixels):
    for call in (scaler.fit, scaler.partial_fit, scaler.fit_transform):
        with pytest.raises(ValueError, match=message):
            call(pixels)


def test_percentiles_need_all_values_at_once(pixels):
    robust = ChannelMinMaxScaler(quantile_range=(1, 99))
    values = pixels / 255
    with pytest.raises(ValueError, match="Call fit, without sample_weight, with one array"):
        robust.partial_fit(values)
    with pytest.raises(ValueError, match="all values at once"):
        robust.fit(values, sample_weight=np.ones(len(values)))
    with pytest.raises(ValueError, match="Pass integral weights"):
        robust.fit(pixels, sample_weight=np.full(len(values), 0.5))
    wide = np.random.default_rng(0).integers(0, 256, (200, 100), dtype=np.uint8)
    expected = np.percentile(wide, (1, 99), axis=0)
    np.testing.assert_array_equal(robust.fit(wide).data_min_, expected[0])


def test_per_image_statistics_have_no_way_back(pixels):
    with pytest.raises(ValueError, match=r"no way back\. Keep the original images"):
        ChannelStandardScaler(per_image="image").inverse_transform(pixels)


@pytest.mark.parametrize("scaler", SCALERS)
def test_a_failed_fit_leaves_the_scaler_as_it_was(scaler, files, pixels):
    fitted = clone(scaler).fit(pixels)
    before = dict(vars(fitted))
    broken = Resizer((8, 8)).transform(
        JpegLoader(color_mode="grayscale").transform([*files, "missing.jpg"])
    )
    for call in (fitted.fit, fitted.fit_transform):
        with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
            call(broken)
        assert vars(fitted) == before
    with pytest.raises(ValueError, match="expecting 3 features"):
        fitted.partial_fit(broken)
    assert vars(fitted) == before


def test_fit_forgets_what_was_fitted_before(pixels):
    scaler = ChannelStandardScaler().fit(pd.DataFrame({"a": [1.0, 2.0]}))
    assert scaler.feature_names_in_.tolist() == ["a"]
    scaler.fit(pixels[:5])
    assert scaler.n_samples_seen_ == 5
    assert not hasattr(scaler, "feature_names_in_")


def test_the_input_is_never_changed(pixels):
    values = pixels / 255
    copies = pixels.copy(), values.copy()
    for scaler in SCALERS:
        scaler.fit(pixels).transform(pixels)
        scaler.inverse_transform(scaler.fit_transform(values))
    np.testing.assert_array_equal(pixels, copies[0])
    np.testing.assert_array_equal(values, copies[1])


def test_memory_mapped_arrays_are_scaled(pixels, tmp_path):
    np.save(tmp_path / "x.npy", pixels)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    expected = StandardScaler().fit_transform(rows(pixels)).reshape(pixels.shape)
    scaled = ChannelStandardScaler().fit_transform(mapped)
    np.testing.assert_allclose(scaled, expected, rtol=2e-6, atol=2e-6)


def test_parameters_set_after_a_fit_ask_for_another_fit(pixels):
    scaler = ChannelStandardScaler(per_image="channel").fit(pixels)
    with pytest.raises(NotFittedError):
        scaler.set_params(per_image=None).transform(pixels)
    constants = scaler.set_params(mean=0, std=2).transform(pixels)
    np.testing.assert_array_equal(constants, pixels / np.float32(2))


def test_switches_set_after_a_fit_work(pixels):
    flat = pixels.reshape(-1, 3).astype(float)
    scaler = ChannelStandardScaler(with_std=False).fit(pixels).set_params(with_std=True)
    expected = (pixels - flat.mean(axis=0)) / flat.std(axis=0)
    np.testing.assert_allclose(scaler.transform(pixels), expected, rtol=1e-5, atol=1e-5)


def test_parameters_out_of_a_numpy_grid_are_taken(pixels):
    scaler = ChannelStandardScaler(per_image=np.str_("image"), with_mean=np.bool_(True))
    assert scaler.transform(pixels).shape == pixels.shape


def test_one_number_weighs_all_images(pixels):
    one, each = (
        ChannelStandardScaler().fit(pixels, sample_weight=weight)
        for weight in (3, np.full(len(pixels), 3))
    )
    assert one.statistics_ == each.statistics_
    assert one.statistics_.counts.sum() == 3 * pixels.size


def test_weights_that_would_overflow_are_refused():
    scaler = ChannelStandardScaler()
    pixel = np.zeros((1, 1, 1, 3), np.uint8)
    for _ in range(500):
        scaler.partial_fit(pixel, sample_weight=[9e15])
    before = scaler.statistics_
    with pytest.raises(ValueError, match="Pass smaller weights"):
        scaler.fit(pixel, sample_weight=[1e16])
    with pytest.raises(ValueError, match="Pass smaller weights"):
        before + before
    assert scaler.statistics_ is before


def test_paths_given_to_a_scaler_are_sent_to_a_loader(files):
    with pytest.raises(ValueError, match=r"00\.jpg.*Put a JpegLoader and a Resizer before it"):
        ChannelStandardScaler().fit(files)


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ImageFlattener()])
@pytest.mark.parametrize("name", ["images.npy", "images.zarr"])
def test_the_path_of_a_saved_array_is_refused_with_the_call_that_opens_it(
    scaler, name, pixels, tmp_path
):
    path = tmp_path / name
    save_images(pixels, path)

    with pytest.raises(ValueError, match="takes the array in it") as caught:
        scaler.fit(path)

    advised = str(caught.value).partition("Pass ")[2].rstrip(".")
    opened = eval(advised, {"SavedImages": SavedImages})
    np.testing.assert_array_equal(opened, pixels)


def test_a_dask_array_of_unknown_length_is_refused_with_what_finds_it(pixels):
    da = pytest.importorskip("dask.array")
    wanted = np.arange(len(pixels)) % 2 > 0
    images = da.from_array(pixels, chunks=4)[da.from_array(wanted, chunks=4)]

    with pytest.raises(ValueError, match=r"unknown size.*X\.compute_chunk_sizes\(\)"):
        ChannelStandardScaler().fit(images)

    fitted = ChannelStandardScaler().fit(images.compute_chunk_sizes())
    assert fitted.statistics_ == ChannelStandardScaler().fit(pixels[wanted]).statistics_


def test_contents_of_files_given_to_a_scaler_are_not_in_its_message(files):
    content = Path(files[0]).read_bytes()
    with pytest.raises(ValueError, match=r"X holds '<\d+ bytes>'.*Put a JpegLoader") as raised:
        ChannelStandardScaler().fit([content])
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("weight", [1e-6, 1, 1e13])
def test_the_size_of_weights_makes_no_channel_constant(pixels, weight):
    values = pixels / 255
    scaler = ChannelStandardScaler().fit(values, sample_weight=np.full(len(values), weight))
    np.testing.assert_allclose(scaler.scale_, rows(values).std(axis=0))


def test_a_range_set_after_a_fit_waits_for_the_next_fit(pixels):
    ours, theirs = ChannelMinMaxScaler().fit(pixels), MinMaxScaler().fit(rows(pixels))
    ours.set_params(feature_range=(-1, 1))
    theirs.set_params(feature_range=(-1, 1))
    expected = theirs.transform(rows(pixels)).reshape(pixels.shape)
    np.testing.assert_allclose(ours.transform(pixels), expected, atol=1e-6)


def test_a_known_range_however_small_is_taken():
    scaled = ChannelMinMaxScaler(data_range=(0, 1e-20)).transform(np.array([[0.0], [1e-20]]))
    np.testing.assert_allclose(scaled, [[0], [1]])


class Cached(ChannelStandardScaler):
    """Leaves something out of its pickles."""

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "cache"}


def test_a_fit_loses_nothing_that_a_subclass_leaves_out_of_its_pickles(pixels):
    scaler = Cached()
    scaler.cache = object()
    assert scaler.fit(pixels).cache is scaler.cache


LEVELS = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)


@pytest.mark.parametrize(
    ("scaler", "images"),
    [
        (ChannelMinMaxScaler((0, 1e6), dtype="float16"), LEVELS),
        (ChannelMinMaxScaler((0, 1e6), dtype="float16", clip=True), LEVELS),
        (ChannelMinMaxScaler((0, 1e39), data_range=(0, 255)), LEVELS),
        (ChannelMinMaxScaler((-1e308, 1e308)), LEVELS),
        (ChannelMinMaxScaler(data_range=(-1e308, 1e308)), LEVELS),
        (ChannelMinMaxScaler((0, 1e300), per_image="channel"), LEVELS),
        (ChannelStandardScaler(mean=0, std=1e-3, dtype="float16"), LEVELS),
        (ChannelStandardScaler(mean=0, std=1e-3, dtype="float16"), LEVELS.astype("int16")),
        (ChannelStandardScaler(mean=0, std=1e-320), LEVELS),
        (ChannelStandardScaler(mean=0, std=1e-37), LEVELS.astype("float32")),
        (ChannelStandardScaler(mean=0, std=1e-3), LEVELS.astype("float16")),
        (ChannelStandardScaler(mean=-1.7e308, std=1), LEVELS * 1e305),
        (ChannelStandardScaler(per_image="image"), LEVELS * 1e200),
    ],
)
def test_a_result_that_is_not_finite_is_an_error_and_never_an_output(scaler, images):
    for X in (images, lazy(images)) if images.dtype == np.uint8 else (images,):
        with pytest.raises(ValueError, match=r"Pass (images|smaller)"):
            clone(scaler).fit_transform(X)
        with pytest.raises(ValueError, match=r"Pass (images|smaller)"):
            clone(scaler).fit(X).transform(X)


def test_an_inverse_that_is_not_finite_is_an_error():
    scaler = ChannelStandardScaler(mean=0, std=100)
    for dtype, value in (("float64", 1e307), ("float32", 1e37), ("float16", 6e4)):
        with pytest.raises(ValueError, match=f"beyond what {dtype} holds"):
            scaler.inverse_transform(np.full((1, 2, 2, 1), value, dtype))


def test_what_is_clipped_may_be_far_beyond_the_range():
    images = np.array([[[[-6e4], [0.5], [6e4]]]], "float16")
    scaled = ChannelMinMaxScaler(data_range=(0, 0.5), clip=True).transform(images * 1)
    np.testing.assert_array_equal(scaled.ravel(), [0, 1, 1])


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_results_up_to_the_highest_that_a_dtype_holds_are_right(dtype):
    top = float(np.finfo(dtype).max) / 4
    scaled = ChannelMinMaxScaler((0, top), dtype=dtype).fit_transform(LEVELS)
    np.testing.assert_allclose(scaled, LEVELS * (top / 255), rtol=1e-3)
    assert scaled.dtype == dtype
