"""Pictures of what a scaler learned, and of what an estimator makes of images.

They follow scikit-learn's displays: `from_estimator` makes one and draws it, and `plot` draws
it again.
"""

try:
    import matplotlib as _matplotlib  # noqa: F401 - the modules below need it
except ImportError as error:
    raise ImportError(
        f"sknorm_images.plotting needs Matplotlib, and importing it fails: {error}. "
        'Run: python -m pip install "sknorm-images[plot]"'
    ) from error

from sknorm_images.plotting._grid import ImageGridDisplay
from sknorm_images.plotting._histograms import ChannelHistogramDisplay

__all__ = ["ChannelHistogramDisplay", "ImageGridDisplay"]
