"""sinkhorn_plan and sinkhorn_batch: every backend against the reference."""

import numpy as np
import pytest

from clusterlib.kernels import sinkhorn_batch, sinkhorn_iterate, sinkhorn_plan, sinkhorn_sweep
from clusterlib.kernels.leaves import SWEEP_ROWS
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS
from tests.kernels.transport_cases import (
    SHAPES,
    SUM_ERROR,
    Bound,
    logs,
    problem,
    unit_roundoff,
    weights,
)


def plan(p, epsilon, f=None, **options):
    f = np.zeros(len(p.C)) if f is None else np.array(f)
    return f, sinkhorn_plan(p.C, epsilon, f, p.g, **options)


def assert_plans_agree(p, epsilon, result, expected, **options):
    bound = Bound(p.C, p.g, epsilon, **options)
    assert result.plan.dtype == p.C.dtype and result.plan.shape == p.C.shape
    # An entry is rounded to the dtype of the cost, and lost below its normal range.
    u = unit_roundoff(p.C.dtype)
    lost = bound.lost + np.finfo(p.C.dtype).tiny
    difference = np.abs(result.plan.astype(np.float64) - expected.plan)
    assert np.all(difference <= (bound.relative + 2 * u) * expected.plan + lost)
    bound.assert_sums(result.row_sums, expected.row_sums, 1.0)
    bound.assert_sums(result.column_sums, expected.column_sums, 1.0)
    if expected.column_squares is None:
        assert result.column_squares is None
    else:
        error = np.abs(result.column_squares - expected.column_squares)
        square = 2 * bound.relative + bound.relative**2 + 2 * SUM_ERROR * u
        assert np.all(error <= square * expected.column_squares + lost)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("update", [True, False])
def test_all_sizes(fast_backend, update, dtype):
    for n, m in SHAPES:
        p = problem(n, m, dtype)
        f = np.where(p.log_a > -np.inf, -0.4, -np.inf)
        weight = np.random.default_rng(n).uniform(0, 2, n) if m % 2 else None
        options = {"log_a": p.log_a if update else None, "row_weight": weight}
        expected = plan(p, 0.1, f, backend="reference", **options)
        result = plan(p, 0.1, f, backend=fast_backend, **options)
        Bound(p.C, p.g, 0.1).assert_potentials(result[0], expected[0])
        assert_plans_agree(p, 0.1, result[1], expected[1])


def test_the_reference_is_the_formula():
    p = problem(20, 11)
    f = np.where(p.log_a > -np.inf, -0.3, -np.inf)
    weight = np.arange(20.0)
    P = np.exp((f[:, None] + p.g - p.C) / 0.2)
    result = plan(p, 0.2, f, row_weight=weight, backend="reference")[1]
    assert np.allclose(result.plan, P, rtol=1e-13, atol=0)
    assert np.allclose(result.row_sums, P.sum(axis=1), rtol=1e-13, atol=0)
    assert np.allclose(result.column_sums, P.sum(axis=0), rtol=1e-13, atol=0)
    assert np.allclose(result.column_squares, weight @ P**2, rtol=1e-13, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-4, 1e-2, 1.0, 10.0])
def test_rows_are_exact_whatever_epsilon(backend, epsilon, dtype):
    p = problem(300, 70, dtype)
    f, result = plan(p, epsilon, log_a=p.log_a, backend=backend)
    a = np.exp(p.log_a)
    # Sums of a row and of its entries by different orders, each entry rounded to the dtype.
    u = SUM_ERROR * unit_roundoff(dtype)
    assert np.all(np.abs(result.row_sums - a) <= u * a)
    assert np.all(np.abs(result.plan.sum(axis=1, dtype=np.float64) - a) <= 2 * u * a)
    assert np.isfinite(f[a > 0]).all()


@pytest.mark.parametrize("dtype", DTYPES)
def test_sums_are_those_of_a_sweep(backend, dtype):
    p = problem(300, 70, dtype)
    f = np.zeros(300)
    sums = sinkhorn_sweep(p.C, 0.1, p.log_a, f, p.g, backend=backend)
    again, result = plan(p, 0.1, log_a=p.log_a, backend=backend)
    assert np.array_equal(again, f) and np.array_equal(result.column_sums, sums)
    weighted = plan(p, 0.1, log_a=p.log_a, row_weight=np.ones(300), backend=backend)[1]
    assert np.array_equal(weighted.column_sums, sums)
    assert np.array_equal(weighted.plan, result.plan)


def test_precise_arithmetic(fast_backend):
    p = problem(65, 129, np.float32)
    expected = plan(p, 0.01, log_a=p.log_a, backend="reference")[1]
    result = plan(p, 0.01, log_a=p.log_a, precise=True, backend=fast_backend)[1]
    assert_plans_agree(p, 0.01, result, expected, precise=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    p = problem(SWEEP_ROWS + 300, 37, dtype)
    weight = np.arange(len(p.C)) / 7
    expected = plan(p, 0.1, log_a=p.log_a, row_weight=weight, n_threads=1, backend=backend)[1]
    arranged = p._replace(C=(LAYOUTS | COPIED_LAYOUTS)[layout](p.C, tmp_path))
    result = plan(arranged, 0.1, log_a=p.log_a, row_weight=weight, n_threads=3, backend=backend)[1]
    assert all(np.array_equal(r, e) for r, e in zip(result, expected, strict=True))


def test_the_plan_is_written_where_it_is_wanted(backend):
    p = problem(33, 17, np.float32)
    out = np.full((33, 17), np.nan, np.float32)
    result = plan(p, 0.1, log_a=p.log_a, out=out, backend=backend)[1]
    assert result.plan is out
    assert np.array_equal(out, plan(p, 0.1, log_a=p.log_a, backend=backend)[1].plan)


def problems(count, p, q, dtype=np.float64, seed=0):
    """Costs, weights and starts of many problems."""
    rng = np.random.default_rng([count, p, q, seed])
    C = rng.uniform(size=(count, p, q)).astype(dtype)
    log_a, log_b = logs(weights(rng, (count, p))), logs(weights(rng, (count, q)))
    g = rng.normal(0, 0.1, (count, q))
    return C, rng.uniform(0.05, 0.5, count), log_a, log_b, np.where(log_b > -np.inf, g, -np.inf)


def batch(C, epsilon, log_a, log_b, g, **options):
    f, g = np.zeros(log_a.shape), g.copy()
    n_iter, error = sinkhorn_batch(C, epsilon, log_a, log_b, f, g, **options)
    assert n_iter.dtype == np.int32 and error.dtype == np.float64
    return f, g, n_iter, error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taus", [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.6, 0.8), (1.0, 0.0)])
def test_batches_are_iterations(fast_backend, taus, dtype):
    for count, rows, columns in [(1, 1, 1), (3, 5, 75), (40, 5, 9), (17, 33, 2), (2, 300, 20)]:
        case = problems(count, rows, columns, dtype)
        options = {"tau_a": taus[0], "tau_b": taus[1]}
        f, g, n_iter, error = batch(*case, max_iter=5, backend=fast_backend, **options)
        assert np.array_equal(n_iter, [5] * count)
        for b in range(count):
            C, epsilon, log_a, log_b, start = (x[b] for x in case)
            one_f, one_g = np.zeros(rows), start.copy()
            history = sinkhorn_iterate(
                C, epsilon, log_a, log_b, one_f, one_g, n_iters=5, backend="reference", **options
            )
            bound = Bound(C, np.where(np.abs(one_g) > np.abs(start), one_g, start), epsilon)
            factor = 5 * 5 * 2.0**5  # iterations, steps of each, and growth by translations
            bound.assert_potentials(f[b], one_f, factor)
            bound.assert_potentials(g[b], one_g, factor)
            moved = np.expm1(4 * factor * bound.potential / epsilon)
            assert abs(error[b] - history[-1, 0]) <= moved * (1 + history[0, 0])


@pytest.mark.parametrize("dtype", DTYPES)
def test_batches_stop_by_problem(backend, dtype):
    C, epsilon, log_a, log_b, g = case = problems(30, 5, 20, dtype)
    f, g, n_iter, error = batch(*case, max_iter=200, tol=1e-4, backend=backend)
    assert n_iter.min() < n_iter.max() < 200
    assert error.max() <= 1e-4
    for b in range(30):
        P = sinkhorn_plan(C[b].astype(float), epsilon[b], f[b], g[b], backend="reference")
        there = np.abs(P.column_sums - np.exp(log_b[b])).sum()
        # The error belongs to the potentials that come with it.
        bound = Bound(C[b], g[b], epsilon[b])
        assert abs(there - error[b]) <= 4 * bound.relative + 2 * np.finfo(dtype).eps
        assert np.allclose(P.row_sums, np.exp(log_a[b]), rtol=4 * bound.relative, atol=1e-30)
    short = batch(*case, max_iter=3, tol=1e-4, backend=backend)
    assert np.array_equal(short[2], np.minimum(n_iter, 3))
    assert np.array_equal(short[3] <= 1e-4, n_iter <= 3)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("rows", [5, 33])
def test_neighbours_do_not_matter(backend, rows, dtype):
    case = problems(37, rows, 19, dtype)
    whole = batch(*case, max_iter=50, tol=1e-3, n_threads=1, backend=backend)
    order = np.random.default_rng(0).permutation(37)
    mixed = batch(*(x[order] for x in case), max_iter=50, tol=1e-3, n_threads=3, backend=backend)
    for got, wanted in zip(mixed, whole, strict=True):
        assert np.array_equal(got, wanted[order])
    for b in (0, 17, 36):
        alone = batch(*(x[b : b + 1] for x in case), max_iter=50, tol=1e-3, backend=backend)
        for got, wanted in zip(alone, whole, strict=True):
            assert np.array_equal(got[0], wanted[b])


def test_repeated_arguments_of_a_batch(backend):
    C, epsilon, log_a, log_b, g = problems(4, 6, 7)
    one = logs(np.full(6, 1 / 6)), logs(np.full(7, 1 / 7))
    result = batch(C, 0.1, log_a, log_b, g, max_iter=3, backend=backend)
    same = batch(C, np.full(4, 0.1), log_a, log_b, g, max_iter=3, backend=backend)
    assert all(np.array_equal(r, s) for r, s in zip(result, same, strict=True))
    f, g = np.zeros((4, 6)), np.zeros((4, 7))
    sinkhorn_batch(C, 0.1, *one, f, g, max_iter=3, backend=backend)
    again = np.zeros((4, 6)), np.zeros((4, 7))
    wide = (np.tile(w, (4, 1)) for w in one)
    sinkhorn_batch(C, 0.1, *wide, *again, max_iter=3, backend=backend)
    assert np.array_equal(f, again[0]) and np.array_equal(g, again[1])
    transposed = np.ascontiguousarray(C.transpose(2, 1, 0)).transpose(2, 1, 0)
    result = batch(transposed, epsilon, log_a, log_b, g * 0, max_iter=3, backend=backend)
    same = batch(C, epsilon, log_a, log_b, g * 0, max_iter=3, backend=backend)
    assert all(np.array_equal(r, s) for r, s in zip(result, same, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-4, 1e-2, 1.0, 10.0])
def test_batches_of_any_epsilon_without_nan(fast_backend, epsilon, dtype):
    C, _, log_a, log_b, g = problems(20, 5, 30, dtype)
    for tau_a, tau_b in [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5)]:
        f, g_end, _, error = batch(
            C, epsilon, log_a, log_b, g, tau_a=tau_a, tau_b=tau_b, max_iter=6,
            backend=fast_backend,
        )  # fmt: skip
        assert not np.isnan(error).any()
        assert np.isfinite(f[log_a > -np.inf]).all()
        assert np.isfinite(g_end[log_b > -np.inf]).all()
    f, g_end, _, error = batch(C, epsilon, log_a, log_b, g, max_iter=6, backend=fast_backend)
    expected = batch(C, epsilon, log_a, log_b, g, max_iter=6, backend="reference")
    # Balanced potentials stay within the errors of six iterations, four roundings each.
    here = log_b > -np.inf
    bound = Bound(C.reshape(-1, 30), np.zeros(30), epsilon).potential
    assert np.all(np.abs(g_end[here] - expected[1][here]) <= 6 * 4 * 4 * bound)


@pytest.mark.parametrize(("dtype", "log_tiny"), [(np.float32, -88.0), (np.float64, -709.0)])
def test_weights_below_the_range_of_a_batch_are_zeros(backend, dtype, log_tiny):
    C, _, log_a, log_b, g = problems(9, 6, 20, dtype)
    log_a[::2, 3], log_b[::3, 5] = log_tiny, log_tiny
    result = batch(C, 0.1, log_a, log_b, g, max_iter=3, backend=backend)
    log_a[::2, 3], log_b[::3, 5] = -np.inf, -np.inf
    same = batch(C, 0.1, log_a, log_b, g, max_iter=3, backend=backend)
    assert all(np.array_equal(r, s) for r, s in zip(result, same, strict=True))
    assert np.all(result[0][::2, 3] == -np.inf) and np.all(result[1][::3, 5] == -np.inf)


def test_an_empty_batch(backend):
    *_, n_iter, error = batch(
        np.zeros((0, 3, 4)), 0.1, np.zeros((0, 3)), np.zeros((0, 4)), np.zeros((0, 4)),
        backend=backend,
    )  # fmt: skip
    assert n_iter.shape == error.shape == (0,)
