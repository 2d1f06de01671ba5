// What differs between compilers, and nothing else: nvcc and NVRTC build these sources for a GPU,
// g++ builds them with the emulation header of the tests. No file but this one has such branches.
//
// Bare NVRTC has no headers at all, so nothing is included here but the emulation.
#pragma once

#ifdef CL_EMULATE
#include "cuda_emul.h"
#else
// Shared memory of a block. The emulation fills it with NaN, so that a read before a write shows.
#define CL_SHARED(type, name, dims) __shared__ __align__(16) type name dims
#endif

#define CL_DEVICE __device__ __forceinline__

namespace cl {

constexpr unsigned kFullWarp = 0xffffffffu;

// For compute capability 10 the same code takes more registers: kernels that fill them have room
// for one block less on a multiprocessor.
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 1000
constexpr int kBlocksLess = 1;
#else
constexpr int kBlocksLess = 0;
#endif

template <class T>
CL_DEVICE T infinity();
template <>
CL_DEVICE float infinity<float>() {
  return __int_as_float(0x7f800000);
}
template <>
CL_DEVICE double infinity<double>() {
  return __longlong_as_double(0x7ff0000000000000ll);
}

// The smallest positive normal number.
template <class T>
CL_DEVICE T smallest_normal();
template <>
CL_DEVICE float smallest_normal<float>() {
  return __int_as_float(0x00800000);
}
template <>
CL_DEVICE double smallest_normal<double>() {
  return __longlong_as_double(0x0010000000000000ll);
}

CL_DEVICE float fused(float a, float b, float c) { return fmaf(a, b, c); }
CL_DEVICE double fused(double a, double b, double c) { return fma(a, b, c); }
CL_DEVICE float magnitude(float x) { return fabsf(x); }
CL_DEVICE double magnitude(double x) { return fabs(x); }
CL_DEVICE float root(float x) { return sqrtf(x); }
CL_DEVICE double root(double x) { return sqrt(x); }
CL_DEVICE float exponential(float x) { return expf(x); }
CL_DEVICE double exponential(double x) { return exp(x); }
CL_DEVICE float logarithm(float x) { return logf(x); }
CL_DEVICE double logarithm(double x) { return log(x); }

template <class T>
CL_DEVICE T larger(T a, T b) {
  return a > b ? a : b;
}
template <class T>
CL_DEVICE T smaller(T a, T b) {
  return a < b ? a : b;
}
// False for NaN too, without a function of a header.
template <class T>
CL_DEVICE bool is_finite(T x) {
  return magnitude(x) < infinity<T>();
}

// Sixteen bytes that are read from shared memory at once.
template <class T>
struct Vector;
template <>
struct Vector<float> {
  static constexpr int lanes = 4;
  float4 v;
  CL_DEVICE void load(const float* p) { v = *reinterpret_cast<const float4*>(p); }
};
template <>
struct Vector<double> {
  static constexpr int lanes = 2;
  double2 v;
  CL_DEVICE void load(const double* p) { v = *reinterpret_cast<const double2*>(p); }
};

// Reads or writes 16 aligned bytes at once, or a single number.
template <int width>
CL_DEVICE void load_vector(const float* p, float (&out)[width]) {
  if constexpr (width == 4) {
    const float4 v = *reinterpret_cast<const float4*>(p);
    out[0] = v.x, out[1] = v.y, out[2] = v.z, out[3] = v.w;
  } else {
    out[0] = *p;
  }
}
template <int width>
CL_DEVICE void load_vector(const double* p, double (&out)[width]) {
  if constexpr (width == 2) {
    const double2 v = *reinterpret_cast<const double2*>(p);
    out[0] = v.x, out[1] = v.y;
  } else {
    out[0] = *p;
  }
}
template <int width>
CL_DEVICE void store_vector(float* p, const float (&in)[width]) {
  if constexpr (width == 4)
    *reinterpret_cast<float4*>(p) = make_float4(in[0], in[1], in[2], in[3]);
  else
    *p = in[0];
}
template <int width>
CL_DEVICE void store_vector(double* p, const double (&in)[width]) {
  if constexpr (width == 2)
    *reinterpret_cast<double2*>(p) = make_double2(in[0], in[1]);
  else
    *p = in[0];
}

// acc + <a, b> over the lanes, one fused multiply-add after the other.
CL_DEVICE float accumulate(const Vector<float>& a, const Vector<float>& b, float acc) {
  acc = fmaf(a.v.x, b.v.x, acc);
  acc = fmaf(a.v.y, b.v.y, acc);
  acc = fmaf(a.v.z, b.v.z, acc);
  return fmaf(a.v.w, b.v.w, acc);
}
CL_DEVICE double accumulate(const Vector<double>& a, const Vector<double>& b, double acc) {
  acc = fma(a.v.x, b.v.x, acc);
  return fma(a.v.y, b.v.y, acc);
}

// Begins to copy `width` floats to shared memory, zeros if they are not there; the copies of a
// thread since the last close_copies are a group, and await_copies<left> waits for all groups of
// the thread but the last `left`. The emulation copies at once.
template <int width>
CL_DEVICE void copy_async(float* to, const float* from, bool there) {
#ifdef CL_EMULATE
  for (int i = 0; i < width; ++i) to[i] = there ? from[i] : 0.0f;
#else
  const unsigned target = static_cast<unsigned>(__cvta_generic_to_shared(to));
  const int bytes = there ? 4 * width : 0;
  if constexpr (width == 4)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(target), "l"(from), "r"(bytes));
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], 4, %2;" ::"r"(target), "l"(from), "r"(bytes));
#endif
}

CL_DEVICE void close_copies() {
#ifndef CL_EMULATE
  asm volatile("cp.async.commit_group;");
#endif
}

template <int left>
CL_DEVICE void await_copies() {
#ifndef CL_EMULATE
  asm volatile("cp.async.wait_group %0;" ::"n"(left) : "memory");
#endif
}

// The ten leading fraction bits of x, rounded to nearest: what tensor cores read of a float.
CL_DEVICE float leading_bits(float x) {
  return __uint_as_float((__float_as_uint(x) + 0x1000u) & 0xffffe000u);
}

// A warp's c += a b for 16 x 8 by 8 x 8 numbers in TF32. With g = lane / 4 and t = lane % 4 a lane
// holds a = {A[g][t], A[g + 8][t], A[g][t + 4], A[g + 8][t + 4]}, b = {B[t][g], B[t + 4][g]} and
// c = {C[g][2 t], C[g][2 t + 1], C[g + 8][2 t], C[g + 8][2 t + 1]}.
CL_DEVICE void multiply_fragments(float& c0, float& c1, float& c2, float& c3, const float (&a)[4],
                                  const float (&b)[2]) {
#ifdef CL_EMULATE
  const int lane = static_cast<int>(threadIdx.x) % 32, row = lane / 4 * 4, column = lane % 4 * 8;
  for (int k = 0; k < 8; ++k) {
    const float read_a[2] = {__uint_as_float(__float_as_uint(a[k / 4 * 2]) & 0xffffe000u),
                             __uint_as_float(__float_as_uint(a[k / 4 * 2 + 1]) & 0xffffe000u)};
    const float read_b = __uint_as_float(__float_as_uint(b[k / 4]) & 0xffffe000u);
    const float upper = __shfl_sync(kFullWarp, read_a[0], row + k % 4);
    const float lower = __shfl_sync(kFullWarp, read_a[1], row + k % 4);
    const float left = __shfl_sync(kFullWarp, read_b, column + k % 4);
    const float right = __shfl_sync(kFullWarp, read_b, column + 4 + k % 4);
    c0 += upper * left, c1 += upper * right, c2 += lower * left, c3 += lower * right;
  }
#else
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, "
      "{%0,%1,%2,%3};"
      : "+f"(c0), "+f"(c1), "+f"(c2), "+f"(c3)
      : "r"(__float_as_uint(a[0])), "r"(__float_as_uint(a[1])), "r"(__float_as_uint(a[2])),
        "r"(__float_as_uint(a[3])), "r"(__float_as_uint(b[0])), "r"(__float_as_uint(b[1])));
#endif
}

}  // namespace cl
