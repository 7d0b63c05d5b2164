"""Names of image channels, and the colours to draw them in."""

from __future__ import annotations

_NAMES = {1: ["grey"], 3: ["red", "green", "blue"]}
_COLORS = {1: ["tab:gray"], 3: ["tab:red", "tab:green", "tab:blue"]}


def channel_names(n_channels: int) -> list[str]:
    """Name the channels of images: grey for one, colours for three, else numbers."""
    return _NAMES.get(n_channels) or [f"channel {i}" for i in range(n_channels)]


def channel_colors(n_channels: int) -> list[str]:
    """Choose Matplotlib colours for the channels of images."""
    return _COLORS.get(n_channels) or [f"C{i}" for i in range(n_channels)]
