"""A scaler that the package does not have, for what has to work with any."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sknorm_images._affine import Affine
from sknorm_images._scaling import ChannelScaler


class ChannelMaxScaler(ChannelScaler):
    """Maps the largest value of each channel to 0, and 0 to -1."""

    def __init__(self, *, data_max: Any = None, per_image: Any = False) -> None:
        self.data_max = data_max
        self.per_image = per_image
        self.dtype = "float32"

    @property
    def _learns(self) -> bool:
        return not self.per_image and self.data_max is None

    @property
    def _constants(self) -> list[ArrayLike]:
        return [] if self.data_max is None else [self.data_max]

    def _attributes(self, statistics: Any, n_channels: int, pixels: Any) -> dict[str, Any]:
        data_max = self.data_max if statistics is None else statistics.data_max
        return {"data_max_": np.broadcast_to(np.asarray(data_max, float), n_channels)}

    def _affine_from(self, attributes: Mapping[str, Any], n_channels: int) -> Affine:
        largest = attributes["data_max_"]
        return Affine(largest, 1 / largest, np.zeros(n_channels))
