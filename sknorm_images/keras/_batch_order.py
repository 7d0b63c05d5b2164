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
    repeatedly, until every class is as frequent as the largest. `shard`, the number of a
    process and how many there are, leaves this process its part of each batch. With `windows`,
    samples are shuffled within those alone.
    """

    n_samples: int
    batch_size: int
    shuffle: bool
    seed: int
    drop_remainder: bool
    class_numbers: NDArray[np.intp] | None
    shard: tuple[int, int] = (0, 1)
    windows: Windows | None = None

    @property
    def is_shared(self) -> bool:
        """Whether other processes take parts of the batches, too."""
        return self.shard != (0, 1)

    @cached_property  # needed for every batch, and class_numbers have to be counted
    def n_drawn(self) -> int:
        """Number of samples that are drawn for an epoch, those of a remainder included."""
        if self.class_numbers is None:
            return self.n_samples
        counts = np.bincount(self.class_numbers)
        return int(counts.max()) * len(counts)

    @property
    def n_batches(self) -> int:
        """Number of batches in an epoch."""
        if self.drop_remainder:
            return self.n_drawn // self.batch_size
        return ceil(self.n_drawn / self.batch_size)

    @property
    def last_batch_size(self) -> int:
        """Number of samples in the last batch, over all processes."""
        return self._size(self.n_batches - 1)

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
        """Slice of an epoch's samples that make up a batch, or the part of this process."""
        index, count = self.shard
        n_rows = self._size(batch) // count
        start = batch * self.batch_size + index * n_rows
        return slice(start, start + n_rows)

    def taken(self, samples: NDArray[np.intp]) -> NDArray[np.intp]:
        """Those of an epoch's samples that are in the batches of this process."""
        return np.concatenate([samples[self.rows(i)] for i in range(self.n_batches)])

    def batch_generator(self, epoch: int, batch: int) -> np.random.Generator:
        """Make the random generator of one batch, or of the part of this process."""
        return self.generator(epoch, batch, *(self.shard[:1] if self.is_shared else ()))

    def generator(self, *key: int) -> np.random.Generator:
        """Make the random generator of an epoch, ``(epoch,)``, or of what longer keys say."""
        # Keys of differing lengths never meet, while default_rng([seed, epoch]) and
        # default_rng([seed, epoch, 0]) would be the same stream.
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def _size(self, batch: int) -> int:
        """Count the samples of a batch, over all processes."""
        return min(self.batch_size, self.n_drawn - batch * self.batch_size)


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
