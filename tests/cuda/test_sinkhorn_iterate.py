"""Sinkhorn iterations for CUDA devices, emulated: against the reference, within its contract."""

import numpy as np
import pytest

from clusterlib.kernels import sinkhorn_iterate, sinkhorn_plan
from tests.cuda.test_sinkhorn import iterate, on_device
from tests.helpers import DTYPES
from tests.kernels import test_sinkhorn_iterate as iterations
from tests.kernels.transport_cases import TAUS, logs, problem, weights


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau_a", TAUS)
@pytest.mark.parametrize("tau_b", TAUS)
def test_damping(emulated, tau_a, tau_b, dtype):
    p = problem(65, 33, dtype)
    options = {"tau_a": tau_a, "tau_b": tau_b, "n_iters": 4}
    expected = iterate(None, p, 0.3, **options)
    iterations.assert_close(p, 0.3, iterate(emulated, p, 0.3, **options), expected, growth=2.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(1, 1), (1, 9), (7, 1), (33, 17), (1100, 3), (3, 1030)])
def test_iterations_of_all_sizes(emulated, shape, dtype):
    p = problem(*shape, dtype)
    for options in ({}, {"relaxation": 1.5}, {"tau_a": 0.7, "tau_b": 0.6}):
        expected = iterate(None, p, 0.1, n_iters=3, **options)
        result = iterate(emulated, p, 0.1, n_iters=3, **options)
        iterations.assert_close(p, 0.1, result, expected, growth=2.0)


def test_iterations_in_precise_arithmetic(emulated):
    p = problem(35, 129, np.float32)
    expected = iterate(None, p, 1e-2, n_iters=3)
    result = iterate(emulated, p, 1e-2, n_iters=3, precise=True)
    iterations.assert_close(p, 1e-2, result, expected, precise=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 10.0])
def test_any_epsilon_without_nan(emulated, epsilon, dtype):
    p = problem(40, 37, dtype)
    for tau_a, tau_b in [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5), (0.0, 1.0), (1.0, 0.0)]:
        f, g, history = iterate(emulated, p, epsilon, tau_a=tau_a, tau_b=tau_b, n_iters=3)
        assert not np.isnan(history).any()
        assert np.isfinite(f[p.log_a > -np.inf]).all()
        assert np.isfinite(g[p.log_b > -np.inf]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
def test_columns_that_underflow_are_summed_exactly(emulated, epsilon, dtype):
    # As on the host: the first sum of the last column is about exp(-3 / epsilon), over two
    # chunks of rows.
    rng = np.random.default_rng(4)
    C = rng.uniform(size=(300, 35)).astype(dtype)
    C[:, -1] += 3
    p = problem(300, 35, dtype)._replace(C=C, log_a=logs(np.full(300, 1 / 300)))
    p = p._replace(g=np.zeros(35), log_b=logs(np.full(35, 1 / 35)))
    expected, result = iterate(None, p, epsilon), iterate(emulated, p, epsilon)
    assert 1.5 < expected[1][-1] < 3.5
    iterations.assert_close(p, epsilon, result, expected)


def test_weights_below_the_range_of_numbers_are_no_zeros(emulated):
    p = problem(65, 33)
    p = p._replace(
        log_a=np.where(np.arange(65) % 2, -4600.0, p.log_a),
        log_b=np.where(np.arange(33) % 2, -4600.0, p.log_b),
    )
    p = p._replace(g=np.where(p.log_b > -np.inf, 0.0, -np.inf))
    for taus in [(1.0, 1.0), (1e-3, 1.0), (1.0, 1e-3), (1e-3, 1e-3)]:
        options = {"tau_a": taus[0], "tau_b": taus[1], "n_iters": 3}
        expected, result = iterate(None, p, 0.1, **options), iterate(emulated, p, 0.1, **options)
        for x, y in zip(result, expected, strict=True):
            here = np.isfinite(y)
            assert np.array_equal(np.isfinite(x), here)
            assert np.allclose(x[here], y[here], rtol=1e-10, atol=1e-10)


def test_tolerance_stops_before_the_step(emulated):
    p = problem(50, 30)
    f, g, history = iterate(emulated, p, 0.1, n_iters=500, tol=1e-6)
    n_done = len(history)
    assert 1 < n_done < 500 and history[-1, 0] <= 1e-6 < history[-2, 0]
    P = sinkhorn_plan(p.C, 0.1, f, g, backend="reference")
    assert abs(np.abs(P.column_sums - np.exp(p.log_b)).sum() - history[-1, 0]) <= 1e-11
    again = iterate(emulated, p, 0.1, n_iters=n_done)
    assert np.array_equal(again[0], f) and np.array_equal(again[2], history)
    assert not np.array_equal(again[1], g)  # without a tolerance the last step is taken


@pytest.mark.parametrize("precise", [False, True])
def test_potentials_are_left_as_the_next_sweep_sees_them(emulated, precise):
    p = problem(20, 15, np.float32)
    g = iterate(emulated, p, 0.1, n_iters=2, precise=precise)[1]
    assert np.array_equal(g, g.astype(np.float32)) == (not precise)


def test_histories_of_any_length(emulated):
    p = problem(3, 2)
    history = iterate(emulated, p, 0.1, n_iters=300)[2]
    assert history.shape == (300, 2) and np.isfinite(history).all()
    assert np.all(np.diff(history[:, 1]) >= -1e-13)
    f, g = np.zeros(3), p.g.copy()
    lines = [
        on_device(emulated, sinkhorn_iterate, p.C, 0.1, p.log_a, p.log_b, f, g)
        for _ in range(4)
    ]  # fmt: skip
    assert np.array_equal(np.concatenate(lines), history[:4])


@pytest.mark.parametrize("dtype", DTYPES)
def test_iterations_of_several_right_hand_sides(emulated, dtype):
    p = problem(70, 33, dtype)
    rng = np.random.default_rng(5)
    log_a, log_b = logs(weights(rng, (3, 70))), logs(weights(rng, (3, 33)))
    options = {"n_iters": 3, "tau_a": 0.8, "tau_b": 0.9}
    f, g = np.zeros((3, 70)), np.where(log_b > -np.inf, 0.0, -np.inf)
    history = on_device(emulated, sinkhorn_iterate, p.C, 0.1, log_a, log_b, f, g, **options)
    assert history.shape == (3, 3, 2)
    for r in range(3):
        start = np.where(log_b[r] > -np.inf, 0.0, -np.inf)
        one = p._replace(log_a=log_a[r], log_b=log_b[r], g=start)
        expected = iterate(emulated, one, 0.1, **options)
        for x, y in zip((f[r], g[r], history[r]), expected, strict=True):
            assert np.array_equal(x, y)
