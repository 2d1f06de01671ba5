"""Blocks of similar rows against all pairings of each round."""

import itertools

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.block_bounds import similar_blocks
from clusterlib.solvers.partition_geometry import PartitionGeometry


@pytest.mark.parametrize("n_blocks", [1, 2, 3, 5])
@pytest.mark.parametrize("sizes", [[9], [7, 4, 11], [2, 1, 5, 8], [3, 3, 3]])
def test_each_round_pairs_rows_and_blocks_as_well_as_can_be(sizes, n_blocks):
    """One row to each block, so that sums of deviations stay shortest; the rest in turn."""
    labels = np.repeat(np.arange(len(sizes)), sizes)
    X = np.random.default_rng(0).normal(size=(len(labels), 2)) + 3.0 * labels[:, None]
    geometry = PartitionGeometry(X, labels)
    found = similar_blocks(geometry, n_blocks, np.random.default_rng(1))
    assert len(found) == n_blocks
    block_of = np.full(len(labels), -1)
    for number, block in enumerate(found):
        block_of[block] = number
        assert_array_equal(block, np.sort(block))
        assert block.dtype == np.intp
    assert sum(map(len, found)) == len(labels)
    rng, place = np.random.default_rng(1), 0
    for a, size in enumerate(sizes):
        order = geometry.starts[a] + rng.permutation(size)
        sums = np.zeros((n_blocks, 2))
        for first in range(0, size, n_blocks):
            rows = order[first : first + n_blocks]
            deviations = geometry.rows[rows] - geometry.means[a]
            if len(rows) < n_blocks:
                assert_array_equal(block_of[rows], (place + np.arange(len(rows))) % n_blocks)
                place += len(rows)
                continue
            assert_array_equal(np.sort(block_of[rows]), np.arange(n_blocks))
            squares = [
                np.square(sums[list(order)] + deviations).sum()
                for order in itertools.permutations(range(n_blocks))
            ]
            sums[block_of[rows]] += deviations
            assert_allclose(np.square(sums).sum(), min(squares), rtol=1e-9, atol=1e-15)
