// The defined float64 evaluation: eight partial sums, squares and products rounded before they
// are added, one fixed tree at the end. The same bits on every instruction set, because the build
// never contracts a product and a sum into one rounding (-ffp-contract=off).
// Included inside the target's namespace.

typedef double Eight __attribute__((vector_size(64)));
typedef double EightLoose __attribute__((vector_size(64), aligned(8)));
typedef float EightFloats __attribute__((vector_size(32), aligned(4)));

CL_INLINE Eight load_eight(const double* p) { return *reinterpret_cast<const EightLoose*>(p); }
CL_INLINE Eight load_eight(const float* p) {
  return __builtin_convertvector(*reinterpret_cast<const EightFloats*>(p), Eight);
}
// Not through `auto*`: deduction would drop the lowered alignment.
CL_INLINE void store_eight(double* p, Eight v) { *reinterpret_cast<EightLoose*>(p) = v; }
template <class T>
CL_INLINE Eight load_some(const T* p, std::ptrdiff_t count) {
  Eight v = {};
  for (std::ptrdiff_t i = 0; i < count; ++i) v[i] = p[i];
  return v;
}
CL_INLINE double sum_eight(const Eight& s) {
  return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

// sum (x - y)^2 (SQUARES) or sum x y, of values multiplied by `scale` (a power of two; 1 unless
// float64 squares would leave the range).
template <bool SQUARES, class T>
double exact_sum(const T* x, const T* y, std::ptrdiff_t d, double scale) {
  Eight sum = {};
  const bool scaled = scale != 1.0;
  std::ptrdiff_t p = 0;
  for (; p < d; p += 8) {
    Eight a = p + 8 <= d ? load_eight(x + p) : load_some(x + p, d - p);
    Eight b = p + 8 <= d ? load_eight(y + p) : load_some(y + p, d - p);
    if (scaled) {
      a *= scale;
      b *= scale;
    }
    if constexpr (SQUARES) {
      const Eight e = a - b;
      sum += e * e;
    } else {
      sum += a * b;
    }
  }
  return sum_eight(sum);
}

// The float64 side of a metric: what decides where the screen cannot, and what is reported.
template <class TI>
struct ExactMetric {
  Matrix<TI> Y;  // contiguous rows
  Metric metric;
  ScreenSetup<TI> setup;

  // What is compared: squared distance, -x . y, or -x . y / |y|.
  double value(const TI* x, std::ptrdiff_t j) const {
    const double s = setup.exact_scale;
    if (is_euclidean(metric)) return exact_sum<true>(x, Y.row(j), Y.cols, s);
    const double dot = exact_sum<false>(x, Y.row(j), Y.cols, s);
    if (metric == Metric::inner_product) return -dot;
    const double norm = setup.norms[j];
    return norm > 0 ? -(dot / norm) : 0.0;
  }

  // The distance that belongs to a compared value, in float64.
  double wide_distance(const TI* x, double value) const {
    const double s = setup.exact_scale;
    if (metric == Metric::euclidean) return root_distance(value);
    if (metric != Metric::cosine) return scale_back(value, s, 2);
    const double norm = __builtin_sqrt(exact_sum<false>(x, x, Y.cols, s));
    const double distance = norm > 0 ? 1.0 + value / norm : 1.0;
    return distance < 0 ? 0.0 : distance > 2 ? 2.0 : distance;
  }
  // The length that belongs to a squared one.
  double root_distance(double value) const {
    return scale_back(__builtin_sqrt(value), setup.exact_scale, 1);
  }
  TI distance(const TI* x, double value) const { return static_cast<TI>(wide_distance(x, value)); }
};
