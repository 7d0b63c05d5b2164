"""A scaler says which statistics it needs: one of covariances takes a single file.

`numpy.cov` on all pixels is the oracle.
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from sknorm_images import (
    ChannelHistogram,
    ChannelStandardScaler,
    JpegLoader,
    Resizer,
    merge_scalers,
)
from tests.fifth_scaler import ChannelCovariance, ChannelWhitener

SIZE = (32, 48)  # that of the fixture `pixels`


def assert_is_that_of(pixels: np.ndarray, scaler: Any, weights: Any = None) -> None:
    """Compare what was learned with NumPy's, and what is scaled with what that makes."""
    flat = pixels.reshape(-1, 3)
    each = None if weights is None else np.repeat(weights, len(flat) // len(pixels))
    covariance = np.cov(flat, rowvar=False, bias=True, aweights=each)
    np.testing.assert_allclose(scaler.covariance_, covariance, rtol=1e-12)
    np.testing.assert_allclose(
        scaler.mean_, np.average(flat, axis=0, weights=each), rtol=1e-12
    )
    assert type(scaler.statistics_) is ChannelCovariance
    scaled = scaler.transform(pixels).reshape(-1, 3)
    identity = np.cov(scaled, rowvar=False, bias=True, aweights=each)
    np.testing.assert_allclose(identity, np.eye(3), atol=1e-5)
    back = scaler.inverse_transform(scaler.transform(pixels))
    np.testing.assert_array_equal(np.rint(back), pixels)


@pytest.fixture
def images(files):
    loader = JpegLoader(n_jobs=2)
    return Resizer(SIZE, reducing_gap=None).transform(loader.transform(files))


@pytest.mark.one_version
@pytest.mark.long
def test_two_processes_learn_the_covariance_of_files(images, pixels):
    assert_is_that_of(pixels, ChannelWhitener().fit(images))


@pytest.mark.parametrize("lazy", [False, True], ids=["an array", "files"])
@pytest.mark.parametrize("weighted", [False, True], ids=["alike", "weighted"])
def test_every_way_to_fit_learns_the_covariance(images, pixels, lazy, weighted):
    X = images.configured() if lazy else pixels
    weights = np.arange(1.0, 25.0) if weighted else None
    parts = [
        (X[rows], None if weights is None else weights[rows])
        for rows in (slice(9), slice(9, 24))
    ]

    at_once = ChannelWhitener().fit(X, sample_weight=weights)
    step_by_step, transformed = ChannelWhitener(), ChannelWhitener()
    for part, weight in parts:
        step_by_step.partial_fit(part, sample_weight=weight)
    transformed.fit_transform(X, sample_weight=weights)
    merged = merge_scalers(
        [ChannelWhitener().fit(part, sample_weight=weight) for part, weight in parts]
    )

    for scaler in (at_once, step_by_step, transformed, merged):
        assert scaler.n_samples_seen_ == 24
        assert_is_that_of(pixels, pickle.loads(pickle.dumps(scaler)), weights)


def test_what_others_need_is_as_before(pixels):
    assert type(ChannelStandardScaler().fit(pixels).statistics_) is ChannelHistogram
    with pytest.raises(ValueError, match="ChannelCovariance cannot be added to"):
        ChannelCovariance.of(pixels) + ChannelHistogram.of(pixels)
