"""hals_sweep: every backend against the reference and against what its contract promises."""

import numpy as np
import pytest
from scipy.optimize import nnls

from clusterlib.kernels import hals_sweep
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES

COLUMNS = [*range(1, 20), 24, 31, 32, 33, 40, 65]
SHAPES = [(n, COLUMNS[(3 * i + j) % len(COLUMNS)]) for i, n in enumerate(SIZES) for j in range(3)]
SHAPES += [(67, k) for k in COLUMNS] + [(40, 131), (9, 300)]


def problem(n, k, dtype=np.float64, seed=0):
    """W, R and G of a factorisation with noise, so that some entries are at 0 in the end."""
    rng = np.random.default_rng([n, k, seed])
    H = rng.gamma(1.0, size=(k, 2 * k + 3))
    X = rng.gamma(0.5, size=(n, k)) @ H + rng.normal(size=(n, 2 * k + 3))
    return rng.gamma(1.0, size=(n, k)).astype(dtype), (X @ H.T).astype(dtype), H @ H.T


def step_error(before, after, R, G):
    """Bound of the contract for the entries of one sweep."""
    u = np.finfo(before.dtype).eps / 2
    k, before, after, R = len(G), *(A.astype(np.float64) for A in (before, after, R))
    terms = np.abs(R) + after @ np.abs(np.triu(G, 1)) + before @ np.abs(np.tril(G))
    return (k + 4) * u * terms / np.diag(G)


def assert_is_a_sweep(before, after, R, G):
    """Each entry is the formula at the new entries before it and the old ones from it on."""
    wide, old, R_wide = (A.astype(np.float64) for A in (after, before, R))
    sums = wide @ np.triu(G, 1) + old @ np.tril(G)
    expected = np.maximum(0, old + (R_wide - sums) / np.diag(G))
    assert np.all(np.abs(wide - expected) <= step_error(before, after, R, G))


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes_follow_the_formula(backend, dtype):
    for n, k in SHAPES:
        W, R, G = problem(n, k, dtype)
        before = W.copy()
        moves = hals_sweep(W, R, G, backend=backend)
        assert W.dtype == dtype and moves.shape == (1,) and moves.dtype == np.float64
        assert_is_a_sweep(before, W, R, G)
        squares = ((W.astype(np.float64) - before) ** 2).sum()
        assert abs(moves[0] - squares) <= 2 * (k + 4) * np.finfo(dtype).eps * squares


def test_every_backend_is_the_reference_to_rounding(fast_backend):
    for n, k in SHAPES:
        W, R, G = problem(n, k)
        expected = W.copy()
        moves = hals_sweep(W, R, G, n_sweeps=3, backend=fast_backend)
        expected_moves = hals_sweep(expected, R, G, n_sweeps=3, backend="reference")
        assert np.allclose(W, expected, rtol=1e-12, atol=1e-12 * max(1, k / 8))
        assert np.allclose(moves, expected_moves, rtol=1e-9, atol=1e-18)


@pytest.mark.parametrize("dtype", DTYPES)
def test_sweeps_of_one_call_are_those_of_several(fast_backend, dtype):
    for n, k in [(1, 1), (100, 7), (300, 20), (33, 70)]:
        W, R, G = problem(n, k, dtype)
        one = W.copy()
        moves = hals_sweep(W, R, G, n_sweeps=4, backend=fast_backend)
        for sweep in range(4):
            assert hals_sweep(one, R, G, backend=fast_backend)[0] == moves[sweep]
        assert np.array_equal(W, one)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_objective_falls_to_the_least_one(backend, dtype):
    rng = np.random.default_rng(1)
    H, X = rng.gamma(1.0, size=(4, 12)), rng.normal(1.0, 2.0, size=(30, 12))
    W = np.zeros((30, 4), dtype)
    R, G = (X @ H.T).astype(dtype), H @ H.T
    values = []
    for _ in range(4):
        values.append(((X - W @ H) ** 2).sum())
        hals_sweep(W, R, G, backend=backend)
    assert np.all(np.diff(values) < 0)
    hals_sweep(W, R, G, n_sweeps=3000, backend=backend)
    best = np.array([nnls(H.T, x)[0] for x in X])
    assert np.any(best == 0) and np.any(best > 0)
    assert np.abs(W - best).max() <= (1e-9 if dtype == np.float64 else 1e-3)


def test_penalties_are_folded_into_the_products(backend):
    rng = np.random.default_rng(2)
    H, X, l1, l2 = rng.gamma(1.0, size=(3, 9)), rng.gamma(1.0, size=(11, 9)), 0.7, 0.3
    W = np.zeros((11, 3))
    hals_sweep(W, X @ H.T - l1, H @ H.T + l2 * np.eye(3), n_sweeps=2000, backend=backend)
    slope = (W @ H - X) @ H.T + l1 + l2 * W
    assert np.all(np.abs(slope[W > 0]) < 1e-9) and np.all(slope[W == 0] > -1e-9)
    assert np.any(W == 0) and np.any(W > 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_components_without_curvature_stay(backend, dtype):
    W, R, G = problem(50, 9, dtype)
    G[[2, 8]], G[:, [2, 8]] = 0, 0
    G[5, 5] = -1.0
    before = W.copy()
    hals_sweep(W, R, G, n_sweeps=2, backend=backend)
    kept = [2, 5, 8]
    assert np.array_equal(W[:, kept], before[:, kept])
    assert np.all((W != before).any(axis=0) == ~np.isin(np.arange(9), kept))
    # The others see what stays: component 5 is a source like any other.
    R_rest = R.astype(np.float64) - before[:, [5]].astype(np.float64) * G[5]
    rest = np.delete(np.arange(9), kept)
    alone = np.ascontiguousarray(before[:, rest], np.float64)
    hals_sweep(alone, R_rest[:, rest], G[np.ix_(rest, rest)], n_sweeps=2, backend=backend)
    assert np.allclose(W[:, rest], alone, rtol=1e-3 if dtype == np.float32 else 1e-11, atol=1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_see_each_other(fast_backend, dtype):
    W, R, G = problem(300, 11, dtype)
    whole = W.copy()
    hals_sweep(whole, R, G, n_sweeps=2, backend=fast_backend)
    for rows in (slice(0, 1), slice(5, 82), slice(255, 300)):
        part = W[rows].copy()
        hals_sweep(part, R[rows], G, n_sweeps=2, backend=fast_backend)
        assert np.array_equal(part, whole[rows])


def test_components_may_change_their_names(backend):
    # Without coupling the order of the components does not matter.
    W, R, G = problem(40, 10)
    G = np.diag(np.diag(G))
    order = np.random.default_rng(0).permutation(10)
    turned = np.ascontiguousarray(W[:, order])
    hals_sweep(W, R, G, backend=backend)
    hals_sweep(turned, R[:, order], G[np.ix_(order, order)], backend=backend)
    assert np.array_equal(turned, W[:, order])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    W, R, G = problem(2500, 13, dtype)
    expected = W.copy()
    moves = hals_sweep(expected, R, G, n_sweeps=2, n_threads=1, backend=backend)
    arranged = (LAYOUTS | COPIED_LAYOUTS)[layout](R, tmp_path)
    again = hals_sweep(W, arranged, G, n_sweeps=2, n_threads=3, backend=backend)
    assert np.array_equal(W, expected) and np.array_equal(again, moves)
    assert np.array_equal(arranged, R)


def test_narrow_products_may_come_with_a_gram_matrix_of_either_type(fast_backend):
    W, R, G = problem(70, 6, np.float32)
    G = G.astype(np.float32)
    other = W.copy()
    hals_sweep(W, R, G, backend=fast_backend)
    hals_sweep(other, R, G.astype(np.float64), backend=fast_backend)
    assert np.array_equal(W, other)


def test_no_rows(backend):
    moves = hals_sweep(np.zeros((0, 3)), np.zeros((0, 3)), np.eye(3), n_sweeps=2, backend=backend)
    assert np.array_equal(moves, [0.0, 0.0])
