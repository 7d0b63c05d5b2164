"""The Keras adapter: what a model sees, against Pillow, NumPy, scikit-learn and Keras."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, LabelEncoder, StandardScaler

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from sknorm_images.keras import PipelineDataset, normalization_layer

N_ROWS = 13  # four batches of four, the last one of a single row
LABELS = ["temple", "flower", "bridge"]


def standardised(pixels: np.ndarray) -> np.ndarray:
    flat = pixels.reshape(-1, 3).astype(np.float64)
    return (pixels - flat.mean(axis=0)) / flat.std(axis=0)


@pytest.fixture(scope="module")
def pipeline(files: list[str]) -> Pipeline:
    """A pipeline fitted on `files`, whose pixels are those of the fixture `pixels`."""
    pipeline = make_image_pipeline((32, 48), n_jobs=2)
    return pipeline.set_params(resize__reducing_gap=None).fit(files)


def row_numbers(n_rows: int = N_ROWS) -> np.ndarray:
    """Images of one pixel whose value is the number of their row."""
    return np.arange(n_rows, dtype=np.float32).reshape(-1, 1, 1, 1)


def numbered(n_rows: int = N_ROWS, batch_size: int = 4, **options: Any) -> PipelineDataset:
    """A dataset whose images and labels are row numbers."""
    scaler = ChannelStandardScaler(mean=0, std=1)  # changes no value, and needs no fit
    rows = np.arange(n_rows, dtype=np.float32)
    return PipelineDataset(scaler, row_numbers(n_rows), rows, batch_size=batch_size, **options)


def order_of(dataset: PipelineDataset) -> list[int]:
    """Serve all batches, and say in which order the rows came."""
    batches = [dataset[i] for i in range(len(dataset))]
    for x, y in batches:
        np.testing.assert_array_equal(x.ravel(), y)  # images and labels stay together
    return [int(row) for x, _ in batches for row in x.ravel()]


def orders_of(dataset: PipelineDataset, n_epochs: int) -> list[list[int]]:
    orders = []
    for _ in range(n_epochs):
        orders.append(order_of(dataset))
        dataset.on_epoch_end()
    return orders


def value_of(variable: keras.Variable) -> np.ndarray:
    return keras.ops.convert_to_numpy(keras.ops.copy(variable))


class RowCounter(keras.layers.Layer):
    """Counts how often each row was trained on, inside the compiled training step."""

    def __init__(self, n_rows: int) -> None:
        super().__init__()
        self.n_rows = n_rows
        self.counts = self.add_weight(shape=(n_rows,), initializer="zeros", trainable=False)

    def call(self, x: Any, training: bool = False) -> Any:
        rows = keras.ops.reshape(x, (-1,))
        if training:
            seen = keras.ops.one_hot(keras.ops.cast(rows, "int32"), self.n_rows)
            self.counts.assign_add(keras.ops.sum(seen, axis=0))
        return keras.ops.reshape(rows, (-1, 1))


def counting_model(n_rows: int = N_ROWS) -> tuple[keras.Model, RowCounter]:
    counter = RowCounter(n_rows)
    model = keras.Sequential([counter, keras.layers.Dense(1)])
    model.compile("sgd", "mse")
    return model, counter


def identity_model() -> keras.Model:
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten()])
    model.compile(loss="mse")
    return model


def small_model() -> keras.Model:
    model = keras.Sequential(
        [
            keras.Input((32, 48, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model


def test_keras_runs_on_the_backend_that_the_environment_names():
    assert keras.backend.backend() == os.environ["KERAS_BACKEND"]


# Batches


def test_batches_are_consecutive_rows_of_the_normalised_photos(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline, files, np.arange(24), batch_size=10)
    expected = standardised(pixels)
    assert len(dataset) == 3
    for i, rows in enumerate((slice(0, 10), slice(10, 20), slice(20, 24))):
        x, y = dataset[i]
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, expected[rows], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(y, np.arange(24)[rows])


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [(12, 4, [4, 4, 4]), (13, 4, [4, 4, 4, 1]), (3, 4, [3]), (3, 1, [1, 1, 1])],
)
def test_only_the_last_batch_is_short(n_rows, batch_size, sizes):
    dataset = numbered(n_rows, batch_size)
    assert len(dataset) == len(sizes)
    assert [len(dataset[i][0]) for i in range(len(dataset))] == sizes


def test_32_is_the_batch_size_of_keras_and_the_default():
    scaler = ChannelStandardScaler(mean=0, std=1)
    dataset = PipelineDataset(scaler, row_numbers(70))
    assert [len(dataset[i]) for i in range(len(dataset))] == [32, 32, 6]


@pytest.mark.parametrize("index", [-1, 4, 100])
def test_a_batch_that_does_not_exist_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"no batch {index} among 4 batches"):
        numbered()[index]


def test_without_y_a_batch_is_images_alone(files, pipeline):
    x = PipelineDataset(pipeline, files, batch_size=5)[0]
    assert isinstance(x, np.ndarray)
    assert x.shape == (5, 32, 48, 3)


def as_paths(files: list[str]) -> Any:
    return files


def as_path_objects(files: list[str]) -> Any:
    return [Path(file) for file in files]


def as_bytes(files: list[str]) -> Any:
    return [Path(file).read_bytes() for file in files]


def as_array(files: list[str]) -> Any:
    return np.array(files)


def as_series(files: list[str]) -> Any:
    # train_test_split leaves such an index: labels that are not positions.
    return pd.Series(files, index=range(100, 100 - len(files), -1))


@pytest.mark.parametrize("kind", [as_paths, as_path_objects, as_bytes, as_array, as_series])
def test_photos_come_as_paths_or_bytes_in_any_container(kind, files, pixels, pipeline):
    dataset = PipelineDataset(pipeline, kind(files), batch_size=7)
    x = np.concatenate([dataset[i] for i in range(len(dataset))])
    np.testing.assert_allclose(x, standardised(pixels), rtol=0, atol=1e-5)


def test_a_pipeline_within_a_pipeline_takes_a_series_by_position(files, pixels, pipeline):
    nested = make_pipeline(pipeline, FunctionTransformer())
    dataset = PipelineDataset(nested, as_series(files), batch_size=7)
    x = np.concatenate([dataset[i] for i in range(len(dataset))])
    np.testing.assert_allclose(x, standardised(pixels), rtol=0, atol=1e-5)


def test_lazy_images_go_through_a_lone_scaler(files, pixels, pipeline):
    images = pipeline[:-1].transform(files)
    dataset = PipelineDataset(pipeline[-1], images, batch_size=7)
    np.testing.assert_allclose(dataset[1], standardised(pixels)[7:14], rtol=0, atol=1e-5)


def test_arrays_go_through_a_lone_scaler(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    dataset = PipelineDataset(scaler, pixels, batch_size=7)
    np.testing.assert_allclose(dataset[3], standardised(pixels)[21:], rtol=0, atol=1e-5)


def test_the_first_steps_of_a_pipeline_serve_uint8_pixels(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline[:-1], files, batch_size=7)
    x = np.concatenate([dataset[i] for i in range(len(dataset))])
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, pixels)


# What a model sees


@pytest.mark.parametrize("keras_shuffles", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("n_rows", [3, 7, N_ROWS])  # one batch, two, four
def test_fit_trains_on_every_row_exactly_once_an_epoch(n_rows, shuffle, keras_shuffles):
    model, counter = counting_model(n_rows)
    after_epoch = []

    class Watch(keras.callbacks.Callback):
        def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
            after_epoch.append(value_of(counter.counts))

    dataset = numbered(n_rows, shuffle=shuffle, seed=0)
    model.fit(dataset, epochs=3, shuffle=keras_shuffles, callbacks=[Watch()], verbose=0)
    for epoch, counts in enumerate(after_epoch, start=1):
        np.testing.assert_array_equal(counts, np.full(n_rows, epoch))
    assert len(after_epoch) == 3


def test_epochs_cut_short_by_steps_per_epoch_add_up_to_whole_passes():
    model, counter = counting_model()
    dataset = numbered(shuffle=True, seed=0)
    model.fit(dataset, epochs=4, steps_per_epoch=2, shuffle=False, verbose=0)
    np.testing.assert_array_equal(value_of(counter.counts), np.full(N_ROWS, 2))


def test_fit_leaves_the_order_of_a_later_epoch_to_seed_and_epoch_alone():
    trained, by_hand = numbered(shuffle=True, seed=5), numbered(shuffle=True, seed=5)
    model, _ = counting_model()
    model.fit(trained, epochs=2, shuffle=False, verbose=0)
    assert trained.epoch == 2
    assert order_of(trained) == orders_of(by_hand, 3)[2]


@pytest.mark.parametrize("batch_size", [5, 24])
def test_evaluate_right_after_compile_equals_that_of_the_arrays(
    batch_size, files, pixels, pipeline
):
    keras.utils.set_random_seed(0)
    model = small_model()
    y = np.linspace(0, 1, 24, dtype=np.float32)
    dataset = PipelineDataset(pipeline, files, y, batch_size=batch_size)
    x = standardised(pixels).astype(np.float32)
    expected = np.mean((keras.ops.convert_to_numpy(model(x))[:, 0] - y) ** 2)
    for _ in range(2):
        assert model.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-4)


def test_validation_after_every_epoch_equals_that_of_the_arrays(files, pixels, pipeline):
    keras.utils.set_random_seed(0)
    y = np.linspace(0, 1, 24, dtype=np.float32)
    x = standardised(pixels).astype(np.float32)
    histories = []
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
        histories.append(history.history["val_loss"])
    assert histories[0] == pytest.approx(histories[1], rel=1e-4)


@pytest.mark.parametrize("labelled", [False, True])
def test_predict_keeps_the_order_of_the_images(labelled):
    scaler = ChannelStandardScaler(mean=0, std=1)
    y = np.zeros(N_ROWS) if labelled else None
    dataset = PipelineDataset(scaler, row_numbers(), y, batch_size=4)
    predictions = identity_model().predict(dataset, verbose=0)
    np.testing.assert_array_equal(predictions[:, 0], np.arange(N_ROWS))


def test_class_weight_of_fit_reaches_the_loss():
    scaler = ChannelStandardScaler(mean=0, std=1)
    y = np.array([0, 1] * 4)
    x = np.ones((8, 1, 1, 1), np.float32)
    doing_nothing = keras.layers.Dense(1, use_bias=False, kernel_initializer="ones")
    model = keras.Sequential([keras.layers.Flatten(), doing_nothing])
    model.compile("sgd", "mse")
    dataset = PipelineDataset(scaler, x, y, batch_size=8)
    history = model.fit(dataset, class_weight={0: 3.0, 1: 1.0}, verbose=0)
    # The squared error is 1 for class 0 and 0 for class 1; Keras divides by the 8 rows.
    assert history.history["loss"][0] == pytest.approx(3 * 4 / 8, rel=1e-5)


# The order


def test_without_shuffle_every_epoch_has_the_order_given():
    assert orders_of(numbered(), 2) == [list(range(N_ROWS))] * 2


def test_shuffling_serves_every_row_once_in_an_order_new_to_each_epoch():
    orders = orders_of(numbered(shuffle=True, seed=0), 5)
    assert all(sorted(order) == list(range(N_ROWS)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(N_ROWS)]}) == 6


def test_shuffling_moves_rows_between_batches():
    orders = orders_of(numbered(shuffle=True, seed=0), 2)
    assert set(orders[0][:4]) != set(orders[1][:4])


def test_two_datasets_of_one_seed_share_their_orders():
    a, b = (orders_of(numbered(shuffle=True, seed=7), 4) for _ in range(2))
    assert a == b


def test_another_seed_is_another_order():
    a, b = (order_of(numbered(shuffle=True, seed=seed)) for seed in (1, 2))
    assert a != b


def test_a_seed_that_was_drawn_can_be_used_again():
    drawn = numbered(shuffle=True)
    again = numbered(shuffle=True, seed=drawn.seed)
    assert isinstance(drawn.seed, int)
    assert orders_of(drawn, 3) == orders_of(again, 3)
    assert numbered(shuffle=True).seed != drawn.seed


def test_the_order_ignores_the_global_random_state():
    orders = []
    for state in (0, 1):
        keras.utils.set_random_seed(state)
        orders.append(order_of(numbered(shuffle=True, seed=3)))
    assert orders[0] == orders[1]


def test_a_batch_can_be_asked_for_again_and_in_any_order():
    dataset = numbered(shuffle=True, seed=0)
    forth = [dataset[i][1].tolist() for i in range(4)]
    back = [dataset[i][1].tolist() for i in reversed(range(4))]
    assert back[::-1] == forth


@pytest.mark.parametrize("served", [(), (0,), (0, 1, 2)])
def test_an_epoch_end_before_the_last_batch_changes_nothing(served):
    dataset, whole = numbered(shuffle=True, seed=0), numbered(shuffle=True, seed=0)
    for i in served:
        dataset[i]
    dataset.on_epoch_end()
    assert dataset.epoch == 0
    assert order_of(dataset) == order_of(whole)


def test_a_second_epoch_end_changes_nothing():
    dataset, once = numbered(shuffle=True, seed=0), numbered(shuffle=True, seed=0)
    orders_of(dataset, 1)
    dataset.on_epoch_end()
    assert dataset.epoch == 1
    assert order_of(dataset) == orders_of(once, 2)[1]


# Labels


def labels_of(y: Any, **options: Any) -> tuple[np.ndarray, PipelineDataset]:
    scaler = ChannelStandardScaler(mean=0, std=1)
    dataset = PipelineDataset(scaler, row_numbers(len(y)), y, batch_size=4, **options)
    return np.concatenate([dataset[i][1] for i in range(len(dataset))]), dataset


@pytest.mark.parametrize(
    "container",
    [list, np.array, lambda y: np.array(y, object), lambda y: pd.Series(y, range(9, 2, -1))],
    ids=["list", "str", "object", "series"],
)
def test_auto_numbers_strings_as_scikit_learn_does(container):
    y = ["temple", "flower", "bridge", "flower", "temple", "temple", "bridge"]
    numbers, dataset = labels_of(container(y))
    encoder = LabelEncoder()
    np.testing.assert_array_equal(numbers, encoder.fit_transform(y))
    np.testing.assert_array_equal(dataset.classes_, encoder.classes_)
    assert numbers.dtype.kind == "i"


@pytest.mark.parametrize(
    "y",
    [
        np.array([3, 7, 3, 5, 7]),
        np.array([0.5, -1.25, 3.0, 0.0, 2.0], np.float32),
        np.array([True, False, True, True, False]),
        np.arange(10.0).reshape(5, 2),
        np.eye(5, dtype=np.float32),
        np.arange(60, dtype=np.uint8).reshape(5, 2, 2, 3),
    ],
    ids=["integers", "regression", "bool", "two targets", "one-hot", "masks"],
)
def test_auto_passes_numbers_through_untouched(y):
    labels, dataset = labels_of(y)
    np.testing.assert_array_equal(labels, y, strict=True)
    assert dataset.classes_ is None


def test_int_numbers_any_labels_from_zero():
    y = np.array([30, 10, 20, 30, 10])
    numbers, dataset = labels_of(y, label_mode="int")
    np.testing.assert_array_equal(numbers, [2, 0, 1, 2, 0])
    np.testing.assert_array_equal(dataset.classes_, [10, 20, 30])


@pytest.mark.parametrize(
    "y", [["b", "a", "c", "a", "b"], [1, 0, 2, 0, 1], [20, 10, 30, 10, 20]]
)
def test_categorical_equals_to_categorical_of_keras(y):
    one_hot, _ = labels_of(y, label_mode="categorical")
    expected = keras.utils.to_categorical([1, 0, 2, 0, 1], 3)
    np.testing.assert_array_equal(one_hot, expected)
    assert one_hot.dtype == np.float32


@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical"])
def test_labels_stay_with_their_images_when_shuffled(label_mode):
    scaler = ChannelStandardScaler(mean=0, std=1)
    names = np.array(LABELS)[np.arange(N_ROWS) % 3]
    dataset = PipelineDataset(
        scaler, row_numbers(), names, shuffle=True, seed=1, label_mode=label_mode
    )
    x, y = dataset[0]
    numbers = y.argmax(axis=1) if label_mode == "categorical" else y
    np.testing.assert_array_equal(dataset.classes_[numbers], names[x.ravel().astype(int)])


@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical"])
def test_classes_of_the_training_data_number_validation_data_that_lack_one(label_mode):
    train = labels_of(["temple", "flower", "bridge"])[1]
    numbers, dataset = labels_of(
        ["temple", "bridge"], label_mode=label_mode, classes=train.classes_
    )
    expected = [2, 0]
    if label_mode == "categorical":
        expected = keras.utils.to_categorical(expected, 3)
    np.testing.assert_array_equal(numbers, expected)
    np.testing.assert_array_equal(dataset.classes_, train.classes_)


def test_classes_are_numbered_in_the_order_given():
    numbers, dataset = labels_of(["a", "c", "b", "a"], classes=["c", "a", "b"])
    np.testing.assert_array_equal(numbers, [1, 0, 2, 1])
    assert dataset.classes_.tolist() == ["c", "a", "b"]


def test_classes_number_numeric_labels_too():
    numbers, _ = labels_of([5, 9, 5], classes=[9, 7, 5])
    np.testing.assert_array_equal(numbers, [2, 0, 2])


@pytest.mark.parametrize("stranger", ["aardvark", "church", "zebra"])
def test_a_label_that_is_not_among_the_classes_is_named(stranger):
    with pytest.raises(ValueError, match=f"{stranger}.*not among the classes.*temple"):
        labels_of(["temple", stranger], classes=LABELS)


# What is refused


@pytest.mark.parametrize(
    "unfitted",
    [make_image_pipeline(8), ChannelStandardScaler(), ChannelMinMaxScaler()],
    ids=["pipeline", "standard", "minmax"],
)
def test_an_unfitted_pipeline_is_refused_at_once(unfitted, files):
    with pytest.raises(NotFittedError):
        PipelineDataset(unfitted, files)


@pytest.mark.parametrize("n_labels", [0, 12, 14])
def test_lengths_that_differ_are_refused(n_labels):
    scaler = ChannelStandardScaler(mean=0, std=1)
    with pytest.raises(ValueError, match=f"X has 13 samples and y has {n_labels}"):
        PipelineDataset(scaler, row_numbers(), np.zeros(n_labels))


def test_no_images_are_refused(pipeline):
    with pytest.raises(ValueError, match="X is empty"):
        PipelineDataset(pipeline, [])


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_size_below_one_is_refused(batch_size):
    with pytest.raises(ValueError, match=f"batch_size={batch_size}"):
        numbered(batch_size=batch_size)


@pytest.mark.parametrize("batch_size", [2.5, "4", None])
def test_a_batch_size_that_is_no_integer_is_refused(batch_size):
    with pytest.raises((TypeError, ValueError), match="batch_size"):
        numbered(batch_size=batch_size)


@pytest.mark.parametrize("label_mode", ["sparse", "", 1])
def test_an_unknown_label_mode_is_refused(label_mode):
    with pytest.raises(ValueError, match=r"label_mode=.*'auto', 'int', 'categorical'"):
        numbered(label_mode=label_mode)


@pytest.mark.parametrize("label_mode", ["int", "categorical"])
def test_labels_of_two_dimensions_cannot_be_numbered(label_mode):
    with pytest.raises(ValueError, match=r"y is of shape \(5, 2\)"):
        labels_of(np.zeros((5, 2)), label_mode=label_mode)


# Files that cannot be read


@pytest.fixture(scope="module")
def broken(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """12 paths of which 1 (missing) and 4 to 7 (no images) cannot be read."""
    folder = tmp_path_factory.mktemp("broken")
    paths = list(files[:12])
    paths[1] = str(folder / "missing.jpg")
    for i in range(4, 8):
        path = folder / f"broken_{i}.jpg"
        path.write_bytes(b"not a photo")
        paths[i] = str(path)
    return paths


BAD = [1, 4, 5, 6, 7]


@pytest.fixture(scope="module")
def blank_pipeline(files: list[str]) -> Pipeline:
    pipeline = make_image_pipeline((32, 48), on_error="blank")
    return pipeline.set_params(resize__reducing_gap=None).fit(files)


def warnings_of(records: Any) -> list[ImageDecodeWarning]:
    assert all(record.category is ImageDecodeWarning for record in records)
    return [record.message for record in records]


def test_an_unreadable_file_stops_the_batch_by_default(broken, pipeline):
    dataset = PipelineDataset(pipeline, broken, batch_size=4)
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        dataset[0]
    with pytest.raises(ImageDecodeError, match=r"broken_4\.jpg"):
        dataset[1]
    assert dataset[2].shape == (4, 32, 48, 3)


def test_blank_files_become_zeros_of_weight_zero(broken, pixels, blank_pipeline):
    dataset = PipelineDataset(blank_pipeline, broken, np.arange(12), batch_size=4)
    batches = [dataset[i] for i in range(3)]
    x, y, weights = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    expected = standardised(pixels)[:12]
    expected[BAD] = 0
    np.testing.assert_allclose(x, expected, rtol=0, atol=1e-5)
    np.testing.assert_array_equal(weights, [i not in BAD for i in range(12)])
    np.testing.assert_array_equal(y, np.arange(12))


def test_blank_files_are_zeros_in_uint8_batches_too(broken, pixels, blank_pipeline):
    dataset = PipelineDataset(blank_pipeline[:-1], broken, np.arange(12), batch_size=12)
    x, _, weights = dataset[0]
    expected = pixels[:12].copy()
    expected[BAD] = 0
    np.testing.assert_array_equal(x, expected)
    np.testing.assert_array_equal(np.flatnonzero(weights == 0), BAD)


def test_weights_follow_their_files_when_shuffled(broken, blank_pipeline):
    dataset = PipelineDataset(
        blank_pipeline, broken, np.arange(12), batch_size=5, shuffle=True, seed=2
    )
    for i in range(3):
        _, y, weights = dataset[i]
        np.testing.assert_array_equal(weights == 0, np.isin(y, BAD))


def test_weights_are_there_even_if_all_files_are_good(files, blank_pipeline):
    dataset = PipelineDataset(blank_pipeline, files, np.arange(24), batch_size=4)
    _, _, weights = dataset[0]
    np.testing.assert_array_equal(weights, np.ones(4))


@pytest.mark.parametrize("shuffle", [False, True])
def test_one_warning_an_epoch_lists_the_files_that_failed(shuffle, broken, blank_pipeline):
    dataset = PipelineDataset(
        blank_pipeline, broken, np.arange(12), batch_size=4, shuffle=shuffle, seed=0
    )
    for _ in range(2):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            for i in range(3):
                dataset[i]
        with pytest.warns(ImageDecodeWarning) as records:
            dataset.on_epoch_end()
        [warning] = warnings_of(records)
        assert list(warning.failures) == BAD
        assert warning.n_images == 12
        for name in ("missing.jpg", *(f"broken_{i}.jpg" for i in range(4, 8))):
            assert name in str(warning)
        for row, error in warning.failures.items():
            assert getattr(error, "position", row) == row  # the row in X, not in the batch


def test_fit_trains_with_the_weights_and_warns_once_an_epoch(broken, pixels, blank_pipeline):
    keras.utils.set_random_seed(0)
    model = small_model()
    start = [value_of(weight) for weight in model.weights]
    y = np.linspace(0, 1, 12, dtype=np.float32)
    dataset = PipelineDataset(blank_pipeline, broken, y, batch_size=4)
    with pytest.warns(ImageDecodeWarning) as records:
        model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    assert len(warnings_of(records)) == 2

    # Gradient descent by hand on the good files; batch 1 (rows 4 to 7) changes nothing.
    x = standardised(pixels).astype(np.float32).mean(axis=(1, 2))
    kernel, bias = start
    for _ in range(2):
        for rows in ([0, 2, 3], [8, 9, 10, 11]):
            error = x[rows] @ kernel[:, 0] + bias - y[rows]
            kernel = kernel - 0.01 * 2 * (x[rows].T @ error)[:, np.newaxis] / 4
            bias = bias - 0.01 * 2 * error.sum() / 4  # Keras divides by all rows of a batch
    for trained, expected in zip(model.weights, (kernel, bias), strict=True):
        np.testing.assert_allclose(value_of(trained), expected, rtol=0, atol=1e-5)


def test_evaluate_leaves_blank_files_out_and_warns_once(broken, pixels, blank_pipeline):
    keras.utils.set_random_seed(0)
    model = small_model()
    model.compile(loss="mse", weighted_metrics=["mse"])
    y = np.linspace(0, 1, 12, dtype=np.float32)
    dataset = PipelineDataset(blank_pipeline, broken, y, batch_size=4)
    with pytest.warns(ImageDecodeWarning) as records:
        _, error = model.evaluate(dataset, verbose=0)
    assert len(warnings_of(records)) == 1
    good = [i for i in range(12) if i not in BAD]
    x = standardised(pixels).astype(np.float32)[good]
    predicted = keras.ops.convert_to_numpy(model(x))[:, 0]
    assert error == pytest.approx(np.mean((predicted - y[good]) ** 2), rel=1e-4)


def test_predict_has_a_row_for_blank_files_too(broken, blank_pipeline):
    dataset = PipelineDataset(blank_pipeline, broken, batch_size=5)
    with pytest.warns(ImageDecodeWarning) as records:
        predictions = small_model().predict(dataset, verbose=0)
    assert len(warnings_of(records)) == 1
    assert predictions.shape == (12, 1)
    np.testing.assert_array_equal(predictions[BAD], 0)  # the bias is still zero


# A fitted scaler as a layer


def arrays(layer_output: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(layer_output)


def minmaxed(pixels: np.ndarray, low: float = 0, high: float = 1) -> np.ndarray:
    flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
    smallest, span = flat.min(axis=0), np.ptp(flat, axis=0)
    return (pixels - smallest) / np.where(span == 0, 1, span) * (high - low) + low


def centred(pixels: np.ndarray) -> np.ndarray:
    return pixels - pixels.reshape(-1, 3).astype(np.float64).mean(axis=0)


def divided(pixels: np.ndarray) -> np.ndarray:
    return pixels / pixels.reshape(-1, 3).astype(np.float64).std(axis=0)


SCALERS = {
    "standard": (ChannelStandardScaler(), standardised),
    "with_mean=False": (ChannelStandardScaler(with_mean=False), divided),
    "with_std=False": (ChannelStandardScaler(with_std=False), centred),
    "neither": (ChannelStandardScaler(with_mean=False, with_std=False), lambda x: x * 1.0),
    "constants": (
        ChannelStandardScaler(mean=[1, 2, 3], std=50),
        lambda x: (x - [1, 2, 3]) / 50,
    ),
    "minmax": (ChannelMinMaxScaler(), minmaxed),
    "-1 to 1": (ChannelMinMaxScaler((-1, 1)), lambda x: minmaxed(x, -1, 1)),
    "rescale": (ChannelMinMaxScaler(data_range=(0, 255)), lambda x: x / 255),
}
each_scaler = pytest.mark.parametrize(
    ("scaler", "formula"), SCALERS.values(), ids=SCALERS.keys()
)


def tolerance(expected: np.ndarray) -> float:
    return 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@each_scaler
def test_a_layer_computes_the_formula_of_its_scaler(scaler, formula, dtype, pixels):
    expected = formula(pixels)
    scaler.fit(pixels)
    output = arrays(normalization_layer(scaler)(pixels.astype(dtype)))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance(expected))
    scaled = scaler.transform(pixels)
    np.testing.assert_allclose(output, scaled, rtol=0, atol=tolerance(expected))


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler((-1, 1))])
def test_a_layer_keeps_a_constant_channel_finite(scaler, pixels):
    flat = pixels.copy()
    flat[..., 1] = 77
    layer = normalization_layer(scaler.fit(flat))
    channel = arrays(layer(flat))[..., 1]
    constant = 0 if isinstance(scaler, ChannelStandardScaler) else -1
    np.testing.assert_allclose(channel, constant, rtol=0, atol=1e-5)
    # And a pixel that is one grey level brighter is divided by 1, as in scikit-learn.
    flat[..., 1] = 78
    step = 1 if isinstance(scaler, ChannelStandardScaler) else 2
    np.testing.assert_allclose(arrays(layer(flat))[..., 1], constant + step, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
def test_a_layer_takes_grayscale_images(scaler, pixels):
    gray = pixels[..., :1]
    flat = gray.astype(np.float64)
    expected = (
        (flat - flat.mean()) / flat.std()
        if isinstance(scaler, ChannelStandardScaler)
        else minmaxed(gray)
    )
    output = arrays(normalization_layer(scaler.fit(gray))(gray))
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("mixed_precision")
@each_scaler
def test_a_layer_stays_exact_under_mixed_precision(scaler, formula, pixels):
    expected = formula(pixels)
    output = arrays(normalization_layer(scaler.fit(pixels))(pixels))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance(expected))


@each_scaler
def test_a_layer_survives_saving_and_loading(scaler, formula, pixels, tmp_path):
    layer = normalization_layer(scaler.fit(pixels))
    model = keras.Sequential([keras.Input((32, 48, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = formula(pixels)
    output = loaded.predict(pixels, verbose=0)
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance(expected))


def test_a_layer_takes_batches_of_raw_pixels_inside_a_model(files, pixels, pipeline):
    layer = normalization_layer(pipeline[-1])
    model = keras.Sequential([keras.Input((32, 48, 3)), layer])
    dataset = PipelineDataset(pipeline[:-1], files, batch_size=7)
    output = model.predict(dataset, verbose=0)
    np.testing.assert_allclose(output, standardised(pixels), rtol=0, atol=1e-5)


@pytest.mark.parametrize("per_image", ["channel", "image"])
@pytest.mark.parametrize("kind", [ChannelStandardScaler, ChannelMinMaxScaler])
def test_a_layer_cannot_take_statistics_from_each_image(kind, per_image, pixels):
    with pytest.raises(ValueError, match=f"per_image='{per_image}'"):
        normalization_layer(kind(per_image=per_image).fit(pixels))


def test_a_layer_cannot_clip(pixels):
    with pytest.raises(ValueError, match="clip=True"):
        normalization_layer(ChannelMinMaxScaler(clip=True).fit(pixels))


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
def test_a_layer_needs_a_fitted_scaler(scaler):
    with pytest.raises(NotFittedError):
        normalization_layer(scaler)


@pytest.mark.parametrize(
    "other", [StandardScaler(), JpegLoader(), Resizer(), make_image_pipeline(8), None]
)
def test_a_layer_is_made_of_a_channel_scaler_alone(other):
    with pytest.raises(TypeError, match=f"{type(other).__name__}.*ChannelMinMaxScaler"):
        normalization_layer(other)


@pytest.fixture
def channels_first() -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("kind", [ChannelStandardScaler, ChannelMinMaxScaler])
def test_a_layer_is_refused_where_channels_come_first(kind, pixels):
    with pytest.raises(ValueError, match=r"channels_first.*channels_last"):
        normalization_layer(kind().fit(pixels))


def test_an_epoch_without_a_single_readable_image_is_an_error(tmp_path):
    scaler = ChannelMinMaxScaler(data_range=(0, 255))
    pipeline = make_image_pipeline(8, scaler, on_error="blank")
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    dataset = PipelineDataset(pipeline, paths, [0, 1, 0], batch_size=2)
    for i in range(len(dataset)):
        assert not dataset[i][2].any()

    with pytest.raises(ValueError, match=r"None of the 3 images can be read.*a\.jpg"):
        dataset.on_epoch_end()


def test_a_data_frame_goes_to_a_column_transformer_as_a_data_frame(files, pixels):
    table = pd.DataFrame({"path": files, "age": np.arange(24.0)}, index=range(100, 124))
    images = make_image_pipeline((32, 48)).set_params(resize__reducing_gap=None)
    rows = Pipeline([*images.steps, ("flatten", ImageFlattener())])
    columns = ColumnTransformer([("photo", rows, "path"), ("age", "passthrough", ["age"])])
    dataset = PipelineDataset(columns.fit(table), table, batch_size=10)

    x = np.concatenate([dataset[i] for i in range(len(dataset))])

    flat = pixels.reshape(-1, 3).astype(float)
    expected = ((pixels - flat.mean(axis=0)) / flat.std(axis=0)).reshape(24, -1)
    np.testing.assert_allclose(x[:, :-1], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x[:, -1], np.arange(24.0))


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        ([1, 2, None], None, "Pass labels of one kind"),
        (["a", "b", "a"], [], "empty or repeats a label"),
        (["a", "b", "a"], ["a", "b", "b"], "empty or repeats a label"),
        (["a", "b", "c"], ["a", "b"], "y holds 'c', which is not among the classes"),
    ],
)
def test_labels_that_cannot_be_numbered_are_refused(y, classes, message):
    scaler = ChannelMinMaxScaler(data_range=(0, 255))
    images = np.zeros((3, 2, 2, 1), np.uint8)

    with pytest.raises(ValueError, match=message):
        PipelineDataset(scaler, images, y, label_mode="int", classes=classes)


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_damaged_file_is_named_by_its_position_in_x(pipeline, files, shuffle):
    dataset = PipelineDataset(
        pipeline, [*files[:7], b"broken", *files[7:]], batch_size=4, shuffle=shuffle, seed=3
    )

    with pytest.raises(ImageDecodeError) as caught:
        list(dataset)

    assert caught.value.position == 7


@pytest.mark.parametrize(
    "scaler",
    [
        ChannelStandardScaler(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
        ChannelStandardScaler(mean=100, std=[50, 60, 70]),
        ChannelStandardScaler(mean=127.5, std=127.5),
        ChannelMinMaxScaler(data_range=(0, 255)),
        ChannelMinMaxScaler((-1, 1), data_range=([0, 1, 2], [250, 251, 252])),
    ],
)
def test_known_constants_become_a_layer_without_a_fit(scaler, pixels):
    layer = normalization_layer(scaler)

    scaled = np.asarray(layer(pixels.astype("float32")))

    np.testing.assert_allclose(scaled, scaler.transform(pixels), rtol=0, atol=1e-5)
    assert not hasattr(scaler, "n_features_in_")


def test_lazy_images_do_not_go_through_a_loader_again(pipeline, files):
    with pytest.raises(TypeError, match=r"Pass it to the steps that come after the loader"):
        PipelineDataset(pipeline, pipeline[:2].transform(files))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": True}, "batch_size=True"),
        ({"seed": -1}, "seed=-1"),
        ({"seed": "a"}, "seed='a'"),
        ({"y": 3}, "y=3 is one label"),
        ({"y": [1, "a", "b"]}, "labels of one kind"),
    ],
)
def test_values_that_mean_nothing_are_refused_at_once(options, message):
    images = np.zeros((3, 2, 2, 1), np.uint8)

    with pytest.raises((TypeError, ValueError), match=message):
        PipelineDataset(ChannelMinMaxScaler(data_range=(0, 255)), images, **options)


@pytest.mark.parametrize(
    ("scaler", "changes"),
    [
        (ChannelStandardScaler(), {"mean": 0, "std": 1}),
        (ChannelStandardScaler(mean=1, std=2), {"mean": 100, "std": 50}),
        (
            ChannelStandardScaler(per_image="channel"),
            {"per_image": False, "mean": 5, "std": 6},
        ),
        (ChannelMinMaxScaler(), {"data_range": (0, 255)}),
        (ChannelMinMaxScaler(), {"feature_range": (-1, 1)}),
    ],
)
def test_a_layer_follows_the_scaler_after_its_parameters_were_set(scaler, changes, pixels):
    scaler = clone(scaler).fit(pixels // 2).set_params(**changes)

    scaled = np.asarray(normalization_layer(scaler)(pixels.astype("float32")))

    expected = scaler.transform(pixels)
    assert np.abs(scaled - expected).max() <= 1e-5 * max(1, np.abs(expected).max())
