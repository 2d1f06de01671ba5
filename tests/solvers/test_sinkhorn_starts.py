"""Potentials to start from: what is taken, what is replaced, and the half-step that f needs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from clusterlib.solvers import PointCost, sinkhorn
from clusterlib.solvers.sinkhorn import _checked_start, _columns_from_rows
from clusterlib.solvers.transport_problem import transport_problem
from tests.solvers.dense_sinkhorn import Dense, random_weights

OPTIONS = {"n_threads": None, "backend": None}


def some_problem(rho=(np.inf, np.inf), as_points=False, several=False):
    rng = np.random.default_rng(0)
    X, Y = rng.uniform(size=(7, 2)), rng.uniform(size=(5, 2))
    cost = PointCost(X, Y)
    C = cost.block(slice(None))
    a, b = random_weights(7, rng), random_weights(5, rng)
    b[3] = 0.0
    b *= a.sum() / b.sum()
    if several:
        b = np.stack([b, b[::-1]])
    cost = cost if as_points else C
    return transport_problem(cost, a, b, rho_a=rho[0], rho_b=rho[1]), C, rng.uniform(size=7)


def half_step(C, b, f, rho, epsilon):
    tau = 1.0 if np.isinf(rho) else rho / (rho + epsilon)
    logs = logsumexp((f[:, None] - C) / epsilon, axis=0)
    return np.where(b > 0, tau * epsilon * (np.log(np.maximum(b, 1e-300)) - logs), 0.0)


@pytest.mark.parametrize("as_points", [False, True])
@pytest.mark.parametrize("rho", [(np.inf, np.inf), (np.inf, 0.3), (0.2, 0.4)])
def test_columns_follow_from_rows(rho, as_points):
    problem, C, f = some_problem(rho, as_points)
    g = _columns_from_rows(problem, 0.1, f, OPTIONS)
    assert_allclose(g, half_step(C, problem.b, f, rho[1], 0.1), atol=1e-12)


def test_columns_of_several_right_hand_sides():
    problem, C, f = some_problem(several=True)
    both = np.stack([f, f[::-1]])
    g = _columns_from_rows(problem, 0.1, both, OPTIONS)
    for r in range(2):
        assert_allclose(g[r], half_step(C, problem.b[r], both[r], np.inf, 0.1), atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 20.0])
def test_one_sweep_from_either_side(offset):
    problem, C, f = some_problem()
    dense = Dense(C, problem.a, problem.b, epsilon=0.1)
    options = {"a": problem.a, "b": problem.b, "max_iter": 1, "tol": 1e-12}
    start = half_step(C, problem.b, f, np.inf, 0.1)
    expected = dense.step(start)
    for given in ({"f": f + offset}, {"g": start}, {"f": 7 * f, "g": start}):
        found = sinkhorn(C + offset, 0.1, **given, **options)
        assert_allclose(found.history[0, 0], expected[2] / problem.a.sum(), rtol=1e-9)
        if offset == 0:  # else the history is that of costs without their offset
            assert_allclose(found.history[0, 1], expected[3], rtol=1e-9)
        here = problem.b > 0
        assert_allclose(found.g[here], expected[4][here], atol=1e-9)


def test_starts_are_checked_and_completed():
    weights = np.ones((2, 3))
    assert_array_equal(_checked_start("g", [1.0, 2, 3], weights, 0.5), [[0.5, 1.5, 2.5]] * 2)
    given = np.array([[1.0, np.inf, 3.0], [-np.inf, 5.0, 0.0]])
    kept = given.copy()
    found = _checked_start("g", given, weights, 0.0)
    assert_array_equal(found, [[1, 2.25, 3], [2.25, 5, 0]])
    assert_array_equal(given, kept)
    assert_array_equal(_checked_start("g", [np.inf] * 3, np.ones(3), 0.0), np.zeros(3))
    for bad in (np.ones(2), np.ones((3, 3)), np.ones((2, 3, 1)), 1.0):
        with pytest.raises(ValueError, match=r"g must have shape \(2, 3\), got"):
            _checked_start("g", bad, weights, 0.0)
    with pytest.raises(ValueError, match="g contains NaN"):
        _checked_start("g", [0.0, np.nan, 1.0], np.ones(3), 0.0)


def test_methods_and_masses_that_do_not_fit():
    _, C, f = some_problem()
    for method in ("plain", None, 3, "LOG"):
        with pytest.raises(ValueError, match="method must be one of 'auto', 'log', 'scaling'"):
            sinkhorn(C, 0.1, method=method)
    for rho in ({"rho_a": 1.0}, {"rho_b": 1.0}):
        with pytest.raises(ValueError, match="method 'scaling' needs exact marginals"):
            sinkhorn(C, 0.1, method="scaling", **rho)
        with pytest.raises(ValueError, match="mass cannot be given together with"):
            sinkhorn(C, 0.1, mass=0.5, **rho)
    for more in ({"method": "log"}, {"g": np.zeros(5)}):
        with pytest.raises(ValueError, match="mass cannot be given together with"):
            sinkhorn(C, 0.1, mass=0.5, **more)
    assert sinkhorn(C, 0.1, mass=0.5, f=-f).plan().sum() == pytest.approx(0.5)
    cost = some_problem(as_points=True)[0].cost
    with pytest.raises(ValueError, match="method 'scaling' needs a stored cost"):
        sinkhorn(cost, 0.1, method="scaling")
    for name in ("max_iter", "n_threads"):
        with pytest.raises(ValueError, match=f"{name} must be from 1"):
            sinkhorn(C, 0.1, **{name: 0})
        sinkhorn(C, 0.1, **{name: 1})
