// Vectors of the mixture kernels: a row of k entries takes `vectors` of float64, the last one with
// zeros behind the row. Included inside the target's namespace.

// Cells or rows that are worked on together: their sums are vectors of their own.
inline constexpr std::ptrdiff_t kCells = 32;

// The number of vectors of a row: known to the compiler, or else N = 0.
template <int N>
struct Vectors {
  std::ptrdiff_t count;
  CL_INLINE std::ptrdiff_t operator()() const { return N > 0 ? N : count; }
};

// log2 of normal positive numbers, to 2 units in the last place of the larger of 1 and the result:
// log2_any with a polynomial whose halves are worked out side by side, and without its conversions.
CL_INLINE Vec<double> log2_normal(Vec<double> x) {
  const Vec<double> one = splat(1.0);
  const IVec<double> word = reinterpret_cast<IVec<double>>(x);
  constexpr std::int64_t mantissa = (std::int64_t(1) << 52) - 1;
  Vec<double> m = reinterpret_cast<Vec<double>>((word & mantissa) | (std::int64_t(1023) << 52));
  const IVec<double> upper = m > splat(1.41421356237309504880);
  m = upper ? m * splat(0.5) : m;
  // An integer below 2^51 plus this word is a double: that integer plus 1.5 * 2^52.
  constexpr std::int64_t shift = 0x4338000000000000;
  const IVec<double> exponent = ((word >> 52) - 1023 - upper) + shift;
  const Vec<double> e = reinterpret_cast<Vec<double>>(exponent) - splat(0x1.8p52);
  const Vec<double> s = (m - one) / (m + one), q = s * s, q2 = q * q, q4 = q2 * q2;
#define CL_PAIR(k) fma(q, splat(1.0 / (k + 2)), splat(1.0 / k))
  const Vec<double> low = fma(q2, CL_PAIR(5), CL_PAIR(1)), middle = fma(q2, CL_PAIR(13), CL_PAIR(9));
  const Vec<double> high = fma(q2, CL_PAIR(21), CL_PAIR(17));
#undef CL_PAIR
  const Vec<double> p = fma(q4, fma(q4, high, middle), low);
  return fma(p * s, splat(2 * 1.44269504088896340736), e);
}

// Asks for a row of `bytes` that is going to be written.
CL_INLINE void prefetch_row(const void* row, std::ptrdiff_t bytes) {
  for (std::ptrdiff_t b = 0; b < bytes; b += 64) __builtin_prefetch(static_cast<const char*>(row) + b, 1);
}

// Sums of the lanes of as many vectors as there are lanes, one in each lane of the result.
template <class V, int LANES>
CL_INLINE V lane_sums(const V* v) {
  if constexpr (LANES == 2) {
    return __builtin_shufflevector(v[0], v[1], 0, 2) + __builtin_shufflevector(v[0], v[1], 1, 3);
  } else if constexpr (LANES == 4) {
    const V a = __builtin_shufflevector(v[0], v[1], 0, 4, 2, 6) + __builtin_shufflevector(v[0], v[1], 1, 5, 3, 7);
    const V b = __builtin_shufflevector(v[2], v[3], 0, 4, 2, 6) + __builtin_shufflevector(v[2], v[3], 1, 5, 3, 7);
    return __builtin_shufflevector(a, b, 0, 1, 4, 5) + __builtin_shufflevector(a, b, 2, 3, 6, 7);
  } else {
    V pair[4], four[2];
#pragma GCC unroll 4
    for (int i = 0; i < 4; ++i)
      pair[i] = __builtin_shufflevector(v[2 * i], v[2 * i + 1], 0, 8, 2, 10, 4, 12, 6, 14) +
                __builtin_shufflevector(v[2 * i], v[2 * i + 1], 1, 9, 3, 11, 5, 13, 7, 15);
#pragma GCC unroll 2
    for (int i = 0; i < 2; ++i)
      four[i] = __builtin_shufflevector(pair[2 * i], pair[2 * i + 1], 0, 1, 8, 9, 4, 5, 12, 13) +
                __builtin_shufflevector(pair[2 * i], pair[2 * i + 1], 2, 3, 10, 11, 6, 7, 14, 15);
    return __builtin_shufflevector(four[0], four[1], 0, 1, 2, 3, 8, 9, 10, 11) +
           __builtin_shufflevector(four[0], four[1], 4, 5, 6, 7, 12, 13, 14, 15);
  }
}
CL_INLINE Vec<double> lane_sums(const Vec<double>* v) {
  return lane_sums<Vec<double>, Simd<double>::lanes>(v);
}

// Stores as many numbers as there are lanes of float64.
CL_INLINE void store_as(double* p, Vec<double> v) { store(p, v); }
CL_INLINE void store_as(float* p, Vec<double> v) {
  typedef float Half __attribute__((vector_size(sizeof(Vec<double>) / 2)));
  typedef float Loose __attribute__((vector_size(sizeof(Vec<double>) / 2), aligned(4)));
  *reinterpret_cast<Loose*>(p) = __builtin_convertvector(v, Half);
}

// How shares are made more extreme: not at all, by multiplication, or through logarithms.
enum Tempering { kPlain, kIntegerPower, kAnyPower };
inline Tempering tempering(double power) {
  return power == 1 ? kPlain : power == 2 || power == 3 ? kIntegerPower : kAnyPower;
}

// -1 in the lanes of the last vector that belong to a row of k.
CL_INLINE IVec<double> row_mask(std::ptrdiff_t k, std::ptrdiff_t vectors) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  IVec<double> mask = {};
  for (std::ptrdiff_t i = 0; i < l; ++i) mask[i] = (vectors - 1) * l + i < k ? -1 : 0;
  return mask;
}
CL_INLINE Vec<double> masked(Vec<double> v, IVec<double> mask) {
  return reinterpret_cast<Vec<double>>(reinterpret_cast<IVec<double>>(v) & mask);
}

// x^power for x >= 0, not relative to anything.
CL_INLINE Vec<double> plain_power(Vec<double> x, double power) {
  if (power == 2) return x * x;
  if (power == 3) return x * x * x;
  return exp2_any<double>(log2_any<double>(x) * splat(power));
}

// x^2, or x^3 where `cube` is set.
CL_INLINE Vec<double> integer_power(Vec<double> x, IVec<double> cube) {
  return x * x * (cube ? x : splat(1.0));
}

// Raises the entries of a row between 0 and 1, of which one is 1/k at least, to any power, in place,
// relative to the largest, so that it does not vanish. Returns the vector of partial sums.
template <int N>
CL_INLINE Vec<double> raise_row(double* row, Vectors<N> vectors, double power) {
  constexpr std::ptrdiff_t l = Simd<double>::lanes;
  Vec<double> sum = {}, most = splat(-static_cast<double>(__builtin_inf()));
  for (std::ptrdiff_t u = 0; u < vectors(); ++u) {
    const Vec<double> x = log2_any<double>(load(row + u * l));
    store(row + u * l, x);
    most = vmax(most, x);
  }
  const Vec<double> shift = splat(max_lanes<double>(most)), factor = splat(power);
  for (std::ptrdiff_t u = 0; u < vectors(); ++u) {
    const Vec<double> g = exp2_any<double>((load(row + u * l) - shift) * factor);
    store(row + u * l, g);
    sum += g;
  }
  return sum;
}
