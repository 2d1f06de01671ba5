"""Contracts of the Sinkhorn kernels."""

import math
from typing import NamedTuple

import numpy as np

from clusterlib.kernels import sinkhorn_checks as door
from clusterlib.kernels.checks import (
    as_matrix_pair,
    as_metric,
    checked_integer,
    checked_output,
    checked_state,
    checked_threads,
)
from clusterlib.kernels.dispatch import implementation
from clusterlib.kernels.leaves import SWEEP_ROWS

__all__ = [
    "SWEEP_ROWS",
    "SinkhornPlan",
    "scaling_iterate",
    "sinkhorn_batch",
    "sinkhorn_iterate",
    "sinkhorn_iterate_points",
    "sinkhorn_plan",
    "sinkhorn_sweep",
    "sinkhorn_sweep_points",
    "weighted_gram_product",
]

_MOST_ITERATIONS = 2**31 - 1


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

    plan: np.ndarray
    row_sums: np.ndarray
    column_sums: np.ndarray
    column_squares: np.ndarray | None


def _sides(potential, n, m):
    """Shapes of row and column vectors: of one right-hand side, or of several."""
    several = isinstance(potential, np.ndarray) and potential.ndim == 2
    return ((len(potential), n), (len(potential), m)) if several else ((n,), (m,))


def _checked_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f):
    rows, columns = shapes
    epsilon = door.checked_epsilon(epsilon)
    tau_a = door.checked_tau("tau_a", tau_a)
    f_max = door.checked_number("f_max", f_max, lambda top: top > -math.inf, "above -inf")
    door.checked_potential("f", f, rows)
    log_a = door.as_log_weight("log_a", log_a, rows)
    g = door.as_potential("g", g, columns)
    if update_f:
        door.check_some_weight("g", g)
    else:
        door.as_potential("f", f, rows)
    return epsilon, log_a, f, g, tau_a, f_max, bool(update_f)


def sinkhorn_sweep(
    C,
    epsilon,
    log_a,
    f,
    g,
    *,
    tau_a=1.0,
    f_max=math.inf,
    update_f=True,
    precise=False,
    n_threads=None,
    backend=None,
):
    """Update the row potentials and sum the columns of their plan."""
    n_threads = checked_threads(n_threads)
    C = door.as_cost("C", C)
    shapes = _sides(f, *C.shape)
    arguments = _checked_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f)
    epsilon, log_a, f, g, *options = arguments
    column_sums = np.empty(g.shape)
    log_a, f, g, sums = (np.atleast_2d(x) for x in (log_a, f, g, column_sums))
    implementation("sinkhorn_sweep", backend)(
        C, epsilon, log_a, f, g, *options, bool(precise), sums, n_threads
    )
    return column_sums


def sinkhorn_sweep_points(
    X,
    Y,
    epsilon,
    log_a,
    f,
    g,
    *,
    metric="sqeuclidean",
    tau_a=1.0,
    f_max=math.inf,
    update_f=True,
    n_threads=None,
    backend=None,
):
    """Do what sinkhorn_sweep does for the cost between two point clouds."""
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = _as_points(X, Y)
    shapes = (len(X),), (len(Y),)
    arguments = _checked_sweep(shapes, epsilon, log_a, f, g, tau_a, f_max, update_f)
    column_sums = np.empty(len(Y))
    implementation("sinkhorn_sweep_points", backend)(
        X, Y, metric, *arguments, column_sums, n_threads
    )
    return column_sums


def _as_points(X, Y):
    X, Y = as_matrix_pair(X, Y)
    if len(Y) == 0:
        raise ValueError(f"Y must have at least 1 row, got shape {Y.shape}")
    return X, Y


def _checked_iteration(shapes, epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol):
    rows, columns = shapes
    epsilon = door.checked_epsilon(epsilon)
    tau_a, tau_b = door.checked_tau("tau_a", tau_a), door.checked_tau("tau_b", tau_b)
    relaxation = door.checked_relaxation(relaxation)
    n_iters = checked_integer("n_iters", n_iters, 1, _MOST_ITERATIONS)
    tol = door.checked_tolerance(tol)
    log_a = door.as_log_weight("log_a", log_a, rows)
    log_b = door.as_log_weight("log_b", log_b, columns)
    door.check_some_weight("log_a", log_a)
    door.check_some_weight("log_b", log_b)
    door.checked_potential("f", f, rows)
    door.checked_potential("g", g, columns, log_b)
    return epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol


def sinkhorn_iterate(
    C,
    epsilon,
    log_a,
    log_b,
    f,
    g,
    *,
    tau_a=1.0,
    tau_b=1.0,
    relaxation=1.0,
    n_iters=1,
    tol=0.0,
    precise=False,
    n_threads=None,
    backend=None,
):
    """Run Sinkhorn iterations on a stored cost."""
    n_threads = checked_threads(n_threads)
    C = door.as_cost("C", C)
    arguments = _checked_iteration(
        _sides(f, *C.shape), epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol
    )
    epsilon, *vectors, tau_a, tau_b, relaxation, n_iters, tol = arguments
    history = np.empty((1 if f.ndim == 1 else len(f), n_iters, 2))
    n_done = implementation("sinkhorn_iterate", backend)(
        C, epsilon, *map(np.atleast_2d, vectors), tau_a, tau_b, relaxation, n_iters, tol,
        bool(precise), history, n_threads,
    )  # fmt: skip
    history = history[:, :n_done].copy()
    return history[0] if f.ndim == 1 else history


def sinkhorn_iterate_points(
    X,
    Y,
    epsilon,
    log_a,
    log_b,
    f,
    g,
    *,
    metric="sqeuclidean",
    tau_a=1.0,
    tau_b=1.0,
    relaxation=1.0,
    n_iters=1,
    tol=0.0,
    n_threads=None,
    backend=None,
):
    """Run Sinkhorn iterations on the cost between two point clouds."""
    metric, backend = as_metric(metric, backend)
    n_threads = checked_threads(n_threads)
    X, Y = _as_points(X, Y)
    arguments = _checked_iteration(
        ((len(X),), (len(Y),)),
        epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol,
    )  # fmt: skip
    history = np.empty((arguments[-2], 2))
    n_done = implementation("sinkhorn_iterate_points", backend)(
        X, Y, metric, *arguments, history, n_threads
    )
    return history[:n_done].copy()


def sinkhorn_plan(
    C,
    epsilon,
    f,
    g,
    *,
    log_a=None,
    row_weight=None,
    precise=False,
    out=None,
    n_threads=None,
    backend=None,
):
    """Write the plan of two potentials."""
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
        C, epsilon, log_a, f, g, row_weight, bool(precise), out, row_sums, column_sums,
        column_squares, n_threads,
    )  # fmt: skip
    return SinkhornPlan(out, row_sums, column_sums, column_squares)


def sinkhorn_batch(
    C,
    epsilon,
    log_a,
    log_b,
    f,
    g,
    *,
    tau_a=1.0,
    tau_b=1.0,
    max_iter=1000,
    tol=0.0,
    n_threads=None,
    backend=None,
):
    """Solve many small problems, each by itself."""
    n_threads = checked_threads(n_threads)
    C = door.as_cost_stack("C", C)
    n_problems, p, q = C.shape
    epsilon = door.as_epsilons(epsilon, n_problems)
    tau_a, tau_b = door.checked_tau("tau_a", tau_a), door.checked_tau("tau_b", tau_b)
    max_iter = checked_integer("max_iter", max_iter, 1, _MOST_ITERATIONS)
    tol = door.checked_tolerance(tol)
    log_a = door.as_log_weight("log_a", log_a, (n_problems, p))
    log_b = door.as_log_weight("log_b", log_b, (n_problems, q))
    door.check_some_weight("log_a", log_a)
    door.check_some_weight("log_b", log_b)
    door.checked_potential("f", f, (n_problems, p))
    door.checked_potential("g", g, (n_problems, q), log_b)
    n_iter, error = np.empty(n_problems, dtype=np.int32), np.empty(n_problems)
    implementation("sinkhorn_batch", backend)(
        C, epsilon, log_a, log_b, f, g, tau_a, tau_b, max_iter, tol, n_iter, error, n_threads
    )
    return n_iter, error


def scaling_iterate(
    K,
    a,
    b,
    u,
    v,
    *,
    relaxation=1.0,
    n_iters=1,
    tol=0.0,
    limit=1e6,
    n_threads=None,
    backend=None,
):
    """Run Sinkhorn iterations in the scaling form."""
    n_threads = checked_threads(n_threads)
    K = door.as_cost("K", K)
    n, m = K.shape
    a, b = door.as_weight("a", a, n), door.as_weight("b", b, m)
    checked_state("u", u, (n,), np.float64)
    checked_state("v", v, (m,), np.float64)
    door.check_positive("v", v, b > 0)
    relaxation = door.checked_relaxation(relaxation)
    n_iters = checked_integer("n_iters", n_iters, 1, _MOST_ITERATIONS)
    tol = door.checked_tolerance(tol)
    limit = door.checked_number("limit", limit, lambda top: 1.0 < top <= 1e100, "in (1, 1e100]")
    history = np.empty(n_iters)
    n_done = implementation("scaling_iterate", backend)(
        K, a, b, u, v, relaxation, n_iters, tol, limit, history, n_threads
    )
    return history[:n_done].copy()


def weighted_gram_product(K, weight, vector, *, n_threads=None, backend=None):
    """Multiply K' diag(weight) K by a vector, reading K once."""
    n_threads = checked_threads(n_threads)
    K = door.as_cost("K", K)
    weight = door.as_finite("weight", weight, len(K))
    vector = door.as_finite("vector", vector, K.shape[1])
    product = np.empty(K.shape[1])
    implementation("weighted_gram_product", backend)(K, weight, vector, product, n_threads)
    return product
