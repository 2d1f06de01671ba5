"""Mini-batches: each centre is the mean of what it saw; stops and reassignments."""

import importlib

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers import RowDraws, kmeans_plusplus, lloyd, minibatch, pull, total_cost

# A function of the package has the same name.
minibatch_module = importlib.import_module("clusterlib.solvers.minibatch")


def blobs(n=400, k=4, seed=0):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, 2)) + 20 * (np.arange(n) % k)[:, None]


def run(X, centers, *, weight=None, seed=0, **options):
    blocks = as_blocks(X)
    draws = RowDraws(blocks, weight)
    return minibatch(blocks, centers, np.random.default_rng(seed), draws=draws, **options)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_centre_is_the_mean_of_the_rows_it_saw(dtype):
    rng = np.random.default_rng(0)
    seen = [[], []]
    centers = np.array([[-10.0], [10.0]], dtype=dtype)
    counts = np.zeros(2)
    for _ in range(6):
        X = (rng.normal(size=(50, 1)) + rng.choice([-10, 10], size=(50, 1))).astype(dtype)
        for row in X.ravel():
            seen[int(row > 0)].append(row)
        centers, counts, _, n_reassigned = pull(X, centers, counts, rng)
        assert n_reassigned == 0
    np.testing.assert_array_equal(counts, [len(rows) for rows in seen])
    means = [[np.mean(np.array(rows, dtype=np.float64))] for rows in seen]
    # Each of the six pulls rounds the centre to its dtype.
    np.testing.assert_allclose(centers, means, rtol=6 * np.finfo(dtype).eps)


def test_inertia_is_that_of_the_centres_before():
    X = blobs()
    centers = X[:4]
    done = pull(X, centers, np.zeros(4), np.random.default_rng(0))
    np.testing.assert_allclose(done.inertia, total_cost(X, centers), rtol=1e-13)


def test_a_first_pull_is_one_step_of_lloyd():
    X = blobs()
    done = pull(X, X[:4], np.zeros(4), np.random.default_rng(0))
    expected = lloyd(X, X[:4], max_iter=1).centers
    np.testing.assert_allclose(done.centers, expected, rtol=1e-12)


def test_weights_are_repetitions_in_a_batch():
    X = blobs()
    weight = np.random.default_rng(1).integers(0, 4, size=len(X))
    centers = np.r_[X[:3], [[1e4, 1e4]]]
    pulls = [
        pull(
            rows,
            centers,
            np.array([9.0, 9.0, 9.0, 0.0]),
            np.random.default_rng(5),
            sample_weight=w,
            reassign=True,
        )
        for rows, w in [
            (X[::-1], weight[::-1].astype(float)),
            (np.repeat(X, weight, axis=0), None),
        ]
    ]
    assert pulls[0].n_reassigned == pulls[1].n_reassigned == 1
    for one, other in zip(*pulls, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-12)


@pytest.mark.parametrize("factor", [1, 3])
def test_weights_are_repetitions_in_a_run(factor):
    X = blobs(n=60)
    weight = factor * np.random.default_rng(1).integers(0, 3, size=len(X))
    centers = kmeans_plusplus(X, 4, np.random.default_rng(0)).centers
    by_weight = run(X[::-1], centers, weight=weight[::-1].astype(float), batch_size=32)
    by_repetition = run(np.repeat(X, weight, axis=0), centers, batch_size=32)
    assert by_weight.n_steps == by_repetition.n_steps > 10
    assert by_weight.n_iter == by_repetition.n_iter
    np.testing.assert_allclose(by_weight.centers, by_repetition.centers, rtol=1e-12)
    np.testing.assert_allclose(by_weight.history, by_repetition.history, rtol=1e-12)


def test_finds_the_blobs():
    X = blobs()
    result = run(X, kmeans_plusplus(X, 4, np.random.default_rng(0)).centers, batch_size=64)
    assert result.converged
    exact = lloyd(X, result.centers).inertia
    assert total_cost(X, result.centers) < 1.05 * exact
    assert len(result.history) == result.n_steps


def test_number_of_batches_without_a_stop():
    X = blobs()
    result = run(X, X[:4], batch_size=64, max_iter=3, max_no_improvement=None)
    assert result.n_steps == 3 * 400 // 64
    assert result.n_iter == 3
    assert not result.converged


def test_weights_that_add_up_to_one_make_no_tiny_passes():
    X = blobs()
    weight = np.full(len(X), 1 / len(X))
    result = run(X, X[:4], weight=weight, batch_size=64, max_iter=3, max_no_improvement=None)
    assert result.n_steps == 3 * 400 // 64


def test_tol_stops():
    X = blobs()
    result = run(X, X[:4], batch_size=64, tol=1e3, max_no_improvement=None)
    assert result.converged
    assert result.n_steps == 2  # the first batch measures the start


def test_callback_sees_every_batch_and_may_stop():
    seen = []

    def callback(so_far):
        seen.append((so_far.centers, len(so_far.history)))
        assert so_far.n_steps == len(seen)
        return len(seen) == 4

    result = run(blobs(), blobs()[:4], batch_size=16, callback=callback)
    assert result.n_steps == 4
    assert [count for _, count in seen] == [1, 2, 3, 4]
    np.testing.assert_array_equal(seen[-1][0], result.centers)


def test_centres_that_see_nothing_are_put_on_rows():
    X = blobs()
    lost = np.r_[X[:1], [[1e5, 1e5], [2e5, 2e5], [3e5, 3e5]]]
    result = run(X, lost, batch_size=64, max_no_improvement=None, max_iter=20)
    assert result.n_reassigned >= 3
    assert set(np.argmin(np.abs(result.centers[:, :1] - [0, 20, 40, 60]), axis=1)) == {0, 1, 2, 3}


def test_no_more_than_half_of_the_different_rows_are_given_away():
    X = np.arange(6.0)[:, None]
    centers = np.r_[[[2.5]], 1e6 + np.arange(9.0)[:, None]]
    done = pull(X, centers, np.zeros(10), np.random.default_rng(0), reassign=True)
    assert done.n_reassigned == 3
    assert np.isin(done.centers, X).sum() == 3
    alone = pull(X[:1], centers, np.zeros(10), np.random.default_rng(0), reassign=True)
    assert alone.n_reassigned == 0


def test_ratio_zero_reassigns_nothing():
    X = blobs()
    centers = np.r_[X[:3], [[1e5, 1e5]]]
    rng = np.random.default_rng(0)
    done = pull(X, centers, np.zeros(4), rng, reassign=True, reassignment_ratio=0.0)
    assert done.n_reassigned == 0
    np.testing.assert_array_equal(done.centers[3], centers[3])


def test_seeds_are_all_that_matters():
    X = blobs(n=9000)
    centers = X[:4]
    one, same, other = (run(X, centers, seed=seed, max_iter=2) for seed in (0, 0, 1))
    np.testing.assert_array_equal(one.centers, same.centers)
    assert (one.centers != other.centers).any()
    blocks = as_blocks(X, block_rows=4096)
    cut = minibatch(blocks, centers, np.random.default_rng(0), draws=RowDraws(blocks), max_iter=2)
    np.testing.assert_array_equal(one.centers, cut.centers)


def plain_run(batches, centers, pass_size, *, tol=0.0, patience=None):
    """Every centre the weighted mean of its rows so far; centres, counts, history, converged."""
    centers, counts, history = centers.astype(float), np.zeros(len(centers)), []
    mean, lowest, waited, converged = None, np.inf, 0, False
    for batch, weight in batches:
        weight = np.ones(len(batch)) if weight is None else weight
        distances = np.square(batch[:, None] - centers).sum(axis=2)
        labels, before = distances.argmin(axis=1), centers.copy()
        inertia = weight @ distances.min(axis=1) / weight.sum()
        for k in range(len(centers)):
            mine = weight * (labels == k)
            if mine.any():
                total = counts[k] * centers[k] + mine @ batch
                counts[k] += mine.sum()
                centers[k] = total / counts[k]
        if not history:
            history.append(inertia)
            continue
        share = 1.0 if mean is None else min(1.0, 2 * len(batch) / (pass_size + 1))
        mean = inertia if mean is None else (1 - share) * mean + share * inertia
        history.append(mean)
        waited = 0 if mean < lowest else waited + 1
        lowest = min(lowest, mean)
        converged = 0 < tol and np.square(centers - before).sum() <= tol
        converged = converged or (patience is not None and waited >= patience)
        if converged:
            break
    return centers, counts, np.array(history), converged


def assert_same_run(result, expected):
    for one, other in zip((result.centers, result.counts, result.history), expected, strict=False):
        np.testing.assert_allclose(one, other, rtol=1e-9)
    assert result.converged == expected[3]


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("patience", [None, 3])
@pytest.mark.parametrize("batch_size", [16, 300])
def test_drawn_batches_pull_as_they_say(weighted, patience, batch_size):
    X = blobs(n=150)
    weight = np.random.default_rng(1).integers(0, 3, 150).astype(float) if weighted else None
    draws, rng = RowDraws(as_blocks(X), weight), np.random.default_rng(0)
    pass_size = 150 if weight is None else max(int(weight.sum()), int((weight > 0).sum()))
    size = min(batch_size, pass_size)
    n_steps = 5 * pass_size // size
    batches = [(X[draws.draw(rng, size)], None) for _ in range(n_steps)]
    expected = plain_run(batches, X[:4] + 3.0, pass_size, patience=patience)
    options = {"max_iter": 5, "max_no_improvement": patience, "reassignment_ratio": 0.0}
    result = run(X, X[:4] + 3.0, weight=weight, batch_size=batch_size, **options)
    assert_same_run(result, expected)
    assert result.n_steps == len(expected[2]) <= n_steps
    assert result.n_iter == -(-result.n_steps * size // pass_size)
    assert result.n_steps == n_steps or patience is not None


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("batch_size", [1000, 5000])
def test_batches_in_order_do_not_know_the_blocks(weighted, batch_size):
    X, rng = blobs(n=9000), np.random.default_rng(0)
    weight = rng.random(9000) if weighted else None
    if weighted:
        weight[2000:3000] = 0.0  # a batch that is left out if it is of 1000 rows
    cuts = [(i, min(i + batch_size, 9000)) for i in range(0, 9000, batch_size)]
    batches = [(X[i:j], None if weight is None else weight[i:j]) for i, j in cuts] * 2
    batches = [pair for pair in batches if pair[1] is None or pair[1].any()]
    expected = plain_run(batches, X[:4] + 3.0, 9000)
    options = {"batch_size": batch_size, "max_iter": 2, "max_no_improvement": None}
    options |= {"sample_weight": weight, "reassignment_ratio": 0.0}
    for block_rows in (4096, 8192):
        blocks = as_blocks(X, block_rows=block_rows)
        result = minibatch(blocks, X[:4] + 3.0, np.random.default_rng(0), **options)
        assert_same_run(result, expected)
        assert (result.n_steps, result.n_iter) == (len(batches), 2)
    seen = []
    options["callback"] = lambda so_far: seen.append((so_far.n_iter, so_far.n_steps))
    minibatch(X, X[:4] + 3.0, np.random.default_rng(0), **options)
    assert [n_iter for n_iter, _ in seen] == [1] * (len(batches) // 2) + [2] * (len(batches) // 2)


@pytest.mark.parametrize("factor", [1 - 1e-9, 1 + 1e-9])
def test_a_run_ends_where_centres_move_by_no_more_than_the_tolerance(factor):
    X = blobs(n=160)
    options = {"batch_size": 16, "max_iter": 1, "reassignment_ratio": 0.0}
    seen = [X[:4]]
    run(X, X[:4], callback=lambda so_far: seen.append(so_far.centers), **options)
    moves = np.square(np.diff(seen, axis=0)).sum(axis=(1, 2))
    least = int(np.argmin(moves[1:])) + 1
    ended = int(np.argmax(moves[1:] <= factor * moves[least])) + 1 if factor > 1 else None
    result = run(X, X[:4], tol=factor * moves[least], max_no_improvement=None, **options)
    assert result.converged == (factor > 1)
    assert result.n_steps == (ended + 1 if factor > 1 else 10)


@pytest.mark.parametrize(("batch_size", "first"), [(20, 2), (19, 3), (40, 1), (39, 2)])
def test_centres_are_looked_after_every_ten_rows_each(batch_size, first):
    X = blobs()
    seen = []
    run(
        X,
        np.r_[X[:2], [[1e5, 1e5], [2e5, 2e5]]],
        batch_size=batch_size,
        max_iter=1,
        callback=lambda so_far: seen.append(so_far.n_reassigned),
    )
    assert seen[:first] == [0] * (first - 1) + [2]


@pytest.mark.parametrize("few_rows", [1 << 20, 0])  # all rows of a batch are sorted, or they race
def test_the_least_seen_are_put_on_rows_first(monkeypatch, few_rows):
    monkeypatch.setattr(minibatch_module, "_FEW_ROWS", few_rows)
    centers = np.array([[0.0], [1e3], [2e3], [3e3], [4e3]])
    for X, moved in ((np.array([[0.0], [1.0], [2.0]]), [4]), (np.arange(5.0)[:, None], [4, 1])):
        # The third has just 0.01 of the highest count, which is not less.
        counts = np.array([100.0 - len(X), 0.5, 1.0, 50.0, 0.25])
        done = pull(X, centers, counts, np.random.default_rng(0), reassign=True)
        assert done.n_reassigned == len(moved)
        assert sorted(np.flatnonzero(done.centers[1:, 0] < 1e3) + 1) == sorted(moved)
        assert np.isin(done.centers[moved], X).all()
        assert len(np.unique(done.centers[moved])) == len(moved)
        others = np.delete([100.0, 0.5, 1.0, 50.0, 0.25], moved)
        expected = np.array([100.0, 0.5, 1.0, 50.0, 0.25])
        expected[moved] = others.min()
        np.testing.assert_array_equal(done.counts, expected)
    alone = pull(X[:1], centers, counts, np.random.default_rng(0), reassign=True)
    assert alone.n_reassigned == 0
