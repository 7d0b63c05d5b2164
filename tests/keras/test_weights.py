"""What the loss of each image counts: sample weights, and classes that are balanced."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.utils.class_weight import compute_sample_weight

from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    BAD,
    N_ROWS,
    batches_of,
    image_warnings,
    linear_model,
    numbered,
    unchanged,
    value_of,
)

CLASSES = np.array(list("aaaaaaabbbcc0"))  # 7 of a, 3 of b, 2 of c, 1 of 0


def weights_of(dataset: PipelineDataset) -> np.ndarray:
    return np.concatenate([batch[2] for batch in batches_of(dataset)])


@pytest.mark.parametrize(
    "sample_weight",
    [
        np.linspace(0, 5, N_ROWS),
        list(range(N_ROWS)),
        pd.Series(range(N_ROWS), range(9, -4, -1)),
    ],
    ids=["array", "list", "series"],
)
def test_weights_of_images_come_with_them_as_float32(sample_weight):
    weights = weights_of(numbered(sample_weight=sample_weight))
    np.testing.assert_array_equal(weights, np.float32(sample_weight), strict=True)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical", "input"])
@pytest.mark.parametrize(
    "y",
    [
        CLASSES,
        CLASSES.tolist(),
        pd.Series(CLASSES),
        np.array([3, 9, 5])[np.arange(N_ROWS) % 3],
    ],
    ids=["text", "list", "series", "integers"],
)
def test_balanced_weights_are_those_of_scikit_learn(y, label_mode, shuffle):
    dataset = numbered(
        y=y, sample_weight="balanced", label_mode=label_mode, shuffle=shuffle, seed=0
    )
    expected = compute_sample_weight("balanced", y).astype(np.float32)
    for i in range(len(dataset)):
        x, _, weights = dataset[i]
        wanted = expected[x.ravel().astype(int)]
        np.testing.assert_array_equal(weights.ravel(), wanted, strict=True)


def test_balanced_weights_are_those_of_the_classes_present():
    dataset = numbered(4, y=list("aaab"), classes=list("abcd"), sample_weight="balanced")
    expected = compute_sample_weight("balanced", list("aaab")).astype(np.float32)
    np.testing.assert_array_equal(weights_of(dataset), expected)


def trained_by_hand(weights: Any, y: Any, n_epochs: int) -> tuple[float, float, list[float]]:
    """Plain gradient descent on the weighted squared error of a line, in float64."""
    x, kernel, bias, losses = np.linspace(-1, 1, N_ROWS), 1.0, 0.0, []
    for _ in range(n_epochs):
        loss = 0.0
        for start in range(0, N_ROWS, 4):
            rows = slice(start, start + 4)
            error = kernel * x[rows] + bias - y[rows]
            n_rows = len(error)  # Keras divides by the images, not by their weights
            loss += (weights[rows] * error**2).sum()
            kernel -= 0.01 * 2 * (weights[rows] * error * x[rows]).sum() / n_rows
            bias -= 0.01 * 2 * (weights[rows] * error).sum() / n_rows
        losses.append(loss / N_ROWS)
    return kernel, bias, losses


@pytest.mark.parametrize("balanced", [False, True])
def test_fit_and_evaluate_weigh_the_loss_as_a_gradient_by_hand(balanced):
    y = np.unique(CLASSES, return_inverse=True)[1].astype(np.float32)
    sample_weight = "balanced" if balanced else np.arange(N_ROWS) / 6
    weights = compute_sample_weight("balanced", CLASSES) if balanced else np.arange(13) / 6
    x = np.linspace(-1, 1, N_ROWS, dtype=np.float32).reshape(-1, 1, 1, 1)
    dataset = PipelineDataset(
        unchanged(), x, y, batch_size=4, sample_weight=sample_weight, n_jobs=2
    )
    model = linear_model()
    losses = [float(model.evaluate(dataset, verbose=0))]
    history = model.fit(dataset, epochs=3, shuffle=False, verbose=0)
    losses += [float(loss) for loss in history.history["loss"]]

    kernel, bias, expected = trained_by_hand(weights, y, n_epochs=3)
    trained = [value_of(weight).item() for weight in model.weights]
    assert trained == pytest.approx([kernel, bias], rel=1e-4)
    untrained = (weights * (x.ravel() - y) ** 2).mean()
    assert losses == pytest.approx([untrained, *expected], rel=1e-4)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize("balanced", [False, True])
def test_weights_are_multiplied_by_zero_where_files_are_blank(
    balanced, shuffle, broken, blank_pipeline
):
    y = np.array(list("aabbbbbbccca"))
    weights = compute_sample_weight("balanced", y) if balanced else np.arange(12) + 1.0
    dataset = PipelineDataset(
        blank_pipeline,
        broken,
        y,
        batch_size=5,
        shuffle=shuffle,
        seed=0,
        sample_weight="balanced" if balanced else weights,
    )
    weights[BAD] = 0
    for _ in range(2):  # a second epoch: zeros of the first are not kept
        served = [(dataset.rows(i), dataset[i][2]) for i in range(len(dataset))]
        for rows, part in served:
            np.testing.assert_array_equal(part, weights[rows].astype(np.float32), strict=True)
        with image_warnings() as warnings:
            dataset.on_epoch_end()
        assert len(warnings) == 1


def test_class_weight_of_fit_reaches_the_loss():
    y = np.array([0, 1] * 4)
    x = np.ones((8, 1, 1, 1), np.float32)
    model = linear_model()
    history = model.fit(
        PipelineDataset(unchanged(), x, y, batch_size=8),
        class_weight={0: 3.0, 1: 1.0},
        verbose=0,
    )
    # The squared error is 1 for class 0 and 0 for class 1; Keras divides by the 8 rows.
    assert float(history.history["loss"][0]) == pytest.approx(3 * 4 / 8, rel=1e-5)


@pytest.mark.parametrize("blank", [False, True])
def test_keras_refuses_class_weight_beside_sample_weights(blank, broken, blank_pipeline):
    if blank:
        dataset = PipelineDataset(blank_pipeline, broken[8:], [0, 1, 0, 1])
        model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
        model.compile(loss="mse")
    else:
        dataset, model = numbered(sample_weight=np.ones(N_ROWS)), linear_model()
    with pytest.raises(ValueError, match="`class_weight` and `sample_weight`"):
        model.fit(dataset, class_weight={0: 3.0, 1: 1.0}, verbose=0)


# What is refused


@pytest.mark.parametrize(
    ("sample_weight", "message"),
    [
        (np.ones(12), r"of shape \(12,\), and X has 13 samples"),
        (np.ones((13, 1)), r"of shape \(13, 1\)"),
        (np.full(13, -1.0), "negative numbers"),
        (np.full(13, np.nan), "NaN"),
        (np.zeros(13), "zeros alone"),
        (["a"] * 13, "no numbers"),
        ("even", "sample_weight='even' is not known. Pass one of 'balanced'"),
    ],
    ids=["length", "shape", "negative", "nan", "zeros", "text", "word"],
)
def test_weights_that_weigh_nothing_are_refused(sample_weight, message):
    with pytest.raises(ValueError, match=message):
        numbered(sample_weight=sample_weight)


@pytest.mark.parametrize("options", [{"y": None}, {"label_mode": None}])
@pytest.mark.parametrize("sample_weight", [np.ones(13), "balanced"])
def test_weights_are_refused_where_there_are_no_targets(sample_weight, options):
    with pytest.raises(ValueError, match="sample_weight"):
        numbered(sample_weight=sample_weight, **options)


@pytest.mark.parametrize(
    "y",
    [{"a": np.arange(13)}, np.eye(13), np.linspace(0, 1, 13), [None, "a"] * 6 + ["a"], None],
    ids=["dict", "one-hot", "regression", "mixed", "none"],
)
@pytest.mark.parametrize(
    "options", [{"sample_weight": "balanced"}, {"oversample": True, "shuffle": True}]
)
def test_classes_can_only_be_evened_out_where_every_image_has_one(options, y):
    with pytest.raises(ValueError, match=r"holds no labels of classes|hold no target"):
        numbered(y=y, **options)


@pytest.mark.parametrize("options", [{"sample_weight": "balanced"}, {"oversample": True}])
def test_classes_are_evened_out_only_where_there_are_as_many_labels_as_images(options):
    with pytest.raises(ValueError, match="X has 13 samples and y has 12"):
        numbered(y=np.arange(12) % 2, shuffle=True, **options)
