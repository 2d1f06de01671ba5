"""The scaling form on an absorbed kernel: a read of the matrix for each iteration, no exponential."""

import numpy as np

from clusterlib.kernels import scaling_iterate, sinkhorn_plan

__all__ = ["scaling"]

_FIRST_SWEEPS = 2
_LIMIT = 1e6
# Entries of a float32 plan are rounded; what lies below is left to the log domain.
_SINGLE_FLOOR = 4e-7
_ENTRIES_PER_CALL = 1 << 28
_SWEEPS_OF_RESCUE = 5


def scaling(sweeps):
    """Iterate on the plan itself, which is rebuilt whenever the scalings leave their range.

    Parameters
    ----------
    sweeps : Sweeps
        A balanced solve with a stored cost; its f and g are moved.

    Notes
    -----
    The memory of a second matrix like the cost. The first sweeps, and the last one in float64,
    happen in the log domain.
    """
    sweeps.iterate(_FIRST_SWEEPS)
    if not sweeps.is_active:
        return
    problem = sweeps.problem
    plan = problem.cost.side.empty(problem.shape, problem.cost.dtype)
    several = sweeps.g.ndim > 1
    for index in range(len(sweeps.g)) if several else [...]:
        side = problem if index is ... else problem.side(index)
        while sweeps.is_active and not _iterate(sweeps, side, index, plan):
            sweeps.report()


def _iterate(sweeps, side, index, plan):
    """Build the plan, iterate on it, take the scalings into the potentials; whether all is done."""
    epsilon, f, g = sweeps.epsilon, sweeps.f[index], sweeps.g[index]
    precise = sweeps.tol < 8 * sweeps.floor()
    call = side.cost.side.call
    call(
        sinkhorn_plan, side.cost.values, epsilon, f, g, log_a=side.log_a, precise=precise,
        out=plan, written=(f,), **sweeps.options,
    )  # fmt: skip
    sweeps.spend(1)
    u, v = np.ones(len(f)), np.ones(len(g))
    tol = max(sweeps.tol, _SINGLE_FLOOR) if plan.dtype == np.float32 else sweeps.tol
    mass = side.a.sum()
    n_iters = min(sweeps.left, max(1, _ENTRIES_PER_CALL // plan.size))
    if n_iters == 0:
        return True
    errors = call(
        scaling_iterate, plan, side.a, side.b, u, v, n_iters=n_iters, tol=tol * mass,
        limit=_LIMIT, written=(u, v), **sweeps.options,
    )  # fmt: skip
    # The dual value rises; that of the last sweep in the log domain is a bound from below.
    for error in errors / mass:
        sweeps.spend(1, error, sweeps.history[-1][1])
    with np.errstate(divide="ignore"):
        log_u, log_v = np.log(u), np.log(v)
    if not (np.isfinite(log_u[side.a > 0]).all() and np.isfinite(log_v[side.b > 0]).all()):
        # A sum has left the range of the plan's type: its logarithm has not.
        sweeps.iterate(_SWEEPS_OF_RESCUE)
        return False
    f += np.where(side.a > 0, epsilon * log_u, 0.0)
    g += np.where(side.b > 0, epsilon * log_v, 0.0)
    return errors[-1] <= tol * mass
