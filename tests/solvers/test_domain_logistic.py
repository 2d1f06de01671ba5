"""Logistic regressions of domains: those of scikit-learn, without each fold, in the same passes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from clusterlib.blocks import as_blocks
from clusterlib.solvers import domain_logistic, row_classes
from clusterlib.solvers.domain_logistic import standard_units
from tests.carriers import CARRIERS


def problem(n=9_000, p=4, r=3, seed=0):
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, r, n).astype(np.int32)
    X = 300.0 + rng.normal(size=(r, p))[codes] + rng.normal(size=(n, p)) * [1, 10, 0.1, 1]
    return X, codes, rng.integers(0, 3, n, dtype=np.int8)


def reference(X, codes, rows):
    model = make_pipeline(
        StandardScaler().fit(X), LogisticRegression(C=0.05, tol=1e-8, max_iter=1000)
    )
    model[-1].fit(model[0].transform(X), codes)
    return model.predict_proba(rows)


@pytest.mark.parametrize("r", [2, 3])
def test_the_model_of_all_rows_is_that_of_scikit_learn(r):
    X, codes, _ = problem(r=r)
    fit = domain_logistic(X, codes, r, C=0.05, tol=1e-7)
    assert fit.converged
    assert_allclose(fit.probabilities(X), reference(X, codes, X), atol=1e-5)
    loose = domain_logistic(X, codes, r, C=0.05)
    assert_allclose(loose.probabilities(X), reference(X, codes, X), atol=0.02)
    assert loose.n_passes < fit.n_passes


def test_a_model_has_not_seen_its_fold():
    """Rows of fold 0 may hold anything: its model stays, to the units of the features."""
    X, codes, folds = problem()
    fit = domain_logistic(X, codes, 3, C=0.05, folds=folds, n_folds=3, tol=1e-8)
    center, scale = standard_units(X)
    for fold in range(3):
        seen = folds != fold
        model = LogisticRegression(C=0.05, tol=1e-9, max_iter=1000)
        model.fit((X[seen] - center) / scale, codes[seen])
        expected = model.predict_proba((X[~seen] - center) / scale)
        found = fit.unseen(X[~seen][:4096], folds[~seen][:4096])
        assert_allclose(found, expected[:4096], atol=1e-5)
    changed = np.where(folds == 0, (codes + 1) % 3, codes).astype(np.int32)
    other = domain_logistic(X, changed, 3, C=0.05, folds=folds, n_folds=3, tol=1e-8)
    assert_allclose(other.parameters[0], fit.parameters[0], atol=1e-4)
    assert np.abs(other.parameters[1] - fit.parameters[1]).max() > 0.1


@pytest.mark.parametrize("carrier", CARRIERS)
def test_every_carrier_gives_the_same_bits(carrier, tmp_path):
    X, codes, folds = problem(n=13_000)
    options = {"C": 0.05, "folds": folds, "n_folds": 3}
    expected = domain_logistic(X, codes, 3, **options)
    blocks = CARRIERS[carrier](X, tmp_path)
    found = domain_logistic(blocks, codes, 3, **options)
    assert_array_equal(found.parameters, expected.parameters)
    assert_array_equal(found.scale, expected.scale)
    said = [
        np.concatenate([b.array for b in m.carried(x, folds)])
        for m, x in ((found, blocks), (expected, X))
    ]
    assert_array_equal(*said)


def test_all_folds_cost_the_passes_of_one_fit():
    X, codes, folds = problem()
    counted = []

    def batches():
        counted.append(1)
        yield X

    blocks = as_blocks(batches)
    counted.clear()
    fit = domain_logistic(blocks, codes, 3, C=0.05, folds=folds, n_folds=3)
    assert len(counted) == fit.n_passes < 30


def test_units_of_constant_and_far_features():
    X = np.column_stack([np.full(10_000, 0.1), np.arange(10_000) + 1e9, np.zeros(10_000)])
    center, scale = standard_units(as_blocks(X, block_rows=4096))
    assert_allclose(center, X.mean(axis=0))
    assert_allclose(scale, [1.0, np.arange(10_000).std(), 1.0])


def test_a_row_that_its_domain_rules_out_keeps_its_classes():
    pooled = np.array([[1.0, 0.0], [0.0, 1.0]])
    D = np.array([[1.0, 0.0], [0.0, 1.0]])
    found = row_classes(pooled, D, np.array([1, 1], np.int32), keep_posteriors=True)
    assert_array_equal(found.posteriors, pooled)
    assert_array_equal(found.labels, [0, 1])
    assert_array_equal(found.likelihoods, [0.0, 1.0])
    assert np.isfinite(found.log_likelihood)
