"""Transport of a part of the mass: optimality, independent solvers, limits, hostile numbers."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from clusterlib.kernels import available_backends, sinkhorn_iterate
from clusterlib.solvers import PointCost, partial_sinkhorn
from clusterlib.solvers.partial_ascent import best_level


def problem(n=30, m=40, seed=0, share=1.3):
    """Cost with maximum 1, weights of masses 1 and ``share``."""
    rng = np.random.default_rng(seed)
    X, Y = rng.random((n, 2)), rng.random((m, 2))
    cost = np.square(X[:, None] - Y).sum(axis=2)
    a, b = rng.dirichlet(np.full(n, 3.0)), share * rng.dirichlet(np.full(m, 3.0))
    return cost / cost.max(), a, b


def dykstra(cost, epsilon, mass, a, b, n_iter=4000):
    """Benamou et al. 2015, section 5: three Bregman projections in turn, with corrections."""

    def rows(P):
        return P * np.minimum(1, a / P.sum(axis=1))[:, None]

    def columns(P):
        return P * np.minimum(1, b / P.sum(axis=0))

    def total(P):
        return P * (mass / P.sum())

    plan = np.exp(-cost / epsilon)
    projections = (rows, columns, total)
    corrections = [np.ones_like(plan) for _ in projections]
    for _ in range(n_iter):
        for k, projection in enumerate(projections):
            corrected = plan * corrections[k]
            plan = projection(corrected)
            corrections[k] = corrected / plan
    return plan


def linear_program(cost, mass, a, b):
    """Cost of the best plan without entropy."""
    n, m = cost.shape
    sums = np.vstack([np.kron(np.eye(n), np.ones(m)), np.kron(np.ones(n), np.eye(m))])
    answer = linprog(
        cost.ravel(),
        A_ub=sums,
        b_ub=np.concatenate([a, b]),
        A_eq=np.ones((1, n * m)),
        b_eq=[mass],
    )
    assert answer.success
    return answer.fun


def check_optimal(result, tolerance):
    """The conditions of Karush, Kuhn and Tucker, up to ``tolerance`` of the mass."""
    plan, a, b = result.plan(), result.a, result.b
    rows, columns = plan.sum(axis=1), plan.sum(axis=0)
    slack = tolerance * result.mass
    assert abs(plan.sum() - result.mass) <= slack
    assert (rows <= a + slack).all()
    assert (columns <= b + slack).all()
    assert (result.f <= 0).all()
    assert (result.g <= result.level).all()
    present = a > 0
    assert np.abs((a - rows)[present & (result.f < 0)]).sum() <= slack
    full = (b > 0) & (result.g < result.level - 10 * tolerance * result.epsilon)
    assert np.abs((b - columns)[full]).sum() <= slack


@pytest.mark.parametrize("backend", available_backends())
@pytest.mark.parametrize("mass", [0.1, 0.7, 0.95, 1.0])
@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_agrees_with_alternating_projections(epsilon, mass, backend):
    cost, a, b = problem()
    result = partial_sinkhorn(cost, epsilon, mass, a=a, b=b, tol=1e-11, backend=backend)
    assert result.converged
    assert result.marginal_error <= 1e-11
    assert np.abs(result.plan() - dykstra(cost, epsilon, mass, a, b)).sum() < 1e-8
    check_optimal(result, 1e-10)


@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
@pytest.mark.parametrize("mass", [0.3, 0.9])
def test_reaches_the_linear_program(epsilon, mass):
    cost, a, b = problem(12, 9)
    result = partial_sinkhorn(cost, epsilon, mass, a=a, b=b, tol=1e-8)
    assert result.converged
    check_optimal(result, 1e-7)
    best, found = linear_program(cost, mass, a, b), (result.rounded_plan() * cost).sum()
    # Entropies of two plans of that mass differ by no more than mass log(nm).
    assert best - 1e-9 <= found <= best + epsilon * mass * np.log(cost.size) + 1e-7


@pytest.mark.parametrize("epsilon", [1e-1, 1e-2])
def test_all_the_mass_is_plain_transport(epsilon):
    cost, a, b = problem(share=1.0)
    result = partial_sinkhorn(cost, epsilon, 1.0, a=a, b=b, tol=1e-10)
    f, g = np.zeros(len(a)), np.zeros(len(b))
    sinkhorn_iterate(
        cost, epsilon, np.log(a), np.log(b), f, g, n_iters=3000, tol=1e-11, n_threads=1
    )
    expected = np.exp((f[:, None] + g - cost) / epsilon)
    assert np.abs(result.plan() - expected).sum() < 1e-8


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1.0, 1e-2, 1e-3])
def test_points_are_their_cost(epsilon, dtype):
    rng = np.random.default_rng(2)
    X, Y = rng.random((50, 3)).astype(dtype), rng.random((60, 3)).astype(dtype)
    dense = np.square(X[:, None].astype(np.float64) - Y).sum(axis=2)
    solve = partial(partial_sinkhorn, epsilon=epsilon, mass=0.6, tol=1e-8)
    points, matrix = solve(PointCost(X, Y)), solve(dense)
    assert points.converged
    assert matrix.converged
    assert np.abs(points.plan() - matrix.plan()).sum() < 2e-6 / np.sqrt(epsilon)
    np.testing.assert_allclose(points.value, matrix.value, rtol=1e-5, atol=1e-7)
    np.testing.assert_allclose(points.barycentric_map(), matrix.barycentric_map(Y), atol=1e-3)


@pytest.mark.parametrize("epsilon", [1.0, 0.05, 1e-3, 1e-4])
def test_narrow_costs_are_solved_to_the_same_error(epsilon):
    cost, a, b = problem()
    narrow = cost.astype(np.float32)
    result = partial_sinkhorn(narrow, epsilon, 0.8, a=a, b=b)
    assert result.converged
    assert result.potentials[0].dtype == np.float64
    wide = partial_sinkhorn(narrow.astype(np.float64), epsilon, 0.8, a=a, b=b)
    assert np.abs(result.plan() - wide.plan()).sum() < 1e-4
    check_optimal(result, 2e-6)


def test_threads_and_layouts_change_no_bit():
    cost, a, b = problem(600, 70)
    expected = partial_sinkhorn(cost, 0.01, 0.5, a=a, b=b, n_threads=1)
    for other, n_threads in [(cost, 2), (np.asfortranarray(cost), 1), (cost, 3)]:
        result = partial_sinkhorn(other, 0.01, 0.5, a=a, b=b, n_threads=n_threads)
        np.testing.assert_array_equal(result.f, expected.f)
        np.testing.assert_array_equal(result.g, expected.g)


@pytest.mark.parametrize("factor", [2.0**-60, 0.3, 1e6])
def test_scale(factor):
    cost, a, b = problem()
    expected = partial_sinkhorn(cost, 0.02, 0.5, a=a, b=b, tol=1e-10)
    scaled = partial_sinkhorn(factor * cost, factor * 0.02, 0.5, a=a, b=b, tol=1e-10)
    np.testing.assert_allclose(scaled.plan(), expected.plan(), atol=1e-11)
    np.testing.assert_allclose(scaled.value, factor * expected.value, rtol=1e-9)
    lighter = partial_sinkhorn(cost, 0.02, 0.5e-9, a=1e-9 * a, b=1e-9 * b, tol=1e-10)
    np.testing.assert_allclose(lighter.plan(), 1e-9 * expected.plan(), atol=1e-20)


@pytest.mark.parametrize("offset", [-7.0, 1e3, 1e6])
def test_an_offset_moves_the_level_alone(offset):
    cost, a, b = problem()
    expected = partial_sinkhorn(cost, 0.02, 0.5, a=a, b=b, tol=1e-10)
    moved = partial_sinkhorn(cost + offset, 0.02, 0.5, a=a, b=b, tol=1e-10)
    rounding = 20 * np.spacing(abs(offset)) / 0.02
    np.testing.assert_allclose(moved.plan(), expected.plan(), atol=1e-10 + rounding)
    np.testing.assert_allclose(moved.f, expected.f, atol=1e-9 + rounding)
    np.testing.assert_allclose(moved.level - offset, expected.level, atol=1e-9 + rounding)
    np.testing.assert_allclose(moved.value, expected.value + 0.5 * offset, rtol=1e-9)


def test_exchanging_the_sides_transposes_the_plan():
    cost, a, b = problem()
    solve = partial(partial_sinkhorn, epsilon=0.03, mass=0.6, tol=1e-11)
    np.testing.assert_allclose(
        solve(cost.T, a=b, b=a).plan().T, solve(cost, a=a, b=b).plan(), atol=1e-11
    )


def test_weights_of_zero_are_left_out():
    cost, a, b = problem()
    a, b = a.copy(), b.copy()
    a[::3], b[1::4] = 0.0, 0.0
    result = partial_sinkhorn(cost, 0.02, 0.4, a=a, b=b, tol=1e-10)
    assert (result.f[::3] == -np.inf).all()
    assert (result.g[1::4] == -np.inf).all()
    rows, columns = a > 0, b > 0
    part = partial_sinkhorn(
        cost[np.ix_(rows, columns)], 0.02, 0.4, a=a[rows], b=b[columns], tol=1e-10
    )
    plan = result.plan()
    np.testing.assert_allclose(plan[np.ix_(rows, columns)], part.plan(), atol=1e-11)
    np.testing.assert_allclose(plan.sum(), part.plan().sum())
    check_optimal(result, 1e-9)


@pytest.mark.parametrize("epsilon", [1e-3, 0.1])
def test_rounded_plan_and_certificate(epsilon):
    cost, a, b = problem()
    exact = partial_sinkhorn(cost, epsilon, 0.95, a=a, b=b, tol=1e-12, max_iter=100_000)
    assert exact.converged
    for max_iter in (4, 20, 1000):
        result = partial_sinkhorn(cost, epsilon, 0.95, a=a, b=b, max_iter=max_iter, tol=1e-9)
        plan = result.rounded_plan()
        assert (plan >= 0).all()
        np.testing.assert_allclose(plan.sum(), 0.95, rtol=1e-13)
        assert (plan.sum(axis=1) <= a * (1 + 1e-13)).all()
        assert (plan.sum(axis=0) <= b * (1 + 1e-13)).all()
        primal, dual, gap = result.certificate()
        logs = np.log(plan, where=plan > 0, out=np.zeros_like(plan))
        objective = (plan * cost).sum() + epsilon * (plan * (logs - 1)).sum()
        np.testing.assert_allclose(primal, objective, rtol=1e-12)
        np.testing.assert_allclose(gap, primal - dual, atol=1e-12)
        assert dual == result.value
        assert dual - 1e-12 <= exact.value <= primal + 1e-12


def test_an_unfinished_run_says_so():
    cost, a, b = problem()
    result = partial_sinkhorn(cost, 1e-4, 0.95, a=a, b=b, max_iter=40)
    assert not result.converged
    assert result.n_iter <= 40
    assert result.history.shape[1] == 2
    assert result.history[-1, 0] == result.marginal_error > 1e-6
    assert "converged=False" in repr(result)
    check_optimal(result, 2 * result.marginal_error)


def test_momentum_saves_sweeps():
    """Plain ascent needs more than a thousand sweeps for this one."""
    cost, a, b = problem(100, 120)
    result = partial_sinkhorn(cost, 1e-3, 0.95, a=a, b=b)
    assert result.converged
    assert result.n_iter < 250


def test_warm_start():
    cost, a, b = problem()
    first = partial_sinkhorn(cost, 0.01, 0.8, a=a, b=b, tol=1e-9)
    again = partial_sinkhorn(cost, 0.01, 0.8, a=a, b=b, tol=1e-8, f=first.f)
    assert again.converged
    assert again.n_iter < first.n_iter / 2
    np.testing.assert_allclose(again.plan(), first.plan(), atol=1e-9)


@pytest.mark.parametrize("mass", [1e-12, 0.5, 1.0])
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 10.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_hostile_numbers(dtype, epsilon, mass):
    """Where POT returns NaN: every number here is finite and the bounds hold."""
    cost, a, b = problem(17, 23)
    cost = cost.astype(dtype)
    cost[3], cost[:, 5] = 0.0, 1.0
    a, b = a.copy(), b.copy()
    a[:4], b[:3] = 1e-12, 0.0
    mass *= min(a.sum(), b.sum())
    result = partial_sinkhorn(cost, epsilon, mass, a=a, b=b, max_iter=300)
    assert np.isfinite(result.f).all()
    assert np.isfinite(result.g[3:]).all()
    for value in (result.value, result.level, result.marginal_error, result.certificate().gap):
        assert np.isfinite(value)
    plan = result.rounded_plan()
    assert np.isfinite(plan).all()
    np.testing.assert_allclose(plan.sum(), mass, rtol=1e-12)
    assert (plan.sum(axis=0) <= b * (1 + 1e-12)).all()
    check_optimal(result, 2 * result.marginal_error + 1e-9)


@given(st.integers(1, 30), st.integers(0, 10**6), st.floats(1e-9, 1 - 1e-9))
def test_level_solves_its_equation(n, seed, share):
    rng = np.random.default_rng(seed)
    steps, b = 10 * rng.normal(size=n), rng.random(n) + 1e-3
    level = best_level(steps, b, share * b.sum(), 0.7)
    taken = b * np.exp(np.minimum(0, (level - steps) / 0.7))
    np.testing.assert_allclose(taken.sum(), share * b.sum(), rtol=1e-12)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"mass": 0.0}, "mass must be a finite number above 0, got 0.0"),
        ({"mass": np.nan}, "mass must be a finite number above 0, got nan"),
        ({"mass": 1.01}, "mass must be at most the sum of a, 1, got 1.01"),
        ({"mass": 1.5, "a": np.ones(2)}, "mass must be at most the sum of b, 1, got 1.5"),
        ({"epsilon": 0.0}, "epsilon must be"),
        ({"epsilon": 1e-20}, "epsilon must be at least"),
        ({"a": np.array([-1.0, 2.0])}, "a must hold finite weights that are not negative"),
        ({"b": np.ones((2, 3))}, r"b must have shape \(3,\), got \(2, 3\)"),
        ({"cost": np.full((2, 3), np.nan)}, "cost contains NaN"),
        ({"max_iter": 2}, "max_iter must be from 3"),
        ({"tol": -1.0}, "tol must be"),
        ({"f": np.array([0.5, 0.0])}, "f must not be above 0, got 0.5"),
        ({"f": np.array([-np.inf, 0.0])}, "f must be finite where a is positive"),
    ],
)
def test_bad_input(arguments, message):
    good = {"cost": np.arange(6.0).reshape(2, 3), "epsilon": 0.1, "mass": 0.5, "b": np.ones(3) / 3}
    good |= {"a": np.full(2, 0.5)} if "mass" in arguments else {}
    with pytest.raises(ValueError, match=message):
        partial_sinkhorn(**(good | arguments))
