"""Lower bounds of the k-means cost over all partitions, by the relaxation of Peng and Wei."""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import as_matrix, check_finite, checked_integer
from clusterlib.solvers.block_bounds import similar_blocks
from clusterlib.solvers.eigenvalue_bounds import UNIT, dot_error, improved_vectors, proved_top_sum
from clusterlib.solvers.partition_bounds import fast_bound
from clusterlib.solvers.partition_certificate import checked_clusters
from clusterlib.solvers.partition_geometry import (
    PartitionGeometry,
    checked_geometry,
    squared_total,
)
from clusterlib.solvers.sdp_dual import solve_dual
from clusterlib.solvers.transport_problem import checked_member, checked_real

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Literal

    from clusterlib.typing import Array, Float64Array, IntArray

__all__ = ["SDPBound", "kmeans_lower_bound"]

_MOST_ROWS = 10_000
_BLOCK_ROWS = 1000
_SINGLE_PRECISION_ROWS = 200  # from here on T is kept in float32, unless the tolerance is small
_SMALLEST_SINGLE_TOL = 1e-6
_DENSE_ROWS = 1200  # up to here eigenvalues are computed by a dense solver
_PROOF_SLACK = 1e-6  # of the cost, what a proof may lose if that saves the time of a better one
_SLACK = 1e-9  # relative, by which rounding may bring a bound past the cost of a partition


class BoundMethod(Enum):
    """How :func:`kmeans_lower_bound` finds its multipliers.

    Attributes
    ----------
    FAST
        From the partition, in a few passes over the rows.
    BLOCK
        From the dual of the relaxation of blocks of similar rows.
    FULL
        From the dual of the relaxation of all rows.
    """

    FAST = "fast"
    BLOCK = "block"
    FULL = "full"


class SDPBound(NamedTuple):
    """What :func:`kmeans_lower_bound` found.

    Attributes
    ----------
    lower_bound : float
        No partition has a lower k-means cost, in the squared units of X; not negative.
    upper_value : float
        The same as an upper bound of ``<A, Z>``, A the inner products of the centred rows.
    rigorous : bool
        Whether all rounding is accounted for. It is, by every method.
    method : str
        "fast", "block" or "full".
    n_iter : int
        Iterations of the method "full", in all blocks together; 0 for "fast".
    history : ndarray of shape (n, m), float64
        "fast": z and bound of every kind of multipliers, in units of X. "full": iterations,
        ``<A, Z>``, estimated bound and residual. "block": rows of a block and its lower bound.
    """

    lower_bound: float
    upper_value: float
    rigorous: bool
    method: str
    n_iter: int
    history: Float64Array


def kmeans_lower_bound(
    X: Array,
    labels: IntArray,
    n_clusters: int,
    *,
    method: Literal["fast", "block", "full"] = "fast",
    W: Float64Array | None = None,
    block_size: int = _BLOCK_ROWS,
    tol: float = 1e-4,
    max_iter: int = 500,
    rng: np.random.Generator | None = None,
    callback: Callable[..., Any] | None = None,
) -> SDPBound:
    """Bound the cost of the best k-means partition from below.

    Parameters
    ----------
    X : ndarray of shape (n, p)
        Rows, float32 or float64, anywhere in space and in any unit.
    labels : ndarray of shape (n,), int
        Any partition, from 0 to ``n_clusters`` - 1; the better, the better the bound.
    n_clusters : int
        K, from 1 to n.
    method : {"fast", "block", "full"}, default="fast"
        "fast" builds multipliers from the partition; any n, but for more than about 40 clusters
        only the bound of PCA is left. "full" solves the dual of the relaxation, n <= 10000. "block"
        solves it for blocks of similar rows and adds up; any n. The last two never return less
        than "fast".
    W : ndarray of shape (n, r), float64, default=None
        Rows in the simplex, where "full" starts and what it compares its bound with; None takes
        the partition.
    block_size : int, default=1000
        Rows of a block of "block", from ``n_clusters`` + 1 to 10000.
    tol : float, default=1e-4
        Wanted gap between the bound and the value of the relaxation, in units of the cost.
    max_iter : int, default=500
        Most iterations, for each block.
    rng : numpy.random.Generator, default=None
        For "block" and "full"; None is one with seed 0. The same generator gives the same bound.
    callback : callable, default=None
        "full": ``callback(n_iter, objective, bound, residual)`` every 10 iterations, of ``<A, Z>``
        and its estimated bound; "block": ``callback(n_done, n_blocks, lower_bound)``. True stops.

    Returns
    -------
    bound : SDPBound
        True whatever the iterations did, and rigorous.

    Raises
    ------
    ValueError
        For NaN or infinity, rows whose squared distances leave float64, labels out of range, and
        "full" for too many rows.
    ArithmeticError
        For a bound above the cost of the given partition: an error of this library.

    Notes
    -----
    For the centred rows, ``P = I - 11'/n`` and any N >= 0, every feasible Z has ``<A, Z> <=
    1'(A + N)1 / n`` plus the K - 1 largest eigenvalues of ``P (A + N) P`` [1]_. "fast" takes
    O(n (p + K q)^2) time with q < p directions and no n x n array; "full" O(n^2 v) an iteration,
    20 n^2 bytes; "block" that of n / block_size problems. A sum of bounds of blocks is a bound
    as the best partition of all rows also divides every block. After a keyboard interrupt "full"
    and "block" return what they have. With another number of threads BLAS may sum in another order:
    bounds are as true, and differ by less than ``tol``.

    References
    ----------
    .. [1] J. Peng, Y. Wei, "Approximating k-means-type clustering via semidefinite programming",
       SIAM Journal on Optimization 18(1), 2007.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import kmeans_lower_bound
    >>> X = np.array([[0.0], [1.0], [8.0], [9.0]])
    >>> round(kmeans_lower_bound(X, [0, 0, 1, 1], 2).lower_bound, 6)
    1.0
    """
    X = as_matrix("X", X)
    check_finite("X", X)
    labels, _ = checked_clusters(labels, len(X), n_clusters)
    n_clusters = checked_integer("n_clusters", n_clusters, 1, len(X))
    method = checked_member("method", method, BoundMethod)
    tol = checked_real("tol", tol, low=0.0)
    max_iter = checked_integer("max_iter", max_iter, 1, 2**31 - 1)
    W = None if W is None else _checked_factor(W, len(X))
    rng = np.random.default_rng(0) if rng is None else rng
    if method is BoundMethod.FULL and len(X) > _MOST_ROWS:
        raise ValueError(f"method 'full' takes at most {_MOST_ROWS} rows, got {len(X)}")
    problem = _Problem(checked_geometry(X, labels), n_clusters)
    if n_clusters in (1, len(X)) or problem.total == 0.0:
        return problem.exact(method)
    upper, history = fast_bound(problem.geometry, n_clusters)
    history = history * problem.unit
    if method is BoundMethod.FAST:
        return problem.bound(upper, method, 0, history)
    options = {"tol": tol, "max_iter": max_iter, "rng": rng, "callback": callback}
    if method is BoundMethod.FULL:
        options["callback"] = _in_units(callback, problem.unit)
        solution = problem.solve(W, **options)
        history = solution.history * [1.0, problem.unit, problem.unit, 1.0]
        return problem.bound(min(upper, solution.bound), method, solution.n_iter, history)
    block_size = checked_integer("block_size", block_size, n_clusters + 1, _MOST_ROWS)
    return _block_bound(problem, upper, block_size, **options)


def _in_units(callback, unit):
    if callback is None:
        return None

    def called(n_iter, objective, bound, residual):
        return callback(n_iter, objective * unit, bound * unit, residual)

    return called


def _checked_factor(W, n_samples):
    W = as_matrix("W", W)
    check_finite("W", W)
    if len(W) != n_samples:
        raise ValueError(f"W must have {n_samples} rows, got shape {W.shape}")
    if W.min() < 0 or not W.any():
        raise ValueError(f"W must not be negative nor 0 everywhere, got a minimum of {W.min()}")
    return W


class _Problem:
    """Bounds of one set of rows, in units of its geometry, and what they say about its cost."""

    def __init__(self, geometry, n_clusters):
        self.geometry, self.n_clusters = geometry, n_clusters
        self.unit = geometry.scale**2
        # What replacing the features has added to the cost of every partition, and to the total.
        self.added = geometry.inflation * (len(geometry.rows) - n_clusters)
        self.total = squared_total(geometry.rows)

    def bound(self, upper, method, n_iter, history):
        """Turn a bound of ``<A, Z>`` into one of the cost, downwards.

        Rounding of the centred rows changes distances relatively by 4 units, and their sum by
        the error of an inner product. Inner products of replaced features are off by less than
        half of what was added to them.
        """
        g = self.geometry
        total = self.total
        lower = total - upper - 1.5 * self.added - (g.sum_error + 16.0 * UNIT) * total
        lower = max(0.0, lower)
        cost = max(0.0, g.cost - self.added)
        if lower > cost + _SLACK * total:
            raise ArithmeticError(
                f"the bound {lower * self.unit!r} is above the cost {cost * self.unit!r} of the "
                "given partition; this is an error of the library, please report it"
            )
        lower = min(lower, cost)
        value = g.total - lower
        return SDPBound(lower * self.unit, value * self.unit, True, method.value, n_iter, history)

    def exact(self, method):
        """One cluster has one partition, and n clusters or equal rows cost nothing."""
        upper = 0.0 if self.n_clusters == 1 else np.inf
        return self.bound(upper, method, 0, np.empty((0, 2)))

    def solve(self, W, **options):
        """Multipliers from the dual of the relaxation."""
        g = self.geometry
        if W is None:
            start = np.zeros((len(g.rows), g.n_clusters))
            start[np.arange(len(g.rows)), np.repeat(np.arange(g.n_clusters), np.diff(g.starts))] = 1
        else:
            start = np.asarray(W, dtype=np.float64)[g.order]
        sizes = start.sum(axis=0)
        start = start[:, sizes > 0] / np.sqrt(sizes[sizes > 0])
        tol = options.pop("tol")
        is_single = len(g.rows) > _SINGLE_PRECISION_ROWS and tol >= _SMALLEST_SINGLE_TOL
        return solve_dual(
            g.rows, self.n_clusters, start, self.prove, tol=tol * max(g.cost, UNIT * g.total),
            dtype=np.float32 if is_single else np.float64, **options,
        )  # fmt: skip

    def prove(self, multipliers, vectors):
        """A true bound of ``<A, Z>`` for N >= 0, which is overwritten."""
        g, n = self.geometry, len(self.geometry.rows)
        p = g.rows.shape[1]
        # Each entry is an inner product; means of rows and columns are sums of n of them.
        size = float(np.linalg.norm(multipliers)) + g.total
        error = 4.0 * dot_error(p + 2 * n + 16) * size
        H = multipliers
        H += g.rows @ g.rows.T
        along_ones = float(H.sum()) / n
        H -= H.mean(axis=0)
        H -= H.mean(axis=1)[:, None]
        vectors = None if n <= _DENSE_ROWS else improved_vectors(H, vectors)
        top = proved_top_sum(
            H, self.n_clusters - 1, vectors, error=error, slack=_PROOF_SLACK * g.cost
        )
        return along_ones + error + top


def _block_bound(problem, upper, block_size, *, callback, rng, **options):
    """Sum of the lower bounds of blocks, or the bound of all rows if that is better."""
    g = problem.geometry
    n_blocks = max(1, len(g.rows) // block_size)
    total, n_iter, history = 0.0, 0, []
    labels = np.repeat(np.arange(g.n_clusters), np.diff(g.starts))
    blocks = similar_blocks(g, n_blocks, rng)
    seeds = rng.spawn(n_blocks)
    try:
        for i, rows in enumerate(blocks):
            block = _Problem(PartitionGeometry(g.rows[rows], labels[rows]), problem.n_clusters)
            found = 0.0
            if block.total > 0:
                solution = block.solve(None, rng=seeds[i], callback=None, **options)
                n_iter += solution.n_iter
                bound = block.bound(solution.bound, BoundMethod.BLOCK, solution.n_iter, None)
                found = bound.lower_bound
            total += found
            history.append((len(rows), found * problem.unit))
            stop = callback is not None and callback(i + 1, n_blocks, total * problem.unit)
            if stop or (block.total > 0 and solution.interrupted):
                break
    except KeyboardInterrupt:
        pass
    history = np.array(history).reshape(-1, 2)
    upper = min(upper, problem.total - total)
    return problem.bound(upper, BoundMethod.BLOCK, n_iter, history)
