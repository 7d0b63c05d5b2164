"""One object in many threads at once: what each gets is what it would get alone.

Run on free-threaded Python, too: there, nothing but the code itself keeps threads apart.
"""

from __future__ import annotations

import copy
import pickle
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    LazyImages,
    Resizer,
)
from tests.exact_results import exact_moments
from tests.lazy_photos import lazy
from tests.many_threads import at_once, until

pytestmark = pytest.mark.usefixtures("threads_take_turns_often")

N_THREADS = 12
PATIENCE = 300  # seconds; only a test that fails waits so long
BAD = {1: FileNotFoundError, 4: ImageDecodeError}  # what of `broken` cannot be read, and why


# What NumPy makes of the photos, to the last bit: statistics that are rounded once


def exact(pixels: np.ndarray) -> np.ndarray:
    """Mean and variance of each channel, rounded once."""
    return np.array(exact_moments(pixels), float)


def standardised(pixels: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    mean, variance = exact(fitted)
    return (pixels - mean) * (1 / np.sqrt(variance))


def in_range(pixels: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    values = fitted.reshape(-1, fitted.shape[-1]).astype(np.float64)
    return _between(pixels, values.min(axis=0), values.max(axis=0))


def within_percentiles(pixels: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    values = fitted.reshape(-1, fitted.shape[-1])
    return np.clip(_between(pixels, *np.percentile(values, (2, 98), axis=0)), 0, 1)


def _between(pixels: np.ndarray, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    scale = 1 / (high - low)
    return pixels * scale + (0 - low * scale)


def by_itself(pixels: np.ndarray, fitted: np.ndarray) -> np.ndarray:
    return np.stack([standardised(image, image) for image in pixels])


STANDARD = ChannelStandardScaler(dtype="float64")
MINMAX = ChannelMinMaxScaler(dtype="float64")
PERCENTILES = ChannelMinMaxScaler(quantile_range=(2, 98), clip=True, dtype="float64")
PER_IMAGE = ChannelStandardScaler(per_image="channel", dtype="float64")
LEARNING = [
    pytest.param(STANDARD, standardised, id="standard"),
    pytest.param(MINMAX, in_range, id="minmax"),
    pytest.param(PERCENTILES, within_percentiles, id="percentiles"),
]
SCALERS = [*LEARNING, pytest.param(PER_IMAGE, by_itself, id="per image")]


# Reading


def test_one_loader_and_one_resizer_serve_threads_of_other_files(files, pixels):
    loader, resizer = JpegLoader(n_jobs=2), Resizer((32, 48), reducing_gap=None)

    def read(rows: slice) -> np.ndarray:
        return np.asarray(resizer.transform(loader.transform(files[rows])))

    parts = [slice(i, i + 12) for i in range(N_THREADS)]
    found = at_once(*(lambda rows=rows: read(rows) for rows in parts))

    for rows, part in zip(parts, found, strict=True):
        np.testing.assert_array_equal(part, pixels[rows], strict=True)


READS = {
    "array": lambda images: np.asarray(images),
    "items": lambda images: np.stack([images[i] for i in range(len(images))]),
    "iteration": lambda images: np.stack(list(images)),
    "slices": lambda images: np.concatenate([images[:9], images[9:]]),
    "index arrays": lambda images: np.asarray(images[np.arange(24)[::-1]])[::-1],
    "pickles": lambda images: np.asarray(pickle.loads(pickle.dumps(images))),
}


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_threads_that_read_the_same_images_in_different_ways_get_them_all(
    n_jobs, files, pixels
):
    images = lazy(files, n_jobs)
    functions = [lambda read=read: read(images) for read in READS.values()]

    for found in at_once(*functions * 2):
        np.testing.assert_array_equal(found, pixels, strict=True)
    assert images.failures == {}


@pytest.fixture
def broken(files: list[str], tmp_path: Path) -> list[str]:
    """The files, one of which is missing, and one of which is no photo."""
    paths = list(files)
    paths[1] = str(tmp_path / "missing.jpg")
    paths[4] = str(tmp_path / "broken.jpg")
    Path(paths[4]).write_bytes(b"not a photo")
    return paths


def test_each_thread_warns_once_a_call_at_its_line_and_all_find_the_same_failures(
    broken, pixels
):
    images = lazy(broken, 2, on_error="blank")
    expected = pixels.copy()
    expected[list(BAD)] = 0

    def read() -> np.ndarray:
        return np.asarray(images)

    def failures() -> dict[int, type[Exception]]:
        return {i: type(error) for i, error in images.failures.items()}

    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always", ImageDecodeWarning)
        found = at_once(*[read, failures] * (N_THREADS // 2))

    for array, failed in zip(found[::2], found[1::2], strict=True):
        np.testing.assert_array_equal(array, expected, strict=True)
        assert failed == BAD
    assert len(records) == N_THREADS // 2
    for record in records:
        assert record.filename == __file__
        assert {i: type(error) for i, error in record.message.failures.items()} == BAD
        assert record.message.failures[4].position == 4


def test_each_thread_is_told_of_the_first_broken_file_by_its_own_position(broken):
    images = lazy(broken, 2)

    def error_of(start: int) -> tuple[type[Exception], Any]:
        with pytest.raises((ImageDecodeError, OSError)) as caught:
            np.asarray(images[start:])
        return caught.type, getattr(caught.value, "position", None)

    starts = [0, 2, 3, 4] * 3
    found = at_once(*(lambda start=start: error_of(start) for start in starts))

    assert found == [
        (FileNotFoundError, None) if start == 0 else (ImageDecodeError, 4 - start)
        for start in starts
    ]


def test_simd_resizers_of_threads_that_resize_to_other_sizes_do_not_meet(photos):
    # No wheel of it is for free-threaded Python.
    cykooz_resizer = pytest.importorskip("cykooz_resizer")
    bilinear = cykooz_resizer.ResizeAlg.convolution(cykooz_resizer.FilterType.bilinear)
    arrays = [np.asarray(photo)[:200, :300] for photo in photos]

    def alone(array: np.ndarray, height: int, width: int) -> np.ndarray:
        image, resized = Image.fromarray(array), Image.new("RGB", (width, height))
        options = cykooz_resizer.ResizeOptions(bilinear)
        cykooz_resizer.Resizer().resize_pil(image, resized, options)
        return np.asarray(resized)

    sizes = [(20 + 13 * i, 150 - 11 * i) for i in range(N_THREADS)]
    expected = [[alone(array, *size) for array in arrays] for size in sizes]

    def read(size: tuple[int, int]) -> np.ndarray:
        return np.asarray(Resizer(size, engine="simd").transform(arrays * 20))

    found = at_once(*(lambda size=size: read(size) for size in sizes))

    for resized, pair in zip(found, expected, strict=True):
        np.testing.assert_array_equal(resized, np.stack(pair * 20), strict=True)


# A fitted estimator


@pytest.mark.parametrize(("scaler", "formula"), SCALERS)
def test_threads_scale_other_images_with_one_scaler_to_the_last_bit(
    scaler, formula, files, pixels
):
    images = lazy(files, 2)
    scaler = clone(scaler).fit(images)
    parts = [np.roll(np.arange(24), i)[: 24 - i] for i in range(N_THREADS)]
    expected = formula(pixels, pixels)

    found = at_once(
        *(lambda rows=rows: scaler.transform(images[rows]) for rows in parts),
        *(lambda rows=rows: scaler.transform(pixels[rows]) for rows in parts[:4]),
    )

    for rows, scaled in zip(parts + parts[:4], found, strict=True):
        np.testing.assert_array_equal(scaled, expected[rows], strict=True)


@pytest.mark.parametrize("scaler", [STANDARD, MINMAX])
def test_threads_invert_other_images_with_one_scaler(scaler, pixels):
    scaler = clone(scaler).fit(pixels)
    scaled = scaler.transform(pixels)

    found = at_once(
        *(lambda i=i: scaler.inverse_transform(scaled[i:]) for i in range(N_THREADS))
    )

    for i, grey_levels in enumerate(found):
        np.testing.assert_array_equal(np.rint(grey_levels), pixels[i:])


def test_threads_flatten_other_images_with_one_flattener(files, pixels):
    images = lazy(files, 2)
    flattener = ImageFlattener().fit(images)

    found = at_once(*(lambda i=i: flattener.transform(images[i:]) for i in range(N_THREADS)))

    for i, rows in enumerate(found):
        np.testing.assert_array_equal(rows, pixels[i:].reshape(24 - i, -1), strict=True)


# Fits at the same time


@pytest.mark.parametrize(("scaler", "formula"), LEARNING)
def test_clones_that_threads_fit_to_the_same_images_learn_the_same(
    scaler, formula, files, pixels
):
    images = lazy(files, 2)
    expected = formula(pixels, pixels)

    for scaled in at_once(*[lambda: clone(scaler).fit_transform(images)] * 6):
        np.testing.assert_array_equal(scaled, expected, strict=True)
    for fitted in at_once(*[lambda: clone(scaler).fit(images)] * 6):
        np.testing.assert_array_equal(fitted.transform(pixels), expected, strict=True)


@pytest.fixture
def parts(pixels: np.ndarray) -> list[np.ndarray]:
    """Images in parts of 1, 2, 4 and 8: how many were counted tells which parts they are."""
    return [pixels[0:1], pixels[1:3], pixels[3:7], pixels[7:15]]


def those_counted(scaler: Any, parts: list[np.ndarray]) -> np.ndarray:
    """The images of the parts that a scaler says to have counted."""
    counted = [part for part in parts if scaler.n_samples_seen_ & len(part)]
    assert scaler.n_samples_seen_ == sum(map(len, counted))
    return np.concatenate(counted)


def assert_whole(
    scaler: Any, parts: list[np.ndarray], formula: Callable[..., np.ndarray]
) -> None:
    """Whatever images a scaler has counted: all it knows is of the same ones."""
    counted = those_counted(scaler, parts)
    assert scaler.statistics_ == ChannelHistogram.of(counted)
    np.testing.assert_array_equal(scaler.transform(parts[0]), formula(parts[0], counted))


@pytest.mark.parametrize(("scaler", "formula"), LEARNING)
def test_while_a_scaler_is_fitted_anew_others_see_the_old_state_or_the_new(
    scaler, formula, parts
):
    scaler = clone(scaler).fit(parts[0])
    old_or_new = [formula(parts[0], part) for part in (parts[0], parts[3])]
    seen = []

    def fit() -> None:
        end = time.monotonic() + PATIENCE
        while set(seen) != {0, 1} and time.monotonic() < end:
            for _ in range(30):
                scaler.fit(parts[3]).fit(parts[0])

    def scale() -> None:
        scaled = scaler.transform(parts[0])
        seen.append(next(i for i, ok in enumerate(old_or_new) if (scaled == ok).all()))

    copies = [
        lambda: assert_whole(copy.copy(scaler), parts, formula),
        lambda: assert_whole(pickle.loads(pickle.dumps(scaler)), parts, formula),
    ]
    until(fit, [scale, *copies, scale])

    assert set(seen) == {0, 1}


def test_while_images_are_added_to_a_scaler_others_see_a_state_between_two_calls(parts):
    scaler = clone(STANDARD).partial_fit(parts[0])
    prefixes = [np.concatenate(parts[:n]) for n in (1, 2, 3, 4)]
    between = [standardised(parts[0], prefix) for prefix in prefixes]
    seen = []

    def add() -> None:
        end = time.monotonic() + PATIENCE
        while len(set(seen)) < 2 and time.monotonic() < end:
            for _ in range(25):
                scaler.fit(parts[0])
                for part in parts[1:]:
                    scaler.partial_fit(part)

    def scale() -> None:
        scaled = scaler.transform(parts[0])
        seen.append(next(i for i, ok in enumerate(between) if (scaled == ok).all()))

    until(add, [scale] * 3)

    assert len(set(seen)) > 1


@pytest.mark.parametrize(("scaler", "formula"), LEARNING)
def test_of_fits_at_the_same_time_one_wins_wholly(scaler, formula, parts):
    scaler = clone(scaler)
    unfit = np.full((2, 4, 4, 3), np.nan)  # its fit fails, and changes nothing

    def fail() -> None:
        with pytest.raises(ValueError, match="NaN"):
            scaler.fit(unfit)

    for _ in range(10):
        fits = [lambda part=part: scaler.fit(part) for part in parts]
        at_once(*fits, *[fail] * 2, *fits)
        assert scaler.n_samples_seen_ in map(len, parts)
        assert_whole(scaler, parts, formula)


def test_of_images_added_at_the_same_time_some_may_be_lost_but_none_is_mixed(parts):
    for scaler in [clone(STANDARD) for _ in range(20)]:
        add = scaler.partial_fit
        at_once(*(lambda part=part, add=add: add(part) for part in parts))
        assert_whole(scaler, parts, standardised)


def test_images_that_threads_count_apart_add_up_to_those_of_one_fit(parts, pixels):
    fitted = at_once(*(lambda part=part: clone(STANDARD).fit(part) for part in parts))

    total = sum((scaler.statistics_ for scaler in fitted[1:]), fitted[0].statistics_)

    mean, variance = exact(pixels[:15])
    np.testing.assert_array_equal(total.mean, mean)
    np.testing.assert_array_equal(total.var, variance)


# A fit between any two looks that another call takes at its images


def meddled_with(images: LazyImages, look: int, meddle: Callable[[], Any]) -> LazyImages:
    """The images, but `meddle` is called when one of them is looked at for that time."""
    looks = iter(range(1, 10**6))

    class Meddled(LazyImages):
        def __getattribute__(self, name: str) -> Any:
            if not name.startswith("__") and next(looks) == look:
                meddle()
            return super().__getattribute__(name)

    meddled = object.__new__(Meddled)
    meddled.__dict__ = dict(vars(images))
    return meddled


@pytest.mark.parametrize(("scaler", "formula"), LEARNING)
def test_a_fit_to_other_channels_amid_a_transform_makes_no_mixture(
    scaler, formula, files, pixels
):
    images, expected = lazy(files[:2]), formula(pixels[:2], pixels[:2])
    scaler = clone(scaler)
    meddled = []

    def meddle() -> None:
        meddled.append(scaler.fit(pixels[2:4, ..., :1]))

    for look in range(1, 100):
        scaler.fit(images)
        try:
            scaled = scaler.transform(meddled_with(images, look, meddle))
        except ValueError as error:
            assert "expecting 1 features" in str(error)  # noqa: PT017 (some looks raise)
        else:
            np.testing.assert_array_equal(scaled, expected, strict=True)
        if len(meddled) < look:  # no more looks were taken
            break
    assert len(meddled) > 5


@pytest.mark.parametrize(("scaler", "formula"), LEARNING)
def test_fit_transform_scales_by_its_own_fit_whatever_others_fit(
    scaler, formula, files, pixels
):
    images, expected = lazy(files[:2]), formula(pixels[:2], pixels[:2])
    scaler = clone(scaler)
    meddled = []

    def meddle() -> None:
        meddled.append(scaler.fit(pixels[2:4]))

    for look in range(1, 100):
        scaled = scaler.fit_transform(meddled_with(images, look, meddle))
        np.testing.assert_array_equal(scaled, expected, strict=True)
        if len(meddled) < look:
            break
    assert len(meddled) > 5


def test_fit_transform_of_an_array_scales_by_its_own_fit_whatever_others_fit(pixels):
    scaler = clone(STANDARD)
    own = pixels[:2]
    expected = standardised(own, own)

    def fit_and_scale() -> None:
        for _ in range(150):
            np.testing.assert_array_equal(scaler.fit_transform(own), expected)

    until(fit_and_scale, [lambda: scaler.fit(pixels[2:3])] * 2)
