#include "simplex_problem.hpp"

#include <algorithm>

namespace cl {
namespace {

// A column without rows has no direction and no gradient.
constexpr double kSmallestSize = 1e-12;
// Of an average column; what is smaller hardly moves any more.
constexpr double kSmallestShare = 1e-6;

double dot(const double* a, const double* b, std::ptrdiff_t n) {
  double sum = 0;
  for (std::ptrdiff_t i = 0; i < n; ++i) sum += a[i] * b[i];
  return sum;
}

}  // namespace

void SimplexSums::add_step(const SimplexSums& before, const SimplexSums& step, std::ptrdiff_t r) {
  for (std::ptrdiff_t c = 0; c < r; ++c) {
    double* sum = column(c);
    const double *old = before.column(c), *change = step.column(c);
    for (std::ptrdiff_t j = 0; j < p; ++j) sum[j] = old[j] + change[j];
    sum[p + 3] = old[p + 3] + change[p + 3];
    sum[p + 4] = change[p + 4];
    sum[p + 5] = change[p + 5];
  }
}

SimplexValue::SimplexValue(const SimplexProblem& problem)
    : violation(static_cast<std::size_t>(problem.constraints)),
      C(static_cast<std::size_t>(problem.r * problem.p)),
      offset(static_cast<std::size_t>(problem.r)),
      slope(static_cast<std::size_t>(problem.r)) {}

void SimplexValue::evaluate(const SimplexProblem& problem, const SimplexSums& sums) {
  const std::ptrdiff_t p = problem.p, r = problem.r;
  const auto n = static_cast<double>(problem.n);
  f = 0;
  for (std::ptrdiff_t k = 0; k < problem.constraints; ++k)
    violation[static_cast<std::size_t>(k)] = -problem.target[k];
  for (std::ptrdiff_t c = 0; c < r; ++c) {
    const double *sum = sums.column(c), d = std::max(sums.size(c), kSmallestSize);
    double* direction = C.data() + c * p;
    // What products that were added up have left of an empty column is rounding.
    if (sums.size(c) <= kSmallestSize) {
      std::fill_n(direction, p, 0.0);
    } else if (problem.precisions == nullptr) {
      std::copy_n(sum, p, direction);
    } else {
      const double* precision = problem.precisions + problem.group[c] * p * p;
      for (std::ptrdiff_t j = 0; j < p; ++j) direction[j] = dot(precision + j * p, sum, p);
    }
    const double q = dot(direction, sum, p);
    f += q / d + sum[p + 3];
    violation[static_cast<std::size_t>(problem.constraint[c])] += sums.squares(c) / d;
    offset[static_cast<std::size_t>(c)] = n * q / (d * d);
    for (std::ptrdiff_t j = 0; j < p; ++j) direction[j] *= 2 * n / d;
  }
  F = -f;
  for (std::ptrdiff_t k = 0; k < problem.constraints; ++k) {
    const double v = violation[static_cast<std::size_t>(k)];
    F += problem.multiplier[k] * v + problem.penalty / 2 * v * v;
  }
  for (std::ptrdiff_t c = 0; c < r; ++c) {
    const std::ptrdiff_t k = problem.constraint[c];
    const double d = std::max(sums.size(c), kSmallestSize);
    const double mu = problem.multiplier[k] + problem.penalty * violation[static_cast<std::size_t>(k)];
    offset[static_cast<std::size_t>(c)] -= n * mu * sums.squares(c) / (d * d);
    slope[static_cast<std::size_t>(c)] = 2 * n * mu / d;
  }
}

double curvature(const SimplexProblem& problem, const SimplexSums& step, const SimplexValue& before,
                 const SimplexValue& after) {
  const std::ptrdiff_t p = problem.p;
  double total = 0;
  for (std::ptrdiff_t c = 0; c < problem.r; ++c) {
    const double* sum = step.column(c);
    const auto i = static_cast<std::size_t>(c);
    for (std::ptrdiff_t j = 0; j < p; ++j)
      total -= sum[j] * (after.C[i * static_cast<std::size_t>(p) + static_cast<std::size_t>(j)] -
                         before.C[i * static_cast<std::size_t>(p) + static_cast<std::size_t>(j)]);
    total += sum[p] * (after.offset[i] - before.offset[i]);
    total += after.slope[i] * (sum[p + 2] + sum[p + 1]) - before.slope[i] * sum[p + 2];
  }
  return total;
}

double metric_of_column(const SimplexProblem& problem, const SimplexSums& sums, std::ptrdiff_t c) {
  const double share = sums.size(c) * static_cast<double>(problem.r) /
                       static_cast<double>(problem.n);
  return std::max(share, kSmallestShare);
}

double squared_length(const SimplexProblem& problem, const SimplexSums& sums, const SimplexSums& step) {
  double total = 0;
  for (std::ptrdiff_t c = 0; c < problem.r; ++c)
    total += step.column(c)[problem.p + 1] / metric_of_column(problem, sums, c);
  return total;
}

}  // namespace cl
