// Sums of the rows of each cluster, bit for bit those of the host: in a leaf one row after the other,
// leaves merged pairwise, level by level.
//
// Rows come sorted by cluster, in rising order. A group of threads, one for each feature of a panel,
// walks the rows of one cluster in one span of 2^j leaves and merges leaves on the way, so that no
// table of a leaf is ever stored; spans are merged at the end.
#pragma once
#include "node_stack.cuh"

namespace cl {

constexpr int kSumThreads = 256;
constexpr int kLeafShift = 12;  // 4096 rows: clusterlib.kernels.leaves.LEAF_ROWS
constexpr int kSumBatch = 8;    // rows that are read before they are added

constexpr int kSpanLevels = 12, kMergeLevels = 12;

// The numbers of the next rows, of the last one beyond the end.
CL_DEVICE void read_batch(const int* rows, int at, int end, int (&row)[kSumBatch]) {
#pragma unroll
  for (int q = 0; q < kSumBatch; ++q) row[q] = at < end ? rows[at + q < end ? at + q : end - 1] : 0;
}

// parts[span * k * d + label * d + feature]; a group has `lanes` threads, a power of two up to 32.
template <class T>
__global__ void __launch_bounds__(kSumThreads, 2)
    sum_rows(const T* __restrict__ X, int d, const double* __restrict__ weight,
             const int* __restrict__ rows, const int* __restrict__ starts,
             const int* __restrict__ places, long long units, int units_of_span, int span_leaves,
             long long spans, long long k, int lanes, double* __restrict__ parts) {
  const long long thread = static_cast<long long>(blockIdx.x) * kSumThreads + threadIdx.x;
  const int panels = (d + lanes - 1) / lanes;
  const long long group = thread / lanes;
  const int feature = static_cast<int>(group % panels) * lanes + static_cast<int>(thread % lanes);
  const long long label = group / panels % k, span = group / panels / k;
  if (span < spans && feature < d) {
    const long long first_unit = span * units_of_span;
    const long long last_unit = first_unit + units_of_span < units ? first_unit + units_of_span : units;
    const int base = starts[label];
    const int begin = base + (first_unit > 0 ? places[(first_unit - 1) * k + label] : 0);
    const int end = base + places[(last_unit - 1) * k + label];
    const int first_leaf = static_cast<int>(span) * span_leaves;
    NodeStack<kSpanLevels> nodes;
    nodes.start();
    int leaf = begin < end ? (rows[begin] >> kLeafShift) - first_leaf : 0;
    double sum = 0;
    int row[kSumBatch];
    read_batch(rows, begin, end, row);
    for (int at = begin; at < end; at += kSumBatch) {
      int later[kSumBatch];  // asked for before this batch is waited for
      T x[kSumBatch];
      double w[kSumBatch];
#pragma unroll
      for (int q = 0; q < kSumBatch; ++q) {
        x[q] = X[static_cast<long long>(row[q]) * d + feature];
        w[q] = weight ? weight[row[q]] : 1.0;
      }
      read_batch(rows, at + kSumBatch, end, later);
#pragma unroll
      for (int q = 0; q < kSumBatch; ++q)
        if (at + q < end) {
          const int next = (row[q] >> kLeafShift) - first_leaf;
          if (next != leaf) {
            nodes.add(sum, leaf, next);
            leaf = next;
            sum = 0;
          }
          sum = __dadd_rn(sum, __dmul_rn(w[q], static_cast<double>(x[q])));
        }
#pragma unroll
      for (int q = 0; q < kSumBatch; ++q) row[q] = later[q];
    }
    parts[(span * k + label) * d + feature] = nodes.add(sum, leaf, kNoLeaf);
  }
}

// sums[i] = the parts[span * size + i] merged pairwise, level by level.
__global__ void __launch_bounds__(kSumThreads, 2)
    merge_parts(const double* __restrict__ parts, long long spans, long long size,
                double* __restrict__ sums) {
  const long long i = static_cast<long long>(blockIdx.x) * kSumThreads + threadIdx.x;
  if (i < size) sums[i] = merged_nodes<kMergeLevels>(parts + i, spans, size);
}

}  // namespace cl
