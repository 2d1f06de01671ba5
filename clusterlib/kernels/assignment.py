"""Contracts of the assignment of rows to clusters whose sizes are bounded.

The problem
-----------
Every row i goes to one cluster, at a cost, and every cluster k takes a number of rows within its
bounds:

    minimise   sum_i cost[i, labels_i]
    so that    size_min_k <= #{i: labels_i = k} <= size_max_k.

It is a transportation problem, so the optimum over fractions of rows is attained by whole rows, and
k prices prove it. Labels are optimal if and only if there are prices p with

- ``cost[i, labels_i] + p[labels_i] = min_k (cost_ik + p_k)`` for every row,
- ``p_k > 0`` only where the size of cluster k is ``size_max_k``,
- ``p_k < 0`` only where it is ``size_min_k``,

for then the cost equals the dual value ``sum_i min_k (cost_ik + p_k) - sum_k s_k p_k`` with ``s_k =
size_max_k`` for ``p_k > 0``, else ``size_min_k``, and no assignment costs less than that of any
prices. What is left between the two is the ``dual_gap``: the sum of what is missing in these
conditions, all of it non-negative, so that nothing cancels. The prices meet the second and third
condition exactly, and the first up to rounding: the gap is about ``1e-13`` times the sum of the
absolute costs at most.

Labels are unique where the optimum is, and backends may return different ones only where it is not.
Prices are unique only up to what ties leave: with bounds that all hold as equalities a constant may
be added, and as a rule each may move within an interval. Within a backend a result has the same bits
for any number of threads and any memory layout.

Range. Costs are finite and at most 2^900 in absolute value. Between points they are the distances of
the defined evaluation in :mod:`clusterlib.kernels.pairwise`, in float64 whatever the dtype of the
points. Where the largest absolute value M of X and Y is neither 0 nor from 2^-450 to 2^450 (2^-50 to
2^50 in float32, where distances are screened), both are multiplied by a power of two, and cost, gap
and prices are scaled back; what leaves float64 on the way back becomes infinite or 0.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import assignment_checks as door
from clusterlib.kernels.checks import checked_threads
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.sinkhorn_checks import as_cost, as_points

if TYPE_CHECKING:
    from clusterlib.kernels.metrics import Metric
    from clusterlib.typing import ArrayLike, Backend, Float64Array, Int32Array, MetricName

__all__ = [
    "CapacityAssignment",
    "capacity_assignment",
    "capacity_assignment_points",
    "priced_argmin",
]


class CapacityAssignment(NamedTuple):
    """An optimal assignment to clusters of bounded sizes, and the prices that prove it.

    Attributes
    ----------
    labels : ndarray of shape (n,), int32
        Cluster of each row.
    prices : ndarray of shape (k,), float64
        Every row is where ``cost_ik + prices_k`` is smallest, up to rounding. Above 0 only where the
        size is ``size_max``, below 0 only where it is ``size_min``.
    cost : float
        ``sum_i cost[i, labels_i]``, added up in float64.
    dual_gap : float
        At least 0: no assignment costs less than ``cost - dual_gap``, rounding of that sum apart.
    n_paths : int
        Augmenting paths: how far the prices were off when rows were first assigned by them.
    """

    labels: Int32Array
    prices: Float64Array
    cost: float
    dual_gap: float
    n_paths: int


@follows_data
def capacity_assignment(
    C: ArrayLike,
    size_min: int | ArrayLike | None = None,
    size_max: int | ArrayLike | None = None,
    *,
    prices: float | ArrayLike | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> CapacityAssignment:
    """Assign rows to clusters of bounded sizes at the least total cost, exactly.

    Parameters
    ----------
    C : array-like of shape (n, k)
        Finite float32 or float64 costs in any layout, at most 2^900 in absolute value. Integers,
        bools and objects are converted to float64, float16 to float32; n may be 0, k may not.
    size_min, size_max : None, int or array-like of int of shape (k,), default=None
        Bounds of the number of rows of each cluster, at least 0; None means 0 and n. Bounds above may
        exceed n.
    prices : None, float or array-like of shape (k,), default=None
        Where to start, finite: a hint that may save time, and never changes the cost.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    result : CapacityAssignment
        Named tuple of ``labels, prices, cost, dual_gap, n_paths``.

    Raises
    ------
    ValueError
        For NaN, infinity or costs beyond 2^900, wrong shapes, bounds that are negative or that no
        assignment meets, prices that are not finite, an unknown backend.
    TypeError
        For what is not an array of real numbers, or bounds that are not integers.

    Notes
    -----
    Prices are brought close to an optimum first; rows that then are too many in a cluster leave along
    shortest augmenting paths on the clusters, where an arc costs the least that any row of one cluster
    pays for moving to the other [1]_. The native backend keeps lists of the cheap clusters of every
    row: about 125 bytes for each row (221 where clusters have few rows, more only for inputs that make
    it hard), 12 k^2 bytes and 8 k^2 for each thread. Time is O(n k) for reading C, O(E log k) for each
    path over E arcs, and a rescan of a cluster now and then. The other backends hold the n x k costs
    in float64. See the module for what is optimal, and what is unique. Ctrl-C ends a search.

    References
    ----------
    .. [1] R. K. Ahuja, T. L. Magnanti, J. B. Orlin, "Network Flows", 1993, section 9.7 (successive
       shortest paths); J. Munkres, "Algorithms for the Assignment and Transportation Problems", J.
       SIAM 5(1), 1957.

    Examples
    --------
    Both rows would rather be in the first cluster; the first one is cheaper to move.

    >>> from clusterlib.kernels import capacity_assignment
    >>> result = capacity_assignment([[0.0, 0.1], [0.1, 10.0]], size_max=1)
    >>> result.labels, result.cost
    (array([1, 0], dtype=int32), 0.2)
    """
    n_threads = checked_threads(n_threads)
    C = as_cost("C", C)
    bounds = door.checked_bounds(size_min, size_max, *C.shape)
    prices = door.as_hint(prices, C.shape[1])
    run = implementation("capacity_assignment", backend)
    labels, sums = np.empty(len(C), dtype=np.int32), np.empty(2)
    n_paths = run(C, *bounds, prices, labels, sums, n_threads)
    return CapacityAssignment(labels, prices, float(sums[0]), float(sums[1]), n_paths)


@follows_data
def capacity_assignment_points(
    X: ArrayLike,
    Y: ArrayLike,
    size_min: int | ArrayLike | None = None,
    size_max: int | ArrayLike | None = None,
    *,
    metric: MetricName | Metric = "sqeuclidean",
    prices: float | ArrayLike | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> CapacityAssignment:
    """Assign rows to centres that take a bounded number of rows, at the least total distance.

    The result is that of :func:`capacity_assignment` for the matrix of distances.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows of float32 or float64 values in any layout, never copied as a whole unless their range
        demands it (see the module). Integers, bools and objects are converted to float64, float16 to
        float32; n may be 0, d may not.
    Y : array-like of shape (k, d)
        The centres, k >= 1.
    size_min, size_max : None, int or array-like of int of shape (k,), default=None
        As in :func:`capacity_assignment`.
    metric : str or Metric, default="sqeuclidean"
        "sqeuclidean", "euclidean", "cosine" (1 - cosine) or "inner_product" (minus the product): the
        distances of :func:`pairwise_distances`, in float64 by the defined evaluation.
    prices, n_threads, backend
        As in :func:`capacity_assignment`.

    Returns
    -------
    result : CapacityAssignment
        Named tuple of ``labels, prices, cost, dual_gap, n_paths``.

    Raises
    ------
    ValueError, TypeError
        As :func:`capacity_assignment`, for NaN or infinity in X or Y, an unknown metric, and a
        function as metric.

    Notes
    -----
    O(n k d) time for the distances besides that of :func:`capacity_assignment`. The native backend
    keeps the distances to a few cheapest centres of every row only; the others hold all in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import capacity_assignment_points
    >>> X, centers = np.array([[0.0], [1.0], [2.0], [9.0]]), np.array([[0.0], [8.0]])
    >>> result = capacity_assignment_points(X, centers, size_max=2)
    >>> result.labels, result.cost
    (array([0, 0, 1, 1], dtype=int32), 38.0)
    """
    metric = door.as_costs_metric(metric)
    n_threads = checked_threads(n_threads)
    X, Y = as_points(X, Y)
    bounds = door.checked_bounds(size_min, size_max, len(X), len(Y))
    prices = door.as_hint(prices, len(Y))
    run = implementation("capacity_assignment_points", backend)
    X, Y, exponent = door.points_in_range(X, Y, metric)
    prices = np.clip(door.scaled(prices, -exponent), -door.LARGEST_COST, door.LARGEST_COST)
    labels, sums = np.empty(len(X), dtype=np.int32), np.empty(2)
    n_paths = run(X, Y, metric, *bounds, prices, labels, sums, n_threads)
    prices, (cost, dual_gap) = door.scaled(prices, exponent), door.scaled(sums, exponent)
    return CapacityAssignment(labels, prices, float(cost), float(dual_gap), n_paths)


@follows_data
def priced_argmin(
    X: ArrayLike,
    Y: ArrayLike,
    prices: float | ArrayLike,
    *,
    metric: MetricName | Metric = "sqeuclidean",
    n_threads: int | None = None,
    backend: Backend = None,
) -> Int32Array:
    """Find the centre at which distance plus price is smallest, for each row.

    That is where the prices of a :class:`CapacityAssignment` would send a row that is new. Sizes are
    not bounded here.

    Parameters
    ----------
    X : array-like of shape (n, d)
        As in :func:`capacity_assignment_points`.
    Y : array-like of shape (k, d)
        The centres, k >= 1.
    prices : float or array-like of shape (k,)
        Finite, at most 2^900 in absolute value.
    metric : str or Metric, default="sqeuclidean"
        As in :func:`capacity_assignment_points`.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    labels : ndarray of shape (n,), int32
        Index of the smallest ``distance + price``: a sum of the distance by the defined evaluation
        and the price, rounded once to float64; the lowest index on ties.

    Raises
    ------
    ValueError
        For NaN or infinity in X or Y, k = 0, wrong shapes, prices out of range, an unknown metric or
        backend.
    TypeError
        For what is not an array of real numbers, or a function as metric.

    Notes
    -----
    O(n k d) time, O(n + k d) memory; the NumPy backend holds the n x k matrix. Where X and Y have to
    be scaled (see the module) the smallest price is taken from all of them first.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import priced_argmin
    >>> priced_argmin(np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]]), [10.0, 0.0])
    array([1, 1], dtype=int32)
    """
    metric = door.as_costs_metric(metric)
    n_threads = checked_threads(n_threads)
    X, Y = as_points(X, Y)
    prices = door.as_prices(prices, len(Y))
    run = implementation("priced_argmin", backend)
    X, Y, exponent = door.points_in_range(X, Y, metric)
    if exponent:
        # A price beyond all costs is out of the question, and so is one that is clipped to that.
        prices = np.minimum(door.scaled(prices - prices.min(), -exponent), door.LARGEST_COST)
    labels = np.empty(len(X), dtype=np.int32)
    run(X, Y, metric, prices, labels, n_threads)
    return labels
