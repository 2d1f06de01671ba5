// Counts of rows of Y within a distance of each row of X, exact in float64: scores that the bound
// cannot place are evaluated again. Included inside the target's namespace.

template <class TI>
struct ThresholdContext {
  const ThresholdJob<TI>* job;
  ExactMetric<TI> exact;
  ScreenLevel wide;
  FarRows far;
  std::ptrdiff_t blocks;
  Scratch* scratch;
  int status;
};

// The score at which a row's distance equals its threshold, in the units of the screen.
template <class TI>
double score_at(const ThresholdContext<TI>& c, double threshold, double square) {
  const double s = c.exact.setup.x_scale, y = c.exact.setup.y_scale;
  switch (c.job->metric) {
    case Metric::sqeuclidean: return 0.5 * (square - threshold * s * s);
    case Metric::euclidean:
      return threshold < 0 ? __builtin_inf() : 0.5 * (square - (threshold * s) * (threshold * s));
    case Metric::inner_product: return -threshold * s * y;
    case Metric::cosine: break;
  }
  return (1.0 - threshold) * __builtin_sqrt(square);
}

// What the rounding of a distance to the coarse grid of denormal numbers may move that score.
template <class TI>
double grid_error(const ThresholdContext<TI>& c, double threshold) {
  const double s = c.exact.setup.x_scale, y = c.exact.setup.y_scale, grid = 0x1p-1074;
  const double t = __builtin_fabs(threshold) + grid;
  switch (c.job->metric) {
    case Metric::sqeuclidean: return grid * s * s;
    case Metric::euclidean: return t * s * (grid * s);
    case Metric::inner_product: return grid * s * y;
    case Metric::cosine: break;
  }
  return 0;
}

template <class TI>
bool is_within(const ThresholdContext<TI>& c, const TI* x, double threshold, std::ptrdiff_t j) {
  return c.exact.wide_distance(x, c.exact.value(x, j)) <= threshold;
}

// Rows of one block within the threshold, in float64, without the far ones.
template <int NR, class TI>
int count_exactly(const ThresholdContext<TI>& c, const TI* x, double threshold, std::ptrdiff_t b) {
  int count = 0;
  for (std::ptrdiff_t j = b * NR; j < (b + 1) * NR && j < c.job->Y.rows; ++j)
    count += !is_left_out(c.wide.bias[j]) && is_within(c, x, threshold, j);
  return count;
}

template <class TI>
void threshold_panel(ThresholdContext<TI>& c, std::ptrdiff_t first, int count, float* panel,
                     float* staging, char* row) {
  constexpr int MV = Tile<float>::MV, NR = Tile<float>::NR, W = Tile<float>::W;
  constexpr int l = Simd<float>::lanes;
  float squares[W], high[W], low[W];
  pack_matrix_rows<MV, W>(c.job->X, first, count, c.exact.setup.shift, c.exact.setup.x_scale,
                          panel, squares, staging);
  if (!panel_is_finite(c.job->X, first, count, squares)) {
    __atomic_store_n(&c.status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
    return;
  }
  for (int r = 0; r < W; ++r) {
    const double t = c.job->threshold[first + (r < count ? r : count - 1)];
    const double square = squares[r], at = score_at(c, t, square);
    const double error = 1.01 * c.wide.bound.at(splat(__builtin_sqrtf(squares[r])))[0] +
                         static_cast<double>(c.job->X.cols + 8) * 0x1p-23 * square +
                         0x1p-22 * __builtin_fabs(at) + grid_error(c, t);
    // Near the end of the range, where padding scores, both ends stay open: every row is looked at.
    const bool tiny = c.job->metric == Metric::cosine && square < 1e-30;
    const bool wild = !(square < 1e37) || !(error < 1e37) ||
                      !(__builtin_fabs(at) < 1e37) || tiny;
    high[r] = wild ? __builtin_inff() : static_cast<float>(at + error);
    low[r] = wild ? -__builtin_inff() : static_cast<float>(at - error);
  }
  std::int64_t total[W] = {};
  for (std::ptrdiff_t b = 0; b < c.blocks; ++b) {
    Vec<float> acc[NR][MV];
    WideScreen::multiply<MV, NR>(reinterpret_cast<const std::uint32_t*>(panel), c.wide, b, acc);
    for (int m = 0; m < MV; ++m) {
      IVec<float> sure = {}, near = {};
      const Vec<float> above = load(high + m * l), below = load(low + m * l);
#pragma GCC unroll 32
      for (int j = 0; j < NR; ++j) {
        sure -= acc[j][m] > above;
        near |= ~(acc[j][m] < below) & ~(acc[j][m] > above);
      }
      for (unsigned mask = movemask(near); mask != 0; mask &= mask - 1) {
        const int i = __builtin_ctz(mask), r = m * l + i;
        if (r >= count) break;
        const TI* x = contiguous_row(c.job->X, first + r, row);
        sure[i] = count_exactly<NR>(c, x, c.job->threshold[first + r], b);
      }
      for (int i = 0; i < l; ++i) total[m * l + i] += sure[i];
    }
  }
  for (int r = 0; r < count; ++r) {
    if (!(c.far.best_score(splat(squares[r]))[0] < low[r])) {
      const TI* x = contiguous_row(c.job->X, first + r, row);
      for (std::ptrdiff_t q = 0; q < c.far.count; ++q)
        total[r] += is_within(c, x, c.job->threshold[first + r], c.far.index[q]);
    }
    c.job->counts[first + r] = total[r];
  }
}

template <class TI>
void threshold_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr int W = Tile<float>::W, l = Simd<float>::lanes;
  auto& c = *static_cast<ThresholdContext<TI>*>(context);
  const std::ptrdiff_t d = c.job->X.cols;
  auto* panel = reinterpret_cast<float*>(c.scratch->slice(worker));
  float* staging = panel + W * (d + 16);
  char* row = reinterpret_cast<char*>(staging + W * (d + l));
  for (std::ptrdiff_t i = begin; i < end; i += W)
    threshold_panel(c, i, static_cast<int>(end - i < W ? end - i : W), panel, staging, row);
}

template <class TI>
Status threshold(const ThresholdJob<TI>& job) {
  constexpr int W = Tile<float>::W, NR = Tile<float>::NR, l = Simd<float>::lanes;
  const Screening<TI> screening(job.X, job.Y, job.metric, job.threads);
  if (!screening.setup.finite) return Status::y_not_finite;
  const auto d = static_cast<std::size_t>(job.X.cols);
  const int threads = resolve_threads(job.threads, (job.X.rows + W - 1) / W);
  const Scratch levels(level_bytes(job.Y.rows, job.Y.cols, NR), 1);
  Scratch scratch(4 * W * (2 * d + 16 + l) + sizeof(TI) * (d + 16), threads);
  ThresholdContext<TI> c{&job, {job.Y, job.metric, screening.setup}, {}, {},
                         (job.Y.rows + NR - 1) / NR, &scratch, 0};
  pack_levels<NR>(c.exact, levels, false, false, false, c.wide, c.wide, c.far);
  parallel_for(job.X.rows, W, threads, threshold_body<TI>, &c);
  return static_cast<Status>(c.status);
}
