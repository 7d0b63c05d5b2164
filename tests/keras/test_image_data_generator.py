"""What the page "Coming from ImageDataGenerator" says is equal: numbers against Keras'."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    JpegLoader,
    Resizer,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import batches_of, unchanged

layers = keras.layers


@pytest.fixture(scope="module")
def folder(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The 24 photos in a folder a class."""
    folder = tmp_path_factory.mktemp("classes")
    for i, path in enumerate(files):
        place = folder / ("flower" if i % 2 else "temple")
        place.mkdir(exist_ok=True)
        shutil.copy(path, place)
    return folder


@pytest.fixture(scope="module")
def image_data_generator() -> Any:
    """Keras' class; only TensorFlow still has a public name for it."""
    pytest.importorskip("tensorflow")
    from tensorflow.keras.preprocessing.image import ImageDataGenerator

    return ImageDataGenerator


@pytest.fixture(scope="module")
def square(photos: list[Any]) -> np.ndarray:
    """The two photos at 64 x 64, as float32."""
    return np.stack([np.asarray(photo.resize((64, 64)), np.float32) for photo in photos])


def images_and_targets(iterator: Any) -> tuple[np.ndarray, np.ndarray]:
    x, y = zip(*(iterator[i] for i in range(len(iterator))), strict=True)
    return np.concatenate(x), np.concatenate(y)


# Numbers


@pytest.mark.parametrize(("dtype", "digits"), [("float64", 1e-6), ("float32", 1e-4)])
def test_featurewise_options_equal_the_scaler_fitted_on_the_files(
    dtype, digits, folder, image_data_generator
):
    generator = image_data_generator(
        featurewise_center=True, featurewise_std_normalization=True, dtype=dtype
    )
    options = {"target_size": (32, 48), "shuffle": False, "batch_size": 7}
    raw = image_data_generator(dtype=dtype).flow_from_directory(folder, **options)
    generator.fit(images_and_targets(raw)[0])  # every image in memory
    expected, _ = images_and_targets(generator.flow_from_directory(folder, **options))

    pipeline = make_image_pipeline((32, 48), interpolation="nearest")
    filenames = load_image_folder(folder).filenames
    scaled = pipeline.fit(filenames).transform(filenames)

    np.testing.assert_allclose(scaled, expected, rtol=digits, atol=digits)


@pytest.mark.parametrize("with_std", [False, True])
def test_samplewise_options_equal_per_image(with_std, pixels, image_data_generator):
    generator = image_data_generator(
        samplewise_center=True, samplewise_std_normalization=with_std, dtype="float64"
    )
    expected = generator.flow(pixels, batch_size=24, shuffle=False)[0]
    if with_std:
        std = pixels.std(axis=(1, 2, 3), keepdims=True)
        expected *= (std + 1e-6) / std  # Keras adds that to the divisor
    scaler = ChannelStandardScaler(per_image="image", with_std=with_std)
    batch = PipelineDataset(scaler, pixels, batch_size=24)[0]
    np.testing.assert_allclose(batch, expected, rtol=1e-6, atol=1e-6)


def test_rescale_equals_a_known_data_range(pixels, image_data_generator):
    generator = image_data_generator(rescale=1 / 255)
    expected = generator.flow(pixels, batch_size=24, shuffle=False)[0]
    scaled = ChannelMinMaxScaler(data_range=(0, 255)).transform(pixels)
    np.testing.assert_allclose(scaled, expected, rtol=0, atol=1e-7)


def test_any_factor_of_rescale_equals_a_known_std(pixels, image_data_generator):
    generator = image_data_generator(rescale=1 / 127.5)
    expected = generator.flow(pixels, batch_size=24, shuffle=False)[0]
    scaled = ChannelStandardScaler(mean=0, std=127.5).transform(pixels)
    np.testing.assert_allclose(scaled, expected, rtol=1e-6, atol=0)


@pytest.mark.parametrize(
    ("preprocess_input", "scaler"),
    [
        (
            keras.applications.mobilenet_v2.preprocess_input,
            ChannelMinMaxScaler((-1, 1), data_range=(0, 255)),
        ),
        (
            keras.applications.densenet.preprocess_input,
            ChannelStandardScaler(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
        ),
    ],
    ids=["tf mode", "torch mode"],
)
def test_preprocess_input_of_pretrained_models_equals_known_constants(
    preprocess_input, scaler, pixels
):
    expected = preprocess_input(pixels.astype(np.float64))
    np.testing.assert_allclose(scaler.transform(pixels), expected, rtol=0, atol=1e-6)


def test_a_preprocessing_function_is_a_step_of_the_pipeline(files, pixels):
    preprocess_input = keras.applications.resnet50.preprocess_input

    def preprocess(images: Any) -> Any:
        return preprocess_input(np.asarray(images, np.float32))

    steps = make_image_pipeline((32, 48)).set_params(resize__reducing_gap=None).steps[:2]
    pipeline = Pipeline([*steps, ("preprocess", FunctionTransformer(preprocess))])
    dataset = PipelineDataset(pipeline.fit(files), files, batch_size=24)
    bgr = pixels[..., ::-1] - np.array([103.939, 116.779, 123.68])
    np.testing.assert_allclose(dataset[0], bgr, rtol=0, atol=1e-4)


# Files, pixels and labels


def test_files_classes_and_their_order_are_those_of_flow_from_directory(
    folder, image_data_generator
):
    iterator = image_data_generator().flow_from_directory(folder, shuffle=False)
    photos = load_image_folder(folder)
    assert photos.filenames.tolist() == iterator.filepaths
    np.testing.assert_array_equal(photos.target, iterator.classes)
    assert dict(zip(photos.target_names, (0, 1), strict=True)) == iterator.class_indices


def test_class_names_order_the_classes_as_classes_does(folder, image_data_generator):
    names = ["temple", "flower"]
    iterator = image_data_generator().flow_from_directory(folder, classes=names, shuffle=False)
    photos = load_image_folder(folder, class_names=names)
    assert photos.filenames.tolist() == iterator.filepaths
    np.testing.assert_array_equal(photos.target, iterator.classes)


@pytest.mark.parametrize("color_mode", ["rgb", "grayscale"])
def test_pixels_equal_flow_from_directory(color_mode, folder, image_data_generator):
    iterator = image_data_generator().flow_from_directory(
        folder, target_size=(32, 48), color_mode=color_mode, batch_size=24, shuffle=False
    )
    loader = JpegLoader(color_mode=color_mode, exif_orientation=False)
    resizer = Resizer((32, 48), interpolation="nearest")
    images = resizer.transform(loader.transform(load_image_folder(folder).filenames))
    np.testing.assert_array_equal(np.asarray(images), iterator[0][0])


@pytest.mark.parametrize(
    ("class_mode", "label_mode"),
    [
        ("categorical", "categorical"),
        ("sparse", "int"),
        ("binary", "binary"),
        ("input", "input"),
    ],
)
def test_labels_equal_flow_from_directory(
    class_mode, label_mode, folder, image_data_generator
):
    iterator = image_data_generator().flow_from_directory(
        folder, target_size=(8, 8), class_mode=class_mode, shuffle=False
    )
    filenames, target = load_image_folder(folder, return_X_y=True)
    pipeline = make_image_pipeline(8, unchanged(), interpolation="nearest")
    dataset = PipelineDataset(pipeline, filenames, target, label_mode=label_mode)
    y, expected = dataset[0][1], iterator[0][1]
    if class_mode == "binary":  # ours has the shape that the output of a model has
        assert (y.shape, expected.shape) == ((24, 1), (24,))
    np.testing.assert_array_equal(y.reshape(expected.shape), expected)


def test_regression_with_weights_equals_flow_from_dataframe(files, image_data_generator):
    table = pd.DataFrame({"file": files, "age": np.linspace(0, 9, 24), "trust": 1.0})
    table.loc[::3, "trust"] = 0.5
    iterator = image_data_generator().flow_from_dataframe(
        table,
        x_col="file",
        y_col="age",
        weight_col="trust",
        class_mode="raw",
        target_size=(32, 48),
        batch_size=10,
        shuffle=False,
    )
    pipeline = make_image_pipeline((32, 48), unchanged(), interpolation="nearest")
    dataset = PipelineDataset(
        pipeline, table["file"], table["age"], sample_weight=table["trust"], batch_size=10
    )
    assert len(dataset) == len(iterator)
    for i, batch in enumerate(batches_of(dataset)):
        for part, expected in zip(batch, iterator[i], strict=True):
            np.testing.assert_array_equal(part, expected)


@pytest.mark.filterwarnings("ignore:Your `PyDataset` class:UserWarning")  # Keras 3.10's own
def test_evaluate_equals_that_of_flow_from_directory(folder, image_data_generator):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((32, 48, 3)),
            layers.GlobalAveragePooling2D(),
            layers.Dense(2, activation="softmax"),
        ]
    )
    model.compile(loss="categorical_crossentropy", metrics=["accuracy"])
    iterator = image_data_generator(rescale=1 / 255).flow_from_directory(
        folder, target_size=(32, 48), batch_size=7, shuffle=False
    )
    scaler = ChannelMinMaxScaler(data_range=(0, 255))
    dataset = PipelineDataset(
        make_image_pipeline((32, 48), scaler, interpolation="nearest"),
        *load_image_folder(folder, return_X_y=True),
        label_mode="categorical",
        batch_size=7,
    )
    expected = model.evaluate(iterator, verbose=0)
    assert model.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("label_mode", ["int", "categorical", "binary"])
def test_files_and_labels_equal_image_dataset_from_directory(label_mode, folder):
    pytest.importorskip("tensorflow")
    tensors = keras.utils.image_dataset_from_directory(
        folder, label_mode=label_mode, shuffle=False, image_size=(8, 8), verbose=False
    )
    photos = load_image_folder(folder)
    assert photos.filenames.tolist() == tensors.file_paths
    assert photos.target_names == tensors.class_names
    pipeline = make_image_pipeline(8, unchanged())
    dataset = PipelineDataset(pipeline, photos.filenames, photos.target, label_mode=label_mode)
    for (x, y), (pixels, labels) in zip(batches_of(dataset), tensors, strict=True):
        np.testing.assert_array_equal(y, labels.numpy())
        assert (x.shape, x.dtype, y.shape) == (pixels.shape, pixels.dtype, labels.shape)


# Random transformations, as layers whose range is a single value


@pytest.mark.parametrize(
    ("parameters", "layer", "factors"),
    [
        ({"theta": 30}, layers.RandomRotation, [30 / 360]),
        ({"theta": -75}, layers.RandomRotation, [-75 / 360]),
        # What height_shift_range draws moves the image sideways, and the other way round.
        ({"tx": 8}, layers.RandomTranslation, [0, -8 / 64]),
        ({"ty": 8}, layers.RandomTranslation, [-8 / 64, 0]),
        ({"zx": 1.25, "zy": 0.75}, layers.RandomZoom, [-0.25, 0.25]),
    ],
    ids=["turn left", "turn right", "height_shift_range", "width_shift_range", "zoom"],
)
@pytest.mark.parametrize("fill_mode", ["nearest", "reflect"])
@pytest.mark.filterwarnings("ignore:Please import `affine_transform`:DeprecationWarning")
def test_geometric_ranges_convert_to_those_of_the_layers(
    fill_mode, parameters, layer, factors, square, image_data_generator
):
    generator = image_data_generator(fill_mode=fill_mode)
    expected = np.stack([generator.apply_transform(image, parameters) for image in square])
    fixed = layer(*[(factor, factor) for factor in factors], fill_mode=fill_mode)
    output = keras.ops.convert_to_numpy(fixed(square, training=True))
    assert np.abs(expected - square).mean() > 10
    np.testing.assert_allclose(output, expected, rtol=0, atol=0.01)


@pytest.mark.parametrize(
    ("parameters", "mode"),
    [({"flip_horizontal": True}, "horizontal"), ({"flip_vertical": True}, "vertical")],
)
def test_flips_are_those_of_the_layer(parameters, mode, square, image_data_generator):
    expected = image_data_generator().apply_transform(square[0], parameters)
    flipped = layers.RandomFlip(mode, seed=0)(np.stack([square[0]] * 16), training=True)
    flipped = keras.ops.convert_to_numpy(flipped)
    changed = [not np.array_equal(image, square[0]) for image in flipped]
    assert 0 < sum(changed) < 16
    for image in flipped[changed]:
        np.testing.assert_array_equal(image, expected)


def test_brightness_range_multiplies(square, image_data_generator):
    generator = image_data_generator()
    expected = np.stack([generator.apply_transform(x, {"brightness": 1.3}) for x in square])
    output = np.clip(square * 1.3, 0, 255)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1)  # Keras' rounds


def test_channel_shift_range_adds_one_number_to_all_channels(square, image_data_generator):
    generator = image_data_generator()
    shift = {"channel_shift_intensity": 30}
    expected = np.stack([generator.apply_transform(image, shift) for image in square])
    layer = layers.RandomBrightness((30 / 255, 30 / 255))
    output = keras.ops.convert_to_numpy(layer(square, training=True))
    brightest = square.max(axis=(1, 2, 3), keepdims=True)  # where Keras' cuts off
    np.testing.assert_allclose(np.minimum(output, brightest), expected, rtol=0, atol=1e-3)
