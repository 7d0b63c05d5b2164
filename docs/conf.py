"""Sphinx: ``python -m sphinx -W --keep-going -b html docs build/docs``."""

from __future__ import annotations

import inspect
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

os.environ.setdefault("KERAS_BACKEND", "jax")  # before an example imports Keras

import sknorm_images
import sknorm_images.distributed
import sknorm_images.keras
import sknorm_images.plotting

DOCS = Path(__file__).parent
sys.path.insert(0, str(DOCS / "_extensions"))

project = "sknorm_images"
author = "the sknorm_images developers"
copyright = author
version = release = sknorm_images.__version__

extensions: list[str] = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "numpydoc",
    "myst_parser",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
]
SITE = "https://sknorm-images.readthedocs.io/en/latest/"
IS_PUBLISHED = "READTHEDOCS" in os.environ
# Where the pages link to. Read the Docs knows it; no other build does unless it is told.
REPOSITORY = re.sub(
    r"^git@([^:]+):|\.git$",
    lambda found: f"https://{found[1]}/" if found[1] else "",
    os.environ.get("READTHEDOCS_GIT_CLONE_URL", ""),
)
if IS_PUBLISHED:  # elsewhere the build needs no network
    extensions.append("sphinx.ext.intersphinx")
    intersphinx_mapping: dict[str, tuple[str, None]] = {
        "python": ("https://docs.python.org/3", None),
        "numpy": ("https://numpy.org/doc/stable", None),
        "sklearn": ("https://scikit-learn.org/stable", None),
        "joblib": ("https://joblib.readthedocs.io/en/stable", None),
        "matplotlib": ("https://matplotlib.org/stable", None),
    }

exclude_patterns: list[str] = ["examples/README.rst"]
templates_path: list[str] = ["_templates"]
smartquotes = False  # the quotes of Python are straight
nitpicky = True
nitpick_ignore_regex: list[tuple[str, str]] = [
    # Others' names, which only intersphinx can find.
    (r"py:.*", r"(joblib|matplotlib|numpy|pandas|pathlib|sklearn)\..*"),
]

# Pages.
myst_enable_extensions: set[str] = {"colon_fence"}
myst_heading_anchors = 3

# Code is copied without the prompts and what a command prints; what Python prints is not code.
copybutton_prompt_text = "$ "
copybutton_selector = "div:not(.highlight-output, .highlight-none) > div.highlight > pre"

# Docstrings: names in single backticks are links where there is something to link to.
default_role = "autolink"
autosummary_generate = True
autodoc_typehints = "none"  # the types are in the docstrings
autodoc_default_options: dict[str, Any] = {"members": True, "inherited-members": True}
numpydoc_show_class_members = False
numpydoc_class_members_toctree = False

sphinx_gallery_conf: dict[str, Any] = {
    "examples_dirs": "examples",
    "gallery_dirs": "auto_examples",
    "backreferences_dir": "auto_examples/backreferences",
    "doc_module": ("sknorm_images",),
    "download_all_examples": False,
    "write_computation_times": False,
    "show_signature": False,
    "remove_config_comments": True,
}

toc_object_entries_show_parents = "hide"
html_theme = "pydata_sphinx_theme"
html_title = f"{project} {version}"
html_static_path: list[str] = ["_static"]
html_css_files: list[str] = ["style.css"]
html_favicon = "_static/favicon.svg"
html_copy_source = False
html_show_sphinx = False
html_context: dict[str, str] = {
    "default_mode": "auto",  # light or dark, as the reader has it
    "edit_page_provider_name": "GitHub",
    "edit_page_url_template": f"{REPOSITORY}/edit/main/docs/{{{{ file_name }}}}",
}
html_theme_options: dict[str, Any] = {
    "logo": {"text": project},
    "navbar_persistent": ["search-button"],  # with its field, the bar takes two lines
    "navbar_end": ["version-switcher", "theme-switcher", "navbar-icon-links"],
    "switcher": {
        # Pages of an old version, too, list the versions that the newest pages know.
        "json_url": f"{SITE}_static/switcher.json"
        if IS_PUBLISHED
        else "_static/switcher.json",
        "version_match": os.environ.get("READTHEDOCS_VERSION", "latest"),
    },
    "check_switcher": not IS_PUBLISHED,
    "icon_links": [
        {"name": "Source code", "url": REPOSITORY, "icon": "fa-brands fa-github"},
    ]
    if REPOSITORY
    else [],
    "use_edit_page_button": bool(REPOSITORY),
    "show_prev_next": True,
    "show_toc_level": 2,
    "navigation_with_keys": False,
    "header_links_before_dropdown": 6,
    "secondary_sidebar_items": ["page-toc", "edit-link"],
    "footer_start": ["copyright"],
    "footer_end": [],
}


def skip_what_others_document(
    app: Sphinx, what: str, name: str, member: Any, skip: bool, options: Any
) -> bool | None:
    """Leave out of a class's page what it inherits from other libraries."""
    function = inspect.unwrap(getattr(member, "fget", None) or member)
    module = getattr(function, "__module__", None) or "sknorm_images"
    return None if module.split(".")[0] == "sknorm_images" else True


def write_public_names_in_full(
    app: Sphinx, what: str, name: str, member: Any, options: Any, lines: list[str]
) -> None:
    """Let docstrings of one module link to what is public in another."""
    for i, line in enumerate(lines):
        lines[i] = re.sub(
            r"(?<!`)`(\w+)`(?!`)",
            lambda found: f"`~{PUBLIC[found[1]]}`" if found[1] in PUBLIC else found[0],
            line,
        )


def link_public_names(app: Sphinx, doctree: nodes.document) -> None:
    """Link code such as `Resizer` in a page to the page of that class or function."""
    source = str(doctree.get("source", ""))
    if not source.endswith(".md"):
        return
    for literal in list(doctree.findall(nodes.literal)):
        name = literal.astext().removesuffix("()")
        if name not in PUBLIC or isinstance(literal.parent, NO_LINKS_IN):
            continue
        link = pending_xref(
            "", literal.deepcopy(), refdomain="py", reftype="obj", reftarget=PUBLIC[name]
        )
        literal.replace_self(link)


def public_names() -> dict[str, str]:
    """Map the names that pages use to full ones."""
    modules = (
        sknorm_images,
        sknorm_images.distributed,
        sknorm_images.keras,
        sknorm_images.plotting,
    )
    full = [f"{module.__name__}.{name}" for module in modules for name in module.__all__]
    return {short: name for name in full for short in (name, name.rpartition(".")[2])}


PUBLIC = public_names()
NO_LINKS_IN = nodes.title | nodes.reference | pending_xref


class CommandHelp(SphinxDirective):
    """What a command of the installed package says of itself."""

    optional_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Run ``sknorm-images [COMMAND] --help``."""
        self.env.note_reread()  # the command may change when the page does not
        command = [sys.executable, "-m", "sknorm_images", *self.arguments, "--help"]
        environment = os.environ | {"COLUMNS": "80", "NO_COLOR": "1", "TERM": "dumb"}
        text = subprocess.check_output(command, env=environment, text=True)
        lines = [line.rstrip() for line in text.strip("\n").splitlines()]
        text = "\n".join(lines).replace("python -m sknorm_images", "sknorm-images")
        return [nodes.literal_block(text, text, language="none")]


def write_notebooks(app: Sphinx) -> None:
    """Make the notebook that the tutorial links to, before the page is read."""
    from notebooks import write_notebook

    write_notebook(DOCS / "tutorial.md", SITE)


def setup(app: Sphinx) -> None:
    """Connect what is above."""
    app.connect("builder-inited", write_notebooks)
    app.add_directive("command-help", CommandHelp)
    app.connect("autodoc-skip-member", skip_what_others_document)
    app.connect("autodoc-process-docstring", write_public_names_in_full)
    app.connect("doctree-read", link_public_names)
