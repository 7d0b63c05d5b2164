"""Run the Python examples of pages, and hold what they print against what the pages say.

python -W error -m tests.page_runner README.md docs/user_guide.md
"""

from __future__ import annotations

import contextlib
import doctest
import io
import os
import re
import shutil
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parent.parent


class Example(NamedTuple):
    code: str  # on the lines that it has in the page
    output: str | None  # what the page says right behind it


def examples_of(page: str) -> list[Example]:
    text = (ROOT / page).read_text("utf-8")
    pattern = r"^```python\n(.*?)^```\n(?:\n```output\n(.*?)^```\n)?"
    return [
        Example("\n" * text[: block.start(1)].count("\n") + block[1], block[2])
        for block in re.finditer(pattern, text, re.M | re.S)
    ]


def run(page: str) -> None:
    """Run a page in the current folder; raise where it is wrong."""
    names: dict[str, object] = {"__name__": "__main__"}
    for code, expected in examples_of(page):
        with contextlib.redirect_stdout(io.StringIO()) as printed:
            exec(compile(code, page, "exec"), names)
        got = printed.getvalue()
        if expected is not None and not agree(expected, got):
            line = code.rstrip().count("\n") + 1
            raise AssertionError(f"{page}, line {line}, prints\n{got}")


def agree(expected: str, got: str) -> bool:
    """Compare as doctest does, with ... for anything."""
    return doctest.OutputChecker().check_output(expected, got, doctest.ELLIPSIS)


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from sknorm_images.demo import make_photo_folder

    # One folder, emptied for each page: joblib's workers stay in the one that they began in.
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        for page in sys.argv[1:]:
            make_photo_folder(Path("photos"))
            run(page)
            for entry in Path().iterdir():
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


if __name__ == "__main__":
    main()
