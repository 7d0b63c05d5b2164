"""Find copies among files by their hashes, and those that are in two splits of the data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sknorm_images._images.near_duplicates import first_alike
from sknorm_images._images.sources import is_missing

COPIES = {  # by kind, the closest first: the column that says of which file, and its words
    "same content": ("duplicate_of", "same content as"),
    "same pixels": ("same_pixels_as", "same pixels as"),
    "near duplicate": ("near_duplicate_of", "near duplicate of"),
}


def codes_of(labels: NDArray[Any]) -> NDArray[np.int64]:
    """Number classes or splits in the order in which they first appear; -1 if unknown."""
    numbers: dict[Any, int] = {}
    codes = (
        -1 if is_missing(label) else numbers.setdefault(label, len(numbers))
        for label in labels
    )
    return np.fromiter(codes, np.int64, len(labels))


def are_of_another_class(
    codes: NDArray[np.int64], partner: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Compare the class of each file with that of its partner, where both are known."""
    others = codes[partner]  # those of -1 mean nothing
    is_differing: NDArray[np.bool_] = (codes != others) & (codes >= 0) & (others >= 0)
    return is_differing & (partner >= 0)


def first_of_the_same(hashes: NDArray[Any]) -> NDArray[np.int64]:
    """Say for each hash the position of the same one before it; -1 for none, or if empty."""
    first: dict[str, int] = {"": -1}
    positions = (first.setdefault(value, i) for i, value in enumerate(hashes))
    found = np.fromiter(positions, np.int64, len(hashes))
    found[found == np.arange(len(hashes))] = -1
    return found


def contents_in(found: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
    """Return the hashes of contents, empty for files that cannot be read."""
    return np.where(found["readable"], found["sha256"], "")


def find_leaks(
    found: Mapping[str, NDArray[Any]], splits: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.object_]]:
    """Say for each file which file of another split it is a copy of, and of which kind.

    `splits` are the codes of splits. A leak is told of the file whose split comes later in
    them, and names the first copy in an earlier one: -1 and "" if there is none.
    """
    leak_of, kinds = np.full(len(splits), -1, np.int64), np.full(len(splits), "", object)
    known = np.flatnonzero(splits >= 0)
    # In this order, the first copy of a file is in an earlier split if any copy is.
    order = known[np.argsort(splits[known], kind="stable")]
    is_in_order = np.array_equal(order, np.arange(len(splits)))
    for kind, (column, _) in COPIES.items():
        if column not in found:
            continue
        first = found[column] if is_in_order else _first_before(kind, found, order)
        rows = np.flatnonzero(first >= 0)
        later, earlier = order[rows], order[first[rows]]
        is_new = (splits[later] != splits[earlier]) & (leak_of[later] < 0)
        leak_of[later[is_new]] = earlier[is_new]
        kinds[later[is_new]] = kind
    return leak_of, kinds


def _first_before(
    kind: str, found: Mapping[str, NDArray[Any]], order: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Find the first copy of each file, as `COPIES` have it, of files in another order."""
    if kind == "same content":
        return first_of_the_same(contents_in(found)[order])
    if kind == "same pixels":
        return first_of_the_same(found["pixel_hash"][order])
    return first_alike(found["perceptual_hash"][order])
