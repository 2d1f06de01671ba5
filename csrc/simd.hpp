// Vectors of one instruction set. Included inside the target's namespace, after its pragma;
// everything that differs between instruction sets is in this file.
//   CL_VECTOR_BYTES   width of a register
// The rest of the engine uses GCC/clang vector extensions, so it is written once.

#define CL_INLINE __attribute__((always_inline)) inline

template <class T>
struct Simd;

template <>
struct Simd<float> {
  static constexpr int lanes = CL_VECTOR_BYTES / 4;
  typedef float vec __attribute__((vector_size(CL_VECTOR_BYTES)));
  typedef float loose __attribute__((vector_size(CL_VECTOR_BYTES), aligned(4)));
  typedef std::int32_t ivec __attribute__((vector_size(CL_VECTOR_BYTES)));
  typedef std::int32_t integer;
};

template <>
struct Simd<double> {
  static constexpr int lanes = CL_VECTOR_BYTES / 8;
  typedef double vec __attribute__((vector_size(CL_VECTOR_BYTES)));
  typedef double loose __attribute__((vector_size(CL_VECTOR_BYTES), aligned(8)));
  typedef std::int64_t ivec __attribute__((vector_size(CL_VECTOR_BYTES)));
  typedef std::int64_t integer;
};

template <class T>
using Vec = typename Simd<T>::vec;
template <class T>
using IVec = typename Simd<T>::ivec;

template <class T>
CL_INLINE Vec<T> splat(T x) {
  return x - Vec<T>{};
}
template <class T>
CL_INLINE IVec<T> isplat(std::int64_t x) {
  return static_cast<typename Simd<T>::integer>(x) - IVec<T>{};
}
template <class T>
CL_INLINE Vec<T> load(const T* p) {
  return *reinterpret_cast<const typename Simd<T>::loose*>(p);
}
template <class T>
CL_INLINE void store(T* p, Vec<T> v) {
  *reinterpret_cast<typename Simd<T>::loose*>(p) = v;
}

// fma, vmax, vmin, vsqrt, vround, movemask. vmax(a, b) and vmin(a, b) may return either
// operand when one is NaN.
#if defined(CL_TARGET_AVX512)
CL_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm512_fmadd_ps(a, b, c); }
CL_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm512_fmadd_pd(a, b, c); }
CL_INLINE Vec<float> vmax(Vec<float> a, Vec<float> b) { return _mm512_max_ps(a, b); }
CL_INLINE Vec<double> vmax(Vec<double> a, Vec<double> b) { return _mm512_max_pd(a, b); }
CL_INLINE Vec<float> vmin(Vec<float> a, Vec<float> b) { return _mm512_min_ps(a, b); }
CL_INLINE Vec<double> vmin(Vec<double> a, Vec<double> b) { return _mm512_min_pd(a, b); }
CL_INLINE Vec<float> vsqrt(Vec<float> a) { return _mm512_sqrt_ps(a); }
CL_INLINE Vec<double> vsqrt(Vec<double> a) { return _mm512_sqrt_pd(a); }
CL_INLINE Vec<float> vround(Vec<float> a) { return _mm512_roundscale_ps(a, 8); }
CL_INLINE Vec<double> vround(Vec<double> a) { return _mm512_roundscale_pd(a, 8); }
CL_INLINE unsigned movemask(IVec<float> m) { return _mm512_movepi32_mask(reinterpret_cast<__m512i>(m)); }
CL_INLINE unsigned movemask(IVec<double> m) { return _mm512_movepi64_mask(reinterpret_cast<__m512i>(m)); }
// a * 2^n for an integer n of any size.
CL_INLINE Vec<float> vscale(Vec<float> a, Vec<float> n) { return _mm512_scalef_ps(a, n); }
CL_INLINE Vec<double> vscale(Vec<double> a, Vec<double> n) { return _mm512_scalef_pd(a, n); }
#elif defined(CL_TARGET_AVX2)
CL_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return _mm256_fmadd_ps(a, b, c); }
CL_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return _mm256_fmadd_pd(a, b, c); }
CL_INLINE Vec<float> vmax(Vec<float> a, Vec<float> b) { return _mm256_max_ps(a, b); }
CL_INLINE Vec<double> vmax(Vec<double> a, Vec<double> b) { return _mm256_max_pd(a, b); }
CL_INLINE Vec<float> vmin(Vec<float> a, Vec<float> b) { return _mm256_min_ps(a, b); }
CL_INLINE Vec<double> vmin(Vec<double> a, Vec<double> b) { return _mm256_min_pd(a, b); }
CL_INLINE Vec<float> vsqrt(Vec<float> a) { return _mm256_sqrt_ps(a); }
CL_INLINE Vec<double> vsqrt(Vec<double> a) { return _mm256_sqrt_pd(a); }
CL_INLINE Vec<float> vround(Vec<float> a) { return _mm256_round_ps(a, 8); }
CL_INLINE Vec<double> vround(Vec<double> a) { return _mm256_round_pd(a, 8); }
CL_INLINE unsigned movemask(IVec<float> m) { return static_cast<unsigned>(_mm256_movemask_ps(reinterpret_cast<__m256>(m))); }
CL_INLINE unsigned movemask(IVec<double> m) { return static_cast<unsigned>(_mm256_movemask_pd(reinterpret_cast<__m256d>(m))); }
#else
// The floor of the ABI and NEON: plain vector code; the compiler knows the instructions.
template <class V>
CL_INLINE V vmax(V a, V b) {
  return a > b ? a : b;
}
template <class V>
CL_INLINE V vmin(V a, V b) {
  return a < b ? a : b;
}
#if defined(CL_TARGET_NEON)
CL_INLINE Vec<float> fma(Vec<float> a, Vec<float> b, Vec<float> c) { return vfmaq_f32(c, a, b); }
CL_INLINE Vec<double> fma(Vec<double> a, Vec<double> b, Vec<double> c) { return vfmaq_f64(c, a, b); }
CL_INLINE Vec<float> vround(Vec<float> a) { return vrndnq_f32(a); }
CL_INLINE Vec<double> vround(Vec<double> a) { return vrndnq_f64(a); }
CL_INLINE Vec<float> vsqrt(Vec<float> a) { return vsqrtq_f32(a); }
CL_INLINE Vec<double> vsqrt(Vec<double> a) { return vsqrtq_f64(a); }
#else
template <class V>
CL_INLINE V fma(V a, V b, V c) {
  return a * b + c;
}
// Adding and taking away 1.5 * 2^(mantissa bits) rounds to an integer where |a| is small enough.
CL_INLINE Vec<float> vround(Vec<float> a) { return (a + 12582912.0f) - 12582912.0f; }
CL_INLINE Vec<double> vround(Vec<double> a) { return (a + 6755399441055744.0) - 6755399441055744.0; }
template <class V>
CL_INLINE V vsqrt(V a) {
  for (unsigned i = 0; i < sizeof(V) / sizeof(a[0]); ++i)
    a[i] = sizeof(a[0]) == 4 ? __builtin_sqrtf(a[i]) : __builtin_sqrt(a[i]);
  return a;
}
#endif
template <class V>
CL_INLINE unsigned movemask(V m) {
  unsigned bits = 0;
  for (unsigned i = 0; i < sizeof(V) / sizeof(m[0]); ++i) bits |= (m[i] < 0 ? 1u : 0u) << i;
  return bits;
}
#endif

#if !defined(CL_TARGET_AVX512)
// a * 2^n for an integer n <= 0; 0 where 2^n is below the normal range. The exponent is written
// into the bits of the factor.
CL_INLINE Vec<float> vscale(Vec<float> a, Vec<float> n) {
  const IVec<float> power = (__builtin_convertvector(vmax(n, splat(-127.0f)), IVec<float>) + 127) << 23;
  return a * reinterpret_cast<Vec<float>>(power);
}
CL_INLINE Vec<double> vscale(Vec<double> a, Vec<double> n) {
  const IVec<double> power =
      (__builtin_convertvector(vmax(n, splat(-1023.0)), IVec<double>) + 1023) << 52;
  return a * reinterpret_cast<Vec<double>>(power);
}
#endif

#if defined(CL_TARGET_AVX512)
CL_INLINE IVec<float> vmax(IVec<float> a, IVec<float> b) { return (IVec<float>)_mm512_max_epi32((__m512i)a, (__m512i)b); }
CL_INLINE IVec<float> vmin(IVec<float> a, IVec<float> b) { return (IVec<float>)_mm512_min_epi32((__m512i)a, (__m512i)b); }
#endif
