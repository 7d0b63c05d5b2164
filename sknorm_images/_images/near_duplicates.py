"""Find images that look alike by their perceptual hashes, without comparing all pairs."""

from __future__ import annotations

from itertools import combinations, count, pairwise

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.cancellation import check_cancelled

MOST_BITS = 10  # that the hashes of two images differ in, to be told as near duplicates
_N_EQUAL = 3  # blocks of bits that are surely equal in two such hashes


def first_alike(hashes: NDArray[np.object_], most_bits: int = MOST_BITS) -> NDArray[np.int64]:
    """Say for each hash the position of the first one before it that is about the same.

    That is -1 if there is none, or if the hash is empty. About the same are hashes, a letter
    and 16 hexadecimal digits, that differ in at most `most_bits` bits; the result is exact.

    If the 64 bits are cut into ``most_bits + 3`` blocks, at least three blocks are equal in
    such a pair (the pigeonhole principle). So for every choice of three blocks, the hashes
    are sorted by these, and only neighbours with the same ones are compared (Manku et al.,
    2007). Memory grows with the number of hashes, whatever they are. Time does so, too, unless
    many different hashes are almost the same.
    """
    known = np.flatnonzero(hashes != "")
    result = np.full(len(hashes), -1, np.int64)
    if not len(known):
        return result
    values = np.array([int(hashes[i][1:], 16) for i in known], np.uint64)
    different, first, group = np.unique(values, return_index=True, return_inverse=True)
    # In the order in which they first appear, so that the lower of two is the earlier.
    order = np.argsort(first)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    nearest = _first_neighbours(different[order], most_bits)
    found = known[first[order]][nearest[rank[group.ravel()]]]
    result[known] = np.where(found < known, found, -1)
    return result


def _first_neighbours(hashes: NDArray[np.uint64], most_bits: int) -> NDArray[np.int64]:
    """Say for each of different hashes which is the first about the same: maybe itself."""
    nearest = np.arange(len(hashes))
    edges = np.linspace(0, 64, most_bits + _N_EQUAL + 1).round().astype(int).tolist()
    blocks = [((1 << high) - 1) ^ ((1 << low) - 1) for low, high in pairwise(edges)]
    for chosen in combinations(blocks, _N_EQUAL):
        masked = hashes & np.uint64(sum(chosen))
        order = np.argsort(masked)
        masked, ordered = masked[order], hashes[order]
        ends = np.searchsorted(masked, masked, side="right")
        n_behind = ends - np.arange(1, len(hashes) + 1)  # with the same chosen blocks
        left = np.flatnonzero(n_behind)
        for distance in count(1):
            check_cancelled()
            left = left[n_behind[left] >= distance]
            if not len(left):
                break
            if 4 * len(left) > len(hashes):  # faster than picking them
                differing = np.bitwise_count(ordered[:-distance] ^ ordered[distance:])
                near = np.flatnonzero(differing <= most_bits)
            else:
                differing = np.bitwise_count(ordered[left] ^ ordered[left + distance])
                near = left[differing <= most_bits]
            one, other = order[near], order[near + distance]
            np.minimum.at(nearest, np.maximum(one, other), np.minimum(one, other))
    return nearest
