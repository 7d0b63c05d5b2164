"""A scaler with statistics of its own, as somebody would add one: it mixes the channels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._scaling.statistics import Statistics


@dataclass(frozen=True, eq=False, repr=False)
class ChannelCovariance(Statistics):
    """Mean of each channel, and the sums of products of what deviates from it."""

    weight: float
    mean: NDArray[np.float64]
    products: NDArray[np.float64]
    data_min: NDArray[np.float64]
    data_max: NDArray[np.float64]
    n_samples: int

    @classmethod
    def of(cls, images: NDArray[Any], weights: NDArray[Any] | None = None) -> Self:
        pixels = images.reshape(-1, images.shape[-1]).astype(np.float64)
        weights = np.ones(len(images)) if weights is None else weights
        each = np.repeat(weights, len(pixels) // len(images))
        mean = each @ pixels / each.sum()
        products = (pixels - mean).T @ ((pixels - mean) * each[:, np.newaxis])
        low, high = pixels.min(axis=0), pixels.max(axis=0)
        return cls(float(each.sum()), mean, products, low, high, len(images))

    def __add__(self, other: Self) -> Self:
        self._check_addable(other)
        weight, delta = self.weight + other.weight, other.mean - self.mean
        between = np.outer(delta, delta) * (self.weight * other.weight / weight)
        return type(self)(
            weight,
            self.mean + delta * (other.weight / weight),
            self.products + other.products + between,
            np.minimum(self.data_min, other.data_min),
            np.maximum(self.data_max, other.data_max),
            self.n_samples + other.n_samples,
        )

    @property
    def n_channels(self) -> int:
        return len(self.mean)

    @property
    def covariance(self) -> NDArray[np.float64]:
        return self.products / self.weight

    @property
    def var(self) -> NDArray[np.float64]:
        return self.covariance.diagonal()


@dataclass(frozen=True)
class Whitening:
    """``(x - center) @ matrix``, with a matrix of shape (n_channels, n_channels)."""

    center: NDArray[np.float64]
    matrix: NDArray[np.float64]

    def apply(self, x: NDArray[Any], out: NDArray[Any], *, clipped: bool = False) -> None:
        out[...] = (x - self.center) @ self.matrix

    def invert(self, y: NDArray[Any], out: NDArray[Any]) -> None:
        out[...] = y @ np.linalg.inv(self.matrix) + self.center


class ChannelWhitener(ChannelScaler):
    """Make the channels uncorrelated, each of unit variance (ZCA whitening)."""

    per_image = None
    _mixes_channels: ClassVar[bool] = True
    _learns = True

    def __init__(self, *, dtype: Any = "float32") -> None:
        self.dtype = dtype

    def _kind_of_statistics(self, dtype: np.dtype[Any], n_channels: int) -> type[Statistics]:
        return ChannelCovariance

    def _attributes(
        self, statistics: Any, n_channels: int, pixels: NDArray[Any] | None
    ) -> dict[str, Any]:
        variances, axes = np.linalg.eigh(statistics.covariance)
        whitening = axes @ np.diag(1 / np.sqrt(variances)) @ axes.T
        return {
            "mean_": statistics.mean,
            "covariance_": statistics.covariance,
            "whitening_": whitening,
        }

    def _affine_from(self, attributes: Mapping[str, Any], n_channels: int) -> Whitening:
        return Whitening(attributes["mean_"], attributes["whitening_"])
