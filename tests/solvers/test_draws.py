"""Draws of rows: places on the cumulated mass, groups of equal rows, and rows that lie elsewhere."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import draws
from clusterlib.solvers.draws import RowDraws


class Numbers:
    """Stands for a generator; gives what it was told to."""

    def __init__(self, *values):
        self._values = np.array(values)

    def random(self, size):
        assert size == len(self._values)
        return self._values

    def exponential(self, size):
        return self.random(size)


class Elsewhere:
    """Rows as a device carries them, in one block, played by the host: what comes over is counted."""

    on_host = False

    def __init__(self, X):
        self._rows = X
        self.n_samples, self.n_features = X.shape
        self.n_brought = 0

    def from_host(self, array):
        return array.copy()

    def to_host(self, array):
        self.n_brought += array.size
        return array.copy()

    def zeros(self, shape, dtype):
        return np.zeros(shape, dtype)

    def map(self, fn, arrays, broadcast):
        yield fn(self._rows, *arrays, *broadcast)


def column(values, weight=None):
    return RowDraws(as_blocks(np.array(values, dtype=float)[:, None]), weight)


def test_places_are_those_of_the_sorted_mass():
    # In the order of the values 1, 2, 2, 5, 7 the masses end at 2, 3, 4, 8 and 8.
    found = column([5.0, 2.0, 1.0, 7.0, 2.0], np.array([4.0, 1.0, 2.0, 0.0, 1.0]))
    shares = [0.0, 0.249, 0.25, 0.374, 0.375, 0.5, 0.99]
    assert_array_equal(found.draw(Numbers(*shares), 7), [2, 2, 1, 1, 4, 0, 0])
    assert_array_equal(found.draw(Numbers(0.99, 0.0), 2), [2, 0])
    assert found.n_groups == 3
    assert_array_equal(found.sample_weight, [4.0, 1.0, 2.0, 0.0, 1.0])


def test_rows_without_mass_are_not_drawn_at_the_ends_of_any_share():
    found = column([1.0, 2.0, 3.0, 4.0, 5.0])
    mass = np.array([0.0, 1.0, 0.0, 3.0, 0.0])
    # A product that rounds up may reach the total itself.
    shares = [0.0, 0.2499, 0.25, 0.9999, 1.0]
    assert_array_equal(found.draw(Numbers(*shares), 5, mass), [1, 1, 3, 3, 3])
    assert_array_equal(found.draw(Numbers(0.0, 0.2, 1.0), 3), [0, 1, 4])


def test_equal_rows_are_one_group():
    X = np.array([[2.0, 1.0], [0.0, 3.0], [2.0, 1.0], [2.0, 1.5], [0.0, 3.0], [2.0, 1.0]])
    found = RowDraws(as_blocks(X), np.array([1.0, 1.0, 0.0, 1.0, 2.0, 1.0]))
    assert found.n_groups == 3
    assert_array_equal(found.group_of(0), [0, 5])
    assert_array_equal(found.group_of(5), [0, 5])
    assert_array_equal(found.group_of(1), [1, 4])
    assert_array_equal(found.group_of(3), [3])


def test_groups_race_by_their_weights():
    found = column([3.0, 1.0, 2.0, 3.0, 4.0], np.array([1.0, 4.0, 1.0, 2.0, 0.0]))
    # Values 1, 2, 3 have the weights 4, 1 and 3; they arrive at 2, 1.5 and 1.
    arrivals = Numbers(8.0, 1.5, 3.0)
    assert_array_equal(found.draw_different(arrivals, 3), [0, 2, 1])
    assert_array_equal(found.draw_different(arrivals, 2), [0, 2])
    assert_array_equal(found.draw_different(arrivals, 9), [0, 2, 1])
    # Equal arrivals come in the order of the values.
    assert_array_equal(found.draw_different(Numbers(4.0, 1.0, 3.0), 2), [1, 2])


def test_a_weight_is_a_number_of_rows_in_any_order():
    rng = np.random.default_rng(0)
    X, weight = rng.normal(size=(50, 3)), rng.integers(0, 4, 50)
    repeated = np.repeat(X, weight, axis=0)
    shuffled = rng.permutation(len(repeated))
    one = RowDraws(as_blocks(X), weight.astype(float))
    other = RowDraws(as_blocks(repeated[shuffled]))
    assert one.n_groups == other.n_groups == (weight > 0).sum()
    for draw in ("draw", "draw_different"):
        rows = getattr(one, draw)(np.random.default_rng(1), 40)
        copies = getattr(other, draw)(np.random.default_rng(1), 40)
        assert_array_equal(X[rows], repeated[shuffled][copies])


@pytest.mark.parametrize("n_features", [1, 3, 300])
def test_blocks_layouts_and_chunks_change_no_order(n_features, monkeypatch):
    X = np.random.default_rng(0).normal(size=(500, n_features))
    expected = RowDraws(as_blocks(X)).draw(np.random.default_rng(1), 300)
    for rows, block_rows in ((np.asfortranarray(X), 500), (X, 77), (X, 1)):
        found = RowDraws(as_blocks(rows, block_rows=block_rows))
        assert_array_equal(found.draw(np.random.default_rng(1), 300), expected)
    for size in (1, 7 * n_features, 500 * n_features):
        monkeypatch.setattr(draws, "_CHUNK_VALUES", size)
        assert_array_equal(RowDraws(as_blocks(X)).draw(np.random.default_rng(1), 300), expected)


def test_no_feature_counts_for_nothing_or_for_much():
    """Steps of one unit in a feature reorder rows that are as far apart in the others."""
    n_features = 50
    X = np.vstack([np.zeros(n_features), np.eye(n_features), 4 * np.eye(n_features)])
    found = RowDraws(as_blocks(X))
    order = found.draw(Numbers(*(np.arange(101) + 0.5) / 101), 101)
    assert found.n_groups == 101
    # All directions are from 0.5 to 1.5: none is four times another.
    assert order[0] == 0
    assert_array_equal(np.sort(order[1:51]), np.arange(1, 51))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("weighted", [False, True])
def test_rows_elsewhere_are_drawn_as_on_the_host(weighted, dtype):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(9000, 2)).astype(dtype)
    X[100:200] = X[:100]
    weight = rng.integers(0, 3, 9000).astype(float) if weighted else None
    mass = rng.exponential(size=9000) * (rng.random(9000) < 0.3)
    here, blocks = RowDraws(as_blocks(X), weight), Elsewhere(X)
    there = RowDraws(blocks, weight)
    assert there.n_groups == here.n_groups
    blocks.n_brought = 0
    for size, given in ((50, None), (3, mass), (200, mass)):
        expected = here.draw(np.random.default_rng(1), size, given)
        assert_array_equal(there.draw(np.random.default_rng(1), size, given), expected)
        assert (given is None) or (mass[expected] > 0).all()
    expected = here.draw_different(np.random.default_rng(1), 300)
    assert_array_equal(there.draw_different(np.random.default_rng(1), 300), expected)


def test_leaves_elsewhere_without_mass_stay_there():
    X = np.arange(3 * 4096.0)[:, None]
    blocks = Elsewhere(X)
    there, mass = RowDraws(blocks), np.zeros(3 * 4096)
    mass[[5000, 5001, 8191]] = [1.0, 2.0, 1.0]
    blocks.n_brought = 0
    shares = [0.0, 0.25, 0.74, 0.75, 1.0]
    assert_array_equal(there.draw(Numbers(*shares), 5, mass), [5000, 5001, 5001, 8191, 8191])
    assert blocks.n_brought == 3 + 4096
    mass[[4095, 8192]] = [4.0, 8.0]
    # They end at 4, 5, 7, 8 and 16.
    found = there.draw(Numbers(0.1, 0.25, 0.4, 0.5, 1.0), 5, mass)
    assert_array_equal(found, [4095, 5000, 5001, 8192, 8192])


def test_chunks_elsewhere_change_no_order(monkeypatch):
    X = np.random.default_rng(0).normal(size=(300, 3)).astype(np.float32)
    expected = RowDraws(as_blocks(X)).draw(np.random.default_rng(1), 200)
    for size in (1, 50, 10_000):
        monkeypatch.setattr(draws, "_DEVICE_CHUNK_VALUES", size)
        there = RowDraws(Elsewhere(X))
        assert_array_equal(there.draw(np.random.default_rng(1), 200), expected)


def test_draws_are_in_proportion():
    found = column([4.0, 1.0, 9.0], np.array([1.0, 2.0, 5.0]))
    rows = found.draw(np.random.default_rng(0), 40_000)
    assert_allclose(np.bincount(rows) / 40_000, [1 / 8, 2 / 8, 5 / 8], atol=0.01)
    firsts = [found.draw_different(np.random.default_rng(s), 1)[0] for s in range(4000)]
    assert_allclose(np.bincount(firsts) / 4000, [1 / 8, 2 / 8, 5 / 8], atol=0.03)
