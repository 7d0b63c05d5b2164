"""The main job on real photos: fit, train, save, load elsewhere, predict the same."""

from __future__ import annotations

import importlib.util
import multiprocessing
import os
import sys
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
from sklearn.pipeline import Pipeline
from sklearn.utils import Bunch

from sknorm_images import ImageDecodeError, JpegLoader, check_images, make_image_pipeline
from sknorm_images._common.wording import show_name
from sknorm_images._images.color_modes import channels_of

PIPELINE, MODEL = "pipeline.joblib", "model.keras"
_FILES_PER_CLASS = 150
_FEWEST_FILES = 4
_BACKENDS = ("jax", "tensorflow", "torch")
_SIZE = (64, 64)
_SEED = 0
_EPOCHS = 15


def leave_out_broken(
    photos: Bunch, directory: str, loader: JpegLoader
) -> tuple[Bunch, list[ImageDecodeError]]:
    """Return the photos that can be read, and why each of the others cannot.

    `photos` are what `load_image_folder` lists in `directory`. Raises ValueError if there are
    not two classes of at least four files that can be read, and what `check_images` raises.
    """
    if photos.target is None or len(photos.target_names) < 2:
        raise ValueError(
            f"{show_name(directory)} has fewer than two classes, so a model cannot learn to "
            "tell them apart. Give it one sub-folder of JPEG files per class."
        )
    found = check_images(
        photos.filenames, loader=loader, n_jobs=-1, verbose=sys.stderr.isatty()
    )
    counts = np.bincount(photos.target[found.readable], minlength=len(photos.target_names))
    if (fewest := int(counts.min())) < _FEWEST_FILES:
        smallest = f"{directory}/{photos.target_names[counts.argmin()]}"
        held = f"{fewest} photo{'s' * (fewest != 1)}"
        if not found.readable.all():
            held += " that can be read (`sknorm-images check` names the others)"
        raise ValueError(
            f"{show_name(smallest)} holds {held}, and a quarter of each class is held out. "
            f"Give each class at least {_FEWEST_FILES}."
        )
    readable = Bunch(**photos)
    readable.filenames = photos.filenames[found.readable]
    readable.target = photos.target[found.readable]
    broken = np.flatnonzero(~found.readable)
    return readable, [ImageDecodeError(found.filename[i], found.reason[i]) for i in broken]


def run_demo(photos: Bunch, folder: Path, loading: Mapping[str, Any]) -> tuple[Pipeline, bool]:
    """Do what a user does, and print what comes out.

    `photos` can all be read. The pipeline and the model are saved to `folder`, as
    ``pipeline.joblib`` and ``model.keras``. `loading` holds parameters for `JpegLoader`.
    Returns the pipeline, and whether what was saved predicts in a fresh process what it
    predicts here.
    """
    train_files, test_files, y_train, y_test = train_test_split(
        photos.filenames,
        photos.target,
        test_size=0.25,
        stratify=photos.target,
        random_state=_SEED,
    )
    print(f"{len(photos.filenames)} photos of {len(photos.target_names)} classes")
    # So that `transform` takes the user's whole folder, broken files included.
    pipeline = make_image_pipeline(
        _SIZE, on_error="blank", n_jobs=-1, verbose=sys.stderr.isatty()
    )
    pipeline["load"].set_params(**loading)
    start = time.perf_counter()
    pipeline.fit(train_files)
    seconds = time.perf_counter() - start
    pipeline.set_params(load__n_jobs=None, load__verbose=0)  # settings for this machine
    pipeline.class_names_ = photos.target_names  # for `sknorm-images transform`
    scaler = pipeline[-1]
    print(f"fitted on {scaler.n_samples_seen_} training photos in {seconds:.2f} s")
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
    # A bar where there is a terminal, else a line per epoch.
    model.fit(train, epochs=_EPOCHS, shuffle=False, verbose=1 if sys.stdout.isatty() else 2)
    _, accuracy = model.evaluate(test, verbose=0)
    print(f"held-out accuracy: {accuracy:.3f} ({len(test_files)} photos)")

    joblib.dump(pipeline, folder / PIPELINE)
    model.save(folder / MODEL)
    here = predict_files(folder, list(test_files))
    # A spawned process inherits nothing: it has to load both files.
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as fresh_process:
        there = fresh_process.submit(predict_files, folder, list(test_files)).result()
    trained = model.predict(test, verbose=0)
    same = np.array_equal(here, there) and np.allclose(here, trained, atol=1e-6)
    print(f"predictions of a fresh process are {'the same' if same else 'DIFFERENT'}")
    return pipeline, same


def predict_files(folder: Path, files: list[str]) -> NDArray[np.float32]:
    """Predict class probabilities with a saved pipeline and model.

    The result has shape (n_files, n_classes). `folder` holds ``pipeline.joblib`` and
    ``model.keras``.
    """
    import keras

    pipeline = joblib.load(folder / PIPELINE).set_params(load__n_jobs=-1)
    model = keras.saving.load_model(folder / MODEL)
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
            f"KERAS_BACKEND={backend} is not an installed backend. Install it, or set "
            f"KERAS_BACKEND={' or '.join(installed)}."
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
