"""A running Sinkhorn solve: potentials, sweeps, what they cost and how exact they are."""

import logging

import numpy as np

from clusterlib.kernels import (
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
)
from clusterlib.solvers.transport_objective import column_errors, dual_value
from clusterlib.solvers.transport_problem import PointCost
from clusterlib.solvers.transport_result import SinkhornResult

__all__ = ["Sweeps"]

_LOGGER = logging.getLogger("clusterlib")
_UNIT_ROUNDOFF = 2.0**-24
# A call of the kernel touches about this many entries, so that it comes back in good time.
_ENTRIES_PER_CALL = 1 << 27
# A smaller sweep is over before a second thread has woken up.
_ENTRIES_FOR_THREADS = 1 << 17
# Errors of float32 sweeps can be trusted down to this many times their floor.
_ABOVE_FLOOR = 8.0


class Sweeps:
    """State of a solve. Methods move ``g``; every sweep is counted and its error recorded.

    While the error is far above what rounding leaves of it, arithmetic has the dtype of the cost.
    Then, and for the last sweep of every solve, it is float64: ``is_done`` is never set by less.

    Parameters
    ----------
    problem : TransportProblem
        One or several right-hand sides; one for point clouds.
    epsilon : float
        Entropic strength.
    g : ndarray, float64, default=None
        First potentials of the columns, finite; None means 0.
    max_iter : int
        Most sweeps.
    tol : float
        Wanted marginal error relative to the mass.
    n_threads, backend
        As for the kernels.
    verbose : int
        Above 0, progress is logged.
    callback : callable, default=None
        ``callback(g, history)`` from time to time; True stops.
    """

    def __init__(
        self, problem, epsilon, *, g=None, max_iter, tol, n_threads=None, backend=None,
        verbose=0, callback=None,
    ):  # fmt: skip
        self.problem, self.epsilon, self.tol, self.max_iter = problem, epsilon, tol, max_iter
        if problem.b.size * problem.shape[0] < _ENTRIES_FOR_THREADS:
            n_threads = 1
        self.options = {"n_threads": n_threads, "backend": backend}
        self.verbose, self.callback = verbose, callback
        self.f = np.zeros(problem.a.shape)
        self.g = np.zeros(problem.b.shape) if g is None else g.copy()
        self.g[problem.b == 0] = -np.inf
        self.masses = np.minimum(problem.a.sum(axis=-1), problem.b.sum(axis=-1))
        self.n_iter = 0
        self.history = []
        self.errors = np.full(problem.b.shape[:-1], np.inf)
        self.duals = np.full(problem.b.shape[:-1], -np.inf)
        self.is_done = self.is_stopped = False
        self.is_precise = problem.cost.dtype == np.float64
        self._cost = problem.cost
        self._side = problem.cost.side
        self._log_weights = self._side.beside(problem.log_a), self._side.beside(problem.log_b)

    @property
    def left(self):
        """How many sweeps may still be made."""
        return self.max_iter - self.n_iter

    @property
    def is_active(self):
        """Whether there is work left, and leave to do it."""
        return not (self.is_done or self.is_stopped) and self.left > 0

    @property
    def error(self):
        """The largest error of the right-hand sides as last seen, relative to the least mass.

        It is by this one, which a kernel knows, that all of them stop together.
        """
        return float(np.max(self.errors * self.masses)) / self.mass

    @property
    def mass(self):
        """The least mass of the right-hand sides."""
        return float(np.min(self.masses))

    def floor(self, epsilon=None):
        """What float32 arithmetic leaves of a marginal error: that of the exponents."""
        if self.problem.cost.dtype == np.float64:
            return 0.0
        return _UNIT_ROUNDOFF * self.problem.cost.magnitude / (epsilon or self.epsilon)

    def make_precise(self):
        """Compute in float64 from now on."""
        self.is_precise = True
        if isinstance(self._cost, PointCost):
            self._cost = self._cost.astype(np.float64)

    def iterate(self, n_sweeps):
        """Run plain sweeps at the wanted epsilon, fewer if they reach the tolerance first."""
        left = min(n_sweeps, self.left)
        entries = self.g.size * self.problem.shape[0]
        while left > 0 and self.is_active:
            n_iters = min(left, max(1, _ENTRIES_PER_CALL // entries))
            floor = self.floor()
            near = self.tol if floor <= 2 * self.tol else _ABOVE_FLOOR * floor
            tol = self.tol if self.is_precise else near
            history = self._iterate(self.epsilon, n_iters, tol * self.mass)
            left -= history.shape[-2]
            self._record(history)
            if self.error <= tol:
                if self.is_precise:
                    self._finish()
                else:
                    self.make_precise()
            self.report()

    def approach(self, epsilon, n_sweeps):
        """Run plain sweeps at a larger epsilon; their errors are no part of the history."""
        n_sweeps = min(n_sweeps, self.left)
        if n_sweeps > 0:
            self.n_iter += self._iterate(epsilon, n_sweeps, 0.0).shape[-2]

    def _iterate(self, epsilon, n_iters, tol):
        tau_a, tau_b = self.problem.damping(epsilon)
        options = {"tau_a": tau_a, "tau_b": tau_b, "n_iters": n_iters, "tol": tol, **self.options}
        cost, written = self._cost, (self.f, self.g)
        arguments = epsilon, *self._log_weights, *written
        if isinstance(cost, PointCost):
            return self._side.call(
                sinkhorn_iterate_points, cost.X, cost.Y, *arguments, metric=cost.metric,
                written=written, **options,
            )  # fmt: skip
        return self._side.call(
            sinkhorn_iterate, cost.values, *arguments, precise=self.is_precise, written=written,
            **options,
        )  # fmt: skip

    def sweep(self):
        """Update f for the present g in float64; returns the sums of the columns."""
        self.make_precise()
        tau_a, _ = self.problem.damping(self.epsilon)
        options = {"tau_a": tau_a, "written": (self.f,), **self.options}
        cost, arguments = self._cost, (self.epsilon, self._log_weights[0], self.f, self.g)
        if isinstance(cost, PointCost):
            return self._side.call(
                sinkhorn_sweep_points, cost.X, cost.Y, *arguments, metric=cost.metric, **options
            )
        return self._side.call(sinkhorn_sweep, cost.values, *arguments, precise=True, **options)

    def _record(self, history):
        """Take over what the kernel saw: (n, 2) or (R, n, 2), errors not yet relative."""
        self.errors, self.duals = history[..., -1, 0] / self.masses, history[..., -1, 1]
        errors, duals = history[..., 0] / self.mass, history[..., 1]
        if history.ndim == 3:
            errors, duals = errors.max(axis=0), duals.sum(axis=0)
        self.history.extend(zip(errors, duals, strict=True))
        self.n_iter += len(errors)

    def spend(self, n_sweeps, error=None, dual=None):
        """Count sweeps that were made elsewhere, with the error that was seen."""
        self.n_iter += n_sweeps
        if error is not None:
            self.history.append((error, dual))

    def report(self, error=None):
        """Log the error last seen, or one seen elsewhere; ask the callback whether to go on."""
        if self.verbose > 0:
            error = self.error if error is None else error
            _LOGGER.info("sinkhorn: sweep %d, marginal error %.3g", self.n_iter, error)
        if self.callback is not None and self.callback(self.g, np.array(self.history)):
            self.is_stopped = True

    def _finish(self):
        """Accept the error, unless the plan has less mass than the error was compared with."""
        if not self.problem.is_balanced:
            seen = self.errors * self.masses
            sums = self._evaluate()
            # Relaxed columns may hold less than the smallest number; the kernel knows their logs.
            if np.any((sums == 0) & (self.problem.b > 0)):
                self.errors = seen / self.masses
        self.is_done = self.error <= self.tol

    def _evaluate(self):
        """Sweep in float64 without moving g: errors and duals of exactly the present potentials.

        Returns the sums of the columns.
        """
        sums = self.sweep()
        self.n_iter += 1
        plan_mass = sums.sum(axis=-1)
        if not self.problem.is_balanced:
            self.masses = np.where(plan_mass > 0, np.minimum(self.masses, plan_mass), self.masses)
        self.errors = column_errors(self.problem, self.epsilon, self.g, sums) / self.masses
        self.duals = dual_value(self.problem, self.epsilon, self.f, self.g, plan_mass)
        return sums

    def result(self, method):
        """The answer; where the tolerance was not met, after a last sweep that says by how much."""
        if not self.is_done:
            self._evaluate()
        errors, duals = self.errors, self.duals
        if np.ndim(errors) == 0:
            errors, duals = float(errors), float(duals)
        return SinkhornResult(
            self.problem,
            self.epsilon,
            (self.f, self.g),
            duals,
            errors,
            self.n_iter,
            bool(np.max(errors) <= self.tol),
            np.array(self.history).reshape(-1, 2),
            method,
        )
