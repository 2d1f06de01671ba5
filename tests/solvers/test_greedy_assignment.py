"""Greedy assignment: what sorting all pairs and going through them once gives."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusterlib.blocks import as_blocks
from clusterlib.kernels import capacity_assignment_points, pairwise_distances
from clusterlib.solvers import assign, costs_of_assignment, greedy_assignment


def sorted_pairs(X, centers, size_min, size_max, spherical=False):
    """The definition, word by word."""
    metric = "cosine" if spherical else "sqeuclidean"
    X, centers = np.asarray(X, dtype=float), np.asarray(centers, dtype=float)
    costs = pairwise_distances(X, centers, metric=metric, backend="reference")
    n, k = costs.shape
    size_min, size_max = (np.broadcast_to(size, (k,)) for size in (size_min, size_max))
    labels, sizes, left = np.full(n, -1), np.zeros(k, dtype=int), n
    rows, clusters = np.divmod(np.arange(n * k), k)
    for pair in np.lexsort((clusters, rows, costs.ravel())):
        row, cluster = rows[pair], clusters[pair]
        lacking = np.maximum(size_min - sizes, 0)
        is_open = lacking > 0 if left <= lacking.sum() else sizes < size_max
        if labels[row] < 0 and is_open[cluster]:
            labels[row] = cluster
            sizes[cluster] += 1
            left -= 1
    return labels


def random_problem(seed, n=None, k=None, whole=False):
    """Points, centres and bounds that n rows can meet; whole numbers tie."""
    rng = np.random.default_rng(seed)
    n, k = n or int(rng.integers(1, 60)), k or int(rng.integers(1, 8))
    X, centers = rng.normal(size=(n, 2)), rng.normal(size=(k, 2))
    if whole:
        X, centers = np.round(X), np.round(centers)
    sizes = np.bincount(rng.integers(0, k, size=n), minlength=k)
    spread = int(rng.integers(1, 7))
    low = np.maximum(sizes - rng.integers(0, spread, size=k), 0)
    return X, centers, low, sizes + rng.integers(0, spread, size=k)


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("seed", range(15))
def test_is_what_the_sorted_pairs_give(seed, whole):
    X, centers, low, high = random_problem(seed, whole=whole)
    for bounds in ((low, high), (0, high), (low, len(X))):
        result = greedy_assignment(X, centers, *bounds)
        assert result.labels.dtype == np.int32
        assert np.array_equal(result.labels, sorted_pairs(X, centers, *bounds))
        cost = costs_of_assignment(X, centers, result.labels).sum()
        assert result.cost == pytest.approx(cost, rel=1e-12, abs=1e-12)


@given(
    points=st.lists(st.integers(-4, 4), min_size=1, max_size=20),
    centers=st.lists(st.integers(-4, 4), min_size=1, max_size=4),
    seed=st.integers(0, 999),
)
def test_any_small_problem_with_ties(points, centers, seed):
    X, centers = np.array(points, dtype=float)[:, None], np.array(centers, dtype=float)[:, None]
    _, _, low, high = random_problem(seed, len(X), len(centers))
    labels = greedy_assignment(X, centers, low, high).labels
    assert np.array_equal(labels, sorted_pairs(X, centers, low, high))


def test_of_directions():
    X, centers, low, high = random_problem(3, n=400, k=7)
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    result = greedy_assignment(X, centers, low, high, spherical=True)
    assert np.array_equal(result.labels, sorted_pairs(X, centers, low, high, spherical=True))
    costs = costs_of_assignment(X, centers, result.labels, spherical=True)
    assert result.cost == pytest.approx(costs.sum(), rel=1e-9)


def test_an_example_in_which_greed_is_expensive():
    # The first row takes the place that the second one needs.
    X, centers = np.array([[0.0], [1.0]]), np.array([[0.1], [-1.0]])
    result = greedy_assignment(X, centers, 0, 1)
    assert result.labels.tolist() == [0, 1]
    assert capacity_assignment_points(X, centers, 0, 1).labels.tolist() == [1, 0]


def test_without_bounds_every_row_goes_to_the_nearest_centre():
    X, centers, _, _ = random_problem(4, n=300, k=6)
    result = greedy_assignment(X, centers, 0, 300)
    assert np.array_equal(result.labels, assign(X, centers))


def test_sizes_that_are_given_are_met():
    X, centers, _, _ = random_problem(5, n=100, k=4)
    sizes = np.array([0, 70, 1, 29])
    labels = greedy_assignment(X, centers, sizes, sizes).labels
    assert np.array_equal(np.bincount(labels, minlength=4), sizes)
    assert np.array_equal(labels, sorted_pairs(X, centers, sizes, sizes))


def test_equal_rows_fill_the_centres_in_their_order():
    labels = greedy_assignment(np.ones((9, 2)), np.zeros((3, 2)), 2, 4).labels
    assert labels.tolist() == [0, 0, 0, 0, 1, 1, 1, 2, 2]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
def test_blocks_and_layouts_give_the_same(dtype, spherical, tmp_path):
    rng = np.random.default_rng(6)
    X = (rng.normal(size=(9000, 3)) + 1).astype(dtype)
    centers = X[:12].copy()
    plain = greedy_assignment(X, centers, 700, 800, spherical=spherical)
    assert np.bincount(plain.labels).min() >= 700
    assert np.bincount(plain.labels).max() <= 800
    np.save(tmp_path / "X.npy", X)
    carriers = [
        as_blocks(X, block_rows=4096),
        as_blocks(np.load(tmp_path / "X.npy", mmap_mode="r"), block_rows=4096),
        np.asfortranarray(X),
    ]
    for carrier in carriers:
        result = greedy_assignment(carrier, centers, 700, 800, spherical=spherical)
        assert np.array_equal(result.labels, plain.labels)
        assert result.cost == plain.cost


def test_costs_exceed_those_of_an_exact_assignment():
    X, centers, low, high = random_problem(7, n=2000, k=9)
    greedy = greedy_assignment(X, centers, low, high)
    exact = capacity_assignment_points(X, centers, low, high)
    assert exact.cost <= greedy.cost <= 2 * exact.cost


def test_no_rows():
    result = greedy_assignment(np.empty((0, 2)), np.ones((3, 2)), 0, 5)
    assert result.labels.shape == (0,)
    assert result.cost == 0.0
