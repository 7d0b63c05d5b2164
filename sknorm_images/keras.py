"""The adapter to Keras: batches for ``model.fit``, and a fitted scaler as a layer."""

from __future__ import annotations

import secrets
import warnings
from math import ceil
from numbers import Integral
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    LazyImages,
    Resizer,
)

try:
    import keras
except ImportError as error:
    raise ImportError(
        f"sknorm_images.keras needs Keras and a backend, and importing Keras fails: {error}. "
        'Run: python -m pip install "sknorm-images[keras]" jax, and name the backend in the '
        "environment: KERAS_BACKEND=jax. (Keras asks for TensorFlow unless it is told.)"
    ) from error

__all__ = ["PipelineDataset", "normalization_layer"]

_LABEL_MODES = ("auto", "int", "categorical")


class PipelineDataset(keras.utils.PyDataset):
    """Batches of transformed images and their labels, for ``fit``, ``evaluate``, ``predict``.

    Batch *i* is ``pipeline.transform(X[rows])``, decoded when it is asked for, with the
    `n_jobs` of the pipeline's loader.

    Parameters
    ----------
    pipeline : fitted transformer
        A pipeline of `JpegLoader`, `Resizer` and a scaler; the first steps of one, such as
        ``pipeline[:-1]``, which feeds uint8 pixels; or a lone scaler.
    X : array-like of shape (n_samples, ...)
        What the pipeline transforms: paths, bytes, LazyImages or an array.
    y : array-like of shape (n_samples,) or None, default=None
        Labels; None for ``predict``.
    batch_size : int, default=32
        Number of images in a batch; the last one may be smaller.
    shuffle : bool, default=False
        Whether to put the images in a new order every epoch. Pass ``shuffle=False`` to
        ``model.fit``, which would reorder whole batches on top.
    seed : int or None, default=None
        The order is a function of seed and epoch alone; None draws a seed.
    label_mode : {"auto", "int", "categorical"}, default="auto"
        "int" numbers the classes from 0, "categorical" makes them one-hot (float32), and
        "auto" numbers strings and passes numbers through as they are.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels in the order of their numbers; None takes those in `y`, sorted. Pass
        ``classes=train.classes_`` for validation data that may lack a class.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or None
        Labels in the order of their numbers; None where labels pass through.
    seed : int
        The seed in use.
    epoch : int
        Number of passes that were served in full. Before the first one, Keras may take a
        batch or two to see what they look like; where there are no more, that is a pass.

    Raises
    ------
    ValueError
        If X and y differ in length, X is empty, or a parameter is out of its range. At the
        end of an epoch, if none of the images could be read.
    sklearn.exceptions.NotFittedError
        If the pipeline is not fitted.

    Notes
    -----
    Where the loader has ``on_error="blank"``, batches carry sample weights: 0 for images
    that cannot be read, 1 for the others. One `ImageDecodeWarning` an epoch lists them.
    Keras does not combine sample weights with `class_weight`.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelStandardScaler
    >>> from sknorm_images.keras import PipelineDataset
    >>> photos = np.stack(load_sample_images().images)
    >>> scaler = ChannelStandardScaler().fit(photos)
    >>> dataset = PipelineDataset(scaler, photos, ["temple", "flower"], batch_size=2)
    >>> x, y = dataset[0]
    >>> x.shape, y, dataset.classes_
    ((2, 427, 640, 3), array([1, 0]), array(['flower', 'temple'], dtype='<U6'))
    """

    def __init__(
        self,
        pipeline: Any,
        X: Any,
        y: ArrayLike | None = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = None,
        label_mode: str = "auto",
        classes: ArrayLike | None = None,
    ) -> None:
        super().__init__()  # workers=1: Keras' own enqueuer repeats batches on JAX
        check_is_fitted(pipeline)
        _check_batch_size(batch_size)
        _check_seed(seed)
        if label_mode not in _LABEL_MODES:
            options = ", ".join(map(repr, _LABEL_MODES))
            raise ValueError(f"label_mode={label_mode!r} is not known. Pass one of {options}.")
        self._images, self._transformer = _split(pipeline, X)
        n_samples = len(self._images)
        if not n_samples:
            raise ValueError("X is empty, so there is nothing to make batches of. Check X.")
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.seed = secrets.randbits(64) if seed is None else seed
        self.epoch = 0
        self.classes_, self._y = _encode(y, label_mode, classes)
        self._is_categorical = label_mode == "categorical"
        if self._y is not None and len(self._y) != n_samples:
            raise ValueError(
                f"X has {n_samples} samples and y has {len(self._y)}. Pass one label a sample."
            )
        self._order = self._new_order()
        self._failures: dict[int, ImageDecodeError | OSError] = {}
        self._served = np.zeros(len(self), bool)

    def __len__(self) -> int:
        return ceil(len(self._images) / self.batch_size)

    def __getitem__(self, index: int) -> Any:
        """Transform one batch.

        Parameters
        ----------
        index : int
            Number of the batch in this epoch.

        Returns
        -------
        ndarray, (ndarray, ndarray) or (ndarray, ndarray, ndarray)
            The images; with `y`, the labels; where unreadable images are left blank, also
            sample weights.

        Raises
        ------
        IndexError
            If there is no such batch.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        if not 0 <= index < len(self):
            raise IndexError(
                f"There is no batch {index} among {len(self)} batches. Pass 0 to "
                f"{len(self) - 1}."
            )
        rows = self._order[index * self.batch_size : (index + 1) * self.batch_size]
        is_pandas = hasattr(self._images, "iloc")
        images = self._images.iloc[rows] if is_pandas else self._images[rows]
        weights = None
        if isinstance(images, LazyImages) and images.on_error == "blank":
            x, weights = self._transform_with_blanks(images, rows)
        else:
            try:
                x = self._transform(images)
            except ImageDecodeError as error:
                if error.position is not None:
                    error.position = int(rows[error.position])
                raise
        self._served[index] = True
        if self._y is None:
            return x
        y = self._y[rows]
        if self._is_categorical and self.classes_ is not None:
            y = (y[:, np.newaxis] == np.arange(len(self.classes_))).astype(np.float32)
        batch = x, y
        return batch if weights is None else (*batch, weights)

    def on_epoch_end(self) -> None:
        """Take the order of the next epoch, if this one was served in full.

        Keras also calls it at other times: on JAX, a first fit begins a pass, takes one
        batch and ends it.
        """
        if not self._served.all():
            return
        self._served[:] = False
        self.epoch += 1
        self._order = self._new_order()
        failures, self._failures = self._failures, {}
        if failures and len(failures) == len(self._images):
            raise ValueError(
                f"None of the {len(failures)} images can be read, so there is nothing to "
                f"train on. Check X; the first one fails with: {failures[0]}"
            )
        if failures:
            warnings.warn(ImageDecodeWarning(failures, len(self._images)), stacklevel=2)

    def _new_order(self) -> NDArray[np.intp]:
        n_samples = len(self._images)
        if not self.shuffle:
            return np.arange(n_samples)
        return np.random.default_rng([self.seed, self.epoch]).permutation(n_samples)

    def _transform(self, images: Any) -> NDArray[Any]:
        if self._transformer is None:
            return np.asarray(images)
        return np.asarray(self._transformer.transform(images))

    def _transform_with_blanks(
        self, images: LazyImages, rows: NDArray[np.intp]
    ) -> tuple[NDArray[Any], NDArray[np.float32]]:
        pixels, failures = images.read()
        x = np.require(self._transform(pixels), requirements="W")
        weights = np.ones(len(x), np.float32)
        for i, error in failures.items():
            x[i] = 0
            weights[i] = 0
            if isinstance(error, ImageDecodeError):
                error.position = int(rows[i])
            self._failures[int(rows[i])] = error
        return x, weights


def normalization_layer(scaler: ChannelStandardScaler | ChannelMinMaxScaler) -> Any:
    """Make a Keras layer that does what a fitted scaler does.

    Put it in front of a model, feed the model ``PipelineDataset(pipeline[:-1], …)``, and
    the saved model takes raw pixels.

    Parameters
    ----------
    scaler : ChannelStandardScaler or ChannelMinMaxScaler
        Fitted, or with constants that need no fit.

    Returns
    -------
    keras.layers.Normalization or keras.layers.Rescaling
        For inputs of shape (n, height, width, n_channels), in grey levels. It computes in
        float32, also under a mixed-precision policy.

    Raises
    ------
    TypeError
        If `scaler` is neither of the two.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If a layer cannot express it: with `per_image`, `clip`, or where Keras' image data
        format is ``"channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelStandardScaler
    >>> from sknorm_images.keras import normalization_layer
    >>> photos = np.stack(load_sample_images().images)
    >>> scaler = ChannelStandardScaler().fit(photos)
    >>> layer = normalization_layer(scaler)
    >>> bool(np.allclose(layer(photos), scaler.transform(photos), atol=1e-5))
    True
    """
    if not isinstance(scaler, ChannelStandardScaler | ChannelMinMaxScaler):
        raise TypeError(
            f"scaler is a {type(scaler).__name__}, which has no layer of its own. Pass a "
            "ChannelStandardScaler or a ChannelMinMaxScaler, such as pipeline[-1]."
        )
    if scaler.per_image:
        raise ValueError(
            f"per_image={scaler.per_image!r} takes the statistics from each image, and no "
            "Keras layer does. Scale in the pipeline: PipelineDataset(pipeline, ...)."
        )
    if keras.config.image_data_format() == "channels_first":
        raise ValueError(
            "Keras' image_data_format is 'channels_first', and the scaler's channels come "
            "last. Call keras.config.set_image_data_format('channels_last')."
        )
    if isinstance(scaler, ChannelMinMaxScaler) and scaler.clip:
        raise ValueError(
            "clip=True cuts values off, and keras.layers.Rescaling does not. Fit a scaler "
            "with clip=False, or scale in the pipeline: PipelineDataset(pipeline, ...)."
        )
    # What becomes of 0 and of 1 tells all about a map that is affine.
    levels = np.zeros((2, _n_channels(scaler)))
    levels[1] = 1
    offset, scaled_one = scaler.transform(levels)
    factor = scaled_one - offset
    if isinstance(scaler, ChannelMinMaxScaler):
        return keras.layers.Rescaling(factor.tolist(), offset.tolist(), dtype="float32")
    return keras.layers.Normalization(
        axis=-1,
        mean=(-offset / factor).tolist(),
        variance=(1 / factor**2).tolist(),
        dtype="float32",
    )


def _n_channels(scaler: ChannelStandardScaler | ChannelMinMaxScaler) -> int:
    """Tell the channels seen in `fit`, or those of the constants: 1 if they are for all."""
    if hasattr(scaler, "n_features_in_"):
        return int(scaler.n_features_in_)
    if isinstance(scaler, ChannelMinMaxScaler):
        constants = [*(() if scaler.data_range is None else scaler.data_range)]
    else:
        constants = [value for value in (scaler.mean, scaler.std) if value is not None]
    return max(map(np.size, constants), default=1)


def _check_batch_size(batch_size: object) -> None:
    is_bool = isinstance(batch_size, bool)
    if is_bool or not isinstance(batch_size, Integral) or int(batch_size) < 1:
        raise ValueError(
            f"batch_size={batch_size!r} makes no batches. Pass an integer of 1 or more."
        )


def _check_seed(seed: object) -> None:
    if seed is None:
        return
    if isinstance(seed, bool) or not isinstance(seed, Integral) or int(seed) < 0:
        raise ValueError(f"seed={seed!r} is no seed. Pass an integer from 0 on, or None.")


def _split(pipeline: Any, X: Any) -> tuple[Any, Any]:
    """Run the lazy first steps on all of X once, and keep the rest for the batches."""
    steps = (
        [step for _, step in pipeline.steps] if isinstance(pipeline, Pipeline) else [pipeline]
    )
    n_lazy = 0
    while n_lazy < len(steps) and isinstance(steps[n_lazy], JpegLoader | Resizer):
        n_lazy += 1
    if not n_lazy:
        return X if hasattr(X, "shape") else np.asarray(X), pipeline
    images = X
    for step in steps[:n_lazy]:
        images = step.transform(images)
    return images, pipeline[n_lazy:] if n_lazy < len(steps) else None


def _encode(
    y: ArrayLike | None, label_mode: str, classes: ArrayLike | None
) -> tuple[NDArray[Any] | None, NDArray[Any] | None]:
    if y is None:
        return None, None
    labels = np.asarray(y)
    if (
        labels.dtype.kind == "U"
        and isinstance(y, list | tuple)
        and not all(isinstance(label, str) for label in y)
    ):
        raise ValueError("y holds text among other things. Pass labels of one kind.")
    if labels.ndim == 0:
        raise ValueError(f"y={y!r} is one label. Pass one for each sample.")
    is_text = labels.dtype.kind in "OUST"
    if label_mode == "auto" and not is_text and classes is None:
        return None, labels
    if labels.ndim != 1:
        raise ValueError(
            f"y is of shape {labels.shape}, and label_mode={label_mode!r} numbers one label a "
            "sample. Pass y of one dimension, or numbers with label_mode='auto'."
        )
    known = _known(labels) if classes is None else np.asarray(classes)
    if known.ndim != 1 or not len(known) or len(np.unique(known)) < len(known):
        raise ValueError(
            f"classes={known.tolist()} is empty or repeats a label. Pass each label once."
        )
    order = np.argsort(known)
    places = np.searchsorted(known, labels, sorter=order).clip(max=len(known) - 1)
    numbers = order[places]
    if (unknown := known[numbers] != labels).any():
        raise ValueError(
            f"y holds {labels[unknown].tolist()[0]!r}, which is not among the classes "
            f"{known.tolist()}. Pass all labels in classes."
        )
    return known, numbers


def _known(labels: NDArray[Any]) -> NDArray[Any]:
    try:
        return np.unique(labels)
    except TypeError as error:
        raise ValueError(
            f"y holds labels that have no order ({error}), such as text among numbers, or "
            "None. Pass labels of one kind."
        ) from error
