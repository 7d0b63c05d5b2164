"""ChannelHistogramDisplay: what a scaler learned, and how it maps the grey levels."""

from __future__ import annotations

from typing import Any, NamedTuple, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import EngFormatter
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sknorm_images import ChannelHistogram, ChannelMinMaxScaler, ChannelStandardScaler
from sknorm_images._common.parameters import check_choice
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._images.color_modes import COLOR_MODES, channels_of
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._steps import color_mode_of, flat_steps
from sknorm_images.plotting._panels import PanelDisplay, check_invertible

_MAX_PANELS = 16  # one below the other; more do not fit on a screen


@published("sknorm_images.plotting")
class ChannelHistogramDisplay(PanelDisplay):
    """Histogram of each channel, and how a scaler maps its grey levels.

    There is one panel per channel. Its bars count the pixels of each grey level. A line is at
    the mean, and a band reaches one standard deviation to either side; for a
    `ChannelMinMaxScaler` the band is the range that is scaled, and there is no line. The axis
    below is in grey levels, before scaling; the axis above is in scaled values, before
    clipping.

    `from_estimator` draws what a scaler learned. The constructor takes any histogram, so
    that one folder can be drawn with the scaler that was fitted to another.

    Parameters
    ----------
    histogram : ChannelHistogram
        The counts to draw, of at most 16 channels: the `statistics_` of a scaler that was
        fitted to uint8 images, or ``ChannelHistogram.of(images)``.
    scaler : ChannelStandardScaler, ChannelMinMaxScaler or None, default=None
        Fitted, or with constants that need no fit. Its mean and standard deviation, or its
        range, are marked, instead of those of `histogram`. None draws no scaled axis.
    color_mode : str or None, default=None
        The mode of the channels, as in `JpegLoader`; `from_estimator` takes it from the loader
        of a pipeline. With None, or a mode with another number of channels, three channels are
        called red, green and blue, a single one grey, and others are numbered.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that contain the panels, passed or new.
    axes_ : ndarray of shape (n_channels,), dtype object
        The panel of each channel.
    scaled_axes_ : ndarray of shape (n_channels,), dtype object
        The axis in scaled values on top of each panel; None without a scaler.
    figure_ : matplotlib Figure or SubFigure
        The figure of the axes.

    See Also
    --------
    ImageGridDisplay : The images themselves.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelHistogram, ChannelStandardScaler
    >>> from sknorm_images.plotting import ChannelHistogramDisplay
    >>> temple, flower = load_sample_images().images
    >>> scaler = ChannelStandardScaler().fit(temple[np.newaxis])
    >>> display = ChannelHistogramDisplay.from_estimator(scaler)
    >>> display.axes_[0].get_title(loc="left")
    "red: scaler's mean 144.7 (line), std 78.4 (band)"

    The flower, as the scaler of the temple maps it:

    >>> histogram = ChannelHistogram.of(flower[np.newaxis])
    >>> ChannelHistogramDisplay(histogram, scaler).plot().axes_.shape
    (3,)
    """

    def __init__(
        self, histogram: ChannelHistogram, scaler: Any = None, *, color_mode: str | None = None
    ) -> None:
        self.histogram = histogram
        self.scaler = scaler
        self.color_mode = color_mode

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the histogram that a scaler learned.

        Parameters
        ----------
        estimator : ChannelStandardScaler, ChannelMinMaxScaler or Pipeline
            Fitted to uint8 images of at most 16 channels; for a Pipeline, its last step.
        ax : matplotlib Axes or None, default=None
            As in `plot`.

        Returns
        -------
        ChannelHistogramDisplay
            Drawn.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the scaler is not fitted.
        TypeError
            If `estimator` is not such a scaler, and does not end in one.
        ValueError
            If the scaler learned no histogram, or one of too many channels, or `ax` cannot
            be used.
        """
        *_, scaler = flat_steps(estimator) or [None]
        if not isinstance(scaler, ChannelScaler):
            raise TypeError(
                f"estimator ends in {type(scaler).__name__}, which learns no histogram. Pass "
                "a ChannelStandardScaler or a ChannelMinMaxScaler, or the part of a pipeline "
                "that ends in one, such as pipeline[:3]."
            )
        if not get_tags(scaler).requires_fit:
            raise ValueError(
                f"{show_value(scaler)} learns nothing from the images together, so there is "
                "no histogram. Fit a ChannelStandardScaler() to them, and pass that one's "
                "statistics_ to ChannelHistogramDisplay."
            )
        check_is_fitted(scaler, "statistics_")
        if not isinstance(scaler.statistics_, ChannelHistogram):
            raise ValueError(
                f"The scaler's statistics_ are {show_value(scaler.statistics_)}, which count "
                "no grey levels. Fit it to uint8 images of at most 16 channels."
            )
        mode = color_mode_of(estimator)
        return cls(scaler.statistics_, scaler, color_mode=mode).plot(ax=ax)

    def _draw(self, ax: Axes | None) -> None:
        histogram, scaler = self.histogram, self.scaler
        _check_histogram(histogram)
        check_choice("color_mode", self.color_mode, (None, *COLOR_MODES))
        n_channels = len(histogram.counts)
        ends: Any = [None] * n_channels
        if scaler is not None:
            check_invertible(scaler)
        if scaler is not None and not scaler._mixes_channels:
            # An affine map is determined by what becomes 0 and 1.
            zeros_and_ones = np.repeat([[0.0], [1.0]], n_channels, axis=1)
            ends = scaler.inverse_transform(zeros_and_ones).T
        marks = _marks(histogram, scaler)
        size = (6.4, 0.6 + 1.9 * n_channels)
        panels = self._make_panels(ax, (n_channels, 1), n_channels, size, gap=1.0)
        scaled: list[Any] = [None] * n_channels
        channels = channels_of(n_channels, self.color_mode)
        for i, (panel, name) in enumerate(zip(panels, channels, strict=True)):
            _draw_histogram(panel, histogram.counts[i], channels[name], marks[i])
            panel.set_title(f"{name}: {marks[i].text}", loc="left", fontsize="medium")
            if i:
                panel.sharex(panels[0])
            panel.tick_params(labelbottom=i == n_channels - 1)
            if ends[i] is not None:
                scaled[i] = _add_scaled_axis(panel, *ends[i])
        panels[-1].set_xlabel("grey level (0 to 255)")
        self.scaled_axes_ = np.array(scaled, object)


class _Marks(NamedTuple):
    """What is marked in one panel, in grey levels, and the words for it."""

    line: float | None
    low: float
    high: float
    text: str


def _check_histogram(histogram: Any) -> None:
    if not isinstance(histogram, ChannelHistogram):
        raise TypeError(
            f"histogram is a {type(histogram).__name__}, which counts no grey levels. Pass "
            "ChannelHistogram.of(images), or the statistics_ of a scaler that was fitted to "
            "uint8 images."
        )
    n_channels = len(histogram.counts)
    if n_channels > _MAX_PANELS:
        raise ValueError(
            f"The histogram has {n_channels} channels, and a picture holds {_MAX_PANELS}. "
            "Draw some: ChannelHistogram(histogram.counts[:16], histogram.n_samples)."
        )
    if not histogram.counts.any():
        raise ValueError(
            "The histogram counts no pixels, so there is nothing to draw. Pass one of at "
            "least one image."
        )


def _marks(histogram: ChannelHistogram, scaler: Any) -> list[_Marks]:
    if scaler is not None and not get_tags(scaler).requires_fit:
        # Any fit turns constants into one per channel.
        scaler = clone(scaler).fit(np.zeros((1, len(histogram.counts))))
    if isinstance(scaler, ChannelMinMaxScaler):
        low, high = scaler.quantile_range
        what = "range" if (low, high) == (0, 100) else f"percentiles {low:g} and {high:g}:"
        return [
            _Marks(None, a, b, f"scaler's {what} {a:.4g} to {b:.4g} (band)")
            for a, b in zip(scaler.data_min_, scaler.data_max_, strict=True)
        ]
    mean, var, whose = histogram.mean, histogram.var, ""
    if isinstance(scaler, ChannelStandardScaler):
        # It may lack one of them if it does not use it.
        mean = mean if scaler.mean_ is None else scaler.mean_
        var = var if scaler.var_ is None else scaler.var_
        whose = "scaler's "
    words = whose + "mean {:.1f} (line), std {:.1f} (band)"
    return [
        _Marks(m, m - s, m + s, words.format(m, s))
        for m, s in zip(mean, np.sqrt(var), strict=True)
    ]


def _draw_histogram(panel: Axes, counts: NDArray[Any], color: str, marks: _Marks) -> None:
    panel.axvspan(marks.low, marks.high, color="0.85", zorder=0)
    panel.stairs(counts, np.arange(257) - 0.5, fill=True, color=color)
    for edge in (marks.low, marks.high):
        panel.axvline(edge, color="black", linestyle=":", linewidth=1)
    if marks.line is not None:
        panel.axvline(marks.line, color="black", linewidth=1.5)
    panel.set(xlim=(-0.5, 255.5), xticks=[0, 64, 128, 192, 255], ylabel="pixels")
    panel.set_ylim(bottom=0)
    panel.yaxis.set_major_formatter(EngFormatter(sep=""))


def _add_scaled_axis(panel: Axes, zero: float, one: float) -> Any:
    """Add an axis above; its 0 and 1 are at these grey levels."""

    def scale(x: Any) -> Any:
        return (x - zero) / (one - zero)

    def invert(y: Any) -> Any:
        return zero + y * (one - zero)

    axis = panel.secondary_xaxis("top", functions=(scale, invert))
    axis.set_xlabel("scaled value", fontsize="small")
    axis.tick_params(labelsize="small")
    return axis
