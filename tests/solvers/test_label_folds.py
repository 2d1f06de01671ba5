"""Samples of labelled rows and their folds against loops over classes."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.solvers.label_folds import label_folds, paired_loss, stratified_rows


def codes_of(sizes, seed=0):
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(sizes)), sizes))


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("max_rows", [9, 30, 99])
def test_each_class_is_drawn_in_proportion_and_three_times_at_least(max_rows, weighted):
    codes = codes_of([60, 1, 2, 3, 34])
    weight = (np.random.default_rng(1).random(100) < 0.6) * 1.0 if weighted else None
    counted = np.arange(100) if weight is None else np.flatnonzero(weight)
    rows = stratified_rows(codes, weight, max_rows, np.random.default_rng(2))
    if len(counted) <= max_rows:
        assert_array_equal(rows, counted)
        return
    order = np.random.default_rng(2).permutation(len(counted))
    expected = []
    for code in range(5):
        own = [counted[i] for i in order if codes[counted[i]] == code]
        share = len(own) * max_rows // len(counted)
        expected += own[: max(min(len(own), 3), share)]
    assert_array_equal(rows, np.sort(expected))


def test_as_many_rows_as_are_asked_for_are_all_taken():
    codes = codes_of([6, 4])
    assert_array_equal(stratified_rows(codes, None, 10, np.random.default_rng(0)), np.arange(10))
    assert len(stratified_rows(codes, None, 9, np.random.default_rng(0))) == 5 + 3


def test_rows_of_a_class_are_dealt_in_turn_after_those_of_the_last_one():
    codes = codes_of([7, 1, 2, 5])
    folds = label_folds(codes, np.random.default_rng(3))
    order = np.random.default_rng(3).permutation(15)
    dealt = [i for code in range(4) for i in order if codes[i] == code]
    expected = np.empty(15)
    expected[dealt] = np.arange(15) % 3
    expected[codes == 1] = -1
    assert_array_equal(folds, expected)
    assert folds.dtype == np.intp


def test_a_loss_is_a_weighted_mean_and_its_error_that_of_rows():
    rng = np.random.default_rng(0)
    best, other, share = rng.normal(size=(3, 12))
    share = np.abs(share) / np.abs(share).mean()
    loss, error = paired_loss(best, other, share)
    assert loss == pytest.approx(np.average(best - other, weights=share))
    squares = [(w * (b - o - loss)) ** 2 for b, o, w in zip(best, other, share, strict=True)]
    assert_allclose(error, np.sqrt(sum(squares) / 11 / 12))
    ones = paired_loss(best, other, np.ones(12))[1]
    assert_allclose(ones, np.std(best - other, ddof=1) / np.sqrt(12))


def test_one_row_has_no_error():
    loss, error = paired_loss(np.array([3.0]), np.array([1.0]), np.ones(1))
    assert loss == 2.0
    assert np.isnan(error)
