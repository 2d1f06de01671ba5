// What the reductions that compute in the dtype of X share: Y packed once as scalars, rows of X
// as panels of lanes. Included inside the target's namespace.

// The common units of these kernels: a score S = x . y + bias from which each metric's distance
// follows by one formula per row.
template <class T>
struct PackedColumns {
  const T* packed = nullptr;  // blocks of [p][NR]
  const T* bias = nullptr;
  std::ptrdiff_t blocks = 0;
};

template <class T>
std::size_t column_bytes(const Matrix<T>& Y) {
  constexpr int NR = Tile<T>::NR;
  const auto padded = static_cast<std::size_t>((Y.rows + NR - 1) / NR * NR);
  return sizeof(T) * padded * static_cast<std::size_t>(Y.cols + 1);
}

// Distances of one vector of points from their scores. squares: |x - shift|^2; inverse: 1 / |x|.
template <class T>
CL_INLINE Vec<T> distance_of(Metric metric, Vec<T> score, Vec<T> squares, Vec<T> inverse) {
  const Vec<T> zero = {};
  if (metric == Metric::inner_product) return -score;
  if (metric == Metric::cosine)
    return vmin(vmax(splat(T(1)) - score * inverse, zero), splat(T(2)));
  const Vec<T> square = vmax(squares - (score + score), zero);
  return metric == Metric::euclidean ? vsqrt(square) : square;
}

// 1 / sqrt(square), 0 for a zero row.
template <class T>
CL_INLINE Vec<T> inverse_norm(Vec<T> square) {
  const Vec<T> zero = {};
  return square > zero ? splat(T(1)) / vsqrt(square) : zero;
}

// False if a row of the panel holds NaN or infinity. A norm that merely overflowed is looked at
// again row by row.
template <class T, class S>
bool panel_is_finite(const Matrix<T>& X, std::ptrdiff_t first, int count, const S* squares) {
  for (int r = 0; r < count; ++r) {
    if (squares[r] - squares[r] == 0) continue;
    for (std::ptrdiff_t p = 0; p < X.cols; ++p)
      if (!(X.at(first + r, p) - X.at(first + r, p) == 0)) return false;
  }
  return true;
}

// Largest |y| over the rows, in the units of the screen.
template <class TI>
double largest_norm(const Matrix<TI>& Y, const ScreenSetup<TI>& s, Metric metric) {
  double top = 0;
  for (std::ptrdiff_t j = 0; j < Y.rows; ++j) {
    double square = 0;
    for (std::ptrdiff_t p = 0; p < Y.cols; ++p) {
      const double y = screened_value(Y, s, metric, j, p);
      square += y * y;
    }
    top = square > top ? square : top;
  }
  return __builtin_sqrt(top);
}

// Squares outside these ends are worked out again in float64.
template <class T>
inline constexpr T kLargeSquare = static_cast<T>(sizeof(T) == 4 ? 1e36 : 1e290);
template <class T>
inline constexpr T kSmallSquare = static_cast<T>(sizeof(T) == 4 ? 1e-30 : 1e-290);

template <class T>
bool out_of_range(const T* squares, std::ptrdiff_t count, T large = kLargeSquare<T>) {
  for (std::ptrdiff_t j = 0; j < count; ++j)
    if (!(squares[j] > -large && squares[j] < large)) return true;
  return false;
}

// Whether a row of X cannot be trusted to the dtype: its square overflows or, for the cosine,
// vanishes although the row is not zero.
template <class T>
bool is_wild(const Matrix<T>& X, std::ptrdiff_t i, Metric metric, T square, T large = kLargeSquare<T>) {
  if (!(square < large)) return true;
  if (metric != Metric::cosine || square > kSmallSquare<T>) return false;
  for (std::ptrdiff_t p = 0; p < X.cols; ++p)
    if (X.at(i, p) != 0) return true;
  return false;
}

// Scale of the rows of X (and of Y) while they are multiplied, a power of two. The cosine does not
// see it; Euclidean metrics take one only where squares would otherwise leave the dtype.
template <class T>
T row_scale(const ExactMetric<T>& exact) {
  const T s = exact.setup.x_scale;
  if (exact.metric == Metric::cosine) return s;
  const bool plain = s > static_cast<T>(0x1p-40) && s < static_cast<T>(0x1p40);
  return is_euclidean(exact.metric) && !plain ? s : T(1);
}

// How often the distance must be divided by row_scale: 2 for squares, 1 for lengths.
template <class T>
int scale_power(const ExactMetric<T>& exact) {
  if (row_scale(exact) == T(1)) return 0;
  return exact.metric == Metric::sqeuclidean ? 2 : exact.metric == Metric::euclidean ? 1 : 0;
}

// Rows of Y less the shift, or divided by their norm for the cosine; padding rows are zero.
template <class T>
PackedColumns<T> pack_columns(const ExactMetric<T>& exact, char* memory) {
  constexpr int NR = Tile<T>::NR;
  const Matrix<T>& Y = exact.Y;
  const ScreenSetup<T>& s = exact.setup;
  const Metric metric = exact.metric;
  const T scale = row_scale(exact);
  PackedColumns<T> columns;
  columns.blocks = (Y.rows + NR - 1) / NR;
  T* packed = reinterpret_cast<T*>(memory);
  T* bias = packed + columns.blocks * NR * Y.cols;
  for (std::ptrdiff_t j = 0; j < columns.blocks * NR; ++j) {
    T* block = packed + (j / NR) * NR * Y.cols + j % NR;
    double square = 0;
    for (std::ptrdiff_t p = 0; p < Y.cols; ++p) {
      T value = 0;
      if (j < Y.rows) {
        value = (Y.at(j, p) - s.shift[p]) * scale;
        if (metric == Metric::cosine)
          value = s.norms[j] > 0 ? static_cast<T>(Y.at(j, p) * s.exact_scale / s.norms[j]) : T(0);
      }
      block[p * NR] = value;
      square += static_cast<double>(value) * static_cast<double>(value);
    }
    bias[j] = is_euclidean(metric) ? static_cast<T>(-0.5 * square) : T(0);
  }
  columns.packed = packed;
  columns.bias = bias;
  return columns;
}
