// Products with a stored kernel K and its transpose: the scaling form of Sinkhorn's iterations, and
// K' diag(w) K x. Rows first, columns second: two reads of K. Scalings may leave the range of
// float32, so everything is multiplied and added up in float64.
#pragma once
#include "sinkhorn_rows.cuh"

namespace cl {

// h = K x of one row, and what it becomes: w h, or with a limit w / h, which is limit^2 where that
// is no positive number. One block for each row.
template <class T>
__global__ void __launch_bounds__(kSweepThreads)
    scaled_rows(const T* __restrict__ K, int m, const double* __restrict__ x,
                const double* __restrict__ weight, double limit, double* __restrict__ scaled) {
  CL_SHARED(double, slots, [kSweepWarps]);
  const long long row = blockIdx.x;
  double total = 0.0;
#pragma unroll 8
  for (int c = threadIdx.x; c < m; c += kSweepThreads)
    total = fused(static_cast<double>(K[row * m + c]), x[c], total);
  total = team_sum(total, kSweepThreads, slots);
  if (threadIdx.x == 0) {
    const double w = weight[row];
    double result = limit > 0.0 ? w / total : w * total;
    if (limit > 0.0 && !(result > 0.0 && result < infinity<double>())) result = limit * limit;
    scaled[row] = limit > 0.0 && !(w > 0.0) ? 0.0 : result;
  }
}

// Sums over the rows of a leaf of K_ij u_i, as (leaves, m). One block for each leaf and panel of
// 256 columns.
template <class T>
__global__ void __launch_bounds__(kSweepThreads)
    scaled_panels(const T* __restrict__ K, long long n, int m, int panels,
                  const double* __restrict__ scaled, long long first_leaf,
                  double* __restrict__ partial) {
  const int c = static_cast<int>(blockIdx.x % panels) * kSweepThreads + threadIdx.x;
  const long long leaf = blockIdx.x / panels, row0 = (first_leaf + leaf) * kLeafRows;
  if (c < m) {
    double sum = 0.0;
#pragma unroll 8
    for (int k = 0; k < kLeafRows; ++k)
      if (row0 + k < n)
        sum = fused(static_cast<double>(K[(row0 + k) * m + c]), scaled[row0 + k], sum);
    partial[leaf * m + c] = sum;
  }
}

}  // namespace cl
