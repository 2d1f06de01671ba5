// What follows a Sinkhorn sweep: sums of columns that have left the range of their type, the
// translation of two penalised marginals, error and dual value, and the step of the columns.
// Everything is in float64. R right-hand sides: vectors of rows are (R, n), of columns (R, m).
#pragma once
#include "sinkhorn_rows.cuh"

namespace cl {

constexpr int kVectorThreads = 256;
constexpr int kVectorBlock = 1024;  // entries of a vector that a block adds up
constexpr double kTrusted = 600.0;  // |exponent| up to which exponentials stay in the range

// Whether the sum of a column may have lost terms to underflow, or overflowed, though it counts.
CL_DEVICE bool is_lost(double sum, double log_b, double least, double most) {
  return !(sum > least && sum < most) && log_b > -infinity<double>();
}

// Sum over a block of 256, by a fixed tree; `slots` is free after the next barrier but one.
CL_DEVICE double block_sum(double value, double* slots) {
  __syncthreads();
  return team_sum(value, kVectorThreads, slots);
}

// Logarithms of sums of exponentials that are put together: exp(top) * sum.
struct LogSum {
  double top, sum;

  CL_DEVICE void start() {
    top = -infinity<double>();
    sum = 0.0;
  }
  CL_DEVICE void add(double exponent, double count) {
    if (!(exponent > -infinity<double>())) return;
    if (exponent > top) {
      sum = sum * exp(top - exponent) + count;
      top = exponent;
    } else {
      sum += count * exp(exponent - top);
    }
  }
  CL_DEVICE double value() const { return top + log(sum); }
};

// Columns whose sums are lost, anew from the cost and with their own maximum. One block for each
// chunk of rows, right-hand side and 32 columns, a column for each lane; blocks without a lost
// column only look. tops and totals are (chunks, R, m).
template <class S>
__global__ void __launch_bounds__(kSweepThreads)
    lost_columns(const S* __restrict__ C, long long n, int m, int sides, int groups, long long rows,
                 double epsilon, const double* __restrict__ f, const double* __restrict__ g,
                 const double* __restrict__ log_b, const double* __restrict__ column_sums,
                 double least, double most, double* __restrict__ tops, double* __restrict__ totals) {
  CL_SHARED(double, warp_tops, [kSweepThreads]);
  CL_SHARED(double, warp_sums, [kSweepThreads]);
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const int group = blockIdx.x % groups, task = blockIdx.x / groups, side = task % sides;
  const long long chunk = task / sides, begin = chunk * rows;
  const int c = group * 32 + lane;
  const long long at = static_cast<long long>(side) * m + c;
  const bool is_needed = c < m && is_lost(column_sums[at], log_b[at], least, most);
  const bool has_work = __ballot_sync(kFullWarp, is_needed) != 0;
  const long long end = has_work ? smaller(begin + rows, n) : begin;
  LogSum total;
  total.start();
  for (long long row = begin + warp; row < end; row += kSweepWarps) {
    if (is_needed) {
      const double cost = static_cast<double>(C[row * m + c]);
      total.add((f[side * n + row] + (g[at] - cost)) / epsilon, 1.0);
    }
  }
  warp_tops[threadIdx.x] = total.top;
  warp_sums[threadIdx.x] = total.sum;
  __syncthreads();
  if (warp == 0 && is_needed) {
    for (int i = 1; i < kSweepWarps; ++i) total.add(warp_tops[32 * i + lane], warp_sums[32 * i + lane]);
    tops[chunk * sides * m + at] = total.top;
    totals[chunk * sides * m + at] = total.sum;
  }
}

// log sum w exp(-x / rho) of the entries of a block, for both marginals: blocks of rows, of which
// there are `row_blocks` for each right-hand side, come before those of columns.
template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    marginal_masses(long long n, int m, int row_blocks, int column_blocks,
                    const T* __restrict__ log_a, const T* __restrict__ log_b,
                    const T* __restrict__ f, const T* __restrict__ g, double rho_a, double rho_b,
                    double* __restrict__ tops, double* __restrict__ totals) {
  CL_SHARED(double, slots, [kSweepWarps]);
  CL_SHARED(double, more_slots, [kSweepWarps]);
  const int blocks = row_blocks + column_blocks;
  const int side = blockIdx.x / blocks, block = blockIdx.x % blocks;
  const bool is_row = block < row_blocks;
  const long long length = is_row ? n : m;
  const T* log_weight = (is_row ? log_a : log_b) + side * length;
  const T* x = (is_row ? f : g) + side * length;
  const double rho = is_row ? rho_a : rho_b;
  const long long begin = static_cast<long long>(is_row ? block : block - row_blocks) * kVectorBlock;
  LogSum total;
  total.start();
  for (int k = threadIdx.x; k < kVectorBlock; k += kVectorThreads) {
    const long long i = begin + k;
    if (i < length && log_weight[i] > -infinity<double>())
      total.add(log_weight[i] - x[i] / rho, 1.0);
  }
  const double top = team_max(total.top, kVectorThreads, slots);
  const double part = total.sum > 0.0 ? total.sum * exp(total.top - top) : 0.0;
  const double sum = team_sum(part, kVectorThreads, more_slots);
  if (threadIdx.x == 0) {
    tops[blockIdx.x] = top;
    totals[blockIdx.x] = sum;
  }
}

// The translation of f against g that maximises the dual; one block for each right-hand side.
template <class T>
__global__ void __launch_bounds__(32)
    translation(int row_blocks, int column_blocks, double rho_a, double rho_b,
                const T* __restrict__ tops, const T* __restrict__ totals, T* __restrict__ shifts) {
  if (threadIdx.x == 0) {
    const int blocks = row_blocks + column_blocks;
    const T *top = tops + blockIdx.x * blocks, *total = totals + blockIdx.x * blocks;
    LogSum rows, columns;
    rows.start();
    columns.start();
    for (int i = 0; i < row_blocks; ++i) rows.add(top[i], total[i]);
    for (int i = row_blocks; i < blocks; ++i) columns.add(top[i], total[i]);
    shifts[blockIdx.x] = rho_a * rho_b / (rho_a + rho_b) * (rows.value() - columns.value());
  }
}

// <w, x>, or what the penalty makes of it, for one entry. Either factor of the weight times the
// exponential may leave the range while their product stays.
CL_DEVICE double dual_term(double log_weight, double x, double tau, double rho) {
  if (log_weight == -infinity<double>() || tau == 0.0) return 0.0;
  if (tau == 1.0) return exp(log_weight) * x;
  const double exponent = -x / rho;
  const double change = magnitude(exponent) < kTrusted
                            ? exp(log_weight) * expm1(exponent)
                            : exp(log_weight + exponent) - exp(log_weight);
  return -rho * change;
}

// Mass that the step to `target` would move in a column of sum `sum` and its logarithm.
CL_DEVICE double moved_mass(double log_b, double g, double target, double sum, double log_sum,
                            double tau_b, double epsilon) {
  if (tau_b == 1.0) return magnitude(sum - exp(log_b));
  if (log_b == -infinity<double>()) return 0.0;
  const double change = (target - g) / epsilon;
  const double moved = magnitude(change) < kTrusted ? sum * magnitude(expm1(change))
                                                    : magnitude(exp(log_sum + change) - sum);
  return moved < infinity<double>() ? moved : infinity<double>();
}

// Both vectors of a pair of marginals: translation, terms of the dual value, of mass and of error,
// each added up over a block, as (R, row_blocks + column_blocks, 3); and the targets of g.
// `logs` are the logarithms of the column sums if they are known, else lost ones are put together
// from `chunks` parts; sums are repaired in place.
template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    marginal_terms(long long n, int m, int sides, int row_blocks, int column_blocks,
                   const T* __restrict__ log_a, const T* __restrict__ log_b, T* __restrict__ f,
                   T* __restrict__ g, double epsilon, double tau_a, double tau_b, double rho_a,
                   double rho_b, const T* __restrict__ shifts, T* __restrict__ column_sums,
                   const T* __restrict__ logs, const T* __restrict__ tops,
                   const T* __restrict__ totals, int chunks, double least, double most,
                   T* __restrict__ targets, T* __restrict__ terms) {
  CL_SHARED(double, slots, [kSweepWarps]);
  const int blocks = row_blocks + column_blocks;
  const int side = blockIdx.x / blocks, block = blockIdx.x % blocks;
  const double shift = shifts ? shifts[side] : 0.0;
  double dual = 0.0, mass = 0.0, error = 0.0;
  for (int k = threadIdx.x; k < kVectorBlock; k += kVectorThreads) {
    if (block < row_blocks) {
      const long long i = static_cast<long long>(block) * kVectorBlock + k, at = side * n + i;
      if (i < n) {
        f[at] += shift;
        dual += dual_term(log_a[at], f[at], tau_a, rho_a);
      }
      continue;
    }
    const long long j = static_cast<long long>(block - row_blocks) * kVectorBlock + k;
    const long long at = static_cast<long long>(side) * m + j;
    if (j < m) {
      double sum = logs ? 0.0 : column_sums[at], log_sum = logs ? logs[at] : log(sum);
      if (!logs && is_lost(sum, log_b[at], least, most)) {
        LogSum total;
        total.start();
        for (long long i = 0; i < chunks; ++i)
          total.add(tops[i * sides * m + at], totals[i * sides * m + at]);
        log_sum = total.value();
      }
      if (logs || is_lost(sum, log_b[at], least, most)) {
        sum = exp(smaller(log_sum, 700.0));
        column_sums[at] = sum;
      }
      g[at] -= shift;
      dual += dual_term(log_b[at], g[at], tau_b, rho_b);
      const double target = tau_b * (g[at] + epsilon * (log_b[at] - log_sum));
      error += moved_mass(log_b[at], g[at], target, sum, log_sum, tau_b, epsilon);
      mass += sum;
      targets[at] = target;
    }
  }
  dual = block_sum(dual, slots);
  mass = block_sum(mass, slots);
  error = block_sum(error, slots);
  if (threadIdx.x == 0) {
    T* out = terms + 3ll * blockIdx.x;
    out[0] = dual;
    out[1] = mass;
    out[2] = error;
  }
}

// Error and dual value of an iteration into its line of the history (R, capacity, 2); one block
// for each right-hand side.
template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    close_iteration(int blocks, double epsilon, const T* __restrict__ terms, long long capacity,
                    long long line, T* __restrict__ history) {
  CL_SHARED(double, slots, [kSweepWarps]);
  double sums[3] = {0.0, 0.0, 0.0};
  for (int i = threadIdx.x; i < blocks; i += kVectorThreads) {
#pragma unroll
    for (int k = 0; k < 3; ++k) sums[k] += terms[3ll * (static_cast<long long>(blockIdx.x) * blocks + i) + k];
  }
#pragma unroll
  for (int k = 0; k < 3; ++k) sums[k] = block_sum(sums[k], slots);
  if (threadIdx.x == 0) {
    T* out = history + 2 * (blockIdx.x * capacity + line);
    out[0] = sums[2];
    out[1] = sums[0] - epsilon * sums[1];
  }
}

// The step of the columns. g is left as the next sweep, in T, will see it, so that its error is
// not that of a neighbour; seen gets it in T.
template <class T>
__global__ void __launch_bounds__(kVectorThreads)
    column_step(long long count, double relaxation, const double* __restrict__ log_b,
                const double* __restrict__ targets, double* __restrict__ g, T* __restrict__ seen) {
  const long long at = static_cast<long long>(blockIdx.x) * kVectorThreads + threadIdx.x;
  if (at < count) {
    double value = g[at];
    if (log_b[at] > -infinity<double>()) value += relaxation * (targets[at] - value);
    seen[at] = static_cast<T>(value);
    g[at] = static_cast<double>(seen[at]);
  }
}

}  // namespace cl
