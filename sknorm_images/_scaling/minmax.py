"""ChannelMinMaxScaler: scale each channel to a given range."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sknorm_images._common.parameters import (
    FloatArray,
    check_choice,
    finite_numbers,
    per_channel,
)
from sknorm_images._common.published import published
from sknorm_images._common.sample_weights import Weights
from sknorm_images._common.wording import show_value
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.stored import Array
from sknorm_images._scaling.affine import Affine, PixelMap, refuse_overflow
from sknorm_images._scaling.base import ChannelScaler, nonzero
from sknorm_images._scaling.statistics import (
    MAX_HISTOGRAM_CHANNELS,
    ChannelHistogram,
    Statistics,
    check_percentiles,
)

_WHOLE_RANGE = (0.0, 100.0)


@published("sknorm_images")
class ChannelMinMaxScaler(ChannelScaler):
    """Scale each channel to a range: ``(x - data_min) / (data_max - data_min)``.

    As in :class:`sklearn.preprocessing.MinMaxScaler` with the pixels as samples, that
    fraction is then mapped to `feature_range`.

    Parameters
    ----------
    feature_range : tuple of two floats, default=(0, 1)
        The range of the output.
    clip : bool, default=False
        Whether to clip values outside `feature_range`, such as later pixels that are darker or
        brighter than all those that were fitted.
    data_range : array-like of shape (2,) or (2, n_channels) or None, default=None
        Minimum and maximum in grey levels, if they are known beforehand, so that no fit is
        needed. ``(0, 255)`` is the plain ``rescale=1/255``. None learns them.
    quantile_range : tuple of two floats, default=(0.0, 100.0)
        Percentiles, from 0 to 100, to use as minimum and maximum, as in
        :class:`sklearn.preprocessing.RobustScaler`; they equal ``numpy.percentile``. Values
        other than the default need uint8 images of at most 4096 channels, or one array in one
        `fit`.
    per_image : {"channel", "image"} or None, default=None
        None scales all images alike, by what `fit` learned. "channel" scales each image by
        its own channels, "image" by all its channels together. Neither needs a fit, and
        neither can be inverted.
    dtype : dtype, default="float32"
        Floating type of the output for integer input; floating input keeps its own.

    Attributes
    ----------
    data_min_ : ndarray of shape (n_channels,), dtype float64
        Minimum, or the percentile that stands for it, in grey levels.
    data_max_ : ndarray of shape (n_channels,), dtype float64
        Maximum, or the percentile that stands for it, in grey levels.
    data_range_ : ndarray of shape (n_channels,), dtype float64
        ``data_max_ - data_min_``.
    scale_ : ndarray of shape (n_channels,), dtype float64
        The output is ``x * scale_ + min_``.
    min_ : ndarray of shape (n_channels,), dtype float64
        The output for grey level 0.
    n_samples_seen_ : int
        Number of images that were counted: read, and with a weight above zero. Only if
        something was learned, like `statistics_`.
    n_features_in_ : int
        Number of channels. With `per_image`, this is the only attribute.
    feature_names_in_ : ndarray of shape (`n_features_in_`,)
        Only if X was a data frame whose column names are all strings.
    statistics_ : ChannelHistogram or ChannelMoments
        The counts or moments; `partial_fit` adds to them.

    See Also
    --------
    ChannelStandardScaler : Zero mean and unit variance.

    Notes
    -----
    A constant channel is divided by 1, so it becomes the lower end of `feature_range`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelMinMaxScaler
    >>> photos = np.stack(load_sample_images().images)
    >>> scaler = ChannelMinMaxScaler(quantile_range=(1, 99), clip=True).fit(photos)
    >>> scaler.data_min_, scaler.data_max_
    (array([0., 4., 0.]), array([250., 249., 255.]))
    >>> scaled = scaler.transform(photos)
    >>> float(scaled.min()), float(scaled.max())
    (0.0, 1.0)
    """

    _grey_levels: ClassVar[tuple[str, ...]] = ("data_range",)

    def __init__(
        self,
        feature_range: tuple[float, float] = (0, 1),
        *,
        clip: bool = False,
        data_range: Sequence[ArrayLike] | None = None,
        quantile_range: tuple[float, float] = (0.0, 100.0),
        per_image: str | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.feature_range = feature_range
        self.clip = clip
        self.data_range = data_range
        self.quantile_range = quantile_range
        self.per_image = per_image
        self.dtype = dtype

    @property
    def _learns(self) -> bool:
        return not self.per_image and self.data_range is None

    @property
    def _constants(self) -> list[ArrayLike]:
        return [] if self.data_range is None else list(self.data_range)

    @property
    def _robust(self) -> bool:
        return tuple(self.quantile_range) != _WHOLE_RANGE

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("clip", self.clip, (True, False))
        _check_pair("feature_range", self.feature_range)
        _check_pair("quantile_range", self.quantile_range)
        if self.quantile_range[0] < 0 or self.quantile_range[1] > 100:
            raise ValueError(
                f"quantile_range={show_value(self.quantile_range)} is not a range of "
                "percentiles. Pass two numbers from 0 to 100, the lower one first."
            )
        if self._robust and not self._learns:
            raise ValueError(
                f"quantile_range={show_value(self.quantile_range)} is learned from all "
                "images, which data_range and per_image rule out. Drop one of them."
            )
        if self.data_range is not None:
            _check_pair("data_range", self.data_range, max_ndim=2)
            if self.per_image:
                raise ValueError(
                    f"data_range={show_value(self.data_range)} is given, and "
                    f"per_image={show_value(self.per_image)} takes it from each image. Drop "
                    "one of them."
                )

    def _white_of_constants(self) -> int | None:
        if self.data_range is None:
            return None
        ends = np.asarray(self.data_range, dtype=float)
        if ends.min() >= 0 and ends.max() <= 1:
            return 1  # also without fractions: (0, 1) says where images end
        return super()._white_of_constants()

    def _doubts(self, X: LazyImages | Array) -> list[str]:
        doubts = super()._doubts(X)
        if self.quantile_range[1] <= 1:
            in_percent = tuple(round(100 * float(end), 6) for end in self.quantile_range)
            doubts.append(
                f"quantile_range={show_value(tuple(self.quantile_range))} is in percent, so "
                "all but the darkest pixels are beyond it. For quantiles from 0 to 1, pass "
                f"{show_value(in_percent)}."
            )
        return doubts

    def _check_learnable(
        self, X: LazyImages | Array, weights: Weights, *, partial: bool
    ) -> None:
        if not self._robust:
            return
        if weights is not None:
            check_percentiles(weights.dtype)
        one_array = isinstance(X, np.ndarray) and not partial and weights is None
        kind = self._kind_of_statistics(X.dtype, self.n_features_in_)
        if not one_array and kind is not ChannelHistogram:
            raise ValueError(
                f"quantile_range={show_value(self.quantile_range)} needs all values at once, "
                f"and X is of dtype {X.dtype} with {self.n_features_in_} channels. Call fit, "
                "without sample_weight, with one array, or pass uint8 images of at most "
                f"{MAX_HISTOGRAM_CHANNELS} channels."
            )

    def _attributes(
        self, statistics: Statistics | None, n_channels: int, pixels: NDArray[Any] | None
    ) -> dict[str, Any]:
        if self.data_range is not None:
            low, high = (per_channel("data_range", end, n_channels) for end in self.data_range)
        elif self._robust:
            low, high = _percentiles(statistics, pixels, self.quantile_range)
        else:
            assert statistics is not None
            low, high = statistics.data_min, statistics.data_max
        bottom, top = self.feature_range
        spread = high - low if self.data_range is not None else nonzero(high - low)
        scale = (top - bottom) / spread
        return {
            "data_min_": low,
            "data_max_": high,
            "data_range_": high - low,
            "scale_": scale,
            "min_": bottom - low * scale,
        }

    def _affine_from(self, attributes: Mapping[str, Any], n_channels: int) -> Affine:
        return Affine(np.zeros(n_channels), attributes["scale_"], attributes["min_"])

    def _scale(self, affine: PixelMap | None, pixels: NDArray[Any], out: NDArray[Any]) -> None:
        affine = affine or self._affine_of_image(pixels)
        affine.apply(pixels, out, clipped=self.clip)
        if self.clip:
            with refuse_overflow(out.dtype):
                np.clip(out, *map(float, self.feature_range), out=out)


def _percentiles(
    statistics: Statistics | None, pixels: NDArray[Any] | None, q: tuple[float, float]
) -> tuple[FloatArray, FloatArray]:
    if isinstance(statistics, ChannelHistogram):
        return statistics.percentile(q[0]), statistics.percentile(q[1])
    if pixels is None:  # as when scalers are merged
        raise ValueError(
            f"quantile_range={show_value(q)} was learned from all values of an array at once, "
            "and percentiles of parts cannot be combined into those of the whole. Fit to one "
            f"array of everything, or to uint8 images of at most {MAX_HISTOGRAM_CHANNELS} "
            "channels, whose grey levels are counted."
        )
    low, high = np.percentile(pixels.reshape(-1, pixels.shape[-1]), q, axis=0)
    return low.astype(np.float64), high.astype(np.float64)


def _check_pair(name: str, pair: Any, max_ndim: int = 1) -> None:
    ends = None if pair is None else finite_numbers(pair)
    is_pair = ends is not None and 1 <= ends.ndim <= max_ndim and len(ends) == 2
    if ends is None or not is_pair or not np.all(ends[0] < ends[1]):
        raise ValueError(
            f"{name}={show_value(pair)} is not a range. Pass two finite numbers, the lower "
            "one first."
        )
