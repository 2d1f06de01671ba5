"""Passes over rows with wrong labels: sums, leaves, memory, rounding, and when the prior stands."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import logsumexp

from clusterlib.blocks import ArrayBlocks, as_blocks
from clusterlib.solvers import noisy_gaussian_sweep, noisy_gaussians
from clusterlib.solvers.noisy_gaussian_sweep import (
    ClassDensities,
    label_statistics,
    swept_statistics,
)
from clusterlib.solvers.row_results import leaves
from tests.solvers.test_noisy_gaussians import log_density, planted


def drawn(n, m, n_classes, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(n_classes, size=n)
    return rng.normal(size=(n, m)) + codes[:, None], codes


def test_statistics_of_labels_are_sums_over_their_rows():
    X, codes = drawn(5000, 3, 4)
    weight = np.random.default_rng(1).random(5000)
    centers = np.random.default_rng(2).normal(size=(4, 3))
    blocks = as_blocks(X)
    each = label_statistics(blocks, codes, weight, centers, 4)
    together = label_statistics(blocks, codes, weight, centers, 1)
    np.testing.assert_allclose(each.counts, np.diag(np.bincount(codes, weight)), rtol=1e-12)
    for k in range(4):
        deviations, w = X[codes == k] - centers[k], weight[codes == k]
        np.testing.assert_allclose(each.sums[k], w @ deviations, rtol=1e-10)
        scatter = deviations.T @ (w[:, None] * deviations)
        np.testing.assert_allclose(each.scatters[k], scatter, rtol=1e-10)
        np.testing.assert_array_equal(each.scatters[k], each.scatters[k].T)
    np.testing.assert_allclose(together.scatters[0], each.scatters.sum(axis=0), rtol=1e-12)
    assert each.log_likelihood == 0.0


def test_many_rows_of_a_class_are_summed_like_few():
    # A leaf with more rows of the first class than of the second, and than the kernel needs.
    X, _ = drawn(4096, 5, 1)
    codes = (np.arange(4096) >= 4000).astype(int)
    assert 4096 - 4000 < noisy_gaussian_sweep._MANY_ROWS < 4000
    X = np.round(X * 2**16) / 2**16  # exact beside the offset
    weight, centers = np.random.default_rng(1).random(4096), X[:2]
    near, far = (
        label_statistics(as_blocks(X + offset), codes, weight, centers + offset, 2)
        for offset in (0.0, 2.0**30)
    )
    for k in range(2):
        deviations, w = X[codes == k] - centers[k], weight[codes == k]
        scatter = deviations.T @ (w[:, None] * deviations)
        np.testing.assert_allclose(near.sums[k], w @ deviations, rtol=1e-11)
        np.testing.assert_allclose(near.scatters[k], scatter, rtol=1e-11)
    for one, other in zip(near[:4], far[:4], strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-11)
    np.testing.assert_array_equal(far.scatters, far.scatters.transpose(0, 2, 1))


@pytest.mark.parametrize("m", [1, 2, 5])
def test_distances_are_those_of_whole_triangles(m):
    X = drawn(600, m, 3)[0]
    rng = np.random.default_rng(4)
    covariances = np.stack([np.cov(rng.normal(size=(m, 3 * m + 2))) for _ in range(3)])
    covariances = covariances.reshape(3, m, m)
    found = ClassDensities(X[:3], covariances, None).squared_distances(X.astype(np.float32))
    for k in range(3):
        deviations = X.astype(np.float32) - X[k]
        expected = np.einsum("ij,ij->i", deviations @ np.linalg.inv(covariances[k]), deviations)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-10)


@pytest.mark.parametrize("dof", [None, 3.0])
def test_a_shared_covariance_gives_what_equal_ones_give(dof):
    X, codes = drawn(700, 3, 4)
    rng = np.random.default_rng(3)
    means, prior, transition = 2 * rng.normal(size=(4, 3)), np.full(4, 0.25), np.full((4, 4), 0.25)
    covariance = np.cov(X.T)
    shared, equal = (
        swept_statistics(
            as_blocks(X), codes, None, ClassDensities(means, matrices, dof), prior, transition
        )
        for matrices in (covariance[None], np.repeat(covariance[None], 4, axis=0))
    )
    np.testing.assert_allclose(shared[1], equal[1], atol=1e-12)
    np.testing.assert_allclose(shared[0].sums, equal[0].sums, atol=1e-9)
    np.testing.assert_allclose(shared[0].scatters[0], equal[0].scatters.sum(axis=0), rtol=1e-10)
    assert shared[0].log_likelihood == pytest.approx(equal[0].log_likelihood, rel=1e-12)


def test_a_shared_covariance_loses_nothing_far_from_the_origin():
    X = np.round(drawn(50, 3, 4)[0] * 2**16) / 2**16  # exact beside the offset
    covariance = np.cov(X.T)[None]
    near, far = (
        ClassDensities(X[:4] + offset, covariance, None).squared_distances(X + offset)
        for offset in (0.0, 2.0**30)
    )
    np.testing.assert_allclose(far, near, atol=1e-12)


def test_leaves_hold_all_rows_in_their_order():
    X, codes = drawn(9000, 2, 3)
    parts = list(leaves(X, codes, None))
    assert [len(rows) for rows, _, _ in parts] == [4096, 4096, 808]
    np.testing.assert_array_equal(np.concatenate([rows for rows, _, _ in parts]), X)
    np.testing.assert_array_equal(np.concatenate([beside for _, beside, _ in parts]), codes)
    assert [rest for _, _, rest in parts] == [None] * 3
    assert [len(rows) for (rows,) in leaves(X[:0])] == [0]


def test_label_quality_of_many_leaves_is_in_the_order_of_the_rows():
    X, _, codes, _, _ = planted(n=9000)
    fit = noisy_gaussians(X, codes, 4, shrinkage=8.0, max_iter=3)
    logs = np.stack(
        [log_density(X, fit.means[k], fit.covariances[k], None) for k in range(4)], axis=1
    )
    joint = logs + np.log(fit.class_prior) + np.log(fit.transition.T[codes])
    expected = np.exp(joint[np.arange(9000), codes] - logsumexp(joint, axis=1))
    np.testing.assert_allclose(fit.label_quality, expected, atol=1e-10)


def test_no_array_has_a_number_for_each_row_and_class():
    X, codes = drawn(100_000, 2, 60)
    noisy_gaussians(X[:100], codes[:100], 60, shrinkage=4.0, max_iter=1)
    tracemalloc.start()
    noisy_gaussians(ArrayBlocks(X), codes, 60, shrinkage=4.0, max_iter=2)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # One such array takes 48 MB, leaves of 4096 rows 2 MB each.
    assert peak < 24e6


def test_the_mean_of_many_rows_has_no_more_than_its_own_rounding():
    X, codes = np.full((100_000, 1), 0.1), np.zeros(100_000, dtype=int)
    # The second class has no rows and lies at the overall mean.
    fit = noisy_gaussians(X, codes, 2, shrinkage=1.0, max_iter=1)
    np.testing.assert_allclose(fit.means[1], 0.1, rtol=4e-16)
    np.testing.assert_allclose(fit.means[0], 0.1, rtol=4e-16)


@pytest.mark.parametrize(("tol", "little"), [(1e-6, 1e-4), (1e-5, 1e-4), (1e-8, 1e-6)])
def test_the_prior_stands_once_it_changes_little(tol, little):
    X, _, codes, _, _ = planted()
    whole = noisy_gaussians(X, codes, 4, shrinkage=8.0, prior_iter=60, max_iter=60, tol=-np.inf)
    changes = np.abs(np.diff(whole.history)) / len(X)
    n_first = int(np.flatnonzero(changes <= little)[0]) + 2
    assert 3 < n_first < 60
    options = {"shrinkage": 8.0, "max_iter": 200}
    fit = noisy_gaussians(X, codes, 4, tol=tol, prior_iter=60, **options)
    given = noisy_gaussians(X, codes, 4, tol=tol, prior_iter=n_first, **options)
    np.testing.assert_array_equal(fit.history[:n_first], whole.history[:n_first])
    np.testing.assert_array_equal(fit.history, given.history)
    np.testing.assert_array_equal(fit.pooled, given.pooled)
    later = noisy_gaussians(X, codes, 4, tol=-np.inf, prior_iter=60, **options)
    assert (later.pooled != fit.pooled).any()


@pytest.mark.parametrize("dof", [None, 3.0])
@pytest.mark.parametrize("n_covariances", [1, 2])
def test_densities_are_those_of_scipy(dof, n_covariances):
    rng = np.random.default_rng(0)
    rows, means = 3 * rng.normal(size=(40, 3)), rng.normal(size=(2, 3))
    factors = np.eye(3) + 0.4 * rng.normal(size=(n_covariances, 3, 3))
    covariances = factors @ factors.transpose(0, 2, 1)
    densities = ClassDensities(means, covariances, dof)
    found = densities.log_densities(densities.squared_distances(rows))
    for k, mean in enumerate(means):
        expected = log_density(rows, mean, covariances[k % n_covariances], dof)
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-12)


@pytest.mark.parametrize("dof", [None, 3.0])
@pytest.mark.parametrize("n_covariances", [1, 2])
def test_weights_are_repetitions_in_a_pass(dof, n_covariances):
    X, codes = drawn(60, 3, 2)
    rng = np.random.default_rng(1)
    weight, means = rng.integers(0, 4, 60), 0.5 + rng.normal(size=(2, 3))
    covariances = np.stack([np.eye(3), 2.0 * np.eye(3)])[:n_covariances]
    densities = ClassDensities(means, covariances, dof)
    parts = densities, np.array([0.3, 0.7]), np.array([[0.8, 0.2], [0.4, 0.6]])
    one, quality = swept_statistics(as_blocks(X), codes, weight.astype(float), *parts)
    rows = np.repeat(X, weight, axis=0)
    other, repeated = swept_statistics(as_blocks(rows), np.repeat(codes, weight), None, *parts)
    for left, right in zip(one, other, strict=True):
        np.testing.assert_allclose(left, right, rtol=1e-10, atol=1e-10)
    np.testing.assert_allclose(np.repeat(quality, weight), repeated, rtol=1e-10)
