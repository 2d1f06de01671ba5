"""Class shares from a confusion matrix: the inverse, the simplex, errors by repetition."""

import numpy as np
import pytest
from scipy.optimize import minimize

from clusterlib.solvers.confusion_prior import (
    class_confusion,
    confusion_covariance,
    confusion_prior,
)


def stochastic(k, seed, strength=3.0):
    rng = np.random.default_rng(seed)
    matrix = rng.random((k, k)) + strength * np.eye(k)
    return matrix / matrix.sum(axis=0)


def solved_by_scipy(confusion, predicted):
    k = len(predicted)
    found = minimize(
        lambda p: np.sum((confusion @ p - predicted) ** 2),
        np.full(k, 1 / k),
        jac=lambda p: 2 * confusion.T @ (confusion @ p - predicted),
        method="SLSQP",
        bounds=[(0, 1)] * k,
        constraints={"type": "eq", "fun": lambda p: p.sum() - 1},
        options={"ftol": 1e-16, "maxiter": 1000},
    )
    return found.x


@pytest.mark.parametrize("k", [1, 2, 3, 10])
def test_exact_predictions_are_inverted(k):
    confusion = stochastic(k, seed=k)
    prior = np.random.default_rng(k).dirichlet(np.ones(k))
    result = confusion_prior(confusion, confusion @ prior)
    np.testing.assert_allclose(result.prior, prior, atol=1e-10)
    np.testing.assert_allclose(result.unconstrained, prior, atol=1e-10)
    assert result.residual < 1e-10
    assert result.condition == pytest.approx(np.linalg.cond(confusion))


@pytest.mark.parametrize("seed", range(10))
def test_the_nearest_prior_of_the_simplex_is_found(seed):
    confusion = stochastic(5, seed, strength=0.5)
    predicted = np.random.default_rng(seed).dirichlet(np.full(5, 0.5))
    result = confusion_prior(confusion, predicted)
    other = solved_by_scipy(confusion, predicted)
    assert result.unconstrained.min() < 0 and result.prior.min() >= 0
    assert result.prior.sum() == pytest.approx(1, abs=1e-14)
    assert result.residual <= np.linalg.norm(confusion @ other - predicted) + 1e-9
    np.testing.assert_allclose(result.prior, other, atol=1e-5)
    # Optimality: no class has a gradient below that of the classes in use.
    gradient = confusion.T @ (confusion @ result.prior - predicted)
    used = result.prior > 1e-12
    np.testing.assert_allclose(gradient[used], gradient[used][0], atol=1e-10)
    assert (gradient >= gradient[used][0] - 1e-10).all()


def test_two_classes_are_clipped():
    confusion = np.array([[0.9, 0.2], [0.1, 0.8]])
    for share in (0.1, 0.2, 0.55, 0.9, 0.95):
        expected = np.clip((share - 0.2) / 0.7, 0, 1)
        found = confusion_prior(confusion, np.array([share, 1 - share])).prior
        np.testing.assert_allclose(found, [expected, 1 - expected], atol=1e-12)


def test_a_matrix_without_inverse_is_told():
    confusion = np.array([[0.5, 0.5], [0.5, 0.5]])
    result = confusion_prior(confusion, np.array([0.5, 0.5]))
    assert result.condition == np.inf
    assert np.isfinite(result.prior).all() and result.prior.sum() == pytest.approx(1)
    rows = np.full((4, 2), 0.5)
    codes = np.array([0, 1, 0, 1])
    found = confusion_covariance(confusion, result.prior, rows, codes, rows)
    assert np.isinf(np.diag(found)).all()


def test_confusion_is_the_mean_within_a_class():
    rng = np.random.default_rng(0)
    predictions, codes = rng.dirichlet(np.ones(3), size=50), np.arange(50) % 3
    weight = rng.integers(1, 4, size=50)
    found = class_confusion(predictions, codes, 3, weight=weight)
    for y in range(3):
        expected = np.average(predictions[codes == y], axis=0, weights=weight[codes == y])
        np.testing.assert_allclose(found[:, y], expected)
    repeated = class_confusion(np.repeat(predictions, weight, axis=0), np.repeat(codes, weight), 3)
    np.testing.assert_allclose(found, repeated)


@pytest.mark.parametrize("soft", [False, True])
def test_the_covariance_is_that_of_repetitions(soft):
    rng = np.random.default_rng(0)
    confusion, target = stochastic(3, 0), np.array([0.2, 0.3, 0.5])

    def predictions(codes):
        means = confusion.T[codes]
        if soft:
            parts = rng.standard_gamma(5 * means)
            return parts / parts.sum(axis=1, keepdims=True)
        return np.eye(3)[(means.cumsum(axis=1) < rng.random((len(codes), 1))).sum(axis=1)]

    priors, covariances = [], []
    codes = np.repeat([0, 1, 2], [200, 100, 60])
    for _ in range(200):
        source, new = predictions(codes), predictions(rng.choice(3, size=150, p=target))
        found = class_confusion(source, codes, 3)
        result = confusion_prior(found, new.mean(axis=0))
        priors.append(result.unconstrained)
        covariances.append(confusion_covariance(found, target, source, codes, new))
    observed, expected = np.cov(np.array(priors).T), np.mean(covariances, axis=0)
    np.testing.assert_allclose(np.diag(expected), np.diag(observed), rtol=0.3)
    np.testing.assert_allclose(expected.sum(axis=1), 0, atol=1e-12)


@pytest.mark.parametrize("weighted", [False, True])
def test_the_covariance_is_that_of_its_formula(weighted):
    """``C^-1 (V_t + sum_y prior_y^2 V_y) C^-T`` with covariances of weighted means."""
    rng = np.random.default_rng(0)
    predictions, codes = rng.dirichlet(np.ones(3), size=30), np.arange(30) % 3
    target = rng.dirichlet(np.ones(3), size=20)
    prior = np.array([0.2, 0.3, 0.5])
    weight, target_weight = rng.uniform(0.5, 2, 30), rng.uniform(0.5, 2, 20)
    given = {"weight": weight, "target_weight": target_weight} if weighted else {}
    if not weighted:
        weight, target_weight = np.ones(30), np.ones(20)
    confusion = class_confusion(predictions, codes, 3, weight=weight)

    def covariance(rows, shares):
        shares = shares / shares.sum()
        deviations = shares[:, None] * (rows - shares @ rows)
        return deviations.T @ deviations

    total = covariance(target, target_weight)
    for y in range(3):
        total += prior[y] ** 2 * covariance(predictions[codes == y], weight[codes == y])
    inverse = np.linalg.inv(confusion)
    found = confusion_covariance(confusion, prior, predictions, codes, target, **given)
    np.testing.assert_allclose(found, inverse @ total @ inverse.T, rtol=1e-10, atol=1e-14)


@pytest.mark.parametrize(("smallest", "invertible"), [(1.1e-12, True), (0.9e-12, False)])
def test_what_counts_as_no_inverse(smallest, invertible):
    confusion = np.diag([1.0, smallest])
    result = confusion_prior(confusion, np.array([0.5, 0.5]))
    assert np.isfinite(result.condition) == invertible
    rows, codes = np.full((4, 2), 0.5), np.array([0, 1, 0, 1])
    found = confusion_covariance(confusion, np.array([0.5, 0.5]), rows, codes, rows)
    assert np.isfinite(found).all() == invertible
    if not invertible:
        np.testing.assert_array_equal(found, np.diag([np.inf, np.inf]))
        np.testing.assert_allclose(result.unconstrained, [0.5, 0.0])
