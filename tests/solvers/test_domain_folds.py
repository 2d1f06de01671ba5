"""Rows that are left out in turn against plain loops over rows and neighbours."""

import numpy as np
import pytest
import scipy.sparse
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import blended_log_likelihoods, domain_folds


def problem(n=40, q=6, r=5, seed=0):
    rng = np.random.default_rng(seed)
    others = [np.delete(np.arange(n), i) for i in range(n)]
    neighbors = np.array([rng.choice(rows, q, replace=False) for rows in others])
    domains = np.r_[np.arange(r), rng.integers(0, r - 1, n - r)]  # one row of the last domain
    return neighbors.astype(np.int32), rng.permutation(domains).astype(np.int32)


def plain_parts(domains, r, n_folds, rng):
    """Rows of each domain, in an order that is drawn, are dealt to the folds in turn."""
    order, first = rng.permutation(len(domains)), rng.integers(0, n_folds, r)
    parts = np.full(len(domains), -1)
    for domain in range(r):
        rows = [i for i in order if domains[i] == domain]
        for at, row in enumerate(rows if len(rows) > 1 else []):
            parts[row] = (first[domain] + at) % n_folds
    return parts


@pytest.mark.parametrize("n_folds", [2, 3, 5])
@pytest.mark.parametrize("n_averaged", [1, 2, 6])
def test_folds_are_those_of_plain_loops(n_folds, n_averaged):
    neighbors, domains = problem()
    folds = domain_folds(
        neighbors, domains, 5, n_folds, rng=np.random.default_rng(3), n_averaged=n_averaged
    )
    parts = plain_parts(domains, 5, n_folds, np.random.default_rng(3))
    assert len(folds) == n_folds
    for part, fold in enumerate(folds):
        kept = [i for i in range(40) if parts[i] != part]
        assert_array_equal(fold.kept, kept)
        assert_array_equal(fold.left_out, np.flatnonzero(parts == part))
        place = {row: at for at, row in enumerate(kept)}
        near = [[place[j] for j in row if j in place] for row in neighbors.tolist()]
        f = np.full((40, 5), 0.0)
        for i, row in enumerate(near):
            for j in row:
                f[i, domains[kept[j]]] += 1 / len(row)
        assert isinstance(fold.f, scipy.sparse.csr_array)
        assert fold.f.has_canonical_format
        assert_allclose(fold.f.toarray(), f[kept], rtol=1e-12)
        wanted = [row[:n_averaged] for row in near]
        some = [[row[at % len(row)] for at in range(n_averaged)] for row in wanted]
        assert_array_equal(fold.neighbors, [some[i] for i in kept])
        assert_array_equal(fold.left_out_neighbors, [some[i] for i in fold.left_out])
        for found in (fold.neighbors, fold.left_out_neighbors):
            assert found.dtype == np.int32
            assert found.flags.c_contiguous


def test_ten_neighbours_are_kept_as_a_rule():
    neighbors, domains = problem(q=14)
    folds = domain_folds(neighbors, domains, 5, 2, rng=np.random.default_rng(0))
    assert folds[0].neighbors.shape[1] == 10


def test_the_only_row_of_a_domain_stays():
    neighbors, domains = problem()
    only = np.flatnonzero(domains == 4)
    assert len(only) == 1
    for fold in domain_folds(neighbors, domains, 5, 4, rng=np.random.default_rng(0)):
        assert only[0] in fold.kept


def test_rows_without_a_kept_neighbour_are_of_all_domains():
    neighbors = np.array([[1], [0], [3], [2]], dtype=np.int32)
    domains = np.array([0, 0, 1, 1], dtype=np.int32)
    for fold in domain_folds(neighbors, domains, 2, 2, rng=np.random.default_rng(0)):
        lonely = [neighbors[i, 0] in fold.left_out for i in fold.kept]
        assert all(lonely)
        assert_array_equal(fold.f.toarray(), np.full((2, 2), 0.5))
        assert_array_equal(fold.neighbors, np.zeros((2, 1)))
        assert_array_equal(fold.kept[fold.left_out_neighbors[:, 0]], neighbors[fold.left_out][:, 0])


def test_estimates_from_elsewhere_are_cut():
    neighbors, domains = problem()
    f = scipy.sparse.csr_array(np.random.default_rng(0).dirichlet(np.ones(5), size=40))
    for fold in domain_folds(neighbors, domains, 5, 3, rng=np.random.default_rng(1), f=f):
        assert_array_equal(fold.f.toarray(), f.toarray()[fold.kept])


@pytest.mark.parametrize("share", [0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3])
def test_the_best_share_of_the_other_prediction_is_found(share):
    """Impossible rows as often as the share says, which is then the best one."""
    n = 400
    n_lost = round(share * n)
    likelihoods = np.r_[np.zeros(n_lost), np.ones(n - n_lost)]
    # The derivative in b of the sum of the logarithms is 0 where b n = n_lost.
    others = np.where(likelihoods > 0, 1e-9, 1.0)
    found = blended_log_likelihoods(likelihoods, others)
    expected = np.log((1 - share) * likelihoods + share * others)
    assert_allclose(found, expected, rtol=1e-12, atol=1e-15)


def test_what_both_rule_out_is_not_minus_infinity():
    found = blended_log_likelihoods(np.array([0.0, 1.0]), np.array([0.0, 1.0]))
    assert_allclose(found, [np.log(np.finfo(float).tiny), 0.0], rtol=1e-12, atol=1e-15)
