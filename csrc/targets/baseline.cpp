// The ABI floor: SSE2 on x86-64, NEON-sized vectors without fused operations elsewhere.
#include "prelude.hpp"

#define CL_NAMESPACE baseline
#define CL_NAME "baseline"
#define CL_VECTOR_BYTES 16
#define CL_TILE_F32 4
#define CL_TILE_F32_SMALL 4
#define CL_TILE_F64 4
#include "target.inl"

namespace cl {
const Target* baseline_target() { return &baseline::table; }
}  // namespace cl
