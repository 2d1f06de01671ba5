"""Moves of prototypes, their objective and shares, beside dense codes of every move."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp

from clusterlib.solvers import sinkhorn_means
from clusterlib.solvers.sinkhorn_means import directions, spread

EPSILON = 0.3


def problem(n=80, k=4, d=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, d)) + 2 * rng.normal(size=(k, d))[rng.integers(k, size=n)]
    centers = rng.normal(size=(k, d))
    return X, centers / np.linalg.norm(centers, axis=1, keepdims=True), rng.uniform(0.2, 2, size=n)


def unit(X):
    return X / np.linalg.norm(X, axis=1, keepdims=True)


class Dense:
    """Codes of all rows for given centres."""

    def __init__(self, X, weight, normalize):
        self.Z = unit(X) if normalize else X
        self.a = np.ones(len(X)) if weight is None else weight
        self.total = self.a.sum()
        self.a = self.a / self.total

    def plan(self, centers, g):
        logits = (self.Z @ centers.T + g) / EPSILON
        return self.a[:, None] * np.exp(logits - logsumexp(logits, axis=1, keepdims=True))

    def normalised(self, centers, prior, n_iters):
        """Columns and rows in turn, from the start."""
        S, g = self.Z @ centers.T / EPSILON, np.zeros(len(centers))
        f = np.log(self.a)
        for _ in range(n_iters):
            g = np.log(prior) - logsumexp(S + f[:, None], axis=0)
            f = np.log(self.a) - logsumexp(S + g, axis=1)
        return EPSILON * g

    def value(self, centers, plan, prior):
        kl = (plan * np.log(plan / np.outer(self.a, prior))).sum()
        return (plan * (self.Z @ centers.T)).sum() - EPSILON * kl


@pytest.mark.parametrize("n_moves", [1, 2, 5])
@pytest.mark.parametrize(("n_iters", "weighted"), [(1, False), (3, True), (60, True)])
@pytest.mark.parametrize("normalize", [True, False])
def test_moves_values_and_everything_after_them(normalize, n_iters, weighted, n_moves):
    X, centers, weight = problem()
    weight = weight if weighted else None
    prior = np.array([0.1, 0.2, 0.3, 0.4])
    dense, history, at = Dense(X, weight, normalize), [], centers
    for _ in range(n_moves):
        plan = dense.plan(at, dense.normalised(at, prior, n_iters))
        history.append(dense.value(at, plan, prior))
        before, at = at, unit(plan.T @ dense.Z)
    found = sinkhorn_means(
        X, centers, epsilon=EPSILON, log_prior=np.log(prior), n_iters=n_iters,
        sample_weight=weight, normalize=normalize, max_iter=n_moves, tol=0.0,
    )  # fmt: skip
    assert_allclose(found.centers, at, atol=1e-8)
    assert_allclose(found.history, history, rtol=1e-8)
    g = dense.normalised(at, prior, n_iters)
    plan = dense.plan(at, g)
    assert found.n_iter == n_moves
    assert not found.converged
    assert_allclose(found.prior, prior)
    assert_allclose(found.sums, plan.sum(axis=0), rtol=1e-7)
    assert_allclose(found.vectors, dense.total * (plan.T @ dense.Z), rtol=1e-6, atol=1e-7)
    assert found.objective == pytest.approx(dense.value(at, plan, prior), rel=1e-8)
    codes = plan / dense.a[:, None]
    assert_array_equal(found.labels, codes.argmax(axis=1))
    entropy = -(dense.a * (codes * np.log(codes)).sum(axis=1)).sum()
    assert found.entropy == pytest.approx(entropy, rel=1e-6)
    angle = 2 * np.arcsin(np.linalg.norm(at - before, axis=1).max() / 2)
    assert found.angle == pytest.approx(angle, rel=1e-5)
    assert found.n_sweeps == (n_moves + 1) * (n_iters + 1)


@pytest.mark.parametrize("n_moves", [1, 2, 6])
@pytest.mark.parametrize("given", [None, (0.1, 0.2, 0.3, 0.4)])
def test_estimated_shares_move_by_move(given, n_moves):
    X, centers, weight = problem()
    prior = np.full(4, 0.25) if given is None else np.array(given)
    dense, history, at = Dense(X, weight, True), [], centers
    for _ in range(n_moves):
        plan = dense.plan(at, EPSILON * np.log(prior))
        history.append(dense.value(at, plan, prior))
        prior = spread(plan.sum(axis=0))
        at = unit(plan.T @ dense.Z)
    found = sinkhorn_means(
        X, centers, epsilon=EPSILON, estimate=True, balance_first=False, sample_weight=weight,
        log_prior=None if given is None else np.log(given), max_iter=n_moves, tol=0.0,
    )  # fmt: skip
    assert_allclose(found.centers, at, atol=1e-9)
    assert_allclose(found.history, history, rtol=1e-9)
    assert_allclose(found.prior, prior, rtol=1e-9)
    plan = dense.plan(at, EPSILON * np.log(prior))
    assert_allclose(found.sums, plan.sum(axis=0), rtol=1e-8)
    assert found.objective == pytest.approx(dense.value(at, plan, prior))
    assert_allclose(found.g, EPSILON * np.log(prior), rtol=1e-8)


@pytest.mark.parametrize("tol", [0.3, 1e-2, 1e-3])
@pytest.mark.parametrize("estimate", [False, True])
def test_it_ends_when_no_prototype_turns_by_more(estimate, tol):
    X, centers, _ = problem()
    options = {"epsilon": EPSILON, "estimate": estimate, "balance_first": False}
    found = sinkhorn_means(X, centers, tol=tol, **options)
    assert found.converged
    assert 0 <= found.angle <= tol
    shorter = sinkhorn_means(X, centers, tol=tol, **(options | {"max_iter": found.n_iter - 1}))
    assert not shorter.converged
    change = np.abs(shorter.prior - found.prior).sum()
    assert shorter.angle > tol or (estimate and change > 0) or found.n_iter == 1
    assert_allclose(shorter.history, found.history[:-1], rtol=1e-9)


def test_shares_are_estimated_after_balanced_moves():
    X, centers, _ = problem()
    options = {"epsilon": EPSILON, "estimate": True, "tol": 1e-4}
    first = sinkhorn_means(X, centers, epsilon=EPSILON, tol=1e-2)
    found = sinkhorn_means(X, centers, **options)
    assert_allclose(found.history[: first.n_iter], first.history, rtol=1e-6)
    assert found.n_iter > first.n_iter
    one = sinkhorn_means(X, centers, **(options | {"max_iter": 1}))
    assert one.n_iter == 1
    assert not np.allclose(one.prior, 0.25)


def test_a_callback_sees_every_move():
    X, centers, _ = problem()
    seen = []

    def callback(centers, history):
        seen.append((centers.copy(), list(history)))
        return len(seen) == 3

    found = sinkhorn_means(X, centers, epsilon=EPSILON, tol=0.0, callback=callback)
    assert found.n_iter == len(seen) == 3
    assert_array_equal(seen[-1][0], found.centers)
    assert seen[-1][1] == found.history.tolist()


def test_directions_and_shares_by_hand():
    previous = np.array([[1.0, 0.0], [0.0, 1.0]], dtype=np.float32)
    found = directions(np.array([[3.0, 4.0], [0.0, 0.0]]), previous)
    assert_allclose(found, [[0.6, 0.8], [0.0, 1.0]], rtol=1e-6)
    assert found.dtype == np.float32
    assert_array_equal(previous[0], [1.0, 0.0])
    assert_allclose(spread(np.array([3.0, 0.0])), [1 - 0.5e-6, 0.5e-6], rtol=1e-9)
