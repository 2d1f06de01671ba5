"""simplex_projection: every backend against the optimality conditions and the reference."""

import numpy as np
import pytest

from clusterlib.kernels import simplex_projection
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SIZES
from tests.kernels.simplex_cases import unit_roundoff

COLUMNS = [*range(1, 18), 24, 31, 32, 33, 40, 63, 64, 65]
SHAPES = [(n, COLUMNS[(3 * i + j) % len(COLUMNS)]) for i, n in enumerate(SIZES) for j in range(5)]
SHAPES += [(33, r) for r in range(1, 66)]


def rows(n, r, dtype, spread=1.0, seed=0):
    rng = np.random.default_rng([n, r, seed])
    return rng.normal(0.3, spread, size=(n, r)).astype(dtype)


def entry_error(r, dtype):
    """Rounding of theta, a sum of up to r entries from -1 to 0 over their number, and of w."""
    return 2 * (r + 4) * unit_roundoff(dtype)


def assert_nearest(V, W):
    """The conditions that the nearest point meets, and no other: w = max(v - theta, 0), sum 1.

    The positive entries share one theta, and none of the others lies above it.
    """
    V, dtype = V.astype(np.float64), W.dtype
    error = entry_error(V.shape[1], dtype)
    wide = W.astype(np.float64)
    assert wide.min(initial=0.0) >= 0
    n_positive = np.count_nonzero(wide, axis=1)
    assert np.all(np.abs(wide.sum(axis=1) - 1) <= error * n_positive)
    theta = np.where(wide > 0, V - wide, 0.0).sum(axis=1, keepdims=True) / n_positive[:, None]
    # v - max is rounded once before theta is found, to what its largest entry allows.
    shifted = unit_roundoff(dtype) * np.abs(V - V.max(axis=1, keepdims=True, initial=0.0))
    assert np.all(np.abs(np.maximum(V - theta, 0) - wide) <= 2 * error + np.minimum(shifted, 1))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("spread", [0.05, 1.0, 30.0])
def test_all_sizes(backend, spread, dtype):
    for n, r in SHAPES:
        V = rows(n, r, dtype, spread)
        W = simplex_projection(V, backend=backend)
        assert W.shape == V.shape and W.dtype == dtype and W.flags.c_contiguous
        assert_nearest(V, W)
        expected = simplex_projection(V.astype(np.float64), backend="reference")
        assert np.abs(W - expected).max(initial=0.0) <= entry_error(r, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_many_columns_that_drop_out_one_by_one(backend, dtype):
    for r in (100, 257, 1000):
        V = -(np.cumsum(np.random.default_rng(r).exponential(1 / r, size=(20, r)), axis=1) ** 2)
        V = np.concatenate([V, -(np.geomspace(1e-6, 1e6, r)[None] ** 2)]).astype(dtype)
        W = simplex_projection(V, backend=backend)
        assert_nearest(V, W)
        expected = simplex_projection(V.astype(np.float64), backend="reference")
        assert np.abs(W - expected).max() <= entry_error(r, dtype)


@pytest.mark.parametrize("dtype", DTYPES)
def test_equal_entries_share_the_row(backend, dtype):
    for r in (1, 2, 3, 7, 16, 65):
        for value in (0.0, -3.5, 1e-30, 1e30, -1e30):
            W = simplex_projection(np.full((3, r), value, dtype), backend=backend)
            assert np.all(np.abs(W - 1 / r) <= 2 * unit_roundoff(dtype))
            assert np.unique(W).size == 1


@pytest.mark.parametrize("dtype", DTYPES)
def test_ties_at_the_edge(backend, dtype):
    # theta is exactly the value of the entries that are left out.
    V = np.array([[1.5, 0.5, 0.5, 0.5], [0.25, 0.75, -0.25, -0.25], [2, 1, 1, 1]], dtype)
    W = simplex_projection(V, backend=backend)
    assert np.array_equal(W, np.array([[1, 0, 0, 0], [0.25, 0.75, 0, 0], [1, 0, 0, 0]], dtype))


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_that_are_there_already_stay(backend, dtype):
    for r in (1, 2, 5, 24, 65):
        inside = np.random.default_rng(r).dirichlet(np.ones(r), size=50).astype(dtype)
        W = simplex_projection(inside, backend=backend)
        # Its rows miss the simplex by the rounding of their entries.
        assert np.abs(W - inside).max() <= entry_error(r, dtype) + r * unit_roundoff(dtype)
        corners = np.eye(r, dtype=dtype)
        assert np.array_equal(simplex_projection(corners, backend=backend), corners)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("huge", [1e30, 3e38])
def test_huge_entries(backend, huge, dtype):
    V = np.array(
        [
            [huge, 1, -1, 0],
            [huge, huge, 0, -huge],
            [-huge, -huge, 0.25, 0.5],
            [-huge, 0, -huge, -huge],
            [huge, -huge, huge, huge],
        ],
        dtype,
    )
    W = simplex_projection(V, backend=backend)
    third = W.dtype.type(1) / 3
    expected = [
        [1, 0, 0, 0],
        [0.5, 0.5, 0, 0],
        [0, 0, 0.375, 0.625],
        [0, 1, 0, 0],
        [third, 0, third, third],
    ]
    assert np.allclose(W, expected, rtol=4 * unit_roundoff(dtype), atol=0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_a_constant_added_to_a_row_changes_nothing(backend, dtype):
    V = np.random.default_rng(1).integers(-64, 64, size=(100, 9)).astype(dtype) / 64
    shifted = V + np.array([8, -4], dtype)[np.arange(100) % 2, None]  # exact sums
    W = simplex_projection(V, backend=backend)
    assert np.allclose(simplex_projection(shifted, backend=backend), W, rtol=0, atol=1e-15)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_do_not_see_each_other(backend, dtype):
    V = rows(40, 7, dtype)
    W = simplex_projection(V, backend=backend)
    for i in range(0, 40, 3):
        assert np.array_equal(simplex_projection(V[i : i + 1], backend=backend)[0], W[i])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    V = rows(3 * 1024 + 41, 13, dtype)
    arranged = (LAYOUTS | COPIED_LAYOUTS)[layout](V, tmp_path)
    expected = simplex_projection(V, n_threads=1, backend=backend)
    assert np.array_equal(simplex_projection(arranged, n_threads=3, backend=backend), expected)
    assert np.array_equal(arranged, V)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_caller_may_bring_the_output(backend, dtype):
    V, out = rows(33, 5, dtype), np.full((33, 5), np.nan, dtype)
    assert simplex_projection(V, out=out, backend=backend) is out
    assert np.array_equal(out, simplex_projection(V, backend=backend))


def test_other_numbers_are_converted(backend):
    whole = simplex_projection([[2, 0], [0, 0]], backend=backend)
    assert whole.dtype == np.float64 and np.array_equal(whole, [[1, 0], [0.5, 0.5]])
    half = simplex_projection(np.zeros((2, 4), np.float16), backend=backend)
    assert half.dtype == np.float32 and np.all(half == 0.25)
