"""The main job on real photos: fit, train, save, load elsewhere, predict the same."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import joblib
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sklearn.datasets import load_sample_images
from sklearn.model_selection import train_test_split
from sklearn.utils import Bunch

from sknorm_images import load_image_folder, make_image_pipeline
from sknorm_images._common.wording import show_name
from sknorm_images._files.protocols import protocols_of
from sknorm_images._images.color_modes import channels_of

_FILES_PER_CLASS = 150
_FEWEST_FILES = 4
_BACKENDS = ("jax", "tensorflow", "torch")
_SIZE = (64, 64)
_SEED = 0


def run_demo(
    data: str | None = None,
    photos: Bunch | None = None,
    loading: Mapping[str, Any] | None = None,
) -> int:
    """Do what a user does, and print what comes out.

    `data` is a folder with one sub-folder per class; None makes one out of scikit-learn's
    two photos. `photos` are its files as `load_image_folder` lists them; None lists them.
    `loading` holds parameters for `JpegLoader`. Returns an exit status: 0 if the loaded
    pipeline and model predict the same as the saved ones. Raises OSError or ValueError if the
    folder cannot be used, and ImportError if Keras or a backend is missing.
    """
    choose_backend()
    with tempfile.TemporaryDirectory(prefix="sknorm_images-") as workspace:
        folder = str(Path(workspace, "photos")) if data is None else data
        if data is None:
            make_photo_folder(Path(folder))
        photos = photos or load_image_folder(folder)
        if photos.target is None or len(photos.target_names) < 2:
            raise ValueError(
                f"{show_name(folder)} holds no two classes to tell apart. Give it one "
                "sub-folder of JPEG files for each class."
            )
        counts = np.bincount(photos.target, minlength=len(photos.target_names))
        if counts.min() < _FEWEST_FILES:
            smallest = f"{folder}/{photos.target_names[counts.argmin()]}"
            raise ValueError(
                f"{show_name(smallest)} holds {counts.min()} JPEG files, and a quarter of "
                f"each class is held out. Give each class at least {_FEWEST_FILES}."
            )
        print(f"{len(photos.filenames)} JPEG files of {len(photos.target_names)} classes")
        loading = {"protocols": protocols_of(folder), **(loading or {})}
        return _train_and_compare(photos, loading, Path(workspace))


def _train_and_compare(photos: Any, loading: Mapping[str, Any], workspace: Path) -> int:
    train_files, test_files, y_train, y_test = train_test_split(
        photos.filenames,
        photos.target,
        test_size=0.25,
        stratify=photos.target,
        random_state=_SEED,
    )
    pipeline = make_image_pipeline(_SIZE, on_error="blank", n_jobs=-1)
    pipeline["load"].set_params(**loading)
    start = time.perf_counter()
    pipeline.fit(train_files)
    seconds = time.perf_counter() - start
    scaler = pipeline[-1]
    print(f"fitted on {scaler.n_samples_seen_} training files in {seconds:.2f} s")
    channels = channels_of(scaler.n_features_in_, pipeline["load"].color_mode)
    for name, mean, std in zip(channels, scaler.mean_, scaler.scale_, strict=True):
        print(f"  {name:5}  mean {mean:7.3f}  std {std:7.3f}  (grey levels)")

    import keras

    from sknorm_images.keras import PipelineDataset

    keras.utils.set_random_seed(_SEED)
    train = PipelineDataset(pipeline, train_files, y_train, shuffle=True, seed=_SEED)
    test = PipelineDataset(pipeline, test_files, y_test)
    model = _build_model(keras, len(photos.target_names))
    backend = keras.backend.backend()
    print(f"training a small CNN with Keras {keras.__version__} on {backend}")
    model.fit(train, epochs=15, shuffle=False, verbose=0)
    _, accuracy = model.evaluate(test, verbose=0)
    print(f"held-out accuracy: {accuracy:.3f} ({len(test_files)} files)")

    joblib.dump(pipeline, workspace / "pipeline.joblib")
    model.save(workspace / "model.keras")
    size = (workspace / "pipeline.joblib").stat().st_size
    print(f"saved the pipeline ({size / 1000:.1f} kB) and the model")
    here = predict_files(workspace, list(test_files))
    # A spawned process inherits nothing: it has to load both files.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as fresh_process:
        there = fresh_process.submit(predict_files, workspace, list(test_files)).result()
    trained = model.predict(test, verbose=0)
    same = np.array_equal(here, there) and np.allclose(here, trained, atol=1e-6)
    print(f"predictions of a fresh process are {'the same' if same else 'DIFFERENT'}")
    return 0 if same else 1


def predict_files(workspace: Path, files: list[str]) -> NDArray[np.float32]:
    """Predict class probabilities with a saved pipeline and model.

    The result has shape (n_files, n_classes). `workspace` holds ``pipeline.joblib`` and
    ``model.keras``.
    """
    import keras

    pipeline = joblib.load(workspace / "pipeline.joblib")
    model = keras.saving.load_model(workspace / "model.keras")
    return np.asarray(model.predict(pipeline.transform(files), verbose=0))


def choose_backend() -> None:
    """Set ``KERAS_BACKEND`` to the first backend installed, for child processes, too.

    One that is set already stays. Raises ImportError if it is not installed, or if Keras or
    all backends are missing.
    """
    installed = [name for name in _BACKENDS if importlib.util.find_spec(name)]
    if importlib.util.find_spec("keras") is None or not installed:
        raise ImportError(
            "the demo needs Keras and a backend. "
            'Run: python -m pip install "sknorm-images[demo]"'
        )
    backend = os.environ.setdefault("KERAS_BACKEND", installed[0])
    if backend not in installed:
        raise ImportError(
            f"KERAS_BACKEND={backend} is not installed, unlike {', '.join(installed)}. "
            f"Install it, or set KERAS_BACKEND={installed[0]}."
        )


def make_photo_folder(folder: Path) -> None:
    """Cut JPEG files of various sizes and qualities out of scikit-learn's photos.

    Their sub-folders ``flower`` and ``temple`` are made in `folder`.
    """
    random = np.random.default_rng(_SEED)
    temple, flower = (Image.fromarray(photo) for photo in load_sample_images().images)
    for name, photo in (("flower", flower), ("temple", temple)):
        (folder / name).mkdir(parents=True)
        for i in range(_FILES_PER_CLASS):
            width, height = (int(side) for side in random.integers(120, 300, size=2))
            left = int(random.integers(0, photo.width - width))
            top = int(random.integers(0, photo.height - height))
            crop = photo.crop((left, top, left + width, top + height))
            quality = int(random.integers(50, 96))
            crop.save(folder / name / f"{name}_{i:03}.jpg", quality=quality)


def _build_model(keras: Any, n_classes: int) -> Any:
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((*_SIZE, 3)),
            layers.Conv2D(16, 3, strides=2, activation="relu"),
            layers.Conv2D(32, 3, strides=2, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(n_classes, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model
