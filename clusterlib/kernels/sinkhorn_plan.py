"""Contracts that go with the Sinkhorn sweeps: plans, and many small problems at once.

Notation and error are those of :mod:`clusterlib.kernels.sinkhorn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from clusterlib.kernels import sinkhorn_checks as door
from clusterlib.kernels.checks import checked_integer, checked_output, checked_threads
from clusterlib.kernels.dispatch import follows_data, implementation

if TYPE_CHECKING:
    from clusterlib.typing import Array, ArrayLike, Backend, Float64Array, Int32Array

__all__ = ["SinkhornPlan", "sinkhorn_batch", "sinkhorn_plan"]


class SinkhornPlan(NamedTuple):
    """A transport plan and its sums.

    Attributes
    ----------
    plan : ndarray of shape (n, m)
        Its entries, in the dtype of the cost.
    row_sums : ndarray of shape (n,), float64
        ``sum_j P_ij``.
    column_sums : ndarray of shape (m,), float64
        ``sum_i P_ij``.
    column_squares : ndarray of shape (m,), float64, or None
        ``sum_i row_weight_i P_ij^2``; None unless weights were given.
    """

    plan: Array
    row_sums: Float64Array
    column_sums: Float64Array
    column_squares: Float64Array | None


@follows_data
def sinkhorn_plan(
    C: ArrayLike,
    epsilon: float,
    f: Float64Array,
    g: ArrayLike,
    *,
    log_a: ArrayLike | None = None,
    row_weight: ArrayLike | None = None,
    precise: bool = False,
    scores: bool = False,
    out: Array | None = None,
    n_threads: int | None = None,
    backend: Backend = None,
) -> SinkhornPlan:
    """Write the plan of two potentials, and its sums.

    ``P_ij = exp((f_i + g_j - C_ij) / epsilon)``. With ``log_a`` f is updated first, and every row
    then sums to its weight up to rounding, whatever that of f.

    Parameters
    ----------
    C, epsilon
        As in :func:`sinkhorn_sweep`.
    f : ndarray of shape (n,), float64
        C-ordered; in and out with ``log_a``, else used as given, finite or -inf.
    g : array-like of shape (m,)
        Column potentials below infinity.
    log_a : array-like of shape (n,), default=None
        Logarithms of the row weights that f is updated for.
    row_weight : array-like of shape (n,), default=None
        Finite weights of at least 0, for ``column_squares``.
    precise : bool, default=False
        Calculate in float64 although C is float32; the plan is still float32.
    scores : bool, default=False
        As in :func:`sinkhorn_sweep`.
    out : ndarray of shape (n, m), default=None
        C-ordered array of the dtype of C that receives the plan. It must not overlap C.
    n_threads, backend
        As in :func:`sinkhorn_sweep`.

    Returns
    -------
    plan : SinkhornPlan
        The named tuple (plan, row_sums, column_sums, column_squares); plan is of the dtype of C,
        the sums are float64. The column sums are those of :func:`sinkhorn_sweep`.

    Raises
    ------
    ValueError, TypeError
        As :func:`sinkhorn_sweep`, for weights out of range and an unsuitable ``out``.

    Notes
    -----
    O(n m) time, O(n m) memory for the plan and O(m log(n / SWEEP_ROWS)) for each thread.
    ``column_squares`` with ``row_weight`` 1 / a is what the diagonal of the Hessian of the dual
    needs (Cuturi and Peyré, "A Smoothed Dual Approach for Variational Wasserstein Problems",
    SIAM J. Imaging Sci. 9(1), 2016).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import sinkhorn_plan
    >>> C = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> P = sinkhorn_plan(C, 0.5, np.zeros(2), np.zeros(2), log_a=np.log([0.5, 0.5]))
    >>> P.plan.round(3)
    array([[0.44, 0.06],
           [0.06, 0.44]])
    >>> P.column_sums.round(12)
    array([0.5, 0.5])
    """
    n_threads = checked_threads(n_threads)
    C = door.as_cost("C", C)
    n, m = C.shape
    epsilon = door.checked_epsilon(epsilon)
    door.checked_potential("f", f, (n,))
    g = door.as_potential("g", g, (m,))
    if log_a is None:
        door.as_potential("f", f, (n,))
    else:
        log_a = door.as_log_weight("log_a", log_a, (n,))
        door.check_some_weight("g", g)
    if row_weight is not None:
        row_weight = door.as_weight("row_weight", row_weight, n)
    out = checked_output(out, C.shape, C.dtype, (C,))
    row_sums, column_sums = np.empty(n), np.empty(m)
    column_squares = None if row_weight is None else np.empty(m)
    implementation("sinkhorn_plan", backend)(
        C, epsilon, log_a, f, g, row_weight, bool(precise), bool(scores), out, row_sums,
        column_sums, column_squares, n_threads,
    )  # fmt: skip
    return SinkhornPlan(out, row_sums, column_sums, column_squares)


@follows_data
def sinkhorn_batch(
    C: ArrayLike,
    epsilon: float | ArrayLike,
    log_a: ArrayLike,
    log_b: ArrayLike,
    f: Float64Array,
    g: Float64Array,
    *,
    tau_a: float = 1.0,
    tau_b: float = 1.0,
    max_iter: int = 1000,
    tol: float = 0.0,
    n_threads: int | None = None,
    backend: Backend = None,
) -> tuple[Int32Array, Float64Array]:
    """Solve many small problems of one size, each by itself.

    Every problem is iterated as by :func:`sinkhorn_iterate`, from its own g, until its error is at
    most ``tol``. Its answer does not depend on the others in the batch.

    Parameters
    ----------
    C : array-like of shape (B, p, q)
        Finite costs; float32 and float64 stay, anything else is converted as by
        :func:`sinkhorn_sweep`. What is not C-ordered is copied. B may be 0, p and q may not.
    epsilon : float or array-like of shape (B,)
        Positive and finite.
    log_a : array-like of shape (B, p) or (p,)
        Logarithms of the row weights, of each problem or of all. A weight below the normal range
        of the dtype of C counts as 0.
    log_b : array-like of shape (B, q) or (q,)
        Logarithms of the column weights, likewise.
    f : ndarray of shape (B, p), float64
        In and out, C-ordered; what it holds is a hint.
    g : ndarray of shape (B, q), float64
        In and out, C-ordered: where the iterations start, finite where there is weight.
    tau_a, tau_b : float, default=1.0
        As in :func:`sinkhorn_iterate`.
    max_iter : int, default=1000
        How many iterations at most.
    tol : float, default=0.0
        Error at which a problem is done; 0 runs ``max_iter`` iterations of all.
    n_threads, backend
        As in :func:`sinkhorn_sweep`.

    Returns
    -------
    n_iter : ndarray of shape (B,), int32
        Iterations of each problem.
    error : ndarray of shape (B,), float64
        Error of its last iteration. If it is at most ``tol`` it is that of (f, g).

    Raises
    ------
    ValueError, TypeError
        As :func:`sinkhorn_iterate`.

    Notes
    -----
    O(p q) time for an iteration of a problem; O(p q) memory for each thread besides the arguments.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import sinkhorn_batch
    >>> C = np.array([[[0.0, 1.0], [1.0, 0.0]], [[0.0, 2.0], [1.0, 1.0]]])
    >>> f, g = np.zeros((2, 2)), np.zeros((2, 2))
    >>> n_iter, error = sinkhorn_batch(C, 1.0, np.log([0.5, 0.5]), np.log([0.5, 0.5]), f, g, tol=1e-6)
    >>> n_iter, bool(error.max() <= 1e-6)
    (array([ 1, 10], dtype=int32), True)
    """
    n_threads = checked_threads(n_threads)
    C = door.as_cost_stack("C", C)
    n_problems, p, q = C.shape
    epsilon = door.as_epsilons(epsilon, n_problems)
    tau_a, tau_b = door.checked_tau("tau_a", tau_a), door.checked_tau("tau_b", tau_b)
    max_iter = checked_integer("max_iter", max_iter, 1, door.MOST_ITERATIONS)
    tol = door.checked_tolerance(tol)
    log_a = door.without_tiny(door.as_log_weight("log_a", log_a, (n_problems, p)), C.dtype)
    log_b = door.without_tiny(door.as_log_weight("log_b", log_b, (n_problems, q)), C.dtype)
    door.check_some_weight("log_a", log_a)
    door.check_some_weight("log_b", log_b)
    door.checked_potential("f", f, (n_problems, p))
    door.checked_potential("g", g, (n_problems, q), log_b)
    n_iter, error = np.empty(n_problems, dtype=np.int32), np.empty(n_problems)
    implementation("sinkhorn_batch", backend)(
        C, epsilon, log_a, log_b, f, g, tau_a, tau_b, max_iter, tol, n_iter, error, n_threads
    )
    return n_iter, error
