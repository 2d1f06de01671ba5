// Packing: rows of a matrix become lanes (panel[p][W]) or scalars (block[p][NR]). The shift and
// the power-of-two scale of the screen are applied on the way. Included inside the target's
// namespace.

// Rows read in place: contiguous features of the type of the tile.
template <class S>
struct DirectRows {
  const S* const* rows;
  const S* shift;
  S scale;
  CL_INLINE Vec<S> get(int r, std::ptrdiff_t p) const {
    return (load(rows[r] + p) - load(shift + p)) * splat(scale);
  }
  CL_INLINE S at(int r, std::ptrdiff_t p) const { return (rows[r][p] - shift[p]) * scale; }
};

// Rows already shifted, scaled and converted into scratch memory.
template <class S>
struct StagedRows {
  const S* data;
  std::ptrdiff_t ld;
  CL_INLINE Vec<S> get(int r, std::ptrdiff_t p) const { return load(data + r * ld + p); }
  CL_INLINE S at(int r, std::ptrdiff_t p) const { return data[r * ld + p]; }
};

// out[p * STRIDE + g * lanes + i] = source(row g * lanes + i, feature p), rows past `count`
// repeat the last one. With one group and STRIDE < lanes each store spills into the slots of
// p + 1, which the next store overwrites: that is how NR = 12 scalars are packed with 16 lanes.
// norms (per lane, may be null) receives the sums of squares of what was written.
template <int GROUPS, int STRIDE, class S, class Source>
CL_INLINE void pack_rows(const Source& source, int count, std::ptrdiff_t d, S* out, S* norms) {
  constexpr int l = Simd<S>::lanes;
  static_assert(GROUPS * l == STRIDE || (GROUPS == 1 && STRIDE < l), "see above");
  for (int g = 0; g < GROUPS; ++g) {
    int row[l];
    for (int i = 0; i < l; ++i) row[i] = g * l + i < count ? g * l + i : count - 1;
    Vec<S> square[4] = {};
    std::ptrdiff_t p = 0;
    for (; p + l <= d; p += l) {
      Vec<S> r[l];
#pragma GCC unroll 64
      for (int i = 0; i < l; ++i) r[i] = source.get(row[i], p);
      transpose<S>(r);
#pragma GCC unroll 64
      for (int i = 0; i < l; ++i) {
        store(out + (p + i) * STRIDE + g * l, r[i]);
        square[i % 4] = fma(r[i], r[i], square[i % 4]);
      }
    }
    for (; p < d; ++p) {
      Vec<S> v;
      for (int i = 0; i < l; ++i) v[i] = source.at(row[i], p);
      for (int i = 0; i < (STRIDE < l ? STRIDE : l); ++i) out[p * STRIDE + g * l + i] = v[i];
      square[0] = fma(v, v, square[0]);
    }
    if (norms) store(norms + g * l, (square[0] + square[1]) + (square[2] + square[3]));
  }
}

// Copies `count` rows from any strides and either type into scratch: (x - shift) * scale.
template <class S, class TI>
void stage_rows(const Matrix<TI>& X, std::ptrdiff_t first, int count, const TI* shift, TI scale,
                S* out, std::ptrdiff_t ld) {
  for (int r = 0; r < count; ++r) {
    const TI* x = X.row(first + r);
    S* o = out + r * ld;
    if (X.contiguous_rows())
      for (std::ptrdiff_t p = 0; p < X.cols; ++p) o[p] = static_cast<S>((x[p] - shift[p]) * scale);
    else
      for (std::ptrdiff_t p = 0; p < X.cols; ++p)
        o[p] = static_cast<S>((x[p * X.col_stride] - shift[p]) * scale);
  }
}

// Packs the chosen rows of X, staging them only when they cannot be read in place. `staging`
// holds GROUPS * lanes rows of d + lanes values.
template <int GROUPS, int STRIDE, class S, class TI>
void pack_chosen_rows(const Matrix<TI>& X, const std::ptrdiff_t* chosen, int count, const TI* shift,
                      TI scale, S* out, S* norms, S* staging) {
  constexpr int l = Simd<S>::lanes;
  const std::ptrdiff_t d = X.cols;
  if constexpr (sizeof(S) == sizeof(TI)) {
    if (X.contiguous_rows()) {
      const S* rows[GROUPS * l];
      for (int r = 0; r < count; ++r) rows[r] = X.row(chosen[r]);
      pack_rows<GROUPS, STRIDE>(DirectRows<S>{rows, shift, scale}, count, d, out, norms);
      return;
    }
  }
  const std::ptrdiff_t ld = d + l;
  for (int r = 0; r < count; ++r) stage_rows(X, chosen[r], 1, shift, scale, staging + r * ld, ld);
  pack_rows<GROUPS, STRIDE>(StagedRows<S>{staging, ld}, count, d, out, norms);
}

// The same for rows [first, first + count).
template <int GROUPS, int STRIDE, class S, class TI>
void pack_matrix_rows(const Matrix<TI>& X, std::ptrdiff_t first, int count, const TI* shift,
                      TI scale, S* out, S* norms, S* staging) {
  std::ptrdiff_t chosen[GROUPS * Simd<S>::lanes];
  for (int r = 0; r < count; ++r) chosen[r] = first + r;
  pack_chosen_rows<GROUPS, STRIDE>(X, chosen, count, shift, scale, out, norms, staging);
}

// A row of X with contiguous features: in place, or copied into `buffer`.
template <class TI>
CL_INLINE const TI* contiguous_row(const Matrix<TI>& X, std::ptrdiff_t i, char* buffer) {
  if (X.contiguous_rows()) return X.row(i);
  TI* out = reinterpret_cast<TI*>(buffer);
  for (std::ptrdiff_t p = 0; p < X.cols; ++p) out[p] = X.at(i, p);
  return out;
}

template <class TI>
bool row_is_finite(const TI* x, std::ptrdiff_t d) {
  for (std::ptrdiff_t p = 0; p < d; ++p)
    if (!(x[p] - x[p] == 0)) return false;
  return true;
}
