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
