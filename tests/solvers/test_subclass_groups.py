"""Labels of two levels as numbers: what they become, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.subclass_groups import class_numbers, subclass_groups


@pytest.mark.parametrize(
    ("labels", "values"),
    [
        (["b", "a", "b", "c"], ["a", "b", "c"]),
        ([5, -1, 5, 9], [-1, 5, 9]),
        ([2.5, 0.0, 2.5, 3.0], [0.0, 2.5, 3.0]),
        (np.array([True, False, True, True]), [False, True]),
        (np.array(["b", "a", "b", "c"], dtype=object), ["a", "b", "c"]),
        (np.array(["2001-01-02", "2001-01-01"] * 2, dtype="M8[D]"), ["2001-01-01", "2001-01-02"]),
    ],
)
def test_labels_are_numbered_in_their_order(labels, values):
    found = class_numbers("y", labels, 4)
    assert_array_equal(found.values, np.array(values, dtype=found.values.dtype))
    assert_array_equal(found.values[found.of_row], np.asarray(labels))
    assert found.of_row.dtype == np.int32
    assert_array_equal(found.counts, np.bincount(found.of_row))


@pytest.mark.parametrize(
    "labels",
    [
        [0.0, np.nan, 1.0],
        [0.0, np.inf, 1.0],
        np.array(["a", None, "b"], dtype=object),
        np.array([1, np.nan, 2], dtype=object),
        np.array([1, pd.NA, 2], dtype=object),
        np.array(["2001-01-01", "NaT", "2001-01-01"], dtype="M8[D]"),
    ],
)
def test_missing_labels_are_refused(labels):
    with pytest.raises(ValueError, match="y must not have missing labels"):
        class_numbers("y", labels, 3)


def test_shapes_and_kinds_that_are_refused():
    for bad in ([0, 1], [[0, 1, 1]], 3, np.zeros((3, 1))):
        with pytest.raises(ValueError, match=r"y must have shape \(3,\), got"):
            class_numbers("y", bad, 3)
    for mixed in (["a", 1, "b"], [1, "a", 2], np.array(["a", 1, "b"], dtype=object)):
        with pytest.raises(TypeError, match="y must be all numbers or all strings"):
            class_numbers("y", mixed, 3)
    assert_array_equal(class_numbers("y", np.array(["1", "2", "1"]), 3).of_row, [0, 1, 0])


def test_sums_over_either_level():
    rng = np.random.default_rng(0)
    y, subclasses = np.array([1, 0, 1, 1, 0, 0]), np.array([4, 2, 7, 4, 2, 3])
    groups, rows, weight = subclass_groups(y, subclasses, 6), rng.normal(size=(6, 2)), rng.random(6)
    for level, labels in ((groups.classes, y), (groups.subclasses, subclasses)):
        same = labels[:, None] == labels
        assert_allclose(level.sums(rows), same @ rows)
        assert_allclose(level.sums(rows, weight=weight), same @ (weight[:, None] * rows))
    assert_array_equal(groups.parent, [0, 0, 1, 1])
    assert groups.parent.dtype == np.int32
    assert_array_equal(groups.n_subclasses(), [2, 2])


def test_a_subclass_of_two_classes_is_named():
    message = "subclass 7 of subclass_labels has rows of the classes a and c"
    with pytest.raises(ValueError, match=message):
        subclass_groups(["a", "b", "c", "a"], [7, 5, 7, 8], 4)
    with pytest.raises(ValueError, match=r"subclass_labels must have shape \(2,\)"):
        subclass_groups([0, 1], [0, 1, 2], 2)
