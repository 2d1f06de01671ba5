"""Alternating descent for non-negative factors, with extrapolation that gives up when it fails."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.solvers.least_squares import LeastSquares
    from clusterlib.solvers.masked_least_squares import MaskedLeastSquares
    from clusterlib.typing import Array, Float64Array, FloatArray

__all__ = ["FactorDescent", "NMFResult", "Pace", "alternate", "has_settled"]

# Iterations whose fall of the objective decides about the end.
_WINDOW = 10


class NMFResult(NamedTuple):
    """Factors of a matrix.

    Attributes
    ----------
    W : ndarray of shape (n, k), float32 or float64
        Weights of the rows, in the dtype of X.
    H : ndarray of shape (k, m), float32 or float64
        Components, likewise.
    objective : float
        What was minimised, at the end.
    n_iter : int
        Iterations.
    converged : bool
        Whether the tolerance ended them.
    history : ndarray of shape (n_iter + 1,), float64
        Objective at the start and after each iteration, n_iter of them from :func:`plsa`, which
        measures before it steps; it never rises beyond rounding.
    """

    W: FloatArray
    H: FloatArray
    objective: float
    n_iter: int
    converged: bool
    history: Float64Array


class Pace:
    """How far to go beyond a step: further after each success, less far after a failure.

    Constants are those of A. M. S. Ang and N. Gillis, "Accelerating nonnegative matrix
    factorization algorithms using extrapolation", Neural Comput. 31(2), 2019.

    Attributes
    ----------
    momentum : float
        Multiple of the last step that is added to it; 1 at most.
    """

    def __init__(self):
        self.momentum, self._limit = 0.5, 1.0

    def succeed(self):
        """Take note that the objective fell."""
        self.momentum = min(self._limit, 1.05 * self.momentum)
        self._limit = min(1.0, 1.01 * self._limit)

    def fail(self):
        """Take note that it rose; what was reached is the limit for a while."""
        self._limit, self.momentum = self.momentum, self.momentum / 1.5


def has_settled(history, noise, tol):
    """Tell whether the last iterations were worth too little, or nothing is left to gain.

    Parameters
    ----------
    history : list of float
        Objectives so far.
    noise : float
        What rounding may do to one.
    tol : float
        Part of the objective by which ten iterations have to lower it.

    Returns
    -------
    settled : bool
        Always False for fewer than ten iterations.
    """
    if len(history) <= _WINDOW:
        return False
    fall = history[-1 - _WINDOW] - history[-1]
    return bool(fall <= tol * abs(history[-1]) or history[-1] <= noise)


class FactorDescent:
    """One start on its way down: the best factors so far, and those a step ahead of them.

    Parameters
    ----------
    Ht : ndarray of shape (m, k)
        Components, in columns; kept as they are.
    row_weight : None or ndarray of shape (n,)
        Weights of rows of this start.

    Attributes
    ----------
    W, Ht : ndarray
        Factors from which the next step starts, extrapolated.
    """

    def __init__(self, Ht, row_weight=None):
        self.Ht, self.W, self.row_weight = Ht, None, row_weight
        self.converged = False
        self.history = []
        self.n_iter = 0

    def begin(self, W, objective):
        """Take note of the first weights and of the objective that they have."""
        self.W = self._kept_W = self._plain_W = W
        self._kept_Ht = self._plain_Ht = self.Ht
        self.history.append(objective)
        self._pace = Pace()

    def move_weights(self, W, feasible):
        """Go on from new weights in the direction in which they moved."""
        self.W = feasible(W + W.dtype.type(self._pace.momentum) * (W - self._plain_W))
        self._plain_W = W

    def move_components(self, Ht, objective, noise, tol):
        """Judge the pair of extrapolated weights and new components, and keep it or go back."""
        self.n_iter += 1
        if objective > self.history[-1] + noise:
            self.W = self._plain_W = self._kept_W
            self.Ht = self._plain_Ht = self._kept_Ht
            self._pace.fail()
            self.history.append(self.history[-1])
            return
        self._kept_W, self._kept_Ht = self.W, Ht
        self.Ht = Ht + Ht.dtype.type(self._pace.momentum) * (Ht - self._plain_Ht)
        self._plain_Ht = Ht
        self._pace.succeed()
        self.history.append(objective)
        self.converged = has_settled(self.history, noise, tol)

    @property
    def components(self):
        """The best components so far, of shape (k, m)."""
        return self._kept_Ht.T

    def result(self, problem):
        """The best factors, with the weights that are right for the components."""
        W, Ht, objective = problem.finished(self._kept_W, self._kept_Ht, self.row_weight)
        history = np.array(self.history)
        return NMFResult(W, Ht.T, objective, self.n_iter, self.converged, history)


def alternate(
    problem: LeastSquares | MaskedLeastSquares,
    starts: FloatArray,
    *,
    row_weights: Array | None = None,
    max_iter: int = 500,
    tol: float = 1e-4,
    callback: Callable[..., Any] | None = None,
) -> list[NMFResult]:
    """Improve weights and components in turn, all starts in step.

    Parameters
    ----------
    problem : LeastSquares or MaskedLeastSquares
        What is minimised.
    starts : ndarray of shape (n_starts, k, m), dtype of the problem
        Components to start at.
    row_weights : None or ndarray of shape (n_starts, n), default=None
        Weights of rows for each start; None stands for the problem's own.
    max_iter : int, default=500
        Most iterations of a start.
    tol : float, default=1e-4
        A start ends when ten iterations lower its objective by no more than this part of it, or
        when it is zero up to rounding.
    callback : callable, default=None
        ``callback(n_iter, descents)`` after each iteration, with a list of FactorDescent; True
        asks to stop.

    Returns
    -------
    results : list of n_starts NMFResult
        In the order of the starts.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import LeastSquares, alternate
    >>> X = np.outer([1.0, 2.0, 3.0], [1.0, 1.0, 2.0])
    >>> [result] = alternate(LeastSquares(X), np.ones((1, 1, 3)))
    >>> np.allclose(result.W @ result.H, X), result.converged
    (True, True)
    """
    weights = [None] * len(starts) if row_weights is None else row_weights
    descents = [
        FactorDescent(np.ascontiguousarray(H.T), weight)
        for H, weight in zip(starts, weights, strict=True)
    ]
    for descent, first in zip(descents, problem.begun(descents), strict=True):
        descent.begin(*first)
    for n_iter in range(1, max_iter + 1):
        live = [descent for descent in descents if not descent.converged]
        if not live:
            break
        for descent, W in zip(live, problem.improved_weights(live), strict=True):
            descent.move_weights(W, problem.feasible)
        for descent, (Ht, objective) in zip(live, problem.improved_components(live), strict=True):
            descent.move_components(Ht, objective, problem.noise(objective), tol)
        if callback is not None and callback(n_iter, descents):
            break
    return [descent.result(problem) for descent in descents]
