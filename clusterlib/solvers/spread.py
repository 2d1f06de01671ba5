"""Where rows lie and how far they spread, in float64 whatever their dtype is."""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.blocks import as_blocks, map_reduce
from clusterlib.kernels import cluster_sums
from clusterlib.solvers.assignment import row_costs, weighted_total

if TYPE_CHECKING:
    from clusterlib.typing import Float64Array, Rows

__all__ = ["mean_row", "squared_spread"]


def mean_row(X: Rows) -> Float64Array:
    """Compute the mean of the rows.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        At least one row.

    Returns
    -------
    mean : ndarray of shape (n_features,), float64
        From sums in a fixed order, not rounded to the dtype of X.

    Notes
    -----
    O(n p) time, O(p log n) memory.

    Examples
    --------
    >>> from clusterlib.solvers import mean_row
    >>> mean_row([[0.0, 1.0], [3.0, 1.0]])
    array([1.5, 1. ])
    """
    blocks = as_blocks(X)
    return map_reduce(_sum_of_rows, operator.add, blocks) / blocks.n_samples


def _sum_of_rows(rows):
    return cluster_sums(rows, np.zeros(len(rows), dtype=np.int32), 1)[0][0]


def squared_spread(X: Rows) -> float:
    """Add up the squared distances of the rows to their mean: the cost of a single cluster.

    Parameters
    ----------
    X : Blocks or array-like of shape (n_samples, n_features)
        At least one row.

    Returns
    -------
    total : float
        Infinite where the squares leave the range of float64.

    Notes
    -----
    O(n p) time in two passes; memory for the rows of a block.

    Examples
    --------
    >>> from clusterlib.solvers import squared_spread
    >>> squared_spread([[0.0, 1.0], [3.0, 1.0]])
    4.5
    """
    blocks = as_blocks(X)
    with np.errstate(over="ignore"):
        return map_reduce(_spread, operator.add, blocks, broadcast=(mean_row(blocks)[None],))


def _spread(rows, mean):
    return weighted_total(row_costs(rows, np.zeros(len(rows), dtype=np.int32), mean, False))
