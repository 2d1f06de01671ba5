// The k nearest rows of Y. The screen keeps only the best score of every block of NR rows: the k
// nearest lie in the blocks whose best reaches the k-th largest of them. Those few blocks are
// scored again in float32, and what remains is ordered in float64.
// Included inside the target's namespace.

// Columns are taken in groups, so that the block maxima of a panel stay in the cache.
inline constexpr std::ptrdiff_t kGroupBlocks = 4096;
inline constexpr std::ptrdiff_t kListBest = 64;  // up to here a sorted list per lane pays

template <class TI>
struct TopkContext {
  const TopkJob<TI>* job;
  ExactMetric<TI> exact;
  ScreenLevel wide, narrow;
  FarRows far;
  std::ptrdiff_t blocks, group;
  Scratch* scratch;
  int status;  // only ever raised, with an atomic builtin
};

// Buffers of one worker.
template <class TI>
struct TopkBuffers {
  float *panel, *block_best, *super_best, *staging, *row32, *scores, *best32;
  std::uint32_t* narrow;
  std::int32_t *candidates, *counts;
  Neighbor *found, *kept;  // of the row at hand; of every row of the panel
  char* row;
  std::size_t size = 0;

  template <class V>
  V* take(char* base, std::size_t count) {
    V* p = reinterpret_cast<V*>(base + size);
    size += (count * sizeof(V) + 127) / 64 * 64;
    return p;
  }
  TopkBuffers(char* base, std::ptrdiff_t d, std::ptrdiff_t group, std::ptrdiff_t k,
              std::ptrdiff_t far) {
    constexpr std::size_t W = Tile<float>::W, l = Simd<float>::lanes, NR = Tile<float>::NR;
    const auto D = static_cast<std::size_t>(d), G = static_cast<std::size_t>(group);
    const auto K = static_cast<std::size_t>(k);
    panel = take<float>(base, W * (D + 16));
    narrow = take<std::uint32_t>(base, W * (D / 2 + 2));
    staging = take<float>(base, W * (D + l));
    block_best = take<float>(base, W * G);
    super_best = take<float>(base, W * (G + K + 1));
    candidates = take<std::int32_t>(base, W * G);
    counts = take<std::int32_t>(base, W);
    scores = take<float>(base, G * NR + 16);
    best32 = take<float>(base, G);
    found = take<Neighbor>(base, K + G * NR + static_cast<std::size_t>(far));
    kept = take<Neighbor>(base, W * K);
    row32 = take<float>(base, D + 16);
    row = take<char>(base, sizeof(TI) * (D + 16));
  }
};

template <class Screen, int MV, int NR>
void screen_blocks(const std::uint32_t* lanes, const ScreenLevel& level, std::ptrdiff_t begin,
                   std::ptrdiff_t end, typename Screen::Score* block_best) {
  using Scores = typename Screen::Scores;
  for (std::ptrdiff_t b = begin; b < end; ++b) {
    Scores acc[NR][MV];
    Screen::template multiply<MV, NR>(lanes, level, b, acc);
#pragma GCC unroll 4
    for (int m = 0; m < MV; ++m) {
#pragma GCC unroll 4
      for (int step = 1; step < NR; step *= 2)
#pragma GCC unroll 32
        for (int j = 0; j + step < NR; j += 2 * step)
          acc[j][m] = vmax(acc[j][m], acc[j + step][m]);
      *reinterpret_cast<Scores*>(block_best + ((b - begin) * MV + m) * Simd<float>::lanes) =
          acc[0][m];
    }
  }
}

// threshold[lane]: the k-th largest of the maxima of `supers` runs of blocks, a lower bound of the
// k-th largest score; `lowest` when there are fewer than k.
template <class Screen, int MV>
void kth_best(const typename Screen::Score* block_best, std::ptrdiff_t blocks, std::ptrdiff_t k,
              typename Screen::Score* work, typename Screen::Scores (&threshold)[MV]) {
  using Scores = typename Screen::Scores;
  constexpr int l = Simd<float>::lanes;
  for (int m = 0; m < MV; ++m) threshold[m] = Screen::lowest();
  if (blocks < k) return;
  const std::ptrdiff_t wanted = 8 * k > 64 ? 8 * k : 64;
  const std::ptrdiff_t run = blocks / wanted > 1 ? blocks / wanted : 1;
  const auto* best = reinterpret_cast<const Scores*>(block_best);
  if (k > kListBest) {  // one row at a time, by selection
    for (int i = 0; i < MV * l; ++i) {
      for (std::ptrdiff_t b = 0; b < blocks; ++b) work[b] = block_best[b * MV * l + i];
      threshold[i / l][i % l] = select_kth_largest(work, blocks, k);
    }
    return;
  }
  auto* list = reinterpret_cast<Scores*>(work);  // k vectors in falling order
  for (int m = 0; m < MV; ++m) {
    for (std::ptrdiff_t q = 0; q < k; ++q) list[q] = Screen::lowest();
    for (std::ptrdiff_t b = 0; b < blocks; b += run) {
      Scores v = best[b * MV + m];
      for (std::ptrdiff_t r = b + 1; r < b + run && r < blocks; ++r) v = vmax(v, best[r * MV + m]);
      if (movemask(v > list[k - 1]) == 0) continue;
      for (std::ptrdiff_t q = 0; q < k; ++q) {
        const Scores keep = list[q];
        list[q] = vmax(keep, v);
        v = vmin(keep, v);
      }
    }
    threshold[m] = list[k - 1];
  }
}

// The blocks of each lane that reach its threshold less twice the error, in rising order.
template <class Screen, int MV>
void collect_blocks(const typename Screen::Score* block_best, std::ptrdiff_t blocks,
                    const typename Screen::Scores (&threshold)[MV], const Vec<float> (&error)[MV],
                    std::int32_t* candidates, std::int32_t* counts) {
  using Scores = typename Screen::Scores;
  constexpr int l = Simd<float>::lanes;
  const auto* best = reinterpret_cast<const Scores*>(block_best);
  for (int m = 0; m < MV; ++m) {
    for (int i = 0; i < l; ++i) counts[m * l + i] = 0;
    const Vec<float> floor = Screen::value(threshold[m]) - error[m] * 2.002f;
    for (std::ptrdiff_t b = 0; b < blocks; ++b) {
      // Written so that NaN means: look.
      unsigned mask = movemask(~(Screen::value(best[b * MV + m]) < floor));
      for (; mask != 0; mask &= mask - 1) {
        const int i = m * l + __builtin_ctz(mask);
        candidates[i * blocks + counts[i]++] = static_cast<std::int32_t>(b);
      }
    }
  }
}

// Merges the rows of Y in the candidate blocks into the `found` nearest in `kept`; returns how
// many there are now.
template <int NR, class TI>
std::ptrdiff_t merge_row(TopkContext<TI>& c, std::ptrdiff_t i, float square,
                         std::ptrdiff_t first_block, const std::int32_t* candidates,
                         std::ptrdiff_t count, const TopkBuffers<TI>& buf, Neighbor* kept,
                         std::ptrdiff_t found) {
  const std::ptrdiff_t k = c.job->k, m = c.job->Y.rows;
  const TI* x = contiguous_row(c.job->X, i, buf.row);
  const float norm = __builtin_sqrtf(square);
  if (!(norm <= 3e38f) && !row_is_finite(x, c.job->X.cols)) {
    __atomic_store_n(&c.status, static_cast<int>(Status::x_not_finite), __ATOMIC_RELAXED);
    return 0;
  }
  const float error = c.wide.bound.at(splat(norm))[0];
  stage_rows(c.job->X, i, 1, c.exact.setup.shift, c.exact.setup.x_scale, buf.row32, 0);
  // Candidates are scattered over Y: the start of each block is asked for before it is needed.
  const auto ask = [&](std::ptrdiff_t q) {
    const auto* block = c.wide.packed + (first_block + candidates[q]) * NR * c.wide.words;
    for (std::ptrdiff_t w = 0; w < NR * c.wide.words && w < 512; w += 16)
      __builtin_prefetch(block + w);
  };
  for (std::ptrdiff_t q = 0; q < count && q < 4; ++q) ask(q);
  for (std::ptrdiff_t q = 0; q < count; ++q) {
    if (q + 4 < count) ask(q + 4);
    buf.best32[q] =
        rescore_block<NR>(buf.row32, c.wide, first_block + candidates[q], buf.scores + q * NR);
  }
  float floor = -__builtin_inff();
  if (count >= k) {
    for (std::ptrdiff_t q = 0; q < count; ++q) buf.super_best[q] = buf.best32[q];
    floor = select_kth_largest(buf.super_best, count, k) - 2.002f * error;
  }
  for (std::ptrdiff_t q = 0; q < found; ++q) buf.found[q] = kept[q];
  const std::ptrdiff_t known = found;
  for (std::ptrdiff_t q = 0; q < count; ++q) {
    if (buf.best32[q] < floor) continue;
    const std::ptrdiff_t base = (first_block + candidates[q]) * NR;
    for (int j = 0; j < NR && base + j < m; ++j)
      if (!(buf.scores[q * NR + j] < floor) && !is_left_out(c.wide.bias[base + j]))
        buf.found[found++].index = static_cast<std::int32_t>(base + j);
  }
  // Far rows are nobody's block: they join once, with the first group, where they may be near.
  if (first_block == 0 && !(c.far.best_score(splat(square))[0] < floor))
    for (std::ptrdiff_t q = 0; q < c.far.count; ++q) buf.found[found++].index = c.far.index[q];
  for (std::ptrdiff_t q = known; q < found; ++q) __builtin_prefetch(c.job->Y.row(buf.found[q].index));
  for (std::ptrdiff_t q = known; q < found; ++q)
    buf.found[q].value = c.exact.value(x, buf.found[q].index);
  found = keep_nearest(buf.found, found, k);
  for (std::ptrdiff_t q = 0; q < found; ++q) kept[q] = buf.found[q];
  return found;
}

template <class Screen, int NR, class TI>
void topk_panel(TopkContext<TI>& c, std::ptrdiff_t first, int count, const std::uint32_t* lanes,
                const ScreenLevel& level, const Vec<float> (&error)[Tile<float>::MV], const float* squares,
                const TopkBuffers<TI>& buf) {
  constexpr int MV = Tile<float>::MV;
  using Score = typename Screen::Score;
  auto* block_best = reinterpret_cast<Score*>(buf.block_best);
  auto* work = reinterpret_cast<Score*>(buf.super_best);
  std::ptrdiff_t found[Tile<float>::W] = {};
  for (std::ptrdiff_t b = 0; b < c.blocks; b += c.group) {
    const std::ptrdiff_t size = c.blocks - b < c.group ? c.blocks - b : c.group;
    screen_blocks<Screen, MV, NR>(lanes, level, b, b + size, block_best);
    typename Screen::Scores threshold[MV];
    kth_best<Screen, MV>(block_best, size, c.job->k, work, threshold);
    collect_blocks<Screen, MV>(block_best, size, threshold, error, buf.candidates, buf.counts);
    for (int r = 0; r < count; ++r)
      found[r] = merge_row<NR>(c, first + r, squares[r], b, buf.candidates + r * size,
                               buf.counts[r], buf, buf.kept + r * c.job->k, found[r]);
  }
  const std::ptrdiff_t k = c.job->k;
  for (int r = 0; r < count && c.status == 0; ++r) {
    const TI* x = contiguous_row(c.job->X, first + r, buf.row);
    for (std::ptrdiff_t q = 0; q < k; ++q) {
      const Neighbor& neighbor = buf.kept[r * k + q];
      c.job->distances[(first + r) * k + q] = c.exact.distance(x, neighbor.value);
      c.job->indices[(first + r) * k + q] = neighbor.index;
    }
  }
}

template <class TI>
void topk_body(void* context, std::ptrdiff_t begin, std::ptrdiff_t end, int worker) {
  constexpr int MV = Tile<float>::MV, W = Tile<float>::W, NR = Tile<float>::NR;
  auto& c = *static_cast<TopkContext<TI>*>(context);
  const TopkBuffers<TI> buf(c.scratch->slice(worker), c.job->X.cols, c.group, c.job->k,
                            c.job->Y.rows / 16);
  float squares[W];
  for (std::ptrdiff_t i = begin; i < end; i += W) {
    const int count = static_cast<int>(end - i < W ? end - i : W);
    pack_matrix_rows<MV, W>(c.job->X, i, count, c.exact.setup.shift, c.exact.setup.x_scale,
                            buf.panel, squares, buf.staging);
    Vec<float> error[MV];
#ifdef CL_TARGET_VNNI
    if (c.narrow.packed != nullptr) {
      Vec<float> scale[MV];
      narrow_error<MV>(buf.panel, squares, c.narrow, c.job->X.cols, buf.narrow, error, scale);
      topk_panel<NarrowScreen, NR>(c, i, count, buf.narrow, c.narrow, error, squares, buf);
      continue;
    }
#endif
    wide_error<MV>(squares, c.wide, error);
    topk_panel<WideScreen, NR>(c, i, count, reinterpret_cast<const std::uint32_t*>(buf.panel),
                               c.wide, error, squares, buf);
  }
}

template <class TI>
Status topk(const TopkJob<TI>& job) {
  constexpr int W = Tile<float>::W, NR = Tile<float>::NR;
  const Screening<TI> screening(job.X, job.Y, job.metric, job.threads);
  if (!screening.setup.finite) return Status::y_not_finite;
  const std::ptrdiff_t blocks = (job.Y.rows + NR - 1) / NR;
  const std::ptrdiff_t group = blocks < kGroupBlocks ? blocks : kGroupBlocks;
  const int threads = resolve_threads(job.threads, (job.X.rows + W - 1) / W);
  const bool narrow = narrow_pays(job.Y);
  const Scratch levels(level_bytes(job.Y.rows, job.Y.cols, NR), narrow ? 2 : 1);
  const std::size_t bytes = TopkBuffers<TI>(nullptr, job.X.cols, group, job.k, job.Y.rows / 16).size;
  Scratch scratch(bytes, threads);
  TopkContext<TI> c{&job, {job.Y, job.metric, screening.setup}, {}, {}, {}, blocks, group, &scratch, 0};
  pack_levels<NR>(c.exact, levels, narrow, false, false, c.wide, c.narrow, c.far);
  parallel_for(job.X.rows, W, threads, topk_body<TI>, &c);
  return static_cast<Status>(c.status);
}
