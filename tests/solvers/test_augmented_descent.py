"""The outer loop of low-rank programs: steps that are handed on, multipliers, columns that die."""

import importlib

import numpy as np
import pytest

from clusterlib.kernels import pack_rows, unpack_rows
from clusterlib.solvers.augmented_descent import (
    FactorProblem,
    _alive,
    _without_columns,
    augmented_descent,
)

module = importlib.import_module("clusterlib.solvers.augmented_descent")


def two_balls(n=60, rank=4, target=2.0):
    """A problem of two groups, and a first factor."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, 3)) + 5.0 * (np.arange(n) % 2)[:, None]
    X -= X.mean(axis=0)
    X /= np.linalg.norm(X, 2)
    zeros = np.zeros(rank, dtype=np.int32)
    problem = FactorProblem(pack_rows(X), n, np.array([target]), zeros, zeros)
    return problem, pack_rows(rng.dirichlet(np.ones(rank), n))


def descend(problem, W, **options):
    return augmented_descent(problem, W, multiplier=np.array([0.1]), penalty=0.1, **options)


def test_dead_columns_go_and_the_last_of_a_trace_stay():
    sizes = np.array([50.0, 1e-9, 49.0, 1e-9, 1e-9])
    constraint = np.array([0, 0, 1, 2, 2])
    alive = _alive(sizes, constraint, np.array([1.0, 1.0, 1.0]), 99)
    assert alive.tolist() == [True, False, True, True, True]


def test_small_columns_are_not_dead():
    alive = _alive(np.array([60.0, 1e-3, 39.0]), np.zeros(3, dtype=int), np.array([1.0]), 99)
    assert alive.all()


def test_rows_of_a_dropped_column_are_shared_out():
    W = pack_rows(np.array([[0.5, 0.3, 0.2], [0.0, 1.0, 0.0], [0.6, 0.0, 0.4]]))
    kept = _without_columns(W, np.array([True, False, True]))
    assert np.allclose(unpack_rows(kept, 1), [[5 / 7, 2 / 7]])
    assert np.allclose(unpack_rows(kept, 3)[2], [0.6, 0.4])
    assert kept.flags.c_contiguous and np.all(kept[0, :, 3:] == 0)


def test_each_call_begins_with_the_step_that_the_last_one_ended_with(monkeypatch):
    first, last = [], []

    def recording(*arrays, step, **options):
        first.append(step)
        result = kernel(*arrays, step=step, **options)
        last.append(result.step)
        return result

    kernel = module.simplex_descent
    monkeypatch.setattr(module, "simplex_descent", recording)
    descend(*two_balls())
    assert len(first) > 1 and first[0] == 0.0 and first[1:] == last[:-1]


@pytest.mark.parametrize("signed", [False, True])
def test_a_multiplier_below_zero_needs_leave(signed):
    # Four columns have no trace above 4: the multiplier of one that is asked for falls for ever.
    problem, W = two_balls(target=4.5)
    solution = descend(problem, W, signed=signed, max_iter=300)
    assert solution.violation[0] < 0
    assert solution.multiplier[0] < 0 if signed else solution.multiplier[0] == 0


def test_traces_that_are_met_and_what_is_said_of_them():
    problem, W = two_balls()
    solution = descend(problem, W, tol=1e-8)
    assert solution.converged and not solution.stopped
    factor = unpack_rows(solution.W, problem.n_rows)
    trace = (np.square(factor).sum(axis=0) / factor.sum(axis=0)).sum()
    assert trace - 2 == pytest.approx(solution.violation[0], abs=1e-12)
    assert solution.trace_error == abs(solution.violation[0]) <= 2e-8
    assert np.all(np.diff(solution.history[:, 0]) > 0)
    assert solution.history[-1, 0] == solution.n_iter


def test_the_limit_of_iterations_holds_in_all():
    problem, W = two_balls()
    solution = descend(problem, W, max_iter=7, tol=1e-12)
    assert solution.n_iter == 7 and not solution.converged


def test_long_descents_are_cut_so_that_others_get_a_turn(monkeypatch):
    calls = []
    monkeypatch.setattr(module, "_OPERATIONS_OF_CALL", 4.0 * 60 * 3 * 4 * 5)
    problem, W = two_balls()
    descend(problem, W, callback=lambda n_iter, *rest: calls.append(n_iter))
    assert np.diff([0, *calls]).max() <= 5


def plain_descent(problem, W, *, penalty, tol, max_iter, signed, outer):
    """The outer loop by its description, with calls of the kernel that are not cut."""
    multiplier, step, inner, last = np.array([0.1]), 0.0, 1e-3, np.inf
    group, n_iter, history = problem.group, 0, []
    for _ in range(outer):
        result = module.simplex_descent(
            problem.X, W, problem.n_rows, target=problem.target, multiplier=multiplier,
            penalty=penalty, group=group, constraint=np.zeros_like(group), tol=inner,
            n_iters=min(500, max_iter - n_iter), step=step, spare=np.empty_like(W),
        )  # fmt: skip
        step, (objective, residual) = result.step, result.history[-1]
        n_iter += len(result.history)
        error = abs(result.violation[0])
        history.append((n_iter, objective, error, residual))
        multiplier = multiplier + penalty * result.violation
        multiplier = multiplier if signed else np.maximum(multiplier, 0.0)
        if error <= tol * max(problem.target[0], 1.0) and residual <= 10 * tol:
            return W, group, multiplier, history, True
        if n_iter >= max_iter:
            break
        if error > 0.3 * last:
            penalty = min(2 * penalty, 1e4)
        last, inner = error, max(min(0.3 * inner, error), tol)
        alive = result.sizes >= 1e-8 * problem.n_rows / len(group)
        if problem.target[0] <= alive.sum() < len(alive):
            W = np.ascontiguousarray(W[:, alive])
            total = W.sum(axis=1, keepdims=True)
            W, group = np.divide(W, total, out=W, where=total > 0), group[alive]
    return W, group, multiplier, history, False


@pytest.mark.parametrize(("signed", "penalty"), [(False, 0.1), (True, 9e3)])
@pytest.mark.parametrize("target", [0.5, 2.0, 3.7])
@pytest.mark.parametrize(("tol", "max_iter"), [(1e-6, 5000), (1e-3, 5000), (1e-9, 60), (0.0, 700)])
def test_the_outer_loop_is_that_of_its_description(signed, penalty, target, tol, max_iter):
    problem, W = two_balls(target=target)
    expected = plain_descent(
        problem, W.copy(), penalty=penalty, tol=tol, max_iter=max_iter, signed=signed, outer=400
    )
    solution = augmented_descent(
        problem, W, multiplier=np.array([0.1]), penalty=penalty, tol=tol, max_iter=max_iter,
        signed=signed,
    )  # fmt: skip
    np.testing.assert_allclose(solution.history, expected[3], rtol=1e-9)
    np.testing.assert_allclose(solution.multiplier, expected[2], rtol=1e-9)
    np.testing.assert_allclose(solution.W, expected[0], rtol=1e-9)
    np.testing.assert_array_equal(solution.group, expected[1])
    assert solution.converged == expected[4]
    assert solution.n_iter == solution.history[-1, 0] <= max_iter
    assert solution.residual == solution.history[-1, 3]
    assert solution.trace_error == solution.history[-1, 2]


def test_a_callback_hears_of_every_call_and_ends_the_descent():
    problem, W = two_balls()
    whole = descend(problem, W.copy(), tol=1e-10)
    heard = []

    def callback(*report):
        heard.append(report)
        return len(heard) == 2

    stopped = descend(problem, W.copy(), tol=1e-10, callback=callback)
    assert stopped.stopped and not stopped.converged
    np.testing.assert_array_equal(heard, whole.history[:2])
    np.testing.assert_array_equal(stopped.history, whole.history[:2])


def test_columns_at_the_limit_of_the_dead():
    """A column lives from 1e-8 of what is its share of the rows: here 4 columns and 400 rows."""
    sizes = np.array([300.0, 100.0, 1.001e-6, 0.999e-6])
    nothing = np.zeros(4, dtype=int)
    alive = _alive(sizes, nothing, np.array([1.0]), 400)
    assert alive.tolist() == [True, True, True, False]
    # Three that are left are enough for a trace of 3, but not for more.
    assert _alive(sizes, nothing, np.array([3.0]), 400).tolist() == alive.tolist()
    assert _alive(sizes, nothing, np.array([3.5]), 400).all()
