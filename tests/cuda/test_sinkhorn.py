"""Sinkhorn kernels for CUDA devices, emulated: against the reference, within its contract."""

import numpy as np
import pytest

from clusterlib.kernels import sinkhorn_iterate, sinkhorn_plan, sinkhorn_sweep
from clusterlib.kernels._cupy import sinkhorn_passes
from clusterlib.kernels._cupy.runtime import use
from clusterlib.kernels.leaves import SWEEP_ROWS
from tests.cuda.emul.arguments import Shifted
from tests.cuda.emul.emulator import ORDERS
from tests.helpers import DTYPES
from tests.kernels.transport_cases import TAUS, Bound, logs, problem, weights

# (n, m): around leaves of 32 rows, teams of 8 to 64 threads and the columns they can hold, 128, 512
# and 1024 in float32 and 128, 384 and 768 in float64, and around chunks of longer rows.
SHAPES = [
    *((1, 1), (2, 8), (31, 9), (32, 7), (33, 31), (37, 33), (64, 64), (65, 1), (67, 127)),
    *((33, 128), (97, 129), (35, 383), (9, 385), (7, 512), (5, 513), (9, 768), (3, 769)),
    *((3, 1024), (2, 1025), (2, 2048), (3, 2049), (33, 2100)),
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
        parts = (None if part is None else runtime.to_host(part) for part in result)
        return result._make(parts) if hasattr(result, "_make") else tuple(parts)
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
@pytest.mark.parametrize("m", [33, 1025])
@pytest.mark.parametrize("f_max", [np.inf, -0.35])
@pytest.mark.parametrize("tau", TAUS)
def test_damped_and_capped_rows(emulated, tau, f_max, m, dtype):
    p = problem(37 if m < 100 else 3, m, dtype)
    options = {"tau_a": tau, "f_max": f_max}
    expected = sweep(None, p, 0.1, **options)
    assert_close(p, 0.1, sweep(emulated, p, 0.1, **options), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("m", [65, 1025])
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
@pytest.mark.parametrize("m", [40, 1025])
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
@pytest.mark.parametrize("m", [65, 1025])
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


def iterate(runtime, p, epsilon, **options):
    """Potentials and history, of the device or with None of the reference."""
    f, g = np.zeros(len(p.C)), p.g.copy()
    arguments = p.C, epsilon, p.log_a, p.log_b, f, g
    if runtime is None:
        return f, g, sinkhorn_iterate(*arguments, backend="reference", **options)
    return f, g, on_device(runtime, sinkhorn_iterate, *arguments, **options)


def all_results(runtime):
    """What the kernels write for shapes that go all of their ways."""
    results = []
    for n, m, dtype in [(70, 33, np.float32), (40, 600, np.float64), (3, 1050, np.float32)]:
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


class FarRows(sinkhorn_passes.StoredCost):
    """A cost whose rows come after so many others that their offsets leave the int range."""

    def __init__(self, C, rows_before):
        super().__init__(C, 1)
        self.shape = rows_before + len(C), C.shape[1]
        self.C = Shifted(C, rows_before * C.shape[1])


@pytest.mark.parametrize("m", [70, 1050])
def test_offsets_beyond_the_range_of_int(emulation, m):
    p = problem(35, m, np.float32)
    C = emulation.to_device(p.C)
    log_a, weight, g = (emulation.to_device(x[None]) for x in (p.log_a, np.exp(p.log_a), p.g))
    before = (2**31 // m // 32 + 1) * 32
    results = []
    for rows_before in (0, before):
        cost = FarRows(C, rows_before)
        rows = sinkhorn_passes.StoredCost(C, 1).row_numbers()
        f, parts = emulation.zeros((1, 35), np.float64), emulation.zeros((2, 1, m), np.float64)
        plan = emulation.zeros((35, m), np.float32)
        results.append([f, parts, plan, *rows])
        vectors = (Shifted(x, rows_before) for x in (log_a, weight, f))
        far_rows = type(rows)(*(Shifted(x, rows_before) for x in rows))
        first, rule = rows_before // 32, sinkhorn_passes.RowRule(0.1)
        cost._sweep_leaves(rule, (*vectors, cost.seen(g)), first, 2, parts, far_rows)
        out = Shifted(plan, rows_before * m)
        cost._panels(0.1, cost.seen(g), far_rows, (first, 2), plan=out)
    for near, far in zip(*results, strict=True):
        assert np.array_equal(emulation.to_host(near), emulation.to_host(far))
    assert np.array_equal(emulation.to_host(results[0][0])[0], sweep(emulation, p, 0.1)[0])


def refused(error, message, kernel, *args, **options):
    with pytest.raises(error, match=message):
        kernel(*args, **options)


def test_bad_input_is_refused(emulated):
    p = problem(5, 4)
    C, log_a, log_b, g = map(emulated.to_device, p)
    f = emulated.zeros(5, np.float64)
    rest = log_a, f, g
    refused(TypeError, "C is on the host", sinkhorn_sweep, p.C, 0.1, *rest)
    refused(TypeError, "log_a is on the host", sinkhorn_sweep, C, 0.1, p.log_a, f, g)
    refused(TypeError, "f is on the host", sinkhorn_sweep, C, 0.1, log_a, np.zeros(5), g)
    refused(TypeError, "g is on the host", sinkhorn_sweep, C, 0.1, log_a, f, list(p.g))
    refused(TypeError, "C must be float32 or float64", sinkhorn_sweep, C > 0, 0.1, *rest)
    refused(ValueError, "epsilon must be positive", sinkhorn_sweep, C, 0.0, *rest)
    refused(ValueError, "log_a must have shape", sinkhorn_sweep, C, 0.1, log_a[:3], f, g)
    refused(ValueError, "f must be an array of shape", sinkhorn_sweep, C, 0.1, log_a, f[:3], g)
    nan = emulated.to_device(np.full(5, np.nan))
    refused(ValueError, "log_a must be finite", sinkhorn_sweep, C, 0.1, nan, f, g)
    refused(ValueError, "f must be finite", sinkhorn_sweep, C, 0.1, log_a, nan, g, update_f=False)
    none = emulated.to_device(np.full(4, -np.inf))
    refused(ValueError, "g must have weight somewhere", sinkhorn_sweep, C, 0.1, log_a, f, none)
    refused(ValueError, "backend must be None", sinkhorn_sweep, C, 0.1, *rest, backend="numba")
    refused(ValueError, "n_threads", sinkhorn_sweep, C, 0.1, *rest, n_threads=0)
    refused(ValueError, "tau_a must be from 0", sinkhorn_sweep, C, 0.1, *rest, tau_a=1.5)
    bad = emulated.to_device(np.where(np.arange(4) == 0, np.nan, p.g))
    arguments = C, 0.1, log_a, log_b, f
    refused(ValueError, "g must be finite where", sinkhorn_iterate, *arguments, bad)
    refused(ValueError, "log_b must have weight", sinkhorn_iterate, C, 0.1, log_a, none, f, g)
    refused(ValueError, "n_iters must be from 1", sinkhorn_iterate, *arguments, g, n_iters=0)
    minus = emulated.to_device(-np.ones(5))
    refused(ValueError, "row_weight must be", sinkhorn_plan, C, 0.1, f, g, row_weight=minus)
    refused(ValueError, "out must have shape", sinkhorn_plan, C, 0.1, f, g, out=C[:3])
    refused(TypeError, "out is on the host", sinkhorn_plan, C, 0.1, f, g, out=np.empty((5, 4)))
    assert np.array_equal(emulated.to_host(f), np.zeros(5))
