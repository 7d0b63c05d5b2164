"""Turn folders of JPEG photos into normalised arrays, as scikit-learn estimators."""

from sknorm_images._common.exceptions import (
    ImageDecodeError,
    ImageDecodeWarning,
    ImageTransparencyWarning,
    ImageUnitsWarning,
    WorkerVersionWarning,
)
from sknorm_images._common.versions import NewerVersionWarning
from sknorm_images._common.versions import __version__ as __version__
from sknorm_images._files.folders import load_image_folder
from sknorm_images._files.limits import Access as Access
from sknorm_images._files.reading import Missing as Missing
from sknorm_images._images.checking import check_images
from sknorm_images._images.decoding import Decoding as Decoding
from sknorm_images._images.flattener import ImageFlattener
from sknorm_images._images.lazy import LazyImages
from sknorm_images._images.loader import JpegLoader
from sknorm_images._images.recipes import Recipe as Recipe
from sknorm_images._images.resizer import Resizer
from sknorm_images._images.resizing import Resizing as Resizing
from sknorm_images._images.saved import SavedImages
from sknorm_images._pipeline import make_image_pipeline
from sknorm_images._saving.save import save_images
from sknorm_images._scaling.merging import merge_scalers
from sknorm_images._scaling.minmax import ChannelMinMaxScaler
from sknorm_images._scaling.standard import ChannelStandardScaler
from sknorm_images._scaling.statistics import ChannelHistogram, ChannelMoments
from sknorm_images._scaling.statistics import ChannelSums as ChannelSums

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
    "SavedImages",
    "WorkerVersionWarning",
    "check_images",
    "load_image_folder",
    "make_image_pipeline",
    "merge_scalers",
    "save_images",
]
