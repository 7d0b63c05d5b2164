"""The page about a folder that ``sknorm-images report`` writes."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from sknorm_images import ChannelHistogram, ImageTransparencyWarning, LazyImages, __version__
from sknorm_images._common.wording import printable, shorten
from sknorm_images._files.protocols import is_url
from sknorm_images._images.class_table import class_table, imbalance_of
from sknorm_images._images.color_modes import ColorMode, find_color_mode
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._scaling.statistics import Statistics
from sknorm_images._steps import flat_steps
from sknorm_images.cli._batches import images_of
from sknorm_images.cli._drift import drift_of, verdict_on
from sknorm_images.cli._figures import histograms, scaled_histogram
from sknorm_images.cli._files import Photos
from sknorm_images.cli._pictures import thumbnails, views
from sknorm_images.cli._selection import (
    LONGEST_NAME,
    outliers_of,
    rows_of_table,
    samples_of,
    sections_of,
    spread,
)
from sknorm_images.cli._survey import Survey, survey
from sknorm_images.cli._wording import in_options

_VIEWED = 4  # images that are shown scaled, too
_MOST_MESSAGES = 20  # about classes without files
_LONGEST_COMMAND = 1000  # characters
_STATISTICS: dict[str, Callable[[Any], NDArray[Any]]] = {
    "mean": lambda statistics: statistics.mean,
    "standard deviation": lambda statistics: np.sqrt(statistics.var),
    "minimum": lambda statistics: statistics.data_min,
    "maximum": lambda statistics: statistics.data_max,
}


def make_report(
    directory: str,
    pipeline: Pipeline,
    photos: Photos,
    *,
    command: str,
    n_jobs: int,
    verbose: bool,
) -> str:
    """Make one HTML page that needs no other files.

    `directory` is a path or a URL, `pipeline` a JpegLoader, a Resizer and a fitted scaler of
    this package, and `command` what the user typed. `verbose` shows the progress of reading
    the files. Raises TypeError, ValueError or NotFittedError if the pipeline is of another
    kind or not fitted, and ValueError if no file can be read.
    """
    images, steps = images_of(pipeline, directory, photos.files, n_jobs)
    scaler = steps[0] if steps else None
    if not isinstance(scaler, ChannelScaler):
        raise ValueError(
            "the pipeline has no ChannelStandardScaler or ChannelMinMaxScaler after its "
            "Resizer, so there are no statistics to report. Pass one that has."
        )
    loader = flat_steps(pipeline)[0]
    surveyed = survey(
        images,
        photos.classes,
        loader,
        splits=photos.splits,
        n_jobs=n_jobs,
        verbose=verbose,
    )
    return render_page(
        directory, pipeline, scaler, photos, images, surveyed, command=command, n_jobs=n_jobs
    )


def render_page(
    directory: str,
    pipeline: Pipeline,
    scaler: Any,
    photos: Photos,
    images: LazyImages,
    surveyed: Survey,
    *,
    command: str,
    n_jobs: int,
) -> str:
    """Choose what to show of all that is known, and write the page.

    Only the files that are shown are read again.
    """
    found, histogram = surveyed
    loader, decoding = flat_steps(pipeline)[0], flat_steps(pipeline)[0]._decoding()
    mode = find_color_mode(images.n_channels, images.color_mode)
    assert mode is not None  # a JpegLoader names it
    names = _names_in(directory, photos.files)
    fitted = getattr(scaler, "statistics_", None)
    sections = sections_of(found, names, decoding)
    table = class_table(photos.classes)
    samples = samples_of(table, photos.classes, found.readable)
    outliers = list(outliers_of(found, loader))
    shown = [row for section in sections for item in section.pictured for row in item.rows]
    shown += [row for sample in samples for row in sample.rows]
    shown += [row for _, rows in outliers for row, _ in rows]
    readable = images[found.readable]
    viewed = spread(found.readable, _VIEWED)
    drifts = [] if fitted is None else drift_of(mode.channels, fitted, histogram)
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("sknorm_images.cli", ""),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["wrapped"] = _wrapped_at_slashes
    made = datetime.now().astimezone()
    with warnings.catch_warnings():  # reading all images has told of it
        warnings.simplefilter("ignore", ImageTransparencyWarning)
        return environment.get_template("report.html").render(
            folder=printable(directory),
            version=__version__,
            command=shorten(command, _LONGEST_COMMAND),
            date=made.isoformat(timespec="seconds"),
            date_to_read=made.strftime("%Y-%m-%d %H:%M %Z"),
            n_files=len(photos.files),
            n_fitted=getattr(scaler, "n_samples_seen_", None),
            steps=[(step, " ".join(repr(part).split())) for step, part in pipeline.steps],
            sections=sections,
            n_of={section.kind: section.n for section in sections},
            classes=rows_of_table(table),
            n_classes=len(table),
            imbalance=imbalance_of(table),
            n_without_class=sum(name is None for name in photos.classes) if table else 0,
            n_empty=len(photos.empty),
            empty=[in_options(message) for message in photos.empty[:_MOST_MESSAGES]],
            samples=samples,
            drifts=drifts,
            verdict=verdict_on(drifts) if drifts else "",
            statistics=list(_statistics(fitted, histogram, mode)),
            histograms=list(histograms(scaler, histogram, images.color_mode)),
            scaled=scaled_histogram(scaler, histogram, mode),
            views=[
                (shorten(names[row], LONGEST_NAME), views(readable, i, scaler, mode))
                for i, row in zip(viewed, np.flatnonzero(found.readable)[viewed], strict=True)
            ],
            outliers=outliers,
            names={row: shorten(names[row], LONGEST_NAME) for row in shown},
            pictures=thumbnails(photos.files, shown, decoding, mode, n_jobs),
        )


def _names_in(directory: str, files: Sequence[str]) -> list[str]:
    """Name files relative to their folder, in characters that print; URLs stay whole."""
    prefix = os.path.join(directory, "")  # noqa: PTH118 (a string is wanted, for speed)

    def name(file: str) -> str:
        if is_url(file):
            return printable(file)
        if file.startswith(prefix):
            return printable(file.removeprefix(prefix))
        return printable(os.path.relpath(file, directory))

    return [name(file) for file in files]


def _wrapped_at_slashes(text: object) -> Markup:
    """Escape text, and let a browser break lines after slashes."""
    return Markup("/<wbr>").join(str(text).split("/"))


def _statistics(
    fitted: Statistics | None, here: ChannelHistogram, mode: ColorMode
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
