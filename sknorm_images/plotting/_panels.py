"""What the displays share: their panels, and the check of their scaler."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from typing import Any, Self

import numpy as np
from matplotlib.axes import Axes
from matplotlib.gridspec import GridSpecFromSubplotSpec

from sknorm_images._common.wording import show_value
from sknorm_images._scaling.base import ChannelScaler


class PanelDisplay(metaclass=ABCMeta):
    """Base of the displays: panels that take the place of some axes."""

    def plot(self, *, ax: Axes | None = None) -> Self:
        """Draw the panels.

        Parameters
        ----------
        ax : matplotlib Axes or None, default=None
            Axes of a grid, as ``plt.subplots`` makes them. The panels take their place, and
            they are switched off. None makes a figure.

        Returns
        -------
        display instance
            Itself, with the attributes set.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is a scaler, and it is not fitted.
        TypeError, ValueError
            If what the display holds cannot be drawn, or `ax` cannot be used.
        """
        self._draw(ax)
        return self

    @abstractmethod
    def _draw(self, ax: Axes | None) -> None:
        """Check what the display holds, then draw it in panels."""

    def _make_panels(
        self,
        ax: Axes | None,
        shape: tuple[int, int],
        n: int,
        size: tuple[float, float],
        gap: float,
    ) -> list[Axes]:
        """Put panels in the place of `ax`, or into a new figure of `size` in inches."""
        if ax is None:
            import matplotlib.pyplot as plt  # only here: not needed if axes are passed

            _, ax = plt.subplots(figsize=size, layout="constrained")
        spec = ax.get_subplotspec()
        if spec is None or not ax.axison:
            why = (
                "are in no grid" if spec is None else "are switched off, as by another display"
            )
            raise ValueError(
                f"The axes ax {why}, so panels cannot take their place. Pass new ones, as "
                "plt.subplots makes them."
            )
        ax.set_axis_off()
        figure = ax.figure
        # A layout engine makes room for titles itself.
        hspace = None if figure.get_layout_engine() else gap
        grid = GridSpecFromSubplotSpec(*shape, spec, hspace=hspace)
        panels = [figure.add_subplot(grid[i]) for i in range(n)]
        self.ax_ = ax
        self.figure_: Any = figure  # a SubFigure saves nothing, a Figure does
        self.axes_ = np.array(panels, object)
        return panels


def check_invertible(scaler: Any) -> None:
    """Raise unless `scaler` has one map for all images, so that it can be inverted."""
    if not isinstance(scaler, ChannelScaler):
        raise TypeError(
            f"scaler is a {type(scaler).__name__}, and its values cannot be turned back into "
            "grey levels. Pass a ChannelStandardScaler or a ChannelMinMaxScaler, such as "
            "pipeline[-1]."
        )
    if scaler.per_image:
        raise ValueError(
            f"per_image={show_value(scaler.per_image)} scales each image differently, so "
            "scaled values cannot be turned back into grey levels. Draw the input of the "
            "scaler, such as the output of pipeline[:-1], or pass a scaler with "
            "per_image=None."
        )
