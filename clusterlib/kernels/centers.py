"""Contracts of the two steps of k-means: labels that bounds may keep, and sums by cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_vector,
    check_finite,
    checked_integer,
    checked_labels,
    checked_state,
    checked_threads,
)
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.leaves import BOUND_GROUPS, LEAF_ROWS

if TYPE_CHECKING:
    from clusterlib.typing import (
        Array,
        ArrayLike,
        Backend,
        Float32Array,
        Float64Array,
        Int32Array,
        Weights,
    )

__all__ = ["BOUND_GROUPS", "LEAF_ROWS", "bounded_argmin", "cluster_sums"]


@follows_data
def cluster_sums(
    X: ArrayLike,
    labels: ArrayLike,
    n_clusters: int,
    *,
    sample_weight: Weights = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[Float64Array, Float64Array]:
    """Sum the rows and the weights of each cluster in float64, in a fixed order.

    The order, and so every bit, is part of the contract. Rows are cut into leaves of
    ``LEAF_ROWS`` rows. In a leaf the products ``sample_weight[i] * X[i]`` are rounded to float64
    and added one row after the other (no fused multiply-add); leaves merge level by level,
    neighbours (0, 1), (2, 3), ..., an odd last one carried up. Blocks of rows aligned to leaves
    times a power of two therefore give the bits of one block.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows of float32 or float64 values in any layout, never copied as a whole. Integers, bools
        and objects are converted to float64, float16 to float32; n may be 0, d may not.
    labels : array-like of int of shape (n,)
        Cluster of each row, below ``n_clusters``. Rows with a negative label are skipped, and
        what they hold is not looked at.
    n_clusters : int
        Number of clusters, at least 1.
    sample_weight : float or array-like of shape (n,), default=None
        Finite weights, negative ones included (they take rows out of a sum). None means 1.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    sums : ndarray of shape (n_clusters, d), float64
        Sum of ``sample_weight[i] * X[i]`` over the rows of each cluster; 0 for an empty one.
    weights : ndarray of shape (n_clusters,), float64
        Sum of the weights, by the same tree.

    Raises
    ------
    ValueError
        For NaN or infinity in a row that is summed, sums that overflow, weights that are not
        finite, labels of n_clusters and more, wrong shapes, an unknown backend.
    TypeError
        For what is not an array of real numbers, labels or n_clusters that are not integers.

    Notes
    -----
    O(n d) time and O(n_clusters d log(n / LEAF_ROWS)) memory for each thread. The error of a sum
    is at most ``(LEAF_ROWS + log2(n / LEAF_ROWS) + 1) 2^-53`` times the sum of the absolute values
    of its terms [1]_.

    References
    ----------
    .. [1] N. J. Higham, "The accuracy of floating point summation", SIAM J. Sci. Comput. 14(4),
       1993, section 3.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import cluster_sums
    >>> X = np.array([[1.0, 0.0], [2.0, 1.0], [9.0, 9.0], [5.0, 5.0]])
    >>> sums, weights = cluster_sums(X, [0, 0, 1, -1], 2)
    >>> sums, weights
    (array([[3., 1.],
           [9., 9.]]), array([2., 1.]))
    """
    n_threads = checked_threads(n_threads)
    X = as_matrix("X", X)
    n_clusters = checked_integer("n_clusters", n_clusters, 1, 2**31 - 1)
    labels = checked_labels(labels, len(X), n_clusters)
    if sample_weight is not None:
        sample_weight = as_vector("sample_weight", sample_weight, len(X))
    sums = np.empty((n_clusters, X.shape[1]), dtype=np.float64)
    weights = np.empty(n_clusters, dtype=np.float64)
    implementation("cluster_sums", backend)(X, labels, sample_weight, sums, weights, n_threads)
    # Whatever is not finite in a summed row is not finite in its sum: no pass over X is needed.
    check_finite("X (or the sum of its rows)", sums)
    return sums, weights


@follows_data
def bounded_argmin(
    X: Array,
    centers: Array,
    moves: Float32Array,
    labels: Int32Array,
    upper: Float32Array,
    lower: Float32Array,
    *,
    sample: bool = False,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[int, int]:
    """Bring the labels of the nearest centres up to date, skipping rows that cannot have changed.

    The labels are those of ``pairwise_argmin(X, centers)``, exactly. What is skipped follows from
    bounds that the last call left behind: a row stays where it is while the upper bound of its
    distance to its own centre, grown by that centre's move, is below the lower bounds of its
    distances to groups of other centres, each less the largest move in its group [1]_.

    Parameters
    ----------
    X : ndarray of shape (n, d)
        Rows of float32 or float64 values in any layout; the same at every call.
    centers : ndarray of shape (k, d)
        The centres, in the dtype of X.
    moves : ndarray of shape (k,), float32
        At least the Euclidean distance that each centre has moved since the last call. Anything
        finite will do when no row has bounds.
    labels : ndarray of shape (n,), int32
        In and out: the centre of each row. Rows without bounds may hold any centre.
    upper : ndarray of shape (n,), float32
        In and out; infinite for a row without bounds.
    lower : ndarray of shape (n, BOUND_GROUPS), float32
        In and out. Which centres form a group is the backend's own affair, so a state must not
        change hands between backends.
    sample : bool, default=False
        Leave bounds for a few rows only, which is cheap and tells whether bounds would pay.
    n_threads : int, default=None
        At least 1; None takes the default of the backend. Results do not depend on it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation. Only the native backend keeps bounds.

    Returns
    -------
    bounded : int
        How many rows came with bounds.
    kept : int
        How many of them kept their labels by the bounds alone.

    Raises
    ------
    ValueError
        For NaN or infinity in X or centers, wrong shapes, dtypes or layouts of the state, labels
        that are no centres, an unknown backend.
    TypeError
        For what is not an array of real numbers.

    Notes
    -----
    O(n k d) time for rows that are not kept, O(n) for the others (and O(d) where the distance to
    the own centre is worked out anew). The state takes 72 bytes for each row, labels included. Bounds are rounded
    outwards, so they hold for the float64 evaluation that decides ties.

    References
    ----------
    .. [1] Y. Ding et al., "Yinyang K-Means: A Drop-In Replacement of the Classic K-Means with
       Consistent Speedup", ICML 2015.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import BOUND_GROUPS, bounded_argmin
    >>> X = np.array([[0.0], [1.0], [8.0]])
    >>> labels, moves = np.zeros(3, dtype=np.int32), np.zeros(2, dtype=np.float32)
    >>> upper = np.full(3, np.inf, dtype=np.float32)
    >>> lower = np.zeros((3, BOUND_GROUPS), dtype=np.float32)
    >>> bounded_argmin(X, np.array([[0.5], [8.0]]), moves, labels, upper, lower)
    (0, 0)
    >>> labels
    array([0, 0, 1], dtype=int32)
    """
    X = as_matrix("X", X)
    centers = as_matrix("centers", centers)
    if centers.dtype != X.dtype or centers.shape[1] != X.shape[1] or len(centers) == 0:
        raise ValueError(
            f"centers must have shape (k, {X.shape[1]}), k >= 1, and the dtype {X.dtype} of X, got "
            f"{centers.shape} and {centers.dtype}"
        )
    checked_state("moves", moves, (len(centers),), np.float32)
    checked_state("labels", labels, (len(X),), np.int32)
    checked_state("upper", upper, (len(X),), np.float32)
    checked_state("lower", lower, (len(X), BOUND_GROUPS), np.float32)
    n_threads = checked_threads(n_threads)
    run = implementation("bounded_argmin", backend)
    return run(X, centers, moves, labels, upper, lower, bool(sample), n_threads)
