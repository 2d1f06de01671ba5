"""The number of classes: planted numbers, left-out likelihoods, searches, what is unsure."""

import numpy as np
import pytest
from numpy.testing import assert_allclose

from clusterlib.solvers.domain_neighbors import domain_histograms, nearest_other_rows
from clusterlib.solvers.domain_rank import domain_rank
from clusterlib.solvers.label_shift_choice import choose_n_classes, cluster_domain_table


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
