"""The recipes of the guide: Keras models in scikit-learn, and augmentation by libraries."""

from __future__ import annotations

import pickle
from types import ModuleType
from typing import Any

import keras
import numpy as np
import pytest
from keras.wrappers import SKLearnClassifier
from sklearn.model_selection import (
    GridSearchCV,
    StratifiedKFold,
    StratifiedShuffleSplit,
    cross_validate,
    train_test_split,
)
from sklearn.pipeline import Pipeline

from sknorm_images import (
    ImageFlattener,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images.demo import make_photo_folder
from sknorm_images.keras import PipelineDataset, normalization_layer
from tests.keras.conftest import batches_of, unchanged

SIZE = (32, 32)


# keras.wrappers.SKLearnClassifier as the last step of a pipeline


def make_model(
    X: np.ndarray, y: np.ndarray, units: int = 16, learning_rate: float = 0.01
) -> keras.Model:
    """A small CNN for rows of pixels and one-hot labels, as the wrapper hands them over."""
    model = keras.Sequential(
        [
            keras.Input(X.shape[1:]),
            keras.layers.Reshape((*SIZE, 3)),
            keras.layers.Conv2D(units, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(y.shape[1], activation="softmax"),
        ]
    )
    model.compile(keras.optimizers.Adam(learning_rate), "categorical_crossentropy")
    return model


def classifier(**options: Any) -> Pipeline:
    return Pipeline(
        [
            *make_image_pipeline(SIZE).steps,
            ("flatten", ImageFlattener()),
            ("classify", SKLearnClassifier(make_model, **options)),
        ]
    )


def n_epochs(fitted: Pipeline) -> int:
    return len(fitted["classify"].history_.history["loss"])


QUIET = {"classify__verbose": 0}


@pytest.fixture(scope="module")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> tuple[np.ndarray, np.ndarray]:
    """Paths of 300 photos, and "flower" or "temple" for each."""
    folder = tmp_path_factory.mktemp("demo") / "photos"
    make_photo_folder(folder)
    photos = load_image_folder(folder)
    return photos.filenames, np.array(photos.target_names)[photos.target]


@pytest.fixture(scope="module")
def fitted(labelled: tuple[np.ndarray, np.ndarray]) -> Pipeline:
    """A classifier fitted on 40 of the photos."""
    keras.utils.set_random_seed(0)
    filenames, labels = labelled
    rows = slice(None, None, 8)
    return classifier().fit(
        filenames[rows], labels[rows], classify__epochs=15, classify__batch_size=8, **QUIET
    )


def test_cross_validation_trains_all_epochs_that_are_fit_parameters(labelled):
    keras.utils.set_random_seed(0)
    results = cross_validate(
        classifier(),
        *labelled,
        cv=StratifiedKFold(2, shuffle=True, random_state=0),
        params={"classify__epochs": 5, "classify__batch_size": 16, **QUIET},
        return_estimator=True,
    )
    assert [n_epochs(fold) for fold in results["estimator"]] == [5, 5]
    assert results["test_score"].min() >= 0.9


def test_grid_search_finds_numbers_of_epochs_and_arguments_of_the_model(labelled):
    keras.utils.set_random_seed(0)
    filenames, _, labels, _ = train_test_split(
        *labelled, train_size=40, stratify=labelled[1], random_state=0
    )
    grid = [
        {
            "classify__fit_kwargs": [{"epochs": 6}],
            "classify__model_kwargs": [{"units": 8}],
        },
        {
            "classify__fit_kwargs": [{"epochs": 1}],
            "classify__model_kwargs": [{"learning_rate": 0.0}],
        },
    ]
    cv = StratifiedShuffleSplit(1, random_state=0)
    search = GridSearchCV(classifier(), grid, cv=cv).fit(
        filenames, labels, classify__batch_size=8, **QUIET
    )
    trained, standing_still = search.cv_results_["mean_test_score"]
    assert trained > standing_still
    assert n_epochs(search.best_estimator_) == 6
    kernel = search.best_estimator_["classify"].model_.weights[0]
    assert kernel.shape[-1] == 8


def test_predictions_of_paths_are_labels(labelled, fitted):
    filenames, labels = labelled
    predicted = fitted.predict(filenames[1::8])
    assert predicted.shape == labels[1::8].shape
    assert set(predicted) == {"flower", "temple"}
    assert np.mean(predicted == labels[1::8]) >= 0.9
    assert fitted.score(filenames[1::8], labels[1::8]) == np.mean(predicted == labels[1::8])


needs_decision_function = pytest.mark.skipif(
    not hasattr(SKLearnClassifier, "decision_function"), reason="Keras 3.10's has none"
)


@needs_decision_function
def test_the_decision_function_is_what_the_model_returns(labelled, fitted):
    filenames, _ = labelled
    outputs = fitted.decision_function(filenames[1::8])
    images = fitted[:3].transform(filenames[1::8]).reshape(-1, *SIZE, 3)
    without_reshape = keras.Sequential(fitted["classify"].model_.layers[1:])
    expected = keras.ops.convert_to_numpy(without_reshape(images))
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-5)
    classes = fitted.classes_[outputs.argmax(axis=1)]
    np.testing.assert_array_equal(classes, fitted.predict(filenames[1::8]))


@pytest.mark.parametrize(
    "options",
    [
        {"class_weight": {0: 3.0, 1: 0.5}},  # by place in classes_
        {"sample_weight": np.where(np.arange(20) < 10, 3.0, 0.5)},
    ],
    ids=["class_weight", "sample_weight"],
)
def test_weights_passed_to_fit_reach_the_loss(options, labelled):
    filenames = [*labelled[0][:10], *labelled[0][-10:]]
    labels = ["flower"] * 10 + ["temple"] * 10
    keras.utils.set_random_seed(0)
    standing_still = classifier(model_kwargs={"learning_rate": 0.0}).fit(
        filenames,
        labels,
        **{f"classify__{name}": value for name, value in options.items()},
        **QUIET,
    )
    # The model ends with the classes' probabilities; its first layer only reshapes.
    outputs = standing_still["classify"].model_.predict(
        standing_still[:-1].transform(filenames), verbose=0
    )
    losses = -np.log(outputs[np.arange(20), np.repeat([0, 1], 10)])
    expected = np.mean(losses * np.repeat([3.0, 0.5], 10))
    history = standing_still["classify"].history_.history
    assert history["loss"] == pytest.approx([expected], rel=1e-5)


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
def test_a_fitted_classifier_pickles_with_its_weights(labelled, fitted):
    loaded = pickle.loads(pickle.dumps(fitted))
    filenames = labelled[0][:20]
    np.testing.assert_array_equal(loaded.predict(filenames), fitted.predict(filenames))
    for before, after in zip(
        fitted["classify"].model_.get_weights(),
        loaded["classify"].model_.get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(after, before)


# Keras' own augmentation layers


def shifted_grey(brightness: float) -> keras.Model:
    """The mean grey level, made brighter in training, and a fit that learns nothing."""
    model = keras.Sequential(
        [
            keras.Input((4, 4, 1)),
            keras.layers.RandomBrightness((brightness, brightness)),
            normalization_layer(unchanged()),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, kernel_initializer="ones"),
        ]
    )
    model.compile(keras.optimizers.SGD(0.0), "mse")
    return model


def test_layers_in_the_model_augment_in_fit_alone():
    grey = np.full((6, 4, 4, 1), 100, np.uint8)
    dataset = PipelineDataset(unchanged(), grey, np.full(6, 100.0), batch_size=4)
    model = shifted_grey(0.2)
    history = model.fit(dataset, validation_data=dataset, shuffle=False, verbose=0).history
    assert history["loss"] == pytest.approx([(0.2 * 255) ** 2], rel=1e-4)
    assert history["val_loss"] == pytest.approx([0], abs=1e-6)
    assert model.evaluate(dataset, verbose=0) == pytest.approx(0, abs=1e-6)
    np.testing.assert_allclose(model.predict(dataset, verbose=0), 100, rtol=0, atol=1e-4)


def flip(x: Any, y: Any, generator: np.random.Generator) -> tuple[Any, Any]:
    seed = int(generator.integers(2**31))
    return keras.layers.RandomFlip("horizontal", seed=seed)(x, training=True), y


def turn_and_zoom(x: Any, y: Any, generator: np.random.Generator) -> tuple[Any, Any]:
    seeds = generator.integers(2**31, size=3).tolist()
    x = keras.layers.RandomFlip("horizontal", seed=seeds[0])(x, training=True)
    x = keras.layers.RandomRotation(20 / 360, seed=seeds[1])(x, training=True)
    return keras.layers.RandomZoom(0.2, 0.2, seed=seeds[2])(x, training=True), y


def served(dataset: PipelineDataset, epoch: int = 0) -> np.ndarray:
    """All images of an epoch."""
    dataset.epoch = epoch
    return np.concatenate([x for x, _ in batches_of(dataset)])


def assert_some_are_mirrored(images: np.ndarray, pixels: np.ndarray) -> None:
    """Check that some images are `pixels` the other way round, and the others as they were."""
    mirrored = pixels[:, :, ::-1]
    is_mirrored = [np.array_equal(*pair) for pair in zip(images, mirrored, strict=True)]
    assert 0 < sum(is_mirrored) < len(pixels)
    expected = np.where(np.reshape(is_mirrored, (-1, 1, 1, 1)), mirrored, pixels)
    np.testing.assert_array_equal(images, expected)


def test_a_layer_called_by_augment_flips_some_of_the_images(files, pixels, pipeline):
    dataset = PipelineDataset(
        pipeline[:-1], files, np.arange(24), batch_size=10, augment=flip, seed=0
    )
    assert_some_are_mirrored(served(dataset), pixels)


def assert_reproducible(dataset_of: Any) -> None:
    """Check that seed and epoch, and nothing else, determine the images."""
    images = served(dataset_of(seed=1, n_jobs=1))
    keras.utils.set_random_seed(99)
    np.testing.assert_array_equal(served(dataset_of(seed=1, n_jobs=2)), images)
    assert not np.array_equal(served(dataset_of(seed=1, n_jobs=2), epoch=1), images)
    assert not np.array_equal(served(dataset_of(seed=2, n_jobs=2)), images)


def test_layers_called_by_augment_depend_on_seed_and_epoch_alone(files, pixels, pipeline):
    def dataset_of(**options: Any) -> PipelineDataset:
        return PipelineDataset(
            pipeline[:-1], files, np.arange(24), batch_size=3, augment=turn_and_zoom, **options
        )

    assert_reproducible(dataset_of)
    assert np.abs(served(dataset_of(seed=1)) - pixels).mean() > 10


def test_fit_with_layers_called_by_augment_is_the_same_twice(files, pipeline):
    losses = []
    for n_jobs in (1, 2):
        keras.utils.set_random_seed(0)
        model = keras.Sequential(
            [
                keras.Input((32, 48, 3)),
                normalization_layer(pipeline[-1]),
                keras.layers.GlobalAveragePooling2D(),
                keras.layers.Dense(1),
            ]
        )
        model.compile("sgd", "mse")
        dataset = PipelineDataset(
            pipeline[:-1],
            files,
            np.linspace(0, 1, 24),
            batch_size=8,
            shuffle=True,
            seed=0,
            augment=turn_and_zoom,
            n_jobs=n_jobs,
        )
        history = model.fit(dataset, epochs=2, shuffle=False, verbose=0)
        losses.append(history.history["loss"])
    assert losses[0] == losses[1]


# Albumentations


@pytest.fixture
def albumentations(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The library, which otherwise looks for updates in the network when imported."""
    monkeypatch.setenv("NO_ALBUMENTATIONS_UPDATE", "1")
    return pytest.importorskip("albumentations")


def test_albumentations_called_by_augment_depend_on_seed_and_epoch_alone(
    files, pixels, pipeline, albumentations
):
    A = albumentations

    def augment(x: Any, y: Any, generator: np.random.Generator) -> tuple[Any, Any]:
        transform = A.Compose(
            [A.HorizontalFlip(), A.Affine(rotate=(-20, 20), p=1), A.GaussNoise(p=1)],
            seed=int(generator.integers(2**32)),
        )
        return np.stack([transform(image=image)["image"] for image in x]), y

    def dataset_of(**options: Any) -> PipelineDataset:
        return PipelineDataset(
            pipeline[:-1], files, np.arange(24), batch_size=3, augment=augment, **options
        )

    assert_reproducible(dataset_of)
    images = served(dataset_of(seed=1))
    assert images.dtype == np.uint8
    assert np.abs(images.astype(float) - pixels).mean() > 5


def test_albumentations_flips_some_of_the_images(files, pixels, pipeline, albumentations):
    A = albumentations

    def augment(x: Any, y: Any, generator: np.random.Generator) -> tuple[Any, Any]:
        transform = A.Compose([A.HorizontalFlip()], seed=int(generator.integers(2**32)))
        return np.stack([transform(image=image)["image"] for image in x]), y

    dataset = PipelineDataset(
        pipeline[:-1], files, np.arange(24), batch_size=10, augment=augment, seed=0
    )
    assert_some_are_mirrored(served(dataset), pixels)
