"""Dask arrays of what pipelines make of files; on a cluster, see test_dask."""

from __future__ import annotations

import io
import threading
from pathlib import Path
from typing import Any

import cloudpickle
import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.base import clone
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    Resizer,
    make_image_pipeline,
)
from tests.fourth_scaler import ChannelMedianScaler
from tests.noted_paths import noted, readings

dask = pytest.importorskip("dask")
to_dask_array = pytest.importorskip("sknorm_images.distributed").to_dask_array


@pytest.fixture(scope="module")
def pipeline(files: list[str]) -> Pipeline:
    """A pipeline to images of 32 x 48, fitted."""
    return make_image_pipeline((32, 48)).fit(files)


PIPELINES = {
    "standard": make_image_pipeline((32, 48)),
    "minmax, grey": make_image_pipeline((32, 48), "minmax", color_mode="grayscale"),
    "per image": make_image_pipeline(16, ChannelStandardScaler(per_image="image")),
    "float64": make_image_pipeline(16, ChannelMinMaxScaler(dtype="float64")),
    "two sizes": make_pipeline(JpegLoader(), Resizer(40), Resizer(16), ChannelMinMaxScaler()),
    "flat": make_pipeline(*make_image_pipeline(16), ImageFlattener()),
    "flat pixels": make_pipeline(JpegLoader(), Resizer(16), ImageFlattener()),
    "PCA": make_pipeline(*make_image_pipeline(8), ImageFlattener(), PCA(3, svd_solver="full")),
    "scaled within": make_pipeline(
        JpegLoader(), Resizer(16), make_pipeline(ChannelStandardScaler(), ImageFlattener())
    ),
    "scaled later": make_pipeline(
        JpegLoader(), Resizer(16), FunctionTransformer(), ChannelStandardScaler()
    ),
    "fourth scaler": make_pipeline(JpegLoader(), Resizer(16), ChannelMedianScaler()),
    "nested": make_pipeline(JpegLoader(), make_pipeline(Resizer(16), ChannelMinMaxScaler())),
}
each_pipeline = pytest.mark.parametrize("pipeline", PIPELINES.values(), ids=PIPELINES.keys())


@each_pipeline
@pytest.mark.parametrize("chunks", [5, 24, 100, (1, 20, 3), [23, 1]])
def test_the_array_is_what_the_pipeline_makes(pipeline, chunks, files):
    expected = pipeline.fit(files).transform(files)
    array = to_dask_array(pipeline, files, chunks=chunks)
    sizes = {5: (5, 5, 5, 5, 4), 24: (24,), 100: (24,)}
    sizes = sizes[chunks] if isinstance(chunks, int) else tuple(chunks)
    assert (array.shape, array.dtype) == (expected.shape, expected.dtype)
    assert array.chunks == (sizes, *((length,) for length in expected.shape[1:]))
    computed = array.compute()
    assert (type(computed), computed.dtype) == (np.ndarray, expected.dtype)
    if "pca" in pipeline.named_steps:  # BLAS rounds products of fewer rows otherwise
        np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-4)
    else:
        np.testing.assert_array_equal(computed, expected)


def test_without_a_scaler_the_array_is_pixels(pipeline, files):
    array = to_dask_array(pipeline[:-1], files, chunks=7)
    np.testing.assert_array_equal(
        array.compute(), np.asarray(pipeline[:-1].transform(files)), strict=True
    )
    assert array.dtype == np.uint8


def test_it_takes_all_that_the_loader_takes(pipeline, files):
    paths = [Path(file) for file in files]
    contents = [path.read_bytes() for path in paths]
    opened = [io.BytesIO(content) for content in contents]
    images = [Image.open(path) for path in paths]
    expected = pipeline.transform(files)
    for X in (
        np.array(files),
        np.array(files)[:, np.newaxis],
        paths,
        contents,
        opened,
        images,
    ):
        array = to_dask_array(pipeline, X, chunks=10)
        np.testing.assert_array_equal(array.compute(), expected)


def test_the_mean_is_that_of_numpy(pipeline, files):
    array = to_dask_array(pipeline, files, chunks=7)
    expected = pipeline.transform(files).mean(axis=0, dtype=np.float64)
    np.testing.assert_allclose(array.mean(axis=0).compute(), expected, rtol=0, atol=1e-5)


def test_no_file_is_touched_before_a_block_is_computed(pipeline, files, tmp_path):
    array = to_dask_array(pipeline, noted(files, tmp_path), chunks=5)
    wanted = array[7:11].mean(axis=0)
    assert readings(tmp_path) == {}
    wanted.compute()
    assert sum(readings(tmp_path).values()) == 10  # blocks 1 and 2, of 5 images each


def test_a_later_fit_changes_nothing(pipeline, files):
    own = make_image_pipeline((32, 48)).fit(files)
    array = to_dask_array(own, files)
    own.fit(files[:2])
    np.testing.assert_array_equal(array.compute(), pipeline.transform(files))


def test_it_is_written_to_zarr(pipeline, files, tmp_path):
    zarr = pytest.importorskip("zarr")
    to_dask_array(pipeline, files, chunks=10).to_zarr(str(tmp_path / "train.zarr"))
    stored = zarr.open_array(str(tmp_path / "train.zarr"), mode="r")
    assert stored.chunks == (10, 32, 48, 3)
    np.testing.assert_array_equal(stored[:], pipeline.transform(files), strict=True)


# What travels, and who works


def test_each_task_carries_its_own_paths_and_the_pipeline_is_there_once(pipeline):
    paths = [f"/data/photos/class_{i % 100:03}/photo_{i:07}.jpg" for i in range(10_000)]
    array = to_dask_array(pipeline, paths, chunks=100)
    length = len(cloudpickle.dumps(paths))
    assert len(cloudpickle.dumps(array.__dask_graph__())) < 1.2 * length
    tasks = dict(dask.optimize(array)[0].__dask_graph__())
    sizes = sorted(len(cloudpickle.dumps(task)) for task in tasks.values())
    assert sizes[-1] < 10_000  # the statistics of three channels; 100 paths are less
    assert len([size for size in sizes if size > 6144]) == 1  # 3 * 256 counts of 8 bytes
    assert len(tasks) <= 3 * 100 + 1


def test_a_million_paths_are_an_array_at_once(pipeline):
    paths = ["photo.jpg"] * 10**6
    array = to_dask_array(pipeline, paths)
    assert (array.shape, array.npartitions) == ((10**6, 32, 48, 3), 3907)


@pytest.mark.parametrize("n_jobs", [None, -1, 2])
@pytest.mark.parametrize("scheduler", ["threads", "synchronous"])
def test_one_thread_computes_a_block(n_jobs, scheduler, files, capsys):
    threads: dict[int, set[int]] = {}

    class Watched(type(Path())):
        def __fspath__(self) -> str:
            threads.setdefault(files.index(str(self)) // 6, set()).add(threading.get_ident())
            return str(self)

    own = make_image_pipeline((32, 48), n_jobs=n_jobs, verbose=1)
    own.set_params(scale=ChannelMinMaxScaler(data_range=(0, 255)))
    array = to_dask_array(own, [Watched(file) for file in files], chunks=6)
    with joblib.parallel_config("threading", n_jobs=2):
        array.compute(scheduler=scheduler)
    assert [len(threads[block]) for block in range(4)] == [1, 1, 1, 1]
    assert capsys.readouterr() == ("", "")  # a progress bar for each block would be noise


# Broken files


@pytest.fixture
def broken(files: list[str], not_a_photo: str, tmp_path: Path) -> list[str]:
    """24 paths; 9 is no photo, and of blocks of 6, the last has none that can be read."""
    missing = str(tmp_path / "missing.jpg")
    return [*files[:9], not_a_photo, *files[10:18], *[missing] * 6]


def test_a_damaged_file_is_named_by_its_position(pipeline, broken):
    array = to_dask_array(pipeline, broken, chunks=6)
    with pytest.raises(ImageDecodeError, match=r"image 9, .*not a photo\.jpg") as raised:
        array[:12].compute()
    assert raised.value.position == 9
    with pytest.raises(FileNotFoundError, match=r"missing\.jpg"):
        array[18:].compute()


@pytest.mark.parametrize(
    "kind",
    [name for name in PIPELINES if name not in ("minmax, grey", "per image", "two sizes")],
)
def test_files_that_are_left_blank_become_what_transform_makes_of_them(kind, files, broken):
    own = clone(PIPELINES[kind])
    own[0].set_params(on_error="blank")
    own.fit(files)
    with pytest.warns(ImageDecodeWarning) as warned:
        expected = own.transform(broken)
    one_warning = warned[0].message
    with pytest.warns(ImageDecodeWarning) as warned:
        computed = to_dask_array(own, broken, chunks=6).compute()
    np.testing.assert_allclose(computed, expected, rtol=0, atol=1e-5)
    assert np.array_equal(computed[9], computed[20])
    failures: dict[int, Any] = {}
    for warning in warned:
        failures |= warning.message.failures
    assert sorted(failures) == sorted(one_warning.failures) == [9, *range(18, 24)]
    assert failures[9].position == 9
    assert sorted(warning.message.n_images for warning in warned) == [6, 6]


# Refusals


@pytest.mark.parametrize(
    ("pipeline", "message"),
    [
        (StandardScaler(), "pipeline begins with StandardScaler, and files need a JpegLoader"),
        (make_pipeline("passthrough"), "pipeline begins with nothing, and files need a Jpeg"),
        (
            make_pipeline(Resizer(8)),
            "pipeline begins with Resizer, and files need a JpegLoader",
        ),
        (
            make_pipeline(*PIPELINES["flat"], LogisticRegression()),
            "pipeline ends with LogisticRegression, which does not transform. Take the",
        ),
    ],
)
def test_what_is_no_pipeline_from_files_is_refused(pipeline, message, files):
    with pytest.raises(TypeError, match=message):
        to_dask_array(pipeline, files)


def test_a_pipeline_that_is_not_fitted_is_refused_at_once(files):
    with pytest.raises(NotFittedError):
        to_dask_array(make_image_pipeline(8), files)


def test_a_pipeline_without_a_resizer_is_refused(files):
    own = make_pipeline(JpegLoader(), ChannelMinMaxScaler(data_range=(0, 255)))
    for pipeline in (own, JpegLoader()):
        with pytest.raises(ValueError, match=r"pipeline has no Resizer .* Add one"):
            to_dask_array(pipeline, files)


def test_a_step_that_fails_says_what_it_was_tried_with(files):
    own = make_pipeline(JpegLoader(), Resizer(8), FunctionTransformer(np.linalg.inv))
    with pytest.raises(ValueError, match="must be square") as raised:
        to_dask_array(own, files)
    assert raised.value.__notes__ == [
        "Images 0 and 1 stand for those of X here, to learn their shape."
    ]


def test_no_images_at_all_are_refused(pipeline):
    with pytest.raises(ValueError, match="X is empty, so there is nothing to transform"):
        to_dask_array(pipeline, [])


def test_a_lone_path_is_refused_as_the_loader_does(pipeline, files):
    with pytest.raises(TypeError, match="X is a single str"):
        to_dask_array(pipeline, files[0])


@pytest.mark.parametrize(
    ("chunks", "kind", "message"),
    [
        (0, ValueError, "chunks=0 is out of range. Pass a number of at least 1"),
        (
            "auto",
            TypeError,
            "chunks='auto' is of type str. Pass an integer",
        ),
        ((20, 4.0), TypeError, "chunks=4.0 is of type float"),
        ((20, 5), ValueError, r"chunks=\(20, 5\) add up to 25 images, and X has 24. Pass n"),
    ],
)
def test_chunks_that_do_not_fit_are_refused(chunks, kind, message, pipeline, files):
    with pytest.raises(kind, match=message):
        to_dask_array(pipeline, files, chunks=chunks)
