"""
How wrong is the float32 mean?
==============================

``X.mean(axis=(0, 1, 2))`` on a float32 stack of photos adds up in float32. From 800 to
900 images of 224 x 224 on, every further one makes it darker, without a warning.
`~sknorm_images.ChannelStandardScaler` counts grey levels in integers, and rounds once.
"""

# %%
# The two photos that scikit-learn ships, repeated up to 4,000 images of 224 x 224.
# ``numpy.broadcast_to`` repeats them without gigabytes of memory; a real stack gives the same
# numbers.

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_sample_images

from sknorm_images import ChannelStandardScaler, Resizer

two = np.asarray(Resizer((224, 224)).transform(np.stack(load_sample_images().images)))
exact = ChannelStandardScaler().fit(two).mean_

numbers = [2, 100, 300, 500, 700, 860, 1000, 1400, 2000, 4000]
means = []
for n in numbers:
    stack = np.broadcast_to(two.astype("float32"), (n // 2, *two.shape))
    means.append(stack.mean(axis=(0, 1, 2, 3)))
off = 100 * (np.array(means) / exact - 1)

# %%
# From 2**32 on, neighbouring float32 numbers are 512 apart, and a grey level is 255 at most.
# Adding grey levels no longer changes the sum, so the mean falls as the number of images
# grows.

figure, ax = plt.subplots(figsize=(7, 3.6), layout="constrained")
for channel, color in enumerate(("tab:red", "tab:green", "tab:blue")):
    ax.plot(numbers, off[:, channel], "o-", color=color, label=f"float32, {color[4:]}")
ax.axhline(0, color="black", linewidth=1, label="ChannelStandardScaler")
stuck = 2**32 / (np.array(numbers[5:]) * two[0, ..., 0].size)
ax.plot(
    numbers[5:], 100 * (stuck / exact.mean() - 1), ":", color="grey", label="2**32 / pixels"
)
ax.set(xlabel="images", ylabel="mean off by %")
ax.legend()
plt.show()

# %%
for n, mean in zip([*numbers, "exact"], [*means, exact], strict=True):
    print(f"{n:>5}: " + " ".join(f"{value:7.2f}" for value in mean))
