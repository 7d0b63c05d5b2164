"""``python -m sknorm_images demo``: what a user sees of the main job."""

from __future__ import annotations

import io
import os
import re
import shlex
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

import joblib
import numpy as np
import pytest
from PIL import Image

from sknorm_images import load_image_folder
from sknorm_images.cli._demo import new_folder
from sknorm_images.demo import choose_backend
from tests.command import COMMAND, Call, Finished, assert_refused
from tests.conftest import encode


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The current folder, empty, where the demo makes its own."""
    folder = tmp_path_factory.mktemp("here")
    monkeypatch.chdir(folder)
    return folder


def start(
    *arguments: str | Path, cwd: Path, backend: str | None = None
) -> subprocess.Popen[str]:
    environment = {
        name: value for name, value in os.environ.items() if name != "KERAS_BACKEND"
    }
    if backend is not None:
        environment["KERAS_BACKEND"] = backend
    return subprocess.Popen(
        [*COMMAND, *map(str, arguments)],
        env=environment,
        cwd=cwd,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> Finished:
    out, err = process.communicate(timeout=600)
    return Finished(process.returncode, out, err)


@pytest.fixture(scope="module")
def crops_of_two(photos: list[Image.Image]) -> dict[str, Image.Image]:
    """One piece of each photo, by the name of its class."""
    names = ("old temple", "flower")
    return {
        name: photo.crop((60, 40, 240, 190)) for name, photo in zip(names, photos, strict=True)
    }


@pytest.fixture(scope="module")
def photo_folder(
    crops_of_two: dict[str, Image.Image], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """Two classes of eight photos, which are the same in a class, and a broken file."""
    folder = tmp_path_factory.mktemp("my photos")
    for name, piece in crops_of_two.items():
        (folder / name).mkdir()
        for i in range(8):
            (folder / name / f"{i}.jpg").write_bytes(encode(piece, quality=90))
    content = encode(piece)
    (folder / "flower" / "broken.jpg").write_bytes(content[: len(content) // 2])
    return folder


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Where each of two demos runs."""
    return {name: tmp_path_factory.mktemp(name) for name in ("own", "data")}


@pytest.fixture(scope="module")
def demos(photo_folder: Path, folders: dict[str, Path]) -> dict[str, Finished]:
    """The demo on its own photos, and on a user's folder: both at the same time."""
    arguments = ["demo", "--data", photo_folder, "-o", "what is kept"]
    processes = {
        "own": start("demo", cwd=folders["own"]),
        "data": start(*arguments, cwd=folders["data"], backend="tensorflow"),
    }
    return {name: finish(process) for name, process in processes.items()}


def printed_statistics(out: str) -> np.ndarray:
    """Mean and standard deviation of red, green and blue; shape (3, 2)."""
    found = re.findall(r"^ +(\w+) +mean +([\d.]+) +std +([\d.]+) .*grey levels", out, re.M)
    assert [name for name, _, _ in found] == ["red", "green", "blue"]
    return np.array([[float(mean), float(std)] for _, mean, std in found])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own", "data"])
def test_it_ends_well_and_predicts_the_same_in_a_fresh_process(name, demos):
    demo = demos[name]
    assert demo.status == 0, demo.err
    assert "\npredictions of a fresh process are the same\n" in demo.out
    assert "Traceback" not in demo.err


@pytest.mark.slow
def test_it_fits_on_three_quarters_of_its_300_files(demos):
    assert "300 photos of 2 classes" in demos["own"].out
    assert "fitted on 225 training photos" in demos["own"].out


@pytest.mark.slow
def test_its_model_tells_the_two_photos_apart(demos):
    [(accuracy, n_files)] = re.findall(
        r"held-out accuracy: ([\d.]+) \((\d+) photos\)", demos["own"].out
    )
    assert float(accuracy) > 0.7  # chance is 0.5
    assert n_files == "75"


@pytest.mark.slow
def test_its_own_photos_have_plausible_statistics(demos, photos):
    # Crops do not cover the photos evenly, so this is no equality.
    whole = np.concatenate([np.asarray(photo).reshape(-1, 3) for photo in photos])
    expected = np.stack([whole.mean(axis=0), whole.std(axis=0)], axis=1)
    np.testing.assert_allclose(printed_statistics(demos["own"].out), expected, rtol=0.25)


@pytest.mark.slow
def test_it_prints_the_statistics_of_the_users_files(demos, crops_of_two):
    pixels = []
    for piece in crops_of_two.values():
        image = Image.open(io.BytesIO(encode(piece, quality=90)))
        small = image.resize((64, 64), Image.Resampling.BILINEAR)
        pixels.append(np.asarray(small).reshape(-1, 3).astype(np.float64))
    both = np.concatenate(pixels)  # the split keeps the classes even, whatever its seed
    expected = np.stack([both.mean(axis=0), both.std(axis=0)], axis=1)
    printed = printed_statistics(demos["data"].out)
    np.testing.assert_allclose(printed, expected, rtol=0, atol=0.0006)  # three decimals


@pytest.mark.slow
def test_it_counts_the_users_photos_that_can_be_read(demos):
    assert "16 photos of 2 classes" in demos["data"].out
    assert "fitted on 12 training photos" in demos["data"].out
    assert re.search(r"held-out accuracy: [\d.]+ \(4 photos\)", demos["data"].out)


@pytest.mark.slow
def test_it_trains_on_the_backend_that_the_environment_names(demos):
    assert f"with Keras {version('keras')} on tensorflow" in demos["data"].out


@pytest.mark.slow
def test_it_trains_on_the_first_backend_installed_otherwise(demos):
    assert f"with Keras {version('keras')} on jax" in demos["own"].out


@pytest.mark.slow
def test_it_leaves_the_users_folder_as_it_was(demos, photo_folder):
    assert demos["data"].status == 0
    files = [path for path in photo_folder.rglob("*") if path.is_file()]
    names = {str(path.relative_to(photo_folder)) for path in files}
    photos = {f"{name}/{i}.jpg" for name in ("flower", "old temple") for i in range(8)}
    assert names == photos | {"flower/broken.jpg"}


@pytest.mark.slow
def test_it_names_a_broken_file_once(demos, photo_folder):
    lines = [line for line in demos["data"].err.splitlines() if "broken.jpg" in line]
    assert len(lines) == 1
    assert f"warning: {photo_folder}/flower/broken.jpg: image file is truncated" in lines[0]


@pytest.mark.slow
def test_it_shows_each_epoch(demos):
    for demo in demos.values():
        assert re.findall(r"Epoch (\d+)/15", demo.out) == [str(i) for i in range(1, 16)]


# What it leaves behind


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "folder", "expected"),
    [
        ("own", "sknorm-demo", ["model.keras", "photos", "pipeline.joblib", "report.html"]),
        ("data", "what is kept", ["model.keras", "pipeline.joblib", "report.html"]),
    ],
)
def test_it_leaves_a_folder_and_says_where_everything_is(
    name, folder, expected, demos, folders
):
    assert [path.name for path in folders[name].iterdir()] == [folder]
    assert sorted(path.name for path in (folders[name] / folder).iterdir()) == expected
    _, _, told = demos[name].out.partition("\nThe demo wrote\n")
    told, _, _ = told.partition("\n\n")
    assert sorted(re.findall(r"^  (\S.*?)  ", told, re.M)) == [
        f"{folder}/{entry}" for entry in expected
    ]


@pytest.mark.slow
def test_its_pipeline_numbers_classes_and_has_no_settings_of_this_machine(demos, folders):
    for folder in (folders["own"] / "sknorm-demo", folders["data"] / "what is kept"):
        pipeline = joblib.load(folder / "pipeline.joblib")
        assert pipeline.class_names_[0] == "flower"
        assert pipeline["load"].n_jobs is None
    photos = load_image_folder(folders["own"] / "sknorm-demo" / "photos")
    assert (len(photos.filenames), photos.target_names) == (300, ["flower", "temple"])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["own", "data"])
def test_the_commands_that_it_says_to_try_next_work(
    name, demos, folders, call: Call, monkeypatch
):
    monkeypatch.chdir(folders[name])
    _, _, told = demos[name].out.partition("\nTry next\n")
    commands = [shlex.split(line) for line in told.splitlines()]
    assert [command[:4] for command in commands] == [
        ["python", "-m", "sknorm_images", what] for what in ("show", "check", "transform")
    ]
    for _, _, _, *arguments in commands:
        finished = call(*arguments)
        # `check` finds the user's broken file.
        assert finished.status == (1 if (arguments[0], name) == ("check", "data") else 0)


@pytest.mark.parametrize("name", ["sknorm-demo", "mine"])
def test_a_folder_that_holds_something_is_refused_and_left_alone(name, here, call):
    (here / name / "photos").mkdir(parents=True)
    (here / name / "pipeline.joblib").write_bytes(b"mine")
    options = [] if name == "sknorm-demo" else ["--output", name]
    assert_refused(call("demo", *options), f"'{name}' is not empty", "another folder")
    assert (here / name / "pipeline.joblib").read_bytes() == b"mine"
    assert (here / name / "photos").is_dir()


@pytest.mark.parametrize("is_there", [False, True])
def test_of_two_demos_that_find_a_folder_empty_one_takes_it(is_there, here, monkeypatch):
    if is_there:
        (here / "demo").mkdir()
    monkeypatch.setattr(Path, "iterdir", lambda path: iter(()))  # as both saw it
    path = here / "demo"

    with new_folder(path, makes_photos=True):
        (path / "photos").mkdir()
        with (
            pytest.raises(FileExistsError, match=r"'.*demo' is not empty, .* another folder"),
            new_folder(path, makes_photos=True),
        ):
            pytest.fail("both took it")
        assert (path / "photos").is_dir()


@pytest.mark.parametrize(
    ("name", "words"),
    [("file", "'file' is not a folder"), ("none/folder", "there is no folder 'none'")],
)
def test_an_output_that_no_folder_can_be_is_refused(name, words, here, call):
    (here / "file").write_bytes(b"mine")
    assert_refused(call("demo", "-o", name), words)
    assert [path.name for path in here.iterdir()] == ["file"]
    assert (here / "file").read_bytes() == b"mine"


def test_a_demo_that_fails_leaves_nothing_but_an_empty_folder_that_was_there(
    photo_folder, here, call
):
    (here / "empty").mkdir()
    for output in ("new", "empty"):
        assert call("demo", "--data", photo_folder / "flower", "-o", output).status == 2
    assert [path.name for path in here.rglob("*")] == ["empty"]


def test_a_demo_of_the_users_photos_that_fails_removes_nothing_of_theirs(tmp_path):
    def interrupted_demo() -> None:
        with new_folder(tmp_path / "d", makes_photos=False):
            (tmp_path / "d" / "pipeline.joblib").touch()
            (tmp_path / "d" / "photos").mkdir()
            (tmp_path / "d" / "photos" / "mine.jpg").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted_demo()
    assert [path.name for path in (tmp_path / "d").rglob("*.*")] == ["mine.jpg"]


# The backend


@pytest.mark.parametrize(
    ("missing", "chosen"), [([], "jax"), (["jax"], "tensorflow")], ids=["all", "no jax"]
)
def test_the_first_backend_installed_is_chosen(missing, chosen, monkeypatch):
    monkeypatch.delenv("KERAS_BACKEND")
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)  # as if it were not installed
    choose_backend()
    assert os.environ["KERAS_BACKEND"] == chosen


def test_the_environment_variable_goes_first(monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", "tensorflow")
    choose_backend()
    assert os.environ["KERAS_BACKEND"] == "tensorflow"


@pytest.mark.parametrize("missing", [["keras"], ["jax", "tensorflow", "torch"]])
def test_without_keras_or_a_backend_it_says_what_to_install(missing, monkeypatch, call):
    monkeypatch.delenv("KERAS_BACKEND")
    for name in missing:
        monkeypatch.setitem(sys.modules, name, None)
    assert_refused(call("demo"), 'python -m pip install "sknorm-images[demo]"')


# Folders that cannot be used


def test_a_missing_folder_is_one_line_and_status_2(tmp_path, call):
    missing = str(tmp_path / "no such folder")
    assert_refused(call("demo", "--data", missing), missing)


def test_an_empty_folder_is_one_line_and_status_2(tmp_path, call):
    assert_refused(call("demo", "--data", tmp_path), str(tmp_path))


def test_a_folder_of_one_class_is_one_line_and_status_2(photo_folder, tmp_path, call):
    (tmp_path / "flower").mkdir()
    (tmp_path / "flower" / "0.jpg").write_bytes(
        (photo_folder / "flower" / "0.jpg").read_bytes()
    )
    assert_refused(call("demo", "--data", tmp_path), "two classes")


def test_a_folder_without_classes_is_one_line_and_status_2(photo_folder, call):
    assert_refused(call("demo", "--data", photo_folder / "flower"), "two classes")


def test_a_class_of_one_file_is_one_line_and_status_2(photo_folder, tmp_path, call):
    for name in ("flower", "old temple"):
        (tmp_path / name).mkdir()
        content = (photo_folder / name / "0.jpg").read_bytes()
        (tmp_path / name / "0.jpg").write_bytes(content)
    finished = call("demo", "--data", tmp_path)
    assert_refused(finished, "flower' holds 1 photo, and", "Give each class at least 4")


def test_a_folder_of_broken_files_is_one_line_and_status_2(tmp_path, call):
    for name in ("flower", "old temple"):
        (tmp_path / name).mkdir()
        for i in range(8):
            (tmp_path / name / f"{i}.jpg").write_bytes(b"not a photo")
    finished = call("demo", "--data", tmp_path)
    assert_refused(
        finished, "flower' holds 0 photos that can be read", "`sknorm-images check`"
    )
