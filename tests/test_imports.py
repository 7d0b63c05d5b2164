"""Imports run one way, optional libraries stay optional, and public names say so."""

from __future__ import annotations

import ast
import json
import sys
from functools import cache
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import sknorm_images
from tests import new_process

pytestmark = pytest.mark.one_version

PACKAGE = Path(sknorm_images.__file__).parent

# From the ground up. A wing is a folder or a module; those of one floor do not import each
# other.
FLOORS = [
    ("_common",),
    ("_files",),
    ("_images",),
    ("_scaling", "_saving"),
    ("_pipeline", "_steps"),
    ("__init__",),
    ("keras", "distributed", "plotting"),
    ("demo",),
    ("cli",),
    ("__main__",),
]
MODULES = sorted(
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts) for path in PACKAGE.rglob("*.py")
)


@cache
def imports_of(module: str) -> set[str]:
    """Dotted names that a module imports, at its top or within a function."""
    names = set()
    path = PACKAGE.joinpath(*module.split(".")).with_suffix(".py")
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} has a relative import in line {node.lineno}"
            names.update(f"{node.module}.{alias.name}" for alias in node.names)
    return names


def own_modules(module: str) -> set[str]:
    """Modules of this package that a module imports; __init__ for a public name."""
    names = {name for name in imports_of(module) if name.split(".")[0] == "sknorm_images"}
    return {_module_of(name) for name in names}


def _module_of(name: str) -> str:
    """The module that a dotted name is, or is in."""
    name = f"{name}.".partition(".")[2]  # within the package
    while name:
        name = name.rpartition(".")[0]
        for module in (name, f"{name}.__init__"):
            if module in MODULES:
                return module
    return "__init__"


def wing_of(module: str) -> str:
    return module.partition(".")[0]


def modules_in(wing: str) -> set[str]:
    return {module for module in MODULES if wing_of(module) == wing}


def test_every_module_has_its_place():
    wings = {wing for floor in FLOORS for wing in floor}
    assert {wing_of(module) for module in MODULES} == wings


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_its_own_wing_and_those_on_floors_below(module):
    own = wing_of(module)
    [floor] = [i for i, wings in enumerate(FLOORS) if own in wings]
    below = {wing for wings in FLOORS[:floor] for wing in wings}
    assert {wing_of(name) for name in own_modules(module)} <= {own, *below}


def test_no_modules_import_each_other_in_a_circle():
    order = TopologicalSorter({module: own_modules(module) for module in MODULES})
    order.prepare()  # or CycleError, which names the circle


def test_decoding_knows_neither_names_nor_where_contents_come_from():
    reached, new = set(), {"_images.decoding"}
    while new:
        reached |= new
        new = {name for module in new for name in own_modules(module)} - reached
    assert reached.isdisjoint({"_files.reading", "_files.remote", "_files.protocols"})


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        (
            "keras",
            {"keras._augmentation", "keras._batches", "keras._callers", "keras._dataset"}
            | {"keras._normalization", "keras._refusals", "keras._resuming", "keras._shards"}
            | {"keras.__init__", "demo"},
        ),
        ("cykooz_resizer", {"_images.simd"}),
        ("simplejpeg", {"_images.strict_libjpeg", "_images.fast_lane"}),
        ("zarr", {"_images.saved"}),
        ("fsspec", {"_files.http", "_files.remote"}),
        ("aiohttp", {"_files.http"}),
        ("jax", set()),
        ("tensorflow", set()),
        ("torch", set()),
        ("pandas", {"_images.checking"}),
        ("polars", set()),
        ("matplotlib", {*modules_in("plotting"), "cli._figures"} - {"plotting._sampling"}),
        ("dask", {"distributed"}),
        ("distributed", set()),
        ("ray", set()),
        (
            "typer",
            {"cli._terminal", "cli._tables", "cli._commands", "cli._running", "cli.__init__"},
        ),
        ("rich", {"cli._tables", "cli.__init__"}),
        ("jinja2", {"cli._report", "cli.__init__"}),
    ],
)
def test_an_optional_library_is_imported_only_where_it_belongs(library, importers):
    found = {
        module
        for module in MODULES
        if library in {name.split(".")[0] for name in imports_of(module)}
    }
    assert found == importers


@pytest.mark.long
def test_importing_is_silent_and_loads_nothing_that_is_not_needed():
    process = new_process.run(
        "import sklearn.pipeline\n"
        "before = set(sys.modules)\n"
        "import sknorm_images\n"
        "print(json.dumps(sorted(set(sys.modules) - before)))",
        "-W",
        "error",
    )
    assert (process.returncode, process.stderr) == (0, "")
    loaded = json.loads(process.stdout)
    libraries = {name.split(".")[0] for name in loaded} - sys.stdlib_module_names
    # PIL loads defusedxml where it is installed.
    assert libraries - {"defusedxml"} == {"sknorm_images", "PIL"}
    adapters = {f"sknorm_images.{name}" for name in ("keras", "plotting", "distributed")}
    assert not adapters & set(loaded)


@pytest.mark.parametrize("name", sknorm_images.__all__)
def test_a_public_name_says_where_it_is_imported_from(name):
    assert getattr(sknorm_images, name).__module__ == "sknorm_images"


def test_a_star_import_gives_the_public_names():
    names: dict[str, object] = {}
    exec("from sknorm_images import *", names)
    assert set(names) - {"__builtins__"} == set(sknorm_images.__all__)


@pytest.mark.long
@pytest.mark.parametrize(
    ("library", "adapter", "command"),
    [
        ("keras", "keras needs Keras", '"sknorm-images[keras]" jax'),
        ("matplotlib", "plotting needs Matplotlib", '"sknorm-images[plot]"'),
        ("dask", "distributed needs Dask", '"sknorm-images[distributed]"'),
    ],
)
def test_an_adapter_without_its_library_says_what_to_install(library, adapter, command):
    module = adapter.split()[0]
    process = new_process.run(
        f"sys.modules[{library!r}] = None\nimport sknorm_images.{module}"
    )
    assert process.returncode == 1
    last = process.stderr.splitlines()[-1]
    assert last.startswith(f"ImportError: sknorm_images.{adapter}")
    assert f"Run: python -m pip install {command}" in last
    assert ("KERAS_BACKEND=jax" in last) == (library == "keras")


@pytest.mark.long
def test_everything_else_works_without_optional_libraries():
    process = new_process.run(
        "for name in ('keras', 'matplotlib', 'dask', 'ray'):\n"
        "    sys.modules[name] = None\n"
        "import numpy as np\n"
        "import sknorm_images\n"
        "x = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)\n"
        "print(sknorm_images.ChannelMinMaxScaler().fit_transform(x).max())",
        "-W",
        "error",
    )
    assert (process.returncode, process.stdout, process.stderr) == (0, "1.0\n", "")


@pytest.mark.slow
def test_collecting_the_quick_tests_loads_none_of_keras_and_its_backends():
    code = """
import pytest
status = pytest.main(["-m", "quick", "--collect-only", "-qq"])
loaded = {"keras", "jax", "tensorflow", "torch"}.intersection(sys.modules)
print()
print(json.dumps([status, sorted(loaded)]))
"""
    process = new_process.run(code)
    assert json.loads(process.stdout.splitlines()[-1]) == [0, []], process.stderr
