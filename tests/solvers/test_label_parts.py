"""Parts of a classifier of wrongly labelled rows: the fits behind them, and what they say of labels."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp, softmax
from sklearn.linear_model import LogisticRegression

from clusterlib.solvers import (
    PartKind,
    fitted_parts,
    likely_other_classes,
    noisy_gaussian_scores,
    noisy_gaussians,
    noisy_logistic,
    noisy_logistic_scores,
    other_classes,
    part_scores,
)
from clusterlib.solvers.label_parts import balanced, noisy_label_logs
from tests.solvers.test_noisy_gaussians import log_density, planted

SHRINKAGES = [20.0, np.inf]


def two_views(n=300, **options):
    """Rows in three features and in all of them, labels, and weights."""
    X, _, codes, _, _ = planted(n=n, m=6, **options)
    weight = np.random.default_rng(9).choice([0.5, 1.0, 2.0], size=n)
    return [X[:, :3].copy(), X], codes, weight


def assert_same_tuple(one, other):
    for name, a, b in zip(one._fields, one, other, strict=True):
        assert_array_equal(a, b, err_msg=name)


def test_weights_that_balance():
    codes = np.repeat([0, 1, 2], [50, 10, 4])
    weight = np.random.default_rng(0).uniform(0.5, 2, size=64)
    found = balanced(weight, codes, 3)
    assert_allclose(np.bincount(codes, weights=found), weight.sum() / 3)
    for k in range(3):  # shares within a class stay
        assert np.ptp(found[codes == k] / weight[codes == k]) < 1e-12
    # A class with less than one right label is not raised as if it had one.
    weight[codes == 2] = 0.05
    found = balanced(weight, codes, 3)
    totals = np.bincount(codes, weights=found)
    assert_allclose(totals[:2], weight.sum() / 3)
    assert_allclose(totals[2], 0.2 * weight.sum() / 3)
    # Where all weights are small, so is what counts as hardly any: what no single row has.
    for scale in (1e-5, 1e-300):
        small = np.bincount(codes, weights=balanced(scale * weight, codes, 3)) / scale
        assert_allclose(small[:2], weight.sum() / 3)
        assert_allclose(small[2], 0.2 / weight.max() * weight.sum() / 3)


@pytest.mark.parametrize("weighted", [False, True])
def test_gaussians_are_those_of_the_solver_for_each_view(weighted):
    views, codes, weight = two_views()
    weight = weight if weighted else None
    parts = fitted_parts(views, codes, 4, SHRINKAGES, {}, sample_weight=weight, max_iter=9)
    fits = [
        noisy_gaussians(rows, codes, 4, shrinkage=nu, sample_weight=weight, max_iter=9)
        for rows, nu in zip(views, SHRINKAGES, strict=True)
    ]
    for found, expected in zip(parts.gaussians, fits, strict=True):
        assert_same_tuple(found, expected)
    for name in ("transition", "class_prior", "label_quality"):
        mean = (getattr(fits[0], name) + getattr(fits[1], name)) / 2
        assert_allclose(getattr(parts, name), mean, rtol=1e-14, err_msg=name)
        assert (getattr(fits[0], name) != getattr(fits[1], name)).any()
    assert parts.logistic == ()
    w = np.ones(len(codes)) if weight is None else weight
    shares = [w[codes == k].sum() / w.sum() for k in range(4)]
    assert_allclose(parts.label_shares, shares, rtol=1e-12)


def test_one_number_of_shrinkages_for_each_view():
    views, codes, _ = two_views(n=40)
    with pytest.raises(ValueError, match="zip"):
        fitted_parts(views, codes, 4, [5.0], {})


@pytest.mark.parametrize("kind", [PartKind.LOGISTIC, PartKind.WEIGHTED])
@pytest.mark.parametrize("weighted", [False, True])
def test_logistic_regressions_are_those_of_scikit_learn(kind, weighted):
    views, codes, weight = two_views()
    given = weight if weighted else None
    parts = fitted_parts(views, codes, 4, SHRINKAGES, {kind: [0.01, 1.0]}, sample_weight=given)
    assert [(which, C) for which, C, _ in parts.logistic] == [(kind, 0.01), (kind, 1.0)]
    w = weight if weighted else np.ones(len(codes))
    if kind is PartKind.WEIGHTED:
        w = w * parts.label_quality
    w = w * w.sum() / (4 * np.bincount(codes, weights=w)[codes])
    for C in (0.01, 1.0):
        model = LogisticRegression(C=C, tol=1e-10, max_iter=1000, solver="newton-cholesky")
        model.fit(views[0], codes, sample_weight=w)
        scores = part_scores(views, parts, (kind, C))
        assert_allclose(softmax(scores, axis=1), model.predict_proba(views[0]), atol=1e-2)
    weak, strong = (fit.coefficients for _, _, fit in parts.logistic)
    assert np.abs(weak - strong).max() > 0.05


def test_the_transition_is_in_the_likelihood_of_its_part():
    views, codes, weight = two_views()
    strengths = {PartKind.TRANSITION: [0.1]}
    parts = fitted_parts(views, codes, 4, SHRINKAGES, strengths, sample_weight=weight)
    expected = noisy_logistic(
        views[0],
        codes,
        4,
        C=0.1,
        transition=parts.transition,
        class_prior=parts.class_prior,
        sample_weight=weight,
    )
    ((_, _, found),) = parts.logistic
    assert_same_tuple(found, expected)


def test_scores_of_parts_have_a_highest_of_0():
    views, codes, _ = two_views()
    new = [rows[:50] + 0.1 for rows in views]
    strengths = {PartKind.TRANSITION: [0.1], PartKind.LOGISTIC: [0.2]}
    parts = fitted_parts(views, codes, 4, SHRINKAGES, strengths)
    plain = {(kind, C): noisy_logistic_scores(new[0], fit) for kind, C, fit in parts.logistic}
    for view, fit in enumerate(parts.gaussians):
        densities = [
            log_density(new[view], fit.means[k], fit.covariances[k], None) for k in range(4)
        ]
        plain[PartKind.GAUSSIAN, view] = np.stack(densities, axis=1)
    assert len(plain) == 4
    for name, scores in plain.items():
        found = part_scores(new, parts, name)
        assert_array_equal(found.max(axis=1), 0)
        assert_allclose(found, scores - scores.max(axis=1, keepdims=True), atol=1e-8)


def test_logs_of_labels_are_those_of_the_formula():
    rng = np.random.default_rng(0)
    scores, codes = 3 * rng.normal(size=(40, 3)), rng.integers(0, 3, size=40)
    prior, transition = rng.dirichlet(np.ones(3)), rng.dirichlet(np.ones(3), size=3)
    posterior = softmax(scores + np.log(prior), axis=1)
    kept = scores.copy()
    found = noisy_label_logs(scores, codes, np.log(prior), None)
    assert_allclose(found, np.log(posterior[np.arange(40), codes]), rtol=1e-12)
    found = noisy_label_logs(scores, codes, np.log(prior), transition)
    assert_allclose(found, np.log((posterior @ transition)[np.arange(40), codes]), rtol=1e-11)
    assert_array_equal(scores, kept)
    # In the log domain: what would underflow does not.
    far = noisy_label_logs(np.array([[0.0, -2000.0]]), [1], np.log([0.5, 0.5]), np.eye(2))
    assert_allclose(far, -2000)


def test_impossible_labels():
    transition = np.array([[1.0, 0.0], [0.5, 0.5]])
    scores = np.array([[0.0, -1.0], [0.0, -1.0]])
    with np.errstate(divide="ignore"):
        only_first = np.log([1.0, 0.0])
    found = noisy_label_logs(scores, np.array([0, 1]), only_first, transition)
    assert_array_equal(found, [0, -np.inf])
    assert_array_equal(noisy_label_logs(scores, np.array([0, 1]), only_first, None), [0, -np.inf])


@pytest.mark.parametrize("shrinkage", [3.0, np.inf])
def test_other_classes_of_one_view_are_the_likely_ones(shrinkage):
    X, _, codes, _, _ = planted(n=5000)  # more than are looked at in one go
    parts = fitted_parts([X], codes, 4, [shrinkage], {}, max_iter=5)
    found = other_classes([X], codes, parts)
    assert_array_equal(found, likely_other_classes(X, codes, parts.gaussians[0]))
    assert (found != codes).all() and found.dtype == np.intp


def test_other_classes_of_two_views_have_the_highest_mean_posterior():
    views, codes, _ = two_views()
    parts = fitted_parts(views, codes, 4, SHRINKAGES, {})
    posteriors = []
    for rows, fit in zip(views, parts.gaussians, strict=True):
        joint = noisy_gaussian_scores(rows, fit) + np.log(fit.class_prior)
        joint += np.log(fit.transition.T[codes])
        posteriors.append(np.exp(joint - logsumexp(joint, axis=1, keepdims=True)))
        posteriors[-1][np.arange(len(codes)), codes] = -1
    expected = sum(posteriors).argmax(axis=1)
    assert_array_equal(other_classes(views, codes, parts), expected)
    assert (expected != posteriors[0].argmax(axis=1)).any()
    assert (expected != posteriors[1].argmax(axis=1)).any()


def test_other_classes_on_ties_and_of_one_class():
    X, codes = np.zeros((9, 2)), np.repeat([0, 1, 2], 3)
    parts = fitted_parts([X], codes, 3, [5.0], {})
    fit = parts.gaussians[0]
    even = parts._replace(
        gaussians=(
            fit._replace(
                means=np.zeros((3, 2)),
                covariances=np.tile(np.eye(2), (3, 1, 1)),
                class_prior=np.full(3, 1 / 3),
                transition=np.full((3, 3), 1 / 3),
            ),
        )
    )
    assert_array_equal(other_classes([X], codes, even), [1, 1, 1, 0, 0, 0, 0, 0, 0])
    X, codes = np.arange(8.0)[:, None], np.zeros(8, dtype=int)
    strengths = {PartKind.WEIGHTED: [0.1], PartKind.TRANSITION: [0.1]}
    alone = fitted_parts([X], codes, 1, [5.0], strengths)
    assert_array_equal(other_classes([X], codes, alone), codes)
    assert_array_equal(part_scores([X], alone, (PartKind.WEIGHTED, 0.1)), np.zeros((8, 1)))
    assert_allclose(alone.label_quality, 1)
