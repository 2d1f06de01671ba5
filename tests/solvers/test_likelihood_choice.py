"""Choices that the data make: a criterion that is right on average, dimensions that compare."""

import numpy as np
import pytest

from clusterlib.solvers import CovarianceType, aic_of_rest, candidate_dimensions
from clusterlib.solvers.gaussian import CovariancePrior, GroupModel
from clusterlib.solvers.gaussian_moments import group_moments, indicators
from clusterlib.solvers.likelihood_choice import corrected_aic

TYPES = list(CovarianceType)
NO_PRIOR = CovariancePrior(0.0, 0.0)


def fitted(X, labels, covariance_type, estimated=False):
    """Model, parameters and memberships of a partition, without any prior."""
    model = GroupModel(covariance_type, estimated, NO_PRIOR)
    memberships = indicators(labels[None], int(labels.max()) + 1)
    groups = model.groups(group_moments(X, memberships, covariance_type))
    return model, groups, memberships


def log_likelihood(model, groups, memberships, X):
    return float((memberships * model.log_joint(X, groups)).sum())


@pytest.mark.parametrize("covariance_type", TYPES)
def test_criterion_is_what_new_rows_lose_on_average(covariance_type):
    # Two groups of 12 and 20 rows in 3 dimensions; AIC itself is 19 too low for full covariances.
    rng, labels = np.random.default_rng(0), np.repeat([0, 1], [12, 20])
    differences = []
    for _ in range(2000):
        X, fresh = rng.normal(size=(2, 32, 3))
        model, groups, memberships = fitted(X, labels, covariance_type)
        likelihood = log_likelihood(model, groups, memberships, X)
        criterion = corrected_aic(model, likelihood, memberships[0].sum(axis=1), 3)
        differences.append(criterion + 2 * log_likelihood(model, groups, memberships, fresh))
    error = np.std(differences) / np.sqrt(len(differences))
    assert abs(np.mean(differences)) < 4 * error
    assert error < 1.2


def test_shares_cost_one_parameter_each():
    sizes = np.array([10.0, 20.0, 30.0])
    criteria = [
        corrected_aic(GroupModel(CovarianceType.DIAG, estimated, NO_PRIOR), -5.0, sizes, 2)
        for estimated in (False, True)
    ]
    assert criteria[1] - criteria[0] == pytest.approx(4.0)


def test_many_rows_leave_the_criterion_of_akaike():
    numbers = {
        CovarianceType.FULL: 2 * (3 + 6),
        CovarianceType.TIED: 2 * 3 + 6,
        CovarianceType.DIAG: 2 * 6,
        CovarianceType.SPHERICAL: 2 * 4,
    }
    for covariance_type, number in numbers.items():
        model = GroupModel(covariance_type, False, NO_PRIOR)
        criterion = corrected_aic(model, 0.0, np.array([1e9, 1e9]), 3)
        assert criterion == pytest.approx(2 * number, rel=1e-6)


def test_groups_with_too_few_rows_are_no_choice():
    model = GroupModel(CovarianceType.FULL, False, NO_PRIOR)
    assert corrected_aic(model, 0.0, np.array([5.0, 50.0]), 3) == np.inf
    assert np.isfinite(corrected_aic(model, 0.0, np.array([6.0, 50.0]), 3))


def test_a_reduction_that_splits_one_group_costs_the_same():
    X = np.random.default_rng(0).normal(size=(20_000, 5)) * [3.0, 2.0, 1.5, 1.0, 0.5]
    X -= X.mean(axis=0)
    variances, axes = np.linalg.eigh(X.T @ X / len(X))
    labels = np.zeros(len(X), dtype=int)
    criteria = []
    for q in (5, 2):
        coordinates = X @ axes[:, 5 - q :]
        model, groups, memberships = fitted(coordinates, labels, CovarianceType.FULL)
        likelihood = log_likelihood(model, groups, memberships, coordinates)
        criteria.append(corrected_aic(model, likelihood, np.array([len(X)]), q))
    rest = aic_of_rest(variances[:3][::-1], 2, len(X))
    # Terms of small samples differ by parameters^2 / n.
    assert criteria[1] + rest == pytest.approx(criteria[0], abs=0.05)


def test_noise_is_left_out_and_groups_are_not():
    # Groups differ in the smallest directions, which principal components do not see.
    rng, labels = np.random.default_rng(0), np.arange(300) % 2
    noise = rng.normal(size=(300, 6)) * [9.0, 8.0, 7.0, 6.0, 1.0, 1.0]
    hidden = noise.copy()
    hidden[:, 5] += 6 * labels
    shown = noise.copy()
    shown[:, 0] += 60 * labels
    for X, is_better in ((hidden, False), (shown, True)):
        centred = X - X.mean(axis=0)
        variances, axes = np.linalg.eigh(centred.T @ centred / 300)
        criteria = []
        for q in (6, 3):
            coordinates = centred @ axes[:, 6 - q :]
            model, groups, memberships = fitted(coordinates, labels, CovarianceType.FULL)
            likelihood = log_likelihood(model, groups, memberships, coordinates)
            criteria.append(corrected_aic(model, likelihood, np.array([150.0, 150.0]), q))
        assert (criteria[1] + aic_of_rest(variances[:3][::-1], 3, 300) < criteria[0]) == is_better


@pytest.mark.parametrize(
    ("shape", "dimensions"),
    [
        ((150, 8, 3), (8,)),
        ((150, 9, 3), (6, 9)),
        ((107, 9, 3), (6,)),
        ((108, 9, 3), (6, 9)),
        ((10**6, 65, 3), (6,)),
        ((10**6, 64, 3), (6, 64)),
        ((5, 1, 1), (1,)),
        ((5, 100, 1), (2,)),
    ],
)
def test_dimensions_to_try(shape, dimensions):
    assert candidate_dimensions(*shape) == dimensions


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("p", [1, 2, 5])
def test_criterion_is_the_sum_of_its_terms(covariance_type, estimated, p):
    model = GroupModel(covariance_type, estimated, CovariancePrior(1.5, 0.7))
    sizes = np.array([20, 31, 47])
    # Parameters, numbers they are estimated from, and numbers that are lost.
    if covariance_type is CovarianceType.TIED:
        terms = [(3 * p + p * (p + 1) / 2, 98 + model.prior.rows, 3 + p + 1)]
    elif covariance_type is CovarianceType.FULL:
        terms = [(p + p * (p + 1) / 2, m + model.prior.rows, p + 2) for m in sizes]
    elif covariance_type is CovarianceType.DIAG:
        terms = [(2, m + model.prior.rows, 3) for m in sizes for _ in range(p)]
    else:
        terms = [(p + 1, p * (m + model.prior.rows), p + 2) for m in sizes]
    expected = 2 * 77.0 + 2 * sum(q * m / (m - lost) for q, m, lost in terms)
    expected += 2 * (3 - 1) if estimated else 0
    assert corrected_aic(model, -77.0, sizes, p) == pytest.approx(expected, rel=1e-12)


def test_the_rest_is_a_regression_on_what_is_kept():
    variances, n, kept = np.array([0.5, 2.0, 0.1]), 50, 2
    # Each direction has an intercept and a slope for each component; one covariance for all.
    n_parameters = 3 * (1 + kept) + 3 * 4 / 2
    logs = -0.5 * n * sum(np.log(2 * np.pi * v) + 1 for v in variances)
    expected = -2 * logs + 2 * n_parameters * n / (n - (3 + kept + 2))
    assert aic_of_rest(variances, kept, n) == pytest.approx(expected, rel=1e-12)
    assert aic_of_rest(variances, kept, 7) == np.inf
    assert np.isfinite(aic_of_rest(variances, kept, 8))
