"""Every Python example of the README and the user guide runs."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from sknorm_images import check_images, load_image_folder, make_image_pipeline
from sknorm_images.demo import make_photo_folder

ROOT = Path(__file__).parent.parent
PAGES = ["README.md", *sorted(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))]

# Keras turns its variables into arrays in a way that NumPy 2 warns of.
KERAS_WARNS = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page_run_in_order(page, tmp_path):
    make_photo_folder(tmp_path / "photos")
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S
    )
    assert blocks
    process = subprocess.run(
        [sys.executable, "-W", "error", "-W", KERAS_WARNS, "-c", "\n".join(blocks)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr


@pytest.mark.parametrize("page", [*PAGES, "CHANGELOG.md"])
def test_links_to_files_of_the_repository_work(page):
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target


def test_what_the_guide_says_is_printed_is_printed(tmp_path, monkeypatch):
    make_photo_folder(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    filenames = load_image_folder("photos").filenames
    guide = (ROOT / "docs" / "user_guide.md").read_text("utf-8")
    pipeline = make_image_pipeline((64, 96), on_error="blank")
    images = pipeline[:-1].transform(filenames)
    assert repr(images) == (
        "<LazyImages: 300 images of 64 x 96 x 3, uint8, from 'photos/flower/flower_000.jpg' "
        "to 'photos/temple/temple_149.jpg'>"
    )
    assert "# <LazyImages: 300 images of 64 x 96 x 3, uint8, from 'photos/flower/…" in guide
    failures = pipeline[:-1].transform([*filenames, "missing.jpg"]).failures
    assert list(failures) == [300]
    found = check_images([*filenames, filenames[7], "missing.jpg"])
    assert found.reason[~found.readable].tolist() == ["No such file or directory"]
    assert np.flatnonzero(found.duplicate_of >= 0).tolist() == [300]
    assert found.duplicate_of[300] == 7
    assert f"{{300: {type(failures[300]).__name__}(" in guide
