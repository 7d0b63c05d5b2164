"""ChannelStandardScaler: zero mean and unit variance per channel."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike, DTypeLike, NDArray

from sknorm_images._common.parameters import check_choice, finite_numbers, per_channel
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._scaling.affine import Affine
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._scaling.statistics import Statistics


@published("sknorm_images")
class ChannelStandardScaler(ChannelScaler):
    """Standardise each channel: ``(x - mean) / std``.

    Mean and standard deviation are those of all pixels of all images of a channel, as in
    :class:`sklearn.preprocessing.StandardScaler` with the pixels as samples. For uint8 images
    they are computed from integer counts and rounded once, so they are the same to the last
    bit for every order of the images, chunk size, number of workers and joblib backend. (A
    float32 running sum, as in ``X.mean(axis=(0, 1, 2))``, stalls at 2**32 instead, which 1,000
    photos of 224 x 224 reach.)

    Parameters
    ----------
    mean : float, array-like of shape (n_channels,) or None, default=None
        Mean in grey levels, 0 to 255, if it is known beforehand; None learns it.
    std : float, array-like of shape (n_channels,) or None, default=None
        Standard deviation in grey levels, if it is known; None learns it. If both are known,
        no fit is needed.
    with_mean : bool, default=True
        Whether to subtract the mean.
    with_std : bool, default=True
        Whether to divide by the standard deviation.
    per_image : {"channel", "image"} or None, default=None
        None standardises all images alike, by what `fit` learned. "channel" standardises each
        image by its own channels, "image" by all its channels together (Keras'
        ``samplewise_center`` and ``samplewise_std_normalization``). Neither needs a fit, and
        neither can be inverted.
    dtype : dtype, default="float32"
        Floating type of the output for integer input; floating input keeps its own.

    Attributes
    ----------
    mean_ : ndarray of shape (n_channels,), dtype float64, or None
        Mean in grey levels; None if it is neither known nor needed.
    var_ : ndarray of shape (n_channels,), dtype float64, or None
        Population variance; None if it is neither known nor needed.
    scale_ : ndarray of shape (n_channels,), dtype float64, or None
        Standard deviation, with 1 for constant channels; None if `var_` is None.
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
    ChannelMinMaxScaler : Scales to a given range.

    Notes
    -----
    A constant channel is divided by 1, so it becomes zeros, not NaN.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelStandardScaler
    >>> photos = np.stack(load_sample_images().images)
    >>> scaler = ChannelStandardScaler().fit(photos)
    >>> scaler.mean_.round(1), scaler.scale_.round(1)
    (array([ 99.9, 109.5,  99. ]), array([95.1, 76.4, 83.1]))
    >>> scaled = scaler.transform(photos)
    >>> scaled.shape, scaled.dtype
    ((2, 427, 640, 3), dtype('float32'))
    >>> bool(np.all(np.rint(scaler.inverse_transform(scaled)) == photos))
    True
    """

    _grey_levels: ClassVar[tuple[str, ...]] = ("mean", "std")

    def __init__(
        self,
        *,
        mean: ArrayLike | None = None,
        std: ArrayLike | None = None,
        with_mean: bool = True,
        with_std: bool = True,
        per_image: str | None = None,
        dtype: DTypeLike = "float32",
    ) -> None:
        self.mean = mean
        self.std = std
        self.with_mean = with_mean
        self.with_std = with_std
        self.per_image = per_image
        self.dtype = dtype

    @property
    def _learns(self) -> bool:
        return not self.per_image and (
            (self.with_mean and self.mean is None) or (self.with_std and self.std is None)
        )

    @property
    def _constants(self) -> list[ArrayLike]:
        return [value for value in (self.mean, self.std) if value is not None]

    def _check_parameters(self) -> None:
        super()._check_parameters()
        check_choice("with_mean", self.with_mean, (True, False))
        check_choice("with_std", self.with_std, (True, False))
        for name, value, wanted in (
            ("mean", self.mean, self.with_mean),
            ("std", self.std, self.with_std),
        ):
            if value is None:
                continue
            numbers = finite_numbers(value)
            if numbers is None or numbers.ndim > 1:
                raise ValueError(
                    f"{name}={show_value(value)} is not a list of finite numbers. Pass one "
                    "number, or one for each channel."
                )
            if not wanted:
                raise ValueError(
                    f"{name}={show_value(value)} is given, and with_{name}=False says not to "
                    "use it. Drop one of them."
                )
            if self.per_image:
                raise ValueError(
                    f"{name}={show_value(value)} is given, and "
                    f"per_image={show_value(self.per_image)} takes it from each image. Drop "
                    "one of them."
                )
            if name == "std" and not (numbers > 0).all():
                raise ValueError(
                    f"std={show_value(value)} is not above 0, and images are divided by it. "
                    "Pass positive numbers."
                )

    def _attributes(
        self,
        statistics: Statistics | None,
        n_channels: int,
        pixels: NDArray[Any] | None,
    ) -> dict[str, Any]:
        mean = var = scale = None
        if self.mean is not None:
            mean = per_channel("mean", self.mean, n_channels)
        elif statistics is not None:
            mean = statistics.mean
        if self.std is not None:
            scale = per_channel("std", self.std, n_channels)
            var = scale**2
        elif statistics is not None:
            var = statistics.var
            scale = np.where(statistics.is_constant, 1.0, np.sqrt(var))
        return {"mean_": mean, "var_": var, "scale_": scale}

    def _affine_from(self, attributes: Mapping[str, Any], n_channels: int) -> Affine:
        zeros = np.zeros(n_channels)
        center = attributes["mean_"] if self.with_mean else zeros
        factor = 1 / attributes["scale_"] if self.with_std else np.ones(n_channels)
        return Affine(center, factor, zeros)
