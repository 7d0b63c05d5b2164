"""Which samples make up which batch: shuffling, epochs, oversampling, remainders."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from tests.keras.conftest import (
    N_ROWS,
    batches_of,
    numbered,
    order_of,
    orders_of,
)

pytestmark = pytest.mark.one_backend


def test_without_shuffle_every_epoch_has_the_order_given():
    assert orders_of(numbered(), 2) == [list(range(N_ROWS))] * 2


def test_shuffling_serves_every_row_once_in_an_order_new_to_each_epoch():
    orders = orders_of(numbered(shuffle=True, seed=0), 5)
    assert all(sorted(order) == list(range(N_ROWS)) for order in orders)
    assert len({tuple(order) for order in [*orders, range(N_ROWS)]}) == 6


def test_shuffling_moves_rows_between_batches():
    orders = orders_of(numbered(shuffle=True, seed=0), 2)
    assert set(orders[0][:4]) != set(orders[1][:4])


def test_another_seed_is_another_order():
    a, b = (order_of(numbered(shuffle=True, seed=seed)) for seed in (1, 2))
    assert a != b


def test_a_seed_that_was_drawn_can_be_used_again():
    drawn = numbered(shuffle=True)
    again = numbered(shuffle=True, seed=drawn.seed)
    assert isinstance(drawn.seed, int)
    assert orders_of(drawn, 3) == orders_of(again, 3)
    assert numbered(shuffle=True).seed != drawn.seed


def test_the_order_ignores_the_global_random_state():
    orders = []
    for state in (0, 1):
        keras.utils.set_random_seed(state)
        orders.append(order_of(numbered(shuffle=True, seed=3)))
    assert orders[0] == orders[1]


def test_a_batch_can_be_asked_for_again_and_in_any_order():
    dataset = numbered(shuffle=True, seed=0)
    forth = [dataset[i][1].tolist() for i in range(4)]
    back = [dataset[i][1].tolist() for i in reversed(range(4))]
    assert back[::-1] == forth


@pytest.mark.parametrize("served", [(), (0,), (0, 1, 2)])
def test_an_epoch_end_before_the_last_batch_changes_nothing(served):
    dataset, whole = numbered(shuffle=True, seed=0), numbered(shuffle=True, seed=0)
    for i in served:
        dataset[i]
    dataset.on_epoch_end()
    assert dataset.epoch == 0
    assert order_of(dataset) == order_of(whole)


def test_a_second_epoch_end_changes_nothing():
    dataset, once = numbered(shuffle=True, seed=0), numbered(shuffle=True, seed=0)
    orders_of(dataset, 1)
    dataset.on_epoch_end()
    assert dataset.epoch == 1
    assert order_of(dataset) == orders_of(once, 2)[1]


def test_rows_and_weights_and_targets_of_a_batch_belong_together():
    dataset = numbered(
        shuffle=True, seed=0, y={"row": np.arange(N_ROWS)}, sample_weight=np.arange(N_ROWS) + 1
    )
    for epoch in range(2):
        for i in range(4):
            x, y, weights = dataset[i]
            rows = dataset.rows(i)
            np.testing.assert_array_equal(x.ravel(), rows)
            np.testing.assert_array_equal(y["row"], rows)
            np.testing.assert_array_equal(weights, rows + 1)
        dataset.on_epoch_end()
        assert dataset.epoch == epoch + 1


# Epochs


def test_rows_of_any_epoch_are_known_beforehand():
    dataset = numbered(shuffle=True, seed=0)
    foretold = [
        [int(row) for i in range(4) for row in dataset.rows(i, epoch)] for epoch in range(3)
    ]
    assert orders_of(dataset, 3) == foretold
    assert dataset.rows(0).tolist() != dataset.rows(0, epoch=0).tolist()


def test_rows_cannot_be_used_to_change_the_order():
    dataset = numbered(shuffle=True, seed=0)
    with pytest.raises(ValueError, match="read-only"):
        dataset.rows(0)[0] = 5


@pytest.mark.parametrize("epoch", [0, 1, 4])
def test_an_epoch_that_is_set_goes_on_as_an_uninterrupted_run(epoch):
    resumed = numbered(shuffle=True, seed=0)
    resumed.epoch = epoch
    assert resumed.epoch == epoch
    assert orders_of(resumed, 2) == orders_of(numbered(shuffle=True, seed=0), 6)[epoch:][:2]


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_epoch_that_is_set_halfway_begins_anew(n_jobs):
    dataset = numbered(shuffle=True, seed=0, n_jobs=n_jobs)
    for i in range(3):
        dataset[i]
    dataset.epoch = 3
    dataset[3]
    dataset.on_epoch_end()
    assert dataset.epoch == 3  # its batches 0 to 2 have not been served
    assert orders_of(dataset, 2) == orders_of(numbered(shuffle=True, seed=0), 5)[3:]


@pytest.mark.parametrize(
    ("epoch", "error"),
    [(-1, ValueError), (1.5, TypeError), (True, TypeError), ("1", TypeError)],
)
def test_an_epoch_that_cannot_be_is_refused(epoch, error):
    dataset = numbered()
    with pytest.raises(error, match=f"epoch={epoch!r}"):
        dataset.epoch = epoch
    with pytest.raises(error, match=f"epoch={epoch!r}"):
        dataset.rows(0, epoch)


@pytest.mark.parametrize("index", [-1, 4])
def test_rows_of_a_batch_that_does_not_exist_are_an_index_error(index):
    with pytest.raises(IndexError, match=f"no batch {index}: the dataset has 4"):
        numbered().rows(index)


@pytest.mark.parametrize(
    ("name", "value"), [("seed", 1), ("batch_size", 2), ("classes_", None)]
)
def test_what_the_order_follows_from_cannot_be_set(name, value):
    dataset = numbered(seed=5)
    with pytest.raises(AttributeError, match=name):
        setattr(dataset, name, value)
    assert (dataset.seed, dataset.batch_size) == (5, 4)


# Oversampling

CLASSES = np.array(list("aaaaaaabbbbb0"))  # 7 of a, 5 of b, 1 of 0


def draws_of(n_epochs: int, **options: Any) -> np.ndarray:
    """Count how often each row comes in each epoch; check the lengths on the way."""
    options = {"seed": 0} | options
    dataset = numbered(y=CLASSES, shuffle=True, oversample=True, **options)
    epochs = []
    for _ in range(n_epochs):
        rows = np.concatenate([x.ravel() for x, _ in batches_of(dataset)]).astype(int)
        assert len(rows) == 3 * 7
        epochs.append(np.bincount(rows, minlength=N_ROWS))
        dataset.on_epoch_end()
    return np.array(epochs)


def test_oversampling_draws_every_class_as_often_as_the_largest_and_its_images_evenly():
    draws = draws_of(5)
    for label in "ab0":
        members = label == CLASSES
        assert (draws[:, members].sum(axis=1) == 7).all()
        assert np.isin(draws[:, members] - 7 // members.sum(), (0, 1)).all()


def test_oversampling_leaves_it_to_chance_which_images_come_once_more():
    draws = draws_of(20, batch_size=21)[:, CLASSES == "b"]
    assert ((draws == 2).sum(axis=0) > 0).all()  # 7 of 5 images: two come twice


def test_oversampling_mixes_the_classes_anew_each_epoch():
    dataset = numbered(y=CLASSES, shuffle=True, oversample=True, seed=0, batch_size=21)
    orders = []
    for _ in range(3):
        orders.append(tuple(dataset[0][0].ravel()))
        dataset.on_epoch_end()
    assert len(set(orders)) == 3
    labels = [[int(row) for row in order] for order in orders]
    assert all(len(set(CLASSES[rows[:7]])) > 1 for rows in labels)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_oversampling_is_the_same_for_the_same_seed(n_jobs):
    np.testing.assert_array_equal(draws_of(3, n_jobs=n_jobs), draws_of(3))
    assert (draws_of(3, seed=1) != draws_of(3)).any()


@pytest.mark.parametrize(
    "y",
    [CLASSES, CLASSES.tolist(), CLASSES == "a", np.unique(CLASSES, return_inverse=True)[1]],
    ids=["text", "list", "bool", "integers"],
)
@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical", "input", None])
def test_oversampling_takes_its_classes_from_y_whatever_the_model_gets(y, label_mode):
    dataset = numbered(
        y=y, shuffle=True, oversample=True, seed=0, batch_size=100, label_mode=label_mode
    )
    batch = dataset[0]
    rows = (batch if label_mode is None else batch[0]).ravel().astype(int)
    largest, n_classes = np.bincount(np.unique(y, return_inverse=True)[1]).max(), len(set(y))
    _, counts = np.unique(np.asarray(y)[rows], return_counts=True)
    np.testing.assert_array_equal(counts, [largest] * n_classes)


def test_oversampling_carries_targets_and_weights_along():
    weights = np.arange(N_ROWS) + 1
    dataset = numbered(
        y=CLASSES, shuffle=True, oversample=True, seed=0, batch_size=21, sample_weight=weights
    )
    x, y, w = dataset[0]
    rows = x.ravel().astype(int)
    np.testing.assert_array_equal(dataset.classes_[y], CLASSES[rows])
    np.testing.assert_array_equal(w, weights[rows])


def test_oversampling_classes_of_one_size_is_shuffling():
    y = np.arange(12) % 3
    dataset = numbered(12, y=y, shuffle=True, oversample=True, seed=0, batch_size=12)
    assert sorted(dataset[0][0].ravel()) == list(range(12))


# Remainders


@pytest.mark.parametrize(
    ("n_rows", "sizes"), [(12, [4, 4, 4]), (13, [4, 4, 4]), (15, [4, 4, 4]), (4, [4])]
)
@pytest.mark.parametrize("shuffle", [False, True])
def test_without_a_remainder_all_batches_are_of_one_shape(n_rows, sizes, shuffle):
    dataset = numbered(n_rows, drop_remainder=True, shuffle=shuffle, seed=0)
    assert [len(x) for x, _ in batches_of(dataset)] == sizes
    with pytest.raises(IndexError):
        dataset[len(sizes)]


def test_what_is_left_out_changes_with_the_epoch_when_shuffled():
    orders = orders_of(numbered(drop_remainder=True, shuffle=True, seed=0), 20)
    assert all(len(set(order)) == 12 for order in orders)
    left_out = {min(set(range(N_ROWS)) - set(order)) for order in orders}
    assert len(left_out) > 1


def test_without_shuffle_the_last_rows_are_left_out():
    assert orders_of(numbered(drop_remainder=True), 2) == [list(range(12))] * 2


def test_oversampling_and_dropping_the_remainder_go_together():
    dataset = numbered(
        y=CLASSES, shuffle=True, oversample=True, drop_remainder=True, seed=0, batch_size=8
    )
    assert [len(x) for x, _ in batches_of(dataset)] == [8] * 2
