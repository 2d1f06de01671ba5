"""Which way a Sinkhorn solve goes: plain sweeps first, then what their progress asks for."""

from dataclasses import replace
from enum import Enum

import numpy as np

from clusterlib.config import get_config
from clusterlib.solvers.cost_matrix import CostMatrix
from clusterlib.solvers.sinkhorn_extrapolation import extrapolate
from clusterlib.solvers.sinkhorn_newton import newton
from clusterlib.solvers.sinkhorn_scaling import scaling
from clusterlib.solvers.sinkhorn_sweeps import Sweeps
from clusterlib.solvers.transport_problem import PointCost

__all__ = ["Method", "solve_transport"]

# Plain sweeps to begin with: at least so many, more where they take microseconds.
_FIRST_SWEEPS = 6
_FIRST_ENTRIES = 1 << 20
_MOST_FIRST_SWEEPS = 250
# Newton takes over where extrapolated sweeps would need more than this many yet.
_WINDOW = 8
_MANY_SWEEPS = 30
# Without Newton, costs beyond this many epsilons are approached from larger epsilons.
_LARGE_COST = 100.0
_SWEEPS_PER_STAGE = 4


class Method(Enum):
    """How a transport problem is solved."""

    AUTO = "auto"
    LOG = "log"
    SCALING = "scaling"
    NEWTON = "newton"


def solve_transport(problem, epsilon, *, method=Method.AUTO, g=None, **options):
    """Solve a checked problem.

    Parameters
    ----------
    problem : TransportProblem
        One or several right-hand sides.
    epsilon : float
        Checked entropic strength.
    method : Method, default=Method.AUTO
        AUTO chooses by the progress of the first sweeps.
    g : ndarray of shape (m,) or (R, m), float64, default=None
        First potentials of the columns without the offset of the cost; finite.
    **options
        ``max_iter, tol, n_threads, backend, verbose, callback`` of :class:`Sweeps`.

    Returns
    -------
    result : SinkhornResult
        Also where ``tol`` was not met: see its ``converged``.
    """
    if isinstance(problem.cost, PointCost) and problem.b.ndim > 1:
        return _one_by_one(problem, epsilon, method, g, options)
    sweeps = Sweeps(problem, epsilon, g=g, **options)
    run = {
        Method.AUTO: _automatic,
        Method.LOG: _log,
        Method.SCALING: _scaling,
        Method.NEWTON: _newton,
    }[method]
    return sweeps.result(run(sweeps, is_cold=g is None) + _ending(sweeps))


def _automatic(sweeps, is_cold):
    """Plain sweeps, extrapolated ones, and Newton's method if those are slow."""
    possible = _newton_is_possible(sweeps.problem)
    if not possible and is_cold:
        _approach(sweeps)
    entries = sweeps.problem.shape[0] * sweeps.g.size
    sweeps.iterate(int(np.clip(_FIRST_ENTRIES // entries, _FIRST_SWEEPS, _MOST_FIRST_SWEEPS)))
    if not sweeps.is_active:
        return "log: plain sweeps"
    extrapolate(sweeps, _is_slow if possible else None)
    if not sweeps.is_active:
        return "log: extrapolated sweeps" + (
            "" if possible else "; costs and a plan would not fit into one block (block_bytes)"
        )
    remaining = _predicted(sweeps)
    text = f"newton: extrapolated sweeps would have taken {_rounded(remaining)} more"
    return text + _newton_steps(sweeps)


def _log(sweeps, is_cold):
    if is_cold:
        _approach(sweeps)
    sweeps.iterate(_FIRST_SWEEPS)
    extrapolate(sweeps)
    return "log: extrapolated sweeps, as asked for"


def _newton(sweeps, is_cold):
    sweeps.iterate(1)
    return "newton: as asked for" + _newton_steps(sweeps)


def _scaling(sweeps, is_cold):
    scaling(sweeps)
    extrapolate(sweeps)
    return "scaling: as asked for, confirmed in the log domain"


def _newton_steps(sweeps):
    """Run Newton's method and confirm its answer; returns what happened besides."""
    if not sweeps.is_active:
        return ""
    lazy = sweeps.problem
    if isinstance(lazy.cost, PointCost):
        values = lazy.cost.block(slice(None))
        stored = CostMatrix(values, 0.0, lazy.cost.magnitude, lazy.cost.side)
        sweeps.problem = replace(lazy, cost=stored)
    newton(sweeps)
    sweeps.problem = lazy
    sweeps.make_precise()
    start = sweeps.n_iter
    extrapolate(sweeps)
    return "" if sweeps.n_iter - start <= 1 else ", and extrapolated ones to the end"


def _newton_is_possible(problem):
    """Whether there is room for a plan: beside a matrix that the user has stored there is.

    Points need their costs as well, both in float64.
    """
    if not isinstance(problem.cost, PointCost):
        return True
    return 16 * problem.shape[0] * problem.shape[1] <= get_config()["block_bytes"]


def _approach(sweeps):
    """Sweep at larger epsilons first, where that saves a long way."""
    problem = sweeps.problem
    if problem.cost.magnitude <= _LARGE_COST * sweeps.epsilon:
        return
    halvings = int(np.log2(problem.cost.magnitude / sweeps.epsilon)) - 3
    for k in range(halvings, 0, -1):
        sweeps.approach(sweeps.epsilon * 2.0**k, _SWEEPS_PER_STAGE)


def _ending(sweeps):
    if sweeps.is_done:
        return ""
    return "; stopped by the callback" if sweeps.is_stopped else "; max_iter came first"


def _predicted(sweeps):
    """How many more sweeps the last ones make one expect; infinite without progress."""
    errors = [error for error, _ in sweeps.history[-_WINDOW:]]
    rate = (errors[-1] / errors[0]) ** (1.0 / (len(errors) - 1)) if errors[0] > 0 else 0.0
    if rate == 0.0 or errors[-1] <= sweeps.tol:
        return 0.0
    return np.inf if rate >= 1.0 else np.log(sweeps.tol / errors[-1]) / np.log(rate)


def _is_slow(sweeps):
    return len(sweeps.history) >= _FIRST_SWEEPS + _WINDOW and _predicted(sweeps) > _MANY_SWEEPS


def _rounded(count):
    return "endlessly many" if np.isinf(count) else f"about {int(float(f'{count:.1g}'))}"


def _one_by_one(problem, epsilon, method, g, options):
    """Right-hand sides of a point cost, one after the other, as one result."""
    results = [
        solve_transport(
            problem.side(r), epsilon, method=method, g=None if g is None else g[r], **options
        )
        for r in range(len(problem.b))
    ]
    return replace(
        results[0],
        problem=problem,
        potentials=tuple(np.stack([r.potentials[k] for r in results]) for k in (0, 1)),
        dual=np.array([r.dual for r in results]),
        marginal_error=np.array([r.marginal_error for r in results]),
        n_iter=sum(r.n_iter for r in results),
        converged=all(r.converged for r in results),
        history=np.concatenate([r.history for r in results]),
        method="one by one; " + results[0].method,
    )
