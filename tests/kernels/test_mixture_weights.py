"""mixture_weights: every backend against the reference, and against the optimality conditions."""

import numpy as np
import pytest

from clusterlib.kernels import mixture_weights
from tests.helpers import COPIED_LAYOUTS, DTYPES, LAYOUTS, SHAPES
from tests.kernels.mixture_cases import dense, factor, table


def components(m, k, dtype=np.float64, seed=0, zeros=0.1):
    return factor(np.random.default_rng([m, k, seed]), m, k, dtype, zeros)


def likelihood(cells, H, W):
    X, wide = dense(*cells, len(H)), H.astype(np.float64)
    mixed = W.astype(np.float64) @ wide.T
    terms = np.where(X > 0, X * np.log(np.where(mixed > 0, mixed, 1.0)), 0.0)
    return np.where((X > 0) & (mixed <= 0), -np.inf, terms).sum(axis=1)


@pytest.mark.parametrize("dtype", DTYPES)
def test_all_sizes(fast_backend, dtype):
    for n, m, k in SHAPES:
        n = n if n < 40 else 1 + n % 17
        cells, H = table(n, m, dtype), components(m, k, dtype)
        start = factor(np.random.default_rng(n), n, k, dtype)
        for W in (None, start):
            for max_iter in (1, 7):
                found, n_iter = mixture_weights(
                    *cells, H, W=W, max_iter=max_iter, tol=1e-4, backend=fast_backend
                )
                expected, steps = mixture_weights(
                    *cells, H, W=W, max_iter=max_iter, tol=1e-4, backend="reference"
                )
                assert found.dtype == dtype and n_iter.dtype == np.int32
                # A map that moves nothing apart by much: rounding of a few steps, and of the result.
                stored = 2.0**-22 if dtype == np.float32 else 0.0
                assert np.all(np.abs(found - expected) <= 1e-12 + stored)
                assert np.array_equal(n_iter, steps)


def test_the_reference_is_the_formula():
    cells, H = table(12, 20), components(20, 4) + 0.01
    W = np.full((12, 4), 0.25)
    X = dense(*cells, 20)
    for _ in range(9):
        with np.errstate(invalid="ignore"):
            after = W * ((X / (W @ H.T)) @ H)
            W = np.where(X.any(axis=1)[:, None], after / after.sum(axis=1, keepdims=True), W)
    found, n_iter = mixture_weights(*cells, H, max_iter=9, backend="reference")
    assert np.allclose(found, W, rtol=1e-12)
    assert np.array_equal(n_iter[X.any(axis=1)], np.full(X.any(axis=1).sum(), 9))


def test_weights_meet_the_conditions_of_the_maximum(backend):
    # With g the gradient over the count: g_t = 1 where w_t > 0, at most 1 elsewhere.
    cells, H = table(40, 30), components(30, 6)
    H /= H.sum(axis=0)
    W, _ = mixture_weights(*cells, H, max_iter=20000, tol=1e-14, backend=backend)
    X = dense(*cells, 30)
    some = np.flatnonzero(X.any(axis=1))
    X, W = X[some], W[some]
    mixed = W @ H.T
    seen = mixed > 0
    ratio = np.divide(X, mixed, out=np.zeros_like(X), where=seen)
    gradient = ratio @ H / (X * seen).sum(axis=1, keepdims=True)
    assert np.all(np.abs(W.sum(axis=1) - 1) <= 1e-14) and W.min() >= 0
    assert np.all(gradient <= 1 + 1e-4)
    assert np.all(np.abs(gradient - 1)[W > 1e-3] <= 1e-4)


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_likelihood_never_falls(backend, dtype):
    cells, H = table(30, 25, dtype), components(25, 5, dtype, zeros=0)
    W = np.full((30, 5), 0.2, dtype)
    previous = likelihood(cells, H, W)
    for _ in range(20):
        W, _ = mixture_weights(*cells, H, W=W, max_iter=1, backend=backend)
        current = likelihood(cells, H, W)
        slack = (1e-5 if dtype == np.float32 else 1e-12) * (1 + np.abs(current))
        assert np.all(current >= previous - slack)
        previous = current


def test_a_mixture_is_found_again(backend):
    rng = np.random.default_rng(3)
    H = rng.dirichlet(np.ones(50), size=4).T
    truth = rng.dirichlet(np.ones(4), size=25)
    X = truth @ H.T
    indptr = np.arange(26) * 50
    cells = indptr, np.tile(np.arange(50), 25), X.ravel()
    W, _ = mixture_weights(*cells, H, max_iter=5000, tol=1e-12, backend=backend)
    assert np.abs(W - truth).max() <= 1e-5


def test_rows_stop_by_themselves(backend):
    H = np.array([[1.0, 0.0], [0.0, 1.0], [0.5, 0.1]])
    cells = [0, 3, 5, 6, 6], [0, 1, 2, 0, 1, 0], [1.0, 2.0, 3.0, 2.0, 2.0, 3.0]
    W, n_iter = mixture_weights(*cells, H, max_iter=1000, tol=1e-6, backend=backend)
    # Between the components: by and by. Half and half from the start. One component: two steps, of
    # which the second moves nothing. No cells: nothing moves.
    assert 2 < n_iter[0] < 1000 and list(n_iter[1:]) == [1, 2, 1]
    assert np.allclose(W[1:], [[0.5, 0.5], [1, 0], [0.5, 0.5]])
    _, longer = mixture_weights(*cells, H, max_iter=1000, backend=backend)
    assert longer[0] > n_iter[0] and np.array_equal(longer[1:], n_iter[1:])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_start_is_normalised_and_its_zeros_stay(backend, dtype):
    cells, H = table(10, 12, dtype), components(12, 4, dtype, zeros=0)
    start = np.random.default_rng(0).random((10, 4)).astype(dtype)
    start[:, 1] = 0
    start[3] = 0
    before = start.copy()
    W, _ = mixture_weights(*cells, H, W=start, max_iter=5, backend=backend)
    assert np.array_equal(start, before)
    assert np.all(W[[0, 1, 2, 5], 1] == 0)
    assert np.all(W[3] > 0)  # a row of zeros starts uniform
    assert np.allclose(W[4], start[4] / start[4].sum(), rtol=1e-6)  # has no cells
    scaled, _ = mixture_weights(*cells, H, W=8 * start, max_iter=5, backend=backend)
    assert np.array_equal(scaled, W)


@pytest.mark.parametrize("dtype", DTYPES)
def test_cells_that_no_component_explains_say_nothing(backend, dtype):
    H = np.array([[0.5, 0.25], [0, 0], [0.5, 0.75]], dtype)
    cells = [0, 3, 4, 6], [0, 1, 2, 1, 0, 2], np.array([1, 9, 2, 4, 1, 2], dtype)
    W, _ = mixture_weights(*cells, H, max_iter=50, backend=backend)
    assert np.allclose(W[0], W[2], rtol=1e-6) and np.all(W[1] == 0.5)
    start = np.array([[1, 0], [0, 1], [0, 1]], dtype)
    alone = np.array([[1, 0], [0, 1], [1, 0]], dtype)
    W, n_iter = mixture_weights([0, 1, 1, 1], [2], [3.0], alone, W=start, backend=backend)
    assert np.array_equal(W, start) and np.array_equal(n_iter, [1, 1, 1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_numbers_of_any_size(backend, dtype):
    far = 60 if dtype == np.float32 else 900
    (indptr, indices, data), H = table(20, 15, dtype), components(15, 5, dtype, zeros=0)
    plain, _ = mixture_weights(indptr, indices, data, H, max_iter=10, backend=backend)
    for counts, rows in [(far, far), (-far, -far), (far, -far), (-far, far)]:
        scale = np.where(np.arange(15) % 2, rows, 0)[:, None]
        found, _ = mixture_weights(
            indptr, indices, np.ldexp(data, counts), np.ldexp(H, scale), max_iter=10,
            backend=backend,
        )  # fmt: skip
        assert np.allclose(found, plain, rtol=1e-6, atol=1e-7)
    tiny = np.finfo(dtype).smallest_subnormal
    W, _ = mixture_weights([0, 2], [0, 1], [tiny, 1e30], np.array([[tiny, 0], [0, tiny]], dtype))
    assert np.isfinite(W).all() and np.allclose(W.sum(axis=1), 1)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("layout", LAYOUTS | COPIED_LAYOUTS)
def test_layouts_and_threads_give_the_same_bits(backend, layout, dtype, tmp_path):
    cells, H = table(300, 20, dtype), components(20, 6, dtype)
    arrange = (LAYOUTS | COPIED_LAYOUTS)[layout]
    arranged = [arrange(array[:, None], tmp_path)[:, 0] for array in cells]
    start = factor(np.random.default_rng(0), 300, 6, dtype)
    found = mixture_weights(
        *arranged, arrange(H, tmp_path), W=arrange(start, tmp_path), max_iter=5, n_threads=3,
        backend=backend,
    )  # fmt: skip
    expected = mixture_weights(*cells, H, W=start, max_iter=5, n_threads=1, backend=backend)
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_rows_do_not_see_each_other(backend):
    (indptr, indices, data), H = table(25, 30), components(30, 7)
    W, n_iter = mixture_weights(indptr, indices, data, H, max_iter=30, tol=1e-3, backend=backend)
    for i in range(25):
        cells = slice(indptr[i], indptr[i + 1])
        alone = mixture_weights(
            [0, cells.stop - cells.start], indices[cells], data[cells], H, max_iter=30, tol=1e-3,
            backend=backend,
        )  # fmt: skip
        assert np.array_equal(alone[0][0], W[i]) and alone[1][0] == n_iter[i]


def test_no_rows_and_no_cells(backend):
    W, n_iter = mixture_weights([0], [], [], np.ones((3, 2)), backend=backend)
    assert W.shape == (0, 2) and n_iter.shape == (0,)
    W, n_iter = mixture_weights([0, 0], [], [], np.ones((0, 3)), backend=backend)
    assert np.allclose(W, 1 / 3) and np.array_equal(n_iter, [1])


def test_one_component(backend):
    W, _ = mixture_weights([0, 2], [0, 2], [1.0, 2.0], np.ones((3, 1)), backend=backend)
    assert np.array_equal(W, [[1.0]])
