"""ClusterWorth: which changes it makes, and which it refuses."""

import numpy as np
import pytest

from clusterlib.solvers import cluster_totals
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
