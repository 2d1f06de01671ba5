// The driver of pairwise_argmin: panels of rows, the screen, and the float64 decision.
// Included inside the target's namespace after argmin.hpp.

// Lower bounds are kept for groups of neighbouring blocks of Y, so that one centre that moves far
// spoils the bounds of its group only.
inline constexpr int kGroups = kBoundGroups;

CL_INLINE int group_of(std::ptrdiff_t block, std::ptrdiff_t blocks) {
  return static_cast<int>(block * kGroups / (blocks < kGroups ? kGroups : blocks));
}

// The two largest moves of each group, and whose the largest is.
struct GroupMoves {
  float most[kGroups], second[kGroups];
  std::int32_t fastest[kGroups];
  const std::uint8_t* group;  // of each block
};

// How often the narrow screen left rows open lately; one per worker. The answer does not depend
// on it, only the time does.
struct ScreenHabit {
  int rows = 0, open = 0, rest = 0;
};

// Which rows of X a panel holds.
struct PanelRows {
  int count;
  std::ptrdiff_t index[Tile<float>::W];
};

template <class TI>
struct ArgminContext {
  const ArgminJob<TI>* job;
  ExactMetric<TI> exact;
  ScreenLevel wide, narrow;  // float32; 16 bits when packed is not null
  FarRows far;
  std::ptrdiff_t blocks;
  Scratch* scratch;
  int status;  // only ever raised, so a race is harmless; written with an atomic builtin
  GroupMoves moves;  // with bounds only
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

// The nearest row of Y so far, in float64.
struct Nearest {
  double value = __builtin_inf();
  std::ptrdiff_t label = 0;

  template <class TI>
  void try_row(const ExactMetric<TI>& exact, const TI* x, std::ptrdiff_t j) {
    const double v = exact.value(x, j);
    if (v < value || (v == value && j < label)) {
      value = v;
      label = j;
    }
  }
};

// Lowest index among the rows of Y whose blocks may hold the best. Such a block is scored again in
// float32, and only what may be the best of all that was seen goes to float64.
template <int NR, class Score, class TI>
std::int32_t decide_row(const ArgminContext<TI>& c, std::ptrdiff_t i, const TI* x, float square,
                        const Score* block_best, float threshold, float* row32) {
  constexpr int W = Tile<float>::W;
  const std::ptrdiff_t m = c.job->Y.rows;
  stage_rows(c.job->X, i, 1, c.exact.setup.shift, c.exact.setup.x_scale, row32, 0);
  const float reach = 2.002f * c.wide.bound.at(splat(__builtin_sqrtf(square)))[0];
  float scores[NR], best = 2 * kPaddingScore;
  Nearest nearest;
  for (std::ptrdiff_t b = 0; b < c.blocks; ++b) {
    // NaN on either side means: look. So it does below.
    if (static_cast<float>(block_best[b * W]) < threshold) continue;
    const float top = rescore_block<NR>(row32, c.wide, b, scores);
    best = top > best ? top : best;
    const float floor = best - reach;
    for (int j = 0; j < NR && b * NR + j < m; ++j)
      if (!(scores[j] < floor) && !is_left_out(c.wide.bias[b * NR + j]))
        nearest.try_row(c.exact, x, b * NR + j);
  }
  for (std::ptrdiff_t q = 0; q < c.far.count; ++q) nearest.try_row(c.exact, x, c.far.index[q]);
  return static_cast<std::int32_t>(nearest.label);
}

template <class TI>
void report_distances(ArgminContext<TI>& c, const PanelRows& rows, char* row) {
  for (int r = 0; r < rows.count; ++r) {
    const std::ptrdiff_t i = rows.index[r];
    const TI* x = contiguous_row(c.job->X, i, row);
    c.job->distances[i] = c.exact.distance(x, c.exact.value(x, c.job->labels[i]));
  }
}

// What the screen says about a panel. score * unit is in the common units of x . y + bias, whatever
// the screen; errors are in those of the scores.
template <class Screen, int MV>
struct PanelScores {
  PanelBest<Screen, MV> best;
  Vec<float> error[MV], unit[MV];
};

#include "argmin_bounds.hpp"

// Labels of a panel: the screen's where its gap exceeds twice the error, float64's elsewhere.
// Returns how many rows were open.
template <class Screen, int NR, class TI>
int finish_panel(ArgminContext<TI>& c, const PanelRows& rows, const float* squares,
                 const PanelScores<Screen, Tile<float>::MV>& scores, const PanelBuffers& buf) {
  constexpr int l = Simd<float>::lanes;
  const auto* block_best = reinterpret_cast<const typename Screen::Score*>(buf.block_best);
  int open = 0;
  for (int m = 0; m * l < rows.count; ++m) {
    IVec<float> label = scores.best.block[m] * NR + Screen::tag(scores.best.first[m]);
    const Vec<float> first = Screen::value(scores.best.first[m]);
    const Vec<float> second = Screen::value(scores.best.second[m]), reach = scores.error[m] * 2.002f;
    // Not "gap <= reach": with NaN on either side the row must stay open.
    IVec<float> decided = (first - second) > reach;
    if (c.far.count > 0)
      decided &= (first - reach) * scores.unit[m] > c.far.best_score(load(squares + m * l));
    const int lanes = rows.count - m * l < l ? rows.count - m * l : l;
    unsigned mask = movemask(~decided) & ((1u << lanes) - 1);
    open += __builtin_popcount(mask);
    for (; mask != 0; mask &= mask - 1) {
      const int r = __builtin_ctz(mask);
      const TI* x = contiguous_row(c.job->X, rows.index[m * l + r], buf.row);
      if (row_is_finite(x, c.job->X.cols))
        label[r] = decide_row<NR>(c, rows.index[m * l + r], x, squares[m * l + r],
                                  block_best + m * l + r, first[r] - reach[r], buf.staging);
      else {
        label[r] = 0;  // the screen's may be padding, of which there is no row to read
        __atomic_store_n(&c.status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
      }
    }
    for (int r = 0; r < lanes; ++r) c.job->labels[rows.index[m * l + r]] = label[r];
    if (c.job->upper != nullptr && bounds_wanted(c, rows))
      write_bounds<Screen>(c, rows, m, lanes, load(squares + m * l), scores, decided, block_best);
  }
  return open;
}

// Memory of the next panel, to be fetched while this one is multiplied.
struct NextRows {
  const char* data = nullptr;
  std::ptrdiff_t lines = 0;
  template <class TI>
  NextRows(const Matrix<TI>& X, const PanelRows& rows) {
    constexpr int W = Tile<float>::W;
    const std::ptrdiff_t first = rows.index[rows.count - 1] + 1;
    if (!X.contiguous_rows() || first + W > X.rows) return;
    data = reinterpret_cast<const char*>(X.row(first));
    lines = W * X.cols * static_cast<std::ptrdiff_t>(sizeof(TI)) / 64 + 1;
  }
};

template <int NR, class TI>
void wide_panel(ArgminContext<TI>& c, const PanelRows& rows, const float* squares,
                const PanelBuffers& buf) {
  constexpr int MV = Tile<float>::MV;
  const NextRows next(c.job->X, rows);
  PanelScores<WideScreen, MV> scores;
  screen_panel<WideScreen, MV, NR>(reinterpret_cast<const std::uint32_t*>(buf.panel), c.wide,
                                   c.blocks, buf.block_best, scores.best, next.data, next.lines);
  wide_error<MV>(squares, c.wide, scores.error);
  for (int m = 0; m < MV; ++m) scores.unit[m] = splat(1.0f);
  finish_panel<WideScreen, NR>(c, rows, squares, scores, buf);
}

#ifdef CL_TARGET_VNNI
template <int NR, class TI>
void narrow_panel(ArgminContext<TI>& c, const PanelRows& rows, const float* squares,
                  const PanelBuffers& buf) {
  constexpr int MV = Tile<float>::MV, W = Tile<float>::W;
  const NextRows next(c.job->X, rows);
  PanelScores<NarrowScreen, MV> scores;
  Vec<float> scale[MV];
  narrow_error<MV>(buf.panel, squares, c.narrow, c.job->X.cols, buf.narrow, scores.error, scale);
  screen_panel<NarrowScreen, MV, NR>(buf.narrow, c.narrow, c.blocks,
                                     reinterpret_cast<std::int32_t*>(buf.block_best), scores.best,
                                     next.data, next.lines);
  for (int m = 0; m < MV; ++m) scores.unit[m] = splat(1.0f) / (scale[m] * splat(c.narrow.y_scale));
  ScreenHabit& habit = *buf.habit;
  habit.rows += rows.count;
  habit.open += finish_panel<NarrowScreen, NR>(c, rows, squares, scores, buf);
  if (habit.rows < 8 * W) return;
  // More than a third open: float32 for a while, then try again.
  if (habit.open * 3 > habit.rows) habit.rest = 64;
  habit.rows = habit.open = 0;
}
#endif

template <int NR, class TI>
void argmin_panel(ArgminContext<TI>& c, const PanelRows& rows, const PanelBuffers& buf) {
  constexpr int MV = Tile<float>::MV, W = Tile<float>::W;
  float squares[W];
  pack_chosen_rows<MV, W>(c.job->X, rows.index, rows.count, c.exact.setup.shift,
                          c.exact.setup.x_scale, buf.panel, squares, buf.staging);
#ifdef CL_TARGET_VNNI
  if (c.narrow.packed != nullptr && buf.habit->rest-- <= 0) {
    buf.habit->rest = 0;
    narrow_panel<NR>(c, rows, squares, buf);
  } else
#endif
    wide_panel<NR>(c, rows, squares, buf);
  if (c.job->distances != nullptr) report_distances(c, rows, buf.row);
}

inline constexpr std::ptrdiff_t kBoundedRows = 2048;  // of a task, when there are bounds

// Rows of [begin, end) that must be looked at: all, or those whose bounds do not keep them.
template <int NR, class TI>
std::ptrdiff_t open_rows(ArgminContext<TI>& c, std::ptrdiff_t begin, std::ptrdiff_t end, char* row,
                         std::ptrdiff_t* open) {
  std::ptrdiff_t doubtful = 0, count = 0, bounded = 0;
  for (std::ptrdiff_t i = begin; i < end; ++i) {
    bounded += c.job->upper[i] < 3e38f;
    if (bounds_keep<NR>(c, i)) continue;
    open[doubtful++] = i;
    if (!(c.job->upper[i] < 3e38f)) continue;
    for (int line = 0; line < 8; ++line)
      __builtin_prefetch(reinterpret_cast<const char*>(c.job->X.row(i)) + 64 * line);
  }
  for (std::ptrdiff_t q = 0; q < doubtful; ++q)
    if (!tighter_bound_keeps(c, open[q], row)) open[count++] = open[q];
  __atomic_fetch_add(&c.job->counts->bounded, bounded, __ATOMIC_RELAXED);
  __atomic_fetch_add(&c.job->counts->kept, end - begin - count, __ATOMIC_RELAXED);
  return count;
}

template <int NR, class TI>
void argmin_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr int W = Tile<float>::W;
  auto& c = *static_cast<ArgminContext<TI>*>(context);
  const PanelBuffers buf(c.scratch->slice(worker), c.job->X.cols, c.blocks);
  const bool bounded = c.job->upper != nullptr;
  std::ptrdiff_t open[kBoundedRows];
  const std::ptrdiff_t count = bounded ? open_rows<NR>(c, begin, end, buf.row, open) : end - begin;
  for (std::ptrdiff_t q = 0; q < count; q += W) {
    PanelRows rows{static_cast<int>(count - q < W ? count - q : W), {}};
    for (int r = 0; r < rows.count; ++r) rows.index[r] = bounded ? open[q + r] : begin + q + r;
    argmin_panel<NR>(c, rows, buf);
  }
}

template <int NR, class TI>
Status argmin_with(const ArgminJob<TI>& job, const Screening<TI>& screening, bool narrow) {
  constexpr int W = Tile<float>::W;
  const std::ptrdiff_t d = job.X.cols, blocks = (job.Y.rows + NR - 1) / NR;
  const std::ptrdiff_t grain = job.upper == nullptr ? 4 * W : kBoundedRows;
  const int threads = resolve_threads(job.threads, (job.X.rows + grain - 1) / grain);
  const Scratch levels(level_bytes(job.Y.rows, d, NR), narrow ? 2 : 1);
  Scratch scratch(PanelBuffers::bytes(d, blocks, sizeof(TI)), threads);
  ArgminContext<TI> c{&job, {job.Y, job.metric, screening.setup}, {}, {}, {}, blocks, &scratch, 0, {}};
  const Scratch groups(static_cast<std::size_t>(blocks), 1);
  if (job.upper != nullptr)
    read_moves<NR>(job, blocks, reinterpret_cast<std::uint8_t*>(groups.slice(0)), c.moves);
  // Bounds must know where a repeated row of Y is, as it may move away from its likeness.
  const bool distinct = job.upper == nullptr;
  pack_levels<NR>(c.exact, levels, narrow, true, distinct, c.wide, c.narrow, c.far);
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
