"""Totals, weights and means of clusters against sums over their rows."""

from importlib import import_module

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers.cluster_means import cluster_means, cluster_totals, cluster_weights

module = import_module("clusterlib.solvers.cluster_means")


@pytest.mark.parametrize("block_rows", [4096, 20_000])
@pytest.mark.parametrize("weighted", [False, True])
def test_totals_are_sums_of_rows(block_rows, weighted):
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(9000, 2)), rng.integers(0, 4, 9000).astype(np.int32)
    weight = rng.uniform(size=9000) if weighted else None
    sums, weights = cluster_totals(as_blocks(X, block_rows=block_rows), labels, 6, weight)
    given = np.ones(9000) if weight is None else weight
    for cluster in range(6):
        own = labels == cluster
        assert_allclose(sums[cluster], given[own] @ X[own], rtol=1e-10, atol=1e-12)
        assert_allclose(weights[cluster], given[own].sum(), rtol=1e-12)


@pytest.mark.parametrize("rows_at_once", [1, 7, 100, 1 << 16])
def test_weights_are_counted_part_by_part(rows_at_once, monkeypatch):
    monkeypatch.setattr(module, "_COUNTED_ROWS", rows_at_once)
    rng = np.random.default_rng(0)
    labels, weight = rng.integers(0, 3, 100).astype(np.int32), rng.uniform(size=100)
    assert_array_equal(cluster_weights(labels, 5), np.bincount(labels, minlength=5))
    found = cluster_weights(labels, 5, weight)
    assert_allclose(found, [weight[labels == j].sum() for j in range(5)], rtol=1e-12)
    assert found.dtype == np.float64


@pytest.mark.parametrize("spherical", [False, True])
def test_centres_are_means_and_those_without_rows_go_to_the_farthest(spherical):
    rng = np.random.default_rng(0)
    X, labels = rng.normal(size=(40, 3)), rng.integers(0, 3, 40).astype(np.int32)
    lengths = np.linalg.norm(X, axis=1)
    before = rng.normal(size=(4, 3))
    before /= np.linalg.norm(before, axis=1)[:, None]
    weight = 1 / lengths if spherical else None
    moved = cluster_means(X, labels, before, weight=weight, spherical=spherical)
    points = X / lengths[:, None] if spherical else X
    for cluster in range(3):
        mean = points[labels == cluster].mean(axis=0)
        mean /= np.linalg.norm(mean) if spherical else 1.0
        assert_allclose(moved[cluster], mean, rtol=1e-12)
    costs = np.square(points - before[labels]).sum(axis=1)
    assert_allclose(moved[3], points[costs.argmax()], rtol=1e-12)
