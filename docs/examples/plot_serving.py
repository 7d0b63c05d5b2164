"""
Serving from bytes, in a fresh process
======================================

A server gets uploads as bytes. It has to normalise them exactly as in training, and should
not need a copy of the training code for that. Here the fitted pipeline is saved, loaded in
another process, and fed with bytes.
"""

# %%
# Train, and save
# ---------------

from pathlib import Path
from tempfile import TemporaryDirectory

import joblib
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline

from sknorm_images import ImageFlattener, load_image_folder, make_image_pipeline
from sknorm_images.demo import make_photo_folder

workspace = TemporaryDirectory()
folder = Path(workspace.name)
make_photo_folder(folder / "photos")
photos = load_image_folder(folder / "photos")
classifier = Pipeline(
    [
        *make_image_pipeline((16, 16), n_jobs=2).steps,
        ("flatten", ImageFlattener()),
        ("classify", LogisticRegression(max_iter=1000)),
    ]
)
classifier.fit(photos.filenames[::2], photos.target[::2])
joblib.dump(classifier, folder / "classifier.joblib")
print(f"{(folder / 'classifier.joblib').stat().st_size / 1000:.0f} kB")

# %%
# The server
# ----------
#
# It has only the file, and doesn't know how the pipeline was made. It reads the upload from
# its standard input, and writes the probability of each class. ``n_jobs`` was saved, too, so
# the server sets a value that suits one image. (Load only files that you trust: a pickle runs
# code.)

import subprocess
import sys

server = """
import json, sys
import joblib

classifier = joblib.load(sys.argv[1]).set_params(load__n_jobs=1)
upload = sys.stdin.buffer.read()
print(json.dumps(classifier.predict_proba([upload])[0].tolist()))
"""


def ask(upload):
    """Send bytes to a fresh process, and return what it answers."""
    command = [sys.executable, "-c", server, str(folder / "classifier.joblib")]
    return json.loads(subprocess.check_output(command, input=upload))


# %%
# Two uploads
# -----------
#
# Both processes give the same probabilities, to the last bit.

import json

import matplotlib.pyplot as plt
import numpy as np
from PIL import Image

figure, axes = plt.subplots(1, 2, figsize=(7, 3), layout="constrained")
for ax, filename in zip(axes, photos.filenames[[1, -3]], strict=True):
    answer = ask(Path(filename).read_bytes())
    assert np.array_equal(answer, classifier.predict_proba([filename])[0])
    ax.imshow(Image.open(filename))
    ax.set_axis_off()
    best = int(np.argmax(answer))
    ax.set_title(f"{photos.target_names[best]}, {answer[best]:.3f}")
plt.show()

# %%
# An upload that is not a photo
# -------------------------------
#
# The error says in one line what is wrong. The upload never reached a decoder.

from sknorm_images import ImageDecodeError

try:
    classifier.predict([b"%PDF-1.7"])
except ImageDecodeError as error:
    print(error.reason)

workspace.cleanup()
