// Many small problems at once: a lane of the vectors is a problem. Included inside the target's
// namespace.
//
// Scaling iterations run on a kernel that has taken the potentials in (K = 2^(F + G - k C), in
// base 2), and a lane whose sums leave the safe range takes its scalings into the potentials,
// steps once in the log domain and rebuilds its kernel. Between two uses of a column of K only a
// division happens, so each iteration reads K once: s_j, then v_j, then the next row sums.

template <class T>
struct BatchLanes {
  static constexpr int l = Simd<T>::lanes;
  std::ptrdiff_t p, q;
  // [j][i][lane] matrices, [i][lane] or [j][lane] vectors; b_zero is 1 where b is 0, else 0.
  // F and G are what K has taken in; where updates are damped, `row` and `column` hold the whole
  // potentials and `target` those that the columns step to.
  T *cost, *K, *F, *row, *G, *column, *target, *u, *v, *v_new, *r, *a, *b, *log2_a, *log2_b, *a_zero, *b_zero;
  std::size_t size = 0;

  T* take(char* base, std::ptrdiff_t vectors) {
    T* start = reinterpret_cast<T*>(base + size);
    size += static_cast<std::size_t>(vectors) * sizeof(Vec<T>);
    return start;
  }
  BatchLanes(char* base, std::ptrdiff_t rows, std::ptrdiff_t columns) : p(rows), q(columns) {
    K = take(base, p * q);
    for (T** rows_of : {&F, &row, &u, &r, &a, &log2_a, &a_zero}) *rows_of = take(base, p);
    for (T** columns_of : {&G, &column, &target, &v, &v_new, &b, &log2_b, &b_zero}) *columns_of = take(base, q);
    cost = take(base, p * q);
  }
};

template <class T>
CL_INLINE bool any(IVec<T> mask) {
  return movemask(mask) != 0;
}

// Sums that have not lost terms to underflow and cannot overflow in the next product.
template <class T>
CL_INLINE IVec<T> out_of_safe_range(Vec<T> sum) {
  constexpr T low = static_cast<T>(sizeof(T) == 4 ? 0x1p-80 : 0x1p-800);
  constexpr T high = static_cast<T>(sizeof(T) == 4 ? 0x1p60 : 0x1p600);
  return ~((sum > splat(low)) & (sum < splat(high)));
}

// Beyond the safe range, and still a number.
template <class T>
inline constexpr T kMostExponent = sizeof(T) == 4 ? T(100) : T(1000);

// log2 sum 2^(x_c - cost_c) over `count` entries that are `step` vectors apart.
template <class T>
CL_INLINE Vec<T> lane_logsumexp(const T* x, const T* cost, std::ptrdiff_t count, std::ptrdiff_t step) {
  constexpr int l = Simd<T>::lanes;
  Vec<T> most = splat(kNoTerm<T>), sum = {};
  for (std::ptrdiff_t c = 0; c < count; ++c) most = vmax(most, load(x + c * l) - load(cost + c * step * l));
  for (std::ptrdiff_t c = 0; c < count; ++c)
    sum += exp2_negative(load(x + c * l) - load(cost + c * step * l) - most);
  return most + log2_any<T>(sum);
}

// Replaces lanes of `old` where mask is set.
template <class T>
CL_INLINE void blend(T* old, IVec<T> mask, Vec<T> value) {
  store(old, mask ? value : load(old));
}

// A kernel for `lanes` whose rows sum to a, whatever the range: F becomes a reference that the
// next scalings of the rows are relative to.
template <class T>
void rebuild(const BatchLanes<T>& c, IVec<T> lanes) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> none = splat(kNoTerm<T>), zero = {};
  for (std::ptrdiff_t i = 0; i < c.p; ++i) {
    const Vec<T> sum = lane_logsumexp(c.G, c.cost + i * l, c.q, c.p);
    const IVec<T> absent = load(c.a_zero + i * l) > zero;
    blend<T>(c.F + i * l, lanes, absent ? none : load(c.log2_a + i * l) - sum);
  }
  for (std::ptrdiff_t j = 0; j < c.q; ++j)
    for (std::ptrdiff_t i = 0; i < c.p; ++i) {
      const std::ptrdiff_t at = (j * c.p + i) * l;
      const Vec<T> exponent = load(c.F + i * l) + load(c.G + j * l) - load(c.cost + at);
      blend<T>(c.K + at, lanes, exp2_any<T>(vmax(exponent, none)));
    }
}

// Takes the scalings of `lanes` into the potentials. Damped potentials are known apart from their
// scalings, which may have left the range.
template <class T>
void absorb(const BatchLanes<T>& c, IVec<T> lanes, bool balanced) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> none = splat(kNoTerm<T>), one = splat(T(1)), zero = {};
  const auto take_in = [&](T* potential, T* scaling, const T* whole, const T* absent) {
    const Vec<T> scaled = balanced ? load(potential) + log2_any<T>(load(scaling)) : load(whole);
    blend<T>(potential, lanes, vmax(scaled, none));
    blend<T>(scaling, lanes, load(absent) > zero ? zero : one);
  };
  for (std::ptrdiff_t i = 0; i < c.p; ++i)
    take_in(c.F + i * l, c.u + i * l, c.row + i * l, c.a_zero + i * l);
  for (std::ptrdiff_t j = 0; j < c.q; ++j)
    take_in(c.G + j * l, c.v + j * l, c.column + j * l, c.b_zero + j * l);
}

// The column step in the log domain, exact whatever the range; returns the mass that it moves.
template <class T>
Vec<T> step_columns(const BatchLanes<T>& c, IVec<T> lanes, Vec<T> tau_b) {
  constexpr int l = Simd<T>::lanes;
  const Vec<T> zero = {}, none = splat(kNoTerm<T>), most = splat(kMostExponent<T>);
  Vec<T> error = {};
  for (std::ptrdiff_t j = 0; j < c.q; ++j) {
    const Vec<T> sum = lane_logsumexp(c.F, c.cost + j * c.p * l, c.p, 1), old = load(c.G + j * l);
    const IVec<T> absent = load(c.b_zero + j * l) > zero;
    const Vec<T> target = absent ? none : tau_b * (load(c.log2_b + j * l) - sum);
    const Vec<T> moved = exp2_any<T>(vmin(target + sum, most)) - exp2_any<T>(vmin(old + sum, most));
    error += absent ? zero : vmax(moved, -moved);
    blend<T>(c.G + j * l, lanes, target);
  }
  return error;
}

// r = K v.
template <class T>
void sum_rows(const BatchLanes<T>& c) {
  constexpr int l = Simd<T>::lanes;
  for (std::ptrdiff_t i = 0; i < c.p; ++i) store(c.r + i * l, load(c.a_zero + i * l));
  for (std::ptrdiff_t j = 0; j < c.q; ++j)
    for (std::ptrdiff_t i = 0; i < c.p; ++i)
      store(c.r + i * l, fma(load(c.K + (j * c.p + i) * l), load(c.v + j * l), load(c.r + i * l)));
}

// One balanced iteration from given row sums: u, then for each column its sum, error, scaling and
// share of the next row sums. P rows in registers, or any number in memory with P = 0.
template <class T, int P>
IVec<T> balanced_pass(const BatchLanes<T>& c, IVec<T> frozen, Vec<T>& error) {
  constexpr int l = Simd<T>::lanes;
  Vec<T> u[P], r[P], sum_of_errors = {};
#pragma GCC unroll 8
  for (int i = 0; i < P; ++i) {
    u[i] = frozen ? load(c.u + i * l) : load(c.a + i * l) / load(c.r + i * l);
    store(c.u + i * l, u[i]);
    r[i] = load(c.a_zero + i * l);
  }
  IVec<T> lost = {};
  const T* K = c.K;
  for (std::ptrdiff_t j = 0; j < c.q; ++j) {
    Vec<T> s = load(c.b_zero + j * l), k[P];
#pragma GCC unroll 8
    for (int i = 0; i < P; ++i) {
      k[i] = load(K + i * l);
      s = fma(k[i], u[i], s);
    }
    const Vec<T> b = load(c.b + j * l), v = load(c.v + j * l), miss = v * s - b;
    sum_of_errors += vmax(miss, -miss);
    lost |= out_of_safe_range<T>(s);
    const Vec<T> next = frozen ? v : b / s;
    store(c.v_new + j * l, next);
#pragma GCC unroll 8
    for (int i = 0; i < P; ++i) r[i] = fma(k[i], next, r[i]);
    K += P * l;
  }
#pragma GCC unroll 8
  for (int i = 0; i < P; ++i) store(c.r + i * l, r[i]);
  error = sum_of_errors;
  return lost;
}

template <class T>
IVec<T> balanced_pass_of_any(const BatchLanes<T>& c, IVec<T> frozen, Vec<T>& error) {
  constexpr int l = Simd<T>::lanes;
  for (std::ptrdiff_t i = 0; i < c.p; ++i) {
    store(c.u + i * l, frozen ? load(c.u + i * l) : load(c.a + i * l) / load(c.r + i * l));
    store(c.r + i * l, load(c.a_zero + i * l));
  }
  IVec<T> lost = {};
  Vec<T> sum_of_errors = {};
  const T* K = c.K;
  for (std::ptrdiff_t j = 0; j < c.q; ++j, K += c.p * l) {
    Vec<T> s[4] = {load(c.b_zero + j * l), {}, {}, {}};
    for (std::ptrdiff_t i = 0; i < c.p; ++i) s[i % 4] = fma(load(K + i * l), load(c.u + i * l), s[i % 4]);
    s[0] = (s[0] + s[1]) + (s[2] + s[3]);
    const Vec<T> b = load(c.b + j * l), v = load(c.v + j * l), miss = v * s[0] - b;
    sum_of_errors += vmax(miss, -miss);
    lost |= out_of_safe_range<T>(s[0]);
    const Vec<T> next = frozen ? v : b / s[0];
    store(c.v_new + j * l, next);
    for (std::ptrdiff_t i = 0; i < c.p; ++i)
      store(c.r + i * l, fma(load(K + i * l), next, load(c.r + i * l)));
  }
  error = sum_of_errors;
  return lost;
}

template <class T>
IVec<T> balanced_iteration(const BatchLanes<T>& c, IVec<T> frozen, Vec<T>& error) {
  switch (c.p) {
    case 1: return balanced_pass<T, 1>(c, frozen, error);
    case 2: return balanced_pass<T, 2>(c, frozen, error);
    case 3: return balanced_pass<T, 3>(c, frozen, error);
    case 4: return balanced_pass<T, 4>(c, frozen, error);
    case 5: return balanced_pass<T, 5>(c, frozen, error);
    case 6: return balanced_pass<T, 6>(c, frozen, error);
    case 7: return balanced_pass<T, 7>(c, frozen, error);
    case 8: return balanced_pass<T, 8>(c, frozen, error);
    default: return balanced_pass_of_any<T>(c, frozen, error);
  }
}
