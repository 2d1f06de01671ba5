"""Iterations of the scaling form are plain Sinkhorn iterations, only cheaper."""

import numpy as np
import pytest

from clusterlib.solvers.cost_matrix import CostMatrix
from clusterlib.solvers.sinkhorn_scaling import scaling
from clusterlib.solvers.sinkhorn_sweeps import Sweeps
from clusterlib.solvers.transport_problem import TransportProblem
from tests.solvers.dense_sinkhorn import Dense, random_weights


def some_problem(epsilon=0.05, mass=1.0, seed=0):
    rng = np.random.default_rng(seed)
    a, b = random_weights(12, rng), random_weights(10, rng)
    a[3], b[[0, 4]] = 0.0, 0.0
    C = rng.uniform(size=(12, 10))
    return Dense(C, mass * a, mass * b * a.sum() / b.sum(), epsilon=epsilon)


def scaled(dense, *, dtype=np.float64, **options):
    problem = TransportProblem(CostMatrix.checked(dense.C.astype(dtype)), dense.a, dense.b)
    sweeps = Sweeps(problem, dense.epsilon, **options)
    scaling(sweeps)
    return sweeps


def iterated(dense, n):
    g, seen = np.zeros(len(dense.b)), []
    for _ in range(n):
        _, _, error, dual, g = dense.step(g)
        seen.append((error / dense.a.sum(), dual))
    return g, np.array(seen)


@pytest.mark.parametrize("mass", [1.0, 200.0])
@pytest.mark.parametrize("max_iter", [1, 2, 3, 4, 5, 9, 20])
def test_it_does_plain_iterations_but_for_the_sweep_that_builds_the_plan(max_iter, mass):
    dense = some_problem(mass=mass)
    sweeps = scaled(dense, max_iter=max_iter, tol=1e-14)
    assert sweeps.n_iter == max_iter
    n = max_iter if max_iter < 3 else max_iter - 1
    g, seen = iterated(dense, n)
    np.testing.assert_allclose(np.exp(sweeps.g), np.exp(g), rtol=1e-8)
    np.testing.assert_allclose([error for error, _ in sweeps.history], seen[:, 0], rtol=1e-7)
    # What follows the first two is a bound from below for the dual, which rises.
    duals = [dual for _, dual in sweeps.history]
    np.testing.assert_allclose(duals[:2], seen[:2, 1])
    np.testing.assert_allclose(duals[2:], seen[min(n, 2) - 1, 1])


@pytest.mark.parametrize("tol", [1e-3, 1e-6])
def test_it_ends_with_the_first_error_within_the_tolerance(tol):
    dense = some_problem()
    sweeps = scaled(dense, max_iter=500, tol=tol)
    _, seen = iterated(dense, 400)
    n = 1 + int(np.argmax(seen[:, 0] <= tol))
    assert sweeps.n_iter == n + 1
    assert not sweeps.is_done  # that is left to a sweep in the log domain
    g, _ = iterated(dense, n - 1)
    np.testing.assert_allclose(np.exp(sweeps.g), np.exp(g), rtol=1e-6)
    f = dense.rows(g)
    np.testing.assert_allclose(np.exp(sweeps.f), np.exp(f), rtol=1e-6)


def test_two_sweeps_are_enough_for_easy_problems():
    sweeps = scaled(some_problem(epsilon=2.0), max_iter=500, tol=0.02)
    assert sweeps.is_done
    assert sweeps.n_iter <= 2


def test_plans_are_built_anew_where_scalings_leave_their_range():
    # Two groups with masses that do not fit move their potentials by many epsilons.
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(size=9), 4 + rng.uniform(size=6)])
    y = np.concatenate([rng.uniform(size=8), 4 + rng.uniform(size=7)])
    dense = Dense(np.abs(np.subtract.outer(x, y)), *np.full((2, 15), 1 / 15), epsilon=0.03)
    sweeps = scaled(dense, max_iter=120, tol=1e-9)
    n = len(sweeps.history)
    assert 2 <= 120 - n <= 60  # the sweeps that build plans
    g, seen = iterated(dense, n)
    np.testing.assert_allclose(sweeps.g, g, atol=1e-7)
    np.testing.assert_allclose(np.array(sweeps.history)[:, 0], seen[:, 0], rtol=1e-5)


@pytest.mark.parametrize("tol", [1e-9, 1e-5])
def test_narrow_plans_are_trusted_down_to_their_rounding(tol):
    dense = some_problem()
    sweeps = scaled(dense, dtype=np.float32, max_iter=500, tol=tol)
    _, seen = iterated(dense, 400)
    n = 1 + int(np.argmax(seen[:, 0] <= max(tol, 4e-7)))
    assert abs(sweeps.n_iter - (n + 1)) <= 1
    last = sweeps.history[-1][0]
    assert last <= max(tol, 4e-7) < sweeps.history[-2][0]
    assert sweeps.is_active


def test_right_hand_sides_follow_each_other():
    dense = [some_problem(), some_problem()]
    dense[1].b = dense[0].b[::-1].copy()
    dense[1].a, dense[1].b = 3 * dense[0].a, 3 * dense[1].b
    problem = TransportProblem(
        CostMatrix.checked(dense[0].C), *(np.stack([getattr(d, x) for d in dense]) for x in "ab")
    )
    seen = []
    sweeps = Sweeps(
        problem, 0.05, max_iter=900, tol=1e-6,
        callback=lambda g, history: seen.append((g.copy(), len(history))),
    )  # fmt: skip
    scaling(sweeps)
    ends = []
    for one, g in zip(dense, sweeps.g, strict=True):
        errors = iterated(one, 400)[1][:, 0]
        n = 1 + int(np.argmax(errors <= 1e-6))
        ends.append(n)
        np.testing.assert_allclose(np.exp(g), np.exp(iterated(one, n - 1)[0]), rtol=1e-6)
    assert sweeps.n_iter == 2 + sum(n - 2 + 1 for n in ends)
    assert len(sweeps.history) == 2 + sum(n - 2 for n in ends)


def test_sums_beyond_the_range_are_worked_out_in_the_log_domain():
    dense = some_problem(epsilon=1e-4, seed=1)
    sweeps = scaled(dense, dtype=np.float32, max_iter=60, tol=1e-7)
    assert sweeps.n_iter == 60
    assert np.isfinite(sweeps.g[dense.b > 0]).all()
    assert np.isfinite(sweeps.f[dense.a > 0]).all()
