"""Ranges of values: decided as by the largest one, in any layout, and without work before the rest."""

import numpy as np
import pytest
from sklearn.model_selection import StratifiedKFold

from clusterlib.blocks import as_blocks
from clusterlib.kernels.sinkhorn_checks import in_range
from clusterlib.label_shift import LatentLabelShift
from clusterlib.validation import checked_class_weight, checked_domains, checked_range
from clusterlib.validation.folds import checked_folds
from tests.helpers import LAYOUTS

SHAPES = {
    "small": (1, 1),
    "long": (5_000, 3),
}


def with_one(value, shape, fill, dtype=np.float64):
    X = np.full(shape, fill, dtype)
    X[-1, 0] = -value
    return X


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_the_largest_value_decides_alone(layout, shape, tmp_path):
    for end, refused in ((2.0**-500, 0.9), (2.0**444, 1.1)):
        for fill in (0.0, end / 1.2):
            inside = LAYOUTS[layout](with_one(end, shape, fill), tmp_path)
            checked_range(inside)
            checked_range(as_blocks(inside))
            outside = LAYOUTS[layout](with_one(refused * end, shape, 0.0), tmp_path)
            for X in (outside, as_blocks(outside)):
                with pytest.raises(ValueError, match="largest absolute value from 3.1e-151 to"):
                    checked_range(X)
    checked_range(LAYOUTS[layout](np.zeros(shape), tmp_path))


def test_tiny_values_are_in_range_where_they_may_be():
    tiny = np.full((3, 2), 5e-324)
    checked_range(tiny, tiny=True)
    with pytest.raises(ValueError, match="largest absolute value"):
        checked_range(tiny)
    with pytest.raises(ValueError, match="largest absolute value"):
        checked_range(np.full((3, 2), 1e200), tiny=True)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_points_are_widened_where_the_largest_squares_overflow(layout, shape, tmp_path):
    Y = np.ones((2, shape[1]), np.float32)
    limit = float(np.sqrt(np.finfo(np.float32).max / 16 / shape[1]))
    for value, dtype in ((1.0, "f4"), (0.99 * limit, "f4"), (1.01 * limit, "f8"), (3e38, "f8")):
        X = LAYOUTS[layout](with_one(value, shape, value / 2, np.float32), tmp_path)
        for found in (in_range(X, Y), in_range(Y, X)):
            assert [points.dtype for points in found] == [dtype, dtype]


def test_points_that_are_in_range_are_not_copied():
    X = np.ones((4, 3), np.float32)
    assert all(points is X for points in in_range(X, X))
    wide = np.full((4, 3), 1e300)
    assert all(points is wide for points in in_range(wide, wide))


def test_domains_are_looked_at_before_rows_are_read():
    reads = []
    blocks = as_blocks(lambda: iter([np.full((4, 2), 1e200)]))
    blocks.observer = reads.append
    with pytest.raises(ValueError, match="y must hold at least 2 domains"):
        checked_domains(LatentLabelShift(2), blocks, [0, 0, 0, 0])
    assert not reads


@pytest.mark.parametrize("largest", [None, 1e-3, 1e15])
def test_a_sum_of_weights_that_vanishes_is_refused_beside_squares(largest):
    classes, codes = np.array(["a", "b"]), np.array([0, 1])
    beside = None if largest is None else np.array([[0.0], [-largest]])
    unit = max(1.0, largest or 0.0) ** 2
    found = checked_class_weight(1e-301 * unit, classes, codes, beside=beside)
    np.testing.assert_array_equal(found, [1e-301 * unit] * 2)
    expected = r"a sum above 1e-301; got" if unit == 1.0 else r"1e-301 times .* is 1e\+15\^2; got"
    with pytest.raises(ValueError, match=expected):
        checked_class_weight(4e-302 * unit, classes, codes, beside=beside)


def test_what_a_splitter_says_of_its_folds_is_an_error_of_values():
    y = np.array([0, 0, 0, 1, 1])
    with pytest.raises(ValueError, match=r"cross_fit must .* got StratifiedKFold.*: .*n_splits=6"):
        checked_folds(StratifiedKFold(6), np.zeros((5, 1)), y, y)
    with pytest.raises(ValueError, match=r"cross_fit must .*: index 5 is out of bounds"):
        checked_folds([([0, 3], [5])], np.zeros((5, 1)), y, y)
    with pytest.raises(TypeError, match=r"cross_fit must .*: cannot unpack non-iterable int"):
        checked_folds([1, 2], np.zeros((5, 1)), y, y)
