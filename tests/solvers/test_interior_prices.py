"""Prices in the middle of what an optimal assignment leaves them."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.spatial.distance import cdist

from clusterlib.blocks import ArrayBlocks
from clusterlib.kernels import capacity_assignment_points, priced_argmin
from clusterlib.solvers import interior_prices, unit_rows

METRICS = {False: "sqeuclidean", True: "cosine"}


def problem(n, k, d=5, seed=0, spherical=False):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d))
    centers = X[rng.choice(n, k, replace=False)]
    return X, unit_rows(centers) if spherical else centers


def dual_value(costs, prices, size_min, size_max):
    bound = np.where(prices > 0, size_max, size_min)
    return (costs + prices).min(axis=1).sum() - (bound * prices).sum()


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize(
    ("n", "k", "size_min", "size_max"),
    [(60, 7, 8, 9), (63, 7, 9, 9), (200, 40, 5, 5), (60, 7, 0, 11), (60, 7, 6, 60), (60, 7, 2, 15)],
)
def test_every_row_prefers_its_own_cluster(n, k, size_min, size_max, spherical):
    X, centers = problem(n, k, spherical=spherical)
    metric = METRICS[spherical]
    found = capacity_assignment_points(X, centers, size_min, size_max, metric=metric)
    prices = interior_prices(
        X, centers, found.labels, found.prices, size_min, size_max, spherical=spherical
    )
    assert_array_equal(priced_argmin(X, centers, prices, metric=metric), found.labels)
    costs = cdist(X, centers, metric)
    two = np.sort(costs + prices, axis=1)[:, :2]
    assert (np.diff(two) > 1e-7 * costs.max()).all()
    # As good a proof: signs where the bounds want them, the same dual value.
    sizes = np.bincount(found.labels, minlength=k)
    assert (sizes[prices > 0] == size_max).all() and (sizes[prices < 0] == size_min).all()
    assert_allclose(dual_value(costs, prices, size_min, size_max), found.cost, rtol=1e-12)


def test_bounds_may_differ_between_clusters():
    X, centers = problem(50, 5)
    low, high = np.array([0, 10, 5, 0, 3]), np.array([5, 10, 50, 12, 20])
    found = capacity_assignment_points(X, centers, low, high)
    prices = interior_prices(X, centers, found.labels, found.prices, low, high)
    assert_array_equal(priced_argmin(X, centers, prices), found.labels)
    assert_allclose(dual_value(cdist(X, centers, "sqeuclidean"), prices, low, high), found.cost)


@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_prices_scale_with_the_costs(scale):
    X, centers = problem(40, 4)
    found = capacity_assignment_points(X, centers, 10, 10)
    one = interior_prices(X, centers, found.labels, found.prices, 10, 10)
    other = interior_prices(
        scale * X, scale * centers, found.labels, scale**2 * found.prices, 10, 10
    )
    assert_allclose(other, scale**2 * one, rtol=1e-6)


def test_equal_rows_leave_no_freedom_and_do_no_harm():
    X = np.repeat(np.eye(3), 4, axis=0)
    centers = np.eye(3)[[0, 0, 1, 2]]
    found = capacity_assignment_points(X, centers, 2, 4)
    prices = interior_prices(X, centers, found.labels, found.prices, 2, 4)
    assert np.isfinite(prices).all()
    costs = cdist(X, centers, "sqeuclidean")
    assert_allclose(dual_value(costs, prices, 2, 4), found.cost, atol=1e-12)


def test_single_precision_blocks_and_one_cluster():
    X, centers = (A.astype(np.float32) for A in problem(9000, 3))
    found = capacity_assignment_points(X, centers, 3000, 3000)
    whole = interior_prices(X, centers, found.labels, found.prices, 3000, 3000)
    blocks = ArrayBlocks(X, block_rows=4096)
    assert_array_equal(
        interior_prices(blocks, centers, found.labels, found.prices, 3000, 3000), whole
    )
    assert_array_equal(priced_argmin(X, centers, whole), found.labels)
    one = interior_prices(X, centers[:1], np.zeros(9000, int), np.zeros(1), 1, 9000)
    assert_array_equal(one, [0.0])


@pytest.mark.parametrize("spherical", [False, True])
def test_costs_are_gone_through_in_steps(spherical, monkeypatch):
    X, centers = problem(203, 7, spherical=spherical)
    found = capacity_assignment_points(X, centers, 29, 29, metric=METRICS[spherical])
    arguments = X, centers, found.labels, found.prices, 29, 29
    whole = interior_prices(*arguments, spherical=spherical)
    monkeypatch.setattr(importlib.import_module(interior_prices.__module__), "_STEP_VALUES", 80)
    assert_array_equal(interior_prices(*arguments, spherical=spherical), whole)


def test_input_is_not_written_to():
    X, centers = problem(40, 4)
    found = capacity_assignment_points(X, centers, 10, 10)
    prices = found.prices.copy()
    interior_prices(X, centers, found.labels, prices, 10, 10)
    assert_array_equal(prices, found.prices)
