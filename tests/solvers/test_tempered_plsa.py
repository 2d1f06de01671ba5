"""Tempered EM on a table: that of rows, exact tables are recovered, starts find corners."""

import numpy as np
import pytest
import scipy.sparse
from scipy.optimize import linear_sum_assignment

from clusterlib.solvers.tempered_em import tempered_em
from clusterlib.solvers.tempered_plsa import TableStarts, smoothed_classes, tempered_plsa
from clusterlib.solvers.tempered_plsa import _leading_directions as leading_directions


def mixture_table(m=60, r=12, k=3, pure=4, rows=2e5, seed=0):
    """Expected counts of m clusters, of which some hold one class alone."""
    rng = np.random.default_rng(seed)
    D = rng.dirichlet(np.full(r, 0.7), size=k).T
    classes = rng.dirichlet(np.full(k, 0.4), size=m)
    classes[: k * pure] = np.repeat(np.eye(k), pure, axis=0)
    table = (rng.uniform(0.5, 1.5, m) / m)[:, None] * (classes @ D.T) * rows
    return scipy.sparse.csr_array(table), classes, D


def matched_error(found, truth):
    """Largest difference after the best matching of the columns."""
    costs = np.abs(found[:, :, None] - truth[:, None, :]).sum(axis=0)
    rows, columns = linear_sum_assignment(costs)
    return np.abs(found[:, rows] - truth[:, columns]).max()


def own(m):
    return np.arange(m, dtype=np.int32)[:, None]


@pytest.mark.parametrize(("tau", "beta"), [(2.0, 3.0), (1.0, 3.0), (1.0, 1.0)])
def test_clusters_of_one_row_are_rows(tau, beta):
    rng = np.random.default_rng(0)
    n, r, k = 80, 5, 3
    domains = rng.integers(0, r, n).astype(np.int32)
    near = rng.integers(0, n, (n, 4)).astype(np.int32)
    G, D = rng.dirichlet(np.ones(k), size=n), rng.dirichlet(np.ones(r), size=k).T.copy()
    table = scipy.sparse.csr_array((np.ones(n), (np.arange(n), domains)), shape=(n, r))
    options = {"tau": tau, "beta": beta, "max_iter": 7, "tol": 0.0}
    fit = tempered_plsa(table, G, D, near, **options)
    expected = tempered_em(G, D, near, domains, **options)
    np.testing.assert_allclose(fit.domain_given_class, expected.domain_given_class, rtol=1e-9)
    np.testing.assert_allclose(fit.pooled, expected.pooled, rtol=1e-9)
    np.testing.assert_allclose(fit.history, expected.history, rtol=1e-9)
    assert fit.log_likelihood == pytest.approx(expected.log_likelihood, rel=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_corners_of_an_exact_table_are_exact(dtype):
    table, classes, D = mixture_table()
    found, corners = TableStarts(table.astype(dtype), 3).start(60, np.random.default_rng(0))
    assert found.dtype == corners.dtype == dtype
    # Half a row spread over the domains is all that is added to the rows of a corner.
    assert matched_error(corners.astype(np.float64), D) < 1e-3
    np.testing.assert_allclose(found.sum(axis=1), 1, rtol=1e-5)
    assert matched_error(found.astype(np.float64), classes) < 0.01


def test_starts_see_through_the_noise_of_counts():
    table, _, D = mixture_table(m=300, r=40, k=4, pure=25, rows=3e4)
    noisy = np.random.default_rng(1).poisson(table.toarray()).astype(np.float64)
    starts = TableStarts(scipy.sparse.csr_array(noisy), 4)
    errors = [matched_error(starts.start(12, np.random.default_rng(s))[1], D) for s in range(4)]
    raw = noisy / noisy.sum(axis=1, keepdims=True)
    single = np.abs(raw[:25] - D[:, 0]).max()
    # Rows of 100 counts in 40 domains are far off; groups of them are not.
    assert single > 0.1
    assert max(errors) < 0.04


def test_plain_em_never_lowers_the_likelihood_by_much():
    table, _, _ = mixture_table()
    classes, D = TableStarts(table, 3).start(6, np.random.default_rng(0))
    fit = tempered_plsa(table, classes, D, own(60), tau=1.0, beta=1.0, max_iter=40, tol=0.0)
    # The floor of the smoothing and the half row of the prior are not part of the likelihood.
    assert np.diff(fit.history).min() > -1e-4
    assert not fit.converged


def test_classes_may_come_in_any_order():
    table, _, _ = mixture_table()
    classes, D = TableStarts(table, 3).start(6, np.random.default_rng(0))
    near = np.random.default_rng(0).integers(0, 60, (60, 3)).astype(np.int32)
    order = np.array([2, 0, 1])
    fit = tempered_plsa(table, classes, D, near)
    turned = tempered_plsa(table, classes[:, order], D[:, order], near)
    np.testing.assert_allclose(turned.pooled, fit.pooled[:, order], rtol=1e-9)
    assert len(turned.history) == len(fit.history)


def test_means_over_neighbours_are_weighted_by_rows():
    rng = np.random.default_rng(0)
    G, sizes = rng.dirichlet(np.ones(3), size=6), rng.integers(1, 9, 6).astype(np.float64)
    near = rng.integers(0, 6, (6, 4)).astype(np.int32)
    expected = np.array([np.average(G[j], axis=0, weights=sizes[j]) for j in near]) + 1e-3
    expected = expected**2 / (expected**2).sum(axis=1, keepdims=True)
    np.testing.assert_allclose(smoothed_classes(G, sizes, near, 2.0), expected, rtol=1e-12)


def test_clusters_without_rows_do_no_harm():
    table, _, _ = mixture_table()
    holes = table.toarray()
    holes[[5, 50]] = 0
    holes = scipy.sparse.csr_array(holes)
    classes, D = TableStarts(holes, 3).start(6, np.random.default_rng(0))
    fit = tempered_plsa(holes, classes, D, own(60))
    assert np.isfinite(fit.pooled).all()
    np.testing.assert_allclose(fit.pooled[[5, 50]], 1 / 3)


def test_a_callback_stops():
    table, _, _ = mixture_table()
    classes, D = TableStarts(table, 3).start(6, np.random.default_rng(0))
    seen = []

    def callback(iteration, log_likelihood):
        seen.append(log_likelihood)
        return iteration == 3

    fit = tempered_plsa(table, classes, D, own(60), tol=0.0, callback=callback)
    np.testing.assert_array_equal(fit.history, seen)
    assert len(seen) == 3


def test_starts_are_the_same_again_where_all_domains_have_one_size():
    # Equal entries are then a singular vector of the table, and Lanczos' iteration that begins
    # with one has nothing to go on with.
    for n in (3, 4, 6):
        table = scipy.sparse.csr_array(np.eye(n)[np.random.default_rng(n).permutation(n)])
        first, *others = (TableStarts(table, 2).start(2, np.random.default_rng(0)) for _ in "abcde")
        for other in others:
            np.testing.assert_array_equal(other[0], first[0])
            np.testing.assert_array_equal(other[1], first[1])


def test_directions_are_those_of_a_dense_decomposition():
    table = mixture_table(m=150, r=100)[0]
    found = leading_directions(table, 3)
    expected = np.linalg.svd(table.toarray(), full_matrices=False)[2][:3]
    # Lanczos' iteration ends at 1e-4 of the singular values: far below the noise of counts.
    np.testing.assert_allclose(np.abs(expected @ found), np.eye(3), atol=1e-3)
