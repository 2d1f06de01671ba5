"""The scale of a cost: exact for matrices and for points, whatever is left to be sorted."""

from importlib import import_module

import numpy as np
import pytest

from clusterlib.solvers import PointCost, cost_scale

KINDS = {"max": np.max, "mean": np.mean, "median": np.median}
MODULE = import_module("clusterlib.solvers.cost_scale")


def costs():
    rng = np.random.default_rng(0)
    for shape in [(1, 1), (1, 2), (3, 7), (40, 50), (200, 300)]:
        yield rng.normal(size=shape)
        yield rng.integers(5, 7, size=shape)
        yield np.exp(8 * rng.normal(size=shape))


@pytest.mark.parametrize("gathered", [5, 1000, 10**6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", KINDS)
def test_matrix(kind, dtype, gathered, monkeypatch):
    monkeypatch.setattr(MODULE, "_GATHER_VALUES", gathered)
    monkeypatch.setattr(MODULE, "_CHUNK_VALUES", 777)
    for cost in costs():
        cost = cost.astype(dtype)
        expected = KINDS[kind](np.abs(cost).astype(np.float64))
        # Only the mean is a sum, whose order differs from NumPy's.
        tolerance = 1e-14 if kind == "mean" else 0
        np.testing.assert_allclose(cost_scale(cost, kind), expected, rtol=tolerance)
        np.testing.assert_allclose(cost_scale(cost.T, kind), expected, rtol=tolerance)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean", "cosine", "inner_product"])
@pytest.mark.parametrize("kind", KINDS)
def test_points(kind, metric, monkeypatch):
    monkeypatch.setattr(MODULE, "_GATHER_VALUES", 100)
    monkeypatch.setattr(MODULE, "_CHUNK_VALUES", 2000)
    rng = np.random.default_rng(1)
    cost = PointCost(rng.normal(size=(70, 3)), rng.normal(size=(90, 3)), metric=metric)
    expected = KINDS[kind](np.abs(cost.block(slice(None))))
    np.testing.assert_allclose(cost_scale(cost, kind), expected, rtol=1e-12)


def test_middle_values_with_different_leading_bits(monkeypatch):
    monkeypatch.setattr(MODULE, "_GATHER_VALUES", 2)
    cost = np.repeat([[1.0, 1e9]], 10, axis=0)
    assert cost_scale(cost, "median") == (1.0 + 1e9) / 2


def test_huge_costs():
    assert cost_scale(np.full((30, 30), 1e308), "mean") == pytest.approx(1e308)
    assert cost_scale(np.full((2, 2), 1e308), "median") == 1e308


def test_cost_of_zeros():
    for kind in KINDS:
        assert cost_scale(np.zeros((3, 2)), kind) == 1.0


@pytest.mark.parametrize(
    ("cost", "kind", "message"),
    [
        (np.ones((2, 2)), "std", "kind must be one of 'max', 'mean', 'median', got 'std'"),
        (np.array([[1.0, np.nan]]), "max", "cost contains NaN"),
        (np.array([[1.0, -np.inf]]), "median", "cost contains NaN or infinity"),
        (np.ones((0, 3)), "max", r"at least one entry, got shape \(0, 3\)"),
        (np.diag([1.0, 2.0, 3.0]), "median", "median of the cost is 0 though its maximum is 3"),
    ],
)
def test_bad_input(cost, kind, message):
    with pytest.raises(ValueError, match=message):
        cost_scale(cost, kind)
