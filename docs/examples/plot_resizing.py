"""
Filters and aspect ratios
=========================

One photo, resized by `~sknorm_images.Resizer` with each filter, and with each way to treat
the aspect ratio.
"""

# %%
# A photo, as the bytes of a JPEG file.

import io

import matplotlib.pyplot as plt
from PIL import Image
from sklearn.datasets import load_sample_image

from sknorm_images import JpegLoader, Resizer
from sknorm_images.plotting import ImageGridDisplay

file = io.BytesIO()
Image.fromarray(load_sample_image("china.jpg")).save(file, "JPEG", quality=90)
photo = JpegLoader().transform([file])

# %%
# Filters
# -------
#
# 640 x 427 pixels become 96 x 64. "nearest" takes one pixel in 44 and drops the others, so
# the roof breaks up into steps. All others take every pixel into account.

names = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
images = [Resizer((64, 96), interpolation=name).transform(photo)[0] for name in names]
ImageGridDisplay(images, names).plot()
plt.show()

# %%
# Aspect ratio
# ------------
#
# To fit a square, the photo can be stretched, cropped or padded. Padding counts as pixels in
# the statistics of a scaler.

names = ["ignore", "crop", "pad"]
images = [Resizer(128, aspect_ratio=name).transform(photo)[0] for name in names]
ImageGridDisplay(images, names).plot()
plt.show()
