"""Weights of rows for given components, by least squares: non-negative, or in the simplex.

Rows know nothing of each other: each of them stops by itself, so that its weights do not depend on
the rows beside it. ``R = X H'`` and ``G = H H'`` are all that is needed of rows and components.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import hals_sweep, simplex_projection

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array, FloatArray

__all__ = ["improved_simplex_weights", "nonnegative_weights", "settled", "simplex_weights"]

# Steps, or sweeps, after which rows that have come to rest are put aside.
_ROUND = 10
_SWEEPS = 40
# A row rests when a round moved it by no more than this part of its largest weight; directions in
# which components cannot be told apart are given up after the last round.
_REST = {"float32": 1e-5, "float64": 1e-10}
_MOST_ROUNDS = 200
# Components are apart enough for exact solutions; values of the systems that are solved at a time;
# part of the largest product of a row by which rounding may turn a gradient.
_MOST_CONDITION = 1e9
_VALUES_AT_A_TIME = 1 << 20
_SLACK = 1e-12
_ROWS_AT_A_TIME = 1 << 15


def nonnegative_weights(
    R: FloatArray, G: Float64Array, *, start: FloatArray | None = None
) -> FloatArray:
    """Minimise ``|w H|^2 / 2 - w R`` over non-negative weights, for every row.

    Parameters
    ----------
    R : ndarray of shape (n, k), float32 or float64
        ``X H'``, less l1 penalties.
    G : ndarray of shape (k, k), float64
        ``H H'``, with l2 penalties on its diagonal; components whose entry there is 0 get the
        weight 0.
    start : None or ndarray of shape (n, k), dtype of R, default=None
        Where the descent starts, None being 0; it is left aside where components are hardly apart,
        and weights would depend on it.

    Returns
    -------
    W : ndarray of shape (n, k), dtype of R
        Weights, by coordinate descent until it is known which of them are positive, and
        then exactly; or until they rest, or after 8000 sweeps.

    Notes
    -----
    O(n k^2) time for a sweep, O(n k^3) for the exact solution.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nonnegative_weights
    >>> nonnegative_weights(np.array([[2.0, -1.0]]), np.array([[1.0, 0.5], [0.5, 1.0]]))
    array([[2., 0.]])
    """
    # Parts of a matrix are conditioned no worse than the whole.
    regular = np.linalg.cond(G) < _MOST_CONDITION
    kept = start is not None and regular
    W = np.array(start, dtype=R.dtype, order="C") if kept else np.zeros_like(R, order="C")

    def descend(weights, rows):
        linear = np.ascontiguousarray(R[rows])
        hals_sweep(weights, linear, G, n_sweeps=_SWEEPS)
        if regular:
            _solve(weights, linear, G)
        return weights

    return settled(W, descend)


def _solve(W, R, G):
    """Replace weights by the exact ones in rows of which it is known where those are positive."""
    k = len(G)
    step = max(1, _VALUES_AT_A_TIME // (k * k))
    for first in range(0, len(W), step):
        positive = W[first : first + step] > 0
        linear = np.where(positive, R[first : first + step], 0).astype(np.float64)
        inside = positive[:, :, None] & positive[:, None, :]
        systems = np.where(inside, G, np.eye(k) * ~positive[:, :, None])
        exact = np.linalg.solve(systems, linear[:, :, None])[:, :, 0]
        gradient = exact @ G - R[first : first + step]
        slack = _SLACK * np.abs(linear).max(axis=1, keepdims=True)
        right = ((exact >= 0) & ((gradient >= -slack) | positive)).all(axis=1)
        W[first : first + step][right] = exact[right]


def simplex_weights(R: FloatArray, G: Float64Array) -> FloatArray:
    """Minimise ``|w H|^2 / 2 - w R`` over weights that are not negative and sum to 1.

    Parameters
    ----------
    R : ndarray of shape (n, k), float32 or float64
        ``X H'``.
    G : ndarray of shape (k, k), float64
        ``H H'``.

    Returns
    -------
    W : ndarray of shape (n, k), dtype of R
        Weights, by accelerated projected gradients from the centre until they rest, or after 2000
        steps.

    Notes
    -----
    O(n k^2) time for a step.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import simplex_weights
    >>> simplex_weights(np.array([[0.75, 0.25], [3.0, 0.0]]), np.eye(2))
    array([[0.75, 0.25],
           [1.  , 0.  ]])
    """
    W = np.full_like(R, 1 / R.shape[1], order="C")

    def descend(weights, rows):
        return improved_simplex_weights(weights, R[rows], G, _ROUND)

    return settled(W, descend)


def settled(W, descend):
    """Descend until every row rests, and put rows that do aside.

    ``descend(weights, rows)`` returns better weights of the given rows, and may overwrite what it
    gets; W is overwritten.
    """
    rest = _REST[W.dtype.name]
    for first in range(0, len(W), _ROWS_AT_A_TIME):
        active = np.arange(first, min(len(W), first + _ROWS_AT_A_TIME))
        for _ in range(_MOST_ROUNDS):
            before = W[active]
            after = descend(before.copy(), active)
            W[active] = after
            moves = np.abs(after - before).max(axis=1)
            active = active[moves > rest * after.max(axis=1)]
            if not len(active):
                break
    return W


def improved_simplex_weights(
    W: FloatArray, R: FloatArray, G: Float64Array, n_steps: int
) -> FloatArray:
    """Take steps of projected gradients with momentum, which a row loses where it leads uphill.

    Parameters
    ----------
    W : ndarray of shape (n, k), float32 or float64
        Weights in the simplex.
    R : ndarray of shape (n, k), dtype of W
        ``X H'``.
    G : ndarray of shape (k, k), float64
        ``H H'``.
    n_steps : int
        How many.

    Returns
    -------
    W : ndarray of shape (n, k), dtype of W
        Better weights.

    Notes
    -----
    O(n k^2) time for a step. The momentum of a row is that of Nesterov, restarted by the test of
    B. O'Donoghue and E. Candes, "Adaptive restart for accelerated gradient schemes", Found.
    Comput. Math. 15(3), 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import improved_simplex_weights
    >>> improved_simplex_weights(np.array([[0.5, 0.5]]), np.array([[1.0, 0.0]]), np.eye(2), 1)
    array([[1., 0.]])
    """
    curvature = np.linalg.eigvalsh(G)[-1]
    if not curvature > 0:
        return W
    step, gram = W.dtype.type(1 / curvature), (G / curvature).astype(W.dtype)
    drift = R * step
    ahead, age = W, np.ones((len(W), 1), dtype=W.dtype)
    for _ in range(n_steps):
        moved = simplex_projection(ahead - ahead @ gram + drift)
        change = moved - W
        uphill = np.einsum("ij,ij->i", ahead - moved, change)[:, None] > 0
        age[uphill] = 1
        older = (1 + np.sqrt(1 + 4 * age * age)) / 2
        ahead = moved + (age - 1) / older * change
        W, age = moved, older
    return W
