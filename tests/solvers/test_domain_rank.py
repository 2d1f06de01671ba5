"""The rank test of clusters by domains: planted ranks, noise alone, invariances, corners."""

import numpy as np
import pytest
import scipy.stats
from numpy.testing import assert_allclose

from clusterlib.solvers import class_margin, domain_rank


def planted(k, m=30, r=12, n=200_000, alpha=0.5, seed=0):
    """A table of n rows from k classes; clusters are mixtures of classes."""
    rng = np.random.default_rng(seed)
    mixtures = rng.dirichlet(np.full(k, 0.2), m)
    mixtures[:k] = np.eye(k)
    domains_of_class = rng.dirichlet(np.full(r, alpha), k)
    return rng.multinomial(n, (mixtures @ domains_of_class / m).ravel()).reshape(m, r)


@pytest.mark.parametrize("k", [1, 2, 5, 9])
def test_planted_rank_is_found(k):
    for seed in range(5):
        result = domain_rank(planted(k, seed=seed + 1))
        assert result.n_classes == k
        assert result.margin > 1.0


def test_noise_alone_is_one_class():
    answers = []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        clusters, domains = rng.integers(0, 30, 3000), rng.integers(0, 15, 3000)
        table = np.zeros((30, 15))
        np.add.at(table, (clusters, domains), 1)
        answers.append(domain_rank(table).n_classes)
    # The largest singular value of noise passes the threshold now and then.
    assert np.mean(np.array(answers) > 1) < 0.15
    assert max(answers) <= 2


def test_squares_sum_to_the_chi_square_statistic():
    counts = planted(4, n=5000)
    chi_square = scipy.stats.chi2_contingency(counts, correction=False)[0]
    assert_allclose((domain_rank(counts).singular_values ** 2).sum(), chi_square, rtol=1e-12)


def test_order_and_empty_lines_change_nothing():
    counts = planted(5)
    result = domain_rank(counts)
    rng = np.random.default_rng(1)
    moved = counts[rng.permutation(30)][:, rng.permutation(12)]
    padded = np.zeros((33, 14))
    padded[1:31, 2:] = moved
    other = domain_rank(padded)
    assert other.n_classes == result.n_classes
    assert other.threshold == result.threshold
    assert_allclose(other.singular_values, result.singular_values, atol=1e-9)


def test_more_rows_show_more_of_the_same_dependence():
    counts = planted(6, n=20_000)
    few, many = domain_rank(counts), domain_rank(9 * counts)
    assert_allclose(many.singular_values[:-1], 3 * few.singular_values[:-1])
    assert many.n_classes >= few.n_classes


def test_margin_of_a_claim():
    result = domain_rank(planted(4))
    margins = [class_margin(result, k) for k in range(1, 15)]
    assert margins[0] == np.inf
    assert margins[2] >= margins[3] > 1.0 > margins[4]
    assert margins[12:] == [0.0, 0.0]
    assert_allclose(result.margin, min(margins[3], 1 / margins[4]))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_line_is_one_class(shape):
    result = domain_rank(np.full(shape, 10))
    assert result.n_classes == 1
    assert class_margin(result, 2) == 0.0


def test_no_rows_at_all():
    result = domain_rank(np.zeros((4, 3)))
    assert result.n_classes == 1
    assert result.singular_values.shape == (0,)
    assert class_margin(result, 2) == 0.0


def test_as_many_classes_as_lines_may_be_claimed():
    result = domain_rank(np.diag([100, 100, 100]))
    assert result.n_classes == 3
    assert class_margin(result, 3) > 1.0
    assert class_margin(result, 4) == 0.0


@pytest.mark.parametrize("shape", [(3, 3), (7, 4), (4, 7)])
def test_values_are_those_of_the_formula(shape):
    """Small lines, which count as if they had a row for each cell, included."""
    m, r = shape
    counts = np.random.default_rng(0).poisson(6.0, size=shape).astype(float)
    counts[0] *= 20
    counts[-1], counts[:, -1] = 0, 0
    counts[-1, 0] = counts[0, -1] = 1
    result = domain_rank(counts)
    clusters, domains, n = counts.sum(axis=1), counts.sum(axis=0), counts.sum()
    residuals = np.empty(shape)
    for i in range(m):
        for j in range(r):
            expected = clusters[i] * domains[j] / n
            weight = max(clusters[i], r) * max(domains[j], m) / n
            residuals[i, j] = (counts[i, j] - expected) / np.sqrt(weight)
    values = np.linalg.svd(residuals, compute_uv=False)
    assert_allclose(result.singular_values, values, atol=1e-12)
    assert result.threshold == pytest.approx(np.sqrt(m - 1) + np.sqrt(r - 1))
    above = np.sum(values[:-1] > result.threshold)
    assert result.n_classes == 1 + above
    ratios = [values[above - 1] / result.threshold] if above else []
    ratios += [result.threshold / values[above]] if above < len(values) - 1 else []
    assert result.margin == pytest.approx(min(ratios, default=np.inf))
    for k in range(2, min(shape) + 1):
        assert class_margin(result, k) == pytest.approx(values[k - 2] / result.threshold)
    assert class_margin(result, min(shape) + 1) == 0.0


@pytest.mark.parametrize("side", [0.999, 1.001])
def test_a_class_stands_out_from_the_threshold_on(side):
    """Two clusters and two domains have one value, which grows with the root of the rows."""
    counts = np.array([[60.0, 40.0], [40.0, 60.0]])
    one = domain_rank(counts)
    counts *= (side * one.threshold / one.singular_values[0]) ** 2
    result = domain_rank(counts)
    assert result.n_classes == (2 if side > 1 else 1)
    assert result.margin == pytest.approx(max(side, 1 / side), rel=1e-6)
    assert class_margin(result, 2) == pytest.approx(side)


def test_a_table_without_dependence_is_clear():
    result = domain_rank(np.outer([4.0, 8.0, 16.0], [1.0, 2.0, 4.0]))
    assert result.n_classes == 1
    assert result.margin > 1e9
    assert domain_rank(np.full((1, 1), 3)).margin == np.inf
    assert domain_rank(np.zeros((2, 2))).margin == np.inf
