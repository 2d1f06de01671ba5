// What the passes over a stored cost share: the rows of a leaf, and what becomes of the sum of one.
#pragma once
#include "device.cuh"

namespace cl {

// Rows of a leaf. Leaves merge by the fixed tree of sinkhorn_sums.cuh; 256 rows, which the contract
// calls a leaf, are a whole subtree of it, so blocks of such leaves merge to the bits of one block.
constexpr int kLeafRows = 32;
constexpr int kSweepThreads = 256;
constexpr int kSweepWarps = kSweepThreads / 32;

// How row potentials follow from sums; tau, f_max and update as in the contract.
struct RowRule {
  double epsilon, tau, f_max;
  int update;
};

// The slope of exponents of natural exponentials; a tiny epsilon must not make it infinite.
template <class T>
CL_DEVICE T slope_of(double epsilon);
template <>
CL_DEVICE float slope_of<float>(double epsilon) {
  return static_cast<float>(smaller(1.0 / epsilon, 1.7e38));
}
template <>
CL_DEVICE double slope_of<double>(double epsilon) {
  return 1.0 / epsilon;
}

// Below every gap, and finite: the difference of two of them is no NaN.
template <class T>
CL_DEVICE T lowest();
template <>
CL_DEVICE float lowest<float>() {
  return -3.0e38f;
}
template <>
CL_DEVICE double lowest<double>() {
  return -1.7e308;
}

// A row with the exponentials of its gaps, shifted by their maximum `top`, adding up to `sum`:
// returns the factor that makes them entries of the plan. A balanced row is its softmax times its
// weight, which is exact whatever the rounding of the potential.
CL_DEVICE double row_factor(const RowRule& rule, double log_a, double weight, double top, double sum,
                            double& f) {
  if (rule.update) {
    if (log_a == -infinity<double>()) {
      f = log_a;
      return 0.0;
    }
    const double free = rule.tau * (rule.epsilon * (log_a - log(sum)) - top);
    f = smaller(free, rule.f_max);
    if (rule.tau == 1.0 && free < rule.f_max) return weight / sum;
  }
  return exp((f + top) / rule.epsilon);
}

// An entry of the plan: an exponential that has underflowed stays 0 beside an infinite factor.
template <class T>
CL_DEVICE T entry(T exponential_of_gap, T factor) {
  return exponential_of_gap > T(0) ? exponential_of_gap * factor : T(0);
}

// Maximum and sum over a team: `span` neighbouring threads, a power of two up to the block. With
// more than a warp every thread of the block has to call, and `slots`, one for each warp, may be
// written again after the barrier of another pair of slots.
template <class T>
CL_DEVICE T team_max(T value, int span, T* slots) {
  for (int apart = span < 32 ? span / 2 : 16; apart > 0; apart /= 2)
    value = larger(value, __shfl_xor_sync(kFullWarp, value, apart));
  if (span > 32) {
    const int warp = threadIdx.x / 32, warps = span / 32;
    if (threadIdx.x % 32 == 0) slots[warp] = value;
    __syncthreads();
    value = slots[warp / warps * warps];
    for (int i = 1; i < warps; ++i) value = larger(value, slots[warp / warps * warps + i]);
  }
  return value;
}

CL_DEVICE double team_sum(double value, int span, double* slots) {
  for (int apart = span < 32 ? span / 2 : 16; apart > 0; apart /= 2)
    value += __shfl_xor_sync(kFullWarp, value, apart);
  if (span > 32) {
    const int warp = threadIdx.x / 32, warps = span / 32;
    if (threadIdx.x % 32 == 0) slots[warp] = value;
    __syncthreads();
    value = slots[warp / warps * warps];
    for (int i = 1; i < warps; ++i) value += slots[warp / warps * warps + i];
  }
  return value;
}

}  // namespace cl
