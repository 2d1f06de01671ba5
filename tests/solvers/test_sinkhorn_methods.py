"""The ways to an answer: they agree, they are chosen by need, they keep within their limits."""

import logging
import tracemalloc

import numpy as np
import pytest

from clusterlib.config import config_context
from clusterlib.solvers import PointCost, sinkhorn
from clusterlib.solvers.sinkhorn_sweeps import Sweeps
from clusterlib.solvers.transport_problem import transport_problem


def unit_rows(n, d, rng, decay=True):
    X = rng.normal(size=(n, d)) / (np.arange(1, d + 1) if decay else 1.0)
    return X / np.linalg.norm(X, axis=1, keepdims=True)


def sphere(n, dtype=np.float32, seed=0):
    rng = np.random.default_rng(seed)
    C = 2.0 - 2.0 * unit_rows(n, 64, rng) @ unit_rows(n, 64, rng).T
    return (C / C.max()).astype(dtype)


def centred(result):
    """Potentials without the constant that they may exchange."""
    shift = (result.b * result.g).sum() / result.b.sum()
    return np.concatenate([result.f + shift, result.g - shift])


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("epsilon", [1.0, 0.05, 0.01])
def test_methods_agree(dtype, epsilon):
    C = sphere(150, dtype)
    tol = 1e-9 if dtype == np.float64 else 1e-7
    results = {
        method: sinkhorn(C, epsilon, method=method, tol=tol, max_iter=40_000)
        for method in ("auto", "log", "newton", "scaling")
    }
    base = centred(results["log"])
    for method, result in results.items():
        assert result.converged, method
        assert np.abs(centred(result) - base).max() < 2e4 * tol * epsilon, method
        assert result.method.split(":")[0] == method or method == "auto"


@pytest.mark.parametrize("method", ["log", "newton", "scaling"])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_reported_error_is_the_error(method, dtype):
    C = sphere(80, dtype)
    for max_iter in (2, 7, 30, 10_000):
        result = sinkhorn(C, 0.01, method=method, max_iter=max_iter)
        plan = result.plan()
        error = np.abs(plan.sum(axis=0) - result.b).sum()
        assert result.marginal_error == pytest.approx(error, rel=1e-6, abs=1e-12)
        assert result.converged == (error <= 1e-6)
        np.testing.assert_allclose(plan.sum(axis=1), result.a, rtol=1e-9)
        assert result.n_iter <= max_iter + 2


@pytest.mark.parametrize("rho", [(0.1, np.inf), (np.inf, 0.1), (0.3, 0.02)])
def test_reported_error_of_relaxed_marginals(rho):
    C = sphere(60, np.float64)
    epsilon = 0.01
    for max_iter in (3, 10_000):
        result = sinkhorn(C, epsilon, rho_a=rho[0], rho_b=rho[1], max_iter=max_iter)
        f, g = result.f, result.g
        sums = np.exp((f[:, None] + g - C) / epsilon).sum(axis=0)
        tau = 1.0 if np.isinf(rho[1]) else rho[1] / (rho[1] + epsilon)
        wanted = tau * (g + epsilon * np.log(result.b / sums))
        error = (sums * np.abs(np.expm1((wanted - g) / epsilon))).sum() / min(1.0, sums.sum())
        assert result.marginal_error == pytest.approx(error, rel=1e-6, abs=1e-12)
        assert result.converged == (max_iter == 10_000)


def test_easy_problems_need_no_more_than_plain_sweeps():
    C = sphere(300)
    result = sinkhorn(C, 1.0)
    assert "plain sweeps" in result.method
    assert result.n_iter <= 8
    moderate = sinkhorn(C, 0.05)
    assert moderate.converged
    assert moderate.n_iter <= 40


@pytest.mark.parametrize(("epsilon", "most"), [(0.003, 200), (0.001, 620)])
def test_small_epsilon_takes_newton_steps_and_few_sweeps(epsilon, most):
    result = sinkhorn(sphere(1000), epsilon)
    assert result.converged
    assert result.method.startswith("newton")
    assert result.n_iter <= most


@pytest.mark.parametrize("relative", [1e-4, 1e-6])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tiny_epsilon_reaches_the_tolerance(relative, dtype):
    rng = np.random.default_rng(1)
    C = rng.uniform(size=(60, 50)).astype(dtype)
    result = sinkhorn(C, relative)
    assert result.converged
    assert result.certificate().gap <= 60 * relative


def test_groups_that_only_a_long_step_brings_into_balance():
    # Two far groups with more mass on the left of one side: the potentials of a whole group have
    # to move by the distance between them, many thousand epsilons.
    rng = np.random.default_rng(2)
    x = np.concatenate([rng.uniform(size=30), 50 + rng.uniform(size=20)])
    y = np.concatenate([rng.uniform(size=29), 50 + rng.uniform(size=21)])
    result = sinkhorn(np.abs(np.subtract.outer(x, y)), 1e-3, method="newton")
    assert result.converged
    assert result.n_iter < 3000


@pytest.mark.parametrize("rho", [(1.0, np.inf), (np.inf, 0.1), (1.0, 1.0), (0.05, 0.02)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_newton_steps_for_relaxed_marginals(rho, dtype):
    C = sphere(150, dtype)
    a = np.random.default_rng(5).uniform(size=150)
    a[:3] = 0
    options = {"a": a / a.sum(), "rho_a": rho[0], "rho_b": rho[1], "tol": 1e-7}
    newton = sinkhorn(C, 0.002, method="newton", **options)
    swept = sinkhorn(C, 0.002, method="log", max_iter=50_000, **options)
    assert newton.converged
    assert swept.converged
    assert newton.n_iter < 500
    assert newton.value == pytest.approx(swept.value, abs=1e-9)
    assert np.abs(newton.plan() - swept.plan()).sum() < 1e-3
    assert abs(newton.certificate().gap) < 1e-8


def test_mass_below_the_smallest_number():
    # Every entry of the optimal plan is below exp(-1000): nothing is moved, both penalties paid.
    C = 1e4 + sphere(20, np.float64)
    result = sinkhorn(C, 0.4, rho_a=6.0, rho_b=0.6)
    assert result.converged
    assert result.plan().sum() == 0
    assert result.value == pytest.approx(6.6)


def test_points_take_newton_steps_only_if_their_costs_fit_into_a_block():
    rng = np.random.default_rng(3)
    cost = PointCost(unit_rows(200, 64, rng), unit_rows(200, 64, rng))
    roomy = sinkhorn(cost, 0.01)
    with config_context(block_bytes=1 << 16):
        narrow = sinkhorn(cost, 0.01)
    assert roomy.method.startswith("newton")
    assert "block_bytes" in narrow.method
    assert roomy.converged
    assert narrow.converged
    assert np.abs(roomy.plan() - narrow.plan()).sum() < 1e-3


def test_extrapolation_needs_far_fewer_sweeps_than_plain_iterations():
    C = sphere(300, np.float64)
    sweeps = Sweeps(transport_problem(C), 0.01, max_iter=10_000, tol=1e-6)
    sweeps.iterate(10_000)
    result = sinkhorn(C, 0.01, method="log")
    assert sweeps.is_done
    assert result.converged
    assert 3 * result.n_iter < sweeps.n_iter


def test_narrow_arithmetic_gives_way_to_wide():
    problem = transport_problem(sphere(100))
    sweeps = Sweeps(problem, 0.02, max_iter=10_000, tol=1e-9)
    sweeps.iterate(3)
    assert not sweeps.is_precise
    sweeps.iterate(10_000)
    assert sweeps.is_precise
    assert sweeps.is_done
    error = np.abs(sweeps.sweep() - problem.b).sum()
    assert error <= 1e-9


def test_scaling_takes_far_scalings_into_the_potentials():
    rng = np.random.default_rng(4)
    C = np.abs(np.subtract.outer(rng.uniform(size=40), 3 + rng.uniform(size=40) ** 4))
    result = sinkhorn(C, 0.005, method="scaling", max_iter=50_000)
    assert result.converged
    plain = sinkhorn(C, 0.005, method="log", max_iter=50_000)
    np.testing.assert_allclose(result.plan(), plain.plan(), atol=1e-6)


@pytest.mark.parametrize("method", ["auto", "log", "newton", "scaling"])
def test_history_is_that_of_the_wanted_epsilon(method):
    result = sinkhorn(sphere(100, np.float64), 0.01, method=method, max_iter=20_000)
    assert result.history.shape[1] == 2
    assert 0 < len(result.history) <= result.n_iter
    assert result.history[-1, 0] == pytest.approx(result.marginal_error)
    assert result.history[-1, 1] == pytest.approx(result.dual)
    duals = result.history[:, 1]
    assert np.nanmax(duals) <= result.dual + 1e-9


def test_callback_sees_progress_and_stops():
    seen = []

    def callback(g, history):
        seen.append((g.copy(), history))
        return len(seen) == 2

    C = sphere(100)
    result = sinkhorn(C, 0.001, callback=callback)
    assert len(seen) == 2
    assert not result.converged
    assert seen[1][0].shape == (100,)
    assert len(seen[0][1]) < len(seen[1][1])


def test_progress_is_logged_if_asked_for(caplog):
    C = sphere(50)
    with caplog.at_level(logging.INFO, logger="clusterlib"):
        sinkhorn(C, 0.05)
        assert not caplog.records
        sinkhorn(C, 0.05, verbose=1)
    assert "sinkhorn: sweep" in caplog.text
    assert "marginal error" in caplog.text


def test_giving_up_is_said_and_nothing_more():
    result = sinkhorn(sphere(100), 1e-4, max_iter=5)
    assert not result.converged
    assert result.marginal_error > 1e-6
    assert np.isfinite(result.plan()).all()
    assert "converged=False" in repr(result)


def test_costs_of_points_are_never_stored():
    rng = np.random.default_rng(6)
    X, Y = (rng.normal(size=(3000, 4)).astype(np.float32) for _ in range(2))
    tracemalloc.start()
    with config_context(block_bytes=1 << 20):
        result = sinkhorn(PointCost(X, Y), 2.0)
        result.certificate()
        result.barycentric_map()
        _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert result.converged
    assert peak < 3000 * 3000 * 4 / 4
