"""What a batch does to prototypes, literally."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax

from clusterlib.solvers import pull_prototypes

EPSILON = 0.2


def batch(n=30, k=4, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X, queue = rng.normal(size=(n, d)), rng.normal(size=(50, d))
    centers = rng.normal(size=(k, d))
    centers /= np.linalg.norm(centers, axis=1, keepdims=True)
    return X, queue, centers, rng.normal(size=(k, d)), rng.uniform(1, 9, size=k)


def directions(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def normalised(scores, log_prior, n_iters):
    """Potentials of the columns after columns and rows were normalised in turn."""
    g = np.zeros(scores.shape[1])
    f = -np.log(len(scores)) * np.ones(len(scores))
    for _ in range(n_iters):
        g = log_prior - logsumexp(scores + f[:, None], axis=0)
        f = -np.log(len(scores)) - logsumexp(scores + g, axis=1)
    return g, np.exp(scores + f[:, None] + g).sum(axis=0)


@pytest.mark.parametrize("decay", [0.0, 0.9, 1.0])
@pytest.mark.parametrize("n_iters", [None, 1, 3])
@pytest.mark.parametrize("with_queue", [False, True])
@pytest.mark.parametrize("normalize", [True, False])
def test_a_pull_is_what_it_says(normalize, with_queue, n_iters, decay):
    X, queue, centers, vectors, counts = batch()
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    pull = pull_prototypes(
        X, centers, vectors, counts, queue=queue if with_queue else None, epsilon=EPSILON,
        log_prior=np.log(prior), n_iters=n_iters, normalize=normalize, decay=decay,
    )  # fmt: skip
    Z, all_rows = X, np.concatenate([queue, X]) if with_queue else X
    if normalize:
        Z, all_rows = directions(Z), directions(all_rows)
    g, sums = normalised(all_rows @ centers.T / EPSILON, np.log(prior), n_iters or 300)
    codes = softmax(Z @ centers.T / EPSILON + g, axis=1)
    moved = decay * vectors + codes.T @ Z
    tolerance = 1e-9 if n_iters else 1e-3
    assert_allclose(pull.vectors, moved, atol=tolerance)
    assert_allclose(pull.counts, decay * counts + codes.sum(axis=0), atol=tolerance)
    assert_allclose(pull.centers, directions(moved), atol=tolerance)
    assert_array_equal(pull.labels, codes.argmax(axis=1))
    assert_allclose(pull.prior, prior)
    expected = np.abs(sums - prior).sum() if n_iters else 0.0
    assert_allclose(pull.error, expected, atol=2e-6)


@pytest.mark.parametrize("with_queue", [False, True])
def test_estimated_shares_are_those_of_the_counts(with_queue):
    X, queue, centers, vectors, counts = batch()
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    pull = pull_prototypes(
        X, centers, vectors, counts, queue=queue if with_queue else None, epsilon=EPSILON,
        log_prior=np.log(prior), estimate=True, decay=0.5,
    )  # fmt: skip
    codes = softmax(directions(X) @ centers.T / EPSILON + np.log(prior), axis=1)
    assert_allclose(pull.vectors, 0.5 * vectors + codes.T @ directions(X))
    expected = 0.5 * counts + codes.sum(axis=0)
    assert_allclose(pull.counts, expected)
    assert_allclose(pull.prior, expected / expected.sum(), rtol=1e-4)
    assert pull.error == 0.0


def test_no_prior_is_an_equal_one():
    X, _, centers, vectors, counts = batch()
    one, other = (
        pull_prototypes(X, centers, vectors, counts, log_prior=log_prior)
        for log_prior in (None, np.log(np.full(4, 0.25)))
    )
    for left, right in zip(one, other, strict=True):
        assert_array_equal(left, right)


def test_a_batch_of_zeros_moves_nothing():
    _, _, centers, vectors, counts = batch()
    pull = pull_prototypes(np.zeros((5, 3)), centers, vectors, counts)
    assert pull.centers is centers
    assert pull.vectors is vectors
    assert pull.counts is counts
    assert_array_equal(pull.labels, np.zeros(5))
    assert_allclose(pull.prior, 0.25)
    assert pull.error == 0.0
