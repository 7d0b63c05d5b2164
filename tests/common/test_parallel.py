"""Parallel reading: who really runs, what each backend returns, how errors arrive."""

from __future__ import annotations

import ast
import os
import re
import threading
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from PIL import Image
from sklearn.model_selection import GridSearchCV, StratifiedKFold
from sklearn.neighbors import KNeighborsClassifier

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageFlattener,
    ImageUnitsWarning,
    JpegLoader,
    make_image_pipeline,
)
from sknorm_images._images.color_modes import COLOR_MODES
from tests import new_process
from tests.exact_results import exact_moments
from tests.lazy_photos import READERS, each_reader, lazy, pipeline_of, watched
from tests.more_color_modes import CMYK

PATIENCE = 300  # seconds; only a test that fails waits so long


# The same bits everywhere


@pytest.fixture(scope="module")
def reference(files: list[str]) -> tuple[ChannelStandardScaler, np.ndarray]:
    """What one job makes of `files`, without any configuration."""
    pipeline = pipeline_of(1).fit(files)
    return pipeline[-1], pipeline.transform(files)


def test_one_job_gives_the_exact_statistics_of_the_photos(reference, pixels):
    scaler, output = reference
    means, variances = exact_moments(pixels)
    np.testing.assert_array_equal(scaler.mean_, np.array(means, float))
    np.testing.assert_array_equal(scaler.var_, np.array(variances, float))
    expected = (pixels - scaler.mean_) / np.sqrt(scaler.var_)
    np.testing.assert_allclose(output, expected, rtol=0, atol=1e-6)


LOKY = pytest.param("loky", marks=pytest.mark.long)  # which starts processes


@pytest.mark.parametrize("n_jobs", [None, 1, 2, 3, -1])
@pytest.mark.parametrize(
    "configuration",
    [
        pytest.param({}, id="unconfigured"),
        pytest.param({"n_jobs": 2}, id="two jobs"),
        pytest.param({"backend": "sequential"}, id="sequential"),
        pytest.param({"backend": "threading", "n_jobs": 2}, id="threading"),
        pytest.param({"backend": "loky", "n_jobs": 2}, id="loky", marks=pytest.mark.long),
    ],
)
def test_every_backend_and_number_of_jobs_gives_the_same_bits(
    configuration, n_jobs, reference, files, pixels
):
    scaler, output = reference
    with joblib.parallel_config(**configuration) if configuration else nullcontext():
        pipeline = pipeline_of(n_jobs)
        both_at_once = pipeline.fit_transform(files)
        np.testing.assert_array_equal(both_at_once, output, strict=True)
        pipeline.fit(files)
        np.testing.assert_array_equal(pipeline.transform(files), output, strict=True)
        np.testing.assert_array_equal(pipeline[:-1].transform(files), pixels)
    for attribute in ("mean_", "var_", "scale_", "n_samples_seen_"):
        np.testing.assert_array_equal(
            getattr(pipeline[-1], attribute), getattr(scaler, attribute), strict=True
        )
    np.testing.assert_array_equal(pipeline[-1].statistics_.counts, scaler.statistics_.counts)


@pytest.mark.long
def test_multiprocessing_gives_the_same_bits(reference, files):
    # In a process of its own: one that has run JAX must not fork.
    code = """
import joblib
from tests.lazy_photos import pipeline_of

answers = []
for n_jobs in (None, 2):
    pipeline = pipeline_of(n_jobs)
    with joblib.parallel_config("multiprocessing", n_jobs=2):
        output = pipeline.fit(inputs["files"]).transform(inputs["files"])
    scaler = pipeline[-1]
    answers.append([scaler.mean_.tobytes().hex(), scaler.var_.tobytes().hex(),
                    output.tobytes().hex()])
print(json.dumps(answers))
"""
    answers = new_process.answer(code, files=files)
    scaler, output = reference
    expected = [array.tobytes().hex() for array in (scaler.mean_, scaler.var_, output)]
    assert answers == [expected, expected]


@pytest.mark.long
@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
def test_while_a_chunk_takes_long_a_bounded_number_of_others_is_done(backend, tmp_path):
    # In a process of its own: forking one that has loaded JAX may hang.
    code = """
import time
from pathlib import Path
import joblib
from sknorm_images._common.parallel import map_chunks

def work(rows):
    folder = Path(inputs["folder"])
    if rows.start:
        (folder / str(rows.start)).touch()
        return rows.start
    before, done = -1, 0
    while done > before or not done:  # the others go on as far as they may
        time.sleep(0.3)
        before, done = done, len(list(folder.iterdir()))
    return done

with joblib.parallel_config(inputs["backend"], n_jobs=2):
    results = map_chunks(work, 3000, lambda rows: (rows,), largest_chunk=1)
    print(json.dumps([result for _, result in results]))
"""
    ahead, *others = new_process.answer(code, folder=str(tmp_path), backend=backend)
    assert others == list(range(1, 3000))
    most = {"threading": 1024, "multiprocessing": 16}[backend]
    assert most // 2 < ahead < most


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_no_python_is_parsed_which_threads_cannot_do_at_once(n_jobs, files, monkeypatch):
    # Among thousands of calls in threads, Python 3.11 ends one with a SystemError.
    images, scaler = lazy(files, n_jobs=n_jobs), ChannelStandardScaler()
    with monkeypatch.context() as without_parser:
        without_parser.setattr(ast, "parse", None)
        scaler.fit(images).transform(images)


@pytest.mark.parametrize("n_images", [0, 1, 2, 3, 31, 32, 33, 65])
def test_no_image_is_lost_or_read_twice_at_the_edge_of_a_chunk(n_images, files, pixels):
    sources = [files[i % 24] for i in range(n_images)]
    read: list[int] = []
    stack = np.asarray(lazy(watched(sources, read.append), n_jobs=2))
    assert sorted(read) == list(range(n_images))
    np.testing.assert_array_equal(stack, pixels[np.arange(n_images) % 24])


# Who really runs


class Meeting:
    """Passes when two threads are inside at the same time."""

    def __init__(self) -> None:
        self.threads: set[int] = set()
        self._barrier = threading.Barrier(2)
        self._first_two = iter(range(2))
        self._lock = threading.Lock()

    def __call__(self, position: int) -> None:
        with self._lock:
            self.threads.add(threading.get_ident())
            is_early = next(self._first_two, None) is not None
        if is_early:
            self._barrier.wait(PATIENCE)


@each_reader
def test_two_jobs_decode_in_two_threads_at_once(reader, files):
    meeting = Meeting()
    reader(lazy(watched(files, meeting), n_jobs=2))
    assert len(meeting.threads) == 2


@each_reader
@pytest.mark.parametrize("configuration", [{}, {"backend": "threading"}])
def test_parallel_config_alone_decodes_in_two_threads_at_once(configuration, reader, files):
    meeting = Meeting()
    images = lazy(watched(files, meeting))
    with joblib.parallel_config(n_jobs=2, **configuration):
        reader(images)
    assert len(meeting.threads) == 2


@each_reader
@pytest.mark.parametrize("n_jobs", [None, 1])
def test_one_job_decodes_in_the_calling_thread(n_jobs, reader, files):
    threads = set()
    images = lazy(watched(files, lambda i: threads.add(threading.get_ident())), n_jobs)
    reader(images)
    assert threads == {threading.get_ident()}


@each_reader
def test_an_explicit_single_job_outweighs_parallel_config(reader, files):
    threads = set()
    images = lazy(watched(files, lambda i: threads.add(threading.get_ident())), 1)
    with joblib.parallel_config("threading", n_jobs=2):
        reader(images)
    assert len(threads) == 1


@pytest.mark.parametrize("kind", [ChannelStandardScaler, ChannelMinMaxScaler])
def test_a_whole_pipeline_decodes_in_two_threads_at_once(kind, files):
    for method in ("fit", "fit_transform"):
        meeting = Meeting()
        getattr(pipeline_of(2, kind()), method)(watched(files, meeting))
        assert len(meeting.threads) == 2


class NoteProcess:
    """Notes in a folder which process is reading; picklable.

    The first reading of each process waits until `n_processes` have begun.
    """

    def __init__(self, folder: Path, n_processes: int) -> None:
        self.folder = folder
        self.n_processes = n_processes

    def __call__(self, position: int) -> None:
        note = self.folder / str(os.getpid())
        if note.exists():
            return
        note.touch()
        end = time.monotonic() + PATIENCE
        while len(self.seen()) < self.n_processes and time.monotonic() < end:
            time.sleep(0.01)

    def seen(self) -> set[int]:
        return {int(note.name) for note in self.folder.iterdir()}


@pytest.mark.long
@pytest.mark.parametrize("n_jobs", [None, 2])
@pytest.mark.parametrize("method", ["fit", "partial_fit"])
def test_under_loky_two_other_processes_fit(method, n_jobs, files, tmp_path):
    note = NoteProcess(tmp_path, 2)
    images = lazy(watched(files, note), n_jobs)
    with joblib.parallel_config("loky", n_jobs=2):
        getattr(ChannelStandardScaler(), method)(images)
    assert len(note.seen() - {os.getpid()}) == 2
    assert os.getpid() not in note.seen()


each_array = pytest.mark.parametrize("name", ["asarray", "transform", "fit_transform"])
on_linux = pytest.mark.skipif(
    not hasattr(os, "memfd_create"), reason="needs memory without a file, which only Linux has"
)


@on_linux
@pytest.mark.long
@each_array
def test_under_loky_two_other_processes_fill_the_array(name, files, tmp_path):
    note = NoteProcess(tmp_path, 2)
    expected = READERS[name](lazy(files))
    with joblib.parallel_config("loky", n_jobs=2):
        pixels = READERS[name](lazy(watched(files, note)))
    assert len(note.seen() - {os.getpid()}) == 2
    assert os.getpid() not in note.seen()
    assert pixels.dtype == expected.dtype
    np.testing.assert_array_equal(pixels, expected)
    assert pixels.ctypes.data % 64 == 0


CHANGED_BY_A_FORK = """
import multiprocessing

import joblib
import numpy as np

from sknorm_images import make_image_pipeline

with joblib.parallel_config("loky", n_jobs=2):
    pixels = np.asarray(make_image_pipeline((8, 8))[:-1].transform(inputs["files"]))
expected = pixels.copy()
change = multiprocessing.get_context("fork").Process(target=pixels.fill, args=(7,))
change.start()
change.join()
answers = [change.exitcode, bool((pixels == expected).all())]
pixels += 1
print(json.dumps([*answers, bool((pixels == expected + 1).all())]))
"""


@on_linux
@pytest.mark.long
def test_what_other_processes_filled_belongs_to_this_one(files):
    assert new_process.answer(CHANGED_BY_A_FORK, files=files) == [0, True, True]


@on_linux
@pytest.mark.long
@each_array
def test_nothing_stays_open_once_other_processes_have_filled_an_array(name, files):
    def opened() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with joblib.parallel_config("loky", n_jobs=2):
        READERS[name](lazy(files))  # starts what joblib keeps
        before = opened()
        for _ in range(5):
            READERS[name](lazy(files))
        with pytest.raises(ImageDecodeError):
            READERS[name](lazy([*files, b"no photo"]))
        assert opened() == before


@on_linux
@pytest.mark.long
def test_under_loky_a_transform_warns_of_what_other_processes_saw(files):
    scaler = ChannelStandardScaler(mean=[0.5] * 3, std=[0.2] * 3)
    with (
        joblib.parallel_config("loky", n_jobs=2),
        pytest.warns(ImageUnitsWarning, match="grey levels above 1"),
    ):
        scaler.fit(np.zeros((1, 1, 1, 3), np.uint8)).transform(lazy(files))


@pytest.mark.parametrize("backend", ["threading", "multiprocessing"])
@each_array
def test_under_other_backends_pixels_are_made_in_this_process(name, backend, files, tmp_path):
    note = NoteProcess(tmp_path, 1)
    meeting = Meeting()

    def watch(position: int) -> None:
        note(position)
        meeting(position)

    images = lazy(watched(files, watch))
    with joblib.parallel_config(backend, n_jobs=2):
        READERS[name](images)
    assert note.seen() == {os.getpid()}
    assert len(meeting.threads) == 2


@each_reader
@pytest.mark.parametrize("n_jobs", [1, 2])
def test_every_file_is_read_exactly_once(n_jobs, reader, files):
    read: list[int] = []
    reader(lazy(watched(files, read.append), n_jobs))
    assert sorted(read) == list(range(24))


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_a_pipeline_decodes_every_file_exactly_once(method, files, monkeypatch):
    decoded = []
    original = Image.open

    def counting(file: Any, *args: Any, **options: Any) -> Image.Image:
        image = original(file, *args, **options)
        decoded.append(image.size)
        return image

    monkeypatch.setattr(Image, "open", counting)
    getattr(pipeline_of(2), method)(files)
    assert len(decoded) == 24


@pytest.mark.parametrize("name", ["asarray", "transform", "fit_transform"])
def test_without_a_resizer_every_file_is_read_exactly_once_too(name, files):
    read: list[int] = []
    READERS[name](JpegLoader(n_jobs=2).transform(watched(files[:1] * 24, read.append)))
    assert sorted(read) == list(range(24))


def test_the_image_that_tells_the_size_is_made_like_the_others(files, monkeypatch):
    monkeypatch.setitem(COLOR_MODES, "cmyk", CMYK)  # of as many channels as RGBA
    for read in (READERS["asarray"], READERS["transform"]):
        first, second = read(JpegLoader(color_mode="cmyk").transform(files[:1] * 2))
        np.testing.assert_array_equal(first, second)


def test_images_are_decoded_only_when_they_are_read(files):
    read: list[int] = []
    images = lazy(watched(files, read.append))[::2][3:]
    assert read == []
    images[1]
    assert read == [8]


# Errors


def state_of(estimator: Any) -> dict[str, int]:
    return {name: id(value) for name, value in vars(estimator).items()}


LATE = 21
each_setting = pytest.mark.parametrize(
    ("n_jobs", "configuration"),
    [
        pytest.param(1, {}, id="one job"),
        pytest.param(2, {}, id="two threads"),
        pytest.param(None, {"backend": "threading", "n_jobs": 2}, id="threading"),
        pytest.param(2, {"backend": "loky"}, id="loky", marks=pytest.mark.long),
        pytest.param(
            *(None, {"backend": "loky", "n_jobs": 2}),
            id="loky, two jobs",
            marks=pytest.mark.long,
        ),
    ],
)


@each_setting
@pytest.mark.parametrize("method", ["fit", "partial_fit", "fit_transform"])
def test_a_damaged_file_is_named_and_leaves_the_scaler_as_it_was(
    method, n_jobs, configuration, files, pixels, not_a_photo
):
    paths = [*files[:LATE], not_a_photo, *files[LATE:]]
    scaler = ChannelStandardScaler().fit(pixels[:5])
    before = state_of(scaler)
    with (
        joblib.parallel_config(**configuration) if configuration else nullcontext(),
        pytest.raises(ImageDecodeError) as raised,
    ):
        getattr(scaler, method)(lazy(paths, n_jobs))
    assert raised.value.position == LATE
    assert raised.value.source == not_a_photo
    assert str(raised.value) == (
        f"Cannot decode image {LATE}, {not_a_photo!r}: no known image format. "
        "Repair or remove it, or pass on_error='blank' to JpegLoader."
    )
    assert state_of(scaler) == before


@each_setting
def test_a_missing_file_is_an_oserror_with_its_path(n_jobs, configuration, files, tmp_path):
    missing = str(tmp_path / "missing.jpg")
    images = lazy([*files, missing], n_jobs)
    with (
        joblib.parallel_config(**configuration) if configuration else nullcontext(),
        pytest.raises(FileNotFoundError) as raised,
    ):
        ChannelStandardScaler().fit(images)
    assert raised.value.filename == missing


@each_reader
def test_the_first_damaged_file_is_named_even_if_a_later_one_fails_before(
    reader, files, not_a_photo
):
    paths = list(files)
    first, later = 3, 9
    paths[first] = paths[later] = paths[20] = not_a_photo
    later_was_read = threading.Event()

    def watch(position: int) -> None:
        if position == later:
            later_was_read.set()
        elif position == first:
            assert later_was_read.wait(PATIENCE)

    with pytest.raises(ImageDecodeError) as raised:
        reader(lazy(watched(paths, watch), n_jobs=2))
    assert raised.value.position == first


@each_setting
def test_the_first_of_several_damaged_files_is_named(
    n_jobs, configuration, files, not_a_photo
):
    paths = list(files)
    paths[13] = paths[2] = paths[7] = paths[23] = not_a_photo
    with (
        joblib.parallel_config(**configuration) if configuration else nullcontext(),
        pytest.raises(ImageDecodeError) as raised,
    ):
        ChannelMinMaxScaler().fit(lazy(paths, n_jobs))
    assert raised.value.position == 2


# Progress


@pytest.mark.parametrize("n_jobs", [1, 2])
@each_reader
def test_verbose_shows_a_progress_bar_that_counts_every_image(reader, n_jobs, files, capsys):
    reader(lazy(files, n_jobs, verbose=1))
    shown = capsys.readouterr()
    assert "100%" in shown.err
    assert "24/24" in shown.err
    assert shown.out == ""


@pytest.mark.parametrize("backend", ["sequential", "threading", LOKY])
def test_the_progress_bar_counts_every_image_once_under_every_backend(backend, files, capsys):
    with joblib.parallel_config(backend, n_jobs=2):
        ChannelStandardScaler().fit(lazy(files, verbose=1))
    _check_bar(capsys.readouterr().err)


@pytest.mark.long
def test_the_progress_bar_counts_every_image_once_under_multiprocessing(files):
    # In a process of its own: forking one that has loaded JAX may hang.
    code = """
import joblib
from tests.lazy_photos import pipeline_of
with joblib.parallel_config("multiprocessing", n_jobs=2):
    pipeline_of(verbose=1).fit(inputs["files"])
"""
    process = new_process.run(code, "-W", "error", files=files)
    assert process.returncode == 0, process.stderr
    _check_bar(process.stderr)


def _check_bar(shown: str) -> None:
    counts = [int(count) for count in re.findall(r"(\d+)/24 ", shown)]
    assert counts == sorted(counts)
    assert counts[-1] == 24
    assert shown.count("100%") == 1


@each_reader
def test_nothing_is_shown_by_default(reader, files, capsys):
    reader(lazy(files, 2))
    shown = capsys.readouterr()
    assert (shown.out, shown.err) == ("", "")


def test_the_progress_bar_ends_where_an_error_does(files, not_a_photo, capsys):
    images = lazy([*files[:12], not_a_photo, *files[12:]], verbose=1)
    with pytest.raises(ImageDecodeError):
        ChannelStandardScaler().fit(images)
    assert "25/25" not in capsys.readouterr().err


# Within joblib's own parallelism


def folds() -> StratifiedKFold:
    return StratifiedKFold(3)


def pillow_score(files: list[str], y: np.ndarray, size: tuple[int, int]) -> float:
    images = (Image.open(file) for file in files)
    shown = [image.resize(size[::-1], Image.Resampling.BILINEAR) for image in images]
    pixels = np.stack(shown).astype(np.float64)
    scores = []
    for train, test in folds().split(pixels, y):
        mean = pixels[train].mean(axis=(0, 1, 2))
        std = pixels[train].std(axis=(0, 1, 2))
        x = ((pixels - mean) / std).reshape(len(pixels), -1)
        model = KNeighborsClassifier(3).fit(x[train], y[train])
        scores.append(model.score(x[test], y[test]))
    return float(np.mean(scores))


@pytest.mark.parametrize("backend", [LOKY, "threading"])
def test_a_parallel_grid_search_over_a_parallel_loader_scores_as_pillow_does(backend, files):
    sizes = [(4, 4), (8, 12)]
    y = np.arange(24) % 2  # temple or flower
    pipeline = make_image_pipeline(n_jobs=2).set_params(resize__reducing_gap=None)
    pipeline.steps += [("flatten", ImageFlattener()), ("model", KNeighborsClassifier(3))]
    search = GridSearchCV(
        pipeline,
        {"resize__size": sizes},
        cv=folds(),
        n_jobs=2,
        error_score="raise",
    )
    with joblib.parallel_config(backend):
        search.fit(files, y)
    expected = [pillow_score(files, y, size) for size in sizes]
    np.testing.assert_allclose(search.cv_results_["mean_test_score"], expected)


@pytest.mark.parametrize("backend", [LOKY, "threading"])
def test_jobs_within_jobs_give_the_same_bits(backend, reference, files):
    _, output = reference
    parts = joblib.Parallel(n_jobs=2, backend=backend)(
        joblib.delayed(pipeline_of(2).fit_transform)(files) for _ in range(3)
    )
    for part in parts:
        np.testing.assert_array_equal(part, output, strict=True)


IN_A_DAEMON = """
import multiprocessing
import threading
import warnings

from sknorm_images._common.parallel import map_chunks


def name_of_thread():
    meeting.wait(300)  # so that no thread does the work of two
    return threading.current_thread().name


def work():
    global meeting
    meeting = threading.Barrier(2)
    warnings.simplefilter("error")
    options = {"n_jobs": 2, "reach": "process", "chunk_size": 1}
    chunks = map_chunks(name_of_thread, 2, lambda rows: (), **options)
    print(len({name for _, name in chunks}), flush=True)


process = multiprocessing.get_context("fork").Process(target=work, daemon=True)
process.start()
process.join()
"""


@pytest.mark.long
@pytest.mark.skipif(joblib.cpu_count() < 2, reason="threads are at most one per core")
@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_threads_work_in_a_daemon_process_without_a_warning_of_processes():
    process = new_process.run(IN_A_DAEMON)
    assert (process.stdout, process.stderr) == ("2\n", "")
