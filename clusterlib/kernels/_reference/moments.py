"""Reference of the kernel in ``kernels/moments.py``."""

import numpy as np

from clusterlib.kernels.leaves import LEAF_ROWS

__all__ = ["class_moments"]


def class_moments(X, labels, sample_weight, weights, means, scatters, n_threads):
    """Scatters about ``means``, a class at a time, and what corrects both."""
    for c in range(len(weights)):
        members = np.flatnonzero(labels == c)
        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what overflows
            residual, scatter = _class_scatter(X, members, sample_weight, means[c])
            if weights[c] > 0:
                scatter -= np.outer(residual, residual) / weights[c]
                means[c] += residual / weights[c]
        np.fill_diagonal(scatter, np.maximum(scatter.diagonal(), 0.0))
        scatters[c] = scatter


def _class_scatter(X, members, sample_weight, mean):
    """Weighted sum and scatter of ``X[members] - mean``, leaves merged by the pairwise tree."""

    def leaf_sums(leaf):
        rows = members[leaf * LEAF_ROWS : (leaf + 1) * LEAF_ROWS]
        weight = np.ones(len(rows)) if sample_weight is None else sample_weight[rows]
        deviation = X[rows].astype(np.float64) - mean
        half = np.sqrt(weight)[:, None] * deviation  # on both sides: exactly symmetric
        return weight @ deviation, half.T @ half

    def subtree_sums(first, count):
        if count == 1:
            return leaf_sums(first)
        left_count = 1 << ((count - 1).bit_length() - 1)
        left = subtree_sums(first, left_count)
        right = subtree_sums(first + left_count, count - left_count)
        return left[0] + right[0], left[1] + right[1]

    return subtree_sums(0, max(1, -(-len(members) // LEAF_ROWS)))
