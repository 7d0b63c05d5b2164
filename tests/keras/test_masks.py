"""Images as targets, such as masks: decoded batch by batch, beside the photos."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from PIL import Image

from sknorm_images import ImageDecodeError, JpegLoader, LazyImages, Resizer, save_images
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    N_ROWS,
    batches_of,
    image_warnings,
    numbered,
    unchanged,
    value_of,
)
from tests.noted_paths import noted, readings

SIZE = (4, 3)
BAD = [2, 9]


@pytest.fixture(scope="session")
def mask_files(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Masks twice as large as `SIZE`, half of them with a palette.

    Mask i has class 1 in column i % 3.
    """
    folder = tmp_path_factory.mktemp("masks")
    paths = [folder / f"{i}.png" for i in range(N_ROWS)]
    for path, mask in zip(paths, pixels_of_masks(), strict=True):
        large = mask[:, :, 0].repeat(2, axis=0).repeat(2, axis=1)
        image = Image.fromarray(large)
        if int(path.stem) % 2:
            image.putpalette(bytes(range(255, -1, -1)) * 3)  # brightness tells no class
        image.save(path)
    return [str(path) for path in paths]


@pytest.fixture
def some_broken(mask_files: list[str], tmp_path: Path) -> list[str]:
    """The same, but those of `BAD` are not images."""
    paths = list(mask_files)
    for i in BAD:
        broken = tmp_path / f"broken_{i}.png"
        broken.write_bytes(b"not a mask")
        paths[i] = str(broken)
    return paths


def pixels_of_masks() -> np.ndarray:
    masks = np.zeros((N_ROWS, *SIZE, 1), np.uint8)
    masks[np.arange(N_ROWS), :, np.arange(N_ROWS) % 3] = 1
    masks[:, 0, 0, 0] = np.arange(N_ROWS)  # tells masks apart
    return masks


def masks_of(paths: Any, **options: Any) -> LazyImages:
    loader = JpegLoader(formats=("PNG",), color_mode="stored", **options)
    return Resizer(SIZE, interpolation="nearest").transform(loader.transform(paths))


def rows_of(x: np.ndarray) -> np.ndarray:
    return x.ravel().astype(int)


@pytest.mark.parametrize("named", [False, True])
@pytest.mark.parametrize("kind", ["lazy", "saved"])
def test_masks_and_weights_stay_with_their_photos_when_shuffled(
    named, kind, mask_files, tmp_path
):
    masks: Any = masks_of(mask_files)
    if kind == "saved":
        masks = save_images(masks, tmp_path / "masks.npy")
    y = {"mask": masks, "age": np.arange(N_ROWS)} if named else masks
    weights = np.linspace(1, 2, N_ROWS, dtype=np.float32)
    dataset = numbered(y=y, shuffle=True, seed=0, sample_weight=weights)
    seen = []
    for x, target, weight in batches_of(dataset):
        rows = rows_of(x)
        if named:
            np.testing.assert_array_equal(target["age"], rows)
            np.testing.assert_array_equal(weight["age"], weights[rows], strict=True)
            target, weight = target["mask"], weight["mask"]
        np.testing.assert_array_equal(target, pixels_of_masks()[rows], strict=True)
        of_pixels = np.broadcast_to(weights[rows, None, None, None], target.shape)
        np.testing.assert_array_equal(weight, of_pixels, strict=True)
        seen += rows.tolist()
    assert seen != sorted(seen) == list(range(N_ROWS))


def test_masks_are_read_once_per_pass_and_not_before(mask_files, tmp_path):
    dataset = numbered(y=masks_of(noted(mask_files, tmp_path)))
    assert readings(tmp_path) == {}
    batches_of(dataset)
    assert list(readings(tmp_path).values()) == [N_ROWS]


def test_a_mask_that_cannot_be_read_stops_the_batch_and_is_named(some_broken):
    dataset = numbered(y=masks_of(some_broken), batch_size=5)
    with pytest.raises(ImageDecodeError, match=r"broken_9\.png") as caught:
        dataset[1]
    assert caught.value.position == 9


@pytest.mark.parametrize("named", [False, True])
def test_blank_masks_are_zeros_of_weight_zero_and_told_once_an_epoch(named, some_broken):
    def spoil(x: Any, y: Any) -> Any:
        return x, {"mask": y["mask"] + 1} if named else y + 1

    masks = masks_of(some_broken, on_error="blank")
    y = {"mask": masks} if named else masks
    dataset = numbered(y=y, shuffle=True, seed=1, augment=spoil)
    for x, target, weights in batches_of(dataset):
        if named:
            target, weights = target["mask"], weights["mask"]
        is_bad = np.isin(rows_of(x), BAD)
        np.testing.assert_array_equal((weights == 0).all(axis=(1, 2, 3)), is_bad)
        np.testing.assert_array_equal((weights == 1).all(axis=(1, 2, 3)), ~is_bad)
        np.testing.assert_array_equal((target == 0).all(axis=(1, 2, 3)), is_bad)
    with image_warnings() as warnings:
        dataset.on_epoch_end()
    [warning] = warnings
    assert sorted(warning.failures) == BAD
    assert "broken_2.png" in str(warning)


def test_a_row_weighs_nothing_if_its_photo_or_its_mask_is_blank(
    broken, blank_pipeline, mask_files
):
    masks = masks_of([mask_files[0], mask_files[1], b"no mask", b"no mask"], on_error="blank")
    dataset = PipelineDataset(blank_pipeline, [*broken[:3], broken[4]], masks)
    _, _, weights = dataset[0]
    np.testing.assert_array_equal(weights[:, 0, 0, 0], [1, 0, 0, 0])
    with image_warnings() as warnings:
        dataset.on_epoch_end()
    assert "missing.jpg" in str(warnings[0])
    assert "broken_4.jpg" in str(warnings[0])  # the photo, not its mask


# What it refuses


@pytest.mark.parametrize("named", [False, True])
def test_masks_must_be_as_many_as_the_photos(named, mask_files):
    masks = masks_of(mask_files[:-1])
    with pytest.raises(ValueError, match=r"X has 13 samples and y.* has 12"):
        numbered(y={"mask": masks} if named else masks)


@pytest.mark.one_backend
@pytest.mark.parametrize("named", [False, True])
def test_masks_of_unknown_sizes_are_refused_before_one_is_read(named, mask_files, tmp_path):
    paths = noted(mask_files, tmp_path)
    masks = JpegLoader(formats=("PNG",), color_mode="stored").transform(paths)
    message = r"sizes are unknown.*Pass Resizer\(size, interpolation='nearest'\).transform\(y"
    with pytest.raises(ValueError, match=message):
        numbered(y={"mask": masks} if named else masks)
    assert readings(tmp_path) == {}


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary", "input", None])
def test_masks_are_no_labels_of_classes(label_mode, mask_files):
    with pytest.raises(ValueError, match=f"y holds images.*label_mode={label_mode!r} is"):
        numbered(y=masks_of(mask_files), label_mode=label_mode)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"classes": [0, 1]}, "y holds images.*classes is about labels"),
        ({"sample_weight": "balanced"}, "'balanced' needs to know the class"),
        ({"oversample": True, "shuffle": True}, "oversample=True needs to know the class"),
    ],
)
def test_what_needs_the_class_of_a_photo_is_refused_with_masks(options, message, mask_files):
    with pytest.raises(ValueError, match=message):
        numbered(y=masks_of(mask_files), **options)


# In a model


def photos() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(N_ROWS, *SIZE, 3)).astype(np.float32)


def segmentation_model(**options: Any) -> keras.Model:
    start = keras.initializers.GlorotUniform(seed=0)
    layer = keras.layers.Dense(N_ROWS, kernel_initializer=start)  # of each pixel by itself
    model = keras.Sequential([keras.Input((*SIZE, 3)), layer])
    # Of logits: PyTorch 2.13 has no gradient of this loss behind a softmax.
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.SGD(0.1), loss, **options)
    return model


def test_a_model_trains_on_masks_in_files_as_on_arrays(mask_files):
    model, by_arrays = segmentation_model(), segmentation_model()
    dataset = PipelineDataset(unchanged(), photos(), masks_of(mask_files), batch_size=N_ROWS)
    ours = model.fit(dataset, epochs=2, shuffle=False, verbose=0).history["loss"]
    expected = by_arrays.fit(
        photos(), pixels_of_masks(), epochs=2, batch_size=N_ROWS, shuffle=False, verbose=0
    ).history["loss"]
    assert np.asarray(ours, float).tolist() == pytest.approx([float(v) for v in expected])
    for weight, wanted in zip(model.weights, by_arrays.weights, strict=True):
        np.testing.assert_allclose(value_of(weight), value_of(wanted), rtol=0, atol=1e-6)


@pytest.mark.filterwarnings("ignore:Explicitly requested dtype int64:UserWarning")  # of JAX
def test_a_loss_and_a_weighted_metric_leave_blank_masks_out(some_broken):
    # Of float32, since it would make integers of the weights.
    metric = keras.metrics.MeanIoU(N_ROWS, "iou", "float32", sparse_y_pred=False)
    model = segmentation_model(weighted_metrics=[metric, "accuracy"])
    masks = masks_of(some_broken, on_error="blank")
    dataset = PipelineDataset(unchanged(), photos(), masks, batch_size=N_ROWS)
    with image_warnings():
        found = model.evaluate(dataset, return_dict=True, verbose=0)

    good = [i for i in range(N_ROWS) if i not in BAD]
    logits = keras.ops.convert_to_numpy(model(photos()))[good].astype(np.float64)
    chances = np.exp(logits) / np.exp(logits).sum(axis=3, keepdims=True)
    truth = pixels_of_masks()[good, ..., 0]
    losses = -np.log(np.take_along_axis(chances, truth[..., None].astype(int), axis=3))
    predicted = chances.argmax(axis=3)
    overlaps = [
        ((truth == c) & (predicted == c)).sum() / total
        for c in range(N_ROWS)
        if (total := ((truth == c) | (predicted == c)).sum())
    ]
    assert found["loss"] == pytest.approx(losses.sum() / (N_ROWS * 12), rel=1e-4)
    assert found["accuracy"] == pytest.approx((truth == predicted).mean(), rel=1e-4)
    assert found["iou"] == pytest.approx(np.mean(overlaps), rel=1e-4)


def test_a_model_of_a_mask_and_a_number_leaves_rows_of_blank_masks_out(some_broken):
    inputs = keras.Input((*SIZE, 3))
    constant = {"kernel_initializer": "zeros"}
    outputs = {
        "mask": keras.layers.Conv2D(1, 1, **constant)(inputs),
        "age": keras.layers.Dense(1, **constant)(keras.layers.Flatten()(inputs)),
    }
    model = keras.Model(inputs, outputs)
    model.compile("sgd", {"mask": "mse", "age": "mse"})
    masks = masks_of(some_broken, on_error="blank")
    ages = np.arange(N_ROWS, dtype=np.float32)
    y = {"mask": masks, "age": ages}
    dataset = PipelineDataset(unchanged(), photos(), y, batch_size=N_ROWS)
    with image_warnings():
        loss = model.evaluate(dataset, return_dict=True, verbose=0)["loss"]
    weights = ~np.isin(ages, BAD)
    squares = pixels_of_masks().astype(float).reshape(N_ROWS, -1) ** 2
    expected = (weights * (squares.mean(axis=1) + ages**2)).mean()
    assert loss == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("size", [(4, 4), (6, 5)])  # the first has as many columns as rows
def test_an_autoencoder_weighs_each_image_by_its_own_weight(size):
    x = np.random.default_rng(0).normal(size=(4, *size, 3)).astype(np.float32)
    zeros = keras.layers.Conv2D(3, 1, kernel_initializer="zeros")
    model = keras.Sequential([keras.Input((*size, 3)), zeros])
    model.compile("sgd", "mse")
    weights = np.array([1.0, 0, 0.5, 0])
    dataset = PipelineDataset(unchanged(), x, label_mode="input", sample_weight=weights)
    expected = (weights * (x**2).mean(axis=(1, 2, 3))).mean()
    assert model.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-4)
