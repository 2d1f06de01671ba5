"""plsa_step: every backend against the reference, and that against the formula."""

import numpy as np
import pytest

from clusterlib.kernels import plsa_step
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SHAPES, SIZES
from tests.kernels.mixture_cases import assert_close, dense, factor, rounding, table

POWERS = [1.0, 2.0, 3.0, 0.5, 1.7]


def factors(n, m, k, dtype=np.float64, seed=0):
    rng = np.random.default_rng([n, m, k, seed])
    return factor(rng, n, k, dtype), factor(rng, m, k, dtype)


def assert_same_step(found, expected, cells, beta):
    W_sums, H_sums, log_likelihood = found
    dtype = W_sums.dtype
    terms = len(cells[1]) + 2 * W_sums.shape[1]
    assert_close(W_sums, expected[0], rounding(terms, dtype, beta))
    assert_close(H_sums, expected[1], rounding(terms, dtype, beta))
    if np.isfinite(expected[2]):
        # Terms of both signs: the error goes by the sum of their sizes, of a few units each.
        size = 1 + 100 * np.sum(cells[2], dtype=np.float64)
        assert abs(log_likelihood - expected[2]) <= rounding(terms, np.float64) * size
    else:
        assert log_likelihood == expected[2]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", POWERS)
def test_all_sizes(fast_backend, beta, dtype):
    for n, m, k in SHAPES:
        if n * m > 5000:
            n = 1 + n % 17
        cells, (W, H) = table(n, m, dtype), factors(n, m, k, dtype)
        found = plsa_step(*cells, W, H, beta=beta, backend=fast_backend)
        assert found[0].dtype == dtype and found[1].dtype == dtype
        assert isinstance(found[2], float)
        wide = [array.astype(np.float64) for array in (cells[2], W, H)]
        expected = plsa_step(*cells[:2], *wide, beta=beta, backend="reference")
        assert_same_step(found, expected, cells, beta)


@pytest.mark.parametrize("beta", POWERS)
def test_the_reference_is_the_formula(beta):
    for n, m, k in [(1, 1, 1), (6, 5, 3), (20, 31, 8)]:
        cells, (W, H) = table(n, m), factors(n, m, k)
        W, H = W + 1e-3, H + 1e-3
        X = dense(*cells, m)
        P = W[:, None, :] * H[None, :, :]
        G = (P / P.sum(axis=2, keepdims=True)) ** beta
        G *= (X / G.sum(axis=2))[:, :, None]
        found = plsa_step(*cells, W, H, beta=beta, backend="reference")
        assert np.allclose(found[0], G.sum(axis=1), rtol=1e-12, atol=0)
        assert np.allclose(found[1], G.sum(axis=0), rtol=1e-12, atol=0)
        assert np.isclose(found[2], (X * np.log(W @ H.T)).sum(), rtol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES)
def test_it_is_the_multiplicative_update(backend, dtype):
    cells, (W, H) = table(30, 40, dtype), factors(30, 40, 7, dtype)
    W, H = W + W.dtype.type(0.1), H + H.dtype.type(0.1)
    ratio = dense(*cells, 40) / (W.astype(np.float64) @ H.T.astype(np.float64))
    W_sums, H_sums, _ = plsa_step(*cells, W, H, backend=backend)
    relative = 1e-12 + (2.0**-23 if dtype == np.float32 else 0)
    assert np.allclose(W_sums, W * (ratio @ H), rtol=relative, atol=0)
    assert np.allclose(H_sums, H * (ratio.T @ W), rtol=relative, atol=0)


def test_the_likelihood_never_falls(backend):
    cells, (W, H) = table(60, 50), factors(60, 50, 5)
    W, H = W / np.maximum(W.sum(axis=1, keepdims=True), 1e-300), H / H.sum(axis=0)
    previous = -np.inf
    for _ in range(30):
        W_sums, H_sums, log_likelihood = plsa_step(*cells, W, H, backend=backend)
        assert np.allclose(H_sums.sum(axis=0), W_sums.sum(axis=0), rtol=1e-12)
        W = W_sums / np.maximum(W_sums.sum(axis=1, keepdims=True), 1e-300)
        H = H_sums / H_sums.sum(axis=0)
        assert np.all(np.abs(H.sum(axis=0) - 1) <= 1e-14)
        assert log_likelihood >= previous - 1e-12 * abs(log_likelihood)
        previous = log_likelihood
    assert np.isfinite(previous)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", POWERS)
def test_every_count_is_shared_out(backend, beta, dtype):
    cells, (W, H) = table(40, 33, dtype), factors(40, 33, 6, dtype)
    W_sums, H_sums, _ = plsa_step(*cells, W, H, beta=beta, backend=backend)
    X, relative = dense(*cells, 33), 2.0**-22 if dtype == np.float32 else 1e-13
    assert np.allclose(W_sums.sum(axis=1), X.sum(axis=1), rtol=relative, atol=0)
    assert np.allclose(H_sums.sum(axis=1), X.sum(axis=0), rtol=relative, atol=0)
    assert np.all(W_sums[4::5] == 0)  # rows without cells


def test_one_component_takes_all(backend):
    cells, (W, H) = table(9, 7), (np.ones((9, 1)), np.ones((7, 1)))
    W_sums, H_sums, log_likelihood = plsa_step(*cells, W, H, beta=1.3, backend=backend)
    X = dense(*cells, 7)
    assert np.allclose(W_sums[:, 0], X.sum(axis=1)) and np.allclose(H_sums[:, 0], X.sum(axis=0))
    assert log_likelihood == 0


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", POWERS)
def test_cells_without_a_component_are_uniform(backend, beta, dtype):
    W, H = np.zeros((2, 5), dtype), np.ones((3, 5), dtype)
    W[1, :2], H[2, :2] = 1, 0
    cells = [0, 1, 3], [0, 1, 2], np.array([2, 3, 5], dtype)
    W_sums, H_sums, log_likelihood = plsa_step(*cells, W, H, beta=beta, backend=backend)
    expected = [[0.4] * 5, [2.5, 2.5, 1, 1, 1]]
    assert np.allclose(W_sums, expected, rtol=1e-6)
    assert np.allclose(H_sums, [[0.4] * 5, [1.5, 1.5, 0, 0, 0], [1] * 5], rtol=1e-6)
    assert log_likelihood == -np.inf
    nothing = [0, 1, 3], [0, 1, 2], np.array([0, 3, 0], dtype)
    log_likelihood = plsa_step(*nothing, W, H, beta=beta, backend=backend)[2]
    assert np.isclose(log_likelihood, 3 * np.log(2))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", POWERS)
def test_numbers_of_any_size(backend, beta, dtype):
    far = 60 if dtype == np.float32 else 600
    cells, (W, H) = table(30, 25, dtype), factors(30, 25, 5, dtype)
    W, H = W + W.dtype.type(0.01), H + H.dtype.type(0.01)
    plain = plsa_step(*cells, W, H, beta=beta, backend=backend)
    for left, right in [(far, far), (-far, -far), (far, -far), (-far, 0)]:
        moved = np.ldexp(W, left), np.ldexp(H, right)
        found = plsa_step(*cells, *moved, beta=beta, backend=backend)
        assert_close(found[0], plain[0], rounding(2000, dtype, beta))
        assert_close(found[1], plain[1], rounding(2000, dtype, beta))
        shift = cells[2].sum(dtype=np.float64) * (left + right) * np.log(2)
        assert np.isclose(found[2], plain[2] + shift, rtol=1e-10)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("beta", POWERS)
def test_counts_of_any_size(backend, beta, dtype):
    """Counts beyond 2^60 are scaled, in a second pass over the table."""
    (indptr, indices, data), (W, H) = table(30, 25, dtype), factors(30, 25, 5, dtype)
    plain = plsa_step(indptr, indices, data, W, H, beta=beta, backend=backend)
    found = plsa_step(indptr, indices, np.ldexp(data, 80), W, H, beta=beta, backend=backend)
    assert_close(np.ldexp(found[0], -80), plain[0], rounding(2000, dtype, beta))
    assert_close(np.ldexp(found[1], -80), plain[1], rounding(2000, dtype, beta))
    assert np.isclose(np.ldexp(found[2], -80), plain[2], rtol=1e-10)


def test_entries_that_differ_by_the_whole_range(backend):
    W = np.array([[1e300, 1e-300, 0.0, 1.0], [5e-324, 0.0, 5e-324, 5e-324]])
    H = np.array([[1e-300, 1e300, 1.0, 1e-5], [5e-324, 1.0, 0.0, 1.0], [1e308] * 4])
    cells = [0, 3, 6], [0, 1, 2, 0, 1, 2], np.ones(6)
    for beta in POWERS:
        found = plsa_step(*cells, W, H, beta=beta, backend=backend)
        expected = plsa_step(*cells, W, H, beta=beta, backend="reference")
        assert not any(np.isnan(part).any() for part in found)
        assert np.allclose(found[0], expected[0], rtol=1e-9, atol=1e-60)
        assert np.allclose(found[1], expected[1], rtol=1e-9, atol=1e-60)
        assert np.isclose(found[2], expected[2])


@pytest.mark.parametrize("dtype", DTYPES)
def test_threads_give_the_same_bits(backend, dtype):
    for n, m, k in [(700, 9, 10), (1, 9, 3), (300, 50, 21)]:
        cells, (W, H) = table(n, m, dtype, share=0.8), factors(n, m, k, dtype)
        one, *others = [
            plsa_step(*cells, W, H, beta=2.0, n_threads=threads, backend=backend)
            for threads in (1, 2, 3, 8)
        ]
        for other in others:
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_give_the_same_bits(backend, layout, dtype, tmp_path):
    cells, factors_ = table(50, 20, dtype), factors(50, 20, 6, dtype)
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    W, H = (arrange(array, tmp_path) for array in factors_)
    cells_arranged = [arrange(array[:, None], tmp_path)[:, 0] for array in cells]
    found = plsa_step(*cells_arranged, W, H, backend=backend)
    expected = plsa_step(*cells, *factors_, backend=backend)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert np.array_equal(W, factors_[0]) and np.array_equal(H, factors_[1])


def test_the_order_of_cells_and_how_they_are_split_do_not_matter(backend):
    cells, (W, H) = table(20, 30), factors(20, 30, 4)
    expected = plsa_step(*cells, W, H, beta=2.0, backend=backend)
    indptr, indices, data = cells
    order = np.concatenate(
        [np.arange(indptr[i], indptr[i + 1])[::-1] for i in range(len(indptr) - 1)]
    ).astype(int)
    halves = np.repeat(order, 2)
    for split in (
        (indptr, indices[order], data[order]),
        (2 * indptr, indices[halves], data[halves] / 2),
    ):
        found = plsa_step(*split, W, H, beta=2.0, backend=backend)
        assert_same_step(found, expected, cells, 2.0)


def test_names_of_components_do_not_matter(backend):
    for k in (2, 5, 20, 33):
        cells, (W, H) = table(20, 30), factors(20, 30, k)
        order = np.random.default_rng(k).permutation(k)
        W_sums, H_sums, log_likelihood = plsa_step(*cells, W, H, beta=3.0, backend=backend)
        found = plsa_step(*cells, W[:, order], H[:, order], beta=3.0, backend=backend)
        expected = W_sums[:, order], H_sums[:, order], log_likelihood
        assert_same_step(found, expected, cells, 3.0)


def test_a_table_of_nothing(backend):
    for n in SIZES[:4]:
        for m in (0, 3):
            W, H = np.ones((n, 2)), np.ones((m, 2))
            W_sums, H_sums, log_likelihood = plsa_step(
                np.zeros(n + 1, int), [], [], W, H, backend=backend
            )
            assert W_sums.shape == (n, 2) and H_sums.shape == (m, 2)
            assert not W_sums.any() and not H_sums.any() and log_likelihood == 0


def test_other_numbers_are_converted(backend):
    found = plsa_step([0, 2], [0, 1], [1, 2], [[1, 3]], [[1, 0], [1, 1]], backend=backend)
    assert found[0].dtype == np.float64 and np.allclose(found[0], [[1.5, 1.5]])
    mixed = plsa_step([0, 1], [0], [1.0], np.ones((1, 2), np.float32), np.ones((1, 2)))
    assert mixed[0].dtype == np.float64
