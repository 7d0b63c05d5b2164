"""Support for scikit-learn's callbacks, which exist from scikit-learn 1.9 on."""

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
        """scikit-learn's mixin as mypy should see it: scikit-learn ships no types."""

        def set_callbacks(self, *callbacks: object) -> Self:
            """Set the callbacks that follow the fits."""

elif callback is None:
    CallbackSupport = type("CallbackSupport", (), {})
else:
    CallbackSupport = callback.CallbackSupportMixin

_MOST_PARTS = 100  # scikit-learn keeps a record of each until the fit ends


def follow_fit(
    estimator: Any,
    fit: Callable[[Callable[[int], None]], T],
    X: Any,
    y: Any = None,
    sample_weight: Any = None,
    *,
    n_items: int = 0,
) -> T:
    """Run ``fit(advance)``, and report its progress to the callbacks set on the estimator.

    `fit` calls ``advance(n)`` when n more items of X are done. Callbacks see `n_items` as at
    most 100 parts, in order; 0 makes the fit one task without parts. X, y and sample_weight
    must be validated already. No other thread may fit the estimator meanwhile, so pass a
    `snapshot`. A callback that asks to stop early is ignored: the user did not ask for
    statistics of only some of the images.
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
        """Count `n` more items as done, and end the parts that are now complete."""
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
