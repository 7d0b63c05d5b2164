"""What the displays share: the panels that they draw in, and the scaler of a pipeline."""

from __future__ import annotations

from typing import Any, TypeAlias

from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec
from sklearn.pipeline import Pipeline

from sknorm_images import ChannelMinMaxScaler, ChannelStandardScaler

Scaler: TypeAlias = ChannelStandardScaler | ChannelMinMaxScaler


def steps_of(estimator: Any) -> list[Any]:
    """Take a pipeline apart, and one that it ends in; anything else is one step."""
    if not isinstance(estimator, Pipeline):
        return [estimator]
    steps = [step for _, step in estimator.steps if step not in (None, "passthrough")]
    return [*steps[:-1], *steps_of(steps[-1])] if steps else [None]


def panels_in(
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


def check_invertible(scaler: Any) -> None:
    """Raise unless `scaler` has one map for all images, and so a way back."""
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
