"""Names of files that break rows, steer terminals, run in spreadsheets or end HTML."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterable
from pathlib import Path

_STEMS: list[str | bytes] = [
    "carriage\rreturn",
    "new\nline",
    "tab\tulator",
    "\tbegins with a tab",
    "\rbegins with a return",
    "title\x1b]0;owned\x07",
    "clear\x1b[2J",
    "c1\x9b31m",
    "delete\x7f",
    "override\u202egpj",
    "isolate\u2066x\u2069",
    "line\u2028separator",
    "paragraph\u2029separator",
    "next\x85line",
    "=1+1",
    '=HYPERLINK("http:","x")',
    "+1",
    "-1",
    "--json",
    "@SUM(A1)",
    "|calc",
    " =1+1",
    "\uff1d1+1",
    "'quote\"s",
    "a,b;c",
    "<script>alert(1)<",
    "&amp;",
    "%41",
    " spaces at the ends ",
    "\U0001f600\U0001f468\u200d\U0001f469",
    "e\u0301",
    b"\xff\xfe",
    "http:",
    "a::b",
    "back\\slash",
    "{{7*7}}",
    "$(x)",
    "$x^2$",
    "[red]bold[",
]
# Of every name the file system allows; the last is as long as one may be.
NAMES = [os.fsdecode(stem) + ".jpg" for stem in _STEMS] + ["long" + "x" * 242 + ".jpg"]
RAW = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def as_listed(names: Iterable[str]) -> list[str]:
    """Sort names as folders are listed: the same in every way to write an accent."""
    return sorted(names, key=lambda name: (unicodedata.normalize("NFC", name), name))


def make_nasty_folder(folder: Path, photos: list[bytes]) -> list[str]:
    """Write one photo under each name; every third one is cut off. Returns the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, (name, photo) in enumerate(zip(NAMES, photos, strict=True)):
        Path(folder, name).write_bytes(photo[:-40] if i % 3 == 0 else photo)
    return as_listed(str(Path(folder, name)) for name in NAMES)


def make_nasty_classes(folder: Path, photos: list[bytes]) -> list[str]:
    """Write one photo into a sub-folder of each name, without ``.jpg``."""
    stems = [name.removesuffix(".jpg") for name in NAMES]
    for stem, photo in zip(stems, photos, strict=True):
        Path(folder, stem).mkdir(parents=True)
        Path(folder, stem, "1.jpg").write_bytes(photo)
    return stems
