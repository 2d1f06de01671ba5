"""L2 notices what is wrong with a tile although its numbers may come out right."""

import shutil

import numpy as np
import pytest

from tests.cuda.compiling import ARCHITECTURES, SOURCES, compile_kernels, find_nvcc
from tests.cuda.ptxsim import Counters, PtxError, run

pytestmark = pytest.mark.skipif(
    find_nvcc() is None, reason="nvcc was found neither in PATH nor in /usr/local/cuda or a wheel"
)

KERNEL = "cl::argmin_tiles<cl::Wide<float, true>>"
TENSOR = {"kernel": "cl::argmin_tiles<cl::TensorTile<128, 64, 2, true>>", "threads": 128}
ROWS, COLUMNS, FEATURES = 150, 70, 68
BARRIER = "    __syncthreads();\n"
STRIDE = "stride = BK + 16 / static_cast<int>(sizeof(T))"


def labels_of(folder, shift=0, counters=None, kernel=KERNEL, threads=256):
    """Labels of a few rows by the screen of the nearest row that the folder has the source of."""
    text = '#include "pairwise_argmin.cuh"\n'
    module = compile_kernels(text, [kernel], folder, ARCHITECTURES[:1])
    rng = np.random.default_rng(0)
    X = rng.standard_normal(ROWS * FEATURES + shift).astype(np.float32)[shift:]
    X = X.reshape(ROWS, FEATURES)
    Y = rng.standard_normal((COLUMNS, FEATURES)).astype(np.float32)
    labels, best = np.zeros(ROWS, np.int32), np.zeros((2, ROWS), np.float32)
    args = [X, np.int64(ROWS), np.int32(FEATURES), None, np.float32(1), Y, np.int64(COLUMNS)]
    args += [None, labels, *best]
    run(module.ptx, module.symbols[kernel], 2, threads, args, counters)
    return labels, (X.astype(np.float64) @ Y.T).argmax(axis=1)


@pytest.fixture
def changed(tmp_path):
    """A function that changes a tile in a copy of the sources, whose folder it returns."""

    def change(parts, joined, name="tile.cuh"):
        for file in SOURCES.glob("*.cuh"):
            shutil.copy(file, tmp_path)
        text = (tmp_path / name).read_text("utf-8").split(parts)
        assert len(text) > 1
        (tmp_path / name).write_text(joined(text), "utf-8")
        return tmp_path

    return change


def test_the_tile_as_it_is():
    labels, expected = labels_of(SOURCES)
    np.testing.assert_array_equal(labels, expected)


@pytest.mark.parametrize("barrier", [0, 1])
def test_a_barrier_less_is_a_race(changed, barrier):
    def without(parts):
        assert len(parts) == 3
        return BARRIER.join(parts[: barrier + 1]) + BARRIER.join(parts[barrier + 1 :])

    with pytest.raises(PtxError, match="race in shared memory"):
        labels_of(changed(BARRIER, without))


def test_rows_out_of_line_are_misaligned():
    with pytest.raises(PtxError, match="misaligned global access"):
        labels_of(SOURCES, shift=1)


def test_a_row_too_many_is_out_of_bounds(changed):
    bound = "if (e * apart < left)"
    with pytest.raises(PtxError, match="out of bounds"):
        labels_of(changed(bound, lambda parts: "if (e * apart <= left)".join(parts)))


def test_tiles_without_padding_have_bank_conflicts(changed):
    folder = changed(STRIDE, lambda parts: "stride = BK".join(parts))
    counters = Counters()
    labels, expected = labels_of(folder, counters=counters)
    np.testing.assert_array_equal(labels, expected)
    assert counters.shared.over_ideal > 2


def test_the_tile_of_tensor_cores_as_it_is():
    labels, expected = labels_of(SOURCES, **TENSOR)
    np.testing.assert_array_equal(labels, expected)


def test_copies_that_nobody_waits_for_are_a_race(changed):
    slip = "await_copies<stages - 1>()".join
    folder = changed("await_copies<stages - 2>()", slip, "tensor_tile.cuh")
    with pytest.raises(PtxError, match="race in shared memory"):
        labels_of(folder, **TENSOR)


def test_copies_into_what_is_being_read_are_a_race(changed):
    folder = changed(
        "        __syncthreads();  // everybody's", "        // nobody's".join, "tensor_tile.cuh"
    )
    with pytest.raises(PtxError, match="race in shared memory"):
        labels_of(folder, **TENSOR)


def test_a_ring_that_is_too_short_is_a_race(changed):
    folder = changed("free_stage = stages - 1", "free_stage = stages - 2".join, "tensor_tile.cuh")
    with pytest.raises(PtxError, match="race in shared memory"):
        labels_of(folder, **TENSOR)
