"""Contracts of the kernels that compare every row of X with every row of Y.

The defined evaluation
----------------------
``pairwise_argmin``, ``pairwise_topk`` and ``pairwise_threshold`` give the answer of float64
arithmetic in a fixed order, whatever backend, instruction set, layout or number of threads runs.
That order is a sum over the features in eight lanes, features l, l + 8, l + 16, ... in lane l,
each square or product rounded before it is added (no fused multiply-add), and the lanes joined as
``((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7))``. Compared are

========================  ======================================================================
sqeuclidean, euclidean    the sum of ``(x_p - y_p)^2``
inner_product             minus the sum of ``x_p y_p``
cosine                    minus the sum of ``x_p y_p``, divided by ``|y| = sqrt(<y, y>)``; 0 for
                          ``|y| = 0``
========================  ======================================================================

and the lowest index wins among equal values. The distance that belongs to a compared value v is
v itself, ``sqrt(v)`` for euclidean, and for cosine ``1 + v / |x|`` (1 for ``|x| = 0``) clipped
to [0, 2].

Range. With M the largest absolute value of X and Y, nothing is scaled while M = 0 or
``2^-450 <= M <= 2^500``, which holds for all float32 input. Otherwise both are multiplied by
``2^-e`` first, e the binary exponent of M (``M = f 2^e``, ``0.5 <= f < 1``) limited to
[-1022, 1022], and distances are scaled back by the exact power; one that leaves float64 on the
way back becomes infinite or 0. A value so much smaller than M that its square underflows counts
as 0, so cosine takes a row of such values for a row of zeros.

Error of the kernels that need not be exact
-------------------------------------------
``pairwise_distances`` and ``pairwise_logsumexp`` may compute in the dtype of X, with unit
roundoff u (2^-24 or 2^-53). For an offset s that the implementation may subtract from all rows,
the error of a distance D is at most

========================  ======================================================================
sqeuclidean               ``4 (d + 4) u (|x - s| + |y - s|)^2``
euclidean                 the same bound for ``D^2``, and 2 u D
inner_product             ``4 (d + 4) u |x| |y|``
cosine                    ``4 (d + 4) u``
========================  ======================================================================

with s inside the box spanned by the rows of Y, plus ``4 (d + 4)`` times the smallest normal
number of the dtype where products underflow. The NumPy and Numba backends compute in float64.
"""

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix_pair,
    as_metric,
    as_vector,
    checked_groups,
    checked_integer,
    checked_output,
    checked_threads,
    checked_values,
)
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.metrics import Metric

__all__ = [
    "pairwise_argmin",
    "pairwise_distances",
    "pairwise_logsumexp",
    "pairwise_threshold",
    "pairwise_topk",
]


@follows_data
def pairwise_distances(X, Y=None, *, metric="sqeuclidean", out=None, n_threads=None, backend=None):
    """Compute the full matrix of distances between the rows of X and of Y.

    Parameters
    ----------
    X : array-like of shape (n, d)
        Rows of float32 or float64 values in any layout, never copied as a whole. Integers, bools
        and objects are converted to float64, float16 to float32; n may be 0, d may not.
    Y : array-like of shape (m, d), default=None
        The other rows, X if None. With dtypes mixed both are taken as float64.
    metric : str, Metric or Numba function, default="sqeuclidean"
        "sqeuclidean", "euclidean", "cosine", "inner_product" (all small for close rows), or a
        function ``f(x, y) -> float`` compiled with ``numba.njit``, which gets rows in the dtype
        of X and always runs on the Numba backend.
    out : ndarray of shape (n, m), default=None
        C-ordered array of the dtype of X that receives the result. Handing one in saves the page
        faults of a fresh array. It must not overlap X or Y.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    distances : ndarray of shape (n, m)
        In the dtype of X, within the error bound of this module. The diagonal is exactly 0 for
        Y=None with sqeuclidean or euclidean.

    Raises
    ------
    ValueError
        For NaN or infinity in X or Y (``out`` is then undefined), wrong shapes, an unknown
        metric or backend, an unsuitable ``out``.
    TypeError
        For what is not an array of real numbers, or a plain Python function as metric.

    Notes
    -----
    O(n m d) time and O(n m) memory for the result; temporaries are small tiles.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pairwise_distances
    >>> pairwise_distances(np.array([[0.0, 0.0], [3.0, 4.0]]), metric="euclidean")
    array([[0., 5.],
           [5., 0.]])
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    symmetric = Y is None
    X, Y = as_matrix_pair(X, X if symmetric else Y)
    out = checked_output(out, (len(X), len(Y)), X.dtype, (X, Y))
    implementation("pairwise_distances", backend)(X, Y, metric, out, n_threads)
    if symmetric and metric in (Metric.SQEUCLIDEAN, Metric.EUCLIDEAN):
        np.fill_diagonal(out, 0.0)  # expansions of the square leave rounding errors there
    return out


@follows_data
def pairwise_argmin(
    X, Y, *, metric="sqeuclidean", return_distance=False, n_threads=None, backend=None
):
    """Find the nearest row of Y for each row of X; exact, the lowest index on ties.

    Parameters
    ----------
    X : array-like of shape (n, d)
        As in :func:`pairwise_distances`.
    Y : array-like of shape (m, d)
        The rows to choose from, m >= 1.
    metric : str, Metric or Numba function, default="sqeuclidean"
        As in :func:`pairwise_distances`. A Numba function's values are compared as they are.
    return_distance : bool, default=False
        Return the distances as well.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    labels : ndarray of shape (n,), int32
        Index of the row of Y with the smallest compared value (see the module).
    distances : ndarray of shape (n,), only with ``return_distance``
        Its distance, computed in float64 and rounded to the dtype of X.

    Raises
    ------
    ValueError
        For NaN or infinity in X or Y, m = 0, wrong shapes, an unknown metric or backend.
    TypeError
        For what is not an array of real numbers, or a plain Python function as metric.

    Notes
    -----
    O(n m d) time, O(n + m d) memory; the n x m matrix is never written.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pairwise_argmin
    >>> X = np.array([[0.0], [1.0], [4.0]])
    >>> pairwise_argmin(X, np.array([[0.0], [2.0]]))
    array([0, 0, 1], dtype=int32)
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = as_matrix_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    labels = np.empty(len(X), dtype=np.int32)
    distances = np.empty(len(X), dtype=X.dtype) if return_distance else None
    implementation("pairwise_argmin", backend)(X, Y, metric, labels, distances, n_threads)
    return (labels, distances) if return_distance else labels


@follows_data
def pairwise_topk(X, Y, k, *, metric="sqeuclidean", n_threads=None, backend=None):
    """Find the k nearest rows of Y for each row of X; exact and in order.

    Parameters
    ----------
    X : array-like of shape (n, d)
        As in :func:`pairwise_distances`.
    Y : array-like of shape (m, d)
        The rows to choose from.
    k : int
        How many, from 1 to m.
    metric : str, Metric or Numba function, default="sqeuclidean"
        As in :func:`pairwise_argmin`.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    distances : ndarray of shape (n, k)
        Computed in float64 and rounded to the dtype of X.
    indices : ndarray of shape (n, k), int32
        Rows of Y by increasing compared value (see the module), the lower index first among equal
        ones. Values that differ may round to equal distances.

    Raises
    ------
    ValueError
        For NaN or infinity in X or Y, k outside 1..m, wrong shapes, an unknown metric or backend.
    TypeError
        For what is not an array of real numbers, k that is no integer, or a plain Python function
        as metric.

    Notes
    -----
    O(n m d) time, O(n k + m d) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pairwise_topk
    >>> pairwise_topk(np.array([[1.0]]), np.array([[3.0], [0.0], [2.0]]), 2)
    (array([[1., 1.]]), array([[1, 2]], dtype=int32))
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = as_matrix_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    k = checked_integer("k", k, 1, len(Y))
    distances = np.empty((len(X), k), dtype=X.dtype)
    indices = np.empty((len(X), k), dtype=np.int32)
    implementation("pairwise_topk", backend)(X, Y, metric, distances, indices, n_threads)
    return distances, indices


@follows_data
def pairwise_logsumexp(
    X,
    Y,
    *,
    metric="sqeuclidean",
    inverse_temperature=1.0,
    log_weight=None,
    x_group=None,
    y_group=None,
    mask=None,
    values=None,
    n_threads=None,
    backend=None,
):
    """Sum exponentials of negative distances over Y for each row of X, streaming.

    Writes ``lse_i = log sum_j exp(w_j - b_i D_ij)`` over the allowed j, with w the ``log_weight``
    and b the ``inverse_temperature``: Sinkhorn's half-step on point clouds, the E-step of a
    Gaussian mixture, soft assignment, or the denominator of a contrastive loss.

    Parameters
    ----------
    X, Y : array-like of shape (n, d) and (m, d)
        As in :func:`pairwise_distances`; the sum runs over the rows of Y, m may be 0.
    inverse_temperature : float or array-like of shape (n,), default=1.0
        b, finite and at least 0. Distances do not matter where it is 0.
    log_weight : float or array-like of shape (m,), default=None
        w below infinity; minus infinity leaves the row out. None means 0.
    x_group, y_group : array-like of int of shape (n,) and (m,), default=None
        Group numbers (labels, classes, ids) for ``mask``.
    mask : {None, "same", "different"}, default=None
        Which j are allowed for row i: all, or those in the same or in a different group.
    values : array-like of shape (m, q), default=None
        Rows to average with the softmax of the same exponents; finite, taken in the dtype of X.
    metric, n_threads, backend
        As in :func:`pairwise_distances`.

    Returns
    -------
    lse : ndarray of shape (n,)
        In the dtype of X; minus infinity where nothing is summed.
    weighted : ndarray of shape (n, q), only with ``values``
        ``sum_j exp(w_j - b_i D_ij - lse_i) values_j``, dtype of X; 0 where nothing is summed.

    Raises
    ------
    ValueError, TypeError
        As :func:`pairwise_distances`, and for values or an inverse temperature out of range,
        groups without a mask or a mask without integer groups.

    Notes
    -----
    O(n m (d + q)) time, O(n q + m (d + q)) memory; no n x m matrix. The error of lse is at most
    ``b_i`` times that of a distance (see the module), plus ``4 u (4 + m + |lse_i| + max_j |w_j -
    b_i D_ij|)``, j with weight, in the roundoff of X. An overflown distance is infinite.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pairwise_logsumexp
    >>> lse, mean = pairwise_logsumexp([[0.0]], [[1.0], [-1.0]], values=[[1.0], [-1.0]])
    >>> float(lse[0] + 1.0 - np.log(2.0)), mean
    (0.0, array([[0.]]))
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = as_matrix_pair(X, Y)
    beta = as_vector("inverse_temperature", inverse_temperature, len(X), low=0.0)
    if log_weight is not None:
        log_weight = as_vector("log_weight", log_weight, len(Y), allow_minus_inf=True)
    mask, x_group, y_group = checked_groups(mask, x_group, y_group, len(X), len(Y))
    weighted = None
    if values is not None:
        values = checked_values(values, len(Y), X.dtype)
        weighted = np.empty((len(X), values.shape[1]), dtype=X.dtype)
    lse = np.empty(len(X), dtype=X.dtype)
    implementation("pairwise_logsumexp", backend)(
        X, Y, metric, beta, log_weight, x_group, y_group, mask, values, lse, weighted, n_threads
    )
    return lse if values is None else (lse, weighted)


@follows_data
def pairwise_threshold(X, Y, threshold, *, metric="sqeuclidean", n_threads=None, backend=None):
    """Count the rows of Y within a distance of each row of X; exact.

    Parameters
    ----------
    X : array-like of shape (n, d)
        As in :func:`pairwise_distances`.
    Y : array-like of shape (m, d)
        The rows to count; m may be 0.
    threshold : float or array-like of shape (n,)
        Largest distance that counts, on the scale of the metric; infinities are allowed.
    metric : str, Metric or Numba function, default="sqeuclidean"
        As in :func:`pairwise_distances`.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    counts : ndarray of shape (n,), int64
        Number of j with ``D_ij <= threshold_i``, D in float64 by the defined evaluation of this
        module, before any rounding to the dtype of X.

    Raises
    ------
    ValueError
        For NaN or infinity in X or Y, NaN in threshold, wrong shapes, an unknown metric or
        backend.
    TypeError
        For what is not an array of real numbers, or a plain Python function as metric.

    Notes
    -----
    O(n m d) time, O(n + m d) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import pairwise_threshold
    >>> pairwise_threshold(np.array([[0.0], [5.0]]), np.array([[1.0], [2.0], [5.0]]), 4.0)
    array([2, 1])
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = as_matrix_pair(X, Y)
    threshold = as_vector("threshold", threshold, len(X), allow_minus_inf=True, allow_plus_inf=True)
    counts = np.zeros(len(X), dtype=np.int64)
    implementation("pairwise_threshold", backend)(X, Y, metric, threshold, counts, n_threads)
    return counts
