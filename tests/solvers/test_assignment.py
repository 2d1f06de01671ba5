"""Rows and their centres: every function against a few lines of NumPy."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers import (
    assign,
    assign_several,
    center_distances,
    costs_of_assignment,
    row_norms,
    total_cost,
    unit_rows,
    weighted_total,
)

X = np.random.default_rng(0).normal(size=(9000, 3))
CENTERS = np.random.default_rng(1).normal(size=(5, 3))
SQUARES = np.square(X[:, None] - CENTERS).sum(axis=2)
LENGTHS = np.linalg.norm(X, axis=1)[:, None] * np.linalg.norm(CENTERS, axis=1)
COSINES = 1 - X @ CENTERS.T / LENGTHS
COSTS = {False: SQUARES, True: COSINES}
DISTANCES = {False: np.sqrt(SQUARES), True: COSINES}


@pytest.fixture(params=[None, 4096], ids=["one block", "blocks"])
def blocks(request):
    return as_blocks(X, block_rows=request.param)


@pytest.mark.parametrize("spherical", [False, True])
def test_nearest_centres(blocks, spherical):
    order = np.argsort(COSTS[spherical], axis=1)
    labels = assign(blocks, CENTERS, spherical=spherical)
    np.testing.assert_array_equal(labels, order[:, 0])
    distances, several = assign_several(blocks, CENTERS, 3, spherical=spherical)
    np.testing.assert_array_equal(several, order[:, :3])
    expected = np.take_along_axis(DISTANCES[spherical], several, axis=1)
    np.testing.assert_allclose(distances, expected, rtol=1e-12, atol=1e-15)
    all_of_them = center_distances(blocks, CENTERS, spherical=spherical)
    np.testing.assert_allclose(all_of_them, DISTANCES[spherical], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_costs(blocks, spherical, weighted):
    labels = np.random.default_rng(2).integers(0, 5, size=len(X))
    costs = costs_of_assignment(blocks, CENTERS, labels, spherical=spherical)
    np.testing.assert_allclose(costs, COSTS[spherical][np.arange(len(X)), labels], rtol=1e-9)
    weight = np.random.default_rng(3).uniform(size=len(X)) if weighted else None
    total = total_cost(blocks, CENTERS, sample_weight=weight, spherical=spherical)
    expected = (COSTS[spherical].min(axis=1) * (1 if weight is None else weight)).sum()
    np.testing.assert_allclose(total, expected, rtol=1e-12)


def test_costs_do_not_depend_on_the_layout():
    labels = assign(X, CENTERS)
    expected = costs_of_assignment(X, CENTERS, labels)
    np.testing.assert_array_equal(
        costs_of_assignment(np.asfortranarray(X), CENTERS, labels), expected
    )


def test_lengths_and_directions():
    rows = np.array([[3.0, 4.0], [0.0, 0.0], [-1e200, 0.0], [1e-300, 1e-300]])
    np.testing.assert_array_equal(row_norms(rows[:2]), [5.0, 0.0])
    half = np.sqrt(0.5)
    np.testing.assert_allclose(
        unit_rows(rows), [[0.6, 0.8], [0.0, 0.0], [-1.0, 0.0], [half, half]], rtol=1e-15
    )
    huge = np.full((1, 4), 1e30, dtype=np.float32)
    assert unit_rows(huge).dtype == np.float32
    np.testing.assert_array_equal(unit_rows(huge), np.full((1, 4), 0.5))


def test_weight_zero_removes_an_infinite_value():
    assert weighted_total(np.array([1.0, np.inf]), np.array([3.0, 0.0])) == 3.0
    assert weighted_total(np.array([1.0, np.inf])) == np.inf
