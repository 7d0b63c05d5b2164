"""What X may be, for a loader: columns of paths, bytes and files, and what it may not be."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image

from sknorm_images import JpegLoader
from tests.conftest import encode, pillow

# What X may be


@pytest.fixture(scope="module")
def paths(photos: list[Image.Image], tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Three files of differing content."""
    folder = tmp_path_factory.mktemp("x")
    made = []
    for i, photo in enumerate([photos[0], photos[1], photos[0].convert("L")]):
        path = folder / f"{i}.jpg"
        path.write_bytes(encode(photo.crop((40 * i, 0, 40 * i + 60, 50 + i))))
        made.append(str(path))
    return made


def contents(paths: list[str]) -> list[bytes]:
    return [Path(path).read_bytes() for path in paths]


COLUMNS: dict[str, Callable[[list[str]], object]] = {
    "str": list,
    "tuple": tuple,
    "Path": lambda paths: [Path(path) for path in paths],
    "bytes": contents,
    "bytearray": lambda paths: [bytearray(content) for content in contents(paths)],
    "memoryview": lambda paths: [memoryview(content) for content in contents(paths)],
    "BytesIO": lambda paths: [io.BytesIO(content) for content in contents(paths)],
    "mixed": lambda paths: [paths[0], Path(paths[1]), contents(paths)[2]],
    "numpy str array": np.array,
    "numpy object array": lambda paths: np.array(paths, object),
    "numpy object array of Path": lambda paths: np.array([Path(p) for p in paths], object),
    "numpy column": lambda paths: np.array(paths, object).reshape(-1, 1),
    "list column": lambda paths: [[path] for path in paths],
    "pandas Series": lambda paths: pd.Series(paths, index=[7, 0, 3]),
    "pandas Series of bytes": lambda paths: pd.Series(contents(paths)),
    "pandas DataFrame": lambda paths: pd.DataFrame({"path": paths}, index=[7, 0, 3]),
    "polars Series": pl.Series,
    "polars Series of bytes": lambda paths: pl.Series(contents(paths)),
    "polars DataFrame": lambda paths: pl.DataFrame({"path": paths}),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_kind_of_column_gives_its_images_in_order(paths, column):
    images = JpegLoader().transform(COLUMNS[column](paths))

    assert len(images) == 3
    for image, content in zip(images, contents(paths), strict=True):
        np.testing.assert_array_equal(image, pillow(content))


def test_open_files_are_read_at_once_and_can_be_closed(paths):
    with Path(paths[0]).open("rb") as file:
        images = JpegLoader().transform([file])

    np.testing.assert_array_equal(images[0], pillow(contents(paths)[0]))


def test_files_are_read_from_their_beginning_wherever_they_stand(paths):
    with Path(paths[0]).open("rb") as file:
        file.seek(0, os.SEEK_END)
        images = JpegLoader().transform([file])

    np.testing.assert_array_equal(images[0], pillow(contents(paths)[0]))


def test_files_that_cannot_seek_are_read(photo):
    data = encode(photo.crop((0, 0, 8, 8)))
    reading, writing = os.pipe()
    with os.fdopen(reading, "rb") as file:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(data)
        images = JpegLoader().transform([file])

    np.testing.assert_array_equal(images[0], pillow(data))


@pytest.mark.parametrize(
    "name", ["two words.jpg", "Çatalhöyük.jpg", "寺院 🏯.jpg", "no ending"]
)
def test_any_file_name_is_read(tmp_path, photo, name):
    path = tmp_path / name
    path.write_bytes(encode(photo))

    images = JpegLoader().transform([str(path), path])

    for image in images:
        np.testing.assert_array_equal(image, pillow(path.read_bytes()))


def test_a_relative_path_is_read_from_the_working_directory(paths, monkeypatch):
    monkeypatch.chdir(Path(paths[0]).parent)

    np.testing.assert_array_equal(
        JpegLoader().transform(["0.jpg"])[0], pillow(contents(paths)[0])
    )


# What X may not be


@pytest.mark.parametrize("method", ["fit", "transform"])
@pytest.mark.parametrize(
    ("lone", "kind"),
    [
        ("photo.jpg", "str"),
        (np.str_("photo.jpg"), "str_"),
        (Path("photo.jpg"), "Path"),
        (b"\xff\xd8\xff", "bytes"),
        (io.BytesIO(b"\xff\xd8\xff"), "BytesIO"),
    ],
)
def test_a_lone_item_is_refused(method, lone, kind):
    with pytest.raises(TypeError, match=rf"single \w*{kind}.*list"):
        getattr(JpegLoader(), method)(lone)


@pytest.mark.parametrize("X", [bytearray(b"\xff\xd8"), memoryview(b"\xff\xd8"), 5, None])
def test_what_is_no_column_is_refused(X):
    with pytest.raises(TypeError, match="list"):
        JpegLoader().transform(X)


@pytest.mark.parametrize("make", [iter, set], ids=["iterator", "set"])
def test_what_has_no_order_or_is_read_only_once_is_refused(paths, make):
    with pytest.raises(TypeError, match="list"):
        JpegLoader().fit_transform(make(paths))


@pytest.mark.parametrize("wrong", [5, None, 1.5, {"path": "a.jpg"}, {1}])
def test_a_wrong_item_is_named_by_its_position(paths, wrong):
    with pytest.raises(TypeError, match=r"[Ii]mage 2 .*list"):
        JpegLoader().transform([*paths[:2], wrong])


def test_a_missing_value_in_a_pandas_column_is_named_by_its_position(paths):
    with pytest.raises(TypeError, match=r"[Ii]mage 1 "):
        JpegLoader().transform(pd.Series([paths[0], None], index=[5, 6]))


@pytest.mark.parametrize(
    "X",
    [
        [["a.jpg", "b.jpg"]],
        [["a.jpg"], "b.jpg"],
        np.array([["a.jpg", "b.jpg"]]),
        np.array("a.jpg"),
        pd.DataFrame({"path": ["a.jpg"], "label": [1]}),
        np.zeros((4, 4, 3), np.uint8),
    ],
)
def test_what_is_not_one_column_is_a_value_error(X):
    with pytest.raises(ValueError, match="column of paths"):
        JpegLoader().transform(X)


def test_a_file_opened_as_text_is_refused(paths):
    with (
        Path(paths[0]).open(encoding="utf-8") as file,
        pytest.raises(TypeError, match=r"[Ii]mage 1 .*text.*'rb'"),
    ):
        JpegLoader().transform([paths[0], file])


def test_a_file_of_strings_is_refused():
    with pytest.raises(TypeError, match=r"[Ii]mage 0 .*text.*'rb'"):
        JpegLoader().transform([io.StringIO("text")])


def test_lazy_images_are_sent_to_the_steps_after_the_loader(photo):
    images = JpegLoader().transform([encode(photo)])

    with pytest.raises(TypeError, match=r"LazyImages.*pipeline\[1:\]"):
        JpegLoader().transform(images)


def test_lazy_images_within_a_list_are_refused_unread(photo, prepared):
    images = JpegLoader().transform([encode(photo)])

    with pytest.raises(TypeError, match="Image 0 of X is <LazyImages"):
        JpegLoader().transform([images])

    assert prepared == []
