"""Contracts of the kernels that read a stored kernel, or plan, once for a product and its transpose.

With K of shape (n, m) both h = K x and K' (w h) come from one pass: a few rows of K stay in the
cache between their two uses. Sums over columns and over leaves of rows as in
:mod:`clusterlib.kernels.sinkhorn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import sinkhorn_checks as door
from clusterlib.kernels.checks import checked_integer, checked_state, checked_threads
from clusterlib.kernels.dispatch import follows_data, implementation

if TYPE_CHECKING:
    from clusterlib.typing import ArrayLike, Backend, Float64Array

__all__ = ["scaling_iterate", "weighted_gram_product"]


@follows_data
def scaling_iterate(
    K: ArrayLike,
    a: ArrayLike,
    b: ArrayLike,
    u: Float64Array,
    v: Float64Array,
    *,
    relaxation: float = 1.0,
    n_iters: int = 1,
    tol: float = 0.0,
    limit: float = 1e6,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Run Sinkhorn iterations in the scaling form, on a stored kernel.

    An iteration is ``u = a / (K v)``, ``s = K' u`` and ``v_j = v_j^(1 - relaxation) (b_j /
    s_j)^relaxation``; the plan is ``diag(u) K diag(v)`` [1]_. It costs a read of K and no
    exponential, but the range of a number: the caller keeps K near the plan by taking u and v
    into it whenever they have grown, which is what ``limit`` tells.

    Parameters
    ----------
    K : array-like of shape (n, m)
        Non-negative float32 or float64 numbers in any layout, never copied as a whole; that they
        are finite and non-negative is not checked.
    a : array-like of shape (n,)
        Finite row weights of at least 0, not logarithms. A weight of 0 makes its u 0.
    b : array-like of shape (m,)
        Column weights; one of 0 makes its v 0.
    u : ndarray of shape (n,), float64
        C-ordered, receives the scaling of the rows.
    v : ndarray of shape (m,), float64
        In and out, C-ordered; positive where there is weight.
    relaxation : float, default=1.0
        Between 0 and 2.
    n_iters : int, default=1
        How many iterations at most.
    tol : float, default=0.0
        Stop at an error of at most ``tol``; v is then not updated. 0 runs all iterations.
    limit : float, default=1e6
        Stop after an iteration that leaves a u or v with weight outside ``[1 / limit, limit]``.
        One whose sum is 0, because K has underflowed, becomes ``limit^2``.
    n_threads, backend
        As in :func:`sinkhorn_sweep`.

    Returns
    -------
    history : ndarray of shape (n_done,), float64
        The error ``sum_j |v_j s_j - b_j|`` of each iteration, with the v before its update.

    Raises
    ------
    ValueError, TypeError
        For arguments out of range, of wrong shapes or types, and an unknown backend.

    Notes
    -----
    O(n m) time for an iteration and one read of K; O(m log(n / SWEEP_ROWS)) memory per thread.

    References
    ----------
    .. [1] R. Sinkhorn, P. Knopp, "Concerning nonnegative matrices and doubly stochastic matrices",
       Pacific J. Math. 21(2), 1967; limits and absorption: B. Schmitzer, "Stabilized Sparse Scaling
       Algorithms for Entropy Regularized Transport Problems", SIAM J. Sci. Comput. 41(3), 2019.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import scaling_iterate
    >>> K = np.exp(-np.array([[0.0, 1.0], [1.0, 0.0]]) / 0.5)
    >>> u, v = np.ones(2), np.ones(2)
    >>> scaling_iterate(K, [0.5, 0.5], [0.5, 0.5], u, v, n_iters=5, tol=1e-9).round(9)
    array([0.])
    >>> (u[:, None] * K * v).round(3)
    array([[0.44, 0.06],
           [0.06, 0.44]])
    """
    n_threads = checked_threads(n_threads)
    K = door.as_cost("K", K)
    n, m = K.shape
    a, b = door.as_weight("a", a, n), door.as_weight("b", b, m)
    checked_state("u", u, (n,), np.float64)
    checked_state("v", v, (m,), np.float64)
    door.check_positive("v", v, b > 0)
    relaxation = door.checked_relaxation(relaxation)
    n_iters = checked_integer("n_iters", n_iters, 1, door.MOST_ITERATIONS)
    tol = door.checked_tolerance(tol)
    limit = door.checked_number("limit", limit, lambda top: 1.0 < top <= 1e100, "in (1, 1e100]")
    history = np.empty(n_iters)
    n_done = implementation("scaling_iterate", backend)(
        K, a, b, u, v, relaxation, n_iters, tol, limit, history, n_threads
    )
    return history[:n_done].copy()


@follows_data
def weighted_gram_product(
    K: ArrayLike,
    weight: ArrayLike,
    vector: ArrayLike,
    *,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Multiply a vector by ``K' diag(weight) K``, reading K once.

    The product of a Newton step on the dual: with K the plan and 1 / a the weights it is the part
    of the Hessian that is not diagonal.

    Parameters
    ----------
    K : array-like of shape (n, m)
        Finite float32 or float64 numbers in any layout, never copied as a whole.
    weight : array-like of shape (n,)
        Finite; weights and products are float64.
    vector : array-like of shape (m,)
        Finite.
    n_threads, backend
        As in :func:`sinkhorn_sweep`.

    Returns
    -------
    product : ndarray of shape (m,), float64
        ``K.T @ (weight * (K @ vector))``.

    Raises
    ------
    ValueError, TypeError
        For values that are not finite numbers, wrong shapes, an unknown backend.

    Notes
    -----
    O(n m) time, O(m log(n / SWEEP_ROWS)) memory for each thread. Native kernels multiply float32
    by float32, and add up as sweeps do.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import weighted_gram_product
    >>> weighted_gram_product(np.array([[1.0, 2.0], [0.0, 1.0]]), [1.0, 3.0], [1.0, 1.0])
    array([3., 9.])
    """
    n_threads = checked_threads(n_threads)
    K = door.as_cost("K", K)
    weight = door.as_finite("weight", weight, len(K))
    vector = door.as_finite("vector", vector, K.shape[1])
    product = np.empty(K.shape[1])
    implementation("weighted_gram_product", backend)(K, weight, vector, product, n_threads)
    return product
