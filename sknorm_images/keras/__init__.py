"""The adapter to Keras: batches for ``model.fit``, and a fitted scaler as a layer."""

try:
    import keras as _keras  # noqa: F401 - the modules below need it
except ImportError as error:
    raise ImportError(
        f"sknorm_images.keras needs Keras and a backend, and importing Keras fails: {error}. "
        'Run: python -m pip install "sknorm-images[keras]" jax, and name the backend in the '
        "environment: KERAS_BACKEND=jax. (Otherwise Keras looks for TensorFlow.)"
    ) from error

from sknorm_images.keras._dataset import PipelineDataset
from sknorm_images.keras._normalization import normalization_layer

__all__ = ["PipelineDataset", "normalization_layer"]
