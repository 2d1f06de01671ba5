"""Reference of the kernels in ``kernels/centers.py``."""

import numpy as np

from clusterlib.kernels._reference.pairwise import pairwise_argmin
from clusterlib.kernels.leaves import LEAF_ROWS
from clusterlib.kernels.metrics import Metric

__all__ = ["bounded_argmin", "cluster_sums"]


def cluster_sums(X, labels, sample_weight, sums, weights, n_threads):
    """Sum the rows of each cluster in the defined order; one thread whatever is asked for."""

    def leaf_sums(leaf):
        leaf_sum, leaf_weight = np.zeros_like(sums), np.zeros_like(weights)
        for i in range(leaf * LEAF_ROWS, min((leaf + 1) * LEAF_ROWS, len(X))):
            if labels[i] >= 0:
                weight = 1.0 if sample_weight is None else sample_weight[i]
                leaf_sum[labels[i]] += weight * X[i].astype(np.float64)
                leaf_weight[labels[i]] += weight
        return leaf_sum, leaf_weight

    def subtree_sums(first, count):
        if count == 1:
            return leaf_sums(first)
        # The largest power of two below count: the same pairs as merging neighbours level by
        # level, but with only one partial result per level in memory.
        left_count = 1 << ((count - 1).bit_length() - 1)
        left = subtree_sums(first, left_count)
        right = subtree_sums(first + left_count, count - left_count)
        return left[0] + right[0], left[1] + right[1]

    n_leaves = max(1, -(-len(X) // LEAF_ROWS))
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        sums[:], weights[:] = subtree_sums(0, n_leaves)


def bounded_argmin(X, centers, moves, labels, upper, lower, sample, n_threads):
    """Look at every row and leave bounds that promise nothing, which are valid bounds."""
    pairwise_argmin(X, centers, Metric.SQEUCLIDEAN, labels, None, n_threads)
    upper.fill(np.inf)
    lower.fill(0.0)
    return 0, 0
