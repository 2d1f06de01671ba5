"""The scaling form for CUDA devices, emulated: against the reference, within its contract."""

import numpy as np
import pytest

from clusterlib.kernels import scaling_iterate, weighted_gram_product
from clusterlib.kernels._cupy import scaling
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.emulator import ORDERS
from tests.cuda.test_sinkhorn import on_device
from tests.helpers import DTYPES
from tests.kernels.test_scaling import assert_close, kernel
from tests.kernels.transport_cases import SUM_ERROR

SHAPES = [(1, 1), (31, 9), (32, 255), (33, 256), (67, 257), (2, 1031), (1100, 3)]


def iterate(runtime, K, a, b, **options):
    """Scalings and history, of the device or with None of the reference."""
    u, v = np.full(K.shape[0], np.nan), np.ones(K.shape[1])
    if runtime is None:
        return u, v, scaling_iterate(K, a, b, u, v, backend="reference", **options)
    return u, v, on_device(runtime, scaling_iterate, K, a, b, u, v, **options)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", SHAPES)
def test_all_sizes(emulated, shape, dtype):
    K, a, b = kernel(*shape, dtype)
    for relaxation in (1.0, 0.5, 1.5):
        options = {"relaxation": relaxation, "n_iters": 3}
        expected = iterate(None, K, a, b, **options)
        # Everything is in float64, whatever the dtype of K.
        assert_close(np.float64, iterate(emulated, K, a, b, **options), expected, growth=2.0)


def test_tolerance_stops_before_the_step(emulated):
    K, a, b = kernel(50, 30, np.float64)
    u, v, history = iterate(emulated, K, a, b, n_iters=500, tol=1e-7)
    assert 1 < len(history) < 500 and history[-1] <= 1e-7 < history[-2]
    again = iterate(emulated, K, a, b, n_iters=len(history))
    assert np.array_equal(again[0], u) and np.array_equal(again[2], history)
    assert not np.array_equal(again[1], v)


@pytest.mark.parametrize("dtype", DTYPES)
def test_leaving_the_range_is_told(emulated, dtype):
    K, a, b = kernel(20, 10, dtype)
    K[3] = 0  # underflown
    a[3] = 0.1
    for limit in (10.0, 1e6, 1e100):
        expected = iterate(None, K, a, b, n_iters=20, limit=limit)
        u, v, history = iterate(emulated, K, a, b, n_iters=20, limit=limit)
        assert len(history) == len(expected[2]) == 1
        assert u[3] == limit**2 and np.all(v[b > 0] > 0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(0, 5), *SHAPES])
def test_weighted_gram_products(emulated, shape, dtype, monkeypatch):
    rng = np.random.default_rng(shape)
    K = rng.normal(size=shape).astype(dtype)
    weight, vector = rng.normal(size=shape[0]), rng.normal(size=shape[1])
    wide = K.astype(np.float64)
    expected = wide.T @ (weight * (wide @ vector))
    size = np.abs(wide).T @ (np.abs(weight) * (np.abs(wide) @ np.abs(vector)))
    product = on_device(emulated, weighted_gram_product, K, weight, vector)
    assert np.all(np.abs(product - expected) <= SUM_ERROR * 2.0**-53 * size)
    monkeypatch.setattr(scaling, "_LEAVES", 4)
    assert np.array_equal(on_device(emulated, weighted_gram_product, K, weight, vector), product)


@pytest.mark.parametrize("emulated", ORDERS[1:], indirect=True)
def test_the_order_of_threads_changes_no_bit(emulated):
    K, a, b = kernel(67, 300, np.float32)

    def all_results(runtime):
        product = on_device(runtime, weighted_gram_product, K, a, b)
        return *iterate(runtime, K, a, b, n_iters=2), product

    results = all_results(emulated)
    with use(type(emulated)(ORDERS[0])) as first:
        expected = all_results(first)
    assert all(np.array_equal(x, y) for x, y in zip(results, expected, strict=True))


def test_bad_values_are_refused(emulated):
    K, a, b = kernel(5, 4, np.float64)
    v = np.ones(4)
    v[0] = 0.0
    with pytest.raises(ValueError, match="v must be positive and finite where there is weight"):
        on_device(emulated, scaling_iterate, K, a, b, np.ones(5), v)
    with pytest.raises(ValueError, match="a must be finite and at least 0"):
        on_device(emulated, scaling_iterate, K, -a, b, np.ones(5), np.ones(4))
    with pytest.raises(TypeError, match="weight is on the host"):
        weighted_gram_product(emulated.to_device(K), a, emulated.to_device(b))
