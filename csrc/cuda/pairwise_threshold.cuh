// How many rows of Y lie within a distance of each row of X, by the defined evaluation.
#pragma once
#include "defined_value.cuh"

namespace cl {

// Block (i, s): row i against columns [s * part, (s + 1) * part). Sums of whole numbers do not
// depend on the order of the atomic additions. Counts start at 0.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    count_within(const T* __restrict__ X, int d, const T* __restrict__ Y, long long m, int kind,
                 int metric, int exponent, double exact_scale, const double* __restrict__ lengths,
                 const double* __restrict__ threshold, long long part,
                 unsigned long long* __restrict__ counts) {
  constexpr int warps = kRowThreads / 32;
  CL_SHARED(int, found, [warps]);
  const long long row = blockIdx.x;
  const T* x = X + row * d;
  const double limit = threshold[row];
  const double length = metric == kCosineMetric ? defined_length(x, d, true, exact_scale) : 0.0;
  const long long end = smaller(m, part * (blockIdx.y + 1));
  int within = 0;
  for (long long column0 = part * blockIdx.y; column0 < end; column0 += kRowsAtOnce) {
    const long long column = column0 + row_group();
    const bool inside = column < end;
    const double value = defined_value(x, Y, column, d, inside, exact_scale, kind, lengths);
    const bool counts_here = inside && row_lane() == 0 &&
                             defined_distance(value, metric, exponent, length) <= limit;
    within += __popc(__ballot_sync(kFullWarp, counts_here));
  }
  if (threadIdx.x % 32 == 0) found[threadIdx.x / 32] = within;
  __syncthreads();
  if (threadIdx.x == 0) {
    unsigned long long sum = 0;
    for (int w = 0; w < warps; ++w) sum += static_cast<unsigned long long>(found[w]);
    atomicAdd(counts + row, sum);
  }
}

}  // namespace cl
