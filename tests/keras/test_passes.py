"""Passes: every file is read once in each, and none disturbs another, nor its order."""

from __future__ import annotations

import copy
import gc
import os
import pickle
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from sknorm_images import ChannelMinMaxScaler, make_image_pipeline
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    N_ROWS,
    RowCounter,
    batches_of,
    counting_model,
    linear_model,
    numbered,
    order_of,
    orders_of,
    row_numbers,
    unchanged,
    value_of,
)


class CountedFile(os.PathLike[str]):
    """A path that counts how often it is opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.n_opened = 0

    def __fspath__(self) -> str:
        self.n_opened += 1
        return str(self.path)


@pytest.fixture(scope="module")
def small_photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("counted") / "photo.jpg"
    Image.new("RGB", (8, 8), (200, 100, 50)).save(path)
    return path


class Counted:
    """A dataset of `n_files` counted files."""

    def __init__(self, path: Path, n_files: int, batch_size: int = 10, **options: Any) -> None:
        self.files = [CountedFile(path) for _ in range(n_files)]
        pipeline = make_image_pipeline((4, 4), ChannelMinMaxScaler(data_range=(0, 255)))
        self.dataset = PipelineDataset(
            pipeline, self.files, np.zeros(n_files), batch_size=batch_size, **options
        )

    def reads(self, call: Callable[[], Any]) -> set[int]:
        """Say how often files are opened during a call: a single number if all are alike."""
        for file in self.files:
            file.n_opened = 0
        call()
        return {file.n_opened for file in self.files}


def tiny_model(is_built: bool) -> keras.Model:
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    if is_built:
        model.build((None, 4, 4, 3))
    model.compile("sgd", "mse")
    return model


# Every file once per pass

# One batch, two batches, and more: Keras takes up to two before a pass begins.
each_size = pytest.mark.parametrize(
    ("n_files", "batch_size"), [(20, 20), (20, 10), (64, 8), (200, 32)]
)


@each_size
def test_every_call_reads_every_file_once_per_pass(n_files, batch_size, small_photo):
    train = Counted(small_photo, n_files, batch_size, shuffle=True, seed=0)
    test = Counted(small_photo, n_files, batch_size)
    model = tiny_model(is_built=False)

    def fit(**options: Any) -> None:
        model.fit(train.dataset, shuffle=False, verbose=0, **options)

    def fit_and_validate() -> None:
        assert train.reads(lambda: fit(epochs=2, validation_data=test.dataset)) == {2}

    assert train.reads(lambda: fit(epochs=3)) == {3}
    assert test.reads(fit_and_validate) == {2}
    assert train.reads(lambda: fit(initial_epoch=3, epochs=4)) == {1}
    assert train.dataset.epoch == 6
    train.dataset.epoch = 9
    assert train.reads(fit) == {1}
    assert train.dataset.epoch == 10
    assert test.reads(lambda: model.evaluate(test.dataset, verbose=0)) == {1}
    assert test.reads(lambda: model.predict(test.dataset, verbose=0)) == {1}
    assert test.dataset.epoch == 0


@pytest.mark.parametrize("method", ["evaluate", "predict"])
@pytest.mark.parametrize(("n_files", "batch_size"), [(20, 20), (20, 10), (64, 8)])
def test_a_model_that_is_not_built_yet_reads_every_file_once(
    n_files, batch_size, method, small_photo
):
    counted = Counted(small_photo, n_files, batch_size)
    call = getattr(tiny_model(is_built=False), method)
    assert counted.reads(lambda: call(counted.dataset, verbose=0)) == {1}


def test_steps_that_divide_a_pass_read_every_file_once_in_it(small_photo):
    counted = Counted(small_photo, 60, 10, shuffle=True, seed=0)
    model = tiny_model(is_built=False)

    def fit() -> None:
        model.fit(counted.dataset, epochs=6, steps_per_epoch=2, shuffle=False, verbose=0)

    assert counted.reads(fit) == {2}
    assert counted.dataset.epoch == 2


def test_a_dataset_within_another_reads_every_file_once_and_is_shuffled(small_photo):
    class Doubled(keras.utils.PyDataset):
        """Passes everything on, hooks included, as a dataset of several inputs does."""

        def __len__(self) -> int:
            return len(counted.dataset)

        def __getitem__(self, index: int) -> Any:
            served.append(counted.dataset.rows(index).tolist())
            x, y = counted.dataset[index]
            return x, 2 * y

        def on_epoch_begin(self) -> None:
            counted.dataset.on_epoch_begin()

        def on_epoch_end(self) -> None:
            counted.dataset.on_epoch_end()

    counted = Counted(small_photo, 20, 10, shuffle=True, seed=0)
    served: list[list[int]] = []
    model = tiny_model(is_built=True)
    fit = lambda: model.fit(Doubled(), epochs=3, shuffle=False, verbose=0)  # noqa: E731
    assert counted.reads(fit) == {3}
    assert counted.dataset.epoch == 3
    expected = [counted.dataset.rows(i, epoch).tolist() for epoch in range(3) for i in (0, 1)]
    assert served[-6:] == expected


# A pass belongs to the call that iterates it


class Use(keras.callbacks.Callback):
    """Calls a function after some batch of every epoch, or when an epoch has ended."""

    def __init__(self, function: Callable[[], Any], batch: int | None = None) -> None:
        super().__init__()
        self.function = function
        self.batch = batch
        self.results: list[Any] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        if batch == self.batch:
            self.results.append(self.function())

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        if self.batch is None:
            self.results.append(self.function())


def identity_model() -> keras.Model:
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten()])
    model.compile(loss="mse", metrics=["mae"])
    return model


class OrderKeeper(keras.layers.Layer):
    """Sums what it sees, each row weighted by when it comes, so that orders differ."""

    def __init__(self) -> None:
        super().__init__()
        self.time, self.total = (
            self.add_weight(shape=(), initializer="zeros", trainable=False, name=name)
            for name in ("time", "total")
        )

    def call(self, x: Any, training: bool = False) -> Any:
        rows = keras.ops.reshape(x, (-1, 1))
        if training:
            self.time.assign_add(1.0)
            self.total.assign_add(self.time * keras.ops.sum(rows))
        return rows


def order_seen(*callbacks: keras.callbacks.Callback, train: PipelineDataset) -> float:
    """Train for three epochs, and return a number that tells their orders."""
    keeper = OrderKeeper()
    model = keras.Sequential([keeper, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(train, epochs=3, shuffle=False, callbacks=list(callbacks), verbose=0)
    return float(value_of(keeper.total))


def order_expected(n_epochs: int = 3) -> float:
    dataset = numbered(shuffle=True, seed=0)
    batches = [dataset.rows(i, epoch) for epoch in range(n_epochs) for i in range(4)]
    return float(sum((time + 1) * rows.sum() for time, rows in enumerate(batches)))


@pytest.mark.parametrize("batch", [0, 1, 3, None], ids=lambda batch: f"after {batch}")
def test_evaluating_on_the_training_data_within_a_pass_leaves_the_order_alone(batch):
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    judge = identity_model()
    use = Use(lambda: judge.evaluate(train, verbose=0), batch)
    assert order_seen(use, train=train) == order_expected()
    assert train.epoch == 3
    np.testing.assert_allclose(use.results, np.zeros((3, 2)))


def test_training_data_that_also_validate_keep_their_order_and_count_epochs_once():
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    model, counter = counting_model()
    model.fit(train, validation_data=train, epochs=3, shuffle=False, verbose=0)
    assert train.epoch == 3
    for counts in (counter.trained, counter.tested):
        np.testing.assert_array_equal(value_of(counts), np.full(N_ROWS, 3))
    assert order_of(train) == orders_of(numbered(shuffle=True, seed=0), 4)[3]


@pytest.mark.parametrize("index", [0, 2])
def test_taking_a_batch_in_a_callback_leaves_the_pass_alone(index):
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    foretold = [train.rows(index, epoch).tolist() for epoch in range(3)]
    use = Use(lambda: train[index][1].tolist(), batch=1)
    assert order_seen(use, train=train) == order_expected()
    assert use.results == foretold


@pytest.mark.parametrize("event", ["on_epoch_begin", "on_train_batch_end"])
def test_a_function_that_keras_calls_back_takes_batches_of_the_current_epoch(event):
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    taken: dict[int, list[float]] = {}
    take = lambda *_, **__: taken.update({train.epoch: train[0][1].tolist()})  # noqa: E731
    callback = keras.callbacks.LambdaCallback(**{event: take})
    assert order_seen(callback, train=train) == order_expected()
    assert taken == {epoch: train.rows(0, epoch).tolist() for epoch in range(3)}


def test_a_generator_around_the_dataset_takes_every_row_once_in_each_order():
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    served: list[list[float]] = []

    def batches() -> Iterator[Any]:
        while True:
            for i in range(len(train)):
                x, y = train[i]
                served.append(y.tolist())
                yield x, y
            train.on_epoch_end()

    model, _ = counting_model()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "`shuffle=True` was passed")
        model.fit(batches(), epochs=3, steps_per_epoch=len(train), verbose=0)
    n_epochs = len(served) // 4
    assert n_epochs >= 3
    orders = [sum(served[i : i + 4], []) for i in range(0, 4 * n_epochs, 4)]  # noqa: RUF017
    assert orders == orders_of(numbered(shuffle=True, seed=0), n_epochs)


@pytest.mark.parametrize("n_rows", [4, 13])
def test_a_dataset_that_takes_batches_in_threads_of_its_own_gets_a_new_order_each_epoch(
    n_rows,
):
    class Threaded(keras.utils.PyDataset):
        def __len__(self) -> int:
            return len(train)

        def __getitem__(self, index: int) -> Any:
            with ThreadPoolExecutor(1) as pool:
                return pool.submit(train.__getitem__, index).result()

        def on_epoch_begin(self) -> None:
            train.on_epoch_begin()

        def on_epoch_end(self) -> None:
            train.on_epoch_end()

    train = numbered(n_rows, shuffle=True, seed=0, n_jobs=2)
    model, counter = counting_model(n_rows)
    model.fit(Threaded(), epochs=3, shuffle=False, verbose=0)
    np.testing.assert_array_equal(value_of(counter.trained), np.full(n_rows, 3))
    assert train.epoch == 3


def test_training_another_model_within_a_pass_serves_every_row_once_per_pass_to_both():
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    inner, inner_counter = counting_model()
    use = Use(lambda: inner.fit(train, epochs=2, shuffle=False, verbose=0), batch=1)
    model, counter = counting_model()
    model.fit(train, epochs=2, shuffle=False, callbacks=[use], verbose=0)
    np.testing.assert_array_equal(value_of(counter.trained), np.full(N_ROWS, 2))
    np.testing.assert_array_equal(value_of(inner_counter.trained), np.full(N_ROWS, 4))


def test_evaluating_within_a_pass_reads_every_file_once_more(small_photo):
    counted = Counted(small_photo, 64, 8, shuffle=True, seed=0)
    model, judge = tiny_model(is_built=True), tiny_model(is_built=True)
    use = Use(lambda: judge.evaluate(counted.dataset, verbose=0), batch=3)

    def fit() -> None:
        model.fit(counted.dataset, epochs=2, shuffle=False, callbacks=[use], verbose=0)

    assert counted.reads(fit) == {2 + 2}


def test_a_pass_that_was_given_up_is_begun_again_by_the_next_fit():
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            self.model.stop_training = batch == 1

    train = numbered(40, shuffle=True, seed=0, n_jobs=2)
    model, _ = counting_model(40)
    model.fit(train, epochs=2, shuffle=False, callbacks=[Stop()], verbose=0)
    assert train.epoch == 0
    model, counter = counting_model(40)
    model.fit(train, epochs=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(value_of(counter.trained), np.full(40, 2))
    assert train.epoch == 2


def test_a_copy_that_is_made_within_a_pass_begins_the_same_epoch():
    train = numbered(shuffle=True, seed=0, n_jobs=2)
    use = Use(lambda: pickle.loads(pickle.dumps(train)), batch=1)
    assert order_seen(use, train=train) == order_expected()
    orders = orders_of(numbered(shuffle=True, seed=0), 3)
    assert [order_of(again) for again in use.results] == orders


@pytest.mark.one_backend
@pytest.mark.one_version  # it depends on what Keras itself keeps
def test_passes_of_calls_that_are_over_are_not_kept():
    dataset = numbered()
    for _ in range(3):
        identity_model().evaluate(dataset, verbose=0)
    for _ in range(10):  # threads of Keras may still be ending
        gc.collect()
        if not dataset._passes:
            break
        time.sleep(0.1)
    assert len(dataset._passes) == 0


# Restarts


def noisy_rows() -> PipelineDataset:
    noise = np.random.default_rng(0).normal(size=N_ROWS).astype(np.float32)
    return PipelineDataset(
        unchanged(), row_numbers() / N_ROWS, noise, batch_size=4, shuffle=True, seed=0
    )


def weights_after(
    model: keras.Model, train: PipelineDataset, *callbacks: Any, **options: Any
) -> np.ndarray:
    callbacks = list(callbacks)
    model.fit(train, shuffle=False, callbacks=callbacks, verbose=0, **options)
    return np.concatenate([weight.ravel() for weight in model.get_weights()])


class Crash(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch == 3:
            raise InterruptedError


@pytest.mark.parametrize(
    ("steps", "first_epoch", "n_passes"),
    [(None, 3, [6, 3]), (2, 4, [3, 1])],
    ids=["whole passes", "two epochs a pass"],
)
def test_a_restarted_run_ends_as_one_that_was_not_interrupted(
    steps, first_epoch, n_passes, tmp_path
):
    whole = weights_after(linear_model(), noisy_rows(), epochs=6, steps_per_epoch=steps)
    model = linear_model()
    weights_after(model, noisy_rows(), epochs=first_epoch, steps_per_epoch=steps)
    backup = model.get_weights()
    for resumed, passes in zip((True, False), n_passes, strict=True):
        model.set_weights(backup)
        train = noisy_rows()
        weights = weights_after(
            model,
            train,
            *[train.resume_callback()] * resumed,
            initial_epoch=first_epoch,
            epochs=6,
            steps_per_epoch=steps,
        )
        assert (np.abs(weights - whole).max() < 1e-6) == resumed
        assert train.epoch == passes


def test_a_run_that_crashes_resumes_from_its_backup_in_the_right_order(tmp_path):
    def run(*callbacks: keras.callbacks.Callback) -> np.ndarray:
        train = noisy_rows()  # as in a new process
        backup = keras.callbacks.BackupAndRestore(tmp_path)
        callbacks = (*callbacks, train.resume_callback(), backup)
        return weights_after(linear_model(), train, *callbacks, epochs=5)

    with pytest.raises(InterruptedError):
        run(Crash())
    whole = weights_after(linear_model(), noisy_rows(), epochs=5)
    np.testing.assert_allclose(run(), whole, rtol=0, atol=1e-6)


def test_every_fit_with_the_callback_begins_with_the_same_order():
    train, results = noisy_rows(), []
    callback = train.resume_callback()
    for _ in range(2):  # as a tuner's trials do, which copy callbacks
        results.append(weights_after(linear_model(), train, copy.deepcopy(callback), epochs=3))
    np.testing.assert_array_equal(*results)
    assert train.epoch == 3


# Keras' own callbacks, and a tuner


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of TensorBoard
def test_the_usual_callbacks_in_one_run_read_every_file_once_per_epoch(small_photo, tmp_path):
    train = Counted(small_photo, 40, 8, shuffle=True, seed=0)
    test = Counted(small_photo, 20, 8)
    model = tiny_model(is_built=True)
    never = {"monitor": "val_loss", "min_delta": 1e9}  # no epoch is better than the first
    callbacks = [
        train.dataset.resume_callback(),
        keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        keras.callbacks.ModelCheckpoint(tmp_path / "after_{epoch}.keras"),
        keras.callbacks.EarlyStopping(patience=3, restore_best_weights=True, **never),
        keras.callbacks.ReduceLROnPlateau(patience=1, factor=0.5, **never),
    ]
    if has_tensorboard := all(find_spec(name) for name in ("tensorflow", "tensorboard")):
        logs = keras.callbacks.TensorBoard(tmp_path / "logs", histogram_freq=1)
        callbacks.append(logs)

    def fit() -> None:
        model.fit(
            train.dataset,
            validation_data=test.dataset,
            epochs=30,
            shuffle=False,
            callbacks=callbacks,
            verbose=0,
        )

    start, numbers = float(model.optimizer.learning_rate), []
    assert test.reads(lambda: numbers.append(train.reads(fit))) == {4}
    assert numbers == [{4}]
    assert train.dataset.epoch == 4
    assert sorted(path.name for path in tmp_path.glob("after_*")) == [
        f"after_{epoch}.keras" for epoch in (1, 2, 3, 4)
    ]
    first = keras.saving.load_model(tmp_path / "after_1.keras")
    for weight, best in zip(model.get_weights(), first.get_weights(), strict=True):
        np.testing.assert_array_equal(weight, best)
    assert float(model.optimizer.learning_rate) == pytest.approx(start * 0.5**3)
    events = [path.parent.name for path in (tmp_path / "logs").rglob("events*")]
    assert sorted(events) == ["train", "validation"] * has_tensorboard


@pytest.mark.filterwarnings("ignore")  # of the tuner, about its own future
def test_trials_of_keras_tuner_see_the_same_orders(tmp_path):
    keras_tuner = pytest.importorskip("keras_tuner")
    train = numbered(shuffle=True, seed=0)
    keepers: list[OrderKeeper] = []

    def build(hp: Any) -> keras.Model:
        keepers.append(OrderKeeper())
        model = keras.Sequential([keepers[-1], keras.layers.Dense(1)])
        model.compile(keras.optimizers.SGD(hp.Choice("rate", [0.1, 0.01, 0.001])), "mse")
        return model

    tuner = keras_tuner.GridSearch(
        build, keras_tuner.Objective("loss", "min"), directory=tmp_path
    )
    tuner.search(
        train, epochs=3, shuffle=False, callbacks=[train.resume_callback()], verbose=0
    )
    totals = [float(value_of(keeper.total)) for keeper in keepers if keeper.built]
    assert totals == [order_expected(3)] * 3


# Targets that a loss needs


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_loss_without_targets_is_refused_with_the_way_out(method):
    with pytest.raises(ValueError, match=rf"no targets, and {method} needs.*Pass y"):
        getattr(linear_model(), method)(numbered(y=None), verbose=0)


def test_validation_data_without_targets_are_refused():
    with pytest.raises(ValueError, match="no targets, and evaluate needs"):
        linear_model().fit(numbered(), validation_data=numbered(y=None), verbose=0)


def test_a_model_that_computes_its_own_loss_takes_images_alone():
    class Own(keras.Sequential):
        def compute_loss(self, x: Any, *others: Any, **options: Any) -> Any:
            return keras.ops.mean(self(x) ** 2)

    model = Own([RowCounter(N_ROWS), keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    model.fit(numbered(y=None), epochs=1, shuffle=False, verbose=0)
    np.testing.assert_array_equal(value_of(model.layers[0].trained), np.ones(N_ROWS))


# What a dataset says of itself


@pytest.mark.one_backend
def test_a_dataset_shows_its_size_and_order():
    assert repr(numbered()) == (
        "PipelineDataset(13 images, 4 batches of 4, shuffle=False, epoch=0)"
    )
    dataset = numbered(1200, shuffle=True, seed=7)
    dataset.epoch = 2
    assert repr(dataset) == (
        "PipelineDataset(1,200 images, 300 batches of 4, shuffle=True, seed=7, epoch=2)"
    )
    assert repr(numbered(y=["cat", "dog"] * 6 + ["cat"])).startswith(
        "PipelineDataset(13 images of 2 classes, 4 batches of 4, "
    )


@pytest.mark.one_backend
@pytest.mark.parametrize("index", [slice(0, 2), [0, 1], 1.0, "0", None])
def test_what_is_not_the_number_of_a_batch_is_refused(index):
    with pytest.raises(TypeError, match=r"is not a batch number.*index X and y"):
        numbered()[index]


@pytest.mark.one_backend
def test_a_batch_is_asked_for_by_any_kind_of_integer():
    assert numbered()[np.int64(1)][1].tolist() == [4, 5, 6, 7]
    assert len(batches_of(numbered())) == 4
