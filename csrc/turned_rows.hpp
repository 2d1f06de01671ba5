// Rows turned into tiles, whose columns are contiguous, and back. Included inside the target's
// namespace.
//
// Pieces of 16 bytes are loaded from several rows into one register and turned within each piece:
// no shuffle crosses a piece, and columns go in fours (float) or twos (double).

template <class T>
inline constexpr int kPiece = 16 / static_cast<int>(sizeof(T));

template <class T>
struct Piece {
  typedef T loose __attribute__((vector_size(16), aligned(sizeof(T))));
  typedef T vec __attribute__((vector_size(16)));
};

template <class V, int... I>
CL_INLINE auto join(V a, V b, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(a, b, I...);
}

// Pieces `step` items apart, one after the other.
template <class T>
CL_INLINE Vec<T> load_pieces(const T* p, std::ptrdiff_t step) {
  constexpr int N = kPiece<T>, pieces = Simd<T>::lanes / N;
  typename Piece<T>::vec piece[pieces];
  for (int g = 0; g < pieces; ++g)
    piece[g] = *reinterpret_cast<const typename Piece<T>::loose*>(p + g * step);
  constexpr auto two = std::make_integer_sequence<int, 2 * N>{};
  if constexpr (pieces == 1) {
    return piece[0];
  } else if constexpr (pieces == 2) {
    return join(piece[0], piece[1], two);
  } else {
    constexpr auto four = std::make_integer_sequence<int, 4 * N>{};
    return join(join(piece[0], piece[1], two), join(piece[2], piece[3], two), four);
  }
}

template <int G, class T, int... I>
CL_INLINE typename Piece<T>::vec piece_of(Vec<T> v, std::integer_sequence<int, I...>) {
  return __builtin_shufflevector(v, v, (G * kPiece<T> + I)...);
}

template <class T, int G = 0>
CL_INLINE void store_pieces(T* p, std::ptrdiff_t step, Vec<T> v) {
  constexpr int N = kPiece<T>;
  if constexpr (G < Simd<T>::lanes / N) {
    *reinterpret_cast<typename Piece<T>::loose*>(p + G * step) =
        piece_of<G, T>(v, std::make_integer_sequence<int, N>{});
    store_pieces<T, G + 1>(p, step, v);
  }
}

// Within pieces of N: a_0 b_0 a_1 b_1 ..., from the lower or the upper half of both.
template <int N, int HALF, class V, int... I>
CL_INLINE V zip(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int l = sizeof...(I);
  return __builtin_shufflevector(a, b, (I / N * N + I % N / 2 + HALF * (N / 2) + (I % 2 ? l : 0))...);
}

// Within pieces of four: a half of a, then the same half of b.
template <int HALF, class V, int... I>
CL_INLINE V pair(V a, V b, std::integer_sequence<int, I...>) {
  constexpr int l = sizeof...(I);
  return __builtin_shufflevector(a, b, (I / 4 * 4 + I % 2 + HALF * 2 + (I % 4 / 2 ? l : 0))...);
}

// Transposes the N x N block that the pieces at the same place of N registers make.
CL_INLINE void turn_pieces(Vec<double> (&r)[2]) {
  constexpr auto all = std::make_integer_sequence<int, Simd<double>::lanes>{};
  const Vec<double> a = r[0], b = r[1];
  r[0] = zip<2, 0>(a, b, all), r[1] = zip<2, 1>(a, b, all);
}
CL_INLINE void turn_pieces(Vec<float> (&r)[4]) {
  constexpr auto all = std::make_integer_sequence<int, Simd<float>::lanes>{};
  const Vec<float> a = zip<4, 0>(r[0], r[1], all), b = zip<4, 1>(r[0], r[1], all),
                   c = zip<4, 0>(r[2], r[3], all), d = zip<4, 1>(r[2], r[3], all);
  r[0] = pair<0>(a, c, all), r[1] = pair<1>(a, c, all);
  r[2] = pair<0>(b, d, all), r[3] = pair<1>(b, d, all);
}

// Calls turn(c) for groups of kPiece columns that cover [0, k), k of them at least; the last two
// may overlap.
template <class T, class Turn>
CL_INLINE void for_column_groups(std::ptrdiff_t k, Turn turn) {
  std::ptrdiff_t c = 0;
  for (; c + kPiece<T> <= k; c += kPiece<T>) turn(c);
  if (c < k) turn(k - kPiece<T>);
}

// tile[c * ROWS + i] = rows(i, c) for `count` rows, 0 for the others. seen(chain, v) gets all numbers,
// kPiece chains in turn.
template <int ROWS, class T, class Seen>
CL_INLINE void turn_rows(const Matrix<T>& A, std::ptrdiff_t first, std::ptrdiff_t count, T* tile,
                         Seen seen) {
  constexpr int l = Simd<T>::lanes, N = kPiece<T>;
  const std::ptrdiff_t k = A.cols;
  if (count == ROWS && A.col_stride == 1 && k >= N) {
    const std::ptrdiff_t stride = A.row_stride;
    for (int v = 0; v < ROWS; v += l) {
      const T* rows = A.row(first + v);
      for_column_groups<T>(k, [&](std::ptrdiff_t c) {
        Vec<T> r[N];
        for (int j = 0; j < N; ++j) r[j] = load_pieces(rows + j * stride + c, N * stride);
        for (int j = 0; j < N; ++j) seen(j, r[j]);
        turn_pieces(r);
        for (int j = 0; j < N; ++j) store(tile + (c + j) * ROWS + v, r[j]);
      });
    }
  } else {
    for (std::ptrdiff_t c = 0; c < k; ++c)
      for (std::ptrdiff_t i = 0; i < ROWS; ++i) tile[c * ROWS + i] = i < count ? A.at(first + i, c) : T(0);
    for (std::ptrdiff_t at = 0; at < k * ROWS; at += l) seen(0, load(tile + at));
  }
}

// The other way, to contiguous rows.
template <int ROWS, class T>
CL_INLINE void turn_back(const T* tile, std::ptrdiff_t k, std::ptrdiff_t count, T* out) {
  constexpr int l = Simd<T>::lanes, N = kPiece<T>;
  if (count == ROWS && k >= N) {
    for (int v = 0; v < ROWS; v += l)
      for_column_groups<T>(k, [=](std::ptrdiff_t c) {
        Vec<T> r[N];
        for (int j = 0; j < N; ++j) r[j] = load(tile + (c + j) * ROWS + v);
        turn_pieces(r);
        for (int j = 0; j < N; ++j) store_pieces(out + (v + j) * k + c, N * k, r[j]);
      });
  } else {
    for (std::ptrdiff_t i = 0; i < count; ++i)
      for (std::ptrdiff_t c = 0; c < k; ++c) out[i * k + c] = tile[c * ROWS + i];
  }
}
