// What is done row by row before rows are compared: norms and ranges, the shift, prepared rows.
//
// Eight threads share a row, features l, l + 8, l + 16, ... in lane l: a load is a whole 32-byte
// sector, and this is the order of the defined float64 sums (kernels/pairwise.py).
#pragma once
#include "device.cuh"

namespace cl {

constexpr int kLanes = 8;
constexpr int kRowThreads = 256;
constexpr int kRowsAtOnce = kRowThreads / kLanes;
constexpr int kSample = 31;  // rows of Y whose median is the shift

// How the rows of Y enter a score; the host passes the number.
constexpr int kProducts = 0, kEuclidean = 1, kCosine = 2;

CL_DEVICE int row_lane() { return static_cast<int>(threadIdx.x) % kLanes; }
CL_DEVICE int row_group() { return static_cast<int>(threadIdx.x) / kLanes; }

// ((s0 + s4) + (s2 + s6)) + ((s1 + s5) + (s3 + s7)), in all eight threads. A sum of two is the
// same whichever comes first.
CL_DEVICE double join_lanes(double s) {
  s = __dadd_rn(s, __shfl_xor_sync(kFullWarp, s, 4, kLanes));
  s = __dadd_rn(s, __shfl_xor_sync(kFullWarp, s, 2, kLanes));
  return __dadd_rn(s, __shfl_xor_sync(kFullWarp, s, 1, kLanes));
}

// The same tree in the dtype of the screen, whose bound holds for any order.
CL_DEVICE float join_lanes(float s) {
  s += __shfl_xor_sync(kFullWarp, s, 4, kLanes);
  s += __shfl_xor_sync(kFullWarp, s, 2, kLanes);
  return s + __shfl_xor_sync(kFullWarp, s, 1, kLanes);
}

// Raises *top to the largest value of the block, none of which is negative or NaN: such numbers
// are ordered as their bits are.
CL_DEVICE void raise_top(double* top, double value) {
  constexpr int warps = kRowThreads / 32;
  CL_SHARED(double, largest, [warps]);
#pragma unroll
  for (int apart = 16; apart > 0; apart /= 2)
    value = larger(value, __shfl_xor_sync(kFullWarp, value, apart));
  __syncthreads();  // the previous call has been read
  if (threadIdx.x % 32 == 0) largest[threadIdx.x / 32] = value;
  __syncthreads();
  if (threadIdx.x == 0) {
    for (int w = 1; w < warps; ++w) value = larger(value, largest[w]);
    atomicMax(reinterpret_cast<unsigned long long*>(top),
              static_cast<unsigned long long>(__double_as_longlong(value)));
  }
}

// norms[i] = |(x_i - shift) * scale| in float64, of values rounded as tiles round them.
// tops[0]: the largest |x|, infinity where a value is not finite; tops[1]: the largest
// |(x - shift) * scale|. Both start at 0.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    row_statistics(const T* __restrict__ X, long long n, int d, const T* __restrict__ shift,
                   T scale, double* __restrict__ norms, double* __restrict__ tops) {
  T raw = T(0), moved = T(0);
  const long long step = static_cast<long long>(gridDim.x) * kRowsAtOnce;
  for (long long row0 = static_cast<long long>(blockIdx.x) * kRowsAtOnce; row0 < n; row0 += step) {
    const long long row = row0 + row_group();
    double squares = 0.0;
    if (row < n) {
#pragma unroll 4
      for (int f = row_lane(); f < d; f += kLanes) {
        const T x = X[row * d + f];
        const T value = (x - (shift ? shift[f] : T(0))) * scale;
        raw = is_finite(x) ? larger(raw, magnitude(x)) : infinity<T>();
        moved = larger(moved, magnitude(value));
        squares = fused(static_cast<double>(value), static_cast<double>(value), squares);
      }
    }
    squares = join_lanes(squares);
    if (row < n && row_lane() == 0) norms[row] = root(squares);
  }
  raise_top(tops, static_cast<double>(raw));
  raise_top(tops + 1, static_cast<double>(moved));
}

// shift[f] = median of feature f over rows of Y that are evenly spaced. One warp for a feature:
// each lane ranks its own value, equal ones by their place.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    coordinate_medians(const T* __restrict__ Y, long long m, int d, T* __restrict__ shift) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
  const int warp = static_cast<int>(threadIdx.x) / 32;
  const int f = static_cast<int>(blockIdx.x) * (kRowThreads / 32) + warp;
  const int count = m < kSample ? static_cast<int>(m) : kSample;
  T value = T(0);
  if (f < d && lane < count) value = Y[m * lane / count * d + f];
  int rank = 0;
  for (int other = 0; other < count; ++other) {
    const T rival = __shfl_sync(kFullWarp, value, other);
    rank += rival < value || (rival == value && other < lane) ? 1 : 0;
  }
  if (f < d && lane < count && rank == count / 2) shift[f] = value;
}

// out = (Y - shift) * scale, and for the cosine Y divided by its norm (a row of zeros stays one).
// bias[j] = -|y_j|^2 / 2 where the kind is Euclidean. norms[j] is the norm of the row as written.
// defined_norms[j], for the cosine: the norm of the defined evaluation, of Y * exact_scale.
// tops[0]: the largest of norms; tops[1]: 1 / the smallest positive defined norm. Both start at 0.
template <class T>
__global__ void __launch_bounds__(kRowThreads, 4)
    prepare_columns(const T* __restrict__ Y, long long m, int d, const T* __restrict__ shift,
                    T scale, int kind, double exact_scale, T* __restrict__ out,
                    T* __restrict__ bias, double* __restrict__ norms,
                    double* __restrict__ defined_norms, double* __restrict__ tops) {
  double largest = 0.0, inverse = 0.0;
  const long long step = static_cast<long long>(gridDim.x) * kRowsAtOnce;
  for (long long row0 = static_cast<long long>(blockIdx.x) * kRowsAtOnce; row0 < m; row0 += step) {
    const long long row = row0 + row_group();
    double length = 0.0, half = 0.0, squares = 0.0;
    if (kind == kCosine) {
      if (row < m) {
        for (int f = row_lane(); f < d; f += kLanes) {
          const double y = static_cast<double>(Y[row * d + f]) * exact_scale;
          length = __dadd_rn(length, __dmul_rn(y, y));
        }
      }
      length = root(join_lanes(length));
    }
    const double over = length > 0.0 ? 1.0 / length : 0.0;
    if (row < m) {
      for (int f = row_lane(); f < d; f += kLanes) {
        const T y = Y[row * d + f], s = shift ? shift[f] : T(0);
        const double wide = static_cast<double>(y);
        T value = (y - s) * scale;
        if (kind == kCosine) value = static_cast<T>(wide * exact_scale * over);
        if (kind == kEuclidean) {
          const double moved = (wide - static_cast<double>(s)) * static_cast<double>(scale);
          half = fused(moved, moved, half);
        }
        out[row * d + f] = value;
        squares = fused(static_cast<double>(value), static_cast<double>(value), squares);
      }
    }
    half = -0.5 * join_lanes(half);
    squares = root(join_lanes(squares));
    largest = larger(largest, squares);
    inverse = larger(inverse, over);
    if (row < m && row_lane() == 0) {
      norms[row] = squares;
      if (kind == kEuclidean) bias[row] = static_cast<T>(half);
      if (kind == kCosine) defined_norms[row] = length;
    }
  }
  raise_top(tops, largest);
  raise_top(tops + 1, inverse);
}

// out[i] = (x - shift) * scale for row first + i of X, or for row listed[first + i], where a matrix
// product wants them so.
template <class T>
__global__ void __launch_bounds__(kRowThreads)
    shift_rows(const T* __restrict__ X, const long long* __restrict__ listed, long long first,
               long long count, int d, const T* __restrict__ shift, T scale, T* __restrict__ out) {
  const long long i = static_cast<long long>(blockIdx.x) * kRowsAtOnce + row_group();
  if (i < count) {
    const long long row = listed ? listed[first + i] : first + i;
    for (int f = row_lane(); f < d; f += kLanes)
      out[i * d + f] = (X[row * d + f] - (shift ? shift[f] : T(0))) * scale;
  }
}

}  // namespace cl
