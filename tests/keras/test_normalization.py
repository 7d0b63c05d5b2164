"""A fitted scaler as a layer of a model, against the formula and the scaler itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.preprocessing import StandardScaler

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from sknorm_images.keras import PipelineDataset, normalization_layer
from tests.fifth_scaler import ChannelWhitener
from tests.fourth_scaler import ChannelMedianScaler
from tests.keras.conftest import standardised


def arrays(layer_output: Any) -> np.ndarray:
    return keras.ops.convert_to_numpy(layer_output)


def middle_half(pixels: np.ndarray) -> np.ndarray:
    low, median, high = np.percentile(pixels, [25, 50, 75], axis=(0, 1, 2))
    return (pixels - median) / (high - low)


def minmaxed(pixels: np.ndarray, low: float = 0, high: float = 1) -> np.ndarray:
    flat = pixels.reshape(-1, pixels.shape[-1]).astype(np.float64)
    smallest, span = flat.min(axis=0), np.ptp(flat, axis=0)
    return (pixels - smallest) / np.where(span == 0, 1, span) * (high - low) + low


def centred(pixels: np.ndarray) -> np.ndarray:
    return pixels - pixels.reshape(-1, 3).astype(np.float64).mean(axis=0)


def divided(pixels: np.ndarray) -> np.ndarray:
    return pixels / pixels.reshape(-1, 3).astype(np.float64).std(axis=0)


SCALERS = {
    "standard": (ChannelStandardScaler(), standardised),
    "with_mean=False": (ChannelStandardScaler(with_mean=False), divided),
    "with_std=False": (ChannelStandardScaler(with_std=False), centred),
    "neither": (ChannelStandardScaler(with_mean=False, with_std=False), lambda x: x * 1.0),
    "constants": (
        ChannelStandardScaler(mean=[1, 2, 3], std=50),
        lambda x: (x - [1, 2, 3]) / 50,
    ),
    "minmax": (ChannelMinMaxScaler(), minmaxed),
    "-1 to 1": (ChannelMinMaxScaler((-1, 1)), lambda x: minmaxed(x, -1, 1)),
    "rescale": (ChannelMinMaxScaler(data_range=(0, 255)), lambda x: x / 255),
    "fourth": (ChannelMedianScaler(), middle_half),
}


each_scaler = pytest.mark.parametrize(
    ("scaler", "formula"), SCALERS.values(), ids=SCALERS.keys()
)


def tolerance(expected: np.ndarray) -> float:
    return 1e-5 * max(1, np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@each_scaler
def test_a_layer_computes_the_formula_of_its_scaler(scaler, formula, dtype, pixels):
    expected = formula(pixels)
    scaler.fit(pixels)
    output = arrays(normalization_layer(scaler)(pixels.astype(dtype)))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance(expected))
    scaled = scaler.transform(pixels)
    np.testing.assert_allclose(output, scaled, rtol=0, atol=tolerance(expected))


@each_scaler
def test_a_layer_is_a_rescaling_without_variables_that_an_export_could_lose(
    scaler, formula, pixels
):
    layer = normalization_layer(scaler.fit(pixels))
    layer(pixels)
    assert type(layer) is keras.layers.Rescaling
    assert layer.variables == []


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler((-1, 1))])
def test_a_layer_keeps_a_constant_channel_finite(scaler, pixels):
    flat = pixels.copy()
    flat[..., 1] = 77
    layer = normalization_layer(scaler.fit(flat))
    channel = arrays(layer(flat))[..., 1]
    constant = 0 if isinstance(scaler, ChannelStandardScaler) else -1
    np.testing.assert_allclose(channel, constant, rtol=0, atol=1e-5)
    # And a pixel that is one grey level brighter is divided by 1, as in scikit-learn.
    flat[..., 1] = 78
    step = 1 if isinstance(scaler, ChannelStandardScaler) else 2
    np.testing.assert_allclose(arrays(layer(flat))[..., 1], constant + step, rtol=0, atol=1e-5)


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
def test_a_layer_takes_grayscale_images(scaler, pixels):
    grey = pixels[..., :1]
    flat = grey.astype(np.float64)
    expected = (
        (flat - flat.mean()) / flat.std()
        if isinstance(scaler, ChannelStandardScaler)
        else minmaxed(grey)
    )
    output = arrays(normalization_layer(scaler.fit(grey))(grey))
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@pytest.fixture
def mixed_precision() -> Iterator[None]:
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.usefixtures("mixed_precision")
@each_scaler
def test_a_layer_stays_exact_under_mixed_precision(scaler, formula, pixels):
    expected = formula(pixels)
    output = arrays(normalization_layer(scaler.fit(pixels))(pixels))
    assert output.dtype == np.float32
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance(expected))


@each_scaler
def test_a_layer_survives_saving_and_loading(scaler, formula, pixels, tmp_path):
    layer = normalization_layer(scaler.fit(pixels))
    model = keras.Sequential([keras.Input((32, 48, 3)), layer])
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    expected = formula(pixels)
    output = loaded.predict(pixels, verbose=0)
    np.testing.assert_allclose(output, expected, rtol=0, atol=tolerance(expected))


def test_a_layer_takes_batches_of_raw_pixels_inside_a_model(files, pixels, pipeline):
    layer = normalization_layer(pipeline[-1])
    model = keras.Sequential([keras.Input((32, 48, 3)), layer])
    dataset = PipelineDataset(pipeline[:-1], files, batch_size=7)
    output = model.predict(dataset, verbose=0)
    np.testing.assert_allclose(output, standardised(pixels), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    "scaler",
    [
        ChannelStandardScaler(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375]),
        ChannelStandardScaler(mean=100, std=[50, 60, 70]),
        ChannelStandardScaler(mean=127.5, std=127.5),
        ChannelMinMaxScaler(data_range=(0, 255)),
        ChannelMinMaxScaler((-1, 1), data_range=([0, 1, 2], [250, 251, 252])),
        ChannelMedianScaler(quartiles=(20, [50, 60, 70], 200)),
    ],
)
def test_known_constants_become_a_layer_without_a_fit(scaler, pixels):
    layer = normalization_layer(scaler)

    scaled = arrays(layer(pixels.astype("float32")))

    np.testing.assert_allclose(scaled, scaler.transform(pixels), rtol=0, atol=1e-5)
    assert not hasattr(scaler, "n_features_in_")


@pytest.mark.parametrize(
    ("scaler", "changes"),
    [
        (ChannelStandardScaler(), {"mean": 0, "std": 1}),
        (ChannelStandardScaler(mean=1, std=2), {"mean": 100, "std": 50}),
        (
            ChannelStandardScaler(per_image="channel"),
            {"per_image": None, "mean": 5, "std": 6},
        ),
        (ChannelMinMaxScaler(), {"data_range": (0, 255)}),
        (ChannelMinMaxScaler(), {"feature_range": (-1, 1)}),
    ],
)
def test_a_layer_follows_the_scaler_after_its_parameters_were_set(scaler, changes, pixels):
    scaler = clone(scaler).fit(pixels // 2).set_params(**changes)

    scaled = arrays(normalization_layer(scaler)(pixels.astype("float32")))

    expected = scaler.transform(pixels)
    assert np.abs(scaled - expected).max() <= 1e-5 * max(1, np.abs(expected).max())


def test_a_layer_cannot_mix_channels(pixels):
    with pytest.raises(ValueError, match="ChannelWhitener makes each channel of all channels"):
        normalization_layer(ChannelWhitener().fit(pixels))


@pytest.mark.parametrize("per_image", ["channel", "image"])
@pytest.mark.parametrize(
    "kind", [ChannelStandardScaler, ChannelMinMaxScaler, ChannelMedianScaler]
)
def test_a_layer_cannot_take_statistics_from_each_image(kind, per_image, pixels):
    with pytest.raises(ValueError, match=f"per_image='{per_image}'"):
        normalization_layer(kind(per_image=per_image).fit(pixels))


def test_a_layer_cannot_clip(pixels):
    with pytest.raises(ValueError, match="clip=True"):
        normalization_layer(ChannelMinMaxScaler(clip=True).fit(pixels))


@pytest.mark.parametrize("scaler", [ChannelStandardScaler(), ChannelMinMaxScaler()])
def test_a_layer_needs_a_fitted_scaler(scaler):
    with pytest.raises(NotFittedError):
        normalization_layer(scaler)


@pytest.mark.parametrize(
    "other", [StandardScaler(), JpegLoader(), Resizer(), make_image_pipeline(8), None]
)
def test_a_layer_is_made_of_a_channel_scaler_alone(other):
    with pytest.raises(TypeError, match=f"{type(other).__name__}.*ChannelMinMaxScaler"):
        normalization_layer(other)


@pytest.fixture
def channels_first() -> Iterator[None]:
    before = keras.config.image_data_format()
    keras.config.set_image_data_format("channels_first")
    yield
    keras.config.set_image_data_format(before)


@pytest.mark.usefixtures("channels_first")
@pytest.mark.parametrize("kind", [ChannelStandardScaler, ChannelMinMaxScaler])
def test_a_layer_is_refused_where_channels_come_first(kind, pixels):
    with pytest.raises(ValueError, match=r"channels_first.*channels_last"):
        normalization_layer(kind().fit(pixels))
