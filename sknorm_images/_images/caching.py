"""Warnings that a cache gives again, where it returns what was fitted before."""

from __future__ import annotations

import warnings
from typing import Any

from sknorm_images._common.exceptions import ImageDecodeWarning
from sknorm_images._images.lazy import LazyImages


class WarnsFromCache:
    """An estimator whose fit warns of blank images when it comes from a cache, too.

    With ``Pipeline(memory=...)``, joblib pickles what was fitted right after the fit, and
    loads that in place of a later fit. So the first pickle after such a fit holds the
    warning, and gives it when it is loaded. Later pickles, such as those that users save, do
    not hold it.
    """

    _untold: ImageDecodeWarning | None = None

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        state = dict(state)  # which may be that of this estimator
        self.__dict__.pop("_untold", None)
        return state  # type: ignore[no-any-return]

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc] # BaseEstimator's, mixed in behind
        if (untold := self.__dict__.pop("_untold", None)) is not None:
            warnings.warn(untold, stacklevel=3)  # of what loads, which calls Versioned's

    def _tell_cache(self, X: Any) -> None:
        """Note what a cache has to warn of, after a fit that read all of X."""
        self.__dict__.pop("_untold", None)
        if isinstance(X, LazyImages) and (warning := X._warning_for_cache()):
            self._untold = warning
