"""Tempered EM on the classes of neighbours."""

import numpy as np
import pytest

from clusterlib.solvers import nearest_other_rows, posteriors_of_neighbors, tempered_em

FLOOR, PRIOR = 1e-3, 0.5


def problem(seed=0, n=120, k=3, r=4):
    rng = np.random.default_rng(seed)
    classes, places = rng.integers(0, k, n), 4.0 * rng.normal(size=(k, 2))
    shares = rng.dirichlet(np.ones(r), size=k)
    domains = np.array([rng.choice(r, p=shares[y]) for y in classes], dtype=np.int32)
    domains[:r] = np.arange(r)
    neighbors = nearest_other_rows(places[classes] + rng.normal(size=(n, 2)), 8)
    G = rng.dirichlet(np.ones(k), size=n)
    D = rng.dirichlet(np.ones(r), size=k).T
    return G, D, neighbors, domains


def by_hand(G, D, neighbors, domains, tau, beta, n_iters):
    """The formulas, line by line."""
    r = len(D)

    def posterior(G, D):
        h = (G[neighbors].mean(axis=1) + FLOOR) ** tau
        h /= h.sum(axis=1, keepdims=True)
        P = h * D[domains]
        return h, P / P.sum(axis=1, keepdims=True), np.log(P.sum(axis=1)).mean()

    history = []
    for _ in range(n_iters):
        _, P, likelihood = posterior(G, D)
        G = P**beta
        G /= G.sum(axis=1, keepdims=True)
        D = np.array([np.bincount(domains, column, r) + PRIOR / r for column in G.T]).T
        D /= D.sum(axis=0)
        history.append(likelihood)
    return (G, D, *posterior(G, D), history)


@pytest.mark.parametrize(("tau", "beta"), [(1.0, 1.0), (2.0, 3.0), (1.7, 2.3)])
@pytest.mark.parametrize("n_iters", [0, 1, 6])
def test_iterations_are_those_of_the_formulas(tau, beta, n_iters):
    G, D, neighbors, domains = problem()
    fit = tempered_em(G, D, neighbors, domains, tau=tau, beta=beta, max_iter=n_iters, tol=0.0)
    G, D, h, P, likelihood, history = by_hand(G, D, neighbors, domains, tau, beta, n_iters)
    np.testing.assert_allclose(fit.posteriors, P, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.pooled, h, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.domain_given_class, D, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(fit.log_likelihood, likelihood, rtol=1e-9)
    np.testing.assert_allclose(fit.history, history, rtol=1e-9)
    tempered = P**beta / np.sum(P**beta, axis=1, keepdims=True)
    np.testing.assert_allclose(fit.responsibilities, tempered, rtol=1e-9, atol=1e-12)
    wanted = np.array([P[domains == d].mean(axis=0) for d in range(len(D))])
    np.testing.assert_allclose(fit.marginals, wanted, rtol=1e-9, atol=1e-12)
    assert fit.n_iter == n_iters and not fit.converged


def test_it_stops_when_it_stands_still():
    G, D, neighbors, domains = problem()
    fit = tempered_em(G, D, neighbors, domains, tol=1e-6, max_iter=500)
    again = tempered_em(
        fit.responsibilities, fit.domain_given_class, neighbors, domains, tol=1e-5, max_iter=1
    )
    assert fit.converged and 1 < fit.n_iter < 500 and again.converged
    assert len(fit.history) == fit.n_iter


def test_names_of_classes_and_order_of_rows_do_not_matter():
    G, D, neighbors, domains = problem()
    fit = tempered_em(G, D, neighbors, domains, max_iter=5, tol=0.0)
    classes = np.array([2, 0, 1])
    other = tempered_em(G[:, classes], D[:, classes], neighbors, domains, max_iter=5, tol=0.0)
    np.testing.assert_allclose(other.posteriors, fit.posteriors[:, classes], rtol=1e-9)
    rows = np.random.default_rng(1).permutation(len(G))
    place = np.argsort(rows)
    other = tempered_em(G[rows], D, place[neighbors[rows]], domains[rows], max_iter=5, tol=0.0)
    np.testing.assert_allclose(other.posteriors, fit.posteriors[rows], rtol=1e-9)
    np.testing.assert_allclose(other.marginals, fit.marginals, rtol=1e-9)


def test_a_callback_sees_and_stops():
    G, D, neighbors, domains = problem()
    seen = []

    def callback(iteration, log_likelihood):
        seen.append((iteration, log_likelihood))
        return iteration == 3

    fit = tempered_em(G, D, neighbors, domains, tol=0.0, callback=callback)
    assert [iteration for iteration, _ in seen] == [1, 2, 3]
    np.testing.assert_array_equal(fit.history, [likelihood for _, likelihood in seen])
    assert not fit.converged


def test_one_class_takes_everything():
    _, _, neighbors, domains = problem()
    fit = tempered_em(np.ones((120, 1)), np.full((4, 1), 0.25), neighbors, domains)
    np.testing.assert_array_equal(fit.posteriors, 1.0)
    np.testing.assert_array_equal(fit.marginals, 1.0)
    shares = (np.bincount(domains) + PRIOR / 4) / (120 + PRIOR)
    np.testing.assert_allclose(fit.domain_given_class[:, 0], shares)


def test_pooled_posteriors_take_any_number_of_rows():
    rng = np.random.default_rng(2)
    G = rng.dirichlet(np.ones(3), size=20)
    neighbors = rng.integers(0, 20, size=(9000, 4)).astype(np.int32)  # more than a chunk
    pooled = posteriors_of_neighbors(G, neighbors, tau=2.0)
    wanted = (G[neighbors].mean(axis=1) + FLOOR) ** 2
    np.testing.assert_allclose(pooled, wanted / wanted.sum(axis=1, keepdims=True), rtol=1e-12)


def test_a_large_exponent_does_not_vanish():
    pooled = posteriors_of_neighbors(np.full((2, 500), 1 / 500), np.array([[0, 1]]), tau=400.0)
    np.testing.assert_allclose(pooled, 1 / 500)
