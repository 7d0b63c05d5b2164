"""Which samples make up which batch, as a function of seed and epoch alone."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from sknorm_images.keras._windows import Windows


@dataclass(frozen=True)
class BatchOrder:
    """How the samples of an epoch are drawn, ordered and cut into batches.

    The order depends on `seed` and the epoch alone. `shuffle` gives every epoch its own order,
    and `drop_remainder` leaves out a last batch that would be smaller. With `class_numbers`,
    the class of each sample numbered from 0 without gaps, samples of smaller classes are drawn
    repeatedly, until every class is as frequent as the largest. With `windows`, samples
    are shuffled within those alone.
    """

    n_samples: int
    batch_size: int
    shuffle: bool
    seed: int
    drop_remainder: bool
    class_numbers: NDArray[np.intp] | None
    windows: Windows | None = None

    @cached_property  # needed for every batch, and class_numbers have to be counted
    def n_batches(self) -> int:
        """Number of batches in an epoch."""
        n_drawn = self.n_samples
        if self.class_numbers is not None:
            counts = np.bincount(self.class_numbers)
            n_drawn = int(counts.max()) * len(counts)
        if self.drop_remainder:
            return n_drawn // self.batch_size
        return ceil(n_drawn / self.batch_size)

    def draw(self, epoch: int) -> NDArray[np.intp]:
        """Draw the samples of one epoch, counted from 0: positions, in order, read-only."""
        samples = np.arange(self.n_samples)
        if self.shuffle:
            generator = self.generator(epoch)
            if self.class_numbers is not None:
                samples = _draw_evenly(self.class_numbers, generator)
            samples = generator.permutation(samples)
            if self.windows is not None:
                samples = self.windows.gathered(samples, generator)
        samples.setflags(write=False)
        return samples

    def rows(self, batch: int) -> slice:
        """Slice of an epoch's samples that make up a batch."""
        return slice(batch * self.batch_size, (batch + 1) * self.batch_size)

    def generator(self, *key: int) -> np.random.Generator:
        """Make the random generator of an epoch, or of one batch of it: ``(epoch, batch)``."""
        # Keys of differing lengths never meet, while default_rng([seed, epoch]) and
        # default_rng([seed, epoch, 0]) would be the same stream.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))


def _draw_evenly(
    class_numbers: NDArray[np.intp], generator: np.random.Generator
) -> NDArray[np.intp]:
    """Repeat the members of each smaller class equally often, or some once more."""
    counts = np.bincount(class_numbers)
    members_of_classes = np.split(
        np.argsort(class_numbers, kind="stable"), np.cumsum(counts)[:-1]
    )
    drawn = []
    for members in members_of_classes:
        times, rest = divmod(int(counts.max()), len(members))
        drawn += [np.repeat(members, times), generator.choice(members, rest, False)]
    return np.concatenate(drawn)
