"""Factors of matrices with missing and weighted cells."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import LeastSquares, MaskedLeastSquares, alternate, filled_by_margins
from clusterlib.solvers.nmf_descent import FactorDescent


def case(n=60, m=25, k=3, missing=0.3, noise=0.02, dtype=np.float64, seed=0):
    """A noisy product, weights of its cells (0 or 1), and the product itself."""
    rng = np.random.default_rng(seed)
    truth = rng.gamma(1.0, size=(n, k)) @ rng.gamma(1.0, size=(k, m))
    X = (truth + noise * rng.random((n, m))).astype(dtype)
    return X, (rng.random((n, m)) >= missing).astype(dtype), truth


def fit(X, V, k=3, tol=1e-7, max_iter=1000, row_weights=None, **options):
    start = np.random.default_rng(5).random((1, k, X.shape[1])).astype(X.dtype)
    problem = MaskedLeastSquares(X, V, **options)
    ends = {"tol": tol, "max_iter": max_iter, "row_weights": row_weights}
    return alternate(problem, start, **ends)[0]


@pytest.mark.parametrize("value", [np.nan, np.inf, 1e6, -3.0])
def test_masked_cells_have_no_influence(value):
    X, V, _ = case()
    other = np.where(V > 0, X, value)
    one, two = fit(X, V, tol=1e-4), fit(other, V, tol=1e-4)
    assert_array_equal(two.W, one.W)
    assert_array_equal(two.H, one.H)


@pytest.mark.parametrize(("dtype", "error"), [(np.float64, 0.02), (np.float32, 0.03)])
def test_missing_cells_are_predicted(dtype, error):
    X, V, truth = case(dtype=dtype)
    result = fit(X, V)
    assert result.W.dtype == dtype
    predicted = (result.W @ result.H)[V == 0]
    assert_allclose(predicted, truth[V == 0], atol=5 * error * truth.max() / 10)


def test_objective_is_what_it_says_and_never_rises():
    X, V, _ = case(noise=0.5)
    V *= np.random.default_rng(1).random(V.shape)
    result = fit(X, V, l1=(0.1, 0.2), l2=(0.3, 0.4))
    loss = (V * (X - result.W @ result.H) ** 2).sum() / 2
    penalties = 0.1 * result.W.sum() + 0.2 * result.H.sum()
    penalties += 0.15 * (result.W**2).sum() + 0.2 * (result.H**2).sum()
    assert_allclose(result.objective, loss + penalties, rtol=1e-10)
    assert np.diff(result.history).max() <= 1e-12 * result.history[0]


def test_full_weights_are_least_squares():
    X, V, _ = case(noise=0.5)
    start = np.random.default_rng(5).random((1, 3, X.shape[1]))
    masked = fit(X, np.ones_like(V))
    [plain] = alternate(LeastSquares(X), start, tol=1e-7, max_iter=1000)
    assert_allclose(masked.objective, plain.objective, rtol=1e-4)
    assert_allclose(masked.W @ masked.H, plain.W @ plain.H, atol=0.05)


def test_weights_of_rows_multiply_those_of_cells():
    X, V, _ = case(noise=0.5)
    weight = np.random.default_rng(1).random(len(X)) + 0.1
    one = fit(X, V, sample_weight=weight)
    other = fit(X, V * weight[:, None])
    third = fit(X, V, row_weights=weight[None])
    assert_allclose(one.objective, other.objective, rtol=1e-6)
    assert_allclose(third.H, one.H, atol=1e-6)


def test_rows_and_columns_without_a_cell():
    X, V, _ = case()
    V[7] = 0
    V[:, 4] = 0
    result = fit(X, V, tol=1e-4)
    assert_array_equal(result.W[7], 0)
    assert np.isfinite(result.W).all()
    assert np.isfinite(result.H).all()
    rest = np.delete(np.arange(60), 7)
    without = MaskedLeastSquares(X[rest], V[rest]).weights(np.ascontiguousarray(result.H.T))
    assert_allclose(result.W[rest], without, atol=1e-9)


def test_cells_are_filled_by_their_margins():
    rows, columns = np.array([1.0, 2.0, 4.0]), np.array([3.0, 1.0, 5.0, 2.0])
    X = np.outer(rows, columns)
    V = np.ones_like(X)
    V[1, 2] = 0
    X[1, 2] = np.nan
    filled = filled_by_margins(X, V)
    assert_array_equal(filled[V > 0], X[V > 0])
    row, column = X[1][V[1] > 0].mean(), X[:, 2][V[:, 2] > 0].mean()
    assert_allclose(filled[1, 2], row * column / X[V > 0].mean())


@pytest.mark.parametrize("order", ["C", "F"])
def test_weights_of_cells_are_left_alone(order):
    X, V, _ = case()
    given = np.array(V, order=order)
    given.setflags(write=False)
    weight = np.random.default_rng(1).random(len(X)) + 0.1
    assert_array_equal(fit(X, given, sample_weight=weight).H, fit(X, V, sample_weight=weight).H)


def plain_sweeps(W, X, V, H, n_sweeps, l1, l2):
    """Coordinate descent over weights of rows, each of them anew from the residuals."""
    W = W.copy()
    for _ in range(n_sweeps):
        for j in range(W.shape[1]):
            rest = X - W @ H + np.outer(W[:, j], H[j])
            curvature = V @ np.square(H[j]) + l2
            step = (V * rest) @ H[j] - l1
            W[:, j] = np.divide(
                np.maximum(step, 0), curvature, out=np.zeros(len(W)), where=curvature > 0
            )
    return W


def plain_objective(X, V, W, Ht, weight, l1, l2):
    rows = (V * np.square(X - W @ Ht.T)).sum(axis=1) / 2 + l1[0] * W.sum(axis=1)
    rows = rows + l2[0] / 2 * np.square(W).sum(axis=1)
    return weight @ rows + l1[1] * Ht.sum() + l2[1] / 2 * np.square(Ht).sum()


@pytest.mark.parametrize("weighted", [None, "problem", "start"])
@pytest.mark.parametrize("penalties", [((0, 0), (0, 0)), ((0.1, 0.2), (0.3, 0.4))])
def test_one_iteration_is_that_of_the_definition(weighted, penalties):
    (l1, l2), rng = penalties, np.random.default_rng(0)
    X, V, _ = case(noise=0.5)
    V *= rng.random(V.shape)
    V[4] = 0
    Ht, weight = rng.random((25, 3)), rng.random(60) + 0.5
    options = {"sample_weight": weight} if weighted == "problem" else {}
    problem = MaskedLeastSquares(np.where(V > 0, X, np.nan), V, l1=l1, l2=l2, **options)
    descent = FactorDescent(Ht, weight if weighted == "start" else None)
    own = weight if weighted == "problem" else np.ones(60)
    weight = weight if weighted else np.ones(60)
    assert problem.n_rows == 60
    assert_allclose(problem.total, own @ (V * X**2).sum(axis=1), rtol=1e-12)
    expected = 8 * np.finfo(np.float64).eps * np.sqrt(2 * problem.total * 3.0)
    assert_allclose(problem.noise(3.0), expected)
    mean = Ht.sum(axis=1)
    level = np.divide((V * X) @ mean, V @ mean**2, out=np.zeros(60), where=V.any(axis=1))
    first = np.repeat(level[:, None], 3, axis=1)
    assert_allclose(problem.first_weights(Ht), first, rtol=1e-12)
    [(W, value)] = problem.begun([descent])
    expected = plain_sweeps(first, X, V, Ht.T, 10, l1[0], l2[0])
    assert_allclose(W, expected, rtol=1e-8, atol=1e-12)
    assert_allclose(value, plain_objective(X, V, W, Ht, weight, l1, l2), rtol=1e-10)
    descent.begin(W, value)
    [better] = problem.improved_weights([descent])
    expected = plain_sweeps(W, X, V, Ht.T, 2, l1[0], l2[0])
    assert_allclose(better, expected, rtol=1e-8, atol=1e-12)
    descent.W, descent.Ht = better, Ht - 0.3  # an extrapolation that went below 0
    [(found, value)] = problem.improved_components([descent])
    cells = (V * weight[:, None]).T
    expected = plain_sweeps(np.maximum(Ht - 0.3, 0), X.T, cells, better.T, 2, l1[1], l2[1])
    assert_allclose(found, expected, rtol=1e-8, atol=1e-12)
    assert_allclose(value, plain_objective(X, V, better, found, weight, l1, l2), rtol=1e-10)
    W, H, value = problem.finished(None, Ht, descent.row_weight)
    at_rest = plain_sweeps(first, X, V, Ht.T, 3000, l1[0], l2[0])
    assert_allclose(W, at_rest, atol=1e-7)
    assert_allclose(value, plain_objective(X, V, W, H, weight, l1, l2), rtol=1e-10)
    assert_array_equal(W[4], 0)
    assert_array_equal(problem.first_weights(np.zeros((25, 3))), 0)
    assert_array_equal(problem.feasible(Ht - 0.5), np.maximum(Ht - 0.5, 0))
