"""ImageGridDisplay: images as a person sees them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from math import ceil, sqrt
from os import PathLike
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import ArrayLike, NDArray

from sknorm_images import LazyImages
from sknorm_images._common.failures import Failures
from sknorm_images._common.parameters import finite_numbers
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._images.color_modes import find_color_mode
from sknorm_images._images.recipes import as_pixels
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._steps import flat_steps
from sknorm_images.plotting._panels import PanelDisplay, check_invertible
from sknorm_images.plotting._sampling import sample, sample_of_batch


@published("sknorm_images.plotting")
class ImageGridDisplay(PanelDisplay):
    r"""Grid of images as a person sees them, with the names of their files.

    `from_estimator` draws the output of a pipeline for some paths. `from_images` draws images
    that you already have, scaled or not, or a batch of a dataset. Images of one channel are
    drawn in grey, with black always at 0 and white at 255. Those that a loader reads with
    ``color_mode="stored"``, such as masks, get a colour for each number.

    Parameters
    ----------
    images : sequence of ndarray of shape (height, width, n_channels), dtype uint8
        Grey levels of 1 or 3 channels. Sizes may differ.
    captions : sequence of str or None, default=None
        Text below each image, shortened in the middle if it doesn't fit.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes that contain the panels, passed or new.
    axes_ : ndarray of shape (n_images,), dtype object
        The panel of each image.
    figure_ : matplotlib Figure or SubFigure
        The figure of the axes.

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

    A sample of every class, with its name:

    >>> display = ImageGridDisplay.from_images(photos, y=[1, 0], class_names=["bud", "roof"])
    >>> display.captions
    ['bud\nimage 1', 'roof\nimage 0']
    """

    def __init__(
        self, images: Sequence[NDArray[np.uint8]], captions: Sequence[str] | None = None
    ) -> None:
        self.images = images
        self.captions = captions

    @classmethod
    def from_estimator(
        cls,
        estimator: Any,
        X: Any,
        *,
        y: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        n_images: int = 12,
        random_state: Any = None,
        ax: Axes | None = None,
    ) -> Self:
        """Draw the output of an estimator for some images.

        The `inverse_transform` of a scaler turns its output back into grey levels, which are
        rounded and clipped to 0 to 255. Values that the scaler clipped stay clipped.

        Parameters
        ----------
        estimator : Pipeline or transformer
            One that ends in a `JpegLoader`, a `Resizer` or a fitted scaler.
        X : array-like of shape (n_samples, ...)
            The input of the estimator, such as paths.
        y : array-like of shape (n_samples,) or (n_samples, n_classes), or None, default=None
            The class of each image: a number, a name, or one-hot. Images are then taken from
            each class in turn, and labelled. If there are more classes than `n_images`, the
            first ones are drawn.
        class_names : sequence of str or None, default=None
            Names of the classes that `y` numbers, such as `target_names` of
            `load_image_folder`. None shows the labels as they are.
        n_images : int, default=12
            Number of images to draw. No others are read.
        random_state : int, RandomState instance or None, default=None
            Draws images at random; an int draws the same ones again. None takes the first.
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
            If the output is not images, if the scaler has `per_image` set, so that it has no
            inverse, or if another parameter cannot be used.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        *before, last = flat_steps(estimator) or [None]
        if not hasattr(last, "transform"):
            raise TypeError(
                f"estimator ends in {type(last).__name__}, which does not return images. Pass "
                "the part of a pipeline that ends in a scaler, such as pipeline[:3]."
            )
        if isinstance(last, ChannelScaler):
            check_invertible(last)
        chosen = sample(X, n_images, y, class_names, random_state)
        X = chosen.images
        for step in before:
            X = step.transform(X)
        made = last.transform(X)
        if isinstance(last, ChannelScaler):
            pixels = [_grey_levels(image, last) for image in made]
            # As transform found them. What it zeroed is grey when it is brought back.
            failures = Failures(X.failures) if isinstance(X, LazyImages) else Failures()
            if failures:
                pixels = list(failures.zeroed(np.stack(pixels)))
        else:
            X = made
            pixels, failures = _pixels_of(made)
        captions = chosen.captions(X, len(pixels), failures)
        return cls(_as_seen(pixels, X), captions).plot(ax=ax)

    @classmethod
    def from_images(
        cls,
        images: LazyImages | NDArray[Any] | Sequence[NDArray[Any]] | tuple[Any, ...],
        scaler: Any = None,
        *,
        value_range: tuple[float, float] | None = None,
        y: ArrayLike | None = None,
        class_names: Sequence[str] | None = None,
        n_images: int = 12,
        random_state: Any = None,
        ax: Axes | None = None,
    ) -> Self:
        r"""Draw some images, or what a model is trained on: a batch of a dataset.

        Parameters
        ----------
        images : LazyImages, ndarray, sequence of ndarray, or tuple
            Of shape (n_samples, height, width, n_channels), or each (height, width,
            n_channels). A tuple is a batch, such as ``dataset[0]`` of a `PipelineDataset`; if
            its targets are classes, they are shown as labels. Without `scaler` and
            `value_range`, images are uint8 grey levels. Floats are refused, since it is
            unknown whether they end at 1, at 255 or elsewhere.
        scaler : ChannelStandardScaler, ChannelMinMaxScaler or None, default=None
            The scaler that made the floats; its `inverse_transform` turns them back into grey
            levels. If they were augmented since, the result is shown, clipped to 0 to 255.
        value_range : (low, high) or None, default=None
            The values to draw as black and white, for floats that are not from a scaler, such
            as (0, 1).
        y : array-like of shape (n_samples,) or (n_samples, n_classes), or None, default=None
            As in `from_estimator`. Without it, the images of a batch stay in their order.
        class_names : sequence of str or None, default=None
            As in `from_estimator`; for a `PipelineDataset`, pass its `classes_`.
        n_images : int, default=12
            As in `from_estimator`.
        random_state : int, RandomState instance or None, default=None
            As in `from_estimator`.
        ax : matplotlib Axes or None, default=None
            As in `plot`.

        Returns
        -------
        ImageGridDisplay
            Drawn, as by `from_estimator`.

        Raises
        ------
        TypeError
            If `images` or `scaler` is something else.
        ValueError
            If images have another shape or dtype, and as `from_estimator` raises it.
        sklearn.exceptions.NotFittedError, ImageDecodeError, OSError
            As `from_estimator` raises them.

        Examples
        --------
        What a model sees of a batch, augmented:

        >>> import numpy as np
        >>> from sklearn.datasets import load_sample_images
        >>> from sknorm_images import ChannelStandardScaler
        >>> from sknorm_images.plotting import ImageGridDisplay
        >>> photos = np.stack(load_sample_images().images)
        >>> scaler = ChannelStandardScaler().fit(photos)
        >>> batch = scaler.transform(photos)[:, :, ::-1] + 0.5, np.array([0, 1])
        >>> display = ImageGridDisplay.from_images(batch, scaler, class_names=["roof", "bud"])
        >>> display.captions
        ['roof\nimage 0', 'bud\nimage 1']
        """
        to_levels = _way_to_grey_levels(scaler, value_range)
        if _is_batch(images) and y is None:
            chosen = sample_of_batch(images, n_images, class_names, random_state)
        else:
            every = images[0] if _is_batch(images) else images
            chosen = sample(every, n_images, y, class_names, random_state)
        pixels, failures = _pixels_of(chosen.images, to_levels)
        captions = chosen.captions(chosen.images, len(pixels), failures)
        return cls(_as_seen(pixels, chosen.images), captions).plot(ax=ax)

    def _draw(self, ax: Axes | None) -> None:
        images = [np.asarray(image) for image in self.images]
        captions = [""] * len(images) if self.captions is None else self.captions
        _check_images(images, captions)
        n_cols = ceil(sqrt(len(images)))
        n_rows = ceil(len(images) / n_cols)
        width = max(1.8, 4.8 / n_cols)  # inches
        usual = np.median([image.shape[0] / image.shape[1] for image in images])
        size = (width * n_cols, (width * float(usual.clip(0.5, 2)) + 0.3) * n_rows)
        panels = self._make_panels(ax, (n_rows, n_cols), len(images), size, gap=0.3)
        for panel, image, caption in zip(panels, images, captions, strict=True):
            _draw_image(panel, image, caption)


def _is_batch(images: Any) -> bool:
    """Whether this is (x, y) or (x, y, weights), and not a few images."""
    if not isinstance(images, tuple) or len(images) not in (2, 3):
        return False
    return isinstance(images[0], Mapping) or np.ndim(images[0]) == 4


def _way_to_grey_levels(scaler: Any, value_range: Any) -> Callable[[Any], Any] | None:
    """Choose what turns one image into grey levels; None if it has them already."""
    if scaler is not None and value_range is not None:
        raise ValueError(
            "scaler and value_range both say what grey levels the values stand for. Pass one."
        )
    if scaler is not None:
        check_invertible(scaler)
        return partial(_grey_levels, scaler=scaler)
    if value_range is None:
        return None
    ends = finite_numbers(value_range)
    if ends is None or ends.shape != (2,) or not ends[0] < ends[1]:
        raise ValueError(
            f"value_range={show_value(value_range)} is not a range. Pass (low, high), such as "
            "(0, 1)."
        )
    return partial(_between, low=ends[0], high=ends[1])


def _pixels_of(
    images: Any, to_levels: Callable[[Any], Any] | None = None
) -> tuple[list[NDArray[Any]], Failures]:
    """Read images as arrays; also return which of them cannot be read, and are black."""
    if not isinstance(images, LazyImages):
        _check_sequence(images)
    if to_levels is not None:
        return [to_levels(image) for image in images], Failures()
    if isinstance(images, LazyImages) and images.ndim == 4:
        return list(np.asarray(images)), Failures(images.failures)  # in parallel
    return [images[i] for i in range(len(images))], Failures()


def _check_sequence(images: Any) -> None:
    if not hasattr(images, "__len__") or any(isinstance(i, str | PathLike) for i in images):
        raise TypeError(
            f"images is a {type(images).__name__} which is not a sequence of arrays. Put one "
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
                f"Image {i} is of dtype {image.dtype}, so it is unknown which grey levels its "
                "values stand for. Pass the scaler that made it: from_images(images, "
                "scaler). Or say which are black and white: value_range=(0, 255), or (0, 1)."
            )


def _grey_levels(image: Any, scaler: ChannelScaler) -> NDArray[np.uint8]:
    """Turn one scaled image back into grey levels."""
    image = np.asarray(image)
    if image.dtype.kind != "f":
        raise ValueError(
            f"images are of dtype {image.dtype}, and the output of a scaler is "
            "floating-point. Leave scaler out to draw grey levels, or call "
            "from_estimator(scaler, images) to draw its output."
        )
    levels: NDArray[Any] = np.rint(scaler.inverse_transform(image)).clip(0, 255)
    return levels.astype(np.uint8)


def _between(image: Any, low: float, high: float) -> NDArray[np.uint8]:
    """Turn floats between `low` and `high` into grey levels."""
    image = np.asarray(image)
    if image.dtype.kind != "f":
        raise ValueError(
            f"images are of dtype {image.dtype}, and value_range is for floats. Leave it out "
            "to draw grey levels."
        )
    if np.isnan(image).any():
        raise ValueError("images hold NaN, which has no colour. Find out where it comes from.")
    levels: NDArray[Any] = np.rint((image.clip(low, high) - low) * (255 / (high - low)))
    return levels.astype(np.uint8)


def _as_seen(pixels: list[NDArray[Any]], images: Any) -> list[NDArray[Any]]:
    """Convert pixels to grey or RGB, if they are of LazyImages in another colour mode."""
    if not isinstance(images, LazyImages):
        return pixels
    mode = find_color_mode(images.n_channels, images.color_mode)
    if mode is None or mode.is_seen:
        return pixels
    return [as_pixels(mode.as_seen(image)) for image in pixels]


def _draw_image(panel: Axes, image: NDArray[np.uint8], caption: str) -> None:
    drawn = image if image.shape[2] == 3 else image[..., 0]
    panel.imshow(drawn, cmap="gray", vmin=0, vmax=255)
    panel.set(xticks=[], yticks=[])
    points = 72 * panel.get_window_extent().width / panel.figure.dpi
    room = max(8, int(points / 4.5))  # characters of about that width, at 8 points
    lines = [_shortened(line, room) for line in caption.split("\n")]
    panel.set_xlabel("\n".join(lines), fontsize=8, parse_math=False)


def _shortened(text: str, n: int) -> str:
    # What no font can draw, such as bytes of a name in another encoding.
    text = "".join(c if c.isprintable() else "?" for c in text)
    if len(text) <= n:
        return text
    tail = n // 2
    return f"{text[: n - tail - 1]}…{text[-tail:]}"
