"""Contracts of the kernels on rows in the probability simplex.

:func:`simplex_projection` is the projection alone. :func:`simplex_descent` is the inner loop of
low-rank semidefinite programs for clustering: it minimises an augmented Lagrangian over factors W
whose rows are in the simplex, without ever forming the n x n matrix X X'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels.checks import (
    as_matrix,
    as_numeric,
    as_vector,
    check_finite,
    checked_integer,
    checked_output,
    checked_state,
    checked_threads,
)
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.leaves import TILE_ROWS
from clusterlib.kernels.simplex_constants import LONGEST

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Backend, Float64Array, FloatArray

__all__ = ["SimplexDescent", "simplex_descent", "simplex_projection"]

_MOST_ITERATIONS = 10**7
_MOST_COLUMNS = 2**16


class SimplexDescent(NamedTuple):
    """What :func:`simplex_descent` returns.

    Attributes
    ----------
    history : ndarray of shape (n_done, 2), float64
        The objective f and the residual of each iteration.
    violation : ndarray of shape (n_constraints,), float64
        ``v_k`` of the final factor.
    sizes : ndarray of shape (r,), float64
        Sums of its columns.
    step : float
        First step of a next call.
    """

    history: Float64Array
    violation: Float64Array
    sizes: Float64Array
    step: float


@follows_data
def simplex_projection(
    V: ArrayLike, *, out: Array | None = None, n_threads: int | None = None, backend: Backend = None
) -> FloatArray:
    """Project rows onto the probability simplex, in the Euclidean sense.

    The nearest w with ``w >= 0`` and ``sum w = 1`` is ``max(v - theta, 0)``; theta is found by
    Michelot's iteration [1]_, several rows at a time.

    Parameters
    ----------
    V : array-like of shape (n, r)
        Finite numbers in any layout; float32 stays float32, float16 becomes float32, and everything
        else float64.
    out : None or ndarray of shape (n, r), default=None
        Receives the result: C-ordered, of the dtype of V, no memory shared with it.
    n_threads : None or int, default=None
        Number of threads; the result has the same bits for any.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        Which implementation.

    Returns
    -------
    W : ndarray of shape (n, r), dtype of V
        Rows of non-negative numbers whose sum is 1 up to rounding.

    Raises
    ------
    ValueError, TypeError
        For NaN or infinity, a wrong shape or type, and an unknown backend.

    Notes
    -----
    O(n r) time as a rule, O(n r^2) at worst; O(r) memory for each thread.

    References
    ----------
    .. [1] C. Michelot, "A finite algorithm for finding the projection of a point onto the canonical
       simplex of R^n", J. Optim. Theory Appl. 50(1), 1986.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import simplex_projection
    >>> simplex_projection([[0.5, 0.5, 0.0], [2.0, 0.0, 0.0], [0.6, 0.8, -9.0]])
    array([[0.5, 0.5, 0. ],
           [1. , 0. , 0. ],
           [0.4, 0.6, 0. ]])
    """
    n_threads = checked_threads(n_threads)
    V = as_matrix("V", V)
    check_finite("V", V)
    out = checked_output(out, V.shape, V.dtype, (V,))
    implementation("simplex_projection", backend)(V, out, n_threads)
    return out


@follows_data
def simplex_descent(
    X: FloatArray,
    W: FloatArray,
    n_rows: int,
    *,
    target: ArrayLike,
    multiplier: ArrayLike,
    penalty: float,
    group: ArrayLike | None = None,
    constraint: ArrayLike | None = None,
    linear: FloatArray | None = None,
    precisions: ArrayLike | None = None,
    tol: float = 0.0,
    n_iters: int = 1,
    step: float = 0.0,
    spare: FloatArray | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> SimplexDescent:
    """Descend on a factor whose rows lie in the simplex, in place.

    With ``d_c = sum_i W_ic``, ``M_c = X'W_c`` and the group g(c) of column c,

    ``f(W) = sum_c M_c' P_g(c) M_c / d_c + sum_ic L_i,g(c) W_ic``,
    ``v_k(W) = sum_(c in k) |W_c|^2 / d_c - target_k``,

    it minimises ``F = -f + sum_k multiplier_k v_k + penalty / 2 sum_k v_k^2`` by spectral projected
    gradients [1]_: Barzilai-Borwein steps along n times the gradient, each row projected onto the
    simplex, accepted when F does not exceed the largest of its last 10 values, rounding of
    ``4 eps (|F| + |f|)`` apart. Steps and projections are those of the metric
    ``sum_ic D_ic^2 / s_c`` with ``s_c = d_c r / n`` (1e-6 at least): the curvature along a column
    goes by ``1 / d_c``, and in the plain metric one small column makes all steps small.
    ``Z = sum_c W_c W_c' / d_c`` is then a non-negative matrix of low rank whose rows sum to 1, f
    its inner product with ``X P X'`` plus the linear part, and v the error of its traces.

    Parameters
    ----------
    X : ndarray of shape (n_tiles, p, 16), float32 or float64
        Rows as :func:`pack_rows` lays them out. Scale them so that ``X P X'`` has eigenvalues of 1
        at most: the range of the steps goes by it.
    W : ndarray of shape (n_tiles, r, 16), dtype of X
        In and out: the factor, packed likewise. Its rows are expected in the simplex, which is not
        checked; one iteration brings them there.
    n_rows : int
        Number of rows.
    target, multiplier : array-like of shape (n_constraints,)
        Traces that are asked for, and their multipliers.
    penalty : float
        At least 0.
    group, constraint : None or array-like of int of shape (r,), default=None
        Group and constraint of each column; None means 0 for all.
    linear : None or ndarray of shape (n_tiles, n_groups, 16), dtype of X, default=None
        L, packed likewise.
    precisions : None or array-like of shape (n_groups, p, p), default=None
        Symmetric; None is the identity.
    tol : float, default=0.0
        Stop at a residual below it: 0.05 times the root of the mean squared move of a row, in the
        metric, over the step.
    n_iters : int, default=1
        How many iterations at most.
    step : float, default=0.0
        First step, at most 1000; 0 means a tenth over the largest deviation of an entry of n times
        the gradient from the mean of its row, which keeps columns from being emptied at once.
    spare : None or ndarray of the shape and dtype of W, default=None
        Working memory, to be used again by a next call.
    n_threads, backend
        As in :func:`simplex_projection`.

    Returns
    -------
    result : SimplexDescent
        Named tuple of ``history, violation, sizes, step``.

    Raises
    ------
    ValueError, TypeError
        For arguments of wrong shapes, types or ranges, arrays that overlap, and an unknown backend.
        NaN or infinity in X, W or linear are found in the first sums, before W is changed.

    Notes
    -----
    An iteration takes 4 n p r operations and one read of X and W, unless steps are refused, plus
    O(p^2 r) with precisions. Memory besides the arguments: a second W, and O(p r) for each thread.
    Sums run over leaves of 1024 rows that are merged by the fixed tree, so the result has the same
    bits for any number of threads; they are float64 across leaves and in the dtype of X within.

    References
    ----------
    .. [1] E. G. Birgin, J. M. Martinez, M. Raydan, "Nonmonotone spectral projected gradient methods
       on convex sets", SIAM J. Optim. 10(4), 2000.

    Examples
    --------
    Two pairs of points and two columns: every row ends in one of them.

    >>> import numpy as np
    >>> from clusterlib.kernels import pack_rows, simplex_descent, unpack_rows
    >>> X = np.array([[-1.0], [-0.9], [0.9], [1.0]])
    >>> W = pack_rows(np.array([[0.6, 0.4], [0.6, 0.4], [0.4, 0.6], [0.4, 0.6]]))
    >>> result = simplex_descent(
    ...     pack_rows(X, scale=0.5), W, 4, target=[2.0], multiplier=[0.0], penalty=0.5, n_iters=50
    ... )
    >>> unpack_rows(W, 4).round(6)
    array([[1., 0.],
           [1., 0.],
           [0., 1.],
           [0., 1.]])
    """
    n_threads = checked_threads(n_threads)
    n_rows = checked_integer("n_rows", n_rows, 1, 2**62)
    _check_tiles("X", X, n_rows)
    _check_tiles("W", W, n_rows, X.dtype)
    r = checked_integer("the number of columns of W", W.shape[1], 1, _MOST_COLUMNS)
    checked_state("W", W, W.shape, X.dtype)
    _check_padding(W, n_rows)
    target = _checked_target(target)
    multiplier = as_vector("multiplier", multiplier, len(target))
    penalty, tol, step = (
        float(as_vector(name, value, 1, low=0.0)[0])
        for name, value in (("penalty", penalty), ("tol", tol), ("step", step))
    )
    if step > LONGEST:
        raise ValueError(f"step must be at most {LONGEST:g}, got {step}")
    constraint = _checked_indices("constraint", constraint, r, len(target))
    group = _checked_indices("group", group, r, _MOST_COLUMNS)
    if linear is not None:
        _check_tiles("linear", linear, n_rows, X.dtype)
        _check_groups("linear", linear.shape[1], group)
    if precisions is not None:
        precisions = _checked_precisions(precisions, X.shape[1])
        _check_groups("precisions", len(precisions), group)
        if linear is not None and len(precisions) != linear.shape[1]:
            raise ValueError(
                f"precisions has {len(precisions)} groups but linear has {linear.shape[1]}"
            )
    spare = np.empty_like(W) if spare is None else spare
    checked_state("spare", spare, W.shape, W.dtype)
    _check_apart({"X": X, "W": W, "spare": spare, "linear": linear})
    n_iters = checked_integer("n_iters", n_iters, 1, _MOST_ITERATIONS)
    history, violation, sizes = np.empty((n_iters, 2)), np.empty(len(target)), np.empty(r)
    length = np.array([step])
    n_done = implementation("simplex_descent", backend)(
        n_rows,
        X,
        W,
        spare,
        linear,
        precisions,
        group,
        constraint,
        target,
        multiplier,
        penalty,
        tol,
        length,
        violation,
        sizes,
        history,
        n_threads,
    )
    if not n_done or not np.isfinite(history[n_done - 1]).all():
        raise ValueError(
            "X, W and linear must be finite, and X scaled so that X P X' has eigenvalues of 1 at most"
        )
    return SimplexDescent(history[:n_done].copy(), violation, sizes, float(length[0]))


def _check_tiles(name, value, n_rows, dtype=None):
    n_tiles = -(-n_rows // TILE_ROWS)
    allowed = (np.float32, np.float64) if dtype is None else (dtype,)
    if not isinstance(value, np.ndarray) or value.dtype not in allowed:
        got = value.dtype if isinstance(value, np.ndarray) else type(value).__name__
        names = " or ".join(str(np.dtype(kind)) for kind in allowed)
        raise TypeError(f"{name} must be a {names} array of tiles, got {got}")
    if value.ndim != 3 or value.shape[0] != n_tiles or value.shape[2] != TILE_ROWS:
        raise ValueError(
            f"{name} must have shape ({n_tiles}, columns, {TILE_ROWS}) for {n_rows} rows, "
            f"got {value.shape}"
        )
    if value.shape[1] == 0:
        raise ValueError(f"{name} must have at least 1 column, got {value.shape}")
    if not (value.flags.c_contiguous and value.flags.aligned):
        raise ValueError(f"{name} must be C-contiguous and aligned")


def _check_padding(W, n_rows):
    missing = W[-1, :, n_rows - TILE_ROWS * len(W) :] if n_rows % TILE_ROWS else W[:0]
    if missing.any():
        raise ValueError(f"W must hold zeros beyond its {n_rows} rows")


def _check_apart(arrays):
    for name in ("W", "spare"):
        for other, array in arrays.items():
            if other != name and array is not None and np.may_share_memory(arrays[name], array):
                raise ValueError(f"{name} must not overlap {other} in memory")


def _checked_target(target):
    target = as_numeric("target", target)
    if target.ndim > 1 or target.size == 0:
        raise ValueError(f"target must have shape (n_constraints,), got {target.shape}")
    return as_vector("target", target, target.size)


def _checked_indices(name, value, r, bound):
    if value is None:
        return np.zeros(r, dtype=np.int32)
    value = as_numeric(name, value)
    if value.dtype.kind not in "iu" or value.shape != (r,):
        raise ValueError(f"{name} must hold {r} integers, got {value.dtype} of shape {value.shape}")
    if value.min() < 0 or value.max() >= bound:
        raise ValueError(
            f"{name} must be from 0 to {bound - 1}, got {value.min()} to {value.max()}"
        )
    return np.require(value, np.int32, ["C", "A"])


def _check_groups(name, given, group):
    if given <= group.max():
        raise ValueError(f"{name} has {given} groups, but group goes up to {group.max()}")


def _checked_precisions(precisions, p):
    precisions = np.require(as_numeric("precisions", precisions), np.float64, ["C", "A"])
    if precisions.ndim != 3 or precisions.shape[1:] != (p, p):
        raise ValueError(f"precisions must have shape (n_groups, {p}, {p}), got {precisions.shape}")
    check_finite("precisions", precisions)
    return precisions
