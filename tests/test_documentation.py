"""Every Python example of the README and of the pages runs, and prints what they say."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from itertools import chain
from pathlib import Path

import pytest

from tests import page_runner

ROOT = Path(__file__).parent.parent
OTHER_PAGES = {
    f"{name}.md" for name in ("CHANGELOG", "CODE_OF_CONDUCT", "CONTRIBUTING", "SECURITY")
}
PAGES = {"README.md", *(f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md"))}
# Named, so that no other page loses its examples unnoticed.
WITHOUT_EXAMPLES = {
    "docs/api.md",
    "docs/changelog.md",
    "docs/coming_from.md",
    "docs/contributing.md",
    "docs/development.md",
    "docs/get_started.md",
    "docs/index.md",
    "docs/installation.md",
    "docs/scaling.md",
    "docs/security.md",
    "docs/terms.md",
}
# Each group runs in one process, which saves most of the time: that of importing.
GROUPS = {
    "scikit-learn": [
        "docs/command_line.md",
        "docs/data_checks.md",
        "docs/exact_statistics.md",
        "docs/from_torchvision.md",
        "docs/loading.md",
        "docs/performance.md",
        "docs/persistence.md",
        "docs/reliability.md",
        "docs/remote_files.md",
        "docs/resizing.md",
        "docs/scalers.md",
        "docs/serving_uploads.md",
        "docs/user_guide.md",
        "docs/with_scikit_learn.md",
    ],
    "cookbook": ["docs/cookbook.md"],  # processes, then Keras: JAX warns of forks after it
    "clusters": ["docs/clusters.md"],  # the blocks for Ray run in test_ray
    "Keras": [
        "README.md",
        "docs/from_image_data_generator.md",
        "docs/from_image_dataset_from_directory.md",
        "docs/saved_images.md",
        "docs/segmentation.md",
        "docs/training_with_keras.md",
        "docs/tutorial.md",
    ],
}

# Keras turns its variables into arrays in a way that NumPy 2 warns of.
KERAS_WARNS = "ignore:__array__ implementation doesn't accept a copy:DeprecationWarning"


@pytest.mark.slow
@pytest.mark.parametrize("group", GROUPS)
def test_the_examples_of_a_page_run_in_order_and_print_what_it_says(group):
    process = subprocess.run(
        [sys.executable, "-W", "error", "-W", KERAS_WARNS, "-m", "tests.page_runner"]
        + GROUPS[group],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert process.returncode == 0, process.stderr


def test_every_page_has_examples_unless_it_is_named():
    assert {page for page in PAGES if not page_runner.examples_of(page)} == WITHOUT_EXAMPLES
    assert sorted(chain(*GROUPS.values())) == sorted(PAGES - WITHOUT_EXAMPLES)


def test_every_output_stands_right_behind_its_example():
    for page in PAGES:
        text = (ROOT / page).read_text("utf-8")
        compared = {example.output for example in page_runner.examples_of(page)}
        for output in re.findall("^```output\n(.*?)^```$", text, re.M | re.S):
            assert output in compared, page


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("```python\nprint(1)\n```\n\n```output\n2\n```\n", "line 2, prints\n1"),
        ("```python\nprint(1.5)\n```\n\n```output\n1.501\n```\n", "line 2, prints\n1.5"),
        ("text\n\n```python\nx = 1\n```\n\n```python\n1 / 0\n```\n", "division by zero"),
        ("```python\n# python -m pip install numpy\n1 / 0\n```\n", "division by zero"),
    ],
)
def test_a_page_that_is_wrong_is_noticed(page, message, tmp_path, monkeypatch):
    (tmp_path / "page.md").write_text(page, "utf-8")
    monkeypatch.setattr(page_runner, "ROOT", tmp_path)
    with pytest.raises((AssertionError, ZeroDivisionError), match=message):
        page_runner.run("page.md")


def test_a_block_that_names_missing_packages_does_not_run(tmp_path, monkeypatch):
    block = "```python\n# python -m pip install numpy no-such-package\n1 / 0\n```\n"
    (tmp_path / "page.md").write_text(block, "utf-8")
    monkeypatch.setattr(page_runner, "ROOT", tmp_path)
    page_runner.run("page.md")


@pytest.mark.parametrize("page", sorted(PAGES | OTHER_PAGES))
def test_links_to_files_of_the_repository_work(page):
    text = (ROOT / page).read_text("utf-8")
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        # Sphinx makes these, and checks the links to them.
        if not target.startswith("auto_examples/") and target != "tutorial.ipynb":
            assert (ROOT / page).parent.joinpath(target).exists(), target


@pytest.mark.slow  # where there are the libraries for the pages
def test_the_notebook_holds_the_python_of_the_tutorial_in_order(monkeypatch):
    pytest.importorskip("jupytext")
    monkeypatch.syspath_prepend(ROOT / "docs" / "_extensions")
    from notebooks import notebook_of

    notebook = notebook_of(ROOT / "docs" / "tutorial.md", "https://site.example/")
    code = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    assert "KERAS_BACKEND" in code[0]
    examples = page_runner.examples_of("docs/tutorial.md")
    assert code[1:] == [example.code.strip("\n") for example in examples]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    assert "```" not in text  # no outputs
    assert "Download this page" not in text
    assert set(re.findall(r"\]\((?!https://site\.example/)([^)]*)", text)) == set()


def test_the_switcher_lists_this_version_and_every_one_that_was_released():
    text = (ROOT / "CHANGELOG.md").read_text("utf-8")
    released = re.findall(r"^## (\d+\.\d+\.\d+) (?!\(unreleased\))", text, re.M)
    listed = json.loads((ROOT / "docs" / "_static" / "switcher.json").read_text("utf-8"))
    versions = ["latest", *(f"v{version}" for version in released)]
    assert [entry["version"] for entry in listed] == versions
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert listed[0]["name"] == f"{project['version']} (development)"
    for entry in listed:
        assert entry["url"].endswith(f"/en/{entry['version']}/")


def test_tests_that_pages_name_exist():
    named = [
        (page, *match)
        for page in sorted(PAGES)
        for match in re.findall(
            r"`(tests/[\w/]+\.py)::(\w+)`", (ROOT / page).read_text("utf-8")
        )
    ]
    assert "docs/scaling.md" in {page for page, _, _ in named}
    for page, module, test in named:
        assert f"\ndef {test}(" in (ROOT / module).read_text("utf-8"), f"{page} names {test}"


def test_the_reference_names_everything_that_is_public():
    pytest.importorskip("matplotlib")
    pytest.importorskip("dask")
    import sknorm_images
    import sknorm_images.distributed
    import sknorm_images.keras
    import sknorm_images.plotting

    adapters = (sknorm_images.plotting, sknorm_images.keras, sknorm_images.distributed)
    modules = (sknorm_images, *adapters)
    public = [f"{module.__name__}.{name}" for module in modules for name in module.__all__]
    module, named = "", []
    for line in (ROOT / "docs" / "api.md").read_text("utf-8").splitlines():
        if line.startswith(".. currentmodule:: "):
            module = line.split()[-1]
        elif re.fullmatch(r"   \w+", line):
            named.append(f"{module}.{line.strip()}")
    assert sorted(named) == sorted(public)
