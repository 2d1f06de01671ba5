"""Numba backend of the kernels in ``kernels/mixtures.py``."""

import numpy as np

from clusterlib.kernels._numba import mixture_loops as loops
from clusterlib.kernels._numba.leaf_sums import sum_over_leaves
from clusterlib.kernels._numba.threads import parallel_map

__all__ = ["mixture_weights", "plsa_step", "tempered_posterior"]

_CHUNK_ROWS = 64


def plsa_step(indptr, indices, data, W, H, beta, leaves, W_sums, H_sums, n_threads):
    """Every leaf adds to a table of its own; the log-likelihood is its last row."""
    m, k = H.shape

    def leaf_sums(rows):
        sums = np.zeros((m + 1, k))
        begin, end = leaves[rows.start], leaves[rows.stop]
        loops.plsa_rows(begin, end, indptr, indices, data, W, H, beta, W_sums, sums)
        return sums

    sums = sum_over_leaves(len(leaves) - 1, leaf_sums, (m + 1, k), n_threads, leaf_rows=1)
    H_sums[:] = sums[:m]
    return float(sums[m, 0])


def mixture_weights(indptr, indices, data, H, max_iter, tol, W, n_iter, n_threads):
    """Rows do not see each other."""
    longest = int(np.diff(indptr).max(initial=0))

    def work(begin):
        end = min(begin + _CHUNK_ROWS, len(W))
        rows, v = np.empty((longest, H.shape[1])), np.empty(longest)
        loops.weights_of_rows(
            begin, end, indptr, indices, data, H, max_iter, tol, W, n_iter, rows, v
        )

    parallel_map(work, range(0, len(W), _CHUNK_ROWS), n_threads)


def tempered_posterior(
    H, D, domains, neighbors, floor, tau, beta, weight, leaf_rows, responsibilities, posterior,
    counts, totals, n_threads,
):  # fmt: skip
    """Every leaf adds to a table of its own: counts, totals and in the last row the likelihood."""
    r, k = D.shape
    near = np.empty((0, 0), np.int32) if neighbors is None else neighbors
    weights = np.empty(0) if weight is None else weight
    G = np.empty((0, k), H.dtype) if responsibilities is None else responsibilities
    P = np.empty((0, k), H.dtype) if posterior is None else posterior

    def leaf_sums(rows):
        sums = np.zeros((2 * r + 1, k))
        loops.posterior_rows(
            rows.start, rows.stop, H, D, domains, near, floor, tau, beta, weights, G, P, sums
        )
        return sums

    sums = sum_over_leaves(len(H), leaf_sums, (2 * r + 1, k), n_threads, leaf_rows=leaf_rows)
    counts[:], totals[:] = sums[:r], sums[r : 2 * r]
    return float(sums[-1, 0])
