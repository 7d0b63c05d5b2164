"""Datasets through pickle, joblib and copy, also in the middle of an epoch."""

from __future__ import annotations

import copy
import io
import pickle
from collections.abc import Callable
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sknorm_images.keras import PipelineDataset
from tests import new_process
from tests.keras.conftest import (
    assert_same_batches,
    batches_of,
    image_warnings,
    numbered,
    order_of,
    orders_of,
)


def through_pickle(dataset: PipelineDataset) -> PipelineDataset:
    return pickle.loads(pickle.dumps(dataset))


def through_joblib(dataset: PipelineDataset) -> PipelineDataset:
    file = io.BytesIO()
    joblib.dump(dataset, file)
    file.seek(0)
    return joblib.load(file)


each_way = pytest.mark.parametrize("copied", [through_pickle, through_joblib, copy.deepcopy])
Way = Callable[[PipelineDataset], PipelineDataset]


def noisy(x: np.ndarray, y: Any, generator: np.random.Generator) -> tuple[np.ndarray, Any]:
    return x + generator.integers(0, 9, x.shape), y


def photo_dataset(pipeline: Pipeline, files: list[str], **options: Any) -> PipelineDataset:
    return PipelineDataset(
        pipeline,
        files,
        ["temple", "flower", "flower"] * 8,
        batch_size=5,
        shuffle=True,
        seed=0,
        label_mode="categorical",
        sample_weight="balanced",
        n_jobs=2,
        **options,
    )


@each_way
@pytest.mark.parametrize("n_served", [0, 3])
def test_a_copy_goes_on_in_the_middle_of_an_epoch(copied: Way, n_served, files, pipeline):
    dataset = photo_dataset(pipeline, files, augment=noisy)
    whole = photo_dataset(pipeline, files, augment=noisy)
    for part in (dataset, whole):
        batches_of(part)
        part.on_epoch_end()
    for i in range(n_served):
        dataset[i]

    again = copied(dataset)

    rest = [again[i] for i in range(n_served, len(again))]
    again.on_epoch_end()
    assert again.epoch == 2
    assert_same_batches(rest, batches_of(whole)[n_served:])
    whole.on_epoch_end()
    assert_same_batches(batches_of(again), batches_of(whole))
    np.testing.assert_array_equal(again.classes_, dataset.classes_)
    assert again.filenames(0, epoch=0) == dataset.filenames(0, epoch=0)


@each_way
def test_a_copy_and_its_original_go_separate_ways(copied: Way):
    dataset = numbered(shuffle=True, seed=0)
    dataset[0]
    again = copied(dataset)
    assert orders_of(again, 2) == orders_of(numbered(shuffle=True, seed=0), 2)
    assert (again.epoch, dataset.epoch) == (2, 0)
    assert order_of(dataset) == order_of(numbered(shuffle=True, seed=0))


@each_way
def test_a_seed_that_was_drawn_goes_along(copied: Way):
    dataset = numbered(shuffle=True)
    assert copied(dataset).seed == dataset.seed
    assert order_of(copied(dataset)) == order_of(dataset)


@each_way
def test_files_that_failed_before_are_in_the_warning_of_the_copy(
    copied: Way, broken, blank_pipeline
):
    dataset = PipelineDataset(blank_pipeline, broken, np.arange(12), batch_size=4)
    dataset[0]
    dataset[1]
    again = copied(dataset)
    again[2]
    with image_warnings() as warnings:
        again.on_epoch_end()
    assert [list(warning.failures) for warning in warnings] == [[1, 4, 5, 6, 7]]


@pytest.mark.one_backend
def test_a_new_process_goes_on_where_this_one_was(files, pipeline, tmp_path):
    dataset = photo_dataset(pipeline, files)
    dataset[0]
    paths = [tmp_path / "dataset.pickle", tmp_path / "dataset.joblib"]
    paths[0].write_bytes(pickle.dumps(dataset))
    joblib.dump(dataset, paths[1])
    code = """
import pickle
import joblib, numpy as np

for path in inputs["paths"]:
    if path.endswith("joblib"):
        dataset = joblib.load(path)
    else:
        with open(path, "rb") as file:
            dataset = pickle.load(file)
    for i in range(1, len(dataset)):
        x, y, weights = dataset[i]
        np.savez(f"{path}.{i}.npz", x=x, y=y, weights=weights)
"""
    process = new_process.run(code, "-W", "error", paths=list(map(str, paths)))
    assert process.returncode == 0, process.stderr
    for i in range(1, len(dataset)):
        for path in paths:
            with np.load(f"{path}.{i}.npz") as batch:
                parts = (batch["x"], batch["y"], batch["weights"])
            assert_same_batches([parts], [dataset[i]])


@pytest.mark.parametrize("copied", [through_pickle, through_joblib])
def test_a_function_that_pickle_cannot_take_is_named_by_pickle(copied: Way):
    with pytest.raises((pickle.PicklingError, AttributeError), match="lambda"):
        copied(numbered(augment=lambda x, y: (x, y)))
