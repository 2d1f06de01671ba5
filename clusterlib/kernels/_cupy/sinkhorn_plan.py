"""Plans on a CUDA device; the contract is in ``clusterlib/kernels/sinkhorn_plan.py``."""

import numpy as np

from clusterlib.kernels import sinkhorn_checks as host_door
from clusterlib.kernels._cupy import sinkhorn_arguments as door
from clusterlib.kernels._cupy.checks import (
    as_device_vector,
    checked_device_options,
    checked_device_output,
)
from clusterlib.kernels._cupy.runtime import active
from clusterlib.kernels._cupy.sinkhorn_passes import RowRule, StoredCost
from clusterlib.kernels.sinkhorn_plan import SinkhornPlan

__all__ = ["sinkhorn_plan"]


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
    """Write the plan of two potentials, and its sums; two reads of the cost."""
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
    out = checked_device_output(out, C.shape, C.dtype)
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
