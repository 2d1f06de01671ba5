"""Latent label shift from starts to the best of them."""

import numpy as np
import pytest
import scipy.sparse
from scipy import optimize

from clusterlib.solvers import (
    class_agreement,
    class_weights,
    domain_coordinates,
    domain_histograms,
    kmeans_plusplus,
    lloyd,
    nearest_other_rows,
    tempered_em,
    tempered_label_shift,
)
from clusterlib.solvers.domain_vertices import domain_counts, domain_vertices
from clusterlib.solvers.tempered_em import continued_em


def gaussian_domains(seed=0, n=900, k=4, r=6, concentration=2.0, spread=6.0):
    """Rows, domains, classes and marginals: one round group for each class."""
    rng = np.random.default_rng(seed)
    marginals = rng.dirichlet(np.full(k, concentration / k), size=r)
    domains = (np.arange(n) % r).astype(np.int32)
    classes = np.array([rng.choice(k, p=marginals[d]) for d in domains])
    X = spread * np.eye(k)[classes] + rng.normal(size=(n, k))
    return X, domains, classes, marginals


def solve(X, domains, k, r, seed=0, **options):
    neighbors = nearest_other_rows(X, 30)
    f = domain_histograms(neighbors, domains, r)
    rng = np.random.default_rng(seed)
    near = np.ascontiguousarray(neighbors[:, :10])
    return tempered_label_shift(f, near, domains, r, k, rng=rng, **options)


def matching(labels, classes, k):
    """Which class of the truth each found class is."""
    table = np.zeros((k, k))
    np.add.at(table, (labels, classes), 1)
    return optimize.linear_sum_assignment(table, maximize=True)[1]


@pytest.mark.parametrize("seed", [0, 1, 3])
def test_classes_and_marginals_are_found(seed):
    X, domains, classes, marginals = gaussian_domains(seed)
    result = solve(X, domains, 4, 6)
    labels = result.posteriors.argmax(axis=1)
    match = matching(labels, classes, 4)
    assert np.mean(match[labels] == classes) > 0.98
    realised = np.array([np.bincount(classes[domains == d], minlength=4) / 150 for d in range(6)])
    assert np.abs(result.marginals - realised[:, match]).max() < 0.02
    assert np.abs(result.marginals - marginals[:, match]).mean() < 0.03


def test_the_parts_of_a_result_fit_together():
    X, domains, _, _ = gaussian_domains(3)
    result = solve(X, domains, 4, 6, n_starts=7)
    assert np.all(np.diff(result.class_prior) <= 0)
    for rows in (result.posteriors, result.responsibilities, result.pooled, result.marginals):
        np.testing.assert_allclose(rows.sum(axis=1), 1.0)
    np.testing.assert_allclose(result.domain_given_class.sum(axis=0), 1.0)
    np.testing.assert_allclose(result.posteriors.mean(axis=0), result.class_prior, atol=1e-12)
    assert result.start_log_likelihoods.shape == (7,)
    assert 0.25 <= result.start_agreement <= 1.0
    assert result.n_iter == len(result.history) and result.converged


def test_the_best_start_is_kept():
    X, domains, _, _ = gaussian_domains(4, k=6, r=9, concentration=6.0, spread=3.0)
    many = solve(X, domains, 6, 9, n_starts=12, tol=1e-6)
    few = solve(X, domains, 6, 9, n_starts=3, tol=1e-6)
    assert np.ptp(many.start_log_likelihoods) > 1e-3  # or there is nothing to choose from
    np.testing.assert_array_equal(many.start_log_likelihoods[:3], few.start_log_likelihoods)
    assert many.log_likelihood >= few.log_likelihood


def test_a_seed_repeats_and_names_of_domains_do_not_matter():
    X, domains, _, _ = gaussian_domains(5)
    result, again = solve(X, domains, 4, 6, seed=1), solve(X, domains, 4, 6, seed=1)
    np.testing.assert_array_equal(result.posteriors, again.posteriors)
    names = np.array([3, 5, 0, 1, 4, 2], dtype=np.int32)
    renamed = solve(X, names[domains], 4, 6, seed=1)
    np.testing.assert_allclose(renamed.marginals[names], result.marginals, atol=1e-6)


def test_a_domain_that_is_split_leaves_the_others():
    X, domains, _, _ = gaussian_domains(6, n=1800)
    split = domains.copy()
    split[np.flatnonzero(domains == 0)[::2]] = 6
    whole, parts = solve(X, domains, 4, 6), solve(X, split, 4, 7)
    first, second = whole.posteriors.argmax(axis=1), parts.posteriors.argmax(axis=1)
    assert class_agreement(first, second, 4) > 0.98
    match = matching(second, first, 4)
    back = np.argsort(match)
    np.testing.assert_allclose(parts.marginals[1:6][:, back], whole.marginals[1:], atol=0.02)
    halves = parts.marginals[[0, 6]][:, back].mean(axis=0)
    np.testing.assert_allclose(halves, whole.marginals[0], atol=0.02)


def test_neighbours_are_chosen_by_the_domains():
    X, domains, _, _ = gaussian_domains(4, k=6, r=9, concentration=6.0, spread=3.5)
    neighbors = nearest_other_rows(X, 60)
    f = domain_histograms(neighbors, domains, 9)
    options = {"rng": np.random.default_rng(0), "n_starts": 4}
    chosen = tempered_label_shift(f, neighbors, domains, 9, 6, choose_neighbors=True, **options)
    ten = tempered_label_shift(
        f, neighbors[:, :10].copy(), domains, 9, 6, **options | {"rng": np.random.default_rng(0)}
    )
    scores = chosen.neighborhood_scores
    assert chosen.n_neighbors == max(scores, key=scores.get) and {5, 10} <= set(scores)
    assert ten.n_neighbors == 10 and ten.neighborhood_scores == {}
    assert chosen.n_iter == len(chosen.history)


def test_one_class_and_one_iteration_work():
    X, domains, _, _ = gaussian_domains(7, n=90)
    np.testing.assert_array_equal(solve(X, domains, 1, 6).posteriors, 1.0)
    result = solve(X, domains, 4, 6, max_iter=1, n_starts=1)
    assert result.n_iter == 1 and result.start_agreement == 1.0


def test_copies_of_one_row_give_finite_numbers():
    domains = (np.arange(60) % 5).astype(np.int32)
    result = solve(np.zeros((60, 2)), domains, 3, 5)
    assert np.isfinite(result.posteriors).all() and np.isfinite(result.log_likelihood)


def test_a_callback_sees_all_starts():
    X, domains, _, _ = gaussian_domains(8, n=200)
    seen = []
    solve(X, domains, 4, 6, n_starts=4, callback=lambda *event: seen.append(event))
    assert {start for start, _, _ in seen} == {0, 1, 2, 3}
    stopped = solve(X, domains, 4, 6, n_starts=4, callback=lambda *event: True)
    assert stopped.n_iter == 2 and not stopped.converged  # screened, and finished


def test_weights_meet_the_conditions_of_the_optimum():
    rng = np.random.default_rng(9)
    D = rng.dirichlet(np.ones(6), size=3).T
    f = scipy.sparse.csr_array(rng.multinomial(20, rng.dirichlet(np.ones(6)), size=50) / 20)
    w = class_weights(f, D, max_iter=20000)
    gradient = (f.toarray() / (w @ D.T)) @ D
    assert gradient.max() < 1 + 1e-3
    np.testing.assert_allclose(np.sum(w * gradient, axis=1), 1.0)
    np.testing.assert_allclose(w.sum(axis=1), 1.0)


def test_rows_inside_the_simplex_are_found_exactly():
    rng = np.random.default_rng(10)
    D = rng.dirichlet(np.ones(6), size=3).T
    w = rng.dirichlet(np.full(3, 5.0), size=30)
    found = class_weights(scipy.sparse.csr_array(w @ D.T), D, max_iter=100000)
    np.testing.assert_allclose(found, w, atol=1e-6)


def test_coordinates_keep_the_distances_that_the_rank_allows():
    rng = np.random.default_rng(11)
    shares = rng.dirichlet(np.full(8, 5.0))
    w, D = rng.dirichlet(np.ones(3), size=40), rng.dirichlet(np.ones(8), size=3).T
    f = w @ D.T
    reduced = domain_coordinates(scipy.sparse.csr_array(f), shares, 3)
    scaled = f / np.sqrt(shares)
    np.testing.assert_allclose(reduced @ reduced.T, scaled @ scaled.T, atol=1e-10)


def test_agreement_is_that_of_the_best_renaming():
    rng = np.random.default_rng(12)
    labels = rng.integers(0, 5, 200)
    renamed = rng.permutation(5)[labels]
    assert class_agreement(labels, renamed, 5) == 1.0
    renamed[:20] = (renamed[:20] + 1) % 5
    assert class_agreement(labels, renamed, 5) == pytest.approx(0.9)


@pytest.mark.parametrize("max_iter", [5, 40])
def test_starts_are_screened_and_the_best_three_finished(max_iter):
    """All steps once more, in the order in which they take random numbers."""
    X, domains, _, _ = gaussian_domains(4, n=500, k=3, r=9, concentration=6.0, spread=2.5)
    neighbors = nearest_other_rows(X, 30)
    f, near = domain_histograms(neighbors, domains, 9), neighbors[:, :10].copy()
    options = {"tau": 1.5, "beta": 2.0, "tol": 1e-4}
    found = tempered_label_shift(
        f,
        near,
        domains,
        9,
        3,
        rng=np.random.default_rng(7),
        max_iter=max_iter,
        n_starts=7,
        **options,
    )
    rng = np.random.default_rng(7)
    coordinates = domain_coordinates(f, np.bincount(domains) / 500, 3)
    starts = []
    for multiple in (1, 2, 1, 3, 1, 2, 1):
        centers = kmeans_plusplus(coordinates, multiple * 3, rng).centers
        labels = lloyd(coordinates, centers, max_iter=50).labels
        D = domain_vertices(domain_counts(labels, domains, multiple * 3, 9), 3)
        rows = class_weights(f, D, max_iter=50) * D[domains] + 1e-12
        rows /= rows.sum(axis=1, keepdims=True)
        starts.append(tempered_em(rows, D, near, domains, max_iter=min(10, max_iter), **options))
    likelihoods = np.array([fit.log_likelihood for fit in starts])
    np.testing.assert_allclose(found.start_log_likelihoods, likelihoods, rtol=1e-12)
    finished = []
    for index in np.argsort(-likelihoods, kind="stable")[:3]:
        fit = starts[index]
        if max_iter > 10 and not fit.converged:
            fit = continued_em(fit, near, domains, max_iter=max_iter - fit.n_iter, **options)
        finished.append(fit)
    best = max(finished, key=lambda fit: fit.log_likelihood)
    order = np.argsort(-best.posteriors.mean(axis=0))
    np.testing.assert_allclose(found.posteriors, best.posteriors[:, order], atol=1e-12)
    np.testing.assert_allclose(found.pooled, best.pooled[:, order], atol=1e-12)
    np.testing.assert_allclose(found.history, best.history, rtol=1e-12)
    assert (found.n_iter, found.converged) == (best.n_iter, best.converged)
    labels = [fit.posteriors.argmax(axis=1) for fit in [best, *finished]]
    agreement = min(class_agreement(labels[0], other, 3) for other in labels)
    assert found.start_agreement == agreement < 1.0
