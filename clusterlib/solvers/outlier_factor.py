"""The local outlier factor, and the rows that it leaves in each class."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import pairwise_topk

if TYPE_CHECKING:
    from clusterlib.typing import Array, BoolArray, Float64Array, IntArray

__all__ = ["class_inliers", "local_outlier_factor"]

# Of fewer rows nothing can be said: each is as far from the others as they are from it.
_FEWEST_ROWS = 4
# The smallest relative reachability: quotients, and sums of as many as there can be, stay finite.
_LEAST_REACH = 2.0**-900


def local_outlier_factor(X: Array, n_neighbors: int) -> Float64Array:
    """Compare the density around each row with the densities around its neighbours.

    With k-dist(o) the distance of o to its k-th neighbour, and reach(p, o) the larger one of
    k-dist(o) and ``|p - o|``, the density of p is one over the mean of reach(p, o) over its k
    neighbours o, and its factor is the mean of their densities divided by its own [1]_: about 1
    inside of a cluster, larger for rows that are more lonesome than their neighbours.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, float32 or float64.
    n_neighbors : int
        k, at least 1, cut to n - 1. A row is never its own neighbour; the lower index comes first
        among rows that are equally far.

    Returns
    -------
    factors : ndarray of shape (n,), float64
        Positive and finite; 1 for a row alone.

    Notes
    -----
    Exact: O(n^2 d) time; O(n k) memory beside the input.

    A row with k copies or more has reachability 0, an infinite density. It counts as being as
    dense as the densest other place, so that copies have factor 1, rows beside them have a finite
    one, and factors do not depend on the unit. Where there is no other place, all factors are 1.

    References
    ----------
    .. [1] M. M. Breunig, H.-P. Kriegel, R. T. Ng, J. Sander, "LOF: identifying density-based local
       outliers", SIGMOD 2000.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import local_outlier_factor
    >>> local_outlier_factor(np.array([[0.0], [1.0], [2.0], [3.0], [9.0]]), 2).round(2)
    array([1.  , 1.  , 1.  , 1.  , 4.33])
    """
    k = min(n_neighbors, len(X) - 1)
    if k < 1:
        return np.ones(len(X))
    distances, neighbors = _nearest_others(X, k)
    reach = np.maximum(distances[:, -1][neighbors], distances).mean(axis=1)
    largest = reach.max()
    if largest == 0:
        return np.ones(len(X))
    reach /= largest
    reach = np.maximum(reach, max(reach[reach > 0].min(), _LEAST_REACH))
    return (reach[:, None] / reach[neighbors]).mean(axis=1)


def class_inliers(
    X: Array,
    codes: IntArray,
    n_classes: int,
    *,
    n_neighbors: int = 20,
    threshold: float = 1.5,
    least_rows: int = 2,
) -> BoolArray:
    """Mark the rows that are no outliers among those of their own class.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows, float32 or float64.
    codes : ndarray of shape (n,), int
        Class of each row, from 0 to n_classes - 1.
    n_classes : int
        Number of classes; any of them may have no row.
    n_neighbors : int, default=20
        For :func:`local_outlier_factor`, in each class cut to its rows less one.
    threshold : float, default=1.5
        Rows of a larger factor are outliers.
    least_rows : int, default=2
        Of a class that has fewer inliers, this many rows with the smallest factors are kept, the
        lower index first on ties. Classes of fewer than 4 rows are kept whole.

    Returns
    -------
    inliers : ndarray of shape (n,), bool
        True for the rows that are kept.

    Notes
    -----
    O(sum_c n_c^2 d) time for classes of n_c rows; memory for the rows and neighbours of one class
    at a time.

    In many dimensions factors crowd around 1, and a threshold of 1.5 then removes next to nothing,
    whatever the labels are worth.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.solvers import class_inliers
    >>> X = np.array([[0.0], [1.0], [2.0], [3.0], [9.0], [9.0]])
    >>> class_inliers(X, np.array([0, 0, 0, 0, 0, 1]), 2, n_neighbors=2)
    array([ True,  True,  True,  True, False,  True])
    """
    inliers = np.ones(len(X), dtype=bool)
    order = np.argsort(codes, kind="stable")
    bounds = np.searchsorted(codes[order], np.arange(n_classes + 1))
    for start, stop in pairwise(bounds):
        if stop - start < _FEWEST_ROWS:
            continue
        rows = order[start:stop]
        factors = local_outlier_factor(X[rows], n_neighbors)
        kept = factors <= threshold
        kept[np.argsort(factors, kind="stable")[:least_rows]] = True
        inliers[rows] = kept
    return inliers


def _nearest_others(X, k):
    """Distances in float64 and indices of the k nearest other rows."""
    distances, found = pairwise_topk(X, X, k + 1, metric="euclidean")
    own = found == np.arange(len(X), dtype=found.dtype)[:, None]
    # Copies with a lower index may have pushed the row itself out: then the last one goes.
    own[~own.any(axis=1), -1] = True
    shape = len(X), k
    return distances[~own].reshape(shape).astype(np.float64, copy=False), found[~own].reshape(shape)
