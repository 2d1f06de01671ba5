// AVX-512 (x86-64-v4).
#include "prelude.hpp"

#ifdef CL_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")
#endif

#define CL_NAMESPACE avx512
#define CL_NAME "avx512"
#define CL_TARGET_AVX512 1
#define CL_VECTOR_BYTES 64
#define CL_TILE_F32 12
#define CL_TILE_F32_SMALL 8
#define CL_TILE_F64 8
#include "target.inl"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace cl {
const Target* avx512_target() {
#ifdef CL_X86
  return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                 __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl")
             ? &avx512::table
             : nullptr;
#else
  return nullptr;
#endif
}
}  // namespace cl
