"""Batches: whatever X is, images as the pipeline makes them, and the files they are from."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.compose import ColumnTransformer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sknorm_images import (
    ChannelStandardScaler,
    ImageFlattener,
    Resizer,
    make_image_pipeline,
    save_images,
)
from sknorm_images.keras import PipelineDataset
from tests.keras.conftest import (
    assert_same_batches,
    batches_of,
    linear_model,
    numbered,
    row_numbers,
    standardised,
    unchanged,
)


def as_paths(files: list[str]) -> Any:
    return files


def as_path_objects(files: list[str]) -> Any:
    return [Path(file) for file in files]


def as_bytes(files: list[str]) -> Any:
    return [Path(file).read_bytes() for file in files]


def as_array(files: list[str]) -> Any:
    return np.array(files)


def as_series(files: list[str]) -> Any:
    # train_test_split leaves such an index: labels that are not positions.
    return pd.Series(files, index=range(100, 100 - len(files), -1))


def test_batches_are_consecutive_rows_of_the_normalised_photos(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline, files, np.arange(24), batch_size=10)
    expected = standardised(pixels)
    assert len(dataset) == 3
    for i, rows in enumerate((slice(0, 10), slice(10, 20), slice(20, 24))):
        x, y = dataset[i]
        assert x.dtype == np.float32
        np.testing.assert_allclose(x, expected[rows], rtol=0, atol=1e-5)
        np.testing.assert_array_equal(y, np.arange(24)[rows])


@pytest.mark.parametrize(
    ("n_rows", "batch_size", "sizes"),
    [(12, 4, [4, 4, 4]), (13, 4, [4, 4, 4, 1]), (3, 4, [3]), (3, 1, [1, 1, 1])],
)
def test_only_the_last_batch_is_short(n_rows, batch_size, sizes):
    dataset = numbered(n_rows, batch_size)
    assert len(dataset) == len(sizes)
    assert [len(dataset[i][0]) for i in range(len(dataset))] == sizes


def test_32_is_the_batch_size_of_keras_and_the_default():
    dataset = PipelineDataset(unchanged(), row_numbers(70))
    assert dataset.batch_size == 32
    assert [len(dataset[i]) for i in range(len(dataset))] == [32, 32, 6]


@pytest.mark.parametrize("index", [-1, 4, 100])
def test_a_batch_that_does_not_exist_is_an_index_error(index):
    with pytest.raises(IndexError, match=f"no batch {index}: the dataset has 4"):
        numbered()[index]


@pytest.mark.parametrize("kind", [as_paths, as_path_objects, as_bytes, as_array, as_series])
def test_photos_come_as_paths_or_bytes_in_any_container(kind, files, pixels, pipeline):
    dataset = PipelineDataset(pipeline, kind(files), batch_size=7)
    x = np.concatenate([dataset[i] for i in range(len(dataset))])
    np.testing.assert_allclose(x, standardised(pixels), rtol=0, atol=1e-5)


def test_a_pipeline_within_a_pipeline_takes_a_series_by_position(files, pixels, pipeline):
    nested = make_pipeline(pipeline, FunctionTransformer())
    dataset = PipelineDataset(nested, as_series(files), batch_size=7)
    x = np.concatenate([dataset[i] for i in range(len(dataset))])
    np.testing.assert_allclose(x, standardised(pixels), rtol=0, atol=1e-5)


def test_lazy_images_go_through_a_lone_scaler(files, pixels, pipeline):
    images = pipeline[:-1].transform(files)
    dataset = PipelineDataset(pipeline[-1], images, batch_size=7)
    np.testing.assert_allclose(dataset[1], standardised(pixels)[7:14], rtol=0, atol=1e-5)


def test_arrays_go_through_a_lone_scaler(pixels):
    scaler = ChannelStandardScaler().fit(pixels)
    dataset = PipelineDataset(scaler, pixels, batch_size=7)
    np.testing.assert_allclose(dataset[3], standardised(pixels)[21:], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["photos.npy", "photos.zarr"])
def test_saved_images_give_the_batches_of_the_photos(name, files, pipeline, tmp_path):
    saved = save_images(pipeline[:-1].transform(files), tmp_path / name, chunk_size=5)
    expected = PipelineDataset(pipeline, files, batch_size=7, shuffle=True, seed=3)
    dataset = PipelineDataset(pipeline[-1], saved, batch_size=7, shuffle=True, seed=3)
    assert len(dataset) == len(expected) == 4
    for i in range(4):
        np.testing.assert_array_equal(dataset[i], expected[i])


def test_the_first_steps_of_a_pipeline_serve_uint8_pixels(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline[:-1], files, batch_size=7)
    x = np.concatenate([dataset[i] for i in range(len(dataset))])
    assert x.dtype == np.uint8
    np.testing.assert_array_equal(x, pixels)


def test_a_data_frame_goes_to_a_column_transformer_as_a_data_frame(files, pixels):
    table = pd.DataFrame({"path": files, "age": np.arange(24.0)}, index=range(100, 124))
    images = make_image_pipeline((32, 48)).set_params(resize__reducing_gap=None)
    rows = Pipeline([*images.steps, ("flatten", ImageFlattener())])
    columns = ColumnTransformer([("photo", rows, "path"), ("age", "passthrough", ["age"])])
    dataset = PipelineDataset(columns.fit(table), table, batch_size=10)

    x = np.concatenate([dataset[i] for i in range(len(dataset))])

    flat = pixels.reshape(-1, 3).astype(float)
    expected = ((pixels - flat.mean(axis=0)) / flat.std(axis=0)).reshape(24, -1)
    np.testing.assert_allclose(x[:, :-1], expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(x[:, -1], np.arange(24.0))


@pytest.mark.parametrize("stage", ["scaled", "uint8"])
def test_one_thread_and_two_make_the_same_batches(stage, files, pipeline):
    def noisy(x: np.ndarray, y: Any, generator: np.random.Generator) -> Any:
        return x + generator.integers(0, 5, x.shape).astype(x.dtype), y

    datasets = [
        PipelineDataset(
            pipeline if stage == "scaled" else pipeline[:-1],
            files,
            ["temple", "flower"] * 12,
            batch_size=5,
            shuffle=True,
            seed=0,
            augment=noisy,
            n_jobs=n_jobs,
        )
        for n_jobs in (1, 2)
    ]
    for _ in range(2):
        assert_same_batches(*map(batches_of, datasets))
        for dataset in datasets:
            dataset.on_epoch_end()


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (100, 100)])
def test_batches_lie_where_backends_take_them_without_a_copy(size, files, pixels):
    images = make_image_pipeline(size).fit(files)
    scaler = ChannelStandardScaler().fit(pixels)
    for pipeline, X in ((images, files), (images[:-1], files), (scaler, pixels)):
        for x in batches_of(PipelineDataset(pipeline, X, batch_size=7)):
            assert x.ctypes.data % 64 == 0
            assert x.flags.c_contiguous
            assert x.flags.writeable


# Arrays larger than memory


class OnDisk:
    """As much of an array as a lazy store of rows offers, such as that of Zarr or HDF5."""

    def __init__(self, rows: np.ndarray) -> None:
        self._rows = rows
        self.shape, self.dtype, self.ndim = rows.shape, rows.dtype, rows.ndim
        self.taken: list[list[int]] = []

    def __len__(self) -> int:
        return len(self._rows)

    def __getitem__(self, key: Any) -> np.ndarray:
        self.taken.append(np.arange(len(self))[key].tolist())
        return self._rows[key]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        raise AssertionError("all of the array was asked for")


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_an_array_on_disk_is_read_batch_by_batch(n_jobs):
    n_rows = 40
    on_disk = OnDisk(row_numbers(n_rows))
    dataset = PipelineDataset(
        unchanged(),
        on_disk,
        np.arange(n_rows) % 2,
        batch_size=4,
        shuffle=True,
        seed=0,
        oversample=True,
        sample_weight=np.ones(n_rows),
        n_jobs=n_jobs,
    )
    assert on_disk.taken == []
    order = [dataset.rows(i).tolist() for i in range(10)]
    linear_model().fit(dataset, shuffle=False, verbose=0)
    assert all(rows in order for rows in on_disk.taken)
    assert {tuple(rows) for rows in on_disk.taken} == set(map(tuple, order))


class InChunks(OnDisk):
    """The same of a store that keeps rows in chunks, as that of Zarr does."""

    chunks = (5, 1, 1, 1)


def test_an_array_in_chunks_is_read_image_by_image():
    in_chunks = InChunks(row_numbers(40))
    dataset = PipelineDataset(unchanged(), in_chunks, batch_size=4, shuffle=True, seed=0)
    assert in_chunks.taken == []
    dataset[0]
    assert in_chunks.taken == dataset.rows(0).tolist()


def test_what_values_an_array_in_chunks_may_hold_is_said_by_the_steps():
    rows = row_numbers(4).astype(np.float32)
    rows[2] = np.nan
    dataset = PipelineDataset(FunctionTransformer(np.nan_to_num), InChunks(rows), batch_size=4)
    np.testing.assert_array_equal(dataset[0].ravel(), [0, 1, 0, 3])
    with pytest.raises(ValueError, match="NaN"):
        PipelineDataset(ChannelStandardScaler(mean=0, std=1), InChunks(rows))[0]


# The files of a batch


@pytest.mark.parametrize("kind", [as_paths, as_path_objects, as_array, as_series])
def test_the_names_of_the_files_of_a_batch_are_the_paths_as_passed(kind, files, pipeline):
    dataset = PipelineDataset(pipeline, kind(files), batch_size=10)
    assert [dataset.filenames(i) for i in range(3)] == [files[:10], files[10:20], files[20:]]


def test_the_names_of_files_are_known_without_reading_them(pipeline, tmp_path):
    paths = [tmp_path / f"{name}.jpg" for name in "abc"]
    dataset = PipelineDataset(pipeline, paths, batch_size=2)
    assert dataset.filenames(1) == [str(paths[2])]


def test_names_of_bytes_say_how_many_they_are(files, pipeline):
    sources = as_bytes(files)
    dataset = PipelineDataset(pipeline, sources, batch_size=10)
    for name, source in zip(dataset.filenames(2), sources[20:], strict=True):
        assert f"{len(source)} bytes" in name


@pytest.mark.parametrize("stage", [lambda p: p, lambda p: p[:-1]], ids=["whole", "prefix"])
def test_the_names_of_the_files_follow_the_order_of_each_epoch(
    stage: Callable[[Pipeline], Pipeline], files, pipeline
):
    dataset = PipelineDataset(stage(pipeline), files, batch_size=10, shuffle=True, seed=0)
    names = {epoch: [dataset.filenames(i, epoch) for i in range(3)] for epoch in range(3)}
    for epoch in range(3):
        assert [dataset.filenames(i) for i in range(3)] == names[epoch]
        batches_of(dataset)
        dataset.on_epoch_end()
    assert sorted(name for batch in names[1] for name in batch) == files
    assert names[0] != names[1]


def test_the_name_of_a_file_belongs_to_its_image(files, pixels, pipeline):
    dataset = PipelineDataset(pipeline[:-1], files, batch_size=10, shuffle=True, seed=0)
    for i in range(3):
        rows = [files.index(name) for name in dataset.filenames(i)]
        np.testing.assert_array_equal(dataset[i], pixels[rows])


def test_lazy_images_tell_the_names_of_their_files(files, pipeline):
    images = pipeline[:-1].transform(files)
    dataset = PipelineDataset(pipeline[-1], images, batch_size=10)
    assert dataset.filenames(2) == files[20:]


ORDERS: dict[str, dict[str, Any]] = {
    "in order": {},
    "shuffled": {"shuffle": True, "seed": 0},
    "in windows": {"shuffle": True, "seed": 0, "shuffle_window": 6},
    "a shard": {"shuffle": True, "seed": 0, "shard": (1, 2)},
}


@pytest.mark.one_backend
@pytest.mark.parametrize("several", [False, True], ids=["one input", "two inputs"])
@pytest.mark.parametrize("order", ORDERS)
def test_names_that_were_saved_with_images_belong_to_the_images_of_a_batch(
    order, several, tmp_path
):
    names = [f"row {row}" for row in range(24)]
    saved = save_images(row_numbers(24), tmp_path / "r.zarr", chunk_size=2, filenames=names)
    some = saved[np.arange(20)[::-1]]
    pipelines, X = {"a": unchanged(), "b": unchanged()}, {"a": some, "b": row_numbers(20)}
    dataset = PipelineDataset(
        pipelines if several else unchanged(),
        X if several else some,
        batch_size=4,
        **ORDERS[order],
    )
    for copied in (dataset, pickle.loads(pickle.dumps(dataset))):
        for i, x in enumerate(batches_of(copied)):
            expected = [f"row {int(row)}" for row in (x["a"] if several else x).ravel()]
            found = copied.filenames(i)
            assert found == ({"a": expected} if several else expected)


@pytest.mark.one_backend
def test_saved_names_are_known_where_a_resizer_reads_the_images(tmp_path):
    names = [f"row {row}" for row in range(5)]
    pixels = row_numbers(5).astype(np.uint8).repeat(8, axis=1).repeat(8, axis=2)
    saved = save_images(pixels, tmp_path / "rows.npy", filenames=names)
    dataset = PipelineDataset(Resizer(4), saved, batch_size=3)
    assert dataset.filenames(1) == names[3:]


@pytest.mark.one_backend
def test_arrays_have_no_files_but_rows(tmp_path):
    without_names = save_images(row_numbers(), tmp_path / "rows.npy")
    for X in (row_numbers(), without_names):
        with pytest.raises(TypeError, match=r"no files.*rows\(batch_index\).*save_images"):
            PipelineDataset(unchanged(), X).filenames(0)


@pytest.mark.parametrize("index", [-1, 3])
def test_names_of_a_batch_that_does_not_exist_are_an_index_error(index, files, pipeline):
    dataset = PipelineDataset(pipeline, files, batch_size=10)
    with pytest.raises(IndexError, match=f"no batch {index}: the dataset has 3"):
        dataset.filenames(index)
