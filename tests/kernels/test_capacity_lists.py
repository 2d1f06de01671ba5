"""Assignments whose search looks at a part of the costs only: the proof is one for all of them."""

import signal

import numpy as np
import pytest

from clusterlib.kernels import (
    available_backends,
    capacity_assignment,
    capacity_assignment_points,
    pairwise_distances,
)
from tests.helpers import DTYPES
from tests.kernels.capacity_cases import check, separated


def distances(X, Y):
    return pairwise_distances(X.astype(float), Y.astype(float), backend="reference")


# On a line, and in bounds that are far from the sizes of the cells, prices fall for many clusters. Of 6000
# such problems these show if a full list gives up the wrong column, or forgets what it gave up, or
# if nothing is allowed for the rounding of the float32 screen.
HARD = [47, 160, 173, 299, 322, 439, 541, 554, 693, 756, 840, 961, 1365, 1431, 1599]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("seed", HARD)
def test_columns_outside_of_lists_are_not_forgotten(seed, dtype):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(40, 400)), int(rng.integers(12, 30))
    X = rng.normal(size=(n, 1)) * 10.0 ** rng.integers(-3, 4)
    Y = rng.normal(size=(k, 1)).astype(dtype)
    X = (X + rng.choice([0, 0, 0, 1e2, 1e3])).astype(dtype)
    sizes = np.bincount(rng.integers(0, k, size=n), minlength=k)
    low = np.maximum(sizes - rng.integers(0, 20, size=k), 0)
    high = sizes + rng.integers(0, 20, size=k)
    check(capacity_assignment_points(X, Y, low, high), distances(X, Y), low, high)


@pytest.mark.parametrize("offset", [1e4, 1e7])
def test_rows_far_from_all_centres_are_told_apart(offset):
    # In float32 the distances of these rows to the centres differ by less than they are wrong.
    rng = np.random.default_rng(0)
    X, Y = (rng.normal(size=(m, 3)).astype(np.float32) for m in (300, 20))
    X[:150] += np.float32(offset)
    C = distances(X, Y)
    result = capacity_assignment_points(X, Y, 15, 15)
    check(result, C, 15, 15)
    assert result.cost == pytest.approx(capacity_assignment(C, 15, 15).cost, rel=1e-12)


@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
@pytest.mark.parametrize("seed", range(4))
def test_bad_prices_to_start_from_change_no_cost(seed, scale):
    X, Y = separated(2000, 30, seed)
    hint = scale * np.random.default_rng(seed).normal(size=30)
    C = distances(X, Y)
    result = capacity_assignment_points(X, Y, 60, 70, prices=hint)
    check(result, C, 60, 70)
    assert result.cost == pytest.approx(capacity_assignment_points(X, Y, 60, 70).cost, rel=1e-12)


def test_its_own_prices_are_enough_to_start_from():
    X, Y = separated(6000, 30)
    first = capacity_assignment_points(X, Y, 200, 200)
    again = capacity_assignment_points(X, Y, 200, 200, prices=first.prices)
    assert again.cost == pytest.approx(first.cost, rel=1e-12)


def groups(n, k, rng):
    """Clusters in groups that are far from each other, and rows that are mostly in a few of them."""
    places = 30 * rng.normal(size=(6, 4))
    Y = places[np.arange(k) % 6] + rng.normal(size=(k, 4))
    return Y[np.minimum(rng.geometric(0.1, size=n), k) - 1] + rng.normal(size=(n, 4)), Y


def crowd(n, k, rng):
    """All rows near one centre, the others at different distances."""
    Y = rng.normal(size=(k, 4)) * np.geomspace(1, 1e3, k)[:, None]
    Y[0] = 0
    return 0.01 * rng.normal(size=(n, 4)), Y


def ladder(n, k, rng):
    """On a line, with prices over twelve decades."""
    return rng.random((n, 1)), np.geomspace(1, 1e6, k)[:, None]


def equal(n, k, rng):
    return np.zeros((n, 4)), rng.normal(size=(k, 4))


@pytest.mark.parametrize("make", [groups, crowd, ladder, equal])
@pytest.mark.parametrize(("n", "k"), [(600, 40), (6000, 20)])
def test_clusters_that_no_list_holds_are_found(make, n, k):
    X, Y = make(n, k, np.random.default_rng(0))
    check(capacity_assignment_points(X, Y, n // k, n // k), distances(X, Y), n // k, n // k)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("make", [groups, crowd, ladder, equal])
def test_clusters_that_no_list_of_a_matrix_holds_are_found(make, dtype):
    C = distances(*make(600, 40, np.random.default_rng(0))).astype(dtype)
    check(capacity_assignment(C, 15, 15), C, 15, 15)


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no interval timers")
@pytest.mark.skipif("native" not in available_backends(), reason="the others are Python themselves")
def test_a_long_search_can_be_interrupted():
    def stop(*_):
        raise KeyboardInterrupt

    X, Y = ladder(20_000, 200, np.random.default_rng(0))
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(KeyboardInterrupt):
            capacity_assignment_points(X, Y, 100, 100)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
