"""Principal components against singular vectors, and what they are of poor rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import ArrayBlocks
from clusterlib.solvers import principal_components, project


def drawn(n, m, rank=None, seed=0):
    """Rows with falling variances, in at most ``rank`` directions, away from the origin."""
    rng = np.random.default_rng(seed)
    rank = m if rank is None else rank
    spread = np.linspace(3.0, 0.5, rank)
    return (rng.normal(size=(n, rank)) * spread) @ rng.normal(size=(rank, m)) + 5.0


def by_singular_vectors(X, n_components):
    mean = X.mean(axis=0)
    _, values, vectors = np.linalg.svd(X - mean, full_matrices=False)
    largest = np.abs(vectors).argmax(axis=1)
    vectors = vectors * np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
    return mean, vectors[:n_components], np.square(values[:n_components]) / len(X)


@pytest.mark.parametrize(("n", "m", "q"), [(300, 7, 7), (300, 7, 3), (9000, 5, 2), (6, 20, 4)])
def test_they_are_singular_vectors_of_centred_rows(n, m, q):
    X = drawn(n, m)
    found = principal_components(X, q)
    mean, components, variances = by_singular_vectors(X, q)
    assert_allclose(found.mean, mean, rtol=1e-12)
    assert_allclose(found.components, components, atol=1e-9)
    assert_allclose(found.variances, variances, rtol=1e-9)
    assert_allclose(project(X, found), (X - mean) @ components.T, atol=1e-7)
    assert found.components.dtype == found.variances.dtype == np.float64


def test_scores_have_these_variances_and_no_covariance():
    X = drawn(5000, 6)
    found = principal_components(X, 4)
    scores = project(X, found)
    assert_allclose(scores.mean(axis=0), 0, atol=1e-11)
    assert_allclose(scores.T @ scores / 5000, np.diag(found.variances), atol=1e-9)
    new = drawn(10, 6, seed=1)
    assert_allclose(project(new, found), (new - found.mean) @ found.components.T, atol=1e-12)


def test_the_largest_entry_is_positive():
    for seed in range(5):
        components = principal_components(drawn(50, 4, seed=seed), 4).components
        assert (components.max(axis=1) == np.abs(components).max(axis=1)).all()
        assert (components.min(axis=1) < 0).any()  # and not all entries


@pytest.mark.parametrize("n", [40, 20_000])
@pytest.mark.parametrize("rank", [1, 3])
def test_directions_without_variance_are_left_out(n, rank):
    X = drawn(n, 8, rank)
    X[:, 2], X[:, 6] = 1e6 / 3, -0.1
    found = principal_components(X, 8)
    assert found.components.shape == (rank, 8)
    # What the mean of a constant column rounds to does not make it a direction.
    assert_allclose(found.components[:, [2, 6]], 0, atol=1e-9)
    assert_allclose(project(X, found) @ found.components + found.mean, X, rtol=1e-9, atol=1e-9)


def test_fewer_rows_than_features_have_one_direction_less_than_rows():
    assert len(principal_components(drawn(6, 20), 20).components) == 5


@pytest.mark.parametrize("X", [[[7.1, -3.3, 0.1]], np.full((9000, 3), 0.1), np.zeros((5, 3))])
def test_equal_rows_keep_one_direction(X):
    found = principal_components(X, 3)
    assert found.components.shape == (1, 3)
    assert_allclose(np.linalg.norm(found.components), 1)
    assert found.variances[0] < 1e-30
    assert_allclose(project(X, found), 0, atol=1e-15)


@pytest.mark.parametrize("seed", range(8))
def test_the_rounding_of_a_weighted_mean_is_no_direction(seed):
    rng = np.random.default_rng(seed)
    X, weight = np.tile(1e6 * rng.normal(size=10), (100, 1)), rng.random(100)
    assert len(principal_components(X, 10, sample_weight=weight).variances) == 1


@pytest.mark.parametrize("seed", range(4))
def test_rounding_of_many_features_is_no_direction(seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(300, 2)) @ rng.normal(size=(2, 120))
    assert len(principal_components(X, 120).variances) == 2


def test_weights_are_repetitions():
    X = drawn(200, 4)
    weight = np.random.default_rng(1).integers(0, 4, size=200)
    weighted = principal_components(X, 3, sample_weight=weight.astype(float))
    repeated = principal_components(np.repeat(X, weight, axis=0), 3)
    for one, other in zip(weighted, repeated, strict=True):
        assert_allclose(one, other, rtol=1e-9, atol=1e-9)
    assert abs(weighted.mean - principal_components(X, 3).mean).max() > 1e-3


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_cut_into_blocks_does_not_matter(dtype):
    X = drawn(20_000, 5).astype(dtype)
    whole = principal_components(X, 4)
    blocks = ArrayBlocks(X, block_rows=4096)
    assert len(blocks) == 5
    cut = principal_components(blocks, 4)
    for one, other in zip(whole, cut, strict=True):
        assert_array_equal(one, other)
    assert_array_equal(project(X, whole), project(blocks, whole))
    assert_allclose(whole.variances, by_singular_vectors(X.astype(float), 4)[2], rtol=1e-9)


def test_no_digits_are_lost_far_from_the_origin():
    X = np.round(drawn(500, 4) * 2**12) / 2**12  # exact beside the offset
    near, far = (principal_components(X + offset, 4) for offset in (0.0, 2.0**30))
    assert_allclose(far.variances, near.variances, rtol=1e-8)
    assert_allclose(far.components, near.components, atol=1e-8)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 1e200])
def test_rows_without_finite_squares_are_refused(bad):
    X = drawn(20, 3)
    X[4, 1] = bad
    with pytest.raises(ValueError, match="X"):
        principal_components(X, 2)
