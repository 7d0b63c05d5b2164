"""A folder of nasty names through every output: a row each, readable back, nothing raw."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import unicodedata
import warnings
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote_to_bytes, urlsplit

import joblib
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from sknorm_images import (
    ImageDecodeError,
    ImageDecodeWarning,
    JpegLoader,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images.cli._exports import write_csv
from sknorm_images.cli._files import Photos
from tests.conftest import crops, encode
from tests.nasty_names import NAMES, RAW, as_listed, make_nasty_classes, make_nasty_folder

pytestmark = pytest.mark.one_version  # names are escaped by this package alone

FORMULA = tuple("=+-@|\t\r\uff1d\uff0b\uff0d\uff20")
N = len(NAMES)
N_BROKEN = -(-N // 3)


@pytest.fixture(scope="module")
def small_photos(photos) -> list[bytes]:
    return [encode(crop.resize((24, 16))) for crop in crops(photos, N, seed=7)]


@pytest.fixture(scope="module")
def flat(small_photos, tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder, and the paths in it."""
    folder = tmp_path_factory.mktemp("nasty") / "photos"
    return folder, make_nasty_folder(folder, small_photos)


@pytest.fixture(scope="module")
def classes(small_photos, tmp_path_factory) -> tuple[Path, list[str]]:
    """A folder, and the names of the sub-folders in it."""
    folder = tmp_path_factory.mktemp("nasty") / "classes"
    return folder, make_nasty_classes(folder, small_photos)


@pytest.fixture(params=["absolute", "relative", "classes"])
def named(request, flat, classes, monkeypatch) -> tuple[str, list[str]]:
    """What the command is called with, and the names that it finds there."""
    folder, paths = flat
    if request.param == "absolute":
        return str(folder), paths
    if request.param == "relative":
        monkeypatch.chdir(folder)
        return ".", as_listed(os.path.relpath(path, folder) for path in paths)
    folder, stems = classes
    monkeypatch.chdir(folder)
    return ".", as_listed(f"{stem}/1.jpg" for stem in stems)


def opened(cell: str) -> Path:
    """The file that a cell names: a path, or a URL by RFC 8089."""
    if not cell.startswith("file:///"):
        return Path(cell)
    return Path(os.fsdecode(unquote_to_bytes(urlsplit(cell).path)))


def assert_clean(text: str) -> None:
    assert not RAW.search(text), RAW.search(text)
    text.encode()  # without half of a pair


def test_the_names_are_as_nasty_as_they_should_be(flat):
    assert N >= 30
    assert len(set(NAMES)) == N
    assert max(len(os.fsencode(name)) for name in NAMES) == 250
    assert sorted(os.fsencode(path.name) for path in flat[0].iterdir()) == sorted(
        map(os.fsencode, NAMES)
    )


def test_csv_has_a_row_for_each_file_and_every_name_opens(named, call):
    directory, names = named
    finished = call("check", "--csv", directory)
    assert finished.err == ""
    assert_clean(finished.out)
    assert len(finished.out.split("\n")) == len(names) + 2  # and a header, and the end
    [header, *rows] = csv.reader(io.StringIO(finished.out, newline=""))
    frame = pd.read_csv(io.StringIO(finished.out), keep_default_na=False)
    assert [list(map(str, row)) for row in frame.itertuples(index=False)] == rows
    assert len(rows) == N
    texts = ("filename", "reason", "format", "mode", "sha256")
    for name, row in zip(names, rows, strict=True):
        assert len(row) == len(header)
        cells = dict(zip(header, row, strict=True))
        assert not any(cells[text].lstrip().startswith(FORMULA) for text in texts)
        assert opened(cells["filename"]).read_bytes() == Path(name).read_bytes()


def test_names_that_print_and_are_no_formula_are_written_as_they_are(flat, call, monkeypatch):
    monkeypatch.chdir(flat[0])
    rows = list(csv.DictReader(io.StringIO(call("check", "--csv", ".").out, newline="")))
    cells = {row["filename"] for row in rows}
    assert {"%41.jpg", "a,b;c.jpg", "a::b.jpg", "'quote\"s.jpg", "e\u0301.jpg"} <= cells
    assert {"./=1+1.jpg", "./-1.jpg", "./@SUM(A1).jpg", "./ =1+1.jpg"} <= cells
    assert f"{flat[0].as_uri()}/%FF%FE.jpg" in cells


def test_names_in_a_csv_open_in_a_loader(named, call):
    directory, names = named
    rows = list(csv.DictReader(io.StringIO(call("check", "--csv", directory).out, newline="")))
    readable = [i for i, row in enumerate(rows) if row["readable"] == "True"]
    from_cells = JpegLoader().transform([rows[i]["filename"] for i in readable])
    from_names = JpegLoader().transform([Path(names[i]) for i in readable])
    for i in range(len(readable)):
        np.testing.assert_array_equal(from_cells[i], from_names[i])


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_an_encoding_lacks_is_percent_encoded(encoding):
    columns = {
        "filename": np.array(["\u65e5.jpg", "s3://b/\u202e\u65e5 =1.jpg"], object),
        "reason": np.array(["=cmd", "ends\rhere\x1b[2J"], object),
    }
    raw = io.BytesIO()
    file = io.TextIOWrapper(raw, encoding, newline="")
    write_csv(file, columns)
    file.flush()
    _, (path, reason), (url, second) = csv.reader(raw.getvalue().decode(encoding).splitlines())
    assert opened(path) in (Path("\u65e5.jpg"), Path.cwd() / "\u65e5.jpg")
    assert (encoding == "utf-8") == (path == "\u65e5.jpg")
    day = "\u65e5" if encoding == "utf-8" else "%E6%97%A5"
    assert url == f"s3://b/%E2%80%AE{day} =1.jpg"
    assert (reason, second) == ("'=cmd", r"ends\rhere\x1b[2J")


def test_json_gives_every_name_back(named, call):
    directory, names = named
    finished = call("check", "--json", directory)
    assert_clean(finished.out)
    assert [row["filename"] for row in json.loads(finished.out)] == names


def test_the_table_has_a_line_for_each_broken_file(flat, call):
    folder, _ = flat
    finished = call("check", folder)
    assert_clean(finished.out)
    [title, _, *rows, _, summary, _] = finished.out.splitlines()
    assert title.startswith(f"Broken: {N_BROKEN} files. ")
    assert len(rows) == N_BROKEN
    assert summary.startswith(f"{N} files: {N_BROKEN} broken")
    broken = [f"{folder}/{name}" for name in NAMES[::3]]
    shown = [path.encode("unicode_escape").decode() for path in as_listed(broken)]
    for row, name in zip(rows, shown, strict=True):
        assert row.startswith(f"{folder}/")
        if "\\" not in name:  # what is escaped, is escaped in a way of its own
            assert row.startswith(f"{name} ")


@pytest.fixture(scope="module")
def saved(flat, tmp_path_factory) -> Path:
    """A pipeline that leaves out what is broken, fitted on the folder."""
    path = tmp_path_factory.mktemp("pipeline") / "pipeline.joblib"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ImageDecodeWarning)
        pipeline = make_image_pipeline((8, 8), on_error="blank").fit(flat[1])
    joblib.dump(pipeline, path)
    return path


def test_an_npz_holds_the_names_exactly(flat, classes, saved, tmp_path, call):
    out = tmp_path / "out.npz"
    finished = call("transform", flat[0], "-p", saved, "-o", out)
    assert finished.status == 0
    assert_clean(finished.err)
    assert len(finished.err.splitlines()) == N_BROKEN
    with np.load(out) as arrays:
        assert arrays["filenames"].tolist() == flat[1]
    finished = call("transform", classes[0], "-p", saved, "-o", out, "--force")
    assert finished.status == 0
    assert_clean(finished.err.rstrip("\n"))  # how it numbers the classes
    with np.load(out) as arrays:
        composed = [unicodedata.normalize("NFC", name) for name in classes[1]]
        assert arrays["class_names"].tolist() == sorted(composed)
        assert len(arrays["filenames"]) == N


@pytest.mark.long
def test_a_report_shows_every_broken_name_as_text(flat, saved, tmp_path, call):
    out = tmp_path / "report.html"
    assert call("report", flat[0], "-p", saved, "-o", out).status == 0
    page = out.read_text(encoding="utf-8")
    assert not RAW.search(page)
    assert_is_text(page, {"script", "SUM"})
    [broken, _] = page.partition('id="broken"')[2].split("<h2", maxsplit=1)
    assert len(re.findall(r"<code>.+?</code>", broken)) == N_BROKEN


@pytest.mark.long
def test_a_report_shows_every_class_as_text(classes, saved, tmp_path, call):
    out = tmp_path / "report.html"
    assert call("report", classes[0], "-p", saved, "-o", out).status == 0
    page = out.read_text(encoding="utf-8")
    assert not RAW.search(page)
    assert_is_text(page, {"script", "SUM"})
    [_, samples] = page.split("<h2>Samples of each class</h2>")
    assert len(re.findall(r"<h3>.+?</h3>", samples.partition("<h2")[0])) == 36


def test_a_notebook_shows_names_as_text(flat):
    for path in flat[1]:
        images = JpegLoader().transform([path, path])
        page = images._repr_html_()
        assert_clean(page)
        assert_is_text(page, {"script"})
        assert_clean(repr(images))


def assert_is_text(page: str, forbidden: set[str]) -> None:
    class Elements(HTMLParser):
        def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
            assert tag not in forbidden
            assert not any(name.startswith("on") for name, _ in attributes)

    Elements().feed(page)


def test_warnings_name_files_in_characters_that_print(flat):
    folder, paths = flat
    with pytest.warns(ImageDecodeWarning) as caught:
        make_image_pipeline((8, 8), on_error="blank").fit(paths)
    warning = caught[0].message
    assert_clean(str(warning))
    assert f"{N_BROKEN} of {N} images" in str(warning)
    broken = as_listed(f"{folder}/{name}" for name in NAMES[::3])
    assert [error.source for error in warning.failures.values()] == broken


@pytest.mark.parametrize("name", NAMES)
def test_errors_name_a_file_in_characters_that_print(name, tmp_path):
    path = str(tmp_path / name)
    pipeline = make_image_pipeline((8, 8))
    with pytest.raises(FileNotFoundError) as missing:
        pipeline.fit([path])
    Path(path).write_bytes(b"no photo")
    with pytest.raises(ImageDecodeError) as broken:
        pipeline.fit([path])
    folder = tmp_path / f"class {name}"[:200]
    folder.mkdir()
    with pytest.raises(ValueError, match="has no files that end in") as empty:
        load_image_folder(folder)
    for caught in (missing, broken, empty):
        assert_clean(str(caught.value))
    assert (missing.value.filename, broken.value.source) == (path, path)


@pytest.mark.parametrize(
    "arguments",
    [
        ["\x1b[2J"],
        ["check", "--\x1b[2J"],
        ["check", "\x1b]0;x\x07"],
        ["check", "\udcff\u202e"],
        ["fit", "x", "-o", "\x9b31m/\r.joblib"],
        ["fit", "x", "-o", "x", "--size", "\x1b[2J"],
        ["fit", "x", "-o", "x", "--scaler", "\x1b[2J\x07"],
        ["fit", "x", "-o", "x", "--color-mode", "\x1b[2J"],
        ["fit", "x", "-o", "x", "--jobs", "\x1b[2J"],
        ["transform", "x", "-p", "x", "-o", "x", "--dtype", "\x1b[2J"],
        ["transform", "x", "-p", "\x1b[2J", "-o", "x"],
        ["show", "\x1b[2J"],
        ["report", "\x1b[2J", "-p", "\x1b[2J", "-o", "x"],
        ["demo", "--data", "\x1b[2J\x07"],
    ],
)
@pytest.mark.parametrize("repeats", [1, 10_000])
def test_the_command_echoes_no_argument_raw_or_at_length(
    arguments, repeats, call, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    finished = call(*(a * repeats if not a.isprintable() else a for a in arguments))
    assert finished.status == 2
    assert finished.out == ""
    assert_clean(finished.err)
    [line] = finished.err.splitlines()
    assert len(line) < 2000


def test_a_program_error_is_told_without_raw_characters(call, monkeypatch):
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("unforeseen \x1b[2J\x9b")

    monkeypatch.setattr("sknorm_images.cli._commands.check_images", fail)
    photos = Photos(["x"], [None], Counter())
    monkeypatch.setattr("sknorm_images.cli._commands.image_files", lambda *_: photos)
    finished = call("check", "x")
    assert finished.status == 1
    assert r"RuntimeError: unforeseen \x1b[2J\x9b" in finished.err
    assert "Traceback (most recent call last):" in finished.err
    assert not RAW.search(finished.err)


def test_10_000_broken_files_are_20_lines_and_a_count(tmp_path, call):
    folder = tmp_path / "photos"
    folder.mkdir()
    for i in range(10_000):
        (folder / f"{i:05}.jpg").write_bytes(b"")
    (folder / "good.jpg").write_bytes(encode(Image.new("RGB", (16, 16), "grey")))
    out = tmp_path / "pipeline.joblib"
    for command in (
        ["fit", folder, "-o", out, "--size", "8", "--on-error", "blank"],
        ["transform", folder, "-p", out, "-o", tmp_path / "out.npz"],
    ):
        finished = call(*command)
        assert finished.status == 0, finished
        lines = finished.err.splitlines()
        assert len(lines) == 21
        for i, line in enumerate(lines[:20]):
            assert f"{folder}/{i:05}.jpg: the file is empty" in line
        assert "9,980 more files cannot be read" in lines[20]
        for place in ("sknorm-images check", "--json", "--csv"):
            assert place in lines[20]
