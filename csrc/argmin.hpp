// The screens of pairwise_argmin: score a panel of rows against every block of Y and keep the two
// best scores and the best of every block. Included inside the target's namespace.

// float32: a plain tile; the low bits of a score carry its index in the block, so that no index
// vector travels with it.
struct WideScreen {
  using Score = float;
  using Scores = Vec<float>;
  static CL_INLINE Scores lowest() { return splat(2 * kPaddingScore); }
  static CL_INLINE Scores tagged(Scores s, int tag) {
    return reinterpret_cast<Scores>((reinterpret_cast<IVec<float>>(s) & isplat<float>(-16)) |
                                    isplat<float>(tag));
  }
  static CL_INLINE IVec<float> tag(Scores s) {
    return reinterpret_cast<IVec<float>>(s) & isplat<float>(15);
  }
  static CL_INLINE Vec<float> value(Scores s) { return s; }
  template <int MV, int NR>
  static CL_INLINE void multiply(const std::uint32_t* lanes, const ScreenLevel& level,
                                 std::ptrdiff_t b, Scores (&acc)[NR][MV]) {
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) acc[j][m] = splat(level.bias[b * NR + j]);
    multiply_tile<float, MV, NR>(
        reinterpret_cast<const float*>(lanes),
        reinterpret_cast<const float*>(level.packed + b * NR * level.words), level.words, acc);
  }
};

#ifdef CL_TARGET_VNNI
// 16-bit integers: two products a lane and an exact 32-bit sum, twice the rate of float32.
struct NarrowScreen {
  using Score = std::int32_t;
  using Scores = IVec<float>;
  static CL_INLINE Scores lowest() { return isplat<float>(-2147483647 - 1); }
  static CL_INLINE Scores tagged(Scores s, int tag) {
    return (s & isplat<float>(-16)) | isplat<float>(tag);
  }
  static CL_INLINE IVec<float> tag(Scores s) { return s & isplat<float>(15); }
  static CL_INLINE Vec<float> value(Scores s) { return _mm512_cvtepi32_ps((__m512i)s); }
  template <int MV, int NR>
  static CL_INLINE void multiply(const std::uint32_t* lanes, const ScreenLevel& level,
                                 std::ptrdiff_t b, Scores (&acc)[NR][MV]) {
    constexpr int l = Simd<float>::lanes;
    const std::uint32_t* scalars = level.packed + b * NR * level.words;
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j)
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) acc[j][m] = Scores{};
    for (std::ptrdiff_t q = 0; q < level.words; ++q) {
      __m512i x[MV];
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) x[m] = _mm512_loadu_si512(lanes + m * l);
#pragma GCC unroll 32
      for (int j = 0; j < NR; ++j) {
        const __m512i c = _mm512_set1_epi32(static_cast<int>(scalars[j]));
#pragma GCC unroll 4
        for (int m = 0; m < MV; ++m)
          acc[j][m] = (Scores)_mm512_dpwssd_epi32((__m512i)acc[j][m], x[m], c);
      }
      lanes += MV * l;
      scalars += NR;
    }
  }
};

// Pairs of 16-bit integers from a float32 panel, each row with a scale of its own so that
// |x| <= 32000. Returns these scales, and |x - packed x| in integer units.
template <int MV>
void quantize_panel(const float* panel, const float* squares, const ScreenLevel& level,
                    std::ptrdiff_t d, std::uint32_t* out, Vec<float> (&scales)[MV],
                    Vec<float> (&residual)[MV]) {
  constexpr int l = Simd<float>::lanes, W = MV * l;
  for (int m = 0; m < MV; ++m) {
    const Vec<float> length = vsqrt(load(squares + m * l));
    const Vec<float> scale = vmin(splat(level.x_norm) / length, splat(level.x_most));
    Vec<float> error = {};
    for (std::ptrdiff_t p = 0; p < d; p += 2) {
      const Vec<float> a = load(panel + p * W + m * l) * scale;
      const Vec<float> b = p + 1 < d ? load(panel + (p + 1) * W + m * l) * scale : Vec<float>{};
      const __m512i ia = _mm512_cvtps_epi32(a), ib = _mm512_cvtps_epi32(b);
      _mm512_storeu_si512(out + (p / 2) * W + m * l,
                          _mm512_mask_blend_epi16(0xaaaaaaaau, ia, _mm512_slli_epi32(ib, 16)));
      const Vec<float> ea = a - _mm512_cvtepi32_ps(ia), eb = b - _mm512_cvtepi32_ps(ib);
      error = fma(ea, ea, fma(eb, eb, error));
    }
    const __m512i A = _mm512_cvtps_epi32(scale * splat(32766.0f) / splat(level.x_most));
    _mm512_storeu_si512(out + (d + 1) / 2 * W + m * l,
                        _mm512_mask_blend_epi16(0xaaaaaaaau, A, _mm512_set1_epi32(32767 << 16)));
    scales[m] = scale;
    residual[m] = vsqrt(error);
  }
}
#endif

// Bound on the error of every score of a row, per lane.
template <int MV>
CL_INLINE void wide_error(const float* squares, const ScreenLevel& wide, Vec<float> (&error)[MV]) {
  for (int m = 0; m < MV; ++m)
    error[m] = wide.bound.at(vsqrt(load(squares + m * Simd<float>::lanes)));
}

#ifdef CL_TARGET_VNNI
template <int MV>
CL_INLINE void narrow_error(const float* panel, const float* squares, const ScreenLevel& narrow,
                            std::ptrdiff_t d, std::uint32_t* out, Vec<float> (&error)[MV],
                            Vec<float> (&scale)[MV]) {
  Vec<float> residual[MV];
  quantize_panel<MV>(panel, squares, narrow, d, out, scale, residual);
  for (int m = 0; m < MV; ++m) {
    const Vec<float> norm = vsqrt(load(squares + m * Simd<float>::lanes));
    const Vec<float> reach = norm + splat(narrow.bound.y_norm);
    error[m] = fma(norm * scale[m], splat(narrow.bound.slope),
                   fma(residual[m], splat(narrow.bound.residual), splat(narrow.bound.offset)));
    error[m] = fma(reach * reach * scale[m], splat(narrow.bound.square), error[m]);
  }
}
#endif

// Best and second best of NR accumulators of one vector of points.
template <class Screen, int LO, int N, int MV, int NR>
CL_INLINE void best_two(const typename Screen::Scores (&acc)[NR][MV], int m,
                        typename Screen::Scores& first, typename Screen::Scores& second) {
  typename Screen::Scores a, b, a2, b2;
  if constexpr (N == 1) {
    first = Screen::tagged(acc[LO][m], LO);
  } else {
    constexpr int H = N <= 3 ? N - 1 : (N / 2 + 1) / 2 * 2;  // even: pairs are cheapest
    best_two<Screen, LO, H>(acc, m, a, a2);
    best_two<Screen, LO + H, N - H>(acc, m, b, b2);
    first = vmax(a, b);
    second = vmin(a, b);
    if constexpr (H > 1) second = vmax(second, a2);
    if constexpr (N - H > 1) second = vmax(second, b2);
  }
}

// What a panel of rows knows after the screen.
template <class Screen, int MV>
struct PanelBest {
  typename Screen::Scores first[MV], second[MV];
  IVec<float> block[MV];
};

// block_best[b * W + lane] receives the best score of every block. The rows at `next` are
// fetched into the cache meanwhile.
template <class Screen, int MV, int NR>
void screen_panel(const std::uint32_t* lanes, const ScreenLevel& level, std::ptrdiff_t blocks,
                  typename Screen::Score* block_best, PanelBest<Screen, MV>& best,
                  const char* next, std::ptrdiff_t next_lines) {
  using Scores = typename Screen::Scores;
  constexpr int l = Simd<float>::lanes;
  for (int m = 0; m < MV; ++m) {
    best.first[m] = best.second[m] = Screen::lowest();
    best.block[m] = IVec<float>{};
  }
  const std::ptrdiff_t lines = (next_lines + blocks - 1) / blocks;
  for (std::ptrdiff_t b = 0; b < blocks; ++b) {
    for (std::ptrdiff_t q = b * lines; q < (b + 1) * lines && q < next_lines; ++q)
      __builtin_prefetch(next + q * 64, 0, 3);
    Scores acc[NR][MV];
    Screen::template multiply<MV, NR>(lanes, level, b, acc);
#pragma GCC unroll 4
    for (int m = 0; m < MV; ++m) {
      Scores first, second;
      best_two<Screen, 0, NR>(acc, m, first, second);
      *reinterpret_cast<Scores*>(block_best + (b * MV + m) * l) = first;
      const IVec<float> better = first > best.first[m];
      best.second[m] = vmax(vmax(best.second[m], second), vmin(best.first[m], first));
      best.block[m] = better ? isplat<float>(b) : best.block[m];
      best.first[m] = vmax(best.first[m], first);
    }
  }
}

// scores[j] = x . y_j + bias_j in float32 for the NR rows of one block; returns the largest.
template <int NR>
float rescore_block(const float* x, const ScreenLevel& wide, std::ptrdiff_t b, float* scores) {
  const float* block = reinterpret_cast<const float*>(wide.packed) + b * NR * wide.words;
  constexpr int l = Simd<float>::lanes, V = (NR + l - 1) / l;
  Vec<float> sum[4][V] = {};
  std::ptrdiff_t p = 0;
  for (; p + 4 <= wide.words; p += 4)
#pragma GCC unroll 4
    for (int q = 0; q < 4; ++q)
      for (int v = 0; v < V; ++v)
        sum[q][v] = fma(load(block + (p + q) * NR + v * l), splat(x[p + q]), sum[q][v]);
  for (; p < wide.words; ++p)
    for (int v = 0; v < V; ++v)
      sum[0][v] = fma(load(block + p * NR + v * l), splat(x[p]), sum[0][v]);
  float out[V * l], top = 2 * kPaddingScore;
  for (int v = 0; v < V; ++v)
    store(out + v * l, ((sum[0][v] + sum[1][v]) + (sum[2][v] + sum[3][v])));
  for (int j = 0; j < NR; ++j) {
    scores[j] = out[j] + wide.bias[b * NR + j];
    top = scores[j] > top ? scores[j] : top;
  }
  return top;
}
