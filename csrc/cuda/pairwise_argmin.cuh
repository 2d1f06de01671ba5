// The screen of the nearest row: the best and the second best score of every row of X, in the
// dtype of X. What the rounding errors leave undecided is evaluated again (exact_rows.cuh).
#pragma once
#include "tensor_tile.cuh"

namespace cl {

constexpr int kScreenThreads = 256;  // of kernels that read scores, one warp for a row

// Best and second best of the columns that one thread has seen of a row.
template <class T>
struct TopTwo {
  T first, second;
  int index;

  CL_DEVICE void start() { first = second = -infinity<T>(), index = 0x7fffffff; }

  // Columns come in ascending order: a later equal one stays second.
  CL_DEVICE void add(T score, int column) {
    second = larger(second, smaller(first, score));
    index = score > first ? column : index;
    first = larger(first, score);
  }

  // Some lanes next to each other, all of one row, put together what they have seen.
  template <int lanes>
  CL_DEVICE void combine() {
#pragma unroll
    for (int apart = lanes / 2; apart > 0; apart /= 2) {
      const T f = __shfl_xor_sync(kFullWarp, first, apart, lanes);
      const T s = __shfl_xor_sync(kFullWarp, second, apart, lanes);
      const int a = __shfl_xor_sync(kFullWarp, index, apart, lanes);
      second = larger(larger(second, s), smaller(first, f));
      index = f > first || (f == first && a < index) ? a : index;
      first = larger(first, f);
    }
  }
};

// What sweep_columns hands its tiles to: <x, y> + bias for the rows of one thread.
template <class G>
struct BestOfTiles {
  using T = typename G::Scalar;
  TopTwo<T> rows[G::TM];
  const T* bias;
  long long columns;

  CL_DEVICE void operator()(const T (&acc)[G::TM][G::TN], long long column0) {
#pragma unroll
    for (int j = 0; j < G::TN; ++j) {
      const long long column = column0 + G::column(j);
      if (column < columns) {
        const T b = bias ? bias[column] : T(0);
#pragma unroll
        for (int i = 0; i < G::TM; ++i) rows[i].add(acc[i][j] + b, static_cast<int>(column));
      }
    }
  }
};

// Scores are <x, y> + bias; the largest is the nearest.
template <class G>
__global__ void __launch_bounds__(G::threads, G::resident)
    argmin_tiles(const typename G::Scalar* __restrict__ X, long long n, int d,
                 const typename G::Scalar* __restrict__ shift, typename G::Scalar scale,
                 const typename G::Scalar* __restrict__ Y, long long m,
                 const typename G::Scalar* __restrict__ bias, int* __restrict__ labels,
                 typename G::Scalar* __restrict__ best, typename G::Scalar* __restrict__ second) {
  using T = typename G::Scalar;
  const long long row0 = static_cast<long long>(blockIdx.x) * G::BM;
  BestOfTiles<G> scores;
  scores.bias = bias;
  scores.columns = m;
#pragma unroll
  for (int i = 0; i < G::TM; ++i) scores.rows[i].start();
  const RowSource<T> rows = {X, n, d, shift, scale}, columns = {Y, m, d, nullptr, T(1)};
  sweep_columns<G>(rows, row0, columns, scores);
#pragma unroll
  for (int i = 0; i < G::TM; ++i) {
    scores.rows[i].template combine<G::TX>();
    const long long row = row0 + G::row(i);
    if (speaks_for_row<G>() && row < n) {
      labels[row] = scores.rows[i].index;
      best[row] = scores.rows[i].first;
      second[row] = scores.rows[i].second;
    }
  }
}

// The same from products that are there already, of rows start, ..., start + count - 1 with all of
// Y: one warp for a row.
template <class T>
__global__ void __launch_bounds__(kScreenThreads)
    argmin_products(const T* __restrict__ products, long long start, long long count, long long m,
                    const T* __restrict__ bias, int* __restrict__ labels, T* __restrict__ best,
                    T* __restrict__ second) {
  const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
  const long long row = static_cast<long long>(blockIdx.x) * (kScreenThreads / 32) + warp;
  TopTwo<T> found;
  found.start();
  if (row < count) {
    for (long long column = lane; column < m; column += 32) {
      const T b = bias ? bias[column] : T(0);
      found.add(products[row * m + column] + b, static_cast<int>(column));
    }
  }
  found.template combine<32>();
  if (lane == 0 && row < count) {
    labels[start + row] = found.index;
    best[start + row] = found.first;
    second[start + row] = found.second;
  }
}

}  // namespace cl
