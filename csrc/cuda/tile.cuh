// The tiled product of rows of X with rows of Y: every kernel that compares all pairs sweeps over
// the columns with it and reduces each tile of scores in registers.
//
// Tiles lie in shared memory as they lie in global memory, one row after the other, each padded
// by 16 bytes. A warp then fills them with whole 128-byte lines, and reads them 16 bytes along the
// features at a time: threads next to each other own rows next to each other, whose vectors fall
// into different banks because of the padding.
#pragma once
#include "device.cuh"

namespace cl {

// BM rows by BN columns for a block, BK features at a time, TM by TN scores for a thread.
template <class T, int BM_, int BN_, int BK_, int TM_, int TN_>
struct Tile {
  using Scalar = T;
  static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
  static constexpr int TX = BN / TN;  // threads beside each other, along the columns
  static constexpr int TY = BM / TM;
  static constexpr int threads = TX * TY;
  // Blocks on one multiprocessor: one loads while the other multiplies.
  static constexpr int resident = 2;
  static constexpr int columns_at_once = TN < 4 ? TN : 4;
  static constexpr int stride = BK + 16 / static_cast<int>(sizeof(T));
  static_assert(TX <= 32 && (TX & (TX - 1)) == 0, "a row of threads has to lie in one warp");
  static_assert(threads % 32 == 0, "blocks are made of whole warps");
  static_assert((BM + BN) * stride * static_cast<int>(sizeof(T)) <= 48 * 1024, "shared memory");
};

// Many columns, and at most 32: a wide tile would multiply padding.
template <class T>
struct Tiles;
template <>
struct Tiles<float> {
  using Wide = Tile<float, 128, 64, 32, 8, 4>;
  using Narrow = Tile<float, 128, 32, 32, 4, 4>;
};
template <>
struct Tiles<double> {
  using Wide = Tile<double, 64, 64, 16, 4, 4>;
  using Narrow = Tile<double, 64, 16, 16, 2, 2>;
};
template <class T>
using Wide = typename Tiles<T>::Wide;
template <class T>
using Narrow = typename Tiles<T>::Narrow;

// Where the thread stands in the tile; it owns rows ty + i TY and columns tx + j TX.
template <class G>
CL_DEVICE int tile_x() {
  return static_cast<int>(threadIdx.x) % G::TX;
}
template <class G>
CL_DEVICE int tile_y() {
  return static_cast<int>(threadIdx.x) / G::TX;
}

// Rows of a matrix as the tile wants them: (x - shift) * scale, zeros beyond its end.
// shift may be null; scale is a power of two.
template <class T>
struct RowSource {
  const T* data;
  long long rows;
  int features;
  const T* shift;
  T scale;
};

template <class G, int ROWS, class T>
CL_DEVICE void fill_tile(T (&tile)[ROWS][G::stride], const RowSource<T>& source, long long first,
                         int feature) {
  const int f = static_cast<int>(threadIdx.x) % G::BK;
  const bool inside = feature + f < source.features;
  const T shift = inside && source.shift ? source.shift[feature + f] : T(0);
  const T* column = source.data + feature + f;
#pragma unroll 8
  for (int r = static_cast<int>(threadIdx.x) / G::BK; r < ROWS; r += G::threads / G::BK) {
    T value = T(0);
    if (inside && first + r < source.rows)
      value = (column[(first + r) * source.features] - shift) * source.scale;
    tile[r][f] = value;
  }
}

// One column tile: acc[i][j] = sum over the features of x times y. Ends with a barrier, so the
// caller may use the shared tiles again.
template <class G, class T>
CL_DEVICE void multiply_tile(T (&xs)[G::BM][G::stride], T (&ys)[G::BN][G::stride],
                             const RowSource<T>& X, long long row0, const RowSource<T>& Y,
                             long long column0, T (&acc)[G::TM][G::TN]) {
  constexpr int lanes = Vector<T>::lanes;
  const int tx = tile_x<G>(), ty = tile_y<G>();
#pragma unroll
  for (int i = 0; i < G::TM; ++i)
#pragma unroll
    for (int j = 0; j < G::TN; ++j) acc[i][j] = T(0);
  for (int feature = 0; feature < X.features; feature += G::BK) {
    fill_tile<G, G::BM>(xs, X, row0, feature);
    fill_tile<G, G::BN>(ys, Y, column0, feature);
    __syncthreads();
    const int depth = X.features - feature < G::BK ? X.features - feature : G::BK;
#pragma unroll 1
    for (int f = 0; f < depth; f += lanes) {
      // Four columns at a time: the vectors of more would leave no room in the registers for a
      // second block beside this one.
#pragma unroll
      for (int part = 0; part < G::TN; part += G::columns_at_once) {
        Vector<T> y[G::columns_at_once];
#pragma unroll
        for (int j = 0; j < G::columns_at_once; ++j) y[j].load(&ys[tx + (part + j) * G::TX][f]);
#pragma unroll
        for (int i = 0; i < G::TM; ++i) {
          Vector<T> x;
          x.load(&xs[ty + i * G::TY][f]);
#pragma unroll
          for (int j = 0; j < G::columns_at_once; ++j)
            acc[i][part + j] = accumulate(x, y[j], acc[i][part + j]);
        }
      }
    }
    __syncthreads();
  }
}

// Hands every tile of columns to reduce(acc, column0), columns ascending, for BM rows from row0.
template <class G, class Reduce>
CL_DEVICE void sweep_columns(const RowSource<typename G::Scalar>& X, long long row0,
                             const RowSource<typename G::Scalar>& Y, Reduce& reduce) {
  using T = typename G::Scalar;
  CL_SHARED(T, xs, [G::BM][G::stride]);
  CL_SHARED(T, ys, [G::BN][G::stride]);
  for (long long column0 = 0; column0 < Y.rows; column0 += G::BN) {
    T acc[G::TM][G::TN];
    multiply_tile<G>(xs, ys, X, row0, Y, column0, acc);
    reduce(acc, column0);
  }
}

}  // namespace cl
