"""First centres: what is drawn, how often, and on what it must not depend."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers import RowDraws, kmeans_plusplus, random_rows, total_cost, unit_rows

FINDERS = [kmeans_plusplus, random_rows]


def blobs(n=60, d=4, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, size=(n, 1))).astype(dtype)


def generator(seed=7):
    return np.random.default_rng(seed)


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
def test_seeds_are_different_rows(find, dtype, spherical):
    X = blobs(dtype=dtype)
    centers, indices = find(X, 9, generator(), spherical=spherical)
    assert len(set(indices)) == 9
    assert centers.dtype == dtype
    np.testing.assert_array_equal(centers, unit_rows(X[indices]) if spherical else X[indices])


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("seed", range(5))
def test_integer_weights_act_as_repetitions_in_any_order(find, seed):
    X = blobs()
    rng = generator(seed)
    weight = rng.integers(0, 4, size=len(X)).astype(float)
    repeated = np.repeat(X, weight.astype(int), axis=0)
    shuffled = rng.permutation(len(X))
    by_weight = find(X[shuffled], 8, generator(), sample_weight=weight[shuffled]).centers
    by_repetition = find(rng.permutation(repeated), 8, generator()).centers
    np.testing.assert_array_equal(by_weight, by_repetition)


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("layout", ["F", "reversed", "read-only"])
def test_layout_changes_nothing(find, layout):
    X = blobs()
    other = {
        "F": np.asfortranarray(X),
        "reversed": np.array(X[:, ::-1])[:, ::-1],
        "read-only": X.copy(),
    }[layout]
    other.flags.writeable = layout != "read-only"
    expected = find(X, 8, generator()).indices
    np.testing.assert_array_equal(find(other, 8, generator()).indices, expected)


@pytest.mark.parametrize("find", FINDERS)
def test_block_size_changes_nothing(find):
    X = blobs(n=9000, d=3)
    expected = find(X, 12, generator()).indices
    blocked = find(as_blocks(X, block_rows=4096), 12, generator()).indices
    np.testing.assert_array_equal(blocked, expected)


@pytest.mark.parametrize("find", FINDERS)
def test_weightless_rows_are_never_taken(find):
    X = blobs()
    X[::2] += 1e6
    weight = np.arange(len(X)) % 2.0
    for seed in range(5):
        assert (find(X, 25, generator(seed), sample_weight=weight).indices % 2 == 1).all()


@pytest.mark.parametrize("find", FINDERS)
def test_every_different_row_is_taken_before_any_twice(find):
    X = np.repeat(np.array([[0.0, 1e6], [1.0, 1e6], [1e3, 1e6], [1e9, 1e6]]), [1, 5, 3, 1], axis=0)
    for dtype in (np.float32, np.float64):
        centers = find(X.astype(dtype), 4, generator()).centers
        assert len(np.unique(centers, axis=0)) == 4
    centers = find(X, 7, generator()).centers
    assert len(centers) == 7
    assert len(np.unique(centers, axis=0)) == 4


@pytest.mark.parametrize("find", FINDERS)
def test_constant_rows(find):
    X = np.full((6, 2), 3.0)
    np.testing.assert_array_equal(find(X, 3, generator()).centers, X[:3])


@pytest.mark.parametrize("scale", [1e-30, 1e18, 1e30])
def test_single_precision_squares_may_leave_their_range(scale):
    X = blobs(dtype=np.float32)
    expected = kmeans_plusplus(X, 5, generator()).indices
    scaled = (X.astype(np.float64) * scale).astype(np.float32)
    np.testing.assert_array_equal(kmeans_plusplus(scaled, 5, generator()).indices, expected)


def test_double_precision_squares_may_leave_their_range():
    X = blobs()
    expected = kmeans_plusplus(X, 5, generator()).indices
    indices = kmeans_plusplus(X * 2.0**600, 5, generator()).indices
    np.testing.assert_array_equal(indices, expected)


def test_one_far_row_is_taken_second():
    X = blobs(dtype=np.float32)
    X[17] = 1e18
    for seed in range(5):
        assert 17 in kmeans_plusplus(X, 2, generator(seed)).indices


def test_draws_follow_the_mass():
    draws = RowDraws(as_blocks(np.arange(4.0)[:, None]))
    mass = np.array([1.0, 0.0, 2.0, 5.0])
    counts = np.bincount(draws.draw(generator(), 40_000, mass), minlength=4)
    # Four standard deviations of a binomial count of 40000 are at most 400.
    np.testing.assert_allclose(counts, 40_000 * mass / 8, atol=400)
    assert counts[1] == 0


def test_different_draws_follow_the_weights():
    X = np.array([[0.0], [1.0], [1.0], [2.0]])
    weight = np.array([1.0, 1.0, 2.0, 4.0])
    draws = RowDraws(as_blocks(X), weight)
    rng = generator()
    first = np.array([X[draws.draw_different(rng, 1)[0], 0] for _ in range(8000)]).astype(int)
    np.testing.assert_allclose(np.bincount(first), [1000, 3000, 4000], atol=200)


def test_a_random_number_next_to_one_finds_the_last_row_with_mass():
    class AlmostOne:
        def random(self, size):
            return np.full(size, np.nextafter(1.0, 0.0))

    draws = RowDraws(as_blocks(np.arange(4.0)[:, None]))
    for mass in ([1.0, 3.0, 0.0, 0.0], [0.1, 0.2, 0.3, 0.0]):
        chosen = draws.draw(AlmostOne(), 1, np.array(mass))[0]
        assert mass[chosen] > 0


def test_groups_are_equal_rows():
    X = np.array([[1.0, -0.0], [2.0, 3.0], [1.0, 0.0], [2.0, 3.0], [3.0, 2.0]])
    draws = RowDraws(as_blocks(X))
    assert draws.n_groups == 3
    assert set(draws.group_of(0)) == {0, 2}
    assert set(draws.group_of(3)) == {1, 3}


@pytest.mark.parametrize("offset", [0.0, 1e6])
def test_greedy_seeds_beat_random_rows(offset):
    X = blobs(n=300) + offset
    greedy, random = (
        np.mean([total_cost(X, find(X, 3, generator(seed)).centers) for seed in range(10)])
        for find in FINDERS
    )
    assert greedy < random


def test_more_trials_leave_less_to_pay():
    X = np.random.default_rng(1).normal(size=(400, 3))
    one, many = (
        np.mean(
            [
                total_cost(X, kmeans_plusplus(X, 20, generator(seed), n_local_trials=t).centers)
                for seed in range(8)
            ]
        )
        for t in (1, 12)
    )
    assert many < one
