"""Which way a solve goes, told by what it did: sweeps counted, potentials beside dense ones."""

from types import SimpleNamespace

import numpy as np
import pytest

from clusterlib.config import config_context
from clusterlib.solvers import PointCost
from clusterlib.solvers.sinkhorn_choice import (
    Method,
    _is_slow,
    _newton_is_possible,
    _predicted,
    _rounded,
    solve_transport,
)
from clusterlib.solvers.transport_problem import transport_problem
from tests.solvers.dense_sinkhorn import Dense, random_weights

TO_THE_END = {"max_iter": 5000, "tol": 1e-8}


def problem_of(n=12, m=10, seed=0, dtype=np.float64, **options):
    rng = np.random.default_rng(seed)
    C = rng.uniform(size=(n, m)).astype(dtype)
    C /= C.max()
    return transport_problem(C, random_weights(n, rng), random_weights(m, rng), **options)


def points(n=12, m=10, seed=0, n_sides=1):
    rng = np.random.default_rng(seed)
    cost = PointCost(rng.uniform(size=(n, 2)), rng.uniform(size=(m, 2)))
    b = np.stack([random_weights(m, rng) for _ in range(n_sides)])
    return transport_problem(cost, random_weights(n, rng), b if n_sides > 1 else b[0])


def swept(problem, stages, g=None):
    """The g of plain sweeps, as many at each epsilon as are asked for."""
    cost = problem.cost
    C = cost.block(slice(None)) if isinstance(cost, PointCost) else cost.values
    g = np.zeros(C.shape[1]) if g is None else g
    for epsilon, n in stages:
        dense = Dense(C, problem.a, problem.b, (problem.rho_a, problem.rho_b), epsilon)
        for _ in range(n):
            *_, g = dense.step(g)
    return g


def stages_to(epsilon, halvings, *last):
    return [(epsilon * 2.0**k, 4) for k in range(halvings, 0, -1)] + list(last)


@pytest.mark.parametrize(
    ("ratio", "halvings"), [(99.0, 0), (101.0, 3), (127.0, 3), (129.0, 4), (5000.0, 9)]
)
def test_large_costs_are_approached_from_larger_epsilons(ratio, halvings):
    problem, epsilon = problem_of(), 1.0 / ratio
    for extra in (1, 3, 6):
        n = 4 * halvings + extra
        result = solve_transport(problem, epsilon, method=Method.LOG, max_iter=n, tol=1e-12)
        g = swept(problem, stages_to(epsilon, halvings, (epsilon, extra)))
        np.testing.assert_allclose(result.potentials[1], g, atol=1e-9)
        assert len(result.history) == extra
        assert result.n_iter == n + 1
        assert result.method == "log: extrapolated sweeps, as asked for; max_iter came first"


def test_nothing_is_approached_from_given_potentials():
    problem, epsilon = problem_of(), 1e-3
    g = np.random.default_rng(1).uniform(size=10)
    for method in (Method.LOG, Method.AUTO):
        result = solve_transport(problem, epsilon, method=method, g=g, max_iter=5, tol=1e-12)
        expected = swept(problem, [(epsilon, 5)], g)
        np.testing.assert_allclose(result.potentials[1], expected, atol=1e-9)
        assert len(result.history) == 5


@pytest.mark.parametrize(("shape", "n"), [((64, 64), 250), ((64, 128), 128), ((64, 4096), 6)])
def test_plain_sweeps_come_first_and_more_of_them_where_they_are_quick(shape, n):
    seen = []
    problem = problem_of(*shape)
    solve_transport(
        problem, 1e-3, max_iter=1000, tol=1e-12,
        callback=lambda g, history: seen.append((g.copy(), len(history))) or True,
    )  # fmt: skip
    ((g, length),) = seen
    assert length == n
    if n < 100:
        np.testing.assert_allclose(g, swept(problem, [(1e-3, n)]), atol=1e-9)


def test_six_sweeps_are_plain_if_sweeps_were_asked_for():
    problem = problem_of()
    plain = swept(problem, [(0.02, 7)])
    results = [
        solve_transport(problem, 0.02, method=Method.LOG, max_iter=n, tol=1e-12).potentials[1]
        for n in (7, 8)
    ]
    np.testing.assert_allclose(results[0], plain, atol=1e-9)
    # The eighth map was mixed with the seventh: a plain sweep more leads elsewhere.
    assert np.abs(results[1] - swept(problem, [(0.02, 8)])).max() < 1e-9
    further = solve_transport(problem, 0.02, method=Method.LOG, max_iter=9, tol=1e-12)
    assert np.abs(further.potentials[1] - swept(problem, [(0.02, 9)])).max() > 1e-4


def test_newton_begins_after_one_sweep_and_is_confirmed_by_one():
    problem = problem_of()
    result = solve_transport(problem, 0.01, method=Method.NEWTON, **TO_THE_END)
    assert result.method == "newton: as asked for"
    assert result.converged
    one = solve_transport(problem, 0.01, method=Method.NEWTON, max_iter=1, tol=1e-8)
    np.testing.assert_allclose(one.potentials[1], swept(problem, [(0.01, 1)]), atol=1e-9)
    assert one.method == "newton: as asked for; max_iter came first"
    easy = solve_transport(problem, 100.0, method=Method.NEWTON, max_iter=9, tol=0.3)
    assert (easy.n_iter, easy.method, easy.converged) == (1, "newton: as asked for", True)


@pytest.mark.parametrize("method", list(Method))
def test_points_and_their_costs_are_solved_alike(method):
    lazy = points()
    if method is Method.SCALING:
        lazy = problem_of()
    stored = lazy.cost if method is Method.SCALING else lazy.cost.block(slice(None))
    stored = lazy if method is Method.SCALING else transport_problem(stored, lazy.a, lazy.b)
    one, other = (solve_transport(p, 0.01, method=method, **TO_THE_END) for p in (lazy, stored))
    assert one.problem is lazy
    assert one.method == other.method
    assert one.converged
    assert abs(one.n_iter - other.n_iter) <= 1
    shift = one.potentials[1] - other.potentials[1]
    assert np.ptp(shift) < 1e-5
    dense = Dense(stored.cost.values, lazy.a, lazy.b, epsilon=0.01)
    assert dense.error(*one.potentials) <= 1.01e-8


def test_scaling_is_confirmed_in_the_log_domain():
    result = solve_transport(problem_of(), 0.02, method=Method.SCALING, **TO_THE_END)
    assert result.method == "scaling: as asked for, confirmed in the log domain"
    assert result.converged
    assert result.history[-1, 0] == result.marginal_error <= 1e-8


def test_points_whose_plan_does_not_fit_are_swept_to_the_end():
    problem = points(30, 20)
    with config_context(block_bytes=16 * 30 * 20 - 1):
        assert not _newton_is_possible(problem)
        result = solve_transport(problem, 0.002, **TO_THE_END)
        for n in (3, 4 * 6 + 2):
            part = solve_transport(problem, 0.002, max_iter=n, tol=1e-12)
            halvings = int(np.log2(problem.cost.magnitude / 0.002)) - 3
            g = swept(problem, stages_to(0.002, halvings, (0.002, max(0, n - 4 * halvings))))
            if n > 4 * halvings:
                np.testing.assert_allclose(part.potentials[1], g, atol=1e-9)
    assert result.converged
    ways = ("log: plain sweeps", "log: extrapolated sweeps; costs and a plan would not fit into")
    assert result.method.startswith(ways)
    with config_context(block_bytes=16 * 30 * 20):
        assert _newton_is_possible(problem)
    with config_context(block_bytes=1):
        assert _newton_is_possible(problem_of())


def test_the_way_taken_is_told():
    easy = solve_transport(problem_of(), 1.0, max_iter=100, tol=1e-6)
    assert easy.method == "log: plain sweeps"
    slow = problem_of(200, 150)
    stopped = solve_transport(slow, 1e-3, max_iter=9, tol=1e-9)
    assert stopped.method == "log: plain sweeps; max_iter came first"
    stopped = solve_transport(slow, 1e-3, max_iter=900, tol=1e-9, callback=lambda *_: True)
    assert stopped.method == "log: plain sweeps; stopped by the callback"
    newton = solve_transport(slow, 1e-3, **TO_THE_END)
    assert newton.converged
    assert newton.method.startswith("newton: extrapolated sweeps would have taken ")
    assert newton.method.endswith(" more")


def history(errors, tol=1e-6):
    return SimpleNamespace(history=[(error, 0.0) for error in errors], tol=tol)


def test_the_last_eight_errors_say_how_many_sweeps_are_left():
    halves = 0.5 ** np.arange(12)
    left = np.log2(halves[-1] / 1e-6)
    assert _predicted(history(halves)) == pytest.approx(left)
    # What was before the last eight has no say; the first of these eight has.
    assert _predicted(history([9.0, 7.0, *halves[-8:]])) == pytest.approx(left)
    assert _predicted(history([9.0, *halves[-7:]])) != pytest.approx(left)
    assert _predicted(history([0.5, 0.25], tol=0.125)) == pytest.approx(1.0)
    assert _predicted(history([0.25, 0.25])) == np.inf
    assert _predicted(history([0.25, 0.5])) == np.inf
    assert _predicted(history([0.5, 1e-6])) == 0.0
    assert _predicted(history([0.5, 1e-7])) == 0.0
    assert _predicted(history([0.0, 0.0])) == 0.0
    assert _predicted(history([0.5, 0.0], tol=-1.0)) == 0.0


@pytest.mark.parametrize(("n", "factor", "slow"), [(14, 0.9, True), (13, 0.9, False)])
def test_newton_waits_for_eight_mixed_sweeps(n, factor, slow):
    assert bool(_is_slow(history(factor ** np.arange(n)))) is slow


@pytest.mark.parametrize(("more", "slow"), [(29.9, False), (30.1, True)])
def test_newton_takes_over_where_more_than_thirty_sweeps_are_left(more, slow):
    errors = 0.7 ** np.arange(20)
    assert bool(_is_slow(history(errors, tol=errors[-1] * 0.7**more))) is slow


def test_counts_are_told_with_one_digit():
    assert _rounded(np.inf) == "endlessly many"
    assert [_rounded(n) for n in (3.4, 44.0, 4567.8)] == ["about 3", "about 40", "about 5000"]


@pytest.mark.parametrize("with_start", [False, True])
@pytest.mark.parametrize("method", [Method.AUTO, Method.LOG])
def test_right_hand_sides_of_points_go_one_by_one(method, with_start):
    problem = points(n_sides=3)
    g = np.random.default_rng(2).uniform(size=(3, 10)) / 10 if with_start else None
    result = solve_transport(problem, 0.05, method=method, g=g, **TO_THE_END)
    sides = [
        solve_transport(
            problem.side(r), 0.05, method=method, g=g[r] if with_start else None, **TO_THE_END
        )
        for r in range(3)
    ]
    assert result.problem is problem
    assert result.method == "one by one; " + sides[0].method
    assert result.n_iter == sum(side.n_iter for side in sides)
    assert result.converged is True
    np.testing.assert_array_equal(result.history, np.concatenate([s.history for s in sides]))
    for r, side in enumerate(sides):
        np.testing.assert_array_equal(result.potentials[0][r], side.potentials[0])
        np.testing.assert_array_equal(result.potentials[1][r], side.potentials[1])
        assert result.dual[r] == side.dual
        assert result.marginal_error[r] == side.marginal_error
    short = solve_transport(problem, 0.05, method=method, g=g, max_iter=2, tol=1e-8)
    assert short.converged is False


def test_right_hand_sides_of_points_have_converged_if_all_have():
    problem = points(n_sides=2)
    dense = Dense(problem.cost.block(slice(None)), problem.a[0], problem.b[0], epsilon=0.05)
    at_once = dense.plan(dense.rows(np.zeros(10)), np.zeros(10)).sum(axis=0)
    for order in (slice(None), slice(None, None, -1)):
        b = np.stack([at_once, problem.b[1]])[order]
        both = transport_problem(problem.cost, problem.a[0], b)
        result = solve_transport(both, 0.05, max_iter=3, tol=1e-8)
        assert (result.marginal_error <= 1e-8).tolist() == [True, False][order]
        assert result.converged is False
        assert result.n_iter == 1 + 3 + 1
