"""Steps of the logistic regressions of domains against the same method on a plain loss."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from clusterlib.blocks import as_blocks
from clusterlib.solvers import domain_logistic
from clusterlib.solvers.domain_logistic import standard_units


def problem(n=60, p=2, r=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, r, n).astype(np.int32)
    X = 5.0 + rng.normal(size=(r, p))[codes] + rng.normal(size=(n, p)) * [1.0, 20.0][:p]
    return X, codes, (np.arange(n) % 4 % 3).astype(np.int8)


def plain_fit(X, codes, r, C, folds, n_folds, max_iter, tol):
    """Means of all models added up; each lacks its fold, and the last one lacks none."""
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    counts = np.maximum(np.bincount(codes, minlength=r), 0.5)
    shape = n_folds + 1, r, X.shape[1] + 1
    start = np.zeros(shape)
    start[:, :, -1] = np.log(counts) - np.log(counts).mean()
    strength, n_calls = (2.0 if r == 2 else 1.0) / C, 0

    def loss(flat):
        nonlocal n_calls
        n_calls += 1
        parameters, value, gradient = flat.reshape(shape), 0.0, np.zeros(shape)
        for model, (W, slope) in enumerate(zip(parameters, gradient, strict=True)):
            seen = np.full(len(X), True) if model == n_folds else folds != model
            if not seen.any():
                value += 0.5 * strength * np.square(W[:, :-1]).sum()
                slope[:, :-1] = strength * W[:, :-1]
                continue
            scores = Z[seen] @ W[:, :-1].T + W[:, -1]
            logs = log_softmax(scores, axis=1)[np.arange(seen.sum()), codes[seen]]
            residuals = softmax(scores, axis=1) - np.eye(r)[codes[seen]]
            penalty = 0.5 * strength * np.square(W[:, :-1]).sum()
            value += (penalty - logs.sum()) / seen.sum()
            slope[:, :-1] = (residuals.T @ Z[seen] + strength * W[:, :-1]) / seen.sum()
            slope[:, -1] = residuals.sum(axis=0) / seen.sum()
        return value, gradient.ravel()

    options = {"maxiter": max_iter, "maxfun": 50 * max_iter, "ftol": 0.0, "gtol": tol / r}
    found = minimize(loss, start.ravel(), jac=True, method="L-BFGS-B", options=options)
    return found, found.x.reshape(shape), n_calls


@pytest.mark.parametrize("max_iter", [1, 2, 5, 200])
@pytest.mark.parametrize("r", [2, 3])
@pytest.mark.parametrize("n_folds", [0, 3])
@pytest.mark.parametrize("C", [0.05, 10.0])
def test_parameters_are_those_of_a_plain_loss(r, n_folds, C, max_iter):
    X, codes, folds = problem(r=r)
    options = {"C": C, "max_iter": max_iter}
    fit = domain_logistic(X, codes, r, folds=folds if n_folds else None, n_folds=n_folds, **options)
    found, parameters, n_calls = plain_fit(X, codes, r, C, folds, n_folds, max_iter, 5e-3)
    assert_allclose(fit.parameters, parameters, rtol=1e-5, atol=1e-7)
    assert fit.n_iter == found.nit <= max_iter
    assert fit.n_passes == n_calls + 1
    assert fit.converged == (np.abs(found.jac).max() <= 5e-3 / r)
    assert fit.converged or max_iter < 200
    assert_allclose(fit.center, X.mean(axis=0))
    assert_allclose(fit.scale, X.std(axis=0))
    Z = np.column_stack([(X - X.mean(axis=0)) / X.std(axis=0), np.ones(len(X))])
    of_all = softmax(Z @ parameters[-1].T, axis=1)
    assert_allclose(fit.probabilities(X), of_all, rtol=1e-5)
    assert_allclose(fit.unseen(X, None), of_all, rtol=1e-5)
    assert_array_equal(fit.of_all().parameters, fit.parameters[-1:])
    if n_folds:
        expected = np.empty((len(X), r))
        for fold in range(3):
            expected[folds == fold] = softmax(Z[folds == fold] @ parameters[fold].T, axis=1)
        assert_allclose(fit.unseen(X, folds), expected, rtol=1e-5)
        carried = np.concatenate([block.array for block in fit.carried(X, folds)])
        assert_allclose(carried, expected, rtol=1e-5)
    carried = np.concatenate([block.array for block in fit.carried(X)])
    assert_allclose(carried, of_all, rtol=1e-5)


def test_a_domain_without_rows_counts_as_half_a_row():
    X, codes, folds = problem(r=2)
    fit = domain_logistic(X, codes, 3, C=0.1, folds=folds, n_folds=3, max_iter=2)
    _, parameters, _ = plain_fit(X, codes, 3, 0.1, folds, 3, 2, 5e-3)
    assert_allclose(fit.parameters, parameters, rtol=1e-6, atol=1e-9)


def test_a_fold_of_all_rows_leaves_a_model_of_none():
    X, codes, _ = problem(n=20)
    nothing = np.zeros(20, dtype=np.int8)
    fit = domain_logistic(X, codes, 3, C=0.1, folds=nothing, n_folds=1, max_iter=3)
    _, parameters, _ = plain_fit(X, codes, 3, 0.1, nothing, 1, 3, 5e-3)
    assert_allclose(fit.parameters, parameters, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("block_rows", [4096, 20_000])
def test_leaves_and_blocks_add_up(block_rows):
    X, codes, folds = problem(n=9000)
    blocks = as_blocks(X, block_rows=block_rows)
    fit = domain_logistic(blocks, codes, 3, C=0.1, folds=folds, n_folds=3, max_iter=2)
    _, parameters, _ = plain_fit(X, codes, 3, 0.1, folds, 3, 2, 5e-3)
    assert_allclose(fit.parameters, parameters, rtol=1e-6, atol=1e-9)
    assert_allclose(fit.probabilities(X)[5000:5010], fit.probabilities(X[5000:5010]), rtol=1e-9)


def test_what_differs_by_rounding_alone_is_constant():
    """A scale of a feature is 1 up to 4096 times epsilon of its mean."""
    epsilon = 4096 * 2.0**-52
    wave = np.tile([1.0, -1.0], 50)
    X = np.column_stack([1.0 + 0.99 * epsilon * wave, 1.0 + 1.01 * epsilon * wave, -wave, 0 * wave])
    center, scale = standard_units(X)
    assert_allclose(center, [1.0, 1.0, 0.0, 0.0], atol=1e-15)
    assert_allclose(scale, [1.0, 1.01 * epsilon, 1.0, 1.0], rtol=1e-3)
    narrow = standard_units(np.array([[1.0], [2.0]], dtype=np.float32))
    assert narrow[0].dtype == narrow[1].dtype == np.float64
