"""Balanced k-means: optimal at every step, never rising, certified at the end."""

import itertools

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from clusterlib.blocks import as_blocks
from clusterlib.kernels import capacity_assignment_points, pairwise_distances
from clusterlib.solvers import (
    assign_priced,
    balanced_lloyd,
    cluster_means,
    cluster_totals,
    costs_of_assignment,
    exchange_rows,
    lloyd,
    row_norms,
    unit_rows,
)

GEOMETRIES = [False, True]


def data(n=300, d=5, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d)).astype(dtype)


def start(X, k, spherical=False):
    return unit_rows(X[:k]) if spherical else X[:k].copy()


def metric(spherical):
    return "cosine" if spherical else "sqeuclidean"


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("spherical", GEOMETRIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("bounds", [(37, 38), (20, 60), (0, 50), (30, 300)])
def test_inertia_never_rises_and_sizes_hold(bounds, dtype, spherical, exchange):
    X = data(dtype=dtype)
    result = balanced_lloyd(
        X, start(X, 8, spherical), *bounds, spherical=spherical, exchange=exchange
    )
    sizes = np.bincount(result.labels, minlength=8)
    assert (bounds[0] <= sizes).all()
    assert (sizes <= bounds[1]).all()
    assert (np.diff(result.history) <= 0).all()
    assert result.converged
    assert result.n_iter == len(result.history) > 2
    assert result.inertia == result.history[-1] < 0.95 * result.history[0]
    assert result.centers.dtype == dtype
    costs = costs_of_assignment(X, result.centers, result.labels, spherical=spherical)
    np.testing.assert_allclose(result.inertia, costs.sum(), rtol=1e-12)


@pytest.mark.parametrize("spherical", GEOMETRIES)
@pytest.mark.parametrize("max_iter", [1, 3, 300])
def test_labels_are_optimal_for_the_centres_at_every_end(spherical, max_iter):
    X = data(120)
    result = balanced_lloyd(
        X, start(X, 6, spherical), 20, 20, spherical=spherical, max_iter=max_iter
    )
    D = pairwise_distances(X, result.centers, metric=metric(spherical))
    rows, slots = linear_sum_assignment(np.repeat(D, 20, axis=1))
    np.testing.assert_allclose(result.inertia, np.repeat(D, 20, axis=1)[rows, slots].sum())
    dual = (D + result.prices).min(axis=1).sum() - 20 * result.prices.sum()
    np.testing.assert_allclose(result.inertia, dual, rtol=1e-12)
    assert result.dual_gap <= 1e-12 * result.inertia


@pytest.mark.parametrize("spherical", GEOMETRIES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_converged_run_is_a_fixed_point(spherical, dtype):
    X = data(dtype=dtype)
    result = balanced_lloyd(X, start(X, 7, spherical), 42, 43, spherical=spherical)
    weight = 1 / row_norms(X) if spherical else None
    means = cluster_means(X, result.labels, result.centers, weight=weight, spherical=spherical)
    np.testing.assert_array_equal(result.centers, means)
    again = balanced_lloyd(X, means, 42, 43, spherical=spherical, prices=result.prices)
    np.testing.assert_array_equal(again.labels, result.labels)
    np.testing.assert_allclose(again.inertia, result.inertia, rtol=1e-12)
    assert again.n_iter == 1


def test_loose_bounds_are_plain_k_means():
    X = data()
    plain = lloyd(X, start(X, 6))
    loose = balanced_lloyd(X, start(X, 6), 0, len(X))
    np.testing.assert_array_equal(loose.labels, plain.labels)
    np.testing.assert_allclose(loose.centers, plain.centers, rtol=1e-12)
    np.testing.assert_array_equal(loose.prices, np.zeros(6))


@pytest.mark.parametrize("scale", [1e-12, 1e-4, 1e6, 1e12])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_units_change_no_label(scale, dtype):
    X = data(dtype=dtype)
    one = balanced_lloyd(X, start(X, 8), 37, 38, exchange=True)
    scaled = X * dtype(scale)
    other = balanced_lloyd(scaled, start(scaled, 8), 37, 38, exchange=True)
    np.testing.assert_array_equal(one.labels, other.labels)
    np.testing.assert_allclose(other.inertia, one.inertia * scale**2, rtol=1e-5)


def test_every_optimum_of_small_problems_is_found_from_some_start():
    X = data(6, 2)
    splits = [s for s in itertools.combinations(range(6), 3) if 0 in s]
    best = min(
        sum(np.square(X[part] - X[part].mean(axis=0)).sum() for part in (list(s), rest))
        for s in splits
        for rest in [[i for i in range(6) if i not in s]]
    )
    starts = itertools.combinations(range(6), 2)
    found = min(balanced_lloyd(X, X[list(rows)], 3, 3, exchange=True).inertia for rows in starts)
    np.testing.assert_allclose(found, best, rtol=1e-12)


def test_bounds_of_single_clusters():
    X = data(100)
    low, high = np.array([10, 0, 50]), np.array([10, 100, 60])
    sizes = np.bincount(balanced_lloyd(X, X[:3], low, high).labels, minlength=3)
    assert sizes[0] == 10
    assert 50 <= sizes[2] <= 60


def test_callback_sees_every_iteration_and_stops():
    X, seen = data(), []

    def callback(centers, prices, history):
        seen.append((centers.copy(), prices.copy(), len(history)))
        return len(history) == 3

    result = balanced_lloyd(X, start(X, 9), 33, 34, callback=callback)
    assert result.n_iter == len(seen) == 3
    assert not result.converged
    np.testing.assert_array_equal(seen[-1][0], result.centers)
    np.testing.assert_array_equal(seen[-1][1], result.prices)
    assert result.dual_gap <= 1e-12 * result.inertia


def spied(monkeypatch, function, name, keep):
    """What calls of a function within the solver got, as ``keep`` sees it, and returned."""
    calls = []

    def spy(*args, **options):
        found = function(*args, **options)
        calls.append((keep(args, options), found))
        return found

    monkeypatch.setattr(f"clusterlib.solvers.balanced.{name}", spy)
    return calls


def test_prices_are_hints_where_few_labels_changed(monkeypatch):
    X = data(1000)
    arguments = X, start(X, 10), 100, 100
    calls = spied(
        monkeypatch, capacity_assignment_points, "capacity_assignment_points",
        lambda args, options: options["prices"],
    )  # fmt: skip
    result = balanced_lloyd(*arguments)
    labels = [found.labels for _, found in calls]
    changes = [1.0] + [np.mean(a != b) for a, b in itertools.pairwise(labels)]
    assert calls[0][0] is None
    for (hint, _), changed, (_, before) in zip(calls[1:], changes, calls, strict=False):
        if changed > 0.1:
            assert hint is None
        else:
            np.testing.assert_array_equal(hint, before.prices)
    assert sum(hint is not None for hint, _ in calls) > 3
    calls.clear()
    balanced_lloyd(*arguments, prices=result.prices)
    np.testing.assert_array_equal(calls[0][0], result.prices)


def test_exchanges_get_the_prices_of_the_labels(monkeypatch):
    X = data()
    calls = spied(monkeypatch, exchange_rows, "exchange_rows", lambda args, options: args[1:4])
    balanced_lloyd(X, start(X, 8), 37, 38, exchange=True)
    assert len(calls) > 1
    for (labels, centers, prices), _ in calls:
        assert prices.any()
        D = pairwise_distances(X, centers) + prices
        np.testing.assert_allclose(D[np.arange(len(X)), labels], D.min(axis=1), rtol=1e-12)


def test_tolerance_ends_early():
    X = data(1000)
    runs = [balanced_lloyd(X, start(X, 10), 100, 100, tol=tol) for tol in (1e-2, 1e-3, 0.0)]
    assert [run.converged for run in runs] == [True] * 3
    assert runs[0].n_iter < runs[1].n_iter < runs[2].n_iter
    falls = -np.diff(runs[1].history) / runs[1].history[1:]
    assert falls[-1] <= 1e-3 < falls[:-1].min()


@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("spherical", GEOMETRIES)
def test_equal_rows(spherical, exchange):
    X = np.full((9, 2), 0.75)
    result = balanced_lloyd(X, X[:3], 3, 3, spherical=spherical, exchange=exchange)
    assert result.converged
    assert np.bincount(result.labels).tolist() == [3, 3, 3]
    np.testing.assert_allclose(result.inertia, 0, atol=1e-14)
    assert result.dual_gap <= 1e-14


def test_rows_of_zeros_fill_what_room_there_is():
    X = np.r_[np.zeros((4, 3)), data(20, 3)]
    result = balanced_lloyd(X, unit_rows(X[4:8]), 6, 6, spherical=True, exchange=True)
    assert np.bincount(result.labels).tolist() == [6] * 4
    assert result.inertia > 4
    np.testing.assert_allclose(np.linalg.norm(result.centers, axis=1), 1)


def test_a_centre_without_rows_moves_to_a_far_row():
    X = np.r_[data(50, 2), [[40.0, 0.0]]]
    centers = np.array([[0.0, 0.0], [900.0, 900.0]])
    result = balanced_lloyd(X, centers, 0, 51)
    assert np.bincount(result.labels).tolist() == [50, 1]
    assert (np.diff(result.history) <= 0).all()


@pytest.mark.parametrize("seed", [0, 4])
def test_rounding_far_from_the_origin_ends_the_iterations(seed):
    X = data(400, 3, np.float32, seed) + np.float32(1e6)
    result = balanced_lloyd(X, start(X, 5), 80, 80, exchange=True)
    assert result.converged
    assert (np.diff(result.history) <= 0).all()
    assert np.bincount(result.labels).tolist() == [80] * 5


@pytest.mark.parametrize("layout", ["C", "F"])
def test_priced_rows_go_where_the_prices_say(layout):
    X = np.asarray(data(), order=layout)
    centers, prices = X[:5].copy(), np.array([0.5, 0.0, 3.0, -1.0, 0.25])
    D = pairwise_distances(X, centers)
    np.testing.assert_array_equal(assign_priced(X, centers, prices), (D + prices).argmin(axis=1))


def test_totals_and_means_of_blocks_are_those_of_all_rows():
    X = data(10_000, 3)
    labels = np.random.default_rng(1).integers(0, 4, size=10_000).astype(np.int32)
    whole, parts = (cluster_totals(rows, labels, 4) for rows in (X, as_blocks(X, block_rows=4096)))
    np.testing.assert_array_equal(whole[0], parts[0])
    means = cluster_means(X, labels, X[:4])
    np.testing.assert_allclose(means, [X[labels == j].mean(axis=0) for j in range(4)], rtol=1e-10)
