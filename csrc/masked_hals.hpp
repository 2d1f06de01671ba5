// Coordinate descent on weighted least squares: the residuals of a few rows are kept, cells in
// lanes. Included inside the target's namespace. docs/kernels/nonnegative.md has the derivation.

inline constexpr int kMaskedGroup = 4;  // rows whose passes share what is read of H

template <class T>
struct Four {
  typedef T vec __attribute__((vector_size(4 * sizeof(T))));
  typedef T loose __attribute__((vector_size(4 * sizeof(T)), aligned(sizeof(T))));
};
template <class T>
CL_INLINE typename Four<T>::vec load_four(const T* p) {
  return *reinterpret_cast<const typename Four<T>::loose*>(p);
}
template <class T>
CL_INLINE void store_four(T* p, typename Four<T>::vec v) {
  *reinterpret_cast<typename Four<T>::loose*>(p) = v;
}

// Sums across the lanes of four registers.
template <class T>
CL_INLINE typename Four<T>::vec sum_four(const Vec<T> (&sums)[kMaskedGroup]) {
  constexpr int l = Simd<T>::lanes, N = kPiece<T>;
  alignas(64) T out[kMaskedGroup];
  for (int r = 0; r < kMaskedGroup; r += N) {
    Vec<T> part[N];
    for (int j = 0; j < N; ++j) part[j] = sums[r + j];
    turn_pieces(part);
    for (int j = 1; j < N; ++j) part[0] += part[j];
    alignas(64) T lanes[l];
    store(lanes, part[0]);
    typename Piece<T>::vec sum = *reinterpret_cast<typename Piece<T>::vec*>(lanes);
    for (int g = N; g < l; g += N) sum += *reinterpret_cast<typename Piece<T>::vec*>(lanes + g);
    *reinterpret_cast<typename Piece<T>::vec*>(out + r) = sum;
  }
  return load_four(out);
}

template <class T>
struct MaskedPass {
  MaskedHalsJob<T> job;
  std::ptrdiff_t ld;  // cells of a row with those that fill its last register
  const T* H;         // (k, ld)
  Scratch* scratch;
};

// A group of rows: residuals e and weights v (4, ld), w and its curvatures d (k, 4).
template <class T>
struct MaskedRows {
  T *e, *v, *w, *d;
  static std::size_t bytes(std::ptrdiff_t ld, std::ptrdiff_t k) {
    return sizeof(T) * static_cast<std::size_t>(2 * kMaskedGroup * (ld + k));
  }
  MaskedRows(char* memory, std::ptrdiff_t ld, std::ptrdiff_t k)
      : e(reinterpret_cast<T*>(memory)), v(e + kMaskedGroup * ld), w(v + kMaskedGroup * ld),
        d(w + kMaskedGroup * k) {}
};

// Copies row i from column `first` on, if it cannot be read in place, or else what fills no register.
template <class T>
CL_INLINE const T* stage_row(const Matrix<T>& A, std::ptrdiff_t i, std::ptrdiff_t whole, std::ptrdiff_t ld,
                             T* out) {
  for (std::ptrdiff_t j = A.contiguous_rows() ? whole : 0; j < A.cols; ++j) out[j] = A.at(i, j);
  for (std::ptrdiff_t j = A.cols; j < ld; ++j) out[j] = 0;
  return A.contiguous_rows() ? A.row(i) : out;
}

// Cells of a row, 0 where there is no weight; false if some are not as they have to be.
template <class T>
CL_INLINE bool read_row(const Matrix<T>& X, const Matrix<T>& V, std::ptrdiff_t i, std::ptrdiff_t ld, T* e,
                        T* v) {
  constexpr int l = Simd<T>::lanes;
  const std::ptrdiff_t whole = X.cols / l * l;
  const T *x = stage_row(X, i, whole, ld, e), *weights = stage_row(V, i, whole, ld, v);
  Vec<T> least = {};
  IVec<T> bits = {};
  const Vec<T> zero = {};
  for (std::ptrdiff_t j = 0; j < ld; j += l) {
    const Vec<T> weight = load((j < whole ? weights : v) + j);
    const Vec<T> cell = weight > zero ? load((j < whole ? x : e) + j) : zero;
    store(v + j, weight);
    store(e + j, cell);
    least = vmin(least, weight);
    // 0 or -0 unless a number is not finite
    bits |= reinterpret_cast<IVec<T>>(cell * zero) | reinterpret_cast<IVec<T>>(weight * zero);
  }
  const IVec<T> beyond = (bits << 1) != IVec<T>{}, below = least < zero;
  return movemask(beyond | below) == 0;
}

template <class T>
CL_INLINE bool read_group(const MaskedPass<T>& c, std::ptrdiff_t first, std::ptrdiff_t count,
                          const MaskedRows<T>& rows) {
  const MaskedHalsJob<T>& job = c.job;
  bool sound = true;
  for (std::ptrdiff_t r = 0; r < kMaskedGroup; ++r) {
    T *e = rows.e + r * c.ld, *v = rows.v + r * c.ld;
    if (r < count)
      sound &= read_row(job.X, job.V, first + r, c.ld, e, v);
    else
      for (std::ptrdiff_t j = 0; j < c.ld; ++j) v[j] = e[j] = 0;
    for (std::ptrdiff_t t = 0; t < job.k; ++t) {
      const T w = r < count ? job.W[(first + r) * job.k + t] : T(0);
      rows.w[t * kMaskedGroup + r] = w;
      sound &= w >= 0 && w - w == 0;
    }
  }
  return sound;
}

// e -= w_t H_t for TC components.
template <int TC, class T>
CL_INLINE void subtract_components(const MaskedPass<T>& c, std::ptrdiff_t t, const MaskedRows<T>& rows) {
  constexpr int l = Simd<T>::lanes, R = 2;  // two rows share what is read of H
  for (int r = 0; r < kMaskedGroup; r += R) {
    T* e = rows.e + r * c.ld;
    Vec<T> w[R][TC];
    for (int q = 0; q < R; ++q)
      for (int i = 0; i < TC; ++i) w[q][i] = splat(-rows.w[(t + i) * kMaskedGroup + r + q]);
    for (std::ptrdiff_t j = 0; j < c.ld; j += l) {
      Vec<T> x[R];
      for (int q = 0; q < R; ++q) x[q] = load(e + q * c.ld + j);
      for (int i = 0; i < TC; ++i) {
        const Vec<T> h = load(c.H + (t + i) * c.ld + j);
        for (int q = 0; q < R; ++q) x[q] = fma(w[q][i], h, x[q]);
      }
      for (int q = 0; q < R; ++q) store(e + q * c.ld + j, x[q]);
    }
  }
}

// Brings the residuals up to date with the last change and sums v h e, and v h^2 if FIRST, for the
// component h.
template <bool FIRST, class T>
CL_INLINE void masked_sums(std::ptrdiff_t ld, const T* last, const T* change, const T* h,
                           const MaskedRows<T>& rows, typename Four<T>::vec& slope,
                           typename Four<T>::vec& d) {
  constexpr int l = Simd<T>::lanes, R = kMaskedGroup;
  Vec<T> step[R], slopes[R] = {}, curvatures[R] = {};
  for (int r = 0; r < R; ++r) step[r] = splat(-change[r]);
  for (std::ptrdiff_t j = 0; j < ld; j += l) {
    const Vec<T> before = load(last + j), now = load(h + j);
#pragma GCC unroll 4
    for (int r = 0; r < R; ++r) {
      const Vec<T> e = fma(step[r], before, load(rows.e + r * ld + j));
      store(rows.e + r * ld + j, e);
      const Vec<T> weighted = load(rows.v + r * ld + j) * now;
      slopes[r] = fma(weighted, e, slopes[r]);
      if (FIRST) curvatures[r] = fma(weighted, now, curvatures[r]);
    }
  }
  slope = sum_four<T>(slopes);
  if (FIRST) d = sum_four<T>(curvatures);
}

// One sweep; `change` is that of the last component before, and after. Returns the squared change.
template <bool FIRST, class T>
double masked_sweep(const MaskedPass<T>& c, const MaskedRows<T>& rows, T* change) {
  typedef typename Four<T>::vec F;
  constexpr T tiny = sizeof(T) == 4 ? T(0x1p-126) : T(0x1p-1022);
  const MaskedHalsJob<T>& job = c.job;
  const F l1 = static_cast<T>(job.l1) - F{}, l2 = static_cast<T>(job.l2) - F{}, zero = {};
  F squares = {};
  for (std::ptrdiff_t t = 0; t < job.k; ++t) {
    F slope, d = load_four(rows.d + t * kMaskedGroup);
    const std::ptrdiff_t last = t == 0 ? job.k - 1 : t - 1;
    masked_sums<FIRST>(c.ld, c.H + last * c.ld, change, c.H + t * c.ld, rows, slope, d);
    if (FIRST) store_four(rows.d + t * kMaskedGroup, d);
    const F w = load_four(rows.w + t * kMaskedGroup);
    F after = (slope + d * w - l1) / (d + l2);
    after = after < zero ? zero : after;
    after = d + l2 >= tiny - F{} ? after : w;
    const F moved = after - w + (d - d);  // NaN if d has left the range
    squares += moved * moved;
    store_four(change, moved);
    store_four(rows.w + t * kMaskedGroup, after);
  }
  double moves = 0;
  for (int r = 0; r < kMaskedGroup; ++r) moves += static_cast<double>(squares[r]);
  return moves;
}

// sum v e^2 of a row, in float64.
template <class T>
CL_INLINE double weighted_squares(const T* e, const T* v, std::ptrdiff_t ld) {
  Eight sum = {};
  for (std::ptrdiff_t j = 0; j < ld; j += 8) {
    const Eight x = load_eight(e + j);
    sum += x * x * load_eight(v + j);
  }
  return sum_eight(sum);
}

template <class T>
void masked_leaf(void* context, std::ptrdiff_t leaf, double* sums, int worker) {
  const auto& c = *static_cast<MaskedPass<T>*>(context);
  const MaskedHalsJob<T>& job = c.job;
  const MaskedRows<T> rows(c.scratch->slice(worker), c.ld, job.k);
  const std::ptrdiff_t begin = leaf * kMaskedRows;
  const std::ptrdiff_t end = begin + kMaskedRows < job.n ? begin + kMaskedRows : job.n;
  for (std::ptrdiff_t i = begin; i < end; i += kMaskedGroup) {
    const std::ptrdiff_t count = end - i < kMaskedGroup ? end - i : kMaskedGroup;
    if (!read_group(c, i, count, rows)) {
      sums[0] = __builtin_nan("");
      continue;
    }
    std::ptrdiff_t t = 0;
    for (; t + 4 <= job.k; t += 4) subtract_components<4>(c, t, rows);
    for (; t < job.k; ++t) subtract_components<1>(c, t, rows);
    alignas(64) T change[kMaskedGroup] = {};
    double all = 0;
    for (std::ptrdiff_t sweep = 0; sweep < job.n_sweeps; ++sweep) {
      const double moves = sweep == 0 ? masked_sweep<true>(c, rows, change) : masked_sweep<false>(c, rows, change);
      sums[1 + sweep] += moves;
      all += moves;
    }
    if (!(all - all == 0)) continue;
    for (std::ptrdiff_t r = 0; r < count; ++r) {
      T* e = rows.e + r * c.ld;
      const T* h = c.H + (job.k - 1) * c.ld;
      for (std::ptrdiff_t j = 0; j < c.ld; ++j) e[j] -= change[r] * h[j];
      sums[0] += weighted_squares(e, rows.v + r * c.ld, c.ld);
      for (t = 0; t < job.k; ++t) job.W[(i + r) * job.k + t] = rows.w[t * kMaskedGroup + r];
    }
  }
}

template <class T>
void masked_hals(const MaskedHalsJob<T>& job) {
  const std::ptrdiff_t leaves = (job.n + kMaskedRows - 1) / kMaskedRows;
  const std::ptrdiff_t m = job.X.cols, ld = round_up(m, 16);
  const int threads = sweep_threads(job.threads, leaves, job.n * m * job.k);
  Scratch shared(sizeof(T) * static_cast<std::size_t>(job.k * ld), 1);
  Scratch groups(MaskedRows<T>::bytes(ld, job.k), threads);
  T* H = reinterpret_cast<T*>(shared.slice(0));
  for (std::ptrdiff_t t = 0; t < job.k; ++t)
    for (std::ptrdiff_t j = 0; j < ld; ++j) H[t * ld + j] = j < m ? job.H[t * m + j] : T(0);
  MaskedPass<T> pass{job, ld, H, &groups};
  sum_over_leaves(leaves, 1 + job.n_sweeps, threads, masked_leaf<T>, &pass, job.sums);
}
