// The driver of pairwise_argmin: panels of rows, the screen, and the float64 decision.
// Included inside the target's namespace after argmin.hpp.

// How often the narrow screen left rows open lately; one per worker. The answer does not depend
// on it, only the time does.
struct ScreenHabit {
  int rows = 0, open = 0, rest = 0;
};

template <class TI>
struct ArgminContext {
  const ArgminJob<TI>* job;
  ExactMetric<TI> exact;
  ScreenLevel wide, narrow;  // float32; 16 bits when packed is not null
  std::ptrdiff_t blocks;
  Scratch* scratch;
  int status;  // only ever raised, so a race is harmless; written with an atomic builtin
};

// Buffers of one worker, cut from its slice of scratch memory.
struct PanelBuffers {
  ScreenHabit* habit;
  float *panel, *staging, *block_best;
  std::uint32_t* narrow;
  char* row;

  static std::size_t bytes(std::ptrdiff_t d, std::ptrdiff_t blocks, std::size_t item) {
    constexpr int W = Tile<float>::W, l = Simd<float>::lanes;
    const auto D = static_cast<std::size_t>(d);
    return 64 + 4 * (W * (D + 16) + W * (D + l) + static_cast<std::size_t>(blocks) * W) +
           4 * W * (D / 2 + 2) + item * (D + 16) + 4 * 64;
  }
  PanelBuffers(char* slice, std::ptrdiff_t d, std::ptrdiff_t blocks) {
    constexpr int W = Tile<float>::W, l = Simd<float>::lanes;
    habit = reinterpret_cast<ScreenHabit*>(slice);
    panel = reinterpret_cast<float*>(slice + 64);
    block_best = panel + W * (d + 16);
    narrow = reinterpret_cast<std::uint32_t*>(block_best + blocks * W);
    staging = reinterpret_cast<float*>(narrow + W * (d / 2 + 2));
    row = reinterpret_cast<char*>((reinterpret_cast<std::uintptr_t>(staging + W * (d + l)) + 63) &
                                  ~static_cast<std::uintptr_t>(63));
  }
};

// Lowest index among the rows of Y whose blocks may hold the best.
template <int NR, class Score, class TI>
std::int32_t decide_row(const ArgminContext<TI>& c, const TI* x, const Score* block_best,
                        float threshold) {
  constexpr int W = Tile<float>::W;
  const std::ptrdiff_t m = c.job->Y.rows;
  double least = __builtin_inf();
  std::ptrdiff_t label = 0;
  for (std::ptrdiff_t b = 0; b < c.blocks; ++b) {
    // NaN on either side means: look.
    if (static_cast<float>(block_best[b * W]) < threshold) continue;
    const std::ptrdiff_t end = (b + 1) * NR < m ? (b + 1) * NR : m;
    for (std::ptrdiff_t j = b * NR; j < end; ++j) {
      const double value = c.exact.value(x, j);
      if (value < least) {
        least = value;
        label = j;
      }
    }
  }
  return static_cast<std::int32_t>(label);
}

template <class TI>
void report_distances(ArgminContext<TI>& c, std::ptrdiff_t first, int count, char* row) {
  for (std::ptrdiff_t i = first; i < first + count; ++i) {
    const TI* x = contiguous_row(c.job->X, i, row);
    c.job->distances[i] = c.exact.distance(x, c.exact.value(x, c.job->labels[i]));
  }
}

// Labels of a panel: the screen's where its gap exceeds twice the error, float64's elsewhere.
// Returns how many rows were open.
template <class Screen, int NR, class TI>
int finish_panel(ArgminContext<TI>& c, std::ptrdiff_t first, int count,
                 const PanelBest<Screen, Tile<float>::MV>& best, const Vec<float>* error,
                 const PanelBuffers& buf) {
  constexpr int l = Simd<float>::lanes;
  const auto* block_best = reinterpret_cast<const typename Screen::Score*>(buf.block_best);
  int open = 0;
  for (int m = 0; m * l < count; ++m) {
    IVec<float> label = best.block[m] * NR + Screen::tag(best.first[m]);
    const Vec<float> top = Screen::value(best.first[m]), reach = error[m] * 2.002f;
    // Not "gap <= reach": with NaN on either side the row must stay open.
    const IVec<float> decided = (top - Screen::value(best.second[m])) > reach;
    const int lanes = count - m * l < l ? count - m * l : l;
    unsigned mask = movemask(~decided) & ((1u << lanes) - 1);
    open += __builtin_popcount(mask);
    for (; mask != 0; mask &= mask - 1) {
      const int r = __builtin_ctz(mask);
      const TI* x = contiguous_row(c.job->X, first + m * l + r, buf.row);
      if (row_is_finite(x, c.job->X.cols))
        label[r] = decide_row<NR>(c, x, block_best + m * l + r, top[r] - reach[r]);
      else
        __atomic_store_n(&c.status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
    }
    for (int r = 0; r < lanes; ++r) c.job->labels[first + m * l + r] = label[r];
  }
  return open;
}

// Memory of the next panel, to be fetched while this one is multiplied.
struct NextRows {
  const char* data;
  std::ptrdiff_t lines;
  template <class TI>
  NextRows(const Matrix<TI>& X, std::ptrdiff_t first) {
    constexpr int W = Tile<float>::W;
    const bool ahead = X.contiguous_rows() && first + 2 * W <= X.rows;
    data = reinterpret_cast<const char*>(X.data + (first + W) * X.row_stride);
    lines = ahead ? W * X.cols * static_cast<std::ptrdiff_t>(sizeof(TI)) / 64 + 1 : 0;
  }
};

template <int NR, class TI>
void wide_panel(ArgminContext<TI>& c, std::ptrdiff_t first, int count, const float* squares,
                const PanelBuffers& buf) {
  constexpr int MV = Tile<float>::MV;
  const NextRows next(c.job->X, first);
  PanelBest<WideScreen, MV> best;
  screen_panel<WideScreen, MV, NR>(reinterpret_cast<const std::uint32_t*>(buf.panel), c.wide,
                                   c.blocks, buf.block_best, best, next.data, next.lines);
  Vec<float> error[MV];
  wide_error<MV>(squares, c.wide, error);
  finish_panel<WideScreen, NR>(c, first, count, best, error, buf);
}

#ifdef CL_TARGET_VNNI
template <int NR, class TI>
void narrow_panel(ArgminContext<TI>& c, std::ptrdiff_t first, int count, const float* squares,
                  const PanelBuffers& buf) {
  constexpr int MV = Tile<float>::MV, W = Tile<float>::W;
  const NextRows next(c.job->X, first);
  PanelBest<NarrowScreen, MV> best;
  Vec<float> error[MV];
  narrow_error<MV>(buf.panel, squares, c.narrow, c.job->X.cols, buf.narrow, error);
  screen_panel<NarrowScreen, MV, NR>(buf.narrow, c.narrow, c.blocks,
                                     reinterpret_cast<std::int32_t*>(buf.block_best), best,
                                     next.data, next.lines);
  ScreenHabit& habit = *buf.habit;
  habit.rows += count;
  habit.open += finish_panel<NarrowScreen, NR>(c, first, count, best, error, buf);
  if (habit.rows < 8 * W) return;
  // More than a third open: float32 for a while, then try again.
  if (habit.open * 3 > habit.rows) habit.rest = 64;
  habit.rows = habit.open = 0;
}
#endif

template <int NR, class TI>
void argmin_panel(ArgminContext<TI>& c, std::ptrdiff_t first, int count, const PanelBuffers& buf) {
  constexpr int MV = Tile<float>::MV, W = Tile<float>::W;
  float squares[W];
  pack_matrix_rows<MV, W>(c.job->X, first, count, c.exact.setup.shift, c.exact.setup.x_scale, buf.panel,
                          squares, buf.staging);
#ifdef CL_TARGET_VNNI
  if (c.narrow.packed != nullptr && buf.habit->rest-- <= 0) {
    buf.habit->rest = 0;
    narrow_panel<NR>(c, first, count, squares, buf);
  } else
#endif
    wide_panel<NR>(c, first, count, squares, buf);
  if (c.job->distances != nullptr) report_distances(c, first, count, buf.row);
}

template <int NR, class TI>
void argmin_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr int W = Tile<float>::W;
  auto& c = *static_cast<ArgminContext<TI>*>(context);
  const PanelBuffers buf(c.scratch->slice(worker), c.job->X.cols, c.blocks);
  for (std::ptrdiff_t i = begin; i < end; i += W)
    argmin_panel<NR>(c, i, static_cast<int>(end - i < W ? end - i : W), buf);
}

template <int NR, class TI>
Status argmin_with(const ArgminJob<TI>& job, const Screening<TI>& screening, bool narrow) {
  constexpr int W = Tile<float>::W;
  const std::ptrdiff_t d = job.X.cols, blocks = (job.Y.rows + NR - 1) / NR;
  const std::ptrdiff_t grain = 4 * W;
  const int threads = resolve_threads(job.threads, (job.X.rows + grain - 1) / grain);
  const Scratch levels(level_bytes(job.Y.rows, d, NR), narrow ? 2 : 1);
  Scratch scratch(PanelBuffers::bytes(d, blocks, sizeof(TI)), threads);
  ArgminContext<TI> c{&job, {job.Y, job.metric, screening.setup}, {}, {}, blocks, &scratch, 0};
  pack_levels<NR>(job.Y, c.exact.setup, job.metric, levels, narrow, true, c.wide, c.narrow);
  for (int w = 0; w < threads; ++w) *reinterpret_cast<ScreenHabit*>(scratch.slice(w)) = {};
  parallel_for(job.X.rows, grain, threads, argmin_body<NR, TI>, &c);
  return static_cast<Status>(c.status);
}

template <class TI>
Status argmin(const ArgminJob<TI>& job) {
  const Screening<TI> screening(job.X, job.Y, job.metric, job.threads);
  if (!screening.setup.finite) return Status::y_not_finite;
  constexpr int NR = Tile<float>::NR, small = CL_TILE_F32_SMALL;
  const std::ptrdiff_t m = job.Y.rows;
  // Few rows of Y: the block that wastes less padding.
  if ((m + small - 1) / small * small < (m + NR - 1) / NR * NR && m <= 64)
    return argmin_with<small>(job, screening, false);
  return argmin_with<NR>(job, screening, narrow_pays(job.Y));
}
