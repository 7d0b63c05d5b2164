"""
Training with Keras, batch by batch
===================================

`~sknorm_images.keras.PipelineDataset` hands ``model.fit`` one transformed batch after
another, while threads decode the next ones. The backend here is JAX; TensorFlow and PyTorch
do the same.
"""

# %%
# We hold out a quarter of the files. The statistics come only from the others.

from pathlib import Path
from tempfile import TemporaryDirectory

from sklearn.model_selection import train_test_split

from sknorm_images import load_image_folder, make_image_pipeline
from sknorm_images.demo import make_photo_folder

workspace = TemporaryDirectory()
folder = Path(workspace.name, "photos")
make_photo_folder(folder)
photos = load_image_folder(folder)
files, test_files, y, y_test = train_test_split(
    photos.filenames, photos.target, stratify=photos.target, random_state=0
)
pipeline = make_image_pipeline((48, 48), n_jobs=2).fit(files)

# %%
# The scaler learned one histogram per channel. The mean and the standard deviation scale the
# batches.

import matplotlib.pyplot as plt

from sknorm_images.plotting import ChannelHistogramDisplay

ChannelHistogramDisplay.from_estimator(pipeline)
plt.show()

# %%
# The datasets
# ------------
#
# The order of every epoch depends on the seed. With ``shuffle=False``, ``model.fit`` doesn't
# shuffle again.

import keras

from sknorm_images.keras import PipelineDataset

train = PipelineDataset(pipeline, files, y, shuffle=True, seed=0)
test = PipelineDataset(pipeline, test_files, y_test)

keras.utils.set_random_seed(0)
model = keras.Sequential(
    [
        keras.Input((48, 48, 3)),
        keras.layers.Conv2D(16, 3, strides=2, activation="relu"),
        keras.layers.Conv2D(32, 3, strides=2, activation="relu"),
        keras.layers.GlobalAveragePooling2D(),
        keras.layers.Dense(2, activation="softmax"),
    ]
)
model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
history = model.fit(train, validation_data=test, epochs=12, shuffle=False, verbose=0).history

# %%
# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
for ax, name in zip(axes, ("loss", "accuracy"), strict=True):
    ax.plot(history[name], label="training files")
    ax.plot(history[f"val_{name}"], label="held-out files")
    ax.set(xlabel="epoch", title=name)
axes[0].legend()
plt.show()

# %%
# Which photos it is least sure of
# -------------------------------------
#
# Predictions come in the order of the files.

import numpy as np

from sknorm_images.plotting import ImageGridDisplay

probability = model.predict(test, verbose=0)[np.arange(len(y_test)), y_test]
ImageGridDisplay.from_estimator(pipeline, test_files[np.argsort(probability)], n_images=8)
plt.show()

# %%
workspace.cleanup()
