"""The page about a folder that ``sknorm-images report`` writes."""

from __future__ import annotations

import base64
import io
import os
import warnings
from collections.abc import Callable, Iterator
from itertools import cycle
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sknorm_images import (
    ChannelHistogram,
    ImageTransparencyWarning,
    JpegLoader,
    LazyImages,
    Resizer,
    __version__,
    check_images,
)
from sknorm_images._common.wording import printable
from sknorm_images._files.protocols import is_url
from sknorm_images._images.color_modes import ColorMode, find_color_mode
from sknorm_images._images.thumbnails import thumbnail_uri
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._steps import flat_steps
from sknorm_images.cli._batches import images_of, transform_batches
from sknorm_images.cli._files import Photos
from sknorm_images.cli._wording import in_options
from sknorm_images.plotting import ChannelHistogramDisplay

_SAMPLES = 6
_OUTLIERS = 4  # of each kind
_BROKEN = 200  # more would bury the rest of the page
_SIDE = 192  # of a thumbnail, in pixels
_STATISTICS: dict[str, Callable[[Any], NDArray[Any]]] = {
    "mean": lambda statistics: statistics.mean,
    "standard deviation": lambda statistics: np.sqrt(statistics.var),
    "minimum": lambda statistics: statistics.data_min,
    "maximum": lambda statistics: statistics.data_max,
}


def make_report(
    directory: str, pipeline: Pipeline, photos: Photos, *, n_jobs: int, verbose: bool
) -> str:
    """Make one HTML page that needs no other files.

    `directory` is a path or a URL, `pipeline` a JpegLoader, a Resizer and a fitted scaler of
    this package. `verbose` shows the progress of looking for broken files. Raises TypeError,
    ValueError or NotFittedError if the pipeline is of another kind or not fitted, and
    ValueError if no file can be read.
    """
    files = photos.files
    images, steps = images_of(pipeline, directory, files, n_jobs)
    scaler = steps[0] if steps else None
    if not isinstance(scaler, ChannelScaler):
        raise ValueError(
            "the pipeline has no ChannelStandardScaler or ChannelMinMaxScaler after its "
            "Resizer, so there are no statistics to report. Pass one that has."
        )
    loader = flat_steps(pipeline)[0]
    target = np.array(photos.classes, dtype=object)
    found = check_images(files, target=target, loader=loader, n_jobs=n_jobs, verbose=verbose)
    if not found.readable.any():
        raise ValueError(
            f"none of the {len(files)} files can be read, so there is nothing to report. "
            f"Check the folder; the first one fails with: {found.reason[0]}"
        )
    images = images[found.readable]
    paths = images.filenames
    unscaled = loader.transform(files)[found.readable]
    mode = find_color_mode(images.n_channels, images.color_mode)
    assert mode is not None  # a JpegLoader names it
    histogram, numbers = _measure(images, mode)
    sizes = _upright_sizes(found, loader)[found.readable]
    numbers["aspect ratio"] = sizes[:, 1] / sizes[:, 0]

    def name(path: str) -> str:
        return printable(path if is_url(path) else os.path.relpath(path, directory))

    def thumbnail(i: int) -> str:
        scale = min(1, _SIDE / max(sizes[i]))
        size = tuple(max(1, round(side * scale)) for side in sizes[i])
        return _jpeg(Resizer(size).transform(unscaled[[i]])[0], mode)

    broken, damaged = np.flatnonzero(~found.readable), np.flatnonzero(found.damage != "")
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("sknorm_images.cli", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    with warnings.catch_warnings():  # measuring all images has told of it
        warnings.simplefilter("ignore", ImageTransparencyWarning)
        return template.render(
            folder=printable(directory),
            version=__version__,
            n_files=len(files),
            n_broken=len(broken),
            n_damaged=len(damaged),
            n_twice=int((found.duplicate_of >= 0).sum()),
            n_conflicts=int(found.in_another_class.sum()),
            n_fitted=getattr(scaler, "n_samples_seen_", None),
            steps=[(step, " ".join(repr(part).split())) for step, part in pipeline.steps],
            statistics=list(
                _statistics(getattr(scaler, "statistics_", None), histogram, mode)
            ),
            histograms=list(_histograms(scaler, histogram, images.color_mode)),
            scaled=_scaled_histogram(scaler, histogram, mode),
            samples=[
                (name(paths[i]), _views(images[[i]].read()[0], scaler, mode))
                for i in _evenly(len(images), _SAMPLES)
            ],
            outliers=[
                (
                    title,
                    number,
                    [
                        (name(paths[i]), f"{numbers[number][i]:.3g}", thumbnail(i))
                        for i in rows
                    ],
                )
                for title, number, rows in _outliers(numbers)
            ],
            broken=[
                (name(files[i]), in_options(printable(found.reason[i])))
                for i in broken[:_BROKEN]
            ],
            damaged=[(name(files[i]), printable(found.damage[i])) for i in damaged[:_BROKEN]],
        )


def _measure(
    images: LazyImages, mode: ColorMode
) -> tuple[ChannelHistogram, dict[str, NDArray[np.float64]]]:
    """Count the grey levels of all images, and measure brightness and contrast of each."""
    total = ChannelHistogram(np.zeros((images.n_channels, 256), np.int64), 0)
    brightness, contrast = np.full((2, len(images)), np.nan)
    for rows, pixels, blank in transform_batches(images, [], "measure"):
        for i in sorted(set(range(len(pixels))) - set(blank)):
            histogram = ChannelHistogram.of(pixels[i : i + 1])
            total += histogram
            if not mode.is_seen:  # hues, say, are neither bright nor dark
                histogram = ChannelHistogram.of_picture(mode.as_seen(pixels[i]))
            whole = ChannelHistogram(histogram.counts.sum(axis=0, keepdims=True), 1)
            brightness[rows.start + i] = whole.mean[0]
            contrast[rows.start + i] = np.sqrt(whole.var[0])
    return total, {"mean": brightness, "standard deviation": contrast}


def _upright_sizes(found: Bunch, loader: JpegLoader) -> NDArray[np.int64]:
    """List the (height, width) of each file as the loader turns it."""
    sizes = np.stack([found.height, found.width], axis=1)
    turned = (found.orientation >= 5) & loader.exif_orientation
    sizes[turned] = sizes[turned, ::-1]
    return sizes


def _statistics(
    fitted: Any, here: ChannelHistogram, mode: ColorMode
) -> Iterator[tuple[str, list[Any]]]:
    """Yield each channel with rows of a name, its fitted value, and that of this folder."""
    for i, channel in enumerate(mode.channels):
        yield (
            channel,
            [
                (name, None if fitted is None else derive(fitted)[i], derive(here)[i])
                for name, derive in _STATISTICS.items()
            ],
        )


def _histograms(
    scaler: Any, here: ChannelHistogram, color_mode: str | None
) -> Iterator[tuple[str, str]]:
    fitted = getattr(scaler, "statistics_", None)
    scaler = None if scaler.per_image else scaler  # then there is no single map to draw
    histograms = {"The images of this folder": here}
    if isinstance(fitted, ChannelHistogram):
        histograms = {"The images it was fitted on": fitted} | histograms
    for title, histogram in histograms.items():
        figure = Figure(figsize=(5.4, 0.6 + 1.9 * len(here.counts)), layout="constrained")
        display = ChannelHistogramDisplay(histogram, scaler, color_mode=color_mode)
        display.plot(ax=figure.subplots())
        yield title, _svg_uri(figure)


def _scaled_histogram(scaler: Any, here: ChannelHistogram, mode: ColorMode) -> str | None:
    """Draw the channels of this folder in one panel, as the scaler makes them.

    None if the output of a channel depends on other channels.
    """
    if scaler.per_image or scaler._mixes_channels:
        return None
    n_channels = len(here.counts)
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], n_channels, axis=1)
    scaled = scaler.transform(levels)
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    ax = figure.subplots()
    edges = np.linspace(scaled.min(), scaled.max(), 65)
    styles = cycle(("-", "--", ":"))  # distinguishable without colour, too
    for i, ((name, color), style) in enumerate(
        zip(mode.channels.items(), styles, strict=False)
    ):
        counts, _ = np.histogram(scaled[:, i], edges, weights=here.counts[i])
        ax.stairs(counts, edges, label=name, color=color, linestyle=style)
    ax.set(xlabel="scaled value", ylabel="pixels")
    ax.legend()
    return _svg_uri(figure)


def _svg_uri(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def _views(pixels: NDArray[np.uint8], scaler: Any, mode: ColorMode) -> list[tuple[str, str]]:
    """Show one image (1, h, w, c) as it is read, scaled, and scaled back."""
    scaled = scaler.transform(pixels)
    low, high = float(scaled.min()), float(scaled.max())
    stretched = (scaled - low) * (255 / (high - low) if high > low else 0)
    views = {"as read": pixels, f"scaled: {low:.2f} to {high:.2f}": stretched}
    if not scaler.per_image:  # else there is no way back
        views["and back"] = scaler.inverse_transform(scaled)
    return [
        (caption, _jpeg(np.rint(view[0]).clip(0, 255).astype(np.uint8), mode))
        for caption, view in views.items()
    ]


def _jpeg(pixels: NDArray[np.uint8], mode: ColorMode) -> str:
    return thumbnail_uri(mode.as_seen(pixels), (_SIDE, _SIDE))


def _evenly(n: int, n_wanted: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, n - 1, n_wanted)})


def _outliers(
    numbers: dict[str, NDArray[np.float64]],
) -> Iterator[tuple[str, str, list[int]]]:
    """Yield a title, the number that it ranks by, and the most extreme images first."""
    ratio = numbers["aspect ratio"]
    oddness = -np.abs(np.log(ratio / np.median(ratio)))
    for title, number, key in (
        ("Darkest", "mean", numbers["mean"]),
        ("Brightest", "mean", -numbers["mean"]),
        ("Lowest contrast", "standard deviation", numbers["standard deviation"]),
        ("Oddest aspect ratio", "aspect ratio", oddness),
    ):
        yield title, number, np.argsort(key, kind="stable")[:_OUTLIERS].tolist()
