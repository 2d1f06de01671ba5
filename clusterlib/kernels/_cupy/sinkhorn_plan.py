"""Plans and small problems on a CUDA device; contracts in ``clusterlib/kernels/sinkhorn_plan.py``."""

import numpy as np

from clusterlib.kernels import sinkhorn_checks as host_door
from clusterlib.kernels._cupy import sinkhorn_arguments as door
from clusterlib.kernels._cupy.checks import (
    as_device_vector,
    checked_device_options,
    checked_device_output,
)
from clusterlib.kernels._cupy.instances import instances_by_dtype
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sinkhorn_passes import RowRule, StoredCost
from clusterlib.kernels.checks import checked_integer
from clusterlib.kernels.sinkhorn_plan import SinkhornPlan

__all__ = ["INSTANCES", "sinkhorn_batch", "sinkhorn_plan"]

_BATCH = instances_by_dtype("sinkhorn_batch.cuh", "sinkhorn_batch", 128)
INSTANCES = tuple(_BATCH.values())


def sinkhorn_plan(
    C,
    epsilon,
    f,
    g,
    *,
    log_a=None,
    row_weight=None,
    precise=False,
    scores=False,
    out=None,
    n_threads=None,
    backend=None,
):
    """Write the plan of two potentials, and its sums; one read of the cost more than a sweep."""
    checked_device_options(n_threads, backend)
    runtime, original = active(), C
    C = door.as_device_cost("C", C)
    n, m = C.shape
    epsilon = host_door.checked_epsilon(epsilon)
    f = door.checked_device_potential("f", f, (n,))
    g = door.as_device_potential("g", g, (m,))
    if log_a is None:
        door.as_device_potential("f", f, (n,))
    else:
        log_a = door.as_device_log_weight("log_a", log_a, (n,))
        door.check_some_device_weight("g", g)
    if row_weight is not None:
        row_weight = as_device_vector("row_weight", row_weight, n, low=0.0)
    out = checked_device_output(out, C.shape, C.dtype, (original,))
    cost = StoredCost(C, 1, precise=bool(precise), scores=bool(scores))
    rows, seen = cost.row_numbers(), cost.seen(door.whole(g))
    column_sums = runtime.empty((m,), np.float64)
    rule = RowRule(epsilon, update=log_a is not None)
    f = door.whole(f)
    log_a = door.whole(log_a) if rule.update else f  # of which the kernel then reads neither
    weight = np.exp(log_a) if rule.update else f
    cost.sweep(rule, log_a, weight, f, seen, door.whole(column_sums), rows)
    column_squares = None if row_weight is None else runtime.empty((m,), np.float64)
    cost.write_plan(epsilon, seen, rows, out, row_weight, column_squares)
    results = out, rows.sums.reshape(-1), column_sums
    squares = None if column_squares is None else runtime.like(column_squares, original)
    return SinkhornPlan(*(runtime.like(result, original) for result in results), squares)


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
    """Solve many small problems of one size; one block iterates each, without a look by the host."""
    checked_device_options(n_threads, backend)
    runtime, original = active(), C
    C = door.as_device_cost_stack("C", C)
    n_problems, p, q = C.shape
    epsilon = door.as_device_epsilons(epsilon, n_problems)
    tau_a, tau_b = host_door.checked_tau("tau_a", tau_a), host_door.checked_tau("tau_b", tau_b)
    max_iter = checked_integer("max_iter", max_iter, 1, host_door.MOST_ITERATIONS)
    tol = host_door.checked_tolerance(tol)
    tiny = float(np.log(np.finfo(C.dtype).tiny))
    log_a, log_b = (
        np.where(log_weight < tiny, -np.inf, log_weight)
        for log_weight in (
            door.as_device_log_weight("log_a", log_a, (n_problems, p)),
            door.as_device_log_weight("log_b", log_b, (n_problems, q)),
        )
    )
    door.check_some_device_weight("log_a", log_a)
    door.check_some_device_weight("log_b", log_b)
    f = door.checked_device_potential("f", f, (n_problems, p))
    g = door.checked_device_potential("g", g, (n_problems, q), log_b)
    n_iter = runtime.empty((n_problems,), np.int32)
    error = runtime.empty((n_problems,), np.float64)
    runtime.launch(
        _BATCH[C.dtype], n_problems, C, np.int32(p), np.int32(q), epsilon, log_a, log_b, f, g,
        np.float64(tau_a), np.float64(tau_b), np.int32(max_iter), np.float64(tol),
        runtime.empty((n_problems, q), np.float64), n_iter, error,
    )  # fmt: skip
    return runtime.like(n_iter, original), runtime.like(error, original)
