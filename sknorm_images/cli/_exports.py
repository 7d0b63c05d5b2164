"""Write what was found: as CSV that no spreadsheet runs, or JSON, whose names still open."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO
from urllib.parse import quote

from numpy.typing import NDArray

from sknorm_images._common.wording import printable
from sknorm_images._files.protocols import is_url

# What a spreadsheet takes for the beginning of a formula (OWASP, "CSV injection"), and the
# wide forms that some of them treat alike.
_FORMULA = tuple("=+-@|\uff1d\uff0b\uff0d\uff20")
_ROWS_AT_ONCE = 1024
_UNSEEN = ("Cc", "Cs", "Zl", "Zp")  # categories: control, surrogate, ends of lines
_OVERRIDES = ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
_MARKS = "\u061c\u200e\u200f"  # of direction, too, though classed as letters


def write_csv(file: TextIO, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write what `check_images` found, one row per file.

    Names are relative, absolute or URLs, as they were found. One that would begin a formula
    gets ``./`` before it, and one with characters that do not print becomes a ``file:`` URL.
    """
    encoding = file.encoding or "utf-8"
    writer = csv.writer(file, lineterminator="\n", quoting=csv.QUOTE_ALL)

    def cell(column: str, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return _name_cell(value, encoding) if column == "filename" else _text_cell(value)

    writer.writerow(columns)
    for row in _rows_of(columns):
        writer.writerow([cell(*item) for item in zip(columns, row, strict=True)])


def write_json(file: TextIO, columns: Mapping[str, NDArray[Any]]) -> None:
    """Write what `check_images` found, one line per file.

    JSON has no NaN, so null stands for what is unknown.
    """
    before = "[\n"
    for row in _rows_of(columns):
        values = [None if value != value else value for value in row]  # NaN is not itself
        text = json.dumps(dict(zip(columns, values, strict=True)))
        # The one control character that json does not escape.
        file.write(before + text.replace("\x7f", r"\u007f"))
        before = ",\n"
    file.write("\n]\n")


def _rows_of(columns: Mapping[str, NDArray[Any]]) -> Iterator[tuple[Any, ...]]:
    """Yield the rows of a table as Python's values, without a copy of all of it."""
    n_rows = len(next(iter(columns.values())))
    for start in range(0, n_rows, _ROWS_AT_ONCE):
        rows = slice(start, start + _ROWS_AT_ONCE)
        yield from zip(*(column[rows].tolist() for column in columns.values()), strict=True)


def _name_cell(name: str, encoding: str) -> str:
    if is_url(name):
        return "".join(c if _prints(c, encoding) else _percent(c) for c in name)
    if not all(_prints(c, encoding) for c in name):
        return Path(name).absolute().as_uri()
    return f"./{name}" if name.lstrip().startswith(_FORMULA) else name


def _text_cell(text: str) -> str:
    text = printable(text)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text


def _prints(character: str, encoding: str) -> bool:
    """Whether a character can be written, and is visible where it stands."""
    if character.isascii():
        return character.isprintable()
    if (
        unicodedata.category(character) in _UNSEEN
        or unicodedata.bidirectional(character) in _OVERRIDES
        or character in _MARKS
    ):
        return False
    try:
        character.encode(encoding)
    except UnicodeEncodeError:
        return False
    return True


def _percent(character: str) -> str:
    try:
        return quote(character, errors="surrogateescape")
    except UnicodeEncodeError:  # half of a surrogate pair, which stands for no byte
        return quote(character, errors="surrogatepass")
