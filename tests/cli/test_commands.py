"""``sknorm-images``: every command, as a process or called here, on good and on bad input."""

from __future__ import annotations

import csv
import io
import json
import os
import pickle
import pty
import re
import resource
import shutil
import signal
import subprocess
import sys
import termios
import time
import tracemalloc
from importlib.metadata import version
from pathlib import Path
from urllib.parse import unquote

import joblib
import numpy as np
import pandas as pd
import pytest
import skops.io
from PIL import Image
from sklearn.decomposition import PCA
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import FunctionTransformer

from sknorm_images import (
    ChannelMinMaxScaler,
    ChannelStandardScaler,
    ImageFlattener,
    JpegLoader,
    check_images,
    load_image_folder,
    make_image_pipeline,
)
from sknorm_images._images.color_modes import COLOR_MODES
from sknorm_images.cli._terminal import show_size
from tests.command import COMMAND, Finished, assert_refused
from tests.conftest import encode
from tests.fifth_scaler import ChannelWhitener
from tests.fourth_scaler import ChannelMedianScaler
from tests.jpeg_bytes import claim_size
from tests.more_color_modes import MORE_COLOR_MODES

COMMANDS = ["fit", "transform", "check", "show", "report", "demo"]
SIZE = (32, 48)


def run(*arguments: str | Path, command: list[str] = COMMAND) -> Finished:
    """Run a command as a process; what it writes is no terminal."""
    process = subprocess.run(
        [*command, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        env=quiet_environment(),
    )
    return Finished(process.returncode, process.stdout, process.stderr)


def quiet_environment() -> dict[str, str]:
    """The environment without what makes programs take a file for a terminal."""
    forced = {"FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "COLUMNS"}
    return {name: value for name, value in os.environ.items() if name not in forced}


@pytest.fixture(scope="module")
def folder(files: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two classes of twelve files each, the files of `files` in turn."""
    folder = tmp_path_factory.mktemp("my photos")
    for i, file in enumerate(files):
        path = folder / ("flower", "old temple")[i % 2] / Path(file).name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(Path(file).read_bytes())
    return folder


@pytest.fixture(scope="module")
def fitted(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Finished, Path]:
    """What `fit` printed as a process, and what it wrote."""
    output = tmp_path_factory.mktemp("fitted") / "pipeline.joblib"
    return run("fit", folder, "-o", output, "--size", "32x48"), output


@pytest.fixture
def with_broken(photos: list[Image.Image], tmp_path: Path) -> tuple[Path, list[str]]:
    """Ten files in no classes, and the names of those that are broken: one is not alone."""
    folder = tmp_path / "flat"
    folder.mkdir()
    for i in range(10):
        photo = photos[i % 2].crop((20 * i, 10 * i, 20 * i + 90, 10 * i + 70))
        content = encode(photo)
        (folder / f"{i}.jpg").write_bytes(content[:-60] if i in (1, 8, 9) else content)
    return folder, [str(folder / f"{i}.jpg") for i in (1, 8, 9)]


def table_rows(out: str) -> dict[str, list[float]]:
    """The numbers of a table, by the word that their row begins with."""
    rows = [line.split() for line in out.splitlines()]
    return {
        row[0]: [float(number) for number in row[1:]]
        for row in rows
        if row and row[0] in ("red", "green", "blue", "grey")
    }


def names_of(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def parts_in(folder: Path) -> list[str]:
    return [name for name in names_of(folder) if name.endswith(".part")]


# The program


def test_the_version_is_that_of_the_distribution(call):
    assert call("--version") == (0, version("sknorm-images") + "\n", "")


def test_a_process_refuses_bad_input_in_one_line(tmp_path):
    missing = tmp_path / "missing"
    finished = run("check", missing)
    assert_refused(finished, "python -m sknorm_images check: ", str(missing))


def test_report_as_a_process_writes_a_page(fitted, folder, tmp_path):
    output = tmp_path / "report.html"
    finished = run("report", folder, "-p", fitted[1], "-o", output)
    size = output.stat().st_size
    told = f"Wrote a report on 24 files to {output} ({size / 1000:,.1f} kB)\n"
    assert finished == (0, told, "")
    assert output.read_text("utf-8").startswith("<!DOCTYPE html>")


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_every_command_has_an_example(command, call):
    finished = call(command, "--help")
    assert finished.status == 0
    assert f"Example: sknorm-images {command}" in " ".join(finished.out.split())


def test_the_help_says_which_side_of_the_size_is_first(call):
    assert "HEIGHTxWIDTH" in call("fit", "--help").out


@pytest.mark.parametrize(
    "option",
    [
        "--scaler",
        "--color-mode",
        "--interpolation",
        "--aspect-ratio",
        "--engine",
        "--on-error",
    ],
)
def test_the_help_names_all_that_an_option_takes(option, folder, tmp_path, call):
    refused = call("fit", folder, "-o", tmp_path / "p", option, "nonsense").err
    names = re.findall(r"'(\w+)'", refused.partition("Pass ")[2])
    assert len(names) > 1
    assert set(names) <= set(re.findall(r"\w+", call("fit", "--help").out))


@pytest.mark.parametrize("command", ["show", "transform", "report"])
def test_the_help_warns_that_loading_runs_code(command, call):
    text = re.sub(r"[\s│]+", " ", call(command, "--help").out)
    assert "pickle" in text
    assert re.search("runs (any )?code", text)


@pytest.mark.parametrize(
    ("library", "extra", "arguments"),
    [
        ("typer", "cli", ["fit", "photos"]),
        ("matplotlib", "plot", ["report", "photos", "-p", "a.joblib", "-o", "a.html"]),
    ],
)
def test_without_a_library_it_says_what_to_install(library, extra, arguments):
    code = (
        f"import sys; sys.modules[{library!r}] = None\n"
        "from sknorm_images.__main__ import main; sys.exit(main())"
    )
    finished = run(*arguments, command=[sys.executable, "-c", code])
    assert_refused(finished, f'python -m pip install "sknorm-images[{extra}]"')


# fit


def test_fit_prints_the_statistics_that_numpy_finds(fitted, pixels):
    finished, _ = fitted
    assert (finished.status, finished.err) == (0, "")
    assert "fitted on 24 images" in finished.out
    assert "mean_" in finished.out
    flat = pixels.reshape(-1, 3).astype(np.float64)
    printed = table_rows(finished.out)
    assert list(printed) == ["red", "green", "blue"]
    expected = np.stack([flat.mean(axis=0), flat.var(axis=0), flat.std(axis=0)], axis=1)
    np.testing.assert_allclose(list(printed.values()), expected, rtol=1e-5)  # six digits


@pytest.mark.parametrize("name", MORE_COLOR_MODES)
def test_fit_and_show_name_the_channels_of_a_colour_mode(
    name, call, folder, tmp_path, monkeypatch
):
    monkeypatch.setitem(COLOR_MODES, name, MORE_COLOR_MODES[name])
    output = tmp_path / "p.joblib"

    fitted = call("fit", folder, "-o", output, "--size", "8", "--color-mode", name)

    for finished in (fitted, call("show", output)):
        assert finished.status == 0
        lines = [line for line in finished.out.splitlines() if not line.startswith("Wrote ")]
        table = lines[-len(MORE_COLOR_MODES[name].channels) :]
        assert [row.split()[0] for row in table] == list(MORE_COLOR_MODES[name].channels)


def test_fit_saves_what_fit_in_python_learns(fitted, folder):
    saved = joblib.load(fitted[1])
    expected = make_image_pipeline(SIZE).fit(load_image_folder(folder).filenames)
    assert repr(saved) == repr(expected)
    assert saved["scale"].statistics_ == expected["scale"].statistics_
    assert saved["scale"].n_samples_seen_ == 24
    for name in ("mean_", "var_", "scale_", "n_features_in_"):
        assert np.array_equal(getattr(saved["scale"], name), getattr(expected["scale"], name))


def test_fit_hands_every_option_to_its_step(folder, tmp_path, call):
    output = tmp_path / "pipeline.joblib"
    finished = call(
        *("fit", folder, "-o", output, "--size", "40", "--color-mode", "grayscale"),
        *("--interpolation", "bicubic", "--aspect-ratio", "crop", "--on-error", "blank"),
        *("--scaler", "minmax", "--quantile-range", "5", "95", "--feature-range", "-1", "1"),
        *("--clip", "--jobs", "2"),
    )
    assert finished.status == 0
    expected = make_image_pipeline(
        40,
        ChannelMinMaxScaler((-1, 1), quantile_range=(5, 95), clip=True),
        color_mode="grayscale",
        interpolation="bicubic",
        aspect_ratio="crop",
        on_error="blank",
    ).fit(load_image_folder(folder).filenames)
    saved = joblib.load(output)
    assert saved.get_params(deep=True).keys() == expected.get_params(deep=True).keys()
    for step in ("load", "resize", "scale"):
        assert saved[step].get_params() == expected[step].get_params()
    levels = np.asarray(expected[:2].transform(load_image_folder(folder).filenames)).ravel()
    low, high = np.percentile(levels, (5, 95))
    assert table_rows(finished.out)["grey"][:2] == [low, high]


def test_fit_takes_the_fast_engine_too(folder, tmp_path, call):
    output = tmp_path / "pipeline.joblib"
    assert call("fit", folder, "-o", output, "--size", "9", "--engine", "simd").status == 0
    assert joblib.load(output)["resize"].engine == "simd"


def test_fit_stops_at_a_broken_file_and_writes_nothing(with_broken, tmp_path, call):
    folder, broken = with_broken
    finished = call("fit", folder, "-o", tmp_path / "p.joblib")
    assert_refused(finished, "image 1, ", broken[0], "truncated")
    assert names_of(tmp_path) == ["flat"]


def test_fit_names_each_file_that_it_leaves_out(with_broken, tmp_path, call):
    folder, broken = with_broken
    output = tmp_path / "p.joblib"
    finished = call("fit", folder, "-o", output, "--on-error", "blank", "--size", "16")
    assert finished.status == 0
    assert "fitted on 7 images" in finished.out
    lines = finished.err.splitlines()
    assert len(lines) == 3
    for line, path in zip(lines, broken, strict=True):
        assert line.startswith(f"sknorm-images: warning: {path}: image file is truncated")
    good = [path for path in load_image_folder(folder).filenames if path not in broken]
    expected = make_image_pipeline(16).fit(good)["scale"]
    assert joblib.load(output)["scale"].statistics_ == expected.statistics_


def test_a_folder_of_broken_files_alone_is_refused(tmp_path, call):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(b"nothing")
    output = tmp_path / "p.joblib"
    finished = call("fit", tmp_path / "photos", "-o", output, "--on-error", "blank")
    assert finished.status == 2
    assert "None of the 3 images can be read" in finished.err.splitlines()[-1]
    assert not output.exists()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--size", "0"], "--size 0"),
        (["--size", "64,64"], "HEIGHTxWIDTH"),
        (["--size", "64x"], "HEIGHTxWIDTH"),
        (["--scaler", "robust"], "robust is not known. Pass one of 'standard', 'minmax'."),
        (["--color-mode", "cmyk"], "--color-mode cmyk is not known"),
        (["--interpolation", "cubic"], "--interpolation cubic"),
        (["--aspect-ratio", "keep"], "--aspect-ratio keep"),
        (["--engine", "gpu"], "--engine gpu"),
        (["--engine", "simd", "--interpolation", "box"], "--engine simd"),
        (["--on-error", "skip"], "--on-error skip is not known. Pass one of 'raise', 'blank'"),
        (["--jobs", "0"], "--jobs 0 means"),
        (["--formats", "BMPEG"], "--formats BMPEG holds a name that Pillow cannot open"),
        (["--formats", "JPEG,,PNG"], "--formats 'JPEG,,PNG' holds an empty name"),
        (["--extensions", ""], "--extensions '' holds an empty name"),
        (["--max-pixels", "0"], "--max-pixels 0 is out of range"),
        (["--max-scans", "-1"], "--max-scans -1 is out of range"),
        (["--clip"], "--scaler standard takes no --clip"),
        (["--quantile-range", "1", "99"], "takes no --quantile-range"),
        (["--scaler", "minmax", "--quantile-range", "9", "1"], "--quantile-range 9.0 1.0"),
        (["--scaler", "minmax", "--feature-range", "1", "1"], "--feature-range 1.0 1.0"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, words, folder, tmp_path, call):
    output = tmp_path / "p.joblib"
    assert_refused(call("fit", folder, "-o", output, *options), words)
    assert names_of(tmp_path) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["fit", "photos"], "Missing option '--output' / '-o'"),
        (["fit", "-o", "p"], "Missing argument 'DIR'"),
        (["fit", "photos", "-o", "p", "--jobs", "many"], "Invalid value for '--jobs' / '-j'"),
        (["fit", "photos", "-o", "p", "--scalar", "minmax"], "--scalar"),
        (["show"], "Missing argument 'FILE'"),
        (["check"], "Missing argument 'DIR'"),
        (["train", "photos"], "No such command 'train'"),
        (["--verbose"], "--verbose"),
    ],
)
def test_arguments_that_are_missing_or_unknown_are_refused(arguments, words, call):
    help_of = f"{arguments[0]} --help" if arguments[0] in COMMANDS else "--help"
    refused = call(*arguments)
    assert_refused(refused, f"sknorm-images {arguments[0]}: ", words)
    assert refused.err.endswith(f" See `sknorm-images {help_of}`.\n")


def test_help_is_wrapped_at_the_width_of_the_terminal_alone(call, monkeypatch):
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setenv("TERMINAL_WIDTH", "400")
    [leak] = [line for line in call("check", "--help").out.splitlines() if "A leak is" in line]
    assert "such as train and test. A damaged file can be read" in leak


def test_an_unknown_command_is_refused_with_the_one_that_was_meant(call):
    assert_refused(call("fitt", "photos"), "'fitt'. Did you mean 'fit'? See `sknorm-images ")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--formats", "JPEG", "--formats", "PNG"], "--formats was given 2 times"),
        (["--extensions=.jpg", "--extensions", ".png"], "with commas between names"),
        (["-j", "1", "-j2", "--jobs=1"], "--jobs was given 3 times"),
    ],
)
def test_an_option_that_is_given_twice_is_refused(arguments, words, folder, call):
    assert_refused(call("check", folder, *arguments), words)


def test_a_folder_may_be_named_as_an_argument_is(folder, tmp_path, call, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("directories").symlink_to(folder)
    Path("--jobs").symlink_to(folder)

    assert call("check", "directories", "directories").status == 0
    assert call("check", "--", "--jobs", "--jobs").status == 0


def test_without_a_command_it_says_which_there_are(call):
    finished = call()
    assert (finished.status, finished.err) == (0, "")
    for command in COMMANDS:
        assert re.search(rf"^│ {command} ", finished.out, re.M)


def test_a_missing_library_is_named(folder, tmp_path, call, monkeypatch):
    monkeypatch.setitem(sys.modules, "cykooz_resizer", None)
    monkeypatch.delitem(sys.modules, "sknorm_images._images.simd", raising=False)
    monkeypatch.delattr("sknorm_images._images.simd", raising=False)
    finished = call("fit", folder, "-o", tmp_path / "p.joblib", "--engine", "simd")
    assert_refused(finished, 'pip install "sknorm-images[simd]"')


@pytest.mark.parametrize("command", ["fit", "transform", "check", "report"])
def test_a_folder_that_is_missing_or_without_images_is_refused(
    command, fitted, tmp_path, call
):
    missing, empty = tmp_path / "no such folder", tmp_path / "empty"
    empty.mkdir()
    options = {
        "fit": ["-o", tmp_path / "out"],
        "check": [],
    }.get(command, ["-p", fitted[1], "-o", tmp_path / "out"])
    finished = call(command, missing, *options)
    assert_refused(finished, f"sknorm-images {command}: ", str(missing))
    finished = call(command, empty, *options)
    assert_refused(finished, "has no files that end in .jpg, .jpeg, .jpe or .jfif")
    assert names_of(tmp_path) == ["empty"]


# Output files


def outputs(folder: Path, pipeline: Path, output: Path) -> list[list[str | Path]]:
    return [
        ["fit", folder, "--size", "8", "-o", output],
        ["transform", folder, "-p", pipeline, "-o", output],
        ["report", folder, "-p", pipeline, "-o", output],
    ]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["fit", "transform", "report"])
def test_an_output_is_overwritten_only_with_force(which, fitted, folder, tmp_path, call):
    output = tmp_path / "out"
    output.write_bytes(b"old")
    arguments = outputs(folder, fitted[1], output)[which]
    assert_refused(call(*arguments), str(output), "--force")
    assert output.read_bytes() == b"old"
    assert call(*arguments, "--force").status == 0
    assert len(output.read_bytes()) > 1000
    assert names_of(tmp_path) == ["out"]


@pytest.mark.parametrize("which", [0, 1, 2], ids=["fit", "transform", "report"])
def test_an_output_without_a_folder_is_refused(which, fitted, folder, tmp_path, call):
    output = tmp_path / "missing" / "out"
    finished = call(*outputs(folder, fitted[1], output)[which])
    assert_refused(finished, str(tmp_path / "missing"))


@pytest.mark.parametrize("which", [0, 1, 2], ids=["fit", "transform", "report"])
def test_a_wrong_suffix_is_refused_before_a_folder_is_read(which, tmp_path, call):
    right = ("joblib", "npz", "html")[which]
    for wrong in {"x.npz", "x.html", "x.joblib", "x.keras", "x.v2.PNG"} - {f"x.{right}"}:
        finished = call(
            *outputs(tmp_path / "none", tmp_path / "none", tmp_path / wrong)[which]
        )
        assert_refused(
            finished,
            str(tmp_path / wrong),
            f"Pass --output '{(tmp_path / wrong).with_suffix('.' + right)}'",
        )


@pytest.mark.parametrize("name", ["out.v2", "out.2026", "photos.final", "out.1.0"])
def test_what_follows_a_dot_is_part_of_the_name_if_it_names_no_other_kind_of_file(
    name, folder, tmp_path, call
):
    assert call("fit", folder, "--size", "8", "-o", tmp_path / name).status == 0
    assert isinstance(joblib.load(tmp_path / name), Pipeline)
    assert names_of(tmp_path) == [name]


def test_a_tilde_stands_for_the_home_folder_in_every_path(
    folder, tmp_path, call, monkeypatch, undrawn
):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "photos").symlink_to(folder)
    commands = outputs("~/photos", "~/p.joblib", "~/p.joblib")
    for arguments, output in zip(commands, ("p.joblib", "x.npz", "r.html"), strict=True):
        finished = call(*arguments[:-1], f"~/{output}")
        assert finished.status == 0, finished
        size = (tmp_path / output).stat().st_size
        assert finished.out.endswith(f" to {tmp_path}/{output} ({size / 1000:,.1f} kB)\n")
    assert call("check", "~/photos").status == 0
    assert call("show", "~/p.joblib").status == 0
    assert_refused(call("demo", "--data", "~/photos/flower"), f"{tmp_path}/photos/flower")
    assert_refused(call("check", "~nobody-of-this-name/x"), "'~nobody-of-this-name/x'")


def test_a_folder_for_a_file_and_a_file_for_a_folder_are_refused(
    folder, tmp_path, call, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    file = load_image_folder(folder).filenames[0]
    for command in (["check"], ["fit", "-o", tmp_path / "p"], ["demo", "--data"]):
        assert_refused(call(*command, file), f"{file!r} is a file, and a folder is expected")
    for command in (["show", folder], ["report", folder, "-p", folder, "-o", tmp_path / "r"]):
        assert_refused(call(*command), f"{str(folder)!r} is a folder, and a saved pipeline")


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [
        (0, "0 bytes"),
        (999, "999 bytes"),
        (1_000, "1.0 kB"),
        (999_949, "999.9 kB"),
        (999_951, "1.0 MB"),
        (150_528_384, "150.5 MB"),
        (10**13, "10,000.0 GB"),
    ],
)
def test_sizes_are_shown_in_decimal_units(n_bytes, shown):
    assert show_size(n_bytes) == shown


def test_an_output_that_is_a_folder_is_refused(folder, tmp_path, call):
    finished = call("fit", folder, "-o", tmp_path, "--force")
    assert_refused(finished, str(tmp_path), "is not a file")


def test_an_output_that_is_no_regular_file_is_refused(folder, tmp_path, call):
    os.mkfifo(tmp_path / "pipe")
    finished = call("fit", folder, "-o", tmp_path / "pipe", "--force")
    assert_refused(finished, "pipe", "is not a file")
    assert (tmp_path / "pipe").is_fifo()


def test_an_output_that_is_a_link_is_written_where_it_leads(folder, tmp_path, call):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere" / "p.joblib")
    assert call("fit", folder, "-o", tmp_path / "link", "--size", "8").status == 0
    assert (tmp_path / "link").is_symlink()
    assert isinstance(joblib.load(tmp_path / "elsewhere" / "p.joblib"), Pipeline)


def test_a_folder_that_cannot_be_written_to_is_found_early(folder, call, monkeypatch):
    def fit(*_):
        raise AssertionError("has begun")

    monkeypatch.setattr(Pipeline, "fit", fit)
    assert_refused(call("fit", folder, "-o", "/proc/p.joblib"), "/proc/p.joblib")


def test_what_fails_leaves_the_old_output_as_it_was(with_broken, tmp_path, call):
    output = tmp_path / "p.joblib"
    output.write_bytes(b"old")
    assert_refused(call("fit", with_broken[0], "-o", output, "--force"), "truncated")
    assert output.read_bytes() == b"old"
    assert names_of(tmp_path) == ["flat", "p.joblib"]


def test_an_output_has_the_permissions_that_the_user_gives_to_files(folder, tmp_path, call):
    (tmp_path / "plain").write_bytes(b"")
    assert call("fit", folder, "-o", tmp_path / "p", "--size", "8").status == 0
    assert (tmp_path / "p").stat().st_mode == (tmp_path / "plain").stat().st_mode


# transform


def test_transform_writes_what_the_pipeline_gives(fitted, folder, tmp_path):
    output = tmp_path / "train.npz"
    finished = run("transform", folder, "-p", fitted[1], "-o", output)
    size = output.stat().st_size
    told = f"Wrote 24 images of 32 x 48 x 3 as float32 to {output} ({size / 1000:,.1f} kB)\n"
    assert finished == (0, told, "")
    photos = load_image_folder(folder)
    expected = joblib.load(fitted[1]).transform(photos.filenames)
    with np.load(output) as saved:  # which refuses pickled objects
        assert set(saved) == {"images", "labels", "class_names", "filenames", "sample_weight"}
        assert saved["images"].dtype == np.float32
        assert np.array_equal(saved["images"], expected)
        assert np.array_equal(saved["labels"], photos.target)
        assert saved["labels"].dtype == np.int64
        assert saved["class_names"].tolist() == ["flower", "old temple"]
        assert saved["filenames"].tolist() == photos.filenames.tolist()
        assert np.array_equal(saved["sample_weight"], np.ones(24))


def test_a_folder_without_classes_has_no_labels(fitted, folder, tmp_path, call):
    output = tmp_path / "out.npz"
    assert call("transform", folder / "flower", "-p", fitted[1], "-o", output).status == 0
    with np.load(output) as saved:
        assert set(saved) == {"images", "filenames", "sample_weight"}
        assert len(saved["images"]) == 12


@pytest.fixture
def train_and_test(photos, tmp_path) -> tuple[Path, Path]:
    """Three classes to train on, and test files of two of them."""
    names = {"train": ("cat", "dog", "fox"), "test": ("cat", "fox")}
    for part, classes in names.items():
        for name in classes:
            path = tmp_path / part / name / "1.jpg"
            path.parent.mkdir(parents=True)
            path.write_bytes(encode(photos[0].crop((0, 0, 40, 30))))
    return tmp_path / "train", tmp_path / "test"


def labels_in(file: Path) -> tuple[list[int], list[str]]:
    with np.load(file) as saved:
        return saved["labels"].tolist(), saved["class_names"].tolist()


def test_a_later_folder_is_numbered_as_the_folder_of_fit_was(train_and_test, tmp_path, call):
    train, test = train_and_test
    saved, output = tmp_path / "p.joblib", tmp_path / "x.npz"
    assert call("fit", train, "-o", saved, "--size", "8").status == 0
    assert "classes: 0 cat, 1 dog, 2 fox\n" in call("show", saved).out

    finished = call("transform", test, "-p", saved, "-o", output)

    assert (finished.status, finished.err) == (0, "")
    assert labels_in(output) == ([0, 2], ["cat", "dog", "fox"])
    finished = call("transform", train, "-p", saved, "-o", output, "--force")
    assert (finished.status, finished.err) == (0, "")
    assert labels_in(output) == ([0, 1, 2], ["cat", "dog", "fox"])
    (test / "wolf").mkdir()
    refused = call("transform", test, "-p", saved, "-o", output, "--force")
    assert_refused(refused, "'wolf'", "--class-names", "`fit` saved these names")


def test_class_names_may_be_said_by_hand(train_and_test, tmp_path, call):
    train, test = train_and_test
    saved, output = tmp_path / "p.joblib", tmp_path / "x.npz"
    names = ("--class-names", "fox,dog,cat")
    assert call("fit", test, "-o", saved, "--size", "8", *names).status == 0
    assert "classes: 0 fox, 1 dog, 2 cat\n" in call("show", saved).out
    assert call("transform", test, "-p", saved, "-o", output).status == 0
    assert labels_in(output) == ([0, 2], ["fox", "dog", "cat"])

    names = ("--class-names", "dog, cat, fox")
    finished = call("transform", train, "-p", saved, "-o", output, "--force", *names)
    assert finished.status == 0
    assert labels_in(output) == ([0, 1, 2], ["dog", "cat", "fox"])
    [line] = finished.err.splitlines()
    assert "--class-names numbers 0 dog, 1 cat, 2 fox, and the pipeline was fitted" in line
    assert "with 0 fox, 1 dog, 2 cat. Leave --class-names out" in line
    names = ("--class-names", "fox,dog,cat,wolf")  # a new one at the end shifts nothing
    finished = call("transform", train, "-p", saved, "-o", output, "--force", *names)
    assert (finished.status, finished.err) == (0, "")

    refused = call("fit", train, "-o", saved, "--force", "--class-names", "dog,cat")
    assert_refused(refused, "'fox'", "not among --class-names dog,cat. Add")
    (test / "dog").mkdir()
    refused = call("fit", test, "-o", saved, "--force")
    assert_refused(refused, "dog", "name all classes with --class-names")


def test_class_names_said_by_hand_are_refused_for_a_folder_without_classes(
    train_and_test, fitted, tmp_path, call
):
    flat = train_and_test[1] / "cat"
    for arguments in (["fit", flat], ["transform", flat, "-p", fitted[1]]):
        finished = call(*arguments, "-o", tmp_path / "out", "--class-names", "cat,fox")
        assert_refused(finished, "no sub-folders", "leave --class-names out")


def test_class_names_survive_every_way_to_save_a_pipeline(train_and_test, tmp_path, call):
    saved = tmp_path / "p.joblib"
    assert call("fit", train_and_test[0], "-o", saved, "--size", "8").status == 0
    pipeline = joblib.load(saved)

    skops.io.dump(pipeline, tmp_path / "p.skops")
    unknown = skops.io.get_untrusted_types(file=tmp_path / "p.skops")
    copies = [
        pickle.loads(pickle.dumps(pipeline)),
        skops.io.load(tmp_path / "p.skops", trusted=unknown),
    ]

    assert [copy.class_names_ for copy in copies] == [["cat", "dog", "fox"]] * 2


def test_a_pipeline_without_class_names_says_how_it_numbers(train_and_test, tmp_path, call):
    saved, output = tmp_path / "p.joblib", tmp_path / "x.npz"
    train, test = train_and_test
    joblib.dump(make_image_pipeline(8).fit(load_image_folder(train).filenames), saved)

    finished = call("transform", test, "-p", saved, "-o", output)

    assert finished.status == 0
    assert "numbers its classes: 0 cat, 1 fox. Pass --class-names" in finished.err
    assert labels_in(output) == ([0, 1], ["cat", "fox"])
    assert "classes:" not in call("show", saved).out
    flat = call("transform", test / "cat", "-p", saved, "-o", output, "--force")
    assert (flat.status, flat.err) == (0, "")


@pytest.fixture
def mixed(photos, tmp_path) -> Path:
    """34 images, six of them .jpg, and what nobody thinks of as files."""
    folder = tmp_path / "mixed"
    kinds = ["jpg"] * 6 + ["png"] * 20 + ["webp"] * 8
    for i, kind in enumerate(kinds):
        path = folder / ("flower", "old temple")[i % 2] / f"{i:02}.{kind}"
        path.parent.mkdir(parents=True, exist_ok=True)
        photo = photos[i % 2].crop((i, i, i + 40, i + 30))
        path.write_bytes(encode(photo, {"jpg": "JPEG"}.get(kind, kind.upper())))
    (folder / "flower" / "Thumbs.db").write_bytes(b"thumbs")
    (folder / "@eaDir").mkdir()
    (folder / "@eaDir" / "00.jpg").write_bytes(b"thumb")
    return folder


READERS = ["check", "fit", "transform", "report"]


def read_with(command: str, folder: Path, pipeline: Path, output: Path) -> list[str | Path]:
    more = {"check": [], "fit": ["--size", "8", "-o", output]}
    return [command, folder, *more.get(command, ["-p", pipeline, "-o", output])]


@pytest.mark.parametrize("command", READERS)
@pytest.mark.usefixtures("undrawn")
def test_the_files_that_are_passed_over_are_told_in_a_line(
    command, mixed, fitted, tmp_path, call
):
    finished = call(*read_with(command, mixed, fitted[1], tmp_path / "out"))

    assert finished.status == 0
    told = "28 files passed over: 20 .png, 8 .webp (see --extensions)"
    assert finished.err == f"sknorm-images: {told}\n"
    if command == "check":
        assert summary_of(finished) == "6 files: 0 broken, 0 damaged, 0 duplicates"


@pytest.mark.parametrize("command", READERS)
@pytest.mark.usefixtures("undrawn")
def test_extensions_and_formats_read_them_all(command, mixed, fitted, tmp_path, call):
    arguments = read_with(command, mixed, fitted[1], tmp_path / "out")

    options = ("--extensions", ".jpg,png, WEBP", "--formats", "JPEG,PNG,webp")
    finished = call(*arguments, *options)

    assert (finished.status, finished.err) == (0, "")
    if command == "check":
        assert summary_of(finished) == "34 files: 0 broken, 0 damaged, 0 duplicates"
    elif command == "fit":
        assert "fitted on 34 images" in finished.out
        assert joblib.load(tmp_path / "out")["load"].formats == ("JPEG", "PNG", "webp")
    elif command == "transform":
        with np.load(tmp_path / "out") as saved:
            assert len(saved["images"]) == 34


@pytest.mark.parametrize("command", READERS)
@pytest.mark.usefixtures("undrawn")
def test_what_an_error_advises_works_as_it_is_typed(command, mixed, fitted, tmp_path, call):
    """From a folder without JPEG files to the result, by the advice of the program alone."""
    for path in mixed.rglob("*.jpg"):
        path.unlink()
    arguments = read_with(command, mixed, fitted[1], tmp_path / "out")

    refused = call(*arguments)
    assert_refused(refused, "20 .png, 8 .webp", "pass --extensions .jpg,")
    arguments += re.search(r"--extensions \S+\w", refused.err)[0].split()
    formats = "JPEG"
    while True:  # until all that is found is let in
        finished = call(*arguments, "--formats", formats)
        text = finished.out + finished.err
        if command == "report" and (tmp_path / "out").exists():
            text += (tmp_path / "out").read_text("utf-8")
            (tmp_path / "out").unlink()
        advised = re.search(
            r"this command reads --formats .*?; to accept it, pass --formats ([A-Z,]+)", text
        )
        if advised is None:
            break
        assert advised[1].startswith(f"{formats},")
        formats = advised[1]

    assert finished.status == 0
    assert set(formats.split(",")) == {"JPEG", "PNG", "WEBP"}


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize(
    "option", ["--extensions", "--formats", "--max-pixels", "--max-scans", "--jobs"]
)
def test_every_command_that_reads_files_has_the_options_for_it(command, option, call):
    assert re.search(rf"{option}\b", call(command, "--help").out)


def test_too_many_pixels_are_refused_by_the_option_and_let_in_by_it(tmp_path, call, photos):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "1.jpg").write_bytes(encode(photos[0].crop((0, 0, 40, 30))))
    output = tmp_path / "p.joblib"
    fit = ("fit", folder, "-o", output, "--size", "8")

    refused = call(*fit, "--max-pixels", "1199")
    assert_refused(refused, "40 x 30 pixels are more than --max-pixels 1199", "--on-error")
    assert "more than --max-pixels 1199" in call("check", folder, "--max-pixels", "1199").out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Image, "MAX_IMAGE_PIXELS", 500)  # Pillow's limit is no obstacle
        assert call("check", folder, "--max-pixels", "1200").status == 0
        assert call(*fit, "--max-pixels", "1200").status == 0
        saved = ("-p", output, "-o", tmp_path / "x")
        assert call("transform", folder, *saved).status == 0
        assert Image.MAX_IMAGE_PIXELS == 500
    refused = call("transform", folder, *saved, "--force", "--max-pixels", "9")
    assert_refused(refused, "--max-pixels 9", "--on-error blank")
    assert (
        "more than --max-pixels 9"
        in call(
            "transform", folder, *saved, "--force", "--max-pixels", "9", "--on-error", "blank"
        ).err
    )


@pytest.mark.parametrize("command", ["fit", "transform"])
def test_what_is_advised_for_a_broken_file_works_as_it_is_typed(
    command, with_broken, fitted, tmp_path, call
):
    arguments = read_with(command, with_broken[0], fitted[1], tmp_path / "out")
    refused = call(*arguments)
    assert_refused(refused, "Repair or remove it, or pass --on-error blank.")

    finished = call(*arguments, "--on-error", "blank")

    assert finished.status == 0
    assert len(finished.err.splitlines()) == 3


@pytest.mark.parametrize("command", READERS)
@pytest.mark.parametrize("case", ["broken", "png", "pixels", "stray", "empty class", "none"])
@pytest.mark.usefixtures("undrawn")
def test_every_option_that_an_error_names_exists(
    command, case, photos, fitted, tmp_path, call
):
    folder = tmp_path / "class_names=size=3 formats"  # a name is not a parameter
    photo = photos[0].crop((0, 0, 40, 30))
    contents = {"cat/1.jpg": encode(photo), "dog/1.jpg": encode(photo.rotate(180))}
    contents |= {
        "broken": {"dog/2.jpg": encode(photo)[:-300]},
        "png": {"dog/2.jpg": encode(photo, "PNG")},
        "pixels": {"dog/2.jpg": claim_size(encode(photo), 60_000, 60_000)},
        "stray": {"2.jpg": encode(photo.rotate(90))},
        "empty class": {"fox/1.png": encode(photo, "PNG")},
        "none": {"cat/1.jpg": b"", "dog/1.jpg": b"", "fox/1.gif": b""},
    }[case]
    for name, content in contents.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)

    finished = call(*read_with(command, folder, fitted[1], tmp_path / "out"))

    said = (finished.out + finished.err).replace(str(folder), "DIR")
    parameters = (
        "extensions|class_names|formats|max_pixels|max_scans|color_profile|background|"
        "on_error|n_jobs"
    )
    assert not re.search(
        rf"\b({parameters})=|class_names|on_error|max_pixels|JpegLoader", said
    )
    named = set(re.findall(r"(?<!\bfit )--[a-z-]+", said))  # `check` advises on `fit`
    assert named <= set(re.findall(r"--[a-z-]+", call(command, "--help").out))


def test_check_fit_and_python_see_the_same_files(photos, fitted, tmp_path, call):
    """With links, hidden files, files of systems, and names in every case."""
    folder, disk = tmp_path / "photos", tmp_path / "disk"
    names = ["cat/1.JPG", "cat/deep/2.jfif", "dog/3.jpe", "dog/.x/4.jpg", "dog/@eaDir/5.jpg"]
    for i, path in enumerate([*(folder / name for name in names), disk / "6.jpeg"]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(photos[0].crop((9 * i, 0, 9 * i + 40, 30))))
    (folder / "dog" / "more").symlink_to(disk)
    (folder / "dog" / "circle").symlink_to(folder)
    (folder / "cat" / "deep" / "link.jpg").symlink_to(disk / "6.jpeg")
    expected = ["cat/1.JPG", "cat/deep/2.jfif", "cat/deep/link.jpg", "dog/3.jpe"]
    expected = [str(folder / name) for name in [*expected, "dog/more/6.jpeg"]]

    assert load_image_folder(folder).filenames.tolist() == expected
    rows = json.loads(call("check", "--json", folder).out)
    assert [row["filename"] for row in rows] == expected
    saved, output = tmp_path / "p.joblib", tmp_path / "x.npz"
    assert "fitted on 5 images" in call("fit", folder, "-o", saved, "--size", "8").out
    assert call("transform", folder, "-p", saved, "-o", output).status == 0
    with np.load(output) as arrays:
        assert arrays["filenames"].tolist() == expected
        assert arrays["labels"].tolist() == [0, 0, 0, 1, 1]


def test_folders_in_one_another_count_what_is_passed_over_once(mixed, call):
    finished = call("check", mixed / "flower", mixed, mixed / "old temple", f"{mixed}/")

    assert finished.err == (
        "sknorm-images: 28 files passed over: 20 .png, 8 .webp (see --extensions)\n"
    )


def test_files_beside_the_classes_are_told_with_class_names(train_and_test, tmp_path, call):
    train, _ = train_and_test
    (train / "stray.jpg").write_bytes((train / "cat" / "1.jpg").read_bytes())

    names = ("--class-names", "cat,dog,fox")
    finished = call("fit", train, "-o", tmp_path / "p", "--size", "8", *names)

    assert finished.status == 0
    assert finished.err == (
        "sknorm-images: 1 file passed over: 1 .jpg beside the sub-folders, so their class is "
        "unknown\n"
    )


def test_fit_warns_of_a_folder_of_train_and_test(
    train_and_test, fitted, tmp_path, call, monkeypatch
):
    root = train_and_test[0].parent
    monkeypatch.setattr("warnings.filters", [])  # those that make errors of warnings

    finished = call("fit", root, "-o", tmp_path / "p", "--size", "8")

    assert finished.status == 0
    [line] = finished.err.splitlines()
    assert f"Load each by itself, such as '{root}/train'." in line
    assert line.endswith("If they really are the classes, pass --class-names.")
    names = ("--class-names", "train,test")
    finished = call("fit", root, "-o", tmp_path / "p", "--size", "8", "--force", *names)
    assert (finished.status, "warning" in finished.err) == (0, False)


@pytest.mark.parametrize("batch", [1, 2**24])
def test_transform_names_the_first_broken_file_and_its_place_in_the_folder(
    batch, with_broken, fitted, tmp_path, call, monkeypatch
):
    monkeypatch.setattr("sknorm_images.cli._batches._BYTES_PER_BATCH", batch)
    monkeypatch.setattr("sknorm_images.cli._batches.cpu_count", lambda: 1)  # 4 a batch
    folder, broken = with_broken
    (folder / "1.jpg").unlink()
    output = tmp_path / "out"
    finished = call("transform", folder, "-p", fitted[1], "-o", output, "-j", "1")
    assert_refused(finished, "image 7, ", broken[1])
    assert not output.exists()


def test_images_left_blank_are_zeros_of_weight_0(with_broken, tmp_path, call, monkeypatch):
    monkeypatch.setattr("sknorm_images.cli._batches._BYTES_PER_BATCH", 1)
    monkeypatch.setattr("sknorm_images.cli._batches.cpu_count", lambda: 1)  # 4, 4 and 2
    folder, broken = with_broken
    files = load_image_folder(folder).filenames
    pipeline = make_image_pipeline(16, on_error="blank")
    with pytest.warns(UserWarning, match="3 of 10"):
        pipeline.fit(files)
    joblib.dump(pipeline, tmp_path / "p.joblib")
    output = tmp_path / "out.npz"
    finished = call("transform", folder, "-p", tmp_path / "p.joblib", "-o", output)
    assert finished.status == 0
    assert finished.out.startswith(
        "Wrote 10 images of 16 x 16 x 3 as float32 (3 of them blank)"
    )
    assert [line.split(": ")[2] for line in finished.err.splitlines()] == broken
    with pytest.warns(UserWarning, match="3 of 10"):
        expected = pipeline.transform(files)
    with np.load(output) as saved:
        assert np.array_equal(saved["images"], expected)
        assert saved["sample_weight"].tolist() == [1, 0, 1, 1, 1, 1, 1, 1, 0, 0]
        assert not saved["images"][[1, 8, 9]].any()


def test_images_of_which_none_can_be_read_are_refused(tmp_path, call):
    (tmp_path / "photos").mkdir()
    for i in range(3):
        (tmp_path / "photos" / f"{i}.jpg").write_bytes(b"nothing")
    scaler = ChannelStandardScaler(mean=120, std=60)
    joblib.dump(make_image_pipeline(8, scaler, on_error="blank"), tmp_path / "p")
    output = tmp_path / "out.npz"
    finished = call("transform", tmp_path / "photos", "-p", tmp_path / "p", "-o", output)
    assert finished.status == 2
    assert (
        "none of the 3 images can be read, so there is nothing to write"
        in finished.err.splitlines()[-1]
    )
    assert not output.exists()


def test_a_pipeline_without_a_scaler_has_nothing_to_report(folder, tmp_path, call):
    joblib.dump(make_image_pipeline(8)[:-1], tmp_path / "p")
    finished = call("report", folder, "-p", tmp_path / "p", "-o", tmp_path / "out.html")
    assert_refused(finished, "no statistics to report. Pass one that has")


def test_steps_behind_the_scaler_are_done_too(with_broken, tmp_path, call):
    folder, _ = with_broken
    files = load_image_folder(folder).filenames
    pipeline = make_image_pipeline(16, on_error="blank")
    pipeline = Pipeline(
        [*pipeline.steps, ("off", "passthrough"), ("rows", ImageFlattener()), ("pca", PCA(3))]
    ).set_output(transform="pandas")
    with pytest.warns(UserWarning, match="3 of 10"):
        expected = pipeline.fit_transform(files)
    joblib.dump(pipeline, tmp_path / "p.joblib")
    output = tmp_path / "out.npz"
    assert call("transform", folder, "-p", tmp_path / "p.joblib", "-o", output).status == 0
    with np.load(output) as saved:
        assert saved["images"].shape == (10, 3)
        np.testing.assert_allclose(saved["images"], expected, atol=1e-4)


def test_a_pipeline_within_a_pipeline_is_taken_apart(fitted, folder, tmp_path, call):
    inner = joblib.load(fitted[1])
    files = load_image_folder(folder).filenames
    expected = inner.transform(files)
    whole = Pipeline([("images", inner), ("rows", ImageFlattener())]).fit(files)
    joblib.dump(whole, tmp_path / "p")
    output = tmp_path / "out.npz"
    assert call("transform", folder, "-p", tmp_path / "p", "-o", output).status == 0
    with np.load(output) as saved:
        assert np.array_equal(saved["images"], expected.reshape(24, -1))
    assert "fitted on 24 images" in call("show", tmp_path / "p").out


def test_a_matrix_that_a_scaler_learned_is_shown_row_by_row(pixels, tmp_path, call):
    scaler = ChannelWhitener().fit(pixels)
    joblib.dump(Pipeline([("scale", scaler)]), tmp_path / "p")

    finished = call("show", tmp_path / "p")

    printed = list(table_rows(finished.out).values())
    expected = np.column_stack([scaler.mean_, scaler.covariance_, scaler.whitening_])
    np.testing.assert_allclose(printed, expected, rtol=1e-5)


def test_a_scaler_that_the_command_line_does_not_know_is_served(with_broken, tmp_path, call):
    folder, broken = with_broken
    pipeline = make_image_pipeline(16, ChannelMedianScaler(), on_error="blank")
    files = load_image_folder(folder).filenames
    good = [path for path in files if path not in broken]
    joblib.dump(pipeline.fit(good), tmp_path / "p")
    pixels = np.asarray(pipeline[:2].transform(good))
    low, center, high = np.percentile(pixels.reshape(-1, 3), (25, 50, 75), axis=0)
    finished = call("show", tmp_path / "p")
    assert "ChannelMedianScaler, fitted on 7 images" in finished.out
    expected = np.stack([center, high - low], axis=1)
    np.testing.assert_allclose(list(table_rows(finished.out).values()), expected, rtol=1e-5)
    output = tmp_path / "out.npz"
    assert call("transform", folder, "-p", tmp_path / "p", "-o", output).status == 0
    with np.load(output) as saved:
        scaled = (pixels - center) / (high - low)
        weights = saved["sample_weight"]
        np.testing.assert_allclose(saved["images"][weights == 1], scaled, atol=1e-6)
        assert not saved["images"][weights == 0].any()
        assert weights.sum() == 7


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_images_are_of_the_dtype_that_is_asked_for(dtype, fitted, folder, tmp_path, call):
    output = tmp_path / "out.npz"
    arguments = ["transform", folder, "-p", fitted[1], "-o", output, "--dtype", dtype]
    assert call(*arguments).status == 0
    expected = joblib.load(fitted[1]).transform(load_image_folder(folder).filenames)
    with np.load(output) as saved:
        assert saved["images"].dtype == dtype
        assert np.array_equal(saved["images"], expected.astype(dtype))


def test_a_dtype_that_holds_no_scaled_values_is_refused(fitted, folder, tmp_path, call):
    for dtype in ("uint8", "int64", "complex64", "nonsense"):
        finished = call(
            *("transform", folder, "-p", fitted[1], "-o", tmp_path / "out", "--dtype", dtype)
        )
        assert_refused(finished, f"--dtype {dtype}", "float32")


def test_values_that_overflow_are_refused_and_nothing_is_written(folder, tmp_path, call):
    pipeline = make_image_pipeline(16, ChannelMinMaxScaler((0, 1e6), data_range=(0, 255)))
    joblib.dump(pipeline, tmp_path / "p.joblib")
    output = tmp_path / "out.npz"
    arguments = ["transform", folder, "-p", tmp_path / "p.joblib", "-o", output]
    assert_refused(call(*arguments, "--dtype", "float16"), "too large for float16")
    assert names_of(tmp_path) == ["p.joblib"]
    assert call(*arguments).status == 0


def test_a_pipeline_that_gives_no_numbers_is_refused(folder, tmp_path, call):
    steps = [*make_image_pipeline(8).steps, ("words", FunctionTransformer(as_words))]
    pipeline = Pipeline(steps).fit(load_image_folder(folder).filenames)
    joblib.dump(pipeline, tmp_path / "p.joblib")
    finished = call(
        *("transform", folder, "-p", tmp_path / "p.joblib", "-o", tmp_path / "out.npz")
    )
    assert_refused(finished, "dtype object, and an .npz file takes numbers")
    assert names_of(tmp_path) == ["p.joblib"]


def as_words(images: np.ndarray) -> np.ndarray:
    return images.astype(str).astype(object)


@pytest.fixture
def many(files: list[str], tmp_path: Path) -> Path:
    """480 files, of which many are the same."""
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(480):
        (folder / f"{i:03}.jpg").symlink_to(files[i % 24])
    return folder


def test_transform_holds_a_batch_in_memory_and_not_all(
    fitted, many, tmp_path, call, monkeypatch
):
    monkeypatch.setattr("sknorm_images.cli._batches._BYTES_PER_BATCH", 2**17)
    output = tmp_path / "out.npz"
    call("check", many)  # imports what is imported late
    tracemalloc.start()
    try:
        assert call("transform", many, "-p", fitted[1], "-o", output, "-j", "2").status == 0
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert output.stat().st_size > 480 * 32 * 48 * 3 * 4
    assert peak < output.stat().st_size / 3


def begin_transform(many: Path, pipeline: Path, output: Path) -> subprocess.Popen[str]:
    """Start to write images, and come back when some are on the disk."""
    process = subprocess.Popen(
        [*COMMAND, *map(str, ["transform", many, "-p", pipeline, "-o", output, "-j", "1"])],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=quiet_environment(),
    )
    deadline = time.monotonic() + 300
    while not any((output.parent / name).stat().st_size for name in parts_in(output.parent)):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    return process


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """A pipeline whose output is large: 3 MiB an image."""
    pipeline = make_image_pipeline(512, ChannelStandardScaler(mean=100, std=50))
    joblib.dump(pipeline, tmp_path / "large.joblib")
    return tmp_path / "large.joblib"


def test_a_killed_transform_leaves_nothing_under_the_name_of_the_output(many, large, tmp_path):
    output = tmp_path / "out.npz"
    with begin_transform(many, large, output) as process:
        process.kill()
        process.wait()
    assert process.returncode == -signal.SIGKILL  # it had not ended
    assert not output.exists()
    [part] = parts_in(tmp_path)  # hidden, and named after the program
    assert part.startswith(".sknorm-images-")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_transform_says_so_and_leaves_nothing(
    number, status, many, large, tmp_path
):
    output = tmp_path / "out.npz"
    with begin_transform(many, large, output) as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=300)
    assert process.returncode == status
    assert (out, "Traceback" in err) == ("", False)
    assert names_of(tmp_path) == ["large.joblib", "many"]


def test_a_full_disk_is_one_line_and_leaves_nothing(fitted, folder, tmp_path):
    output = tmp_path / "out.npz"
    limit = 200_000  # of 442,368 bytes of pixels
    # What coverage writes of the process may be larger than that, too.
    environment = {k: v for k, v in os.environ.items() if not k.startswith("COVERAGE_")}
    process = subprocess.run(
        [*COMMAND, "transform", str(folder), "-p", str(fitted[1]), "-o", str(output)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit)),
    )
    finished = Finished(process.returncode, process.stdout, process.stderr)
    assert_refused(finished, "File too large", str(output))
    assert names_of(tmp_path) == []


# Pipelines that cannot be used


def write_pipeline(path: Path, kind: str) -> None:
    if kind == "an estimator":
        joblib.dump(ChannelStandardScaler(), path)
    elif kind == "a table":
        joblib.dump({"a": 1}, path)
    elif kind == "cut off":
        joblib.dump(make_image_pipeline(8), path)
        path.write_bytes(path.read_bytes()[:-50])
    else:
        path.write_bytes(
            {"text": b"hello\n", "nothing": b"", "a photo": b"\xff\xd8\xff"}[kind]
        )


@pytest.mark.parametrize(
    "kind", ["an estimator", "a table", "cut off", "text", "nothing", "a photo"]
)
@pytest.mark.parametrize("command", ["show", "transform", "report"])
def test_a_file_that_is_no_pipeline_is_refused(command, kind, folder, tmp_path, call):
    path = tmp_path / "p.joblib"
    write_pipeline(path, kind)
    arguments = [path] if command == "show" else [folder, "-p", path, "-o", tmp_path / "out"]
    assert_refused(call(command, *arguments), str(path), "sknorm-images fit")
    assert names_of(tmp_path) == ["p.joblib"]


def test_a_pipeline_file_that_is_not_there_is_refused(tmp_path, call):
    missing = tmp_path / "p.joblib"
    assert_refused(call("show", missing), "sknorm-images show: ", str(missing))


def test_a_pipeline_of_other_steps_is_refused(folder, tmp_path, call):
    path = tmp_path / "p.joblib"
    for steps, word in (
        ([("pca", PCA())], "JpegLoader"),
        ([("nothing", "passthrough")], "begins with nothing"),
        ([("load", JpegLoader()), ("scale", ChannelStandardScaler(mean=1, std=2))], "Resizer"),
        (make_image_pipeline(8).steps, "not fitted"),
        (
            [*make_image_pipeline(8).steps, ("knn", KNeighborsClassifier())],
            "does not transform",
        ),
    ):
        joblib.dump(Pipeline(steps), path)
        for command in ("transform", "report"):
            finished = call(command, folder, "-p", path, "-o", tmp_path / "out")
            assert_refused(finished, word)


def test_warnings_are_lines_that_name_no_source(fitted, tmp_path, call, monkeypatch):
    content = fitted[1].read_bytes()
    path = tmp_path / "p.joblib"
    path.write_bytes(content.replace(b"\x8c\x050.1.0", b"\x8c\x059.1.0"))
    monkeypatch.setattr("warnings.filters", [])  # those that make errors of warnings
    finished = call("show", path)
    assert finished.status == 0
    [line] = finished.err.splitlines()
    assert line.startswith("sknorm-images: warning: This was saved by sknorm_images 9.1.0")


# check


@pytest.fixture
def twofold(photos: list[Image.Image], tmp_path: Path) -> tuple[Path, Path]:
    """Two folders: broken files, duplicates, and odd names, at any depth."""
    contents = [
        encode(photos[0].crop((50 * i, 0, 50 * i + 60, 40)), quality=80) for i in range(5)
    ]
    files = {
        "train/a.jpg": contents[0],
        "train/deep/er/b.JPEG": contents[1],
        "train/deep/c.jpg": contents[0],
        "train/.hidden/d.jpg": contents[0],
        "train/notes.txt": b"none",
        "train/[red]broken[/red] \n\x1b[31m.jpg": contents[2][:-60],
        "test/e.jpg": contents[1],
        "test/f.jpg": contents[3],
    }
    for name, content in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "train", tmp_path / "test"


def names_in(folder: Path) -> list[str]:
    """The files that are to be checked, found another way."""
    paths = (path for path in folder.rglob("*") if path.suffix.lower() in (".jpg", ".jpeg"))
    return [
        str(path)
        for path in sorted(paths)
        if not any(part.startswith(".") for part in path.relative_to(folder).parts)
    ]


def summary_of(finished: Finished) -> str:
    """The line that says how many files `check` found to be what."""
    [line] = [line for line in finished.out.splitlines() if re.match(r"[\d,]+ files?: ", line)]
    return line


def blocks_of(finished: Finished) -> dict[str, list[list[str]]]:
    """The tables of `check`, by the first word or words of their titles."""
    *blocks, _ = finished.out.split("\n\n")
    return {
        re.split("[:,]", title)[0]: [re.split("  +", row.rstrip()) for row in rows]
        for title, _, *rows in (block.splitlines() for block in blocks)
    }


def test_check_shows_leaks_first_and_then_what_is_wrong(twofold):
    train, test = twofold
    finished = run("check", train, test)
    passed_over = "sknorm-images: 1 file passed over: 1 .txt (see --extensions)\n"
    assert (finished.status, finished.err) == (1, passed_over)
    assert "\x1b" not in finished.out
    blocks = blocks_of(finished)
    reason = blocks["Broken"][0][1]
    assert "truncated" in reason
    told = f"leak between train and test: same content as {train}/deep/er/b.JPEG"
    assert list(blocks.items()) == [
        ("Leak", [[f"{test}/e.jpg", told]]),
        ("Broken", [[rf"{train}/[red]broken[/red] \n\x1b[31m.jpg", reason]]),
        ("Same content", [[f"{train}/deep/c.jpg", f"same content as {train}/a.jpg"]]),
        ("Files per class", [["[red]broken[", "1", "33.3 %"], ["deep", "2", "66.7 %"]]),
    ]
    assert summary_of(finished) == "6 files: 1 leak, 1 broken, 0 damaged, 1 duplicate"
    assert finished.out.endswith("\nNext: follow the advice above, and check again.\n")


@pytest.mark.parametrize("details", [[], ["--details"]])
def test_the_parts_of_one_folder_are_told_apart(details, photos, tmp_path, call):
    a, b = (photos[0].crop((200 * i, 90, 200 * i + 240, 270)) for i in range(2))
    contents = {
        "train/cat/1.jpg": encode(a),
        "train/dog/2.jpg": encode(b),
        "test/cat/3.jpg": encode(a, quality=30),
        "test/dog/4.jpg": encode(photos[1].crop((0, 90, 240, 270))),
    }
    for name, content in contents.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)

    finished = call("check", tmp_path / "data", *details)
    rows = json.loads(call("check", tmp_path / "data", *details, "--json").out)

    assert (finished.status, finished.err) == (0, "")  # what looks alike is a hint
    assert [row["split"] for row in rows] == ["test", "test", "train", "train"]
    assert [row["target"] for row in rows] == ["cat", "dog"] * 2
    assert [row["leak_of"] for row in rows] == [-1, -1, 0 if details else -1, -1]
    assert [row["leak"] for row in rows][2] == ("near duplicate" if details else "")
    assert ("leak between test and train: near duplicate of" in finished.out) == bool(details)
    assert "cat       1  50.0 %      1  50.0 %" in finished.out
    fit = f"`sknorm-images fit {tmp_path}/data/train -o pipeline.joblib`"
    assert (fit in finished.out) == (not details)
    twice = call("check", tmp_path / "data" / "train", tmp_path / "data", *details, "--json")
    splits = {row["filename"]: row["split"] for row in rows}
    again = {row["filename"]: row["split"] for row in json.loads(twice.out)}
    assert again == splits


def test_files_of_each_class_are_counted_with_the_remedy_for_an_imbalance(
    photos, tmp_path, call
):
    content = encode(photos[0].crop((0, 0, 20, 20)))
    for i in range(12):
        folder = tmp_path / "photos" / f"class {i:02}"
        folder.mkdir(parents=True)
        for j in range(max(1, 2 * i)):
            (folder / f"{j}.jpg").write_bytes(content)
    (tmp_path / "photos" / "no class").mkdir()

    lines = call("check", tmp_path / "photos").out.splitlines()

    start = lines.index("Files per class, the smallest of 13 classes first")
    rows = [re.split("  +", line.strip()) for line in lines[start + 1 : start + 12]]
    expected = [
        ["no class", "0", "0.0 %"],
        ["class 00", "1", "0.8 %"],
        ["class 01", "2", "1.5 %"],
    ]
    assert rows[:4] == [["class", "files", "share"], *expected]
    assert lines[start + 12] == "... and 3 more classes, of 18 to 22 files each"
    imbalance = lines[start + 13]
    ratio = "'class 11', has 22 times as many files as the smallest, 'class 00', so"
    assert ratio in imbalance
    assert 'sample_weight="balanced"' in imbalance
    assert "oversample=True" in imbalance


def test_a_terminal_shows_the_first_files_of_each_kind(tmp_path, call, monkeypatch):
    for i in range(25):
        (tmp_path / f"{i:02}.jpg").write_bytes(b"nothing")
    assert call("check", tmp_path).out.count(".jpg") == 25

    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setattr("rich.console.Console.is_terminal", False)  # no colours
    monkeypatch.setattr(type(sys.stdout), "isatty", lambda _: True)
    finished = call("check", tmp_path)

    assert finished.out.count(".jpg") == 20
    assert "\n... and 5 more; --csv and --json list all\n" in finished.out


@pytest.mark.parametrize("output", [[], ["--csv"], ["--json"]])
def test_check_tells_of_damaged_files_and_has_status_1(output, folder, photos, tmp_path, call):
    copy = shutil.copytree(folder, tmp_path / "copy")
    data = encode(photos[0].crop((200, 150, 400, 300)))
    (copy / "cut.jpg").write_bytes(data[: len(data) // 2] + b"\xff\xd9")

    finished = call("check", copy, *output)

    assert finished.status == 1
    [line] = [line for line in finished.out.splitlines() if "its data ends early" in line]
    assert "rows are grey" in line
    if not output:
        assert line.startswith(f"{copy}/cut.jpg  its data ends early: the last ")
        assert summary_of(finished) == "25 files: 0 broken, 1 damaged, 0 duplicates"


def test_check_of_good_files_has_status_0_and_says_what_to_do_next(folder, call):
    finished = call("check", folder, "--max-scans", "50")

    assert (finished.status, finished.err) == (0, "")
    *_, summary, advice = finished.out.splitlines()
    assert summary == "24 files: 0 broken, 0 damaged, 0 duplicates"
    fit = f"`sknorm-images fit '{folder}' -o pipeline.joblib` with the same options"
    assert "poor photos, too, with `check --details`; or learn" in advice
    assert advice.endswith(f"with {fit}.")


def check_twofold(names: list[str]) -> dict[str, np.ndarray]:
    odd = "[red]broken["  # a folder, since a slash follows
    target = [next((c for c in ("deep", odd) if c in name), None) for name in names]
    split = ["train" if i < 4 else "test" for i in range(len(names))]
    found = dict(check_images(names, target=target, split=split))
    del found["classes"]
    return found


def test_check_as_json_is_what_check_images_finds(twofold, call):
    finished = call("check", "--json", *twofold)
    assert finished.status == 1
    names = [*names_in(twofold[0]), *names_in(twofold[1])]
    found = check_twofold(names)
    rows = json.loads(finished.out)
    assert len(rows) == 6
    assert {name: [row[name] for row in rows] for name in rows[0]} == {
        name: column.tolist() for name, column in found.items()
    }


def test_check_as_csv_is_what_check_images_finds(twofold, call):
    finished = call("check", "--csv", *twofold)
    assert finished.status == 1
    names = [*names_in(twofold[0]), *names_in(twofold[1])]
    found = check_twofold(names)
    rows = list(csv.DictReader(io.StringIO(finished.out, newline="")))
    names = [row.pop("filename") for row in rows]
    assert [unquote(name.removeprefix("file://")) for name in names] == found.pop(
        "filename"
    ).tolist()
    assert {name: [row[name] for row in rows] for name in rows[0]} == {
        name: ["" if value is None else str(value) for value in column.tolist()]
        for name, column in found.items()
    }


@pytest.fixture
def conspicuous(photos: list[Image.Image], tmp_path: Path) -> Path:
    """A photo, an edited copy in another class, a packed one, a dark and a broken one."""
    one, other = (photo.crop((100, 100, 340, 280)) for photo in photos)
    data = encode(one)
    files = {
        "cat/1.jpg": data,
        "cat/2.jpg": data[:2] + b"\xff\xfe\x00\x06note" + data[2:],
        "dog/3.jpg": encode(one, quality=30),
        "dog/[4].jpg": encode(other.point(lambda level: level // 5)),
        "dog/5.jpg": data[:-500],
    }
    for name, content in files.items():
        path = tmp_path / "animals" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return tmp_path / "animals"


def test_check_with_details_says_what_is_found_and_what_to_do(conspicuous, call):
    finished = call("check", "--details", conspicuous)

    assert (finished.status, finished.err) == (1, "")
    first = f"{conspicuous}/cat/1.jpg"
    assert blocks_of(finished) == {
        "Broken": [[f"{conspicuous}/dog/5.jpg", blocks_of(finished)["Broken"][0][1]]],
        "Same pixels": [
            [f"{conspicuous}/cat/2.jpg", f"same pixels as {first}, in the same class"]
        ],
        "Near duplicate": [
            [f"{conspicuous}/dog/3.jpg", f"near duplicate of {first}, in another class"]
        ],
        "Too dark": [[f"{conspicuous}/dog/[4].jpg", "too dark"]],
        "Files per class": [["cat", "2", "40.0 %"], ["dog", "3", "60.0 %"]],
    }
    assert "\nToo dark: 1 file. Check whether they show anything." in finished.out
    assert "leave them out, with fit --on-error blank." in finished.out
    assert summary_of(finished) == (
        "5 files: 1 broken, 1 same pixels, 1 near duplicate, 1 too dark, 1 in another class"
    )


@pytest.mark.parametrize("output", ["--json", "--csv"])
def test_check_with_details_writes_what_check_images_finds(output, conspicuous, call):
    finished = call("check", "--details", output, conspicuous)

    names = names_in(conspicuous)
    target = [Path(name).parent.name for name in names]
    found = dict(check_images(names, target=target, details=True))
    del found["classes"]
    if output == "--json":
        table = pd.DataFrame(json.loads(finished.out, parse_constant=pytest.fail))
    else:
        table = pd.read_csv(io.StringIO(finished.out))
        words = ["findings", "perceptual_hash"]
        table[words] = table[words].fillna("")
    assert table.columns.tolist() == list(found)
    assert table.findings.tolist() == found["findings"].tolist()
    assert table.perceptual_hash.tolist() == found["perceptual_hash"].tolist()
    np.testing.assert_allclose(table.sharpness.astype(float), found["sharpness"])


def test_hints_alone_leave_check_with_status_0(conspicuous, call):
    for name in ("cat/2.jpg", "dog/5.jpg"):
        (conspicuous / name).unlink()
    finished = call("check", "--details", conspicuous)
    assert finished.status == 0
    assert summary_of(finished) == (
        "3 files: 1 near duplicate, 1 too dark, 1 in another class"
    )
    assert "`fit` takes all" in finished.out.splitlines()[-1]


@pytest.mark.parametrize("root", ["", "data"])
def test_check_tells_a_photo_in_two_classes_from_a_copy(root, photos, tmp_path, call):
    """Train and test by themselves, or as the folder of both; and empty files."""
    a, b, c = (encode(photos[0].crop((50 * i, 0, 50 * i + 60, 40))) for i in range(3))
    contents = {
        "train/cat/1.jpg": a,
        "train/cat/2.jpg": a,
        "train/dog/3.jpg": a,
        "train/dog/4.jpg": b,
        "test/cat/5.jpg": b,
        "test/dog/6.jpg": b,
        "test/dog/7.jpg": c,
        "train/cat/8.jpg": b"",
        "test/dog/9.jpg": b"",
    }
    for name, content in contents.items():
        path = tmp_path / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    parts = ["train", "test"] if root == "" else [""]
    folders = [str(Path(tmp_path, "data", part)) for part in parts]

    rows = {
        "/".join(Path(row["filename"]).parts[-3:]): row
        for row in json.loads(call("check", "--json", *folders).out)
    }
    finished = call("check", *folders)

    twice = {name: row["in_another_class"] for name, row in rows.items() if is_twice(row)}
    if root == "":
        expected = {"train/cat/2.jpg": False, "train/dog/3.jpg": True}
        expected |= {"test/cat/5.jpg": True, "test/dog/6.jpg": False}
    else:  # the first copies are those in test
        expected = {"train/cat/2.jpg": False, "train/dog/3.jpg": True}
        expected |= {"test/dog/6.jpg": True, "train/dog/4.jpg": True}
    assert twice == expected
    n = sum(expected.values())
    leaks = "2 leaks, 2 broken, 0 damaged, 2 duplicates"
    if root == "data":  # both copies in test are before the one in train
        leaks = "1 leak, 2 broken, 0 damaged, 3 duplicates"
    assert summary_of(finished) == f"9 files: {leaks}, {n} in another class"
    assert len(re.findall("same content as .*, in another class", finished.out)) == n
    assert finished.out.count("same content as") == 4


def is_twice(row: dict[str, object]) -> bool:
    return row["duplicate_of"] != -1


def test_one_of_two_formats_is_refused(folder, call):
    assert_refused(call("check", folder, "--csv", "--json"), "--json", "--csv")


def test_folders_in_one_another_hold_each_file_once(twofold, call):
    train, _ = twofold
    finished = call("check", "--json", train / "deep", train, train)
    names = [row["filename"] for row in json.loads(finished.out)]
    assert sorted(names) == names_in(train)


def test_links_to_folders_are_followed_as_classes_are(folder, tmp_path, call):
    (tmp_path / "links").mkdir()
    (tmp_path / "links" / "flower").symlink_to(folder / "flower")
    (tmp_path / "links" / "back").symlink_to(tmp_path / "links")  # a circle
    rows = json.loads(call("check", "--json", tmp_path / "links").out)
    expected = names_of(folder / "flower")
    assert [Path(row["filename"]).name for row in rows] == expected


def test_names_that_cannot_be_encoded_are_shown_escaped(tmp_path, call):
    name = os.fsdecode(b"caf\xe9.jpg")
    (tmp_path / name).write_bytes(b"nothing")
    finished = call("check", tmp_path)
    assert finished.status == 1
    assert r"caf\udce9.jpg" in finished.out
    [row] = json.loads(call("check", "--json", tmp_path).out)
    assert row["filename"] == str(tmp_path / name)
    assert f'"file://{tmp_path}/caf%E9.jpg"' in call("check", "--csv", tmp_path).out


def test_a_class_that_another_folder_fills_is_not_empty(photos, tmp_path, call):
    for i, name in enumerate(("train/cat/1.jpg", "train/dog/2.jpg", "test/dog/3.jpg")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode(photos[0].crop((50 * i, 0, 50 * i + 60, 40))))
    (tmp_path / "test" / "cat").mkdir()

    finished = call("check", tmp_path / "train", tmp_path / "test")

    assert (finished.status, finished.err) == (0, "")
    assert summary_of(finished) == "3 files: 0 leaks, 0 broken, 0 damaged, 0 duplicates"
    assert "\ncat        1  50.0 %     0    0.0 %" in finished.out


def test_a_class_that_is_empty_in_every_part_of_a_folder_is_told(photos, tmp_path, call):
    for i, name in enumerate(("train/dog/1.jpg", "test/dog/2.jpg")):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(encode(photos[0].crop((50 * i, 0, 50 * i + 60, 40))))
        (tmp_path / name).parent.with_name("cat").mkdir()
    (tmp_path / "train" / "cat" / "3.png").write_bytes(b"")

    finished = call("check", tmp_path)

    assert finished.status == 1
    _, *lines = finished.err.splitlines()
    assert [line.partition(" has no files that end in ")[0] for line in lines] == [
        f"sknorm-images: warning: '{tmp_path}/{part}/cat'" for part in ("test", "train")
    ]
    assert ", only 1 .png. Check" in lines[1]
    assert summary_of(finished).endswith("0 duplicates, 2 empty classes")


@pytest.mark.parametrize("form", [[], ["--json"], ["--csv"]])
def test_check_sees_the_empty_class_at_which_fit_stops(form, photos, tmp_path, call):
    for name in ("cat", "dog", "fox"):
        (tmp_path / "photos" / name).mkdir(parents=True)
    (tmp_path / "photos" / "dog" / "1.jpg").write_bytes(encode(photos[0]))
    (tmp_path / "photos" / "fox" / "1.png").write_bytes(encode(photos[0], "PNG"))
    assert_refused(call("fit", tmp_path / "photos", "-o", tmp_path / "p"), "photos/cat' has")

    finished = call("check", tmp_path / "photos", *form)

    assert finished.status == 1
    passed_over, *lines = finished.err.splitlines()
    assert "1 file passed over" in passed_over
    assert [line.partition(" has no files that end in ")[0] for line in lines] == [
        f"sknorm-images: warning: '{tmp_path}/photos/{name}'" for name in ("cat", "fox")
    ]
    assert "or pass --extensions .jpg,.jpeg,.jpe,.jfif,.png." in lines[1]
    if not form:
        summary = "1 file: 0 broken, 0 damaged, 0 duplicates, 2 empty classes"
        assert summary_of(finished) == summary


# show


def test_show_tells_steps_changed_parameters_and_statistics(fitted, call):
    finished = call("show", fitted[1])
    assert (finished.status, finished.err) == (0, "")
    lines = [line.split() for line in finished.out.splitlines()]
    assert ["load", "JpegLoader()"] in lines
    assert ["resize", "Resizer(size=(32,", "48))"] in lines
    assert ["scale", "ChannelStandardScaler()"] in lines
    assert table_rows(finished.out) == table_rows(fitted[0].out)
    assert "fitted on 24 images" in finished.out


def test_show_tells_that_a_pipeline_is_not_fitted(tmp_path, call):
    joblib.dump(make_image_pipeline(8), tmp_path / "p")
    assert "ChannelStandardScaler is not fitted" in call("show", tmp_path / "p").out


def test_show_tells_constants_from_what_was_learned(pixels, tmp_path, call):
    scaler = ChannelStandardScaler(mean=1, std=2).fit(pixels)
    joblib.dump(make_image_pipeline(8, scaler), tmp_path / "p")
    assert "ChannelStandardScaler, set to constants" in call("show", tmp_path / "p").out


def test_show_tells_that_nothing_was_learned(tmp_path, call):
    joblib.dump(make_image_pipeline(8, ChannelStandardScaler(mean=1, std=2)), tmp_path / "p")
    finished = call("show", tmp_path / "p")
    assert finished.status == 0
    assert "ChannelStandardScaler(mean=1, std=2)" in finished.out
    assert "ChannelStandardScaler learns nothing" in finished.out


# A terminal


def test_a_terminal_shows_progress_without_colour_if_asked(folder, tmp_path):
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (24, 80))
    process = subprocess.Popen(
        [*COMMAND, "fit", str(folder), "-o", str(tmp_path / "p"), "--size", "8"],
        stdout=subprocess.PIPE,
        stderr=theirs,
        env=quiet_environment() | {"NO_COLOR": "1", "TERM": "xterm"},
    )
    os.close(theirs)
    shown = b""
    with process:
        try:
            while data := os.read(ours, 4096):
                shown += data
        except OSError:  # what Linux says when the other end is closed
            pass
    os.close(ours)
    assert process.returncode == 0
    text = shown.decode()
    assert "24/24" in text
    assert "image/s" in text
    assert not re.search(r"\x1b\[[\d;]*[3-4]\d[\d;]*m", text)  # colours
