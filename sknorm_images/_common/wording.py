"""How messages show what was passed in: in few words, and in characters that print."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from itertools import islice
from math import prod
from typing import TypeVar

Item = TypeVar("Item")

_LONGEST_VALUE = 80  # characters; for a longer value, its kind and length say more
_LONGEST_NAME = 300  # paths are long; beyond this, the beginning and the end are shown
_LONGEST_REASON = 400
_LONGEST_LIST = 1200  # about a dozen files with reasons
_MOST_ITEMS = 20
_MOST_BITS = 256  # of an integer; Python refuses to print more than 4,300 digits
_DEEPEST = 3
_LONGEST_PATH = 4096  # PATH_MAX of Linux, the largest of the usual ones


def printable(text: object) -> str:
    """Escape characters that end a line, control a terminal, or cannot be encoded."""
    plain = str(text)
    if plain.isprintable():  # as most are
        return plain
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in plain)


def shorten(text: object, longest: int = _LONGEST_REASON) -> str:
    """Make text printable, and cut out its middle if it is long."""
    plain = printable(text)
    if len(plain) <= longest:
        return plain
    return f"{plain[: longest // 2]}...{plain[-longest // 2 :]}"


def show_name(name: str) -> str:
    """Quote a file name or URL, and cut out its middle if it is long."""
    quoted = repr(name)
    if len(quoted) <= _LONGEST_NAME:
        return quoted
    return f"{shorten(quoted, _LONGEST_NAME)} ({len(name):,} characters)"


def show_value(value: object) -> str:
    """Show a value as `repr` does if that is short, else by its type and length or shape."""
    try:
        if _is_small(value):
            text = re.sub(r"\n\s*", " ", repr(value))  # arrays span several lines
            if len(text) <= _LONGEST_VALUE:
                return printable(text)
        return f"<{_kind_of(value)}>"
    except Exception:  # noqa: BLE001 (a foreign object's; the message is about something else)
        return f"<{type(value).__name__}>"


def show_some(
    items: Collection[Item],
    show: Callable[[Item], str] = show_value,
    separator: str = ", ",
    rest: str = "",
) -> str:
    """List the first items, at most 20 and fewer if they are long, and count the others.

    If some are left out, `rest` is added, to say where all of them are.
    """
    shown: list[str] = []
    room = _LONGEST_LIST
    for item in islice(items, _MOST_ITEMS):
        text = show(item)
        room -= len(text)
        if shown and room < 0:
            break
        shown.append(text)
    if left := len(items) - len(shown):
        shown.append(f"... and {left:,} more{rest}")
    return separator.join(shown)


def shorten_filename(error: OSError) -> OSError:
    """Shorten the file names that an error shows if they are longer than any real path."""
    for attribute in ("filename", "filename2"):
        name = getattr(error, attribute)
        if isinstance(name, str | bytes) and len(name) > _LONGEST_PATH:
            setattr(error, attribute, shorten(name, _LONGEST_NAME))
    return error


def _is_small(value: object, depth: int = 0) -> bool:
    """Whether `repr` of a value is cheap, judging by its type and size."""
    if isinstance(value, str | bytes | bytearray):
        return len(value) <= _LONGEST_VALUE
    if isinstance(value, int):
        return value.bit_length() <= _MOST_BITS
    if (shape := _shape_of(value)) is not None:
        return prod(shape) <= _MOST_ITEMS
    if not isinstance(value, Collection) or isinstance(value, range):
        return True
    parts: Iterable[object] = value
    if isinstance(value, Mapping):
        parts = (part for item in value.items() for part in item)
    return (
        depth < _DEEPEST
        and len(value) <= _MOST_ITEMS
        and all(_is_small(part, depth + 1) for part in parts)
    )


def _kind_of(value: object) -> str:
    name = type(value).__name__
    if isinstance(value, str):
        return f"{name} of {len(value):,} characters"
    if isinstance(value, bytes | bytearray | memoryview):
        return f"{name} of {len(value):,} bytes"
    if isinstance(value, int):
        return f"{name} of {value.bit_length():,} bits"
    if (shape := _shape_of(value)) is not None:
        return f"{name} of shape {shape}"
    if isinstance(value, Collection):
        return f"{name} of {len(value):,} items"
    return name


def _shape_of(value: object) -> tuple[int, ...] | None:
    shape = getattr(value, "shape", None)
    if isinstance(shape, tuple) and all(isinstance(length, int) for length in shape):
        return shape
    return None
