"""Single decisions of a search for streamed assignments."""

from types import SimpleNamespace

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from clusterlib.blocks import as_blocks
from clusterlib.solvers import assign_streamed, streamed_assignment
from clusterlib.solvers.streamed_assignment import _labelled, _Search
from clusterlib.solvers.undecided_rows import Look, UndecidedRows


def search(n=20, k=3, **changes):
    rng = np.random.default_rng(0)
    X, centers = rng.normal(size=(n, 2)), rng.normal(size=(k, 2))
    bounds = (np.full(k, 2), np.full(k, 9))
    found = _Search(as_blocks(X), centers, *bounds, False, 10, None)
    for name, value in changes.items():
        setattr(found, f"_{name}", value)
    return found


@pytest.mark.parametrize(
    ("counts", "n_undecided", "fits"),
    [
        ([0, 0, 0], 6, True),  # as many as the lower bounds need
        ([0, 0, 0], 5, False),
        ([0, 0, 0], 27, True),  # as many as the upper bounds take
        ([0, 0, 0], 28, False),
        ([9, 2, 2], 0, True),
        ([9, 2, 2], 14, True),
        ([9, 2, 2], 15, False),
        ([10, 2, 2], 3, False),
        ([5, 2, 1], 0, False),
        ([5, 2, 1], 1, True),
        ([5, 8, 1], 1, True),  # more than enough in one place makes up for no other
    ],
)
def test_bounds_that_remain(counts, n_undecided, fits):
    part = UndecidedRows(np.array(counts), n_undecided, np.zeros(0), np.zeros((0, 2)))
    found = search()._remaining(part)
    if not fits:
        assert found is None
        return
    assert_array_equal(found[0], 2 - np.array(counts))
    assert_array_equal(found[1], 9 - np.array(counts))


def test_others_move_away_twice_before_all_rows_are_open_again():
    prices, others = np.array([1.0, 2.0, 3.0]), np.array([[1.5, 2.0, 2.0]])
    one = search(prices=prices, others=others, before=7.0, expected=3)
    for factor in (3.0, 9.0):
        one._widen()
        assert_allclose(one._others, prices + factor * (others - prices))
        assert one._before == np.inf
        assert one._expected == 20
        one._before, one._expected = 7.0, 3
    one._widen()
    assert one._others is None
    assert one._n_failed == 3
    cold = search()
    cold._widen()
    assert cold._others is None


def test_a_second_break_of_ties_is_the_last():
    one = search(others=np.zeros((1, 3)), before=7.0, expected=3)
    one._break_ties(5.0)
    assert one._tie_break == 5.0 * 2.0**-30
    assert not one._is_stuck
    assert one._others is None
    assert (one._before, one._expected) == (np.inf, 20)
    one._break_ties(5.0)
    assert one._is_stuck
    nothing = search()
    nothing._break_ties(0.0)
    assert nothing._tie_break == 2.0**-900


@pytest.mark.parametrize(("k", "most"), [(3, 16384), (128, 16384), (129, 16512)])
def test_so_many_rows_are_held_by_default(monkeypatch, k, most):
    looks, original = [], streamed_assignment.undecided_rows

    def spy(blocks, look):
        looks.append(look)
        return original(blocks, look)

    monkeypatch.setattr(streamed_assignment, "undecided_rows", spy)
    rng = np.random.default_rng(0)
    assign_streamed(rng.normal(size=(300, 1)), rng.normal(size=(k, 1)), 0, 300)
    assert looks[0].most_rows == most
    assert looks[0].rate == 1.0


def test_what_is_read_next():
    one = search(expected=400.0, most_rows=100, prices=np.arange(3.0))
    one._others, one._rounding, one._tie_break, one._n_passes = np.ones((2, 3)), 0.5, 0.25, 4
    look, _ = one._read()
    assert look.rate == pytest.approx(1.25 * 100 / 400)
    assert (look.rounding, look.tie_break, look.salt, look.most_rows) == (0.5, 0.25, 4, 100)
    assert one._n_passes == 5
    assert_array_equal(look.prices, np.arange(3.0))
    one._expected = 100.0
    assert one._read()[0].rate == 1.0


def test_shares_of_a_sample_leave_it_more_room_than_all_rows_have(monkeypatch):
    one, seen = search(), []
    monkeypatch.setattr(one, "_assigned", lambda rows, ids, *bounds: seen.append((ids, *bounds)))
    part = SimpleNamespace(ids=np.arange(7), rows=np.zeros((7, 2)), n_undecided=20)
    one._sampled(part, slice(None), np.array([3, -1, 0]), np.array([9, 5, 20]))
    one._sampled(part, slice(1, None, 2), np.array([3, -1, 0]), np.array([9, 5, 20]))
    for ids, least, most in seen:
        share = len(ids) / 20
        assert_array_equal(least, np.floor(np.array([3, -1, 0]) * share))
        assert_array_equal(most, np.ceil(np.array([9, 5, 20]) * share))
    assert_array_equal(seen[1][0], [1, 3, 5])


@pytest.mark.parametrize("spherical", [False, True])
def test_rows_that_pay_more_than_their_least_are_told(spherical):
    rng = np.random.default_rng(1)
    X, centers, prices = rng.normal(size=(40, 2)), rng.normal(size=(3, 2)), rng.uniform(size=3)
    look = Look(centers, prices, None, 0.0, spherical, 0.0, 0, 1.0, 9)
    settled = np.full(40, -1)
    settled[:9] = rng.integers(0, 3, size=9)
    if spherical:
        Z, C = (M / np.linalg.norm(M, axis=1, keepdims=True) for M in (X, centers))
        costs = 1 - Z @ C.T
    else:
        costs = ((X[:, None] - centers) ** 2).sum(axis=2)
    nearest, rows = (costs + prices).argmin(axis=1), np.arange(40)
    for given in (None, settled, np.where(settled < 0, 0, settled)):
        labels, cost, slack, *_ = _labelled(X, range(40), given, look, prices)
        expected = nearest if given is None else np.where(given < 0, nearest, given)
        assert_array_equal(labels, expected)
        assert cost == pytest.approx(costs[rows, expected].sum())
        beyond = (costs + prices)[rows, expected] - (costs + prices).min(axis=1)
        assert slack == pytest.approx(beyond.sum(), abs=1e-12)


@pytest.mark.parametrize("width", [1e-3, 0.3, 50.0])
def test_widths_are_halved_until_a_quarter_of_the_rows_is_decided(width):
    one = search(n=200, prices=np.array([0.1, 0.0, 0.2]), n_failed=2, most_rows=200)
    look, part = one._read()
    errors = width * np.random.default_rng(2).normal(size=(4, 3))
    one._cut(look._replace(others=None), part, errors)
    costs = ((part.rows[:, None] - one._centers) ** 2).sum(axis=2)
    factor, share = 2.0, 1.0
    while share > 0.75:
        factor /= 2
        ways = [(costs + one._prices + factor * error).argmin(axis=1) for error in errors]
        share = (np.array(ways) != (costs + one._prices).argmin(axis=1)).any(axis=0).mean()
    assert_allclose(one._others, one._prices + factor * errors)
    assert one._expected == pytest.approx(max(share * 200, 1))
    assert one._n_failed == 0
    assert_allclose(one._errors, factor * errors)
    one._cut(look._replace(others=None), part, 2 * errors)
    assert_allclose(one._errors, factor * errors)  # the first ones are kept as a hint
    assert (factor < 1) == (width == 50.0)
