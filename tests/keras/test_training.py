"""What a model sees in fit, evaluate and predict, counted within the compiled steps."""

from __future__ import annotations

import os
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    N_ROWS,
    RowCounter,
    counting_model,
    numbered,
    order_of,
    orders_of,
    row_numbers,
    small_model,
    standardised,
    unchanged,
    value_of,
)

N_LONG = 121  # thirty batches of four, and a last one of a single row


class CountsAfterEpochs(keras.callbacks.Callback):
    """Keeps how often the rows were trained and tested on when each epoch ended."""

    def __init__(self, counter: RowCounter) -> None:
        super().__init__()
        self.counter = counter
        self.trained: list[np.ndarray] = []
        self.tested: list[np.ndarray] = []

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        self.trained.append(value_of(self.counter.trained))
        self.tested.append(value_of(self.counter.tested))


def loaded(model: keras.Model, folder: Any) -> tuple[keras.Model, RowCounter]:
    """Save a model before it ran, and load it, compiled."""
    model.build((None, 1, 1, 1))
    model.save(folder / "model.keras")
    again = keras.saving.load_model(
        folder / "model.keras", custom_objects={"RowCounter": RowCounter}
    )
    return again, again.layers[0]


def assert_counts(variable: keras.Variable, n_times: int) -> None:
    """Check that every row came `n_times`."""
    counts = value_of(variable)
    np.testing.assert_array_equal(counts, np.full(len(counts), n_times))


def test_keras_runs_on_the_backend_that_the_environment_names():
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


# Every row once per epoch


@pytest.mark.parametrize(
    ("shuffle", "keras_shuffles"), [(False, False), (True, False), (True, True)]
)
@pytest.mark.parametrize("n_rows", [3, N_LONG])
def test_fit_trains_on_every_row_exactly_once_an_epoch(n_rows, shuffle, keras_shuffles):
    model, counter = counting_model(n_rows)
    watch = CountsAfterEpochs(counter)
    dataset = numbered(n_rows, shuffle=shuffle, seed=0, n_jobs=2)
    model.fit(dataset, epochs=3, shuffle=keras_shuffles, callbacks=[watch], verbose=0)
    np.testing.assert_array_equal(watch.trained, np.outer([1, 2, 3], np.ones(n_rows)))


@pytest.mark.parametrize("is_loaded", [False, True])
def test_thirty_batches_and_a_short_one_come_once_an_epoch_in_training_and_validation(
    is_loaded, tmp_path
):
    model, counter = counting_model(N_LONG)
    if is_loaded:
        model, counter = loaded(model, tmp_path)
    watch = CountsAfterEpochs(counter)
    train = numbered(N_LONG, shuffle=True, seed=0, n_jobs=2)
    validation = numbered(N_LONG, n_jobs=2)
    model.fit(
        train,
        validation_data=validation,
        epochs=2,
        shuffle=False,
        callbacks=[watch],
        verbose=0,
    )
    expected = np.outer([1, 2], np.ones(N_LONG))
    np.testing.assert_array_equal(watch.trained, expected)
    np.testing.assert_array_equal(watch.tested, expected)
    assert (train.epoch, validation.epoch) == (2, 0)  # validation is no training


@pytest.mark.parametrize("is_loaded", [False, True])
def test_evaluate_before_any_training_sees_every_row_once_and_equals_that_of_the_arrays(
    is_loaded, tmp_path
):
    model, counter = counting_model(N_LONG)
    if is_loaded:
        model, counter = loaded(model, tmp_path)
    y = np.random.default_rng(0).normal(size=N_LONG).astype(np.float32)
    results = [model.evaluate(numbered(N_LONG, y=y, n_jobs=2), verbose=0)]
    assert_counts(counter.tested, 1)
    assert_counts(counter.trained, 0)
    results.append(model.evaluate(numbered(N_LONG, y=y, shuffle=True, n_jobs=2), verbose=0))
    assert_counts(counter.tested, 2)
    expected = model.evaluate(row_numbers(N_LONG), y, batch_size=4, verbose=0)
    assert len(expected) == 2  # the loss and the metric
    np.testing.assert_allclose(results, [expected] * 2, rtol=1e-5)


def test_one_dataset_goes_through_evaluate_fit_and_evaluate_again():
    model, counter = counting_model(N_LONG)
    dataset = numbered(N_LONG, n_jobs=2)
    model.evaluate(dataset, verbose=0)
    model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    model.evaluate(dataset, verbose=0)
    assert_counts(counter.trained, 2)
    assert_counts(counter.tested, 2)


@pytest.mark.parametrize(("steps", "epochs"), [(10, 6), (30, 2)])
def test_steps_per_epoch_divide_passes_that_stay_whole(steps, epochs):
    n_rows = 117  # thirty batches, the last one short
    model, counter = counting_model(n_rows)
    dataset = numbered(n_rows, shuffle=True, seed=0, n_jobs=2)
    model.fit(dataset, epochs=epochs, steps_per_epoch=steps, shuffle=False, verbose=0)
    assert_counts(counter.trained, 2)


def test_initial_epoch_trains_for_the_epochs_that_are_left():
    model, counter = counting_model(N_LONG)
    dataset = numbered(N_LONG, shuffle=True, seed=0, n_jobs=2)
    model.fit(dataset, initial_epoch=3, epochs=5, shuffle=False, verbose=0)
    assert_counts(counter.trained, 2)


def test_without_a_remainder_the_rows_left_out_are_new_each_epoch():
    model, counter = counting_model()
    dataset = numbered(shuffle=True, seed=0, drop_remainder=True, n_jobs=2)
    model.fit(dataset, epochs=3, shuffle=False, verbose=0)
    expected = sum(
        np.bincount(
            np.concatenate([dataset.rows(i, epoch) for i in range(3)]), minlength=N_ROWS
        )
        for epoch in range(3)
    )
    np.testing.assert_array_equal(value_of(counter.trained), expected)
    assert expected.sum() == 3 * 12


def test_fit_leaves_the_order_of_a_later_epoch_to_seed_and_epoch_alone():
    trained, by_hand = numbered(shuffle=True, seed=5), numbered(shuffle=True, seed=5)
    model, _ = counting_model()
    model.fit(trained, epochs=2, shuffle=False, verbose=0)
    assert trained.epoch == 2
    assert order_of(trained) == orders_of(by_hand, 3)[2]


# The same as from arrays


def conv_model() -> keras.Model:
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 48, 3)),
            keras.layers.Conv2D(4, 3, strides=4, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9), loss)
    return model


def shuffled_photos(pipeline: Pipeline, files: list[str], **options: Any) -> PipelineDataset:
    labels = ["temple", "flower"] * 12
    return PipelineDataset(
        pipeline, files, labels, batch_size=6, shuffle=True, seed=3, **options
    )


def curve_of(pipeline: Pipeline, files: list[str], n_jobs: int) -> list[float]:
    dataset = shuffled_photos(pipeline, files, n_jobs=n_jobs)
    history = conv_model().fit(dataset, epochs=4, shuffle=False, verbose=0)
    return [float(loss) for loss in history.history["loss"]]


def test_a_run_repeats_exactly_and_equals_one_on_arrays_made_beforehand(
    pipeline, files, pixels
):
    curve = curve_of(pipeline, files, n_jobs=2)
    assert curve_of(pipeline, files, n_jobs=1) == curve

    x = standardised(pixels).astype(np.float32)
    y = np.array([1, 0] * 12)
    order = shuffled_photos(pipeline, files)
    model, expected = conv_model(), []
    for epoch in range(4):
        rows = np.concatenate([order.rows(i, epoch) for i in range(len(order))])
        history = model.fit(x[rows], y[rows], batch_size=6, shuffle=False, verbose=0)
        expected += history.history["loss"]
    assert curve == pytest.approx([float(loss) for loss in expected], rel=1e-5)
    assert len(set(curve)) == 4


def test_a_run_resumed_by_epoch_equals_one_that_was_not_interrupted(tmp_path):
    def dataset() -> PipelineDataset:
        noise = np.random.default_rng(0).normal(size=N_ROWS).astype(np.float32)
        x = row_numbers() / N_ROWS
        return PipelineDataset(unchanged(), x, noise, batch_size=4, shuffle=True, seed=0)

    def model() -> keras.Model:
        layers = [keras.Input((1, 1, 1)), keras.layers.Flatten(), keras.layers.Dense(1)]
        model = keras.Sequential(layers)
        model.set_weights([np.ones((1, 1)), np.zeros(1)])
        model.compile(keras.optimizers.SGD(0.1, momentum=0.9), "mse")
        return model

    whole = model().fit(dataset(), epochs=4, shuffle=False, verbose=0)
    interrupted = model()
    interrupted.fit(dataset(), epochs=2, shuffle=False, verbose=0)
    interrupted.save(tmp_path / "model.keras")
    resumed, rest = keras.saving.load_model(tmp_path / "model.keras"), dataset()
    rest.epoch = 2
    history = resumed.fit(rest, initial_epoch=2, epochs=4, shuffle=False, verbose=0)
    expected = [float(loss) for loss in whole.history["loss"][2:]]
    assert [float(loss) for loss in history.history["loss"]] == pytest.approx(
        expected, rel=1e-6
    )


def test_validation_after_every_epoch_equals_that_of_the_arrays(files, pixels, pipeline):
    y = np.linspace(0, 1, 24, dtype=np.float32)
    x = standardised(pixels).astype(np.float32)
    losses = []
    for validation in (PipelineDataset(pipeline, files, y, batch_size=7), (x, y)):
        keras.utils.set_random_seed(0)
        history = small_model().fit(
            x[:8],
            y[:8],
            epochs=3,
            shuffle=False,
            validation_data=validation,
            validation_batch_size=7 if isinstance(validation, tuple) else None,
            verbose=0,
        )
        losses.append([float(loss) for loss in history.history["val_loss"]])
    assert losses[0] == pytest.approx(losses[1], rel=1e-4)


# Predictions


def identity_model() -> keras.Model:
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten()])
    model.compile(loss="mse")
    return model


@pytest.mark.parametrize("y", [np.zeros(N_LONG), None], ids=["labelled", "unlabelled"])
def test_predict_keeps_the_order_of_the_images(y):
    dataset = numbered(N_LONG, y=y, n_jobs=2)
    for _ in range(2):
        predictions = identity_model().predict(dataset, verbose=0)
        np.testing.assert_array_equal(predictions[:, 0], np.arange(N_LONG))


@pytest.mark.parametrize("n_rows", [3, N_ROWS])
@pytest.mark.parametrize("y", [{}, {"y": None}], ids=["labelled", "unlabelled"])
def test_predict_in_an_order_that_is_shuffled_is_refused(n_rows, y):
    dataset = numbered(n_rows, shuffle=True, **y)
    with pytest.raises(ValueError, match=r"shuffle=True.*make a dataset with shuffle=False"):
        identity_model().predict(dataset, verbose=0)


def test_a_refused_predict_leaves_the_dataset_fit_for_training():
    model, counter = counting_model()
    dataset = numbered(shuffle=True, seed=0)
    model.fit(dataset, shuffle=False, verbose=0)
    with pytest.raises(ValueError, match="shuffle=True"):
        model.predict(dataset, verbose=0)
    model.fit(dataset, shuffle=False, verbose=0)
    assert_counts(counter.trained, 2)
    assert dataset.epoch == 2


def test_a_callback_that_predicts_while_a_shuffled_dataset_trains_keeps_the_order():
    model, counter = counting_model()
    predictions = []

    class Predict(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            predictions.append(identity_model().predict(numbered(), verbose=0))

    dataset = numbered(shuffle=True, seed=0)
    model.fit(dataset, epochs=2, shuffle=False, callbacks=[Predict()], verbose=0)
    np.testing.assert_array_equal(predictions, [np.arange(N_ROWS).reshape(-1, 1)] * 2)
    assert_counts(counter.trained, 2)


@pytest.mark.parametrize("method", ["fit", "evaluate"])
def test_a_callback_of_predict_may_train_and_evaluate_on_a_shuffled_dataset(method):
    model, counter = counting_model()
    dataset = numbered(shuffle=True, seed=0)

    class Run(keras.callbacks.Callback):
        def on_predict_end(self, logs: Any = None) -> None:
            getattr(model, method)(dataset, verbose=0)

    identity_model().predict(numbered(), callbacks=[Run()], verbose=0)
    assert_counts(counter.trained if method == "fit" else counter.tested, 1)


def test_shuffled_validation_data_are_served_whole():
    model, counter = counting_model()
    validation = numbered(shuffle=True, seed=1)
    model.fit(
        numbered(shuffle=True, seed=0),
        validation_data=validation,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    assert_counts(counter.tested, 2)
