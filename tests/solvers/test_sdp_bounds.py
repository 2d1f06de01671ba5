"""Lower bounds of the k-means cost: never above the optimum, and close where they should be."""

import itertools
import tracemalloc

import numpy as np
import pytest

from clusterlib.solvers import kmeans_lower_bound, sdp_bounds
from clusterlib.solvers.block_bounds import similar_blocks
from clusterlib.solvers.partition_geometry import PartitionGeometry

METHODS = ["fast", "block", "full"]


def balls(n, p, n_clusters, separation, seed=0):
    """Normal balls around multiples of basis vectors, and their labels."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % n_clusters
    centers = np.eye(n_clusters, p) * separation / np.sqrt(2)
    return centers[labels] + rng.normal(size=(n, p)), labels


def nearest(X, labels):
    """The partition after a few steps of Lloyd's iteration."""
    for _ in range(20):
        centers = np.array([X[labels == k].mean(axis=0) for k in np.unique(labels)])
        labels = np.square(X[:, None] - centers).sum(axis=2).argmin(axis=1)
    return labels


def cost(X, labels):
    return sum(
        float(np.square(X[labels == k] - X[labels == k].mean(axis=0)).sum())
        for k in np.unique(labels)
    )


def lowest_cost(X, n_clusters):
    tried = itertools.product(range(n_clusters), repeat=len(X) - 1)
    return min(cost(X, np.array((0, *rest))) for rest in tried)


def instance(seed):
    """Small rows of many kinds: clusters, noise, ties, duplicates, a line, symmetric figures."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(5, 9))
    kind = seed % 6
    X = rng.normal(size=(n, int(rng.integers(1, 4))))
    if kind == 1:
        X += 4.0 * rng.normal(size=(2, X.shape[1]))[rng.integers(0, 2, n)]
    elif kind == 2:
        X = np.round(X)
    elif kind == 3:
        X[n // 2 :] = X[: n - n // 2]
    elif kind == 4:
        X = np.eye(n)  # all distances equal, one eigenvalue n - 1 times
    elif kind == 5:
        angle = 2 * np.pi * np.arange(n) / n
        X = np.column_stack([np.cos(angle), np.sin(angle)])
    return X, rng


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("seed", range(24))
def test_no_bound_exceeds_the_best_of_all_partitions(method, seed):
    X, rng = instance(seed)
    n_clusters = int(rng.integers(2, 4))
    lowest = lowest_cost(X, n_clusters)
    labels = rng.integers(0, n_clusters, len(X))
    options = {"block_size": n_clusters + 1} if method == "block" else {}
    bound = kmeans_lower_bound(X, labels, n_clusters, method=method, max_iter=100, **options)
    assert bound.rigorous
    assert bound.method == method
    assert 0 <= bound.lower_bound <= lowest * (1 + 1e-12) + 1e-13
    assert np.isfinite(bound.upper_value)


@pytest.mark.parametrize("seed", range(200))
def test_weak_duality(seed):
    X, rng = instance(seed)
    n, n_clusters = len(X), int(rng.integers(2, 4))
    bound = kmeans_lower_bound(X, rng.integers(0, n_clusters, n), n_clusters)
    # Mixtures of partitions into n_clusters are feasible.
    Z = np.zeros((n, n))
    for weight in rng.dirichlet(np.ones(4)):
        labels = rng.permutation(np.arange(n) % n_clusters)
        indicators = np.eye(n_clusters)[labels]
        Z += weight * indicators @ np.diag(1 / indicators.sum(axis=0)) @ indicators.T
    centered = X - X.mean(axis=0)
    assert np.vdot(centered @ centered.T, Z) <= bound.upper_value * (1 + 1e-12) + 1e-13


def test_bound_is_no_worse_than_that_of_principal_components():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5))
    bound = kmeans_lower_bound(X, rng.integers(0, 4, 60), 4)
    values = np.linalg.eigvalsh(np.cov(X.T, ddof=0) * 60)
    assert bound.upper_value <= values[-3:].sum() * (1 + 1e-9)


@pytest.mark.parametrize("n", [500, 2000])
def test_bound_of_distant_balls_is_their_cost(n):
    X, labels = balls(n, 20, 4, 11.0)
    bound = kmeans_lower_bound(X, labels, 4)
    assert (1 - 1e-7) * cost(X, labels) <= bound.lower_bound <= cost(X, labels)


def test_multiple_eigenvalues_are_not_missed():
    # Where the multiplier of the trace is just above the scatter within the clusters, the
    # matrix has many eigenvalues close to it, and iterations used to return one of them once.
    X, labels = balls(2000, 20, 4, 9.0)
    labels = nearest(X, labels)
    for method in ("fast", "full"):
        bound = kmeans_lower_bound(X, labels, 4, method=method, max_iter=30)
        assert bound.lower_bound <= cost(X, labels)
        assert bound.lower_bound >= (1 - 1e-4) * cost(X, labels)


@pytest.mark.parametrize(("separation", "gap"), [(7.0, 4e-4), (6.0, 2e-3), (5.0, 1.2e-2)])
def test_fast_bound_by_separation(separation, gap):
    X, labels = balls(2000, 20, 4, separation)
    labels = nearest(X, labels)
    bound = kmeans_lower_bound(X, labels, 4)
    assert bound.lower_bound >= (1 - gap) * cost(X, labels)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
@pytest.mark.parametrize("method", METHODS)
def test_units_and_origin_do_not_matter(method, scale):
    X, labels = balls(120, 5, 3, 5.0)
    options = {"method": method, "block_size": 40}
    plain = kmeans_lower_bound(X, labels, 3, **options).lower_bound
    moved = kmeans_lower_bound(scale * (X + 1e6), labels, 3, **options).lower_bound
    # The relaxation is solved to a tolerance, and rows are rounded far from the origin.
    np.testing.assert_allclose(moved, plain * scale**2, rtol=1e-5 if method == "fast" else 1e-3)


def test_narrow_rows_are_centred_in_wide_numbers():
    X, labels = balls(200, 5, 3, 6.0)
    rounded = (X + 1000.0).astype(np.float32)
    bound = kmeans_lower_bound(rounded, labels, 3)
    exact = kmeans_lower_bound(rounded.astype(np.float64), labels, 3)
    assert bound.lower_bound == exact.lower_bound
    assert bound.lower_bound <= cost(rounded.astype(np.float64), labels)


@pytest.mark.parametrize("method", METHODS)
def test_trivial_problems(method):
    X = np.random.default_rng(0).normal(size=(7, 2))
    one = kmeans_lower_bound(X, np.zeros(7, int), 1, method=method)
    np.testing.assert_allclose(one.lower_bound, cost(X, np.zeros(7)), rtol=1e-12)
    assert kmeans_lower_bound(X, np.arange(7), 7, method=method).lower_bound == 0.0
    for p in (2, 9):
        equal = kmeans_lower_bound(np.ones((7, p)), np.arange(7) % 3, 3, method=method)
        assert equal.lower_bound == 0.0


@pytest.mark.parametrize("method", METHODS)
def test_fewer_clusters_in_the_labels_than_asked_for(method):
    X, labels = balls(60, 4, 3, 8.0)
    bound = kmeans_lower_bound(X, np.zeros(60, int), 3, method=method, block_size=30)
    assert bound.lower_bound <= cost(X, labels)


def test_many_clusters_leave_the_bound_of_principal_components():
    X, labels = balls(300, 60, 60, 30.0)
    bound = kmeans_lower_bound(X, labels, 60)
    assert 0 < bound.lower_bound <= cost(X, labels)
    assert len(bound.history) == 1


def test_more_features_than_rows():
    X, labels = balls(40, 90, 2, 9.0)
    for method in METHODS:
        bound = kmeans_lower_bound(X, labels, 2, method=method, block_size=20)
        assert 0 < bound.lower_bound <= cost(X, labels)
    assert bound.lower_bound >= (1 - 1e-3) * cost(X, labels)


def test_many_rows_take_no_square_memory():
    X, labels = balls(60_000, 20, 4, 7.0)
    tracemalloc.start()
    bound = kmeans_lower_bound(X, labels, 4)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert bound.lower_bound > 0.999 * cost(X, labels)
    assert peak < 8 * X.nbytes


def test_blocks_share_all_rows_and_their_means():
    X, labels = balls(1003, 6, 3, 4.0)
    geometry = PartitionGeometry(X, labels)
    blocks = similar_blocks(geometry, 10, np.random.default_rng(0))
    np.testing.assert_array_equal(np.sort(np.concatenate(blocks)), np.arange(1003))
    assert max(map(len, blocks)) - min(map(len, blocks)) <= 1
    sorted_labels = labels[geometry.order]
    for rows in blocks:
        for k in range(3):
            chosen = rows[sorted_labels[rows] == k]
            away = geometry.rows[chosen].mean(axis=0) - geometry.means[k]
            spread = np.sqrt(np.trace(geometry.scatter(k)) / geometry.sizes[k] / len(chosen))
            assert np.linalg.norm(away) < 0.5 * spread  # of the mean of as many random rows


def test_sum_over_blocks():
    X, labels = balls(600, 5, 3, 5.0)
    labels = nearest(X, labels)
    seen = []
    bound = kmeans_lower_bound(
        X, labels, 3, method="block", block_size=150, callback=lambda *args: seen.append(args)
    )
    np.testing.assert_allclose(bound.history[:, 1].sum(), bound.lower_bound, rtol=1e-9)
    assert bound.history[:, 0].sum() == 600
    assert [call[:2] for call in seen] == [(i, 4) for i in range(1, 5)]
    assert bound.lower_bound >= (1 - 2e-2) * cost(X, labels)
    assert bound.lower_bound >= kmeans_lower_bound(X, labels, 3).lower_bound


def test_blocks_of_equal_rows_cost_nothing():
    X = np.zeros((12, 2))
    X[0] = 1.0
    bound = kmeans_lower_bound(X, np.arange(12) % 2, 2, method="block", block_size=3)
    assert bound.lower_bound <= 1e-12
    assert len(bound.history) == 4


@pytest.mark.parametrize("method", ["block", "full"])
def test_one_seed_gives_one_bound(method):
    X, labels = balls(240, 5, 3, 4.0)
    options = {"method": method, "block_size": 80}
    bounds = [
        kmeans_lower_bound(X, labels, 3, rng=np.random.default_rng(5), **options).lower_bound
        for _ in range(2)
    ]
    assert bounds[0] == bounds[1]


def test_bound_above_the_cost_is_an_internal_error(monkeypatch):
    X, labels = balls(60, 3, 2, 6.0)
    monkeypatch.setattr(sdp_bounds, "fast_bound", lambda *args: (0.0, np.zeros((1, 2))))
    with pytest.raises(ArithmeticError, match="error of the library"):
        kmeans_lower_bound(X, labels, 2)


@pytest.mark.parametrize(
    ("labels", "n_clusters", "options", "message"),
    [
        ([0, 1, 2, 0], 2, {}, "from 0 to 1, got 2"),
        ([0, 1, -3, 0], 2, {}, "from 0 to 1, got -3"),
        ([0, 1, 0], 2, {}, r"shape \(4,\)"),
        ([0, 1, 0, 1], 5, {}, "n_clusters must be from 1 to 4, got 5"),
        ([0, 1, 0, 1], 2, {"method": "slow"}, "'block', 'full', got 'slow'"),
        ([0, 1, 0, 1], 2, {"method": "block", "block_size": 2}, "block_size must be from 3"),
        ([0, 1, 0, 1], 2, {"tol": -1.0}, "tol must be a finite number at least 0"),
        ([0, 1, 0, 1], 2, {"max_iter": 0}, "max_iter must be from 1"),
        ([0, 1, 0, 1], 2, {"W": np.ones((3, 2))}, r"W must have 4 rows, got shape \(3, 2\)"),
        ([0, 1, 0, 1], 2, {"W": -np.ones((4, 2))}, "W must not be negative"),
    ],
)
def test_bad_arguments(labels, n_clusters, options, message):
    with pytest.raises(ValueError, match=message):
        kmeans_lower_bound(np.arange(4.0)[:, None], labels, n_clusters, **options)


def test_too_many_rows_for_the_full_bound():
    with pytest.raises(ValueError, match="at most 10000 rows, got 10001"):
        kmeans_lower_bound(np.zeros((10_001, 1)), np.zeros(10_001, int), 2, method="full")


@pytest.mark.parametrize("factor", [1e-200, 1e200])
def test_squares_that_leave_the_numbers(factor):
    X, labels = balls(30, 2, 2, 6.0)
    with pytest.raises(ValueError, match="whose square leaves float64; multiply X by"):
        kmeans_lower_bound(factor * X, labels, 2)


def test_no_rows():
    with pytest.raises(ValueError, match="labels must name at least 1 row, got none"):
        kmeans_lower_bound(np.empty((0, 2)), np.empty(0, int), 2)
