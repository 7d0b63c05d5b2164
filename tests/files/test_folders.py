"""load_image_folder: which files it lists, in which order, and with which class."""

from __future__ import annotations

import ast
import os
import unicodedata
import zipfile
from pathlib import Path

import fsspec
import numpy as np
import pytest
from sklearn.datasets import load_files
from sklearn.utils import Bunch

from sknorm_images import JpegLoader, load_image_folder
from sknorm_images._files.folders import passed_over
from sknorm_images._files.listing import list_folder
from tests.empty_files import make, relative

NAMES = [
    "dog/10.jpg",
    "dog/2.jpg",
    "cat/b.jpg",
    "cat/a.jpeg",
    "ant/nest/1.jpg",
    "ant/z.jpg",
    "ant/nest/deep/0.jpg",
]


@pytest.mark.parametrize("scheme", ["", "memory://"])
def test_a_part_of_a_folder_is_what_listing_it_by_itself_gives(scheme, tmp_path):
    names = ["cat/1.jpg", "dog/2.png", "dog/deep/3.gif", "fox/.4.jpg", "5.jpg", "6.txt"]
    folder = make(tmp_path, "test/cat/1.jpg", *(f"train/{name}" for name in names))
    place = str(folder)
    if scheme:
        fsspec.filesystem("memory").put(f"{folder}/", str(folder), recursive=True)
        place = f"memory://{folder}"

    part = list_folder(place).part("train")

    alone = list_folder(f"{place}/train")
    assert list(part.folders) == ["cat", "dog", "fox"]
    assert (part.path, part.folders, part.files) == (alone.path, alone.folders, alone.files)
    assert passed_over(part) == passed_over(alone) == {".gif": 1, ".png": 1, ".txt": 1}
    if scheme:
        fsspec.filesystem("memory").rm(str(folder), recursive=True)


# One class a sub-folder


def test_it_returns_a_bunch_of_filenames_target_and_target_names(tmp_path):
    photos = load_image_folder(make(tmp_path, "dog/1.jpg", "cat/2.jpg", "cat/1.jpg"))

    assert isinstance(photos, Bunch)
    assert set(photos) == {"filenames", "target", "target_names", "passed_over"}
    assert relative(photos.filenames, tmp_path) == ["cat/1.jpg", "cat/2.jpg", "dog/1.jpg"]
    assert photos.filenames.dtype == object
    assert all(type(name) is str for name in photos.filenames)
    np.testing.assert_array_equal(photos.target, [0, 0, 1])
    assert photos.target.dtype == np.int64
    assert photos.target_names == ["cat", "dog"]


def test_it_agrees_with_load_files_of_scikit_learn(tmp_path):
    folder = make(tmp_path, "dog/1.jpg", "dog/2.jpg", "cat/1.jpg", "ant/3.jpg", "ant/1.jpg")
    reference = load_files(folder, load_content=False, shuffle=False)

    photos = load_image_folder(folder)

    assert photos.target_names == reference.target_names
    assert set(zip(photos.filenames, photos.target, strict=True)) == set(
        zip(reference.filenames, reference.target, strict=True)
    )
    assert photos.filenames.shape == reference.filenames.shape
    assert photos.target.dtype == reference.target.dtype


def test_the_order_is_sorted_whatever_the_file_system(tmp_path, monkeypatch):
    make(tmp_path, *NAMES)
    iterdir, walk = Path.iterdir, os.walk

    def backwards(*args, **kwargs):
        for parent, folders, files in walk(*args, **kwargs):
            folders.sort(reverse=True)
            yield parent, folders, sorted(files, reverse=True)

    monkeypatch.setattr(Path, "iterdir", lambda path: iter(sorted(iterdir(path))[::-1]))
    monkeypatch.setattr(os, "walk", backwards)
    photos = load_image_folder(tmp_path)

    assert relative(photos.filenames, tmp_path) == sorted(NAMES)
    np.testing.assert_array_equal(photos.target, [0, 0, 0, 1, 1, 2, 2])
    assert photos.target_names == ["ant", "cat", "dog"]


def test_one_class_is_a_class(tmp_path):
    photos = load_image_folder(make(tmp_path, "cat/1.jpg"))

    np.testing.assert_array_equal(photos.target, [0])
    assert photos.target_names == ["cat"]


def test_upper_case_and_lower_case_extensions_are_the_same(tmp_path):
    make(tmp_path, "cat/1.jpg", "cat/2.JPG", "cat/3.JPEG", "cat/4.Jpeg", "cat/5.jpeg")

    assert len(load_image_folder(tmp_path).filenames) == 5


def test_files_with_other_extensions_are_skipped(tmp_path):
    make(tmp_path, "cat/1.jpg", "cat/2.png", "cat/notes.txt", "cat/jpg", "cat/3.jpg.bak")

    photos = load_image_folder(make(tmp_path, "README.md"))

    assert relative(photos.filenames, tmp_path) == ["cat/1.jpg"]


@pytest.mark.parametrize("extensions", [(".png", ".webp"), [".PNG", ".Webp"]])
def test_extensions_are_those_that_are_asked_for(tmp_path, extensions):
    make(tmp_path, "cat/1.jpg", "cat/2.png", "cat/3.WEBP")

    photos = load_image_folder(tmp_path, extensions=extensions)

    assert relative(photos.filenames, tmp_path) == ["cat/2.png", "cat/3.WEBP"]


def test_a_folder_whose_name_looks_like_a_file_is_a_folder(tmp_path):
    make(tmp_path, "cats.jpg/1.jpg", "cats.jpg/more.jpg/2.jpg")

    photos = load_image_folder(tmp_path)

    assert relative(photos.filenames, tmp_path) == [
        "cats.jpg/1.jpg",
        "cats.jpg/more.jpg/2.jpg",
    ]
    assert photos.target_names == ["cats.jpg"]


def test_hidden_entries_are_skipped_at_every_depth(tmp_path):
    make(
        tmp_path,
        "cat/1.jpg",
        "cat/._1.jpg",
        "cat/.thumbnails/1.jpg",
        "cat/more/.2.jpg",
        ".trash/3.jpg",
        ".cover.jpg",
    )

    photos = load_image_folder(tmp_path)

    assert relative(photos.filenames, tmp_path) == ["cat/1.jpg"]
    assert photos.target_names == ["cat"]


def test_a_hidden_folder_may_be_the_directory_itself(tmp_path):
    photos = load_image_folder(make(tmp_path / ".cache" / "photos", "cat/1.jpg"))

    assert photos.target_names == ["cat"]


def test_names_with_spaces_and_of_any_alphabet(tmp_path):
    make(tmp_path, "grüne Bäume/ein Bild.jpg", "寺院/写真.jpg")

    photos = load_image_folder(tmp_path)

    assert photos.target_names == ["grüne Bäume", "寺院"]
    assert relative(photos.filenames, tmp_path) == [
        "grüne Bäume/ein Bild.jpg",
        "寺院/写真.jpg",
    ]


def test_return_x_y_gives_filenames_and_target(tmp_path):
    make(tmp_path, *NAMES)
    photos = load_image_folder(tmp_path)

    X, y = load_image_folder(tmp_path, return_X_y=True)

    np.testing.assert_array_equal(X, photos.filenames)
    np.testing.assert_array_equal(y, photos.target)


def test_filenames_begin_with_the_directory(tmp_path, monkeypatch):
    make(tmp_path / "photos", "cat/1.jpg")
    monkeypatch.chdir(tmp_path)

    for directory in ("photos", Path("photos"), str(tmp_path / "photos"), tmp_path / "photos"):
        photos = load_image_folder(directory)
        assert photos.filenames.tolist() == [os.path.join(directory, "cat", "1.jpg")]  # noqa: PTH118 (os.path is the oracle)


def test_a_trailing_slash_changes_nothing(tmp_path):
    make(tmp_path, *NAMES)

    photos = load_image_folder(f"{tmp_path}{os.sep}")

    assert photos.filenames.tolist() == load_image_folder(tmp_path).filenames.tolist()


def test_nothing_is_opened(tmp_path, monkeypatch):
    make(tmp_path, *NAMES)

    def fail(*args, **kwargs):
        raise AssertionError("opened")

    for name in ("open", "read_bytes"):
        monkeypatch.setattr(Path, name, fail)
    monkeypatch.setattr("builtins.open", fail)

    assert len(load_image_folder(tmp_path).filenames) == len(NAMES)


# What is passed over


def mixed(folder: Path) -> Path:
    """34 images, six of them .jpg, beside what people do not think of as files."""
    names = [f"cat/{i}.jpg" for i in range(6)]
    names += [f"cat/{i}.{'png' if i % 2 else 'PNG'}" for i in range(20)]
    names += [f"dog/{i}.webp" for i in range(8)] + ["dog/more/1.jpeg"]
    return make(folder, *names, "cat/.hidden.png", "cat/Thumbs.db", "dog/.DS_Store")


def test_the_files_that_are_passed_over_are_counted_by_extension(tmp_path):
    photos = load_image_folder(mixed(tmp_path))

    assert photos.passed_over == {".png": 20, ".webp": 8}
    assert list(photos.passed_over) == [".png", ".webp"]  # the most frequent first
    assert len(photos.filenames) == 7


def test_nothing_that_is_passed_over_is_an_empty_dict(tmp_path):
    assert load_image_folder(make(tmp_path, *NAMES)).passed_over == {}


def test_passed_over_counts_a_flat_folder_and_files_without_extension(tmp_path):
    photos = load_image_folder(make(tmp_path, "1.jpg", "2.png", "LICENSE", "a.tar.gz", ".b"))

    assert photos.passed_over == {"": 1, ".gz": 1, ".png": 1}


def test_extensions_leave_out_what_they_do_not_name(tmp_path):
    photos = load_image_folder(mixed(tmp_path), extensions=[".png", ".jpeg"])

    assert photos.passed_over == {".webp": 8, ".jpg": 6}


def test_image_files_beside_the_classes_are_passed_over_with_class_names(tmp_path):
    make(tmp_path, "cat/1.jpg", "stray.jpg", "another.JPG", "labels.csv")

    with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
        for path in [path for path in tmp_path.rglob("*.*") if path.suffix != ".zip"]:
            archive.write(path, path.relative_to(tmp_path))
    (tmp_path / "p.zip").rename(tmp_path.with_suffix(".zip"))

    for folder in (tmp_path, f"zip://::{tmp_path}.zip"):
        photos = load_image_folder(folder, class_names=["cat", "dog"])
        assert len(photos.filenames) == 1
        assert photos.passed_over == {".jpg": 2, ".csv": 1}


def test_every_usual_extension_of_jpeg_is_taken(tmp_path):
    names = ["cat/1.jfif", "cat/1.jpe", "cat/1.jpeg", "cat/1.jpg", "cat/2.JFIF"]

    photos = load_image_folder(make(tmp_path, *names))

    assert relative(photos.filenames, tmp_path) == names
    assert photos.passed_over == {}


def test_a_folder_of_other_images_is_refused_with_what_it_holds_and_what_reads_it(tmp_path):
    make(tmp_path, "cat/1.png", "cat/2.png", "cat/1.txt", "dog/1.webp")

    with pytest.raises(ValueError, match=r"only 2 \.png, 1 \.txt, 1 \.webp\. Check") as caught:
        load_image_folder(tmp_path)

    advice = str(caught.value).partition("pass extensions=")[2].removesuffix(".")
    photos = load_image_folder(tmp_path, extensions=ast.literal_eval(advice))
    assert relative(photos.filenames, tmp_path) == ["cat/1.png", "cat/2.png", "dog/1.webp"]


def test_a_class_of_other_images_is_refused_with_what_keeps_the_rest(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/1.png")

    with pytest.raises(ValueError, match=r"dog' has no files.*, only 1 \.png") as caught:
        load_image_folder(tmp_path)

    advice = str(caught.value).partition("pass extensions=")[2].partition(". If")[0]
    photos = load_image_folder(tmp_path, extensions=ast.literal_eval(advice))
    assert relative(photos.filenames, tmp_path) == ["cat/1.jpg", "dog/1.png"]


SYSTEM = [
    "@eaDir",
    "__MACOSX",
    "$RECYCLE.BIN",
    "System Volume Information",
    "lost+found",
    ".AppleDouble",
]


@pytest.mark.parametrize("scheme", ["path", "zip"])
@pytest.mark.parametrize("name", SYSTEM)
def test_what_systems_leave_in_folders_is_no_class_and_no_file(name, scheme, tmp_path):
    names = [f"{name}/1.jpg", f"cat/{name}/1.jpg", f"cat/more/{name}/deep/2.png"]
    names += ["cat/1.jpg", "cat/Thumbs.db", "desktop.ini", f"dog/{name.upper()}/1.jpg"]
    names += ["dog/2.jpg"]
    folder: Path | str = make(tmp_path / "photos", *names)
    if scheme == "zip":
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            for path in names:
                archive.writestr(path, b"")
        folder = f"zip://::{tmp_path}/p.zip"

    photos = load_image_folder(folder)

    assert photos.target_names == ["cat", "dog"]
    found = [Path(path.partition("::")[0]).name for path in photos.filenames]
    assert found == ["1.jpg", "2.jpg"]
    assert photos.passed_over == {}


def test_a_folder_with_the_name_of_a_system_folder_may_be_the_directory_itself(tmp_path):
    photos = load_image_folder(make(tmp_path / "lost+found" / "photos", "cat/1.jpg"))

    assert photos.target_names == ["cat"]


# Links to folders


def test_links_to_folders_are_followed_at_every_depth(tmp_path):
    make(tmp_path / "disk", "1.jpg", "deep/2.jpg", ".hidden/3.jpg")
    make(tmp_path / "disk2", "4.jpg")
    (tmp_path / "disk" / "deep" / "further").symlink_to(tmp_path / "disk2")
    folder = make(tmp_path / "photos", "cat/0.jpg", "dog/0.jpg")
    (folder / "cat" / "more").symlink_to(tmp_path / "disk")

    photos = load_image_folder(folder)

    expected = [
        os.path.join(parent, name)  # noqa: PTH118 (os is the oracle)
        for parent, _, names in os.walk(folder, followlinks=True)
        for name in names
        if ".hidden" not in parent
    ]
    assert photos.filenames.tolist() == sorted(expected)
    assert len(expected) == 5
    np.testing.assert_array_equal(photos.target, [0, 0, 0, 0, 1])


def test_links_that_lead_in_circles_end(tmp_path):
    folder = make(tmp_path / "photos", "cat/1.jpg", "cat/deep/2.jpg", "dog/3.jpg")
    for i, target in enumerate([folder, folder / "cat", folder / "cat" / "deep", tmp_path]):
        (folder / "cat" / "deep" / f"circle{i}").symlink_to(target)
    (folder / "dog" / "itself").symlink_to(".")

    photos = load_image_folder(folder)

    assert relative(photos.filenames, folder) == ["cat/1.jpg", "cat/deep/2.jpg", "dog/3.jpg"]


def test_a_folder_that_several_links_lead_to_is_in_a_class_once(tmp_path):
    make(tmp_path / "disk", "1.jpg")
    folder = make(tmp_path / "photos", "cat/z/2.jpg", "dog/3.jpg")
    for place in ("cat/b", "cat/a", "cat/z/c", "dog/a"):
        (folder / place).symlink_to(tmp_path / "disk")
    (folder / "cat" / "again").symlink_to(folder / "cat" / "z")

    photos = load_image_folder(folder)

    # Where it lies by itself, else by the link that is the first in order; of each class.
    assert relative(photos.filenames, folder) == [
        "cat/a/1.jpg",
        "cat/z/2.jpg",
        "dog/3.jpg",
        "dog/a/1.jpg",
    ]


def test_classes_that_link_to_one_another_take_no_time(tmp_path):
    names = [f"class{i:02}" for i in range(12)]  # 12! ways to go round
    folder = make(tmp_path, *(f"{name}/1.jpg" for name in names))
    for name in names:
        for other in names:
            (folder / name / f"as_{other}").symlink_to(folder / other)

    photos = load_image_folder(folder)

    np.testing.assert_array_equal(np.bincount(photos.target), [12] * 12)


# A folder of train and test


@pytest.mark.parametrize(
    ("names", "parts"),
    [
        (("train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg"), ("test", "train")),
        (("Train/cat/1.jpg", "Valid/cat/1.jpg", "masks/1.jpg"), ("Train", "Valid")),
        (("training/a/1.jpg", "validation/a/1.jpg", "testing/b/1.jpg"), ("training", "val")),
    ],
)
def test_train_and_test_that_are_taken_for_classes_are_warned_of(names, parts, tmp_path):
    make(tmp_path, *names)

    with pytest.warns(
        UserWarning, match=r"become the classes\. Load each by itself"
    ) as caught:
        photos = load_image_folder(tmp_path)

    assert len(caught) == 1
    assert caught[0].filename == __file__
    for part in parts:
        assert part in str(caught[0].message)
    assert len(photos.filenames) == len(names)
    load_image_folder(tmp_path, class_names=photos.target_names)  # which says it is meant


@pytest.mark.parametrize(
    "names",
    [
        ("train/1.jpg", "test/1.jpg"),  # no classes below
        ("train/ice/1.jpg", "test/maths/1.jpg"),
        ("cat/small/1.jpg", "dog/small/1.jpg"),
        ("train/cat/1.jpg", "cat/train/1.jpg"),
        ("train/cat/1.jpg", "dog/cat/1.jpg"),
    ],
)
def test_other_folders_are_not_warned_of(names, tmp_path):
    assert len(load_image_folder(make(tmp_path, *names)).filenames) == 2


# class_names


def test_class_names_set_the_class_numbers(tmp_path):
    make(tmp_path, *NAMES)

    photos = load_image_folder(tmp_path, class_names=["dog", "ant", "cat"])

    assert photos.target_names == ["dog", "ant", "cat"]
    np.testing.assert_array_equal(photos.target, [0, 0, 1, 1, 1, 2, 2])
    folders = [name.split("/")[0] for name in relative(photos.filenames, tmp_path)]
    assert folders == [photos.target_names[number] for number in photos.target]


@pytest.mark.parametrize("class_names", [["dog", "ant", "cat"], ("dog", "ant", "cat")])
def test_class_names_say_the_order_of_the_classes(tmp_path, class_names):
    make(tmp_path, *NAMES)

    photos = load_image_folder(tmp_path, class_names=class_names)

    assert photos.target_names == ["dog", "ant", "cat"]
    folders = [Path(name).relative_to(tmp_path).parts[0] for name in photos.filenames]
    assert folders == [["dog", "ant", "cat"][number] for number in photos.target]
    assert photos.target.tolist() == sorted(photos.target)


def train_and_test(tmp_path: Path, *names: str) -> tuple[Path, Path]:
    """Three classes to train on, and a folder of test files."""
    train = make(tmp_path / "train", "cat/1.jpg", "dog/1.jpg", "fox/1.jpg")
    return train, make(tmp_path / "test", *names)


@pytest.mark.parametrize(
    "names",
    [
        ("cat/1.jpg", "fox/1.jpg"),  # no folder of dogs
        ("cat/1.jpg", "dog/notes.txt", "fox/1.jpg"),  # one without images
        ("cat/1.jpg", "dog/.hidden.jpg", "fox/1.jpg", "fox/2.jpg"),
        ("fox/1.jpg",),
    ],
)
def test_a_class_keeps_its_number_in_a_test_folder_that_lacks_another(names, tmp_path):
    train, test = train_and_test(tmp_path, *names)
    target_names = load_image_folder(train).target_names

    photos = load_image_folder(test, class_names=target_names)

    assert photos.target_names == ["cat", "dog", "fox"]
    for path, number in zip(photos.filenames, photos.target, strict=True):
        assert Path(path).parent.name == ["cat", "dog", "fox"][number]
    X, y = load_image_folder(test, class_names=target_names, return_X_y=True)
    assert (X.tolist(), y.tolist()) == (photos.filenames.tolist(), photos.target.tolist())


def test_a_class_of_the_test_folder_that_is_not_in_the_list_is_refused_by_its_name(tmp_path):
    train, test = train_and_test(tmp_path, "cat/1.jpg", "wolf/1.jpg")

    with pytest.raises(ValueError, match=r"\['wolf'\], which.*\['cat', 'dog', 'fox'\]"):
        load_image_folder(test, class_names=load_image_folder(train).target_names)


def test_a_folder_in_which_all_classes_are_empty_is_refused(tmp_path):
    train, test = train_and_test(tmp_path, "cat/1.png", "dog/1.png")

    with pytest.raises(ValueError, match=r"test' has no files that end in"):
        load_image_folder(test, class_names=load_image_folder(train).target_names)


ACCENTED = ["Äpfel", "Birnen", "Éclairs", "é", "z", "한국"]


@pytest.mark.parametrize("scheme", ["path", "zip"])
def test_names_are_sorted_alike_however_unicode_writes_them(scheme, tmp_path):
    listed = {}
    for form in "NFC", "NFD":
        names = [unicodedata.normalize(form, f"{name}/ü.jpg") for name in ACCENTED]
        folder: Path | str = make(tmp_path / form, *names)
        if scheme == "zip":
            with zipfile.ZipFile(tmp_path / f"{form}.zip", "w") as archive:
                for name in names:
                    archive.writestr(name, b"")
            folder = f"zip://::{tmp_path}/{form}.zip"
        listed[form] = load_image_folder(folder)
        assert len(listed[form].filenames) == len(ACCENTED)
        assert all(unicodedata.is_normalized(form, name) for name in listed[form].filenames)

    assert listed["NFC"].target_names == listed["NFD"].target_names == sorted(ACCENTED)
    for name, number in zip(listed["NFD"].filenames, listed["NFD"].target, strict=True):
        assert unicodedata.normalize("NFD", sorted(ACCENTED)[number]) in name


@pytest.mark.parametrize("below", ["", "cat/", "cat/más/"])
def test_files_are_sorted_alike_however_unicode_writes_them(below, tmp_path):
    listed = {}
    for form in "NFC", "NFD":
        names = [f"{below}{name}.jpg" for name in ACCENTED]
        make(tmp_path / form, *(unicodedata.normalize(form, name) for name in names))
        found = relative(load_image_folder(tmp_path / form).filenames, tmp_path / form)
        assert all(unicodedata.is_normalized(form, name) for name in found)
        listed[form] = [unicodedata.normalize("NFC", name) for name in found]

    assert listed["NFC"] == listed["NFD"] == sorted(names)


def test_class_names_are_found_however_unicode_writes_them(tmp_path):
    make(tmp_path, unicodedata.normalize("NFD", "é/1.jpg"), "z/1.jpg")

    for form in "NFC", "NFD":
        names = ["z", unicodedata.normalize(form, "é")]
        photos = load_image_folder(tmp_path, class_names=names)
        assert photos.target_names == ["z", "é"]
        assert photos.target.tolist() == [0, 1]


@pytest.mark.parametrize("scheme", ["path", "zip"])
def test_two_folders_whose_names_differ_in_unicode_alone_are_refused(scheme, tmp_path):
    names = [unicodedata.normalize(form, f"é/{form}.jpg") for form in ("NFC", "NFD")]
    folder: Path | str = make(tmp_path / "photos", *names)
    if len(list(Path(folder).iterdir())) < 2:
        pytest.skip("this file system takes them for one")
    if scheme == "zip":
        with zipfile.ZipFile(tmp_path / "p.zip", "w") as archive:
            for name in names:
                archive.writestr(name, b"")
        folder = f"zip://::{tmp_path}/p.zip"

    with pytest.raises(ValueError, match="two sub-folders of the same name") as caught:
        load_image_folder(folder)

    # Both, so that they differ on the screen: e with an accent, and e before one.
    assert r"'e\u0301' and '\xe9'" in str(caught.value)


def test_class_names_for_a_flat_folder_are_refused(tmp_path):
    with pytest.raises(ValueError, match=r"\['cat'\]"):
        load_image_folder(make(tmp_path, "1.jpg"), class_names=["cat"])


def test_a_class_name_may_not_be_repeated(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/1.jpg")

    with pytest.raises(ValueError, match="repeats"):
        load_image_folder(tmp_path, class_names=["cat", "dog", "cat"])


def test_no_class_names_at_all_are_refused(tmp_path):
    with pytest.raises(ValueError, match="class_names"):
        load_image_folder(make(tmp_path, "cat/1.jpg"), class_names=[])


# A flat folder


def test_a_flat_folder_has_no_target(tmp_path):
    photos = load_image_folder(make(tmp_path, "b.jpg", "a.JPG", "c.png", ".d.jpg"))

    assert relative(photos.filenames, tmp_path) == ["a.JPG", "b.jpg"]
    assert photos.filenames.dtype == object
    assert photos.target is None
    assert photos.target_names is None


def test_return_x_y_of_a_flat_folder_gives_none_for_the_target(tmp_path):
    X, y = load_image_folder(make(tmp_path, "b.jpg", "a.jpg"), return_X_y=True)

    assert relative(X, tmp_path) == ["a.jpg", "b.jpg"]
    assert y is None


# What is refused


def test_image_files_beside_sub_folders_are_refused(tmp_path):
    make(tmp_path, "cat/1.jpg", "stray.jpg")

    with pytest.raises(ValueError, match=r"'stray\.jpg'.*\['cat'\].*Move"):
        load_image_folder(tmp_path)


@pytest.mark.parametrize("names", [[], ["1.png"], [".1.jpg"]])
def test_a_folder_without_images_is_refused(tmp_path, names):
    with pytest.raises(ValueError, match=r"no files.*\.jpg, \.jpeg, \.jpe or \.jfif"):
        load_image_folder(make(tmp_path, *names))


def test_an_empty_class_is_refused_by_its_name_with_what_keeps_the_numbers(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/1.png")

    with pytest.raises(ValueError, match=r"dog.*no files.*name all classes with class_names"):
        load_image_folder(tmp_path)


def test_a_class_of_hidden_files_is_empty(tmp_path):
    make(tmp_path, "cat/1.jpg", "dog/.1.jpg")

    with pytest.raises(ValueError, match=r"dog.*no files"):
        load_image_folder(tmp_path)


def test_a_directory_that_does_not_exist_is_an_os_error_with_its_path(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_image_folder(tmp_path / "nowhere")


def test_a_file_in_place_of_a_directory_is_an_os_error_with_its_path(tmp_path):
    make(tmp_path, "photo.jpg")

    with pytest.raises(OSError, match=r"photo\.jpg"):
        load_image_folder(tmp_path / "photo.jpg")


def test_one_extension_outside_a_tuple_is_refused(tmp_path):
    make(tmp_path, "cat/1.jpg", "cat/2.png")

    with pytest.raises(TypeError, match=r"extensions='\.jpg' is one string, .* Pass"):
        load_image_folder(tmp_path, extensions=".jpg")


def test_one_class_name_outside_a_list_is_refused(tmp_path):
    make(tmp_path, "a/1.jpg", "b/1.jpg")

    with pytest.raises(TypeError, match=r"class_names='ab' is one string, .* Pass"):
        load_image_folder(tmp_path, class_names="ab")


@pytest.mark.parametrize(
    ("directory", "error", "words"),
    [
        ("", ValueError, r"directory='' is empty\. Pass the path of a folder"),
        (["a", "b"], TypeError, r"directory=\['a', 'b'\] is of type list, .* one folder"),
        ("~/no/folder", FileNotFoundError, r"~ is not expanded here, .*: '~/no/folder'"),
        ("no/*.jpg", FileNotFoundError, r"so pass what glob.glob finds: 'no/\*\.jpg'"),
        ("no", FileNotFoundError, r"No such file or directory: 'no'"),
    ],
)
def test_what_is_not_a_folder_is_refused_with_what_was_probably_meant(
    directory, error, words, tmp_path, monkeypatch
):
    make(tmp_path, "1.jpg")
    monkeypatch.chdir(tmp_path)

    with pytest.raises(error, match=words):
        load_image_folder(directory)


def test_the_bunch_itself_is_refused_as_a_column(tmp_path):
    make(tmp_path, "a/1.jpg")

    with pytest.raises(TypeError, match=r"X is a Bunch, .* Pass X\.filenames\."):
        JpegLoader().transform(load_image_folder(tmp_path))


def test_a_file_for_a_folder_and_a_folder_for_files_are_named_in_the_error(tmp_path):
    (tmp_path / "1.jpg").write_bytes(b"")

    for file in (tmp_path / "1.jpg", str(tmp_path / "1.jpg")):
        with pytest.raises(NotADirectoryError, match=r"/1\.jpg' is a file, and a folder is"):
            load_image_folder(file)
    for folder in (tmp_path, str(tmp_path)):
        with pytest.raises(TypeError, match=f"'{tmp_path}', and a loader takes a sequence"):
            JpegLoader().transform(folder)
