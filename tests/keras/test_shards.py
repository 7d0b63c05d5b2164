"""Shards: processes that take parts of each batch, together the batch of one process."""

from __future__ import annotations

import pickle
from itertools import chain
from typing import Any

import keras
import numpy as np
import pytest
from sklearn.preprocessing import FunctionTransformer

from sknorm_images import Resizer
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    BAD,
    RowCounter,
    batches_of,
    counting_model,
    image_warnings,
    numbered,
    order_of,
    orders_of,
    row_numbers,
    unchanged,
)

N_ROWS = 30  # two batches of 12, and one of 6
CLASSES = np.arange(N_ROWS) % 5 == 0  # 6 of one, 24 of the other: 48 when drawn evenly
SETTINGS: dict[str, dict[str, Any]] = {
    "in order": {},
    "shuffled": {"shuffle": True},
    "without remainder": {"shuffle": True, "drop_remainder": True},
    "drawn evenly": {"shuffle": True, "y": CLASSES, "oversample": True},
    "balanced": {"shuffle": True, "y": CLASSES, "sample_weight": "balanced"},
    "weighted": {"sample_weight": np.arange(N_ROWS)},
    "one-hot": {"shuffle": True, "y": CLASSES, "label_mode": "categorical"},
    "several targets": {"y": {"a": np.arange(N_ROWS), "b": -np.arange(N_ROWS)}},
    "without targets": {"y": None},
}


def shards_of(count: int, **options: Any) -> list[PipelineDataset]:
    options = {"n_rows": N_ROWS, "batch_size": 12, "seed": 0} | options
    return [numbered(**options, shard=(index, count)) for index in range(count)]


def joined(parts: list[Any]) -> Any:
    """Put the parts of a batch together, as Keras does on JAX."""
    return keras.tree.map_structure(lambda *arrays: np.concatenate(arrays), *parts)


@pytest.mark.one_backend
@pytest.mark.parametrize("count", [1, 2, 3, 6])
@pytest.mark.parametrize("setting", SETTINGS)
def test_parts_of_equal_size_make_up_each_batch_of_one_process(setting, count):
    options = SETTINGS[setting]
    whole = numbered(N_ROWS, 12, seed=0, **options)
    shards = shards_of(count, **options)
    for epoch in range(3):
        assert {len(shard) for shard in shards} == {len(whole)}
        for i in range(len(whole)):
            parts = [shard[i] for shard in shards]
            assert len({len(keras.tree.flatten(part)[0]) for part in parts}) == 1
            keras.tree.map_structure(np.testing.assert_array_equal, joined(parts), whole[i])
            rows = [shard.rows(i) for shard in shards]
            np.testing.assert_array_equal(np.concatenate(rows), whole.rows(i))
        for dataset in [whole, *shards]:
            dataset.on_epoch_end()
            assert dataset.epoch == epoch + 1


@pytest.mark.one_backend
def test_parts_of_several_inputs_and_of_masks_make_up_each_batch_of_one_process():
    masks = np.arange(N_ROWS, dtype=np.uint8).reshape(-1, 1, 1, 1).repeat(4, 1).repeat(4, 2)
    options: dict[str, Any] = {
        "y": {
            "mask": Resizer(2, interpolation="nearest").transform(masks),
            "kind": np.arange(N_ROWS),
        },
        "sample_weight": np.arange(N_ROWS) / 2,
        "batch_size": 12,
        "shuffle": True,
        "seed": 0,
    }
    pipelines = {"photo": unchanged(), "table": FunctionTransformer()}
    X = {"photo": row_numbers(N_ROWS), "table": np.arange(2 * N_ROWS).reshape(-1, 2)}
    whole = PipelineDataset(pipelines, X, **options)
    shards = [PipelineDataset(pipelines, X, shard=(i, 3), **options) for i in range(3)]
    for _ in range(2):
        for i in range(len(whole)):
            parts = [shard[i] for shard in shards]
            keras.tree.map_structure(np.testing.assert_array_equal, joined(parts), whole[i])
            for x, y, weights in parts:
                rows = y["kind"].tolist()
                assert x["photo"].ravel().tolist() == rows
                assert x["table"].tolist() == [[2 * row, 2 * row + 1] for row in rows]
                assert y["mask"][:, 1, 1, 0].tolist() == rows
                assert weights["kind"].tolist() == [row / 2 for row in rows]
        for dataset in [whole, *shards]:
            dataset.on_epoch_end()


@pytest.mark.one_backend
def test_every_row_comes_once_per_epoch_over_all_shards():
    shards = shards_of(3, shuffle=True)
    epochs = zip(*(orders_of(shard, 4) for shard in shards), strict=True)
    assert [sorted(chain(*orders)) for orders in epochs] == [list(range(N_ROWS))] * 4


@pytest.mark.one_backend
@pytest.mark.parametrize("shard", [[1, 2], (np.int64(1), np.int32(2))])
def test_a_shard_may_be_a_list_or_of_numpys_integers(shard):
    dataset = numbered(8, 4, shard=shard)
    assert order_of(dataset) == [2, 3, 6, 7]
    assert "shard=(1, 2)" in repr(dataset)
    assert pickle.loads(pickle.dumps(dataset)).rows(0).tolist() == [2, 3]


@pytest.mark.one_backend
def test_a_shard_starts_again_in_the_order_of_the_epoch_that_is_set():
    shards = shards_of(2, shuffle=True)
    resumed = shards_of(2, shuffle=True)
    for shard, again in zip(shards, resumed, strict=True):
        again.epoch = 3
        assert orders_of(shard, 5)[3:] == orders_of(again, 2)


@pytest.mark.one_backend
def test_shards_augment_each_in_its_own_way_that_the_seed_determines():
    def augment(x: Any, y: Any, generator: np.random.Generator) -> Any:
        return x, generator.random(len(x))

    def drawn(**options: Any) -> list[float]:
        dataset = numbered(8, 4, seed=0, augment=augment, **options)
        return [float(number) for _, y in batches_of(dataset) for number in y]

    first, second = (drawn(shard=(index, 2)) for index in range(2))
    assert not set(first) & set(second)
    assert first == drawn(shard=(0, 2))
    assert drawn(shard=(0, 1)) == drawn()  # one process is no other than without shards


@pytest.mark.one_backend
def test_each_shard_names_its_own_files_and_warns_of_them(blank_pipeline, broken):
    warned: list[int] = []
    for index in range(2):
        dataset = PipelineDataset(
            blank_pipeline, broken, np.arange(12), batch_size=6, shard=(index, 2)
        )
        expected = [[0, 1, 2], [6, 7, 8]] if index == 0 else [[3, 4, 5], [9, 10, 11]]
        for i, (_, y, weights) in enumerate(batches_of(dataset)):
            assert y.tolist() == expected[i]
            assert weights.tolist() == [row not in BAD for row in expected[i]]
            assert dataset.filenames(i) == [broken[row] for row in expected[i]]
        with image_warnings() as found:
            dataset.on_epoch_end()
        assert "of 6 images" in str(found[0])
        warned += found[0].failures
    assert sorted(warned) == BAD


@pytest.mark.one_backend
def test_a_shard_of_which_no_image_can_be_read_is_an_error(blank_pipeline, broken):
    files = [broken[i] for i in (0, BAD[0], 2, BAD[1])]  # the second of each batch is bad
    dataset = PipelineDataset(blank_pipeline, files, np.arange(4), batch_size=2, shard=(1, 2))
    batches_of(dataset)
    with pytest.raises(ValueError, match="None of the 2 images can be read"):
        dataset.on_epoch_end()


def test_training_on_all_shards_is_training_on_every_row_once():
    model, counter = counting_model(N_ROWS)
    for shard in shards_of(2, shuffle=True):
        model.fit(
            shard,
            epochs=5,
            initial_epoch=3,
            shuffle=False,
            verbose=0,
            callbacks=[shard.resume_callback()],
        )
        assert shard.epoch == 5
    assert isinstance(counter, RowCounter)
    np.testing.assert_array_equal(counter.trained, np.full(N_ROWS, 2))


# What is refused


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("shard", "error", "message"),
    [
        (2, TypeError, r"shard=2 is not a pair.*\(index, count\)"),
        ("01", TypeError, "shard='01' is not a pair"),
        ((0, 1, 2), TypeError, r"shard=\(0, 1, 2\) is not a pair"),
        ((0, 0), ValueError, r"shard\[1\]=0"),
        ((0, 2.0), TypeError, r"shard\[1\]=2.0"),
        ((2, 2), ValueError, r"shard\[0\]=2 is out of range. Pass a number from 0 to 1"),
        ((-1, 2), ValueError, r"shard\[0\]=-1 is out of range"),
        ((True, 2), TypeError, r"shard\[0\]=True"),
        (("0", 2), TypeError, r"shard\[0\]='0'"),
        ((0, 3), ValueError, "batch_size=4 is that of all.*Pass a multiple of 3"),
    ],
)
def test_a_shard_that_cannot_be_is_refused(shard, error, message):
    with pytest.raises(error, match=message):
        numbered(8, 4, shard=shard)


@pytest.mark.one_backend
def test_shuffling_without_a_seed_is_refused_since_shards_would_differ():
    with pytest.raises(ValueError, match="Pass the same seed to all processes"):
        numbered(8, 4, shuffle=True, shard=(0, 2))
    assert len(numbered(8, 4, shuffle=True, shard=(0, 1))) == 2  # no others to differ from


@pytest.mark.one_backend
@pytest.mark.parametrize(
    ("n_rows", "message"),
    [(9, "has 1 image, of which 2 processes"), (3, "has 3 images, of which 2 processes")],
)
def test_a_last_batch_that_shards_cannot_share_is_refused_with_the_way_out(n_rows, message):
    with pytest.raises(ValueError, match=f"{message}.*drop_remainder=True"):
        numbered(n_rows, 4, shard=(0, 2))
    assert len(numbered(9, 4, shard=(0, 2), drop_remainder=True)) == 2


def test_predictions_of_a_shard_are_refused():
    model = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(1)])
    with pytest.raises(ValueError, match=r"shard=\(1, 2\).*make a dataset without shard"):
        model.predict(numbered(8, 4, shard=(1, 2)), verbose=0)
