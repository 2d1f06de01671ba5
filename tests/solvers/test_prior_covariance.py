"""Errors of estimated class shares: derivatives against differences, and against repetition."""

import numpy as np
import pytest

from clusterlib.solvers.calibration import (
    CalibrationKind,
    calibrate,
    calibrated,
    calibration_influence,
)
from clusterlib.solvers.prior_covariance import (
    _jacobian,
    shifted_prior_covariance,
    source_covariance,
)
from clusterlib.solvers.prior_shift import prior_scores, shifted_prior

MEANS = np.array([[0.0, 0.0], [1.5, 0.0], [0.0, 1.5]])
SOURCE, TARGET = np.array([0.5, 0.3, 0.2]), np.array([0.15, 0.25, 0.6])


def draw(rng, n, shares, distortion):
    """Logarithms of distorted posteriors of rows from three Gaussians, and their classes."""
    codes = rng.choice(3, size=n, p=shares)
    x = MEANS[codes] + rng.normal(size=(n, 2))
    scores = distortion * (np.log(SOURCE) - ((x[:, None] - MEANS) ** 2).sum(axis=2) / 2)
    return np.log(calibrated(scores, np.ones(3), np.array([0.4, 0.0, -0.4]))), codes


@pytest.mark.parametrize("part", ["slope", "offset", "source prior"])
def test_derivatives_of_the_mean_score_are_those_of_differences(part):
    rng = np.random.default_rng(0)
    logarithms = draw(rng, 200, TARGET, 1.5)[0]
    slope, offset, prior = np.array([0.7, 0.6, 0.8]), np.array([0.1, 0.2, -0.3]), SOURCE
    share = np.full((200, 1), 1 / 200)

    def mean_score(slope, offset, prior):
        return prior_scores(calibrated(logarithms, slope, offset), TARGET, prior).mean(axis=0)

    scores = prior_scores(calibrated(logarithms, slope, offset), TARGET, prior)
    products, mean = scores.T @ scores / 200, scores.mean(axis=0)
    jacobian = _jacobian(scores, share, TARGET, prior, products, mean, logarithms)
    place = ["slope", "offset", "source prior"].index(part)
    for z in range(3):
        change = 1e-6 * np.eye(3)[z]
        moves = [change if i == place else 0.0 for i in range(3)]
        up = mean_score(slope + moves[0], offset + moves[1], prior + moves[2])
        down = mean_score(slope - moves[0], offset - moves[1], prior - moves[2])
        expected = (up - down) / 2e-6
        np.testing.assert_allclose(jacobian[:, 3 * place + z], expected, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("kind", [None, *CalibrationKind])
def test_the_covariance_is_that_of_repetitions(kind):
    n_source, n_target, n_repetitions = 400, 300, 120
    rng = np.random.default_rng(1)
    distortion, priors, covariances = (1.0 if kind is None else 1.6), [], []
    for _ in range(n_repetitions):
        logarithms, codes = draw(rng, n_source, SOURCE, distortion)
        target = draw(rng, n_target, TARGET, distortion)[0]
        if kind is None:
            undo = np.ones(3), np.array([-0.4, 0.0, 0.4])
            h, new = calibrated(logarithms, *undo), calibrated(target, *undo)
            source_prior = h.mean(axis=0)
            source, known = source_covariance(h, source_prior), None
        else:
            found = calibrate(logarithms, codes, kind)
            h, new = (calibrated(a, found.slope, found.offset) for a in (logarithms, target))
            source_prior, known = h.mean(axis=0), target
            influence = calibration_influence(logarithms, codes, kind, found)
            source = source_covariance(h, source_prior, logarithms=logarithms, influence=influence)
        prior = shifted_prior(new, source_prior).prior
        priors.append(prior)
        covariances.append(
            shifted_prior_covariance(new, prior, source_prior, source, logarithms=known)
        )
    observed, expected = np.cov(np.array(priors).T), np.mean(covariances, axis=0)
    # A variance from 120 repetitions is off by 13 % (one standard error).
    np.testing.assert_allclose(np.diag(expected), np.diag(observed), rtol=0.4)
    np.testing.assert_allclose(expected.sum(axis=1), 0, atol=1e-12)
    np.testing.assert_allclose(expected, observed, atol=0.4 * np.diag(observed).max())


def test_certain_posteriors_have_the_errors_of_counts():
    labels = np.random.default_rng(0).choice(3, size=500, p=TARGET)
    found = shifted_prior_covariance(
        np.eye(3)[labels], shares := np.bincount(labels) / 500, SOURCE, np.zeros((9, 9))
    )
    np.testing.assert_allclose(found, (np.diag(shares) - np.outer(shares, shares)) / 500)


def test_weights_are_shares_of_the_rows():
    rng = np.random.default_rng(0)
    h = np.exp(draw(rng, 100, TARGET, 1.0)[0])
    noise = source_covariance(h, h.mean(axis=0))
    plain = shifted_prior_covariance(h, TARGET, SOURCE, noise)
    weighted = shifted_prior_covariance(h, TARGET, SOURCE, noise, weight=np.full(100, 7.0))
    np.testing.assert_allclose(weighted, plain, rtol=1e-12)
    padded = np.vstack([h, rng.random((20, 3))])
    weight = np.repeat([1.0, 0.0], [100, 20])
    without = shifted_prior_covariance(padded, TARGET, SOURCE, noise, weight=weight)
    np.testing.assert_allclose(without, plain, rtol=1e-12)


def test_classes_that_the_source_lacks_have_no_variance():
    h = np.exp(draw(np.random.default_rng(0), 100, TARGET, 1.0)[0])
    h[:, 2] = 0
    prior, source_prior = np.array([0.4, 0.6, 0.0]), np.array([0.5, 0.5, 0.0])
    found = shifted_prior_covariance(h, prior, source_prior, np.zeros((9, 9)))
    expected = shifted_prior_covariance(h[:, :2], prior[:2], source_prior[:2], np.zeros((6, 6)))
    np.testing.assert_allclose(found[:2, :2], expected)
    assert not found[2].any() and not found[:, 2].any()


def test_classes_that_cannot_be_told_apart_have_infinite_errors():
    h = np.full((50, 2), 0.5)
    noise = source_covariance(h + [[0.1, -0.1]] * np.resize([1, -1], 50)[:, None], h[0])
    found = shifted_prior_covariance(h, np.full(2, 0.5), np.full(2, 0.5), noise)
    np.testing.assert_array_equal(found, np.diag([np.inf, np.inf]))


def test_only_the_classes_that_are_alike_are_unknown():
    rng = np.random.default_rng(0)
    first = rng.uniform(0.1, 0.9, 200)
    h = np.stack([first, 0.5 * (1 - first), 0.5 * (1 - first)], axis=1)
    prior = h.mean(axis=0)
    found = shifted_prior_covariance(h, prior, prior, np.zeros((9, 9)))
    # The first class against the two others together is a problem of two classes.
    pair = np.stack([first, 1 - first], axis=1)
    expected = shifted_prior_covariance(
        pair, pair.mean(axis=0), pair.mean(axis=0), np.zeros((6, 6))
    )
    assert found[0, 0] == pytest.approx(expected[0, 0])
    assert np.isposinf(np.diag(found)[1:]).all()


@pytest.mark.parametrize("lacks", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("calibrates", [False, True])
def test_the_covariance_is_the_formula(calibrates, weighted, lacks):
    rng = np.random.default_rng(1)
    posteriors = rng.dirichlet(np.ones(4), size=60)
    source = np.array([0.4, 0.3, 0.2, 0.1]) * ([1, 1, 0, 1] if lacks else 1)
    prior = np.array([0.1, 0.2, 0.0 if lacks else 0.3, 0.4])
    prior /= prior.sum()
    weight = rng.uniform(0.5, 2.0, size=60) if weighted else np.ones(60)
    posteriors[7] = [0, 0, 1, 0] if lacks else 0.0  # says nothing
    logarithms = np.log(posteriors + 1e-3) if calibrates else None
    root = rng.normal(size=(12, 12))
    S = 1e-3 * root.T @ root
    found = shifted_prior_covariance(
        posteriors, prior, source, S, weight=weight, logarithms=logarithms
    )
    scores = prior_scores(posteriors, prior, source)
    share = np.where(np.arange(60) == 7, 0.0, weight)
    share /= share.sum()
    mean, A = share @ scores, (share[:, None] * scores).T @ scores
    residuals = share[:, None] * (scores - mean)
    J = _jacobian(scores, share[:, None], prior, source, A, mean, logarithms)
    if not calibrates:
        np.testing.assert_array_equal(J[:, :8], 0.0)
    live = np.flatnonzero(source > 0)
    T = np.zeros((4, len(live) - 1))
    T[live] = np.linalg.qr(np.eye(len(live)) - 1 / len(live))[0][:, :-1]
    inverse = T @ np.linalg.inv(T.T @ A @ T) @ T.T
    expected = inverse @ (residuals.T @ residuals + J @ S @ J.T) @ inverse
    np.testing.assert_allclose(found, expected, atol=1e-10 * np.abs(expected).max())
    np.testing.assert_allclose(found.sum(axis=0), 0.0, atol=1e-10 * np.abs(expected).max())


@pytest.mark.parametrize("weighted", [False, True])
def test_the_covariance_of_the_source_is_that_of_means(weighted):
    rng = np.random.default_rng(2)
    posteriors, influence = rng.dirichlet(np.ones(3), size=50), rng.normal(size=(50, 6))
    weight = rng.uniform(0.5, 2.0, size=50) if weighted else None
    share = np.full(50, 1 / 50) if weight is None else weight / weight.sum()
    prior = share @ posteriors
    alone = source_covariance(posteriors, prior, weight=weight)
    deviation = share[:, None] * (posteriors - prior)
    np.testing.assert_allclose(alone[6:, 6:], deviation.T @ deviation)
    np.testing.assert_array_equal(alone[:6], 0.0)
    logarithms = np.log(posteriors)
    found = source_covariance(
        posteriors, prior, weight=weight, logarithms=logarithms, influence=influence
    )

    def mean(slope, offset):
        moved = np.exp(slope * logarithms + offset)
        return share @ (moved / moved.sum(axis=1, keepdims=True))

    steps = 1e-6 * np.eye(3)
    J = [(mean(1 + s, 0) - mean(1 - s, 0)) / 2e-6 for s in steps]
    J += [(mean(1, s) - mean(1, -s)) / 2e-6 for s in steps]
    each = np.hstack([influence, posteriors - prior + influence @ np.array(J)]) * share[:, None]
    np.testing.assert_allclose(found, each.T @ each, rtol=1e-5, atol=1e-9)
