"""Pieces of domain adaptation: scales of weighted costs, weights, classes, maps of new rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.config import config_context
from clusterlib.solvers.cost_scale import cost_scale
from clusterlib.solvers.domain_transport import (
    labelled_cost,
    moved_as_nearest,
    moved_by_matrix,
    moved_to_means,
    weighted_cost_scale,
    weights_of_relative_entropy,
)
from clusterlib.solvers.transport_problem import PointCost


@pytest.fixture
def points():
    rng = np.random.default_rng(0)
    return rng.normal(size=(30, 3)), rng.normal(size=(40, 3)) + 1


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("kind", ["max", "mean"])
def test_scale_of_weighted_points_is_that_of_repetitions(points, kind, metric):
    X, Y = points
    rng = np.random.default_rng(1)
    a, b = rng.integers(0, 4, size=len(X)), rng.integers(0, 3, size=len(Y))
    repeated = PointCost(np.repeat(X, a, axis=0), np.repeat(Y, b, axis=0), metric=metric)
    with config_context(block_bytes=1 << 12):
        scale = weighted_cost_scale(PointCost(X, Y, metric=metric), kind, a / a.sum(), b / b.sum())
    assert scale == pytest.approx(cost_scale(repeated, kind), rel=1e-12)


def test_scale_without_weights_is_the_plain_one(points):
    cost = PointCost(*points)
    for kind in ("max", "mean", "median"):
        assert weighted_cost_scale(cost, kind) == cost_scale(cost, kind)
    only_one = weighted_cost_scale(cost, "median", a=np.eye(30)[3])
    assert only_one == pytest.approx(np.median(cost.block(slice(3, 4))))


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine"])
def test_scale_of_rounding_is_one(metric):
    row = np.random.default_rng(0).normal(size=(1, 7))
    cost = PointCost(
        np.repeat(row, 3, axis=0), 3 * row if metric == "cosine" else row, metric=metric
    )
    assert weighted_cost_scale(cost, "mean", a=np.ones(3)) == 1
    assert weighted_cost_scale(cost, "max") == 1


def test_weights_of_relative_entropy_do_not_depend_on_the_number_of_points():
    """Stationary marginals of a coarse problem are those of the same one with points split."""
    epsilon, rho = 0.3, 0.7

    def relaxed_mass(copies):
        # All costs 0: by symmetry P is constant, and only its mass x has to be found.
        n = 2 * copies
        a, b, mass = weights_of_relative_entropy(
            np.full(n, 1 / n), np.full(n, 1 / n), epsilon, rho, rho
        )
        f = g = 0.0
        for _ in range(200):
            f = rho / (rho + epsilon) * epsilon * (np.log(a[0]) - np.log(n * np.exp(g / epsilon)))
            g = rho / (rho + epsilon) * epsilon * (np.log(b[0]) - np.log(n * np.exp(f / epsilon)))
        return n * n * np.exp((f + g) / epsilon) / mass

    # Minimum of epsilon (x log x - x) + 2 rho (x log x - x): no mass vanishes.
    assert relaxed_mass(1) == pytest.approx(1)
    assert relaxed_mass(50) == pytest.approx(1)


def test_exact_marginals_keep_their_weights():
    a, b = np.array([0.25, 0.75]), np.array([1.0])
    solved = weights_of_relative_entropy(a, b, 0.1)
    assert solved == (a, b, 1.0)
    a_solved, b_solved, mass = weights_of_relative_entropy(a, b, 0.1, rho_b=1.0)
    assert_array_equal(a_solved, a * mass)  # an exact marginal is scaled alone
    assert b_solved == 2.0


def test_only_known_and_different_classes_pay(points):
    X, Y = points
    cost = PointCost(X, Y)
    plain = cost.block(slice(None))
    source, target = np.arange(30) % 3 - 1, np.arange(40) % 4 - 1
    penalty = 10 * plain.max()
    raised = labelled_cost(cost, source, target, penalty)
    pays = (source[:, None] != target) & (source[:, None] >= 0) & (target >= 0)
    assert_array_equal(raised[pays], penalty)
    assert_array_equal(raised[~pays], plain[~pays])
    assert_array_equal(labelled_cost(cost, source, target, 0.0), plain)
    narrow = labelled_cost(cost.astype(np.float32), source, target, penalty)
    assert narrow.dtype == np.float32


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine", "inner_product"])
def test_maps_are_softmax_means(points, metric):
    X, Y = points
    cost = PointCost(X, Y, metric=metric)
    g = np.random.default_rng(2).normal(size=len(Y))
    g[:3] = -np.inf  # targets without weight
    new = X[:5] + 0.1
    costs = PointCost(new, Y, metric=metric).block(slice(None))
    weight = np.exp((g - costs) / 0.7)
    expected = weight @ Y / weight.sum(axis=1, keepdims=True)
    assert_allclose(moved_to_means(new, cost, 0.7, g), expected, atol=1e-12)
    assert_allclose(moved_by_matrix(costs, Y, 0.7, g), expected, atol=1e-12)


def test_rows_move_with_their_nearest_source(points):
    X, _ = points
    shift = np.random.default_rng(3).normal(size=X.shape)
    asked = []

    def means(chosen):
        asked.append(chosen)
        return X[chosen] + shift[chosen]

    new = X[[4, 4, 9]] + [[1e-3], [2e-3], [0.0]]
    assert_allclose(moved_as_nearest(new, X, means), new + shift[[4, 4, 9]])
    assert_array_equal(asked, [[4, 9]])


@pytest.mark.parametrize("kind", ["max", "mean"])
@pytest.mark.parametrize(("share", "is_rounding"), [(0.99e-12, True), (1.01e-12, False)])
def test_a_trillionth_of_what_costs_are_made_of_is_rounding(kind, share, is_rounding):
    step = 2.0**-20
    cost = PointCost(np.array([[0.0]]), np.array([[step]]))
    assert weighted_cost_scale(cost, kind) == step**2
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(PointCost, "magnitude", property(lambda self: step**2 / share))
        scale = weighted_cost_scale(cost, kind)
        assert scale == (1.0 if is_rounding else step**2)


@pytest.mark.parametrize(("rho_a", "rho_b"), [(0.7, np.inf), (np.inf, 0.2), (0.5, 1.5)])
def test_weights_are_powers_of_their_ratio_to_equal_ones(rho_a, rho_b):
    a, b = np.array([0.2, 0.0, 0.5, 0.3]), np.array([0.9, 0.1])
    found_a, found_b, mass = weights_of_relative_entropy(a, b, 0.3, rho_a, rho_b)
    assert mass == 3 * 2
    assert_allclose(found_a, 2 * (3 * a) ** (1 + 0.3 / rho_a), rtol=1e-14)
    assert_allclose(found_b, 3 * (2 * b) ** (1 + 0.3 / rho_b), rtol=1e-14)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("one_side", [False, True])
def test_the_weighted_mean_is_that_of_all_pairs(points, metric, one_side):
    X, Y = points
    rng = np.random.default_rng(4)
    a, b = rng.uniform(size=30) * (rng.random(30) < 0.7), rng.uniform(size=40)
    costs = np.abs(PointCost(X, Y, metric=metric).block(slice(None)))
    expected = np.average(np.average(costs, axis=1, weights=None if one_side else b), weights=a)
    found = weighted_cost_scale(
        PointCost(X, Y, metric=metric), "mean", a=a, b=None if one_side else b
    )
    assert found == pytest.approx(expected, rel=1e-12)
