"""What the channel scalers share: fitting, transforming and inverting."""

from __future__ import annotations

import warnings
from abc import ABCMeta, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

from sknorm_images._common.aligned import empty_aligned
from sknorm_images._common.callbacks import follow_fit
from sknorm_images._common.exceptions import ImageUnitsWarning, brief
from sknorm_images._common.failures import (
    Failures,
    refuse_if_none_is_readable,
    report,
    report_blank,
)
from sknorm_images._common.parallel import map_rows
from sknorm_images._common.parameters import FloatArray, check_choice
from sknorm_images._common.sample_weights import Weights, as_weights
from sknorm_images._common.wording import show_value
from sknorm_images._images.layout import doubt_of_axes
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.saved import SavedImages
from sknorm_images._images.sources import refuse_files
from sknorm_images._images.stored import (
    Array,
    StoredImages,
    failures_of,
    is_stored_in_chunks,
)
from sknorm_images._images.transformer import ImageTransformer, committed, snapshot
from sknorm_images._scaling.affine import Affine, PixelMap, refuse_overflow
from sknorm_images._scaling.counting import Counted, count
from sknorm_images._scaling.statistics import Statistics, usual_kind
from sknorm_images._scaling.units import (
    WhiteWatch,
    doubt_of_table,
    watch_for,
    white_of_constants,
    white_of_statistics,
)

_MOST_LOADED = 4  # channels of what a JpegLoader gives
_PER_IMAGE = (None, "channel", "image")


class ChannelScaler(ImageTransformer, BaseEstimator, metaclass=ABCMeta):
    """Base of the channel scalers: an affine map per channel, from statistics or constants."""

    per_image: str | None
    dtype: Any

    # Names of the parameters that are constants in grey levels.
    _grey_levels: ClassVar[tuple[str, ...]] = ()

    # Whether a scaled channel depends on several channels, so none has a scale of its own.
    _mixes_channels: ClassVar[bool] = False

    def fit(self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None) -> Self:
        """Learn the statistics of each channel, exactly for uint8 images.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ..., n_channels)
            Images, channels last. LazyImages are streamed, in parallel, and never held.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            Weights of the images; 0 means absent. Integral weights stay exact.

        Returns
        -------
        estimator instance
            Itself.

        Raises
        ------
        ValueError
            If parameters contradict one another, X holds NaN, infinity or no images, or all
            weights are zero; if values or weights are so large that what is learned would not
            be finite, or weights of floats are below 1e-200. The estimator is then as it was
            before.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        with committed(self) as fitted:
            fitted._reset()
            fitted._fit(X, y, sample_weight)
        return self

    def partial_fit(
        self, X: Any, y: Any = None, sample_weight: ArrayLike | None = None
    ) -> Self:
        """Add images to the statistics.

        For uint8 images any split into calls gives the same as one `fit`, to the last bit;
        for other dtypes, to rounding.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ..., n_channels)
            More images, as in `fit`.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            As in `fit`.

        Returns
        -------
        estimator instance
            Itself.

        Raises
        ------
        ValueError
            As `fit` raises it, and if uint8 images are mixed with other dtypes.
        ImageDecodeError, OSError
            As `fit` raises them.
        """
        with committed(self) as fitted:
            fitted._fit(X, y, sample_weight, partial=True)
        return self

    def transform(self, X: Any) -> NDArray[Any]:
        """Scale the images.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ..., n_channels)
            Images of any height and width, channels last.

        Returns
        -------
        ndarray of the shape of X
            Of dtype `dtype`, or of X's own dtype where that is floating. Images that a
            loader with ``on_error="blank"`` cannot read become zeros.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is something to learn, and `fit` has not been called.
        ValueError
            If X holds NaN, infinity, another number of channels than in `fit`, or images
            of differing sizes; if a result is beyond the dtype of the output.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        out, doubts = self._transform_with_doubts(X)
        for doubt in doubts:
            warnings.warn(doubt, stacklevel=2)
        return out

    def fit_transform(
        self,
        X: Any,
        y: Any = None,
        sample_weight: ArrayLike | None = None,
    ) -> NDArray[Any]:
        """Fit to the images and scale them; each is decoded once.

        Parameters
        ----------
        X : LazyImages or array-like of shape (n_samples, ..., n_channels)
            Images, as in `fit`. Of LazyImages, the uint8 pixels are held beside the output.
        y : None
            Ignored.
        sample_weight : array-like of shape (n_samples,) or None, default=None
            As in `fit`.

        Returns
        -------
        ndarray of the shape of X
            As from `transform`.

        Raises
        ------
        ValueError
            As `fit` and `transform` raise it.
        ImageDecodeError, OSError
            As `fit` and `transform` raise them.
        """
        with committed(self) as fitted:
            fitted._reset()
            counted = fitted._fit(X, y, sample_weight, keep_pixels=True)
        if counted is None or counted.pixels is None:
            blank = None if counted is None else counted.failures
            out, doubts = fitted._transform_with_doubts(X, blank)
        else:
            n_jobs = X.n_jobs if isinstance(X, LazyImages) else None
            pixels = counted.pixels
            watch = fitted._watch(pixels)
            out = fitted._transform_array(pixels, watch, counted.failures, n_jobs)
            doubts = fitted._doubts_of_transform(pixels, watch)
        self._tell_cache(X, doubts)
        for doubt in doubts:
            warnings.warn(doubt, stacklevel=2)
        return out

    def inverse_transform(self, X: Any) -> NDArray[Any]:
        """Turn scaled images back into grey levels.

        Parameters
        ----------
        X : array-like of shape (n_samples, ..., n_channels)
            Scaled images.

        Returns
        -------
        ndarray of the shape of X
            Of dtype `dtype`, or of X's own dtype where that is floating. For uint8 images
            that were not clipped, ``numpy.rint`` of it is the original, as long as `dtype`
            can tell 256 levels of the scaled range apart.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If there is something to learn, and `fit` has not been called.
        ValueError
            If `per_image` is set: the statistics of each image are not kept. If X holds NaN,
            infinity, or another number of channels than in `fit`, or a result is beyond the
            dtype of the output.
        """
        fitted = snapshot(self)
        fitted._check_ready()
        if fitted.per_image:
            raise ValueError(
                f"per_image={show_value(fitted.per_image)} keeps no statistics, so there is "
                "no way back. Keep the original images, or fit with per_image=None."
            )
        X = np.asarray(fitted._validate(X, reset=False))
        affine = fitted._affine(X.shape[-1])
        assert affine is not None
        out = np.empty(X.shape, fitted._out_dtype(X))
        for _ in map_rows(X, lambda rows: affine.invert(X[rows], out[rows])):
            pass
        return out

    def __sklearn_tags__(self) -> Any:
        """Tell scikit-learn what goes in, and whether `fit` is needed."""
        tags = super().__sklearn_tags__()
        tags.requires_fit = self._learns
        tags.input_tags.three_d_array = True
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags

    def _upgraded(self, state: dict[str, Any]) -> dict[str, Any]:
        if state.get("per_image") is False:  # what None is now
            state = {**state, "per_image": None}
        return super()._upgraded(state)

    def _channel_names(self) -> list[str]:
        check_is_fitted(self)
        return [f"channel_{i}" for i in range(vars(self).get("n_features_in_", 0))]

    @property
    @abstractmethod
    def _learns(self) -> bool:
        """Whether anything is learned in `fit`, as far as the parameters say."""

    @property
    def _constants(self) -> Sequence[ArrayLike]:
        """Parameters given in place of what `fit` learns: one number, or one per channel."""
        return ()

    @abstractmethod
    def _attributes(
        self, statistics: Statistics | None, n_channels: int, pixels: NDArray[Any] | None
    ) -> dict[str, Any]:
        """Derive the fitted attributes, by name.

        `statistics` is None if nothing is learned. `pixels`, of shape (n_samples, ...,
        n_channels), is what the statistics were counted from, if that is one array.
        """

    @abstractmethod
    def _affine_from(self, attributes: Mapping[str, Any], n_channels: int) -> PixelMap:
        """Make the map that the fitted attributes describe."""

    def _kind_of_statistics(self, dtype: np.dtype[Any], n_channels: int) -> type[Statistics]:
        """Choose the statistics that `_attributes` needs of images of such a dtype."""
        return usual_kind(dtype, n_channels)

    def _check_parameters(self) -> None:
        check_choice("per_image", self.per_image, _PER_IMAGE)
        try:
            is_float = np.dtype(self.dtype).kind == "f"
        except (TypeError, ValueError):
            is_float = False
        if not is_float:
            raise ValueError(
                f"dtype={show_value(self.dtype)} cannot hold scaled values. "
                "Pass 'float32', 'float64' or 'float16'."
            )

    def _check_learnable(
        self, X: LazyImages | Array, weights: Weights, *, partial: bool
    ) -> None:
        """Refuse data that the parameters cannot be learned from; by default, none."""

    def _doubts(self, X: LazyImages | Array) -> list[str]:
        """Say what about X and the parameters looks like a mistake, judging by shapes."""
        names = getattr(self, "feature_names_in_", None)
        doubts = doubt_of_axes(X.shape), doubt_of_table(X.shape, X.dtype, names)
        return [doubt for doubt in doubts if doubt is not None]

    def _white_of_constants(self) -> int | None:
        given = [getattr(self, name) for name in self._grey_levels]
        numbers = [np.ravel(value).astype(float) for value in given if value is not None]
        return white_of_constants(np.concatenate(numbers)) if numbers else None

    def _watch(self, X: LazyImages | Array) -> WhiteWatch | None:
        """Make a watch that looks at X while it is scaled, if its unit may be another one."""
        if self.per_image:
            return None
        white = self._white_of_constants()
        if white is None and self._learns:
            white = white_of_statistics(self.statistics_)
        return watch_for(white, X)

    def _doubts_of_transform(
        self, X: LazyImages | Array, watch: WhiteWatch | None
    ) -> list[UserWarning]:
        """List what a transform should warn of, after X was watched."""
        doubts = self._doubts(X) if self.per_image == "channel" else []
        if watch is not None and watch.differs:
            doubts.append(self._doubt_of_white(watch.white, X.dtype))
        return [ImageUnitsWarning(doubt) for doubt in doubts]

    def _doubt_of_white(self, white: int, dtype: np.dtype[Any]) -> str:
        name = type(self).__name__
        constant = self._white_of_constants() is not None
        if white == 255:
            whose = "has constants for" if constant else "was fitted to"
            return (
                f"X lies between 0 and 1, and this {name} {whose} grey levels, 0 to 255. Pass "
                "np.rint(X * 255).astype(np.uint8)."
            )
        top = 65535 if dtype == np.uint16 else 255
        if constant:
            pairs = [(name, getattr(self, name)) for name in self._grey_levels]
            remedy = ", ".join(
                f"{key}={show_value(np.round(np.multiply(value, top), 6).tolist())}"
                for key, value in pairs
                if value is not None
            )
            return (
                f"X holds grey levels above 1, and the constants of this {name} are for "
                f"images that end at 1. Multiply them by {top}: {remedy}."
            )
        return (
            f"X holds grey levels above 1, and this {name} was fitted to images that end at "
            f"1. Pass np.asarray(X) / {top}, or fit it to grey levels."
        )

    def _transform_with_doubts(
        self, X: Any, blank: Failures | None = None
    ) -> tuple[NDArray[Any], list[UserWarning]]:
        """Do what `transform` does, but return its warnings, except that of blank images.

        `blank` are the failures in X where they are known and have been reported.
        """
        fitted = snapshot(self)
        fitted._check_ready()
        X = fitted._validate(X, reset=False)
        watch = fitted._watch(X)
        out, found = fitted._transform(X, watch, blank or Failures())
        return out, [*fitted._doubts_of_transform(X, watch), *found.doubts()]

    def _check_ready(self) -> None:
        self._check_parameters()
        if self._learns and not hasattr(self, "statistics_"):
            check_is_fitted(self, "statistics_")  # raises in scikit-learn's words

    def _reset(self) -> None:
        for name in [name for name in vars(self) if name.endswith("_")]:
            delattr(self, name)

    def _validate(self, X: Any, *, reset: bool) -> LazyImages | Array:
        """Let scikit-learn check X as a table of (n_pixels, n_channels)."""
        if isinstance(X, LazyImages):
            if reset or not self._is_as_in_fit(X):
                if not len(X):
                    raise ValueError(
                        f"X holds no images, and {type(self).__name__} needs at least one. "
                        "Check the folder or the pattern that its files were listed from."
                    )
                self._refuse_other_channels((X.n_channels,), reset=reset)
                table = np.broadcast_to(np.uint8(0), (len(X), X.n_channels))
                validate_data(self, table, reset=reset)
            return X
        if not hasattr(X, "shape"):
            X = _as_array(X)
        if isinstance(X, SavedImages):
            X = X._for_scaler()
        if len(X.shape) > 2:
            self._refuse_other_channels(X.shape, reset=reset)
        if isinstance(X, StoredImages) or is_stored_in_chunks(X):
            stored = X if isinstance(X, StoredImages) else StoredImages(X)
            table = np.broadcast_to(np.zeros((), X.dtype), (len(stored), stored.shape[-1]))
            validate_data(self, table, reset=reset)
            return stored
        refuse_files(X, type(self).__name__)
        if len(X.shape) <= 2:
            return validate_data(self, X, reset=reset)  # type: ignore[no-any-return]
        X = np.asarray(X)
        table = validate_data(self, X.reshape(-1, X.shape[-1]), reset=reset)
        return table.reshape(X.shape)  # type: ignore[no-any-return]

    def _refuse_other_channels(self, shape: tuple[int, ...], *, reset: bool) -> None:
        """Raise ValueError as scikit-learn does, and say that features are channels here."""
        n_channels, n_fitted = shape[-1], vars(self).get("n_features_in_")
        if reset or n_fitted in (None, n_channels):
            return
        if len(shape) == 4 and shape[1] == n_fitted:
            advice = "They come last, so pass np.moveaxis(X, 1, -1)."
        elif n_channels > _MOST_LOADED or n_fitted > _MOST_LOADED:
            advice = f"Pass images with {n_fitted} channels."
        else:
            advice = "Load the images with the color_mode that the others had in fit."
        raise ValueError(
            f"X has {n_channels} features, but {type(self).__name__} is expecting {n_fitted} "
            f"features as input; these are the channels. {advice}"
        )

    def _is_as_in_fit(self, X: LazyImages) -> bool:
        """Whether scikit-learn would neither refuse images nor warn of them."""
        names, n_channels = getattr(self, "feature_names_in_", None), X.n_channels
        # Without n_features_in_, nothing was fitted to compare with.
        n_fitted = vars(self).get("n_features_in_", n_channels)
        return len(X) > 0 and names is None and n_fitted == n_channels

    def _fit(
        self,
        X: Any,
        y: Any,
        sample_weight: ArrayLike | None,
        *,
        partial: bool = False,
        keep_pixels: bool = False,
    ) -> Counted | None:
        """Fit, and return what was counted; None if nothing is learned."""
        self._check_parameters()
        X = self._validate(X, reset=not hasattr(self, "n_features_in_"))
        weights = as_weights(sample_weight, len(X))
        if not self._learns:
            if not self.per_image:
                self._assign(self._learned(None, self.n_features_in_, None))
            follow_fit(self, lambda _: None, X, y, weights)
            return None
        self._check_learnable(X, weights, partial=partial)
        before = getattr(self, "statistics_", None)

        def learn(advance: Callable[[int], None]) -> Counted:
            kind = self._kind_of_statistics(X.dtype, self.n_features_in_)
            counted = count(kind, X, weights, advance, keep_pixels=keep_pixels)
            if counted.statistics is None:
                refuse_if_none_is_readable(counted.failures, len(X))
                first = min(counted.failures)
                raise ValueError(
                    "None of the images with a sample_weight above zero can be read, so there "
                    f"is nothing to learn from. Check X and sample_weight; image {first} "
                    f"fails with: {brief(counted.failures[first])}"
                )
            self._learn_from(counted.statistics, counted.pixels)
            return counted

        counted = follow_fit(self, learn, X, y, weights, n_items=len(X))
        report(counted.failures, len(X), stacklevel=4)
        assert counted.statistics is not None
        doubts, white = self._doubts(X), white_of_statistics(counted.statistics)
        if white == 255 and self._white_of_constants() == 1 and not keep_pixels:
            doubts.append(self._doubt_of_white(1, X.dtype))  # otherwise, transforming warns
        others = None if before is None else white_of_statistics(before)
        if white is not None and others is not None and white != others:
            doubts.append(
                f"Images that end at {white} are added to images that end at {others}, so the "
                "statistics mix units. Fit to all images in grey levels, 0 to 255: "
                "np.rint(X * 255).astype(np.uint8)."
            )
        self._tell_cache(X, [ImageUnitsWarning(doubt) for doubt in doubts])
        for doubt in doubts:
            warnings.warn(ImageUnitsWarning(doubt), stacklevel=3)
        return counted

    def _learn_from(self, statistics: Statistics, pixels: NDArray[Any] | None = None) -> None:
        if hasattr(self, "statistics_"):
            statistics = self.statistics_ + statistics
        self._assign(
            self._learned(statistics, self.n_features_in_, pixels)
            | {"statistics_": statistics, "n_samples_seen_": statistics.n_samples}
        )

    def _learned(
        self, statistics: Statistics | None, n_channels: int, pixels: NDArray[Any] | None
    ) -> dict[str, Any]:
        """Derive the fitted attributes; raises ValueError if one is not finite."""
        with refuse_overflow():
            attributes = self._attributes(statistics, n_channels, pixels)
        for name, value in attributes.items():
            if value is not None and not np.isfinite(value).all():
                raise ValueError(
                    f"{name} is not finite: {show_value(value)}. The values of X, or the "
                    "parameters, are too large for float64. Pass smaller ones."
                )
        return attributes

    def _assign(self, attributes: dict[str, Any]) -> None:
        for name, value in attributes.items():
            setattr(self, name, value)

    def _affine(self, n_channels: int) -> PixelMap | None:
        """Make the one map for all images; None if each image has its own."""
        if self.per_image:
            return None
        with refuse_overflow():
            attributes = vars(self) if self._learns else self._learned(None, n_channels, None)
            return self._affine_from(attributes, n_channels)

    def _affine_of_image(self, image: NDArray[Any]) -> PixelMap:
        n_channels = image.shape[-1]
        apart = n_channels if self.per_image == "channel" else 1
        pixels = image.reshape(1, -1, apart)
        with refuse_overflow():
            statistics = self._kind_of_statistics(pixels.dtype, apart).of(pixels)
            affine = self._affine_from(self._attributes(statistics, apart, None), apart)
        if apart == n_channels:
            return affine
        assert isinstance(affine, Affine)  # one channel has nothing to be mixed with
        return affine.repeated(n_channels)

    def _scale(self, affine: PixelMap | None, pixels: NDArray[Any], out: NDArray[Any]) -> None:
        """Scale `pixels` into `out`: one image, or any number of images that share a map."""
        (affine or self._affine_of_image(pixels)).apply(pixels, out)

    def _transform(
        self, X: LazyImages | Array, watch: WhiteWatch | None, blank: Failures
    ) -> tuple[NDArray[Any], Failures]:
        if not isinstance(X, LazyImages):
            found = Failures() if blank else failures_of(X)  # else they have been reported
            out = self._transform_array(X, watch, blank or found)
            report_blank(found, len(X), stacklevel=5)
            return out, Failures()
        scaling = _Scaling(self, self._affine(X.n_channels), watch)
        out, differs, failures = X._read_array(
            self.dtype, write=scaling, summarise=scaling.differs
        )
        if watch is not None:
            watch.differs = bool(differs)  # what other processes saw, too
        report_blank(failures, len(X), stacklevel=5)
        return out, failures

    def _transform_array(
        self, X: Array, watch: WhiteWatch | None, blank: Failures, n_jobs: int | None = None
    ) -> NDArray[Any]:
        out = empty_aligned(X.shape, self._out_dtype(X))
        scale = _Scaling(self, self._affine(X.shape[-1]), watch)
        for _ in map_rows(X, lambda rows: scale(out[rows], X[rows]), n_jobs=n_jobs):
            pass
        return blank.zeroed(out)

    def _out_dtype(self, X: Array) -> np.dtype[Any]:
        return X.dtype if X.dtype.kind == "f" else np.dtype(self.dtype)


@dataclass
class _Scaling:
    """Scales images into an array of their shape; can be pickled, for other processes."""

    scaler: ChannelScaler
    affine: PixelMap | None  # None if each image has its own
    watch: WhiteWatch | None

    def __call__(self, scaled: NDArray[Any], images: NDArray[Any]) -> None:
        if self.watch is not None:
            self.watch.look(images)
        if self.affine is not None:
            self.scaler._scale(self.affine, images, scaled)
            return
        for image, part in zip(images, scaled, strict=True):
            self.scaler._scale(None, image, part)

    def differs(self, *_: Any) -> bool:
        """Whether images that were seen here have another white than the scaler expects."""
        return self.watch is not None and self.watch.differs


def nonzero(spread: FloatArray) -> FloatArray:
    """Replace a spread of about zero by 1, as scikit-learn does for constant features."""
    return np.where(spread < 10 * np.finfo(np.float64).eps, 1.0, spread)


def _as_array(X: Any) -> NDArray[Any]:
    try:
        return np.asarray(X)
    except ValueError:
        shapes = list(dict.fromkeys(image.shape for image in X if hasattr(image, "shape")))
        if len(shapes) < 2:
            raise
        are_alike = len({shape[-1:] for shape in shapes if len(shape) == 3}) == 1
        advice = "Pass them through a Resizer first."
        if not are_alike or any(
            len(shape) != 3 for shape in shapes
        ):  # a Resizer refuses these
            advice = (
                "Pass images of shape (height, width, channels) with equally many channels."
            )
        raise ValueError(
            f"X holds images of shapes {shapes[0]} and {shapes[1]}, and one array takes one "
            f"shape. {advice}"
        ) from None
