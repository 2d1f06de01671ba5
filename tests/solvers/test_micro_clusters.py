"""Micro-clusters and their domains: nearest centres, exact counts, whatever carries the rows."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.config import config_context
from clusterlib.solvers import lloyd, random_rows
from clusterlib.solvers.assignment import assign
from clusterlib.solvers.micro_clusters import domain_table, micro_clusters, sampled_rows


def rows(n=9000, p=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, p)).astype(np.float32)


def test_labels_are_those_of_the_nearest_centres():
    X = rows()
    clusters = micro_clusters(X, 50, np.random.default_rng(0))
    np.testing.assert_array_equal(clusters.labels, assign(X, clusters.centers))
    assert clusters.centers.dtype == np.float32
    assert np.bincount(clusters.labels, minlength=50).min() > 0


def test_many_clusters_are_small():
    X = rows()
    clusters = micro_clusters(X, 200, np.random.default_rng(0))
    within = np.square(X - clusters.centers[clusters.labels]).sum()
    # 200 cells of a space of 3 dimensions: edges are 200^(1/3) times shorter.
    assert within < 0.1 * np.square(X - X.mean(axis=0)).sum()


def test_a_file_and_blocks_and_threads_give_the_same_bits(tmp_path):
    X = rows()
    np.save(tmp_path / "X.npy", X)
    carriers = [X, as_blocks(X, block_rows=4096), as_blocks(tmp_path / "X.npy", block_rows=4096)]
    first, *others = [micro_clusters(C, 40, np.random.default_rng(3)) for C in carriers]
    with config_context(n_threads=2):
        others.append(micro_clusters(X, 40, np.random.default_rng(3)))
    for other in others:
        for a, b in zip(first, other, strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_sample_is_of_different_rows_in_order():
    sample = sampled_rows(1000, 100, np.random.default_rng(0))
    assert len(sample) == 100
    assert (np.diff(sample) > 0).all()
    assert sample.min() >= 0
    assert sample.max() < 1000


def test_a_sample_reaches_all_rows_alike():
    draws = [sampled_rows(20, 10, np.random.default_rng(seed)) for seed in range(400)]
    counts = np.bincount(np.concatenate(draws), minlength=20)
    # 400 draws with probability a half: five standard deviations are 50.
    assert abs(counts - 200).max() < 50


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_table_counts(dtype):
    rng = np.random.default_rng(0)
    labels, domains = rng.integers(0, 7, 500), rng.integers(0, 5, 500)
    table = domain_table(labels, domains, 8, 5, dtype)
    expected = np.zeros((8, 5))
    np.add.at(expected, (labels, domains), 1)
    assert table.dtype == dtype
    assert table.has_canonical_format
    np.testing.assert_array_equal(table.toarray(), expected)


@pytest.mark.parametrize(("n", "n_micro"), [(9000, 50), (9000, 300)])
def test_centres_are_those_of_eight_iterations_on_forty_rows_each(n, n_micro):
    X, rng = rows(n), np.random.default_rng(1)
    found = micro_clusters(X, n_micro, np.random.default_rng(1))
    sample = X[sampled_rows(n, 40 * n_micro, rng)]
    assert len(sample) == min(n, 40 * n_micro)
    start = random_rows(sample, n_micro, rng).centers
    np.testing.assert_array_equal(found.centers, lloyd(sample, start, max_iter=8).centers)
    again = micro_clusters(X, n_micro, np.random.default_rng(1), max_iter=1)
    np.testing.assert_array_equal(again.centers, lloyd(sample, start, max_iter=1).centers)


def test_all_rows_are_taken_without_random_numbers():
    rng, other = np.random.default_rng(0), np.random.default_rng(0)
    np.testing.assert_array_equal(sampled_rows(7, 7, rng), np.arange(7))
    np.testing.assert_array_equal(sampled_rows(7, 8, rng), np.arange(7))
    assert rng.random() == other.random()
    found = sampled_rows(7, 6, rng)
    np.testing.assert_array_equal(found, np.sort(other.choice(7, 6, replace=False, shuffle=False)))
