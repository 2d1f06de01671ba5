"""Counts within a distance for CUDA devices, emulated: exactly those of the reference."""

import numpy as np
import pytest

from clusterlib.kernels import pairwise_distances, pairwise_threshold
from clusterlib.kernels._cupy import pairwise_threshold as counting
from clusterlib.kernels._cupy.runtime import use
from tests.cuda.emul.emulator import ORDERS, EmulatedRuntime
from tests.cuda.test_pairwise_distances import SHAPES, rows
from tests.helpers import DTYPES, METRICS


def on_device(runtime, X, Y, threshold, **options):
    if isinstance(threshold, np.ndarray):
        threshold = runtime.to_device(threshold)
    counts = pairwise_threshold(runtime.to_device(X), runtime.to_device(Y), threshold, **options)
    return runtime.to_host(counts)


def check(runtime, X, Y, threshold, metric):
    counts = on_device(runtime, X, Y, threshold, metric=metric)
    assert counts.dtype == np.int64 and counts.shape == (len(X),)
    expected = pairwise_threshold(X, Y, threshold, metric=metric, backend="reference")
    assert np.array_equal(counts, expected)


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize("dtype", DTYPES)
def test_limits_that_are_distances(emulated, dtype, metric):
    # The limit of each row is the distance of one of its pairs in float64: one rounding more or
    # less anywhere and that pair does not count any more.
    for seed, (n, m, d) in enumerate(SHAPES):
        X, Y = rows(n, d, dtype, 2 * seed), rows(m, d, dtype, 2 * seed + 1)
        wide = X.astype(np.float64), Y.astype(np.float64)
        D = pairwise_distances(*wide, metric=metric, backend="reference")
        limits = D[np.arange(n), np.random.default_rng(seed).integers(0, m, n)]
        check(emulated, X, Y, limits, metric)
        check(emulated, X, Y, np.nextafter(limits, -np.inf), metric)


@pytest.mark.parametrize("metric", METRICS)
def test_infinite_limits_and_scales(emulated, metric):
    X, Y = rows(5, 3, np.float64, 1), rows(70, 3, np.float64, 2)
    assert np.array_equal(on_device(emulated, X, Y, np.inf, metric=metric), np.full(5, 70))
    assert np.array_equal(on_device(emulated, X, Y, -np.inf, metric=metric), np.zeros(5))
    assert np.array_equal(on_device(emulated, X, Y[:0], np.inf, metric=metric), np.zeros(5))
    assert len(on_device(emulated, X[:0], Y, 1.0, metric=metric)) == 0
    for scale in (1e-160, 1e160):
        limits = pairwise_distances(X[:, :2] * scale, Y[:5, :2] * scale, metric=metric,
                                    backend="reference")[:, 1]  # fmt: skip
        check(emulated, X[:, :2] * scale, Y[:, :2] * scale, limits, metric)


@pytest.mark.parametrize("dtype", DTYPES)
def test_parts_of_the_columns_add_up(compiler, monkeypatch, dtype):
    monkeypatch.setattr(counting, "_LEAST_PART", 251)
    X, Y = rows(3, 5, dtype, 1), rows(700, 5, dtype, 2)
    for order in ORDERS:
        with use(EmulatedRuntime(order, seed=1)) as runtime:
            check(runtime, X, Y, np.array([3.0, 5.0, 9.0]), "sqeuclidean")
            assert runtime.launched[-1][1] == (3, 3)


def test_bad_arguments(emulated):
    X = emulated.to_device(rows(3, 2, np.float32))
    with pytest.raises(ValueError, match="threshold must be finite"):
        pairwise_threshold(X, X, np.nan)
    with pytest.raises(TypeError, match="threshold is on the host"):
        pairwise_threshold(X, X, np.ones(3))
    bad = emulated.to_device(np.full((2, 2), np.nan, np.float32))
    with pytest.raises(ValueError, match="Y contains NaN or infinity"):
        pairwise_threshold(X, bad, 1.0)


def test_thresholds_below_the_normal_range(emulated):
    # Conversions of a library may take such numbers for 0.
    X, Y = np.zeros((3, 1), np.float32), np.array([[1e-42], [3e-42], [-2e-41]], np.float32)
    limits = np.array([2e-42, 1e-41, -1e-45], np.float32)
    arrays = (emulated.to_device(a) for a in (X, Y, limits))
    counts = emulated.to_host(pairwise_threshold(*arrays, metric="euclidean"))
    assert counts.tolist() == [1, 2, 0]
