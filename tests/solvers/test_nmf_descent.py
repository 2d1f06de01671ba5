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


def test_pace_is_that_of_the_paper():
    pace, momentum, limit = Pace(), 0.5, 1.0
    for success in [True] * 3 + [False] + [True] * 12 + [False, False] + [True] * 60:
        assert pace.momentum == pytest.approx(momentum, rel=1e-12)
        if success:
            momentum, limit = min(limit, 1.05 * momentum), min(1.0, 1.01 * limit)
            pace.succeed()
        else:
            momentum, limit = momentum / 1.5, momentum
            pace.fail()


class Scripted:
    """A problem whose objectives are given, and whose factors go on by ones."""

    def __init__(self, objectives):
        self.objectives = iter(objectives)

    def begun(self, descents):
        return [(np.zeros((2, 1)), next(self.objectives)) for _ in descents]

    def improved_weights(self, descents):
        return [descent.W + 1 for descent in descents]

    def improved_components(self, descents):
        return [(descent.Ht - 2, next(self.objectives)) for descent in descents]

    def feasible(self, W):
        return W

    def noise(self, objective):
        return 0.25

    def finished(self, W, Ht, row_weight):
        return W, Ht, 7.0


def test_factors_are_extrapolated_kept_and_taken_back():
    objectives = [10.0, 9.0, 9.25, 8.5, 9.75, 8.625, 8.0, 7.0, 9.0, 3.0]
    [result] = alternate(Scripted(objectives), np.ones((1, 1, 3)), max_iter=9, tol=0)
    pace, history = Pace(), [10.0]
    W = plain_W = kept_W = 0.0
    Ht = plain_Ht = kept_Ht = 1.0
    for objective in objectives[1:]:
        W, plain_W = W + 1 + pace.momentum * (W + 1 - plain_W), W + 1
        if objective <= history[-1] + 0.25:
            kept_W, kept_Ht = W, Ht - 2
            Ht, plain_Ht = kept_Ht + pace.momentum * (kept_Ht - plain_Ht), kept_Ht
            pace.succeed()
            history.append(objective)
        else:
            W = plain_W = kept_W
            Ht = plain_Ht = kept_Ht
            pace.fail()
            history.append(history[-1])
    assert_array_equal(result.history, history)
    np.testing.assert_allclose(result.W, np.full((2, 1), kept_W), rtol=1e-12)
    np.testing.assert_allclose(result.H, np.full((1, 3), kept_Ht), rtol=1e-12)
    assert (result.objective, result.n_iter, result.converged) == (7.0, 9, False)


def test_a_start_that_has_settled_waits_for_the_others():
    # The first start has fallen by nothing after ten iterations, the second goes on.
    first, second = [1.0] * 11, [2.0 - 0.1 * i for i in range(16)]
    objectives = [each for pair in zip(first, second, strict=False) for each in pair] + second[11:]
    problem = Scripted(objectives)
    one, other = alternate(problem, np.ones((2, 1, 3)), max_iter=15, tol=1e-3)
    assert (one.n_iter, one.converged) == (10, True)
    assert (other.n_iter, other.converged) == (15, False)
    assert_array_equal(other.history, second)
    [long] = alternate(Scripted(np.arange(1000.0, 0.0, -1.0)), np.ones((1, 1, 3)))
    assert (long.n_iter, long.converged) == (500, False)
    problem, calls = Scripted([1.0] * 30), []
    alternate(problem, np.ones((1, 1, 3)), callback=lambda n_iter, _: calls.append(n_iter))
    assert calls == list(range(1, 11))


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
        ([1.0] * 10, False),
        ([9.0, 5.0, *[4.0] * 9], False),
        ([9.0] + [4.0] * 10, False),
        ([9.0] + [4.0] * 11, True),
        ([4.0 + 4.1e-3] + [4.0] * 10, False),
        ([4.0 + 3.9e-3] + [4.0] * 10, True),
        (list(np.linspace(1.0, 1e-8, 11)), True),
        (list(np.linspace(1.0, 1.1e-8, 11)), False),
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
