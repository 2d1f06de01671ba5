// Y packed for a screen, with the constants of its error bound (docs/kernels/pairwise.md derives
// them). Included inside the target's namespace.
//
// The screen scores in scaled units: S = x . y + bias, bias = -|y|^2 / 2 for Euclidean metrics and
// 0 otherwise. Wide screens hold float32, narrow ones 16-bit integers.

// |screened score - float64 score| <= slope |x| + residual |x - packed x| + offset
//                                     + square (|x| + y_norm)^2
// The last term is the rounding of the float64 evaluation itself, which decides ties.
struct ErrorBound {
  float slope = 0, residual = 0, offset = 0, square = 0, y_norm = 0;

  CL_INLINE Vec<float> at(Vec<float> norm) const {
    const Vec<float> reach = norm + splat(y_norm);
    return fma(norm, splat(slope), fma(reach * reach, splat(square), splat(offset)));
  }
};

// Relative rounding of a float64 squared distance, halved as scores are; 0 for products, whose
// rounding is far inside the slack of `slope`.
inline double square_rounding(Metric metric, std::ptrdiff_t d) {
  return is_euclidean(metric) ? static_cast<double>(d + 8) * 0x1p-53 : 0.0;
}

// What products that vanish in float64 may hide: the screen, which scales, still sees them. Zero
// in effect unless the magnitudes of float64 input span half of its range.
template <class TI>
double vanished_products(const ExactMetric<TI>& exact) {
  const ScreenSetup<TI>& s = exact.setup;
  const double least = 0x1p-1074, d = static_cast<double>(exact.Y.cols);
  const double x = static_cast<double>(s.x_scale) / s.exact_scale;
  const double y = static_cast<double>(s.y_scale) / s.exact_scale;
  if (exact.metric != Metric::cosine) return 2 * d * least * x * y;
  double norm = 1e300;
  for (std::ptrdiff_t j = 0; j < exact.Y.rows; ++j)
    if (s.norms[j] > 0 && s.norms[j] < norm) norm = s.norms[j];
  return x * (2 * d * least / norm + least);
}

inline ErrorBound error_bound(double slope, double residual, double offset, double square,
                              double y_norm, double factor) {
  const double slack = 1.001 * factor;  // the bound itself is evaluated in float32
  return {static_cast<float>(slack * slope), static_cast<float>(slack * residual),
          static_cast<float>(slack * offset), static_cast<float>(slack * square),
          static_cast<float>(1.001 * y_norm)};
}

// Rows of Y so far from the others that their norm would loosen everybody's bound. The screen
// leaves them out; rows of X that may be theirs are decided in float64.
struct FarRows {
  const std::int32_t* index = nullptr;
  std::ptrdiff_t count = 0;
  double limit = 1e300;  // norms above it are far
  float norm = 0;        // the least of theirs
  float raise = 1;       // float32 norms of rows of X are low by less than this factor

  // No far row scores more for a point of this square: |x| r - r^2 / 2 for r >= norm.
  CL_INLINE Vec<float> best_score(Vec<float> square) const {
    const Vec<float> x_norm = vsqrt(square) * splat(raise);
    const Vec<float> r = splat(norm), slack = (x_norm + r) * (x_norm + r) * 1e-5f;
    const Vec<float> nearest = x_norm < r ? (x_norm - r * 0.5f) * r : x_norm * x_norm * 0.5f;
    return nearest + slack;
  }
};

// Y as one screen sees it.
struct ScreenLevel {
  const std::uint32_t* packed = nullptr;
  const float* bias = nullptr;   // wide only
  std::ptrdiff_t words = 0;      // 32-bit words of a row
  ErrorBound bound;
  float x_norm = 0, x_most = 0;  // narrow only: see quantize_panel
  float y_scale = 1;             // narrow only: integer units of Y
};

// The bias of what the screen leaves out, and of nothing else. Finite: tags are written into its
// low bits.
inline constexpr float kPaddingScore = -1e38f;
CL_INLINE bool is_left_out(float bias) { return bias == kPaddingScore; }

// One row of Y in the units of the screen: (y - shift) * scale, or y / |y|.
template <class TI>
CL_INLINE double screened_value(const Matrix<TI>& Y, const ScreenSetup<TI>& s, Metric metric,
                                std::ptrdiff_t j, std::ptrdiff_t p) {
  const double y = static_cast<double>(Y.at(j, p));
  if (metric == Metric::cosine) {
    const double norm = s.norms[j];
    return norm > 0 ? y * s.exact_scale / norm : 0.0;
  }
  return (y - static_cast<double>(s.shift[p])) * static_cast<double>(s.y_scale);
}

// Far rows by their norms, at most one in sixteen; norms and index have room for all rows.
// y_norm receives the largest norm of the others.
template <class TI>
FarRows find_far_rows(const Matrix<TI>& Y, const ScreenSetup<TI>& s, Metric metric, double* norms,
                      std::int32_t* index, double& y_norm) {
  constexpr std::ptrdiff_t kSample = 255;
  float sample[kSample];
  std::ptrdiff_t sampled = 0;
  const std::ptrdiff_t step = (Y.rows + kSample - 1) / kSample;
  for (std::ptrdiff_t j = 0; j < Y.rows; ++j) {
    double square = 0;
    for (std::ptrdiff_t p = 0; p < Y.cols; ++p) {
      const double y = screened_value(Y, s, metric, j, p);
      square += y * y;
    }
    norms[j] = __builtin_sqrt(square);
    if (j % step == 0) sample[sampled++] = static_cast<float>(norms[j]);
  }
  FarRows far;
  // Inner products have no bias that would hold a far row back.
  const double limit = 8.0 * select_kth_largest(sample, sampled, (sampled + 1) / 2);
  double least = 1e300;
  y_norm = 0;
  for (std::ptrdiff_t j = 0; j < Y.rows; ++j)
    if (norms[j] > limit && is_euclidean(metric)) {
      index[far.count++] = static_cast<std::int32_t>(j);
      least = norms[j] < least ? norms[j] : least;
    } else {
      y_norm = norms[j] > y_norm ? norms[j] : y_norm;
    }
  if (far.count > Y.rows / 16) {
    for (std::ptrdiff_t q = 0; q < far.count; ++q)
      y_norm = norms[index[q]] > y_norm ? norms[index[q]] : y_norm;
    return {};
  }
  if (far.count == 0) return {};
  far.index = index;
  far.limit = limit;
  far.norm = static_cast<float>(least * (1 - 1e-6));
  far.raise = 1.0f + static_cast<float>(Y.cols + 200) * 0x1p-27f;
  return far;
}

// Blocks of NR rows as float32 [p][NR]; bias[b * NR + j], kPaddingScore for far rows and past the
// end.
template <int NR, class TI>
ScreenLevel pack_wide(const ExactMetric<TI>& exact, char* memory, double y_norm,
                      const double* norms, const FarRows& far, double vanished, bool tagged) {
  const Matrix<TI>& Y = exact.Y;
  const ScreenSetup<TI>& s = exact.setup;
  const Metric metric = exact.metric;
  const std::ptrdiff_t d = Y.cols, blocks = (Y.rows + NR - 1) / NR;
  auto* packed = reinterpret_cast<float*>(memory);
  float* bias = packed + blocks * NR * d;
  for (std::ptrdiff_t j = 0; j < blocks * NR; ++j) {
    const bool real = j < Y.rows && norms[j] <= far.limit;
    float* block = packed + (j / NR) * NR * d + j % NR;
    double square = 0;
    for (std::ptrdiff_t p = 0; p < d; ++p) {
      const double y = real ? screened_value(Y, s, metric, j, p) : 0.0;
      block[p * NR] = static_cast<float>(y);
      square += y * y;
    }
    const double half = is_euclidean(metric) ? 0.5 * square : 0.0;
    const float own = static_cast<float>(-half);
    bias[j] = !real ? kPaddingScore : is_left_out(own) ? 1.0000002f * own : own;
  }
  const double u = 0x1p-24, root = __builtin_sqrt(static_cast<double>(d));
  const double gamma = 1.01 * static_cast<double>(d + 4) * u + (tagged ? 0x1p-19 : 0.0);
  const double half = is_euclidean(metric) ? 0.5 * y_norm * y_norm : 0.0;
  // x and y are rounded once each, the sum d + 1 times; then underflow, of products and of |x|.
  const double slope = (2.04 * u + 1.01 * gamma) * y_norm;
  const double offset = (gamma + u) * half + static_cast<double>(d + 1) * 1e-36 * (1 + y_norm) +
                        slope * root * 4e-23 + vanished;
  ScreenLevel level;
  level.packed = reinterpret_cast<const std::uint32_t*>(packed);
  level.bias = bias;
  level.words = d;
  level.bound = error_bound(slope, 0, offset, square_rounding(metric, d), y_norm, s.bound_factor);
  return level;
}

#ifdef CL_TARGET_VNNI
// 16-bit integers with 32-bit sums: the sum itself is exact, and |x| |y| <= 2^30 keeps it in
// range. One more word carries the bias: (A, 32767) . (h, g), A from the row of X, h from the row
// of Y, g = -32768 for padding so that it never wins.
inline constexpr double kNarrowNorm = 32000.0, kNarrowBias = 16383.0;

template <int NR, class TI>
ScreenLevel pack_narrow(const Matrix<TI>& Y, const ScreenSetup<TI>& s, Metric metric, char* memory,
                        double y_norm, const double* norms, const FarRows& far) {
  const std::ptrdiff_t d = Y.cols, blocks = (Y.rows + NR - 1) / NR, words = (d + 1) / 2 + 1;
  auto* packed = reinterpret_cast<std::uint32_t*>(memory);
  const bool euclidean = is_euclidean(metric);
  const double scale = y_norm > 0 ? kNarrowNorm / y_norm : 1.0;
  // h = bias * scale * tau spans its 16 bits; A = x_scale / tau must span no more than its own.
  const double tau = euclidean && y_norm > 0 ? kNarrowBias / (0.5 * y_norm * y_norm * scale) : 1e15;
  double residual = 0;
  for (std::ptrdiff_t j = 0; j < blocks * NR; ++j) {
    const bool real = j < Y.rows && norms[j] <= far.limit;
    std::uint32_t* block = packed + (j / NR) * NR * words + j % NR;
    double square = 0, error = 0;
    for (std::ptrdiff_t q = 0; q + 1 < words; ++q) {
      std::uint32_t word = 0;
      for (int half = 0; half < 2; ++half) {
        const std::ptrdiff_t p = 2 * q + half;
        const double y = real && p < d ? screened_value(Y, s, metric, j, p) : 0.0;
        const double rounded = __builtin_nearbyint(y * scale);
        word |= (static_cast<std::uint32_t>(static_cast<std::int32_t>(rounded)) & 0xffffu) << (16 * half);
        square += y * y;
        error += (y * scale - rounded) * (y * scale - rounded);
      }
      block[q * NR] = word;
    }
    const double h = real ? (euclidean ? -__builtin_nearbyint(0.5 * square * scale * tau) : 0.0)
                                : -kNarrowBias;
    const std::int32_t g = real ? 0 : -32768;
    block[(words - 1) * NR] = (static_cast<std::uint32_t>(static_cast<std::int32_t>(h)) & 0xffffu) |
                              (static_cast<std::uint32_t>(g) << 16);
    residual = error > residual ? error : residual;
  }
  residual = __builtin_sqrt(residual);
  ScreenLevel level;
  level.packed = packed;
  level.words = words;
  level.y_scale = static_cast<float>(scale);
  level.x_norm = static_cast<float>(kNarrowNorm * (1 - 1e-5));
  level.x_most = static_cast<float>(32766.0 * tau);
  // Norms and residuals are float32 sums of d squares, a little low.
  const double low = 1 + static_cast<double>(d + 16) * 0x1p-25;
  // In integer units, for |x| and its residual as quantize_panel returns them. The offset holds
  // the rounding of A and h, the tag, and float32 rounding when scores are compared.
  const double slope = low * (residual + 3 * 0x1p-24 * kNarrowNorm);
  const double offset = 0.51 * 32767.0 + 0.51 * 16384.0 + 16.0 + 256.0;
  level.bound = error_bound(slope, low * (kNarrowNorm + residual), offset,
                            scale * square_rounding(metric, d), y_norm, s.bound_factor);
  return level;
}
#endif

// Whether 16 bits pay here: below, the epilogue of a tile outweighs its products.
template <class TI>
bool narrow_pays(const Matrix<TI>& Y) {
#ifdef CL_TARGET_VNNI
  return Y.rows >= CL_NARROW_LEAST_ROWS && Y.cols >= CL_NARROW_LEAST_FEATURES &&
         Y.cols <= 1000000;  // beyond, 32-bit sums might leave their range
#else
  (void)Y;
  return false;
#endif
}

// Memory of a level: blocks and bias; the first one also holds norms and far rows.
inline std::size_t level_bytes(std::ptrdiff_t rows, std::ptrdiff_t d, int NR) {
  const auto padded = static_cast<std::size_t>((rows + NR - 1) / NR * NR);
  return 4 * padded * static_cast<std::size_t>(d + 2) + 12 * padded + 128;
}

// Packs Y for the screens that will be used into memory.slice(0) and slice(1). `distinct` leaves out
// repeated rows.
template <int NR, class TI>
void pack_levels(const ExactMetric<TI>& exact, const Scratch& memory, bool use_narrow, bool tagged,
                 bool distinct, ScreenLevel& wide, ScreenLevel& narrow, FarRows& far) {
  const Matrix<TI>& Y = exact.Y;
  const std::ptrdiff_t padded = (Y.rows + NR - 1) / NR * NR;
  char* side = memory.slice(0) + (4 * padded * (Y.cols + 2) + 63) / 64 * 64;
  auto* norms = reinterpret_cast<double*>(side);
  auto* index = reinterpret_cast<std::int32_t*>(norms + padded);
  double y_norm;
  far = find_far_rows(Y, exact.setup, exact.metric, norms, index, y_norm);
  if (distinct) exclude_repeats(Y, norms);
  const double vanished = vanished_products(exact);
  wide = pack_wide<NR>(exact, memory.slice(0), y_norm, norms, far, vanished, tagged);
#ifdef CL_TARGET_VNNI
  // Scales come from a sample; where it has misled, or float64 itself loses products, squares of
  // norms or the integer units might leave their range.
  if (use_narrow && y_norm > 1e-12 && y_norm < 1e12 && vanished < 1e-60)
    narrow = pack_narrow<NR>(Y, exact.setup, exact.metric, memory.slice(1), y_norm, norms, far);
#else
  (void)use_narrow;
  (void)narrow;
#endif
}
