"""sinkhorn_sweep and sinkhorn_sweep_points: every backend against the reference."""

import tracemalloc

import numpy as np
import pytest

from clusterlib.kernels import (
    pairwise_distances,
    sinkhorn_plan,
    sinkhorn_sweep,
    sinkhorn_sweep_points,
)
from clusterlib.kernels.leaves import SWEEP_ROWS
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, METRICS
from tests.kernels.bounds import distance_bound
from tests.kernels.transport_cases import SHAPES, TAUS, Bound, logs, problem, weights


def sweep(p, epsilon, f=None, **options):
    """Row potentials and column sums."""
    f = np.zeros(len(p.C)) if f is None else np.array(f)
    sums = sinkhorn_sweep(p.C, epsilon, p.log_a, f, p.g, **options)
    assert sums.shape == p.g.shape and sums.dtype == np.float64
    return f, sums


def assert_close(p, epsilon, result, expected, **options):
    bound = Bound(p.C, p.g, epsilon, **options)
    bound.assert_potentials(result[0], expected[0])
    bound.assert_sums(result[1], expected[1], expected[1].sum())


def test_the_reference_is_the_formula():
    p = problem(33, 17)
    epsilon = 0.3
    with np.errstate(divide="ignore"):
        f = epsilon * (p.log_a - np.log(np.exp((p.g - p.C) / epsilon).sum(axis=1)))
    sums = np.exp((f[:, None] + p.g - p.C) / epsilon).sum(axis=0)
    result = sweep(p, epsilon, backend="reference")
    # Sums of 33 terms of exponents up to 5.
    here = f > -np.inf
    assert np.allclose(result[0][here], f[here], rtol=0, atol=64 * 2.0**-53)
    assert np.array_equal(result[0] > -np.inf, here)
    assert np.allclose(result[1], sums, rtol=64 * 2.0**-53, atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes(fast_backend, dtype):
    for n, m in SHAPES:
        p = problem(n, m, dtype)
        result = sweep(p, 0.1, backend=fast_backend)
        assert_close(p, 0.1, result, sweep(p, 0.1, backend="reference"))


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_rows_and_columns(fast_backend, dtype):
    for n, m in [(37, 9001), (3001, 11)]:
        p = problem(n, m, dtype)
        result = sweep(p, 0.1, backend=fast_backend)
        assert_close(p, 0.1, result, sweep(p, 0.1, backend="reference"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("f_max", [np.inf, -0.35])
@pytest.mark.parametrize("tau", TAUS)
def test_damped_and_capped_rows(fast_backend, tau, f_max, dtype):
    p = problem(65, 33, dtype)
    options = {"tau_a": tau, "f_max": f_max}
    expected = sweep(p, 0.1, backend="reference", **options)
    assert_close(p, 0.1, sweep(p, 0.1, backend=fast_backend, **options), expected)
    assert expected[0].max() <= f_max
    if tau == 0:
        assert np.array_equal(expected[0], np.where(p.log_a > -np.inf, min(0.0, f_max), -np.inf))


@pytest.mark.parametrize("dtype", DTYPES)
def test_weights_below_the_range_of_numbers_are_no_zeros(fast_backend, dtype):
    # exp(-4600) is 0 in float64, but a damped potential of 1e-3 times its logarithm is not.
    p = problem(65, 33, dtype)
    p = p._replace(log_a=np.where(np.arange(65) % 2, -4600.0, p.log_a))
    for tau in (1e-3, 1.0):
        expected = sweep(p, 0.1, tau_a=tau, backend="reference")
        assert np.isfinite(expected[0][1::2]).all()
        result = sweep(p, 0.1, tau_a=tau, backend=fast_backend)
        here = expected[0] > -np.inf
        assert np.array_equal(result[0] > -np.inf, here)
        # f is a multiple of the logarithm, and rounded like it.
        allowed = Bound(p.C, p.g, 0.1).potential + 2.0**-50 * 460
        assert np.all(np.abs(result[0][here] - expected[0][here]) <= allowed)
        Bound(p.C, p.g, 0.1, cost_error=2.0**-50 * 460).assert_sums(
            result[1], expected[1], expected[1].sum()
        )


@pytest.mark.parametrize("dtype", DTYPES)
def test_potentials_that_are_given(fast_backend, dtype):
    p = problem(257, 65, dtype)
    f = np.where(p.log_a > -np.inf, np.random.default_rng(1).normal(size=257), -np.inf)
    result = sweep(p, 0.2, f, update_f=False, backend=fast_backend)
    expected = sweep(p, 0.2, f, update_f=False, backend="reference")
    assert np.array_equal(result[0], f)
    assert_close(p, 0.2, result, expected)


def test_precise_arithmetic(fast_backend):
    p = problem(65, 129, np.float32)
    for epsilon in (0.1, 1e-3):
        result = sweep(p, epsilon, precise=True, backend=fast_backend)
        expected = sweep(p, epsilon, backend="reference")
        assert_close(p, epsilon, result, expected, precise=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_any_epsilon(fast_backend, epsilon, dtype):
    p = problem(70, 40, dtype)
    for tau in TAUS:
        result = sweep(p, epsilon, tau_a=tau, backend=fast_backend)
        assert not np.isnan(result[0]).any() and not np.isnan(result[1]).any()
        if tau == 1.0:
            expected = sweep(p, epsilon, backend="reference")
            Bound(p.C, p.g, epsilon).assert_potentials(result[0], expected[0])
            # Rows are exact whatever epsilon: their sums are the weights, so is the total.
            assert abs(result[1].sum() - 1.0) <= 512 * np.finfo(dtype).eps


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("scale", [1e-30, 1e-3, 1e8])
def test_any_scale_of_the_cost(fast_backend, scale, dtype):
    p = problem(65, 33, dtype)
    p = p._replace(C=p.C * dtype(scale), g=p.g * scale)
    epsilon = 0.05 * scale
    result = sweep(p, epsilon, backend=fast_backend)
    assert_close(p, epsilon, result, sweep(p, epsilon, backend="reference"))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("hint", [np.nan, np.inf, -np.inf, 1e300, -1e300, 50.0, -50.0, 1.0])
def test_any_hint_will_do(fast_backend, hint, dtype):
    p = problem(65, 33, dtype)
    expected = sweep(p, 0.1, backend="reference")
    mixed = np.where(np.arange(65) % 3 == 0, hint, expected[0])
    for f in (np.full(65, hint), mixed):
        assert_close(p, 0.1, sweep(p, 0.1, f, backend=fast_backend), expected, hinted=True)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_in_g_moves_f_alone(fast_backend, dtype):
    p = problem(65, 33, dtype)
    expected = sweep(p, 0.1, backend="reference")
    shifted = p._replace(g=p.g + 300.0)
    f, sums = sweep(shifted, 0.1, backend=fast_backend)
    bound = Bound(p.C, shifted.g, 0.1)
    bound.assert_potentials(f + 300.0, expected[0])
    bound.assert_sums(sums, expected[1], 1.0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_several_right_hand_sides_are_one_after_the_other(backend, dtype):
    p = problem(300, 65, dtype)
    rng = np.random.default_rng(3)
    log_a, g = logs(weights(rng, 300) * np.ones((3, 1))), rng.normal(size=(3, 65))
    log_a[1] = logs(weights(rng, 300))
    g[2, 5] = -np.inf
    f = np.zeros((3, 300))
    sums = sinkhorn_sweep(p.C, 0.1, log_a, f, g, backend=backend)
    assert sums.shape == (3, 65)
    for r in range(3):
        one = sweep(p._replace(log_a=log_a[r], g=g[r]), 0.1, backend=backend)
        assert np.array_equal(f[r], one[0]) and np.array_equal(sums[r], one[1])
    shared = np.zeros((3, 300))
    sinkhorn_sweep(p.C, 0.1, log_a[0], shared, g, backend=backend)
    assert np.array_equal(shared[[0, 2]], f[[0, 2]])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    p = problem(SWEEP_ROWS + 41, 37, dtype)
    expected = sweep(p, 0.1, backend=backend)
    arranged = p._replace(C=(LAYOUTS | COPIED_LAYOUTS)[layout](p.C, tmp_path))
    result = sweep(arranged, 0.1, backend=backend)
    assert np.array_equal(result[0], expected[0]) and np.array_equal(result[1], expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_give_the_same_bits(fast_backend, dtype):
    p = problem(11 * SWEEP_ROWS + 5, 33, dtype)
    expected = sweep(p, 0.1, n_threads=1, backend=fast_backend)
    for n_threads in (2, 3, 5):
        result = sweep(p, 0.1, n_threads=n_threads, backend=fast_backend)
        assert np.array_equal(result[0], expected[0]) and np.array_equal(result[1], expected[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_aligned_blocks_merge_to_the_same_bits(backend, dtype):
    p = problem(5 * SWEEP_ROWS + 17, 9, dtype)
    whole = sweep(p, 0.1, backend=backend)
    cut = 4 * SWEEP_ROWS
    parts = [
        sweep(p._replace(C=p.C[rows], log_a=p.log_a[rows]), 0.1, backend=backend)
        for rows in (slice(None, cut), slice(cut, None))
    ]
    assert np.array_equal(np.concatenate([part[0] for part in parts]), whole[0])
    assert np.array_equal(parts[0][1] + parts[1][1], whole[1])


def clouds(n, m, d, dtype):
    rng = np.random.default_rng([n, m, d])
    return rng.normal(size=(n, d)).astype(dtype), rng.normal(size=(m, d)).astype(dtype)


def distance_error(X, Y, metric):
    """Largest error of a distance in the dtype of the points."""
    unit = np.finfo(X.dtype).eps / 2
    error = distance_bound(X, Y, metric, unit)
    if metric == "euclidean":  # |D - E| (D + E) is bounded, so |D - E| by its root as well
        error = np.sqrt(error) + 4 * unit * np.linalg.norm(X[:, None] - Y, axis=2)
    return error.max(initial=0.0)


def sweep_points(X, Y, p, metric, **options):
    f = np.zeros(len(X))
    return f, sinkhorn_sweep_points(X, Y, 0.5, p.log_a, f, p.g, metric=metric, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_points(fast_backend, metric, dtype):
    for n, m in SHAPES[::2]:
        X, Y = clouds(n, m, 1 + (n + m) % 9, dtype)
        p = problem(n, m, dtype)
        expected = sweep_points(X, Y, p, metric, backend="reference")
        C = np.zeros((n, m))
        if n:
            C = pairwise_distances(X, Y, metric=metric, backend="reference").astype(dtype)
            dense = sweep(p._replace(C=C.astype(np.float64)), 0.5, backend="reference")
            assert np.allclose(expected[1], dense[1], rtol=1e-4, atol=1e-30)
        bound = Bound(C.astype(dtype), p.g, 0.5, cost_error=distance_error(X, Y, metric))
        result = sweep_points(X, Y, p, metric, backend=fast_backend)
        bound.assert_potentials(result[0], expected[0])
        bound.assert_sums(result[1], expected[1], expected[1].sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_far_from_the_origin_digits_are_kept(fast_backend, metric, dtype):
    # Multiples of 1/64 up to 1000 + 4 are exact in float32; so are their differences.
    X, Y = (np.round(64 * A) / 64 + 1000 for A in clouds(65, 33, 3, dtype))
    p = problem(65, 33)
    expected = sweep_points(X, Y, p, metric, backend="reference")
    near = sweep_points(X - 1000, Y - 1000, p, metric, backend="reference")
    assert np.allclose(expected[1], near[1], rtol=1e-12, atol=0)
    C = pairwise_distances(X, Y, metric=metric, backend="reference")
    bound = Bound(C, p.g, 0.5, cost_error=distance_error(X, Y, metric))
    result = sweep_points(X, Y, p, metric, backend=fast_backend)
    bound.assert_potentials(result[0], expected[0])
    bound.assert_sums(result[1], expected[1], 1.0)


@pytest.mark.parametrize("metric", METRICS)
def test_options_of_points(fast_backend, metric):
    X, Y = clouds(65, 33, 5, np.float64)
    p = problem(65, 33)
    f = np.where(p.log_a > -np.inf, 0.3, -np.inf)
    for options in ({"tau_a": 0.5}, {"f_max": -0.5}, {"tau_a": 0.0}, {"update_f": False}):
        results = []
        for name in ("reference", fast_backend):
            potential = f.copy()
            sums = sinkhorn_sweep_points(
                X, Y, 0.5, p.log_a, potential, p.g, metric=metric, backend=name, **options
            )
            results.append((potential, sums))
        C = pairwise_distances(X, Y, metric=metric, backend="reference")
        bound = Bound(C, p.g, 0.5, cost_error=distance_error(X, Y, metric))
        bound.assert_potentials(results[1][0], results[0][0])
        bound.assert_sums(results[1][1], results[0][1], results[0][1].sum())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_points_threads_layouts_and_blocks_give_the_same_bits(
    fast_backend, metric, dtype, tmp_path
):
    n = 2 * SWEEP_ROWS + 70
    X, Y = clouds(n, 37, 5, dtype)
    p = problem(n, 37, dtype)
    f, sums = sweep_points(X, Y, p, metric, n_threads=1, backend=fast_backend)
    for arrange in LAYOUTS.values():
        again = sweep_points(
            arrange(X, tmp_path), arrange(Y, tmp_path), p, metric, n_threads=3,
            backend=fast_backend,
        )  # fmt: skip
        assert np.array_equal(again[0], f) and np.array_equal(again[1], sums)
    cut = 2 * SWEEP_ROWS
    parts = [
        sweep_points(X[rows], Y, p._replace(log_a=p.log_a[rows]), metric, backend=fast_backend)
        for rows in (slice(None, cut), slice(cut, None))
    ]
    assert np.array_equal(np.concatenate([part[0] for part in parts]), f)
    assert np.array_equal(parts[0][1] + parts[1][1], sums)


@pytest.mark.parametrize("value", [np.nan, np.inf])
@pytest.mark.parametrize("argument", ["X", "Y"])
def test_points_that_are_not_finite_are_refused(backend, argument, value):
    for dtype in DTYPES:
        points = dict(zip("XY", clouds(300, 20, 3, dtype), strict=True))
        points[argument][-1, 1] = value
        with pytest.raises(ValueError, match=f"{argument} contains NaN or infinity"):
            sweep_points(points["X"], points["Y"], problem(300, 20), "sqeuclidean", backend=backend)


@pytest.mark.parametrize("layout", ["strided", "fortran", "memory_mapped"])
def test_neither_a_copy_nor_a_stored_cost_is_made(backend, layout, tmp_path):
    n, m = 3000, 500
    p = problem(n, m, np.float32)._replace(C=LAYOUTS[layout](np.ones((n, m), np.float32), tmp_path))
    X, Y = clouds(n, m, 2, np.float32)
    f = np.zeros(n)

    def run(rows):
        potential = f[: rows.stop].copy()
        options = {"n_threads": 1, "backend": backend}
        sinkhorn_sweep(p.C[rows], 0.5, p.log_a[rows], potential, p.g, **options)
        sinkhorn_sweep_points(X[rows], Y, 0.5, p.log_a[rows], potential, p.g, **options)

    run(slice(0, 300))  # compiles, loads
    tracemalloc.start()
    try:
        run(slice(0, n))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # A leaf in float64 is 1 MB, and the reference holds a few of them; the cost has 6 MB.
    assert peak < 0.95 * n * m * 4 if backend == "reference" else peak < 0.7 * n * m * 4


def test_a_metric_of_the_users_own():
    numba = pytest.importorskip("numba")

    @numba.njit
    def chebyshev(x, y):
        return np.abs(x - y).max()

    X, Y = clouds(40, 20, 3, np.float64)
    p = problem(40, 20)
    f, sums = sweep_points(X, Y, p, chebyshev)
    C = np.abs(X[:, None] - Y).max(axis=2)
    expected = sweep(p._replace(C=C), 0.5, backend="reference")
    assert_close(p._replace(C=C), 0.5, (f, sums), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("precise", [False, True])
def test_scores_are_minus_the_cost(backend, dtype, precise):
    p = problem(70, 33, dtype)
    potentials, sums = [], []
    for C, scores in ((p.C, False), (-p.C, True)):
        f = np.zeros(70)
        options = {"precise": precise, "scores": scores, "backend": backend}
        sums.append(sinkhorn_sweep(C, 0.1, p.log_a, f, p.g, **options))
        plan = sinkhorn_plan(C, 0.1, f, p.g, **options)
        potentials.append((f, plan.plan, plan.row_sums))
    assert np.array_equal(*sums)
    for of_costs, of_scores in zip(*potentials, strict=True):
        assert np.array_equal(of_costs, of_scores)
