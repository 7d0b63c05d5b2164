"""The page that ``sknorm-images report`` writes: what a person should see of a folder."""

from __future__ import annotations

import base64
import io
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jinja2
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sknorm_images import (
    ChannelHistogram,
    JpegLoader,
    LazyImages,
    Resizer,
    __version__,
    check_images,
)
from sknorm_images._remote import is_url
from sknorm_images._thumbnails import thumbnail_uri
from sknorm_images.cli._batches import SCALERS, read_batches, split
from sknorm_images.cli._terminal import channel_names, printable
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
    directory: str, pipeline: Pipeline, files: Sequence[str], *, n_jobs: int, verbose: bool
) -> str:
    """Make one HTML page that needs nothing else.

    Parameters
    ----------
    directory : str
        The folder: a path or a URL.
    pipeline : Pipeline
        A JpegLoader, a Resizer, and a fitted scaler of this package.
    files : sequence of str
        The files in the folder.
    n_jobs : int
        Number of images that are decoded at once.
    verbose : bool
        Whether to show the progress of looking for broken files.

    Returns
    -------
    str
        The page.

    Raises
    ------
    ValueError
        If the pipeline is of another kind, or no file can be read.
    """
    _, steps = split(pipeline, files[:1], n_jobs)
    scaler = steps[0] if steps else None
    if not isinstance(scaler, SCALERS):
        raise ValueError(
            "the pipeline has no ChannelStandardScaler or ChannelMinMaxScaler after its "
            "Resizer, so there are no statistics to report. Pass one that has."
        )
    loader = pipeline[0]
    found = check_images(files, loader=loader, n_jobs=n_jobs, verbose=verbose)
    good = Bunch(**{name: column[found.readable] for name, column in found.items()})
    if not len(good.filename):
        raise ValueError(f"none of the {len(files)} files can be read: {found.reason[0]}")
    images, _ = split(pipeline, good.filename.tolist(), n_jobs)
    histogram, numbers = _measure(images)
    width, height = _upright_size(good, loader)
    numbers["aspect ratio"] = width / height

    def name(path: str) -> str:
        return printable(path if is_url(path) else os.path.relpath(path, directory))

    def thumbnail(i: int) -> str:
        scale = min(1, _SIDE / max(width[i], height[i]))
        size = tuple(max(1, round(side * scale)) for side in (height[i], width[i]))
        return _jpeg(Resizer(size).transform(loader.transform([good.filename[i]]))[0])

    broken = np.flatnonzero(~found.readable)
    template = jinja2.Environment(
        loader=jinja2.PackageLoader("sknorm_images.cli", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    ).get_template("report.html")
    return template.render(
        folder=printable(directory),
        version=__version__,
        n_files=len(files),
        n_broken=len(broken),
        n_twice=int((found.duplicate_of >= 0).sum()),
        n_fitted=getattr(scaler, "n_samples_seen_", None),
        steps=[(step, " ".join(repr(part).split())) for step, part in pipeline.steps],
        statistics=list(_statistics(getattr(scaler, "statistics_", None), histogram)),
        histograms=list(_histograms(scaler, histogram)),
        scaled=None if scaler.per_image else _scaled_histogram(scaler, histogram),
        samples=[
            (name(images.filenames[i]), _views(images[[i]].read()[0], scaler))
            for i in _evenly(len(images), _SAMPLES)
        ],
        outliers=[
            (
                title,
                [
                    (name(good.filename[i]), f"{numbers[of][i]:.3g}", thumbnail(i))
                    for i in rows
                ],
                of,
            )
            for title, of, rows in _outliers(numbers)
        ],
        broken=[(name(files[i]), printable(found.reason[i])) for i in broken[:_BROKEN]],
    )


def _measure(images: LazyImages) -> tuple[ChannelHistogram, dict[str, NDArray[np.float64]]]:
    """Count the grey levels of all images, and take the brightness and contrast of each."""
    total = None
    brightness, contrast = np.full((2, len(images)), np.nan)
    for rows, pixels, failed in read_batches(images, "measure"):
        for i in sorted(set(range(len(pixels))) - set(failed)):
            histogram = ChannelHistogram.of(pixels[i : i + 1])
            total = histogram if total is None else total + histogram
            mean = histogram.mean.mean()
            squares = (histogram.var + histogram.mean**2).mean()
            brightness[rows.start + i] = mean
            contrast[rows.start + i] = np.sqrt(max(0, squares - mean**2))
    assert total is not None  # read_batches refuses images of which none can be read
    return total, {"mean": brightness, "standard deviation": contrast}


def _upright_size(found: Bunch, loader: JpegLoader) -> tuple[NDArray[Any], NDArray[Any]]:
    turned = (found.orientation >= 5) & loader.exif_orientation
    width = np.where(turned, found.height, found.width)
    return width, np.where(turned, found.width, found.height)


def _statistics(fitted: Any, here: ChannelHistogram) -> Iterator[tuple[str, list[Any]]]:
    """Yield each channel with rows of a name, what was fitted, and what is here."""
    for i, channel in enumerate(channel_names(len(here.counts))):
        yield (
            channel,
            [
                (name, None if fitted is None else of(fitted)[i], of(here)[i])
                for name, of in _STATISTICS.items()
            ],
        )


def _histograms(scaler: Any, here: ChannelHistogram) -> Iterator[tuple[str, str]]:
    fitted = getattr(scaler, "statistics_", None)
    scaler = None if scaler.per_image else scaler  # then there is no one map to draw
    if isinstance(fitted, ChannelHistogram):
        yield "The images it was fitted on", _svg(ChannelHistogramDisplay(fitted, scaler))
    yield "The images of this folder", _svg(ChannelHistogramDisplay(here, scaler))


def _svg(display: ChannelHistogramDisplay) -> str:
    n_channels = len(display.histogram.counts)
    figure = Figure(figsize=(5.4, 0.6 + 1.9 * n_channels), layout="constrained")
    display.plot(ax=figure.subplots())
    return _svg_uri(figure)


def _scaled_histogram(scaler: Any, here: ChannelHistogram) -> str:
    """Draw the channels of this folder in one panel, as the scaler makes them."""
    n_channels = len(here.counts)
    levels = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], n_channels, axis=1)
    scaled = scaler.transform(levels)
    figure = Figure(figsize=(7.2, 2.6), layout="constrained")
    ax = figure.subplots()
    edges = np.linspace(scaled.min(), scaled.max(), 65)
    styles = ("-", "--", ":")  # told apart without color, too
    for i, name in enumerate(channel_names(n_channels)):  # one, or red, green and blue
        counts, _ = np.histogram(scaled[:, i], edges, weights=here.counts[i])
        ax.stairs(counts, edges, label=name, color=name, linestyle=styles[i])
    ax.set(xlabel="scaled value", ylabel="pixels")
    ax.legend()
    return _svg_uri(figure)


def _svg_uri(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"


def _views(pixels: NDArray[np.uint8], scaler: Any) -> list[tuple[str, str]]:
    """Show one image (1, h, w, c) as it is read, as it is scaled, and on its way back."""
    scaled = scaler.transform(pixels)
    low, high = float(scaled.min()), float(scaled.max())
    stretched = (scaled - low) * (255 / (high - low) if high > low else 0)
    views = {"as read": pixels, f"scaled: {low:.2f} to {high:.2f}": stretched}
    if not scaler.per_image:  # else there is no way back
        views["and back"] = scaler.inverse_transform(scaled)
    return [
        (caption, _jpeg(np.rint(view[0]).clip(0, 255).astype(np.uint8)))
        for caption, view in views.items()
    ]


def _jpeg(pixels: NDArray[np.uint8]) -> str:
    image = Image.fromarray(pixels[..., 0] if pixels.shape[-1] == 1 else pixels)
    return thumbnail_uri(image, (_SIDE, _SIDE))


def _evenly(n: int, n_wanted: int) -> list[int]:
    return sorted({round(i) for i in np.linspace(0, n - 1, n_wanted)})


def _outliers(
    numbers: dict[str, NDArray[np.float64]],
) -> Iterator[tuple[str, str, list[int]]]:
    """Yield a title, the number that it is about, and the images, the oddest first."""
    ratio = numbers["aspect ratio"]
    oddness = -np.abs(np.log(ratio / np.median(ratio)))
    for title, of, key in (
        ("Darkest", "mean", numbers["mean"]),
        ("Brightest", "mean", -numbers["mean"]),
        ("Lowest contrast", "standard deviation", numbers["standard deviation"]),
        ("Oddest aspect ratio", "aspect ratio", oddness),
    ):
        yield title, of, np.argsort(key, kind="stable")[:_OUTLIERS].tolist()
