"""Folders of JPEG photos to normalised arrays, as scikit-learn estimators."""

from sknorm_images._checking import check_images
from sknorm_images._decoding import Decoding as Decoding
from sknorm_images._exceptions import (
    ImageDecodeError,
    ImageDecodeWarning,
    ImageTransparencyWarning,
    ImageUnitsWarning,
)
from sknorm_images._flattening import ImageFlattener
from sknorm_images._folders import load_image_folder
from sknorm_images._geometry import Resizing as Resizing
from sknorm_images._images import LazyImages
from sknorm_images._loading import JpegLoader
from sknorm_images._merging import merge_scalers
from sknorm_images._minmax_scaling import ChannelMinMaxScaler
from sknorm_images._pipeline import make_image_pipeline
from sknorm_images._recipes import Recipe as Recipe
from sknorm_images._resizing import Resizer
from sknorm_images._saving import save_images
from sknorm_images._standard_scaling import ChannelStandardScaler
from sknorm_images._statistics import ChannelHistogram, ChannelMoments
from sknorm_images._statistics import ChannelSums as ChannelSums
from sknorm_images._versions import NewerVersionWarning
from sknorm_images._versions import __version__ as __version__

__all__ = [
    "ChannelHistogram",
    "ChannelMinMaxScaler",
    "ChannelMoments",
    "ChannelStandardScaler",
    "ImageDecodeError",
    "ImageDecodeWarning",
    "ImageFlattener",
    "ImageTransparencyWarning",
    "ImageUnitsWarning",
    "JpegLoader",
    "LazyImages",
    "NewerVersionWarning",
    "Resizer",
    "check_images",
    "load_image_folder",
    "make_image_pipeline",
    "merge_scalers",
    "save_images",
]

# Pickles name this module, so they survive a move inside the package. The last four are what
# LazyImages hold, and what older pickles of scalers do.
for _name in (*__all__, "Decoding", "Recipe", "Resizing", "ChannelSums"):
    globals()[_name].__module__ = __name__
