"""
Title
=====

Text.
"""
import matplotlib.pyplot as plt
from sknorm_images import JpegLoader
plt.plot([1,2])
