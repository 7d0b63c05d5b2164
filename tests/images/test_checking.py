"""check_images: every column, against Pillow and the file system."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import warnings
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
import polars as pl
import pytest
from PIL import Image, ImageFile

from sknorm_images import JpegLoader, check_images, make_image_pipeline
from sknorm_images._images import decoding
from tests.conftest import encode, encode_turned
from tests.fuzzing.cases import make_case
from tests.jpeg_bytes import claim_size
from tests.lazy_photos import OnACrowdedMachine

COLUMNS = [
    "filename",
    "readable",
    "reason",
    "damage",
    "format",
    "mode",
    "width",
    "height",
    "orientation",
    "n_bytes",
    "sha256",
    "profile",
    "duplicate_of",
]


@pytest.fixture
def folder(tmp_path, photos) -> Path:
    """Good files of several kinds, and bad ones."""
    photo = photos[0].crop((200, 150, 300, 210))
    contents = {
        "cmyk.jpg": encode(photo.convert("CMYK")),
        "grey.jpg": encode(photo.convert("L")),
        "turned.jpg": encode_turned(photo, 6),
        "plain.jpg": encode(photo),
        "truncated.jpg": encode(photo)[:-1000],
        "png.jpg": encode(photo, "PNG"),
        "empty.jpg": b"",
        "huge.jpg": claim_size(encode(photo), 65_500, 65_500),
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return tmp_path


BAD = {
    "truncated.jpg": "truncated",
    "png.jpg": "PNG data, while JpegLoader has formats=('JPEG',)",
    "empty.jpg": "the file is empty",
    "huge.jpg": "65500 x 65500 pixels are more than max_pixels=89478485",
}


def paths_in(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.iterdir())


def test_good_files_are_described_as_pillow_and_the_file_system_do(folder):
    paths = [path for path in paths_in(folder) if Path(path).name not in BAD]

    found = pd.DataFrame(check_images(paths)).set_index("filename")

    assert found.index.tolist() == paths
    assert found.readable.all()
    assert (found.reason == "").all()
    for path, row in found.iterrows():
        with Image.open(path) as image:
            assert (row.format, row["mode"]) == (image.format, image.mode)
            assert (row.width, row.height) == image.size
            assert row.orientation == image.getexif().get(0x0112, 1)
        assert row.n_bytes == Path(path).stat().st_size
        assert row.sha256 == hashlib.sha256(Path(path).read_bytes()).hexdigest()
    assert found["mode"].tolist() == ["CMYK", "L", "RGB", "RGB"]
    assert found.orientation.tolist() == [1, 1, 1, 6]


def test_broken_files_are_found_with_their_reason(folder):
    paths = paths_in(folder)

    found = pd.DataFrame(check_images(paths))

    bad = found[~found.readable]
    assert {Path(name).name for name in bad.filename} == set(BAD)
    for _, row in bad.iterrows():
        assert BAD[Path(row.filename).name] in row.reason


def test_what_is_known_of_a_broken_file_is_told_all_the_same(folder):
    found = pd.DataFrame(check_images(paths_in(folder)))
    found.index = found.filename.map(os.path.basename)

    assert found.loc["truncated.jpg", ["format", "mode", "width", "height"]].tolist() == [
        "JPEG",
        "RGB",
        100,
        60,
    ]
    assert found.loc["huge.jpg", ["format", "width", "height"]].tolist() == [
        "JPEG",
        65_500,
        65_500,
    ]
    png = found.loc["png.jpg"]
    assert (png.format, png["mode"], png.width) == ("PNG", "", 0)
    assert png.sha256 == hashlib.sha256((folder / "png.jpg").read_bytes()).hexdigest()


def test_a_missing_file_and_what_is_no_file_are_rows_too(folder):
    os.mkfifo(folder / "pipe.jpg")
    (folder / "folder.jpg").mkdir()
    (folder / "loop.jpg").symlink_to(folder / "loop.jpg")
    names = ["gone.jpg", "pipe.jpg", "folder.jpg", "loop.jpg", "plain.jpg"]

    found = check_images([folder / name for name in names])

    assert found.readable.tolist() == [False] * 4 + [True]
    assert found.reason.tolist() == [
        "No such file or directory",
        "it is not a regular file",
        "Is a directory; load_image_folder lists the files in one",
        "no file can have this path (Too many levels of symbolic links)",
        "",
    ]
    assert (found.n_bytes[:4] == 0).all()
    assert (found.sha256[:4] == "").all()
    assert (found.duplicate_of == -1).all()


def test_a_plain_header_says_what_pillow_reads_in_it(monkeypatch):
    """Peculiar files, and mutants of files: what Pillow refuses or warns of is not plain."""
    folder = Path(__file__).parents[1] / "data" / "jpeg"
    files = [path.read_bytes() for path in sorted(folder.glob("*.jpg"))]
    files += [make_case(2, number).data for number in range(400)]
    whole = encode(Image.new("RGB", (24, 17)))
    files += [whole[:end] for end in range(2, len(whole), 2)]
    plain = []
    read = decoding.Decoding._read_plain_header

    def noted(self, data):
        plain.append(read(self, data))
        return plain[-1]

    monkeypatch.setattr(decoding.Decoding, "_read_plain_header", noted)
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        found = check_images(files, verify="header")
    monkeypatch.setattr(decoding.Decoding, "_read_plain_header", lambda *_: None)
    with warnings.catch_warnings(record=True) as warned_by_pillow:
        warnings.simplefilter("always")
        expected = check_images(files, verify="header")

    assert sum(header is not None for header in plain) > 60
    for name in COLUMNS:
        np.testing.assert_array_equal(found[name], expected[name], err_msg=name)
    assert [str(one.message) for one in warned] == [
        str(one.message) for one in warned_by_pillow
    ]


def test_the_header_alone_finds_no_truncated_file(folder, monkeypatch):
    decoded = []
    load = ImageFile.ImageFile.load
    monkeypatch.setattr(
        ImageFile.ImageFile, "load", lambda image: (decoded.append(image), load(image))[1]
    )

    found = check_images(paths_in(folder), verify="header")

    bad = {Path(name).name for name in found.filename[~found.readable]}
    assert bad == set(BAD) - {"truncated.jpg"}
    assert decoded == []
    check_images(paths_in(folder))
    assert decoded


def test_both_ways_tell_the_same_of_good_files(files):
    header, decode = (check_images(files, verify=way) for way in ("header", "decode"))

    for name in COLUMNS:
        np.testing.assert_array_equal(header[name], decode[name])


def test_the_loader_decides_what_is_readable(folder):
    paths = [str(folder / name) for name in ("png.jpg", "plain.jpg")]

    assert check_images(paths).readable.tolist() == [False, True]
    loader = JpegLoader(formats=("JPEG", "PNG"))
    assert check_images(paths, loader=loader).readable.tolist() == [True, True]
    small = make_image_pipeline((8, 8)).set_params(load__max_pixels=5999)["load"]
    assert check_images(paths, loader=small).reason.tolist()[1].startswith("100 x 60 pixels")


@pytest.mark.parametrize("n_jobs", [None, 2])
def test_it_finds_just_the_files_that_a_pipeline_cannot_read(folder, n_jobs):
    paths = paths_in(folder)

    found = check_images(paths, n_jobs=n_jobs)

    images = JpegLoader().transform(paths)
    assert np.flatnonzero(~found.readable).tolist() == list(images.failures)
    assert found.reason[~found.readable].tolist() == [
        error.reason for error in images.failures.values()
    ]


def test_files_that_cannot_be_read_are_no_duplicates(folder, tmp_path_factory):
    test = tmp_path_factory.mktemp("test")
    for name in ("empty.jpg", "truncated.jpg", "png.jpg", "plain.jpg"):
        shutil.copy(folder / name, test / name)
    (test / "another empty.jpg").write_bytes(b"")
    paths = [*paths_in(folder), *paths_in(test)]

    found = check_images(paths)

    [twice] = np.flatnonzero(found.duplicate_of >= 0)
    assert paths[twice] == str(test / "plain.jpg")
    assert paths[found.duplicate_of[twice]] == str(folder / "plain.jpg")
    assert not found.readable[paths.index(str(test / "empty.jpg"))]


@pytest.mark.parametrize("kind", [list, np.array, pd.Series, pl.Series])
@pytest.mark.parametrize("names", [["cat", "dog"], [0, 1]])
def test_a_photo_in_two_classes_is_told_from_a_copy(kind, names, photos):
    a, b = (encode(photo.crop((0, 0, 40, 30))) for photo in photos[:2])
    cat, dog = names
    X = [a, b, a, a, b, b"nothing", b"nothing"]

    found = check_images(X, target=kind([cat, dog, cat, dog, cat, cat, dog]))

    assert found.duplicate_of.tolist() == [-1, -1, 0, 0, 1, -1, -1]
    assert found.in_another_class.tolist() == [False] * 3 + [True, True, False, False]
    assert found.in_another_class.dtype == np.bool_


@pytest.mark.parametrize("missing", [None, np.nan, pd.NA])
def test_an_unknown_class_contradicts_none(missing, photos):
    data = encode(photos[0].crop((0, 0, 40, 30)))

    found = check_images([data] * 3, target=["cat", missing, "cat"])
    assert not found.in_another_class.any()
    found = check_images([data] * 3, target=[missing, "dog", "cat"])
    assert not found.in_another_class.any()


def test_without_classes_there_is_no_column_of_them(files):
    assert "in_another_class" not in check_images(files[:2])


@pytest.mark.parametrize("name", ["target", "split"])
@pytest.mark.parametrize("values", [["cat"], [["cat"], ["dog"]], "cat", []])
def test_classes_or_splits_of_another_shape_are_refused(name, values, files):
    with pytest.raises(ValueError, match=rf"{name}=.* has the shape .*, and X holds 2 files"):
        check_images(files[:2], **{name: values})


@pytest.mark.parametrize("name", ["target", "split"])
def test_classes_or_splits_that_cannot_be_compared_are_refused(name, files):
    with pytest.raises(TypeError, match=rf"{name} holds \[1, 2\], which cannot be compared"):
        check_images(files[:2], **{name: [[1], [1, 2]][::-1]})


def test_duplicates_show_across_folders(folder, tmp_path_factory):
    test = tmp_path_factory.mktemp("test")
    shutil.copy(folder / "grey.jpg", test / "another name.jpg")
    shutil.copy(folder / "grey.jpg", test / "again.jpg")
    train = paths_in(folder)

    found = check_images([*train, *paths_in(test), "gone.jpg", "gone too.jpg"])

    grey = train.index(str(folder / "grey.jpg"))
    assert found.duplicate_of.tolist() == [-1] * len(train) + [grey, grey, -1, -1]


def test_bytes_and_binary_files_have_rows_too(photos):
    data = encode(photos[0])

    found = check_images([data, io.BytesIO(data)])

    assert found.filename.tolist() == [f"<{len(data)} bytes>"] * 2
    assert found.readable.all()
    assert found.duplicate_of.tolist() == [-1, 0]


def test_data_frames_take_it_as_it_is(files):
    found = check_images(files)

    assert pd.DataFrame(found).columns.tolist() == COLUMNS
    assert pd.DataFrame(found).shape == (24, len(COLUMNS))
    assert pl.DataFrame(dict(found)).columns == COLUMNS
    dtypes = {name: found[name].dtype for name in ("readable", "width", "filename")}
    assert dtypes == {"readable": np.bool_, "width": np.int64, "filename": object}


def test_no_files_make_empty_columns():
    found = check_images([])

    assert list(found) == COLUMNS
    assert all(column.shape == (0,) for column in found.values())


@pytest.mark.parametrize("backend", ["loky", "threading"])
def test_every_backend_tells_the_same(folder, files, backend):
    paths = [*paths_in(folder), *files]
    expected = check_images(paths)

    with joblib.parallel_config(backend=backend, n_jobs=2):
        found = check_images(paths)

    for name in COLUMNS:
        np.testing.assert_array_equal(found[name], expected[name])


def test_verbose_shows_a_bar_that_counts_the_files(files, capsys):
    check_images(files, verbose=1)

    assert "24/24" in capsys.readouterr().err


def test_a_fault_of_the_machine_is_not_taken_for_a_broken_file(files):
    with pytest.raises(OSError, match="Too many open files"):
        check_images([*files, OnACrowdedMachine(files[0])])


def test_it_warns_where_pillow_lets_truncated_files_pass(folder, monkeypatch):
    monkeypatch.setattr(ImageFile, "LOAD_TRUNCATED_IMAGES", True)

    with pytest.warns(UserWarning, match="LOAD_TRUNCATED_IMAGES is set") as caught:
        found = check_images([folder / "truncated.jpg"])

    assert len(caught) == 1
    assert found.readable.all()  # as a pipeline in this process would have it


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"verify": "pixels"}, ValueError, "verify='pixels' is not known. Pass one of 'dec"),
        ({"loader": "JPEG"}, TypeError, "loader is a str, and .* Pass one, such as"),
        ({"loader": JpegLoader(max_scans=0)}, ValueError, "max_scans=0 is out of range"),
        ({"n_jobs": 0}, ValueError, "n_jobs=0 means no workers"),
        ({"verbose": "yes"}, TypeError, "verbose='yes' is of type str"),
    ],
)
def test_wrong_options_are_refused(files, options, error, message):
    with pytest.raises(error, match=message):
        check_images(files, **options)


def test_a_lone_path_is_refused(files):
    with pytest.raises(TypeError, match=r"a single str, .* load_image_folder\(X\)\.filenames"):
        check_images(files[0])
