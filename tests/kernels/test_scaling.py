"""scaling_iterate and weighted_gram_product: every backend against the reference."""

import numpy as np
import pytest

from clusterlib.kernels import scaling_iterate, sinkhorn_iterate, weighted_gram_product
from clusterlib.kernels.leaves import SWEEP_ROWS
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS
from tests.kernels.transport_cases import SHAPES, SUM_ERROR, problem, unit_roundoff


def kernel(n, m, dtype, epsilon=0.2):
    """A Gibbs kernel with weights, some of them 0."""
    p = problem(n, m)
    return np.exp(-p.C / epsilon).astype(dtype), np.exp(p.log_a), np.exp(p.log_b)


def iterate(K, a, b, **options):
    u, v = np.full(K.shape[0], np.nan), np.ones(K.shape[1])
    history = scaling_iterate(K, a, b, u, v, **options)
    assert history.dtype == np.float64 and history.ndim == 1
    return u, v, history


def assert_close(dtype, result, expected, growth=1.0):
    """Relative errors of sums of positive terms, which iterations only add up.

    Scalings contract in the ratios that count; a relaxed step may let errors grow first.
    """
    assert result[2].shape == expected[2].shape
    n_iters = len(expected[2])
    allowed = 2 * n_iters * growth**n_iters * (SUM_ERROR + 4) * unit_roundoff(dtype)
    for got, wanted in zip(result[:2], expected[:2], strict=True):
        assert np.all(np.abs(got - wanted) <= allowed * wanted)
    assert np.all(np.abs(result[2] - expected[2]) <= 4 * allowed * (1 + expected[2]))


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes(fast_backend, dtype):
    for n, m in SHAPES:
        K, a, b = kernel(n, m, dtype)
        if n:
            expected = iterate(K, a, b, n_iters=3, backend="reference")
            assert_close(dtype, iterate(K, a, b, n_iters=3, backend=fast_backend), expected)


@pytest.mark.parametrize("dtype", DTYPES)
def test_long_rows_and_columns(fast_backend, dtype):
    for n, m in [(37, 9001), (3001, 11)]:
        K, a, b = kernel(n, m, dtype)
        expected = iterate(K, a, b, n_iters=2, backend="reference")
        assert_close(dtype, iterate(K, a, b, n_iters=2, backend=fast_backend), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("relaxation", [0.5, 1.5])
def test_relaxation(fast_backend, relaxation, dtype):
    K, a, b = kernel(65, 33, dtype)
    options = {"relaxation": relaxation, "n_iters": 4}
    expected = iterate(K, a, b, backend="reference", **options)
    assert_close(dtype, iterate(K, a, b, backend=fast_backend, **options), expected, growth=2.0)


def test_the_reference_is_the_textbook():
    K, a, b = kernel(33, 17, np.float64)
    v, history = np.where(b > 0, 1.0, 0.0), []
    for _ in range(4):
        u = a / (K @ v)
        history.append(np.abs(v * (K.T @ u) - b).sum())
        v = b / (K.T @ u)
    assert_close(
        np.float64, iterate(K, a, b, n_iters=4, backend="reference"), (u, v, np.array(history))
    )


def test_it_is_the_logarithmic_form(backend):
    p = problem(50, 30)
    f, g = np.zeros(50), np.where(p.log_b > -np.inf, 0.0, -np.inf)
    lines = sinkhorn_iterate(p.C, 0.2, p.log_a, p.log_b, f, g, n_iters=5, backend=backend)
    u, v, history = iterate(*kernel(50, 30, np.float64), n_iters=5, backend=backend)
    assert np.allclose(u, np.exp(f / 0.2), rtol=1e-12, atol=0)
    assert np.allclose(v, np.exp(g / 0.2), rtol=1e-12, atol=0)
    assert np.allclose(history, lines[:, 0], rtol=0, atol=1e-13)


def test_tolerance_stops_before_the_step(backend):
    K, a, b = kernel(50, 30, np.float64)
    u, v, history = iterate(K, a, b, n_iters=500, tol=1e-6, backend=backend)
    assert 1 < len(history) < 500 and history[-1] <= 1e-6 < history[-2]
    P = u[:, None] * K * v
    assert abs(np.abs(P.sum(axis=0) - b).sum() - history[-1]) <= 1e-14
    assert np.allclose(P.sum(axis=1), a, rtol=1e-13, atol=0)
    assert np.all(u[a == 0] == 0) and np.all(v[b == 0] == 0)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_limit_stops_after_the_step(fast_backend, dtype):
    # Costs up to 1 and epsilon 0.03: scalings of the plan grow beyond 100, one by one.
    K, a, b = kernel(40, 30, dtype, epsilon=0.03)
    K[3] *= 1e-3
    expected = iterate(K, a, b, n_iters=100, limit=100.0, backend="reference")
    result = iterate(K, a, b, n_iters=100, limit=100.0, backend=fast_backend)
    assert_close(dtype, result, expected)
    n_done = len(expected[2])
    assert n_done < 100
    unlimited = iterate(K, a, b, n_iters=n_done, limit=1e100, backend=fast_backend)
    assert np.array_equal(unlimited[0], result[0]) and np.array_equal(unlimited[1], result[1])
    scalings = np.concatenate([result[0][a > 0], result[1][b > 0]])
    assert scalings.max() > 100 or scalings.min() < 0.01


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_and_columns_of_zeros_stop_without_nan(backend, dtype):
    for place in (np.s_[2], np.s_[:, 3]):
        K, a, b = kernel(20, 12, dtype)
        a, b = np.full(20, 1 / 20), np.full(12, 1 / 12)
        K[place] = 0.0
        u, v, history = iterate(K, a, b, n_iters=10, limit=1e6, backend=backend)
        assert len(history) == 1
        assert not np.isnan(u).any() and not np.isnan(v).any() and not np.isnan(history).any()


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    K, a, b = kernel(3 * SWEEP_ROWS + 41, 37, dtype)
    arranged = (LAYOUTS | COPIED_LAYOUTS)[layout](K, tmp_path)
    expected = iterate(K, a, b, n_iters=3, n_threads=1, backend=backend)
    result = iterate(arranged, a, b, n_iters=3, n_threads=3, backend=backend)
    assert all(np.array_equal(r, e) for r, e in zip(result, expected, strict=True))
    vector = np.arange(37.0) - 9
    product = weighted_gram_product(K, a, vector, n_threads=1, backend=backend)
    again = weighted_gram_product(arranged, a, vector, n_threads=3, backend=backend)
    assert np.array_equal(product, again)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gram_products(backend, dtype):
    rng = np.random.default_rng(0)
    for n, m in SHAPES:
        K = rng.normal(size=(n, m)).astype(dtype)
        weight, vector = rng.normal(size=n), rng.normal(size=m)
        product = weighted_gram_product(K, weight, vector, backend=backend)
        wide = K.astype(np.float64)
        expected = wide.T @ (weight * (wide @ vector))
        # Two sums, each with the error of its absolute terms, which are as large as these.
        size = np.abs(wide).T @ (np.abs(weight) * (np.abs(wide) @ np.abs(vector)))
        assert np.all(np.abs(product - expected) <= 2 * SUM_ERROR * unit_roundoff(dtype) * size)


@pytest.mark.parametrize("dtype", DTYPES)
def test_gram_products_of_aligned_blocks_merge_to_the_same_bits(backend, dtype):
    rng = np.random.default_rng(1)
    K = rng.normal(size=(3 * SWEEP_ROWS + 11, 9)).astype(dtype)
    weight, vector = rng.normal(size=len(K)), rng.normal(size=9)
    whole = weighted_gram_product(K, weight, vector, backend=backend)
    cut = 2 * SWEEP_ROWS
    parts = [
        weighted_gram_product(K[rows], weight[rows], vector, backend=backend)
        for rows in (slice(None, cut), slice(cut, None))
    ]
    assert np.array_equal(parts[0] + parts[1], whole)
