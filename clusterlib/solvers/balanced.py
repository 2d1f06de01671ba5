"""Lloyd's iteration for clusters of bounded sizes, with an exact assignment in every step."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.blocks import as_blocks, map_blocks
from clusterlib.kernels import capacity_assignment_points, priced_argmin
from clusterlib.solvers.balanced_exchange import exchange_rows
from clusterlib.solvers.cluster_means import cluster_means
from clusterlib.solvers.geometry import Flat, Sphere

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.kernels.assignment import CapacityAssignment
    from clusterlib.typing import (
        Array,
        ArrayLike,
        Float64Array,
        FloatArray,
        Int32Array,
        IntArray,
        Rows,
    )

__all__ = ["PricedPartition", "assign_bounded", "assign_priced", "balanced_lloyd"]

# Measured: after an iteration that changed more labels than this share, the search for prices is
# faster from nothing, up to eight times from centres of plain k-means, whose prices are extreme.
_FEW_CHANGES = 0.1


class PricedPartition(NamedTuple):
    """What :func:`balanced_lloyd` and :func:`balanced_heuristic` found.

    Attributes
    ----------
    labels : ndarray of shape (n_samples,), int32
        An assignment to ``centers`` within the bounds of the sizes, of least cost where it is exact.
    centers : ndarray of shape (n_clusters, n_features)
        In the dtype of X.
    prices : ndarray of shape (n_clusters,), float64
        What a place in each cluster costs in an optimal assignment to ``centers``: it sends every
        row to the least of cost plus price. Above 0 only for clusters at their upper bound, below 0
        only at their lower bound.
    inertia : float
        Sum of the costs of the rows at their centres.
    dual_gap : float
        No assignment to ``centers`` within the bounds costs less than ``inertia - dual_gap``.
    n_iter : int
        Iterations done.
    converged : bool
        Whether the iterations came to rest before ``max_iter`` or a callback ended them.
    history : ndarray of shape (n_iter,), float64
        Inertia after each iteration.
    """

    labels: Int32Array
    centers: FloatArray
    prices: Float64Array
    inertia: float
    dual_gap: float
    n_iter: int
    converged: bool
    history: Float64Array


def balanced_lloyd(
    X: ArrayLike,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    spherical: bool = False,
    max_iter: int = 300,
    tol: float = 0.0,
    prices: Float64Array | None = None,
    exchange: bool = False,
    callback: Callable[..., Any] | None = None,
) -> PricedPartition:
    """Run k-means with bounded cluster sizes from given centres until nothing falls any more.

    An iteration moves the centres to the means of their rows and assigns the rows anew, at the
    least cost that the bounds allow. Neither half can raise the inertia.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        Where to start, in the dtype of X; unit vectors on the sphere.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    spherical : bool, default=False
        Cluster directions: centres are normalised sums of normalised rows, rows cost 1 - cosine.
        A row of zeros costs 1 anywhere and moves no centre.
    max_iter : int, default=300
        Most iterations, at least 1.
    tol : float, default=0.0
        An iteration that lowers the inertia by no more than ``tol`` times itself is the last one,
        or is followed by exchanges. 0 waits until labels stand still.
    prices : ndarray of shape (n_clusters,), float64, default=None
        Where the search for prices starts, a hint.
    exchange : bool, default=False
        Whether iterations that have come to rest are pushed on by :func:`exchange_rows`.
    callback : callable, default=None
        ``callback(centers, prices, history)`` after each iteration; True stops.

    Returns
    -------
    result : PricedPartition
        Labels are an optimal assignment to the returned centres, at every end.

    Notes
    -----
    O(n k d) time for each iteration plus that of the assignment, see
    :func:`clusterlib.kernels.capacity_assignment_points`, which also decides about memory: O(n) for
    the native backend, besides O(k^2 + k d). Nothing depends on the number of threads.

    A centre without rows, which bounds that begin at 0 allow, moves to the row farthest from its
    own centre. Where rounding of the centres to the dtype of X would raise the inertia, the iteration
    is undone and is the last.

    References
    ----------
    .. [1] P. S. Bradley, K. P. Bennett and A. Demiriz, "Constrained k-means clustering", Microsoft
       Research MSR-TR-2000-65, 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import balanced_lloyd
    >>> X = np.array([[0.0], [1.0], [2.0], [9.0]])
    >>> result = balanced_lloyd(X, X[[0, 3]], 2, 2)
    >>> result.labels, result.centers.ravel(), result.inertia
    (array([0, 0, 1, 1], dtype=int32), array([0.5, 5.5]), 25.0)
    """
    geometry = Sphere if spherical else Flat
    blocks, bounds = as_blocks(X), (size_min, size_max)
    weight = geometry.summation_weight(blocks, None)
    best = assign_bounded(X, centers, *bounds, prices=prices, spherical=spherical)
    history, rests, converged = [], False, False
    changed = 1.0 if prices is None else 0.0
    while len(history) < max_iter and not converged:
        labels = best.labels
        if rests:
            labels = exchange_rows(X, labels, centers, best.prices, *bounds, spherical=spherical)
        moved = cluster_means(blocks, labels, centers, weight=weight, spherical=spherical)
        hint = best.prices if changed <= _FEW_CHANGES else None
        found = assign_bounded(X, moved, *bounds, prices=hint, spherical=spherical)
        changed = float(np.mean(found.labels != best.labels)) if len(labels) else 0.0
        stands = changed == 0
        fall = best.cost - found.cost
        small = stands or not fall > tol * best.cost  # so that NaN, of infinite costs, ends it
        converged = small and (rests or not exchange)
        rests = small
        if fall > 0 or (stands and fall == 0):
            centers, best = moved, found
        history.append(best.cost)
        if callback is not None and callback(centers, best.prices, history):
            break
    return PricedPartition(
        best.labels, centers, best.prices, best.cost, best.dual_gap, len(history), converged,
        np.array(history),
    )  # fmt: skip


def assign_bounded(
    X: ArrayLike,
    centers: Array,
    size_min: int | IntArray,
    size_max: int | IntArray,
    *,
    prices: Float64Array | None = None,
    spherical: bool = False,
) -> CapacityAssignment:
    """Assign rows to centres within bounds of the cluster sizes, at the least cost.

    Parameters
    ----------
    X : array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    size_min, size_max : int or ndarray of int of shape (n_clusters,)
        Fewest and most rows of each cluster; bounds that n_samples rows can meet.
    prices : ndarray of shape (n_clusters,), float64, default=None
        Where the search for prices starts, a hint.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    result : CapacityAssignment
        What :func:`clusterlib.kernels.capacity_assignment_points` returns.

    Notes
    -----
    Time and memory are those of the kernel.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign_bounded
    >>> assign_bounded(np.array([[0.0], [1.0], [2.0]]), np.array([[0.0], [9.0]]), 1, 2).labels
    array([0, 0, 1], dtype=int32)
    """
    metric = (Sphere if spherical else Flat).metric
    return capacity_assignment_points(X, centers, size_min, size_max, metric=metric, prices=prices)


def assign_priced(
    X: Rows, centers: Array, prices: Float64Array, *, spherical: bool = False
) -> Int32Array:
    """Find the centre of every row at which cost plus price is least.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    prices : ndarray of shape (n_clusters,), float64
        What a place costs besides, as :class:`PricedPartition` has it.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        Exact in float64; the lowest index on ties.

    Notes
    -----
    O(n k d) time, O(n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign_priced
    >>> assign_priced(np.array([[1.0], [3.0]]), np.array([[0.0], [4.0]]), np.array([10.0, 0.0]))
    array([1, 1], dtype=int32)
    """
    metric = (Sphere if spherical else Flat).metric
    return np.concatenate(map_blocks(_priced, as_blocks(X), broadcast=(centers, prices, metric)))


def _priced(rows, centers, prices, metric):
    return priced_argmin(rows, centers, prices, metric=metric)
