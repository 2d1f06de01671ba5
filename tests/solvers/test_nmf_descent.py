"""Alternating descent: extrapolation that gives up, ends, callbacks."""

import numpy as np
import pytest
from numpy.testing import assert_array_equal

from clusterlib.solvers import LeastSquares, alternate
from clusterlib.solvers.nmf_descent import FactorDescent, Pace, has_settled


def case(n=60, m=20, k=3, seed=0):
    rng = np.random.default_rng(seed)
    X = rng.random((n, k)) @ rng.random((k, m)) + 0.1 * rng.random((n, m))
    return LeastSquares(X), rng.random((1, k, m))


def test_pace_slows_after_a_failure_and_remembers_it():
    pace = Pace()
    for _ in range(100):
        pace.succeed()
    assert pace.momentum == 1.0
    pace.fail()
    slow = pace.momentum
    assert slow < 0.7
    pace.fail()
    assert pace.momentum < slow
    for _ in range(3):
        pace.succeed()
    assert pace.momentum < 1.0


def test_weights_go_on_beyond_where_they_came():
    descent = FactorDescent(np.ones((4, 2)))
    before, after = np.ones((3, 2)), np.arange(6.0).reshape(3, 2)
    descent.begin(before, 10.0)
    descent.move_weights(after, np.asarray)
    beyond = (descent.W - after) / np.where(after == before, 1.0, after - before)
    assert_array_equal(beyond[after == before], 0.0)
    shares = beyond[after != before]
    assert np.ptp(shares) < 1e-12
    assert 0 < shares[0] <= 1


def test_a_step_that_leads_uphill_is_taken_back():
    descent = FactorDescent(np.ones((4, 2)))
    W, Ht = np.ones((3, 2)), np.full((4, 2), 2.0)
    descent.begin(W, 10.0)
    descent.move_weights(W + 1, np.asarray)
    descent.move_components(Ht, 9.0, noise=0.0, tol=0.0)
    descent.move_weights(W + 5, np.asarray)
    descent.move_components(Ht + 7, 11.0, noise=0.0, tol=0.0)
    assert descent.history == [10.0, 9.0, 9.0]
    assert_array_equal(descent.components, Ht.T)
    assert_array_equal(descent.Ht, Ht)


@pytest.mark.parametrize(
    ("history", "settled"),
    [
        ([1.0] * 5, False),
        ([1.0] * 11, True),
        ([2.0] + [1.0] * 10, False),
        ([1.0] * 10 + [1e-9], True),
        (list(np.linspace(1.0, 0.9, 11)), False),
        (list(np.linspace(1.0, 0.9999, 11)), True),
    ],
)
def test_settled_is_what_ten_iterations_hardly_change(history, settled):
    assert has_settled(history, noise=1e-8, tol=1e-3) is settled


def test_extrapolation_saves_iterations(monkeypatch):
    problem, start = case()
    [fast] = alternate(problem, start, max_iter=60, tol=0)
    monkeypatch.setattr(Pace, "succeed", lambda self: setattr(self, "momentum", 0.0))
    [slow] = alternate(problem, start, max_iter=60, tol=0)
    assert int(np.argmax(fast.history <= slow.history[-1])) < 40


def test_ends_and_flags():
    problem, start = case()
    [short] = alternate(problem, start, max_iter=3)
    assert (short.n_iter, short.converged, len(short.history)) == (3, False, 4)
    [full] = alternate(problem, start, max_iter=2000, tol=1e-4)
    assert full.converged
    assert 10 <= full.n_iter < 2000
    [finer] = alternate(problem, start, max_iter=5000, tol=1e-7)
    assert finer.n_iter > full.n_iter
    assert finer.objective < full.objective


def test_callback_sees_descents_and_stops():
    problem, start = case()
    seen = []

    def callback(n_iter, descents):
        seen.append((n_iter, descents[0].history[-1], descents[0].components.shape))
        return n_iter == 4

    [result] = alternate(problem, start, callback=callback)
    assert [n_iter for n_iter, _, _ in seen] == [1, 2, 3, 4]
    assert result.n_iter == 4
    assert seen[-1][1] == result.history[-1]
    assert seen[0][2] == (3, 20)


def test_rows_in_another_order():
    problem, start = case()
    order = np.random.default_rng(0).permutation(60)
    [one] = alternate(problem, start, tol=1e-5)
    [other] = alternate(LeastSquares(problem._X[order]), start, tol=1e-5)
    np.testing.assert_allclose(other.H, one.H, atol=1e-6)
    np.testing.assert_allclose(other.W, one.W[order], atol=1e-5)
