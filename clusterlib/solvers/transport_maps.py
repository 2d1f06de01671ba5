"""Softmax averages over the targets of a transport problem: where sources go."""

import numpy as np

from clusterlib.kernels import pairwise_logsumexp
from clusterlib.solvers.transport_objective import row_blocks

__all__ = ["dense_softmax_map", "points_softmax_map"]


def points_softmax_map(cost, X, epsilon, g, values):
    """``sum_j softmax_j((g_j - c(x_i, y_j)) / epsilon) v_j`` for points; v = y where it is None.

    X and Y are those of the cost, with its centre subtracted. Computed in float64.
    """
    X, Y = X.astype(np.float64, copy=False), cost.Y.astype(np.float64, copy=False)
    means = Y if values is None else cost.side.values(values, len(Y))
    _, mapped = pairwise_logsumexp(
        X,
        Y,
        metric=cost.metric,
        inverse_temperature=1.0 / epsilon,
        log_weight=cost.side.beside(g) / epsilon,
        values=means,
    )
    return mapped + cost.center if values is None else mapped


def dense_softmax_map(cost, epsilon, g, values):
    """The same for a stored cost, in blocks of rows."""
    if values is None:
        raise ValueError("values is required where the cost is a matrix, got None")
    values, g = cost.side.values(values, cost.shape[1]), cost.side.beside(g)
    mapped = cost.side.empty((cost.shape[0], values.shape[1]), np.float64)
    for rows in row_blocks(*cost.shape):
        exponent = np.subtract(g, cost.block(rows))
        exponent -= exponent.max(axis=1, keepdims=True)
        exponent /= epsilon
        weight = np.exp(exponent, out=exponent)
        mapped[rows] = weight @ values / weight.sum(axis=1, keepdims=True)
    return mapped
