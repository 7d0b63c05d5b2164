"""Notebooks of pages, to download and run: the page's text and its Python."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import jupytext
import nbformat

INSTALL = """\
# Once, and then restart the kernel:
# %pip install "sknorm-images[demo]"
import os

os.environ.setdefault("KERAS_BACKEND", "jax")  # before Keras is imported"""


def notebook_of(page: Path, site: str) -> Any:
    """Make a notebook of a page in Markdown.

    Outputs are left out, since running the notebook prints them. Links to other pages lead
    to `site`, the address of the built pages, which ends in a slash.
    """
    text = page.read_text("utf-8")
    text = re.sub(r"^```output\n.*?^```\n\n?", "", text, flags=re.M | re.S)
    text = re.sub(r"^<!-- not in the notebook -->\n.*?\n\n", "", text, flags=re.M | re.S)
    text = re.sub(r"\]\(([\w/]+)\.(?:md|rst)(#[\w-]+)?\)", rf"]({site}\1.html\2)", text)
    notebook = jupytext.reads(text, fmt="md")
    first = next(i for i, cell in enumerate(notebook.cells) if cell.cell_type == "code")
    notebook.cells.insert(first, nbformat.v4.new_code_cell(INSTALL))
    for i, cell in enumerate(notebook.cells):
        cell.id = f"cell-{i}"  # else random, and a build differs from the last
    notebook.metadata.kernelspec = {
        "name": "python3",
        "display_name": "Python 3",
        "language": "python",
    }
    nbformat.validate(notebook)
    return notebook


def write_notebook(page: Path, site: str) -> None:
    """Write the notebook of a page beside it, unless it is there already."""
    text = nbformat.writes(notebook_of(page, site)) + "\n"
    path = page.with_suffix(".ipynb")
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
