"""What X may be, for a loader: columns of paths, bytes and files, and what it may not be."""

from __future__ import annotations

import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import dask.array as da
import joblib
import numpy as np
import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from PIL import Image
from sklearn.preprocessing import StandardScaler

from sknorm_images import (
    ChannelStandardScaler,
    ImageDecodeWarning,
    JpegLoader,
    Resizer,
    check_images,
    make_image_pipeline,
)
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


def of_hugging_face(paths: list[str]) -> list[dict[str, object]]:
    """Cells as the image columns of Datasets hold them: a content, a path, or both."""
    first, second, third = paths
    return [
        {"bytes": None, "path": first},
        {"bytes": Path(second).read_bytes(), "path": None},
        {"bytes": Path(third).read_bytes(), "path": "nowhere/2.jpg"},
    ]


ARROW = pd.ArrowDtype(pa.string())
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
    "Arrow array": pa.array,
    "Arrow array of large strings": lambda paths: pa.array(paths, pa.large_string()),
    "Arrow array of string views": lambda paths: pa.array(paths, pa.string_view()),
    "Arrow array of bytes": lambda paths: pa.array(contents(paths)),
    "Arrow dictionary": lambda paths: pa.array(paths).dictionary_encode(),
    "Arrow chunked array": lambda paths: pa.chunked_array([paths[:1], paths[1:]]),
    "Arrow table": lambda paths: pa.table({"path": paths}),
    "Arrow record batch": lambda paths: pa.record_batch({"path": paths}),
    "Arrow structs": lambda paths: pa.array(of_hugging_face(paths)),
    "Arrow table of structs": lambda paths: pa.table({"image": of_hugging_face(paths)}),
    "dicts": lambda paths: of_hugging_face(paths),
    "dicts of contents": lambda paths: [{"bytes": content} for content in contents(paths)],
    "pandas Series of dicts": lambda paths: pd.Series(of_hugging_face(paths)),
    "pandas DataFrame of dicts": lambda paths: pd.DataFrame({"x": of_hugging_face(paths)}),
    "polars Series of structs": lambda paths: pl.Series(of_hugging_face(paths)),
    "Dask array": lambda paths: da.from_array(np.array(paths, object), chunks=2),
    "Dask array of unknown length": lambda paths: (
        column := da.from_array(np.array([*paths, ""], object), chunks=2)
    )[column != ""],
    "pandas Series in Arrow": lambda paths: pd.Series(paths, dtype=ARROW),
    "pandas DataFrame in Arrow": lambda paths: pd.DataFrame({"path": paths}, dtype=ARROW),
}


@pytest.mark.parametrize("column", COLUMNS)
def test_every_kind_of_column_gives_its_images_in_order(paths, column):
    images = JpegLoader().transform(COLUMNS[column](paths))

    assert len(images) == 3
    for image, content in zip(images, contents(paths), strict=True):
        np.testing.assert_array_equal(image, pillow(content))


@pytest.mark.one_version  # older ones need another package
def test_columns_of_dask_are_read_as_those_of_pandas(paths):
    from dask.dataframe import from_pandas

    frame = from_pandas(pd.DataFrame({"path": paths}), npartitions=2)

    for column in frame, frame["path"], frame["path"][frame["path"] != ""]:
        images = JpegLoader().transform(column)
        for image, content in zip(images, contents(paths), strict=True):
            np.testing.assert_array_equal(image, pillow(content))


def test_a_path_in_a_dict_leads_where_it_may_alone():
    with pytest.raises(ValueError, match=r"Image 1 of X is 'http://host/1\.jpg'"):
        JpegLoader().transform([{"bytes": b""}, {"bytes": None, "path": "http://host/1.jpg"}])


@pytest.mark.parametrize("cell", [{}, {"image": b""}, {"bytes": b"", "label": 3}])
def test_a_dict_of_something_else_is_refused_by_its_keys(cell):
    with pytest.raises(TypeError, match=r"Image 0 of X .* the keys \[.*'bytes' and 'path'"):
        JpegLoader().transform([cell])


@pytest.mark.parametrize("cell", [{"bytes": None, "path": None}, {"path": np.nan}, None])
def test_a_dict_without_a_content_or_a_path_is_a_missing_cell(cell, paths):
    with pytest.raises(ValueError, match=r"1 of the 2 rows of X has no path: 1"):
        JpegLoader().transform([{"path": paths[0]}, cell])


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


# Cells that are missing


ARRAYS = {
    "list of None": lambda a, b: [a, None, b, None],
    "tuple of NaN": lambda a, b: (a, float("nan"), b, np.float32("nan")),
    "list column": lambda a, b: [[a], [None], [b], [np.nan]],
    "object array": lambda a, b: np.array([a, None, b, np.nan], object),
    "object column": lambda a, b: np.array([[a], [None], [b], [np.nan]], object),
    "string array": lambda a, b: np.array(
        [a, None, b, None], np.dtypes.StringDType(na_object=None)
    ),
    "masked array": lambda a, b: np.ma.array([a, b, b, a], mask=[0, 1, 0, 1]),
    "masked column": lambda a, b: np.ma.array([[a], [b], [b], [a]], mask=[[0], [1], [0], [1]]),
}
FRAMES = {
    "pandas NA": lambda a, b: pd.Series([a, pd.NA, b, pd.NaT], dtype=object),
    "pandas Series": lambda a, b: pd.Series([a, None, b, np.nan], index=[7, 0, 3, 5]),
    "pandas strings": lambda a, b: pd.Series([a, None, b, pd.NA], dtype="string"),
    "pandas categories": lambda a, b: pd.Series([a, None, b, None], dtype="category"),
    "pandas Arrow": lambda a, b: pd.Series([a, None, b, None], dtype=ARROW),
    "pandas frame": lambda a, b: pd.DataFrame({"path": [a, None, b, np.nan]}),
    "pandas Arrow frame": lambda a, b: pd.DataFrame({"path": [a, None, b, None]}, dtype=ARROW),
    "Polars": lambda a, b: pl.Series([a, None, b, None]),
    "Polars categories": lambda a, b: pl.Series([a, None, b, None], dtype=pl.Categorical),
    "Polars frame": lambda a, b: pl.DataFrame({"path": [a, None, b, None]}),
    "Arrow": lambda a, b: pa.array([a, None, b, None]),
    "Arrow string views": lambda a, b: pa.array([a, None, b, None], pa.string_view()),
    "Arrow dictionary": lambda a, b: pa.array([a, None, b, None]).dictionary_encode(),
    "Arrow chunks": lambda a, b: pa.chunked_array([[a, None], [b, None]]),
    "Arrow table": lambda a, b: pa.table({"path": [a, None, b, None]}),
    "Arrow table of a dictionary": lambda a, b: pa.table(
        {"path": pa.array([a, None, b, None]).dictionary_encode()}
    ),
}
WITH_GAPS = ARRAYS | FRAMES


@pytest.mark.parametrize("column", WITH_GAPS)
def test_rows_of_a_table_without_a_photo_are_blank_and_count_in_no_statistic(paths, column):
    X = WITH_GAPS[column](*paths[:2])
    pipeline = make_image_pipeline((16, 16), on_error="blank")
    pipeline.set_params(resize__reducing_gap=None)

    with pytest.warns(ImageDecodeWarning, match=r"2 of 4 images.*missing") as caught:
        out = pipeline.fit_transform(X)

    photos = [
        Image.open(path).resize((16, 16), Image.Resampling.BILINEAR) for path in paths[:2]
    ]
    table = np.concatenate([np.asarray(photo) for photo in photos]).reshape(-1, 3)
    oracle = StandardScaler().fit(table)
    assert [*caught[0].message.failures] == [1, 3]
    assert not out[[1, 3]].any()
    assert pipeline["scale"].n_samples_seen_ == 2
    np.testing.assert_allclose(pipeline["scale"].mean_, oracle.mean_, rtol=1e-12)
    np.testing.assert_allclose(pipeline["scale"].var_, oracle.var_, rtol=1e-12)
    np.testing.assert_allclose(
        out[[0, 2]].reshape(-1, 3), oracle.transform(table), atol=1e-5, rtol=0
    )


@pytest.mark.parametrize("column", WITH_GAPS)
def test_rows_of_a_table_without_a_photo_are_named_so_that_they_can_be_dropped(paths, column):
    X = WITH_GAPS[column](*paths[:2])

    with pytest.raises(
        ValueError, match=r"2 of the 4 rows of X have no path: 1 \(.*\), 3 \(.*\)\. Drop"
    ):
        make_image_pipeline((16, 16)).fit(X)


@pytest.mark.parametrize("column", WITH_GAPS)
def test_a_check_lists_rows_without_a_photo_as_broken(paths, column):
    found = check_images(WITH_GAPS[column](*paths[:2]))

    assert found.readable.tolist() == [True, False, True, False]
    assert found.filename.tolist() == [paths[0], "<missing>", paths[1], "<missing>"]
    assert all("not a path" in reason for reason in found.reason[[1, 3]])
    assert found.duplicate_of.tolist() == [-1, -1, -1, -1]


def test_of_a_thousand_rows_without_a_photo_20_are_named():
    with pytest.raises(ValueError, match="1000 of the 1000 rows") as raised:
        JpegLoader().transform([None] * 1000)

    assert "18 (None), 19 (None), ... and 980 more" in str(raised.value)
    assert len(str(raised.value)) < 500


def test_dropping_the_rows_that_the_error_names_is_enough(paths):
    table = pd.DataFrame({"path": [paths[0], None, paths[1]], "label": [0, 1, 1]})
    with pytest.raises(ValueError, match=r"1 \(") as raised:
        make_image_pipeline((8, 8)).fit(table["path"])
    named = int(str(raised.value).partition(": ")[2].partition(" ")[0])

    kept = table.drop(index=table.index[named])

    assert make_image_pipeline((8, 8)).fit(kept["path"])["scale"].n_samples_seen_ == 2


def test_a_table_in_which_no_row_has_a_photo_is_refused_under_blank_too():
    with pytest.raises(ValueError, match=r"None of the 2 images.*holds None, not a path"):
        make_image_pipeline((8, 8), on_error="blank").fit([None, None])


@pytest.mark.long
def test_what_is_known_of_a_missing_cell_survives_a_pickle_and_a_worker(paths):
    images = Resizer(8).transform(
        JpegLoader(on_error="blank", n_jobs=2).transform([*paths, None])
    )

    with joblib.parallel_config("loky"), pytest.warns(ImageDecodeWarning, match="1 of 4"):
        scaler = ChannelStandardScaler().fit(pickle.loads(pickle.dumps(images)))

    assert scaler.n_samples_seen_ == 3
    assert str(images.failures[3]).startswith("Cannot decode image 3, '<missing>'")
    assert images.filenames == [*paths, "<missing>"]


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


@pytest.mark.parametrize("wrong", [5, True, 1.5, {"file": "a.jpg"}, {1}])
def test_a_wrong_item_is_named_by_its_position(paths, wrong):
    with pytest.raises(TypeError, match=r"[Ii]mage 2 .*list"):
        JpegLoader().transform([*paths[:2], wrong])


@pytest.mark.parametrize(
    "X",
    [
        [["a.jpg", "b.jpg"]],
        [["a.jpg"], "b.jpg"],
        np.array([["a.jpg", "b.jpg"]]),
        np.array("a.jpg"),
        pd.DataFrame({"path": ["a.jpg"], "label": [1]}),
        pa.table({"path": ["a.jpg"], "label": [1]}),
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
