"""What a model is trained to predict: labels numbered or one-hot, or targets as given."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
import scipy.sparse
from sklearn.preprocessing import LabelBinarizer, LabelEncoder

from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    N_ROWS,
    batches_of,
    numbered,
    row_numbers,
    standardised,
    value_of,
)

LABELS = ["temple", "flower", "bridge"]


def labels_of(y: Any, **options: Any) -> tuple[np.ndarray, PipelineDataset]:
    dataset = numbered(len(y), y=y, **options)
    return np.concatenate([batch[1] for batch in batches_of(dataset)]), dataset


@pytest.mark.parametrize(
    "container",
    [
        list,
        np.array,
        lambda y: np.array(y, object),
        lambda y: pd.Series(y, range(9, 2, -1)),
        lambda y: pa.chunked_array([y[:3], y[3:]]),
    ],
    ids=["list", "str", "object", "series", "chunked array"],
)
def test_auto_numbers_strings_as_scikit_learn_does(container):
    y = ["temple", "flower", "bridge", "flower", "temple", "temple", "bridge"]
    numbers, dataset = labels_of(container(y))
    encoder = LabelEncoder()
    np.testing.assert_array_equal(numbers, encoder.fit_transform(y))
    np.testing.assert_array_equal(dataset.classes_, encoder.classes_)
    assert numbers.dtype.kind == "i"


@pytest.mark.parametrize("values", [[0.5, -1.25, 3.0], [30, 10, 20], [True, False, True]])
def test_numbers_in_a_column_of_a_mixed_table_stay_numbers(values):
    table = pd.DataFrame({"path": ["a", "b", "c"], "y": values})
    labels, dataset = labels_of(table.to_numpy()[:, 1])
    np.testing.assert_array_equal(labels, np.array(values), strict=True)
    assert dataset.classes_ is None


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
    names = np.array(LABELS)[np.arange(N_ROWS) % 3]
    dataset = numbered(y=names, shuffle=True, seed=1, label_mode=label_mode)
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


@pytest.mark.parametrize("label_mode", ["sparse", "", 1])
def test_an_unknown_label_mode_is_refused(label_mode):
    with pytest.raises(ValueError, match=r"label_mode=.*'auto', 'int', 'categorical'"):
        numbered(label_mode=label_mode)


@pytest.mark.parametrize("label_mode", ["int", "categorical"])
def test_labels_of_two_dimensions_cannot_be_numbered(label_mode):
    with pytest.raises(ValueError, match=r"y is of shape \(5, 2\)"):
        labels_of(np.zeros((5, 2)), label_mode=label_mode)


@pytest.mark.parametrize(
    ("y", "classes", "message"),
    [
        ([1, 2, None], None, "1 of the 3 rows of y hold no target.*None in row 2.*Drop"),
        (["a", "b", "a"], [], "empty or repeats a label"),
        (["a", "b", "a"], ["a", "b", "b"], "empty or repeats a label"),
        (["a", "b", "c"], ["a", "b"], "y holds 'c', which is not among the classes"),
    ],
)
def test_labels_that_cannot_be_numbered_are_refused(y, classes, message):
    with pytest.raises(ValueError, match=message):
        numbered(3, y=y, label_mode="int", classes=classes)


@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical", "binary"])
@pytest.mark.parametrize("stranger", ["aardvark", "nest", "zebra"])
def test_a_label_that_is_not_among_the_classes_is_named(label_mode, stranger):
    with pytest.raises(ValueError, match=f"'{stranger}'.*not among the classes.*temple"):
        numbered(
            2, y=["flower", stranger], classes=["temple", "flower"], label_mode=label_mode
        )


# Two classes


@pytest.mark.parametrize(
    "y",
    [
        ["b", "a", "a", "b", "a"],
        [True, False, False, True, False],
        [1, 0, 0, 1, 0],
        [9.0, 3.0, 3.0, 9.0, 3.0],
    ],
    ids=["text", "bool", "integers", "floats"],
)
def test_binary_makes_a_column_of_float_as_label_binarizer_does(y):
    column, dataset = labels_of(y, label_mode="binary")
    expected = LabelBinarizer().fit(y)
    np.testing.assert_array_equal(
        column, expected.transform(y).astype(np.float32), strict=True
    )
    np.testing.assert_array_equal(dataset.classes_, expected.classes_)


def test_the_last_of_two_classes_given_is_1():
    column, _ = labels_of(["yes", "no", "no"], label_mode="binary", classes=["yes", "no"])
    np.testing.assert_array_equal(column, np.array([[0], [1], [1]], np.float32), strict=True)


def test_binary_takes_validation_data_of_one_class_where_both_are_given():
    column, _ = labels_of(["yes"] * 5, label_mode="binary", classes=["no", "yes"])
    np.testing.assert_array_equal(column, np.ones((5, 1)))


@pytest.mark.parametrize(
    ("y", "classes", "n_classes"),
    [(LABELS, None, 3), (["a", "a"], None, 1), (["a", "b"], ["a", "b", "c"], 3)],
)
def test_binary_is_refused_unless_there_are_two_classes(y, classes, n_classes):
    with pytest.raises(
        ValueError, match=f"{n_classes} classes.*label_mode='binary' takes two"
    ):
        numbered(len(y), y=y, classes=classes, label_mode="binary")


def test_binary_targets_train_a_sigmoid_as_keras_own_do():
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Flatten(),
        keras.layers.Dense(1, "sigmoid", kernel_initializer="ones"),
    ]
    model = keras.Sequential([keras.Input((1, 1, 1)), *layers])
    model.compile(loss="binary_crossentropy", metrics=["accuracy"])
    y = ["no", "yes", "yes", "no", "yes"]
    dataset = numbered(5, y=y, label_mode="binary")
    chances = 1 / (1 + np.exp(-np.arange(5.0)))
    truth = np.array([label == "yes" for label in y])
    expected = -np.log(np.where(truth, chances, 1 - chances)).mean()
    accuracy = ((chances > 0.5) == truth).mean()
    assert model.evaluate(dataset, verbose=0) == pytest.approx([expected, accuracy], rel=1e-4)


# Images as targets, and no targets


@pytest.mark.parametrize(
    "y",
    [None, np.arange(N_ROWS), ["a"] * N_ROWS, np.eye(N_ROWS)],
    ids=["nothing", "numbers", "text", "one-hot"],
)
def test_input_is_the_images_themselves_whatever_y_is(y):
    dataset = numbered(y=y, label_mode="input", shuffle=True, seed=0)
    for x, target in batches_of(dataset):
        np.testing.assert_array_equal(target, x, strict=True)
    assert dataset.classes_ is None


def test_an_autoencoder_that_changes_nothing_has_no_loss(files, pipeline):
    model = keras.Sequential([keras.Input((32, 48, 3)), keras.layers.Identity()])
    model.compile(loss="mse")
    dataset = PipelineDataset(pipeline, files, label_mode="input", batch_size=7)
    assert model.evaluate(dataset, verbose=0) == 0


@pytest.mark.parametrize("label_mode", [None, "auto"])
def test_without_targets_a_batch_is_images_alone(label_mode):
    batches = batches_of(numbered(y=None, label_mode=label_mode))
    np.testing.assert_array_equal(np.concatenate(batches), row_numbers(), strict=True)


@pytest.mark.parametrize("y", [LABELS, [1, 2, 3]])
def test_no_label_mode_leaves_the_labels_out(y):
    dataset = numbered(3, y=y, label_mode=None)
    np.testing.assert_array_equal(dataset[0], row_numbers(3), strict=True)
    assert dataset.classes_ is None


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_labels_cannot_be_numbered_where_there_are_none(label_mode):
    with pytest.raises(ValueError, match=f"y is None.*label_mode='{label_mode}'"):
        numbered(y=None, label_mode=label_mode)


@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical", "binary", "input", None])
@pytest.mark.parametrize("n_labels", [0, 12, 14])
def test_lengths_that_differ_are_refused_in_every_mode(label_mode, n_labels):
    with pytest.raises(ValueError, match=f"X has 13 samples and y has {n_labels}"):
        numbered(y=np.arange(n_labels) % 2, label_mode=label_mode)


# Several targets by name


def two_outputs() -> keras.Model:
    """A model of the mean colour of photos: a class and a number."""
    keras.utils.set_random_seed(0)
    images = keras.Input((32, 48, 3))
    colour = keras.layers.GlobalAveragePooling2D()(images)
    outputs = {
        "kind": keras.layers.Dense(2, activation="softmax", name="kind")(colour),
        "age": keras.layers.Dense(1, name="age")(colour),
    }
    model = keras.Model(images, outputs)
    losses = {"kind": "sparse_categorical_crossentropy", "age": "mse"}
    model.compile(keras.optimizers.SGD(0.1), losses)
    return model


def two_targets() -> dict[str, np.ndarray]:
    return {"kind": np.arange(24) % 2, "age": np.linspace(-1, 1, 24, dtype=np.float32)}


@pytest.mark.parametrize("container", [np.asarray, list, pd.Series])
def test_targets_by_name_pass_through_as_arrays(container):
    y = {"a": np.arange(13), "b": np.arange(26.0).reshape(13, 2)[:, 0]}
    dataset = numbered(y={name: container(values) for name, values in y.items()})
    targets = [batch[1] for batch in batches_of(dataset)]
    for name, values in y.items():
        together = np.concatenate([target[name] for target in targets])
        np.testing.assert_array_equal(together, values, strict=True)
    assert dataset.classes_ is None


@pytest.mark.parametrize("weighted", [False, True])
def test_a_model_of_two_outputs_trains_on_named_targets_as_on_arrays(
    weighted, files, pixels, pipeline
):
    weights = np.linspace(0, 3, 24) if weighted else None
    dataset = PipelineDataset(
        pipeline, files, two_targets(), batch_size=8, sample_weight=weights
    )
    model = two_outputs()
    history = model.fit(dataset, epochs=2, shuffle=False, verbose=0)

    by_arrays = two_outputs()
    before = [value_of(weight) for weight in by_arrays.weights]
    x = standardised(pixels).astype(np.float32)
    expected = by_arrays.fit(
        x,
        two_targets(),
        sample_weight=weights,
        batch_size=8,
        epochs=2,
        shuffle=False,
        verbose=0,
    )
    for weight, wanted, start in zip(model.weights, by_arrays.weights, before, strict=True):
        np.testing.assert_allclose(value_of(weight), value_of(wanted), rtol=0, atol=1e-5)
        assert np.abs(value_of(weight) - start).max() > 1e-3
    for name, losses in expected.history.items():
        ours = [float(loss) for loss in history.history[name]]
        assert ours == pytest.approx([float(loss) for loss in losses], rel=1e-4)


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_named_targets_are_not_numbered(label_mode):
    with pytest.raises(ValueError, match=f"y is a dict, and label_mode={label_mode!r}"):
        numbered(y={"a": np.arange(13)}, label_mode=label_mode)


def test_classes_may_be_any_numbers_that_are_named():
    numbers, _ = labels_of(np.array([0.5, 1.5, 0.5]), label_mode="int", classes=[1.5, 0.5])
    np.testing.assert_array_equal(numbers, [1, 0, 1])


@pytest.mark.parametrize("label_mode", ["int", "categorical"])
@pytest.mark.parametrize("stranger", [0.5, 2.25])
def test_targets_of_a_regression_are_not_numbered(label_mode, stranger):
    y = np.array([0, 1, stranger, 1])
    with pytest.raises(ValueError, match=f"such as .*{stranger}.*Pass label_mode='auto'"):
        labels_of(y, label_mode=label_mode)


@pytest.mark.parametrize(
    ("y", "message"),
    [
        ({"a": [0, 1, 2], "b": ["x", "y", "z"]}, r"y\['b'\] is of dtype <U1.*LabelEncoder"),
        (
            {"a": [0, 1, 2], "b": np.array(["x", "y", "z"], object)},
            r"y\['b'\] is of dtype obj",
        ),
        ({"a": [0, 1, 2], "b": [0, 1]}, r"X has 3 samples and y\['b'\] has 2"),
        ({"a": 3}, r"y\['a'\].*shape \(\)"),
        ({}, "empty dict"),
    ],
    ids=["text", "text objects", "length", "scalar", "empty"],
)
def test_named_targets_that_no_output_can_take_are_refused(y, message):
    with pytest.raises(ValueError, match=message):
        numbered(3, y=y)


# Targets that no loss can take


@pytest.mark.parametrize(
    ("name", "image_format"),
    [("masks/{}.png", "PNG"), ("{}.JPG", "JPEG"), (Path("masks", "{}.tif"), "TIFF")],
)
@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical"])
def test_names_of_masks_are_not_numbered_as_classes(name, image_format, label_mode):
    y = [type(name)(str(name).format(i)) for i in range(N_ROWS)]
    to_do = rf"JpegLoader\(color_mode='stored', formats=\('{image_format}',\)\) and Resizer"
    with pytest.raises(ValueError, match=f"names of image files, such as .*{to_do}"):
        numbered(y=y, label_mode=label_mode)


def test_names_of_files_are_classes_where_those_are_given():
    _, dataset = labels_of(["a.png", "b.png"], classes=["b.png", "a.png"])
    assert dataset.classes_.tolist() == ["b.png", "a.png"]


@pytest.mark.parametrize(
    "y",
    [
        [0.5, np.nan, 1.0],
        pd.Series([1, None, 2], dtype="Int64"),
        pd.Series(["a", None, "b"]),
        np.array(["a", np.nan, "b"], object),
        np.array([[1, 2], [np.nan, np.nan], [3, np.nan]]),
    ],
    ids=["float", "integer", "text", "object", "several"],
)
def test_rows_without_a_target_are_refused(y):
    with pytest.raises(ValueError, match=r"1 of the 3 rows of y hold no target.*in row 1"):
        numbered(3, y=y)


def test_missing_labels_do_not_matter_where_labels_are_left_out():
    assert numbered(3, y=[1, np.nan, 2], label_mode=None)[0].shape == (3, 1, 1, 1)


@pytest.mark.parametrize(
    "y",
    [
        np.arange(3).astype("datetime64[D]"),
        pd.Series(pd.to_datetime(["2020-01-01"] * 3)),
        np.arange(3).astype("timedelta64[s]"),
    ],
)
def test_dates_are_refused(y):
    with pytest.raises(ValueError, match=r"y is of dtype (datetime|timedelta)64.*days since"):
        numbered(3, y=y)
    with pytest.raises(ValueError, match=r"y\['when'\] is of dtype"):
        numbered(3, y={"when": np.asarray(y)})


@pytest.mark.parametrize("kind", [scipy.sparse.csr_matrix, scipy.sparse.coo_array])
def test_sparse_targets_are_refused(kind):
    with pytest.raises(ValueError, match=r"y is a .*sparse.*y\.toarray\(\)"):
        numbered(3, y=kind(np.eye(3)))
    with pytest.raises(ValueError, match=r"y\['a'\] is a .*sparse"):
        numbered(3, y={"a": kind(np.eye(3))})
