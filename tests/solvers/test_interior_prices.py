"""Prices in the middle of what an optimal assignment leaves them."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import linprog
from scipy.spatial.distance import cdist

from clusterlib.blocks import ArrayBlocks
from clusterlib.kernels import capacity_assignment_points, priced_argmin
from clusterlib.solvers import interior_prices, unit_rows
from clusterlib.solvers.interior_prices import nearest_prices

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


def plain_slacks(X, centers, labels, prices, metric="sqeuclidean"):
    """What the row of a that pays least more in b pays more, prices included; and a bound."""
    k = len(centers)
    costs = cdist(X, centers, metric) + prices
    slacks = np.full((k, k), np.inf)
    for row, a in zip(costs, labels, strict=True):
        for b in set(range(k)) - {a}:
            slacks[a, b] = min(slacks[a, b], max(row[b] - row[a], 0.0))
    return slacks, np.abs(costs).max()


def with_a_price_of_zero(slacks, prices, has_room, can_lose):
    k = len(prices)
    extended = np.full((k + 1, k + 1), np.inf)
    extended[:k, :k] = slacks
    for a in range(k):
        if has_room[a]:  # a price above 0 is not allowed
            extended[a, k] = max(-prices[a], 0.0)
        if can_lose[a]:
            extended[k, a] = max(prices[a], 0.0)
    return extended


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize(
    ("n", "k", "size_min", "size_max"),
    [(30, 3, 10, 10), (31, 4, 7, 9), (30, 4, [0, 5, 5, 9], 14), (30, 5, 1, [4, 9, 9, 9, 9])],
)
def test_prices_are_those_of_plain_sweeps(n, k, size_min, size_max, spherical):
    """A quarter of the way at a time, for 32 sweeps in which no more prices get free."""
    X, centers = problem(n, k, d=2, spherical=spherical)
    low, high = np.broadcast_to(size_min, k), np.broadcast_to(size_max, k)
    metric = METRICS[spherical]
    found = capacity_assignment_points(X, centers, low, high, metric=metric)
    sizes = np.bincount(found.labels, minlength=k)
    slacks, largest = plain_slacks(X, centers, found.labels, found.prices, metric)
    slacks = with_a_price_of_zero(slacks, found.prices, sizes < high, sizes > low)
    slacks[np.isinf(slacks)] = slacks[np.isfinite(slacks)].max()
    moves, best, idle = np.zeros(k + 1), np.inf, 0
    while idle < 32:
        left = slacks + moves[None] - moves[:, None]
        n_tight = np.sum(left <= 16 * 2.0**-52 * largest)
        idle += n_tight >= best
        best = n_tight
        moves = moves + (left.min(axis=1) - left.min(axis=0)) / 4
    expected = found.prices + moves[:k] - moves[k]
    expected = np.where(sizes < high, np.minimum(expected, 0), expected)
    expected = np.where(sizes > low, np.maximum(expected, 0), expected)
    prices = interior_prices(
        X, centers, found.labels, found.prices, size_min, size_max, spherical=spherical
    )
    assert_allclose(prices, expected, rtol=1e-6, atol=1e-9 * largest)


@pytest.mark.parametrize("free", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_nearest_prices_are_the_highest_below_those_that_are_wanted(seed, free):
    """Against a linear program: ``q_a - q_b <= slack_ab`` and ``q <= wanted - prices``."""
    X, centers = problem(24, 4, d=2, seed=seed)
    low, high = (4, 9) if free else (6, 6)
    found = capacity_assignment_points(X, centers, low, high)
    sizes = np.bincount(found.labels, minlength=4)
    has_room, can_lose = sizes < high, sizes > low
    wanted = found.prices + 3 * np.random.default_rng(seed).normal(size=4)
    slacks, _ = plain_slacks(X, centers, found.labels, found.prices)
    slacks = with_a_price_of_zero(slacks, found.prices, has_room, can_lose)
    pairs = np.argwhere(np.isfinite(slacks))
    rows = np.eye(5)[pairs[:, 0]] - np.eye(5)[pairs[:, 1]]
    highest = np.append(wanted - found.prices, 0.0)
    program = linprog(
        -np.ones(5), rows, slacks[tuple(pairs.T)], bounds=[(None, value) for value in highest]
    )
    moves = program.x[:4] - program.x[4]
    prices = nearest_prices(X, centers, found.labels, found.prices, wanted, has_room, can_lose)
    assert_allclose(prices, found.prices + moves, atol=1e-8)
    assert (prices[has_room] <= 0).all()
    assert (prices[can_lose] >= 0).all()
    bound = np.where(prices > 0, high, low)
    value = (cdist(X, centers, "sqeuclidean") + prices).min(axis=1).sum() - (bound * prices).sum()
    assert_allclose(value, found.cost, rtol=1e-9)


def test_prices_that_are_a_proof_are_the_nearest():
    X, centers = problem(40, 4)
    found = capacity_assignment_points(X, centers, 10, 10)
    none = np.zeros(4, dtype=bool)
    inner = interior_prices(X, centers, found.labels, found.prices, 10, 10)
    prices = nearest_prices(X, centers, found.labels, found.prices, inner, none, none)
    assert_allclose(prices - prices[0], inner - inner[0], atol=1e-9)
