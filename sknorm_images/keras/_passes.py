"""A pass over the batches of one epoch, by one consumer."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from sknorm_images._common.failures import ReadError
from sknorm_images.keras._batches import Batch
from sknorm_images.keras._look_ahead import LookAhead
from sknorm_images.keras._threads import Threads

MakeBatch: TypeAlias = Callable[[int, NDArray[np.intp], int], Batch]

_KEPT = 2  # batches that Keras takes before a pass begins: one or, on TensorFlow, two


class Pass:
    """What one consumer has been served of one epoch, and what is made ahead for it.

    ``make(epoch, samples, i)`` makes batch i, and `samples` is the order of the epoch.
    A probing consumer is one that may begin anew, as Keras does, which looks at some batches
    before a pass begins: they are kept, and served again.
    """

    def __init__(
        self,
        make: MakeBatch,
        epoch: int,
        samples: NDArray[np.intp],
        n_batches: int,
        n_threads: int,
        threads: Threads,
        *,
        is_probing: bool = False,
    ) -> None:
        self.epoch = epoch
        self.samples = samples
        self.served = np.zeros(n_batches, bool)
        self.failures: dict[int, ReadError] = {}
        self.is_probing = is_probing
        self._has_begun = False
        self._kept: dict[int, Batch] = {}
        self._look_ahead = LookAhead(
            partial(make, epoch, samples), n_batches, n_threads, threads
        )
        self._previous = -1
        self._is_in_order = True

    @property
    def was_passed_over(self) -> bool:
        """Whether the consumer has begun the pass, but taken none of its batches."""
        return self._has_begun and not self.is_probing and not self.served.any()

    def begin(self) -> None:
        """Expect batches in order again: the first, or where steps divide a pass, the next."""
        self._has_begun = True
        self._is_in_order = True

    def settle(self) -> None:
        """End the probing: what was kept is served once more, in the pass that follows."""
        self.is_probing = False
        self.served[:] = False
        self._previous = -1
        self._is_in_order = True

    def take(self, i: int, n_ahead: int) -> Batch:
        """Return batch i, and have up to `n_ahead` made that follow, if they come in order."""
        # In another order, such as that of model.fit(shuffle=True), the next one is unknown.
        self._is_in_order = self._is_in_order and i in (0, self._previous + 1)
        self._previous = i
        if not self._is_in_order:
            n_ahead = 0
        batch = self._kept.get(i) if self.is_probing else self._kept.pop(i, None)
        if batch is not None:
            following = (j for j in range(i + 1, len(self.served)) if j not in self._kept)
            self._look_ahead.prepare(list(islice(following, n_ahead)))
        else:
            batch = self._look_ahead.take(i, n_ahead)
            self.failures |= batch.failures
            if self.is_probing:
                self._keep(i, batch, max(_KEPT, n_ahead))
        self.served[i] = True
        return batch

    def forget(self) -> None:
        """Drop what is made ahead."""
        self._look_ahead.forget()

    def _keep(self, i: int, batch: Batch, n_kept: int) -> None:
        if i < n_kept:
            self._kept[i] = batch
        else:  # too many for a probe: this is `predict`
            self._kept.clear()
