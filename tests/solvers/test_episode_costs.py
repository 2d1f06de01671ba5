"""Costs of episodes, plans and objectives against their formulas."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from clusterlib.solvers.episode_costs import EpisodeCosts

EPSILON = 0.3


def episodes(dtype=np.float64, offset=0.0):
    """Queries (3, 7, 2) and prototypes (3, 4, 2)."""
    rng = np.random.default_rng(0)
    sizes = np.array([1.0, 2.0, 5.0])[:, None, None]
    queries, prototypes = (sizes * rng.normal(size=(3, n, 2)) + offset for n in (7, 4))
    return queries.astype(dtype), prototypes.astype(dtype)


def squares(queries, prototypes):
    return np.square(prototypes[:, :, None] - queries[:, None]).sum(axis=3)


@pytest.mark.parametrize("kind", ["max", "mean", "median"])
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_costs_are_squares_in_units_of_each_episode(kind, offset):
    queries, prototypes = episodes(offset=offset)
    costs = EpisodeCosts(queries, EPSILON, kind)
    assert costs.scale is None
    exact = squares(queries, prototypes)
    scale = getattr(np, kind)(exact, axis=(1, 2))
    assert_allclose(costs.of(prototypes), exact / scale[:, None, None], rtol=1e-9)
    assert_allclose(costs.scale, scale, rtol=1e-9)
    # The unit is kept until it is asked for anew.
    moved = squares(queries, prototypes + 1)
    assert_allclose(costs.of(prototypes + 1), moved / scale[:, None, None], rtol=1e-8)
    scale = getattr(np, kind)(moved, axis=(1, 2))
    renewed = costs.of(prototypes + 1, renew_scale=True)
    assert_allclose(renewed, moved / scale[:, None, None], rtol=1e-8)


@pytest.mark.parametrize("kind", ["max", "mean", "median"])
def test_narrow_costs_stay_narrow(kind):
    queries, prototypes = episodes(np.float32)
    costs = EpisodeCosts(queries, EPSILON, kind)
    found = costs.of(prototypes)
    wide = EpisodeCosts(*[queries.astype(float), EPSILON, kind]).of(prototypes.astype(float))
    assert found.dtype == np.float32
    assert costs.scale.dtype == np.float64
    assert_allclose(found, wide, rtol=1e-4, atol=1e-6)
    plan = costs.plan(found, np.zeros((3, 4)), np.zeros((3, 7)))
    assert plan.dtype == np.float32
    plan, objective = costs.responsibilities(found, np.full((3, 4), 0.25))
    assert plan.dtype == np.float32
    assert objective.dtype == np.float64


@pytest.mark.parametrize("kind", ["max", "mean", "median"])
def test_equal_points_cost_nothing(kind):
    queries = np.full((2, 3, 2), 5.0)
    queries[1, 1:] = 7.0
    costs = EpisodeCosts(queries, EPSILON, kind)
    found = costs.of(np.full((2, 2, 2), 5.0))
    assert_array_equal(found[0], 0.0)
    assert costs.scale[0] == 1.0
    assert (found >= 0).all()


def test_a_unit_that_is_given_is_that_of_all():
    queries, prototypes = episodes()
    costs = EpisodeCosts(queries, EPSILON, 2.5)
    assert_allclose(costs.of(prototypes), squares(queries, prototypes) / 2.5, rtol=1e-12)
    assert_array_equal(costs.scale, np.full(3, 2.5))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [0.01, 1.0, 4.0])
@pytest.mark.parametrize("largest", [0.0, 1.0, 100.0])
def test_units_are_refused_where_costs_leave_the_range(dtype, epsilon, largest):
    """Costs of 1e12 epsilon, or what does not exceed 0 or infinity in the type, are refused."""
    queries = np.array([[[-0.5], [0.5]]], dtype=dtype) * dtype(np.sqrt(largest))
    prototypes = queries[:, :1]
    limits = np.finfo(dtype)
    least = max(float(limits.tiny), 1.01e-12 * largest / epsilon)
    most = float(limits.max) / max(epsilon, 1.0)
    rounding = 1e-6
    for scale in (least * (1 + rounding), most * (1 - rounding), most, float(limits.tiny)):
        if scale >= least:
            EpisodeCosts(queries, epsilon, scale).of(prototypes)
    for scale in (least * (1 - rounding), most * 1.01, 0.0, -1.0):
        with pytest.raises(ValueError, match="cost_scale must be from .* squared distances up to"):
            EpisodeCosts(queries, epsilon, scale).of(prototypes)


def test_the_plan_is_that_of_the_potentials():
    queries, prototypes = episodes()
    costs = EpisodeCosts(queries, EPSILON, "mean")
    C = costs.of(prototypes)
    rng = np.random.default_rng(1)
    f, g = rng.normal(size=(3, 4)), rng.normal(size=(3, 7))
    exact = np.exp((f[:, :, None] + g[:, None, :] - C) / EPSILON)
    assert_allclose(costs.plan(C, f, g), exact, rtol=1e-12)


@pytest.mark.parametrize("far", [0.0, 1e4])
def test_responsibilities_are_posteriors(far):
    queries, prototypes = episodes()
    costs = EpisodeCosts(queries, EPSILON, "mean")
    C = costs.of(prototypes) + far
    masses = np.random.default_rng(1).dirichlet(np.ones(4), size=3)
    logs = np.log(masses)[:, :, None] - C / EPSILON
    totals = logsumexp(logs, axis=1)
    plan, objective = costs.responsibilities(C.copy(), masses)
    assert_allclose(plan, np.exp(logs - totals[:, None]) / 7, rtol=1e-10)
    assert_allclose(plan.sum(axis=1), 1 / 7, rtol=1e-12)
    assert_allclose(objective, -totals.sum(axis=1), rtol=1e-12)


def test_the_balanced_objective_is_that_of_the_optimal_plan():
    queries, prototypes = episodes()
    costs = EpisodeCosts(queries, EPSILON, "mean")
    C = costs.of(prototypes)
    masses = np.array([0.1, 0.2, 0.3, 0.4])
    f, g = np.zeros((3, 4)), np.zeros((3, 7))
    for _ in range(2000):
        f = EPSILON * (np.log(masses) - logsumexp((g[:, None] - C) / EPSILON, axis=2))
        g = -EPSILON * (np.log(7) + logsumexp((f[:, :, None] - C) / EPSILON, axis=1))
    plan = costs.plan(C, f, g)
    assert_allclose(plan.sum(axis=2), np.tile(masses, (3, 1)), rtol=1e-9)
    assert_allclose(plan.sum(axis=1), 1 / 7, rtol=1e-9)
    divergence = (plan * np.log(plan / (masses[:, None] / 7))).sum(axis=(1, 2))
    # KL to masses 1'/n, which has no entropy of the rows in it but that of the masses.
    exact = 7 * ((C * plan).sum(axis=(1, 2)) / EPSILON + divergence)
    assert_allclose(costs.balanced_objective(f, g, masses), exact, rtol=1e-8)


def test_leaving_the_labelled_rows_costs_their_mass():
    queries, prototypes = episodes()
    costs = EpisodeCosts(queries, EPSILON, "max")
    costs.of(prototypes)
    mass = np.array([3.0, 1.0, 2.0, 4.0])
    moved = prototypes + np.array([1.0, -2.0])
    exact = mass.sum() * 5.0 / (costs.scale * EPSILON)
    assert_allclose(costs.support_term(moved, prototypes, mass), exact, rtol=1e-12)
    moved = prototypes.copy()
    moved[:, 2] += 3.0
    exact = 2.0 * 18.0 / (costs.scale * EPSILON)
    assert_allclose(costs.support_term(moved, prototypes, mass), exact, rtol=1e-12)
