"""Corners of the simplex of domain shares, and what follows from them."""

import numpy as np
import pytest

from clusterlib.solvers import domain_counts, domain_vertices, recovered_marginals


def finite_inputs(rng, n_classes, n_domains, n_inputs, concentration, shares):
    """p(x | y), p(y | d) and the joint table of x and d; each class has inputs of its own."""
    marginals = rng.dirichlet(np.full(n_classes, concentration / n_classes), size=n_domains)
    given_class = rng.dirichlet(np.ones(n_inputs), size=n_classes)
    own = np.arange(n_classes)
    given_class[:, own] = 0.5 * np.eye(n_classes)  # more than a cluster that is too small
    given_class /= given_class.sum(axis=1, keepdims=True)
    joint = (marginals @ given_class * shares[:, None]).T
    return marginals, given_class, joint


@pytest.mark.parametrize("concentration", [0.5, 3.0, 10.0])
@pytest.mark.parametrize(("k", "r", "n"), [(2, 2, 20), (4, 6, 60), (10, 15, 400), (3, 40, 30)])
@pytest.mark.parametrize("uniform", [True, False])
def test_exact_tables_give_exact_marginals(k, r, n, concentration, uniform):
    rng = np.random.default_rng(k * r)
    shares = np.full(r, 1 / r) if uniform else rng.dirichlet(np.full(r, 5.0))
    marginals, _, joint = finite_inputs(rng, k, r, n, concentration, shares)
    D = domain_vertices(joint * 1e9, k)
    recovered = recovered_marginals(D, shares)
    class_prior = shares @ marginals
    wanted = marginals * shares[:, None] / class_prior
    order = np.abs(D[:, :, None] - wanted[:, None]).sum(axis=0).argmin(axis=0)
    assert sorted(order) == list(range(k))
    np.testing.assert_allclose(recovered.marginals[:, order], marginals, rtol=0, atol=1e-12)
    np.testing.assert_allclose(recovered.class_prior[order], class_prior, rtol=0, atol=1e-12)
    assert recovered.residual < 1e-12


def test_other_shares_reweight_the_counts():
    rng = np.random.default_rng(5)
    even, uneven = np.full(6, 1 / 6), rng.dirichlet(np.full(6, 5.0))
    _, _, joint = finite_inputs(rng, 3, 6, 40, 3.0, even)
    sampled = joint * (uneven / even) * 1e6  # the same p(x | d), other numbers of rows
    np.testing.assert_allclose(
        domain_vertices(sampled, 3, shares=even), domain_vertices(joint * 1e6, 3), atol=1e-12
    )


def test_columns_are_clusters_and_sum_to_one():
    counts = np.random.default_rng(6).integers(20, 90, size=(12, 5)).astype(float)
    D = domain_vertices(counts, 4)
    rows = counts / counts.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(D.sum(axis=0), 1.0, atol=1e-15)
    assert all(np.any(np.all(rows == column, axis=1)) for column in D.T)


def test_orders_of_clusters_and_domains_do_not_matter():
    rng = np.random.default_rng(7)
    counts = rng.integers(20, 900, size=(12, 6)).astype(float)
    clusters, domains = rng.permutation(12), rng.permutation(6)
    D = domain_vertices(counts, 3)
    moved = domain_vertices(counts[clusters][:, domains], 3)
    np.testing.assert_allclose(np.sort(moved, axis=1), np.sort(D[domains], axis=1), atol=1e-12)


def test_small_clusters_are_no_corners():
    counts = np.array([[90.0, 10.0], [10.0, 90.0], [50.0, 50.0], [4.0, 0.0], [0.0, 3.0]])
    assert set(domain_vertices(counts, 2)[0]) == {0.9, 0.1}


def test_small_clusters_are_taken_where_there_are_no_others():
    counts = np.array([[90.0, 10.0, 0.0], [10.0, 90.0, 0.0], [0.0, 0.0, 4.0], [0.0, 0.0, 0.0]])
    assert set(domain_vertices(counts, 3)[2]) == {0.0, 1.0}


def test_domains_without_a_shift_still_give_as_many_corners():
    D = domain_vertices(np.outer([30.0, 20.0, 10.0, 40.0], [2.0, 1.0, 1.0]), 3)
    np.testing.assert_allclose(D, np.tile([[0.5], [0.25], [0.25]], 3), atol=1e-15)


def test_a_mean_outside_the_simplex_leaves_a_residual():
    D = np.array([[0.9, 0.8], [0.1, 0.2]])
    recovered = recovered_marginals(D, np.array([0.5, 0.5]))
    assert recovered.residual > 0.1
    np.testing.assert_allclose(recovered.marginals.sum(axis=1), 1.0)
    np.testing.assert_allclose(recovered.class_prior.sum(), 1.0)


def test_a_domain_that_no_class_has_gets_the_overall_shares():
    D = np.array([[0.5, 0.2], [0.5, 0.8], [0.0, 0.0]])
    recovered = recovered_marginals(D, np.array([0.3, 0.6, 0.1]))
    np.testing.assert_array_equal(recovered.marginals[2], recovered.class_prior)


def test_counts_are_those_of_the_cells():
    rng = np.random.default_rng(8)
    labels, domains = rng.integers(0, 4, 100), rng.integers(0, 3, 100)
    counts = domain_counts(labels, domains, 6, 3)
    wanted = np.zeros((6, 3))
    np.add.at(wanted, (labels, domains), 1.0)
    np.testing.assert_array_equal(counts, wanted)


@pytest.mark.parametrize("seed", range(4))
def test_corners_are_the_longest_rows_where_noise_is_alike(seed):
    rng = np.random.default_rng(seed)
    shares = np.array([0.6, 0.25, 0.1, 0.03, 0.02])
    counts = np.array([rng.multinomial(400, rng.dirichlet(20 * shares)) for _ in range(12)]) + 1.0
    rows = counts / counts.sum(axis=1, keepdims=True)
    left = rows / np.sqrt(counts.sum(axis=0) / counts.sum())
    left = left @ np.linalg.svd(left, full_matrices=False)[2][:3].T
    corners = []
    for _ in range(3):
        corners.append(np.argmax(np.sum(left**2, axis=1)))
        unit = left[corners[-1]] / np.linalg.norm(left[corners[-1]])
        left = left - np.outer(left @ unit, unit)
    np.testing.assert_allclose(domain_vertices(counts, 3), rows[corners].T, atol=1e-12)


@pytest.mark.parametrize(
    ("small", "others", "is_corner"),
    [(10, 30, True), (9, 30, False), (40, 260, True), (39, 260, False)],
)
def test_ten_rows_and_a_fifth_of_the_mean_make_a_corner(small, others, is_corner):
    """The one pure cluster of the second domain; of five clusters a fifth of the mean is n / 25."""
    counts = np.array([[others, 0.0], *[[0.75 * others, 0.25 * others]] * 3, [0.0, small]])
    counts[1, 0] -= 80 if others == 260 else 0  # 1000 rows with a last cluster of 40
    D = domain_vertices(counts, 2)
    assert (D[1].max() == 1.0) == is_corner


def test_missing_corners_are_the_largest_clusters_left():
    # Two domains and three corners: the third is the largest cluster that is left.
    counts = np.array([[90.0, 10.0], [10.0, 90.0], [30.0, 70.0], [80.0, 160.0], [60.0, 40.0]])
    D = domain_vertices(counts, 3)
    np.testing.assert_allclose(np.sort(D[0]), [0.1, 1 / 3, 0.9])


def test_marginals_follow_from_the_rule_of_bayes():
    D = np.array([[0.6, 0.1, 0.2], [0.3, 0.2, 0.3], [0.1, 0.7, 0.5]])
    prior = np.array([0.5, 0.3, 0.2])
    shares = D @ prior
    recovered = recovered_marginals(D, shares)
    np.testing.assert_allclose(recovered.class_prior, prior, rtol=1e-9)
    np.testing.assert_allclose(recovered.marginals, D * prior / shares[:, None], rtol=1e-9)
    assert recovered.residual < 1e-12
    # Twice the mass outside the simplex: what the best fit leaves, before it is made to sum to 1.
    D, shares = np.array([[1.0, 0.5], [0.0, 0.5]]), np.array([0.25, 0.75])
    recovered = recovered_marginals(D, shares)
    q = (0.5 * 0.25 + 0.5 * 0.75) / 0.5
    assert recovered.residual == pytest.approx(max(abs(0.5 * q - 0.25), abs(0.5 * q - 0.75)))
    np.testing.assert_allclose(recovered.class_prior, [0.0, 1.0])
