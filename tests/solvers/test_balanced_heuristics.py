"""Balanced labels from a plan and from regrets: units, and rows far from each other."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import sinkhorn_assignment


def small_numbers(n=60, d=3, seed=0):
    """Whole numbers, so that powers of two scale them exactly, among numbers without digits too."""
    return np.random.default_rng(seed).integers(-7, 8, size=(n, d)).astype(np.float64)


@pytest.mark.parametrize("exponent", [-1070, -1000, -300, 0, 300, 505])
def test_units_change_no_label(exponent):
    X = small_numbers()
    expected, prices, cost = sinkhorn_assignment(X, X[:6], 10, 10)
    assert_array_equal(np.bincount(expected), np.full(6, 10))
    scale = np.ldexp(1.0, exponent)
    labels, scaled_prices, scaled_cost = sinkhorn_assignment(X * scale, X[:6] * scale, 10, 10)
    assert_array_equal(labels, expected)
    assert_allclose(scaled_prices, prices * scale * scale, rtol=1e-9)
    assert_allclose(scaled_cost, cost * scale * scale, rtol=1e-9)


@pytest.mark.parametrize("exponent", [-500, -300, 300, 500])
def test_units_change_nothing_of_a_start_from_prices(exponent):
    X = small_numbers()
    start = np.arange(6.0)
    labels, prices, _ = sinkhorn_assignment(X, X[:6], 10, 10, prices=start)
    scale = np.ldexp(1.0, exponent)
    scaled = sinkhorn_assignment(X * scale, X[:6] * scale, 10, 10, prices=start * scale * scale)
    assert_array_equal(scaled[0], labels)
    # Powers of two are exact, so that the sweeps go the same way.
    assert_allclose(scaled[1], prices * scale * scale, rtol=1e-12)
