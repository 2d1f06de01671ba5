"""The two geometries row by row: centres, costs, weights, norms and directions."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import row_norms, unit_rows
from clusterlib.solvers.geometry import Flat, Sphere

TINY = np.finfo(np.float64).tiny


def rows(n=7, d=3, seed=0):
    return np.random.default_rng(seed).normal(size=(n, d))


def test_flat_centres_are_means_and_empty_ones_stay():
    sums, weights = rows(3), np.array([2.0, 0.0, 0.5])
    previous = rows(3, seed=1)
    before = previous.copy()
    found = Flat.centers(sums, weights, previous)
    assert_allclose(found, [sums[0] / 2, previous[1], sums[2] / 0.5])
    assert_array_equal(previous, before)
    narrow = Flat.centers(sums, weights, previous.astype(np.float32))
    assert narrow.dtype == np.float32


def test_spherical_centres_are_directions_and_lost_ones_stay():
    sums, previous = rows(4), rows(4, seed=1)
    sums[2] = 0.0
    found = Sphere.centers(sums, np.array([2.0, 0.0, 1.0, 0.5]), previous)
    assert_allclose(found[[0, 3]], sums[[0, 3]] / np.linalg.norm(sums[[0, 3]], axis=1)[:, None])
    assert_array_equal(found[1:3], previous[1:3])


def test_points_are_rows_or_their_directions():
    X = rows()
    assert Flat.points(X) is X
    assert_allclose(Sphere.points(X), X / np.linalg.norm(X, axis=1)[:, None], rtol=1e-14)


def test_flat_costs_are_squared_distances():
    X, centers = rows(), rows(seed=1)
    expected = np.square(X - centers).sum(axis=1)
    assert_allclose(Flat.costs(X, centers.copy()), expected, rtol=1e-14)


@pytest.mark.parametrize("exponent", [-1060, -600, 0, 600])
def test_spherical_costs_do_not_depend_on_lengths(exponent):
    X = np.random.default_rng(0).integers(-9, 10, size=(7, 3)).astype(float)
    X[3] = 0.0
    centers = unit_rows(rows(seed=1))
    centers[0] = unit_rows(X[:1])[0]
    centers[1] = -unit_rows(X[1:2])[0]
    found = Sphere.costs(np.ldexp(X, exponent), centers.copy())
    norms = np.linalg.norm(X, axis=1)
    norms[3] = 1.0
    expected = 1 - (X * centers).sum(axis=1) / norms
    assert_allclose(found, expected, rtol=1e-12, atol=1e-15)
    assert found[3] == 1.0  # no direction: as far from all
    assert found[0] >= 0.0
    assert_allclose(Sphere.costs(X, 3.0 * centers), expected, rtol=1e-12, atol=1e-15)


def test_seeding_costs():
    distances = np.array([0.0, 3.0, 1e200])
    assert_allclose(Flat.seeding_costs(distances.copy(), 1e199), [0.0, 9e-398, 100.0])
    assert_allclose(Flat.seeding_costs(distances[:2].copy(), 2.0), [0.0, 2.25])
    assert Sphere.seeding_costs(distances, 5.0) is distances


@pytest.mark.parametrize("weight", [None, np.array([1.0, 0.0, 2.0, 3.0, 4.0])])
def test_rows_enter_sums_by_their_weights_over_their_lengths(weight):
    X = np.array([[3.0, 4.0], [6.0, 8.0], [0.0, 0.0], [0.0, TINY], [0.0, TINY / 2]])
    for summed in (Flat.summation_weight(as_blocks(X), weight), Flat.row_weight(X, weight)):
        assert summed is weight
    given = np.ones(5) if weight is None else weight
    expected = [given[0] / 5, given[1] / 10, 0.0, given[3] / TINY, 0.0]
    assert_allclose(Sphere.row_weight(X[:3], None if weight is None else weight[:3]), expected[:3])
    # A row alone, as norms far below the largest one of all are 0.
    for i in (3, 4):
        one = None if weight is None else weight[i : i + 1]
        assert_allclose(Sphere.row_weight(X[i : i + 1], one), expected[i])
    assert_allclose(
        Sphere.summation_weight(as_blocks(X[:3]), None if weight is None else weight[:3]),
        expected[:3],
    )


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("exponent", [-100, 0, 100])
def test_norms_and_directions_of_any_length(dtype, exponent):
    X = np.ldexp(rows(9, 4), exponent).astype(dtype)
    X[2] = 0.0
    norms = row_norms(X)
    exact = np.linalg.norm(X.astype(float), axis=1)
    assert norms.dtype == np.float64
    assert_allclose(norms, exact, rtol=1e-6 if dtype is np.float32 else 1e-14)
    directions = unit_rows(X)
    assert directions.dtype == dtype
    exact[2] = 1.0
    assert_allclose(directions, X / exact[:, None], rtol=1e-6 if dtype is np.float32 else 1e-14)
