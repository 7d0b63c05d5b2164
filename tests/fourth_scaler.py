"""A scaler that the package does not have, as somebody would add one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from sknorm_images import ChannelHistogram
from sknorm_images._scaling.affine import Affine
from sknorm_images._scaling.base import ChannelScaler


class ChannelMedianScaler(ChannelScaler):
    """Subtract the median of each channel, and divide by the range of its middle half.

    `quartiles` are three numbers, or three a channel, where they are known beforehand.
    """

    def __init__(
        self,
        *,
        quartiles: Sequence[ArrayLike] | None = None,
        per_image: str | None = None,
        dtype: Any = "float32",
    ) -> None:
        self.quartiles = quartiles
        self.per_image = per_image
        self.dtype = dtype

    @property
    def _learns(self) -> bool:
        return not self.per_image and self.quartiles is None

    @property
    def _constants(self) -> Sequence[ArrayLike]:
        return self.quartiles or ()

    def _attributes(
        self, statistics: Any, n_channels: int, pixels: NDArray[Any] | None
    ) -> dict[str, Any]:
        if self.quartiles is not None:
            low, center, high = (np.full(n_channels, q, float) for q in self.quartiles)
        else:
            assert isinstance(statistics, ChannelHistogram)
            low, center, high = (statistics.percentile(q) for q in (25, 50, 75))
        return {"center_": center, "scale_": high - low}

    def _affine_from(self, attributes: Mapping[str, Any], n_channels: int) -> Affine:
        return Affine(attributes["center_"], 1 / attributes["scale_"], np.zeros(n_channels))
