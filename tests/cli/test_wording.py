"""Messages of the package on the command line: options in place of parameters."""

from __future__ import annotations

import pytest

from sknorm_images.cli._wording import in_options, options_by_parameter

OPTIONS = options_by_parameter(
    ["--class-names", "--size", "--jobs", "-j", "--quantile-range", "--on-error", "--formats"]
)


def test_every_option_stands_for_the_parameter_of_its_name():
    assert OPTIONS["class_names"] == "--class-names"
    assert OPTIONS["n_jobs"] == "--jobs"
    assert set(OPTIONS) == {
        *("class_names", "size", "n_jobs", "quantile_range", "on_error", "formats"),
    }


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("class_names=['cat', 'dog'] is", "--class-names cat,dog is"),
        (
            "among class_names=['cat', ... and 5 more]. Add",
            "among --class-names cat,... and 5",
        ),
        ("leave class_names out", "leave --class-names out"),
        ("size=(0, 5) is", "--size 0x5 is"),
        ("size=0 is", "--size 0 is"),
        ("n_jobs=-3 leaves", "--jobs -3 leaves"),
        ("quantile_range=(9.0, 1.5) is", "--quantile-range 9.0 1.5 is"),
        ("or pass on_error='blank' to JpegLoader.", "or pass --on-error blank."),
        (
            "JpegLoader has formats=('JPEG',); formats=('JPEG', 'PNG') would",
            "this command reads --formats JPEG; --formats JPEG,PNG would",
        ),
        ("formats=<str of 900 characters> names", "--formats <str of 900 characters> names"),
        ("class_names=['a]b', \"it's\"].", "--class-names a]b,it's."),
    ],
)
def test_parameters_become_options_as_they_are_typed(message, expected):
    assert in_options(message, OPTIONS).startswith(expected)


@pytest.mark.parametrize(
    "message",
    [
        "'size=3/class_names/1.jpg' cannot be read",
        "[Errno 2] No such file or directory: 'my class_names=a/size=3.jpg'",
        "/data/size=3/1.jpg and runs/on_error=x",
        "Pillow's 'class_names=a', and the images' \"size=3\"",
        "of another size, and other formats",  # words of English
        "interpolation='cubic' is not known",  # not an option of this command
        "--size 64,64 is not a valid size",
        "the pipeline has resize=3",
    ],
)
def test_names_of_files_and_other_words_stay(message):
    assert in_options(message, OPTIONS) == message
