"""Centres without rows move to far rows: on the sphere far in angle, however long a row is."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers.far_rows import relocate_empty


@pytest.mark.parametrize("weight", [None, np.array([1.0, 1.0, 1.0, 0.0])])
def test_lengths_do_not_count_on_the_sphere(weight):
    rows = np.array([[1.0, 0.0], [0.001, 0.0005], [0.0, 100.0], [0.0, 0.0]])
    centers = np.array([[1.0, 0.0], [-1.0, 0.0]])
    moved, sizes = centers.copy(), np.array([3.0, 0.0])
    blocks = as_blocks(rows)
    assert relocate_empty(moved, sizes, None, blocks, centers, weight, spherical=True) == 1
    np.testing.assert_allclose(moved[1], [0.0, 1.0])
