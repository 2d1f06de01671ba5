"""Ascent for a part of the mass: every sweep is that of a plain version, and so are the stages."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.special import logsumexp

from clusterlib.solvers import PointCost, partial_sinkhorn
from clusterlib.solvers.momentum import Momentum
from clusterlib.solvers.partial_ascent import PartialAscent, best_level
from clusterlib.solvers.transport_problem import transport_problem

SHARE = 1.3  # mass of the columns, if that of the rows is 1


def problem(n=14, m=11, seed=0):
    rng = np.random.default_rng(seed)
    cost = rng.random((n, m))
    cost -= cost.min()
    a, b = rng.dirichlet(np.full(n, 3.0)), SHARE * rng.dirichlet(np.full(m, 3.0))
    return cost / cost.max(), a, b


class Plain:
    """The ascent in the notation of its documentation, for costs with the range 0 to 1."""

    def __init__(self, cost, a, b, mass, noise):
        self.cost, self.a, self.b, self.mass, self.noise = cost, a, b, mass, noise
        self.f, self.g, self.level = np.zeros(len(a)), None, None
        self.n_sweeps, self.history = 0, []

    def steps(self, epsilon):
        """Plain steps of the columns."""
        logs = logsumexp((self.f[:, None] - self.cost) / epsilon, axis=0)
        return epsilon * (np.log(self.b) - logs)

    def step_of_rows(self, epsilon):
        self.n_sweeps += 1
        logs = logsumexp((self.g - self.cost) / epsilon, axis=1)
        most = 0.0 if self.mass < self.a.sum() * (1 - 1e-12) else np.inf
        self.f = np.minimum(most, epsilon * (np.log(self.a) - logs))

    def start(self, epsilon):
        self.n_sweeps += 1
        steps = self.steps(epsilon)
        self.level = best_level(steps, self.b, self.mass, epsilon)
        self.g = np.minimum(self.level, steps)

    def ascend(self, epsilon, tol, budget):
        momentum = Momentum(self.noise, self.mass * (1 + epsilon))
        before = at = np.append(self.g, self.level)
        for left in range(budget, 0, -1):
            self.g, self.level = at[:-1], at[-1]
            self.step_of_rows(epsilon)
            sums = np.exp((self.f[:, None] + self.g - self.cost) / epsilon).sum(axis=0)
            steps = self.steps(epsilon)
            best = best_level(steps, self.b, self.mass, epsilon)
            wanted = self.b * np.exp(np.minimum(0, (best - steps) / epsilon))
            error = np.abs(sums - wanted).sum() / self.mass
            dual = self.level * self.mass + self.a @ self.f
            dual += self.b @ (self.g - self.level) - epsilon * sums.sum()
            self.history.append((error, dual))
            if error <= tol or left == 1:
                break
            step, inertia = momentum.weights(error, dual)
            target = np.append(np.minimum(best, steps), best)
            ahead = at + step * (target - at) + inertia * (at - before)
            before, at = at, np.append(np.minimum(ahead[:-1], ahead[-1]), ahead[-1])

    def run(self, epsilon, tol, max_iter, warm=False):
        stage = epsilon if warm else max(epsilon, 0.02)
        self.start(stage)
        while stage > epsilon:
            self.ascend(stage, 0.1, min(100, (max_iter - self.n_sweeps) // 2))
            stage = max(epsilon, stage / 4)
        self.history.clear()
        self.ascend(epsilon, tol, max_iter - self.n_sweeps)


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("mass", [0.4, 0.95, 1.0])
@pytest.mark.parametrize(
    ("epsilon", "max_iter"), [(0.05, 4), (0.05, 40), (0.004, 13), (0.001, 61), (0.001, 400)]
)
def test_every_sweep_is_that_of_a_plain_ascent(epsilon, max_iter, mass, warm):
    cost, a, b = problem()
    plain = Plain(cost, a, b, mass, 1e-14)
    options = {"a": a, "b": b, "tol": 1e-5, "max_iter": max_iter}
    if warm:
        plain.f = -0.1 * np.random.default_rng(1).random(len(a))
        options["f"] = plain.f.copy()
    plain.run(epsilon, 1e-5, max_iter, warm)
    result = partial_sinkhorn(cost, epsilon, mass, **options)
    assert result.n_iter == plain.n_sweeps
    assert_allclose(result.history, plain.history, rtol=1e-6, atol=1e-10)
    assert (result.marginal_error, result.dual) == tuple(result.history[-1])
    assert result.converged == (plain.history[-1][0] <= 1e-5)
    top = max(0.0, plain.f.max())
    assert_allclose(result.f, plain.f - top, atol=1e-9)
    assert_allclose(result.g, plain.g + top, atol=1e-9)
    assert_allclose(result.level, plain.level + top, atol=1e-9)


@pytest.mark.parametrize("epsilon", [0.05, 0.001])
def test_narrow_costs_end_in_wide_sweeps(epsilon):
    cost, a, b = problem(60, 70)
    narrow = cost.astype(np.float32)
    wide = partial_sinkhorn(narrow.astype(float), epsilon, 0.6, a=a, b=b, tol=1e-9)
    result = partial_sinkhorn(narrow, epsilon, 0.6, a=a, b=b, tol=1e-9)
    assert result.converged
    assert_allclose(result.value, wide.value, rtol=1e-8)
    # What float32 has left to do is little: its error was near its rounding, 1e-6 of 1 / epsilon.
    assert result.history[0, 0] <= 1e-5 / epsilon
    assert len(result.history) < len(wide.history)
    # One sweep is kept for float64.
    short = partial_sinkhorn(narrow, epsilon, 0.6, a=a, b=b, tol=1e-9, max_iter=7)
    assert (len(short.history), short.n_iter) == (1, 7)


@pytest.mark.parametrize(("dtype", "lost"), [(np.float32, 60.0), (np.float64, 600.0)])
@pytest.mark.parametrize("carrier", ["points", "matrix"])
def test_sums_that_vanish_are_computed_anew(dtype, lost, carrier):
    rng = np.random.default_rng(0)
    X, Y = rng.random((6, 2)).astype(dtype), rng.random((5, 2)).astype(dtype)
    dense = np.square(X[:, None].astype(float) - Y).sum(axis=2)
    cost = PointCost(X, Y) if carrier == "points" else dense.astype(dtype)
    problem = transport_problem(cost, np.ones(6), np.array([1.0, 1.0, 0.0, 1.0, 1.0]), rho_a=1.0)
    ascent = PartialAscent(problem, 0.5, np.zeros(6), {"n_threads": 1, "backend": None})
    epsilon = 0.1
    depth = np.array([0.0, lost - 5, np.inf, lost + 20, 100 * lost])
    ascent.g = -epsilon * depth
    sums = ascent._sweep(problem.cost, epsilon)
    present = np.isfinite(depth)
    logs = logsumexp((ascent.f[:, None] + ascent.g - dense) / epsilon, axis=0)[present]
    found = ascent._logs(problem.cost, epsilon, sums)
    assert_allclose(found, logs, rtol=1e-4 if dtype == np.float32 else 1e-12)
    # Wrong sums are believed where nothing can have been lost, and left aside elsewhere.
    believed = ascent._logs(problem.cost, epsilon, sums * 1.5) - found
    assert_allclose(believed, np.where(found > -lost, np.log(1.5), 0), atol=1e-6)


def test_levels_of_ties_and_of_all_the_mass():
    steps, b = np.array([1.0, 3.0, 1.0, 2.0]), np.array([0.1, 0.2, 0.3, 0.4])
    assert best_level(steps, b, 1.0, 0.5) == 3.0
    assert best_level(steps, b, 1.0 - 1e-13, 0.5) == 3.0
    below = best_level(steps, b, 1.0 - 1e-11, 0.5)
    assert_allclose(0.2 * -np.expm1((below - 3.0) / 0.5), 1e-11, rtol=1e-3)
    # The first two are full at 1, where the others take 0.2 exp(-4) + 0.4 exp(-2).
    at_one = 0.4 + 0.2 * np.exp(-4) + 0.4 * np.exp(-2)
    for mass in (at_one - 0.01, at_one, at_one + 0.01):
        level = best_level(steps, b, mass, 0.5)
        assert_allclose(b @ np.exp(np.minimum(0, (level - steps) / 0.5)), mass, rtol=1e-13)
        assert (level > 1.0 + 1e-9) == (mass > at_one)
