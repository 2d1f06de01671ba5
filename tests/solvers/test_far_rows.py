"""Centres without rows move to far rows: on the sphere far in angle, however long a row is."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers import unit_rows
from clusterlib.solvers.far_rows import relocate_empty


@pytest.mark.parametrize("weight", [None, np.array([1.0, 1.0, 1.0, 0.0])])
def test_lengths_do_not_count_on_the_sphere(weight):
    rows = np.array([[1.0, 0.0], [0.001, 0.0005], [0.0, 100.0], [0.0, 0.0]])
    centers = np.array([[1.0, 0.0], [-1.0, 0.0]])
    moved, sizes = centers.copy(), np.array([3.0, 0.0])
    blocks = as_blocks(rows)
    assert relocate_empty(moved, sizes, None, blocks, centers, weight, spherical=True) == 1
    np.testing.assert_allclose(moved[1], [0.0, 1.0])


def plain_relocation(moved, weights, labels, X, centers, sample_weight, spherical):
    """The farthest different rows that count, the lower number first, one for each empty centre."""
    points = unit_rows(X) if spherical else X
    if labels is None:
        labels = np.square(points[:, None] - centers).sum(axis=2).argmin(axis=1)
    costs = np.square(points - centers[labels]).sum(axis=1) / (2 if spherical else 1)
    counts = np.ones(len(X), dtype=bool) if sample_weight is None else sample_weight > 0
    if spherical:
        counts &= X.any(axis=1)
    order = [i for i in np.argsort(-costs.round(9), kind="stable") if counts[i] and costs[i] > 1e-9]
    taken = []
    for i in order:
        if not any(np.array_equal(X[i], X[j]) for j in taken):
            taken.append(i)
    empty = np.flatnonzero(weights == 0)
    taken = taken[: len(empty)]
    moved[empty[: len(taken)]] = points[taken]
    return len(taken)


class Elsewhere:
    """Rows as a device carries them, played by the host."""

    on_host = False

    def __init__(self, X):
        self._rows, self.n_samples = X, len(X)
        self.n_features, self.dtype = X.shape[1], X.dtype

    def map(self, fn, row_aligned=(), broadcast=()):
        yield fn(self._rows, *row_aligned, *broadcast)

    def joined(self, parts):
        return np.concatenate(list(parts))

    def take(self, index):
        return self._rows[index]

    def to_host(self, array):
        return array.copy()


@pytest.mark.parametrize("n_empty", [0, 1, 3, 6])
@pytest.mark.parametrize("given", [True, False])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spherical", [False, True])
def test_centres_go_where_a_plain_search_sends_them(n_empty, given, weighted, spherical):
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, size=(40, 2)).astype(float)  # many equal rows, and equal costs
    X[7] = 0.0
    centers = rng.normal(size=(8, 2))
    centers = unit_rows(centers) if spherical else centers
    labels = rng.integers(0, 8 - n_empty, 40).astype(np.int32) if given else None
    weights = np.r_[np.ones(8 - n_empty), np.zeros(n_empty)][rng.permutation(8)]
    sample_weight = (rng.random(40) < 0.5) * 2.0 if weighted else None
    moved, expected = centers.copy(), centers.copy()
    n_moved = plain_relocation(expected, weights, labels, X, centers, sample_weight, spherical)
    arguments = weights, labels, as_blocks(X), centers, sample_weight
    assert relocate_empty(moved, *arguments, spherical=spherical) == n_moved == n_empty
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_elsewhere_are_far_from_their_nearest_centres(weighted, spherical, monkeypatch):
    rng = np.random.default_rng(1)
    X = rng.integers(-3, 4, size=(40, 2)).astype(float)
    centers = rng.normal(size=(5, 2))
    centers = unit_rows(centers) if spherical else centers
    sample_weight = (rng.random(40) < 0.5) * 2.0 if weighted else None
    for module in ("far_rows", "assignment", "geometry"):
        name = f"clusterlib.solvers.{module}.as_blocks"
        monkeypatch.setattr(name, lambda blocks: blocks, raising=False)
        name = f"clusterlib.solvers.{module}.map_blocks"
        monkeypatch.setattr(
            name, lambda fn, blocks, *aligned, broadcast: blocks.map(fn, aligned, broadcast),
            raising=False,
        )  # fmt: skip
    weights, moved = np.array([1.0, 0.0, 2.0, 0.0, 0.0]), centers.copy()
    expected = centers.copy()
    plain_relocation(expected, weights, None, X, centers, sample_weight, spherical)
    blocks = Elsewhere(X)
    found = relocate_empty(
        moved, weights, None, blocks, centers, sample_weight, spherical=spherical
    )
    assert found == 3
    np.testing.assert_allclose(moved, expected, rtol=1e-12)


@pytest.mark.parametrize("block_rows", [4096, 8192])
def test_equal_costs_of_several_blocks_keep_the_lower_row(block_rows):
    X = np.zeros((9000, 2))
    X[[10, 4200, 8800]] = [[0.0, 5.0], [5.0, 0.0], [0.0, -5.0]]
    X[[20, 8300]] = [[3.0, 0.0], [0.0, 3.0]]
    X[[4500, 8900]] = [0.0, 5.0]  # copies of the first
    centers = np.zeros((6, 2))
    moved, weights = centers.copy(), np.array([1.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    blocks = as_blocks(X, block_rows=block_rows)
    assert relocate_empty(moved, weights, None, blocks, centers, None) == 5
    np.testing.assert_array_equal(moved[1:], X[[10, 4200, 8800, 20, 8300]])
    moved, weights = np.zeros((2, 2)), np.array([0.0, 0.0])
    assert relocate_empty(moved, weights, None, blocks, centers[:2], None) == 2
    np.testing.assert_array_equal(moved, X[[10, 4200]])


def test_rows_at_their_centres_move_nothing():
    X = np.array([[1.0, 2.0], [1.0, 2.0]])
    moved = np.array([[1.0, 2.0], [9.0, 9.0]])
    centers = moved.copy()
    assert relocate_empty(moved, np.array([2.0, 0.0]), None, as_blocks(X), centers, None) == 0
    np.testing.assert_array_equal(moved, centers)
