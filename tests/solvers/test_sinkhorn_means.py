"""Balanced spherical k-means and its online form: objective, shares, blocks, lost columns."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax

from clusterlib.blocks import ArrayBlocks
from clusterlib.config import config_context
from clusterlib.solvers import pull_prototypes, sinkhorn_assign, sinkhorn_means, unit_rows
from clusterlib.solvers.prototype_codes import PrototypeCodes


def rows_and_centers(n=400, k=6, d=8, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    places = rng.normal(size=(k, d))
    X = places[rng.integers(k, size=n)] + 0.8 * rng.normal(size=(n, d))
    return X.astype(dtype), unit_rows(X[:k].astype(dtype))


def plain(X, centers, epsilon, n_moves, n_iters):
    """The same in a few lines: codes by many normalisations, prototypes by their means."""
    Z = unit_rows(X)
    for _ in range(n_moves):
        codes = sinkhorn_assign(Z @ centers.T, epsilon, n_iters=n_iters)
        centers = unit_rows(codes.T @ Z)
    return centers


@pytest.mark.parametrize("epsilon", [0.05, 0.3])
def test_moves_are_those_of_the_definition(epsilon):
    X, centers = rows_and_centers()
    three = sinkhorn_means(X, centers, epsilon=epsilon, n_iters=3, max_iter=5, tol=0.0)
    assert three.n_iter == 5
    assert_allclose(three.centers, plain(X, centers, epsilon, 5, 3), atol=1e-10)
    exact = sinkhorn_means(X, centers, epsilon=epsilon, max_iter=3000, tol=1e-7)
    assert exact.converged
    again = plain(X, exact.centers, epsilon, 1, 3000)
    assert_allclose(again, exact.centers, atol=1e-5)


@pytest.mark.parametrize("estimate", [False, True])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [0.02, 0.05, 0.5])
def test_the_objective_rises(epsilon, dtype, estimate):
    X, centers = rows_and_centers(dtype=dtype)
    for seed in range(3):
        start = unit_rows(np.random.default_rng(seed).normal(size=centers.shape).astype(dtype))
        options = {"epsilon": epsilon, "estimate": estimate, "balance_first": False}
        result = sinkhorn_means(X, start, max_iter=60, **options)
        history = np.append(result.history, result.objective)
        # Codes whose shares are wrong by a tenth of an angle, at first of 1, may lose that much.
        slack = 1e-6 if dtype is np.float32 else 1e-9
        assert np.diff(history[3:]).min() > -slack
        assert history[-1] > history[0]


def test_the_objective_is_that_of_the_codes():
    X, centers = rows_and_centers()
    prior = np.arange(1.0, 7) / 21
    result = sinkhorn_means(X, centers, log_prior=np.log(prior), epsilon=0.1, tol=1e-9)
    scores = unit_rows(X) @ result.centers.T
    codes = sinkhorn_assign(scores, 0.1, n_iters=None, prior=prior, tol=1e-12, max_iter=20_000)
    plan = codes / len(X)
    divergence = (plan * np.log(plan / np.outer(np.full(len(X), 1 / len(X)), prior))).sum()
    assert_allclose(result.objective, (plan * scores).sum() - 0.1 * divergence, rtol=1e-6)
    assert_allclose(result.entropy, -(codes * np.log(codes)).sum(axis=1).mean(), rtol=1e-4)
    assert_allclose(result.vectors, codes.T @ unit_rows(X), atol=1e-3)
    assert_allclose(result.sums, prior, atol=1e-5)
    assert_array_equal(result.labels, codes.argmax(axis=1))


def test_estimated_shares_have_the_highest_likelihood():
    X, centers = rows_and_centers()
    result = sinkhorn_means(X, centers, estimate=True, epsilon=0.1, tol=1e-6, max_iter=5000)
    assert result.converged
    scores = unit_rows(X) @ result.centers.T / 0.1

    def likelihood(prior):
        return 0.1 * logsumexp(scores + np.log(prior), axis=1).mean()

    assert_allclose(result.objective, likelihood(result.prior), rtol=1e-9)
    posteriors = softmax(scores + np.log(result.prior), axis=1)
    assert_allclose(posteriors.mean(axis=0), result.sums, rtol=1e-9)
    assert_allclose(result.prior, result.sums, atol=1e-5)
    rng = np.random.default_rng(0)
    for _ in range(20):
        other = result.prior * np.exp(0.2 * rng.normal(size=6))
        assert likelihood(other / other.sum()) < result.objective


@pytest.mark.parametrize("estimate", [False, True])
def test_blocks_and_threads_change_no_bit(estimate):
    X, centers = rows_and_centers(n=10_000, dtype=np.float32)
    weight = np.random.default_rng(1).random(10_000)
    options = {"estimate": estimate, "max_iter": 4, "sample_weight": weight}
    expected = sinkhorn_means(X, centers, **options)
    for n_threads in (1, 3):
        with config_context(n_threads=n_threads):
            result = sinkhorn_means(ArrayBlocks(X, block_rows=4096), centers, **options)
        for one, other in zip(result, expected, strict=True):
            assert_array_equal(one, other)


def test_weights_are_repetitions():
    X, centers = rows_and_centers(n=100)
    weight = np.random.default_rng(0).integers(0, 4, size=100)
    options = {"epsilon": 0.1, "max_iter": 20}
    weighted = sinkhorn_means(X, centers, sample_weight=weight.astype(float), **options)
    repeated = sinkhorn_means(np.repeat(X, weight, axis=0), centers, **options)
    assert_allclose(weighted.centers, repeated.centers, atol=1e-9)
    assert_allclose(weighted.objective, repeated.objective, rtol=1e-9)
    assert_allclose(weighted.vectors, repeated.vectors, rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_columns_that_underflow_are_found_again(dtype):
    """A prototype opposite to all rows has exp(-2 / 0.001) of the mass of the others."""
    rng = np.random.default_rng(0)
    X = (rng.normal(size=(300, 5)) * 0.05 + np.eye(5)[0]).astype(dtype)
    centers = np.eye(5, dtype=dtype)[:3]
    centers[2] = -centers[0]
    codes = PrototypeCodes(ArrayBlocks(X), 0.001)
    logs = codes.sweep(centers, np.zeros(3))
    exponents = (unit_rows(X).astype(np.float64) @ centers.T.astype(np.float64)) / 0.001
    expected = logsumexp(exponents - logsumexp(exponents, axis=1, keepdims=True), axis=0)
    # Rounding of costs of the order of 1 is divided by epsilon.
    assert_allclose(logs, expected - np.log(300), atol=1000 * 8 * np.finfo(dtype).eps)
    assert logs[2] < -1000


def test_n_iters_reach_prototypes_far_from_all_rows():
    X, centers = rows_and_centers(n=200, dtype=np.float32)
    centers[0] = unit_rows(-X.mean(axis=0, keepdims=True))[0]
    result = sinkhorn_means(X, centers, epsilon=0.005, n_iters=3, max_iter=30)
    assert np.isfinite(result.centers).all()
    assert_allclose(np.linalg.norm(result.centers, axis=1), 1, rtol=1e-6)


def test_rows_without_direction_or_weight_are_absent():
    X, centers = rows_and_centers(n=60)
    more = np.r_[np.zeros((5, 8)), X, 7 * np.ones((2, 8))]
    weight = np.r_[np.ones(65), 0, 0]
    result = sinkhorn_means(more, centers, sample_weight=weight)
    expected = sinkhorn_means(X, centers)
    assert_allclose(result.centers, expected.centers, atol=1e-9)
    assert_array_equal(result.labels[5:-2], expected.labels)


def test_lengths_count_without_normalisation():
    X, centers = rows_and_centers()
    lengths = np.random.default_rng(0).uniform(0.5, 2, size=(len(X), 1))
    Z = unit_rows(X) * lengths
    free = sinkhorn_means(Z, centers, normalize=False, epsilon=0.1, tol=1e-8, max_iter=3000)
    codes = sinkhorn_assign(Z @ free.centers.T, 0.1, n_iters=None, tol=1e-12, max_iter=20_000)
    assert_allclose(unit_rows(codes.T @ Z), free.centers, atol=1e-5)
    normal = sinkhorn_means(Z, centers, epsilon=0.1, tol=1e-8, max_iter=3000)
    assert np.abs(normal.centers - free.centers).max() > 1e-3


def test_callback_stops():
    X, centers = rows_and_centers()
    seen = []

    def callback(centers, history):
        seen.append((centers, list(history)))
        return len(seen) == 2

    result = sinkhorn_means(X, centers, tol=0.0, callback=callback)
    assert result.n_iter == len(seen) == 2
    assert not result.converged
    assert_array_equal(seen[-1][0], result.centers)
    assert_array_equal(seen[-1][1], result.history)
    assert result.angle > 0


# The online form.


def pulled(X, centers, **options):
    zeros = np.zeros(centers.shape), np.zeros(len(centers))
    return pull_prototypes(X, centers, *zeros, **options)


@pytest.mark.parametrize("n_iters", [3, None])
def test_a_pull_is_a_move(n_iters):
    X, centers = rows_and_centers()
    pull = pulled(X, centers, n_iters=n_iters)
    Z = unit_rows(X)
    codes = sinkhorn_assign(Z @ centers.T, n_iters=n_iters, tol=1e-12, max_iter=20_000)
    atol = 1e-10 if n_iters else 1e-3
    assert_allclose(pull.vectors, codes.T @ Z, atol=atol)
    assert_allclose(pull.centers, unit_rows(codes.T @ Z), atol=atol)
    assert_allclose(pull.counts, codes.sum(axis=0), atol=atol)
    assert_array_equal(pull.labels, codes.argmax(axis=1))


def test_the_queue_shares_the_codes_and_nothing_else():
    X, centers = rows_and_centers()
    queue, batch = X[:300], X[300:]
    pull = pulled(batch, centers, queue=queue, n_iters=3)
    codes = sinkhorn_assign(unit_rows(X) @ centers.T)[300:]
    assert_allclose(pull.vectors, codes.T @ unit_rows(batch), atol=1e-10)
    order = np.random.default_rng(0).permutation(300)
    shuffled = pulled(batch, centers, queue=queue[order], n_iters=3)
    assert_allclose(shuffled.vectors, pull.vectors, atol=1e-10)


def test_sums_fade():
    X, centers = rows_and_centers()
    first = pulled(X[:200], centers)
    second = pull_prototypes(X[200:], first.centers, first.vectors, first.counts, decay=0.5)
    alone = pulled(X[200:], first.centers)
    assert_allclose(second.vectors, 0.5 * first.vectors + alone.vectors, rtol=1e-12)
    assert_allclose(second.counts, 0.5 * first.counts + alone.counts, rtol=1e-12)
    assert_allclose(second.centers, unit_rows(second.vectors), atol=1e-12)


def test_estimated_shares_follow_the_counts():
    X, centers = rows_and_centers()
    pull = pulled(X, centers, estimate=True)
    codes = softmax(unit_rows(X) @ centers.T / 0.05, axis=1)
    assert_allclose(pull.prior, codes.mean(axis=0), atol=1e-6)
    with_queue = pulled(X, centers, estimate=True, queue=X[:50])
    assert_array_equal(with_queue.centers, pull.centers)


def test_a_batch_of_zeros_changes_nothing():
    X, centers = rows_and_centers()
    first = pulled(X, centers)
    second = pull_prototypes(np.zeros((4, 8)), first.centers, first.vectors, first.counts)
    assert_array_equal(second.centers, first.centers)
    assert_array_equal(second.vectors, first.vectors)


def test_a_batch_of_one_row_is_shared_by_all():
    X, centers = rows_and_centers()
    pull = pulled(X[:1], centers)
    assert_allclose(pull.counts, 1 / 6, rtol=1e-5)
    assert_allclose(pull.centers, np.repeat(unit_rows(X[:1]), 6, axis=0), atol=1e-12)
