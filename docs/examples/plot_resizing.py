"""
Filters and aspect ratios
=========================

What `~sknorm_images.Resizer` makes of one photo: by filter, and by what becomes of its
aspect ratio.
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
# 640 x 427 pixels become 96 x 64. "nearest" takes one pixel of 44 and drops the others: the
# roof breaks up into steps. All others take every pixel into account.

names = ["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]
images = [Resizer((64, 96), interpolation=name).transform(photo)[0] for name in names]
ImageGridDisplay(images, names).plot()
plt.show()

# %%
# Aspect ratio
# ------------
#
# To a square, the photo can be stretched, cut, or fitted in. Padding counts as pixels in
# the statistics of a scaler.

names = ["ignore", "crop", "pad"]
images = [Resizer(128, aspect_ratio=name).transform(photo)[0] for name in names]
ImageGridDisplay(images, names).plot()
plt.show()
