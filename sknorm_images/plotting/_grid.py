"""ImageGridDisplay: images as a person sees them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from math import ceil, sqrt
from os import PathLike
from pathlib import Path
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from sknorm_images import LazyImages
from sknorm_images._common.parameters import check_number
from sknorm_images._common.published import published
from sknorm_images._images.color_modes import find_color_mode
from sknorm_images._images.recipes import as_pixels
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._steps import flat_steps
from sknorm_images.plotting._panels import PanelDisplay, check_invertible


@published("sknorm_images.plotting")
class ImageGridDisplay(PanelDisplay):
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
        *before, last = flat_steps(estimator) or [None]
        if not hasattr(last, "transform"):
            raise TypeError(
                f"estimator ends in {type(last).__name__}, which makes no images. Pass the "
                "part of a pipeline that ends in a scaler, such as pipeline[:3]."
            )
        if isinstance(last, ChannelScaler):
            check_invertible(last)
        X = _first(X, n_images)
        for step in before:
            X = step.transform(X)
        made = last.transform(X)
        if not isinstance(last, ChannelScaler):
            return cls.from_images(made, n_images=n_images, ax=ax)
        images = [_grey_levels(image, last) for image in made]
        failures = X.failures if isinstance(X, LazyImages) else {}  # as transform found them
        for i in failures:
            images[i][:] = 0
        seen = _as_seen(images, X)
        return cls(seen, _captions(X, len(images), failures)).plot(ax=ax)

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
        images : LazyImages, ndarray or sequence of ndarray
            Of shape (n_samples, height, width, n_channels), or each (height, width,
            n_channels). Without `scaler`, uint8 grey levels; floats are refused, since
            nothing tells whether they end at 1, at 255 or elsewhere. With `scaler`, the
            floats it made.
        scaler : ChannelStandardScaler, ChannelMinMaxScaler or None, default=None
            What made the floats; its `inverse_transform` brings them back to grey levels.
        n_images : int, default=12
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
            If images are of another shape or dtype, and where `from_estimator` raises it.
        sklearn.exceptions.NotFittedError, ImageDecodeError, OSError
            As `from_estimator` raises them.
        """
        images = _first(images, n_images)
        if not isinstance(images, LazyImages):
            _check_sequence(images)
        failures: Collection[int] = ()
        pixels: list[NDArray[Any]]
        if scaler is not None:
            check_invertible(scaler)
            pixels = [_grey_levels(image, scaler) for image in images]
        elif isinstance(images, LazyImages) and images.ndim == 4:
            pixels = list(np.asarray(images))  # in parallel
            failures = images.failures
        else:
            pixels = [images[i] for i in range(len(images))]
        seen = _as_seen(pixels, images)
        return cls(seen, _captions(images, len(pixels), failures)).plot(ax=ax)

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


def _first(X: Any, n: int) -> Any:
    """Take the first rows of any container that has rows; leave others as they are."""
    check_number("n_images", n, low=1, integral=True)
    if hasattr(X, "iloc"):
        return X.iloc[:n]
    return X[:n] if hasattr(X, "__getitem__") and not isinstance(X, Mapping) else X


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
                f"Image {i} is of dtype {image.dtype}, and nothing tells what grey levels its "
                "values stand for. Pass the scaler that made it: from_images(images, scaler). "
                "Or convert it with np.rint(X).astype(np.uint8), or with "
                "np.rint(X * 255).astype(np.uint8) if it ends at 1."
            )


def _grey_levels(image: Any, scaler: ChannelScaler) -> NDArray[np.uint8]:
    """Turn one scaled image back into grey levels."""
    image = np.asarray(image)
    if image.dtype.kind != "f":
        raise ValueError(
            f"images are of dtype {image.dtype}, and what a scaler made is floating. Leave "
            "scaler out to draw grey levels, or call from_estimator(scaler, images) to draw "
            "what it makes of them."
        )
    levels: NDArray[Any] = np.rint(scaler.inverse_transform(image)).clip(0, 255)
    return levels.astype(np.uint8)


def _as_seen(pixels: list[NDArray[Any]], images: Any) -> list[NDArray[Any]]:
    """Convert pixels to grey or RGB, if they are of LazyImages in another colour mode."""
    if not isinstance(images, LazyImages):
        return pixels
    mode = find_color_mode(images.n_channels, images.color_mode)
    if mode is None or mode.is_seen:
        return pixels
    return [as_pixels(mode.as_seen(image)) for image in pixels]


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
