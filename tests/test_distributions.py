"""The wheel and the sdist hold what they should, and nothing else."""

from __future__ import annotations

import subprocess
import sys
import tarfile
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest

from sknorm_images import JpegLoader, __version__

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).parent.parent
NAME = f"sknorm_images-{__version__}"


def tracked(*folders: str) -> set[str]:
    """Files of the repository in these folders, or all."""
    listing = subprocess.run(
        ["git", "ls-files", "-z", *folders],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if listing.returncode:
        pytest.skip("what belongs into a distribution is known in a git checkout alone")
    return {name for name in listing.stdout.split("\0") if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder)],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=300,
    )
    return folder


@pytest.fixture(scope="module")
def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_and_what_is_said_of_it(wheel):
    about = ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    expected = {f"{NAME}.dist-info/{name}" for name in about} | tracked("sknorm_images")
    assert set(wheel.namelist()) == expected
    assert "sknorm_images/py.typed" in expected


def test_the_sdist_holds_what_is_tracked(built):
    with tarfile.open(built / f"{NAME}.tar.gz") as archive:
        names = {name.removeprefix(f"{NAME}/") for name in archive.getnames()}
    assert names == tracked() | {"PKG-INFO"}


def test_the_command_is_installed_and_runs_the_program(wheel):
    entry_points = wheel.read(f"{NAME}.dist-info/entry_points.txt").decode()
    assert entry_points.split() == [
        "[console_scripts]",
        "sknorm-images",
        "=",
        "sknorm_images.__main__:main",
    ]


def test_the_package_says_what_it_needs_and_who_may_use_it(wheel):
    metadata: Message = Parser().parsestr(wheel.read(f"{NAME}.dist-info/METADATA").decode())
    assert metadata["Name"] == "sknorm-images"
    assert metadata["License-Expression"] == "BSD-3-Clause"
    assert metadata["Requires-Python"] == ">=3.11"
    always = [need for need in metadata.get_all("Requires-Dist") if "extra ==" not in need]
    assert sorted(need.split(">=")[0] for need in always) == [
        "joblib",
        "numpy",
        "pillow",
        "scikit-learn",
        "tqdm",
    ]
    (address,) = metadata.get_all("Project-URL")
    assert JpegLoader()._get_doc_link().startswith(address.removeprefix("Documentation, "))
    citation = (ROOT / "CITATION.cff").read_text("utf-8")
    assert f"\nversion: {metadata['Version']}\n" in citation
    assert f"\nlicense: {metadata['License-Expression']}\n" in citation
    assert metadata.get_payload() == (ROOT / "README.md").read_text("utf-8")
