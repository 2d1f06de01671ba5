"""Balanced k-means, in memory and streamed, and its swaps against plain loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers import (
    assign_bounded,
    assign_streamed,
    balanced_lloyd,
    balanced_stream,
    cluster_means,
    costs_of_assignment,
    exchange_rows,
    row_norms,
    swap_centers,
    unit_rows,
)


def data(n=80, d=3, seed=0, spherical=False, k=6):
    X = np.random.default_rng(seed).normal(size=(n, d))
    return X, (unit_rows(X[:k]) if spherical else X[:k].copy())


def means_of(X, labels, centers, spherical):
    weight = 1 / row_norms(X) if spherical else None
    return cluster_means(X, labels, centers, weight=weight, spherical=spherical)


def plain_lloyd(X, centers, bounds, spherical, max_iter, tol, exchange, prices, assign):
    """Move, assign, keep what is better; prices are hints once a tenth of the labels stays."""
    options = {"spherical": spherical}
    best = assign(X, centers, *bounds, prices, **options)
    history, rests, done, changed = [], False, False, 1.0 if prices is None else 0.0
    while len(history) < max_iter and not done:
        labels = best.labels
        if rests:
            labels = exchange_rows(X, labels, centers, best.prices, *bounds, **options)
        moved = means_of(X, labels, centers, spherical)
        found = assign(X, moved, *bounds, best.prices if changed <= 0.1 else None, **options)
        changed = np.mean(found.labels != best.labels)
        fall = best.cost - found.cost
        small = changed == 0 or fall <= tol * best.cost
        done, rests = small and (rests or not exchange), small
        if fall > 0 or (changed == 0 and fall == 0):
            centers, best = moved, found
        history.append(best.cost)
    return best, centers, history, done


def in_memory(X, centers, low, high, prices, *, spherical):
    return assign_bounded(X, centers, low, high, prices=prices, spherical=spherical)


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("exchange", [False, True])
@pytest.mark.parametrize("prices", [None, np.arange(6.0) / 10])
@pytest.mark.parametrize(("max_iter", "tol"), [(1, 0.0), (2, 0.0), (300, 0.0), (300, 0.02)])
def test_iterations_are_those_of_a_plain_loop(max_iter, tol, prices, exchange, spherical):
    X, centers = data(spherical=spherical)
    result = balanced_lloyd(
        X, centers, 11, 16, spherical=spherical, max_iter=max_iter, tol=tol, prices=prices,
        exchange=exchange,
    )  # fmt: skip
    best, expected, history, done = plain_lloyd(
        X, centers, (11, 16), spherical, max_iter, tol, exchange, prices, in_memory
    )
    assert_array_equal(result.history, history)
    assert_array_equal(result.labels, best.labels)
    assert_array_equal(result.centers, expected)
    assert_array_equal(result.prices, best.prices)
    assert (result.inertia, result.dual_gap) == (best.cost, best.dual_gap)
    assert result.n_iter == len(history)
    assert result.converged == done


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("bounds", [(11, 16), (13, 14), (0, 80)])
@pytest.mark.parametrize(("max_iter", "tol"), [(1, 0.0), (2, 0.0), (300, 0.0), (300, 0.02)])
def test_streamed_iterations_are_those_of_a_plain_loop(max_iter, tol, bounds, spherical):
    X, centers = data(spherical=spherical)
    seen, hints = [], []

    def callback(centers, prices, history):
        seen.append((centers, prices, list(history)))

    def streamed(X, centers, low, high, prices, *, spherical):
        hint = hints[-1] if prices is not None else None
        hints.append(assign_streamed(X, centers, low, high, hint=hint, spherical=spherical))
        return hints[-1]

    options = {"max_iter": max_iter, "tol": tol, "spherical": spherical}
    result = balanced_stream(X, centers, *bounds, callback=callback, **options)
    best, expected, history, done = plain_lloyd(
        X, centers, bounds, spherical, max_iter, tol, False, None, streamed
    )
    assert_allclose(result.history, history, rtol=1e-12)
    assert_array_equal(result.labels, best.labels)
    assert_allclose(result.centers, expected, rtol=1e-12)
    assert_allclose(result.inertia, best.cost, rtol=1e-12)
    assert result.n_iter == len(history) == len(seen)
    assert result.converged == done
    assert_array_equal(seen[-1][0], result.centers)
    assert_array_equal(seen[-1][1], result.prices)
    for number, (_, _, past) in enumerate(seen, start=1):
        assert_allclose(past, history[:number], rtol=1e-12)


def test_a_streamed_run_stops_when_asked_to():
    X, centers = data()
    stopped = balanced_stream(X, centers, 11, 16, callback=lambda *_: True)
    assert stopped.n_iter == len(stopped.history) == 1
    assert not stopped.converged


def plain_draw(rng, weights):
    target, mass = rng.random() * np.sum(weights), 0.0
    for index, weight in enumerate(weights):
        mass += weight
        if mass > target:
            return index
    raise AssertionError("no weight is left")


def plain_swaps(X, start, bounds, n_swaps, rng, spherical, **options):
    best, history = start, list(start.history)
    for _ in range(n_swaps):
        room = best.prices.max() - best.prices
        leaving = plain_draw(rng, room if room.any() else np.ones(len(room)))
        costs = costs_of_assignment(X, best.centers, best.labels, spherical=spherical)
        row = plain_draw(rng, costs)
        centers, prices = best.centers.copy(), best.prices.copy()
        centers[leaving] = unit_rows(X[[row]])[0] if spherical else X[row]
        prices[leaving] = best.prices[best.labels[row]]
        tol = options["tol"]
        found = balanced_lloyd(
            X, centers, *bounds, spherical=spherical, max_iter=5, tol=tol, prices=prices
        )
        best = min(best, found, key=lambda one: one.inertia)
        history.append(best.inertia)
    if best is start:
        return start, history, start.converged
    end = balanced_lloyd(
        X, best.centers, *bounds, spherical=spherical, prices=best.prices, **options
    )
    return end, [*history, *np.minimum(end.history, best.inertia)], end.converged


@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("n_swaps", [0, 1, 6])
@pytest.mark.parametrize(
    "options",
    [
        {"max_iter": 300, "tol": 0.0, "exchange": False},
        {"max_iter": 300, "tol": 0.0, "exchange": True},
        {"max_iter": 1, "tol": 0.01, "exchange": False},
    ],
)
def test_swaps_are_those_of_a_plain_loop(options, n_swaps, spherical):
    X, centers = data(spherical=spherical)
    start = balanced_lloyd(X, centers, 11, 16, spherical=spherical)
    found = swap_centers(
        X, start, 11, 16, n_swaps, np.random.default_rng(7), spherical=spherical, **options
    )
    end, history, converged = plain_swaps(
        X, start, (11, 16), n_swaps, np.random.default_rng(7), spherical, **options
    )
    assert_allclose(found.history, history, rtol=1e-12)
    assert_array_equal(found.labels, end.labels)
    assert_array_equal(found.centers, end.centers)
    assert found.inertia == end.inertia
    assert found.n_iter == len(history)
    assert found.converged == converged


def test_a_row_without_direction_moves_no_centre():
    X = np.array([[0.0, 0.0], [0.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    start = balanced_lloyd(X, np.array([[1.0, 0.0], [0.0, 1.0]]), 2, 2, spherical=True)
    found = swap_centers(X, start, 2, 2, 3, np.random.default_rng(0), spherical=True)
    assert np.isfinite(found.centers).all()
    assert_allclose(np.linalg.norm(found.centers, axis=1), 1.0)
