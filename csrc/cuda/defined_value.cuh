// The defined evaluation (kernels/pairwise.py): float64, eight lanes, nothing fused. The eight
// threads of a row share the sum of one pair.
#pragma once
#include "rows.cuh"

namespace cl {

constexpr int kNone = 0x7fffffff;  // no index yet

// The members of the enumeration Metric.
constexpr int kSqeuclideanMetric = 0, kEuclideanMetric = 1, kCosineMetric = 2;

// Row x against row `column` of Y, both multiplied by the power of two `scale`; lengths are norms of
// the rows of Y, for the cosine alone. Whole warps call this.
template <class T>
CL_DEVICE double defined_value(const T* __restrict__ x, const T* __restrict__ Y, long long column,
                               int d, bool inside, double scale, int kind,
                               const double* __restrict__ lengths) {
  const T* y = Y + column * d;
  double sum = 0.0;
  if (inside) {
    for (int f = row_lane(); f < d; f += kLanes) {
      const double a = __dmul_rn(static_cast<double>(x[f]), scale);
      const double b = __dmul_rn(static_cast<double>(y[f]), scale);
      const double difference = __dsub_rn(a, b);
      const double term = kind == kEuclidean ? __dmul_rn(difference, difference) : __dmul_rn(a, b);
      sum = __dadd_rn(sum, term);
    }
  }
  sum = join_lanes(sum);
  if (kind == kEuclidean) return sum;
  if (kind == kCosine && inside) {
    const double length = lengths[column];
    return length > 0.0 ? -sum / length : 0.0;
  }
  return -sum;
}

// The norm of a row in the same order.
template <class T>
CL_DEVICE double defined_length(const T* __restrict__ x, int d, bool inside, double scale) {
  double sum = 0.0;
  if (inside) {
    for (int f = row_lane(); f < d; f += kLanes) {
      const double a = __dmul_rn(static_cast<double>(x[f]), scale);
      sum = __dadd_rn(sum, __dmul_rn(a, a));
    }
  }
  return root(join_lanes(sum));
}

CL_DEVICE double scaled_back(double value, int exponent) {
  return exponent == 0 ? value : ldexp(value, exponent);
}

// The distance that belongs to a compared value; x_length is used by the cosine alone.
CL_DEVICE double defined_distance(double value, int metric, int exponent, double x_length) {
  if (metric == kCosineMetric) {
    const double distance = x_length > 0.0 ? __dadd_rn(1.0, value / x_length) : 1.0;
    return smaller(larger(distance, 0.0), 2.0);
  }
  if (metric == kEuclideanMetric) return scaled_back(root(value), exponent);
  return scaled_back(value, 2 * exponent);
}

// Whether (value, index) comes before: the lower index among equal values.
CL_DEVICE bool precedes(double value, int index, double other, int other_index) {
  return value < other || (value == other && index < other_index);
}

}  // namespace cl
