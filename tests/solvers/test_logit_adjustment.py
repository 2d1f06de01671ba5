"""Scores without the frequency of the classes: Bayes' rule, its own inverse, bad input."""

import numpy as np
import pytest
from scipy.special import log_softmax, softmax
from scipy.stats import multivariate_normal

from clusterlib import imbalance, solvers
from clusterlib.datasets import make_long_tail
from clusterlib.metrics import shot_accuracy

MEANS = np.array([[0.0, 0.0], [2.0, 0.5], [-0.5, 1.5]])
COVARIANCES = np.array([np.eye(2), [[2.0, 0.3], [0.3, 0.5]], [[0.4, -0.1], [-0.1, 0.9]]])
PRIOR = np.array([0.9, 0.08, 0.02])
BOTH = pytest.mark.parametrize("adjust", [imbalance.logit_adjustment, solvers.logit_adjustment])


def drawn(n, seed):
    rng = np.random.default_rng(seed)
    y = np.repeat(np.arange(3), n)
    roots = np.linalg.cholesky(COVARIANCES)
    return MEANS[y] + np.einsum("nij,nj->ni", roots[y], rng.normal(size=(3 * n, 2))), y


def log_posteriors(X, prior):
    groups = zip(MEANS, COVARIANCES, strict=True)
    densities = np.stack([multivariate_normal(*group).logpdf(X) for group in groups], axis=1)
    return log_softmax(densities + np.log(prior), axis=1)


@BOTH
def test_the_bayes_rule_of_a_long_tail_becomes_that_of_equal_shares(adjust):
    X, y = drawn(2000, 0)
    scores = log_posteriors(X, PRIOR)
    adjusted = adjust(scores, PRIOR)
    balanced = log_posteriors(X, np.full(3, 1 / 3))
    np.testing.assert_allclose(log_softmax(adjusted, axis=1), balanced, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(adjusted.argmax(axis=1), balanced.argmax(axis=1))
    y_train = np.repeat(np.arange(3), (1000 * PRIOR).astype(int))
    before, after = (shot_accuracy(y, s.argmax(axis=1), y_train) for s in (scores, adjusted))
    assert after.balanced > before.balanced + 0.1
    assert after.medium > before.medium and after.many < before.many


@BOTH
def test_no_other_share_of_the_prior_is_better(adjust):
    X, y = drawn(20_000, 1)
    scores = log_posteriors(X, PRIOR)
    recalls = [
        shot_accuracy(y, adjust(scores, PRIOR, tau=tau).argmax(axis=1), y).balanced
        for tau in (0.0, 0.5, 1.0, 1.5, 2.0)
    ]
    assert np.argmax(recalls) == 2


@BOTH
def test_it_is_the_formula_and_can_be_taken_back(adjust):
    rng = np.random.default_rng(0)
    scores, prior = rng.normal(size=(50, 4)), rng.dirichlet(np.ones(4))
    found = adjust(scores, prior, tau=1.7)
    np.testing.assert_allclose(found, scores - 1.7 * np.log(prior), rtol=1e-13, atol=1e-13)
    inverse = 1 / prior / np.sum(1 / prior)
    back = adjust(found, inverse, tau=1.7) - scores
    np.testing.assert_allclose(np.ptp(back, axis=1), 0, atol=1e-12)
    np.testing.assert_array_equal(adjust(scores, prior, tau=0.0), scores)
    assert not np.shares_memory(adjust(scores, prior, tau=0.0), scores)


@BOTH
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_dtype_stays_and_the_input_is_left_alone(adjust, dtype):
    scores = np.log(np.array([[0.5, 0.5], [1.0, 0.25]], dtype=dtype))
    before = scores.copy()
    scores.flags.writeable = False
    assert adjust(scores, np.array([0.75, 0.25])).dtype == dtype
    np.testing.assert_array_equal(scores, before)


@BOTH
def test_an_impossible_class_stays_impossible(adjust):
    scores = np.array([[-np.inf, -3.0], [-1.0, -np.inf]])
    found = adjust(scores, np.array([1e-300, 1.0]))
    np.testing.assert_array_equal(np.isneginf(found), np.isneginf(scores))


def test_a_class_without_prior_is_never_chosen():
    scores = np.array([[1.0, 5.0], [2.0, -1.0]])
    found = solvers.logit_adjustment(scores, np.array([1.0, 0.0]))
    np.testing.assert_array_equal(found, [[1.0, -np.inf], [2.0, -np.inf]])


@pytest.mark.parametrize("scores", [[[0.6, 0.4 + 1e-11]], [[-1.0, 2.0]], np.empty((0, 2))])
def test_scores_that_nearly_sum_to_one_are_no_probabilities(scores):
    found = imbalance.logit_adjustment(scores, [1, 1])
    np.testing.assert_allclose(found, np.add(scores, np.log(2)), rtol=1e-15)


def test_sizes_whose_sum_leaves_the_numbers():
    scores = np.array([[0.5, -3.0]])
    found = imbalance.logit_adjustment(scores, [1.5e308, 0.5e308])
    np.testing.assert_allclose(found, imbalance.logit_adjustment(scores, [3, 1]), rtol=1e-14)


def test_posteriors_are_divided_by_their_prior():
    scores = np.log(np.random.default_rng(0).dirichlet(np.ones(3), size=20))
    found = softmax(imbalance.logit_adjustment(scores, PRIOR), axis=1)
    ratio = solvers.prior_ratio(1.0, PRIOR)
    expected = solvers.reweighted_posteriors(np.exp(scores), ratio)
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_sizes_serve_as_shares():
    X, y = drawn(500, 2)
    X, y = make_long_tail(X, y, imbalance_ratio=50, random_state=0)
    scores, sizes = log_posteriors(X, PRIOR), np.bincount(y)
    np.testing.assert_allclose(
        imbalance.logit_adjustment(scores, sizes),
        imbalance.logit_adjustment(scores, sizes / sizes.sum()),
        rtol=1e-14,
    )
    assert imbalance.logit_adjustment([[0, 1, 2]], [1, 1, 2]).dtype == np.float64


@pytest.mark.parametrize(
    ("scores", "prior", "options", "error", "message"),
    [
        ([0.0, 1.0], [1, 1], {}, ValueError, r"scores must have shape \(n_samples, n_classes\)"),
        (np.empty((3, 0)), [], {}, ValueError, "scores must have shape .* for each class"),
        ([[0.0, np.nan]], [1, 1], {}, ValueError, "scores contains NaN or infinity"),
        ([[0.0, np.inf]], [1, 1], {}, ValueError, "scores contains NaN or infinity"),
        ([["a", "b"]], [1, 1], {}, TypeError, "scores must be an array of real numbers"),
        ([[0.6, 0.4]], [1, 1], {}, ValueError, "scores must be logarithms of probabilities"),
        ([[0.0, 2.0]], [1, 1, 1], {}, ValueError, "class_prior must have shape"),
        ([[0.0, 2.0]], 1.0, {}, ValueError, r"class_prior must have shape .*=\(2,\)"),
        ([[0.0, 2.0]], [3, 0], {}, ValueError, "above 0, .* got 0.0 at index 1"),
        ([[0.0, 2.0]], [np.nan, 1], {}, ValueError, "got nan at index 0"),
        ([[0.0, 2.0]], None, {}, TypeError, "class_prior must be an array of numbers"),
        ([[0.0, 2.0]], [1, 1], {"tau": -1.0}, ValueError, "tau must be a float in"),
        ([[0.0, 2.0]], [1, 1], {"tau": "1"}, TypeError, "tau must be a float in"),
    ],
)
def test_bad_input_is_named(scores, prior, options, error, message):
    with pytest.raises(error, match=message):
        imbalance.logit_adjustment(scores, prior, **options)
