// The full matrix of distances, for those who need it. Here the rows of Y are the lanes, so that a
// row of the output is written with whole vectors. Included inside the target's namespace.

inline constexpr std::ptrdiff_t kPanelBytes = 512 * 1024;

template <class T>
struct DistancesContext {
  const DistancesJob<T>* job;
  ExactMetric<T> exact;
  const T* panels;   // Y as [panel][p][W]
  const T* biases;   // -|y|^2 / 2, or 1 / |y|, per lane
  T unscale;         // factor of a distance, to be applied `power` times
  int power;
  T large;           // squares of rows from here on leave the range of the dtype
  bool wild;         // a row of Y leaves the range of the dtype
  Scratch* scratch;
  int status;
};

// Packs Y as lanes; side[j] is -|y|^2 / 2 for Euclidean metrics and 1 / |y| for the cosine.
template <class T>
void pack_panels(const ExactMetric<T>& exact, T* panels, T* side, T* staging) {
  constexpr int MV = Tile<T>::MV, W = Tile<T>::W;
  const Matrix<T>& Y = exact.Y;
  const Metric metric = exact.metric;
  const T scale = metric == Metric::cosine ? exact.setup.y_scale : row_scale(exact);
  for (std::ptrdiff_t j = 0; j < Y.rows; j += W) {
    const int count = static_cast<int>(Y.rows - j < W ? Y.rows - j : W);
    pack_matrix_rows<MV, W>(Y, j, count, exact.setup.shift, scale, panels + j * Y.cols, side + j, staging);
    for (int i = 0; i < W; ++i) {
      const T square = side[j + i];
      if (metric == Metric::cosine)
        side[j + i] = square > 0 ? T(1) / static_cast<T>(__builtin_sqrt(static_cast<double>(square))) : T(0);
      else
        side[j + i] = is_euclidean(metric) ? square * T(-0.5) : T(0);
    }
  }
}

// Whether a row's square vanished although float64 finds a norm.
template <class T>
bool tiny_rows(const Matrix<T>& Y, const T* inverse, const ScreenSetup<T>& s) {
  for (std::ptrdiff_t j = 0; j < Y.rows; ++j)
    if (s.norms[j] > 0 && !(inverse[j] > 0 && inverse[j] < T(1) / static_cast<T>(1e-15))) return true;
  return false;
}

// The square from which on a row is worked out in float64. Rounding errors of scaled squares grow with
// what is scaled back, to infinity between equal rows, and products are at most |x| |y|.
template <class T>
T largest_square(const ExactMetric<T>& exact) {
  const T most = kLargeSquare<T>;
  T large = most;
  if (scale_power(exact) > 0) large = most * row_scale(exact) * row_scale(exact);
  if (exact.metric == Metric::inner_product) {
    const T x = most * exact.setup.y_scale;
    large = x * x / static_cast<T>(exact.Y.cols);
  }
  return large < most ? large : most;
}

// NR rows of X against one panel of Y.
template <class T>
CL_INLINE void distance_tile(const DistancesContext<T>& c, const T* scalars, const T* squares,
                             std::ptrdiff_t panel, std::ptrdiff_t first, int count) {
  constexpr int MV = Tile<T>::MV, NR = Tile<T>::NR, W = Tile<T>::W, l = Simd<T>::lanes;
  const Metric metric = c.job->metric;
  const std::ptrdiff_t d = c.job->X.cols, j0 = panel * W;
  Vec<T> acc[NR][MV], side[MV];
  for (int m = 0; m < MV; ++m) side[m] = load(c.biases + j0 + m * l);
  const Vec<T> zero = {};
  // The lines of the output are asked for before the products, which hide the wait.
  for (int r = 0; r < count; ++r)
    for (int m = 0; m < MV; ++m)
      __builtin_prefetch(c.job->out + (first + r) * c.job->out_stride + j0 + m * l, 1, 3);
#pragma GCC unroll 32
  for (int r = 0; r < NR; ++r)
#pragma GCC unroll 4
    for (int m = 0; m < MV; ++m) acc[r][m] = is_euclidean(metric) ? side[m] : zero;
  multiply_tile<T, MV, NR>(c.panels + j0 * d, scalars, d, acc);
#pragma GCC unroll 32
  for (int r = 0; r < NR; ++r) {
    if (r >= count) break;
    const Vec<T> square = splat(squares[r]);
    const Vec<T> inverse = metric == Metric::cosine ? inverse_norm<T>(square) : zero;
    T* out = c.job->out + (first + r) * c.job->out_stride + j0;
#pragma GCC unroll 4
    for (int m = 0; m < MV; ++m) {
      const Vec<T> score = metric == Metric::cosine ? acc[r][m] * side[m] : acc[r][m];
      Vec<T> distance = distance_of<T>(metric, score, square, inverse);
      for (int i = 0; i < c.power; ++i) distance *= splat(c.unscale);
      const std::ptrdiff_t left = c.job->Y.rows - j0 - m * l;
      if (left >= l)
        store(out + m * l, distance);
      else
        for (std::ptrdiff_t i = 0; i < left; ++i) out[m * l + i] = distance[i];
    }
  }
}

// One row in float64, for values that leave the range of the dtype.
template <class T>
void wide_distances(const DistancesContext<T>& c, const T* x, std::ptrdiff_t i) {
  T* out = c.job->out + i * c.job->out_stride;
  for (std::ptrdiff_t j = 0; j < c.job->Y.rows; ++j)
    out[j] = c.exact.distance(x, c.exact.value(x, j));
}

template <class T>
void distances_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr int NR = Tile<T>::NR, W = Tile<T>::W, l = Simd<T>::lanes;
  constexpr int G = NR <= l ? 1 : NR / l, width = NR <= l ? l : NR;
  auto& c = *static_cast<DistancesContext<T>*>(context);
  const std::ptrdiff_t d = c.job->X.cols, tiles = (end - begin + NR - 1) / NR;
  T* scalars = reinterpret_cast<T*>(c.scratch->slice(worker));
  T* squares = scalars + tiles * NR * d + width;
  T* staging = squares + tiles * width + width;
  for (std::ptrdiff_t t = 0; t < tiles; ++t) {
    const std::ptrdiff_t i = begin + t * NR;
    const int count = static_cast<int>(end - i < NR ? end - i : NR);
    pack_matrix_rows<G, NR>(c.job->X, i, count, c.exact.setup.shift, row_scale(c.exact), scalars + t * NR * d,
                            squares + t * width, staging);
    if (!panel_is_finite(c.job->X, i, count, squares + t * width))
      __atomic_store_n(&c.status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
  }
  // A tile of rows writes along its rows, which is what the memory system is good at, as far as
  // the panels of Y that stay in the cache for the next tile.
  const std::ptrdiff_t panels = (c.job->Y.rows + W - 1) / W;
  const std::ptrdiff_t fit = kPanelBytes / (W * d * static_cast<std::ptrdiff_t>(sizeof(T))) + 1;
  for (std::ptrdiff_t group = 0; group < panels; group += fit)
    for (std::ptrdiff_t t = 0; t < tiles; ++t) {
      const std::ptrdiff_t i = begin + t * NR;
      const int count = static_cast<int>(end - i < NR ? end - i : NR);
      for (std::ptrdiff_t panel = group; panel < group + fit && panel < panels; ++panel)
        distance_tile(c, scalars + t * NR * d, squares + t * width, panel, i, count);
    }
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    const std::ptrdiff_t t = (i - begin) / NR, r = (i - begin) % NR;
    if (c.wild || is_wild(c.job->X, i, c.job->metric, squares[t * width + r], c.large))
      wide_distances(c, contiguous_row(c.job->X, i, reinterpret_cast<char*>(staging)), i);
  }
}

template <class T>
Status distances(const DistancesJob<T>& job) {
  constexpr int NR = Tile<T>::NR, W = Tile<T>::W, l = Simd<T>::lanes, width = NR <= l ? l : NR;
  constexpr std::ptrdiff_t grain = 8 * NR;
  const Screening<T> screening(job.X, job.Y, job.metric, job.threads);
  if (!screening.setup.finite) return Status::y_not_finite;
  const auto d = static_cast<std::size_t>(job.X.cols);
  const auto padded = static_cast<std::size_t>((job.Y.rows + W - 1) / W * W);
  const int threads = resolve_threads(job.threads, (job.X.rows + grain - 1) / grain);
  const Scratch packed(sizeof(T) * (padded * (d + 1) + W * (d + l)), 1);
  Scratch scratch(sizeof(T) * (8 * NR * d + 10 * width + width * (d + l) + 64), threads);
  T* panels = reinterpret_cast<T*>(packed.slice(0));
  T* side = panels + padded * d;
  DistancesContext<T> c{&job, {job.Y, job.metric, screening.setup}, panels, side, T(1), 0, T(0), false,
                        &scratch, 0};
  pack_panels(c.exact, panels, side, side + padded);
  c.unscale = T(1) / row_scale(c.exact);
  c.power = scale_power(c.exact);
  c.large = largest_square(c.exact);
  c.wild = out_of_range(side, job.Y.rows, c.large) ||
           (job.metric == Metric::cosine && tiny_rows(job.Y, side, screening.setup));
  parallel_for(job.X.rows, grain, threads, distances_body<T>, &c);
  return static_cast<Status>(c.status);
}
