// The register tile: MV vectors of packed lanes times NR packed scalars. Included inside the
// target's namespace. One multiply-add loop serves every metric and every reduction.

// Shape of the tile. NR is at most the lane count, or a multiple of it (see pack_scalars).
template <class T>
struct Tile {
  static constexpr int MV = 2;
  static constexpr int NR = sizeof(T) == 4 ? CL_TILE_F32 : CL_TILE_F64;
  static constexpr int lanes = Simd<T>::lanes;
  static constexpr int W = MV * lanes;  // points of a panel
};

// acc[j][m] += lanes[p][m] * scalars[p][j], summed over p in order.
template <class T, int MV, int NR>
CL_INLINE void multiply_tile(const T* __restrict lanes, const T* __restrict scalars,
                             std::ptrdiff_t d, Vec<T> (&acc)[NR][MV]) {
  constexpr int l = Simd<T>::lanes;
  for (std::ptrdiff_t p = 0; p < d; ++p) {
    Vec<T> x[MV];
#pragma GCC unroll 4
    for (int m = 0; m < MV; ++m) x[m] = load(lanes + m * l);
#pragma GCC unroll 32
    for (int j = 0; j < NR; ++j) {
      const Vec<T> c = splat(scalars[j]);
#pragma GCC unroll 4
      for (int m = 0; m < MV; ++m) acc[j][m] = fma(x[m], c, acc[j][m]);
    }
    lanes += MV * l;
    scalars += NR;
  }
}

// Transposes an l x l block held in registers, log2(l) stages of shuffles.
template <int S, bool HIGH, class V, int... I>
CL_INLINE V exchange(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int l = sizeof...(I);
  return __builtin_shufflevector(
      a, b, (HIGH ? ((I & S) ? l + I : I + S) : ((I & S) ? l + I - S : I))...);
}

template <int S, int L, class V>
CL_INLINE void transpose_stage(V (&r)[L]) {
  if constexpr (S < L) {
#pragma GCC unroll 64
    for (int i = 0; i < L; ++i)
      if (!(i & S)) {
        const V a = r[i], b = r[i + S];
        r[i] = exchange<S, false>(a, b, std::make_integer_sequence<int, L>{});
        r[i + S] = exchange<S, true>(a, b, std::make_integer_sequence<int, L>{});
      }
    transpose_stage<S * 2>(r);
  }
}

template <class T>
CL_INLINE void transpose(Vec<T> (&r)[Simd<T>::lanes]) {
  transpose_stage<1>(r);
}
