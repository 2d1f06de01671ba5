"""Races of rows beside a plain sort of all arrival times."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import race_rows
from clusterlib.solvers.races import (
    Race,
    Winners,
    first_different,
    has_weight,
    run_race,
    winners_of_block,
)


def arrivals(n, seed, number, weight=None):
    """Logarithms of exponential times over weights, by the numbered words of the generator."""
    words = np.random.Philox(key=np.array([seed, number], dtype=np.uint64)).random_raw(n)
    uniform = ((words >> np.uint64(12)).astype(float) + 0.5) / 2**52
    keys = np.log(-np.log(uniform))
    if weight is None:
        return keys
    with np.errstate(divide="ignore"):
        return keys - np.log(weight)


def first_rows(X, keys, size, spherical):
    """Numbers of the first different rows."""
    seen, found = [], []
    for i in np.argsort(keys, kind="stable"):
        row = X[i] / max(np.gcd(*X[i].astype(int)), 1) if spherical else X[i]
        may_win = keys[i] < np.inf and (X[i].any() or not spherical)
        if may_win and not any(np.array_equal(row, other) for other in seen):
            seen.append(row)
            found.append(i)
        if len(found) == size:
            break
    return found


def data(n=9000, levels=30, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.integers(0, levels, size=(n, 2)).astype(float)
    weight = rng.uniform(0.0, 2.0, size=n) ** 3
    weight[::7] = 0.0
    return X, weight


@pytest.mark.parametrize("size", [1, 5, 100])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_winners_are_the_first_of_all(weighted, spherical, size):
    X, weight = data()
    weight = weight if weighted else None
    race = Race(11, 3, size, spherical)
    found = run_race(race, X, weight)
    keys = arrivals(len(X), 11, 3, weight)
    expected = first_rows(X, keys, size, spherical)
    assert_array_equal(found.numbers, expected)
    assert_allclose(found.keys, keys[expected])
    assert_array_equal(found.rows, X[expected])
    for rows in (4096, 8192):
        again = run_race(race, as_blocks(X, block_rows=rows), weight)
        assert_array_equal(again.numbers, expected)
        assert_array_equal(again.keys, found.keys)


def test_fewer_different_rows_than_are_wanted():
    X, weight = data(500, levels=3)
    found = run_race(Race(1, 0, 20, False), X, weight)
    keys = arrivals(500, 1, 0, weight)
    assert len(found.numbers) == 9
    assert_array_equal(found.numbers, first_rows(X, keys, 20, False))


def test_rates_make_rows_faster_and_keep_them_away():
    X, weight = data(5000)
    rates = np.random.default_rng(5).normal(size=5000)
    rates[::3] = -np.inf
    race = Race(4, 2, 8, False)
    found = winners_of_block(X, range(5000), weight, race, lambda leaf: rates[leaf])
    keys = arrivals(5000, 4, 2, weight) - rates
    assert_array_equal(found.numbers, first_rows(X, keys, 8, False))
    assert_allclose(found.keys, keys[found.numbers])


def test_later_blocks_go_on_in_the_stream():
    X, weight = data(4096 + 300)
    race = Race(4, 2, 8, False)
    keys = arrivals(len(X), 4, 2, weight)[4096:]
    found = winners_of_block(X[4096:], range(4096, len(X)), weight[4096:], race, lambda _: None)
    expected = first_rows(X[4096:], keys, 8, False)
    assert_array_equal(found.numbers, np.add(expected, 4096))


@pytest.mark.parametrize("spherical", [False, True])
def test_seeds_are_taken_again_in_the_same_order(spherical):
    X, weight = data(40, levels=3)
    drawn = race_rows(X, 30, np.random.default_rng(8), sample_weight=weight, spherical=spherical)
    seed = int(np.random.default_rng(8).integers(2**63))
    order = first_rows(X, arrivals(40, seed, 0, weight), 30, spherical)
    assert_array_equal(drawn.indices, np.resize(order, 30))
    rows = X[drawn.indices]
    lengths = np.linalg.norm(rows, axis=1, keepdims=True) if spherical else 1.0
    assert_allclose(drawn.centers, rows / lengths, rtol=1e-15)


def test_no_row_to_draw():
    X = np.zeros((3, 2))
    with pytest.raises(ValueError, match="X has no row of a weight above zero"):
        run_race(Race(0, 0, 2, False), X, np.zeros(3))
    with pytest.raises(ValueError, match="no row with a direction of a weight"):
        run_race(Race(0, 0, 2, True), X)
    assert len(run_race(Race(0, 0, 2, False), X).numbers) == 1


def test_merged_lists_keep_the_first_of_equal_rows():
    lists = [
        Winners(np.array([0.2, 0.5]), np.array([4, 1]), np.array([[0.0], [2.0]])),
        Winners(np.array([0.2, 0.3, 0.9]), np.array([3, 8, 9]), np.array([[-0.0], [4.0], [1.0]])),
    ]
    found = first_different(*lists, race=Race(0, 0, 3, False))
    assert_array_equal(found.numbers, [3, 8, 1])  # equal times: the lower number; -0 is 0
    assert_array_equal(found.keys, [0.2, 0.3, 0.5])
    assert_array_equal(found.rows, [[0.0], [4.0], [2.0]])
    on_sphere = first_different(*lists, race=Race(0, 0, 3, True))
    assert_array_equal(on_sphere.numbers, [3, 8])
    assert_array_equal(first_different(*lists, race=Race(0, 0, 9, False)).numbers, [3, 8, 1, 9])


def test_rows_that_may_be_drawn():
    X, weight = np.array([[0.0, 0], [0, 1], [2, 0]]), np.array([1.0, 0.0, 2.0])
    assert has_weight(X, None, False).tolist() == [True, True, True]
    assert has_weight(X, None, True).tolist() == [False, True, True]
    assert has_weight(X, weight, False).tolist() == [True, False, True]
    assert has_weight(X, weight, True).tolist() == [False, False, True]
