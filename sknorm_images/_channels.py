"""What the channels of an image are called."""

from __future__ import annotations

_NAMES = {1: ["grey"], 3: ["red", "green", "blue"]}


def channel_names(n_channels: int) -> list[str]:
    """Name the channels of images; one is grey, three are colours, others are numbered."""
    return _NAMES.get(n_channels) or [f"channel {i}" for i in range(n_channels)]
