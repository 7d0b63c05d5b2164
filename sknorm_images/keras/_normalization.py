"""A fitted scaler as a layer of a Keras model."""

from __future__ import annotations

import keras
import numpy as np
from sklearn.base import BaseEstimator

from sknorm_images._common.published import published
from sknorm_images._common.wording import show_value
from sknorm_images._scaling.base import ChannelScaler


@published("sknorm_images.keras")
def normalization_layer(scaler: BaseEstimator) -> keras.Layer:
    """Make a Keras layer that does the same as a fitted scaler.

    Put it in front of a model, feed the model ``PipelineDataset(pipeline[:-1], …)``, and
    the saved model takes raw pixels.

    Parameters
    ----------
    scaler : ChannelStandardScaler or ChannelMinMaxScaler
        Fitted, or with constants that need no fit.

    Returns
    -------
    keras.layers.Rescaling
        For inputs of shape (n_samples, height, width, n_channels), in grey levels. It
        computes in float32, also under a mixed-precision policy. (Not a `Normalization`: on
        TensorFlow, an ONNX export of a model that begins with one cannot be run.)

    Raises
    ------
    TypeError
        If `scaler` is neither of the two.
    sklearn.exceptions.NotFittedError
        If it is not fitted.
    ValueError
        If no layer can do the same: with `per_image` or `clip`, or if Keras' image data format
        is ``"channels_first"``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.datasets import load_sample_images
    >>> from sknorm_images import ChannelStandardScaler
    >>> from sknorm_images.keras import normalization_layer
    >>> photos = np.stack(load_sample_images().images)
    >>> scaler = ChannelStandardScaler().fit(photos)
    >>> layer = normalization_layer(scaler)
    >>> bool(np.allclose(layer(photos), scaler.transform(photos), atol=1e-5))
    True
    """
    if not isinstance(scaler, ChannelScaler):
        raise TypeError(
            f"scaler is a {type(scaler).__name__}, which has no layer of its own. Pass a "
            "ChannelStandardScaler or a ChannelMinMaxScaler, such as pipeline[-1]."
        )
    if scaler.per_image:
        raise ValueError(
            f"per_image={show_value(scaler.per_image)} takes the statistics from each image, "
            "and no Keras layer does. Scale in the pipeline: PipelineDataset(pipeline, ...)."
        )
    if scaler._mixes_channels:
        raise ValueError(
            f"{type(scaler).__name__} makes each channel of all channels, and the layers "
            "scale each by itself. Scale in the pipeline: PipelineDataset(pipeline, ...)."
        )
    if keras.config.image_data_format() == "channels_first":
        raise ValueError(
            "Keras' image_data_format is 'channels_first', and the scaler's channels come "
            "last. Call keras.config.set_image_data_format('channels_last')."
        )
    if getattr(scaler, "clip", False):
        raise ValueError(
            "clip=True cuts values off, and keras.layers.Rescaling does not. Fit a scaler "
            "with clip=False, or scale in the pipeline: PipelineDataset(pipeline, ...)."
        )
    # An affine map is determined by what it makes of 0 and of 1.
    levels = np.zeros((2, _n_channels(scaler)))
    levels[1] = 1
    offset, scaled_one = scaler.transform(levels)
    factor = scaled_one - offset
    return keras.layers.Rescaling(factor.tolist(), offset.tolist(), dtype="float32")


def _n_channels(scaler: ChannelScaler) -> int:
    """Number of channels seen in `fit`, or of constants: 1 if they are for all channels."""
    if hasattr(scaler, "n_features_in_"):
        return int(scaler.n_features_in_)
    return max(map(np.size, scaler._constants), default=1)
