"""make_image_pipeline: the steps, and where its parameters go."""

from __future__ import annotations

import pytest

from sknorm_images import ChannelMinMaxScaler, make_image_pipeline


def test_make_image_pipeline_names_its_steps_and_passes_parameters_on():
    pipeline = make_image_pipeline(
        (3, 4),
        "minmax",
        color_mode="grayscale",
        interpolation="box",
        aspect_ratio="pad",
        on_error="blank",
        n_jobs=2,
        verbose=1,
    )
    assert list(pipeline.named_steps) == ["load", "resize", "scale"]
    assert isinstance(pipeline["scale"], ChannelMinMaxScaler)
    parameters = pipeline.get_params()
    assert parameters["resize__size"] == (3, 4)
    assert parameters["resize__interpolation"] == "box"
    assert parameters["resize__aspect_ratio"] == "pad"
    assert parameters["load__color_mode"] == "grayscale"
    assert parameters["load__on_error"] == "blank"
    assert (parameters["load__n_jobs"], parameters["load__verbose"]) == (2, 1)
    scaler = ChannelMinMaxScaler((-1, 1))
    assert make_image_pipeline(8, scaler)["scale"] is scaler
    with pytest.raises(ValueError, match="scaler='robust' is not known"):
        make_image_pipeline(8, "robust")


def test_the_first_steps_transform_without_a_fit(files):
    assert make_image_pipeline((8, 9))[:2].transform(files).shape == (24, 8, 9, 3)


def test_feature_names_pass_through_the_pipeline(files):
    pipeline = make_image_pipeline((1, 2)).fit(files)
    assert pipeline.get_feature_names_out().tolist() == ["red", "green", "blue"]
    assert pipeline.get_feature_names_out(["path"]).tolist() == ["path"]
