"""Weights of rows for given components: an independent solver, optimality, one row at a time."""

import importlib

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import nnls

from clusterlib.kernels import simplex_projection
from clusterlib.solvers import (
    improved_simplex_weights,
    nonnegative_weights,
    simplex_weights,
)
from clusterlib.solvers.nonnegative_weights import settled

# A function of the package has the same name.
MODULE = importlib.import_module("clusterlib.solvers.nonnegative_weights")


def rows(n=60, m=12, k=5, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    H = rng.random((k, m)).astype(dtype)
    X = (rng.dirichlet(np.ones(k), n) @ H + 0.3 * rng.normal(size=(n, m))).astype(dtype)
    return X, H


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-9), (np.float32, 2e-4)])
def test_nonnegative_weights_are_those_of_active_sets(dtype, error):
    X, H = rows(dtype=dtype)
    W = nonnegative_weights(X @ H.T, (H @ H.T).astype(np.float64))
    assert W.dtype == dtype
    expected = np.array([nnls(H.T.astype(np.float64), x.astype(np.float64))[0] for x in X])
    assert_allclose(W, expected, atol=error)


def test_weights_of_components_that_are_much_alike_are_solved_for_not_only_approached():
    X, H = rows()
    X, H = 1 + 0.3 * X, 1 + 0.3 * H
    W = nonnegative_weights(X @ H.T, H @ H.T)
    expected = np.array([nnls(H.T, x)[0] for x in X])
    assert 0.2 < (expected == 0).mean() < 0.8
    assert_allclose(W, expected, rtol=0, atol=1e-11)  # descent alone comes to rest at some 1e-10


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 1e-9), (np.float32, 1e-4)])
def test_simplex_weights_are_optimal(dtype, error):
    X, H = rows(dtype=dtype)
    W = simplex_weights(X @ H.T, (H @ H.T).astype(np.float64))
    assert W.min() >= 0
    assert_allclose(W.sum(axis=1), 1, rtol=1e-6)
    # Where a weight is positive the gradient is as low as it gets.
    gradient = (W.astype(np.float64) @ H - X) @ H.T
    excess = gradient - gradient.min(axis=1, keepdims=True)
    assert np.abs(W * excess).max() < error


@pytest.mark.parametrize("solve", [nonnegative_weights, simplex_weights])
def test_rows_do_not_see_each_other(solve):
    X, H = rows(n=12)
    R, G = X @ H.T, H @ H.T
    W = solve(R, G)
    assert_allclose(np.vstack([solve(R[i : i + 1], G) for i in range(len(R))]), W, atol=1e-10)
    assert_allclose(solve(R[::-1], G)[::-1], W, atol=1e-10)


def test_components_of_zeros_get_no_weight():
    X, H = rows()
    H[2] = 0
    W = nonnegative_weights(X @ H.T, H @ H.T)
    assert (W[:, 2] == 0).all()
    assert np.isfinite(simplex_weights(X @ H.T, H @ H.T)).all()
    assert_array_equal(simplex_weights(np.zeros((2, 3)), np.zeros((3, 3))), np.full((2, 3), 1 / 3))


def test_equal_components_share_without_harm():
    X, H = rows()
    twice = np.vstack([H, H])
    for solve in (nonnegative_weights, simplex_weights):
        one, two = solve(X @ H.T, H @ H.T), solve(X @ twice.T, twice @ twice.T)
        assert_allclose(two @ twice, one @ H, atol=1e-7)


def test_steps_in_the_simplex_get_better():
    X, H = rows()
    R, G = X @ H.T, H @ H.T
    W = np.full((len(X), len(H)), 1 / len(H))
    costs = [np.sum((X - improved_simplex_weights(W, R, G, n) @ H) ** 2) for n in (0, 1, 5, 50)]
    assert costs == sorted(costs, reverse=True)
    assert costs[3] < costs[2] < costs[0]


def test_a_start_changes_nothing():
    X, H = rows()
    R, G = X @ H.T, H @ H.T
    start = np.random.default_rng(1).random(R.shape)
    assert_allclose(nonnegative_weights(R, G, start=start), nonnegative_weights(R, G), atol=1e-12)
    singular = np.ones((5, 5))
    assert_array_equal(
        nonnegative_weights(R, singular, start=start), nonnegative_weights(R, singular)
    )


def plain_simplex_steps(w, r, G, n_steps):
    """Accelerated projected gradients of one row, restarted where momentum leads uphill."""
    curvature = np.linalg.eigvalsh(G)[-1]
    ahead, age = w, 1.0
    for _ in range(n_steps):
        gradient = ahead @ G - r
        moved = simplex_projection((ahead - gradient / curvature)[None])[0]
        if (ahead - moved) @ (moved - w) > 0:
            age = 1.0
        older = (1 + np.sqrt(1 + 4 * age**2)) / 2
        ahead, w, age = moved + (age - 1) / older * (moved - w), moved, older
    return w


@pytest.mark.parametrize("n_steps", [0, 1, 2, 3, 8, 40])
def test_steps_in_the_simplex_are_those_of_each_row(n_steps):
    X, H = rows()
    R, G = 3 * X @ H.T, 3 * H @ H.T
    W = np.random.default_rng(1).dirichlet(np.ones(len(H)), len(X))
    start = W.copy()
    found = improved_simplex_weights(W, R, G, n_steps)
    expected = [plain_simplex_steps(w, r, G, n_steps) for w, r in zip(W, R, strict=True)]
    assert_allclose(found, expected, atol=1e-12)
    assert_array_equal(W, start)


@pytest.mark.parametrize(("dtype", "rest"), [(np.float32, 1e-5), (np.float64, 1e-10)])
@pytest.mark.parametrize("block", [2, 3, 100])
def test_rows_are_put_aside_when_they_rest(monkeypatch, dtype, rest, block):
    monkeypatch.setattr(MODULE, "_ROWS_AT_A_TIME", block)
    # Halves the way to a limit of its own: a round moves a row by what is left of the way.
    size, way = np.array([1.0, 4.0, 1.0, 1.0, 9.0]), np.array([1.0, 1.0, 0.0, 1e-3, 2e-3])
    size, way = size.astype(dtype), way.astype(dtype)
    limits = np.stack([size, size / 8], axis=1)
    left, calls = way.copy(), np.zeros(5, dtype=int)

    def descend(weights, rows):
        left[rows] /= 2
        calls[rows] += 1
        assert len(rows) <= block
        return limits[rows] + np.stack([0 * left[rows], left[rows]], axis=1)

    W = limits + np.stack([0 * way, way], axis=1)
    assert settled(W, descend) is W
    with np.errstate(divide="ignore"):
        expected = np.ceil(np.log2(way / (rest * size)))  # the first halving that is no more
    assert_array_equal(calls, np.maximum(expected, 1))
    assert_allclose(W[:, 1] - limits[:, 1], left, atol=8 * np.finfo(dtype).eps)


def test_rows_that_never_rest_are_left_in_the_end():
    calls = []

    def descend(weights, rows):
        calls.append(rows.copy())
        return np.where(rows[:, None] == 1, weights + 1, weights)

    settled(np.ones((3, 2)), descend)
    assert_array_equal(calls[0], [0, 1, 2])
    assert [len(rows) for rows in calls[1:]] == [1] * 199


@pytest.mark.parametrize("n_values", [1, 60, 130])
def test_systems_are_solved_in_any_blocks(monkeypatch, n_values):
    X, H = rows()
    R, G = X @ H.T, H @ H.T
    expected = nonnegative_weights(R, G)
    monkeypatch.setattr(MODULE, "_VALUES_AT_A_TIME", n_values)
    assert_array_equal(nonnegative_weights(R, G), expected)


def test_a_start_is_where_few_sweeps_begin(monkeypatch):
    X, H = rows()
    R, G = X @ H.T, H @ H.T
    monkeypatch.setattr(MODULE, "_SWEEPS", 1)
    monkeypatch.setattr(MODULE, "_MOST_ROUNDS", 1)
    monkeypatch.setattr(MODULE, "_solve", lambda *_: None)
    for start in (None, np.random.default_rng(1).random(R.shape)):
        W = np.zeros(R.shape) if start is None else start.copy()
        for j in range(len(G)):
            W[:, j] = np.maximum(0, W[:, j] + (R[:, j] - W @ G[:, j]) / G[j, j])
        assert_allclose(nonnegative_weights(R, G, start=start), W, atol=1e-12)


def test_only_rows_with_the_right_components_are_solved_for():
    X, H = rows(n=20, k=4)
    R, G = X @ H.T, H @ H.T
    for x, r in zip(X, R, strict=True):
        best = nnls(H.T, x)[0]
        patterns = np.array([[(i >> j) & 1 for j in range(4)] for i in range(16)], dtype=float)
        W = 0.5 * patterns
        MODULE._solve(W, np.repeat(r[None], 16, axis=0), G)
        right = (patterns > 0) == (best > 0)
        assert_allclose(W[right.all(axis=1)], best[None], atol=1e-12)
        assert_array_equal(W[~right.all(axis=1)], 0.5 * patterns[~right.all(axis=1)])


@pytest.mark.parametrize("size", [1.0, 64.0])
def test_a_gradient_may_be_negative_by_rounding(size):
    # At the weights (1, 0) the second component has the gradient -d, to the first one's product 1.
    G, start = np.array([[1.0, 0.5], [0.5, 1.0]]), np.array([[0.25, 0.0], [0.25, 0.0]])
    R = size * np.array([[1.0, 0.5 + 0.995e-12], [1.0, 0.5 + 1.005e-12]])
    W = start.copy()
    MODULE._solve(W, R, G)
    assert_array_equal(W, [[size, 0.0], [0.25, 0.0]])


@pytest.mark.parametrize(("condition", "is_kept"), [(0.99e9, True), (1.01e9, False)])
def test_a_start_is_kept_where_components_are_apart_enough(monkeypatch, condition, is_kept):
    for name in ("hals_sweep", "_solve"):  # nothing moves
        monkeypatch.setattr(MODULE, name, lambda *_, **__: None)
    start = np.array([[3.0, 4.0]])
    found = nonnegative_weights(np.zeros((1, 2)), np.diag([1.0, 1 / condition]), start=start)
    assert_array_equal(found, start if is_kept else 0 * start)
