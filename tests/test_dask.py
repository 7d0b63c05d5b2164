"""Fits on the workers of a Dask cluster, through joblib."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.pipeline import Pipeline

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    WorkerVersionWarning,
    make_image_pipeline,
)
from sknorm_images._common.parallel import map_chunks
from sknorm_images._common.workers import (
    check_dask_workers,
    check_reports,
    current_dask_client,
    versions_here,
)
from tests.noted_paths import interrupt_when_read, noted, readings

dask = pytest.importorskip("dask")
distributed = pytest.importorskip("distributed")
to_dask_array = pytest.importorskip("sknorm_images.distributed").to_dask_array

PATIENCE = 300  # seconds; only a test that fails waits so long


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A client of two worker processes, of one thread each."""
    with (
        distributed.LocalCluster(
            n_workers=2,
            threads_per_worker=1,
            processes=True,
            dashboard_address=":0",
            local_directory=str(tmp_path_factory.mktemp("dask")),
        ) as cluster,
        distributed.Client(cluster) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def paths(files: list[str]) -> list[str]:
    return files * 40  # 960


@pytest.fixture(scope="module")
def reference(paths: list[str]) -> Pipeline:
    """What one job in this process learns."""
    return make_image_pipeline(32).fit(paths)


def worker_pids(client: Any) -> set[int]:
    return set(client.run(os.getpid).values())


@pytest.mark.parametrize("n_jobs", [None, pytest.param(-1, marks=pytest.mark.slow)])
def test_a_fit_runs_on_all_workers_and_gives_the_same_bits(
    n_jobs, client, paths, reference, tmp_path
):
    with joblib.parallel_config("dask"):
        pipeline = make_image_pipeline(32, n_jobs=n_jobs).fit(noted(paths, tmp_path))
    assert readings(tmp_path).keys() == worker_pids(client)
    assert sum(readings(tmp_path).values()) == len(paths)
    assert pipeline[-1].statistics_ == reference[-1].statistics_
    np.testing.assert_array_equal(pipeline[-1].mean_, reference[-1].mean_)
    np.testing.assert_array_equal(pipeline[-1].var_, reference[-1].var_)


def test_a_worker_that_is_killed_is_replaced_and_the_bits_are_the_same(
    client, paths, reference, tmp_path
):
    before = worker_pids(client)
    with joblib.parallel_config("dask"):
        pipeline = make_image_pipeline(32).fit(noted(paths, tmp_path, deadly=300))
    assert pipeline[-1].statistics_ == reference[-1].statistics_
    assert (tmp_path / "deadly").exists()
    assert os.getpid() not in readings(tmp_path)
    client.wait_for_workers(2, timeout=PATIENCE)
    assert len(before - worker_pids(client)) == 1


@pytest.mark.slow
@pytest.mark.one_version  # old ones leave a thread that profiles all others from then on
def test_chunks_grow_with_the_cluster_so_that_one_process_can_hand_them_out():
    threads = {"processes": False, "n_workers": 1, "threads_per_worker": 16}
    with (
        distributed.Client(**threads, dashboard_address=":0"),
        joblib.parallel_config("dask"),
    ):
        sizes = [n for _, n in map_chunks(int, 10_000, lambda rows: (rows.stop - rows.start,))]
    assert max(sizes) == 64
    assert sum(sizes) == 10_000
    assert sizes[-1] == 1


@pytest.mark.slow
def test_weights_and_percentiles_are_the_same_to_the_last_bit(client, paths):
    weights = np.arange(len(paths)) % 7
    images = make_image_pipeline(32)[:-1].transform(paths)
    scaler = ChannelMinMaxScaler(quantile_range=(1, 99))
    with joblib.parallel_config("dask"):
        statistics = scaler.fit(images, sample_weight=weights).statistics_
    assert scaler.fit(images, sample_weight=weights).statistics_ == statistics


@pytest.mark.slow
def test_no_path_travels_more_than_once(client, paths):
    pickled: list[int] = []

    class Counted(os.PathLike):
        def __init__(self, path: str) -> None:
            self.path = path

        def __fspath__(self) -> str:
            return self.path

        def __reduce__(self) -> tuple[Any, ...]:
            pickled.append(id(self))
            return Path, (self.path,)

    sources = [Counted(path) for path in paths]
    with joblib.parallel_config("dask"):
        make_image_pipeline(32).fit(sources)
    assert len(set(pickled)) == len(paths)
    assert len(pickled) == len(paths)


def test_a_damaged_file_is_named_by_its_position(client, paths, not_a_photo):
    with joblib.parallel_config("dask"), pytest.raises(ImageDecodeError) as raised:
        make_image_pipeline(32).fit([*paths[:700], not_a_photo, *paths[700:], not_a_photo])
    assert (raised.value.position, raised.value.source) == (700, not_a_photo)


@pytest.mark.slow
def test_a_missing_file_is_an_oserror_with_its_path(client, paths, tmp_path):
    missing = str(tmp_path / "missing.jpg")
    with joblib.parallel_config("dask"), pytest.raises(FileNotFoundError) as raised:
        make_image_pipeline(32).fit([*paths, missing])
    assert raised.value.filename == missing


@pytest.mark.slow
def test_files_that_are_left_blank_are_listed_by_their_positions(
    client, paths, not_a_photo, tmp_path
):
    missing = str(tmp_path / "missing.jpg")
    sources = [*paths[:500], not_a_photo, *paths[500:], missing]
    pipeline = make_image_pipeline(32, on_error="blank")
    with joblib.parallel_config("dask"), pytest.warns(ImageDecodeWarning) as warned:
        pipeline.fit(sources)
    failures = warned[0].message.failures
    assert {i: type(error) for i, error in failures.items()} == {
        500: ImageDecodeError,
        961: FileNotFoundError,
    }
    assert failures[500].position == 500
    assert pipeline[-1].n_samples_seen_ == 960


@pytest.mark.slow
def test_after_an_interrupt_the_workers_end_what_they_have_and_begin_no_more(
    client, paths, tmp_path
):
    scaler = ChannelStandardScaler()
    images = make_image_pipeline(32)[:-1].transform(noted(paths, tmp_path, seconds=0.01))
    interrupt_when_read(tmp_path)
    with joblib.parallel_config("dask"), pytest.raises(KeyboardInterrupt):
        scaler.fit(images)
    assert not hasattr(scaler, "statistics_")
    read, before = sum(readings(tmp_path).values()), -1
    while read > before:
        time.sleep(0.5)
        before, read = read, sum(readings(tmp_path).values())
    assert read <= 8 * 32  # two chunks a worker are handed out; and two begun meanwhile


def test_dask_arrays_are_computed_by_the_workers(client, paths, reference, tmp_path):
    array = to_dask_array(reference, noted(paths, tmp_path), chunks=100)
    assert readings(tmp_path) == {}
    pixels = array.compute()
    assert readings(tmp_path).keys() == worker_pids(client)
    np.testing.assert_array_equal(pixels, reference.transform(paths), strict=True)


@pytest.mark.slow
def test_an_image_of_a_dask_array_is_named_by_its_position(
    client, paths, reference, not_a_photo
):
    array = to_dask_array(reference, [*paths[:700], not_a_photo, *paths[700:]], chunks=100)
    with pytest.raises(ImageDecodeError) as raised:
        array.mean().compute()
    assert (raised.value.position, raised.value.source) == (700, not_a_photo)


# Workers that lack what this process has

WITHOUT_PACKAGE = """
import sys
sys.kept = {n: sys.modules.pop(n) for n in list(sys.modules) if n.startswith("sknorm_images")}
sys.modules["sknorm_images"] = None  # what import takes for a package that is not there
"""
WITH_PACKAGE = "import sys; del sys.modules['sknorm_images']; sys.modules.update(sys.kept)"


@contextmanager
def changed(client: Any, workers: list[str], code: str, undo: str) -> Iterator[None]:
    """Run code in some workers, and something else in the end."""
    client.run(exec, code, workers=workers)
    try:
        yield
    finally:
        client.run(exec, undo, workers=workers)


@pytest.fixture
def uses(client: Any, reference: Pipeline, files: list[str]) -> list[Callable[[], Any]]:
    """What asks the workers before they get work."""

    def fit() -> None:
        with joblib.parallel_config("dask"):
            make_image_pipeline(32).fit(files)

    return [fit, lambda: to_dask_array(reference, files)]


@pytest.mark.parametrize("n_lacking", [1, 2])
def test_workers_without_the_package_are_named(n_lacking, client, uses):
    everyone = sorted(client.ncores())
    lacking = everyone[:n_lacking]
    with changed(client, lacking, WITHOUT_PACKAGE, WITH_PACKAGE):
        for use in uses:
            with pytest.raises(ImportError, match="Install this version there") as raised:
                use()
            assert "cannot be imported everywhere in the cluster" in str(raised.value)
            assert str(raised.value).count("ModuleNotFoundError") == n_lacking
            assert [who for who in everyone if who in str(raised.value)] == lacking
    assert sorted(client.ncores()) == everyone  # Dask has not lost them meanwhile


def test_workers_with_another_version_of_pillow_are_named(client, uses):
    other, same = sorted(client.ncores())
    older = "import PIL; PIL.kept, PIL.__version__ = PIL.__version__, '11.3.0'"
    with changed(client, [other], older, "import PIL; PIL.__version__ = PIL.kept"):
        for use in uses:
            with pytest.warns(WorkerVersionWarning, match="other versions") as warned:
                use()
            assert len(warned) == 1
            assert warned[0].message.workers == {other: versions_here() | {"Pillow": "11.3.0"}}
            assert f"{other} has Pillow 11.3.0. Install" in str(warned[0].message)
            assert same not in str(warned[0].message)


def test_a_scheduler_without_the_package_is_named():
    class Client:  # of a cluster whose scheduler lacks what its workers have
        def run(self, function: Callable[[], Any], on_error: str) -> dict[str, Any]:
            return {"tcp://a:1": function()}

        def run_on_scheduler(self, function: Callable[[], Any]) -> Any:
            raise Exception("No module named 'sknorm_images'")  # as Dask raises it

    with pytest.raises(ImportError, match=r"in the cluster: the scheduler \(No mod"):
        check_dask_workers(Client())


def test_a_worker_that_does_not_answer_is_left_to_the_cluster():
    check_reports({"tcp://a:1": versions_here(), "tcp://b:2": TimeoutError("Timed out")})


def test_fits_within_a_task_ask_no_workers(client):
    assert client.submit(current_dask_client).result() is None


@pytest.mark.filterwarnings("ignore:Running on a single-machine scheduler")  # an older Dask
def test_workers_that_will_not_be_used_are_not_asked(client, reference, files):
    with changed(client, list(client.ncores()), WITHOUT_PACKAGE, WITH_PACKAGE):
        make_image_pipeline(32, n_jobs=2).fit(files)
        with dask.config.set(scheduler="threads"):
            to_dask_array(reference, files).compute()
