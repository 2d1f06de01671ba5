"""Embeddings by a factor against singular vectors and averaged rows."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers.factor_embedding import denoised_embedding, spectral_embedding


@pytest.mark.parametrize("n", [1, 30, 9000])
@pytest.mark.parametrize("n_clusters", [1, 2, 4, 9])
def test_vectors_are_the_leading_singular_ones(n, n_clusters):
    U = np.random.default_rng(0).normal(size=(n, 4)) * [9.0, 5.0, 2.0, 1.0]
    left = np.linalg.svd(U, full_matrices=False)[0]
    n_vectors = min(n_clusters, 4, n)
    found = spectral_embedding(U, n_clusters)
    assert found.shape == (n, n_vectors)
    kept = left[:, :n_vectors]
    some = slice(max(0, n - 40), n)  # rows of the last leaf
    assert_allclose((found @ found.T[:, some]), kept @ kept.T[:, some], atol=1e-9)


@pytest.mark.parametrize(("share", "n_vectors"), [(1.1e-6, 3), (0.9e-6, 2), (0.0, 2)])
def test_directions_that_are_next_to_nothing_are_left_out(share, n_vectors):
    """Squared lengths below 1e-12 of the largest, that is lengths below 1e-6."""
    U = np.linalg.qr(np.random.default_rng(0).normal(size=(20, 3)))[0] * [5.0, 1.0, 5.0 * share]
    assert spectral_embedding(U, 3).shape == (20, n_vectors)
    assert spectral_embedding(np.zeros((5, 2)), 2).shape == (5, 0)


@pytest.mark.parametrize("block_rows", [4096, 20_000])
@pytest.mark.parametrize(("p", "rank"), [(3, 2), (2, 5)])
def test_distances_are_those_of_averaged_rows(p, rank, block_rows):
    rng = np.random.default_rng(0)
    X, U = rng.normal(size=(9000, p)) + 50.0, rng.random(size=(9000, rank)) / 100
    places = denoised_embedding(as_blocks(X, block_rows=block_rows), U)
    assert places.shape == (9000, min(p, rank))
    averaged = U @ (U.T @ (X - X.mean(axis=0)))
    some = [0, 4095, 4096, 8191, 8999]
    assert_allclose(places[some] @ places.T, averaged[some] @ averaged.T, rtol=1e-7, atol=1e-9)


def test_no_rows_have_no_places():
    assert_array_equal(spectral_embedding(np.zeros((0, 2)), 1), np.zeros((0, 0)))
