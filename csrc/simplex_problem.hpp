// The value and the gradient of a low-rank semidefinite program, from sums over its rows.
//
// Columns W_c of the factor have products M_c = X'W_c, sizes d_c = sum W_c, squares t_c = W_c'W_c
// and linear terms l_c. With the precision P of a column's group
//   f = sum_c M_c' P M_c / d_c + l_c,   v_k = sum_{c in k} t_c / d_c - target_k,
//   F = -f + sum_k (multiplier_k v_k + penalty v_k^2 / 2),
// and column c of n times the gradient of F is offset_c + slope_c W_c - X C_c - n linear. So a
// descent knows all about a step from its sums, and the rows are read by the step alone.
#pragma once
#include <cstddef>
#include <cstdint>
#include <vector>

namespace cl {

struct SimplexProblem {
  std::ptrdiff_t n, p, r, constraints;
  const double* precisions;  // (groups, p, p), or null: the identity
  const std::int32_t *group, *constraint;  // (r)
  const double *target, *multiplier;       // (constraints)
  double penalty;
};

// Sums over the rows, as simplex_sweep gives them for a step D from W: (r, p + 6) with X'D, the sums
// of D, D^2, D W and linear D, then the sums of W + D and of its squares. Products and linear terms of
// W + D follow from those of W; sizes and squares are summed anew, so that an empty column is exactly
// empty. The sums of a factor are those of a step from nothing.
struct SimplexSums {
  std::vector<double> values;
  std::ptrdiff_t p;

  SimplexSums(std::ptrdiff_t p_, std::ptrdiff_t r)
      : values(static_cast<std::size_t>(r * (p_ + 6))), p(p_) {}
  double* column(std::ptrdiff_t c) { return values.data() + c * (p + 6); }
  const double* column(std::ptrdiff_t c) const { return values.data() + c * (p + 6); }
  double size(std::ptrdiff_t c) const { return column(c)[p + 4]; }
  double squares(std::ptrdiff_t c) const { return column(c)[p + 5]; }

  // The sums of the factor after a step whose own sums are given.
  void add_step(const SimplexSums& before, const SimplexSums& step, std::ptrdiff_t r);
};

struct SimplexValue {
  double F = 0, f = 0;
  std::vector<double> violation;      // (constraints)
  std::vector<double> C;              // (r, p)
  std::vector<double> offset, slope;  // (r)

  explicit SimplexValue(const SimplexProblem& problem);
  void evaluate(const SimplexProblem& problem, const SimplexSums& sums);
};

// Inner product of a step with the change of n times the gradient along it.
double curvature(const SimplexProblem& problem, const SimplexSums& step, const SimplexValue& before,
                 const SimplexValue& after);

// The metric of a descent: the share of a column of the rows, 1 on average. The curvature of F
// along a column goes by 1 / d_c, so a small column would make every step small.
double metric_of_column(const SimplexProblem& problem, const SimplexSums& sums, std::ptrdiff_t c);

// Squared length of a step in the metric at `sums`: sum_c |D_c|^2 / metric_c.
double squared_length(const SimplexProblem& problem, const SimplexSums& sums, const SimplexSums& step);

}  // namespace cl
