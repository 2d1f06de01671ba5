"""What estimators share: parts of scikit-learn that are new, and how a fit reports its progress."""

from __future__ import annotations

import logging
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    from clusterlib.typing import Array

try:
    from sklearn.callback import CallbackSupportMixin, with_callbacks
except ImportError:  # scikit-learn below 1.9

    class _SilentContext:
        """Stands for the context of a task where scikit-learn has no callbacks yet."""

        def subcontext(self, **_):
            return self

        def call_on_fit_task_begin(self, **_):
            return self

        def call_on_fit_task_end(self, **_):
            return False

    class CallbackSupportMixin:
        """Stands for the class of scikit-learn 1.9; without ``set_callbacks``."""

        def _init_callback_context(self, **_):
            return _SilentContext()

    def with_callbacks(method):
        """Return the method as it is: there is nothing to tear down."""
        return method


__all__ = [
    "CallbackSupportMixin",
    "FitReport",
    "all_or_nothing",
    "logger",
    "pass_progress",
    "progress_log",
    "with_callbacks",
]

# What scikit-learn's ``with_callbacks`` needs to tear callbacks down, and removes then.
_OF_CALLBACKS = ("_callback_fit_ctx", "_skl_callbacks_to_teardown")

# Seconds between two lines about the same pass.
_SECONDS_BETWEEN_LINES = 5.0

logger = logging.getLogger("clusterlib")
"""Receives what ``verbose`` asks for, at level INFO."""


@contextmanager
def progress_log(verbose: int) -> Iterator[None]:
    """Let messages of level INFO through while an estimator with ``verbose`` is fitted.

    Parameters
    ----------
    verbose : int
        0 changes nothing. Otherwise the logger "clusterlib" is set to INFO if it is above, and
        gets a handler that writes to ``sys.stderr`` if the program has configured none; both are
        put back afterwards.

    Examples
    --------
    >>> from clusterlib.base import logger, progress_log
    >>> with progress_log(verbose=0):
    ...     logger.info("nobody has asked for this")
    """
    if not verbose:
        yield
        return
    level = logger.level
    handler = None
    if not logger.isEnabledFor(logging.INFO):
        logger.setLevel(logging.INFO)
    if not logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)
    try:
        yield
    finally:
        logger.setLevel(level)
        if handler is not None:
            logger.removeHandler(handler)


class _Attempt:
    """A fit that may be broken off."""

    def __init__(self):
        self.last_state = dict


@contextmanager
def all_or_nothing(estimator: Any) -> Iterator[object]:
    """Take back whatever a fit that does not end has stored.

    Parameters
    ----------
    estimator : estimator
        Gets the attributes back that it had, whatever is raised within the ``with`` block.

    Yields
    ------
    attempt : object
        Its ``last_state`` may be set to a function without arguments. After Ctrl-C it is asked for
        fitted attributes to go on with. If it has any, they take the place of all others, but for
        the number and names of the features.

    Examples
    --------
    >>> from clusterlib.base import all_or_nothing
    >>> from clusterlib.cluster import KMeans
    >>> model = KMeans()
    >>> try:
    ...     with all_or_nothing(model):
    ...         model.labels_ = [0, 1]
    ...         raise ValueError
    ... except ValueError:
    ...     hasattr(model, "labels_")
    False
    """
    attempt = _Attempt()
    before = dict(vars(estimator))
    try:
        yield attempt
    except BaseException as error:
        found = attempt.last_state() if isinstance(error, KeyboardInterrupt) else {}
        kept = vars(estimator) if found else before
        kept = {n: v for n, v in kept.items() if not (found and _is_of_a_fit(n))} | found
        kept |= {n: v for n, v in vars(estimator).items() if n in _OF_CALLBACKS}
        vars(estimator).clear()
        vars(estimator).update(kept)
        raise


def _is_of_a_fit(name):
    return name.endswith("_") and name not in ("n_features_in_", "feature_names_in_")


@contextmanager
def pass_progress(estimator: Any, blocks: Any) -> Iterator[None]:
    """Log how far each pass over rows that are not in memory is, if ``verbose`` asks for it.

    Parameters
    ----------
    estimator : estimator
        Its ``verbose`` decides, its name begins the lines.
    blocks : Blocks
        The rows; their observer is replaced for the time of the ``with`` block.

    Notes
    -----
    A line every five seconds within a pass (the share of the rows, rows per second, seconds left)
    and one at its end. Use it within :func:`progress_log`.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.base import pass_progress
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.cluster import KMeans
    >>> with pass_progress(KMeans(), as_blocks(np.zeros((3, 2)))):
    ...     pass
    """
    if not estimator.verbose or blocks.in_memory:
        yield
        return
    earlier, blocks.observer = blocks.observer, _Pass(type(estimator).__name__, blocks.n_samples)
    try:
        yield
    finally:
        blocks.observer = earlier


class _Pass:
    """Observer of a carrier: counts rows and seconds of the pass that is going on."""

    def __init__(self, name, n_samples, clock=time.monotonic):
        self._name, self._n_samples, self._clock = name, n_samples, clock
        self._number = self._rows = 0
        self._begun = self._told = clock()

    def __call__(self, n_rows):
        if n_rows == 0:
            self._number, self._rows = self._number + 1, 0
            self._begun = self._told = self._clock()
            return
        self._rows += n_rows
        now = self._clock()
        rate = self._rows / max(now - self._begun, 1e-9)
        if self._rows >= self._n_samples:
            self._tell("%d rows in %.3g s, %.3g rows/s", self._rows, now - self._begun, rate)
        elif now - self._told >= _SECONDS_BETWEEN_LINES:
            self._told = now
            share, left = 100 * self._rows / self._n_samples, (self._n_samples - self._rows) / rate
            self._tell("%.0f %% of the rows, %.3g rows/s, %.0f s left", share, rate, left)

    def _tell(self, message, *values):
        logger.info("%s: pass %d: " + message, self._name, self._number, *values)


class FitReport:
    """Tells the log and the callbacks of scikit-learn how a fit with restarts is going.

    The tree of tasks has a root, one task for each start below it and one for each iteration
    below that. Use it within :func:`progress_log` and a ``fit`` decorated by ``with_callbacks``.

    Parameters
    ----------
    estimator : estimator with CallbackSupportMixin
        The one that is fitted; ``verbose`` of it decides about the log.
    X : ndarray of shape (n_samples, n_features)
        Its data, passed on to callbacks.
    sample_weight : None or ndarray of shape (n_samples,)
        Its weights, passed on as ``metadata``.
    n_starts : int
        Number of restarts.
    n_done : int, default=0
        How many of them an earlier fit, which is taken up again, has ended.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.cluster import KMeans
    >>> from clusterlib.base import FitReport
    >>> report = FitReport(KMeans(), np.zeros((3, 2)), None, n_starts=1)
    >>> report.begin_start(max_iter=10)
    >>> report.end_iteration("shift 0", dict)
    False
    """

    def __init__(
        self, estimator: Any, X: Array, sample_weight: Array | None, n_starts: int, n_done: int = 0
    ) -> None:
        metadata = {} if sample_weight is None else {"sample_weight": sample_weight}
        self._estimator = estimator
        self._n_starts = n_starts
        self._arguments = {"estimator": estimator, "X": X, "metadata": metadata}
        self._root = estimator._init_callback_context(max_subtasks=n_starts)
        self._root.call_on_fit_task_begin(**self._arguments)
        self._start = None
        self._start_number = n_done
        self._iteration_number = 0

    def begin_start(self, max_iter):
        """Open the task of the next start, which has at most ``max_iter`` iterations."""
        self._start_number += 1
        self._iteration_number = 0
        self._start = self._root.subcontext(task_name="start", max_subtasks=max_iter)
        self._start.call_on_fit_task_begin(**self._arguments)

    def end_iteration(self, message, attributes):
        """Report an iteration; True asks to stop this start.

        ``attributes`` is a function without arguments that returns the fitted attributes as they
        would be now; it is called only if a callback wants them.
        """
        self._iteration_number += 1
        if self._estimator.verbose:
            name = type(self._estimator).__name__
            place = f"start {self._start_number}/{self._n_starts}, iteration"
            logger.info("%s: %s %d: %s", name, place, self._iteration_number, message)
        context = self._start.subcontext(task_name="iteration")
        context.call_on_fit_task_begin(**self._arguments)
        return bool(
            context.call_on_fit_task_end(reconstruction_attributes=attributes, **self._arguments)
        )

    def end_start(self, attributes):
        """Close the task of a start; True asks to leave out those that remain."""
        return bool(
            self._start.call_on_fit_task_end(
                reconstruction_attributes=attributes, **self._arguments
            )
        )

    def end(self, attributes):
        """Close the root task; the estimator is fitted."""
        self._root.call_on_fit_task_end(reconstruction_attributes=attributes, **self._arguments)
