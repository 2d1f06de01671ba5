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

// What differs between the logarithms of the two types.
template <class T>
struct LogParts;
template <>
struct LogParts<float> {
  static constexpr int bits = 23, bias = 127, last = 9;
  static constexpr float tiny = 0x1p-100f, lift = 0x1p25f, lifted = 25, huge = 0x1.fffffep127f;
};
template <>
struct LogParts<double> {
  static constexpr int bits = 52, bias = 1023, last = 23;
  static constexpr double tiny = 0x1p-1000, lift = 0x1p200, lifted = 200, huge = 0x1.fffffffffffffp1023;
};

// log2 of positive numbers to 2 units in the last place; -inf for 0, infinity for infinity.
template <class T>
CL_INLINE Vec<T> log2_any(Vec<T> x) {
  typedef LogParts<T> P;
  typedef typename Simd<T>::integer I;
  const Vec<T> zero = {}, one = splat(T(1)), tiny = splat(T(P::tiny));
  const Vec<T> lifted = x < tiny ? x * splat(T(P::lift)) : x;
  const IVec<T> word = reinterpret_cast<IVec<T>>(lifted);
  constexpr I mantissa = (I(1) << P::bits) - 1;
  IVec<T> exponent = (word >> P::bits) - P::bias;
  Vec<T> m = reinterpret_cast<Vec<T>>((word & mantissa) | (I(P::bias) << P::bits));
  const IVec<T> upper = m > splat(T(1.41421356237309504880));  // -1 where true
  m = upper ? m * splat(T(0.5)) : m;
  exponent -= upper;
  // log(m) = 2 atanh(s) with |s| <= 0.1716: the terms left out are below a tenth of the rounding.
  const Vec<T> s = (m - one) / (m + one), q = s * s;
  Vec<T> p = splat(T(1) / P::last);
#pragma GCC unroll 16
  for (int k = P::last - 2; k >= 1; k -= 2) p = fma(p, q, splat(T(1) / k));
  Vec<T> e = __builtin_convertvector(exponent, Vec<T>);
  e = x < tiny ? e - splat(T(P::lifted)) : e;
  const Vec<T> result = fma(p * s, splat(T(2 * 1.44269504088896340736)), e);
  return x > zero ? (x > splat(T(P::huge)) ? x : result) : splat(-static_cast<T>(__builtin_inf()));
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

// Sum of the lanes in float64.
template <class T>
CL_INLINE double sum_lanes(Vec<T> v) {
  constexpr int l = Simd<T>::lanes;
  T lanes[l];
  store(lanes, v);
  if constexpr (l < 8) {
    double sum = 0;
    for (int i = 0; i < l; ++i) sum += static_cast<double>(lanes[i]);
    return sum;
  } else {
    Eight sum = load_eight(lanes);
    for (int i = 8; i < l; i += 8) sum += load_eight(lanes + i);
    return sum_eight(sum);
  }
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
