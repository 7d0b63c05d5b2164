"""A fit as scikit-learn's callbacks follow it, where scikit-learn has any: from 1.9 on."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Self, TypeVar

try:
    from sklearn import callback
except ImportError:
    callback = None

T = TypeVar("T")

if TYPE_CHECKING:

    class CallbackSupport:
        """What scikit-learn's mixin adds to an estimator, which has no types."""

        def set_callbacks(self, *callbacks: object) -> Self:
            """Set the callbacks that follow the fits."""

elif callback is None:
    CallbackSupport = type("CallbackSupport", (), {})
else:
    CallbackSupport = callback.CallbackSupportMixin

_MOST_PARTS = 100  # scikit-learn keeps what it knows of each until the fit ends


def follow_fit(
    estimator: Any,
    fit: Callable[[Callable[[int], None]], T],
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    n_items: int = 0,
) -> T:
    """Run a fit, and tell the callbacks that are set on the estimator how it goes.

    Parameters
    ----------
    estimator : estimator instance
        What is fitted. No other thread may fit it meanwhile, so it is a `snapshot`.
    fit : callable
        Called as ``fit(advance)``; calls ``advance(n)`` when n more items are done.
    X, y, sample_weight : object
        What the estimator is fitted to, found to be in order.
    n_items : int, default=0
        How many items there are in X, if callbacks are to follow the pass over them: it is
        one of at most 100 parts, in order. 0 makes it a task without parts.

    Returns
    -------
    object
        What `fit` returned. A callback that asks for an early end is not heard: statistics
        of a part of the images are not what was asked for.
    """
    if callback is None:
        return fit(lambda n: None)
    data = {"X": X, "y": y, "metadata": {"sample_weight": sample_weight}}

    @callback.with_callbacks  # type: ignore[untyped-decorator] # scikit-learn has no types
    def followed(estimator: Any) -> T:
        n_parts = min(n_items, _MOST_PARTS)
        task = estimator._init_callback_context(max_subtasks=n_parts)
        task.call_on_fit_task_begin(estimator=estimator, **data)
        result = fit(_Parts(task, estimator, X, n_items, n_parts).advance)
        task.call_on_fit_task_end(estimator=estimator, **data, reconstruction_attributes={})
        return result

    return followed(estimator)  # type: ignore[no-any-return] # for the same reason


class _Parts:
    """The parts of a fit, which begin and end one after another."""

    def __init__(self, task: Any, estimator: Any, X: Any, n_items: int, n_parts: int) -> None:
        self._task, self._estimator, self._X = task, estimator, X
        self._ends = [n_items * (part + 1) // n_parts for part in range(n_parts)]
        self._n_done = 0
        self._current = self._begin(0)

    def advance(self, n: int) -> None:
        """End the parts that are complete with `n` more items."""
        self._n_done += n
        while self._ends and self._ends[0] <= self._n_done:
            self._current.call_on_fit_task_end(estimator=self._estimator)
            self._current = self._begin(self._ends.pop(0))

    def _begin(self, start: int) -> Any:
        if not self._ends:
            return None
        rows = slice(start, self._ends[0])
        part = self._task.subcontext(task_name=f"images {start} to {rows.stop - 1}")
        return part.call_on_fit_task_begin(estimator=self._estimator, X=lambda: self._X[rows])
