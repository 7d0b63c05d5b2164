"""The user's function on each batch, and the random generator it is given."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest

from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    N_ROWS,
    assert_same_batches,
    batches_of,
    numbered,
    order_of,
    row_numbers,
    unchanged,
)


def noisy(x: np.ndarray, y: Any, generator: np.random.Generator) -> tuple[np.ndarray, Any]:
    return x + generator.normal(size=x.shape).astype(np.float32), y


def draws_of(dataset: PipelineDataset, n_epochs: int) -> np.ndarray:
    """What generators drew for each epoch and batch, as `noise_alone` returns it."""
    draws = []
    for _ in range(n_epochs):
        draws.append([batch[0].ravel() for batch in batches_of(dataset)])
        dataset.on_epoch_end()
    return np.array(draws)


def noise_alone(x: np.ndarray, y: Any, generator: np.random.Generator) -> tuple[Any, Any]:
    return generator.normal(size=x.shape), y


class Doubling:
    """A callable object, of which only `__call__` has arguments."""

    def __call__(self, x: np.ndarray, y: Any) -> tuple[np.ndarray, Any]:
        return 2 * x, y

    def both(self, x: np.ndarray, y: Any, generator: np.random.Generator) -> Any:
        assert isinstance(generator, np.random.Generator)
        return 2 * x, 2 * y


# What it is called with


def test_images_and_targets_of_a_batch_go_through_a_function_of_two_arguments():
    batches = batches_of(numbered(augment=lambda x, y: (-x, y + 100)))
    x, y = (np.concatenate(parts) for parts in zip(*batches, strict=True))
    np.testing.assert_array_equal(x, -row_numbers())
    np.testing.assert_array_equal(y, np.arange(N_ROWS) + 100)


@pytest.mark.parametrize(
    ("augment", "factor"),
    [
        (Doubling(), (2, 1)),
        (Doubling().both, (2, 2)),
        (lambda x, y, strength=5: (strength * x, y), (5, 1)),
        (lambda *batch: (batch[0] * len(batch), batch[1]), (2, 1)),
        (lambda x, y, *, strength=5: (strength * x, y), (5, 1)),
    ],
    ids=["object", "method of three", "default", "starred", "keyword"],
)
def test_callables_of_any_kind_get_a_generator_if_they_require_three(augment, factor):
    x, y = numbered(augment=augment)[1]
    np.testing.assert_array_equal(x.ravel(), factor[0] * np.arange(4, 8))
    np.testing.assert_array_equal(y, factor[1] * np.arange(4, 8))


def test_targets_by_name_and_weights_stay_what_they_are():
    def augment(x: np.ndarray, y: dict[str, np.ndarray]) -> Any:
        return x, {"row": y["row"], "half": y["half"] * 10}

    y = {"row": np.arange(N_ROWS), "half": np.arange(N_ROWS) / 2}
    x, targets, weights = numbered(augment=augment, y=y, sample_weight=np.arange(N_ROWS))[1]
    rows = np.arange(4, 8)
    np.testing.assert_array_equal(x.ravel(), rows)
    np.testing.assert_array_equal(targets["row"], rows)
    np.testing.assert_array_equal(targets["half"], rows * 5)
    np.testing.assert_array_equal(weights, rows)


@pytest.mark.parametrize("wrong", [lambda y: y["row"], lambda y: {"other": y["row"]}])
def test_targets_by_name_that_come_back_otherwise_are_refused(wrong):
    dataset = numbered(augment=lambda x, y: (x, wrong(y)), y={"row": np.arange(N_ROWS)})
    with pytest.raises(TypeError, match=r"named row and returned others.*the names that came"):
        dataset[0]


@pytest.mark.parametrize("options", [{"y": None}, {"label_mode": None}])
def test_without_targets_it_gets_none_and_a_batch_stays_images_alone(options):
    def augment(x: np.ndarray, y: None) -> tuple[np.ndarray, None]:
        assert y is None
        return -x, y

    dataset = numbered(augment=augment, **options)
    np.testing.assert_array_equal(np.concatenate(batches_of(dataset)), -row_numbers())


def in_place(x: np.ndarray, y: Any) -> tuple[np.ndarray, Any]:
    x += 100
    return x, y


@pytest.mark.parametrize("augment", [in_place, lambda x, y: (x + 100, y)])
def test_the_targets_of_an_autoencoder_stay_clean(augment):
    dataset = numbered(augment=augment, label_mode="input")
    for _ in range(2):
        for i, (x, y) in enumerate(batches_of(dataset)):
            np.testing.assert_array_equal(y, row_numbers()[4 * i : 4 * i + 4])
            np.testing.assert_array_equal(x, y + 100)
        dataset.on_epoch_end()


@pytest.mark.parametrize("label_mode", ["auto", "int", "categorical", "input"])
def test_a_function_that_works_in_place_leaves_x_and_y_as_they_were(label_mode):
    def augment(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        x *= 0
        y *= 0
        return x, y

    x, y = row_numbers(), np.arange(N_ROWS)
    dataset = PipelineDataset(
        unchanged(), x, y, batch_size=4, augment=augment, label_mode=label_mode
    )
    assert not any(part.any() for batch in batches_of(dataset) for part in batch)
    np.testing.assert_array_equal(x, row_numbers())
    np.testing.assert_array_equal(y, np.arange(N_ROWS))


# The generator


@pytest.mark.parametrize("backwards", [False, True])
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_what_is_drawn_depends_on_seed_epoch_and_batch_alone(n_jobs, backwards):
    expected = numbered(augment=noisy, shuffle=True, seed=3, n_jobs=1)
    dataset = numbered(augment=noisy, shuffle=True, seed=3, n_jobs=n_jobs)
    for _ in range(3):
        order = range(4)[:: -1 if backwards else 1]
        batches = {i: dataset[i] for i in order}
        assert_same_batches([batches[i] for i in range(4)], batches_of(expected))
        dataset.on_epoch_end()
        expected.on_epoch_end()


def test_a_batch_that_is_asked_for_again_is_augmented_alike():
    dataset = numbered(augment=noisy, shuffle=True, seed=3)
    assert_same_batches([dataset[2]], [dataset[2]])


def test_every_batch_of_every_epoch_has_draws_of_its_own():
    draws = draws_of(numbered(12, augment=noise_alone, shuffle=True, seed=0), 5)
    assert draws.shape == (5, 3, 4)
    assert len(np.unique(draws)) == draws.size


def test_another_seed_draws_otherwise():
    a, b = (draws_of(numbered(12, augment=noise_alone, seed=seed), 2) for seed in (1, 2))
    assert not np.isin(a, b).any()


def test_a_run_that_is_resumed_draws_as_the_uninterrupted_one():
    resumed = numbered(12, augment=noise_alone, shuffle=True, seed=0)
    resumed.epoch = 2
    whole = draws_of(numbered(12, augment=noise_alone, shuffle=True, seed=0), 4)
    np.testing.assert_array_equal(draws_of(resumed, 2), whole[2:])


def test_the_global_random_state_neither_matters_nor_changes():
    draws = []
    for state in (0, 1):
        keras.utils.set_random_seed(state)
        before = np.random.get_state()[1].tolist()  # noqa: NPY002 - the state looked after
        draws.append(draws_of(numbered(12, augment=noise_alone, seed=3), 2))
        assert np.random.get_state()[1].tolist() == before  # noqa: NPY002 - as above
    np.testing.assert_array_equal(*draws)


def test_augmenting_leaves_the_order_alone_however_much_it_draws():
    def augment(x: np.ndarray, y: Any, generator: np.random.Generator) -> Any:
        generator.normal(size=1000)
        return x, y

    plain, dataset = (
        numbered(shuffle=True, seed=3, augment=function) for function in (None, augment)
    )
    for _ in range(3):
        assert order_of(dataset) == order_of(plain)
        dataset.on_epoch_end()
        plain.on_epoch_end()


@pytest.mark.parametrize("epoch", [0, 1])
def test_draws_do_not_repeat_those_of_the_shuffling(epoch):
    permutations = []

    def augment(x: np.ndarray, y: Any, generator: np.random.Generator) -> Any:
        permutations.append(generator.permutation(N_ROWS).tolist())
        return x, y

    dataset = numbered(shuffle=True, seed=3, augment=augment, n_jobs=1)
    dataset.epoch = epoch
    batches_of(dataset)
    orders = [
        [int(row) for i in range(4) for row in dataset.rows(i, e)] for e in range(epoch + 2)
    ]
    assert len(permutations) >= 4
    assert not any(order in permutations for order in orders)


# What it returns


def test_tensors_of_the_backend_become_arrays():
    def augment(x: np.ndarray, y: np.ndarray) -> Any:
        tensors = (keras.ops.convert_to_tensor(x) * 2, keras.ops.convert_to_tensor(y) + 1)
        assert not any(isinstance(tensor, np.ndarray) for tensor in tensors)
        return tensors

    for i, (x, y) in enumerate(batches_of(numbered(augment=augment, n_jobs=2))):
        rows = row_numbers()[4 * i : 4 * i + 4]
        assert isinstance(x, np.ndarray)
        assert isinstance(y, np.ndarray)
        np.testing.assert_array_equal(x, rows * 2, strict=True)
        np.testing.assert_array_equal(y, rows.ravel() + 1, strict=True)


def test_images_may_change_their_size_and_dtype():
    x, _ = numbered(augment=lambda x, y: (np.repeat(x, 3, axis=1).astype(np.uint8), y))[0]
    assert (x.shape, x.dtype) == ((4, 3, 1, 1), np.uint8)


@pytest.mark.parametrize(
    ("returned", "error", "message"),
    [
        (lambda x, y: None, TypeError, r"returned NoneType.*Return \(x, y\)"),
        (lambda x, y: x, TypeError, "returned ndarray"),
        (lambda x, y: (x, y, y), TypeError, "returned tuple"),
        (lambda x, y: {"x": x, "y": y}, TypeError, "returned dict"),
        (zip, TypeError, "returned zip"),  # a builtin, whose signature nobody knows
        (lambda x, y: (x[1:], y[1:]), ValueError, r"4 images and returned.*\(3, 1, 1, 1\)"),
        (lambda x, y: (x.sum(), y), ValueError, r"4 images and returned.*shape \(\)"),
        (lambda x, y: (None, y), TypeError, "returned NoneType for the images"),
        (lambda x, y: (list(x), y), TypeError, "returned list for the images"),
        (lambda x, y: (x, y[1:]), ValueError, r"4 images and returned.*\(3,\) for the target"),
        (lambda x, y: (x, None), TypeError, "returned NoneType for the targets"),
        (lambda x, y: (x, y.tolist()), TypeError, "returned list for the targets"),
    ],
    ids=[
        *("none", "images alone", "three", "dict", "builtin", "too few", "scalar"),
        *("no images", "list of images", "too few targets", "no targets", "list of targets"),
    ],
)
@pytest.mark.parametrize("batch", [0, 1])
def test_what_is_no_batch_is_refused(returned, error, message, batch):
    dataset = numbered(augment=returned, n_jobs=2)
    with pytest.raises(error, match=message):
        dataset[batch]


def test_an_error_of_the_function_reaches_the_user_as_it_is():
    def augment(x: np.ndarray, y: Any) -> Any:
        if x.max() > 8:
            raise ZeroDivisionError("mine")
        return x, y

    dataset = numbered(augment=augment, n_jobs=2)
    assert [len(dataset[i][0]) for i in (0, 1)] == [4, 4]
    with pytest.raises(ZeroDivisionError, match="mine"):
        dataset[2]


# What is refused at once


@pytest.mark.parametrize(
    "augment",
    ["flip", 3, lambda x: x, lambda: None, lambda x, y, generator, more: (x, y)],
    ids=["text", "number", "one argument", "none", "four"],
)
def test_what_cannot_be_called_with_a_batch_is_refused(augment):
    with pytest.raises(TypeError, match="cannot be called with a batch"):
        numbered(augment=augment)


@pytest.mark.parametrize("within_a_model", [False, True])
def test_a_layer_of_keras_is_refused_with_the_way_to_call_it(within_a_model):
    layer = keras.layers.RandomFlip(name="flip")
    augment = keras.Sequential([layer], name="flip") if within_a_model else layer
    with pytest.raises(TypeError, match=r"Keras layer, 'flip'.*training=True"):
        numbered(augment=augment)


# In training


def test_what_the_model_sees_is_augmented():
    model = keras.Sequential([keras.Input((1, 1, 1)), keras.layers.Flatten()])
    model.compile(loss="mse")
    expected = np.mean((2 * np.arange(N_ROWS)) ** 2)
    dataset = numbered(augment=lambda x, y: (-x, y), n_jobs=2)
    assert model.evaluate(dataset, verbose=0) == pytest.approx(expected, rel=1e-5)
