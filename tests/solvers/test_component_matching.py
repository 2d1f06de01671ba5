"""Matching of components against all permutations."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import matched_components


@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
@pytest.mark.parametrize("seed", range(4))
def test_the_sum_of_cosines_is_the_largest_of_all_orders(seed, scale):
    rng = np.random.default_rng(seed)
    H, other = rng.normal(size=(2, 5, 3))
    H, other = H * rng.uniform(0.1, 9.0, size=(5, 1)), other * rng.uniform(0.1, 9.0, size=(5, 1))
    cosines = H @ other.T / np.outer(np.linalg.norm(H, axis=1), np.linalg.norm(other, axis=1))
    best = max(itertools.permutations(range(5)), key=lambda order: cosines[range(5), order].sum())
    order, found = matched_components(scale * H, other / scale)
    assert_array_equal(order, best)
    assert_allclose(found, cosines[np.arange(5), list(best)], rtol=1e-12)


def test_zeros_are_at_a_right_angle_to_all():
    order, cosines = matched_components(
        np.array([[0.0, 0.0], [3.0, 4.0]]), np.array([[6.0, 8.0], [0.0, 0.0]])
    )
    assert_array_equal(order, [1, 0])
    assert_allclose(cosines, [0.0, 1.0], rtol=1e-15)


def test_no_cosine_leaves_its_range():
    H = np.random.default_rng(0).normal(size=(200, 7)).astype(np.float32)
    order, cosines = matched_components(H, H)
    assert_array_equal(order, np.arange(200))
    assert (cosines <= 1.0).all()
    assert_allclose(cosines, 1.0, rtol=1e-12)
    cosines = matched_components(H[:1], -H[:1])[1]
    assert cosines[0] >= -1.0
    assert_allclose(cosines, -1.0, rtol=1e-12)
