// Many small transport problems, one to a block, which iterates it until it has converged. Both
// sides are log-sum-exps against their own maxima, so that no sum leaves its range.
#pragma once
#include "sinkhorn_columns.cuh"

namespace cl {

constexpr int kBatchThreads = 128;
constexpr int kBatchWarps = kBatchThreads / 32;

// Sum over the block, by a fixed tree.
CL_DEVICE double batch_sum(double value, double* slots) {
  __syncthreads();
  return team_sum(value, kBatchThreads, slots);
}

// Logarithm of the sum over i < count of exp((x_i - C_i) / epsilon) with C_i `stride` apart; `lanes`
// neighbouring threads, 1 or a warp, take turns.
template <class T>
CL_DEVICE double log_sum(const T* C, int stride, const double* x, int count, double epsilon,
                         int lane, int lanes) {
  const T slope = slope_of<T>(epsilon);
  T top = lowest<T>();
  for (int i = lane; i < count; i += lanes)
    top = larger(top, static_cast<T>(x[i]) - C[static_cast<long long>(i) * stride]);
  if (lanes > 1) top = team_max(top, lanes, static_cast<T*>(nullptr));
  double sum = 0.0;
  for (int i = lane; i < count; i += lanes) {
    const T gap = static_cast<T>(x[i]) - C[static_cast<long long>(i) * stride];
    sum += static_cast<double>(exponential((gap - top) * slope));
  }
  if (lanes > 1) sum = team_sum(sum, lanes, static_cast<double*>(nullptr));
  return static_cast<double>(top) / epsilon + log(sum);
}

// log sum w exp(-x / rho) over a vector, in every thread of the block.
CL_DEVICE double log_mass(const double* log_weight, const double* x, int count, double rho,
                          double* tops, double* sums) {
  LogSum total;
  total.start();
  for (int i = threadIdx.x; i < count; i += kBatchThreads)
    if (log_weight[i] > -infinity<double>()) total.add(log_weight[i] - x[i] / rho, 1.0);
  __syncthreads();
  const double top = team_max(total.top, kBatchThreads, tops);
  const double part = total.sum > 0.0 ? total.sum * exp(total.top - top) : 0.0;
  return top + log(team_sum(part, kBatchThreads, sums));
}

// C is (B, p, q); f (B, p) and g (B, q) are moved, targets (B, q) is room to work in.
template <class T>
__global__ void __launch_bounds__(kBatchThreads, 4)
    sinkhorn_batch(const T* __restrict__ C, int p, int q, const double* __restrict__ epsilons,
                   const double* __restrict__ log_a, const double* __restrict__ log_b,
                   double* __restrict__ f, double* __restrict__ g, double tau_a, double tau_b,
                   int max_iter, double tol, double* __restrict__ targets,
                   int* __restrict__ n_iter, double* __restrict__ errors) {
  CL_SHARED(double, slots, [kBatchWarps]);
  CL_SHARED(double, more_slots, [kBatchWarps]);
  const long long problem = blockIdx.x;
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const double epsilon = epsilons[problem];
  C += problem * p * q;
  log_a += problem * p;
  f += problem * p;
  log_b += problem * q;
  g += problem * q;
  targets += problem * q;
  const bool is_translated = tau_a > 0.0 && tau_a < 1.0 && tau_b > 0.0 && tau_b < 1.0;
  const double rho_a = is_translated ? epsilon * tau_a / (1.0 - tau_a) : 1.0;
  const double rho_b = is_translated ? epsilon * tau_b / (1.0 - tau_b) : 1.0;
  double error = infinity<double>();
  int done = 0;
  while (done < max_iter && !(tol > 0.0 && error <= tol)) {
    for (int i = warp; i < p; i += kBatchWarps) {
      const double logs = log_sum(C + static_cast<long long>(i) * q, 1, g, q, epsilon, lane, 32);
      if (lane == 0)
        f[i] = log_a[i] > -infinity<double>() ? tau_a * epsilon * (log_a[i] - logs) : log_a[i];
    }
    __syncthreads();
    double shift = 0.0;
    if (is_translated) {
      const double mass_a = log_mass(log_a, f, p, rho_a, slots, more_slots);
      const double mass_b = log_mass(log_b, g, q, rho_b, slots, more_slots);
      shift = rho_a * rho_b / (rho_a + rho_b) * (mass_a - mass_b);
      for (int i = threadIdx.x; i < p; i += kBatchThreads) f[i] += shift;
      __syncthreads();
    }
    double moved = 0.0;
    for (int j = threadIdx.x; j < q; j += kBatchThreads) {
      g[j] -= shift;
      if (log_b[j] > -infinity<double>()) {
        const double logs = g[j] / epsilon + log_sum(C + j, q, f, p, epsilon, 0, 1);
        const double sum = exp(smaller(logs, 700.0));
        targets[j] = tau_b * (g[j] + epsilon * (log_b[j] - logs));
        moved += moved_mass(log_b[j], g[j], targets[j], sum, logs, tau_b, epsilon);
      }
    }
    error = batch_sum(moved, slots);
    ++done;
    if (!(tol > 0.0 && error <= tol)) {
      for (int j = threadIdx.x; j < q; j += kBatchThreads)
        if (log_b[j] > -infinity<double>())
          g[j] = static_cast<double>(static_cast<T>(targets[j]));
    }
    __syncthreads();
  }
  if (threadIdx.x == 0) {
    n_iter[problem] = done;
    errors[problem] = error;
  }
}

}  // namespace cl
