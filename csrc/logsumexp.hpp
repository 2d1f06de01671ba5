// Streaming row-wise log-sum-exp over the rows of Y, with the softmax-weighted sum of a second
// matrix on request. Included inside the target's namespace.

// Exponents below this count as "no term": it is finite so that differences of two stay numbers.
template <class T>
inline constexpr T kNoTerm = static_cast<T>(sizeof(T) == 4 ? -1e37 : -1e300);

// 2^z for z <= 0; relative error below 2 units in the last place, 0 below the normal range.
CL_INLINE Vec<float> exp2_negative(Vec<float> z) {
  z = vmax(z, splat(-200.0f));
  const Vec<float> n = vround(z), f = z - n;
  Vec<float> p = splat(1.32647272e-3f);  // minimax for (2^f - 1) / f, relative error 9e-8
  p = fma(p, f, splat(9.67151281e-3f));
  p = fma(p, f, splat(5.55073374e-2f));
  p = fma(p, f, splat(2.40222421e-1f));
  p = fma(p, f, splat(6.93146978e-1f));
  return vscale(fma(p, f, splat(1.0f)), n);
}

CL_INLINE Vec<double> exp2_negative(Vec<double> z) {
  z = vmax(z, splat(-1100.0));
  const Vec<double> n = vround(z), f = z - n;
  // Minimax for (2^f - 1) / f, relative error of 2^f 2e-17.
  constexpr double coefficients[] = {
      7.072570394540799e-09, 1.0180647660573069e-07, 1.3215442675452854e-06, 1.5252727385189775e-05,
      1.540353044157185e-04, 1.333355815343997e-03,  9.618129107607003e-03,  5.550410866479039e-02,
      2.4022650695910097e-01, 6.931471805599457e-01, 1.0};
  Vec<double> p = splat(4.0780717860928705e-10);
#pragma GCC unroll 16
  for (int i = 0; i < 11; ++i) p = fma(p, f, splat(coefficients[i]));
  return vscale(p, n);
}

template <class T>
struct LogsumexpContext {
  const LogsumexpJob<T>* job;
  ExactMetric<T> exact;
  PackedColumns<T> columns;
  const T* log_weight;  // base 2, padded, kNoTerm where there is no term
  const T* values;      // chunks of NR columns: [chunk][row of Y][NR]
  std::ptrdiff_t chunks;
  double unit;  // distance of the scaled rows -> distance
  double y_norm;  // at least |y| of every row, in the scaled units
  bool wild;    // a row of Y leaves the range of the dtype
  Scratch* scratch;
  int status;
};

// Running state of one panel. The sum has two levels, so that its rounding grows with the number
// of blocks in a run and of runs, not with their product.
template <class T, int MV>
struct PanelSum {
  Vec<T> most[MV], sum[MV], outer[MV];
};

// Exponents (base 2) of one block for one panel, in place of its scores.
template <class T, int MV, int NR>
CL_INLINE void exponents(const LogsumexpContext<T>& c, std::ptrdiff_t b, const Vec<T>* slope,
                         const Vec<T>* squares, const Vec<T>* inverse, const IVec<T>* group,
                         Vec<T> (&acc)[NR][MV]) {
  const Metric metric = c.job->metric;
  const T* log_weight = c.log_weight + b * NR;
#pragma GCC unroll 32
  for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
    for (int m = 0; m < MV; ++m) {
      // inner product: slope * score; others: -slope * distance. The Euclidean square is taken
      // apart so that |x|^2 is added once per row at the end.
      Vec<T> score = acc[j][m];
      if (metric == Metric::euclidean || metric == Metric::cosine)
        score = -distance_of<T>(metric, score, squares[m], inverse[m]);
      else if (metric == Metric::sqeuclidean)
        score = score + score;
      acc[j][m] = fma(score, slope[m], splat(log_weight[j]));
    }
  if (c.job->mask == 0) return;
  for (int j = 0; j < NR; ++j) {
    const std::ptrdiff_t column = b * NR + j;
    if (column >= c.job->Y.rows) break;
    const IVec<T> own = isplat<T>(c.job->y_group[column]);
    for (int m = 0; m < MV; ++m) {
      const IVec<T> same = group[m] == own;
      const IVec<T> allowed = c.job->mask == 1 ? same : ~same;
      acc[j][m] = allowed ? acc[j][m] : splat(kNoTerm<T>);
    }
  }
}

// Adds the block's terms times the rows of `values` to the running weighted sums [chunk][NR][W].
template <class T, int MV, int NR>
void add_weighted(const LogsumexpContext<T>& c, std::ptrdiff_t b, const T* terms, T* weighted) {
  constexpr int l = Simd<T>::lanes, W = MV * l;
  const std::ptrdiff_t padded = c.columns.blocks * NR;
  for (std::ptrdiff_t q = 0; q < c.chunks; ++q) {
    Vec<T> acc[NR][MV];
    T* sums = weighted + q * NR * W;
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) acc[j][m] = load(sums + j * W + m * l);
    multiply_tile<T, MV, NR>(terms, c.values + (q * padded + b * NR) * NR, NR, acc);
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) store(sums + j * W + m * l, acc[j][m]);
  }
}

// One block: a new maximum rescales what was summed, then the terms are added.
template <class T, int MV, int NR>
CL_INLINE void add_block(const LogsumexpContext<T>& c, std::ptrdiff_t b, Vec<T> (&acc)[NR][MV],
                         PanelSum<T, MV>& state, T* terms, T* weighted) {
  constexpr int l = Simd<T>::lanes, W = MV * l;
#pragma GCC unroll 4
  for (int m = 0; m < MV; ++m) {
    Vec<T> most[NR];
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j) most[j] = acc[j][m];
#pragma GCC unroll 4
    for (int step = 1; step < NR; step *= 2)
#pragma GCC unroll 32
      for (int j = 0; j + step < NR; j += 2 * step) most[j] = vmax(most[j], most[j + step]);
    if (movemask(most[0] > state.most[m]) != 0) {
      const Vec<T> top = vmax(state.most[m], most[0]);
      const Vec<T> shrink = exp2_negative(state.most[m] - top);
      state.sum[m] *= shrink;
      state.outer[m] *= shrink;
      state.most[m] = top;
      for (std::ptrdiff_t q = 0; q < c.chunks * NR; ++q)
        store(weighted + q * W + m * l, load(weighted + q * W + m * l) * shrink);
    }
    Vec<T> sum[2] = {};
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j) {
      const Vec<T> term = exp2_negative(acc[j][m] - state.most[m]);
      if (terms != nullptr) store(terms + j * W + m * l, term);
      sum[j % 2] += term;
    }
    state.sum[m] += sum[0] + sum[1];
  }
  if (terms != nullptr) add_weighted<T, MV, NR>(c, b, terms, weighted);
}
