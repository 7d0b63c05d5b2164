"""Pages, docstrings and messages are in English as it is spoken."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.one_version

ROOT = Path(__file__).parent.parent
FILES = [
    *ROOT.glob("*.md"),
    *(ROOT / "docs").rglob("*.md"),
    *(ROOT / "docs" / "examples").glob("*.py"),
    *(ROOT / "sknorm_images").rglob("*.py"),
]
# What reads as if it were translated, and what to write instead. "There is no X" and "is no
# longer" are English.
_COMPARED = r"longer|more|less|fewer|larger|smaller|faster|slower|better|worse|different"
TRANSLATED = {
    r"\bwhoever\b": "the one who acts, or the passive voice",
    rf"(?<!there )\b(?:is|are|was|were) no (?!(?:{_COMPARED})\b)\w+": "is not a ...",
    r"\b(?:images|photos|files|MB) a second\b": "per second",
    r"\bsub-folder (?:of [\w ]+ )?a class\b": "per class",
    r"\b(?:range|variance|entry|number|value|mean|scale) a (?:channel|image)\b": "per channel",
}


def prose_of(text: str) -> str:
    """Text with its lines, the strings of a message and the lines of a comment joined."""
    text = re.sub(r'"\n\s*f?"', "", text)
    text = re.sub(r"\n\s*#:? ", " ", text)
    return re.sub(r"\s+", " ", text)


def translated_in(text: str) -> list[str]:
    prose = prose_of(text)
    return [
        f"{prose[max(0, found.start() - 40) : found.end() + 20]!r}: write {better!r}"
        for pattern, better in TRANSLATED.items()
        for found in re.finditer(pattern, prose, re.IGNORECASE)
    ]


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("Whoever reads it", 1),
        ('f"{size} is no "\n        "size. Pass one."', 1),
        ("# which is\n    # no size", 1),
        ("one sub-folder of JPEG files a\nclass, at 300 images a second", 2),
        ("There is no folder, there are no files, and it is no longer there, nor is it", 0),
        ("one sub-folder per class; a range per channel; 300 images per second", 0),
    ],
)
def test_what_reads_as_translated_is_found_across_lines(text, n):
    assert len(translated_in(text)) == n


def test_no_page_docstring_or_message_reads_as_translated():
    found = {
        str(path.relative_to(ROOT)): words
        for path in FILES
        if (words := translated_in(path.read_text("utf-8")))
    }
    assert len(FILES) > 100
    assert found == {}
