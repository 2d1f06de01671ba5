"""Neighbours of rows and the histograms of their domains."""

import numpy as np
import pytest

from clusterlib.solvers import domain_histograms, nearest_other_rows, nearest_rows
from clusterlib.solvers import domain_neighbors as module


def brute_force(X, Y, q, own):
    distances = ((X[:, None].astype(np.float64) - Y[None]) ** 2).sum(axis=2)
    if own:
        np.fill_diagonal(distances, np.inf)
    return np.argsort(distances, axis=1, kind="stable")[:, :q]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("chunk", [1, 7, 4096])
def test_neighbours_are_the_nearest_rows(monkeypatch, dtype, chunk):
    monkeypatch.setattr(module, "_CHUNK_ROWS", chunk)
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(40, 3)).astype(dtype), rng.normal(size=(23, 3)).astype(dtype)
    np.testing.assert_array_equal(nearest_rows(X, Y, 5), brute_force(X, Y, 5, own=False))
    np.testing.assert_array_equal(nearest_other_rows(X, 6), brute_force(X, X, 6, own=True))


@pytest.mark.parametrize("copies", [2, 5, 12])
def test_a_row_with_copies_is_not_its_own_neighbour(copies):
    X = np.repeat(np.random.default_rng(1).normal(size=(6, 2)), copies, axis=0)
    neighbors = nearest_other_rows(X, 4)
    assert not np.any(neighbors == np.arange(len(X))[:, None])
    assert all(len(set(row)) == 4 for row in neighbors)
    np.testing.assert_array_equal(neighbors, brute_force(X, X, 4, own=True))


def test_all_other_rows_can_be_neighbours():
    neighbors = nearest_other_rows(np.zeros((5, 1)), 4)
    assert [set(row) | {i} for i, row in enumerate(neighbors)] == [set(range(5))] * 5


def test_histograms_count_the_domains_of_the_neighbours():
    rng = np.random.default_rng(2)
    neighbors = rng.integers(0, 30, size=(50, 7)).astype(np.int32)
    domains = rng.integers(0, 4, size=30).astype(np.int32)
    f = domain_histograms(neighbors, domains, 5)
    wanted = [np.bincount(domains[row], minlength=5) / 7 for row in neighbors]
    np.testing.assert_allclose(f.toarray(), wanted, rtol=0, atol=1e-15)
    assert f.shape == (50, 5) and f.has_canonical_format


def test_the_own_domain_never_enters():
    rng = np.random.default_rng(3)
    X = np.repeat(rng.normal(size=(20, 2)), 2, axis=0)  # copies are neighbours of each other
    domains = rng.integers(0, 3, size=40).astype(np.int32)
    neighbors = nearest_other_rows(X, 5)
    before = domain_histograms(neighbors, domains, 3).toarray()
    for row in range(40):
        moved = domains.copy()
        moved[row] = (moved[row] + 1) % 3
        after = domain_histograms(neighbors, moved, 3).toarray()
        np.testing.assert_array_equal(after[row], before[row])
        assert np.any(after != before)  # others see it
