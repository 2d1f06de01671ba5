"""k-means|| and races of rows: what is drawn, how often, and on what it must not depend."""

import importlib
import itertools
import pickle

import numpy as np
import pytest

from clusterlib.blocks import ArrayBlocks, Blocks, as_blocks
from clusterlib.solvers import (
    kmeans_parallel,
    kmeans_plusplus,
    race_rows,
    total_cost,
    unit_rows,
)
from clusterlib.solvers.races import Race, run_race

FINDERS = [kmeans_parallel, race_rows]


class PostedBlocks(Blocks):
    """Rows that are nowhere near: functions, arguments and results travel as bytes."""

    in_memory = False
    runs_here = False

    def __init__(self, X, block_rows=4096):
        self._array = X
        self.n_samples, self.n_features = X.shape
        self.dtype, self.block_rows = X.dtype, block_rows

    def rows(self, start, stop):
        return self._array[start:stop].copy()

    def take(self, indices):
        raise AssertionError("rows travel with their keys; none is asked for again")

    def map(self, fn, row_aligned=(), broadcast=()):
        for block in self:
            mine = [None if a is None else a[block.start : block.stop] for a in row_aligned]
            sent = pickle.dumps((fn, mine, broadcast))
            fn_there, mine_there, broadcast_there = pickle.loads(sent)
            yield pickle.loads(pickle.dumps(fn_there(block.array, *mine_there, *broadcast_there)))

    def map_reduce(self, fn, merge, row_aligned=(), broadcast=()):
        merge = pickle.loads(pickle.dumps(merge))
        return super().map_reduce(fn, merge, row_aligned, broadcast)


def generator(seed=7):
    return np.random.default_rng(seed)


def blobs(n=60, d=4, seed=0, dtype=np.float64):
    rng = generator(seed)
    return (rng.normal(size=(n, d)) + 6 * rng.integers(0, 3, size=(n, 1))).astype(dtype)


def carriers(X, tmp_path):
    """The same rows in every cut and on every kind of carrier."""
    np.save(tmp_path / "X.npy", X)
    yield ArrayBlocks(X)
    for block_rows in (4096, 8192):
        yield ArrayBlocks(X, block_rows)
        yield as_blocks(tmp_path / "X.npy", block_rows=block_rows)
        yield PostedBlocks(X, block_rows)
    yield ArrayBlocks(np.asfortranarray(X), 4096)


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_carrier_and_cut_change_no_bit(find, dtype, spherical, weighted, tmp_path):
    X = blobs(n=9_001, d=3, dtype=dtype)
    X[::7] = X[0]
    X[5::11] = 0.0
    weight = generator(1).integers(0, 4, size=len(X)) / 3.0 if weighted else None
    expected = None
    for blocks in carriers(X, tmp_path):
        found = find(blocks, 30, generator(), sample_weight=weight, spherical=spherical)
        expected = expected or found
        np.testing.assert_array_equal(found.indices, expected.indices)
        assert found.centers.tobytes() == expected.centers.tobytes()
        assert found.centers.flags.c_contiguous


@pytest.mark.parametrize("scale", [2.0**-1000, 2.0**600])
def test_carrier_changes_no_bit_where_squares_leave_their_range(scale, tmp_path):
    X = blobs(n=9000, d=3) * scale
    X[4096:8192] *= 2.0**-40  # leaves whose largest values differ
    found = [kmeans_parallel(blocks, 12, generator()).indices for blocks in carriers(X, tmp_path)]
    np.testing.assert_array_equal(found, found[:1] * len(found))


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
def test_seeds_are_different_rows(find, dtype, spherical):
    X = blobs(dtype=dtype)
    centers, indices = find(X, 9, generator(), spherical=spherical)
    assert len(set(indices)) == 9
    assert centers.dtype == dtype
    assert indices.dtype == np.intp
    np.testing.assert_array_equal(centers, unit_rows(X[indices]) if spherical else X[indices])


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("spherical", [False, True])
def test_weightless_rows_are_never_taken(find, spherical):
    X = blobs()
    X[::2] += 1e6
    weight = np.arange(len(X)) % 2.0
    for seed in range(5):
        found = find(X, 25, generator(seed), sample_weight=weight, spherical=spherical)
        assert (found.indices % 2 == 1).all()


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_every_different_row_is_taken_before_any_twice(find, dtype):
    # One row among thousands that are equal: heavy ones must not fill the lists.
    X = np.repeat(np.array([[0.0, 1e6], [1.0, 1e6], [1e3, 1e6], [1e9, 1e6]]), [1, 5000, 300, 1], 0)
    X = generator(3).permutation(X.astype(dtype))
    for seed in range(5):
        assert len(np.unique(find(X, 4, generator(seed)).centers, axis=0)) == 4
    centers = find(X, 7, generator()).centers
    assert len(centers) == 7
    assert len(np.unique(centers, axis=0)) == 4


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("n_rows", [1, 2, 40])
def test_all_rows_are_taken(find, dtype, spherical, n_rows):
    X = blobs(n=n_rows, dtype=dtype)
    found = find(X, n_rows, generator(), spherical=spherical)
    np.testing.assert_array_equal(np.sort(found.indices), np.arange(n_rows))


def test_rows_that_rounding_cannot_tell_apart_are_taken_before_any_twice():
    X = np.ones((6, 2))
    X[:, 0] = 1e-200 * np.arange(6.0)  # squares of the differences are 0 beside the ones
    assert len(set(kmeans_parallel(X, 6, generator()).indices)) == 6
    angles = 1e-9 * np.arange(6.0)  # cosines are all 1
    X = np.column_stack([np.cos(angles), np.sin(angles)])
    assert len(set(kmeans_parallel(X, 6, generator(), spherical=True).indices)) == 6


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("spherical", [False, True])
def test_constant_rows(find, spherical):
    X = np.full((6, 2), 3.0)
    centers = find(X, 3, generator(), spherical=spherical).centers
    np.testing.assert_array_equal(centers, unit_rows(X[:3]) if spherical else X[:3])


@pytest.mark.parametrize("find", FINDERS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_multiples_are_one_direction(find, dtype):
    rng = generator(5)
    directions = np.array([[1.0, 2.0, 3.0], [3.0, -1.0, 0.5], [-0.1, 0.2, 7.0]])
    X = np.concatenate([[[0.0, 0.0, 0.0]], np.repeat(directions, 50, axis=0)])
    X[1:] *= 2.0 ** rng.integers(-20, 20, size=(150, 1))
    for seed in range(10):
        found = find(X.astype(dtype), 3, generator(seed), spherical=True)
        assert len(np.unique(found.centers, axis=0)) == 3
        assert 0 not in find(X.astype(dtype), 9, generator(seed), spherical=True).indices


def test_rounded_multiples_of_a_direction_are_not_worth_a_centre():
    rng = generator(5)
    X = np.repeat(rng.normal(size=(4, 20)), 500, axis=0) * rng.uniform(0.1, 9.0, size=(2000, 1))
    for seed in range(5):
        found = kmeans_parallel(X.astype(np.float32), 4, generator(seed), spherical=True)
        assert len(set(found.indices // 500)) == 4


@pytest.mark.parametrize("find", FINDERS)
def test_nothing_to_draw_is_an_error(find):
    with pytest.raises(ValueError, match="X has no row of a weight above zero"):
        find(blobs(), 2, generator(), sample_weight=np.zeros(60))
    with pytest.raises(ValueError, match="X has no row with a direction"):
        find(np.zeros((5, 2)), 2, generator(), spherical=True)


@pytest.mark.parametrize("find", FINDERS)
def test_rows_on_a_device_are_refused(find):
    class Elsewhere(ArrayBlocks):
        on_host = False

    with pytest.raises(ValueError, match="X lies on a device"):
        find(Elsewhere(blobs()), 2, generator())


@pytest.mark.parametrize("scale", [1e-30, 1e18, 1e37])
def test_single_precision_squares_may_leave_their_range(scale):
    X = blobs(n=500, dtype=np.float32)
    expected = np.sort(kmeans_parallel(X, 5, generator()).centers[:, 0]) * scale
    scaled = (X.astype(np.float64) * scale).astype(np.float32)
    centers = kmeans_parallel(scaled, 5, generator()).centers
    np.testing.assert_allclose(np.sort(centers[:, 0]).astype(np.float64), expected, rtol=1e-5)


def test_distances_that_leave_their_range_count_as_the_largest():
    X = np.array([[3e38], [-3e38], [0.0], [1.0]], dtype=np.float32)
    assert set(kmeans_parallel(X, 2, generator()).indices) & {0, 1}
    assert len(set(kmeans_parallel(X, 4, generator()).indices)) == 4
    weight = np.array([1e-300, 1e300, 1e300, 1e-300])
    assert set(race_rows(X, 2, generator(), sample_weight=weight).indices) == {1, 2}


def test_far_offsets_do_not_hide_clusters():
    X = (1e4 + 1e-1 * blobs(n=900, d=3)).astype(np.float32)
    groups = np.repeat(np.arange(3), 300)
    X += (1.0 * groups)[:, None].astype(np.float32)
    assert total_cost(X, kmeans_parallel(X, 3, generator()).centers) < total_cost(X, X[:3])


def test_each_cluster_is_hit_however_small():
    rng = generator(2)
    sizes = [5000, 3000, 900, 90, 9, 2, 1]
    places = 1e3 * rng.normal(size=(len(sizes), 5))
    truth = np.repeat(np.arange(len(sizes)), sizes)
    X = places[truth] + 0.01 * rng.normal(size=(len(truth), 5))
    for seed in range(10):
        found = kmeans_parallel(X, len(sizes), generator(seed)).indices
        np.testing.assert_array_equal(np.sort(truth[found]), np.arange(len(sizes)))


def test_candidates_count_with_the_rows_near_them():
    # Without their weights the lone far rows would take both centres.
    rng = generator(4)
    X = np.concatenate([rng.normal(size=(4000, 2)), [50.0, 0.0] + rng.normal(size=(4000, 2))])
    X = np.concatenate([X, 150.0 * rng.normal(size=(5, 2))])
    weight = np.ones(len(X))
    weight[-5:] = 1e-6
    for seed in range(5):
        found = kmeans_parallel(X, 2, generator(seed), sample_weight=weight).indices
        np.testing.assert_array_equal(np.sort(found // 4000), [0, 1])


@pytest.mark.parametrize("n_rounds", [0, 1, 3])
@pytest.mark.parametrize("oversampling", [0.1, 1.0, 40.0])
def test_few_or_many_rounds_find_all_centres(n_rounds, oversampling):
    X = blobs(n=200)
    found = kmeans_parallel(X, 20, generator(), n_rounds=n_rounds, oversampling=oversampling)
    assert len(set(found.indices)) == 20


def test_every_generator_draws_on_its_own():
    X = blobs(n=2_000, d=2)
    drawn = {tuple(race_rows(X, 2, generator(seed)).indices.tolist()) for seed in range(400)}
    assert len(drawn) > 390  # of four million pairs hardly any comes twice


def test_races_draw_like_rows_one_after_the_other():
    """Chi-square of ordered pairs; equal rows run as one row with all their weight."""
    X = np.array([[0.0], [1.0], [2.0], [1.0], [3.0], [-0.0]])
    weight = np.array([1.0, 2.0, 3.0, 0.5, 0.0, 1.0])
    merged = {0.0: 2.0, 1.0: 2.5, 2.0: 3.0}
    total, n_draws = sum(merged.values()), 3000
    counts = dict.fromkeys(itertools.permutations(merged, 2), 0)
    for seed in range(n_draws):
        winners = run_race(Race(seed, 3, 2, False), X, weight)
        counts[tuple(winners.rows[:, 0] + 0.0)] += 1
    statistic = 0.0
    for (first, second), count in counts.items():
        chance = merged[first] / total * merged[second] / (total - merged[first])
        statistic += (count - n_draws * chance) ** 2 / (n_draws * chance)
    # 5 degrees of freedom: 20.5 is passed with probability 0.001. The seeds are fixed.
    assert statistic < 20.5


def test_rounds_draw_by_weight_times_cost():
    """The second of two centres, with one candidate a round, follows weight times cost."""
    X = np.array([[0.0], [1.0], [2.0], [3.0]])
    weight = np.array([1e9, 4.0, 2.0, 0.5])  # the first is row 0, but for a chance of 1e-8
    mass = (weight * X[:, 0] ** 2)[1:]
    n_draws = 500
    counts = np.zeros(4)
    for seed in range(n_draws):
        found = kmeans_parallel(
            X, 2, generator(seed), sample_weight=weight, n_rounds=1, oversampling=0.5
        )
        counts[found.indices] += 1
    assert counts[0] == n_draws
    expected = n_draws * mass / mass.sum()
    # 2 degrees of freedom: 13.8 is passed with probability 0.001. The seeds are fixed.
    assert ((counts[1:] - expected) ** 2 / expected).sum() < 13.8


def test_blocks_take_their_part_of_the_random_stream():
    key = np.array([11, 3], dtype=np.uint64)
    whole = np.random.Philox(key=key).random_raw(3 * 4096)
    part = np.random.Philox(key=key).advance(4096 // 4).random_raw(4096)
    np.testing.assert_array_equal(part, whole[4096:8192])


def plain_seeds(X, n_clusters, seed, *, weight, spherical, n_rounds, oversampling):
    """The same draws with all distances in one array, rounds of races apart."""
    rng = generator(seed)
    key, size = int(rng.integers(2**63)), max(1, int(np.ceil(oversampling * n_clusters)))
    weight = np.ones(len(X)) if weight is None else weight
    points = unit_rows(X) if spherical else X
    counted = weight * (np.abs(X).max(axis=1) > 0) if spherical else weight
    found = [int(run_race(Race(key, 0, 1, spherical), X, weight).numbers[0])]
    number = 0
    while number < n_rounds or len(found) < n_clusters:
        number += 1
        distances = np.square(points[:, None] - points[found]).sum(axis=2).min(axis=1)
        distances[distances < 1e-12] = 0.0
        costs = counted * distances
        winners = run_race(Race(key, number, size, spherical), X, costs) if costs.any() else None
        found += [] if winners is None else winners.numbers.tolist()
        if winners is None or len(winners.numbers) < size:
            break
    nearest = np.square(points[:, None] - points[found]).sum(axis=2).argmin(axis=1)
    masses = np.bincount(nearest, counted, len(found))
    masses[masses == 0] = masses[masses > 0].min()
    usual = 2 + int(np.log(n_clusters))
    trials = min(5 * usual, max(usual, len(X) // n_clusters))
    chosen = kmeans_plusplus(
        X[found],
        n_clusters,
        rng,
        sample_weight=masses,
        n_local_trials=trials,
        spherical=spherical,
    )
    return chosen.centers, np.array(found)[chosen.indices], len(found)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(
    ("n_clusters", "n_rounds", "oversampling"),
    [(3, 5, 1.0), (8, 2, 1.3), (5, 1, 0.5), (20, 3, 2.0), (4, 0, 0.3)],
)
def test_rounds_and_choices_are_those_of_plain_arrays(
    spherical, weighted, n_clusters, n_rounds, oversampling
):
    X = blobs(n=90)
    X[7] = 0.0
    weight = generator(1).integers(0, 3, size=90) / 2 if weighted else None
    options = {"n_rounds": n_rounds, "oversampling": oversampling, "spherical": spherical}
    for seed in range(3):
        found = kmeans_parallel(X, n_clusters, generator(seed), sample_weight=weight, **options)
        centers, indices, n_drawn = plain_seeds(X, n_clusters, seed, weight=weight, **options)
        assert n_drawn > n_clusters
        np.testing.assert_array_equal(found.indices, indices)
        np.testing.assert_allclose(found.centers, centers, rtol=1e-12)


@pytest.mark.parametrize(("n", "n_clusters"), [(90, 3), (90, 30), (90, 10), (5000, 1), (60, 2)])
def test_candidates_are_tried_up_to_five_times_as_often(monkeypatch, n, n_clusters):
    module, tried = importlib.import_module("clusterlib.solvers.oversampling"), []

    def choose(rows, n_clusters, rng, *, n_local_trials, **options):
        tried.append(n_local_trials)
        return kmeans_plusplus(rows, n_clusters, rng, n_local_trials=n_local_trials, **options)

    monkeypatch.setattr(module, "kmeans_plusplus", choose)
    kmeans_parallel(blobs(n=n), n_clusters, generator(), oversampling=2.0)
    usual = 2 + int(np.log(n_clusters))
    assert tried == [sorted([usual, n // n_clusters, 5 * usual])[1]]
