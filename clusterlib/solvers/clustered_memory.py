"""Steps of a memory of past rows that is cut into balanced partitions."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import cluster_sums, pairwise_distances, pairwise_topk
from clusterlib.solvers.assignment import assign
from clusterlib.solvers.geometry import unit_rows
from clusterlib.solvers.sinkhorn_codes import sinkhorn_assign

if TYPE_CHECKING:
    from typing import Literal

    from clusterlib.typing import Array, Float64Array, Int32Array, Int64Array, IntArray

__all__ = [
    "PartitionSums",
    "balanced_labels",
    "moved_prototypes",
    "nearest_in_partition",
    "partition_sums",
    "replace_rows",
]


class PartitionSums(NamedTuple):
    """Sums of the stored rows of each partition.

    Attributes
    ----------
    sums : ndarray of shape (n_clusters, d), float64
        Sums of rows; 0 for an empty partition.
    sizes : ndarray of shape (n_clusters,), float64
        How many rows each has, in the same order.
    """

    sums: Float64Array
    sizes: Float64Array


def balanced_labels(
    rows: Array,
    prototypes: Array,
    epsilon: float,
    *,
    n_iters: int | None = 10,
    metric: Literal["euclidean", "cosine"] = "euclidean",
) -> Int32Array:
    """Label a batch so that prototypes get nearly equal parts of it.

    The labels are the largest entries of codes that :func:`sinkhorn_assign` computes from the
    negative distances between rows and the directions of prototypes: near is good. Fewer rows
    than prototypes cannot be shared out equally; they get the nearest prototype.

    Parameters
    ----------
    rows : ndarray of shape (n, d)
        Unit vectors.
    prototypes : ndarray of shape (n_clusters, d)
        Of any length; their directions count.
    epsilon : float
        Entropic strength in units of the distance, above 0.
    n_iters : int or None, default=10
        Normalisations of the columns; None goes on until the shares are equal to 1e-6.
    metric : {"euclidean", "cosine"}, default="euclidean"
        The distance, not squared.

    Returns
    -------
    labels : ndarray of shape (n,), int32
        From 0 to n_clusters - 1.

    Notes
    -----
    O(n k d + n_iters n k) time and n k numbers of memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import balanced_labels
    >>> angles = np.array([0.0, 0.1, 0.7, 0.8])
    >>> rows = np.column_stack([np.cos(angles), np.sin(angles)])
    >>> balanced_labels(rows, np.eye(2), 0.05)
    array([0, 0, 1, 1], dtype=int32)
    """
    directions = unit_rows(prototypes)
    if len(rows) < len(directions):
        return assign(rows, directions, spherical=True)
    distances = pairwise_distances(rows, directions, metric=metric)
    codes = sinkhorn_assign(-distances, epsilon, n_iters=n_iters)
    return np.argmax(codes, axis=1).astype(np.int32)


def partition_sums(bank: Array, labels: Int32Array, n_clusters: int) -> PartitionSums:
    """Sum the rows of each partition.

    Parameters
    ----------
    bank : ndarray of shape (n, d)
        Stored rows.
    labels : ndarray of shape (n,), int32
        Their partitions.
    n_clusters : int
        How many there are, empty ones included.

    Returns
    -------
    sums : PartitionSums
        In float64.

    Notes
    -----
    O(n d) time.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import partition_sums
    >>> partition_sums(np.eye(2), np.array([2, 2]), 3).sizes
    array([0., 0., 2.])
    """
    return PartitionSums(*cluster_sums(bank, labels, n_clusters))


def replace_rows(
    bank: Array,
    labels: Int32Array,
    partitions: PartitionSums,
    slots: IntArray,
    rows: Array,
    new_labels: Int32Array,
) -> PartitionSums:
    """Overwrite stored rows and keep the sums of partitions right.

    Parameters
    ----------
    bank : ndarray of shape (n, d)
        Stored rows; changed in place.
    labels : ndarray of shape (n,), int32
        Their partitions, -1 for a slot that is empty; changed in place.
    partitions : PartitionSums
        Sums of the rows as they were.
    slots : ndarray of shape (n_new,), int
        Which rows to overwrite, each at most once.
    rows : ndarray of shape (n_new, d)
        New rows.
    new_labels : ndarray of shape (n_new,), int32
        Their partitions.

    Returns
    -------
    partitions : PartitionSums
        Sums of the rows as they are: the old rows are subtracted, the new ones added.

    Notes
    -----
    O(n_new d) time, whatever n is. Each call may add a rounding of the sums in float64.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import partition_sums, replace_rows
    >>> bank, labels = np.eye(3), np.zeros(3, dtype=np.int32)
    >>> before = partition_sums(bank, labels, 2)
    >>> replace_rows(bank, labels, before, np.array([1]), np.ones((1, 3)), np.array([1])).sums
    array([[1., 0., 1.],
           [1., 1., 1.]])
    """
    n_clusters = len(partitions.sizes)
    leaving = partition_sums(bank[slots], labels[slots], n_clusters)  # skips empty slots
    bank[slots], labels[slots] = rows, new_labels
    coming = partition_sums(bank[slots], labels[slots], n_clusters)
    return PartitionSums(
        partitions.sums - leaving.sums + coming.sums,
        partitions.sizes - leaving.sizes + coming.sizes,
    )


def moved_prototypes(prototypes: Array, partitions: PartitionSums, momentum: float) -> Array:
    """Move prototypes towards the means of their partitions.

    ``(1 - momentum) mean + momentum prototype``; the prototype of an empty partition stays.

    Parameters
    ----------
    prototypes : ndarray of shape (n_clusters, d)
        As they were.
    partitions : PartitionSums
        Sums and sizes in the order of the prototypes.
    momentum : float
        From 0, the means themselves, to 1, no move at all.

    Returns
    -------
    prototypes : ndarray of shape (n_clusters, d)
        New ones in the same dtype.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import PartitionSums, moved_prototypes
    >>> partitions = PartitionSums(np.array([[4.0], [0.0]]), np.array([2.0, 0.0]))
    >>> moved_prototypes(np.array([[1.0], [5.0]]), partitions, 0.5)
    array([[1.5],
           [5. ]])
    """
    moved = prototypes.astype(np.float64)
    filled = partitions.sizes > 0
    means = partitions.sums[filled] / partitions.sizes[filled, None]
    moved[filled] = (1.0 - momentum) * means + momentum * moved[filled]
    # A mean of opposite directions is no direction: that prototype stays, too.
    lost = ~(np.abs(moved).max(axis=1) > np.finfo(np.float32).eps)
    moved[lost] = prototypes[lost]
    return moved.astype(prototypes.dtype)


def nearest_in_partition(
    queries: Array, bank: Array, labels: Int32Array, prototypes: Array, n_neighbors: int
) -> tuple[Array, Int64Array]:
    """Find the stored rows nearest to queries by cosine, each in the partition of its prototype.

    Where that partition has no more than ``n_neighbors`` rows, the whole bank is searched.

    Parameters
    ----------
    queries : ndarray of shape (n, d)
        Rows of any length.
    bank : ndarray of shape (n_stored, d)
        Stored rows, at least n_neighbors.
    labels : ndarray of shape (n_stored,), int32
        Their partitions.
    prototypes : ndarray of shape (n_clusters, d)
        One for each partition; a query belongs to the nearest by cosine.
    n_neighbors : int
        How many.

    Returns
    -------
    distances : ndarray of shape (n, n_neighbors)
        Cosine distances in the dtype of queries and bank, in increasing order.
    indices : ndarray of shape (n, n_neighbors), int64
        Rows of the whole bank they belong to, the lowest index on ties.

    Notes
    -----
    With partitions of equal size, O(n d (k + n_stored / k)) time for k prototypes.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import nearest_in_partition
    >>> bank = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.1], [0.1, 1.0]])
    >>> labels = np.array([0, 1, 0, 1])
    >>> nearest_in_partition(np.array([[0.0, 2.0]]), bank, labels, np.eye(2), 1)[1]
    array([[1]])
    """
    partition = assign(queries, prototypes, spherical=True)
    order = np.argsort(labels, kind="stable")
    ends = np.searchsorted(labels[order], np.arange(len(prototypes) + 1))
    too_small = np.diff(ends) <= n_neighbors
    distances = np.empty((len(queries), n_neighbors), dtype=np.result_type(queries, bank))
    indices = np.empty((len(queries), n_neighbors), dtype=np.int64)

    def search(chosen, slots):
        distances[chosen], found = pairwise_topk(
            queries[chosen], bank[slots], n_neighbors, metric="cosine"
        )
        indices[chosen] = slots[found]

    everywhere = np.flatnonzero(too_small[partition])
    if everywhere.size:
        search(everywhere, np.arange(len(bank)))
    for cluster in np.unique(partition[~too_small[partition]]):
        search(np.flatnonzero(partition == cluster), order[ends[cluster] : ends[cluster + 1]])
    return distances, indices
