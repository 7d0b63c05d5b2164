"""
A scikit-learn classifier from files to classes
===============================================

Files go in, classes come out, and everything in between is one scikit-learn estimator. It is
cross-validated like any other, and the mean and standard deviation of each fold come from
its own training files.
"""

# %%
# The photos
# ---------------
#
# 300 JPEG files of different sizes and qualities, cut out of the two photos that
# scikit-learn ships. For your own folder, you only need `~sknorm_images.load_image_folder`.

from pathlib import Path
from tempfile import TemporaryDirectory

from sknorm_images import load_image_folder
from sknorm_images.demo import make_photo_folder

workspace = TemporaryDirectory()
folder = Path(workspace.name, "photos")
make_photo_folder(folder)
photos = load_image_folder(folder)
print(len(photos.filenames), "files of", photos.target_names)

# %%
# `~sknorm_images.JpegLoader` and `~sknorm_images.Resizer` only describe the work.
# The grid is the first to open files, twelve of them.

import matplotlib.pyplot as plt

from sknorm_images import make_image_pipeline
from sknorm_images.plotting import ImageGridDisplay

pipeline = make_image_pipeline((64, 64), n_jobs=2)
ImageGridDisplay.from_estimator(pipeline[:-1], photos.filenames[::25])
plt.show()

# %%
# The classifier
# --------------
#
# 8 x 8 grey pixels are a hard test. `~sknorm_images.ImageFlattener` turns each image into a
# row of 64 numbers.

from sklearn.model_selection import cross_val_predict
from sklearn.pipeline import Pipeline
from sklearn.svm import SVC

from sknorm_images import ImageFlattener

classifier = Pipeline(
    [
        *make_image_pipeline((8, 8), color_mode="grayscale", n_jobs=2).steps,
        ("flatten", ImageFlattener()),
        ("classify", SVC()),
    ]
)
predicted = cross_val_predict(classifier, photos.filenames, photos.target, cv=5)

# %%
# What it gets wrong
# ------------------

from sklearn.metrics import ConfusionMatrixDisplay

ConfusionMatrixDisplay.from_predictions(
    photos.target, predicted, display_labels=photos.target_names, colorbar=False
)
plt.show()

# %%
# Each row has its file name, so we can look at the mistakes.

wrong = photos.filenames[predicted != photos.target]
print(len(wrong), "of", len(photos.filenames))
ImageGridDisplay.from_estimator(pipeline[:-1], wrong, n_images=8)
plt.show()

# %%
workspace.cleanup()
