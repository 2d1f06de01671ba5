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
  template <int i>
  CL_DEVICE float at() const {
    return i == 0 ? v.x : i == 1 ? v.y : i == 2 ? v.z : v.w;
  }
};
template <>
struct Vector<double> {
  static constexpr int lanes = 2;
  double2 v;
  CL_DEVICE void load(const double* p) { v = *reinterpret_cast<const double2*>(p); }
  template <int i>
  CL_DEVICE double at() const {
    return i == 0 ? v.x : v.y;
  }
};

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

}  // namespace cl
