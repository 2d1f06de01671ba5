"""Dual ascent for entropic transport of a part of the mass."""

import numpy as np

from clusterlib.kernels import sinkhorn_sweep, sinkhorn_sweep_points
from clusterlib.solvers.momentum import Momentum
from clusterlib.solvers.transport_problem import PointCost

__all__ = ["PartialAscent"]

# A mass this close to that of a side is all of it.
_ALL = 1e-12
# The path towards a small epsilon: where it starts relative to the largest cost, how it goes on,
# and how far and for how many sweeps each stage is solved.
_FIRST_EPSILON, _SHRINK, _STAGE_TOL, _STAGE_SWEEPS = 0.02, 0.25, 0.1, 100
# |log s| up to which a column sum has lost nothing to the range of the arithmetic.
_TRUSTED = {np.dtype(np.float32): 60.0, np.dtype(np.float64): 600.0}
# What rounding does to the dual value, and to the error, relative to the largest cost.
_NOISE = {np.dtype(np.float32): 1e-6, np.dtype(np.float64): 1e-14}


class PartialAscent:
    """The state of the ascent: row potentials f, column potentials g and the level above them.

    Parameters
    ----------
    problem : TransportProblem
        With one right-hand side.
    mass : float
        What has to be transported.
    f : ndarray of shape (n,), float64
        Where to start; worked on in place.
    options : dict
        ``n_threads`` and ``backend`` of the kernels.
    """

    def __init__(self, problem, mass, f, options):
        self._problem, self._mass, self._options = problem, mass, options
        self._rows, self._columns = problem.a > 0, problem.b > 0
        self._a, self._b = problem.a[self._rows], problem.b[self._columns]
        self._log_b = problem.log_b[self._columns]
        # Rows that must give all they have have no inequality to be cut off at.
        self._f_max = 0.0 if mass < (1 - _ALL) * problem.a.sum() else np.inf
        self.f, self.g = f, np.full(problem.shape[1], -np.inf)
        self.level = np.inf
        self.n_sweeps, self.history = 0, []

    def run(self, epsilon, tol, max_iter, *, warm=False):
        """Solve to ``tol``, from above unless the start is ``warm``; at least 3 sweeps."""
        cost = self._problem.cost
        stage = epsilon if warm else max(epsilon, _FIRST_EPSILON * cost.magnitude)
        self._start(cost, stage)
        while stage > epsilon:
            budget = min(_STAGE_SWEEPS, (max_iter - self.n_sweeps) // 2)
            self._ascend(cost, stage, _STAGE_TOL, budget)
            stage = max(epsilon, _SHRINK * stage)
        if cost.dtype == np.float32:
            # Its arithmetic is used as far as it goes; what is reported is of float64.
            floor = _NOISE[cost.dtype] * cost.magnitude / epsilon
            budget = max_iter - self.n_sweeps - 1
            self._ascend(cost, epsilon, max(tol, floor), budget)
            cost = cost.astype(np.float64)
        self.history.clear()
        return self._ascend(cost, epsilon, tol, max(1, max_iter - self.n_sweeps))

    def canonical(self):
        """f, g and level with f not above 0; without the offset of the cost."""
        top = max(0.0, float(self.f[self._rows].max()))
        return self.f - top, self.g + top, self.level + top

    def _start(self, cost, epsilon):
        """Set g and the level to what is best for f."""
        everywhere = np.flatnonzero(self._columns)
        steps = self._exact_steps(cost, epsilon, everywhere) + epsilon * self._log_b
        self.level = best_level(steps, self._b, self._mass, epsilon)
        self.g[self._columns] = np.minimum(self.level, steps)
        self.n_sweeps += 1

    def _ascend(self, cost, epsilon, tol, budget):
        """Sweep until the error is at most ``tol``; (f, g) are always those of the last error."""
        scale = self._mass * (self._problem.cost.magnitude + epsilon)
        momentum = Momentum(_NOISE[cost.dtype], scale)
        g, level = self.g[self._columns], self.level
        previous_g, previous_level = g, level
        for left in reversed(range(budget)):
            self.g[self._columns], self.level = g, level
            sums = self._sweep(cost, epsilon)
            steps = g + epsilon * (self._log_b - self._logs(cost, epsilon, sums))
            best = best_level(steps, self._b, self._mass, epsilon)
            wanted = self._b * np.exp(np.minimum(0.0, (best - steps) / epsilon))
            error = float(np.abs(sums - wanted).sum()) / self._mass
            dual = self._dual(epsilon, sums)
            self.history.append((error, dual))
            if error <= tol or left == 0:
                return error <= tol
            step, inertia = momentum.weights(error, dual)
            target = np.minimum(best, steps)
            ahead = level + step * (best - level) + inertia * (level - previous_level)
            moved = g + step * (target - g) + inertia * (g - previous_g)
            previous_g, previous_level = g, level
            g, level = np.minimum(moved, ahead), ahead
        return False

    def _sweep(self, cost, epsilon):
        """Maximise over f; returns the sums of the columns that have weight."""
        self.n_sweeps += 1
        shared = (epsilon, self._problem.log_a, self.f, self.g)
        if isinstance(cost, PointCost):
            sums = sinkhorn_sweep_points(
                cost.X, cost.Y, *shared, metric=cost.metric, f_max=self._f_max, **self._options
            )
        else:
            sums = sinkhorn_sweep(cost.values, *shared, f_max=self._f_max, **self._options)
        return sums[self._columns]

    def _logs(self, cost, epsilon, sums):
        """Logarithms of the column sums, computed anew where they may have underflowed."""
        with np.errstate(divide="ignore"):
            logs = np.log(sums)
        lost = np.flatnonzero(logs < -_TRUSTED[cost.dtype])
        if len(lost):
            columns = np.flatnonzero(self._columns)[lost]
            logs[lost] = (self.g[columns] - self._exact_steps(cost, epsilon, columns)) / epsilon
        return logs

    def _exact_steps(self, cost, epsilon, columns):
        """``-epsilon logsumexp_i((f_i - C_ij) / epsilon)``: rows of the transposed cost."""
        steps, zeros = np.empty(len(columns)), np.zeros(len(columns))
        shared = (epsilon, zeros, steps, self.f)
        if isinstance(cost, PointCost):
            Y = cost.Y[columns]
            sinkhorn_sweep_points(Y, cost.X, *shared, metric=cost.metric, **self._options)
        else:
            sinkhorn_sweep(cost.values.T[columns], *shared, **self._options)
        return steps

    def _dual(self, epsilon, sums):
        value = self.level * self._mass + self._a @ self.f[self._rows] - epsilon * sums.sum()
        return float(value + self._b @ (self.g[self._columns] - self.level))


def best_level(steps, b, mass, epsilon):
    """Solve ``sum_j b_j min(1, exp((level - t_j) / epsilon)) = mass`` for the level.

    Columns with ``t_j <= level`` are full, which are the first ones in the order of ``t_j``. Where
    all have to be full every level that is large enough does; the smallest one is returned.
    """
    order = np.argsort(steps)
    top = steps[order[-1]]
    below, b = (steps[order] - top) / epsilon, b[order]
    # What the columns from here on would take at level ``top``, were they never full.
    logs = np.logaddexp.accumulate((np.log(b) - below)[::-1])[::-1]
    full = np.concatenate([[0.0], np.cumsum(b)])
    at_step = full[1:] + np.exp(below + np.append(logs[1:], -np.inf))
    first_open = int(np.searchsorted(at_step, mass))
    if first_open == len(b) or mass >= (1 - _ALL) * full[-1]:
        return float(top)
    return float(top + epsilon * (np.log(mass - full[first_open]) - logs[first_open]))
