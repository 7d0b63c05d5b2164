"""Images in chunked arrays: read slice by slice, each chunk once."""

from __future__ import annotations

from typing import Any

import dask.array as da
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from sklearn.base import clone

from sknorm_images import ChannelMinMaxScaler, ChannelStandardScaler
from sknorm_images._images.stored import StoredImages

SCALERS = [
    ChannelStandardScaler(),
    ChannelStandardScaler(per_image="channel"),
    ChannelMinMaxScaler(quantile_range=(1, 99), clip=True),
]


class Recording:
    """A chunked array that writes down which rows were asked for."""

    def __init__(self, array: NDArray[Any], chunks: tuple[int, ...] | None) -> None:
        self.array = array
        self.shape, self.dtype, self.chunks = array.shape, array.dtype, chunks
        self.asked: list[Any] = []

    def __getitem__(self, key: Any) -> NDArray[Any]:
        self.asked.append(key)
        return self.array[key]


def in_zarr(pixels: NDArray[Any], path: Any) -> zarr.Array:
    stored = zarr.create_array(
        str(path / "images.zarr"),
        shape=pixels.shape,
        dtype=pixels.dtype,
        chunks=(5, *pixels.shape[1:]),
    )
    stored[:] = pixels
    return stored


def in_dask(pixels: NDArray[Any], path: Any) -> da.Array:
    return da.from_array(pixels, chunks=(7, 32, 48, 3))


@pytest.mark.parametrize("store", [in_zarr, in_dask])
@pytest.mark.parametrize("scaler", SCALERS, ids=str)
def test_a_store_is_fitted_and_scaled_as_the_array_in_it(store, scaler, pixels, tmp_path):
    stored = store(pixels, tmp_path)
    expected = clone(scaler).fit(pixels)
    fitted = clone(scaler).fit(stored)
    if hasattr(expected, "statistics_"):
        assert fitted.statistics_ == expected.statistics_
    np.testing.assert_array_equal(fitted.transform(stored), expected.transform(pixels))
    np.testing.assert_array_equal(
        clone(scaler).fit_transform(stored), expected.transform(pixels)
    )


@pytest.mark.parametrize("n_chunk", [1, 7, 24, 100])
def test_each_chunk_is_read_once_and_alone(n_chunk, pixels):
    stored = Recording(np.repeat(pixels, 40, axis=0), (n_chunk, 32, 48, 3))
    ChannelStandardScaler().fit(stored)
    ends = [0, *(rows.stop for rows in stored.asked)]
    assert [rows.start for rows in stored.asked] == ends[:-1]
    assert ends[-1] == len(stored.array)
    assert all(rows.start % n_chunk == 0 for rows in stored.asked)
    assert len(stored.asked) > 1


def test_images_at_random_are_read_one_by_one_and_others_at_once(pixels):
    stored = Recording(pixels, (5, 32, 48, 3))
    images = StoredImages(stored)
    for rows in (np.array([7, 3, 3, 20]), np.array([4, 5, 6]), np.array([], int)):
        np.testing.assert_array_equal(images[rows], pixels[rows])
    assert stored.asked == [7, 3, 3, 20, slice(4, 7), slice(0)]


def test_an_array_without_chunks_of_its_own_is_read_in_parts(pixels):
    stored = Recording(np.repeat(pixels, 40, axis=0), None)  # as h5py may have it
    fitted = ChannelStandardScaler().fit(stored)
    assert fitted.n_samples_seen_ == 960
    assert max(rows.stop - rows.start for rows in stored.asked) < 960


def test_floats_in_a_store_are_fitted_to_rounding_and_checked(pixels):
    scaled = (pixels / 255).astype("float32")
    stored = Recording(scaled, (4, 32, 48, 3))
    fitted = ChannelStandardScaler().fit(stored)
    expected = scaled.astype("float64").mean(axis=(0, 1, 2))
    np.testing.assert_allclose(fitted.mean_, expected, rtol=1e-12)
    assert fitted.transform(stored).dtype == "float32"
    np.testing.assert_allclose(
        fitted.inverse_transform(Recording(scaled, (4, 32, 48, 3))),
        fitted.inverse_transform(scaled),
    )
    scaled[11, 3, 4, 1] = np.nan
    with pytest.raises(ValueError, match="Input X contains NaN"):
        ChannelStandardScaler().fit(stored)


def test_percentiles_of_floats_in_a_store_are_refused(pixels):
    stored = Recording(pixels.astype("float32"), (4, 32, 48, 3))
    with pytest.raises(ValueError, match="needs all values at once, and X is of dtype float"):
        ChannelMinMaxScaler(quantile_range=(1, 99)).fit(stored)


def test_another_number_of_channels_is_refused(pixels, tmp_path):
    fitted = ChannelStandardScaler().fit(pixels[..., :1])
    with pytest.raises(ValueError, match=r"X has 3 features, but .* is expecting 1 features"):
        fitted.transform(in_zarr(pixels, tmp_path))
