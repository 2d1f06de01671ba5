"""What LatentLabelShift is made of: folds, repeated rows, the published factorisation."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.decomposition import NMF
from sklearn.linear_model import LogisticRegression

from clusterlib.label_shift._cross_fit import (
    code_probabilities,
    dealt_folds,
    fitted_classifier,
    out_of_fold,
)
from clusterlib.label_shift._ddfa import factorized_marginals, inverted_weights
from clusterlib.label_shift._domain_posteriors import posteriors_of_domains
from clusterlib.label_shift._repeated_rows import chosen_rows

RNG = np.random.default_rng


@pytest.mark.parametrize("n_folds", [2, 3, 5])
def test_folds_are_even_in_each_domain_and_altogether(n_folds):
    codes = RNG(0).integers(0, 4, 103)
    codes[:3] = [7, 8, 9]  # domains with a single row
    folds = dealt_folds(codes, n_folds, RNG(1))
    assert np.ptp(np.bincount(folds, minlength=n_folds)) <= 1
    for code in np.unique(codes):
        assert np.ptp(np.bincount(folds[codes == code], minlength=n_folds)) <= 1
    assert (folds != dealt_folds(codes, n_folds, RNG(2))).any()


class Memory(ClassifierMixin, BaseEstimator):
    """Is sure of the code of rows it has seen, and knows nothing of others."""

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.seen_ = dict(zip(X[:, 0].tolist(), y.tolist(), strict=True))
        return self

    def predict_proba(self, X):
        found = np.full((len(X), len(self.classes_)), 1.0 / len(self.classes_))
        for row, key in enumerate(X[:, 0].tolist()):
            if key in self.seen_:
                found[row] = self.classes_ == self.seen_[key]
        return found


def test_no_row_is_predicted_by_what_has_seen_it():
    X, codes = np.arange(60.0)[:, None], np.arange(60) % 3
    held, fitted = out_of_fold("discriminator", Memory(), X, codes, 3, 5, RNG(0))
    assert_allclose(held, 1 / 3)
    assert_array_equal(code_probabilities("discriminator", fitted, X, 3), np.eye(3)[codes])
    seen, _ = out_of_fold("discriminator", Memory(), X, codes, 3, 0, RNG(0))
    assert_array_equal(seen, np.eye(3)[codes])


def test_codes_that_a_fold_has_not_met_get_nothing():
    X, codes = np.arange(20.0)[:, None], np.array([3] + [0, 1] * 9 + [1])
    held, _ = out_of_fold("discriminator", LogisticRegression(), X, codes, 5, 4, RNG(0))
    assert held.shape == (20, 5)
    assert_allclose(held.sum(axis=1), 1)
    assert held[0, 3] == 0
    assert (held[:, [2, 4]] == 0).all()


def test_a_single_code_is_certain():
    fitted = fitted_classifier(LogisticRegression(), np.zeros((4, 1)), np.full(4, 2))
    assert_array_equal(code_probabilities("student", fitted, np.zeros((2, 1)), 3), [[0, 0, 1]] * 2)


def test_different_rows_are_all_chosen_in_their_order():
    choice = chosen_rows(RNG(0).normal(size=(50, 2)), np.arange(50) % 4, RNG(0))
    assert_array_equal(choice.rows, np.arange(50))
    assert_array_equal(choice.place, np.arange(50))
    assert choice.n_values == 50


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_copies_within_domains_are_chosen_once(dtype):
    X = RNG(0).normal(size=(50, 2)).astype(dtype)
    codes = (np.arange(50) % 4).astype(np.int32)
    X[3], codes[3] = X[9], 3  # one value in two domains; 9 % 4 is 1
    order = RNG(1).permutation(150)
    many, many_codes = np.tile(X, (3, 1))[order], np.tile(codes, 3)[order]
    choice = chosen_rows(many, many_codes, RNG(0))
    assert len(choice.rows) == 50
    assert choice.n_values == 49
    assert_array_equal(many[choice.rows][choice.place], many)
    assert_array_equal(many_codes[choice.rows][choice.place], many_codes)


def test_draws_of_few_values_are_all_chosen_and_shuffled():
    values = np.arange(4.0).repeat(30)[:, None]
    values[values == 0] *= np.where(np.arange(30) % 2, 1, -1)  # 0 and -0 are one value
    codes = (np.arange(120) % 5).astype(np.int32)
    choice = chosen_rows(values, codes, RNG(0))
    assert choice.n_values == 4
    assert_array_equal(np.sort(choice.rows), np.arange(120))
    assert (choice.rows != np.arange(120)).any()
    assert_array_equal(choice.rows[choice.place], np.arange(120))


def test_a_row_that_its_domain_rules_out_keeps_its_pooled_probabilities():
    pooled = np.array([[1.0, 0.0], [0.5, 0.5]])
    found = posteriors_of_domains(pooled, np.array([[0.0, 1.0]]), np.zeros(2, dtype=np.int32))
    assert_array_equal(found, [[1, 0], [0, 1]])


def test_the_published_factorisation_step_by_step():
    """Step 3 as it is written down: scale the clusters of a class to 1, then the domains."""
    counts = RNG(0).integers(5, 90, size=(7, 6)).astype(float)
    A = counts / counts.sum(axis=0)
    seed = int(RNG(4).integers(np.iinfo(np.int32).max))
    nmf = NMF(3, init="random", max_iter=400, random_state=seed)
    W0 = nmf.fit_transform(A.T)
    C, P = nmf.components_.T, W0.T
    for y in range(3):
        scale = C[:, y].sum()
        C[:, y] /= scale
        P[y] *= scale
    Pi = P / P.sum(axis=0)
    found, n_iter, converged = factorized_marginals(counts, 3, 400, RNG(4))
    assert_allclose(found, Pi.T, rtol=1e-10)
    assert n_iter == nmf.n_iter_
    assert converged == (nmf.n_iter_ < 400)


def test_the_pseudo_inverse_is_exact_on_mixtures_and_never_negative():
    rng = RNG(0)
    D = rng.dirichlet(np.ones(6), size=3).T
    w = rng.dirichlet(np.ones(3), size=40)
    assert_allclose(inverted_weights(w @ D.T, D), w, atol=1e-10)
    noisy = rng.dirichlet(np.ones(6), size=40)
    raw = noisy @ np.linalg.pinv(D).T
    assert (raw < 0).any()
    found = inverted_weights(noisy, D)
    assert (found >= 0).all()
    assert_allclose(found.sum(axis=1), 1)
    joint = raw * D[0]
    usual = joint.sum(axis=1) > 0
    assert_array_equal((found * D[0]).argmax(axis=1)[usual], joint.argmax(axis=1)[usual])
