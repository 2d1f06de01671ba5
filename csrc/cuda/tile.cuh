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
// ALIGNED: rows begin at multiples of 16 bytes, and are read so.
template <class T, int BM_, int BN_, int BK_, int TM_, int TN_, bool ALIGNED = true>
struct Tile {
  using Scalar = T;
  static constexpr int BM = BM_, BN = BN_, BK = BK_, TM = TM_, TN = TN_;
  static constexpr int TX = BN / TN;  // threads beside each other, along the columns
  static constexpr int TY = BM / TM;
  static constexpr int threads = TX * TY;
  // Blocks on one multiprocessor: one loads while the other multiplies.
  static constexpr int resident = ALIGNED ? 2 : 1;
  static constexpr bool aligned = ALIGNED;
  static constexpr int stride = BK + 16 / static_cast<int>(sizeof(T));
  static_assert(TX <= 32 && (TX & (TX - 1)) == 0, "a row of threads has to lie in one warp");
  static_assert(threads % 32 == 0, "blocks are made of whole warps");
  static_assert((BM + BN) * stride * static_cast<int>(sizeof(T)) <= 48 * 1024, "shared memory");

  // Rows and columns of the tile that the thread owns.
  CL_DEVICE static int row(int i) { return static_cast<int>(threadIdx.x) / TX + i * TY; }
  CL_DEVICE static int column(int j) { return static_cast<int>(threadIdx.x) % TX + j * TX; }
  template <class XS, class YS>
  CL_DEVICE static void multiply(XS& xs, YS& ys, int depth, T (&acc)[TM][TN]);
  template <class Source, class Reduce>
  CL_DEVICE static void sweep(const Source& X, long long row0, const Source& Y, Reduce& reduce);
};

// The first of the threads that share rows; they are TX lanes of one warp, next to each other.
template <class G>
CL_DEVICE bool speaks_for_row() {
  return static_cast<int>(threadIdx.x) % G::TX == 0;
}

template <class T, int BM, int BN, int BK, int TM, int TN, bool ALIGNED>
template <class XS, class YS>
CL_DEVICE void Tile<T, BM, BN, BK, TM, TN, ALIGNED>::multiply(XS& xs, YS& ys, int depth,
                                                            T (&acc)[TM][TN]) {
  constexpr int lanes = Vector<T>::lanes;
#pragma unroll 1
  for (int f = 0; f < depth; f += lanes) {
    Vector<T> y[TN];
#pragma unroll
    for (int j = 0; j < TN; ++j) y[j].load(&ys[column(j)][f]);
#pragma unroll
    for (int i = 0; i < TM; ++i) {
      Vector<T> x;
      x.load(&xs[row(i)][f]);
#pragma unroll
      for (int j = 0; j < TN; ++j) acc[i][j] = accumulate(x, y[j], acc[i][j]);
    }
  }
}

// Many columns, and at most 32: a wide tile would multiply padding.
template <class T, bool ALIGNED>
struct Tiles;
template <bool ALIGNED>
struct Tiles<float, ALIGNED> {
  // Eight threads beside each other read 128 bytes of columns at once; single numbers to fetch
  // leave fewer registers.
  using Wide = Tile<float, 128, 64, 32, ALIGNED ? 4 : 8, ALIGNED ? 8 : 4, ALIGNED>;
  using Narrow = Tile<float, 128, 32, 32, 4, 4, ALIGNED>;
};
template <bool ALIGNED>
struct Tiles<double, ALIGNED> {
  using Wide = Tile<double, 64, 64, 16, 2, 8, ALIGNED>;
  using Narrow = Tile<double, 64, 32, 16, 4, 2, ALIGNED>;
};
template <class T, bool ALIGNED = true>
using Wide = typename Tiles<T, ALIGNED>::Wide;
template <class T, bool ALIGNED = true>
using Narrow = typename Tiles<T, ALIGNED>::Narrow;

// Rows of a matrix as the tile wants them: (x - shift) * scale, zeros beyond its end.
// shift may be null; scale is a power of two. Aligned tiles need
// data and shift at multiples of 16 bytes, and as many bytes in a row.
template <class T>
struct RowSource {
  const T* data;
  long long rows;
  int features;
  const T* shift;
  T scale;
};

// What one thread brings of ROWS rows, as vectors of 16 bytes or as single numbers. It is fetched
// into registers while the tile before is still being multiplied, and stored afterwards.
template <class G, int ROWS>
struct Fetched {
  using T = typename G::Scalar;
  static constexpr int width = G::aligned ? Vector<T>::lanes : 1;
  static constexpr int across = G::BK / width;  // threads that bring one row
  static constexpr int count = ROWS * across / G::threads;
  static_assert(ROWS * across % G::threads == 0 && G::threads % across == 0, "whole passes");
  T held[count][width];

  CL_DEVICE static int feature() { return static_cast<int>(threadIdx.x) % across * width; }
  CL_DEVICE static int row(int e) {
    return static_cast<int>(threadIdx.x) / across + e * (G::threads / across);
  }

  CL_DEVICE void fetch(const RowSource<T>& source, long long first, int start) {
    constexpr int apart = G::threads / across;
    const int f = start + feature();
    const T* p = source.data + (first + row(0)) * source.features + f;
    // Rows of this thread that exist, counted from its first.
    const long long left = f < source.features ? source.rows - first - row(0) : 0;
#pragma unroll
    for (int e = 0; e < count; ++e) {
      if (e * apart < left) {
        load_vector<width>(p, held[e]);
      } else {
#pragma unroll
        for (int w = 0; w < width; ++w) held[e][w] = T(0);
      }
      p += static_cast<long long>(apart) * source.features;
    }
  }

  // Features beyond the end are zero; rows beyond the end are anything, their scores are not used.
  CL_DEVICE void store(T (&tile)[ROWS][G::stride], const RowSource<T>& source, int start) {
    const int f = start + feature();
    T shift[width];
#pragma unroll
    for (int w = 0; w < width; ++w) shift[w] = T(0);
    if (f < source.features && source.shift) load_vector<width>(source.shift + f, shift);
#pragma unroll
    for (int e = 0; e < count; ++e) {
#pragma unroll
      for (int w = 0; w < width; ++w) held[e][w] = (held[e][w] - shift[w]) * source.scale;
      store_vector<width>(&tile[row(e)][feature()], held[e]);
    }
  }
};

// One column tile: acc[i][j] = sum over the features of x times y. Ends with a barrier, so the
// caller may use the shared tiles again.
template <class G, class T>
CL_DEVICE void multiply_tile(T (&xs)[G::BM][G::stride], T (&ys)[G::BN][G::stride],
                             const RowSource<T>& X, long long row0, const RowSource<T>& Y,
                             long long column0, T (&acc)[G::TM][G::TN]) {
#pragma unroll
  for (int i = 0; i < G::TM; ++i)
#pragma unroll
    for (int j = 0; j < G::TN; ++j) acc[i][j] = T(0);
  Fetched<G, G::BM> x;
  Fetched<G, G::BN> y;
  x.fetch(X, row0, 0);
  y.fetch(Y, column0, 0);
  for (int feature = 0; feature < X.features; feature += G::BK) {
    x.store(xs, X, feature);
    y.store(ys, Y, feature);
    __syncthreads();
    if (feature + G::BK < X.features) {
      x.fetch(X, row0, feature + G::BK);
      y.fetch(Y, column0, feature + G::BK);
    }
    G::multiply(xs, ys, X.features - feature < G::BK ? X.features - feature : G::BK, acc);
    __syncthreads();
  }
}

// Hands every tile of columns to reduce(acc, column0), columns ascending.
template <class T, int BM, int BN, int BK, int TM, int TN, bool ALIGNED>
template <class Source, class Reduce>
CL_DEVICE void Tile<T, BM, BN, BK, TM, TN, ALIGNED>::sweep(const Source& X, long long row0,
                                                           const Source& Y, Reduce& reduce) {
  CL_SHARED(T, xs, [BM][stride]);
  CL_SHARED(T, ys, [BN][stride]);
  for (long long column0 = 0; column0 < Y.rows; column0 += BN) {
    T acc[TM][TN];
    multiply_tile<Tile>(xs, ys, X, row0, Y, column0, acc);
    reduce(acc, column0);
  }
}

// The same for any kind of tile, and BM rows from row0.
template <class G, class Reduce>
CL_DEVICE void sweep_columns(const RowSource<typename G::Scalar>& X, long long row0,
                             const RowSource<typename G::Scalar>& Y, Reduce& reduce) {
  G::sweep(X, row0, Y, reduce);
}

}  // namespace cl
