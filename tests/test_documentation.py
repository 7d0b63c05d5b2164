"""Every Python example of the README and the user guide runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from sknorm_images.demo import make_photo_folder

ROOT = Path(__file__).parent.parent


@pytest.mark.parametrize("page", ["README.md", "docs/user_guide.md"])
def test_the_examples_of_a_page_run_in_order(page, tmp_path, monkeypatch):
    make_photo_folder(tmp_path / "photos")
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(
        r"^```python\n(.*?)^```", (ROOT / page).read_text("utf-8"), re.M | re.S
    )
    assert len(blocks) >= 2
    names: dict[str, object] = {}
    for block in blocks:
        exec(compile(block, page, "exec"), names)


@pytest.mark.parametrize("page", ["README.md", "docs/user_guide.md", "CHANGELOG.md"])
def test_links_to_files_of_the_repository_work(page):
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (ROOT / page).parent.joinpath(target).exists(), target
