"""Warnings that are repeated when a cache returns an earlier fit."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any, SupportsIndex

from sknorm_images._images.lazy import PROTOCOL_OF_JOBLIB_HASH, LazyImages


class WarnsFromCache:
    """An estimator whose fit warns of its images even when a cache returns it.

    With ``Pipeline(memory=...)``, joblib hashes an estimator and X before a fit, pickles the
    estimator right after it, and loads that pickle instead of fitting again. So the first
    pickle after such a fit holds the warnings, which are given when it is loaded. Later
    pickles, such as those that users save, do not hold them.
    """

    _untold: Sequence[Warning] = ()
    _was_hashed = False  # by joblib, to look for what was fitted before

    def __getstate__(self) -> dict[str, Any]:
        given: Any = super().__getstate__()
        state: dict[str, Any] = dict(given)  # a copy, since it may be this estimator's own
        state.pop("_was_hashed", None)
        self.__dict__.pop("_was_hashed", None)
        self._forget_untold()
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[misc] # BaseEstimator's, mixed in behind
        for warning in self.__dict__.pop("_untold", ()):
            warnings.warn(warning, stacklevel=3)  # the loading code, which calls Versioned's

    def __reduce_ex__(self, protocol: SupportsIndex) -> Any:
        """Pickle; note where that is for joblib's hash, since a cache looks then."""
        reduced: Any = super().__reduce_ex__(protocol)
        if protocol == PROTOCOL_OF_JOBLIB_HASH:
            self._was_hashed = True
        return reduced

    def _tell_cache(self, X: Any, doubts: Sequence[Warning] = ()) -> None:
        """Store the warnings that a cache has to give after a fit, if there is a cache.

        These are `doubts`, and what was found where X was read in full. Of the same warnings,
        one is stored, so this may be called several times.
        """
        images = X if isinstance(X, LazyImages) else None
        if not (self._was_hashed or (images is not None and images._was_hashed)):
            return
        found = [] if images is None else images._warnings_of_last_read()
        told = {str(warning): warning for warning in (*self._untold, *found, *doubts)}
        if told:
            self._untold = list(told.values())

    def _forget_untold(self) -> None:
        self.__dict__.pop("_untold", None)
