"""What weights and oversampling do for a class with few photos.

KERAS_BACKEND=jax python -m benchmarks.imbalance
"""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import keras
import numpy as np
from sklearn.metrics import recall_score
from sklearn.model_selection import train_test_split

from sknorm_images import load_image_folder, make_image_pipeline
from sknorm_images.demo import make_photo_folder
from sknorm_images.keras import PipelineDataset

N_RARE = 6  # photos of flowers, among 100 of temples
SEEDS = range(5)
WAYS: dict[str, dict[str, Any]] = {
    "as they are": {},
    'sample_weight="balanced"': {"sample_weight": "balanced"},
    "oversample=True": {"oversample": True},
}


def recalls(photos: Any, seed: int, epochs: int, options: dict[str, Any]) -> tuple[float, ...]:
    """Train on few flowers and many temples; return the recall of either on new photos."""
    files, test_files, y, y_test = train_test_split(
        photos.filenames,
        photos.target,
        stratify=photos.target,
        test_size=0.33,
        random_state=seed,
    )
    flowers, temples = np.flatnonzero(y == 0), np.flatnonzero(y == 1)
    chosen = np.concatenate([flowers[:N_RARE], temples[:100]])
    files, y = files[chosen], y[chosen]
    pipeline = make_image_pipeline((48, 48)).fit(files)
    keras.utils.set_random_seed(seed)
    model = keras.Sequential(
        [
            keras.Input((48, 48, 3)),
            keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
            keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(1, activation="sigmoid"),
        ]
    )
    model.compile("adam", "binary_crossentropy")
    train = PipelineDataset(
        pipeline,
        files,
        y,
        batch_size=16,
        shuffle=True,
        seed=seed,
        label_mode="binary",
        drop_remainder=True,
        **options,
    )
    # As many steps for each, though oversampling has more in an epoch.
    model.fit(train, epochs=epochs, steps_per_epoch=6, shuffle=False, verbose=0)
    predicted = model.predict(PipelineDataset(pipeline, test_files), verbose=0)[:, 0] > 0.5
    return tuple(recall_score(y_test, predicted, average=None))


if __name__ == "__main__":
    with TemporaryDirectory() as folder:
        make_photo_folder(Path(folder, "photos"))
        photos = load_image_folder(Path(folder, "photos"))
        for name, options in WAYS.items():
            found = [recalls(photos, seed, 20, options) for seed in SEEDS]
            rare, frequent = np.mean(found, axis=0)
            print(
                f"{name:26} recall of flowers {rare:.2f}  of temples {frequent:.2f}  "
                f"mean {np.mean(found):.2f}"
            )
