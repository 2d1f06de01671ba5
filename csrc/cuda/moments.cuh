// Scatters of classes in float64, chunk by chunk of the rows of a class and tile by tile of the scatter;
// the sums of chunks are merged by the fixed pairwise tree.
//
// Rows come sorted by class. A block gathers some rows of its chunk at a time, shifted by the mean of
// their class and scaled by the square roots of their weights, and adds up the products of two groups
// of columns.
#pragma once
#include "node_stack.cuh"

namespace cl {

constexpr int kScatterThreads = 256;
constexpr int kScatterRun = 1024;  // rows before an outer level of sums takes over
constexpr int kScatterLevels = 13;

// Columns of the tile that a thread owns: pairs of neighbours, 16 bytes at a time.
template <int M>
CL_DEVICE int owned_column(int thread, int i) {
  return M == 1 ? thread : i / 2 * 32 + 2 * thread + i % 2;
}

// panel[r][c] = root_weight (x - mean) for rows first + r before end and columns first_column + c,
// zeros elsewhere.
template <int DEPTH, int TILE, class T>
CL_DEVICE void gather_rows(const T* X, int d, const double* root_weight, const int* rows, int first,
                           int end, const double* mean, int first_column, double (&panel)[DEPTH][TILE]) {
#pragma unroll
  for (int e = static_cast<int>(threadIdx.x); e < DEPTH * TILE; e += kScatterThreads) {
    const int r = e / TILE, c = e % TILE;
    double z = 0;
    if (first + r < end && first_column + c < d) {
      const int row = rows[first + r];
      const double x = static_cast<double>(X[static_cast<long long>(row) * d + first_column + c]);
      z = (x - mean[first_column + c]) * (root_weight ? root_weight[row] : 1.0);
    }
    panel[r][c] = z;
  }
}

// parts[chunk][a][b] for a, b in the tiles of blockIdx.y, a pair of the lower triangle; parts[chunk][d]
// are the weighted sums of the columns. M x M products for a thread.
template <class T, int M>
__global__ void __launch_bounds__(kScatterThreads, 2)
    scatter_chunks(const T* __restrict__ X, int d, const double* __restrict__ root_weight,
                   const int* __restrict__ rows, const int* __restrict__ chunks,
                   const int* __restrict__ labels, const double* __restrict__ means,
                   double* __restrict__ parts) {
  constexpr int TILE = 16 * M, DEPTH = 64 / M;
  CL_SHARED(double, left, [DEPTH][TILE]);
  CL_SHARED(double, right, [DEPTH][TILE]);
  const int tx = static_cast<int>(threadIdx.x) % 16, ty = static_cast<int>(threadIdx.x) / 16;
  const int begin = chunks[2 * blockIdx.x], end = chunks[2 * blockIdx.x + 1];
  const double* mean = means + static_cast<long long>(labels[blockIdx.x]) * d;
  int column = static_cast<int>(blockIdx.y), line = 0;
  while (column > line) column -= ++line;
  const int a0 = line * TILE, b0 = column * TILE;
  const bool diagonal = line == column;
  const double(*other)[TILE] = diagonal ? left : right;
  const int own = static_cast<int>(threadIdx.x);  // whose sum this thread takes on the diagonal
  double acc[M][M], total[M][M], sum = 0, sums = 0;
#pragma unroll
  for (int i = 0; i < M; ++i)
#pragma unroll
    for (int j = 0; j < M; ++j) acc[i][j] = total[i][j] = 0;
  for (int first = begin; first < end; first += DEPTH) {
    gather_rows(X, d, root_weight, rows, first, end, mean, a0, left);
    if (!diagonal) gather_rows(X, d, root_weight, rows, first, end, mean, b0, right);
    __syncthreads();
#pragma unroll 4
    for (int r = 0; r < DEPTH; ++r) {
      double a[M], b[M];
#pragma unroll
      for (int i = 0; i < M; ++i) {
        a[i] = left[r][owned_column<M>(ty, i)];
        b[i] = other[r][owned_column<M>(tx, i)];
      }
#pragma unroll
      for (int i = 0; i < M; ++i)
#pragma unroll
        for (int j = 0; j < M; ++j) acc[i][j] = fused(a[i], b[j], acc[i][j]);
    }
    if (diagonal && own < TILE)
      for (int r = 0; r < DEPTH && first + r < end; ++r)
        sum = fused(root_weight ? root_weight[rows[first + r]] : 1.0, left[r][own], sum);
    if ((first - begin) / DEPTH % (kScatterRun / DEPTH) == kScatterRun / DEPTH - 1) {
#pragma unroll
      for (int i = 0; i < M; ++i)
#pragma unroll
        for (int j = 0; j < M; ++j) {
          total[i][j] += acc[i][j];
          acc[i][j] = 0;
        }
      sums += sum;
      sum = 0;
    }
    __syncthreads();
  }
  double* part = parts + static_cast<long long>(blockIdx.x) * (d + 1) * d;
#pragma unroll
  for (int i = 0; i < M; ++i)
#pragma unroll
    for (int j = 0; j < M; ++j) {
      const int a = a0 + owned_column<M>(ty, i), b = b0 + owned_column<M>(tx, j);
      if (a < d && b < d) part[static_cast<long long>(a) * d + b] = total[i][j] + acc[i][j];
    }
  if (diagonal && own < TILE && a0 + own < d) part[static_cast<long long>(d) * d + a0 + own] = sums + sum;
}

// Entry `at` of the parts of one class, merged.
CL_DEVICE double merge_chunks(const double* parts, int first, int last, long long size, long long at) {
  return merged_nodes<kScatterLevels>(parts + first * size + at, last - first, size);
}

// residuals[label * d + a] = the weighted sum of column a about the mean.
__global__ void __launch_bounds__(kScatterThreads, 2)
    merge_residuals(const double* __restrict__ parts, const int* __restrict__ first_chunks, long long k,
                    int d, double* __restrict__ residuals) {
  const long long i = static_cast<long long>(blockIdx.x) * kScatterThreads + threadIdx.x;
  if (i < k * d) {
    const long long label = i / d, size = static_cast<long long>(d + 1) * d;
    residuals[i] = merge_chunks(parts, first_chunks[label], first_chunks[label + 1], size,
                                static_cast<long long>(d) * d + i % d);
  }
}

// scatters[label][a][b] and [b][a] = the sum of the parts, less r_a r_b / weight.
__global__ void __launch_bounds__(kScatterThreads, 2)
    merge_scatters(const double* __restrict__ parts, const int* __restrict__ first_chunks, long long k,
                   int d, const double* __restrict__ residuals, const double* __restrict__ weights,
                   double* __restrict__ scatters) {
  const long long i = static_cast<long long>(blockIdx.x) * kScatterThreads + threadIdx.x;
  const long long square = static_cast<long long>(d) * d;
  const long long label = i / square, a = i % square / d, b = i % d;
  if (label < k && a >= b) {
    double sum = merge_chunks(parts, first_chunks[label], first_chunks[label + 1], square + d, a * d + b);
    const double* r = residuals + label * d;
    const double weight = weights[label];
    if (weight > 0) sum = __dsub_rn(sum, __dmul_rn(r[a], r[b]) / weight);
    if (a == b && sum < 0) sum = 0;
    scatters[label * square + a * d + b] = sum;
    scatters[label * square + b * d + a] = sum;
  }
}

}  // namespace cl
