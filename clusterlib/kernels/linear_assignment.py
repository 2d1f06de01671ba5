"""Contract of the kernel that pairs rows with columns, one to one, at the least total cost."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import as_matrix, as_numeric
from clusterlib.kernels.dispatch import follows_data, implementation

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Backend, Float64Array, Int64Array

__all__ = ["LinearAssignment", "linear_assignment"]

_INFEASIBLE = 2  # what implementations return beside 0, and 1 for bad costs


class LinearAssignment(NamedTuple):
    """Pairs of rows and columns, and the proof that no others are better.

    Parameters
    ----------
    rows : ndarray of shape (min(n, m),), int64
        Rows that have a column, ascending.
    columns : ndarray of shape (min(n, m),), int64
        Their columns, no one twice.
    cost : float
        Sum of ``C[rows, columns]`` in float64.
    u : ndarray of shape (n,), float64
        Dual values of the rows; 0 for rows that stay alone.
    v : ndarray of shape (m,), float64
        Dual values of the columns; 0 for columns that stay alone.
    dual_gap : float
        By how much ``cost`` could exceed the least cost, at most. At least 0.
    """

    rows: Int64Array
    columns: Int64Array
    cost: float
    u: Float64Array
    v: Float64Array
    dual_gap: float


@follows_data
def linear_assignment(
    C: ArrayLike, *, maximize: bool = False, backend: Backend = None
) -> LinearAssignment:
    """Give every line of the shorter side of C a line of the other, at the least total cost.

    Among all ways to choose ``min(n, m)`` entries of C, no two in the same row or column, the one
    with the least sum: the linear assignment problem, solved exactly by bids [1]_ and shortest
    augmenting paths [2]_.

    Parameters
    ----------
    C : array-like of shape (n, m)
        Costs. float32 and float64 in any strides; whatever else is converted to float64, integers
        beyond 2**53 with rounding. ``inf`` (with ``maximize``: ``-inf``) forbids a pair.
    maximize : bool, default=False
        Look for the largest sum instead.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        Which implementation.

    Returns
    -------
    assignment : LinearAssignment
        Pairs, their cost, dual values and the gap. Among equally good answers any may be found, but
        always the same one by the same backend, for any layout of C.

    Raises
    ------
    TypeError, ValueError
        For what is no matrix of numbers, NaN, an infinity of the wrong sign, costs whose sums could
        leave the range of float64 (32 (min(n, m) + 1) times the largest), forbidden pairs that leave
        no complete assignment, and an unknown backend.

    Notes
    -----
    **Certificate.** In float64, ``C[i, j] - v[j] >= u[i]`` for all pairs to the last bit if n <= m,
    and ``C[i, j] - u[i] >= v[j]`` otherwise. Dual values of the longer side are at most 0, and 0
    where it stays alone, so that ``sum(u) + sum(v)`` is a lower bound of every assignment. What ``cost``
    exceeds it by is the sum of ``C[i, j] - u[i] - v[j]`` over the chosen pairs, which are at least 0
    and in which nothing cancels. It is 0 for integers below 2**53 / (32 n) or so; else roundings of
    the dual values, of a few units in the last place of the largest cost for each pair. With
    ``maximize`` all signs are turned.

    **Cost.** O(n^2 m) operations at worst with n <= m; uniform numbers and points take far fewer.
    O(n + m) memory, and C itself is read where it is, unless lines of its shorter side are not
    contiguous: then it is copied. The native kernel is interrupted by Ctrl-C.

    References
    ----------
    .. [1] D. P. Bertsekas, "The auction algorithm: a distributed relaxation method for the
       assignment problem", Annals of Operations Research 14, 1988.
    .. [2] R. Jonker, A. Volgenant, "A shortest augmenting path algorithm for dense and sparse linear
       assignment problems", Computing 38, 1987.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import linear_assignment
    >>> C = np.array([[4.0, 1.0, 3.0], [2.0, 0.0, 5.0]])
    >>> found = linear_assignment(C)
    >>> found.rows, found.columns, found.cost, found.dual_gap
    (array([0, 1]), array([1, 0]), 3.0, 0.0)
    >>> bool(found.u.sum() + found.v.sum() == found.cost)
    True
    """
    costs = as_numeric("C", C)
    if costs.ndim != 2:
        raise ValueError(f"C must have 2 dimensions (rows, columns), got shape {costs.shape}")
    if not isinstance(maximize, (bool, np.bool_)):
        raise TypeError(f"maximize must be True or False, got {maximize!r}")
    solve = implementation("linear_assignment", backend)
    n, m = costs.shape
    if costs.size:
        costs = as_matrix("C", costs)
    else:
        costs = np.empty((n, m))
    u, v, columns = np.zeros(n), np.zeros(m), np.empty(min(n, m), np.int64)
    # Long side across, so that every line has a partner there.
    lines, short, long = (costs, u, v) if n <= m else (costs.T, v, u)
    if lines.strides[1] != lines.itemsize:
        lines = np.ascontiguousarray(lines)
    if costs.size:
        status = solve(lines, -1.0 if maximize else 1.0, columns, short, long)
        if status:
            _explain(status, costs, maximize)
    return _finished(costs, columns, u, v, maximize)


def _finished(costs, columns, u, v, maximize):
    """Pairs in the order of the rows, and the gap from what each pair is above its bound."""
    if len(u) <= len(v):
        rows, short, long = np.arange(len(columns)), u, v[columns]
    else:  # `columns` holds the row of each column
        rows, columns = np.sort(columns), np.argsort(columns)
        short, long = v[columns], u[rows]
    chosen = costs[rows, columns].astype(np.float64, copy=False)
    signed = -chosen if maximize else chosen
    gap = np.add.reduce((signed - long) - short)  # in the order in which `short` was found
    if maximize:
        u, v = 0.0 - u, 0.0 - v
    return LinearAssignment(rows, columns, float(np.add.reduce(chosen)), u, v, float(gap))


def _explain(status, costs, maximize):
    """Raise the error that a status stands for."""
    if status == _INFEASIBLE:
        raise ValueError(
            "C forbids too much: every complete assignment contains a pair with cost "
            f"{'-inf' if maximize else 'inf'}"
        )
    if np.isnan(costs).any():
        raise ValueError("C contains NaN; every cost must be a number")
    wrong, right = (np.inf, -np.inf) if maximize else (-np.inf, np.inf)
    if (costs == wrong).any():
        raise ValueError(
            f"C contains {wrong}; with maximize={bool(maximize)} a forbidden pair is {right}"
        )
    largest = np.abs(costs[np.isfinite(costs)]).max()
    raise ValueError(
        f"C has costs up to {largest:g}, whose sums could leave the range of float64; scale it down"
    )
