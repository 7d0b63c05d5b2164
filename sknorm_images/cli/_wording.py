"""Turn Python's parameters in messages of the package into the options of a command."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

# What every command that reads files has.
READING = {
    "extensions": "--extensions",
    "formats": "--formats",
    "max_pixels": "--max-pixels",
    "max_scans": "--max-scans",
    "color_profile": "--color-profile",
    "background": "--background",
}
_PHRASES = {
    "JpegLoader has ": "this command reads ",
    "Check X;": "Check the folder;",
    "(red, green, blue)": "R,G,B",
}
_BETWEEN = {"size": "x", "quantile_range": " ", "feature_range": " "}  # else a comma
# Names of files, and the like; an apostrophe has a letter before it.
_QUOTED = r"""(?<!\w)(?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*")(?!\w)"""
_VALUE = rf"""[\[(](?:{_QUOTED}|[^\])'"])*[\])]|{_QUOTED}|<[^>]*>|-?\w+(?:\.\w+)*"""
# No command has this option: a folder's own URL says where it may lead. What a command's user
# can do is said before it.
_ONLY_IN_PYTHON = rf",? or pass (?:their URLs and )?protocols=(?:{_VALUE}) to JpegLoader"
_MESSAGE = re.compile(
    rf"(?P<quoted>{_QUOTED})|(?P<left_out>{_ONLY_IN_PYTHON})"
    rf"|(?P<phrase>{'|'.join(map(re.escape, _PHRASES))})"
    rf"|(?<![\w/\\.-])(?P<name>[a-z]\w*)(?:=(?P<value>{_VALUE})(?: to JpegLoader)?)?(?!\w)"
)


def options_by_parameter(flags: Iterable[str]) -> dict[str, str]:
    """Map parameters of the package to the options of a command."""
    options = {
        flag.removeprefix("--").replace("-", "_"): flag
        for flag in flags
        if flag.startswith("--")
    }
    if jobs := options.pop("jobs", None):
        options["n_jobs"] = jobs
    return options


def in_options(text: str, options: Mapping[str, str] = READING) -> str:
    """Replace parameters and their values by options, except in quoted names.

    A parameter that is also an English word is only recognised with a value.
    """

    def replaced(found: re.Match[str]) -> str:
        name, value = found["name"], found["value"]
        if found["left_out"]:
            return ""
        if found["phrase"]:
            return _PHRASES[found["phrase"]]
        if name not in options or (value is None and "_" not in name):
            return found[0]
        if value is None:
            return options[name]
        return f"{options[name]} {_as_typed(value, _BETWEEN.get(name, ','))}"

    return _MESSAGE.sub(replaced, text)


def _as_typed(value: str, between: str) -> str:
    if value[0] in "[(":
        value = re.sub(r",\s*", between, value[1:-1]).removesuffix(between)
    return re.sub(_QUOTED, lambda quoted: quoted[0][1:-1], value)
