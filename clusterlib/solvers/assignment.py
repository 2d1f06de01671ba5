"""Rows and their centres: which is nearest, how far it is, what all of it costs."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks, leaf_sum, map_blocks, map_reduce, tree_reduce
from clusterlib.kernels import Metric, pairwise_argmin, pairwise_distances, pairwise_topk
from clusterlib.solvers.geometry import Flat, Sphere

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, FloatArray, Int32Array, IntArray, Rows

__all__ = [
    "assign",
    "assign_several",
    "assign_with_cost",
    "center_distances",
    "cost_of_assignment",
    "costs_of_assignment",
    "pairwise_labels",
    "row_costs",
    "total_cost",
    "weighted_total",
]

_CHUNK_VALUES = 1 << 14


def assign(X: Rows, centers: Array, *, spherical: bool = False) -> Int32Array:
    """Find the nearest centre of every row.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    spherical : bool, default=False
        Compare directions, not places.

    Returns
    -------
    labels : ndarray of shape (n_samples,), int32
        Exact; the lowest index on ties.

    Notes
    -----
    O(n k d) time, O(n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign
    >>> assign(np.array([[0.0], [3.0]]), np.array([[2.0], [-1.0]]))
    array([1, 0], dtype=int32)
    """
    metric = (Sphere if spherical else Flat).metric
    blocks = as_blocks(X)
    return blocks.joined(blocks.map(pairwise_labels, broadcast=(centers, metric)))


def pairwise_labels(rows, centers, metric):
    """Nearest centre of the rows of one block."""
    return pairwise_argmin(rows, centers, metric=metric)


def assign_several(
    X: Rows, centers: Array, n_assign: int, *, spherical: bool = False
) -> tuple[FloatArray, Int32Array]:
    """Find the nearest centres of every row.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    n_assign : int
        How many for each row, from 1 to n_clusters.
    spherical : bool, default=False
        Compare directions, not places.

    Returns
    -------
    distances : ndarray of shape (n_samples, n_assign)
        Euclidean or cosine distances in the dtype of X, in increasing order.
    labels : ndarray of shape (n_samples, n_assign), int32
        The centres they belong to; exact, the lowest index first on ties.

    Notes
    -----
    O(n k d) time, O(n n_assign) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign_several
    >>> assign_several(np.array([[0.0]]), np.array([[3.0], [-1.0], [9.0]]), 2)
    (array([[1., 3.]]), array([[1, 0]], dtype=int32))
    """
    metric = Metric.COSINE if spherical else Metric.EUCLIDEAN
    blocks = as_blocks(X)
    parts = map_blocks(_several, blocks, broadcast=(centers, n_assign, metric))
    distances, labels = zip(*parts, strict=True)
    return blocks.joined(distances), blocks.joined(labels)


def _several(rows, centers, n_assign, metric):
    return pairwise_topk(rows, centers, n_assign, metric=metric)


def center_distances(X: Rows, centers: Array, *, spherical: bool = False) -> FloatArray:
    """Compute the distance of every row to every centre.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    spherical : bool, default=False
        Cosine distances instead of euclidean ones.

    Returns
    -------
    distances : ndarray of shape (n_samples, n_clusters)
        In the dtype of X, within the error bound of :mod:`clusterlib.kernels.pairwise`.

    Notes
    -----
    O(n k d) time, O(n k) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import center_distances
    >>> center_distances(np.array([[0.0, 0.0]]), np.array([[3.0, 4.0], [1.0, 0.0]]))
    array([[5., 1.]])
    """
    metric = Metric.COSINE if spherical else Metric.EUCLIDEAN
    blocks = as_blocks(X)
    return blocks.joined(blocks.map(_all, broadcast=(centers, metric)))


def _all(rows, centers, metric):
    return pairwise_distances(rows, centers, metric=metric)


def costs_of_assignment(
    X: Rows, centers: Array, labels: IntArray, *, spherical: bool = False
) -> Float64Array:
    """Compute what every row costs at its centre, in float64.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    labels : ndarray of int of shape (n_samples,)
        Cluster of each row.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    costs : ndarray of shape (n_samples,), float64
        Each one depends on its row alone, not on the block or the layout it came in.

    Notes
    -----
    O(n d) time; temporaries are small chunks of rows. Of rows on a CUDA device the costs are
    brought to the host, and there they are those at the nearest centres, whatever ``labels``
    says, from distances rounded to the dtype of X: O(n k d) time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import costs_of_assignment
    >>> costs_of_assignment(np.array([[1.0], [5.0]]), np.array([[0.0], [3.0]]), np.array([0, 1]))
    array([1., 4.])
    """
    if not (blocks := as_blocks(X)).on_host:
        return _costs_at_nearest(blocks, centers, spherical)
    return blocks.joined(blocks.map(row_costs, (labels,), (centers.astype(np.float64), spherical)))


def _costs_at_nearest(blocks, centers, spherical):
    """Costs by the kernel that finds the nearest centres, on the host."""
    metric = Metric.COSINE if spherical else Metric.EUCLIDEAN
    parts = map_blocks(_distances_to_nearest, blocks, broadcast=(centers, metric))
    distances = blocks.to_host(blocks.joined(parts)).astype(np.float64)
    with np.errstate(over="ignore"):  # a cost beyond float64 is infinite
        return distances if spherical else np.square(distances)


def _distances_to_nearest(rows, centers, metric):
    return pairwise_argmin(rows, centers, metric=metric, return_distance=True)[1]


def row_costs(rows, labels, centers, spherical):
    """What the rows of one block cost at their float64 centres; see :func:`costs_of_assignment`."""
    geometry = Sphere if spherical else Flat
    costs = np.empty(len(rows))
    step = max(1, _CHUNK_VALUES // rows.shape[1])
    # In C order, so that the order of a row's sum is the same for every layout of X.
    beside = np.empty((step, rows.shape[1]))
    with np.errstate(over="ignore"):  # a cost beyond float64 is infinite
        for start in range(0, len(rows), step):
            chunk = slice(start, min(start + step, len(rows)))
            scratch = beside[: chunk.stop - start]
            np.take(centers, labels[chunk], axis=0, out=scratch, mode="clip")  # unbuffered
            costs[chunk] = geometry.costs(rows[chunk], scratch)
    return costs


def weighted_total(values: Float64Array, sample_weight: Array | None = None) -> float:
    """Add up values times weights; a weight of zero removes even an infinite value.

    Parameters
    ----------
    values : ndarray of shape (n_samples,), float64
        What to add up.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative. None means 1.

    Returns
    -------
    total : float
        The sum in the fixed order of :func:`clusterlib.blocks.leaf_sum`: totals of aligned blocks,
        merged by the tree, have the bits of the total of all rows.

    Notes
    -----
    O(n) time and memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import weighted_total
    >>> weighted_total(np.array([1.0, np.inf]), np.array([2.0, 0.0]))
    2.0
    """
    if sample_weight is None:
        return leaf_sum(values)
    with np.errstate(over="ignore"):
        products = np.multiply(
            values, sample_weight, out=np.zeros(len(values)), where=sample_weight > 0
        )
        return leaf_sum(products)


def cost_of_assignment(
    X: Rows,
    centers: Array,
    labels: IntArray,
    *,
    sample_weight: Array | None = None,
    spherical: bool = False,
) -> float:
    """Add up what the rows cost at their centres, without keeping a cost for each row.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    labels : ndarray of int of shape (n_samples,)
        Cluster of each row; of rows on a CUDA device it has to be the nearest.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    cost : float
        Sum of weight times cost: the bits of :func:`weighted_total` of the costs of all rows.

    Notes
    -----
    O(n d) time, O(n) memory within a block only.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import cost_of_assignment
    >>> cost_of_assignment(np.array([[1.0], [5.0]]), np.array([[0.0], [3.0]]), np.array([0, 1]))
    5.0
    """
    blocks = as_blocks(X)
    if not blocks.on_host:
        return weighted_total(_costs_at_nearest(blocks, centers, spherical), sample_weight)
    broadcast = (centers.astype(np.float64), spherical)
    return map_reduce(_cost, operator.add, blocks, labels, sample_weight, broadcast=broadcast)


def _cost(rows, labels, sample_weight, centers, spherical):
    return weighted_total(row_costs(rows, labels, centers, spherical), sample_weight)


def assign_with_cost(
    X: Rows, centers: Array, *, sample_weight: Array | None = None, spherical: bool = False
) -> tuple[Int32Array, float]:
    """Find the nearest centre of every row and what all rows cost there, in one pass.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    labels : array of shape (n_samples,), int32
        As of :func:`assign`, where the rows lie.
    cost : float
        As of :func:`cost_of_assignment`.

    Notes
    -----
    O(n k d) time, O(n) memory for the labels.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import assign_with_cost
    >>> assign_with_cost(np.array([[1.0], [5.0]]), np.array([[0.0], [3.0]]))
    (array([0, 1], dtype=int32), 5.0)
    """
    blocks = as_blocks(X)
    if not blocks.on_host:
        labels = assign(blocks, centers, spherical=spherical)
        costs = _costs_at_nearest(blocks, centers, spherical)
        return labels, weighted_total(costs, sample_weight)
    labels, costs = np.empty(blocks.n_samples, dtype=np.int32), []
    start = 0
    for part, cost in blocks.map(_labels_and_cost, (sample_weight,), (centers, spherical)):
        labels[start : start + len(part)] = part
        start += len(part)
        costs.append(cost)
    return labels, tree_reduce(operator.add, costs)


def _labels_and_cost(rows, sample_weight, centers, spherical):
    labels = pairwise_labels(rows, centers, (Sphere if spherical else Flat).metric)
    return labels, _cost(rows, labels, sample_weight, centers.astype(np.float64), spherical)


def total_cost(
    X: Rows, centers: Array, *, sample_weight: Array | None = None, spherical: bool = False
) -> float:
    """Add up what the rows cost at their nearest centres.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        The centres.
    sample_weight : ndarray of shape (n_samples,), default=None
        Weights, not negative.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    cost : float
        Sum of weight times cost.

    Notes
    -----
    O(n k d) time; memory for the rows of a block.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import total_cost
    >>> total_cost(np.array([[1.0], [5.0]]), np.array([[0.0], [3.0]]))
    5.0
    """
    blocks = as_blocks(X)
    if not blocks.on_host:
        return weighted_total(_costs_at_nearest(blocks, centers, spherical), sample_weight)
    broadcast = (centers, spherical)
    return map_reduce(_nearest_cost, operator.add, blocks, sample_weight, broadcast=broadcast)


def _nearest_cost(rows, sample_weight, centers, spherical):
    return _labels_and_cost(rows, sample_weight, centers, spherical)[1]
