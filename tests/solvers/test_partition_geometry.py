"""What the duals need of a partition, beside the formulas on whole arrays."""

from itertools import pairwise

import numpy as np
import pytest

from clusterlib.solvers.partition_geometry import (
    PartitionGeometry,
    centered_rows,
    checked_geometry,
    chunks,
    squared_total,
)


def test_chunks_cover_a_range():
    assert chunks(3, 10, 3) == [slice(3, 6), slice(6, 9), slice(9, 10)]
    assert chunks(0, 4, 4) == [slice(0, 4)]
    assert chunks(0, 4, 2) == [slice(0, 2), slice(2, 4)]
    assert chunks(5, 5) == []
    found = chunks(1, 9000)
    assert (found[0].start, found[-1].stop) == (1, 9000)
    assert all(a.stop == b.start for a, b in pairwise(found))


@pytest.mark.parametrize("size", [1e-200, 1e-3, 1.0, 1e9, 1e149, 1e152, 1e200, 1e307])
@pytest.mark.parametrize("offset", [0.0, 3.0])
def test_rows_are_centred_and_scaled_by_a_power_of_two(size, offset):
    X = size * (np.random.default_rng(0).uniform(-1, 1, size=(30, 4)) + offset) / (1 + offset)
    kept = X.copy()
    rows, scale = centered_rows(X)
    np.testing.assert_array_equal(X, kept)
    assert np.frexp(scale)[0] == 0.5
    assert 1 <= np.abs(rows).max() < 2
    expected = X / scale - (X / scale).mean(axis=0)
    np.testing.assert_allclose(rows, expected, rtol=1e-9, atol=1e-12)
    assert np.abs(rows.mean(axis=0)).max() < 1e-15


def test_rows_that_are_equal_have_the_scale_1():
    for X in (np.full((4, 2), 3), np.full((2, 2), 1e200)):
        rows, scale = centered_rows(X)
        assert (scale, rows.dtype) == (1.0, np.float64)
        assert not rows.any()


def test_far_rows_lose_no_more_than_they_have_lost_already():
    X = 1e8 + np.random.default_rng(1).uniform(size=(1001, 3))
    rows, scale = centered_rows(X)
    assert np.abs(rows.sum(axis=0)).max() < 1e-12
    np.testing.assert_allclose(
        np.diff(rows, axis=0) * scale, np.diff(X - 1e8, axis=0), rtol=0, atol=4e-16
    )


def test_squares_are_added_up():
    rows = np.random.default_rng(2).normal(size=(5000, 3))
    assert squared_total(rows) == pytest.approx(np.square(rows).sum(), rel=1e-13)


def partition(n=23, p=3, seed=0):
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.r_[np.full(n // 2, 7), np.full(n - n // 2 - 1, -2), 40])
    return rng.normal(size=(n, p)) + 5, labels


def clusters_of(geometry):
    return [slice(*pair) for pair in pairwise(geometry.starts)]


@pytest.mark.parametrize(("n", "p"), [(23, 3), (5001, 2)])
def test_everything_is_that_of_whole_arrays(n, p):
    X, labels = partition(n, p)
    geometry = PartitionGeometry(X, labels)
    np.testing.assert_array_equal(geometry.order, np.argsort(labels, kind="stable"))
    values, counts = np.unique(labels, return_counts=True)
    assert geometry.n_clusters == 3
    np.testing.assert_array_equal(geometry.sizes, counts)
    assert geometry.inflation == 0.0
    Y = (X - X.mean(axis=0)) / geometry.scale
    np.testing.assert_allclose(geometry.rows, Y[geometry.order], atol=1e-12)
    means = np.array([Y[labels == value].mean(axis=0) for value in values])
    np.testing.assert_allclose(geometry.means, means, atol=1e-12)
    assert geometry.total == pytest.approx(np.square(Y).sum())
    within = Y - means[np.searchsorted(values, labels)]
    assert geometry.cost == pytest.approx(np.square(within).sum())
    np.testing.assert_allclose(geometry.within_scatter, within.T @ within, atol=1e-10)
    for a, value in enumerate(values):
        part = within[labels == value]
        np.testing.assert_allclose(geometry.scatter(a), part.T @ part, atol=1e-10)
    np.testing.assert_allclose(geometry.offsets, means[:, None] - means[None])
    distances = ((means[:, None] - means[None]) ** 2).sum(axis=2)
    np.testing.assert_allclose(geometry.squared_distances, distances, atol=1e-12)
    np.testing.assert_allclose(geometry.inverse_sizes, 1 / counts[:, None] + 1 / counts)
    costs = ((geometry.rows[:, None] - means) ** 2).sum(axis=2)
    for a, rows in enumerate(clusters_of(geometry)):
        margins = costs[rows] - costs[rows, a : a + 1]
        np.testing.assert_allclose(geometry.margins[rows], margins, atol=1e-11)
        assert not geometry.margins[rows, a].any()
        smallest = margins.min(axis=0)
        smallest[a] = np.inf
        np.testing.assert_allclose(geometry.smallest_margins[a], smallest, atol=1e-11)


def test_sums_are_made_of_chunks_whose_errors_are_bounded():
    X, labels = partition()
    unit = 2.0**-53
    small = PartitionGeometry(X, labels).sum_error
    large = PartitionGeometry(*partition(9000)).sum_error
    assert 2048 * unit < small < large < 2100 * unit


@pytest.mark.parametrize("n", [2, 6, 15])
def test_more_features_than_rows_become_as_many(n):
    X, labels = partition(n, 40, seed=3) if n > 2 else (np.eye(2, 5), [0, 1])
    geometry = PartitionGeometry(X, labels)
    assert geometry.rows.shape == (n, n)
    Y = (X - X.mean(axis=0)) / geometry.scale
    Y = Y[geometry.order]
    e = geometry.inflation
    assert 0 < e < 1e-11 * geometry.total
    gram = geometry.rows @ geometry.rows.T
    # The Cholesky factor of rows rows' + e I, though in the order before the clusters were sorted.
    np.testing.assert_allclose(gram, Y @ Y.T + e * np.eye(n), atol=1e-12)
    assert geometry.total == pytest.approx(np.square(Y).sum())
    unit = 2.0**-53
    assert e == pytest.approx(4 * (n + X.shape[1]) * unit * geometry.total, rel=1e-3)


def test_as_many_features_as_rows_stay():
    X, labels = partition(6, 6)
    geometry = PartitionGeometry(X, labels)
    assert geometry.inflation == 0.0
    Y = (X - X.mean(axis=0)) / geometry.scale
    np.testing.assert_allclose(geometry.rows, Y[geometry.order], atol=1e-14)
    equal = PartitionGeometry(np.ones((3, 9)), [0, 1, 1])
    assert (equal.inflation, equal.total, equal.rows.shape) == (0.0, 0.0, (3, 9))


@pytest.mark.parametrize(
    ("size", "fits"), [(1e-151, False), (1e-148, True), (1e150, True), (1e154, False)]
)
def test_rows_whose_squares_leave_the_range_are_refused(size, fits):
    X, labels = partition(400)
    X = size * (X - 5)
    if fits:
        assert checked_geometry(X, labels).scale > 0
        return
    with pytest.raises(ValueError, match="away from their mean, whose square leaves"):
        checked_geometry(X, labels)


def test_the_limits_of_squares():
    labels = np.array([0, 1])
    for scale, fits in ((2.0**-499, False), (2.0**-498, True), (2.0**507, True), (2.0**508, False)):
        X = scale * np.array([[1.0], [-1.0]])  # of the total 2 in units of scale^2
        assert 1e-300 < scale**2 and 2 * scale**2 < 1e306 or not fits
        if fits:
            assert checked_geometry(X, labels).scale == scale
        else:
            with pytest.raises(ValueError, match="multiply X by a power of ten"):
                checked_geometry(X, labels)
    assert checked_geometry(np.full((3, 1), 1e-300), [0, 0, 1]).total == 0
