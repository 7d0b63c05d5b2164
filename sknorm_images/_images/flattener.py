"""ImageFlattener: turn images into the rows of a table."""

from __future__ import annotations

from itertools import product
from math import prod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sknorm_images._common.callbacks import follow_fit
from sknorm_images._common.failures import report
from sknorm_images._common.published import published
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.saved import SavedImages
from sknorm_images._images.sources import refuse_files
from sknorm_images._images.transformer import Transformer, committed, snapshot


@published("sknorm_images")
class ImageFlattener(Transformer, BaseEstimator):
    """Turn each image into one row of features, for estimators that take tables.

    ``(n_samples, height, width, n_channels)`` becomes
    ``(n_samples, height * width * n_channels)``, with the channel varying fastest, as
    :meth:`numpy.ndarray.reshape` orders it. All pixels are in memory from here on.

    Attributes
    ----------
    image_shape_ : tuple of ints
        Shape of one image.
    n_features_in_ : int
        Number of features of one row.

    See Also
    --------
    make_image_pipeline : Makes the steps that come before.

    Examples
    --------
    >>> import numpy as np
    >>> from sknorm_images import ImageFlattener
    >>> images = np.arange(24).reshape(2, 2, 2, 3)
    >>> flattener = ImageFlattener().fit(images)
    >>> flattener.transform(images).shape
    (2, 12)
    >>> flattener.get_feature_names_out()[:4].tolist()
    ['pixel_0_0_0', 'pixel_0_0_1', 'pixel_0_0_2', 'pixel_0_1_0']
    """

    def fit(self, X: Any, y: Any = None) -> Self:
        """Learn the shape of one image; without a Resizer, from the first one.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ...)
            Images of one shape.
        y : None
            Ignored.

        Returns
        -------
        ImageFlattener
            Itself.

        Raises
        ------
        ValueError
            If X is empty, or the images have no common shape.
        ImageDecodeError, OSError
            If the shape has to come from the first image, and it cannot be read.
        """
        if isinstance(X, LazyImages | SavedImages):
            shape = X._common_shape()
            table = np.broadcast_to(np.uint8(0), (shape[0], prod(shape[1:])))
        else:
            array = X if hasattr(X, "shape") else np.asarray(X)
            shape, table = array.shape, _as_rows(array)
        with committed(self) as fitted:
            validate_data(fitted, table)
            fitted.image_shape_ = tuple(shape[1:])
            follow_fit(fitted, lambda _: None, X, y)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Flatten the images.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ...)
            Images of the shape `image_shape_`.

        Returns
        -------
        ndarray of shape (n_samples, `n_features_in_`)
            Of the dtype of X. A data frame, if ``set_output`` asks for one.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        ValueError
            If the images have a different shape from those in `fit`.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        fitted = snapshot(self)
        check_is_fitted(fitted)
        if isinstance(X, LazyImages | SavedImages):
            fitted._check_shape(X.shape)  # before anything is read
            X, failures = X.read()
            report(failures, len(X), stacklevel=4)  # scikit-learn wraps transform
        elif not hasattr(X, "shape"):
            X = np.asarray(X)
        fitted._check_shape(X.shape)
        table: NDArray[Any] = validate_data(fitted, _as_rows(X), reset=False)
        return table

    def fit_transform(self, X: Any, y: Any = None, **fit_params: Any) -> NDArray[Any]:
        """Learn the shape of one image, and flatten them all.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ...)
            Images of one shape.
        y : None
            Ignored.
        **fit_params : dict
            Passed by scikit-learn; none are supported.

        Returns
        -------
        ndarray of shape (n_samples, `n_features_in_`)
            As from `transform`.

        Raises
        ------
        ValueError
            As `fit` and `transform` raise it.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        rows: NDArray[Any] = super().fit_transform(X, y, **fit_params)
        self._tell_cache(X)
        return rows

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Give rows the shape of images again.

        Parameters
        ----------
        X : array-like of shape (n_samples, `n_features_in_`)
            Rows of features.

        Returns
        -------
        ndarray of shape (n_samples, ...)
            Images of the shape `image_shape_`.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        ValueError
            If the number of features differs from that in `fit`.
        """
        fitted = snapshot(self)
        check_is_fitted(fitted)
        rows = validate_data(fitted, X, reset=False)
        return rows.reshape(-1, *fitted.image_shape_)  # type: ignore[no-any-return]

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Name each feature by its place: ``pixel_{row}_{column}_{channel}``.

        Parameters
        ----------
        input_features : array-like of str or None, default=None
            Ignored, since the input is images, not named features.

        Returns
        -------
        ndarray of shape (`n_features_in_`,), dtype object
            The names; those of the columns, where X was a data frame.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `fit` has not been called.
        """
        check_is_fitted(self)
        if hasattr(self, "feature_names_in_"):
            return np.asarray(self.feature_names_in_, dtype=object)
        places = product(*map(range, self.image_shape_))
        return np.array(["_".join(["pixel", *map(str, place)]) for place in places], object)

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn that images go in, and that dtypes are kept."""
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if len(shape) > 2 and shape[1:] != self.image_shape_:
            raise ValueError(
                f"X holds images of shape {shape[1:]}, and ImageFlattener was fitted on "
                f"{self.image_shape_}. Add a Resizer, or fit again."
            )


def _as_rows(X: Any) -> Any:
    """Flatten arrays of more than two dimensions; scikit-learn checks the others."""
    refuse_files(X, "ImageFlattener")
    if len(X.shape) <= 2:
        return X
    return np.asarray(X).reshape(X.shape[0], prod(X.shape[1:]))
