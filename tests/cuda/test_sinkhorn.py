"""Sinkhorn kernels for CUDA devices, emulated: against the reference, within its contract."""

import numpy as np
import pytest

from clusterlib.kernels import sinkhorn_iterate, sinkhorn_plan, sinkhorn_sweep
from clusterlib.kernels._cupy import sinkhorn_passes
from clusterlib.kernels._cupy.runtime import use
from clusterlib.kernels.leaves import SWEEP_ROWS
from tests.cuda.emul.emulator import ORDERS
from tests.helpers import DTYPES
from tests.kernels import test_sinkhorn_iterate as iterations
from tests.kernels.test_sinkhorn_plan import assert_plans_agree
from tests.kernels.transport_cases import TAUS, Bound, logs, problem, weights

# (n, m): around leaves of 32 rows, teams of 8 to 256 threads, and the columns they can hold: 512
# and 384 to a warp, 4096 and 3072 to a block, 10240 in the deepest kernel.
SHAPES = [
    *((1, 1), (2, 8), (31, 9), (32, 7), (33, 31), (37, 33), (64, 64), (65, 1), (67, 127)),
    *((97, 129), (35, 383), (9, 385), (7, 512), (5, 513), (3, 1025), (2, 3073), (2, 4096)),
    *((3, 4097), (1, 10240), (2, 10241), (33, 10243)),
]


def on_device(runtime, kernel, *args, **options):
    """Call a kernel with device copies of the arrays; they come back with what was written."""
    arrays = [a for a in (*args, *options.values()) if isinstance(a, np.ndarray)]
    copies = {id(a): runtime.to_device(a) for a in arrays}
    given = [copies.get(id(a), a) for a in args]
    result = kernel(*given, **{key: copies.get(id(a), a) for key, a in options.items()})
    for array in arrays:
        if array.flags.writeable:
            array[...] = runtime.to_host(copies[id(array)])
    if isinstance(result, tuple):
        return type(result)(*(None if r is None else runtime.to_host(r) for r in result))
    return runtime.to_host(result)


def sweep(runtime, p, epsilon, f=None, **options):
    """Row potentials and column sums, of the device or with None of the reference."""
    f = np.zeros(len(p.C)) if f is None else np.array(f)
    if runtime is None:
        return f, sinkhorn_sweep(p.C, epsilon, p.log_a, f, p.g, backend="reference", **options)
    return f, on_device(runtime, sinkhorn_sweep, p.C, epsilon, p.log_a, f, p.g, **options)


def assert_close(p, epsilon, result, expected, **options):
    bound = Bound(p.C, p.g, epsilon, **options)
    bound.assert_potentials(result[0], expected[0])
    bound.assert_sums(result[1], expected[1], expected[1].sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_sizes(emulated, shape, dtype):
    p = problem(*shape, dtype)
    result = sweep(emulated, p, 0.1)
    assert result[1].shape == p.g.shape and result[1].dtype == np.float64
    assert_close(p, 0.1, result, sweep(None, p, 0.1))


def test_no_rows(emulated):
    p = problem(0, 5)
    assert np.array_equal(sweep(emulated, p, 0.1)[1], np.zeros(5))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [33, 10241])
@pytest.mark.parametrize("f_max", [np.inf, -0.35])
@pytest.mark.parametrize("tau", TAUS)
def test_damped_and_capped_rows(emulated, tau, f_max, m, dtype):
    p = problem(37 if m < 100 else 3, m, dtype)
    options = {"tau_a": tau, "f_max": f_max}
    expected = sweep(None, p, 0.1, **options)
    assert_close(p, 0.1, sweep(emulated, p, 0.1, **options), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [65, 10241])
def test_potentials_that_are_given(emulated, m, dtype):
    p = problem(41 if m < 100 else 2, m, dtype)
    f = np.where(p.log_a > -np.inf, np.random.default_rng(1).normal(size=len(p.C)), -np.inf)
    result = sweep(emulated, p, 0.2, f, update_f=False)
    assert np.array_equal(result[0], f)
    assert_close(p, 0.2, result, sweep(None, p, 0.2, f, update_f=False))


@pytest.mark.parametrize("m", [129, 600, 5000])
def test_precise_arithmetic(emulated, m):
    p = problem(5, m, np.float32)
    for epsilon in (0.1, 1e-3):
        result = sweep(emulated, p, epsilon, precise=True)
        assert_close(p, epsilon, result, sweep(None, p, epsilon), precise=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e8, 1e30])
def test_any_scale_of_the_cost(emulated, scale, dtype):
    p = problem(37, 33, dtype)
    p = p._replace(C=p.C * dtype(scale), g=p.g * scale)
    result = sweep(emulated, p, 0.05 * scale)
    assert_close(p, 0.05 * scale, result, sweep(None, p, 0.05 * scale))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [40, 10241])
@pytest.mark.parametrize("epsilon", [1e-300, 1e-6, 1e-3, 10.0])
def test_any_epsilon(emulated, epsilon, m, dtype):
    p = problem(35 if m < 100 else 2, m, dtype)
    for tau in TAUS:
        f, sums = sweep(emulated, p, epsilon, tau_a=tau)
        assert not np.isnan(f).any() and not np.isnan(sums).any()
        if tau == 1.0:
            Bound(p.C, p.g, epsilon).assert_potentials(f, sweep(None, p, epsilon)[0])
            # Rows are exact whatever epsilon: their sums are the weights, so is the total.
            assert abs(sums.sum() - 1.0) <= 512 * np.finfo(dtype).eps


@pytest.mark.parametrize("hint", [np.nan, np.inf, -1e300])
def test_what_f_holds_does_not_matter(emulated, hint):
    p = problem(37, 33)
    expected = sweep(emulated, p, 0.1)
    result = sweep(emulated, p, 0.1, np.full(37, hint))
    assert np.array_equal(result[0], expected[0]) and np.array_equal(result[1], expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [65, 10241])
def test_several_right_hand_sides_are_one_after_the_other(emulated, m, dtype):
    n = 70 if m < 100 else 3
    p = problem(n, m, dtype)
    rng = np.random.default_rng(3)
    log_a, g = logs(weights(rng, n) * np.ones((3, 1))), rng.normal(size=(3, m))
    log_a[1] = logs(weights(rng, n))
    g[2, 5] = -np.inf
    f = np.zeros((3, n))
    sums = on_device(emulated, sinkhorn_sweep, p.C, 0.1, log_a, f, g)
    assert sums.shape == (3, m)
    for r in range(3):
        one = sweep(emulated, p._replace(log_a=log_a[r], g=g[r]), 0.1)
        assert np.array_equal(f[r], one[0]) and np.array_equal(sums[r], one[1])
    shared = np.zeros((3, n))
    on_device(emulated, sinkhorn_sweep, p.C, 0.1, log_a[0], shared, g)
    assert np.array_equal(shared[[0, 2]], f[[0, 2]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_are_minus_the_cost(emulated, dtype):
    p = problem(40, 33, dtype)
    expected = sweep(emulated, p, 0.1)
    result = sweep(emulated, p._replace(C=-p.C), 0.1, scores=True)
    assert np.array_equal(result[0], expected[0]) and np.array_equal(result[1], expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_aligned_blocks_merge_to_the_same_bits(emulated, dtype, monkeypatch):
    p = problem(5 * SWEEP_ROWS + 17, 9, dtype)
    whole = sweep(emulated, p, 0.1)
    cut = 4 * SWEEP_ROWS
    parts = [
        sweep(emulated, p._replace(C=p.C[rows], log_a=p.log_a[rows]), 0.1)
        for rows in (slice(None, cut), slice(cut, None))
    ]
    assert np.array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    assert np.array_equal(parts[0][1] + parts[1][1], whole[1])
    # Leaves are swept in groups that fit into little memory: those merge in the same way.
    monkeypatch.setattr(sinkhorn_passes, "_LEAST_LEAVES", 4)
    monkeypatch.setattr(sinkhorn_passes, "_PARTIAL_BYTES", 1)
    again = sweep(emulated, p, 0.1)
    assert np.array_equal(again[0], whole[0]) and np.array_equal(again[1], whole[1])


def test_layouts_give_the_same_bits(emulated):
    p = problem(40, 37, np.float32)
    expected = sweep(emulated, p, 0.1)
    wide = np.zeros((40, 74), np.float32)
    wide[:, ::2] = p.C
    for C in (emulated.to_device(p.C.T.copy()).T, emulated.to_device(wide)[:, ::2]):
        f = emulated.zeros(40, np.float64)
        vectors = (emulated.to_device(v) for v in (p.log_a, p.g))
        log_a, g = vectors
        sums = sinkhorn_sweep(C, 0.1, log_a, f, g)
        assert np.array_equal(emulated.to_host(f), expected[0])
        assert np.array_equal(emulated.to_host(sums), expected[1])


def all_results(runtime):
    """What the kernels write for shapes that go all of their ways."""
    results = []
    for n, m, dtype in [(70, 33, np.float32), (40, 600, np.float64), (3, 10250, np.float32)]:
        p = problem(n, m, dtype)
        results += iterate(runtime, p, 1e-3, tau_a=0.9, tau_b=0.8, n_iters=2)
        f = np.zeros(n)
        options = {"log_a": p.log_a, "row_weight": np.ones(n)}
        results += [f, *on_device(runtime, sinkhorn_plan, p.C, 0.1, f, p.g, **options)]
    return results


@pytest.mark.parametrize("emulated", ORDERS[1:], indirect=True)
def test_the_order_of_threads_changes_no_bit(emulated):
    first = type(emulated)(ORDERS[0])
    with use(first):
        expected = all_results(first)
    for result, wanted in zip(all_results(emulated), expected, strict=True):
        assert np.array_equal(result, wanted)


def iterate(runtime, p, epsilon, **options):
    """Potentials and history, of the device or with None of the reference."""
    f, g = np.zeros(len(p.C)), p.g.copy()
    arguments = p.C, epsilon, p.log_a, p.log_b, f, g
    if runtime is None:
        return f, g, sinkhorn_iterate(*arguments, backend="reference", **options)
    return f, g, on_device(runtime, sinkhorn_iterate, *arguments, **options)


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


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("shape", [(1, 1), (33, 17), (40, 257), (5, 3073), (2, 10250)])
def test_plans_of_all_sizes(emulated, shape, update, dtype):
    p = problem(*shape, dtype)
    f = np.where(p.log_a > -np.inf, -0.4, -np.inf)
    weight = np.random.default_rng(shape[0]).uniform(0, 2, shape[0])
    for row_weight in (None, weight):
        options = {"log_a": p.log_a if update else None, "row_weight": row_weight}
        wanted, given = f.copy(), f.copy()
        expected = sinkhorn_plan(p.C, 0.1, wanted, p.g, backend="reference", **options)
        result = on_device(emulated, sinkhorn_plan, p.C, 0.1, given, p.g, **options)
        Bound(p.C, p.g, 0.1).assert_potentials(given, wanted)
        assert_plans_agree(p, 0.1, result, expected)


def test_plans_in_precise_arithmetic_and_of_scores(emulated):
    p = problem(35, 129, np.float32)
    f = np.zeros(35)
    expected = sinkhorn_plan(p.C, 0.01, f, p.g, log_a=p.log_a, backend="reference")
    options = {"log_a": p.log_a, "precise": True}
    result = on_device(emulated, sinkhorn_plan, p.C, 0.01, np.zeros(35), p.g, **options)
    assert_plans_agree(p, 0.01, result, expected, precise=True)
    scores = on_device(
        emulated, sinkhorn_plan, -p.C, 0.01, np.zeros(35), p.g, scores=True, **options
    )
    assert all(np.array_equal(x, y) for x, y in zip(scores[:3], result[:3], strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(70, 33), (2, 10250)])
def test_sums_of_a_plan_are_those_of_a_sweep(emulated, shape, dtype):
    p = problem(*shape, dtype)
    f, sums = sweep(emulated, p, 0.1)
    out = np.full(shape, np.nan, dtype)
    again = np.zeros(shape[0])
    options = {"log_a": p.log_a, "out": out}
    result = on_device(emulated, sinkhorn_plan, p.C, 0.1, again, p.g, **options)
    assert np.array_equal(again, f) and np.array_equal(result.column_sums, sums)
    assert np.array_equal(result.plan, out) and np.isfinite(out).all()
