"""Kullback-Leibler factors: likelihood, fixed points, weights, scales."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.sparse import csr_array
from scipy.special import kl_div
from sklearn.decomposition import NMF

from clusterlib.solvers import count_weights, divergence, plsa
from clusterlib.solvers.nmf_descent import Pace


def counts(n=60, m=40, k=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    mean = 60 * rng.dirichlet(np.full(k, 0.3), n) @ rng.dirichlet(np.full(m, 0.2), k)
    return csr_array(rng.poisson(mean).astype(dtype))


def start(X, k=3, seed=0):
    return np.random.default_rng(seed).random((k, X.shape[1])).astype(X.dtype) + X.dtype.type(0.1)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_likelihood_rises_and_sums_are_kept(dtype):
    X = counts(dtype=dtype)
    result = plsa(X, start(X), tol=1e-6)
    assert result.W.dtype == result.H.dtype == dtype
    assert result.converged
    assert np.diff(result.history).max() <= 1e-5 * result.history[0]
    rtol = 1e-12 if dtype == np.float64 else 1e-5
    assert_allclose(result.H.sum(axis=1), 1, rtol=rtol)
    assert_allclose(result.W.sum(axis=1), X.sum(axis=1), rtol=rtol)
    expected = kl_div(X.toarray().astype(np.float64), result.W.astype(np.float64) @ result.H)
    assert_allclose(result.objective, expected.sum(), rtol=1e-4)


def test_optimum_is_that_of_multiplicative_updates():
    X = counts()
    result = plsa(X, start(X), tol=1e-9, max_iter=5000)
    options = {"solver": "mu", "beta_loss": "kullback-leibler", "init": "custom", "tol": 0}
    model = NMF(3, max_iter=300, **options)
    W = np.maximum(result.W, 1e-12)
    W = model.fit_transform(X, W=W, H=np.maximum(result.H, 1e-12))
    # 300 of their iterations find nothing better from here.
    assert result.objective <= model.reconstruction_err_**2 / 2 * (1 + 3e-6)
    assert_allclose(W @ model.components_, result.W @ result.H, atol=1e-2)


def test_extrapolation_saves_iterations(monkeypatch):
    X = counts(n=100, m=80, k=5)
    fast = plsa(X, start(X, 5), tol=0, max_iter=40)
    monkeypatch.setattr(Pace, "succeed", lambda self: setattr(self, "momentum", 0.0))
    slow = plsa(X, start(X, 5), tol=0, max_iter=40)
    assert int(np.argmax(fast.history <= slow.history[-1])) < 30


@pytest.mark.parametrize("scale", [1e-20, 1e20])
def test_scale_of_counts_does_not_matter(scale):
    X = counts()
    one, other = plsa(X, start(X)), plsa(X * scale, start(X))
    assert other.n_iter == one.n_iter
    assert_allclose(other.H, one.H, atol=1e-8)
    assert_allclose(other.W, one.W * scale, rtol=1e-4, atol=1e-4 * scale)


def test_weights_are_repetitions():
    X = counts()
    weight = np.random.default_rng(1).integers(0, 4, X.shape[0]).astype(float)
    rows = np.repeat(np.arange(X.shape[0]), weight.astype(int))
    one = plsa(X, start(X), sample_weight=weight)
    other = plsa(X[rows], start(X))
    assert_allclose(one.H, other.H, atol=1e-8)
    assert_allclose(one.objective, other.objective, rtol=1e-8)
    assert_allclose(one.W[rows], other.W, atol=1e-6)


def test_rows_are_weighed_one_by_one():
    X = counts()
    Ht = np.ascontiguousarray(plsa(X, start(X)).H.T)
    W = count_weights(X, Ht)
    alone = np.vstack([count_weights(X[[i]], Ht) for i in range(X.shape[0])])
    assert_allclose(alone, W, rtol=1e-12)
    # Where a component has weight, counts over what is expected average to 1 by it.
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.nan_to_num(X.toarray() / (W @ Ht.T))
    gradient = ratio @ Ht
    assert (np.abs(gradient - 1)[W > 0.05 * W.sum(axis=1, keepdims=True)] < 0.02).all()
    assert gradient[W.sum(axis=1) > 0].max() < 1.05


def test_a_word_that_no_start_knows_is_learnt():
    X = counts()
    H = start(X)
    H[:, 3] = 0
    result = plsa(X, H)
    assert np.isfinite(result.history).all()
    assert result.H[:, 3].max() > 0


def test_divergence_is_infinite_where_nothing_is_expected():
    X = csr_array(np.array([[1.0, 2.0]]))
    assert divergence(X, np.ones((1, 1)), np.array([[1.0], [0.0]])) == np.inf
    assert divergence(csr_array((2, 3)), np.zeros((2, 1)), np.ones((3, 1))) == 0


def test_empty_rows_columns_and_tables():
    X = counts().tolil()
    X[4] = 0
    X[:, 2] = 0
    X = csr_array(X)
    result = plsa(X, start(X))
    assert (result.W[4] == 0).all()
    assert_allclose(result.H[:, 2], 0)
    empty = plsa(csr_array((5, 3)), np.ones((2, 3)))
    assert empty.objective == 0
    assert np.isfinite(empty.H).all()


def test_callback_stops():
    X = counts()
    seen = []

    def callback(n_iter, objective, components):
        seen.append((objective, components().shape))
        return n_iter == 3

    result = plsa(X, start(X), callback=callback)
    assert result.n_iter == 3
    assert not result.converged
    assert seen[0] == (result.history[0], (3, 40))


def test_stored_zeros_count_nothing_where_the_product_vanishes():
    X = csr_array(np.array([[2.0, 1.0], [0.5, 3.0]]))
    X.data[1] = 0
    W, Ht = np.array([[2.0, 0.0], [0.5, 3.0]]), np.eye(2)
    assert divergence(X, W, Ht) == 0
    X.data[1] = 1
    assert divergence(X, W, Ht) == np.inf
