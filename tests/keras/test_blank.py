"""Files that cannot be read: errors, or blank images of no weight and one warning."""

from __future__ import annotations

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknorm_images import (
    ChannelMinMaxScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    make_image_pipeline,
    save_images,
)
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import BAD, image_warnings, small_model, standardised, value_of


def test_a_broken_file_stops_the_batch_by_default(broken, pipeline):
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


def test_rows_of_a_table_without_a_photo_weigh_nothing_in_training(files, blank_pipeline):
    X = pd.Series([files[0], None, files[2], np.nan])

    x, _, weights = PipelineDataset(blank_pipeline, X, np.arange(4), batch_size=4)[0]

    np.testing.assert_array_equal(weights, [1, 0, 1, 0])
    assert not x[[1, 3]].any()
    assert x[[0, 2]].any()


def test_rows_of_a_table_without_a_photo_are_named_before_training_begins(files, pipeline):
    X = [*files[:20], None, *files[20:]]

    with pytest.raises(ValueError, match=r"1 of the 25 rows of X has no path: 20 \(None\)"):
        PipelineDataset(pipeline, X, np.arange(25), batch_size=4)


@pytest.mark.parametrize(
    "nest",
    [
        lambda steps: make_pipeline(make_pipeline(*steps[:2]), steps[2]),
        lambda steps: make_pipeline(make_pipeline(*steps), FunctionTransformer()),
        lambda steps: make_pipeline("passthrough", *steps),
    ],
    ids=["loading apart", "all within another", "after a passthrough"],
)
def test_blank_files_weigh_nothing_however_the_pipeline_is_put_together(
    nest, broken, blank_pipeline
):
    pipeline = nest(list(blank_pipeline.named_steps.values()))
    dataset = PipelineDataset(pipeline, broken, np.arange(12), batch_size=12)
    x, _, weights = dataset[0]
    np.testing.assert_array_equal(np.flatnonzero(weights == 0), BAD)
    np.testing.assert_array_equal(x[BAD], 0)
    assert dataset.filenames(0) == broken


def test_a_step_before_a_loader_that_leaves_files_blank_is_refused(broken, blank_pipeline):
    pipeline = make_pipeline(FunctionTransformer(), *blank_pipeline.named_steps.values())
    with pytest.raises(ValueError, match=r"on_error='blank'.*Apply it to X first"):
        PipelineDataset(pipeline, broken, np.arange(12))


@pytest.mark.parametrize("label_mode", ["auto", "input"])
def test_blank_files_are_zeros_also_after_augmentation(label_mode, broken, blank_pipeline):
    def spoil(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return x + np.nan, y + np.nan

    dataset = PipelineDataset(
        blank_pipeline, broken, np.arange(12), augment=spoil, label_mode=label_mode
    )
    x, y, weights = dataset[0]
    weights = weights.reshape(len(x), -1)[:, 0]
    np.testing.assert_array_equal(x[weights == 0], 0)
    assert np.isnan(x[weights == 1]).all()
    if label_mode == "input":
        np.testing.assert_array_equal(y[weights == 0], 0)


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
        for i in range(3):
            dataset[i]
        with image_warnings() as warnings:
            dataset.on_epoch_end()
        [warning] = warnings
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
    with image_warnings() as warnings:
        model.fit(dataset, epochs=2, shuffle=False, verbose=0)
    assert len(warnings) == 2

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
    with image_warnings() as warnings:
        _, error = model.evaluate(dataset, verbose=0)
    assert len(warnings) == 1
    good = [i for i in range(12) if i not in BAD]
    x = standardised(pixels).astype(np.float32)[good]
    predicted = keras.ops.convert_to_numpy(model(x))[:, 0]
    assert error == pytest.approx(np.mean((predicted - y[good]) ** 2), rel=1e-4)


def test_predict_has_a_row_for_blank_files_too(broken, blank_pipeline):
    dataset = PipelineDataset(blank_pipeline, broken, batch_size=5)
    with image_warnings() as warnings:
        predictions = small_model().predict(dataset, verbose=0)
    assert len(warnings) == 1
    assert predictions.shape == (12, 1)
    np.testing.assert_array_equal(predictions[BAD], 0)  # the bias is still zero


def test_an_epoch_of_which_no_image_can_be_read_is_an_error(tmp_path):
    scaler = ChannelMinMaxScaler(data_range=(0, 255))
    pipeline = make_image_pipeline(8, scaler, on_error="blank")
    paths = [str(tmp_path / name) for name in ("a.jpg", "b.jpg", "c.jpg")]
    dataset = PipelineDataset(pipeline, paths, [0, 1, 0], batch_size=2)
    for i in range(len(dataset)):
        assert not dataset[i][2].any()

    with pytest.raises(ValueError, match=r"None of the 3 images can be read.*a\.jpg"):
        dataset.on_epoch_end()


@pytest.mark.parametrize("shuffle", [False, True])
def test_a_damaged_file_is_named_by_its_position_in_x(pipeline, files, shuffle):
    dataset = PipelineDataset(
        pipeline, [*files[:7], b"broken", *files[7:]], batch_size=4, shuffle=shuffle, seed=3
    )

    with pytest.raises(ImageDecodeError) as caught:
        list(dataset)

    assert caught.value.position == 7


@pytest.mark.parametrize("name", ["photos.npy", "photos.zarr"])
@pytest.mark.parametrize("opened", [lambda saved: saved, lambda saved: saved[::-1]])
def test_saved_images_that_failed_weigh_nothing_and_are_told_once_an_epoch(
    opened, name, broken, pixels, blank_pipeline, tmp_path
):
    with pytest.warns(ImageDecodeWarning):
        saved = opened(save_images(blank_pipeline[:-1].transform(broken), tmp_path / name))
    dataset = PipelineDataset(
        blank_pipeline[-1], saved, np.arange(12), batch_size=4, shuffle=True, seed=0
    )
    batches = [dataset[i] for i in range(3)]
    x, y, weights = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    expected = opened(standardised(pixels)[:12].copy())
    bad = sorted(opened(np.arange(12))[BAD])
    expected[bad] = 0
    np.testing.assert_allclose(x, expected[y], rtol=0, atol=1e-5)
    np.testing.assert_array_equal(weights, ~np.isin(y, bad))
    with pytest.warns(ImageDecodeWarning, match=f"{len(bad)} of 12 images") as caught:
        dataset.on_epoch_end()
    assert list(caught[0].message.failures) == bad
    assert all(error.position == i for i, error in caught[0].message.failures.items())


def test_a_chunk_that_was_lost_stops_the_batch(files, pipeline, tmp_path):
    saved = save_images(pipeline[:-1].transform(files), tmp_path / "photos.zarr", chunk_size=4)
    dataset = PipelineDataset(pipeline[-1], saved, batch_size=6)
    (tmp_path / "photos.zarr" / "c" / "2" / "0" / "0" / "0").unlink()
    assert dataset[0].shape == (6, 32, 48, 3)
    with pytest.raises(OSError, match="Rows 8 to 11 are lost"):
        dataset[1]
