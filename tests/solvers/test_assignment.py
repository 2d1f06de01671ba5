"""Rows and their centres: every function against a few lines of NumPy."""

from importlib import import_module

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers import (
    assign,
    assign_several,
    assign_with_cost,
    center_distances,
    cost_of_assignment,
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


class Elsewhere:
    """Rows as a device carries them, played by the host."""

    on_host = False
    n_samples, n_features, dtype = X.shape[0], X.shape[1], X.dtype

    def map(self, fn, row_aligned=(), broadcast=()):
        yield fn(X, *row_aligned, *broadcast)

    def joined(self, parts):
        return np.concatenate(list(parts))

    def to_host(self, array):
        return array.copy()


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_costs_elsewhere_are_those_at_the_nearest_centres(weighted, spherical, monkeypatch):
    module = import_module("clusterlib.solvers.assignment")
    monkeypatch.setattr(module, "as_blocks", lambda blocks: blocks)
    monkeypatch.setattr(
        module, "map_blocks", lambda fn, blocks, broadcast: blocks.map(fn, (), broadcast)
    )
    weight = np.random.default_rng(3).uniform(size=len(X)) if weighted else None
    nearest = COSTS[spherical].argmin(axis=1)
    least = COSTS[spherical].min(axis=1)
    total = (least * (1 if weight is None else weight)).sum()
    options = {"sample_weight": weight, "spherical": spherical}
    costs = costs_of_assignment(Elsewhere(), CENTERS, nearest, spherical=spherical)
    np.testing.assert_allclose(costs, least, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(
        [
            cost_of_assignment(Elsewhere(), CENTERS, nearest, **options),
            total_cost(Elsewhere(), CENTERS, **options),
        ],
        total,
        rtol=1e-12,
    )
    labels, cost = assign_with_cost(Elsewhere(), CENTERS, **options)
    np.testing.assert_array_equal(labels, nearest)
    np.testing.assert_allclose(cost, total, rtol=1e-12)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_labels_and_costs_of_one_pass(blocks, weighted, spherical):
    weight = np.random.default_rng(3).uniform(size=len(X)) if weighted else None
    options = {"sample_weight": weight, "spherical": spherical}
    labels, cost = assign_with_cost(blocks, CENTERS, **options)
    assert labels.dtype == np.int32
    np.testing.assert_array_equal(labels, COSTS[spherical].argmin(axis=1))
    assert cost == total_cost(blocks, CENTERS, **options)
    assert cost == cost_of_assignment(blocks, CENTERS, labels, **options)
    other = np.random.default_rng(2).integers(0, 5, size=len(X))
    costs = costs_of_assignment(blocks, CENTERS, other, spherical=spherical)
    found = cost_of_assignment(blocks, CENTERS, other, **options)
    assert found == weighted_total(costs, weight)


def test_costs_beyond_all_numbers_are_infinite():
    far = np.array([[1e200], [1.0]])
    centers, labels = np.array([[-1e200], [0.0]]), np.array([0, 1])
    assert costs_of_assignment(far, centers, labels).tolist() == [np.inf, 1.0]
