// Rows that the screen of the nearest row leaves undecided, evaluated again in float64.
#pragma once
#include "defined_value.cuh"
#include "error_bound.cuh"

namespace cl {

// Lists the rows whose best score does not lead the second by twice the bound, in any order.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    find_doubts(const T* __restrict__ best, const T* __restrict__ second, long long n, int kind,
                const double* __restrict__ x_norms, const double* __restrict__ tops, double unit,
                double square, double tiny, double vanish, double vanish_quotient, double missing,
                long long* __restrict__ doubts, unsigned long long* __restrict__ count) {
  const ErrorBound bound =
      error_bound(kind, unit, square, tiny, vanish, vanish_quotient, missing, tops);
  const long long row = static_cast<long long>(blockIdx.x) * kRowThreads + threadIdx.x;
  bool open = false;
  if (row < n) {
    const double first = static_cast<double>(best[row]);
    const double lead = first - static_cast<double>(second[row]);
    open = !(lead > 2.0 * bound.template of_row<T>(x_norms[row], tops[0], first));  // or NaN
  }
  // One addition for a warp.
  const unsigned mask = __ballot_sync(kFullWarp, open);
  const int lane = static_cast<int>(threadIdx.x) % 32;
  unsigned long long start = 0;
  if (lane == 0 && mask != 0)
    start = atomicAdd(count, static_cast<unsigned long long>(__popc(mask)));
  start = __shfl_sync(kFullWarp, start, 0);
  if (open) doubts[start + __popc(mask & ((1u << lane) - 1u))] = row;
}

// The nearest of a block's groups of eight threads, in its first thread.
CL_DEVICE void nearest_of_block(double& value, int& index) {
  constexpr int warps = kRowThreads / 32;
  CL_SHARED(double, values, [warps]);
  CL_SHARED(int, indices, [warps]);
#pragma unroll
  for (int apart = 16; apart >= kLanes; apart /= 2) {
    const double v = __shfl_xor_sync(kFullWarp, value, apart);
    const int i = __shfl_xor_sync(kFullWarp, index, apart);
    if (precedes(v, i, value, index)) value = v, index = i;
  }
  if (threadIdx.x % 32 == 0) values[threadIdx.x / 32] = value, indices[threadIdx.x / 32] = index;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < warps; ++w)
      if (precedes(values[w], indices[w], value, index)) value = values[w], index = indices[w];
  }
}

// Block (i, s): the nearest of columns [s * part, (s + 1) * part) for row doubts[i]. Each column is
// scored in T once more, or from row i of `products` where they are given; only those that may be
// the nearest are evaluated in float64, that is those whose score and bound reach the best score of
// the row less its bound.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    exact_rows(const T* __restrict__ X, int d, const T* __restrict__ shift, T scale,
               const T* __restrict__ Y, const T* __restrict__ prepared, long long m,
               const T* __restrict__ bias, int kind, double exact_scale,
               const double* __restrict__ lengths, const double* __restrict__ x_norms,
               const double* __restrict__ y_norms, const double* __restrict__ tops, double unit,
               double square, double tiny, double vanish, double vanish_quotient, double missing,
               const T* __restrict__ best, const long long* __restrict__ doubts,
               const T* __restrict__ products, long long part, double* __restrict__ values,
               int* __restrict__ indices) {
  const ErrorBound bound =
      error_bound(kind, unit, square, tiny, vanish, vanish_quotient, missing, tops);
  const long long row = doubts[blockIdx.x];
  const T* x = X + row * d;
  const double x_norm = x_norms[row];
  const double first = static_cast<double>(best[row]);
  const double least = first - bound.template of_row<T>(x_norm, tops[0], first);
  const long long start = part * blockIdx.y;
  const long long end = smaller(m, start + part);
  double value = infinity<double>();
  int index = kNone;
  for (long long column0 = start; column0 < end; column0 += kRowsAtOnce) {
    const long long column = column0 + row_group();
    const bool inside = column < end;
    T score = T(0);
    if (products) {
      if (inside) score = products[blockIdx.x * m + column];
    } else {
      const T* y = prepared + column * d;
      if (inside)
        for (int f = row_lane(); f < d; f += kLanes)
          score = fused((x[f] - (shift ? shift[f] : T(0))) * scale, y[f], score);
      score = join_lanes(score);
    }
    bool open = false;
    if (inside) {
      if (bias) score += bias[column];
      open = !(static_cast<double>(score) + bound.template of<T>(x_norm, y_norms[column]) < least);
    }
    if (__ballot_sync(kFullWarp, open) == 0) continue;
    const double v = defined_value(x, Y, column, d, open, exact_scale, kind, lengths);
    if (open && precedes(v, static_cast<int>(column), value, index))
      value = v, index = static_cast<int>(column);
  }
  nearest_of_block(value, index);
  if (threadIdx.x == 0) {
    const long long out = static_cast<long long>(blockIdx.x) * gridDim.y + blockIdx.y;
    values[out] = value;
    indices[out] = index;
  }
}

// Puts the parts of each doubtful row together; there is one at least. The bound says that some
// column is found; the label of the screen would stay if it were not so.
__global__ void __launch_bounds__(kRowThreads)
    settle_rows(const long long* __restrict__ doubts, long long count,
                const double* __restrict__ values, const int* __restrict__ indices, int parts,
                int* __restrict__ labels) {
  const long long i = static_cast<long long>(blockIdx.x) * kRowThreads + threadIdx.x;
  if (i < count) {
    double value = values[i * parts];
    int index = indices[i * parts];
    for (int s = 1; s < parts; ++s) {
      const long long at = i * parts + s;
      if (precedes(values[at], indices[at], value, index)) value = values[at], index = indices[at];
    }
    if (index != kNone) labels[doubts[i]] = index;
  }
}

// The distance of every row to the row of Y that its label names, from the defined evaluation.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    label_distances(const T* __restrict__ X, long long n, int d, const T* __restrict__ Y, int kind,
                    int metric, int exponent, double exact_scale,
                    const double* __restrict__ lengths, const int* __restrict__ labels,
                    T* __restrict__ distances) {
  const long long row = static_cast<long long>(blockIdx.x) * kRowsAtOnce + row_group();
  const bool inside = row < n;
  const long long column = inside ? labels[row] : 0;
  const T* x = X + row * d;
  const double value = defined_value(x, Y, column, d, inside, exact_scale, kind, lengths);
  const double length = kind == kCosine ? defined_length(x, d, inside, exact_scale) : 0.0;
  if (inside && row_lane() == 0)
    distances[row] = static_cast<T>(defined_distance(value, metric, exponent, length));
}

}  // namespace cl
