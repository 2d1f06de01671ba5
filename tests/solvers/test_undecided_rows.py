"""Rows that prices leave open, beside whole matrices of costs; samples, beside whole numbers."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.solvers.undecided_rows import Look, decided_labels, lifted, undecided_rows


def mixed(number, salt=0):
    """The splitmix64 of a number of a row, in whole numbers."""
    key = (number + salt * 0xD1B54A32D192ED03 + 1) * 0x9E3779B97F4A7C15 % 2**64
    key = (key ^ key >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    key = (key ^ key >> 27) * 0x94D049BB133111EB % 2**64
    return key ^ key >> 31


def look_of(**options):
    rng = np.random.default_rng(1)
    values = {
        "centers": rng.normal(size=(5, 3)), "prices": rng.uniform(size=5), "others": None,
        "rounding": 0.0, "spherical": False, "tie_break": 0.0, "salt": 0, "rate": 1.0,
        "most_rows": 10**6,
    }  # fmt: skip
    return Look(**values | options)


def rows_of(n=400):
    return np.random.default_rng(2).normal(size=(n, 3))


def costs_of(X, look, ids=None):
    X, centers = X.astype(np.float64), look.centers
    if look.spherical:
        X, centers = (Z / np.linalg.norm(Z, axis=1, keepdims=True) for Z in (X, centers))
    costs = ((X[:, None] - centers) ** 2).sum(axis=2) * (0.5 if look.spherical else 1.0)
    if look.tie_break:
        place = np.array([mixed(int(i)) / 2**64 for i in ids])
        marks = np.arange(len(centers)) / len(centers)
        costs += look.tie_break * (place[:, None] - marks) ** 2
    return costs


def others_of(look, width, n=3):
    return look.prices + width * np.random.default_rng(3).normal(size=(n, len(look.prices)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("spherical", [False, True])
@pytest.mark.parametrize("width", [None, 0.0, 0.02, 0.3, 3.0])
@pytest.mark.parametrize("rounding", [0.0, 0.05])
def test_rows_are_decided_where_all_prices_agree(dtype, spherical, width, rounding):
    X, look = rows_of().astype(dtype), look_of(spherical=spherical, rounding=rounding)
    if width is not None:
        look = look._replace(others=others_of(look, width))
    labels, undecided, n_tied, largest = decided_labels(X, np.arange(len(X)), look)
    priced = costs_of(X, look) + look.prices
    margins = np.diff(np.sort(priced, axis=1)[:, :2], axis=1)[:, 0]
    np.testing.assert_array_equal(labels, priced.argmin(axis=1))
    assert labels.dtype == np.int32
    expected = margins <= rounding
    assert n_tied == expected.sum()
    if width is not None:
        for prices in look.others:
            expected |= (costs_of(X, look) + prices).argmin(axis=1) != labels
    np.testing.assert_array_equal(undecided, expected)
    assert largest == pytest.approx(np.abs(priced).max())


def test_other_prices_that_are_all_higher_change_nothing():
    X, look = rows_of(), look_of()
    look = look._replace(others=look.prices + np.array([[7.0], [-3.0]]))
    assert not decided_labels(X, np.arange(len(X)), look)[1].any()


def test_ties_go_to_the_first_and_stay_undecided():
    look = look_of(centers=np.array([[1.0], [-1.0]]), prices=np.zeros(2))
    labels, undecided, n_tied, largest = decided_labels(
        np.array([[0.0], [0.5], [-2.0]]), np.arange(3), look
    )
    np.testing.assert_array_equal(labels, [0, 0, 1])
    np.testing.assert_array_equal(undecided, [True, False, False])
    assert (n_tied, largest) == (1, 9.0)
    # The largest is that of absolute values: prices may be far below zero.
    *_, largest = decided_labels(np.zeros((1, 1)), np.arange(1), look._replace(prices=[-50.0, 0]))
    assert largest == 49.0


@pytest.mark.parametrize("spherical", [False, True])
def test_a_coordinate_more_tells_equal_rows_apart(spherical):
    look = look_of(spherical=spherical, tie_break=0.5)
    X, ids = np.tile(rows_of(1), (50, 1)), np.arange(100, 150)
    points, centers = lifted(X, look.centers, ids, spherical, 0.5)
    found = ((points[:, None] - centers) ** 2).sum(axis=2)
    np.testing.assert_allclose(found, costs_of(X, look, ids), rtol=1e-10)
    assert points.shape == (50, 4)
    np.testing.assert_allclose(points[:, 3], [np.sqrt(0.5) * mixed(int(i)) / 2**64 for i in ids])
    labels, *_ = decided_labels(X, ids, look)
    priced = costs_of(X, look, ids) + look.prices
    np.testing.assert_array_equal(labels, priced.argmin(axis=1))


def test_rows_need_no_coordinate_without_ties():
    X, look = rows_of(), look_of()
    points, centers = lifted(X, look.centers, np.arange(len(X)), False, 0.0)
    assert points is X
    assert centers is look.centers
    points, centers = lifted(X.astype(np.float32), look.centers, np.arange(len(X)), True, 0.0)
    np.testing.assert_allclose((points**2).sum(axis=1), 0.5)
    np.testing.assert_allclose((centers**2).sum(axis=1), 0.5)
    assert points.dtype == np.float64


@pytest.mark.parametrize("salt", [0, 1, 5])
@pytest.mark.parametrize(("rate", "most"), [(1.0, 10**6), (1.0, 60), (0.4, 10**6), (0.5, 30)])
@pytest.mark.parametrize("width", [None, 0.5])
def test_a_sample_has_the_smallest_keys(salt, rate, most, width):
    X, look = rows_of(), look_of(salt=salt, rate=rate, most_rows=most)
    undecided = np.ones(len(X), dtype=bool)
    if width is not None:
        look = look._replace(others=others_of(look, width))
        _, undecided, _, _ = decided_labels(X, np.arange(len(X)), look)
    part = undecided_rows(as_blocks(X), look)
    keys = [mixed(i, salt) for i in range(len(X))]
    wanted = [i for i in np.flatnonzero(undecided) if rate >= 1 or keys[i] < int(rate * 2**64)]
    wanted = sorted(wanted, key=keys.__getitem__)[:most]
    np.testing.assert_array_equal(part.ids, wanted)
    np.testing.assert_array_equal(part.rows, X[wanted])
    assert part.n_undecided == undecided.sum()
    labels = (costs_of(X, look) + look.prices).argmin(axis=1)
    np.testing.assert_array_equal(part.counts, np.bincount(labels[~undecided], minlength=5))
    assert part.counts.dtype == np.int64


@pytest.mark.parametrize("most", [50, 700, 3000, 10**6])
def test_blocks_make_no_difference(most):
    X = rows_of(13_000)
    look = look_of(salt=2, rate=0.9, most_rows=most)
    look = look._replace(others=others_of(look, 0.2))
    whole = undecided_rows(as_blocks(X), look)
    for block_rows in (4096, 8192):
        part = undecided_rows(as_blocks(X, block_rows=block_rows), look)
        assert part.n_undecided == whole.n_undecided
        np.testing.assert_array_equal(part.counts, whole.counts)
        np.testing.assert_array_equal(part.ids, whole.ids)
        np.testing.assert_array_equal(part.rows, whole.rows)
    everything, undecided, n_tied, largest = decided_labels(X, np.arange(len(X)), look)
    assert everything.shape == undecided.shape == (13_000,)
    assert undecided.sum() == whole.n_undecided
    priced = costs_of(X, look) + look.prices
    assert n_tied == 0
    assert largest == pytest.approx(np.abs(priced).max())
    np.testing.assert_array_equal(everything, priced.argmin(axis=1))
