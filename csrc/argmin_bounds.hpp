// Bounds that let rows keep their label without a look at all centres: an upper bound of the
// distance to the own centre, and lower bounds of the distance to all others, one for each group
// of blocks. Part of argmin_rows.hpp.

template <int NR, class TI>
void read_moves(const ArgminJob<TI>& job, std::ptrdiff_t blocks, std::uint8_t* group,
                GroupMoves& moves) {
  for (int g = 0; g < kGroups; ++g) moves.most[g] = moves.second[g] = 0, moves.fastest[g] = -1;
  for (std::ptrdiff_t b = 0; b < blocks; ++b) group[b] = static_cast<std::uint8_t>(group_of(b, blocks));
  moves.group = group;
  for (std::ptrdiff_t j = 0; j < job.Y.rows; ++j) {
    const int g = group_of(j / NR, blocks);
    const float move = job.moves[j];
    if (move > moves.most[g]) {
      moves.second[g] = moves.most[g];
      moves.most[g] = move;
      moves.fastest[g] = static_cast<std::int32_t>(j);
    } else if (move > moves.second[g]) {
      moves.second[g] = move;
    }
  }
}

// Takes the moves from a row's lower bounds, rounded down; returns the least of them.
CL_INLINE float lower_after_moves(float* lower, const GroupMoves& moves, std::int32_t own, int own_group) {
  constexpr int l = Simd<float>::lanes;
  const float kept = lower[own_group], second = moves.second[own_group];
  for (int g = 0; g < kGroups; g += l) {
    const Vec<float> old = load(lower + g), move = load(moves.most + g);
    store(lower + g, (old - move) - (old + move) * 1e-6f);
  }
  // The own centre is no rival: the others of its group have moved by no more than the second.
  if (moves.fastest[own_group] == own) lower[own_group] = (kept - second) - (kept + second) * 1e-6f;
  float least[kGroups];
  for (int g = 0; g < kGroups; ++g) least[g] = lower[g];
  for (int half = kGroups / 2; half > 0; half /= 2)
    for (int g = 0; g < half; ++g) least[g] = least[g] < least[g + half] ? least[g] : least[g + half];
  return least[0];
}

// Whether a row keeps its label: its centre is nearer than its bounds allow any other to be.
// job.upper[i] becomes infinite for a row that has no bounds yet.
template <int NR, class TI>
CL_INLINE bool bounds_keep(ArgminContext<TI>& c, std::ptrdiff_t i) {
  const ArgminJob<TI>& job = *c.job;
  const std::int32_t own = job.labels[i];
  const float upper = (job.upper[i] + job.moves[own]) * 1.000001f;
  job.upper[i] = upper;
  if (!(upper < 3e38f)) return false;
  const int own_group = c.moves.group[own / NR];
  return upper < lower_after_moves(job.lower + i * kGroups, c.moves, own, own_group);
}

// The same after the distance to the own centre has been worked out anew.
template <class TI>
bool tighter_bound_keeps(ArgminContext<TI>& c, std::ptrdiff_t i, char* buffer) {
  const ArgminJob<TI>& job = *c.job;
  if (!(job.upper[i] < 3e38f)) return false;
  const float* lower = job.lower + i * kGroups;
  float least = lower[0];
  for (int g = 1; g < kGroups; ++g) least = lower[g] < least ? lower[g] : least;
  if (!(least > 0)) return false;
  const TI* x = contiguous_row(job.X, i, buffer);
  const double length = c.exact.root_distance(c.exact.value(x, job.labels[i]));
  job.upper[i] = static_cast<float>(length) * 1.000001f;
  return job.upper[i] < least;
}

// Sampling takes one panel in sixteen; the rows of the others have no bounds any more.
template <class TI>
bool bounds_wanted(const ArgminContext<TI>& c, const PanelRows& rows) {
  if (!c.job->sample || rows.index[0] / Tile<float>::W % 16 == 0) return true;
  for (int r = 0; r < rows.count; ++r) c.job->upper[rows.index[r]] = __builtin_inff();
  return false;
}

// Distance bounds of one vector of rows from the scores of a panel and their error.
template <class Screen, class TI>
void write_bounds(ArgminContext<TI>& c, const PanelRows& rows, int m, int lanes, Vec<float> square,
                  const PanelScores<Screen, Tile<float>::MV>& scores, IVec<float> decided,
                  const typename Screen::Score* block_best) {
  constexpr int l = Simd<float>::lanes, MV = Tile<float>::MV;
  using Scores = typename Screen::Scores;
  const Vec<float> zero = {}, unit = scores.unit[m];
  const Vec<float> first = Screen::value(scores.best.first[m]) * unit;
  // Rounding of |x|^2 and of this very expression, for the largest score that can matter.
  const Vec<float> size = (first < zero ? -first : first) + square;
  const Vec<float> slack =
      size * (static_cast<float>(c.job->X.cols + 32) * 0x1p-22f) + scores.error[m] * unit * 2.01f;
  const float unscale = 1.0f / static_cast<float>(c.exact.setup.x_scale);
  const Vec<float> near = vsqrt(vmax(square - first * 2.0f + slack, zero)) * (unscale * 1.000002f);
  for (int r = 0; r < lanes; ++r) c.job->upper[rows.index[m * l + r]] = near[r];
  // The screen has left far rows out of every group; the triangle inequality bounds them.
  Vec<float> beyond = splat(1e37f);
  if (c.far.count > 0)
    beyond = vmax(splat(c.far.norm) - vsqrt(square) * c.far.raise, zero) * (unscale * 0.999998f);
  std::ptrdiff_t b = 0;
  for (int part = 0; part < kGroups; part += l) {
    Vec<float> far[l];
    for (int i = 0; i < l; ++i) {
      Scores best = Screen::lowest();
      IVec<float> own = {};
      for (; b < c.blocks && c.moves.group[b] == part + i; ++b) {
        best = vmax(best, *reinterpret_cast<const Scores*>(block_best + (b * MV + m) * l));
        own |= scores.best.block[m] == isplat<float>(b);
      }
      // In the own group of a decided row the best is the own centre: the second best of all
      // bounds the others. An open row keeps the best, and so is looked at again.
      best = (own & decided) ? scores.best.second[m] : best;
      const Vec<float> square_far = square - Screen::value(best) * unit * 2.0f - slack;
      // A hopeless score overflows; its distance is as far as the range goes.
      far[i] = vmin(vsqrt(vmax(square_far, zero)) * (unscale * 0.999998f), beyond);
    }
    transpose<float>(far);
    for (int r = 0; r < lanes; ++r)
      store(c.job->lower + rows.index[m * l + r] * kGroups + part, far[r]);
  }
}
