// Sinkhorn half-steps on a stored cost: row potentials and the column sums of their plan.
//
// Up to `Q` times `span` columns the threads of a row keep its exponentials in registers, where they
// wait for the sum of the row and then go into the sums of the columns: one read of the cost and one
// exponential for each entry. Beyond that the rows come first (sinkhorn_rows) and the columns
// second (sinkhorn_panels), with two of each.
//
// S is the type of the cost and T the one that is calculated in. gap = g_j + sign C_ij, where sign
// is -1 for costs and 1 for scores. R right-hand sides are next to each other on the grid, so that
// the rows they share come from the second-level cache.
#pragma once
#include "sinkhorn_rows.cuh"

namespace cl {

// Blocks of a multiprocessor at a time that the registers of a thread allow for.
template <class T, int Q>
struct SweepShape {
  static constexpr int bytes = sizeof(T) * Q;
  static constexpr int resident = bytes <= 32 ? 4 - kBlocksLess : bytes <= 64 ? 3 - kBlocksLess : 2;
};

// Exponentials of a row in registers, for the columns lane, lane + span, ...
template <class S, class T, int Q>
struct RowValues {
  T e[Q];

  // Returns the largest gap.
  CL_DEVICE T load(const S* row, const T* g, bool here, int lane, int span, int m, T sign) {
    T top = lowest<T>();
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      if (q * span < m) {
        const int c = lane + q * span;
        e[q] = -infinity<T>();
        if (here && c < m) e[q] = fused(sign, static_cast<T>(row[c]), g[c]);
        top = larger(top, e[q]);
      }
    }
    return top;
  }

  CL_DEVICE T exponentiate(T top, T slope, int span, int m) {
    T total = 0;
#pragma unroll
    for (int q = 0; q < Q; ++q) {
      if (q * span < m) {
        e[q] = exponential((e[q] - top) * slope);
        total += e[q];
      }
    }
    return total;
  }
};

// One block for each leaf and right-hand side. `partial` gets the column sums of the leaves, of
// shape (leaves, R, m); the numbers of the rows are written where there are pointers.
template <class S, class T, int Q>
__global__ void __launch_bounds__(kSweepThreads, (SweepShape<T, Q>::resident))
    sinkhorn_fused(const S* __restrict__ C, long long n, int m, int sides, int span, T sign,
                   double epsilon, double tau, double f_max, int update,
                   const double* __restrict__ log_a, const double* __restrict__ weight,
                   double* __restrict__ f, const T* __restrict__ g, long long first_leaf,
                   double* __restrict__ partial, double* __restrict__ shifts,
                   double* __restrict__ factors, double* __restrict__ row_sums) {
  CL_SHARED(T, tops, [kSweepWarps]);
  CL_SHARED(double, sums, [kSweepWarps]);
  CL_SHARED(double, columns, [kSweepThreads]);
  const RowRule rule = {epsilon, tau, f_max, update};
  const bool is_plain = update && tau == 1.0 && f_max == infinity<double>();
  const T slope = slope_of<T>(epsilon);
  const int side = blockIdx.x % sides, lane = threadIdx.x % span, team = threadIdx.x / span;
  const int teams = kSweepThreads / span;
  const long long leaf = blockIdx.x / sides, row0 = (first_leaf + leaf) * kLeafRows;
  g += static_cast<long long>(side) * m;
  RowValues<S, T, Q> values;
  T acc[Q];
#pragma unroll
  for (int q = 0; q < Q; ++q) acc[q] = 0;
  for (int k = team; k < kLeafRows; k += teams) {
    const long long row = row0 + k, at = side * n + row;
    const bool here = row < n;
    const T top = team_max(values.load(C + row * m, g, here, lane, span, m, sign), span, tops);
    const double total = team_sum(values.exponentiate(top, slope, span, m), span, sums);
    double factor = 0.0;
    if (here && is_plain) {
      factor = weight[at] / total;
      if (lane == 0) row_factor(rule, log_a[at], weight[at], top, total, f[at]);
    } else if (here) {
      double potential = update ? 0.0 : f[at];
      factor = row_factor(rule, log_a[at], weight[at], top, total, potential);
      if (update && lane == 0) f[at] = potential;
    }
    if (here && lane == 0 && shifts) {
      shifts[at] = top;
      factors[at] = factor;
      row_sums[at] = factor > 0.0 ? factor * total : 0.0;
    }
    const T scale = static_cast<T>(factor);
#pragma unroll
    for (int q = 0; q < Q; ++q)
      if (q * span < m) acc[q] += entry(values.e[q], scale);
  }
  double* out = partial + (leaf * sides + side) * m;
#pragma unroll
  for (int q = 0; q < Q; ++q) {
    if (q * span < m) {
      __syncthreads();
      columns[threadIdx.x] = acc[q];
      __syncthreads();
      if (team == 0 && lane + q * span < m) {
        double sum = columns[lane];
        for (int i = 1; i < teams; ++i) sum += columns[i * span + lane];
        out[lane + q * span] = sum;
      }
    }
  }
}

// One block for each row and right-hand side, any number of columns: potentials, shifts, factors
// and sums of rows.
template <class S, class T>
__global__ void __launch_bounds__(kSweepThreads, 4)
    sinkhorn_rows(const S* __restrict__ C, long long n, int m, int sides, T sign, double epsilon,
                  double tau, double f_max, int update, const double* __restrict__ log_a,
                  const double* __restrict__ weight, double* __restrict__ f,
                  const T* __restrict__ g, long long first_row, double* __restrict__ shifts,
                  double* __restrict__ factors, double* __restrict__ row_sums) {
  constexpr int Q = 8;
  CL_SHARED(T, tops, [kSweepWarps]);
  CL_SHARED(double, sums, [kSweepWarps]);
  const RowRule rule = {epsilon, tau, f_max, update};
  const T slope = slope_of<T>(epsilon);
  const int side = blockIdx.x % sides;
  const long long row = first_row + blockIdx.x / sides, at = side * n + row;
  g += static_cast<long long>(side) * m;
  C += row * m;
  RowValues<S, T, Q> values;
  T top = lowest<T>();
  double total = 0.0;
  for (int c = 0; c < m; c += Q * kSweepThreads) {
    const int left = m - c;
    const T most = values.load(C + c, g + c, true, threadIdx.x, kSweepThreads, left, sign);
    if (most > top) {
      total *= static_cast<double>(exponential((top - most) * slope));
      top = most;
    }
    total += static_cast<double>(values.exponentiate(top, slope, kSweepThreads, left));
  }
  const T most = team_max(top, kSweepThreads, tops);
  total = team_sum(total * static_cast<double>(exponential((top - most) * slope)), kSweepThreads, sums);
  if (threadIdx.x == 0) {
    double potential = update ? 0.0 : f[at];
    const double factor = row_factor(rule, log_a[at], weight[at], most, total, potential);
    if (update) f[at] = potential;
    shifts[at] = most;
    factors[at] = factor;
    if (row_sums) row_sums[at] = factor > 0.0 ? factor * total : 0.0;
  }
}

// One block for each leaf, right-hand side and panel of 256 columns, one thread for each column:
// whatever is asked for by a pointer of the column sums of leaves (leaves, R, m), the plan (n, m)
// and the weighted sums of its squares (leaves, m), the last two for one right-hand side.
template <class S, class T>
__global__ void __launch_bounds__(kSweepThreads, 6)
    sinkhorn_panels(const S* __restrict__ C, long long n, int m, int sides, int panels, T sign,
                    double epsilon, const T* __restrict__ g, const double* __restrict__ shifts,
                    const double* __restrict__ factors, const double* __restrict__ row_weight,
                    long long first_leaf, double* __restrict__ partial, S* __restrict__ plan,
                    double* __restrict__ squares) {
  const T slope = slope_of<T>(epsilon);
  const int panel = blockIdx.x % panels, c = panel * kSweepThreads + threadIdx.x;
  const int task = blockIdx.x / panels, side = task % sides;
  const long long leaf = task / sides, row0 = (first_leaf + leaf) * kLeafRows;
  if (c < m) {
    const T potential = g[static_cast<long long>(side) * m + c];
    T sum = 0, square = 0;
#pragma unroll 4
    for (int k = 0; k < kLeafRows; ++k) {
      const long long row = row0 + k, at = side * n + row;
      if (row < n) {
        const T gap = fused(sign, static_cast<T>(C[row * m + c]), potential);
        const T e = exponential((gap - static_cast<T>(shifts[at])) * slope);
        const T p = entry(e, static_cast<T>(factors[at]));
        sum += p;
        if (plan) plan[row * m + c] = static_cast<S>(p);
        if (squares) square += static_cast<T>(row_weight[row]) * p * p;
      }
    }
    if (partial) partial[(leaf * sides + side) * m + c] = sum;
    if (squares) squares[leaf * m + c] = square;
  }
}

}  // namespace cl
