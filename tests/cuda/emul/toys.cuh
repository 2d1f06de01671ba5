// Small kernels that try the tools of the tests: right ones, and one for every mistake.
#pragma once
#include "cuda_emul.h"

namespace toy {

inline constexpr unsigned kFull = 0xffffffffu;

template <bool BARRIER>
__global__ void block_sum(const float* __restrict__ x, float* __restrict__ sums) {
  CL_SHARED(float, part, [64]);
  const int t = threadIdx.x;
  part[t] = x[blockIdx.x * 64 + t];
  for (int apart = 32; apart > 0; apart /= 2) {
    if (BARRIER) __syncthreads();
    if (t < apart) part[t] += part[t + apart];
  }
  if (t == 0) sums[blockIdx.x] = part[0];
}

__global__ void scaled(const float* x, long long n, float factor, float* out) {
  const long long i = static_cast<long long>(blockIdx.x) * blockDim.x + threadIdx.x;
  if (i < n) out[i] = factor * x[i];
}
template <int N>
__global__ void empty() {}

__global__ void row_of(const float* x, long long row, int stride, float* out) {
  out[threadIdx.x] = x[row * stride + threadIdx.x];
}

__global__ void block_of(int* out) {
  if (threadIdx.x == 0)
    out[blockIdx.y * gridDim.x + blockIdx.x] = blockIdx.y * 1000 + blockIdx.x;
}

__global__ void tickets(int* out) {
  if (out[0] < 0) out[0] = 0;
  out[1 + atomicAdd(out, 1)] = blockIdx.x * blockDim.x + threadIdx.x;
}

#define TOY_SHUFFLE(name, operation)                         \
  template <class T>                                         \
  __global__ void name(int width, int by, T* out) {          \
    out[threadIdx.x] = operation(kFull, T(threadIdx.x), by, width); \
  }
TOY_SHUFFLE(shuffle_idx, __shfl_sync)
TOY_SHUFFLE(shuffle_up, __shfl_up_sync)
TOY_SHUFFLE(shuffle_down, __shfl_down_sync)
TOY_SHUFFLE(shuffle_xor, __shfl_xor_sync)

__global__ void votes(const int* x, unsigned* out) {
  const int given = x[threadIdx.x], warp = threadIdx.x / 32;
  const unsigned ballot = __ballot_sync(kFull, given);
  const int any = __any_sync(kFull, given), all = __all_sync(kFull, given);
  if (threadIdx.x % 32 == 7) out[3 * warp] = ballot, out[3 * warp + 1] = any, out[3 * warp + 2] = all;
}

__global__ void atomics(const int* x, int* out) {
  const int value = x[blockIdx.x * blockDim.x + threadIdx.x];
  atomicAdd(reinterpret_cast<unsigned*>(out), unsigned(value));
  atomicMax(out + 1, value);
  atomicMin(out + 2, value);
  atomicOr(out + 3, value);
  atomicAnd(out + 4, value | 1);
  for (int seen = 0;;) {
    const int old = atomicCAS(out + 5, seen, seen + 1);
    if (old == seen) break;
    seen = old;
  }
}

__global__ void rounded(float a, float b, float c, float* out) {
  if (threadIdx.x == 0) {
    out[0] = __fadd_rn(__fmul_rn(a, b), c);
    out[1] = fmaf(a, b, c);
    out[2] = a * b + c;
  }
}

// ---- mistakes ------------------------------------------------------------------------------

__global__ void barrier_for_half_a_warp(float*) {
  if (threadIdx.x % 32 < 16) __syncthreads();
}
__global__ void barrier_for_one_warp(float*) {
  if (threadIdx.x < 32) __syncthreads();
}
__global__ void two_barriers(float*) {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
}
__global__ void shuffle_in_half_a_warp(float* out) {
  if (threadIdx.x % 32 < 16) out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0f, 1);
}
__global__ void different_warp_operations(float* out) {
  if (threadIdx.x % 32 < 16)
    out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0f, 1);
  else
    __syncwarp();
}
__global__ void shuffle_of_a_part(float* out) {
  out[threadIdx.x] = __shfl_xor_sync(0x0000ffffu, 1.0f, 1);
}
__global__ void shuffle_width(float* out) {
  out[threadIdx.x] = __shfl_xor_sync(kFull, 1.0f, 1, 12);
}
__global__ void beyond_shared(float* out) {
  CL_SHARED(float, part, [64]);
  int t = threadIdx.x + 1;
  part[t] = 0.0f;
  __syncthreads();
  out[threadIdx.x] = part[threadIdx.x];
}
__global__ void beyond_shared_by_pointer(float* out) {
  CL_SHARED(float, part, [64]);
  float* end = part + 32;
  end[32 + threadIdx.x / 32] = 0.0f;
  out[threadIdx.x] = 0.0f;
}
__global__ void too_much_shared(float* out) {
  CL_SHARED(float, first, [6 * 1024]);
  CL_SHARED(float, second, [6 * 1024 + 1]);
  out[threadIdx.x] = first[0] = second[0] = 0.0f;
}
__global__ void wrong_address(float* out) {
  out[threadIdx.x + (1ll << 44)] = 0.0f;
}
__global__ void division_by_zero(float* out) {
  int zero = threadIdx.x / 1024;
  out[threadIdx.x] = float(7 % zero);
}
template <bool BARRIER>
__global__ void neighbour(float* out) {
  CL_SHARED(float, part, [64]);
  part[threadIdx.x] = threadIdx.x;
  if (BARRIER) __syncthreads();
  out[threadIdx.x] = part[threadIdx.x ^ 32];
}
// A shuffle orders the lanes of a warp, but not the warps.
__global__ void neighbour_after_shuffle(float* out) {
  CL_SHARED(float, part, [64]);
  part[threadIdx.x] = threadIdx.x;
  const int lane = __shfl_sync(kFull, int(threadIdx.x), 0);
  out[threadIdx.x] = part[(threadIdx.x ^ 32) + lane * 0];
}
__global__ void reads_beyond(const float* x, float* out) {
  out[threadIdx.x] = x[threadIdx.x + 1];
}
__global__ void misaligned(const float* x, float* out) {
  out[threadIdx.x] = reinterpret_cast<const float4*>(x + 1)->x;
}

}  // namespace toy
