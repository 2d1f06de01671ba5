"""Balanced labels from a plan and from regrets: units, and rows far from each other."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import (
    PointCost,
    assign_bounded,
    balanced_heuristic,
    balanced_heuristics,
    cluster_means,
    equal_sizes,
    greedy_assignment,
    regret_assignment,
    row_norms,
    sinkhorn,
    sinkhorn_assignment,
    unit_rows,
)


def small_numbers(n=60, d=3, seed=0):
    """Whole numbers, so that powers of two scale them exactly, among numbers without digits too."""
    return np.random.default_rng(seed).integers(-7, 8, size=(n, d)).astype(np.float64)


@pytest.mark.parametrize("exponent", [-1070, -1000, -300, 0, 300, 505])
def test_units_change_no_label(exponent):
    X = small_numbers()
    expected, prices, cost = sinkhorn_assignment(X, X[:6], 10, 10)
    assert_array_equal(np.bincount(expected), np.full(6, 10))
    scale = np.ldexp(1.0, exponent)
    labels, scaled_prices, scaled_cost = sinkhorn_assignment(X * scale, X[:6] * scale, 10, 10)
    assert_array_equal(labels, expected)
    assert_allclose(scaled_prices, prices * scale * scale, rtol=1e-9)
    assert_allclose(scaled_cost, cost * scale * scale, rtol=1e-9)


@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_a_unit_is_seen_at_either_end(sign):
    """The squares of such numbers are 0."""
    X = 1e-200 * sign * np.r_[9.0, 0.0, 2.0, 1.0][:, None]
    labels, _, _ = sinkhorn_assignment(X, X[[1, 0]], 2, 2)
    assert_array_equal(labels, [1, 0, 1, 0])


@pytest.mark.parametrize("exponent", [-500, -300, 300, 500])
def test_units_change_nothing_of_a_start_from_prices(exponent):
    X = small_numbers()
    start = np.arange(6.0)
    labels, prices, _ = sinkhorn_assignment(X, X[:6], 10, 10, prices=start)
    scale = np.ldexp(1.0, exponent)
    scaled = sinkhorn_assignment(X * scale, X[:6] * scale, 10, 10, prices=start * scale * scale)
    assert_array_equal(scaled[0], labels)
    # Powers of two are exact, so that the sweeps go the same way.
    assert_allclose(scaled[1], prices * scale * scale, rtol=1e-12)


def costs_of(X, centers, spherical):
    if spherical:
        return 1 - unit_rows(X) @ unit_rows(centers).T
    return np.square(X[:, None] - centers).sum(axis=2)


def plain_regrets(X, centers, prices, sizes, spherical):
    """Rows ask, clusters with too many of them keep those with the largest regrets, until none asks."""
    costs = costs_of(X, centers, spherical) + prices
    labels, room, asking = np.full(len(X), -1), np.array(sizes), list(range(len(X)))
    while asking:
        opened = [j for j in range(len(centers)) if room[j] > 0]
        wishes = {}
        for i in asking:
            own = sorted(costs[i, opened])
            regret = own[1] - own[0] if len(opened) > 1 else 0.0
            wishes.setdefault(min(opened, key=lambda j: (costs[i, j], j)), []).append((-regret, i))
        for j, rows in wishes.items():
            for _, i in sorted(rows)[: room[j]]:
                labels[i] = j
            room[j] -= min(room[j], len(rows))
        asking = [i for i in asking if labels[i] < 0]
    return labels


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("seed", range(6))
def test_regrets_are_those_of_plain_rounds(seed, spherical):
    rng = np.random.default_rng(seed)
    X = small_numbers(50, 3, seed) if seed % 2 else rng.normal(size=(50, 3))
    centers = rng.normal(size=(6, 3))
    sizes = np.bincount(rng.integers(0, 6 - seed % 3, 50), minlength=6)
    prices = rng.normal(size=6) * (seed > 2)
    found = regret_assignment(X, centers, prices, sizes, spherical=spherical)
    assert_array_equal(found, plain_regrets(X, centers, prices, sizes, spherical))
    assert found.dtype == np.int32


def test_equal_regrets_keep_the_lower_row_and_equal_costs_the_lower_cluster():
    X = np.array([[0.0], [0.0], [0.0], [0.0], [5.0]])
    centers, sizes = np.array([[1.0], [-1.0], [1.0]]), np.array([2, 1, 2])
    assert_array_equal(regret_assignment(X, centers, np.zeros(3), sizes), [0, 0, 1, 2, 2])
    assert_array_equal(
        regret_assignment(X, centers, np.zeros(3), sizes),
        plain_regrets(X, centers, np.zeros(3), sizes, spherical=False),
    )


@pytest.mark.parametrize("size", [1, 20, 100])
def test_chunks_of_rows_change_no_regret(size, monkeypatch):
    X = small_numbers(50)
    arguments = X, X[:5] + 0.25, np.arange(5.0), np.full(5, 10)
    expected = regret_assignment(*arguments)
    monkeypatch.setattr(balanced_heuristics, "_CHUNK_VALUES", size)
    assert_array_equal(regret_assignment(*arguments), expected)


@pytest.mark.parametrize("seed", range(30))
def test_equal_sizes_grow_from_the_smallest(seed):
    rng = np.random.default_rng(seed)
    low = rng.integers(0, 5, 6)
    high = low + rng.integers(0, 6, 6)
    for n in range(low.sum(), high.sum() + 1):
        sizes = low.copy()
        for _ in range(n - low.sum()):
            growing = np.flatnonzero(sizes < high)
            sizes[growing[np.argmin(sizes[growing])]] += 1
        assert_array_equal(equal_sizes(n, low, high, 6), sizes)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("start", [None, 0.0, 1.0])
def test_prices_are_those_of_sinkhorn_at_a_twentieth_of_the_nearest_cost(start, spherical):
    X, sizes = small_numbers(40) + 0.5, np.array([10, 9, 9, 12, 0])
    centers = unit_rows(X[:5]) if spherical else X[:5] + 0.25
    prices = None if start is None else start * np.arange(5.0)
    labels, found, cost = sinkhorn_assignment(
        X, centers, np.array([10, 0, 0, 12, 0]), np.array([10, 10, 20, 12, 0]), prices=prices,
        spherical=spherical,
    )  # fmt: skip
    costs = costs_of(X, centers, spherical)
    epsilon = 0.05 * costs.min(axis=1).mean()
    metric = "cosine" if spherical else "sqeuclidean"
    result = sinkhorn(
        PointCost(X, centers, metric=metric), epsilon, b=sizes.astype(float),
        g=None if prices is None else -prices, tol=1e-3, max_iter=500, method="log",
    )  # fmt: skip
    assert_array_equal(np.bincount(labels, minlength=5), sizes)
    assert_allclose(found, np.append(-result.g[:4], 0.0), rtol=1e-9, atol=1e-12)
    assert_array_equal(labels, plain_regrets(X, centers, found, sizes, spherical))
    assert_allclose(cost, costs[np.arange(40), labels].sum(), rtol=1e-9)


def test_rows_at_their_centres_are_shared_out_by_their_places():
    """No cost at the nearest centres: epsilon is a billionth of what costs are made of."""
    X = np.repeat(np.eye(3), 4, axis=0)
    labels, prices, cost = sinkhorn_assignment(X, np.eye(3), 4, 4)
    assert_array_equal(labels, np.repeat([0, 1, 2], 4))
    assert cost == 0.0
    assert_allclose(prices - prices[0], 0.0, atol=1e-6)
    nothing = sinkhorn_assignment(np.zeros((6, 2)), np.zeros((3, 2)), 2, 2)
    assert_array_equal(nothing[1], 0.0)
    assert_array_equal(np.bincount(nothing[0]), [2, 2, 2])


def plain_heuristic(X, centers, low, high, entropic, spherical, max_iter, tol):
    weight = 1 / row_norms(X) if spherical else None
    prices = np.zeros(len(centers))

    def assigned(centers, prices):
        if entropic:
            return sinkhorn_assignment(X, centers, low, high, prices=prices, spherical=spherical)
        found = greedy_assignment(X, centers, low, high, spherical=spherical)
        return found.labels, prices, found.cost

    labels, prices, cost = assigned(centers, prices)
    best, history, idle, rests = (cost, labels, centers), [], 0, False
    while len(history) < max_iter and not rests and idle < 10:
        centers = cluster_means(X, labels, centers, weight=weight, spherical=spherical)
        before = labels
        labels, prices, cost = assigned(centers, prices)
        idle = 0 if cost < (1 - tol) * best[0] else idle + 1
        if cost <= best[0]:
            best = cost, labels, centers
        history.append(cost)
        rests = np.array_equal(labels, before)
    return best, history, rests or idle >= 10


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("entropic", [False, True])
@pytest.mark.parametrize(
    ("max_iter", "tol"), [(1, 0.0), (3, 0.0), (300, 0.0), (300, 0.05), (300, 0.9)]
)
def test_the_heuristic_is_a_plain_loop(max_iter, tol, entropic, spherical):
    X = np.random.default_rng(4).normal(size=(90, 3))
    centers = unit_rows(X[:7]) if spherical else X[:7].copy()
    seen = []
    result = balanced_heuristic(
        X, centers, 10, 16, entropic=entropic, spherical=spherical, max_iter=max_iter, tol=tol,
        callback=lambda centers, prices, history: seen.append((centers, prices, list(history))),
    )  # fmt: skip
    best, history, converged = plain_heuristic(
        X, centers, 10, 16, entropic, spherical, max_iter, tol
    )
    assert_array_equal(result.history, history)
    assert_array_equal(result.labels, best[1])
    assert_array_equal(result.centers, best[2])
    assert result.inertia == best[0]
    assert result.n_iter == len(history) == len(seen)
    assert [len(past) for *_, past in seen] == list(range(1, len(history) + 1))
    assert result.converged == converged
    exact = assign_bounded(X, best[2], 10, 16, spherical=spherical)
    assert_array_equal(result.prices, exact.prices)
    assert_allclose(result.dual_gap, max(best[0] - exact.cost, 0) + exact.dual_gap, rtol=1e-12)
