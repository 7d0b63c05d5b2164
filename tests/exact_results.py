"""Statistics and scaled pixels in fractions, and what floats may be off by."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import numpy as np

from sknorm_images import ChannelStandardScaler

EPS = float(np.finfo(np.float64).eps)


@np.vectorize(otypes=[object])
def exact(number: float) -> Fraction:
    return Fraction(number)


def exact_moments(
    X: np.ndarray, weights: Sequence[float] | np.ndarray | None = None
) -> tuple[list[Fraction], list[Fraction]]:
    """Mean and population variance of each channel, without any rounding."""
    weights = exact(np.ones(len(X)) if weights is None else weights)
    pixels = X.reshape(len(X), -1, X.shape[-1])
    values = pixels.astype(object) if X.dtype == np.uint8 else exact(pixels)
    n = weights.sum() * pixels.shape[1]
    means = (weights @ values.sum(axis=1)) / n
    mean_squares = (weights @ (values**2).sum(axis=1)) / n
    return means.tolist(), (mean_squares - means**2).tolist()


def extremes(X: np.ndarray) -> list[np.ndarray]:
    flat = X.reshape(-1, X.shape[-1])
    return [flat.min(axis=0), flat.max(axis=0)]


class Formula:
    """``(x - center) * factor + shift`` in fractions, as the documentation defines it.

    Its methods take the pixels as fractions; `given` is the dtype that they came in.
    """

    def __init__(self, scaler: Any, n_channels: int) -> None:
        zero = np.zeros(n_channels)
        if isinstance(scaler, ChannelStandardScaler):
            mean = scaler.mean_ if scaler.mean is None else scaler.mean
            std = scaler.scale_ if scaler.std is None else scaler.std
            self.center = exact(zero + mean if scaler.with_mean else zero)
            self.factor = 1 / exact(zero + std if scaler.with_std else zero + 1)
            self.shift = exact(zero)
            return
        low, high = scaler.data_range or (scaler.data_min_, scaler.data_max_)
        bottom, top = map(Fraction, scaler.feature_range)
        self.center = exact(zero + low)
        spread = exact(zero + high) - self.center
        if scaler.data_range is None:
            spread[spread < 10 * EPS] = Fraction(1)  # constant, as in scikit-learn
        self.width = top - bottom
        self.factor = self.width / spread
        self.shift = exact(zero + bottom)

    def __call__(self, x: np.ndarray) -> np.ndarray:
        return (x - self.center) * self.factor + self.shift

    def clipped(self, x: np.ndarray) -> np.ndarray:
        """The pixels, where those beyond the range are brought to its ends."""
        return np.clip(x, self.center, self.center + self.width / self.factor)

    def tolerance(self, x: np.ndarray, given: np.dtype[Any], out: np.dtype[Any]) -> np.ndarray:
        """What three roundings in float64, or in float32 for grey levels, and one to `out` do.

        For grey levels the subtrahend is the whole number nearest to the zero of the map, or
        the end of 0 to 255 on its side. So the product and the summand have one sign, or the
        summand is within half a grey level: neither is above ``abs(y) + factor / 2``.
        """
        y, limits = self(x), np.finfo(out)
        terms = (np.abs(x) + np.abs(self.center)) * self.factor + np.abs(self.shift)
        bound = Fraction(float(limits.eps)) * np.abs(y) + 4 * Fraction(EPS) * terms
        if given == np.uint8 and out.itemsize <= 4:
            single = Fraction(float(np.finfo(np.float32).eps))
            bound += 2 * single * (np.abs(y) + self.factor / 2)
        return bound + Fraction(float(limits.smallest_subnormal))

    def inverse_tolerance(
        self, x: np.ndarray, given: np.dtype[Any], out: np.dtype[Any]
    ) -> np.ndarray:
        """What `tolerance` comes to on the way back, and what rounds there."""
        limits, double = np.finfo(out), 4 * Fraction(EPS)
        bound = self.tolerance(x, given, out) / self.factor * (1 + double)
        terms = (np.abs(self(x)) + np.abs(self.shift)) / self.factor + np.abs(self.center)
        bound += double * terms
        bound += Fraction(float(limits.eps)) * (np.abs(x) + bound)
        return bound + Fraction(float(limits.smallest_subnormal))


def within(values: np.ndarray, expected: np.ndarray, bound: np.ndarray) -> bool:
    return bool(np.all(np.abs(exact(values) - expected) <= bound))
