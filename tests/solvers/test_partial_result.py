"""Plans of a part of the mass that are made feasible, by dense arrays, from any potentials."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.testing import assert_allclose

from clusterlib.solvers import PointCost, partial_sinkhorn


def problem(n=7, m=9, seed=0):
    rng = np.random.default_rng(seed)
    X, Y = rng.random((n, 2)), rng.random((m, 2))
    return X, Y, rng.dirichlet(np.full(n, 3.0)), 1.3 * rng.dirichlet(np.full(m, 3.0))


def dense_rounding(plan, a, b, mass):
    """Scale rows and columns down, then all of it, and fill what is missing with rank one."""
    plan = plan * np.minimum(1, a / plan.sum(axis=1))[:, None]
    columns = plan.sum(axis=0)
    plan = plan * np.minimum(1, np.divide(b, columns, out=np.ones_like(b), where=columns > 0))
    plan = plan * min(1.0, mass / plan.sum())
    missing = mass - plan.sum()
    if missing <= 0:
        return plan
    rows, columns = a - plan.sum(axis=1), b - plan.sum(axis=0)
    return plan + missing * np.outer(rows / rows.sum(), columns / columns.sum())


@pytest.mark.parametrize("carrier", ["points", "matrix"])
@pytest.mark.parametrize(("mass", "level"), [(0.7, 0.0), (0.7, -0.5), (0.7, 0.4), (1.0, -0.3)])
def test_plans_are_rounded_as_they_say(carrier, mass, level):
    X, Y, a, b = problem()
    cost = np.square(X[:, None] - Y).sum(axis=2)
    b[3] = 0.0
    given = PointCost(X, Y) if carrier == "points" else cost
    result = partial_sinkhorn(given, 0.1, mass, a=a, b=b, max_iter=5)
    rng = np.random.default_rng(1)
    # Rows, columns and the mass are wrong in both directions.
    f = np.minimum(0, result.f + level + 0.3 * rng.normal(size=7))
    g = result.g + 0.3 * rng.normal(size=9)
    result = replace(result, potentials=(f, g - result.problem.cost.offset))
    plan = np.exp((f[:, None] + g - cost) / 0.1)
    expected = dense_rounding(plan, a, b, mass)
    assert_allclose(result.rounded_plan(), expected, rtol=1e-9, atol=1e-15)
    assert_allclose(expected.sum(), mass)
    found = result.certificate()
    entropy = np.sum(expected[expected > 0] * (np.log(expected[expected > 0]) - 1))
    assert_allclose(found.primal, np.sum(expected * cost) + 0.1 * entropy, rtol=1e-9)
    assert_allclose(found.gap, found.primal - found.dual, atol=1e-12)


@pytest.mark.parametrize("offset", [0.0, 1e4, -1e4])
def test_what_an_offset_of_the_cost_moves(offset):
    X, Y, a, b = problem()
    cost = np.square(X[:, None] - Y).sum(axis=2)
    plain = partial_sinkhorn(cost, 0.1, 0.6, a=a, b=b, tol=1e-10)
    moved = partial_sinkhorn(cost + offset, 0.1, 0.6, a=a, b=b, tol=1e-10)
    assert_allclose(moved.f, plain.f, atol=1e-6)
    assert_allclose(moved.g - offset, plain.g, atol=1e-6)
    assert_allclose(moved.level - offset, plain.level, atol=1e-6)
    for name in ("primal", "dual"):
        found = getattr(moved.certificate(), name) - 0.6 * offset
        assert_allclose(found, getattr(plain.certificate(), name), atol=1e-6)
    assert_allclose(moved.certificate().gap, plain.certificate().gap, atol=1e-6)


def test_a_little_more_mass_costs_the_level():
    X, Y, a, b = problem()
    cost, step = np.square(X[:, None] - Y).sum(axis=2), 1e-5
    values = [
        partial_sinkhorn(cost, 0.1, 0.6 + sign * step, a=a, b=b, tol=1e-12).value
        for sign in (1, -1)
    ]
    level = partial_sinkhorn(cost, 0.1, 0.6, a=a, b=b, tol=1e-12).level
    assert_allclose((values[0] - values[1]) / (2 * step), level, rtol=1e-5)
