"""ClusterWorth: which changes it makes, and which it refuses."""

import numpy as np
import pytest

from clusterlib.solvers import cluster_totals, unit_rows
from clusterlib.solvers.cluster_worth import ClusterWorth

X = np.array([[0.0], [1.0], [8.0], [9.0], [10.0], [2.0]])
LABELS = np.array([0, 0, 1, 1, 1, 1], dtype=np.int32)


def worth_of(labels=LABELS, low=0, high=6):
    return ClusterWorth(X, labels, 2, np.full(2, low), np.full(2, high))


def change(worth, row, own, other, partner=-1):
    step = -worth.points([row])[0]
    if partner >= 0:
        step = step + worth.points([partner])[0]
    return worth.change(step, row, own, other, partner)


def assert_sums_belong_to_labels(worth):
    fresh = worth_of(worth.labels)
    np.testing.assert_allclose(worth.sums, fresh.sums, atol=1e-12)
    np.testing.assert_array_equal(worth.counts, fresh.counts)


def test_a_row_goes_where_it_belongs_and_only_once():
    worth = worth_of()
    assert change(worth, 5, 1, 0)
    assert worth.labels.tolist() == [0, 0, 1, 1, 1, 0]
    assert_sums_belong_to_labels(worth)
    before = worth.sums.copy()
    assert not change(worth, 5, 1, 0)
    np.testing.assert_array_equal(worth.sums, before)


def test_rows_change_places_and_only_once():
    worth = worth_of(np.array([0, 1, 0, 1, 1, 1], dtype=np.int32), 2, 4)
    assert change(worth, 2, 0, 1, partner=1)
    assert worth.labels.tolist() == LABELS.tolist()
    assert_sums_belong_to_labels(worth)
    assert not change(worth, 2, 0, 1, partner=1)
    assert not change(worth, 0, 0, 1, partner=1)  # its partner is gone
    assert_sums_belong_to_labels(worth)


@pytest.mark.parametrize(("low", "high"), [(4, 6), (0, 2)])
def test_no_row_goes_where_sizes_forbid_it(low, high):
    worth = worth_of(low=low, high=high)
    assert not change(worth, 5, 1, 0)
    np.testing.assert_array_equal(worth.labels, LABELS)


def test_the_last_row_of_a_cluster_stays():
    worth = worth_of(np.array([0, 1, 1, 1, 1, 1], dtype=np.int32))
    assert not worth.has_room(np.array([0]), np.array([1]))[0]
    assert not change(worth, 0, 0, 1)


def test_what_does_not_gain_is_not_done():
    worth = worth_of()
    assert not change(worth, 0, 0, 1)
    assert not change(worth, 0, 0, 1, partner=3)
    np.testing.assert_array_equal(worth.labels, LABELS)


def test_gains_that_rounding_might_have_made_do_not_count():
    """A step across the sums gains its square for sure, here 1e-14 of what clusters are worth."""
    rows = np.array([[1.0, 0.0], [1.0, 0.0], [-1.0, 0.0], [-1.0, 0.0]])
    worth = ClusterWorth(rows, np.array([0, 0, 1, 1]), 2, np.zeros(2), np.full(2, 4))
    small, large = (np.array([[0.0, length]]) for length in (1e-7, 1e-5))
    assert worth.gains(small, [0], [1], 0)[0] < 0 < worth.gains(large, [0], [1], 0)[0]


def test_labels_and_rows_are_not_touched():
    labels, rows = LABELS.copy(), X.copy()
    worth = ClusterWorth(rows, labels, 2, np.zeros(2), np.full(2, 6))
    assert change(worth, 5, 1, 0)
    np.testing.assert_array_equal(labels, LABELS)
    np.testing.assert_array_equal(rows, X)
    sums, _ = cluster_totals(rows, worth.labels, 2)
    centred = sums - np.bincount(worth.labels)[:, None] * X.mean(axis=0)
    np.testing.assert_allclose(worth.sums, centred, atol=1e-12)


def plain_worth(rows, labels, spherical):
    """``|S|^2 / n`` of each cluster about the mean of all, or ``|S|`` of directions."""
    rows = unit_rows(rows) if spherical else rows - rows.mean(axis=0)
    total = 0.0
    for cluster in np.unique(labels):
        S, n = rows[labels == cluster].sum(axis=0), np.sum(labels == cluster)
        total += np.linalg.norm(S) if spherical else S @ S / n
    return total


@pytest.mark.parametrize("spherical", [False, True])
def test_changes_follow_the_worth_of_clusters_one_after_the_other(spherical):
    """Gains, refusals and sums over a long walk, against labels that are counted anew."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(24, 2)) + (0 if spherical else 2)
    labels = rng.permutation(np.arange(24) % 4).astype(np.int32)
    low, high = np.array([2, 0, 5, 1]), np.array([9, 7, 8, 24])
    worth = ClusterWorth(rows, labels, 4, low, high, spherical=spherical)
    plain, n_made = labels.copy(), {True: 0, False: 0}
    for _ in range(400):
        row, partner = rng.integers(0, 24, 2)
        own, other = rng.choice(4, 2, replace=False)
        alone = bool(rng.random() < 0.5)
        if rng.random() < 0.8:  # as callers mean it; else labels that have changed meanwhile
            own = plain[row]
            other = (own + 1 + rng.integers(0, 3)) % 4 if alone else plain[partner]
        if other == own:
            continue
        changed = plain.copy()
        changed[row] = other
        if not alone:
            changed[partner] = own
        sizes = np.bincount(plain, minlength=4)
        room = sizes[own] > max(low[own], 1) and sizes[other] < high[other]
        assert worth.has_room(np.array([own]), np.array([other]))[0] == room
        step = -worth.points([row])[0]
        step = step if alone else step + worth.points([partner])[0]
        fits = plain[row] == own and (room if alone else plain[partner] == other)
        if fits:
            gain = plain_worth(rows, changed, spherical) - plain_worth(rows, plain, spherical)
            found = worth.gains(step[None], [own], [other], int(alone))
            np.testing.assert_allclose(found, [gain], atol=1e-9)
        makes = bool(fits and gain > 1e-9)
        assert worth.change(step, row, own, other, -1 if alone else partner) == makes
        plain = changed if makes else plain
        n_made[alone] += makes
        np.testing.assert_array_equal(worth.labels, plain)
        np.testing.assert_array_equal(worth.counts, np.bincount(plain, minlength=4))
    assert min(n_made.values()) > 3
    fresh = ClusterWorth(rows, plain, 4, low, high, spherical=spherical)
    np.testing.assert_allclose(worth.sums, fresh.sums, atol=1e-12)


@pytest.mark.parametrize("spherical", [False, True])
def test_curvatures_are_inverse_sizes_or_lengths(spherical):
    rows = np.array([[3.0, 0.0], [5.0, 0.0], [7.0, 0.0], [0.0, 2.0], [0.0, -2.0], [0.0, 1.0]])
    labels = np.array([0, 0, 0, 1, 1, 2], dtype=np.int32)
    worth = ClusterWorth(rows, labels, 4, np.zeros(4), np.full(4, 6), spherical=spherical)
    expected = [1 / 3, 1.0, 1.0, 1.0] if spherical else [1 / 3, 1 / 2, 1.0, 1.0]
    np.testing.assert_allclose(worth.curvature(), expected)


def test_far_origins_and_narrow_rows_cost_no_digits():
    rng = np.random.default_rng(1)
    near = rng.integers(-8, 9, size=(20, 2)).astype(np.float32)
    labels = (np.arange(20) % 2).astype(np.int32)
    bounds = np.zeros(2), np.full(2, 20)
    worths = [ClusterWorth(rows, labels, 2, *bounds) for rows in (near, near + np.float32(2**18))]
    gains = [w.gains(w.points([1]) - w.points([0]), [0], [1], 0) for w in worths]
    np.testing.assert_allclose(gains[0], gains[1], rtol=1e-9)
    assert worths[0].points([3]).dtype == np.float64
