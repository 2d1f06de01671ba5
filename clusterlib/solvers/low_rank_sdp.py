"""The semidefinite relaxation of k-means, solved through a factor of low rank."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import cluster_sums, pack_rows, pairwise_argmin, unpack_rows
from clusterlib.solvers.augmented_descent import FactorProblem, augmented_descent
from clusterlib.solvers.seeding import kmeans_plusplus

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, Backend, Float64Array, Int32Array

__all__ = [
    "LowRankResult",
    "column_means",
    "default_rank",
    "leading_eigenvalues",
    "low_rank_sdp",
    "power_of_two",
    "scaled_callback",
    "starting_factor",
    "trace_of",
]

# Rows that the spectrum is estimated from: it sets scales, which need not be exact.
_SPECTRUM_ROWS = 4096
# Factor that the spread of these rows may be off before all rows are taken instead.
_LIKENESS = 2
_SEEDING_ROWS = 4096
_CHUNK_ROWS = 4096
# Rows up to which so many columns for each cluster cost little: local maxima become rarer, and the
# value comes closer to that of the full program.
_COLUMNS_OF_CLUSTER = ((1_000, 8), (10_000, 4), (np.inf, 2))
_MOST_COLUMNS = 4096
# A start that ends with a trace this wrong has lost its columns; it is begun again.
_FAILED_TRACE = 1e-3
_MOST_STARTS = 3
# Nothing can be said of a start that had fewer iterations, and another would do no better.
_FAIR_ITERATIONS = 500
# Steps of float32 rows have noise that no smaller residual can be told from, and directions below
# this share of the largest variance lose digits to it.
_SINGLE_TOLERANCE = 2e-6
_SINGLE_SPECTRUM = 1e-4


class LowRankResult(NamedTuple):
    """A solution of a low-rank semidefinite program for clustering.

    Attributes
    ----------
    W : ndarray of shape (n_samples, rank), float64
        Factor whose rows are non-negative and sum to 1; the matrix of the program is
        ``W diag(1 / W.sum(axis=0)) W'``, for each group apart.
    group : ndarray of shape (rank,), int32
        Group of each column; 0 for k-means.
    objective : float
        Value of the program, in the units of X squared for k-means; that of W less multiplier
        times trace error, so that only the square of what the trace is off is left in it.
    trace_error : float
        Largest difference of a trace from what it should be.
    residual : float
        Of the last descent step.
    n_iter : int
        Iterations of all starts.
    converged : bool
        Whether trace and residual came within the tolerance.
    history : ndarray of shape (n_outer, 4), float64
        Of the start that was kept: iterations so far, objective, trace error, residual.
    """

    W: Float64Array
    group: Int32Array
    objective: float
    trace_error: float
    residual: float
    n_iter: int
    converged: bool
    history: Float64Array


def low_rank_sdp(
    X: Array,
    n_clusters: int,
    *,
    rng: np.random.Generator,
    rank: int | None = None,
    W: Array | None = None,
    tol: float = 1e-6,
    max_iter: int = 5000,
    callback: Callable[..., Any] | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> LowRankResult:
    """Maximise ``<A, Z>`` with A the Gram matrix of the centred rows, over Z of low rank.

    Z ranges over ``W diag(W'1)^-1 W'`` with the rows of W in the simplex: exactly the matrices of
    non-negative rank ``rank`` at most with ``Z 1 = 1``. One constraint is left, ``trace Z =
    n_clusters``. With ``rank = n_clusters`` the program is k-means itself; a higher rank relaxes
    it towards the semidefinite program of Peng and Wei [1]_, whose value is an upper bound.

    Parameters
    ----------
    X : ndarray of shape (n_samples, n_features)
        float32 or float64, finite, in any layout.
    n_clusters : int
        From 1 to n_samples.
    rng : numpy.random.Generator
        For the start.
    rank : None or int, default=None
        Columns of W, never more than n_samples; None means :func:`default_rank`.
    W : None or ndarray of shape (n_samples, rank), default=None
        Where to start, its rows in the simplex, instead of a random place.
    tol : float, default=1e-6
        Largest error of the trace, relative to ``n_clusters``, and a tenth of the largest
        residual; 2e-6 at least for float32. From 2e-6 on the descent works on centred and scaled
        rows in float32, unless the K-th variance is below 1e-4 of the first; the value of what it
        finds is computed in float64 from X in any case.
    max_iter : int, default=5000
        Most iterations of a start.
    callback : None or callable, default=None
        Called with ``(n_iter, objective, trace_error, residual)``; True ends the solve.
    n_threads, backend
        As in :func:`clusterlib.kernels.simplex_descent`.

    Returns
    -------
    result : LowRankResult
        The best effort when ``converged`` is False.

    Notes
    -----
    O(n p r) time for an iteration, linear in n; besides X memory of ``n (p + 3 r)`` numbers of the
    descent's dtype and 2 n r float64. A is never formed. A start whose trace is wrong by more than
    0.001 at its end, 500 iterations or more, is begun again elsewhere, twice at most.

    References
    ----------
    .. [1] J. Peng, Y. Wei, "Approximating k-means-type clustering via semidefinite programming",
       SIAM J. Optim. 18(1), 2007.
    .. [2] Y. Zhuang, X. Chen, Y. Yang, R. Y. Zhang, "Statistically optimal k-means clustering via
       nonnegative low-rank semidefinite programming", ICLR 2024: the relaxation through a
       non-negative factor; the row-stochastic form is our own.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import low_rank_sdp
    >>> X = np.array([[0.0], [1.0], [10.0], [11.0]])
    >>> result = low_rank_sdp(X, 2, rng=np.random.default_rng(0))
    >>> round(float(((X - X.mean()) ** 2).sum() - result.objective), 6)  # the k-means cost
    1.0
    """
    n, _ = X.shape
    if W is not None:
        rank = W.shape[1]
    rank = default_rank(n, n_clusters) if rank is None else min(n, rank)
    mean = column_means(X)
    eigenvalues = leading_eigenvalues(X, mean, n_clusters)
    top = power_of_two(eigenvalues[0])
    if eigenvalues[0] == 0 or n_clusters == 1:
        return _trivial(n, n_clusters, rank)
    spread = eigenvalues[-1] / eigenvalues[0]
    if X.dtype == np.float32:
        tol = max(tol, _SINGLE_TOLERANCE)
    single = X.dtype == np.float32 or (tol >= _SINGLE_TOLERANCE and spread >= _SINGLE_SPECTRUM)
    dtype = np.float32 if single else np.float64
    tiles = pack_rows(X, shift=mean, scale=1 / np.sqrt(top), dtype=dtype)
    zeros = np.zeros(rank, dtype=np.int32)
    problem = FactorProblem(tiles, n, np.array([float(n_clusters)]), zeros, zeros)
    first = 0.5 * power_of_two(max(spread, 1e-12))
    best, n_iter = None, 0
    for _ in range(_MOST_STARTS):
        start = starting_factor(X, rank, rng) if W is None else W
        solution = augmented_descent(
            problem,
            pack_rows(start, dtype=dtype),
            multiplier=np.array([first]),
            penalty=first,
            tol=tol,
            max_iter=max_iter,
            callback=scaled_callback(callback, top),
            n_threads=n_threads,
            backend=backend,
        )
        n_iter += solution.n_iter
        if best is None or solution.trace_error < best.trace_error:
            best = solution
        cut_short = solution.stopped or solution.n_iter < _FAIR_ITERATIONS
        if best.trace_error <= _FAILED_TRACE or W is not None or cut_short:
            break
    factor = _row_stochastic(unpack_rows(best.W, n))
    excess = trace_of(factor) - n_clusters
    history = best.history * np.array([1.0, top, 1.0, 1.0])
    return LowRankResult(
        factor,
        best.group,
        factor_value(X, mean, factor) - float(best.multiplier[0] * top) * excess,
        best.trace_error,
        best.residual,
        n_iter,
        best.converged,
        history,
    )


def default_rank(n_samples: int, n_clusters: int) -> int:
    """Columns of a factor that nobody has chosen.

    Parameters
    ----------
    n_samples, n_clusters : int
        Size of the problem.

    Returns
    -------
    rank : int
        8 for each cluster up to 1000 rows, 4 up to 10 000, 2 beyond; never more than n_samples,
        nor more than 4096 if n_clusters is not.

    Examples
    --------
    >>> from clusterlib.solvers import default_rank
    >>> [default_rank(n, 5) for n in (12, 500, 5000, 50_000)]
    [12, 40, 20, 10]
    >>> [default_rank(50_000, n_clusters) for n_clusters in (2000, 3000, 5000)]
    [4000, 4096, 5000]
    """
    columns = next(columns for rows, columns in _COLUMNS_OF_CLUSTER if n_samples <= rows)
    return min(n_samples, max(n_clusters, min(_MOST_COLUMNS, columns * n_clusters)))


def _trivial(n, n_clusters, rank):
    """One cluster, or equal rows: every feasible matrix has the value 0."""
    W = np.zeros((n, rank))
    W[np.arange(n), np.arange(n) % n_clusters] = 1.0
    group = np.zeros(rank, dtype=np.int32)
    return LowRankResult(W, group, 0.0, 0.0, 0.0, 0, True, np.empty((0, 4)))


def column_means(X):
    """Means of the columns in float64, by the fixed tree."""
    sums, _ = cluster_sums(X, np.zeros(len(X), dtype=np.int32), 1)
    return sums[0] / len(X)


def _centred(rows, mean):
    """In C order whatever the layout of X, on which products and sums would depend by a bit."""
    return np.subtract(rows, mean, order="C")


def leading_eigenvalues(X, mean, count):
    """The largest eigenvalues of ``Xc' Xc``, from evenly spaced rows if these are like the others.

    Returns them in decreasing order, ``count`` of them (fewer than that many features give 0).
    """
    n, p = X.shape
    step = max(1, n // max(_SPECTRUM_ROWS, 4 * p))
    rows = _centred(X[::step], mean)
    gram, scale = rows @ rows.T if len(rows) < p else rows.T @ rows, n / len(rows)
    if step > 1:
        # Rows that repeat themselves, or a few that are far away, make a sample of no use.
        chunks = [slice(begin, begin + _CHUNK_ROWS) for begin in range(0, n, _CHUNK_ROWS)]
        total = sum(float(np.square(_centred(X[chunk], mean)).sum()) for chunk in chunks)
        if not total / _LIKENESS <= scale * np.trace(gram) <= total * _LIKENESS:
            parts = (_centred(X[chunk], mean) for chunk in chunks)
            gram, scale = sum(part.T @ part for part in parts), 1.0
    values = np.maximum(np.linalg.eigvalsh(gram)[::-1][:count], 0) * scale
    return np.concatenate([values, np.zeros(count - len(values))])


def power_of_two(value):
    """The power of two nearest to a scale: multiplying by it is exact, and nothing hangs on bits."""
    return 2.0 ** np.round(np.log2(value)) if value > 0 else 1.0


def starting_factor(X, rank, rng):
    """Noise that no column is left out of, and 0.3 for the nearest of ``rank`` spread-out rows."""
    n = len(X)
    size = max(_SEEDING_ROWS, rank)
    rows = X[np.sort(rng.choice(n, size, replace=False))] if n > size else X
    seeds = kmeans_plusplus(rows, rank, rng, n_local_trials=1)
    labels = pairwise_argmin(X, seeds.centers)
    W = rng.random((n, rank), dtype=np.float32).astype(X.dtype)
    W *= 0.7 / W.sum(axis=1, keepdims=True)
    W[np.arange(n), labels] += 0.3
    return W


def factor_value(X, mean, W):
    """``<A, Z>`` in float64, a few rows at a time."""
    products = np.zeros((X.shape[1], W.shape[1]))
    for begin in range(0, len(X), _CHUNK_ROWS):
        rows = slice(begin, begin + _CHUNK_ROWS)
        products += _centred(X[rows], mean).T @ W[rows]
    sizes = W.sum(axis=0)
    squares = (products * products).sum(axis=0)
    return float((squares[sizes > 0] / sizes[sizes > 0]).sum())


def trace_of(W):
    """``trace Z`` in float64."""
    sizes, squares = W.sum(axis=0), np.einsum("ic,ic->c", W, W)
    return float((squares[sizes > 0] / sizes[sizes > 0]).sum())


def _row_stochastic(W):
    W = W.astype(np.float64)
    W /= W.sum(axis=1, keepdims=True)
    return W


def scaled_callback(callback, scale):
    """A callback that is told the objective in the units of the user."""
    if callback is None:
        return None
    return lambda n_iter, objective, *errors: callback(n_iter, objective * scale, *errors)
