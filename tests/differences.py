"""How far two pictures are apart."""

from __future__ import annotations

import numpy as np


def greatest_difference(a: np.ndarray, b: np.ndarray) -> int:
    """In grey levels."""
    return int(np.abs(a.astype(int) - b).max())


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    """Peak signal-to-noise ratio in dB."""
    error = np.square(a.astype(float) - b).mean()
    return np.inf if error == 0 else float(10 * np.log10(255**2 / error))
