"""masked_hals_sweep: every backend against the reference and against what its contract promises."""

import numpy as np
import pytest
from scipy.optimize import nnls

from clusterlib.kernels import hals_sweep, masked_hals_sweep
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SHAPES, SIZES

COLUMNS = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33]
SOME_SHAPES = [(n, m, COLUMNS[(n + d) % len(COLUMNS)]) for n, d, m in SHAPES[::2]]
SOME_SHAPES += [(5, m, 3) for m in SIZES if m] + [(6, 20, k) for k in COLUMNS] + [(3, 1000, 40)]


def problem(n, m, k, dtype=np.float64, seed=0):
    """W, X, V and H with a third of the cells missing."""
    rng = np.random.default_rng([n, m, k, seed])
    H = rng.normal(0.5, 1.0, size=(k, m))
    X = rng.gamma(0.5, size=(n, k)) @ H + rng.normal(size=(n, m))
    V = rng.gamma(1.0, size=(n, m)) * (rng.uniform(size=(n, m)) > 0.3)
    X[V == 0] = np.nan
    return tuple(A.astype(dtype) for A in (rng.gamma(1.0, size=(n, k)), X, V, H))


def wide(*arrays):
    return [np.where(np.isnan(A), 0, A).astype(np.float64) for A in arrays]


def assert_is_a_sweep(before, after, X, V, H, n_sweeps, l1=0.0, l2=0.0):
    """Each entry is the formula at the new entries before it and the old ones from it on."""
    u = np.finfo(after.dtype).eps / 2
    rows, after, X, V, H = wide(before, after, X, V, H)
    k, m = H.shape
    size = np.abs(X) + np.maximum(rows, after) @ np.abs(H)
    stale = 2 * (k + 2) * (n_sweeps + 1) * u * size
    for t, h in enumerate(H):
        e = X - rows @ H
        d = V @ (h * h)
        free = d + l2 > 0
        expected, bound = rows[:, t].copy(), np.zeros(len(rows))
        slope = (V * e) @ h + d * rows[:, t] - l1
        terms = (V * np.abs(e)) @ np.abs(h) + d * rows[:, t] + l1
        bound[free] = ((m + 8) * u * terms + (V * stale) @ np.abs(h))[free] / (d + l2)[free]
        expected[free] = np.maximum(0, slope[free] / (d + l2)[free])
        assert np.all(np.abs(after[:, t] - expected) <= bound)
        rows[:, t] = after[:, t]


def weighted_loss(W, X, V, H):
    W, X, V, H = wide(W, X, V, H)
    return (V * (X - W @ H) ** 2).sum()


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes_follow_the_formula(backend, dtype):
    for n, m, k in SOME_SHAPES:
        W, X, V, H = problem(n, m, k, dtype)
        before = W.copy()
        moves, loss = masked_hals_sweep(W, X, V, H, l1=0.25, l2=0.5, backend=backend)
        assert W.dtype == dtype and moves.shape == (1,) and moves.dtype == np.float64
        assert_is_a_sweep(before, W, X, V, H, 1, 0.25, 0.5)
        squares = ((W.astype(np.float64) - before) ** 2).sum()
        assert abs(moves[0] - squares) <= 2 * (k + 4) * np.finfo(dtype).eps * squares
        x, v, w = wide(X, V, W)
        stale = 4 * (k + 2) * np.finfo(dtype).eps
        size = np.abs(x) + np.maximum(w, before) @ np.abs(H.astype(np.float64))
        bound = 2 * stale * (v * size * (np.abs(x - w @ H.astype(np.float64)) + stale * size)).sum()
        assert abs(loss - weighted_loss(W, X, V, H)) <= bound


def test_every_backend_is_the_reference_to_rounding(fast_backend):
    for n, m, k in SOME_SHAPES:
        W, X, V, H = problem(n, m, k)
        expected = W.copy()
        # The penalty keeps rows with few cells from dividing rounding by next to nothing.
        options = {"n_sweeps": 3, "l1": 0.1, "l2": 0.1}
        moves, loss = masked_hals_sweep(W, X, V, H, backend=fast_backend, **options)
        best, best_loss = masked_hals_sweep(expected, X, V, H, backend="reference", **options)
        assert np.allclose(W, expected, rtol=1e-9, atol=1e-9)
        assert np.allclose(moves, best, rtol=1e-8, atol=1e-12)
        assert np.isclose(loss, best_loss, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_missing_cells_are_not_looked_at(backend, dtype):
    W, X, V, H = problem(40, 19, 5, dtype)
    results = []
    for filling in (np.nan, np.inf, 0.0, 1e30):
        filled, rows = np.where(V > 0, X, dtype(filling)), W.copy()
        moves, loss = masked_hals_sweep(rows, filled, V, H, n_sweeps=2, backend=backend)
        results.append((rows, moves, loss))
    for rows, moves, loss in results:
        assert np.array_equal(rows, results[0][0]) and np.isfinite(rows).all()
        assert np.array_equal(moves, results[0][1]) and loss == results[0][2]


def test_with_equal_weights_it_is_the_plain_sweep(backend):
    W, X, _, H = problem(50, 30, 6)
    X = np.where(np.isnan(X), 1.0, X)
    plain = W.copy()
    moves, loss = masked_hals_sweep(W, X, np.full_like(X, 2.0), H, n_sweeps=4, backend=backend)
    expected = hals_sweep(plain, X @ H.T, H @ H.T, n_sweeps=4, backend=backend)
    assert np.allclose(W, plain, rtol=0, atol=1e-11)
    assert np.allclose(moves, expected, rtol=1e-9)
    assert np.isclose(loss, 2 * ((X - W @ H) ** 2).sum(), rtol=1e-12)


def test_a_weight_counts_like_repeated_columns(backend):
    W, X, _, H = problem(30, 8, 4)
    X = np.where(np.isnan(X), 1.0, X)
    times = np.array([1, 2, 3, 1, 1, 4, 2, 1])
    repeated = W.copy()
    masked_hals_sweep(W, X, np.tile(times * 1.0, (30, 1)), H, n_sweeps=3, backend=backend)
    longer = [np.repeat(A, times, axis=1) for A in (X, H)]
    masked_hals_sweep(
        repeated, longer[0], np.ones_like(longer[0]), longer[1], n_sweeps=3, backend=backend
    )
    assert np.allclose(W, repeated, rtol=0, atol=1e-11)


def test_many_sweeps_reach_the_least_squares(backend):
    W, X, V, H = problem(12, 40, 4)
    _, loss = masked_hals_sweep(W, X, V, H, n_sweeps=2000, backend=backend)
    x, v = wide(X, V)
    root = np.sqrt(v)
    best = np.array([nnls((r * H).T, r * row)[0] for r, row in zip(root, x, strict=True)])
    assert np.any(best == 0) and np.any(best > 0)
    assert np.allclose(W, best, rtol=0, atol=1e-9)
    assert np.isclose(loss, weighted_loss(best, X, V, H), rtol=1e-12)


def test_the_penalised_objective_falls(backend):
    W, X, V, H = problem(60, 25, 7)
    values = []
    for _ in range(6):
        penalty = 0.8 * W.sum() + 0.2 * (W**2).sum()
        values.append(0.5 * weighted_loss(W, X, V, H) + penalty)
        masked_hals_sweep(W, X, V, H, l1=0.8, l2=0.4, backend=backend)
    assert np.all(np.diff(values) < 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_components_without_weight_stay(backend, dtype):
    W, X, V, H = problem(20, 14, 6, dtype)
    V[[3, 19]] = 0
    H[4] = 0
    before = W.copy()
    _, loss = masked_hals_sweep(W, X, V, H, n_sweeps=2, backend=backend)
    assert np.array_equal(W[[3, 19]], before[[3, 19]])
    assert np.array_equal(W[:, 4], before[:, 4])
    assert np.isfinite(loss)
    masked_hals_sweep(W, X, V, H, l2=0.5, backend=backend)  # a penalty alone takes them to 0
    assert not W[[3, 19]].any() and not W[:, 4].any()


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_see_each_other(fast_backend, dtype):
    W, X, V, H = problem(70, 23, 5, dtype)
    whole = W.copy()
    masked_hals_sweep(whole, X, V, H, n_sweeps=2, backend=fast_backend)
    for rows in (slice(0, 1), slice(5, 42), slice(31, 70)):
        part = W[rows].copy()
        masked_hals_sweep(part, X[rows], V[rows], H, n_sweeps=2, backend=fast_backend)
        assert np.array_equal(part, whole[rows])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    W, X, V, H = problem(1000, 29, 5, dtype)
    expected = W.copy()
    moves, loss = masked_hals_sweep(expected, X, V, H, n_sweeps=2, n_threads=1, backend=backend)
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    arranged = [arrange(A, tmp_path) for A in (X, V, H)]
    again = masked_hals_sweep(W, *arranged, n_sweeps=2, n_threads=3, backend=backend)
    assert np.array_equal(W, expected)
    assert np.array_equal(again[0], moves) and again[1] == loss


def test_no_rows(backend):
    empty = np.zeros((0, 4))
    moves, loss = masked_hals_sweep(
        np.zeros((0, 3)), empty, empty, np.ones((3, 4)), n_sweeps=2, backend=backend
    )
    assert np.array_equal(moves, [0.0, 0.0]) and loss == 0.0
