"""Every step of latent semantic analysis, and its divergence, beside dense tables."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array

from clusterlib.solvers import count_weights, divergence, plsa
from clusterlib.solvers.nmf_descent import Pace, has_settled


def table(n=40, m=25, k=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    mean = 50 * rng.dirichlet(np.full(k, 0.5), n) @ rng.dirichlet(np.full(m, 0.4), k)
    return csr_array(rng.poisson(mean).astype(dtype))


def start(m=25, k=3, seed=1):
    return np.random.default_rng(seed).uniform(0.1, 1.0, size=(k, m))


def em(X, W, H):
    """What a step divides among components, and the log-likelihood before it."""
    Y = W @ H
    ratio = np.divide(X, Y, out=np.zeros_like(X), where=Y > 0)
    here = X > 0
    return W * (ratio @ H.T), H * (W.T @ ratio), (X[here] * np.log(Y[here])).sum()


def with_sums(W, sums):
    own = W.sum(axis=1)
    return W * np.where(own > 0, sums / np.where(own > 0, own, 1), 0.0)[:, None]


def unit_rows(H):
    return H / np.where(H.sum(axis=1) > 0, H.sum(axis=1), 1)[:, None]


def beyond(new, old, momentum):
    ratio = np.where(old > 0, new / np.where(old > 0, old, 1), 1.0)
    return new * np.clip(ratio, 1e-3, 1e3) ** momentum


def plain(X, H, max_iter, tol):
    """Steps that are extrapolated in the logarithms, and taken back where the likelihood falls."""
    sums, here = X.sum(axis=1), X > 0
    entropy = (X[here] * np.log(X[here])).sum()
    noise = 16 * np.finfo(float).eps * max(X.sum(), abs(entropy))
    H = unit_rows(H)
    W = with_sums(np.ones((len(X), len(H))), sums)
    W = with_sums(em(X, W, H)[0], sums)
    pace, history, kept, ahead = Pace(), [], (W, H), (W, H)
    n_failed = 0
    for _ in range(max_iter):
        W_sums, H_sums, likelihood = em(X, *ahead)
        objective = max(entropy - likelihood, 0.0)
        if history and objective > history[-1] + noise:
            ahead = kept
            pace.fail()
            history.append(history[-1])
            n_failed += 1
            continue
        moved = with_sums(W_sums, sums), unit_rows(H_sums)
        W, H = (beyond(new, old, pace.momentum) for new, old in zip(moved, kept, strict=True))
        ahead, kept = (with_sums(W, sums), unit_rows(H)), moved
        pace.succeed()
        history.append(objective)
        if has_settled(history, noise, tol):
            break
    return kept[1], history, n_failed


@pytest.mark.parametrize("max_iter", [1, 2, 3, 7, 15, 40])
@pytest.mark.parametrize("weighted", [False, True])
def test_every_step_is_that_of_dense_tables(weighted, max_iter):
    X, weight = table(), None
    if weighted:
        weight = np.random.default_rng(2).uniform(0, 3, size=40)
        weight[4] = 0.0
    dense = X.toarray() * (1.0 if weight is None else weight[:, None])
    found = plsa(X, start(), sample_weight=weight, max_iter=max_iter, tol=0)
    H, history, _ = plain(dense, start(), max_iter, 0)
    assert found.n_iter == len(history) == max_iter
    assert_allclose(found.history, history, rtol=1e-9)
    assert_allclose(found.H, H, atol=1e-9)
    assert not found.converged
    assert found.objective == pytest.approx(divergence(X, found.W, found.H.T, weight))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize("tol", [1e-2, 1e-4, 1e-6])
def test_it_ends_when_ten_steps_gain_too_little(tol, seed):
    X = table(seed=seed)
    found = plsa(X, start(seed=seed), tol=tol, max_iter=3000)
    _, history, _ = plain(X.toarray(), start(seed=seed), 3000, tol)
    assert found.converged
    assert found.n_iter == len(history)
    assert_allclose(found.history, history, rtol=1e-6)


def test_steps_that_lower_the_likelihood_are_taken_back():
    n_failed = 0
    for seed in range(4):
        X = table(seed=seed, k=5, n=30)
        H = start(k=6, seed=seed)
        found = plsa(X, H, max_iter=90, tol=0)
        _, history, failed = plain(X.toarray(), H, 90, 0)
        assert_allclose(found.history[:60], history[:60], rtol=1e-7)
        n_failed += failed
    assert n_failed > 0


def test_words_that_no_component_knows_get_the_mean():
    X, H = table(), start()
    H[:, 7] = 0.0
    found = plsa(X, H, max_iter=3, tol=0)
    H[:, 7] = H.mean()
    assert_allclose(found.H, plain(X.toarray(), H, 3, 0)[0], atol=1e-10)
    assert np.isfinite(plsa(X, np.zeros((3, 25)), max_iter=2).H).all()


@pytest.mark.parametrize("k", [1, 3])
def test_weights_of_rows_have_the_highest_likelihood(k):
    X, H = table(), unit_rows(start(k=k))
    W = count_weights(X, np.ascontiguousarray(H.T))
    dense, plain_W = X.toarray(), with_sums(np.ones((40, k)), X.sum(axis=1))
    for _ in range(500):
        plain_W = with_sums(em(dense, plain_W, H)[0], X.sum(axis=1))
    assert_allclose(W.sum(axis=1), X.sum(axis=1))
    assert_allclose(W, plain_W, atol=0.3)
    assert divergence(X, W, H.T) <= divergence(X, plain_W, H.T) * (1 + 1e-4)
    begun = count_weights(X, np.ascontiguousarray(H.T), start=3 * plain_W)
    assert divergence(X, begun, H.T) <= divergence(X, plain_W, H.T) * (1 + 1e-9)
    nothing = count_weights(X, np.ascontiguousarray(H.T), start=np.zeros((40, k)))
    assert_allclose(nothing, W, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("n", "m"), [(5, 4), (300, 400)])
def test_divergence_is_that_of_dense_tables(n, m, dtype):
    rng = np.random.default_rng(5)
    dense = rng.uniform(0, 4, size=(n, m)) * (rng.uniform(size=(n, m)) < 0.7)
    X = csr_array(dense.astype(dtype))
    W, Ht = (rng.uniform(0.1, 1, size=(size, 3)).astype(dtype) for size in (n, m))
    x, Y = X.toarray().astype(float), W.astype(float) @ Ht.T.astype(float)
    parts = np.where(x > 0, x * np.log(np.where(x > 0, x, 1) / Y), 0) - x + Y
    assert divergence(X, W, Ht) == pytest.approx(parts.sum(), rel=1e-10)
    weight = rng.uniform(size=n)
    weight[1] = 0.0
    weighted = divergence(X, W, Ht, weight)
    assert weighted == pytest.approx((weight[:, None] * parts).sum(), rel=1e-10)
    W[1], weight[0] = 0.0, 1.0
    assert divergence(X, W, Ht) == np.inf
    assert np.isfinite(divergence(X, W, Ht, weight))
