// Rows sorted by their labels, equal labels in the order of the rows: a counting sort.
//
// Rows are cut into units. Units count their labels, a scan over the units of each label turns counts
// into places, and every unit writes its rows where they belong. Counting is atomic, on integers;
// a row's place among equal labels of its unit is found by comparing, not by who comes first.
#pragma once
#include "device.cuh"

namespace cl {

constexpr int kSortThreads = 512;
constexpr int kScanLabels = 32, kScanParts = kSortThreads / kScanLabels;
constexpr int kScanBatch = 8;  // counts that are read before they are written over

// counts[unit * k + label] += 1 and, of labels that are too large, the largest in `beyond`; zero
// before. Negative labels are skipped.
__global__ void __launch_bounds__(kSortThreads)
    count_labels(const int* __restrict__ labels, long long n, int unit_rows, long long k,
                 int* __restrict__ counts, int* __restrict__ beyond) {
  const long long begin = static_cast<long long>(blockIdx.x) * unit_rows;
  const long long end = begin + unit_rows < n ? begin + unit_rows : n;
  for (long long i = begin + threadIdx.x; i < end; i += kSortThreads) {
    const int label = labels[i];
    if (label >= 0 && label < k) atomicAdd(&counts[blockIdx.x * k + label], 1);
    if (label >= k) atomicMax(beyond, label);
  }
}

// Counts of a label become sums over earlier units; totals[label] is the sum over all. Units are cut
// into parts, whose sums are taken first.
__global__ void __launch_bounds__(kSortThreads)
    scan_units(int* __restrict__ counts, long long units, long long k, int* __restrict__ totals) {
  CL_SHARED(int, sums, [kScanParts][kScanLabels]);
  const int lane = static_cast<int>(threadIdx.x) % kScanLabels;
  const int part = static_cast<int>(threadIdx.x) / kScanLabels;
  const long long label = static_cast<long long>(blockIdx.x) * kScanLabels + lane;
  const long long share = (units + kScanParts - 1) / kScanParts;
  const long long begin = share * part < units ? share * part : units;
  const long long end = begin + share < units ? begin + share : units;
  int sum = 0;
  if (label < k) {
#pragma unroll 8
    for (long long u = begin; u < end; ++u) sum += counts[u * k + label];
  }
  sums[part][lane] = sum;
  __syncthreads();
  int place = 0;
#pragma unroll
  for (int p = 0; p < kScanParts; ++p) place += p < part ? sums[p][lane] : 0;
  if (label < k) {
    if (part == kScanParts - 1) totals[label] = place + sum;
    for (long long first = begin; first < end; first += kScanBatch) {
      int count[kScanBatch];
#pragma unroll
      for (int q = 0; q < kScanBatch; ++q)
        count[q] = first + q < end ? counts[(first + q) * k + label] : 0;
#pragma unroll
      for (int q = 0; q < kScanBatch; ++q) {
        if (first + q < end) counts[(first + q) * k + label] = place;
        place += count[q];
      }
    }
  }
}

// starts[label] = sum of the totals before it, starts[k] the sum of all. One block.
__global__ void __launch_bounds__(kSortThreads)
    scan_labels(const int* __restrict__ totals, long long k, int* __restrict__ starts) {
  CL_SHARED(int, sums, [kSortThreads]);
  const int t = static_cast<int>(threadIdx.x);
  const long long share = (k + kSortThreads - 1) / kSortThreads;
  const long long begin = share * t < k ? share * t : k;
  const long long end = begin + share < k ? begin + share : k;
  int sum = 0;
  for (long long c = begin; c < end; ++c) sum += totals[c];
  sums[t] = sum;
  __syncthreads();
  for (int apart = 1; apart < kSortThreads; apart *= 2) {
    const int before = t >= apart ? sums[t - apart] : 0;
    __syncthreads();
    sums[t] += before;
    __syncthreads();
  }
  int place = sums[t] - sum;
  for (long long c = begin; c < end; ++c) {
    starts[c] = place;
    place += totals[c];
  }
  if (t == kSortThreads - 1) starts[k] = sums[t];
}

// rows[starts[label] + place] = row. Afterwards places[unit * k + label] is where the next unit's
// rows of this label begin, less starts[label].
__global__ void __launch_bounds__(kSortThreads)
    place_rows(const int* __restrict__ labels, long long n, int unit_rows, long long k,
               const int* __restrict__ starts, int* __restrict__ places, int* __restrict__ rows) {
  CL_SHARED(int, seen, [kSortThreads]);
  const int t = static_cast<int>(threadIdx.x), first_of_warp = t / 32 * 32;
  const long long begin = static_cast<long long>(blockIdx.x) * unit_rows;
  const long long end = begin + unit_rows < n ? begin + unit_rows : n;
  int* place = places + blockIdx.x * k;
  for (long long round = begin; round < end; round += kSortThreads) {
    const long long row = round + t;
    int label = row < end ? labels[row] : -1;
    if (label >= k) label = -1;
    seen[t] = label;
    __syncthreads();
    int earlier = 0;
#pragma unroll 8
    for (int j = 0; j < first_of_warp; ++j) earlier += seen[j] == label ? 1 : 0;
#pragma unroll 8
    for (int j = first_of_warp; j < first_of_warp + 32; ++j)
      earlier += j < t && seen[j] == label ? 1 : 0;
    if (label >= 0) rows[starts[label] + place[label] + earlier] = static_cast<int>(row);
    __syncthreads();
    if (label >= 0) atomicAdd(&place[label], 1);  // read after the next barrier
  }
}

}  // namespace cl
