"""on_error="blank": the job is finished, and nothing bad is counted or hidden."""

from __future__ import annotations

import pickle
from typing import Any

import joblib
import numpy as np
import pytest

from sknorm_images import (
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from sknorm_images._common.failures import Failures
from tests import new_process
from tests.conftest import crops, encode
from tests.lazy_photos import OnACrowdedMachine


@pytest.fixture
def with_bad_ones(files, photos, tmp_path):
    """24 good files, with one that is missing and one that is truncated among them."""
    truncated = tmp_path / "half.jpg"
    truncated.write_bytes(encode(photos[1])[:-20_000])
    return [*files[:3], str(tmp_path / "gone.jpg"), *files[3:20], str(truncated), *files[20:]]


BAD = [3, 21]


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("scaler", ["standard", "minmax"])
def test_blank_leaves_out_images_that_cannot_be_read_and_lists_them_once(
    with_bad_ones, files, scaler, n_jobs
):
    good = make_image_pipeline((16, 16), scaler).fit(files)
    expected = np.insert(good.transform(files), [3, 20], 0, axis=0)
    pipeline = make_image_pipeline((16, 16), scaler, on_error="blank", n_jobs=n_jobs)
    for call in (
        lambda: pipeline.fit_transform(with_bad_ones),
        lambda: pipeline.transform(with_bad_ones),
    ):
        with pytest.warns(ImageDecodeWarning, match="2 of 26 images") as caught:
            np.testing.assert_array_equal(call(), expected)
        assert len(caught) == 1
        assert "gone.jpg" in str(caught[0].message)
        assert "half.jpg': " in str(caught[0].message)
    with pytest.warns(ImageDecodeWarning) as caught:
        pipeline.fit(with_bad_ones)
    assert len(caught) == 1
    assert pipeline[-1].statistics_ == good[-1].statistics_
    assert pipeline[-1].n_samples_seen_ == 24


@pytest.mark.parametrize("call", ["fit", "fit_transform", "transform"])
def test_no_image_that_can_be_read_is_an_error_under_blank_too(call, pixels):
    pipeline = make_image_pipeline((16, 16), on_error="blank")
    pipeline[-1].fit(pixels)
    with pytest.raises(ValueError, match=r"None of the 2 images can be read.*a\.jpg"):
        getattr(pipeline, call)(["a.jpg", "b.jpg"])


@pytest.mark.parametrize("per_image", [None, "channel"])
@pytest.mark.parametrize("call", ["fit_transform", "transform"])
def test_the_warning_points_at_the_caller(call, per_image, with_bad_ones):
    images = make_image_pipeline((16, 16), on_error="blank")[:2].transform(with_bad_ones)
    scaler = ChannelStandardScaler(per_image=per_image).fit(images[:3])
    with pytest.warns(ImageDecodeWarning) as caught:
        getattr(scaler, call)(images)
    assert [warning.filename for warning in caught] == [__file__]


def test_errors_under_blank_do_not_ask_for_it(not_a_photo):
    scaler = ChannelStandardScaler(mean=100, std=50)
    images = JpegLoader(on_error="blank").transform([not_a_photo])
    for call, match in (
        (lambda: scaler.transform(Resizer(8).transform(images)), "None of the 1 images"),
        (lambda: scaler.transform(images), "black image"),
    ):
        with pytest.raises(ValueError, match=rf"{match}.*no known image format") as raised:
            call()
        assert "pass on_error" not in str(raised.value)


def test_weights_are_blank_or_zero_for_all_is_an_error(with_bad_ones):
    images = make_image_pipeline((16, 16), on_error="blank")[:2].transform(with_bad_ones)
    weights = np.zeros(26)
    weights[BAD] = 1
    with pytest.raises(ValueError, match=r"sample_weight; .*gone\.jpg"):
        ChannelStandardScaler().fit(images, sample_weight=weights)


def test_blank_swallows_no_fault_of_the_machine(files):
    paths = [*files[:5], OnACrowdedMachine(files[5])]
    with pytest.raises(OSError, match="Too many open files"):
        make_image_pipeline((8, 8), on_error="blank").fit(paths)


N_FILES, N_BAD = 10_000, 500


@pytest.fixture(scope="module")
def ten_thousand(photos, tmp_path_factory) -> tuple[list[str], np.ndarray]:
    """Paths of small files, and which 500 of them cannot be read, for five reasons."""
    folder = tmp_path_factory.mktemp("many")
    good, bad = [], [str(folder / "missing.jpg"), str(folder)]
    for i, crop in enumerate(crops(photos, 50)):
        path = folder / f"{i}.jpg"
        path.write_bytes(encode(crop.resize((24, 18))))
        good.append(str(path))
    for name, content in {
        "half.jpg": encode(photos[0])[:9000],
        "page.jpg": b"<html>404</html>",
        "empty.jpg": b"",
    }.items():
        (folder / name).write_bytes(content)
        bad.append(str(folder / name))
    is_bad = np.zeros(N_FILES, bool)
    is_bad[np.random.default_rng(0).choice(len(is_bad), N_BAD, replace=False)] = True
    paths = [bad[i % 5] if wrong else good[i % 50] for i, wrong in enumerate(is_bad)]
    return paths, is_bad


def fitted_on_the_good(scaler: str, paths: list[str], is_bad: np.ndarray) -> Any:
    good = [path for path, wrong in zip(paths, is_bad, strict=True) if not wrong]
    return make_image_pipeline((16, 16), scaler).fit(good)[-1]


BACKENDS = ["sequential", "threading", "loky"]


@pytest.mark.long
@pytest.mark.parametrize(
    ("n_files", "scaler", "backend"),
    [
        (N_FILES, "standard", "threading"),
        (2_000, "standard", "sequential"),  # 31 chunks, which other workers read
        (2_000, "standard", "loky"),
        (2_000, "minmax", "threading"),
    ],
)
def test_one_file_in_20_that_cannot_be_read_changes_no_bit_of_the_statistics(
    ten_thousand, n_files, scaler, backend
):
    paths, is_bad = (part[:n_files] for part in ten_thousand)
    n_bad = int(is_bad.sum())
    pipeline = make_image_pipeline((16, 16), scaler, on_error="blank")

    with (
        pytest.warns(ImageDecodeWarning, match=f"^{n_bad} of {n_files} images") as caught,
        joblib.parallel_config(backend=backend, n_jobs=2),
    ):
        pipeline.fit(paths)

    # JAX 0.4, where other tests imported it, warns when loky starts its processes.
    (warning,) = [each.message for each in caught if each.category is not RuntimeWarning]
    failures = warning.failures
    assert list(failures) == np.flatnonzero(is_bad).tolist()
    for i, error in failures.items():
        source = error.source if isinstance(error, ImageDecodeError) else error.filename
        assert source == paths[i]
    assert {type(error) for error in failures.values()} == {
        ImageDecodeError,
        FileNotFoundError,
        IsADirectoryError,
    }
    n_named = sum(str(warning).count(repr(path)) for path in {paths[i] for i in failures})
    assert 1 <= n_named <= 20
    assert f"and {n_bad - n_named} more; `failures` has them all" in str(warning)
    expected = fitted_on_the_good(scaler, paths, is_bad)
    assert pipeline[-1].n_samples_seen_ == n_files - n_bad
    assert pipeline[-1].statistics_ == expected.statistics_
    for name in ("mean_", "var_", "data_min_", "data_max_", "scale_"):
        if hasattr(expected, name):
            assert getattr(pipeline[-1], name).tobytes() == getattr(expected, name).tobytes()


@pytest.mark.long
def test_one_file_in_20_that_cannot_be_read_changes_no_bit_under_multiprocessing_either(
    ten_thousand,
):
    # In a process of its own: one that has run JAX must not fork.
    code = """
import pickle, warnings
import joblib
from sknorm_images import make_image_pipeline

pipeline = make_image_pipeline((16, 16), on_error="blank")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        pipeline.fit(inputs["paths"])
[warning] = caught
print(json.dumps([pickle.dumps(pipeline[-1]).hex(), list(warning.message.failures)]))
"""
    paths, is_bad = (part[:2_000] for part in ten_thousand)
    pickled, failures = new_process.answer(code, paths=paths)
    scaler = pickle.loads(bytes.fromhex(pickled))
    assert failures == np.flatnonzero(is_bad).tolist()
    assert scaler.n_samples_seen_ == np.count_nonzero(~is_bad)
    assert scaler.statistics_ == fitted_on_the_good("standard", paths, is_bad).statistics_


@pytest.mark.long
@pytest.mark.parametrize("backend", BACKENDS)
def test_files_that_cannot_be_read_are_left_out_of_every_way_to_fit(ten_thousand, backend):
    """1,000 files of the 10,000, in one call of each method and in several."""
    paths, is_bad = (part[:1000] for part in ten_thousand)
    n_bad = int(is_bad.sum())
    good = [path for path, wrong in zip(paths, is_bad, strict=True) if not wrong]
    expected = make_image_pipeline((16, 16)).fit(good)
    images = make_image_pipeline((16, 16), on_error="blank")[:2].transform(paths)

    with joblib.parallel_config(backend=backend, n_jobs=2):
        whole, parts = ChannelStandardScaler(), ChannelStandardScaler()
        with pytest.warns(ImageDecodeWarning, match=f"^{n_bad} of 1000 images") as caught:
            output = whole.fit_transform(images)
        assert len(caught) == 1
        for start in range(0, 1000, 300):
            with pytest.warns(ImageDecodeWarning) as caught:
                parts.partial_fit(images[start : start + 300])
            assert len(caught) == 1
            n_bad -= len(caught[0].message.failures)
    assert n_bad == 0

    for scaler in (whole, parts):
        assert scaler.n_samples_seen_ == len(good)
        assert scaler.statistics_ == expected[-1].statistics_
    assert not output[is_bad].any()
    np.testing.assert_array_equal(output[~is_bad], expected.transform(good))


def test_zeros_take_the_place_of_blank_images_and_of_no_others():
    failures = Failures({1: ImageDecodeError("1.jpg", "broken")})
    ones = np.ones((3, 2, 2), np.float32)
    read_only = ones.copy()
    read_only.flags.writeable = False

    copied = failures.zeroed(read_only)
    np.testing.assert_array_equal(copied.any(axis=(1, 2)), [True, False, True])
    assert read_only.all()
    assert failures.zeroed(ones) is ones  # in place where that is possible
    np.testing.assert_array_equal(ones, copied)
    assert Failures().zeroed(read_only) is read_only
