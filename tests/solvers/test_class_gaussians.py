"""Gaussians of inliers, and rows that are drawn from them."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import inlier_gaussians, sample_gaussians


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_moments_are_those_of_the_inliers(dtype):
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(40, 3)) + 5).astype(dtype)
    codes, inliers = rng.integers(0, 3, 40), rng.random(40) < 0.6
    codes[:2], inliers[:2] = 4, [True, False]  # one inlier of class 4, none of class 3
    means, covariances = inlier_gaussians(X, codes, 5, inliers)
    for code in range(5):
        rows = X[(codes == code) & inliers].astype(float)
        mean = rows.mean(axis=0) if len(rows) else np.zeros(3)
        assert_allclose(means[code], mean, rtol=1e-6)
        expected = np.cov(rows.T) if len(rows) > 1 else np.zeros((3, 3))
        assert_allclose(covariances[code], expected, rtol=1e-5, atol=1e-9)


def test_rows_are_means_and_symmetric_roots_times_normal_numbers():
    rng = np.random.default_rng(0)
    roots = rng.normal(size=(3, 2, 2))
    roots = roots @ roots.transpose(0, 2, 1)  # positive and symmetric: roots of their squares
    means, counts = rng.normal(size=(3, 2)), np.array([4, 0, 2])
    rows, codes = sample_gaussians(means, roots @ roots, counts, np.random.default_rng(1))
    numbers = np.random.default_rng(1)
    first = means[0] + numbers.standard_normal((4, 2)) @ roots[0]
    last = means[2] + numbers.standard_normal((2, 2)) @ roots[2]
    assert_allclose(rows, np.concatenate([first, last]), rtol=1e-9)
    assert_array_equal(codes, [0, 0, 0, 0, 2, 2])


def test_negative_eigenvalues_count_as_zero():
    covariances = np.diag([4.0, -1.0])[None]
    rows, _ = sample_gaussians(np.ones((1, 2)), covariances, [50], np.random.default_rng(0))
    assert_array_equal(rows[:, 1], 1.0)
    expected = 1 + 2 * np.random.default_rng(0).standard_normal((50, 2))[:, 0]
    assert_allclose(rows[:, 0], expected, rtol=1e-12)
