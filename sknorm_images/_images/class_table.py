"""Count the files of each class, and say in words where that is out of balance."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any, NamedTuple

from sknorm_images._common.wording import shorten, show_name
from sknorm_images._images.sources import is_missing

# Times as many files in the largest class as in the smallest. Of two classes, the smaller then
# has 20 % of the files, below which Google's Machine Learning Crash Course called an imbalance
# moderate rather than mild.
IMBALANCED = 4.0


class ClassCount(NamedTuple):
    """One class of a folder."""

    name: Any
    n_files: int
    share: float  # of the files whose class is known, 0 to 1


def class_table(labels: Iterable[Any], empty: Iterable[Any] = ()) -> list[ClassCount]:
    """Count the files of each class, the smallest class first.

    `labels` holds the class of every file, None or NaN where it is unknown. `empty` names
    classes that have no files, which come before the others. Classes of one size are in the
    order in which they first appear. Raises TypeError if a label cannot be hashed.
    """
    counts = dict.fromkeys(empty, 0)
    counts |= {name: n for name, n in Counter(labels).items() if not is_missing(name)}
    total = sum(counts.values())
    smallest_first = sorted(counts.items(), key=lambda item: item[1])
    return [ClassCount(name, n, n / total if total else 0.0) for name, n in smallest_first]


def tables_of(
    labels: Iterable[Any],
    splits: Iterable[Any] | None = None,
    empty: Iterable[tuple[Any, Any]] = (),
) -> dict[Any, list[ClassCount]]:
    """Count the files of each class in each split, by split in the order of the files.

    Without `splits`, all files are in the split None, as those are whose split is unknown.
    `empty` names splits with classes that have no files in them.
    """
    in_split: dict[Any, list[Any]] = {}
    for label, split in zip(labels, repeat(None) if splits is None else splits, strict=False):
        in_split.setdefault(None if is_missing(split) else split, []).append(label)
    without: dict[Any, list[Any]] = {}
    for split, name in empty:
        without.setdefault(split, []).append(name)
    return {
        split: class_table(some, without.get(split, ())) for split, some in in_split.items()
    }


def training_of(tables: Mapping[Any, Sequence[ClassCount]]) -> Any:
    """Return the split to train on: one of that name, or else the one with most files."""

    def rank(split: Any) -> tuple[bool, int]:
        is_named = str(split or "").rpartition("/")[2].lower().startswith("train")
        return is_named, sum(row.n_files for row in tables[split])

    return max(tables, key=rank)


def imbalance_of(table: Sequence[ClassCount]) -> str:
    """Say how the largest class compares with the smallest, and what to do; "" if it is fine.

    Classes without files are left out: no remedy of training makes up for them.
    """
    full = [row for row in table if row.n_files]
    if not full or full[-1].n_files < IMBALANCED * full[0].n_files:
        return ""
    small, large = full[0], full[-1]
    ratio = large.n_files / small.n_files
    return (
        f"The largest class, {_quoted(large.name)}, has {ratio:,.0f} times as many files as "
        f"the smallest, {_quoted(small.name)}, so a model will rarely predict small classes. "
        'When you train, pass sample_weight="balanced" or oversample=True to PipelineDataset.'
    )


def _quoted(name: Any) -> str:
    return show_name(name) if isinstance(name, str) else shorten(name)
