"""Sums over leaves of rows, merged by the pairwise tree of the contracts."""

import numpy as np

from clusterlib.kernels._numba.threads import parallel_map, thread_count
from clusterlib.kernels.leaves import SWEEP_ROWS

__all__ = ["sum_over_leaves"]


def _merge(left, right):
    with np.errstate(over="ignore", invalid="ignore"):
        return np.add(left, right, out=left)


def sum_over_leaves(n, leaf_sums, shape, n_threads, leaf_rows=SWEEP_ROWS):
    """Add ``leaf_sums(rows)`` of all leaves of ``leaf_rows`` rows; zeros of ``shape`` for n = 0.

    A task is an aligned subtree, as large as four tasks for each thread allow, so that only sums
    of whole tasks are kept; the tree is the same for any number of threads.
    """
    n_leaves = -(-n // leaf_rows)
    if n_leaves == 0:
        return np.zeros(shape)

    def subtree(first, count):
        if count == 1:
            return leaf_sums(slice(first * leaf_rows, min((first + 1) * leaf_rows, n)))
        left_count = 1 << ((count - 1).bit_length() - 1)
        left = subtree(first, left_count)
        return _merge(left, subtree(first + left_count, count - left_count))

    span = 1
    while span * 4 * thread_count(n_threads) < n_leaves:
        span *= 2
    parts = parallel_map(
        lambda first: subtree(first, min(span, n_leaves - first)),
        range(0, n_leaves, span),
        n_threads,
    )
    while len(parts) > 1:
        merged = [_merge(*parts[i : i + 2]) for i in range(0, len(parts) - 1, 2)]
        parts = merged + parts[len(merged) * 2 :]
    return parts[0]
