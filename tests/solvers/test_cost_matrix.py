"""What a stored cost is checked for: its range, its offset, its type."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.solvers.cost_matrix import CostMatrix

LARGEST = np.finfo(np.float64).max / 4


@pytest.mark.parametrize(
    ("low", "high", "offset"),
    [
        (4.0, 5.0, 4.0),  # 5 is more than four times the range of 1
        (3.0, 4.0, 0.0),  # 4 is not
        (3.0, 3.999, 3.0),
        (-5.0, -4.0, -5.0),
        (-4.0, -3.0, 0.0),
        (-4.0, -3.001, -4.0),
        (7.0, 7.0, 7.0),
        (-7.0, -7.0, -7.0),
        (0.0, 0.0, 0.0),
        (0.0, 9.0, 0.0),
        (-3.0, 1.0, 0.0),
        (-1.0, 3.0, 0.0),
    ],
)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_an_offset_that_is_large_against_the_range_is_subtracted(low, high, offset, dtype):
    given = np.array([[low, high], [high, low], [low, low]], dtype=dtype)
    cost = CostMatrix.checked(given)
    offset = float(dtype(offset))
    assert cost.offset == offset
    assert_array_equal(cost.values, given - dtype(offset))
    assert cost.magnitude == np.abs(given - dtype(offset)).max()
    assert cost.dtype == dtype
    whole = CostMatrix.checked(given, subtract_offset=False)
    assert whole.offset == 0.0
    assert whole.magnitude == max(abs(low), float(np.abs(given).max()))
    assert_array_equal(whole.values, given)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_a_quarter_of_the_range_is_the_most(sign):
    accepted = CostMatrix.checked(np.array([[0.0, sign * LARGEST]]))
    assert accepted.magnitude == LARGEST
    refused = np.array([[0.0, sign * np.nextafter(LARGEST, np.inf)]])
    with pytest.raises(ValueError, match=r"must not exceed 4\.49423e\+307 in float64"):
        CostMatrix.checked(refused)
    largest = np.finfo(np.float32).max / 4
    accepted = CostMatrix.checked(np.array([[0.0, sign * largest]], dtype=np.float32))
    assert accepted.magnitude == largest
    refused = np.array([[0.0, sign * np.nextafter(largest, np.float32(np.inf))]], np.float32)
    with pytest.raises(ValueError, match=r"must not exceed 8\.50706e\+37 in float32"):
        CostMatrix.checked(refused)


@pytest.mark.parametrize(
    ("largest", "dtype"),
    [
        (np.nextafter(np.float32(1e-12), np.float32(1)), np.float32),
        (np.float32(9.9e-13), np.float64),
        (np.float32(1.02e-12), np.float32),
        (np.float32(0), np.float32),
        (np.float32(0.5), np.float32),
        (np.nextafter(np.float32(1e24), np.float32(0)), np.float32),
        (np.float32(1.005e24), np.float64),
    ],
)
def test_costs_outside_the_range_of_narrow_numbers_are_widened(largest, dtype):
    cost = CostMatrix.checked(np.array([[0, largest], [largest, 0]], dtype=np.float32))
    assert cost.dtype == dtype
    assert cost.magnitude == float(largest)
    assert_array_equal(cost.values, np.array([[0, largest], [largest, 0]], dtype=np.float32))


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_refused(value):
    with pytest.raises(ValueError, match="NaN or infinity"):
        CostMatrix.checked(np.array([[1.0, value], [0.0, 2.0]]))


@pytest.mark.parametrize("shape", [(3,), (2, 2, 2), (0, 3), (3, 0)])
def test_what_is_no_matrix_is_refused(shape):
    with pytest.raises(ValueError, match="must be a matrix of at least 1 row and 1 column"):
        CostMatrix.checked(np.ones(shape))
    assert CostMatrix.checked([[3]]).shape == (1, 1)


def test_views_keep_the_rest():
    values = np.array([[11.0, 12.0, 13.0], [12.0, 11.0, 11.5]])
    cost = CostMatrix.checked(values)
    assert cost.shape == (2, 3)
    assert cost.T.shape == (3, 2)
    assert np.shares_memory(cost.T.values, cost.values)
    narrow = cost.astype(np.float32)
    for other in (cost.T, narrow):
        assert (other.offset, other.magnitude) == (11.0, 2.0)
    assert narrow.dtype == np.float32
    assert cost.astype(np.float64).values is cost.values
    assert_array_equal(cost.block(slice(1, 2)), [[1.0, 0.0, 0.5]])
    assert narrow.block(slice(0, 1)).dtype == np.float64
    assert narrow.block(slice(0, 1), np.float32).dtype == np.float32
    assert np.shares_memory(cost.block(slice(0, 1)), cost.values)
