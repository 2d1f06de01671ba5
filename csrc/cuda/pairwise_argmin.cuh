// The screen of the nearest row: the best and the second best score of every row of X, in the
// dtype of X. What the rounding errors leave undecided is evaluated again (exact_rows.cuh).
#pragma once
#include "tensor_tile.cuh"

namespace cl {

// Best and second best of the columns that one thread has seen of its rows.
template <class G>
struct BestTwo {
  using T = typename G::Scalar;
  T first[G::TM], second[G::TM];
  int index[G::TM];
  const T* bias;
  long long columns;

  CL_DEVICE void start() {
#pragma unroll
    for (int i = 0; i < G::TM; ++i) first[i] = second[i] = -infinity<T>(), index[i] = 0x7fffffff;
  }

  CL_DEVICE void operator()(const T (&acc)[G::TM][G::TN], long long column0) {
#pragma unroll
    for (int j = 0; j < G::TN; ++j) {
      const long long column = column0 + G::column(j);
      if (column < columns) {
        const T b = bias ? bias[column] : T(0);
#pragma unroll
        for (int i = 0; i < G::TM; ++i) add(i, acc[i][j] + b, static_cast<int>(column));
      }
    }
  }

  // Columns come in ascending order: a later equal one stays second.
  CL_DEVICE void add(int i, T score, int column) {
    second[i] = larger(second[i], smaller(first[i], score));
    index[i] = score > first[i] ? column : index[i];
    first[i] = larger(first[i], score);
  }

  // The threads of a row of the tile put together what they have seen.
  CL_DEVICE void combine(int i) {
#pragma unroll
    for (int apart = G::TX / 2; apart > 0; apart /= 2) {
      const T f = __shfl_xor_sync(kFullWarp, first[i], apart, G::TX);
      const T s = __shfl_xor_sync(kFullWarp, second[i], apart, G::TX);
      const int a = __shfl_xor_sync(kFullWarp, index[i], apart, G::TX);
      second[i] = larger(larger(second[i], s), smaller(first[i], f));
      index[i] = f > first[i] || (f == first[i] && a < index[i]) ? a : index[i];
      first[i] = larger(first[i], f);
    }
  }
};

// scores are <x, y> + bias; the largest is the nearest.
template <class G>
__global__ void __launch_bounds__(G::threads)
    argmin_tiles(const typename G::Scalar* __restrict__ X, long long n, int d,
                 const typename G::Scalar* __restrict__ shift, typename G::Scalar scale,
                 const typename G::Scalar* __restrict__ Y, long long m,
                 const typename G::Scalar* __restrict__ bias, int* __restrict__ labels,
                 typename G::Scalar* __restrict__ best, typename G::Scalar* __restrict__ second) {
  using T = typename G::Scalar;
  const long long row0 = static_cast<long long>(blockIdx.x) * G::BM;
  BestTwo<G> scores;
  scores.bias = bias;
  scores.columns = m;
  scores.start();
  const RowSource<T> rows = {X, n, d, shift, scale}, columns = {Y, m, d, nullptr, T(1)};
  sweep_columns<G>(rows, row0, columns, scores);
#pragma unroll
  for (int i = 0; i < G::TM; ++i) {
    scores.combine(i);
    const long long row = row0 + G::row(i);
    if (speaks_for_row<G>() && row < n) {
      labels[row] = scores.index[i];
      best[row] = scores.first[i];
      second[row] = scores.second[i];
    }
  }
}

}  // namespace cl
