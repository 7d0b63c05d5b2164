"""Labels and names of files that are saved beside the pixels."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.model_selection import train_test_split

from sknorm_images import ImageDecodeError, ImageDecodeWarning, SavedImages, save_images
from sknorm_images._saving import npy_files
from tests.saving.test_saved_images import BAD, each_name, lazy, repair, spoil

LABELS = np.arange(24, dtype=np.int16) % 3
KINDS: dict[str, Any] = {
    "integers": LABELS,
    "floats": np.linspace(0, 1, 24, dtype=np.float32),
    "booleans": LABELS == 1,
    "one-hot": np.eye(3, dtype=np.float32)[LABELS],
    "text": np.array(["flower", "Tempel ä", "x"])[LABELS],
}


def save(copies: list[Path], path: Path, **options: Any) -> SavedImages:
    options = {"target": LABELS, "filenames": copies} | options
    return save_images(lazy(copies, on_error="blank"), path, chunk_size=4, **options)


def save_with_failures(copies: list[Path], path: Path) -> SavedImages:
    with pytest.warns(ImageDecodeWarning, match="2 of 24 images"):
        return save(copies, path)


def assert_is_there(saved: SavedImages, names: list[Path], rows: Any = slice(None)) -> None:
    assert saved.target is not None
    np.testing.assert_array_equal(saved.target, LABELS[rows], strict=True)
    assert saved.filenames == np.array(names, str)[rows].tolist()


@each_name
@pytest.mark.parametrize("target", KINDS.values(), ids=KINDS)
def test_labels_of_any_kind_come_back_as_they_were(name, target, pixels, tmp_path):
    saved = save_images(pixels, tmp_path / name, target=target)
    for images in (saved, SavedImages(tmp_path / name)):
        assert images.target is not None
        np.testing.assert_array_equal(images.target, target, strict=True)
        assert images.filenames is None
    with pytest.raises(ValueError, match="read-only"):
        saved.target[0] = 0  # type: ignore[index] # it may be None


@each_name
def test_what_is_selected_pickled_or_saved_again_keeps_its_labels(name, copies, tmp_path):
    saved = save(copies, tmp_path / name)
    train, _, rows, _ = train_test_split(saved, np.arange(24), random_state=0)
    assert_is_there(saved, copies)
    assert_is_there(pickle.loads(pickle.dumps(train)), copies, rows)
    assert_is_there(save_images(train, tmp_path / f"some-{name}"), copies, rows)


def test_labels_of_a_column_of_pandas_are_saved(pixels, tmp_path):
    frame = pd.DataFrame({"label": pd.Categorical(np.array(["b", "a", "c"])[LABELS])})
    saved = save_images(pixels, tmp_path / "photos.npy", target=frame["label"])
    assert saved.target is not None
    assert saved.target.tolist() == frame["label"].tolist()


# Runs that fail, and others that follow


@each_name
def test_rows_that_are_saved_anew_leave_labels_as_they_are(name, copies, tmp_path):
    path, contents = tmp_path / name, spoil(copies)
    assert_is_there(save_with_failures(copies, path), copies)
    with pytest.raises(ValueError, match="keeps the labels and file names"):
        save(copies, path, overwrite="failed", target=LABELS + 1)
    copies[BAD[0]].write_bytes(contents[0])
    with pytest.warns(ImageDecodeWarning, match="1 of 24"):
        assert_is_there(save(copies, path, overwrite="failed"), copies)
    repair(copies, contents)
    saved = save(copies, path, overwrite="failed", target=None, filenames=None)
    assert_is_there(saved, copies)
    assert saved.failures == {}
    assert_is_there(save(copies, path, overwrite="failed"), copies)


def test_a_run_that_resumes_saves_the_labels_that_it_is_given(copies, tmp_path):
    path, contents = tmp_path / "photos.zarr", spoil(copies)
    with pytest.raises((ImageDecodeError, FileNotFoundError)):
        save_images(lazy(copies), path, chunk_size=4, target=LABELS + 1)
    repair(copies, contents)
    assert_is_there(save(copies, path), copies)


@each_name
def test_an_array_that_replaces_another_has_its_own_labels_alone(name, copies, tmp_path):
    path = tmp_path / name
    save(copies, path)
    saved = save(copies, path, overwrite=True, target=None)
    assert saved.target is None
    assert saved.filenames == list(map(str, copies))
    saved = save(copies, path, overwrite=True, target=None, filenames=None)
    assert (saved.target, saved.filenames) == (None, None)


@pytest.mark.parametrize("n_written", [1, 2])
def test_a_run_that_ends_as_it_replaces_an_array_leaves_no_wrong_labels(
    n_written, copies, monkeypatch, tmp_path
):
    path = tmp_path / "photos.npy"
    save(copies, path)
    write: Callable[..., None] = npy_files.write_record
    calls: list[Any] = []

    def killed(*arguments: Any) -> None:
        calls.append(arguments)
        if len(calls) == 2:  # the array has been replaced
            raise KeyboardInterrupt
        write(*arguments)
        if n_written == 1:  # it has not
            raise KeyboardInterrupt

    monkeypatch.setattr(npy_files, "write_record", killed)
    with pytest.raises(KeyboardInterrupt):
        save(copies[::-1], path, overwrite=True)
    saved = SavedImages(path)
    if n_written == 1:
        assert_is_there(saved, copies)
    else:
        assert (saved.target, saved.filenames) == (None, None)


def test_labels_of_an_older_file_of_the_same_name_are_ignored(copies, pixels, tmp_path):
    path = tmp_path / "photos.npy"
    save(copies, path)
    np.save(path, pixels[::-1])
    assert SavedImages(path).target is None
    np.save(path, pixels[:5])
    assert SavedImages(path).filenames is None


# What it refuses


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"target": LABELS[:5]}, ValueError, "target has 5 entries, and there are 24 images"),
        ({"target": [None] * 24}, ValueError, r"of shape \(24,\), and holds other"),
        ({"target": [np.nan] * 24}, ValueError, "NaN or infinite"),
        ({"target": ["a", np.nan] * 12}, ValueError, "NaN or infinite"),
        ({"target": ["a", 1] * 12}, ValueError, "other things than labels"),
        ({"target": np.zeros((24, 4, 4, 1))}, ValueError, "save masks as an array of their"),
        ({"target": [[["a"]]] * 24}, ValueError, r"of shape \(24, 1, 1\), and holds other"),
        ({"filenames": 3}, TypeError, "filenames=3 is not a sequence of paths"),
        ({"target": 3}, ValueError, r"target is of shape \(\)"),
        ({"filenames": ["a"]}, ValueError, "filenames has 1 entries"),
        ({"filenames": "photos"}, TypeError, "filenames='photos' is not a sequence of paths"),
        ({"filenames": [3] * 24}, TypeError, "is not a sequence of paths"),
    ],
)
def test_labels_and_names_that_cannot_be_are_refused(
    options, error, message, pixels, tmp_path
):
    with pytest.raises(error, match=message):
        save_images(pixels, tmp_path / "photos.npy", **options)
    assert not list(tmp_path.iterdir())
