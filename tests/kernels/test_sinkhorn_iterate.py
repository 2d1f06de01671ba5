"""sinkhorn_iterate and sinkhorn_iterate_points: every backend against the reference."""

import numpy as np
import pytest

from clusterlib.kernels import (
    pairwise_distances,
    sinkhorn_iterate,
    sinkhorn_iterate_points,
    sinkhorn_plan,
    sinkhorn_sweep,
)
from clusterlib.kernels.leaves import SWEEP_ROWS
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, METRICS
from tests.kernels.test_sinkhorn_sweep import clouds, distance_error
from tests.kernels.transport_cases import (
    TAUS,
    Bound,
    largest_gap,
    logs,
    problem,
    unit_roundoff,
    weights,
)


def iterate(p, epsilon, **options):
    """Potentials and history."""
    f, g = np.zeros(p.C.shape[0]), p.g.copy()
    history = sinkhorn_iterate(p.C, epsilon, p.log_a, p.log_b, f, g, **options)
    assert history.dtype == np.float64 and history.shape[1:] == (2,)
    return f, g, history


def assert_close(p, epsilon, result, expected, growth=1.0, **options):
    """Potentials and history within what the errors of the sweeps may have become.

    An iteration does not let errors of potentials grow, times ``growth`` where it is relaxed or
    translated; each adds the errors of f and of the logarithm of a sum, and g may be rounded.
    """
    f, g, history = expected
    assert result[2].shape == history.shape
    wider = p.g if largest_gap(p.C, p.g) > largest_gap(p.C, g) else g
    bound = Bound(p.C, wider, epsilon, **options)
    u = unit_roundoff(p.C.dtype, options.get("precise", False))
    step = 3 * bound.potential + u * np.abs(wider[np.isfinite(wider)]).max()
    factor = step / bound.potential * len(history) * growth ** len(history)
    bound.assert_potentials(result[0], f, factor)
    bound.assert_potentials(result[1], g, factor)
    # The error is a sum of masses times |exp(x) - 1|, the dual a sum of masses times potentials.
    moved = np.expm1(4 * factor * bound.potential / epsilon)
    assert np.isfinite(history).all()
    mass = 1.0 + history[:, 0]
    assert np.all(np.abs(result[2][:, 0] - history[:, 0]) <= moved * mass)
    assert np.all(np.abs(result[2][:, 1] - history[:, 1]) <= moved * (mass + np.abs(history[:, 1])))


def log_sum_exp(exponents, axis):
    top = exponents.max(axis=axis, keepdims=True)
    return np.log(np.exp(exponents - top).sum(axis=axis)) + top.squeeze(axis)


def test_the_reference_is_the_textbook():
    p = problem(33, 17)
    epsilon, g = 0.05, p.g.copy()
    here = np.ix_(p.log_a > -np.inf, p.log_b > -np.inf)
    C, log_a, log_b = p.C[here], p.log_a[here[0][:, 0]], p.log_b[here[1][0]]
    g = p.g[here[1][0]]
    history = []
    for _ in range(7):
        f = epsilon * (log_a - log_sum_exp((g - C) / epsilon, 1))
        P = np.exp((f[:, None] + g - C) / epsilon)
        error = np.abs(P.sum(axis=0) - np.exp(log_b)).sum()
        dual = (np.exp(log_a) * f).sum() + (np.exp(log_b) * g).sum() - epsilon * P.sum()
        history.append((error, dual))
        g = epsilon * (log_b - log_sum_exp((f[:, None] - C) / epsilon, 0))
    result = iterate(p, epsilon, n_iters=7, backend="reference")
    # Exponents up to 40, whose errors an iteration does not let grow.
    assert np.allclose(result[0][here[0][:, 0]], f, rtol=0, atol=1e-13)
    assert np.allclose(result[1][here[1][0]], g, rtol=0, atol=1e-13)
    assert np.allclose(result[2], history, rtol=0, atol=1e-12)


@pytest.mark.parametrize("tau_a", TAUS)
@pytest.mark.parametrize("tau_b", TAUS)
def test_the_error_and_the_dual_are_what_they_say(backend, tau_a, tau_b):
    p = problem(40, 23)
    epsilon = 0.2
    f, g, history = iterate(
        p, epsilon, tau_a=tau_a, tau_b=tau_b, n_iters=300, tol=1e-9, backend=backend
    )
    assert len(history) < 300 and history[-1, 0] <= 1e-9
    with np.errstate(invalid="ignore"):
        P = np.exp((f[:, None] + g - p.C) / epsilon)
    a, b = np.exp(p.log_a), np.exp(p.log_b)

    def dual_term(w, x, tau):
        rho = epsilon * tau / (1 - tau) if tau < 1 else np.inf
        w, x = w[w > 0], x[w > 0]
        if tau == 0:
            return 0.0
        return (w * x).sum() if tau == 1 else rho * (w * (1 - np.exp(-x / rho))).sum()

    dual = dual_term(a, f, tau_a) + dual_term(b, g, tau_b) - epsilon * P.sum()
    assert abs(history[-1, 1] - dual) <= 1e-12 * (1 + P.sum())
    # What is stationary: the marginals, through the derivatives of the penalties.
    for sums, w, x, tau in ((P.sum(axis=1), a, f, tau_a), (P.sum(axis=0), b, g, tau_b)):
        here = w > 0
        if tau == 0:
            assert np.all(np.abs(x[here]) <= 1e-9)
            continue
        rho = epsilon * tau / (1 - tau) if tau < 1 else np.inf
        wanted = w * np.exp(-np.where(here, x, 0.0) / rho)
        assert np.all(np.abs(sums - wanted)[here] <= 1e-8)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("tau_a", TAUS)
@pytest.mark.parametrize("tau_b", TAUS)
def test_damping(fast_backend, tau_a, tau_b, dtype):
    p = problem(65, 33, dtype)
    options = {"tau_a": tau_a, "tau_b": tau_b, "n_iters": 4}
    expected = iterate(p, 0.3, backend="reference", **options)
    assert_close(p, 0.3, iterate(p, 0.3, backend=fast_backend, **options), expected, growth=2.0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relaxation", [0.5, 1.0, 1.5])
def test_relaxation(fast_backend, relaxation, dtype):
    p = problem(129, 257, dtype)
    options = {"relaxation": relaxation, "n_iters": 5}
    expected = iterate(p, 0.05, backend="reference", **options)
    assert_close(p, 0.05, iterate(p, 0.05, backend=fast_backend, **options), expected, growth=2.0)
    plain = iterate(p, 0.05, n_iters=1, backend="reference")
    relaxed = iterate(p, 0.05, n_iters=1, relaxation=relaxation, backend="reference")
    here = p.log_b > -np.inf
    step = relaxation * (plain[1][here] - p.g[here])
    assert np.allclose(relaxed[1][here] - p.g[here], step, rtol=0, atol=1e-14)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sizes(fast_backend, dtype):
    for n, m in [(1, 1), (1, 9), (7, 1), (2, 2), (16, 17), (31, 8), (257, 65), (600, 3)]:
        p = problem(n, m, dtype)
        expected = iterate(p, 0.1, n_iters=3, backend="reference")
        assert_close(p, 0.1, iterate(p, 0.1, n_iters=3, backend=fast_backend), expected)


def test_precise_arithmetic(fast_backend):
    p = problem(65, 129, np.float32)
    expected = iterate(p, 1e-2, n_iters=5, backend="reference")
    result = iterate(p, 1e-2, n_iters=5, precise=True, backend=fast_backend)
    assert_close(p, 1e-2, result, expected, precise=True)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-6, 1e-5, 1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0])
def test_any_epsilon_without_nan(fast_backend, epsilon, dtype):
    p = problem(70, 40, dtype)
    for tau_a, tau_b in [(1.0, 1.0), (0.5, 1.0), (1.0, 0.5), (0.5, 0.5), (0.0, 1.0), (1.0, 0.0)]:
        for start in (p.g, np.where(p.log_b > -np.inf, 0.0, -np.inf)):
            f, g, history = iterate(
                p._replace(g=start), epsilon, tau_a=tau_a, tau_b=tau_b, n_iters=5,
                backend=fast_backend,
            )  # fmt: skip
            assert not np.isnan(history).any()
            assert np.isfinite(f[p.log_a > -np.inf]).all()
            assert np.isfinite(g[p.log_b > -np.inf]).all()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [1e-2, 1e-3, 1e-4])
def test_columns_that_underflow_are_summed_exactly(fast_backend, epsilon, dtype):
    # No row has a reason to go to the last column under the first g: its sum is about
    # exp(-3 / epsilon), which float32 loses below 0.03 and float64 below 0.004.
    rng = np.random.default_rng(4)
    C = rng.uniform(size=(300, 20)).astype(dtype)
    C[:, -1] += 3
    p = problem(300, 20, dtype)._replace(C=C, log_a=logs(np.full(300, 1 / 300)))
    p = p._replace(g=np.zeros(20), log_b=logs(np.full(20, 1 / 20)))
    expected = iterate(p, epsilon, n_iters=1, backend="reference")
    f, g, history = iterate(p, epsilon, n_iters=1, backend=fast_backend)
    assert 1.5 < expected[1][-1] < 3.5
    assert_close(p, epsilon, (f, g, history), expected)
    # One step of a column makes it exact, whatever its sum was.
    P = np.exp((expected[0][:, None] + expected[1] - C.astype(np.float64)) / epsilon)
    assert np.allclose(P.sum(axis=0), 1 / 20, rtol=1e-6)


def test_tolerance_stops_before_the_step(backend):
    p = problem(50, 30)
    f, g, history = iterate(p, 0.1, n_iters=500, tol=1e-6, backend=backend)
    n_done = len(history)
    assert 1 < n_done < 500
    assert history[-1, 0] <= 1e-6 < history[-2, 0]
    P = sinkhorn_plan(p.C, 0.1, f, g, backend="reference")
    error = np.abs(P.column_sums - np.exp(p.log_b)).sum()
    assert abs(error - history[-1, 0]) <= 1e-11  # exponents up to 10, sums of 50 terms
    again = iterate(p, 0.1, n_iters=n_done, backend=backend)
    assert np.array_equal(again[0], f) and np.array_equal(again[2], history)
    assert not np.array_equal(again[1], g)  # without a tolerance the last step is taken
    assert len(iterate(p, 0.1, n_iters=9, tol=3.0, backend=backend)[2]) == 1
    one = problem(1, 1)  # exact from the start
    assert len(iterate(one, 0.1, n_iters=9, tol=0.0, backend=backend)[2]) == 9


@pytest.mark.parametrize("dtype", DTYPES)
def test_one_call_is_many_calls(backend, dtype):
    p = problem(70, 33, dtype)
    f, g, history = iterate(p, 0.1, n_iters=4, relaxation=1.3, backend=backend)
    again, lines = (np.zeros(70), p.g.copy()), []
    for _ in range(4):
        lines += list(
            sinkhorn_iterate(
                p.C, 0.1, p.log_a, p.log_b, *again, relaxation=1.3, backend=backend
            )
        )  # fmt: skip
    assert np.array_equal(again[0], f) and np.array_equal(again[1], g)
    assert np.array_equal(lines, history)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_history_is_that_of_a_sweep(backend, dtype):
    p = problem(300, 33, dtype)
    _, _, history = iterate(p, 0.1, n_iters=1, backend=backend)
    sums = sinkhorn_sweep(p.C, 0.1, p.log_a, np.zeros(300), p.g, backend=backend)
    # The same sums, added up in any order.
    assert abs(history[0, 0] - np.abs(sums - np.exp(p.log_b)).sum()) <= 1e-14


def test_the_dual_rises(backend):
    p = problem(60, 41)
    for tau_a, tau_b in [(1.0, 1.0), (0.7, 1.0), (1.0, 0.4), (0.6, 0.8)]:
        *_, history = iterate(
            p, 0.1, tau_a=tau_a, tau_b=tau_b, n_iters=30, backend=backend
        )  # fmt: skip
        assert np.all(np.diff(history[:, 1]) >= -1e-13)


def test_weights_of_zero_take_rows_and_columns_out(backend):
    p = problem(65, 33)
    f, g, history = iterate(p, 0.1, n_iters=6, backend=backend)
    rows, columns = p.log_a > -np.inf, p.log_b > -np.inf
    assert np.all(f[~rows] == -np.inf) and np.all(g[~columns] == -np.inf)
    few = p._replace(
        C=p.C[rows][:, columns], log_a=p.log_a[rows], log_b=p.log_b[columns], g=p.g[columns]
    )
    small = iterate(few, 0.1, n_iters=6, backend=backend)
    assert np.allclose(f[rows], small[0], rtol=0, atol=1e-13)
    assert np.allclose(g[columns], small[1], rtol=0, atol=1e-13)
    assert np.allclose(history, small[2], rtol=0, atol=1e-13)
    # What g holds where there is no weight does not matter.
    other = p._replace(g=np.where(columns, p.g, np.nan))
    assert np.array_equal(iterate(other, 0.1, n_iters=6, backend=backend)[1], g)


@pytest.mark.parametrize("taus", [(1.0, 1.0), (1e-3, 1.0), (1.0, 1e-3), (1e-3, 1e-3)])
def test_weights_below_the_range_of_numbers_are_no_zeros(fast_backend, taus):
    p = problem(65, 33)
    p = p._replace(
        log_a=np.where(np.arange(65) % 2, -4600.0, p.log_a),
        log_b=np.where(np.arange(33) % 3 == 1, -4600.0, p.log_b),
        g=np.zeros(33),
    )
    options = {"tau_a": taus[0], "tau_b": taus[1], "n_iters": 3}
    expected = iterate(p, 0.1, backend="reference", **options)
    result = iterate(p, 0.1, backend=fast_backend, **options)
    for got, wanted in zip(result[:2], expected[:2], strict=True):
        here = wanted > -np.inf
        assert np.array_equal(got > -np.inf, here) and np.isfinite(wanted[1::6]).all()
        # Potentials reach -460, and take up roundings of this size.
        assert np.all(np.abs(got[here] - wanted[here]) <= 1e-11)
    assert np.allclose(result[2], expected[2], rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("mass", [1e-35, 1e-10, 1e6, 1e36])
def test_weights_of_any_mass(fast_backend, mass, dtype):
    p = problem(300, 33, dtype)
    for epsilon in (0.1, 1e-3):
        plain = iterate(p, epsilon, n_iters=3, backend="reference")
        scaled = p._replace(log_a=p.log_a + np.log(mass), log_b=p.log_b + np.log(mass))
        f, g, history = iterate(scaled, epsilon, n_iters=3, backend=fast_backend)
        # f takes up the mass, whose logarithm is below 83.
        f -= epsilon * np.log(mass)
        dual = history[:, 1] / mass - epsilon * np.log(mass)
        result = f, g, np.stack([history[:, 0] / mass, dual], axis=1)
        assert_close(p, epsilon, result, plain)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("taus", [(1.0, 1.0), (0.5, 0.5)])
def test_several_right_hand_sides(backend, taus, dtype):
    p = problem(300, 40, dtype)
    rng = np.random.default_rng(5)
    log_b = logs(weights(rng, 40) * np.ones((3, 1)))
    log_b[1] = logs(np.full(40, 1 / 40))
    f, g = np.zeros((3, 300)), np.zeros((3, 40))
    options = {"tau_a": taus[0], "tau_b": taus[1], "n_iters": 5, "backend": backend}
    history = sinkhorn_iterate(p.C, 0.1, p.log_a, log_b, f, g, **options)
    assert history.shape == (3, 5, 2)
    for r in range(3):
        one = iterate(p._replace(log_b=log_b[r], g=np.zeros(40)), 0.1, **options)
        assert np.array_equal(f[r], one[0]) and np.array_equal(g[r], one[1])
        assert np.array_equal(history[r], one[2])


def test_right_hand_sides_stop_together(backend):
    p = problem(50, 30)
    log_b = np.stack([p.log_b, logs(np.full(30, 1 / 30))])
    f, g = np.zeros((2, 50)), np.stack([p.g, np.zeros(30)])
    history = sinkhorn_iterate(
        p.C, 0.1, p.log_a, log_b, f, g, n_iters=500, tol=1e-6, backend=backend
    )
    assert (history[:, -1, 0] <= 1e-6).all() and not (history[:, -2, 0] <= 1e-6).all()
    assert history.shape[1] < 500


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    p = problem(SWEEP_ROWS + 41, 37, dtype)
    expected = iterate(p, 0.02, n_iters=3, backend=backend)
    arranged = p._replace(C=(LAYOUTS | COPIED_LAYOUTS)[layout](p.C, tmp_path))
    result = iterate(arranged, 0.02, n_iters=3, backend=backend)
    assert all(np.array_equal(r, e) for r, e in zip(result, expected, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("epsilon", [0.1, 1e-4])
def test_threads_give_the_same_bits(fast_backend, epsilon, dtype):
    p = problem(5 * SWEEP_ROWS + 5, 70, dtype)
    expected = iterate(p, epsilon, n_iters=3, n_threads=1, backend=fast_backend)
    for n_threads in (2, 3, 5):
        result = iterate(p, epsilon, n_iters=3, n_threads=n_threads, backend=fast_backend)
        assert all(np.array_equal(r, e) for r, e in zip(result, expected, strict=True))


def iterate_points(X, Y, p, metric, epsilon=0.5, **options):
    f, g = np.zeros(len(X)), p.g.copy()
    history = sinkhorn_iterate_points(
        X, Y, epsilon, p.log_a, p.log_b, f, g, metric=metric, **options
    )
    return f, g, history


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", METRICS)
def test_points(fast_backend, metric, dtype):
    for n, m, d in [(1, 2, 1), (9, 17, 3), (65, 33, 8), (300, 65, 5)]:
        X, Y = clouds(n, m, d, dtype)
        p = problem(n, m, dtype)
        C = pairwise_distances(X, Y, metric=metric, backend="reference")
        for taus in ((1.0, 1.0), (0.5, 1.0), (0.5, 0.5)):
            options = {"tau_a": taus[0], "tau_b": taus[1], "n_iters": 3}
            expected = iterate_points(X, Y, p, metric, backend="reference", **options)
            result = iterate_points(X, Y, p, metric, backend=fast_backend, **options)
            assert_close(
                p._replace(C=C.astype(dtype)), 0.5, result, expected, growth=2.0,
                cost_error=distance_error(X, Y, metric),
            )  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("metric", ["sqeuclidean", "euclidean"])
def test_far_points_underflow_and_are_summed_exactly(fast_backend, metric, dtype):
    X, Y = clouds(300, 20, 2, dtype)
    Y[-1] = 8.0
    p = problem(300, 20, dtype)._replace(g=np.zeros(20), log_b=logs(np.full(20, 1 / 20)))
    C = pairwise_distances(X, Y, metric=metric, backend="reference")
    expected = iterate_points(X, Y, p, metric, 0.01, n_iters=2, backend="reference")
    for n_threads in (1, 3):
        result = iterate_points(
            X, Y, p, metric, 0.01, n_iters=2, n_threads=n_threads, backend=fast_backend
        )
        assert_close(
            p._replace(C=C.astype(dtype)), 0.01, result, expected,
            cost_error=distance_error(X, Y, metric),
        )  # fmt: skip
