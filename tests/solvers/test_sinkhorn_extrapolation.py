"""Anderson acceleration beside a plain one that solves its small problems by least squares."""

from itertools import count

import numpy as np
import pytest

from clusterlib.solvers.cost_matrix import CostMatrix
from clusterlib.solvers.sinkhorn_extrapolation import extrapolate
from clusterlib.solvers.sinkhorn_sweeps import Sweeps
from clusterlib.solvers.transport_problem import TransportProblem
from tests.solvers.dense_sinkhorn import Dense, random_weights


class Plain:
    """Sweeps of right-hand sides that stop together, mixed by least squares."""

    def __init__(self, problems, max_iter, tol):
        self.problems, self.left, self.tol = problems, max_iter, tol
        self.g = [np.zeros(one.C.shape[1]) for one in problems]
        self.masses = [min(one.a.sum(), one.b.sum()) for one in problems]
        self.error, self.is_done, self.n_returns = np.inf, False, 0

    def sweep(self, n=1):
        """Plain steps, but not beyond an error that is small enough."""
        for _ in range(n):
            if self.is_done or self.left <= 0:
                return
            steps = [one.step(g) for one, g in zip(self.problems, self.g, strict=True)]
            self.left -= 1
            self.error = max(step[2] for step in steps) / min(self.masses)
            if self.error > self.tol:
                self.g = [step[4] for step in steps]
                continue
            if not np.isinf(self.problems[0].rho).all():  # also in parts of the mass of the plan
                (one,), (g,) = self.problems, self.g
                f = one.rows(g)
                self.left -= 1
                self.masses = [min(*self.masses, one.plan(f, g).sum())]
                self.error = one.error(f, g) / self.masses[0]
            self.is_done = self.error <= self.tol

    def run(self):
        """Sweep and mix to the end."""
        lowest, good, past = np.inf, None, []
        while not self.is_done and self.left > 0:
            x = list(self.g)
            self.sweep()
            if self.is_done or self.left <= 0:
                return
            if self.error > max(1.5 * lowest, self.tol):
                self.g, past = list(good), []
                self.n_returns += 1
                self.sweep(3)
                lowest, good = self.error, list(self.g)
                continue
            lowest, good = min(lowest, self.error), x
            past = [*past, (x, list(self.g))][-6:]
            if len(past) > 1:
                self.g = [self.mixed(r, past) for r in range(len(x))]

    def mixed(self, r, past):
        """The combination of the last maps with the smallest residual in the norm of b."""
        one, here = self.problems[r], self.problems[r].b > 0
        weight = one.b[here] / one.b.sum()
        x, maps = (np.array([step[k][r][here] for step in past]) for k in (0, 1))
        residuals = maps - x
        if np.isinf(one.rho).all():
            residuals = residuals - (residuals @ weight)[:, None]
        changes, steps = np.diff(residuals, axis=0), np.diff(x, axis=0)
        norms = np.sqrt(changes**2 @ weight)[:, None]
        changes, steps = changes / norms, steps / norms
        matrix = np.vstack([(changes * np.sqrt(weight)).T, 1e-5 * np.eye(len(changes))])
        wanted = np.append(residuals[-1] * np.sqrt(weight), np.zeros(len(changes)))
        mixture = np.linalg.lstsq(matrix, wanted)[0]
        g = np.full(len(here), -np.inf)
        g[here] = x[-1] + residuals[-1] - mixture @ (steps + changes)
        return g


def both(problems, max_iter, tol=1e-8, is_hopeless=None):
    stacked = problems[0]
    a, b = (np.stack([getattr(one, side) for one in problems]) for side in "ab")
    if len(problems) == 1:
        a, b = a[0], b[0]
    problem = TransportProblem(CostMatrix.checked(stacked.C), a, b, *stacked.rho)
    sweeps = Sweeps(problem, stacked.epsilon, max_iter=max_iter, tol=tol)
    extrapolate(sweeps, is_hopeless)
    plain = Plain(problems, max_iter, tol)
    plain.run()
    return sweeps, plain


def some_problem(rho=(np.inf, np.inf), epsilon=0.03, seed=0):
    rng = np.random.default_rng(seed)
    a, b = random_weights(12, rng), random_weights(10, rng)
    a[3], b[[0, 4]] = 0.0, 0.0
    return Dense(rng.uniform(size=(12, 10)), a, b * a.sum() / b.sum(), rho, epsilon)


@pytest.mark.parametrize("max_iter", [1, 2, 3, 4, 6, 9, 14, 20, 400])
@pytest.mark.parametrize("rho", [(np.inf, np.inf), (0.3, np.inf), (np.inf, 0.2), (0.4, 0.3)])
def test_every_sweep_is_that_of_plain_least_squares(rho, max_iter):
    sweeps, plain = both([some_problem(rho)], max_iter)
    assert sweeps.left == plain.left
    assert sweeps.is_done == plain.is_done
    assert plain.is_done or max_iter < 400
    scale = 1e-6 if max_iter < 400 else 1e-4
    np.testing.assert_allclose(np.exp(sweeps.g), np.exp(plain.g[0]), rtol=scale)
    assert sweeps.error == pytest.approx(plain.error, rel=0.1 if plain.is_done else 1e-3)


def hard_problem():
    rng = np.random.default_rng(3)
    a, b = random_weights(12, rng) ** 4, random_weights(12, rng) ** 4
    return Dense(rng.uniform(size=(12, 12)), a / a.sum(), b / b.sum(), (np.inf, np.inf), 0.004)


@pytest.mark.parametrize("seed", range(1, 6))
def test_errors_that_grow_bring_the_last_good_potentials_back(seed):
    problem = hard_problem()
    problem.C = np.random.default_rng(seed).uniform(size=(12, 12))
    for max_iter in (10, 14, 18, 22, 26, 30):
        sweeps, plain = both([problem], max_iter)
        assert sweeps.left == plain.left
        np.testing.assert_allclose(sweeps.g, plain.g[0], atol=1e-6)
    assert plain.n_returns > 0


@pytest.mark.parametrize("max_iter", [2, 3, 7, 12, 30])
def test_right_hand_sides_are_mixed_each_by_itself(max_iter):
    problems = [some_problem(seed=seed) for seed in (0, 1, 2)]
    for one, mass in zip(problems, (1.0, 3.0, 0.4), strict=True):
        one.C = problems[0].C
        one.a, one.b = mass * problems[0].a, mass * one.b * problems[0].a.sum() / one.b.sum()
    sweeps, plain = both(problems, max_iter)
    assert sweeps.left == plain.left
    np.testing.assert_allclose(np.exp(sweeps.g), np.exp(plain.g), rtol=1e-6)
    assert sweeps.error == pytest.approx(plain.error, rel=1e-4)


@pytest.mark.parametrize("most", [1, 2, 5])
def test_an_attempt_ends_after_the_sweep_that_looks_hopeless(most):
    asked = count(1)
    sweeps, _ = both([some_problem()], 100, is_hopeless=lambda sweeps: next(asked) == most)
    assert sweeps.n_iter == most
    assert not sweeps.is_done
    dense = some_problem()
    if most == 1:  # the plain step was taken, and nothing was mixed
        np.testing.assert_allclose(np.exp(sweeps.g), np.exp(dense.step(np.zeros(10))[4]))


def test_narrow_plans_end_wide_with_as_many_sweeps_and_a_look_more():
    dense = some_problem()
    narrow = TransportProblem(CostMatrix.checked(dense.C.astype(np.float32)), dense.a, dense.b)
    sweeps = Sweeps(narrow, dense.epsilon, max_iter=400, tol=1e-9)
    extrapolate(sweeps)
    wide, _ = both([dense], 400, tol=1e-9)
    assert sweeps.is_done
    assert sweeps.is_precise
    assert abs(sweeps.n_iter - wide.n_iter) <= 3
    here = dense.b > 0
    assert np.ptp(sweeps.g[here] - wide.g[here]) < 1e-6
