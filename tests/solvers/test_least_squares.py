"""Least squares in non-negative factors: objectives, descent, penalties, volume, carriers."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.sparse import csr_array
from sklearn.decomposition import NMF

from clusterlib.solvers import (
    LeastSquares,
    alternate,
    improved_simplex_weights,
    simplex_weights,
    squared_error,
)
from clusterlib.solvers.nmf_descent import FactorDescent


def products(n=80, m=30, k=4, noise=0.05, dtype=np.float64, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.gamma(0.5, size=(n, k)) @ rng.gamma(0.5, size=(k, m)) + noise * rng.random((n, m))
    return X.astype(dtype)


def starts(X, k, n_starts=1, seed=0):
    return np.random.default_rng(seed).random((n_starts, k, X.shape[1])).astype(X.dtype)


def fit(X, k=4, n_starts=1, seed=0, max_iter=300, tol=1e-6, row_weights=None, **options):
    problem = LeastSquares(X, **options)
    ends = {"max_iter": max_iter, "tol": tol, "row_weights": row_weights}
    return alternate(problem, starts(X, k, n_starts, seed), **ends)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_objective_is_what_it_says(dtype):
    X = products(dtype=dtype)
    [result] = fit(X)
    rest = X.astype(np.float64) - result.W.astype(np.float64) @ result.H
    assert_allclose(result.objective, (rest**2).sum() / 2, rtol=1e-9)
    assert result.W.dtype == result.H.dtype == dtype
    assert result.W.min() >= 0
    assert result.H.min() >= 0
    assert len(result.history) == result.n_iter + 1
    # The final weights are at rest, the last of the descent need not be.
    assert result.objective <= result.history[-1] * (1 + 1e-5) + 1e-6


@pytest.mark.parametrize("simplex", [False, True])
@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
def test_objective_never_rises(simplex, carrier):
    X = products(noise=0.5)
    options = {"simplex": simplex, "volume": 0.5 if simplex else 0.0}
    [result] = fit(carrier(X), **options)
    assert np.diff(result.history).max() <= 1e-12 * result.history[0]
    assert result.history[-1] < 0.5 * result.history[0]


def test_fits_are_as_good_as_those_of_scikit_learn():
    X = products(noise=0.5)
    ours = min(each.objective for each in fit(X, n_starts=5, tol=1e-7, max_iter=2000))
    theirs = min(
        NMF(4, init="random", random_state=seed, tol=1e-7, max_iter=5000).fit(X).reconstruction_err_
        for seed in range(5)
    )
    assert ours <= theirs**2 / 2 * (1 + 1e-5)


def test_one_component_is_the_leading_singular_pair():
    X = products(noise=1.0)
    [result] = fit(X, k=1, tol=0, max_iter=200)
    values = np.linalg.svd(X, compute_uv=False)
    assert_allclose(2 * result.objective, (values[1:] ** 2).sum(), rtol=1e-12)


def test_exact_products_are_found():
    X = products(noise=0.0)
    [result] = fit(X, tol=0, max_iter=3000)
    assert result.converged
    assert result.objective <= 1e-13 * (X**2).sum()


def test_penalties_are_those_of_scikit_learn():
    X = products(noise=0.5)
    n, m = X.shape
    l1, l2 = (0.02 * m, 0.03 * n), (0.01 * m, 0.005 * n)
    [result] = fit(X, l1=l1, l2=l2, tol=1e-9, max_iter=3000)
    W, H = result.W, result.H
    penalties = l1[0] * W.sum() + l1[1] * H.sum()
    penalties += (l2[0] * (W**2).sum() + l2[1] * (H**2).sum()) / 2
    assert_allclose(result.objective, ((X - W @ H) ** 2).sum() / 2 + penalties, rtol=1e-10)
    # At the optimum neither factor can be improved by a scikit-learn sweep.
    model = NMF(4, init="custom", alpha_W=0.03, alpha_H=0.035, l1_ratio=2 / 3, max_iter=300)
    l1, l2 = (0.02 * m, 0.035 * 2 / 3 * n), (0.01 * m, 0.035 / 3 * n)
    [result] = fit(X, l1=l1, l2=l2, tol=1e-9, max_iter=3000)
    again = model.fit_transform(X, W=result.W.copy(), H=result.H.copy())
    assert_allclose(again @ model.components_, result.W @ result.H, atol=1e-3)


def test_sparse_and_dense_are_one():
    X = products()
    X[X < 0.3] = 0
    [dense], [sparse] = fit(X), fit(csr_array(X))
    # They differ in how many sweeps follow a product.
    assert_allclose(sparse.objective, dense.objective, rtol=1e-2)
    full = csr_array(products())
    assert_allclose(fit(full)[0].H, fit(products())[0].H, rtol=1e-6, atol=1e-8)


def test_starts_in_a_batch_are_starts_alone():
    X = products(noise=0.5)
    together = fit(X, n_starts=3, tol=1e-4)
    for start, result in zip(starts(X, 4, 3), together, strict=True):
        [alone] = alternate(LeastSquares(X), start[None], max_iter=300, tol=1e-4)
        assert alone.n_iter == result.n_iter
        assert_allclose(alone.objective, result.objective, rtol=1e-9)


@pytest.mark.parametrize("simplex", [False, True])
def test_weights_are_repetitions(simplex):
    X = products(noise=0.5)
    weight = np.random.default_rng(1).integers(0, 4, len(X)).astype(float)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    [one] = fit(X, sample_weight=weight, simplex=simplex, tol=1e-4)
    [other] = fit(repeated, simplex=simplex, tol=1e-4)
    [third] = fit(X, row_weights=weight[None], simplex=simplex, tol=1e-4, max_iter=one.n_iter)
    assert_allclose(one.objective, other.objective, rtol=1e-9)
    assert_allclose(one.H, other.H, atol=1e-7)
    assert third.H.shape == one.H.shape


def test_small_volume_finds_vertices_that_no_row_is():
    # The largest weight of a row is below 0.8: any simplex that holds the rows fits them.
    rng = np.random.default_rng(0)
    H = rng.random((3, 10))
    W = rng.dirichlet(np.ones(3), 2000)
    X = np.maximum(W[W.max(axis=1) < 0.8] @ H + 0.01 * rng.normal(size=10), 0)
    X = X + 0.01 * rng.random(X.shape)
    H = H + X.mean(axis=0) - (W[W.max(axis=1) < 0.8] @ H).mean(axis=0)
    wide = np.maximum(H.mean(axis=0) + 1.5 * (H - H.mean(axis=0)), 0)
    errors = []
    for volume in (0.0, 0.02, 10.0):
        problem = LeastSquares(X, simplex=True, volume=volume)
        [result] = alternate(problem, wide[None], max_iter=2000, tol=1e-6)
        errors.append(np.linalg.norm(result.H - H, axis=1).max())
    assert errors[1] < 0.5 * errors[0]
    assert errors[2] > 3 * errors[1]


def test_volume_is_what_it_says():
    X = products()
    [result] = fit(X, simplex=True, volume=0.3)
    H = result.H.astype(np.float64)
    gram = H @ H.T / np.square(X).sum(axis=1).mean()
    # Components of zeros have none.
    volume = np.linalg.slogdet(gram + 0.001 * np.eye(4))[1] - 4 * np.log(0.001)
    expected = np.square(X - result.W @ H).sum() / 2 + 0.3 * volume
    assert_allclose(result.objective, expected, rtol=1e-9)


def test_squared_error_takes_weights():
    X = products()
    rng = np.random.default_rng(0)
    W, Ht, weight, cells = (
        rng.random((80, 2)),
        rng.random((30, 2)),
        rng.random(80),
        rng.random((80, 30)),
    )
    rest = (X - W @ Ht.T) ** 2
    assert_allclose(squared_error(X, W, Ht), rest.sum(), rtol=1e-12)
    assert_allclose(
        squared_error(csr_array(X), W, Ht, weight), weight @ rest.sum(axis=1), rtol=1e-9
    )
    cells[3] = 0
    X[3] = np.nan
    expected = weight @ (np.nan_to_num(rest) * cells).sum(axis=1)
    assert_allclose(squared_error(X, W, Ht, weight, cells), expected, rtol=1e-12)


def test_layouts_are_one():
    X = products()
    wide = np.zeros((160, 61))
    wide[::2, 1::2] = X
    X.flags.writeable = False
    [expected] = fit(X, tol=1e-4)
    for other in (wide[::2, 1::2], np.asfortranarray(X)):
        assert_allclose(fit(other, tol=1e-4)[0].H, expected.H, atol=1e-8)


def test_nothing_comes_of_nothing():
    X = np.zeros((5, 3))
    for options in ({}, {"simplex": True}, {"simplex": True, "volume": 0.1}):
        [result] = alternate(LeastSquares(X, **options), np.zeros((1, 2, 3)))
        assert_array_equal(result.H, 0)
        assert np.isfinite(result.W).all()
        assert np.isfinite(result.objective)


def plain_sweeps(W, R, gram, n_sweeps):
    """Coordinate descent on ``tr(W gram W') / 2 - tr(W R')``, by the definition."""
    W = W.copy()
    for _ in range(n_sweeps):
        for j in np.flatnonzero(gram.diagonal()):
            W[:, j] = np.maximum(0, W[:, j] + (R[:, j] - W @ gram[:, j]) / gram[j, j])
    return W


def plain_objective(X, W, Ht, weight, l1=(0, 0), l2=(0, 0)):
    weight = np.ones(len(X)) if weight is None else weight
    rows = np.square(X - W @ Ht.T).sum(axis=1) / 2 + l1[0] * W.sum(axis=1)
    rows = rows + l2[0] / 2 * np.square(W).sum(axis=1)
    return weight @ rows + l1[1] * Ht.sum() + l2[1] / 2 * np.square(Ht).sum()


PENALTIES = {"l1": (0.1, 0.2), "l2": (0.3, 0.4)}


@pytest.mark.parametrize(("n", "m", "k"), [(13, 119, 10), (60, 24, 3), (8, 2, 4)])
@pytest.mark.parametrize(
    "options",
    [{}, PENALTIES, {"l1": (0.1, 0)}, {"l1": (0, 0.1)}, {"l2": (0.1, 0)}, {"l2": (0, 0.1)}],
)
@pytest.mark.parametrize("weighted", [None, "problem", "start"])
def test_one_iteration_is_that_of_the_definition(n, m, k, options, weighted):
    rng = np.random.default_rng(0)
    X, Ht, weight = rng.random((n, m)), rng.random((m, k)), rng.integers(1, 4, n).astype(float)
    problem = LeastSquares(X, sample_weight=weight if weighted == "problem" else None, **options)
    descent = FactorDescent(Ht, weight if weighted == "start" else None)
    weight = weight if weighted else None
    l1, l2 = options.get("l1", (0, 0)), options.get("l2", (0, 0))
    ridge = [each * np.eye(k) for each in l2]
    gram, R = Ht.T @ Ht + ridge[0], X @ Ht - l1[0]
    # First the best multiple of equal weights, and ten sweeps.
    level = np.maximum(R.sum(axis=1), 0) / gram.sum()
    expected = plain_sweeps(np.repeat(level[:, None], k, axis=1), R, gram, 10)
    [(W, value)] = problem.begun([descent])
    assert_allclose(W, expected, rtol=1e-9, atol=1e-12)
    assert_allclose(value, plain_objective(X, W, Ht, weight, l1, l2), rtol=1e-9)
    # Then sweeps that take half of the time of the products, eleven at most.
    descent.begin(W, value)
    [better] = problem.improved_weights([descent])
    expected = plain_sweeps(W, R, gram, 1 + min(10, m // (2 * k)))
    assert_allclose(better, expected, rtol=1e-9, atol=1e-12)
    descent.W, descent.Ht = better, Ht - 0.3  # an extrapolation that went below 0
    [(found, value)] = problem.improved_components([descent])
    scaled = better if weight is None else better * weight[:, None]
    length = n if weighted != "problem" else weight.sum()
    R, gram = X.T @ scaled - l1[1], better.T @ scaled + ridge[1]
    expected = plain_sweeps(np.maximum(Ht - 0.3, 0), R, gram, 1 + min(10, int(length // (2 * k))))
    assert_allclose(found, expected, rtol=1e-8, atol=1e-11)
    assert_allclose(value, plain_objective(X, better, found, weight, l1, l2), rtol=1e-9)


def test_the_number_of_sweeps_counts_values_that_are_there():
    rng = np.random.default_rng(0)
    X = np.where(rng.random((40, 30)) < 0.4, rng.random((40, 30)), 0)
    Ht, W = rng.random((30, 3)), rng.random((40, 3))
    problem, descent = LeastSquares(csr_array(X)), FactorDescent(Ht)
    descent.begin(W, 0.0)
    filled = np.count_nonzero(X)
    [found] = problem.improved_weights([descent])
    expected = plain_sweeps(W, X @ Ht, Ht.T @ Ht, 1 + filled // (2 * 40 * 3))
    assert_allclose(found, expected, rtol=1e-9)
    [(found, value)] = problem.improved_components([descent])
    expected = plain_sweeps(Ht, X.T @ W, W.T @ W, 1 + filled // (2 * 30 * 3))
    assert_allclose(found, expected, rtol=1e-9)
    assert_allclose(value, plain_objective(X, W, found, None), rtol=1e-9)


def test_a_volume_pulls_by_its_tangent():
    rng = np.random.default_rng(0)
    X, Ht, weight = rng.random((20, 6)), rng.random((6, 3)), rng.random(20) + 0.5
    problem = LeastSquares(X, simplex=True, volume=0.7, sample_weight=weight)
    descent = FactorDescent(Ht)
    descent.begin(rng.dirichlet(np.ones(3), 20), 0.0)
    unit = weight @ np.square(X).sum(axis=1) / weight.sum()
    pull = 2 * 0.7 / unit * np.linalg.inv(Ht.T @ Ht / unit + 0.001 * np.eye(3))
    W = descent.W
    scaled = W * weight[:, None]
    expected = plain_sweeps(Ht, X.T @ scaled, W.T @ scaled + pull, 1 + int(weight.sum() // 6))
    assert_allclose(problem.improved_components([descent])[0][0], expected, rtol=1e-8)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_is_that_of_sums_or_of_residuals(dtype):
    X, eps = products(dtype=dtype), float(np.finfo(dtype).eps)
    problem = LeastSquares(X)
    total = np.square(X.astype(np.float64)).sum()
    # Large objectives come from sums that cancel, small ones from the residuals themselves.
    for part in (0.5, 401 * eps):
        assert_allclose(problem.noise(part * total), 4 * eps * total, rtol=1e-6)
    assert problem.noise(400 * eps * problem.total) < eps * total
    for part in (399 * eps, eps):
        expected = 8 * eps * np.sqrt(2 * part) * total
        assert_allclose(problem.noise(part * total), expected, rtol=1e-6)


@pytest.mark.parametrize("n_values", [7, 30, 65, 10_000])
def test_squared_error_in_any_blocks(monkeypatch, n_values):
    rng = np.random.default_rng(0)
    X, W, Ht = rng.random((23, 30)), rng.random((23, 2)), rng.random((30, 2))
    monkeypatch.setattr("clusterlib.solvers.least_squares._BLOCK_VALUES", n_values)
    assert_allclose(squared_error(X, W, Ht), np.square(X - W @ Ht.T).sum(), rtol=1e-12)


def test_squares_of_narrow_sparse_rows_may_overflow():
    X = csr_array(np.array([[3e19, 0.0], [0.0, 2e19]], dtype=np.float32))
    W, Ht = np.eye(2, dtype=np.float32), np.array([[1e19, 0], [0, 2e19]], dtype=np.float32)
    assert_allclose(squared_error(X, W, Ht), 4e38, rtol=1e-6)


@pytest.mark.parametrize("carrier", [np.asarray, csr_array])
def test_weights_in_the_simplex_take_projected_steps(carrier):
    rng = np.random.default_rng(0)
    X, Ht, weight = rng.random((20, 6)), rng.random((6, 3)), rng.random(20) + 0.5
    problem = LeastSquares(carrier(X), simplex=True, sample_weight=weight)
    assert problem.n_rows == 20
    assert_allclose(problem.total, weight @ np.square(X).sum(axis=1), rtol=1e-12)
    descent, R, gram = FactorDescent(Ht), X @ Ht, Ht.T @ Ht
    [(W, value)] = problem.begun([descent])
    equal = np.full((20, 3), 1 / 3)
    assert_allclose(W, improved_simplex_weights(equal, R, gram, 50), atol=1e-12)
    assert_allclose(value, plain_objective(X, W, Ht, weight), rtol=1e-9)
    descent.begin(equal, value)
    [W] = problem.improved_weights([descent])
    assert_allclose(W, improved_simplex_weights(equal, R, gram, 5), atol=1e-12)
    W, H, value = problem.finished(equal, Ht)
    assert_allclose(W, simplex_weights(R, gram), atol=1e-12)
    assert_allclose(value, plain_objective(X, W, H, weight), rtol=1e-9)
    assert_allclose(
        problem.finished(equal, Ht, weight + 1)[2], plain_objective(X, W, H, weight + 1)
    )
    for given in (W, 2 * W - 0.3):
        assert_allclose(problem.feasible(given).sum(axis=1), 1)
