"""Moments of classes on the emulated device against extended precision and the host."""

import numpy as np
import pytest

from clusterlib.kernels import LEAF_ROWS, class_moments, merge_moments
from clusterlib.kernels._cupy import moments as passes
from clusterlib.kernels._cupy.sorted_rows import sort_rows
from tests.cuda.emul.arguments import Shifted
from tests.cuda.emul.emulator import ORDERS
from tests.helpers import DTYPES
from tests.kernels.test_moments import U, assert_within_bound, problem

in_any_order = pytest.mark.parametrize("emulated", ORDERS, indirect=True)


def moments_on(device, X, labels, k, weight=None):
    weight = None if weight is None else device.to_device(weight)
    on_device = device.to_device(X), device.to_device(labels)
    return class_moments(*on_device, k, sample_weight=weight)


def on_host(device, moments):
    return type(moments)(*map(device.to_host, moments))


# Around the widths of the tiles (16, 32, 64), with one tile and with several.
@pytest.mark.parametrize("dtype", DTYPES)
@in_any_order
def test_all_sizes(emulated, dtype):
    shapes = [(0, 3, 2), (1, 1, 1), (2, 16, 1), (65, 17, 3), (40, 32, 2), (50, 33, 16), (70, 65, 2)]
    for n, d, k in shapes:
        X, labels, weight = problem(n, d, k, dtype)
        for w in (None, weight):
            moments = on_host(emulated, moments_on(emulated, X, labels, k, w))
            assert_within_bound(moments, X, labels, k, w)
            assert np.array_equal(moments.weights, class_moments(X, labels, k, sample_weight=w)[0])


@in_any_order
def test_chunks_of_rows(emulated):
    # More chunks than one for a class, several runs within one, and a class with none.
    n, d, k = 5 * LEAF_ROWS + 77, 3, 4
    X, labels, weight = problem(n, d, k, np.float32)
    labels[labels == 2] = 3
    for w in (None, weight):
        moments = on_host(emulated, moments_on(emulated, X, labels, k, w))
        assert_within_bound(moments, X, labels, k, w)
    assert (moments.scatters[2] == 0).all()


def test_longer_chunks_where_parts_would_be_large(emulation, monkeypatch):
    X, labels, weight = problem(7000, 5, 2, np.float64)
    several = on_host(emulation, moments_on(emulation, X, labels, 2, weight))
    monkeypatch.setattr(passes, "_PART_BYTES", 400)  # of two chunks
    longer = on_host(emulation, moments_on(emulation, X, labels, 2, weight))
    chunks = [
        grid[0] for instance, grid in emulation.launched if "scatter_chunks" in instance.kernel
    ]
    assert chunks[0] > 4 >= chunks[1]
    for moments in (several, longer):
        assert_within_bound(moments, X, labels, 2, weight)


@pytest.mark.parametrize("dtype", DTYPES)
def test_far_from_the_origin(emulated, dtype):
    far, unit = (2.0**23, 2.0) if dtype == np.float32 else (2.0**50, 1.0)
    rng = np.random.default_rng(0)
    near = unit * rng.integers(-9, 9, (3000, 3))
    labels = rng.integers(0, 2, len(near)).astype(np.int32)
    moments = on_host(emulated, moments_on(emulated, (near + far).astype(dtype), labels, 2))
    expected = class_moments(near, labels, 2)
    assert np.abs(moments.means - far - expected.means).max() <= 2 * U * far
    assert np.allclose(moments.scatters, expected.scatters, rtol=1e-12, atol=0)


def test_blocks_merge_where_they_lie(emulated):
    X, labels, weight = problem(300, 4, 3, np.float32)
    parts = [
        moments_on(emulated, X[s], labels[s], 3, weight[s]) for s in (slice(99), slice(99, 300))
    ]
    merged = merge_moments(*parts)
    assert all(map(emulated.owns, merged))
    assert_within_bound(on_host(emulated, merged), X, labels, 3, weight)


def test_skipped_rows_and_empty_classes(emulated):
    X = np.array([[1.0, 2.0], [np.nan, 0.0], [3.0, 2.0], [5.0, 5.0]])
    weight = np.array([1.0, 1, 1, 0])
    moments = on_host(emulated, moments_on(emulated, X, np.array([0, -1, 0, 2]), 4, weight))
    assert np.array_equal(moments.weights, [2, 0, 0, 0])
    assert np.array_equal(moments.means, [[2, 2], [0, 0], [0, 0], [0, 0]])
    assert np.array_equal(moments.scatters[0], [[2, 0], [0, 0]])
    assert (moments.scatters[1:] == 0).all()


def test_offsets_beyond_the_range_of_int(emulation):
    n, d, k, before = 1100, 40, 1, 1 << 26
    X, labels, weight = problem(n, d, k, np.float32)
    order = sort_rows(emulation.to_device(0 * labels), k)
    chunks = passes._chunks_of(order, n, d)
    first = 2**31 // (d * (d + 1)) + 1
    instance = passes._CHUNKS[X.dtype, 64]
    means = emulation.to_device(X[:1].astype(np.float64))
    results = []
    for shift, block in ((0, 0), (before, first)):
        parts = emulation.zeros((2, d + 1, d), np.float64)
        emulation.launch_blocks(
            instance, (block + 2, 1), block, block + 2,
            Shifted(emulation.to_device(X), shift * d), np.int32(d),
            Shifted(emulation.to_device(weight), shift), order.rows + shift,
            Shifted(chunks.bounds, 2 * block), Shifted(chunks.labels, block), means,
            Shifted(parts, block * d * (d + 1)),
        )  # fmt: skip
        results.append(emulation.to_host(parts))
    assert results[0].any()
    assert np.array_equal(*results)


def test_bad_input(emulated):
    X, labels, weight = problem(7, 2, 3, np.float64)
    on_device, L = emulated.to_device(X), emulated.to_device(labels)
    with pytest.raises(TypeError, match="labels is on the host"):
        class_moments(on_device, labels, 3)
    with pytest.raises(TypeError, match="sample_weight is on the host"):
        class_moments(on_device, L, 3, sample_weight=weight)
    with pytest.raises(ValueError, match="sample_weight must be finite and at least 0"):
        class_moments(on_device, L, 3, sample_weight=emulated.to_device(-weight))
    with pytest.raises(ValueError, match="labels must be below n_classes=3, got 3"):
        moments_on(emulated, X, np.full(7, 3), 3)
    with pytest.raises(ValueError, match="X .or the sum of its rows. contains NaN"):
        moments_on(emulated, X * np.nan, labels * 0, 1)
    with pytest.raises(ValueError, match="scatters overflow"):
        moments_on(emulated, np.array([[-1e200], [1e200]]), np.zeros(2, dtype=int), 1)
    with pytest.raises(ValueError, match="X must have at most 23104 features"):
        moments_on(emulated, np.zeros((1, 23105), np.float32), np.zeros(1, dtype=int), 1)
