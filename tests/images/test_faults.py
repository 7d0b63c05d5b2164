"""Files that change, and workers that are killed, in the middle of a call."""

from __future__ import annotations

import os
import pickle
import re
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from sknorm_images import (
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
)
from tests import new_process
from tests.lazy_photos import Watched, lazy, watched

CHANGED = 13  # the file that changes


@contextmanager
def as_nobody() -> Iterator[None]:
    """Give up the rights of root, who may read everything."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


@pytest.fixture
def copies(files: list[str]) -> Iterator[list[Path]]:
    """24 files that a test may change, in a folder that everybody may enter."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        paths = [Path(folder, Path(file).name) for file in files]
        for path, file in zip(paths, files, strict=True):
            path.write_bytes(Path(file).read_bytes())
        yield paths
        assert open_files(folder) == []


def open_files(folder: str) -> list[str]:
    """Files of a folder that this process has open, as far as the system tells (Linux)."""
    found = []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(FileNotFoundError):  # that of the listing itself
            found.append(str(descriptor.readlink()))
    return [path for path in found if path.startswith(folder)]


@pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="only Linux lists open files")
def test_a_file_that_is_left_open_would_be_noticed(copies):
    with copies[0].open():
        assert open_files(str(copies[0].parent)) == [str(copies[0])]


def delete(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-200])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def become_text(path: Path) -> None:
    path.write_bytes(b"not a photo")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def become_unreadable(path: Path) -> None:
    os.seteuid(os.getuid())  # whose file it is
    path.chmod(0)
    if os.getuid() == 0:
        os.seteuid(65534)


def become_a_circle(path: Path) -> None:
    path.unlink()
    path.symlink_to(path)


FAULTS: dict[str, tuple[Callable[[Path], None], type[Exception], str]] = {
    "deleted": (delete, FileNotFoundError, "No such file or directory"),
    "cut off": (cut, ImageDecodeError, "truncated"),
    "emptied": (empty, ImageDecodeError, "the file is empty"),
    "text": (become_text, ImageDecodeError, "no known image format"),
    "folder": (become_a_folder, IsADirectoryError, "Is a directory"),
    "circle": (become_a_circle, ImageDecodeError, "no file can have this path"),
}
each_fault = pytest.mark.parametrize(
    ("change", "kind", "reason"), FAULTS.values(), ids=FAULTS.keys()
)
each_number_of_jobs = pytest.mark.parametrize("n_jobs", [1, 2])
METHODS = ["fit", "partial_fit", "fit_transform", "transform"]


def fitted() -> ChannelStandardScaler:
    """A scaler that has seen an image of two black and two white pixels."""
    return ChannelStandardScaler().fit(np.array([[[[0] * 3, [255] * 3]] * 2], np.uint8))


def changing(paths: list[Path], change: Callable[[Path], None]) -> list[Watched]:
    """The paths; one of them names a file that changes just before it is read."""

    def watch(position: int) -> None:
        if position == CHANGED:
            change(paths[position])

    return watched([str(path) for path in paths], watch)


def counts(pixels: np.ndarray) -> np.ndarray:
    """How often each grey level occurs in each channel."""
    channels = np.moveaxis(pixels, -1, 0).reshape(pixels.shape[-1], -1)
    return np.stack([np.bincount(channel, minlength=256) for channel in channels])


def assert_names(error: BaseException, kind: type[Exception], reason: str, path: Path) -> None:
    assert type(error) is kind
    assert re.search(reason, str(error))
    assert str(path) in str(error)
    if isinstance(error, ImageDecodeError):
        assert (error.position, error.source) == (CHANGED, str(path))
    else:
        assert error.filename == str(path)


# One file, just before it is read


@each_number_of_jobs
@pytest.mark.parametrize("method", METHODS)
@each_fault
def test_a_file_that_breaks_before_it_is_read_is_named_and_nothing_is_half_fitted(
    change, kind, reason, method, n_jobs, copies
):
    scaler = fitted()
    before = pickle.dumps(vars(scaler))
    with pytest.raises(kind) as raised:
        getattr(scaler, method)(lazy(changing(copies, change), n_jobs))
    assert_names(raised.value, kind, reason, copies[CHANGED])
    assert pickle.dumps(vars(scaler)) == before


@each_number_of_jobs
@pytest.mark.parametrize("method", METHODS)
@each_fault
def test_blank_learns_from_what_could_be_read(
    change, kind, reason, method, n_jobs, copies, pixels
):
    scaler = fitted()
    is_added = method == "partial_fit"
    images = lazy(changing(copies, change), n_jobs, on_error="blank")
    with pytest.warns(ImageDecodeWarning) as warned:
        output = getattr(scaler, method)(images)
    [warning] = warned
    [(position, error)] = warning.message.failures.items()
    assert position == CHANGED
    assert_names(error, kind, reason, copies[CHANGED])
    assert list(images.failures) == [CHANGED]
    left = np.delete(pixels, CHANGED, axis=0)
    if method != "transform":
        expected = counts(left)
        if is_added:
            expected[:, [0, 255]] += 2
        np.testing.assert_array_equal(scaler.statistics_.counts, expected)
        assert scaler.n_samples_seen_ == 23 + is_added
    if "transform" in method:
        expected = np.insert((left - scaler.mean_) / scaler.scale_, CHANGED, 0, axis=0)
        np.testing.assert_allclose(output, expected, rtol=0, atol=1e-6)
        assert not output[CHANGED].any()


@each_number_of_jobs
@pytest.mark.parametrize("on_error", ["raise", "blank"])
def test_a_file_that_may_no_longer_be_read(on_error, n_jobs, copies, pixels):
    scaler = fitted().fit(lazy(copies, n_jobs))  # all is imported while we may
    before = pickle.dumps(vars(scaler))
    images = lazy(changing(copies, become_unreadable), n_jobs, on_error=on_error)
    if on_error == "raise":
        with as_nobody(), pytest.raises(PermissionError) as raised:
            scaler.fit(images)
        assert_names(raised.value, PermissionError, "Permission denied", copies[CHANGED])
        assert pickle.dumps(vars(scaler)) == before
    else:
        with as_nobody(), pytest.warns(ImageDecodeWarning, match="Permission denied"):
            scaler.fit(images)
        left = np.delete(pixels, CHANGED, axis=0)
        np.testing.assert_array_equal(scaler.statistics_.counts, counts(left))


@each_number_of_jobs
@pytest.mark.parametrize("on_error", ["raise", "blank"])
def test_a_file_that_is_replaced_by_another_photo_counts_as_that(
    on_error, n_jobs, copies, pixels
):
    def change(path: Path) -> None:
        other = path.with_name("new.jpg")
        other.write_bytes(copies[4].read_bytes())
        other.replace(path)

    scaler = ChannelStandardScaler()
    output = scaler.fit_transform(lazy(changing(copies, change), n_jobs, on_error=on_error))
    expected = pixels.copy()
    expected[CHANGED] = pixels[4]
    np.testing.assert_array_equal(scaler.statistics_.counts, counts(expected))
    np.testing.assert_array_equal(output[CHANGED], output[4])


# Many files


@pytest.mark.parametrize("method", ["fit", "fit_transform"])
def test_what_happens_to_a_file_that_has_been_read_does_not_matter(method, copies, pixels):
    def break_the_others(path: Path) -> None:
        for change, earlier in zip(
            [delete, cut, empty, become_text, become_a_folder, become_a_circle],
            copies[:CHANGED],
            strict=False,
        ):
            change(earlier)

    scaler = ChannelStandardScaler()
    getattr(scaler, method)(lazy(changing(copies, break_the_others), 1))
    np.testing.assert_array_equal(scaler.statistics_.counts, counts(pixels))


def remove_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.mkdir()  # the fixture removes it


def replace_folder(path: Path) -> None:
    shutil.rmtree(path.parent)
    path.parent.touch()


GONE = {
    "removed": (remove_folder, FileNotFoundError),
    "replaced by a file": (replace_folder, NotADirectoryError),
}


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(("change", "kind"), GONE.values(), ids=GONE.keys())
def test_without_the_folder_the_first_file_in_it_that_is_missed_is_named(
    change, kind, method, copies
):
    scaler = fitted()
    before = pickle.dumps(vars(scaler))
    with pytest.raises(kind) as raised:
        getattr(scaler, method)(lazy(changing(copies, change), 1))
    assert raised.value.filename == str(copies[CHANGED])
    assert pickle.dumps(vars(scaler)) == before
    restore(copies)


@pytest.mark.parametrize(("change", "kind"), GONE.values(), ids=GONE.keys())
def test_without_the_folder_blank_learns_from_what_had_been_read(change, kind, copies, pixels):
    images = lazy(changing(copies, change), 1, on_error="blank")
    scaler = ChannelStandardScaler()
    with pytest.warns(ImageDecodeWarning):
        scaler.fit(images)
    assert list(images.failures) == list(range(CHANGED, 24))
    assert {type(error) for error in images.failures.values()} == {kind}
    np.testing.assert_array_equal(scaler.statistics_.counts, counts(pixels[:CHANGED]))
    restore(copies)


def restore(copies: list[Path]) -> None:
    """Put a folder where one was, for the fixture to remove."""
    if not copies[0].parent.is_dir():
        copies[0].parent.unlink()
        copies[0].parent.mkdir()


@pytest.mark.parametrize("on_error", ["raise", "blank"])
def test_without_the_folder_two_threads_count_what_they_had_read(on_error, copies, pixels):
    scaler = fitted()
    before = pickle.dumps(vars(scaler))
    images = lazy(changing(copies, remove_folder), 2, on_error=on_error)
    if on_error == "raise":
        with pytest.raises(FileNotFoundError) as raised:
            scaler.fit(images)
        assert raised.value.filename in {str(path) for path in copies}
        assert pickle.dumps(vars(scaler)) == before
        return
    with pytest.warns(ImageDecodeWarning):
        scaler.fit(images)
    assert CHANGED in images.failures
    left = np.delete(pixels, list(images.failures), axis=0)
    np.testing.assert_array_equal(scaler.statistics_.counts, counts(left))


# Workers that are killed


class Deadly:
    """A path whose reading kills a process once, unless it is the one that made it."""

    def __init__(self, path: str, flag: Path) -> None:
        self.path = path
        self.flag = flag
        self.maker = os.getpid()

    def __fspath__(self) -> str:
        if os.getpid() != self.maker and not self.flag.exists():
            self.flag.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return self.path


KILLED = """
import pickle
from pathlib import Path

import joblib
from joblib.externals.loky.process_executor import TerminatedWorkerError
from sknorm_images import ChannelStandardScaler
from tests.lazy_photos import lazy
from tests.images.test_faults import Deadly

files, folder = inputs["files"], Path(inputs["folder"])
def paths(name):
    return [*files[:13], Deadly(files[13], folder / name), *files[14:]]

expected = ChannelStandardScaler().fit(lazy(files))
scaler = ChannelStandardScaler().fit(lazy(files[:3]))
before = pickle.dumps(vars(scaler))
with joblib.parallel_config("loky"):
    try:
        scaler.fit(lazy(paths("killed in fit"), 2))
    except TerminatedWorkerError as error:
        print("SIGKILL" in str(error), pickle.dumps(vars(scaler)) == before)
    scaler.fit(lazy(paths("killed in fit"), 2))
    try:
        scaler.transform(lazy(paths("killed in transform"), 2))
    except TerminatedWorkerError as error:
        print("SIGKILL" in str(error))
    scaled = scaler.transform(lazy(paths("killed in transform"), 2))
print(pickle.dumps(vars(scaler)) == pickle.dumps(vars(expected)))
print((scaled == expected.transform(lazy(files))).all())
"""


@pytest.mark.long
def test_a_killed_worker_of_loky_is_joblibs_error_and_the_next_call_works(files, tmp_path):
    process = new_process.run(KILLED, files=files, folder=str(tmp_path))
    assert process.returncode == 0, process.stderr
    assert process.stdout.split() == ["True"] * 5
