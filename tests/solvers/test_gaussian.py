"""Gaussian groups: moments against their definition, modes that are modes, densities of scipy."""

import numpy as np
import pytest
from scipy.optimize import minimize
from scipy.stats import multivariate_normal

from clusterlib.solvers.gaussian import CovariancePrior, CovarianceType, GaussianGroups, GroupModel
from clusterlib.solvers.gaussian_em import classification_em, expectation_maximisation
from clusterlib.solvers.gaussian_moments import group_moments, indicators, lifted_moments

TYPES = list(CovarianceType)
PRIOR = CovariancePrior(0.4, 1.0)


def rows(n=60, p=3, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, p)) @ np.diag([1.0, 2.0, 0.3][:p])
    return X - X.mean(axis=0)


def soft(n=60, n_groups=3, n_starts=2, seed=1):
    draws = np.random.default_rng(seed).gamma(0.5, size=(n_starts, n_groups, n))
    return draws / draws.sum(axis=1, keepdims=True)


def scatter_of(X, memberships):
    deviations = X - memberships @ X / memberships.sum()
    return deviations.T @ (memberships[:, None] * deviations)


def part_of(scatters, covariance_type):
    """What a type keeps of matrices of shape (n_starts, n_groups, p, p)."""
    if covariance_type is CovarianceType.FULL:
        return scatters
    if covariance_type is CovarianceType.TIED:
        return scatters.sum(axis=1)
    diagonals = np.diagonal(scatters, axis1=-2, axis2=-1)
    return diagonals if covariance_type is CovarianceType.DIAG else diagonals.sum(axis=-1)


@pytest.mark.parametrize("covariance_type", TYPES)
@pytest.mark.parametrize(("n", "p"), [(60, 3), (3000, 30), (60, 140)])
def test_moments_are_what_they_say(covariance_type, n, p):
    # 3000 rows of 30 features make several blocks of products, and 140 features none.
    X = np.random.default_rng(0).normal(size=(n, p))
    memberships = soft(n)
    moments = group_moments(X, memberships, covariance_type)
    np.testing.assert_allclose(moments.sizes, memberships.sum(axis=2))
    means = memberships @ X / memberships.sum(axis=2)[..., None]
    np.testing.assert_allclose(moments.means, means, atol=1e-13)
    scatters = np.array([[scatter_of(X, m) for m in start] for start in memberships])
    expected = part_of(scatters, covariance_type)
    np.testing.assert_allclose(moments.scatters, expected, atol=1e-12 * n)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_lifted_scatter_is_that_of_the_membership_matrices(covariance_type):
    X = rows()
    W = np.random.default_rng(2).dirichlet(np.full(6, 0.4), size=len(X))
    group = np.repeat(np.arange(3), 2)
    scatters = np.empty((1, 3, 3, 3))
    for k in range(3):
        columns = W[:, group == k]
        Z = columns / columns.sum(axis=0) @ columns.T
        scatters[0, k] = X.T @ (np.diag(Z.sum(axis=1)) - Z) @ X
    moments = lifted_moments(X, W, group, 3, covariance_type)
    np.testing.assert_allclose(moments.scatters, part_of(scatters, covariance_type), atol=1e-12)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_lifted_scatter_of_a_partition_is_its_scatter(covariance_type):
    X, labels = rows(), np.arange(60) % 3
    one = indicators(labels[None], 3)
    lifted = lifted_moments(X, one[0].T, np.arange(3), 3, covariance_type)
    for left, right in zip(lifted, group_moments(X, one, covariance_type), strict=True):
        np.testing.assert_allclose(left, right, atol=1e-13)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_log_joint_is_that_of_scipy(covariance_type, estimated):
    X, model = rows(), GroupModel(covariance_type, estimated, PRIOR)
    groups = model.groups(group_moments(X, soft(), covariance_type))
    joint = model.log_joint(X, groups)
    assert joint.shape == (2, 3, 60)
    matrices = model.matrices(groups)
    for start in range(2):
        for k in range(3):
            theirs = multivariate_normal(groups.means[start, k], matrices[start, k]).logpdf(X)
            theirs += groups.log_weights[start, k]
            np.testing.assert_allclose(joint[start, k], theirs, rtol=1e-11, atol=1e-11)
    weights = np.exp(groups.log_weights)
    np.testing.assert_allclose(weights.sum(axis=1), 1.0)
    assert estimated == (np.ptp(weights) > 1e-3)


@pytest.mark.parametrize("covariance_type", [CovarianceType.DIAG, CovarianceType.SPHERICAL])
def test_few_parameters_are_at_the_mode_of_the_posterior(covariance_type):
    X, model = rows(30), GroupModel(covariance_type, False, PRIOR)
    memberships = indicators(np.arange(30)[None] % 2, 2)
    groups = model.groups(group_moments(X, memberships, covariance_type))

    def cost(logarithms):
        covariances = np.exp(logarithms).reshape(groups.covariances.shape)
        moved = groups._replace(covariances=covariances)
        likelihood = (memberships * model.log_joint(X, moved)).sum()
        return -(likelihood + model.log_prior(moved)[0])

    best = np.log(groups.covariances).ravel()
    found = minimize(cost, best + 0.3, method="BFGS")
    np.testing.assert_allclose(found.x, best, atol=1e-4)


@pytest.mark.parametrize("covariance_type", [CovarianceType.FULL, CovarianceType.TIED])
def test_matrices_are_at_the_mode_of_the_posterior(covariance_type):
    X, model = rows(30), GroupModel(covariance_type, False, PRIOR)
    memberships = indicators(np.arange(30)[None] % 2, 2)
    groups = model.groups(group_moments(X, memberships, covariance_type))

    def value(covariances):
        moved = groups._replace(covariances=covariances)
        return (memberships * model.log_joint(X, moved)).sum() + model.log_prior(moved)[0]

    best, rng = value(groups.covariances), np.random.default_rng(0)
    for _ in range(30):
        noise = rng.normal(size=groups.covariances.shape)
        noise = noise + np.swapaxes(noise, -1, -2)
        step = 1e-4 * groups.covariances[..., :1, :1] * noise
        # A mode: both directions lose, and what they lose is of second order.
        left, right = value(groups.covariances + step), value(groups.covariances - step)
        assert max(left, right) < best
        assert abs(left - right) < 0.1 * (2 * best - left - right)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("covariance_type", TYPES)
def test_em_and_classification_em_never_lose(covariance_type, estimated):
    X, model = rows(80), GroupModel(covariance_type, estimated, PRIOR)
    labels = np.random.default_rng(3).integers(3, size=(4, 80))
    memberships = indicators(labels, 3)
    for run in (
        lambda m: expectation_maximisation(X, memberships, model, max_iter=m, tol=0),
        lambda m: classification_em(X, labels, 3, model, max_iter=m),
    ):
        objectives = np.array([run(m).objective for m in range(1, 12)])
        assert (np.diff(objectives, axis=0) >= -1e-9 * np.abs(objectives[:-1])).all()
        assert (objectives[-1] > objectives[0]).all()


def test_starts_do_not_see_each_other():
    X, model = rows(80), GroupModel(CovarianceType.FULL, True, PRIOR)
    labels = np.random.default_rng(3).integers(3, size=(4, 80))
    together = classification_em(X, labels, 3, model)
    for start in range(4):
        alone = classification_em(X, labels[start : start + 1], 3, model)
        np.testing.assert_array_equal(together.labels[start], alone.labels[0])
        np.testing.assert_allclose(together.objective[start], alone.objective[0])


def test_a_converged_classification_is_that_of_its_parameters():
    X, model = rows(80), GroupModel(CovarianceType.DIAG, True, PRIOR)
    result = classification_em(X, np.arange(80)[None] % 3, 3, model)
    assert result.converged
    groups = model.groups(group_moments(X, indicators(result.labels, 3), CovarianceType.DIAG))
    np.testing.assert_array_equal(model.log_joint(X, groups).argmax(axis=1), result.labels)


@pytest.mark.parametrize("covariance_type", TYPES)
def test_a_group_without_rows_gets_the_covariance_of_the_prior(covariance_type):
    X, model = rows(20), GroupModel(covariance_type, True, PRIOR)
    memberships = indicators(np.zeros((1, 20), dtype=int), 2)
    groups = model.groups(group_moments(X, memberships, covariance_type))
    assert np.isfinite(model.log_joint(X, groups)).all()
    assert np.exp(groups.log_weights[0, 1]) == pytest.approx(1e-3, rel=2e-3)
    if covariance_type is not CovarianceType.TIED:
        np.testing.assert_allclose(model.matrices(groups)[0, 1], 0.4 * np.eye(3))


@pytest.mark.parametrize("covariance_type", TYPES)
def test_rows_that_are_all_the_same_stay_finite(covariance_type):
    X, model = np.zeros((10, 2)), GroupModel(covariance_type, False, PRIOR)
    result = classification_em(X, np.arange(10)[None] % 2, 2, model)
    assert np.isfinite(result.objective).all()


def test_known_covariances_stay():
    X, known = rows(40), np.stack([np.eye(3), 4 * np.eye(3)])
    model = GroupModel(CovarianceType.FULL, True, PRIOR, known)
    result = expectation_maximisation(X, indicators(np.arange(40)[None] % 2, 2), model)
    np.testing.assert_array_equal(result.groups.covariances[0], known)
    assert model.log_prior(result.groups) == 0


def test_groups_of_a_start():
    groups = GaussianGroups(np.zeros((3, 2, 1)), np.arange(6.0).reshape(3, 2), np.zeros((3, 2)))
    np.testing.assert_array_equal(groups.of_start(1).covariances, [[2.0, 3.0]])


def test_known_covariances_serve_all_starts_at_once():
    X, known = rows(40), np.stack([np.eye(3), 4 * np.eye(3)])
    model = GroupModel(CovarianceType.FULL, True, PRIOR, known)
    labels = np.random.default_rng(1).integers(2, size=(3, 40))
    moments = group_moments(X, indicators(labels, 2), CovarianceType.FULL)
    groups = model.groups(moments)
    estimated = model._replace(covariances=None)
    np.testing.assert_allclose(model.log_joint(X, groups), estimated.log_joint(X, groups))
    np.testing.assert_allclose(
        model.profile_likelihood(groups, moments), estimated.profile_likelihood(groups, moments)
    )
    cheap = group_moments(X, indicators(labels, 2), model.needed_moments)
    assert cheap.scatters.shape == (3, 2)
    np.testing.assert_allclose(model.groups(cheap).means, groups.means)
