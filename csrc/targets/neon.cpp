// NEON with fused multiply-add: every aarch64 machine has it.
#include "prelude.hpp"

#if defined(__aarch64__)
#define CL_NAMESPACE neon
#define CL_NAME "neon"
#define CL_TARGET_NEON 1
#define CL_VECTOR_BYTES 16
#define CL_TILE_F32 8
#define CL_TILE_F32_SMALL 4
#define CL_TILE_F64 4
#include "target.inl"
#endif

namespace cl {
const Target* neon_target() {
#if defined(__aarch64__)
  return &neon::table;
#else
  return nullptr;
#endif
}
}  // namespace cl
