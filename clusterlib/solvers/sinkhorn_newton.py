"""Truncated Newton steps on the semi-dual of transport, along a path of epsilons.

With f eliminated exactly, the dual is a concave function of g alone. Its gradient is b - c, with c
the column sums of the row-exact plan P, and its Hessian is minus

    H = (diag(c) - P' diag(1 / a) P) / epsilon,

the Laplacian of a graph over the columns, whose null space is the constant vector. A relaxed
marginal of the rows replaces 1 / a by tau_a / r, r the row sums; one of the columns replaces b by
b' = b exp(-g / rho_b) and adds diag(b' / rho_b). One product with H reads the stored plan once;
conjugate gradients with the diagonal as preconditioner solve for the step. See
``docs/methods/sinkhorn.md``.
"""

import numpy as np

from clusterlib.kernels import sinkhorn_plan, sinkhorn_sweep, weighted_gram_product
from clusterlib.solvers.transport_objective import column_errors, column_steps, dual_value

__all__ = ["newton"]

_FIRST_PART = 0.25  # the path starts below this part of the largest cost
_STAGE_TOL = 3e-2  # how well a stage of the path is solved
_STAGE_STEPS = 60
_WARM = 0.01  # no path is needed from an error below this
_FAR = 2.0  # |log(b / c)| of some column beyond which a plain step is taken instead
_LARGEST_STEP = 10.0  # in units of epsilon, for each column by itself
_LEVENBERG = 1e-4
_NOISE = {np.float32: 1e-6, np.float64: 1e-15}  # of the eigenvalues of H in units of diag(c)
_FORCING = 0.25  # conjugate gradients stop at this part of the error, or its square root
_FINEST = 0.01
_OVERSOLVED = 0.3  # or at this part of the tolerance
_MOST_PRODUCTS = 500
_ARMIJO = 1e-4
_SHORTEST = 1e-4
_STRAIGHT = 0.9  # part of the slope that a gain on a straight line has
_STRETCH = 4.0
_LARGEST_EXPONENT = 300.0
_LIGHT = 1e-30  # rows of less than this part of the heaviest have no say in H


def newton(sweeps):
    """Move g to the optimum of the semi-dual, one right-hand side after the other.

    Starts at the wanted epsilon if the present error is small, else at a large one that is halved
    from stage to stage. In the end plain sweeps in float64 confirm the error, or go on.

    Parameters
    ----------
    sweeps : Sweeps
        A balanced solve with a stored cost; its f and g are moved.

    Notes
    -----
    The memory of a second matrix like the cost.
    """
    several = sweeps.g.ndim > 1
    cost = sweeps.problem.cost
    buffer = cost.side.empty(cost.shape, cost.dtype)
    for index in range(len(sweeps.g)) if several else [...]:
        warm = np.ravel(sweeps.errors)[index if several else 0] <= _WARM
        side = _SemiDual(sweeps, index, buffer)
        for epsilon in [sweeps.epsilon] if warm else _path(sweeps):
            if not sweeps.is_active:
                return
            last = epsilon == sweeps.epsilon
            tol = sweeps.tol * sweeps.mass / side.mass if last else _STAGE_TOL
            _stage(side, epsilon, tol, last)


def _path(sweeps):
    """Epsilons from a large one down to the wanted one, halved each time."""
    halvings = np.log2(_FIRST_PART * (sweeps.problem.cost.magnitude / sweeps.epsilon or 1.0))
    return [sweeps.epsilon * 2.0**k for k in range(max(0, int(halvings)), -1, -1)]


class _SemiDual:
    """The semi-dual of one right-hand side at one g: plan, gradient and products with H."""

    def __init__(self, sweeps, index, buffer):
        self.problem = sweeps.problem if index is ... else sweeps.problem.side(index)
        self.sweeps, self.plan = sweeps, buffer
        self.f, self.g = sweeps.f[index], sweeps.g[index]
        self.present = self.problem.b > 0
        self.mass = self.problem.mass

    def move(self, g, epsilon, precise):
        """Evaluate the plan at g, with the best f for it, and keep it."""
        self.g[:] = g
        problem, options = self.problem, self.sweeps.options
        tau_a, _ = problem.damping(epsilon)
        is_exact = np.isinf(problem.rho_a)
        if not is_exact:
            self._call(
                sinkhorn_sweep, problem.cost.values, epsilon, problem.log_a, self.f, self.g,
                tau_a=tau_a, precise=precise, **options,
            )  # fmt: skip
            self.sweeps.spend(1)
        rows = problem.a if is_exact else _relaxed(problem.a, self.f, problem.rho_a)
        heavy = rows > _LIGHT * rows.max()
        self.row_weight = np.divide(tau_a, rows, out=np.zeros_like(rows), where=heavy)
        done = self._call(
            sinkhorn_plan, problem.cost.values, epsilon, self.f, self.g,
            row_weight=self.row_weight, log_a=problem.log_a if is_exact else None,
            precise=precise, out=self.plan, **options,
        )  # fmt: skip
        self._row_weight = problem.cost.side.beside(self.row_weight)
        self.sweeps.spend(1)
        self._look_at(done.column_sums, epsilon, precise)
        self.column_squares = done.column_squares

    def _call(self, kernel, *args, **options):
        """Call a kernel that may write f, where the costs are."""
        return self.problem.cost.side.call(kernel, *args, written=(self.f,), **options)

    def _look_at(self, column_sums, epsilon, precise):
        """Gradient, error and dual objective, from the sums of the columns."""
        problem, self.column_sums = self.problem, column_sums
        wanted = _relaxed(problem.b, self.g, problem.rho_b)
        self.gradient = wanted - column_sums
        self.penalty = 0.0 if np.isinf(problem.rho_b) else epsilon / problem.rho_b * wanted
        self.steps = column_steps(problem, epsilon, self.g, column_sums)
        plan_mass = column_sums.sum()
        if not problem.is_balanced and plan_mass > 0:
            self.mass = min(problem.mass, plan_mass)
        self.error = float(column_errors(problem, epsilon, self.g, column_sums)) / self.mass
        self.dual = float(dual_value(problem, epsilon, self.f, self.g, plan_mass))
        terms = [
            np.abs(weight * np.where(weight > 0, potential, 0.0)).sum()
            for weight, potential in ((problem.a, self.f), (problem.b, self.g))
        ]
        unit = 2.0**-52 if precise or self.plan.dtype == np.float64 else 2.0**-24
        self.rounding = 4 * unit * float(sum(terms))

    def product(self, vector):
        """``P' diag(tau_a / r) P vector``."""
        self.sweeps.spend(1)
        arguments = self.plan, self._row_weight, vector
        return self._call(weighted_gram_product, *arguments, **self.sweeps.options)


def _relaxed(weight, potential, rho):
    """The mass that a marginal has at the optimum given its potential."""
    if np.isinf(rho) or rho == 0:
        return weight
    exponent = np.where(weight > 0, -potential / rho, 0.0)
    return weight * np.exp(np.minimum(exponent, _LARGEST_EXPONENT))


def _stage(side, epsilon, tol, last):
    """Solve at one epsilon."""
    sweeps = side.sweeps
    precise = tol < 8 * sweeps.floor(epsilon)
    side.move(side.g, epsilon, precise)
    steps = 0
    while side.error > tol and sweeps.is_active and (last or steps < _STAGE_STEPS):
        if last:
            sweeps.history.append((side.error, side.dual))
        if np.abs(side.steps).max() > _FAR:
            plain = np.clip(side.steps, -_LARGEST_STEP, _LARGEST_STEP)
            side.move(side.g + epsilon * plain, epsilon, precise)
        elif not _newton_step(side, epsilon, tol, precise):
            return
        sweeps.report(side.error)
        steps += 1


def _newton_step(side, epsilon, tol, precise):
    """Step towards the solution of the Newton equation; whether the dual allowed any."""
    step = _conjugate_gradients(side, tol)
    np.clip(step, -_LARGEST_STEP, _LARGEST_STEP, out=step)
    g, dual, error = side.g.copy(), side.dual, side.error
    slope = epsilon * float((side.gradient * step).sum())

    def gain_at(length):
        side.move(g + length * epsilon * step, epsilon, precise)
        return side.dual - dual

    length = 1.0
    while length >= _SHORTEST and side.sweeps.left > 0:
        gain = gain_at(length)
        if gain >= _ARMIJO * length * slope or (gain >= -side.rounding and side.error < error):
            break
        length /= 2
    else:
        side.g[:] = g
        return False
    if length == 1.0 and gain > side.rounding and side.sweeps.left > 0:
        _lengthen(gain_at, gain, slope)
    return True


def _lengthen(gain_at, gain, slope):
    """Go on while the dual rises in a straight line: a group of columns is far from the others.

    Such a group is tied to the rest by entries too small to be seen; the step of each of its
    columns was cut at the largest one.
    """
    length = 1.0
    while gain >= _STRAIGHT * length * slope > 0:
        further = gain_at(_STRETCH * length)
        if further <= gain:
            gain_at(length)
            return
        length, gain = _STRETCH * length, further


def _conjugate_gradients(side, tol):
    """Solve ``(epsilon H + damping) x = gradient`` roughly; O(m) beside the products."""
    norm = np.abs(side.gradient).sum()
    relative = min(1.0, norm / side.mass)
    noise = _NOISE[side.plan.dtype.type]
    damping = max(_LEVENBERG * relative, noise) * side.column_sums
    curvature = side.column_sums + side.penalty + damping
    diagonal = np.maximum(curvature - side.column_squares, damping)
    diagonal[diagonal <= 0] = np.inf  # columns without mass stay
    residual = side.gradient.copy()
    forcing = min(_FORCING, max(_FINEST, np.sqrt(relative)))
    wanted = max(forcing * norm, _OVERSOLVED * tol * side.mass)
    x = np.zeros_like(residual)
    direction = scaled = residual / diagonal
    inner = float((residual * scaled).sum())
    for _ in range(min(_MOST_PRODUCTS, side.sweeps.left)):
        image = curvature * direction - side.product(direction)
        if side.problem.is_balanced:  # what rounding puts on constants
            image -= curvature * (image.sum() / curvature.sum())
        bend = float((direction * image).sum())
        if not bend > 0:  # rounding has eaten the rest
            break
        x += (inner / bend) * direction
        residual -= (inner / bend) * image
        if np.abs(residual).sum() <= wanted:
            break
        scaled = residual / diagonal
        previous, inner = inner, float((residual * scaled).sum())
        direction = scaled + (inner / previous) * direction
    return x
