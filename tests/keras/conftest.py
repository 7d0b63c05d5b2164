"""Datasets whose images are the numbers of their rows, and models that count them."""

from __future__ import annotations

import threading
import time
import warnings
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sknorm_images import ChannelStandardScaler, ImageDecodeWarning, make_image_pipeline
from sknorm_images.keras import PipelineDataset
from sknorm_images.keras._look_ahead import LookAhead

N_ROWS = 13  # four batches of four, the last one of a single row
BAD = [1, 4, 5, 6, 7]  # what of `broken` cannot be read
AHEAD = "sknorm_images-look-ahead"  # what threads that make batches ahead are called


@pytest.fixture(scope="session")
def pipeline(files: list[str]) -> Pipeline:
    """A pipeline fitted on `files`, whose pixels are those of the fixture `pixels`."""
    pipeline = make_image_pipeline((32, 48), n_jobs=2)
    return pipeline.set_params(resize__reducing_gap=None).fit(files)


@pytest.fixture(scope="session")
def blank_pipeline(files: list[str]) -> Pipeline:
    """The same, but files that cannot be read are left blank."""
    pipeline = make_image_pipeline((32, 48), on_error="blank")
    return pipeline.set_params(resize__reducing_gap=None).fit(files)


@pytest.fixture(scope="session")
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


def standardised(pixels: np.ndarray) -> np.ndarray:
    """What the pipelines make of `pixels`, in float64."""
    flat = pixels.reshape(-1, 3).astype(np.float64)
    return (pixels - flat.mean(axis=0)) / flat.std(axis=0)


def threads_ahead() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == AHEAD]


def let_threads_end() -> None:
    """Wait until none has work left; only a test that fails waits as long as this allows."""
    deadline = time.monotonic() + 300
    while (is_any_busy() or threads_ahead()) and time.monotonic() < deadline:
        time.sleep(0.001)
    assert threads_ahead() == []


_look_aheads: list[weakref.ref[LookAhead[Any]]] = []
_initialise = LookAhead.__init__


def _initialise_and_note(self: LookAhead[Any], *arguments: Any) -> None:
    _initialise(self, *arguments)
    _look_aheads.append(weakref.ref(self))


# Tests wait for all look-aheads, which nothing lists. mypy takes a method for a constant.
LookAhead.__init__ = _initialise_and_note  # type: ignore[method-assign]


def is_any_busy() -> bool:
    """Whether there is work that waits for a thread, or is done in one."""
    alive = [ahead for ref in _look_aheads if (ahead := ref()) is not None]
    _look_aheads[:] = map(weakref.ref, alive)
    return any(ahead._n_busy for ahead in alive)


@contextmanager
def image_warnings() -> Iterator[list[ImageDecodeWarning]]:
    """Gather the warnings of images that cannot be read; others stay errors, or ignored."""
    found: list[ImageDecodeWarning] = []
    with warnings.catch_warnings(record=True) as records:
        warnings.simplefilter("always", ImageDecodeWarning)
        yield found
    found += [record.message for record in records]


def unchanged() -> ChannelStandardScaler:
    """A scaler that changes no value, and needs no fit."""
    return ChannelStandardScaler(mean=0, std=1)


def row_numbers(n_rows: int = N_ROWS) -> np.ndarray:
    """Images of one pixel whose value is the number of their row."""
    return np.arange(n_rows, dtype=np.float32).reshape(-1, 1, 1, 1)


def numbered(n_rows: int = N_ROWS, batch_size: int = 4, **options: Any) -> PipelineDataset:
    """A dataset whose images and, unless `options` has others, labels are row numbers."""
    options = {"y": np.arange(n_rows, dtype=np.float32)} | options
    return PipelineDataset(unchanged(), row_numbers(n_rows), batch_size=batch_size, **options)


def batches_of(dataset: PipelineDataset) -> list[Any]:
    """Serve all batches of an epoch, in order."""
    return [dataset[i] for i in range(len(dataset))]


def order_of(dataset: PipelineDataset) -> list[int]:
    """Serve all batches, and say in which order the rows came."""
    batches = batches_of(dataset)
    for x, y in batches:
        np.testing.assert_array_equal(x.ravel(), y)  # images and labels stay together
    return [int(row) for x, _ in batches for row in x.ravel()]


def orders_of(dataset: PipelineDataset, n_epochs: int) -> list[list[int]]:
    """Serve several epochs, and say in which order the rows came."""
    orders = []
    for _ in range(n_epochs):
        orders.append(order_of(dataset))
        dataset.on_epoch_end()
    return orders


def assert_same_batches(batches: list[Any], expected: list[Any]) -> None:
    """Compare images, targets and weights, value by value and type by type."""
    assert len(batches) == len(expected)
    for batch, other in zip(batches, expected, strict=True):
        keras.tree.assert_same_structure(batch, other)
        for part, wanted in zip(
            keras.tree.flatten(batch), keras.tree.flatten(other), strict=True
        ):
            np.testing.assert_array_equal(part, wanted, strict=True)


def value_of(variable: keras.Variable) -> np.ndarray:
    """Copy the value of a variable, whatever the backend."""
    return keras.ops.convert_to_numpy(keras.ops.copy(variable))


class RowCounter(keras.layers.Layer):
    """Counts how often each row is trained on, and tested on, inside the compiled steps."""

    def __init__(self, n_rows: int, **options: Any) -> None:
        super().__init__(**options)
        self.n_rows = n_rows
        self.trained, self.tested = (
            self.add_weight(shape=(n_rows,), initializer="zeros", trainable=False, name=name)
            for name in ("trained", "tested")
        )

    def call(self, x: Any, training: bool = False) -> Any:
        rows = keras.ops.reshape(x, (-1,))
        seen = keras.ops.one_hot(keras.ops.cast(rows, "int32"), self.n_rows)
        counts = self.trained if training else self.tested
        counts.assign_add(keras.ops.sum(seen, axis=0))
        return keras.ops.reshape(rows, (-1, 1))

    def get_config(self) -> dict[str, Any]:
        return super().get_config() | {"n_rows": self.n_rows}


def counting_model(n_rows: int = N_ROWS) -> tuple[keras.Model, RowCounter]:
    """A model, not yet built, that learns from row numbers and counts them."""
    counter = RowCounter(n_rows)
    model = keras.Sequential([counter, keras.layers.Dense(1)])
    model.compile("sgd", "mse", metrics=["mae"])
    return model, counter


def linear_model() -> keras.Model:
    """A kernel of 1 and a bias of 0 for images of one pixel; plain gradient descent."""
    line = keras.layers.Dense(1, kernel_initializer="ones")
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten(), line])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def small_model() -> keras.Model:
    """A linear model of the mean colour of the photos."""
    model = keras.Sequential(
        [
            keras.Input((32, 48, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1),
        ]
    )
    model.compile("sgd", "mse")
    return model
