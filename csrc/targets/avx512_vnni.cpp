// AVX-512 with 16-bit dot products (VNNI): the same engine with a second, narrower screen.
#include "prelude.hpp"

#ifdef CL_X86
#if defined(__clang__)
#pragma clang attribute push(__attribute__((target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma"))), apply_to = function)
#else
#pragma GCC push_options
#pragma GCC target("avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")
#endif

#define CL_NAMESPACE avx512_vnni
#define CL_NAME "avx512_vnni"
#define CL_TARGET_AVX512 1
#define CL_TARGET_VNNI 1
#define CL_NARROW_LEAST_ROWS 64
#define CL_NARROW_LEAST_FEATURES 6
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
const Target* avx512_vnni_target() {
#ifdef CL_X86
  return avx512_target() != nullptr && __builtin_cpu_supports("avx512vnni") ? &avx512_vnni::table
                                                                           : nullptr;
#else
  return nullptr;
#endif
}
}  // namespace cl
