"""Contracts of the kernels on non-negative factors: coordinate descent on rows, in place.

:func:`hals_sweep` works on the normal equations of least squares, :func:`masked_hals_sweep` on the
residuals of the cells that have weight.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_numeric,
    check_finite,
    checked_integer,
    checked_state,
    checked_threads,
)
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.sinkhorn_checks import checked_number

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Backend, Float64Array, FloatArray

__all__ = ["hals_sweep", "masked_hals_sweep"]

_MOST_SWEEPS = 10**5


@follows_data
def hals_sweep(
    W: FloatArray,
    R: ArrayLike,
    G: ArrayLike,
    *,
    n_sweeps: int = 1,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Minimise ``|x_i - w_i H|^2`` over non-negative rows w_i, one coordinate after the other.

    With ``R = X H'`` and ``G = H H'`` every row of W goes ``n_sweeps`` times through t = 0, 1, ...,
    k - 1 and becomes, in place,

    ``w_t = max(0, w_t + (R_t - sum_s w_s G_st) / G_tt)``,

    the minimum along coordinate t: hierarchical alternating least squares [1]_. Repeated sweeps cost
    no further product with X [2]_. Penalties ``l1 sum w + l2 / 2 sum w^2`` of half the squares are
    folded in by the caller: ``R - l1`` and ``G + l2 I``.

    Parameters
    ----------
    W : ndarray of shape (n, k), float32 or float64
        In and out: C-ordered, finite and at least 0.
    R : array-like of shape (n, k), dtype of W
        Finite, in any layout; no memory shared with W.
    G : array-like of shape (k, k)
        Symmetric, which is not checked: row s of column t is read. Components keep their w_t
        if G_tt is below the smallest normal number of the dtype of W; the inverse of that number is
        the largest G_tt.
    n_sweeps : int, default=1
        How often the coordinates are gone through, at least 1.
    n_threads : None or int, default=None
        Number of threads; the result has the same bits for any.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        Which implementation.

    Returns
    -------
    moves : ndarray of shape (n_sweeps,), float64
        Sum of the squared changes of W in each sweep.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes and types, arrays that overlap, and an unknown backend, before any work.
        Bad numbers in W and R, and sums that leave the range of the dtype, are found on the way:
        those rows stay as they are, others may have changed.

    Notes
    -----
    ``2 n k^2`` operations for a sweep, however many sweeps one read of R and one read and write of
    W; O(k^2) memory, and O(k) for each thread. Rows see nothing of each other: W is the same in
    any company.

    Products and sums are those of the dtype of W; ``G_st / G_tt`` is calculated in float64. With the
    unit roundoff u, w_t misses the formula at the numbers that it is calculated from by at most
    ``(k + 4) u (|R_t| + sum_s w_s |G_st|) / G_tt``. Squared changes are added over the columns of a
    row in the dtype of W and otherwise in float64, over leaves of 256 rows that are merged by the
    fixed tree.

    References
    ----------
    .. [1] A. Cichocki, A.-H. Phan, "Fast local algorithms for large scale nonnegative matrix and
       tensor factorizations", IEICE Trans. Fundamentals E92-A(3), 2009.
    .. [2] N. Gillis, F. Glineur, "Accelerated multiplicative updates and hierarchical ALS algorithms
       for nonnegative matrix factorization", Neural Computation 24(4), 2012.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import hals_sweep
    >>> H = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> X = np.array([[2.0, 1.0, 3.0], [1.0, -1.0, 0.0]])
    >>> W = np.zeros((2, 2))
    >>> hals_sweep(W, X @ H.T, H @ H.T, n_sweeps=50)[[0, -1]].round(6)
    array([7.0625, 0.    ])
    >>> W.round(6)
    array([[2. , 1. ],
           [0.5, 0. ]])
    """
    n_threads = checked_threads(n_threads)
    _check_factor(W)
    R = _matrix_like("R", R, W.shape, W.dtype)
    G = _square("G", G, W.shape[1])
    _check_apart(W, R=R)
    if G.diagonal().max() > 1 / np.finfo(W.dtype).tiny:  # 1 / G_tt would lose digits, or vanish
        _refuse_range(W)
    moves = np.empty(checked_integer("n_sweeps", n_sweeps, 1, _MOST_SWEEPS))
    implementation("hals_sweep", backend)(W, R, G, moves, n_threads)
    if not math.isfinite(moves.sum()):
        _explain_factor(W)
        check_finite("R", R)
        _refuse_range(W)
    return moves


@follows_data
def masked_hals_sweep(
    W: FloatArray,
    X: ArrayLike,
    V: ArrayLike,
    H: ArrayLike,
    *,
    n_sweeps: int = 1,
    l1: float = 0.0,
    l2: float = 0.0,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[Float64Array, float]:
    """Minimise weighted squares over non-negative rows, one coordinate after the other.

    Every row w of W, with the row x of X and the weights v of its cells, goes ``n_sweeps`` times
    through t = 0, 1, ..., k - 1 and becomes, in place,

    ``w_t = max(0, (sum_j v_j H_tj e_j + d_t w_t - l1) / (d_t + l2))``,
    ``d_t = sum_j v_j H_tj^2``, ``e_j = x_j - sum_s w_s H_sj``,

    which minimises ``1/2 sum_j v_j e_j^2 + l1 sum w + l2/2 sum w^2`` along coordinate t. Weights of
    0 and 1 are a mask: missing values, or cells that are held out.

    Parameters
    ----------
    W : ndarray of shape (n, k), float32 or float64
        In and out: C-ordered, finite and at least 0.
    X : array-like of shape (n, m), dtype of W
        In any layout; integers are converted. Cells without weight are not looked at and may be NaN; others are finite.
    V : array-like of shape (n, m), dtype of W
        Weights, finite and at least 0, in any layout; booleans are weights of 0 and 1.
    H : array-like of shape (k, m), dtype of W
        Finite, of any sign.
    n_sweeps : int, default=1
        How often the coordinates are gone through, at least 1.
    l1, l2 : float, default=0.0
        Penalties, at least 0. Components with a ``d_t + l2`` below the smallest normal
        number keep their w_t.
    n_threads, backend
        As in :func:`hals_sweep`.

    Returns
    -------
    moves : ndarray of shape (n_sweeps,), float64
        Sum of the squared changes of W in each sweep.
    loss : float
        ``sum V (X - W H)^2`` after the last sweep, without the penalties.

    Raises
    ------
    ValueError, TypeError
        For wrong shapes, types and penalties, arrays that overlap, and an unknown backend, before
        any work. Bad numbers in W, X and V, and sums that leave the range of the dtype, are found
        on the way: those rows stay as they are, others may have changed.

    Notes
    -----
    ``2 n k m`` operations for the residuals, ``2 n k m`` for all d_t and ``4 n k m`` for each sweep,
    one read of X and V; O(k m) memory for H, and O(m) for each thread. Rows see nothing of each
    other.

    Residuals are kept and updated in the dtype of W. With the unit roundoff u, residuals miss those
    of W by ``2 (k + 2) (n_sweeps + 1) u`` times ``|x_j| + sum_s w_s |H_sj|`` with the largest w_s on
    the way, and w_t the formula at these residuals by
    ``(m + 8) u (sum_j v_j |H_tj e_j| + d_t w_t + l1) / (d_t + l2)``. The squares of the loss are
    added in float64, over leaves of 32 rows that are merged by the fixed tree.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import masked_hals_sweep
    >>> H = np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    >>> X = np.array([[2.0, 1.0, np.nan], [1.0, np.nan, 4.0]])
    >>> W = np.ones((2, 2))
    >>> moves, loss = masked_hals_sweep(W, X, ~np.isnan(X) * 1.0, H, n_sweeps=50)
    >>> W.round(6), round(loss, 6)
    (array([[2., 1.],
           [1., 3.]]), 0.0)
    """
    n_threads = checked_threads(n_threads)
    _check_factor(W)
    X = _matrix_like("X", X, (len(W), None), W.dtype)
    V = _matrix_like("V", V, X.shape, W.dtype)
    H = _matrix_like("H", H, (W.shape[1], X.shape[1]), W.dtype)
    check_finite("H", H)
    _check_apart(W, X=X, V=V, H=H)
    moves = np.empty(checked_integer("n_sweeps", n_sweeps, 1, _MOST_SWEEPS))
    l1, l2 = _checked_penalty("l1", l1), _checked_penalty("l2", l2)
    loss = np.empty(1)
    H = np.ascontiguousarray(H)
    implementation("masked_hals_sweep", backend)(W, X, V, H, l1, l2, moves, loss, n_threads)
    if not math.isfinite(moves.sum() + loss[0]):
        _explain_factor(W)
        check_finite("V", V)
        _check_at_least_zero("V", V)
        if not np.isfinite(X[V > 0]).all():
            raise ValueError("X contains NaN or infinity where V > 0; mark such cells by V = 0")
        _refuse_range(W)
    return moves, float(loss[0])


def _check_factor(W):
    if not isinstance(W, np.ndarray) or W.dtype not in (np.float32, np.float64):
        got = W.dtype if isinstance(W, np.ndarray) else type(W).__name__
        raise TypeError(f"W must be a float32 or float64 array, got {got}")
    if W.ndim != 2 or W.shape[1] == 0:
        raise ValueError(f"W must have shape (n, k) with at least 1 column, got {W.shape}")
    checked_state("W", W, W.shape, W.dtype)


def _matrix_like(name, value, shape, dtype):
    """Return a matrix of ``shape`` (None: any length) and ``dtype``; integers are converted."""
    array = value
    if not (type(array) is np.ndarray and array.dtype == dtype and array.flags.aligned):
        array = as_numeric(name, value)
        array = as_matrix(name, array if array.dtype.kind == "f" else array.astype(dtype))
    elif array.ndim != 2 or array.shape[1] == 0:
        as_matrix(name, array)  # which says what is wrong
    if shape[1] is None:
        shape = shape[0], array.shape[1]
    if array.shape != shape:
        raise ValueError(f"{name} must have shape {shape}, got {array.shape}")
    if array.dtype != dtype:
        raise TypeError(f"{name} must have the dtype of W, {dtype}, got {array.dtype}")
    return array


def _square(name, value, k):
    array = as_numeric(name, value)
    if array.shape != (k, k):
        raise ValueError(f"{name} must have shape ({k}, {k}), got {array.shape}")
    array = array.astype(np.float64, order="C")
    check_finite(name, array)
    return array


def _checked_penalty(name, value):
    return checked_number(name, value, lambda c: 0.0 <= c < math.inf, "finite and at least 0")


def _check_apart(W, **others):
    for name, array in others.items():
        if np.may_share_memory(W, array):
            raise ValueError(f"W must not overlap {name} in memory")


def _check_at_least_zero(name, array):
    if array.min(initial=0.0) < 0:
        raise ValueError(f"{name} must be at least 0, got {array.min()}")


def _explain_factor(W):
    """Rows that were bad have been left as they were."""
    _check_at_least_zero("W", W)
    check_finite("W", W)


def _refuse_range(W):
    raise ValueError(f"sums leave the range of {W.dtype}; scale the arguments down")
