"""Statistics per channel: small values that are counted separately and added up.

Statistics of uint8 images are integers, so they are exact, and the same for every order,
chunk size and number of workers. Statistics of other dtypes are float64 moments.
"""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Collection, Iterator
from dataclasses import dataclass, fields
from fractions import Fraction
from math import prod
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from sknorm_images._common.parameters import FloatArray
from sknorm_images._common.published import published
from sknorm_images._images.decoding import Picture
from sknorm_images._images.recipes import as_pixels
from sknorm_images._images.stacks import Stack

S = TypeVar("S", bound="Statistics")

MAX_HISTOGRAM_CHANNELS = 4096  # 256 counts each: 8 MiB; tables of more columns keep moments
_MOST_COUNTED_BEFORE = 64  # channels: of more, older versions saved what are moments now
_LEAST_WEIGHT = 1e-200  # of float images: products with their squares keep all digits


class Statistics(metaclass=ABCMeta):
    """What all kinds share: they are made of images, add up, and refuse to mix.

    A kind is a frozen dataclass with the fields or properties below.
    """

    n_samples: int

    # Fields of one kind and properties of the other: if they existed here, dataclasses would
    # take them for defaults.
    if TYPE_CHECKING:

        @property
        def mean(self) -> FloatArray: ...

        @property
        def var(self) -> FloatArray: ...

        @property
        def data_min(self) -> FloatArray: ...

        @property
        def data_max(self) -> FloatArray: ...

    @classmethod
    @abstractmethod
    def of(cls, images: NDArray[Any], weights: NDArray[Any] | None = None) -> Self:
        """Summarise images (n_samples, ..., n_channels), each of a weight above zero."""

    @classmethod
    def _of_picture(cls, picture: Picture, weight: float | None = None) -> Self:
        """Summarise one image: an array (height, width, n_channels), or as Pillow holds it."""
        weights = None if weight is None else np.array([weight])
        return cls.of(as_pixels(picture)[np.newaxis], weights)

    @classmethod
    def _of_stack(cls, stack: Stack, weights: NDArray[Any] | None = None) -> Iterator[Self]:
        """Summarise the images of a stack that are not of weight 0, in parts.

        Where numbers may round, each image is a part, so that their sum is to the last bit
        what it is of images that come one by one.
        """
        for i, pixels in enumerate(stack.pixels()):
            weight = None if weights is None else weights[i]
            if weight != 0:
                yield cls._of_picture(pixels, weight)

    @abstractmethod
    def __add__(self, other: Self) -> Self: ...

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            np.array_equal(getattr(self, field.name), getattr(other, field.name))
            for field in fields(self)  # type: ignore[arg-type]
        )

    __hash__ = None  # type: ignore[assignment]

    @property
    @abstractmethod
    def n_channels(self) -> int:
        """Number of channels."""

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """Whether each channel has a single value, shape (n_channels,)."""
        return np.equal(self.data_min, self.data_max)

    def __repr__(self) -> str:
        return (
            f"<{type(self).__name__}: {self.n_samples} images of {self.n_channels} channels>"
        )

    def _check_addable(self, other: Any) -> None:
        if type(self) is not type(other):
            raise ValueError(
                f"{type(self).__name__} cannot be added to {type(other).__name__}: "
                f"{why_kinds_differ(self.n_channels)}. Hand images of one dtype to all calls "
                "of partial_fit."
            )
        if self.n_channels != other.n_channels:
            raise ValueError(
                f"Statistics of {self.n_channels} and of {other.n_channels} channels cannot "
                "be added, since each channel is counted by itself. Add those of the same "
                "channels."
            )


@published("sknorm_images")
@dataclass(frozen=True, eq=False, repr=False)
class ChannelHistogram(Statistics):
    """Counts of the 256 grey levels of uint8 images, channel by channel.

    Parameters
    ----------
    counts : ndarray of shape (n_channels, 256)
        Weighted number of pixels; int64 while all weights are integral, else float64.
    n_samples : int
        Number of images with a weight above zero.

    Examples
    --------
    >>> import numpy as np
    >>> from sknorm_images import ChannelHistogram
    >>> black, white = np.zeros((1, 2, 2, 1), np.uint8), np.full((1, 2, 2, 1), 255, np.uint8)
    >>> both = ChannelHistogram.of(black) + ChannelHistogram.of(white)
    >>> both.n_samples, both.mean, both.data_max
    (2, array([127.5]), array([255.]))
    """

    counts: NDArray[Any]
    n_samples: int

    @classmethod
    def of(cls, images: NDArray[np.uint8], weights: NDArray[Any] | None = None) -> Self:
        """Count the grey levels of images.

        Parameters
        ----------
        images : ndarray of shape (n_samples, ..., n_channels), dtype uint8
            The images.
        weights : ndarray of shape (n_samples,) or None, default=None
            Weights above zero; None means one each.

        Returns
        -------
        ChannelHistogram
            The counts.

        Raises
        ------
        ValueError
            If weights are so large that counts would no longer be exact.
        """
        n_channels = images.shape[-1]
        n_pixels = prod(images.shape[1:-1])
        if weights is None and n_channels in (1, 3):  # Pillow is three times as fast
            rows = images.reshape(len(images), -1, n_channels)
            picture = Image.fromarray(rows if n_channels == 3 else rows[..., 0])
            return cls(cls.of_picture(picture).counts, len(images))
        per_pixel = None
        if weights is not None:
            _check_total(weights.sum(dtype=np.float64) * n_pixels, 2**53)
            per_pixel = np.repeat(weights, n_pixels)
        channels = images.reshape(-1, n_channels).T
        counts = np.array([np.bincount(c, per_pixel, minlength=256) for c in channels])
        # Within that total, the float64 sums that bincount makes of integers are exact.
        dtype = np.int64 if weights is None else weights.dtype
        return cls(counts.astype(dtype, copy=False), len(images))

    @classmethod
    def of_picture(cls, picture: Image.Image, weight: float | None = None) -> Self:
        """Count the grey levels of one Pillow image, without a copy.

        Parameters
        ----------
        picture : PIL.Image.Image
            The image, of 8 bits per channel.
        weight : int, float or None, default=None
            Its weight, above zero; None means one.

        Returns
        -------
        ChannelHistogram
            The counts.

        Raises
        ------
        ValueError
            If the weight is so large that counts would no longer be exact.
        """
        counts: NDArray[Any] = np.array(picture.histogram(), np.int64).reshape(-1, 256)
        return cls._of_image(counts, weight)

    @classmethod
    def _of_image(cls, counts: NDArray[np.int64], weight: float | None) -> Self:
        """Weigh the counts of one image."""
        if weight is not None:
            _check_total(float(weight) * int(counts[0].sum()), 2**53)
            return cls(counts * weight, 1)
        return cls(counts, 1)

    @classmethod
    def _of_picture(cls, picture: Picture, weight: float | None = None) -> Self:
        if isinstance(picture, Image.Image):
            return cls.of_picture(picture, weight)
        return super()._of_picture(picture, weight)

    @classmethod
    def _of_stack(cls, stack: Stack, weights: NDArray[Any] | None = None) -> Iterator[Self]:
        if weights is None:  # which Pillow counts together, three times as fast as NumPy
            yield cls(stack.histogram(slice(stack.n_images)), stack.n_images)
            return
        for i in np.flatnonzero(weights).tolist():
            yield cls._of_image(stack.histogram(slice(i, i + 1)), weights[i])

    def __add__(self, other: Self) -> Self:
        self._check_addable(other)
        _check_total(self.counts[0].sum() + float(other.counts[0].sum()), 2**62)
        return type(self)(self.counts + other.counts, self.n_samples + other.n_samples)

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.counts)

    @property
    def mean(self) -> FloatArray:
        """Mean of each channel in grey levels, shape (n_channels,), rounded once."""
        exact = _exact(self.counts)
        return _mean(exact.sum(axis=1), exact @ _LEVELS)

    @property
    def var(self) -> FloatArray:
        """Population variance of each channel, shape (n_channels,), rounded once."""
        exact = _exact(self.counts)
        return _var(exact.sum(axis=1), exact @ _LEVELS, exact @ _LEVELS**2)

    @property
    def data_min(self) -> FloatArray:
        """Lowest grey level of each channel, shape (n_channels,)."""
        first: NDArray[np.intp] = (self.counts > 0).argmax(axis=1)
        return first.astype(np.float64)

    @property
    def data_max(self) -> FloatArray:
        """Highest grey level of each channel, shape (n_channels,)."""
        last: NDArray[np.intp] = (self.counts[:, ::-1] > 0).argmax(axis=1)
        return (255 - last).astype(np.float64)

    def percentile(self, q: float) -> FloatArray:
        """Percentile of each channel, as ``numpy.percentile`` interpolates (linearly).

        Parameters
        ----------
        q : float
            From 0 to 100.

        Returns
        -------
        ndarray of shape (n_channels,)
            In grey levels.

        Raises
        ------
        ValueError
            If there were fractional weights: positions between the pixels are not defined.
        """
        check_percentiles(self.counts.dtype)
        cumulative = self.counts.cumsum(axis=1)
        return np.array([_interpolate(channel, q / 100) for channel in cumulative])


@published("sknorm_images")
@dataclass(frozen=True, eq=False, repr=False)
class ChannelMoments(Statistics):
    """Float64 moments of images of any dtype.

    Parameters
    ----------
    weight : float
        Weighted number of pixels in each channel.
    mean : ndarray of shape (n_channels,), dtype float64
        Weighted mean.
    squares : ndarray of shape (n_channels,), dtype float64
        Weighted sum of squared deviations from the mean.
    data_min, data_max : ndarray of shape (n_channels,), dtype float64
        Lowest and highest value.
    n_samples : int
        Number of images with a weight above zero.
    n_values : int
        Number of their pixels, in each channel.

    Examples
    --------
    >>> import numpy as np
    >>> from sknorm_images import ChannelMoments
    >>> low, high = np.zeros((1, 2, 2, 1)), np.ones((1, 2, 2, 1))
    >>> both = ChannelMoments.of(low) + ChannelMoments.of(high)
    >>> both.n_samples, both.mean, both.var
    (2, array([0.5]), array([0.25]))
    """

    weight: float
    mean: FloatArray
    squares: FloatArray
    data_min: FloatArray
    data_max: FloatArray
    n_samples: int
    n_values: int

    @classmethod
    def of(cls, images: NDArray[Any], weights: NDArray[Any] | None = None) -> Self:
        """Compute the moments of images in two passes.

        Values and weights may have any size within the range of float64.

        Parameters
        ----------
        images : ndarray of shape (n_samples, ..., n_channels)
            The images, finite.
        weights : ndarray of shape (n_samples,) or None, default=None
            Weights above zero; None means one each.

        Returns
        -------
        ChannelMoments
            The moments.

        Raises
        ------
        ValueError
            If values or weights are so large that a moment is infinite, or weights are below
            1e-200.
        """
        n_pixels = prod(images.shape[1:-1])
        pixels = images.reshape(-1, images.shape[-1]).astype(np.float64)
        if weights is None:
            weights = np.ones(len(images))
        elif weights.min() < _LEAST_WEIGHT:
            raise ValueError(
                f"sample_weight holds {weights.min():g}, and products with weights below "
                f"{_LEAST_WEIGHT:g} lose digits. Pass larger ones: only their ratios matter."
            )
        per_pixel = np.repeat(weights.astype(np.float64), n_pixels)
        data_min, data_max = pixels.min(axis=0), pixels.max(axis=0)
        with np.errstate(over="ignore", invalid="ignore"):  # it is refused in the end
            weight = float(per_pixel.sum())
            mean = per_pixel @ pixels / weight
            pixels -= mean
            residue = per_pixel @ pixels  # what rounding left in the mean
            squares = per_pixel @ pixels**2 - residue * (residue / weight)
            mean += residue / weight
        return cls(weight, mean, squares, data_min, data_max, len(images), len(pixels))

    def __post_init__(self) -> None:
        moments = (self.weight, self.mean, self.squares)
        if not all(np.isfinite(moment).all() for moment in moments):
            raise ValueError(
                "The squares of the values, times their weights, add up to more than float64 "
                f"holds, {np.finfo(np.float64).max:.3g}. Pass smaller values or smaller "
                f"weights; values go from {self.data_min.min():g} to {self.data_max.max():g}."
            )

    def __add__(self, other: Self) -> Self:
        """Merge as Chan, Golub and LeVeque (1979) do, "Updating formulae"."""
        self._check_addable(other)
        # Each step stays within the range of what goes in: a product of two weights would
        # not, and neither would the square of a difference before it is weighted down.
        with np.errstate(over="ignore", invalid="ignore"):  # refused by the result
            weight = self.weight + other.weight
            delta = other.mean - self.mean
            between = delta**2 * self.weight * (other.weight / weight)
            mean = self.mean + delta * (other.weight / weight)
            squares = self.squares + other.squares + between
        return type(self)(
            weight,
            mean,
            squares,
            np.minimum(self.data_min, other.data_min),
            np.maximum(self.data_max, other.data_max),
            self.n_samples + other.n_samples,
            self.n_values + other.n_values,
        )

    @property
    def n_channels(self) -> int:
        """Number of channels."""
        return len(self.mean)

    @property
    def var(self) -> FloatArray:
        """Population variance of each channel, shape (n_channels,)."""
        # Where there is no variance, rounding may leave a little, of either sign.
        var: FloatArray = np.maximum(self.squares / self.weight, 0.0)
        var[self.data_max == self.data_min] = 0.0
        return var

    @property
    def is_constant(self) -> NDArray[np.bool_]:
        """Whether the variance of each channel may be all rounding, shape (n_channels,).

        The bound is that of Chan, Golub and LeVeque (1983), "Algorithms for computing the
        sample variance", which scikit-learn uses too.
        """
        eps = np.finfo(np.float64).eps
        bound = self.n_values * eps * self.var + (self.n_values * self.mean * eps) ** 2
        return np.less_equal(self.var, bound)


@published("sknorm_images")
class ChannelSums:
    """What scalers of more than 64 channels held before the release; unpickles as moments.

    Such a scaler transforms as before. It cannot be fitted further to uint8 images, which are
    counted now.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        weight, total, squares = (
            _exact(np.asarray(state[name])) for name in ("weight", "total", "squares")
        )
        moments = {
            "weight": float(weight),
            "mean": _mean(weight, total),
            "squares": (squares - total**2 / weight).astype(np.float64),
            "data_min": state["data_min"],
            "data_max": state["data_max"],
            "n_samples": state["n_samples"],
            "n_values": round(float(weight)),
        }
        self.__class__ = ChannelMoments  # type: ignore[assignment] # no subclass, on purpose
        self.__dict__.update(moments)


def usual_kind(dtype: np.dtype[Any], n_channels: int) -> type[Statistics]:
    """Choose counts of grey levels, which are exact, where there are few; else moments."""
    is_counted = dtype == np.uint8 and n_channels <= MAX_HISTOGRAM_CHANNELS
    return ChannelHistogram if is_counted else ChannelMoments


def of_present(
    kind: type[S],
    images: NDArray[Any],
    weights: NDArray[Any] | None = None,
    absent: Collection[int] = (),
) -> S | None:
    """Summarise the images that are neither absent nor of weight 0; None if none are left."""
    present = np.ones(len(images), bool) if weights is None else weights > 0
    present[list(absent)] = False
    if not present.any():
        return None
    if not present.all():
        images, weights = images[present], None if weights is None else weights[present]
    return kind.of(images, weights)


def plus(a: Statistics | None, b: Statistics | None) -> Statistics | None:
    """Add statistics; None stands for those of no images."""
    if a is None or b is None:
        return a or b
    return a + b


def why_kinds_differ(n_channels: int) -> str:
    """Say how statistics of one kind and of the other have come about."""
    reason = "one is of uint8 images, the other of another dtype"
    if n_channels > _MOST_COUNTED_BEFORE:
        reason += " or saved by an older version: then fit that anew"
    return reason


def check_percentiles(dtype: np.dtype[Any]) -> None:
    """Raise ValueError if the dtype of weights, or of weighted counts, is floating."""
    if dtype.kind == "f":
        raise ValueError(
            "sample_weight holds fractions, and a percentile needs a whole number of pixels. "
            "Pass integral weights, or quantile_range=(0, 100)."
        )


_LEVELS = np.arange(256).astype(object)  # Python integers: sums of squares cannot overflow


def _check_total(total: float, limit: float) -> None:
    """Refuse a weighted number of pixels whose sums would no longer be exact, or overflow."""
    if total >= limit:
        raise ValueError(
            f"The weights of the pixels in a channel add up to {total:g}, and counts of so "
            "many are no longer exact. Pass smaller weights."
        )


def _exact(numbers: NDArray[Any]) -> NDArray[Any]:
    """Convert to Python integers or fractions, whose arithmetic does not round."""
    if numbers.dtype.kind == "f":
        return np.vectorize(Fraction, otypes=[object])(numbers)  # type: ignore[no-any-return]
    return numbers.astype(object)


def _mean(weight: NDArray[Any], total: NDArray[Any]) -> FloatArray:
    return (total / weight).astype(np.float64)  # type: ignore[no-any-return]


def _var(weight: NDArray[Any], total: NDArray[Any], squares: NDArray[Any]) -> FloatArray:
    # Python divides integers and fractions with a single rounding.
    return ((weight * squares - total**2) / weight**2).astype(np.float64)  # type: ignore[no-any-return]


def _interpolate(cumulative: NDArray[np.int64], q: float) -> float:
    """Interpolate between the two pixels around quantile `q`, as numpy's "linear" does."""
    position = (int(cumulative[-1]) - 1) * q
    below = int(position)
    low, high = np.searchsorted(cumulative, [below, below + 1], side="right").clip(max=255)
    fraction = position - below
    step = float(high - low)
    # numpy interpolates from the nearer end, and we promise equality to the last bit.
    return float(high - step * (1 - fraction) if fraction >= 0.5 else low + step * fraction)
