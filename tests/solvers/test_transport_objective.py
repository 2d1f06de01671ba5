"""Objectives, rounded plans and maps of transport, beside whole matrices."""

import numpy as np
import pytest

from clusterlib.config import config_context
from clusterlib.solvers import PointCost
from clusterlib.solvers.transport_maps import dense_softmax_map, points_softmax_map
from clusterlib.solvers.transport_objective import (
    column_errors,
    column_steps,
    dual_value,
    kl_divergence,
    plan_blocks,
    row_blocks,
    sum_p_log_p,
)
from clusterlib.solvers.transport_problem import transport_problem
from clusterlib.solvers.transport_rounding import rounded_blocks
from tests.solvers.dense_sinkhorn import Dense, random_weights

RHOS = [(np.inf, np.inf), (0.3, np.inf), (np.inf, 0.2), (0.4, 0.3), (0.0, 0.5), (0.5, 0.0)]


def some_problem(rho=(np.inf, np.inf), seed=0):
    rng = np.random.default_rng(seed)
    C, a, b = rng.uniform(size=(8, 6)), random_weights(8, rng), random_weights(6, rng)
    a[2], b[[0, 3]] = 0.0, 0.0
    problem = transport_problem(C, a, b * a.sum() / b.sum(), rho_a=rho[0], rho_b=rho[1])
    dense = Dense(C, problem.a, problem.b, rho, 0.1)
    g = np.where(problem.b > 0, rng.uniform(-0.3, 0.3, size=6), -np.inf)
    return problem, dense, dense.rows(g), g


@pytest.mark.parametrize("rho", RHOS)
def test_duals_steps_and_errors(rho):
    problem, dense, f, g = some_problem(rho)
    plan = dense.plan(f, g)
    sums = plan.sum(axis=0)
    assert dual_value(problem, 0.1, f, g, plan.sum()) == pytest.approx(dense.dual(f, g))
    with np.errstate(invalid="ignore"):
        expected = np.where(problem.b > 0, (dense.target(f, g) - g) / 0.1, 0.0)
    np.testing.assert_allclose(column_steps(problem, 0.1, g, sums), expected, atol=1e-12)
    assert column_errors(problem, 0.1, g, sums) == pytest.approx(dense.error(f, g))


def test_right_hand_sides_are_added_up_each_by_itself():
    problem, _, _, _ = some_problem()
    rng = np.random.default_rng(5)
    b = np.stack([random_weights(6, rng) for _ in range(3)]) * problem.a.sum()
    several = transport_problem(problem.cost.values, problem.a, b)
    f, g, sums = (rng.uniform(0.1, 1, size=(3, n)) for n in (8, 6, 6))
    masses = sums.sum(axis=1)
    duals = dual_value(several, 0.1, f, g, masses)
    errors = column_errors(several, 0.1, g, sums)
    for r in range(3):
        assert duals[r] == pytest.approx(dual_value(several.side(r), 0.1, f[r], g[r], masses[r]))
        assert errors[r] == pytest.approx(np.abs(sums[r] - several.b[r]).sum())


def test_columns_without_mass_lack_what_they_should_have():
    problem, _, _, g = some_problem()
    sums = problem.b.copy()
    sums[1] = 0.0
    assert column_errors(problem, 0.1, g, sums) == pytest.approx(problem.b[1])
    assert column_steps(problem, 0.1, g, sums)[1] == np.inf


def test_divergences_by_hand():
    x, y = np.array([2.0, 0.0, 1.0]), np.array([1.0, 3.0, 1.0])
    assert kl_divergence(x, y) == pytest.approx(2 * np.log(2) - 1 + 3)
    assert kl_divergence(x, x) == 0.0
    assert kl_divergence(y, x) == np.inf
    plan = np.array([[1.0, 0.0], [np.e, 2.0]])
    assert sum_p_log_p(plan) == pytest.approx(-1 + 0 + 2 * (np.log(2) - 1))


@pytest.mark.parametrize(("bytes_", "step"), [(1, 1), (95, 1), (96, 2), (144, 3), (1 << 20, 8)])
def test_blocks_of_rows_take_so_many_bytes(bytes_, step):
    problem, dense, f, g = some_problem()
    with config_context(block_bytes=bytes_):
        blocks = row_blocks(8, 6)
        assert [rows.stop - rows.start for rows in blocks[:-1]] == [step] * (len(blocks) - 1)
        assert [row for rows in blocks for row in range(8)[rows]] == list(range(8))
        assert len(blocks) == -(-8 // step)
        assert row_blocks(8, 6, itemsize=4)[0] == slice(0, min(8, max(1, bytes_ // 24)))
        for rows, costs, plan in plan_blocks(problem, 0.1, f, g):
            np.testing.assert_array_equal(costs, dense.C[rows])
            np.testing.assert_allclose(plan, dense.plan(f, g)[rows], rtol=1e-12)


def rounded(problem, f, g):
    parts = list(rounded_blocks(problem, 0.1, f, g))
    np.testing.assert_array_equal(
        np.concatenate([costs for _, costs, _ in parts]), problem.cost.values
    )
    return np.concatenate([plan for *_, plan in parts])


def ratio(wanted, present):
    return np.where(present > 0, wanted / np.where(present > 0, present, 1), 1.0)


@pytest.mark.parametrize("block_bytes", [96, 1 << 20])
@pytest.mark.parametrize("move", [0.0, 0.1, -0.1, 0.02])
@pytest.mark.parametrize("rho", RHOS)
def test_plans_are_rounded_as_the_algorithm_says(rho, move, block_bytes):
    problem, dense, f, g = some_problem(rho)
    f = f + move * np.linspace(-0.5, 1, 8)
    a, b, plan = problem.a, problem.b, dense.plan(f, g)
    exact = np.isinf(rho)
    if exact.all():
        plan = plan * np.minimum(1, ratio(a, plan.sum(axis=1)))[:, None]
        plan = plan * np.minimum(1, ratio(b, plan.sum(axis=0)))
        rows, columns = a - plan.sum(axis=1), b - plan.sum(axis=0)
        plan = plan + np.outer(rows, columns) / np.abs(columns).sum()
    elif exact[0]:
        plan = plan * ratio(a, plan.sum(axis=1))[:, None]
    elif exact[1]:
        plan = plan * ratio(b, plan.sum(axis=0))
    with config_context(block_bytes=block_bytes):
        found = rounded(problem, f, g)
    np.testing.assert_allclose(found, plan, atol=1e-13)
    if exact[0]:
        np.testing.assert_allclose(found.sum(axis=1), a, atol=1e-14)
    if exact[1]:
        np.testing.assert_allclose(found.sum(axis=0), b, atol=1e-14)


def test_relaxed_rows_take_by_their_weights_what_a_column_has_lost():
    problem, _, f, g = some_problem((0.3, np.inf))
    g = g.copy()
    g[1] = -1e4  # its entries have underflowed
    found = rounded(problem, f, g)
    np.testing.assert_allclose(found[:, 1], problem.a / problem.a.sum() * problem.b[1])
    np.testing.assert_allclose(found.sum(axis=0), problem.b, atol=1e-14)


def test_tiny_sums_are_scaled_by_no_more_than_the_largest_number():
    problem, _, f, g = some_problem((np.inf, 0.2))
    found = rounded(problem, np.where(problem.a > 0, f - 73.5, f), g)
    assert np.isfinite(found).all()


@pytest.mark.parametrize("block_bytes", [96, 1 << 20])
def test_softmax_maps_of_stored_costs(block_bytes):
    problem, dense, _, g = some_problem()
    values = np.random.default_rng(3).normal(size=(6, 2))
    weights = np.where(problem.b > 0, np.exp((np.maximum(g, -1e3) - dense.C) / 0.1), 0.0)
    expected = weights @ values / weights.sum(axis=1, keepdims=True)
    with config_context(block_bytes=block_bytes):
        found = dense_softmax_map(problem.cost, 0.1, g, values)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    far = dense_softmax_map(problem.cost, 0.1, g + 1e5, values)
    np.testing.assert_allclose(far, expected, rtol=1e-6)
    with pytest.raises(ValueError, match="values is required where the cost is a matrix"):
        dense_softmax_map(problem.cost, 0.1, g, None)


@pytest.mark.parametrize("offset", [0.0, 50.0])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_softmax_maps_of_points(offset, dtype):
    rng = np.random.default_rng(4)
    X, Y = ((offset + rng.normal(size=(n, 2))).astype(dtype) for n in (7, 5))
    cost, g = PointCost(X, Y), rng.normal(size=5)
    C = ((X.astype(float)[:, None] - Y.astype(float)) ** 2).sum(axis=2)
    weights = np.exp((g - C) / 0.7)
    weights /= weights.sum(axis=1, keepdims=True)
    found = points_softmax_map(cost, cost.X, 0.7, g, None)
    np.testing.assert_allclose(found, weights @ Y.astype(float), rtol=1e-5, atol=1e-5)
    values = rng.normal(size=(5, 3))
    found = points_softmax_map(cost, cost.X[2:], 0.7, g, values)
    np.testing.assert_allclose(found, weights[2:] @ values, rtol=1e-4, atol=1e-5)
    assert found.dtype == np.float64
