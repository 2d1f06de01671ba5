"""What a sketch records and asks for, and how partitions are put together, step by step."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import sdp_sketch, unit_trace_columns
from clusterlib.solvers.sdp_rounding import Rounding, _better, _canonical, _means
from clusterlib.solvers.sdp_sketch import _averaged, _balanced_draw, _lifted, _Race


def lifted(inertia, name="x"):
    return SimpleNamespace(labels=name, centers=name, inertia=inertia)


def relaxation(n_iter, trace_error, residual, converged):
    return SimpleNamespace(
        n_iter=n_iter, trace_error=trace_error, residual=residual, converged=converged
    )


def test_a_race_keeps_the_first_of_the_cheapest_and_records_all():
    race = _Race()
    race.enter(lifted(5.0, "a"), Rounding.KMEANS)
    race.enter(lifted(3.0, "b"), Rounding.SPECTRAL, relaxation(10, 0.1, 0.4, True))
    race.enter(lifted(3.0, "c"), Rounding.LARGEST, relaxation(7, 0.3, 0.2, True))
    assert race.costs == [5.0, 3.0, 3.0]
    assert race.result().converged
    race.enter(lifted(4.0, "d"), Rounding.DENOISED, relaxation(2, 0.0, 0.0, False))
    race.enter(lifted(3.5, "e"), Rounding.KMEANS)
    found = race.result()
    assert (found.labels, found.inertia, found.rounding) == ("b", 3.0, Rounding.SPECTRAL)
    assert (found.n_iter, found.converged) == (19, False)
    assert (found.trace_error, found.residual) == (0.3, 0.4)
    expected = [[0, 5, 0, 0], [10, 3, 0.1, 0.4], [17, 3, 0.3, 0.2], [19, 4, 0, 0], [19, 3.5, 0, 0]]
    assert_array_equal(found.history, expected)


def problem(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    return 6 * np.eye(3, 4)[rng.choice(3, p=[0.7, 0.2, 0.1], size=n)] + rng.normal(size=(n, 4))


@pytest.mark.parametrize(("n_rounds", "stop"), [(1, 9), (2, 9), (4, 2)])
def test_every_round_is_asked_for_and_recorded(monkeypatch, n_rounds, stop):
    calls, seen, original = [], [], sdp_sketch.low_rank_sdp

    def spy(sample, n_clusters, **options):
        calls.append((len(sample), n_clusters, options, original(sample, n_clusters, **options)))
        return calls[-1][-1]

    def callback(centers, costs):
        seen.append((centers.copy(), list(costs)))
        return len(seen) == stop

    monkeypatch.setattr(sdp_sketch, "low_rank_sdp", spy)
    X, rng = problem(), np.random.default_rng(1)
    found = sdp_sketch.sketch_sdp(
        X, 3, rng, sketch_size=200, n_rounds=n_rounds, tol=1e-3, max_iter=70, callback=callback
    )
    n_done = min(n_rounds, stop)
    assert len(calls) == len(seen) == n_done
    for size, n_clusters, options, _ in calls:
        assert (size, n_clusters, options["rank"]) == (200, 3, 6)
        assert (options["tol"], options["max_iter"]) == (1e-3, 70)
        assert options["rng"] is rng
    # The pilot, each round, their mean if there are several, and the last steps of Lloyd.
    assert len(found.history) == 1 + n_done + (n_done > 1) + 1
    assert_array_equal(found.history[1 : 1 + n_done, 0], np.cumsum([c[3].n_iter for c in calls]))
    assert_allclose(found.history[1 : 1 + n_done, 2], [c[3].trace_error for c in calls])
    assert seen[-1][1] == found.history[: 1 + n_done, 1].tolist()
    assert found.inertia == found.history[:, 1].min()
    assert found.converged == all(c[3].converged for c in calls)


def test_all_rows_after_one_step_of_lloyd():
    X, start = problem(), problem()[:3]
    nearest = ((X[:, None] - start) ** 2).sum(axis=2).argmin(axis=1)
    means = np.array([X[nearest == k].mean(axis=0) for k in range(3)])
    found = _lifted(as_blocks(X), start)
    assert_allclose(found.centers, means)
    costs = ((X[:, None] - means) ** 2).sum(axis=2)
    assert_array_equal(found.labels, costs.argmin(axis=1))
    assert found.inertia == pytest.approx(costs.min(axis=1).sum())


def test_draws_are_the_first_of_a_race_and_means_are_matched():
    labels = np.random.default_rng(0).choice(3, p=[0.8, 0.15, 0.05], size=500)
    times = np.random.default_rng(7).standard_exponential(500, dtype=np.float32)
    times = times * np.bincount(labels).astype(np.float32)[labels]
    found = _balanced_draw(labels, 3, 60, np.random.default_rng(7))
    assert_array_equal(found, np.sort(np.argsort(times)[:60]))
    reference = np.array([[0.0, 0.0], [5.0, 0.0], [0.0, 9.0]], dtype=np.float32)
    rounds = [reference[[2, 0, 1]] + 0.5, reference[[1, 2, 0]] - 0.1]
    mean = _averaged(rounds, reference)
    assert_allclose(mean, reference + 0.2, rtol=1e-6)
    assert mean.dtype == np.float32


def test_partitions_are_told_apart_by_their_rows():
    assert_array_equal(_canonical(np.array([2, 2, 0, 1, 0]), 3), [0, 0, 1, 2, 1])
    assert_array_equal(_canonical(np.array([1, 1, 3, 3]), 4), [0, 0, 1, 1])
    assert _canonical(np.array([0, 1]), 2).dtype == np.int32


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_means_of_clusters_and_of_none(dtype):
    X = problem(5000).astype(dtype)
    labels = (np.arange(5000) % 2 + 1).astype(np.int32)
    found = _means(as_blocks(X, block_rows=4096), labels, 4)
    assert_allclose(found[1:3], [X[1::2].mean(axis=0), X[::2].mean(axis=0)][::-1], rtol=1e-4)
    assert_array_equal(found[[0, 3]], found[[1, 1]])
    assert found.dtype == dtype


def test_the_first_of_equally_cheap_partitions_stays():
    first = _better(None, Rounding.SPECTRAL, lifted(2.0, "a"))
    assert (first.labels, first.rounding) == ("a", Rounding.SPECTRAL)
    assert _better(first, Rounding.KMEANS, lifted(2.0, "b")) is first
    better = _better(first, Rounding.KMEANS, lifted(1.9, "c"))
    assert (better.labels, better.rounding, better.inertia) == ("c", Rounding.KMEANS, 1.9)


@pytest.mark.parametrize(("part", "stays"), [(0.99e-8, False), (1.01e-8, True)])
def test_columns_of_next_to_nothing_are_left_out(part, stays):
    W = np.full((10, 4), 0.3)
    W[:, 2] = 0.0
    W[3, 2] = part * 10 / 4  # of an equal share of the rows
    U = unit_trace_columns(W)
    assert U.shape == (10, 3 + stays)
    kept = W[:, W.sum(axis=0) > 0] if stays else W[:, [0, 1, 3]]
    assert_allclose(U, kept / np.sqrt(kept.sum(axis=0)))
