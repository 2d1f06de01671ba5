"""Contracts of the Sinkhorn sweeps: entropic optimal transport, one pass over the cost at a time.

Everywhere C is the cost, epsilon > 0 the strength of the entropy in the same units, f and g the
potentials of rows and columns in the same units again, and

    P_ij = exp((f_i + g_j - C_ij) / epsilon)

their plan. Weights come as logarithms; -inf is a weight of 0, and takes its row or column out of
the problem (its potential is then -inf). Minimised is

    <C, P> + epsilon sum_ij P_ij (log P_ij - 1) + rho_a KL(P 1 | a) + rho_b KL(P' 1 | b)

with KL(p | q) = sum p log(p / q) - p + q. The penalties appear as tau = rho / (rho + epsilon):
1 stands for rho = inf, a marginal that has to be met, 0 for one that is free.

Order. Column sums run over leaves of ``SWEEP_ROWS`` rows and merge level by level: leaves (0, 1),
(2, 3), ..., an odd last one carried up. Results are the same bits for any number of threads, and
column sums of blocks of ``SWEEP_ROWS * 2^j`` rows, merged in the same way, are those of one block.

Error. With u the unit roundoff of the arithmetic, 2^-24 or 2^-53, and S the largest of
|g_j - C_ij|, an exponent is wrong by at most 4 u S / epsilon, and so is an entry of the plan,
relatively, plus a few u; entries below the normal range of the dtype count as 0. Between points
the error of a distance (see :mod:`clusterlib.kernels.pairwise`), divided by epsilon, comes on top.
Sums of rows are added up in the dtype for a few thousand terms at most, those of columns for 64,
and then in float64. The NumPy backend calculates in float64, as Numba does between points.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np

from clusterlib.kernels import sinkhorn_checks as door
from clusterlib.kernels.checks import as_metric, checked_threads
from clusterlib.kernels.dispatch import follows_data, implementation
from clusterlib.kernels.leaves import SWEEP_ROWS

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from clusterlib.kernels.metrics import Metric
    from clusterlib.typing import ArrayLike, Backend, Float64Array, MetricName

__all__ = [
    "SWEEP_ROWS",
    "sinkhorn_iterate",
    "sinkhorn_iterate_points",
    "sinkhorn_sweep",
    "sinkhorn_sweep_points",
]


@follows_data
def sinkhorn_sweep(
    C: ArrayLike,
    epsilon: float,
    log_a: ArrayLike,
    f: Float64Array,
    g: ArrayLike,
    *,
    tau_a: float = 1.0,
    f_max: float = math.inf,
    update_f: bool = True,
    precise: bool = False,
    scores: bool = False,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Update the row potentials and sum the columns of their plan, reading the cost once.

    For every row ``f_i = min(f_max, tau_a epsilon (log_a_i - log sum_j exp((g_j - C_ij) /
    epsilon)))``, and ``column_sums_j = sum_i exp((f_i + g_j - C_ij) / epsilon)``: half a Sinkhorn
    iteration, and all that the other half needs. One exponential is evaluated per entry [1]_.

    Parameters
    ----------
    C : array-like of shape (n, m)
        Finite float32 or float64 costs in any layout, never copied as a whole; the finiteness is
        not checked. Integers, bools and objects are converted to float64, float16 to float32;
        n may be 0, m may not.
    epsilon : float
        Positive and finite.
    log_a : array-like of shape (n,) or (R, n)
        Logarithms of the row weights. One side serves all R right-hand sides.
    f : ndarray of shape (n,) or (R, n), float64
        In and out, C-ordered. What it holds is a hint of where the sums lie, and may be anything,
        NaN included, with ``update_f``.
    g : array-like of shape (m,) or (R, m)
        Column potentials below infinity.
    tau_a : float, default=1.0
        Damping of the rows, from 0 to 1; 1 makes the sums of rows their weights.
    f_max : float, default=inf
        Upper bound of f.
    update_f : bool, default=True
        Calculate f. Otherwise it is used as given, and has to be finite or -inf.
    precise : bool, default=False
        Calculate in float64 although C is float32.
    scores : bool, default=False
        C holds similarities, and the cost is -C: SwAV divides scores by epsilon, optimal transport
        divides costs.
    n_threads : int, default=None
        At least 1; None takes the setting of the library, else all cores. No result depends on
        it.
    backend : {None, "auto", "native", "numba", "reference"}, default=None
        None takes the best one of this installation.

    Returns
    -------
    column_sums : ndarray of shape (m,) or (R, m), float64
        Of the plan. Entries that leave the range of the dtype are not repaired: a sum may be 0,
        or infinite where f is not the softmin of its row.

    Raises
    ------
    ValueError
        For an argument out of its range, wrong shapes, f that is no writable C-ordered float64
        array, a right-hand side whose g is all -inf, an unknown backend.
    TypeError
        For what is not an array of real numbers, or not a number.

    Notes
    -----
    O(R n m) time for one read of C, O(R m log(n / SWEEP_ROWS)) memory for each thread.

    References
    ----------
    .. [1] M. Cuturi, "Sinkhorn Distances: Lightspeed Computation of Optimal Transport", NIPS 2013;
       J. Feydy et al., "Interpolating between Optimal Transport and MMD using Sinkhorn
       Divergences", AISTATS 2019 (logarithmic form).

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import sinkhorn_sweep
    >>> C = np.array([[0.0, 1.0], [1.0, 0.0]])
    >>> f = np.zeros(2)
    >>> sums = sinkhorn_sweep(C, 0.5, np.log([0.5, 0.5]), f, np.zeros(2))
    >>> sums.round(12), f.round(4)
    (array([0.5, 0.5]), array([-0.41, -0.41]))
    """
    n_threads = checked_threads(n_threads)
    C = door.as_cost("C", C)
    shapes = door.sides(f, *C.shape)
    arguments = door.checked_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f)
    epsilon, log_a, f, g, *options = arguments
    column_sums = np.empty(g.shape)
    log_a, f, g, sums = (np.atleast_2d(x) for x in (log_a, f, g, column_sums))
    implementation("sinkhorn_sweep", backend)(
        C, epsilon, log_a, f, g, *options, bool(precise), bool(scores), sums, n_threads
    )
    return column_sums


@follows_data
def sinkhorn_sweep_points(
    X: ArrayLike,
    Y: ArrayLike,
    epsilon: float,
    log_a: ArrayLike,
    f: Float64Array,
    g: ArrayLike,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    tau_a: float = 1.0,
    f_max: float = math.inf,
    update_f: bool = True,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Do what :func:`sinkhorn_sweep` does for the cost between two point clouds, never stored.

    Parameters
    ----------
    X, Y : array-like of shape (n, d) and (m, d)
        Rows of float32 or float64 values in any layout, as in :func:`pairwise_distances`; n may
        be 0, m may not.
    epsilon, log_a, f, g
        As in :func:`sinkhorn_sweep`, for one right-hand side.
    metric : str, Metric or Numba function, default="sqeuclidean"
        ``C_ij = metric(X_i, Y_j)``; as in :func:`pairwise_distances`.
    tau_a, f_max, update_f, n_threads, backend
        As in :func:`sinkhorn_sweep`.

    Returns
    -------
    column_sums : ndarray of shape (m,), float64
        As :func:`sinkhorn_sweep` returns them.

    Raises
    ------
    ValueError, TypeError
        As :func:`sinkhorn_sweep`, for NaN or infinity in X or Y (f is then undefined), and for an
        unknown metric.

    Notes
    -----
    O(n m d) time, O((n + m) d + m log(n / SWEEP_ROWS)) memory.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import sinkhorn_sweep_points
    >>> X, f = np.array([[0.0], [1.0]]), np.zeros(2)
    >>> sums = sinkhorn_sweep_points(X, X, 0.5, np.log([0.5, 0.5]), f, np.zeros(2))
    >>> sums.round(12), f.round(4)
    (array([0.5, 0.5]), array([-0.41, -0.41]))
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = door.as_points(X, Y)
    shapes = (len(X),), (len(Y),)
    arguments = door.checked_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f)
    X, Y = door.in_range(X, Y)
    column_sums = np.empty(len(Y))
    implementation("sinkhorn_sweep_points", backend)(
        X, Y, metric, *arguments, column_sums, n_threads
    )
    return column_sums


@follows_data
def sinkhorn_iterate(
    C: ArrayLike,
    epsilon: float,
    log_a: ArrayLike,
    log_b: ArrayLike,
    f: Float64Array,
    g: Float64Array,
    *,
    tau_a: float = 1.0,
    tau_b: float = 1.0,
    relaxation: float = 1.0,
    n_iters: int = 1,
    tol: float = 0.0,
    precise: bool = False,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Run Sinkhorn iterations, each with the error and the dual value of its potentials.

    An iteration is a :func:`sinkhorn_sweep`, which gives f and the column sums s, and the step
    ``g_j += relaxation (target_j - g_j)`` with ``target_j = tau_b (g_j + epsilon (log_b_j - log
    s_j))``. If both marginals are penalised, f is raised and g lowered by the number that
    maximises the dual in between [1]_. A sum that has underflowed is worked out anew, so neither
    the potentials nor the history are ever NaN.

    Parameters
    ----------
    C, epsilon, log_a
        As in :func:`sinkhorn_sweep`; n is at least 1 and every right-hand side has some weight.
    log_b : array-like of shape (m,) or (R, m)
        Logarithms of the column weights.
    f : ndarray of shape (n,) or (R, n), float64
        In and out, C-ordered; what it holds is a hint, as in :func:`sinkhorn_sweep`.
    g : ndarray of shape (m,) or (R, m), float64
        In and out, C-ordered: where the iterations start, finite where there is weight. It
        becomes -inf elsewhere.
    tau_a, tau_b : float, default=1.0
        Damping of rows and of columns, from 0 to 1; 1 is a marginal that has to be met.
    relaxation : float, default=1.0
        Between 0 and 2; above 1 it can speed up convergence, or prevent it [2]_.
    n_iters : int, default=1
        How many iterations at most.
    tol : float, default=0.0
        Stop as soon as no right-hand side has an error above it; 0 runs all iterations.
    precise, n_threads, backend
        As in :func:`sinkhorn_sweep`.

    Returns
    -------
    history : ndarray of shape (n_done, 2) or (R, n_done, 2), float64
        For each iteration the error ``sum_j s_j |exp((target_j - g_j) / epsilon) - 1|``, which is
        the mass that a full step would move and for tau_b = 1 equals ``sum_j |s_j - b_j|``, and
        the dual value ``<a, f> + <b, g> - epsilon sum_j s_j``, where ``<a, f>`` becomes ``rho_a
        sum_i a_i (1 - exp(-f_i / rho_a))`` for tau_a < 1. Both belong to f and the g before the
        step. After a stop by ``tol`` the step was not taken: the last line is that of (f, g).

    Raises
    ------
    ValueError, TypeError
        As :func:`sinkhorn_sweep`, for weights that are all -inf, and for g that is not finite
        where there is weight.

    Notes
    -----
    O(R n m) time for an iteration and one read of C, memory as for :func:`sinkhorn_sweep`.

    References
    ----------
    .. [1] T. Séjourné, F.-X. Vialard, G. Peyré, "Faster Unbalanced Optimal Transport: Translation
       invariant Sinkhorn and 1-D Frank-Wolfe", AISTATS 2022.
    .. [2] A. Thibault et al., "Overrelaxed Sinkhorn-Knopp Algorithm for Regularized Optimal
       Transport", Algorithms 14(5), 2021.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import sinkhorn_iterate
    >>> C = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]])
    >>> f, g = np.zeros(3), np.zeros(2)
    >>> log_a, log_b = np.log([0.5, 0.25, 0.25]), np.log([0.5, 0.5])
    >>> history = sinkhorn_iterate(C, 0.5, log_a, log_b, f, g, n_iters=50, tol=1e-9)
    >>> len(history), round(float(history[0, 0]), 4), bool(history[-1, 0] <= 1e-9)
    (22, 0.1904, True)
    >>> P = np.exp((f[:, None] + g - C) / 0.5)
    >>> P.sum(axis=1).round(6), P.sum(axis=0).round(6)
    (array([0.5 , 0.25, 0.25]), array([0.5, 0.5]))
    """
    n_threads = checked_threads(n_threads)
    C = door.as_cost("C", C)
    arguments = door.checked_iteration(
        door.sides(f, *C.shape), epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol
    )
    epsilon, *vectors, tau_a, tau_b, relaxation, n_iters, tol = arguments
    history = np.empty((1 if f.ndim == 1 else len(f), n_iters, 2))
    n_done = implementation("sinkhorn_iterate", backend)(
        C, epsilon, *map(np.atleast_2d, vectors), tau_a, tau_b, relaxation, n_iters, tol,
        bool(precise), history, n_threads,
    )  # fmt: skip
    history = history[:, :n_done].copy()
    return history[0] if f.ndim == 1 else history


@follows_data
def sinkhorn_iterate_points(
    X: ArrayLike,
    Y: ArrayLike,
    epsilon: float,
    log_a: ArrayLike,
    log_b: ArrayLike,
    f: Float64Array,
    g: Float64Array,
    *,
    metric: MetricName | Metric | Callable[..., Any] = "sqeuclidean",
    tau_a: float = 1.0,
    tau_b: float = 1.0,
    relaxation: float = 1.0,
    n_iters: int = 1,
    tol: float = 0.0,
    n_threads: int | None = None,
    backend: Backend = None,
) -> Float64Array:
    """Do what :func:`sinkhorn_iterate` does for the cost between two point clouds, never stored.

    Parameters
    ----------
    X, Y : array-like of shape (n, d) and (m, d)
        As in :func:`sinkhorn_sweep_points`; n is at least 1.
    epsilon, log_a, log_b, f, g
        As in :func:`sinkhorn_iterate`, for one right-hand side.
    metric : str, Metric or Numba function, default="sqeuclidean"
        As in :func:`sinkhorn_sweep_points`.
    tau_a, tau_b, relaxation, n_iters, tol, n_threads, backend
        As in :func:`sinkhorn_iterate`.

    Returns
    -------
    history : ndarray of shape (n_done, 2), float64
        As :func:`sinkhorn_iterate` returns it.

    Raises
    ------
    ValueError, TypeError
        As :func:`sinkhorn_iterate`, for NaN or infinity in X or Y (f and g are then undefined),
        and for an unknown metric.

    Notes
    -----
    O(n m d) time for an iteration, memory as for :func:`sinkhorn_sweep_points`.

    Examples
    --------
    >>> import numpy as np
    >>> from clusterlib.kernels import sinkhorn_iterate_points
    >>> X, half = np.array([[0.0], [1.0]]), np.log([0.5, 0.5])
    >>> f, g = np.zeros(2), np.zeros(2)
    >>> history = sinkhorn_iterate_points(X, X, 0.5, half, half, f, g, n_iters=9, tol=1e-9)
    >>> len(history), f.round(4), g
    (1, array([-0.41, -0.41]), array([0., 0.]))
    """
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = door.as_points(X, Y)
    arguments = door.checked_iteration(
        ((len(X),), (len(Y),)),
        epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol,
    )  # fmt: skip
    X, Y = door.in_range(X, Y)
    history = np.empty((arguments[-2], 2))
    n_done = implementation("sinkhorn_iterate_points", backend)(
        X, Y, metric, *arguments, history, n_threads
    )
    return history[:n_done].copy()
