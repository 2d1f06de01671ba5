"""Balanced k-means with assignments that are not exact: entropic ones that are rounded, greedy ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks
from clusterlib.kernels import pairwise_distances
from clusterlib.solvers.assignment import costs_of_assignment, total_cost
from clusterlib.solvers.balanced import PricedPartition, assign_bounded
from clusterlib.solvers.cluster_means import cluster_means
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.greedy_assignment import greedy_assignment
from clusterlib.solvers.sinkhorn import sinkhorn
from clusterlib.solvers.transport_problem import PointCost

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.typing import Array, ArrayLike, Float64Array, Int32Array, Int64Array, IntArray

__all__ = ["balanced_heuristic", "equal_sizes", "regret_assignment", "sinkhorn_assignment"]

_CHUNK_VALUES = 1 << 18
# Iterations without a new best that end the search: inexact assignments need not settle.
_PATIENCE = 10
# In units of the mean cost of a row at its nearest centre, and what Sinkhorn is asked for then.
_EPSILON, _TOL, _MOST_SWEEPS = 0.05, 1e-3, 500
_LEAST_EPSILON = 1e-9
# Powers of two of the largest value beyond which potentials would leave float64 when squared.
_LARGEST_EXPONENT = 200


def balanced_heuristic(
    X: ArrayLike,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    entropic: bool = False,
    spherical: bool = False,
    max_iter: int = 300,
    tol: float = 0.0,
    callback: Callable[..., Any] | None = None,
) -> PricedPartition:
    """Run k-means with bounded sizes whose assignments are cheap approximations.

    The inertia need not fall, so the best iterate is returned. One exact assignment to its centres
    gives the prices, and shows in ``dual_gap`` how far from an optimal one the labels are.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start, in the dtype of X; unit vectors on the sphere.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    entropic : bool, default=False
        Assign by :func:`sinkhorn_assignment`, to sizes as equal as the bounds allow; otherwise by
        :func:`greedy_assignment`.
    spherical : bool, default=False
        Cluster directions, as in :func:`balanced_lloyd`.
    max_iter : int, default=300
        Most iterations, at least 1.
    tol : float, default=0.0
        A best inertia is one that is lower by more than ``tol`` times itself. Ten iterations
        without one are the last, and so is one that changes no label.
    callback : callable, default=None
        ``callback(centers, prices, history)`` after each iteration; True stops.

    Returns
    -------
    result : PricedPartition
        Labels of the best iterate, and the centres they were assigned to.

    Notes
    -----
    O(n k d) time for each iteration, times the number of sweeps with ``entropic``; O(n + k d) memory,
    and up to three copies of X where Sinkhorn has to shift it or to work in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import balanced_heuristic
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> balanced_heuristic(X, X[[0, 3]], 2, 2).labels
    array([0, 0, 1, 1], dtype=int32)
    """
    blocks = as_blocks(X)
    weight = (Sphere if spherical else Flat).summation_weight(blocks, None)
    prices = np.zeros(len(centers))

    def assigned(centers, prices):
        if entropic:
            return sinkhorn_assignment(
                X, centers, size_min, size_max, prices=prices, spherical=spherical
            )
        labels, cost = greedy_assignment(blocks, centers, size_min, size_max, spherical=spherical)
        return labels, prices, cost

    labels, prices, cost = assigned(centers, prices)
    best, best_cost, history, since, converged = (labels, centers), cost, [], 0, False
    while len(history) < max_iter and not converged:
        centers = cluster_means(blocks, labels, centers, weight=weight, spherical=spherical)
        previous = labels
        labels, prices, cost = assigned(centers, prices)
        since = 0 if cost < (1 - tol) * best_cost else since + 1
        if cost <= best_cost:
            best, best_cost = (labels, centers), cost
        history.append(cost)
        converged = np.array_equal(labels, previous) or since >= _PATIENCE
        if callback is not None and callback(centers, prices, history):
            break
    labels, centers = best
    exact = assign_bounded(X, centers, size_min, size_max, spherical=spherical)
    gap = max(best_cost - exact.cost, 0.0) + exact.dual_gap
    return PricedPartition(
        labels, centers, exact.prices, best_cost, gap, len(history), converged, np.array(history)
    )


def sinkhorn_assignment(
    X: ArrayLike,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    prices: Float64Array | None = None,
    spherical: bool = False,
) -> tuple[Int32Array, Float64Array, float]:
    """Assign rows by entropic transport to sizes as equal as possible, and round.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    prices : ndarray of shape (n_clusters,), float64, default=None
        Where to start.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        Sizes are those of :func:`equal_sizes`.
    prices : ndarray of shape (n_clusters,), float64
        Minus the potentials of the clusters.
    cost : float
        Sum of the costs of the rows.

    Notes
    -----
    The entropic strength is a twentieth of the mean cost at the nearest centre, so a change of
    units changes no label. O(n k d) time for each of at most 500 sweeps, O(n + k) memory besides
    copies of X that :class:`PointCost` and float64 sweeps may need.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import sinkhorn_assignment
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> sinkhorn_assignment(X, np.array([[0.0], [8.0]]), 2, 2)[0]
    array([0, 0, 1, 1], dtype=int32)
    """
    sizes = equal_sizes(len(X), size_min, size_max, len(centers))
    scale = 1.0 if spherical else _scale_in_range(X)
    if scale != 1.0:  # what is scaled is in range, so this is done once
        prices = None if prices is None else prices * scale * scale
        scaled = X * X.dtype.type(scale), centers * centers.dtype.type(scale)
        labels, prices, _ = sinkhorn_assignment(*scaled, size_min, size_max, prices=prices)
        prices = prices / scale / scale
    else:
        prices = _entropic_prices(X, centers, sizes, prices, spherical)
        labels = regret_assignment(X, centers, prices, sizes, spherical=spherical)
    costs = costs_of_assignment(X, centers, labels, spherical=spherical)
    return labels, prices, float(costs.sum())


def _scale_in_range(X):
    """1, or a power of two that brings the largest value of X near to 1."""
    largest = max(abs(float(X.min())), abs(float(X.max())))
    exponent = int(np.frexp(largest)[1])
    return 1.0 if abs(exponent) <= _LARGEST_EXPONENT else 2.0 ** -max(exponent, -1000)


def _entropic_prices(X, centers, sizes, prices, spherical):
    """Minus the potentials of the clusters; zeros where all costs are 0."""
    cost = PointCost(X, centers, metric=(Sphere if spherical else Flat).metric)
    nearest = total_cost(X, centers, spherical=spherical) / len(X)
    epsilon = max(_EPSILON * nearest, _LEAST_EPSILON * cost.magnitude)
    if epsilon < np.finfo(np.float64).tiny:
        return np.zeros(len(centers))
    g = None if prices is None else -prices
    # "auto" would choose by the settings of the library, which shall change no label.
    result = sinkhorn(
        cost, epsilon, b=sizes.astype(np.float64), g=g, tol=_TOL, max_iter=_MOST_SWEEPS,
        method="log",
    )  # fmt: skip
    return np.where(sizes > 0, -result.g, 0.0)


def equal_sizes(
    n_samples: int, size_min: int | IntArray, size_max: int | IntArray, n_clusters: int
) -> Int64Array:
    """Sizes within bounds that are as equal as possible.

    Parameters
    ----------
    n_samples : int
        What they add up to.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Bounds that n_samples rows can meet.
    n_clusters : int
        How many sizes.

    Returns
    -------
    sizes : ndarray of shape (n_clusters,), int64
        A common size, or the bound next to it; where that leaves rows over, the first clusters
        of the common size that have room have one more.

    Notes
    -----
    O(k log n) time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import equal_sizes
    >>> equal_sizes(11, 0, np.array([2, 9, 9]), 3)
    array([2, 5, 4])
    """
    low, high = (
        np.broadcast_to(size, n_clusters).astype(np.int64) for size in (size_min, size_max)
    )
    level, above = 0, n_samples + 1  # the highest common size that asks for no more than there are
    while above - level > 1:
        middle = (level + above) // 2
        fits = np.clip(middle, low, high).sum() <= n_samples
        level, above = (middle, above) if fits else (level, middle)
    sizes = np.clip(level, low, high)
    growing = np.flatnonzero((sizes == level) & (sizes < high))
    sizes[growing[: n_samples - int(sizes.sum())]] += 1
    return sizes


def regret_assignment(
    X: ArrayLike,
    centers: Array,
    prices: Float64Array,
    sizes: Int64Array,
    *,
    spherical: bool = False,
) -> Int32Array:
    """Assign rows to clusters of given sizes, those first that would regret it most.

    Every row asks for its cheapest open cluster. One with too many of them takes those for which
    the second cheapest is dearest by most, and closes; the others ask again.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    prices : ndarray of shape (n_clusters,), float64
        Added to the costs.
    sizes : ndarray of shape (n_clusters,), int64
        How many rows each cluster gets; they add up to n_samples.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        With exactly these sizes; the lower row first where regrets are equal.

    Notes
    -----
    O(n k d) time for the first round and, in at most k rounds, O(k d + log n) for each row that
    asks again; O(n) memory and chunks.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import regret_assignment
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> regret_assignment(X, np.array([[0.0], [8.0]]), np.zeros(2), np.array([2, 2]))
    array([0, 0, 1, 1], dtype=int32)
    """
    blocks, metric = as_blocks(X), (Sphere if spherical else Flat).metric
    labels, room = np.empty(blocks.n_samples, dtype=np.int32), sizes.copy()
    asking = np.arange(blocks.n_samples)
    while len(asking):
        opened = np.flatnonzero(room > 0)
        choice, regret = _cheapest(blocks, asking, centers[opened], prices[opened], metric)
        choice = opened[choice]
        order = np.lexsort((asking, -regret, choice))
        rank = np.arange(len(order)) - np.searchsorted(choice[order], choice[order])
        taken = rank < room[choice[order]]
        rows, chosen = asking[order[taken]], choice[order[taken]]
        labels[rows] = chosen
        room -= np.bincount(chosen, minlength=len(room))
        asking = np.sort(asking[order[~taken]])
    return labels


def _cheapest(blocks, rows, centers, prices, metric):
    """For some rows the index of the cheapest centre, and how much more the second one is."""
    choice, regret = np.zeros(len(rows), dtype=np.int64), np.zeros(len(rows))
    step = max(1, _CHUNK_VALUES // max(len(centers), blocks.n_features))
    for start in range(0, len(rows), step):
        part = slice(start, start + step)
        points = blocks.take(rows[part]).astype(np.float64)
        costs = pairwise_distances(points, centers.astype(np.float64), metric=metric) + prices
        choice[part] = costs.argmin(axis=1)
        if len(centers) > 1:
            two = np.partition(costs, 1, axis=1)
            regret[part] = two[:, 1] - two[:, 0]
    return choice, regret
