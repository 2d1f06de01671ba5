"""Sinkhorn on costs and weights nobody would choose: finite, honest, feasible; and invariances."""

from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from clusterlib.solvers import PointCost, sinkhorn

SIZES = st.one_of(st.integers(1, 8), st.integers(9, 40), st.integers(41, 400))
DTYPES = st.sampled_from([np.float32, np.float64])
COSTS = ["uniform", "points", "wide", "ties", "constant", "offset", "empty row", "sparse"]
WEIGHTS = ["uniform", "random", "zeros", "tiny", "one atom", "heavy"]


def make_cost(kind, n, m, rng):
    if kind == "points":
        cost = np.square(rng.random((n, 1, 2)) - rng.random((m, 2))).sum(axis=2)
    elif kind == "wide":  # 30 powers of ten
        cost = 10 ** rng.uniform(-30, 0, size=(n, m))
    elif kind == "ties":
        cost = rng.integers(0, 3, size=(n, m)).astype(float)
    elif kind == "sparse":
        cost = np.where(rng.random((n, m)) < 0.9, 1.0, 0.0)
    elif kind == "constant":
        cost = np.ones((n, m))
    else:
        cost = rng.random((n, m))
    if kind == "empty row":
        cost[0], cost[:, -1] = 0.0, 1.0
    return cost + 1000.0 if kind == "offset" else cost


def make_weights(kind, n, rng):
    weights = rng.random(n) + 0.1
    if kind == "uniform":
        weights = np.ones(n)
    elif kind == "zeros":
        weights[rng.random(n) < 0.5] = 0.0
    elif kind == "tiny":
        weights[rng.random(n) < 0.5] = 1e-12
    elif kind == "one atom":
        weights = np.zeros(n)
    elif kind == "heavy":
        weights = np.exp(6 * rng.normal(size=n))
    weights[rng.integers(n)] += weights.sum() == 0
    return weights / weights.sum()


def largest_exponent(result):
    """The largest number that is rounded before it is exponentiated."""
    potentials = (p[np.isfinite(p)] for p in result.potentials)
    largest = max(np.abs(p).max() for p in potentials)
    return (largest + result.problem.cost.magnitude) / result.epsilon


def check_finite(result):
    for potential, weights in ((result.f, result.a), (result.g, result.b)):
        assert np.isfinite(potential[weights > 0]).all()
        assert (potential[weights == 0] == -np.inf).all()
    for value in (result.value, result.marginal_error, result.transport_cost):
        assert np.isfinite(value)
    assert np.isfinite(result.history[:, 1]).all()
    assert not np.isnan(result.history).any()


def check_honest(result, tol):
    """The error that is stated is that of the plan, whose rows are exact."""
    plan, a, b, mass = result.plan(), result.a, result.b, result.a.sum()
    rounding = 1e-13 + 16 * np.finfo(float).eps * largest_exponent(result)
    columns = np.abs(plan.sum(axis=0) - b).sum() / mass
    np.testing.assert_allclose(result.marginal_error, columns, rtol=1e-6, atol=rounding)
    assert np.abs(plan.sum(axis=1) - a).sum() / mass <= rounding
    assert result.converged == (result.marginal_error <= tol)


def check_honest_columns(result):
    """A relaxed marginal is compared with what the potentials ask for."""
    plan, here = result.plan(), result.b > 0
    sums, step = plan.sum(axis=0)[here], result.potentials[1][here] / result.epsilon
    rho = result.problem.rho_b
    tau = 1.0 if np.isinf(rho) else rho / (rho + result.epsilon)
    with np.errstate(divide="ignore", invalid="ignore"):
        wanted = np.exp(tau * (step + np.log(result.b[here])) + (1 - tau) * np.log(sums) - step)
    known = sums > 1e-290
    error = np.abs(sums - wanted)[known].sum()
    mass = min(result.a.sum(), result.b.sum(), plan.sum())
    rounding = 1e-12 + 64 * np.finfo(float).eps * largest_exponent(result)
    if result.converged and known.all():
        assert error <= (1e-6 + rounding) * (1 + 1e-6) * mass


def check_feasible(result):
    plan, mass = result.rounded_plan(), result.a.sum()
    assert (plan >= 0).all()
    assert np.abs(plan.sum(axis=1) - result.a).sum() <= 1e-12 * mass
    assert np.abs(plan.sum(axis=0) - result.b).sum() <= 1e-12 * mass
    primal, dual, gap = result.certificate()
    scale = mass * (result.problem.cost.magnitude + result.epsilon * 60)
    assert gap >= -1e-12 * scale
    assert np.isfinite([primal, dual, gap]).all()


@examples(max_examples=120)
@given(
    SIZES,
    SIZES,
    st.integers(0, 2**32 - 1),
    st.floats(-6, 1),
    st.floats(-30, 8),
    st.sampled_from(COSTS),
    st.sampled_from(WEIGHTS),
    st.sampled_from(WEIGHTS),
    DTYPES,
    st.sampled_from(["auto", "auto", "log", "newton", "scaling"]),
)
def test_balanced(n, m, seed, log_epsilon, log_scale, cost, a, b, dtype, method):
    rng = np.random.default_rng(seed)
    cost = (10**log_scale * make_cost(cost, n, m, rng)).astype(dtype)
    a, b = make_weights(a, n, rng), make_weights(b, m, rng)
    epsilon = 10**log_epsilon * float(cost.max() or 1.0)
    result = sinkhorn(cost, epsilon, a=a, b=b, method=method, max_iter=150, n_threads=1)
    assert result.n_iter <= 151
    check_finite(result)
    check_honest(result, 1e-6)
    check_feasible(result)


@examples(max_examples=60)
@given(
    SIZES,
    SIZES,
    st.integers(0, 2**32 - 1),
    st.floats(-6, 1),
    st.floats(-3, 2),
    st.sampled_from(["both", "a", "b"]),
    st.sampled_from(COSTS),
    st.sampled_from(WEIGHTS),
    st.sampled_from(WEIGHTS),
    DTYPES,
)
def test_relaxed(n, m, seed, log_epsilon, log_rho, relaxed, cost, a, b, dtype):
    rng = np.random.default_rng(seed)
    cost = make_cost(cost, n, m, rng).astype(dtype)
    a, b = make_weights(a, n, rng), 2.0 * make_weights(b, m, rng)
    epsilon, rho = (
        10**log_epsilon * float(cost.max() or 1.0),
        10**log_rho * float(cost.max() or 1.0),
    )
    rho_a, rho_b = {"both": (rho, rho), "a": (rho, np.inf), "b": (np.inf, rho)}[relaxed]
    result = sinkhorn(cost, epsilon, a=a, b=b, rho_a=rho_a, rho_b=rho_b, max_iter=100, n_threads=1)
    check_finite(result)
    check_honest_columns(result)
    plan = result.rounded_plan()
    assert np.isfinite(plan).all()
    if np.isinf(rho_a):
        assert np.abs(plan.sum(axis=1) - result.a).sum() <= 1e-12
    if np.isinf(rho_b):
        assert np.abs(plan.sum(axis=0) - result.b).sum() <= 2e-12
    certificate = result.certificate()
    assert np.isfinite(certificate).all()
    assert certificate.gap >= -1e-10 * (abs(certificate.primal) + abs(certificate.dual))


@examples(max_examples=60)
@given(
    SIZES,
    SIZES,
    st.integers(0, 2**32 - 1),
    st.floats(-6, 1),
    st.floats(-10, 4),
    st.sampled_from(["sqeuclidean", "euclidean", "cosine", "inner_product"]),
    st.sampled_from(WEIGHTS),
    DTYPES,
)
def test_points(n, m, seed, log_epsilon, log_scale, metric, b, dtype):
    rng = np.random.default_rng(seed)
    X, Y = ((10**log_scale * rng.normal(size=(k, 3))).astype(dtype) for k in (n, m))
    cost = PointCost(X, Y, metric=metric)
    result = sinkhorn(
        cost, 10**log_epsilon * cost.magnitude, b=make_weights(b, m, rng), max_iter=60, n_threads=1
    )
    check_finite(result)
    check_honest(result, 1e-6)
    check_feasible(result)


def small_problem(n=25, m=30):
    rng = np.random.default_rng(4)
    cost = np.square(rng.random((n, 1, 2)) - rng.random((m, 2))).sum(axis=2)
    return cost, rng.dirichlet(np.full(n, 2.0)), rng.dirichlet(np.full(m, 2.0))


solve = partial(sinkhorn, tol=1e-11, n_threads=1)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_potentials_may_be_added_to_the_cost(epsilon):
    cost, a, b = small_problem()
    rng = np.random.default_rng(5)
    r, s = rng.normal(size=len(a)), rng.normal(size=len(b))
    plain, moved = solve(cost, epsilon, a=a, b=b), solve(cost + r[:, None] + s, epsilon, a=a, b=b)
    np.testing.assert_allclose(moved.plan(), plain.plan(), atol=1e-10)
    np.testing.assert_allclose(moved.value, plain.value + a @ r + b @ s, rtol=1e-9)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_orders_and_sides(epsilon):
    cost, a, b = small_problem()
    plan = solve(cost, epsilon, a=a, b=b).plan()
    rows, columns = np.random.default_rng(6).permutation(25), np.arange(30)[::-1]
    permuted = solve(cost[np.ix_(rows, columns)], epsilon, a=a[rows], b=b[columns]).plan()
    np.testing.assert_allclose(permuted, plan[np.ix_(rows, columns)], atol=1e-10)
    np.testing.assert_allclose(solve(cost.T, epsilon, a=b, b=a).plan().T, plan, atol=1e-10)


@pytest.mark.parametrize("epsilon", [0.01, 0.1, 1.0])
def test_an_atom_may_be_split_and_another_without_weight_added(epsilon):
    cost, a, b = small_problem()
    plan = solve(cost, epsilon, a=a, b=b).plan()
    split = np.vstack([cost, cost[:1], np.zeros((1, 30))])
    weights = np.concatenate([a, [a[0] / 2, 0.0]])
    weights[0] /= 2
    result = solve(split, epsilon, a=weights, b=b)
    np.testing.assert_allclose(result.plan()[1:25], plan[1:], atol=1e-10)
    np.testing.assert_allclose(2 * result.plan()[0], plan[0], atol=1e-10)
    np.testing.assert_allclose(2 * result.plan()[25], plan[0], atol=1e-10)
    assert (result.plan()[26] == 0).all()


@pytest.mark.parametrize("factor", [2.0**-80, 1e-3, 2.0**20])
def test_units_of_the_cost(factor):
    cost, a, b = small_problem()
    plain, scaled = solve(cost, 0.02, a=a, b=b), solve(factor * cost, factor * 0.02, a=a, b=b)
    np.testing.assert_allclose(scaled.plan(), plain.plan(), atol=1e-10)
    np.testing.assert_allclose(scaled.value, factor * plain.value, rtol=1e-9)


def test_units_of_the_mass():
    cost, a, b = small_problem()
    plain, heavy = solve(cost, 0.02, a=a, b=b), solve(cost, 0.02, a=1e7 * a, b=1e7 * b)
    np.testing.assert_allclose(heavy.plan(), 1e7 * plain.plan(), atol=1e-3)
    np.testing.assert_allclose(heavy.rounded_plan().sum(axis=1), 1e7 * a, rtol=1e-12)
