"""EM of Gaussian groups against loops over starts and groups, iteration by iteration."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.special import logsumexp
from scipy.stats import multivariate_normal

from clusterlib.solvers.gaussian import (
    CovariancePrior,
    CovarianceType,
    GroupModel,
    row_blocks,
)
from clusterlib.solvers.gaussian_em import classification_em, expectation_maximisation
from clusterlib.solvers.gaussian_moments import group_moments, indicators, lifted_moments

TYPES = list(CovarianceType)
PRIOR = CovariancePrior(0.4, 1.5)
N_GROUPS = 3


def rows(n=30, p=2, seed=0):
    rng = np.random.default_rng(seed)
    X = 1.5 * rng.normal(size=(N_GROUPS, p))[rng.integers(0, N_GROUPS, n)]
    X += rng.normal(size=(n, p)) * np.linspace(0.5, 1.5, p)
    return X - X.mean(axis=0)


def soft(n=30, n_starts=2, seed=1):
    draws = np.random.default_rng(seed).gamma(0.7, size=(n_starts, N_GROUPS, n))
    return draws / draws.sum(axis=1, keepdims=True)


def plain_covariances(X, memberships, kind):
    """Covariances of highest posterior of one start, as matrices, and which of them are free."""
    p, sizes = X.shape[1], memberships.sum(axis=1)
    scatters = []
    for m, size in zip(memberships, sizes, strict=True):
        centred = X - m @ X / max(size, 1e-300)
        scatters.append(centred.T @ (m[:, None] * centred))
    scatters = np.array(scatters)
    if kind is CovarianceType.TIED:
        S = (scatters.sum(axis=0) + PRIOR.scatter * np.eye(p)) / (len(X) + PRIOR.rows)
        return np.array([S] * len(sizes)), [S]
    if kind is CovarianceType.SPHERICAL:
        traces = np.trace(scatters, axis1=1, axis2=2) + p * PRIOR.scatter
        variances = traces / (p * (sizes + PRIOR.rows))
        found = [variance * np.eye(p) for variance in variances]
    else:
        found = [
            (S + PRIOR.scatter * np.eye(p)) / (size + PRIOR.rows)
            for S, size in zip(scatters, sizes, strict=True)
        ]
        if kind is CovarianceType.DIAG:
            found = [np.diag(np.diag(S)) for S in found]
    return np.array(found), found


def plain_step(X, memberships, kind, estimated, known=None):
    """Parameters of one start, log joint densities and the log density of the prior."""
    sizes = memberships.sum(axis=1)
    means = memberships @ X / np.maximum(sizes, 1e-300)[:, None]
    covariances, free = plain_covariances(X, memberships, kind) if known is None else (known, [])
    weights = np.full(N_GROUPS, 1 / N_GROUPS)
    if estimated:
        weights = np.maximum(sizes / len(X), 1e-3)
        weights = weights / weights.sum()
    joint = np.array([
        np.log(w) + multivariate_normal(m, S).logpdf(X)
        for w, m, S in zip(weights, means, covariances, strict=True)
    ])  # fmt: skip
    prior = -0.5 * sum(
        PRIOR.rows * np.linalg.slogdet(S)[1] + PRIOR.scatter * np.trace(np.linalg.inv(S))
        for S in free
    )
    return means, covariances, weights, joint, prior


def assert_groups(model, result, start, means, covariances, weights):
    assert_allclose(result.groups.means[start], means, rtol=1e-8, atol=1e-10)
    assert_allclose(model.matrices(result.groups)[start], covariances, rtol=1e-8, atol=1e-10)
    assert_allclose(result.groups.log_weights[start], np.log(weights), rtol=1e-9)


@pytest.mark.parametrize("max_iter", [1, 2, 6])
@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("kind", [*TYPES, "known"])
def test_em_is_that_of_plain_loops(kind, estimated, max_iter):
    X, known = rows(), None
    if kind == "known":
        kind, known = (
            CovarianceType.FULL,
            np.array([np.diag([1.0, 0.3 * j + 0.5]) for j in range(3)]),
        )
        known[0, 0, 1] = known[0, 1, 0] = 0.4
    model = GroupModel(kind, estimated, PRIOR, known)
    result = expectation_maximisation(X, soft(), model, max_iter=max_iter, tol=0.0)
    assert result.n_iter == max_iter
    assert not result.converged
    for start, memberships in enumerate(soft()):
        for _ in range(max_iter):
            *groups, joint, prior = plain_step(X, memberships, kind, estimated, known)
            memberships = np.exp(joint - logsumexp(joint, axis=0))
        assert_groups(model, result, start, *groups)
        likelihood = logsumexp(joint, axis=0).sum()
        assert_allclose(result.log_likelihood[start], likelihood, rtol=1e-10)
        assert_allclose(result.objective[start], likelihood + prior, rtol=1e-10)
        assert_array_equal(result.labels[start], joint.argmax(axis=0))
    assert result.labels.dtype == np.int32


@pytest.mark.parametrize("max_iter", [1, 2, 100])
@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_classification_em_is_that_of_plain_loops(kind, estimated, max_iter):
    X, model = rows(), GroupModel(kind, estimated, PRIOR)
    labels = np.random.default_rng(3).integers(0, N_GROUPS, (2, 30))
    result = classification_em(X, labels, N_GROUPS, model, max_iter=max_iter)
    n_iter, rests = [], []
    for start, found in enumerate(labels):
        n_iter.append(0)
        before = None
        while n_iter[-1] < max_iter and not np.array_equal(before, found):
            n_iter[-1] += 1
            memberships = (found == np.arange(N_GROUPS)[:, None]).astype(float)
            *groups, joint, prior = plain_step(X, memberships, kind, estimated)
            before, found = found, joint.argmax(axis=0)
        rests.append(np.array_equal(before, found))
        assert_groups(model, result, start, *groups)
        assert_array_equal(result.labels[start], found)
        likelihood = joint[found, np.arange(30)].sum()
        assert_allclose(result.log_likelihood[start], likelihood, rtol=1e-10)
        assert_allclose(result.objective[start], likelihood + prior, rtol=1e-10)
    assert result.n_iter == max(n_iter)
    assert result.converged == all(rests)
    assert result.labels.dtype == np.int32


@pytest.mark.parametrize("tol", [1e-2, 1e-4])
def test_em_ends_when_no_start_gains_more_than_the_tolerance_for_each_row(tol):
    X, model = rows(), GroupModel(CovarianceType.DIAG, True, PRIOR)
    objectives = np.array([
        expectation_maximisation(X, soft(), model, max_iter=k, tol=0.0).objective
        for k in range(1, 60)
    ])  # fmt: skip
    rests = (np.diff(objectives, axis=0) <= tol * 30).all(axis=1)
    result = expectation_maximisation(X, soft(), model, tol=tol)
    assert result.converged
    assert result.n_iter == np.flatnonzero(rests)[0] + 2
    assert_array_equal(result.objective, objectives[result.n_iter - 1])


def test_shares_of_a_thousandth_are_the_least():
    X, model = rows(), GroupModel(CovarianceType.SPHERICAL, True, PRIOR)
    memberships = indicators(np.zeros((1, 30), dtype=int), N_GROUPS)
    groups = model.groups(group_moments(X, memberships, CovarianceType.SPHERICAL))
    assert_allclose(np.exp(groups.log_weights), [[1 / 1.002, 1e-3 / 1.002, 1e-3 / 1.002]])
    assert_array_equal(groups.means[0, 1:], 0.0)


@pytest.mark.parametrize("estimated", [False, True])
@pytest.mark.parametrize("kind", TYPES)
def test_the_profile_likelihood_is_that_of_the_memberships(kind, estimated):
    X, memberships = rows(), soft()
    model = GroupModel(kind, estimated, PRIOR)
    moments = group_moments(X, memberships, kind)
    groups = model.groups(moments)
    expected = (memberships * model.log_joint(X, groups)).sum(axis=(1, 2))
    assert_allclose(model.profile_likelihood(groups, moments), expected, rtol=1e-10)


@pytest.mark.parametrize("kind", TYPES)
def test_groups_without_rows_leave_no_scatter_of_their_own(kind):
    X = rows()
    W = np.zeros((30, 4))
    W[:, 0], W[::2, 1] = 0.5, 0.5
    W[1::2, 2] = 0.5
    moments = lifted_moments(X, W, np.array([0, 0, 2, 1]), 3, kind)
    assert_allclose(moments.sizes, [[22.5, 0.0, 7.5]])
    parts = []
    for columns in ([0, 1], [3], [2]):
        total = np.zeros((2, 2))
        for column in columns:
            w = W[:, column]
            centred = X - w @ X / max(w.sum(), 1.0)
            total += centred.T @ (w[:, None] * centred)
        parts.append(total)
    found = GroupModel(kind, False, CovariancePrior(0.0, 1.0)).groups(moments)
    expected = [part / (size + 1) for part, size in zip(parts, [22.5, 0.0, 7.5], strict=True)]
    if kind is CovarianceType.TIED:
        expected = [sum(parts) / 31] * 3
    elif kind is not CovarianceType.FULL:
        expected = [np.diag(np.diag(part)) for part in expected]
        if kind is CovarianceType.SPHERICAL:
            expected = [np.trace(part) / 2 * np.eye(2) for part in expected]
    matrices = GroupModel(kind, False, PRIOR).matrices(found)[0]
    assert_allclose(matrices, expected, rtol=1e-10, atol=1e-12)


def test_a_weak_prior_is_a_fifth_of_a_row_of_groups_that_share_the_volume():
    prior = CovariancePrior.weak(8, 3)
    assert_allclose([prior.scatter, prior.rows], [0.2 / 4, 0.2])
    assert_allclose(CovariancePrior.weak(9, 1).scatter, 0.2 / 81)


@pytest.mark.parametrize(
    ("n", "numbers", "expected"),
    [
        (100, 1 << 15, [32, 32, 32, 4]),
        (100, 1 << 16, [16] * 6 + [4]),
        (50, 1 << 30, [16, 16, 16, 2]),
        (50, 0, [50]),
        (1 << 20, 1, [1 << 20]),
        ((1 << 20) + 1, 1, [1 << 20, 1]),
        (0, 3, []),
    ],
)
def test_blocks_of_rows_hold_eight_mebibytes_or_sixteen_rows(n, numbers, expected):
    blocks = list(row_blocks(n, numbers))
    assert [min(rows.stop, n) - rows.start for rows in blocks] == expected


def test_only_tied_covariances_and_equal_shares_make_groups_alike():
    alike = {
        (kind, estimated)
        for kind in TYPES
        for estimated in (False, True)
        if GroupModel(kind, estimated, PRIOR).is_exchangeable
    }
    assert alike == {(CovarianceType.TIED, False)}
    assert [kind for kind in TYPES if kind.is_matrix] == [CovarianceType.FULL, CovarianceType.TIED]


@pytest.mark.parametrize("kind", TYPES)
def test_densities_do_not_depend_on_how_rows_are_cut(kind):
    """More numbers than fit into one block, for three groups of 60 features."""
    X = np.random.default_rng(0).normal(size=(7000, 60))
    memberships = soft(7000, 1)
    model = GroupModel(kind, True, PRIOR)
    groups = model.groups(group_moments(X, memberships, kind))
    joint = model.log_joint(X, groups)
    for start in (0, 5800, 6990):
        part = model.log_joint(X[start : start + 10], groups)
        assert_allclose(part, joint[:, :, start : start + 10], rtol=1e-10)
