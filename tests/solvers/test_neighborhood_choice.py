"""How many neighbours classes are averaged over, by the domains they predict."""

import numpy as np
import pytest

from clusterlib.solvers import domain_histograms, nearest_other_rows, tempered_em
from clusterlib.solvers.neighborhood_choice import (
    NEIGHBORHOODS,
    chosen_neighborhood,
    neighborhood_start,
)


def rows(spread, n=600, seed=0):
    """Two classes at the distance ``spread`` with opposite shares in two domains."""
    rng = np.random.default_rng(seed)
    classes = rng.integers(0, 2, n)
    domains = (rng.random(n) < np.where(classes == 0, 0.9, 0.1)).astype(np.int32)
    X = rng.normal(size=(n, 2))
    X[:, 0] += spread * classes
    return nearest_other_rows(X, 60), domains


def choose(fits, neighbors, domains, **options):
    f = domain_histograms(neighbors, domains, domains.max() + 1)
    rng = np.random.default_rng(0)
    return chosen_neighborhood(fits, neighbors, domains, f=f, rng=rng, **options)


def finished(neighbors, domains):
    D = np.array([[0.2, 0.8], [0.8, 0.2]])
    G = np.full((len(domains), 2), 0.5)
    return tempered_em(G, D, neighbors[:, : neighborhood_start(neighbors)].copy(), domains)


def test_overlap_asks_for_more_neighbours():
    rng = np.random.default_rng(0)
    marginals = rng.dirichlet(np.full(5, 0.4), size=8)
    domains = (np.arange(2000) % 8).astype(np.int32)
    classes = np.array([rng.choice(5, p=marginals[d]) for d in domains])
    neighbors = nearest_other_rows(3.0 * np.eye(5)[classes] + rng.normal(size=(2000, 5)), 50)
    D = np.array([np.bincount(domains, classes == y, 8) for y in range(5)]).T
    fit = tempered_em(np.eye(5)[classes], D / D.sum(axis=0), neighbors[:, :10].copy(), domains)
    choice = choose([fit], neighbors, domains)
    assert choice.n_neighbors >= 20 and choice.scores[5] < choice.scores[10]


@pytest.mark.parametrize("spread", [0.0, 1.0, 3.0, 9.0])
def test_the_best_of_those_tried_is_taken(spread):
    neighbors, domains = rows(spread)
    fit = finished(neighbors, domains)
    choice = choose([fit], neighbors, domains)
    assert choice.scores[choice.n_neighbors] == max(choice.scores.values())
    assert 10 in choice.scores
    assert set(choice.scores) <= set(NEIGHBORHOODS)
    assert len(choice.fits) == 1
    assert choice.fits[0].n_iter == len(choice.fits[0].history)


def test_starts_keep_their_order():
    neighbors, domains = rows(spread=3.0)
    good = finished(neighbors, domains)
    turned = good.responsibilities[:, ::-1].copy()
    poor = good._replace(responsibilities=turned, log_likelihood=good.log_likelihood - 1)
    choice = choose([poor, good], neighbors, domains, max_iter=3)
    again = choose([good, poor], neighbors, domains, max_iter=3)
    assert len(choice.fits) == 2 and choice.scores == again.scores
    for fit, other in zip(choice.fits, again.fits[::-1], strict=True):
        np.testing.assert_array_equal(fit.posteriors, other.posteriors)


@pytest.mark.parametrize("n_neighbors", [1, 2, 3, 7, 12])
def test_fewer_neighbours_than_the_largest_are_no_trouble(n_neighbors):
    neighbors, domains = rows(spread=3.0)
    neighbors = neighbors[:, :n_neighbors].copy()
    choice = choose([finished(neighbors, domains)], neighbors, domains)
    assert choice.n_neighbors <= n_neighbors
    assert min(10, n_neighbors) in choice.scores
