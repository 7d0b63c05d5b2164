"""What a report shows of many files: a bounded choice, the most serious first."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn.utils import Bunch

from sknorm_images import JpegLoader
from sknorm_images._common.wording import shorten
from sknorm_images._images.class_table import ClassCount
from sknorm_images._images.copies import COPIES
from sknorm_images._images.decoding import Decoding
from sknorm_images._images.findings import ADVICE, Finding, findings_in
from sknorm_images.cli._tables import TO_DO
from sknorm_images.cli._wording import in_options

# Together these bound the page: it stays below 2 MB whatever there is to show.
_PICTURED = 6  # findings of each kind, with thumbnails
_LISTED = 24  # others of each kind, by name
_CLASSES = 40  # in the table
_SAMPLES = 36  # thumbnails of classes, in all
_MOST_OF_A_CLASS = 6
_OUTLIERS = 4  # of each kind
LONGEST_NAME, _LONGEST_WORDS = 160, 320  # characters


class Item(NamedTuple):
    """One finding, with the files to show: that file, and what it is a copy of."""

    name: str
    words: str
    rows: tuple[int, ...]


class Section(NamedTuple):
    """What was found of one kind."""

    kind: str
    advice: str
    n: int
    n_conflicts: int  # copies in another class
    pictured: list[Item]
    listed: list[Item]

    @property
    def anchor(self) -> str:
        """Name of the section within the page."""
        return self.kind.replace(" ", "-")

    @property
    def n_others(self) -> int:
        """How many are not shown."""
        return self.n - len(self.pictured) - len(self.listed)


class ClassSample(NamedTuple):
    """Some files of one class."""

    name: str
    rows: list[int]


def sections_of(found: Bunch, names: Sequence[str], decoding: Decoding) -> list[Section]:
    """Sort what `check_images` found by kind, in the order of ADVICE.

    Of each kind, copies in another class come first. `names` are those to show.
    """
    columns = dict(found, filename=np.array(names, dtype=object))
    counts, n_conflicts = Counter[str](), Counter[str]()
    kept: dict[tuple[str, bool], list[Finding]] = defaultdict(list)
    for finding in findings_in(columns, decoding):
        counts[finding.kind] += 1
        n_conflicts[finding.kind] += finding.is_conflict
        some = kept[finding.kind, finding.is_conflict]
        if len(some) < _PICTURED + _LISTED:
            some.append(finding)
    sections = []
    for kind in ADVICE:
        first = [*kept[kind, True], *kept[kind, False]][: _PICTURED + _LISTED]
        items = [_item(finding, found, names) for finding in first]
        if items:
            advice = in_options(ADVICE[kind], TO_DO)
            shown = items[:_PICTURED], items[_PICTURED:]
            sections.append(Section(kind, advice, counts[kind], n_conflicts[kind], *shown))
    return sections


def _item(finding: Finding, found: Bunch, names: Sequence[str]) -> Item:
    position, kind, words = finding.position, finding.kind, finding.words
    rows = [position]
    column = "leak_of" if kind == "leak" else COPIES.get(kind, ("",))[0]
    if column:
        rows.append(int(found[column][position]))
    told = "" if words == kind else words.removeprefix(f"{kind}: ")
    name = shorten(names[position], LONGEST_NAME)
    return Item(name, in_options(shorten(told, _LONGEST_WORDS)), tuple(rows))


def samples_of(
    table: Sequence[ClassCount], classes: Sequence[str | None], readable: NDArray[np.bool_]
) -> list[ClassSample]:
    """Choose some readable files of each class, as far apart in the folder as possible.

    Classes are in the order of the table, and those that do not fit are left out. Without
    classes, some of all files are chosen.
    """
    if not table:
        rows = np.flatnonzero(readable)
        return [ClassSample("", _evenly(rows, 2 * _MOST_OF_A_CLASS))]
    shown = [row.name for row in table if row.n_files][:_SAMPLES]
    n_each = min(_MOST_OF_A_CLASS, _SAMPLES // len(shown))
    rows_of: dict[Any, list[int]] = {name: [] for name in shown}
    for i in np.flatnonzero(readable).tolist():
        if classes[i] in rows_of:
            rows_of[classes[i]].append(i)
    return [
        ClassSample(shorten(name, LONGEST_NAME), _evenly(np.array(rows), n_each))
        for name, rows in rows_of.items()
    ]


def rows_of_table(table: Sequence[ClassCount]) -> list[ClassCount]:
    """Take the smallest classes for a table, and the largest, with names that are bounded."""
    shown = table if len(table) <= _CLASSES else [*table[: _CLASSES - 1], table[-1]]
    return [row._replace(name=shorten(row.name, LONGEST_NAME)) for row in shown]


def outliers_of(
    found: Bunch, loader: JpegLoader
) -> Iterator[tuple[str, list[tuple[int, str]]]]:
    """Yield a title, and the rows of the most extreme images with the number they rank by."""
    rows = np.flatnonzero(found.readable)
    ratio = _aspect_ratios(found, loader)[rows]
    oddness = -np.abs(np.log(ratio / np.median(ratio)))
    for title, name, values, key in (
        ("Darkest", "brightness", found.brightness[rows], found.brightness[rows]),
        ("Brightest", "brightness", found.brightness[rows], -found.brightness[rows]),
        ("Lowest contrast", "contrast", found.contrast[rows], found.contrast[rows]),
        ("Least sharp", "sharpness", found.sharpness[rows], found.sharpness[rows]),
        ("Oddest aspect ratio", "aspect ratio", ratio, oddness),
    ):
        first = np.argsort(key, kind="stable")[:_OUTLIERS].tolist()
        yield title, [(int(rows[i]), f"{name} {values[i]:.3g}") for i in first]


def _aspect_ratios(found: Bunch, loader: JpegLoader) -> NDArray[np.float64]:
    """Divide the width of each file by its height, as the loader turns it."""
    with np.errstate(invalid="ignore", divide="ignore"):  # 0 if unknown
        ratio: NDArray[np.float64] = found.width / found.height
        turned = (found.orientation >= 5) & loader.exif_orientation
        ratio[turned] = 1 / ratio[turned]
    return ratio


def _evenly(rows: NDArray[np.intp], n_wanted: int) -> list[int]:
    if not len(rows):
        return []
    chosen = sorted({round(i) for i in np.linspace(0, len(rows) - 1, n_wanted)})
    return [int(rows[i]) for i in chosen]


def spread(readable: NDArray[np.bool_], n_wanted: int) -> list[int]:
    """Choose some readable files, as far apart as possible, by their position among these."""
    return _evenly(np.arange(np.count_nonzero(readable)), n_wanted)
