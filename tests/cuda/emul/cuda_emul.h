// CUDA's vocabulary for g++, so that csrc/cuda runs on the CPU, one block after the other.
//
// It is meant to be stricter than a GPU: shared memory starts as NaN, threads of a block run in an
// order that the test chooses, barriers that not every thread reaches are an error, warp operations
// want whole warps, and atomic operations on floating point numbers do not compile.
#pragma once

#include <math.h>

#include <cstring>

#include "cuda_emul_block.h"

#define __global__
#define __device__
#define __host__
#define __launch_bounds__(...)
#define __forceinline__ inline __attribute__((always_inline))

// One array per block and per instance of the template that names it, as on the device.
#define CL_SHARED(type, name, dims)                                  \
  static char name##_key_;                                           \
  using name##_type_ = type dims;                                    \
  name##_type_& name = *static_cast<name##_type_*>(                  \
      ::emul::block->shared.get(&name##_key_, sizeof(name##_type_)))

// Where a barrier or a warp operation was written: the last parameters of each.
#define EMUL_PLACE const char *file = __builtin_FILE(), int line = __builtin_LINE()
#define EMUL_HERE \
  ::emul::Place { __func__, file, line }

// ---- vectors -------------------------------------------------------------------------------

#define EMUL_VECTOR_2(name, type, bytes)                \
  struct alignas(bytes) name {                          \
    type x, y;                                          \
  };                                                    \
  inline name make_##name(type x, type y) { return {x, y}; }
#define EMUL_VECTOR_4(name, type)                       \
  struct alignas(16) name {                             \
    type x, y, z, w;                                    \
  };                                                    \
  inline name make_##name(type x, type y, type z, type w) { return {x, y, z, w}; }
EMUL_VECTOR_2(float2, float, 8)
EMUL_VECTOR_2(double2, double, 16)
EMUL_VECTOR_2(int2, int, 8)
EMUL_VECTOR_2(uint2, unsigned, 8)
EMUL_VECTOR_2(longlong2, long long, 16)
EMUL_VECTOR_4(float4, float)
EMUL_VECTOR_4(int4, int)
EMUL_VECTOR_4(uint4, unsigned)

// ---- bits and numbers ----------------------------------------------------------------------

namespace emul {
template <class To, class From>
inline To bits(From value) {
  static_assert(sizeof(To) == sizeof(From), "sizes differ");
  To result;
  std::memcpy(&result, &value, sizeof result);
  return result;
}
}  // namespace emul

inline float __int_as_float(int x) { return emul::bits<float>(x); }
inline float __uint_as_float(unsigned x) { return emul::bits<float>(x); }
inline int __float_as_int(float x) { return emul::bits<int>(x); }
inline unsigned __float_as_uint(float x) { return emul::bits<unsigned>(x); }
inline double __longlong_as_double(long long x) { return emul::bits<double>(x); }
inline long long __double_as_longlong(double x) { return emul::bits<long long>(x); }

inline int __popc(unsigned x) { return __builtin_popcount(x); }
inline int __popcll(unsigned long long x) { return __builtin_popcountll(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __ffsll(long long x) { return __builtin_ffsll(x); }
inline int __clz(int x) { return x ? __builtin_clz(x) : 32; }
inline int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }

// Built with -ffp-contract=off: plain operations are rounded once each, to nearest.
#define EMUL_ROUNDED(letter, type, root)                                       \
  inline type __##letter##add_rn(type a, type b) { return a + b; }             \
  inline type __##letter##sub_rn(type a, type b) { return a - b; }             \
  inline type __##letter##mul_rn(type a, type b) { return a * b; }             \
  inline type __##letter##div_rn(type a, type b) { return a / b; }             \
  inline type __##letter##sqrt_rn(type a) { return root(a); }
EMUL_ROUNDED(f, float, sqrtf)
EMUL_ROUNDED(d, double, sqrt)
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline double __fma_rn(double a, double b, double c) { return fma(a, b, c); }
inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / sqrt(x); }

// Both arguments of one type: what CUDA makes of mixed ones is easily misread.
#define EMUL_MIN_MAX(type)                                    \
  inline type min(type a, type b) { return b < a ? b : a; }   \
  inline type max(type a, type b) { return a < b ? b : a; }
EMUL_MIN_MAX(int)
EMUL_MIN_MAX(unsigned)
EMUL_MIN_MAX(long long)
EMUL_MIN_MAX(unsigned long long)
inline float min(float a, float b) { return fminf(a, b); }
inline float max(float a, float b) { return fmaxf(a, b); }
inline double min(double a, double b) { return fmin(a, b); }
inline double max(double a, double b) { return fmax(a, b); }

template <class T>
inline T __ldg(const T* address) {
  return *address;
}

// ---- barriers and warps --------------------------------------------------------------------

inline void __syncthreads(EMUL_PLACE) { emul::wait_block(EMUL_HERE); }
inline void __syncwarp(unsigned mask = ~0u, EMUL_PLACE) {
  emul::whole_warp(mask, EMUL_HERE);
  emul::wait_warp(EMUL_HERE);
}

inline unsigned __ballot_sync(unsigned mask, int predicate, EMUL_PLACE) {
  emul::whole_warp(mask, EMUL_HERE);
  const unsigned long long* given = emul::publish(predicate != 0, EMUL_HERE);
  unsigned votes = 0;
  for (int lane = 0; lane < emul::kWarp; ++lane) votes |= unsigned(given[lane]) << lane;
  return votes;
}
inline int __any_sync(unsigned mask, int predicate, EMUL_PLACE) {
  return __ballot_sync(mask, predicate, file, line) != 0;
}
inline int __all_sync(unsigned mask, int predicate, EMUL_PLACE) {
  return __ballot_sync(mask, predicate, file, line) == ~0u;
}

// The source lane is computed as the instruction set's manual says for shfl.sync.
template <class T>
inline T __shfl_sync(unsigned mask, T value, int source, int width = 32, EMUL_PLACE) {
  const int first = emul::segment(mask, width, EMUL_HERE);
  return emul::shuffle(value, first | (source & (width - 1)), EMUL_HERE);
}
template <class T>
inline T __shfl_xor_sync(unsigned mask, T value, int other, int width = 32, EMUL_PLACE) {
  const int last = emul::segment(mask, width, EMUL_HERE) + width - 1;
  const int lane = emul::thread->lane, source = lane ^ (other & 31);
  return emul::shuffle(value, source <= last ? source : lane, EMUL_HERE);
}
template <class T>
inline T __shfl_down_sync(unsigned mask, T value, unsigned by, int width = 32, EMUL_PLACE) {
  const int last = emul::segment(mask, width, EMUL_HERE) + width - 1;
  const int lane = emul::thread->lane, source = lane + int(by & 31);
  return emul::shuffle(value, source <= last ? source : lane, EMUL_HERE);
}
template <class T>
inline T __shfl_up_sync(unsigned mask, T value, unsigned by, int width = 32, EMUL_PLACE) {
  const int first = emul::segment(mask, width, EMUL_HERE);
  const int lane = emul::thread->lane, source = lane - int(by & 31);
  return emul::shuffle(value, source >= first ? source : lane, EMUL_HERE);
}

// ---- atomics on integers -------------------------------------------------------------------

namespace emul {
template <class T, class... Allowed>
constexpr bool one_of = (std::is_same_v<T, Allowed> || ...);
template <class T>
using value_of = std::enable_if_t<true, T>;  // is not deduced

template <class T, class Change>
inline T replace(T* address, Change change) {
  T old = __atomic_load_n(address, __ATOMIC_RELAXED);
  while (!__atomic_compare_exchange_n(address, &old, change(old), false, __ATOMIC_RELAXED,
                                      __ATOMIC_RELAXED)) {
  }
  return old;
}
}  // namespace emul

#define EMUL_ATOMIC(name, expression, ...)                                             \
  template <class T>                                                                   \
  inline T name(T* address, emul::value_of<T> value) {                                 \
    static_assert(emul::one_of<T, __VA_ARGS__>, #name " of this type is not allowed"); \
    return emul::replace(address, [value](T old) -> T { return expression; });         \
  }
EMUL_ATOMIC(atomicAdd, old + value, int, unsigned, unsigned long long)
EMUL_ATOMIC(atomicExch, value, int, unsigned, unsigned long long)
EMUL_ATOMIC(atomicOr, old | value, int, unsigned, unsigned long long)
EMUL_ATOMIC(atomicAnd, old & value, int, unsigned, unsigned long long)
EMUL_ATOMIC(atomicMax, old < value ? value : old, int, unsigned, long long, unsigned long long)
EMUL_ATOMIC(atomicMin, value < old ? value : old, int, unsigned, long long, unsigned long long)
template <class T>
inline T atomicCAS(T* address, emul::value_of<T> compare, emul::value_of<T> value) {
  static_assert(emul::one_of<T, int, unsigned, unsigned long long>, "atomicCAS of this type");
  return emul::replace(address, [=](T old) -> T { return old == compare ? value : old; });
}
