"""Messages stay a few lines long, whatever they are about."""

from __future__ import annotations

import ast
import inspect
import pickle
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image, features
from sklearn.utils import Bunch

import sknorm_images
from sknorm_images import (
    ChannelHistogram,
    ChannelMinMaxScaler,
    ChannelMoments,
    ChannelStandardScaler,
    ImageDecodeError,
    ImageDecodeWarning,
    ImageFlattener,
    JpegLoader,
    LazyImages,
    Resizer,
    SavedImages,
    check_images,
    load_image_folder,
    make_image_pipeline,
    merge_scalers,
    save_images,
)
from sknorm_images._common.wording import printable, shorten, show_name, show_some, show_value
from tests.command import COMMAND
from tests.conftest import encode
from tests.huge_arguments import A_FEW_LINES, assert_brief, parameters_of
from tests.jpeg_bytes import exif_of_nonsense, with_first

PIXELS = np.arange(2 * 8 * 8 * 3, dtype=np.uint8).reshape(2, 8, 8, 3)
PHOTO = encode(Image.fromarray(PIXELS[0]))


def fitting(make: Callable[..., Any]) -> Callable[..., Any]:
    """Make a call of a class, or of a function that makes an estimator, and of its methods."""

    def call(X: Any, y: Any = None, **parameters: Any) -> None:
        estimator = make(**parameters)
        made = estimator.fit(X, y).transform(X)
        if isinstance(made, LazyImages):
            repr(made)
            made._repr_html_()
            np.asarray(made)

    X, y, _ = inspect.signature(call).parameters.values()
    others = inspect.signature(make).parameters.values()
    keywords = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in (X, y, *others)]
    call.__signature__ = inspect.Signature(keywords)  # type: ignore[attr-defined]
    return call


def fit_blank(X: Any) -> Any:
    return make_image_pipeline((8, 8), on_error="blank").fit_transform(X)


def select(key: Any) -> Any:
    return LazyImages(list(PIXELS), 3)[key]


def fit_weighted(sample_weight: Any) -> Any:
    return ChannelStandardScaler().fit(PIXELS, sample_weight=sample_weight)


def merge_constants(first: Any, second: Any) -> Any:
    return merge_scalers([ChannelStandardScaler(mean=mean) for mean in (first, second)])


def load_with_classes(class_names: Any) -> Any:
    return load_image_folder("classes", class_names=class_names)


def open_saved(path: Any) -> Any:
    np.save("saved.npy", PIXELS)
    return SavedImages(path)


FITTED = ChannelStandardScaler().fit(PIXELS)
# What is called, and good arguments for it.
CALLS: dict[str, tuple[Callable[..., Any], dict[str, Any]]] = {
    "JpegLoader": (fitting(JpegLoader), {"X": [PHOTO]}),
    "Resizer": (fitting(Resizer), {"X": PIXELS, "size": (4, 4)}),
    "ImageFlattener": (fitting(ImageFlattener), {"X": PIXELS}),
    "ChannelStandardScaler": (fitting(ChannelStandardScaler), {"X": PIXELS}),
    "ChannelMinMaxScaler": (fitting(ChannelMinMaxScaler), {"X": PIXELS}),
    "make_image_pipeline": (fitting(make_image_pipeline), {"X": [PHOTO], "size": (8, 8)}),
    "load_image_folder": (load_image_folder, {"directory": "."}),
    "check_images": (check_images, {"X": [PHOTO]}),
    "save_images": (save_images, {"images": PIXELS, "path": "out.npy"}),
    "SavedImages": (open_saved, {"path": "saved.npy"}),
    "merge_scalers": (merge_scalers, {"scalers": [FITTED]}),
    "ChannelHistogram": (ChannelHistogram.of, {"images": PIXELS}),
    "ChannelMoments": (ChannelMoments.of, {"images": PIXELS.astype(float)}),
    "on_error='blank'": (fit_blank, {"X": [PHOTO]}),
    "images[...]": (select, {"key": 0}),
    "fit(sample_weight=)": (fit_weighted, {"sample_weight": None}),
    "scalers with constants": (merge_constants, {"first": [1.0], "second": [1.0]}),
    "class_names beside folders": (load_with_classes, {"class_names": ["cat"]}),
}
# Loaders make the first; the others are the messages themselves, tested below.
NOT_CALLED_BY_USERS = {
    "LazyImages",
    "ImageDecodeError",
    "ImageDecodeWarning",
    "ImageTransparencyWarning",
    "ImageUnitsWarning",
    "NewerVersionWarning",
    "WorkerVersionWarning",
}


def test_every_public_function_and_class_is_called():
    assert set(sknorm_images.__all__) <= {*CALLS, *NOT_CALLED_BY_USERS}


@pytest.mark.parametrize(("name", "parameter"), parameters_of(CALLS))
def test_a_huge_argument_gives_a_message_of_a_few_lines(
    name, parameter, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "1.jpg").write_bytes(PHOTO)
    for i in range(300):
        (tmp_path / "classes" / f"class {i}").mkdir(parents=True)
    function, good = CALLS[name]
    n_messages = assert_brief(function, good, parameter)
    assert n_messages or parameter == "y"  # which is ignored


def test_a_warning_names_the_first_files_and_how_many_more_there_are(tmp_path):
    names = [f"{tmp_path}/missing {i:05}.jpg" for i in range(10_000)]
    with pytest.warns(ImageDecodeWarning) as caught:
        make_image_pipeline((8, 8), on_error="blank").fit([PHOTO, *names])
    warning = caught[0].message
    text = str(warning)
    n_named = text.count("missing ")
    assert len(text) < A_FEW_LINES
    assert 5 <= n_named <= 20
    assert [name in text for name in names[: n_named + 1]] == [*[True] * n_named, False]
    assert "10000 of 10001 images" in text
    assert f"and {10_000 - n_named:,} more; `failures` has them all" in text
    assert list(warning.failures) == list(range(1, 10_001))
    loaded = pickle.loads(pickle.dumps(warning))
    assert [str(error) for error in loaded.failures.values()] == [
        str(error) for error in warning.failures.values()
    ]


def test_a_warning_of_short_names_names_20():
    failures = {i: ImageDecodeError(f"{i}.jpg", "truncated", i) for i in range(1000)}
    text = str(ImageDecodeWarning(failures, 2000))
    assert text.count("truncated") == 20
    assert "and 980 more; `failures` has them all" in text


def test_a_warning_of_few_files_names_them_all():
    failures = {i: ImageDecodeError(f"{i}.jpg", "truncated", i) for i in range(20)}
    text = str(ImageDecodeWarning(failures, 2000))
    assert text.count("truncated") == 20
    assert "more" not in text


def test_an_error_shows_the_ends_of_a_long_name_and_reason_and_keeps_them_whole():
    name, reason = "first" + "x" * 100_000 + "last.jpg", "begins" + "y" * 100_000 + "ends"
    error = ImageDecodeError(name, reason, 3)
    assert len(str(error)) < A_FEW_LINES
    for part in ("image 3", "first", "last.jpg", "100,013 characters", "begins", "ends"):
        assert part in str(error)
    assert (error.source, error.reason) == (name, reason)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_no_message_writes_out_what_it_was_handed_as_it_is():
    # `{value!r}` would: show_value, show_name and show_some are brief.
    package = Path(sknorm_images.__file__).parent
    found = [
        f"{path.relative_to(package)}:{node.lineno}"
        for path in package.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FormattedValue) and node.conversion == ord("r")
    ]
    assert found == []


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("standard", "'standard'"),
        ("x" * 81, "<str of 81 characters>"),
        ("\x1b[2J\u202e", r"'\x1b[2J\u202e'"),
        (b"12", "b'12'"),
        (bytes(1000), "<bytes of 1,000 bytes>"),
        pytest.param(10**5000, "<int of 16,610 bits>", id="integer"),
        (1.5, "1.5"),
        (None, "None"),
        ([1, 2], "[1, 2]"),
        (["a  b"], "['a  b']"),
        (list(range(20_000)), "<list of 20,000 items>"),
        ([["x"] * 100], "<list of 1 items>"),
        ({"a": 1}, "{'a': 1}"),
        (Bunch(filenames=["x"] * 100), "<Bunch of 1 items>"),
        (np.array([[1, 2], [3, 4]]), "array([[1, 2], [3, 4]])"),
        (np.zeros((200, 3)), "<ndarray of shape (200, 3)>"),
        (pd.DataFrame({"a": range(100)}), "<DataFrame of shape (100, 1)>"),
        (ChannelStandardScaler(), "ChannelStandardScaler()"),
        (make_image_pipeline(8), "<Pipeline>"),
    ],
)
def test_a_value_is_shown_as_it_is_where_that_is_short(value, shown):
    assert show_value(value) == shown


def test_an_object_that_cannot_be_shown_is_named_by_its_type():
    class Broken:
        def __repr__(self) -> str:
            raise RuntimeError("no")

    assert show_value(Broken()) == "<Broken>"
    endless: list[object] = []
    endless.append(endless)
    assert show_value(endless) == "<list of 1 items>"


def test_a_list_shows_its_first_items_and_counts_the_others():
    assert show_some([]) == ""
    assert show_some(["a", "b"]) == "'a', 'b'"
    assert show_some(range(30), str, " ", ".") == " ".join(map(str, range(20))) + (
        " ... and 10 more."
    )
    long = [f"{i}{'x' * 500}" for i in range(5000)]
    assert show_some(long, str) == f"{long[0]}, {long[1]}, ... and 4,998 more"
    assert show_some(["y" * 5000], show_name).count("y") < 400  # one is always named


def test_text_is_escaped_before_it_is_cut():
    assert printable("a\r\nb\x9bc\u2028d\udcff") == r"a\r\nb\x9bc\u2028d\udcff"
    assert shorten("\x1b" * 1000, 40) == "\\x1b" * 5 + "..." + "\\x1b" * 5


@pytest.mark.parametrize("name", ["DataFrame", "Bunch"])
def test_a_table_in_place_of_a_scaler_is_named_by_type_and_size(name):
    made = {
        "DataFrame": pd.DataFrame({"file": ["x"] * 500}),
        "Bunch": Bunch(filenames=["x"] * 500, target=None),
    }
    with pytest.raises(TypeError, match=rf"scaler=<{name} of .* has no fit and transform"):
        make_image_pipeline((8, 8), made[name])


def test_unknown_classes_are_counted(tmp_path):
    for i in range(100):
        (tmp_path / f"class {i:03}").mkdir()
    names = [f"unknown {i:05}" for i in range(10_000)]
    with pytest.raises(ValueError, match=r"sub-folders \['class 000', ") as caught:
        load_image_folder(tmp_path, class_names=names)
    text = str(caught.value)
    assert len(text) < A_FEW_LINES
    assert "and 80 more], which are not among class_names=['unknown 00000', " in text
    assert "and 9,980 more]. Add them" in text


@pytest.mark.skipif(features.version("pil") < "13", reason="older ones warn of less")
def test_a_file_that_pillow_warns_of_thousands_of_times_is_told_in_a_few_lines(tmp_path):
    photo = encode(Image.new("RGB", (32, 24)))
    (tmp_path / "1.jpg").write_bytes(with_first(photo, *exif_of_nonsense(20_000)))

    process = subprocess.run(
        [*COMMAND, "check", tmp_path], capture_output=True, text=True, check=False, timeout=300
    )

    assert process.returncode == 0
    lines = process.stderr.splitlines()
    assert len(lines) == 21
    assert all("Skipping tag" in line for line in lines[:20])
    [n_others] = re.findall(r"warning: ([\d,]+) more warnings are not shown$", lines[20])
    assert int(n_others.replace(",", "")) > 10_000
