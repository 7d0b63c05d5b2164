"""Shuffling within windows: each chunk of an array on disk is read once per epoch."""

from __future__ import annotations

import pickle
import threading
import weakref
from collections import Counter
from pathlib import Path
from typing import Any, ClassVar

import dask.array as da
import h5py
import numpy as np
import pytest
import zarr
from sklearn.model_selection import train_test_split

from sknorm_images import Resizer, SavedImages, make_image_pipeline, save_images
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    batches_of,
    counting_model,
    image_warnings,
    order_of,
    orders_of,
    row_numbers,
    unchanged,
    value_of,
)

pytestmark = pytest.mark.one_backend

N, CHUNK = 203, 10  # the last chunk has three images
SIZES = {"batch_size": 8, "shuffle_window": 40}  # windows of four chunks


class Counting:
    """A chunked array of row numbers that counts how often each row is read."""

    def __init__(self, n_rows: int = N, chunk: int | None = CHUNK) -> None:
        self.array = row_numbers(n_rows)
        self.shape, self.dtype = self.array.shape, self.array.dtype
        self.chunks = None if chunk is None else (chunk, 1, 1, 1)
        self.reads: Counter[int] = Counter()
        self.blocks: list[weakref.ref[np.ndarray]] = []
        self._lock = threading.Lock()

    def __getitem__(self, key: Any) -> np.ndarray:
        block = self.array[key].copy()
        with self._lock:
            self.reads.update(block.ravel().astype(int).tolist())
            self.blocks.append(weakref.ref(block))
        return block


def shuffled(X: Any, n_rows: int = N, **options: Any) -> PipelineDataset:
    options = {"y": np.arange(n_rows, dtype=np.float32), "seed": 0, "n_jobs": 2} | options
    return PipelineDataset(unchanged(), X, shuffle=True, **(SIZES | options))


def in_chunks(path: Path, n_rows: int = N, chunk: int = CHUNK) -> SavedImages:
    return save_images(row_numbers(n_rows), path / "rows.zarr", chunk_size=chunk)


# The order


def test_every_row_comes_once_per_epoch_in_an_order_that_is_always_new():
    orders = orders_of(shuffled(Counting()), 4)
    assert all(sorted(order) == list(range(N)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert orders == orders_of(shuffled(Counting(), n_jobs=1), 4)
    assert orders != orders_of(shuffled(Counting(), seed=1), 4)


def test_a_window_holds_whole_chunks_that_every_epoch_draws_anew():
    together = set()
    for order in orders_of(shuffled(Counting()), 6):
        chunks = np.array(order) // CHUNK
        windows, start = [], 0
        while start < N:
            drawn = list(dict.fromkeys(chunks[start:].tolist()))[:4]
            stop = start + int(np.isin(chunks, drawn).sum())
            assert set(chunks[start:stop]) == set(drawn)
            assert len(windows) == 5 or stop - start in (33, 40)
            windows.append(frozenset(drawn))
            start = stop
        together |= set(windows)
    assert len(together) > 30  # of 36


def test_images_of_all_chunks_of_a_window_are_mixed():
    order = np.array(order_of(shuffled(Counting(4000, 40), 4000, shuffle_window=1600)))
    chunk_of_next = np.diff(order // 40)
    assert 0 < np.mean(chunk_of_next == 0) < 0.05  # 39 of 1,599 follow one of their own chunk
    assert np.mean(np.diff(order) == 1) < 0.01


def test_an_epoch_is_resumed_by_its_number_and_foretold(tmp_path):
    dataset, whole = shuffled(in_chunks(tmp_path)), shuffled(Counting())
    orders = orders_of(whole, 5)
    dataset.epoch = 3
    copied = pickle.loads(pickle.dumps(dataset))
    assert orders_of(dataset, 2) == orders_of(copied, 2) == orders[3:]
    assert [int(row) for i in range(len(whole)) for row in whole.rows(i, 2)] == orders[2]


def test_one_window_may_hold_everything():
    order = order_of(shuffled(Counting(), shuffle_window=10**300))
    assert order != sorted(order) == list(range(N))


# What is read


@pytest.mark.parametrize("n_jobs", [1, 2])
@pytest.mark.parametrize("chunk", [CHUNK, 1, None], ids=str)
def test_each_chunk_is_read_once_per_epoch(n_jobs, chunk):
    stored = Counting(chunk=chunk)
    window = {"shuffle_window": 40 if chunk == CHUNK else 96}
    dataset = shuffled(stored, n_jobs=n_jobs, **window)
    orders_of(dataset, 1)
    assert stored.reads == dict.fromkeys(range(N), 1)
    orders_of(dataset, 2)
    # What two windows hold is still there from the epoch before.
    assert set(stored.reads.values()) <= {1, 2, 3}


def test_without_windows_a_chunk_is_read_for_every_row():
    class Chunked(Counting):
        def __getitem__(self, key: Any) -> np.ndarray:
            rows = np.unique(np.arange(N)[key] // CHUNK)
            for chunk in rows.tolist():  # as Zarr and h5py do
                super().__getitem__(slice(chunk * CHUNK, (chunk + 1) * CHUNK))
            return self.array[key]

    plain, within = Chunked(), Chunked()
    orders_of(shuffled(plain, shuffle_window=None), 1)
    orders_of(shuffled(within), 1)
    assert max(within.reads.values()) == 1
    assert np.mean([plain.reads[row] for row in range(N)]) > 0.9 * CHUNK


def test_no_more_than_two_windows_and_batches_are_in_memory():
    n_rows = 4000
    stored = Counting(n_rows)
    dataset = shuffled(stored, n_rows, n_jobs=1, shuffle_window=200)
    most = 0
    for i in range(len(dataset)):
        dataset[i]
        most = max(most, sum(block() is not None for block in stored.blocks))
    assert 20 < most <= 2 * 20 + 1


@pytest.mark.parametrize("store", ["zarr", "npy", "memmap", "h5py", "dask", "selected"])
def test_images_of_any_array_stay_with_their_labels(store, tmp_path):
    pixels, rows = row_numbers(N), np.arange(N)
    if store in ("zarr", "npy"):
        X: Any = save_images(pixels, tmp_path / f"rows.{store}", chunk_size=CHUNK)
    elif store == "memmap":
        X = save_images(pixels, tmp_path / "rows.npy").array
    elif store == "h5py":
        X = h5py.File(tmp_path / "rows.h5", "w").create_dataset("rows", data=pixels)
    elif store == "dask":
        X = da.from_array(pixels, chunks=((50, 3, 20, 0, 130), 1, 1, 1))
    else:
        saved = save_images(pixels, tmp_path / "rows.zarr", chunk_size=CHUNK)
        X, _, rows, _ = train_test_split(saved, rows, random_state=0)
    dataset = shuffled(X, y=rows.astype(np.float32), shuffle_window=270)
    for order in orders_of(dataset, 2):
        assert order != sorted(order) == sorted(rows.tolist())
    if store == "h5py":
        X.file.close()


class CountingStore(zarr.storage.LocalStore):
    """A folder that counts how often each chunk is read."""

    reads: ClassVar[Counter[tuple[str, str]]] = Counter()

    async def get(self, key: str, *arguments: Any, **options: Any) -> Any:
        if "c/" in key:
            self.reads[self.root.name, key] += 1
        return await super().get(key, *arguments, **options)


def test_chunks_of_zarr_are_read_once_of_photos_and_of_masks(tmp_path):
    in_chunks(tmp_path)
    save_images(np.arange(N).reshape(-1, 1, 1, 1), tmp_path / "masks.zarr", chunk_size=5)
    CountingStore.reads.clear()
    photos, masks = (
        zarr.open_array(CountingStore(tmp_path / name), mode="r")
        for name in ("rows.zarr", "masks.zarr")
    )
    pipeline, X = {"photo": unchanged()}, {"photo": photos}
    dataset = PipelineDataset(pipeline, X, masks, shuffle=True, seed=0, **SIZES)
    for x, y in batches_of(dataset):
        np.testing.assert_array_equal(x["photo"].ravel(), y.ravel())
    assert set(CountingStore.reads.values()) == {1}
    names = Counter(name for name, _ in CountingStore.reads)
    assert names == {"rows.zarr": 21, "masks.zarr": 41}


@pytest.mark.long
def test_a_model_trains_on_every_row_once_per_epoch(tmp_path):
    stored = Counting()
    model, counter = counting_model(N)
    dataset = shuffled(stored)
    model.fit(
        dataset, epochs=3, shuffle=False, verbose=0, callbacks=[dataset.resume_callback()]
    )
    np.testing.assert_array_equal(value_of(counter.trained), 3)
    assert dataset.epoch == 3
    assert max(stored.reads.values()) == 3


# Weights, blank images, oversampling


def test_weights_and_blank_images_go_with_their_rows(broken, files, tmp_path):
    paths = [*broken, *files[:12]]
    images = make_image_pipeline((32, 48), on_error="blank")[:-1].transform(paths)
    with image_warnings():
        saved = save_images(images, tmp_path / "photos.zarr", chunk_size=3)
    weights = np.arange(24) + 1
    dataset = PipelineDataset(
        unchanged(),
        saved,
        np.arange(24),
        shuffle=True,
        shuffle_window=9,
        batch_size=5,
        sample_weight=weights,
    )
    pixels = np.asarray(saved.array)
    bad = [1, 4, 5, 6, 7]
    for x, y, w in batches_of(dataset):
        np.testing.assert_array_equal(x, pixels[y])
        np.testing.assert_array_equal(w, np.where(np.isin(y, bad), 0, weights[y]))
    with image_warnings() as warnings:
        dataset.on_epoch_end()
    assert sorted(warnings[0].failures) == bad


def test_a_chunk_that_was_lost_ends_the_epoch(tmp_path):
    saved = in_chunks(tmp_path)
    Path(saved.path, "c/7/0/0/0").unlink()
    with pytest.raises(OSError, match="Rows 70 to 79 are lost"):
        batches_of(shuffled(saved))


def test_images_of_small_classes_are_drawn_repeatedly_from_their_chunks():
    stored, y = Counting(), (np.arange(N) >= 180).astype(int)
    dataset = shuffled(stored, y=y, oversample=True)
    rows = np.concatenate([x.ravel() for x, _ in batches_of(dataset)]).astype(int)
    assert np.bincount(y[rows]).tolist() == [180, 180]
    assert len(set(rows.tolist())) == N
    assert stored.reads == dict.fromkeys(range(N), 1)


# What it refuses


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"shuffle_window": 0}, ValueError, "shuffle_window=0 is out of range"),
        ({"shuffle_window": 40.0}, TypeError, "shuffle_window=40.0 is of type float"),
        ({"shuffle_window": True}, TypeError, "shuffle_window=True is of type bool"),
        ({"shuffle": False}, ValueError, "shuffle_window=40 is how far images are shuffled"),
        ({"shuffle_window": 19}, ValueError, "less than two chunks of 10 images.*such as 320"),
    ],
)
def test_a_window_that_cannot_be_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        PipelineDataset(
            unchanged(), Counting(), **({"shuffle": True, "shuffle_window": 40} | options)
        )


@pytest.mark.parametrize("kind", ["paths", "in memory", "resized"])
def test_images_that_are_read_one_by_one_are_refused(kind, files, pixels, tmp_path):
    pipeline, X = make_image_pipeline((8, 8)).fit(files), files
    if kind == "in memory":
        pipeline, X = unchanged(), pixels
    elif kind == "resized":
        pipeline, X = Resizer((8, 8)), save_images(pixels, tmp_path / "photos.zarr")
    with pytest.raises(ValueError, match="X is read image by image"):
        PipelineDataset(pipeline, X, shuffle=True, shuffle_window=100)
