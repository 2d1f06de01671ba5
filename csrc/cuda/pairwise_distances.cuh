// The full matrix of distances, and what turns a tile of products into distances.
#pragma once
#include "tile.cuh"

namespace cl {

// Every metric is base_i + offset_j - factor_i <x_i, y_j>, perhaps under a root: squares
// |x|^2 + |y|^2 - 2 <x, y>, inner products 0 + 0 - <x, y>, and for rows of Y of length 1 cosines
// 1 + 0 - <x, y> / |x|. A null offset is 0. Values below low become `below`, those above high
// become `above`.
template <class T>
struct Distance {
  const T* base;
  const T* factor;
  const T* offset;
  T low, below, high, above;
  int rooted;

  CL_DEVICE T operator()(T base_i, T factor_i, T offset_j, T product) const {
    const T value = fused(-factor_i, product, base_i + offset_j);
    const T clipped = value < low ? below : value > high ? above : value;
    return rooted ? root(clipped) : clipped;
  }
};

// One number for each row of a tile, from global to shared memory. A barrier has to follow.
template <class T, int ROWS>
CL_DEVICE void fill_rows(T (&tile)[ROWS], const T* values, long long first, long long n) {
  for (int r = static_cast<int>(threadIdx.x); r < ROWS; r += static_cast<int>(blockDim.x))
    tile[r] = first + r < n ? values[first + r] : T(0);
}

// How much of a tile lies before the end.
CL_DEVICE int inside(long long first, long long end, int size) {
  return end - first < size ? static_cast<int>(end - first) : size;
}

// One tile for a block, tiles of the same rows one after the other. Distances are multiplied by
// two powers of two, whose product may leave the range of the dtype.
template <class G>
__global__ void __launch_bounds__(G::threads, G::resident)
    distance_tiles(const typename G::Scalar* __restrict__ X, long long n, int d,
                   const typename G::Scalar* __restrict__ shift, typename G::Scalar scale,
                   const typename G::Scalar* __restrict__ Y, long long m,
                   const typename G::Scalar* __restrict__ base,
                   const typename G::Scalar* __restrict__ factor,
                   const typename G::Scalar* __restrict__ offset, typename G::Scalar low,
                   typename G::Scalar below, typename G::Scalar high, typename G::Scalar above,
                   int rooted, typename G::Scalar unscale, typename G::Scalar unscale_again,
                   typename G::Scalar* __restrict__ out) {
  using T = typename G::Scalar;
  CL_SHARED(T, xs, [G::BM][G::stride]);
  CL_SHARED(T, ys, [G::BN][G::stride]);
  CL_SHARED(T, bases, [G::BM]);
  CL_SHARED(T, factors, [G::BM]);
  const Distance<T> distance = {base, factor, offset, low, below, high, above, rooted};
  const long long across = (m + G::BN - 1) / G::BN;
  const long long row0 = static_cast<long long>(blockIdx.x) / across * G::BM;
  const long long column0 = static_cast<long long>(blockIdx.x) % across * G::BN;
  fill_rows(bases, base, row0, n);
  fill_rows(factors, factor, row0, n);
  const RowSource<T> rows = {X, n, d, shift, scale}, columns = {Y, m, d, nullptr, T(1)};
  T acc[G::TM][G::TN];
  multiply_tile<G>(xs, ys, rows, row0, columns, column0, acc);  // its barriers serve the rows too
  const int height = inside(row0, n, G::BM), width = inside(column0, m, G::BN);
  T* const corner = out + row0 * m + column0;
#pragma unroll
  for (int j = 0; j < G::TN; ++j) {
    const int c = G::column(j);
    if (c < width) {
      const T offset_j = offset ? offset[column0 + c] : T(0);
#pragma unroll
      for (int i = 0; i < G::TM; ++i) {
        const int r = G::row(i);
        if (r < height)
          corner[r * m + c] =
              distance(bases[r], factors[r], offset_j, acc[i][j]) * unscale * unscale_again;
      }
    }
  }
}

}  // namespace cl
