"""Which tile a problem is swept with, and rows of a carrier."""

import numpy as np
import pytest

from clusterlib.blocks import as_blocks
from clusterlib.kernels import pairwise_argmin, pairwise_distances
from clusterlib.kernels._cupy.tiles import choose_tile


def chosen(runtime, m, d, dtype, tensor=True, start=0):
    Y = runtime.to_device(np.zeros(m * d + start, dtype))[start:].reshape(m, d)
    return choose_tile(runtime.to_device(np.zeros((5, d), dtype)), Y, tensor=tensor)


@pytest.mark.parametrize(("capability", "tensor"), [(75, False), (80, True), (90, True)])
def test_tensor_cores_are_used_where_they_read_tf32(emulation, capability, tensor):
    emulation.capability = capability
    assert chosen(emulation, 33, 8, np.float32).tensor == tensor
    assert not chosen(emulation, 33, 8, np.float32, tensor=False).tensor
    assert not chosen(emulation, 33, 8, np.float64).tensor


def test_few_columns_take_a_narrow_tile(emulation):
    for dtype in (np.float32, np.float64):
        assert "Narrow" in chosen(emulation, 32, 8, dtype).expression
        assert "Wide" in chosen(emulation, 33, 8, dtype, tensor=False).expression


@pytest.mark.parametrize(("dtype", "lanes"), [(np.float32, 4), (np.float64, 2)])
def test_sixteen_bytes_are_read_where_all_rows_begin_so(emulation, dtype, lanes):
    for d in range(1, 9):
        aligned = str(d % lanes == 0).lower()
        assert f", {aligned}>" in chosen(emulation, 40, d, dtype).expression
    for start in range(5):
        aligned = str(start % lanes == 0).lower()
        assert f", {aligned}>" in chosen(emulation, 40, 8, dtype, start=start).expression


@pytest.mark.parametrize("kernel", [pairwise_argmin, pairwise_distances])
def test_two_dtypes_are_refused(emulated, kernel):
    X, Y = emulated.to_device(np.ones((3, 2))), emulated.to_device(np.ones((3, 2), np.float32))
    with pytest.raises(TypeError, match=r"one dtype on a CUDA device, got float64 and float32"):
        kernel(X, Y)


def test_rows_of_a_carrier(emulated):
    X = np.arange(20.0).reshape(10, 2)
    blocks = as_blocks(emulated.to_device(X))
    assert np.array_equal(emulated.to_host(blocks.rows(2, 5)), X[2:5])
    assert np.array_equal(emulated.to_host(blocks.take([7, 0])), X[[7, 0]])
