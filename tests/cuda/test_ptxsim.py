"""The simulator of PTX computes what NumPy does."""

import functools

import numpy as np
import pytest

from tests.cuda.compiling import ARCHITECTURES, compile_kernels, find_nvcc
from tests.cuda.ptxsim import Counters, run

pytestmark = pytest.mark.skipif(
    find_nvcc() is None, reason="nvcc was found neither in PATH nor in /usr/local/cuda or a wheel"
)

SOURCE = """
template <class T> __global__ void functions(const T* x, const T* y, T* out, int n) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  const T a = x[i], b = y[i];
  const T values[] = {a + b, a - b, a * b, a / b, sqrt(a), exp(b), log(a), fma(a, b, b),
                      fmin(a, b), fmax(a, b), -a, fabs(b), floor(b), rint(b),
                      a < b ? a : b, T(int(b)), T((long long)(a)), rsqrt(a), exp2(b)};
  for (int k = 0; k < 19; ++k) out[k * n + i] = values[k];
}
template <class T> __global__ void integers(const T* x, const T* y, T* out, int n) {
  const int i = threadIdx.x;
  const T a = x[i], b = y[i];
  const T values[] = {a + b, a - b, a * b, a / b, a % b, a / 7, a % 10, a << 3, a >> 2, a & b,
                      a | b, a ^ b, ~a, min(a, b), max(a, b), a > b, T(a >> (b & 15)),
                      T(a << (b & 15)), a == b ? a : T(-b), T(float(b))};
  for (int k = 0; k < 20; ++k) out[k * n + i] = values[k];
}
template <class T> __global__ void bits(const T* x, int* out, int n) {
  const int i = threadIdx.x;
  const unsigned long long wide = x[i] * 0x9e3779b97f4a7c15ull;
  out[i] = __popc(x[i]);
  out[n + i] = __clz(x[i]);
  out[2 * n + i] = __brev(x[i]);
  out[3 * n + i] = __byte_perm(x[i], i, 0x5140);
  out[4 * n + i] = __umulhi(x[i], 0xdeadbeefu);
  out[5 * n + i] = __popcll(wide) + (int)(__umul64hi(wide, wide) & 0xffff);
  out[6 * n + i] = __funnelshift_l(x[i], (unsigned)i, 5) + ((x[i] >> 5) & 0x7f);
}
template <class T> __global__ void warps(const T* x, T* out, unsigned* votes, int n) {
  const int i = threadIdx.x;
  const unsigned all = 0xffffffffu;
  const T v = x[i];
  out[i] = __shfl_xor_sync(all, v, 5);
  out[n + i] = __shfl_down_sync(all, v, 3, 8);
  out[2 * n + i] = __shfl_up_sync(all, v, 2);
  out[3 * n + i] = __shfl_sync(all, v, 7, 16);
  votes[i] = __ballot_sync(all, v > 0);
  votes[n + i] = __any_sync(all, v > 2) * 2 + __all_sync(all, v > -9);
  votes[2 * n + i] = 0;
  if (i & 1) votes[2 * n + i] = __activemask();
}
template <class T> __global__ void block_sums(const T* x, T* out, long long n, int* count) {
  __shared__ T partial[128];
  T sum = 0;
  for (long long i = threadIdx.x; i < n; i += 128) sum += x[i * gridDim.x + blockIdx.x];
  partial[threadIdx.x] = sum;
  __syncthreads();
  for (int half = 64; half > 0; half /= 2) {
    if (threadIdx.x < half) partial[threadIdx.x] += partial[threadIdx.x + half];
    __syncthreads();
  }
  if (threadIdx.x == 0) out[blockIdx.x] = partial[0];
  if (partial[0] > 0) atomicAdd(count, 1);
  atomicMax(count + 1, (int)threadIdx.x * 3);
}
template <class T> __global__ void own_memory(const T* x, T* out, const int* places) {
  T values[16];
  for (int k = 0; k < 16; ++k) values[k] = x[threadIdx.x] * k;
  int at = places[threadIdx.x];
  for (int k = 0; k < places[threadIdx.x]; ++k) { values[at] += 1; at = (at * 5 + 3) & 15; }
  T sum = 0;
  for (int k = 0; k < 16; ++k) sum += values[k] * (k + 1);
  out[threadIdx.x] = sum;
}
template <class T> __global__ void fragments(const T* x, const T* y, T* z) {
  const int g = threadIdx.x / 4, t = threadIdx.x % 4;
  float c[4];
  unsigned a[4], b[2];
  for (int e = 0; e < 4; ++e) {
    c[e] = z[(g + e / 2 * 8) * 8 + 2 * t + e % 2];
    a[e] = __float_as_uint(x[(g + e % 2 * 8) * 8 + t + e / 2 * 4]);
  }
  for (int e = 0; e < 2; ++e) b[e] = __float_as_uint(y[(t + e * 4) * 8 + g]);
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
  for (int e = 0; e < 4; ++e) z[(g + e / 2 * 8) * 8 + 2 * t + e % 2] = c[e];
}
"""


@functools.cache
def compiled():
    kernels = {
        "functions": ("float", "double"),
        "integers": ("int", "unsigned", "long long", "unsigned long long"),
        "bits": ("unsigned",),
        "warps": ("float", "double", "int"),
        "block_sums": ("float", "double"),
        "own_memory": ("float", "double"),
        "fragments": ("float",),
    }
    named = [f"{name}<{t}>" for name, types in kernels.items() for t in types]
    return compile_kernels(SOURCE, named, architectures=ARCHITECTURES[:1])


def launch(kernel, grid, threads, *args, counters=None):
    module = compiled()
    run(module.ptx, module.symbols[kernel], grid, threads, args, counters)


def random(kind, size, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.standard_normal(size) * 3).astype(kind)


@pytest.mark.parametrize(("name", "kind"), [("float", np.float32), ("double", np.float64)])
def test_functions_of_floats(name, kind):
    n = 200
    a, b = np.abs(random(kind, n)) + kind(0.01), random(kind, n, 1)
    out = np.full((19, n), np.nan, kind)
    launch(f"functions<{name}>", 2, 128, a, b, out, np.int32(n))
    x, y = a.astype(np.longdouble), b.astype(np.longdouble)
    expected = [x + y, x - y, x * y, x / y, np.sqrt(x), np.exp(y), np.log(x), x * y + y]
    expected += [np.minimum(x, y), np.maximum(x, y), -x, np.abs(y), np.floor(y), np.rint(y)]
    expected += [np.minimum(x, y), np.trunc(y), np.trunc(x), 1 / np.sqrt(x), np.exp2(y)]
    for row, (got, wanted) in enumerate(zip(out, expected, strict=True)):
        # The library's exp and log are right to a few units of the last place.
        np.testing.assert_allclose(got, wanted, rtol=32 * np.finfo(kind).eps, err_msg=str(row))
    np.testing.assert_array_equal(out[:5], np.array([a + b, a - b, a * b, a / b, np.sqrt(a)]))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("int", np.int32),
        ("unsigned", np.uint32),
        ("long long", np.int64),
        ("unsigned long long", np.uint64),
    ],
)
def test_integers(name, kind):
    n = 64
    rng = np.random.default_rng(3)
    limits = np.iinfo(kind)
    a = rng.integers(limits.min, limits.max, n, kind)
    b = rng.integers(max(limits.min, -1000), 1000, n, kind)
    b[b == 0] = 1
    out = np.zeros((20, n), kind)
    launch(f"integers<{name}>", 1, n, a, b, out, np.int32(n))
    whole = [int(v) for v in a], [int(v) for v in b]
    expected = np.array([_integer_results(p, q, kind) for p, q in zip(*whole, strict=True)]).T
    np.testing.assert_array_equal(out, expected.astype(kind))


def _integer_results(a, b, kind):
    bits, low = np.iinfo(kind).bits, int(np.iinfo(kind).min)

    def wrapped(value):
        return (value - low) % (1 << bits) + low

    def quotient(p, q):
        return abs(p) // abs(q) * (1 if (p < 0) == (q < 0) else -1)

    values = [a + b, a - b, a * b, quotient(a, b), a - quotient(a, b) * b, quotient(a, 7)]
    values += [a - quotient(a, 10) * 10, a << 3, a >> 2, a & b, a | b, a ^ b, ~a, min(a, b)]
    values += [max(a, b), int(a > b), a >> (b & 15), a << (b & 15), a if a == b else -b, b]
    return np.array([wrapped(value) for value in values], object)


def test_bits():
    n = 64
    x = np.random.default_rng(5).integers(0, 1 << 32, n, np.uint32)
    x[:3] = 0, 1, 0xFFFFFFFF
    out = np.zeros((7, n), np.int32)
    launch("bits<unsigned>", 1, n, x, out, np.int32(n))
    for i, v in enumerate(map(int, x)):
        bytes_ = [*v.to_bytes(4, "little"), *i.to_bytes(4, "little")]
        wide = v * 0x9E3779B97F4A7C15 % (1 << 64)
        expected = [
            v.bit_count(),
            32 - v.bit_length(),
            int(f"{v:032b}"[::-1], 2),
            int.from_bytes([bytes_[0], bytes_[4], bytes_[1], bytes_[5]], "little"),
            v * 0xDEADBEEF >> 32,
            wide.bit_count() + (wide * wide >> 64 & 0xFFFF),
            (((i << 32 | v) << 5 >> 32) + (v >> 5 & 0x7F)) % (1 << 32),
        ]
        assert [int(got) % (1 << 32) for got in out[:, i]] == expected


@pytest.mark.parametrize(
    ("name", "kind"), [("float", np.float32), ("double", np.float64), ("int", np.int32)]
)
def test_lanes_of_a_warp_exchange_values(name, kind):
    n = 96
    x, lane = random(kind, n, 7), np.arange(n)
    out, votes = np.zeros((4, n), kind), np.zeros((3, n), np.uint32)
    launch(f"warps<{name}>", 1, n, x, out, votes, np.int32(n))
    in_warp = lane % 32
    down = np.where(lane % 8 + 3 < 8, lane + 3, lane)
    up = np.where(in_warp >= 2, lane - 2, lane)
    np.testing.assert_array_equal(out, x[[lane ^ 5, down, up, lane // 16 * 16 + 7]])
    for warp in range(3):
        members = x[32 * warp : 32 * warp + 32]
        ballot = sum(1 << int(i) for i in np.flatnonzero(members > 0))
        assert set(votes[0, 32 * warp : 32 * warp + 32]) == {ballot}
        both = 2 * (members > 2).any() + (members > -9).all()
        assert set(votes[1, 32 * warp : 32 * warp + 32]) == {both}
    np.testing.assert_array_equal(votes[2], np.where(lane % 2, 0xAAAAAAAA, 0))


@pytest.mark.parametrize(("name", "kind"), [("float", np.float32), ("double", np.float64)])
def test_blocks_share_memory_and_count_atomically(name, kind):
    n, blocks = 300, 70
    x, out = random(kind, (n, blocks)), np.zeros(blocks, kind)
    count = np.zeros(2, np.int32)
    launch(f"block_sums<{name}>", blocks, 128, x, out, np.int64(n), count)
    np.testing.assert_allclose(out, x.sum(axis=0, dtype=np.float64), atol=n * np.finfo(kind).eps)
    np.testing.assert_array_equal(count, [128 * np.count_nonzero(out > 0), 127 * 3])


@pytest.mark.parametrize(("name", "kind"), [("float", np.float32), ("double", np.float64)])
def test_arrays_of_one_thread(name, kind):
    x = random(kind, 64)
    places = np.random.default_rng(1).integers(0, 16, 64).astype(np.int32)
    out = np.zeros(64, kind)
    launch(f"own_memory<{name}>", 1, 64, x, out, places)
    values = x[:, None] * np.arange(16)
    for thread, steps in enumerate(places):
        at = steps
        for _ in range(steps):
            values[thread, at] += 1
            at = (at * 5 + 3) & 15
    expected = values @ np.arange(1, 17)
    np.testing.assert_allclose(out, expected, atol=1e3 * np.finfo(kind).eps)


def test_tensor_cores_multiply_the_leading_bits():
    x, y, z = (random(np.float32, shape) for shape in ((16, 8), (8, 8), (16, 8)))
    leading = [(v.view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32) for v in (x, y)]
    expected = z + leading[0].astype(np.float64) @ leading[1]
    counters = Counters()
    launch("fragments<float>", 1, 32, x, y, z, counters=counters)
    np.testing.assert_allclose(z, expected, rtol=2**-23)
    assert (np.abs(z) <= np.abs(expected)).all()
    assert counters.tensor == 16 * 8 * 8
