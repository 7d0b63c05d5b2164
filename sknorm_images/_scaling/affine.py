"""One multiply-add per channel, in one pass over the pixels."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, Protocol, TypeAlias

import numpy as np
from numpy.typing import DTypeLike, NDArray

Tiles: TypeAlias = tuple[NDArray[Any], NDArray[Any], NDArray[Any]]

_TILE = 2048  # pixels; inner loops over a last axis of 3 alone are 8 times slower
_FEW = 64  # of them, repeated until they are a tile
_HIGHEST = {2: 65504.0, 4: float(np.finfo(np.float32).max)}  # by bytes of a float
_BLOCK = 2**18  # numbers; 1 MiB of float32 is about what a core's own cache holds


class PixelMap(Protocol):
    """How pixels are scaled and back; unlike `Affine`, others may mix channels."""

    def apply(self, x: NDArray[Any], out: NDArray[Any], *, clipped: bool = False) -> None:
        """Write the scaled `x` to `out`, both of shape (..., n_channels)."""

    def invert(self, y: NDArray[Any], out: NDArray[Any]) -> None:
        """Write what became `y` to `out`."""


@dataclass(frozen=True)
class Affine:
    """``(x - center) * factor + shift``, each an array of shape (n_channels,), float64."""

    center: NDArray[np.float64]
    factor: NDArray[np.float64]
    shift: NDArray[np.float64]

    def repeated(self, n_channels: int) -> Affine:
        """Repeat the map of one channel for several channels."""
        return Affine(
            *(np.repeat(part, n_channels) for part in (self.center, self.factor, self.shift))
        )

    def apply(self, x: NDArray[Any], out: NDArray[Any], *, clipped: bool = False) -> None:
        """Write the scaled `x` to `out`, C-contiguous; both of shape (..., n_channels).

        Raises ValueError if a result is beyond the dtype of `out`, unless it is `clipped`
        afterwards: then it is infinite.
        """
        are_grey_levels = x.dtype == np.uint8 and out.dtype.itemsize <= 4
        if are_grey_levels and self._bound_of_grey_levels < _HIGHEST[out.dtype.itemsize]:
            _apply(x, out, self._tiles_for_grey_levels)
            return
        with _overflow("ignore") if clipped else refuse_overflow(out.dtype):
            if are_grey_levels:
                _apply(x, out, self._tiles_for_grey_levels)
            else:
                _apply(x, out, _tiles(self.center, self.factor, self.shift, np.float64))

    def invert(self, y: NDArray[Any], out: NDArray[Any]) -> None:
        """Undo `apply`: write what became `y` to `out`, C-contiguous; raises as it does."""
        with refuse_overflow(out.dtype):
            _apply(y, out, _tiles(self.shift, 1 / self.factor, self.center, np.float64))

    @cached_property
    def _bound_of_grey_levels(self) -> float:
        """Upper bound of the size of scaled grey levels, and of every step on the way."""
        with _overflow("ignore"):
            each = np.abs(self.factor) * (255 + np.abs(self.center)) + np.abs(self.shift)
        return float(each.max())

    @cached_property  # the same for every image of a transform
    def _tiles_for_grey_levels(self) -> Tiles:
        # A grey level less a whole number is exact in float32, so no digits are lost in the
        # subtraction, least of all where the output is about zero: x * factor + shift would
        # be 6e-5 off at std 0.3.
        whole = np.rint(self.center - self.shift / self.factor).clip(0, 255)
        shift = self.shift + (whole - self.center) * self.factor
        return _tiles(whole, self.factor, shift, np.float32)


def _overflow(action: Literal["ignore", "raise"]) -> np.errstate:
    return np.errstate(over=action, invalid=action, divide=action)


@contextmanager
def refuse_overflow(dtype: DTypeLike = np.float64) -> Iterator[None]:
    """Raise ValueError if finite numbers give a result that is not finite.

    The processor flags it as it computes, so nothing has to be read twice.
    """
    try:
        with _overflow("raise"):
            yield
    except FloatingPointError as error:
        name, highest = np.dtype(dtype).name, np.finfo(dtype).max
        raise ValueError(
            f"A result is beyond what {name} holds, {highest:.3g} at most ({error}). Pass "
            "images or parameters whose results are smaller, or a wider dtype."
        ) from error


def _tiles(
    minuend: NDArray[np.float64],
    factor: NDArray[np.float64],
    summand: NDArray[np.float64],
    dtype: type[np.float32 | np.float64],
) -> Tiles:
    n_channels = len(factor)
    repeats = max(1, min(_TILE, _BLOCK // n_channels))
    # In two steps, since short inner loops are slow.
    few = min(repeats, _FEW)
    rows = np.empty((3, few, n_channels), dtype)
    for row, values in zip(rows, (minuend, factor, summand), strict=True):
        row[...] = values
    tiles = np.empty((3, repeats // few, few * n_channels), dtype)
    tiles[...] = rows.reshape(3, 1, -1)
    first, second, third = tiles.reshape(3, -1)
    return first, second, third


def _apply(x: NDArray[Any], out: NDArray[Any], tiles: Tiles) -> None:
    width = tiles[0].size
    source, target = x.reshape(-1), out.reshape(-1)
    n_left = source.size % width
    tiled = source.size - n_left
    if tiled:
        _apply_rows(
            source[:tiled].reshape(-1, width), target[:tiled].reshape(-1, width), tiles
        )
    if n_left:  # one row, shorter than a tile
        minuends, factors, summands = tiles
        short = minuends[:n_left], factors[:n_left], summands[:n_left]
        _apply_rows(source[np.newaxis, tiled:], target[np.newaxis, tiled:], short)


def _apply_rows(x: NDArray[Any], out: NDArray[Any], tiles: Tiles) -> None:
    """Scale rows, each as long as a tile, in blocks that stay in the processor's cache."""
    minuends, factors, summands = tiles
    dtype = minuends.dtype
    in_place = out.dtype == dtype  # so that nothing but the output is written
    n_rows = _BLOCK // minuends.size or 1
    for i in range(0, x.shape[0], n_rows):
        x_rows, out_rows = x[i : i + n_rows], out[i : i + n_rows]
        block = out_rows if in_place else np.empty(x_rows.shape, dtype)
        block[...] = x_rows
        block -= minuends
        block *= factors
        block += summands
        if not in_place:
            out_rows[...] = block
