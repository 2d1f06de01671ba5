"""Codes of rows among prototypes by potentials alone, beside the whole plan."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from clusterlib.blocks import ArrayBlocks
from clusterlib.solvers.momentum import Momentum
from clusterlib.solvers.prototype_codes import PrototypeCodes, share_error

EPSILON = 0.3


class Streamed(ArrayBlocks):
    """Rows of which nothing is kept."""

    in_memory = False


class Dense:
    """Rows, weights and the plan as matrices."""

    def __init__(self, X, centers, weight, normalize, epsilon=EPSILON):
        self.epsilon, norms = epsilon, np.linalg.norm(X, axis=1)
        weight = np.where(norms > 0, np.ones(len(X)) if weight is None else weight, 0.0)
        self.total, self.a = weight.sum(), weight / weight.sum()
        scale = np.where(norms > 0, norms, 1.0)[:, None] if normalize else 1.0
        self.Z = X / scale
        places = centers / np.linalg.norm(centers, axis=1, keepdims=True) if normalize else centers
        self.similarity, self.offset = self.Z @ places.T, float(normalize)
        self.cost = self.offset - self.similarity
        with np.errstate(divide="ignore"):
            self.log_a = np.log(self.a)

    def f(self, g):
        return self.epsilon * (self.log_a - logsumexp((g - self.cost) / self.epsilon, axis=1))

    def plan(self, g):
        return np.exp((self.f(g)[:, None] + g - self.cost) / self.epsilon)


def data(n=60, k=4, d=3, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)).astype(dtype)
    X[5] = 0.0
    weight = rng.uniform(0.5, 3.0, size=n)
    weight[7] = 0.0
    centers = rng.normal(size=(k, d))
    centers = (centers / np.linalg.norm(centers, axis=1, keepdims=True)).astype(dtype)
    return X, centers, weight, EPSILON * rng.normal(size=k)


@pytest.fixture(params=[ArrayBlocks, Streamed], ids=["kept", "streamed"])
def carrier(request):
    return request.param


@pytest.fixture(params=[False, True], ids=["lengths", "directions"])
def normalize(request):
    return request.param


@pytest.fixture(params=[None, 1.0, 1e5, 1e-7, 1e300], ids=str)
def case(request, carrier, normalize):
    """Codes and their double; the parameter multiplies the weights."""
    X, centers, weight, g = data()
    weight = None if request.param is None else request.param * weight
    codes = PrototypeCodes(carrier(X), EPSILON, sample_weight=weight, normalize=normalize)
    return codes, Dense(X, centers, weight, normalize), centers, g


def test_totals_and_entropies(case):
    codes, dense, *_ = case
    assert codes.total == pytest.approx(dense.total)
    a = dense.a[dense.a > 0]
    assert codes.entropy_of_rows == pytest.approx(-(a * np.log(a)).sum())
    assert codes.n_sweeps == 0
    assert codes.row_value() == 0.0


def test_a_sweep_normalises_the_rows(case):
    codes, dense, centers, g = case
    for n, shift in enumerate((0.0, 5.0, -3.0), start=1):
        used = g + shift
        logs = codes.sweep(centers, used)
        plan = dense.plan(used)
        assert codes.n_sweeps == n
        assert_allclose(logs, np.log(plan.sum(axis=0)), rtol=1e-9, atol=1e-11)
        f, here = dense.f(used), dense.a > 0
        assert codes.row_value() == pytest.approx(dense.a[here] @ f[here])
        log_prior = np.log([0.1, 0.2, 0.3, 0.4])
        kl = (plan[here] * np.log(plan[here] / np.outer(dense.a[here], np.exp(log_prior)))).sum()
        value = (plan * dense.similarity).sum() - EPSILON * kl
        assert codes.value(used, plan.sum(axis=0), log_prior) == pytest.approx(value)
        assert_allclose(codes.vectors(), dense.total * (plan.T @ dense.Z), rtol=1e-8)


def test_first_sums_are_those_of_nothing_balanced(case):
    codes, dense, centers, _ = case
    expected = logsumexp(dense.log_a[:, None] - dense.cost / EPSILON, axis=0)
    assert_allclose(codes.first_logs(centers), expected, rtol=1e-10)
    assert codes.n_sweeps == 1


def test_means_are_weighted_means(case, normalize):
    codes, dense, centers, g = case
    codes.sweep(centers, g)
    logs, means = codes.means()
    lengths = np.linalg.norm(data()[0], axis=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        weight = dense.plan(g) / (lengths[:, None] if normalize else 1.0)
    weight[5] = 0.0 if normalize else dense.plan(g)[5]
    assert_allclose(logs + g / EPSILON, np.log(weight.sum(axis=0)), atol=1e-9)
    expected = weight.T @ data()[0] / weight.sum(axis=0)[:, None]
    assert_allclose(means, expected, rtol=1e-8)


def test_labels_are_the_largest_codes(case):
    codes, dense, centers, g = case
    expected = (g - dense.cost).argmax(axis=1)
    here = np.flatnonzero(np.arange(60) != 5)
    found = codes.labels(centers, g)
    assert_array_equal(found[here], expected[here])
    assert found.dtype == np.int32


@pytest.mark.parametrize("max_sweeps", [0, 1, 2, 7, 30])
def test_balancing_goes_step_by_step(case, max_sweeps):
    codes, dense, centers, g = case
    prior = np.array([0.1, 0.5, 0.0, 0.4])
    with np.errstate(divide="ignore"):
        log_prior = np.log(prior)
    found, logs, error = codes.balance(centers, g, log_prior, tol=1e-7, max_sweeps=max_sweeps)
    here, momentum = prior > 0, Momentum(1e-12, scale=1.0)
    at, before, n = np.where(here, g, -np.inf), g, 0
    while True:
        sums = dense.plan(at).sum(axis=0)
        off, n = np.abs(sums - prior).sum(), n + 1
        if off <= 1e-7 or n > max_sweeps:
            break
        dual = (dense.a[dense.a > 0] * dense.f(at)[dense.a > 0]).sum() + prior[here] @ at[here]
        push, pull = momentum.weights(off, dual)
        step = EPSILON * (log_prior[here] - np.log(sums[here]))
        moved = at.copy()
        moved[here] = at[here] + push * step + pull * (at[here] - before[here])
        at, before = moved, at
    assert codes.n_sweeps == n
    assert_allclose(np.exp(found), np.exp(at), rtol=1e-6)
    assert_allclose(np.exp(logs), sums, atol=1e-8)
    assert error == pytest.approx(off, rel=1e-3, abs=1e-12)


@pytest.mark.parametrize("n_iters", [1, 2, 3, 6])
def test_normalising_columns_and_rows_in_turn(case, n_iters):
    codes, dense, centers, _ = case
    prior = np.array([0.1, 0.5, 0.0, 0.4])
    with np.errstate(divide="ignore"):
        log_prior = np.log(prior)
    here = prior > 0
    Q = dense.a[:, None] * np.exp(-dense.cost / EPSILON)
    g = np.zeros(4)
    for _ in range(n_iters):
        g[here] += EPSILON * (log_prior - np.log(np.maximum(Q.sum(axis=0), 1e-300)))[here]
        g[~here] = -np.inf
        Q = dense.plan(g)
    found, logs, error = codes.normalize(centers, log_prior, n_iters)
    assert_allclose(np.exp(found), np.exp(g), rtol=1e-8)
    assert_allclose(np.exp(logs), Q.sum(axis=0), atol=1e-10)
    assert error == pytest.approx(np.abs(Q.sum(axis=0) - prior).sum(), rel=1e-6)
    assert codes.n_sweeps == 1 + n_iters


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("far", [0.03, 0.1, 1.0, 30.0])
def test_sums_that_have_underflowed_are_found_again(carrier, far, dtype):
    X, centers, weight, _ = data(dtype=dtype)
    codes = PrototypeCodes(carrier(X), 0.002, sample_weight=weight)
    dense = Dense(X.astype(np.float64), centers.astype(np.float64), weight, True, 0.002)
    g = np.array([0.0, -far, 0.0, -far])
    logs = codes.sweep(centers, g)
    expected = logsumexp((dense.f(g)[:, None] + g - dense.cost) / 0.002, axis=0)
    assert_allclose(logs, expected, rtol=1e-3 if dtype is np.float32 else 1e-9, atol=1e-3)
    logs, _ = codes.means()
    assert np.isfinite(logs).all()


def test_absent_prototypes_stay_absent(carrier):
    X, centers, weight, g = data()
    g[1] = -np.inf
    logs = PrototypeCodes(carrier(X), EPSILON, sample_weight=weight).sweep(centers, g)
    assert logs[1] == -np.inf
    assert np.isfinite(np.delete(logs, 1)).all()


def test_rows_without_any_weight_have_no_total(carrier):
    codes = PrototypeCodes(carrier(data()[0]), EPSILON, sample_weight=np.zeros(60))
    assert codes.total == 0.0


def test_blocks_make_no_difference(normalize):
    X, centers, weight, g = data(n=9000)
    found = []
    for blocks in (ArrayBlocks(X), Streamed(X, block_rows=4096), Streamed(X, block_rows=8192)):
        codes = PrototypeCodes(blocks, EPSILON, sample_weight=weight[:9000], normalize=normalize)
        found.append((codes.first_logs(centers), codes.sweep(centers, g), *codes.means()))
        found[-1] += (codes.row_value(), codes.total, codes.labels(centers, g))
    for other in found[1:]:
        for one, another in zip(found[0], other, strict=True):
            assert_array_equal(one, another)


def test_errors_of_shares_by_hand():
    assert share_error(np.log([0.5, 0.5]), np.log([0.25, 0.75])) == pytest.approx(0.5)
    assert share_error(np.array([0.0, -np.inf]), np.array([-np.inf, 0.0])) == 2.0
