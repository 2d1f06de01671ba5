"""Numba backend of the kernel in ``kernels/moments.py``."""

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels._numba.leaf_sums import sum_over_leaves
from clusterlib.kernels._numba.threads import parallel_map, thread_count
from clusterlib.kernels.leaves import LEAF_ROWS

__all__ = ["class_moments"]


@compiled
def _sorted_rows(labels, starts, rows):
    """Rows of each class in rising order, one class after the other: a stable counting sort."""
    starts[:] = 0
    for label in labels:
        if label >= 0:
            starts[label + 1] += 1
    for c in range(len(starts) - 1):
        starts[c + 1] += starts[c]
    place = starts.copy()
    for i in range(len(labels)):
        if labels[i] >= 0:
            rows[place[labels[i]]] = i
            place[labels[i]] += 1


@compiled
def _finish(scatter, residual, weight, mean):
    """Correct a scatter and a mean by the weighted sum of the deviations."""
    d = len(mean)
    for a in range(d):
        for b in range(d):
            if weight > 0:
                scatter[a, b] -= residual[a] * residual[b] / weight
        if scatter[a, a] < 0:  # noqa: PLR1730 -- NaN stays
            scatter[a, a] = 0
    for a in range(d):
        if weight > 0:
            mean[a] += residual[a] / weight


def class_moments(X, labels, sample_weight, weights, means, scatters, n_threads):
    """Scatters about ``means`` by products of matrices, leaf by leaf of each class."""
    d = X.shape[1]
    starts, rows = np.empty(len(weights) + 1, dtype=np.int64), np.empty(len(X), dtype=np.int64)
    _sorted_rows(labels, starts, rows)

    def one_class(c, threads):
        members = rows[starts[c] : starts[c + 1]]

        def leaf_sums(leaf):
            chosen = members[leaf]
            deviation = X[chosen].astype(np.float64) - means[c]
            sums = np.empty((d + 1, d))
            if sample_weight is not None:
                root = np.sqrt(sample_weight[chosen])
                deviation *= root[:, None]
                sums[d] = root @ deviation
            else:
                sums[d] = deviation.sum(axis=0)
            sums[:d] = deviation.T @ deviation
            return sums

        with np.errstate(over="ignore", invalid="ignore"):  # the caller refuses what overflows
            sums = sum_over_leaves(len(members), leaf_sums, (d + 1, d), threads, LEAF_ROWS)
        scatters[c] = sums[:d]
        _finish(scatters[c], sums[d], weights[c], means[c])

    # Many leaves are shared among the threads, classes of few leaves are one task each.
    many = np.diff(starts) > 2 * thread_count(n_threads) * LEAF_ROWS
    for c in np.flatnonzero(many):
        one_class(c, n_threads)
    parallel_map(lambda c: one_class(c, 1), np.flatnonzero(~many), n_threads)
