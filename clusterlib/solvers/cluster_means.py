"""Sums and means of clusters whose labels are given."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce
from clusterlib.kernels import cluster_sums
from clusterlib.solvers.far_rows import relocate_empty
from clusterlib.solvers.geometry import Flat, Sphere
from clusterlib.solvers.labelling import add_totals

if TYPE_CHECKING:
    from clusterlib.typing import Array, Float64Array, Int32Array, Rows

__all__ = ["cluster_means", "cluster_totals", "cluster_weights"]

_COUNTED_ROWS = 1 << 16


def cluster_totals(
    X: Rows, labels: Int32Array, n_clusters: int, weight: Float64Array | None = None
) -> tuple[Float64Array, Float64Array]:
    """Add up the rows and the weights of every cluster, block by block in a fixed order.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row.
    n_clusters : int
        How many clusters there are.
    weight : ndarray of shape (n_samples,), float64, default=None
        What rows are multiplied with; None means 1.

    Returns
    -------
    sums : ndarray of shape (n_clusters, n_features), float64
        Weighted sums.
    weights : ndarray of shape (n_clusters,), float64
        Sums of the weights.

    Notes
    -----
    O(n d) time, O(k d log n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import cluster_totals
    >>> sums, weights = cluster_totals([[1.0], [2.0], [4.0]], np.array([0, 0, 1]), 2)
    >>> sums.ravel(), weights
    (array([3., 4.]), array([2., 1.]))
    """
    blocks = as_blocks(X)
    return map_reduce(_sums, add_totals, blocks, weight, labels, broadcast=(n_clusters,))


def _sums(rows, weight, labels, n_clusters):
    return cluster_sums(rows, labels, n_clusters, sample_weight=weight)


def cluster_weights(
    labels: Int32Array, n_clusters: int, sample_weight: Float64Array | None = None
) -> Float64Array:
    """Add up the weights of the rows of every cluster, without a copy of the labels.

    Parameters
    ----------
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row.
    n_clusters : int
        How many clusters there are.
    sample_weight : ndarray of shape (n_samples,), float64, default=None
        Weights; None means 1.

    Returns
    -------
    weights : ndarray of shape (n_clusters,), float64
        In an order of additions that n_samples alone determines.

    Notes
    -----
    O(n + k n / 65536) time, memory for 65536 labels (``bincount`` copies what it counts).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import cluster_weights
    >>> cluster_weights(np.array([0, 2, 2], dtype=np.int32), 3)
    array([1., 0., 2.])
    """
    weights = np.zeros(n_clusters)
    for start in range(0, len(labels), _COUNTED_ROWS):
        some = slice(start, start + _COUNTED_ROWS)
        weight = None if sample_weight is None else sample_weight[some]
        weights += np.bincount(labels[some], weights=weight, minlength=n_clusters)
    return weights


def cluster_means(
    X: Rows,
    labels: Int32Array,
    centers: Array,
    *,
    weight: Float64Array | None = None,
    spherical: bool = False,
) -> Array:
    """Move centres to the means of their rows; those without rows go to far rows.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        The rows.
    labels : ndarray of shape (n_samples,), int32
        Cluster of each row.
    centers : ndarray of shape (n_clusters, n_features)
        Where the centres were.
    weight : ndarray of shape (n_samples,), float64, default=None
        What rows are multiplied with; on the sphere it has to be 1 over their lengths.
    spherical : bool, default=False
        Normalise the sums.

    Returns
    -------
    moved : ndarray of shape (n_clusters, n_features)
        In the dtype of ``centers``. A centre without rows is at the row with the highest cost,
        a second one at the next different row; such a move raises no cost.

    Notes
    -----
    O(n d) time, O(n log n) more for centres without rows; O(k d log n) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import cluster_means
    >>> X = np.array([[0.0], [1.0], [9.0]])
    >>> cluster_means(X, np.array([0, 0, 1], dtype=np.int32), X[:2])
    array([[0.5],
           [9. ]])
    """
    blocks = as_blocks(X)
    sums, weights = cluster_totals(blocks, labels, len(centers), weight)
    moved = (Sphere if spherical else Flat).centers(sums, weights, centers)
    relocate_empty(moved, weights, labels, blocks, centers, weight, spherical=spherical)
    return moved
