// Softmax of rows: a part of a warp for a short row, which stays in registers, a warp or a block for
// longer ones.
#pragma once
#include "device.cuh"

namespace cl {

constexpr int kSoftmaxThreads = 256;
constexpr int kSoftmaxTerms = 64;  // terms that a thread adds before float64 takes over

// The largest score of a row, its first column, and whether a score is NaN or plus infinity.
template <class T>
struct RowMost {
  T most;
  int column;
  int spoiled;

  CL_DEVICE void start() { most = -infinity<T>(), column = 0x7fffffff, spoiled = 0; }
  CL_DEVICE void add(T z, int at) {
    spoiled |= z < infinity<T>() ? 0 : 1;
    column = z > most ? at : column;
    most = z > most ? z : most;
  }
  CL_DEVICE void merge(T other, int other_column, int other_spoiled) {
    spoiled |= other_spoiled;
    column = other > most || (other == most && other_column < column) ? other_column : column;
    most = other > most ? other : most;
  }
  CL_DEVICE void merge_lanes(int lanes) {
    for (int apart = lanes / 2; apart > 0; apart /= 2)
      merge(__shfl_xor_sync(kFullWarp, most, apart), __shfl_xor_sync(kFullWarp, column, apart),
            __shfl_xor_sync(kFullWarp, spoiled, apart));
  }
  CL_DEVICE bool has_posterior() const { return spoiled == 0 && most > -infinity<T>(); }
};

template <class T>
CL_DEVICE T weighted_score(const T* row, const T* log_weight, int j) {
  return log_weight ? row[j] + log_weight[j] : row[j];
}

// exp(z - most) for columns t, t + step, ...; scores may be out. Returns their sum.
template <class T>
CL_DEVICE double write_terms(const T* row, const T* log_weight, int k, int t, int step, T most, T* out) {
  double total = 0;
  T sum = 0;
  int terms = 0;
  for (int j = t; j < k; j += step) {
    const T term = exponential(weighted_score(row, log_weight, j) - most);
    out[j] = term;
    sum += term;
    if (++terms == kSoftmaxTerms) {
      total += static_cast<double>(sum);
      sum = 0;
      terms = 0;
    }
  }
  return total + static_cast<double>(sum);
}

// A row without a posterior has NaN for one; lse tells why.
template <class T>
CL_DEVICE T scale_of_row(const RowMost<T>& row, double total) {
  return row.has_posterior() ? static_cast<T>(1 / total) : infinity<T>() - infinity<T>();
}

template <class T>
CL_DEVICE void finish_row(const RowMost<T>& row, double total, T* lse, int* label) {
  const bool fine = row.has_posterior();
  *lse = fine ? static_cast<T>(static_cast<double>(row.most) + log(total))
              : row.spoiled ? infinity<T>() - infinity<T>() : -infinity<T>();
  if (label) *label = fine ? row.column : 0;
}

// Of a row without a posterior nothing was written yet.
template <class T>
CL_DEVICE void scale_terms(const RowMost<T>& row, double total, int k, int t, int step, T* out) {
  const T scale = scale_of_row(row, total);
  const bool fine = row.has_posterior();
  for (int j = t; j < k; j += step) out[j] = fine ? out[j] * scale : scale;
}

CL_DEVICE double sum_of_lanes(double x, int lanes) {
  for (int apart = lanes / 2; apart > 0; apart /= 2) x += __shfl_xor_sync(kFullWarp, x, apart);
  return x;
}

// `lanes` threads for a row, a power of two up to 32, and up to N columns in the registers of each.
// log_weight and labels may be null; posteriors may be the scores.
template <class T, int N>
__global__ void __launch_bounds__(kSoftmaxThreads, 4)
    softmax_in_registers(const T* scores, const T* __restrict__ log_weight, long long n, int k, int lanes,
                         T* posteriors, T* __restrict__ lse, int* __restrict__ labels) {
  const int lane = static_cast<int>(threadIdx.x) % lanes;
  const long long i = (static_cast<long long>(blockIdx.x) * kSoftmaxThreads + threadIdx.x) / lanes;
  const bool inside = i < n;
  const T* row = scores + (inside ? i : 0) * k;
  T z[N], sum = 0;
  RowMost<T> top;
  top.start();
#pragma unroll
  for (int q = 0; q < N; ++q) {
    const int j = lane + q * lanes;
    z[q] = inside && j < k ? weighted_score(row, log_weight, j) : -infinity<T>();
    top.add(z[q], j);
  }
  top.merge_lanes(lanes);
  const bool fine = top.has_posterior();
#pragma unroll
  for (int q = 0; q < N; ++q) {
    z[q] = fine ? exponential(z[q] - top.most) : T(1);
    sum += z[q];
  }
  const double total = sum_of_lanes(static_cast<double>(sum), lanes);
  const T scale = scale_of_row(top, total);
  T* out = posteriors + (inside ? i : 0) * k;
#pragma unroll
  for (int q = 0; q < N; ++q)
    if (inside && lane + q * lanes < k) out[lane + q * lanes] = z[q] * scale;
  if (inside && lane == 0) finish_row(top, total, lse + i, labels ? labels + i : nullptr);
}

// A warp for a row, which is read three times, twice from the cache.
template <class T>
__global__ void __launch_bounds__(kSoftmaxThreads, 3)
    softmax_of_warps(const T* scores, const T* __restrict__ log_weight, long long n, int k, T* posteriors,
                     T* __restrict__ lse, int* __restrict__ labels) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const long long i = (static_cast<long long>(blockIdx.x) * kSoftmaxThreads + threadIdx.x) / 32;
  const bool inside = i < n;
  const T* row = scores + (inside ? i : 0) * k;
  T* out = posteriors + (inside ? i : 0) * k;
  RowMost<T> top;
  top.start();
  for (int j = lane; inside && j < k; j += 32) top.add(weighted_score(row, log_weight, j), j);
  top.merge_lanes(32);
  double total = 0;
  if (inside && top.has_posterior()) total = write_terms(row, log_weight, k, lane, 32, top.most, out);
  total = sum_of_lanes(total, 32);
  if (inside) scale_terms(top, total, k, lane, 32, out);
  if (inside && lane == 0) finish_row(top, total, lse + i, labels ? labels + i : nullptr);
}

template <class T>
__global__ void __launch_bounds__(kSoftmaxThreads, 3)
    softmax_of_blocks(const T* scores, const T* __restrict__ log_weight, int k, T* posteriors,
                      T* __restrict__ lse, int* __restrict__ labels) {
  constexpr int warps = kSoftmaxThreads / 32;
  CL_SHARED(T, most, [warps]);
  CL_SHARED(int, column, [warps]);
  CL_SHARED(int, spoiled, [warps]);
  CL_SHARED(double, sums, [warps]);
  const int t = static_cast<int>(threadIdx.x), warp = t / 32;
  const long long i = blockIdx.x;
  const T* row = scores + i * k;
  T* out = posteriors + i * k;
  RowMost<T> top;
  top.start();
  for (int j = t; j < k; j += kSoftmaxThreads) top.add(weighted_score(row, log_weight, j), j);
  top.merge_lanes(32);
  if (t % 32 == 0) {
    most[warp] = top.most;
    column[warp] = top.column;
    spoiled[warp] = top.spoiled;
  }
  __syncthreads();
  top.start();
#pragma unroll
  for (int w = 0; w < warps; ++w) top.merge(most[w], column[w], spoiled[w]);
  double total = 0;
  if (top.has_posterior()) total = write_terms(row, log_weight, k, t, kSoftmaxThreads, top.most, out);
  total = sum_of_lanes(total, 32);
  if (t % 32 == 0) sums[warp] = total;
  __syncthreads();
  total = 0;
#pragma unroll
  for (int w = 0; w < warps; ++w) total += sums[w];
  scale_terms(top, total, k, t, kSoftmaxThreads, out);
  if (t == 0) finish_row(top, total, lse + i, labels ? labels + i : nullptr);
}

}  // namespace cl
