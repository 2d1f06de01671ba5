// The k nearest rows of Y in order. Scores in the dtype of X select the few columns that may be
// among them, whose values of the defined evaluation are then sorted.
#pragma once
#include "defined_value.cuh"
#include "error_bound.cuh"

namespace cl {

constexpr int kCandidates = 1024;  // columns that a block sorts; rows with more go another way
constexpr int kBins = 256;         // of eight bits at a time

// Unsigned integers in the order of the numbers.
template <class T>
struct Ordered;
template <>
struct Ordered<float> {
  using Bits = unsigned;
  CL_DEVICE static Bits encode(float x) {
    const Bits b = __float_as_uint(x);
    return b & 0x80000000u ? ~b : b | 0x80000000u;
  }
  CL_DEVICE static float decode(Bits b) {
    return __uint_as_float(b & 0x80000000u ? b & 0x7fffffffu : ~b);
  }
};
template <>
struct Ordered<double> {
  using Bits = unsigned long long;
  static constexpr Bits kSign = 0x8000000000000000ull;
  CL_DEVICE static Bits encode(double x) {
    const Bits b = static_cast<Bits>(__double_as_longlong(x));
    return b & kSign ? ~b : b | kSign;
  }
  CL_DEVICE static double decode(Bits b) {
    return __longlong_as_double(static_cast<long long>(b & kSign ? b & ~kSign : ~b));
  }
};

// Scores of one row: products with all of Y, and the bias.
template <class T>
struct ScoreRow {
  const T* products;
  const T* bias;
  CL_DEVICE T operator()(long long column) const {
    return products[column] + (bias ? bias[column] : T(0));
  }
};

// counts[b]: how many scores have the bits `prefix` under `mask`, and b in the eight at `shift`.
template <class T>
CL_DEVICE void count_bits(unsigned (&counts)[kBins], const ScoreRow<T>& scores, long long m,
                          typename Ordered<T>::Bits prefix, typename Ordered<T>::Bits mask,
                          int shift) {
  counts[threadIdx.x] = 0;
  __syncthreads();
  // Neighbours often fall into one bin: runs are added at once.
  int held = 0;
  unsigned run = 0;
  for (long long column = threadIdx.x; column < m; column += kRowThreads) {
    const auto bits = Ordered<T>::encode(scores(column));
    if ((bits & mask) != prefix) continue;
    const int bin = static_cast<int>(bits >> shift) & (kBins - 1);
    if (bin != held) {
      if (run) atomicAdd(&counts[held], run);
      held = bin;
      run = 0;
    }
    ++run;
  }
  if (run) atomicAdd(&counts[held], run);
  __syncthreads();
}

// The highest bin whose count, with those of the bins above, reaches `wanted`; wanted becomes what
// is left for it. Both are the same in all threads.
CL_DEVICE int highest_bin(const unsigned (&counts)[kBins], unsigned& wanted) {
  constexpr int mine = kBins / 32;
  CL_SHARED(int, chosen, [1]);
  CL_SHARED(unsigned, left, [1]);
  if (threadIdx.x < 32) {
    const int lane = static_cast<int>(threadIdx.x);
    const int top = kBins - 1 - lane * mine;  // the first lane has the highest bins
    unsigned own = 0;
    for (int b = 0; b < mine; ++b) own += counts[top - b];
    unsigned above = own;
#pragma unroll
    for (int apart = 1; apart < 32; apart *= 2) {
      const unsigned other = __shfl_up_sync(kFullWarp, above, apart);
      if (lane >= apart) above += other;
    }
    above -= own;
    if (above < wanted && wanted <= above + own) {
      unsigned rest = wanted - above;
      int bin = top;
      while (rest > counts[bin]) rest -= counts[bin--];
      chosen[0] = bin;
      left[0] = rest;
    }
  }
  __syncthreads();
  wanted = left[0];
  return chosen[0];
}

// The k-th largest score of a row.
template <class T>
CL_DEVICE T kth_largest(const ScoreRow<T>& scores, long long m, int k) {
  using Bits = typename Ordered<T>::Bits;
  CL_SHARED(unsigned, counts, [kBins]);
  Bits prefix = 0, mask = 0;
  unsigned wanted = static_cast<unsigned>(k);
#pragma unroll 1
  for (int shift = static_cast<int>(sizeof(T)) * 8 - 8; shift >= 0; shift -= 8) {
    count_bits<T>(counts, scores, m, prefix, mask, shift);
    prefix |= static_cast<Bits>(highest_bin(counts, wanted)) << shift;
    mask |= static_cast<Bits>(kBins - 1) << shift;
  }
  return Ordered<T>::decode(prefix);
}

// Sorts `size` pairs, a power of two, by (value, index).
CL_DEVICE void sort_pairs(double (&values)[kCandidates], int (&indices)[kCandidates], int size) {
  for (int length = 2; length <= size; length *= 2) {
    for (int apart = length / 2; apart > 0; apart /= 2) {
      __syncthreads();
      for (int t = static_cast<int>(threadIdx.x); t < size / 2; t += kRowThreads) {
        const int i = 2 * t - (t & (apart - 1)), j = i + apart;
        const bool ascending = (i & length) == 0;
        if (precedes(values[j], indices[j], values[i], indices[i]) == ascending) {
          const double value = values[i];
          const int index = indices[i];
          values[i] = values[j], indices[i] = indices[j];
          values[j] = value, indices[j] = index;
        }
      }
    }
  }
  __syncthreads();
}

// Block i: the k nearest for row start + i, whose products with all of Y are row i of `products`.
// Rows with too many candidates are listed in `crowded` instead, in any order.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    select_nearest(const T* __restrict__ products, long long start, const T* __restrict__ X, int d,
                   const T* __restrict__ Y, long long m, const T* __restrict__ bias, int kind,
                   int metric, int exponent, double exact_scale, const double* __restrict__ lengths,
                   const double* __restrict__ x_norms, const double* __restrict__ tops, double unit,
                   double square, double tiny, double vanish, double vanish_quotient,
                   double missing, int k, T* __restrict__ distances, int* __restrict__ nearest,
                   long long* __restrict__ crowded, unsigned long long* __restrict__ count) {
  CL_SHARED(double, values, [kCandidates]);
  CL_SHARED(int, indices, [kCandidates]);
  CL_SHARED(int, found, [1]);
  const ErrorBound bound =
      error_bound(kind, unit, square, tiny, vanish, vanish_quotient, missing, tops);
  const long long row = start + blockIdx.x;
  const T* x = X + row * d;
  const ScoreRow<T> scores = {products + blockIdx.x * m, bias};
  if (threadIdx.x == 0) found[0] = 0;
  const double kth = static_cast<double>(kth_largest(scores, m, k));
  const double least = kth - 2.0 * bound.template of_row<T>(x_norms[row], tops[0], kth);
  for (long long column = threadIdx.x; column < m; column += kRowThreads) {
    if (!(static_cast<double>(scores(column)) < least)) {  // NaN is looked at
      const int slot = atomicAdd(&found[0], 1);
      if (slot < kCandidates) indices[slot] = static_cast<int>(column);
    }
  }
  __syncthreads();
  const bool fits = found[0] <= kCandidates;
  const int candidates = fits ? found[0] : 0;
  if (!fits && threadIdx.x == 0) crowded[atomicAdd(count, 1ull)] = row;
  for (int slot0 = 0; slot0 < candidates; slot0 += kRowsAtOnce) {
    const int slot = slot0 + row_group();
    const bool inside = slot < candidates;
    const long long column = inside ? indices[slot] : 0;
    const double value = defined_value(x, Y, column, d, inside, exact_scale, kind, lengths);
    if (inside && row_lane() == 0) values[slot] = value;
  }
  int size = 1;
  while (size < candidates) size *= 2;
  for (int slot = candidates + static_cast<int>(threadIdx.x); slot < size; slot += kRowThreads)
    values[slot] = infinity<double>(), indices[slot] = kNone;
  sort_pairs(values, indices, size);
  const double length = kind == kCosine ? defined_length(x, d, true, exact_scale) : 0.0;
  for (int slot = static_cast<int>(threadIdx.x); fits && slot < k; slot += kRowThreads) {
    const double distance = defined_distance(values[slot], metric, exponent, length);
    distances[row * k + slot] = static_cast<T>(distance);
    nearest[row * k + slot] = indices[slot];
  }
}

// Block (i, s): compared values of row rows[i], or row start + i, with columns [s * part,
// (s + 1) * part), by the defined evaluation.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    exact_values(const T* __restrict__ X, const long long* __restrict__ rows, long long start,
                 int d, const T* __restrict__ Y, long long m, int kind, double exact_scale,
                 const double* __restrict__ lengths, long long part, double* __restrict__ values) {
  const long long row = rows ? rows[blockIdx.x] : start + blockIdx.x;
  const long long end = smaller(m, part * (blockIdx.y + 1));
  for (long long column0 = part * blockIdx.y; column0 < end; column0 += kRowsAtOnce) {
    const long long column = column0 + row_group();
    const bool inside = column < end;
    const double value =
        defined_value(X + row * d, Y, column, d, inside, exact_scale, kind, lengths);
    if (inside && row_lane() == 0) values[blockIdx.x * m + column] = value;
  }
}

// The first k of the columns that `order` names for each row of `values`; rows as above.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    store_nearest(const T* __restrict__ X, const long long* __restrict__ rows, long long start,
                  int d, const double* __restrict__ values, const long long* __restrict__ order,
                  long long m, int metric, int exponent, double exact_scale, int k,
                  T* __restrict__ distances, int* __restrict__ nearest) {
  const long long row = rows ? rows[blockIdx.x] : start + blockIdx.x;
  double length = 0.0;
  if (metric == kCosineMetric) length = defined_length(X + row * d, d, true, exact_scale);
  for (int slot = static_cast<int>(threadIdx.x); slot < k; slot += kRowThreads) {
    const long long column = order[blockIdx.x * m + slot];
    const double distance =
        defined_distance(values[blockIdx.x * m + column], metric, exponent, length);
    distances[row * k + slot] = static_cast<T>(distance);
    nearest[row * k + slot] = static_cast<int>(column);
  }
}

}  // namespace cl
