"""Images whose channels come first, although they are expected last."""

from __future__ import annotations

_FEWEST_COLUMNS = 16  # of a channels-first image; they would be taken for channels


def doubt_of_axes(shape: tuple[int, ...]) -> str | None:
    """Say what to do if the channels of images seem to come first; None if they do not."""
    if len(shape) != 4 or shape[1] not in (1, 3, 4) or min(shape[2:]) < _FEWEST_COLUMNS:
        return None
    return (
        f"X is of shape {shape}, so each image has {shape[-1]} channels, since channels come "
        "last. If they come first in X, pass np.moveaxis(X, 1, -1)."
    )
