"""The local outlier factor: against scikit-learn, with copies, and class by class."""

import numpy as np
import pytest
from sklearn.neighbors import LocalOutlierFactor

from clusterlib.solvers import class_inliers, local_outlier_factor


def reference(X, n_neighbors):
    model = LocalOutlierFactor(n_neighbors=n_neighbors, algorithm="brute").fit(X)
    return -model.negative_outlier_factor_


@pytest.mark.parametrize(("n", "d", "k"), [(2, 1, 1), (5, 2, 4), (60, 3, 1), (300, 8, 20)])
def test_it_is_that_of_scikit_learn(n, d, k):
    X = np.random.default_rng(n).normal(size=(n, d))
    X[: n // 10] *= 6
    np.testing.assert_allclose(local_outlier_factor(X, k), reference(X, k), rtol=1e-8)


def test_single_precision_is_near_double():
    X = np.random.default_rng(0).normal(size=(200, 5))
    factors = local_outlier_factor(X.astype(np.float32), 10)
    assert factors.dtype == np.float64
    np.testing.assert_allclose(factors, local_outlier_factor(X, 10), rtol=1e-5)


def test_it_is_written_as_its_definition():
    X = np.array([[0.0], [1.0], [3.0], [10.0]])
    # k = 2: k-distances 3, 2, 3, 9; reachabilities of the neighbours, in order of distance.
    reach = np.array([(2 + 3) / 2, (3 + 3) / 2, (2 + 3) / 2, (7 + 9) / 2])
    neighbors = np.array([[1, 2], [0, 2], [1, 0], [2, 1]])
    expected = reach * (1 / reach)[neighbors].mean(axis=1)
    np.testing.assert_allclose(local_outlier_factor(X, 2), expected, rtol=1e-14)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 40])
def test_equal_rows_have_factor_one(n):
    np.testing.assert_array_equal(local_outlier_factor(np.full((n, 3), 0.1), 5), np.ones(n))


def test_more_neighbors_than_rows_are_cut():
    X = np.random.default_rng(0).normal(size=(7, 2))
    np.testing.assert_array_equal(local_outlier_factor(X, 50), local_outlier_factor(X, 6))


@pytest.mark.parametrize("unit", [1e-150, 1.0, 1e100])
def test_a_clump_of_copies_keeps_factors_finite_in_every_unit(unit):
    X = np.random.default_rng(1).normal(size=(60, 2))
    X[:30] = X[0]
    X[59] = 8.0
    factors = local_outlier_factor(unit * X, 10)
    np.testing.assert_array_equal(factors[:30], 1.0)
    assert 0 < factors.min()
    # Copies are as dense as the densest other place, where scikit-learn has 1e10 times its unit.
    assert factors.max() < 100
    assert factors.argmax() == 59
    np.testing.assert_allclose(factors, local_outlier_factor(X, 10), rtol=1e-6)


def test_copies_fewer_than_neighbors_are_those_of_scikit_learn():
    X = np.repeat(np.random.default_rng(2).normal(size=(40, 3)), 3, axis=0)
    ours, theirs = local_outlier_factor(X, 8), reference(X, 8)
    # All three copies of a row or none are neighbours, but for the last place: (8 - 2) / 3 is whole.
    np.testing.assert_allclose(ours, theirs, rtol=1e-6)
    np.testing.assert_allclose(ours.reshape(40, 3).std(axis=1), 0.0, atol=1e-12)


def test_extreme_ratios_of_distances_stay_finite():
    X = np.array([[0.0], [1e-160], [2e-160], [1e150], [3e150]])
    factors = local_outlier_factor(X, 1)
    assert np.isfinite(factors).all()
    assert factors.min() > 0


def test_order_of_rows_does_not_matter():
    rng = np.random.default_rng(3)
    X, order = rng.normal(size=(120, 4)), rng.permutation(120)
    np.testing.assert_allclose(
        local_outlier_factor(X[order], 9), local_outlier_factor(X, 9)[order], rtol=1e-12
    )


def blobs(rng):
    """Two classes with far rows in each, and one that lies where an outlier of the others is."""
    X = np.concatenate([rng.normal(size=(50, 2)), rng.normal(size=(40, 2)) + 30])
    codes = np.repeat([0, 2], [50, 40])
    X[[3, 60]] = [[30.0, 30.0], [0.0, 0.0]]
    return X, codes


def test_outliers_are_those_of_the_own_class():
    X, codes = blobs(np.random.default_rng(0))
    inliers = class_inliers(X, codes, 3, threshold=3.0)
    assert inliers.dtype == bool
    np.testing.assert_array_equal(np.flatnonzero(~inliers), [3, 60])
    assert local_outlier_factor(X, 20)[3] < 2


def test_classes_do_not_depend_on_each_other_or_on_the_order():
    rng = np.random.default_rng(4)
    X, codes = rng.normal(size=(90, 3)), rng.integers(0, 4, size=90)
    inliers = class_inliers(X, codes, 4, threshold=1.1)
    assert 0 < inliers.sum() < 90
    for code in range(4):
        own = codes == code
        np.testing.assert_array_equal(inliers[own], local_outlier_factor(X[own], 20) <= 1.1)
    order = rng.permutation(90)
    np.testing.assert_array_equal(
        class_inliers(X[order], 3 - codes[order], 4, threshold=1.1), inliers[order]
    )


def test_classes_of_three_rows_stay_whole_and_those_of_four_do_not():
    X = np.array([[0.0], [1.0], [100.0], [0.0], [1.0], [2.0], [100.0]])
    codes = np.array([0, 0, 0, 1, 1, 1, 1])
    for k in (1, 2):  # with one neighbour the last of the three has a factor of 99
        inliers = class_inliers(X, codes, 2, n_neighbors=k)
        np.testing.assert_array_equal(inliers, [True, True, True, True, True, True, False])


@pytest.mark.parametrize("least", [0, 1, 2, 5, 99])
def test_the_best_rows_are_kept_where_none_is_an_inlier(least):
    X = np.random.default_rng(5).normal(size=(12, 2))
    inliers = class_inliers(X, np.zeros(12, dtype=int), 1, threshold=0.0, least_rows=least)
    best = np.argsort(local_outlier_factor(X, 20), kind="stable")[:least]
    np.testing.assert_array_equal(np.flatnonzero(inliers), np.sort(best))


def test_two_rows_are_kept_unless_another_number_is_given():
    X = np.random.default_rng(5).normal(size=(12, 2))
    assert class_inliers(X, np.zeros(12, dtype=int), 1, threshold=0.0).sum() == 2


def test_a_factor_at_the_threshold_is_no_outlier():
    assert class_inliers(np.ones((9, 2)), np.zeros(9, dtype=int), 1, threshold=1.0).all()


def test_no_rows():
    assert class_inliers(np.empty((0, 2)), np.empty(0, dtype=int), 3).shape == (0,)


@pytest.mark.parametrize(("d", "low", "high"), [(2, 0.0, 0.3), (32, 0.95, 1.0)])
def test_factors_crowd_around_one_in_many_dimensions(d, low, high):
    """Rows 5 deviations off, each in a direction of its own, are caught in a plane alone."""
    rng = np.random.default_rng(6)
    X, directions = rng.normal(size=(240, d)), rng.normal(size=(40, d))
    X[200:] += 5 * directions / np.linalg.norm(directions, axis=1, keepdims=True)
    inliers = class_inliers(X, np.zeros(240, dtype=int), 1)
    assert low <= inliers[200:].mean() <= high
    assert inliers[:200].mean() > 0.95
