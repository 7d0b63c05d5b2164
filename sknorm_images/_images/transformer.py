"""The parts of scikit-learn's interface that all estimators of images share."""

from __future__ import annotations

from abc import ABCMeta, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import validate_data

from sknorm_images._common.callbacks import CallbackSupport, follow_fit
from sknorm_images._common.parameters import check_choice
from sknorm_images._common.versions import Versioned
from sknorm_images._common.wording import show_value
from sknorm_images._images.caching import WarnsFromCache

_DOCUMENTATION = "https://sknorm-images.readthedocs.io/en/stable"

E = TypeVar("E", bound=BaseEstimator)


def snapshot(estimator: E) -> E:
    """Copy the state of an estimator, which a fit in another thread would replace."""
    # Not copy.copy: a fit must not lose what a subclass leaves out of its pickles.
    copied: E = object.__new__(type(estimator))
    copied.__dict__ = dict(vars(estimator))
    return copied


@contextmanager
def committed(estimator: E) -> Iterator[E]:
    """Yield a copy to fit; the estimator takes over its state unless something is raised."""
    copied = snapshot(estimator)
    if isinstance(copied, WarnsFromCache):
        copied._forget_untold()  # of an earlier fit
    yield copied
    estimator.__dict__ = copied.__dict__


class Transformer(Versioned, WarnsFromCache, CallbackSupport, TransformerMixin):
    """What all five estimators share besides scikit-learn's BaseEstimator."""

    # Where scikit-learn's HTML representation links to; without such a link, it does not show
    # what parameters mean.
    _doc_link_module = "sknorm_images"
    _doc_link_template = f"{_DOCUMENTATION}/api/{{estimator_module}}.{{estimator_name}}.html"


class ImageTransformer(Transformer):
    """A transformer whose output is images, whatever container scikit-learn is asked for."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        # scikit-learn would otherwise wrap what transform returns in a data frame.
        super().__init_subclass__(auto_wrap_output_keys=None, **kwargs)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Accept any container and stay with images, which no data frame can hold.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"} or None, default=None
            Ignored, if it is one of them.

        Returns
        -------
        estimator instance
            Itself.

        Raises
        ------
        ValueError
            If it is none of them.
        """
        check_choice("transform", transform, (None, "default", "pandas", "polars"))
        return self

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name the channels, or pass on the names of what went in.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Names of what went in, such as a column of paths; None means those seen in `fit`.

        Returns
        -------
        ndarray of str, dtype object
            The same names. Without any, those of the channels: "red", "green" and "blue", or
            "grey", from a loader, and "channel_0" and so on from a scaler. Empty where the
            channels are unknown.

        Raises
        ------
        ValueError
            If they are not those seen in `fit`.
        sklearn.exceptions.NotFittedError
            If there are none, and a scaler has to learn how many channels there are.
        """
        seen = getattr(self, "feature_names_in_", None)
        if input_features is None or len(input_features) == 0:
            return np.asarray(self._channel_names() if seen is None else seen, dtype=object)
        names = np.asarray(input_features, dtype=object)
        if seen is not None and not np.array_equal(names, seen):
            raise ValueError(  # in scikit-learn's words
                f"input_features is not equal to feature_names_in_: {show_value(names)} is "
                f"given, and {show_value(seen)} was seen in fit. Leave it out."
            )
        return names

    def _channel_names(self) -> list[str]:
        """Name the channels of what comes out; by default, they are unknown."""
        return []


class StatelessImageTransformer(ImageTransformer, metaclass=ABCMeta):
    """An image transformer that has nothing to fit, and only describes what it makes."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Check the parameters and the kind of X; nothing is read.

        Of a data frame, the name of its column is kept for `get_feature_names_out`.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ...)
            As in `transform`.
        y : None
            Ignored.

        Returns
        -------
        estimator instance
            Itself.

        Raises
        ------
        TypeError, ValueError, ImportError
            As `transform` raises them, but for single images or files in X.
        """
        self._check(X)
        with committed(self) as fitted:
            for name in ("feature_names_in_", "n_features_in_"):
                fitted.__dict__.pop(name, None)
            if hasattr(X, "columns"):
                validate_data(fitted, X, skip_check_array=True)
            follow_fit(fitted, lambda _: None, X, y)
        return self

    @abstractmethod
    def _check(self, X: Any) -> None:
        """Raise what `transform` would raise, as far as that is known without reading."""

    def __sklearn_is_fitted__(self) -> bool:
        """Tell scikit-learn that it is always ready."""
        return True

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that no fit is needed, and that X is not a table."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = False
        tags.input_tags.two_d_array = False
        tags.transformer_tags.preserves_dtype = []  # images are uint8
        return tags
