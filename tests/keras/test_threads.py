"""One dataset in many threads at once: every batch holds the right rows."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    BAD,
    image_warnings,
    let_threads_end,
    numbered,
    standardised,
)
from tests.many_threads import at_once, until

pytestmark = [pytest.mark.usefixtures("threads_take_turns_often"), pytest.mark.one_backend]

N_THREADS = 10


def shuffled(dataset: PipelineDataset, seed: int) -> list[int]:
    return [int(i) for i in np.random.default_rng(seed).permutation(len(dataset))]


@pytest.mark.parametrize("in_order", [True, False])
def test_threads_that_take_batches_of_one_epoch_all_get_the_rows_of_each(in_order):
    dataset = numbered(100, batch_size=7, shuffle=True, seed=0, n_jobs=4)
    rows = [dataset.rows(i) for i in range(len(dataset))]
    np.testing.assert_array_equal(np.sort(np.concatenate(rows)), np.arange(100))

    def take(seed: int) -> None:
        order = range(len(dataset)) if in_order else shuffled(dataset, seed)
        for i in order:
            x, y = dataset[i]
            np.testing.assert_array_equal(x.ravel(), rows[i])
            np.testing.assert_array_equal(y, rows[i])

    at_once(*(lambda seed=seed: take(seed) for seed in range(N_THREADS)))

    let_threads_end()
    dataset.on_epoch_end()
    assert dataset.epoch == 1


def test_threads_share_out_the_batches_of_photos(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline, files, np.arange(24), batch_size=2, shuffle=True)
    expected = standardised(pixels)

    def take(first: int) -> None:
        for i in range(first, len(dataset), 4):
            x, y = dataset[i]
            np.testing.assert_array_equal(y, dataset.rows(i))
            np.testing.assert_allclose(x, expected[y], rtol=0, atol=1e-5)

    at_once(*(lambda first=first: take(first) for first in range(4)))

    dataset.on_epoch_end()
    assert dataset.epoch == 1
    let_threads_end()


def test_random_numbers_of_a_batch_do_not_depend_on_the_thread():
    def augment(x: Any, y: Any, generator: np.random.Generator) -> tuple[Any, Any]:
        return x + generator.random(x.shape), y

    options = {"shuffle": True, "seed": 7, "augment": augment, "n_jobs": 4}
    dataset, alone = (numbered(60, batch_size=4, **options) for _ in range(2))
    expected = [alone[i][0] for i in range(len(alone))]

    def take(seed: int) -> None:
        for i in shuffled(dataset, seed):
            np.testing.assert_array_equal(dataset[i][0], expected[i], strict=True)

    at_once(*(lambda seed=seed: take(seed) for seed in range(N_THREADS)))
    let_threads_end()


def test_what_threads_could_not_read_is_told_once_at_the_end_of_the_epoch(
    blank_pipeline, broken
):
    dataset = PipelineDataset(blank_pipeline, broken, np.arange(12), batch_size=1, n_jobs=4)

    def take(seed: int) -> None:
        for i in shuffled(dataset, seed):
            x, y, weights = dataset[i]
            assert [*y] == [i]
            assert [*weights] == [i not in BAD]
            assert (x == 0).all() == (i in BAD)

    with image_warnings() as found:
        at_once(*(lambda seed=seed: take(seed) for seed in range(N_THREADS)))
        assert not found
        dataset.on_epoch_end()

    assert [list(warning.failures) for warning in found] == [BAD]
    let_threads_end()


def test_a_dataset_pickles_while_threads_take_batches_from_it():
    dataset = numbered(100, batch_size=7, shuffle=True, seed=0, n_jobs=4)
    rows = [dataset.rows(i) for i in range(len(dataset))]

    def copy() -> None:
        for _ in range(20):
            copied = pickle.loads(pickle.dumps(dataset))
            np.testing.assert_array_equal(copied[3][1], rows[3])

    def take() -> None:
        for i in range(len(dataset)):
            np.testing.assert_array_equal(dataset[i][1], rows[i])

    until(copy, [take] * 3)
    let_threads_end()


def test_a_dataset_pickles_while_threads_find_that_images_cannot_be_read(
    blank_pipeline, files
):
    paths = [*files[:1], *[b"not a photo"] * 600]
    dataset = PipelineDataset(blank_pipeline, paths, np.arange(601), batch_size=6)

    def take() -> None:
        for i in range(len(dataset)):
            dataset[i]

    until(take, [lambda: pickle.dumps(dataset)] * 2)
    let_threads_end()
