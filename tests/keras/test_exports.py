"""Models that begin with a scaler, exported, and run where this package is not installed."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from sknorm_images import ChannelMinMaxScaler, ChannelStandardScaler
from sknorm_images.keras import normalization_layer
from tests import new_process

pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore"),  # of what exports, about its own future
]

# What Keras needs to export for ONNX, on each backend, besides onnx and what runs the model.
EXPORTERS = {"tensorflow": "tf2onnx", "jax": "jax2onnx", "torch": "onnxscript"}

WITHOUT_THIS_PACKAGE = """
sys.modules["sknorm_images"] = None
"""
SAVED_MODEL = f"""
{WITHOUT_THIS_PACKAGE}
sys.modules["keras"] = None  # which TensorFlow would import, with PyTorch as its backend
import numpy as np
import tensorflow as tf

model = tf.saved_model.load(inputs["model"])
outputs = model.serve(np.load(inputs["pixels"]))
np.savez(inputs["outputs"], *[part.numpy() for part in outputs])
"""
ONNX = f"""
{WITHOUT_THIS_PACKAGE}
sys.modules["keras"] = None
import numpy as np
import onnxruntime

session = onnxruntime.InferenceSession(inputs["model"])
[name] = [each.name for each in session.get_inputs()]
np.savez(inputs["outputs"], *session.run(None, {{name: np.load(inputs["pixels"])}}))
"""
EXPORT_ON_TENSORFLOW = f"""
{WITHOUT_THIS_PACKAGE}
import os

os.environ["KERAS_BACKEND"] = "tensorflow"
import keras

model = keras.saving.load_model(inputs["saved"])
model.export(inputs["model"], format="tf_saved_model", verbose=False)
"""


def raw_model(scaler: Any, dtype: str) -> keras.Model:
    """A small network behind the layer, which is an output, too."""
    inputs = keras.Input((32, 48, 3), dtype=dtype)
    scaled = normalization_layer(scaler)(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, activation="relu")(scaled)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, [scaled, keras.layers.Dense(2, activation="softmax")(x)])


def export(model: keras.Model, path: Path) -> None:
    if path.suffix == ".onnx":
        model.export(path, format="onnx", verbose=False)
    elif keras.backend.backend() == "tensorflow":
        model.export(path, format="tf_saved_model", verbose=False)
    else:  # on PyTorch, Keras would need torch_xla, which there is for old versions alone
        saved = path.with_suffix(".keras")
        model.save(saved)
        run(EXPORT_ON_TENSORFLOW, saved=saved, model=path)


def run(code: str, **inputs: Path) -> None:
    """Run code in a process in which nothing was imported."""
    process = new_process.run(code, **{name: str(path) for name, path in inputs.items()})
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize(
    ("scaler", "dtype"),
    [(ChannelStandardScaler(), "uint8"), (ChannelMinMaxScaler((-1, 1)), "float32")],
    ids=["standard, uint8", "minmax, float32"],
)
@pytest.mark.parametrize(
    ("name", "code", "needed"),
    [
        ("model", SAVED_MODEL, ["tensorflow"]),
        ("model.onnx", ONNX, ["onnx", "onnxruntime", EXPORTERS[keras.backend.backend()]]),
    ],
    ids=["SavedModel", "ONNX"],
)
def test_an_exported_model_gives_the_same_numbers_without_this_package(
    name, code, needed, scaler, dtype, pixels, tmp_path
):
    if missing := [library for library in needed if not find_spec(library)]:
        pytest.skip(f"needs {', '.join(missing)}")
    model = raw_model(scaler.fit(pixels), dtype)
    raw = pixels.astype(dtype)
    expected = model.predict(raw, verbose=0)
    export(model, tmp_path / name)
    files = {"pixels": tmp_path / "pixels.npy", "outputs": tmp_path / "outputs.npz"}
    np.save(files["pixels"], raw)

    run(code, model=tmp_path / name, **files)

    with np.load(files["outputs"]) as outputs:
        found = list(outputs.values())
    for part, wanted in zip(found, expected, strict=True):
        np.testing.assert_allclose(part, wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(found[0], scaler.transform(pixels), rtol=0, atol=1e-5)
