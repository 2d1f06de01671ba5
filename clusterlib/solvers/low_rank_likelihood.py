"""The likelihood-adjusted semidefinite program for given covariances, through low-rank factors."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from clusterlib.kernels import pack_rows, unpack_rows
from clusterlib.kernels.leaves import TILE_ROWS
from clusterlib.solvers.augmented_descent import FactorProblem, augmented_descent
from clusterlib.solvers.low_rank_sdp import (
    LowRankResult,
    column_means,
    power_of_two,
    scaled_callback,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Backend, Float64Array, IntArray

__all__ = ["Trace", "group_memberships", "likelihood_value", "low_rank_likelihood"]

_FIRST_MULTIPLIER = 0.5
_CHUNK_ROWS = 4096


class Trace(Enum):
    """What the traces of the groups have to be.

    Attributes
    ----------
    GROUP
        1 for every group.
    TOTAL
        The number of groups for all of them together.
    """

    GROUP = "group"
    TOTAL = "total"


def low_rank_likelihood(
    X: Array,
    covariances: Array,
    *,
    rng: np.random.Generator,
    log_weights: Array | None = None,
    rank: int = 1,
    trace: Trace | str = Trace.GROUP,
    W: Array | None = None,
    tol: float = 1e-6,
    max_iter: int = 5000,
    callback: Callable[..., Any] | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> LowRankResult:
    """Maximise ``sum_k <A_k, Z_k>`` over low-rank memberships of groups with known covariances.

    ``A_k[i, j] = -(x_i - x_j)' S_k^-1 (x_i - x_j) / 2 - log|S_k| + 2 log pi_k``. At a partition,
    half the value less ``n p log(2 pi) / 2`` is the classification log-likelihood with the means
    at their best. Here ``Z_k = sum_(c in k) W_c W_c' / d_c`` with ``rank`` columns for each group,
    and the rows of W, over all groups, lie in the simplex: W holds soft labels.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        Finite, in any layout; worked on in float64.
    covariances : ndarray of shape (n_groups, n_features, n_features)
        Symmetric and positive definite.
    rng : numpy.random.Generator
        For the start.
    log_weights : None or ndarray of shape (n_groups,), default=None
        ``log pi``; None leaves the weights out.
    rank : int, default=1
        Columns of each group. With 1 the program is the classification likelihood itself, which
        has many local maxima; 2 to 4 relax it.
    trace : Trace or str, default=Trace.GROUP
        ``"group"``: ``trace Z_k = 1`` for each group, which holds at every partition without empty
        groups. ``"total"``: the looser ``sum_k trace Z_k = n_groups``.
    W : None or ndarray of shape (n_samples, n_groups * rank), default=None
        Where to start; rows in the simplex, the columns of a group side by side.
    tol : float, default=1e-6
        As in :func:`low_rank_sdp`.
    max_iter : int, default=5000
        Most iterations.
    callback, n_threads, backend
        As in :func:`low_rank_sdp`.

    Returns
    -------
    result : LowRankResult
        ``group`` tells the group of each column of W. A group that has lost all its rows does not
        come back: ``trace_error`` is 1 then, and the objective tells nothing.

    Notes
    -----
    O(n p r) time for an iteration with r columns in all, and O(p^2 r); memory
    ``n (p + 3 r + n_groups)`` numbers of float64 besides X. No matrix A_k is formed, and X is not
    whitened for each group: the kernel takes the precisions.

    References
    ----------
    .. [1] Y. Zhuang, X. Chen, Y. Yang, "Likelihood adjusted semidefinite programs for clustering
       heterogeneous data", ICML 2023.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import group_memberships, low_rank_likelihood
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> result = low_rank_likelihood(X, np.ones((2, 1, 1)), rng=np.random.default_rng(3))
    >>> group_memberships(result.W, result.group, 2).round(4).sum(axis=0)
    array([2., 2.])
    >>> round(result.objective, 4)
    -1.0
    """
    n, p = X.shape
    n_groups = len(covariances)
    mean = column_means(X)
    factors = [cho_factor(covariance, lower=True) for covariance in covariances]
    offsets = np.array([-2 * np.log(np.diag(factor)).sum() for factor, _ in factors])
    if log_weights is not None:
        offsets = offsets + 2 * np.asarray(log_weights)
    linear, scatters = _linear_terms(X, mean, factors)
    top = power_of_two(max(scatters))
    linear *= -1 / top
    linear += (offsets / top)[:, None]
    precisions = np.stack([cho_solve(factor, np.eye(p)) / top for factor in factors])
    group = np.repeat(np.arange(n_groups, dtype=np.int32), rank)
    each = Trace(trace) is Trace.GROUP
    target = np.ones(n_groups) if each else np.array([float(n_groups)])
    problem = FactorProblem(
        pack_rows(X, shift=mean, dtype=np.float64),
        n,
        target,
        group,
        group if each else np.zeros_like(group),
        linear,
        (precisions + precisions.transpose(0, 2, 1)) / 2,
    )
    solution = augmented_descent(
        problem,
        pack_rows(_noise(n, len(group), rng) if W is None else W, dtype=np.float64),
        multiplier=np.full(len(target), _FIRST_MULTIPLIER),
        penalty=_FIRST_MULTIPLIER,
        tol=tol,
        max_iter=max_iter,
        signed=True,
        callback=scaled_callback(callback, top),
        n_threads=n_threads,
        backend=backend,
    )
    factor = unpack_rows(solution.W, n)
    factor = factor / factor.sum(axis=1, keepdims=True)
    value = likelihood_value(X, factors, offsets, factor, solution.group)
    return LowRankResult(
        factor,
        solution.group,
        float(value - top * (solution.multiplier @ solution.violation)),
        solution.trace_error,
        solution.residual,
        solution.n_iter,
        solution.converged,
        solution.history * np.array([1.0, top, 1.0, 1.0]),
    )


def group_memberships(W: Array, group: IntArray, n_groups: int) -> Float64Array:
    """Add up the columns of each group: soft labels.

    Parameters
    ----------
    W : ndarray of shape (n_samples, rank)
        Rows in the simplex.
    group : ndarray of shape (rank,), int
        Group of each column.
    n_groups : int
        How many there are.

    Returns
    -------
    memberships : ndarray of shape (n_samples, n_groups), float64
        Rows that sum to 1.

    Notes
    -----
    O(n rank) time, O(n n_groups) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import group_memberships
    >>> group_memberships(np.array([[0.25, 0.25, 0.5]]), np.array([0, 1, 1]), 2)
    array([[0.25, 0.75]])
    """
    memberships = np.zeros((len(W), n_groups))
    for column, k in enumerate(group):
        memberships[:, k] += W[:, column]
    return memberships


def likelihood_value(X, factors, offsets, W, group):
    """``sum_k <A_k, Z_k>`` of a row-stochastic factor, in float64.

    It is ``-sum_ic W_ic |x_i - m_c|^2 + sum_c offset d_c`` with the mean ``m_c`` of column c and
    lengths in the metric of its group, which cancels nothing however far from 0 the groups are.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        The rows.
    factors : list of tuple
        Cholesky factors of the covariances, as of ``scipy.linalg.cho_factor``, lower.
    offsets : ndarray of shape (n_groups,)
        ``-log|S_k| + 2 log pi_k``.
    W, group : ndarray of shape (n_samples, rank) and (rank,)
        The factor, and the group of each column.

    Returns
    -------
    value : float
        The value.
    """
    sizes = W.sum(axis=0)
    value = float(offsets[group] @ sizes)
    means = (W.T @ X) / np.where(sizes > 0, sizes, 1.0)[:, None]
    for begin in range(0, len(X), _CHUNK_ROWS):
        rows, weights = X[begin : begin + _CHUNK_ROWS], W[begin : begin + _CHUNK_ROWS]
        for c, k in enumerate(group):
            whitened = solve_triangular(factors[k][0], (rows - means[c]).T, lower=True)
            value -= float(weights[:, c] @ (whitened * whitened).sum(axis=0))
    return value


def _linear_terms(X, mean, factors):
    """Squared lengths of the whitened rows, packed, and the top of each whitened spectrum."""
    n, p = X.shape
    linear = np.zeros((-(-n // TILE_ROWS), len(factors), TILE_ROWS))
    grams = np.zeros((len(factors), p, p))
    for begin in range(0, n, _CHUNK_ROWS):
        rows = (X[begin : begin + _CHUNK_ROWS] - mean).T
        first = begin // TILE_ROWS
        last = first - (-rows.shape[1] // TILE_ROWS)
        lengths = np.empty((rows.shape[1], len(factors)))
        for k, (factor, _) in enumerate(factors):
            whitened = solve_triangular(factor, rows, lower=True)
            lengths[:, k] = (whitened * whitened).sum(axis=0)
            grams[k] += whitened @ whitened.T
        linear[first:last] = pack_rows(lengths)
    return linear, [np.linalg.eigvalsh(gram)[-1] for gram in grams]


def _noise(n, rank, rng):
    W = rng.standard_gamma(5.0, (n, rank))
    return W / W.sum(axis=1, keepdims=True)
