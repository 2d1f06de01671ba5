// AVX2 with fused multiply-add (x86-64-v3).
#include "prelude.hpp"

#ifdef CL_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx2,fma")
#endif

#define CL_NAMESPACE avx2
#define CL_NAME "avx2"
#define CL_TARGET_AVX2 1
#define CL_VECTOR_BYTES 32
#define CL_TILE_F32 6
#define CL_TILE_F32_SMALL 4
#define CL_TILE_F64 4
#include "target.inl"

#if defined(__clang__)
#pragma clang attribute pop
#else
#pragma GCC pop_options
#endif
#endif

namespace cl {
const Target* avx2_target() {
#ifdef CL_X86
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") ? &avx2::table : nullptr;
#else
  return nullptr;
#endif
}
}  // namespace cl
