"""
Percentiles against outliers
============================

A range from the darkest to the brightest pixel is set by two pixels. A few stamps, borders or
dead pixels are enough to squeeze all photos into a part of it. Percentiles ignore them.
"""

# %%
# Photos in fog
# ------------------
#
# Pieces of scikit-learn's photo of a temple, as if taken in fog: between grey levels 90
# and 170. Three of the 60 files have a black border and a white stamp.

import io

import numpy as np
from PIL import Image, ImageDraw
from sklearn.datasets import load_sample_image

photo = Image.fromarray(load_sample_image("china.jpg")).point(
    lambda level: 90 + level * 80 / 255
)
random = np.random.default_rng(0)
files = []
for i in range(60):
    left, top = random.integers((photo.width - 160, photo.height - 120))
    piece = photo.crop((left, top, left + 160, top + 120))
    if i % 20 == 0:
        draw = ImageDraw.Draw(piece)
        draw.rectangle((0, 0, 159, 119), outline="black", width=2)
        draw.rectangle((120, 104, 150, 112), fill="white")
    file = io.BytesIO()
    piece.save(file, "JPEG", quality=90)
    files.append(file.getvalue())

# %%
# Two ranges
# ----------

from sknorm_images import ChannelMinMaxScaler, make_image_pipeline

plain = make_image_pipeline((120, 160), ChannelMinMaxScaler(), n_jobs=2).fit(files)
robust = make_image_pipeline(
    (120, 160), ChannelMinMaxScaler(quantile_range=(1, 99), clip=True), n_jobs=2
).fit(files)
for name, pipeline in (("minimum to maximum", plain), ("1 % to 99 %", robust)):
    scaler = pipeline["scale"]
    print(f"{name}: from {scaler.data_min_} to {scaler.data_max_}")

# %%
# The percentiles come from the histogram that ``fit`` counts, so they are exact and need no
# second pass. The bars are the pixels, the band is the range that becomes 0 to 1.

import matplotlib.pyplot as plt

from sknorm_images.plotting import ChannelHistogramDisplay

ChannelHistogramDisplay.from_estimator(plain)
plt.show()

# %%
# Without one percent at either end, the band is where the photos are:

ChannelHistogramDisplay.from_estimator(robust)
plt.show()

# %%
# The same photos, scaled by both
# ------------------------------------

# sphinx_gallery_thumbnail_number = 3
figure, axes = plt.subplots(2, 3, figsize=(8, 4.4), layout="constrained")
for row, (name, pipeline) in zip(
    axes, (("min, max", plain), ("1 %, 99 %", robust)), strict=True
):
    for ax, image in zip(row, pipeline.transform(files[:3]), strict=True):
        ax.imshow(image, vmin=0, vmax=1)
        ax.set_axis_off()
    row[0].set_title(name, loc="left")
plt.show()
