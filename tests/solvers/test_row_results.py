"""What solvers of wrong labels say of each row: one array, whatever the cut, without a second one."""

import tracemalloc

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp
from scipy.stats import multivariate_normal, multivariate_t

from clusterlib.blocks import as_blocks
from clusterlib.solvers import (
    NoisyLogistic,
    PrincipalComponents,
    likely_other_classes,
    noisy_gaussian_scores,
    noisy_gaussians,
    noisy_label_likelihood,
    noisy_logistic_scores,
    project,
)
from clusterlib.solvers.row_results import row_results

N, M, K = 60_000, 3, 30


@pytest.fixture(scope="module")
def drawn():
    rng = np.random.default_rng(0)
    codes = rng.integers(K, size=N)
    X = rng.normal(size=(N, M)) + 5 * rng.normal(size=(K, M))[codes]
    return X, codes, noisy_gaussians(X[:2000], codes[:2000], K, shrinkage=np.inf, max_iter=2)


def of_rows(name, drawn):
    """Function of rows that gives what a solver says of them."""
    _, codes, gaussians = drawn
    rng = np.random.default_rng(1)
    W, b = rng.normal(size=(K, M)), rng.normal(size=K)
    if name == "logistic":
        return lambda X: noisy_logistic_scores(X, NoisyLogistic(W, b, 0.0, 1, True, np.zeros(1)))
    if name == "components":
        return lambda X: project(X, PrincipalComponents(b[:M], W, np.ones(K)))
    if name == "gaussians":
        return lambda X: noisy_gaussian_scores(X, gaussians)
    solver = likely_other_classes if name == "others" else noisy_label_likelihood
    return lambda X: solver(X, codes, gaussians)


@pytest.mark.parametrize("name", ["logistic", "components", "gaussians"])
def test_scores_take_the_memory_of_the_result(name, drawn):
    X, solver = drawn[0], of_rows(name, drawn)
    tracemalloc.start()
    size = solver(X).nbytes
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    # Leaves of 4096 rows take 7 % of it each.
    assert N * K * 8 == size < peak < 1.4 * size


@pytest.mark.parametrize("name", ["logistic", "components", "gaussians", "others", "likelihood"])
def test_the_cut_changes_no_bit(name, drawn):
    X, solver = drawn[0], of_rows(name, drawn)
    whole = solver(X)
    assert len(whole) == N
    for block_rows in (4096, 3 * 4096):
        np.testing.assert_array_equal(solver(as_blocks(X, block_rows=block_rows)), whole)


def test_every_row_gets_its_own_result():
    X = np.arange(10_000.0)[:, None]
    beside = np.arange(10_000) % 7
    for block_rows in (None, 4096):
        blocks = as_blocks(X, block_rows=block_rows)
        found = row_results(lambda rows, part: 10 * rows[:, 0] + part, blocks, beside)
        np.testing.assert_array_equal(found, 10 * X[:, 0] + beside)
        kinds = row_results(lambda rows, part: part, blocks, beside)
        assert kinds.dtype == beside.dtype


@pytest.mark.parametrize("degrees_of_freedom", [None, 5.0])
@pytest.mark.parametrize("shrinkage", [np.inf, 8.0])
def test_what_is_said_of_rows_is_that_of_the_formulas(shrinkage, degrees_of_freedom):
    rng = np.random.default_rng(2)
    classes = rng.choice(4, size=600, p=[0.6, 0.25, 0.1, 0.05])
    X = rng.normal(size=(600, 3)) + rng.normal(size=(4, 3))[classes]
    codes = np.where(rng.random(600) < 0.3, rng.integers(4, size=600), classes)
    fit = noisy_gaussians(X, codes, 4, shrinkage=shrinkage, degrees_of_freedom=degrees_of_freedom)
    laws = [
        multivariate_normal(mean, covariance)
        if degrees_of_freedom is None
        else multivariate_t(mean, covariance, df=degrees_of_freedom)
        for mean, covariance in zip(fit.means, fit.covariances, strict=True)
    ]
    logs = np.stack([law.logpdf(X) for law in laws], axis=1)
    np.testing.assert_allclose(noisy_gaussian_scores(X, fit), logs, atol=1e-9)
    by_class, by_label = logs + np.log(fit.class_prior), np.log(fit.transition.T)[codes]
    expected = logsumexp(log_softmax(by_class, axis=1) + by_label, axis=1)
    np.testing.assert_allclose(noisy_label_likelihood(X, codes, fit), expected, atol=1e-9)
    joint = by_class + by_label
    joint[np.arange(600), codes] = -np.inf
    np.testing.assert_array_equal(likely_other_classes(X, codes, fit), joint.argmax(axis=1))
    # Shares and transition decide for some rows.
    for other in (joint - np.log(fit.class_prior), joint - by_label):
        assert (joint.argmax(axis=1) != other.argmax(axis=1)).any()
