"""The histograms of a report, as pictures that a page holds."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator
from itertools import cycle
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from sknorm_images import ChannelHistogram
from sknorm_images._common.parameters import FloatArray
from sknorm_images._images.color_modes import ColorMode
from sknorm_images.plotting import ChannelHistogramDisplay

_LEVELS = np.arange(256, dtype=np.uint8)


def histograms(
    scaler: Any, here: ChannelHistogram, color_mode: str | None
) -> Iterator[tuple[str, str]]:
    """Draw the grey levels that a scaler was fitted on, if it was, and those of a folder.

    Yields titles and URIs.
    """
    fitted = getattr(scaler, "statistics_", None)
    scaler = None if scaler.per_image else scaler  # then there is no single map to draw
    drawn = {"The images of this folder": here}
    if isinstance(fitted, ChannelHistogram):
        drawn = {"The images it was fitted on": fitted} | drawn
    for title, histogram in drawn.items():
        figure = Figure(figsize=(4.8, 0.6 + 1.9 * len(here.counts)), layout="constrained")
        display = ChannelHistogramDisplay(histogram, scaler, color_mode=color_mode)
        display.plot(ax=figure.subplots())
        yield title, _svg_uri(figure)


def scaled_histogram(scaler: Any, here: ChannelHistogram, mode: ColorMode) -> str | None:
    """Draw the channels of a folder in one panel, as the scaler makes them; returns a URI.

    None if the output of a channel depends on other channels.
    """
    if scaler.per_image or scaler._mixes_channels:
        return None
    n_channels = len(here.counts)
    scaled = scaler.transform(np.repeat(_LEVELS[:, np.newaxis], n_channels, axis=1))
    figure = Figure(figsize=(4.8, 2.6), layout="constrained")
    ax = figure.subplots()
    styles = cycle(("-", "--", ":"))  # distinguishable without colour, too
    for i, ((name, color), style) in enumerate(
        zip(mode.channels.items(), styles, strict=False)
    ):
        density, edges = density_of(here.counts[i], scaled[:, i])
        ax.stairs(density, edges, label=name, color=color, linestyle=style)
    ax.set(xlabel="scaled value", ylabel="share of pixels per unit")
    ax.set_ylim(bottom=0)
    ax.legend()
    return _svg_uri(figure)


def density_of(counts: NDArray[Any], values: NDArray[Any]) -> tuple[FloatArray, FloatArray]:
    """Turn counts of values into the heights and edges of bars.

    There is one bar for each different value, and the area of a bar is the share that the
    value has of all. Bins of one width would hold now more and now fewer grey levels, which
    looks like a comb.
    """
    places, which = np.unique(values.astype(np.float64), return_inverse=True)
    shares = np.bincount(which.ravel(), weights=counts) / counts.sum()
    if len(places) == 1:
        edges = places[0] + np.array([-0.5, 0.5])
    else:
        between = (places[1:] + places[:-1]) / 2
        ends = 2 * places[0] - between[0], 2 * places[-1] - between[-1]
        edges = np.concatenate([ends[:1], between, ends[1:]])
    return shares / np.diff(edges), edges


def _svg_uri(figure: Figure) -> str:
    file = io.BytesIO()
    figure.savefig(file, format="svg", metadata={"Date": None})
    return f"data:image/svg+xml;base64,{base64.b64encode(file.getvalue()).decode()}"
