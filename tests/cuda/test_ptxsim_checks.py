"""The simulator of PTX refuses kernels with one fault each, and counts what others ask for."""

import numpy as np
import pytest

from tests.cuda.compiling import ARCHITECTURES, compile_kernels, find_nvcc
from tests.cuda.ptxsim import Counters, PtxError, run

pytestmark = pytest.mark.skipif(
    find_nvcc() is None, reason="nvcc was found neither in PATH nor in /usr/local/cuda or a wheel"
)

FAULTS = """
template <int FAULT> __global__ void faulty(const float* x, float* out, int n) {
  __shared__ float s[128];
  const int i = threadIdx.x;
  s[i] = x[i];
  if (FAULT != 1) __syncthreads();
  float v = s[127 - i];
  if (FAULT == 2) v += x[i + n];
  if (FAULT == 3) {
    const float4 w = reinterpret_cast<const float4*>(x + 1)[i / 8];
    v += w.x + w.y + w.z + w.w;
  }
  if (FAULT == 4 && v > 0) __syncthreads();
  if (FAULT == 5 && i >= n / 2) return;
  __syncthreads();
  if (FAULT == 6) { if (i % 32 == 0) s[i] = 1; v += s[i & ~31]; }
  if (FAULT == 7) { if (i % 32 == 0) s[i] = 1; __syncwarp(); v += s[i & ~31]; }
  if (FAULT == 8 && v > 0) v = __shfl_xor_sync(0xffffffffu, v, 1);
  if (FAULT == 9) { out[0] = v; return; }
  if (FAULT == 10) { while (v != 0.125f) v = v * 1.f; }
  if (FAULT == 11) s[0] = v;
  if (FAULT == 12) asm volatile("nanosleep.u32 100;");
  if (FAULT == 13) s[i + 100] = v;
  if (FAULT == 14) atomicAdd(out, v);
  if (FAULT == 15) v = static_cast<float>(pow(double(v), double(n)));
  out[i] = v;
}
"""
MESSAGES = {
    1: "race in shared memory",
    2: "read out of bounds: byte 512 of argument 0",
    3: "misaligned global access of 16 bytes",
    4: "divergent barrier",
    5: "64 have left",
    6: "race in shared memory",
    8: "deadlock",
    9: "different values at the same address",
    10: "does not come to an end",
    11: "race in shared memory",
    12: "unknown instruction.*nanosleep",
    13: "out of bounds of shared memory",
    14: "order is not fixed",
    15: "not inlined",
}
TRAFFIC = """
template <int STEP> __global__ void global_steps(const float* x, float* out) {
  out[threadIdx.x] = x[threadIdx.x * STEP];
}
template <int STEP> __global__ void shared_steps(float* out) {
  __shared__ float s[32 * 33];
  s[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = s[threadIdx.x * STEP];
}
template <int PAD> __global__ void shared_vectors(float* out) {
  __shared__ __align__(16) float s[32 * (32 + PAD)];
  const float4 v = *reinterpret_cast<const float4*>(s + threadIdx.x * (32 + PAD));
  out[threadIdx.x] = v.x + v.y + v.z + v.w;
}
"""
KERNELS = {
    FAULTS: [f"faulty<{fault}>" for fault in range(16)],
    TRAFFIC: [
        *(f"global_steps<{step}>" for step in (1, 2, 8, 0)),
        *(f"shared_steps<{step}>" for step in (1, 2, 32, 33, 0)),
        *(f"shared_vectors<{pad}>" for pad in (0, 4)),
    ],
}


def launch(text, kernel, grid, threads, *args, counters=None):
    module = compile_kernels(text, KERNELS[text], architectures=ARCHITECTURES[:1])
    run(module.ptx, module.symbols[kernel], grid, threads, args, counters)


def zeros(size):
    return np.zeros(size, np.float32)


def random_row():
    return (np.random.default_rng(0).standard_normal(128) * 3).astype(np.float32)


@pytest.mark.parametrize("fault", MESSAGES)
def test_faults_are_found(fault):
    x = random_row()
    with pytest.raises(PtxError, match=MESSAGES[fault]) as raised:
        launch(FAULTS, f"faulty<{fault}>", 1, 128, x, zeros(128), np.int32(128))
    assert "kernels.cu:" in str(raised.value)


def test_blocks_that_write_the_same_are_found():
    x, out = random_row(), zeros(128)
    with pytest.raises(PtxError, match="race in global memory"):
        launch(FAULTS, "faulty<0>", 2, 128, x, out, np.int32(128))


@pytest.mark.parametrize("fault", [0, 7])
def test_no_fault_is_found_where_there_is_none(fault):
    x, out = random_row(), zeros(128)
    launch(FAULTS, f"faulty<{fault}>", 1, 128, x, out, np.int32(128))
    np.testing.assert_array_equal(out, x[::-1] + (fault == 7))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ((None, zeros(128), np.int32(0)), "pointer to nothing"),
        ((zeros(64), zeros(128), np.int32(0)), "out of bounds"),
        ((zeros(128), zeros(127), np.int32(0)), "write out of"),
        ((zeros(128), zeros(128), np.int64(0)), "is a u32"),
        ((zeros(128), zeros(128)), "2 arguments for 3"),
    ],
)
def test_arguments_are_checked(given, message):
    with pytest.raises(PtxError, match=message):
        launch(FAULTS, "faulty<0>", 1, 128, *given)


@pytest.mark.parametrize(
    ("step", "sectors", "ideal"), [(1, 4, 4), (2, 8, 4), (8, 32, 4), (0, 1, 1)]
)
def test_sectors_are_counted(step, sectors, ideal):
    counters = Counters()
    kernel = f"global_steps<{step}>"
    launch(TRAFFIC, kernel, 1, 64, zeros(512), zeros(64), counters=counters)
    loads = counters.loads
    assert (loads.requests, loads.taken, loads.ideal) == (2, 2 * sectors, 2 * ideal)
    assert (counters.stores.requests, counters.stores.taken) == (2, 8)


def test_an_array_out_of_line_takes_one_sector_more():
    counters = Counters()
    launch(TRAFFIC, "global_steps<1>", 1, 32, zeros(512)[1:], zeros(32), counters=counters)
    assert (counters.loads.taken, counters.loads.ideal) == (5, 4)


@pytest.mark.parametrize(
    ("kernel", "wavefronts", "ideal"),
    [
        ("shared_steps<1>", 1, 1),
        ("shared_steps<2>", 2, 1),
        ("shared_steps<32>", 32, 1),
        ("shared_steps<33>", 1, 1),
        ("shared_steps<0>", 1, 1),
        ("shared_vectors<0>", 32, 4),
        ("shared_vectors<4>", 4, 4),
    ],
)
def test_wavefronts_are_counted(kernel, wavefronts, ideal):
    counters = Counters()
    launch(TRAFFIC, kernel, 1, 32, zeros(32), counters=counters)
    reads = list(counters.by_line.items())[-2][1] if "steps" in kernel else counters.shared
    assert (reads.requests, reads.taken, reads.ideal) == (1, wavefronts, ideal)
