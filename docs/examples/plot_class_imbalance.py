"""
A class with few photos
============================

With 6 photos of flowers among 100 of temples, a model learns to say "temple". Two
remedies of `~sknorm_images.keras.PipelineDataset` are one argument each: the loss of rare
classes counts more, or their photos are drawn more often.
"""

# %%
# 6 flowers and 100 temples to train with, and about 50 new pieces of each to test with.

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from sklearn.model_selection import train_test_split

from sknorm_images import load_image_folder, make_image_pipeline
from sknorm_images.demo import make_photo_folder

workspace = TemporaryDirectory()
folder = Path(workspace.name, "photos")
make_photo_folder(folder)
photos = load_image_folder(folder)
files, test_files, y, y_test = train_test_split(
    photos.filenames, photos.target, test_size=0.33, stratify=photos.target, random_state=0
)
rare, common = np.flatnonzero(y == 0)[:6], np.flatnonzero(y == 1)[:100]
few = np.concatenate([rare, common])
files, y = files[few], y[few]

pipeline = make_image_pipeline((48, 48), n_jobs=2).fit(files)

# %%
# Three ways
# ----------
#
# Everything else is the same: the model, its first weights, the seed, and the number of
# batches that it sees.

import keras
from sklearn.metrics import recall_score

from sknorm_images.keras import PipelineDataset

ways = {
    "as they are": {},
    'sample_weight="balanced"': {"sample_weight": "balanced"},
    "oversample=True": {"oversample": True},
}


def recalls(options):
    """Train with these options; return the recall of flowers and of temples."""
    keras.utils.set_random_seed(0)
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
        label_mode="binary",
        batch_size=20,
        shuffle=True,
        seed=0,
        drop_remainder=True,
        **options,
    )
    model.fit(train, epochs=100 // len(train), shuffle=False, verbose=0)
    test = PipelineDataset(pipeline, test_files, y_test, label_mode="binary", batch_size=33)
    predicted = model.predict(test, verbose=0)[:, 0] > 0.5
    return recall_score(y_test, predicted, average=None)


results = {name: recalls(options) for name, options in ways.items()}
for name, recall in results.items():
    print(f"{name}: {recall.round(2)}")

# %%
import matplotlib.pyplot as plt

figure, ax = plt.subplots(figsize=(7, 3), layout="constrained")
places = np.arange(len(results))
for i, name in enumerate(photos.target_names):
    heights = [recall[i] for recall in results.values()]
    bars = ax.bar(places + 0.4 * (i - 0.5), heights, 0.38, label=name)
    ax.bar_label(bars, fmt="%.2f")
ax.set_xticks(places, results)
ax.set(ylabel="recall on new photos", ylim=(0, 1.35))
ax.legend(loc="upper right", ncols=2)
plt.show()

# %%
# This is a single seed. :doc:`/training_with_keras` has the mean of five, with slightly
# different settings.

workspace.cleanup()
