"""Imports run one way, optional libraries stay optional, and public names say so."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import sknorm_images

PACKAGE = Path(sknorm_images.__file__).parent

# Each module may import those that stand before it.
LAYERS = [
    "_exceptions",
    "_parameters",
    "_sample_weights",
    "_parallel",
    "_affine",
    "_statistics",
    "_jpeg_markers",
    "_decoding",
    "_geometry",
    "_indexing",
    "_images",
    "_transformer",
    "_loading",
    "_resizing",
    "_scaling",
    "_standard_scaling",
    "_minmax_scaling",
    "_folders",
    "_flattening",
    "_pipeline",
    "__init__",
]
ADAPTERS = ["keras", "demo", "__main__"]  # they use what every user can use


def imports_of(module: str) -> Iterator[str]:
    """Dotted names that a module imports, at its top or within a function."""
    tree = ast.parse((PACKAGE / f"{module}.py").read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import in line {node.lineno}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_modules(module: str) -> set[str]:
    """Modules of this package that a module imports; __init__ for a public name."""
    parts = [name.split(".") for name in imports_of(module)]
    names = {[*part, ""][1] for part in parts if part[0] == "sknorm_images"}
    files = {path.stem for path in PACKAGE.glob("*.py")}
    return {name if name in files else "__init__" for name in names}


def run(code: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *options, "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_module_has_its_place():
    modules = {path.stem for path in PACKAGE.rglob("*.py")}
    assert modules == {*LAYERS, *ADAPTERS}


@pytest.mark.parametrize("module", LAYERS)
def test_a_module_imports_only_those_below_it(module):
    below = LAYERS[: LAYERS.index(module)]
    assert own_modules(module) <= set(below)


@pytest.mark.parametrize("module", ADAPTERS)
def test_an_adapter_imports_public_names_alone(module):
    assert own_modules(module) <= {"__init__", "keras", "demo"}


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        ("keras", {"keras", "demo"}),
        ("jax", set()),
        ("tensorflow", set()),
        ("torch", set()),
        ("pandas", set()),
        ("polars", set()),
        ("matplotlib", set()),
    ],
)
def test_an_optional_library_is_imported_only_where_it_belongs(library, importers):
    found = {
        module
        for module in (*LAYERS, *ADAPTERS)
        if library in {name.split(".")[0] for name in imports_of(module)}
    }
    assert found == importers


def test_importing_is_silent_and_loads_nothing_that_is_not_needed():
    process = run(
        "import json, sys\n"
        "import sklearn.pipeline\n"
        "before = set(sys.modules)\n"
        "import sknorm_images\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))",
        "-W",
        "error",
    )
    assert process.returncode == 0, process.stderr
    assert process.stderr == ""
    loaded = json.loads(process.stdout)
    libraries = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names
    # PIL loads defusedxml where it is installed.
    assert libraries - {"defusedxml"} == {"sknorm_images", "PIL"}
    assert "sknorm_images.keras" not in loaded


@pytest.mark.parametrize("name", sknorm_images.__all__)
def test_a_public_name_says_where_it_is_imported_from(name):
    assert getattr(sknorm_images, name).__module__ == "sknorm_images"


def test_a_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from sknorm_images import *", names)
    assert set(names) - {"__builtins__"} == set(sknorm_images.__all__)


def test_the_adapter_without_keras_says_what_to_install():
    process = run("import sys\nsys.modules['keras'] = None\nimport sknorm_images.keras")
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith("ImportError: sknorm_images.keras needs Keras")
    assert 'Run: python -m pip install "sknorm-images[keras]" jax' in last
    assert "KERAS_BACKEND=jax" in last


def test_everything_else_works_without_keras():
    process = run(
        "import sys\n"
        "sys.modules['keras'] = None\n"
        "import numpy as np\n"
        "import sknorm_images\n"
        "x = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)\n"
        "print(sknorm_images.ChannelMinMaxScaler().fit_transform(x).max())",
        "-W",
        "error",
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "1.0\n", "")
