"""Sinkhorn sweeps and iterations on a CUDA device; contracts in ``clusterlib/kernels/sinkhorn.py``.

Sums over points are those of :class:`LogSumExp`: a sweep evaluates the exponentials of every
pair twice, and no sum of a column can leave its range. Their bits do not depend on the grid, but
blocks of rows do not merge to those of one block as with a stored cost.
"""

import math

import numpy as np

from clusterlib.kernels._cupy import sinkhorn_arguments as door
from clusterlib.kernels._cupy.checks import checked_device_options, device_metric
from clusterlib.kernels._cupy.pairwise_sums import LogSumExp
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sinkhorn_passes import RowRule, StoredCost
from clusterlib.kernels._cupy.sinkhorn_steps import ColumnSteps

__all__ = [
    "sinkhorn_iterate",
    "sinkhorn_iterate_points",
    "sinkhorn_sweep",
    "sinkhorn_sweep_points",
]


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
    scores=False,
    n_threads=None,
    backend=None,
):
    """Update the row potentials and sum the columns of their plan."""
    checked_device_options(n_threads, backend)
    original, C = C, door.as_device_cost("C", C)
    shapes = door.device_sides(f, *C.shape)
    epsilon, log_a, f, g, *options = door.checked_device_sweep(
        shapes, epsilon, log_a, f, g, tau_a, f_max, update_f
    )
    column_sums = active().empty(g.shape, np.float64)
    log_a, f, g, sums = map(door.whole, (log_a, f, g, column_sums))
    cost = StoredCost(C, len(g), precise=bool(precise), scores=bool(scores))
    cost.sweep(RowRule(epsilon, *options), log_a, np.exp(log_a), f, cost.seen(g), sums)
    return active().like(column_sums, original)


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
    """Run Sinkhorn iterations, each with the error and the dual value of its potentials.

    With a tolerance one number is read from the device after each iteration.
    """
    checked_device_options(n_threads, backend)
    original, C = C, door.as_device_cost("C", C)
    arguments = door.checked_device_iteration(
        door.device_sides(f, *C.shape),
        epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol,
    )  # fmt: skip
    epsilon, *vectors, tau_a, tau_b, relaxation, n_iters, tol = arguments
    several = vectors[0].ndim == 2
    log_a, log_b, f, g = map(door.whole, vectors)
    cost = StoredCost(C, len(g), precise=bool(precise))
    steps = ColumnSteps(epsilon, (tau_a, tau_b), (log_a, log_b), (f, g), cost.dtype)
    rule, weight = RowRule(epsilon, tau_a), np.exp(log_a)

    def evaluate():
        cost.sweep(rule, log_a, weight, f, steps.seen, steps.sums)
        steps.evaluate(C)

    history = _iterate(evaluate, steps, relaxation, n_iters, tol)
    return active().like(history if several else history[0], original)


def _iterate(evaluate, steps, relaxation, n_iters, tol):
    """Evaluate and step, until the tolerance is met or it is enough."""
    for _ in range(n_iters):
        evaluate()
        if tol > 0 and steps.error() <= tol:
            break
        steps.step(relaxation)
    return steps.history()


class _PointsCost:
    """The cost between two point clouds, and the sums of its exponentials."""

    def __init__(self, X, Y, metric, epsilon):
        self.epsilon = epsilon
        self._rows = LogSumExp(X, Y, metric, 1.0 / epsilon)
        self._columns = LogSumExp(Y, X, metric, 1.0 / epsilon)

    def update_rows(self, rule, log_a, f, g):
        """Write the row potentials that belong to g; one right-hand side."""
        if len(f) == 0:
            return
        lse = self._rows(g / self.epsilon)
        with np.errstate(invalid="ignore"):
            free = rule.tau * (self.epsilon * (log_a - lse.astype(np.float64)))
        capped = np.where(free < rule.f_max, free, rule.f_max)
        f[...] = np.where(log_a > -np.inf, capped, -np.inf)

    def column_logs(self, f, g):
        """Return the logarithms of the column sums of the plan of f and g."""
        return g / self.epsilon + self._columns(f / self.epsilon).astype(np.float64)


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
    """Do what :func:`sinkhorn_sweep` does for the cost between two point clouds, never stored."""
    checked_device_options(n_threads, backend)
    metric, original = device_metric(metric), X
    X, Y = door.as_device_points(X, Y)
    epsilon, log_a, f, g, *options = door.checked_device_sweep(
        ((len(X),), (len(Y),)), epsilon, log_a, f, g, tau_a, f_max, update_f
    )
    cost, rule = _PointsCost(X, Y, metric, epsilon), RowRule(epsilon, *options)
    if rule.update:
        cost.update_rows(rule, log_a, f, g)
    with np.errstate(over="ignore"):
        column_sums = np.exp(cost.column_logs(f, g))
    return active().like(column_sums, original)


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
    """Do what :func:`sinkhorn_iterate` does for the cost between two point clouds, never stored."""
    checked_device_options(n_threads, backend)
    metric, original = device_metric(metric), X
    X, Y = door.as_device_points(X, Y)
    arguments = door.checked_device_iteration(
        ((len(X),), (len(Y),)),
        epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol,
    )  # fmt: skip
    epsilon, log_a, log_b, f, g, tau_a, tau_b, relaxation, n_iters, tol = arguments
    cost, rule = _PointsCost(X, Y, metric, epsilon), RowRule(epsilon, tau_a)
    log_weights, potentials = (tuple(map(door.whole, v)) for v in ((log_a, log_b), (f, g)))
    steps = ColumnSteps(epsilon, (tau_a, tau_b), log_weights, potentials, np.float64)

    def evaluate():
        cost.update_rows(rule, log_a, f, g)
        steps.evaluate(logs=door.whole(cost.column_logs(f, g)))

    history = _iterate(evaluate, steps, relaxation, n_iters, tol)
    return active().like(history[0], original)
