"""Save an estimator with the version of this package, and warn when a newer one saved it."""

from __future__ import annotations

import re
import warnings
from importlib.metadata import version
from inspect import signature
from typing import Any

from sknorm_images._common.published import published
from sknorm_images._common.wording import shorten

__version__ = version("sknorm-images")

_ENTRY = "_sknorm_images_version"  # a key of the saved state, never an attribute


@published("sknorm_images")
class NewerVersionWarning(UserWarning):
    """Warns that an estimator was saved by a newer version, which may be incompatible.

    By semantic versioning, that can be any later minor version before 1.0, and any later major
    version from then on. Estimators saved by an older version load without a warning.

    Parameters
    ----------
    saved_version : str
        The version of sknorm_images that saved the estimator.
    current_version : str
        The version that loads it.

    Attributes
    ----------
    saved_version : str
        As above.
    current_version : str
        As above.
    """

    def __init__(self, saved_version: str, current_version: str) -> None:
        super().__init__(saved_version, current_version)
        self.saved_version = saved_version
        self.current_version = current_version

    def __str__(self) -> str:
        # Without the name of the estimator, so that a pipeline of three steps warns once.
        saved = shorten(self.saved_version, 40)  # from a file, which may hold anything
        return (
            f"This was saved by sknorm_images {saved}, and the older {self.current_version} "
            "may misread it. Update: "
            f'python -m pip install "sknorm-images>={saved}", or fit and save it '
            f"again with {self.current_version}."
        )


class Versioned:
    """An estimator that is saved with the version of this package.

    BaseEstimator does this only for scikit-learn's own estimators.
    """

    def __getstate__(self) -> dict[str, Any]:
        state: Any = super().__getstate__()
        return {**state, _ENTRY: __version__}

    def __setstate__(self, state: dict[str, Any]) -> None:
        saved = state.get(_ENTRY)
        if isinstance(saved, str) and _compatible_from(saved) > _compatible_from(__version__):
            warnings.warn(NewerVersionWarning(saved, __version__), stacklevel=2)
        # A parameter that was added later gets its default.
        parameters = signature(type(self)).parameters.values()
        own = {p.name: p.default for p in parameters if p.default is not p.empty}
        own |= {name: value for name, value in state.items() if name != _ENTRY}
        # BaseEstimator's, mixed in behind:
        super().__setstate__(self._upgraded(own))  # type: ignore[misc]

    def _upgraded(self, state: dict[str, Any]) -> dict[str, Any]:
        """Change what older versions saved differently; here, nothing."""
        return state


def _compatible_from(version: str) -> tuple[int, int]:
    """Reduce a version to the part that may break: major, or minor while major is 0."""
    major, minor = (*map(int, re.findall(r"\d+", version)), 0, 0)[:2]
    return (major, 0 if major else minor)
