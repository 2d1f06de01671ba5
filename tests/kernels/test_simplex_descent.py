"""simplex_descent: every backend against the reference, step by step and over a few steps."""

from functools import cache

import numpy as np
import pytest

from clusterlib.kernels import pack_rows, simplex_descent, unpack_rows
from clusterlib.kernels.simplex_constants import (
    BACKTRACK,
    FIRST_MOVE,
    MEMORY,
    RESIDUAL,
    SMALLEST_SHARE,
)
from tests.helpers import DTYPES
from tests.kernels.simplex_cases import (
    FORMS,
    assert_values_of,
    descend,
    program,
    step_error,
    unit_roundoff,
)

WIDTHS, RANKS = [1, 2, 5, 20, 33], [1, 2, 7, 8, 13, 24, 40, 65]
# (n, p, r): all numbers of rows around tiles, and around leaves of 1024 rows.
SHAPES = [(n, WIDTHS[n % 5], RANKS[n % 8]) for n in range(1, 71)]
LONG_SHAPES = [(1023, 5, 7), (1024, 2, 13), (1025, 20, 8), (2049, 1, 2), (5000, 33, 24)]


@cache
def one_reference_step(form, shape, dtype, step):
    case = program(form, *shape, dtype)
    return case, *descend(case, step=step, backend="reference")


def largest_error(W, expected):
    return np.abs(W - expected.astype(np.float64)).max()


def assert_in_the_simplex(W, n_terms):
    assert W.min() >= 0
    # A common error of theta counts once for every positive entry; entries are rounded, too.
    error = unit_roundoff(W.dtype) * 4 * (n_terms + 4) * n_terms
    assert np.abs(W.sum(axis=1, dtype=np.float64) - 1).max() <= error


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_one_step(fast_backend, form, dtype):
    for i, shape in enumerate(SHAPES + LONG_SHAPES):
        step = [0.03, 0.2, 1.5][i % 3]
        case, expected, wanted = one_reference_step(form, shape, dtype, step)
        W, result = descend(case, step=step, backend=fast_backend)
        bound = step_error(case, unpack_rows(case.W, case.n_rows).astype(np.float64), step)
        assert largest_error(W, expected) <= bound
        assert_in_the_simplex(W, shape[2])
        assert_values_of(case, W, result, 1)
        # Both chose the same step among those that backtracking tries, which are far apart. Alone
        # in its row an entry has nowhere to go, and rounding decides when trying ends.
        if shape[2] > 1:
            assert np.isclose(result.history[0, 1], wanted.history[0, 1], rtol=1e-2, atol=bound)


@pytest.mark.parametrize("form", FORMS)
def test_a_few_steps(fast_backend, form):
    for shape in [(1, 2, 1), (15, 1, 2), (33, 5, 7), (257, 20, 8), (1025, 2, 13), (1500, 33, 40)]:
        case = program(form, *shape)
        start = unpack_rows(case.W, case.n_rows)
        expected, wanted = descend(case, n_iters=5, backend="reference")
        W, result = descend(case, n_iters=5, backend=fast_backend)
        # A step divides by the curvature along it, whose error is that of two gradients over their
        # difference: thirty times that of one of them, for steps that move as much as these.
        bound = 30**4 * step_error(case, start, max(wanted.step, 1.0))
        assert largest_error(W, expected) <= bound
        assert np.allclose(result.history, wanted.history, rtol=bound, atol=bound)
        assert np.allclose(result.violation, wanted.violation, rtol=bound, atol=bound)
        assert np.isclose(result.step, wanted.step, rtol=30 * bound)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_many_steps_keep_the_values_of_their_factor(fast_backend, form, dtype):
    for shape in [(70, 3, 6), (1025, 5, 6), (3000, 8, 9)]:
        case = program(form, *shape, dtype)
        W, result = descend(case, n_iters=40, backend=fast_backend)
        assert len(result.history) == 40
        assert_in_the_simplex(W, shape[2])
        assert_values_of(case, W, result, 40)


@pytest.mark.parametrize("form", FORMS)
def test_the_gradient_is_the_derivative(form):
    case = program(form, 40, 5, 7)
    problem, W = case.problem(), unpack_rows(case.W, 40)
    gradient = problem.evaluate(W)[3] / 40
    rng = np.random.default_rng(0)
    for _ in range(5):
        D = rng.normal(size=W.shape)
        h = 1e-5 / np.abs(D).max()
        slope = (problem.evaluate(W + h * D)[0] - problem.evaluate(W - h * D)[0]) / (2 * h)
        # The third derivative times h^2, and rounding over h: about 1e-10 of terms up to 10.
        assert abs(slope - (gradient * D).sum()) <= 1e-8 * (1 + abs(slope))


@pytest.mark.parametrize("form", FORMS)
def test_the_value_is_that_of_the_matrix(backend, form):
    case = program(form, 50, 4, 6)
    W, result = descend(case, n_iters=3, backend=backend)
    problem, d = case.problem(), W.sum(axis=0)
    f = 0.0
    for g in np.unique(problem.group):
        some = W[:, problem.group == g]
        Z = some / d[problem.group == g] @ some.T
        P = np.eye(4) if problem.precisions is None else problem.precisions[g]
        f += (problem.X @ P @ problem.X.T * Z).sum()
        if problem.linear is not None:
            f += problem.linear[:, g] @ some.sum(axis=1)
    assert abs(result.history[-1, 0] - f) <= 1e-13 * (1 + abs(f))
    traces = np.bincount(problem.constraint, (W * W / d).sum(axis=0), len(problem.target))
    assert np.allclose(result.violation, traces - problem.target, rtol=0, atol=1e-13)


@pytest.mark.parametrize("left_out", ["linear", "precisions"])
def test_groups_that_no_column_belongs_to_change_nothing(backend, left_out):
    case = program("groups", 50, 3, 4)
    case.options.update({left_out: None, "group": np.array([0, 1, 1, 0])})
    W, result = descend(case, n_iters=3, backend=backend)
    kept, axis = ("precisions", 0) if left_out == "linear" else ("linear", 1)
    two = np.ascontiguousarray(np.take(case.options[kept], [0, 1], axis=axis))
    fewer = case._replace(options=case.options | {kept: two})
    again, other = descend(fewer, n_iters=3, backend=backend)
    assert np.array_equal(again, W)
    assert all(np.array_equal(a, b) for a, b in zip(other, result, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_first_step_follows_the_gradient(backend, dtype):
    case = program("groups", 90, 5, 7, dtype)
    G = case.problem().evaluate(unpack_rows(case.W, 90).astype(np.float64))[3]
    step = FIRST_MOVE / np.abs(G - G.mean(axis=1, keepdims=True)).max()
    W, result = descend(case, backend=backend)
    given, wanted = descend(case, step=step, backend=backend)
    bound = 2 * step_error(case, unpack_rows(case.W, 90).astype(np.float64), step)
    assert largest_error(W, given) <= bound
    assert np.isclose(result.history[0, 1], wanted.history[0, 1], rtol=1e-2)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_that_are_alike_stay_alike(backend, dtype):
    for r in (1, 4):
        case = program("trace", 40, 3, r, dtype)
        case = case._replace(W=pack_rows(np.full((40, r), 1 / r), dtype=dtype))
        W, result = descend(case, n_iters=3, backend=backend)
        assert np.abs(W - 1 / r).max() <= 16 * unit_roundoff(dtype)
        assert np.isfinite(result.history).all() and 0 < result.step <= 1e3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("step", [1e-3, 1.0, 1e3])
def test_rows_stay_in_the_simplex(backend, step, dtype):
    # From a corner of the relaxation, without constraints that count: nothing refuses a long step.
    case = program("trace", 200, 5, 7, dtype)
    case.options.update(multiplier=[-10.0], penalty=0.0)
    W, result = descend(case, step=step, backend=backend)
    assert_in_the_simplex(W, 7)
    assert abs(result.sizes.sum() - 200) <= 200 * 300 * unit_roundoff(dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_step_may_empty_a_column(backend, dtype):
    rng = np.random.default_rng(3)
    n = 1100
    side = rng.integers(2, size=n)
    X = (2.0 * side - 1)[:, None] * rng.uniform(0.8, 1.2, size=(n, 2)) / (1.5 * np.sqrt(n))
    small = rng.uniform(1e-3, 2e-3, size=n)
    W = np.column_stack([(1 - small) * (0.3 + 0.4 * side), (1 - small) * (0.7 - 0.4 * side), small])
    case = program("trace", n, 2, 3, dtype)
    case = case._replace(X=pack_rows(X, dtype=dtype), W=pack_rows(W, dtype=dtype))
    case.options.update(target=[2.0], multiplier=[0.2], penalty=0.5)
    for n_iters in (1, 2):
        W, result = descend(case, step=3.0, n_iters=n_iters, backend=backend)
        # The partition into two sides, whose trace is 2; products of the third column are rounding.
        assert np.array_equal(W, np.column_stack([side, 1 - side, 0 * side]))
        assert result.sizes[2] == 0
        assert_values_of(case, W, result, n_iters)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_that_were_emptied_come_back(fast_backend, dtype):
    case = program("trace", 1100, 5, 13, dtype)
    assert np.count_nonzero(descend(case, n_iters=6, backend=fast_backend)[1].sizes == 0) == 2
    expected, wanted = descend(case, n_iters=10, backend="reference")
    W, result = descend(case, n_iters=10, backend=fast_backend)
    # Rounding has grown by ten steps that move a lot. Divided by an empty column it would refuse
    # the step that empties, or take the one that does not, and end somewhere else.
    error = 4e5 * unit_roundoff(dtype)
    assert largest_error(W, expected) <= error
    assert np.allclose(result.history, wanted.history, rtol=0, atol=error)


@pytest.mark.parametrize("dtype", DTYPES)
def test_columns_may_be_empty_from_the_start(backend, dtype):
    case = program("groups", 60, 3, 7, dtype)
    start = unpack_rows(case.W, 60).astype(np.float64)
    start[:, 2] = 0
    start /= start.sum(axis=1, keepdims=True)
    case = case._replace(W=pack_rows(start, dtype=dtype))
    W, result = descend(case, n_iters=10, backend=backend)
    assert np.isfinite(result.history).all() and np.isfinite(result.violation).all()
    assert_in_the_simplex(W, 7)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_any_number_of_threads_gives_the_same_bits(backend, form, dtype):
    case = program(form, 5000, 5, 7, dtype)
    W, result = descend(case, n_iters=4, n_threads=1, backend=backend)
    for n_threads in (2, 3):
        again, other = descend(case, n_iters=4, n_threads=n_threads, backend=backend)
        assert np.array_equal(again, W)
        assert all(np.array_equal(a, b) for a, b in zip(other, result, strict=True))


def test_thousands_of_columns(fast_backend):
    case = program("trace", 17, 2, 5000)
    W, result = descend(case, n_iters=3, backend=fast_backend)
    assert_in_the_simplex(W, 5000)
    assert_values_of(case, W, result, 3)


@pytest.mark.parametrize("form", FORMS)
def test_f_falls_below_the_largest_of_its_last_values(backend, form):
    case = program(form, 120, 5, 7)
    problem = case.problem()
    values = [problem.evaluate(unpack_rows(case.W, 120))[0]]
    longest = descend(case, n_iters=25, backend=backend)[1].history
    for n_iters in range(1, 26):
        result = descend(case, n_iters=n_iters, backend=backend)[1]
        # The same first iterations, to the bit, whatever comes after them.
        assert np.array_equal(result.history, longest[:n_iters])
        v = result.violation
        F = -result.history[-1, 0] + problem.multiplier @ v + problem.penalty / 2 * (v @ v)
        assert F <= max(values[-MEMORY:]) + 1e-12
        values.append(F)
    assert values[-1] < values[0] - 1e-3


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("form", FORMS)
def test_a_descent_that_has_arrived_stays(backend, form, dtype):
    # Rounding alone decides whether F rises here: no search for a shorter step may start from it.
    case = program(form, 100, 3, 6, dtype)
    history = descend(case, n_iters=600, backend=backend)[1].history[400:]
    assert history[:, 1].max() <= 100 * unit_roundoff(dtype)
    # The products behind f are added up over all steps, each of which adds a few units.
    assert np.ptp(history[:, 0]) <= 1000 * unit_roundoff(dtype) * np.abs(history[:, 0]).max()


def test_the_residual_is_the_scaled_move(backend):
    case = program("groups", 130, 5, 7)
    start = unpack_rows(case.W, 130)
    W, result = descend(case, step=0.05, backend=backend)
    metric = np.maximum(start.mean(axis=0) * 7, SMALLEST_SHARE)
    move = np.sqrt((((W - start) ** 2 / metric).sum(axis=1)).mean())
    assert np.isclose(result.history[0, 1], RESIDUAL * move / 0.05, rtol=1e-12)


def test_a_step_that_is_too_long_is_cut(backend):
    case = program("total", 130, 5, 7)
    W, _ = descend(case, step=1e3, backend=backend)
    trials = [descend(case, step=1e3 * BACKTRACK**k, backend=backend) for k in range(12)]
    # One of the shorter ones is what the search came to; it is the first that is not cut again.
    same = [k for k, (other, _) in enumerate(trials) if np.allclose(other, W, rtol=0, atol=1e-12)]
    assert same[-1] > 0 and same == list(range(same[-1] + 1))


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_tolerance_stops(backend, dtype):
    case = program("trace", 300, 3, 8, dtype)
    history = descend(case, n_iters=400, tol=2e-4, backend=backend)[1].history
    assert 1 < len(history) < 400
    assert history[-1, 1] < 2e-4 and np.all(history[:-1, 1] >= 2e-4)
    assert len(descend(case, n_iters=7, backend=backend)[1].history) == 7


@pytest.mark.parametrize("dtype", DTYPES)
def test_what_the_spare_holds_does_not_matter(backend, dtype):
    case = program("groups", 100, 5, 7, dtype)
    for n_iters in (3, 4):  # the result is in either of the two arrays before it is handed over
        W, result = descend(case, n_iters=n_iters, backend=backend)
        spare = np.full_like(case.W, np.nan)
        again, other = descend(case, n_iters=n_iters, spare=spare, backend=backend)
        assert np.array_equal(again, W)
        assert all(np.array_equal(a, b) for a, b in zip(other, result, strict=True))


def test_a_descent_may_be_cut_in_two(backend):
    # The second call sums its products anew and has forgotten the values that F may return to; here
    # no step is refused, so that only rounding differs.
    case = program("groups", 257, 5, 7)
    whole, wanted = descend(case, n_iters=6, backend=backend)
    half = case.W.copy()
    first = simplex_descent(case.X, half, 257, n_iters=3, backend=backend, **case.options)
    W, second = descend(case._replace(W=half), n_iters=3, step=first.step, backend=backend)
    if backend == "reference":
        assert np.array_equal(W, whole) and second.step == wanted.step
    bound = 30**3 * step_error(case, unpack_rows(case.W, 257), 1.0)
    assert largest_error(W, whole) <= bound
    history = np.concatenate([first.history, second.history])
    assert np.allclose(history, wanted.history, rtol=0, atol=bound)


def test_two_clusters_are_found(backend):
    rng = np.random.default_rng(5)
    labels = rng.integers(2, size=80)
    X = np.column_stack([4.0 * labels, np.zeros(80)]) + rng.normal(0, 0.3, size=(80, 2))
    X -= X.mean(axis=0)
    case = program("trace", 80, 2, 2)
    case = case._replace(X=pack_rows(X / np.linalg.norm(X, 2)))
    case.options.update(target=[2.0], multiplier=[0.5], penalty=0.5)
    W, result = descend(case, n_iters=300, tol=1e-9, backend=backend)
    assert np.abs(W - W.round()).max() <= 1e-6
    found = W[:, 1].round().astype(int)
    assert np.array_equal(found, labels) or np.array_equal(found, 1 - labels)
    assert abs(result.violation[0]) <= 1e-6
