"""The running solve: what it counts, records and accepts, beside dense iterations."""

import logging

import numpy as np
import pytest

from clusterlib.solvers import PointCost
from clusterlib.solvers.cost_matrix import CostMatrix
from clusterlib.solvers.sinkhorn_sweeps import Sweeps
from clusterlib.solvers.transport_problem import TransportProblem, transport_problem
from tests.solvers.dense_sinkhorn import Dense, random_weights

BALANCED = (np.inf, np.inf)
RHOS = [BALANCED, (0.3, np.inf), (np.inf, 0.2), (0.4, 0.3)]


def dense_problem(rho=BALANCED, epsilon=0.1, mass=1.0, seed=0, n=9, m=7):
    rng = np.random.default_rng(seed)
    a, b = mass * random_weights(n, rng), mass * random_weights(m, rng)
    a[1], b[[0, 3]] = 0.0, 0.0
    if rho == BALANCED:
        b *= a.sum() / b.sum()
    return Dense(rng.uniform(size=(n, m)), a, b, rho, epsilon)


def sweeps_of(dense, *, dtype=np.float64, **options):
    problem = transport_problem(
        dense.C.astype(dtype), dense.a, dense.b, rho_a=dense.rho[0], rho_b=dense.rho[1]
    )
    return Sweeps(problem, dense.epsilon, **({"max_iter": 1000, "tol": 1e-9} | options))


def iterated(dense, g, n):
    """(f, g, error, dual) of n iterations, and the g after them."""
    seen = []
    for _ in range(n):
        *looked_at, g = dense.step(g)
        seen.append(looked_at)
    return seen, g


def assert_finite_equal(actual, expected, **options):
    """Potentials; those of columns without weight are -inf."""
    np.testing.assert_allclose(np.exp(actual), np.exp(expected), **options)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("mass", [1.0, 50.0])
@pytest.mark.parametrize("rho", RHOS)
def test_plain_sweeps_are_those_of_dense_matrices(rho, mass, n):
    dense = dense_problem(rho, mass=mass)
    start = np.random.default_rng(1).uniform(-0.2, 0.2, size=7)
    kept = start.copy()
    sweeps = sweeps_of(dense, g=start)
    assert sweeps.mass == pytest.approx(min(dense.a.sum(), dense.b.sum()))
    sweeps.iterate(n)
    np.testing.assert_array_equal(start, kept)
    seen, g = iterated(dense, start, n)
    assert sweeps.n_iter == len(sweeps.history) == n
    assert sweeps.left == 1000 - n
    assert_finite_equal(sweeps.g, g, rtol=1e-11)
    mass = min(dense.a.sum(), dense.b.sum())
    expected = [(error / mass, dual) for _, _, error, dual in seen]
    np.testing.assert_allclose(sweeps.history, expected, rtol=1e-10)
    assert sweeps.error == pytest.approx(expected[-1][0])
    assert sweeps.errors == pytest.approx(expected[-1][0])
    assert sweeps.duals == pytest.approx(expected[-1][1])


def test_nothing_has_been_done_at_first():
    sweeps = sweeps_of(dense_problem())
    assert (sweeps.n_iter, sweeps.history, sweeps.left) == (0, [], 1000)
    assert sweeps.error == np.inf
    assert sweeps.duals == -np.inf
    assert sweeps.is_active
    assert sweeps.is_precise
    assert not sweeps.is_done
    assert not sweeps.is_stopped
    np.testing.assert_array_equal(sweeps.f, np.zeros(9))
    np.testing.assert_array_equal(sweeps.g, [-np.inf, 0, 0, -np.inf, 0, 0, 0])


def test_right_hand_sides_share_sweeps_and_the_least_mass():
    dense = [dense_problem(mass=mass, seed=3) for mass in (1.0, 4.0, 0.5)]
    for index, one in enumerate(dense):
        one.b = np.roll(one.b, index)
    weights = (np.stack([getattr(one, side) for one in dense]) for side in "ab")
    problem = TransportProblem(CostMatrix.checked(dense[0].C), *weights)
    sweeps = Sweeps(problem, 0.1, max_iter=100, tol=1e-9)
    sweeps.iterate(3)
    runs = [iterated(one, np.zeros(7), 3) for one in dense]
    masses = [one.a.sum() for one in dense]
    errors = np.array([[error for _, _, error, _ in seen] for seen, _ in runs])
    duals = np.array([[dual for *_, dual in seen] for seen, _ in runs])
    assert sweeps.mass == pytest.approx(min(masses))
    np.testing.assert_allclose(sweeps.history, np.c_[errors.max(0) / min(masses), duals.sum(0)])
    np.testing.assert_allclose(sweeps.errors, errors[:, -1] / masses)
    np.testing.assert_allclose(sweeps.duals, duals[:, -1])
    assert sweeps.error == pytest.approx(errors[:, -1].max() / min(masses))
    assert sweeps.n_iter == 3
    result = sweeps.result("name")
    for f, g, (_, expected) in zip(*result.potentials, runs, strict=True):
        assert_finite_equal(g, expected, rtol=1e-11)
        assert f.shape == (9,)
    ends = [d.error(d.rows(g), g) / d.a.sum() for d, (_, g) in zip(dense, runs, strict=True)]
    np.testing.assert_allclose(result.marginal_error, ends)


@pytest.mark.parametrize("tol", [1e-2, 1e-5])
@pytest.mark.parametrize("rho", RHOS)
def test_the_end_is_the_first_error_within_the_tolerance(rho, tol):
    dense = dense_problem(rho)
    mass = min(dense.a.sum(), dense.b.sum())
    sweeps = sweeps_of(dense, tol=tol)
    sweeps.iterate(1000)
    seen, g, n = [], np.zeros(7), 0
    while True:  # a look costs one sweep more where the plan may have less mass than its weights
        f, g, error, dual, following = dense.step(g)
        seen.append((error / mass, dual))
        n += 1
        if error <= tol * mass:
            if rho == BALANCED:
                break
            n += 1
            f = dense.rows(g)
            mass = min(mass, dense.plan(f, g).sum())
            if dense.error(f, g) <= tol * mass:
                break
            continue
        g = following
    assert sweeps.is_done
    assert not sweeps.is_active
    assert sweeps.n_iter == n
    np.testing.assert_allclose(sweeps.history, seen, rtol=1e-7)
    assert_finite_equal(sweeps.g, g, rtol=1e-9)
    assert_finite_equal(sweeps.f, f, rtol=1e-9)
    assert sweeps.error == pytest.approx(dense.error(f, g) / mass)
    assert sweeps.mass == pytest.approx(mass)
    sweeps.iterate(5)
    assert sweeps.n_iter == n
    result = sweeps.result("plain")
    assert (result.method, result.n_iter, result.converged) == ("plain", n, True)
    assert result.dual == pytest.approx(dense.dual(f, g))


def test_no_more_sweeps_than_are_allowed():
    sweeps = sweeps_of(dense_problem(), max_iter=4)
    sweeps.approach(0.4, 3)
    assert (sweeps.n_iter, sweeps.history) == (3, [])
    sweeps.iterate(10)
    assert (sweeps.n_iter, len(sweeps.history), sweeps.is_active) == (4, 1, False)
    sweeps.approach(0.4, 3)
    sweeps.iterate(1)
    assert (sweeps.n_iter, sweeps.left) == (4, 0)
    short = sweeps_of(dense_problem(), max_iter=4)
    short.approach(0.4, 7)
    assert short.n_iter == 4


@pytest.mark.parametrize("rho", RHOS)
def test_larger_epsilons_lead_the_way(rho):
    dense = dense_problem(rho, epsilon=0.1)
    sweeps = sweeps_of(dense)
    sweeps.approach(0.4, 3)
    _, g = iterated(dense_problem(rho, epsilon=0.4), np.zeros(7), 3)
    assert_finite_equal(sweeps.g, g, rtol=1e-11)


@pytest.mark.parametrize("rho", RHOS)
def test_a_result_that_is_not_done_says_by_how_much(rho):
    dense = dense_problem(rho)
    for n in (0, 3):
        sweeps = sweeps_of(dense)
        sweeps.iterate(n)
        result = sweeps.result("some")
        _, g = iterated(dense, np.zeros(7), n)
        f = dense.rows(g)
        mass = min(dense.a.sum(), dense.b.sum(), dense.plan(f, g).sum())
        assert type(result.marginal_error) is type(result.dual) is float
        assert result.marginal_error == pytest.approx(dense.error(f, g) / mass)
        assert result.dual == pytest.approx(dense.dual(f, g))
        assert result.n_iter == n + 1
        assert result.history.shape == (n, 2)
        assert result.converged is False
        assert_finite_equal(result.potentials[0], f, rtol=1e-11)


@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_points_are_swept_as_their_costs(metric):
    rng = np.random.default_rng(4)
    cost = PointCost(rng.uniform(size=(8, 2)), rng.uniform(size=(6, 2)), metric=metric)
    a, b = random_weights(8, rng), random_weights(6, rng)
    dense = Dense(cost.block(slice(None)), a, b, (0.5, np.inf), 0.2)
    sweeps = Sweeps(transport_problem(cost, a, b, rho_a=0.5), 0.2, max_iter=50, tol=1e-9)
    sweeps.approach(0.6, 2)
    sweeps.iterate(3)
    _, g = iterated(Dense(dense.C, a, b, dense.rho, 0.6), np.zeros(6), 2)
    seen, g = iterated(dense, g, 3)
    np.testing.assert_allclose(sweeps.g, g, rtol=1e-11)
    np.testing.assert_allclose([dual for _, dual in sweeps.history], [row[3] for row in seen])
    sums = sweeps.sweep()
    np.testing.assert_allclose(sums, dense.plan(dense.rows(g), g).sum(axis=0))
    np.testing.assert_allclose(sweeps.f, dense.rows(g), rtol=1e-11)


@pytest.mark.parametrize("as_points", [False, True])
def test_narrow_costs_give_way_where_its_errors_cannot_be_trusted(as_points):
    rng = np.random.default_rng(5)
    X, Y = (rng.uniform(size=(n, 2)).astype(np.float32) for n in (30, 20))
    cost = PointCost(X, Y)
    magnitude = cost.magnitude
    if not as_points:
        cost = cost.block(slice(None), np.float32)
        magnitude = cost.max()
    sweeps = Sweeps(transport_problem(cost), 0.02, max_iter=500, tol=1e-9)
    floor = 2.0**-24 * magnitude / 0.02
    assert sweeps.floor() == pytest.approx(floor)
    assert sweeps.floor(0.2) == pytest.approx(floor / 10)
    while not sweeps.is_precise:
        before = sweeps.g.copy()
        sweeps.iterate(1)
        assert sweeps.is_precise == (sweeps.error <= 8 * floor)
    np.testing.assert_array_equal(sweeps.g, before)  # looked at again, with more digits
    assert not sweeps.is_done
    sweeps.iterate(500)
    assert sweeps.is_done
    assert sweeps_of(dense_problem()).floor() == 0.0


@pytest.mark.parametrize("as_points", [False, True])
def test_a_sweep_that_evaluates_is_wide(as_points):
    rng = np.random.default_rng(6)
    X, Y = (rng.uniform(size=(n, 2)).astype(np.float32) for n in (9, 7))
    cost = PointCost(X, Y)
    values = cost.X.astype(np.float64)[:, None] - cost.Y.astype(np.float64)
    C = (values**2).sum(axis=2)
    if not as_points:
        cost = C.astype(np.float32)
        C = cost.astype(np.float64)
    sweeps = Sweeps(transport_problem(cost), 0.02, max_iter=50, tol=1e-3)
    sweeps.iterate(2)
    assert not sweeps.is_precise
    problem = sweeps.problem
    dense = Dense(C, problem.a, problem.b, epsilon=0.02)
    sums = sweeps.sweep()
    assert sweeps.is_precise
    f = dense.rows(sweeps.g)
    np.testing.assert_allclose(sweeps.f, f, rtol=0, atol=1e-13)
    np.testing.assert_allclose(sums, dense.plan(f, sweeps.g).sum(axis=0), rtol=1e-11)


@pytest.mark.parametrize("factor", [0.49, 0.51, 0.9])
def test_narrow_costs_go_down_to_a_tolerance_that_they_can_reach(factor):
    dense = dense_problem(n=30, m=20)
    floor = 2.0**-24 * dense.C.max() / dense.epsilon
    sweeps = sweeps_of(dense, dtype=np.float32, tol=factor * floor)
    limit = factor * floor if factor > 0.5 else 8 * floor
    while not sweeps.is_precise:
        sweeps.iterate(1)
        assert sweeps.is_precise == (sweeps.error <= limit)


def test_what_is_done_elsewhere_is_counted():
    sweeps = sweeps_of(dense_problem())
    sweeps.spend(3)
    assert (sweeps.n_iter, sweeps.history) == (3, [])
    sweeps.spend(2, 0.25, -1.5)
    assert (sweeps.n_iter, sweeps.history) == (5, [(0.25, -1.5)])


def test_a_callback_stops_and_the_log_names_the_error(caplog):
    seen = []
    sweeps = sweeps_of(
        dense_problem(), verbose=1, callback=lambda g, history: seen.append((g, history)) or 1
    )
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        sweeps.iterate(2)
        sweeps.iterate(2)
        sweeps.report(0.125)
    assert sweeps.is_stopped
    assert not sweeps.is_active
    assert sweeps.n_iter == 2
    np.testing.assert_array_equal(seen[0][1], sweeps.history)
    texts = [record.getMessage() for record in caplog.records]
    assert texts == [
        f"sinkhorn: sweep 2, marginal error {sweeps.error:.3g}",
        "sinkhorn: sweep 2, marginal error 0.125",
    ]


def test_threads_and_backends_are_passed_on():
    sweeps = sweeps_of(dense_problem(), backend="reference")
    assert sweeps.options["backend"] == "reference"
    with pytest.raises(ValueError, match="backend"):
        sweeps_of(dense_problem(), backend="none such").iterate(1)
