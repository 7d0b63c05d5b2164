"""Images decoded once and saved: whole under their name, or not there."""

from __future__ import annotations

import errno
import io
import json
import shutil
import signal
import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import zarr
from PIL import Image

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageTransparencyWarning,
    JpegLoader,
    make_image_pipeline,
    save_images,
)
from tests import new_process
from tests.conftest import encode
from tests.lazy_photos import lazy, watched

each_name = pytest.mark.parametrize("name", ["photos.npy", "photos.zarr"])


def names_of(*names: str) -> list[str]:
    """The names of saved arrays with those of their records, where they are files."""
    records = [f"{name}.sknorm-images.json" for name in names if name.endswith(".npy")]
    return sorted([*names, *records])


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def everything_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


# What is saved


@each_name
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_what_pillow_makes_of_the_photos_is_saved(name, n_jobs, files, pixels, tmp_path):
    saved = save_images(lazy(files, n_jobs), tmp_path / name)
    np.testing.assert_array_equal(saved, pixels)
    assert saved.dtype == np.uint8
    assert names_in(tmp_path) == names_of(name)


def test_an_npy_file_is_what_numpy_writes(files, pixels, tmp_path):
    saved = save_images(lazy(files, 2), str(tmp_path / "photos.npy"))
    assert isinstance(saved.array, np.memmap)
    assert not saved.array.flags.writeable
    np.save(tmp_path / "numpy.npy", pixels)
    written = (tmp_path / "photos.npy").read_bytes()
    assert written == (tmp_path / "numpy.npy").read_bytes()


def test_a_store_is_of_zarr_format_3_with_the_chunks_that_were_asked_for(files, tmp_path):
    saved = save_images(lazy(files), tmp_path / "photos.zarr", chunk_size=5)
    assert isinstance(saved.array, zarr.Array)
    assert saved.array.read_only
    assert saved.array.metadata.zarr_format == 3
    assert saved.array.chunks == (5, 32, 48, 3)


@each_name
@pytest.mark.parametrize(
    "array",
    [
        np.linspace(-1, 1, 360, dtype="float32").reshape(5, 4, 6, 3),
        np.asfortranarray(np.arange(360, dtype=">i2").reshape(5, 4, 6, 3)),
        np.arange(360, dtype=np.uint8).reshape(5, 4, 6, 3)[::-1, :, ::2],
        np.arange(12.0).reshape(6, 2),
    ],
    ids=["float32", "big-endian in Fortran order", "a view", "two dimensions"],
)
def test_any_array_is_saved_as_it_is(name, array, tmp_path):
    saved = save_images(array, tmp_path / name, chunk_size=2)
    assert saved.dtype == array.dtype.newbyteorder("=") or name.endswith("npy")
    np.testing.assert_array_equal(saved, array)


def test_a_list_of_images_and_a_store_are_saved_too(pixels, tmp_path):
    store = save_images(list(pixels), tmp_path / "list.zarr", chunk_size=7)
    saved = save_images(store, tmp_path / "store.npy")
    np.testing.assert_array_equal(saved, pixels)


@each_name
def test_photos_of_one_size_need_no_resizer(name, photos, tmp_path):
    files = [encode(photo, quality=95) for photo in photos]
    saved = save_images(JpegLoader().transform(files), tmp_path / name)
    assert saved.shape == (2, 427, 640, 3)
    np.testing.assert_array_equal(saved[1], Image.open(io.BytesIO(files[1])))


@each_name
def test_images_that_cannot_be_read_are_black_and_listed(name, copies, pixels, tmp_path):
    copies[3].write_bytes(b"no photo")
    copies[20].unlink()
    images = lazy(copies, 2, on_error="blank")
    with pytest.warns(ImageDecodeWarning, match="2 of 24 images cannot be read"):
        saved = save_images(images, tmp_path / name, chunk_size=4)
    expected = pixels.copy()
    expected[[3, 20]] = 0
    np.testing.assert_array_equal(saved.array, expected)
    assert sorted(images.failures) == sorted(saved.failures) == [3, 20]


# What reads it


@each_name
@pytest.mark.parametrize(
    "scaler",
    [ChannelStandardScaler(), ChannelMinMaxScaler(quantile_range=(1, 99))],
    ids=lambda scaler: type(scaler).__name__,
)
def test_a_scaler_fits_it_as_it_fits_the_photos(name, scaler, files, tmp_path):
    images = lazy(files)
    expected = scaler.fit(images).statistics_
    scaled = scaler.transform(images)
    saved = save_images(images, tmp_path / name)
    assert scaler.fit(saved).statistics_ == expected
    np.testing.assert_array_equal(scaler.transform(saved), scaled)


@each_name
def test_neither_writing_nor_fitting_holds_it_whole(name, photos, tmp_path):
    files = [encode(photo) for photo in photos] * 50
    images = make_image_pipeline((224, 224))[:-1].transform(files)
    n_bytes = len(files) * 224 * 224 * 3  # 15 MB
    save_images(images[:8], tmp_path / f"small-{name}")  # what is loaded once
    tracemalloc.start()
    saved = save_images(images, tmp_path / name, chunk_size=4)
    _, in_writing = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    before, _ = tracemalloc.get_traced_memory()
    ChannelStandardScaler().fit(saved)
    _, in_fitting = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert in_writing < n_bytes / 3
    assert in_fitting - before < n_bytes / 3


# Refusals, before anything is decoded


@each_name
def test_what_is_there_is_kept_unless_told_otherwise(name, files, prepared, tmp_path):
    path = tmp_path / name
    save_images(lazy(files[:2]), path)
    prepared.clear()
    with pytest.raises(FileExistsError, match=r"exists. Pass overwrite=True to overwrite it"):
        save_images(lazy(files), path)
    assert not prepared
    assert len(save_images(lazy(files), path, overwrite=True)[:]) == 24
    assert names_in(tmp_path) == names_of(name)


@pytest.mark.parametrize(
    ("path", "error", "message"),
    [
        ("photos.jpg", ValueError, "photos.jpg' ends in neither .npy nor .zarr"),
        ("s3://bucket/photos.zarr", ValueError, "is a URL, and arrays are saved on this"),
        ("s3:/bucket/photos.zarr", ValueError, "is a URL, and arrays are saved on this"),
        ("missing/photos.npy", FileNotFoundError, "no folder '.*missing'.* Create it"),
        ("missing/photos.zarr", FileNotFoundError, "no folder '.*missing'.* Create it"),
    ],
)
def test_a_path_that_cannot_be_is_refused(path, error, message, files, prepared, tmp_path):
    with pytest.raises(error, match=message):
        save_images(lazy(files), path if ":" in path else tmp_path / path)
    assert not prepared
    assert everything_in(tmp_path) == []


def test_a_folder_that_is_no_store_is_never_replaced(files, tmp_path):
    (tmp_path / "photos.zarr").mkdir()
    (tmp_path / "photos.zarr" / "precious").touch()
    (tmp_path / "photos.npy").mkdir()
    with pytest.raises(FileExistsError, match="is not a Zarr array"):
        save_images(lazy(files), tmp_path / "photos.zarr", overwrite=True)
    with pytest.raises(FileExistsError, match="is not a file"):
        save_images(lazy(files), tmp_path / "photos.npy", overwrite=True)
    assert everything_in(tmp_path) == ["photos.npy", "photos.zarr", "photos.zarr/precious"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"chunk_size": 0}, "chunk_size=0 is out of range"),
        ({"overwrite": "yes"}, "overwrite='yes' is not known"),
    ],
)
def test_a_parameter_out_of_its_range_is_refused(options, message, files, tmp_path):
    with pytest.raises(ValueError, match=message):
        save_images(lazy(files), tmp_path / "photos.npy", **options)


@pytest.mark.parametrize(
    "images", [["a.jpg", None], ["a.jpg"], [], 3, lazy([b"no photo"])[:0]]
)
def test_what_holds_no_images_is_refused(images, tmp_path):
    with pytest.raises(ValueError, match=r"not an array of images. Pass numbers of shape"):
        save_images(images, tmp_path / "photos.npy")
    assert everything_in(tmp_path) == []


def test_arguments_in_the_other_order_are_refused(files):
    with pytest.raises(
        TypeError, match=r"path is a LazyImages, .*save_images\(images, path\)"
    ):
        save_images("photos.npy", lazy(files))


@each_name
def test_a_warning_of_black_images_points_at_the_call(name, copies, tmp_path):
    copies[3].write_bytes(b"no photo")
    with pytest.warns(ImageDecodeWarning) as caught:
        save_images(lazy(copies, on_error="blank"), tmp_path / name)
    assert caught[0].filename == __file__


def test_zarr_that_is_not_installed_is_named(monkeypatch, files, tmp_path):
    monkeypatch.setitem(sys.modules, "zarr", None)
    with pytest.raises(ImportError, match=r'pip install "sknorm-images\[zarr\]"'):
        save_images(lazy(files), tmp_path / "photos.zarr")
    assert everything_in(tmp_path) == []


# Failures on the way


@each_name
@pytest.mark.parametrize("n_jobs", [None, 2])
def test_a_file_that_cannot_be_read_leaves_what_was_there(name, n_jobs, copies, tmp_path):
    path = tmp_path / name
    before = np.array(save_images(lazy(copies[:5]), path))
    copies[-1].write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError, match="image 23"):
        save_images(lazy(copies, n_jobs), path, overwrite=True, chunk_size=100)
    kept = np.load(path) if name.endswith("npy") else zarr.open_array(path)[:]
    np.testing.assert_array_equal(kept, before)
    assert names_in(tmp_path) == ["copies", *names_of(name)]


def test_a_second_ctrl_c_while_a_part_is_removed_leaves_nothing(files, monkeypatch, tmp_path):
    unlink, is_first = Path.unlink, True

    def interrupt(position: int) -> None:
        if position == 5 and everything_in(tmp_path):
            raise KeyboardInterrupt

    def interrupted_once(path: Path, **options: bool) -> None:
        nonlocal is_first
        if is_first:
            is_first = False
            raise KeyboardInterrupt
        unlink(path, **options)

    monkeypatch.setattr(Path, "unlink", interrupted_once)
    with pytest.raises(KeyboardInterrupt):
        save_images(lazy(watched(files, interrupt)), tmp_path / "photos.npy")
    assert not is_first
    assert everything_in(tmp_path) == []


@each_name
def test_photos_of_differing_sizes_are_refused(name, files, tmp_path):
    with pytest.raises(ValueError, match="Add a Resizer after the JpegLoader"):
        save_images(JpegLoader().transform(files), tmp_path / name)
    assert everything_in(tmp_path) == []


@each_name
def test_photos_of_which_none_can_be_read_are_refused(name, tmp_path):
    images = lazy([b"no photo"] * 3, on_error="blank")
    with pytest.raises(ValueError, match="None of the 3 images can be read"):
        save_images(images, tmp_path / name)
    assert everything_in(tmp_path) == []


@pytest.fixture
def mount(tmp_path: Path) -> Iterator[Callable[..., Path]]:
    """Mounts a file system in memory, with options; only root may."""
    mounted = []

    def mount_tmpfs(options: str) -> Path:
        folder = tmp_path / "disk"
        folder.mkdir(exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        if subprocess.run(command, capture_output=True, check=False).returncode:
            pytest.skip("only root may mount a file system, and not in every container")
        mounted.append(folder)
        return folder

    yield mount_tmpfs
    for folder in mounted:
        subprocess.run(["umount", str(folder)], check=True)


def test_an_array_larger_than_the_disk_is_refused_at_once(mount, files, prepared):
    disk = mount("size=100k")
    images = make_image_pipeline(64)[:-1].transform(files)
    with pytest.raises(OSError, match=r"294,912 bytes, and [\d,]+ are free") as refusal:
        save_images(images, disk / "photos.npy")
    assert refusal.value.errno == errno.ENOSPC
    assert refusal.value.filename == str(disk / "photos.npy")
    assert not prepared
    assert everything_in(disk) == []


class FillsTheDisk:
    """A path that, when it is read, has somebody else take what the disk has left."""

    def __init__(self, path: str, disk: Path) -> None:
        self.path, self.disk = path, disk
        self.is_done = False

    def __fspath__(self) -> str:
        if self.is_done or not list(self.disk.glob(".*")):  # nothing is written yet
            return self.path
        self.is_done = True
        with (self.disk / "other").open("wb", buffering=0) as file:
            while True:
                try:
                    file.write(bytes(1024))
                except OSError:
                    return self.path


@each_name
def test_a_disk_that_fills_up_is_named_and_holds_no_half_file(name, mount, files):
    disk = mount("size=1m")
    paths = [*files[:12], FillsTheDisk(files[12], disk), *files[13:]]
    images = make_image_pipeline(96)[:-1].transform(paths)  # 663,552 bytes
    with pytest.raises(OSError, match="No space left on device") as refusal:
        save_images(images, disk / name, chunk_size=6)
    assert refusal.value.filename == str(disk / name)
    assert not (disk / name).exists()
    (disk / "other").unlink()
    expected = make_image_pipeline(96)[:-1].transform(files)
    np.testing.assert_array_equal(save_images(images, disk / name, chunk_size=6), expected)
    assert names_in(disk) == names_of(name)


@each_name
def test_a_folder_that_is_read_only_is_named(name, mount, files):
    disk = mount("size=1m,ro")
    with pytest.raises(OSError, match="Read-only file system") as refusal:
        save_images(lazy(files), disk / name)
    assert refusal.value.filename == str(disk / name)
    assert everything_in(disk) == []


# Going on


def test_a_store_goes_on_where_it_stopped(copies, pixels, prepared, tmp_path):
    whole = copies[13].read_bytes()
    copies[13].write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError, match="image 13") as stop:
        save_images(lazy(copies), tmp_path / "photos.zarr", chunk_size=3)
    [note] = stop.value.__notes__
    assert "The complete chunks are in" in note
    assert "the same call resumes" in note
    assert not (tmp_path / "photos.zarr").exists()
    copies[13].write_bytes(whole)
    prepared.clear()
    saved = save_images(lazy(copies, n_jobs=2), tmp_path / "photos.zarr", chunk_size=3)
    assert len(prepared) == 12  # the fifth chunk and those behind it
    np.testing.assert_array_equal(saved, pixels)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["copies", "photos.zarr"]


@pytest.mark.parametrize(
    ("others", "options"),
    [(slice(None, None, -1), {}), (slice(None), {"color_mode": "grayscale"})],
    ids=["other files", "another setting"],
)
def test_other_images_are_begun_anew(others, options, copies, tmp_path):
    copies[13].write_bytes(b"no photo")
    path = tmp_path / "photos.zarr"
    with pytest.raises(ImageDecodeError):
        save_images(lazy(copies), path, chunk_size=3)
    shutil.copy(copies[12], copies[13])
    images = lazy(copies[others], **options)
    np.testing.assert_array_equal(save_images(images, path, chunk_size=3), np.asarray(images))


def test_images_that_were_left_blank_are_tried_again(copies, pixels, tmp_path):
    bad = {i: copies[i].read_bytes() for i in (2, 13)}
    for i in bad:
        copies[i].write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError, match="image 2,"):
        save_images(lazy(copies), tmp_path / "photos.zarr", chunk_size=2)
    copies[13].write_bytes(bad[13])
    images = lazy(copies, on_error="blank")
    with pytest.warns(ImageDecodeWarning, match="1 of 24 images"):
        saved = save_images(images, tmp_path / "photos.zarr", chunk_size=2)
    expected = pixels.copy()
    expected[2] = 0
    np.testing.assert_array_equal(saved.array, expected)
    assert list(images.failures) == list(saved.failures) == [2]


@pytest.mark.parametrize("n_runs", [1, 2])
def test_what_lost_transparency_in_an_earlier_run_is_told_again(
    n_runs, photos, prepared, tmp_path
):
    paths = [tmp_path / f"{i}.png" for i in range(7)]
    for i, path in enumerate(paths):
        photo = photos[i % 2].resize((48, 32))
        if i in (1, 2, 3):
            photo.putalpha(Image.linear_gradient("L").resize(photo.size))
        path.write_bytes(encode(photo, "PNG"))
    whole = paths[6].read_bytes()
    paths[6].write_bytes(b"no photo")
    pipeline = make_image_pipeline((32, 48)).set_params(load__formats=("PNG",))
    images = pipeline[:-1].transform(paths)
    for _ in range(n_runs):
        with pytest.raises(ImageDecodeError, match="image 6"):
            save_images(images, tmp_path / "photos.zarr", chunk_size=2)
    paths[6].write_bytes(whole)
    prepared.clear()

    with pytest.warns(ImageTransparencyWarning) as caught:
        saved = save_images(images, tmp_path / "photos.zarr", chunk_size=2)

    assert len(prepared) == 1  # what was complete stays so
    [warning] = (one.message for one in caught)
    assert (warning.source, warning.position, warning.n_images) == (str(paths[1]), 1, 3)
    with pytest.warns(ImageTransparencyWarning) as anew:
        np.testing.assert_array_equal(saved, np.asarray(images))
    assert str(anew[0].message) == str(warning)


def test_a_file_of_another_size_is_no_part_of_what_was_begun(photos, tmp_path):
    paths = [tmp_path / f"{i}.jpg" for i in range(6)]
    for i, path in enumerate(paths):
        path.write_bytes(encode(photos[0].resize((20, 10) if i < 5 else (30, 30))))
    with pytest.raises(ValueError, match="Add a Resizer"):
        save_images(JpegLoader().transform(paths), tmp_path / "photos.zarr", chunk_size=1)
    for path in paths:
        path.write_bytes(encode(photos[1].resize((30, 30))))
    images = JpegLoader().transform(paths)
    saved = save_images(images, tmp_path / "photos.zarr", chunk_size=1)
    np.testing.assert_array_equal(saved, np.asarray(images))


def test_the_same_names_in_another_folder_are_other_images(copies, monkeypatch, tmp_path):
    names = [path.name for path in copies]
    monkeypatch.chdir(copies[0].parent)
    whole = copies[13].read_bytes()
    copies[13].write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError):
        save_images(lazy(names), tmp_path / "photos.zarr", chunk_size=1)
    (tmp_path / "others").mkdir()
    for name, other in zip(names, reversed(copies), strict=True):
        content = whole if other is copies[13] else other.read_bytes()
        (tmp_path / "others" / name).write_bytes(content)
    monkeypatch.chdir(tmp_path / "others")
    images = lazy(names)
    saved = save_images(images, tmp_path / "photos.zarr", chunk_size=1)
    np.testing.assert_array_equal(saved, np.asarray(images))


def test_a_line_that_was_cut_marks_no_other_chunk(copies, pixels, tmp_path):
    path, whole = tmp_path / "photos.zarr", copies[5].read_bytes()
    copies[5].write_bytes(b"no photo")
    for _ in range(2):
        with pytest.raises(ImageDecodeError):
            save_images(lazy(copies), path, chunk_size=1)
        [complete] = tmp_path.glob(".sknorm-images-*.part/complete")
        complete.write_text(complete.read_text() + "2")  # of 23, say
    copies[5].write_bytes(whole)
    np.testing.assert_array_equal(save_images(lazy(copies), path, chunk_size=1), pixels)


class Meanwhile:
    """A path that, when its file is read for a store, has something else done first."""

    def __init__(self, path: str, folder: Path, do: Callable[[], object]) -> None:
        self.path, self.folder, self.do = path, folder, do
        self.is_done = False

    def __fspath__(self) -> str:
        if not self.is_done and list(self.folder.glob(".*/complete")):
            self.is_done = True
            self.do()
        return self.path


def test_a_second_run_is_kept_out(files, pixels, tmp_path):
    path = tmp_path / "photos.zarr"
    refusals = []

    def save_again() -> None:
        with pytest.raises(FileExistsError, match="another run is saving the same") as refusal:
            save_images(images, path, chunk_size=3)
        refusals.append(refusal)

    images = lazy([*files[:20], Meanwhile(files[20], tmp_path, save_again), *files[21:]])
    saved = save_images(images, path, chunk_size=3)
    assert len(refusals) == 1
    np.testing.assert_array_equal(saved, pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["photos.zarr"]


@pytest.mark.parametrize("overwrite", [False, True])
def test_what_turns_up_under_the_name_meanwhile_is_kept(overwrite, files, tmp_path):
    path = tmp_path / "photos.zarr"

    def turn_up() -> None:
        path.mkdir()
        (path / "precious").touch()

    images = lazy([*files[:20], Meanwhile(files[20], tmp_path, turn_up), *files[21:]])
    with pytest.raises(FileExistsError, match="is not a Zarr array"):
        save_images(images, path, chunk_size=3, overwrite=overwrite)
    assert everything_in(path) == ["precious"]


def test_a_group_of_arrays_is_never_replaced(files, tmp_path):
    zarr.open_group(tmp_path / "photos.zarr", mode="w").create_array(
        "precious", shape=(3,), dtype="int64"
    )
    with pytest.raises(FileExistsError, match="is not a Zarr array"):
        save_images(lazy(files), tmp_path / "photos.zarr", overwrite=True)
    assert "photos.zarr/precious" in everything_in(tmp_path)


KILLED_AT_THE_END = """
import os, shutil, signal
from pathlib import Path

from sknorm_images import save_images
from tests.lazy_photos import lazy

images = lazy(inputs["files"])
n_renamed = 0


def rename(path, target):
    global n_renamed
    if n_renamed == inputs["n_renamed"]:
        os.kill(os.getpid(), signal.SIGKILL)
    n_renamed += 1
    os.rename(path, target)


def remove(path, **options):
    if inputs["n_renamed"] == n_renamed:
        os.kill(os.getpid(), signal.SIGKILL)


Path.rename, shutil.rmtree = rename, remove
save_images(images, inputs["path"], overwrite=True)
"""


@pytest.mark.long
@pytest.mark.parametrize("n_renamed", [0, 1, 2])
def test_a_store_is_saved_after_a_run_that_was_killed_at_its_end(
    n_renamed, files, pixels, tmp_path
):
    path = tmp_path / "photos.zarr"
    before = np.array(save_images(lazy(files[:3]), path))
    inputs = {"files": files, "path": str(path), "n_renamed": n_renamed}
    process = new_process.run(KILLED_AT_THE_END, **inputs)
    assert process.returncode == -signal.SIGKILL
    if n_renamed == 1:
        assert not path.exists()
    else:
        there = zarr.open_array(path, mode="r")[:]
        np.testing.assert_array_equal(there, pixels if n_renamed == 2 else before)
    saved = save_images(lazy(files), path, overwrite=True)
    np.testing.assert_array_equal(saved, pixels)
    assert [path.name for path in tmp_path.iterdir()] == ["photos.zarr"]


KILLED = """
import os, random, shutil, time
from pathlib import Path

import numpy as np
import zarr  # before the clock starts
from sknorm_images import save_images
from tests.lazy_photos import lazy

images = lazy(inputs["files"], 2)
expected = np.asarray(images)
path = Path(inputs["path"])


def start():
    if child := os.fork():
        return child
    os.close(2)  # what an interrupt prints
    try:
        save_images(images, path, chunk_size=8)
        os._exit(0)
    except BaseException:
        os._exit(1)


def check_and_remove(was_killed=False):
    if path.suffix == ".npy":
        assert np.array_equal(np.load(path), expected)
        path.unlink()
    else:
        assert np.array_equal(zarr.open_array(path)[:], expected)
        shutil.rmtree(path)
    # The last thing to go is the list of chunks, which may be left by a kill.
    assert path.suffix == ".npy" or was_killed or not list(path.parent.iterdir())


begin = time.perf_counter()
assert os.waitstatus_to_exitcode(os.waitpid(start(), 0)[1]) == 0
duration = time.perf_counter() - begin
check_and_remove()
moments = random.Random(0)
outcomes = {"whole": 0, "none": 0}
for _ in range(inputs["n_times"]):
    child = start()
    time.sleep(moments.uniform(0, 1.3 * duration))
    os.kill(child, inputs["signal"])
    os.waitpid(child, 0)
    outcomes["whole" if path.exists() else "none"] += 1
    if path.exists():
        check_and_remove(was_killed=True)
assert os.waitstatus_to_exitcode(os.waitpid(start(), 0)[1]) == 0
check_and_remove()
print(json.dumps(outcomes))
"""


@pytest.mark.slow
@each_name
@pytest.mark.parametrize(("kind", "n_times"), [(signal.SIGKILL, 50), (signal.SIGINT, 20)])
def test_a_process_that_is_stopped_leaves_all_or_nothing(name, kind, n_times, files, tmp_path):
    inputs = {
        "files": files * 4,  # 12 chunks
        "path": str(tmp_path / name),
        "signal": kind,
        "n_times": n_times,
    }
    process = new_process.run(KILLED, **inputs)
    assert process.returncode == 0, process.stderr
    outcomes = json.loads(process.stdout)
    assert min(outcomes.values()) > 0
    assert sum(outcomes.values()) == n_times
    if kind is signal.SIGINT:
        assert not list(tmp_path.glob(".sknorm-images-*"))
