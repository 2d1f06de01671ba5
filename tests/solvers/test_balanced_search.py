"""Searches around balanced k-means: exchanges of rows, centres in other places, heuristics."""

import itertools

import numpy as np
import pytest

from clusterlib.solvers import (
    balanced_heuristic,
    balanced_lloyd,
    cluster_means,
    costs_of_assignment,
    equal_sizes,
    exchange_rows,
    regret_assignment,
    row_norms,
    sinkhorn,
    sinkhorn_assignment,
    swap_centers,
    unit_rows,
)
from clusterlib.solvers.cluster_worth import ClusterWorth

GEOMETRIES = [False, True]


def data(n=200, d=4, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def start(X, k, spherical=False):
    return unit_rows(X[:k]) if spherical else X[:k].copy()


def cost_at_means(X, labels, k, spherical=False):
    weight = 1 / row_norms(X) if spherical else None
    means = cluster_means(X, labels, X[:k], weight=weight, spherical=spherical)
    return costs_of_assignment(X, means, labels, spherical=spherical).sum()


@pytest.mark.parametrize("spherical", GEOMETRIES)
@pytest.mark.parametrize("offset", [0.0, 1e4])
def test_gains_are_differences_of_the_objective(spherical, offset):
    X = data(40) + offset
    labels = np.arange(40, dtype=np.int32) % 4
    worth = ClusterWorth(X, labels, 4, np.zeros(4), np.full(4, 40), spherical=spherical)
    before = cost_at_means(X, labels, 4, spherical)
    scale = len(X) if spherical else np.square(X - X.mean(axis=0)).sum()
    for row, partner in itertools.product(range(0, 40, 4), (1, 17, 33)):
        changed = labels.copy()
        changed[row], changed[partner] = 1, 0
        step = worth.points([partner]) - worth.points([row])
        gain = worth.gains(step, [0], [1], 0)[0]
        expected = before - cost_at_means(X, changed, 4, spherical)
        np.testing.assert_allclose(gain, expected, atol=1e-9 * scale)
        alone = labels.copy()
        alone[row] = 1
        gain = worth.gains(-worth.points([row]), [0], [1], 1)[0]
        expected = before - cost_at_means(X, alone, 4, spherical)
        np.testing.assert_allclose(gain, expected, atol=1e-9 * scale)


def test_the_formula_of_the_documentation_is_the_gain():
    X = data(12)
    labels = np.repeat([0, 1, 2], 4).astype(np.int32)
    means = cluster_means(X, labels, X[:3])
    worth = ClusterWorth(X, labels, 3, np.zeros(3), np.full(3, 12))
    d = np.square(X[:, None] - means).sum(axis=2)
    i, j = 1, 6
    gain = np.square(X[i] - X[j]).sum() * (1 / 4 + 1 / 4)
    gain -= d[i, 1] - d[i, 0] + d[j, 0] - d[j, 1]
    found = worth.gains(worth.points([j]) - worth.points([i]), [0], [1], 0)[0]
    np.testing.assert_allclose(found, gain, rtol=1e-9)


@pytest.mark.parametrize("spherical", GEOMETRIES)
@pytest.mark.parametrize("bounds", [(10, 10), (5, 20), (0, 200)])
def test_exchanges_lower_the_cost_within_the_bounds(bounds, spherical):
    X = data()
    rest = balanced_lloyd(X, start(X, 20, spherical), *bounds, spherical=spherical)
    arguments = (X, rest.labels, rest.centers, rest.prices, *bounds)
    labels = exchange_rows(*arguments, spherical=spherical)
    sizes = np.bincount(labels, minlength=20)
    assert (bounds[0] <= sizes).all()
    assert (sizes <= bounds[1]).all()
    assert cost_at_means(X, labels, 20, spherical) < rest.inertia
    assert not np.array_equal(labels, rest.labels)
    again = balanced_lloyd(X, start(X, 20, spherical), *bounds, spherical=spherical, exchange=True)
    assert again.inertia < rest.inertia


def test_nothing_to_gain_returns_the_same_labels():
    X = np.repeat(np.eye(3) * 9, 4, axis=0)
    labels = np.repeat([0, 1, 2], 4).astype(np.int32)
    assert exchange_rows(X, labels, np.eye(3) * 9, np.zeros(3), 4, 4) is labels
    one = np.zeros(12, dtype=np.int32)
    assert exchange_rows(X, one, X.mean(axis=0, keepdims=True), np.zeros(1), 12, 12) is one


def test_exchanges_reach_pairs_that_are_all_at_rest():
    """With exchanges no pair of two small clusters, tried by hand, is left to gain."""
    X = data(60, 3)
    result = balanced_lloyd(X, X[:6], 10, 10, exchange=True)
    labels = exchange_rows(X, result.labels, result.centers, result.prices, 10, 10)
    least = cost_at_means(X, labels, 6)
    assert least >= result.inertia * (1 - 1e-12)
    for i, j in itertools.combinations(range(60), 2):
        changed = labels.copy()
        changed[i], changed[j] = labels[j], labels[i]
        assert cost_at_means(X, changed, 6) >= least * (1 - 1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("scale", [1e-12, 1e12])
def test_units_change_no_exchange(scale, dtype):
    X = data().astype(dtype)
    labels = []
    for rows in (X, X * dtype(scale)):
        rest = balanced_lloyd(rows, rows[:20].copy(), 10, 10)
        found = exchange_rows(rows, rest.labels, rest.centers, rest.prices, 10, 10)
        labels.append(found)
    np.testing.assert_array_equal(*labels)


@pytest.mark.parametrize("spherical", GEOMETRIES)
def test_swaps_never_raise_and_end_at_rest(spherical):
    X = data(300)
    first = balanced_lloyd(X, start(X, 10, spherical), 30, 30, spherical=spherical)
    seen = []

    def callback(centers, prices, history):
        seen.append(history[-1])

    arguments = (X, first, 30, 30, 12, np.random.default_rng(0))
    found = swap_centers(*arguments, spherical=spherical, exchange=True, callback=callback)
    assert found.inertia < first.inertia
    assert (np.diff(found.history) <= 0).all()
    assert found.n_iter == len(found.history) == first.n_iter + len(seen)
    assert found.history[-1] == found.inertia == seen[-1]
    assert found.converged
    arguments = (X, first, 30, 30, 12, np.random.default_rng(0))
    again = swap_centers(*arguments, spherical=spherical, exchange=True)
    for one, other in zip(found, again, strict=True):
        np.testing.assert_array_equal(one, other)


def test_swaps_stop_when_asked_to_and_may_find_nothing():
    X = data(300)
    first = balanced_lloyd(X, X[:10], 30, 30)
    stopped = swap_centers(X, first, 30, 30, 12, np.random.default_rng(0), callback=lambda *_: True)
    assert stopped.n_iter == first.n_iter + 1
    equal = np.full((9, 2), 3.0)
    first = balanced_lloyd(equal, equal[:3], 3, 3)
    found = swap_centers(equal, first, 3, 3, 4, np.random.default_rng(0))
    assert found.inertia == 0
    assert found.converged


def test_swaps_send_cheap_centres_to_dear_rows(monkeypatch):
    X = np.r_[data(60), [[90.0] * 4]]
    first = balanced_lloyd(X, X[:5], 12, 13)
    first = first._replace(prices=np.array([0.0, 5.0, 4.0, 5.0, 5.0]))
    tried = []

    def keep(X, centers, *bounds, prices, **options):
        tried.append((centers, prices))
        return first

    monkeypatch.setattr("clusterlib.solvers.balanced_search.balanced_lloyd", keep)
    swap_centers(X, first, 12, 13, 60, np.random.default_rng(0))
    assert len(tried) == 60
    moved = [np.flatnonzero((centers != first.centers).any(axis=1)) for centers, _ in tried]
    n_moves = np.bincount(np.concatenate(moved), minlength=5)
    assert n_moves.sum() == 60
    assert n_moves[[1, 3, 4]].sum() == 0
    assert n_moves[0] > 2 * n_moves[2] > 0
    rows = [
        int(np.flatnonzero((X == centers[j]).all(axis=1))[0])
        for (centers, _), (j,) in zip(tried, moved, strict=True)
    ]
    assert rows.count(60) > 40
    for (_, prices), (j,), row in zip(tried, moved, rows, strict=True):
        expected = first.prices.copy()
        expected[j] = first.prices[first.labels[row]]
        np.testing.assert_array_equal(prices, expected)


def test_an_end_that_rounds_up_is_not_taken(monkeypatch):
    """The iterations at the end start from an inertia that another order of sums may exceed."""
    X = data(60)
    first = balanced_lloyd(X, X[:5], 12, 12)
    better = first._replace(inertia=first.inertia * 0.5)
    above = np.nextafter(better.inertia, np.inf)

    def rounded(X, centers, *bounds, callback=None, **options):
        if callback is None:
            return better
        callback(centers, better.prices, [above])
        return better._replace(inertia=above, n_iter=1, converged=True, history=np.array([above]))

    monkeypatch.setattr("clusterlib.solvers.balanced_search.balanced_lloyd", rounded)
    found = swap_centers(X, first, 12, 12, 2, np.random.default_rng(0))
    assert found.inertia == found.history[-1] == better.inertia
    assert found.converged
    assert len(found.history) == found.n_iter == first.n_iter + 3


@pytest.mark.parametrize(
    ("n", "low", "high", "expected"),
    [
        (11, 3, 4, [4, 4, 3]),
        (9, 0, 9, [3, 3, 3]),
        (9, [0, 5, 0], 9, [2, 5, 2]),
        (9, 0, [1, 9, 9], [1, 4, 4]),
        (10, [0, 0, 4], [1, 9, 9], [1, 5, 4]),
        (6, [6, 0, 0], 6, [6, 0, 0]),
        (0, 0, 0, [0, 0, 0]),
    ],
)
def test_equal_sizes(n, low, high, expected):
    sizes = equal_sizes(n, np.array(low), np.array(high), 3)
    assert sizes.tolist() == expected


def test_regret_assignment_fills_every_size():
    X = data(100)
    sizes = np.array([50, 0, 7, 43])
    labels = regret_assignment(X, X[:4], np.array([0.0, -9.0, 0.1, 3.0]), sizes)
    np.testing.assert_array_equal(np.bincount(labels, minlength=4), sizes)
    free = regret_assignment(X, X[:4], np.zeros(4), np.bincount(np.arange(100) % 1, minlength=4))
    assert (free == 0).all()


def test_those_who_regret_most_stay():
    X = np.array([[4.0], [1.0], [3.0]])
    centers, sizes = np.array([[0.0], [10.0]]), np.array([1, 2])
    assert regret_assignment(X, centers, np.zeros(2), sizes).tolist() == [1, 0, 1]
    # 3.0 asks for the first cluster now only because the second charges.
    dear = regret_assignment(X, centers, np.array([0.0, 50.0]), sizes[::-1])
    assert dear.tolist() == [1, 0, 0]


def test_sinkhorn_starts_from_the_prices_it_gets(monkeypatch):
    X, starts = data(100), []

    def spy(cost, epsilon, *, g, **options):
        starts.append(g)
        return sinkhorn(cost, epsilon, g=g, **options)

    monkeypatch.setattr("clusterlib.solvers.balanced_heuristics.sinkhorn", spy)
    _, prices, _ = sinkhorn_assignment(X, X[:4], 25, 25)
    again = sinkhorn_assignment(X, X[:4], 25, 25, prices=prices)[1]
    assert starts[0] is None
    np.testing.assert_array_equal(starts[1], -prices)
    np.testing.assert_allclose(again - again[0], prices - prices[0], atol=0.05)


@pytest.mark.parametrize("spherical", GEOMETRIES)
def test_sinkhorn_is_near_the_optimum(spherical):
    X = data(400)
    exact = balanced_lloyd(X, start(X, 8, spherical), 50, 50, spherical=spherical)
    labels, prices, cost = sinkhorn_assignment(X, exact.centers, 50, 50, spherical=spherical)
    assert np.bincount(labels).tolist() == [50] * 8
    assert exact.inertia * (1 - 1e-12) <= cost < 1.05 * exact.inertia
    warm = sinkhorn_assignment(X, exact.centers, 50, 50, prices=prices, spherical=spherical)
    assert warm[2] < 1.05 * exact.inertia


@pytest.mark.parametrize("entropic", [False, True])
@pytest.mark.parametrize("spherical", GEOMETRIES)
@pytest.mark.parametrize("bounds", [(33, 34), (10, 60)])
def test_heuristics_keep_the_best_and_prove_how_good_it_is(bounds, spherical, entropic):
    X = data(300)
    options = {"spherical": spherical, "entropic": entropic}
    result = balanced_heuristic(X, start(X, 9, spherical), *bounds, **options)
    sizes = np.bincount(result.labels, minlength=9)
    assert bounds[0] <= sizes.min() <= sizes.max() <= bounds[1]
    assert result.inertia == result.history.min()
    assert result.converged
    costs = costs_of_assignment(X, result.centers, result.labels, spherical=spherical)
    np.testing.assert_allclose(result.inertia, costs.sum(), rtol=1e-12)
    exact = balanced_lloyd(X, result.centers, *bounds, spherical=spherical)
    start_of_exact = result.inertia - result.dual_gap
    assert exact.inertia <= start_of_exact * (1 + 1e-12)
    assert (bounds == (10, 60)) or result.dual_gap > 0
    assert 0 <= result.dual_gap < 0.1 * result.inertia


@pytest.mark.parametrize("entropic", [False, True])
def test_heuristics_take_equal_rows_and_stop(entropic):
    X = np.full((12, 2), 5.0)
    result = balanced_heuristic(X, X[:4], 3, 3, entropic=entropic)
    assert np.bincount(result.labels).tolist() == [3] * 4
    assert result.inertia == 0
    stopped = balanced_heuristic(
        data(), data()[:9], 0, 30, entropic=entropic, callback=lambda *_: True
    )
    assert stopped.n_iter == 1
