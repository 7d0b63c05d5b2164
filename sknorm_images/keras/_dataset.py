"""PipelineDataset: batches of transformed images for ``model.fit``."""

from __future__ import annotations

import secrets
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import keras
import numpy as np
from joblib import cpu_count, effective_n_jobs, parallel_config
from numpy.typing import ArrayLike, NDArray

from sknorm_images._common.failures import Failures, report
from sknorm_images._common.parameters import check_choice, check_n_jobs, check_number
from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images.keras._augmentation import Augment, check_augment
from sknorm_images.keras._batch_order import BatchOrder
from sknorm_images.keras._batches import Batch, Batches
from sknorm_images.keras._callers import find_consumer, has_workers, holds, running_calls
from sknorm_images.keras._class_balance import classes_to_draw_evenly, loss_weights
from sknorm_images.keras._columns import NamedColumns, describe_inputs
from sknorm_images.keras._passes import Pass
from sknorm_images.keras._refusals import (
    read_only,
    refuse_option,
    refuse_to_predict,
    refuse_to_predict_parts,
    refuse_without_targets,
)
from sknorm_images.keras._resuming import ResumeOrder
from sknorm_images.keras._shards import check_distribution, check_shard, refuse_uneven_parts
from sknorm_images.keras._targets import encode_targets
from sknorm_images.keras._threads import Threads
from sknorm_images.keras._windows import in_windows

_BYTES_AHEAD = 2**30  # limit on batches made ahead, however many cores there are
_BATCHES_AHEAD = 2  # per thread: the one it makes, and one that waits


@published("sknorm_images.keras")
class PipelineDataset(keras.utils.PyDataset):
    """Batches of transformed images and their labels, for ``fit``, ``evaluate``, ``predict``.

    Batch *i* is ``pipeline.transform(X[rows])``. While the model works on it, threads decode
    the next ones.

    Parameters
    ----------
    pipeline : fitted transformer, or dict of str to fitted transformer
        A pipeline of `JpegLoader`, `Resizer` and a scaler; the first steps of one, such as
        ``pipeline[:-1]``, which feeds uint8 pixels; or just a scaler. For a model with several
        inputs, a dict with one for each input, by its name: another pipeline of photos, or any
        transformer of tables.
    X : array-like of shape (n_samples, ...), or dict of str to array-like
        The input of the pipeline: paths, URLs, bytes, LazyImages; or an array, a memmap or a
        chunked array, such as `save_images` returns, which is read in parts. For several
        inputs, a dict with the names of `pipeline`, and the same samples in the same order.
    y : array-like of shape (n_samples, ...), dict of str to array-like, or None, default=None
        Labels of classes; targets of any shape; or several targets by name, for a model with
        several outputs. LazyImages, SavedImages and chunked arrays, such as masks, are read
        batch by batch, also in a dict; LazyImages need a `Resizer`, so that they have one
        size. None for ``predict``.
    batch_size : int, default=32
        Number of images in a batch; the last one may be smaller.
    shuffle : bool, default=False
        Whether to put the images in a new order every epoch. Pass ``shuffle=False`` to
        ``model.fit``, which would also reorder whole batches: they stay right, but are no
        longer decoded ahead.
    shuffle_window : int or None, default=None
        For images in an array on disk, such as SavedImages: the number of images among which
        they are shuffled, so that each chunk is read once per epoch. None shuffles all images,
        and reads a chunk again for each of its images. See Notes.
    seed : int or None, default=None
        The order and the generators of `augment` depend only on seed and epoch; None draws a
        seed.
    label_mode : {"auto", "int", "categorical", "binary", "input", None}, default="auto"
        How the model gets `y`:

        - "auto": strings are numbered from 0, and numbers pass through as they are, unless
          `classes` are given;
        - "int": the numbers of the classes;
        - "categorical": one-hot, float32, of shape (batch_size, n_classes);
        - "binary": 0 and 1, float32, of shape (batch_size, 1), as in Keras;
        - "input": the images themselves, for an autoencoder;
        - None: nothing.

        With the last two, `y` only tells the classes: of those that are oversampled, and
        with "input" of those that are weighed.
    classes : array-like of shape (n_classes,) or None, default=None
        Labels in the order of their numbers; None takes those in `y`, sorted. Pass
        ``classes=train.classes_`` for validation data that may lack a class.
    sample_weight : array-like of shape (n_samples,), "balanced" or None, default=None
        Weight of each image in the loss. "balanced" gives every class the same sum:
        ``n_samples / (n_classes * n_samples_of_the_class)`` for each image.
    oversample : bool, default=False
        Whether to draw the images of smaller classes repeatedly, until every class is as
        frequent as the largest. Each image of a class is drawn equally often, or by chance
        once more. Needs ``shuffle=True``.
    augment : callable or None, default=None
        Called as ``augment(x, y)`` on every batch, it returns both. One that requires a
        third argument is given a `numpy.random.Generator` that seed, epoch and batch
        determine. Several threads call it at once.
    drop_remainder : bool, default=False
        Whether to leave out a last batch that would be smaller.
    shard : (int, int) or None, default=None
        ``(index, count)``, where `count` processes train one model together, and this one is
        number `index` of them, from 0. It takes its part of each batch; `batch_size` is that
        of all together. Pass the same X, y, seed and other parameters to all.
    n_jobs : int or None, default=-1
        Number of threads that decode batches ahead, up to the number of cores; -1 means one
        per core, and None one, unless ``joblib.parallel_config`` says more. At most two
        batches per thread are made ahead, and at most 1 GiB of them, but always one.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,), or None
        Labels in the order of their numbers; None where labels pass through.
    seed : int
        The seed in use.
    epoch : int
        Number of complete passes of `fit`; `evaluate` and `predict` do not change it. Set it,
        or pass `resume_callback` to `fit`, to resume an interrupted run. TensorFlow takes
        batches before it trains on them, so it may complete a pass that `steps_per_epoch` cut
        short.

    Raises
    ------
    TypeError
        If a parameter is of the wrong type, or one of those with which Keras would run
        workers of its own: ``workers``, ``use_multiprocessing``, ``max_queue_size``.
    ValueError
        If X and y differ in length, X is empty, or parameters are out of range or do not go
        together. In ``predict``, if the order is shuffled, or there is a `shard`; in ``fit``
        and ``evaluate``, if Keras' own loss needs targets and there are none. On JAX, if
        ``keras.distribution`` needs another `shard`, or batches that devices can share. At the
        end of an epoch, if none of the images could be read.
    sklearn.exceptions.NotFittedError
        If the pipeline is not fitted.

    See Also
    --------
    normalization_layer : The scaler as the first layer of a model.

    Notes
    -----
    Where the loader has ``on_error="blank"``, that of X or that of images in `y`, batches
    carry sample weights: 0 for rows with an image that cannot be read, 1, or their
    `sample_weight`, for the others. One `ImageDecodeWarning` per epoch lists the images.
    Keras does not combine sample weights with `class_weight`, nor `class_weight` with a dict
    of targets: pass `sample_weight`. Targets of three or more dimensions, such as masks, get
    a weight per pixel, and a dict of targets with some of those a dict of weights.

    With `shuffle_window`, every epoch draws chunks at random until they hold that many images,
    shuffles the images of these chunks, and continues with the next ones. The chunks of two
    windows are in memory (or of more, if a window has fewer images than are made ahead). The
    order is less random: images of a chunk, which were neighbours when they were saved, are
    always in the same window. If all images of a chunk are of one class, a batch of b images
    out of a window of c chunks is as uneven as a random one of about ``b * c / (b + c)``, so
    use many chunks, or save the images in random order. An array without chunks of several
    images counts as chunks of 32.

    Every call of `fit`, `evaluate` or `predict` makes its own pass, and so does user code that
    takes batches by index: they do not disturb each other's order. Each file is decoded once
    per pass, since the batches that Keras takes before a pass begins are kept for it.

    With `shard`, processes take parts of each batch, not of the order of an epoch: Keras makes
    one batch of what they hold, so the model sees the batches of a single process, whatever
    their number. They need equally many batches of equal size, so a batch that does not make
    equal parts is refused; that may be the last. Each process has its own random numbers for
    `augment`, and warns of its own images.

    Keras' own workers are refused. On JAX, its queue serves some batches of the first pass
    twice and others never, and processes would fork a running JAX. Decoding releases Python's
    lock, so threads suffice. All passes share the threads of this class, which end with the
    dataset, or when they have been idle for ten seconds.

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

    # The pass of user code, and those of calls of a model, by the object that takes batches
    # for the call. Each is left alone by the others.
    _own_pass: Pass
    _passes: WeakKeyDictionary[object, Pass]

    def __init__(
        self,
        pipeline: Any,
        X: Any,
        y: Any = None,
        *,
        batch_size: int = 32,
        shuffle: bool = False,
        shuffle_window: int | None = None,
        seed: int | None = None,
        label_mode: str | None = "auto",
        classes: ArrayLike | None = None,
        sample_weight: ArrayLike | str | None = None,
        oversample: bool = False,
        augment: Augment | None = None,
        drop_remainder: bool = False,
        shard: tuple[int, int] | None = None,
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
        part = check_shard(shard, int(batch_size), shuffle, seed)
        check_n_jobs(n_jobs)
        check_augment(augment)
        inputs = describe_inputs(pipeline, X)
        if label_mode == "input" and isinstance(inputs, NamedColumns):
            raise ValueError(
                "label_mode='input' takes the images as targets, and X has several inputs by "
                "name. Pass the targets as y."
            )
        n_samples = len(inputs)
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
        self._n_threads: int = min(effective_n_jobs(n_jobs), cpu_count())
        windows = None
        if shuffle_window is not None:
            n_ahead = (1 + _BATCHES_AHEAD * self._n_threads) * int(batch_size)
            inputs, targets, windows = in_windows(
                shuffle_window, shuffle, n_ahead, inputs, targets
            )
        self._batches = Batches(inputs, targets, weights, augment)
        self._order = BatchOrder(
            n_samples,
            int(batch_size),
            bool(shuffle),
            secrets.randbits(64) if seed is None else int(seed),
            bool(drop_remainder),
            class_numbers,
            part,
            windows,
        )
        if not len(self):
            raise ValueError(
                f"batch_size={batch_size} is more than the {n_samples} images of X, and "
                "drop_remainder=True leaves no batch. Pass a smaller batch_size."
            )
        refuse_uneven_parts(self._order, self._order.shard[1])
        self._batch_bytes = 0
        self._start_passes(0)

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
            The images, or a dict of the inputs; with `y`, the targets; with `sample_weight`,
            or where images that cannot be read are left blank, also sample weights, float32,
            of shape (batch_size,). Targets of three or more dimensions, such as masks, have a
            weight per pixel, of shape (batch_size, ..., 1); in a dict, one array per target.

        Raises
        ------
        IndexError
            If there is no such batch.
        ImageDecodeError, OSError
            If an image cannot be read, unless the loader has ``on_error="blank"``.
        """
        self._check_index(index)
        current = self._pass_of(find_consumer())
        with parallel_config(backend="threading", n_jobs=self._n_threads):
            batch = current.take(index, self._n_ahead())
        self._batch_bytes = max(self._batch_bytes, batch.n_bytes)
        return batch.parts

    def on_epoch_begin(self) -> None:
        """Start looking ahead again, and refuse calls that this dataset does not support.

        Raises
        ------
        ValueError
            If ``model.predict`` begins, and the order is shuffled, or there is a `shard`; or
            ``fit`` or ``evaluate``, whose loss needs targets, and there are none. On JAX, if
            ``keras.distribution`` needs another `shard`, or batches that devices can share.
        """
        calls = running_calls()
        consumer = find_consumer()
        if calls:
            call, model = calls[0]
            if call == "predict" and self._order.shuffle:
                refuse_to_predict()
            if call == "predict" and self._order.is_shared:
                refuse_to_predict_parts(self._order.shard)
            if call != "predict" and not self._batches.targets.are_there:
                refuse_without_targets(call, model)
            if holds(consumer, self):
                check_distribution(self._order, call, model)
        current = self._pass_of(consumer, is_beginning=True)
        current.begin()
        if len(calls) == 1:  # so other passes of this thread are over, or were given up
            # Another thread may add a pass meanwhile, so the dictionary is not iterated.
            passes = map(self._passes.get, [ref() for ref in self._passes.keyrefs()])
            for other in [self._own_pass, *passes]:
                if other is not None and other is not current:
                    other.forget()

    def on_epoch_end(self) -> None:
        """Take the order of the next epoch, if this one was served in full.

        Keras also calls it at other times, such as before the first pass of every `fit`. The
        passes of `evaluate` and `predict` do not change the epoch.

        Raises
        ------
        ValueError
            If none of the images could be read.

        Warns
        -----
        ImageDecodeWarning
            If some could not be read, and are blank.
        """
        consumer = find_consumer()
        current = self._pass_of(consumer)
        if current.was_passed_over and not has_workers(consumer):
            # A dataset around this one took its batches in threads of its own.
            consumer, current = None, self._own_pass
        is_complete = bool(current.served.all())
        failures = dict(current.failures) if is_complete else {}
        if current.is_probing:  # no epoch, since Keras ends what it begins to look at batches
            current.settle()
            if is_complete:
                current.failures.clear()
        elif is_complete:
            calls = running_calls()
            is_training = not calls or calls[0][0] == "fit"
            if is_training and current.epoch == self._epoch:
                self._begin(self._epoch + 1)
            if consumer is not None:
                self._passes[consumer] = self._new_pass()
            elif current is self._own_pass:
                self._begin(self._epoch)
        if failures:
            taken = np.unique(self._order.taken(current.samples))
            report(Failures(failures), len(taken))

    def resume_callback(self) -> keras.callbacks.Callback:
        """Make a callback that takes the order of the epoch with which `fit` begins.

        Pass it to `fit` in ``callbacks``. Epoch k of Keras then has the order of epoch k,
        also where a new process begins with `initial_epoch`, or where
        ``keras.callbacks.BackupAndRestore`` found a backup.

        Returns
        -------
        keras.callbacks.Callback
            It sets `epoch` when the first epoch of `fit` begins.

        Notes
        -----
        With `steps_per_epoch`, several epochs of Keras make up a pass. If a run stopped in the
        middle of one, `fit` begins this pass again, since Keras begins at its first batch.

        On TensorFlow, Keras takes two batches before it says which epoch it is. If the epoch
        changes, these are decoded for nothing.
        """
        return ResumeOrder(self)

    def rows(self, batch_index: int, epoch: int | None = None) -> NDArray[np.intp]:
        """Return the positions in X of the images in a batch.

        Parameters
        ----------
        batch_index : int
            Number of the batch in its epoch.
        epoch : int or None, default=None
            Number of the epoch, from 0; None means the one that is being served.

        Returns
        -------
        ndarray of shape (batch_size,), dtype intp
            Their positions in X; with `shard`, those of this process alone.

        Raises
        ------
        IndexError
            If there is no such batch.
        TypeError, ValueError
            If `epoch` is not an integer, or below 0.
        """
        self._check_index(batch_index)
        if epoch is not None:
            check_number("epoch", epoch, low=0, integral=True)
        samples = self._own_pass.samples if epoch is None else self._order.draw(int(epoch))
        return samples[self._order.rows(batch_index)]

    def filenames(
        self, batch_index: int, epoch: int | None = None
    ) -> list[str] | dict[str, list[str]]:
        """Tell the names of the files of a batch, to find the cause of a bad prediction.

        Parameters
        ----------
        batch_index : int
            Number of the batch in its epoch.
        epoch : int or None, default=None
            Number of the epoch, from 0; None means the one that is being served.

        Returns
        -------
        list of str, or dict of str to list of str
            The paths as they were passed; for bytes, how many they are; for SavedImages, the
            names that were saved with them. For several inputs, those of each input that has
            names, in a dict. With `shard`, those of this process alone.

        Raises
        ------
        IndexError, ValueError
            If there is no such batch, or epoch.
        TypeError
            If nothing in X has names: it is read by no loader, and is neither LazyImages nor
            SavedImages with `filenames`; or if `epoch` is not an integer.
        """
        rows = self.rows(batch_index, epoch)
        inputs = self._batches.inputs
        several = inputs.columns if isinstance(inputs, NamedColumns) else {"": inputs}
        names = {
            name: found
            for name, column in several.items()
            if (found := column.filenames(rows)) is not None
        }
        if not names:
            raise TypeError(
                "X holds no files that a JpegLoader at the beginning of the pipeline reads, "
                "and no names. Call rows(batch_index) for positions; to keep names in "
                "SavedImages, pass filenames to save_images."
            )
        return names if isinstance(inputs, NamedColumns) else names[""]

    @property
    def classes_(self) -> NDArray[Any] | None:
        """Labels in the order of their numbers; None where labels pass through."""
        return self._batches.targets.classes

    @property
    def batch_size(self) -> int:
        """Number of images in a batch, over all processes."""
        return self._order.batch_size

    @property
    def seed(self) -> int:
        """The seed in use."""
        return self._order.seed

    @property
    def epoch(self) -> int:
        """Number of passes that `fit` took in full."""
        return self._epoch

    @epoch.setter
    def epoch(self, epoch: int) -> None:
        check_number("epoch", epoch, low=0, integral=True)
        self._begin(int(epoch))

    workers = read_only("workers")
    use_multiprocessing = read_only("use_multiprocessing")
    max_queue_size = read_only("max_queue_size")

    def __repr__(self) -> str:
        classes = "" if self.classes_ is None else f" of {len(self.classes_):,} classes"
        shuffle = f"True, seed={self.seed}" if self._order.shuffle else "False"
        shard = f", shard={self._order.shard}" if self._order.is_shared else ""
        return (
            f"PipelineDataset({self._order.n_samples:,} images{classes}, {len(self):,} "
            f"batches of {self.batch_size}, shuffle={shuffle}{shard}, epoch={self.epoch})"
        )

    def __getstate__(self) -> dict[str, Any]:
        state = dict(vars(self))
        # A copy is not what those calls take their batches from, and has its own threads.
        del state["_passes"], state["_threads"]
        own = state.pop("_own_pass")
        # Other threads add to the failures.
        return state | {"_served": own.served.copy(), "_failures": dict(own.failures)}

    def __setstate__(self, state: dict[str, Any]) -> None:
        served, failures = state.pop("_served"), state.pop("_failures")
        self.__dict__.update(state)
        self._start_passes(self._epoch)
        self._own_pass.served = served
        self._own_pass.failures = failures

    def _start_passes(self, epoch: int) -> None:
        """Make what all passes share, and begin the first one."""
        self._threads = Threads(self._n_threads)
        self._passes = WeakKeyDictionary()
        self._begin(epoch)

    def _begin(self, epoch: int) -> None:
        """Make an epoch the current one. Passes that have begun go on in theirs."""
        if "_own_pass" in vars(self):
            self._own_pass.forget()
        self._epoch = epoch
        self._own_pass = self._pass_over(epoch, self._order.draw(epoch))

    def _pass_of(self, consumer: object | None, is_beginning: bool = False) -> Pass:
        """Find the pass of a consumer, or begin one over the current epoch."""
        if consumer is None:
            return self._own_pass
        current = self._passes.get(consumer)
        if current is None:
            current = self._passes[consumer] = self._new_pass(is_probing=True)
        has_begun = current.served.any() and not (is_beginning and current.is_probing)
        if current.epoch != self._epoch and not has_begun:
            current.forget()
            current = self._passes[consumer] = self._new_pass(is_probing=current.is_probing)
        return current

    def _new_pass(self, *, is_probing: bool = False) -> Pass:
        return self._pass_over(self._epoch, self._own_pass.samples, is_probing=is_probing)

    def _pass_over(
        self, epoch: int, samples: NDArray[np.intp], *, is_probing: bool = False
    ) -> Pass:
        return Pass(
            self._make_batch,
            epoch,
            samples,
            len(self),
            self._n_threads,
            self._threads,
            is_probing=is_probing,
        )

    def _n_ahead(self) -> int:
        if not self._batch_bytes:  # before the first batch, its size is unknown
            return 0
        fitting = max(1, _BYTES_AHEAD // self._batch_bytes)
        return min(_BATCHES_AHEAD * self._n_threads, fitting)

    def _check_index(self, index: Any) -> None:
        if not hasattr(index, "__index__"):
            raise TypeError(
                f"index={show_value(index)} is not a batch number. Pass one from 0 to "
                f"{len(self) - 1}; for parts of a dataset, index X and y."
            )
        if not 0 <= index < len(self):
            raise IndexError(
                f"There is no batch {index}: the dataset has {len(self)}. Pass a number from "
                f"0 to {len(self) - 1}."
            )

    def _make_batch(self, epoch: int, samples: NDArray[np.intp], index: int) -> Batch:
        rows = samples[self._order.rows(index)]
        return self._batches.make(rows, partial(self._order.batch_generator, epoch, index))
