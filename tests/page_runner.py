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
    output: str | None  # what the page says next that it prints, if it does


def examples_of(page: str) -> list[Example]:
    """Read the blocks of Python in a page, each with a block of output right behind it."""
    text = (ROOT / page).read_text("utf-8")
    pattern = r"^```python\n(.*?)^```\n(?:\n```output\n(.*?)^```\n)?"
    return [
        Example("\n" * text[: block.start(1)].count("\n") + block[1], block[2])
        for block in re.finditer(pattern, text, re.M | re.S)
    ]


def run(page: str, photos: Path) -> None:
    """Run a page in a folder of its own, which holds `photos`; raise where it is wrong."""
    names: dict[str, object] = {"__name__": "__main__"}
    checker = doctest.OutputChecker()
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        shutil.copytree(photos, "photos")
        for code, expected in examples_of(page):
            with contextlib.redirect_stdout(io.StringIO()) as printed:
                exec(compile(code, page, "exec"), names)
            got = printed.getvalue()
            if expected is not None and not checker.check_output(
                expected, got, doctest.ELLIPSIS
            ):
                line = code.rstrip().count("\n") + 1
                raise AssertionError(f"{page}, line {line}: it prints\n{got}")


def main() -> None:
    os.environ.setdefault("KERAS_BACKEND", "jax")
    from sknorm_images.demo import make_photo_folder

    with tempfile.TemporaryDirectory() as folder:
        photos = Path(folder, "photos")
        make_photo_folder(photos)
        for page in sys.argv[1:]:
            print(page, file=sys.stderr, flush=True)
            run(page, photos)


if __name__ == "__main__":
    main()
