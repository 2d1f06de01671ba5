"""Batches of small problems for CUDA devices, emulated: against the reference, within the contract."""

import numpy as np
import pytest

from clusterlib.kernels import sinkhorn_batch, sinkhorn_iterate, sinkhorn_plan
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.emulator import ORDERS
from tests.cuda.test_sinkhorn import on_device
from tests.helpers import DTYPES
from tests.kernels.test_sinkhorn_plan import problems
from tests.kernels.transport_cases import Bound, logs


def batch(runtime, C, epsilon, log_a, log_b, g, **options):
    f, g = np.zeros(log_a.shape), g.copy()
    n_iter, error = on_device(
        runtime, sinkhorn_batch, C, epsilon, log_a, log_b, f, g, **options
    )  # fmt: skip
    assert n_iter.dtype == np.int32 and error.dtype == np.float64
    return f, g, n_iter, error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taus", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.6, 0.8), (1.0, 0.0)])
def test_batches_are_iterations(emulated, taus, dtype):
    for count, rows, columns in [(1, 1, 1), (3, 5, 75), (4, 5, 129), (2, 33, 2), (2, 130, 20)]:
        case = problems(count, rows, columns, dtype)
        options = {"tau_a": taus[0], "tau_b": taus[1]}
        f, g, n_iter, error = batch(emulated, *case, max_iter=5, **options)
        assert np.array_equal(n_iter, [5] * count)
        for b in range(count):
            C, epsilon, log_a, log_b, start = (x[b] for x in case)
            one_f, one_g = np.zeros(rows), start.copy()
            history = sinkhorn_iterate(
                C, epsilon, log_a, log_b, one_f, one_g, n_iters=5, backend="reference", **options
            )
            bound = Bound(C, np.where(np.abs(one_g) > np.abs(start), one_g, start), epsilon)
            factor = 5 * 5 * 2.0**5  # as on the host: iterations, steps of each, translations
            bound.assert_potentials(f[b], one_f, factor)
            bound.assert_potentials(g[b], one_g, factor)
            moved = np.expm1(4 * factor * bound.potential / epsilon)
            assert abs(error[b] - history[-1, 0]) <= moved * (1 + history[0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_stop_by_problem(emulated, dtype):
    C, epsilon, log_a, log_b, g = case = problems(12, 5, 20, dtype)
    f, g, n_iter, error = batch(emulated, *case, max_iter=200, tol=1e-4)
    assert n_iter.min() < n_iter.max() < 200 and error.max() <= 1e-4
    for b in range(12):
        P = sinkhorn_plan(C[b].astype(float), epsilon[b], f[b], g[b], backend="reference")
        there = np.abs(P.column_sums - np.exp(log_b[b])).sum()
        # The error belongs to the potentials that come with it.
        bound = Bound(C[b], g[b], epsilon[b])
        assert abs(there - error[b]) <= 4 * bound.relative + 2 * np.finfo(dtype).eps
        assert np.allclose(P.row_sums, np.exp(log_a[b]), rtol=4 * bound.relative, atol=1e-30)
    short = batch(emulated, *case, max_iter=3, tol=1e-4)
    assert np.array_equal(short[2], np.minimum(n_iter, 3))
    # One epsilon and one side for all problems.
    one = logs(np.full(5, 1 / 5)), logs(np.full(20, 1 / 20))
    g = np.zeros((12, 20))
    wide = [np.tile(w, (12, 1)) for w in one]
    expected = batch(emulated, C, np.full(12, 0.1), *wide, g, max_iter=3)
    f, start = np.zeros((12, 5)), g.copy()
    on_device(emulated, sinkhorn_batch, C, 0.1, *one, f, start, max_iter=3)
    assert np.array_equal(f, expected[0]) and np.array_equal(start, expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-3, 10.0])
def test_any_epsilon_without_nan(emulated, epsilon, dtype):
    C, _, log_a, log_b, g = problems(4, 5, 30, dtype)
    for tau_a, tau_b in [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)]:
        options = {"tau_a": tau_a, "tau_b": tau_b, "max_iter": 6}
        f, end, _, error = batch(emulated, C, epsilon, log_a, log_b, g, **options)
        assert not np.isnan(error).any()
        assert np.isfinite(f[log_a > -np.inf]).all() and np.isfinite(end[log_b > -np.inf]).all()


@pytest.mark.parametrize(("dtype", "log_tiny"), [(np.float32, -88.0), (np.float64, -709.0)])
def test_weights_below_the_range_are_zeros(emulated, dtype, log_tiny):
    C, _, log_a, log_b, g = problems(9, 6, 20, dtype)
    log_a[::2, 3], log_b[::3, 5] = log_tiny, log_tiny
    f, end, *_ = batch(emulated, C, 0.1, log_a, log_b, g, max_iter=3)
    assert np.all(f[::2, 3] == -np.inf) and np.all(end[::3, 5] == -np.inf)


def test_an_empty_batch(emulated):
    vectors = np.zeros((0, 3)), np.zeros((0, 4)), np.zeros((0, 4))
    *_, n_iter, error = batch(emulated, np.zeros((0, 3, 4)), 0.1, *vectors)
    assert n_iter.shape == error.shape == (0,)


@pytest.mark.parametrize("emulated", ORDERS[1:], indirect=True)
def test_the_order_of_threads_changes_no_bit(emulated):
    case = problems(3, 40, 150, np.float32)
    options = {"tau_a": 0.7, "tau_b": 0.8, "max_iter": 4}
    found = batch(emulated, *case, **options)
    with use(type(emulated)(ORDERS[0])) as first:
        expected = batch(first, *case, **options)
    assert all(np.array_equal(x, y) for x, y in zip(found, expected, strict=True))


def test_bad_batches_are_refused(emulated):
    case = problems(3, 4, 5)
    C, epsilon, log_a, log_b, g = map(emulated.to_device, case)
    f = emulated.zeros((3, 4), np.float64)
    for error, message, arguments in [
        (TypeError, "C is on the host", (case[0], epsilon, log_a, log_b, f, g)),
        (TypeError, "epsilon is on the host", (C, case[1], log_a, log_b, f, g)),
        (ValueError, "C must have shape", (C[0], epsilon, log_a, log_b, f, g)),
        (ValueError, "epsilon must be positive and finite", (C, -epsilon, log_a, log_b, f, g)),
        (ValueError, "epsilon must be positive and finite", (C, 0.0, log_a, log_b, f, g)),
        (ValueError, "log_b must have shape", (C, epsilon, log_a, log_a, f, g)),
        (ValueError, "f must be an array of shape", (C, epsilon, log_a, log_b, g, g)),
    ]:
        with pytest.raises(error, match=message):
            sinkhorn_batch(*arguments)
