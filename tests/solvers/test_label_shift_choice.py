"""The number of classes: planted numbers, left-out likelihoods, searches, what is unsure."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from clusterlib.solvers import kmeans_plusplus, lloyd
from clusterlib.solvers.domain_folds import blended_log_likelihoods, domain_folds
from clusterlib.solvers.domain_neighbors import domain_histograms, nearest_other_rows
from clusterlib.solvers.domain_rank import domain_rank
from clusterlib.solvers.domain_vertices import domain_counts
from clusterlib.solvers.label_shift import domain_coordinates, tempered_label_shift
from clusterlib.solvers.label_shift_choice import (
    _choice,
    _descent,
    _search,
    _smallest_of_best,
    choose_n_classes,
    cluster_domain_table,
)
from clusterlib.solvers.label_shift_folds import left_out_log_likelihoods


def planted(k, r=8, n=800, seed=0, shares=None):
    """Separated balls, one for each class, and domains that differ in their shares."""
    rng = np.random.default_rng(seed)
    if shares is None:
        shares = 0.7 * np.eye(k)[np.arange(r) % k] + 0.3 / k
    domains = rng.integers(0, r, n).astype(np.int32)
    classes = (rng.random(n)[:, None] > shares.cumsum(axis=1)[domains][:, :-1]).sum(axis=1)
    X = 6.0 * np.eye(k)[classes] + rng.normal(size=(n, k))
    return nearest_other_rows(X, 30), domains


def choose(data, r=8, seed=0, **options):
    options = {"n_starts": 3, "n_folds": 3} | options
    return choose_n_classes(*data, r, rng=np.random.default_rng(seed), **options)


@pytest.mark.parametrize("k", [2, 3, 5])
def test_planted_number_is_found(k):
    choice = choose(planted(k))
    assert choice.n_classes == k
    assert choice.errors[choice.candidates == k] == 0.0
    # The search saw smaller and larger numbers, and none twice.
    assert choice.candidates[0] < k < choice.candidates[-1]
    assert (np.diff(choice.candidates) == 1).all()
    # Left out rows speak of the answer, and against the number below it.
    left_out = dict(zip(choice.candidates.tolist(), choice.left_out_scores, strict=True))
    assert left_out[k] > left_out[k - 1] + 0.01


def test_domains_that_are_alike_are_one_class():
    """Though the fitted rows themselves would have more."""
    choice = choose(planted(3, shares=np.full((8, 3), 1 / 3)))
    assert choice.n_classes == 1
    assert choice.rank_classes <= 2
    assert choice.left_out_scores[choice.candidates == 1] == choice.left_out_scores.max()


def test_left_out_rows_undo_what_neighbours_tell_back():
    """Two dimensions, where neighbours are each other's: scores rise beyond the true number."""
    choice = choose(planted(2))
    assert choice.scores.argmax() > np.flatnonzero(choice.candidates == 2)[0]
    assert choice.n_classes == 2


def test_same_seed_same_choice():
    data = planted(3)
    first, second = (choose(data, seed=5, candidates=(2, 3, 4)) for _ in range(2))
    assert first.scores.tolist() == second.scores.tolist()
    assert first.left_out_scores.tolist() == second.left_out_scores.tolist()


def test_given_candidates_alone_are_tried():
    seen = []
    choice = choose(planted(3), candidates=[5, 2, 2], callback=lambda k, s: seen.append((k, s)))
    assert choice.candidates.tolist() == [2, 5]
    assert [k for k, _ in seen] == [2, 5]
    assert_allclose([s for _, s in seen], choice.scores)
    assert choice.n_classes in (2, 5)


def test_domain_estimates_from_elsewhere():
    near, domains = planted(3)
    f = domain_histograms(near, domains, 8)
    assert choose((near, domains), f=f).n_classes == 3


def test_few_rows_make_it_unsure():
    shares = 0.25 * np.eye(6)[np.arange(8) % 6] + 0.125
    choice = choose(planted(6, n=200, shares=shares))
    assert choice.n_classes < 6
    assert not choice.sure or choice.n_classes == 1


def test_table_counts_every_row_once():
    near, domains = planted(3)
    f = domain_histograms(near, domains, 8)
    table = cluster_domain_table(f, domains, 8, np.random.default_rng(0))
    assert_allclose(table.sum(axis=0), np.bincount(domains))
    assert table.shape == (30, 8)
    assert domain_rank(table).n_classes == 3
    few = np.arange(20, dtype=np.int32) % 8
    table = cluster_domain_table(f[:20], few, 8, np.random.default_rng(0))
    assert table.shape == (20, 8)
    assert_allclose(table.sum(axis=0), np.bincount(few))


def test_domains_of_one_row_each_give_an_answer_that_is_not_sure():
    X = np.random.default_rng(0).normal(size=(40, 2))
    for n in (5, 40):
        data = nearest_other_rows(X[:n], min(30, n - 1)), np.arange(n, dtype=np.int32)
        choice = choose(data, r=n)
        assert 1 <= choice.n_classes < n
        assert not choice.sure
        assert np.isneginf(choice.left_out_scores).all()


def means(*values, n=4):
    """Log-likelihoods of n rows for 1, 2, ... classes with these means."""
    return {k: np.full(n, value) for k, value in enumerate(values, start=1)}


@pytest.mark.parametrize(
    ("best", "start", "most", "tried"),
    [
        (4, 3, 10, range(1, 8)),  # three above the best, and down to 1
        (4, 3, 6, range(1, 7)),  # no more than there are
        (3, 8, 12, range(1, 12)),  # it started too high
        (1, 1, 5, range(1, 6)),  # it starts at 2
        (9, 9, 20, range(7, 13)),
        (6, 9, 20, range(4, 13)),
        (11, 9, 20, range(7, 15)),  # down from the start, and not from the best
        (3, 3, 1, [1]),
    ],
)
def test_a_search_ends_three_above_and_two_below_the_best(best, start, most, tried):
    calls = []

    def scored(k):
        calls.append(k)
        return np.full(3, -abs(k - best), dtype=float)

    found = _search(scored, start, most)
    assert sorted(found) == list(tried)
    assert len(calls) == len(found)  # none twice


def test_a_search_goes_on_over_a_dip_and_not_on_a_plateau():
    scores = means(-9, -9, -9, -2, -3, -1, -3, -3, -3, -3, -3, -3)
    assert sorted(_search(scores.get, 4, 12)) == list(range(2, 10))
    assert sorted(_search(lambda k: np.zeros(3), 5, 20)) == list(range(3, 9))


def test_a_descent_ends_when_two_smaller_numbers_are_worse():
    def tried(*values):
        scores = means(*values)
        calls = []
        found = _descent(lambda k: calls.append(k) or scores[k], range(1, len(values) + 1))
        assert list(found) == calls
        return calls

    # 7 and 6 are worse by less than the tolerance, each than the one before.
    assert tried(-9, -9, -9, -1.2, -1.1, -1.0035, -1.0018, -1.0) == [8, 7, 6, 5, 4]
    assert tried(-9, -9, -9, -1.2, -1.1, -1.0041, -1.0021, -1.0) == [8, 7, 6]
    # One that is better again starts the count anew.
    assert tried(-9, -9, -0.5, -1.2, -1.0) == [5, 4, 3, 2, 1]


def test_the_smallest_within_the_tolerance_is_the_best():
    for second, expected in ((-1.0019, 2), (-1.0021, 3)):
        assert _smallest_of_best(means(-2.0, second, -1.0, -1.001)) == expected


@pytest.mark.parametrize("place", ["fitted", "left out"])
@pytest.mark.parametrize(("gain", "sure"), [(0.19, False), (0.21, True)])
def test_an_answer_is_sure_by_two_standard_errors(place, gain, sure):
    # 100 gains of standard deviation 1: their mean has the error 0.1.
    rows = np.where(np.arange(100) % 2, 1.0, -1.0)
    close, far = rows - gain, 0.1 * rows - 1.0
    found = {1: close if place == "fitted" else far, 2: np.zeros(100), 3: 0.1 * rows}
    left_out = {1: far if place == "fitted" else close, 2: np.zeros(100)}
    choice = _choice(found, left_out, domain_rank(np.eye(3) * 50))
    assert choice.n_classes == 2
    assert choice.sure is sure
    assert choice.candidates.tolist() == [1, 2, 3]
    assert_allclose(choice.scores, [found[k].mean() for k in (1, 2, 3)])
    assert_allclose(choice.errors, [found[k].std() / 10 for k in (1, 2, 3)])
    expected = [left_out[1].mean(), 0.0, -np.inf]
    assert choice.left_out_scores.tolist() == pytest.approx(expected)
    assert choice.rank_classes == domain_rank(np.eye(3) * 50).n_classes
    # Nothing is sure without rows that were left out, nor if they give another answer.
    assert not _choice(found, {}, domain_rank(np.eye(3))).sure
    other = _choice(found, {1: np.zeros(100), 2: np.zeros(100)}, domain_rank(np.eye(3)))
    assert (other.n_classes, other.sure) == (1, False)


def test_scores_are_those_of_fits_with_the_same_random_numbers():
    """All steps once more, in the order in which they take random numbers."""
    near, domains = planted(3, n=300)
    near = np.ascontiguousarray(near[:, :30])
    choice = choose_n_classes(near, domains, 8, rng=np.random.default_rng(4), candidates=(4, 1, 3))
    rng, options = np.random.default_rng(4), {"tau": 2.0, "beta": 3.0, "n_starts": 4}
    options |= {"max_iter": 40, "tol": 1e-3}
    f = domain_histograms(near, domains, 8)
    shares = np.bincount(domains, minlength=8) / 300
    coordinates = domain_coordinates(f, shares, 30)
    centers = kmeans_plusplus(coordinates, 30, rng).centers
    labels = lloyd(coordinates, centers, max_iter=50).labels
    assert choice.rank_classes == domain_rank(domain_counts(labels, domains, 30, 8)).n_classes
    scores = [np.log(shares)[domains].mean() - 7 / 300]
    for k in (3, 4):
        fit = tempered_label_shift(
            f, np.ascontiguousarray(near[:, :10]), domains, 8, k, rng=rng, **options
        )
        own = np.sum(fit.pooled * fit.domain_given_class[domains], axis=1)
        uniform = fit.domain_given_class.mean(axis=1)[domains]
        scores.append(blended_log_likelihoods(own, uniform).mean() - k * 7 / 300)
    assert_allclose(choice.scores, scores, rtol=1e-12)
    folds = domain_folds(near, domains, 8, 4, rng=rng, n_averaged=10)
    best = 3 if scores[1] >= max(scores) - 0.002 else 4
    for k in (4, 3, 1):
        if k <= best:
            found = left_out_log_likelihoods(folds, domains, 8, k, rng=rng, **options)
            assert_allclose(choice.left_out_scores[[1, 3, 4].index(k)], found.mean(), rtol=1e-12)


def test_folds_without_rows_are_no_reason_to_leave_none_out():
    X = np.random.default_rng(0).normal(size=(40, 2))
    domains = np.arange(40, dtype=np.int32)
    domains[7] = 0  # of all domains one has a second row: two of the four folds have none
    data = nearest_other_rows(X, 30), np.unique(domains, return_inverse=True)[1].astype(np.int32)
    choice = choose(data, r=39, n_folds=4, candidates=(1, 2))
    assert np.isfinite(choice.left_out_scores[0])
