"""PipelineDataset: batches of transformed images for ``model.fit``."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any

import keras
import numpy as np
from joblib import cpu_count, effective_n_jobs, parallel_config
from numpy.typing import ArrayLike, NDArray

from sknorm_images import LazyImages
from sknorm_images._common.failures import Failures, ReadError, report
from sknorm_images._common.parameters import check_choice, check_n_jobs, check_number
from sknorm_images._common.published import published
from sknorm_images.keras._augmentation import Augment, check_augment
from sknorm_images.keras._batch_order import BatchOrder
from sknorm_images.keras._batches import Batch, Batches, describe_samples
from sknorm_images.keras._class_balance import classes_to_draw_evenly, loss_weights
from sknorm_images.keras._look_ahead import LookAhead
from sknorm_images.keras._refusals import read_only, refuse_option, refuse_to_predict
from sknorm_images.keras._targets import encode_targets

_BYTES_AHEAD = 2**30  # limit on batches made ahead, however many cores there are
_BATCHES_AHEAD = 2  # per thread: the one it makes, and one that waits


@published("sknorm_images.keras")
class PipelineDataset(keras.utils.PyDataset):
    """Batches of transformed images and their labels, for ``fit``, ``evaluate``, ``predict``.

    Batch *i* is ``pipeline.transform(X[rows])``. While the model is busy with it, threads
    decode the following ones.

    Parameters
    ----------
    pipeline : fitted transformer
        A pipeline of `JpegLoader`, `Resizer` and a scaler; the first steps of one, such as
        ``pipeline[:-1]``, which feeds uint8 pixels; or a lone scaler.
    X : array-like of shape (n_samples, ...)
        What the pipeline transforms: paths, URLs, bytes, LazyImages; or an array, a memmap or
        a chunked array, such as `save_images` returns, which is not read whole.
    y : array-like of shape (n_samples, ...), dict of str to array-like, or None, default=None
        Labels of classes; targets of any shape; or several targets by name, for a model of
        several outputs. None for ``predict``.
    batch_size : int, default=32
        Number of images in a batch; the last one may be smaller.
    shuffle : bool, default=False
        Whether to put the images in a new order every epoch. Pass ``shuffle=False`` to
        ``model.fit``, which would reorder whole batches on top: they stay right, but are
        no longer decoded ahead.
    seed : int or None, default=None
        The order and the generators of `augment` are functions of seed and epoch alone;
        None draws a seed.
    label_mode : {"auto", "int", "categorical", "binary", "input", None}, default="auto"
        What the model gets of `y`:

        - "auto": strings are numbered from 0, and numbers pass through as they are, unless
          `classes` are given;
        - "int": the numbers of the classes;
        - "categorical": one-hot, float32, of shape (batch_size, n_classes);
        - "binary": 0 and 1, float32, of shape (batch_size, 1), as Keras' own;
        - "input": the images themselves, for an autoencoder;
        - None: nothing.

        With the last two, `y` only tells the classes: of those that are oversampled, and
        with "input" of those that are weighed.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels in the order of their numbers; None takes those in `y`, sorted. Pass
        ``classes=train.classes_`` for validation data that may lack a class.
    sample_weight : array-like of shape (n_samples,), "balanced" or None, default=None
        What the loss of each image counts. "balanced" gives every class the same sum:
        ``n_samples / (n_classes * n_samples_of_the_class)`` for each image.
    oversample : bool, default=False
        Whether to draw the images of smaller classes repeatedly, until every class is as
        frequent as the largest. Each image of a class is drawn equally often, or once more,
        as chance has it. Needs ``shuffle=True``.
    augment : callable or None, default=None
        Called as ``augment(x, y)`` on every batch, it returns both. One that requires a
        third argument is given a `numpy.random.Generator` that seed, epoch and batch
        determine. Several threads call it at once.
    drop_remainder : bool, default=False
        Whether to leave out a last batch that would be smaller.
    n_jobs : int or None, default=-1
        Number of threads that decode batches ahead, up to the number of cores; -1 means one
        per core, and None one, unless ``joblib.parallel_config`` says more. No more than two
        batches per thread are made ahead, and no more than 1 GiB of them, but always one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or None
        Labels in the order of their numbers; None where labels pass through.
    seed : int
        The seed in use.
    epoch : int
        Number of passes that Keras took in full. Set it to resume an interrupted run.
        Before the first pass, Keras takes a batch or two to see what they look like; where
        there are no more, that counts as a pass, also for warnings. TensorFlow takes batches
        before it trains on them, so it may end a pass that `steps_per_epoch` or an interrupt
        cut short.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type, or one of those with which Keras would run
        workers of its own: ``workers``, ``use_multiprocessing``, ``max_queue_size``.
    ValueError
        If X and y differ in length, X is empty, or parameters are out of range or do not go
        together. In ``predict``, if the order is shuffled. At the end of an epoch, if none
        of the images could be read.
    sklearn.exceptions.NotFittedError
        If the pipeline is not fitted.

    See Also
    --------
    normalization_layer : The scaler as the first layer of a model.

    Notes
    -----
    Where the loader has ``on_error="blank"``, batches carry sample weights: 0 for images
    that cannot be read, 1, or their `sample_weight`, for the others. One
    `ImageDecodeWarning` per epoch lists them. Keras does not combine sample weights with
    `class_weight`, nor `class_weight` with a dict of targets: pass `sample_weight`.

    Keras' own workers are refused since, on JAX, its queue serves some batches of the first
    pass twice and others never; processes would fork a running JAX. Decoding releases
    Python's lock, so threads suffice. Those of this class end when nobody takes what they
    make.

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

    _previous: int
    _in_order: bool
    _served: NDArray[np.bool_]

    def __init__(
        self,
        pipeline: Any,
        X: Any,
        y: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        seed: int | None = None,
        label_mode: str | None = "auto",
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | str | None = None,
        oversample: bool = False,
        augment: Augment | None = None,
        drop_remainder: bool = False,
        n_jobs: int | None = -1,
        **keras_options: Any,
    ) -> None:
        for name in keras_options:
            refuse_option(name)
        super().__init__()
        check_number("batch_size", batch_size, low=1, integral=True)
        check_choice("shuffle", shuffle, (True, False))
        check_choice("oversample", oversample, (True, False))
        check_choice("drop_remainder", drop_remainder, (True, False))
        if seed is not None:
            check_number("seed", seed, low=0, integral=True)
        check_n_jobs(n_jobs)
        check_augment(augment)
        images, steps = describe_samples(pipeline, X)
        n_samples = images.shape[0]
        targets = encode_targets(y, label_mode, classes, n_samples)
        weights = loss_weights(sample_weight, y, n_samples)
        if weights is not None and not targets.are_there:
            raise ValueError(
                "sample_weight weighs the loss of targets, and there are none. Pass y and a "
                "label_mode, or leave sample_weight out."
            )
        class_numbers = None
        if oversample:
            class_numbers = classes_to_draw_evenly(y, n_samples, shuffle, sample_weight)
        self._batches = Batches(images, steps, targets, weights, augment)
        self._order = BatchOrder(
            n_samples,
            int(batch_size),
            bool(shuffle),
            secrets.randbits(64) if seed is None else int(seed),
            bool(drop_remainder),
            class_numbers,
        )
        if not len(self):
            raise ValueError(
                f"batch_size={batch_size} is more than the {n_samples} images of X, and "
                "drop_remainder=True leaves no batch. Pass a smaller batch_size."
            )
        self._n_threads: int = min(effective_n_jobs(n_jobs), cpu_count())
        self._batch_bytes = 0
        self._look_ahead = self._new_look_ahead()
        self._begin(0)

    def __len__(self) -> int:
        return self._order.n_batches

    def __getitem__(self, index: int) -> Any:
        """Take one batch of this epoch, and have the following ones decoded.

        Parameters
        ----------
        index : int
            Number of the batch in this epoch.

        Returns
        -------
        ndarray, (ndarray, targets) or (ndarray, targets, ndarray)
            The images; with `y`, the targets; with `sample_weight`, or where images
            that cannot be read are left blank, also sample weights, float32, of shape
            (batch_size,).

        Raises
        ------
        IndexError
            If there is no such batch.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        self._check_index(index)
        # In another order, such as that of model.fit(shuffle=True), the next one is unknown.
        self._in_order = self._in_order and index in (0, self._previous + 1)
        self._previous = index
        with parallel_config(backend="threading", n_jobs=self._n_threads):
            batch = self._look_ahead.take(index, self._n_ahead() if self._in_order else 0)
        self._batch_bytes = max(self._batch_bytes, batch.n_bytes)
        self._failures |= batch.failures
        self._served[index] = True
        return batch.parts

    def on_epoch_begin(self) -> None:
        """Start looking ahead again, and refuse to predict in a shuffled order.

        Raises
        ------
        ValueError
            If ``model.predict`` begins, and the order is shuffled.
        """
        self._in_order = True
        if self._order.shuffle:
            refuse_to_predict()

    def on_epoch_end(self) -> None:
        """Take the order of the next epoch, if this one was served in full.

        Keras also calls it at other times: on JAX, a first fit begins a pass, takes one
        batch and ends it.

        Raises
        ------
        ValueError
            If none of the images could be read.

        Warns
        -----
        ImageDecodeWarning
            If some could not be read, and are blank.
        """
        if not self._served.all():
            return
        samples = self._samples[: len(self) * self.batch_size]
        failures = dict(self._failures)
        self._begin(self._epoch + 1)
        if failures:
            report(Failures(failures), len(np.unique(samples)))

    def rows(self, batch_index: int, epoch: int | None = None) -> NDArray[np.intp]:
        """Tell which images a batch holds.

        Parameters
        ----------
        batch_index : int
            Number of the batch in its epoch.
        epoch : int or None, default=None
            Number of the epoch, from 0; None means the one that is being served.

        Returns
        -------
        ndarray of shape (batch_size,), dtype intp
            Their positions in X.

        Raises
        ------
        IndexError
            If there is no such batch.
        TypeError, ValueError
            If `epoch` is no integer, or below 0.
        """
        self._check_index(batch_index)
        if epoch is not None:
            check_number("epoch", epoch, low=0, integral=True)
        samples = self._samples if epoch is None else self._order.draw(int(epoch))
        return samples[self._order.rows(batch_index)]

    def filenames(self, batch_index: int, epoch: int | None = None) -> list[str]:
        """Tell the names of the files of a batch, to find the cause of a bad prediction.

        Parameters
        ----------
        batch_index : int
            Number of the batch in its epoch.
        epoch : int or None, default=None
            Number of the epoch, from 0; None means the one that is being served.

        Returns
        -------
        list of str
            The paths as they were passed; for bytes, how many they are.

        Raises
        ------
        IndexError, ValueError
            If there is no such batch, or epoch.
        TypeError
            If the pipeline begins with no loader, and X is no LazyImages; or if `epoch` is
            no integer.
        """
        rows = self.rows(batch_index, epoch)
        images = self._batches.images
        if not isinstance(images, LazyImages):
            raise TypeError(
                "X holds no files that a JpegLoader at the beginning of the pipeline reads, "
                "so nothing is known of their names. Call rows(batch_index) for positions."
            )
        return images[rows].filenames

    @property
    def classes_(self) -> NDArray[Any] | None:
        """Labels in the order of their numbers; None where labels pass through."""
        return self._batches.targets.classes

    @property
    def batch_size(self) -> int:
        """Number of images in a batch."""
        return self._order.batch_size

    @property
    def seed(self) -> int:
        """The seed in use."""
        return self._order.seed

    @property
    def epoch(self) -> int:
        """Number of passes that Keras took in full."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        check_number("epoch", epoch, low=0, integral=True)
        self._begin(int(epoch))

    workers = read_only("workers")
    use_multiprocessing = read_only("use_multiprocessing")
    max_queue_size = read_only("max_queue_size")

    def __getstate__(self) -> dict[str, Any]:
        state = vars(self) | {"_failures": dict(self._failures)}  # other threads add to it
        del state["_look_ahead"]
        return state

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._look_ahead = self._new_look_ahead()

    def _new_look_ahead(self) -> LookAhead[Batch]:
        return LookAhead(self._make_batch, len(self), self._n_threads)

    def _n_ahead(self) -> int:
        if not self._batch_bytes:  # before the first batch, its size is unknown
            return 0
        fitting = max(1, _BYTES_AHEAD // self._batch_bytes)
        return min(_BATCHES_AHEAD * self._n_threads, fitting)

    def _begin(self, epoch: int) -> None:
        self._epoch = epoch
        self._samples = self._order.draw(epoch)
        self._previous = -1
        self._in_order = True
        self._served = np.zeros(len(self), bool)
        self._failures: dict[int, ReadError] = {}
        self._look_ahead.forget()

    def _check_index(self, index: int) -> None:
        if not 0 <= index < len(self):
            raise IndexError(
                f"There is no batch {index} among {len(self)} batches. Pass 0 to "
                f"{len(self) - 1}."
            )

    def _make_batch(self, index: int) -> Batch:
        rows = self._samples[self._order.rows(index)]
        return self._batches.make(rows, partial(self._order.generator, self._epoch, index))
