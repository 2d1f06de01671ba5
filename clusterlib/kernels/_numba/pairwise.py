"""Numba backend of the kernels in ``kernels/pairwise.py``: tiles in float64, then a reduction."""

import numpy as np

from clusterlib.kernels._numba.reductions import (
    argmin_rows,
    count_rows,
    logsumexp_rows,
    topk_rows,
)
from clusterlib.kernels._numba.tiles import Tiles

__all__ = [
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]

_INSERTION_MOST = 64  # longer lists are sorted: insertion costs k for every accepted value


def _store(out, values):
    """Round to the dtype of ``out``; a distance beyond its range becomes infinite."""
    with np.errstate(over="ignore"):
        out[...] = values


def pairwise_distances(X, Y, metric, out, n_threads):
    """Write every distance."""
    tiles = Tiles(X, Y, metric)

    def work(rows, values, x_norms):
        _store(out[rows], tiles.distances(values, x_norms))

    tiles.for_each(work, n_threads)


def pairwise_argmin(X, Y, metric, labels, distances, n_threads):
    """Write the nearest row of Y, the lowest index on ties."""
    tiles = Tiles(X, Y, metric)

    def work(rows, values, x_norms):
        smallest = np.empty(len(values))
        argmin_rows(values, labels[rows], smallest)
        if distances is not None:
            _store(distances[rows], tiles.distances(smallest, x_norms))

    tiles.for_each(work, n_threads)


def pairwise_topk(X, Y, metric, distances, indices, n_threads):
    """Write the k nearest rows of Y in order, the lower index first on ties."""
    tiles = Tiles(X, Y, metric)
    k = indices.shape[1]

    def work(rows, values, x_norms):
        if k <= _INSERTION_MOST:
            smallest = np.empty((len(values), k))
            topk_rows(values, indices[rows], smallest)
        else:
            order = np.argsort(values, axis=1, kind="stable")[:, :k]
            indices[rows] = order
            smallest = np.take_along_axis(values, order, axis=1)
        _store(distances[rows], tiles.distances(smallest, x_norms))

    tiles.for_each(work, n_threads)


def pairwise_logsumexp(
    X,
    Y,
    metric,
    inverse_temperature,
    log_weight,
    x_group,
    y_group,
    mask,
    values,
    out,
    weighted,
    n_threads,
):
    """Write the log-sum-exp of each row and, on request, the softmax-weighted sums of values."""
    tiles = Tiles(X, Y, metric)
    # Absent arguments become neutral arrays, so that one compiled signature serves every call.
    log_weight = np.zeros(len(Y)) if log_weight is None else log_weight
    x_group = np.zeros(len(X), dtype=np.int64) if x_group is None else x_group
    y_group = np.zeros(len(Y), dtype=np.int64) if y_group is None else y_group
    averaged = np.zeros((len(Y), 0)) if values is None else np.array(values, dtype=np.float64)

    def work(rows, compared, x_norms):
        lse, sums = np.empty(len(compared)), np.empty((len(compared), averaged.shape[1]))
        logsumexp_rows(
            tiles.distances(compared, x_norms),
            inverse_temperature[rows],
            log_weight,
            x_group[rows],
            y_group,
            mask,
            averaged,
            lse,
            sums,
        )
        _store(out[rows], lse)
        if weighted is not None:
            _store(weighted[rows], sums)

    tiles.for_each(work, n_threads)


def pairwise_threshold(X, Y, metric, threshold, counts, n_threads):
    """Write how many rows of Y lie within the threshold of each row of X."""
    tiles = Tiles(X, Y, metric)

    def work(rows, values, x_norms):
        count_rows(tiles.distances(values, x_norms), threshold[rows], counts[rows])

    tiles.for_each(work, n_threads)
