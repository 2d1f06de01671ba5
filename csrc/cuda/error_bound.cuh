// How far a score of the screen may be from the score of the defined evaluation.
// docs/kernels/cuda_pairwise.md derives it.
#pragma once
#include "rows.cuh"

namespace cl {

// Scores and norms beyond this may overflow on the way, in partial sums or where values are split.
template <class T>
struct SafelyFinite;
template <>
struct SafelyFinite<float> {
  static constexpr double limit = 0x1p116;
};
template <>
struct SafelyFinite<double> {
  static constexpr double limit = 0x1p1012;
};

constexpr double kSmallUnit = 0x1p-6;  // up to which of_row holds

struct ErrorBound {
  double unit;     // of |x| |y| + |y|^2 / 2: the screen's rounding
  double square;   // of (|x| + |y|)^2: the rounding of defined sums of squares
  double tiny;     // of 1 + |x| + |y|: underflow in the screen
  double vanish;   // absolute: underflow in the defined evaluation
  double missing;  // what underflow may have taken from a norm
  double half;     // 1/2 where scores have a bias, else 0

  template <class T>
  CL_DEVICE double of(double x_norm, double y_norm) const {
    const double x = x_norm + missing, y = y_norm + missing;
    const double reach = x * y + half * y * y;
    constexpr double limit = SafelyFinite<T>::limit;
    if (!(reach < limit && x < limit && y < limit)) return infinity<double>();  // NaN as well
    return unit * reach + square * (x + y) * (x + y) + tiny * (1.0 + x + y) + vanish;
  }

  // For all columns that come near a score of the row: rows of Y that are longer than twice |x|
  // and the distance this score stands for are out of the question, whatever their rounding.
  template <class T>
  CL_DEVICE double of_row(double x_norm, double longest, double score) const {
    const double widest = of<T>(x_norm, longest);
    if (half == 0.0 || !(unit < kSmallUnit) || !is_finite(widest)) return widest;
    const double x = x_norm + missing;
    const double distance = root(larger(x * x - 2.0 * score, 0.0));
    const double slack = 16.0 * root(tiny * (1.0 + x + longest) + vanish);
    const double near = 2.0 * (x + distance) + slack;
    return of<T>(x_norm, near < longest ? near : longest);
  }
};

// tops: the largest |y|, and 1 over the smallest positive norm (rows.cuh).
CL_DEVICE ErrorBound error_bound(int kind, double unit, double square, double tiny, double vanish,
                                 double vanish_quotient, double missing, const double* tops) {
  return {unit, square, tiny, vanish + vanish_quotient * tops[1], missing,
          kind == kEuclidean ? 0.5 : 0.0};
}

}  // namespace cl
