// Sums over fixed leaves of rows, merged by the fixed pairwise tree: the same bits for any number
// of threads, and for any cut into blocks of 2^j leaves.
#pragma once
#include <cstddef>

namespace cl {

// Rows of a leaf of the Sinkhorn kernels: clusterlib.kernels.leaves.SWEEP_ROWS.
inline constexpr std::ptrdiff_t kSweepRows = 256;

// Adds the terms of one leaf to `sums`, which are zero before. Leaves of one worker do not overlap.
using LeafTerms = void (*)(void* context, std::ptrdiff_t leaf, double* sums, int worker);

// out[0, size) = the sum of all leaves; `threads` as resolved by resolve_threads(., leaves).
void sum_over_leaves(std::ptrdiff_t leaves, std::ptrdiff_t size, int threads, LeafTerms add,
                     void* context, double* out);

}  // namespace cl
