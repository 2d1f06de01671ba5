"""What a Sinkhorn result offers: plans, exact marginals, a certificate, maps."""

import numpy as np
import pytest

from clusterlib.config import config_context
from clusterlib.solvers import PointCost, sinkhorn

BALANCED = (np.inf, np.inf)


def points(n=40, m=30, seed=0):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n, 3)) + 5.0, rng.normal(size=(m, 3)) + 4.0
    a, b = rng.uniform(size=n), rng.uniform(size=m)
    a[:2] = b[-3:] = 0
    return X, Y, a / a.sum(), b / b.sum()


def solved(epsilon=0.2, rho=BALANCED, dtype=np.float64, lazy=False, **options):
    X, Y, a, b = points()
    cost = PointCost(X.astype(dtype), Y.astype(dtype))
    cost = cost if lazy else cost.block(slice(None), dtype)
    return sinkhorn(cost, epsilon, a=a, b=b, rho_a=rho[0], rho_b=rho[1], **options)


def objective(result, plan):
    """The regularised objective of any plan, straight from its definition."""
    C = result.problem.cost.block(slice(None)) + result.problem.cost.offset
    logs = np.log(np.where(plan > 0, plan, 1.0))
    value = (C * plan).sum() + result.epsilon * (plan * (logs - 1)).sum()
    sides = (
        (result.problem.rho_a, plan.sum(axis=1), result.a),
        (result.problem.rho_b, plan.sum(axis=0), result.b),
    )
    for rho, x, y in sides:
        if np.isfinite(rho):
            logs = np.log(np.where(x > 0, x, 1.0)) - np.log(np.where(y > 0, y, 1.0))
            value += rho * (x * logs - x + y).sum()
    return value


@pytest.mark.parametrize("lazy", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_plan_follows_from_the_potentials(lazy, dtype):
    result = solved(dtype=dtype, lazy=lazy)
    C = result.problem.cost.block(slice(None)) + result.problem.cost.offset
    expected = np.exp((result.f[:, None] + result.g - C) / 0.2)
    np.testing.assert_allclose(result.plan(), expected, rtol=1e-9, atol=1e-300)


@pytest.mark.parametrize("max_iter", [1, 5, 10_000])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_rounded_plan_has_exact_marginals(max_iter, dtype):
    result = solved(0.02, dtype=dtype, max_iter=max_iter)
    plan, rounded = result.plan(), result.rounded_plan()
    assert rounded.min() >= 0
    np.testing.assert_allclose(rounded.sum(axis=1), result.a, atol=1e-12)
    np.testing.assert_allclose(rounded.sum(axis=0), result.b, atol=1e-12)
    assert np.abs(rounded - plan).sum() <= 2 * result.marginal_error + 1e-12


def test_rounding_of_a_plan_that_misses_columns():
    # Nearly all mass wants to go to one column that may take little.
    C = np.array([[0.0, 1.0], [0.0, 1.3]])
    result = sinkhorn(C, 0.01, b=[0.1, 0.9], max_iter=1)
    rounded = result.rounded_plan()
    assert not result.converged
    np.testing.assert_allclose(rounded.sum(axis=0), [0.1, 0.9], atol=1e-12)
    np.testing.assert_allclose(rounded.sum(axis=1), [0.5, 0.5], atol=1e-12)


@pytest.mark.parametrize("rho", [BALANCED, (1.0, np.inf), (np.inf, 0.5), (0.7, 2.0)])
@pytest.mark.parametrize("lazy", [False, True])
def test_certificate_encloses_the_optimum(rho, lazy):
    exact = solved(rho=rho, tol=1e-12, lazy=lazy)
    best = objective(exact, exact.plan())
    gaps = []
    for max_iter in (1, 3, 10_000):
        result = solved(rho=rho, max_iter=max_iter, tol=1e-9, lazy=lazy)
        primal, dual, gap = result.certificate()
        assert dual <= best + 1e-10 * abs(best)
        assert primal >= best - 1e-10 * abs(best)
        assert gap == pytest.approx(primal - dual, abs=1e-12)
        assert dual == result.value
        gaps.append(gap)
    assert max(gaps[:2]) > 1e-4
    assert gaps[-1] < 1e-6


@pytest.mark.parametrize("rho", [(0.0, np.inf), (np.inf, 0.0), (0.0, 0.0)])
def test_a_marginal_without_any_penalty_is_free(rho):
    result = solved(rho=rho)
    plan, C = result.plan(), result.problem.cost.block(slice(None))
    kernel = np.exp(-C / 0.2) * np.outer(result.a > 0, result.b > 0)
    if np.isinf(rho[0]):
        kernel *= (result.a / np.maximum(kernel.sum(axis=1), 1e-300))[:, None]
    if np.isinf(rho[1]):
        kernel *= result.b / np.maximum(kernel.sum(axis=0), 1e-300)
    np.testing.assert_allclose(plan, kernel, rtol=1e-9, atol=1e-15)
    assert result.n_iter <= 5
    assert abs(result.certificate().gap) < 1e-10


@pytest.mark.parametrize("rho", [BALANCED, (1.0, np.inf), (np.inf, 0.5)])
def test_primal_is_the_objective_of_the_rounded_plan(rho):
    result = solved(rho=rho, max_iter=6)
    primal = result.certificate().primal
    assert primal == pytest.approx(objective(result, result.rounded_plan()), rel=1e-10)


def test_certificate_with_an_offset():
    X, Y, a, b = points()
    C = PointCost(X, Y).block(slice(None))
    base = sinkhorn(C, 0.2, a=a, b=b)
    moved = sinkhorn(C + 1e6, 0.2, a=a, b=b)
    assert moved.certificate().primal == pytest.approx(base.certificate().primal + 1e6)
    assert 0 <= moved.certificate().gap < 1e-4


@pytest.mark.parametrize("rho", [BALANCED, (1.0, np.inf)])
def test_blocks_of_rows_change_nothing(rho):
    result = solved(rho=rho, max_iter=6)
    whole = result.rounded_plan(), result.certificate(), result.transport_cost
    values = np.arange(60.0).reshape(30, 2)
    mapped = result.barycentric_map(values)
    again = solved(rho=rho, max_iter=6)
    with config_context(block_bytes=1000):
        np.testing.assert_allclose(again.rounded_plan(), whole[0], atol=1e-14)
        np.testing.assert_allclose(again.certificate(), whole[1], rtol=1e-12, atol=1e-13)
        assert again.transport_cost == pytest.approx(whole[2], rel=1e-13)
        np.testing.assert_allclose(again.barycentric_map(values), mapped, rtol=1e-13)


@pytest.mark.parametrize("lazy", [False, True])
def test_barycentric_map_is_the_mean_under_the_plan(lazy):
    _, Y, a, _ = points()
    result = solved(lazy=lazy)
    plan = result.plan()
    here = a > 0
    expected = plan[here] @ Y / plan[here].sum(axis=1, keepdims=True)
    mapped = result.barycentric_map(None if lazy else Y)
    assert np.isfinite(mapped).all()
    np.testing.assert_allclose(mapped[here], expected, atol=1e-9)
    labels = np.eye(30)
    np.testing.assert_allclose(result.barycentric_map(labels).sum(axis=1), 1.0)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine", "inner_product"])
def test_entropic_map_continues_the_barycentric_one(metric):
    X, Y, _, _ = points()
    result = sinkhorn(PointCost(X, Y, metric=metric), 0.3)
    np.testing.assert_allclose(result.entropic_map(X), result.barycentric_map(), atol=1e-8)
    nearby = result.entropic_map(X[:5] + 1e-6)
    np.testing.assert_allclose(nearby, result.barycentric_map()[:5], atol=1e-3)


def test_entropic_map_moves_a_cloud_onto_its_translate():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(300, 2))
    result = sinkhorn(PointCost(X, X + [3.0, -1.0]), 0.05)
    new = 0.3 * rng.normal(size=(20, 2))
    np.testing.assert_allclose(result.entropic_map(new), new + [3.0, -1.0], atol=0.15)


def test_what_a_matrix_cannot_tell():
    result = solved()
    with pytest.raises(TypeError, match="entropic_map needs the points"):
        result.entropic_map(np.ones((2, 3)))
    with pytest.raises(ValueError, match="values is required"):
        result.barycentric_map()
    with pytest.raises(ValueError, match="values must have shape"):
        result.barycentric_map(np.ones((3, 2)))
    with pytest.raises(ValueError, match="same number of features"):
        solved(lazy=True).entropic_map(np.ones((2, 4)))


def test_several_sides_are_looked_at_one_by_one():
    b = np.random.default_rng(2).uniform(size=(2, 5))
    result = sinkhorn(np.random.default_rng(3).uniform(size=(4, 5)), 0.1, b=b)
    for name in ("plan", "rounded_plan", "certificate", "barycentric_map"):
        with pytest.raises(ValueError, match=rf"{name} is there for one right-hand side, here"):
            getattr(result, name)()
    assert result.side(1).plan().sum() == pytest.approx(b[1].sum())
    with pytest.raises(IndexError):
        result.side(2)


def test_result_is_short_to_read_and_fixed():
    result = solved()
    text = repr(result)
    assert len(text) < 300
    assert "shape=(40, 30)" in text
    assert "method='" in text
    with pytest.raises(AttributeError):
        result.epsilon = 1.0
