"""Runs that are killed while they write: the next one there clears up after them."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zarr

from sknorm_images import ImageDecodeError, ImageDecodeWarning, SavedImages, save_images
from tests import new_process
from tests.lazy_photos import lazy

fcntl = pytest.importorskip("fcntl", reason="on Windows, nothing counts as left behind")

each_name = pytest.mark.parametrize("name", ["photos.npy", "photos.zarr"])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def names_of(name: str) -> list[str]:
    """The name of a saved array, and that of its record if it is a file."""
    return [name, f"{name}.sknorm-images.json"] if name.endswith(".npy") else [name]


def saved_in(path: Path) -> np.ndarray:
    return np.load(path) if path.suffix == ".npy" else zarr.open_array(path, mode="r")[:]


PREPARE = """
import json, os, random, shutil, signal, sys, tempfile, time, traceback
from pathlib import Path

import numpy as np
import zarr
from PIL.ImageFile import ImageFile
from sknorm_images import save_images
from sknorm_images._common import whole_files
from tests.lazy_photos import lazy

prepare = ImageFile.load_prepare


def at_image(number, do):
    # Have something done before an image is decoded.
    numbers = iter(range(1000))

    def first(image):
        if next(numbers) == number:
            do()
        prepare(image)

    ImageFile.load_prepare = first


def fork(function):
    if child := os.fork():
        return child
    status = 1
    try:
        function()
        status = 0
    finally:
        os._exit(status)


def status_of(child):
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def parts():
    return [name for name in os.listdir(path.parent) if name.endswith(".part")]


def run(request):
    global inputs, path
    output = os.open(request["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    inputs, path = request["inputs"], Path(request["inputs"]["path"])
    try:
        exec(request["code"], globals())
    except BaseException:
        traceback.print_exc()
        raise
    finally:
        sys.stdout.flush()
        sys.stderr.flush()


for line in sys.stdin:
    print(status_of(fork(lambda: run(json.loads(line)))), flush=True)
"""

Finish = Callable[..., str]


@pytest.fixture(scope="module")
def finish(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Finish]:
    """Runs code in forks of a process that has all imported, which takes a second."""
    output = tmp_path_factory.mktemp("output") / "output"
    with subprocess.Popen(
        [sys.executable, "-c", PREPARE],
        cwd=new_process.ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as server:

        def finish(code: str, **inputs: Any) -> str:
            assert server.stdin is not None
            assert server.stdout is not None
            request = {"code": code, "inputs": inputs, "output": str(output)}
            server.stdin.write(json.dumps(request) + "\n")
            server.stdin.flush()
            status = server.stdout.readline().strip()
            assert status == "0", output.read_text()
            return output.read_text()

        yield finish
        server.communicate(timeout=300)  # no more requests


KILLED_AT_RANDOM = """
moments = random.Random(0)
chunk_sizes = list(range(1, 13))  # so that no run resumes another
n_left = 0
for number in inputs["signals"]:
    for _ in range(4):
        at, chunk_size = moments.randrange(24), chunk_sizes.pop()

        def be_killed():
            at_image(at, lambda: os.kill(os.getpid(), number))
            save_images(lazy(inputs["files"]), path, chunk_size=chunk_size)

        assert status_of(fork(be_killed)) == -number
        n_left += bool(parts())
        assert not path.exists()
save_images(lazy(inputs["files"]), path)
print(n_left)
"""


@each_name
def test_the_next_run_removes_what_runs_that_were_killed_at_random_left(
    finish, name, files, pixels, tmp_path
):
    numbers = [signal.SIGKILL, signal.SIGTERM, signal.SIGHUP]
    path = tmp_path / name
    n_left = finish(KILLED_AT_RANDOM, files=files, path=str(path), signals=numbers)
    sys.stdout.write(f"{n_left.strip()} of 12 killed runs left a part\n")  # pytest -rP
    assert int(n_left) == 12
    np.testing.assert_array_equal(saved_in(path), pixels)
    assert names_in(tmp_path) == names_of(name)


KILLED_ONCE = """
def be_killed():
    def die(*arguments, **options):
        os.kill(os.getpid(), signal.SIGKILL)

    moment = inputs["moment"]
    if moment == "locked":
        whole_files.fcntl.flock = die
    elif moment == "renamed":
        Path.replace = Path.rename = die
    else:
        at_image(int(moment), die)
    images = np.zeros((4, 2, 2, 3), np.uint8) if inputs["is_array"] else lazy(inputs["files"])
    save_images(images, path, overwrite=True, chunk_size=1)


assert status_of(fork(be_killed)) == -signal.SIGKILL
"""


@each_name
@pytest.mark.parametrize("is_array", [False, True], ids=["photos", "an array"])
@pytest.mark.parametrize("moment", ["locked", "renamed"])
def test_what_is_left_before_the_lock_or_the_name_is_there_is_removed(
    finish, name, is_array, moment, files, pixels, tmp_path
):
    path = tmp_path / name
    finish(KILLED_ONCE, files=files, path=str(path), is_array=is_array, moment=moment)
    assert len(names_in(tmp_path)) == 1
    assert not path.exists()
    save_images(lazy(files), path)
    np.testing.assert_array_equal(saved_in(path), pixels)
    assert names_in(tmp_path) == names_of(name)


def test_a_link_leads_to_what_is_left_beside_its_target(finish, files, tmp_path):
    (tmp_path / "disk").mkdir()
    (tmp_path / "link.npy").symlink_to(tmp_path / "disk" / "photos.npy")
    link = str(tmp_path / "link.npy")
    finish(KILLED_ONCE, files=files, path=link, is_array=False, moment="5")
    assert len(names_in(tmp_path / "disk")) == 1
    save_images(lazy(files), link)
    assert names_in(tmp_path / "disk") == names_of("photos.npy")


def test_what_another_call_could_resume_stays_until_a_store_is_whole(
    finish, files, copies, pixels, tmp_path
):
    path = tmp_path / "out" / "photos.zarr"
    path.parent.mkdir()
    finish(KILLED_ONCE, files=files, path=str(path), is_array=False, moment="9")
    [resumable] = names_in(path.parent)
    copies[20].write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError):
        save_images(lazy(copies), path, chunk_size=2)
    assert resumable in names_in(path.parent)
    copies[20].write_bytes(Path(files[20]).read_bytes())
    save_images(lazy(copies), path, chunk_size=3)
    assert names_in(path.parent) == ["photos.zarr"]


# Killed between the two renames that replace a store


KILLED_BETWEEN = """
rename = Path.rename


def be_killed():
    n_renamed = 0

    def renamed(source, target):
        nonlocal n_renamed
        n_renamed += 1
        if n_renamed == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        rename(source, target)

    Path.rename = renamed
    images = np.ones((4, 2, 2, 3), np.uint8) if inputs["is_array"] else lazy(inputs["files"])
    save_images(images, path, overwrite=True)


assert status_of(fork(be_killed)) == -signal.SIGKILL
"""


@pytest.mark.parametrize("is_array", [False, True], ids=["photos", "an array"])
def test_the_only_copy_of_a_store_that_was_being_replaced_is_put_back(
    finish, is_array, files, copies, tmp_path
):
    path = tmp_path / "out" / "photos.zarr"
    path.parent.mkdir()
    precious = np.arange(60, dtype=np.uint8).reshape(5, 2, 2, 3)
    for next_run in ("fails", "is refused", "is killed", "is the same"):
        save_images(precious, path, overwrite=True)
        finish(KILLED_BETWEEN, files=files, path=str(path), is_array=is_array)
        assert not path.exists()  # the documented moment at which nothing has the name
        if next_run == "fails":
            copies[0].write_bytes(b"no photo")
            with pytest.raises(ImageDecodeError):
                save_images(lazy(copies), path, overwrite=True)
        elif next_run == "is refused":
            with pytest.raises(FileExistsError, match="Pass overwrite=True"):
                save_images(lazy(files), path)
        elif next_run == "is killed":
            finish(KILLED_ONCE, files=files, path=str(path), is_array=False, moment="5")
        else:
            images = np.ones((4, 2, 2, 3), np.uint8) if is_array else lazy(files)
            expected = np.asarray(images)
            np.testing.assert_array_equal(save_images(images, path, overwrite=True), expected)
            continue
        np.testing.assert_array_equal(saved_in(path), precious)
    assert names_in(path.parent) == ["photos.zarr"]


# Killed whenever a file gets its name: the failures stay those of the array that is there


KILLED_AT_A_NAME = """
import warnings

warnings.simplefilter("ignore")
n_named, name = 0, Path.replace


def named(source, target):
    global n_named
    if n_named == inputs["moment"]:
        os.kill(os.getpid(), signal.SIGKILL)
    n_named += 1
    return name(source, target)


def be_killed():
    Path.replace = named
    images = lazy(inputs["files"], on_error="blank")
    save_images(images, path, overwrite=inputs["overwrite"], chunk_size=6)


print(status_of(fork(be_killed)))
"""


def save_with_failures(copies: list[Path], path: Path, bad: list[int]) -> dict[Path, bytes]:
    """Save photos of which some cannot be read; returns the content of those."""
    contents = {copies[i]: copies[i].read_bytes() for i in bad}
    for copy in contents:
        copy.write_bytes(b"no photo")
    with pytest.warns(ImageDecodeWarning):
        save_images(lazy(copies, on_error="blank"), path, overwrite=True, chunk_size=4)
    return contents


def repair(contents: dict[Path, bytes]) -> None:
    for copy, content in contents.items():
        copy.write_bytes(content)


@each_name
def test_failures_are_never_those_of_the_array_that_was_replaced(
    name, finish, copies, pixels, tmp_path
):
    path, n_killed, found = tmp_path / name, 0, []
    files = [str(copy) for copy in copies]
    while True:
        repair(save_with_failures(copies, path, [3, 20]))
        spoiled = copies[5].read_bytes()
        copies[5].write_bytes(b"no photo")
        inputs = {"files": files, "path": str(path), "overwrite": True, "moment": n_killed}
        status = int(finish(KILLED_AT_A_NAME, **inputs))
        copies[5].write_bytes(spoiled)
        saved = SavedImages(path)
        black = [row for row in range(24) if not saved.array[row].any()]
        assert sorted(saved.failures) == black
        found.append(black)
        if status == 0:
            break
        assert status == -signal.SIGKILL
        n_killed += 1
    assert found[0] == [3, 20]
    assert found[-1] == [5]
    assert n_killed == 3 if name.endswith("npy") else n_killed >= 1  # Zarr renames, too
    sys.stdout.write(f"killed at {n_killed} moments\n")


@each_name
def test_a_run_that_mends_failures_is_killed_without_a_loss_and_is_done_again(
    name, finish, copies, pixels, tmp_path
):
    path, n_killed = tmp_path / name, 0
    files = [str(copy) for copy in copies]
    while True:
        repair(save_with_failures(copies, path, [3, 9, 20]))
        inputs = {"files": files, "path": str(path), "overwrite": "failed"}
        status = int(finish(KILLED_AT_A_NAME, moment=n_killed, **inputs))
        saved = SavedImages(path)
        good = [row for row in range(24) if row not in saved.failures]
        assert set(range(24)) - {3, 9, 20} <= set(good)
        np.testing.assert_array_equal(saved.array[:][good], pixels[good])
        if status == 0:
            break
        assert sorted(saved.failures) == [3, 9, 20]
        mended = save_images(lazy(copies), path, overwrite="failed", chunk_size=4)
        assert mended.failures == {}
        np.testing.assert_array_equal(mended, pixels)
        assert names_in(tmp_path) == sorted(["copies", *names_of(name)])
        n_killed += 1
    assert good == list(range(24))
    assert n_killed >= 2  # newer versions of Zarr rename files, too
    sys.stdout.write(f"killed at {n_killed} moments\n")


# Runs that are not dead


WRITTEN_MEANWHILE = """
paused, resumed = os.pipe(), os.pipe()


def pause():
    os.write(paused[1], b".")
    os.read(resumed[0], 1)


def write_slowly():
    at_image(9, pause)
    save_images(lazy(inputs["files"]), path, overwrite=True, chunk_size=2)


child = fork(write_slowly)
os.read(paused[0], 1)
before = parts()
assert len(before) == 1
other = path.with_name(inputs["other"])
for chunk_size in (3, 4):
    save_images(lazy(inputs["files"][:5]), other, overwrite=True, chunk_size=chunk_size)
    save_images(np.zeros((2, 4, 4, 3)), other, overwrite=True)
assert parts() == before
os.write(resumed[1], b".")
assert status_of(child) == 0
"""


@each_name
@pytest.mark.parametrize("is_same", [True, False], ids=["the same target", "another target"])
def test_a_run_that_is_writing_is_not_disturbed(
    finish, name, is_same, files, pixels, tmp_path
):
    path = tmp_path / name
    other = name if is_same else f"other-{name}"
    finish(WRITTEN_MEANWHILE, files=files, path=str(path), other=other)
    np.testing.assert_array_equal(saved_in(path), pixels)
    assert names_in(tmp_path) == sorted({*names_of(name), other})


MANY_AT_ONCE = """
def write(number):
    for _ in range(30):
        save_images(np.full((4, 2, 2, 3), number, np.uint8), path, overwrite=True)


# Killed ones among them, at whatever moment it hits them.
children = [fork(lambda: write(number)) for number in range(5)]
while not path.exists():
    time.sleep(0.001)
os.kill(children[0], signal.SIGKILL)
statuses = [status_of(child) for child in children]
assert statuses[1:] == [0] * 4, statuses
save_images(np.full((4, 2, 2, 3), 9, np.uint8), path, overwrite=True)
"""


def test_runs_that_write_and_clear_up_at_once_do_not_hinder_one_another(finish, tmp_path):
    path = tmp_path / "photos.npy"
    finish(MANY_AT_ONCE, path=str(path))
    np.testing.assert_array_equal(saved_in(path), np.full((4, 2, 2, 3), 9))
    assert names_in(tmp_path) == ["photos.npy"]


INHERITED = """
reports, ends = os.pipe(), os.pipe()


def be_killed():
    def leave_a_child():
        child = fork(lambda: os.read(ends[0], 1))
        os.write(reports[1], str(child).encode())
        os.kill(os.getpid(), signal.SIGKILL)

    at_image(3, leave_a_child)
    save_images(lazy(inputs["files"]), path)


assert status_of(fork(be_killed)) == -signal.SIGKILL
orphan = int(os.read(reports[0], 20))
save_images(lazy(inputs["files"]), path)
assert len(parts()) == 1  # as if it were still being written
os.write(ends[1], b".")
deadline = time.monotonic() + 300
while parts() and time.monotonic() < deadline:
    save_images(lazy(inputs["files"][:1]), path, overwrite=True)
assert not parts()
"""


def test_a_forked_process_that_outlives_a_killed_run_keeps_its_part(finish, files, tmp_path):
    finish(INHERITED, files=files, path=str(tmp_path / "photos.npy"))
    assert names_in(tmp_path) == names_of("photos.npy")


@each_name
def test_a_part_that_is_taken_before_it_is_locked_is_begun_anew(
    name, files, pixels, monkeypatch, tmp_path
):
    path, flock, is_first = tmp_path / name, fcntl.flock, True

    def after_another_run(*arguments: Any) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            save_images(np.zeros((2, 2, 2, 3)), path)
        flock(*arguments)

    monkeypatch.setattr(fcntl, "flock", after_another_run)
    saved = save_images(lazy(files), path, overwrite=True)
    np.testing.assert_array_equal(saved, pixels)
    assert names_in(tmp_path) == names_of(name)


# What is not ours to remove, or cannot be


def parts_left_by_a_run(path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """Names that a run gives its parts, which are then as a kill leaves them."""
    names: list[str] = []
    before = names_in(path.parent)

    class Killed(BaseException):
        pass

    def note(*_: Any) -> None:
        names.extend(names_in(path.parent))
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(fcntl, "flock", note)
        with pytest.raises(Killed):
            save_images(np.zeros((2, 2, 2, 3)), path)
    return [path.with_name(name) for name in names if name not in before]


@each_name
def test_only_parts_of_the_same_target_are_removed(name, files, monkeypatch, tmp_path):
    path = tmp_path / "out" / name
    path.parent.mkdir()
    [part] = parts_left_by_a_run(path, monkeypatch)
    [other_part] = parts_left_by_a_run(path.with_name(f"other-{name}"), monkeypatch)
    for left in path.parent.iterdir():
        shutil.rmtree(left) if left.is_dir() else left.unlink()
    precious = tmp_path / "precious"
    precious.mkdir()
    for content in ("images.zarr", "complete", "lock"):
        (precious / content).touch()
    kept = [
        path.with_name(".sknorm-images-0123abcd.part"),  # as earlier versions name them
        path.with_name(f".{name}-0123456789abcdef-32.part"),
        other_part,
        path.with_name("photos.part"),
    ]
    for file in kept:
        file.touch()
    stem = part.name.rpartition("-")[0]
    kept += [path.with_name(f"{stem}-{kind}.part") for kind in ("link", "other")]
    kept[-2].symlink_to(precious if name.endswith("zarr") else precious / "lock")
    if name.endswith("zarr"):
        kept[-1].touch()  # a file, where parts are folders
    else:
        kept[-1].mkdir()
    part.touch() if name.endswith("npy") else part.mkdir()
    save_images(lazy(files), path)
    assert names_in(path.parent) == sorted([*names_of(name), *(file.name for file in kept)])
    assert names_in(precious) == ["complete", "images.zarr", "lock"]


@each_name
@pytest.mark.parametrize("kind", ["refused", "missing"])
def test_without_locks_nothing_is_removed_and_nothing_fails(
    finish, name, kind, files, pixels, monkeypatch, tmp_path
):
    path = tmp_path / name
    finish(KILLED_ONCE, files=files, path=str(path), is_array=True, moment="renamed")
    [left] = names_in(tmp_path)

    def refuse(*_: Any) -> None:
        raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))

    if kind == "refused":
        monkeypatch.setattr(fcntl, "flock", refuse)
    else:
        monkeypatch.setattr("sknorm_images._common.whole_files.fcntl", None)
    np.testing.assert_array_equal(save_images(lazy(files), path), pixels)
    assert names_in(tmp_path) == sorted([left, *names_of(name)])


NOT_ALLOWED = """
import concurrent.futures.thread  # which Zarr imports late, and nobody may be kept from

folder = Path(tempfile.mkdtemp(dir="/tmp"))
try:
    path = folder / inputs["name"]
    die_at = np.zeros((4, 2, 2, 3), np.uint8)

    def be_killed():
        Path.replace = Path.rename = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
        save_images(die_at, path)

    assert status_of(fork(be_killed)) == -signal.SIGKILL
    before = parts()
    assert len(before) == 1
    folder.chmod(0o1777)  # as /tmp: all may write, and remove what is theirs

    def save_as_nobody():
        os.setegid(65534)
        os.seteuid(65534)
        save_images(die_at, path)

    assert status_of(fork(save_as_nobody)) == 0
    assert parts() == before
    assert path.exists()
finally:
    shutil.rmtree(folder)
"""


@pytest.mark.skipif(
    not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root may become another user"
)
@each_name
def test_what_another_user_left_is_no_error(finish, name):
    if name.endswith(".zarr") and tuple(map(int, zarr.__version__.split(".")[:3])) < (3, 1, 6):
        pytest.skip("an older Zarr imports modules late, which the other user may not read")
    finish(NOT_ALLOWED, name=name, path=name)
