"""A step of a pipeline that does to its process what a hostile image might do."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

SLOW, GREEDY, DEADLY = (255, 0, 0), (0, 255, 0), (0, 0, 255)  # the colours that set it off


class FaultyStep(TransformerMixin, BaseEstimator):
    """Pass images on, but for those that are of one of three colours."""

    def fit(self, X: Any, y: Any = None) -> FaultyStep:
        return self

    def __sklearn_is_fitted__(self) -> bool:
        return True

    def transform(self, X: Any) -> Any:
        for image in np.asarray(X).astype(int):
            mean = image.mean(axis=(0, 1))
            if np.abs(mean - SLOW).max() < 3:
                time.sleep(3600)
            elif np.abs(mean - GREEDY).max() < 3:
                np.empty(2**31, np.uint8)  # more than the worker may have
            elif np.abs(mean - DEADLY).max() < 3:
                os.kill(os.getpid(), signal.SIGKILL)
        return X
