"""Warnings that are repeated when a cache returns an earlier fit."""

from __future__ import annotations

import warnings
from typing import Any

from sknorm_images._common.exceptions import ImageDecodeWarning
from sknorm_images._images.lazy import LazyImages


class WarnsFromCache:
    """An estimator whose fit warns of blank images even when a cache returns it.

    With ``Pipeline(memory=...)``, joblib pickles an estimator right after its fit, and loads
    that pickle instead of fitting again. So the first pickle after such a fit holds the
    warning, which is given when it is loaded. Later pickles, such as those that users save, do
    not hold it.
    """

    _untold: ImageDecodeWarning | None = None

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        state = dict(state)  # a copy, since it may be this estimator's own
        self.__dict__.pop("_untold", None)
        return state  # type: ignore[no-any-return]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc] # BaseEstimator's, mixed in behind
        if (untold := self.__dict__.pop("_untold", None)) is not None:
            warnings.warn(untold, stacklevel=3)  # the loading code, which calls Versioned's

    def _tell_cache(self, X: Any) -> None:
        """Store the warning that a cache has to give, after a fit that read all of X."""
        self.__dict__.pop("_untold", None)
        if isinstance(X, LazyImages) and (warning := X._warning_for_cache()):
            self._untold = warning
