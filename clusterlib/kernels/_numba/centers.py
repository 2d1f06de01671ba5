"""Numba backend of the kernels in ``kernels/centers.py``."""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels._numba.pairwise import pairwise_argmin
from clusterlib.kernels._numba.threads import parallel_map, thread_count
from clusterlib.kernels.leaves import LEAF_ROWS
from clusterlib.kernels.metrics import Metric

__all__ = ["bounded_argmin", "cluster_sums"]

_BLOCK_VALUES = 1 << 18


@compiled
def _add_rows(x, labels, sample_weight, sums, weights):
    """Add rows to the sums of their clusters, one after the other."""
    for i in range(x.shape[0]):
        label = labels[i]
        if label >= 0:
            weight = sample_weight[i]
            weights[label] += weight
            for p in range(x.shape[1]):
                sums[label, p] += weight * x[i, p]


def _merge(left, right):
    with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what is not finite
        np.add(left[0], right[0], out=left[0])
        np.add(left[1], right[1], out=left[1])
    return left


def cluster_sums(X, labels, sample_weight, sums, weights, n_threads):
    """Sum the rows of each cluster in the defined order."""
    block_rows = max(1, min(LEAF_ROWS, _BLOCK_VALUES // X.shape[1]))
    ones = np.ones(LEAF_ROWS)

    def leaf_sums(leaf):
        part = np.zeros_like(sums), np.zeros_like(weights)
        end = min((leaf + 1) * LEAF_ROWS, len(X))
        for start in range(leaf * LEAF_ROWS, end, block_rows):
            rows = slice(start, min(start + block_rows, end))
            x = np.array(X[rows], dtype=np.float64, order="C")
            weight = ones[: len(x)] if sample_weight is None else sample_weight[rows]
            _add_rows(x, labels[rows], weight, *part)
        return part

    def subtree_sums(first, count):
        if count == 1:
            return leaf_sums(first)
        left_count = 1 << ((count - 1).bit_length() - 1)
        left = subtree_sums(first, left_count)
        return _merge(left, subtree_sums(first + left_count, count - left_count))

    # A task is a subtree of 2^j leaves, j as large as four tasks for each thread allow: only
    # the sums of whole tasks are ever kept.
    n_leaves = max(1, -(-len(X) // LEAF_ROWS))
    span = 1
    while span * 4 * thread_count(n_threads) < n_leaves:
        span *= 2
    parts = parallel_map(
        lambda first: subtree_sums(first, min(span, n_leaves - first)),
        range(0, n_leaves, span),
        n_threads,
    )
    while len(parts) > 1:
        merged = [_merge(*parts[i : i + 2]) for i in range(0, len(parts) - 1, 2)]
        parts = merged + parts[len(merged) * 2 :]
    sums[:], weights[:] = parts[0]


def bounded_argmin(X, centers, moves, labels, upper, lower, sample, n_threads):
    """Look at every row and leave no bounds: keeping them has not paid here."""
    pairwise_argmin(X, centers, Metric.SQEUCLIDEAN, labels, None, n_threads)
    upper.fill(np.inf)
    lower.fill(0.0)
    return 0, 0
