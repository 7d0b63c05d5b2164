"""Fitted pipelines through pickle, joblib and clone; loaded where nothing else is."""

from __future__ import annotations

import io
import json
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline

from sknorm_images import ChannelMinMaxScaler, ChannelStandardScaler, make_image_pipeline

SCALERS = {
    "standard": ChannelStandardScaler(),
    "minmax": ChannelMinMaxScaler((-1, 1), quantile_range=(2.0, 98.0), clip=True),
    "per image": ChannelStandardScaler(per_image="channel"),
}
each_scaler = pytest.mark.parametrize("name", SCALERS)


def formula(name: str, pixels: np.ndarray) -> np.ndarray:
    """What each scaler computes, in float64."""
    flat = pixels.reshape(-1, 3).astype(np.float64)
    if name == "standard":
        return (pixels - flat.mean(axis=0)) / flat.std(axis=0)
    if name == "minmax":
        low, high = np.percentile(flat, (2, 98), axis=0)
        return np.clip((pixels - low) / (high - low) * 2 - 1, -1, 1)
    mean = pixels.mean(axis=(1, 2), keepdims=True, dtype=np.float64)
    return (pixels - mean) / pixels.std(axis=(1, 2), keepdims=True, dtype=np.float64)


@pytest.fixture(scope="module")
def pipelines(files: list[str]) -> dict[str, Pipeline]:
    """One fitted pipeline for each of `SCALERS`."""
    return {
        name: make_image_pipeline((32, 48), clone(scaler), n_jobs=2)
        .set_params(resize__reducing_gap=None)
        .fit(files)
        for name, scaler in SCALERS.items()
    }


@pytest.fixture(scope="module")
def saved(
    pipelines: dict[str, Pipeline], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """Each pipeline in a file, as pickle and as joblib write it."""
    folder = tmp_path_factory.mktemp("pipelines")
    paths = {}
    for name, pipeline in pipelines.items():
        paths[name, "pickle"] = folder / f"{name}.pickle"
        paths[name, "pickle"].write_bytes(pickle.dumps(pipeline))
        paths[name, "joblib"] = folder / f"{name}.joblib"
        joblib.dump(pipeline, paths[name, "joblib"])
    return paths


@pytest.fixture(scope="module")
def outputs_of_a_new_process(
    saved: dict[tuple[str, str], Path], files: list[str], tmp_path_factory: Any
) -> dict[tuple[str, str], np.ndarray]:
    """What a process that never fitted anything makes of `files`."""
    code = """
import json, pickle, sys
import joblib, numpy as np

paths, files = json.load(sys.stdin)
for path in paths:
    if path.endswith("joblib"):
        pipeline = joblib.load(path)
    else:
        with open(path, "rb") as file:
            pipeline = pickle.load(file)
    np.save(path + ".npy", pipeline.transform(files))
"""
    subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        input=json.dumps([[str(path) for path in saved.values()], files]),
        text=True,
        cwd=tmp_path_factory.mktemp("elsewhere"),
        timeout=60,
        check=True,
    )
    return {key: np.load(f"{path}.npy") for key, path in saved.items()}


@each_scaler
@pytest.mark.parametrize("writer", ["pickle", "joblib"])
def test_a_loaded_pipeline_gives_the_same_bits_in_a_new_process(
    name, writer, pipelines, files, pixels, outputs_of_a_new_process
):
    there = outputs_of_a_new_process[name, writer]
    np.testing.assert_array_equal(there, pipelines[name].transform(files), strict=True)
    np.testing.assert_allclose(there, formula(name, pixels), rtol=0, atol=1e-5)


@each_scaler
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_keeps_the_statistics(name, protocol, pipelines):
    scaler = pipelines[name][-1]
    loaded = pickle.loads(pickle.dumps(scaler, protocol))
    assert vars(loaded).keys() == vars(scaler).keys()
    for attribute, value in vars(scaler).items():
        if attribute == "statistics_":
            np.testing.assert_array_equal(loaded.statistics_.counts, value.counts)
        else:
            np.testing.assert_array_equal(getattr(loaded, attribute), value)


@each_scaler
@pytest.mark.parametrize("writer", ["pickle", "joblib"])
def test_a_saved_pipeline_is_below_50_kilobytes(name, writer, saved):
    assert saved[name, writer].stat().st_size < 50_000


@each_scaler
@pytest.mark.parametrize("writer", ["pickle", "joblib"])
def test_a_saved_pipeline_holds_no_path_and_no_pixels(name, writer, saved, files, pixels):
    content = saved[name, writer].read_bytes()
    for file in map(Path, files):
        assert file.name.encode() not in content
        assert str(file.parent).encode() not in content
        assert file.read_bytes()[:64] not in content
    for image in pixels:
        assert image[0].tobytes() not in content  # not even one row of pixels


def test_the_size_of_a_saved_pipeline_is_that_of_its_statistics_alone(files):
    sizes = []
    for times in (1, 20):
        pipeline = make_image_pipeline((8, 8)).fit(files * times)
        sizes.append(len(pickle.dumps(pipeline)))
    assert abs(sizes[1] - sizes[0]) < 100


@each_scaler
def test_a_pickle_names_public_classes_alone(name, pipelines):
    seen = []

    class Recorder(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> Any:
            seen.append((module, name))
            return super().find_class(module, name)

    Recorder(io.BytesIO(pickle.dumps(pipelines[name]))).load()
    ours = {(module, item) for module, item in seen if module.startswith("sknorm_images")}
    scaler = type(SCALERS[name]).__name__
    expected = {"JpegLoader", "Resizer", scaler}
    if name != "per image":
        expected.add("ChannelHistogram")
    assert ours == {("sknorm_images", item) for item in expected}


@each_scaler
def test_a_loaded_scaler_goes_on_learning(name, pipelines, pixels):
    scaler = pickle.loads(pickle.dumps(pipelines[name][-1]))
    brighter = np.full_like(pixels, 255)
    scaler.partial_fit(brighter)
    both = np.concatenate([pixels, brighter])
    output = scaler.transform(pixels)
    if name == "per image":
        expected = formula(name, pixels)
    else:
        expected = formula(name, both)[: len(pixels)]
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-5)


@each_scaler
def test_a_clone_keeps_the_parameters(name, pipelines):
    original, copy = pipelines[name], clone(pipelines[name])
    for before, after in zip(original, copy, strict=True):
        assert type(after) is type(before)
        assert after is not before
        assert after.get_params() == before.get_params()


@pytest.mark.parametrize("name", ["standard", "minmax"])
def test_a_clone_drops_the_statistics(name, pipelines, files):
    copy = clone(pipelines[name])
    assert set(vars(copy[-1])) == set(copy[-1].get_params())
    with pytest.raises(NotFittedError):
        copy.transform(files)


@pytest.mark.parametrize("name", ["standard", "minmax"])
def test_a_clone_leaves_the_original_fitted(name, pipelines, files, pixels):
    clone(pipelines[name])
    output = pipelines[name].transform(files)
    np.testing.assert_allclose(output, formula(name, pixels), rtol=0, atol=1e-5)


@pytest.mark.parametrize(
    ("scaler", "expected"),
    [
        (
            ChannelStandardScaler(mean=[123.7, 116.3, 103.5], std=[58.4, 57.1, 57.4]),
            lambda x: (x - [123.7, 116.3, 103.5]) / [58.4, 57.1, 57.4],
        ),
        (ChannelStandardScaler(mean=127.5, std=127.5), lambda x: (x - 127.5) / 127.5),
        (ChannelMinMaxScaler(data_range=(0, 255)), lambda x: x / 255),
        (ChannelStandardScaler(per_image="channel"), lambda x: formula("per image", x)),
    ],
    ids=["mean and std", "one number", "data_range", "per_image"],
)
@pytest.mark.parametrize(
    "copy",
    [clone, lambda estimator: pickle.loads(pickle.dumps(estimator))],
    ids=["clone", "pickle"],
)
def test_known_constants_survive_and_need_no_fit(scaler, expected, copy, pixels):
    output = copy(scaler).transform(pixels)
    np.testing.assert_allclose(output, expected(pixels), rtol=0, atol=1e-6)


def test_a_clone_fitted_on_the_same_files_gives_the_same_bits(pipelines, files):
    copy = clone(pipelines["standard"]).fit(files)
    np.testing.assert_array_equal(
        copy.transform(files), pipelines["standard"].transform(files)
    )
