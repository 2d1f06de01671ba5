"""Centres without rows move to the rows that are farthest from their own centres."""

import numpy as np

from clusterlib.blocks import map_reduce
from clusterlib.solvers.assignment import costs_of_assignment, pairwise_labels, row_costs
from clusterlib.solvers.geometry import Flat, Sphere

__all__ = ["relocate_empty"]


def relocate_empty(moved, weights, labels, blocks, centers, sample_weight, *, spherical=False):
    """Move centres without rows to the farthest rows, in place.

    Parameters
    ----------
    moved : ndarray of shape (n_clusters, n_features)
        New centres; those of empty clusters are overwritten.
    weights : ndarray of shape (n_clusters,), float64
        Weight of each cluster; 0 says that it is empty.
    labels : ndarray of shape (n_samples,), int32, or None
        Cluster of each row; None stands for the nearest of ``centers``.
    blocks : Blocks
        The rows.
    centers : ndarray of shape (n_clusters, n_features)
        Those that the labels belong to.
    sample_weight : ndarray of shape (n_samples,), or None
        Rows of weight 0 are nowhere to move to.
    spherical : bool, default=False
        Costs are 1 - cosine instead of squared distances.

    Returns
    -------
    n_moved : int
        How many centres were moved: fewer than are empty if too few different rows are away from
        their centres.

    Notes
    -----
    O(n d) time (O(n k d) without labels) in one pass, and only if a cluster is empty; memory for
    the rows of a block and for one row for each empty cluster.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.blocks import as_blocks
    >>> from clusterlib.solvers.far_rows import relocate_empty
    >>> X, centers = np.array([[0.0], [1.0], [5.0]]), np.array([[0.0], [90.0]])
    >>> moved, weights = centers.copy(), np.array([3.0, 0.0])
    >>> relocate_empty(moved, weights, None, as_blocks(X), centers, None), moved.ravel()
    (1, array([0., 5.]))
    """
    empty = np.flatnonzero(weights == 0)
    if len(empty) == 0:
        return 0
    geometry = Sphere if spherical else Flat
    if blocks.on_host:
        beside = range(blocks.n_samples), labels, sample_weight
        broadcast = (centers, spherical, len(empty))
        far = map_reduce(_of_block, _Far.merged, blocks, *beside, broadcast=broadcast)
    else:
        costs = costs_of_assignment(blocks, centers, labels, spherical=spherical)
        sample_weight = geometry.summation_weight(blocks, _presence(sample_weight))

        def fetch(index):
            return blocks.to_host(blocks.take([index]))[0]

        far = _Far.of_rows(fetch, range(blocks.n_samples), costs, sample_weight, len(empty))
    if len(far.rows):
        moved[empty[: len(far.rows)]] = geometry.points(np.array(far.rows))
    return len(far.rows)


def _of_block(rows, numbers, labels, sample_weight, centers, spherical, count):
    geometry = Sphere if spherical else Flat
    if labels is None:
        labels = pairwise_labels(rows, centers, geometry.metric)
    costs = row_costs(rows, labels, centers.astype(np.float64), spherical)
    weight = geometry.row_weight(rows, _presence(sample_weight))
    return _Far.of_rows(rows.__getitem__, numbers, costs, weight, count)


def _presence(sample_weight):
    """1 for rows that count, 0 for others; on the sphere rows of zeros join these."""
    return None if sample_weight is None else (sample_weight > 0).astype(np.float64)


class _Far:
    """At most ``count`` different rows with the highest positive costs, the highest first."""

    def __init__(self, count):
        self.count = count
        self.rows, self.costs, self.numbers = [], [], []
        self._taken = set()

    @classmethod
    def of_rows(cls, fetch, numbers, costs, weight, count):
        if weight is not None:
            costs = np.where(weight > 0, costs, 0.0)
        far = cls(count)
        order = np.argsort(-costs, kind="stable")
        for index in order[: np.count_nonzero(costs > 0)]:
            if len(far.rows) == count:
                break
            far.add(np.array(fetch(index)), costs[index], numbers[index])
        return far

    def add(self, row, cost, number):
        """Take a row that costs no more than those before it, unless an equal one is there."""
        # Copies may be in different clusters: their costs need not be equal.
        content = (row + 0.0).tobytes()  # with 0 for -0
        if content not in self._taken:
            self._taken.add(content)
            self.rows.append(row)
            self.costs.append(cost)
            self.numbers.append(number)

    def merged(self, other):
        """Of both; of equal costs the row with the lower number comes first."""
        both = [*zip(self.costs, self.numbers, self.rows, strict=True)]
        both += zip(other.costs, other.numbers, other.rows, strict=True)
        far = _Far(self.count)
        for cost, number, row in sorted(both, key=lambda each: (-each[0], each[1])):
            if len(far.rows) == far.count:
                break
            far.add(row, cost, number)
        return far
