"""Steps of Gaussian classes with wrong labels where the numbers are extreme, and their prior."""

import numpy as np
import pytest
from numpy.testing import assert_allclose
from scipy.stats import dirichlet, invwishart, multivariate_normal

from clusterlib.blocks import as_blocks
from clusterlib.solvers.noisy_gaussian_steps import ClassAssumptions
from clusterlib.solvers.noisy_gaussian_sweep import ClassDensities, label_statistics

K, M = 3, 2


def drawn(n=60, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.arange(n) % K
    return rng.normal(size=(n, M)) + 3.0 * codes[:, None], codes


def assumed(X, shrinkage=7.0, ridge=0.1, mean_rows=2.0, **changes):
    options = {
        "total": float(len(X)),
        "overall_mean": X.mean(axis=0),
        "mean_rows": mean_rows,
        "shrinkage": shrinkage,
        "ridge": ridge,
        "transition_prior": np.full((K, K), 0.1) + 0.7 * np.eye(K),
        "transition_rows": 5.0,
    }
    return ClassAssumptions(**(options | changes))


def first(X, codes, assumptions):
    centers = np.array([X[codes == k].mean(axis=0) for k in range(K)])
    n_scatters = 1 if assumptions.is_shared else K
    statistics = label_statistics(as_blocks(X), codes, None, centers, n_scatters)
    return assumptions.first_step(statistics, centers), statistics


@pytest.mark.parametrize("offset", [0.0, 1e9, 1e-90])
@pytest.mark.parametrize("shrinkage", [7.0, np.inf])
def test_equal_rows_have_the_variance_of_their_rounding(offset, shrinkage):
    X = np.full((60, M), offset) * [1.0, 2.0]
    step, _ = first(X, np.arange(60) % K, assumed(X, shrinkage))
    # 4 eps of the mean in each feature, squared; or what may be inverted.
    rounding = np.mean(np.square(4 * np.finfo(float).eps * X[0]))
    level = 0.1 * max(rounding, 1e-200)
    assert_allclose(step.pooled, level * np.eye(M), rtol=1e-9, atol=1e-9 * level)
    rows = 20 + 7.0
    expected = step.pooled * (1.0 if np.isinf(shrinkage) else 7.0 / rows)
    assert_allclose(step.covariances[0], expected, rtol=1e-9, atol=1e-9 * level)


@pytest.mark.parametrize("shrinkage", [1e99, 1e101, 1e250])
def test_a_shrinkage_beyond_all_rows_leaves_the_pooled_covariance(shrinkage):
    X, codes = drawn()
    X *= 1e100
    step, _ = first(X, codes, assumed(X, shrinkage))
    assert_allclose(step.covariances, np.repeat(step.pooled[None], K, axis=0), rtol=1e-12)


@pytest.mark.parametrize("shrinkage", [4.0, np.inf])
def test_the_prior_is_that_of_known_densities(shrinkage):
    X, codes = drawn()
    assumptions = assumed(X, shrinkage)
    one, _ = first(X, codes, assumptions)
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(K))
    transition = rng.dirichlet(np.ones(K), K)
    other = one._replace(
        means=one.means + rng.normal(size=one.means.shape),
        covariances=one.covariances * 1.7 + 0.3 * np.eye(M),
        transition=transition,
        class_prior=shares,
    )

    def prior(parameters):
        densities = ClassDensities(parameters.means, parameters.covariances, None)
        return assumptions.log_prior(parameters, densities)

    def known(p):
        total = 0.0
        for k in range(K):
            normal = multivariate_normal(assumptions.overall_mean, p.pooled / 2.0)
            total += normal.logpdf(p.means[k])
            total += dirichlet.logpdf(p.transition[k], 1 + 5.0 * assumptions.transition_prior[k])
        # A mode at P: with nu rows, or with what the ridge counts for where one is shared.
        rows, scale = shrinkage, p.pooled
        if np.isinf(shrinkage):
            rows = 60 * 0.1 / 0.9
            scale = np.eye(M) * p.pooled.trace() / M
        for covariance in p.covariances:
            freedom = rows - M - 1
            if freedom > M - 1:
                total += invwishart.logpdf(covariance, freedom, rows * scale)
        return total + dirichlet.logpdf(p.class_prior, np.full(K, 2.0))

    if np.isinf(shrinkage):
        assert_allclose(prior(other) - prior(one), known(other) - known(one), rtol=1e-9)
    else:
        same = other._replace(covariances=one.covariances)
        assert_allclose(prior(same) - prior(one), known(same) - known(one), rtol=1e-9)
        wide = assumed(X, 9.0)
        densities = [ClassDensities(p.means, p.covariances, None) for p in (one, other)]
        found = wide.log_prior(other, densities[1]) - wide.log_prior(one, densities[0])
        shrinkage = 9.0
        assert_allclose(found, known(other) - known(one), rtol=1e-9)


@pytest.mark.parametrize("shrinkage", [7.0, np.inf])
def test_the_first_step_has_the_modes_of_its_parts(shrinkage):
    X, codes = drawn()
    step, _ = first(X, codes, assumed(X, shrinkage))
    origin, scatters = X.mean(axis=0), []
    for k in range(K):
        mean = (X[codes == k].sum(axis=0) + 2.0 * origin) / (20 + 2.0)
        assert_allclose(step.means[k], mean, rtol=1e-12)
        scatters.append((X[codes == k] - mean).T @ (X[codes == k] - mean))
    pooled = sum(scatters) / 60
    pooled = 0.9 * pooled + 0.1 * np.trace(pooled) / M * np.eye(M)
    assert_allclose(step.pooled, pooled, rtol=1e-12)
    expected = [(scatter + 7.0 * pooled) / (20 + 7.0) for scatter in scatters]
    assert_allclose(step.covariances, [pooled] if np.isinf(shrinkage) else expected, rtol=1e-11)
    counts = 20 * np.eye(K) + 5.0 * (np.full((K, K), 0.1) + 0.7 * np.eye(K))
    assert_allclose(step.transition, counts / 25.0, rtol=1e-12)
    assert_allclose(step.class_prior, np.full(K, 21 / 63), rtol=1e-12)
