"""linear_assignment: every backend against SciPy, and its dual values against the contract."""

import signal
from itertools import permutations

import numpy as np
import pytest
from scipy.optimize import linear_sum_assignment

from clusterlib.kernels import linear_assignment
from clusterlib.kernels.dispatch import implementation
from tests.helpers import BAD_MATRICES, COPIED_LAYOUTS, DTYPES, LAYOUTS

EPS = np.finfo(np.float64).eps
SIZES = [(1, 1), (1, 3), (2, 2), (3, 2), (3, 7), (17, 17), (16, 40), (40, 17), (64, 64), (65, 63)]
SIZES += [(63, 130), (130, 65), (97, 97), (5, 300)]


def uniform(n, m, rng):
    return rng.random((n, m))


def points(n, m, rng):
    X, Y = rng.normal(size=(n, 3)), rng.normal(size=(m, 3)) - 1
    return ((X[:, None] - Y) ** 2).sum(axis=2) - 2


def ties(n, m, rng):
    return rng.integers(-2, 3, size=(n, m)).astype(float)


def products(n, m, rng):
    return np.outer(np.arange(1.0, n + 1), np.arange(1.0, m + 1))


def repeated(n, m, rng):
    rows = rng.normal(size=(1 + n // 4, m))
    return rows[rng.integers(len(rows), size=n)]


def constant(n, m, rng):
    return np.full((n, m), -7.0)


KINDS = [uniform, points, ties, products, repeated, constant]


def check(C, found, maximize=False):
    """Everything that the contract says about an answer."""
    sign = -1.0 if maximize else 1.0
    C = sign * np.asarray(C, np.float64)
    n, m = C.shape
    rows, columns, cost, u, v, gap = found
    u, v = sign * u, sign * v
    assert rows.shape == columns.shape == (min(n, m),) and u.shape == (n,) and v.shape == (m,)
    assert rows.dtype == columns.dtype == np.int64 and u.dtype == v.dtype == np.float64
    assert np.all(np.diff(rows) > 0) and len(set(columns.tolist())) == len(columns)
    assert type(cost) is float and type(gap) is float and gap >= 0
    chosen = C[rows, columns]
    assert np.isfinite(chosen).all() and cost == sign * chosen.sum()
    short, long, across, used = (u, v, C, columns) if n <= m else (v, u, C.T, rows)
    assert np.all(across - long >= short[:, None])
    alone = np.setdiff1d(np.arange(len(long)), used)
    assert long.max(initial=0.0) <= 0 and np.all(long[alone] == 0)
    # What the dual values prove, and by how much rounding may have moved them.
    largest = np.abs(C[np.isfinite(C)]).max(initial=0.0)
    assert gap <= 4 * len(rows) * EPS * largest
    exact = chosen.sum() - u.sum() - v.sum()
    assert abs(gap - exact) <= 8 * (n + m) * EPS * (np.abs(u).max() + np.abs(v).max() + largest)


def best_cost(C, maximize=False):
    C = np.asarray(C, np.float64)
    return C[linear_sum_assignment(C, maximize=maximize)].sum()


def assert_best(C, found, maximize=False):
    check(C, found, maximize)
    scale = np.abs(np.asarray(C, np.float64)[found.rows, found.columns]).sum()
    assert abs(found.cost - best_cost(C, maximize)) <= 1e-12 * scale


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_the_cost_is_that_of_scipy(backend, kind, dtype):
    for n, m in SIZES:
        C = kind(n, m, np.random.default_rng([n, m])).astype(dtype)
        assert_best(C, linear_assignment(C, backend=backend))
        found = linear_assignment(C, maximize=True, backend=backend)
        assert_best(C, found, maximize=True)


def test_small_problems_against_all_permutations(backend):
    rng = np.random.default_rng(0)
    for n in range(1, 5):
        for m in range(n, 5):
            for C in (rng.normal(size=(n, m)), rng.integers(0, 3, size=(n, m))):
                sums = [sum(C[range(n), p]) for p in permutations(range(m), n)]
                assert linear_assignment(C, backend=backend).cost == pytest.approx(min(sums))
                found = linear_assignment(C.T, maximize=True, backend=backend)
                assert found.cost == pytest.approx(max(sums))


def test_whole_numbers_are_proved_without_a_gap(backend):
    rng = np.random.default_rng(1)
    for n, m in SIZES:
        C = rng.integers(-1000, 1000, size=(n, m))
        found = linear_assignment(C, backend=backend)
        assert found.dual_gap == 0 and found.cost == found.u.sum() + found.v.sum() == best_cost(C)


def test_an_offset_does_not_cost_digits(backend):
    noise = np.random.default_rng(2).integers(0, 2**10, size=(60, 60)) / 2.0**10
    found = linear_assignment(1e12 + noise, backend=backend)
    check(1e12 + noise, found)
    assert found.dual_gap == 0
    assert noise[found.rows, found.columns].sum() == best_cost(noise)
    far = 1e12 + np.random.default_rng(3).normal(size=(40, 70))
    assert_best(far, linear_assignment(far, backend=backend))


@pytest.mark.parametrize("scale", [1e-320, 1e-310, 1e-300, 1e-30, 1e30, 1e300])
def test_any_scale_of_the_costs(backend, scale):
    for kind in (uniform, points, products):
        C = kind(33, 47, np.random.default_rng(4)) * scale
        check(C, linear_assignment(C, backend=backend))
        check(C.T, linear_assignment(C.T, maximize=True, backend=backend), maximize=True)
    if scale > 1e-300:
        assert_best(C, linear_assignment(C, backend=backend))


def test_scales_may_differ_within_a_matrix(backend):
    rng = np.random.default_rng(5)
    for seed in range(5):
        C = rng.choice([-1, 1], size=(31, 31)) * 10.0 ** rng.uniform(-300, 300, size=(31, 31))
        found = linear_assignment(C, backend=backend)
        check(C, found)
        assert found.cost == pytest.approx(best_cost(C), rel=1e-12), seed


def test_costs_whose_sums_leave_the_range_are_refused(backend):
    C = np.eye(3) * np.finfo(np.float64).max / 128.1
    assert_best(C, linear_assignment(C, backend=backend))
    for bad in (C * 1.1, -C * 1.1, C * 128):
        with pytest.raises(ValueError, match=r"C has costs up to .* scale it down"):
            linear_assignment(bad, backend=backend)
    wide = np.full((3, 4), np.finfo(np.float32).max, np.float32)
    assert_best(wide, linear_assignment(wide, backend=backend))


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0)])
def test_nothing_to_pair(backend, shape):
    found = linear_assignment(np.zeros(shape), backend=backend)
    assert found.rows.shape == found.columns.shape == (0,)
    assert found.rows.dtype == found.columns.dtype == np.int64
    assert (found.cost, found.dual_gap) == (0.0, 0.0)
    assert np.array_equal(found.u, np.zeros(shape[0])) and len(found.v) == shape[1]


@pytest.mark.parametrize("maximize", [False, True])
def test_forbidden_pairs_are_avoided(backend, maximize):
    rng = np.random.default_rng(6)
    forbidden = -np.inf if maximize else np.inf
    for n, m in [(1, 2), (2, 2), (17, 17), (40, 65), (65, 40), (64, 64)]:
        for share in (0.1, 0.5, 0.8):
            C = rng.normal(size=(n, m))
            C[rng.random((n, m)) < share] = forbidden
            C[np.arange(min(n, m)), rng.permutation(m)[: min(n, m)] if n <= m else 0] = 0.5
            try:
                linear_sum_assignment(C, maximize=maximize)
            except ValueError:
                with pytest.raises(ValueError, match="C forbids too much"):
                    linear_assignment(C, maximize=maximize, backend=backend)
                continue
            found = linear_assignment(C, maximize=maximize, backend=backend)
            assert_best(C, found, maximize)


def test_a_single_permutation_may_be_left(backend):
    order = np.random.default_rng(7).permutation(70)
    C = np.full((70, 70), np.inf)
    C[np.arange(70), order] = np.arange(70.0)
    found = linear_assignment(C, backend=backend)
    assert np.array_equal(found.columns, order)
    check(C, found)


@pytest.mark.parametrize("maximize", [False, True])
def test_too_many_forbidden_pairs_are_refused(backend, maximize):
    forbidden = -np.inf if maximize else np.inf
    row, column, block = (np.ones((9, 9)) for _ in range(3))
    row[4], column[:, 8] = forbidden, forbidden
    block[2:7, :5] = forbidden  # five rows for four columns
    for C in (row, column, block, np.full((1, 1), forbidden), np.full((3, 5), forbidden)):
        with pytest.raises(ValueError, match=f"a pair with cost {forbidden}"):
            linear_assignment(C, maximize=maximize, backend=backend)


@pytest.mark.parametrize("place", [(0, 0), (3, 11), (19, 29)])
def test_nan_and_rewards_without_end_are_refused(backend, place):
    for C in (np.ones((20, 30)), np.ones((30, 20), np.float32)):
        here = place if C.shape == (20, 30) else place[::-1]
        C[here] = np.nan
        with pytest.raises(ValueError, match="C contains NaN"):
            linear_assignment(C, backend=backend)
        C[here] = -np.inf
        with pytest.raises(ValueError, match="C contains -inf; with maximize=False a forbidden"):
            linear_assignment(C, backend=backend)
        C[here] = np.inf
        with pytest.raises(ValueError, match="C contains inf; with maximize=True a forbidden"):
            linear_assignment(C, maximize=True, backend=backend)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    for n, m in [(37, 70), (70, 37), (66, 66)]:
        C = ties(n, m, np.random.default_rng(8)).astype(dtype)
        C[::2] += np.random.default_rng(9).random((n, m))[::2].astype(dtype)
        expected = linear_assignment(C, backend=backend)
        arranged = (LAYOUTS | COPIED_LAYOUTS)[layout](C, tmp_path)
        found = linear_assignment(arranged, backend=backend)
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
        assert np.array_equal(arranged, C)


@pytest.mark.parametrize(
    "convert",
    [np.ndarray.tolist, *(lambda C, t=t: C.astype(t) for t in (object, "i1", "u8", "f2", "?"))],
)
def test_other_types_mean_their_numbers(convert):
    C = np.random.default_rng(10).integers(0, 2, size=(23, 31))
    found, expected = linear_assignment(convert(C)), linear_assignment(C.astype(np.float64))
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_every_instruction_set_gives_the_same_bits(native_backend):
    for kind in KINDS:
        C = kind(90, 101, np.random.default_rng(11))
        found = linear_assignment(C, backend=native_backend)
        again = linear_assignment(C, backend="native")
        assert all(np.array_equal(a, b) for a, b in zip(found, again, strict=True))


def test_large_problems_need_all_that_the_kernels_have(fast_backend):
    rng = np.random.default_rng(12)
    for C in (uniform(300, 300, rng), points(400, 300, rng), products(200, 200, rng)):
        assert_best(C, linear_assignment(C, backend=fast_backend))


@pytest.mark.parametrize("kind", [uniform, points, ties, repeated])
def test_long_rows_whose_cheapest_columns_are_kept(fast_backend, kind):
    for n, m in [(1301, 1301), (1300, 250)]:
        C = kind(n, m, np.random.default_rng([13, n, m]))
        C[::7, ::5] = np.inf
        assert_best(C, linear_assignment(C, backend=fast_backend))


@pytest.mark.parametrize("bad", [bad for bad in BAD_MATRICES if "inf" not in bad.name], ids=str)
def test_bad_matrices_are_refused(bad):
    if bad.name == "no_features":  # which is nothing to pair, and no error
        assert linear_assignment(bad.make(np.ones((5, 4)))).cost == 0
        return
    message = "C contains NaN" if bad.name == "nan" else bad.message.format(name="C")
    with pytest.raises(bad.error, match=message):
        linear_assignment(bad.make(np.ones((5, 4))))


@pytest.mark.parametrize("maximize", [None, 1, "yes"])
def test_maximize_is_true_or_false(maximize):
    with pytest.raises(TypeError, match="maximize must be True or False, got"):
        linear_assignment(np.ones((2, 2)), maximize=maximize)


def test_unknown_backends_are_refused_before_any_work():
    for C in (np.ones((2, 2)), np.ones((0, 2)), np.full((2, 2), np.nan)):
        with pytest.raises(ValueError, match="backend must be None or one of"):
            linear_assignment(C, backend="cuda")


class Stopped(Exception):
    """What a signal raises here."""


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there are no interval timers")
def test_signals_stop_the_work_before_its_end(backend):
    def stop(*_):
        raise Stopped

    C = products(1500, 1500, None)
    linear_assignment(C[:9, :9], backend=backend)  # compiled before the clock starts
    columns, u, v = np.full(1500, -1), np.empty(1500), np.empty(1500)
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.02)
        with pytest.raises(Stopped):
            implementation("linear_assignment", backend)(C, 1.0, columns, u, v)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert len(np.unique(columns[columns >= 0])) < 1500
