"""Imports run one way, optional libraries stay optional, and public names say so."""

from __future__ import annotations

import ast
import json
import sys
from functools import cache
from pathlib import Path

import pytest

import sknorm_images
from tests import new_process

pytestmark = pytest.mark.one_version

PACKAGE = Path(sknorm_images.__file__).parent

# Each module may import those that stand before it.
LAYERS = [
    "_wording",
    "_exceptions",
    "_channels",
    "_npy",
    "_versions",
    "_parameters",
    "_sample_weights",
    "_cancellation",
    "_callbacks",
    "_whole_files",
    "_parallel",
    "_affine",
    "_statistics",
    "_units",
    "_jpeg_markers",
    "_jpeg_damage",
    "_signatures",
    "_access",
    "_color",
    "_protocols",
    "_http",
    "_remote",
    "_reading",
    "_decoding",
    "_damage",
    "_simd",
    "_geometry",
    "_indexing",
    "_failures",
    "_recipes",
    "_bulk_reading",
    "_thumbnails",
    "_images",
    "_caching",
    "_sources",
    "_transformer",
    "_layout",
    "_stored",
    "_counting",
    "_loading",
    "_resizing",
    "_scaling",
    "_standard_scaling",
    "_minmax_scaling",
    "_merging",
    "_listing",
    "_folders",
    "_checking",
    "_flattening",
    "_zarr_stores",
    "_saving",
    "_pipeline",
    "_steps",
    "__init__",
]
# What the adapters use beside public names.
SHARED = {
    *("_cancellation", "_channels", "_failures", "_parameters", "_sample_weights"),
    *("_scaling", "_steps", "_stored", "_wording"),
}
# The modules of an adapter, in the same order.
KERAS = [
    "keras._batch_order",
    "keras._look_ahead",
    "keras._targets",
    "keras._augmentation",
    "keras._class_balance",
    "keras._batches",
    "keras._refusals",
    "keras._dataset",
    "keras._normalization",
    "keras.__init__",
]
PLOTTING = [
    "plotting._panels",
    "plotting._histograms",
    "plotting._grid",
    "plotting.__init__",
]
DISTRIBUTED = ["distributed"]
PROGRAMS = [
    "demo",
    "cli._files",
    "cli._options",
    "cli._spreadsheets",
    "cli._terminal",
    "cli._tables",
    "cli._batches",
    "cli._report",
    "cli._commands",
    "cli._program",
    "cli.__init__",
    "__main__",
]
MODULES = [*LAYERS, *KERAS, *PLOTTING, *DISTRIBUTED, *PROGRAMS]


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


def test_every_module_has_its_place():
    paths = (path.relative_to(PACKAGE).with_suffix("") for path in PACKAGE.rglob("*.py"))
    assert sorted(".".join(path.parts) for path in paths) == sorted(MODULES)


@pytest.mark.parametrize("module", LAYERS)
def test_a_module_imports_only_those_below_it(module):
    below = LAYERS[: LAYERS.index(module)]
    assert own_modules(module) <= set(below)


@pytest.mark.parametrize(
    ("modules", "module"),
    [(modules, module) for modules in (KERAS, PLOTTING, DISTRIBUTED) for module in modules],
    ids=lambda module: module if isinstance(module, str) else "",
)
def test_an_adapter_uses_public_names_and_its_own_modules_below(modules, module):
    below = modules[: modules.index(module)]
    assert own_modules(module) <= {"__init__", *SHARED, *below}


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_imports_public_names_and_its_own_modules_below(module):
    below = PROGRAMS[: PROGRAMS.index(module)]
    assert own_modules(module) <= {
        *("__init__", "keras.__init__", "plotting.__init__"),
        *("_color", "_decoding", "_failures", "_folders", "_geometry", "_listing", "_npy"),
        *("_pipeline", "_protocols", "_thumbnails"),
        "_whole_files",
        *SHARED,
        *below,
    }


@pytest.mark.parametrize(
    ("library", "importers"),
    [
        (
            "keras",
            {"keras._augmentation", "keras._batches", "keras._dataset"}
            | {"keras._normalization", "keras._refusals", "keras.__init__", "demo"},
        ),
        ("cykooz_resizer", {"_simd"}),
        ("simplejpeg", {"_damage"}),
        ("zarr", {"_zarr_stores"}),
        ("fsspec", {"_http", "_remote"}),
        ("aiohttp", {"_http"}),
        ("jax", set()),
        ("tensorflow", set()),
        ("torch", set()),
        ("pandas", set()),
        ("polars", set()),
        ("matplotlib", {*PLOTTING, "cli._report"}),
        ("dask", {*DISTRIBUTED}),
        ("distributed", set()),
        ("ray", set()),
        (
            "typer",
            {"cli._terminal", "cli._tables", "cli._commands", "cli._program", "cli.__init__"},
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
