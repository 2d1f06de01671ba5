"""Greedy seeds beside a plain greedy draw from whole matrices of costs."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import kmeans_plusplus
from clusterlib.solvers.draws import RowDraws


def costs_of(X, spherical):
    if spherical:
        Z = X / np.linalg.norm(X, axis=1, keepdims=True)
        return 1.0 - Z @ Z.T
    return ((X[:, None] - X) ** 2).sum(axis=2)


def plain(X, k, rng, weight, spherical, trials):
    """Every seed is the best of some draws in proportion to what rows cost so far."""
    draws, D = RowDraws(as_blocks(X), weight), costs_of(X, spherical)
    weight = np.ones(len(X)) if weight is None else weight
    indices, closest = [draws.draw(rng, 1)[0]], None
    closest = D[indices[0]].copy()
    closest[indices[0]] = 0.0
    while len(indices) < k:
        candidates = draws.draw(rng, trials, weight * closest)
        totals = [weight @ np.minimum(D[i], closest) for i in candidates]
        best = candidates[int(np.argmin(totals))]
        closest = np.minimum(D[best], closest)
        closest[best] = 0.0
        indices.append(best)
    return np.array(indices)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize(("k", "trials"), [(2, None), (8, None), (8, 1), (8, 5)])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("spherical", [False, True])
def test_seeds_are_those_of_whole_matrices(spherical, weighted, k, trials, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(70, 3)) + 3
    weight = rng.uniform(size=70) ** 2 if weighted else None
    found = kmeans_plusplus(
        X, k, np.random.default_rng(seed), sample_weight=weight, n_local_trials=trials,
        spherical=spherical,
    )  # fmt: skip
    wanted = 2 + int(np.log(k)) if trials is None else trials
    expected = plain(X, k, np.random.default_rng(seed), weight, spherical, wanted)
    assert_array_equal(found.indices, expected)
    rows = X[expected]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if spherical else 1.0
    assert_allclose(found.centers, rows / lengths, rtol=1e-12)


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
def test_units_of_rows_and_weights_change_no_seed(scale):
    X = np.random.default_rng(1).normal(size=(60, 2))
    weight = np.random.default_rng(2).uniform(size=60)
    one = kmeans_plusplus(X, 9, np.random.default_rng(3), sample_weight=weight).indices
    other = kmeans_plusplus(scale * X, 9, np.random.default_rng(3), sample_weight=8 * weight)
    assert_array_equal(one, other.indices)


def test_rows_that_are_all_taken_are_taken_again_where_there_is_weight():
    X = np.repeat([[0.0], [1.0], [5.0]], 4, axis=0)
    weight = np.where(np.arange(12) < 8, 1.0, 0.0)
    found = kmeans_plusplus(X, 4, np.random.default_rng(0), sample_weight=weight)
    assert sorted(set(found.centers.ravel())) == [0.0, 1.0]
    assert (found.indices < 8).all()
    assert set(found.centers[:2].ravel()) == {0.0, 1.0}
