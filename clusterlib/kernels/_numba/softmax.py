"""Numba backend of the kernel in ``kernels/softmax.py``."""

import math

import numpy as np

from clusterlib.kernels._numba.compiling import compiled
from clusterlib.kernels._numba.threads import parallel_map

__all__ = ["row_softmax"]

_BLOCK_VALUES = 1 << 16
_RUN = 64


@compiled
def _softmax_rows(z, lse, labels):
    """Rows of z become posteriors, in place."""
    n, k = z.shape
    for i in range(n):
        most, column, spoiled = -math.inf, 0, False
        for j in range(k):
            value = z[i, j]
            spoiled |= not value < math.inf  # NaN or +inf
            if value > most:
                most, column = value, j
        if labels.size:
            labels[i] = column
        if spoiled or most == -math.inf:
            lse[i] = math.nan if spoiled else -math.inf
            z[i, :] = math.nan
            continue
        total, part = 0.0, 0.0
        for j in range(k):
            value = math.exp(np.float64(z[i, j]) - np.float64(most))
            z[i, j] = value
            part += value
            if j % _RUN == _RUN - 1:  # two levels: the rounding grows with their lengths
                total += part
                part = 0.0
        total += part
        lse[i] = most + math.log(total)
        for j in range(k):
            z[i, j] /= total


def row_softmax(scores, log_weight, posteriors, lse, labels, n_threads):
    """Write z where the posteriors go and work on it in place, a block of rows at a time."""
    block_rows = max(1, _BLOCK_VALUES // scores.shape[1])
    nothing = np.empty(0, dtype=np.int32)

    def work(begin):
        rows = slice(begin, begin + block_rows)
        z = posteriors[rows]
        with np.errstate(over="ignore", invalid="ignore"):
            if log_weight is None:
                z[...] = scores[rows]
            else:
                np.add(scores[rows], log_weight, out=z)
        _softmax_rows(z, lse[rows], nothing if labels is None else labels[rows])

    parallel_map(work, range(0, len(scores), block_rows), n_threads)
