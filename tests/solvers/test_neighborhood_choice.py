"""How many neighbours classes are averaged over, by the domains they predict."""

import numpy as np
import pytest

from clusterlib.solvers import (
    domain_histograms,
    nearest_other_rows,
    tempered_em,
)
from clusterlib.solvers import (
    neighborhood_choice as module,
)
from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.neighborhood_choice import (
    NEIGHBORHOODS,
    chosen_neighborhood,
    neighborhood_start,
)
from clusterlib.solvers.tempered_em import continued_em, posteriors_of_neighbors


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


@pytest.mark.parametrize(
    ("scores", "tried", "best"),
    [
        ({10: 0.0, 5: 1.0, 3: 2.0}, [5, 3], 3),
        ({10: 0.0, 5: 1.0, 3: 0.5, 20: 9.0}, [5, 3], 5),  # those above are of no interest then
        ({10: 0.0, 5: -1.0, 3: -2.0, 20: -1.0, 30: 3.0, 50: 4.0}, [5, 3, 20, 30, 50], 50),
        ({10: 0.0, 5: -1.0, 3: 1.0}, [5, 3], 3),
        ({10: 0.0, 5: -1.0, 3: -2.0, 20: -1.0, 30: -1.0}, [5, 3, 20, 30], 10),
        ({10: 0.0, 5: -1.0, 3: -2.0, 20: 1.0, 30: 0.5, 50: 0.6}, [5, 3, 20, 30, 50], 20),
        ({10: 0.0, 5: 0.0, 3: 0.0, 20: 0.0, 30: 0.0}, [5, 3, 20, 30], 10),  # equal is no better
    ],
)
def test_numbers_are_tried_until_two_in_a_row_are_no_better(monkeypatch, scores, tried, best):
    neighbors = np.zeros((4, 60), dtype=np.int32)
    judged = []

    def left_out(fits, folds, domains, size, options):
        judged.append((size, fits))
        return scores[size]

    monkeypatch.setattr(module, "domain_folds", lambda *args, **options: None)
    monkeypatch.setattr(module, "_left_out", left_out)
    monkeypatch.setattr(module, "continued_em", lambda fit, near, *_, **__: (fit, near.shape[1]))
    f = np.zeros((4, 2))
    choice = chosen_neighborhood(["fit"], neighbors, np.zeros(4, int), f=f, rng=None)
    # What comes second below or above is not better than the best: that ends it, or it goes on.
    assert [size for size, _ in judged] == [10, *tried]
    assert choice.n_neighbors == best
    assert choice.scores == {size: scores[size] for size, _ in judged}
    # Each goes on from where the last one ended; the walk upwards from the start again.
    chains = {5: ("fit", 5), 3: (("fit", 5), 3), 20: ("fit", 20), 30: (("fit", 20), 30)}
    for size, fits in judged[1:]:
        if size in chains:
            assert fits == [chains[size]]


def test_scores_are_those_of_rows_that_were_forgotten():
    neighbors, domains = rows(spread=3.0)
    fit = finished(neighbors, domains)
    choice = choose([fit], neighbors, domains, tau=1.5, beta=2.0, tol=1e-4, max_iter=7)
    f = domain_histograms(neighbors, domains, 2)
    folds = domain_folds(neighbors, domains, 2, 4, rng=np.random.default_rng(0), f=f, n_averaged=50)
    options = {"tau": 1.5, "beta": 2.0, "tol": 1e-4}
    fits, last = {}, fit
    for size in choice.scores:
        if size != 10:
            last = fit if size == 20 else last
            near = neighbors[:, :size].copy()
            last = continued_em(last, near, domains, max_iter=7, **options)
        fits[size] = last
        own, mean = [], []
        for fold in folds:
            others = tempered_em(
                last.responsibilities[fold.kept],
                last.domain_given_class,
                fold.neighbors[:, :size].copy(),
                domains[fold.kept],
                max_iter=15,
                **options,
            )
            near, asked = fold.left_out_neighbors[:, :size], domains[fold.left_out]
            pooled = posteriors_of_neighbors(others.responsibilities, near, tau=1.5)
            own.append(np.sum(pooled * others.domain_given_class[asked], axis=1))
            mean.append(others.domain_given_class.mean(axis=1)[asked])
        expected = blended_log_likelihoods(np.concatenate(own), np.concatenate(mean)).mean()
        np.testing.assert_allclose(choice.scores[size], expected, rtol=1e-12)
    np.testing.assert_array_equal(choice.fits[0].posteriors, fits[choice.n_neighbors].posteriors)
