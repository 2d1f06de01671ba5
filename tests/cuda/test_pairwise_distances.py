"""The full matrix of distances for CUDA devices, emulated: against the reference, within bounds."""

import numpy as np
import pytest

from clusterlib.kernels import pairwise_distances
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.helpers import DTYPES, METRICS
from tests.kernels.bounds import assert_distances_within_bound

# (n, m, d): around tiles of 128 (64 in float64) x 64 or 32, chunks of 32 (16) features, vectors of
# 4 (2) numbers, and primes.
SHAPES = [
    *((1, 1, 1), (2, 3, 4), (63, 32, 3), (64, 33, 16), (65, 31, 32), (127, 63, 33), (128, 64, 8)),
    *((129, 65, 17), (7, 131, 64), (257, 5, 2), (1, 127, 61)),
]
# Both tiles, and rows that begin at multiples of 16 bytes or not.
KINDS = [(65, 70, 8), (65, 70, 7), (130, 9, 8), (130, 9, 7)]


def rows(count, d, dtype, seed=0, scale=1.0):
    return (np.random.default_rng(seed).standard_normal((count, d)) * scale).astype(dtype)


def exact(X, Y, metric):
    wide = X.astype(np.float64), Y.astype(np.float64)
    return pairwise_distances(*wide, metric=metric, backend="reference")


def on_device(runtime, X, Y=None, **options):
    """Distances between device copies of the rows, on the host."""
    copies = runtime.to_device(X), None if Y is None else runtime.to_device(Y)
    return runtime.to_host(pairwise_distances(*copies, **options))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_all_shapes(emulated, dtype, metric):
    for seed, (n, m, d) in enumerate(SHAPES):
        X, Y = rows(n, d, dtype, 2 * seed), rows(m, d, dtype, 2 * seed + 1)
        D = on_device(emulated, X, Y, metric=metric)
        assert D.shape == (n, m) and D.dtype == dtype
        assert_distances_within_bound(D, exact(X, Y, metric), X, Y, metric)


@pytest.mark.parametrize("metric", METRICS)
def test_no_rows(emulated, metric):
    for n, m in ((0, 3), (3, 0), (0, 0)):
        D = on_device(emulated, np.ones((n, 2)), np.ones((m, 2)), metric=metric)
        assert D.shape == (n, m)


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_with_themselves(emulated, dtype):
    X = rows(67, 5, dtype) + 100
    for metric in METRICS:
        D = on_device(emulated, X, metric=metric)
        assert_distances_within_bound(D, exact(X, X, metric), X, X, metric)
        if metric in ("sqeuclidean", "euclidean"):
            assert np.array_equal(np.diagonal(D), np.zeros(67))


@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_of_equal_rows_are_never_negative(emulated, dtype):
    X = rows(67, 5, dtype) * 100  # expansions leave rounding errors of both signs
    for metric in ("sqeuclidean", "euclidean", "cosine"):
        D = on_device(emulated, X, X.copy(), metric=metric)
        assert np.all(D >= 0)
        assert_distances_within_bound(D, exact(X, X, metric), X, X, metric)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_scales_and_offsets(emulated, dtype, metric):
    extreme = [1e-22, 1e18] if dtype == np.float32 else [1e-250, 1e-170, 1e152]
    for scale in extreme:
        X, Y = rows(33, 9, dtype, 1, scale), rows(35, 9, dtype, 2, scale)
        D = on_device(emulated, X, Y, metric=metric)
        assert np.all(np.isfinite(D))
        expected = exact(X, Y, metric)
        assert_distances_within_bound(D, expected, X, Y, metric)
        if metric != "inner_product" and expected.min() > 100 * np.finfo(dtype).tiny:
            assert np.allclose(D, expected, rtol=1e3 * np.finfo(dtype).eps)
    X, Y = rows(33, 9, dtype, 3) + 1000, rows(35, 9, dtype, 4) + 1000
    D = on_device(emulated, X, Y, metric=metric)
    assert_distances_within_bound(D, exact(X, Y, metric), X, Y, metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_distances_out_of_range_are_infinite(emulated, dtype):
    big = 1e19 if dtype == np.float32 else 1e160
    X, Y = np.zeros((1, 3), dtype), np.array([[big, big, big], [1.0, 2.0, 2.0]], dtype)
    squares = on_device(emulated, X, Y)
    assert squares[0, 0] == np.inf if dtype == np.float64 else np.isfinite(squares[0, 0])
    beyond = on_device(emulated, X, (3 * Y[:1] if dtype == np.float32 else Y[:1]))
    assert np.array_equal(beyond, [[np.inf]])
    roots = on_device(emulated, X, Y[:1], metric="euclidean")
    assert np.allclose(roots, np.sqrt(3.0) * big, rtol=1e-6)
    products = on_device(emulated, 3 * Y[:1], np.array([[big] * 3, [-big] * 3], dtype),
                         metric="inner_product")  # fmt: skip
    assert np.array_equal(products, [[-np.inf, np.inf]])


@pytest.mark.parametrize("dtype", DTYPES)
def test_cosine_of_rows_of_very_different_lengths(emulated, dtype):
    lengths = np.array([0.0, 1e-30, 1e-15, 1.0, 1e15], dtype)[:, None]
    X, Y = rows(5, 6, dtype, 5) * lengths, rows(5, 6, dtype, 6) * lengths[::-1]
    D = on_device(emulated, X, Y, metric="cosine")
    assert_distances_within_bound(D, exact(X, Y, "cosine"), X, Y, "cosine")
    assert np.all(D[0] == 1) and np.all(D[:, -1] == 1)
    if dtype == np.float64:  # what underflows beside the largest value counts as zeros
        apart = 1e-200 * rows(3, 6, dtype, 7), 1e200 * rows(4, 6, dtype, 8)
        assert np.all(exact(*apart, "cosine") == 1)
        assert np.all(on_device(emulated, *apart, metric="cosine") == 1)
        assert np.all(on_device(emulated, *apart[::-1], metric="cosine") == 1)
    same = on_device(emulated, X[1:], X[1:], metric="cosine")
    assert np.all(same >= 0) and np.all(np.diagonal(same) <= 40 * np.finfo(dtype).eps)


@pytest.mark.parametrize("dtype", DTYPES)
def test_bits_depend_on_no_order(compiler, dtype):
    for n, m, d in KINDS:
        results = []
        for order in ORDERS:
            with use(EmulatedRuntime(order, seed=3)) as runtime:
                results.append(on_device(runtime, rows(n, d, dtype, 1), rows(m, d, dtype, 2)))
        assert all(np.array_equal(results[0], other) for other in results[1:])


def test_result_goes_where_it_is_told(emulated):
    X, Y = emulated.to_device(rows(5, 3, np.float32)), emulated.to_device(rows(4, 3, np.float32))
    out = emulated.empty((5, 4), np.float32)
    assert pairwise_distances(X, Y, out=out) is out
    assert np.array_equal(emulated.to_host(out), emulated.to_host(pairwise_distances(X, Y)))
    for shape, dtype in (((4, 5), np.float32), ((5, 4), np.float64)):
        with pytest.raises(ValueError, match=r"out must have shape \(5, 4\) and dtype float32"):
            pairwise_distances(X, Y, out=emulated.empty(shape, dtype))
    with pytest.raises(TypeError, match="out is on the host"):
        pairwise_distances(X, Y, out=np.empty((5, 4), np.float32))


def test_rows_that_begin_at_odd_addresses(emulation):
    X, Y = rows(70, 8, np.float32, 1), rows(40, 8, np.float32, 2)
    memory = emulation.to_device(np.concatenate([[0.0], X.ravel()]).astype(np.float32))
    D = pairwise_distances(memory[1:].reshape(70, 8), emulation.to_device(Y))
    assert "false" in emulation.launched[-1][0].kernel
    assert np.array_equal(emulation.to_host(D), on_device(emulation, X, Y))
    assert "true" in emulation.launched[-1][0].kernel


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("metric", METRICS)
def test_values_that_are_not_finite_are_refused(emulated, metric, value):
    good, bad = rows(40, 5, np.float32), rows(40, 5, np.float32)
    bad[33, 4] = value
    for X, Y, name in ((good, bad, "Y"), (bad, good, "X")):
        with pytest.raises(ValueError, match=f"{name} contains NaN or infinity"):
            on_device(emulated, X, Y, metric=metric)


def test_bad_arguments(emulated):
    X, Y = rows(3, 2, np.float32), rows(4, 2, np.float32)
    device = emulated.to_device(X)
    with pytest.raises(TypeError, match="Y is on the host"):
        pairwise_distances(device, Y)
    with pytest.raises(TypeError, match="X is on the host"):
        pairwise_distances(X, emulated.to_device(Y))
    with pytest.raises(TypeError, match="one dtype"):
        pairwise_distances(device, emulated.to_device(Y.astype(np.float64)))
    with pytest.raises(TypeError, match="must be float32 or float64"):
        pairwise_distances(device.astype(np.int32))
    with pytest.raises(ValueError, match="same number of features"):
        pairwise_distances(device, emulated.to_device(Y[:, :1]))
    with pytest.raises(ValueError, match="metric must be one of"):
        pairwise_distances(device, metric="manhattan")
    with pytest.raises(ValueError, match="backend must be None, 'auto' or 'cupy'"):
        pairwise_distances(device, backend="native")


def test_result_may_not_overlap_the_rows(emulated):
    room = emulated.to_device(np.ones((9, 4)))
    other = emulated.to_device(np.ones((4, 4)))
    for X, Y, out in ((room[:4], other, room[2:6]), (other, room[5:], room[5:])):
        with pytest.raises(ValueError, match="out must not overlap X or Y in memory"):
            pairwise_distances(X, Y, out=out)
    pairwise_distances(room[:4], other, out=room[4:8])


@pytest.mark.parametrize("dtype", DTYPES)
def test_rows_at_both_ends_of_the_range(emulated, dtype):
    # The largest difference leaves the range, others do not.
    unit = float(np.finfo(dtype).max) / 3.5
    X, Y = (np.array(v, dtype)[:, None] * dtype(unit) for v in ([3, -3, -2.5], [-3, -2.9, -2]))
    D = on_device(emulated, X, Y, metric="euclidean")
    with np.errstate(over="ignore"):
        expected = np.abs(X - Y.T)
    assert np.array_equal(np.isinf(D), np.isinf(expected)) and np.isinf(D).any()
    finite = np.isfinite(expected)
    assert np.all(np.abs(D[finite] / unit - expected[finite] / unit) < 0.01)
    assert np.all(on_device(emulated, X, Y)[expected > 0] == np.inf)
