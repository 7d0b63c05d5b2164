"""merge_scalers: make one scaler of several that were fitted separately, without images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from copy import deepcopy
from functools import reduce
from operator import add
from typing import Any, TypeVar

import joblib
import numpy as np
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError

from sknorm_images._common.exceptions import ImageUnitsWarning
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._scaling.base import ChannelScaler
from sknorm_images._scaling.statistics import Statistics, why_kinds_differ
from sknorm_images._scaling.units import white_of_statistics

S = TypeVar("S", bound=ChannelScaler)


@published("sknorm_images")
def merge_scalers(scalers: Sequence[S]) -> S:
    """Merge scalers that were fitted separately, as if one was fitted to all their images.

    Use it for shards that were fitted on different machines, or for sites that cannot share
    their images. Only the statistics are needed, a few kB per scaler. For uint8 images they
    are integers, so the result is the same to the last bit as one fit to everything, in any
    order. For other dtypes it is the same up to rounding.

    Parameters
    ----------
    scalers : sequence of ChannelStandardScaler or of ChannelMinMaxScaler
        Fitted scalers of one class, with equal parameters, for the same channels. Those that
        learn nothing, since constants or `per_image` are given, need no fit.

    Returns
    -------
    ChannelStandardScaler or ChannelMinMaxScaler
        New, and fitted if `scalers` are, which stay as they are.

    Raises
    ------
    TypeError
        If `scalers` is not a sequence of channel scalers of one class.
    ValueError
        If it is empty; if parameters or channels differ; if two learned exactly the same, as
        if one shard was passed twice; if some scalers learned from uint8 images and others
        from another dtype; or if they learned a `quantile_range` from arrays of other dtypes,
        or with more than 4096 channels, which are not counted by grey level.
    sklearn.exceptions.NotFittedError
        If one of them needs a fit and is not fitted.

    See Also
    --------
    ChannelStandardScaler.partial_fit : Adds images to a scaler.

    Examples
    --------
    Two sites fit the same pipeline to their own photos, and send its last step:

    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import make_image_pipeline, merge_scalers
    >>> temple, flower = load_sample_images().images
    >>> here = make_image_pipeline((32, 48)).fit([temple])
    >>> there = make_image_pipeline((32, 48)).fit([flower])
    >>> merged = merge_scalers([here[-1], there[-1]])
    >>> merged.n_samples_seen_, merged.mean_.round(1)
    (2, array([ 99.9, 109.5,  99. ]))

    It takes the place of the one that a pipeline has:

    >>> pipeline = here.set_params(scale=merged)
    >>> whole = make_image_pipeline((32, 48)).fit([temple, flower])
    >>> bool(np.all(pipeline.transform([flower]) == whole.transform([flower])))
    True
    """
    checked = _channel_scalers(scalers)
    first = checked[0]
    for i, other in enumerate(checked[1:], start=1):
        _check_alike(first, other, i)
    if first._learns:
        _check_distinct(checked)
    merged: S = clone(first)
    learned = {name: value for name, value in vars(first).items() if name.endswith("_")}
    merged._assign(deepcopy(learned))
    if first._learns:
        whites = [white_of_statistics(scaler.statistics_) for scaler in checked]
        if {1, 255}.issubset(whites):
            warnings.warn(
                ImageUnitsWarning(
                    f"scalers[{whites.index(1)}] was fitted to images that end at 1, and "
                    f"scalers[{whites.index(255)}] to images that end at 255, so merging them "
                    "would mix units. Fit all to images in grey levels, 0 to 255: np.rint(X "
                    "* 255).astype(np.uint8)."
                ),
                stacklevel=2,
            )
    if first._learns and len(checked) > 1:
        others: list[Statistics] = [other.statistics_ for other in checked[1:]]
        merged._learn_from(reduce(add, others))
    return merged


def _channel_scalers(scalers: Any) -> list[Any]:
    if isinstance(scalers, BaseEstimator) or not hasattr(scalers, "__iter__"):
        raise TypeError(
            f"scalers is a single {type(scalers).__name__}, and several are merged. Pass a "
            "list of fitted scalers."
        )
    checked = list(scalers)
    if not checked:
        raise ValueError(
            "scalers is empty, so there is nothing to merge. Pass at least one fitted scaler."
        )
    for i, scaler in enumerate(checked):
        if not isinstance(scaler, ChannelScaler):
            raise TypeError(
                f"scalers[{i}] is a {type(scaler).__name__}, and only ChannelStandardScaler "
                "and ChannelMinMaxScaler are merged. Of a pipeline, pass the scaler: "
                "pipeline[-1]."
            )
        scaler._check_parameters()
        if scaler._learns and not hasattr(scaler, "statistics_"):
            raise NotFittedError(
                f"scalers[{i}] is a {type(scaler).__name__} that is not fitted, so it has no "
                "statistics to merge. Call its fit, or leave it out."
            )
    return checked


def _check_alike(first: ChannelScaler, other: ChannelScaler, i: int) -> None:
    """Refuse to merge scalers that no single fit could have made."""
    if type(first) is not type(other):
        raise TypeError(
            f"scalers[0] is a {type(first).__name__} and scalers[{i}] a "
            f"{type(other).__name__}, which learn different things. Merge each class by "
            "itself."
        )
    others = other.get_params(deep=False)
    for name, value in first.get_params(deep=False).items():
        _check_same(name, value, others[name], i, "Fit all with the same parameters.")
    for name in ("n_features_in_", "feature_names_in_"):
        a, b = (getattr(scaler, name, None) for scaler in (first, other))
        if not first._learns and (a is None or b is None):
            continue  # one of them is not fitted, and need not be
        _check_same(name, a, b, i, "Fit all to images of the same channels.")
    if not first._learns:
        return
    kinds = [type(scaler.statistics_) for scaler in (first, other)]
    if kinds[0] is not kinds[1]:
        raise ValueError(
            f"scalers[0] learned {kinds[0].__name__} and scalers[{i}] {kinds[1].__name__}: "
            f"{why_kinds_differ(first.n_features_in_)}. Fit all to images of one dtype."
        )


def _check_distinct(scalers: list[Any]) -> None:
    """Refuse scalers that learned the very same, as those of a shard that is passed twice."""
    places: dict[str, int] = {}
    for i, scaler in enumerate(scalers):
        place = places.setdefault(str(joblib.hash(scaler.statistics_)), i)
        if place != i:
            raise ValueError(
                f"scalers[{place}] and scalers[{i}] learned the same of all channels, so they "
                "were probably fitted to the same images, which would count twice. Pass each "
                "shard once."
            )


def _check_same(name: str, first: Any, other: Any, i: int, remedy: str) -> None:
    alike = np.dtype(first) == np.dtype(other) if name == "dtype" else _equal(first, other)
    if not alike:
        raise ValueError(
            f"scalers[0] has {name}={show_value(first)} and scalers[{i}] "
            f"{name}={show_value(other)}, so they do not add up to one scaler. {remedy}"
        )


def _equal(a: Any, b: Any) -> bool:
    """Compare by value: a list equals an array, and None, strings and numbers differ."""
    if a is None or b is None or isinstance(a, str) or isinstance(b, str):
        return type(a) is type(b) and a == b
    return np.array_equal(a, b)
