"""One small run of every kernel, for the tools that look at all of them: sanitizers and mutants.

Every operation adds its own cases here. A case calls public functions with device arrays of a
few rows, in such shapes that each of its instances is launched at least once, in both dtypes
and with an edge of a tile inside.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from clusterlib.kernels import scaling_iterate, sinkhorn_iterate, sinkhorn_plan

__all__ = ["CASES", "Case"]


class Case(NamedTuple):
    """What launches some kernels.

    Attributes
    ----------
    name : str
        Of the operation.
    run : callable
        Called with the runtime in use; arrays come from ``runtime.to_device``.
    """

    name: str
    run: Callable


CASES = []


def _sinkhorn_problem(runtime, n, m, dtype):
    """A cost with a row and a column far away, logarithms of weights and potentials of columns."""
    rng = np.random.default_rng(n)
    C = rng.uniform(size=(n, m))
    C[-1], C[:, -1] = C[-1] + 3, C[:, -1] + 3
    log_a, log_b = np.full(n, -np.log(n)), np.full(m, -np.log(m))
    g = np.where(np.arange(m) % 7, 0.0, -np.inf if m > 7 else 0.0)
    return map(runtime.to_device, (C.astype(dtype), log_a, log_b, g))


def _sinkhorn_plans(runtime):
    for dtype, precise in ((np.float32, False), (np.float32, True), (np.float64, False)):
        for n, m in ((33, 35), (2, 4100), (1, 10250)):
            C, log_a, _, g = _sinkhorn_problem(runtime, n, m, dtype)
            options = {"log_a": log_a, "row_weight": runtime.zeros(n, np.float64)}
            sinkhorn_plan(C, 0.1, runtime.zeros(n, np.float64), g, precise=precise, **options)


def _sinkhorn_iterations(runtime):
    for dtype in (np.float32, np.float64):
        for taus in ((1.0, 1.0), (0.7, 0.6)):
            C, log_a, log_b, _ = _sinkhorn_problem(runtime, 65, 33, dtype)
            f, g = runtime.zeros(65, np.float64), runtime.zeros(33, np.float64)
            options = {"tau_a": taus[0], "tau_b": taus[1], "n_iters": 2}
            sinkhorn_iterate(C, 1e-3, log_a, log_b, f, g, **options)


def _scalings(runtime):
    for dtype in (np.float32, np.float64):
        K, a, b, _ = _sinkhorn_problem(runtime, 33, 257, dtype)
        scaling_iterate(K, np.exp(a), np.exp(b), np.exp(a), np.exp(b), n_iters=2)


CASES += [
    Case("sinkhorn_plan", _sinkhorn_plans),
    Case("sinkhorn_iterate", _sinkhorn_iterations),
    Case("scaling_iterate", _scalings),
]
