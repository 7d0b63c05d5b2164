"""Run the examples of pages, and hold what they print against what the pages say.

Examples are blocks of Python, and lines of console blocks that begin with "$ sknorm-images".
A block whose first line is "# python -m pip install NAME ..." runs where these are installed.

python -W error -m tests.page_runner README.md docs/user_guide.md
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shlex
import shutil
import sys
import tempfile
import warnings
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import NamedTuple

import numpy as np

ROOT = Path(__file__).parent.parent
DECIMAL = r"-?\d+\.\d*"


class Example(NamedTuple):
    code: str  # on the lines that it has in the page
    output: str | None  # what the page says right behind it


def examples_of(page: str) -> list[Example]:
    text = (ROOT / page).read_text("utf-8")
    pattern = r"^```(python|console)\n(.*?)^```\n(?:\n```output\n(.*?)^```\n)?"
    found = []
    for block in re.finditer(pattern, text, re.M | re.S):
        above = "\n" * text[: block.start(2)].count("\n")
        if block[1] == "python":
            found.append(Example(above + block[2], block[3]))
            continue
        commands = re.finditer(r"^\$ (sknorm-images.*)\n((?:(?!\$).*\n)*)", block[2], re.M)
        for command, output in (line.groups() for line in commands):
            found.append(
                Example(f"{above}run_command({shlex.split(command)})", output or None)
            )
    return found


def run_command(arguments: list[str]) -> None:
    """Do what the shell does with a command, and raise where it fails."""
    from sknorm_images.__main__ import main

    sys.argv = arguments
    if main() == 2:  # 1 is what check says of broken files
        raise AssertionError(f"{shlex.join(arguments)} fails")


def packages_of(code: str) -> list[str]:
    """List the packages that the first line of a block says to install."""
    named = re.match(r"\n*# python -m pip install (.+)", code)
    return named[1].split() if named else []


def is_installed(package: str) -> bool:
    try:
        distribution(package)
    except PackageNotFoundError:
        return False
    return True


def run(page: str) -> None:
    """Run a page in the current folder; raise where it is wrong."""
    names: dict[str, object] = {"__name__": "__main__", "run_command": run_command}
    for code, expected in examples_of(page):
        packages = packages_of(code)
        if not all(map(is_installed, packages)):
            continue
        with (
            contextlib.redirect_stdout(io.StringIO()) as printed,
            warnings.catch_warnings(),
        ):
            if packages:  # whose own warnings are not ours to mend
                warnings.simplefilter("default")
            exec(compile(code, page, "exec"), names)
        got = printed.getvalue()
        if expected is not None and not agree(expected, got):
            line = code.rstrip().count("\n") + 1
            raise AssertionError(f"{page}, line {line}, prints\n{got}")


def agree(expected: str, got: str) -> bool:
    """Compare as doctest does, with ... for anything, and decimals to four digits.

    Decimals are compared in lines without "...", unless there are more or fewer lines.
    """
    lines = expected.splitlines(), got.splitlines()
    if "..." in expected and len(lines[0]) == len(lines[1]) > 1:
        return all(map(agree, *lines))
    if "..." not in expected:  # the last digits depend on the version of Pillow
        numbers = [[float(n) for n in re.findall(DECIMAL, text)] for text in (expected, got)]
        if len(numbers[0]) != len(numbers[1]) or not np.allclose(*numbers, rtol=1e-4, atol=0):
            return False
        expected, got = (re.sub(DECIMAL, "number", text) for text in (expected, got))
    flags = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
    return doctest.OutputChecker().check_output(expected, got, flags)


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from sknorm_images.demo import make_photo_folder

    # One folder, emptied for each page: joblib's workers stay in the one that they began in.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for page in list(sys.argv[1:]):
            make_photo_folder(Path("photos"))
            run(page)
            for entry in Path().iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


if __name__ == "__main__":
    main()
