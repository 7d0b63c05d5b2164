"""
Statistics of one folder, applied to another
============================================

A scaler is fitted on the photos that a model is trained with. Later photos are scaled by
the same numbers, whatever they look like. For a pretrained model, use the constants that it
was trained with. This example shows the results.
"""

# %%
# Two folders
# -----------
#
# One holds pieces of a photo of a temple, the other pieces of one of a flower.

from pathlib import Path
from tempfile import TemporaryDirectory

from sknorm_images import load_image_folder, make_image_pipeline
from sknorm_images.demo import make_photo_folder

workspace = TemporaryDirectory()
folder = Path(workspace.name, "photos")
make_photo_folder(folder)
temples = load_image_folder(folder / "temple").filenames
flowers = load_image_folder(folder / "flower").filenames

of_temples = make_image_pipeline((64, 64), n_jobs=2).fit(temples)
of_flowers = make_image_pipeline((64, 64), n_jobs=2).fit(flowers)
for name, pipeline in (("temples", of_temples), ("flowers", of_flowers)):
    scaler = pipeline["scale"]
    print(f"{name}: mean {scaler.mean_.round(1)}, std {scaler.scale_.round(1)}")

# %%
# The flowers, as the scaler of the temples sees them
# ---------------------------------------------------
#
# The bars are the pixels of the flowers. The lines and bands are the temples' mean and
# standard deviation, and the axis on top is in scaled values: most greens and blues of the
# flowers end up below 0. So a model that is trained on temples sees that they are darker, as
# it should.

import matplotlib.pyplot as plt

from sknorm_images.plotting import ChannelHistogramDisplay

display = ChannelHistogramDisplay(of_flowers["scale"].statistics_, of_temples["scale"])
display.plot()
plt.show()

# %%
# Constants of a pretrained model
# -------------------------------
#
# Published constants are often for images between 0 and 1. Multiply these by 255. Constants
# need no fit.

import numpy as np

from sknorm_images import ChannelStandardScaler

imagenet = ChannelStandardScaler(
    mean=255 * np.array([0.485, 0.456, 0.406]), std=255 * np.array([0.229, 0.224, 0.225])
)
scalers = {
    "fitted on the flowers": of_flowers["scale"],
    "fitted on the temples": of_temples["scale"],
    "ImageNet's constants": imagenet,
}
images = of_flowers[:-1].transform(flowers)  # decoded when they are read

# sphinx_gallery_thumbnail_number = 2
figure, axes = plt.subplots(3, 1, sharex=True, figsize=(7, 6), layout="constrained")
for ax, (name, scaler) in zip(axes, scalers.items(), strict=True):
    scaled = scaler.transform(images)
    for channel, color in enumerate(("tab:red", "tab:green", "tab:blue")):
        ax.hist(
            scaled[..., channel].ravel(),
            bins=120,
            range=(-3, 3),
            density=True,
            histtype="step",
            color=color,
        )
    mean = scaled.mean(axis=(0, 1, 2), dtype="float64")
    ax.set_title(f"{name}: mean {mean.round(2) + 0.0}", loc="left", fontsize="medium")
axes[-1].set_xlabel("scaled value of a pixel of the flowers")
plt.show()

# %%
# All three are right, each for its own model. But never fit the scaler again on the photos
# that a model has to judge.

workspace.cleanup()
