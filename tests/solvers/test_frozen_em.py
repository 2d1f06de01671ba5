"""EM over the domains, with classes that stay as they are."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy.optimize import minimize
from scipy.special import softmax

from clusterlib.blocks import as_blocks
from clusterlib.solvers import frozen_em


def problem(n=400, k=3, r=4, sharpness=3.0, seed=0):
    """Class probabilities of rows, their domains, and a start."""
    rng = np.random.default_rng(seed)
    marginals = rng.dirichlet(np.ones(k), size=r)
    domains = rng.integers(0, r, n).astype(np.int32)
    classes = (rng.random(n)[:, None] > marginals[domains].cumsum(axis=1)).sum(axis=1)
    h = softmax(sharpness * np.eye(k)[classes] + rng.normal(size=(n, k)), axis=1)
    return h, np.full((r, k), 1.0 / r), domains


def objective(h, D, domains):
    """What EM maximises, the half row of the prior included."""
    likelihood = np.log((h * D[domains]).sum(axis=1)).sum()
    return likelihood + 0.5 / len(D) * np.log(D).sum()


def test_it_ends_in_the_maximum_of_a_concave_problem():
    h, start, domains = problem()
    fit = frozen_em(h, start, domains, max_iter=5000, tol=1e-12)
    assert fit.converged

    def loss(theta):
        return -objective(h, softmax(theta.reshape(start.shape), axis=0), domains)

    other = minimize(loss, np.zeros(start.size), method="BFGS", options={"gtol": 1e-6})
    assert_allclose(objective(h, fit.domain_given_class, domains), -other.fun, rtol=1e-9)
    best = softmax(other.x.reshape(start.shape), axis=0)
    assert_allclose(fit.domain_given_class, best, atol=2e-5)


def test_the_objective_never_falls():
    h, D, domains = problem(seed=1)
    values = [objective(h, D, domains)]
    for _ in range(30):
        D = frozen_em(h, D, domains, max_iter=1).domain_given_class
        values.append(objective(h, D, domains))
    assert (np.diff(values) > -1e-9).all()
    assert values[-1] > values[0]


def test_what_is_returned_belongs_together():
    h, start, domains = problem(seed=2)
    fit = frozen_em(h, start, domains)
    assert_allclose(fit.domain_given_class.sum(axis=0), 1, rtol=1e-12)
    joint = h * fit.domain_given_class[domains]
    assert_allclose(fit.posteriors, joint / joint.sum(axis=1, keepdims=True), rtol=1e-12)
    means = np.stack([fit.posteriors[domains == d].mean(axis=0) for d in range(4)])
    assert_allclose(fit.marginals, means, rtol=1e-12)
    assert_allclose(fit.log_likelihood, np.log(joint.sum(axis=1)).mean(), rtol=1e-12)
    assert len(fit.history) == fit.n_iter


def test_the_order_of_rows_domains_and_classes_is_nothing():
    h, start, domains = problem(seed=3)
    rng = np.random.default_rng(0)
    rows, columns, names = rng.permutation(400), rng.permutation(3), rng.permutation(4)
    fit = frozen_em(h, start, domains)
    renamed = np.argsort(names).astype(np.int32)[domains[rows]]
    other = frozen_em(np.ascontiguousarray(h[rows][:, columns]), start, renamed)
    assert_allclose(other.marginals, fit.marginals[names][:, columns], rtol=1e-9)
    assert other.n_iter == fit.n_iter


@pytest.mark.parametrize("max_iter", [0, 3])
def test_an_early_end_says_so(max_iter):
    h, start, domains = problem(sharpness=1.0)
    fit = frozen_em(h, start, domains, max_iter=max_iter, tol=0.0)
    assert not fit.converged
    assert fit.n_iter == max_iter
    if not max_iter:
        assert_array_equal(fit.domain_given_class, start)


def plain_em(h, D, domains, max_iter, tol):
    """Posteriors, half a row for each class spread over the domains, shares; until these stand."""
    history, converged = [], False
    while len(history) < max_iter and not converged:
        joint = h * D[domains]
        history.append(np.log(joint.sum(axis=1)).mean())
        counts = np.full(D.shape, 0.5 / len(D))
        np.add.at(counts, domains, joint / joint.sum(axis=1, keepdims=True))
        new = counts / counts.sum(axis=0)
        converged = np.abs(new - D).sum(axis=0).max() / 2 <= tol
        D = new
    return D, history, converged


@pytest.mark.parametrize("in_blocks", [False, True])
@pytest.mark.parametrize(("max_iter", "tol"), [(1, 0.0), (3, 0.0), (50, 1e-2), (50, 1e-3)])
def test_iterations_are_those_of_a_plain_loop(max_iter, tol, in_blocks):
    h, start, domains = problem(n=300)
    start = start * np.random.default_rng(0).uniform(0.5, 1.5, start.shape)
    start /= start.sum(axis=0)
    D, history, converged = plain_em(h, start, domains, max_iter, tol)
    given = as_blocks(h, block_rows=4096) if in_blocks else h
    fit = frozen_em(given, start, domains, max_iter=max_iter, tol=tol)
    assert_allclose(fit.domain_given_class, D, rtol=1e-10)
    assert_allclose(fit.history, history, rtol=1e-10)
    assert fit.n_iter == len(history)
    assert fit.converged == converged == (max_iter == 50)
    assert type(fit.converged) is bool
    joint = h * D[domains]
    posteriors = joint / joint.sum(axis=1, keepdims=True)
    means = np.stack([posteriors[domains == d].mean(axis=0) for d in range(4)])
    assert_allclose(fit.marginals, means, rtol=1e-10)
    assert_allclose(fit.log_likelihood, np.log(joint.sum(axis=1)).mean(), rtol=1e-10)
    assert (fit.posteriors is None) == in_blocks


def test_fifty_iterations_and_a_millionth_are_the_limits_by_default():
    h, start, domains = problem(sharpness=0.5)
    D, history, converged = plain_em(h, start, domains, 50, 1e-6)
    fit = frozen_em(h, start, domains)
    assert (fit.n_iter, fit.converged) == (len(history), converged) == (50, False)
    easy = problem(sharpness=9.0)
    D, history, converged = plain_em(*easy, 50, 1e-6)
    fit = frozen_em(*easy)
    assert (fit.n_iter, fit.converged) == (len(history), converged)
    assert converged
    assert_allclose(fit.domain_given_class, D, rtol=1e-10)


def test_a_domain_without_rows_has_no_marginals():
    h, start, domains = problem()
    domains[domains == 2] = 1
    fit = frozen_em(h, start, domains)
    assert_array_equal(fit.marginals[2], 0.0)
    assert_allclose(fit.marginals[[0, 1, 3]].sum(axis=1), 1.0)
