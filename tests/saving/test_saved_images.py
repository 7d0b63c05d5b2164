"""Saved arrays that lose nothing silently: lost chunks, and images that failed."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
import zarr
from numpy.typing import NDArray
from sklearn.base import clone
from sklearn.model_selection import train_test_split

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageFlattener,
    LazyImages,
    Resizer,
    SavedImages,
    save_images,
)
from tests.lazy_photos import FITTED, lazy

each_name = pytest.mark.parametrize("name", ["photos.npy", "photos.zarr"])
BAD = (3, 20)


def chunk_file(path: Path, chunk: int) -> Path:
    """The file of a chunk, as the specification of Zarr 3 names it."""
    return path / "c" / str(chunk) / "0" / "0" / "0"


def spoil(copies: list[Path]) -> list[bytes]:
    """Make one photo unreadable and remove another; returns what was in them."""
    contents = [copies[i].read_bytes() for i in BAD]
    copies[BAD[0]].write_bytes(b"no photo")
    copies[BAD[1]].unlink()
    return contents


def repair(copies: list[Path], contents: list[bytes]) -> None:
    for i, content in zip(BAD, contents, strict=True):
        copies[i].write_bytes(content)


def save_with_failures(copies: list[Path], path: Path, **options: Any) -> SavedImages:
    with pytest.warns(ImageDecodeWarning, match="2 of 24 images"):
        return save_images(lazy(copies, on_error="blank"), path, chunk_size=4, **options)


def record_of(path: Path) -> dict[str, Any]:
    """What is on the disk, read without the package."""
    if path.suffix == ".zarr":
        return json.loads((path / "zarr.json").read_text())["attributes"]["sknorm_images"]
    return json.loads(Path(f"{path}.sknorm-images.json").read_text())["sknorm_images"]


def failed_rows(path: Path) -> list[int]:
    return [row for row, _, _ in record_of(path)["failures"]]


def without(pixels: NDArray[Any], rows: tuple[int, ...] = BAD) -> NDArray[Any]:
    return np.delete(pixels, rows, axis=0)


# Chunks


def test_black_chunks_are_written_too_also_by_a_run_that_resumes(copies, tmp_path):
    black = np.zeros((10, 4, 4, 3), np.uint8)
    save_images(black, tmp_path / "black.zarr", chunk_size=4)
    assert all(chunk_file(tmp_path / "black.zarr", chunk).exists() for chunk in range(3))
    path, contents = tmp_path / "photos.zarr", spoil(copies)
    with pytest.raises(ImageDecodeError):
        save_images(lazy(copies), path, chunk_size=1)
    copies[BAD[0]].write_bytes(contents[0])
    with pytest.warns(ImageDecodeWarning, match="1 of 24"):
        save_images(lazy(copies, on_error="blank"), path, chunk_size=1)
    assert all(chunk_file(path, chunk).exists() for chunk in range(24))


READERS = {
    "fit": lambda images: ChannelStandardScaler().fit(images),
    "partial_fit": lambda images: ChannelStandardScaler().partial_fit(images),
    "transform": FITTED.transform,
    "fit_transform": lambda images: ChannelStandardScaler().fit_transform(images),
    "of percentiles": lambda images: ChannelMinMaxScaler(quantile_range=(1, 99)).fit(images),
}


@pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
@pytest.mark.parametrize("opened", ["by us", "by Zarr", "in an archive"])
def test_a_lost_chunk_is_an_error_that_names_its_rows(opened, reader, files, pixels, tmp_path):
    path = tmp_path / "photos.zarr"
    save_images(lazy(files), path, chunk_size=5)
    chunk_file(path, 2).unlink()
    images: Any = SavedImages(path)
    if opened == "by Zarr":
        images = zarr.open_array(path, mode="r")
    elif opened == "in an archive":  # a store that is not a folder
        archive = shutil.make_archive(str(tmp_path / "photos"), "zip", path)
        images = zarr.open_array(zarr.storage.ZipStore(archive, mode="r"), mode="r")
    with pytest.raises(OSError, match=r"Rows 10 to 14 are lost: .* lacks the files"):
        reader(images)


def test_saving_again_reading_and_checking_name_lost_chunks(files, pixels, tmp_path):
    path = tmp_path / "photos.zarr"
    saved = save_images(lazy(files), path, chunk_size=5)
    assert saved.check() is saved
    chunk_file(path, 0).unlink()
    chunk_file(path, 4).unlink()
    with pytest.raises(OSError, match="Rows 0 to 4, 20 to 23 are lost"):
        saved.check()
    with pytest.raises(OSError, match="Rows 20 to 23 are lost"):
        saved[21]
    with pytest.raises(OSError, match="Rows 20 to 23 are lost"):
        np.asarray(saved[[22, 7]])
    for images in (saved, saved.array):
        with pytest.raises(OSError, match=r"Rows 0 to 4[, ].*are lost"):
            save_images(images, tmp_path / "again.npy")
    assert not (tmp_path / "again.npy").exists()
    np.testing.assert_array_equal(saved[5:20], pixels[5:20])


def test_a_chunk_that_was_cut_is_found_by_a_check(files, tmp_path):
    path = tmp_path / "photos.zarr"
    saved = save_images(lazy(files), path, chunk_size=5)
    cut = chunk_file(path, 3)
    cut.write_bytes(cut.read_bytes()[:1000])
    with pytest.raises(OSError, match=r"Rows 15 to 19 of .*photos.zarr' cannot be read"):
        saved.check()


def test_black_images_that_are_there_are_no_error_and_are_asked_for_alone(
    files, pixels, monkeypatch, tmp_path
):
    images = pixels.copy()
    images[[0, 7, 8, 9]] = 0
    images[1, 1:] = 0  # black but for one line of pixels
    saved = save_images(images, tmp_path / "photos.zarr", chunk_size=3)
    asked, exists = [], Path.exists

    def watched(path: Path, **options: Any) -> bool:
        asked.append(path.relative_to(saved.path).parts[1])
        return exists(path, **options)

    monkeypatch.setattr(Path, "exists", watched)
    fitted = ChannelStandardScaler().fit(saved)
    assert sorted(asked) == ["0", "2", "3"]
    monkeypatch.undo()
    assert fitted.statistics_ == ChannelStandardScaler().fit(images).statistics_


def test_chunks_that_others_left_out_are_zeros(pixels, tmp_path):
    path = tmp_path / "others.zarr"
    store = zarr.create_array(
        str(path), shape=pixels.shape, dtype="uint8", chunks=(4, *pixels.shape[1:])
    )
    store[:8] = pixels[:8]
    expected = np.where(np.arange(24)[:, None, None, None] < 8, pixels, 0)
    saved = SavedImages(path).check()
    np.testing.assert_array_equal(saved, expected)
    assert saved.failures == {}
    fitted = ChannelStandardScaler().fit(saved)
    assert fitted.statistics_ == ChannelStandardScaler().fit(expected).statistics_


# Failures


@each_name
def test_which_images_are_blank_is_known_when_the_array_is_opened_again(
    name, copies, tmp_path
):
    spoil(copies)
    saved = save_with_failures(copies, tmp_path / name)
    for images in (saved, SavedImages(tmp_path / name), pickle.loads(pickle.dumps(saved))):
        assert {
            row: (error.source, error.reason, error.position)
            for row, error in images.failures.items()
        } == {
            3: (str(copies[3]), "no known image format", 3),
            20: (str(copies[20]), "No such file or directory", 20),
        }
    assert "2 of them blank" in repr(saved)
    assert record_of(tmp_path / name)["failures"] == [
        [3, str(copies[3]), "no known image format"],
        [20, str(copies[20]), "No such file or directory"],
    ]


@each_name
@pytest.mark.parametrize(
    "scaler",
    [ChannelStandardScaler(), ChannelMinMaxScaler(quantile_range=(1, 99))],
    ids=lambda scaler: type(scaler).__name__,
)
def test_blank_images_count_for_nothing_and_are_told_once_in_each_call(
    name, scaler, copies, pixels, tmp_path
):
    spoil(copies)
    saved = save_with_failures(copies, tmp_path / name)
    expected = clone(scaler).fit(without(pixels))
    scaled = expected.transform(pixels)
    scaled[list(BAD)] = 0
    for call in ("fit", "partial_fit", "transform", "fit_transform"):
        fitted = clone(expected) if call != "transform" else expected
        with pytest.warns(ImageDecodeWarning, match="2 of 24 images") as caught:
            result = getattr(fitted, call)(saved)
        assert [one.filename for one in caught] == [__file__]
        assert fitted.statistics_ == expected.statistics_
        if call.endswith("transform"):
            np.testing.assert_array_equal(result, scaled)
    weights = np.arange(24)
    with pytest.warns(ImageDecodeWarning):
        weighted = clone(scaler).fit(saved, sample_weight=weights)
    others = clone(scaler).fit(without(pixels), sample_weight=without(weights))
    assert weighted.statistics_ == others.statistics_


def test_an_array_that_zarr_opens_tells_its_failures_too(copies, pixels, tmp_path):
    spoil(copies)
    array = save_with_failures(copies, tmp_path / "photos.zarr").array
    with pytest.warns(ImageDecodeWarning, match="2 of 24"):
        fitted = ChannelStandardScaler().fit(array)
    expected = ChannelStandardScaler().fit(without(pixels))
    assert fitted.statistics_ == expected.statistics_


@each_name
def test_images_that_are_selected_know_which_of_them_are_blank(name, copies, pixels, tmp_path):
    spoil(copies)
    saved = save_with_failures(copies, tmp_path / name)
    train, _, rows, _ = train_test_split(saved, np.arange(24), random_state=0)
    assert isinstance(train, SavedImages)
    assert len(train) == len(rows)
    for some, at in ((train, rows), (saved[::-1][:8], np.arange(24)[::-1][:8])):
        assert {at[i] for i in some.failures} == set(BAD) & set(at.tolist())
        assert all(error.position == i for i, error in some.failures.items())
        present = [row for row in at if row not in BAD]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImageDecodeWarning)
            fitted = ChannelStandardScaler().fit(some)
        expected = ChannelStandardScaler().fit(pixels[present])
        assert fitted.statistics_ == expected.statistics_
    again = pickle.loads(pickle.dumps(saved[[20, 1]]))
    assert list(again.failures) == [0]
    np.testing.assert_array_equal(again[1], pixels[1])


@each_name
def test_one_image_and_all_of_them_warn_of_blank_ones(name, copies, pixels, tmp_path):
    spoil(copies)
    saved = save_with_failures(copies, tmp_path / name)
    expected = pixels.copy()
    expected[list(BAD)] = 0
    np.testing.assert_array_equal(saved[5], pixels[5])
    for read in (
        lambda: saved[3][None],
        lambda: saved[-4][None],
        lambda: np.asarray(saved),
        lambda: np.stack(list(saved)),
        lambda: np.asarray(Resizer((32, 48)).transform(saved)),
        lambda: ImageFlattener().fit_transform(saved).reshape(pixels.shape),
    ):
        with pytest.warns(ImageDecodeWarning) as caught:
            found = read()
        assert len(caught) == 1
        if len(found) == 24:
            np.testing.assert_array_equal(found, expected)
        else:
            assert not found.any()


@pytest.mark.parametrize("names", [("photos.npy", "again.zarr"), ("photos.zarr", "again.npy")])
def test_failures_are_saved_again(names, copies, tmp_path):
    spoil(copies)
    saved = save_with_failures(copies, tmp_path / names[0])
    with pytest.warns(ImageDecodeWarning, match="2 of 24"):
        again = save_images(saved, tmp_path / names[1])
    assert list(again.failures) == list(BAD)
    some = save_images(saved[4:10], tmp_path / f"some-{names[1]}")
    assert some.failures == {}


# Records of files


def test_an_array_of_others_has_no_failures(pixels, tmp_path):
    np.save(tmp_path / "others.npy", pixels)
    saved = SavedImages(tmp_path / "others.npy").check()
    assert saved.failures == {}
    np.testing.assert_array_equal(saved, pixels)
    assert [file.name for file in tmp_path.iterdir()] == ["others.npy"]


def test_a_record_of_an_older_file_of_the_same_name_is_ignored(copies, pixels, tmp_path):
    path = tmp_path / "photos.npy"
    spoil(copies)
    save_with_failures(copies, path)
    np.save(path, pixels)
    assert SavedImages(path).failures == {}
    for n_images in (5, 0):
        np.save(path, pixels[:n_images])
        assert SavedImages(path).failures == {}
    np.save(path, np.float32(1))
    with pytest.raises(ValueError, match="it holds a single number"):
        SavedImages(path)


@each_name
def test_an_array_that_replaces_another_has_its_own_failures_alone(name, copies, tmp_path):
    path, contents = tmp_path / name, spoil(copies)
    save_with_failures(copies, path)
    black = np.zeros((24, 32, 48, 3), np.uint8)
    assert save_images(black, path, overwrite=True).failures == {}
    save_with_failures(copies, path, overwrite=True)
    repair(copies, contents)
    copies[5].unlink()
    with pytest.warns(ImageDecodeWarning, match="1 of 24"):
        save_images(lazy(copies, on_error="blank"), path, overwrite=True)
    assert failed_rows(path) == [5]
    save_images(black, path, overwrite=True)
    assert [file.name for file in tmp_path.glob("photos*")] == [name]


def test_a_record_that_is_damaged_is_an_error_until_it_is_replaced(copies, files, tmp_path):
    path = tmp_path / "photos.npy"
    spoil(copies)
    save_with_failures(copies, path)
    Path(f"{path}.sknorm-images.json").write_text('{"sknorm')
    with pytest.raises(ValueError, match="record of failed images is not as save_images"):
        SavedImages(path)
    assert save_images(lazy(files), path, overwrite=True).failures == {}


def test_a_name_as_long_as_names_may_be_has_a_record(copies, tmp_path):
    spoil(copies)
    path = tmp_path / f"{'x' * 251}.npy"
    save_with_failures(copies, path)
    assert list(SavedImages(path).failures) == list(BAD)


@each_name
def test_a_hash_of_saved_images_changes_with_them(name, copies, files, tmp_path):
    path = tmp_path / name
    spoil(copies)
    saved = save_with_failures(copies, path)
    before = joblib.hash(saved)
    assert joblib.hash(SavedImages(path)) == before
    assert joblib.hash(saved[:5]) != before
    save_images(lazy(files), path, overwrite=True)
    assert joblib.hash(SavedImages(path)) != before


# Only the failed rows anew


@each_name
def test_only_what_failed_is_decoded_again(name, copies, pixels, prepared, tmp_path):
    path, contents = tmp_path / name, spoil(copies)
    save_with_failures(copies, path)
    repair(copies, contents)
    prepared.clear()
    saved = save_images(lazy(copies, 2), path, overwrite="failed")
    assert len(prepared) == 2
    assert saved.failures == {}
    np.testing.assert_array_equal(saved, pixels)
    assert failed_rows(path) == []
    prepared.clear()
    save_images(lazy(copies), path, overwrite="failed")
    assert not prepared
    assert not list(tmp_path.glob(".*.part"))


@each_name
def test_what_fails_again_stays_blank_and_listed(name, copies, pixels, tmp_path):
    path, contents = tmp_path / name, spoil(copies)
    save_with_failures(copies, path)
    copies[BAD[0]].write_bytes(contents[0])
    images = lazy(copies, on_error="blank")
    with pytest.warns(ImageDecodeWarning, match="1 of 24 images"):
        saved = save_images(images, path, overwrite="failed")
    assert list(saved.failures) == list(images.failures) == failed_rows(path) == [20]
    expected = pixels.copy()
    expected[20] = 0
    np.testing.assert_array_equal(saved.array[:], expected)
    with pytest.raises(FileNotFoundError, match=r"20\.jpg"):
        save_images(lazy(copies), path, overwrite="failed")
    assert list(SavedImages(path).failures) == [20]
    copies[20].write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError, match="image 20,"):
        save_images(lazy(copies), path, overwrite="failed")


@each_name
def test_all_is_saved_where_nothing_is_there(name, files, pixels, tmp_path):
    saved = save_images(lazy(files), tmp_path / name, overwrite="failed")
    np.testing.assert_array_equal(saved, pixels)


@each_name
def test_other_images_are_not_added(name, copies, files, pixels, tmp_path):
    path = tmp_path / name
    spoil(copies)
    save_with_failures(copies, path)
    others: list[LazyImages | NDArray[Any]] = [
        lazy(files),
        lazy(copies[::-1]),
        lazy(copies, color_mode="grayscale"),
        pixels,
    ]
    for images in others:
        with pytest.raises(ValueError, match="was not saved from the same images"):
            save_images(images, path, overwrite="failed")
    assert failed_rows(path) == list(BAD)


def test_rows_of_a_lost_chunk_are_decoded_again(copies, pixels, prepared, tmp_path):
    path, contents = tmp_path / "photos.zarr", spoil(copies)
    save_with_failures(copies, path)
    repair(copies, contents)
    for chunk in (1, 5):
        shutil.rmtree(path / "c" / str(chunk))
    prepared.clear()
    saved = save_images(lazy(copies), path, overwrite="failed")
    assert len(prepared) == 9  # 4 of each chunk, where 20 is among them, and 3
    np.testing.assert_array_equal(saved.check(), pixels)


def test_what_lost_its_chunk_and_its_file_is_listed(copies, tmp_path):
    path = tmp_path / "photos.zarr"
    save_images(lazy(copies), path, chunk_size=4)
    chunk_file(path, 1).unlink()
    copies[6].unlink()
    with pytest.raises(FileNotFoundError):
        save_images(lazy(copies), path, overwrite="failed")
    assert failed_rows(path) == [4, 5, 6, 7]
    with pytest.warns(ImageDecodeWarning, match="1 of 24"):
        save_images(lazy(copies, on_error="blank"), path, overwrite="failed")
    assert failed_rows(path) == [6]


@each_name
def test_a_second_run_that_mends_the_same_array_is_kept_out(name, copies, tmp_path):
    pytest.importorskip("fcntl", reason="Windows has no such locks")
    path, contents = tmp_path / name, spoil(copies)
    save_with_failures(copies, path)
    repair(copies, contents)
    refusals = []

    class Meanwhile:
        """A path that has the same saved by another run before it is read."""

        def __fspath__(self) -> str:
            if list(tmp_path.glob(".sknorm-images-*")) or name.endswith("npy"):
                with pytest.raises(FileExistsError, match="another run is") as refusal:
                    save_images(lazy(copies), path, overwrite="failed")
                refusals.append(refusal)
            return str(copies[20])

    images = lazy(copies)
    images._sources[20] = Meanwhile()
    with pytest.MonkeyPatch.context() as patch:  # the same images, as far as one can tell
        patch.setattr(images, "_fingerprint", lazy(copies)._fingerprint)
        saved = save_images(images, path, overwrite="failed")
    assert refusals
    assert saved.failures == {}


# What is not a saved array


def write_archive(path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, images=np.zeros((2, 2), np.uint8))


NO_ARRAYS: dict[str, Callable[[Path], object]] = {
    "text.npy": lambda path: path.write_text("no array"),
    "empty.npy": lambda path: path.write_bytes(b""),
    "objects.npy": lambda path: np.save(path, np.array([None, {}]), allow_pickle=True),
    "archive.npy": write_archive,
    "cut.npy": lambda path: (
        np.save(path, np.ones((8, 8), np.uint8)),
        os.truncate(path, 140),
    ),
    "folder.zarr": lambda path: path.mkdir(),
    "file.zarr": lambda path: path.write_text("no array"),
    "text.zarr": lambda path: (path.mkdir(), (path / "zarr.json").write_text("no json")),
}


@pytest.mark.parametrize("name", NO_ARRAYS)
def test_what_is_not_an_array_is_refused_by_its_name_and_never_unpickled(name, tmp_path):
    path = tmp_path / name
    NO_ARRAYS[name](path)

    with pytest.raises(
        ValueError, match=r"is not an array that .* save the images again"
    ) as e:
        SavedImages(path)

    assert name in str(e.value)
    assert "unsafely" not in str(e.value)


def test_what_is_not_a_path_is_refused():
    with pytest.raises(TypeError, match="path is a NoneType, which is not a path"):
        SavedImages(None)
