"""Pictures of what a scaler learned, and of what an estimator makes of images.

They follow scikit-learn's displays: `from_estimator` makes and draws one, and `plot` draws
it once more.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil, sqrt
from os import PathLike
from pathlib import Path
from typing import Any, NamedTuple, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.pipeline import Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    LazyImages,
)
from sknorm_images._parameters import check_number

try:
    from matplotlib.axes import Axes
    from matplotlib.gridspec import GridSpecFromSubplotSpec
    from matplotlib.ticker import EngFormatter
except ImportError as error:
    raise ImportError(
        f"sknorm_images.plotting needs matplotlib, and importing it fails: {error}. "
        'Run: python -m pip install "sknorm-images[plot]"'
    ) from error

__all__ = ["ChannelHistogramDisplay", "ImageGridDisplay"]

Scaler: TypeAlias = ChannelStandardScaler | ChannelMinMaxScaler

_MAX_PANELS = 16  # one below the other; more fit on no screen
_RGB = (("red", "tab:red"), ("green", "tab:green"), ("blue", "tab:blue"))


class ChannelHistogramDisplay:
    """Histogram of each channel, and how a scaler maps its grey levels.

    There is one panel a channel. Its bars count the pixels of each grey level. A line is at
    the mean, and a band reaches one standard deviation to either side; for a
    `ChannelMinMaxScaler` the band is the range that is scaled, and there is no line. The
    axis below is in grey levels, before scaling; the axis above is what the scaler makes of
    them, before it clips.

    `from_estimator` draws what a scaler learned. The constructor takes any histogram, so
    that one folder can be drawn with the scaler that was fitted to another.

    Parameters
    ----------
    histogram : ChannelHistogram
        The counts to draw, of at most 16 channels: the `statistics_` of a scaler that was
        fitted to uint8 images, or ``ChannelHistogram.of(images)``. Three channels are called
        red, green and blue, a single one grey, and others are numbered.
    scaler : ChannelStandardScaler, ChannelMinMaxScaler or None, default=None
        Fitted, or with constants that need no fit. Its mean and standard deviation, or its
        range, are marked, instead of those of `histogram`. None draws no scaled axis.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that hold the panels, as handed in or made.
    axes_ : ndarray of shape (n_channels,), dtype object
        The panel of each channel.
    scaled_axes_ : ndarray of shape (n_channels,), dtype object
        The axis in scaled values on top of each panel; None without a scaler.
    figure_ : matplotlib Figure or SubFigure
        What they are in.

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

    def __init__(self, histogram: ChannelHistogram, scaler: Any = None) -> None:
        self.histogram = histogram
        self.scaler = scaler

    @classmethod
    def from_estimator(cls, estimator: Any, *, ax: Axes | None = None) -> Self:
        """Draw the histogram that a scaler learned.

        Parameters
        ----------
        estimator : ChannelStandardScaler, ChannelMinMaxScaler or Pipeline
            Fitted to uint8 images of at most 16 channels. Of a Pipeline it is the last step.
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
            If `estimator` is no such scaler, and does not end in one.
        ValueError
            If the scaler learned no histogram, or one of too many channels, or `ax` cannot
            be used.
        """
        scaler = _steps(estimator)[-1]
        if not isinstance(scaler, Scaler):
            raise TypeError(
                f"estimator ends in {type(scaler).__name__}, which learns no histogram. Pass "
                "a ChannelStandardScaler or a ChannelMinMaxScaler, or the part of a pipeline "
                "that ends in one, such as pipeline[:3]."
            )
        if not get_tags(scaler).requires_fit:
            raise ValueError(
                f"{scaler} learns nothing from the images together, so there is no histogram. "
                "Fit a ChannelStandardScaler() to them, and pass that one's statistics_ to "
                "ChannelHistogramDisplay."
            )
        check_is_fitted(scaler, "statistics_")
        if not isinstance(scaler.statistics_, ChannelHistogram):
            raise ValueError(
                f"The scaler's statistics_ are {scaler.statistics_}, which count no grey "
                "levels. Fit it to uint8 images of at most 16 channels."
            )
        return cls(scaler.statistics_, scaler).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the panels, one below the other.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes of a grid, as ``plt.subplots`` makes them. The panels take their place, and
            they are switched off. None makes a figure.

        Returns
        -------
        ChannelHistogramDisplay
            Itself, with the attributes set.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the scaler is not fitted.
        TypeError
            If `histogram` or `scaler` is something else.
        ValueError
            If nothing was counted, or there are too many channels, the scaler has another
            number of channels or has `per_image` set, or `ax` cannot be used.
        """
        histogram, scaler = self.histogram, self.scaler
        n_channels = _check_histogram(histogram)
        ends: Any = [None] * n_channels
        if scaler is not None:
            _check_invertible(scaler)
            # Where 0 and 1 come from tells all about a map that is affine.
            zeros_and_ones = np.repeat([[0.0], [1.0]], n_channels, axis=1)
            ends = scaler.inverse_transform(zeros_and_ones).T
        marks = _marks(histogram, scaler)
        size = (6.4, 0.6 + 1.9 * n_channels)
        self.ax_, panels = _panels(ax, (n_channels, 1), n_channels, size, gap=1.0)
        self.figure_: Any = self.ax_.figure  # a SubFigure saves nothing, a Figure does
        self.axes_ = np.array(panels, object)
        scaled: list[Any] = [None] * n_channels
        for i, panel in enumerate(panels):
            name, color = _name_and_color(i, n_channels)
            _draw_histogram(panel, histogram.counts[i], color, marks[i])
            panel.set_title(f"{name}: {marks[i].text}", loc="left", fontsize="medium")
            if i:
                panel.sharex(panels[0])
            panel.tick_params(labelbottom=i == n_channels - 1)
            if ends[i] is not None:
                scaled[i] = _add_scaled_axis(panel, *ends[i])
        panels[-1].set_xlabel("grey level (0 to 255)")
        self.scaled_axes_ = np.array(scaled, object)
        return self


class ImageGridDisplay:
    """Grid of images as a person sees them, with the names of their files.

    `from_estimator` draws what a pipeline makes of paths, and `from_images` draws images
    that are there already, scaled or not. Images of one channel are drawn in grey, from
    black at 0 to white at 255 whatever they hold.

    Parameters
    ----------
    images : sequence of ndarray of shape (height, width, n_channels), dtype uint8
        Grey levels of 1 or 3 channels. Sizes may differ.
    captions : sequence of str or None, default=None
        What is written below each image; shortened in the middle where there is no room.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that hold the panels, as handed in or made.
    axes_ : ndarray of shape (n_images,), dtype object
        The panel of each image.
    figure_ : matplotlib Figure or SubFigure
        What they are in.

    See Also
    --------
    ChannelHistogramDisplay : The statistics of the images.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelStandardScaler
    >>> from sknorm_images.plotting import ImageGridDisplay
    >>> photos = np.stack(load_sample_images().images)
    >>> scaler = ChannelStandardScaler().fit(photos)
    >>> display = ImageGridDisplay.from_images(scaler.transform(photos), scaler)
    >>> display.captions, bool(np.array_equal(display.images, photos))
    (['image 0', 'image 1'], True)
    """

    def __init__(
        self, images: Sequence[NDArray[np.uint8]], captions: Sequence[str] | None = None
    ) -> None:
        self.images = images
        self.captions = captions

    @classmethod
    def from_estimator(
        cls, estimator: Any, X: Any, *, n_images: int = 12, ax: Axes | None = None
    ) -> Self:
        """Draw what an estimator makes of the first images.

        The output of a scaler is brought back to grey levels by its `inverse_transform`,
        rounded, and cut off below 0 and above 255. What the scaler clipped stays so.

        Parameters
        ----------
        estimator : Pipeline or transformer
            What ends in a `JpegLoader`, a `Resizer` or a fitted scaler.
        X : array-like of shape (n_samples, ...)
            What it transforms, such as paths.
        n_images : int, default=12
            Number of images to draw. No others are read.
        ax : matplotlib Axes or None, default=None
            As in `plot`.

        Returns
        -------
        ImageGridDisplay
            Drawn. Images that a loader with ``on_error="blank"`` cannot read are black, and
            their captions say so.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the scaler is not fitted.
        TypeError
            If `estimator` does not transform.
        ValueError
            If no images come out, the scaler has `per_image` set, which leaves no way back,
            or `n_images` or `ax` cannot be used.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        *before, last = _steps(estimator)
        if not hasattr(last, "transform"):
            raise TypeError(
                f"estimator ends in {type(last).__name__}, which makes no images. Pass the "
                "part of a pipeline that ends in a scaler, such as pipeline[:3]."
            )
        if isinstance(last, Scaler):
            _check_invertible(last)
        X = _first(X, n_images)
        for step in before:
            X = step.transform(X)
        made = last.transform(X)
        if not isinstance(last, Scaler):
            return cls.from_images(made, n_images=n_images, ax=ax)
        images = [_grey_levels(image, last) for image in made]
        failures = X.failures if isinstance(X, LazyImages) else {}  # as transform found them
        for i in failures:
            images[i][:] = 0
        return cls(images, _captions(X, len(images), failures)).plot(ax=ax)

    @classmethod
    def from_images(
        cls,
        images: LazyImages | NDArray[Any] | Sequence[NDArray[Any]],
        scaler: Any = None,
        *,
        n_images: int = 12,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the first of some images.

        Parameters
        ----------
        images : LazyImages, ndarray of shape (n, h, w, c) or sequence of ndarray (h, w, c)
            Without `scaler`, uint8 grey levels; floats are refused, since nothing tells
            whether they end at 1, at 255 or elsewhere. With `scaler`, the floats it made.
        scaler : ChannelStandardScaler, ChannelMinMaxScaler or None, default=None
            What made the floats; its `inverse_transform` brings them back to grey levels.
        n_images : int, default=12
            Number of images to draw. Of LazyImages, no others are read.
        ax : matplotlib Axes or None, default=None
            As in `plot`.

        Returns
        -------
        ImageGridDisplay
            Drawn. Images that a loader with ``on_error="blank"`` cannot read are black, and
            their captions say so.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If the scaler is not fitted.
        TypeError
            If `images` or `scaler` is something else.
        ValueError
            If images are of another shape or dtype, the scaler has `per_image` set, which
            leaves no way back, or `n_images` or `ax` cannot be used.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        images = _first(images, n_images)
        if not isinstance(images, LazyImages):
            _check_sequence(images)
        failures: Collection[int] = ()
        pixels: list[NDArray[Any]]
        if scaler is not None:
            _check_invertible(scaler)
            pixels = [_grey_levels(image, scaler) for image in images]
        elif isinstance(images, LazyImages) and images.ndim == 4:
            pixels = list(np.asarray(images))  # in parallel
            failures = images.failures
        else:
            pixels = [images[i] for i in range(len(images))]
        return cls(pixels, _captions(images, len(pixels), failures)).plot(ax=ax)

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the grid, row by row.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes of a grid, as ``plt.subplots`` makes them. The panels take their place, and
            they are switched off. None makes a figure.

        Returns
        -------
        ImageGridDisplay
            Itself, with the attributes set.

        Raises
        ------
        ValueError
            If there are no images, or of another shape or dtype, or another number of
            captions, or `ax` cannot be used.
        """
        images = [np.asarray(image) for image in self.images]
        captions = [""] * len(images) if self.captions is None else self.captions
        _check_images(images, captions)
        n_cols = ceil(sqrt(len(images)))
        n_rows = ceil(len(images) / n_cols)
        width = max(1.8, 4.8 / n_cols)  # inches
        usual = np.median([image.shape[0] / image.shape[1] for image in images])
        size = (width * n_cols, (width * float(usual.clip(0.5, 2)) + 0.3) * n_rows)
        self.ax_, panels = _panels(ax, (n_rows, n_cols), len(images), size, gap=0.3)
        self.figure_: Any = self.ax_.figure  # a SubFigure saves nothing, a Figure does
        self.axes_ = np.array(panels, object)
        for panel, image, caption in zip(panels, images, captions, strict=True):
            _draw_image(panel, image, caption)
        return self


class _Marks(NamedTuple):
    """What is marked in one panel, in grey levels, and the words for it."""

    line: float | None
    low: float
    high: float
    text: str


def _steps(estimator: Any) -> list[Any]:
    """Take a pipeline apart, and one that it ends in; anything else is one step."""
    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    return [*steps[:-1], *_steps(steps[-1])] if steps else [None]


def _first(X: Any, n: int) -> Any:
    """Take the first rows of any container that has rows; others are not ours to refuse."""
    check_number("n_images", n, low=1, integral=True)
    if hasattr(X, "iloc"):
        return X.iloc[:n]
    return X[:n] if hasattr(X, "__getitem__") and not isinstance(X, Mapping) else X


def _panels(
    ax: Axes | None, shape: tuple[int, int], n: int, size: tuple[float, float], gap: float
) -> tuple[Axes, list[Axes]]:
    """Put panels in the place of `ax`; a new figure is of that size, in inches."""
    if ax is None:
        import matplotlib.pyplot as plt  # only here: with axes of one's own, it is not needed

        _, ax = plt.subplots(figsize=size, layout="constrained")
    spec = ax.get_subplotspec()
    if spec is None or not ax.axison:
        why = "are in no grid" if spec is None else "are switched off, as by another display"
        raise ValueError(
            f"The axes ax {why}, so panels cannot take their place. Pass new ones, as "
            "plt.subplots makes them."
        )
    ax.set_axis_off()
    figure = ax.figure
    # A layout engine makes room for titles itself.
    hspace = None if figure.get_layout_engine() else gap
    grid = GridSpecFromSubplotSpec(*shape, spec, hspace=hspace)
    return ax, [figure.add_subplot(grid[i]) for i in range(n)]


def _check_histogram(histogram: Any) -> int:
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
        raise ValueError("The histogram counts no pixels. Pass one of at least one image.")
    return n_channels


def _check_invertible(scaler: Any) -> None:
    if not isinstance(scaler, Scaler):
        raise TypeError(
            f"scaler is a {type(scaler).__name__}. Pass a ChannelStandardScaler or a "
            "ChannelMinMaxScaler, such as pipeline[-1]."
        )
    if scaler.per_image:
        raise ValueError(
            f"per_image={scaler.per_image!r} maps each image in a way of its own, so nothing "
            "leads back from scaled values to grey levels. Draw what goes into the scaler, "
            "such as what pipeline[:-1] makes, or pass a scaler with per_image=False."
        )


def _check_sequence(images: Any) -> None:
    if not hasattr(images, "__len__") or any(isinstance(i, str | PathLike) for i in images):
        raise TypeError(
            f"images is a {type(images).__name__} that is no sequence of arrays. Put one "
            "image in a list; for paths, call from_estimator(pipeline, paths)."
        )


def _check_images(images: Sequence[NDArray[Any]], captions: Sequence[str]) -> None:
    if not images:
        raise ValueError("There are no images. Pass at least one.")
    if len(captions) != len(images):
        raise ValueError(
            f"There are {len(captions)} captions for {len(images)} images. Pass one each."
        )
    for i, image in enumerate(images):
        shape = image.shape
        if len(shape) != 3 or 0 in shape or shape[2] not in (1, 3):
            raise ValueError(
                f"Image {i} is of shape {shape}, and what is drawn is (height, width, 1) or "
                "(height, width, 3). Add a missing axis: X[np.newaxis] for one image, "
                "X[..., np.newaxis] for one channel; of many channels, pass three."
            )
        if image.dtype != np.uint8:
            raise ValueError(
                f"Image {i} is of dtype {image.dtype}, and nothing tells what grey levels its "
                "values stand for. Pass the scaler that made it: from_images(images, scaler). "
                "Or convert it with np.rint(X).astype(np.uint8), times 255 if it ends at 1."
            )


def _grey_levels(image: Any, scaler: Scaler) -> NDArray[np.uint8]:
    """Bring one scaled image back."""
    image = np.asarray(image)
    if image.dtype.kind != "f":
        raise ValueError(
            f"images are of dtype {image.dtype}, and what a scaler made is floating. Leave "
            "scaler out to draw grey levels, or call from_estimator(scaler, images) to draw "
            "what it makes of them."
        )
    levels: NDArray[Any] = np.rint(scaler.inverse_transform(image)).clip(0, 255)
    return levels.astype(np.uint8)


def _captions(images: Any, n_images: int, failures: Collection[int]) -> list[str]:
    names = images.filenames if isinstance(images, LazyImages) else [""] * n_images
    # LazyImages describe bytes and arrays, as in <24 bytes>.
    captions = [
        f"image {i}" if not name or name.startswith("<") else Path(name).name
        for i, name in enumerate(names)
    ]
    for i in failures:
        captions[i] += "\ncannot be read"
    return captions


def _marks(histogram: ChannelHistogram, scaler: Scaler | None) -> list[_Marks]:
    if scaler is not None and not get_tags(scaler).requires_fit:
        # A fit to anything brings constants to one a channel.
        scaler = clone(scaler).fit(np.zeros((1, len(histogram.counts))))
    if isinstance(scaler, ChannelMinMaxScaler):
        low, high = scaler.quantile_range
        what = "range" if (low, high) == (0, 100) else f"percentiles {low:g} and {high:g}:"
        return [
            _Marks(None, a, b, f"scaler's {what} {a:.4g} to {b:.4g} (band)")
            for a, b in zip(scaler.data_min_, scaler.data_max_, strict=True)
        ]
    mean, var, whose = histogram.mean, histogram.var, ""
    if scaler is not None:
        # A scaler that does without one of them need not know it.
        mean = mean if scaler.mean_ is None else scaler.mean_
        var = var if scaler.var_ is None else scaler.var_
        whose = "scaler's "
    words = whose + "mean {:.1f} (line), std {:.1f} (band)"
    return [
        _Marks(m, m - s, m + s, words.format(m, s))
        for m, s in zip(mean, np.sqrt(var), strict=True)
    ]


def _name_and_color(channel: int, n_channels: int) -> tuple[str, str]:
    if n_channels == 3:
        return _RGB[channel]
    return ("grey" if n_channels == 1 else f"channel {channel}"), "tab:gray"


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


def _draw_image(panel: Axes, image: NDArray[np.uint8], caption: str) -> None:
    drawn = image if image.shape[2] == 3 else image[..., 0]
    panel.imshow(drawn, cmap="gray", vmin=0, vmax=255)
    panel.set(xticks=[], yticks=[])
    points = 72 * panel.get_window_extent().width / panel.figure.dpi
    room = max(8, int(points / 4.5))  # characters of about that width, at 8 points
    lines = [_shortened(line, room) for line in caption.split("\n")]
    panel.set_xlabel("\n".join(lines), fontsize=8, parse_math=False)


def _shortened(text: str, n: int) -> str:
    # What no font draws, such as bytes of a name in another encoding.
    text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) <= n:
        return text
    tail = n // 2
    return f"{text[: n - tail - 1]}…{text[-tail:]}"
