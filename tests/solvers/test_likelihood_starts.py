"""First labels of Gaussian groups: which kinds there are in which order, and what each is."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal
from scipy.cluster.hierarchy import fcluster, linkage

from clusterlib.solvers import CovarianceType, StartKind, kmeans_plusplus, lloyd
from clusterlib.solvers.gaussian_frame import GaussianFrame
from clusterlib.solvers.likelihood_starts import _plan, starting_labels

SDP, WARD, KMEANS, RANDOM = StartKind


def rows(n=60):
    rng = np.random.default_rng(0)
    return rng.normal(size=(n, 3)) * [1.0, 9.0, 2.0] + 4.0 * (np.arange(n) % 3)[:, None]


def views(X):
    return [
        GaussianFrame.of(X, kind).coordinates
        for kind in (CovarianceType.SPHERICAL, CovarianceType.FULL)
    ]


def test_starts_are_mixed_in_a_fixed_order():
    mixed = [(SDP, False), (WARD, False), (KMEANS, False), (WARD, True), (KMEANS, True)]
    random = [(RANDOM, False), (RANDOM, True), (RANDOM, False)]
    for n_samples in (60, 5000):
        assert _plan(None, 8, n_samples) == mixed + random
        assert _plan(None, 2, n_samples) == mixed[:2]
    # Ward's tree would compare all pairs.
    assert _plan(None, 5, 5001) == [mixed[0], mixed[2], mixed[4], *random[:2]]
    for kind in (SDP, KMEANS, RANDOM):
        assert _plan(kind, 3, 60) == [(kind, False), (kind, True), (kind, False)]
    assert _plan(WARD, 7, 60) == [(WARD, False), (WARD, True)]
    assert _plan(WARD, 1, 60) == [(WARD, False)]


def test_trees_are_those_of_ward_before_and_after_whitening():
    X = rows()
    found = starting_labels(X, 3, WARD, 2, np.random.default_rng(0))
    for labels, view in zip(found, views(X), strict=True):
        expected = fcluster(linkage(view, "ward"), 3, "maxclust")
        table = np.zeros((3, 4), dtype=int)
        np.add.at(table, (labels, expected), 1)
        assert (table > 0).sum() == 3  # the same clusters
        assert labels.min() == 0
    assert_array_equal(starting_labels(X[:1], 1, WARD, 1, np.random.default_rng(0)), [[0]])
    assert starting_labels(X[:2], 2, WARD, 1, np.random.default_rng(0))[0].tolist() in (
        [0, 1],
        [1, 0],
    )


def test_the_best_of_four_runs_of_k_means_is_taken():
    X, rng = rows(), np.random.default_rng(5)
    found = starting_labels(X, 6, KMEANS, 2, np.random.default_rng(5))
    for labels, view in zip(found, views(X), strict=True):
        runs = [lloyd(view, kmeans_plusplus(view, 6, rng).centers) for _ in range(4)]
        inertias = [run.inertia for run in runs]
        assert min(inertias) < max(inertias)
        assert_array_equal(labels, runs[int(np.argmin(inertias))].labels)


@pytest.mark.parametrize("seed", range(3))
def test_random_starts_are_the_cells_of_different_rows(seed):
    X, rng = rows(), np.random.default_rng(seed)
    found = starting_labels(X, 4, RANDOM, 2, np.random.default_rng(seed))
    for labels, view in zip(found, views(X), strict=True):
        centers = view[rng.choice(60, 4, replace=False)]
        distances = np.square(view[:, None] - centers).sum(axis=2)
        assert_array_equal(labels, distances.argmin(axis=1))
