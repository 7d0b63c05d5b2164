"""Images, weights and scalers that Hypothesis makes up."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sknorm_images import ChannelMinMaxScaler, ChannelStandardScaler
from sknorm_images._scaling.statistics import MAX_HISTOGRAM_CHANNELS

FLOATS = ("float16", "float32", "float64")


def shapes(n_channels: st.SearchStrategy[int], max_images: int = 6) -> st.SearchStrategy[Any]:
    """Shapes of arrays of images that have 0 to 2 dimensions beside the channels."""
    sides = st.lists(st.integers(1, 4), max_size=2)
    return st.builds(
        lambda n, middle, channels: (n, *middle, channels),
        st.integers(1, max_images),
        sides,
        n_channels,
    )


@st.composite
def grey_images(
    draw: Callable[..., Any], n_channels: Sequence[int] = (1, 2, 3, 4), max_images: int = 6
) -> np.ndarray:
    """uint8 images: any bytes, or mostly of one grey level."""
    shape = draw(shapes(st.sampled_from(n_channels), max_images))
    size = math.prod(shape)
    if draw(st.booleans()):
        pixels = draw(st.binary(min_size=size, max_size=size))
        return np.frombuffer(pixels, np.uint8).reshape(shape)
    return draw(hnp.arrays(np.uint8, shape))


@st.composite
def images_of(draw: Callable[..., Any], dtype: str, max_images: int = 6) -> np.ndarray:
    """Images of any dtype; floats within a million, float16 within a thousand."""
    if dtype == "uint8":
        return draw(grey_images(max_images=max_images))
    shape = draw(shapes(st.integers(1, 4), max_images))
    if np.dtype(dtype).kind in "iu":
        return draw(hnp.arrays(dtype, shape))
    limit = 1000 if dtype == "float16" else 2**20
    elements = hnp.from_dtype(
        np.dtype(dtype), min_value=-limit, max_value=limit, allow_subnormal=False
    )
    return draw(hnp.arrays(dtype, shape, elements=elements))


float_images = st.sampled_from(FLOATS).flatmap(images_of)
wide_images = st.sampled_from(["int16", "uint16"]).flatmap(images_of)
images = st.one_of(grey_images(), grey_images(), wide_images, float_images)
many_channels = grey_images(n_channels=(65, 70), max_images=4)  # beyond a histogram each
counted_images = st.one_of(grey_images(), many_channels)

whole_weights = st.integers(0, 5)
binary_weights = st.integers(0, 40).map(lambda eighths: eighths / 8)  # their sums are exact
either_weights = whole_weights | binary_weights
any_weights = st.floats(2.0**-20, 2.0**20)


def weighted(
    images: st.SearchStrategy[np.ndarray], weights: st.SearchStrategy[float]
) -> st.SearchStrategy[tuple[np.ndarray, np.ndarray]]:
    """Images, and a weight for each, of which at least one is above zero."""
    return images.flatmap(lambda X: st.tuples(st.just(X), weights_of(X, weights)))


def weights_of(
    X: np.ndarray, weights: st.SearchStrategy[float]
) -> st.SearchStrategy[np.ndarray]:
    """A weight for each image, of which at least one is above zero."""
    return st.lists(weights, min_size=len(X), max_size=len(X)).map(
        lambda drawn: np.array(drawn if any(drawn) else [1] * len(X))
    )


@st.composite
def parted(
    draw: Callable[..., Any], images: st.SearchStrategy[np.ndarray]
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Images, and their positions shuffled and cut into parts, some perhaps empty."""
    X = draw(images)
    order = draw(st.permutations(range(len(X))))
    cuts = sorted(draw(st.lists(st.integers(0, len(X)), max_size=4)))
    return X, np.split(np.array(order), cuts)


def one_or_each(number: st.SearchStrategy[float], n_channels: int) -> st.SearchStrategy[Any]:
    """One number for all channels, or one for each."""
    return number | st.lists(number, min_size=n_channels, max_size=n_channels)


@st.composite
def standard_scalers(
    draw: Callable[..., Any], n_channels: int, dtypes: Sequence[str] = FLOATS
) -> ChannelStandardScaler:
    with_mean, with_std = draw(st.booleans()), draw(st.booleans())
    mean = st.none() | one_or_each(st.floats(0, 255), n_channels)
    std = st.none() | one_or_each(st.floats(0.01, 1000), n_channels)
    return ChannelStandardScaler(
        mean=draw(mean) if with_mean else None,
        std=draw(std) if with_std else None,
        with_mean=with_mean,
        with_std=with_std,
        dtype=draw(st.sampled_from(dtypes)),
    )


@st.composite
def pairs(draw: Callable[..., Any], low: float, high: float, width: float) -> tuple[Any, Any]:
    """Two numbers from `low` to `high`, the second at least `width` above the first."""
    bottom = draw(st.floats(low, high - width))
    return bottom, draw(st.floats(bottom + width, high))


@st.composite
def min_max_scalers(
    draw: Callable[..., Any], n_channels: int, dtypes: Sequence[str] = FLOATS
) -> ChannelMinMaxScaler:
    """Percentiles are asked for where one fit with any weights can learn them."""
    known = pairs(-50, 300, width=0.01)
    each = st.lists(known, min_size=n_channels, max_size=n_channels)
    ends = each.map(lambda ranges: tuple(map(list, zip(*ranges, strict=True))))
    data_range = draw(st.none() | known | ends)
    percentiles = data_range is None and n_channels <= MAX_HISTOGRAM_CHANNELS
    quantiles = st.just((0.0, 100.0)) | pairs(0, 100, width=0.01)
    return ChannelMinMaxScaler(
        draw(pairs(-1000, 1000, width=1)),
        clip=draw(st.booleans()),
        data_range=data_range,
        quantile_range=draw(quantiles) if percentiles else (0.0, 100.0),
        dtype=draw(st.sampled_from(dtypes)),
    )


def scalers(
    n_channels: int, dtypes: Sequence[str] = FLOATS
) -> st.SearchStrategy[ChannelStandardScaler | ChannelMinMaxScaler]:
    """Scalers with one map for all images, which has an inverse unless it clips."""
    return standard_scalers(n_channels, dtypes) | min_max_scalers(n_channels, dtypes)


def any_scalers(
    n_channels: int, dtypes: Sequence[str] = FLOATS
) -> st.SearchStrategy[ChannelStandardScaler | ChannelMinMaxScaler]:
    """Scalers of all kinds: with one map for all images, or with one for each."""
    per_image, dtype = st.sampled_from(["channel", "image"]), st.sampled_from(dtypes)
    return st.one_of(
        scalers(n_channels, dtypes),
        st.builds(ChannelStandardScaler, per_image=per_image, dtype=dtype),
        st.builds(ChannelMinMaxScaler, per_image=per_image, dtype=dtype),
    )


def with_scaler(
    images: st.SearchStrategy[np.ndarray], scaler: Callable[[int], Any] = scalers
) -> st.SearchStrategy[tuple[Any, np.ndarray]]:
    """A scaler for the channels of images, and these."""
    return images.flatmap(lambda X: st.tuples(scaler(X.shape[-1]), st.just(X)))
