"""Fitted estimators through pickle, joblib, skops and clone: elsewhere, and years later."""

from __future__ import annotations

import copy
import importlib
import io
import json
import pickle
import pickletools
import re
import sys
import warnings
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import skops.io
from PIL import Image
from sklearn.base import clone
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline
from skops.io.exceptions import UntrustedTypesFoundException

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    NewerVersionWarning,
    Resizer,
    make_image_pipeline,
    merge_scalers,
)
from sknorm_images._common import versions
from tests import new_process
from tests.conftest import encode
from tests.data.persistence import make
from tests.exact_results import exact_moments
from tests.lazy_photos import pipeline_of

SCALERS = {
    "standard": ChannelStandardScaler(),
    "minmax": ChannelMinMaxScaler((-1, 1), quantile_range=(2.0, 98.0), clip=True),
    "per image": ChannelStandardScaler(per_image="channel"),
}
each_scaler = pytest.mark.parametrize("name", SCALERS)
each_writer = pytest.mark.parametrize("writer", ["pickle", "joblib", "skops"])

# All that skops has to be told to trust in a pipeline of ours, whatever it holds.
OUR_TYPES = [
    "sknorm_images.ChannelHistogram",
    "sknorm_images.ChannelMinMaxScaler",
    "sknorm_images.ChannelMoments",
    "sknorm_images.ChannelStandardScaler",
    "sknorm_images.ImageFlattener",
    "sknorm_images.JpegLoader",
    "sknorm_images.Resizer",
]
# What was saved before the release may hold these, too.
OLDER_TYPES = ["sknorm_images.ChannelSums"]


def save(estimator: Any, path: Path) -> Path:
    """Write a file as its suffix says."""
    if path.suffix == ".pickle":
        path.write_bytes(pickle.dumps(estimator))
    else:
        {".joblib": joblib.dump, ".skops": skops.io.dump}[path.suffix](estimator, path)
    return path


def load(path: Path) -> Any:
    """Read a file as its suffix says."""
    if path.suffix == ".skops":
        return skops.io.load(path, trusted=OUR_TYPES + OLDER_TYPES)
    return joblib.load(path) if path.suffix == ".joblib" else pickle.loads(path.read_bytes())


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
    return {name: pipeline_of(2, clone(scaler)).fit(files) for name, scaler in SCALERS.items()}


@pytest.fixture(scope="module")
def saved(
    pipelines: dict[str, Pipeline], tmp_path_factory: pytest.TempPathFactory
) -> dict[tuple[str, str], Path]:
    """Each pipeline in a file, as pickle, joblib and skops write it."""
    folder = tmp_path_factory.mktemp("pipelines")
    return {
        (name, writer): save(pipeline, folder / f"{name}.{writer}")
        for name, pipeline in pipelines.items()
        for writer in ("pickle", "joblib", "skops")
    }


@pytest.fixture(scope="module")
def outputs_of_a_new_process(
    saved: dict[tuple[str, str], Path], files: list[str], tmp_path_factory: Any
) -> dict[tuple[str, str], np.ndarray]:
    """What a process that never fitted anything makes of `files`."""
    code = """
import os, pickle
import joblib, numpy as np, skops.io

os.chdir(inputs["folder"])
for path in inputs["paths"]:
    if path.endswith("joblib"):
        pipeline = joblib.load(path)
    elif path.endswith("skops"):
        pipeline = skops.io.load(path, trusted=inputs["trusted"])
    else:
        with open(path, "rb") as file:
            pipeline = pickle.load(file)
    np.save(path + ".npy", pipeline.transform(inputs["files"]))
print("null")
"""
    folder = str(tmp_path_factory.mktemp("elsewhere"))
    paths = list(map(str, saved.values()))
    new_process.answer(code, folder=folder, paths=paths, files=files, trusted=OUR_TYPES)
    return {key: np.load(f"{path}.npy") for key, path in saved.items()}


@pytest.mark.long
@each_scaler
@each_writer
def test_a_loaded_pipeline_gives_the_same_bits_in_a_new_process(
    name, writer, pipelines, files, pixels, outputs_of_a_new_process
):
    there = outputs_of_a_new_process[name, writer]
    np.testing.assert_array_equal(there, pipelines[name].transform(files), strict=True)
    np.testing.assert_allclose(there, formula(name, pixels), rtol=0, atol=1e-5)


@each_scaler
@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
def test_every_pickle_protocol_keeps_the_statistics(name, protocol, pipelines):
    scaler = copy.deepcopy(pipelines[name][-1])
    saved = dict(vars(scaler))
    loaded = pickle.loads(pickle.dumps(scaler, protocol))
    assert vars(loaded).keys() == saved.keys()
    for attribute, value in saved.items():
        if attribute == "statistics_":
            np.testing.assert_array_equal(loaded.statistics_.counts, value.counts)
        else:
            np.testing.assert_array_equal(getattr(loaded, attribute), value)


@each_scaler
@each_writer
def test_a_saved_pipeline_is_below_50_kilobytes(name, writer, saved):
    assert saved[name, writer].stat().st_size < 50_000


@each_scaler
@each_writer
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
    "copied",
    [clone, lambda estimator: pickle.loads(pickle.dumps(estimator))],
    ids=["clone", "pickle"],
)
def test_known_constants_survive_and_need_no_fit(scaler, expected, copied, pixels):
    output = copied(scaler).transform(pixels)
    np.testing.assert_allclose(output, expected(pixels), rtol=0, atol=1e-6)


# Files that each version has made of its own: see tests/data/persistence/make.py.

STORED = sorted(Path(make.__file__).parent.glob("*/estimators.*"))
EXPECTED = {
    path.parent.name: json.loads(path.read_text("utf-8"))
    for path in Path(make.__file__).parent.glob("*/expected.json")
}


def each_stored(holds: Any = lambda expected: True) -> Any:
    """Parametrize with each file and each name in it whose expectation `holds`."""
    return pytest.mark.parametrize(
        ("path", "name"),
        [
            pytest.param(path, name, id=f"{path.parent.name}-{path.suffix[1:]}-{name}")
            for path in STORED
            for name, expected in EXPECTED[path.parent.name].items()
            if holds(expected)
        ],
    )


@pytest.fixture(scope="module")
def stored() -> dict[Path, dict[str, Any]]:
    """What is in each file; pytest makes errors of warnings."""
    return {path: load(path) for path in STORED}


@pytest.fixture(scope="module")
def stored_outputs() -> dict[str, Any]:
    """What came out of each estimator, by version."""
    return {path.parent.name: np.load(path.parent / "outputs.npz") for path in STORED}


def test_this_project_keeps_files_of_its_first_version():
    assert {path.name for path in STORED if path.parent.name == "0.1.0"} == {
        "estimators.pickle",
        "estimators.joblib",
        "estimators.skops",
    }
    assert len(EXPECTED["0.1.0"]) == 26


@each_stored()
def test_a_stored_estimator_holds_what_was_saved(path, name, stored):
    expected = EXPECTED[path.parent.name][name]
    loaded = make.descriptions(stored[path][name])
    assert loaded["class"] == expected["class"]
    for kind in ("parameters", "attributes"):
        # What later versions add is theirs. As text, since 1 == 1.0 == True.
        saved = dict(expected[kind])
        if holds_sums(expected):  # which are moments now: see below
            saved.pop("statistics_", None)
        if saved.get("per_image") is False:
            saved["per_image"] = None  # since it has been one of two names, or None
        common = {key: loaded[kind][key] for key in saved}
        assert json.dumps(common) == json.dumps(saved)


@each_stored(lambda expected: expected["input"])
def test_a_stored_estimator_gives_the_same_bits(path, name, stored, stored_outputs):
    """Each number is subtracted, multiplied, added and converted, one rounding each.

    IEEE 754 fixes those to the last bit, whatever the processor, and NumPy's loops do one at
    a time, so that none is fused. `per_image` counts uint8 pixels, in integers.
    """
    expected = EXPECTED[path.parent.name][name]
    outputs = make.outputs(stored[path][name], expected["input"])
    archive = stored_outputs[path.parent.name]
    assert [f"{name}/{method}" for method in outputs] == [
        key for key in archive.files if key.startswith(f"{name}/")
    ]
    for method, output in outputs.items():
        before = archive[f"{name}/{method}"]
        assert (output.dtype, output.shape) == (before.dtype, before.shape)
        assert output.tobytes() == before.tobytes()


@pytest.mark.parametrize("path", sorted(Path(make.__file__).parent.glob("*/images.pickle")))
def test_stored_lazy_images_give_the_same_bits(path):
    loaded, photos = pickle.loads(path.read_bytes()), make.photos()
    halves = photos[:, 1::2, 1::2]  # nearest takes the second of every two
    np.testing.assert_array_equal(np.asarray(loaded["arrays"]), halves, strict=True)
    np.testing.assert_array_equal(np.asarray(loaded["any size"]), photos[:2], strict=True)

    files = loaded["files"]
    expected = np.concatenate([halves, np.zeros((1, 2, 3, 3), np.uint8)])
    expected[2] = 0
    with pytest.warns(ImageDecodeWarning, match="2 of 8 images cannot be read"):
        np.testing.assert_array_equal(np.asarray(files), expected, strict=True)
    assert (files.n_jobs, files.on_error, files.n_channels) == (2, "blank", 3)
    assert files.filenames[-1] == "of-no-file.png"
    assert list(files.failures) == [2, 7]
    again = pickle.loads(pickle.dumps(files[3:5]))
    np.testing.assert_array_equal(np.asarray(again), halves[3:5], strict=True)


def learns_on(expected: dict[str, Any]) -> bool:
    quantiles = expected["parameters"].get("quantile_range", {"tuple": [0.0, 100.0]})
    one_array = expected["input"] == "float64" and quantiles["tuple"] != [0.0, 100.0]
    return "statistics_" in expected["attributes"] and not one_array


def holds_sums(expected: dict[str, Any]) -> bool:
    return learns_on(expected) and expected["input"] == "70 channels"


@each_stored(holds_sums)
def test_sums_of_many_channels_are_moments_now_and_do_not_mix_with_counts(path, name, stored):
    scaler = copy.deepcopy(stored[path][name])
    expected = EXPECTED[path.parent.name][name]

    statistics = scaler.statistics_
    assert isinstance(statistics, ChannelMoments)
    X = make.INPUTS[expected["input"]]()[: make.N_FITTED]
    weights = make.WEIGHTS[: make.N_FITTED] if expected["weighted"] else np.ones(len(X))
    mean, var = np.array(exact_moments(X.reshape(len(X), -1, X.shape[-1]), weights), float)
    np.testing.assert_allclose(statistics.mean, mean, rtol=1e-15)
    np.testing.assert_allclose(statistics.var, var, rtol=1e-12)
    with pytest.raises(ValueError, match="cannot be added") as refused:
        scaler.partial_fit(X)
    assert "another dtype or saved by an older version: then fit that anew" in str(
        refused.value
    )
    new = clone(scaler).fit(X, sample_weight=weights if expected["weighted"] else None)
    with pytest.raises(ValueError, match="or saved by an older version: then fit that anew"):
        merge_scalers([new, scaler])


@each_stored(lambda expected: learns_on(expected) and not holds_sums(expected))
def test_a_stored_scaler_goes_on_learning(path, name, stored):
    expected = EXPECTED[path.parent.name][name]
    X = make.INPUTS[expected["input"]]()
    weights = make.WEIGHTS if expected["weighted"] else np.ones(len(X))
    arguments = {"sample_weight": weights[make.N_FITTED :]} if expected["weighted"] else {}
    scaler = copy.deepcopy(stored[path][name])
    scaler.partial_fit(X[make.N_FITTED :], **arguments)

    assert scaler.n_samples_seen_ == np.count_nonzero(weights)
    pixels = np.asarray(X)
    exact = pixels.dtype == np.uint8
    pixels = pixels.reshape(len(X), -1, pixels.shape[-1])
    if expected["class"] == "ChannelStandardScaler":
        mean, var = np.array(exact_moments(pixels, weights), float)
        np.testing.assert_allclose(scaler.mean_, mean, rtol=0 if exact else 1e-12)
        np.testing.assert_allclose(scaler.var_, var, rtol=0 if exact else 1e-12)
    else:
        flat = pixels[weights > 0].reshape(-1, pixels.shape[-1])
        low, high = np.percentile(flat, scaler.quantile_range, axis=0)
        np.testing.assert_array_equal(scaler.data_min_, low)
        np.testing.assert_array_equal(scaler.data_max_, high)


@pytest.mark.parametrize("path", STORED, ids=lambda path: path.suffix[1:])
def test_stored_steps_make_a_pipeline(path, stored, files):
    steps = [(name, stored[path][name]) for name in ("loader", "resizer")]
    pipeline = Pipeline([*steps, ("scale", stored[path]["standard, not fitted"])])
    images = [Image.open(file).resize((224, 224), Image.Resampling.BILINEAR) for file in files]
    expected = (np.stack(images[:3]) - 127.5) / 127.5
    output = pipeline.transform(files[:3])
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-6)


def test_what_a_version_saved_is_never_made_again(tmp_path):
    folder = tmp_path / "0.0.0"
    make.make(folder)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert len(before) == 6
    with pytest.raises(FileExistsError, match=r"0\.0\.0 exists"):
        make.make(folder)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


# The version that is saved.


@pytest.fixture
def estimators(pixels: np.ndarray) -> list[Any]:
    """One of each kind, fitted."""
    kinds = (
        JpegLoader,
        Resizer,
        ChannelStandardScaler,
        ChannelMinMaxScaler,
        ImageFlattener,
    )
    fitted = [kind() for kind in kinds]
    for estimator in fitted[2:]:
        estimator.fit(pixels)
    return fitted


def saved_by(version: str, estimator: Any, path: Path) -> Path:
    """Save as that version would."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(versions, "__version__", version)
        return save(estimator, path)


@each_writer
def test_each_estimator_of_a_newer_version_is_warned_of(estimators, writer, tmp_path):
    for estimator in estimators:
        path = saved_by("9.0.0", estimator, tmp_path / f"newer.{writer}")
        with pytest.warns(NewerVersionWarning) as caught:
            loaded = load(path)
        assert len(caught) == 1
        assert isinstance(caught[0].message, UserWarning)
        assert (type(loaded), vars(loaded).keys()) == (type(estimator), vars(estimator).keys())


@pytest.mark.parametrize(
    ("saved", "current", "warned"),
    [
        ("1.0.0", "0.9.0", True),
        ("2.0.0", "1.9.9", True),
        ("10.0.0", "9.0.0", True),
        ("1.3.0", "1.2.0", False),
        ("1.2.4", "1.2.3", False),
        ("0.2.0", "0.1.9", True),  # before 1.0, a minor version may break things
        ("0.10.0", "0.9.0", True),
        ("0.2.0.dev1+g12ab", "0.1.0", True),
        ("0.1.3", "0.1.0", False),
        ("0.1.0", "0.2.0", False),  # older ones load
        ("0.9.0", "1.0.0", False),
        ("1.9.0", "2.0.0", False),
        ("1.0.0rc1", "1.0.0", False),
        ("1.0.0", "1.0.0rc1", False),
        ("1", "0.9", True),
    ],
)
def test_newer_is_what_semantic_versioning_lets_break(saved, current, warned, tmp_path):
    path = saved_by(saved, ChannelStandardScaler(), tmp_path / "scaler.pickle")
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        patch.setattr(versions, "__version__", current)
        load(path)
    assert [warning.category for warning in caught] == [NewerVersionWarning] * warned


def test_the_warning_says_both_versions_and_what_to_do_and_where(tmp_path):
    path = saved_by("9.1.0", Resizer(), tmp_path / "resizer.pickle")
    with path.open("rb") as file, pytest.warns(NewerVersionWarning) as caught:
        pickle.load(file)
    message = str(caught[0].message)
    assert "saved by sknorm_images 9.1.0" in message
    assert f"and the older {versions.__version__} may misread" in message
    assert 'python -m pip install "sknorm-images>=9.1.0"' in message
    assert f"save it again with {versions.__version__}" in message
    assert caught[0].filename == __file__
    again = pickle.loads(pickle.dumps(caught[0].message))
    assert (type(again), str(again)) == (NewerVersionWarning, message)
    assert (again.saved_version, again.current_version) == ("9.1.0", versions.__version__)


@each_writer
def test_a_pipeline_of_a_newer_version_is_warned_of_once(pipelines, writer, tmp_path):
    path = saved_by("9.0.0", pipelines["minmax"], tmp_path / f"newer.{writer}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("default")
        load(path)
    assert [warning.category for warning in caught] == [NewerVersionWarning]


def test_saved_again_it_is_warned_of_no_more(pipelines, pixels, tmp_path):
    scaler = pipelines["standard"][-1]
    path = saved_by("9.0.0", scaler, tmp_path / "newer.pickle")
    with pytest.warns(NewerVersionWarning):
        loaded = load(path)
    loaded = load(save(loaded, path))
    np.testing.assert_allclose(
        loaded.transform(pixels), formula("standard", pixels), rtol=0, atol=1e-5
    )


@each_writer
def test_what_was_saved_without_a_version_loads(estimators, writer, tmp_path):
    for estimator in estimators:
        with pytest.MonkeyPatch.context() as patch:
            patch.delattr(versions.Versioned, "__getstate__")
            path = save(estimator, tmp_path / f"old.{writer}")
        assert b"sknorm_images_version" not in path.read_bytes()
        assert vars(load(path)).keys() == vars(estimator).keys()


@pytest.mark.parametrize(
    "copied",
    [
        lambda estimator: pickle.loads(pickle.dumps(estimator)),
        lambda estimator: skops.io.loads(skops.io.dumps(estimator), trusted=OUR_TYPES),
        copy.copy,
        copy.deepcopy,
        lambda estimator: clone(estimator, safe=False),
    ],
    ids=["pickle", "skops", "copy", "deepcopy", "clone"],
)
def test_the_version_is_no_attribute_of_a_copy_or_of_what_was_copied(estimators, copied):
    for estimator in estimators:
        before = dict(vars(estimator))
        made = copied(estimator)
        assert vars(estimator) == before
        assert vars(made).keys() <= before.keys()
        assert [name for name in vars(made) if "version" in name] == []
        assert made.get_params() == estimator.get_params()


@pytest.mark.long
def test_a_scaler_works_in_worker_processes(pipelines, pixels):
    with joblib.parallel_config(backend="loky", n_jobs=2):
        outputs = joblib.Parallel()(
            joblib.delayed(pipelines[name][-1].transform)(pixels) for name in SCALERS
        )
    for name, output in zip(SCALERS, outputs, strict=True):
        np.testing.assert_allclose(output, formula(name, pixels), rtol=0, atol=1e-5)


# skops: nothing runs but what is trusted by name.


def ours(*names: str) -> list[str]:
    return [f"sknorm_images.{name}" for name in names]


STEPS = ("JpegLoader", "Resizer")
TO_TRUST = {
    "loader": (lambda x: JpegLoader(), ours("JpegLoader")),
    "resizer": (lambda x: Resizer(), ours("Resizer")),
    "flattener": (lambda x: ImageFlattener().fit(x), ours("ImageFlattener")),
    "standard": (
        lambda x: ChannelStandardScaler().fit(x),
        ours("ChannelHistogram", "ChannelStandardScaler"),
    ),
    "standard, weighted": (
        lambda x: ChannelStandardScaler().fit(x, sample_weight=np.linspace(0, 1, len(x))),
        ours("ChannelHistogram", "ChannelStandardScaler"),
    ),
    "standard, float": (
        lambda x: ChannelStandardScaler(dtype=np.float64).fit(x / 255),
        ours("ChannelMoments", "ChannelStandardScaler"),
    ),
    "standard, 96 channels": (
        lambda x: ChannelStandardScaler().fit(x.reshape(len(x), -1, 96)),
        ours("ChannelHistogram", "ChannelStandardScaler"),
    ),
    "standard, arrays": (
        lambda x: ChannelStandardScaler(mean=np.ones(3), std=np.float64(2)).fit(x),
        ours("ChannelStandardScaler"),
    ),
    "standard, per image": (
        lambda x: ChannelStandardScaler(per_image="image").fit(x),
        ours("ChannelStandardScaler"),
    ),
    "min-max": (
        lambda x: ChannelMinMaxScaler(quantile_range=(1, 99)).fit(x),
        ours("ChannelHistogram", "ChannelMinMaxScaler"),
    ),
    "min-max, constants": (
        lambda x: ChannelMinMaxScaler(data_range=(0, 255)),
        ours("ChannelMinMaxScaler"),
    ),
}


@pytest.mark.parametrize("name", TO_TRUST)
def test_skops_asks_to_trust_these_types_and_no_others(name, pixels):
    make_estimator, expected = TO_TRUST[name]
    check_trust(make_estimator(pixels), expected)


@each_scaler
def test_skops_asks_to_trust_no_more_for_a_pipeline(name, pipelines):
    names = {type(SCALERS[name]).__name__, *STEPS}
    if name != "per image":
        names.add("ChannelHistogram")
    check_trust(pipelines[name], ours(*sorted(names)))


def test_skops_asks_to_trust_no_more_for_a_classifier(files):
    steps = [*make_image_pipeline((4, 6)).steps, ("flatten", ImageFlattener())]
    classifier = Pipeline([*steps, ("classify", LogisticRegression())])
    classifier.fit(files, np.arange(len(files)) % 2)
    names = ("ChannelHistogram", "ChannelStandardScaler", "ImageFlattener", *STEPS)
    loaded = check_trust(classifier, ours(*names))
    np.testing.assert_array_equal(
        loaded.predict_proba(files), classifier.predict_proba(files), strict=True
    )


def check_trust(estimator: Any, expected: list[str]) -> Any:
    """Load with the types that are asked for, and with not one less."""
    data = skops.io.dumps(estimator)
    assert skops.io.get_untrusted_types(data=data) == expected
    for missing in [expected, *([name] for name in expected)]:
        trusted = [name for name in expected if name not in missing]
        with pytest.raises(UntrustedTypesFoundException) as caught:
            skops.io.loads(data, trusted=trusted)
        assert all(name in str(caught.value) for name in missing)
    loaded = skops.io.loads(data, trusted=expected)
    for before, after in zip(own_steps(estimator), own_steps(loaded), strict=True):
        assert json.dumps(make.descriptions(after)) == json.dumps(make.descriptions(before))
    return loaded


def own_steps(estimator: Any) -> list[Any]:
    """The steps of a pipeline, or the estimator alone, as far as they are ours."""
    steps = list(estimator) if isinstance(estimator, Pipeline) else [estimator]
    return [step for step in steps if type(step).__module__ == "sknorm_images"]


def test_all_that_may_have_to_be_trusted_is_ours():
    needed = {name for _, names in TO_TRUST.values() for name in names}
    assert sorted(needed) == OUR_TYPES


def test_the_page_on_persistence_lists_them_all():
    page = (Path(__file__).parent.parent / "docs" / "persistence.md").read_text("utf-8")
    assert sorted(re.findall(r'^    "(sknorm_images\.\w+)",', page, re.M)) == OUR_TYPES


def test_skops_runs_nothing_of_a_stranger_that_hides_in_a_parameter(tmp_path, monkeypatch):
    (tmp_path / "stranger.py").write_text(
        "import pathlib\n"
        f"pathlib.Path({str(tmp_path / 'imported')!r}).touch()\n"
        "class Stranger:\n"
        "    def __setstate__(self, state):\n"
        f"        pathlib.Path({str(tmp_path / 'ran')!r}).touch()\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    stranger = importlib.import_module("stranger").Stranger()
    stranger.mean = 3
    data = skops.io.dumps(make_image_pipeline(8, ChannelStandardScaler(mean=stranger)))
    traces = [tmp_path / "imported", tmp_path / "ran"]
    monkeypatch.delitem(sys.modules, "stranger")
    traces[0].unlink()

    with pytest.raises(UntrustedTypesFoundException, match=r"stranger\.Stranger"):
        skops.io.loads(data, trusted=OUR_TYPES)
    assert "stranger.Stranger" in skops.io.get_untrusted_types(data=data)
    assert [path.name for path in traces if path.exists()] == []

    skops.io.loads(data, trusted=[*OUR_TYPES, "stranger.Stranger"])
    assert [path.name for path in traces if path.exists()] == ["imported", "ran"]


def test_a_version_that_is_no_text_says_nothing():
    scaler = ChannelStandardScaler()
    state = {**scaler.__getstate__(), "_sknorm_images_version": 5}
    scaler.__setstate__(state)  # warnings are errors here
    assert vars(scaler) == vars(ChannelStandardScaler())


def test_pickles_name_the_package_and_none_of_its_modules(files, photo):
    """So they load once a module was moved or renamed."""
    pipeline = make_image_pipeline((8, 8), on_error="blank")
    X = [files[0], encode(photo), photo, np.asarray(photo), None, "missing.jpg", b"no image"]
    images = pipeline[:-1].transform(X)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageDecodeWarning)
        pipeline.fit(X)
        failures = images.failures
    arrays = Resizer(4).transform(np.zeros((2, 8, 8, 3), np.uint8))
    for saved in (pipeline, images, images[:2], arrays, failures):
        named = {
            argument
            for _, argument, _ in pickletools.genops(pickle.dumps(saved))
            if isinstance(argument, str) and argument.startswith("sknorm_images")
        }
        assert named == {"sknorm_images"}
