"""Images whose unit or layout is not what the scaler expects.

White is 1 in images from 0 to 1 and 255 in grey levels, and arrays look alike otherwise: a
mistake would only show as bad numbers. The checks here cost nothing in the usual case, and
decide in favour of the user if both readings make sense.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.parameters import FloatArray
from sknorm_images._scaling.statistics import ChannelHistogram, Statistics

_MOST_CHANNELS_OF_PHOTOS = 4
_FEWEST_PIXELS = 192  # 8 x 8 x 3: what a row of a uint8 table holds at least if an image
_BRIGHT = 128  # floats whose highest is above that, up to 255, are grey levels,
_DARK = 16  # unless most of them are small
_PIXEL_NAME = re.compile(r"pixel_\d+_\d+_\d+")  # as ImageFlattener names columns


def white_of_constants(numbers: FloatArray) -> int | None:
    """Infer white, 1 or 255, from a mean, a deviation or a range; None if it is unclear."""
    if not numbers.size or numbers.min() < 0:
        return None
    if numbers.max() <= 1:
        return 1 if (numbers % 1).any() else None  # mean 0 and deviation 1 change nothing
    return 255 if 16 <= numbers.max() <= 255 else None


def white_of_statistics(statistics: Statistics) -> int | None:
    """Infer white, 1 or 255, from the images that were counted; None if it is unclear."""
    low, high = statistics.data_min.min(), statistics.data_max.max()
    if isinstance(statistics, ChannelHistogram):
        return 255 if high > 1 else None
    if low < 0:
        return None
    if high > 1:
        are_levels = _BRIGHT < high <= 255 and statistics.mean.mean() > _DARK
        return 255 if are_levels else None
    # Of zeros and ones, as in masks, the mean of the squares is the mean itself.
    squares = statistics.var + statistics.mean**2
    return None if np.allclose(squares, statistics.mean, rtol=1e-9, atol=0) else 1


class WhiteWatch:
    """Look at images as they pass, until it is clear whether their white is another number.

    `white`, 1 or 255, is what the scaler expects; `differs` says whether the images have the
    other one.
    """

    def __init__(self, white: int) -> None:
        self.white = white
        self.differs = False
        self._settled = False

    def look(self, pixels: NDArray[Any]) -> None:
        """Look at some images."""
        if self._settled or not pixels.size:
            return
        low, high = pixels.min(), pixels.max()
        # Fractions up to 1 mean that images end there; zeros and ones alone say nothing.
        ends_at_1 = low >= 0 and 0 < high <= 1 and bool(((pixels > 0) & (pixels < 1)).any())
        if self.white == 1:
            bright = high > 1
            if pixels.dtype.kind == "f":
                bright = _BRIGHT < high <= 255 and pixels.mean() > _DARK
            self.differs = bool(low >= 0 and bright)
            self._settled = bool(self.differs or low < 0 or ends_at_1)
        elif low < 0 or high > 1:
            self.differs, self._settled = False, True
        elif ends_at_1:
            self.differs = True  # unless a later image is brighter


def watch_for(white: int | None, X: Any) -> WhiteWatch | None:
    """Make a watch over X, or None if its unit cannot differ from the scaler's."""
    if white is None:
        return None
    is_uint8, is_table = X.dtype == np.uint8, len(X.shape) == 2
    if white == 1:
        return WhiteWatch(1) if is_uint8 or (X.dtype.kind in "iuf" and not is_table) else None
    return WhiteWatch(255) if X.dtype.kind == "f" and not is_table else None


def doubt_of_table(
    shape: tuple[int, ...], dtype: np.dtype[Any], names: Sequence[str] | None
) -> str | None:
    """Say what to do if the rows of a table look like flattened images, else None."""
    if len(shape) != 2 or shape[1] <= _MOST_CHANNELS_OF_PHOTOS:
        return None
    named = names is not None and all(map(_PIXEL_NAME.fullmatch, names))
    if not named and (dtype != np.uint8 or shape[1] < _FEWEST_PIXELS):
        return None
    return (
        f"X is a table of {shape[1]} columns, and each counts as a channel of its own. Scale "
        "before ImageFlattener, not after it; for a scale of each column, use scikit-learn's "
        "StandardScaler or MinMaxScaler."
    )
