"""Contract of the kernel that sums rows by cluster, the update step of every k-means."""

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_vector,
    check_finite,
    checked_integer,
    checked_labels,
    checked_threads,
)
from clusterlib.kernels.dispatch import implementation
from clusterlib.kernels.leaves import LEAF_ROWS

__all__ = ["LEAF_ROWS", "cluster_sums"]


def cluster_sums(X, labels, n_clusters, *, sample_weight=None, n_threads=None, backend=None):
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
