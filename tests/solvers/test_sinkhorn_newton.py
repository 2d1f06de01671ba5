"""Newton's method on the semi-dual, step for step beside one of dense matrices."""

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.solvers import sinkhorn_newton
from clusterlib.solvers.sinkhorn_newton import newton
from clusterlib.solvers.sinkhorn_sweeps import Sweeps
from clusterlib.solvers.transport_problem import transport_problem


class Dense:
    """The method of ``docs/methods/sinkhorn.md`` for one right-hand side, with H as a matrix."""

    stage_steps, shortest, armijo, most_products = 60, 1e-4, 1e-4, 500

    def __init__(self, C, a, b, rho, epsilon, tol, left, noise=1e-15, unit=2.0**-52):
        self.C, self.a, self.b, self.rho, self.wanted = C, a, b, rho, epsilon
        self.tol, self.left, self.noise, self.unit = tol, left, noise, unit
        self.most = self.mass = min(a.sum(), b.sum())
        self.history, self.reports = [], 0

    def tau(self, side):
        rho = self.rho[side]
        return 1.0 if np.isinf(rho) else rho / (rho + self.epsilon)

    def move(self, g):
        """Plan, gradient, H times epsilon and dual at g, with the best f."""
        a, b, (rho_a, rho_b) = self.a, self.b, self.rho
        exponent = np.where(b > 0, g - self.C, -np.inf) / self.epsilon
        with np.errstate(divide="ignore"):
            f = self.tau(0) * self.epsilon * (np.log(a) - logsumexp(exponent, axis=1))
        plan = np.exp(f[:, None] / self.epsilon + exponent)
        self.left -= 1 if np.isinf(rho_a) else 2
        rows, self.sums = plan.sum(axis=1), plan.sum(axis=0)
        inverse = np.divide(self.tau(0), rows, out=np.zeros_like(rows), where=rows > 0)
        target = b if np.isinf(rho_b) else b * np.exp(-np.where(b > 0, g, 0.0) / rho_b)
        self.penalty = 0.0 if np.isinf(rho_b) else self.epsilon / rho_b * target
        self.gram = plan.T @ (inverse[:, None] * plan)
        self.gradient = target - self.sums
        with np.errstate(divide="ignore", invalid="ignore"):
            steps = self.tau(1) * (np.log(b) - np.log(self.sums) + g / self.epsilon)
            self.steps = np.where(b > 0, steps - g / self.epsilon, 0.0)
        if not np.isinf(self.rho).all():
            self.mass = min(self.most, plan.sum())
        self.error = np.abs(self.sums * np.expm1(self.steps)).sum() / self.mass
        f, g = np.where(a > 0, f, 0.0), np.where(b > 0, g, 0.0)
        self.dual = -self.epsilon * plan.sum() + sum(
            (w * p).sum() if np.isinf(r) else (r * w * (1 - np.exp(-p / r))).sum()
            for w, p, r in ((a, f, rho_a), (b, g, rho_b))
        )
        self.rounding = 4 * self.unit * sum(np.abs(w * p).sum() for w, p in ((a, f), (b, g)))
        self.g = np.where(b > 0, g, -np.inf)

    def run(self, g, is_warm):
        halvings = 0
        if not is_warm:
            halvings = max(0, int(np.log2(np.abs(self.C).max() / self.wanted / 4)))
        self.g = g
        for k in range(halvings, -1, -1):
            if self.left <= 0:
                return
            self.epsilon = self.wanted * 2.0**k
            self.stage(3e-2 if k else self.tol * self.most / self.mass, k == 0)

    def stage(self, tol, last):
        self.move(self.g)
        steps = 0
        while self.error > tol and self.left > 0 and (last or steps < self.stage_steps):
            if last:
                self.history.append((self.error, self.dual))
            if np.abs(self.steps).max() > 2:
                self.move(self.g + self.epsilon * np.clip(self.steps, -10, 10))
            elif not self.newton_step(tol):
                return
            self.reports += 1
            steps += 1

    def newton_step(self, tol):
        step = np.clip(self.conjugate_gradients(tol), -10, 10)
        g, dual, error = self.g, self.dual, self.error
        slope = self.epsilon * self.gradient @ step

        def gain_at(length):
            self.move(g + length * self.epsilon * step)
            return self.dual - dual

        length = 1.0
        while True:
            if length < self.shortest or self.left <= 0:
                self.g = g
                return False
            gain = gain_at(length)
            if gain >= self.armijo * length * slope or (
                gain >= -self.rounding and self.error < error
            ):
                break
            length /= 2
        if length < 1 or gain <= self.rounding or self.left <= 0:
            return True
        while gain >= 0.9 * length * slope > 0:  # a straight line
            further = gain_at(4 * length)
            if further <= gain:
                gain_at(length)
                break
            length, gain = 4 * length, further
        return True

    def conjugate_gradients(self, tol):
        norm = np.abs(self.gradient).sum()
        relative = min(1.0, norm / self.mass)
        damping = max(1e-4 * relative, self.noise) * self.sums
        diagonal = self.sums + self.penalty + damping
        matrix = np.diag(diagonal) - self.gram
        scale = np.maximum(diagonal - np.diag(self.gram), damping)
        scale = np.where(scale > 0, scale, np.inf)
        wanted = max(min(0.25, max(0.01, np.sqrt(relative))) * norm, 0.3 * tol * self.mass)
        x, residual = np.zeros(len(self.sums)), self.gradient.copy()
        direction = residual / scale
        for _ in range(min(self.most_products, self.left)):
            image = matrix @ direction
            self.left -= 1
            if np.isinf(self.rho).all():
                image -= diagonal * image.sum() / diagonal.sum()
            bend = direction @ image
            if not bend > 0:
                break
            before = residual @ (residual / scale)
            x = x + before / bend * direction
            residual = residual - before / bend * image
            if np.abs(residual).sum() <= wanted:
                break
            direction = residual / scale + residual @ (residual / scale) / before * direction
        return x


def random_problem(n=14, m=11, seed=0, power=1.0):
    rng = np.random.default_rng(seed)
    a, b = rng.uniform(size=n) ** power, rng.uniform(size=m) ** power
    return rng.uniform(size=(n, m)), a / a.sum(), b / b.sum()


def far_groups():
    """A little more mass on the left of one side: whole groups have to move far."""
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(size=9), 5 + rng.uniform(size=6)])
    y = np.concatenate([rng.uniform(size=8), 5 + rng.uniform(size=7)])
    return np.abs(np.subtract.outer(x, y)), np.full(15, 1 / 15), np.full(15, 1 / 15)


def without_weight():
    C, a, b = random_problem(seed=3)
    a[2], b[[0, 5]] = 0.0, 0.0
    return C, a, b * a.sum() / b.sum()


CASES = {
    "path": (random_problem(), (np.inf, np.inf), 0.01),
    "heavy": (random_problem(seed=4, power=6), (np.inf, np.inf), 0.01),
    "one stage": (random_problem(), (np.inf, np.inf), 0.2),
    "far groups": (far_groups(), (np.inf, np.inf), 0.02),
    "without weight": (without_weight(), (np.inf, np.inf), 0.02),
    "relaxed rows": (random_problem(seed=5), (0.1, np.inf), 0.02),
    "relaxed columns": (random_problem(seed=6), (np.inf, 0.2), 0.02),
    "both relaxed": (random_problem(seed=7), (0.05, 0.3), 0.02),
}


def both(case, max_iter, *, tol=1e-9, dtype=np.float64, mass=1.0, start=None, **floats):
    """Newton's method and its double, from one plain sweep on."""
    (C, a, b), rho, epsilon = CASES[case]
    problem = transport_problem(C.astype(dtype), mass * a, mass * b, rho_a=rho[0], rho_b=rho[1])
    reports = []
    sweeps = Sweeps(
        problem, epsilon, g=start, max_iter=max_iter, tol=tol, callback=lambda *_: reports.append(0)
    )
    sweeps.iterate(1)
    dense = Dense(C, problem.a, problem.b, rho, epsilon, tol, sweeps.left, **floats)
    dense.run(sweeps.g.copy(), is_warm=sweeps.error <= 0.01)
    newton(sweeps)
    assert len(reports) - 1 == dense.reports
    return sweeps, dense


def assert_same(sweeps, dense, atol=1e-9):
    assert sweeps.left == dense.left
    np.testing.assert_allclose(sweeps.g, dense.g, atol=atol)
    rows = np.array(dense.history).reshape(-1, 2)
    np.testing.assert_allclose(np.array(sweeps.history)[1:].reshape(-1, 2), rows, atol=atol)


@pytest.mark.parametrize("max_iter", [2, 3, 12, 25, 40, 60])
@pytest.mark.parametrize("case", CASES)
def test_every_step_is_that_of_dense_matrices(case, max_iter):
    assert_same(*both(case, max_iter))


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("tol", [1e-2, 1e-3, 1e-5])
def test_the_tolerance_is_met_and_no_more(case, tol):
    sweeps, dense = both(case, 700, tol=tol)
    assert_same(sweeps, dense, atol=1e-7)
    assert dense.error <= tol * dense.most / dense.mass


@pytest.mark.parametrize("case", ["path", "both relaxed", "relaxed columns"])
def test_masses_are_no_matter(case):
    sweeps, dense = both(case, 60, mass=1000.0)
    np.testing.assert_allclose(sweeps.g, dense.g, atol=1e-9)
    np.testing.assert_allclose(np.array(sweeps.history)[1:, 0], np.array(dense.history)[:, 0])
    np.testing.assert_allclose(np.array(sweeps.history)[1:, 1], np.array(dense.history)[:, 1])


@pytest.mark.parametrize("off", [3e-5, 1e-3, 0.02])
@pytest.mark.parametrize("case", ["path", "relaxed rows", "both relaxed"])
def test_no_path_is_taken_from_near_the_optimum(case, off):
    near = both(case, 700)[0].g
    start = near + off * np.random.default_rng(0).uniform(size=len(near))
    for max_iter in (6, 100):
        sweeps, dense = both(case, max_iter, start=start)
        assert_same(sweeps, dense)


@pytest.mark.parametrize("max_iter", [8, 20, 30])
@pytest.mark.parametrize("case", CASES)
def test_narrow_plans_lead_to_the_same_steps(case, max_iter):
    sweeps, dense = both(case, max_iter, tol=1e-3, dtype=np.float32, noise=1e-6, unit=2.0**-24)
    assert_same(sweeps, dense, atol=2e-4)


@pytest.mark.parametrize("warm", [None, 0, 1])
def test_right_hand_sides_follow_each_other(warm):
    C, a, b = random_problem()
    _, _, other = random_problem(seed=8)
    problem, start = transport_problem(C, a, np.stack([b, other])), np.zeros((2, 11))
    if warm is not None:  # one of them needs no path
        near = Sweeps(problem, 0.05, max_iter=400, tol=1e-6)
        near.iterate(400)
        start[warm] = near.g[warm] + 1e-4 * np.arange(11)
    sweeps = Sweeps(problem, 0.05, g=start, max_iter=400, tol=1e-9)
    sweeps.iterate(1)
    errors, left, rows = sweeps.errors.copy(), sweeps.left, []
    expected = sweeps.g.copy()
    for index, weights in enumerate(problem.b):
        dense = Dense(C, a, weights, (np.inf, np.inf), 0.05, 1e-9, left)
        dense.run(expected[index], is_warm=errors[index] <= 0.01)
        expected[index], left = dense.g, dense.left
        rows += dense.history
    assert (errors <= 0.01).sum() == (warm is not None)
    newton(sweeps)
    assert sweeps.left == left > 0
    np.testing.assert_allclose(sweeps.g, expected, atol=1e-8)
    np.testing.assert_allclose(sweeps.history[1:], rows, atol=1e-8)


def test_a_callback_ends_it_between_two_steps():
    (C, a, b), _, epsilon = CASES["path"]
    counts = []
    for most in (2, 4):
        seen = []
        sweeps = Sweeps(
            transport_problem(C, a, b), epsilon, max_iter=500, tol=1e-9,
            callback=lambda g, history, seen=seen, most=most: seen.append(g) or len(seen) == most,
        )  # fmt: skip
        sweeps.iterate(1)
        newton(sweeps)
        assert len(seen) == most
        counts.append(sweeps.n_iter)
    assert counts[0] < counts[1] < 100


@pytest.mark.parametrize(
    "limits",
    [
        {"stage_steps": 1},
        {"stage_steps": 2},
        {"most_products": 2},
        {"armijo": 0.7},
        {"armijo": 0.97, "shortest": 0.25},
        {"armijo": 1.5, "shortest": 0.5},
    ],
    ids=str,
)
@pytest.mark.parametrize("case", CASES)
def test_limits_that_are_seldom_met_are_kept(monkeypatch, case, limits):
    for name, value in limits.items():
        monkeypatch.setattr(sinkhorn_newton, f"_{name.upper()}", value)
        monkeypatch.setattr(Dense, name, value)
    for max_iter in (20, 45):
        assert_same(*both(case, max_iter))


@pytest.mark.parametrize("precise", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_what_is_known_of_a_point(case, dtype, precise):
    (C, a, b), rho, epsilon = CASES[case]
    problem = transport_problem(C.astype(dtype), a, b, rho_a=rho[0], rho_b=rho[1])
    sweeps = Sweeps(problem, epsilon, max_iter=90, tol=1e-9)
    side = sinkhorn_newton._SemiDual(sweeps, ..., np.empty(C.shape, dtype))
    is_wide = precise or dtype is np.float64
    dense = Dense(C, problem.a, problem.b, rho, epsilon, 1e-9, 90)
    dense.unit, dense.epsilon = 2.0**-52 if is_wide else 2.0**-24, epsilon
    g = np.random.default_rng(1).uniform(-0.1, 0.1, size=len(b))
    dense.move(np.where(b > 0, g, -np.inf))
    side.move(np.where(b > 0, g, -np.inf), epsilon, precise)
    close = {"rtol": 1e-3, "atol": 1e-5} if dtype is np.float32 else {"rtol": 1e-9, "atol": 1e-12}
    for name in ("gradient", "steps", "error", "dual", "mass", "rounding", "penalty"):
        np.testing.assert_allclose(getattr(side, name), getattr(dense, name), **close)
    np.testing.assert_allclose(side.column_squares, np.diag(dense.gram), **close)
    vector = np.linspace(-1, 1, len(b))
    np.testing.assert_allclose(side.product(vector), dense.gram @ vector, **close)


def test_a_plan_without_any_mass_is_compared_with_the_weights():
    problem = transport_problem(1e4 + np.eye(3), rho_a=6.0, rho_b=0.6)
    sweeps = Sweeps(problem, 0.4, max_iter=9, tol=1e-9)
    side = sinkhorn_newton._SemiDual(sweeps, ..., np.empty((3, 3)))
    side.move(np.zeros(3), 0.4, False)
    assert side.column_sums.sum() == 0
    assert side.mass == problem.mass == 1.0
