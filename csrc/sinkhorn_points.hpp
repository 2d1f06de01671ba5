// The exponentials of a group of rows of the cost, from the coordinates of two point clouds: the
// cost is never stored. Rows of Y are the lanes. Included inside the target's namespace after
// sinkhorn_rows.hpp, which says what a source of costs is.

template <class T>
struct PointsCost {
  typedef T value;
  static constexpr int ROWS = Tile<T>::NR;
  static constexpr int lanes = Simd<T>::lanes;
  static constexpr int WIDTH = ROWS <= lanes ? lanes : ROWS;  // of packed squares
  struct Group {
    const T* scalars;
    T factor[WIDTH], square[WIDTH];  // of x . y in the exponent; |x|^2 in the units of the tile
  };

  Matrix<T> X;
  Metric metric;
  ExactMetric<T> exact;
  const T* panels;    // Y as [panel][p][W], less the shift, or divided by |y|
  const T* y_square;  // |y|^2 per lane for Euclidean metrics
  T slope;            // k, per unit of the tile
  int* status;

  std::size_t bytes() const {
    const auto d = static_cast<std::size_t>(X.cols);
    return sizeof(T) * (ROWS * d + 2 * WIDTH + WIDTH * (d + lanes));
  }

  Group open(std::ptrdiff_t first, int count, char* memory) const {
    constexpr int G = ROWS <= lanes ? 1 : ROWS / lanes;
    T* scalars = reinterpret_cast<T*>(memory);
    T* staging = scalars + ROWS * X.cols + 2 * WIDTH;
    Group group;
    group.scalars = scalars;
    pack_matrix_rows<G, ROWS>(X, first, count, exact.setup.shift, row_scale(exact), scalars, group.square,
                              staging);
    if (!panel_is_finite(X, first, count, group.square))
      __atomic_store_n(status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
    for (int r = 0; r < WIDTH; ++r) {
      const T square = group.square[r];
      group.factor[r] = slope;
      if (is_euclidean(metric)) group.factor[r] = slope + slope;
      if (metric == Metric::cosine)
        group.factor[r] = square > 0 ? slope / static_cast<T>(__builtin_sqrt(static_cast<double>(square))) : T(0);
    }
    return group;
  }

  // Exponents of one tile without F.
  template <bool ROOT>
  CL_INLINE Vec<T> exponent(const Group& group, int r, Vec<T> dot, Vec<T> g, Vec<T> y2) const {
    if (!ROOT) return fma(dot, splat(group.factor[r]), g);
    const Vec<T> square = vmax(splat(group.square[r]) + y2 - (dot + dot), Vec<T>{});
    return fma(vsqrt(square), splat(-slope), g);
  }

  template <bool RAW, bool ROOT>
  CL_INLINE void tile(const Group& group, std::ptrdiff_t j0, const T* G, const T* F, T* e,
                      std::ptrdiff_t ld, Vec<T>* sum) const {
    constexpr int MV = Tile<T>::MV;
    Vec<T> acc[ROWS][MV] = {};
    multiply_tile<T, MV, ROWS>(panels + j0 * X.cols, group.scalars, X.cols, acc);
#pragma GCC unroll 4
    for (int v = 0; v < MV; ++v) {
      const std::ptrdiff_t j = j0 + v * lanes;
      const Vec<T> y2 = load(y_square + j);
      Vec<T> g = load(G + j);
      if (!ROOT) g = fma(y2, splat(-slope), g);
#pragma GCC unroll 32
      for (int r = 0; r < ROWS; ++r) {
        const Vec<T> t = exponent<ROOT>(group, r, acc[r][v], g, y2);
        const Vec<T> x = RAW ? t : exp2_any<T>(t + splat(F[r]));
        store(e + r * ld + j, x);
        sum[r] = RAW ? vmax(sum[r], x) : sum[r] + x;
      }
    }
  }

  template <bool RAW, bool ROOT>
  void fill_tiles(const Group& group, const T* G, const T* F, T* e, std::ptrdiff_t ld, double* out) const {
    constexpr int W = Tile<T>::W;
    Vec<T> outer[ROWS];
    for (int r = 0; r < ROWS; ++r) outer[r] = RAW ? splat(kNoTerm<T>) : Vec<T>{};
    for (std::ptrdiff_t begin = 0; begin < ld; begin += kStrip) {
      Vec<T> sum[ROWS];
      for (int r = 0; r < ROWS; ++r) sum[r] = RAW ? outer[r] : Vec<T>{};
      for (std::ptrdiff_t j = begin; j < begin + kStrip && j < ld; j += W)
        tile<RAW, ROOT>(group, j, G, F, e, ld, sum);
      for (int r = 0; r < ROWS; ++r) outer[r] = RAW ? sum[r] : outer[r] + sum[r];
    }
    for (int r = 0; r < ROWS; ++r) out[r] = RAW ? max_lanes<T>(outer[r]) : sum_lanes<T>(outer[r]);
  }

  template <bool RAW>
  void fill(const Group& group, const T* G, const T* F, T* e, std::ptrdiff_t ld, double* out) const {
    if (metric == Metric::euclidean)
      fill_tiles<RAW, true>(group, G, F, e, ld, out);
    else
      fill_tiles<RAW, false>(group, G, F, e, ld, out);
  }

  // What the exponents of a tile leave out: the cost's part that is constant along the row.
  double row_part(const Group& group, int r) const {
    if (metric == Metric::sqeuclidean)
      return static_cast<double>(slope) * static_cast<double>(group.square[r]);
    return metric == Metric::cosine ? static_cast<double>(slope) : 0.0;
  }

  double cost(std::ptrdiff_t i, std::ptrdiff_t j) const {
    return exact.wide_distance(X.row(i), exact.value(X.row(i), j));
  }
};
