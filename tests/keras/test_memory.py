"""Peak memory of a process that trains: the same for many files as for few."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.conftest import encode
from tests.peak_memory import measure

N_FILES = 64


@pytest.fixture(scope="module")
def squares(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """JPEG files of 160 x 160 pixels: 307 kB each as float32."""
    folder = tmp_path_factory.mktemp("squares")
    random = np.random.default_rng(0)
    paths: list[Path] = []
    for i in range(N_FILES):
        left, top = int(random.integers(0, 480)), int(random.integers(0, 267))
        paths.append(folder / f"{i:03}.jpg")
        paths[-1].write_bytes(encode(photos[i % 2].crop((left, top, left + 160, top + 160))))
    return [str(path) for path in paths]


TRAIN = """
import keras
from sknorm_images import ChannelMinMaxScaler, make_image_pipeline
from sknorm_images.keras import PipelineDataset

pipeline = make_image_pipeline((160, 160), ChannelMinMaxScaler(data_range=(0, 255)))
pooling = keras.layers.AveragePooling2D(160)
model = keras.Sequential(
    [keras.Input((160, 160, 3)), pooling, keras.layers.Flatten(), keras.layers.Dense(1)]
)
model.compile("sgd", "mse")


def train(paths):
    dataset = PipelineDataset(
        pipeline, paths, np.zeros(len(paths)), batch_size=8, shuffle=True, seed=0, n_jobs=2
    )
    model.fit(dataset, shuffle=False, verbose=0)


paths = inputs["paths"]
for _ in range(3):  # what is loaded and set up once
    train(paths)
few = peak()
train(paths * 8)
many = peak()
held = np.ones(200 * MEGABYTE, np.uint8)
json.dump({"few": few, "many": many, "with_200_megabytes": peak()}, sys.stdout)
"""


def test_training_on_eight_times_more_files_needs_no_more_memory(squares):
    peaks = measure(TRAIN, paths=squares)
    # The 448 images more take 138 MB; a few batches of 2.5 MB, more or less, are under way.
    assert peaks["many"] - peaks["few"] < 40
    assert peaks["with_200_megabytes"] - peaks["many"] > 100  # the measure would have seen it
