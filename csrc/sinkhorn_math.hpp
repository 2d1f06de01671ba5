// Vector functions of the Sinkhorn kernels. Included inside the target's namespace.

// 2^z for any z: 0 below the normal range; beyond the largest exponent infinity or a number so
// large that the caller sees it.
template <class T>
CL_INLINE Vec<T> exp2_any(Vec<T> z) {
#if defined(CL_TARGET_AVX512)
  return exp2_negative(z);
#else
  return exp2_negative(vmin(z, splat(sizeof(T) == 4 ? T(127) : T(1023))));
#endif
}

// log2 of positive numbers to 2 units in the last place; -inf for 0, infinity for infinity.
CL_INLINE Vec<double> log2_any(Vec<double> x) {
  const Vec<double> zero = {}, tiny = splat(0x1p-1000), huge = splat(0x1.fffffffffffffp1023);
  const Vec<double> lifted = x < tiny ? x * splat(0x1p200) : x;
  const IVec<double> bits = reinterpret_cast<IVec<double>>(lifted);
  IVec<double> exponent = (bits >> 52) - 1023;
  Vec<double> m = reinterpret_cast<Vec<double>>((bits & 0x000fffffffffffffll) |
                                                0x3ff0000000000000ll);
  const IVec<double> upper = m > splat(1.41421356237309504880);  // -1 where true
  m = upper ? m * splat(0.5) : m;
  exponent -= upper;
  // log(m) = 2 atanh(s): |s| <= 0.1716, twelve terms leave 1e-17.
  const Vec<double> s = (m - splat(1.0)) / (m + splat(1.0)), q = s * s;
  Vec<double> p = splat(1.0 / 23);
#pragma GCC unroll 16
  for (int k = 21; k >= 1; k -= 2) p = fma(p, q, splat(1.0 / k));
  Vec<double> e = __builtin_convertvector(exponent, Vec<double>);
  e = x < tiny ? e - splat(200.0) : e;
  const Vec<double> result = fma(p * s, splat(2 * 1.44269504088896340736), e);
  return x > zero ? (x > huge ? x : result) : splat(-__builtin_inf());
}

// Values of a matrix as vectors of the type that is calculated in.
template <class T, class S>
CL_INLINE Vec<T> load_as(const S* p) {
  if constexpr (sizeof(T) == sizeof(S)) {
    return load(p);
  } else {
    typedef float Half __attribute__((vector_size(sizeof(Vec<double>) / 2), aligned(4)));
    return __builtin_convertvector(*reinterpret_cast<const Half*>(p), Vec<double>);
  }
}

template <class T, class S>
CL_INLINE Vec<T> load_some_as(const S* p, std::ptrdiff_t count) {
  Vec<T> v = {};
  for (std::ptrdiff_t i = 0; i < count; ++i) v[i] = static_cast<T>(p[i]);
  return v;
}

template <class T>
CL_INLINE double sum_lanes(Vec<T> v) {
  double sum = 0;
  for (int i = 0; i < Simd<T>::lanes; ++i) sum += static_cast<double>(v[i]);
  return sum;
}

template <class T>
CL_INLINE T max_lanes(Vec<T> v) {
  T most = v[0];
  for (int i = 1; i < Simd<T>::lanes; ++i) most = most > v[i] ? most : v[i];
  return most;
}

// Applies f to all of [0, n) by vectors of float64; the arrays have room for a whole vector.
template <class F>
CL_INLINE void map_doubles(const double* in, std::ptrdiff_t n, double* out, F f) {
  for (std::ptrdiff_t i = 0; i < n; i += Simd<double>::lanes) store(out + i, f(load(in + i)));
}

inline std::ptrdiff_t round_up(std::ptrdiff_t n, std::ptrdiff_t step) {
  return (n + step - 1) / step * step;
}
