"""Contract of the moments of classes: weights, means and scatters for Gaussians per class."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_vector,
    check_finite,
    checked_integer,
    checked_labels,
    checked_threads,
)
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.merged_moments import ClassMoments, merge_moments

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Backend, Weights

__all__ = ["ClassMoments", "class_moments", "merge_moments"]


@follows_data
def class_moments(
    X: ArrayLike,
    labels: ArrayLike,
    n_classes: int,
    *,
    sample_weight: Weights = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> ClassMoments:
    """Weight, mean and scatter of the rows of each class, in float64.

    Two passes: first the sums of :func:`cluster_sums`, then the scatter about the means that come
    of them, ``S = sum_i w_i (x_i - m)(x_i - m)'``. What the rounding of m leaves over,
    ``r = sum_i w_i (x_i - m)``, corrects both [1]_: the mean is ``m + r / W`` and the scatter about
    it ``S - r r' / W``. Data far from the origin therefore lose nothing.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows of float32 or float64 values in any layout, never copied as a whole. Integers, bools
        and objects are converted to float64, float16 to float32; n may be 0, d may not.
    labels : array-like of int of shape (n,)
        Class of each row, below ``n_classes``. Rows with a negative label are skipped, and what
        they hold is not looked at.
    n_classes : int
        Number of classes, at least 1.
    sample_weight : float or array-like of shape (n,), default=None
        Finite weights, at least 0. None means 1.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    moments : ClassMoments
        Weights, means and scatters. ``weights`` are those of ``cluster_sums``, bit for bit; a class
        without weight has mean and scatter 0. Scatters are symmetric to the last bit, with a
        diagonal of at least 0. Moments of other rows are merged in by :func:`merge_moments`.

    Raises
    ------
    ValueError
        For NaN or infinity in a row of a class, sums or scatters that overflow, weights that are
        negative or not finite, labels of n_classes and more, wrong shapes, an unknown backend.
    TypeError
        For what is not an array of real numbers, labels or n_classes that are not integers.

    Notes
    -----
    O(n d + n d^2) time. **Memory**: the scatters take ``8 n_classes d^2`` bytes, 2 GB for 1000
    classes of 512 features; beside them a few tables of the size of one scatter for each thread.

    With ``y_i = x_i - mean`` and ``L = LEAF_ROWS + log2(n / LEAF_ROWS) + 16``, the error of an entry
    of a scatter is at most ``L 2^-53 sum_i w_i |y_ia| |y_ib|``, and that of a mean at most ``2^-53
    |mean| + L 2^-53 sum_i w_i |y_i| / W``, up to terms in ``2^-106`` (times ``LEAF_ROWS^2 |mean|^2
    W``). A result depends on the backend within that, on nothing else.

    References
    ----------
    .. [1] T. F. Chan, G. H. Golub, R. J. LeVeque, "Algorithms for computing the sample variance:
       analysis and recommendations", The American Statistician 37(3), 1983.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import class_moments
    >>> X = np.array([[1.0, 0.0], [3.0, 4.0], [9.0, 9.0], [5.0, 5.0]])
    >>> weights, means, scatters = class_moments(X, [0, 0, 1, -1], 2)
    >>> weights, means
    (array([2., 1.]), array([[2., 2.],
           [9., 9.]]))
    >>> scatters[0]
    array([[2., 4.],
           [4., 8.]])
    """
    n_threads = checked_threads(n_threads)
    X = as_matrix("X", X)
    n_classes = checked_integer("n_classes", n_classes, 1, 2**31 - 1)
    labels = checked_labels(labels, len(X), n_classes, "n_classes")
    if sample_weight is not None:
        sample_weight = as_vector("sample_weight", sample_weight, len(X), low=0)
    d = X.shape[1]
    weights, means = np.empty(n_classes), np.empty((n_classes, d))
    implementation("cluster_sums", backend)(X, labels, sample_weight, means, weights, n_threads)
    # Whatever is not finite in a row of a class is not finite in its sum.
    check_finite("X (or the sum of its rows)", means)
    check_finite("sample_weight (or its sum)", weights)
    means /= (weights + (weights == 0))[:, None]
    scatters = np.empty((n_classes, d, d))
    run = implementation("class_moments", backend)
    run(X, labels, sample_weight, weights, means, scatters, n_threads)
    if not np.isfinite(scatters).all():
        raise ValueError("X has rows so far from the mean of their class that scatters overflow")
    return ClassMoments(weights, means, scatters)
